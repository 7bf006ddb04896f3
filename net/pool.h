/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads for what takes a while and touches nothing: signing, verifying. */
#ifndef NET_POOL_H
#define NET_POOL_H

#include "net/post.h"

struct net_pool;

int net_pool_new(struct net_post *post, unsigned threads,
                 struct net_pool **pool_out);
/* Waits for the threads; jobs not begun are posted back undone (their work()
 * was not called). */
void net_pool_free(struct net_pool *pool);
/* Runs job->work in a thread, then posts the job. */
void net_pool_run(struct net_pool *pool, struct net_job *job);

/* Starts a thread with all signals blocked, so that they reach the loop. */
int net_thread_start(void *(*fn)(void *arg), void *arg,
                     unsigned long *thread_out);
void net_thread_join(unsigned long thread);

#endif
