/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index while the ring changes, and against rude neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    struct kit *kit = kit_new(3, 11);
    unsigned not_yet = 0, ms;

    (void)state;
    net_start(kit->net, 0, 0);
    net_start(kit->net, 1, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    publish_all(kit, 0);
    net_start(kit->net, 2, 0);
    for (ms = 0; ms < 60000; ms += 20) {
        int n = kit_count(kit, 2, "CPUsmps");

        if (n == ADS) break;
        assert_int_equal(n, XN_ENOTYET);
        not_yet++;
        net_run(kit->net, SEC / 50);
    }
    assert_int_equal(kit_count(kit, 2, "CPUsmps"), ADS);
    assert_true(not_yet > 0);
    assert_int_equal(xis_ads(kit_xis(kit, 2)), ADS);
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

static int rude(struct kit *kit, unsigned kind, const void *body)
{
    struct kit_reply reply;

    kit_ask(kit, 0, 1, kind, body, &reply);
    net_run(kit->net, SEC);
    assert_int_equal(reply.calls, 1);
    xn_msg_free(reply.msg);
    return reply.rc;
}

static void test_rude(void **state)
{
    struct kit *kit = kit_new(2, 13);
    Xn__Offer offer = XN__OFFER__INIT;
    Xn__OfferItem item = XN__OFFER_ITEM__INIT, *items[1001];
    Xn__Sync sync = XN__SYNC__INIT;
    Xn__TokenDigest digest = XN__TOKEN_DIGEST__INIT, *digests[2];
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, *ads[65];
    Xn__Find find = XN__FIND__INIT;
    uint8_t bytes[32] = {1};
    size_t i;

    (void)state;
    kit_start_all(kit);
    item.server = (ProtobufCBinaryData){32, bytes};
    for (i = 0; i < 1001; i++)
        items[i] = &item;
    offer.items = items;
    offer.n_items = 2; /* doubled */
    assert_int_equal(rude(kit, XN__KIND__OFFER, &offer), XN_EINVAL);
    offer.n_items = 1001;
    assert_int_not_equal(rude(kit, XN__KIND__OFFER, &offer), 0);
    offer.n_items = 1;
    assert_int_equal(rude(kit, XN__KIND__OFFER, &offer), 0);
    item.server.len = 31;
    assert_int_equal(rude(kit, XN__KIND__OFFER, &offer), XN_EINVAL);
    digest.token = (char *)(uintptr_t) "CPUsmps";
    digests[0] = digests[1] = &digest;
    sync.tokens = digests;
    sync.n_tokens = 2; /* doubled */
    assert_int_equal(rude(kit, XN__KIND__SYNC, &sync), XN_EINVAL);
    digest.token = (char *)(uintptr_t) "no name";
    sync.n_tokens = 1;
    assert_int_equal(rude(kit, XN__KIND__SYNC, &sync), XN_EINVAL);
    ad.lease = (ProtobufCBinaryData){32, bytes};
    for (i = 0; i < 65; i++)
        ads[i] = &ad;
    put.ads = ads;
    put.n_ads = 65;
    assert_int_equal(rude(kit, XN__KIND__PUT, &put), XN_ETOOBIG);
    put.n_ads = 64;
    assert_int_equal(rude(kit, XN__KIND__PUT, &put), 0);
    find.token = (char *)(uintptr_t) "CPUsmps";
    find.prefix = (ProtobufCBinaryData){1, bytes};
    assert_int_equal(rude(kit, XN__KIND__FIND, &find), XN_EINVAL);
    find.prefix.len = 0;
    assert_int_equal(rude(kit, XN__KIND__FIND, &find), 0);
    find.token = (char *)(uintptr_t) "no name";
    assert_int_equal(rude(kit, XN__KIND__FIND, &find), XN_EINVAL);
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joiner),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_rude),
    };

    return cmocka_run_group_tests_name("xis_ring", tests, NULL, NULL);
}
