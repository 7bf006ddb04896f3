/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All overlay links of a node: accepting, dialling, one per peer, handles.
 *
 * One link per peer id.  When both sides dial at once, the link that the side
 * with the smaller id dialled stays, at both ends; a link that is older than
 * any simultaneous dial could make it yields to a new one, since its peer must
 * have lost it. */
#ifndef NET_LINKS_H
#define NET_LINKS_H

#include "net/addr.h"
#include "net/identity.h"
#include "net/loop.h"
#include "seam/peers.h"

struct net_links;

struct net_links_config {
    const struct net_identity *identity;
    const char *listen;
    unsigned defer_s;      /* net_listen_defer */
    unsigned max;          /* all states together */
    unsigned handshakes;   /* that come in, a second; 0: no bound */
    bool private_ok;       /* to dial, wherever it listens */
    const char *announced; /* a private one: as private_ok; NULL: listen's;
                              NET_NOWHERE: private_ok alone allows any */
    const struct net_delays *delays; /* for tests; NULL: none */
};

/* XN_EINVAL: address; XN_EIO with errno: cannot bind. */
int net_links_new(struct net_loop *loop, const struct net_links_config *config,
                  struct net_links **links_out);
void net_links_free(struct net_links *links);
const struct xn_peers *net_links_peers(const struct net_links *links);
const char *net_links_address(const struct net_links *links);

void net_links_dial(struct net_links *links, uint64_t ticket,
                    const Xn__Dial *dial);
/* End a dial early; false: no such one. */
bool net_links_abort(struct net_links *links, uint64_t ticket);
/* The host that this peer's link comes from or was dialled at, as a URL has it;
 * false: there is none, or it is not for dialling: behind a proxy all links come
 * from one of ours. */
bool net_links_host(const struct net_links *links, xn_peer peer,
                    char host_out[NET_ADDR_TEXT]);
void net_links_hang(struct net_links *links, xn_peer peer,
                    const Xn__Reason *reason);
void net_links_send(struct net_links *links, xn_peer peer, struct xn_msg *msg);
/* The core has handled GONE: the handle is free. */
void net_links_release(struct net_links *links, xn_peer peer);
/* Send what the last turn queued. */
void net_links_flush(struct net_links *links);

/* For those who count. */
struct net_links_load {
    unsigned shaking, open, draining;
    uint64_t queued;         /* bytes */
    uint64_t received, sent; /* bytes since the start, within TLS */
};
void net_links_load(const struct net_links *links,
                    struct net_links_load *load_out);

/* Bytes of the link to this node, within TLS; 0 where there is none. */
void net_links_traffic(const struct net_links *links, const xn_id *id,
                       uint64_t *received_out, uint64_t *sent_out);

bool net_links_idle(const struct net_links *links); /* all is sent */

#endif
