/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Readers of latency files: small ones of our own, broken ones, measured ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/latency.h"

static char why[XN_LATENCY_TEXT];

/* A file of our own in a new folder. */
static void write_file(char path[64], const char *name, const char *text)
{
    char dir[] = "/tmp/xn_latency.XXXXXX";
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

static void test_text(void **state)
{
    struct xn_latency *l;
    char path[64];

    (void)state;
    write_file(path, "a.txt",
               "# made by hand\nrtt_ms 3\n"
               "- 40.5 100\r\n\n  - 0\t2\n# the last\n- - 0");
    assert_int_equal(xn_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(l->places, 3);
    assert_int_equal(xn_latency_us(l, 0, 1), 20250);
    assert_int_equal(xn_latency_us(l, 1, 0), 20250); /* the other direction */
    assert_int_equal(xn_latency_us(l, 2, 1), 1000);
    assert_int_equal(xn_latency_us(l, 0, 0), 0);
    xn_latency_free(l);
    remove_file(path);
    write_file(path, "b.txt", "one_way_ms 2\n0 7\n9 1\n");
    assert_int_equal(xn_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(xn_latency_us(l, 0, 1), 7000);
    assert_int_equal(xn_latency_us(l, 1, 0), 9000);
    assert_int_equal(xn_latency_us(l, 1, 1), 1000);
    xn_latency_free(l);
    remove_file(path);
}

static void test_pairs(void **state)
{
    struct xn_latency *l;
    char path[64];

    (void)state;
    write_file(path, "rtt.csv",
               "from,to,count,avg_ms\nb,a,3,40.5\nc,a,3,100\nb,c,1,2\n");
    assert_int_equal(xn_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(l->places, 3);
    assert_int_equal(xn_latency_us(l, 0, 1), 20250); /* mirrored */
    assert_int_equal(xn_latency_us(l, 1, 0), 20250);
    assert_int_equal(xn_latency_us(l, 2, 1), 1000);
    assert_int_equal(xn_latency_us(l, 1, 1), 0);
    xn_latency_free(l);
    remove_file(path);
}

/* Programs here set the user's locale: numbers must not depend on it.  And
 * measured ones have as many digits as a double prints. */
static void test_numbers(void **state)
{
    struct xn_latency *l;
    char path[64];

    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) setlocale(LC_ALL, "");
    write_file(path, "rtt.tsv", "from\tto\trtt_ms\na\tb\t4.4559999999999995\n");
    assert_int_equal(xn_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_in_range(xn_latency_us(l, 0, 1), 2227, 2228);
    xn_latency_free(l);
    remove_file(path);
    setlocale(LC_ALL, "C");
}

static void test_plane(void **state)
{
    struct xn_latency *l;
    char path[64];

    (void)state;
    write_file(path, "nodes.tsv", "x\ty\n0\t0\n30\t40\n");
    assert_int_equal(xn_latency_load(path, 0, &l, why, sizeof why), 0);
    assert_int_equal(xn_latency_us(l, 0, 1), 50000);
    xn_latency_free(l);
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
        {"h2.txt", ""},
        {"h3.txt", "rtt_ms 2\n0 1\n"},
        {"h4.txt", "rtt_ms 2\n0 1\n1 0\n0 0\n"},
        {"h5.txt", "rtt_ms 2\n0 1\n1 0 0\n"},
        {"h6.txt", "rtt_ms 2\n0 -1\n1 0\n"},
        {"h7.txt", "rtt_ms 2\n0 1e3\n1 0\n"},
        {"h8.txt", "rtt_ms 0\n"},
        {"h9.txt", "rtt_ms 4097\n"},
        {"h10.txt", "rtt_us 1\n0\n"},
        {"h11.txt", "rtt_ms 1 1\n0\n"},
        {"h12.dat", "rtt_ms 1\n0\n"},
        {"i_2x2.u16le.xz", "not xz"}, /* and no README.md */
        {"j_2x3.u16le.xz", ""},
        {"k_99999x99999.u16le.xz", ""},
        {"l.u16le.xz", ""},
    };
    struct xn_latency *l;
    char path[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i].name, bad[i].text);
        why[0] = '\0';
        assert_true(xn_latency_load(path, 0, &l, why, sizeof why) < 0);
        assert_true(strlen(why) > 0);
        assert_true(xn_latency_load(path, 1000, &l, why, sizeof why) < 0);
        remove_file(path);
    }
    assert_int_equal(
        xn_latency_load("/nonexistent/a.tsv", 0, &l, why, sizeof why), XN_EIO);
}

static const char *measured_path(const char *name)
{
    static char path[4096];
    const char *src = getenv("XN_SRC");

    snprintf(path, sizeof path, "%s/../shared/data/%s", src ? src : ".", name);
    return path;
}

static const char *data(const char *name)
{
    const char *path = measured_path(name);

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
static uint64_t median(const struct xn_latency *l)
{
    uint32_t n = l->places, i;
    enum { DRAWS = 20001 };
    uint64_t *us = malloc(DRAWS * sizeof *us), result;

    assert_non_null(us);
    for (i = 0; i < DRAWS; i++) {
        uint32_t a = i * 7919U % n, b = (i * 104729U + i / n + 1) % n;

        if (a == b) b = (b + 1) % n;
        us[i] = xn_latency_us(l, a, b);
    }
    qsort(us, DRAWS, sizeof *us, by_value);
    result = us[DRAWS / 2];
    free(us);
    return result;
}

static void check_file(const char *name, uint32_t places, uint64_t lo_us,
                       uint64_t hi_us)
{
    struct xn_latency *l;
    int rc = xn_latency_load(data(name), 0, &l, why, sizeof why);

    if (rc) fail_msg("%s: %s", name, why);
    assert_int_equal(l->places, places);
    assert_in_range(median(l), lo_us, hi_us);
    xn_latency_free(l);
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

/* What ships is what the medians of the measured series say. */
static void test_shipped(void **state)
{
    struct xn_latency *shipped, *measured;
    const char *src = getenv("XN_SRC");
    char path[4096];
    uint32_t i, j;

    (void)state;
    snprintf(path, sizeof path, "%s/dist/latency-seattle99.txt",
             src ? src : ".");
    assert_int_equal(xn_latency_load(path, 0, &shipped, why, sizeof why), 0);
    assert_int_equal(shipped->places, 99);
    assert_in_range(median(shipped), 75000, 95000);
    if (xn_latency_load(measured_path("lat-seattle99/rtt_688x99x99.u16le.xz"),
                        0, &measured, why, sizeof why)) {
        xn_latency_free(shipped);
        print_message("# not compared: %s\n", why);
        return;
    }
    for (i = 0; i < 99; i++) {
        for (j = 0; j < 99; j++) {
            assert_int_equal(xn_latency_us(shipped, i, j),
                             xn_latency_us(measured, i, j));
        }
    }
    xn_latency_free(measured);
    xn_latency_free(shipped);
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
        cmocka_unit_test(test_text),      cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_plane),
        cmocka_unit_test(test_bad_files), cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_wonder242), cmocka_unit_test(test_wonder222),
        cmocka_unit_test(test_seattle),   cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_aws),       cmocka_unit_test(test_countries),
        cmocka_unit_test(test_skitter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
