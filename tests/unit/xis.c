/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index: what comes in, is kept, and goes. */
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
#include "wire/store.pb-c.h"

#define V1 (1700000000 * SEC)

static struct kit *running(uint32_t nodes, uint64_t seed)
{
    struct kit *kit = kit_new(nodes, seed);

    kit_start_all(kit);
    return kit;
}

/* With no more nodes than copies everybody holds everything. */
static void test_publish_find(void **state)
{
    struct kit *kit = running(3, 1);
    struct kit_ad ads[2] = {kit_ad(kit, 1, V1), kit_ad(kit, 2, V1)};
    uint32_t i;

    (void)state;
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 0);
    ads[1].extra = "OwnToken";
    kit_publish(kit, 0, ads, 2);
    net_run(kit->net, 2 * SEC);
    assert_int_equal(kit->node[0].answers, 1);
    assert_int_equal(kit->node[0].status, 200);
    assert_int_equal(kit->node[0].results_rc, 0);
    assert_int_equal(kit->node[0].copies_least, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(xis_ads(kit_xis(kit, i)), 2);
        assert_int_equal(kit_count(kit, i, "CPUsmps"), 2);
        assert_int_equal(kit_count(kit, i, "OwnToken"), 1);
        assert_int_equal(kit_count(kit, i, "NoSuchToken"), 0);
    }
    kit_free(kit);
}

static void test_versions(void **state)
{
    struct kit *kit = running(2, 2);
    struct kit_ad ad = kit_ad(kit, 1, V1 + 1), old = kit_ad(kit, 1, V1);

    (void)state;
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0);
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0); /* known */
    assert_int_equal(kit_put(kit, 0, 1, &old), XN_ESTALE);
    assert_true(kit_has(kit, 1, 1, V1 + 1));
    ad.cpu = 200; /* another document under one version */
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_ESTALE);
    ad.version++;
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0);
    assert_true(kit_has(kit, 1, 1, V1 + 2));
    assert_int_equal(kit_count(kit, 1, "CPUsmps"), 1);
    kit_free(kit);
}

static void test_renewal_and_expiry(void **state)
{
    struct kit *kit = running(2, 3);
    struct kit_ad ad = kit_ad(kit, 1, V1), lone = kit_ad(kit, 2, V1);

    (void)state;
    lone.bare = true;
    assert_int_equal(kit_put(kit, 0, 1, &lone), XN_ENOENT);
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0);
    net_run(kit->net, LEASE_US - 10 * SEC);
    ad = kit_ad(kit, 1, V1);
    ad.bare = true;
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0);
    net_run(kit->net, LEASE_US - 10 * SEC);
    assert_true(kit_has(kit, 1, 1, V1));
    assert_int_equal(kit_count(kit, 1, "CPUsmps"), 1);
    net_run(kit->net, 20 * SEC);
    assert_false(kit_has(kit, 1, 1, V1));
    assert_int_equal(kit_count(kit, 1, "CPUsmps"), 0);
    assert_int_equal(xis_ads(kit_xis(kit, 1)), 0);
    ad = kit_ad(kit, 1, V1);
    ad.until_us = kit->net->now.wall_us - 1;
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_EEXPIRED);
    kit_free(kit);
}

static void test_withdrawal(void **state)
{
    struct kit *kit = running(3, 4);
    struct kit_ad ad = kit_ad(kit, 1, V1), gone = kit_ad(kit, 1, V1 + 1);
    uint32_t i;

    (void)state;
    kit_publish(kit, 0, &ad, 1);
    net_run(kit->net, 2 * SEC);
    assert_int_equal(kit_holders(kit, 1, V1), 3);
    gone.withdrawn = true;
    kit_publish(kit, 0, &gone, 1);
    net_run(kit->net, 2 * SEC);
    for (i = 0; i < 3; i++) {
        assert_int_equal(kit_count(kit, i, "CPUsmps"), 0);
        assert_int_equal(kit->node[i].status, i ? 0 : 200);
    }
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_ESTALE);
    ad = kit_ad(kit, 1, V1 + 2); /* and back again */
    assert_int_equal(kit_put(kit, 0, 1, &ad), 0);
    assert_int_equal(kit_count(kit, 1, "CPUsmps"), 1);
    kit_free(kit);
}

/* Durable before spoken. */
static void test_txn_held(void **state)
{
    struct kit *kit = running(2, 5);
    struct kit_ad ad = kit_ad(kit, 1, V1);
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd *sealed = kit_seal(kit, &ad);
    struct kit_reply reply;

    (void)state;
    kit->node[1].hold_txn = true;
    put.ads = &sealed;
    put.n_ads = 1;
    kit_ask(kit, 0, 1, XN__KIND__PUT, &put, &reply);
    net_run(kit->net, 5 * SEC);
    assert_int_equal(kit->node[1].txns, 1);
    assert_int_equal(reply.calls, 0);
    net_run(kit->net, 60 * SEC);
    assert_int_equal(reply.calls, 1);
    assert_int_not_equal(reply.rc, 0);
    xn_msg_free(reply.msg);
    kit_unseal(sealed);
    kit_free(kit);
}

/* ... and what another PUT has brought and not yet stored is no better. */
static void test_known_held(void **state)
{
    struct kit *kit = running(2, 22);
    struct kit_ad ad = kit_ad(kit, 1, V1);
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd *sealed = kit_seal(kit, &ad);
    struct kit_reply replies[3];
    size_t i;

    (void)state;
    put.ads = &sealed;
    put.n_ads = 1;
    kit->node[1].hold_txn = true;
    kit_ask(kit, 0, 1, XN__KIND__PUT, &put, &replies[0]);
    net_run(kit->net, SEC);
    kit_ask(kit, 0, 1, XN__KIND__PUT, &put, &replies[1]);
    net_run(kit->net, SEC);
    assert_int_equal(replies[0].calls, 0);
    assert_int_equal(replies[1].calls, 0);
    /* TXNs fail in their order; the next to confirm it writes it again. */
    net_run(kit->net, 60 * SEC);
    assert_int_not_equal(replies[0].rc, 0);
    assert_int_not_equal(replies[1].rc, 0);
    kit->node[1].hold_txn = false;
    kit_ask(kit, 0, 1, XN__KIND__PUT, &put, &replies[2]);
    net_run(kit->net, SEC);
    assert_int_equal(replies[2].rc, 0);
    net_crash(kit->net, 1, true);
    net_start(kit->net, 1, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_true(kit_has(kit, 1, 1, V1));
    for (i = 0; i < 3; i++)
        xn_msg_free(replies[i].msg);
    kit_unseal(sealed);
    kit_free(kit);
}

static void test_disk_full(void **state)
{
    struct kit *kit = running(2, 23);
    struct kit_ad ad = kit_ad(kit, 1, V1), old = ad;

    (void)state;
    kit->node[1].lose_txn = true;
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_ENOSPC);
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_ENOSPC); /* known */
    ad.until_us += SEC;
    ad.bare = true;
    assert_int_equal(kit_put(kit, 0, 1, &ad), XN_ENOSPC); /* renewed */
    kit->node[1].lose_txn = false;
    assert_int_equal(kit_put(kit, 0, 1, &old), 0);
    net_crash(kit->net, 0, true);
    net_crash(kit->net, 1, true);
    net_start(kit->net, 1, 1);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_true(kit_has(kit, 1, 1, V1)); /* the document too was stored */
    kit_free(kit);
}

/* Of two PUTs the later one ends first, as the earlier has another ad that
 * takes long: the store must end with the newer version all the same. */
static void test_overtaken(void **state)
{
    struct kit *kit = running(2, 24);
    struct kit_ad slow = kit_ad(kit, 2, V1), old = kit_ad(kit, 1, V1),
                  new = kit_ad(kit, 1, V1 + 1);
    Xn__SignedAd *first[] = {kit_seal(kit, &old), kit_seal(kit, &slow)};
    Xn__Put put = XN__PUT__INIT;
    struct kit_reply reply;

    (void)state;
    kit->node[1].slow = 1 + slow.server;
    put.ads = first;
    put.n_ads = 2;
    kit_ask(kit, 0, 1, XN__KIND__PUT, &put, &reply);
    net_run(kit->net, SEC / 10);
    assert_int_equal(kit_put(kit, 0, 1, &new), 0);
    net_run(kit->net, 5 * SEC);
    assert_int_equal(reply.calls, 1);
    assert_int_equal(reply.rc, 0);
    net_crash(kit->net, 0, true);
    net_crash(kit->net, 1, true);
    net_start(kit->net, 1, 1);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_true(kit_has(kit, 1, 1, V1 + 1));
    assert_true(kit_has(kit, 1, 2, V1));
    xn_msg_free(reply.msg);
    kit_unseal(first[0]);
    kit_unseal(first[1]);
    kit_free(kit);
}

/* Ended with everything under way: nothing leaks. */
static void test_freed_busy(void **state)
{
    struct kit *kit = running(3, 6);
    struct kit_ad ad = kit_ad(kit, 1, V1);

    (void)state;
    kit->node[0].hold_txn = kit->node[1].hold_txn = true;
    kit_publish(kit, 0, &ad, 1);
    kit_publish(kit, 2, &ad, 1);
    net_run(kit->net, SEC / 10);
    kit_free(kit);
}

static void test_restart(void **state)
{
    struct kit *kit = running(1, 7);
    struct kit_ad ads[3], gone;
    uint32_t i;

    (void)state;
    for (i = 0; i < 3; i++)
        ads[i] = kit_ad(kit, i, V1);
    kit_publish(kit, 0, ads, 3);
    net_run(kit->net, SEC);
    gone = kit_ad(kit, 2, V1 + 1);
    gone.withdrawn = true;
    kit_publish(kit, 0, &gone, 1);
    net_run(kit->net, SEC);
    net_crash(kit->net, 0, false);
    net_start(kit->net, 0, 0);
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), XN_ENOTYET);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 2);
    assert_true(kit_has(kit, 0, 0, V1));
    assert_false(kit_has(kit, 0, 2, V1));
    kit_publish(kit, 0, &ads[2], 1); /* the withdrawal is remembered */
    net_run(kit->net, SEC);
    assert_int_equal(kit->node[0].results_rc, XN_ESTALE);
    kit_free(kit);
}

/* The one ad in the store, as if no corp were known of it. */
static void forget_corp(struct kit_node *node)
{
    Xn__Read read = XN__READ__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    Xn__Txn txn = XN__TXN__INIT;
    struct xn_msg *msg = NULL;
    const Xn__Record *record;
    Xn__StoredAd *ad;

    read.prefix = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "xis.a"};
    read.limit = 1;
    assert_int_equal(sim_store_read(node->store, &read, &msg), 0);
    record = XN_BODY(msg, Xn__Records)->records[0];
    ad = xn__stored_ad__unpack(NULL, record->value.len, record->value.data);
    assert_int_equal(ad->corp.len, XN_ID_SIZE);
    ad->corp.len = 0;
    write.key = record->key;
    assert_int_equal(xn_pack(ad, &write.value.data, &write.value.len), 0);
    txn.writes = writes;
    txn.n_writes = 1;
    assert_int_equal(sim_store_txn(&node->store, &txn), 0);
    free(write.value.data);
    xn__stored_ad__free_unpacked(ad, NULL);
    xn_msg_free(msg);
}

/* Nobody could take it back: its server publishes it again. */
static void test_restart_without_corp(void **state)
{
    struct kit *kit = running(1, 7);
    struct kit_ad ad = kit_ad(kit, 0, V1);

    (void)state;
    kit_publish(kit, 0, &ad, 1);
    net_run(kit->net, SEC);
    net_crash(kit->net, 0, false);
    forget_corp(&kit->node[0]);
    net_start(kit->net, 0, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 0);
    kit_publish(kit, 0, &ad, 1);
    net_run(kit->net, SEC);
    assert_int_equal(kit_count(kit, 0, "CPUsmps"), 1);
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_find),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_renewal_and_expiry),
        cmocka_unit_test(test_withdrawal),
        cmocka_unit_test(test_txn_held),
        cmocka_unit_test(test_known_held),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_freed_busy),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_restart_without_corp),
    };

    return cmocka_run_group_tests_name("xis", tests, NULL, NULL);
}
