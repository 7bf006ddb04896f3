/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a store is known to have no key: whatever is learnt and filled, nothing
 * that is there is said to be absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/rng.h"
#include "net/wal_gaps.h"

static bool holds(const struct wal_gaps *gaps, const char *key)
{
    return wal_gaps_hold(gaps, key, strlen(key));
}

static void learn(struct wal_gaps *gaps, const char *key, const char *next)
{
    wal_gaps_learn(gaps, key, strlen(key), next, next ? strlen(next) : 0);
}

static void fill(struct wal_gaps *gaps, const char *key)
{
    wal_gaps_fill(gaps, key, strlen(key));
}

static void ids_that_go_up_are_new(void **state)
{
    struct wal_gaps *gaps = NULL;

    assert_int_equal(wal_gaps_new(&gaps), 0);
    assert_false(holds(gaps, "account-1.05"));
    learn(gaps, "account-1.05", "account-1.80");
    assert_true(holds(gaps, "account-1.05"));
    assert_true(holds(gaps, "account-1.79"));
    assert_false(holds(gaps, "account-1.04"));
    assert_false(holds(gaps, "account-1.80"));
    assert_false(holds(gaps, "account-2.06"));
    fill(gaps, "account-1.05");
    fill(gaps, "account-1.03");
    assert_false(holds(gaps, "account-1.05"));
    assert_true(holds(gaps, "account-1.06"));
    learn(gaps, "account-3.05", NULL);
    assert_true(holds(gaps, "account-3.99"));
    assert_false(holds(gaps, "account-4.01"));
    wal_gaps_free(gaps);
}

static void lengths_have_bounds(void **state)
{
    struct wal_gaps *gaps = NULL;
    char key[130], next[130];

    assert_int_equal(wal_gaps_new(&gaps), 0);
    memset(key, 'k', sizeof key);
    memset(next, 'k', sizeof next);
    wal_gaps_learn(gaps, key, 8, NULL, 0);
    assert_false(wal_gaps_hold(gaps, key, 8));
    wal_gaps_learn(gaps, key, 49, NULL, 0);
    assert_false(wal_gaps_hold(gaps, key, 49));
    wal_gaps_fill(gaps, key, 1);
    next[9] = 'x';
    wal_gaps_learn(gaps, key, 48, next, sizeof next);
    assert_true(wal_gaps_hold(gaps, key, 48));
    assert_false(wal_gaps_hold(gaps, next, 48)); /* it was cut there */
    key[9] = 'm';
    assert_true(wal_gaps_hold(gaps, key, 40));
    wal_gaps_fill(gaps, key, sizeof key); /* too long to go on from */
    assert_false(wal_gaps_hold(gaps, key, 40));
    wal_gaps_free(gaps);
}

enum { LEADS = 40, TAILS = 64, STEPS = 200000 };

/* A store of keys with a few beginnings, and one of them longer than others. */
struct model {
    bool has[LEADS][TAILS];
};

static size_t key_of(unsigned lead, unsigned tail, char key[80])
{
    return (size_t)snprintf(
        key, 80, "%08u%c%02u%.*s", lead / 2, (char)('a' + lead % 2), tail,
        tail % 7 ? 0 : 50,
        "..................................................");
}

static void learn_from(struct wal_gaps *gaps, const struct model *model,
                       unsigned lead, unsigned tail)
{
    char key[80], next[80];
    size_t len = key_of(lead, tail, key), next_len = 0;
    unsigned at;

    for (at = lead * TAILS + tail; at < LEADS * TAILS; at++) {
        if (model->has[at / TAILS][at % TAILS]) break;
    }
    if (at < LEADS * TAILS) next_len = key_of(at / TAILS, at % TAILS, next);
    wal_gaps_learn(gaps, key, len, next_len ? next : NULL, next_len);
}

static void nothing_that_is_there_is_denied(void **state)
{
    static struct model model;
    struct wal_gaps *gaps = NULL;
    unsigned step, known = 0;
    struct xn_rng rng;

    xn_rng_seed(&rng, 7);
    assert_int_equal(wal_gaps_new(&gaps), 0);
    for (step = 0; step < STEPS; step++) {
        unsigned lead = (unsigned)xn_rng_below(&rng, LEADS);
        unsigned tail = (unsigned)xn_rng_below(&rng, TAILS);
        bool *has = &model.has[lead][tail];
        char key[80];
        size_t len = key_of(lead, tail, key);

        if (wal_gaps_hold(gaps, key, len)) {
            assert_false(*has);
            known++;
        } else if (!*has) {
            learn_from(gaps, &model, lead, tail);
        }
        if (xn_rng_below(&rng, 4)) continue;
        *has = !*has;
        if (*has) wal_gaps_fill(gaps, key, len);
    }
    assert_true(known > STEPS / 20);
    wal_gaps_free(gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_that_go_up_are_new),
        cmocka_unit_test(lengths_have_bounds),
        cmocka_unit_test(nothing_that_is_there_is_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
