/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes that crossed a guest's interface, as the queueing disciplines at dom0's
 * end count them (rtnetlink(7)): `clsact` what the guest sends, also what its
 * filters drop; the root's what it gets.  The interface's own counters begin anew
 * whenever the guest closes its end, so one that does often would pay nothing. */
#ifndef KEEPER_TRAFFIC_H
#define KEEPER_TRAFFIC_H

#include <stdint.h>

/* A descriptor to ask by; XN_EIO. */
int traffic_open(void);
/* XN_ENOENT: no such interface, or nothing counts there; XN_EIO.  Some eight
 * system calls. */
int traffic_read(int fd, const char *interface, uint64_t *sent_out,
                 uint64_t *got_out);

#endif
