/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/wire.h"

#include <string.h>

#include "lib/rng.h"
#include "sim/inside.h"

#define SEGMENT 1448 /* of an MTU of 1500 */
#define RECORD 22
#define RECORD_MAX 16384 /* of what is inside */
#define CARRIED_MS 40

uint64_t sim_wire_message(size_t bytes)
{
    uint64_t records = (bytes + RECORD_MAX - 1) / RECORD_MAX;
    uint64_t stream = bytes + RECORD * (records ? records : 1);
    uint64_t segments = (stream + SEGMENT - 1) / SEGMENT;

    return stream + SIM_WIRE_EMPTY * (segments + (segments - 1) / 2);
}

size_t sim_wire_head(size_t body, bool brief)
{
    if (!brief) return 6;
    return body < 1U << 7 ? 2 : body < 1U << 14 ? 3 : 4;
}

/* What it still owed and no answer carried in time. */
static uint64_t overdue(struct sim_wire_end *end, uint32_t now_ms)
{
    if (!end->owes || now_ms - end->got_ms <= CARRIED_MS) return 0;
    end->owes = false;
    end->quick = true;
    return SIM_WIRE_EMPTY;
}

uint64_t sim_wire_sends(struct sim_wire_end *end, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    uint64_t bytes = overdue(end, now_ms);

    if (end->got_ms && now_ms - end->got_ms <= CARRIED_MS) end->quick = false;
    end->owes = false;
    return bytes;
}

uint64_t sim_wire_gets(struct sim_wire_end *end, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    uint64_t bytes = overdue(end, now_ms);
    bool at_once = end->quick || end->owes;

    end->got_ms = now_ms;
    end->owes = !at_once;
    return bytes + (at_once ? SIM_WIRE_EMPTY : 0);
}

static void spend(struct sim_world *world, unsigned kind, unsigned what,
                  uint64_t bytes)
{
    struct sim_spent *spent =
        &world->totals.spent[kind % SIM_PURPOSES][what % SIM_PURPOSES];

    spent->n++;
    spent->bytes += bytes;
    world->totals.wire_bytes += bytes;
}

void sim_spend(struct sim_world *world, enum sim_purpose what, uint64_t bytes)
{
    spend(world, 0, what, bytes);
}

static uint8_t *asked(struct sim_world *world, uint32_t node, uint64_t rid)
{
    return &world->asked[xn_rng_mix(node, rid) & world->asked_last];
}

/* A REPLY need not say what it answers: who asked knows. */
static unsigned carried(struct sim_world *world, uint32_t from, uint32_t to,
                        const struct xn_msg *msg)
{
    const Xn__Request *request;
    const Xn__Reply *reply;

    if (msg->kind == XN__KIND__REQUEST) {
        request = XN_BODY(msg, Xn__Request);
        *asked(world, from, request->rid) = (uint8_t)request->kind;
        return request->kind;
    }
    if (msg->kind != XN__KIND__REPLY) return 0;
    reply = XN_BODY(msg, Xn__Reply);
    if (reply->kind || reply->rc) return reply->kind;
    return *asked(world, to, reply->rid) + 1U;
}

void sim_spend_message(struct sim_world *world, uint32_t from, uint32_t to,
                       const struct xn_msg *msg, uint64_t bytes)
{
    spend(world, msg->kind, carried(world, from, to, msg), bytes);
}

/* The first probe comes after half of the time (net/link.c). */
static uint64_t idle_us(const struct sim_world *world)
{
    return world->config.settings.keepalive_us / 2 + 1;
}

void sim_talk(struct sim_world *world, struct sim_link *link, bool sends)
{
    uint32_t now_ms = (uint32_t)(world->now_us / 1000);
    uint64_t bytes = sends ? sim_wire_sends(&link->end, world->now_us)
                           : sim_wire_gets(&link->end, world->now_us);

    if (link->end.talked_ms) {
        uint64_t gap_us = 1000 * (uint64_t)(now_ms - link->end.talked_ms);

        world->totals.talk_us += gap_us % idle_us(world);
    }
    link->end.talked_ms = now_ms;
    if (bytes) sim_spend(world, SIM_ACKS, bytes);
}

void sim_count_links(struct sim_world *world, int more)
{
    world->totals.link_us +=
        world->links_up * (world->now_us - world->links_since_us);
    world->links_since_us = world->now_us;
    world->links_up += (uint64_t)(int64_t)more;
}

void sim_count_nodes(struct sim_world *world, int more)
{
    world->totals.node_us +=
        world->running * (world->now_us - world->running_since_us);
    world->running_since_us = world->now_us;
    world->running += (uint32_t)more;
}

uint64_t sim_world_probe_bytes(struct sim_world *world)
{
    /* The first probe comes after half of the time (net/link.c). */
    const struct sim_totals *totals = &world->totals;

    sim_count_links(world, 0);
    if (totals->talk_us > totals->link_us) return 0;
    return (totals->link_us - totals->talk_us) / idle_us(world) *
           SIM_WIRE_PROBE;
}

void sim_world_measure(struct sim_world *world)
{
    struct sim_totals *totals = &world->totals;

    sim_count_links(world, 0);
    sim_count_nodes(world, 0);
    memset(totals->spent, 0, sizeof totals->spent);
    totals->wire_bytes = 0;
    totals->link_us = totals->talk_us = totals->node_us = 0;
}

uint64_t sim_world_wire_bytes(struct sim_world *world)
{
    sim_count_nodes(world, 0);
    return world->totals.wire_bytes + sim_world_probe_bytes(world);
}
