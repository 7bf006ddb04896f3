/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/vain.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "lib/bucket.h"
#include "lib/err.h"
#include "lib/rng.h"

enum { PLACES = 4096 };

static const struct xn_rate rate = {NET_VAIN_BURST, NET_VAIN_STEP_US};

/* Networks that fall on one place share it, and where they fall nobody outside
 * can know. */
struct net_vain {
    uint64_t secret;
    uint64_t full_us[PLACES]; /* xn_bucket_take */
};

int net_vain_new(struct net_vain **vain_out)
{
    struct net_vain *vain = calloc(1, sizeof *vain);

    if (!vain) return XN_ENOMEM;
    if (RAND_bytes((uint8_t *)&vain->secret, sizeof vain->secret) != 1) {
        free(vain);
        return XN_EIO;
    }
    *vain_out = vain;
    return 0;
}

void net_vain_free(struct net_vain *vain)
{
    free(vain);
}

static uint64_t *place_of(struct net_vain *vain, uint64_t network)
{
    return &vain->full_us[xn_rng_mix(vain->secret, network) % PLACES];
}

/* This machine's own troubles nobody. */
bool net_vain_take(struct net_vain *vain, uint64_t network, uint64_t now_us)
{
    return network == 0 ||
           xn_bucket_take(place_of(vain, network), &rate, now_us) == 0;
}

void net_vain_give_back(struct net_vain *vain, uint64_t network)
{
    uint64_t *full_us = place_of(vain, network);

    if (network && *full_us >= rate.step_us) *full_us -= rate.step_us;
}
