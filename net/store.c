/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "net/clock.h"
#include "net/kv.h"
#include "net/pool.h"
#include "net/wal.h"

enum {
    BATCH_MAX = 512,
    IDLE_NS = 50 * 1000 * 1000,
    QUICK_US = 500,
    QUICK_AGAIN = 64,
    LOG_BYTES = 1 << 20,
    LOG_BYTES_MAX = 16 << 20
};

struct work {
    struct net_job job; /* first */
    struct net_store *store;
    bool is_txn;
    uint64_t ticket;
    struct xn_msg *in; /* the loop's reference: the thread only reads it */
    struct xn_msg *out;
    int rc;
};

struct net_store {
    struct net_loop *loop;
    struct net_post *post;
    const struct net_backing_ops *ops;
    void *backing;
    size_t pending; /* the loop thread's count */
    unsigned long thread;
    bool running;
    bool behind; /* the thread's: the backing has more to tend to */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct net_job *first, **last;
    bool stop;
    bool waits; /* the thread, for work: the backing is in nobody's hands */
    uint64_t n_here; /* done by the loop itself */
    uint64_t quick_us;
    unsigned distrust; /* quick ones by the thread until the loop may again */
};

static void work_done(struct net_job *job)
{
    struct work *work = (struct work *)(void *)job;

    work->store->pending--;
    net_loop_done(work->store->loop, work->ticket, work->rc, work->out);
    xn_msg_free(work->in);
    free(work);
}

static bool is_failure(int rc)
{
    return rc && rc != XN_ECONFLICT && rc != XN_EINVAL;
}

static void apply(struct net_store *store, const Xn__Txn *const *txns, size_t n,
                  int *rcs)
{
    uint64_t from_us = net_mono_us();

    store->ops->apply(store->backing, txns, n, rcs);
    if (net_mono_us() - from_us >= store->quick_us || is_failure(rcs[0])) {
        store->distrust = QUICK_AGAIN;
    } else if (store->distrust) {
        store->distrust--;
    }
}

/* The TXNs at the front of the list, at most BATCH_MAX, in one transaction.
 * Returns what is behind them. */
static struct net_job *do_txns(struct net_store *store, struct net_job *first)
{
    const Xn__Txn *txns[BATCH_MAX] = {NULL};
    int rcs[BATCH_MAX];
    struct net_job *job = first;
    size_t n = 0, i;

    while (job && n < BATCH_MAX && ((struct work *)(void *)job)->is_txn) {
        rcs[n] = 0;
        txns[n++] = XN_BODY(((struct work *)(void *)job)->in, Xn__Txn);
        job = job->next;
    }
    apply(store, txns, n, rcs);
    for (i = 0; i < n; i++) {
        struct net_job *next = first->next;

        ((struct work *)(void *)first)->rc = rcs[i];
        net_post_send(store->post, first);
        first = next;
    }
    /* Behind the answers: nobody waits for it. */
    if (store->ops->tend)
        store->behind = store->ops->tend(store->backing, false);
    return job;
}

static struct net_job *do_read(struct net_store *store, struct net_job *job)
{
    struct work *work = (struct work *)(void *)job;
    struct net_job *next = job->next;

    work->rc = store->ops->read(store->backing, XN_BODY(work->in, Xn__Read),
                                &work->out);
    net_post_send(store->post, job);
    return next;
}

static int wait_until(struct net_store *store, const struct timespec *until)
{
    int rc;

    store->waits = true;
    rc = until ? pthread_cond_timedwait(&store->wake, &store->lock, until)
               : pthread_cond_wait(&store->wake, &store->lock);
    store->waits = false;
    return rc;
}

/* Nothing came for a while?  Called with the lock, as the wait is. */
static bool is_idle(struct net_store *store)
{
    uint64_t n_here = store->n_here;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += IDLE_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return wait_until(store, &until) == ETIMEDOUT && !store->first &&
           !store->stop && store->n_here == n_here;
}

static void wait_for_work(struct net_store *store)
{
    while (!store->first && !store->stop) {
        if (!store->behind) {
            wait_until(store, NULL);
        } else if (is_idle(store)) {
            pthread_mutex_unlock(&store->lock);
            store->behind = store->ops->tend(store->backing, true);
            pthread_mutex_lock(&store->lock);
        }
    }
}

static struct net_job *take_all(struct net_store *store)
{
    struct net_job *first;

    pthread_mutex_lock(&store->lock);
    wait_for_work(store);
    first = store->first;
    store->first = NULL;
    store->last = &store->first;
    pthread_mutex_unlock(&store->lock);
    return first;
}

static void *labour(void *arg)
{
    struct net_store *store = arg;
    struct net_job *job;

    while ((job = take_all(store))) {
        while (job) {
            if (((struct work *)(void *)job)->is_txn) {
                job = do_txns(store, job);
            } else {
                job = do_read(store, job);
            }
        }
    }
    return NULL;
}

static void add(struct net_store *store, bool is_txn, uint64_t ticket,
                struct xn_msg *msg)
{
    struct work *work = calloc(1, sizeof *work);

    if (!work) {
        net_loop_done(store->loop, ticket, XN_ENOMEM, NULL);
        return;
    }
    work->job.done = work_done;
    work->store = store;
    work->is_txn = is_txn;
    work->ticket = ticket;
    work->in = xn_msg_ref(msg);
    store->pending++;
    pthread_mutex_lock(&store->lock);
    *store->last = &work->job;
    store->last = &work->job.next;
    pthread_mutex_unlock(&store->lock);
    /* Behind the lock: who wakes would have to wait for it at once. */
    pthread_cond_signal(&store->wake);
}

/* To hand a transaction to the thread and to be told of its end costs more than
 * a short write.  So where nothing else waits, here or in the loop, and the
 * writes before it were short, the loop does it itself.  A disk that stops all
 * at once stops the loop, too, once. */
static bool do_here(struct net_store *store, uint64_t ticket,
                    const struct xn_msg *msg)
{
    const Xn__Txn *txn = XN_BODY(msg, Xn__Txn);
    bool here = false;
    int rc = 0;

    if (store->pending || !store->ops->is_quick ||
        !net_loop_quiet(store->loop)) {
        return false;
    }
    pthread_mutex_lock(&store->lock);
    if (store->waits && !store->distrust) {
        here = store->ops->is_quick(store->backing, txn);
    }
    if (here) {
        apply(store, &txn, 1, &rc);
        store->n_here++;
    }
    pthread_mutex_unlock(&store->lock);
    if (here) net_loop_done(store->loop, ticket, rc, NULL);
    return here;
}

void net_store_txn(struct net_store *store, uint64_t ticket, struct xn_msg *msg)
{
    if (!do_here(store, ticket, msg)) add(store, true, ticket, msg);
}

void net_store_read(struct net_store *store, uint64_t ticket,
                    struct xn_msg *msg)
{
    add(store, false, ticket, msg);
}

void net_store_quick(struct net_store *store, uint64_t us)
{
    pthread_mutex_lock(&store->lock);
    store->quick_us = us;
    store->distrust = 0;
    pthread_mutex_unlock(&store->lock);
}

bool net_store_idle(const struct net_store *store)
{
    return store->pending == 0;
}

static int cannot_open(const char *program, const char *path, int rc,
                       const char *why)
{
    const char *because = xn_strerror(rc), *try = NULL;
    char look[80];

    if (rc == XN_EBUSY) {
        because = "in use by another process";
        try = "end the other process first";
    } else if (rc == XN_EINTEGRITY) {
        because = *why ? why : "emptied, cut or no store";
        snprintf(look, sizeof look,
                 "keep a copy of its files; man %s says what to do", program);
        try = look;
    }
    xn_gripe_rcf(program, rc, NULL, "cannot open the store", try, "%s: %s",
                 path, because);
    return rc;
}

static int open_logged(struct net_store *store, const char *program,
                       const char *path, bool create)
{
    /* many servers may be at home on one machine */
    static const struct net_wal_options small = {
        .log_bytes = LOG_BYTES, .log_most = LOG_BYTES_MAX, .create = true};
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    int rc = net_wal_open(path, create ? &small : NULL, &wal, &report);

    if (rc) return cannot_open(program, report.file, rc, report.why);
    store->ops = &net_wal_ops;
    store->backing = wal;
    store->behind = net_wal_tend(wal, false); /* nothing is owed yet */
    return 0;
}

static int open_mended(struct net_store *store, const char *program,
                       const char *path)
{
    struct net_kv_report report = {.records = 0};
    struct net_kv *kv = NULL;
    int rc = net_kv_open(path, &kv, &report);

    if (rc) return cannot_open(program, path, rc, "");
    store->ops = &net_kv_ops;
    store->backing = kv;
    if (report.set_aside[0]) {
        xn_log(XN_LOG_ERROR,
               "the store %s was damaged: it is kept as %s, and %llu records "
               "were saved from it",
               path, report.set_aside, (unsigned long long)report.records);
    }
    if (report.damaged) {
        xn_log(XN_LOG_ERROR, "%llu records of %s are damaged and left out",
               (unsigned long long)report.damaged, path);
    }
    return 0;
}

int net_store_new(struct net_loop *loop, struct net_post *post,
                  const char *program, const char *path,
                  enum net_store_kind kind, struct net_store **store_out)
{
    struct net_store *store = calloc(1, sizeof *store);
    pthread_condattr_t attr;
    int rc;

    if (!store) return XN_ENOMEM;
    store->loop = loop;
    store->post = post;
    store->last = &store->first;
    store->quick_us = QUICK_US;
    store->distrust = QUICK_AGAIN; /* nobody knows the disk yet */
    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attr);
    pthread_condattr_destroy(&attr);
    rc = kind == NET_STORE_MENDED
             ? open_mended(store, program, path)
             : open_logged(store, program, path, kind == NET_STORE_LOGGED);
    if (!rc) rc = net_thread_start(labour, store, &store->thread);
    if (rc) {
        net_store_free(store);
        return rc;
    }
    store->running = true;
    *store_out = store;
    return 0;
}

void net_store_free(struct net_store *store)
{
    if (!store) return;
    if (store->running) {
        pthread_mutex_lock(&store->lock);
        store->stop = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->lock);
        net_thread_join(store->thread);
        net_post_flush(store->post);
    }
    if (store->ops) store->ops->close(store->backing);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
