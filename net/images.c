/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FETCH in the loop: who asked for what, and whose turn it is. */
#include "net/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/images_in.h"
#include "net/pool.h"

struct image_job {
    struct net_job job; /* first */
    struct net_images *images;
    uint64_t ticket;
    xn_id owner;
    bool running;
    struct image_ask ask;
    struct image_job *prev, *next;
};

struct net_images {
    struct net_loop *loop;
    struct net_pool *pool;
    struct image_cache cache;
    struct image_job *jobs; /* in the order of asking */
    size_t n;
    bool freeing;
};

static void drop(struct image_job *job)
{
    DL_DELETE(job->images->jobs, job);
    job->images->n--;
    free(job->ask.url);
    free(job);
}

static void tell(const struct image_job *job)
{
    const struct image_ask *ask = &job->ask;
    char path[PATH_MAX + XN_ID_HEX + 1], hex[XN_ID_HEX];
    Xn__Fetched body = XN__FETCHED__INIT;

    if (ask->rc == XN_ECANCELLED) {
        net_loop_done(job->images->loop, job->ticket, ask->rc, NULL);
        return;
    }
    xn_id_hex(&ask->sha256, hex);
    snprintf(path, sizeof path, "%s/%s", job->images->cache.path, hex);
    body.rc = ask->rc;
    if (ask->rc) {
        body.because = (char *)(uintptr_t)ask->because;
        body.advice = (char *)(uintptr_t)ask->advice;
    } else {
        body.path = path;
        body.bytes = ask->bytes;
        body.cached = ask->cached;
    }
    net_loop_done_body(job->images->loop, job->ticket, XN__KIND__FETCHED,
                       &body);
}

/* ---- turns --------------------------------------------------------------- */

static void work(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;

    image_obtain(&mine->images->cache, &mine->ask);
}

static void go_on(struct net_images *images);

static void done(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;
    struct net_images *images = mine->images;

    if (!images->freeing) tell(mine);
    drop(mine);
    if (!images->freeing) go_on(images);
}

/* From another URL it is fetched besides: who names a hash with a slow one of his
 * own is not waited for. */
static bool is_same(const struct image_ask *a, const struct image_ask *b)
{
    return xn_id_eq(&a->sha256, &b->sha256) && strcmp(a->url, b->url) == 0;
}

static bool may_run(const struct net_images *images,
                    const struct image_job *job)
{
    const struct image_job *other;

    DL_FOREACH(images->jobs, other)
    {
        if (other->running && (is_same(&other->ask, &job->ask) ||
                               xn_id_eq(&other->owner, &job->owner)))
            return false;
    }
    return !job->running;
}

static size_t asks_of(const struct net_images *images, const xn_id *owner)
{
    const struct image_job *job;
    size_t n = 0;

    DL_FOREACH(images->jobs, job) n += xn_id_eq(&job->owner, owner);
    return n;
}

static void go_on(struct net_images *images)
{
    struct image_job *job;

    DL_FOREACH(images->jobs, job)
    {
        if (!may_run(images, job)) continue;
        job->running = true;
        net_pool_run(images->pool, &job->job);
    }
}

void net_images_fetch(struct net_images *images, uint64_t ticket,
                      const Xn__Fetch *fetch)
{
    struct image_job *job = NULL;
    int rc = images->n < NET_IMAGES_ASKS_MAX ? 0 : XN_EBUSY;
    xn_id owner = {{0}};

    if (!rc && fetch->owner.len) rc = xn_id_from_bytes(&fetch->owner, &owner);
    if (!rc && asks_of(images, &owner) >= NET_IMAGES_OWNER_ASKS_MAX)
        rc = XN_EBUSY;
    if (!rc) job = calloc(1, sizeof *job);
    if (job) {
        rc = xn_id_from_bytes(&fetch->sha256, &job->ask.sha256);
        if (!rc) job->ask.url = strdup(fetch->url);
    }
    if (!rc && (!job || !job->ask.url)) rc = XN_ENOMEM;
    if (rc) {
        free(job);
        net_loop_done(images->loop, ticket, rc, NULL);
        return;
    }
    job->job.work = work;
    job->job.done = done;
    job->images = images;
    job->ticket = ticket;
    job->owner = owner;
    job->ask.rc = XN_ECANCELLED; /* until it has been worked on */
    job->ask.size_max = fetch->size_max;
    DL_APPEND(images->jobs, job);
    images->n++;
    go_on(images);
}

bool net_images_abort(struct net_images *images, uint64_t ticket)
{
    struct image_job *job;

    DL_FOREACH(images->jobs, job)
    {
        if (job->ticket != ticket) continue;
        atomic_store(&job->ask.stop, true);
        if (!job->running) {
            net_loop_done(images->loop, ticket, XN_ECANCELLED, NULL);
            drop(job);
        }
        return true;
    }
    return false;
}

bool net_images_idle(const struct net_images *images)
{
    return !images->jobs;
}

/* ---- begin and end ------------------------------------------------------- */

int net_images_new(struct net_loop *loop, struct net_post *post,
                   const struct net_images_config *config,
                   struct net_images **images_out)
{
    struct net_images *images = calloc(1, sizeof *images);
    int rc;

    if (!images) return XN_ENOMEM;
    images->loop = loop;
    rc = image_cache_open(&images->cache, config);
    if (!rc && ((config->store && config->store[0] != '/') ||
                config->room < config->size_max)) {
        rc = XN_EINVAL;
    }
    if (!rc) rc = net_pool_new(post, NET_IMAGES_AT_ONCE, &images->pool);
    if (rc) {
        net_images_free(images);
        return rc;
    }
    *images_out = images;
    return 0;
}

void net_images_free(struct net_images *images)
{
    struct image_job *job, *next;

    if (!images) return;
    images->freeing = true;
    DL_FOREACH(images->jobs, job) atomic_store(&job->ask.stop, true);
    net_pool_free(images->pool);
    DL_FOREACH_SAFE(images->jobs, job, next) drop(job);
    image_cache_close(&images->cache);
    free(images);
}
