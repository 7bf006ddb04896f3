/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of a session that was accepted: environment, meter, pauses, end. */
#include <stdio.h>
#include <string.h>

#include "hostagent/manager.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"

static const struct host_manager *manager_of(const struct host_session *s)
{
    return s->host->market.manager;
}

void session_give_up(struct host_session *s)
{
    if (s->step) xn_ticket_forget(s->host->tickets, s->step);
    s->step = 0;
}

static void set_reason(struct host_session *s, int rc, const char *reason)
{
    s->rc = rc;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static void log_session(const struct host_session *s, const char *what)
{
    char name[XN_NAME_MAX];

    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, XN_LOG_INFO, "session %s: %s%s%s", name, what,
               s->reason[0] ? ": " : "", s->reason);
}

/* ---- the end ---- */

static void over(struct host_session *s, const struct xn_now *now)
{
    log_session(s, "ended");
    session_answer(s, &s->ask_end);
    s->work.open = true; /* for one that never began, or could not be ended */
    task_go(s, now);
}

static void finish(struct host_session *s, const struct xn_now *now)
{
    s->state = XN__SESSION_STATE__SESSION_ENDED;
    session_save(s, now, over);
}

void session_ended(struct host_session *s, const struct xn_now *now,
                   const struct price_usage *usage, uint64_t till_us)
{
    s->metered = *usage;
    s->metered_us = till_us;
    s->counting = false;
    s->down = true;
    session_go(s, now);
}

static void end_saved(struct host_session *s, const struct xn_now *now)
{
    session_answer(s, &s->ask);
    session_answer(s, &s->ask_end);
    session_go(s, now);
}

void session_end(struct host_session *s, const struct xn_now *now, int rc,
                 const char *reason)
{
    if (s->state != XN__SESSION_STATE__SESSION_RUNNING &&
        s->state != XN__SESSION_STATE__SESSION_PAUSED) {
        return;
    }
    session_give_up(s); /* whatever it was: it is done again where wanted */
    s->state = XN__SESSION_STATE__SESSION_ENDING;
    s->ended_us = now->wall_us;
    set_reason(s, rc, reason);
    session_save(s, now, end_saved);
}

/* ---- spent: stand still, then end ---- */

static bool is_spent(const struct host_session *s)
{
    return s->claims.amount >= s->sale.terms.amount;
}

static void stand(struct host_session *s, const struct xn_now *now)
{
    manager_of(s)->pause(s, now);
    session_claim(s, now);
}

static void pause(struct host_session *s, const struct xn_now *now,
                  const char *reason)
{
    s->state = XN__SESSION_STATE__SESSION_PAUSED;
    s->counting = false;
    s->paused_us = now->wall_us;
    set_reason(s, XN_EMONEY, reason);
    log_session(s, "paused");
    session_save(s, now, stand);
}

static void move(struct host_session *s, const struct xn_now *now)
{
    manager_of(s)->resume(s, now);
    session_go(s, now);
}

static void resume(struct host_session *s, const struct xn_now *now)
{
    s->state = XN__SESSION_STATE__SESSION_RUNNING;
    s->counting = true;
    s->metered_us = now->wall_us;
    set_reason(s, 0, "");
    log_session(s, "goes on");
    session_save(s, now, move);
}

static void look_at_paused(struct host_session *s, const struct xn_now *now)
{
    struct money next;

    if (session_next_claim(s, &next) && next.claim.amount > s->claims.amount &&
        next.claim.till_us > s->claims.till_us) {
        session_claim(s, now); /* a restart came in between */
    } else if (is_spent(s)) {
        if (now->wall_us >= s->paused_us + s->host->config.pause_us)
            session_end(s, now, XN_EMONEY, "the order is spent");
        else
            session_go(s, now);
    } else if (claim_ceiling(&s->sale.terms, now->wall_us) > s->claims.amount) {
        resume(s, now);
    } else {
        session_go(s, now);
    }
}

static void look_at_running(struct host_session *s, const struct xn_now *now)
{
    struct money next;

    if (!session_next_claim(s, &next)) {
        session_go(s, now);
    } else if (next.claim.amount >= s->sale.terms.amount) {
        pause(s, now, "the order is spent");
    } else if (next.claim.amount >=
               claim_ceiling(&s->sale.terms, s->metered_us)) {
        pause(s, now, "the order allows no more in this hour");
    } else if (next.claim.amount > s->claims.amount) {
        session_claim(s, now);
    } else {
        session_go(s, now);
    }
}

void session_metered(struct host_session *s, const struct xn_now *now,
                     const struct price_usage *usage, uint64_t till_us)
{
    s->metered = *usage;
    s->metered_us = till_us;
    if (session_closes(s))
        session_claim(s, now);
    else if (now->wall_us >= s->sale.terms.until_us)
        session_end(s, now, 0, "the order has ended");
    else if (s->state == XN__SESSION_STATE__SESSION_PAUSED)
        look_at_paused(s, now);
    else
        look_at_running(s, now);
}

/* ---- going on ---- */

static void refuse_unable(struct host_session *s, int rc, const char *because)
{
    const struct host_task *t = task_last(s);

    session_refuse(s, rc, because,
                   t && t->record->advice[0]
                       ? t->record->advice
                       : "another task, or another server");
}

void session_failed(struct host_session *s, const struct xn_now *now, int rc,
                    const char *because)
{
    refuse_unable(s, rc, because);
    session_end(s, now, rc, because);
}

/* Its asker is told so, and it never begins, also where its machine is back by
 * the time that the XenoCorp has answered; unless the same is asked again, which
 * finds it another. */
static void unsettle(struct host_session *s, const struct xn_now *now)
{
    session_give_up(s);
    s->state = XN__SESSION_STATE__SESSION_UNSETTLED;
    set_reason(s, XN_EUNREACH, "the machine that it was to run on is lost");
    session_refuse(s, XN_EUNKNOWN, s->reason, "the same again");
    session_save(s, now, session_validate);
}

void session_strand(struct host_session *s, const struct xn_now *now)
{
    if (s->state == XN__SESSION_STATE__SESSION_CLAIMED) {
        unsettle(s, now);
        return;
    }
    session_failed(s, now, XN_EUNREACH, "the machine that it ran on is lost");
    task_go(s, now);
}

/* What passes elsewhere is settled here: to ask again changes nothing. */
void session_unable(struct host_session *s)
{
    bool passes = !s->rc || s->rc == XN_ETIMEOUT || s->rc == XN_EIO;

    refuse_unable(s, passes ? XN_EREFUSED : s->rc, s->reason);
}

void session_started(struct host_session *s, const struct xn_now *now)
{
    s->started = true;
    session_answer(s, &s->ask);
    if (!s->step) session_go(s, now);
}

void session_start(struct host_session *s, const struct xn_now *now)
{
    manager_of(s)->start(s, now);
}

static void tick(struct host_session *s, const struct xn_now *now)
{
    manager_of(s)->meter(s, now);
}

/* Its extension may have its turn before that. */
static uint64_t sooner(const struct host_session *s, const struct xn_now *now,
                       uint64_t us)
{
    const struct host_extension *x = s->next_order;
    uint64_t left_us;

    if (!x || !x->on) return us;
    left_us = x->due_us > now->mono_us ? x->due_us - now->mono_us : 0;
    return left_us < us ? left_us : us;
}

#define SLOTS 40 /* of the time between readings: those of one are together */

/* A little sooner than asked.  Who begins again finds all sessions at once, and
 * spreads them. */
static uint64_t to_a_slot(struct host_session *s, const struct xn_now *now,
                          uint64_t us)
{
    uint64_t slot_us = us / SLOTS ? us / SLOTS : 1;

    if (s->loaded) us = xn_rng_between(&s->host->rng, slot_us, us);
    s->loaded = false;
    return us - (now->mono_us + us) % slot_us;
}

/* When to look at the meter again. */
static void wait(struct host_session *s, const struct xn_now *now)
{
    const struct host_config *config = &s->host->config;
    uint64_t us = to_a_slot(s, now, config->charge_us);

    if (s->state == XN__SESSION_STATE__SESSION_PAUSED && is_spent(s) &&
        config->pause_us < us) {
        us = config->pause_us;
    }
    session_pause_for(s, now, sooner(s, now, us), tick);
}

static void go_down(struct host_session *s, const struct xn_now *now)
{
    if (!s->down)
        manager_of(s)->end(s, now);
    else if (session_extend(s, now))
        return;
    else if (s->claim.len || !session_settled(s))
        session_claim(s, now);
    else if (s->next_order && s->next_order->on)
        session_pause_for(s, now, sooner(s, now, UINT64_MAX / 2), session_go);
    else
        finish(s, now);
}

void session_go(struct host_session *s, const struct xn_now *now)
{
    switch (s->state) {
    case XN__SESSION_STATE__SESSION_CLAIMED:
    case XN__SESSION_STATE__SESSION_UNSETTLED: session_validate(s, now); break;
    case XN__SESSION_STATE__SESSION_RUNNING:
    case XN__SESSION_STATE__SESSION_PAUSED:
        if (!s->started)
            session_start(s, now);
        else if (s->claim.len)
            session_claim(s, now);
        else if (!session_extend(s, now))
            wait(s, now);
        break;
    case XN__SESSION_STATE__SESSION_ENDING: go_down(s, now); break;
    default: break;
    }
}
