/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ledger program of the soak test hears and says: these structs over
 * pipes, between two ends of one build. */
#ifndef TESTS_SOAK_LEDGER_RUN_H
#define TESTS_SOAK_LEDGER_RUN_H

#include <stdint.h>

#define RUN_ACCOUNTS 40 /* 0 is the world, which may go below zero */

struct run_request {
    uint64_t n; /* the operation's id */
    uint32_t from, to;
    int64_t micro;
};

/* n 0: it is ready; rc other than 0: it is not, and ends. */
struct run_reply {
    uint64_t n;
    uint64_t seq;
    uint32_t index;
    int32_t rc;
    int64_t balances[2];
    uint64_t repeated;
};

#endif
