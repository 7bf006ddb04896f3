/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways round who says that there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"
#include "tests/unit/ov_net.h"

enum { NODES = 160, LEAVES = 4 };

static struct net *start(void)
{
    const struct net_config config = {.nodes = NODES,
                                      .links_max = 24,
                                      .leaves = LEAVES,
                                      .handle_per_link = true,
                                      .seed = 5};
    struct net *net = net_new(&config);

    net->check_every = 64;
    for (uint32_t i = 0; i < NODES; i++) {
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 60 * SEC);
    return net;
}

static struct asked ask(struct net *net, const xn_id *key)
{
    struct asked asked;

    net_ask(net, 0, key, 0, 20 * SEC, &asked);
    net_run(net, 10 * SEC);
    assert_int_equal(asked.calls, 1);
    return asked;
}

/* So many hops from node 0. */
static void far_key(struct net *net, uint32_t hops, xn_id *key_out)
{
    do
        net_key(net, key_out);
    while (ask(net, key_out).hops != hops);
}

/* Whom the last question of node 0 waits for. */
static uint32_t sent_to(const struct net *net)
{
    const struct ov *ov = net->node[0].ov;
    const struct query *q = query_at(ov, ov->queries.n - 1);

    return net_who(net, 0, q->via->peer);
}

/* Who asks goes round it. */
static void test_round(void **state)
{
    struct net *net = start();
    struct asked asked;
    xn_id key;

    (void)state;
    far_key(net, 3, &key);
    net_ask(net, 0, &key, 0, 20 * SEC, &asked);
    net->node[sent_to(net)].refuses = true;
    net_run(net, 10 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    assert_int_equal(asked.by, net_nearest(net, &key, 0));
    net_free(net);
}

static uint64_t sent_on(const struct net *net)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < NODES; i++)
        n += ov_stats(net->node[i].ov)->forwarded;
    return n;
}

/* All who stand beside a key refuse it: each way is tried once, not each way of
 * each hop, and who asks is told in time. */
static void test_refused_beside_the_key(void **state)
{
    struct net *net = start();
    uint64_t before;
    xn_id key;

    (void)state;
    far_key(net, 3, &key);
    for (uint32_t rank = 0; rank < 2 * LEAVES; rank++)
        net->node[net_nearest(net, &key, rank)].refuses = true;
    before = sent_on(net);
    assert_int_equal(ask(net, &key).rc, XN_EUNREACH);
    assert_in_range(sent_on(net) - before, 1, 2 * SENDS_MAX);
    net_free(net);
}

/* What would be the best way is not one to who asks. */
static void test_not_back(void **state)
{
    struct net *net = start();
    struct xn_now now = net->now;
    unsigned n = 0;

    (void)state;
    for (uint32_t i = 0; i < 50 * NODES; i++) {
        struct ov *ov = net->node[i % NODES].ov;
        struct query q = {.deadline_us = UINT64_MAX};
        struct link *best, *link;

        net_key(net, &q.key);
        if (route_is_near(ov, &now, &q) ||
            route_choose(ov, &now, &q, &best) != HOP_ON ||
            route_why(ov, &now, &q, best) == XN__WAY__WAY_NEAREST)
            continue;
        q.from = best;
        assert_int_equal(route_choose(ov, &now, &q, &link), HOP_ON);
        assert_ptr_not_equal(link, best);
        n++;
    }
    assert_true(n > 100);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_refused_beside_the_key),
        cmocka_unit_test(test_not_back),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
