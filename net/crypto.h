/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SIGN, VERIFY, ISSUE and RANDOM.  The first three run in the pool; a document
 * that has been verified before is answered from a cache. */
#ifndef NET_CRYPTO_H
#define NET_CRYPTO_H

#include "net/identity.h"
#include "net/loop.h"
#include "net/pool.h"

struct net_crypto;

int net_crypto_new(struct net_loop *loop, struct net_pool *pool,
                   const struct net_identity *identity,
                   struct net_crypto **crypto_out);
/* After the pool. */
void net_crypto_free(struct net_crypto *crypto);
void net_crypto_act(struct net_crypto *crypto, const struct xn_action *action);
bool net_crypto_idle(const struct net_crypto *crypto);

#endif
