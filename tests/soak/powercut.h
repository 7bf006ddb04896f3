/* SPDX-License-Identifier: GPL-3.0-or-later */
/* powercut.c, armed by the program itself rather than by POWERCUT_AT. */
#ifndef TESTS_SOAK_POWERCUT_H
#define TESTS_SOAK_POWERCUT_H

#include <stdint.h>

enum powercut {
    POWERCUT_POWER, /* of what was not synced any sectors are there */
    POWERCUT_KILL,  /* kill -9: what was written is there */
    POWERCUT_FULL,  /* from this call on what makes a file grow fails */
    POWERCUT_LOG,   /* from this call on what concerns a "*.log*" fails; any
                       sectors of what it was to write may be there all the
                       same */
    POWERCUT_TWICE, /* kill -9, and the power goes behind what came then */
};

#define POWERCUT_CALLS 9 /* so many, then all is well again */

/* At the at-th call from now on; 0: never. */
void powercut_arm(enum powercut what, long at);
/* So many fail, rather than POWERCUT_CALLS. */
void powercut_for(long fails);
/* What is drawn from now on; POWERCUT_SEED otherwise. */
void powercut_seed(uint64_t seed);
/* Now. */
void powercut_now(void);
/* So many since it was armed. */
long powercut_calls(void);
/* POWERCUT_TWICE: what a second process does, with one descriptor left. */
void powercut_then(void (*then)(int fd), int fd);

#endif
