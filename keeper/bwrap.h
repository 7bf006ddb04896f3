/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bubblewrap's command line for a task. */
#ifndef KEEPER_BWRAP_H
#define KEEPER_BWRAP_H

#include <stddef.h>

#include "keeper/spec.h"
#include "lib/arena.h"
#include "wire/task.pb-c.h"

/* Descriptors that bwrap inherits; those it reads are at their beginning. */
struct bwrap_fds {
    int news;   /* it writes what it made */
    int gate;   /* it waits here before the task begins */
    int filter; /* seccomp */
    int passwd, group;
    int put[SPEC_PUT_MAX]; /* the spec's files, in their order */
};

/* Whole, with NULL at the end, in the arena.  XN_ENOMEM; XN_ENOENT: the image's
 * folder cannot be read, errno. */
int bwrap_words(const Xn__TaskSpec *spec, const char *program,
                const struct bwrap_fds *fds, struct xn_arena *arena,
                char ***argv_out);

#endif
