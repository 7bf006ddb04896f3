/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a token's shard has, in the one order in which neighbours compare.  A
 * token of a few ads must not cost a walk over all that are held. */
#include <stdlib.h>

#include "index/inside.h"
#include "lib/err.h"

/* Walking is cheaper than sorting where more than one ad in so many is due;
 * a dense column, walked whole for whatever is in it, is read so fast. */
#define SPARSE 64
#define DENSE 8

static bool is_due(const struct xis_walk *walk, const struct xis_ad *ad)
{
    uint32_t i;

    if (ad->withdrawn) return true; /* concerns whoever has an older version */
    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i]->mark == walk->mark) return true;
    }
    return false;
}

static int by_server(const void *a, const void *b)
{
    struct xis_ad *const *x = a, *const *y = b;

    return xn_id_cmp(&(*x)->server, &(*y)->server);
}

/* The ads under one token, each once for each of its rows there. */
static void pick_token(struct xis_walk *walk, const struct xis_token *token,
                       const xn_id *from)
{
    struct xis_cursor cursor = {&token->column, 0};
    const struct xis_rows *rows = &walk->xis->rows;
    struct xis_ad *last = NULL;
    uint32_t row = 0;

    while ((row = xis_cursor_next(&cursor, row)) < rows->n) {
        struct xis_ad *ad = rows->ad[row++];

        if (ad == last) continue; /* rows of an ad are neighbours */
        last = ad;
        if (from && xn_id_cmp(&ad->server, from) <= 0) continue;
        walk->picked[walk->n++] = ad;
    }
}

static void sort_picked(struct xis_walk *walk)
{
    size_t i, n = 0;

    qsort(walk->picked, walk->n, sizeof(struct xis_ad *), by_server);
    for (i = 0; i < walk->n; i++) {
        if (n && walk->picked[n - 1] == walk->picked[i]) continue;
        walk->picked[n++] = walk->picked[i];
    }
    walk->n = n;
}

int xis_walk_start(struct xis_walk *walk, struct xis *xis, char *const *tokens,
                   size_t n, const xn_id *from)
{
    uint64_t uses = 0, rows = 0;
    size_t i;

    *walk = (struct xis_walk){.xis = xis, .mark = ++xis->stamp};
    for (i = 0; i < n; i++) {
        struct xis_token *token = xis_token_find(xis, tokens[i]);

        if (!token || token->mark == walk->mark) continue;
        token->mark = walk->mark;
        uses += token->ads;
        rows += token->column.dense ? xis->rows.n : 0;
    }
    walk->at = xis_order_after(&xis->ads, from);
    if (uses * SPARSE + rows / DENSE >= xis->ads.n) return 0;
    walk->picked = malloc((uses + 1) * sizeof(struct xis_ad *));
    if (!walk->picked) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        struct xis_token *token = xis_token_find(xis, tokens[i]);

        if (!token || token->mark != walk->mark) continue;
        token->mark = ++xis->stamp; /* named twice: not twice */
        pick_token(walk, token, from);
    }
    sort_picked(walk);
    return 0;
}

struct xis_ad *xis_walk_next(struct xis_walk *walk)
{
    struct xis_ad *ad;

    if (walk->picked) {
        return walk->i < walk->n ? walk->picked[walk->i++] : NULL;
    }
    while (!walk->more &&
           (ad = xis_order_next(&walk->xis->ads, &walk->at)) != NULL) {
        walk->last = ad->server;
        walk->more = ++walk->seen == XIS_WALK_MAX;
        if (is_due(walk, ad)) return ad;
    }
    return NULL;
}

void xis_walk_clear(struct xis_walk *walk)
{
    free(walk->picked);
    walk->picked = NULL;
}
