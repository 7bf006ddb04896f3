/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random questions.  Bounds come from an ad that is there, so that most
 * questions match some ads and not all. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "sim/market_state.h"

enum { WORD = 160, WORDS = 3, LIMIT_MAX = 200 };

static const char *const tokens[] = {
    "CPUsmps", "MemoryMB", "DiskGB",       "NetMbps",   "PricePerHour",
    "EnvType", "Country",  "Architecture", "EnvKernel", "Sessions"};
enum { TOKENS = sizeof tokens / sizeof tokens[0] };

static const char *const sorts[] = {NULL, "PricePerHour", "MemoryMB",
                                    "CPUsmps"};

/* Some ad that is on; NULL: none. */
static const struct market_ad *some_ad(struct sim_market *market)
{
    uint32_t start = (uint32_t)(sim_run_draw(market->run) % market->nodes), i;

    for (i = 0; i < market->nodes; i++) {
        const struct market_server *s =
            &market->servers[(start + i) % market->nodes];

        if (s->state == MARKET_ON && s->now.advert) return &s->now;
    }
    return NULL;
}

static const struct advert_value *value_of(const struct market_ad *ad,
                                           const char *token)
{
    const struct advert *advert = ad ? ad->advert : NULL;

    return advert && advert->n_rows ? advert_row_get(&advert->rows[0], token)
                                    : NULL;
}

static void make_word(struct sim_market *market, char word[WORD])
{
    const char *token = tokens[sim_run_draw(market->run) % TOKENS];
    const struct advert_value *a = value_of(some_ad(market), token);
    const struct advert_value *b = value_of(some_ad(market), token);
    uint64_t form = sim_run_draw(market->run) % 4;

    if (!a || !b) {
        snprintf(word, WORD, "%s:*", token);
    } else if (!a->is_number) {
        snprintf(word, WORD, form < 2 ? "%s:%s" : "%s:%s,%s", token, a->text,
                 b->text);
    } else if (form == 0) {
        snprintf(word, WORD, "%s:%s..", token, a->text);
    } else if (form == 1) {
        snprintf(word, WORD, "%s:..%s", token, a->text);
    } else if (xn_dec_cmp(a->number, b->number) <= 0) {
        snprintf(word, WORD, "%s:%s..%s", token, a->text, b->text);
    } else {
        snprintf(word, WORD, "%s:%s..%s", token, b->text, a->text);
    }
}

int market_query_make(struct sim_market *market, struct query **query_out,
                      uint32_t *limit_out)
{
    char text[WORDS][WORD];
    const char *words[WORDS], *sort;
    struct query_error error;
    size_t n = 1 + sim_run_draw(market->run) % WORDS, i;
    uint64_t draw = sim_run_draw(market->run);
    int rc;

    for (i = 0; i < n; i++) {
        make_word(market, text[i]);
        words[i] = text[i];
    }
    rc = query_parse_words(words, n, query_out, &error);
    if (rc) return rc;
    sort = sorts[draw % 4];
    if (sort) rc = query_set_sort(*query_out, sort, draw >> 8 & 1);
    if (!rc) rc = query_set_currency(*query_out, "GBP");
    *limit_out = draw >> 16 & 1 ? 10 : LIMIT_MAX;
    if (rc) {
        query_free(*query_out);
        *query_out = NULL;
    }
    return rc;
}
