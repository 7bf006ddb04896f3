/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/err.h"

enum { THREADS_MAX = 16 };

struct net_pool {
    struct net_post *post;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct net_job *first, **last;
    bool stop;
    unsigned n;
    unsigned long threads[THREADS_MAX];
};

int net_thread_start(void *(*fn)(void *arg), void *arg,
                     unsigned long *thread_out)
{
    sigset_t all, before;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) return XN_ENOMEM;
    *thread_out = thread;
    return 0;
}

void net_thread_join(unsigned long thread)
{
    pthread_join(thread, NULL);
}

static struct net_job *next_job(struct net_pool *pool)
{
    struct net_job *job = NULL;

    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->stop)
        pthread_cond_wait(&pool->work, &pool->lock);
    if (!pool->stop) {
        job = pool->first;
        pool->first = job->next;
        if (!pool->first) pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *labour(void *arg)
{
    struct net_pool *pool = arg;
    struct net_job *job;

    while ((job = next_job(pool))) {
        job->work(job);
        net_post_send(pool->post, job);
    }
    return NULL;
}

int net_pool_new(struct net_post *post, unsigned threads,
                 struct net_pool **pool_out)
{
    struct net_pool *pool = calloc(1, sizeof *pool);
    int rc = 0;

    if (!pool) return XN_ENOMEM;
    pool->post = post;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    if (threads < 1) threads = 1;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    while (!rc && pool->n < threads) {
        rc = net_thread_start(labour, pool, &pool->threads[pool->n]);
        if (!rc) pool->n++;
    }
    if (rc) {
        net_pool_free(pool);
        return rc;
    }
    *pool_out = pool;
    return 0;
}

void net_pool_free(struct net_pool *pool)
{
    struct net_job *job, *next;

    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    while (pool->n > 0)
        net_thread_join(pool->threads[--pool->n]);
    for (job = pool->first; job; job = next) {
        next = job->next;
        net_post_send(pool->post, job);
    }
    net_post_flush(pool->post);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void net_pool_run(struct net_pool *pool, struct net_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}
