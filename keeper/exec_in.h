/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside keeper/exec*.c: a command beside a task, as its carrier has it. */
#ifndef KEEPER_EXEC_IN_H
#define KEEPER_EXEC_IN_H

#include <stdbool.h>

#include "keeper/exec.h"
#include "lib/buf.h"
#include "wire/stream.h"

#define EXEC_IN_MAX (64 << 10) /* bytes of its input that wait */
#define EXEC_PART (16 << 10)
#define EXEC_TERM_MAX (STREAM_TERM_MAX + 8) /* TERM=... */

struct exec {
    const struct sandbox *box;
    const Xn__TaskSpec *spec;
    const Xn__Terminal *terminal; /* NULL: three pipes */
    char **argv, **env, term[EXEC_TERM_MAX];
    int go, link; /* our end of the socket */
    pid_t pid;
    int in, out, err, ended; /* pipes, or the terminal's other end; a pidfd */
    struct xn_buf taken, said;
    size_t left;   /* bytes of the frame under way, for its input */
    bool deaf;     /* it reads no more */
    bool all_said; /* the other end has */
    bool over;
};

void exec_close(int *fd);

/* ---- exec_start.c ---- */

/* The command, within: what it reads and writes is in *e.  false: errno. */
bool exec_start(struct exec *e);

/* ---- exec_carry.c ---- */

/* Until it has ended, and that is said. */
void exec_carry(struct exec *e);
/* The same of one that did not begin. */
void exec_say_why_not(struct exec *e, const char *why);

#endif
