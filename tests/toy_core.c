/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/toy_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "seam/out.h"
#include "seam/tickets.h"

enum { ADDRESS_MAX = 80 };

#define PATIENCE_US 20000000

struct toy {
    struct xn_core core; /* first: a toy is a core */
    struct xn_out out;
    struct xn_tickets *tickets;
    struct xn_rng rng;
    struct toy_config config;
    char addresses[TOY_CONTACTS_MAX][ADDRESS_MAX];
    xn_peer peers[TOY_PEERS_MAX];
    struct toy_counts counts;
    bool started;
};

static struct toy *toy_of(struct xn_core *core)
{
    return (struct toy *)core;
}

static void ping(void *owner, void *ctx, const struct xn_now *now, int rc,
                 struct xn_msg *msg, struct xn_out *out)
{
    struct toy *toy = owner;
    Xn__Ping body = XN__PING__INIT;

    (void)ctx, (void)rc, (void)msg;
    if (toy->counts.peers) {
        xn_peer peer = toy->peers[xn_rng_below(&toy->rng, toy->counts.peers)];

        body.nonce = xn_rng_u64(&toy->rng);
        xn_out_send(out, peer, XN__KIND__PING, &body);
    }
    xn_ticket(toy->tickets, now->mono_us + toy->config.period_us, ping, toy,
              NULL, out);
}

static void dialled(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct toy *toy = owner;

    (void)ctx, (void)now, (void)msg, (void)out;
    if (rc) toy->counts.dials_failed++;
}

static void stored(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct toy *toy = owner;

    (void)ctx, (void)now, (void)msg, (void)out;
    if (!rc) toy->counts.stored++;
}

static void verified(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct toy *toy = owner;
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};

    (void)ctx;
    if (rc || !msg) return;
    toy->counts.verified_ok++;
    write.key.data = (uint8_t *)(uintptr_t) "toy";
    write.key.len = 3;
    write.value = XN_BODY(msg, Xn__Verified)->payload;
    txn.writes = writes;
    txn.n_writes = 1;
    xn_out_emit(out, XN_ACT_TXN,
                xn_ticket(toy->tickets, now->mono_us + PATIENCE_US, stored, toy,
                          NULL, out),
                XN_PEER_NONE, XN__KIND__TXN, &txn);
}

static void signed_(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct toy *toy = owner;
    Xn__Verify verify = XN__VERIFY__INIT;

    (void)ctx;
    if (rc || !msg) return;
    toy->counts.signed_ok++;
    verify.form = XN__FORM__BLOB;
    verify.context = (char *)(uintptr_t) "toy";
    verify.data = XN_BODY(msg, Xn__Signed)->data;
    xn_out_emit(out, XN_ACT_VERIFY,
                xn_ticket(toy->tickets, now->mono_us + PATIENCE_US, verified,
                          toy, NULL, out),
                XN_PEER_NONE, XN__KIND__VERIFY, &verify);
}

static void dial(struct toy *toy, const struct xn_now *now, const char *address,
                 struct xn_out *out)
{
    Xn__Dial body = XN__DIAL__INIT;
    Xn__Contact contact = XN__CONTACT__INIT;

    contact.address = (char *)(uintptr_t)address;
    body.contact = &contact;
    xn_out_emit(out, XN_ACT_DIAL,
                xn_ticket(toy->tickets, now->mono_us + PATIENCE_US, dialled,
                          toy, NULL, out),
                XN_PEER_NONE, XN__KIND__DIAL, &body);
}

static void begin(struct toy *toy, const struct xn_now *now, struct xn_out *out)
{
    Xn__Sign sign = XN__SIGN__INIT;
    size_t i;

    toy->started = true;
    for (i = 0; i < toy->config.n_contacts; i++) {
        dial(toy, now, toy->addresses[i], out);
    }
    sign.form = XN__FORM__BLOB;
    sign.context = (char *)(uintptr_t) "toy";
    sign.payload.data = (uint8_t *)(uintptr_t) "a toy's word";
    sign.payload.len = 12;
    xn_out_emit(out, XN_ACT_SIGN,
                xn_ticket(toy->tickets, now->mono_us + PATIENCE_US, signed_,
                          toy, NULL, out),
                XN_PEER_NONE, XN__KIND__SIGN, &sign);
    xn_ticket(toy->tickets,
              now->mono_us + xn_rng_below(&toy->rng, toy->config.period_us),
              ping, toy, NULL, out);
}

static void up(struct toy *toy, const struct xn_event *ev, struct xn_out *out)
{
    uint64_t ticket = XN_BODY(ev->msg, Xn__Up)->ticket;

    toy->counts.ups++;
    if (ticket) xn_ticket_forget(toy->tickets, ticket);
    if (toy->counts.peers == TOY_PEERS_MAX) {
        xn_out_hang(out, ev->peer, XN_EBUSY, "full");
        return;
    }
    toy->peers[toy->counts.peers++] = ev->peer;
}

static void gone(struct toy *toy, xn_peer peer)
{
    size_t i = 0;

    toy->counts.gones++;
    while (i < toy->counts.peers && toy->peers[i] != peer)
        i++;
    if (i == toy->counts.peers) return;
    toy->peers[i] = toy->peers[--toy->counts.peers];
}

static void message(struct toy *toy, const struct xn_event *ev,
                    struct xn_out *out)
{
    Xn__Pong pong = XN__PONG__INIT;

    if (ev->msg->kind == XN__KIND__PONG) {
        toy->counts.pongs++;
    } else if (ev->msg->kind == XN__KIND__PING) {
        toy->counts.pings++;
        pong.nonce = XN_BODY(ev->msg, Xn__Ping)->nonce;
        xn_out_send(out, ev->peer, XN__KIND__PONG, &pong);
    } else {
        xn_out_hang(out, ev->peer, XN_EPROTO, "not a toy");
    }
}

static void asked(struct toy *toy, const struct xn_event *ev,
                  struct xn_out *out)
{
    Xn__NodeStatus status = XN__NODE_STATUS__INIT;

    toy->counts.asked++;
    status.links = (uint32_t)toy->counts.peers;
    xn_out_answer(out, ev->ticket, 200, &status);
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *box_out)
{
    struct toy *toy = toy_of(core);

    xn_out_reset(&toy->out);
    if (!toy->started) begin(toy, now, &toy->out);
    xn_tickets_run(toy->tickets, now, &toy->out);
    switch (ev->kind) {
    case XN_EV_UP: up(toy, ev, &toy->out); break;
    case XN_EV_GONE: gone(toy, ev->peer); break;
    case XN_EV_MSG: message(toy, ev, &toy->out); break;
    case XN_EV_ASK: asked(toy, ev, &toy->out); break;
    case XN_EV_DONE:
        xn_ticket_end(toy->tickets, ev->ticket, now, ev->rc, ev->msg,
                      &toy->out);
        break;
    default: break;
    }
    *box_out = xn_out_box(&toy->out, xn_tickets_next(toy->tickets));
    return toy->out.rc;
}

static bool check(const struct xn_core *core, char *why_out, size_t len)
{
    const struct toy_counts *c = toy_counts(core);

    if (c->ups - c->gones >= c->peers) return true;
    snprintf(why_out, len, "more peers than links");
    return false;
}

static void toy_free(struct xn_core *core)
{
    struct toy *toy = toy_of(core);

    xn_tickets_free(toy->tickets, NULL);
    xn_out_clear(&toy->out);
    free(toy);
}

static const struct xn_core_ops toy_ops = {
    .name = "toy", .step = step, .check = check, .free = toy_free};

int toy_new(const struct toy_config *config, uint64_t seed,
            struct xn_core **core_out)
{
    struct toy *toy = calloc(1, sizeof *toy);
    size_t i;
    int rc;

    if (!toy) return XN_ENOMEM;
    toy->core.ops = &toy_ops;
    toy->config = *config;
    for (i = 0; i < config->n_contacts; i++) {
        snprintf(toy->addresses[i], ADDRESS_MAX, "%s", config->contacts[i]);
    }
    xn_rng_seed(&toy->rng, seed);
    rc = xn_tickets_new(&toy->tickets);
    if (rc) {
        free(toy);
        return rc;
    }
    *core_out = &toy->core;
    return 0;
}

const struct toy_counts *toy_counts(const struct xn_core *core)
{
    return &((const struct toy *)core)->counts;
}
