/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A member fetches images: a question may take longer than those that ask have
 * patience, so they are told "not yet", ask the same again, and find what has
 * become of it. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/member_in.h"
#include "lib/err.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define WAIT_US (15 * SECOND_US)
#define FETCH_US (1000 * SECOND_US) /* the driver ends it first */
#define PATIENCE_US (3 * WAIT_US)   /* from one question to the next */
#define TOLD_US (60 * SECOND_US)    /* the driver holds it for twice that */

/* Nobody waits there any more. */
static void leave(struct member *m, struct member_asker *asker)
{
    if (asker->timer) xn_ticket_forget(m->tickets, asker->timer);
    *asker = (struct member_asker){.ask = 0};
}

static void answer_all(struct member *m, struct member_fetch *f,
                       const void *body)
{
    for (size_t i = 0; i < ASKERS_MAX; i++) {
        struct member_asker *asker = &f->askers[i];

        if (asker->ask) xn_out_answer(&m->out, asker->ask, 200, body);
        leave(m, asker);
    }
}

static void refuse_all(struct member *m, struct member_fetch *f, int rc)
{
    for (size_t i = 0; i < ASKERS_MAX; i++) {
        struct member_asker *asker = &f->askers[i];

        if (asker->ask)
            xn_out_refuse(&m->out, asker->ask, rc, WHAT, xn_strerror(rc),
                          "again in some seconds");
        leave(m, asker);
    }
}

static void forget(struct member_fetch *f)
{
    xn_msg_free(f->told);
    *f = (struct member_fetch){.ticket = 0};
}

static bool is_stale(const struct member_fetch *f, const struct xn_now *now)
{
    return !f->ticket && now->mono_us >= f->done_us + TOLD_US;
}

static void say_not_yet(struct member *m, uint64_t ask)
{
    Xn__Fetched not_yet = XN__FETCHED__INIT;

    not_yet.rc = XN_ENOTYET;
    xn_out_answer(&m->out, ask, 200, &not_yet);
}

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct member_asker *asker = ctx;

    say_not_yet(owner, asker->ask);
    *asker = (struct member_asker){.ask = 0};
}

static void on_fetched(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct member *m = owner;
    Xn__Fetched failed = XN__FETCHED__INIT;
    struct member_fetch *f = ctx;

    if (f->patience) xn_ticket_forget(m->tickets, f->patience);
    f->ticket = f->patience = 0;
    f->done_us = now->mono_us;
    if (!rc && (!msg || msg->kind != XN__KIND__FETCHED)) rc = XN_EPROTO;
    if (!rc) {
        m->fetched += !XN_BODY(msg, Xn__Fetched)->rc;
        f->told = xn_msg_ref(msg);
        answer_all(m, f, msg->body);
        return;
    }
    if (rc == XN_EBUSY || rc == XN_ECANCELLED) refuse_all(m, f, rc);
    failed.rc = rc;
    failed.because = (char *)(uintptr_t)xn_strerror(rc);
    failed.advice = (char *)(uintptr_t) "another server";
    answer_all(m, f, &failed);
    forget(f);
}

/* The row of that question, or one for it; NULL: all are taken. */
static struct member_fetch *row_for(struct member *m, const struct xn_now *now,
                                    const xn_id *key)
{
    struct member_fetch *row = NULL;

    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct member_fetch *f = &m->fetches[i];

        if (xn_id_eq(&f->key, key) && !is_stale(f, now)) return f;
        if (xn_id_is_zero(&f->key) || is_stale(f, now)) row = f;
    }
    if (row) forget(row);
    return row;
}

/* Its end comes all the same. */
static void on_patience_over(void *owner, void *ctx, const struct xn_now *now,
                             int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct member_fetch *f = ctx;

    f->patience = 0;
    xn_out_add(out, XN_ACT_ABORT, f->ticket, XN_PEER_NONE, NULL);
}

static void begin(struct member *m, const struct xn_now *now,
                  struct member_fetch *f, const xn_id *key,
                  const Xn__Fetch *want)
{
    f->key = *key;
    f->ticket = xn_ticket(m->tickets, now->mono_us + FETCH_US, on_fetched, m, f,
                          &m->out);
    f->patience = xn_ticket(m->tickets, now->mono_us + PATIENCE_US,
                            on_patience_over, m, f, &m->out);
    if (f->ticket)
        xn_out_emit(&m->out, XN_ACT_FETCH, f->ticket, XN_PEER_NONE,
                    XN__KIND__FETCH, want);
}

static void wait_for(struct member *m, const struct xn_now *now,
                     struct member_fetch *f, uint64_t ask)
{
    xn_ticket_postpone(m->tickets, f->patience, now->mono_us + PATIENCE_US);
    for (size_t i = 0; i < ASKERS_MAX; i++) {
        struct member_asker *asker = &f->askers[i];

        if (asker->ask) continue;
        asker->ask = ask;
        asker->timer = xn_ticket(m->tickets, now->mono_us + WAIT_US, on_time, m,
                                 asker, &m->out);
        return;
    }
    say_not_yet(m, ask);
}

/* A failure is told once: asked again, it is tried again. */
static void tell_or_wait(struct member *m, const struct xn_now *now,
                         struct member_fetch *f, uint64_t ask)
{
    if (f->ticket) {
        wait_for(m, now, f, ask);
    } else if (f->told) {
        xn_out_answer(&m->out, ask, 200, f->told->body);
        if (XN_BODY(f->told, Xn__Fetched)->rc) forget(f);
    }
}

void member_on_fetch(struct member *m, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    Xn__Fetch *want = xn_unpack(&xn__fetch__descriptor, question->body.data,
                                question->body.len);
    struct member_fetch *f = NULL;
    xn_id key;

    xn_id_hash(question->body.data, question->body.len, &key);
    if (!want || want->sha256.len != XN_ID_SIZE) {
        member_malformed(m, ask);
    } else if (!m->config.images) {
        xn_out_refuse(&m->out, ask, XN_EREFUSED, WHAT, "it takes no images",
                      "another machine");
    } else if (!(f = row_for(m, now, &key))) {
        xn_out_refuse(&m->out, ask, XN_EBUSY, WHAT,
                      "it fetches as many images as it can",
                      "again in some seconds");
    } else {
        if (xn_id_is_zero(&f->key)) begin(m, now, f, &key, want);
        tell_or_wait(m, now, f, ask);
    }
    if (want) xn__fetch__free_unpacked(want, NULL);
}

bool member_has_image(const struct member *m, const struct xn_now *now,
                      const char *path)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        const struct member_fetch *f = &m->fetches[i];

        if (f->told && !is_stale(f, now) &&
            !strcmp(XN_BODY(f->told, Xn__Fetched)->path, path))
            return true;
    }
    return false;
}

void member_fetch_cancel(struct member *m, uint64_t ask)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        for (size_t n = 0; n < ASKERS_MAX; n++) {
            if (m->fetches[i].askers[n].ask == ask)
                leave(m, &m->fetches[i].askers[n]);
        }
    }
}

size_t member_fetch_tickets(const struct member *m)
{
    size_t n = 0;

    for (size_t i = 0; i < FETCHES_MAX; i++) {
        n += (m->fetches[i].ticket != 0) + (m->fetches[i].patience != 0);
        for (size_t k = 0; k < ASKERS_MAX; k++)
            n += m->fetches[i].askers[k].timer != 0;
    }
    return n;
}

uint32_t member_fetches(const struct member *m)
{
    uint32_t n = 0;

    for (size_t i = 0; i < FETCHES_MAX; i++)
        n += m->fetches[i].ticket != 0;
    return n;
}

void member_fetch_clear(struct member *m)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        forget(&m->fetches[i]);
}
