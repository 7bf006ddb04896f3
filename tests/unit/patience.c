/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a keeper is waited for, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keeper/patience.h"

#define SECOND_US 1000000ULL
enum { LONG_MS = SESSIONS_KEEPER_MS, SHORT_MS = PATIENCE_SHORT_MS };

static void who_answers_is_waited_for(void **state)
{
    struct patience p = {.silent = false};

    for (uint64_t s = 1; s < 100; s++)
        assert_int_equal(patience_for(&p, s * SECOND_US, 0), LONG_MS);
}

static void who_is_silent_has_a_long_wait_again(void **state)
{
    struct patience p = {.silent = false};
    uint64_t now_us = SECOND_US;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(patience_for(&p, now_us, i > 0), LONG_MS);
        p.silent = true;
        assert_int_equal(patience_for(&p, now_us + 5 * SECOND_US, 1), SHORT_MS);
        now_us += PATIENCE_US;
        assert_int_equal(patience_for(&p, now_us - 1, 1), SHORT_MS);
    }
    /* It was slow alone: that wait was long enough. */
    assert_int_equal(patience_for(&p, now_us, 1), LONG_MS);
    p.silent = false;
    assert_int_equal(patience_for(&p, now_us + 1, 0), LONG_MS);
}

/* A disk that hangs has them all silent, and whoever asks is answered still. */
static void many_have_it_in_turn(void **state)
{
    enum { MANY = 50, ROUNDS = 10, RAMP = 3 * MANY };
    struct patience all[MANY] = {{.silent = false}};
    uint64_t now_us = SECOND_US;
    unsigned waits[MANY] = {0}, n = 0, ms;
    size_t silent = 0;

    while (now_us < ROUNDS * MANY * PATIENCE_US) {
        for (size_t i = 0; i < MANY; i++) {
            ms = patience_for(&all[i], now_us, silent);
            now_us += ms * 1000ULL;
            if (!all[i].silent) silent++;
            all[i].silent = true;
            waits[i] += ms == LONG_MS;
            n += ms == LONG_MS;
        }
    }
    for (size_t i = 0; i < MANY; i++)
        assert_true(waits[i] >= ROUNDS - 2);
    assert_true(n <= now_us / PATIENCE_US + RAMP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_is_waited_for),
        cmocka_unit_test(who_is_silent_has_a_long_wait_again),
        cmocka_unit_test(many_have_it_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
