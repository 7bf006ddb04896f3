/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of ours goes into a sandbox while it runs. */
#ifndef KEEPER_JOIN_H
#define KEEPER_JOIN_H

#include <stdint.h>

/* A TCP socket inside, which does not block, on its way to that port of the
 * loopback interface: IPv4, or IPv6 where that refuses at once.  `init` is a
 * pidfd of the sandbox's first process.  XN_ENOENT: it has ended; XN_EIO;
 * XN_EREFUSED: nothing listens there; XN_ENOMEM. */
int join_connect(int init, uint16_t port, int *fd_out);

#endif
