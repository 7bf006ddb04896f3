/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --record: every step of the core goes into a file, buffered, written out
 * each second and at the end.  The file has mode 0600 and is never an old one.
 */
#ifndef NET_RECORD_H
#define NET_RECORD_H

#include "seam/xn_core.h"

struct event_base;
struct net_record;

/* XN_ECONFLICT: the file is there already; XN_EIO with errno. */
int net_record_new(struct event_base *base, const char *path,
                   struct net_record **record_out);
void net_record_free(struct net_record *record);
void net_record_head(struct net_record *record, const char *program,
                     uint64_t seed, const void *config, size_t len);
void net_record_step(struct net_record *record, const struct xn_now *now,
                     const struct xn_event *ev, const struct xn_outbox *box);

#endif
