/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks in sessions: the whole way, refusals, ends, what dies in between. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

/* ---- the whole way ---- */

static void a_session_with_its_task(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    Xn__HostTask *task;
    uint64_t ask;

    market_quote(m, SMALL);
    assert_int_equal(m->d.quote.doc.quote.metering, MONEY_USED);
    market_order(m, m->word, 10 * GBP);
    ask = tasks_ask_create(m, true);
    market_serve_but_calls(m);
    assert_int_equal(m->dom.starts, 0); /* not before it is accepted */
    market_serve(m);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    assert_string_equal(session->manager, "sandbox");
    assert_int_equal(session->tasks, 1);
    assert_int_equal(session->task->state, XN__TASK_STATE__RUNNING);
    assert_string_equal(session->task->argv[0], "/bin/echo");
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(m->dom.starts, 1);
    assert_true(dom_last(&m->dom)->spec->memory_bytes == 512ULL << 20);
    assert_int_equal(dom_last(&m->dom)->spec->cpu_ms_per_s, 1000);
    assert_int_equal(dom_last(&m->dom)->spec->n_put, 1);
    /* It ends, and the session with it. */
    ask = tasks_ask_wait(m, 0, 25000);
    market_serve(m);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    dom_burn(&m->dom, 2000000000);
    market_pass(m, 30 * SECOND_US);
    ask = tasks_ask_wait(m, 0, 25000);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 3, true);
    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__ENDED);
    assert_int_equal(task->end, XN__TASK_END__FINISHED);
    assert_int_equal(task->code, 3);
    assert_true(task->cpu_ns == 2000000000);
    xn__host_task__free_unpacked(task, NULL);
    market_pass(m, 5 * SECOND_US);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->reason, "its task has ended");
    xn__host_session__free_unpacked(session, NULL);
    /* 30 s at 0.1 and 512 MB at 0.00001 an hour, 2 s of CPU at 0.0001 each. */
    assert_in_range(market_charged(m), 833 + 42 + 200, 833 + 42 + 200 + 40);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_with_its_task, tasks_set_up,
                                        market_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
