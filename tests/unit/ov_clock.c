/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose clock is wrong knows it; who is right does not come to doubt it, for
 * all that few others say, or that was said before clocks were set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/ov_net.h"

#define HOUR_S 3600
#define HOUR_US (HOUR_S * SEC)

enum { FEW = 6, MANY = 70, LIARS = 32 };

/* The clocks of the first `n_wrong` are so far ahead. */
static struct net *start_of(const struct net_config *config, uint32_t n_wrong,
                            uint64_t ahead_us)
{
    struct net *net = net_new(config);
    uint32_t i;

    for (i = 0; i < config->nodes; i++) {
        if (i < n_wrong) net->node[i].ahead_us = ahead_us;
        net_start(net, i, 0);
    }
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 30 * SEC);
    return net;
}

static struct net *start(uint32_t nodes, uint32_t n_wrong, uint64_t ahead_us)
{
    const struct net_config config = {
        .nodes = nodes, .links_max = 512, .leaves = 8, .seed = 3};

    return start_of(&config, n_wrong, ahead_us);
}

static int64_t off_s(const struct net *net, uint32_t i)
{
    return ov_clock_off_s(net->node[i].ov);
}

static void assert_right(const struct net *net)
{
    uint32_t i;

    for (i = 0; i < net->config.nodes; i++)
        assert_int_equal(off_s(net, i), 0);
}

/* As where all hosts were suspended. */
static void test_all_set(void **state)
{
    struct net *net = start(FEW, 0, 0);
    uint32_t i;

    (void)state;
    net->now.wall_us += HOUR_US;
    net_run(net, 60 * SEC);
    assert_right(net);
    for (i = 0; i < FEW; i++)
        assert_int_equal(net->node[i].misdated, 1);
    net_free(net);
}

static void test_set_back(void **state)
{
    struct net *net = start(FEW, 1, HOUR_US);

    (void)state;
    assert_int_equal(off_s(net, 0), HOUR_S);
    assert_int_equal(off_s(net, 1), 0);
    net->node[0].ahead_us = 0;
    net_run(net, 20 * SEC);
    assert_right(net);
    assert_int_equal(net->node[0].misdated, 1);
    assert_int_equal(net->node[1].misdated, 0);
    net_free(net);
}

/* It is told anew, so one that is set wrong while it runs knows it, too. */
static void test_set_wrong(void **state)
{
    struct net *net = start(FEW, 0, 0);

    (void)state;
    net->node[0].ahead_us = (uint64_t)-HOUR_US;
    net_run(net, 20 * SEC);
    assert_int_equal(off_s(net, 0), -HOUR_S);
    assert_int_equal(off_s(net, 1), 0);
    net_free(net);
}

/* Most of them find the time, and the one that had it has never been set. */
static void test_others_set(void **state)
{
    struct net *net = start(FEW, FEW - 1, (uint64_t)-HOUR_US);
    uint32_t i;

    (void)state;
    assert_int_equal(off_s(net, FEW - 1), HOUR_S);
    for (i = 0; i < FEW - 1; i++)
        net->node[i].ahead_us = 0;
    net_run(net, 20 * SEC);
    assert_right(net);
    assert_int_equal(net->node[FEW - 1].misdated, 1);
    net_free(net);
}

/* Handles are given out from the lowest up: those who came first. */
static void test_first_links(void **state)
{
    struct net *net = start(MANY, LIARS, HOUR_US);
    uint32_t i;

    (void)state;
    for (i = 0; i < MANY; i++)
        assert_int_equal(off_s(net, i), i < LIARS ? HOUR_S : 0);
    net_free(net);
}

static uint64_t far_us(uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    return SEC * 3 / 5;
}

/* Nobody answers the answer, for ever. */
static void test_quiet(void **state)
{
    const struct net_config config = {.nodes = FEW,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .seed = 3,
                                      .way_us = far_us};
    struct net *set = start_of(&config, 0, 0);
    struct net *not_set = start_of(&config, 0, 0);
    uint64_t sent, more;

    (void)state;
    set->now.wall_us += HOUR_US;
    net_run(set, 5 * SEC);
    net_run(not_set, 5 * SEC);
    sent = set->sent;
    net_run(set, 300 * SEC);
    more = set->sent - sent;
    sent = not_set->sent;
    net_run(not_set, 300 * SEC);
    assert_in_range(more, 0, (not_set->sent - sent) * 11 / 10);
    net_free(not_set);
    net_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_set),     cmocka_unit_test(test_set_back),
        cmocka_unit_test(test_set_wrong),   cmocka_unit_test(test_others_set),
        cmocka_unit_test(test_first_links), cmocka_unit_test(test_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
