/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index: several nodes, from PUT to FIND and through every change. */
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

/* ---- changes of the ring */

static void test_joiner(void **state)
{
    struct kit *kit = kit_new(5, 8);
    struct kit_ad ads[40];
    uint32_t i;

    (void)state;
    for (i = 0; i < 4; i++)
        net_start(kit->net, i, 0);
    assert_true(kit_settled(kit, 60 * SEC));
    for (i = 0; i < 40; i++)
        ads[i] = kit_ad(kit, i, V1);
    kit_publish(kit, 0, ads, 40);
    net_run(kit->net, 2 * SEC);
    net_start(kit->net, 4, 0);
    net_run(kit->net, SEC / 100);
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), XN_ENOTYET);
    assert_true(kit_settled(kit, 60 * SEC));
    for (i = 0; i < 40; i++)
        assert_true(kit_has(kit, 4, i, V1));
    assert_int_equal(kit_count(kit, 4, "CPUsmps"), 40);
    kit_free(kit);
}

static bool is_copy(const struct kit *kit, const char *token, uint32_t i)
{
    uint32_t far, rank;
    xn_id key;

    for (far = 0; far < 2; far++) {
        xn_token_key(token, NULL, 0, far, &key);
        for (rank = 0; rank < (far ? 2U : 3U); rank++) {
            if (net_nearest(kit->net, &key, rank) == i) return true;
        }
    }
    return false;
}

/* Every copy of a token dies at once; whoever published is not among them. */
static void test_all_copies_lost(void **state)
{
    struct kit *kit = running(12, 9);
    struct kit_ad ad = kit_ad(kit, 1, V1);
    bool dies[12];
    char token[16];
    uint32_t i, t = 0, left = 0;

    (void)state;
    do {
        snprintf(token, sizeof token, "Own%u", t++);
    } while (is_copy(kit, token, 0));
    ad.extra = token;
    kit_publish(kit, 0, &ad, 1);
    net_run(kit->net, 2 * SEC);
    for (i = 0; i < 12; i++)
        dies[i] = is_copy(kit, token, i);
    for (i = 0; i < 12; i++) {
        if (dies[i]) net_crash(kit->net, i, true);
    }
    for (t = 0; t < 300; t++) {
        net_run(kit->net, SEC / 10);
        for (i = 0; i < 12; i++) {
            int n;

            if (!kit->net->node[i].up || !is_copy(kit, token, i)) continue;
            n = kit_count(kit, i, token);
            if (n != XN_ENOTYET) assert_int_equal(n, 1);
            if (t == 299 && n == 1) left++;
        }
    }
    assert_true(left >= 3);
    kit_free(kit);
}

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
}

/* ---- hostile questions */

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
    expect(kit, XN__KIND__SYNC, &sync, XN_EINVAL);
}

static void hostile_offers(struct kit *kit)
{
    Xn__Offer offer = XN__OFFER__INIT;
    Xn__OfferItem a = XN__OFFER_ITEM__INIT, b = a, *two[] = {&a, &b};
    Xn__OfferItem *many[1001];
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
    offer.from.len = 0;
    for (i = 0; i < 1001; i++)
        many[i] = &a;
    offer.items = have.items = many;
    offer.n_items = have.n_items = 1001;
    expect(kit, XN__KIND__OFFER, &offer, XN_EINVAL);
    expect(kit, XN__KIND__HAVE, &have, XN_ETOOBIG);
}

static void test_hostile(void **state)
{
    struct kit *kit = running(2, 11);
    Xn__Find find = XN__FIND__INIT;
    Xn__Put put = XN__PUT__INIT;
    Xn__SignedAd ad = XN__SIGNED_AD__INIT, *ads[65];
    uint8_t byte = 1;
    size_t i;

    (void)state;
    hostile_syncs(kit);
    hostile_offers(kit);
    find.token = (char *)(uintptr_t) "no token";
    expect(kit, XN__KIND__FIND, &find, XN_EINVAL);
    find.token = (char *)(uintptr_t) "CPUsmps";
    find.offset = 1000001;
    expect(kit, XN__KIND__FIND, &find, XN_EINVAL);
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

/* ---- FIND against brute force */

enum { ADS = 200 };
struct truth {
    unsigned cpu;
    xn_id id;
};

static int by_cpu(const void *a, const void *b)
{
    const struct truth *p = a, *q = b;

    if (p->cpu != q->cpu) return p->cpu < q->cpu ? -1 : 1;
    return memcmp(p->id.b, q->id.b, XN_ID_SIZE);
}

static xn_id found_id(const Xn__SignedAd *ad)
{
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, ad->lease.len, ad->lease.data);
    xn_id id;

    assert_non_null(blob);
    xn_id_hash(blob->spki.data, blob->spki.len, &id);
    xn__signed_blob__free_unpacked(blob, NULL);
    return id;
}

/* All pages from the first, or the one page at `offset`. */
static void expect_pages(struct kit *kit, const struct truth *truth, size_t n,
                         Xn__Query *query, uint32_t limit, uint32_t offset)
{
    Xn__Find find = XN__FIND__INIT;
    Xn__Cursor after = XN__CURSOR__INIT;
    size_t at = offset, i;
    char value[16];
    bool more = true;

    find.token = (char *)(uintptr_t) "CPUsmps";
    find.query = query;
    find.limit = limit;
    find.offset = offset;
    while (more) {
        Xn__Found *found;
        size_t left = n - at;

        assert_int_equal(
            xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found), 0);
        assert_int_equal(found->known, ADS);
        assert_int_equal(found->matching, n);
        assert_int_equal(found->n_ads, left < limit ? left : limit);
        for (i = 0; i < found->n_ads; i++) {
            xn_id id = found_id(found->ads[i]);

            assert_memory_equal(id.b, truth[at + i].id.b, XN_ID_SIZE);
        }
        at += found->n_ads;
        more = found->more;
        assert_int_equal(more, at < n);
        xis_found_free(found);
        if (offset || at == 0) return;
        snprintf(value, sizeof value, "%u", truth[at - 1].cpu);
        after.value = value;
        after.server = xn_id_bytes(&truth[at - 1].id);
        find.after = &after;
    }
    assert_int_equal(at, n);
}

static void test_find_pages(void **state)
{
    struct kit *kit = running(1, 12);
    struct truth truth[ADS];
    Xn__Query query = XN__QUERY__INIT;
    Xn__Sort sort = XN__SORT__INIT;
    Xn__Expr range = XN__EXPR__INIT;
    size_t i, n = 0;

    (void)state;
    for (i = 0; i < ADS; i++) {
        struct kit_ad ad = kit_ad(kit, (uint32_t)i, V1);

        ad.cpu = 1 + (unsigned)xn_rng_below(&kit->net->rng, 50);
        kit_publish(kit, 0, &ad, 1);
        net_run(kit->net, SEC / 100);
        if (ad.cpu < 10 || ad.cpu > 40) continue;
        truth[n].cpu = ad.cpu;
        kit_server_id((uint32_t)i, &truth[n++].id);
    }
    qsort(truth, n, sizeof *truth, by_cpu);
    range.op = XN__EXPR_OP__RANGE;
    range.token = sort.token = (char *)(uintptr_t) "CPUsmps";
    range.has_lo = range.has_hi = true;
    range.lo = (char *)(uintptr_t) "10";
    range.hi = (char *)(uintptr_t) "40";
    query.where = &range;
    query.sort = &sort;
    for (i = 1; i <= 64; i *= 4)
        expect_pages(kit, truth, n, &query, (uint32_t)i, 0);
    expect_pages(kit, truth, n, &query, 1000, 0);
    expect_pages(kit, truth, n, &query, 7, 30);
    expect_pages(kit, truth, n, &query, 7, (uint32_t)n - 3);
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
        cmocka_unit_test(test_freed_busy),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_joiner),
        cmocka_unit_test(test_all_copies_lost),
        cmocka_unit_test(test_rude_neighbour),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_find_pages),
    };

    return cmocka_run_group_tests_name("xis", tests, NULL, NULL);
}
