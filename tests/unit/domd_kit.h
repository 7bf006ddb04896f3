/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A xenodomd with keepers of its own, on a hypervisor that is made up, and what it
 * is asked.  What goes wrong fails the test.  Its keepers must become children of
 * the test (PR_SET_CHILD_SUBREAPER). */
#ifndef TESTS_UNIT_DOMD_KIT_H
#define TESTS_UNIT_DOMD_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/task.pb-c.h"

#define PATIENCE_MS 120000
#define MS 1000000ULL /* ns */

struct bench {
    char path[256], state[300], images[300], image[320], kernel[400];
    pid_t daemon;
    int dir; /* the state folder */
};

/* Set-up and teardown: *state is the bench. */
int begin_test(void **state);
int end_test(void **state);
#define T(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

void run_daemon(struct bench *b);
void end_daemon(struct bench *b, int sig);

/* A question, its connection; the answer there, to be freed; both. */
int say(struct bench *b, const Xn__DomAsk *ask);
Xn__DomTell *hear(int fd, int *fd_out);
Xn__DomTell *ask_with(struct bench *b, const Xn__DomAsk *ask, int *fd_out);
/* Of session `a`; asked: its rc alone. */
Xn__DomTell *ask(struct bench *b, Xn__DomOp op, int *fd_out);
int asked(struct bench *b, Xn__DomOp op);

/* With a program of its own, in a domain. */
int say_start(struct bench *b, Xn__TaskSpec *spec);
Xn__DomTell *start_spec(struct bench *b, Xn__TaskSpec *spec);
/* Session `a`; started: it runs. */
Xn__DomTell *start(struct bench *b, const char *image);
void started(struct bench *b);

/* Who watches is told whether there is a Xen; and next, of that end. */
int watch(struct bench *b, bool xen);
void ends(int watch_fd, Xn__TaskEnd end);

/* Of session `a`: its keeper, 0: it has none now. */
pid_t keeper_of(struct bench *b);
void await_keeper(struct bench *b, pid_t old);
uint64_t cpu_ms(struct bench *b);
void live_console_says(struct bench *b, const char *text);
void kept_console_says(struct bench *b, const char *text);
/* Xen is asked for something more. */
void await_call(unsigned before);

#endif
