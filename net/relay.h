/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Carries bytes between an upgraded connection (wire/stream.h) and what it is
 * for: a socket of this machine, or who speaks in frames himself, here or at
 * another machine.  Nothing is read that cannot be passed on: some 200 KiB of
 * each direction are held, and whoever does not read makes the other end wait. */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct bufferevent;
struct net_relay;

struct net_relay_config {
    struct event_base *base;
    /* Lent until `over`: it is open, and all that it has read is of the stream.
     */
    struct bufferevent *far;
    bool serves; /* ours is the server's end, which says why it is over */
    /* near speaks in frames: whole ones are passed on both ways, so that a last
     * one can always be put behind them; its own is the last. */
    bool whole;
    struct bufferevent
        *near;        /* open, as `far`; a socket's is net_relay_socket */
    const char *lost; /* whole: why, where near leaves without a word */
    unsigned idle_s;  /* then it is over; 0: never */
    /* The last of it, once, and not from within a call; `near` is closed, and
     * net_relay_free is to come.  rc 0: both sides have said all; because: a
     * line. */
    void (*over)(void *arg, int rc, const char *because);
    void *arg;
};

/* Takes `near`, in any case, and its being NULL for no memory.  XN_ENOMEM. */
int net_relay_new(const struct net_relay_config *config,
                  struct net_relay **relay_out);
/* Bytes of the stream up to now, from near and to it. */
void net_relay_carried(const struct net_relay *relay, uint64_t *from_near_out,
                       uint64_t *to_near_out);
/* It ends for this reason, which the other end is told; then `over`. */
void net_relay_end(struct net_relay *relay, int rc, const char *because);
void net_relay_free(struct net_relay *relay); /* NULL is fine */

/* A connected socket that does not block, as `near`: taken in any case.  NULL: no
 * memory. */
struct bufferevent *net_relay_socket(struct event_base *base, int fd);
/* With what was freed on it and waits for a last turn of it, as connections do. */
void net_relay_base_free(struct event_base *base);

#endif
