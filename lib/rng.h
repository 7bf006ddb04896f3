/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A seeded generator for choices that must repeat (which peer, how much
 * jitter); never for keys or salts; what others get to
 * see goes through a one-way hash.  xoshiro256** with a splitmix64 start:
 * Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM
 * TOMS 47(4), 2021.
 */
#ifndef LIB_RNG_H
#define LIB_RNG_H

#include <stdint.h>

struct xn_rng {
    uint64_t s[4];
};

void xn_rng_seed(struct xn_rng *rng, uint64_t seed);
uint64_t xn_rng_u64(struct xn_rng *rng);
/* Uniform in [0, n); 0 when n is 0. */
uint64_t xn_rng_below(struct xn_rng *rng, uint64_t n);
/* Uniform in [lo, hi]. */
uint64_t xn_rng_between(struct xn_rng *rng, uint64_t lo, uint64_t hi);
/* Uniform in [0, 1). */
double xn_rng_unit(struct xn_rng *rng);
/* One well-mixed value from two: seeds for parts of a run. */
uint64_t xn_rng_mix(uint64_t a, uint64_t b);

#endif
