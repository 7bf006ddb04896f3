/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task's image, which is fetched before the task is started: the driver has it
 * verified and locked for a while, the keeper takes a lock of its own. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"

/* A member says "not yet" sooner than that, and is asked again. */
#define FAR_US (25 * 1000000ULL)
#define NOT_YET_US 1000000ULL
#define FAR_TEXT_MAX 1024

bool task_lacks_image(const struct host_task *t)
{
    return t->record->image && !t->image;
}

static void take(struct host_session *s, const struct xn_now *now,
                 struct host_task *t, const Xn__Fetched *fetched)
{
    if (fetched->rc) {
        if (task_set_advice(t, fetched->advice)) s->host->out.rc = XN_ENOMEM;
        task_not_started(s, now, t, fetched->rc,
                         fetched->because[0] ? fetched->because
                                             : xn_strerror(fetched->rc));
        return;
    }
    t->image = strdup(fetched->path);
    if (!t->image)
        s->host->out.rc = XN_ENOMEM;
    else
        task_go(s, now);
}

static void ask(struct host_session *s, const struct xn_now *now,
                struct host_task *t);

/* By FETCH, or from a member. */
static int fetched_in(struct host *host, int rc, const struct xn_msg *msg,
                      const Xn__Fetched **fetched_out)
{
    const Xn__Fetched *f;
    const void *body;

    if (!rc && msg && msg->kind == XN__KIND__ANSWER) {
        rc = member_said(host, rc, msg, &xn__fetched__descriptor, &body);
        if (rc) return rc;
        f = body;
        if (strlen(f->path) > FAR_TEXT_MAX ||
            strlen(f->advice) > FAR_TEXT_MAX ||
            strlen(f->because) > FAR_TEXT_MAX || (!f->rc && !f->path[0]))
            return XN_EPROTO;
        *fetched_out = f;
    } else if (!rc && msg && msg->kind == XN__KIND__FETCHED) {
        *fetched_out = XN_BODY(msg, Xn__Fetched);
    } else if (!rc) {
        rc = XN_EPROTO;
    }
    return rc;
}

/* That nothing was heard of it says nothing of the image. */
static bool passes(const struct host_session *s, int rc)
{
    const struct host_machine *m = session_machine(s);

    if (rc == XN_ECANCELLED || rc == XN_EBUSY) return true;
    return !m || (m->url && (rc == XN_EUNKNOWN || rc == XN_EUNREACH ||
                             rc == XN_ETIMEOUT || !m->up));
}

static void on_fetched(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = task_last(s);
    const Xn__Fetched *fetched = NULL;
    bool far = msg && msg->kind == XN__KIND__ANSWER;

    if (rc == XN_ETIMEOUT) task_fetch_stop(s, t);
    s->work.step = 0;
    rc = fetched_in(s->host, rc, msg, &fetched);
    if (far && !rc && fetched->rc == XN_ENOTYET) {
        if (t->fetching && now->mono_us >= s->work.asked_us + NOT_YET_US) {
            ask(s, now, t);
            return;
        }
        rc = XN_EBUSY; /* it does not wait at all: not at its pace */
    }
    t->fetching = false;
    sandbox_fetches(s, now);
    if (!rc) {
        s->work.rounds = 0;
        take(s, now, t, fetched);
    } else if (passes(s, rc)) {
        task_again_later(s, now);
    } else {
        if (task_set_advice(t, "another server")) out->rc = XN_ENOMEM;
        task_not_started(s, now, t, rc,
                         rc == XN_ETIMEOUT ? "fetching its image takes too long"
                                           : "its image cannot be fetched");
    }
}

static void ask(struct host_session *s, const struct xn_now *now,
                struct host_task *t)
{
    struct host_machine *m = session_machine(s);
    Xn__Fetch body = XN__FETCH__INIT;

    body.url = t->record->image->url;
    body.sha256 = t->record->image->sha256;
    body.owner = xn_id_bytes(&s->holder);
    if (m && m->url) {
        s->work.asked_us = now->mono_us;
        s->work.step = member_call(m, now, "/v1/fetch", &body, FAR_US,
                                   XN__CALL_LANE__LANE_FETCH, on_fetched, s);
        return;
    }
    s->work.step = xn_ticket(s->host->tickets, now->mono_us + TASK_FETCH_US,
                             on_fetched, s->host, s, &s->host->out);
    if (s->work.step)
        xn_out_emit(&s->host->out, XN_ACT_FETCH, s->work.step, XN_PEER_NONE,
                    XN__KIND__FETCH, &body);
}

void task_fetch(struct host_session *s, const struct xn_now *now,
                struct host_task *t)
{
    t->fetching = true;
    ask(s, now, t);
    if (s->work.step)
        sandbox_fetches(s, now);
    else
        t->fetching = false;
}

void task_fetch_stop(struct host_session *s, struct host_task *t)
{
    if (!t->fetching) return;
    t->fetching = false;
    xn_out_add(&s->host->out, XN_ACT_ABORT, s->work.step, XN_PEER_NONE, NULL);
}
