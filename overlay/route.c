/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and replies.
 *
 * A request is in one of two places: sent on over a link (`via`), or delivered
 * to our user.  Its answer goes to whoever asked: over the link `from`, or to
 * the function that ov_ask was given.  Forwarding brings a request strictly
 * nearer to the key, but for one thing: a node among those who hold the key
 * passes a request for another copy to that copy, whichever side it is on. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"

#include <utlist.h>

static struct query *query_at(const struct ov *ov, size_t i)
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

static struct query *query_find(const struct ov *ov, uint64_t number)
{
    size_t i = query_lower(ov, number);

    if (i == ov->queries.n || query_at(ov, i)->number != number) return NULL;
    return query_at(ov, i);
}

/* NULL: out of memory. */
static struct query *query_new(struct ov *ov, struct link *from)
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

/* What holds the payload, while it may have to be sent on. */
static void keep(struct ov *ov, struct query *q, struct xn_msg *carrier)
{
    q->carrier = xn_msg_ref(carrier);
    q->kept = carrier->size;
    q->from->kept += q->kept;
    ov->kept += q->kept;
}

static void let_go(struct ov *ov, struct query *q)
{
    if (q->from) q->from->kept -= q->kept;
    ov->kept -= q->kept;
    q->kept = 0;
    q->payload = NULL;
    q->payload_len = 0;
    xn_msg_free(q->carrier);
    q->carrier = NULL;
}

static void query_unsend(struct query *q)
{
    if (q->via) DL_DELETE2(q->via->sent, q, sent_prev, sent_next);
    q->via = NULL;
}

/* Out of all tables; the memory is the caller's. */
static void query_detach(struct ov *ov, struct query *q)
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
    let_go(ov, q);
}

static void query_free(struct query *q)
{
    xn_msg_free(q->carrier);
    free(q);
}

void route_clear(struct ov *ov)
{
    size_t i;

    for (i = 0; i < ov->queries.n; i++)
        query_free(query_at(ov, i));
    free(ov->queries.v);
}

/* ---- answering whoever asked ---- */

static bool link_is_terse(const struct link *link)
{
    return (link->features & OV_FEATURE_TERSE) != 0;
}

/* held_us: since the request came. */
static void send_reply(const struct ov *ov, struct link *to, uint64_t rid,
                       uint64_t held_us, const Xn__Reply *body,
                       struct xn_out *out)
{
    Xn__Reply reply = *body, refusal = XN__REPLY__INIT;

    reply.rid = rid;
    reply.held_ms = 0;
    if (link_is_terse(to)) {
        reply.held_ms = (uint32_t)(held_us / 1000);
        if (memcmp(reply.from.data, ov->config.id.b, XN_ID_SIZE) == 0)
            reply.from.len = 0;
    }
    if (ov_send(out, to->peer, XN__KIND__REPLY, &reply) != XN_ETOOBIG) return;
    refusal.rid = rid;
    refusal.rc = XN_ETOOBIG;
    refusal.from = reply.from;
    refusal.held_ms = reply.held_ms;
    refusal.hops = body->hops;
    ov_send(out, to->peer, XN__KIND__REPLY, &refusal);
}

static enum ov_outcome outcome_of(int rc)
{
    switch (rc) {
    case 0: return OV_ANSWERED;
    case XN_ENOENT: return OV_NOBODY;
    case XN_EUNREACH: return OV_UNREACHABLE;
    case XN_ETIMEOUT: return OV_TIMEOUT;
    case XN_EBUSY: return OV_BUSY;
    case XN_ENOTYET: return OV_NOT_YET;
    default: return OV_OTHER;
    }
}

static void count(struct ov_stats *stats, int rc, uint32_t hops,
                  uint64_t took_us)
{
    static const uint64_t bounds[] = OV_HOPS_BOUNDS_LIST;
    size_t i = 0;

    stats->outcomes[outcome_of(rc)]++;
    stats->lookups_us += took_us;
    if (rc) return;
    /* What it says may be anything; ours and the last one come on top. */
    if (hops > HOPS_MAX + 2) hops = HOPS_MAX + 2;
    while (i < OV_HOPS_BOUNDS && hops > bounds[i])
        i++;
    stats->hops[i]++;
    stats->hops_sum += hops;
}

static void call_back(struct ov *ov, const struct xn_now *now,
                      const struct query *q, const Xn__Reply *body,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct ov_reply reply = {.rc = body->rc, .msg = msg, .hops = body->hops};

    xn_id_from_bytes(&body->from, &reply.from);
    if (!q->direct) {
        count(&ov->stats, reply.rc, reply.hops, now->mono_us - q->asked_us);
    }
    q->fn(ov->user.user, q->ctx, now, &reply, out);
}

/* The end of a request.  `msg`: the payload where it is decoded already. */
static void finish(struct ov *ov, const struct xn_now *now, struct query *q,
                   const Xn__Reply *body, struct xn_msg *msg,
                   struct xn_out *out)
{
    Xn__Reply broken = *body;
    struct xn_msg *decoded = NULL;
    int rc = 0;

    query_detach(ov, q);
    if (q->enough) {
        query_free(q);
        return;
    }
    if (q->from) {
        send_reply(ov, q->from, q->from_rid, now->mono_us - q->got_us, body,
                   out);
    } else {
        if (body->rc == 0 && !msg) {
            rc = xn_msg_decode(body->kind, body->payload.data,
                               body->payload.len, &decoded);
            broken.rc = rc;
        }
        call_back(ov, now, q, rc ? &broken : body, msg ? msg : decoded, out);
        xn_msg_free(decoded);
    }
    query_free(q);
}

static void fail(struct ov *ov, const struct xn_now *now, struct query *q,
                 int rc, struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    reply.rc = rc;
    reply.from = xn_id_bytes(&ov->config.id);
    reply.hops = q->hops;
    finish(ov, now, q, &reply, NULL, out);
}

void ov_answer(struct ov *ov, const struct xn_now *now, uint64_t token, int rc,
               unsigned kind, const void *body, struct xn_out *out)
{
    struct query *q = query_find(ov, token);
    Xn__Reply reply = XN__REPLY__INIT;
    struct xn_msg *msg = NULL;

    if (!q || !q->delivered) return;
    ov_enter(ov);
    if (rc == 0) rc = xn_msg_new(kind, body, &msg);
    reply.rc = rc;
    reply.from = xn_id_bytes(&ov->config.id);
    reply.hops = q->hops;
    if (msg) {
        reply.kind = kind;
        reply.payload.data = msg->bytes;
        reply.payload.len = msg->size;
    }
    finish(ov, now, q, &reply, msg, out);
    xn_msg_free(msg);
    ov_exit(ov, now, out);
}

/* ---- delivering ---- */

static void query_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out);

static void set_timer(struct ov *ov, struct query *q, uint64_t due_us,
                      struct xn_out *out)
{
    if (due_us > q->deadline_us) due_us = q->deadline_us;
    q->due_us = due_us;
    if (q->ack_us && q->ack_us < due_us) due_us = q->ack_us;
    if (q->timer && xn_ticket_postpone(ov->tickets, q->timer, due_us)) return;
    q->timer = xn_ticket(ov->tickets, due_us, query_due, ov, q, out);
}

static void send_ack(const struct xn_now *now, struct query *q,
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

/* Most answers come soon enough to speak for themselves. */
static void owe_ack(struct ov *ov, const struct xn_now *now, struct query *q,
                    struct xn_out *out)
{
    if (!link_is_terse(q->from)) {
        send_ack(now, q, out);
        return;
    }
    q->ack_us = now->mono_us + LATE_US;
    set_timer(ov, q, q->due_us, out);
}

static void deliver(struct ov *ov, const struct xn_now *now, struct query *q,
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
        fail(ov, now, q, rc, out);
        return;
    }
    ov->stats.delivered++;
    q->delivered = true;
    let_go(ov, q); /* never sent on again */
    set_timer(ov, q, q->deadline_us, out);
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
        owe_ack(ov, now, q, out);
    }
}

/* ---- sending on ---- */

static int send_request(struct ov *ov, const struct xn_now *now,
                        struct query *q, struct link *to, bool witness,
                        struct xn_out *out)
{
    Xn__Request request = XN__REQUEST__INIT;
    uint64_t patience_ms = (q->deadline_us - now->mono_us) / 1000;
    int rc;

    request.rid = q->number;
    request.key = xn_id_bytes(&q->key);
    request.copy = q->copy;
    request.direct = q->direct;
    request.hops = q->hops;
    request.patience_ms =
        patience_ms < PATIENCE_MS_MAX ? (uint32_t)patience_ms : PATIENCE_MS_MAX;
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
    set_timer(ov, q,
              now->mono_us + watch_rto(to) + (link_is_terse(to) ? LATE_US : 0),
              out);
    return 0;
}

static void send_on(struct ov *ov, const struct xn_now *now, struct query *q,
                    struct link *to, bool witness, struct xn_out *out)
{
    int rc = q->n_sent < SENDS_MAX ? send_request(ov, now, q, to, witness, out)
                                   : XN_EUNREACH;

    if (rc)
        fail(ov, now, q, rc, out);
    else if (q->from)
        ov->stats.forwarded++;
}

/* The answer to a witness question. */
static void say_yours(struct ov *ov, const struct xn_now *now, struct query *q,
                      struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    reply.rc = XN_ENOTYET;
    reply.yours = true;
    reply.from = xn_id_bytes(&ov->config.id);
    reply.hops = q->hops;
    finish(ov, now, q, &reply, NULL, out);
}

/* For a silent node to be heard again, or to be gone.  Heard again, and still
 * no ACK: perhaps the request was lost. */
static void wait_for(struct ov *ov, const struct xn_now *now, struct query *q,
                     struct link *link, struct xn_out *out)
{
    if (link && link->probes == 0 && q->n_sent < SENDS_MAX) {
        send_on(ov, now, q, link, q->witness, out);
        return;
    }
    if (!link) hints_hurry(ov, now, &q->key);
    set_timer(ov, q, now->mono_us + WAIT_US, out);
}

static void route(struct ov *ov, const struct xn_now *now, struct query *q,
                  struct xn_out *out)
{
    struct link *to = NULL;

    if (q->deadline_us <= now->mono_us + 1000) {
        fail(ov, now, q, XN_ETIMEOUT, out);
        return;
    }
    switch (route_choose(ov, now, q, &to)) {
    case HOP_HERE: deliver(ov, now, q, out); break;
    case HOP_ON: send_on(ov, now, q, to, q->witness, out); break;
    case HOP_WITNESS:
        ov->stats.doubted++;
        hints_hurry(ov, now, &q->key);
        send_on(ov, now, q, to, true, out);
        break;
    case HOP_YOURS: say_yours(ov, now, q, out); break;
    case HOP_WAIT: wait_for(ov, now, q, to, out); break;
    case HOP_NOWHERE:
        fail(ov, now, q, q->sent_us || q->hops ? XN_EUNREACH : XN_ENOENT, out);
        break;
    }
}

/* No ACK in time, or the link is gone: somebody else, as if that one did not
 * exist. */
static void reroute(struct ov *ov, const struct xn_now *now, struct query *q,
                    struct xn_out *out)
{
    ov->stats.rerouted++;
    query_unsend(q);
    route(ov, now, q, out);
}

/* Silence of the one it was sent to. */
static void no_ack(struct ov *ov, const struct xn_now *now, struct query *q,
                   struct xn_out *out)
{
    struct link *link = q->via, *other = NULL;
    bool fixed = q->direct || q->pinned || query_is_lax(ov, q);

    watch_probe(ov, now, link, false, out);
    if (q->enough || (fixed && q->n_sent >= SENDS_MAX)) {
        set_timer(ov, q, q->deadline_us, out);
    } else if (q->direct || q->pinned ||
               (fixed && route_choose(ov, now, q, &other) == HOP_NOWHERE)) {
        /* Nobody else can answer: perhaps it was lost on the way. */
        send_on(ov, now, q, link, false, out);
    } else {
        reroute(ov, now, q, out);
    }
}

/* Acknowledged long ago.  It works on it, or it fell silent, or the reply was
 * lost: it is asked once more, rarer each time. */
static void no_reply(struct ov *ov, const struct xn_now *now, struct query *q,
                     struct xn_out *out)
{
    watch_probe(ov, now, q->via, false, out);
    if (q->n_sent >= SENDS_MAX) {
        set_timer(ov, q, now->mono_us + ACKED_US, out);
    } else {
        send_on(ov, now, q, q->via, q->witnessed, out);
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
    if (q->ack_us) send_ack(now, q, out);
    if (now->mono_us < q->due_us) {
        set_timer(ov, q, q->due_us, out);
    } else if (now->mono_us >= q->deadline_us) {
        ov->stats.expired += !q->enough;
        if (q->from) {
            query_detach(ov, q);
            query_free(q);
        } else {
            fail(ov, now, q, XN_ETIMEOUT, out);
        }
    } else if (q->via && q->acked) {
        no_reply(ov, now, q, out);
    } else if (q->via) {
        no_ack(ov, now, q, out);
    } else if (!q->delivered) {
        route(ov, now, q, out);
    } else {
        set_timer(ov, q, q->deadline_us, out);
    }
    ov_exit(ov, now, out);
}

/* ---- our own questions ---- */

/* It waits until the search has come to whom it is for (route_sought). */
static void seek(struct ov *ov, const struct xn_now *now, struct query *q,
                 struct xn_out *out)
{
    uint64_t number = q->number;
    int rc;

    set_timer(ov, q, q->deadline_us, out);
    rc = seek_join(ov, now, &q->key, q->copy, number, q->deadline_us, out);
    if (rc) fail(ov, now, q, rc, out);
}

void route_sought(struct ov *ov, const struct xn_now *now, uint64_t number,
                  struct link *link, int rc, struct xn_out *out)
{
    struct query *q = query_find(ov, number);

    if (!q) return;
    if (!rc && q->deadline_us <= now->mono_us + 1000) rc = XN_ETIMEOUT;
    if (rc)
        fail(ov, now, q, rc, out);
    else
        send_on(ov, now, q, link, false, out);
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
            route(ov, now, q, out);
    } else {
        count(&ov->stats, rc, 0, 0);
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
            let_go(ov, q);
            if (q->deadline_us > q->sent_us + RTO_MAX_US) {
                q->deadline_us = q->sent_us + RTO_MAX_US;
            }
        } else {
            query_detach(ov, q);
            query_free(q);
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
        send_on(ov, now, q, link, false, out);
    } else {
        refuse_ask(ov, now, fn, ctx, rc, out);
    }
    ov_exit(ov, now, out);
}

/* ---- what comes over links ---- */

static void say_busy(struct ov *ov, struct link *link, uint64_t rid, int rc,
                     struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    if (rc == XN_EBUSY) ov->stats.busy++;
    reply.rc = rc;
    reply.from = xn_id_bytes(&ov->config.id);
    send_reply(ov, link, rid, 0, &reply, out);
}

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

static void take_request(struct ov *ov, const struct xn_now *now,
                         struct link *link, struct xn_msg *msg,
                         const xn_id *key, struct xn_out *out)
{
    const Xn__Request *body = XN_BODY(msg, Xn__Request);
    uint32_t patience_ms = body->patience_ms;
    struct query *q = query_new(ov, link);

    if (!q) {
        say_busy(ov, link, body->rid, XN_ENOMEM, out);
        return;
    }
    if (patience_ms > PATIENCE_MS_MAX) patience_ms = PATIENCE_MS_MAX;
    q->from_rid = body->rid;
    q->got_us = now->mono_us;
    q->direct = body->direct;
    q->witness = body->witness;
    q->key = *key;
    q->copy = body->copy;
    q->hops = body->hops + 1;
    q->kind = body->kind;
    keep(ov, q, msg);
    q->payload = body->payload.data;
    q->payload_len = body->payload.len;
    q->deadline_us = now->mono_us + 1000 * (uint64_t)patience_ms;
    if (q->direct) {
        deliver(ov, now, q, out);
        return;
    }
    {
        uint64_t number = q->number;

        route(ov, now, q, out);
        q = query_find(ov, number);
        if (q && !q->delivered) owe_ack(ov, now, q, out);
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
        send_ack(now, q, out);
        return true;
    }
    return false;
}

static bool keeps_too_much(const struct ov *ov, const struct link *link,
                           size_t more)
{
    return link->kept + more > KEPT_FROM_ONE || ov->kept + more > KEPT_FROM_ALL;
}

void route_request(struct ov *ov, const struct xn_now *now, struct link *link,
                   struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Request *body = XN_BODY(msg, Xn__Request);
    xn_id key;

    if (xn_id_from_bytes(&body->key, &key) || body->copy >= OV_COPIES_MAX ||
        body->hops > HOPS_MAX || !travels(body->kind, body->direct, false)) {
        link_rude(ov, now, link, "malformed REQUEST", out);
        return;
    }
    if (is_repeated(now, link, body->rid, out)) return;
    if (body->patience_ms == 0) {
        say_busy(ov, link, body->rid, XN_ETIMEOUT, out);
    } else if (link->asked >= QUERIES_FROM_ONE ||
               ov->n_from >= QUERIES_FROM_ALL ||
               (!body->direct && keeps_too_much(ov, link, msg->size))) {
        say_busy(ov, link, body->rid, XN_EBUSY, out);
    } else {
        take_request(ov, now, link, msg, &key, out);
    }
}

/* Karn: what was sent twice tells nothing about time.  How long it was held is
 * the peer's word: it cannot make itself more than twice as near as opening the
 * link or answers that were not held have shown. */
static void take_sample(struct ov *ov, const struct xn_now *now,
                        const struct query *q, uint32_t held_ms)
{
    uint64_t took_us = now->mono_us - q->sent_us;
    uint64_t held_us = 1000 * (uint64_t)held_ms;

    if (q->acked || q->n_sent != 1 || held_us >= took_us) return;
    if (held_us == 0) {
        watch_direct(ov, q->via, took_us);
        return;
    }
    took_us -= held_us;
    if (took_us < q->via->opened_us / 2) took_us = q->via->opened_us / 2;
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
        query_free(q);
        return;
    }
    set_timer(ov, q, now->mono_us + (ACKED_US << q->n_sent) / 2, out);
}

/* The witness has lost the same node as we, or never knew it. */
static void take_yours(struct ov *ov, const struct xn_now *now, struct query *q,
                       struct xn_out *out)
{
    q->yours = true;
    hints_believe(ov, &q->key);
    query_unsend(q);
    route(ov, now, q, out);
}

/* q NULL: it is not known what it answers. */
static bool reply_is_good(const Xn__Reply *body, const struct query *q)
{
    if (body->from.len && body->from.len != XN_ID_SIZE) return false;
    if (body->rc > 0) return false;
    return body->rc < 0 || travels(body->kind, !q || q->direct, true);
}

void route_reply(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Reply *body = XN_BODY(msg, Xn__Reply);
    struct query *q = query_find(ov, body->rid);
    Xn__Reply reply = *body;

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
    reply.rid = 0;
    reply.yours = false;
    if (body->hops <= q->hops + 1 || body->from.len == 0) {
        /* It says that it answered itself: then we know who that is. */
        reply.from = xn_id_bytes(&link_contact(ov, link)->id);
    }
    finish(ov, now, q, &reply, NULL, out);
}

static void untry(struct query *q, xn_peer peer)
{
    size_t i;

    for (i = 0; i < q->n_tried; i++) {
        if (q->tried[i] == peer) q->tried[i--] = q->tried[--q->n_tried];
    }
}

/* The link was stale: its peer has most likely started anew and never seen it.
 * Else who comes upon some such in a row would give up for nothing. */
static void unsent(struct query *q, xn_peer peer)
{
    untry(q, peer);
    q->n_sent--;
}

void route_lost(struct ov *ov, const struct xn_now *now, struct link *link,
                struct xn_out *out)
{
    struct query *q;

    while ((q = link->held) != NULL) {
        query_detach(ov, q);
        query_free(q);
    }
    while ((q = link->sent) != NULL) {
        query_unsend(q);
        if (!q->acked) unsent(q, link->peer);
        if (q->direct || q->pinned || q->enough ||
            (q->n_sent >= SENDS_MAX && query_is_lax(ov, q))) {
            fail(ov, now, q, XN_EUNREACH, out);
        } else {
            reroute(ov, now, q, out);
        }
    }
}

void route_gone(struct ov *ov, xn_peer peer)
{
    size_t i;

    for (i = 0; i < ov->queries.n; i++)
        untry(query_at(ov, i), peer);
}
