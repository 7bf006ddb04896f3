/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dials that reached nobody, by network (net_addr_network): whom to dial is
 * hearsay, and who tells lies could have all nodes knock at a victim's.  Each
 * network bears some at once, then one in some seconds; dials that find a member
 * are not counted.  Pure: time is an argument, in microseconds. */
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
/* May it be dialled? */
bool net_vain_may(const struct net_vain *vain, uint64_t network,
                  uint64_t now_us);
/* A dial there was in vain. */
void net_vain_count(struct net_vain *vain, uint64_t network, uint64_t now_us);

#endif
