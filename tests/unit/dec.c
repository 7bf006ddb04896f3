/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/rng.h"

#define NINES "9999999999999999999999999" /* 25 digits */

static xn_dec dec(const char *text)
{
    xn_dec d = {0};

    assert_int_equal(xn_dec_parse(text, strlen(text), &d), 0);
    return d;
}

static void assert_text(xn_dec d, const char *text)
{
    char out[XN_DEC_TEXT_MAX];

    assert_int_equal(xn_dec_format(d, out), strlen(text));
    assert_string_equal(out, text);
}

static void test_parse_format(void **state)
{
    static const char *const rows[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"+0.0", "0"},
        {"8", "8"},
        {"8.000", "8"},
        {"+8.5", "8.5"},
        {"-3.50", "-3.5"},
        {"0.0121", "0.0121"},
        {"0.000000000001", "0.000000000001"},
        {"-0.000000000001", "-0.000000000001"},
        {"1.0000000000000000000", "1"},
        {"00000000000000000000000000000012", "12"},
        {"100", "100"},
        {NINES, NINES},
        {"-" NINES ".999999999999", "-" NINES ".999999999999"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_text(dec(rows[i][0]), rows[i][1]);
    }
}

static void test_parse_refuses(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } rows[] = {
        {"", XN_EINVAL},
        {"-", XN_EINVAL},
        {"+", XN_EINVAL},
        {".", XN_EINVAL},
        {".5", XN_EINVAL},
        {"5.", XN_EINVAL},
        {"1e3", XN_EINVAL},
        {"1.5e3", XN_EINVAL},
        {" 1", XN_EINVAL},
        {"1 ", XN_EINVAL},
        {"1,5", XN_EINVAL},
        {"0x10", XN_EINVAL},
        {"--1", XN_EINVAL},
        {"1.2.3", XN_EINVAL},
        {"1.-2", XN_EINVAL},
        {"nan", XN_EINVAL},
        {"1_0", XN_EINVAL},
        {"0.0000000000001", XN_EOVERFLOW},
        {"1" NINES, XN_EOVERFLOW},
        {"1" NINES "x", XN_EINVAL},
        {"0.0000000000001x", XN_EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        xn_dec d = {77};
        int rc = xn_dec_parse(rows[i].text, strlen(rows[i].text), &d);

        if (rc != rows[i].rc) fail_msg("'%s' gave %d", rows[i].text, rc);
        assert_true(d.v == 77);
    }
}

/* Only len bytes count, NUL or not. */
static void test_parse_length(void **state)
{
    xn_dec d = {0};

    (void)state;
    assert_int_equal(xn_dec_parse("123456", 3, &d), 0);
    assert_text(d, "123");
    assert_int_equal(xn_dec_parse("1\0002", 3, &d), XN_EINVAL);
}

static void test_order(void **state)
{
    static const char *const up[] = {
        "-99999", "-1.5", "-1", "0", "0.000000000001", "0.1", "1", "9", "10"};

    (void)state;
    for (size_t i = 0; i < sizeof up / sizeof up[0]; i++) {
        for (size_t j = 0; j < sizeof up / sizeof up[0]; j++) {
            int sign = (i > j) - (i < j);

            assert_int_equal(xn_dec_cmp(dec(up[i]), dec(up[j])), sign);
        }
    }
    assert_int_equal(xn_dec_cmp(dec("8"), dec("8.000")), 0);
}

static void test_add_sub(void **state)
{
    xn_dec out = {0}, big = dec(NINES ".999999999999");

    (void)state;
    assert_int_equal(xn_dec_add(dec("0.1"), dec("0.2"), &out), 0);
    assert_text(out, "0.3");
    assert_int_equal(xn_dec_sub(dec("0.1"), dec("0.2"), &out), 0);
    assert_text(out, "-0.1");
    assert_int_equal(xn_dec_add(big, dec("0.000000000001"), &out),
                     XN_EOVERFLOW);
    assert_int_equal(xn_dec_sub(dec("-" NINES), dec("1"), &out), XN_EOVERFLOW);
    assert_int_equal(xn_dec_sub(big, big, &out), 0);
    assert_text(out, "0");
}

static void test_mul(void **state)
{
    static const char *const rows[][3] = {
        {"3", "4", "12"},
        {"-3", "0.5", "-1.5"},
        {"0.0121", "720", "8.712"},
        /* halves go to the even neighbour */
        {"0.000000000001", "0.5", "0"},
        {"0.000000000003", "0.5", "0.000000000002"},
        {"-0.000000000003", "0.5", "-0.000000000002"},
        {"-0.000000000001", "0.5", "0"},
        {"0.000000000005", "0.5", "0.000000000002"},
        {"0.000000000001", "0.500000000001", "0.000000000001"},
        {"1.000000000001", "1.5", "1.500000000002"},
        {"1.000000000003", "1.5", "1.500000000004"},
        {"999999999999.999999999999", "999999999999.999999999999",
         "999999999999999999999998"},
        {NINES, "1", NINES},
        {NINES, "0.000000000001", "9999999999999.999999999999"},
        {NINES ".999999999999", "0", "0"},
    };
    xn_dec out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(xn_dec_mul(dec(rows[i][0]), dec(rows[i][1]), &out), 0);
        assert_text(out, rows[i][2]);
        assert_int_equal(xn_dec_mul(dec(rows[i][1]), dec(rows[i][0]), &out), 0);
        assert_text(out, rows[i][2]);
    }
    assert_int_equal(xn_dec_mul(dec(NINES), dec("1.1"), &out), XN_EOVERFLOW);
    assert_int_equal(xn_dec_mul(dec(NINES), dec("-" NINES), &out),
                     XN_EOVERFLOW);
    assert_int_equal(
        xn_dec_mul(dec("10000000000000"), dec("1000000000000"), &out),
        XN_EOVERFLOW);
}

static void test_micro(void **state)
{
    static const struct {
        const char *text;
        int64_t micro;
    } rows[] = {
        {"0", 0},
        {"1", 1000000},
        {"-1.5", -1500000},
        {"0.0000005", 0},
        {"0.0000015", 2},
        {"0.0000025", 2},
        {"-0.0000015", -2},
        {"-0.0000025", -2},
        {"0.000000500001", 1},
        {"0.000000499999", 0},
        {"9223372036854.775807", INT64_MAX},
        {"9223372036854.7758074", INT64_MAX},
        {"-9223372036854.775808", INT64_MIN},
    };
    int64_t micro;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(xn_dec_to_micro(dec(rows[i].text), &micro), 0);
        assert_int_equal(micro, rows[i].micro);
    }
    assert_int_equal(xn_dec_to_micro(dec("9223372036854.775808"), &micro),
                     XN_EOVERFLOW);
    assert_int_equal(xn_dec_to_micro(dec("-9223372036854.775809"), &micro),
                     XN_EOVERFLOW);
    assert_text(xn_dec_from_micro(INT64_MIN), "-9223372036854.775808");
    assert_text(xn_dec_int(INT64_MIN), "-9223372036854775808");
}

static xn_dec random_dec(struct xn_rng *rng)
{
    xn_i128 v = (xn_i128)(xn_rng_u64(rng) >> 1);

    v = v * (xn_i128)(xn_rng_u64(rng) >> xn_rng_between(rng, 6, 63));
    v >>= xn_rng_below(rng, 100);
    return (xn_dec){xn_rng_below(rng, 2) ? v : -v};
}

static void test_round_trip(void **state)
{
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        xn_dec d = random_dec(&rng), back = {0};
        char text[XN_DEC_TEXT_MAX];
        size_t len = xn_dec_format(d, text);

        assert_int_equal(xn_dec_parse(text, len, &back), 0);
        assert_true(back.v == d.v);
        assert_true(len == strlen(text) && len < XN_DEC_TEXT_MAX);
    }
}

/* Against long multiplication in base 2^32 and bit-by-bit division. */
static xn_i128 slow_mul(xn_i128 a, xn_i128 b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 x = a < 0 ? -(u128)a : (u128)a, y = b < 0 ? -(u128)b : (u128)b;
    uint32_t p[8] = {0};
    u128 rest = 0, quotient = 0;

    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;

        for (int j = 0; j < 4; j++) {
            uint64_t t = (uint64_t)(uint32_t)(x >> (32 * i)) *
                             (uint32_t)(y >> (32 * j)) +
                         p[i + j] + carry;

            p[i + j] = (uint32_t)t;
            carry = t >> 32;
        }
        p[i + 4] = (uint32_t)carry;
    }
    for (int bit = 255; bit >= 0; bit--) {
        rest = rest << 1 | (p[bit / 32] >> (bit % 32) & 1);
        quotient = quotient << 1;
        if (rest >= (u128)XN_DEC_ONE) {
            rest -= (u128)XN_DEC_ONE;
            quotient |= 1;
        }
    }
    rest *= 2;
    if (rest > (u128)XN_DEC_ONE ||
        (rest == (u128)XN_DEC_ONE && (quotient & 1))) {
        quotient++;
    }
    return (a < 0) != (b < 0) ? -(xn_i128)quotient : (xn_i128)quotient;
}

static void test_mul_random(void **state)
{
    struct xn_rng rng;
    int done = 0;

    (void)state;
    xn_rng_seed(&rng, 2);
    for (int i = 0; i < 100000; i++) {
        xn_dec a = random_dec(&rng), b = random_dec(&rng), out = {0};

        if (xn_dec_mul(a, b, &out)) continue;
        assert_true(out.v == slow_mul(a.v, b.v));
        done++;
    }
    assert_true(done > 30000);
}

static void test_extremes(void **state)
{
    xn_dec least = {(xn_i128)1 << 126}, out = {0};
    char text[XN_DEC_TEXT_MAX];

    (void)state;
    least.v = -least.v - least.v; /* -2^127: not a value, but must not trap */
    assert_true(xn_dec_format(least, text) < XN_DEC_TEXT_MAX);
    assert_int_equal(xn_dec_mul(least, least, &out), XN_EOVERFLOW);
    assert_int_equal(xn_dec_add(least, least, &out), XN_EOVERFLOW);
    assert_int_equal(xn_dec_sub(xn_dec_int(0), least, &out), XN_EOVERFLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_format),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_parse_length),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_add_sub),
        cmocka_unit_test(test_mul),
        cmocka_unit_test(test_micro),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_mul_random),
        cmocka_unit_test(test_extremes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
