/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links, as the real driver's TLS over TCP shows them to a core.
 *
 * A dial is SYN, SYNACK, CONNECT, READY, FINISHED, one latency each: the
 * dialling side is up after two round trips and speaks at once, the accepting
 * side half a one later, as with TLS 1.3.  Each end keeps its own half and
 * learns of the other's only by events, so both may briefly disagree, as in
 * life.
 *
 * One link per pair: where both dial at once, the one dialled by the smaller
 * id stays.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "seam/dial.h"
#include "sim/crypto.h"
#include "sim/graph.h"
#include "sim/inside.h"
#include "sim/wire.h"

/* ---- words between the two ends ---- */

static uint64_t cost_of(enum sim_kind kind)
{
    switch (kind) {
    case SIM_SYN:
    case SIM_SYNACK: return SIM_WIRE_SYN;
    case SIM_CONNECT: return SIM_WIRE_DIALLER;
    case SIM_READY: return SIM_WIRE_DIALLED;
    case SIM_CLOSE: return SIM_WIRE_RESET;
    case SIM_FINISHED: return 0; /* of the dialler's above */
    default: return SIM_WIRE_EMPTY;
    }
}

static enum sim_purpose purpose_of(enum sim_kind kind)
{
    return kind == SIM_CLOSE ? SIM_CLOSING_LINK : SIM_OPEN;
}

static void say(struct sim_world *world, uint32_t from, uint32_t to,
                enum sim_kind kind, uint64_t conn, int rc)
{
    uint64_t at_us = sim_arrival_bare(world, from, to);
    struct sim_event event = {.to = to,
                              .from = from,
                              .ticket = conn,
                              .rc = rc,
                              .mark = world->nodes[from].counter,
                              .kind = (uint8_t)kind};

    sim_spend(world, purpose_of(kind), cost_of(kind));
    if (at_us != UINT64_MAX) {
        sim_push(world, from, at_us, event);
    } else if (kind == SIM_SYN) {
        sim_spend(world, SIM_NOBODY, SIM_WIRE_NOBODY);
    }
}

/* After what was sent before on this link. */
static void say_last(struct sim_world *world, uint32_t from,
                     struct sim_link *link, enum sim_kind kind, int rc)
{
    uint64_t at_us = sim_arrival_bare(world, from, link->peer);
    struct sim_event event = {.to = link->peer,
                              .from = from,
                              .ticket = link->conn,
                              .rc = rc,
                              .mark = world->nodes[from].counter,
                              .kind = (uint8_t)kind};

    sim_spend(world, purpose_of(kind), cost_of(kind));
    if (at_us == UINT64_MAX) return;
    if (at_us < link->last_us) at_us = link->last_us;
    link->last_us = at_us;
    sim_push(world, from, at_us, event);
}

/* It is over: with a word before, but to who is silent. */
static void say_end(struct sim_world *world, uint32_t from,
                    struct sim_link *link, int rc, bool silent)
{
    if (!silent)
        sim_spend(world, SIM_CLOSING_LINK, SIM_WIRE_CLOSE - SIM_WIRE_RESET);
    say_last(world, from, link, SIM_CLOSE, rc);
}

/* `to` will find out that nothing comes through from `from`, whose event this
 * is. */
static void close_later(struct sim_world *world, uint32_t from, uint32_t to,
                        uint64_t conn, uint64_t at_us)
{
    struct sim_event event = {.to = to,
                              .from = from,
                              .ticket = conn,
                              .rc = XN_ETIMEOUT,
                              .kind = SIM_CLOSE};

    sim_push(world, from, at_us, event);
}

/* The link breaks: both ends will find out. */
static void fall_silent(struct sim_world *world, uint32_t from, uint32_t to,
                        uint64_t conn)
{
    uint64_t at_us = world->now_us + world->config.settings.silence_us;

    world->totals.broken_links++;
    world->tolls[from].broke_us = world->tolls[to].broke_us = at_us;
    close_later(world, from, to, conn, at_us);
    close_later(world, to, from, conn, at_us);
}

static void tell_up(struct sim_world *world, uint32_t node, uint32_t peer,
                    bool incoming, uint64_t ticket, uint64_t trip_us)
{
    Xn__Up up = XN__UP__INIT;
    struct sim_caller who;
    struct xn_msg *msg = NULL;
    int rc;

    sim_caller(world->config.seed, XN__ROLE__NODE, peer,
               world->contacts.rows[peer].not_after_us, &who);
    who.position =
        world->contacts.rows[peer].position; /* caller points there */
    up.who = &who.caller;
    up.incoming = incoming;
    up.ticket = ticket;
    up.trip_us = trip_us;
    rc = xn_msg_new(XN__KIND__UP, &up, &msg);
    if (rc) {
        sim_world_stop(world, rc);
        return;
    }
    world->totals.ups++;
    sim_step(world, node, XN_EV_UP, 0, 0, peer, msg);
    xn_msg_free(msg);
}

static void tell_gone(struct sim_world *world, uint32_t node, uint32_t peer,
                      int why)
{
    Xn__Reason reason = XN__REASON__INIT;
    struct xn_msg *msg = NULL;
    int rc;

    reason.rc = why;
    reason.text = (char *)(uintptr_t)xn_strerror(why);
    rc = xn_msg_new(XN__KIND__REASON, &reason, &msg);
    if (rc) {
        sim_world_stop(world, rc);
        return;
    }
    sim_step(world, node, XN_EV_GONE, 0, 0, peer, msg);
    xn_msg_free(msg);
}

/* ---- a dial, in the order in which it happens ---- */

void sim_link_dial(struct sim_world *world, uint32_t number,
                   const struct xn_action *action)
{
    const Xn__Contact *contact = XN_BODY(action->msg, Xn__Dial)->contact;
    struct sim_node *node = &world->nodes[number];
    uint32_t peer = contact ? sim_address_node(contact->address) : UINT32_MAX;
    struct sim_event late = {
        .to = number, .from = number, .kind = SIM_DIAL_LATE};
    struct sim_link *link;

    world->totals.dials++;
    if (peer >= world->config.nodes || peer == number) {
        sim_done(world, number, action->ticket, 1000, XN_EUNREACH, NULL);
        return;
    }
    if (contact->id.len &&
        (contact->id.len != XN_ID_SIZE ||
         memcmp(contact->id.data, world->contacts.rows[peer].id.b,
                XN_ID_SIZE))) {
        sim_done(world, number, action->ticket, 1000, XN_EIDENT, NULL);
        return;
    }
    if (sim_halves_of(world, number, peer)) { /* linked or dialling already */
        sim_done(world, number, action->ticket, 1, XN_ECONFLICT, NULL);
        return;
    }
    link = sim_halves_add(world, number, peer, SIM_DIALLING,
                          (uint64_t)number << 32 | node->counter);
    if (!link) return;
    link->ticket = action->ticket;
    link->trip_us = (uint32_t)world->now_us;
    late.from = peer;
    late.ticket = link->conn;
    sim_push(world, number, world->now_us + world->config.settings.dial_us,
             late);
    say(world, number, peer, SIM_SYN, link->conn, 0);
}

static void on_syn(struct sim_world *world, const struct sim_event *event)
{
    const struct sim_node *node = &world->nodes[event->to];

    if (!node->power || sim_world_nat(world, event->to)) {
        sim_spend(world, SIM_NOBODY, SIM_WIRE_NOBODY);
        return;
    }
    say(world, event->to, event->from, node->core ? SIM_SYNACK : SIM_REFUSE,
        event->ticket, XN_EUNREACH);
}

/* The half that this word is about, if it still stands. */
static struct sim_link *meant(struct sim_world *world,
                              const struct sim_event *event,
                              enum sim_half state)
{
    struct sim_link *link = sim_halves_of(world, event->to, event->from);

    return link && link->state == state && link->conn == event->ticket ? link
                                                                       : NULL;
}

/* As SIM_CONNECT's rc: ms, for who was dialled measures the same. */
static int trip_said(const struct sim_link *link)
{
    uint32_t ms = link->trip_us / 1000;

    return ms < INT16_MAX ? (int)ms : INT16_MAX;
}

static void on_synack(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_DIALLING);

    if (!link) return;
    link->heard = true;
    link->trip_us = (uint32_t)world->now_us - link->trip_us;
    say(world, event->to, event->from, SIM_CONNECT, link->conn,
        trip_said(link));
}

static void end_dial(struct sim_world *world, uint32_t node,
                     struct sim_link *link, int rc)
{
    uint64_t ticket = link->ticket;

    world->totals.dials_failed++;
    sim_halves_drop(world, node, link);
    sim_done(world, node, ticket, 0, rc, NULL);
}

static void on_refuse(struct sim_world *world, const struct sim_event *event,
                      int rc)
{
    struct sim_link *link = meant(world, event, SIM_DIALLING);

    if (link) end_dial(world, event->to, link, rc);
}

/* Who was heard has as long again for the handshake. */
static void on_dial_late(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_DIALLING);
    struct sim_event late = *event;

    if (!link) return;
    if (!link->heard || event->rc) {
        end_dial(world, event->to, link, XN_ETIMEOUT);
        return;
    }
    late.rc = XN_ETIMEOUT;
    sim_push(world, event->to,
             world->now_us - world->config.settings.dial_us + link->trip_us +
                 xn_shake_us(link->trip_us),
             late);
}

static void close_half(struct sim_world *world, uint32_t node,
                       struct sim_link *link, int why)
{
    uint32_t peer = link->peer;
    bool told = link->state != SIM_ACCEPTED;

    if (link->state == SIM_UP) sim_count_links(world, -1);
    sim_halves_drop(world, node, link);
    if (told) tell_gone(world, node, peer, why);
}

/* May this connection come in, beside what we have with that peer? */
static bool make_way(struct sim_world *world, const struct sim_event *event)
{
    uint32_t to = event->to, from = event->from;
    struct sim_link *link = sim_halves_of(world, to, from);

    /* It agreed to the present link before it dialled this one: it must have
     * lost that. */
    if (link && (link->state == SIM_CLOSING ||
                 (link->state != SIM_DIALLING &&
                  (uint32_t)event->ticket >= link->peer_mark))) {
        close_half(world, to, link, XN_EUNREACH);
        link = sim_halves_of(world, to, from);
    }
    if (!link) return true;
    if (link->state != SIM_DIALLING) return false;
    if (link->heard && xn_id_cmp(&world->contacts.rows[to].id,
                                 &world->contacts.rows[from].id) < 0) {
        return false;
    }
    end_dial(world, to, link, XN_ECONFLICT);
    return true;
}

static void on_connect(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->to];
    struct sim_event late = {.to = event->to,
                             .from = event->from,
                             .ticket = event->ticket,
                             .kind = SIM_ACCEPT_LATE};
    struct sim_link *link;

    if (!node->power) return;
    if (!node->core || !make_way(world, event)) {
        say(world, event->to, event->from, SIM_REFUSE, event->ticket,
            node->core ? XN_ECONFLICT : XN_EUNREACH);
        return;
    }
    link = sim_halves_add(world, event->to, event->from, SIM_ACCEPTED,
                          event->ticket);
    if (!link) return;
    link->peer_mark = event->mark;
    sim_push(world, event->to,
             world->now_us + xn_shake_us((uint64_t)event->rc * 1000), late);
    say_last(world, event->to, link, SIM_READY, 0);
}

static void on_ready(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_DIALLING);
    uint64_t ticket, trip_us;

    if (!link) {
        say(world, event->to, event->from, SIM_CLOSE, event->ticket,
            XN_EUNREACH);
        return;
    }
    ticket = link->ticket;
    trip_us = link->trip_us;
    link->last_us = 0;
    link->state = SIM_UP;
    link->peer_mark = event->mark;
    sim_count_links(world, 1);
    say_last(world, event->to, link, SIM_FINISHED, (int)(trip_us / 1000));
    tell_up(world, event->to, event->from, false, ticket, trip_us);
}

static void on_finished(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_ACCEPTED);

    if (!link) {
        say(world, event->to, event->from, SIM_CLOSE, event->ticket,
            XN_EUNREACH);
        return;
    }
    link->state = SIM_UP;
    sim_count_links(world, 1);
    tell_up(world, event->to, event->from, true, 0, (uint64_t)event->rc * 1000);
}

static void on_accept_late(struct sim_world *world,
                           const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_ACCEPTED);

    if (link) close_half(world, event->to, link, XN_ETIMEOUT);
}

void sim_link_abort(struct sim_world *world, uint32_t number, uint64_t ticket)
{
    struct sim_node *node = &world->nodes[number];
    uint32_t i;

    for (i = 0; ticket && i < node->links_cap; i++) {
        struct sim_link *link = &node->links[i];

        if (link->state == SIM_DIALLING && link->ticket == ticket) {
            end_dial(world, number, link, XN_ECANCELLED);
            return;
        }
    }
}

/* ---- a link's life and end ---- */

void sim_link_send(struct sim_world *world, uint32_t number,
                   const struct xn_action *action)
{
    struct sim_link *link = sim_halves_of(world, number, action->peer);
    struct sim_event event = {
        .to = action->peer, .from = number, .kind = SIM_MSG};
    uint64_t at_us, wire;

    if (!xn_kind_is_wire(action->msg->kind)) {
        sim_broken(world, number, "sent a %s, which is no message of links",
                   xn_kind_name(action->msg->kind));
        return;
    }
    if (!link || link->state != SIM_UP) return;
    wire = action->msg->size;
    wire = sim_wire_message(wire + sim_wire_head(wire, link->brief));
    sim_spend_message(world, number, action->peer, action->msg, wire);
    sim_talk(world, link, true);
    at_us = sim_arrival(world, number, action->peer, wire);
    if (at_us == UINT64_MAX) {
        fall_silent(world, number, action->peer, link->conn);
        return;
    }
    if (at_us < link->last_us) at_us = link->last_us;
    link->last_us = at_us;
    event.ticket = link->conn;
    event.msg = xn_msg_ref(action->msg);
    sim_push(world, number, at_us, event);
}

static void on_close(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_UP);

    if (!link) link = meant(world, event, SIM_ACCEPTED);
    if (link) close_half(world, event->to, link, event->rc);
}

static void on_hung(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = meant(world, event, SIM_CLOSING);

    if (link) close_half(world, event->to, link, event->rc);
}

static bool is_silent(const struct xn_action *action)
{
    return action->msg && XN_BODY(action->msg, Xn__Reason)->rc == XN_ETIMEOUT;
}

void sim_link_hang(struct sim_world *world, uint32_t number,
                   const struct xn_action *action)
{
    struct sim_link *link = sim_halves_of(world, number, action->peer);
    struct sim_event hung = {.to = number,
                             .from = action->peer,
                             .rc = XN_ECANCELLED,
                             .kind = SIM_HUNG};

    if (!link || link->state != SIM_UP) return;
    say_end(world, number, link, XN_EUNREACH, is_silent(action));
    link->state = SIM_CLOSING;
    sim_count_links(world, -1);
    hung.ticket = link->conn;
    sim_push(world, number, world->now_us, hung);
}

static struct xn_msg *damaged(const struct sim_world *world,
                              const struct xn_msg *msg)
{
    struct xn_msg *out = NULL;
    uint8_t *bytes = malloc(msg->size + 1);

    if (!bytes) return NULL;
    memcpy(bytes, msg->bytes, msg->size);
    if (msg->size) {
        uint64_t draw = xn_rng_mix(world->config.seed, world->config.flip);

        bytes[draw % msg->size] ^= (uint8_t)(1U << (draw >> 60 & 7));
    }
    xn_msg_decode(msg->kind, bytes, msg->size, &out);
    free(bytes);
    return out;
}

/* What a receiver reads from the bytes must be what was sent. */
static struct xn_msg *reread(struct sim_world *world,
                             const struct sim_event *event)
{
    const struct xn_msg *msg = event->msg;
    struct xn_msg *fresh = NULL, *again = NULL;

    if (xn_msg_decode(msg->kind, msg->bytes, msg->size, &fresh) ||
        xn_msg_new(msg->kind, fresh->body, &again)) {
        sim_broken(world, event->from, "sent a %s that does not decode",
                   xn_kind_name(msg->kind));
        xn_msg_free(fresh);
        return NULL;
    }
    if (again->size != msg->size ||
        memcmp(again->bytes, msg->bytes, msg->size) != 0) {
        sim_broken(world, event->from, "sent a %s that encodes differently",
                   xn_kind_name(msg->kind));
    }
    xn_msg_free(again);
    return fresh;
}

/* Both ends are taken to read the same frames. */
static void count(struct sim_world *world, const struct sim_link *link,
                  const struct xn_msg *msg)
{
    struct sim_totals *totals = &world->totals;

    totals->messages++;
    totals->bytes += msg->size + sim_wire_head(msg->size, link->brief);
    if (msg->size > totals->message_max) totals->message_max = msg->size;
}

static void deliver(struct sim_world *world, const struct sim_event *event,
                    struct sim_link *link)
{
    struct xn_msg *msg = event->msg, *fresh = NULL;

    if (msg->kind == XN__KIND__HELLO)
        link->brief = XN_BODY(msg, Xn__Hello)->features & XN_FEATURE_SHORT;
    count(world, link, msg);
    if (world->totals.messages == world->config.flip) {
        fresh = damaged(world, msg);
        if (!fresh) { /* a real receiver would drop the link */
            say_end(world, event->to, link, XN_EPROTO, false);
            close_half(world, event->to, link, XN_EPROTO);
            return;
        }
        msg = fresh;
    } else if (world->config.wire) {
        fresh = reread(world, event);
        if (!fresh) return;
        msg = fresh;
    }
    if (world->hooks.meets &&
        world->hooks.meets(world->hooks.user, event->to, event->from, msg)) {
        xn_msg_free(fresh);
        return;
    }
    sim_step(world, event->to, XN_EV_MSG, 0, 0, event->from, msg);
    xn_msg_free(fresh);
}

static void on_msg(struct sim_world *world, const struct sim_event *event)
{
    const struct sim_node *node = &world->nodes[event->to];
    struct sim_link *link = meant(world, event, SIM_UP);

    if (!node->power) {
        close_later(world, event->to, event->from, event->ticket,
                    world->now_us + world->config.settings.silence_us);
    } else if (!link) {
        say(world, event->to, event->from, SIM_CLOSE, event->ticket,
            XN_EUNREACH);
    } else {
        sim_talk(world, link, false);
        deliver(world, event, link);
    }
}

void sim_link_event(struct sim_world *world, const struct sim_event *event)
{
    switch ((enum sim_kind)event->kind) {
    case SIM_SYN: on_syn(world, event); break;
    case SIM_SYNACK: on_synack(world, event); break;
    case SIM_CONNECT: on_connect(world, event); break;
    case SIM_READY: on_ready(world, event); break;
    case SIM_FINISHED: on_finished(world, event); break;
    case SIM_ACCEPT_LATE: on_accept_late(world, event); break;
    case SIM_REFUSE: on_refuse(world, event, event->rc); break;
    case SIM_DIAL_LATE: on_dial_late(world, event); break;
    case SIM_MSG: on_msg(world, event); break;
    case SIM_CLOSE: on_close(world, event); break;
    case SIM_HUNG: on_hung(world, event); break;
    default: break;
    }
}

static int by_peer(const void *a, const void *b)
{
    const struct sim_link *x = a, *y = b;

    return (x->peer > y->peer) - (x->peer < y->peer);
}

/* Probes go out at their own times: between half of the time and all of it. */
static uint64_t keepalive_end_us(struct sim_world *world, uint32_t number)
{
    uint64_t most = world->config.settings.keepalive_us;

    return world->now_us + most - sim_node_draw(world, number) % (most / 2 + 1);
}

void sim_link_end_all(struct sim_world *world, uint32_t number, bool power)
{
    struct sim_node *node = &world->nodes[number];
    uint32_t i;

    sim_halves_keep(world, number);
    /* Not in the order of the table: its size depends on the past. */
    if (node->links_cap) {
        qsort(node->links, node->links_cap, sizeof *node->links, by_peer);
    }
    for (i = 0; i < node->links_cap; i++) {
        struct sim_link *link = &node->links[i];

        if (link->state != SIM_UP && link->state != SIM_ACCEPTED) continue;
        if (link->state == SIM_UP) sim_count_links(world, -1);
        if (power) {
            close_later(world, number, link->peer, link->conn,
                        keepalive_end_us(world, number));
        } else {
            say_end(world, number, link, XN_EUNREACH, false);
        }
    }
    free(node->links);
    node->links = NULL;
    node->links_n = node->links_cap = 0;
    node->stands = false;
}

static void cut_one(struct sim_world *world, uint32_t number, uint32_t peer,
                    uint64_t conn)
{
    uint64_t at_us;

    if (!sim_world_apart(world, number, peer)) return;
    at_us = keepalive_end_us(world, number);
    if (at_us < world->cut_until_us) {
        close_later(world, number, peer, conn, at_us);
    }
}

/* Halves that stand and rest get no room in the table by being looked at: there
 * are many, and most are not cut. */
void sim_link_cut(struct sim_world *world, uint32_t number)
{
    const struct sim_node *node = &world->nodes[number];
    struct xn_route *routes;
    size_t n = 0, i;

    if (node->stands) n = sim_graph_of(world->graph, number, &routes);
    for (i = 0; i < n; i++) {
        if (!sim_halves_find(node, routes[i].peer))
            cut_one(world, number, routes[i].peer, SIM_STOOD);
    }
    for (i = 0; i < node->links_cap; i++) {
        const struct sim_link *link = &node->links[i];

        if (link->state == SIM_UP) {
            cut_one(world, number, link->peer, link->conn);
        }
    }
}
