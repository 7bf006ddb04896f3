/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/wire.h"

#include "sim/inside.h"

#define SEGMENT 1448 /* of an MTU of 1500 */
#define RECORD 22
#define RECORD_MAX 16384 /* of what is inside */

uint64_t sim_wire_message(size_t bytes)
{
    uint64_t records = (bytes + RECORD_MAX - 1) / RECORD_MAX;
    uint64_t stream = bytes + RECORD * (records ? records : 1);
    uint64_t segments = (stream + SEGMENT - 1) / SEGMENT;

    return stream + SIM_WIRE_EMPTY * (segments + (segments + 1) / 2);
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

void sim_spend_message(struct sim_world *world, const struct xn_msg *msg,
                       uint64_t bytes)
{
    unsigned carried = 0;

    if (msg->kind == XN__KIND__REQUEST)
        carried = XN_BODY(msg, Xn__Request)->kind;
    if (msg->kind == XN__KIND__REPLY) carried = XN_BODY(msg, Xn__Reply)->kind;
    spend(world, msg->kind, carried, bytes);
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
    uint64_t idle_us = world->config.settings.keepalive_us / 2 + 1;

    sim_count_links(world, 0);
    return world->totals.link_us / idle_us * SIM_WIRE_PROBE;
}

uint64_t sim_world_wire_bytes(struct sim_world *world)
{
    sim_count_nodes(world, 0);
    return world->totals.wire_bytes + sim_world_probe_bytes(world);
}
