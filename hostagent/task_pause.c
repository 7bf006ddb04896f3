/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whoever holds a session has its task stand still, or go on.  That is on record
 * before xenodomd hears of it, so it holds through everybody's restarts.  The
 * session goes on: its time and its memory are paid. */
#include <stdio.h>

#include "hostagent/task_aim.h"
#include "lib/err.h"

#define PAUSE "cannot pause the task"
#define RESUME "cannot resume the task"

/* Why not?  Else it is refused. */
static bool may_stand(const struct task_aim *aim, uint64_t ask,
                      const char *what, bool pause)
{
    const struct host_session *s = aim->s;
    char because[SESSION_REASON_MAX + 40];

    if (aim->t->over || aim->t->state == XN__TASK_STATE__STOPPING ||
        s->state >= XN__SESSION_STATE__SESSION_ENDING) {
        task_refuse(s->host, ask, XN_EREFUSED, what,
                    "the task has ended, or is being stopped", "a new one");
    } else if (!aim->t->record->seen) {
        task_refuse(s->host, ask, XN_ENOTYET, what, "it does not run yet",
                    "again in a second");
    } else if (!pause && s->state == XN__SESSION_STATE__SESSION_PAUSED) {
        snprintf(because, sizeof because, "the session is paused: %s",
                 s->reason);
        task_refuse(s->host, ask, XN_EMONEY, what, because, "a new session");
    } else {
        return host_runs_tasks(s->host, ask, what, s);
    }
    return false;
}

static void stand(struct task_aim *aim, const struct xn_now *now, uint64_t ask,
                  const char *what, bool pause)
{
    struct host_task *t = aim->t;
    struct task_wait *wait;

    if (!may_stand(aim, ask, what, pause)) return;
    wait =
        task_wait_new(aim->s, ask, &aim->caller, t->number, WAIT_STANDS, what);
    if (!wait) return;
    task_wait_until(wait, now, TASK_PATIENCE_US);
    if (t->record->paused != pause) t->dirty = true;
    t->record->paused = pause;
    task_go(aim->s, now);
}

static void on_ask(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question, const char *what, bool pause)
{
    Xn__PauseTask *want =
        task_body(host, ask, question, what, 256, &xn__pause_task__descriptor);
    struct task_aim aim;
    xn_id session;

    if (!want) return;
    if (xn_id_from_bytes(&want->session, &session)) {
        task_refuse(host, ask, XN_EINVAL, what, "a session's id is 32 bytes",
                    "a PauseTask as doc/PROTOCOL.md has it");
    } else if (task_aim_session(host, ask, question, what, false, &session,
                                &aim) &&
               task_aim_task(host, ask, what, want->task, &aim)) {
        stand(&aim, now, ask, what, pause);
    }
    xn__pause_task__free_unpacked(want, NULL);
}

void host_task_pause(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question)
{
    on_ask(host, now, ask, question, PAUSE, true);
}

void host_task_resume(struct host *host, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question)
{
    on_ask(host, now, ask, question, RESUME, false);
}
