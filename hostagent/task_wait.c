/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who waits for something of a task: that it runs, that it ends, that xenodomd
 * has done it, that there is something on its console.  Each wait ends by
 * itself; when its asker goes away, what was asked of xenodomd is told so and
 * counts until it has ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/machine.h"
#include "hostagent/task.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL

void task_wait_drop(struct task_wait *wait)
{
    struct host *host = wait->host;

    if (wait->ticket) xn_ticket_forget(host->tickets, wait->ticket);
    DL_DELETE(host->market.waits, wait);
    host->market.n_waits--;
    free(wait);
}

static bool too_many(const struct host_session *s, const xn_id *caller,
                     enum task_waiting kind)
{
    const struct host_market *m = &s->host->market;
    size_t of_caller = 0, of_session = 0, streams = 0;
    struct task_wait *wait;

    DL_FOREACH(m->waits, wait)
    {
        if (wait->kind == WAIT_STREAM) {
            streams += xn_id_eq(&wait->session, &s->id);
            continue;
        }
        of_caller += xn_id_eq(&wait->caller, caller);
        of_session += xn_id_eq(&wait->session, &s->id);
    }
    if (kind == WAIT_STREAM) return streams >= TASK_STREAMS_OF_SESSION;
    return of_caller >= TASK_WAITS_OF_CALLER ||
           of_session >= TASK_WAITS_OF_SESSION || m->n_waits >= TASK_WAITS_MAX;
}

void task_wait_refuse(const struct task_wait *wait, int rc, const char *because,
                      const char *try)
{
    if (wait->ask)
        xn_out_refuse(&wait->host->out, wait->ask, rc, wait->what, because,
                      try);
}

void task_wait_abandon(const struct task_wait *wait, const char *why)
{
    Xn__Reason reason = XN__REASON__INIT;

    reason.rc = XN_ECONFLICT;
    reason.text = (char *)(uintptr_t)why;
    xn_out_emit(&wait->host->out, XN_ACT_ABORT, wait->ticket, XN_PEER_NONE,
                XN__KIND__REASON, &reason);
}

struct task_wait *task_wait_new(struct host_session *s, uint64_t ask,
                                const xn_id *caller, uint32_t number,
                                enum task_waiting kind, const char *what)
{
    struct host *host = s->host;
    struct task_wait *wait;

    if (too_many(s, caller, kind)) {
        if (kind == WAIT_STREAM)
            xn_out_refuse(&host->out, ask, XN_EBUSY, what,
                          "the session has as many connections as it can",
                          "when one of them has ended");
        else
            xn_out_refuse(&host->out, ask, XN_EBUSY, what,
                          "too many questions wait for an answer already",
                          "when one of them has been answered");
        return NULL;
    }
    if (kind == WAIT_STREAM && !task_stream_room(&host->market, caller)) {
        xn_out_refuse(&host->out, ask, XN_EBUSY, what,
                      "this server carries as many connections as it can",
                      "again when others have ended");
        return NULL;
    }
    wait = calloc(1, sizeof *wait);
    if (!wait) {
        host->out.rc = XN_ENOMEM;
        return NULL;
    }
    wait->kind = kind;
    wait->ask = ask;
    wait->host = host;
    wait->session = s->id;
    wait->machine = s->machine;
    wait->caller = *caller;
    wait->number = number;
    wait->what = what;
    DL_APPEND(host->market.waits, wait);
    host->market.n_waits++;
    return wait;
}

/* ---- ends ---- */

void task_answer(const struct host_session *s, const struct host_task *t,
                 uint64_t ask)
{
    Xn__HostTask body;

    if (!ask) return;
    task_describe(s, t, &body);
    xn_out_answer(&s->host->out, ask, 200, &body);
}

/* NULL: it is gone. */
static struct host_task *task_of(const struct task_wait *wait,
                                 struct host_session **s_out)
{
    *s_out = session_find(wait->host, &wait->session);
    return *s_out ? task_find(*s_out, wait->number) : NULL;
}

static void end_with_task(struct task_wait *wait)
{
    struct host_session *s;
    struct host_task *t = task_of(wait, &s);

    if (t)
        task_answer(s, t, wait->ask);
    else
        task_wait_refuse(wait, XN_ENOENT, "it is not remembered any more",
                         "xeno task list");
    task_wait_drop(wait);
}

static void tell_one(struct task_wait *wait, const struct host_session *s,
                     const struct host_task *t)
{
    const Xn__TaskExit *exit = t->over ? t->record->exit : NULL;

    if (wait->kind == WAIT_RUNS && exit &&
        exit->end == XN__TASK_END__NOT_STARTED) {
        task_wait_refuse(wait, t->record->rc ? t->record->rc : XN_EREFUSED,
                         task_because(t), task_advice(t));
    } else {
        task_answer(s, t, wait->ask);
    }
    task_wait_drop(wait);
}

static void abandon_stream(const struct task_wait *wait,
                           const struct host_task *t)
{
    char why[SESSION_REASON_MAX + 40];

    snprintf(why, sizeof why, "the task has ended: %s", task_because(t));
    task_wait_abandon(wait, why);
}

static bool is_of(const struct task_wait *wait, const struct host_session *s,
                  const struct host_task *t)
{
    return wait->number == t->number && xn_id_eq(&wait->session, &s->id);
}

void task_tell(struct host_session *s, const struct host_task *t)
{
    struct task_wait *wait, *next;

    DL_FOREACH_SAFE(s->host->market.waits, wait, next)
    {
        bool ends = wait->kind == WAIT_END || wait->kind == WAIT_STANDS;

        if (wait->kind == WAIT_STREAM && t->over && is_of(wait, s, t))
            abandon_stream(wait, t);
        if (is_of(wait, s, t) &&
            (wait->kind == WAIT_RUNS || (ends && t->over))) {
            tell_one(wait, s, t);
        }
    }
}

void task_tell_stands(struct host_session *s, const struct host_task *t)
{
    struct task_wait *wait, *next;

    DL_FOREACH_SAFE(s->host->market.waits, wait, next)
    {
        if (wait->kind == WAIT_STANDS && is_of(wait, s, t))
            tell_one(wait, s, t);
    }
}

/* ---- a time ---- */

static void on_time(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct task_wait *wait = ctx;

    wait->ticket = 0;
    if (wait->kind == WAIT_RUNS || wait->kind == WAIT_STANDS) {
        task_wait_refuse(wait, XN_EUNKNOWN,
                         wait->kind == WAIT_RUNS
                             ? "xenodomd has not said yet that it runs"
                             : "xenodomd has not said yet that it does so",
                         "the same again");
        task_wait_drop(wait);
    } else {
        end_with_task(wait);
    }
}

void task_wait_until(struct task_wait *wait, const struct xn_now *now,
                     uint64_t us)
{
    struct host *host = wait->host;

    wait->ticket = xn_ticket(host->tickets, now->mono_us + us, on_time, host,
                             wait, &host->out);
}

/* ---- xenodomd ---- */

static void refuse_dom(struct task_wait *wait, int rc, const Xn__DomTell *tell)
{
    if (tell && rc == XN_ENOENT)
        task_wait_refuse(wait, XN_ENOTYET, "it does not run yet",
                         "again in a second");
    else if (tell)
        task_wait_refuse(wait, rc,
                         tell->because[0] ? tell->because : xn_strerror(rc),
                         "xeno task show");
    else
        task_wait_refuse(wait, XN_EUNKNOWN, "xenodomd does not answer",
                         "again in a second");
}

static void on_done(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct task_wait *wait = ctx;
    const Xn__DomTell *tell;
    struct host_session *s;
    struct host_task *t;

    wait->ticket = 0;
    rc = host_told(wait->host, rc, msg, &tell);
    t = task_of(wait, &s);
    if (tell && tell->n_tasks == 1 && t && t == task_last(s))
        task_heard(s, now, tell->tasks[0]);
    if (rc && wait->kind == WAIT_DONE && !(tell && rc == XN_ECONFLICT)) {
        refuse_dom(wait, rc, tell);
        task_wait_drop(wait);
    } else {
        end_with_task(wait);
    }
}

void task_wait_dom(struct task_wait *wait, const struct xn_now *now,
                   const Xn__DomAsk *ask)
{
    wait->ticket = host_dom(host_machine(wait->host, &wait->machine), now, ask,
                            on_done, wait);
}

/* ---- consoles ---- */

/* By DOMAIN or from a member. */
static int piece_in(struct host *host, int rc, const struct xn_msg *msg,
                    const Xn__ConsolePiece **piece_out)
{
    const void *body;

    if (!rc && msg && msg->kind == XN__KIND__ANSWER) {
        rc = member_said(host, rc, msg, &xn__console_piece__descriptor, &body);
        if (!rc) *piece_out = body;
    } else if (!rc && msg && msg->kind == XN__KIND__CONSOLE_PIECE) {
        *piece_out = XN_BODY(msg, Xn__ConsolePiece);
    } else if (!rc) {
        rc = XN_EPROTO;
    }
    return rc;
}

static void on_console(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct task_wait *wait = ctx;
    Xn__ConsolePiece none = XN__CONSOLE_PIECE__INIT;
    struct host_session *s;
    struct host_task *t = task_of(wait, &s);
    const Xn__ConsolePiece *piece;

    wait->ticket = 0;
    rc = piece_in(wait->host, rc, msg, &piece);
    if (!rc && wait->ask) {
        xn_out_answer(out, wait->ask, 200, piece);
    } else if (rc == XN_ENOENT && wait->ask && t && t->over) {
        none.end = true; /* it never began, or its folder is gone */
        xn_out_answer(out, wait->ask, 200, &none);
    } else if (rc == XN_ENOENT) {
        task_wait_refuse(wait, XN_ENOTYET, "it does not run yet",
                         "again in a second");
    } else if (rc == XN_EUNREACH) {
        task_wait_refuse(wait, XN_ENOTYET,
                         "what runs tasks on this server is not there",
                         "again in some seconds");
    } else if (rc) {
        task_wait_refuse(wait, XN_EUNKNOWN, "xenodomd does not answer",
                         "again in a second");
    }
    task_wait_drop(wait);
}

/* Each has a connection to that member for itself. */
static bool too_many_there(const struct host_machine *m)
{
    const struct task_wait *wait;
    size_t n = 0;

    DL_FOREACH(m->host->market.waits, wait)
    {
        n += wait->kind == WAIT_CONSOLE && wait->ticket &&
             xn_id_eq(&wait->machine, &m->id);
    }
    return n >= TASK_CONSOLES_FAR;
}

void task_wait_console(struct task_wait *wait, const struct xn_now *now,
                       Xn__AskConsole *ask)
{
    struct host *host = wait->host;
    struct host_machine *m = host_machine(host, &wait->machine);
    uint64_t us = ask->wait_ms * 1000ULL + 20 * SECOND_US;

    if (!m || m->lost) {
        task_wait_refuse(wait, XN_ENOENT, "it was on a machine that is lost",
                         "what was read of it before");
        task_wait_drop(wait);
        return;
    }
    if (m->url && too_many_there(m)) {
        task_wait_refuse(wait, XN_EBUSY,
                         "as many consoles of its machine are read as can be",
                         "when one of them is not read any more");
        task_wait_drop(wait);
        return;
    }
    if (m->url) {
        us = ask->wait_ms * 1000ULL + 4 * SECOND_US;
        wait->ticket = member_call(m, now, "/v1/console", ask, us,
                                   XN__CALL_LANE__LANE_LONG, on_console, wait);
        return;
    }
    wait->ticket = xn_ticket(host->tickets, now->mono_us + us, on_console, host,
                             wait, &host->out);
    if (!wait->ticket) return;
    xn_out_emit(&host->out, XN_ACT_DOMAIN, wait->ticket, XN_PEER_NONE,
                XN__KIND__ASK_CONSOLE, ask);
}

/* ---- they go away ---- */

static void cancel(struct task_wait *wait)
{
    wait->ask = 0;
    if (wait->kind == WAIT_RUNS || wait->kind == WAIT_END ||
        wait->kind == WAIT_STANDS) {
        task_wait_drop(wait); /* only a time */
    } else if ((wait->kind == WAIT_CONSOLE || wait->kind == WAIT_STREAM) &&
               wait->ticket) {
        task_wait_abandon(wait, "the asker went away");
    }
}

void task_waits_cancel(struct host *host, uint64_t ask)
{
    struct task_wait *wait, *next;

    DL_FOREACH_SAFE(host->market.waits, wait, next)
    {
        if (wait->ask == ask) cancel(wait);
    }
}

void task_waits_drop(struct host_session *s)
{
    struct task_wait *wait, *next;

    DL_FOREACH_SAFE(s->host->market.waits, wait, next)
    {
        if (!xn_id_eq(&wait->session, &s->id)) continue;
        if (wait->kind == WAIT_STREAM)
            task_wait_abandon(wait, "its session is forgotten");
        task_wait_refuse(wait, XN_ENOENT, "it is not remembered any more",
                         "xeno session list");
        task_wait_drop(wait);
    }
}

void task_waits_clear(struct host *host)
{
    struct task_wait *wait, *next;

    DL_FOREACH_SAFE(host->market.waits, wait, next)
    {
        DL_DELETE(host->market.waits, wait);
        free(wait);
    }
}
