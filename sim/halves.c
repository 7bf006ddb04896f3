/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's halves of links: a table by peer, open addressing, linear, without
 * tombstones.  Those that stand from the start and rest are in the graph alone. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/graph.h"
#include "sim/inside.h"

static uint32_t home_of(const struct sim_node *node, uint32_t peer)
{
    return (peer * 2654435761U) & (node->links_cap - 1);
}

struct sim_link *sim_halves_find(const struct sim_node *node, uint32_t peer)
{
    uint32_t i;

    if (!node->links_cap) return NULL;
    for (i = home_of(node, peer); node->links[i].state != SIM_FREE;
         i = (i + 1) & (node->links_cap - 1)) {
        if (node->links[i].peer == peer) return &node->links[i];
    }
    return NULL;
}

static struct sim_link *place(struct sim_node *node, uint32_t peer)
{
    uint32_t i = home_of(node, peer);

    while (node->links[i].state != SIM_FREE)
        i = (i + 1) & (node->links_cap - 1);
    memset(&node->links[i], 0, sizeof node->links[i]);
    node->links[i].peer = peer;
    node->links_n++;
    return &node->links[i];
}

/* Does it stand, with nothing on its way that the next must not overtake? */
static bool rests(const struct sim_world *world, const struct sim_link *link)
{
    return link->state == SIM_UP && link->conn == SIM_STOOD &&
           link->last_us <= world->now_us;
}

/* Room for one more: those that rest go, else the table grows. */
static int make_room(const struct sim_world *world, struct sim_node *node)
{
    uint32_t old_cap = node->links_cap, cap = old_cap ? old_cap : 4, i, n = 0;
    struct sim_link *old = node->links, *links;

    for (i = 0; i < old_cap; i++)
        n += old[i].state != SIM_FREE && !rests(world, &old[i]);
    while (2 * (n + 1) > cap)
        cap *= 2;
    links = calloc(cap, sizeof *links);
    if (!links) return XN_ENOMEM;
    node->links = links;
    node->links_cap = cap;
    node->links_n = 0;
    for (i = 0; i < old_cap; i++) {
        if (old[i].state == SIM_FREE || rests(world, &old[i])) continue;
        *place(node, old[i].peer) = old[i];
    }
    free(old);
    return 0;
}

struct sim_link *sim_halves_add(struct sim_world *world, uint32_t number,
                                uint32_t peer, enum sim_half state,
                                uint64_t conn)
{
    struct sim_node *node = &world->nodes[number];
    struct sim_link *link = sim_halves_find(node, peer); /* ended, if any */

    if (!link) {
        if (4 * (node->links_n + 1) > 3 * node->links_cap &&
            make_room(world, node)) {
            sim_world_stop(world, XN_ENOMEM);
            return NULL;
        }
        link = place(node, peer);
    }
    *link =
        (struct sim_link){.peer = peer, .state = (uint8_t)state, .conn = conn};
    return link;
}

struct sim_link *sim_halves_of(struct sim_world *world, uint32_t number,
                               uint32_t peer)
{
    const struct sim_node *node = &world->nodes[number];
    struct sim_link *link = sim_halves_find(node, peer);

    if (link) return link->state == SIM_ENDED ? NULL : link;
    if (!node->stands || !sim_graph_links(world->graph, number, peer)) {
        return NULL;
    }
    link = sim_halves_add(world, number, peer, SIM_UP, SIM_STOOD);
    if (link) link->brief = true; /* its HELLOs came long ago */
    return link;
}

static void vacate(struct sim_node *node, struct sim_link *link)
{
    uint32_t mask = node->links_cap - 1;
    uint32_t hole = (uint32_t)(link - node->links), i = hole, home;

    node->links_n--;
    for (;;) {
        i = (i + 1) & mask;
        if (node->links[i].state == SIM_FREE) break;
        home = home_of(node, node->links[i].peer);
        /* May it move up to the hole?  Only if its home is not between. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            node->links[hole] = node->links[i];
            hole = i;
        }
    }
    node->links[hole].state = SIM_FREE;
}

void sim_halves_drop(struct sim_world *world, uint32_t number,
                     struct sim_link *link)
{
    struct sim_node *node = &world->nodes[number];

    if (node->stands && sim_graph_links(world->graph, number, link->peer))
        link->state = SIM_ENDED;
    else
        vacate(node, link);
}

void sim_halves_keep(struct sim_world *world, uint32_t number)
{
    struct xn_route *routes;
    size_t n, i;

    if (!world->nodes[number].stands) return;
    n = sim_graph_of(world->graph, number, &routes);
    /* Else those that rest would go when the table grows. */
    for (i = 0; i < n; i++) {
        struct sim_link *link = sim_halves_of(world, number, routes[i].peer);

        if (link && rests(world, link)) link->last_us = world->now_us + 1;
    }
}

uint32_t sim_world_links(const struct sim_world *world, uint32_t number)
{
    const struct sim_node *node = &world->nodes[number];
    struct xn_route *routes;
    uint32_t up = 0, i;

    for (i = 0; i < node->links_cap; i++)
        up += node->links[i].state == SIM_UP &&
              world->nodes[node->links[i].peer].core != NULL;
    if (!node->stands) return up;
    for (i = (uint32_t)sim_graph_of(world->graph, number, &routes); i > 0; i--)
        up += !sim_halves_find(node, routes[i - 1].peer) &&
              world->nodes[routes[i - 1].peer].core != NULL;
    return up;
}
