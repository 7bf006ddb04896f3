/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a task may ask of the kernel (seccomp). */
#ifndef KEEPER_FILTER_H
#define KEEPER_FILTER_H

#include <stdbool.h>

/* Writes the compiled filter into a file, for bwrap --seccomp, and goes back to
 * its beginning.  pinned: the task may not choose its CPUs.  watched: no cgroup
 * counts its memory, so what only a cgroup sees does not exist.  XN_ENOMEM,
 * XN_EIO. */
int filter_write(bool pinned, bool watched, int fd);

#endif
