/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The managers that run tasks, one at a time in a session: a session is what it
 * reserved, and what its tasks used of the CPU, where there is an exact meter. */
#include <stdio.h>
#include <string.h>

#include "hostagent/manager.h"
#include "hostagent/task.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL
#define START_US (20 * SECOND_US)
#define METER_US (5 * SECOND_US)
#define LOOK_US SECOND_US
/* After that the session ends with what was read last; its task is ended when
 * xenodomd is there again. */
#define END_US_MAX (120 * SECOND_US)
#define NS_UNITS (XN_DEC_ONE / 1000000000)

static enum money_metering metering(const struct host *host)
{
    return host->market.dom_exact ? MONEY_USED : MONEY_RESERVED;
}

/* ---- the start ---- */

/* The session waits for a task that came with it. */
static bool has_first(const struct host_session *s)
{
    const struct host_task *t = task_last(s);
    xn_id word;

    return t && t->number == 1 && !xn_id_from_bytes(&t->record->word, &word) &&
           xn_id_is_zero(&word);
}

static bool never_began(const struct host_session *s)
{
    return has_first(s) && task_last(s)->over &&
           task_last(s)->record->exit->end == XN__TASK_END__NOT_STARTED;
}

/* Of what keeps a task from starting, what is this machine's trouble. */
static bool is_own_fault(int rc)
{
    return rc == XN_EIO || rc == XN_ENOSPC || rc == XN_ENOMEM || rc == XN_EBUSY;
}

/* While an image is fetched its session keeps capacity from others, for minutes
 * perhaps: that is paid for, whatever came of it, unless the fault is ours.  A
 * start without an image is tried in a moment, and costs nothing if it fails. */
static bool is_free(const struct host_session *s)
{
    return never_began(s) && (!task_last(s)->record->image ||
                              is_own_fault(task_last(s)->record->rc));
}

static const char *reason_of(const struct host_task *t)
{
    return t->record->exit->end == XN__TASK_END__KEEPER
               ? "its task has ended: what held it was lost"
               : "its task has ended";
}

static void end_with_task(struct host_session *s, const struct xn_now *now)
{
    const struct host_task *t = task_last(s);

    if (t && t->over && t->record->last &&
        t->record->exit->end != XN__TASK_END__NOT_STARTED) {
        session_end(s, now, 0, reason_of(t));
    }
}

static void fail(struct host_session *s, const struct xn_now *now)
{
    const struct host_task *t = task_last(s);
    char because[SESSION_REASON_MAX];

    snprintf(because, sizeof because, "its task did not start: %s",
             t->record->exit->because);
    session_failed(s, now, t->record->rc ? t->record->rc : XN_EREFUSED,
                   because);
}

/* CPU time of tasks never goes back, whatever is read. */
static uint64_t usage_until(const struct host_session *s, uint64_t wall_us,
                            struct price_usage *usage)
{
    uint64_t till_us = session_reserved(s, wall_us, !s->used, usage);
    xn_dec cpu = {(xn_i128)task_cpu_ns(s) * NS_UNITS};

    if (s->used && xn_dec_cmp(cpu, usage->cpu_s) > 0) usage->cpu_s = cpu;
    return till_us;
}

static void wait_for_start(struct host_session *s, const struct xn_now *now);

/* Nothing is claimed before it is known whether it costs anything, but nor is more
 * kept from others than the order pays for. */
static void look_at_start(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    uint64_t till_us = usage_until(s, now->wall_us, &usage);

    if (now->mono_us >= s->work.late_us) {
        s->work.starting = false;
        session_failed(s, now, XN_ETIMEOUT, "its task did not start in time");
    } else if (now->wall_us >= s->terms.until_us) {
        s->work.starting = false;
        session_failed(s, now, XN_EMONEY,
                       "the order has ended before its task began");
    } else if (session_spends_all(s, &usage, till_us)) {
        s->work.starting = false;
        session_failed(s, now, XN_EMONEY,
                       "the order was spent before its task began");
    } else {
        wait_for_start(s, now);
    }
}

static void wait_for_start(struct host_session *s, const struct xn_now *now)
{
    uint64_t left_us = s->work.late_us - now->mono_us;
    uint64_t us = s->host->config.charge_us;

    session_pause_for(s, now, us < left_us ? us : left_us, look_at_start);
}

static void start(struct host_session *s, const struct xn_now *now)
{
    const struct host_task *t = task_last(s);

    s->work.open = true;
    if (never_began(s)) {
        fail(s, now);
    } else if (has_first(s) && !t->over && !t->record->seen) {
        s->work.starting = true;
        s->work.late_us = now->mono_us + START_US;
        if (t->record->image) s->work.late_us += TASK_FETCH_US;
        wait_for_start(s, now);
        task_go(s, now);
    } else {
        session_started(s, now);
        task_go(s, now);
        end_with_task(s, now);
    }
}

static bool is_starting(const struct host_session *s)
{
    return s->work.starting && !s->started &&
           (s->state == XN__SESSION_STATE__SESSION_RUNNING ||
            s->state == XN__SESSION_STATE__SESSION_PAUSED);
}

void sandbox_runs(struct host_session *s, const struct xn_now *now)
{
    if (!is_starting(s)) return;
    s->work.starting = false;
    session_give_up(s);
    session_started(s, now);
}

/* ---- the meter ---- */

static void metered(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    uint64_t till_us = usage_until(s, now->wall_us, &usage);

    session_metered(s, now, &usage, till_us);
}

/* Where it does not answer, what was read last stands. */
static void on_metered(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    const Xn__DomTell *tell;

    s->step = 0;
    if (!host_told(rc, msg, &tell) && tell->n_tasks == 1)
        task_heard(s, now, tell->tasks[0]);
    metered(s, now);
}

static void meter(struct host_session *s, const struct xn_now *now)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    char name[TASK_NAME_MAX];

    if (!task_lives(s) || !task_last(s)->record->seen ||
        !s->host->market.dom_up) {
        metered(s, now);
        return;
    }
    task_name(s, task_last(s)->number, name);
    ask.op = XN__DOM_OP__DOM_STATUS;
    ask.name = name;
    s->step = host_dom(s->host, now, &ask, on_metered, s);
    xn_ticket_postpone(s->host->tickets, s->step, now->mono_us + METER_US);
}

/* ---- the end ---- */

static void ended(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage = s->metered;
    uint64_t till_us = s->metered_us;

    s->work.ending = false;
    if (!is_free(s)) till_us = usage_until(s, s->ended_us, &usage);
    session_ended(s, now, &usage, till_us);
}

static void end(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;

    w->open = true;
    if (!w->ending_us) w->ending_us = now->mono_us;
    if (!task_lives(s) || now->mono_us >= w->ending_us + END_US_MAX) {
        ended(s, now);
        return;
    }
    w->ending = true;
    session_pause_for(s, now, LOOK_US, end);
    task_go(s, now);
}

void sandbox_over(struct host_session *s, const struct xn_now *now)
{
    if (s->work.ending && !s->down) {
        session_give_up(s);
        ended(s, now);
    } else if (is_starting(s)) {
        s->work.starting = false;
        session_give_up(s);
        if (never_began(s)) {
            fail(s, now);
        } else {
            session_started(s, now);
            end_with_task(s, now);
        }
    } else {
        end_with_task(s, now);
    }
}

static const char *activity_of(const struct host_session *s, const char *tasks)
{
    return never_began(s)
               ? "capacity kept for a task while its image was fetched"
               : tasks;
}

static const char *activity(const struct host_session *s)
{
    return activity_of(s, "tasks in a sandbox");
}

const struct host_manager host_manager_sandbox = {
    .name = "sandbox",
    .activity = activity,
    .metering = metering,
    .start = start,
    .pause = task_go,
    .resume = task_go,
    .end = end,
    .meter = meter,
};

static enum money_metering domain_metering(const struct host *host)
{
    return host->market.dom_xen ? MONEY_USED : MONEY_RESERVED;
}

static const char *domain_activity(const struct host_session *s)
{
    return activity_of(s, "tasks in a domain");
}

const struct host_manager host_manager_xen = {
    .name = "xen",
    .activity = domain_activity,
    .metering = domain_metering,
    .start = start,
    .pause = task_go,
    .resume = task_go,
    .end = end,
    .meter = meter,
};
