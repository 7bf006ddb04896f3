/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searches of our own, past nodes that keep what is sent through them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "tests/unit/ov_net.h"

enum { NODES = 96, KEYS = 60 };

static struct net *start(bool secure)
{
    const struct net_config config = {.nodes = NODES,
                                      .links_max = 24,
                                      .leaves = 4,
                                      .handle_per_link = true,
                                      .secure = secure,
                                      .seed = 11};
    struct net *net = net_new(&config);

    net->check_every = 16;
    for (uint32_t i = 0; i < NODES; i++) {
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 60 * SEC);
    return net;
}

static bool keeps(uint32_t i)
{
    return i % 4 == 3;
}

/* How many of those questions reach their owner that have an honest one. */
static unsigned reached(struct net *net, unsigned *of_out)
{
    static struct asked asked[KEYS];
    uint32_t owner[KEYS], from;
    unsigned got = 0, i;
    xn_id key;

    *of_out = 0;
    for (i = 0; i < KEYS; i++) {
        net_key(net, &key);
        owner[i] = net_nearest(net, &key, 0);
        from = 4 * (i % (NODES / 4));
        net_ask(net, from, &key, 0, 20 * SEC, &asked[i]);
        net_run(net, SEC / 4);
    }
    net_run(net, 25 * SEC);
    for (i = 0; i < KEYS; i++) {
        assert_int_equal(asked[i].calls, 1);
        if (net->node[owner[i]].keeps) continue;
        ++*of_out;
        got += asked[i].rc == 0 && asked[i].by == owner[i];
    }
    return got;
}

/* Who is found over a link that then ends, as others may end theirs, is met
 * again. */
static void test_link_ends(void **state)
{
    struct net *net = start(true);
    const struct ov *ov = net->node[0].ov;
    unsigned cuts = 0, i;
    struct asked asked;
    const xn_id *id;
    uint32_t owner;
    xn_id key;

    (void)state;
    for (i = 0; i < KEYS; i++) {
        uint64_t end_us = net->now.mono_us + 6 * SEC;
        bool cut;

        net_key(net, &key);
        owner = net_nearest(net, &key, 0);
        id = &net->node[owner].contact.id;
        cut = owner == 0 || link_find_id(ov, id);
        net_ask(net, 0, &key, 0, 10 * SEC, &asked);
        while (!cut && !asked.calls && net->now.mono_us < end_us) {
            const struct link *link;

            net_run(net, 1000);
            link = link_find_id(ov, id);
            cut = link && link->state == LINK_LIVE;
            if (cut) net_cut(net, 0, owner);
            cuts += cut;
        }
        net_run(net, 10 * SEC);
        assert_int_equal(asked.calls, 1);
        assert_int_equal(asked.rc, 0);
        assert_int_equal(asked.by, owner);
    }
    print_message("# %u links cut\n", cuts);
    assert_true(cuts > KEYS / 4);
    net_free(net);
}

/* Nobody has a link left that was opened to ask. */
static void assert_given_back(struct net *net)
{
    net_run(net, 30 * SEC);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(net->node[i].ov->n_visits, 0);
        assert_int_equal(net->node[i].ov->n_visited, 0);
        assert_int_equal(net->node[i].ov->n_seeks, 0);
    }
}

static uint64_t visits(const struct net *net)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < NODES; i++)
        n += ov_stats(net->node[i].ov)->visits;
    return n;
}

static void test_past_those_who_keep(void **state)
{
    int secure;

    (void)state;
    for (secure = 0; secure < 2; secure++) {
        struct net *net = start(secure);
        unsigned got, of;

        for (uint32_t i = 0; i < NODES; i++)
            net->node[i].keeps = keeps(i);
        got = reached(net, &of);
        assert_true(of > KEYS / 2);
        if (secure) {
            assert_int_equal(got, of);
            assert_true(visits(net) > 0);
        } else {
            assert_true(got < of); /* or there is nothing to see */
            assert_int_equal(visits(net), 0);
        }
        assert_given_back(net);
        net_free(net);
    }
}

/* All copies of one key are one search, and go to whom it found. */
static void test_copies(void **state)
{
    struct net *net = start(true);
    struct asked asked[3];
    uint32_t from = 0, copy;
    xn_id key;
    uint64_t before = 0;

    (void)state;
    do { /* one that is far from it */
        net_key(net, &key);
        net_ask(net, from, &key, 0, 10 * SEC, &asked[0]);
        net_run(net, 10 * SEC);
        before = ov_stats(net->node[from].ov)->seeks;
    } while (before == 0);
    net_run(net, 10 * SEC);
    for (copy = 0; copy < 3; copy++)
        net_ask(net, from, &key, copy, 10 * SEC, &asked[copy]);
    net_run(net, 10 * SEC);
    assert_int_equal(ov_stats(net->node[from].ov)->seeks, before + 1);
    for (copy = 0; copy < 3; copy++) {
        assert_int_equal(asked[copy].rc, 0);
        assert_int_equal(asked[copy].by, net_nearest(net, &key, copy));
        assert_int_equal(asked[copy].hops, 1);
    }
    assert_given_back(net);
    net_free(net);
}

/* Who does not know NEAR is not asked, nor visited; the others suffice. */
static void test_older(void **state)
{
    struct net *net = start(true);
    unsigned got, of;

    (void)state;
    for (uint32_t i = 0; i < NODES; i += 8) {
        net_crash(net, i + 1, true);
        net_start(net, i + 1, 0);
        net->node[i + 1].lacks = UINT64_MAX;
    }
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 60 * SEC);
    got = reached(net, &of);
    assert_int_equal(of, KEYS);
    assert_true(got > KEYS / 2);
    assert_given_back(net);
    net_free(net);
}

/* A visit takes no place, and news that come over it are nobody's. */
static void test_visit_is_apart(void **state)
{
    struct net *net = start(true);
    const struct ov *ov = net->node[0].ov;
    size_t links = ov_links(ov), hints = ov->hints.n;
    Xn__Contact contact = XN__CONTACT__INIT, *row = &contact;
    Xn__Peers peers = XN__PEERS__INIT;
    struct xn_msg *msg = NULL;
    uint32_t visited = UINT32_MAX, i;
    xn_id invented;
    xn_peer peer;

    (void)state;
    for (i = 1; i < NODES && visited == UINT32_MAX; i++) {
        if (!net_peer(net, 0, i, &peer)) visited = i;
    }
    visit_dial(net->node[0].ov, &net->now, &net->node[visited].contact.id,
               net->node[visited].address, net_begin(net, 0));
    net_end(net, 0);
    net_run(net, SEC);
    assert_int_equal(ov->n_visits, 1);
    assert_int_equal(net->node[visited].ov->n_visited, 1);
    assert_int_equal(ov_links(ov), links);
    memset(&invented, 7, sizeof invented);
    contact.id = contact.position = xn_id_bytes(&invented);
    contact.address = (char *)(uintptr_t) "n5";
    peers.leaves = &row;
    peers.n_leaves = 1;
    assert_int_equal(xn_msg_new(XN__KIND__PEERS, &peers, &msg), 0);
    peer = link_find_id(ov, &net->node[visited].contact.id)->peer;
    ov_msg(net->node[0].ov, &net->now, peer, msg, net_begin(net, 0));
    net_end(net, 0);
    xn_msg_free(msg);
    assert_int_equal(ov->n_visits, 1);
    assert_null(hint_find(ov, &invented));
    assert_true(ov->hints.n <= hints + 1);
    assert_given_back(net);
    net_free(net);
}

/* The nearest node to a key turns guest and links to the asker: others still name
 * it, but it owns nothing. */
static void test_guest_is_no_owner(void **state)
{
    struct net *net = start(true);
    uint32_t guest, from, i;
    struct asked asked;
    uint64_t before;
    xn_peer peer;
    xn_id key;

    (void)state;
    net_key(net, &key);
    guest = net_nearest(net, &key, 0);
    for (i = 9; i < NODES; i++) { /* so that it wants links again */
        from = net_nearest(net, &key, i);
        if (net_peer(net, guest, from, &peer)) net_cut(net, guest, from);
    }
    net->node[guest].guest = true;
    net->node[guest].ov->config.address = "";
    net_run(net, 5 * SEC);
    i = NODES - 1; /* as many others */
    do {
        assert_true(i > 20);
        from = net_nearest(net, &key, --i);
    } while (net->node[from].ov->n_guests == 0);
    before = ov_stats(net->node[from].ov)->seeks;
    net_ask(net, from, &key, 0, 10 * SEC, &asked);
    net_run(net, 15 * SEC);
    assert_true(ov_stats(net->node[from].ov)->seeks > before);
    assert_int_equal(asked.rc, 0);
    assert_int_equal(asked.by, net_nearest(net, &key, 0));
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_ends),
        cmocka_unit_test(test_past_those_who_keep),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_older),
        cmocka_unit_test(test_visit_is_apart),
        cmocka_unit_test(test_guest_is_no_owner),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("seek", tests, NULL, NULL);
}
