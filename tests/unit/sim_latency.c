/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency models: bounds, symmetry, places of nodes. */
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
#include "lib/latency.h"
#include "sim/latency.h"

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

/* A node's place depends on nothing but the seed and its number. */
static void test_places(void **state)
{
    char path[] = "/tmp/sim_latency.XXXXXX.txt", why[XN_LATENCY_TEXT];
    struct sim_latency *l;
    uint32_t i, seen = 0;
    int fd = mkstemps(path, 4);

    (void)state;
    assert_true(fd >= 0);
    dprintf(fd, "rtt_ms 3\n0 10 20\n10 0 30\n20 30 0\n");
    close(fd);
    assert_int_equal(sim_latency_load(path, 0, &l, why, sizeof why), 0);
    unlink(path);
    assert_int_equal(sim_latency_places(l), 3);
    assert_int_equal(sim_latency_between(l, 0, 1), 5000);
    assert_int_equal(sim_latency_between(l, 2, 2), SIM_LATENCY_US_MIN);
    for (i = 0; i < 100; i++) {
        uint32_t place = sim_latency_place(l, 7, i);

        assert_true(place < 3);
        seen |= 1U << place;
        assert_int_equal(
            sim_latency_us(l, 7, i, 5),
            sim_latency_between(l, place, sim_latency_place(l, 7, 5)));
    }
    assert_int_equal(seen, 7);
    assert_false(sim_latency_is_plane(l));
    sim_latency_free(l);
    assert_int_equal(
        sim_latency_load("/nonexistent/a.tsv", 0, &l, why, sizeof why), XN_EIO);
    assert_non_null(strstr(why, "/nonexistent/a.tsv"));
}

/* Nine nodes of ten are between the two; the middle one is at their geometric
 * mean. */
static void test_access(void **state)
{
    struct sim_latency *l;
    uint32_t i, below = 0, above = 0, half = 0;

    (void)state;
    assert_int_equal(sim_latency_uniform(5000, 5000, &l), 0);
    assert_int_equal(sim_latency_access_us(l, 7, 1), 0);
    assert_int_equal(sim_latency_us(l, 7, 1, 2), 5000);
    sim_latency_access(l, 1000, 16000);
    for (i = 0; i < 10000; i++) {
        uint64_t us = sim_latency_access_us(l, 7, i);

        below += us < 1000;
        above += us > 16000;
        half += us < 4000;
    }
    assert_in_range(below, 350, 650);
    assert_in_range(above, 350, 650);
    assert_in_range(half, 4700, 5300);
    assert_int_equal(sim_latency_us(l, 7, 1, 2),
                     5000 + sim_latency_access_us(l, 7, 1) +
                         sim_latency_access_us(l, 7, 2));
    sim_latency_free(l);
}

/* What is kept for some nodes under one seed changes nothing for any. */
static void test_known(void **state)
{
    char path[] = "/tmp/sim_latency.XXXXXX.tsv", why[XN_LATENCY_TEXT];
    struct sim_latency *l;
    uint64_t before[2][20];
    float x, y;
    uint32_t i;
    int fd = mkstemps(path, 4);

    (void)state;
    assert_true(fd >= 0);
    dprintf(fd, "x\ty\n3\t0\n0\t4\n3\t4\n");
    close(fd);
    assert_int_equal(sim_latency_load(path, 0, &l, why, sizeof why), 0);
    unlink(path);
    sim_latency_access(l, 1000, 16000);
    for (i = 0; i < 20; i++) {
        before[0][i] = sim_latency_us(l, 7, i, 5);
        before[1][i] = sim_latency_us(l, 8, i, 5);
    }
    assert_int_equal(sim_latency_know(l, 7, 10), 0);
    for (i = 0; i < 20; i++) {
        assert_int_equal(sim_latency_us(l, 7, i, 5), before[0][i]);
        assert_int_equal(sim_latency_us(l, 8, i, 5), before[1][i]);
    }
    assert_true(sim_latency_is_plane(l));
    sim_latency_at(l, 7, 1, &x, &y);
    assert_true((x == 3 || x == 0) && (y == 4 || y == 0) && x + y > 0);
    sim_latency_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
