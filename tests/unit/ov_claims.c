/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a search makes of what it is told, and the routing failure test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/claims.h"
#include "overlay/doubt.h"

enum { WANT = 3 };

static const char *const somewhere = "h:1", *const elsewhere = "h:2";

/* The key is zero: a node's position is how far it is. */
static xn_id at(uint8_t distance)
{
    xn_id id = {{0}};

    id.b[7] = distance;
    return id;
}

static xn_id who(uint8_t name)
{
    xn_id id;

    xn_id_hash(&name, sizeof name, &id);
    return id;
}

static struct claims none(void)
{
    struct claims claims;
    xn_id key = at(0);

    claims_init(&claims, &key, 100);
    return claims;
}

static void say(struct claims *claims, unsigned source, uint8_t name,
                uint8_t distance)
{
    xn_id id = who(name), position = at(distance);

    assert_true(claims_say(claims, source, &id, &position, somewhere));
}

static void meet(struct claims *claims, uint8_t name, uint8_t distance)
{
    xn_id id = who(name), position = at(distance);

    assert_int_not_equal(claims_prove(claims, &id, &position, NULL),
                         CLAIM_NONE);
}

/* The next one to dial, by its distance; it is dialled.  0: nobody. */
static uint8_t dial(struct claims *claims)
{
    size_t i = claims_next(claims, WANT);

    if (i == CLAIM_NONE) return 0;
    claims->v[i].state = CLAIM_DIALLED;
    return claims->v[i].position.b[7];
}

static void miss(struct claims *claims, uint8_t name)
{
    xn_id id = who(name);

    claims_fail(claims, claims_find(claims, &id, CLAIM_DIALLED));
}

static void test_nearest_first(void **state)
{
    struct claims claims = none();
    unsigned s = claims_source(&claims);
    uint8_t i;

    (void)state;
    for (i = 8; i > 0; i--)
        say(&claims, s, i, i);
    assert_int_equal(dial(&claims), 1);
    assert_int_equal(dial(&claims), 2);
    assert_int_equal(dial(&claims), 3);
    assert_int_equal(dial(&claims), 0);
    miss(&claims, 2);
    assert_int_equal(dial(&claims), 4);
    meet(&claims, 1, 1);
    meet(&claims, 3, 3);
    assert_int_equal(dial(&claims), 0);
    assert_int_equal(claims_met(&claims, 1), 2); /* behind the one that fails */
    claims_clear(&claims);
}

/* Who invents nodes costs some dials, and hides nobody. */
static void test_inventions(void **state)
{
    struct claims claims = none();
    unsigned liar = claims_source(&claims), honest = claims_source(&claims);
    uint8_t i, dials = 0;

    (void)state;
    for (i = 1; i <= 8; i++)
        say(&claims, liar, i, i);
    for (i = 21; i <= 28; i++)
        say(&claims, honest, i, i);
    while ((i = dial(&claims)) != 0) {
        if (i < 20) {
            dials++;
            miss(&claims, i);
        } else {
            meet(&claims, i, i);
        }
    }
    assert_int_equal(dials, CLAIMS_WRONG_MAX);
    for (i = 0; i < WANT; i++) {
        size_t met = claims_met(&claims, i);

        assert_int_not_equal(met, CLAIM_NONE);
        assert_int_equal(claims.v[met].position.b[7], 21 + i);
    }
    claims_clear(&claims);
}

/* A wrong address or position for a node takes nothing from the right one. */
static void test_slander(void **state)
{
    struct claims claims = none();
    unsigned liar = claims_source(&claims), honest = claims_source(&claims);
    xn_id id = who(1), position = at(1);

    (void)state;
    assert_true(claims_say(&claims, liar, &id, &position, elsewhere));
    say(&claims, honest, 1, 1);
    assert_int_equal(claims.n, 2);
    assert_int_equal(dial(&claims), 1);
    assert_int_equal(dial(&claims), 1);
    claims_fail(&claims, 0);
    meet(&claims, 1, 1);
    assert_int_equal(claims.n, 1);
    assert_int_equal(claims.v[0].state, CLAIM_PROVED);

    /* It says that a far node is near: it is where its certificate says. */
    say(&claims, liar, 9, 2);
    meet(&claims, 9, 90);
    assert_int_equal(claims.n, 2);
    assert_int_equal(claims.v[1].position.b[7], 90);
    claims_clear(&claims);
}

/* The nearest two that each source names are met, though others name nearer ones
 * that are there; not where they are too far to know more. */
static void test_each_is_heard(void **state)
{
    struct claims claims = none();
    unsigned liar = claims_source(&claims), honest = claims_source(&claims);
    unsigned far = claims_source(&claims);
    uint8_t i;

    (void)state;
    for (i = 1; i <= 3; i++) {
        say(&claims, liar, i, i);
        meet(&claims, i, i);
    }
    say(&claims, honest, 50, 50);
    say(&claims, honest, 51, 51);
    say(&claims, honest, 52, 52);
    say(&claims, far, 101, 101);
    assert_int_equal(dial(&claims), 50);
    assert_int_equal(dial(&claims), 51);
    assert_int_equal(dial(&claims), 0);
    assert_true(claims_counts(&claims, 4, WANT));
    assert_false(claims_counts(&claims, 5, WANT));
    claims_clear(&claims);
}

static void test_agreement(void **state)
{
    struct claims claims = none();
    unsigned a = claims_source(&claims), b = claims_source(&claims);
    uint8_t i;

    (void)state;
    assert_false(claims_agree(&claims, WANT));
    for (i = 1; i <= 4; i++) {
        say(&claims, a, i, i);
        if (i < 3) say(&claims, b, i, i);
    }
    assert_true(claims_agree(&claims, 2));
    assert_false(claims_agree(&claims, 3));
    claims_clear(&claims);
}

static void test_bounds(void **state)
{
    struct claims claims = none();
    char long_address[OV_ADDRESS_MAX + 2];
    xn_id id = who(1), position = at(1);
    unsigned i;

    (void)state;
    for (i = 0; i < SOURCES_MAX; i++)
        assert_int_equal(claims_source(&claims), i);
    assert_int_equal(claims_source(&claims), SOURCES_MAX);
    memset(long_address, 'a', sizeof long_address - 1);
    long_address[sizeof long_address - 1] = '\0';
    assert_true(claims_say(&claims, 0, &id, &position, long_address));
    assert_true(claims_say(&claims, 0, &id, &position, ""));
    assert_int_equal(claims.n, 0);
    long_address[OV_ADDRESS_MAX] = '\0';
    assert_true(claims_say(&claims, 0, &id, &position, long_address));
    assert_int_equal(claims.n, 1);
    claims_clear(&claims);
    claims_clear(&claims);
}

static void test_doubt(void **state)
{
    const uint64_t spacing = 1ULL << 50;
    const struct {
        double nodes; /* should be so near, on both sides */
        bool strict, lax;
    } rows[] = {
        {0, false, false},  {2.9, false, false}, {4.0, false, false},
        {4.2, true, false}, {6.3, true, false},  {6.7, true, true},
        {12, true, true},   {1e4, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t apart = (uint64_t)(rows[i].nodes / 2 * (double)spacing);

        assert_int_equal(doubt_fires(spacing, apart, WANT, true),
                         rows[i].strict);
        assert_int_equal(doubt_fires(spacing, apart, WANT, false), rows[i].lax);
    }
    assert_true(doubt_fires(0, UINT64_MAX, WANT, false));
    assert_false(doubt_fires(UINT64_MAX, UINT64_MAX, WANT, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_first),
        cmocka_unit_test(test_inventions),
        cmocka_unit_test(test_slander),
        cmocka_unit_test(test_each_is_heard),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_doubt),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
