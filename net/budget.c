/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/budget.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "lib/rng.h"

enum { PLACES = 4096 };

struct bucket {
    uint64_t full_us; /* when it will be full again; long ago: it is */
};

struct net_budget {
    uint64_t cost_us; /* of one request */
    uint64_t depth_us;
    uint64_t secret;
    struct bucket places[PLACES];
};

int net_budget_new(unsigned per_s, struct net_budget **budget_out)
{
    struct net_budget *budget = calloc(1, sizeof *budget);

    if (!budget) return XN_ENOMEM;
    budget->cost_us = 1000000 / per_s;
    budget->depth_us = 2 * 1000000;
    if (RAND_bytes((uint8_t *)&budget->secret, sizeof budget->secret) != 1) {
        free(budget);
        return XN_EIO;
    }
    *budget_out = budget;
    return 0;
}

void net_budget_free(struct net_budget *budget)
{
    free(budget);
}

bool net_budget_take(struct net_budget *budget, uint64_t source,
                     uint64_t now_us)
{
    struct bucket *b =
        &budget->places[xn_rng_mix(budget->secret, source) % PLACES];
    uint64_t full_us = b->full_us > now_us ? b->full_us : now_us;

    if (full_us + budget->cost_us > now_us + budget->depth_us) return false;
    b->full_us = full_us + budget->cost_us;
    return true;
}
