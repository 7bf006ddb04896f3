/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task that its holder has stand still, and go on. */
#include "hostagent/session.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#define SECOND_US 1000000ULL

static Xn__TaskState told(struct market *m, uint64_t ask)
{
    Xn__HostTask *task;
    Xn__TaskState state;

    market_serve(m);
    task = tasks_answered(m, ask);
    state = task->state;
    xn__host_task__free_unpacked(task, NULL);
    return state;
}

static void stands_and_goes_on(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(told(m, tasks_ask_pause(m, true)),
                         XN__TASK_STATE__PAUSED);
        assert_int_equal(m->dom.pauses, i);
        market_pass(m, 20 * SECOND_US);
        assert_int_equal(m->dom.resumes, i - 1);
        assert_int_equal(told(m, tasks_ask_pause(m, false)),
                         XN__TASK_STATE__RUNNING);
        assert_int_equal(m->dom.resumes, i);
    }
    /* What it does already is answered, and done once. */
    assert_int_equal(told(m, tasks_ask_pause(m, false)),
                     XN__TASK_STATE__RUNNING);
    assert_int_equal(m->dom.resumes, 2);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

/* Neither the agent's nor xenodomd's restart makes it go on. */
static void holds_through_restarts(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    told(m, tasks_ask_pause(m, true));
    market_restart(m);
    market_pass(m, 5 * SECOND_US);
    dom_vanish(&m->dom, &m->h);
    dom_last(&m->dom)->state = XN__TASK_STATE__RUNNING; /* by who knows whom */
    dom_connect(&m->dom, &m->h);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(dom_last(&m->dom)->state, XN__TASK_STATE__PAUSED);
    assert_int_equal(m->dom.resumes, 0);
    assert_int_equal(told(m, tasks_ask_pause(m, false)),
                     XN__TASK_STATE__RUNNING);
}

/* Time and memory are paid meanwhile. */
static void is_paid_for(void **state)
{
    struct market *m = *state;
    int64_t before;

    tasks_begin(m);
    tasks_run(m, 1, false);
    told(m, tasks_ask_pause(m, true));
    market_pass(m, 20 * SECOND_US);
    before = market_charged(m);
    market_pass(m, 60 * SECOND_US);
    assert_in_range(market_charged(m) - before, 50 * 29, 70 * 30);
}

static void is_refused(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    assert_int_equal(market_refused(m, tasks_ask_pause(m, true), NULL),
                     XN_ENOENT);
    tasks_run(m, 1, false);
    m->dom.stops_slowly = true;
    told(m, tasks_ask_stop(m, &m->s.client.caller));
    assert_int_equal(market_refused(m, tasks_ask_pause(m, true), NULL),
                     XN_EREFUSED);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__STOPPED, 0, true);
    market_serve(m);
    assert_int_equal(market_refused(m, tasks_ask_pause(m, false), NULL),
                     XN_EREFUSED);
}

/* Nobody goes on without money; who pauses then stands still either way. */
static void without_money(void **state)
{
    struct market *m = *state;
    char because[300];

    market_begin(m, 3000);
    tasks_run(m, 1, false);
    for (unsigned i = 0; i < 300 && !m->dom.pauses; i++)
        market_pass(m, SECOND_US);
    assert_int_equal(market_refused(m, tasks_ask_pause(m, false), because),
                     XN_EMONEY);
    assert_non_null(strstr(because, "the order is spent"));
    assert_int_equal(told(m, tasks_ask_pause(m, true)), XN__TASK_STATE__PAUSED);
    assert_int_equal(m->dom.pauses, 1);
}

/* xenodomd does not answer: whoever asked is told that nobody knows, and it is
 * done when it can be. */
static void is_done_later(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    m->dom.silent = 100;
    ask = tasks_ask_pause(m, true);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EUNKNOWN);
    m->dom.silent = 0;
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(dom_last(&m->dom)->state, XN__TASK_STATE__PAUSED);
}

/* Who ends while it is waited for is told of as ended. */
static void ends_meanwhile(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    m->dom.silent = 1;
    ask = tasks_ask_pause(m, true);
    market_serve(m);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_pass(m, 22 * SECOND_US); /* until xenodomd is waited for no more */
    assert_int_equal(told(m, ask), XN__TASK_STATE__ENDED);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(stands_and_goes_on), TEST(holds_through_restarts),
        TEST(is_paid_for),        TEST(is_refused),
        TEST(without_money),      TEST(is_done_later),
        TEST(ends_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
