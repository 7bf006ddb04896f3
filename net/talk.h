/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTPS requests of command-line programs that ask more than once: connections
 * are kept for the next request to the same place, and several requests may be
 * under way at once.
 *
 * One talk speaks as one identity: a connection stays what it was opened as. */
#ifndef NET_TALK_H
#define NET_TALK_H

#include <poll.h>

#include "net/client.h"

#define NET_TALK_OTHERS_MAX 4

struct net_talk;

struct net_ask { /* lent until net_talk_begin returns, but identity and peer */
    const struct net_identity *identity; /* lent until it has ended */
    const char *method, *url;
    const void *body; /* copied */
    size_t len;
    const xn_id *peer; /* NULL: any certified one */
    unsigned meet_ms;  /* until its identity is proved; 0: as timeout_ms */
    unsigned timeout_ms;
};

struct net_said { /* its place must not change while it is under way */
    bool done;
    int rc; /* as of net_request */
    struct net_reply reply;
    char why[300]; /* a line, where rc is not 0 */
};

int net_talk_new(struct net_talk **talk_out);
/* What is under way is given up; NULL is fine. */
void net_talk_free(struct net_talk *talk);

/* XN_ENOMEM: it was not begun.  net_said_clear, in any case. */
int net_talk_begin(struct net_talk *talk, const struct net_ask *ask,
                   struct net_said *said);
/* Returns when a request has ended, when something is to be read from one of
 * the others (their revents say which; n at most NET_TALK_OTHERS_MAX), or when
 * the time is over (-1: it never is). */
void net_talk_wait(struct net_talk *talk, struct pollfd *others, unsigned n,
                   int timeout_ms);
/* No answer is wanted any more; fine where it has ended. */
void net_talk_give_up(struct net_talk *talk, struct net_said *said);
void net_said_clear(struct net_said *said);

/* Begin, and wait until it has ended. */
void net_talk_ask(struct net_talk *talk, const struct net_ask *ask,
                  struct net_said *said);

#endif
