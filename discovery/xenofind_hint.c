/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where nothing was found: is it for a token that nobody has? */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "discovery/xenofind.h"
#include "lib/gripe.h"

enum { TOKENS_MAX = 4, NAMES_MAX = 64 }; /* looked at: each is a question */

/* Asks how many servers have it; false where that is not to be known. */
static bool count_having(const struct find_options *opt,
                         const struct net_identity *identity, const char *token,
                         uint64_t *n_out)
{
    struct find_options count = {.limit = 0};
    struct find_result result = {.matching = 0};
    struct query *query = NULL;
    char text[XN_TOKEN_MAX + 3];
    const char *word = text;
    bool whole;

    snprintf(text, sizeof text, "%s:*", token);
    if (query_parse_words(&word, 1, &query, NULL)) return false;
    memcpy(count.nodes, opt->nodes, sizeof count.nodes);
    count.n_nodes = opt->n_nodes;
    count.timeout_us = opt->timeout_us;
    count.lease_us_max = opt->lease_us_max;
    whole = find_fetch(&count, query, identity, &result) == 0 &&
            result.answered_ppm == 1000000;
    *n_out = result.matching;
    find_result_clear(&result);
    query_free(query);
    return whole;
}

bool find_nobody_there(const struct find_options *opt,
                       const struct net_identity *identity)
{
    uint64_t n;

    return count_having(opt, identity, "EnvType", &n) && n == 0;
}

const char *find_unknown_token(const struct find_options *opt,
                               const struct query *query,
                               const struct net_identity *identity)
{
    const char *tokens[QUERY_TERMS_MAX];
    size_t n = query_required(query, tokens, QUERY_TERMS_MAX), i, asked = 0;

    for (i = 0; i < n && asked < TOKENS_MAX; i++) {
        const struct xn_token_info *info = xn_token_info(tokens[i]);
        uint64_t having;

        /* Prices count in one currency only, and are told of elsewhere. */
        if (info && (info->mandatory || info->price)) continue;
        asked++;
        if (count_having(opt, identity, tokens[i], &having) && having == 0) {
            return tokens[i];
        }
    }
    return NULL;
}

const char *find_token_like(const char *token)
{
    const char *names[NAMES_MAX];
    const struct xn_token_info *table;
    size_t n, i;

    table = xn_token_table(&n);
    for (i = 0; i < n && i < NAMES_MAX; i++) {
        if (strcasecmp(table[i].name, token) == 0) return table[i].name;
        names[i] = table[i].name;
    }
    return xn_nearest(token, names, i);
}
