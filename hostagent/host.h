/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core.  It writes the server's advertisement, has it signed,
 * publishes it through a node, renews the lease, fails over to another node,
 * answers query status, withdraws on request; and it sells: quotes, sessions
 * for orders, claims for what they use (session.h).
 *
 * A version is durable, with every place that may hold it or an older one,
 * before it is said to anybody: after a crash the next version is higher and
 * goes wherever an old one may still lie.  Times are microseconds. */
#ifndef HOSTAGENT_HOST_H
#define HOSTAGENT_HOST_H

#include "seam/xn_core.h"
#include "wire/advert.h"

#define HOST_NODES_MAX 16
#define HOST_SESSIONS_MAX 4096 /* bound of sessions_max */
#define HOST_MEMBERS_MAX 32

struct host_member { /* an agent with a machine of the cluster (member.h) */
    xn_id id;
    const char *url; /* "https://..."; copied */
};

struct host_config {
    xn_id id;
    xn_id certificate; /* SHA-256 of its DER: another one than before asks for
                        * a new version, since the old envelope would expire */
    const struct advert_offer *offer;  /* copied */
    const char *nodes[HOST_NODES_MAX]; /* API URLs, tried in turn; copied */
    size_t n_nodes;
    uint64_t lease_us; /* 15 min */
    uint64_t renew_us; /* 5 min */
    uint64_t watch_us; /* is our node alive? 5 s */

    /* Selling. */
    xn_id corp;            /* that certified this server; zero: sells nothing */
    const char *corp_url;  /* "https://..."; copied */
    uint64_t quote_us;     /* how long a quote holds; 5 min */
    uint64_t charge_us;    /* between two claims of a session; 10 s */
    uint64_t patience_us;  /* for the corp's word on an order, while capacity is
                           * set apart; 30 s */
    uint64_t pause_us;     /* from an order's being spent to the end; 10 s */
    uint64_t activity_us;  /* notes of whom tasks talked to are kept; 90 days */
    uint32_t notes_max;    /* and no more of them than that; 1 000 000 */
    uint64_t notes_bytes;  /* nor more bytes of them together; 1e9 */
    uint32_t sessions_max; /* remembered, ended ones included; 256 */
    bool sandbox;          /* sessions run tasks, through xenodomd; else they
                            * reserve capacity and nothing runs */
    bool images;           /* tasks may bring one: FETCH */
    bool xen;           /* with `sandbox`: each task in a domain of its own */
    const char *image;  /* with `xen`: the folder with the kernel; copied */
    uint64_t policy_us; /* the operator's program is asked (ADMIT) and has so
                         * long; 0: there is none */
    bool policy_open;   /* what it gives no answer to is accepted */
    /* With `sandbox`: the machines that it speaks for, besides its own. */
    struct host_member members[HOST_MEMBERS_MAX];
    size_t n_members;
    bool bare;         /* it has none of its own */
    uint64_t grace_us; /* from the first question that a member does not answer
                        * to the end of the sessions there; 30 s */
};

/* The times as given beside them; all else empty. */
void host_config_default(struct host_config *config);
/* XN_ENOMEM; XN_EINVAL: no offer, no node, or times that cannot work (a lease
 * that is not longer than two renewals). */
int host_new(const struct host_config *config, uint64_t seed,
             struct xn_core **core_out);

/* The configuration as bytes (an Xn__HostSetup), for the head of a recording;
 * *bytes_out is the caller's (free). */
int host_config_pack(const struct host_config *config, uint8_t **bytes_out,
                     size_t *len_out);
/* A core from such bytes.  XN_EINVAL. */
int host_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                    struct xn_core **core_out);

#endif
