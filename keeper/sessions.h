/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders of sessions: what xenodomd knows is what stands in them, so that it
 * has nothing to lose by dying.  A session lives while its lock is held. */
#ifndef KEEPER_SESSIONS_H
#define KEEPER_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/task.pb-c.h"

#define SESSIONS_KEEPER_MS 5000 /* a keeper answers within that, or not */

/* Every folder of a session, by name.  not 0 from the visitor ends it. */
typedef int sessions_fn(void *context, const char *name);
int sessions_each(int sessions, sessions_fn *visit, void *context);

/* A descriptor of the folder, or -1 with errno. */
int session_open(int sessions, const char *name);
bool session_lives(int folder);
/* One that does not live has a domain that may live on, and wants another
 * keeper: nothing can be said of it before there is one. */
bool session_is_lost(int folder);

struct session_programs {
    const char *keeper;      /* the file */
    const char *name, *word; /* its own name and its first word */
    const char *bwrap;
};

/* Makes the folder with its spec and starts the keeper.  *ready_out: one
 * KeeperTell comes from it when the task runs, or does not.  XN_ECONFLICT: there
 * is a session of that name; XN_EIO, XN_ENOSPC with errno. */
int session_start(int sessions, const Xn__TaskSpec *spec,
                  const struct session_programs *programs, int *ready_out);
/* Another keeper for what outlived its own.  XN_EBUSY: it has one; XN_ENOENT,
 * XN_EIO. */
int session_restart(int sessions, const char *name,
                    const struct session_programs *programs, int *ready_out);

/* Asks the keeper, and waits for so long.  *tell_out is the caller's.
 * XN_EUNREACH, XN_ETIMEOUT. */
int session_ask(int folder, const Xn__KeeperAsk *ask, unsigned wait_ms,
                Xn__KeeperTell **tell_out);

/* The caller's, like what xn__task_status__unpack gives.  Of one that has ended,
 * from its records.  *talk: a connection to its keeper that waits for
 * SESSIONS_KEEPER_MS and is owed no answer, -1: none; it is -1 afterwards where
 * one is owed.  XN_ETIMEOUT: its keeper does
 * not answer, or there is none just now; XN_ENOENT. */
int session_status(int folder, const char *name, int *talk, unsigned wait_ms,
                   Xn__TaskStatus **status_out);

/* What a session that does not live may have left: an exit record is written
 * where its keeper could not, cgroups and socket go.  XN_EBUSY: it lives, or
 * something of it could not be removed; XN_ENOTYET: it has a domain that may
 * live on, and wants another keeper.  One that never began is gone. */
int session_sweep(int sessions, const char *name);

/* All of it, once it does not live. */
int session_forget(int sessions, const char *name);

#endif
