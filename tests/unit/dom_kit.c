/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/dom_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"

static void forget(struct dom *dom, struct dom_task *task)
{
    if (task->spec) xn__task_spec__free_unpacked(task->spec, NULL);
    *task = dom->tasks[--dom->n];
    memset(&dom->tasks[dom->n], 0, sizeof *task);
}

void dom_clear(struct dom *dom)
{
    while (dom->n)
        forget(dom, &dom->tasks[dom->n - 1]);
    while (dom->n_waiting)
        xn_msg_free(dom->waiting[--dom->n_waiting].msg);
}

struct dom_task *dom_find(struct dom *dom, const char *name)
{
    for (size_t i = 0; i < dom->n; i++) {
        if (strcmp(dom->tasks[i].name, name) == 0) return &dom->tasks[i];
    }
    return NULL;
}

struct dom_task *dom_last(struct dom *dom)
{
    if (!dom->n) fail_msg("xenodomd has no task");
    return &dom->tasks[dom->n - 1];
}

size_t dom_live(const struct dom *dom)
{
    size_t n = 0;

    for (size_t i = 0; i < dom->n; i++)
        n += !dom->tasks[i].ended;
    return n;
}

void dom_burn(struct dom *dom, uint64_t ns)
{
    for (size_t i = 0; i < dom->n; i++) {
        if (!dom->tasks[i].ended &&
            dom->tasks[i].state == XN__TASK_STATE__RUNNING) {
            dom->tasks[i].cpu_ns += ns;
        }
    }
}

/* ---- what it says ---- */

struct telling {
    Xn__DomTell tell;
    Xn__TaskStatus status[DOM_TASKS_MAX], *list[DOM_TASKS_MAX];
    Xn__TaskReading reading[DOM_TASKS_MAX];
    Xn__TaskExit exit[DOM_TASKS_MAX];
};

static void add(const struct dom *dom, struct telling *t,
                const struct dom_task *task)
{
    size_t i = t->tell.n_tasks++;

    xn__task_status__init(&t->status[i]);
    xn__task_reading__init(&t->reading[i]);
    xn__task_exit__init(&t->exit[i]);
    t->list[i] = &t->status[i];
    t->tell.tasks = t->list;
    t->status[i].name = (char *)(uintptr_t)task->name;
    t->status[i].state = task->ended ? XN__TASK_STATE__ENDED : task->state;
    t->status[i].reading = &t->reading[i];
    t->reading[i].cpu_ns = task->cpu_ns;
    t->reading[i].sent_bytes = task->sent_bytes;
    t->reading[i].got_bytes = task->got_bytes;
    t->reading[i].saved_ms = task->saved_ms;
    t->reading[i].exact = dom->exact;
    t->reading[i].memory_bytes = DOM_TASK_MEMORY;
    if (!task->ended) return;
    t->status[i].exit = &t->exit[i];
    t->exit[i].name = t->status[i].name;
    t->exit[i].end = task->end;
    t->exit[i].code = task->code;
    t->exit[i].because = (char *)(uintptr_t)task->because;
    t->exit[i].reading = &t->reading[i];
    t->exit[i].started_us = task->started_us;
    t->exit[i].ended_us = task->started_us + 1;
}

static struct telling *telling(int rc)
{
    struct telling *t = calloc(1, sizeof *t);

    assert_non_null(t);
    xn__dom_tell__init(&t->tell);
    t->tell.rc = rc;
    if (rc) t->tell.because = (char *)(uintptr_t) "so it is";
    return t;
}

static void news(struct crank *c, const char *kind, const char *name,
                 const struct telling *t)
{
    Xn__News body = XN__NEWS__INIT;
    struct xn_msg *msg = NULL;
    uint8_t *bytes = NULL;

    body.kind = (char *)(uintptr_t)kind;
    body.name = (char *)(uintptr_t)name;
    if (t) {
        assert_int_equal(xn_pack(&t->tell, &bytes, &body.detail.len), 0);
        body.detail.data = bytes;
    }
    assert_int_equal(xn_msg_new(XN__KIND__NEWS, &body, &msg), 0);
    crank_event(c, XN_EV_NEWS, 0, 0, msg);
    xn_msg_free(msg);
    free(bytes);
}

void dom_connect(struct dom *dom, struct crank *c)
{
    struct telling *t = telling(0);

    dom->up = true;
    t->tell.exact = dom->exact;
    t->tell.xen = dom->xen;
    t->tell.pvh = dom->pvh;
    t->tell.bridge = dom->bridge;
    t->tell.disk_bytes = dom->disk_bytes;
    if (dom->no_xen) t->tell.no_xen = (char *)(uintptr_t)dom->no_xen;
    news(c, "domains", "", t);
    free(t);
}

void dom_vanish(struct dom *dom, struct crank *c)
{
    dom->up = false;
    news(c, "domains-gone", "", NULL);
}

void dom_end(struct dom *dom, struct crank *c, struct dom_task *task,
             Xn__TaskEnd end, int32_t code, bool tell)
{
    struct telling *t;

    task->ended = true;
    task->end = end;
    task->code = code;
    if (!tell || !dom->up) return;
    t = telling(0);
    add(dom, t, task);
    news(c, "domain", task->name, t);
    free(t);
}

/* ---- what it is asked ---- */

static void read_meters(struct dom *dom, const Xn__DomAsk *ask,
                        struct telling *t)
{
    dom->meters++;
    t->tell.rc = dom->no_meter;
    assert_in_range(ask->n_names, 1, 100);
    for (size_t i = 0; i < ask->n_names && !dom->no_meter; i++) {
        const struct dom_task *task = dom_find(dom, ask->names[i]);

        if (!task || task->ended || dom->uncounted) continue;
        add(dom, t, task);
        t->status[t->tell.n_tasks - 1].state = XN__TASK_STATE__STARTING;
        t->reading[t->tell.n_tasks - 1].memory_bytes = 1; /* of long ago */
        dom->metered++;
    }
}

static struct dom_task *start(struct dom *dom, const struct crank *c,
                              const Xn__TaskSpec *spec)
{
    struct dom_task *task = &dom->tasks[dom->n++];
    uint8_t *bytes = NULL;
    size_t len;

    assert_true(dom->n <= DOM_TASKS_MAX);
    assert_int_equal(xn_pack(spec, &bytes, &len), 0);
    memset(task, 0, sizeof *task);
    snprintf(task->name, sizeof task->name, "%s", spec->name);
    task->spec = xn__task_spec__unpack(NULL, len, bytes);
    task->state = XN__TASK_STATE__RUNNING;
    task->started_us = c->now.wall_us;
    free(bytes);
    return task;
}

static int obey(struct dom *dom, struct dom_task *task, const Xn__DomAsk *ask)
{
    switch (ask->op) {
    case XN__DOM_OP__DOM_STATUS: return 0;
    case XN__DOM_OP__DOM_FORGET: return task->ended ? 0 : XN_EBUSY;
    default: break;
    }
    if (task->ended) return XN_ECONFLICT;
    switch (ask->op) {
    case XN__DOM_OP__DOM_STOP:
        dom->stops++;
        dom->grace_ms = ask->grace_ms;
        task->state = XN__TASK_STATE__STOPPING;
        snprintf(task->because, sizeof task->because, "%s", ask->reason);
        break;
    case XN__DOM_OP__DOM_PAUSE:
        dom->pauses++;
        task->state = XN__TASK_STATE__PAUSED;
        break;
    case XN__DOM_OP__DOM_RESUME:
        dom->resumes++;
        task->state = XN__TASK_STATE__RUNNING;
        break;
    case XN__DOM_OP__DOM_LIFETIME: task->life_ms = ask->life_ms; break;
    case XN__DOM_OP__DOM_INPUT:
        assert_true(ask->input.len < sizeof task->typed);
        memcpy(task->typed, ask->input.data, ask->input.len);
        break;
    default: return XN_EPROTO;
    }
    return 0;
}

static void do_it(struct dom *dom, struct crank *c, const Xn__DomAsk *ask,
                  struct telling *t, bool *ends_out)
{
    struct dom_task *task = dom_find(dom, ask->name);

    if (ask->op == XN__DOM_OP__DOM_METER) {
        read_meters(dom, ask, t);
        return;
    }
    if (ask->op == XN__DOM_OP__DOM_FLOWS) {
        dom->flow_asks++;
        t->tell.flows = dom->flows;
        if (!dom->flows) t->tell.rc = XN_EPROTO;
        return;
    }
    dom->looks += ask->op == XN__DOM_OP__DOM_STATUS;
    if (ask->op == XN__DOM_OP__DOM_LIST) {
        for (size_t i = 0; i < dom->n; i++)
            add(dom, t, &dom->tasks[i]);
        return;
    }
    if (ask->op == XN__DOM_OP__DOM_START) {
        dom->starts++;
        assert_in_range(dom->n, 0, DOM_TASKS_MAX - 1);
        t->tell.rc =
            dom_find(dom, ask->spec->name) ? XN_ECONFLICT : dom->refuse;
        dom->refuse = 0;
        if (!t->tell.rc) add(dom, t, start(dom, c, ask->spec));
        if (t->tell.rc) t->tell.because = (char *)(uintptr_t) "no such program";
        return;
    }
    t->tell.rc = task ? obey(dom, task, ask) : XN_ENOENT;
    *ends_out =
        !t->tell.rc && ask->op == XN__DOM_OP__DOM_STOP && !dom->stops_slowly;
    if (!t->tell.rc && ask->op == XN__DOM_OP__DOM_FORGET) {
        dom->forgets++;
        forget(dom, task);
    } else if (task) {
        add(dom, t, task);
    }
}

static void serve_ask(struct dom *dom, struct crank *c, struct xn_action *act)
{
    struct xn_msg *msg = xn_msg_ref(act->msg);
    const Xn__DomAsk *ask = XN_BODY(msg, Xn__DomAsk);
    struct telling *t = telling(0);
    struct dom_task *task;
    bool ends = false;
    int rc = 0;

    if (!dom->up) {
        rc = XN_EUNREACH;
    } else {
        do_it(dom, c, ask, t, &ends);
        if (dom->lose ||
            (dom->rng && xn_rng_between(dom->rng, 0, 99) < dom->loses_of_100)) {
            if (dom->lose) dom->lose--;
            rc = XN_EUNKNOWN;
        }
    }
    if (act->ticket)
        crank_done(c, act, rc, rc ? 0 : XN__KIND__DOM_TELL,
                   rc ? NULL : &t->tell);
    else
        xn_msg_free(act->msg);
    task = ends ? dom_find(dom, ask->name) : NULL;
    if (task) dom_end(dom, c, task, XN__TASK_END__STOPPED, 143, true);
    free(t);
    xn_msg_free(msg);
}

static void serve_console(struct dom *dom, struct crank *c,
                          struct xn_action *act)
{
    const Xn__AskConsole *ask = XN_BODY(act->msg, Xn__AskConsole);
    struct dom_task *task = dom_find(dom, ask->name);
    Xn__ConsolePiece piece = XN__CONSOLE_PIECE__INIT;
    const char *text = dom->console ? dom->console : "";
    size_t len = strlen(text);

    dom->consoles++;
    assert_true(ask->most > 0 && ask->most <= 256 << 10);
    assert_true(ask->wait_ms <= 25000);
    if (dom->up ? !task : !ask->wait_ms) {
        crank_done(c, act, dom->up ? XN_ENOENT : XN_EUNREACH, 0, NULL);
        return;
    }
    if (!dom->up) {
        assert_true(
            dom->n_waiting <
            sizeof dom->waiting /
                sizeof *dom->waiting); /* for xenodomd, as the driver does */
        dom->waiting[dom->n_waiting++] = *act;
        return;
    }
    if (ask->from < len || task->ended || !ask->wait_ms) {
        piece.from = ask->from < len ? ask->from : len;
        piece.data.data = (uint8_t *)(uintptr_t)text + piece.from;
        piece.data.len = len - piece.from;
        piece.end = task->ended;
        crank_done(c, act, 0, XN__KIND__CONSOLE_PIECE, &piece);
        return;
    }
    assert_true(dom->n_waiting < sizeof dom->waiting / sizeof *dom->waiting);
    dom->waiting[dom->n_waiting++] = *act;
}

void dom_say(struct dom *dom, struct crank *c, const char *text, bool end)
{
    Xn__ConsolePiece piece = XN__CONSOLE_PIECE__INIT;
    struct xn_action act;

    assert_true(dom->n_waiting > 0);
    act = dom->waiting[--dom->n_waiting];
    piece.data.data = (uint8_t *)(uintptr_t)text;
    piece.data.len = strlen(text);
    piece.end = end;
    crank_done(c, &act, 0, XN__KIND__CONSOLE_PIECE, &piece);
}

static void serve_abort(struct dom *dom, struct crank *c, uint64_t ticket)
{
    dom->aborts++;
    for (size_t i = 0; i < dom->n_waiting; i++) {
        struct xn_action act = dom->waiting[i];

        if (act.ticket != ticket) continue;
        dom->waiting[i] = dom->waiting[--dom->n_waiting];
        crank_done(c, &act, XN_ECANCELLED, 0, NULL);
        return;
    }
}

static void serve_stream(struct dom *dom, struct crank *c,
                         struct xn_action *act)
{
    Xn__DomTell tell = XN__DOM_TELL__INIT;

    dom->streams++;
    dom->port = XN_BODY(act->msg, Xn__AskStream)->port;
    dom->words = XN_BODY(act->msg, Xn__AskStream)->n_argv;
    if (!dom->up) {
        crank_done(c, act, XN_EUNREACH, 0, NULL);
    } else if (dom->refuse_streams) {
        tell.rc = dom->refuse_streams;
        tell.because = (char *)(uintptr_t) "nothing listens there";
        tell.advice = (char *)(uintptr_t) "another port";
        crank_done(c, act, 0, XN__KIND__DOM_TELL, &tell);
    } else {
        assert_true(dom->n_waiting <
                    sizeof dom->waiting / sizeof *dom->waiting);
        dom->waiting[dom->n_waiting++] = *act;
    }
}

static void tell_carried(struct dom *dom, struct crank *c,
                         struct xn_action *act)
{
    Xn__AllCarried body = XN__ALL_CARRIED__INIT;
    Xn__Carried rows[128], *list[128];

    for (size_t i = 0; i < dom->n_waiting; i++) {
        xn__carried__init(&rows[i]);
        rows[i].ticket = dom->waiting[i].ticket;
        rows[i].sent = dom->sent;
        rows[i].got = dom->got;
        list[i] = &rows[i];
    }
    body.streams = list;
    body.n_streams = dom->n_waiting;
    crank_done(c, act, dom->carries_unasked ? XN_EREFUSED : 0,
               XN__KIND__ALL_CARRIED, &body);
}

void dom_end_stream(struct dom *dom, struct crank *c)
{
    Xn__Carried body = XN__CARRIED__INIT;
    struct xn_action act;

    assert_true(dom->n_waiting > 0);
    act = dom->waiting[--dom->n_waiting];
    assert_int_equal(act.msg->kind, XN__KIND__ASK_STREAM);
    body.ticket = act.ticket;
    body.sent = dom->sent;
    body.got = dom->got;
    crank_done(c, &act, 0, XN__KIND__CARRIED, &body);
}

void dom_serve(struct dom *dom, struct crank *c, struct xn_action *act)
{
    if (act->kind == XN_ACT_ABORT) {
        serve_abort(dom, c, act->ticket);
        xn_msg_free(act->msg);
    } else if (act->msg->kind == XN__KIND__ASK_CONSOLE) {
        serve_console(dom, c, act);
    } else if (act->msg->kind == XN__KIND__ASK_STREAM) {
        serve_stream(dom, c, act);
    } else if (act->msg->kind == XN__KIND__ASK_CARRIED) {
        tell_carried(dom, c, act);
    } else if (dom->silent) {
        dom->silent--;
        xn_msg_free(act->msg);
    } else {
        serve_ask(dom, c, act);
    }
}
