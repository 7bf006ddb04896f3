/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "seam/tickets.h"

#include <stdlib.h>

#include "lib/err.h"

/* A heap of entries.  Most nodes wait for a handful of things, which are looked
 * through.  Beyond that an index says where in the heap each one is: open
 * addressing by number, half full at most. */
#define FEW 16U

struct entry {
    uint64_t number;
    uint64_t deadline_us;
    xn_ended *fn;
    void *owner;
    void *ctx;
};

struct slot {
    uint64_t number; /* 0: free */
    size_t place;
};

struct xn_tickets {
    struct entry *heap;
    size_t n;
    size_t cap;         /* a power of two, where there is an index */
    struct slot *index; /* 2 * cap; NULL: few */
    uint64_t last;
};

/* ---- the index ---- */

static size_t home_of(const struct xn_tickets *t, uint64_t number)
{
    return (size_t)(number * 0x9e3779b97f4a7c15U >> 32) & (2 * t->cap - 1);
}

/* That number's, or the free one where it would be. */
static struct slot *slot_of(const struct xn_tickets *t, uint64_t number)
{
    size_t i = home_of(t, number);

    while (t->index[i].number != 0 && t->index[i].number != number)
        i = (i + 1) & (2 * t->cap - 1);
    return &t->index[i];
}

static void slot_free(struct xn_tickets *t, struct slot *slot)
{
    size_t mask = 2 * t->cap - 1, hole = (size_t)(slot - t->index), i = hole;

    for (;;) {
        i = (i + 1) & mask;
        if (t->index[i].number == 0) break;
        /* May it move up to the hole?  Only if its home is not between. */
        if (((i - home_of(t, t->index[i].number)) & mask) >=
            ((i - hole) & mask)) {
            t->index[hole] = t->index[i];
            hole = i;
        }
    }
    t->index[hole].number = 0;
}

/* Its place in the heap; t->n: it is not there. */
static size_t find(const struct xn_tickets *t, uint64_t number)
{
    size_t i = 0;

    if (t->index) {
        const struct slot *slot = slot_of(t, number);

        return slot->number != 0 ? slot->place : t->n;
    }
    while (i < t->n && t->heap[i].number != number)
        i++;
    return i;
}

/* ---- the heap ---- */

static bool before(const struct entry *a, const struct entry *b)
{
    if (a->deadline_us != b->deadline_us) {
        return a->deadline_us < b->deadline_us;
    }
    return a->number < b->number;
}

static void put(struct xn_tickets *t, size_t i, const struct entry *e)
{
    t->heap[i] = *e;
    if (t->index) {
        *slot_of(t, e->number) = (struct slot){.number = e->number, .place = i};
    }
}

/* Moves what stands at i to where it belongs. */
static void sift(struct xn_tickets *t, size_t i)
{
    struct entry e = t->heap[i];
    size_t child;

    while (i > 0 && before(&e, &t->heap[(i - 1) / 2])) {
        put(t, i, &t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    while ((child = 2 * i + 1) < t->n) {
        if (child + 1 < t->n && before(&t->heap[child + 1], &t->heap[child])) {
            child++;
        }
        if (!before(&t->heap[child], &e)) break;
        put(t, i, &t->heap[child]);
        i = child;
    }
    put(t, i, &e);
}

static void detach(struct xn_tickets *t, size_t i)
{
    struct entry last = t->heap[--t->n];

    if (t->index) slot_free(t, slot_of(t, t->heap[i].number));
    if (i == t->n) return;
    put(t, i, &last);
    sift(t, i);
}

static bool grow(struct xn_tickets *t)
{
    size_t cap = t->cap < FEW ? t->cap + 1 : 2 * t->cap, i;
    struct entry *heap = realloc(t->heap, cap * sizeof *heap);
    struct slot *index = NULL;

    if (!heap) return false;
    t->heap = heap;
    if (cap > FEW) {
        index = calloc(2 * cap, sizeof *index);
        if (!index) return false;
    }
    free(t->index);
    t->index = index;
    t->cap = cap;
    for (i = 0; index && i < t->n; i++) {
        *slot_of(t, heap[i].number) =
            (struct slot){.number = heap[i].number, .place = i};
    }
    return true;
}

int xn_tickets_new(struct xn_tickets **tickets_out)
{
    struct xn_tickets *t = calloc(1, sizeof *t);

    if (!t) return XN_ENOMEM;
    *tickets_out = t;
    return 0;
}

void xn_tickets_free(struct xn_tickets *t,
                     void (*drop)(void *owner, void *ctx, xn_ended *fn))
{
    size_t i;

    if (!t) return;
    for (i = 0; drop && i < t->n; i++)
        drop(t->heap[i].owner, t->heap[i].ctx, t->heap[i].fn);
    free(t->index);
    free(t->heap);
    free(t);
}

uint64_t xn_ticket(struct xn_tickets *t, uint64_t deadline_us, xn_ended *fn,
                   void *owner, void *ctx, struct xn_out *out)
{
    struct entry e = {
        .deadline_us = deadline_us, .fn = fn, .owner = owner, .ctx = ctx};

    if (t->n == t->cap && !grow(t)) {
        out->rc = XN_ENOMEM;
        return 0;
    }
    e.number = ++t->last;
    put(t, t->n++, &e);
    sift(t, t->n - 1);
    return e.number;
}

bool xn_ticket_end(struct xn_tickets *t, uint64_t ticket,
                   const struct xn_now *now, int rc, struct xn_msg *msg,
                   struct xn_out *out)
{
    size_t i = find(t, ticket);
    struct entry e;

    if (i == t->n) return false;
    e = t->heap[i];
    detach(t, i);
    e.fn(e.owner, e.ctx, now, rc, msg, out);
    return true;
}

void *xn_ticket_forget(struct xn_tickets *t, uint64_t ticket)
{
    size_t i = find(t, ticket);
    void *ctx;

    if (i == t->n) return NULL;
    ctx = t->heap[i].ctx;
    detach(t, i);
    return ctx;
}

bool xn_ticket_postpone(struct xn_tickets *t, uint64_t ticket,
                        uint64_t deadline_us)
{
    size_t i = find(t, ticket);

    if (i == t->n) return false;
    t->heap[i].deadline_us = deadline_us;
    sift(t, i);
    return true;
}

void xn_tickets_run(struct xn_tickets *t, const struct xn_now *now,
                    struct xn_out *out)
{
    while (t->n > 0 && t->heap[0].deadline_us <= now->mono_us) {
        xn_ticket_end(t, t->heap[0].number, now, XN_ETIMEOUT, NULL, out);
    }
}

uint64_t xn_tickets_next(const struct xn_tickets *t)
{
    return t->n ? t->heap[0].deadline_us : UINT64_MAX;
}

size_t xn_tickets_count(const struct xn_tickets *t)
{
    return t->n;
}
