/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/engine.h"

#include <string.h>

/* The most particular first: the first that fits is taken. */
static const struct rd_engine *const engines[] = {
    &rd_engine_cost,
    &rd_engine_match,
};

const struct rd_engine *rd_engine_find(const char *name,
                                       const struct query *query)
{
    size_t i;

    for (i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        const struct rd_engine *engine = engines[i];

        if (*name ? strcmp(name, engine->name) == 0 : engine->fits(query)) {
            return engine;
        }
    }
    return NULL;
}

const char *rd_smallest_token(const struct query *query,
                              const struct rd_summaries *summaries)
{
    const char *tokens[QUERY_TERMS_MAX];
    size_t n = query_required(query, tokens, QUERY_TERMS_MAX), i;
    const char *best = XN_TOKEN_EVERY;
    uint64_t least = UINT64_MAX, ads;

    for (i = 0; i < n; i++) {
        if (!rd_summary_get(summaries, tokens[i], &ads)) {
            /* Any demanded token narrows more than the one all ads have; a
             * shard known to be small beats one not known. */
            ads = UINT64_MAX - 1;
        }
        if (ads < least) {
            least = ads;
            best = tokens[i];
        }
    }
    return best;
}
