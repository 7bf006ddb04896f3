/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whoever holds a session has connections carried to ports of its task, and
 * commands run beside it.  What is carried passes the core by: it says who may,
 * and counts them. */
#include <stdio.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"

#define FORWARD "cannot forward the port"
#define EXEC "cannot run the command"
#define PORT_MAX 65535
#define WORDS_MAX 64
#define TEXT_MAX 8192 /* bytes of these */

/* Is anybody there who could answer?  Else it is refused. */
static bool may_reach(const struct task_aim *aim, uint64_t ask,
                      const char *what)
{
    const struct host_session *s = aim->s;
    const struct host_machine *m = session_machine(s);
    char because[SESSION_REASON_MAX + 40];

    if (s->state >= XN__SESSION_STATE__SESSION_ENDING) {
        snprintf(because, sizeof because, "the session has ended%s%s",
                 s->reason[0] ? ": " : "", s->reason);
        task_refuse(s->host, ask, XN_ENOENT, what, because, "a new session");
    } else if (aim->t->over || aim->t->state == XN__TASK_STATE__STOPPING) {
        task_refuse(s->host, ask, XN_EREFUSED, what,
                    "the task has ended, or is being stopped", "xeno task new");
    } else if (!aim->t->record->seen) {
        task_refuse(s->host, ask, XN_ENOTYET, what, "it does not run yet",
                    "again in a second");
    } else if (s->state == XN__SESSION_STATE__SESSION_PAUSED) {
        snprintf(because, sizeof because, "the session is paused: %s",
                 s->reason);
        task_refuse(s->host, ask, XN_EMONEY, what, because,
                    "xeno session extend");
    } else if (aim->t->record->paused) {
        task_refuse(s->host, ask, XN_EREFUSED, what, "the task is paused",
                    "xeno task resume");
    } else if (m && m->url) {
        task_refuse(s->host, ask, XN_EREFUSED, what,
                    "connections are not carried to this cluster's machines",
                    "its console; or a server that is no cluster");
    } else {
        return host_runs_tasks(s->host, ask, what, s);
    }
    return false;
}

static void begin(const struct task_aim *aim, const struct xn_now *now,
                  uint64_t ask, const char *what, Xn__AskStream *body)
{
    struct task_wait *wait = task_wait_new(aim->s, ask, &aim->caller,
                                           aim->t->number, WAIT_STREAM, what);
    char name[TASK_NAME_MAX];

    if (!wait) return;
    task_name(aim->s, aim->t->number, name);
    body->name = name;
    task_wait_stream(wait, now, body);
}

static void forward(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question, const Xn__ForwardTask *want)
{
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct task_aim aim;
    xn_id session;

    if (xn_id_from_bytes(&want->session, &session) || want->port > PORT_MAX) {
        task_refuse(host, ask, XN_EINVAL, FORWARD,
                    "a session's id, and a port up to 65535",
                    "a ForwardTask as doc/PROTOCOL.md has it");
    } else if (task_aim_session(host, ask, question, FORWARD, false, &session,
                                &aim) &&
               task_aim_task(host, ask, FORWARD, want->task, &aim) &&
               may_reach(&aim, ask, FORWARD)) {
        if (!want->port) { /* only whether it could be */
            task_answer(aim.s, aim.t, ask);
            return;
        }
        body.port = want->port;
        begin(&aim, now, ask, FORWARD, &body);
    }
}

void host_task_forward(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question)
{
    Xn__ForwardTask *want = task_body(host, ask, question, FORWARD, 256,
                                      &xn__forward_task__descriptor);

    if (!want) return;
    forward(host, now, ask, question, want);
    xn__forward_task__free_unpacked(want, NULL);
}

/* ---- commands ---- */

static bool is_command(const Xn__ExecTask *want)
{
    size_t bytes = 0;

    for (size_t i = 0; i < want->n_argv; i++)
        bytes += strlen(want->argv[i]) + 1;
    return want->n_argv && want->n_argv <= WORDS_MAX && bytes <= TEXT_MAX &&
           want->argv[0][0] == '/';
}

static void exec(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question, const Xn__ExecTask *want)
{
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct task_aim aim;
    xn_id session;

    if (xn_id_from_bytes(&want->session, &session) || !is_command(want)) {
        task_refuse(host, ask, XN_EINVAL, EXEC,
                    "a session's id, and a program by its whole path with at "
                    "most 64 words of 8192 bytes",
                    "less of it; a file in the task's home folder");
    } else if (task_aim_session(host, ask, question, EXEC, false, &session,
                                &aim) &&
               task_aim_task(host, ask, EXEC, want->task, &aim)) {
        if (host->config.xen) {
            task_refuse(host, ask, XN_EREFUSED, EXEC,
                        "a domain runs by itself: nobody else begins anything "
                        "in it",
                        "xeno console --input; xeno session forward");
        } else if (may_reach(&aim, ask, EXEC)) {
            body.argv = want->argv;
            body.n_argv = want->n_argv;
            begin(&aim, now, ask, EXEC, &body);
        }
    }
}

void host_task_exec(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    Xn__ExecTask *want = task_body(host, ask, question, EXEC, TEXT_MAX + 512,
                                   &xn__exec_task__descriptor);

    if (!want) return;
    exec(host, now, ask, question, want);
    xn__exec_task__free_unpacked(want, NULL);
}
