/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often somebody may do something: a token bucket.  All that is kept of one
 * is the time at which it will be full again; 0, or any time that has passed:
 * it is full.  Microseconds of a clock that does not jump. */
#ifndef LIB_BUCKET_H
#define LIB_BUCKET_H

#include <stdint.h>

struct xn_rate {
    uint32_t burst;   /* so many at once */
    uint64_t step_us; /* then one in each such time; 0: no bound at all */
};

/* Takes one and returns 0; or takes none and returns how long to wait. */
uint64_t xn_bucket_take(uint64_t *full_us, const struct xn_rate *rate,
                        uint64_t now_us);

#endif
