/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions of a host agent: what they are charged, and how they end. */
#include "lib/err.h"
#include "tests/unit/market_kit.h"

/* ---- claims ---- */

static void charges_what_was_used(void **state)
{
    /* an hour: 0.1 + 3600 x 0.0001 + 512 x 0.00001 */
    const int64_t hour = 100000 + 360000 + 5120;
    struct market *m = *state;
    int64_t charged;
    uint64_t ask;

    market_begin(m, 10 * GBP);
    market_pass(m, HOUR_US);
    charged = market_charged(m);
    assert_in_range(charged, hour - 2 * hour / 360, hour);
    assert_true(m->calls_charge >= 355);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(market_charged(m), hour - 100, hour);
    assert_int_equal(deal_fate(&m->s, &m->d, NULL),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(shop_balance(&m->s), 1000LL * GBP - market_charged(m));
    shop_audit(&m->s);
}

static void claims_late_but_once(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    market_begin(m, 10 * GBP);
    market_pass(m, 25 * SECOND_US);
    assert_int_equal(m->calls_charge, 2);
    m->lose_back = 100; /* it takes them, and the host does not hear of it */
    market_pass(m, 600 * SECOND_US);
    assert_true(m->calls_charge > 8);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 100 * SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDING);
    market_restart(m);
    market_pass(m, 10 * SECOND_US);
    m->lose_back = 0;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    /* 625 s at 0.465120 GBP an hour */
    assert_in_range(market_charged(m), 80748, 80752);
    shop_audit(&m->s);
}

static void warns_pauses_ends(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    unsigned warned = 100, seen = 0;
    bool paused = false;

    market_begin(m, 30000); /* some 232 s */
    for (unsigned i = 0; i < 40; i++) {
        market_pass(m, 10 * SECOND_US);
        session = market_look(m);
        if (session->warned && session->warned < warned) {
            warned = session->warned;
            seen++;
        }
        paused |= session->state == XN__SESSION_STATE__SESSION_PAUSED;
        xn__host_session__free_unpacked(session, NULL);
    }
    assert_int_equal(seen, 3);
    assert_true(paused);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->reason, "the order is spent");
    assert_int_equal(session->rc, XN_EMONEY);
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(market_charged(m), 30000);
    assert_int_equal(deal_fate(&m->s, &m->d, NULL),
                     XN__ORDER_FATE__CLOSED_ORDER);
}

static void waits_for_the_next_hour(void **state)
{
    struct market *m = *state;
    struct money_limits *limits = &m->d.narrowing.doc.narrowing.limits;
    Xn__HostSession *session;
    uint64_t ask;

    market_quote(m, WANT("<QoS><CPUsmps>1000</CPUsmps></QoS>"));
    market_order(m, 1, 10 * GBP);
    limits->most_per_hour = 100000; /* of some 0.46 an hour */
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, HOUR_US / 2);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_PAUSED);
    assert_int_equal(market_charged(m), 100000);
    market_restart(m);
    market_pass(m, HOUR_US / 4);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_PAUSED);
    market_pass(m, HOUR_US / 4 + 60 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    market_pass(m, HOUR_US / 2);
    assert_int_equal(market_charged(m), 200000);
    session = market_look(m);
    assert_non_null(strstr(session->reason, "hour"));
    xn__host_session__free_unpacked(session, NULL);
}

static void ends_with_the_order(void **state)
{
    struct market *m = *state;
    struct money_limits *limits = &m->d.narrowing.doc.narrowing.limits;
    uint64_t ask;

    market_quote(m, NULL);
    market_order(m, 1, 10 * GBP);
    limits->until_us = m->h.now.wall_us + 95 * SECOND_US;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 60 * SECOND_US);
    m->corp_down = true; /* so the last claim comes behind the end */
    market_pass(m, 240 * SECOND_US);
    m->corp_down = false;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    /* 95 s of 0.1 GBP/h, 100 ms/s and 64 MB: 2638 + 950 + 16 */
    assert_in_range(market_charged(m), 3600, 3606);
}

/* ---- ends ---- */

static void only_the_holder_stops(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    market_begin(m, 10 * GBP);
    ask = market_ask_stop(m, &m->s.stranger, &m->s.stranger);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_ENOENT);
    ask = market_ask_stop(m, &m->s.stranger, &m->s.client);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EINTEGRITY);
    m->d.narrowing.doc.head.hash.b[0] ^= 1;
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EINTEGRITY);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    m->d.narrowing.doc.head.hash.b[0] ^= 1;
    /* The operator's word alone does; again is the same. */
    ask = market_ask_stop(m, &m->s.client, m->server);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
}

/* The client told the corp alone: what was used before it is claimed, nearly
 * all, and nothing behind it. */
static void stopped_at_the_corp(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    struct xn_msg *msg = NULL;
    uint64_t ask;

    m->config.charge_us = 100 * SECOND_US;
    market_restart(m);
    market_serve(m);
    market_begin(m, 10 * GBP);
    market_pass(m, 250 * SECOND_US);
    assert_int_equal(m->calls_charge, 2);
    ask = deal_ask_stop(&m->s, &m->d);
    shop_serve(&m->s);
    assert_int_equal(crank_answer(&m->s.c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    market_pass(m, 200 * SECOND_US);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_non_null(strstr(session->reason, "stopped"));
    xn__host_session__free_unpacked(session, NULL);
    /* 200 s are sure, 252 s are most */
    assert_in_range(market_charged(m), 129200LL * 200 / 1000 - 10,
                    129200LL * 252 / 1000 + 10);
    assert_true(market_charged(m) > 129200LL * 220 / 1000);
    assert_int_equal(deal_fate(&m->s, &m->d, NULL),
                     XN__ORDER_FATE__CLOSED_ORDER);
}

static void refused_claims(void **state)
{
    static const struct {
        const char *reason;
        int rc;
        bool ends;
    } rows[] = {
        {"CLAIM_TWICE", XN_EINTEGRITY, true},
        {"CLAIM_GAP", XN_ESTALE, true},
        {"CLAIM_OLD", XN_ESTALE, true},
        {"CLAIM_PRICE", XN_EINTEGRITY, true},
        {"CLAIM_RATE", XN_EMONEY, false},
        {"CLAIM_DATE", XN_EMONEY, false},
        {"CERTIFICATE", XN_EEXPIRED, false},
        {NULL, XN_EPERM, false},
        {NULL, XN_EBUSY, false},
        {"NO_SUCH_REASON", XN_EINTEGRITY, false},
        {"STRANGER", XN_EIDENT, false},
        {"SIGNER", XN_EINTEGRITY, false},
        {"CLAIM_SESSION", XN_EINTEGRITY, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct market *m = market_open(NULL, "0.1");
        Xn__HostSession *session;
        struct xn_action call;

        market_begin(m, 10 * GBP);
        crank_pass(&m->h, 10 * SECOND_US);
        market_serve_but_calls(m);
        call = market_take_call(m, "/v1/charge");
        market_say_refusal(m, &call, rows[i].rc, rows[i].reason);
        m->s.c.now = m->h.now;
        market_pass(m, 3 * SECOND_US);
        session = market_look(m);
        if (rows[i].ends) {
            assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
            assert_int_equal(session->rc, rows[i].rc);
            assert_string_equal(session->reason, "so it is");
        } else {
            assert_int_equal(session->state,
                             XN__SESSION_STATE__SESSION_RUNNING);
            assert_true(session->charged > 0);
        }
        xn__host_session__free_unpacked(session, NULL);
        market_close(m);
    }
}

/* Refused each time, whatever it is: how often, until it is over? */
static unsigned refuse_all(struct market *m, int rc, const char *reason,
                           unsigned *running_out)
{
    unsigned n = 0;

    for (*running_out = 0; n < 200; n++) {
        struct xn_action call;
        Xn__HostSession *session;

        for (unsigned i = 0; i < 8 && !market_has_call(m, "/v1/charge"); i++) {
            crank_pass(&m->h, 10 * SECOND_US);
            market_serve_but_calls(m);
        }
        if (!market_has_call(m, "/v1/charge")) break;
        call = market_take_call(m, "/v1/charge");
        market_say_refusal(m, &call, rc, reason);
        market_serve_but_calls(m);
        session = market_look(m);
        if (session->state == XN__SESSION_STATE__SESSION_RUNNING)
            ++*running_out;
        xn__host_session__free_unpacked(session, NULL);
    }
    return n;
}

/* No claim is taken, for no reason of the claim's: nothing runs on unpaid, and
 * nobody asks for ever. */
static void refused_for_ever(void **state)
{
    static const struct {
        const char *reason;
        int rc;
    } rows[] = {
        {NULL, XN_EPERM},
        {"NO_SUCH_REASON", XN_EINTEGRITY},
        {"CERTIFICATE", XN_EEXPIRED},
        {"STRANGER", XN_EIDENT},
        {"SIGNER", XN_EINTEGRITY},
        {"CLAIM_SESSION", XN_EINTEGRITY},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct market *m = market_open(NULL, "0.1");
        Xn__HostSession *session;
        unsigned running, n;

        market_begin(m, 10 * GBP);
        n = refuse_all(m, rows[i].rc, rows[i].reason, &running);
        assert_in_range(running, 8, 32);
        assert_in_range(n, 40, 160);
        session = market_look(m);
        assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
        assert_int_equal(session->rc, rows[i].rc);
        assert_string_equal(session->reason, "so it is");
        assert_string_equal(session->trouble, "so it is");
        assert_int_equal(session->charged, 0);
        xn__host_session__free_unpacked(session, NULL);
        market_close(m);
    }
}

/* The corp says that its books are broken: nothing runs on unpaid, but what was
 * used is claimed until they are mended. */
static void broken_books(void **state)
{
    struct market *m = market_open(NULL, "0.1");
    Xn__HostSession *session;
    unsigned running;

    market_begin(m, 10 * GBP);
    assert_int_equal(refuse_all(m, XN_EINTEGRITY, NULL, &running), 200);
    assert_in_range(running, 8, 32);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDING);
    assert_string_equal(session->trouble, "so it is");
    assert_int_equal(session->charged, 0);
    xn__host_session__free_unpacked(session, NULL);
    m->s.c.now = m->h.now;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_true(market_charged(m) > 0);
    market_close(m);
}

/* What it then says of the claim is heard for as long as if it had said nothing
 * before. */
static void mended_books_refuse(void **state)
{
    struct market *m = *state;
    unsigned running;

    market_begin(m, 10 * GBP);
    assert_int_equal(refuse_all(m, XN_EINTEGRITY, NULL, &running), 200);
    assert_in_range(refuse_all(m, XN_EPERM, NULL, &running), 40, 160);
    assert_int_equal(running, 0);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, market_set_up, market_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(charges_what_was_used), TEST(claims_late_but_once),
        TEST(warns_pauses_ends),     TEST(waits_for_the_next_hour),
        TEST(ends_with_the_order),   TEST(only_the_holder_stops),
        TEST(stopped_at_the_corp),   TEST(refused_claims),
        TEST(refused_for_ever),      cmocka_unit_test(broken_books),
        TEST(mended_books_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
