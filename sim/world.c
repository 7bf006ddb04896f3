/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "seam/dial.h"
#include "sim/crypto.h"
#include "sim/graph.h"
#include "sim/inside.h"

enum { SALT_NODE = 0x6e6f, SALT_CORE = 0x636f, SALT_SKEW = 0x736b };

#define CONTROL UINT32_MAX /* sorts after every node */
#define AHEAD 4            /* events between two steps of fetching */
#define ASKED_MIN (1U << 17)

/* ---- small things ---- */

void sim_settings_default(struct sim_settings *settings)
{
    *settings = (struct sim_settings){
        .sign_us = 100,
        .verify_us = 700,
        .blob_us = 130,
        .txn_us = 2000,
        .read_us = 200,
        .corp_us = 60000,
        .dial_us = XN_DIAL_US,
        .silence_us = 15000000,
        .keepalive_us = 1200000000,
        .break_ppm = 1000,
        .slow_times = 1,
        .queue_bytes = 8 << 20, /* as net/ bounds a link */
        .queue_max = 65536,
    };
}

uint64_t sim_node_draw(struct sim_world *world, uint32_t node)
{
    return xn_rng_mix(world->config.seed ^ SALT_NODE,
                      (uint64_t)node << 32 | world->nodes[node].draws++);
}

void sim_world_stop(struct sim_world *world, int rc)
{
    if (!world->rc) world->rc = rc;
}

void sim_broken(struct sim_world *world, uint32_t node, const char *fmt, ...)
{
    char why[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    if (world->hooks.broken) world->hooks.broken(world->hooks.user, node, why);
    sim_world_stop(world, XN_EINVAL);
}

uint64_t sim_world_now(const struct sim_world *world)
{
    return world->now_us;
}

/* How far the node's wall clock is from virtual time. */
static int64_t skew_us(const struct sim_world *world, uint32_t node)
{
    uint64_t most = world->config.settings.skew_us;
    uint64_t draw;

    if (!most) return 0;
    draw = xn_rng_mix(world->config.seed ^ SALT_SKEW, node);
    if (world->config.settings.skew_ppm) {
        if (draw % 1000000 >= world->config.settings.skew_ppm) return 0;
        return draw >> 32 & 1 ? (int64_t)most : -(int64_t)most;
    }
    return (int64_t)(draw % (2 * most + 1)) - (int64_t)most;
}

struct xn_now sim_world_time(const struct sim_world *world, uint32_t node)
{
    struct xn_now now = {
        .mono_us = world->now_us,
        .wall_us =
            SIM_WALL_START + world->now_us + (uint64_t)skew_us(world, node),
    };

    return now;
}

uint64_t sim_world_rtt_us(const struct sim_world *world, uint32_t a, uint32_t b)
{
    uint64_t seed = world->config.seed;

    return sim_latency_us(world->latency, seed, a, b) +
           sim_latency_us(world->latency, seed, b, a);
}

const struct sim_config *sim_world_config(const struct sim_world *world)
{
    return &world->config;
}

struct sim_settings *sim_world_settings(struct sim_world *world)
{
    return &world->config.settings;
}

const struct sim_totals *sim_world_totals(const struct sim_world *world)
{
    return &world->totals;
}

const struct xn_peers *sim_world_peers(const struct sim_world *world)
{
    return &world->contacts.peers;
}

void sim_world_digest(struct sim_world *world, xn_id *digest_out)
{
    sim_digest_now(world->digest, digest_out);
}

bool sim_world_runs(const struct sim_world *world, uint32_t node)
{
    return world->nodes[node].core != NULL;
}

uint64_t sim_world_since(const struct sim_world *world, uint32_t node)
{
    return world->nodes[node].core ? world->nodes[node].since_us : UINT64_MAX;
}

struct xn_core *sim_world_core(const struct sim_world *world, uint32_t node)
{
    return world->nodes[node].core;
}

uint32_t sim_world_running(const struct sim_world *world)
{
    return world->running;
}

uint32_t sim_world_standing(const struct sim_world *world)
{
    return world->standing;
}

/* ---- making and ending a world ---- */

int sim_world_new(const struct sim_config *config,
                  const struct sim_latency *latency,
                  const struct sim_maker *maker, const struct sim_hooks *hooks,
                  struct sim_world **world_out)
{
    struct sim_world *world;
    int rc;

    if (!config->nodes || config->nodes > SIM_NODES_MAX) return XN_EINVAL;
    world = calloc(1, sizeof *world);
    if (!world) return XN_ENOMEM;
    world->config = *config;
    world->latency = latency;
    world->maker = *maker;
    world->hooks = *hooks;
    rc = sim_queue_new(&world->queue);
    if (!rc) rc = sim_digest_new(&world->digest);
    if (!rc) rc = sim_corp_init(&world->corp, config->nodes);
    if (!rc) {
        rc = sim_contacts_init(&world->contacts, config->seed, config->nodes);
    }
    if (rc) goto out;
    rc = XN_ENOMEM;
    world->nodes = calloc(config->nodes, sizeof *world->nodes);
    world->tolls = calloc(config->nodes, sizeof *world->tolls);
    world->asked_last = ASKED_MIN - 1;
    while (world->asked_last < 2 * config->nodes)
        world->asked_last = 2 * world->asked_last + 1;
    world->asked = calloc((size_t)world->asked_last + 1, 1);
    if (!world->nodes || !world->tolls || !world->asked) goto out;
    *world_out = world;
    world = NULL;
    rc = 0;
out:
    sim_world_free(world);
    return rc;
}

static void drop_event(struct sim_event *event)
{
    xn_msg_free(event->msg);
}

void sim_world_free(struct sim_world *world)
{
    uint32_t i;

    if (!world) return;
    for (i = 0; world->nodes && i < world->config.nodes; i++) {
        xn_core_free(world->nodes[i].core);
        sim_store_free(world->nodes[i].store);
        free(world->nodes[i].links);
    }
    sim_graph_free(world->graph);
    sim_queue_free(world->queue, drop_event);
    sim_digest_free(world->digest);
    sim_corp_clear(&world->corp);
    free(world->nodes);
    free(world->tolls);
    free(world->asked);
    sim_contacts_clear(&world->contacts);
    free(world);
}

/* ---- events ---- */

void sim_push(struct sim_world *world, uint32_t from, uint64_t at_us,
              struct sim_event event)
{
    uint32_t *counter =
        from == CONTROL ? &world->control : &world->nodes[from].counter;
    int rc;

    event.at_us = at_us < world->now_us ? world->now_us : at_us;
    event.key = (uint64_t)from << 32 | (*counter)++;
    rc = sim_queue_push(world->queue, &event);
    if (!rc) return;
    xn_msg_free(event.msg);
    sim_world_stop(world, rc);
}

/* One WAKE stands in the queue per node; where the core has moved its time
 * back, the old one comes, finds that, and goes out again. */
static void want_wake(struct sim_world *world, uint32_t number,
                      uint64_t wake_us)
{
    struct sim_node *node = &world->nodes[number];
    struct sim_event event = {
        .to = number, .from = number, .mark = node->life, .kind = SIM_WAKE};

    /* A core that wants the past would never let time go on. */
    if (wake_us <= world->now_us) wake_us = world->now_us + 1;
    node->wake_us = wake_us;
    if (wake_us >= node->pending_us) return;
    node->pending_us = wake_us;
    sim_push(world, number, wake_us, event);
}

void sim_step(struct sim_world *world, uint32_t number, enum xn_ev kind,
              uint64_t ticket, int rc, xn_peer peer, struct xn_msg *msg)
{
    struct sim_node *node = &world->nodes[number];
    struct xn_event event = {
        .kind = kind, .ticket = ticket, .rc = rc, .peer = peer, .msg = msg};
    struct xn_now now = sim_world_time(world, number);
    struct xn_outbox box = {NULL, 0, UINT64_MAX};

    if (!node->core || world->rc) return;
    world->totals.events++;
    sim_digest_add(world->digest, world->now_us, number, &event);
    rc = xn_core_step(node->core, &now, &event, &box);
    if (rc) {
        sim_broken(world, number, "its step failed: %s", xn_strerror(rc));
        return;
    }
    sim_perform(world, number, &box);
    if (world->maker.said && node->core) {
        world->maker.said(world->maker.user, node->core);
    }
    want_wake(world, number, box.wake_us);
}

static void on_wake(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->to];

    if (event->mark != node->life || event->at_us != node->pending_us) return;
    node->pending_us = UINT64_MAX;
    if (node->wake_us > world->now_us) {
        want_wake(world, event->to, node->wake_us);
        return;
    }
    sim_step(world, event->to, XN_EV_WAKE, 0, 0, XN_PEER_NONE, NULL);
}

static void tell_changed(struct sim_world *world, uint32_t node, bool runs)
{
    if (!world->hooks.changed) return;
    world->hooks.changed(world->hooks.user, node, runs);
}

/* A process begins.  false: its core could not be made. */
static bool begin(struct sim_world *world, uint32_t number)
{
    struct sim_node *node = &world->nodes[number];
    uint64_t seed;
    int rc;

    node->life++;
    node->power = true;
    node->since_us = world->now_us;
    if (world->tolls[number].busy_us) world->tolls[number].busy_us = 0;
    node->wake_us = node->pending_us = UINT64_MAX;
    seed = xn_rng_mix(world->config.seed ^ SALT_CORE,
                      (uint64_t)number << 32 | node->life);
    rc = world->maker.make(world->maker.user, world, number, seed, &node->core);
    if (rc) {
        sim_broken(world, number, "cannot be made: %s", xn_strerror(rc));
        return false;
    }
    sim_count_nodes(world, 1);
    world->totals.starts++;
    world->totals.last_disturbed_us = world->now_us;
    tell_changed(world, number, true);
    return true;
}

static void on_start(struct sim_world *world, const struct sim_event *event)
{
    if (world->nodes[event->to].core || !begin(world, event->to)) return;
    sim_step(world, event->to, XN_EV_WAKE, 0, 0, XN_PEER_NONE, NULL);
}

static void on_kill(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->to];
    unsigned how = (unsigned)event->rc;
    bool power = how & SIM_END_POWER;

    if (power) node->power = false;
    if (!node->core) return;
    if (world->hooks.ending) {
        world->hooks.ending(world->hooks.user, event->to, how);
    }
    if (how & SIM_END_WIPED) {
        sim_store_free(node->store);
        node->store = NULL;
    }
    xn_core_free(node->core);
    node->core = NULL;
    sim_count_nodes(world, -1);
    world->totals.kills++;
    world->totals.last_disturbed_us = world->now_us;
    sim_link_end_all(world, event->to, power);
    tell_changed(world, event->to, false);
}

static void on_self(struct sim_world *world, const struct sim_event *event)
{
    if (event->mark != world->nodes[event->to].life) return;
    sim_step(world, event->to, event->kind == SIM_ASK ? XN_EV_ASK : XN_EV_DONE,
             event->ticket, event->rc, XN_PEER_NONE, event->msg);
}

static void handle(struct sim_world *world, const struct sim_event *event)
{
    switch ((enum sim_kind)event->kind) {
    case SIM_WAKE: on_wake(world, event); break;
    case SIM_DONE:
    case SIM_ASK: on_self(world, event); break;
    case SIM_START: on_start(world, event); break;
    case SIM_KILL: on_kill(world, event); break;
    case SIM_CONTROL:
        world->hooks.control(world->hooks.user, event->ticket);
        break;
    default: sim_link_event(world, event);
    }
}

static const struct sim_event *coming(const struct sim_world *world, size_t i)
{
    const struct sim_event *event = sim_queue_ahead(world->queue, i);

    return event && event->to != CONTROL ? event : NULL;
}

/* The next events of the slot are known: fetch their nodes, a little later the
 * nodes' cores, and then step by step what these point to. */
static void prefetch(const struct sim_world *world)
{
    const struct sim_event *event = coming(world, 4 * AHEAD);
    int steps;

    if (event) {
        __builtin_prefetch(&world->nodes[event->to]);
        __builtin_prefetch(event->msg);
    }
    event = coming(world, 3 * AHEAD + AHEAD / 2);
    if (event) {
        __builtin_prefetch(world->nodes[event->to].core);
        __builtin_prefetch(world->nodes[event->to].links);
    }
    event = coming(world, 2 * AHEAD + AHEAD / 2);
    if (event && event->kind == SIM_MSG) {
        __builtin_prefetch(&world->contacts.rows[event->from].position);
        if (world->graph) sim_graph_warm(world->graph, event->to);
    }
    for (steps = 3; steps > 0 && world->maker.warm; steps--) {
        event = coming(world, (size_t)steps * AHEAD);
        if (!event || !world->nodes[event->to].core) continue;
        world->maker.warm(world->maker.user, world->nodes[event->to].core,
                          steps);
    }
}

int sim_world_run(struct sim_world *world, uint64_t until_us)
{
    struct sim_event event;

    while (!world->rc && sim_queue_pop(world->queue, until_us, &event)) {
        world->now_us = event.at_us;
        prefetch(world);
        handle(world, &event);
        xn_msg_free(event.msg);
    }
    if (sim_queue_failed(world->queue)) sim_world_stop(world, XN_ENOMEM);
    if (!world->rc && world->now_us < until_us) world->now_us = until_us;
    return world->rc;
}

/* ---- steering ---- */

int sim_world_at(struct sim_world *world, uint64_t at_us, uint64_t what)
{
    struct sim_event event = {
        .to = CONTROL, .ticket = what, .kind = SIM_CONTROL};

    sim_push(world, CONTROL, at_us, event);
    return world->rc;
}

void sim_world_place(struct sim_world *world, uint32_t node,
                     const xn_id *position)
{
    sim_contacts_place(&world->contacts, node, position);
}

int sim_world_start(struct sim_world *world, uint32_t node, uint64_t at_us)
{
    struct sim_event event = {.to = node, .from = node, .kind = SIM_START};

    sim_push(world, node, at_us, event);
    return world->rc;
}

static void stand(struct sim_world *world, uint32_t number)
{
    struct sim_node *node = &world->nodes[number];
    struct xn_outbox box = {NULL, 0, UINT64_MAX};
    struct xn_route *routes;
    size_t n = sim_graph_of(world->graph, number, &routes);
    int rc;

    node->stands = true;
    sim_count_links(world, (int)n);
    if (!begin(world, number)) return;
    rc = world->maker.stand(world->maker.user, world, number, node->core,
                            routes, n, &box);
    if (rc) {
        sim_broken(world, number, "cannot stand: %s", xn_strerror(rc));
        return;
    }
    sim_perform(world, number, &box);
    if (world->maker.said) world->maker.said(world->maker.user, node->core);
    want_wake(world, number, box.wake_us);
}

int sim_world_stand(struct sim_world *world, struct sim_graph *graph)
{
    uint32_t i;

    if (world->graph || world->totals.starts > 0) {
        sim_graph_free(graph); /* some have links already */
        return XN_EINVAL;
    }
    world->graph = graph;
    world->standing = sim_graph_nodes(graph);
    for (i = 0; i < world->standing && !world->rc; i++)
        stand(world, i);
    return world->rc;
}

int sim_world_kill(struct sim_world *world, uint32_t node, uint64_t at_us,
                   unsigned how)
{
    struct sim_event event = {
        .to = node, .from = node, .rc = (int)how, .kind = SIM_KILL};

    sim_push(world, node, at_us, event);
    return world->rc;
}

int sim_world_ask(struct sim_world *world, uint32_t node, uint64_t ticket,
                  const Xn__Ask *ask)
{
    struct sim_event event = {.to = node,
                              .from = node,
                              .ticket = ticket,
                              .mark = world->nodes[node].life,
                              .kind = SIM_ASK};
    int rc = xn_msg_new(XN__KIND__ASK, ask, &event.msg);

    if (rc) return rc;
    sim_push(world, node, world->now_us, event);
    return world->rc;
}

int sim_world_perform(struct sim_world *world, uint32_t node,
                      const struct xn_outbox *box)
{
    sim_perform(world, node, box);
    /* The core's timers may have moved: let it say so. */
    want_wake(world, node, world->now_us + 1);
    return world->rc;
}
