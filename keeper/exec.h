/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A further command in a sandbox that runs: in its namespaces and control
 * groups, with its user, limits and filter, and no way out of any. */
#ifndef KEEPER_EXEC_H
#define KEEPER_EXEC_H

#include <stddef.h>
#include <sys/types.h>

#include "keeper/sandbox.h"

/* Codes of a command that did not begin, as shells have them; the last line of
 * its standard error says why. */
enum { EXEC_NOT_ENTERED = 125, EXEC_NOT_RUN = 126, EXEC_NOT_FOUND = 127 };

/* Begins it: what->argv, and its terminal, if it is to have one.  *fd_out is a socket that speaks of it as wire/stream.h has it: DATA
 * is what it reads, and its standard output, OVER its end.  Whoever closes that
 * ends the command and those in its group.  *pid_out is the process that carries
 * this, a child, which ends thereafter, and at once where this fails; 0: there is
 * none.  XN_EREFUSED: what it uses could not be counted; XN_ENOMEM, XN_EIO. */
int exec_begin(struct sandbox *box, const Xn__TaskSpec *spec,
               const Xn__KeeperAsk *what, pid_t *pid_out, int *fd_out);

#endif
