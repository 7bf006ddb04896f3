/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node core in the simulator: how it is made, set, and looked into. */
#ifndef SIM_WITH_NODE_H
#define SIM_WITH_NODE_H

#include "sim/run.h"

struct sim_nodes;

int sim_nodes_new(struct sim_nodes **nodes_out);
void sim_nodes_free(struct sim_nodes *nodes);
void sim_nodes_maker(struct sim_nodes *nodes, struct sim_maker *maker_out);
void sim_nodes_probe(struct sim_nodes *nodes, struct sim_probe *probe_out);

#endif
