/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An operator whose own program says what is sold: it is asked before anything
 * is set apart, and what it gives no answer to is refused. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"

#define BIG WANT("<Resources><MemoryMB>3000</MemoryMB></Resources>")

static struct market *open(bool open)
{
    struct market *m = market_open(NULL, "0.1");

    m->config.policy_us = 5 * SECOND_US;
    m->config.policy_open = open;
    market_restart(m);
    market_serve(m);
    return m;
}

static int closed_set_up(void **state)
{
    *state = open(false);
    return 0;
}

static int open_set_up(void **state)
{
    *state = open(true);
    return 0;
}

/* An order is brought, and the program is about to be asked. */
static uint64_t brings(struct market *m, const char *want)
{
    uint64_t ask;

    m->word++;
    market_quote(m, want);
    market_order(m, m->word, GBP);
    ask = market_ask_create(m);
    market_serve(m);
    return ask;
}

static void says(struct market *m, bool accept, const char *because,
                 const char *advice)
{
    struct xn_action act = crank_take(&m->h, XN_ACT_ADMIT);
    Xn__Admitted body = XN__ADMITTED__INIT;

    body.accept = accept;
    body.because = (char *)(uintptr_t)because;
    body.advice = (char *)(uintptr_t)advice;
    crank_done(&m->h, &act, 0, XN__KIND__ADMITTED, &body);
    market_serve(m);
}

static void fails(struct market *m, int rc)
{
    struct xn_action act = crank_take(&m->h, XN_ACT_ADMIT);

    crank_done(&m->h, &act, rc, 0, NULL);
    market_serve(m);
}

static void what_it_takes_is_sold(void **state)
{
    struct market *m = *state;
    uint64_t ask = brings(m, BIG);
    struct xn_action act = crank_take(&m->h, XN_ACT_ADMIT);
    const Xn__Admit *told = XN_BODY(act.msg, Xn__Admit);
    Xn__Admitted body = XN__ADMITTED__INIT;
    Xn__HostSession *session;
    char memory[48], cpu[48];

    assert_string_equal(told->amounts->memory_mb, "3000");
    assert_memory_equal(told->client.data, m->s.client.id.b, XN_ID_SIZE);
    assert_string_equal(told->currency, "GBP");
    assert_int_equal(told->amount, GBP);
    assert_false(told->task);
    assert_int_equal(m->calls_validate, 0);
    body.accept = true;
    crank_done(&m->h, &act, 0, XN__KIND__ADMITTED, &body);
    market_serve(m);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    xn__host_session__free_unpacked(session, NULL);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "1096");
    /* The same again is no new one, and nobody is asked. */
    ask = market_ask_create(m);
    market_serve(m);
    assert_int_equal(crank_count(&m->h, XN_ACT_ADMIT), 0);
    session = market_session(m, ask);
    xn__host_session__free_unpacked(session, NULL);
}

static void what_it_refuses_is_not(void **state)
{
    struct market *m = *state;
    char because[300], memory[48], cpu[48];
    uint64_t ask = brings(m, BIG);

    says(m, false, "no such jobs here", "");
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "no such jobs here"));
    assert_int_equal(m->calls_validate, 0); /* the order is as it was */
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
    ask = brings(m, NULL);
    says(m, false, "", "something else");
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "policy"));
}

static void without_an_answer_nothing_is_sold(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask = brings(m, NULL);

    fails(m, XN_EPROTO);
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "could not be asked"));
    assert_non_null(strstr(m->h.log, "refused"));
    ask = brings(m, NULL);
    fails(m, XN_EBUSY);
    assert_int_equal(crank_refused(&m->h, ask), XN_EBUSY);
    ask = brings(m, NULL);
    crank_pass(&m->h, 8 * SECOND_US); /* the driver says nothing at all */
    assert_int_equal(crank_refused(&m->h, ask), XN_EREFUSED);
    assert_int_equal(m->calls_validate, 0);
}

static void unless_the_operator_wants_it(void **state)
{
    struct market *m = *state;
    uint64_t ask = brings(m, NULL);
    Xn__HostSession *session;

    fails(m, XN_ETIMEOUT);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    xn__host_session__free_unpacked(session, NULL);
    assert_non_null(strstr(m->h.log, "taken all the same"));
    ask = brings(m, NULL);
    says(m, false, "no", ""); /* that is an answer */
    assert_int_equal(crank_refused(&m->h, ask), XN_EREFUSED);
}

/* While it thinks nothing is set apart: who is accepted first has it. */
static void what_is_free_is_looked_at_again(void **state)
{
    struct market *m = *state;
    uint64_t first = brings(m, BIG), second = brings(m, BIG);
    Xn__HostSession *session;

    assert_int_equal(crank_count(&m->h, XN_ACT_ADMIT), 2);
    says(m, true, "", "");
    session = market_session(m, first);
    xn__host_session__free_unpacked(session, NULL);
    says(m, true, "", "");
    assert_int_equal(crank_refused(&m->h, second), XN_EREFUSED);
    assert_int_equal(m->calls_validate, 1);
}

static void who_goes_away_has_nothing(void **state)
{
    struct market *m = *state;
    uint64_t ask = brings(m, BIG);
    char memory[48], cpu[48];

    crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    says(m, true, "", "");
    assert_int_equal(m->calls_validate, 0);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
}

#define CLOSED(fn)                                                             \
    cmocka_unit_test_setup_teardown(fn, closed_set_up, market_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED(what_it_takes_is_sold),
        CLOSED(what_it_refuses_is_not),
        CLOSED(without_an_answer_nothing_is_sold),
        cmocka_unit_test_setup_teardown(unless_the_operator_wants_it,
                                        open_set_up, market_tear_down),
        CLOSED(what_is_free_is_looked_at_again),
        CLOSED(who_goes_away_has_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
