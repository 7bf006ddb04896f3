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

/* Requests cost nothing: one client's do not take all the places. */
static void one_client_has_two_at_once(void **state)
{
    struct market *m = *state;
    uint64_t one = brings(m, NULL), two = brings(m, NULL), ask;
    char because[300];

    m->word++; /* with the order of the second */
    ask = market_ask_create(m);
    market_serve(m);
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EBUSY);
    assert_non_null(strstr(because, "operator's word"));
    /* Who hangs up has his places until the program has answered. */
    crank_event(&m->h, XN_EV_CANCEL, one, 0, NULL);
    crank_event(&m->h, XN_EV_CANCEL, two, 0, NULL);
    ask = brings(m, NULL);
    assert_int_equal(crank_refused(&m->h, ask), XN_EBUSY);
    says(m, true, "", "");
    says(m, false, "", "");
    ask = brings(m, NULL);
    says(m, true, "", "");
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
}

/* ---- another order for a session ---- */

static uint64_t extends(struct market *m, uint8_t w)
{
    Xn__AskQuote want = XN__ASK_QUOTE__INIT;
    Xn__ExtendSession body = XN__EXTEND_SESSION__INIT;
    struct money_refusal why;
    Xn__Quoted *quoted;
    uint8_t word[32];
    ProtobufCBinaryData narrowing;
    uint64_t ask;

    market_pass(m, 1000);
    want.session = xn_id_bytes(&m->session);
    ask = market_ask(m, "POST", "/v1/quote", "", &want, &m->s.client.caller);
    market_serve(m);
    quoted = crank_answered(&m->h, ask, &xn__quoted__descriptor);
    deal_clear(&m->d);
    memset(&m->d, 0, sizeof m->d);
    assert_int_equal(money_open(MONEY_QUOTE, quoted->quote.data,
                                quoted->quote.len, m->s.anchors,
                                m->h.now.wall_us, &m->d.quote.doc, &why),
                     0);
    m->d.quote.len = quoted->quote.len;
    m->d.quote.data = malloc(quoted->quote.len);
    assert_non_null(m->d.quote.data);
    memcpy(m->d.quote.data, quoted->quote.data, quoted->quote.len);
    xn__quoted__free_unpacked(quoted, NULL);
    market_order(m, (uint8_t)(100 + w), 7 * GBP);
    memset(word, w, sizeof word);
    narrowing = shop_bytes(&m->d.narrowing);
    body.session = xn_id_bytes(&m->session);
    body.request = (ProtobufCBinaryData){sizeof word, word};
    body.order = shop_bytes(&m->d.order);
    body.quote = shop_bytes(&m->d.quote);
    body.narrowings = &narrowing;
    body.n_narrowings = 1;
    ask = market_ask(m, "POST", "/v1/sessions/extend", "", &body,
                     &m->s.client.caller);
    market_serve(m);
    return ask;
}

static void another_order_is_asked_about_too(void **state)
{
    struct market *m = *state;
    uint64_t ask = brings(m, NULL);
    const Xn__Admit *told;
    Xn__HostSession *session;
    struct xn_action act;
    char because[300];

    says(m, true, "", "");
    market_know_session(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(m->calls_validate, 1);
    ask = extends(m, 1);
    act = crank_take(&m->h, XN_ACT_ADMIT);
    told = XN_BODY(act.msg, Xn__Admit);
    assert_true(told->extends);
    assert_memory_equal(told->session.data, m->session.b, XN_ID_SIZE);
    assert_int_equal(told->amount, 7 * GBP);
    crank_done(&m->h, &act, XN_ETIMEOUT, 0, NULL);
    market_serve(m);
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EREFUSED);
    ask = extends(m, 2);
    says(m, false, "enough for today", "tomorrow");
    assert_int_equal(crank_refused_why(&m->h, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "enough for today"));
    ask = extends(m, 3);
    crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    says(m, true, "", ""); /* nobody waits for it */
    assert_int_equal(m->calls_validate, 1);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    ask = extends(m, 4);
    says(m, true, "", "");
    session = market_session(m, ask);
    assert_int_equal(session->extended, 1);
    xn__host_session__free_unpacked(session, NULL);
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
        CLOSED(one_client_has_two_at_once),
        CLOSED(another_order_is_asked_about_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
