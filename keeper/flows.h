/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom a guest talks to, counted by the kernel: sets of nftables(8) at the ports
 * of the bridge, behind what drops forged frames.  Of each direction a set has up
 * to 1024 flows of IPv4 and as many of IPv6, by protocol, addresses and ports;
 * what does not fit there, or has no ports, is counted by protocol and address
 * (256), and what does not fit there either by protocol alone.  So who opens many
 * hides ports first, then addresses, and never bytes.  An element that nothing
 * touches for an hour goes.  Bytes are those of IP. */
#ifndef KEEPER_FLOWS_H
#define KEEPER_FLOWS_H

#include <stdbool.h>

#include "wire/flows.h"

/* Counts for that guest, whose name is a session's, from now on; again: from
 * zero.  Another that had its address before is not counted any more, and what was
 * stays.  XN_EREFUSED: because_out says why not.  Runs nft(8) twice, some 50 ms. */
int keeper_flows_begin(const char *name, const Xn__TaskNet *net,
                       char *because_out, size_t len);
/* Is anything counted for it?  Not any more, when the machine was started anew. */
bool keeper_flows_has(const char *name);
/* What was counted goes; `net` NULL: somebody else has its address. */
void keeper_flows_end(const char *name, const Xn__TaskNet *net);
/* Of all guests. */
void keeper_flows_clear(void);
/* All since the last time, which are counted from zero again; what passes in
 * between is lost to both.  XN_ENOENT: nothing is counted for it; XN_EIO,
 * XN_ENOMEM.  CPU time: 0.1 ms where there is none, 2 ms for 1000. */
int keeper_flows_take(const char *name, uint64_t wall_us, struct flows *out);

#endif
