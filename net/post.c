/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/post.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/err.h"

struct net_post {
    pthread_mutex_t lock;
    struct net_job *first, **last;
    int fd;
    struct event *event;
};

static struct net_job *take_all(struct net_post *post)
{
    struct net_job *first;

    pthread_mutex_lock(&post->lock);
    first = post->first;
    post->first = NULL;
    post->last = &post->first;
    pthread_mutex_unlock(&post->lock);
    return first;
}

void net_post_flush(struct net_post *post)
{
    struct net_job *job = take_all(post);

    while (job) {
        struct net_job *next = job->next;

        job->done(job);
        job = next;
    }
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    if (read(fd, &count, sizeof count) < 0) return; /* nothing yet */
    net_post_flush(arg);
}

int net_post_new(struct event_base *base, struct net_post **post_out)
{
    struct net_post *post = calloc(1, sizeof *post);
    int rc = XN_ENOMEM;

    if (!post) return XN_ENOMEM;
    post->last = &post->first;
    pthread_mutex_init(&post->lock, NULL);
    post->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (post->fd < 0) goto out;
    post->event =
        event_new(base, post->fd, EV_READ | EV_PERSIST, on_mail, post);
    if (!post->event || event_add(post->event, NULL)) goto out;
    *post_out = post;
    post = NULL;
    rc = 0;
out:
    net_post_free(post);
    return rc;
}

void net_post_free(struct net_post *post)
{
    if (!post) return;
    net_post_flush(post);
    if (post->event) event_free(post->event);
    if (post->fd >= 0) close(post->fd);
    pthread_mutex_destroy(&post->lock);
    free(post);
}

void net_post_send(struct net_post *post, struct net_job *job)
{
    uint64_t one = 1;
    bool is_first;

    job->next = NULL;
    pthread_mutex_lock(&post->lock);
    is_first = !post->first; /* of others the loop knows */
    *post->last = job;
    post->last = &job->next;
    pthread_mutex_unlock(&post->lock);
    /* Fails only when the counter is full, and then the loop wakes anyway. */
    if (is_first && write(post->fd, &one, sizeof one) < 0) return;
}
