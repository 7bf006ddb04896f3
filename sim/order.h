/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes as they stand on the ring. */
#ifndef SIM_ORDER_H
#define SIM_ORDER_H

#include "seam/peers.h"

/* The first n of the table in the order of their positions; room for n.
 * XN_ENOMEM. */
int sim_order(const struct xn_peers *peers, uint32_t n, uint32_t *nodes_out);

#endif
