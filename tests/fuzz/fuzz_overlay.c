/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of peers, mixed with the events of a driver and questions of our own,
 * on a node with a small budget; after each the tables must hold together.
 *
 * Input: records of one byte (low four bits: which peer; high four: what), for
 * frames followed by kind and length (a byte each) and the body.  One of odd
 * length finds a node that searches by itself. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "overlay/ov.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PEERS = 16 };
enum what {
    FRAME,
    UP,
    HELLO,
    GONE,
    SOON,
    LATER,
    ASK,
    ASK_PEER,
    ANSWER,
    FAIL,
    TRACE
};

struct world {
    struct ov *ov;
    struct xn_tickets *tickets;
    struct xn_out out;
    struct xn_rng rng;
    struct xn_now now;
    struct xn_contact rows[PEERS];
    struct xn_peers peers;
    bool up[PEERS];
    uint64_t dial, token;
    unsigned asked, replied;
};

static void deliver(void *user, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    struct world *w = user;
    Xn__Found found = XN__FOUND__INIT;

    w->token = request->token;
    if (request->token % 3) return;
    ov_answer(w->ov, now, request->token, 0, XN__KIND__FOUND, &found, out);
}

static void leaves_changed(void *user, const struct xn_now *now,
                           struct xn_out *out)
{
    (void)user, (void)now, (void)out;
}

static void peer_changed(void *user, const struct xn_now *now, xn_peer peer,
                         bool joined, struct xn_out *out)
{
    struct world *w = user;

    (void)now, (void)joined, (void)out;
    assert(peer < PEERS && w->up[peer]); /* the handle is still good */
}

static void replied(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct world *w = user;

    (void)ctx, (void)now, (void)out;
    assert(reply->rc <= 0 && !reply->rc == !!reply->msg);
    w->replied++;
}

static void traced(void *user, void *ctx, const struct xn_now *now,
                   const struct ov_trace *trace, struct xn_out *out)
{
    struct world *w = user;

    (void)ctx, (void)now, (void)out;
    assert(trace->n > 0 && trace->n <= OV_TRACE_MAX);
    assert(trace->owner < trace->n);
    w->replied++;
}

static void frame(struct world *w, xn_peer peer, unsigned kind,
                  const uint8_t *body, size_t len)
{
    struct xn_msg *msg = NULL;

    if (!w->up[peer] || !xn_kind_is_wire(kind)) return;
    if (xn_msg_decode(kind, body, len, &msg)) return;
    ov_msg(w->ov, &w->now, peer, msg, &w->out);
    xn_msg_free(msg);
}

static void hello(struct world *w, xn_peer peer)
{
    Xn__Hello body = XN__HELLO__INIT;
    struct xn_msg *msg = NULL;

    if (!w->up[peer]) return;
    body.version = 1;
    /* one is older, some are of now */
    body.features = peer == 5 ? 0 : peer % 3 ? ~UINT64_C(0) : 1;
    body.address = (char *)(uintptr_t) "h:1";
    if (xn_msg_new(XN__KIND__HELLO, &body, &msg)) return;
    ov_msg(w->ov, &w->now, peer, msg, &w->out);
    xn_msg_free(msg);
}

static void up(struct world *w, xn_peer peer, bool dialled)
{
    Xn__Up body = XN__UP__INIT;

    if (w->up[peer]) return;
    w->up[peer] = true;
    body.incoming = !dialled || !w->dial;
    body.ticket = body.incoming ? 0 : w->dial;
    ov_up(w->ov, &w->now, peer, &body, &w->out);
}

static void ask(struct world *w, xn_peer peer, bool direct)
{
    Xn__Find find = XN__FIND__INIT;
    uint64_t deadline_us = w->now.mono_us + 5000000;

    w->asked++;
    if (direct) {
        ov_ask_peer(w->ov, &w->now, peer, XN__KIND__FIND, &find, deadline_us,
                    replied, NULL, &w->out);
    } else {
        ov_ask(w->ov, &w->now, &w->rows[peer].id, peer % 4, XN__KIND__FIND,
               &find, deadline_us, replied, NULL, &w->out);
    }
}

static void event(struct world *w, enum what what, xn_peer peer)
{
    Xn__Found found = XN__FOUND__INIT;

    switch (what) {
    case UP: up(w, peer, peer % 2); break;
    case HELLO: hello(w, peer); break;
    case GONE:
        if (w->up[peer]) ov_gone(w->ov, &w->now, peer, &w->out);
        w->up[peer] = false;
        break;
    case SOON: w->now.mono_us += 100000; break;
    case LATER: w->now.mono_us += 2000000 * (uint64_t)(peer + 1); break;
    case ASK: ask(w, peer, false); break;
    case ASK_PEER: ask(w, peer, true); break;
    case TRACE:
        if (!ov_trace(w->ov, &w->now, &w->rows[peer].id, peer % 4,
                      &w->rows[peer % 3].id, w->now.mono_us + 5000000, traced,
                      NULL, &w->out))
            w->asked++;
        break;
    case ANSWER:
        ov_answer(w->ov, &w->now, w->token, peer % 2 ? XN_EBUSY : 0,
                  XN__KIND__FOUND, &found, &w->out);
        break;
    case FAIL:
        xn_ticket_end(w->tickets, w->dial, &w->now, XN_EUNREACH, NULL, &w->out);
        break;
    default: break;
    }
}

/* What a driver does with the outbox. */
static void settle(struct world *w)
{
    char why[200];
    xn_peer gone[64];
    size_t i, n = 0;

    xn_tickets_run(w->tickets, &w->now, &w->out);
    for (i = 0; i < w->out.n; i++) {
        const struct xn_action *act = &w->out.act[i];

        if (act->kind == XN_ACT_DIAL) w->dial = act->ticket;
        if (act->kind == XN_ACT_SEND) assert(w->up[act->peer]);
        if (act->kind == XN_ACT_HANG && n < 64) gone[n++] = act->peer;
    }
    assert(w->out.rc == 0);
    xn_out_reset(&w->out);
    if (!ov_check(w->ov, why, sizeof why)) abort();
    for (i = 0; i < n; i++)
        event(w, GONE, gone[i]);
    if (n > 0) settle(w);
}

static void begin(struct world *w, bool secure)
{
    struct ov_config config = {.links_max = 10,
                               .leaves = 3,
                               .copies = 3,
                               .cache = 4,
                               .secure = secure};
    const struct ov_user user = {w, deliver, leaves_changed, peer_changed};
    uint8_t i;

    memset(w, 0, sizeof *w);
    w->now = (struct xn_now){1000000, 1000000};
    xn_rng_seed(&w->rng, 1);
    /* Ids that a fuzzer can write: the same byte 32 times. */
    for (i = 0; i < PEERS; i++) {
        memset(&w->rows[i].id, 16 * i, sizeof w->rows[i].id);
        memset(&w->rows[i].position, 16 * i + 1, sizeof w->rows[i].position);
    }
    w->rows[1].id = w->rows[0].id; /* two links to one node */
    w->rows[1].position = w->rows[0].position;
    w->peers = (struct xn_peers){.rows = w->rows, .n = PEERS};
    memset(&config.id, 0x77, sizeof config.id);
    memset(&config.position, 0x77, sizeof config.position);
    config.address = "me:1";
    xn_out_init(&w->out);
    if (xn_tickets_new(&w->tickets)) abort();
    if (ov_new(&config, &w->peers, &w->rng, w->tickets, &user, &w->ov)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world *w = malloc(sizeof *w);
    size_t i = 0, size;

    if (!w) return 0;
    begin(w, len % 2);
    while (i < len) {
        xn_peer peer = data[i] & 15;
        enum what what = data[i++] >> 4;

        if (what == FRAME) {
            if (len - i < 2) break;
            size = data[i + 1] < len - i - 2 ? data[i + 1] : len - i - 2;
            frame(w, peer, data[i], data + i + 2, size);
            i += 2 + size;
        } else {
            event(w, what, peer);
        }
        settle(w);
    }
    w->now.mono_us += 600000000; /* every question ends, once */
    settle(w);
    assert(w->replied == w->asked);
    ov_free(w->ov);
    xn_tickets_free(w->tickets, NULL);
    xn_out_clear(&w->out);
    free(w);
    return 0;
}
