/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bounded heap: a shard of any size costs memory for the hits asked alone,
 * and most hits cost one comparison. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

static bool worse(const struct xis_top *top, size_t a, size_t b)
{
    return query_rank_cmp(top->query, &top->heap[a].rank, &top->heap[b].rank) >
           0;
}

static void swap(struct xis_top *top, size_t a, size_t b)
{
    struct xis_hit hit = top->heap[a];

    top->heap[a] = top->heap[b];
    top->heap[b] = hit;
}

static void sift_down(struct xis_top *top, size_t i, size_t n)
{
    size_t child;

    while ((child = 2 * i + 1) < n) {
        if (child + 1 < n && worse(top, child + 1, child)) child++;
        if (!worse(top, child, i)) break;
        swap(top, i, child);
        i = child;
    }
}

static void sift_up(struct xis_top *top, size_t i)
{
    while (i > 0 && worse(top, i, (i - 1) / 2)) {
        swap(top, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static bool room(struct xis_top *top)
{
    size_t cap = top->cap ? 2 * top->cap : 32;
    struct xis_hit *heap;

    if (top->n < top->cap) return true;
    if (cap > top->max) cap = top->max;
    heap = realloc(top->heap, cap * sizeof *heap);
    if (!heap) {
        top->rc = XN_ENOMEM;
        return false;
    }
    top->heap = heap;
    top->cap = cap;
    return true;
}

void xis_top_add(struct xis_top *top, const struct query_rank *rank,
                 const struct xis_ad *ad)
{
    struct xis_hit hit = {*rank, ad};

    if (top->max == 0 || top->rc) return;
    if (top->n == top->max) {
        if (query_rank_cmp(top->query, rank, &top->heap[0].rank) >= 0) return;
        top->heap[0] = hit;
        sift_down(top, 0, top->n);
        return;
    }
    if (!room(top)) return;
    top->heap[top->n++] = hit;
    sift_up(top, top->n - 1);
}

void xis_top_sort(struct xis_top *top)
{
    size_t n;

    for (n = top->n; n > 1; n--) {
        swap(top, 0, n - 1);
        sift_down(top, 0, n - 1);
    }
}

void xis_top_clear(struct xis_top *top)
{
    free(top->heap);
    top->heap = NULL;
    top->n = top->cap = 0;
}
