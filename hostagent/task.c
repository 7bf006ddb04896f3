/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What becomes of the last task of a session, step by step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
#define STORE_US (30 * SECOND_US)
#define AGAIN_US_MAX (5 * SECOND_US)
#define STOPPING_US (2 * SECOND_US) /* between looks at one that is stopped */
#define GRACE_MS 2000               /* from SIGTERM to SIGKILL */

struct host_task *task_last(const struct host_session *s)
{
    return s->work.n ? s->work.tasks[s->work.n - 1] : NULL;
}

struct host_task *task_find(const struct host_session *s, uint32_t number)
{
    for (size_t i = 0; i < s->work.n; i++) {
        if (s->work.tasks[i]->number == number) return s->work.tasks[i];
    }
    return NULL;
}

bool task_lives(const struct host_session *s)
{
    const struct host_task *t = task_last(s);

    return t && !t->over;
}

/* Where something is under way there is one. */
static struct host_task *current(const struct host_session *s)
{
    return s->work.tasks[s->work.n - 1];
}

void task_unsure(struct host_session *s)
{
    s->work.sure = false;
}

/* May its task still begin, or go on? */
static bool is_wanted(const struct host_session *s)
{
    return s->state == XN__SESSION_STATE__SESSION_RUNNING ||
           s->state == XN__SESSION_STATE__SESSION_PAUSED;
}

void task_log(const struct host_session *s, const struct host_task *t,
              const char *what, const char *more)
{
    char name[XN_NAME_MAX];

    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, XN_LOG_INFO, "session %s: task %u %s%s%s", name,
               t->number, what, more[0] ? ": " : "", more);
}

/* ---- pauses ---- */

static void on_pause_over(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;

    s->work.step = 0;
    task_go(s, now);
}

static void go_after(struct host_session *s, const struct xn_now *now,
                     uint64_t us)
{
    s->work.step = xn_ticket(s->host->tickets, now->mono_us + us, on_pause_over,
                             s->host, s, &s->host->out);
}

void task_again_later(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;
    uint64_t us = (SECOND_US / 10) << (w->rounds < 6 ? w->rounds : 6);

    if (us > AGAIN_US_MAX) us = AGAIN_US_MAX;
    w->rounds++;
    w->sure = false;
    go_after(s, now, xn_rng_between(&s->host->rng, us / 2, us));
}

/* ---- its record ---- */

static void said_over(struct host_session *s, const struct xn_now *now,
                      struct host_task *t)
{
    const Xn__TaskExit *exit = t->record->exit;

    t->over = true;
    t->state = XN__TASK_STATE__ENDED;
    t->console_bytes = exit->console_bytes;
    t->memory_bytes = 0;
    task_log(s, t, "has ended", exit->because);
    task_tell(s, t);
    sandbox_over(s, now);
}

static void on_saved(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = current(s);

    s->work.step = 0;
    if (rc) { /* perhaps it is stored: the same again does no harm */
        xn_out_log(out, XN_LOG_ERROR, "cannot store a task: %s",
                   xn_strerror(rc));
        t->dirty = true;
        task_again_later(s, now);
        return;
    }
    t->stored = true;
    s->work.rounds = 0;
    if (t->record->exit && !t->dirty) {
        said_over(s, now, t);
    } else {
        task_go(s, now);
    }
}

/* The oldest gives way where there are more than are kept. */
static void save(struct host_session *s, const struct xn_now *now,
                 struct host_task *t)
{
    struct host *host = s->host;
    struct task_write room, old;
    Xn__Write *writes[2] = {&room.write, &old.write};
    Xn__Txn txn = XN__TXN__INIT;

    t->dirty = false;
    if (task_write(s, t, &room)) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    txn.writes = writes;
    txn.n_writes = 1;
    if (!t->stored && t->number > TASKS_KEPT) {
        task_write_drop(s, t->number - TASKS_KEPT, &old);
        txn.n_writes = 2;
        host_dom_forget(s, t->number - TASKS_KEPT);
    }
    s->work.step = xn_ticket(host->tickets, now->mono_us + STORE_US, on_saved,
                             host, s, &host->out);
    if (s->work.step) {
        xn_out_emit(&host->out, XN_ACT_TXN, s->work.step, XN_PEER_NONE,
                    XN__KIND__TXN, &txn);
    }
    free(room.write.value.data);
}

/* Its end, where xenodomd has no record of one. */
static void end_without(struct host_session *s, const struct xn_now *now,
                        struct host_task *t, Xn__TaskEnd end, int rc,
                        const char *because)
{
    Xn__TaskExit exit = XN__TASK_EXIT__INIT;
    char name[TASK_NAME_MAX], room[SESSION_REASON_MAX];

    task_name(s, t->number, name);
    snprintf(room, sizeof room, "%s", because);
    exit.name = name;
    exit.end = end;
    exit.because = room;
    exit.started_us = t->record->started_us;
    exit.ended_us = now->wall_us;
    exit.console_bytes = t->console_bytes;
    t->record->rc = rc;
    if (task_set_exit(t, &exit))
        s->host->out.rc = XN_ENOMEM;
    else
        save(s, now, t);
}

void task_not_started(struct host_session *s, const struct xn_now *now,
                      struct host_task *t, int rc, const char *because)
{
    end_without(s, now, t, XN__TASK_END__NOT_STARTED, rc, because);
}

const char *task_because(const struct host_task *t)
{
    const Xn__TaskExit *exit = t->record->exit;

    return exit && exit->because[0] ? exit->because : "it did not start";
}

const char *task_advice(const struct host_task *t)
{
    return t->record->advice[0] ? t->record->advice : "another task";
}

/* ---- looking ---- */

static uint64_t ask(struct host_session *s, const struct xn_now *now,
                    const struct host_task *t, Xn__DomOp op, xn_ended *fn)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    char name[TASK_NAME_MAX], reason[SESSION_REASON_MAX];

    task_name(s, t->number, name);
    body.op = op;
    body.name = name;
    if (op == XN__DOM_OP__DOM_STOP) {
        snprintf(reason, sizeof reason, "%s", s->reason);
        body.reason = reason;
        body.grace_ms = GRACE_MS;
    } else if (op == XN__DOM_OP__DOM_LIFETIME) {
        body.life_ms =
            task_life_ms(s, t->record->started_us, t->record->spec->life_ms);
    }
    return host_dom(session_machine(s), now, &body, fn, s);
}

/* It never came to be, or it was forgotten behind our back. */
static void not_there(struct host_session *s, const struct xn_now *now,
                      struct host_task *t)
{
    if (t->record->seen) {
        end_without(s, now, t, XN__TASK_END__KEEPER, XN_EREFUSED,
                    "xenodomd knows nothing of it any more");
    } else {
        t->tried = false;
        task_go(s, now);
    }
}

static void on_looked(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = current(s);
    const Xn__TaskStatus *status;
    const Xn__DomTell *tell;

    s->work.step = 0;
    rc = host_told(s->host, rc, msg, &tell);
    status = task_status_in(s, t, tell);
    if (!rc && status) {
        s->work.rounds = 0;
        task_take_status(s, now, t, status);
        if (t->record->seen || t->record->exit)
            task_go(s, now);
        else /* it is being started at this moment */
            task_again_later(s, now);
    } else if (tell && rc == XN_ENOENT && !t->record->exit) {
        not_there(s, now, t);
    } else {
        task_again_later(s, now);
    }
}

static void look(struct host_session *s, const struct xn_now *now,
                 struct host_task *t)
{
    s->work.step = ask(s, now, t, XN__DOM_OP__DOM_STATUS, on_looked);
}

/* ---- the start ---- */

/* Whether it was done is not known, or that it was done before. */
static bool is_unsure(const Xn__DomTell *tell, int rc)
{
    return !tell || rc == XN_ECONFLICT || rc == XN_EUNKNOWN ||
           rc == XN_EUNREACH || rc == XN_ETIMEOUT;
}

static void on_started(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = current(s);
    const Xn__TaskStatus *status;
    const Xn__DomTell *tell;

    s->work.step = 0;
    rc = host_told(s->host, rc, msg, &tell);
    status = task_status_in(s, t, tell);
    if (!rc && status) {
        s->work.rounds = 0;
        task_take_status(s, now, t, status);
        task_go(s, now);
    } else if (!rc) {
        task_go(s, now);
    } else if (is_unsure(tell, rc)) {
        if (!tell && rc == XN_EUNREACH) t->tried = false; /* nothing was done */
        task_again_later(s, now);
    } else {
        end_without(s, now, t, XN__TASK_END__NOT_STARTED, rc,
                    tell->because[0] ? tell->because : xn_strerror(rc));
    }
}

static void start(struct host_session *s, const struct xn_now *now,
                  struct host_task *t)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    Xn__TaskSpec spec = *t->record->spec;
    char name[TASK_NAME_MAX];

    task_name(s, t->number, name);
    spec.name = name;
    spec.life_ms = task_life_ms(s, now->wall_us, spec.life_ms);
    t->until_us = session_until(s);
    body.op = XN__DOM_OP__DOM_START;
    if (t->image) *(s->host->config.xen ? &spec.disk : &spec.image) = t->image;
    body.spec = &spec;
    t->tried = true;
    s->work.step = host_dom(session_machine(s), now, &body, on_started, s);
    /* Another time it is looked at again: it may have had to make room. */
    free(t->image);
    t->image = NULL;
}

/* ---- standing still, going on, ending ---- */

static void on_told(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = current(s);
    const Xn__TaskStatus *status;
    const Xn__DomTell *tell;

    s->work.step = 0;
    rc = host_told(s->host, rc, msg, &tell);
    status = task_status_in(s, t, tell);
    if (status) task_take_status(s, now, t, status);
    if (t->dirty) {
        task_go(s, now);
    } else if (rc) {
        task_again_later(s, now);
    } else if (!is_wanted(s) || t->state == XN__TASK_STATE__STOPPING) {
        /* its end is news; or else is looked for */
        s->work.sure = false;
        go_after(s, now, STOPPING_US);
    } else {
        task_go(s, now);
    }
}

/* What xenodomd is to be told, for the task to do as its session does. */
static Xn__DomOp missing(const struct host_session *s,
                         const struct host_task *t)
{
    bool spent = s->state == XN__SESSION_STATE__SESSION_PAUSED;
    bool stands = spent || t->record->paused;

    /* One that the client has told to end, with more grace than is paid for,
     * is told so again: the shorter grace counts. */
    if (!is_wanted(s) || (spent && t->state == XN__TASK_STATE__STOPPING))
        return XN__DOM_OP__DOM_STOP;
    if (stands)
        return t->state == XN__TASK_STATE__RUNNING ? XN__DOM_OP__DOM_PAUSE
                                                   : XN__DOM_OP__DOM_NOTHING;
    return t->state == XN__TASK_STATE__PAUSED ? XN__DOM_OP__DOM_RESUME
                                              : XN__DOM_OP__DOM_NOTHING;
}

/* Its machine ends it a minute after the order at the latest: after another
 * order than it was started under.  A keeper of before that does not know this
 * ends it by the first. */
static bool is_misled(const struct host_session *s, const struct host_task *t)
{
    return (s->extended || session_closes(s)) &&
           t->until_us != session_until(s) &&
           (t->state == XN__TASK_STATE__RUNNING ||
            t->state == XN__TASK_STATE__PAUSED);
}

static void on_lifetime(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct host_task *t = current(s);
    const Xn__TaskStatus *status;
    const Xn__DomTell *tell;

    s->work.step = 0;
    rc = host_told(s->host, rc, msg, &tell);
    status = task_status_in(s, t, tell);
    if (status) task_take_status(s, now, t, status);
    if (rc && !(tell && rc == XN_EPROTO)) {
        t->until_us = 0;
        task_again_later(s, now);
    } else {
        task_go(s, now);
    }
}

static void reconcile(struct host_session *s, const struct xn_now *now,
                      struct host_task *t)
{
    Xn__DomOp op = missing(s, t);

    if (op != XN__DOM_OP__DOM_NOTHING) {
        s->work.step = ask(s, now, t, op, on_told);
        return;
    }
    task_tell_stands(s, t);
    if (!is_misled(s, t)) return;
    t->until_us = session_until(s);
    s->work.step = ask(s, now, t, XN__DOM_OP__DOM_LIFETIME, on_lifetime);
}

/* ---- going on ---- */

static void go_unseen(struct host_session *s, const struct xn_now *now,
                      struct host_task *t)
{
    if (!is_wanted(s) && !t->tried) {
        end_without(s, now, t, XN__TASK_END__NOT_STARTED, XN_EREFUSED,
                    "the session ended before it began");
    } else if (!session_is_up(s)) {
        free(t->image); /* held for a while, and this may last longer */
        t->image = NULL;
    } else if (t->tried) {
        look(s, now, t);
    } else if (task_lacks_image(t)) {
        task_fetch(s, now, t);
    } else {
        start(s, now, t);
    }
}

void task_go(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;
    struct host_task *t = task_last(s);

    if (t && t->fetching && !is_wanted(s)) task_fetch_stop(s, t);
    if (!t || t->over || !w->open || w->step) return;
    if (t->dirty)
        save(s, now, t);
    else if (!is_wanted(s) && session_is_stranded(s))
        end_without(s, now, t, XN__TASK_END__KEEPER, XN_EUNREACH,
                    "the machine that it ran on is lost");
    else if (!t->record->seen)
        go_unseen(s, now, t);
    else if (!session_is_up(s))
        return;
    else if (!w->sure)
        look(s, now, t);
    else
        reconcile(s, now, t);
}

const char *task_wrong(const struct host_session *s)
{
    const struct host_work *w = &s->work;
    const struct host_task *t = task_last(s);

    for (size_t i = 0; i + 1 < w->n; i++) {
        if (!w->tasks[i]->over) return "two tasks in one session";
    }
    if (!t || !w->open) return NULL;
    if (t->over && t->dirty) return "an end that is not stored";
    if (!t->over && t->dirty && !w->step) return "a task is not stored";
    if (!t->over && !w->step && !w->sure && session_is_up(s))
        return "a task stands still";
    return NULL;
}
