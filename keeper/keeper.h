/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keeper of one session: it starts the task, keeps its console, meters it,
 * holds it to its limits, answers who asks over its socket, and writes how it
 * ended.  It outlives whoever started it; a sandbox does not outlive it, a
 * domain does, and another keeper takes it up.
 *
 * A session's folder holds, by these names: */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/cap.h"
#include "keeper/console.h"
#include "keeper/domain.h"
#include "keeper/record.h"
#include "keeper/runner.h"
#include "keeper/sandbox.h"
#include "lib/buf.h"
#include "wire/task.pb-c.h"

#define KEEPER_SPEC "spec"       /* TaskSpec, there before the keeper */
#define KEEPER_LOCK "lock"       /* locked as long as the keeper lives */
#define KEEPER_SOCKET "socket"   /* it listens here */
#define KEEPER_CONSOLE "console" /* keeper/console.h */
#define KEEPER_METER "meter"     /* TaskReading; without one nothing has run */
#define KEEPER_CGROUPS "cgroups" /* folders of the session's, a line each */
#define KEEPER_DOMAIN "domain"   /* DomainNote, there before the domain */
#define KEEPER_DISK "own-disk"   /* of a domain, as long as it lives */
#define KEEPER_MEMORY "memory"   /* of a domain that is saved; .new: half */
#define KEEPER_EXIT "exit"       /* TaskExit, the last thing that is written */

#define KEEPER_CLIENTS_MAX 64
#define KEEPER_EXECS_MAX 16 /* commands beside the task, at once */

struct keeper_client {
    int fd; /* -1: a free place */
    struct xn_buf in, out;
    int passes;   /* goes with the answer that waits; -1: nothing */
    bool follows; /* gets the console, from `from` on */
    uint64_t from;
    bool closing; /* once all is sent */
};

struct keeper {
    int dir, lock;
    int image; /* its top folder, locked: nobody removes it; -1: none */
    const char *bwrap;
    Xn__TaskSpec *spec;
    struct console console;
    const struct runner *runner;
    struct sandbox box;   /* what the runner keeps: this, */
    struct domain domain; /* or that */
    int terminal;         /* the runner's; -1: none; does not block */
    struct cap cap;
    bool caps_itself;       /* nobody else does */
    uint64_t look_every_us; /* the runner's */

    Xn__TaskState state;
    Xn__TaskEnd end;
    char because[256];
    int status;        /* as from waitpid */
    Xn__TaskExit last; /* once it has ended */
    Xn__TaskReading last_reading;
    bool paused, stands; /* asked to; whether it does */
    uint64_t stand_us;   /* mono; nobody knows whether it does: again then */
    unsigned evasions;

    uint64_t asked_us;    /* mono; its start was asked for */
    const char *unwanted; /* why it is not to start any more; NULL: it is */
    uint64_t started_us;  /* wall */
    uint64_t started_mono_us, ended_mono_us;
    uint64_t kill_us;         /* mono; after a grace; 0: none */
    uint64_t look_us, cap_us; /* mono; next looks */
    uint64_t note_us;         /* mono; next reading on record */
    struct record meter;      /* where that is written over */
    Xn__TaskReading noted;    /* what stands there */
    uint64_t noted_us;        /* mono; since then; 0: nothing does */
    uint64_t run_us;          /* a task with a meter that is not exact: time
                                 that it did not stand */
    uint64_t run_since_us;
    uint64_t memory_kib_ms, memory_since_us, memory_bytes;
    bool again;          /* another keeper was here before us */
    bool leaves;         /* what it keeps waits for another */
    uint64_t pty_us;     /* mono; the terminal's allowance is filled again */
    size_t pty_bytes;    /* may be read till then */
    struct xn_buf typed; /* taken, and not in the terminal yet */
    uint64_t type_us;    /* mono; then it is tried again */

    pid_t execs[KEEPER_EXECS_MAX]; /* 0: a free place */
    unsigned n_execs;
    uint64_t joined_us; /* mono; the last of them was begun */

    int listener, signals;
    size_t n_clients; /* places behind these were never taken */
    struct keeper_client clients[KEEPER_CLIENTS_MAX];
};

/* life.c: from the spec to the exit record. */

/* A keeper of nothing yet. */
void keeper_init(struct keeper *keeper, const struct runner *runner);
/* Starts the task, or takes up the one that outlived its keeper; not 0: state
 * is ENDED and its reason known. */
int keeper_start(struct keeper *keeper);
/* While it is started nobody is served, but whoever ends it is heard: why, or
 * NULL.  Who asked for that has his answer afterwards. */
const char *keeper_unwanted(struct keeper *keeper);
/* What is due at that time; returns when to come again. */
uint64_t keeper_tick(struct keeper *keeper, uint64_t mono_us);
/* It is awake: looks and notes, where that is due before long. */
void keeper_hasten(struct keeper *keeper, uint64_t mono_us);
/* Looks whether the task has ended by itself, and sees to all that follows. */
void keeper_finish(struct keeper *keeper);
void keeper_stop(struct keeper *keeper, Xn__TaskEnd end, const char *because,
                 uint32_t grace_ms);
int keeper_pause(struct keeper *keeper, bool pause);
/* To a file, or out of it: begun with the next tick.  XN_EREFUSED: it cannot
 * be saved; XN_ECONFLICT: it does not run. */
int keeper_save(struct keeper *keeper, bool save);
/* How long it may run, from its start on.  XN_ECONFLICT: it has ended. */
int keeper_lifetime(struct keeper *keeper, uint64_t life_ms);
/* Reads what the task wrote, within its allowance. */
void keeper_read_terminal(struct keeper *keeper, uint64_t mono_us);
/* Puts what was typed into the terminal: all of it, some later where it is full.
 * XN_EBUSY: nothing, since not all from before is there yet. */
int keeper_type(struct keeper *keeper, const void *data, size_t len);
/* All of it that is there, before the terminal is taken away. */
void keeper_drain_terminal(struct keeper *keeper);
/* The reading of now, into its record. */
void keeper_note_reading(struct keeper *keeper);
/* A command beside it: XN_EBUSY, XN_ECONFLICT; else as runner.h has it. */
int keeper_exec(struct keeper *keeper, const Xn__KeeperAsk *what, int *fd_out);
/* Those that have ended. */
void keeper_reap(struct keeper *keeper);
/* What was noted at that time (mono) or later, or else the reading of now. */
void keeper_reading(struct keeper *keeper, uint64_t since_us,
                    Xn__TaskReading *out);

/* serve.c: who asks over the socket. */

#define KEEPER_POLLS (KEEPER_CLIENTS_MAX + 3)
struct pollfd;
void keeper_accept(struct keeper *keeper);
void keeper_serve(struct keeper *keeper, struct keeper_client *client,
                  short events);
/* What to wait for on that client's behalf. */
short keeper_wants(struct keeper *keeper, struct keeper_client *client);
void keeper_drop(struct keeper_client *client);
/* Somebody asks it to stop, whom nobody has heard yet. */
bool keeper_hears_stop(struct keeper *keeper);
/* The answer to STATUS, also what xenodomd is told at the start. */
int keeper_tell_status(struct keeper *keeper, int rc, struct xn_buf *out);

/* keep.c: the keeper as a program.  `xen`: for domains alone; NULL. */
int keep_main(int argc, char **argv, const struct runner *runner,
              const struct xen_calls *xen);

#endif
