/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who asks for tasks that there are: a session's holder for all of his; the server's
 * operator for what they are and for their end, not for what they say. */
#include <stdio.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"
#include "lib/text.h"
#include "wire/nest.h"

#define WAIT_MS_MAX 25000
#define CONSOLE_MOST (256 << 10)
#define QUERY_MAX 256
#define LIST "cannot tell the tasks"
#define CONSOLE "cannot show the console"
#define INPUT "cannot type that in"
#define STOP "cannot stop the task"

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
    task_refuse(
        host, ask, XN_EINVAL, what, "the query is not what this path takes",
        "?session=ID&task=NUMBER&wait_ms=0..25000; from=BYTE of a console");
    return false;
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

static bool may_look(const struct task_aim *aim)
{
    return aim->t->record->seen && session_is_up(aim->s);
}

/* With its meter read now. */
static void look(struct task_aim *aim, const struct xn_now *now, uint64_t ask)
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
    struct task_aim aim;

    if (!words_of(host, ask, question, LIST, &w) ||
        !task_aim_session(host, ask, question, LIST, true, &w.session, &aim)) {
        return;
    }
    if (!w.has_task) {
        answer_all(aim.s, ask);
        return;
    }
    if (!task_aim_task(host, ask, LIST, (uint32_t)w.task, &aim)) return;
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
    struct task_aim aim;

    if (!words_of(host, ask, question, CONSOLE, &w) ||
        !task_aim_session(host, ask, question, CONSOLE, false, &w.session,
                          &aim) ||
        !task_aim_task(host, ask, CONSOLE, (uint32_t)w.task, &aim)) {
        return;
    }
    /* who waits for a byte waits for xenodomd, too */
    if ((w.wait_ms == 0 || !host->config.sandbox) &&
        !host_runs_tasks(host, ask, CONSOLE, aim.s)) {
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
static void pass_on(struct task_aim *aim, const struct xn_now *now,
                    uint64_t ask, const char *what, Xn__DomAsk *body)
{
    struct host *host = aim->s->host;
    char name[TASK_NAME_MAX];
    struct task_wait *wait;

    if (!host_runs_tasks(host, ask, what, aim->s)) return;
    if (!aim->t->record->seen) {
        task_refuse(host, ask, XN_ENOTYET, what, "it does not run yet",
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
    struct task_aim aim;

    if (xn_id_from_bytes(&want->session, &session) || !want->input.len ||
        want->input.len > TASK_INPUT_MAX) {
        task_refuse(host, ask, XN_EINVAL, INPUT,
                    "1 to 4096 bytes for a session", "less at once");
    } else if (task_aim_session(host, ask, question, INPUT, false, &session,
                                &aim) &&
               task_aim_task(host, ask, INPUT, want->task, &aim)) {
        if (aim.t->over) {
            task_refuse(host, ask, XN_EREFUSED, INPUT, "the task has ended",
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
        task_body(host, ask, question, INPUT, TASK_INPUT_MAX + 128,
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
    struct task_aim aim;

    if (xn_id_from_bytes(&want->session, &session) ||
        want->grace_ms > TASK_GRACE_MS_MAX) {
        task_refuse(host, ask, XN_EINVAL, STOP,
                    "a session's id, and at most 60000 ms of grace",
                    "a StopTask as doc/PROTOCOL.md has it");
    } else if (task_aim_session(host, ask, question, STOP, true, &session,
                                &aim) &&
               task_aim_task(host, ask, STOP, want->task, &aim)) {
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
        task_body(host, ask, question, STOP, 256, &xn__stop_task__descriptor);

    if (!want) return;
    stop(host, now, ask, question, want);
    xn__stop_task__free_unpacked(want, NULL);
}
