/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overlay below its link budget: everybody linked to everybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/ov_net.h"

static struct net *mesh(uint32_t nodes, bool handle_per_link, uint64_t seed)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = handle_per_link,
                                      .seed = seed};
    struct net *net = net_new(&config);
    uint32_t i;

    for (i = 0; i < nodes; i++)
        net_start(net, i, 0);
    return net;
}

/* Owner and copies of random keys are the same at every node, and right. */
static void expect_agreement(struct net *net, unsigned keys)
{
    unsigned k;
    uint32_t i, r;

    for (k = 0; k < keys; k++) {
        uint32_t truth[4];
        xn_id key;

        net_key(net, &key);
        for (r = 0; r < 4; r++)
            truth[r] = net_nearest(net, &key, r);
        for (i = 0; i < net->config.nodes; i++) {
            struct node *node = &net->node[i];
            xn_peer peers[4];
            size_t n;
            bool holds = false;

            if (!node->up || node->deaf) continue;
            n = ov_nearest(node->ov, &key, 4, peers);
            for (r = 0; r < 4; r++) {
                uint32_t who = r < n ? net_who(net, i, peers[r]) : UINT32_MAX;

                assert_int_equal(who, truth[r]);
                if (r < 3 && who == i) holds = true;
            }
            assert_int_equal(ov_holds(node->ov, &key), holds);
        }
    }
}

static void expect_answers(struct net *net, uint32_t from, unsigned keys)
{
    uint32_t copy;
    unsigned k;

    for (k = 0; k < keys; k++) {
        for (copy = 0; copy < 3; copy++) {
            struct asked asked;
            uint32_t truth;
            xn_id key;

            net_key(net, &key);
            truth = net_nearest(net, &key, copy);
            net_ask(net, from, &key, copy, 10 * SEC, &asked);
            net_run(net, 11 * SEC);
            assert_int_equal(asked.calls, 1);
            if (truth == UINT32_MAX) {
                assert_int_equal(asked.rc, XN_ENOENT);
                continue;
            }
            assert_int_equal(asked.rc, 0);
            assert_int_equal(asked.by, truth);
            assert_true(asked.hops <= 1);
            assert_true(xn_id_eq(&asked.from, &net->node[truth].contact.id));
        }
    }
}

static void forms(uint32_t nodes, bool handle_per_link)
{
    struct net *net = mesh(nodes, handle_per_link, nodes);

    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    print_message("# %u nodes: mesh after %llu ms, %llu messages, %llu KiB\n",
                  nodes,
                  (unsigned long long)(net->now.mono_us / 1000 - 1000000),
                  (unsigned long long)net->sent,
                  (unsigned long long)net->sent_bytes / 1024);
    expect_agreement(net, nodes > 50 ? 20 : 1000);
    expect_answers(net, nodes - 1, 20);
    net_free(net);
}

static void test_alone(void **state)
{
    struct net *net = mesh(1, true, 1);
    struct asked asked;
    xn_id key;

    (void)state;
    net_run(net, 5 * SEC);
    expect_agreement(net, 10);
    net_key(net, &key);
    net_ask(net, 0, &key, 0, SEC, &asked);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.by, 0);
    net_ask(net, 0, &key, 1, SEC, &asked);
    assert_int_equal(asked.rc, XN_ENOENT);
    net_free(net);
}

static void test_mesh_2(void **state)
{
    (void)state;
    forms(2, false);
    forms(2, true);
}

static void test_mesh_3(void **state)
{
    (void)state;
    forms(3, false);
    forms(3, true);
}

static void test_mesh_24(void **state)
{
    (void)state;
    forms(24, false);
    forms(24, true);
}

static void test_mesh_200(void **state)
{
    (void)state;
    forms(200, true);
}

/* One of a version before, two of the next, and ourselves. */
/* Of more nodes than have links where lives are short each is restarted, one
 * after the other: all are linked to all again, for no life was short. */
static void test_rolling_restart(void **state)
{
    struct net *net = mesh(64, true, 12);
    uint32_t i;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    for (i = 0; i < 64; i++) {
        net_run(net, SEC / 2);
        net_leave(net, i);
        net_run(net, SEC / 2);
        net_crash(net, i, true);
        net_start(net, i, (i + 1) % 64);
    }
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_free(net);
}

static void test_versions(void **state)
{
    struct net *net = mesh(4, false, 11);
    uint32_t i;

    (void)state;
    net->node[0].lacks = UINT64_MAX;
    net->node[1].newer = net->node[2].newer = true;
    net->node[3].lacks = OV_FEATURE_SPARE;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    assert_int_equal(ov_features(net->node[3].ov, 0), 0);
    assert_int_equal(ov_features(net->node[0].ov, 3) & OV_FEATURE_SPARE, 0);
    assert_true(ov_features(net->node[3].ov, 1) == UINT64_MAX);
    expect_agreement(net, 20);
    for (i = 0; i < 4; i++) {
        expect_answers(net, i, 5);
        assert_int_equal(ov_stats(net->node[i].ov)->rude, 0);
    }
    net_free(net);
}

/* A question between two peers alone, that the component above answers. */
static void test_lists_are_asked_for(void **state)
{
    const Xn__Revoked revoked = XN__REVOKED__INIT;
    struct net *net = mesh(3, true, 1);
    struct asked asked;
    xn_peer peer;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_ask_peer_of(net, 0, 1, XN__KIND__REVOKED, &revoked, SEC, &asked);
    net_run(net, 2 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    assert_true(net_peer(net, 0, 1, &peer));
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_mesh_2),
        cmocka_unit_test(test_mesh_3),
        cmocka_unit_test(test_mesh_24),
        cmocka_unit_test(test_mesh_200),
        cmocka_unit_test(test_rolling_restart),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_lists_are_asked_for),
    };

    return cmocka_run_group_tests_name("ov_mesh", tests, NULL, NULL);
}
