/* SPDX-License-Identifier: GPL-3.0-or-later */
/* REQUEST, ACK and REPLY as they come over links. */
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"

#include <utlist.h>

/* Those that came with version 1 everybody knows.  A later one goes nowhere but
 * directly, to whom its bit in HELLO says it: who sends such a thing on to one
 * who knows it not is hung up. */
/* From NEXT on kinds are in pairs, a question and its answer, between two peers
 * alone. */
static bool is_of_pair(unsigned kind, bool answer)
{
    return (kind - XN__KIND__NEXT) % 2 == answer;
}

static bool travels(unsigned kind, bool direct, bool answer)
{
    if (kind < XN__KIND__PUT || !xn_kind_is_wire(kind)) return false;
    return kind < XN__KIND__NEXT || (direct && is_of_pair(kind, answer));
}

static uint64_t patience_ms(const Xn__Request *body)
{
    uint64_t ms = body->patience_ms + 100 * (uint64_t)body->patience_ds;

    return ms < PATIENCE_MS_MAX ? ms : PATIENCE_MS_MAX;
}

static void take_request(struct ov *ov, const struct xn_now *now,
                         struct link *link, struct xn_msg *msg,
                         const xn_id *key, struct xn_out *out)
{
    const Xn__Request *body = XN_BODY(msg, Xn__Request);
    struct query *q = query_new(ov, link);

    if (!q) {
        answer_refuse(ov, link, body->rid, XN_ENOMEM, out);
        return;
    }
    q->from_rid = body->rid;
    q->got_us = now->mono_us;
    q->direct = body->direct;
    q->witness = body->witness;
    q->key = *key;
    q->copy = body->copy;
    q->hops = body->hops + 1;
    q->kind = body->kind;
    query_keep(ov, q, msg);
    q->payload = body->payload.data;
    q->payload_len = body->payload.len;
    q->deadline_us = now->mono_us + 1000 * patience_ms(body);
    if (q->direct) {
        route_deliver(ov, now, q, out);
        return;
    }
    {
        uint64_t number = q->number;

        route_on(ov, now, q, out);
        q = query_find(ov, number);
        if (q && !q->delivered) route_owe_ack(ov, now, q, out);
    }
}

/* One that is sent again while we work on it is acknowledged again.  What was
 * answered already is done again: users know (ov.h). */
static bool is_repeated(const struct xn_now *now, struct link *link,
                        uint64_t rid, struct xn_out *out)
{
    struct query *q;

    if (rid > link->rid_max) {
        link->rid_max = rid;
        return false;
    }
    DL_FOREACH2(link->held, q, held_next)
    {
        if (q->from_rid != rid) continue;
        route_ack_now(now, q, out);
        return true;
    }
    return false;
}

static bool keeps_too_much(const struct ov *ov, const struct link *link,
                           size_t more)
{
    return link->kept + more > KEPT_FROM_ONE || ov->kept + more > KEPT_FROM_ALL;
}

/* What is not said of it is zero. */
static bool take_key(const Xn__Request *body, xn_id *key_out)
{
    if (body->key.len > XN_ID_SIZE) return false;
    if (body->key.len == 0 && !body->direct) return false;
    *key_out = (xn_id){{0}};
    if (body->key.len) memcpy(key_out->b, body->key.data, body->key.len);
    return true;
}

void route_request(struct ov *ov, const struct xn_now *now, struct link *link,
                   struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Request *body = XN_BODY(msg, Xn__Request);
    xn_id key;

    if (!take_key(body, &key) || body->copy >= OV_COPIES_MAX ||
        body->hops > HOPS_MAX || !travels(body->kind, body->direct, false)) {
        link_rude(ov, now, link, "malformed REQUEST", out);
        return;
    }
    if (is_repeated(now, link, body->rid, out)) return;
    if (patience_ms(body) == 0) {
        answer_refuse(ov, link, body->rid, XN_ETIMEOUT, out);
    } else if (link->asked >= QUERIES_FROM_ONE ||
               ov->n_from >= QUERIES_FROM_ALL ||
               (!body->direct && keeps_too_much(ov, link, msg->size))) {
        answer_refuse(ov, link, body->rid, XN_EBUSY, out);
    } else {
        take_request(ov, now, link, msg, &key, out);
    }
}

/* Karn: what was sent twice tells nothing about time.  How long it was held is
 * the peer's word: it cannot make itself more than twice as near as opening the
 * link or answers that were not held have shown, or else this one. */
static void take_sample(struct ov *ov, const struct xn_now *now,
                        const struct query *q, uint32_t held_ms)
{
    uint64_t took_us = now->mono_us - q->sent_us;
    uint64_t held_us = 1000 * (uint64_t)held_ms, least_us = took_us / 2;

    if (q->acked || q->n_sent != 1 || held_us >= took_us) return;
    if (held_us == 0) {
        watch_direct(ov, q->via, took_us);
        return;
    }
    if (q->via->opened_us || q->via->stood) least_us = q->via->opened_us / 2;
    took_us -= held_us;
    if (took_us < least_us) took_us = least_us;
    watch_rtt(ov, q->via, took_us);
}

void route_ack(struct ov *ov, const struct xn_now *now, struct link *link,
               const Xn__Ack *body, struct xn_out *out)
{
    struct query *q = query_find(ov, body->rid);

    if (!q || q->delivered || !query_tried(q, link->peer)) return;
    if (q->via && q->via != link) return;
    if (q->via) {
        take_sample(ov, now, q, body->held_ms);
    } else { /* it was only late */
        q->via = link;
        DL_APPEND2(link->sent, q, sent_prev, sent_next);
    }
    q->acked = true;
    if (q->enough) {
        query_detach(ov, q);
        query_drop(q);
        return;
    }
    route_set_timer(ov, q, now->mono_us + (ACKED_US << q->n_sent) / 2, out);
}

/* The witness has lost the same node as we, or never knew it. */
static void take_yours(struct ov *ov, const struct xn_now *now, struct query *q,
                       struct xn_out *out)
{
    q->yours = true;
    hints_believe(ov, &q->key);
    query_unsend(q);
    route_on(ov, now, q, out);
}

/* That way it came nowhere; others may lead there.  They are for who asks to try:
 * did each hop, one refusal beside the key would have honest nodes send as many
 * requests as there are ways. */
static bool may_go_round(struct ov *ov, const struct xn_now *now,
                         const struct query *q, const Xn__Reply *body)
{
    struct link *other;

    return body->rc == XN_EUNREACH && !q->from && q->via &&
           q->n_sent < SENDS_MAX && !q->direct && !q->pinned && !q->enough &&
           !route_is_near(ov, now, q) &&
           route_choose(ov, now, q, &other) == HOP_ON;
}

/* What is not said of it is as asked. */
static unsigned answer_kind(const Xn__Reply *body, const struct query *q)
{
    return body->rc || body->kind ? body->kind : q->kind + 1;
}

/* q NULL: it is not known what it answers. */
static bool reply_is_good(const Xn__Reply *body, const struct query *q)
{
    if (body->from.len && body->from.len != OV_FROM_SAID &&
        body->from.len != FROM_SAID_ONCE && body->from.len != XN_ID_SIZE) {
        return false;
    }
    if (body->rc > 0) return false;
    if (body->rc < 0 || (!q && !body->kind)) return true;
    return travels(q ? answer_kind(body, q) : body->kind, !q || q->direct,
                   true);
}

void route_reply(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Reply *body = XN_BODY(msg, Xn__Reply);
    struct query *q = query_find(ov, body->rid);
    Xn__Reply reply = *body;
    xn_id from = {{0}};

    /* Late, doubled, or of one who was not asked. */
    if (q && (q->delivered || !query_tried(q, link->peer))) q = NULL;
    if (!reply_is_good(body, q)) {
        link_rude(ov, now, link, "malformed REPLY", out);
        return;
    }
    if (!q) return;
    if (body->yours && q->witnessed && !q->enough) {
        take_yours(ov, now, q, out);
        return;
    }
    /* Another may do better. */
    if (q->via && q->via != link && body->rc != 0) return;
    if (q->via == link) take_sample(ov, now, q, body->held_ms);
    if (may_go_round(ov, now, q, body)) {
        route_again(ov, now, q, out);
        return;
    }
    reply.rid = 0;
    reply.yours = false;
    reply.kind = answer_kind(body, q);
    if (body->from.len == 0) reply.hops = q->hops + 1;
    if (body->hops <= q->hops + 1 || body->from.len == 0) {
        /* It says that it answered itself: then we know who that is. */
        from = link_contact(ov, link)->id;
    } else {
        memcpy(from.b, body->from.data, body->from.len);
    }
    reply.from = xn_id_bytes(&from);
    if (!q->from && !q->direct && !q->pinned && !q->enough && body->rc == 0)
        owners_learn(ov, now, q, link, &from, out);
    answer_finish(ov, now, q, &reply, NULL, out);
}
