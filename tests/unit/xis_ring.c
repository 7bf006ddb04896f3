/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index while the ring changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/inside.h"
#include "lib/err.h"
#include "tests/unit/xis_kit.h"
#include "wire/token.h"

#define V1 (1700000000 * SEC)
#define ADS 150 /* more than one part of a hand-over */

static void publish_all(struct kit *kit, uint32_t through)
{
    struct kit_ad ads[50];
    uint32_t i, k;

    for (i = 0; i < ADS; i += 50) {
        for (k = 0; k < 50; k++)
            ads[k] = kit_ad(kit, i + k, V1);
        kit_publish(kit, through, ads, 50);
        net_run(kit->net, 2 * SEC);
        assert_int_equal(kit->node[through].status, 200);
        assert_int_equal(kit->node[through].results_rc, 0);
    }
}

/* A newcomer says "not yet" until it has been handed everything; never less
 * than all. */
static void test_joiner(void **state)
{
    struct kit *kit = kit_new(4, 11);
    unsigned not_yet = 0, ms;

    (void)state;
    for (ms = 0; ms < 3; ms++)
        net_start(kit->net, ms, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    publish_all(kit, 2);
    net_crash(kit->net, 2, true); /* who published puts nothing again */
    assert_true(kit_settled(kit, 60 * SEC));
    net_start(kit->net, 3, 0);
    for (ms = 0; ms < 60000; ms += 20) {
        int n = kit_count(kit, 3, "CPUsmps");

        if (n == ADS) break;
        assert_int_equal(n, XN_ENOTYET);
        not_yet++;
        net_run(kit->net, SEC / 50);
    }
    assert_int_equal(kit_count(kit, 3, "CPUsmps"), ADS);
    assert_true(not_yet > 0);
    assert_int_equal(xis_ads(kit_xis(kit, 3)), ADS);
    kit_free(kit);
}

/* Whose clock is wrong drops nothing by it, and says nothing; set right, it
 * goes by what it has once the others have compared theirs. */
static void test_clock(void **state)
{
    struct kit *kit = kit_new(5, 12);
    struct xn_out *out;

    (void)state;
    kit_start_all(kit);
    assert_true(kit_settled(kit, 60 * SEC));
    publish_all(kit, 2);
    kit->net->node[4].ahead_us = 3600 * SEC;
    net_run(kit->net, 20 * SEC);
    assert_int_equal(xis_ads(kit_xis(kit, 4)), ADS);
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), XN_ENOTYET);
    kit->net->node[4].ahead_us = 0;
    out = net_begin(kit->net, 4);
    xis_unsettle(kit_xis(kit, 4), &kit->net->now, out);
    net_end(kit->net, 4);
    assert_int_equal(kit->net->node[4].misdated, 2);
    assert_int_equal(ov_clock_off_s(kit->net->node[4].ov), 0);
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), XN_ENOTYET);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), ADS);
    kit_free(kit);
}

/* Is node i among the near copies of the token's key? */
static bool is_copy(const struct kit *kit, uint32_t i, const char *token)
{
    uint32_t rank;
    xn_id key;

    xn_token_key(token, NULL, 0, false, &key);
    for (rank = 0; rank < 3; rank++) {
        if (net_nearest(kit->net, &key, rank) == i) return true;
    }
    return false;
}

/* All copies of a token, near and far, die at once: who is a copy then has all
 * of it again, and says nothing else but "not yet" before. */
static void test_loss(void **state)
{
    struct kit *kit = kit_new(12, 12);
    uint32_t i, s, dead[5], rank;
    xn_id key;

    (void)state;
    kit_start_all(kit);
    xn_token_key("CPUsmps", NULL, 0, false, &key);
    for (rank = 0; rank < 3; rank++)
        dead[rank] = net_nearest(kit->net, &key, rank);
    xn_token_key("CPUsmps", NULL, 0, true, &key);
    for (rank = 0; rank < 2; rank++)
        dead[3 + rank] = net_nearest(kit->net, &key, rank);
    for (i = 0; i < 12; i++) { /* through one that stays */
        for (rank = 0; rank < 5 && dead[rank] != i; rank++)
            ;
        if (rank == 5) break;
    }
    publish_all(kit, i);
    for (rank = 0; rank < 5; rank++) {
        if (kit->net->node[dead[rank]].up)
            net_crash(kit->net, dead[rank], true);
    }
    for (s = 0; s < 300; s++) {
        net_run(kit->net, SEC / 10);
        for (i = 0; i < 12; i++) {
            int n;

            if (!kit->net->node[i].up || !is_copy(kit, i, "CPUsmps")) continue;
            n = kit_count(kit, i, "CPUsmps");
            if (n != ADS) assert_int_equal(n, XN_ENOTYET);
        }
    }
    for (i = 0, s = 0; i < 12; i++) {
        if (!kit->net->node[i].up || !is_copy(kit, i, "CPUsmps")) continue;
        assert_int_equal(kit_count(kit, i, "CPUsmps"), ADS);
        s++;
    }
    assert_int_equal(s, 3);
    kit_free(kit);
}

/* Who joins takes over some of what others hold: these go on. */
static void test_join_unsettles_nobody(void **state)
{
    struct kit *kit = kit_new(5, 8);
    unsigned ms;
    uint32_t i;

    (void)state;
    for (i = 0; i < 4; i++)
        net_start(kit->net, i, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    publish_all(kit, 0);
    net_start(kit->net, 4, 0);
    for (ms = 0; ms < 5000; ms += 20) {
        for (i = 0; i < 4; i++)
            assert_true(xis_settled(kit_xis(kit, i)));
        net_run(kit->net, SEC / 50);
    }
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), ADS);
    kit_free(kit);
}

/* How many nodes lie between the two, on the shorter way. */
static uint32_t between(const struct kit *kit, uint32_t i, uint32_t j)
{
    const xn_id *from = &kit->net->node[i].contact.position;
    const xn_id *to = &kit->net->node[j].contact.position;
    uint32_t n = kit->net->config.nodes, inside = 0, k;
    xn_id all, d;

    xn_ring_clockwise(from, to, &all);
    for (k = 0; k < n; k++) {
        if (k == i || k == j) continue;
        xn_ring_clockwise(from, &kit->net->node[k].contact.position, &d);
        inside += xn_id_cmp(&d, &all) < 0;
    }
    return inside < n - 2 - inside ? inside : n - 2 - inside;
}

/* Whose neighbours live has nothing new to hold: it goes on, others exchange
 * first. */
static void test_far_loss(void **state)
{
    struct kit *kit = kit_new(14, 18);
    bool unsettled[14] = {false};
    unsigned ms, far = 0;
    uint32_t i;

    (void)state;
    kit_start_all(kit);
    publish_all(kit, 1);
    net_crash(kit->net, 0, true);
    for (ms = 0; ms < 3000; ms += 20) {
        for (i = 1; i < 14; i++)
            unsettled[i] |= !xis_settled(kit_xis(kit, i));
        net_run(kit->net, SEC / 50);
    }
    for (i = 1; i < 14; i++) {
        far += between(kit, 0, i) >= 4;
        assert_int_equal(unsettled[i], between(kit, 0, i) < 4);
    }
    assert_int_equal(far, 5);
    assert_true(kit_settled(kit, 60 * SEC));
    kit_free(kit);
}

/* Two that lost a third compare once, not each with the other. */
static void test_one_asks(void **state)
{
    struct kit *kit = kit_new(3, 19);

    (void)state;
    kit_start_all(kit);
    publish_all(kit, 0);
    kit->node[0].syncs = kit->node[1].syncs = 0;
    net_crash(kit->net, 2, true);
    net_run(kit->net, SEC / 50);
    assert_false(xis_settled(kit_xis(kit, 0)));
    assert_false(xis_settled(kit_xis(kit, 1)));
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit->node[0].syncs + kit->node[1].syncs, 1);
    kit_free(kit);
}

/* What differs, says node 1, from node 0 who says that it has nothing. */
static void ask_sync(struct kit *kit, bool whole, struct kit_reply *reply)
{
    Xn__Sync sync = XN__SYNC__INIT;

    sync.whole = whole;
    kit_ask(kit, 0, 1, XN__KIND__SYNC, &sync, reply);
    net_run(kit->net, SEC);
    assert_int_equal(reply->rc, 0);
}

/* An exchange in the background is about what both should hold: nothing else is
 * named. */
static void test_background(void **state)
{
    struct kit *kit = kit_new(12, 21);
    struct kit_ad ad;
    struct kit_reply whole, both;
    const Xn__SyncDiff *diff;
    size_t i;

    (void)state;
    kit_start_all(kit);
    ad = kit_ad(kit, 1, V1);
    ad.flood = 100;
    kit_publish(kit, 0, &ad, 1);
    net_run(kit->net, 2 * SEC);
    ask_sync(kit, true, &whole);
    ask_sync(kit, false, &both);
    diff = XN_BODY(both.msg, Xn__SyncDiff);
    assert_true(diff->n_tokens > 0);
    assert_true(diff->n_tokens < XN_BODY(whole.msg, Xn__SyncDiff)->n_tokens);
    for (i = 0; i < diff->n_tokens; i++) {
        assert_true(xis_name_held(kit_xis(kit, 0), diff->tokens[i]));
        assert_true(xis_name_held(kit_xis(kit, 1), diff->tokens[i]));
    }
    xn_msg_free(whole.msg);
    xn_msg_free(both.msg);
    kit_free(kit);
}

/* More tokens than one SYNC lists, all sorting before those of the other ads:
 * these are handed over all the same, before the newcomer says that it knows. */
static void test_token_flood(void **state)
{
    struct kit *kit = kit_new(4, 15);
    struct kit_ad ads[32];
    uint32_t i;

    (void)state;
    for (i = 0; i < 3; i++)
        net_start(kit->net, i, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    for (i = 0; i < 32; i++) {
        ads[i] = kit_ad(kit, i, V1);
        if (i % 8) ads[i].flood = 200;
    }
    for (i = 0; i < 32; i += 8) {
        kit_publish(kit, 2, ads + i, 8);
        net_run(kit->net, 2 * SEC);
        assert_int_equal(kit->node[2].results_rc, 0);
    }
    net_crash(kit->net, 2, true); /* who published puts nothing again */
    assert_true(kit_settled(kit, 60 * SEC));
    net_start(kit->net, 3, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 3, "CPUsmps"), 32);
    assert_int_equal(kit_count(kit, 3, "A31.199"), 1);
    kit_free(kit);
}

/* Away while an ad is withdrawn and another rewritten: back, it has neither
 * any more. */
static void test_changed_meanwhile(void **state)
{
    struct kit *kit = kit_new(3, 16);
    struct kit_ad gone, new;

    (void)state;
    kit_start_all(kit);
    publish_all(kit, 0);
    net_crash(kit->net, 2, true);
    net_run(kit->net, SEC);
    gone = kit_ad(kit, 1, V1 + 1);
    gone.withdrawn = true;
    kit_publish(kit, 0, &gone, 1);
    new = kit_ad(kit, 2, V1 + 1);
    kit_publish(kit, 0, &new, 1);
    net_run(kit->net, SEC);
    net_crash(kit->net, 0, true); /* who published puts nothing again */
    net_start(kit->net, 2, 1);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 2, "CPUsmps"), ADS - 1);
    assert_false(kit_has(kit, 2, 1, V1));
    assert_true(kit_has(kit, 2, 2, V1 + 1));
    gone = kit_ad(kit, 1, V1);
    assert_int_equal(kit_put(kit, 1, 2, &gone), XN_ESTALE);
    kit_free(kit);
}

/* Without any other it knows only itself: in company again that is nothing. */
static void test_left_alone(void **state)
{
    struct kit *kit = kit_new(2, 17);
    struct kit_ad ad = kit_ad(kit, 1, V1);

    (void)state;
    kit_start_all(kit);
    net_crash(kit->net, 1, true);
    net_run(kit->net, 20 * SEC);
    assert_true(xis_settled(kit_xis(kit, 0)));
    kit_publish(kit, 0, &ad, 1);
    net_start(kit->net, 1, 0);
    net_run(kit->net, SEC / 2);
    assert_false(xis_settled(kit_xis(kit, 0)));
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 1);
    kit_free(kit);
}

/* Do both hold some token, or is `j` not beside `i`?  Then they would compare it
 * at any time. */
static bool share(struct kit *kit, uint32_t i, uint32_t j)
{
    struct xis *xis = kit_xis(kit, i);
    xn_peer beside[2 * XIS_SIDE], peer;
    size_t n = ov_beside(xis->ov, XIS_SIDE, beside), k;

    assert_true(net_peer(kit->net, i, j, &peer));
    for (k = 0; k < n && beside[k] != peer; k++)
        ;
    if (k == n) return true;
    for (k = 0; k < xis->tokens.n; k++) {
        if (xis_token_held(xis, xis->tokens.v[k]) &&
            xis_token_has_peer(xis, xis->tokens.v[k], peer)) {
            return true;
        }
    }
    return false;
}

/* A neighbour out of sight for a moment, as where a partition heals, misses what
 * is put to who takes itself to be in its place: back in sight, it is handed
 * that, though neither is new. */
static void test_put_in_its_place(void **state)
{
    enum { ALL = 60 };
    struct kit *kit = kit_new(ALL, 21);
    struct kit_ad ad = kit_ad(kit, 1, V1);
    uint32_t owner, other, by = 0, asker = 0;
    xn_peer peer;
    xn_id key;

    (void)state;
    kit_start_all(kit);
    xn_token_key("CPUsmps", NULL, 0, false, &key);
    owner = net_nearest(kit->net, &key, 0);
    while (by == owner)
        by++;
    kit_publish(kit, by, &ad, 1);
    net_run(kit->net, 2 * SEC);
    net_crash(kit->net, by, true); /* who published puts nothing again */
    assert_true(kit_settled(kit, 60 * SEC));
    assert_true(kit_has(kit, owner, 1, V1));
    for (other = 0; other < ALL; other++) {
        if (other != by && other != owner && !share(kit, owner, other)) break;
    }
    assert_true(other < ALL);
    while (asker == by || asker == owner || asker == other)
        asker++;
    kit->net->node[owner].gate_us = kit->net->node[other].gate_us = 10 * SEC;
    net_cut(kit->net, owner, other);
    net_run(kit->net, 4 * SEC); /* all have exchanged anew */
    ad = kit_ad(kit, 1, V1 + 1);
    assert_int_equal(kit_put(kit, asker, other, &ad), 0);
    net_run(kit->net, 4 * SEC);
    assert_false(net_peer(kit->net, owner, other, &peer));
    assert_true(xis_settled(kit_xis(kit, owner)));
    assert_true(xis_settled(kit_xis(kit, other)));
    assert_false(kit_has(kit, owner, 1, V1 + 1));
    net_run(kit->net, 8 * SEC);
    assert_true(net_peer(kit->net, owner, other, &peer));
    assert_true(kit_has(kit, owner, 1, V1 + 1));
    kit_free(kit);
}

/* What a newcomer is told after we asked it, we learn once it has settled. */
static void test_newcomer_is_asked_again(void **state)
{
    struct kit *kit = kit_new(3, 23);
    struct kit_ad ad = kit_ad(kit, 1, V1);

    (void)state;
    net_start(kit->net, 0, 0);
    net_start(kit->net, 1, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    net_start(kit->net, 2, 0);
    net_run(kit->net, 2 * SEC);
    assert_false(xis_settled(kit_xis(kit, 2)));
    assert_int_equal(kit_put(kit, 1, 2, &ad), 0);
    assert_false(kit_has(kit, 0, 1, V1));
    net_run(kit->net, 10 * SEC);
    assert_true(xis_settled(kit_xis(kit, 2)));
    assert_true(kit_has(kit, 0, 1, V1));
    kit_free(kit);
}

static bool all_have_settled(struct net *net)
{
    uint32_t i;

    for (i = 0; i < net->config.nodes; i++) {
        const struct kit_node *node = net->node[i].component;

        if (net->node[i].up && !xis_settled(node->xis)) return false;
    }
    return net_has_leaves(net);
}

/* Who publishes among more nodes than it can see is told that all copies have
 * the ad, though the nodes on the way took another for one of them: that one is
 * told within half a minute, and its neighbours need not find out. */
static void test_passed_over(void **state)
{
    enum { ALL = 60 };
    struct kit *kit = kit_new(ALL, 29);
    struct kit_ad ad = kit_ad(kit, 1, V1);
    uint32_t owner, by = 0, i;
    struct xis *xis;
    xn_id key, id;

    (void)state;
    kit->net->config.links_max = 32;
    for (i = 0; i < ALL; i++) {
        net_start(kit->net, i, i / 2);
        net_run(kit->net, SEC / 20);
    }
    assert_true(net_until(kit->net, 120 * SEC, all_have_settled));
    xn_token_key("CPUsmps", NULL, 0, false, &key);
    owner = net_nearest(kit->net, &key, 0);
    while (is_copy(kit, by, "CPUsmps"))
        by++;
    assert_false(ov_is_mesh(kit->net->node[by].ov, &kit->net->now));
    kit_publish(kit, by, &ad, 1);
    net_run(kit->net, 4 * SEC);
    assert_int_equal(kit->node[by].status, 200);
    assert_true(kit_has(kit, owner, 1, V1));
    xis = kit_xis(kit, owner);
    kit_server_id(1, &id);
    xis_ad_remove(xis, xis_ad_find(xis, &id));
    assert_false(kit_has(kit, owner, 1, V1));
    for (i = 0; i < ALL; i++) /* neighbours do not compare meanwhile */
        kit_xis(kit, i)->settle.background_us += 3600 * SEC;
    net_run(kit->net, 22 * SEC);
    assert_true(kit_has(kit, owner, 1, V1));
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joiner),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_join_unsettles_nobody),
        cmocka_unit_test(test_far_loss),
        cmocka_unit_test(test_one_asks),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_token_flood),
        cmocka_unit_test(test_changed_meanwhile),
        cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_put_in_its_place),
        cmocka_unit_test(test_newcomer_is_asked_again),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_loss),
    };

    return cmocka_run_group_tests_name("xis_ring", tests, NULL, NULL);
}
