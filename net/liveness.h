/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the other end of a TCP connection is there, also where it does not read:
 * then its machine still answers what TCP says.  TCP_USER_TIMEOUT would take who
 * does not read for one who is gone. */
#ifndef NET_LIVENESS_H
#define NET_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#define NET_LIVENESS_LOOK_S 15 /* between two looks, at the most */

struct net_liveness {
    uint64_t since_us; /* mono: nothing is answered; 0: all is */
};

/* An end that is gone without a word is missed in two minutes where nothing is
 * said to it. */
void net_liveness_watch(int fd);
/* The same where something is: for two minutes nothing of it was answered.  false
 * of other sockets. */
bool net_liveness_lost(struct net_liveness *liveness, int fd, uint64_t now_us);

#endif
