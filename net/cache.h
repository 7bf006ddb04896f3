/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Documents that have been verified: SHA-256 of what was asked -> result,
 * least recently used first out.  Bounded by entries and by bytes. */
#ifndef NET_CACHE_H
#define NET_CACHE_H

#include "wire/id.h"
#include "wire/msg.h"

struct net_cache;

int net_cache_new(size_t entries_max, size_t bytes_max,
                  struct net_cache **cache_out);
void net_cache_free(struct net_cache *cache);
/* The result for that time, lent; NULL: none is known. */
struct xn_msg *net_cache_get(struct net_cache *cache, const xn_id *key,
                             uint64_t at_us);
/* Takes a reference.  The result holds for times in [from_us, until_us]. */
void net_cache_put(struct net_cache *cache, const xn_id *key,
                   struct xn_msg *msg, uint64_t from_us, uint64_t until_us);

#endif
