/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A toy core for trying drivers: dials its contacts, pings a random peer once
 * a period, signs and stores when it starts, answers one request. */
#ifndef TESTS_TOY_CORE_H
#define TESTS_TOY_CORE_H

#include "seam/xn_core.h"

#define TOY_PEERS_MAX 64
#define TOY_CONTACTS_MAX 16

struct toy_config {
    const char *contacts[TOY_CONTACTS_MAX]; /* addresses; copied */
    size_t n_contacts;
    uint64_t period_us;
};

struct toy_counts {
    uint64_t ups, gones, pings, pongs, dials_failed, signed_ok, verified_ok,
        stored, asked;
    size_t peers;
};

int toy_new(const struct toy_config *config, uint64_t seed,
            struct xn_core **core_out);
const struct toy_counts *toy_counts(const struct xn_core *core);

#endif
