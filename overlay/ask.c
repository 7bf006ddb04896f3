/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our own questions. */
#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"

/* It waits until the search has come to whom it is for (route_sought). */
static void seek(struct ov *ov, const struct xn_now *now, struct query *q,
                 struct xn_out *out)
{
    uint64_t number = q->number;
    int rc;

    route_set_timer(ov, q, q->deadline_us, out);
    rc = seek_join(ov, now, &q->key, q->copy, number, q->deadline_us, out);
    if (rc) answer_fail(ov, now, q, rc, out);
}

void route_sought(struct ov *ov, const struct xn_now *now, uint64_t number,
                  struct link *link, int rc, struct xn_out *out)
{
    struct query *q = query_find(ov, number);

    if (!q) return;
    if (!rc && q->deadline_us <= now->mono_us + 1000) rc = XN_ETIMEOUT;
    if (rc)
        answer_fail(ov, now, q, rc, out);
    else
        route_over(ov, now, q, link, false, out);
}

static void refuse_ask(struct ov *ov, const struct xn_now *now, ov_replied *fn,
                       void *ctx, int rc, struct xn_out *out)
{
    const struct ov_reply reply = {.rc = rc, .from = ov->config.id};

    fn(ov->user.user, ctx, now, &reply, out);
}

static int ask_new(struct ov *ov, const struct xn_now *now, const xn_id *key,
                   uint32_t copy, unsigned kind, const void *body,
                   uint64_t deadline_us, struct query **q_out)
{
    struct xn_msg *msg = NULL;
    struct query *q;
    int rc;

    if (ov->queries.n >= QUERIES_MAX) return XN_EBUSY;
    rc = xn_msg_new(kind, body, &msg);
    if (rc) return rc;
    q = query_new(ov, NULL);
    if (!q) {
        xn_msg_free(msg);
        return XN_ENOMEM;
    }
    q->key = *key;
    q->copy = copy < OV_COPIES_MAX ? copy : OV_COPIES_MAX - 1;
    q->kind = kind;
    q->carrier = msg;
    q->payload = msg->bytes;
    q->payload_len = msg->size;
    q->deadline_us = deadline_us;
    q->asked_us = now->mono_us;
    ov->stats.asked++;
    *q_out = q;
    return 0;
}

void ov_ask(struct ov *ov, const struct xn_now *now, const xn_id *key,
            uint32_t copy, unsigned kind, const void *body,
            uint64_t deadline_us, ov_replied *fn, void *ctx, struct xn_out *out)
{
    struct query *q = NULL;
    int rc;

    ov_enter(ov);
    ov_begun(ov, now);
    rc = ask_new(ov, now, key, copy, kind, body, deadline_us, &q);
    if (rc == 0) {
        q->fn = fn;
        q->ctx = ctx;
        q->pinned = ov->config.secure && !route_is_near(ov, now, q);
        if (q->pinned)
            seek(ov, now, q, out);
        else
            route_on(ov, now, q, out);
    } else {
        answer_count(&ov->stats, rc, 0, 0);
        refuse_ask(ov, now, fn, ctx, rc, out);
    }
    ov_exit(ov, now, out);
}

/* Not acknowledged yet, and sent once: its answer would be a sample. */
static bool may_be_sample(const struct query *q)
{
    return q->via && !q->acked && q->n_sent == 1;
}

void ov_enough(struct ov *ov, const void *ctx)
{
    size_t i = ov->queries.n;

    while (i-- > 0) {
        struct query *q = query_at(ov, i);

        if (q->from || q->enough || q->ctx != ctx) continue;
        q->enough = true;
        if (may_be_sample(q)) {
            query_let_go(ov, q);
            if (q->deadline_us > q->sent_us + RTO_MAX_US) {
                q->deadline_us = q->sent_us + RTO_MAX_US;
            }
        } else {
            query_detach(ov, q);
            query_drop(q);
        }
    }
}

void ov_ask_peer(struct ov *ov, const struct xn_now *now, xn_peer peer,
                 unsigned kind, const void *body, uint64_t deadline_us,
                 ov_replied *fn, void *ctx, struct xn_out *out)
{
    struct link *link = link_need(ov, peer);
    struct query *q = NULL;
    int rc;

    ov_enter(ov);
    if (!link || link->state != LINK_LIVE)
        rc = XN_EUNREACH;
    else if (deadline_us <= now->mono_us + 1000)
        rc = XN_ETIMEOUT;
    else
        rc = ask_new(ov, now, &link_contact(ov, link)->position, 0, kind, body,
                     deadline_us, &q);
    if (rc == 0) {
        q->fn = fn;
        q->ctx = ctx;
        q->direct = true;
        route_over(ov, now, q, link, false, out);
    } else {
        refuse_ask(ov, now, fn, ctx, rc, out);
    }
    ov_exit(ov, now, out);
}
