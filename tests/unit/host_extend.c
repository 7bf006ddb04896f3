/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions of a host agent that get another order: it is accepted and takes
 * over once, whatever dies or is lost, and all that is used is paid under one
 * or the other. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/task_kit.h"

#define PATH "/v1/sessions/extend"
/* 0.1 + 3600 x 0.0001 + 512 x 0.00001 */
#define HOUR (100000 + 360000 + 5120)

/* m->d becomes the next order, for its session; what it was is returned. */
static struct deal next_order(struct market *m, uint8_t word, int64_t amount)
{
    struct deal before = m->d;
    Xn__AskQuote body = XN__ASK_QUOTE__INIT;
    struct money_refusal why;
    Xn__Quoted *quoted;
    uint64_t ask;

    market_pass(m, 1000); /* an acceptance is later than the one before */
    memset(&m->d, 0, sizeof m->d);
    body.session = xn_id_bytes(&m->session);
    ask = market_ask(m, "POST", "/v1/quote", "", &body, &m->s.client.caller);
    market_serve_but_calls(m);
    quoted = crank_answered(&m->h, ask, &xn__quoted__descriptor);
    if (money_open(MONEY_QUOTE, quoted->quote.data, quoted->quote.len,
                   m->s.anchors, m->h.now.wall_us, &m->d.quote.doc, &why)) {
        fail_msg("%s", why.text);
    }
    m->d.quote.len = quoted->quote.len;
    m->d.quote.data = malloc(quoted->quote.len);
    assert_non_null(m->d.quote.data);
    memcpy(m->d.quote.data, quoted->quote.data, quoted->quote.len);
    xn__quoted__free_unpacked(quoted, NULL);
    market_order(m, word, amount);
    return before;
}

static uint64_t ask_by(struct market *m, const struct deal *d, uint8_t w,
                       const Xn__Caller *caller)
{
    Xn__ExtendSession body = XN__EXTEND_SESSION__INIT;
    ProtobufCBinaryData narrowing = shop_bytes(&d->narrowing);
    uint8_t word[32];

    memset(word, w, sizeof word);
    body.session = xn_id_bytes(&m->session);
    body.request = (ProtobufCBinaryData){sizeof word, word};
    body.order = shop_bytes(&d->order);
    body.quote = shop_bytes(&d->quote);
    body.narrowings = &narrowing;
    body.n_narrowings = 1;
    return market_ask(m, "POST", PATH, "", &body, caller);
}

static uint64_t ask_extend(struct market *m, uint8_t w)
{
    return ask_by(m, &m->d, w, &m->s.client.caller);
}

static void is_extended(struct market *m, uint64_t ask, unsigned times)
{
    Xn__HostSession *session = market_session(m, ask);
    xn_id serial;

    assert_int_equal(session->extended, times);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    assert_int_equal(xn_id_from_bytes(&session->serial, &serial), 0);
    assert_true(xn_id_eq(&serial, &m->d.serial));
    xn__host_session__free_unpacked(session, NULL);
}

static void extend(struct market *m, uint8_t w, unsigned times)
{
    uint64_t ask = ask_extend(m, w);

    market_serve(m);
    is_extended(m, ask, times);
}

static int64_t charged_in_all(struct market *m)
{
    Xn__HostSession *session = market_look(m);
    int64_t charged = session->before + session->charged;

    xn__host_session__free_unpacked(session, NULL);
    assert_true(charged == shop_earned(&m->s, m->server));
    return charged;
}

static void stop(struct market *m)
{
    uint64_t ask = market_ask_stop(m, &m->s.client, &m->s.client);

    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
}

static void is_closed(struct market *m, const struct deal *d)
{
    int64_t fenced = -1;

    assert_int_equal(deal_fate(&m->s, d, &fenced),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
}

static void all_is_settled(struct market *m)
{
    assert_int_equal(shop_balance(&m->s), 1000LL * GBP - charged_in_all(m));
    shop_audit(&m->s);
}

/* ---- it takes over ---- */

static void pays_on_under_another_order(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    struct deal first;

    market_begin(m, GBP);
    market_pass(m, HOUR_US / 2);
    first = next_order(m, 77, 3 * GBP);
    extend(m, 1, 1);
    is_closed(m, &first); /* its rest is back at once */
    session = market_look(m);
    assert_true(session->amount == 3 * GBP);
    assert_in_range(session->before, HOUR / 2 - 10, HOUR / 2 + 10);
    assert_int_equal(session->charged, 0);
    xn__host_session__free_unpacked(session, NULL);
    market_pass(m, HOUR_US / 2);
    stop(m);
    /* Neither a gap nor anything twice. */
    assert_in_range(charged_in_all(m), HOUR - 2, HOUR + 2);
    is_closed(m, &m->d);
    all_is_settled(m);
    deal_clear(&first);
}

static void the_same_again_is_one(void **state)
{
    struct market *m = *state;
    struct deal first;
    uint64_t one, two;
    char because[300];

    market_begin(m, GBP);
    first = next_order(m, 77, 3 * GBP);
    one = ask_extend(m, 1);
    two = ask_extend(m, 1);
    assert_int_equal(market_refused(m, one, because), XN_EUNKNOWN);
    assert_string_equal(because, "asked again over another connection");
    market_serve(m);
    is_extended(m, two, 1);
    one = ask_extend(m, 1);
    is_extended(m, one, 1);
    assert_int_equal(m->calls_validate, 2);
    /* Another word: the XenoCorp has that order bound. */
    one = ask_extend(m, 2);
    market_serve(m);
    assert_int_equal(market_refused(m, one, NULL), XN_EMONEY);
    stop(m);
    one = ask_extend(m, 1);
    xn__host_session__free_unpacked(market_session(m, one), NULL);
    all_is_settled(m);
    deal_clear(&first);
}

static void an_order_of_before_does_not_come_back(void **state)
{
    struct market *m = *state;
    struct deal first, second;
    char because[300];
    uint64_t ask;

    market_begin(m, GBP);
    first = next_order(m, 77, 2 * GBP);
    extend(m, 1, 1);
    market_pass(m, 60 * SECOND_US);
    second = next_order(m, 78, 3 * GBP);
    extend(m, 2, 2);
    ask = ask_by(m, &second, 1, &m->s.client.caller);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_ESTALE);
    assert_string_equal(because, "its order has paid for this session before");
    market_pass(m, 60 * SECOND_US);
    stop(m);
    all_is_settled(m);
    deal_clear(&first);
    deal_clear(&second);
}

/* Spent, and paused: it goes on, and what is left is reckoned anew. */
static void goes_on_after_it_was_spent(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    struct deal first;

    market_begin(m, 30000); /* some 232 s */
    while (market_state(m) == XN__SESSION_STATE__SESSION_RUNNING)
        market_pass(m, SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_PAUSED);
    first = next_order(m, 77, GBP);
    extend(m, 1, 1);
    session = market_look(m);
    assert_int_equal(session->warned, 0);
    assert_string_equal(session->reason, "");
    assert_true(session->before == 30000);
    xn__host_session__free_unpacked(session, NULL);
    market_pass(m, 600 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    stop(m);
    assert_in_range(charged_in_all(m), 30000 + HOUR / 6 - 5,
                    30000 + HOUR / 6 + 5);
    is_closed(m, &first);
    all_is_settled(m);
    deal_clear(&first);
}

/* The order's end is the session's: the new one's. */
static void lasts_as_long_as_the_new_order(void **state)
{
    struct market *m = *state;
    struct deal first;
    uint64_t ask;

    market_quote(m, SMALL);
    market_order(m, m->word, GBP);
    m->d.narrowing.doc.narrowing.limits.until_us =
        m->h.now.wall_us + 60 * SECOND_US;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 55 * SECOND_US);
    first = next_order(m, 77, 50 * GBP);
    extend(m, 1, 1);
    market_pass(m, 600 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    stop(m);
    all_is_settled(m);
    deal_clear(&first);
}

static void has_no_set_up_twice(void **state)
{
    struct market *m = market_open("0.5", "0.1");
    struct deal first;
    uint64_t ask;

    market_begin(m, 2 * GBP);
    market_pass(m, HOUR_US / 2);
    first = next_order(m, 77, 3 * GBP);
    assert_true(m->d.quote.doc.quote.prices.setup.v == 0);
    assert_true(xn_id_eq(&m->d.quote.doc.quote.session, &m->session));
    /* But it makes no new session without one. */
    m->word++;
    ask = market_ask_create(m);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
    m->word--;
    extend(m, 1, 1);
    market_pass(m, HOUR_US / 2);
    stop(m);
    assert_in_range(charged_in_all(m), 500000 + HOUR - 3, 500000 + HOUR + 3);
    all_is_settled(m);
    deal_clear(&first);
    market_close(m);
}

/* ---- its task lives on ---- */

static void tells_its_task(void **state)
{
    struct market *m = *state;
    struct deal first;
    uint64_t until_us;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(dom_last(&m->dom)->life_ms, 0);
    first = next_order(m, 77, 3 * GBP);
    until_us = m->h.now.wall_us + 20 * HOUR_US;
    m->d.narrowing.doc.narrowing.limits.until_us = until_us;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    extend(m, 1, 1);
    assert_int_equal(dom_last(&m->dom)->life_ms,
                     60000 + (until_us - dom_last(&m->dom)->started_us) / 1000);
    /* An agent that begins anew cannot know that it was told. */
    dom_last(&m->dom)->life_ms = 0;
    market_restart(m);
    market_pass(m, 30 * SECOND_US);
    assert_true(dom_last(&m->dom)->life_ms > 0);
    assert_int_equal(dom_live(&m->dom), 1);
    deal_clear(&first);
}

/* The order is accepted, and the XenoCorp gone before the last claim of the one
 * before: the task need not end with that. */
static void tells_its_task_at_once(void **state)
{
    struct market *m = *state;
    struct deal first, second;
    struct xn_action call;
    uint64_t until_us, ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    first = next_order(m, 77, 3 * GBP);
    m->d.narrowing.doc.narrowing.limits.until_us = m->h.now.wall_us + HOUR_US;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    extend(m, 1, 1);
    second = next_order(m, 78, 3 * GBP);
    until_us = m->h.now.wall_us + 20 * HOUR_US;
    m->d.narrowing.doc.narrowing.limits.until_us = until_us;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask_extend(m, 2);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    m->corp_down = true;
    market_carry(m, &call);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(dom_last(&m->dom)->life_ms,
                     60000 + (until_us - dom_last(&m->dom)->started_us) / 1000);
    m->corp_down = false;
    market_pass(m, 120 * SECOND_US);
    ask = ask_extend(m, 2);
    is_extended(m, ask, 2);
    deal_clear(&first);
    deal_clear(&second);
}

/* Its order is spent, and another, which is void, is brought while that is being
 * recorded: the task stands at once. */
static void stands_still_all_the_same(void **state)
{
    struct market *m = *state;
    struct deal first;
    uint64_t ask;
    uint8_t w = 1;

    market_begin(m, 1000);
    tasks_run(m, 1, false);
    first = next_order(m, 77, GBP);
    ask = deal_ask_void(&m->s, &m->d);
    shop_serve(&m->s);
    xn__order_status__free_unpacked(
        crank_answered(&m->s.c, ask, &xn__order_status__descriptor), NULL);
    for (unsigned i = 0; i < 60 && !m->dom.pauses; i++) {
        crank_pass(&m->h, SECOND_US);
        crank_pass(&m->s.c, SECOND_US);
        if (!crank_count(&m->h, XN_ACT_DOMAIN)) {
            market_serve(m);
            continue;
        }
        ask = ask_extend(m, w++);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
        if (market_state(m) == XN__SESSION_STATE__SESSION_PAUSED) break;
    }
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_PAUSED);
    assert_int_equal(dom_last(&m->dom)->state, XN__TASK_STATE__PAUSED);
    deal_clear(&first);
}

/* CPU time of before is not claimed again, though there was time for it. */
static void pays_cpu_time_once(void **state)
{
    /* 2000 s of memory and hours, 50 s of CPU */
    const int64_t all = (100000 + 5120) * 2000 / 3600 + 50 * 100;
    struct market *m = *state;
    struct deal first;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 900 * SECOND_US);
    dom_burn(&m->dom, 50 * 1000000000ULL);
    market_pass(m, 100 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    extend(m, 1, 1);
    market_pass(m, 1000 * SECOND_US);
    stop(m);
    assert_in_range(charged_in_all(m), all - 3, all + 3);
    all_is_settled(m);
    deal_clear(&first);
}

/* The last claim came too late and is made again, for less: what was used since
 * is the other order's. */
static void divides_it_once(void **state)
{
    struct market *m = *state;
    struct xn_action call;
    struct deal first;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 1000 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    ask_extend(m, 1);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    market_carry(m, &call);
    market_serve_but_calls(m);
    dom_burn(&m->dom, 50 * 1000000000ULL);
    call = market_take_call(m, "/v1/charge");
    market_say_refusal(m, &call, XN_EMONEY, "CLAIM_ENDED");
    market_serve(m);
    market_pass(m, 100 * SECOND_US);
    stop(m);
    assert_in_range(charged_in_all(m),
                    (100000 + 5120) * 1090 / 3600 + 50 * 100 - 3,
                    (100000 + 5120) * 1100 / 3600 + 50 * 100 + 3);
    is_closed(m, &first);
    all_is_settled(m);
    deal_clear(&first);
}

/* ---- whatever dies ---- */

/* Killed after so many actions, done or not; the client asks again.  false: it
 * was over before. */
static bool killed_at(unsigned at, bool finishes)
{
    struct market *m = market_open_sandbox(NULL, "0.1");
    struct deal first;
    bool struck = true;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 100 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    ask = ask_extend(m, 1);
    for (unsigned i = 0; i < at && struck; i++)
        struck = market_serve_one(m);
    if (struck) {
        if (finishes) market_finish_pending(m);
        market_restart(m);
        market_pass(m, 20 * SECOND_US);
        ask = ask_extend(m, 1);
        market_pass(m, 20 * SECOND_US);
    }
    is_extended(m, ask, 1);
    assert_int_equal(dom_live(&m->dom), 1);
    is_closed(m, &first);
    market_pass(m, 100 * SECOND_US);
    stop(m);
    assert_int_equal(dom_live(&m->dom), 0);
    is_closed(m, &m->d);
    all_is_settled(m);
    deal_clear(&first);
    market_close(m);
    return struck;
}

static void whatever_dies(void **state)
{
    unsigned at;

    for (at = 0; killed_at(at, false); at++)
        (void)killed_at(at, true);
    assert_in_range(at, 10, 30);
}

static void whatever_is_lost(void **state)
{
    struct market *m = *state;
    struct deal before;

    m->lose_there = m->lose_back = 30;
    m->twice = 20;
    market_begin(m, 10 * GBP);
    for (uint8_t i = 1; i <= 5; i++) {
        uint64_t ask;

        market_pass(m, 600 * SECOND_US);
        before = next_order(m, (uint8_t)(100 + i), 10 * GBP);
        ask_extend(m, i);
        market_pass(m, 200 * SECOND_US);
        ask = ask_extend(m, i);
        market_pass(m, 20 * SECOND_US);
        is_extended(m, ask, i);
        is_closed(m, &before);
        deal_clear(&before);
    }
    m->lose_there = m->lose_back = 0;
    market_pass(m, 200 * SECOND_US);
    stop(m);
    all_is_settled(m);
}

/* ---- a XenoCorp that is not there ---- */

static void nobody_knows_for_a_while(void **state)
{
    struct market *m = *state;
    struct deal first;
    char because[300];
    uint64_t ask;

    market_begin(m, GBP);
    market_pass(m, 5 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    m->corp_down = true;
    ask = ask_extend(m, 1);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EUNKNOWN);
    assert_string_equal(because, "the XenoCorp has not answered in time");
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    m->corp_down = false;
    market_pass(m, 120 * SECOND_US);
    ask = ask_extend(m, 1);
    is_extended(m, ask, 1);
    stop(m);
    is_closed(m, &first);
    all_is_settled(m);
    deal_clear(&first);
}

/* Accepted, and the session ends before its own order has had its last claim:
 * all that it used is paid, and neither order keeps anything back. */
static void ends_in_between(void **state)
{
    struct market *m = *state;
    struct xn_action call;
    struct deal first;
    uint64_t ask;

    market_begin(m, GBP);
    market_pass(m, 100 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    ask_extend(m, 1);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    m->corp_down = true;
    market_carry(m, &call);
    market_pass(m, 450 * SECOND_US);
    market_restart(m);
    market_pass(m, 450 * SECOND_US);
    /* Either order's stop is heard. */
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 60 * SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    m->corp_down = false;
    market_pass(m, 300 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(charged_in_all(m), HOUR * 1000 / 3600 - 3,
                    HOUR * 1000 / 3600 + 3);
    is_closed(m, &first);
    is_closed(m, &m->d);
    all_is_settled(m);
    deal_clear(&first);
}

/* Stopped while nobody knew whether the other order was accepted: it pays for
 * nothing. */
static void ends_before_it_is_known(void **state)
{
    struct market *m = *state;
    struct deal first, second;
    uint64_t ask;

    market_begin(m, GBP);
    market_pass(m, 100 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    m->lose_back = 100;
    ask_extend(m, 1);
    market_pass(m, 60 * SECOND_US);
    second = m->d;
    m->d = first;
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 60 * SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDING);
    m->lose_back = 0;
    market_pass(m, 300 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    is_closed(m, &first);
    is_closed(m, &second);
    all_is_settled(m);
    deal_clear(&second);
}

/* The old order was stopped at the XenoCorp alone: what was used after that is
 * paid by neither. */
static void stopped_at_the_corp_in_between(void **state)
{
    struct market *m = *state;
    struct deal first, second;
    struct xn_action call;
    uint64_t ask;

    market_begin(m, GBP);
    market_pass(m, 100 * SECOND_US);
    first = next_order(m, 77, 3 * GBP);
    ask = deal_ask_stop(&m->s, &first);
    shop_serve(&m->s);
    xn__charged__free_unpacked(
        crank_answered(&m->s.c, ask, &xn__charged__descriptor), NULL);
    crank_pass(&m->h, 9 * SECOND_US);
    crank_pass(&m->s.c, 9 * SECOND_US);
    second = m->d;
    ask_extend(m, 1);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    m->corp_down = true;
    market_carry(m, &call);
    market_pass(m, 300 * SECOND_US);
    m->corp_down = false;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_true(charged_in_all(m) <= HOUR * 103 / 3600);
    is_closed(m, &first);
    is_closed(m, &second);
    all_is_settled(m);
    deal_clear(&first);
}

/* ---- refusals ---- */

static void is_refused(struct market *m, uint64_t ask, int rc,
                       const char *because)
{
    char got[300];

    market_serve(m);
    assert_int_equal(market_refused(m, ask, got), rc);
    assert_string_equal(got, because);
}

static void refuses(void **state)
{
    struct market *m = *state;
    Xn__ExtendSession body = XN__EXTEND_SESSION__INIT;
    struct deal first;
    xn_id other = {{9}}, was;
    uint64_t ask;

    market_quote(m, SMALL);
    market_order(m, m->word, 10 * GBP);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    market_know_session(m);
    is_refused(m, ask_extend(m, 1), XN_ENOTYET,
               "the session has not begun yet");
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    /* A quote for a new one. */
    first = m->d;
    memset(&m->d, 0, sizeof m->d);
    market_quote(m, SMALL);
    market_order(m, 77, GBP);
    is_refused(m, ask_extend(m, 1), XN_EMONEY,
               "the quote is not one to extend this session");
    /* Another's, and none. */
    is_refused(m, ask_by(m, &m->d, 1, &m->s.stranger.caller), XN_ENOENT,
               "you have no such session here");
    was = m->session;
    m->session = other;
    is_refused(m, ask_extend(m, 1), XN_ENOENT, "you have no such session here");
    m->session = was;
    /* Malformed. */
    is_refused(m, market_ask(m, "POST", PATH, "", &body, &m->s.client.caller),
               XN_EINVAL, "a session's id is 32 bytes");
    is_refused(m, ask_extend(m, 0), XN_EINVAL,
               "a request's name is 32 bytes, not all zero");
    deal_clear(&first);
}

static void refuses_what_does_not_fit(void **state)
{
    struct market *m = *state;
    struct deal first, second;
    struct xn_action act;
    uint64_t ask, late;

    market_begin(m, GBP);
    first = next_order(m, 77, 3 * GBP);
    ask = ask_extend(m, 1);
    act = crank_take(&m->h, XN_ACT_VERIFY);
    crank_done(&m->h, &act, XN_ETIMEOUT, 0, NULL);
    is_refused(m, ask, XN_ETIMEOUT, "nobody could look at the papers");
    /* Another while one is under way. */
    ask = ask_extend(m, 1);
    is_refused(m, ask_extend(m, 2), XN_EBUSY,
               "another order for it is under way");
    is_extended(m, ask, 1);
    /* One that its holder took back meanwhile. */
    second = next_order(m, 78, GBP);
    ask = deal_ask_void(&m->s, &m->d);
    shop_serve(&m->s);
    xn__order_status__free_unpacked(
        crank_answered(&m->s.c, ask, &xn__order_status__descriptor), NULL);
    is_refused(m, ask_extend(m, 3), XN_EMONEY, "its holder made it void");
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    /* It ends while the papers are looked at; it has ended. */
    deal_clear(&m->d);
    m->d = second;
    late = ask_extend(m, 4);
    act = crank_take(&m->h, XN_ACT_VERIFY);
    ask = market_ask(m, "GET", "/v1/status", "", NULL, &m->operator);
    stop(m);
    crank_done(&m->h, &act, XN_EINTEGRITY, 0, NULL);
    market_serve(m);
    assert_true(market_refused(m, late, NULL) != 0);
    is_refused(m, ask_extend(m, 5), XN_EREFUSED,
               "the session has ended: stopped by the client");
    deal_clear(&first);
}

static void refuses_who_asks_too_often(void **state)
{
    struct market *m = *state;
    char because[300];
    int rc = XN_EMONEY;

    market_begin(m, GBP);
    for (unsigned i = 1; i < 60 && rc == XN_EMONEY; i++) {
        uint64_t ask =
            ask_extend(m, (uint8_t)i); /* with a quote for a new one */

        market_serve(m);
        rc = market_refused(m, ask, because);
    }
    assert_int_equal(rc, XN_EBUSY);
    assert_string_equal(because, "more is asked than this server answers");
}

static void refuses_where_it_is_withdrawn(void **state)
{
    struct market *m = *state;
    struct deal first;

    market_begin(m, GBP);
    first = next_order(m, 77, 3 * GBP);
    market_ask(m, "POST", "/v1/withdraw", "", NULL, &m->operator);
    market_serve(m);
    is_refused(m, ask_extend(m, 1), XN_EREFUSED,
               "its operator has withdrawn this server");
    deal_clear(&first);
}

static void quotes_for_its_holder_alone(void **state)
{
    struct market *m = *state;
    Xn__AskQuote body = XN__ASK_QUOTE__INIT;
    char want[] = WANT("");

    market_begin(m, GBP);
    body.session = xn_id_bytes(&m->session);
    is_refused(
        m, market_ask(m, "POST", "/v1/quote", "", &body, &m->s.stranger.caller),
        XN_ENOENT, "you have no such session here");
    body.requirements = (ProtobufCBinaryData){sizeof want - 1, (uint8_t *)want};
    is_refused(
        m, market_ask(m, "POST", "/v1/quote", "", &body, &m->s.client.caller),
        XN_EINVAL, "a session's id is 32 bytes, and it has what it has");
    body.requirements.len = 0;
    stop(m);
    is_refused(
        m, market_ask(m, "POST", "/v1/quote", "", &body, &m->s.client.caller),
        XN_EREFUSED, "the session does not run");
}

#define CASE(test)                                                             \
    cmocka_unit_test_setup_teardown(test, market_set_up, market_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pays_on_under_another_order),
        CASE(the_same_again_is_one),
        CASE(an_order_of_before_does_not_come_back),
        CASE(goes_on_after_it_was_spent),
        CASE(lasts_as_long_as_the_new_order),
        cmocka_unit_test(has_no_set_up_twice),
        cmocka_unit_test_setup_teardown(tells_its_task, tasks_set_up,
                                        market_tear_down),
        cmocka_unit_test_setup_teardown(tells_its_task_at_once, tasks_set_up,
                                        market_tear_down),
        cmocka_unit_test_setup_teardown(stands_still_all_the_same, tasks_set_up,
                                        market_tear_down),
        cmocka_unit_test_setup_teardown(pays_cpu_time_once, tasks_set_up,
                                        market_tear_down),
        cmocka_unit_test_setup_teardown(divides_it_once, tasks_set_up,
                                        market_tear_down),
        cmocka_unit_test(whatever_dies),
        CASE(whatever_is_lost),
        CASE(nobody_knows_for_a_while),
        CASE(ends_in_between),
        CASE(ends_before_it_is_known),
        CASE(stopped_at_the_corp_in_between),
        CASE(refuses),
        CASE(refuses_what_does_not_fit),
        CASE(refuses_who_asks_too_often),
        CASE(refuses_where_it_is_withdrawn),
        CASE(quotes_for_its_holder_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
