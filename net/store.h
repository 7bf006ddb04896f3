/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TXN and READ: a thread for the store's file.  All TXNs that wait when it turns
 * to them become durable together.  A small TXN that nothing else waits beside,
 * while the store writes quickly, is done by the caller: to hand it over would
 * cost more than to write it. */
#ifndef NET_STORE_H
#define NET_STORE_H

#include "net/backing.h"
#include "net/loop.h"
#include "net/post.h"

struct net_store;

/* Errors are told with xn_gripe. */
int net_store_new(struct net_loop *loop, struct net_post *post,
                  const char *program, const char *path,
                  enum net_store_kind kind, struct net_store **store_out);
/* Finishes what was given to it. */
void net_store_free(struct net_store *store);

/* msg: Txn or Read; answered in the order of the calls. */
void net_store_txn(struct net_store *store, uint64_t ticket,
                   struct xn_msg *msg);
void net_store_read(struct net_store *store, uint64_t ticket,
                    struct xn_msg *msg);
bool net_store_idle(const struct net_store *store);
/* What counts as quick from now on: a write of less than so many microseconds;
 * 0: nothing.  Half a millisecond if this is not called. */
void net_store_quick(struct net_store *store, uint64_t us);

#endif
