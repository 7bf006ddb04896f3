/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HTTPS interface: requests become ASK events, ANSWER actions their
 * replies.  evhttp over TLS; a client certificate is optional. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "net/identity.h"
#include "net/loop.h"

struct net_http;
struct bufferevent;
struct evhttp_connection;

struct net_http_config {
    const struct net_identity *identity;
    const char *listen;
    unsigned defer_s;  /* net_listen_defer */
    unsigned max;      /* connections */
    unsigned connects; /* that begin, per second and address; 0: no bound */
    /* The same of all addresses where no member has proved itself, and as many
     * of the others. */
    unsigned connects_all;
    unsigned rate; /* anonymous requests per second and address; 0: no bound */
    unsigned certified_rate; /* of one certified caller; 0: no bound */
    size_t body_max; /* bytes that a stranger may have us hold; 0: 1 MiB */
    uint64_t ask_us; /* for an answer; 0: 30 s */
};

/* XN_EINVAL: address; XN_EIO with errno: cannot bind. */
int net_http_new(struct net_loop *loop, const struct net_http_config *config,
                 struct net_http **http_out);
void net_http_free(struct net_http *http);
const char *net_http_address(const struct net_http *http);
/* An unknown ticket (its asker went away) is ignored. */
void net_http_answer(struct net_http *http, uint64_t ticket,
                     const Xn__Answer *answer);

/* Its connection is the caller's from here on, and carries what he wants: all
 * that the asker gets of an answer is status 101.  evhttp_connection_free ends
 * it, before net_http_free.  XN_ENOENT: the asker went away; XN_EPROTO: he has
 * not asked for an upgrade to that protocol, and is still to be answered. */
struct net_http_taken {
    struct evhttp_connection *evcon;
    struct bufferevent *bev; /* evcon's */
};
int net_http_take(struct net_http *http, uint64_t ticket, const char *protocol,
                  struct net_http_taken *taken_out);
struct net_http_load {
    unsigned connections, unanswered; /* now */
    uint64_t opened;                  /* connections, since the start */
};
void net_http_load(const struct net_http *http, struct net_http_load *load_out);
bool net_http_idle(const struct net_http *http); /* nothing is unanswered */

#endif
