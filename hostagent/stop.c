/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The holder's signed stop, or the operator's word.  The end is on record
 * before it is answered; the last claim follows by itself. */
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"
#include "wire/nest.h"

#define WHAT "cannot stop the session"

void sale_chain(const struct host_sale *sale, struct session_chain *room)
{
    static const char any[] = "an order";
    struct money_order *order = &room->order;
    struct money_narrowing *last = &room->last;

    memset(room, 0, sizeof *room);
    xn_id_hash(any, sizeof any, &order->head.hash);
    order->head.by = order->head.corp = sale->terms.corp;
    order->serial = sale->serial;
    order->holder = sale->terms.holder;
    memcpy(order->limits.currency, sale->terms.currency, MONEY_CURRENCY_SIZE);
    order->limits.amount = sale->terms.amount;
    order->limits.until_us = sale->terms.until_us;
    order->limits.most_per_hour = sale->terms.most_per_hour;
    last->head.hash = sale->narrowing;
    last->head.by = sale->terms.holder;
    last->head.corp = sale->terms.corp;
    last->over = order->head.hash;
    memcpy(last->limits.currency, sale->terms.currency, MONEY_CURRENCY_SIZE);
    last->limits.server = sale->terms.server;
    last->limits.quote = sale->quote;
    room->chain = (struct order_chain){order, last, 1};
}

static void refuse(struct host *host, uint64_t ask, int rc, const char *because,
                   const char *try)
{
    xn_out_refuse(&host->out, ask, rc, WHAT, because, try);
}

static void end(struct host_session *s, const struct xn_now *now,
                const char *reason)
{
    if (s->state == XN__SESSION_STATE__SESSION_RUNNING ||
        s->state == XN__SESSION_STATE__SESSION_PAUSED) {
        session_end(s, now, 0, reason);
    } else {
        session_answer(s, &s->ask_end);
    }
}

/* That of its order, or of the one that is to be. */
static enum money_reason stops(const struct host_session *s,
                               const struct money_stop *stop,
                               struct money_refusal *why)
{
    const struct host_extension *x = s->next_order;
    struct session_chain room;

    if (x && x->on) {
        sale_chain(&x->sale, &room);
        if (!order_stops(&room.chain, stop, why)) return REASON_FINE;
    }
    sale_chain(&s->sale, &room);
    return order_stops(&room.chain, stop, why);
}

static void on_stop(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct money_refusal why;
    struct money doc;

    s->stop = 0;
    if (!s->ask_end) return; /* he does not wait any more: not heard */
    if (host_verified(MONEY_STOP, now, rc, msg, &doc, &why) ||
        stops(s, &doc.stop, &why)) {
        xn_out_refuse_why(out, s->ask_end, WHAT, &why);
        s->ask_end = 0;
    } else {
        end(s, now, "stopped by the client");
    }
}

/* A session of another's is none to him. */
static struct host_session *find(struct host *host, const Xn__Caller *caller,
                                 const Xn__StopSession *want)
{
    struct host_session *s;
    xn_id id, who;

    if (xn_id_from_bytes(&want->session, &id)) return NULL;
    s = session_find(host, &id);
    if (!s || s->state == XN__SESSION_STATE__SESSION_NONE) return NULL;
    if (host_is_operator(host, caller)) return s;
    if (!caller || xn_id_from_bytes(&caller->id, &who)) return NULL;
    return xn_id_eq(&who, &s->holder) ? s : NULL;
}

static void stop(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question, const Xn__StopSession *want)
{
    bool operator= host_is_operator(host, question->caller);
    struct host_session *s = find(host, question->caller, want);

    if (!s) {
        refuse(host, ask, XN_ENOENT, "you have no such session here",
               "GET /v1/sessions");
    } else if (s->state < XN__SESSION_STATE__SESSION_RUNNING) {
        refuse(host, ask, XN_ENOTYET, "the XenoCorp has not accepted it yet",
               "again in a second");
    } else if (s->ask_end || s->stop) {
        refuse(host, ask, XN_EBUSY, "it is being stopped", "again in a second");
    } else if (operator) {
        s->ask_end = ask;
        end(s, now, "stopped by the server's operator");
    } else if (!want->stop.len || want->stop.len > SESSION_PAPER_MAX) {
        refuse(host, ask, XN_EINVAL, "a signed stop is 1 to 8192 bytes",
               "the envelope as it was signed");
    } else {
        s->ask_end = ask;
        s->stop = host_verify(host, now, want->stop, on_stop, s);
    }
}

void host_stop(struct host *host, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question)
{
    Xn__StopSession *want = NULL;
    xn_id caller;

    if (!host_is_operator(host, question->caller) &&
        !host_admits(host, ask, question, WHAT, &caller)) {
        return;
    }
    if (question->body.len <= SESSION_PAPER_MAX + 128) {
        want = xn_unpack(&xn__stop_session__descriptor, question->body.data,
                         question->body.len);
    }
    if (want) {
        stop(host, now, ask, question, want);
        xn__stop_session__free_unpacked(want, NULL);
    } else {
        refuse(host, ask, XN_EPROTO, "the body is not what this path takes",
               "a StopSession as doc/PROTOCOL.md has it");
    }
}
