/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members' accounts: the broker pays in and out and gives credit. */
#include "tests/unit/corp_money_kit.h"

static uint64_t ask_change(struct shop *s, const char *path, const void *body)
{
    uint64_t ask = crank_ask(&s->c, "POST", path, body, &s->staff);

    shop_serve(s);
    return ask;
}

static uint64_t ask_credit(struct shop *s, uint8_t word, int64_t micro)
{
    Xn__Credit credit = XN__CREDIT__INIT;
    uint8_t request[32] = {word};

    credit.client = xn_id_bytes(&s->client.id);
    credit.currency = (char *)(uintptr_t) "GBP";
    credit.micro = micro;
    credit.request = (ProtobufCBinaryData){sizeof request, request};
    return ask_change(s, "/v1/credits", &credit);
}

static uint64_t ask_pay_out(struct shop *s, uint8_t word, int64_t micro)
{
    Xn__PayOut pay = XN__PAY_OUT__INIT;
    uint8_t request[32] = {word};

    pay.server = xn_id_bytes(&s->server[0].id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = (ProtobufCBinaryData){sizeof request, request};
    return ask_change(s, "/v1/payouts", &pay);
}

static void staff_alone(void **state)
{
    static const char *const paths[] = {"/v1/accounts", "/v1/credits",
                                        "/v1/payouts"};
    struct shop *s = *state;
    Xn__PayIn pay = XN__PAY_IN__INIT;
    uint8_t word[32] = {3};
    uint64_t ask;

    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = GBP;
    pay.request = (ProtobufCBinaryData){32, word};
    for (size_t i = 0; i < 3; i++) { /* the three look alike on the wire */
        pay.client = xn_id_bytes(&s->client.id);
        pay.micro = GBP;
        ask = crank_ask(&s->c, "POST", paths[i], &pay, &s->client.caller);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
        ask = crank_ask(&s->c, "POST", paths[i], &pay, &s->server[0].caller);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EPERM);
        pay.client = xn_id_bytes(&s->stranger.id); /* not registered */
        ask = ask_change(s, paths[i], &pay);
        assert_int_equal(shop_refused(s, ask, NULL), XN_ENOENT);
        pay.micro = -GBP;
        ask = ask_change(s, paths[i], &pay);
        assert_int_equal(shop_refused(s, ask, NULL), XN_EINVAL);
    }
    shop_audit(s);
}

static void credit_is_spent_and_ended(void **state)
{
    struct shop *s = *state;
    int64_t credit = 0;
    uint64_t ask;

    /* It opens the account. */
    assert_int_equal(shop_account(s, ask_credit(s, 1, 4 * GBP), &credit), 0);
    assert_int_equal(credit, 4 * GBP);
    shop_pay_in(s, 1, GBP);
    ask = shop_ask_issue(s, 1, 5 * GBP + 1);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EFUNDS);
    ask = shop_ask_issue(s, 2, 5 * GBP);
    shop_serve(s);
    assert_int_equal(shop_balance(s), -4 * GBP);
    /* Ended: what is owed stays owed, and nothing more goes out. */
    assert_int_equal(shop_account(s, ask_credit(s, 2, 0), &credit), -4 * GBP);
    assert_int_equal(credit, 0);
    /* The first grant once more is an old word. */
    assert_int_equal(shop_account(s, ask_credit(s, 1, 4 * GBP), &credit),
                     -4 * GBP);
    assert_int_equal(credit, 0);
    shop_pay_in(s, 2, 4 * GBP);
    ask = shop_ask_issue(s, 3, 1);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EFUNDS);
    shop_audit(s);
}

/* One word cannot mean two things. */
static void words_are_spent(void **state)
{
    struct shop *s = *state;

    shop_account(s, ask_credit(s, 1, GBP), NULL);
    assert_int_equal(shop_refused(s, ask_credit(s, 1, 2 * GBP), NULL),
                     XN_ECONFLICT);
    assert_int_equal(shop_refused(s, ask_pay_out(s, 1, 0), NULL), XN_EINVAL);
}

static void servers_are_paid_out(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t ask;

    shop_enrol(s, &s->server[0]);
    assert_int_equal(shop_refused(s, ask_pay_out(s, 1, 1), NULL), XN_EFUNDS);
    deal_ordered(s, &d, 5 * GBP);
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    deal_charge(s, &d, HOUR_US, MONEY_RUNNING);
    assert_int_equal(shop_earned(s, &s->server[0]), 470000);
    assert_int_equal(shop_refused(s, ask_pay_out(s, 2, 470001), NULL),
                     XN_EFUNDS);
    assert_int_equal(shop_account(s, ask_pay_out(s, 3, 300000), NULL), 170000);
    /* Once for one word. */
    assert_int_equal(shop_account(s, ask_pay_out(s, 3, 300000), NULL), 170000);
    assert_int_equal(shop_refused(s, ask_pay_out(s, 3, 170000), NULL),
                     XN_ECONFLICT);
    /* The server sees what it has earned. */
    ask =
        shop_ask_query(s, "/v1/accounts", "currency=GBP", &s->server[0].caller);
    shop_serve(s);
    assert_int_equal(shop_account(s, ask, NULL), 170000);
    ask =
        shop_ask_query(s, "/v1/accounts", "currency=GBP", &s->server[1].caller);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_ENOENT);
    shop_audit(s);
    deal_clear(&d);
}

/* One key may be a client and a server: what it may spend it has not earned. */
static void credit_is_no_earning(void **state)
{
    struct shop *s = *state;
    Xn__PayOut pay = XN__PAY_OUT__INIT;
    struct shop_member both = s->client;
    uint8_t request[32] = {1};
    uint64_t ask;

    both.caller.role = XN__ROLE__SERVER;
    shop_enrol(s, &both);
    shop_account(s, ask_credit(s, 1, 4 * GBP), NULL);
    pay.server = xn_id_bytes(&both.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = GBP;
    pay.request = (ProtobufCBinaryData){sizeof request, request};
    ask = ask_change(s, "/v1/payouts", &pay);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EFUNDS);
    assert_int_equal(shop_balance(s), 0);
    shop_audit(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(staff_alone),          SHOP_TEST(credit_is_spent_and_ended),
        SHOP_TEST(words_are_spent),      SHOP_TEST(servers_are_paid_out),
        SHOP_TEST(credit_is_no_earning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
