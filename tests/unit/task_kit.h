/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of tasks share: a market whose host runs them. */
#ifndef TESTS_UNIT_TASK_KIT_H
#define TESTS_UNIT_TASK_KIT_H

#include "tests/unit/market_kit.h"

#define SMALL                                                                  \
    "<EnvironmentalRequirements><Resources><MemoryMB>512</MemoryMB>"           \
    "</Resources><QoS><CPUsmps>1000</CPUsmps></QoS>"                           \
    "</EnvironmentalRequirements>"

int tasks_set_up(void **state);
/* A CreateSession with /bin/echo and a file; the session ends with it if last.
 */
uint64_t tasks_ask_create(struct market *m, bool last);
/* Quote, order, session without a task. */
void tasks_begin(struct market *m);
/* In m->session; word 0: the next one. */
uint64_t tasks_ask_new(struct market *m, uint8_t word, bool last);
/* Of the holder; number 0: the last. */
uint64_t tasks_ask_wait(struct market *m, uint32_t number, unsigned wait_ms);
uint64_t tasks_ask_console(struct market *m, uint64_t from, unsigned wait_ms,
                           const Xn__Caller *caller);
uint64_t tasks_ask_input(struct market *m, const char *text);
uint64_t tasks_ask_pause(struct market *m, bool pause);
uint64_t tasks_ask_forward(struct market *m, uint32_t port);
uint64_t tasks_ask_stop(struct market *m, const Xn__Caller *caller);
/* The task in the answer, to be freed. */
Xn__HostTask *tasks_answered(struct market *m, uint64_t ask);
/* Asks for a task, and it runs. */
void tasks_run(struct market *m, uint8_t word, bool last);
/* The last task as the holder sees it, to be freed. */
Xn__HostTask *tasks_look(struct market *m);

#endif
