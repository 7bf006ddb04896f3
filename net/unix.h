/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A unix socket of this machine with frames both ways (wire/frame.h), on the
 * loop, never blocking. */
#ifndef NET_UNIX_H
#define NET_UNIX_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "wire/task.pb-c.h"

struct net_unix {
    int fd;
    struct event *read, *write;
    struct xn_buf in, out;
    const ProtobufCMessageDescriptor *type; /* of what comes */
    size_t max;                             /* bytes of such a body */
    int passed; /* a descriptor that came along; -1: none */
    int rc;     /* not 0: it is over, for this reason */
    /* Something came, or it is over: net_unix_next says.  May close it. */
    void (*ready)(void *arg);
    void *arg;
};

/* How to fill one before it is opened. */
void net_unix_init(struct net_unix *sock,
                   const ProtobufCMessageDescriptor *type, size_t max,
                   void (*ready)(void *arg), void *arg);
/* Connects at once.  XN_EUNREACH: nobody listens there; XN_EBUSY: too many wait
 * to be let in; XN_ENOMEM. */
int net_unix_open(struct net_unix *sock, struct event_base *base,
                  const char *path);
/* The same with a socket that is connected, which it takes over, also on
 * failure. */
int net_unix_adopt(struct net_unix *sock, struct event_base *base, int fd);
/* Also of one that was not opened, or twice. */
void net_unix_close(struct net_unix *sock);

/* Queues a body.  XN_ETOOBIG, XN_ENOMEM; XN_EUNREACH: it is no socket. */
int net_unix_send(struct net_unix *sock, const void *body);
/* The next body (the caller's).  XN_ENOENT: none yet; XN_EUNREACH: the other end
 * closed; XN_ETOOBIG, XN_EPROTO: it does not speak our language. */
int net_unix_next(struct net_unix *sock, ProtobufCMessage **body_out);
/* The descriptor that came, the caller's from here on; -1: none did. */
int net_unix_take_fd(struct net_unix *sock);

#endif
