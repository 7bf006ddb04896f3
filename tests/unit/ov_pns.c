/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Proximity neighbour selection: coordinates tell round trips, and tables that
 * joins have filled come to hold the nearest in time. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/inside.h"
#include "overlay/queries.h"
#include "tests/unit/ov_net.h"

/* ---- where nodes are ---- */

/* One way, between points on a plane; each has some way of its own to it. */
static uint64_t way_us(uint32_t a, uint32_t b)
{
    double dx = (double)(a * 7919 % 101) - (double)(b * 7919 % 101);
    double dy = (double)(a * 104729 % 103) - (double)(b * 104729 % 103);

    return 1000 + 500 * (a % 7 + b % 7) +
           (uint64_t)(500 * sqrt(dx * dx + dy * dy));
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void test_coordinates(void **state)
{
    enum { N = 60, SAMPLES = 300 };
    static struct vivaldi at[N];
    static double wrong[N * (N - 1) / 2];
    struct xn_rng rng;
    uint32_t i, k, n = 0;

    (void)state;
    xn_rng_seed(&rng, 3);
    for (i = 0; i < N; i++)
        vivaldi_start(&at[i]);
    for (k = 0; k < SAMPLES; k++) {
        for (i = 0; i < N; i++) {
            uint32_t j = (uint32_t)xn_rng_below(&rng, N);
            Xn__Coordinate said;
            struct vivaldi heard;

            if (j == i) continue;
            vivaldi_say(&at[j], &said);
            vivaldi_hear(&said, &heard);
            (void)vivaldi_sample(&at[i], &heard, (uint32_t)(2 * way_us(i, j)),
                                 &rng);
        }
    }
    for (i = 0; i < N; i++) {
        for (k = 0; k < i; k++) {
            double rtt = (double)(2 * way_us(i, k));

            wrong[n++] = fabs(vivaldi_rtt_us(&at[i], &at[k]) - rtt) / rtt;
        }
    }
    qsort(wrong, n, sizeof wrong[0], by_size);
    print_message("# half of all round trips are known within %.1f %%, nine "
                  "tenths within %.1f %%\n",
                  100 * wrong[n / 2], 100 * wrong[n * 9 / 10]);
    assert_true(wrong[n / 2] < 0.1);
    assert_true(wrong[n * 9 / 10] < 0.4);
    assert_true((double)at[0].error < 0.2);
}

/* Whatever is said, ours stays within the world, and a single word moves it by
 * no more than a step. */
static void test_lies(void **state)
{
    static const Xn__Coordinate lies[] = {
        {.x = INT32_MIN, .y = INT32_MAX, .height = UINT32_MAX, .error = 0},
        {.x = INT32_MAX, .y = INT32_MIN, .height = 0, .error = UINT32_MAX},
        {.x = 0, .y = 0, .height = 0, .error = 0},
    };
    struct vivaldi self, before, heard;
    struct xn_rng rng;
    uint32_t i;

    (void)state;
    xn_rng_seed(&rng, 4);
    vivaldi_start(&self);
    for (i = 0; i < 3000; i++) {
        before = self;
        vivaldi_hear(&lies[i % 3], &heard);
        assert_true(heard.error > 0);
        (void)vivaldi_sample(&self, &heard, i % 2 ? 1 : UINT32_MAX, &rng);
        assert_true(vivaldi_moved_us(&self, &before) <= 150000);
        assert_true(vivaldi_rtt_us(&self, &heard) < 30000000);
        assert_true(fabs((double)self.x) <= 3000 && (double)self.h <= 3000);
        assert_true((double)self.error <= 1 && (double)self.error > 0);
    }
    vivaldi_hear(NULL, &heard);
    before = self;
    assert_false(vivaldi_sample(&self, &heard, 1000, &rng));
    assert_int_equal(vivaldi_moved_us(&self, &before), 0);
}

/* What tells nothing moves nobody, and draws as much as what does. */
static void test_nothing_told(void **state)
{
    struct vivaldi self = {.x = 50, .h = 1, .error = 0.2F}, before = self;
    struct vivaldi unsure = {.h = 1, .error = 1},
                   sure = {.h = 1, .error = 0.2F};
    struct xn_rng rng, other;

    (void)state;
    xn_rng_seed(&rng, 5);
    other = rng;
    assert_false(vivaldi_sample(&self, &unsure, 200000, &rng));
    assert_false(vivaldi_sample(&self, &sure, 0, &rng));
    assert_int_equal(vivaldi_moved_us(&self, &before), 0);
    assert_true(vivaldi_sample(&self, &sure, 200000, &other));
    assert_true(vivaldi_moved_us(&self, &before) > 0);
    assert_true(vivaldi_sample(&self, &sure, 200000, &other));
    assert_int_equal(xn_rng_u64(&rng), xn_rng_u64(&other));
    self = unsure;
    assert_true(vivaldi_sample(&self, &unsure, 200000, &rng));
}

/* ---- links ---- */

static const struct net_config few = {.nodes = 12,
                                      .links_max = 32,
                                      .leaves = 3,
                                      .handle_per_link = true,
                                      .way_us = way_us,
                                      .seed = 8};

static struct net *start_few(void)
{
    struct net *net = net_new(&few);
    uint32_t i;

    for (i = 0; i < few.nodes; i++) {
        net_start(net, i, 0);
        net_run(net, SEC);
    }
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 2 * SEC);
    return net;
}

/* Both ends of a link know how long it is, whoever dialled. */
static void test_both_ends(void **state)
{
    struct net *net = start_few();
    uint32_t i, incoming = 0;
    struct ov_peer peer;
    size_t k;

    (void)state;
    for (i = 0; i < few.nodes; i++) {
        for (k = 0; ov_peer(net->node[i].ov, k, &peer); k++) {
            uint64_t us = 2 * way_us(i, net_who(net, i, peer.peer));

            incoming += peer.incoming;
            assert_in_range(peer.rtt_us, us - us / 50, us + us / 50);
        }
    }
    assert_int_equal(incoming, few.nodes * (few.nodes - 1) / 2);
    net_free(net);
}

/* What node 1 leaves of 300 ms by saying that it held the question so long. */
static uint32_t rtt_held(struct net *net, struct link *link, uint32_t held_ms)
{
    struct ov *ov = net->node[0].ov;
    Xn__Ack ack = XN__ACK__INIT;
    uint32_t opened_us = link->opened_us;
    struct asked asked;
    struct xn_msg *msg;

    net->node[1].answer = ANSWER_NEVER;
    net_ask_peer(net, 0, 1, SEC, &asked);
    net_run(net, 300000);
    ack.rid = query_at(ov, ov->queries.n - 1)->number;
    ack.held_ms = held_ms;
    link->rtt_us = 0;
    link->opened_us = opened_us;
    assert_int_equal(xn_msg_new(XN__KIND__ACK, &ack, &msg), 0);
    assert_true(net_inject(net, 0, 1, msg));
    xn_msg_free(msg);
    return link->rtt_us;
}

/* Who says that it held a question makes itself nearer by that, but not more
 * than twice as near as the link's opening showed, or the question itself. */
static void test_held(void **state)
{
    struct net *net = start_few();
    struct link *link;
    xn_peer peer;

    (void)state;
    assert_true(net_peer(net, 0, 1, &peer));
    link = link_find_live(net->node[0].ov, peer);
    assert_non_null(link);
    assert_in_range(link->opened_us, 10000, 200000);
    assert_int_equal(rtt_held(net, link, 100), 200000);
    assert_int_equal(rtt_held(net, link, 299), link->opened_us / 2);
    link->opened_us = 0;
    assert_int_equal(rtt_held(net, link, 299), 150000);
    net_free(net);
}

static xn_id told_by(const struct net *net, uint32_t i)
{
    Xn__Coordinate said;
    xn_id all = {{0}};
    int32_t at[3];

    pns_say(net->node[i].ov, &said);
    at[0] = said.x, at[1] = said.y, at[2] = (int32_t)said.height;
    memcpy(all.b, at, sizeof at);
    return all;
}

/* Who says again and again that he is at the edge of the world, or that he has
 * been asked something, moves nobody by that. */
static void test_repeated(void **state)
{
    struct net *net = start_few();
    Xn__Coordinate edge = XN__COORDINATE__INIT;
    Xn__Peers peers = XN__PEERS__INIT;
    Xn__Pong pong = XN__PONG__INIT;
    xn_id before = told_by(net, 0), after;
    struct xn_msg *msg;
    uint32_t i;

    (void)state;
    edge.x = INT32_MAX;
    edge.height = 1;
    edge.error = 5;
    peers.coordinate = &edge;
    for (i = 0; i < 100; i++) {
        pong.nonce = i;
        assert_int_equal(xn_msg_new(XN__KIND__PEERS, &peers, &msg), 0);
        assert_true(net_inject(net, 0, 1, msg));
        xn_msg_free(msg);
        assert_int_equal(xn_msg_new(XN__KIND__PONG, &pong, &msg), 0);
        assert_true(net_inject(net, 0, 1, msg));
        xn_msg_free(msg);
    }
    after = told_by(net, 0);
    assert_memory_equal(&before, &after, sizeof before);
    net_free(net);
}

/* Who sees the nonces of PINGs sees nothing of the generator. */
static void test_nonce(void **state)
{
    struct net *net = start_few();
    struct ov *ov = net->node[0].ov;
    struct link *link = ring_link(ov, 0);
    struct xn_rng rng;
    uint64_t drawn;
    uint32_t first;

    (void)state;
    net_run(net, 30 * SEC); /* no PING is under way */
    rng = net->node[0].rng;
    drawn = xn_rng_u64(&rng);
    watch_probe(ov, &net->now, link, false, net_begin(net, 0));
    net_end(net, 0);
    first = link->nonce;
    assert_int_not_equal(first, drawn >> 32);
    assert_int_not_equal(first, (uint32_t)drawn);
    net_run(net, SEC);
    assert_int_equal(link->ping_us,
                     0); /* it was answered, and is asked again */
    watch_probe(ov, &net->now, link, false, net_begin(net, 0));
    net_end(net, 0);
    assert_int_not_equal(link->nonce, first);
    net_free(net);
}

/* ---- among more than the budget ---- */

enum { UP = 31, CROWD = 40 }; /* the others are only heard of */

static const struct net_config crowd = {.nodes = CROWD,
                                        .links_max = 32,
                                        .leaves = 3,
                                        .handle_per_link = true,
                                        .way_us = way_us,
                                        .seed = 9};

static bool is_far(const struct ov *ov, size_t at)
{
    return !ring_is_leaf(ov, &ring_contact(ov, at)->position);
}

/* Node 0 knows where it is, believes that there are more than it can link to,
 * and has dialled so many of those that are no neighbours. */
static struct net *start_crowd(size_t ours)
{
    struct net *net = net_new(&crowd);
    struct ov *ov;
    uint32_t i;

    for (i = 0; i < UP; i++) {
        net_start(net, i, 0);
        net_run(net, SEC);
    }
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 2 * SEC);
    ov = net->node[0].ov;
    for (i = 0; i < ov->ring.n; i++) {
        struct link *link = link_find(ov, ring_peer(ov, i));

        assert_non_null(link);
        link->incoming = !is_far(ov, i) || ours == 0;
        ours -= !link->incoming;
    }
    assert_int_equal(ours, 0);
    links_set_partial(ov, &net->now);
    assert_true(ring_nodes(ov) > crowd.links_max * 3 / 2); /* close to it */
    return net;
}

static size_t ours_of(const struct net *net)
{
    const struct ov *ov = net->node[0].ov;
    size_t n = 0, i;

    for (i = 0; i < ov->ring.n; i++)
        n += !link_find(ov, ring_peer(ov, i))->incoming;
    return n;
}

/* However many link to us: of those that we dialled we keep a quarter of the
 * budget, but for those that the others close. */
static void test_ours_stay(void **state)
{
    enum { OURS = 12 };
    struct net *net = start_crowd(OURS);

    (void)state;
    net_run(net, 120 * SEC);
    assert_in_range(ours_of(net), 1, crowd.links_max / 4);
    assert_int_equal(ov_stats(net->node[0].ov)->evicted,
                     OURS - crowd.links_max / 4);
    assert_true(net->node[0].ov->ring.n > links_enough(net->node[0].ov));
    net_free(net);
}

/* Nor is a link given up that waits for an answer, or whose node does. */
static void test_awaited_stay(void **state)
{
    struct net *net = start_crowd(14);
    const struct ov *ov = net->node[0].ov;
    struct asked asked[UP];
    xn_peer busy[UP];
    uint32_t i, n = 0, idle = 0;

    (void)state;
    net->node[0].answer = ANSWER_NEVER;
    for (i = 0; i < ov->ring.n; i++) {
        xn_peer peer = ring_peer(ov, i);
        uint32_t who = net_who(net, 0, peer);

        if (link_find(ov, peer)->incoming) continue;
        if ((n + idle) % 4 == 3) {
            idle++;
            continue;
        }
        net->node[who].answer = ANSWER_NEVER;
        if (n % 2)
            net_ask_peer(net, 0, who, 300 * SEC, &asked[n]);
        else
            net_ask_peer(net, who, 0, 300 * SEC, &asked[n]);
        busy[n++] = peer;
    }
    net_run(net, 100 * SEC);
    assert_in_range(ours_of(net), n, n + idle - 1);
    for (i = 0; i < n; i++) {
        assert_int_equal(asked[i].calls, 0);
        assert_non_null(link_find_live(ov, busy[i]));
    }
    net_free(net);
}

/* Unless all room is taken: else some who wait for ever, for what friends of
 * theirs never answer, would keep out all others. */
static void test_awaited_go(void **state)
{
    struct net *net = start_crowd(14);
    struct ov *ov = net->node[0].ov;
    struct asked asked[UP];
    uint32_t i, n = 0;

    (void)state;
    net->node[0].answer = ANSWER_NEVER;
    for (i = 0; i < ov->ring.n; i++) {
        xn_peer peer = ring_peer(ov, i);

        if (link_find(ov, peer)->incoming) continue;
        net_ask_peer(net, net_who(net, 0, peer), 0, 300 * SEC, &asked[n++]);
    }
    net_run(net, 50 * SEC);
    assert_int_equal(ov_stats(ov)->evicted, 0);
    ov->config.links_max = ov->ring.n;
    net_run(net, 50 * SEC);
    assert_in_range(ov_stats(ov)->evicted, 1, n - 1);
    net_free(net);
}

/* Those who are in one place of node 0's table with that node, or all others,
 * say that it is right beside node 0. */
static void let_name(struct net *net, uint32_t node, bool others)
{
    static Xn__Contact contact;
    static Xn__Coordinate there;
    const struct ov *ov = net->node[0].ov;
    const struct xn_contact *named = &net->node[node].contact;
    struct table_place place;
    uint32_t i;

    pns_say(ov, &there);
    there.height = 1;
    there.error = 1;
    xn__contact__init(&contact);
    contact.id = xn_id_bytes(&named->id);
    contact.position = xn_id_bytes(&named->position);
    contact.address = net->node[node].address;
    contact.coordinate = &there;
    table_place(ov->digit, ov_position(ov), &named->position, &place);
    for (i = 1; i < UP; i++) {
        const xn_id *position = &net->node[i].contact.position;
        bool within = xn_id_cmp(position, &place.lo) >= 0 &&
                      xn_id_cmp(position, &place.hi) <= 0;

        net->node[i].names = within != others ? &contact : NULL;
    }
}

/* One who is named is dialled if it is in the place that was asked about. */
static void test_named_elsewhere(void **state)
{
    struct net *net = start_crowd(0);
    uint32_t named = UP;

    (void)state;
    while (ring_is_leaf(net->node[0].ov, &net->node[named].contact.position))
        assert_true(++named < CROWD);
    let_name(net, named, true);
    net_run(net, 200 * SEC);
    assert_int_equal(net->node[named].dialled, 0);
    let_name(net, named, false);
    net_run(net, 300 * SEC);
    assert_int_equal(net->node[named].dialled, 1);
    net_free(net);
}

/* Where we have nobody, others are asked whom they have there. */
static void test_empty_place(void **state)
{
    struct net *net = start_crowd(0);
    struct ov *ov = net->node[0].ov;
    struct table_place place;
    uint32_t named = UP;
    size_t first, end;
    uint64_t dials;

    (void)state;
    while (ring_is_leaf(ov, &net->node[named].contact.position))
        assert_true(++named < CROWD);
    table_place(ov->digit, ov_position(ov), &net->node[named].contact.position,
                &place);
    ring_within(ov, &place, &first, &end);
    while (end-- > first)
        net_crash(net, net_who(net, 0, ring_peer(ov, end)), true);
    let_name(net, named, true);
    ov->calm_us = UINT64_MAX; /* nobody is dialled for being heard of alone */
    dials = ov_stats(ov)->dials;
    net_run(net, 100 * SEC);
    assert_true(ov_stats(ov)->dials > dials);
    net_free(net);
}

/* Nor is one dialled because it is named that we have given up, or that could
 * not be reached again and again. */
static void test_named_again(void **state)
{
    struct net *net = start_crowd(0);
    struct ov *ov = net->node[0].ov;
    struct hint *hint;
    uint64_t dials;
    uint32_t named;
    size_t at;

    (void)state;
    at = (ov->self_at + ov->ring.n / 2) % ov->ring.n; /* not alone there */
    assert_true(is_far(ov, at));
    named = net_who(net, 0, ring_peer(ov, at));
    links_evict(ov, &net->now, at, net_begin(net, 0));
    net_end(net, 0);
    net_crash(net, named, true);
    dials = ov_stats(ov)->dials;
    let_name(net, named, false);
    net_run(net, 200 * SEC);
    hint = hint_find(ov, &net->node[named].contact.id);
    assert_non_null(hint);
    assert_int_equal(ov_stats(ov)->dials, dials);
    hint->given_up = false;
    hint->failures = 3;
    net_run(net, 200 * SEC);
    assert_int_equal(ov_stats(ov)->dials, dials);
    hint->failures = 2;
    net_run(net, 300 * SEC);
    assert_int_equal(ov_stats(ov)->dials, dials + 1);
    net_free(net);
}

/* Who says that there are more than the budget has nobody give up links where
 * there are not. */
static void test_boast(void **state)
{
    const struct net_config config = {.nodes = 28,
                                      .links_max = 32,
                                      .leaves = 3,
                                      .handle_per_link = true,
                                      .way_us = way_us,
                                      .seed = 11};
    struct net *net = net_new(&config);
    uint32_t i;

    (void)state;
    net->node[config.nodes - 1].partial = true;
    for (i = 0; i < config.nodes; i++) {
        net_start(net, i, 0);
        net_run(net, SEC);
    }
    net_run(net, 300 * SEC);
    for (i = 0; i < config.nodes; i++) {
        const struct ov *ov = net->node[i].ov;

        assert_int_equal(ov_stats(ov)->evicted, 0);
        assert_true(config.nodes - 1 > links_enough(ov));
    }
    assert_true(net_is_mesh(net));
    net_free(net);
}

/* ---- tables ---- */

enum { NODES = 150 };

/* How much farther the nearest in a place is than the nearest that there is, in
 * the mean over all places of all nodes. */
static double farther(const struct net *net)
{
    double sum = 0;
    uint32_t i, j, k, n = 0;

    for (i = 0; i < NODES; i++) {
        const struct ov *ov = net->node[i].ov;

        for (j = 0; j < NODES; j++) {
            const xn_id *position = &net->node[j].contact.position;
            uint64_t best_us = UINT64_MAX, have_us = UINT64_MAX;
            struct table_place place;

            if (j == i || ring_is_leaf(ov, position)) continue;
            table_place(ov->digit, ov_position(ov), position, &place);
            for (k = 0; k < NODES; k++) {
                const xn_id *other = &net->node[k].contact.position;
                xn_peer peer;

                if (k == i || xn_id_cmp(other, &place.lo) < 0 ||
                    xn_id_cmp(other, &place.hi) > 0)
                    continue;
                if (way_us(i, k) < best_us) best_us = way_us(i, k);
                if (net_peer(net, i, k, &peer) && way_us(i, k) < have_us)
                    have_us = way_us(i, k);
            }
            if (have_us == UINT64_MAX) continue;
            sum += (double)have_us / (double)best_us;
            n++;
        }
    }
    return sum / n;
}

static double joined(bool older)
{
    const struct net_config config = {.nodes = NODES,
                                      .links_max = 32,
                                      .leaves = 3,
                                      .handle_per_link = true,
                                      .way_us = way_us,
                                      .seed = 21};
    struct net *net = net_new(&config);
    uint32_t i, most = 0, links = 0;
    double much;

    net->check_every = 50;
    for (i = 0; i < NODES; i++) {
        net->node[i].lacks = older ? UINT64_MAX : 0;
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    net_run(net, 600 * SEC);
    for (i = 0; i < NODES; i++) {
        uint32_t n = (uint32_t)ov_links(net->node[i].ov);

        links += n;
        if (n > most) most = n;
    }
    much = farther(net);
    print_message("# %s: in its place the nearest linked is %.2f times as far "
                  "as the nearest; %u links in the mean\n",
                  older ? "without" : "with", much, links / NODES);
    assert_true(most <= 32);
    assert_true(net_has_leaves(net));
    net_free(net);
    return much;
}

static void test_tables(void **state)
{
    double without = joined(true), with = joined(false);

    (void)state;
    assert_true(with < 1.3);
    assert_true(with < 0.8 * without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coordinates),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_nothing_told),
        cmocka_unit_test(test_both_ends),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_nonce),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_ours_stay),
        cmocka_unit_test(test_awaited_stay),
        cmocka_unit_test(test_awaited_go),
        cmocka_unit_test(test_named_elsewhere),
        cmocka_unit_test(test_named_again),
        cmocka_unit_test(test_empty_place),
        cmocka_unit_test(test_boast),
    };

    return cmocka_run_group_tests_name("ov_pns", tests, NULL, NULL);
}
