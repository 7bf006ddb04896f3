/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who a peer handle is.  The driver fills the table before it hands out a
 * handle and keeps the row until GONE has been handled; cores only read.  A
 * daemon has its own table; the nodes of a simulation share one, so a routing
 * entry costs a node 4 bytes (struct xn_route).
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

/* A large table has what is looked for in it side by side, too. */
struct xn_peers {
    const struct xn_contact *rows; /* indexed by handle */
    size_t n;
    const uint32_t *heads; /* first bits of their positions; NULL: in rows */
    /* Whose id is it?  XN_PEER_NONE: nobody's.  NULL: look through them. */
    xn_peer (*find)(const struct xn_peers *peers, const xn_id *id);
};

#define XN_PEERS_MAX (1U << 23) /* handles are below */

/* Whom a node is linked to; the rest is the node's (overlay/ring.c). */
struct xn_route {
    uint32_t peer : 23;
    uint32_t silent : 1;
    uint32_t near : 8;
};

static inline const struct xn_contact *xn_peer_contact(
    const struct xn_peers *peers, xn_peer peer)
{
    return &peers->rows[peer];
}

static inline uint32_t xn_peer_head(const struct xn_peers *peers, xn_peer peer)
{
    if (peers->heads) return peers->heads[peer];
    return (uint32_t)(xn_id_head(&peers->rows[peer].position) >> 32);
}

#endif
