/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index against neighbours that break the rules. */
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

/* One who refuses, or never ends, delays others but does not stop them. */
static void settles_beside(enum kit_lie lie)
{
    struct kit *kit = kit_new(3, 10);
    uint32_t i;

    kit->node[2].lie = lie;
    for (i = 0; i < 3; i++)
        net_start(kit->net, i, 0);
    assert_true(kit_settled(kit, 200 * SEC));
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 0);
    kit_free(kit);
}

static void test_rude_neighbour(void **state)
{
    (void)state;
    settles_beside(REFUSES);
    settles_beside(GOES_ON_FOR_EVER);
    settles_beside(YOUNG_FOR_EVER);
}

/* It is asked no more often than one that is settled: who has only one exchange
 * at a time would have none with others. */
static void test_young_for_ever(void **state)
{
    struct kit *kit = kit_new(2, 10);
    uint64_t before;

    (void)state;
    kit->node[1].lie = YOUNG_FOR_EVER;
    kit_start_all(kit);
    net_run(kit->net, 120 * SEC);
    before = kit->node[1].lies;
    assert_true(before > 3);
    net_run(kit->net, 600 * SEC);
    assert_in_range(kit->node[1].lies - before, 1, 16);
    kit_free(kit);
}

static void expect(struct kit *kit, unsigned kind, const void *body, int rc)
{
    struct kit_reply reply;

    kit_ask(kit, 0, 1, kind, body, &reply);
    net_run(kit->net, SEC);
    assert_int_equal(reply.calls, 1);
    assert_int_equal(reply.rc, rc);
    xn_msg_free(reply.msg);
}

static void hostile_syncs(struct kit *kit)
{
    Xn__Sync sync = XN__SYNC__INIT;
    Xn__TokenDigest a = XN__TOKEN_DIGEST__INIT, b = a, *two[] = {&a, &b};
    Xn__TokenDigest *many[2001];
    size_t i;

    a.token = (char *)(uintptr_t) "B";
    b.token = (char *)(uintptr_t) "A";
    sync.tokens = two;
    sync.n_tokens = 2;
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
    b.token = a.token; /* twice */
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
    b.token = (char *)(uintptr_t) "B C";
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
    b.token = (char *)(uintptr_t) "C";
    expect(kit, XN__KIND__SYNC, &sync, 0);
    for (i = 0; i < 2001; i++)
        many[i] = &a;
    sync.tokens = many;
    sync.n_tokens = 2001;
    expect(kit, XN__KIND__SYNC, &sync, XN_ETOOBIG);
    sync.tokens = two;
    sync.n_tokens = 2;
    sync.from = a.token; /* the part begins behind its first name */
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
    sync.from = b.token;
    a.token = (char *)(uintptr_t) "D";
    b.token = (char *)(uintptr_t) "E";
    sync.to = a.token; /* ... and ends before its last */
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
    sync.to = b.token;
    expect(kit, XN__KIND__SYNC, &sync, 0);
}

static void hostile_offers(struct kit *kit)
{
    Xn__Offer offer = XN__OFFER__INIT;
    Xn__OfferItem a = XN__OFFER_ITEM__INIT, b = a, *two[] = {&a, &b};
    Xn__OfferItem *many[1001];
    char name[] = "CPUsmps", *names[2001];
    Xn__Have have = XN__HAVE__INIT;
    xn_id low = {{1}}, high = {{2}};
    size_t i;

    a.server = xn_id_bytes(&low);
    b.server = xn_id_bytes(&high);
    offer.items = two;
    offer.n_items = 2;
    expect(kit, XN__KIND__OFFER, &offer, 0);
    b.server.len = 31;
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    b.server = a.server;
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    b.server = xn_id_bytes(&high);
    offer.from.data = low.b;
    offer.from.len = 5;
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    offer.from = xn_id_bytes(&low); /* the range begins behind its first */
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    offer.from.len = 0;
    offer.to = xn_id_bytes(&low); /* ... and ends before its last */
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    offer.to.len = 0;
    expect(kit, XN__KIND__HAVE, &have, 0);
    a.server.len = 31;
    have.items = two;
    have.n_items = 1;
    expect(kit, XN__KIND__HAVE, &have, XN_EINVAL);
    a.server = xn_id_bytes(&low);
    for (i = 0; i < 1001; i++)
        many[i] = &a;
    offer.items = have.items = many;
    offer.n_items = have.n_items = 1001;
    expect(kit, XN__KIND__OFFER, &offer, XN_ETOOBIG);
    expect(kit, XN__KIND__HAVE, &have, XN_ETOOBIG);
    offer.n_items = 1;
    offer.tokens = names;
    offer.n_tokens = 2001;
    for (i = 0; i < 2001; i++)
        names[i] = name;
    expect(kit, XN__KIND__OFFER, &offer, XN_ETOOBIG);
    offer.n_tokens = 2000; /* one name, over and over: harmless */
    expect(kit, XN__KIND__OFFER, &offer, 0);
}

static void test_hostile(void **state)
{
    struct kit *kit = kit_new(2, 11);
    Xn__Find find = XN__FIND__INIT;
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, *ads[65];
    uint8_t byte = 1;
    size_t i;

    (void)state;
    kit_start_all(kit);
    hostile_syncs(kit);
    hostile_offers(kit);
    find.token = (char *)(uintptr_t) "no token";
    expect(kit, XN__KIND__FIND, &find, XN_EINVAL);
    find.token = (char *)(uintptr_t) "CPUsmps";
    find.offset = 100001;
    expect(kit, XN__KIND__FIND, &find, XN_EINVAL);
    find.offset = 100000;
    expect(kit, XN__KIND__FIND, &find, 0);
    find.offset = 0;
    find.prefix.data = &byte;
    find.prefix.len = 1;
    expect(kit, XN__KIND__FIND, &find, XN_EINVAL);
    for (i = 0; i < 65; i++)
        ads[i] = &ad;
    put.ads = ads;
    put.n_ads = 65;
    expect(kit, XN__KIND__PUT, &put, XN_ETOOBIG);
    put.n_ads = 64; /* empty ones are refused one by one */
    expect(kit, XN__KIND__PUT, &put, 0);
    assert_int_equal(xis_ads(kit_xis(kit, 1)), 0);
    kit_free(kit);
}

/* So many questions of one peer are answered in a second, not more. */
static void test_swarm(void **state)
{
    enum { ASKED = 205, SERVED = 200 };
    struct kit *kit = kit_new(2, 14);
    struct kit_reply replies[ASKED];
    Xn__Offer offer = XN__OFFER__INIT;
    unsigned i, good = 0, busy = 0;

    (void)state;
    kit_start_all(kit);
    net_run(kit->net, 5 * SEC); /* so that no session of theirs runs */
    for (i = 0; i < ASKED; i++)
        kit_ask(kit, 0, 1, XN__KIND__OFFER, &offer, &replies[i]);
    net_run(kit->net, SEC);
    for (i = 0; i < ASKED; i++) {
        assert_int_equal(replies[i].calls, 1);
        good += replies[i].rc == 0;
        busy += replies[i].rc == XN_EBUSY;
        xn_msg_free(replies[i].msg);
    }
    assert_int_equal(good, SERVED);
    assert_int_equal(busy, ASKED - SERVED);
    expect(kit, XN__KIND__OFFER, &offer, 0);
    kit_free(kit);
}

static bool is_beside(const struct kit *kit, uint32_t i, uint32_t of)
{
    xn_peer peers[2 * OV_LEAVES_MAX];
    size_t n = ov_beside(kit->net->node[of].ov, 2 * XIS_SIDE, peers), k;

    for (k = 0; k < n; k++)
        if (net_who(kit->net, of, peers[k]) == i) return true;
    return false;
}

/* Others, of the ring or guests, who ask before them leave neighbours their
 * places. */
static void test_places(void **state)
{
    enum { NODES = 60 };
    struct kit *kit = kit_new(NODES, 15);
    struct kit_reply replies[NODES];
    Xn__Offer offer = XN__OFFER__INIT;
    unsigned i, near, far_good = 0, near_n = 0;

    (void)state;
    for (i = NODES / 2; i < NODES; i++)
        kit->net->node[i].guest = true;
    kit_start_all(kit);
    net_run(kit->net, 10 * SEC);
    for (near = 0; near < 2; near++) {
        for (i = 1; i < NODES; i++)
            if (is_beside(kit, i, 0) == (near == 1))
                kit_ask(kit, i, 0, XN__KIND__OFFER, &offer, &replies[i]);
        net_run(kit->net, SEC / 4);
    }
    for (i = 1; i < NODES; i++) {
        assert_int_equal(replies[i].calls, 1);
        if (is_beside(kit, i, 0)) {
            assert_int_equal(replies[i].rc, 0);
            near_n++;
        } else {
            far_good += replies[i].rc == 0;
        }
        xn_msg_free(replies[i].msg);
    }
    assert_int_equal(near_n, 4 * XIS_SIDE);
    assert_int_equal(far_good, XIS_SERVED_FAR);
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rude_neighbour),
        cmocka_unit_test(test_young_for_ever),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_swarm),
        cmocka_unit_test(test_places),
    };

    return cmocka_run_group_tests_name("xis_rude", tests, NULL, NULL);
}
