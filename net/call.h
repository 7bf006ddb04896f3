/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CALL: HTTPS requests on the loop, by libcurl's multi interface, over
 * connections that stay open for the next one. */
#ifndef NET_CALL_H
#define NET_CALL_H

#include "net/identity.h"
#include "net/loop.h"

struct net_calls;

#define NET_CALLS_OF_HOST 8 /* at once, with one host and port */

int net_calls_new(struct net_loop *loop, const struct net_identity *identity,
                  unsigned of_host, struct net_calls **calls_out);
/* Calls under way get no DONE. */
void net_calls_free(struct net_calls *calls);
void net_calls_make(struct net_calls *calls, uint64_t ticket,
                    const Xn__Call *call);
/* The other end's TLS handshake alone, with no certificate of ours: is it that of
 * `id`?  PROBED; `host` is told in it. */
void net_calls_probe(struct net_calls *calls, uint64_t ticket, const char *host,
                     const Xn__Probe *probe);
bool net_calls_abort(struct net_calls *calls, uint64_t ticket);
bool net_calls_idle(const struct net_calls *calls);

#endif
