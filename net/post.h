/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How results come back from threads: a mailbox that wakes the loop. */
#ifndef NET_POST_H
#define NET_POST_H

struct event_base;

/* First member of whatever is worked on.  The thread that works on it owns it
 * until net_post_send; then it is the loop thread's, which calls done(). */
struct net_job {
    void (*work)(struct net_job *job); /* in a thread of the pool */
    void (*done)(struct net_job *job); /* in the loop thread; frees the job */
    struct net_job *next;
};

struct net_post;

int net_post_new(struct event_base *base, struct net_post **post_out);
/* Calls done() for what still lies there.  Threads must have ended. */
void net_post_free(struct net_post *post);
/* Calls done() for what lies there now: for whoever ends its threads. */
void net_post_flush(struct net_post *post);
/* From any thread. */
void net_post_send(struct net_post *post, struct net_job *job);

#endif
