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

static size_t place_of(const struct net_vain *vain, uint64_t network)
{
    return xn_rng_mix(vain->secret, network) % PLACES;
}

/* This machine's own troubles nobody. */
bool net_vain_may(const struct net_vain *vain, uint64_t network,
                  uint64_t now_us)
{
    uint64_t full_us = vain->full_us[place_of(vain, network)];

    return network == 0 || xn_bucket_take(&full_us, &rate, now_us) == 0;
}

void net_vain_count(struct net_vain *vain, uint64_t network, uint64_t now_us)
{
    xn_bucket_take(&vain->full_us[place_of(vain, network)], &rate, now_us);
}
