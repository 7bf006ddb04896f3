/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who asks for a new task: a session's holder, where none runs in it. */
#include <stdio.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"
#include "wire/nest.h"

#define NEW "cannot run the task"

bool host_runs_tasks(struct host *host, uint64_t ask, const char *what,
                     const struct host_session *s)
{
    bool up = s ? session_is_up(s) : host_is_up(host);

    if (!host->config.sandbox) {
        task_refuse(host, ask, XN_EREFUSED, what,
                    "this server runs no tasks: it reserves capacity",
                    "another server");
    } else if (s && session_is_stranded(s)) {
        task_refuse(host, ask, XN_EREFUSED, what,
                    "the machine that it ran on is lost", "a new session");
    } else if (!up) {
        task_refuse(host, ask, XN_ENOTYET, what,
                    "what runs tasks on this server is not there",
                    "again in some seconds, or another server");
    } else if (host->config.xen && !host_can_domain(host)) {
        task_refuse(host, ask, XN_EREFUSED, what, host_no_xen(host),
                    "another server");
    } else {
        return true;
    }
    return false;
}

bool host_takes_image(struct host *host, uint64_t ask, const char *what,
                      const Xn__NewTask *want, const struct host_session *s)
{
    const struct host_machine *m = s ? session_machine(s) : NULL;

    if (!want->image || (m ? m->images : host_has_images(host))) return true;
    task_refuse(host, ask, XN_EREFUSED, what,
                "this server takes no images: tasks run with its own programs",
                "another server, or no --image");
    return false;
}

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

static void again(struct task_aim *aim, const struct xn_now *now, uint64_t ask,
                  const xn_id *request)
{
    struct host *host = aim->s->host;
    const Xn__TaskRecord *r = aim->t->record;
    xn_id of;

    if (xn_id_from_bytes(&r->request, &of) || !xn_id_eq(&of, request)) {
        task_refuse(host, ask, XN_ECONFLICT, NEW,
                    "another request had this name", "32 bytes drawn afresh");
    } else if (aim->t->over && r->exit->end == XN__TASK_END__NOT_STARTED) {
        task_refuse(host, ask, r->rc ? r->rc : XN_EREFUSED, NEW,
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
    } else if (task_too_small(&s->sale.terms.rates)) {
        snprintf(because, sizeof because, "%s",
                 task_too_small(&s->sale.terms.rates));
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
    task_refuse(host, ask, rc, NEW, because, try);
    return false;
}

static bool has_disk(struct host_session *s, uint64_t ask,
                     const Xn__NewTask *want)
{
    const char *because = task_lacks_disk(s->host, want, &s->sale.terms.rates);

    if (because)
        task_refuse(s->host, ask, XN_EREFUSED, NEW, because,
                    "a session with DiskGB, at least what the image has");
    return !because;
}

static void begin(struct task_aim *aim, const struct xn_now *now, uint64_t ask,
                  const Xn__NewTask *want, const xn_id *request)
{
    struct host_session *s = aim->s;
    struct task_wait *wait;
    uint32_t number = task_last(s) ? task_last(s)->number + 1 : 1;

    if (!host_runs_tasks(s->host, ask, NEW, s) ||
        !host_takes_image(s->host, ask, NEW, want, s) ||
        !has_disk(s, ask, want) || !may_begin(s, now, ask, &aim->caller)) {
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
    struct task_aim aim;

    if (xn_id_from_bytes(&want->session, &session))
        wrong = "a session's id is 32 bytes";
    if (xn_id_from_bytes(&want->request, &word) || xn_id_is_zero(&word))
        wrong = "a request's name is 32 bytes, not all zero";
    if (wrong) {
        task_refuse(host, ask, XN_EINVAL, NEW, wrong,
                    "a NewTask as doc/PROTOCOL.md has it");
        return;
    }
    if (!task_aim_session(host, ask, question, NEW, false, &session, &aim))
        return;
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
    want = task_body(host, ask, question, NEW, TASK_BODY_MAX,
                     &xn__new_task__descriptor);
    if (!want) return;
    create(host, now, ask, question, want);
    xn__new_task__free_unpacked(want, NULL);
}
