/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/rng.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void xn_rng_seed(struct xn_rng *rng, uint64_t seed)
{
    int i;

    for (i = 0; i < 4; i++)
        rng->s[i] = splitmix(&seed);
}

uint64_t xn_rng_u64(struct xn_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t xn_rng_below(struct xn_rng *rng, uint64_t n)
{
    uint64_t limit, x;

    if (n == 0) return 0;
    limit = UINT64_MAX - UINT64_MAX % n; /* no bias towards small values */
    do
        x = xn_rng_u64(rng);
    while (x >= limit);
    return x % n;
}

uint64_t xn_rng_between(struct xn_rng *rng, uint64_t lo, uint64_t hi)
{
    uint64_t span = hi - lo;

    return span == UINT64_MAX ? xn_rng_u64(rng)
                              : lo + xn_rng_below(rng, span + 1);
}

double xn_rng_unit(struct xn_rng *rng)
{
    return (double)(xn_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t xn_rng_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a;
    uint64_t x = splitmix(&state) ^ b;

    return splitmix(&x);
}
