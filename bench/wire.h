/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What bench/charges says to bench/ledgerd over a Unix socket: these structs,
 * between two ends of one build. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdint.h>

enum { BENCH_OPEN, BENCH_CHARGE };

struct bench_request {
    uint8_t id[32];
    uint32_t what, from, to; /* OPEN: `to`, with `micro` in it */
    int64_t micro;
};

struct bench_reply {
    int32_t rc;
    uint32_t index;
    uint64_t seq;
};

#endif
