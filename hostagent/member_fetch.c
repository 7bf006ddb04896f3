/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A member fetches images: a question may take longer than one that asks has
 * patience, so it is told "not yet", asks the same again, and finds what has become
 * of it. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/member_in.h"
#include "lib/err.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define WAIT_US (15 * SECOND_US)
#define FETCH_US (1000 * SECOND_US) /* the driver ends it first */
#define TOLD_US (60 * SECOND_US)    /* the driver holds it for twice that */

static void answer(struct member *m, struct member_fetch *f, const void *body)
{
    if (f->timer) xn_ticket_forget(m->tickets, f->timer);
    if (f->ask) xn_out_answer(&m->out, f->ask, 200, body);
    f->ask = f->timer = 0;
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

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    Xn__Fetched not_yet = XN__FETCHED__INIT;
    struct member_fetch *f = ctx;

    f->timer = 0;
    not_yet.rc = XN_ENOTYET;
    answer(owner, f, &not_yet);
}

static void on_fetched(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct member *m = owner;
    Xn__Fetched failed = XN__FETCHED__INIT;
    struct member_fetch *f = ctx;

    f->ticket = 0;
    f->done_us = now->mono_us;
    if (!rc && (!msg || msg->kind != XN__KIND__FETCHED)) rc = XN_EPROTO;
    if (!rc) {
        f->told = xn_msg_ref(msg);
        answer(m, f, msg->body);
        return;
    }
    failed.rc = rc;
    failed.because = (char *)(uintptr_t)xn_strerror(rc);
    failed.advice = (char *)(uintptr_t) "another server";
    if ((rc == XN_EBUSY || rc == XN_ECANCELLED) && f->ask) {
        xn_out_refuse(out, f->ask, rc, WHAT, xn_strerror(rc),
                      "again in some seconds");
        f->ask = 0;
    }
    answer(m, f, &failed);
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

static void begin(struct member *m, const struct xn_now *now,
                  struct member_fetch *f, const xn_id *key,
                  const Xn__Fetch *want)
{
    f->key = *key;
    f->ticket = xn_ticket(m->tickets, now->mono_us + FETCH_US, on_fetched, m, f,
                          &m->out);
    if (f->ticket)
        xn_out_emit(&m->out, XN_ACT_FETCH, f->ticket, XN_PEER_NONE,
                    XN__KIND__FETCH, want);
}

/* Who asks last is answered.  A failure is told once: asked again, it is tried
 * again. */
static void tell_or_wait(struct member *m, const struct xn_now *now,
                         struct member_fetch *f, uint64_t ask)
{
    on_time(m, f, now, 0, NULL, &m->out);
    f->ask = ask;
    if (f->ticket) {
        f->timer = xn_ticket(m->tickets, now->mono_us + WAIT_US, on_time, m, f,
                             &m->out);
    } else if (f->told) {
        answer(m, f, f->told->body);
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
        struct member_fetch *f = &m->fetches[i];

        if (f->ask != ask) continue;
        if (f->timer) xn_ticket_forget(m->tickets, f->timer);
        f->ask = f->timer = 0;
    }
}

size_t member_fetch_tickets(const struct member *m)
{
    size_t n = 0;

    for (size_t i = 0; i < FETCHES_MAX; i++)
        n += (m->fetches[i].ticket != 0) + (m->fetches[i].timer != 0);
    return n;
}

void member_fetch_clear(struct member *m)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        forget(&m->fetches[i]);
}
