/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dials that reach nobody, by network (net_addr_network): whom to dial is
 * hearsay, and who tells lies could have all nodes knock at a victim's.  Each
 * network bears some at once, then one in some seconds; a dial counts from its
 * beginning, and no more once it has found a member.  Pure: time is an argument, in microseconds. */
#ifndef NET_VAIN_H
#define NET_VAIN_H

#include <stdbool.h>
#include <stdint.h>

#define NET_VAIN_BURST 32
#define NET_VAIN_STEP_US 5000000

struct net_vain;

/* XN_ENOMEM, XN_EIO. */
int net_vain_new(struct net_vain **vain_out);
void net_vain_free(struct net_vain *vain);
/* May it be dialled now?  If so, that is counted.  Network 0 always. */
bool net_vain_take(struct net_vain *vain, uint64_t network, uint64_t now_us);
/* It was not in vain. */
void net_vain_give_back(struct net_vain *vain, uint64_t network);

#endif
