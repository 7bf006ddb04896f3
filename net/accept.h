/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accepts from a listening socket, NET_ACCEPT_TURN connections at most in one turn
 * of the loop: whoever opens them as fast as they are accepted leaves all else its
 * turns.  (libevent's own listener accepts until there are none.)  Who has left
 * before his turn came is closed without a word. */
#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include <stdbool.h>
#include <sys/socket.h>

#define NET_ACCEPT_TURN 32

struct net_accept;
struct event_base;

struct net_accept_user {
    /* The socket is the user's. */
    void (*accepted)(void *arg, int fd, const struct sockaddr *sa,
                     socklen_t len);
    /* It is off until it is set on again: with errno, there are no descriptors or
     * no memory. */
    void (*failed)(void *arg);
};

/* Takes the listening socket over, also where it fails: XN_ENOMEM. */
int net_accept_new(struct event_base *base, int fd,
                   const struct net_accept_user *user, void *arg,
                   struct net_accept **accept_out);
void net_accept_free(struct net_accept *accept);
/* On from the start; may be set from within the callbacks. */
void net_accept_set(struct net_accept *accept, bool on);

#endif
