/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only clocks of a daemon. */
#ifndef NET_CLOCK_H
#define NET_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t net_clock_us(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline uint64_t net_mono_us(void)
{
    return net_clock_us(CLOCK_MONOTONIC);
}

static inline uint64_t net_wall_us(void)
{
    return net_clock_us(CLOCK_REALTIME);
}

#endif
