/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What cores ask for, done: the modelled key, store, entropy, interfaces. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/crypto.h"
#include "sim/inside.h"

enum { RANDOM_MAX = 4096 };

void sim_done(struct sim_world *world, uint32_t node, uint64_t ticket,
              uint64_t after_us, int rc, struct xn_msg *msg)
{
    struct sim_event event = {.to = node,
                              .from = node,
                              .ticket = ticket,
                              .rc = rc,
                              .msg = msg,
                              .mark = world->nodes[node].life,
                              .kind = SIM_DONE};

    if (!ticket) {
        xn_msg_free(msg);
        return;
    }
    sim_push(world, node, world->now_us + sim_pace_us(world, node, after_us),
             event);
}

/* One thread does the node's signatures, one after another. */
static uint64_t queued_us(struct sim_world *world, uint32_t number,
                          uint64_t cost_us)
{
    struct sim_toll *toll = &world->tolls[number];

    if (toll->busy_us < world->now_us) toll->busy_us = world->now_us;
    toll->busy_us += cost_us;
    return toll->busy_us - world->now_us;
}

static void sign(struct sim_world *world, uint32_t node,
                 const struct xn_action *action)
{
    struct xn_msg *msg = NULL;
    int rc =
        sim_sign(XN__ROLE__NODE, node, XN_BODY(action->msg, Xn__Sign), &msg);

    world->totals.signs++;
    sim_done(world, node, action->ticket,
             queued_us(world, node, world->config.settings.sign_us), rc, msg);
}

static void verify(struct sim_world *world, uint32_t node,
                   const struct xn_action *action)
{
    const Xn__Verify *body = XN_BODY(action->msg, Xn__Verify);
    const struct sim_settings *set = &world->config.settings;
    uint64_t cost_us =
        body->form == XN__FORM__BLOB ? set->blob_us : set->verify_us;
    struct xn_msg *msg = NULL;
    int rc = sim_verify(world->config.seed,
                        world->contacts.rows[node].not_after_us, body, &msg);

    world->totals.verifies++;
    sim_done(world, node, action->ticket, queued_us(world, node, cost_us), rc,
             msg);
}

static void issue(struct sim_world *world, uint32_t node,
                  const struct xn_action *action)
{
    struct xn_msg *msg = NULL;
    int rc =
        sim_issue(world->config.seed, XN_BODY(action->msg, Xn__Issue), &msg);

    sim_done(world, node, action->ticket,
             queued_us(world, node, world->config.settings.sign_us), rc, msg);
}

static void random_bytes(struct sim_world *world, uint32_t node,
                         const struct xn_action *action)
{
    uint32_t size = XN_BODY(action->msg, Xn__Random)->size, i;
    Xn__Bytes body = XN__BYTES__INIT;
    struct xn_msg *msg = NULL;
    uint8_t bytes[RANDOM_MAX];
    int rc = XN_EINVAL;

    if (size <= sizeof bytes) {
        for (i = 0; i < size; i++) {
            bytes[i] = (uint8_t)sim_node_draw(world, node);
        }
        body.data.data = bytes;
        body.data.len = size;
        rc = xn_msg_new(XN__KIND__BYTES, &body, &msg);
    }
    sim_done(world, node, action->ticket, 1, rc, msg);
}

static void txn(struct sim_world *world, uint32_t node,
                const struct xn_action *action)
{
    int rc =
        sim_store_txn(&world->nodes[node].store, XN_BODY(action->msg, Xn__Txn));

    world->totals.txns++;
    if (rc == XN_ENOMEM) sim_world_stop(world, rc);
    sim_done(world, node, action->ticket, world->config.settings.txn_us, rc,
             NULL);
}

static void read_store(struct sim_world *world, uint32_t node,
                       const struct xn_action *action)
{
    struct xn_msg *msg = NULL;
    int rc = sim_store_read(world->nodes[node].store,
                            XN_BODY(action->msg, Xn__Read), &msg);

    if (rc == XN_ENOMEM) sim_world_stop(world, rc);
    sim_done(world, node, action->ticket, world->config.settings.read_us, rc,
             msg);
}

static void answer(struct sim_world *world, uint32_t node,
                   const struct xn_action *action)
{
    if (!world->hooks.answered) return;
    world->hooks.answered(world->hooks.user, node, action->ticket,
                          XN_BODY(action->msg, Xn__Answer));
}

static void log_line(struct sim_world *world, uint32_t node,
                     const struct xn_action *action)
{
    world->totals.logs++;
    if (!world->hooks.log) return;
    world->hooks.log(world->hooks.user, node, XN_BODY(action->msg, Xn__Log));
}

static bool well_formed(struct sim_world *world, uint32_t node,
                        const struct xn_action *action)
{
    unsigned kind = xn_act_msg_kind(action->kind);

    if (action->kind == XN_ACT_SEND
            ? action->msg != NULL
            : !kind || (action->msg && action->msg->kind == kind)) {
        return true;
    }
    sim_broken(world, node, "%s with %s", xn_act_name(action->kind),
               action->msg ? xn_kind_name(action->msg->kind) : "no message");
    return false;
}

static void perform(struct sim_world *world, uint32_t node,
                    const struct xn_action *action)
{
    if (!well_formed(world, node, action)) return;
    switch (action->kind) {
    case XN_ACT_DIAL: sim_link_dial(world, node, action); break;
    case XN_ACT_HANG: sim_link_hang(world, node, action); break;
    case XN_ACT_SEND: sim_link_send(world, node, action); break;
    case XN_ACT_ANSWER: answer(world, node, action); break;
    case XN_ACT_SIGN: sign(world, node, action); break;
    case XN_ACT_VERIFY: verify(world, node, action); break;
    case XN_ACT_ISSUE: issue(world, node, action); break;
    case XN_ACT_RANDOM: random_bytes(world, node, action); break;
    case XN_ACT_TXN: txn(world, node, action); break;
    case XN_ACT_READ: read_store(world, node, action); break;
    case XN_ACT_CALL: sim_corp_call(world, node, action); break;
    case XN_ACT_ABORT: sim_link_abort(world, node, action->ticket); break;
    case XN_ACT_LOG: log_line(world, node, action); break;
    case XN_ACT_FETCH:
    case XN_ACT_DOMAIN:
    case XN_ACT_PROBE:
    case XN_ACT_ADMIT:
        sim_done(world, node, action->ticket, 1, XN_EREFUSED, NULL);
        break;
    default:
        sim_broken(world, node, "an action of unknown kind %d",
                   (int)action->kind);
    }
}

void sim_perform(struct sim_world *world, uint32_t node,
                 const struct xn_outbox *box)
{
    size_t i;

    if (box->n > world->totals.queue_max) world->totals.queue_max = box->n;
    if (box->n > world->config.settings.queue_max) {
        sim_broken(world, node, "%zu actions from one step, %u allowed", box->n,
                   world->config.settings.queue_max);
    }
    for (i = 0; i < box->n && !world->rc; i++) {
        perform(world, node, &box->act[i]);
    }
}
