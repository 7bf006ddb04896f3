/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "wire/price.h"

static xn_dec dec(const char *text)
{
    xn_dec d = {0};

    assert_int_equal(xn_dec_parse(text, strlen(text), &d), 0);
    return d;
}

struct row {
    const char *setup, *per_hour, *cpu_second, *memory, *net, *disk;
    const char *hours, *cpu_s, *memory_mb_h, *net_gb, *disk_gb_h;
    int64_t micro;
    const char *exact;
};

/* Vectors that doc/PROTOCOL.md repeats. */
static const struct row rows[] = {
    {"0", "0", "0", "0", "0", "0", "5", "5", "5", "5", "5", 0, "0"},
    {"0", "0.0121", "0", "0", "0", "0", "720", "0", "0", "0", "0", 8712000,
     "8.712"},
    {"0.5", "0.01", "0.00001", "0.000002", "0.09", "0.0001", "6", "7200",
     "24576", "10.73741824", "128.849018882", 1660405, "1.660404543488"},
    /* one rounding, half to even */
    {"0", "0.0000005", "0", "0", "0", "0", "1", "0", "0", "0", "0", 0,
     "0.0000005"},
    {"0", "0.0000005", "0", "0", "0", "0", "3", "0", "0", "0", "0", 2,
     "0.0000015"},
    {"0", "0.0000005", "0.0000005", "0", "0", "0", "1", "1", "0", "0", "0", 1,
     "0.000001"},
    {"0.0000005", "0", "0", "0", "0.0000005", "0.0000005", "0", "0", "0", "1",
     "1", 2, "0.0000015"},
    /* what is below 1e-12 still decides a tie */
    {"0.0000005", "0.000000000001", "0", "0", "0", "0", "0.000000000001", "0",
     "0", "0", "0", 1, "0.0000005"},
    {"0", "0.000000000001", "0.000000000001", "0", "0", "0", "0.5", "0.5", "0",
     "0", "0", 0, "0.000000000001"},
    {"0", "9223372036854.775807", "0", "0", "0", "0", "1", "0", "0", "0", "0",
     INT64_MAX, "9223372036854.775807"},
};

static void load(const struct row *row, struct price_list *prices,
                 struct price_usage *usage)
{
    prices->setup = dec(row->setup);
    prices->per_hour = dec(row->per_hour);
    prices->cpu_second = dec(row->cpu_second);
    prices->memory_mb_hour = dec(row->memory);
    prices->net_gb = dec(row->net);
    prices->disk_gb_hour = dec(row->disk);
    usage->hours = dec(row->hours);
    usage->cpu_s = dec(row->cpu_s);
    usage->memory_mb_h = dec(row->memory_mb_h);
    usage->net_gb = dec(row->net_gb);
    usage->disk_gb_h = dec(row->disk_gb_h);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct price_list prices;
        struct price_usage usage;
        char text[XN_DEC_TEXT_MAX];
        int64_t micro = -1;
        xn_dec sum;

        load(&rows[i], &prices, &usage);
        assert_int_equal(price_exact(&prices, &usage, &sum), 0);
        xn_dec_format(sum, text);
        assert_string_equal(text, rows[i].exact);
        assert_int_equal(price_amount(&prices, &usage, &micro), 0);
        assert_int_equal(micro, rows[i].micro);
    }
}

static void test_refuses(void **state)
{
    struct price_list prices = {.per_hour = dec("1000000000000000000000000")};
    struct price_usage usage = {.hours = dec("10")};
    int64_t micro;
    xn_dec sum;

    (void)state;
    assert_int_equal(price_exact(&prices, &usage, &sum), XN_EOVERFLOW);
    assert_int_equal(price_amount(&prices, &usage, &micro), XN_EOVERFLOW);
    usage.hours = dec("1"); /* the sum fits, the amount does not */
    assert_int_equal(price_exact(&prices, &usage, &sum), 0);
    assert_int_equal(price_amount(&prices, &usage, &micro), XN_EOVERFLOW);
    prices.per_hour = dec("9223372036854.7758075");
    assert_int_equal(price_amount(&prices, &usage, &micro), XN_EOVERFLOW);
    prices.per_hour = dec("-0.1");
    assert_int_equal(price_amount(&prices, &usage, &micro), XN_EINVAL);
    prices.per_hour = dec("0.1");
    usage.net_gb = dec("-1");
    assert_int_equal(price_amount(&prices, &usage, &micro), XN_EINVAL);
}

/* A session charged in steps pays the same as one charged at its end, and a
 * greater usage never costs less. */
static void test_cumulative(void **state)
{
    struct price_list prices = {.per_hour = dec("0.012345678901"),
                                .cpu_second = dec("0.000000333333"),
                                .memory_mb_hour = dec("0.000001000001")};
    struct price_usage usage = {.hours = xn_dec_int(0)};
    int64_t charged = 0, micro = 0;
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 3);
    for (int i = 0; i < 10000; i++) {
        usage.hours.v += (xn_i128)xn_rng_below(&rng, 1000000000);
        usage.cpu_s.v += (xn_i128)xn_rng_below(&rng, 1000000000000);
        usage.memory_mb_h.v += (xn_i128)xn_rng_below(&rng, 1000000000000);
        assert_int_equal(price_amount(&prices, &usage, &micro), 0);
        assert_true(micro >= charged);
        charged += micro - charged;
    }
    assert_int_equal(charged, micro);
    assert_true(micro > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_cumulative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
