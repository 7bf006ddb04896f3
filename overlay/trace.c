/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which way would a request take?
 *
 * Hop after hop is asked where it would send it (NEXT), by the one who wants to
 * know: where the way breaks, all before the break has been seen.  A hop that we
 * are not linked to is asked through those that were found before it, each of
 * which is linked to the next, so looking changes no links and opens none.
 *
 * The request looked for exists nowhere: it is made up at each hop, as if it had
 * come from the hop before, and given to route_choose. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"

/* ---- one step ---- */

static Xn__Step step_of(enum hop hop)
{
    switch (hop) {
    case HOP_HERE: return XN__STEP__STEP_HERE;
    case HOP_ON: return XN__STEP__STEP_ON;
    case HOP_WITNESS: return XN__STEP__STEP_WITNESS;
    case HOP_YOURS: return XN__STEP__STEP_YOURS;
    case HOP_WAIT: return XN__STEP__STEP_WAIT;
    case HOP_NOWHERE: break;
    }
    return XN__STEP__STEP_NOWHERE;
}

static bool has_next(Xn__Step step)
{
    return step == XN__STEP__STEP_ON || step == XN__STEP__STEP_WITNESS ||
           step == XN__STEP__STEP_WAIT;
}

/* What a request would meet here.  The contact's bytes stay the link's. */
static void look(struct ov *ov, const struct xn_now *now, const struct query *q,
                 Xn__NextDone *done, Xn__Contact *contact)
{
    struct link *link = NULL;

    xn__next_done__init(done);
    done->step = step_of(route_choose(ov, now, q, &link));
    done->links = (uint32_t)ov->ring.n;
    done->mesh = !links_crowded(ov, now);
    if (!link || !has_next(done->step)) return;
    if (done->step != XN__STEP__STEP_WAIT)
        done->way = route_why(ov, now, q, link);
    done->rtt_us = watch_near(link);
    if (!contact_at(ov, ring_find(ov, link->peer), contact)) {
        xn__contact__init(contact);
        contact->id = xn_id_bytes(&link_contact(ov, link)->id);
        contact->position = xn_id_bytes(&link_contact(ov, link)->position);
        contact->address = (char *)(uintptr_t) "";
    }
    done->next = contact;
}

/* ---- asking a link ---- */

static void ask_link(struct ov *ov, const struct xn_now *now, const xn_id *id,
                     const Xn__Next *next, uint64_t deadline_us, ov_replied *fn,
                     void *ctx, struct xn_out *out)
{
    const struct link *link = link_need_id(ov, id);
    struct ov_reply reply = {.rc = XN_EUNREACH, .from = *id};

    if (link && link->state == LINK_LIVE &&
        (link->features & OV_FEATURE_NEXT)) {
        ov_ask_peer(ov, now, link->peer, XN__KIND__NEXT, next, deadline_us, fn,
                    ctx, out);
        return;
    }
    if (link && link->state == LINK_LIVE) reply.rc = XN_EPROTO;
    fn(ov->user.user, ctx, now, &reply, out);
}

/* An answer is what it should be, or XN_EPROTO. */
static int judge(const struct ov_reply *reply)
{
    const Xn__NextDone *done;

    if (reply->rc) return reply->rc;
    if (reply->msg->kind != XN__KIND__NEXT_DONE ||
        reply->msg->size > NEXT_BYTES_MAX)
        return XN_EPROTO;
    done = XN_BODY(reply->msg, Xn__NextDone);
    if ((unsigned)done->step > XN__STEP__STEP_NOWHERE ||
        (unsigned)done->way > XN__WAY__WAY_WITNESS)
        return XN_EPROTO;
    if (!done->next) {
        return has_next(done->step) && done->step != XN__STEP__STEP_WAIT
                   ? XN_EPROTO
                   : 0;
    }
    if (!has_next(done->step) || done->next->id.len != XN_ID_SIZE ||
        done->next->position.len != XN_ID_SIZE)
        return XN_EPROTO;
    return done->next->address[0] && !address_is_good(done->next->address)
               ? XN_EPROTO
               : 0;
}

/* ---- somebody else's, passed on ---- */

struct relay {
    struct ov *ov;
    uint64_t token;
    xn_id from; /* linked or not by now */
    struct relay *prev, *next;
};

static void relayed(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct relay *relay = ctx;
    struct ov *ov = relay->ov;
    uint64_t token = relay->token;
    int rc = judge(reply);

    (void)user;
    DL_DELETE(ov->relays, relay);
    ov->n_relays--;
    free(relay);
    ov_answer(ov, now, token, rc, XN__KIND__NEXT_DONE,
              rc ? NULL : reply->msg->body, out);
}

/* The one behind us answers in time for us to tell, and before the place that
 * it takes here is missed. */
static uint64_t sooner(const struct xn_now *now, uint64_t deadline_us)
{
    uint64_t left_us =
        deadline_us > now->mono_us ? deadline_us - now->mono_us : 0;

    left_us -= left_us / 8;
    return now->mono_us + (left_us < RELAY_US ? left_us : RELAY_US);
}

/* By node, not by link: a new link brings no new places. */
static bool has_room(const struct ov *ov, const xn_id *from)
{
    const struct relay *relay;
    unsigned n = 0;

    DL_FOREACH(ov->relays, relay) n += xn_id_eq(&relay->from, from);
    return n < RELAYS_FROM_ONE && ov->n_relays < RELAYS_MAX;
}

static int relay_on(struct ov *ov, const struct xn_now *now,
                    const struct ov_request *request, const xn_id *to,
                    struct xn_out *out)
{
    const xn_id *from = &ov_contact(ov, request->from)->id;
    Xn__Next next = *XN_BODY(request->msg, Xn__Next);
    struct relay *relay;

    if (!has_room(ov, from)) return XN_EBUSY;
    relay = calloc(1, sizeof *relay);
    if (!relay) return XN_ENOMEM;
    relay->ov = ov;
    relay->token = request->token;
    relay->from = *from;
    DL_APPEND(ov->relays, relay);
    ov->n_relays++;
    next.via++;
    next.n_via--;
    ask_link(ov, now, to, &next, sooner(now, request->deadline_us), relayed,
             relay, out);
    return 0;
}

static bool is_id(const ProtobufCBinaryData *bytes, const xn_id *id)
{
    return memcmp(bytes->data, id->b, XN_ID_SIZE) == 0;
}

/* Each node once, and the two of us are not among them: it leads on. */
static bool via_is_good(const struct ov *ov, const struct ov_request *request)
{
    const xn_id *from = &ov_contact(ov, request->from)->id;
    const Xn__Next *next = XN_BODY(request->msg, Xn__Next);
    xn_id id;

    if (next->n_via > VIA_MAX) return false;
    for (size_t i = 0; i < next->n_via; i++) {
        if (xn_id_from_bytes(&next->via[i], &id)) return false;
        if (xn_id_eq(&id, &ov->config.id) || xn_id_eq(&id, from)) return false;
        for (size_t j = 0; j < i; j++) {
            if (is_id(&next->via[j], &id)) return false;
        }
    }
    return true;
}

static bool next_is_good(const struct ov *ov, const struct ov_request *request)
{
    const Xn__Next *next = XN_BODY(request->msg, Xn__Next);

    return request->msg->size <= NEXT_BYTES_MAX &&
           next->key.len == XN_ID_SIZE && next->copy < OV_COPIES_MAX &&
           via_is_good(ov, request);
}

void trace_next(struct ov *ov, const struct xn_now *now,
                const struct ov_request *request, struct xn_out *out)
{
    const Xn__Next *next = XN_BODY(request->msg, Xn__Next);
    struct query q = {.from = link_find_live(ov, request->from)};
    Xn__Contact contact;
    Xn__NextDone done;
    xn_id to;
    int rc = 0;

    if (!next_is_good(ov, request)) {
        rc = XN_EINVAL;
    } else if (next->n_via > 0) {
        xn_id_from_bytes(&next->via[0], &to);
        rc = relay_on(ov, now, request, &to, out);
        if (rc == 0) return; /* perhaps answered already */
    } else {
        xn_id_from_bytes(&next->key, &q.key);
        q.copy = next->copy;
        q.witness = next->witness;
        q.hops = 1;
        look(ov, now, &q, &done, &contact);
    }
    ov_answer(ov, now, request->token, rc, XN__KIND__NEXT_DONE,
              rc ? NULL : &done, out);
}

/* ---- our own ---- */

struct trace {
    struct ov *ov;
    struct ov_trace found;
    xn_id whose; /* who wants to know */
    xn_id key;
    uint32_t copy;
    bool witness; /* the next hop would be asked as one */
    uint64_t deadline_us, asked_us;
    ov_traced *fn;
    void *ctx;
    struct trace *prev, *next;
};

static void finish(struct trace *trace, const struct xn_now *now,
                   Xn__TraceEnd end, struct xn_out *out)
{
    struct ov *ov = trace->ov;

    DL_DELETE(ov->traces, trace);
    ov->n_traces--;
    trace->found.end = end;
    trace->fn(ov->user.user, trace->ctx, now, &trace->found, out);
    free(trace);
}

static void hop_of(struct ov_hop *hop, const Xn__Contact *contact)
{
    memset(hop, 0, sizeof *hop);
    xn_id_from_bytes(&contact->id, &hop->id);
    xn_id_from_bytes(&contact->position, &hop->position);
    memcpy(hop->address, contact->address, strlen(contact->address) + 1);
}

static void told(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_reply *reply, struct xn_out *out);

/* The last hop found, through those before it. */
static void ask_last(struct trace *trace, const struct xn_now *now,
                     struct xn_out *out)
{
    struct ov_trace *found = &trace->found;
    ProtobufCBinaryData via[OV_TRACE_MAX];
    Xn__Next next = XN__NEXT__INIT;

    for (size_t i = 2; i < found->n; i++)
        via[next.n_via++] = xn_id_bytes(&found->hops[i].id);
    next.via = via;
    next.key = xn_id_bytes(&trace->key);
    next.copy = trace->copy;
    next.witness = trace->witness;
    trace->asked_us = now->mono_us;
    ask_link(trace->ov, now, &found->hops[1].id, &next, trace->deadline_us,
             told, trace, out);
}

static bool was_there(const struct ov_trace *found, const xn_id *id)
{
    for (size_t i = 0; i < found->n; i++) {
        if (xn_id_eq(&found->hops[i].id, id)) return true;
    }
    return false;
}

static void follow(struct trace *trace, const struct xn_now *now,
                   const Xn__NextDone *done, struct xn_out *out)
{
    struct ov_trace *found = &trace->found;
    struct ov_hop hop;
    bool loops;

    hop_of(&hop, done->next);
    hop.way = done->way;
    hop.rtt_us = done->rtt_us;
    if (found->n == OV_TRACE_MAX) {
        finish(trace, now, XN__TRACE_END__TRACE_LONG, out);
        return;
    }
    loops = was_there(found, &hop.id);
    found->hops[found->n++] = hop;
    trace->witness = done->step == XN__STEP__STEP_WITNESS || trace->witness;
    if (loops) {
        finish(trace, now, XN__TRACE_END__TRACE_LOOPS, out);
    } else {
        ask_last(trace, now, out);
    }
}

/* Said to be the owner.  Were it so, no hop would be nearer to the key, but for
 * us where we own nothing. */
static void found_at(struct trace *trace, const struct xn_now *now,
                     size_t owner, struct xn_out *out)
{
    struct ov_trace *found = &trace->found;
    const xn_id *there = &found->hops[owner].position;
    Xn__TraceEnd end = XN__TRACE_END__TRACE_OWNER;

    for (size_t i = ov_is_guest(trace->ov); i < found->n && trace->copy == 0;
         i++) {
        if (xn_ring_nearer(&trace->key, &found->hops[i].position, there))
            end = XN__TRACE_END__TRACE_FARTHER;
    }
    found->owner = owner;
    finish(trace, now, end, out);
}

static void heard(struct trace *trace, const struct xn_now *now,
                  const Xn__NextDone *done, struct xn_out *out)
{
    struct ov_trace *found = &trace->found;
    struct ov_hop *last = &found->hops[found->n - 1];

    last->links = done->links;
    last->mesh = done->mesh;
    switch (done->step) {
    case XN__STEP__STEP_ON:
    case XN__STEP__STEP_WITNESS: follow(trace, now, done, out); return;
    case XN__STEP__STEP_HERE: found_at(trace, now, found->n - 1, out); return;
    case XN__STEP__STEP_YOURS: /* so the one before answers */
        found_at(trace, now, found->n > 1 ? found->n - 2 : 0, out);
        return;
    case XN__STEP__STEP_WAIT:
        if (done->next) hop_of(&found->awaited, done->next);
        finish(trace, now, XN__TRACE_END__TRACE_WAITS, out);
        return;
    default: finish(trace, now, XN__TRACE_END__TRACE_NOWHERE, out);
    }
}

static void told(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_reply *reply, struct xn_out *out)
{
    struct trace *trace = ctx;
    struct ov_hop *last = &trace->found.hops[trace->found.n - 1];

    (void)user;
    last->took_us = now->mono_us - trace->asked_us;
    last->rc = judge(reply);
    if (last->rc) {
        finish(trace, now, XN__TRACE_END__TRACE_SILENT, out);
    } else {
        heard(trace, now, XN_BODY(reply->msg, Xn__NextDone), out);
    }
}

static unsigned traces_of(const struct ov *ov, const xn_id *whose)
{
    const struct trace *trace;
    unsigned n = 0;

    DL_FOREACH(ov->traces, trace) n += xn_id_eq(&trace->whose, whose);
    return n;
}

static struct trace *trace_new(struct ov *ov)
{
    struct trace *trace = calloc(1, sizeof *trace);
    struct ov_hop *self;

    if (!trace) return NULL;
    trace->ov = ov;
    self = &trace->found.hops[trace->found.n++];
    self->id = ov->config.id;
    self->position = ov->config.position;
    snprintf(self->address, sizeof self->address, "%s", ov->config.address);
    DL_APPEND(ov->traces, trace);
    ov->n_traces++;
    return trace;
}

int ov_trace(struct ov *ov, const struct xn_now *now, const xn_id *key,
             uint32_t copy, const xn_id *whose, uint64_t deadline_us,
             ov_traced *fn, void *ctx, struct xn_out *out)
{
    const struct query q = {.key = *key, .copy = copy};
    struct trace *trace;
    Xn__Contact contact;
    Xn__NextDone done;

    if (copy >= OV_COPIES_MAX) return XN_EINVAL;
    if (ov->n_traces >= TRACES_MAX || traces_of(ov, whose) >= TRACES_OF_ONE)
        return XN_EBUSY;
    trace = trace_new(ov);
    if (!trace) return XN_ENOMEM;
    trace->whose = *whose;
    trace->key = *key;
    trace->copy = copy;
    trace->deadline_us = deadline_us;
    trace->fn = fn;
    trace->ctx = ctx;
    ov_enter(ov);
    ov_begun(ov, now);
    look(ov, now, &q, &done, &contact);
    heard(trace, now, &done, out);
    ov_exit(ov, now, out);
    return 0;
}

void trace_clear(struct ov *ov)
{
    struct trace *trace, *trace_after;
    struct relay *relay, *relay_after;

    DL_FOREACH_SAFE(ov->traces, trace, trace_after) free(trace);
    DL_FOREACH_SAFE(ov->relays, relay, relay_after) free(relay);
}

bool trace_check(const struct ov *ov)
{
    const struct trace *trace;
    const struct relay *relay;
    unsigned traces = 0, relays = 0;

    DL_FOREACH(ov->traces, trace) traces++;
    DL_FOREACH(ov->relays, relay) relays++;
    return traces == ov->n_traces && traces <= TRACES_MAX &&
           relays == ov->n_relays && relays <= RELAYS_MAX;
}
