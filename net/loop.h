/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The crank: events queue up here, are stepped through the core one by one,
 * and the actions go to the parts of the driver.  Whatever happens while
 * actions are carried out is queued behind. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <event2/event.h>

#include "seam/xn_core.h"

struct net_loop;

/* What the loop calls for each action, and after a GONE has been handled.
 * Action and message are lent. */
struct net_loop_user {
    void *user;
    void (*act)(void *user, const struct xn_action *action);
    void (*gone)(void *user, xn_peer peer);
    void (*turned)(void *user); /* sockets are looked at next */
    void (*stepped)(void *user, const struct xn_now *now,
                    const struct xn_event *ev, const struct xn_outbox *box);
};

/* From the first on, what libevent itself has to say goes to the log. */
int net_loop_new(const struct net_loop_user *user, struct net_loop **loop_out);
void net_loop_free(struct net_loop *loop);
struct event_base *net_loop_base(const struct net_loop *loop);

/* Queue an event; takes over the reference to msg (NULL is fine). */
void net_loop_raise(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                    int rc, xn_peer peer, struct xn_msg *msg);
/* The same with a body. */
void net_loop_tell(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                   xn_peer peer, unsigned msg_kind, const void *body);
/* The end of an action; nothing where ticket is 0. */
void net_loop_done(struct net_loop *loop, uint64_t ticket, int rc,
                   struct xn_msg *msg);
void net_loop_done_body(struct net_loop *loop, uint64_t ticket,
                        unsigned msg_kind, const void *body);
bool net_loop_quiet(const struct net_loop *loop); /* nothing queued */

/* Give it the core (not owned) and run until net_loop_stop. */
int net_loop_run(struct net_loop *loop, struct xn_core *core);
void net_loop_stop(struct net_loop *loop, int rc);

#endif
