/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task whose domain the operator saved, for as long as his machine takes. */
#include "hostagent/session.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#define SECOND_US 1000000ULL
#define A_SECOND ((100000 + 5120) / 3600) /* costs so much: time and memory */
#define READING_S 12                      /* between two, at most */

/* One that is asked for by itself, as each domain is. */
static void begin(struct market *m)
{
    m->dom.uncounted = true;
    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 60 * SECOND_US);
}

static void be(struct market *m, Xn__TaskState state)
{
    dom_last(&m->dom)->state = state;
}

static void stay_saved(struct market *m, unsigned seconds)
{
    be(m, XN__TASK_STATE__SAVED);
    while (seconds-- > 0) {
        dom_last(&m->dom)->saved_ms += 1000;
        market_pass(m, SECOND_US);
    }
}

static void costs(struct market *m, int64_t before, unsigned seconds)
{
    assert_in_range(market_charged(m) - before + READING_S * A_SECOND,
                    seconds * A_SECOND,
                    (seconds + 2 * READING_S) * (A_SECOND + 1));
}

static Xn__TaskState seen(struct market *m)
{
    Xn__HostTask *task = tasks_look(m);
    Xn__TaskState state = task->state;

    xn__host_task__free_unpacked(task, NULL);
    return state;
}

/* Nobody has it run meanwhile, either. */
static void costs_nothing(void **state)
{
    struct market *m = *state;
    int64_t before;

    begin(m);
    before = market_charged(m);
    stay_saved(m, 300);
    assert_int_equal(seen(m), XN__TASK_STATE__SAVED);
    costs(m, before, 0);
    be(m, XN__TASK_STATE__RUNNING);
    market_pass(m, 100 * SECOND_US);
    assert_int_equal(seen(m), XN__TASK_STATE__RUNNING);
    costs(m, before, 100);
    stay_saved(m, 300);
    costs(m, before, 100);
    assert_int_equal(m->dom.pauses + m->dom.resumes + m->dom.stops, 0);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

/* The agent is not there when it is saved, and not when it is restored: it hears
 * how long that was. */
static void is_heard_of_later(void **state)
{
    struct market *m = *state;
    int64_t before;

    begin(m);
    before = market_charged(m);
    dom_vanish(&m->dom, &m->h);
    market_restart(m);
    dom_vanish(&m->dom, &m->h);
    stay_saved(m, 300);
    be(m, XN__TASK_STATE__RUNNING);
    dom_connect(&m->dom, &m->h);
    market_pass(m, 100 * SECOND_US);
    costs(m, before, 100);
    market_restart(m);
    market_pass(m, 100 * SECOND_US);
    costs(m, before, 200);
}

/* So late that its time was claimed: what comes then costs so much less. */
static void is_made_good(void **state)
{
    struct market *m = *state;
    int64_t before;

    begin(m);
    before = market_charged(m);
    dom_vanish(&m->dom, &m->h);
    stay_saved(m, 900);
    assert_true(market_charged(m) - before > 500 * A_SECOND);
    be(m, XN__TASK_STATE__RUNNING);
    dom_connect(&m->dom, &m->h);
    market_pass(m, 600 * SECOND_US);
    assert_true(market_charged(m) - before < 950 * (A_SECOND + 1));
    market_pass(m, 600 * SECOND_US);
    costs(m, before, 1200);
}

/* The next task's time is its own. */
static void belongs_to_its_task(void **state)
{
    struct market *m = *state;
    int64_t before;

    begin(m);
    stay_saved(m, 100);
    be(m, XN__TASK_STATE__RUNNING);
    market_pass(m, 20 * SECOND_US);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_serve(m);
    tasks_run(m, 2, false);
    before = market_charged(m);
    market_pass(m, 100 * SECOND_US);
    costs(m, before, 100);
    stay_saved(m, 300);
    costs(m, before, 100);
}

/* What its holder wants of it meanwhile holds when it is back. */
static void stands_still_afterwards(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    uint64_t ask;

    begin(m);
    stay_saved(m, 30);
    ask = tasks_ask_pause(m, true);
    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__SAVED);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->dom.pauses, 0);
    be(m, XN__TASK_STATE__RUNNING);
    market_pass(m, 20 * SECOND_US);
    assert_int_equal(m->dom.pauses, 1);
    assert_int_equal(seen(m), XN__TASK_STATE__PAUSED);
}

static void ends_with_its_session(void **state)
{
    struct market *m = *state;
    int64_t before;
    uint64_t ask;

    begin(m);
    before = market_charged(m);
    stay_saved(m, 100);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 20 * SECOND_US);
    assert_int_equal(m->dom.stops, 1);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    costs(m, before, 0);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(costs_nothing),
        TEST(is_heard_of_later),
        TEST(is_made_good),
        TEST(belongs_to_its_task),
        TEST(stands_still_afterwards),
        TEST(ends_with_its_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
