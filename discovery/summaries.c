/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/summaries.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/err.h"
#include "wire/token.h"

struct entry {
    char token[XN_TOKEN_MAX + 1];
    uint64_t ads;
    UT_hash_handle hh;
};

struct rd_summaries {
    struct entry *entries; /* in order of last touch: uthash appends */
};

int rd_summaries_new(struct rd_summaries **summaries_out)
{
    struct rd_summaries *summaries = calloc(1, sizeof *summaries);

    if (!summaries) return XN_ENOMEM;
    *summaries_out = summaries;
    return 0;
}

void rd_summaries_free(struct rd_summaries *summaries)
{
    struct entry *entry, *next;

    if (!summaries) return;
    HASH_ITER(hh, summaries->entries, entry, next)
    {
        HASH_DEL(summaries->entries, entry);
        free(entry);
    }
    free(summaries);
}

void rd_summary_put(struct rd_summaries *summaries, const char *token,
                    uint64_t ads)
{
    struct entry *entry;
    size_t len = strlen(token);

    if (!xn_token_valid(token, len)) return;
    HASH_FIND_STR(summaries->entries, token, entry);
    if (entry) {
        HASH_DEL(summaries->entries, entry);
    } else if (HASH_COUNT(summaries->entries) >= RD_SUMMARIES_MAX) {
        entry = summaries->entries;
        HASH_DEL(summaries->entries, entry);
    } else {
        entry = calloc(1, sizeof *entry);
        if (!entry) return;
    }
    memcpy(entry->token, token, len + 1);
    entry->ads = ads;
    HASH_ADD_STR(summaries->entries, token, entry);
}

bool rd_summary_get(const struct rd_summaries *summaries, const char *token,
                    uint64_t *ads_out)
{
    struct entry *entry;

    HASH_FIND_STR(summaries->entries, token, entry);
    if (entry) *ads_out = entry->ads;
    return entry;
}
