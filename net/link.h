/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One overlay link: TLS over a socket, frames in and out, bounded both ways.
 * Who may link to whom, and what a link's handle is, is links.c's business. */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <openssl/ssl.h>

#include "net/addr.h"
#include "seam/xn_core.h"
#include "wire/cert.h"

#define NET_LINK_QUEUE_MAX (8U << 20) /* bytes that wait for a slow reader */

struct event_base;
struct net_link;

struct net_link_user {
    /* Somebody who linked to us begins to shake hands: net_link_begin lets him,
     * now or later. */
    void (*knocks)(struct net_link *link);
    /* The handshake is done, link->cert is proved. */
    void (*ready)(struct net_link *link);
    /* Takes over the message. */
    void (*frame)(struct net_link *link, struct xn_msg *msg);
    /* The last call: the link is freed afterwards. */
    void (*closed)(struct net_link *link, int rc, const char *text);
};

enum net_link_state {
    NET_LINK_SHAKING, /* connect and handshake: seam/dial.h */
    NET_LINK_OPEN,
    NET_LINK_DRAINING, /* what is queued still goes out: 2 s */
    NET_LINK_CLOSED,
};

struct net_link {
    /* links.c's. */
    void *owner;
    xn_peer peer;    /* XN_PEER_NONE while it has no handle */
    uint64_t ticket; /* of the DIAL */
    xn_id want;      /* who must be there; zero: whoever it is */
    bool incoming;
    bool knocked, waits; /* it spoke; it is to be let in */
    bool known;          /* from a source of members */
    uint64_t turn; /* how many waited before it: of its source, << 32, and of
                          its network */
    uint64_t vain_network;   /* that it counts in (net/vain.h); 0: in none */
    uint64_t open_us;        /* mono time of the handshake's end */
    uint64_t trip_us;        /* what TCP's handshake took; 0: not known */
    uint64_t received, sent; /* bytes, within TLS */
    struct net_addr remote;
    struct net_delay *delay; /* of its frames; NULL: none */
    struct net_link *prev, *next;
    struct net_link *dirty_next;
    bool dirty;

    struct xn_cert cert;
    enum net_link_state state;
    struct net_link_io *io; /* link.c's */
};

/* Takes over the connected or connecting socket; ctx must outlive it.  link_out is open or will be
 * reported by closed(). */
int net_link_new(struct event_base *base, SSL_CTX *ctx, int fd, bool incoming,
                 const struct net_link_user *user, void *owner,
                 struct net_link **link_out);
/* After it knocked, once. */
void net_link_begin(struct net_link *link);
/* For a socket that is to connect or to listen, before it does: acknowledgements
 * wait for what is said in return, while that comes within 40 ms. */
void net_link_patient(int fd);
/* Queue a frame (takes a reference); net_link_flush sends.  false: the queue
 * is full. */
bool net_link_send(struct net_link *link, struct xn_msg *msg);
void net_link_flush(struct net_link *link);
/* To be called now and then: where all is acknowledged, the link may be idle,
 * and ends when several of TCP's probes are lost in a row.  While something is
 * not, it ends after 15 s. */
void net_link_rest(struct net_link *link);
/* Bytes that wait to go out. */
size_t net_link_queued(const struct net_link *link);
/* Nothing waits to go out. */
bool net_link_idle(const struct net_link *link);
/* Send what is queued, then close; frames that come are dropped. */
void net_link_drain(struct net_link *link);
/* The peer is silent: close at once, by a packet that is not said again. */
void net_link_reset(struct net_link *link);
/* Close now; calls closed() with these. */
void net_link_close(struct net_link *link, int rc, const char *text);

#endif
