/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- tests/data/price.vectors ---- */

/* The next word as a decimal. */
static xn_dec next_dec(char **line)
{
    const char *word = strtok_r(NULL, " \n", line);

    assert_non_null(word);
    return dec(word);
}

static int64_t next_micro(char **line)
{
    const char *word = strtok_r(NULL, " \n", line);

    assert_non_null(word);
    return strcmp(word, "overflow") == 0 ? -1 : strtoll(word, NULL, 10);
}

static void next_prices(char **line, struct price_list *prices)
{
    prices->setup = next_dec(line);
    prices->per_hour = next_dec(line);
    prices->cpu_second = next_dec(line);
    prices->memory_mb_hour = next_dec(line);
    prices->net_gb = next_dec(line);
    prices->disk_gb_hour = next_dec(line);
}

static void next_usage(char **line, struct price_usage *usage)
{
    usage->hours = next_dec(line);
    usage->cpu_s = next_dec(line);
    usage->memory_mb_h = next_dec(line);
    usage->net_gb = next_dec(line);
    usage->disk_gb_h = next_dec(line);
}

static void expect(const struct price_list *prices,
                   const struct price_usage *usage, int64_t expected,
                   unsigned row)
{
    int64_t micro = -1;
    int rc = price_amount(prices, usage, &micro);

    if (rc != (expected < 0 ? XN_EOVERFLOW : 0) || micro != expected)
        fail_msg("line %u: %s, %lld", row, xn_errname(rc), (long long)micro);
}

static void test_vector_file(void **state)
{
    const char *src = getenv("XN_SRC");
    unsigned row = 0, amounts = 0, steps = 0;
    struct price_list prices = {0};
    struct price_usage usage;
    int64_t charged = 0;
    char path[4096], line[1024];
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/data/price.vectors", src ? src : ".");
    f = fopen(path, "r");
    if (!f) fail_msg("%s cannot be read", path);
    for (; f && fgets(line, sizeof line, f); row++) {
        char *rest = NULL, *word = strtok_r(line, " \n", &rest);

        if (!word || word[0] == '#') continue;
        if (strcmp(word, "session") == 0) {
            next_prices(&rest, &prices);
            charged = 0;
            continue;
        }
        if (strcmp(word, "amount") == 0) {
            next_prices(&rest, &prices);
            next_usage(&rest, &usage);
            expect(&prices, &usage, next_micro(&rest), row + 1);
            amounts++;
        } else {
            int64_t charge = -1;

            next_usage(&rest, &usage);
            expect(&prices, &usage, next_micro(&rest), row + 1);
            assert_int_equal(price_charge(&prices, &usage, charged, &charge),
                             0);
            if (charge != next_micro(&rest)) fail_msg("line %u", row + 1);
            charged += charge;
            steps++;
        }
    }
    fclose(f);
    assert_true(amounts > 400 && steps == 200);
}

static void test_charge(void **state)
{
    struct price_list prices = {.per_hour = dec("1")};
    struct price_usage usage = {.hours = dec("2.5")};
    int64_t charge = -1;

    (void)state;
    assert_int_equal(price_charge(&prices, &usage, 0, &charge), 0);
    assert_int_equal(charge, 2500000);
    assert_int_equal(price_charge(&prices, &usage, 2500000, &charge), 0);
    assert_int_equal(charge, 0);
    assert_int_equal(price_charge(&prices, &usage, 2500001, &charge),
                     XN_EINVAL);
    assert_int_equal(price_charge(&prices, &usage, -1, &charge), XN_EINVAL);
    usage.hours = dec("9223372036855");
    assert_int_equal(price_charge(&prices, &usage, 0, &charge), XN_EOVERFLOW);
    assert_int_equal(charge, 0);
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
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_vector_file), cmocka_unit_test(test_charge),
        cmocka_unit_test(test_cumulative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
