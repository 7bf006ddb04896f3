/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host agent refuses in passing: while something else is under way, or
 * where a question is malformed.  With the other tests of its core these are
 * all refusals that its source has (tests/refusals-host.t). */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

static void is_refused(struct market *m, uint64_t ask, int rc,
                       const char *because)
{
    char got[300];

    assert_int_equal(market_refused(m, ask, got), rc);
    assert_string_equal(got, because);
}

static void quote_and_order(struct market *m)
{
    market_quote(m, SMALL);
    market_order(m, m->word, 10 * GBP);
}

static void papers_that_nobody_looked_at(void **state)
{
    struct market *m = *state;
    struct xn_action act;
    uint64_t ask;

    quote_and_order(m);
    ask = market_ask_create(m);
    act = crank_take(&m->h, XN_ACT_VERIFY);
    crank_done(&m->h, &act, XN_ETIMEOUT, 0, NULL);
    market_serve(m);
    is_refused(m, ask, XN_ETIMEOUT, "nobody could look at the papers");
}

static void a_session_that_is_not_accepted_yet(void **state)
{
    struct market *m = *state;
    uint64_t first, second;

    quote_and_order(m);
    first = market_ask_create(m);
    market_serve_but_calls(m);
    second = market_ask_create(m);
    is_refused(m, first, XN_EUNKNOWN, "asked again over another connection");
    market_know_session(m);
    is_refused(m, market_ask_stop(m, &m->s.client, &m->s.client), XN_ENOTYET,
               "the XenoCorp has not accepted it yet");
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, second), NULL);
}

static void a_quote_for_less(void **state)
{
    struct market *m = *state;
    Xn__CreateSession body = XN__CREATE_SESSION__INIT;
    ProtobufCBinaryData narrowing;
    char want[] = WANT("<Resources><MemoryMB>1024</MemoryMB></Resources>");
    uint8_t word[32] = {7};
    uint64_t ask;

    quote_and_order(m);
    narrowing = shop_bytes(&m->d.narrowing);
    body.request = (ProtobufCBinaryData){sizeof word, word};
    body.order = shop_bytes(&m->d.order);
    body.quote = shop_bytes(&m->d.quote);
    body.narrowings = &narrowing;
    body.n_narrowings = 1;
    body.requirements = (ProtobufCBinaryData){sizeof want - 1, (uint8_t *)want};
    ask = market_ask(m, "POST", "/v1/sessions", "", &body, &m->s.client.caller);
    market_serve(m);
    is_refused(m, ask, XN_EREFUSED, "the quote does not meet the requirements");
}

static void before_anything_is_offered(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    crank_empty(&m->h);
    market_restart(m);
    while (crank_count(&m->h, XN_ACT_READ))
        crank_serve_read(&m->h);
    ask = market_ask_quote(m, NULL, &m->s.client.caller);
    is_refused(m, ask, XN_ENOTYET, "nothing is offered yet");
}

static void stops(void **state)
{
    struct market *m = *state;
    Xn__StopSession body = XN__STOP_SESSION__INIT;

    tasks_begin(m);
    body.session = xn_id_bytes(&m->session);
    is_refused(m,
               market_ask(m, "POST", "/v1/sessions/stop", "", &body,
                          &m->s.client.caller),
               XN_EINVAL, "a signed stop is 1 to 8192 bytes");
    market_ask_stop(m, &m->s.client, &m->s.client);
    is_refused(m, market_ask_stop(m, &m->s.client, &m->s.client), XN_EBUSY,
               "it is being stopped");
    market_serve(m);
}

static void questions_to_tasks(void **state)
{
    struct market *m = *state;
    Xn__StopTask body = XN__STOP_TASK__INIT;

    tasks_begin(m);
    is_refused(m, tasks_ask_input(m, ""), XN_EINVAL,
               "1 to 4096 bytes for a session");
    body.session = xn_id_bytes(&m->session);
    body.grace_ms = 60001;
    is_refused(
        m,
        market_ask(m, "POST", "/v1/tasks/stop", "", &body, &m->s.client.caller),
        XN_EINVAL, "a session's id, and at most 60000 ms of grace");
    tasks_ask_new(m, 1, false);
    is_refused(m, tasks_ask_input(m, "too early"), XN_ENOTYET,
               "it does not run yet");
    market_serve(m);
}

#define CASE(test)                                                             \
    cmocka_unit_test_setup_teardown(test, tasks_set_up, market_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(papers_that_nobody_looked_at),
        CASE(a_session_that_is_not_accepted_yet),
        CASE(a_quote_for_less),
        CASE(before_anything_is_offered),
        CASE(stops),
        CASE(questions_to_tasks),
    };

    return cmocka_run_group_tests_name("host_refusals", tests, NULL, NULL);
}
