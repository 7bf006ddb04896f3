/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FETCH in the loop: who asked for what, and whose turn it is. */
#include "net/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <utlist.h>

#include "lib/err.h"
#include "net/images_in.h"
#include "net/pool.h"

/* A job waits for a look, and where the image is not there for a place to fetch. */
enum stage { TO_LOOK, LOOKS, TO_FETCH, FETCHES };

struct image_job {
    struct net_job job; /* first */
    struct net_images *images;
    uint64_t ticket;
    xn_id owner;
    enum stage stage;
    struct event *clock; /* of a wait, then of its fetch */
    unsigned waits;      /* that went by, of its own doing */
    bool late;
    struct image_ask ask;
    struct image_job *prev, *next;
};

struct net_images {
    struct net_loop *loop;
    struct net_pool *lookers, *fetchers;
    struct image_cache cache;
    struct image_job *jobs; /* in the order of asking */
    size_t n;
    bool freeing;
};

static void drop(struct image_job *job)
{
    DL_DELETE(job->images->jobs, job);
    job->images->n--;
    if (job->clock) event_free(job->clock);
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

static void go_on(struct net_images *images);

static void end(struct image_job *job)
{
    struct net_images *images = job->images;

    if (!images->freeing) tell(job);
    drop(job);
    if (!images->freeing) go_on(images);
}

/* This machine had no descriptor or memory left: another time. */
static void end_for_now(struct image_job *job)
{
    struct net_images *images = job->images;

    if (!images->freeing)
        net_loop_done(images->loop, job->ticket, XN_EBUSY, NULL);
    drop(job);
    if (!images->freeing) go_on(images);
}

static void end_because(struct image_job *job, int rc, const char *because,
                        const char *advice)
{
    job->ask.rc = rc;
    job->ask.advice = advice;
    snprintf(job->ask.because, sizeof job->ask.because, "%s", because);
    end(job);
}

/* From another URL it is fetched besides: who names a hash with a slow one of his
 * own is not waited for. */
static bool is_same(const struct image_ask *a, const struct image_ask *b)
{
    return xn_id_eq(&a->sha256, &b->sha256) && strcmp(a->url, b->url) == 0;
}

/* An owner has one at a time of either, so that a large image of his is hashed
 * behind no others' backs. */
static bool waits_for(const struct image_job *job,
                      const struct image_job *other)
{
    if (xn_id_eq(&other->owner, &job->owner)) return true;
    return other->stage == FETCHES && is_same(&other->ask, &job->ask);
}

/* By his own doing, as a wait for what is the same is: others are not in the way. */
static bool must_wait(const struct image_job *job, enum stage stage)
{
    const struct image_job *other;

    DL_FOREACH(job->images->jobs, other)
    {
        if (other->stage == stage && waits_for(job, other)) return true;
    }
    return false;
}

static bool is_free(const struct net_images *images, enum stage stage)
{
    size_t n = 0, most = stage == LOOKS ? NET_IMAGES_LOOKS : NET_IMAGES_AT_ONCE;
    const struct image_job *job;

    DL_FOREACH(images->jobs, job) n += job->stage == stage;
    return n < most;
}

static bool may(const struct image_job *job, enum stage stage)
{
    return is_free(job->images, stage) && !must_wait(job, stage);
}

/* ---- clocks ---- */

static void set_clock(struct image_job *job, uint64_t us, uint64_t or_us)
{
    struct timeval t;

    if (!us) us = or_us;
    t.tv_sec = (time_t)(us / 1000000);
    t.tv_usec = (suseconds_t)(us % 1000000);
    event_add(job->clock, &t);
}

static void set_clock_of_wait(struct image_job *job)
{
    const struct net_images_config *config = &job->images->cache.config;

    set_clock(job, job->stage == TO_LOOK ? config->look_us : config->wait_us,
              NET_IMAGES_WAIT_US);
}

/* Others are waited for a moment only, in which nothing need be paid. */
static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct image_job *job = arg;

    if (job->stage == FETCHES) {
        job->late = true;
        atomic_store(&job->ask.stop, true);
    } else if (!must_wait(job, job->stage == TO_LOOK ? LOOKS : FETCHES)) {
        end_because(job, XN_EBUSY,
                    "this server fetches as many images as it can already",
                    "again later, or another server");
    } else if (++job->waits < NET_IMAGES_WAITS) {
        set_clock_of_wait(job);
    } else {
        end_because(job, XN_ETIMEOUT,
                    "fetching the images before it takes too long",
                    "one after the other");
    }
}

/* ---- fetching ---- */

static void fetch(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;

    image_obtain(&mine->images->cache, &mine->ask);
}

static void fetched(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;

    if (mine->ask.rc == XN_EBUSY) {
        end_for_now(mine);
    } else if (mine->late && mine->ask.rc == XN_ECANCELLED) {
        end_because(mine, XN_ETIMEOUT, "fetching the image takes too long",
                    "a nearer URL, or a smaller image");
    } else {
        end(mine);
    }
}

/* ---- looking ---- */

static void look(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;

    image_look(&mine->images->cache, &mine->ask);
}

static void looked(struct net_job *job)
{
    struct image_job *mine = (struct image_job *)(void *)job;
    struct net_images *images = mine->images;

    if (mine->ask.rc == XN_EBUSY) {
        end_for_now(mine);
        return;
    }
    if (mine->ask.rc != XN_ENOENT || images->freeing) {
        end(mine);
        return;
    }
    mine->ask.rc = XN_ECANCELLED; /* until it has been worked on */
    if (atomic_load(&mine->ask.stop)) {
        end(mine);
        return;
    }
    mine->stage = TO_FETCH;
    set_clock_of_wait(mine);
    go_on(images);
}

/* ---- both ---- */

static void run(struct image_job *job, enum stage stage,
                void (*work)(struct net_job *job),
                void (*done)(struct net_job *job))
{
    struct net_images *images = job->images;

    job->stage = stage;
    job->job.work = work;
    job->job.done = done;
    net_pool_run(stage == LOOKS ? images->lookers : images->fetchers,
                 &job->job);
}

static void go_on(struct net_images *images)
{
    uint64_t us = images->cache.config.fetch_us;
    struct image_job *job;

    DL_FOREACH(images->jobs, job)
    {
        if (job->stage == TO_LOOK && may(job, LOOKS)) {
            event_del(job->clock);
            run(job, LOOKS, look, looked);
        } else if (job->stage == TO_FETCH && may(job, FETCHES)) {
            set_clock(job, us, NET_IMAGES_FETCH_US);
            run(job, FETCHES, fetch, fetched);
        }
    }
}

/* ---- asks ---------------------------------------------------------------- */

static size_t asks_of(const struct net_images *images, const xn_id *owner)
{
    const struct image_job *job;
    size_t n = 0;

    DL_FOREACH(images->jobs, job) n += xn_id_eq(&job->owner, owner);
    return n;
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
    if (job)
        job->clock =
            event_new(net_loop_base(images->loop), -1, 0, on_clock, job);
    if (!rc && (!job || !job->ask.url || !job->clock)) rc = XN_ENOMEM;
    if (rc) {
        if (job && job->clock) event_free(job->clock);
        if (job) free(job->ask.url);
        free(job);
        net_loop_done(images->loop, ticket, rc, NULL);
        return;
    }
    job->images = images;
    job->ticket = ticket;
    job->owner = owner;
    job->ask.rc = XN_ECANCELLED; /* until it has been worked on */
    job->ask.size_max = fetch->size_max;
    DL_APPEND(images->jobs, job);
    images->n++;
    set_clock_of_wait(job);
    go_on(images);
}

bool net_images_abort(struct net_images *images, uint64_t ticket)
{
    struct image_job *job;

    DL_FOREACH(images->jobs, job)
    {
        if (job->ticket != ticket) continue;
        atomic_store(&job->ask.stop, true);
        if (job->stage == TO_LOOK || job->stage == TO_FETCH) {
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
    if (!rc) rc = net_pool_new(post, NET_IMAGES_LOOKS, &images->lookers);
    if (!rc) rc = net_pool_new(post, NET_IMAGES_AT_ONCE, &images->fetchers);
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
    net_pool_free(images->lookers);
    net_pool_free(images->fetchers);
    DL_FOREACH_SAFE(images->jobs, job, next) drop(job);
    image_cache_close(&images->cache);
    free(images);
}
