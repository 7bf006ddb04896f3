/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who a peer handle is.  The driver fills the table before it hands out a
 * handle and keeps the row until GONE has been handled; cores only read.  A
 * daemon has its own table; the nodes of a simulation share one, so a routing
 * entry costs a node 4 bytes.
 */
#ifndef SEAM_PEERS_H
#define SEAM_PEERS_H

#include "seam/xn_core.h"
#include "wire/id.h"

struct xn_contact {
    xn_id id;
    xn_id position;
    xn_id corp;
    uint64_t not_after_us; /* of its certificate, wall time */
    const char *address;   /* in simulations; else NULL: its HELLO says it */
};

struct xn_peers {
    const struct xn_contact *rows; /* indexed by handle */
    size_t n;
};

static inline const struct xn_contact *xn_peer_contact(
    const struct xn_peers *peers, xn_peer peer)
{
    return &peers->rows[peer];
}

#endif
