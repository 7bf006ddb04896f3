/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long nodes live, as a node judges it: from whom it has met, of whom none
 * counts for more than one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/inside.h"

enum { BUDGET = 512, LEAVES = 8, DAY_S = 86400 };

/* Nothing but what a life is counted in. */
static struct ov *young(struct ov *ov)
{
    memset(ov, 0, sizeof *ov);
    ov->config.links_max = BUDGET;
    ov->config.leaves = LEAVES;
    return ov;
}

static xn_id number(uint32_t n)
{
    xn_id id;

    xn_id_hash(&n, sizeof n, &id);
    return id;
}

static void ends(struct ov *ov, uint64_t at_s, uint32_t n)
{
    struct xn_now now = {at_s * SECOND_US, 0};
    xn_id id = number(n);

    life_ended(ov, &now, &id);
}

static void told(struct ov *ov, uint32_t n, uint32_t life_s)
{
    xn_id id = number(n);

    life_told(ov, &id, life_s);
}

static void test_nobody_knows(void **state)
{
    struct ov ov;

    (void)state;
    assert_int_equal(links_wanted(young(&ov)), BUDGET);
    assert_int_equal(life_seen_s(&ov), 0);
}

static void test_seen(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov)->ring.n = 10;
    for (n = 1; n <= 8; n++)
        ends(&ov, 60 * n, n);
    /* Ten links for 480 s, eight ends. */
    assert_int_equal(life_seen_s(&ov), 600);
    assert_int_equal(links_wanted(&ov), LEAVES * 6);
    ov.ring.n = 0;
}

static void test_one_node_ends_once(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov)->ring.n = 10;
    for (n = 1; n <= 200; n++)
        ends(&ov, n, 7);
    assert_int_equal(life_seen_s(&ov), 0);
    assert_int_equal(links_wanted(&ov), BUDGET);
    for (n = 1; n <= 3; n++)
        ends(&ov, 30 * DAY_S, n);
    assert_true(life_seen_s(&ov) > DAY_S);
    ov.ring.n = 0;
}

static void test_one_node_has_one_word(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov);
    for (n = 0; n < 100; n++)
        told(&ov, 1, 1);
    for (n = 2; n <= 4; n++)
        told(&ov, n, 30 * DAY_S);
    assert_int_equal(links_wanted(&ov), BUDGET);
    /* Who has seen none says nothing. */
    for (n = 10; n < 40; n++)
        told(&ov, n, 0);
    assert_int_equal(links_wanted(&ov), BUDGET);
}

static void test_the_middle_word_counts(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov);
    for (n = 1; n <= 7; n++)
        told(&ov, n, 84);
    for (n = 8; n <= 13; n++)
        told(&ov, n, 30 * DAY_S);
    assert_int_equal(links_wanted(&ov), LEAVES * 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_knows),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_one_node_ends_once),
        cmocka_unit_test(test_one_node_has_one_word),
        cmocka_unit_test(test_the_middle_word_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
