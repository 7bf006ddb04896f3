/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is linked to whom in a converged overlay: what joins and the upkeep of
 * tables end in, without doing them.
 *
 * Each node is linked to its leaf set and, in each place of its prefix table
 * that has anybody, to the nearest in round trip of some at random.  A link
 * counts for both ends.  Nobody goes over its budget, and room for places that
 * are still empty is not given away: so those who are near to all do not end
 * with links to a part of the ring alone.
 */
#ifndef SIM_GRAPH_H
#define SIM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "overlay/table.h"
#include "seam/peers.h"
#include "sim/latency.h"

struct sim_graph;

struct sim_graph_config {
    uint32_t nodes, links_max, leaves; /* leaves on each side */
    uint32_t candidates;               /* looked at for one place */
    uint64_t seed;
};

/* XN_ENOMEM. */
int sim_graph_new(const struct sim_graph_config *config,
                  const struct xn_peers *peers,
                  const struct sim_latency *latency,
                  struct sim_graph **graph_out);
void sim_graph_free(struct sim_graph *graph);

uint32_t sim_graph_nodes(const struct sim_graph *graph); /* from 0 on */

/* The nodes that this one is linked to, in the order of their positions; they
 * live as long as the graph.  What a route says beside the peer is the node's. */
size_t sim_graph_of(const struct sim_graph *graph, uint32_t node,
                    struct xn_route **routes_out);
bool sim_graph_links(const struct sim_graph *graph, uint32_t a, uint32_t b);
/* Fetches what the next question after links of this node will look at. */
void sim_graph_warm(const struct sim_graph *graph, uint32_t node);

#endif
