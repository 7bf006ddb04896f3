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

#include "corp/policy.h"
#include "lib/bucket.h"
#include "seam/xn_core.h"
#include "wire/id.h"

struct corp_config {
    const char *name;           /* "alpha.example" */
    const uint8_t *certificate; /* the corp's own, DER; copied */
    size_t certificate_len;
    bool invited;            /* an invitation is demanded of registrants: */
    xn_id invitation;        /* SHA-256 of the word */
    uint64_t certificate_us; /* life of what is issued; 90 days */
    uint64_t alive_us;       /* a node counts as live so long; 180 s */
    uint32_t sample_max;     /* contacts handed out; 16 */
    uint32_t nodes_max;      /* remembered; 1 000 000 */
    xn_id id; /* of its key; zero: it keeps no ledger and sells nothing */
    const struct corp_prepay *prepay; /* "none" */
    const struct corp_payout *payout; /* "all" */
    uint32_t share_ppm;               /* the corp's, with "share"; 0 */
    int64_t
        most; /* micro-units paid in, or given as credit, at once; 0: no bound; 1e12 */
    uint64_t slack_us; /* forgiven between clocks in a claim; 2 s */
    uint64_t grace_us; /* for claims behind an order's end or stop; 10 min */
    struct xn_rate orders; /* of one client; 1000, then one a second */
    struct xn_rate
        claims; /* of one server but the last of a session; 6000, then 100 a second */
    struct xn_rate registers; /* from one address; 1000, then one a second */
    /* Of these, keys of nodes that get a place on the ring: 100, then ten a
     * day. */
    struct xn_rate places;
};

/* Every number at its design value; name, certificate, invitation empty. */
void corp_config_default(struct corp_config *config);
/* Demand this word. */
void corp_config_invite(struct corp_config *config, const char *word);
/* Copies the configuration.  XN_ENOMEM; XN_EINVAL: no name or certificate, or
 * a number out of range. */
int corp_new(const struct corp_config *config, uint64_t seed,
             struct xn_core **core_out);

/* The configuration as bytes (an Xn__CorpSetup), for the head of a recording;
 * *bytes_out is the caller's (free).  Holds no secret. */
int corp_config_pack(const struct corp_config *config, uint8_t **bytes_out,
                     size_t *len_out);
/* A core from such bytes.  XN_EINVAL. */
int corp_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                    struct xn_core **core_out);

#endif
