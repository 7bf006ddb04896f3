/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency models: bounds, symmetry, and the readers on measured files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "sim/latency.h"

static char why[SIM_LATENCY_TEXT];

static void test_uniform(void **state)
{
    struct sim_latency *l;
    uint32_t i;

    (void)state;
    assert_int_equal(sim_latency_uniform(5000, 150000, &l), 0);
    for (i = 0; i < 1000; i++) {
        uint64_t us = sim_latency_us(l, 7, i, i * 31 + 1);

        assert_in_range(us, 5000, 150000);
        assert_int_equal(us, sim_latency_us(l, 7, i * 31 + 1, i));
    }
    assert_int_not_equal(sim_latency_us(l, 7, 1, 2),
                         sim_latency_us(l, 8, 1, 2));
    sim_latency_free(l);
    assert_int_equal(sim_latency_uniform(0, 0, &l), 0);
    assert_int_equal(sim_latency_us(l, 7, 1, 2), SIM_LATENCY_US_MIN);
    sim_latency_free(l);
}

/* A file of our own in a new folder. */
static void write_file(char path[64], const char *name, const char *text)
{
    char dir[] = "/tmp/sim_latency.XXXXXX";
    FILE *f;

    assert_non_null(mkdtemp(dir));
    snprintf(path, 64, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_file(char path[64])
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static void test_pairs(void **state)
{
    struct sim_latency *l;
    char path[64];

    (void)state;
    write_file(path, "rtt.csv",
               "from,to,count,avg_ms\nb,a,3,40.5\nc,a,3,100\nb,c,1,2\n");
    assert_int_equal(sim_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(sim_latency_places(l), 3);
    assert_int_equal(sim_latency_between(l, 0, 1), 20250); /* mirrored */
    assert_int_equal(sim_latency_between(l, 1, 0), 20250);
    assert_int_equal(sim_latency_between(l, 2, 1), 1000);
    assert_int_equal(sim_latency_between(l, 1, 1), SIM_LATENCY_US_MIN);
    sim_latency_free(l);
    remove_file(path);
}

static void test_plane(void **state)
{
    struct sim_latency *l;
    char path[64];

    (void)state;
    write_file(path, "nodes.tsv", "x\ty\n0\t0\n30\t40\n");
    assert_int_equal(sim_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(sim_latency_between(l, 0, 1), 50000);
    sim_latency_free(l);
    remove_file(path);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"a.tsv", ""},
        {"b.tsv", "x\ty\n1\n"},
        {"c.tsv", "x\ty\n1\tnan\n"},
        {"d.csv", "from,to,ms\na,b,1\n"},
        {"e.csv", "from,to,avg_ms\na,b,-1\n"},
        {"f.csv", "from,to,avg_ms\na,b\n"},
        {"g.csv", "from,to,avg_ms\n"},
        {"h.txt", "x"},
        {"i_2x2.u16le.xz", "not xz"}, /* and no README.md */
        {"j_2x3.u16le.xz", ""},
        {"k_99999x99999.u16le.xz", ""},
        {"l.u16le.xz", ""},
    };
    struct sim_latency *l;
    char path[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i].name, bad[i].text);
        why[0] = '\0';
        assert_true(sim_latency_load(path, 0, &l, why, sizeof why) < 0);
        assert_true(strlen(why) > 0);
        assert_true(sim_latency_load(path, 1000, &l, why, sizeof why) < 0);
        remove_file(path);
    }
    assert_int_equal(
        sim_latency_load("/nonexistent/a.tsv", 0, &l, why, sizeof why), XN_EIO);
}

static const char *data(const char *name)
{
    static char path[4096];
    const char *src = getenv("XN_SRC");

    snprintf(path, sizeof path, "%s/../shared/data/%s", src ? src : ".", name);
    if (!access(path, R_OK)) return path;
    print_message("# skipped: %s is not there\n", path);
    skip();
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Median one-way time over pairs of places, us. */
static uint64_t median(const struct sim_latency *l)
{
    uint32_t n = sim_latency_places(l), i;
    enum { DRAWS = 20001 };
    uint64_t *us = malloc(DRAWS * sizeof *us), result;

    assert_non_null(us);
    for (i = 0; i < DRAWS; i++) {
        uint32_t a = i * 7919U % n, b = (i * 104729U + i / n + 1) % n;

        if (a == b) b = (b + 1) % n;
        us[i] = sim_latency_between(l, a, b);
    }
    qsort(us, DRAWS, sizeof *us, by_value);
    result = us[DRAWS / 2];
    free(us);
    return result;
}

static void check_file(const char *name, uint32_t places, uint64_t lo_us,
                       uint64_t hi_us)
{
    struct sim_latency *l;
    int rc = sim_latency_load(data(name), 0, &l, why, sizeof why);

    if (rc) fail_msg("%s: %s", name, why);
    assert_int_equal(sim_latency_places(l), places);
    assert_in_range(median(l), lo_us, hi_us);
    sim_latency_free(l);
}

/* The medians that the files' README state, halved where round trips. */
static void test_wonder242(void **state)
{
    (void)state;
    check_file("lat-wonder242/rtt_avg_242x242.u16le.xz", 242, 68000, 75000);
}

static void test_wonder222(void **state)
{
    (void)state;
    check_file("lat-wonder222/rtt_avg_222x222.u16le.xz", 222, 67000, 75000);
}

static void test_seattle(void **state)
{
    (void)state;
    check_file("lat-seattle99/rtt_688x99x99.u16le.xz", 99, 75000, 95000);
}

static void test_shadow(void **state)
{
    (void)state;
    check_file("lat-shadow183/latency_183x183.u16le.xz", 183, 55000, 67000);
}

static void test_aws(void **state)
{
    (void)state;
    check_file("lat-aws-regions/rtt_pairs.tsv", 33, 70000, 86000);
}

static void test_countries(void **state)
{
    (void)state;
    check_file("lat-countries-ripeatlas/country_rtt.csv", 173, 75000, 100000);
}

static void test_skitter(void **state)
{
    (void)state;
    check_file("coord-skitter15k/nodes.tsv", 14993, 65000, 75000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform),   cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_plane),     cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_wonder242), cmocka_unit_test(test_wonder222),
        cmocka_unit_test(test_seattle),   cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_aws),       cmocka_unit_test(test_countries),
        cmocka_unit_test(test_skitter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
