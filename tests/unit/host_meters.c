/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Meters that are read together, and alone where that is not to be had. */
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#define SESSIONS 3
#define CROWD 130   /* more than are asked of at once */
#define READINGS 10 /* of each in 100 s */

/* Each with a task that runs. */
static void begin(struct market *m)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        m->word++;
        tasks_begin(m);
        tasks_run(m, 1, false);
    }
    m->dom.looks = m->dom.meters = 0;
    m->dom.metered = 0;
}

/* Of the last session, in ms; burnt while time goes by. */
static uint64_t charged_cpu_ms(struct market *m)
{
    Xn__HostTask *task;
    uint64_t ms;

    for (unsigned i = 0; i < READINGS; i++) {
        dom_burn(&m->dom, 1000000000);
        market_pass(m, 10 * SECOND_US);
    }
    market_pass(m, 10 * SECOND_US);
    /* xenodomd has no word in this */
    m->dom.up = false;
    task = tasks_look(m);
    m->dom.up = true;
    ms = task->cpu_ns / 1000000;
    assert_int_equal(task->memory_bytes, DOM_TASK_MEMORY);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    return ms;
}

static void together(void **state)
{
    struct market *m = *state;

    begin(m);
    assert_int_equal(charged_cpu_ms(m), READINGS * 1000);
    assert_in_range(m->dom.meters, READINGS - 2, READINGS + 4);
    assert_in_range(m->dom.metered, SESSIONS * (READINGS - 1),
                    SESSIONS * (READINGS + 3));
    assert_in_range(m->dom.looks, 0, SESSIONS + 1); /* now and then */
}

/* What else has become of it is not missed for ever. */
static void looks_now_and_then(void **state)
{
    struct market *m = *state;

    begin(m);
    market_pass(m, 400 * SECOND_US);
    assert_in_range(m->dom.looks, SESSIONS, 2 * SESSIONS + 2);
    dom_last(&m->dom)->state = XN__TASK_STATE__PAUSED; /* behind our back */
    m->dom.resumes = 0;
    market_pass(m, 400 * SECOND_US);
    assert_int_equal(m->dom.resumes, 1);
}

static void an_older_one(void **state)
{
    struct market *m = *state;

    m->dom.no_meter = XN_EINVAL;
    begin(m);
    assert_int_equal(charged_cpu_ms(m), READINGS * 1000);
    assert_int_equal(m->dom.metered, 0);
    assert_true(m->dom.looks >= SESSIONS * READINGS);
}

static void by_their_keepers(void **state)
{
    struct market *m = *state;

    m->dom.uncounted = true;
    begin(m);
    assert_int_equal(charged_cpu_ms(m), READINGS * 1000);
    assert_int_equal(m->dom.metered, 0);
    assert_true(m->dom.looks >= SESSIONS * READINGS);
    assert_in_range(m->dom.meters, 0, 2 * SESSIONS); /* not ever again */
}

/* What was read last stands, and is claimed when it is as old as may be; no
 * question stays for ever. */
static void silence(void **state)
{
    struct market *m = *state;
    unsigned claims;

    begin(m);
    dom_burn(&m->dom, 1000000000);
    market_pass(m, 20 * SECOND_US);
    claims = m->calls_charge;
    m->dom.silent = 1000;
    dom_burn(&m->dom, 1000000000);
    market_pass(m, 100 * SECOND_US);
    assert_int_equal(m->calls_charge, claims);
    assert_true(1000 - m->dom.silent >= 5);
    market_pass(m, 600 * SECOND_US);
    assert_in_range(m->calls_charge, claims + SESSIONS, claims + 2 * SESSIONS);
    m->dom.silent = 0;
    assert_int_equal(charged_cpu_ms(m), 2000 + READINGS * 1000);
}

/* As much CPU time as it may have. */
static void burn_for(struct market *m, unsigned seconds)
{
    while (seconds-- > 0) {
        dom_burn(&m->dom, 1000000000);
        market_pass(m, SECOND_US);
    }
}

/* What goes by while nobody reads it could not be made up for later: there is no
 * time for it but its own. */
static void unread_is_not_unpaid(void **state)
{
    struct market *m = *state;
    const int64_t all = 400 * 100 + 400 * (100000 + 5120) / 3600;
    uint64_t ask;

    m->word++;
    tasks_begin(m);
    tasks_run(m, 1, false);
    burn_for(m, 50);
    dom_vanish(&m->dom, &m->h);
    burn_for(m, 100);
    dom_connect(&m->dom, &m->h);
    burn_for(m, 50);
    m->dom.silent = 1000;
    burn_for(m, 100);
    m->dom.silent = 0;
    burn_for(m, 100);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 60 * SECOND_US);
    assert_in_range(market_charged(m), all - 200, all + 200);
}

/* The agent stood still for a minute: all are due in one moment. */
static void all_at_once(void **state)
{
    struct market *m = *state;

    m->offer.cpu_smps = "200000";
    m->offer.memory_mb = "100000";
    market_restart(m);
    market_serve(m);
    for (unsigned i = 0; i < CROWD; i++) {
        m->word++;
        market_begin(m, GBP);
        tasks_run(m, 1, false);
        deal_clear(&m->d);
        memset(&m->d, 0, sizeof m->d);
        market_pass(m, SECOND_US);
    }
    market_pass(m, 10 * SECOND_US);
    m->dom.looks = m->dom.meters = 0;
    m->dom.metered = 0;
    crank_pass(&m->s.c, 60 * SECOND_US);
    m->h.now.mono_us += 60 * SECOND_US;
    m->h.now.wall_us += 60 * SECOND_US;
    crank_pass(&m->h, 1);
    market_serve(m);
    assert_int_equal(m->dom.meters, 2);
    assert_in_range(m->dom.metered + m->dom.looks, CROWD, CROWD);
    assert_in_range(m->dom.looks, 0, CROWD / 10);
}

/* Who begins again finds all sessions at once, and does not read them so. */
static void spread_after_a_restart(void **state)
{
    struct market *m = *state;

    begin(m);
    market_restart(m);
    market_pass(m, SECOND_US);
    m->dom.meters = 0;
    market_pass(m, 100 * SECOND_US);
    assert_true(m->dom.meters >= 2 * (READINGS - 1));
    assert_in_range(m->dom.metered, SESSIONS * (READINGS - 2),
                    SESSIONS * (READINGS + 3));
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(together),     T(looks_now_and_then),
        T(an_older_one), T(by_their_keepers),
        T(silence),      T(unread_is_not_unpaid),
        T(all_at_once),  T(spread_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
