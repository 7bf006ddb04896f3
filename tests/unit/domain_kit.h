/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A keeper of a domain by hand, on a hypervisor that is made up, in a folder of
 * its own. */
#ifndef TESTS_UNIT_DOMAIN_KIT_H
#define TESTS_UNIT_DOMAIN_KIT_H

#include "keeper/keeper.h"

#define MS 1000000ULL /* ns */
#define HOUR_US 3600000000ULL
#define MIB (1ULL << 20)

struct bench {
    char path[512], kernel[600];
    struct keeper keeper;
    uint64_t later_us; /* the test's clock is ahead by that */
    bool open;
};

/* Set-up and teardown: *state is the bench. */
int bench_begin(void **state);
int bench_end(void **state); /* fails where anything was left */
#define T(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

/* A spec with words and amounts; it points to what is static. */
void bench_fill(Xn__TaskSpec *spec);
/* The folder as xenodomd makes it. */
void bench_put_spec(struct bench *b, Xn__TaskSpec *spec);
void bench_write_spec(struct bench *b, uint64_t life_ms);
/* Another keeper in the place of the last. */
int bench_start(struct bench *b);
void bench_put_away(struct bench *b);
/* Both, and it runs. */
void bench_started(struct bench *b);
/* What is due soon. */
void bench_turn(struct bench *b);
/* A keeper in a process of its own, which goes when `script` has been done, or
 * in the call that is to be its last. */
void bench_dies(struct bench *b, void script(struct bench *b));

uint64_t bench_cpu_ms(struct bench *b);
void bench_console_is(struct bench *b, const char *text);
/* It has ended, as it should, and nothing is left of it. */
void bench_ended(struct bench *b, Xn__TaskEnd end, int code, uint64_t ms,
                 const char *because);

#endif
