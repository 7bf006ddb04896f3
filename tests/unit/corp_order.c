/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders at the XenoCorp: issued, accepted, charged, stopped, void, released,
 * listed; policies. */
#include "tests/unit/corp_money_kit.h"

#include "corp/order_file.h"
#include "lib/rng.h"

#define SECOND 1000000ULL

static uint64_t ask_body(struct shop *s, const char *path, const void *body,
                         const struct shop_member *by)
{
    uint64_t ask = crank_ask(&s->c, "POST", path, body, &by->caller);

    shop_serve(s);
    return ask;
}

/* ---- stories ---- */

static void a_sale(void **state)
{
    struct shop *s = *state;
    struct deal d;
    int64_t fenced = 0;

    shop_pay_in(s, 1, 20 * GBP);
    assert_int_equal(shop_balance(s), 20 * GBP);
    deal_begin(s, &d, 1, 5 * GBP, &s->server[0]);
    assert_int_equal(shop_balance(s), 15 * GBP);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__ISSUED_ORDER);
    assert_int_equal(fenced, 5 * GBP);
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    /* 0.01 + 0.1 an hour + 3600 CPU seconds at 0.0001 */
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_RUNNING), 470000);
    assert_int_equal(shop_earned(s, &s->server[0]), 470000);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__ACCEPTED_ORDER);
    assert_int_equal(fenced, 5 * GBP - 470000);
    shop_pass(s, HOUR_US);
    assert_int_equal(deal_charge(s, &d, 2 * HOUR_US, MONEY_FINAL), 460000);
    /* The last claim gives back what is left. */
    assert_int_equal(shop_balance(s), 20 * GBP - 930000);
    assert_int_equal(shop_earned(s, &s->server[0]), 930000);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
    assert_int_equal(shop_records(s, 'E'), 0);
    shop_audit(s);
    deal_clear(&d);
}

/* What the holder's narrowing leaves out goes back with the acceptance. */
static void surplus_goes_back(void **state)
{
    struct shop *s = *state;
    struct deal d;
    int64_t fenced = 0;

    shop_pay_in(s, 1, 20 * GBP);
    deal_begin(s, &d, 1, 5 * GBP, &s->server[0]);
    d.narrowing.doc.narrowing.limits.amount = 2 * GBP;
    deal_narrow(s, &d);
    deal_validate(s, &d);
    assert_int_equal(shop_balance(s), 18 * GBP);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__ACCEPTED_ORDER);
    assert_int_equal(fenced, 2 * GBP);
    shop_pass(s, HOUR_US);
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_FINAL), 470000);
    assert_int_equal(shop_balance(s), 20 * GBP - 470000);
    shop_audit(s);
    deal_clear(&d);
}

static void issue_is_credit_checked(void **state)
{
    struct shop *s = *state;
    char because[300];
    uint64_t ask = shop_ask_issue(s, 1, GBP);

    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ENOENT); /* no account */
    shop_pay_in(s, 1, 3 * GBP);
    ask = shop_ask_issue(s, 1, 3 * GBP + 1);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, because), XN_EFUNDS);
    assert_non_null(strstr(because, "holds 3 GBP, its least is 0: 3.000001 "));
    assert_int_equal(shop_balance(s), 3 * GBP);
    assert_int_equal(shop_records(s, 'H'), 0);
    shop_audit(s);
}

static void two_orders_for_one_purse(void **state)
{
    struct shop *s = *state;
    uint64_t a, b;
    struct xn_msg *msg = NULL;

    shop_pay_in(s, 1, 5 * GBP);
    a = shop_ask_issue(s, 1, 3 * GBP);
    b = shop_ask_issue(s, 2, 3 * GBP);
    shop_serve(s);
    assert_int_equal(crank_answer(&s->c, a, &msg)->status, 200);
    xn_msg_free(msg);
    assert_int_equal(shop_refused(s, b, NULL), XN_EFUNDS);
    assert_int_equal(shop_balance(s), 2 * GBP);
    shop_audit(s);
}

static void expect_same_order(struct shop *s, uint64_t a, uint64_t b)
{
    struct xn_msg *one = NULL, *two = NULL;
    const Xn__Answer *x = crank_answer(&s->c, a, &one);
    const Xn__Answer *y = crank_answer(&s->c, b, &two);

    assert_int_equal(x->status, 200);
    assert_int_equal(y->status, 200);
    assert_int_equal(x->body.len, y->body.len);
    assert_memory_equal(x->body.data, y->body.data, x->body.len);
    xn_msg_free(one);
    xn_msg_free(two);
}

static void asked_twice_issued_once(void **state)
{
    struct shop *s = *state;
    uint64_t a, b;

    shop_pay_in(s, 1, 5 * GBP);
    shop_pay_in(s, 1, 5 * GBP); /* the same again pays in once */
    assert_int_equal(shop_balance(s), 5 * GBP);
    a = shop_ask_issue(s, 1, GBP);
    b = shop_ask_issue(s, 1, GBP); /* at the same time */
    shop_serve(s);
    expect_same_order(s, a, b);
    a = shop_ask_issue(s, 1, GBP); /* later, after a restart */
    shop_serve(s);
    shop_restart(s);
    crank_wake(&s->c);
    a = shop_ask_issue(s, 1, GBP);
    shop_serve(s);
    b = shop_ask_issue(s, 1, GBP);
    shop_serve(s);
    expect_same_order(s, a, b);
    assert_int_equal(shop_balance(s), 4 * GBP);
    /* Another order under the same word. */
    a = shop_ask_issue(s, 1, 2 * GBP);
    shop_serve(s);
    assert_int_equal(shop_refused(s, a, NULL), XN_ECONFLICT);
    assert_int_equal(shop_balance(s), 4 * GBP);
    shop_audit(s);
}

static void void_and_validate(void **state)
{
    struct shop *s = *state;
    struct deal d, e;
    uint64_t ask;
    int64_t fenced;
    struct xn_msg *msg = NULL;

    deal_ordered(s, &d, GBP);
    deal_begin(s, &e, 2, GBP, &s->server[0]);
    deal_validate(s, &e);
    ask = deal_ask_void(s, &d);
    shop_serve(s);
    assert_int_equal(crank_answer(&s->c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    assert_int_equal(shop_balance(s), 4 * GBP);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__VOID_ORDER);
    ask = deal_ask_validate(s, &d);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EMONEY);
    ask = deal_ask_void(s, &e); /* accepted */
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EMONEY);
    ask = deal_ask_void(s, &d); /* again */
    shop_serve(s);
    assert_int_equal(crank_answer(&s->c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    assert_int_equal(shop_balance(s), 4 * GBP);
    shop_audit(s);
    deal_clear(&d);
    deal_clear(&e);
}

static void others_orders(void **state)
{
    struct shop *s = *state;
    struct deal d;
    Xn__VoidOrder want = XN__VOID_ORDER__INIT;
    Xn__StopOrder stop = XN__STOP_ORDER__INIT;
    uint64_t ask;

    deal_ordered(s, &d, GBP);
    want.serial = stop.serial = xn_id_bytes(&d.serial);
    ask = ask_body(s, "/v1/void", &want, &s->stranger);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ENOENT);
    ask = ask_body(s, "/v1/void", &want, &s->server[0]);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
    stop.stop = shop_bytes(&d.order); /* not a stop */
    ask = ask_body(s, "/v1/stop", &stop, &s->stranger);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EINTEGRITY);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__ISSUED_ORDER);
    deal_clear(&d);
}

static void stop_then_release(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim = {.data = NULL}, receipt = {.data = NULL};
    struct deal d;
    uint64_t ask;

    deal_ordered(s, &d, 2 * GBP);
    ask = deal_ask_stop(s, &d);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EMONEY); /* not accepted */
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    ask = deal_ask_stop(s, &d);
    shop_serve(s);
    charged(s, ask, &receipt);
    assert_int_equal(receipt.doc.receipt.charge, 0);
    assert_int_equal(receipt.doc.receipt.left, 2 * GBP);
    /* A stop that is said again gets the receipt of the first. */
    shop_pass(s, 60 * SECOND);
    ask = deal_ask_stop(s, &d);
    shop_serve(s);
    charged(s, ask, &claim);
    assert_int_equal(claim.len, receipt.len);
    assert_memory_equal(claim.data, receipt.data, receipt.len);
    shop_doc_clear(&claim);
    /* What was used before may still be claimed, within the grace. */
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_RUNNING), 470000);
    shop_pass(s, 700 * SECOND);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(shop_balance(s), 5 * GBP - 470000);
    assert_int_equal(shop_records(s, 'E'), 0);
    deal_claim(s, &d, HOUR_US, MONEY_FINAL, &claim);
    assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EMONEY);
    shop_audit(s);
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

static void ends_by_itself(void **state)
{
    struct shop *s = *state;
    struct deal d, e;
    uint64_t ask;

    deal_ordered(s, &d, GBP);
    deal_begin(s, &e, 2, GBP, &s->server[1]);
    deal_validate(s, &e);
    shop_pass(s, HOUR_US);
    deal_charge(s, &e, HOUR_US, MONEY_RUNNING);
    s->c.now.wall_us = NOW_US + 100 * HOUR_US + 300 * SECOND;
    shop_pass(s, 120 * SECOND); /* the end, but not the grace */
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__ISSUED_ORDER);
    ask = deal_ask_validate(s, &d);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EEXPIRED);
    shop_restart(s);
    shop_pass(s, 600 * SECOND);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__EXPIRED_ORDER);
    assert_int_equal(deal_fate(s, &e, NULL), XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(shop_balance(s), 5 * GBP - 470000);
    assert_int_equal(shop_records(s, 'E'), 0);
    shop_audit(s);
    deal_clear(&d);
    deal_clear(&e);
}

/* ---- asking ---- */

static void who_may(void **state)
{
    static const char *const paths[] = {"/v1/orders",   "/v1/void",
                                        "/v1/validate", "/v1/charge",
                                        "/v1/stop",     "/v1/accounts"};
    struct shop *s = *state;
    Xn__Caller other = s->client.caller;
    xn_id elsewhere = s->stranger.id;

    other.corp = xn_id_bytes(&elsewhere); /* certified by another corp */
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint64_t ask = crank_ask(&s->c, "POST", paths[i], NULL, NULL);

        assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
        ask = crank_ask(&s->c, "POST", paths[i], NULL, &other);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
    }
    assert_int_equal(s->c.n_pending, 0);
}

static void malformed_orders(void **state)
{
    struct shop *s = *state;
    uint8_t word[32] = {1};
    Xn__IssueOrder good = shop_order(word, GBP, NOW_US + HOUR_US), bad;
    char type[300];
    uint64_t ask;

    shop_pay_in(s, 1, 5 * GBP);
    memset(type, 'x', sizeof type - 1);
    type[sizeof type - 1] = 0;
    for (int i = 0; i < 12; i++) {
        bad = good;
        switch (i) {
        case 0: bad.request.len = 31; break;
        case 1: bad.currency = (char *)(uintptr_t) "GBPX"; break;
        case 2: bad.currency = (char *)(uintptr_t) "g8p"; break;
        case 3: bad.amount = 0; break;
        case 4: bad.amount = INT64_MIN; break;
        case 5: bad.most_per_hour = -1; break;
        case 6: bad.until_us = NOW_US; break;
        case 7: bad.until_us = UINT64_MAX; break;
        case 8: bad.from_us = NOW_US + HOUR_US; break;
        case 9: bad.env_type = type; break;
        case 10: bad.until_us = NOW_US + ORDER_LIFE_US_MOST + 1; break;
        default: bad.server = (ProtobufCBinaryData){3, word};
        }
        ask = ask_body(s, "/v1/orders", &bad, &s->client);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EINVAL);
    }
    bad = good;
    bad.env_type = (char *)(uintptr_t) "Li\tnux";
    ask = ask_body(s, "/v1/orders", &bad, &s->client);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EINVAL);
    ask = crank_ask_raw(&s->c, "POST", "/v1/orders", (const uint8_t *)"\377", 1,
                        &s->client.caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPROTO);
    assert_int_equal(shop_balance(s), 5 * GBP);
}

/* Without a key of its own a corp registers, and sells nothing. */
static void no_ledger(void **state)
{
    struct shop *s = *state;
    Xn__VoidOrder want = XN__VOID_ORDER__INIT;
    struct xn_core *core = NULL;
    uint64_t ask;

    crank_stop(&s->c);
    memset(&s->config.id, 0, sizeof s->config.id);
    assert_int_equal(corp_new(&s->config, 7, &core), 0);
    s->c.core = core;
    ask = crank_ask(&s->c, "POST", "/v1/void", &want, &s->client.caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EREFUSED);
}

static void lists_in_pages(void **state)
{
    struct shop *s = *state;
    Xn__Orders *orders;
    struct xn_msg *msg = NULL;
    char query[100] = "";
    unsigned seen = 0, pages = 0;
    bool more = true;

    shop_pay_in(s, 1, 50 * GBP);
    for (uint8_t i = 1; i <= 40; i++) {
        uint64_t issue = shop_ask_issue(s, i, GBP);

        shop_serve(s);
        crank_answer(&s->c, issue, &msg);
        xn_msg_free(msg);
    }
    while (more) {
        uint64_t ask =
            shop_ask_query(s, "/v1/orders", query, &s->client.caller);
        xn_id last;

        shop_serve(s);
        orders = crank_answered(&s->c, ask, &xn__orders__descriptor);
        assert_true(orders->n_orders > 0 && orders->n_orders <= 16);
        seen += (unsigned)orders->n_orders;
        more = orders->more;
        xn_id_from_bytes(&orders->orders[orders->n_orders - 1]->serial, &last);
        memcpy(query, "after=", 6);
        xn_id_hex(&last, query + 6);
        xn__orders__free_unpacked(orders, NULL);
        pages++;
    }
    assert_int_equal(seen, 40);
    assert_int_equal(pages, 3);
}

/* Bodies with bytes changed and cut, from a server that is not the one named (a
 * byte of the session's name may be any): an answer each, and not a penny
 * moved. */
static void garbled(void **state)
{
    static const char *const paths[] = {
        "/v1/orders", "/v1/void", "/v1/validate", "/v1/charge", "/v1/stop"};
    struct shop *s = *state;
    Xn__Validate validate = XN__VALIDATE__INIT;
    ProtobufCBinaryData narrowing;
    struct xn_rng rng;
    struct deal d;
    uint8_t *body = NULL;
    size_t len;

    xn_rng_seed(&rng, 9);
    deal_ordered(s, &d, GBP);
    narrowing = shop_bytes(&d.narrowing);
    validate.order = shop_bytes(&d.order);
    validate.quote = shop_bytes(&d.quote);
    validate.narrowings = &narrowing;
    validate.n_narrowings = 1;
    validate.session = xn_id_bytes(&d.session);
    assert_int_equal(xn_pack(&validate, &body, &len), 0);
    for (unsigned i = 0; i < 400; i++) {
        const char *path = paths[i % 5];
        const struct shop_member *by =
            i % 5 == 2 || i % 5 == 3 ? &s->server[1] : &s->client;
        size_t at = xn_rng_below(&rng, len);
        size_t cut = i & 1 ? len : xn_rng_below(&rng, len);
        uint8_t was = body[at];
        uint64_t ask;

        body[at] ^= (uint8_t)(1 + xn_rng_below(&rng, 255));
        ask = crank_ask_raw(&s->c, "POST", path, body, cut, &by->caller);
        shop_serve(s);
        shop_refused(s, ask, NULL);
        body[at] = was;
    }
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__ISSUED_ORDER);
    assert_int_equal(shop_balance(s), 4 * GBP);
    assert_int_equal(s->c.n_pending, 0);
    shop_audit(s);
    free(body);
    deal_clear(&d);
}

/* What is larger than it may be is refused before it is looked at. */
static void too_large(void **state)
{
    struct shop *s = *state;
    Xn__Charge charge = XN__CHARGE__INIT;
    Xn__Validate validate = XN__VALIDATE__INIT;
    ProtobufCBinaryData narrowings[9];
    uint8_t *bytes = calloc(1, 9000), session[32] = {1};
    uint64_t ask;

    assert_non_null(bytes);
    charge.claim = (ProtobufCBinaryData){8193, bytes};
    ask = ask_body(s, "/v1/charge", &charge, &s->server[0]);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ETOOBIG);
    charge.claim.len = 9000;
    ask = ask_body(s, "/v1/charge", &charge, &s->server[0]);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ETOOBIG);
    charge.claim.len = 0;
    ask = ask_body(s, "/v1/charge", &charge, &s->server[0]);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EINVAL);
    for (int i = 0; i < 9; i++)
        narrowings[i] = (ProtobufCBinaryData){1, bytes};
    validate.narrowings = narrowings;
    validate.n_narrowings = 9;
    validate.session = (ProtobufCBinaryData){32, session};
    validate.order = validate.quote = narrowings[0];
    ask = ask_body(s, "/v1/validate", &validate, &s->server[0]);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EMONEY);
    free(bytes);
}

/* ---- policies ---- */

static void shares(struct corp_config *config)
{
    config->prepay = corp_prepay_find("setup");
    config->payout = corp_payout_find("share");
    config->share_ppm = 25000; /* 2.5 % */
}

static void prepaid_and_shared(void **state)
{
    struct shop s;
    struct deal d;
    xn_id income;

    shop_open(&s, shares);
    deal_made(&s, &d, GBP);
    assert_int_equal(d.acceptance.doc.acceptance.prepaid, 10000);
    assert_int_equal(shop_earned(&s, &s.server[0]), 9750);
    shop_pass(&s, HOUR_US);
    /* The receipt tells the charge; what was prepaid is not paid again. */
    assert_int_equal(deal_charge(&s, &d, 0, MONEY_RUNNING), 10000);
    assert_int_equal(shop_earned(&s, &s.server[0]), 9750);
    deal_charge(&s, &d, HOUR_US, MONEY_FINAL);
    order_house(&s.corp_id, 'i', "GBP", &income);
    assert_int_equal(shop_stored(&s, &income), 470000 * 25 / 1000);
    assert_int_equal(shop_earned(&s, &s.server[0]),
                     470000 - 470000 * 25 / 1000);
    assert_int_equal(shop_balance(&s), 5 * GBP - 470000);
    shop_audit(&s);
    deal_clear(&d);
    shop_close(&s);
}

/* A core made from its recorded configuration has the same policies. */
static void packed_policies(void **state)
{
    struct shop s;
    struct deal d;
    struct xn_core *core = NULL;
    uint8_t *bytes = NULL;
    size_t len;

    shop_open(&s, shares);
    assert_int_equal(corp_config_pack(&s.config, &bytes, &len), 0);
    crank_stop(&s.c);
    assert_int_equal(corp_new_packed(bytes, len, 7, &core), 0);
    free(bytes);
    s.c.core = core;
    crank_wake(&s.c);
    shop_serve(&s);
    deal_made(&s, &d, GBP);
    assert_int_equal(d.acceptance.doc.acceptance.prepaid, 10000);
    assert_int_equal(shop_earned(&s, &s.server[0]), 9750);
    deal_clear(&d);
    shop_close(&s);
}

static void policy_tables(void **state)
{
    const struct corp_payout *share = corp_payout_find("share");
    int64_t before = 0;

    assert_null(corp_prepay_find("much"));
    assert_null(corp_payout_find(""));
    for (int64_t paid = 0; paid < 3000; paid++) {
        int64_t fee = share->fee(paid, 333333);

        assert_true(fee >= before && fee - before <= 1 && fee <= paid);
        before = fee;
    }
    assert_int_equal(share->fee(INT64_MAX, 1000000), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(a_sale),
        SHOP_TEST(surplus_goes_back),
        SHOP_TEST(issue_is_credit_checked),
        SHOP_TEST(two_orders_for_one_purse),
        SHOP_TEST(asked_twice_issued_once),
        SHOP_TEST(void_and_validate),
        SHOP_TEST(others_orders),
        SHOP_TEST(stop_then_release),
        SHOP_TEST(ends_by_itself),
        SHOP_TEST(who_may),
        SHOP_TEST(malformed_orders),
        SHOP_TEST(no_ledger),
        SHOP_TEST(lists_in_pages),
        SHOP_TEST(garbled),
        SHOP_TEST(too_large),
        cmocka_unit_test(prepaid_and_shared),
        cmocka_unit_test(packed_policies),
        cmocka_unit_test(policy_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
