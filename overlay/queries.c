/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The requests under way. */
#include <stdlib.h>

#include "overlay/inside.h"
#include "overlay/queries.h"

#include <utlist.h>

struct query *query_at(const struct ov *ov, size_t i)
{
    return ov->queries.v[i];
}

static size_t query_lower(const struct ov *ov, uint64_t number)
{
    size_t lo = 0, hi = ov->queries.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (query_at(ov, mid)->number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct query *query_find(const struct ov *ov, uint64_t number)
{
    size_t i = query_lower(ov, number);

    if (i == ov->queries.n || query_at(ov, i)->number != number) return NULL;
    return query_at(ov, i);
}

struct query *query_new(struct ov *ov, struct link *from)
{
    struct query *q = calloc(1, sizeof *q);

    if (!q) return NULL;
    q->number = ++ov->number;
    if (!vec_put(&ov->queries, ov->queries.n, q)) {
        free(q);
        return NULL;
    }
    q->from = from;
    if (from) {
        DL_APPEND2(from->held, q, held_prev, held_next);
        from->asked++;
        ov->n_from++;
    }
    return q;
}

void query_keep(struct ov *ov, struct query *q, struct xn_msg *carrier)
{
    q->carrier = xn_msg_ref(carrier);
    q->kept = carrier->size;
    q->from->kept += (uint32_t)q->kept;
    ov->kept += q->kept;
}

void query_let_go(struct ov *ov, struct query *q)
{
    if (q->from) q->from->kept -= (uint32_t)q->kept;
    ov->kept -= q->kept;
    q->kept = 0;
    q->payload = NULL;
    q->payload_len = 0;
    xn_msg_free(q->carrier);
    q->carrier = NULL;
}

void query_unsend(struct query *q)
{
    if (q->via) DL_DELETE2(q->via->sent, q, sent_prev, sent_next);
    q->via = NULL;
}

void query_detach(struct ov *ov, struct query *q)
{
    query_unsend(q);
    if (q->from) {
        DL_DELETE2(q->from->held, q, held_prev, held_next);
        q->from->asked--;
        ov->n_from--;
    }
    if (q->timer) xn_ticket_forget(ov->tickets, q->timer);
    q->timer = 0;
    vec_drop(&ov->queries, query_lower(ov, q->number));
    if (ov->queries.n == 0) queries_clear(ov);
    query_let_go(ov, q);
}

void query_drop(struct query *q)
{
    xn_msg_free(q->carrier);
    free(q);
}

void queries_clear(struct ov *ov)
{
    size_t i;

    for (i = 0; i < ov->queries.n; i++)
        query_drop(query_at(ov, i));
    free(ov->queries.v);
    ov->queries = (struct vec){0};
}

void query_untry(struct query *q, xn_peer peer)
{
    size_t i;

    for (i = 0; i < q->n_tried; i++) {
        if (q->tried[i] == peer) q->tried[i--] = q->tried[--q->n_tried];
    }
}

void queries_gone(struct ov *ov, xn_peer peer)
{
    size_t i;

    for (i = 0; i < ov->queries.n; i++)
        query_untry(query_at(ov, i), peer);
}
