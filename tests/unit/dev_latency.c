/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a development platform's servers are, and who hears whom how late. */
#include "tests/unit/wire_kit.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "net/delay.h"
#include "tools/dev.h"
#include "wire/key.h"

/* ---- coordinates ---- */

/* Round trips as they would be between the places of a plane with access
 * links; `noise` is how far each is off, relative, at most. */
static struct xn_latency *make_matrix(struct dev_place *truth, uint32_t n,
                                      double noise)
{
    struct xn_latency *latency = calloc(1, sizeof *latency);
    struct xn_rng rng;
    uint32_t i, j;

    assert_non_null(latency);
    latency->places = n;
    latency->matrix = calloc((size_t)n * n, sizeof *latency->matrix);
    xn_rng_seed(&rng, 5);
    for (i = 0; i < n; i++) {
        truth[i] = (struct dev_place){.x = 300 * xn_rng_unit(&rng),
                                      .y = 150 * xn_rng_unit(&rng),
                                      .h = 1 + 20 * xn_rng_unit(&rng)};
    }
    for (i = 0; i < n; i++) {
        for (j = 0; j < i; j++) {
            double ms = dev_place_rtt_ms(&truth[i], &truth[j]) *
                        (1 + noise * (2 * xn_rng_unit(&rng) - 1));

            latency->matrix[i * n + j] = (uint32_t)(ms * 500);
            latency->matrix[j * n + i] = (uint32_t)(ms * 500);
        }
    }
    return latency;
}

static void finds_the_truth(void **state)
{
    enum { N = 40 };
    struct dev_place truth[N], *places;
    struct xn_latency *latency = make_matrix(truth, N, 0);
    uint32_t i, j;

    assert_int_equal(dev_places(latency, 1, &places), 0);
    for (i = 0; i < N; i++) {
        assert_true(places[i].h >= 0);
        assert_true(places[i].error < 0.02);
        for (j = 0; j < i; j++) {
            double want = dev_place_rtt_ms(&truth[i], &truth[j]);
            double got = dev_place_rtt_ms(&places[i], &places[j]);

            assert_true(fabs(got - want) < 0.1 * want + 2);
        }
    }
    free(places);
    xn_latency_free(latency);
}

static void knows_its_error(void **state)
{
    enum { N = 40 };
    struct dev_place truth[N], *places;
    struct xn_latency *latency = make_matrix(truth, N, 0.5);
    double error = 0;
    uint32_t i;

    assert_int_equal(dev_places(latency, 1, &places), 0);
    for (i = 0; i < N; i++)
        error += places[i].error / N;
    assert_true(error > 0.1 && error < 0.35); /* 0.25 on average was added */
    free(places);
    xn_latency_free(latency);
}

static void same_seed_same_digits(void **state)
{
    enum { N = 20 };
    struct dev_place truth[N], *a, *b, *c;
    struct xn_latency *latency = make_matrix(truth, N, 0.2);

    assert_int_equal(dev_places(latency, 1, &a), 0);
    assert_int_equal(dev_places(latency, 1, &b), 0);
    assert_int_equal(dev_places(latency, 2, &c), 0);
    assert_memory_equal(a, b, N * sizeof *a);
    assert_memory_not_equal(a, c, N * sizeof *a);
    free(a);
    free(b);
    free(c);
    xn_latency_free(latency);
}

static void few_places(void **state)
{
    struct dev_place truth[2], *places;
    uint32_t n;

    for (n = 1; n <= 2; n++) {
        struct xn_latency *latency = make_matrix(truth, n, 0);

        assert_int_equal(dev_places(latency, 1, &places), 0);
        assert_true(places[0].error < 0.01);
        assert_true(isfinite(places[0].x) && isfinite(places[0].y));
        free(places);
        xn_latency_free(latency);
    }
}

/* All at one spot: no direction to pull in, nothing to divide by. */
static void no_distance(void **state)
{
    uint32_t matrix[9] = {0}, i;
    struct xn_latency latency = {.places = 3, .matrix = matrix};
    struct dev_place *places;

    assert_int_equal(dev_places(&latency, 1, &places), 0);
    for (i = 0; i < 3; i++)
        assert_true(isfinite(places[i].x) && isfinite(places[i].error));
    free(places);
}

static void given_coordinates_stay(void **state)
{
    double xy[] = {0, 0, 30, 40};
    struct xn_latency latency = {.places = 2, .xy = xy};
    struct dev_place *places;

    assert_int_equal(dev_places(&latency, 1, &places), 0);
    assert_true(dev_place_rtt_ms(&places[0], &places[1]) == 100);
    assert_true(places[0].error == 0 && places[1].h == 0);
    free(places);
}

/* ---- a platform ---- */

static char dir[] = "/tmp/xn-test.XXXXXX";
static struct dev_platform platform;

static int setup(void **state)
{
    unsigned i;

    assert_non_null(mkdtemp(dir));
    snprintf(platform.state, sizeof platform.state, "%s", dir);
    platform.seed = 3;
    platform.n_servers = 5;
    for (i = 0; i < platform.n_servers; i++)
        platform.servers[i].number = i + 1;
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    dev_latency_free(platform.latency);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void read_matrix(const char *text)
{
    char path[DEV_PATH_MAX];

    dev_path(&platform, path, "matrix.txt");
    assert_int_equal(dev_write_file(path, text, strlen(text)), 0);
    dev_latency_free(platform.latency);
    platform.latency = NULL;
    assert_int_equal(dev_latency_read(&platform, path), 0);
}

static void id_of(unsigned number, char hex[XN_ID_HEX])
{
    char path[DEV_PATH_MAX];
    EVP_PKEY *key;
    xn_id id;

    dev_path(&platform, path, "node-%02u/key.pem", number);
    assert_int_equal(xn_key_load(path, &key), 0);
    assert_int_equal(xn_key_id(key, &id), 0);
    xn_id_hex(&id, hex);
    EVP_PKEY_free(key);
}

/* What node `to` waits for node `from`, us; -1: it does not say. */
static long waits(unsigned to, unsigned from)
{
    char path[DEV_PATH_MAX], hex[XN_ID_HEX], id[XN_ID_HEX];
    long us, found = -1;
    FILE *f;

    assert_true(dev_latency_file(&platform, &platform.servers[to - 1], path));
    id_of(from, hex);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%64s %ld", id, &us) == 2) {
        if (strcmp(id, hex) == 0) found = us;
    }
    fclose(f);
    return found;
}

/* Each cell of the matrix is one of a kind, so it tells between whom. */
static void who_waits_for_whom(void **state)
{
    long seen[5][5] = {{0}}, us, before[5];
    unsigned to, from;

    read_matrix("one_way_ms 5\n"
                " 0 12 13 14 15\n21  0 23 24 25\n31 32  0 34 35\n"
                "41 42 43  0 45\n51 52 53 54  0\n");
    assert_int_equal(dev_latency_delays(&platform), 0);
    for (to = 1; to <= 5; to++) {
        char path[DEV_PATH_MAX];
        struct net_delays *delays;

        dev_latency_file(&platform, &platform.servers[to - 1], path);
        assert_int_equal(net_delays_load("test", path, &delays), 0);
        net_delays_free(delays);
        for (from = 1; from <= 5; from++) {
            us = waits(to, from);
            if (from == to) {
                assert_int_equal(us, -1);
                continue;
            }
            assert_int_equal(us % 1000, 0);
            assert_int_equal(seen[us / 10000 - 1][us / 1000 % 10 - 1]++, 0);
            /* Row from, column to: the same place each time. */
            if (to == (from == 1 ? 2 : 1)) {
                before[from - 1] = us / 10000;
            } else {
                assert_int_equal(us / 10000, before[from - 1]);
            }
        }
    }
}

/* More servers than places share them; keys stay. */
static void places_are_shared(void **state)
{
    char before[XN_ID_HEX], after[XN_ID_HEX];

    id_of(1, before);
    read_matrix("rtt_ms 2\n0 30\n50 0\n");
    assert_int_equal(dev_latency_delays(&platform), 0);
    id_of(1, after);
    assert_string_equal(before, after);
    assert_int_equal(waits(3, 1), 0);
    assert_int_equal(waits(1, 2) + waits(2, 1), 40000);
    assert_int_equal(waits(3, 4), waits(1, 2));
}

static void places_as_text(void **state)
{
    struct advert_offer one = {.n_corps = 0}, two = {.n_corps = 0};
    struct xn_arena arena;

    xn_arena_init(&arena, 0);
    read_matrix("rtt_ms 2\n0 30\n30 0\n");
    assert_int_equal(dev_latency_place(platform.latency, 0, &arena, &one), 0);
    assert_int_equal(dev_latency_place(platform.latency, 2, &arena, &two), 0);
    assert_string_equal(one.coord_x, two.coord_x);
    assert_int_equal(dev_latency_place(platform.latency, 1, &arena, &two), 0);
    assert_true(strcmp(one.coord_x, two.coord_x) ||
                strcmp(one.coord_y, two.coord_y));
    /* Numbers for an ad: digits, a point, three digits. */
    assert_int_equal(strlen(strchr(one.coord_h, '.')), 4);
    assert_int_equal(strspn(one.coord_x, "-0123456789") + strlen(".000"),
                     strlen(one.coord_x));
    xn_arena_clear(&arena);
}

static void other_seed_other_places(void **state)
{
    char first[6][32];
    unsigned seed, i, differ = 0;

    for (seed = 1; seed <= 6; seed++) {
        platform.seed = seed;
        read_matrix("rtt_ms 4\n0 1 2 3\n1 0 4 5\n2 4 0 6\n3 5 6 0\n");
        assert_int_equal(dev_latency_delays(&platform), 0);
        snprintf(first[seed - 1], 32, "%ld", waits(1, 2));
    }
    for (i = 1; i < 6; i++)
        differ += strcmp(first[0], first[i]) != 0;
    assert_true(differ > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_truth),
        cmocka_unit_test(knows_its_error),
        cmocka_unit_test(same_seed_same_digits),
        cmocka_unit_test(few_places),
        cmocka_unit_test(no_distance),
        cmocka_unit_test(given_coordinates_stay),
        cmocka_unit_test(who_waits_for_whom),
        cmocka_unit_test(places_are_shared),
        cmocka_unit_test(places_as_text),
        cmocka_unit_test(other_seed_other_places),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
