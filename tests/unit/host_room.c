/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which sessions a server remembers, to whom it tells them, and who has to give
 * way where there is no room. */
#include "tests/unit/market_kit.h"

static size_t listed(struct market *m, const Xn__Caller *caller)
{
    uint64_t ask = market_ask(m, "GET", "/v1/sessions", "", NULL, caller);
    Xn__Sessions *sessions =
        crank_answered(&m->h, ask, &xn__sessions__descriptor);
    size_t n = sessions->n_sessions;

    xn__sessions__free_unpacked(sessions, NULL);
    return n;
}

static void lists(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    market_begin(m, GBP);
    m->word++;
    market_begin(m, GBP);
    assert_int_equal(listed(m, &m->s.client.caller), 2);
    assert_int_equal(listed(m, &m->s.stranger.caller), 0);
    assert_int_equal(listed(m, &m->operator), 2);
    ask = market_ask(m, "GET", "/v1/sessions", "", NULL, NULL);
    assert_int_equal(market_refused(m, ask, NULL), XN_EPERM);
    ask = market_ask(m, "GET", "/v1/sessions", "after=xx", NULL, &m->operator);
    assert_int_equal(market_refused(m, ask, NULL), XN_EINVAL);
}

/* Its operator alone sees what it counts. */
static void counts(void **state)
{
    struct market *m = *state;
    static const char *const lines[] = {
        "xeno_host_offered 1\n",
        "xeno_host_capacity{token=\"MemoryMB\"} 4096.000000\n",
        "xeno_host_free{token=\"MemoryMB\"} 3584.000000\n",
        "xeno_host_sessions{state=\"running\"} 1\n",
        "xeno_host_quotes_total 1\n",
        "xeno_host_sessions_accepted_total 1\n",
        "xeno_host_sessions_refused_total 1\n",
    };
    const Xn__Answer *answer;
    struct xn_msg *msg = NULL;
    char text[8192], earned[80];
    int64_t charged;
    uint64_t ask;

    market_begin(m, 10 * GBP);
    market_pass(m, 35 * SECOND_US);
    charged = market_charged(m);
    m->word++;
    ask = market_ask_create(m); /* no such quote for that order any more */
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
    ask = market_ask(m, "GET", "/metrics", "", NULL, &m->s.client.caller);
    assert_int_equal(market_refused(m, ask, NULL), XN_EPERM);
    ask = market_ask(m, "GET", "/metrics", "", NULL, &m->operator);
    answer = crank_answer(&m->h, ask, &msg);
    assert_int_equal(answer->status, 200);
    assert_true(answer->body.len < sizeof text);
    memcpy(text, answer->body.data, answer->body.len);
    text[answer->body.len] = '\0';
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!strstr(text, lines[i])) fail_msg("%s in\n%s", lines[i], text);
    }
    assert_true(charged > 0);
    snprintf(earned, sizeof earned,
             "xeno_host_charged_total{currency=\"GBP\"} %d.%06d\n",
             (int)(charged / GBP), (int)(charged % GBP));
    if (!strstr(text, earned)) fail_msg("%s in\n%s", earned, text);
    xn_msg_free(msg);
}

static void few_are_remembered(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    m->config.sessions_max = 2;
    market_restart(m);
    market_serve(m);
    for (unsigned i = 0; i < 4; i++) {
        market_begin(m, GBP);
        market_pass(m, 15 * SECOND_US);
        if (i < 3) {
            ask = market_ask_stop(m, &m->s.client, &m->s.client);
            market_serve(m);
            xn__host_session__free_unpacked(market_session(m, ask), NULL);
        }
        m->word++;
    }
    assert_int_equal(listed(m, &m->operator), 2);
    market_restart(m);
    market_serve(m);
    assert_int_equal(listed(m, &m->operator), 2);
    market_begin(m, GBP);
    m->word++;
    market_quote(m, NULL);
    market_order(m, m->word, GBP);
    ask = market_ask_create(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EBUSY);
}

/* Who lets himself be refused pushes nobody's session out of memory. */
static void refusals_push_nothing_out(void **state)
{
    struct market *m = *state;
    Xn__HostSession *ended;
    xn_id session;
    uint64_t ask;

    m->config.sessions_max = 3;
    market_restart(m);
    market_serve(m);
    market_begin(m, GBP);
    market_pass(m, 15 * SECOND_US);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    session = m->session;
    for (unsigned i = 0; i < 5; i++) {
        m->word++;
        market_quote(m, NULL);
        market_order(m, m->word, GBP);
        deal_ask_void(&m->s, &m->d);
        shop_serve(&m->s);
        ask = market_ask_create(m);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
        market_pass(m, SECOND_US);
    }
    assert_int_equal(listed(m, &m->operator), 3);
    m->session = session;
    ended = market_look(m);
    assert_int_equal(ended->state, XN__SESSION_STATE__SESSION_ENDED);
    xn__host_session__free_unpacked(ended, NULL);
}

/* The same request again, when its session has been forgotten: the XenoCorp says
 * what it said then, and yet nothing may run on an order that is spent. */
static void forgotten_is_not_begun_again(void **state)
{
    struct market *m = *state;
    struct deal first;
    char because[300];
    uint64_t ask;
    int64_t earned;

    m->config.sessions_max = 2;
    market_restart(m);
    market_serve(m);
    m->word = 1;
    for (unsigned i = 0; i < 4; i++) {
        market_begin(m, GBP);
        market_pass(m, 2 * SECOND_US);
        ask = market_ask_stop(m, &m->s.client, &m->s.client);
        market_serve(m);
        xn__host_session__free_unpacked(market_session(m, ask), NULL);
        market_pass(m, 2 * SECOND_US);
        if (i == 0) {
            first = m->d;
            memset(&m->d, 0, sizeof m->d);
        }
        m->word++;
    }
    earned = shop_earned(&m->s, m->server);
    deal_clear(&m->d);
    m->d = first;
    for (unsigned i = 0; i < 2; i++) {
        market_restart(m);
        market_serve(m);
        m->word = 1;
        ask = market_ask_create(m);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, because), XN_ESTALE);
        assert_non_null(strstr(because, "is over"));
    }
    assert_int_equal(shop_earned(&m->s, m->server), earned);
    m->word = 9;
    market_begin(m, GBP); /* others begin as ever */
}

/* Until its record is to be stored, which the disk is too full for. */
static uint64_t create_without_room(struct market *m, bool waits)
{
    struct xn_action act;
    uint64_t ask;

    m->word++;
    market_quote(m, NULL);
    market_order(m, m->word, GBP);
    ask = market_ask_create(m);
    while (!crank_count(&m->h, XN_ACT_TXN))
        assert_true(market_serve_one(m));
    if (!waits) crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    act = crank_take(&m->h, XN_ACT_TXN);
    crank_done(&m->h, &act, XN_ENOSPC, 0, NULL);
    return ask;
}

static void a_full_disk(void **state)
{
    struct market *m = *state;
    char memory[48], cpu[48], memory_then[48], cpu_then[48];
    uint64_t ask;

    market_free(m, memory, cpu);
    ask = create_without_room(m, true);
    assert_int_equal(market_refused(m, ask, NULL), XN_ENOSPC);
    create_without_room(m, false);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    assert_int_equal(listed(m, &m->operator), 0);
    market_free(m, memory_then, cpu_then);
    assert_string_equal(memory_then, memory);
    assert_string_equal(cpu_then, cpu);
    market_begin(m, GBP);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, market_set_up, market_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(lists),
        TEST(counts),
        TEST(few_are_remembered),
        TEST(refusals_push_nothing_out),
        TEST(forgotten_is_not_begun_again),
        TEST(a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
