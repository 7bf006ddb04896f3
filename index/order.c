/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two levels: leaves of ads sorted by their servers' ids, and an array of the
 * leaves.  Compact, walked in a repeatable order, and good for a million. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

#define LEAF_MAX 128

struct xis_leaf {
    uint32_t n;
    struct xis_ad *ads[LEAF_MAX];
};

/* The leaf that `id` belongs in: the last whose first ad is not after it. */
static size_t leaf_of(const struct xis_order *order, const xn_id *id)
{
    size_t lo = 0, hi = order->n_leaves;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (xn_id_cmp(&order->leaves[mid]->ads[0]->server, id) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* The first in the leaf that is not before `id` (after: that is after it). */
static size_t lower(const struct xis_leaf *leaf, const xn_id *id, bool after)
{
    size_t lo = 0, hi = leaf->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int cmp = xn_id_cmp(&leaf->ads[mid]->server, id);

        if (cmp < 0 || (after && cmp == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct xis_ad *xis_order_find(const struct xis_order *order, const xn_id *id)
{
    const struct xis_leaf *leaf;
    size_t at;

    if (!order->n_leaves) return NULL;
    leaf = order->leaves[leaf_of(order, id)];
    at = lower(leaf, id, false);
    if (at == leaf->n || !xn_id_eq(&leaf->ads[at]->server, id)) return NULL;
    return leaf->ads[at];
}

/* A new, empty leaf at that place. */
static struct xis_leaf *leaf_add(struct xis_order *order, size_t at)
{
    struct xis_leaf *leaf;

    if (order->n_leaves == order->cap) {
        size_t cap = order->cap ? 2 * order->cap : 4;
        struct xis_leaf **v = realloc(order->leaves, cap * sizeof *v);

        if (!v) return NULL;
        order->leaves = v;
        order->cap = cap;
    }
    leaf = malloc(sizeof *leaf);
    if (!leaf) return NULL;
    leaf->n = 0;
    memmove(order->leaves + at + 1, order->leaves + at,
            (order->n_leaves - at) * sizeof *order->leaves);
    order->leaves[at] = leaf;
    order->n_leaves++;
    return leaf;
}

static int split(struct xis_order *order, size_t at)
{
    struct xis_leaf *full = order->leaves[at];
    struct xis_leaf *upper = leaf_add(order, at + 1);

    if (!upper) return XN_ENOMEM;
    full->n = LEAF_MAX / 2;
    upper->n = LEAF_MAX - full->n;
    memcpy(upper->ads, full->ads + full->n, upper->n * sizeof *upper->ads);
    return 0;
}

int xis_order_add(struct xis_order *order, struct xis_ad *ad)
{
    struct xis_leaf *leaf;
    size_t i, at;

    if (!order->n_leaves && !leaf_add(order, 0)) return XN_ENOMEM;
    /* An empty leaf is there only as the single one. */
    i = order->leaves[0]->n ? leaf_of(order, &ad->server) : 0;
    if (order->leaves[i]->n == LEAF_MAX) {
        if (split(order, i)) return XN_ENOMEM;
        i = leaf_of(order, &ad->server);
    }
    leaf = order->leaves[i];
    at = lower(leaf, &ad->server, false);
    memmove(leaf->ads + at + 1, leaf->ads + at,
            (leaf->n - at) * sizeof *leaf->ads);
    leaf->ads[at] = ad;
    leaf->n++;
    order->n++;
    return 0;
}

void xis_order_remove(struct xis_order *order, const struct xis_ad *ad)
{
    size_t i = leaf_of(order, &ad->server);
    struct xis_leaf *leaf = order->leaves[i];
    size_t at = lower(leaf, &ad->server, false);

    leaf->n--;
    memmove(leaf->ads + at, leaf->ads + at + 1,
            (leaf->n - at) * sizeof *leaf->ads);
    order->n--;
    if (leaf->n) return;
    free(leaf);
    order->n_leaves--;
    memmove(order->leaves + i, order->leaves + i + 1,
            (order->n_leaves - i) * sizeof *order->leaves);
}

struct xis_place_in_order xis_order_after(const struct xis_order *order,
                                          const xn_id *id)
{
    struct xis_place_in_order place = {0, 0};

    if (!id || !order->n_leaves) return place;
    place.leaf = leaf_of(order, id);
    place.at = lower(order->leaves[place.leaf], id, true);
    return place;
}

struct xis_ad *xis_order_next(const struct xis_order *order,
                              struct xis_place_in_order *place)
{
    while (place->leaf < order->n_leaves) {
        const struct xis_leaf *leaf = order->leaves[place->leaf];

        if (place->at < leaf->n) return leaf->ads[place->at++];
        place->leaf++;
        place->at = 0;
    }
    return NULL;
}

void xis_order_clear(struct xis_order *order)
{
    size_t i;

    for (i = 0; i < order->n_leaves; i++)
        free(order->leaves[i]);
    free(order->leaves);
    memset(order, 0, sizeof *order);
}
