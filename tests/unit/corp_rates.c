/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often a XenoCorp issues orders to one client and registers from one
 * address: buckets, their table, and what the core refuses. */
#include "tests/unit/corp_money_kit.h"

#include "corp/rates.h"
#include "lib/bucket.h"

#define SECOND 1000000ULL

/* ---- one bucket ---- */

static void a_bucket_fills_again(void **state)
{
    const struct xn_rate rate = {.burst = 3, .step_us = 10};
    uint64_t full_us = 0, now_us = 5;

    for (int i = 0; i < 3; i++)
        assert_int_equal(xn_bucket_take(&full_us, &rate, now_us), 0);
    assert_int_equal(xn_bucket_take(&full_us, &rate, now_us), 10);
    assert_int_equal(xn_bucket_take(&full_us, &rate, now_us + 9), 1);
    assert_int_equal(xn_bucket_take(&full_us, &rate, now_us + 10), 0);
    assert_int_equal(xn_bucket_take(&full_us, &rate, now_us + 10), 10);
    now_us += 1000; /* never more than the burst */
    for (int i = 0; i < 3; i++)
        assert_int_equal(xn_bucket_take(&full_us, &rate, now_us), 0);
    assert_int_equal(xn_bucket_take(&full_us, &rate, now_us), 10);
}

static void no_bound_is_none(void **state)
{
    const struct xn_rate rate = {.burst = 1};
    uint64_t full_us = 0;

    for (int i = 0; i < 100; i++)
        assert_int_equal(xn_bucket_take(&full_us, &rate, 7), 0);
}

/* ---- many ---- */

static uint64_t take(struct corp_rates *rates, uint32_t who, uint64_t now_us)
{
    return corp_rates_take(rates, &who, sizeof who, now_us);
}

static void each_has_his_own(void **state)
{
    const struct xn_rate rate = {.burst = 2, .step_us = SECOND};
    struct corp_rates *rates = NULL;

    assert_int_equal(corp_rates_new(&rate, 100, 7, &rates), 0);
    for (uint32_t who = 0; who < 100; who++) {
        assert_int_equal(take(rates, who, 5), 0);
        assert_int_equal(take(rates, who, 5), 0);
        assert_int_equal(take(rates, who, 5), SECOND);
    }
    assert_int_equal(corp_rates_count(rates), 100);
    for (uint32_t who = 0; who < 100; who++)
        assert_int_equal(take(rates, who, 5), SECOND);
    /* Those who are full by then are not kept. */
    for (uint32_t who = 0; who < 100; who++)
        assert_int_equal(take(rates, 1000, 5 + (100 + who) * SECOND), 0);
    assert_in_range(corp_rates_count(rates), 1, 2);
    corp_rates_free(rates);
}

static void the_table_is_bounded(void **state)
{
    const struct xn_rate rate = {.burst = 1, .step_us = SECOND};
    struct corp_rates *rates = NULL;

    assert_int_equal(corp_rates_new(&rate, 10, 7, &rates), 0);
    for (uint32_t who = 0; who < 10; who++)
        assert_int_equal(take(rates, who, 5), 0);
    assert_int_equal(take(rates, 0, 5), SECOND); /* 1 asked longest ago */
    assert_int_equal(take(rates, 10, 5), 0);
    assert_int_equal(corp_rates_count(rates), 10);
    assert_int_equal(take(rates, 0, 5), SECOND);
    assert_int_equal(take(rates, 1, 5), 0); /* had been forgotten */
    assert_int_equal(corp_rates_count(rates), 10);
    corp_rates_free(rates);
}

static void a_rate_of_nothing_is_refused(void **state)
{
    const struct xn_rate rate = {.burst = 0, .step_us = SECOND};
    struct corp_rates *rates = NULL;

    assert_int_equal(corp_rates_new(&rate, 10, 7, &rates), XN_EINVAL);
    assert_null(rates);
}

/* As the operator set it: so many a minute, or a day. */
static void a_rate_is_told_as_it_is(void **state)
{
    static const struct {
        uint64_t step_us;
        const char *text;
    } want[] = {
        {60 * SECOND, "asks: 2 at once, then 1 a minute"},
        {60 * SECOND / 7, "asks: 2 at once, then 7 a minute"},
        {8640 * SECOND, "asks: 2 at once, then 10 a day"},
        {86400 * SECOND / 2000, "asks: 2 at once, then 2000 a day"},
        {86400 * SECOND / 10000, "asks: 2 at once, then 10000 a day"},
        {86400 * SECOND / 14400, "asks: 2 at once, then 10 a minute"},
    };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct xn_rate rate = {.burst = 2, .step_us = want[i].step_us};
        struct corp_rates *rates = NULL;
        char text[CORP_RATES_TEXT];

        assert_int_equal(corp_rates_new(&rate, 10, 7, &rates), 0);
        corp_rates_text(rates, "asks", text);
        assert_string_equal(text, want[i].text);
        corp_rates_free(rates);
    }
}

/* ---- orders ---- */

static void three_orders(struct corp_config *config)
{
    config->orders = (struct xn_rate){.burst = 3, .step_us = 12 * SECOND};
    config->claims = (struct xn_rate){.burst = 5, .step_us = 12 * SECOND};
    config->registers = (struct xn_rate){.burst = 4, .step_us = 30 * SECOND};
    config->places = (struct xn_rate){.burst = 2, .step_us = 8640 * SECOND};
}

static int few_set_up(void **state)
{
    struct shop *s = calloc(1, sizeof *s);

    assert_non_null(s);
    shop_open(s, three_orders);
    *state = s;
    return 0;
}

/* The answer's status; a refusal must be one of the rate, with `retry_s`. */
static int answered_by(struct shop *s, uint64_t ask, uint32_t retry_s)
{
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(&s->c, ask, &msg);
    Xn__Refusal *refusal;
    char want[40];
    int status = answer->status;

    if (status != 200) {
        refusal =
            xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
        assert_non_null(refusal);
        assert_int_equal(refusal->rc, XN_EBUSY);
        assert_int_equal(xn_exit_code(refusal->rc), 4);
        assert_int_equal(answer->retry_s, retry_s);
        snprintf(want, sizeof want, "in %u second", retry_s);
        assert_non_null(strstr(refusal->try_, want));
        assert_string_not_equal(refusal->because, "");
        xn__refusal__free_unpacked(refusal, NULL);
    }
    xn_msg_free(msg);
    return status;
}

static int issue(struct shop *s, uint8_t word, uint32_t retry_s)
{
    uint64_t ask = shop_ask_issue(s, word, GBP);

    shop_serve(s);
    return answered_by(s, ask, retry_s);
}

static int charge(struct shop *s, const struct shop_doc *claim,
                  uint32_t retry_s)
{
    uint64_t ask = ask_charge(s, claim, &s->server[0]);

    shop_serve(s);
    return answered_by(s, ask, retry_s);
}

static void who_issues_for_ever_is_slowed(void **state)
{
    struct shop *s = *state;
    size_t records;

    shop_pay_in(s, 1, 20 * GBP);
    for (uint8_t word = 1; word <= 3; word++)
        assert_int_equal(issue(s, word, 0), 200);
    records = s->c.n_records;
    for (uint8_t word = 4; word < 100; word++)
        assert_int_equal(issue(s, word, 12), 429);
    assert_int_equal(s->c.n_records, records); /* nothing grew */
    shop_pass(s, 11 * SECOND);
    assert_int_equal(issue(s, 4, 1), 429);
    shop_pass(s, SECOND);
    assert_int_equal(issue(s, 4, 0), 200);
    assert_int_equal(issue(s, 5, 12), 429);
    assert_int_equal(shop_balance(s), 16 * GBP);
    shop_audit(s);
}

/* What was asked before is answered as before; what takes money back, or ends
 * what costs money, is never put off: each order has it once. */
static void old_words_and_ends_are_free(void **state)
{
    struct shop *s = *state;
    struct deal d[3];
    uint64_t ask;

    shop_pay_in(s, 1, 20 * GBP);
    for (uint8_t i = 0; i < 3; i++)
        deal_begin(s, &d[i], (uint8_t)(i + 1), GBP, &s->server[0]);
    assert_int_equal(issue(s, 4, 12), 429);
    for (uint8_t i = 0; i < 20; i++)
        assert_int_equal(issue(s, 1 + i % 3, 0), 200);
    shop_audit(s);
    for (int i = 0; i < 20; i++) {
        ask = deal_ask_void(s, &d[0]);
        shop_serve(s);
        assert_int_equal(answered_by(s, ask, 0), 200);
    }
    deal_validate(s, &d[1]);
    ask = deal_ask_stop(s, &d[1]);
    shop_serve(s);
    assert_int_equal(answered_by(s, ask, 0), 200);
    for (uint8_t i = 0; i < 3; i++)
        deal_clear(&d[i]);
    shop_audit(s);
}

/* A cycle of issue and void costs what the issue costs. */
static void issue_and_void_for_ever_is_slowed(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t ask;

    shop_pay_in(s, 1, 20 * GBP);
    for (uint8_t word = 1; word <= 3; word++) {
        deal_begin(s, &d, word, GBP, &s->server[0]);
        ask = deal_ask_void(s, &d);
        shop_serve(s);
        assert_int_equal(answered_by(s, ask, 0), 200);
        deal_clear(&d);
    }
    assert_int_equal(issue(s, 4, 12), 429);
    shop_audit(s);
}

/* One client's haste is not another's. */
static void clients_do_not_share(void **state)
{
    struct shop *s = *state;
    uint8_t request[32] = {9};
    Xn__IssueOrder order = shop_order(request, GBP, NOW_US + HOUR_US);
    uint64_t ask;

    shop_pay_in(s, 1, 20 * GBP);
    for (uint8_t word = 1; word <= 3; word++)
        assert_int_equal(issue(s, word, 0), 200);
    assert_int_equal(issue(s, 4, 12), 429);
    ask = crank_ask(&s->c, "POST", "/v1/orders", &order, &s->stranger.caller);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ENOENT); /* no account */
}

/* ---- claims ---- */

/* Claims of nothing cost nothing, and sessions are many.  A session's last one
 * is never put off. */
static void a_servers_claims_are_bounded(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d[2];

    shop_pay_in(s, 1, 20 * GBP);
    for (uint8_t i = 0; i < 2; i++) {
        deal_begin(s, &d[i], (uint8_t)(i + 1), GBP, &s->server[0]);
        deal_validate(s, &d[i]);
    }
    shop_pass(s, 60 * SECOND);
    for (uint64_t i = 1; i <= 5; i++)
        deal_charge(s, &d[i % 2], 9 * i * SECOND, MONEY_RUNNING);
    deal_claim(s, &d[0], 54 * SECOND, MONEY_RUNNING, &claim);
    assert_int_equal(charge(s, &claim, 12), 429);
    shop_pass(s, 12 * SECOND);
    assert_int_equal(charge(s, &claim, 0), 200);
    assert_int_equal(charge(s, &claim, 0), 200); /* as it was answered */
    shop_doc_clear(&claim);
    deal_claim(s, &d[1], 54 * SECOND, MONEY_RUNNING, &claim);
    assert_int_equal(charge(s, &claim, 12), 429);
    shop_doc_clear(&claim);
    deal_claim(s, &d[1], 54 * SECOND, MONEY_FINAL, &claim);
    assert_int_equal(charge(s, &claim, 0), 200);
    shop_doc_clear(&claim);
    for (uint8_t i = 0; i < 2; i++)
        deal_clear(&d[i]);
    shop_audit(s);
}

/* ---- registrations ---- */

static uint64_t ask_register(struct shop *s, const struct shop_member *m,
                             uint64_t source)
{
    Xn__Register reg = XN__REGISTER__INIT;
    Xn__Caller caller = m->caller;

    caller.source = source;
    reg.role = m->caller.role;
    reg.csr.data = (uint8_t *)(uintptr_t) "csr";
    reg.csr.len = 3;
    reg.label = (char *)(uintptr_t) "ann";
    return crank_ask(&s->c, "POST", "/v1/register", &reg, &caller);
}

static uint64_t asks_issued(struct shop *s, const struct shop_member *m,
                            uint64_t source)
{
    Xn__Issued issued = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    uint64_t ask = ask_register(s, m, source);
    struct xn_action act = crank_take(&s->c, XN_ACT_ISSUE);

    who.id = xn_id_bytes(&m->id);
    who.not_after_us = NOW_US + 90 * 24 * HOUR_US;
    issued.who = &who;
    crank_done(&s->c, &act, 0, XN__KIND__ISSUED, &issued);
    shop_serve(s);
    return ask;
}

static void registers(struct shop *s, const struct shop_member *m,
                      uint64_t source)
{
    assert_int_equal(answered_by(s, asks_issued(s, m, source), 0), 200);
}

static void addresses_register_slowly(void **state)
{
    struct shop *s = *state;
    uint64_t ask;

    for (int i = 0; i < 4; i++)
        registers(s, &s->server[i], 77);
    ask = ask_register(s, &s->server[4], 77);
    assert_int_equal(crank_count(&s->c, XN_ACT_ISSUE), 0); /* costs nothing */
    assert_int_equal(answered_by(s, ask, 30), 429);
    registers(s, &s->server[4], 78);
    shop_pass(s, 30 * SECOND);
    registers(s, &s->server[4], 77);
    ask = ask_register(s, &s->server[5], 77);
    assert_int_equal(answered_by(s, ask, 30), 429);
}

static struct shop_member node_of(const struct shop_member *m)
{
    struct shop_member node = *m;

    node.caller.role = XN__ROLE__NODE;
    return node;
}

/* A new key of a node is a new place on the ring: of one address there are few
 * for whom nobody waits, and none for who has one and asks again. */
static void places_are_few(void **state)
{
    struct shop *s = *state;
    struct shop_member node[3];

    for (int i = 0; i < 3; i++)
        node[i] = node_of(&s->server[i]);
    registers(s, &node[0], 77);
    registers(s, &node[0], 77);
    shop_pass(s, 60 * SECOND);
    registers(s, &node[1], 77);
    registers(s, &node[0], 77);
    assert_int_equal(answered_by(s, asks_issued(s, &node[2], 77), 8580), 429);
    registers(s, &node[1], 77);
    registers(s, &node[2], 78);
    shop_pass(s, 60 * SECOND);
    registers(s, &s->server[3], 77); /* a server stands nowhere */
    /* Renewals come late and are nobody else's to take. */
    shop_pass(s, 80ULL * 86400 * SECOND);
    for (int i = 0; i < 3; i++)
        registers(s, &node[i], 77);
}

/* A core made from the head of a recording puts off the same. */
static void a_recording_has_the_rates(void **state)
{
    struct shop *s = *state;
    uint8_t *bytes = NULL;
    size_t len;

    shop_pay_in(s, 1, 20 * GBP);
    assert_int_equal(corp_config_pack(&s->config, &bytes, &len), 0);
    crank_stop(&s->c);
    assert_int_equal(corp_new_packed(bytes, len, 7, &s->c.core), 0);
    free(bytes);
    crank_wake(&s->c);
    shop_serve(s);
    for (uint8_t word = 1; word <= 3; word++)
        assert_int_equal(issue(s, word, 0), 200);
    assert_int_equal(issue(s, 4, 12), 429);
    for (int i = 0; i < 4; i++)
        registers(s, &s->server[i], 77);
    assert_int_equal(answered_by(s, ask_register(s, &s->server[4], 77), 30),
                     429);
}

#define FEW_TEST(f)                                                            \
    cmocka_unit_test_setup_teardown(f, few_set_up, shop_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_fills_again),
        cmocka_unit_test(no_bound_is_none),
        cmocka_unit_test(each_has_his_own),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(a_rate_of_nothing_is_refused),
        cmocka_unit_test(a_rate_is_told_as_it_is),
        FEW_TEST(who_issues_for_ever_is_slowed),
        FEW_TEST(old_words_and_ends_are_free),
        FEW_TEST(issue_and_void_for_ever_is_slowed),
        FEW_TEST(clients_do_not_share),
        FEW_TEST(a_servers_claims_are_bounded),
        FEW_TEST(a_recording_has_the_rates),
        FEW_TEST(addresses_register_slowly),
        FEW_TEST(places_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
