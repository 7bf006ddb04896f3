/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders at the XenoCorp: issued, accepted once, charged, stopped, released. */
#include "tests/unit/corp_money_kit.h"

#define SECOND 1000000ULL

/* ---- a whole sale ---- */

static void a_sale(void **state)
{
    struct shop *s = *state;
    struct deal d;
    int64_t first, rest, fenced = 0;

    shop_pay_in(s, 1, 20 * GBP);
    assert_int_equal(shop_balance(s), 20 * GBP);
    deal_begin(s, &d, 1, 5 * GBP, &s->server[0]);
    assert_int_equal(shop_balance(s), 15 * GBP);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__ISSUED_ORDER);
    assert_int_equal(fenced, 5 * GBP);
    deal_validate(s, &d);
    crank_pass(&s->c, HOUR_US);
    shop_serve(s);
    /* 0.01 + 0.1 an hour + 3600 CPU seconds at 0.0001 */
    first = deal_charge(s, &d, HOUR_US, MONEY_RUNNING);
    assert_int_equal(first, 470000);
    assert_int_equal(shop_earned(s, &s->server[0]), 470000);
    crank_pass(&s->c, HOUR_US);
    shop_serve(s);
    rest = deal_charge(s, &d, 2 * HOUR_US, MONEY_FINAL);
    assert_int_equal(rest, 460000);
    /* The last claim gives back what is left. */
    assert_int_equal(shop_balance(s), 20 * GBP - 930000);
    assert_int_equal(shop_earned(s, &s->server[0]), 930000);
    assert_int_equal(deal_fate(s, &d, &fenced), XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
    assert_int_equal(shop_records(s, 'E'), 0);
    shop_expect_sum(s);
    deal_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sale, shop_set_up, shop_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
