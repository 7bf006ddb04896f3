/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a keeper keeps, as a table of functions: the processes of a sandbox, or
 * a domain of Xen's.  life.c decides when and writes what came of it. */
#ifndef KEEPER_RUNNER_H
#define KEEPER_RUNNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/task.pb-c.h"

struct keeper;

struct runner {
    /* All that the task needs, with a terminal; it runs nothing yet.  Of a
     * keeper that comes `again`: what the one before made.  XN_ENOENT then: it
     * has gone meanwhile.  Not 0: keeper->because says why. */
    int (*build)(struct keeper *keeper);
    /* Lets it run. */
    int (*begin)(struct keeper *keeper, uint64_t mono_us);
    /* SIGSTOP, SIGCONT: all of it stands still, goes on; SIGTERM: it is asked to
     * end.  XN_EPERM: it does not let itself be held. */
    int (*signal)(struct keeper *keeper, int sig);
    /* It has ended by itself: keeper->status says how; keeper->end and
     * ->because too where neither has been set and it is not FINISHED. */
    bool (*has_ended)(struct keeper *keeper);
    /* Ends it at once; waits until nothing of it runs; frees what is left. */
    void (*kill)(struct keeper *keeper);
    void (*await)(struct keeper *keeper);
    void (*clear)(struct keeper *keeper);
    /* Kind and CPU time, which never falls. */
    void (*meter)(struct keeper *keeper, uint64_t mono_us,
                  Xn__TaskReading *out);
    /* A socket on its way to a port inside, as join_connect.  NULL: it has
     * addresses of its own. */
    int (*connect)(struct keeper *keeper, uint16_t port, int *fd_out);
    /* A command beside it, as exec_begin.  NULL: nobody but itself begins any. */
    int (*exec)(struct keeper *keeper, const Xn__KeeperAsk *what,
                pid_t *pid_out, int *fd_out);
    /* Into a file, or out of it, before long: keeper->state is SAVED, or not any
     * more; else describe says why not.  NULL: it ends with the machine. */
    int (*save)(struct keeper *keeper, bool save);
    /* What a cap that the keeper holds goes by.  NULL: there is no such cap. */
    uint64_t (*cap_reading)(struct keeper *keeper, uint64_t mono_us);
    /* What it has of memory now; true: more than it may. */
    bool (*memory)(struct keeper *keeper, uint64_t *bytes_out);
    /* Who holds it to what: the words of a status. */
    void (*describe)(const struct keeper *keeper, Xn__TaskStatus *status);
};

extern const struct runner runner_sandbox;
extern const struct runner runner_xen;

#endif
