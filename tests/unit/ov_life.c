/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long nodes live, as a node judges it: from whom it has met, of whom none
 * counts for more than one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
    ov->config.address = "here";
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

static void comes(struct ov *ov, uint64_t at_s, uint32_t n)
{
    struct xn_now now = {at_s * SECOND_US, 0};
    xn_id id = number(n);

    life_back(ov, &now, &id);
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
    life_clear(&ov);
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
    /* 43 x 43 is the first above 3 for each second. */
    assert_int_equal(links_wanted(&ov), 43);
    ov.ring.n = 0;
    life_clear(&ov);
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
    life_clear(&ov);
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
    life_clear(&ov);
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
    assert_int_equal(links_wanted(&ov), LEAVES * 5);
    life_clear(&ov);
}

/* Long-lived nodes of which one ends an hour. */
static struct ov *settled(struct ov *ov)
{
    uint32_t n;

    young(ov)->ring.n = 100;
    for (n = 1; n <= 40; n++)
        ends(ov, 3600 * n, n);
    assert_int_equal(life_seen_s(ov), 100 * 3600);
    assert_int_equal(links_wanted(ov), BUDGET);
    return ov;
}

/* All at once, or one after the other as silence is noticed: that was our
 * network, or many machines together, and no life. */
static void test_a_burst_is_ours(void **state)
{
    static const uint32_t per_s[] = {100, 20};
    struct ov ov;
    uint32_t i, n;

    (void)state;
    for (i = 0; i < 2; i++) {
        settled(&ov);
        for (n = 0; n < 100; n++) {
            ends(&ov, 41 * 3600 + n / per_s[i], 100 + n);
            ov.ring.n--;
        }
        assert_in_range(life_seen_s(&ov), 90 * 3600, 110 * 3600);
        assert_int_equal(links_wanted(&ov), BUDGET);
        life_clear(&ov);
    }
}

/* As fast as under much churn, that is no burst. */
static void test_churn_is_none(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov)->ring.n = 100;
    for (n = 0; n < 600; n++)
        ends(&ov, n + 1, n);
    assert_in_range(life_seen_s(&ov), 90, 110);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* A hundred that come and go in turn, to have us believe that all do. */
static void test_some_come_and_go(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    settled(&ov);
    for (n = 0; n < 20000; n++)
        ends(&ov, 41 * 3600 + 4 * n, 1000 + n % 100);
    assert_true(life_seen_s(&ov) > 10 * 3600);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* All are restarted, one after the other: no node ends. */
static void test_who_comes_back_did_not_end(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    young(&ov)->ring.n = 100;
    for (n = 1; n <= 100; n++) {
        ends(&ov, 4 * n, n);
        comes(&ov, 4 * n + 3, n);
    }
    assert_int_equal(life_seen_s(&ov), 0);
    /* After a while that is another life; and who comes and goes at once all the
     * time has none of the others forgotten. */
    ends(&ov, 500, 200);
    for (n = 0; n < 50; n++) {
        ends(&ov, 501 + n / 10, 300);
        comes(&ov, 501 + n / 10, 300);
    }
    comes(&ov, 600, 200);
    assert_int_equal(ov.life.ends, 1);
    ends(&ov, 601, 200);
    assert_int_equal(ov.life.ends, 1);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* Half of all go in a burst, and come back: of it nothing counts, nor is any of
 * what was counted before taken back. */
static void test_a_burst_comes_back(void **state)
{
    struct ov ov;
    uint32_t n;

    (void)state;
    settled(&ov);
    for (n = 0; n < 50; n++)
        ends(&ov, 41 * 3600 + n / 20, 100 + n);
    assert_int_equal(ov.life.ends, 40);
    for (n = 0; n < 50; n++)
        comes(&ov, 41 * 3600 + 5, 100 + n);
    assert_int_equal(ov.life.ends, 40);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* Stopped for an hour: what is found ended then did not end with its node, and
 * nobody knows how long it stood. */
static void test_a_gap_is_ours(void **state)
{
    struct xn_now now = {0, 0};
    struct ov ov;
    uint32_t n;

    (void)state;
    settled(&ov)->ring.n = 5; /* too few for a burst */
    ov.watch_us = 40 * 3600 * SECOND_US + 4 * SECOND_US;
    ends(&ov, 41 * 3600, 100);
    ov.watch_us = 0; /* it has run meanwhile */
    for (n = 1; n < 5; n++)
        ends(&ov, 41 * 3600 + 9 * n, 100 + n);
    assert_int_equal(ov.life.ends, 40);
    assert_in_range(life_seen_s(&ov), 100 * 3600, 100 * 3600 + 10);
    /* Later they count again. */
    now.mono_us = (41 * 3600 + 100) * SECOND_US;
    life_count(&ov, &now);
    ends(&ov, 41 * 3600 + 101, 200);
    assert_int_equal(ov.life.ends, 41);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* The neighbour is looked at each thousandth of a life, from 5 to 15 s. */
static void test_watch(void **state)
{
    struct xn_now now = {360 * SECOND_US, 0};
    struct ov ov;
    uint32_t n;

    (void)state;
    assert_int_equal(life_watch_us(young(&ov)), 5 * SECOND_US);
    ov.ring.n = 100;
    life_count(&ov, &now);
    assert_int_equal(life_watch_us(&ov), 15 * SECOND_US);
    for (n = 0; n < 39; n++)
        ends(&ov, 360 + 6 * n, n);
    assert_in_range(life_watch_us(&ov), 14 * SECOND_US, 15 * SECOND_US - 1);
    for (; n < 60; n++)
        ends(&ov, 600, 100 + n);
    assert_in_range(life_watch_us(&ov), 9 * SECOND_US, 11 * SECOND_US);
    ov.ring.n = 0;
    life_clear(&ov);
}

/* A position so many 256ths around the ring, and a little. */
static struct hint *hear(struct ov *ov, uint8_t part, uint8_t more)
{
    struct xn_now now = {SECOND_US, 0};
    xn_id id = number(256U * part + more), position = {{part, more}};
    char address[8];

    snprintf(address, sizeof address, "n%u", 256U * part + more);
    return hint_add(ov, &now, &id, &position, address, true);
}

/* Two are beside each other, the third is nearer to us than these: whoever of
 * the two is dialled first, the other one comes last. */
static void test_links_lie_apart(void **state)
{
    struct xn_now now = {2 * SECOND_US, 0};
    struct hint *hint, *third;
    struct xn_rng rng;
    struct ov ov;
    uint64_t i;

    (void)state;
    young(&ov)->config.address = ""; /* without neighbours */
    xn_rng_seed(&rng, 1);
    ov.rng = &rng;
    hear(&ov, 128, 0);
    hear(&ov, 128, 1);
    third = hear(&ov, 64, 0);
    for (i = 1; i <= 3; i++) {
        hint = hint_pick(&ov, &now);
        assert_non_null(hint);
        assert_int_equal(hint == third, i == 2);
        dial_begun(&ov, &now, hint, i);
    }
    while (ov.dials)
        dial_over(&ov, ov.dials);
    hints_clear(&ov);
    life_clear(&ov);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_knows),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_one_node_ends_once),
        cmocka_unit_test(test_one_node_has_one_word),
        cmocka_unit_test(test_the_middle_word_counts),
        cmocka_unit_test(test_a_burst_is_ours),
        cmocka_unit_test(test_churn_is_none),
        cmocka_unit_test(test_some_come_and_go),
        cmocka_unit_test(test_who_comes_back_did_not_end),
        cmocka_unit_test(test_a_burst_comes_back),
        cmocka_unit_test(test_a_gap_is_ours),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_links_lie_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
