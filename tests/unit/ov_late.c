/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes over a link for one question: an ACK only where the answer is not
 * there soon, unless the asker knows it no other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/ov_net.h"

enum { ASKER, ASKED, NODES, TRIES = 8 };

static struct net *start_gated(bool older, uint64_t gate_us)
{
    const struct net_config config = {
        .nodes = NODES, .links_max = 512, .leaves = 8, .seed = 5};
    struct net *net = net_new(&config);

    net->node[ASKER].lacks = older ? UINT64_MAX : 0;
    net->node[ASKED].gate_us = gate_us;
    net_start(net, ASKED, ASKED);
    net_start(net, ASKER, ASKED);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 60 * SEC);
    return net;
}

static struct net *start(bool older)
{
    return start_gated(older, 0);
}

struct cost {
    uint64_t soon, late, end; /* messages after 0.2, 0.6, 2.5 s */
    uint64_t bytes;
};

/* Now and then something else is said: the least of some tries. */
static struct cost ask(struct net *net)
{
    struct cost least = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

    for (int i = 0; i < TRIES; i++) {
        uint64_t sent = net->sent, bytes = net->sent_bytes;
        struct asked asked = {.calls = 0};
        struct cost cost;

        net_ask_peer(net, ASKER, ASKED, 10 * SEC, &asked);
        net_run(net, SEC / 5);
        cost.soon = net->sent - sent;
        net_run(net, 2 * SEC / 5);
        cost.late = net->sent - sent;
        net_run(net, 19 * SEC / 10);
        cost.end = net->sent - sent;
        cost.bytes = net->sent_bytes - bytes;
        assert_int_equal(asked.calls, 1);
        assert_int_equal(asked.rc, 0);
        assert_int_equal(asked.by, ASKED);
        if (cost.soon < least.soon) least.soon = cost.soon;
        if (cost.late < least.late) least.late = cost.late;
        if (cost.end < least.end) least.end = cost.end;
        if (cost.bytes < least.bytes) least.bytes = cost.bytes;
    }
    return least;
}

static void test_soon(void **state)
{
    struct net *net = start(false), *older = start(true);
    struct cost cost = ask(net), older_cost = ask(older);

    (void)state;
    assert_int_equal(cost.end, 2);
    assert_int_equal(older_cost.end, 2);
    /* Who answers is told by the link, what and how far by the question; two
     * bytes may say how long it took. */
    assert_in_range(older_cost.bytes - cost.bytes, 36, 38);
    net_free(older);
    net_free(net);
}

static void late(uint64_t gate_us)
{
    struct net *net = start_gated(false, gate_us);
    struct ov_peer peer;
    struct cost cost;

    net->node[ASKED].answer = ANSWER_LATER;
    cost = ask(net);
    assert_int_equal(cost.soon, 1);
    assert_int_equal(cost.late, 2);
    assert_int_equal(cost.end, 3);
    assert_int_equal(ov_stats(net->node[ASKER].ov)->rerouted, 0);
    /* It was the ACK that waited, not the way that is long. */
    assert_true(ov_peer(net->node[ASKER].ov, 0, &peer));
    assert_in_range(peer.rtt_us, 1, 100000);
    net_free(net);
}

static void test_late(void **state)
{
    (void)state;
    late(0);
}

/* Nor was it the way that was long while the dial waited for its turn. */
static void test_gated(void **state)
{
    (void)state;
    late(8 * SEC);
}

static void test_older(void **state)
{
    struct net *net = start(true);
    struct cost cost;

    (void)state;
    net->node[ASKED].answer = ANSWER_LATER;
    cost = ask(net);
    assert_int_equal(cost.soon, 2);
    assert_int_equal(cost.end, 3);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_soon),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_older),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
