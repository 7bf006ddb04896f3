/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The CPU time of a task with all that it ever started, by the best way that
 * this machine has.  rusage is none of them: children that nobody waited for
 * never appear in it. */
#ifndef KEEPER_METER_H
#define KEEPER_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/cgroup.h"
#include "wire/task.pb-c.h"

/* Processes that can join a task's where PERF counts it: what they leave behind
 * is counted as well, so none gives its place up. */
#define METER_MORE_MAX 64

struct meter {
    Xn__MeterKind kind;
    const struct cgroup_files *files;
    int perf;                 /* descriptor, -1: none */
    int more[METER_MORE_MAX]; /* the same of what joined it */
    unsigned n_more;
    pid_t init;      /* for PROC */
    uint64_t base;   /* what the sandbox itself had used */
    uint64_t cpu_ns; /* last reading; never falls */
    uint64_t start_us;
    uint32_t cap_ms_per_s; /* for RESERVED; 0: one CPU */
};

/* Chooses one, not better than `best`.  `pid` is a child that runs nothing yet.
 * The files stay the caller's. */
void meter_open(struct meter *meter, Xn__MeterKind best,
                const struct cgroup_files *files, pid_t pid);
/* From here on the task runs; `init` is the sandbox's first process. */
void meter_start(struct meter *meter, pid_t init, uint32_t cap_ms_per_s,
                 uint64_t mono_us);
/* A process that is no child of theirs joins them, and has run nothing yet; false:
 * it would not be counted. */
bool meter_join(struct meter *meter, pid_t pid);
/* Nanoseconds since then. */
uint64_t meter_read(struct meter *meter, uint64_t mono_us);
bool meter_is_exact(const struct meter *meter);
void meter_close(struct meter *meter);

/* Would a child of ours get an exact meter, not better than `best`?  Tried with
 * one that does nothing; `name` is that of a session that nobody has. */
bool meter_try(Xn__MeterKind best, const char *name);

#endif
