/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task in its sandbox: bubblewrap with a terminal of its own. */
#ifndef KEEPER_SANDBOX_H
#define KEEPER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "keeper/cgroup.h"
#include "keeper/meter.h"
#include "wire/task.pb-c.h"

#define SANDBOX_HOME "/home/task"

struct sandbox {
    pid_t monitor; /* our child; ends when the task does */
    pid_t init;    /* the sandbox's first process; 0 before it is known */
    int init_fd;   /* pidfd of it */
    int terminal;  /* the master's side; does not block */
    int news;      /* bwrap's JSON; closed once it is read */
    int gate;      /* the task starts when this is written to */
    int go;        /* the child runs bwrap when this is written to */
    struct cgroup group;
    struct cgroup_files files;
    struct meter meter;
    uint8_t cpus; /* that it is held to, where the meter is not exact; 0: all */
    bool memory_by_cgroup, cap_by_cgroup, processes_by_cgroup;
};

/* Makes the child, in its cgroups and with its meter; it runs nothing yet.
 * XN_EIO with because_out. */
int sandbox_prepare(struct sandbox *box, const Xn__TaskSpec *spec,
                    const char *bwrap, char *because_out, size_t len);
/* Runs bwrap in it and waits until the sandbox stands.  XN_EREFUSED: it could
 * not be made; what bwrap said is on the terminal. */
int sandbox_build(struct sandbox *box, const Xn__TaskSpec *spec,
                  char *because_out, size_t len);
/* Lets the task begin. */
int sandbox_begin(struct sandbox *box, const Xn__TaskSpec *spec,
                  uint64_t mono_us);
/* Ends all that is in it, at once. */
void sandbox_kill(struct sandbox *box);
/* Waits until the last process is gone; after that the meter stands still. */
void sandbox_await(struct sandbox *box);
/* Closes what is open and removes the cgroups. */
void sandbox_clear(struct sandbox *box);

/* Can this user make the namespaces at all?  XN_EPERM with a reason and
 * something to try. */
int sandbox_check(char *because_out, size_t len, const char **try_out);

#endif
