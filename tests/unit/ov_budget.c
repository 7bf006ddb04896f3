/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overlay above its link budget: leaf sets and prefix routing. */
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

static struct net *start(uint32_t nodes, uint32_t links_max, uint32_t leaves)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = links_max,
                                      .leaves = leaves,
                                      .handle_per_link = true,
                                      .seed = 11};
    struct net *net = net_new(&config);
    uint32_t i;

    for (i = 0; i < nodes; i++) {
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    return net;
}

/* Links are told in the order of the ring, neighbours by their places. */
static void expect_peers(const struct net *net)
{
    for (uint32_t i = 0; i < net->config.nodes; i++) {
        const struct node *node = &net->node[i];
        size_t n, leaves = 0;
        xn_peer leaf[2 * OV_LEAVES_MAX];
        xn_id before = {{0}}, way;
        struct ov_peer peer;

        if (!node->up) continue;
        n = ov_links(node->ov);
        for (size_t k = 0; k < n; k++) {
            assert_true(ov_peer(node->ov, k, &peer));
            xn_ring_clockwise(&node->contact.position, &peer.contact->position,
                              &way);
            assert_true(xn_id_cmp(&before, &way) < 0);
            before = way;
            leaves += peer.leaf != 0;
            if (peer.leaf > 0) assert_int_equal(peer.leaf, k + 1);
            if (peer.leaf < 0) assert_int_equal(-peer.leaf, n - k);
        }
        assert_false(ov_peer(node->ov, n, &peer));
        assert_int_equal(leaves, ov_leaves(node->ov, leaf));
    }
}

/* What the nodes counted of all that was asked so far. */
static void expect_counted(const struct net *net, uint64_t asked,
                           uint64_t hops_sum)
{
    uint64_t answered = 0, others = 0, hops = 0, in_buckets = 0;

    for (uint32_t i = 0; i < net->config.nodes; i++) {
        const struct ov_stats *stats;

        if (!net->node[i].up) continue;
        stats = ov_stats(net->node[i].ov);
        answered += stats->outcomes[OV_ANSWERED];
        for (size_t k = OV_ANSWERED + 1; k < OV_OUTCOMES; k++)
            others += stats->outcomes[k];
        for (size_t k = 0; k <= OV_HOPS_BOUNDS; k++)
            in_buckets += stats->hops[k];
        hops += stats->hops_sum;
        if (stats->outcomes[OV_ANSWERED]) assert_true(stats->lookups_us > 0);
    }
    assert_int_equal(answered, asked);
    assert_int_equal(others, 0);
    assert_int_equal(in_buckets, asked);
    assert_int_equal(hops, hops_sum);
}

/* first: nothing was asked before. */
static void ask_all(struct net *net, unsigned rounds, bool first,
                    const char *when)
{
    static struct asked asked[256];
    static uint32_t truth[256];
    unsigned hops = 0, hops_max = 0, n = 0, wrong = 0, r;
    uint32_t i;

    for (r = 0; r < rounds; r++) {
        for (i = 0; i < net->config.nodes; i++) {
            xn_id key;

            if (!net->node[i].up) continue;
            net_key(net, &key);
            truth[i] = net_nearest(net, &key, r % 3);
            net_ask(net, i, &key, r % 3, 20 * SEC, &asked[i]);
        }
        net_run(net, 21 * SEC);
        for (i = 0; i < net->config.nodes; i++) {
            if (!net->node[i].up) continue;
            assert_int_equal(asked[i].calls, 1);
            assert_int_equal(asked[i].rc, 0);
            wrong += asked[i].by != truth[i];
            hops += asked[i].hops;
            if (asked[i].hops > hops_max) hops_max = asked[i].hops;
            n++;
        }
    }
    if (first) expect_counted(net, n, hops);
    expect_peers(net);
    print_message("# %s: %u asked, %u wrong, hops mean %u.%02u max %u\n", when,
                  n, wrong, hops / n, hops * 100 / n % 100, hops_max);
    assert_int_equal(wrong, 0);
    assert_true(hops_max <= 8);
}

static void test_200_by_32(void **state)
{
    struct net *net = start(200, 32, 8);
    uint64_t refused = 0, evicted = 0, before;
    uint32_t i;

    (void)state;
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    for (i = 0; i < 200; i++) {
        refused += ov_stats(net->node[i].ov)->refused;
        evicted += ov_stats(net->node[i].ov)->evicted;
        assert_true(ov_links(net->node[i].ov) <= 32);
        assert_true(ov_links(net->node[i].ov) >= 16);
    }
    print_message("# leaf sets right after %llu s; %llu links refused, %llu "
                  "closed for better ones, %llu messages, %llu KiB\n",
                  (unsigned long long)(net->now.mono_us / SEC - 1000),
                  (unsigned long long)refused, (unsigned long long)evicted,
                  (unsigned long long)net->sent,
                  (unsigned long long)net->sent_bytes / 1024);
    assert_true(refused > 0); /* and all took somebody else instead */
    ask_all(net, 15, true, "200 nodes");
    for (i = 20; i < 60; i++)
        net_crash(net, i, true);
    net_run(net, 30 * SEC);
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    ask_all(net, 6, false, "40 of them gone");
    for (i = 20; i < 60; i++)
        net_start(net, i, 100 + i);
    net_run(net, 10 * SEC);
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    ask_all(net, 6, false, "all back");
    net_run(net, 200 * SEC); /* they look for nearer ones at first */
    before = net->sent;
    net_run(net, 100 * SEC);
    print_message("# at rest: %llu messages per node and minute\n",
                  (unsigned long long)(net->sent - before) * 60 / 100 / 200);
    assert_true((net->sent - before) * 60 / 100 / 200 < 100);
    net_free(net);
}

static void test_40_by_8(void **state)
{
    struct net *net = start(40, 8, 3);

    (void)state;
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    ask_all(net, 9, true, "40 nodes with 8 links");
    net_free(net);
}

/* Who is turned away takes what it was told instead. */
static void test_refused(void **state)
{
    struct net *net = start(20, 8, 3);
    uint32_t i;

    (void)state;
    assert_true(net_until(net, 300 * SEC, net_has_leaves));
    assert_true(ov_links(net->node[0].ov) <= 8);
    for (i = 1; i < 20; i++)
        assert_true(ov_links(net->node[i].ov) >= 4);
    net_free(net);
}

static uint64_t refusals(const struct net *net, uint32_t i)
{
    return ov_stats(net->node[i].ov)->refused;
}

/* Who was told that the overlay exceeds the budget (ov_stand) does not unlearn
 * it by a refusal. */
static void test_crowded_for_good(void **state)
{
    struct net *net = start(40, 8, 3);
    uint64_t before = refusals(net, 0);
    uint32_t i;

    (void)state;
    net->node[0].ov->crowded_us = UINT64_MAX;
    for (i = 30; i < 40; i++) {
        net_crash(net, i, true);
        net_start(net, i, 0);
    }
    net_run(net, 60 * SEC);
    assert_true(refusals(net, 0) > before);
    assert_true(net->node[0].ov->crowded_us == UINT64_MAX);
    net_free(net);
}

/* ---- links that stood from the start ---- */

enum { STOOD = 20 };

static void hear(struct ov *ov, struct xn_now *now, xn_peer peer,
                 struct xn_out *out)
{
    Xn__Ping ping = XN__PING__INIT;
    struct xn_msg *msg = NULL;
    char why[128];

    now->mono_us += SEC;
    assert_int_equal(xn_msg_new(XN__KIND__PING, &ping, &msg), 0);
    ov_msg(ov, now, peer, msg, out);
    xn_msg_free(msg);
    if (!ov_check(ov, why, sizeof why)) fail_msg("%s", why);
}

/* Used, they are in full; then rows again that know how far they are, but for
 * the last few and what is in use. */
static void test_rest(void **state)
{
    struct xn_contact rows[STOOD] = {0};
    const struct xn_peers peers = {.rows = rows, .n = STOOD};
    const struct ov_user user = {0};
    struct ov_config config = {.links_max = STOOD, .leaves = 3};
    struct xn_now now = {.mono_us = SEC};
    struct xn_route others[STOOD];
    uint32_t i, rtts_us[STOOD] = {0};
    struct xn_tickets *tickets;
    struct xn_out out;
    struct xn_rng rng;
    struct ov *ov;

    (void)state;
    for (i = 0; i < STOOD; i++) {
        rows[i].id.b[0] = (uint8_t)(STOOD - i);
        rows[i].position.b[0] = (uint8_t)(10 * i);
        others[i].peer = i + 1;
    }
    config.id = rows[0].id;
    xn_rng_seed(&rng, 1);
    xn_out_init(&out);
    assert_int_equal(xn_tickets_new(&tickets), 0);
    assert_int_equal(ov_new(&config, &peers, &rng, tickets, &user, &ov), 0);
    assert_int_equal(
        ov_stand(ov, &now, others, rtts_us, STOOD - 1, false, &out), 0);
    watch_rtt(ov, link_need(ov, 1), 100000);
    watch_probe(ov, &now, link_need(ov, 2), false, &out);
    for (i = 1; i < STOOD; i++) {
        if (i != 2) hear(ov, &now, i, &out);
        assert_true(ov->by_peer.n <= AWAKE_MAX + 1);
    }
    assert_int_equal(ov_links(ov), STOOD - 1);
    assert_null(link_find(ov, 1));
    assert_true(ring_near(ov, ring_find(ov, 1)) > 95000);
    assert_true(ring_near(ov, ring_find(ov, 1)) < 105000);
    assert_non_null(link_find(ov, 2)); /* we wait for it */
    assert_non_null(link_find(ov, STOOD - 1));
    ov_free(ov);
    xn_tickets_free(tickets, NULL);
    xn_out_clear(&out);
}

/* ---- a leaf set whose sides are unlike ---- */

enum { CROWD = 20, LEFT = CROWD, RIGHT = CROWD + 4, ALL = 2 * CROWD + 5 };

/* Crowds lie close below LEFT and above RIGHT; three nodes are between, far from
 * both and from each other. */
static void place(struct net *net)
{
    for (uint32_t i = 0; i < ALL; i++) {
        xn_id *position = &net->node[i].contact.position;
        bool between = i > LEFT && i < RIGHT;

        memset(position, 0, sizeof *position);
        position->b[0] = (uint8_t)(between     ? 0x40 + 0x10 * (i - LEFT)
                                   : i <= LEFT ? 0x40
                                               : 0x80);
        position->b[1] = (uint8_t)(between ? 0 : i);
    }
}

static void forget(struct net *net, uint32_t i, uint32_t j)
{
    struct ov *ov = net->node[i].ov;
    struct hint *hint = hint_find(ov, &net->node[j].contact.id);

    if (hint && !hint->ticket) hint_drop(ov, hint);
}

static bool is_named(struct net *net)
{
    xn_peer peer;

    return hint_find(net->node[LEFT].ov, &net->node[RIGHT].contact.id) ||
           net_peer(net, LEFT, RIGHT, &peer);
}

/* It asks for those beside it, and has all but one. */
static struct xn_msg *lacks(const struct net *net, uint32_t i, uint32_t j)
{
    const struct node *node = &net->node[i];
    Xn__Peers peers = XN__PEERS__INIT;
    uint8_t have[2 * 4 * 4];
    struct xn_msg *msg;
    uint32_t k;

    peers.want = true;
    peers.from = xn_id_bytes(&node->contact.position);
    for (k = i - 4; k <= i + 4; k++) {
        if (k == i || k == j) continue;
        memcpy(have + peers.have.len, net->node[k].contact.id.b, 4);
        peers.have.len += 4;
    }
    peers.have.data = have;
    assert_int_equal(xn_msg_new(XN__KIND__PEERS, &peers, &msg), 0);
    return msg;
}

/* RIGHT is the fourth of LEFT on the thin side: whoever is in between names it,
 * however many others are nearer. */
static void test_thin_side(void **state)
{
    const struct net_config config = {.nodes = ALL,
                                      .links_max = 512,
                                      .leaves = 4,
                                      .handle_per_link = true,
                                      .seed = 5};
    struct net *net = net_new(&config);
    struct xn_msg *msg;
    uint32_t i;

    (void)state;
    place(net);
    for (i = 0; i < ALL; i++)
        net_start(net, i, i / 2);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_cut(net, LEFT, RIGHT);
    net_run(net, 1000);
    forget(net, LEFT, RIGHT);
    forget(net, RIGHT, LEFT);
    assert_false(is_named(net));
    for (i = 0; i < ALL; i++) { /* nobody tells of others for other reasons */
        net->node[i].ov->crowded_us = UINT64_MAX;
        net->node[i].ov->life.ends = 1000;
    }
    msg = lacks(net, LEFT, RIGHT);
    assert_true(net_inject(net, LEFT + 1, LEFT, msg));
    xn_msg_free(msg);
    assert_true(net_until(net, SEC / 2, is_named));
    net_free(net);
}

/* ---- stale links ---- */

/* Link after link breaks as the request goes over it: it is still answered. */
static void test_stale_links(void **state)
{
    enum { STALE = 8 };
    struct net *net = start(120, 32, 4);
    struct ov *ov = net->node[0].ov;
    struct asked asked;
    xn_id key;
    int n = 0;

    (void)state;
    net_run(net, 120 * SEC);
    do
        net_key(net, &key);
    while (ring_apart_within(ov, ring_lower(ov, &key) % ov->ring.n, &key,
                             2 * ring_reach(ov)));
    net_ask(net, 0, &key, 0, 20 * SEC, &asked);
    for (; n < STALE && ov->queries.n > 0; n++) {
        const struct query *q = ov->queries.v[ov->queries.n - 1];

        if (!q->via) break;
        net_cut(net, 0, net_who(net, 0, q->via->peer));
        net_run(net, 1);
    }
    assert_int_equal(n, STALE);
    net_run(net, 21 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    net_free(net);
}

/* At its very place nobody is nearer than we are: no other way is better than the
 * one that was meant, whatever is near in time. */
static void test_way_to_our_own_place(void **state)
{
    struct net *net = start(40, 8, 3);
    struct ov *ov = net->node[0].ov;
    struct query q = {.key = ov->config.position};
    size_t at;

    (void)state;
    assert_true(ov->ring.n > 0);
    for (at = 0; at < ov->ring.n; at++) {
        assert_int_equal(way_choose(ov, &q, at), at);
        assert_int_equal(way_why(ov, &q, at, at), XN__WAY__WAY_NEAREST);
    }
    net_free(net);
}

static size_t nearest_to(const struct ov *ov, const xn_id *key)
{
    size_t best = 0, at;

    for (at = 1; at < ov->ring.n; at++) {
        if (table_apart(key, &ring_contact(ov, at)->position) <
            table_apart(key, &ring_contact(ov, best)->position)) {
            best = at;
        }
    }
    return best;
}

/* Whoever is nearer to the key than we are is slow, the others are near. */
static void slow_before(struct ov *ov, const xn_id *key)
{
    uint64_t ours = table_apart(key, &ov->config.position);
    size_t at;

    for (at = 0; at < ov->ring.n; at++) {
        bool before = table_apart(key, &ring_contact(ov, at)->position) < ours;

        ov->ring.routes[at].near = before ? 200 : 1;
    }
}

/* Each hop is nearer to the key than the last, whatever is near in time: no
 * request goes round in circles. */
static void test_way_goes_on(void **state)
{
    struct net *net = start(60, 16, 3);
    unsigned asked = 0, i, k;

    (void)state;
    for (i = 0; i < 60; i++) {
        struct ov *ov = net->node[i].ov;
        struct query q = {.copy = 0};

        for (k = 0; k < 200; k++) {
            size_t at;

            net_key(net, &q.key);
            if (ring_is_leaf(ov, &q.key)) continue;
            slow_before(ov, &q.key);
            at = way_choose(ov, &q, nearest_to(ov, &q.key));
            assert_true(table_apart(&q.key, &ring_contact(ov, at)->position) <
                        table_apart(&q.key, &ov->config.position));
            asked++;
        }
    }
    assert_true(asked > 1000);
    net_free(net);
}

/* What node 0 says to node `who`, as if that had asked it so. */
static uint64_t answer_bytes(struct net *net, uint32_t who, Xn__Peers *peers)
{
    uint64_t bytes = net->sent_bytes;
    struct xn_msg *msg;

    assert_int_equal(xn_msg_new(XN__KIND__PEERS, peers, &msg), 0);
    assert_true(net_inject(net, 0, who, msg));
    xn_msg_free(msg);
    return net->sent_bytes - bytes;
}

/* Who asks for neighbours is told of none that would be too far. */
static void test_reach(void **state)
{
    struct net *net = start(40, 16, 4);
    uint8_t bogus[4] = {0};
    Xn__Peers peers = XN__PEERS__INIT;
    uint32_t who = 1;
    uint64_t all;
    xn_peer peer;

    (void)state;
    net_run(net, 60 * SEC);
    while (!net_peer(net, 0, who, &peer))
        who++;
    peers.want = true;
    peers.from = xn_id_bytes(&net->node[who].contact.position);
    peers.have.data = bogus;
    peers.have.len = sizeof bogus;
    all = answer_bytes(net, who, &peers);
    assert_true(all > 0);
    peers.up = UINT64_MAX;
    peers.down = 1;
    assert_in_range(answer_bytes(net, who, &peers), 1, all - 1);
    peers.up = 1;
    assert_int_equal(answer_bytes(net, who, &peers), 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_200_by_32),
        cmocka_unit_test(test_40_by_8),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_crowded_for_good),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_thin_side),
        cmocka_unit_test(test_stale_links),
        cmocka_unit_test(test_way_to_our_own_place),
        cmocka_unit_test(test_way_goes_on),
        cmocka_unit_test(test_reach),
    };

    return cmocka_run_group_tests_name("ov_budget", tests, NULL, NULL);
}
