/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/span.h"

static void units(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t us;
    } rows[] = {
        {"0s", 0, 0},
        {"7us", 0, 7},
        {"250ms", 0, 250000},
        {"15m", 0, 900000000},
        {"24h", 0, 86400000000},
        {"90d", 0, 7776000000000},
        {"", XN_EINVAL, 0},
        {"15", XN_EINVAL, 0},
        {"m", XN_EINVAL, 0},
        {"-1s", XN_EINVAL, 0},
        {"1 s", XN_EINVAL, 0},
        {"1sx", XN_EINVAL, 0},
        {"99999999999999999999s", XN_EOVERFLOW, 0},
        {"9223372036854775s", XN_EOVERFLOW, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t us = 0;

        assert_int_equal(xn_span_parse(rows[i].text, &us), rows[i].rc);
        if (rows[i].rc == 0) assert_int_equal(us, rows[i].us);
    }
}

static void largest_unit_without_a_rest(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {
        {7, "7us"},
        {1500, "1500us"},
        {60000000, "1m"},
        {90000000, "90s"},
        {7776000000000, "90d"},
        {UINT64_MAX, "18446744073709551615us"},
    };
    char text[XN_SPAN_TEXT_MAX];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        xn_span_format(rows[i].us, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(largest_unit_without_a_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
