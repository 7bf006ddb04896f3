/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "lib/utc.h"

static int parse(const char *text, uint64_t *us_out)
{
    return xn_utc_parse(text, strlen(text), us_out);
}

static void same(const char *text, uint64_t us)
{
    char back[XN_UTC_TEXT_MAX];
    uint64_t got = 1;

    assert_int_equal(parse(text, &got), 0);
    assert_true(got == us);
    assert_int_equal(xn_utc_format(us, back), strlen(text));
    assert_string_equal(back, text);
}

static void test_vectors(void **state)
{
    char text[XN_UTC_TEXT_MAX];

    (void)state;
    same("1970-01-01T00:00:00Z", 0);
    same("1970-01-01T00:00:00.000001Z", 1);
    same("1972-02-29T12:00:00Z", 68212800000000ULL);
    same("2000-02-29T23:59:59.5Z", 951868799500000ULL);
    same("2000-12-31T00:00:00Z", 978220800000000ULL);
    same("2026-11-21T10:00:00Z", 1795255200000000ULL);
    same("2026-11-21T10:00:00.12Z", 1795255200120000ULL);
    same("2100-03-01T00:00:00Z", 4107542400000000ULL);
    same("9999-12-31T23:59:59.999999Z", XN_UTC_US_MAX);
    xn_utc_format(XN_UTC_US_MAX + 1, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    xn_utc_format(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

/* Every day of 400 years, and times at random, against the C library. */
static void test_every_day(void **state)
{
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 5);
    for (unsigned day = 0; day < 146097 + 400; day++) {
        time_t s = (time_t)day * 86400 + (time_t)xn_rng_below(&rng, 86400);
        char text[XN_UTC_TEXT_MAX], expected[40];
        uint64_t back;
        struct tm tm;

        assert_non_null(gmtime_r(&s, &tm));
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &tm);
        xn_utc_format((uint64_t)s * 1000000, text);
        assert_string_equal(text, expected);
        assert_int_equal(parse(text, &back), 0);
        assert_true(back == (uint64_t)s * 1000000);
    }
}

static void test_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "Z",
        "2026-11-21",
        "2026-11-21T10:00:00",
        "2026-11-21T10:00:00z",
        "2026-11-21t10:00:00Z",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00:00+00:00",
        "2026-11-21T10:00:00ZZ",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.0Z",
        "2026-11-21T10:00:00.50Z",
        "2026-11-21T10:00:00.1234567Z",
        "2026-11-21T10:00:00.12x4Z",
        "2026-11-21T10:00:00,5Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T10:00:60Z",
        "2026-00-21T10:00:00Z",
        "2026-13-21T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-31T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "2100-02-29T10:00:00Z",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "12026-11-21T10:00:00Z",
        "+026-11-21T10:00:00Z",
        " 026-11-21T10:00:00Z",
        "2026-1-21T10:00:00Z",
    };
    char whole[] = "2026-11-21T10:00:00.123456Z";
    uint64_t us = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(bad[i], &us), XN_EINVAL);
    for (size_t len = 0; len < strlen(whole); len++)
        assert_int_equal(xn_utc_parse(whole, len, &us), XN_EINVAL);
    assert_true(us == 7);
    assert_int_equal(parse(whole, &us), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
