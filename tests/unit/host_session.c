/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host agent sells: quotes and sessions; most of it beside a real XenoCorp, the
 * dishonest one by hand. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"

/* ---- quotes ---- */

static void quotes_what_is_wanted(void **state)
{
    struct market *m = *state;
    const struct money_quote *q = &m->d.quote.doc.quote;

    market_quote(m, WANT("<Basic><EnvType>NetBSD</EnvType></Basic><QoS>"
                         "<CPUsmps>150</CPUsmps></QoS><Resources><MemoryMB>512"
                         "</MemoryMB><DiskGB>2</DiskGB></Resources>"
                         "<Country>GB</Country>"));
    assert_string_equal(q->env_type, "NetBSD");
    assert_true(q->rates.cpu_smps.v == xn_dec_int(150).v);
    assert_true(q->rates.memory_mb.v == xn_dec_int(512).v);
    assert_true(q->rates.disk_gb.v == xn_dec_int(2).v);
    assert_true(q->rates.net_mbps.v == 0);
    assert_int_equal(q->metering, MONEY_RESERVED);
    assert_string_equal(q->currency, "GBP");
    assert_true(q->until_us == m->h.now.wall_us + 300 * SECOND_US);
    assert_true(q->version == NOW_US);
    assert_true(xn_id_eq(&q->head.by, &m->server->id));
    market_quote(m, NULL);
    assert_string_equal(q->env_type, "Linux");
    assert_true(q->rates.memory_mb.v > 0);
}

static void no_quote(void **state)
{
    static const struct {
        const char *want;
        int rc;
        const char *because;
    } rows[] = {
        {WANT("<Resources><MemoryMB>5000</MemoryMB></Resources>"), XN_EREFUSED,
         "MemoryMB: 5000 asked, 4096 free"},
        {WANT("<EnvType>Plan9</EnvType>"), XN_EREFUSED, "Plan9"},
        {WANT("<Country>FR</Country>"), XN_EREFUSED, "FR"},
        {WANT("<Job>time=10h</Job><Budget currency=\"GBP\">0.5</Budget>"),
         XN_EREFUSED, "does not meet"},
        {WANT("<Resources><MemoryMB>many</MemoryMB></Resources>"), XN_ESCHEMA,
         "MemoryMB"},
        {"<Other/>", XN_ESCHEMA, "root"},
        {"no XML", XN_EINVAL, "requirements"},
    };
    struct market *m = *state;
    char because[300];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ask = market_ask_quote(m, rows[i].want, &m->s.client.caller);

        market_serve(m);
        assert_int_equal(market_refused(m, ask, because), rows[i].rc);
        if (!strstr(because, rows[i].because)) fail_msg("%s", because);
    }
    assert_int_equal(
        market_refused(m, market_ask_quote(m, NULL, &m->server->caller), NULL),
        XN_EPERM);
    assert_int_equal(market_refused(m, market_ask_quote(m, NULL, NULL), NULL),
                     XN_EPERM);
}

static void quotes_are_few(void **state)
{
    struct market *m = *state;
    unsigned given = 0;

    for (unsigned i = 0; i < 200; i++) {
        uint64_t ask = market_ask_quote(m, NULL, &m->s.client.caller);
        struct xn_msg *msg = NULL;

        market_serve(m);
        given += crank_answer(&m->h, ask, &msg)->status == 200;
        xn_msg_free(msg);
    }
    assert_int_equal(given, 50);
    /* Another is not bothered by that. */
    market_ask_quote(m, NULL, &m->s.stranger.caller);
    market_serve(m);
    crank_pass(&m->h, SECOND_US);
    market_serve(m);
    market_quote(m, NULL);
}

static void withdrawn_sells_nothing(void **state)
{
    struct market *m = *state;

    market_ask(m, "POST", "/v1/withdraw", "", NULL, &m->operator);
    market_serve(m);
    assert_int_equal(
        market_refused(m, market_ask_quote(m, NULL, &m->s.client.caller), NULL),
        XN_EREFUSED);
}

/* ---- sessions begin ---- */

static void sells_a_session(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    char memory[48], cpu[48];
    uint64_t ask, again;

    market_begin(m, 10 * GBP);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    assert_true(session->amount == 10 * GBP);
    assert_true(session->acceptance.len > 0);
    assert_string_equal(session->reserved->memory_mb, "512");
    assert_string_equal(session->manager, "reserve");
    xn__host_session__free_unpacked(session, NULL);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "3584");
    assert_string_equal(cpu, "7000");
    /* The same again is the same session; the corp is not bothered. */
    ask = market_ask_create(m);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(m->calls_validate, 1);
    /* Another session has no use of this order, nor another word. */
    m->word++;
    again = market_ask_create(m);
    market_serve(m);
    assert_int_equal(market_refused(m, again, NULL), XN_EMONEY);
    m->word--;
    market_quote(m, NULL);
    again = market_ask_create(m);
    assert_int_equal(market_refused(m, again, NULL), XN_ECONFLICT);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "3584");
}

static void claims_capacity_first(void **state)
{
    struct market *m = *state;
    char memory[48], cpu[48];
    struct xn_action call;
    uint64_t ask;

    market_quote(m, WANT("<Resources><MemoryMB>3000</MemoryMB></Resources>"));
    market_order(m, 1, GBP);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    market_free(m, memory, cpu);
    assert_string_equal(memory, "1096");
    /* A second one of that size is refused meanwhile, and nobody asks the corp. */
    m->word++;
    market_quote(m, NULL);
    assert_int_equal(
        market_refused(
            m,
            market_ask_quote(
                m, WANT("<Resources><MemoryMB>3000</MemoryMB></Resources>"),
                &m->s.client.caller),
            NULL),
        XN_EREFUSED);
    /* Refused: free again, and the refusal is remembered. */
    market_say_refusal(m, &call, XN_EMONEY, NULL);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
    assert_int_equal(m->calls_validate, 0);
}

static void widened_is_refused_here(void **state)
{
    struct market *m = *state;
    struct money_limits *limits = &m->d.narrowing.doc.narrowing.limits;
    char because[300];
    uint64_t ask;

    market_quote(m, NULL);
    market_order(m, 1, GBP);
    limits->amount = 2 * GBP;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    assert_int_equal(market_refused(m, ask, because), XN_EMONEY);
    assert_non_null(strstr(because, "wider"));
    assert_false(market_has_call(m, "/v1/validate"));
    /* By another than the holder; for another server; to another quote. */
    limits->amount = 0;
    shop_seal(&m->d.narrowing, &m->s.stranger.party);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EINTEGRITY);
    limits->server = m->s.server[1].id;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
    limits->server = m->server->id;
    limits->quote.b[0] ^= 1;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EMONEY);
    assert_int_equal(m->calls_validate, 0);
}

static void corp_without_an_answer(void **state)
{
    struct market *m = *state;
    char memory[48], cpu[48];
    Xn__HostSession *session;
    uint64_t ask;

    market_quote(m, WANT("<Resources><MemoryMB>4096</MemoryMB></Resources>"));
    market_order(m, 1, GBP);
    m->corp_down = true;
    ask = market_ask_create(m);
    market_pass(m, 20 * SECOND_US);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    market_pass(m, 20 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EUNKNOWN);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
    /* The same again: set apart again, and it goes on. */
    ask = market_ask_create(m);
    market_serve_but_calls(m);
    assert_int_equal(
        market_refused(m, market_ask_quote(m, NULL, &m->s.client.caller), NULL),
        XN_EREFUSED);
    m->corp_down = false;
    market_pass(m, 5 * SECOND_US);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    xn__host_session__free_unpacked(session, NULL);
}

/* It was accepted, but the answer came when nobody waited: it does not run, and
 * the money goes back. */
static void accepted_too_late(void **state)
{
    struct market *m = *state;
    int64_t fenced = -1;
    uint64_t ask;

    market_quote(m, NULL);
    market_order(m, 1, GBP);
    m->lose_back = 100;
    ask = market_ask_create(m);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EUNKNOWN);
    m->lose_back = 0;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(deal_fate(&m->s, &m->d, &fenced),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
    assert_int_equal(shop_balance(&m->s), 1000LL * GBP);
}

/* What it has accepted it cannot tell, since its books are broken: it is asked until
 * it can. */
static void accepted_with_broken_books(void **state)
{
    struct market *m = *state;
    struct xn_action call;
    char because[300];
    uint64_t ask;

    market_quote(m, NULL);
    market_order(m, 1, GBP);
    m->word = 1;
    market_know_session(m);
    m->lose_back = 100;
    ask = market_ask_create(m);
    market_pass(m, 5 * SECOND_US);
    m->lose_back = 0;
    while (!market_has_call(m, "/v1/validate")) {
        crank_pass(&m->h, SECOND_US / 4);
        market_serve_but_calls(m);
    }
    call = market_take_call(m, "/v1/validate");
    market_say_refusal(m, &call, XN_EINTEGRITY, NULL);
    market_serve_but_calls(m);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_CLAIMED);
    m->corp_down = true;
    market_pass(m, 40 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EUNKNOWN);
    assert_non_null(strstr(because, "has not answered in time: "));
    m->corp_down = false;
    market_pass(m, 120 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(deal_fate(&m->s, &m->d, NULL),
                     XN__ORDER_FATE__CLOSED_ORDER);
}

static void hours_go_by(struct market *m, unsigned hours)
{
    m->h.now.mono_us += hours * 3600 * SECOND_US;
    m->h.now.wall_us += hours * 3600 * SECOND_US;
    m->s.c.now = m->h.now;
    market_pass(m, 120 * SECOND_US);
}

/* It is not asked for ever: an order of 100 hours for three days, or until it ends.
 * The operator sees that it waits, and that it was given up. */
static void corp_that_is_dead(struct market *m, unsigned before, unsigned still,
                              unsigned then)
{
    Xn__HostSession *session;

    hours_go_by(m, before);
    market_quote(m, NULL);
    market_order(m, 1, GBP);
    m->corp_down = true;
    m->word = 1;
    market_ask_create(m);
    market_know_session(m);
    market_pass(m, 40 * SECOND_US);
    assert_non_null(strstr(m->h.log, "has not answered"));
    hours_go_by(m, still);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_UNSETTLED);
    assert_true(session->trouble[0] != 0);
    xn__host_session__free_unpacked(session, NULL);
    hours_go_by(m, then);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_REFUSED);
    assert_int_equal(session->rc, XN_EUNREACH);
    assert_non_null(strstr(session->reason, "never answered"));
    xn__host_session__free_unpacked(session, NULL);
}

static void dead_for_days(void **state)
{
    corp_that_is_dead(*state, 0, 71, 1);
}

static void dead_at_the_orders_end(void **state)
{
    corp_that_is_dead(*state, 97, 2, 1);
}

/* ---- a corp that lies ---- */

static void say_acceptance(struct market *m, struct xn_action *call,
                           const struct shop_doc *doc)
{
    Xn__Validated body = XN__VALIDATED__INIT;

    body.acceptance = shop_bytes(doc);
    market_say(m, call, 200, &body);
}

/* The real one, spoilt. */
static struct shop_doc an_acceptance(struct market *m,
                                     const struct xn_action *c)
{
    const Xn__Call *call = XN_BODY(c->msg, Xn__Call);
    Xn__Validate *asked =
        xn__validate__unpack(NULL, call->body.len, call->body.data);
    struct shop_doc doc = {.doc.type = MONEY_ACCEPTANCE};
    struct money_acceptance *a = &doc.doc.acceptance;

    a->head.issued_us = m->h.now.wall_us;
    a->serial = m->d.serial;
    a->narrowing = m->d.narrowing.doc.head.hash;
    a->server = m->server->id;
    assert_int_equal(xn_id_from_bytes(&asked->session, &a->session), 0);
    a->quote = m->d.quote.doc.head.hash;
    strcpy(a->currency, "GBP");
    a->amount = GBP;
    a->until_us = m->h.now.wall_us + HOUR_US;
    xn__validate__free_unpacked(asked, NULL);
    return doc;
}

static void false_acceptances(void **state)
{
    struct market *m = *state;
    struct kit_party other = kit_corp("beta.example");
    char memory[48], cpu[48];

    for (unsigned lie = 0; lie <= 7; lie++) {
        const struct kit_party *by = &m->s.corp;
        struct shop_doc doc;
        struct xn_action call;
        uint64_t ask;

        crank_pass(&m->h, 10 * SECOND_US);
        market_serve(m);
        m->word = (uint8_t)(50 + lie);
        market_quote(m, NULL);
        market_order(m, (uint8_t)(10 + lie), GBP);
        ask = market_ask_create(m);
        market_serve_but_calls(m);
        call = market_take_call(m, "/v1/validate");
        doc = an_acceptance(m, &call);
        switch (lie) {
        case 0: by = &other; break;
        case 1: doc.doc.acceptance.session.b[0] ^= 1; break;
        case 2: doc.doc.acceptance.serial.b[0] ^= 1; break;
        case 3: doc.doc.acceptance.server.b[0] ^= 1; break;
        case 4: doc.doc.acceptance.narrowing.b[0] ^= 1; break;
        case 5: doc.doc.acceptance.quote.b[0] ^= 1; break;
        case 6: doc.doc.acceptance.amount = 2 * GBP; break;
        default: by = &m->s.client.party; break;
        }
        shop_seal(&doc, by);
        say_acceptance(m, &call, &doc);
        market_serve_but_calls(m);
        assert_int_equal(market_refused(m, ask, NULL), XN_EINTEGRITY);
        market_free(m, memory, cpu);
        assert_string_equal(memory, "4096");
        shop_doc_clear(&doc);
    }
    kit_clear(&other);
}

/* Who answers is not the corp: as if nobody had. */
static void answered_by_another(void **state)
{
    struct market *m = *state;
    struct shop_doc doc;
    Xn__Validated body = XN__VALIDATED__INIT;
    struct xn_action call;

    market_quote(m, NULL);
    market_order(m, 1, GBP);
    market_ask_create(m);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/validate");
    doc = an_acceptance(m, &call);
    shop_seal(&doc, &m->s.corp);
    body.acceptance = shop_bytes(&doc);
    crank_called(&m->h, &call, 200, &body, &m->s.server[1].caller);
    market_serve_but_calls(m);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    market_pass(m, 2 * SECOND_US);
    assert_int_equal(m->calls_validate, 1);
    shop_doc_clear(&doc);
}

static void false_receipts(void **state)
{
    struct market *m = *state;
    struct shop_doc receipt = {.doc.type = MONEY_RECEIPT};
    Xn__Charged body = XN__CHARGED__INIT;
    Xn__HostSession *session;
    struct xn_action call;
    struct xn_id_pair {
        xn_id first, now;
    } claim;
    const Xn__Call *sent;

    market_begin(m, 10 * GBP);
    crank_pass(&m->h, 10 * SECOND_US);
    market_serve_but_calls(m);
    for (unsigned lie = 0; lie < 6; lie++) {
        struct money_receipt *r = &receipt.doc.receipt;
        struct money doc;
        Xn__Charge *charge;
        struct money_refusal why;

        call = market_take_call(m, "/v1/charge");
        sent = XN_BODY(call.msg, Xn__Call);
        xn_id_hash(sent->body.data, sent->body.len, &claim.now);
        if (!lie) claim.first = claim.now;
        assert_true(xn_id_eq(&claim.first, &claim.now)); /* the same bytes */
        charge = xn__charge__unpack(NULL, sent->body.len, sent->body.data);
        assert_int_equal(money_open(MONEY_CLAIM, charge->claim.data,
                                    charge->claim.len, m->s.anchors,
                                    m->h.now.wall_us, &doc, &why),
                         0);
        xn__charge__free_unpacked(charge, NULL);
        memset(r, 0, sizeof *r);
        r->head.issued_us = m->h.now.wall_us;
        r->of = doc.head.hash;
        r->session = m->session;
        r->sequence = 1;
        strcpy(r->currency, "GBP");
        r->charge = r->amount = doc.claim.amount;
        r->left = 10 * GBP - doc.claim.amount;
        if (lie == 0) r->amount--, r->charge--;
        if (lie == 1) r->of.b[0] ^= 1;
        if (lie == 2) r->session.b[0] ^= 1;
        if (lie == 3) r->left++;
        if (lie == 4) r->sequence++;
        shop_seal(&receipt, lie == 5 ? &m->s.client.party : &m->s.corp);
        body.receipt = shop_bytes(&receipt);
        market_say(m, &call, 200, &body);
        market_serve_but_calls(m);
        while (!market_has_call(m, "/v1/charge")) {
            crank_pass(&m->h, SECOND_US);
            market_serve_but_calls(m);
        }
        session = market_look(m);
        assert_true(session->charged == 0 && session->claimed > 0);
        assert_string_not_equal(session->trouble, "");
        xn__host_session__free_unpacked(session, NULL);
    }
    shop_doc_clear(&receipt);
    /* The true one ends it. */
    call = market_take_call(m, "/v1/charge");
    m->s.c.now = m->h.now;
    market_carry(m, &call);
    market_serve(m);
    assert_true(market_charged(m) > 0);
    session = market_look(m);
    assert_string_equal(session->trouble, "");
    xn__host_session__free_unpacked(session, NULL);
}

/* ---- what is no question ---- */

static void malformed(void **state)
{
    struct market *m = *state;
    static uint8_t large[1024 * 1024];
    const Xn__Caller *c = &m->s.client.caller;
    Xn__CreateSession body = XN__CREATE_SESSION__INIT;

    assert_int_equal(market_refused(m,
                                    crank_ask_raw(&m->h, "POST", "/v1/sessions",
                                                  large, sizeof large, c),
                                    NULL),
                     XN_ETOOBIG);
    assert_int_equal(market_refused(m,
                                    crank_ask_raw(&m->h, "POST", "/v1/quote",
                                                  large, sizeof large, c),
                                    NULL),
                     XN_EPROTO);
    assert_int_equal(
        market_refused(m,
                       crank_ask_raw(&m->h, "POST", "/v1/sessions",
                                     (const uint8_t *)"\xff", 1, c),
                       NULL),
        XN_EPROTO);
    assert_int_equal(
        market_refused(m,
                       crank_ask_raw(&m->h, "POST", "/v1/sessions/stop",
                                     (const uint8_t *)"\xff", 1, c),
                       NULL),
        XN_EPROTO);
    assert_int_equal(
        market_refused(m, market_ask(m, "POST", "/v1/sessions", "", &body, c),
                       NULL),
        XN_EINVAL);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, market_set_up, market_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(quotes_what_is_wanted),   TEST(no_quote),
        TEST(quotes_are_few),          TEST(withdrawn_sells_nothing),
        TEST(sells_a_session),         TEST(claims_capacity_first),
        TEST(widened_is_refused_here), TEST(corp_without_an_answer),
        TEST(accepted_too_late),       TEST(accepted_with_broken_books),
        TEST(dead_for_days),           TEST(dead_at_the_orders_end),
        TEST(false_acceptances),       TEST(answered_by_another),
        TEST(false_receipts),          TEST(malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
