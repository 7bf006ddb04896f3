/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/budget.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "lib/bucket.h"
#include "lib/err.h"
#include "lib/rng.h"

enum { PLACES = 4096 };

struct net_budget {
    struct xn_rate rate;
    uint64_t secret;
    uint64_t places[PLACES]; /* xn_bucket_take */
};

int net_budget_new(unsigned per_s, struct net_budget **budget_out)
{
    struct net_budget *budget = calloc(1, sizeof *budget);

    if (!budget) return XN_ENOMEM;
    budget->rate.step_us = 1000000 / per_s;
    budget->rate.burst = 2 * per_s;
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
    uint64_t *place =
        &budget->places[xn_rng_mix(budget->secret, source) % PLACES];

    return xn_bucket_take(place, &budget->rate, now_us) == 0;
}
