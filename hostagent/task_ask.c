/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who asks for tasks: a session's holder for all of his; the server's operator
 * for what they are and for their end, not for what they say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/text.h"
#include "wire/nest.h"

#define WAIT_MS_MAX 25000
#define CONSOLE_MOST (256 << 10)
#define QUERY_MAX 256
#define NEW "cannot run the task"
#define LIST "cannot tell the tasks"
#define CONSOLE "cannot show the console"
#define INPUT "cannot type that in"
#define STOP "cannot stop the task"

static void refuse(struct host *host, uint64_t ask, int rc, const char *what,
                   const char *because, const char *try)
{
    xn_out_refuse(&host->out, ask, rc, what, because, try);
}

bool host_runs_tasks(struct host *host, uint64_t ask, const char *what)
{
    if (!host->config.sandbox) {
        refuse(host, ask, XN_EREFUSED, what,
               "this server runs no tasks: it reserves capacity",
               "another server");
    } else if (!host->market.dom_up) {
        refuse(host, ask, XN_ENOTYET, what,
               "what runs tasks on this server is not there",
               "again in some seconds, or another server");
    } else if (host->config.xen && !host->market.dom_xen) {
        refuse(host, ask, XN_EREFUSED, what, host->market.no_xen,
               "another server");
    } else {
        return true;
    }
    return false;
}

bool host_takes_image(struct host *host, uint64_t ask, const char *what,
                      const Xn__NewTask *want)
{
    if (!want->image || host->config.images) return true;
    refuse(host, ask, XN_EREFUSED, what,
           "this server takes no images: tasks run with its own programs",
           "another server, or no --image");
    return false;
}

/* ---- which one is meant ---- */

struct aim {
    xn_id caller;
    struct host_session *s;
    struct host_task *t; /* NULL: the session's are meant */
};

/* Another's session is none to him.  `operators`: the operator may as well. */
static bool find_session(struct host *host, uint64_t ask,
                         const Xn__Ask *question, const char *what,
                         bool operators, const xn_id *id, struct aim *aim)
{
    bool all = operators && host_is_operator(host, question->caller);

    if (all)
        aim->caller = host->config.id;
    else if (!host_admits(host, ask, question, what, &aim->caller))
        return false;
    aim->s = session_find(host, id);
    if (aim->s && aim->s->state != XN__SESSION_STATE__SESSION_NONE &&
        (all || xn_id_eq(&aim->s->holder, &aim->caller))) {
        return true;
    }
    refuse(host, ask, XN_ENOENT, what, "you have no such session here",
           "GET /v1/sessions");
    return false;
}

/* 0: the last. */
static bool find_task(struct host *host, uint64_t ask, const char *what,
                      uint32_t number, struct aim *aim)
{
    aim->t = number ? task_find(aim->s, number) : task_last(aim->s);
    if (aim->t) return true;
    refuse(host, ask, XN_ENOENT, what, "the session has no such task",
           "GET /v1/tasks?session=ID");
    return false;
}

/* NULL: refused. */
static void *body_of(struct host *host, uint64_t ask, const Xn__Ask *question,
                     const char *what, size_t max,
                     const ProtobufCMessageDescriptor *type)
{
    void *body = NULL;

    if (question->body.len > max) {
        refuse(host, ask, XN_ETOOBIG, what, "the body is larger than it can be",
               "less of it");
        return NULL;
    }
    body = xn_unpack(type, question->body.data, question->body.len);
    if (!body) {
        refuse(host, ask, XN_EPROTO, what,
               "the body is not what this path takes",
               "what doc/PROTOCOL.md has for it");
    }
    return body;
}

/* ---- queries: NAME=VALUE&NAME=VALUE ---- */

struct words {
    xn_id session;
    bool has_session, has_task;
    uint64_t task, from, wait_ms;
};

static bool take_word(const char *name, const char *value, struct words *w)
{
    if (strcmp(name, "session") == 0) {
        w->has_session = true;
        return !xn_id_unhex(value, strlen(value), &w->session);
    }
    if (strcmp(name, "task") == 0) {
        w->has_task = true;
        return !xn_number_parse(value, UINT32_MAX, &w->task);
    }
    if (strcmp(name, "from") == 0)
        return !xn_number_parse(value, INT64_MAX, &w->from);
    if (strcmp(name, "wait_ms") == 0)
        return !xn_number_parse(value, WAIT_MS_MAX, &w->wait_ms);
    return false;
}

static bool parse_words(const char *query, struct words *w)
{
    char text[QUERY_MAX], *at = text;

    memset(w, 0, sizeof *w);
    if (!query || strlen(query) >= sizeof text) return false;
    snprintf(text, sizeof text, "%s", query);
    while (at) {
        char *next = strchr(at, '&'), *equals;

        if (next) *next++ = 0;
        equals = strchr(at, '=');
        if (!equals) return false;
        *equals++ = 0;
        if (!take_word(at, equals, w)) return false;
        at = next;
    }
    return w->has_session;
}

static bool words_of(struct host *host, uint64_t ask, const Xn__Ask *question,
                     const char *what, struct words *w)
{
    if (parse_words(question->query, w)) return true;
    refuse(host, ask, XN_EINVAL, what, "the query is not what this path takes",
           "?session=ID&task=NUMBER&wait_ms=0..25000; from=BYTE of a console");
    return false;
}

/* ---- a new one ---- */

static struct host_task *find_word(const struct host_session *s,
                                   const xn_id *word)
{
    for (size_t i = 0; i < s->work.n; i++) {
        xn_id of;

        if (!xn_id_from_bytes(&s->work.tasks[i]->record->word, &of) &&
            xn_id_eq(&of, word)) {
            return s->work.tasks[i];
        }
    }
    return NULL;
}

static void wait_until_it_runs(struct host_session *s, const struct xn_now *now,
                               uint64_t ask, const xn_id *caller,
                               const struct host_task *t)
{
    struct task_wait *wait =
        task_wait_new(s, ask, caller, t->number, WAIT_RUNS, NEW);

    if (wait) task_wait_until(wait, now, TASK_PATIENCE_US);
}

static void again(struct aim *aim, const struct xn_now *now, uint64_t ask,
                  const xn_id *request)
{
    struct host *host = aim->s->host;
    const Xn__TaskRecord *r = aim->t->record;
    xn_id of;

    if (xn_id_from_bytes(&r->request, &of) || !xn_id_eq(&of, request)) {
        refuse(host, ask, XN_ECONFLICT, NEW, "another request had this name",
               "32 bytes drawn afresh");
    } else if (aim->t->over && r->exit->end == XN__TASK_END__NOT_STARTED) {
        refuse(host, ask, r->rc ? r->rc : XN_EREFUSED, NEW,
               task_because(aim->t), task_advice(aim->t));
    } else if (aim->t->over || (r->seen && !r->exit)) {
        task_answer(aim->s, aim->t, ask);
    } else {
        wait_until_it_runs(aim->s, now, ask, &aim->caller, aim->t);
    }
}

/* Why not now?  Else it is refused. */
static bool may_begin(struct host_session *s, const struct xn_now *now,
                      uint64_t ask, const xn_id *caller)
{
    struct host *host = s->host;
    char because[SESSION_REASON_MAX + 40], try[80], hex[XN_ID_HEX];
    int rc = XN_EREFUSED;

    snprintf(try, sizeof try, "a new session");
    if (s->state < XN__SESSION_STATE__SESSION_RUNNING ||
        (s->state <= XN__SESSION_STATE__SESSION_PAUSED && !s->started)) {
        rc = XN_ENOTYET;
        snprintf(because, sizeof because, "the session has not begun yet");
        snprintf(try, sizeof try, "again in a second");
    } else if (s->state == XN__SESSION_STATE__SESSION_PAUSED) {
        rc = XN_EMONEY;
        snprintf(because, sizeof because, "the session is paused: %s",
                 s->reason);
    } else if (s->state != XN__SESSION_STATE__SESSION_RUNNING) {
        if (s->rc == XN_EMONEY) rc = XN_EMONEY;
        snprintf(because, sizeof because, "the session has ended: %s",
                 s->reason);
    } else if (task_too_small(&s->terms.rates)) {
        snprintf(because, sizeof because, "%s",
                 task_too_small(&s->terms.rates));
        snprintf(try, sizeof try, "a session with MemoryMB:8");
    } else if (task_lives(s)) {
        rc = XN_EBUSY;
        xn_id_hex(&s->id, hex);
        snprintf(because, sizeof because, "its task %u runs",
                 task_last(s)->number);
        snprintf(try, sizeof try, "xeno wait %.12s/%u", hex,
                 task_last(s)->number);
    } else if (!host_budget_take(host, now, caller)) {
        rc = XN_EBUSY;
        snprintf(because, sizeof because,
                 "you ask more often than this server answers");
        snprintf(try, sizeof try, "again in a second");
    } else {
        return true;
    }
    refuse(host, ask, rc, NEW, because, try);
    return false;
}

static void begin(struct aim *aim, const struct xn_now *now, uint64_t ask,
                  const Xn__NewTask *want, const xn_id *request)
{
    struct host_session *s = aim->s;
    struct task_wait *wait;
    uint32_t number = task_last(s) ? task_last(s)->number + 1 : 1;

    if (!host_runs_tasks(s->host, ask, NEW) ||
        !host_takes_image(s->host, ask, NEW, want) ||
        !may_begin(s, now, ask, &aim->caller)) {
        return;
    }
    wait = task_wait_new(s, ask, &aim->caller, number, WAIT_RUNS, NEW);
    if (!wait) return;
    task_wait_until(wait, now, TASK_PATIENCE_US);
    if (task_add(s, now, want, request))
        s->host->out.rc = XN_ENOMEM;
    else
        task_go(s, now);
}

static void create(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question, const Xn__NewTask *want)
{
    const char *wrong = task_malformed(want);
    xn_id session, word, request;
    struct aim aim;

    if (xn_id_from_bytes(&want->session, &session))
        wrong = "a session's id is 32 bytes";
    if (xn_id_from_bytes(&want->request, &word) || xn_id_is_zero(&word))
        wrong = "a request's name is 32 bytes, not all zero";
    if (wrong) {
        refuse(host, ask, XN_EINVAL, NEW, wrong,
               "a NewTask as doc/PROTOCOL.md has it");
        return;
    }
    if (!find_session(host, ask, question, NEW, false, &session, &aim)) return;
    xn_id_hash(question->body.data, question->body.len, &request);
    aim.t = find_word(aim.s, &word);
    if (aim.t)
        again(&aim, now, ask, &request);
    else
        begin(&aim, now, ask, want, &request);
}

void host_task_new(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question)
{
    Xn__NewTask *want;
    xn_id caller;

    if (!host_admits(host, ask, question, NEW, &caller)) return;
    want = body_of(host, ask, question, NEW, TASK_BODY_MAX,
                   &xn__new_task__descriptor);
    if (!want) return;
    create(host, now, ask, question, want);
    xn__new_task__free_unpacked(want, NULL);
}

/* ---- looking ---- */

static void answer_all(const struct host_session *s, uint64_t ask)
{
    Xn__HostTask rows[TASKS_KEPT], *list[TASKS_KEPT];
    Xn__Tasks body = XN__TASKS__INIT;

    body.tasks = list;
    for (size_t i = 0; i < s->work.n; i++) {
        task_describe(s, s->work.tasks[i], &rows[i]);
        list[body.n_tasks++] = &rows[i];
    }
    xn_out_answer(&s->host->out, ask, 200, &body);
}

static bool may_look(const struct aim *aim)
{
    return aim->t->record->seen && aim->s->host->market.dom_up;
}

/* With its meter read now. */
static void look(struct aim *aim, const struct xn_now *now, uint64_t ask)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    char name[TASK_NAME_MAX];
    struct task_wait *wait = task_wait_new(aim->s, ask, &aim->caller,
                                           aim->t->number, WAIT_LOOK, LIST);

    if (!wait) return;
    task_name(aim->s, aim->t->number, name);
    body.op = XN__DOM_OP__DOM_STATUS;
    body.name = name;
    task_wait_dom(wait, now, &body);
}

void host_task_list(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    struct task_wait *wait;
    struct words w;
    struct aim aim;

    if (!words_of(host, ask, question, LIST, &w) ||
        !find_session(host, ask, question, LIST, true, &w.session, &aim)) {
        return;
    }
    if (!w.has_task) {
        answer_all(aim.s, ask);
        return;
    }
    if (!find_task(host, ask, LIST, (uint32_t)w.task, &aim)) return;
    if (aim.t->over || (!w.wait_ms && !may_look(&aim))) {
        task_answer(aim.s, aim.t, ask);
    } else if (!w.wait_ms) {
        look(&aim, now, ask);
    } else {
        wait = task_wait_new(aim.s, ask, &aim.caller, aim.t->number, WAIT_END,
                             LIST);
        if (wait) task_wait_until(wait, now, w.wait_ms * 1000);
    }
}

void host_task_console(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question)
{
    Xn__AskConsole body = XN__ASK_CONSOLE__INIT;
    char name[TASK_NAME_MAX];
    struct task_wait *wait;
    struct words w;
    struct aim aim;

    if (!words_of(host, ask, question, CONSOLE, &w) ||
        !find_session(host, ask, question, CONSOLE, false, &w.session, &aim) ||
        !find_task(host, ask, CONSOLE, (uint32_t)w.task, &aim)) {
        return;
    }
    /* who waits for a byte waits for xenodomd, too */
    if ((w.wait_ms == 0 || !host->config.sandbox) &&
        !host_runs_tasks(host, ask, CONSOLE)) {
        return;
    }
    task_name(aim.s, aim.t->number, name);
    body.name = name;
    body.from = w.from;
    body.most = CONSOLE_MOST;
    body.wait_ms = (uint32_t)w.wait_ms;
    wait = task_wait_new(aim.s, ask, &aim.caller, aim.t->number, WAIT_CONSOLE,
                         CONSOLE);
    if (wait) task_wait_console(wait, now, &body);
}

/* ---- typing, stopping ---- */

/* What xenodomd is asked about a task that runs; else it is refused. */
static void pass_on(struct aim *aim, const struct xn_now *now, uint64_t ask,
                    const char *what, Xn__DomAsk *body)
{
    struct host *host = aim->s->host;
    char name[TASK_NAME_MAX];
    struct task_wait *wait;

    if (!host_runs_tasks(host, ask, what)) return;
    if (!aim->t->record->seen) {
        refuse(host, ask, XN_ENOTYET, what, "it does not run yet",
               "again in a second");
        return;
    }
    task_name(aim->s, aim->t->number, name);
    body->name = name;
    wait = task_wait_new(aim->s, ask, &aim->caller, aim->t->number, WAIT_DONE,
                         what);
    if (wait) task_wait_dom(wait, now, body);
}

static void type_in(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question, const Xn__TaskInput *want)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    xn_id session;
    struct aim aim;

    if (xn_id_from_bytes(&want->session, &session) || !want->input.len ||
        want->input.len > TASK_INPUT_MAX) {
        refuse(host, ask, XN_EINVAL, INPUT, "1 to 4096 bytes for a session",
               "less at once");
    } else if (find_session(host, ask, question, INPUT, false, &session,
                            &aim) &&
               find_task(host, ask, INPUT, want->task, &aim)) {
        if (aim.t->over) {
            refuse(host, ask, XN_EREFUSED, INPUT, "the task has ended",
                   "a new one");
            return;
        }
        body.op = XN__DOM_OP__DOM_INPUT;
        body.input = want->input;
        pass_on(&aim, now, ask, INPUT, &body);
    }
}

void host_task_input(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    Xn__TaskInput *want =
        body_of(host, ask, question, INPUT, TASK_INPUT_MAX + 128,
                &xn__task_input__descriptor);

    if (!want) return;
    type_in(host, now, ask, question, want);
    xn__task_input__free_unpacked(want, NULL);
}

static void stop(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question, const Xn__StopTask *want)
{
    Xn__DomAsk body = XN__DOM_ASK__INIT;
    xn_id session;
    struct aim aim;

    if (xn_id_from_bytes(&want->session, &session) ||
        want->grace_ms > TASK_GRACE_MS_MAX) {
        refuse(host, ask, XN_EINVAL, STOP,
               "a session's id, and at most 60000 ms of grace",
               "a StopTask as doc/PROTOCOL.md has it");
    } else if (find_session(host, ask, question, STOP, true, &session, &aim) &&
               find_task(host, ask, STOP, want->task, &aim)) {
        if (aim.t->over) {
            task_answer(aim.s, aim.t, ask);
            return;
        }
        body.op = XN__DOM_OP__DOM_STOP;
        body.grace_ms = want->grace_ms;
        body.reason =
            (char *)(uintptr_t)(xn_id_eq(&aim.caller, &host->config.id)
                                    ? "stopped by the server's operator"
                                    : "stopped by the client");
        pass_on(&aim, now, ask, STOP, &body);
    }
}

void host_task_stop(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    Xn__StopTask *want =
        body_of(host, ask, question, STOP, 256, &xn__stop_task__descriptor);

    if (!want) return;
    stop(host, now, ask, question, want);
    xn__stop_task__free_unpacked(want, NULL);
}
