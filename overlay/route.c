/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests on their way: delivered, sent on, and sent elsewhere where nobody
 * answers.
 *
 * Forwarding brings a request strictly nearer to the key, but for one thing: a
 * node among those who hold the key passes a request for another copy to that
 * copy, whichever side it is on. */
#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"

#include <utlist.h>

#define BESIDE 4U /* of the key's neighbours, looked at together */

static void query_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out);

void route_set_timer(struct ov *ov, struct query *q, uint64_t due_us,
                     struct xn_out *out)
{
    if (due_us > q->deadline_us) due_us = q->deadline_us;
    q->due_us = due_us;
    if (q->ack_us && q->ack_us < due_us) due_us = q->ack_us;
    if (q->timer && xn_ticket_postpone(ov->tickets, q->timer, due_us)) return;
    q->timer = xn_ticket(ov->tickets, due_us, query_due, ov, q, out);
}

void route_ack_now(const struct xn_now *now, struct query *q,
                   struct xn_out *out)
{
    Xn__Ack ack = XN__ACK__INIT;

    q->ack_us = 0;
    ack.rid = q->from_rid;
    if (link_is_terse(q->from)) {
        ack.held_ms = (uint32_t)((now->mono_us - q->got_us) / 1000);
    }
    ov_send(out, q->from->peer, XN__KIND__ACK, &ack);
}

void route_owe_ack(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out)
{
    if (!link_is_terse(q->from)) {
        route_ack_now(now, q, out);
        return;
    }
    q->ack_us = now->mono_us + LATE_US;
    route_set_timer(ov, q, q->due_us, out);
}

void route_deliver(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out)
{
    struct ov_request request = {
        .token = q->number,
        .key = q->key,
        .copy = q->copy,
        .direct = q->direct,
        .from = q->from ? q->from->peer : XN_PEER_SELF,
        .hops = q->hops,
        .deadline_us = q->deadline_us,
    };
    uint64_t number = q->number;
    int rc;

    rc = xn_msg_decode(q->kind, q->payload, q->payload_len, &request.msg);
    if (rc) {
        answer_fail(ov, now, q, rc, out);
        return;
    }
    ov->stats.delivered++;
    q->delivered = true;
    query_let_go(ov, q); /* never sent on again */
    route_set_timer(ov, q, q->deadline_us, out);
    if (q->kind == XN__KIND__NEXT) {
        trace_next(ov, now, &request, out);
    } else if (q->kind == XN__KIND__NEAR) {
        seek_near(ov, now, &request, out);
    } else {
        ov->user.deliver(ov->user.user, now, &request, out);
    }
    xn_msg_free(request.msg);
    q = query_find(ov, number);
    if (q && q->from && !q->acked) {
        q->acked = true;
        route_owe_ack(ov, now, q, out);
    }
}

/* ---- sending on ---- */

/* Its first bytes say where a key lies: of 2^48 keys there are as many as nodes
 * for which it would be another's.  A direct request has no way to find. */
static ProtobufCBinaryData said_key(const struct query *q,
                                    const struct link *to)
{
    ProtobufCBinaryData key = xn_id_bytes(&q->key);

    if (to->features & OV_FEATURE_BRIEF) key.len = q->direct ? 0 : KEY_SAID;
    return key;
}

static void say_patience(const struct link *to, uint64_t ms,
                         Xn__Request *request)
{
    if (ms > PATIENCE_MS_MAX) ms = PATIENCE_MS_MAX;
    if (ms >= PATIENCE_MS_FINE && (to->features & OV_FEATURE_SPARE))
        request->patience_ds = (uint32_t)(ms / 100);
    else
        request->patience_ms = (uint32_t)ms;
}

static int send_request(struct ov *ov, const struct xn_now *now,
                        struct query *q, struct link *to, bool witness,
                        struct xn_out *out)
{
    Xn__Request request = XN__REQUEST__INIT;
    int rc;

    request.rid = q->number;
    request.key = said_key(q, to);
    request.copy = q->copy;
    request.direct = q->direct;
    request.hops = q->hops;
    say_patience(to, (q->deadline_us - now->mono_us) / 1000, &request);
    request.kind = q->kind;
    request.witness = witness;
    request.payload.data = (uint8_t *)(uintptr_t)q->payload;
    request.payload.len = q->payload_len;
    rc = ov_send(out, to->peer, XN__KIND__REQUEST, &request);
    if (rc) return rc;
    query_unsend(q);
    q->via = to;
    DL_APPEND2(to->sent, q, sent_prev, sent_next);
    q->acked = false;
    q->sent_us = now->mono_us;
    ov->stats.any_sent += !q->from && query_is_lax(ov, q);
    if (!query_tried(q, to->peer)) q->tried[q->n_tried++] = to->peer;
    q->n_sent++;
    q->witnessed = witness;
    route_set_timer(
        ov, q, now->mono_us + watch_rto(to) + (link_is_terse(to) ? LATE_US : 0),
        out);
    return 0;
}

void route_over(struct ov *ov, const struct xn_now *now, struct query *q,
                struct link *to, bool witness, struct xn_out *out)
{
    int rc = q->n_sent < WAYS_MAX ? send_request(ov, now, q, to, witness, out)
                                  : XN_EUNREACH;

    if (rc)
        answer_fail(ov, now, q, rc, out);
    else if (q->from)
        ov->stats.forwarded++;
}

/* For a silent node to be heard again, or to be gone.  Heard again, and still
 * no ACK: perhaps the request was lost. */
static void wait_for(struct ov *ov, const struct xn_now *now, struct query *q,
                     struct link *link, struct xn_out *out)
{
    if (link && link->probes == 0 && q->n_sent < WAYS_MAX) {
        route_over(ov, now, q, link, q->witness, out);
        return;
    }
    if (!link) hints_hurry(ov, now, &q->key);
    route_set_timer(ov, q, now->mono_us + WAIT_US, out);
}

void route_on(struct ov *ov, const struct xn_now *now, struct query *q,
              struct xn_out *out)
{
    struct link *to = NULL, *owner;

    if (q->deadline_us <= now->mono_us + 1000) {
        answer_fail(ov, now, q, XN_ETIMEOUT, out);
        return;
    }
    switch (route_choose(ov, now, q, &to)) {
    case HOP_HERE: route_deliver(ov, now, q, out); break;
    case HOP_ON:
        owner = owners_link(ov, now, q);
        route_over(ov, now, q, owner ? owner : to, q->witness, out);
        break;
    case HOP_WITNESS:
        ov->stats.doubted++;
        hints_hurry(ov, now, &q->key);
        route_over(ov, now, q, to, true, out);
        break;
    case HOP_YOURS: answer_yours(ov, now, q, out); break;
    case HOP_WAIT: wait_for(ov, now, q, to, out); break;
    case HOP_NOWHERE:
        answer_fail(ov, now, q, q->sent_us || q->hops ? XN_EUNREACH : XN_ENOENT,
                    out);
        break;
    }
}

void route_again(struct ov *ov, const struct xn_now *now, struct query *q,
                 struct xn_out *out)
{
    ov->stats.rerouted++;
    if (q->via) owners_forget(ov, &link_contact(ov, q->via)->id);
    query_unsend(q);
    route_on(ov, now, q, out);
}

/* Neighbours often fall together: those beside the key are looked at with the
 * one that is silent, not one after the other. */
static void probe_beside(struct ov *ov, const struct xn_now *now,
                         const struct query *q, struct xn_out *out)
{
    struct walk walk;
    unsigned left = BESIDE;
    size_t at;

    if (!route_is_near(ov, now, q)) return;
    walk_start(&walk, ov, &q->key);
    while (left-- > 0 && walk_next(&walk, &at)) {
        struct link *link = at == RING_SELF ? NULL : ring_link(ov, at);

        if (link && now->mono_us - link->heard_us > PROBE_US)
            watch_probe(ov, now, link, false, out);
    }
}

/* Silence of the one it was sent to. */
static void no_ack(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out)
{
    struct link *link = q->via, *other = NULL;
    bool fixed = q->direct || q->pinned || query_is_lax(ov, q);

    watch_probe(ov, now, link, false, out);
    probe_beside(ov, now, q, out);
    if (q->enough || (fixed && q->n_sent >= SENDS_MAX)) {
        route_set_timer(ov, q, q->deadline_us, out);
    } else if (q->direct || q->pinned ||
               (fixed && route_choose(ov, now, q, &other) == HOP_NOWHERE)) {
        /* Nobody else can answer: perhaps it was lost on the way. */
        route_over(ov, now, q, link, false, out);
    } else {
        route_again(ov, now, q, out);
    }
}

/* Acknowledged long ago.  It works on it, or it fell silent, or the reply was
 * lost: it is asked once more, rarer each time. */
static void no_reply(struct ov *ov, const struct xn_now *now, struct query *q,
                     struct xn_out *out)
{
    watch_probe(ov, now, q->via, false, out);
    if (q->n_sent >= SENDS_MAX) {
        route_set_timer(ov, q, now->mono_us + ACKED_US, out);
    } else {
        route_over(ov, now, q, q->via, q->witnessed, out);
    }
}

static void query_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct query *q = ctx;

    (void)rc, (void)msg;
    ov_enter(ov);
    q->timer = 0;
    if (q->ack_us) route_ack_now(now, q, out);
    if (now->mono_us < q->due_us) {
        route_set_timer(ov, q, q->due_us, out);
    } else if (now->mono_us >= q->deadline_us) {
        ov->stats.expired += !q->enough;
        if (q->from) {
            query_detach(ov, q);
            query_drop(q);
        } else {
            answer_fail(ov, now, q, XN_ETIMEOUT, out);
        }
    } else if (q->via && q->acked) {
        no_reply(ov, now, q, out);
    } else if (q->via) {
        no_ack(ov, now, q, out);
    } else if (!q->delivered) {
        route_on(ov, now, q, out);
    } else {
        route_set_timer(ov, q, q->deadline_us, out);
    }
    ov_exit(ov, now, out);
}

/* The link was stale: its peer has most likely started anew and never seen it.
 * Else who comes upon some such in a row would give up for nothing. */
static void unsent(struct query *q, xn_peer peer)
{
    query_untry(q, peer);
    q->n_sent--;
}

void route_lost(struct ov *ov, const struct xn_now *now, struct link *link,
                struct xn_out *out)
{
    struct query *q;

    while ((q = link->held) != NULL) {
        query_detach(ov, q);
        query_drop(q);
    }
    while ((q = link->sent) != NULL) {
        query_unsend(q);
        if (!q->acked) unsent(q, link->peer);
        if (q->direct || q->pinned || q->enough ||
            (q->n_sent >= SENDS_MAX && query_is_lax(ov, q))) {
            answer_fail(ov, now, q, XN_EUNREACH, out);
        } else {
            route_again(ov, now, q, out);
        }
    }
}
