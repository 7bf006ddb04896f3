/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes that nobody can dial: they own nothing, and ask and answer over the
 * links that they dialled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "tests/unit/ov_net.h"

/* Every `each`-th node is a guest, but the first. */
static struct net *start(uint32_t nodes, uint32_t each, uint32_t links_max,
                         bool handle_per_link)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = links_max,
                                      .leaves = 8,
                                      .handle_per_link = handle_per_link,
                                      .seed = nodes};
    struct net *net = net_new(&config);
    uint32_t i;

    for (i = 0; i < nodes; i++) {
        net->node[i].guest = i % each == 1;
        net_start(net, i, 0);
        net_run(net, SEC / 10);
    }
    return net;
}

static void expect_right(struct net *net, uint32_t from, uint32_t copy)
{
    struct asked asked;
    xn_id key;

    net_key(net, &key);
    net_ask(net, from, &key, copy, 10 * SEC, &asked);
    net_run(net, 11 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    assert_int_equal(asked.by, net_nearest(net, &key, copy));
}

static void expect_guests(struct net *net)
{
    uint32_t i, k;
    xn_peer peer;
    xn_id key;

    for (i = 0; i < net->config.nodes; i++) {
        struct node *node = &net->node[i];

        assert_int_equal(ov_is_guest(node->ov), node->guest);
        if (!node->guest) continue;
        assert_int_equal(node->dialled, 0);
        assert_false(ov_is_member(node->ov, &net->now));
        assert_int_equal(ov_leaves(node->ov, &peer), 0);
        for (k = 0; k < 100; k++) {
            net_key(net, &key);
            assert_false(ov_holds(node->ov, &key));
            assert_int_equal(ov_nearest(node->ov, &key, 1, &peer), 1);
            assert_int_not_equal(peer, XN_PEER_SELF);
        }
    }
}

static void mesh(bool handle_per_link)
{
    struct net *net = start(24, 3, 512, handle_per_link);
    uint32_t i, copy;

    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 60 * SEC);
    expect_guests(net);
    for (i = 0; i < net->config.nodes; i++) {
        for (copy = 0; copy < 3; copy++)
            expect_right(net, i, copy);
    }
    net_free(net);
}

static void test_mesh(void **state)
{
    (void)state;
    mesh(false);
    mesh(true);
}

static void test_above_the_budget(void **state)
{
    struct net *net = start(90, 5, 40, false);
    uint32_t i;

    (void)state;
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 120 * SEC);
    expect_guests(net);
    for (i = 0; i < net->config.nodes; i++)
        expect_right(net, i, i % 3);
    net_free(net);
}

static void traced(void *user, void *ctx, const struct xn_now *now,
                   const struct ov_trace *trace, struct xn_out *out)
{
    unsigned *owners = ctx;

    (void)user, (void)now, (void)out;
    *owners += trace->end == XN__TRACE_END__TRACE_OWNER;
}

/* Also of keys that nobody is nearer to than the guest itself. */
static void test_traces(void **state)
{
    struct net *net = start(12, 3, 512, true);
    unsigned owners = 0, i;
    xn_id key;

    (void)state;
    net_run(net, 60 * SEC);
    for (i = 0; i < 20; i++) {
        struct xn_out *out = net_begin(net, 1);

        net_key(net, &key);
        if (i == 0) key = net->node[1].contact.position;
        assert_int_equal(ov_trace(net->node[1].ov, &net->now, &key, 0,
                                  &net->node[1].contact.id,
                                  net->now.mono_us + 10 * SEC, traced, &owners,
                                  out),
                         0);
        net_end(net, 1);
        net_run(net, 11 * SEC);
    }
    assert_int_equal(owners, 20);
    net_free(net);
}

/* Over the link that it dialled. */
static void test_is_asked(void **state)
{
    struct net *net = start(6, 3, 512, true);
    struct ov_peer peer = {.guest = false};
    struct asked asked;
    size_t i, guests = 0;

    (void)state;
    net_run(net, 60 * SEC);
    net_ask_peer(net, 0, 1, 10 * SEC, &asked);
    net_run(net, 11 * SEC);
    assert_int_equal(asked.rc, 0);
    assert_int_equal(asked.by, 1);
    for (i = 0; ov_peer(net->node[0].ov, i, &peer); i++) {
        assert_int_equal(peer.guest, i >= ov_links(net->node[0].ov));
        assert_int_equal(!peer.guest, peer.address[0] != '\0');
        guests += peer.guest;
    }
    assert_int_equal(guests, 2);
    net_free(net);
}

static size_t guests_of(const struct net *net, uint32_t i)
{
    struct ov_load load;

    ov_load(net->node[i].ov, &load);
    return load.guests;
}

static size_t guests_in(const struct net *net)
{
    size_t n = 0;

    for (uint32_t i = 1; i < net->config.nodes; i++)
        n += net->node[i].guest && net->node[i].up &&
             ov_links(net->node[i].ov) > 0;
    return n;
}

static struct net *crowd(uint32_t nodes, uint32_t guests, uint32_t links_max)
{
    const struct net_config config = {
        .nodes = nodes, .links_max = links_max, .leaves = 8, .seed = 3};
    struct net *net = net_new(&config);

    net->check_every = 8;
    net_start(net, 0, 0);
    for (uint32_t i = 1; i <= guests; i++) {
        net->node[i].guest = true;
        net_start(net, i, 0);
    }
    net_run(net, 20 * SEC);
    return net;
}

/* The first host lets no more in than its budget and a quarter; who goes leaves
 * his place, at last who goes without a word. */
static void test_bound(void **state)
{
    struct net *net = crowd(54, 53, 40);
    uint32_t i, silent;

    (void)state;
    assert_int_equal(guests_of(net, 0), 50);
    assert_int_equal(guests_in(net), 50);
    for (i = 1; ov_links(net->node[i].ov) == 0; i++)
        ;
    net_crash(net, i, true);
    net_run(net, 121 * SEC);
    assert_int_equal(guests_of(net, 0), 50);
    for (i = 1, silent = 0; silent < 2; i++) {
        if (!net->node[i].up || ov_links(net->node[i].ov) == 0) continue;
        net_crash(net, i, false);
        silent++;
    }
    net_run(net, 120 * SEC);
    assert_int_equal(guests_in(net), 48);
    net_run(net, 300 * SEC);
    assert_int_equal(guests_in(net), 50);
    expect_right(net, 0, 0);
    net_free(net);
}

/* Who stands on the ring comes first. */
static void test_ring_first(void **state)
{
    struct net *net = crowd(37, 24, 16);
    uint32_t i;

    (void)state;
    assert_int_equal(guests_of(net, 0), 24);
    for (i = 25; i < 37; i++) {
        net_start(net, i, 0);
        net_run(net, SEC);
    }
    net_run(net, 360 * SEC);
    assert_int_equal(ov_links(net->node[0].ov), 12);
    assert_true(guests_of(net, 0) <= 12);
    /* All together want more than there is: each goes in with fewer, and does
     * not knock all the time. */
    assert_int_equal(guests_in(net), 24);
    for (i = 1; i <= 24; i++)
        assert_in_range(ov_stats(net->node[i].ov)->dials, 1, 400);
    net_free(net);
}

/* A mesh stays one, whatever a guest says of its own room. */
static void test_full(void **state)
{
    struct net *net = start(6, 3, 512, true);
    Xn__Hello hello = XN__HELLO__INIT;
    struct xn_msg *msg;

    (void)state;
    net_run(net, 60 * SEC);
    assert_int_equal(guests_of(net, 0), 2);
    hello.version = 1;
    hello.full = true;
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &hello, &msg), 0);
    assert_true(net_inject(net, 0, 1, msg));
    xn_msg_free(msg);
    assert_int_equal(guests_of(net, 0), 1);
    assert_true(ov_is_mesh(net->node[0].ov, &net->now));
    net_free(net);
}

/* A guest that has the links it wants asks for no more; one that has not does. */
static void test_asks_for_some(void **state)
{
    struct net *net = start(24, 12, 512, true), *few = start(6, 6, 512, true);

    (void)state;
    net_run(net, 60 * SEC);
    net_run(few, 60 * SEC);
    assert_true(net->node[1].ov->grown);
    net->node[1].peers_said = few->node[1].peers_said = 0;
    net_run(net, 300 * SEC);
    net_run(few, 300 * SEC);
    assert_int_equal(net->node[1].peers_said, 0);
    assert_true(few->node[1].peers_said > 0);
    net_free(net);
    net_free(few);
}

/* One peer's word makes it want fewer links for a while, not for good. */
static void test_turned_away(void **state)
{
    struct net *net = start(24, 3, 512, true);
    Xn__Leave leave = XN__LEAVE__INIT;
    struct xn_msg *msg;

    (void)state;
    net_run(net, 60 * SEC);
    assert_int_equal(links_wanted(net->node[1].ov), 16);
    leave.shed = true;
    assert_int_equal(xn_msg_new(XN__KIND__LEAVE, &leave, &msg), 0);
    assert_true(net_inject(net, 1, 0, msg));
    xn_msg_free(msg);
    assert_int_equal(links_wanted(net->node[1].ov), 4);
    net_run(net, 20 * 45 * SEC);
    assert_int_equal(links_wanted(net->node[1].ov), 16);
    assert_in_range(ov_links(net->node[1].ov), 12, 21);
    net_free(net);
}

static void test_no_neighbours(void **state)
{
    struct net *net = start(6, 3, 512, true);

    (void)state;
    net_run(net, 60 * SEC);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(
            ring_is_leaf(net->node[i].ov, &net->node[0].contact.position),
            !net->node[i].guest);
    net_free(net);
}

/* No link of a guest's is silent for so long that a NAT would forget it. */
static void test_keeps_open(void **state)
{
    enum { QUIET_S = 600, WITHIN_S = 70 };
    struct net *net = start(24, 24, 512, true);
    struct ov_peer peer = {.guest = false};
    uint32_t i, s;
    size_t links;

    (void)state;
    net_run(net, 120 * SEC);
    links = ov_links(net->node[1].ov);
    assert_true(links >= 16);
    for (s = 0; s < QUIET_S; s += 10) {
        net_run(net, 10 * SEC);
        for (i = 0; ov_peer(net->node[1].ov, i, &peer); i++)
            assert_true(net->now.mono_us - peer.heard_us < WITHIN_S * SEC);
        assert_int_equal(i, links);
    }
    net_free(net);
}

/* Its links tell nothing of how dense nodes are: each search of its own asks
 * them all. */
static void test_secure(void **state)
{
    const struct net_config config = {.nodes = 60,
                                      .links_max = 24,
                                      .leaves = 4,
                                      .handle_per_link = true,
                                      .secure = true,
                                      .seed = 5};
    struct net *net = net_new(&config);
    const struct ov_stats *stats;
    uint32_t i;

    (void)state;
    net->check_every = 16;
    for (i = 0; i < config.nodes; i++) {
        net->node[i].guest = i == 7;
        net_start(net, i, 0);
        net_run(net, SEC / 10);
    }
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 60 * SEC);
    for (i = 0; i < 8; i++)
        expect_right(net, 7, i % 3);
    stats = ov_stats(net->node[7].ov);
    assert_true(stats->seeks >= 4);
    assert_int_equal(stats->seeks_doubted, stats->seeks);
    net_free(net);
}

/* Alone with its question it says that nobody can be asked, not that there is
 * nobody. */
static void test_alone(void **state)
{
    const struct net_config config = {
        .nodes = 1, .links_max = 512, .leaves = 8, .seed = 3};
    struct net *net = net_new(&config);
    struct asked asked;
    xn_id key;

    (void)state;
    net->node[0].guest = true;
    net_start(net, 0, 0);
    net_run(net, 60 * SEC);
    net_key(net, &key);
    net_ask(net, 0, &key, 0, 5 * SEC, &asked);
    net_run(net, 6 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, XN_ETIMEOUT);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh),
        cmocka_unit_test(test_above_the_budget),
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_is_asked),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_ring_first),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_no_neighbours),
        cmocka_unit_test(test_turned_away),
        cmocka_unit_test(test_asks_for_some),
        cmocka_unit_test(test_keeps_open),
        cmocka_unit_test(test_secure),
        cmocka_unit_test(test_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
