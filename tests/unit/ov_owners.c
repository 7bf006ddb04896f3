/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who answered is asked directly when it is asked again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "overlay/inside.h"
#include "overlay/queries.h"
#include "tests/unit/ov_net.h"

enum { NODES = 96, CACHE = 8, TIMES = 4 };

static struct net *start_some(uint32_t nodes, uint32_t cache)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 24,
                                      .leaves = 4,
                                      .handle_per_link = true,
                                      .cache = cache,
                                      .seed = 13};
    struct net *net = net_new(&config);

    net->check_every = 16;
    for (uint32_t i = 0; i < nodes; i++) {
        if (i % 3 == 1) net->node[i].lacks = OV_FEATURE_SPARE;
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    net_run(net, 60 * SEC);
    return net;
}

static struct net *start(uint32_t cache)
{
    return start_some(NODES, cache);
}

static struct asked ask(struct net *net, uint32_t from, const xn_id *key)
{
    struct asked asked;

    net_ask(net, from, key, 0, 20 * SEC, &asked);
    net_run(net, SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    return asked;
}

/* A key whose owner is some hops from node 0. */
static uint32_t far_key(struct net *net, xn_id *key_out)
{
    for (;;) {
        net_key(net, key_out);
        if (ask(net, 0, key_out).hops > 1) return net_nearest(net, key_out, 0);
    }
}

/* So near to where that one stands that both are remembered as one part of the
 * ring, whose width is bounded (owners.c). */
static uint32_t near_key(struct net *net, xn_id *key_out)
{
    const struct ov *ov = net->node[0].ov;
    uint64_t most = ring_reach(ov) / ov->config.leaves;
    uint32_t owner;

    do {
        owner = far_key(net, key_out);
    } while (table_apart(key_out, &net->node[owner].contact.position) > most);
    return owner;
}

/* So that it has a link. */
static void make_known(struct net *net, const xn_id *key)
{
    for (unsigned i = 0; i < TIMES; i++)
        ask(net, 0, key);
}

static uint64_t straight(const struct net *net)
{
    return ov_stats(net->node[0].ov)->straight;
}

/* Another key of the same owner: from that one on towards it. */
static xn_id beyond(const struct net *net, const xn_id *key, uint32_t owner)
{
    const xn_id *position = &net->node[owner].contact.position;
    uint64_t head = xn_id_head(key);
    int64_t way = (int64_t)(xn_id_head(position) - head);
    xn_id other = *position;

    head += (uint64_t)(way / 2);
    for (unsigned i = 0; i < 8; i++)
        other.b[i] = (uint8_t)(head >> (56 - 8 * i));
    return other;
}

static void test_asked_again(void **state)
{
    struct net *net = start(CACHE);
    struct asked asked;
    xn_id key, other;
    uint64_t before;
    uint32_t owner;

    (void)state;
    owner = near_key(net, &key);
    assert_int_equal(straight(net), 0);
    make_known(net, &key);
    assert_int_equal(ov_stats(net->node[0].ov)->visits, 1);
    before = straight(net);
    asked = ask(net, 0, &key);
    assert_int_equal(asked.by, owner);
    assert_int_equal(asked.hops, 1);
    assert_int_equal(straight(net), before + 1);
    /* One link serves for as long as it is asked. */
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(ask(net, 0, &key).hops, 1);
    assert_int_equal(ov_stats(net->node[0].ov)->visits, 1);
    /* Between two keys of its all are its. */
    other = beyond(net, &key, owner);
    assert_int_equal(net_nearest(net, &other, 0), owner);
    ask(net, 0, &net->node[owner].contact.position);
    asked = ask(net, 0, &other);
    assert_int_equal(asked.by, owner);
    assert_int_equal(asked.hops, 1);
    /* Unused it is given back, and then asked for on the way. */
    net_run(net, 30 * SEC);
    assert_int_equal(net->node[0].ov->n_visits, 0);
    assert_int_equal(ask(net, 0, &key).by, owner);
    net_free(net);
}

static void test_cold(void **state)
{
    struct net *net = start(0);
    xn_id key;

    (void)state;
    far_key(net, &key);
    make_known(net, &key);
    assert_true(ask(net, 0, &key).hops > 1);
    assert_int_equal(straight(net), 0);
    assert_int_equal(ov_stats(net->node[0].ov)->visits, 0);
    net_free(net);
}

/* Who is asked now and then is not worth a link. */
static void test_rare(void **state)
{
    struct net *net = start(CACHE);
    xn_id key;

    (void)state;
    far_key(net, &key);
    for (unsigned i = 0; i < 2 * TIMES; i++) {
        ask(net, 0, &key);
        net_run(net, 10 * SEC);
    }
    assert_int_equal(ov_stats(net->node[0].ov)->visits, 0);
    net_free(net);
}

/* Whom the last question of node 0 waits for. */
static uint32_t sent_to(const struct net *net)
{
    const struct ov *ov = net->node[0].ov;
    const struct query *q = query_at(ov, ov->queries.n - 1);

    return net_who(net, 0, q->via->peer);
}

/* It dies, seen or not: the next nearest answers, and is asked from then on. */
static void owner_dies(bool seen)
{
    struct net *net = start(CACHE);
    struct asked asked[2];
    uint32_t owner, heir;
    uint64_t before;
    xn_id key;

    owner = far_key(net, &key);
    make_known(net, &key);
    before = straight(net);
    assert_int_equal(ask(net, 0, &key).hops, 1);
    assert_int_equal(straight(net), before + 1);
    net_crash(net, owner, seen);
    net_run(net, SEC / 2);
    heir = net_nearest(net, &key, 0);
    /* Silence is met once. */
    for (unsigned i = 0; i < 2; i++) {
        net_ask(net, 0, &key, 0, 60 * SEC, &asked[i]);
        assert_int_equal(sent_to(net) == owner, !seen && i == 0);
        net_run(net, 2 * SEC);
    }
    net_run(net, 60 * SEC);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(asked[i].rc, 0);
        assert_int_equal(asked[i].by, heir);
    }
    make_known(net, &key);
    asked[0] = ask(net, 0, &key);
    assert_int_equal(asked[0].by, heir);
    assert_int_equal(asked[0].hops, 1);
    net_free(net);
}

static void test_owner_dies(void **state)
{
    (void)state;
    owner_dies(true);
    owner_dies(false);
}

/* However many answer, so many are remembered. */
static void test_bounded(void **state)
{
    struct net *net = start(CACHE);
    xn_id key;

    (void)state;
    for (unsigned i = 0; i < 6 * CACHE; i++) {
        far_key(net, &key);
        assert_true(net->node[0].ov->owners.n <= CACHE);
    }
    assert_int_equal(net->node[0].ov->owners.n, CACHE);
    make_known(net, &key);
    assert_int_equal(ask(net, 0, &key).hops, 1);
    net_free(net);
}

/* On the shorter way from node 0 to that one. */
static bool is_between(const struct net *net, uint32_t i, uint32_t owner)
{
    uint64_t self = xn_id_head(&net->node[0].contact.position);
    uint64_t to = xn_id_head(&net->node[owner].contact.position) - self;
    uint64_t at = xn_id_head(&net->node[i].contact.position) - self;

    return to <= INT64_MAX ? at < to : at > to;
}

/* Who comes to be a neighbour is linked as one, however often it is asked. */
static void test_becomes_neighbour(void **state)
{
    struct net *net = start(CACHE);
    struct asked asked;
    uint32_t owner;
    xn_peer peer;
    xn_id key;

    (void)state;
    owner = far_key(net, &key);
    make_known(net, &key);
    for (uint32_t i = 1; i < NODES; i++) {
        if (i == owner || !is_between(net, i, owner)) continue;
        net_crash(net, i, true);
        net_run(net, SEC);
        ask(net, 0, &key);
    }
    for (unsigned i = 0; i < 40; i++)
        asked = ask(net, 0, &key);
    assert_int_equal(asked.by, owner);
    assert_true(net_peer(net, 0, owner, &peer));
    assert_true(net_peer(net, owner, 0, &peer));
    assert_int_equal(net->node[0].ov->n_visits, 0);
    net_free(net);
}

/* Whom nobody can dial: asked for on the way, and tried ever more rarely. */
static void test_cannot_be_visited(void **state)
{
    struct net *net = start(CACHE);
    struct asked asked;
    uint32_t owner;
    xn_id key;

    (void)state;
    owner = far_key(net, &key);
    net->node[owner].guest = true;
    for (unsigned i = 0; i < 240; i++) {
        net_ask(net, 0, &key, 0, 20 * SEC, &asked);
        net_run(net, SEC / 4);
    }
    assert_int_equal(asked.by, owner);
    assert_in_range(ov_stats(net->node[0].ov)->visits_failed, 2, 6);
    net_free(net);
}

/* Who cannot be met in time is dialled no longer. */
static void test_slow_to_visit(void **state)
{
    struct net *net = start(CACHE);
    uint32_t owner;
    xn_id key;

    (void)state;
    owner = far_key(net, &key);
    net->node[owner].gate_us = 10 * SEC;
    make_known(net, &key);
    net_run(net, 20 * SEC);
    assert_int_equal(ov_stats(net->node[0].ov)->visits_failed, 1);
    assert_int_equal(net->aborted, 1);
    net_free(net);
}

static uint64_t all_visits(const struct net *net)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < net->config.nodes; i++)
        n += ov_stats(net->node[i].ov)->visits;
    return n;
}

/* More ask it than it takes visits: what is opened pays, though they put each
 * other out. */
static void test_crowd(void **state)
{
    enum { CROWD = 2 * VISITED_MAX };
    struct net *net = start_some(CROWD, CACHE);
    struct asked asked[CROWD];
    uint64_t before = 0;
    xn_id key;

    (void)state;
    net->check_every = 1000;
    far_key(net, &key);
    for (unsigned second = 0; second < 120; second++) {
        if (second == 60) before = all_visits(net);
        for (uint32_t i = 0; i < CROWD; i++)
            net_ask(net, i, &key, 0, 20 * SEC, &asked[i]);
        net_run(net, SEC);
    }
    assert_int_equal(net->node[net_nearest(net, &key, 0)].ov->n_visited,
                     VISITED_MAX);
    assert_in_range(all_visits(net) - before, 1, 60 * CROWD / 16);
    net_free(net);
}

/* Somebody nearer comes: whom we remember sends it on, once. */
static void test_nearer_comes(void **state)
{
    struct net *net = start(CACHE);
    struct asked asked;
    uint32_t owner;
    uint64_t before = 0;
    xn_id key;

    (void)state;
    owner = far_key(net, &key);
    net_crash(net, owner, true);
    net_run(net, 20 * SEC);
    make_known(net, &key);
    asked = ask(net, 0, &key);
    assert_int_equal(asked.hops, 1);
    net_start(net, owner, (owner + 1) % NODES);
    for (unsigned i = 0; i < 3; i++) {
        net_run(net, SEC);
        before = straight(net);
        asked = ask(net, 0, &key);
        if (asked.by == owner) break;
    }
    assert_int_equal(asked.by, owner);
    assert_int_equal(asked.hops, 2);
    assert_int_equal(straight(net), before + 1);
    ask(net, 0, &key);
    assert_int_equal(straight(net), before + 1);
    make_known(net, &key);
    assert_int_equal(ask(net, 0, &key).hops, 1);
    net_free(net);
}

/* Who brings an answer may name anybody: who is not nearer to the key than our
 * own links gets no question by that. */
static void test_liar(void **state)
{
    struct net *net = start(CACHE);
    struct ov *ov = net->node[0].ov;
    Xn__Reply reply = XN__REPLY__INIT;
    struct asked asked;
    uint32_t owner;
    xn_id key;

    (void)state;
    owner = far_key(net, &key);
    net_run(net, 30 * SEC); /* nobody is asked in a row */
    for (unsigned i = 0; i < 2 * TIMES; i++) {
        struct xn_msg *msg;

        net_ask(net, 0, &key, 0, 20 * SEC, &asked);
        /* Beside us, and so far from the key. */
        reply.from = xn_id_bytes(&ring_contact(ov, ring_cw(ov, 1))->id);
        reply.rid = ov->number;
        reply.hops = 2;
        reply.kind = XN__KIND__FOUND;
        assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &msg), 0);
        net_inject(net, 0, sent_to(net), msg);
        xn_msg_free(msg);
        assert_int_equal(asked.calls, 1);
        net_run(net, SEC);
    }
    assert_true(ov->owners.n > 0);
    assert_int_equal(straight(net), 0);
    assert_int_equal(ask(net, 0, &key).by, owner);
    assert_int_equal(straight(net), 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_again),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_rare),
        cmocka_unit_test(test_owner_dies),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_nearer_comes),
        cmocka_unit_test(test_becomes_neighbour),
        cmocka_unit_test(test_cannot_be_visited),
        cmocka_unit_test(test_slow_to_visit),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_liar),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
