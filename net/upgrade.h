/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection of ours to a server, upgraded to "xeno-stream" (wire/stream.h) by
 * a question that goes first. */
#ifndef NET_UPGRADE_H
#define NET_UPGRADE_H

#include <event2/event.h>
#include <stdbool.h>

#include "net/identity.h"

struct bufferevent;
struct net_upgrade;

struct net_upgrade_order { /* lent until it has ended, but for the body */
    struct event_base *base;
    const struct net_identity *identity;
    const char *url, *path; /* "https://host:port", "/v1/..." */
    const xn_id *peer;      /* who must answer */
    const void *body;       /* a message */
    unsigned timeout_ms;
    /* The base is others' too: a name is looked up in /etc/hosts and DNS while it
     * goes on.  Else as the C library is told to, at once, which blocks. */
    bool shares;
    /* Once, and not from within net_upgrade_new.  rc 0: net_upgrade_take; else
     * what the server refused with, XN_EUNREACH, XN_ETIMEOUT, XN_EIDENT,
     * XN_EPROTO, with lines that are lent.  net_upgrade_free in any case, also
     * from within. */
    void (*ended)(void *arg, int rc, const char *because, const char *try);
    void *arg;
};

/* XN_EINVAL: no such URL; XN_ENOMEM. */
int net_upgrade_new(const struct net_upgrade_order *order,
                    struct net_upgrade **upgrade_out);
/* Once it has ended: the server itself has refused, in its own words. */
bool net_upgrade_refused(const struct net_upgrade *upgrade);
/* The caller's (bufferevent_free). */
struct bufferevent *net_upgrade_take(struct net_upgrade *upgrade);
void net_upgrade_free(struct net_upgrade *upgrade); /* NULL is fine */

#endif
