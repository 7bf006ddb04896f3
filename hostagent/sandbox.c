/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The managers that run tasks, one at a time in a session: a session is what it
 * reserved, and what its tasks used of the CPU, where there is an exact meter. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/task.h"
#include "lib/err.h"

#define SECOND_US 1000000ULL
#define START_US (20 * SECOND_US)
/* A fetch that takes no longer costs nothing. */
#define FETCH_FREE_US (30 * SECOND_US)
#define LOOK_US SECOND_US
/* After that the session ends with what was read last; its task is ended when
 * xenodomd is there again. */
#define END_US_MAX (120 * SECOND_US)
#define UNREAD_US_MAX (600 * SECOND_US)
#define NS_UNITS (XN_DEC_ONE / 1000000000)
#define BYTE_UNITS (XN_DEC_ONE / 1000000000)

static enum money_metering metering(const struct host *host)
{
    return host_is_exact(host) ? MONEY_USED : MONEY_RESERVED;
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

bool sandbox_never_began(const struct host_session *s)
{
    return has_first(s) && task_last(s)->over &&
           task_last(s)->record->exit->end == XN__TASK_END__NOT_STARTED;
}

static bool never_ran(const struct host_session *s)
{
    return has_first(s) &&
           (!task_last(s)->record->seen || sandbox_never_began(s));
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

/* Both ways, as the price is; 1 GB is 1e9 bytes. */
static xn_dec traffic_gb(const struct host_session *s)
{
    uint64_t sent, got;

    task_traffic(s, &sent, &got);
    return (xn_dec){((xn_i128)sent + got) * BYTE_UNITS};
}

/* CPU time and bytes of tasks never goes back, whatever is read; before the first there is
 * none.  Time in which nobody knows whether its machine works is not paid for. */
static uint64_t usage_until(const struct host_session *s, uint64_t wall_us,
                            struct price_usage *usage)
{
    bool reserved = !s->used && !never_ran(s);
    uint64_t till_us =
        session_reserved(s, session_known_us(s, wall_us), reserved, usage);
    xn_dec cpu = {(xn_i128)task_cpu_ns(s) * NS_UNITS};
    xn_dec net = traffic_gb(s);

    if (s->used && xn_dec_cmp(cpu, usage->cpu_s) > 0) usage->cpu_s = cpu;
    if (xn_dec_cmp(net, usage->net_gb) > 0) usage->net_gb = net;
    return till_us;
}

/* Time in which its task was a file is passed over; what is heard of it later than
 * it was paid, later time makes good. */
static void skip_saved(struct host_session *s, uint64_t wall_us)
{
    uint64_t all_ms = task_saved_ms(s), ms, room_ms = 0;

    if (all_ms <= s->saved_ms) return;
    ms = all_ms - s->saved_ms;
    wall_us = session_known_us(s, wall_us);
    if (wall_us > s->metered_us) room_ms = (wall_us - s->metered_us) / 1000;
    if (ms > room_ms) ms = room_ms;
    s->metered_us += ms * 1000;
    s->saved_ms += ms;
}

static bool is_starting(const struct host_session *s)
{
    return s->work.starting && !s->started &&
           (s->state == XN__SESSION_STATE__SESSION_RUNNING ||
            s->state == XN__SESSION_STATE__SESSION_PAUSED);
}

/* While its image is fetched a session keeps capacity from others, for minutes
 * perhaps: once that is no moment any more it is paid for, whatever comes of it,
 * and claimed along the way, so that the XenoCorp can say that nobody pays any
 * longer.  Nothing else is paid before the task runs. */
static void count_fetch(struct host_session *s, const struct xn_now *now)
{
    const struct host_work *w = &s->work;

    if (w->fetches && now->mono_us - w->fetch_us >= FETCH_FREE_US)
        s->counting = true;
}

static void stop_counting(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;

    usage_until(s, now->wall_us, &usage);
    s->metered = usage;
    s->metered_us = now->wall_us;
    s->counting = false;
}

/* Of the time to start in nothing goes by meanwhile. */
void sandbox_fetches(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;
    bool fetches;

    if (!is_starting(s)) return;
    fetches = task_last(s)->fetching && session_is_up(s);
    if (fetches == w->fetches) return;
    count_fetch(s, now);
    stop_counting(s, now);
    w->fetches = fetches;
    if (fetches) {
        w->fetch_us = now->mono_us;
        w->left_us = w->late_us > now->mono_us ? w->late_us - now->mono_us : 0;
    } else {
        w->late_us = now->mono_us + w->left_us;
    }
}

static void look_at_start(struct host_session *s, const struct xn_now *now);

static void wait_for_start(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;
    uint64_t us = s->host->config.charge_us, left_us = us;

    if (!w->fetches)
        left_us = w->late_us > now->mono_us ? w->late_us - now->mono_us : 0;
    w->waiting = true;
    session_pause_for(s, now, us < left_us ? us : left_us, look_at_start);
}

/* Why it may wait no longer; 0: it may. */
static int overdue(const struct host_session *s, const struct xn_now *now,
                   const struct price_usage *usage, uint64_t till_us,
                   const char **because_out)
{
    const struct host_work *w = &s->work;

    if (!w->fetches && now->mono_us >= w->late_us) {
        *because_out = "its task did not start in time";
        return XN_ETIMEOUT;
    }
    *because_out = "the order has ended before its task began";
    if (now->wall_us >= s->sale.terms.until_us) return XN_EMONEY;
    *because_out = session_spends_all(s, usage, till_us);
    return *because_out ? XN_EMONEY : 0;
}

/* No more is kept from others than the order pays for. */
static void look_at_start(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    const char *because;
    uint64_t till_us;
    int rc;

    s->work.waiting = false;
    count_fetch(s, now);
    till_us = usage_until(s, now->wall_us, &usage);
    rc = overdue(s, now, &usage, till_us, &because);
    if (rc) {
        s->work.starting = false;
        session_failed(s, now, rc, because);
    } else if (s->counting) {
        session_metered(s, now, &usage, till_us);
    } else {
        wait_for_start(s, now);
    }
}

static void begin_start(struct host_session *s, const struct xn_now *now)
{
    struct host_work *w = &s->work;

    w->starting = true;
    w->fetches = false;
    w->late_us = now->mono_us + START_US;
    s->counting = false;
}

static void start(struct host_session *s, const struct xn_now *now)
{
    const struct host_task *t = task_last(s);

    s->work.open = true;
    if (sandbox_never_began(s)) {
        fail(s, now);
    } else if (has_first(s) && !t->over && !t->record->seen) {
        if (!s->work.starting) begin_start(s, now);
        wait_for_start(s, now);
        task_go(s, now);
    } else {
        session_started(s, now);
        task_go(s, now);
        end_with_task(s, now);
    }
}

/* It counts from when its task began.  A claim that is under way goes on. */
static void begun(struct host_session *s, const struct xn_now *now)
{
    uint64_t since_us = task_last(s)->record->started_us;

    s->work.starting = false;
    if (since_us > now->wall_us) since_us = now->wall_us;
    if (since_us > s->metered_us) s->metered_us = since_us;
    s->counting = s->state == XN__SESSION_STATE__SESSION_RUNNING;
    if (s->work.waiting) session_give_up(s);
    s->work.waiting = false;
    session_started(s, now);
}

void sandbox_runs(struct host_session *s, const struct xn_now *now)
{
    if (is_starting(s)) begun(s, now);
}

/* ---- the meter ---- */

/* A claim takes no more of each time than that time allows: what was used until
 * one is made without it could not be claimed any more.  So a meter that does not
 * answer is waited for, though not until hours alone have spent the order. */
static bool may_claim(const struct host_session *s, const struct xn_now *now)
{
    return s->work.is_read || !s->used || session_closes(s) ||
           now->wall_us >= s->metered_us + UNREAD_US_MAX;
}

static void metered(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage = s->metered;
    uint64_t till_us;

    skip_saved(s, now->wall_us);
    till_us = s->metered_us;
    if (may_claim(s, now)) till_us = usage_until(s, now->wall_us, &usage);
    session_metered(s, now, &usage, till_us);
}

static void meter(struct host_session *s, const struct xn_now *now)
{
    s->work.is_read = !task_lives(s) || !task_last(s)->record->seen;
    if (!s->work.is_read && session_is_up(s))
        session_read(s, now, metered);
    else
        metered(s, now);
}

/* ---- the end ---- */

static void ended(struct host_session *s, const struct xn_now *now)
{
    struct price_usage usage;
    uint64_t till_us;

    skip_saved(s, s->ended_us);
    till_us = usage_until(s, s->ended_us, &usage);
    s->work.ending = false;
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
    } else if (is_starting(s) && sandbox_never_began(s)) {
        s->work.starting = false;
        fail(s, now);
    } else {
        sandbox_runs(s, now);
        end_with_task(s, now);
    }
}

static void activity_of(const struct host_session *s, const char *tasks,
                        char out[XN_VALUE_MAX + 1])
{
    uint64_t sent, got;

    task_traffic(s, &sent, &got);
    if (never_ran(s))
        tasks = "capacity kept for a task while its image was fetched";
    if (sent || got)
        snprintf(out, XN_VALUE_MAX + 1,
                 "%s; %" PRIu64 " bytes sent, %" PRIu64 " received", tasks,
                 sent, got);
    else
        snprintf(out, XN_VALUE_MAX + 1, "%s", tasks);
}

static void activity(const struct host_session *s, char out[XN_VALUE_MAX + 1])
{
    activity_of(s, "tasks in a sandbox", out);
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

static void domain_activity(const struct host_session *s,
                            char out[XN_VALUE_MAX + 1])
{
    activity_of(s, "tasks in a domain", out);
}

const struct host_manager host_manager_xen = {
    .name = "xen",
    .activity = domain_activity,
    .metering = metering,
    .start = start,
    .pause = task_go,
    .resume = task_go,
    .end = end,
    .meter = meter,
};
