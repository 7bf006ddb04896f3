/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers, to whoever asked: over the link `from`, or to the function that
 * ov_ask was given. */
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"

bool link_is_terse(const struct link *link)
{
    return (link->features & OV_FEATURE_TERSE) != 0;
}

/* As `from` is said there.  Who asks any copy wants to know which one answered,
 * to ask another one next. */
static size_t from_said(const struct ov *ov, const struct link *to,
                        const Xn__Reply *body, bool lax)
{
    if (body->from.len != XN_ID_SIZE) return body->from.len;
    if (link_is_terse(to) &&
        memcmp(body->from.data, ov->config.id.b, XN_ID_SIZE) == 0) {
        return 0;
    }
    if (lax || !(to->features & OV_FEATURE_SHORT)) return XN_ID_SIZE;
    return to->features & OV_FEATURE_SPARE ? OV_FROM_SAID : FROM_SAID_ONCE;
}

/* Without what `to` knows by itself, who asked for such a kind. */
static void spare(const struct link *to, unsigned asked, Xn__Reply *reply)
{
    if (!(to->features & OV_FEATURE_SPARE)) return;
    if (reply->from.len == 0) reply->hops = 0;
    if (reply->kind == asked + 1) reply->kind = 0;
}

/* asked: the kind; held_us: since the request came; lax: any copy may answer
 * it. */
static void answer_send(const struct ov *ov, struct link *to, uint64_t rid,
                        unsigned asked, uint64_t held_us, bool lax,
                        const Xn__Reply *body, struct xn_out *out)
{
    Xn__Reply reply = *body, refusal = XN__REPLY__INIT;

    reply.rid = rid;
    reply.held_ms = link_is_terse(to) ? (uint32_t)(held_us / 1000) : 0;
    reply.from.len = from_said(ov, to, body, lax);
    spare(to, asked, &reply);
    if (ov_send(out, to->peer, XN__KIND__REPLY, &reply) != XN_ETOOBIG) return;
    refusal.rid = rid;
    refusal.rc = XN_ETOOBIG;
    refusal.from = reply.from;
    refusal.held_ms = reply.held_ms;
    refusal.hops = reply.hops;
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

void answer_count(struct ov_stats *stats, int rc, uint32_t hops,
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
        answer_count(&ov->stats, reply.rc, reply.hops,
                     now->mono_us - q->asked_us);
    }
    q->fn(ov->user.user, q->ctx, now, &reply, out);
}

void answer_finish(struct ov *ov, const struct xn_now *now, struct query *q,
                   const Xn__Reply *body, struct xn_msg *msg,
                   struct xn_out *out)
{
    Xn__Reply broken = *body;
    struct xn_msg *decoded = NULL;
    int rc = 0;

    query_detach(ov, q);
    if (q->enough) {
        query_drop(q);
        return;
    }
    if (q->from) {
        answer_send(ov, q->from, q->from_rid, q->kind, now->mono_us - q->got_us,
                    query_is_lax(ov, q), body, out);
    } else {
        if (body->rc == 0 && !msg) {
            rc = xn_msg_decode(body->kind, body->payload.data,
                               body->payload.len, &decoded);
            broken.rc = rc;
        }
        call_back(ov, now, q, rc ? &broken : body, msg ? msg : decoded, out);
        xn_msg_free(decoded);
    }
    query_drop(q);
}

void answer_fail(struct ov *ov, const struct xn_now *now, struct query *q,
                 int rc, struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    reply.rc = rc;
    reply.from = xn_id_bytes(&ov->config.id);
    reply.hops = q->hops;
    answer_finish(ov, now, q, &reply, NULL, out);
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
    answer_finish(ov, now, q, &reply, msg, out);
    xn_msg_free(msg);
    ov_exit(ov, now, out);
}

void answer_yours(struct ov *ov, const struct xn_now *now, struct query *q,
                  struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    reply.rc = XN_ENOTYET;
    reply.yours = true;
    reply.from = xn_id_bytes(&ov->config.id);
    reply.hops = q->hops;
    answer_finish(ov, now, q, &reply, NULL, out);
}

void answer_refuse(struct ov *ov, struct link *link, uint64_t rid, int rc,
                   struct xn_out *out)
{
    Xn__Reply reply = XN__REPLY__INIT;

    if (rc == XN_EBUSY) ov->stats.busy++;
    reply.rc = rc;
    reply.from = xn_id_bytes(&ov->config.id);
    answer_send(ov, link, rid, 0, 0, true, &reply, out);
}
