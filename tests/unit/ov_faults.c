/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overlay when things break: crashes seen and silent, lost messages, two
 * dials at once, nodes that come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "tests/unit/ov_net.h"

static struct net *start(uint32_t nodes, bool handle_per_link, unsigned loss)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = handle_per_link,
                                      .loss_percent = loss,
                                      .seed = 7};
    struct net *net = net_new(&config);
    uint32_t i;

    for (i = 0; i < nodes; i++)
        net_start(net, i, 0);
    return net;
}

static struct net *mesh(uint32_t nodes, bool handle_per_link)
{
    struct net *net = start(nodes, handle_per_link, 0);

    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    return net;
}

/* Who follows it on the ring. */
static uint32_t next_of(const struct net *net, uint32_t i)
{
    uint32_t best = UINT32_MAX, j;
    xn_id d, d_best;

    for (j = 0; j < net->config.nodes; j++) {
        if (j == i) continue;
        xn_ring_clockwise(&net->node[i].contact.position,
                          &net->node[j].contact.position, &d);
        if (best != UINT32_MAX && xn_id_cmp(&d, &d_best) >= 0) continue;
        best = j;
        d_best = d;
    }
    return best;
}

/* Every survivor asks; the true owner among those alive must answer. */
static void expect_owners(struct net *net, unsigned keys)
{
    struct asked asked[256];
    uint32_t truth[256], i;
    unsigned k;

    for (k = 0; k < keys; k++) {
        for (i = 0; i < net->config.nodes; i++) {
            xn_id key;

            if (!net->node[i].up || net->node[i].deaf) continue;
            net_key(net, &key);
            truth[i] = net_nearest(net, &key, 0);
            net_ask(net, i, &key, 0, 20 * SEC, &asked[i]);
        }
        net_run(net, 21 * SEC);
        for (i = 0; i < net->config.nodes; i++) {
            if (!net->node[i].up || net->node[i].deaf) continue;
            assert_int_equal(asked[i].calls, 1);
            assert_int_equal(asked[i].rc, 0);
            assert_int_equal(asked[i].by, truth[i]);
        }
    }
}

static void test_crash_seen(void **state)
{
    struct net *net = mesh(24, true);
    uint32_t i;

    (void)state;
    for (i = 5; i < 11; i++)
        net_crash(net, i, true);
    expect_owners(net, 1); /* while the news is under way */
    assert_true(net_is_mesh(net));
    expect_owners(net, 5);
    for (i = 5; i < 11; i++)
        net_start(net, i, i - 4);
    assert_true(net_until(net, 30 * SEC, net_is_mesh));
    expect_owners(net, 2);
    net_free(net);
}

static void crash_silent(bool handle_per_link)
{
    struct net *net = mesh(24, handle_per_link);
    uint32_t i;

    for (i = 3; i < 9; i++)
        net->node[i].deaf = true;
    expect_owners(net, 1);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    print_message("# six silent nodes dropped by all within %llu s\n",
                  (unsigned long long)(net->now.mono_us / SEC - 1000));
    for (i = 3; i < 9; i++)
        net_crash(net, i, false);
    expect_owners(net, 2);
    for (i = 3; i < 9; i++)
        net_start(net, i, 0);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_free(net);
}

static void test_crash_silent(void **state)
{
    (void)state;
    crash_silent(true);
    crash_silent(false);
}

/* Nobody asks anything: the neighbour finds out. */
static void test_silence_found(void **state)
{
    struct net *net = mesh(24, true);

    (void)state;
    net_run(net, 60 * SEC);
    net->node[4].deaf = true;
    assert_true(net_until(net, 20 * SEC, net_is_mesh));
    net_free(net);
}

/* It comes back before anybody noticed. */
static void test_back_at_once(void **state)
{
    struct net *net = mesh(24, true);

    (void)state;
    net_run(net, 60 * SEC);
    net_crash(net, 9, false);
    net_start(net, 9, 3);
    assert_true(net_until(net, 10 * SEC, net_is_mesh));
    expect_owners(net, 2);
    net_free(net);
}

static void both_dial(bool handle_per_link)
{
    const struct net_config config = {.nodes = 2,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = handle_per_link,
                                      .seed = 3};
    struct net *net = net_new(&config);
    uint32_t i;

    net_start(net, 0, 1);
    net_start(net, 1, 0);
    net_join(net, 0, 1);
    net_run(net, SEC);
    assert_true(net_is_mesh(net));
    for (i = 0; i < 2; i++) {
        /* One link is left, and the user was told as much. */
        assert_int_equal(net->node[i].joined - net->node[i].left, 1);
    }
    net_run(net, 60 * SEC);
    assert_true(net_is_mesh(net));
    net_free(net);
}

static void test_both_dial(void **state)
{
    (void)state;
    both_dial(true);
    both_dial(false);
}

static void test_link_breaks(void **state)
{
    struct net *net = mesh(3, true);

    (void)state;
    net_run(net, 60 * SEC);
    net_cut(net, 1, 2);
    net_run(net, SEC / 10);
    assert_false(net_is_mesh(net));
    assert_true(net_until(net, 5 * SEC, net_is_mesh));
    net_free(net);
}

static void test_leave(void **state)
{
    struct net *net = mesh(24, true);
    uint64_t dials = 0;
    uint32_t i;

    (void)state;
    net_leave(net, 6);
    assert_true(net_is_mesh(net));
    for (i = 0; i < 24; i++) {
        if (i != 6) dials += ov_stats(net->node[i].ov)->dials_failed;
    }
    net_run(net, 120 * SEC);
    for (i = 0; i < 24; i++) {
        if (i != 6) dials -= ov_stats(net->node[i].ov)->dials_failed;
    }
    assert_int_equal(dials, 0); /* nobody looks for it */
    net_free(net);
}

static void test_loss(void **state)
{
    struct net *net = start(24, false, 3);
    unsigned k, wrong = 0, unanswered = 0;

    (void)state;
    assert_true(net_until(net, 120 * SEC, net_is_mesh));
    for (k = 0; k < 500; k++) {
        struct asked asked;
        uint32_t truth;
        xn_id key;

        net_key(net, &key);
        truth = net_nearest(net, &key, 0);
        net_ask(net, k % 24, &key, 0, 20 * SEC, &asked);
        net_run(net, 21 * SEC);
        assert_int_equal(asked.calls, 1);
        unanswered += asked.rc != 0;
        wrong += asked.rc == 0 && asked.by != truth;
    }
    print_message("# 3 %% loss: %u of 500 unanswered, %u by another copy\n",
                  unanswered, wrong);
    assert_true(unanswered <= 5);
    assert_int_equal(wrong, 0);
    net_free(net);
}

static void test_slow_answers(void **state)
{
    struct net *net = mesh(24, true);
    uint32_t i;

    (void)state;
    for (i = 0; i < 24; i++)
        net->node[i].answer = ANSWER_LATER;
    expect_owners(net, 2);
    for (i = 0; i < 24; i++) {
        assert_int_equal(ov_stats(net->node[i].ov)->rerouted, 0);
    }
    net_free(net);
}

static void test_no_answer(void **state)
{
    struct net *net = mesh(3, true);
    struct asked asked;

    (void)state;
    net->node[1].answer = ANSWER_NEVER;
    net_ask_peer(net, 0, 1, 5 * SEC, &asked);
    net_run(net, 4 * SEC);
    assert_int_equal(asked.calls, 0);
    net_run(net, 2 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, XN_ETIMEOUT);
    assert_true(net_is_mesh(net)); /* slow, not dead */
    net_ask_peer(net, 0, 1, 60 * SEC, &asked);
    net_run(net, SEC);
    net_crash(net, 1, true);
    net_run(net, SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, XN_EUNREACH);
    net_free(net);
}

static void test_holder_dies(void **state)
{
    struct net *net = mesh(24, true);
    struct asked asked;
    uint32_t owner, second;
    xn_id key;

    (void)state;
    do {
        net_key(net, &key);
        owner = net_nearest(net, &key, 0);
        second = net_nearest(net, &key, 1);
    } while (owner == 0 || second == 0);
    net->node[owner].answer = ANSWER_NEVER;
    net_ask(net, 0, &key, 0, 20 * SEC, &asked);
    net_run(net, SEC);
    assert_int_equal(asked.calls, 0);
    net_crash(net, owner, true); /* it had acknowledged */
    net_run(net, SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    assert_int_equal(asked.by, second);
    net_free(net);
}

/* A key whose first two copies are not node 0. */
static void some_key(struct net *net, xn_id *key, uint32_t *owner,
                     uint32_t *second)
{
    do {
        net_key(net, key);
        *owner = net_nearest(net, key, 0);
        *second = net_nearest(net, key, 1);
    } while (*owner == 0 || *second == 0);
}

/* Nobody takes a slow owner's place, least of all an asker beside it. */
static void test_slow_owner(void **state)
{
    struct net *net = mesh(24, true);
    unsigned k;

    (void)state;
    net_run(net, 60 * SEC);
    for (k = 0; k < 8; k++) {
        struct asked asked[24];
        uint32_t owner, second, i;
        xn_id key;

        some_key(net, &key, &owner, &second);
        net->node[owner].late_us = (k + 1) * SEC / 4;
        for (i = 0; i < 24; i++)
            net_ask(net, i, &key, 0, 20 * SEC, &asked[i]);
        net_run(net, 21 * SEC);
        for (i = 0; i < 24; i++) {
            assert_int_equal(asked[i].calls, 1);
            assert_int_equal(asked[i].rc, 0);
            assert_int_equal(asked[i].by, owner);
        }
        net->node[owner].late_us = 0;
        net_run(net, 60 * SEC);
    }
    assert_true(net_is_mesh(net));
    net_free(net);
}

/* A link breaks between two that live: others are still linked to both. */
static void test_lost_link_is_no_death(void **state)
{
    struct net *net = mesh(24, true);
    unsigned k;

    (void)state;
    net_run(net, 60 * SEC);
    for (k = 0; k < 20; k++) {
        struct asked asked, copy;
        uint32_t owner, second;
        xn_id key;

        some_key(net, &key, &owner, &second);
        net_cut(net, owner, second);
        net_run(net, 1000); /* both have seen it, and did not dial yet */
        net_ask(net, second, &key, 0, 20 * SEC, &asked);
        net_ask(net, second, &key, 1, 20 * SEC, &copy);
        net_run(net, SEC / 5);
        assert_int_equal(asked.calls, 1);
        assert_int_equal(asked.rc, 0);
        assert_int_equal(asked.by, owner);
        net_run(net, 21 * SEC);
        assert_int_equal(copy.calls, 1);
        assert_int_equal(copy.rc, 0);
        assert_true(net_is_mesh(net));
    }
    net_free(net);
}

/* Some silent for good: the next one is the owner once that is sure of all of
 * them, which takes no longer than of one; a kind that any copy may answer does
 * not wait for it. */
static void silent_owners(uint32_t silent, uint32_t askers,
                          uint32_t any_copy_kind, uint64_t within_us)
{
    const struct net_config config = {.nodes = 24,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = true,
                                      .any_copy_kind = any_copy_kind,
                                      .seed = 7};
    struct net *net = net_new(&config);
    struct asked asked[24];
    uint32_t owner, i;
    xn_id key;

    for (i = 0; i < 24; i++)
        net_start(net, i, 0);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 60 * SEC);
    net_key(net, &key);
    for (i = 0; i < silent; i++)
        net->node[net_nearest(net, &key, 0)].deaf = true;
    owner = net_nearest(net, &key, 0);
    for (i = 0; i < askers; i++) {
        if (!net->node[i].deaf) net_ask(net, i, &key, 0, 20 * SEC, &asked[i]);
    }
    net_run(net, within_us);
    for (i = 0; i < askers; i++) {
        if (net->node[i].deaf) continue;
        assert_int_equal(asked[i].calls, 1);
        assert_int_equal(asked[i].rc, 0);
        assert_int_equal(asked[i].by, owner);
    }
    net_run(net, 21 * SEC);
    net_free(net);
}

static void test_silent_owner(void **state)
{
    (void)state;
    silent_owners(1, 24, 0, 8 * SEC);
    silent_owners(3, 1, 0, 8 * SEC);
}

static void test_any_copy(void **state)
{
    (void)state;
    silent_owners(1, 24, XN__KIND__FIND, 4 * SEC);
}

/* While it joins it takes for its own only what is. */
static void test_newcomer(void **state)
{
    struct net *net = start(24, true, 0);
    unsigned k, own = 0;

    (void)state;
    net_run(net, 60 * SEC);
    net_crash(net, 9, true);
    net_run(net, 60 * SEC);
    net_start(net, 9, 3);
    for (k = 0; k < 1000; k++) {
        struct asked asked;
        xn_id key;

        net_key(net, &key);
        net_ask(net, 9, &key, 0, 20 * SEC, &asked);
        net_run(net, 300);
        while (!asked.calls)
            net_run(net, 300);
        assert_int_equal(asked.rc, 0);
        own += asked.by == 9;
        if (asked.by == 9) assert_int_equal(net_nearest(net, &key, 0), 9);
    }
    assert_true(own > 0);
    net_free(net);
}

/* Of two, one loses the other: no third one to ask, so a dial has to tell. */
static void test_last_of_two(void **state)
{
    struct net *net = mesh(2, true);
    struct asked asked;
    xn_id key;

    (void)state;
    net_run(net, 60 * SEC);
    do {
        net_key(net, &key);
    } while (net_nearest(net, &key, 0) != 1);
    net_cut(net, 0, 1);
    net_run(net, 1000);
    net_ask(net, 0, &key, 0, 20 * SEC, &asked);
    net_run(net, 2 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.by, 1); /* it lives: linked again */
    net_crash(net, 1, true);
    net_run(net, 10000);
    net_ask(net, 0, &key, 0, 20 * SEC, &asked);
    net_run(net, 2 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.by, 0);
    net_free(net);
}

/* Whom we asked in doubt is gone as well: that is no answer. */
static void test_witness_dies(void **state)
{
    struct net *net = mesh(3, true);
    struct asked asked;
    xn_id key;

    (void)state;
    net_run(net, 60 * SEC);
    net_key(net, &key);
    net_crash(net, 2, true);
    net_run(net, 10000);
    net_ask(net, 0, &key, 2, 20 * SEC, &asked); /* there are but two now */
    assert_int_equal(ov_stats(net->node[0].ov)->doubted, 1);
    net_crash(net, 1, true);
    net_run(net, 21 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, XN_EUNREACH);
    net_free(net);
}

/* Two that follow each other fall silent, and the one before them happens to
 * lose the farther one first: it was the nearer one's to tell of. */
static void test_watcher_dies_too(void **state)
{
    struct net *net = mesh(12, true);
    uint32_t before, first, second, i;
    struct asked asked;
    xn_peer peer;

    (void)state;
    net_run(net, 30 * SEC);
    before = 0;
    first = next_of(net, before);
    second = next_of(net, first);
    net->node[first].deaf = net->node[second].deaf = true;
    net_ask_peer(net, before, second, 4 * SEC, &asked);
    assert_true(net_peer(net, before, second, &peer));
    net_run(net, 60 * SEC);
    for (i = 0; i < net->config.nodes; i++) {
        if (i == first || i == second) continue;
        assert_false(net_peer(net, i, first, &peer));
        assert_false(net_peer(net, i, second, &peer));
    }
    net_free(net);
}

/* Above the budget a node's watcher tells its own neighbours of its death. Who
 * is none of these and still linked to it is told by whom it asks for
 * neighbours, naming it. */
static void test_dead_link(void **state)
{
    enum { ALL = 12 };
    const struct net_config config = {.nodes = ALL,
                                      .links_max = 512,
                                      .leaves = 3,
                                      .handle_per_link = true,
                                      .seed = 7};
    struct net *net = net_new(&config);
    Xn__Peers peers = XN__PEERS__INIT;
    uint32_t in_order[ALL], i;
    struct xn_msg *msg;
    xn_peer peer;

    (void)state;
    for (i = 0; i < ALL; i++)
        net_start(net, i, 0);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    for (i = 0; i < ALL; i++) {
        net->node[i].ov->crowded_us = UINT64_MAX;
        in_order[i] = i ? next_of(net, in_order[i - 1]) : 0;
    }
    net->node[in_order[0]].deaf = true;
    net_run(net, 90 * SEC);
    assert_false(net_peer(net, in_order[1], in_order[0], &peer));
    assert_true(net_peer(net, in_order[6], in_order[0], &peer));
    peers.want = true;
    peers.have.data = net->node[in_order[0]].contact.id.b;
    peers.have.len = 4;
    peers.linked = 1;
    assert_int_equal(xn_msg_new(XN__KIND__PEERS, &peers, &msg), 0);
    assert_true(net_inject(net, in_order[1], in_order[6], msg));
    xn_msg_free(msg);
    net_run(net, 10 * SEC);
    assert_false(net_peer(net, in_order[6], in_order[0], &peer));
    net_free(net);
}

/* Who was not linked to the watcher while it told of a death hears of it when it
 * is linked again. */
static void test_told_late(void **state)
{
    struct net *net = mesh(4, true);
    uint32_t dead = next_of(net, 0), other = next_of(net, dead);
    unsigned i;
    xn_peer peer;

    (void)state;
    net->node[dead].deaf = true;
    for (i = 0; i < 6000 && net_peer(net, 0, dead, &peer); i++) {
        net_cut(net, 0, other);
        net_run(net, SEC / 200);
    }
    assert_false(net_peer(net, 0, dead, &peer));
    net_cut(net, 0, other);
    assert_true(net_peer(net, other, dead, &peer));
    net_run(net, 10 * SEC);
    assert_true(net_peer(net, 0, other, &peer));
    assert_false(net_peer(net, other, dead, &peer));
    net_crash(net, dead, false);
    net_free(net);
}

/* Whose link ends as soon as it began had no room for us; whose link stood, ended
 * with it, as far as we know. */
static void test_gone_at_once(void **state)
{
    struct net *net = mesh(6, true);

    (void)state;
    net_crash(net, 5, true);
    net_run(net, 10 * SEC);
    assert_int_equal(net->node[0].ov->life.ends, 0);
    net_crash(net, 4, true);
    net_run(net, 10 * SEC);
    assert_int_equal(net->node[0].ov->life.ends, 1);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_seen),
        cmocka_unit_test(test_crash_silent),
        cmocka_unit_test(test_silence_found),
        cmocka_unit_test(test_back_at_once),
        cmocka_unit_test(test_both_dial),
        cmocka_unit_test(test_link_breaks),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_slow_answers),
        cmocka_unit_test(test_slow_owner),
        cmocka_unit_test(test_lost_link_is_no_death),
        cmocka_unit_test(test_silent_owner),
        cmocka_unit_test(test_any_copy),
        cmocka_unit_test(test_newcomer),
        cmocka_unit_test(test_last_of_two),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_holder_dies),
        cmocka_unit_test(test_witness_dies),
        cmocka_unit_test(test_watcher_dies_too),
        cmocka_unit_test(test_dead_link),
        cmocka_unit_test(test_told_late),
        cmocka_unit_test(test_gone_at_once),
    };

    return cmocka_run_group_tests_name("ov_faults", tests, NULL, NULL);
}
