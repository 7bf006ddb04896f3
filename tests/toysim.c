/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulator with the toy core: shows what the engine itself costs.
 * --set toy.degree=4 --set toy.period=1s */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "lib/span.h"
#include "sim/cli.h"
#include "tests/toy_core.h"

struct toys {
    uint32_t degree;
    uint64_t period_us;
};

static int make(void *user, const struct sim_world *world, uint32_t number,
                uint64_t seed, struct xn_core **core_out)
{
    const struct toys *toys = user;
    char addresses[TOY_CONTACTS_MAX][SIM_ADDRESS_MAX];
    struct toy_config config = {.period_us = toys->period_us};
    uint32_t n = sim_world_config(world)->nodes, i;

    for (i = 0; i < toys->degree; i++) {
        sim_address((uint32_t)(xn_rng_mix(number, i) % n), addresses[i]);
        config.contacts[i] = addresses[i];
    }
    config.n_contacts = toys->degree;
    return toy_new(&config, seed, core_out);
}

static int set(void *user, const char *key, const char *value)
{
    struct toys *toys = user;

    if (!strcmp(key, "toy.period")) {
        if (xn_span_parse(value, &toys->period_us)) return XN_EINVAL;
        return toys->period_us ? 0 : XN_EINVAL;
    }
    if (strcmp(key, "toy.degree") != 0) return XN_ENOENT;
    toys->degree = (uint32_t)strtoul(value, NULL, 10);
    return toys->degree <= TOY_CONTACTS_MAX ? 0 : XN_EINVAL;
}

int main(int argc, char **argv)
{
    struct toys toys = {4, 1000000};
    struct sim_cli cli = {
        .program = "toysim",
        .purpose = "Run a toy core under virtual time.",
        .maker = {.name = "toy", .user = &toys, .make = make},
        .probe = {.user = &toys, .set = set},
    };

    return sim_cli_main(&cli, argc, argv);
}
