/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task's image, which is fetched before the task is started: the driver has it
 * verified and locked for a while, the keeper takes a lock of its own. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/task.h"
#include "lib/err.h"

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

static void on_fetched(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = task_last(s);

    if (rc == XN_ETIMEOUT) task_fetch_stop(s, t);
    s->work.step = 0;
    t->fetching = false;
    sandbox_fetches(s, now);
    if (!rc && msg && msg->kind == XN__KIND__FETCHED) {
        s->work.rounds = 0;
        take(s, now, t, XN_BODY(msg, Xn__Fetched));
    } else if (rc == XN_ECANCELLED || rc == XN_EBUSY) {
        task_again_later(s, now);
    } else {
        if (task_set_advice(t, "another server")) out->rc = XN_ENOMEM;
        task_not_started(s, now, t, rc ? rc : XN_EPROTO,
                         rc == XN_ETIMEOUT ? "fetching its image takes too long"
                                           : "its image cannot be fetched");
    }
}

void task_fetch(struct host_session *s, const struct xn_now *now,
                struct host_task *t)
{
    Xn__Fetch body = XN__FETCH__INIT;

    body.url = t->record->image->url;
    body.sha256 = t->record->image->sha256;
    body.owner = xn_id_bytes(&s->holder);
    s->work.step = xn_ticket(s->host->tickets, now->mono_us + TASK_FETCH_US,
                             on_fetched, s->host, s, &s->host->out);
    if (!s->work.step) return;
    t->fetching = true;
    sandbox_fetches(s, now);
    xn_out_emit(&s->host->out, XN_ACT_FETCH, s->work.step, XN_PEER_NONE,
                XN__KIND__FETCH, &body);
}

void task_fetch_stop(struct host_session *s, struct host_task *t)
{
    if (!t->fetching) return;
    t->fetching = false;
    xn_out_add(&s->host->out, XN_ACT_ABORT, s->work.step, XN_PEER_NONE, NULL);
}
