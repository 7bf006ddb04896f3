/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/gate.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "lib/bucket.h"
#include "lib/err.h"
#include "lib/rng.h"

enum {
    PLACES = 1024,
    SHARES = 64,  /* a network is forgiven so many times as slowly */
    COUNTED = 16, /* no more than so many are held against it */
    HASTE = 8,    /* it may have begun one in so many of what is left */
};

struct net_gate {
    struct xn_rate rate;
    uint64_t full_us[2]; /* of strangers, of members: xn_bucket_take */
    uint64_t secret;
    uint64_t known[PLACES];    /* a member's source, mixed; 0: none */
    uint64_t begun_us[PLACES]; /* by network: until then some are counted */
};

int net_gate_new(unsigned per_s, struct net_gate **gate_out)
{
    struct net_gate *gate = calloc(1, sizeof *gate);

    if (!gate) return XN_ENOMEM;
    if (per_s) {
        gate->rate.step_us = 1000000 / per_s;
        gate->rate.burst = per_s / 2 + 1;
    }
    if (RAND_bytes((uint8_t *)&gate->secret, sizeof gate->secret) != 1) {
        free(gate);
        return XN_EIO;
    }
    *gate_out = gate;
    return 0;
}

void net_gate_free(struct net_gate *gate)
{
    free(gate);
}

static uint64_t mixed(const struct net_gate *gate, uint64_t source)
{
    return xn_rng_mix(gate->secret, source) | 1U << 31;
}

/* A member has one place, from wherever it comes: else one that has a network
 * would put all others out.  Where members fall nobody outside can know. */
void net_gate_know(struct net_gate *gate, uint64_t member, uint64_t source)
{
    gate->known[xn_rng_mix(gate->secret, member) % PLACES] =
        mixed(gate, source);
}

bool net_gate_knows(const struct net_gate *gate, uint64_t source)
{
    uint64_t mark = mixed(gate, source);
    size_t i = 0;

    while (i < PLACES && gate->known[i] != mark)
        i++;
    return i < PLACES;
}

static uint64_t left_of(uint64_t until_us, uint64_t now_us)
{
    return until_us > now_us ? until_us - now_us : 0;
}

/* Those of a network that begin count for a while. */
static bool has_turn(const struct net_gate *gate, uint64_t begun_us,
                     uint64_t now_us)
{
    uint64_t step_us = gate->rate.step_us, burst = gate->rate.burst;
    uint64_t left = burst - left_of(gate->full_us[false], now_us) / step_us;

    return 2 * left > burst ||
           HASTE * left_of(begun_us, now_us) < left * SHARES * step_us;
}

static uint64_t take_stranger(struct net_gate *gate, uint64_t *begun_us,
                              uint64_t now_us)
{
    uint64_t one_us = SHARES * gate->rate.step_us, owed_us, wait_us;

    if (!has_turn(gate, *begun_us, now_us)) return gate->rate.step_us;
    wait_us = xn_bucket_take(&gate->full_us[false], &gate->rate, now_us);
    if (wait_us) return wait_us;
    owed_us = left_of(*begun_us, now_us) + one_us;
    if (owed_us > COUNTED * one_us) owed_us = COUNTED * one_us;
    *begun_us = now_us + owed_us;
    return 0;
}

uint64_t net_gate_take(struct net_gate *gate, bool known, uint64_t network,
                       uint64_t now_us)
{
    if (!known && network && gate->rate.step_us)
        return take_stranger(
            gate, &gate->begun_us[xn_rng_mix(gate->secret, network) % PLACES],
            now_us);
    return xn_bucket_take(&gate->full_us[known], &gate->rate, now_us);
}
