/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prefix table's places: each position has one, and they do not overlap;
 * and the ring of links: who is nearer to a key than we. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/rng.h"
#include "overlay/inside.h"
#include "overlay/table.h"

static xn_id draw(struct xn_rng *rng)
{
    uint64_t n = xn_rng_u64(rng);
    xn_id id;

    xn_id_hash(&n, sizeof n, &id);
    return id;
}

static bool within(const struct table_place *place, const xn_id *id)
{
    return xn_id_cmp(&place->lo, id) <= 0 && xn_id_cmp(id, &place->hi) <= 0;
}

static void test_digit(void **state)
{
    static const struct {
        uint32_t links;
        unsigned digit;
    } rows[] = {{0, 1},   {4, 1},   {8, 1},    {24, 2},     {32, 3},
                {512, 7}, {511, 6}, {1024, 8}, {65536, 14}, {1U << 30, 16}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(table_digit(rows[i].links), rows[i].digit);
}

static void test_place(void **state)
{
    unsigned digit = table_digit(512);
    xn_id self = {{0xab, 0xcd, 0xef}}, other = {{0x12, 0x34}};
    struct table_place place;

    (void)state;
    table_place(digit, &self, &other, &place);
    assert_int_equal(place.level, 0);
    assert_int_equal(place.lo.b[0], 0x12);
    assert_int_equal(place.lo.b[1], 0);
    assert_int_equal(place.hi.b[0], 0x13);
    assert_int_equal(place.hi.b[1], 0xff);
    assert_int_equal(place.hi.b[31], 0xff);
    /* The same first digit: seven bits more tell the place. */
    other = (xn_id){{0xab, 0x34, 0x77}};
    table_place(digit, &self, &other, &place);
    assert_int_equal(place.level, 1);
    assert_int_equal(place.lo.b[0], 0xab);
    assert_int_equal(place.lo.b[1], 0x34);
    assert_int_equal(place.hi.b[1], 0x37);
    other = (xn_id){{0xab, 0xcd, 0xd7}};
    table_place(digit, &self, &other, &place);
    assert_int_equal(place.level, 2);
    assert_int_equal(place.lo.b[1], 0xcd);
    assert_int_equal(place.lo.b[2], 0xd0);
    assert_int_equal(place.hi.b[2], 0xd7);
    /* Our own position is a place of its own. */
    table_place(digit, &self, &self, &place);
    assert_true(xn_id_eq(&place.lo, &self));
    assert_true(xn_id_eq(&place.hi, &self));
}

/* Two positions share a place, or their places have nothing in common. */
static void test_places(void **state)
{
    static const uint32_t links[] = {4, 32, 512};
    struct table_place place, other_place;
    struct xn_rng rng;
    size_t l, i;

    (void)state;
    xn_rng_seed(&rng, 7);
    for (l = 0; l < sizeof links / sizeof links[0]; l++) {
        unsigned digit = table_digit(links[l]);
        xn_id self = draw(&rng), position, other;

        for (i = 0; i < 2000; i++) {
            position = draw(&rng);
            other = i % 2 ? draw(&rng) : position;
            /* Many that share much with us, which by chance few do. */
            memcpy(&position, &self, i % 4);
            if (i % 2 == 0) memcpy(&other, &position, 1 + i % 4);
            table_place(digit, &self, &position, &place);
            table_place(digit, &self, &other, &other_place);
            assert_true(within(&place, &position));
            assert_false(within(&place, &self));
            assert_int_equal(within(&place, &other),
                             xn_id_eq(&place.lo, &other_place.lo));
            assert_int_equal(xn_id_eq(&place.lo, &other_place.lo),
                             xn_id_eq(&place.hi, &other_place.hi));
        }
    }
}

static void test_apart(void **state)
{
    xn_id a = {{0x80}}, b = {{0x7f, 0xff}}, zero = {{0}}, top;

    (void)state;
    memset(&top, 0xff, sizeof top);
    assert_int_equal(table_apart(&a, &b), 1ULL << 48);
    assert_int_equal(table_apart(&b, &a), 1ULL << 48);
    assert_int_equal(table_apart(&a, &zero), 1ULL << 63);
    assert_int_equal(table_apart(&zero, &top), 1); /* round the end */
    assert_int_equal(table_apart(&a, &a), 0);
}

enum { RING = 40 };

/* How many a walk from the key meets before us. */
static size_t steps_to_us(const struct walk *from)
{
    struct walk walk = *from;
    size_t steps = 0, at;

    while (walk_next(&walk, &at) && at != RING_SELF)
        steps++;
    return steps;
}

/* Told from places in the ring, also where all lie on one side of it. */
static void test_rank(void **state)
{
    struct xn_contact rows[RING];
    struct xn_peers peers = {.rows = rows, .n = RING};
    struct xn_route routes[RING];
    uint32_t rtts_us[RING] = {0};
    struct xn_rng rng;
    unsigned round, i, n;

    (void)state;
    xn_rng_seed(&rng, 5);
    for (round = 0; round < 2000; round++) {
        struct ov ov = {.peers = &peers, .config.address = "here"};
        xn_id key = draw(&rng);
        struct walk walk;

        n = round % (RING + 1);
        memset(rows, 0, sizeof rows);
        for (i = 0; i < n; i++) {
            rows[i].position.b[0] =
                (uint8_t)(round % 3 ? 6 * i + 3 : 128 + 2 * i);
            rows[i].position.b[9] = (uint8_t)round;
            routes[i].peer = i;
        }
        ov.config.position = draw(&rng);
        ring_stand(&ov, routes, rtts_us, n);
        walk_start(&walk, &ov, &key);
        assert_int_equal(walk_rank_of_us(&walk), steps_to_us(&walk));
        ring_clear(&ov.ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digit),  cmocka_unit_test(test_place),
        cmocka_unit_test(test_places), cmocka_unit_test(test_apart),
        cmocka_unit_test(test_rank),
    };

    return cmocka_run_group_tests_name("ov_table", tests, NULL, NULL);
}
