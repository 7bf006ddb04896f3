/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp core: registers nodes, servers and clients, has certificates
 * issued for them, and hands out random live nodes.
 *
 * Registrations rest in the store alone and are read when they are wanted, so
 * memory does not grow with them; live nodes are kept in memory and written
 * lazily, so that a restarted corp still has some to hand out.  Times are
 * microseconds.  Paths and bodies: doc/PROTOCOL.md. */
#ifndef CORP_CORP_H
#define CORP_CORP_H

#include "seam/xn_core.h"
#include "wire/id.h"

struct corp_config {
    const char *name;           /* "alpha.example" */
    const uint8_t *certificate; /* the corp's own, DER; copied */
    size_t certificate_len;
    const char *invitation;  /* demanded of registrants; NULL: none */
    uint64_t certificate_us; /* life of what is issued; 90 days */
    uint64_t alive_us;       /* a node counts as live so long; 180 s */
    uint32_t sample_max;     /* contacts handed out; 16 */
    uint32_t nodes_max;      /* remembered; 1 000 000 */
};

/* Every number at its design value; name, certificate, invitation empty. */
void corp_config_default(struct corp_config *config);
/* Copies the configuration.  XN_ENOMEM; XN_EINVAL: no name or certificate, or
 * a number out of range. */
int corp_new(const struct corp_config *config, uint64_t seed,
             struct xn_core **core_out);

#endif
