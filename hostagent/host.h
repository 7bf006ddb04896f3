/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent's core.  Here: it writes the server's advertisement, has it
 * signed, publishes it through a node, renews the lease, fails over to another
 * node, answers query status, withdraws on request. */
#ifndef HOSTAGENT_HOST_H
#define HOSTAGENT_HOST_H

#include "seam/xn_core.h"
#include "wire/advert.h"

#define HOST_NODES_MAX 16

struct host_config {
    xn_id id;
    const struct advert_offer *offer;  /* copied */
    const char *nodes[HOST_NODES_MAX]; /* API URLs, tried in turn */
    size_t n_nodes;
    uint64_t lease_us; /* 15 min */
    uint64_t renew_us; /* 5 min */
    uint64_t watch_us; /* is our node alive? 5 s */
};

void host_config_default(struct host_config *config);
int host_new(const struct host_config *config, uint64_t seed,
             struct xn_core **core_out);

#endif
