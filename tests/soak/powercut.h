/* SPDX-License-Identifier: GPL-3.0-or-later */
/* powercut.c, armed by the program itself rather than by POWERCUT_AT. */
#ifndef TESTS_SOAK_POWERCUT_H
#define TESTS_SOAK_POWERCUT_H

enum powercut {
    POWERCUT_POWER, /* what was not synced is lost, the last write torn */
    POWERCUT_KILL,  /* kill -9: what was written is there */
    POWERCUT_FULL,  /* from this call on what makes a file grow fails */
    POWERCUT_LOG,   /* from this call on what concerns a "*.log*" fails */
    POWERCUT_TWICE, /* kill -9, and the power goes behind what came then */
};

#define POWERCUT_CALLS 9 /* so many, then all is well again */

/* At the at-th call from now on; 0: never. */
void powercut_arm(enum powercut what, long at);
/* POWERCUT_TWICE: what a second process does, with one descriptor left. */
void powercut_then(void (*then)(int fd), int fd);

#endif
