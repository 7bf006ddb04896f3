/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "seam/tickets.h"

#include <stdlib.h>

#include "lib/err.h"

/* The heap holds pointers and each entry knows its place in it, so that ending
 * one out of turn is O(log n).  uthash finds an entry by number. */
#include <uthash.h>

struct entry {
    uint64_t number;
    uint64_t deadline_us;
    xn_ended *fn;
    void *owner;
    void *ctx;
    size_t place;
    UT_hash_handle hh;
};

struct xn_tickets {
    struct entry *by_number;
    struct entry **heap;
    size_t n;
    size_t cap;
    uint64_t last;
};

static bool before(const struct entry *a, const struct entry *b)
{
    if (a->deadline_us != b->deadline_us) {
        return a->deadline_us < b->deadline_us;
    }
    return a->number < b->number;
}

static void put(struct xn_tickets *t, size_t i, struct entry *e)
{
    t->heap[i] = e;
    e->place = i;
}

static void sift_up(struct xn_tickets *t, size_t i)
{
    struct entry *e = t->heap[i];

    while (i > 0 && before(e, t->heap[(i - 1) / 2])) {
        put(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(t, i, e);
}

static void sift_down(struct xn_tickets *t, size_t i)
{
    struct entry *e = t->heap[i];
    size_t child;

    while ((child = 2 * i + 1) < t->n) {
        if (child + 1 < t->n && before(t->heap[child + 1], t->heap[child])) {
            child++;
        }
        if (!before(t->heap[child], e)) break;
        put(t, i, t->heap[child]);
        i = child;
    }
    put(t, i, e);
}

static void detach(struct xn_tickets *t, struct entry *e)
{
    size_t i = e->place;
    struct entry *last = t->heap[--t->n];

    HASH_DEL(t->by_number, e);
    if (last == e) return;
    put(t, i, last);
    sift_up(t, i);
    sift_down(t, last->place);
}

static struct entry *find(const struct xn_tickets *t, uint64_t number)
{
    struct entry *e;

    HASH_FIND(hh, t->by_number, &number, sizeof number, e);
    return e;
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
    for (i = 0; i < t->n; i++) {
        struct entry *e = t->heap[i];

        HASH_DEL(t->by_number, e);
        if (drop) drop(e->owner, e->ctx, e->fn);
        free(e);
    }
    free(t->heap);
    free(t);
}

uint64_t xn_ticket(struct xn_tickets *t, uint64_t deadline_us, xn_ended *fn,
                   void *owner, void *ctx, struct xn_out *out)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e && t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 8;
        struct entry **heap = realloc(t->heap, cap * sizeof *heap);

        if (heap) {
            t->heap = heap;
            t->cap = cap;
        }
    }
    if (!e || t->n == t->cap) {
        free(e);
        out->rc = XN_ENOMEM;
        return 0;
    }
    e->number = ++t->last;
    e->deadline_us = deadline_us;
    e->fn = fn;
    e->owner = owner;
    e->ctx = ctx;
    HASH_ADD(hh, t->by_number, number, sizeof e->number, e);
    put(t, t->n, e);
    t->n++;
    sift_up(t, e->place);
    return e->number;
}

bool xn_ticket_end(struct xn_tickets *t, uint64_t ticket,
                   const struct xn_now *now, int rc, struct xn_msg *msg,
                   struct xn_out *out)
{
    struct entry *e = find(t, ticket);

    if (!e) return false;
    detach(t, e);
    e->fn(e->owner, e->ctx, now, rc, msg, out);
    free(e);
    return true;
}

void *xn_ticket_forget(struct xn_tickets *t, uint64_t ticket)
{
    struct entry *e = find(t, ticket);
    void *ctx;

    if (!e) return NULL;
    detach(t, e);
    ctx = e->ctx;
    free(e);
    return ctx;
}

bool xn_ticket_postpone(struct xn_tickets *t, uint64_t ticket,
                        uint64_t deadline_us)
{
    struct entry *e = find(t, ticket);

    if (!e) return false;
    e->deadline_us = deadline_us;
    sift_up(t, e->place);
    sift_down(t, e->place);
    return true;
}

void xn_tickets_run(struct xn_tickets *t, const struct xn_now *now,
                    struct xn_out *out)
{
    while (t->n > 0 && t->heap[0]->deadline_us <= now->mono_us) {
        xn_ticket_end(t, t->heap[0]->number, now, XN_ETIMEOUT, NULL, out);
    }
}

uint64_t xn_tickets_next(const struct xn_tickets *t)
{
    return t->n ? t->heap[0]->deadline_us : UINT64_MAX;
}

size_t xn_tickets_count(const struct xn_tickets *t)
{
    return t->n;
}
