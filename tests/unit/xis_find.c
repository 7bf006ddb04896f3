/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FIND against a plain filter: ranges, sets, order, pages, offsets, counts; and
 * the walk over ads that neighbours compare. */
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
#include "wire/query.h"

#define V1 (1700000000 * SEC)
#define ADS 200

static const char *const countries[] = {"DE", "FR", "GB", "US"};

struct truth {
    xn_id server;
    unsigned cpu;
    const char *country;
};

struct want {
    unsigned lo, hi;
    const char *country; /* NULL: any */
    bool descending;
};

static struct want want; /* for qsort */

static int by_rank(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    int cmp = x->cpu < y->cpu ? -1 : x->cpu > y->cpu;

    if (want.descending) cmp = -cmp;
    return cmp ? cmp : xn_id_cmp(&x->server, &y->server);
}

static size_t filter(const struct truth *all, struct truth *out)
{
    size_t i, n = 0;

    for (i = 0; i < ADS; i++) {
        if (all[i].cpu < want.lo || all[i].cpu > want.hi) continue;
        if (want.country && strcmp(all[i].country, want.country)) continue;
        out[n++] = all[i];
    }
    qsort(out, n, sizeof *out, by_rank);
    return n;
}

static void server_of(const Xn__SignedAd *ad, xn_id *out)
{
    Xn__SignedBlob *blob =
        xn__signed_blob__unpack(NULL, ad->lease.len, ad->lease.data);
    Xn__Lease *lease;

    assert_non_null(blob);
    lease = xn__lease__unpack(NULL, blob->payload.len, blob->payload.data);
    assert_non_null(lease);
    assert_int_equal(xn_id_from_bytes(&lease->server, out), 0);
    xn__lease__free_unpacked(lease, NULL);
    xn__signed_blob__free_unpacked(blob, NULL);
}

static struct query *make_query(void)
{
    char range[64], place[64];
    const char *words[2] = {range, place};
    struct query *query = NULL;

    snprintf(range, sizeof range, "CPUsmps:%u..%u", want.lo, want.hi);
    snprintf(place, sizeof place, "Country:%s",
             want.country ? want.country : "");
    assert_int_equal(
        query_parse_words(words, want.country ? 2 : 1, &query, NULL), 0);
    assert_int_equal(query_set_sort(query, "CPUsmps", want.descending), 0);
    return query;
}

/* All pages of one query, each behind the last ad of the one before. */
static void compare(struct kit *kit, const struct truth *truth, size_t n,
                    uint32_t limit, uint32_t offset)
{
    struct query *query = make_query();
    Xn__Find find = XN__FIND__INIT;
    Xn__Cursor after = XN__CURSOR__INIT;
    char token[] = "CPUsmps", value[16];
    size_t at = offset, i;
    bool more = true;
    xn_id id;

    find.query = (Xn__Query *)(uintptr_t)query_proto(query);
    find.token = token;
    find.limit = limit;
    find.offset = offset;
    while (more) {
        Xn__Found *found = NULL;

        assert_int_equal(
            xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found), 0);
        assert_int_equal(found->matching, n);
        assert_int_equal(found->known, ADS);
        assert_true(found->n_ads <= limit);
        for (i = 0; i < found->n_ads; i++, at++) {
            assert_true(at < n);
            server_of(found->ads[i], &id);
            assert_memory_equal(&id, &truth[at].server, sizeof id);
        }
        more = found->more;
        if (more) assert_true(found->n_ads > 0);
        xis_found_free(found);
        if (!more) break;
        snprintf(value, sizeof value, "%u", truth[at - 1].cpu);
        after.value = value;
        after.server = xn_id_bytes(&truth[at - 1].server);
        find.after = &after;
        find.offset = 0;
    }
    if (offset < n) assert_int_equal(at, n);
    query_free(query);
}

static void test_random(void **state)
{
    struct kit *kit = kit_new(1, 21);
    struct truth all[ADS], match[ADS];
    struct kit_ad ads[50];
    struct xn_rng rng;
    size_t i, k, some = 0;

    (void)state;
    xn_rng_seed(&rng, 5);
    kit_start_all(kit);
    for (i = 0; i < ADS; i += 50) {
        for (k = 0; k < 50; k++) {
            struct truth *t = &all[i + k];

            ads[k] = kit_ad(kit, (uint32_t)(i + k), V1);
            ads[k].cpu = t->cpu = 100 * (1 + (unsigned)xn_rng_below(&rng, 20));
            ads[k].country = t->country = countries[xn_rng_below(&rng, 4)];
            kit_server_id((uint32_t)(i + k), &t->server);
        }
        kit_publish(kit, 0, ads, 50);
        net_run(kit->net, SEC);
    }
    for (i = 0; i < 300; i++) {
        size_t n;

        want.lo = 100 * (unsigned)xn_rng_below(&rng, 22);
        want.hi = want.lo + 100 * (unsigned)xn_rng_below(&rng, 10);
        want.country = i % 3 ? countries[xn_rng_below(&rng, 4)] : NULL;
        want.descending = i % 2;
        n = filter(all, match);
        some += n > 0 && n < ADS;
        compare(kit, match, n, 1 + (uint32_t)xn_rng_below(&rng, 60),
                (uint32_t)xn_rng_below(&rng, i % 5 ? 4 : n + 2));
    }
    assert_true(some > 150);
    kit_free(kit);
}

/* In the shard of its id, whatever its tokens are; nothing of it anywhere
 * else. */
static void test_by_id(void **state)
{
    struct kit *kit = kit_new(1, 23);
    struct kit_ad ads[2];
    char shard[XN_TOKEN_SERVER_SIZE], every[] = XN_TOKEN_EVERY;
    Xn__Find find = XN__FIND__INIT;
    Xn__Found *found = NULL;
    xn_id id, seen;

    (void)state;
    kit_start_all(kit);
    ads[0] = kit_ad(kit, 1, V1);
    ads[1] = kit_ad(kit, 2, V1);
    kit_publish(kit, 0, ads, 2);
    net_run(kit->net, SEC);
    kit_server_id(2, &id);
    xn_token_server(&id, shard);
    find.token = shard;
    find.server = xn_id_bytes(&id);
    assert_int_equal(xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found),
                     0);
    assert_int_equal(found->n_ads, 1);
    server_of(found->ads[0], &seen);
    assert_memory_equal(&seen, &id, sizeof id);
    xis_found_free(found);
    find.token = every;
    assert_int_equal(xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found),
                     XN_EINVAL);
    find.token = shard;
    find.server.len--;
    assert_int_equal(xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found),
                     XN_EINVAL);
    find.server.len++;
    ads[1].version++;
    ads[1].withdrawn = true;
    kit_publish(kit, 0, &ads[1], 1);
    net_run(kit->net, SEC);
    assert_int_equal(xis_find(kit_xis(kit, 0), &kit->net->now, &find, &found),
                     0);
    assert_int_equal(found->n_ads, 0);
    xis_found_free(found);
    kit_free(kit);
}

/* Those and no others, in order, from the one after `from`. */
static void expect_walk(struct xis *xis, char **tokens, size_t n_tokens,
                        const xn_id *from, size_t n, bool picked)
{
    struct xis_walk walk;
    const struct xis_ad *ad, *last = NULL;
    size_t seen = 0;

    assert_int_equal(xis_walk_start(&walk, xis, tokens, n_tokens, from), 0);
    assert_int_equal(walk.picked != NULL, picked);
    while ((ad = xis_walk_next(&walk)) != NULL) {
        if (last) assert_true(xn_id_cmp(&last->server, &ad->server) < 0);
        if (from) assert_true(xn_id_cmp(from, &ad->server) < 0);
        last = ad;
        seen++;
    }
    assert_int_equal(seen, n);
    assert_false(walk.more);
    xis_walk_clear(&walk);
}

/* Few ads under a token are looked up there, many are walked to; either way
 * the same comes out. */
static void test_walk(void **state)
{
    struct kit *kit = kit_new(1, 22);
    char rare[] = "Rare", all[] = "CPUsmps", none[] = "None";
    char *few[] = {rare, none, rare}, *many[] = {all, rare};
    struct kit_ad ads[50];
    xn_id id[2], *low, *high;
    size_t i, k;

    (void)state;
    kit_start_all(kit);
    for (i = 0; i < ADS; i += 50) {
        for (k = 0; k < 50; k++) {
            ads[k] = kit_ad(kit, (uint32_t)(i + k), V1);
            if (i + k == 7 || i + k == 123) ads[k].extra = rare;
        }
        kit_publish(kit, 0, ads, 50);
        net_run(kit->net, SEC);
    }
    kit_server_id(7, &id[0]);
    kit_server_id(123, &id[1]);
    low = xn_id_cmp(&id[0], &id[1]) < 0 ? &id[0] : &id[1];
    high = low == &id[0] ? &id[1] : &id[0];
    expect_walk(kit_xis(kit, 0), few, 3, NULL, 2, true);
    expect_walk(kit_xis(kit, 0), few, 3, low, 1, true);
    expect_walk(kit_xis(kit, 0), few, 3, high, 0, true);
    expect_walk(kit_xis(kit, 0), few + 1, 1, NULL, 0, true);
    expect_walk(kit_xis(kit, 0), many, 2, NULL, ADS, false);
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_by_id),
                                       cmocka_unit_test(test_walk)};

    return cmocka_run_group_tests_name("xis_find", tests, NULL, NULL);
}
