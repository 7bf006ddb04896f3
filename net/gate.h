/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many handshakes that others want a daemon begins: each costs it some
 * milliseconds of CPU, and them nothing.  Sources from which a member has proved
 * itself have a rate of their own, so that a storm of strangers shuts no member
 * out.  Among strangers, once half of what may begin at once is spent, those of a
 * network begin the fewer the less is left and the more of it have begun: a storm
 * from few networks leaves others theirs.  Pure: time is an argument, in
 * microseconds. */
#ifndef NET_GATE_H
#define NET_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct net_gate;

/* per_s a second of strangers, as many of members; half of that at once.  0: no
 * bound.  XN_ENOMEM, XN_EIO. */
int net_gate_new(unsigned per_s, struct net_gate **gate_out);
void net_gate_free(struct net_gate *gate);
/* A member has proved itself from this source (net_addr_source).  Of each member
 * the last one is kept, of a thousand or so; `member` is the head of its id. */
void net_gate_know(struct net_gate *gate, uint64_t member, uint64_t source);
/* O(members kept): a microsecond. */
bool net_gate_knows(const struct net_gate *gate, uint64_t source);
/* 0: one may begin now and is counted; else so long to wait.  `network`: a
 * stranger's (net_addr_network); 0: is not looked at. */
uint64_t net_gate_take(struct net_gate *gate, bool known, uint64_t network,
                       uint64_t now_us);

#endif
