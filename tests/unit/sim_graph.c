/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Converged overlays: links both ways, within the budget, leaf sets whole, and
 * somebody near in each place of the prefix tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/latency.h"
#include "lib/rng.h"
#include "sim/graph.h"

enum { NODES = 2000, LINKS = 128, LEAVES = 8 };

struct bench {
    struct xn_contact rows[NODES];
    struct xn_peers peers;
    struct sim_latency *latency;
    struct sim_graph *graph;
    struct sim_graph_config config;
};

/* A square of 100 ms, its points drawn by number. */
static struct sim_latency *plane(void)
{
    char path[] = "/tmp/sim_graph.XXXXXX.tsv", why[XN_LATENCY_TEXT];
    struct sim_latency *latency;
    int fd = mkstemps(path, 4);
    uint64_t i;

    assert_true(fd >= 0);
    dprintf(fd, "x\ty\n");
    for (i = 0; i < 500; i++) {
        dprintf(fd, "%u\t%u\n", (unsigned)(xn_rng_mix(1, i) % 100),
                (unsigned)(xn_rng_mix(2, i) % 100));
    }
    close(fd);
    assert_int_equal(sim_latency_load(path, 0, &latency, why, sizeof why), 0);
    unlink(path);
    return latency;
}

static struct bench *bench_of(uint32_t nodes, struct sim_latency *latency)
{
    struct bench *b = calloc(1, sizeof *b);
    uint32_t i;

    assert_non_null(b);
    for (i = 0; i < nodes; i++)
        xn_id_hash(&i, sizeof i, &b->rows[i].position);
    b->peers = (struct xn_peers){.rows = b->rows, .n = nodes};
    b->config = (struct sim_graph_config){nodes, LINKS, LEAVES, 16, 7};
    b->latency = latency;
    assert_int_equal(
        sim_graph_new(&b->config, &b->peers, b->latency, &b->graph), 0);
    return b;
}

static struct bench *bench_new(uint32_t nodes)
{
    struct sim_latency *latency;

    assert_int_equal(sim_latency_uniform(1000, 100000, &latency), 0);
    return bench_of(nodes, latency);
}

static void bench_free(struct bench *b)
{
    sim_graph_free(b->graph);
    sim_latency_free(b->latency);
    free(b);
}

static bool linked(const struct bench *b, uint32_t a, uint32_t other)
{
    struct xn_route *peers;
    size_t n = sim_graph_of(b->graph, a, &peers), i;

    for (i = 0; i < n; i++) {
        if (peers[i].peer == other) return true;
    }
    return false;
}

static void test_links(void **state)
{
    struct bench *b = bench_new(NODES);
    struct xn_route *peers;
    uint32_t i;
    size_t n, j;

    (void)state;
    for (i = 0; i < NODES; i++) {
        n = sim_graph_of(b->graph, i, &peers);
        assert_in_range(n, 2 * LEAVES, LINKS);
        for (j = 0; j < n; j++) {
            assert_int_not_equal(peers[j].peer, i);
            assert_true(linked(b, peers[j].peer, i));
            if (j == 0) continue;
            assert_true(xn_id_cmp(&b->rows[peers[j - 1].peer].position,
                                  &b->rows[peers[j].peer].position) < 0);
        }
    }
    bench_free(b);
}

/* How many are between the two, clockwise. */
static uint32_t between(const struct bench *b, uint32_t from, uint32_t to)
{
    uint32_t i, n = 0;
    xn_id whole, part;

    xn_ring_clockwise(&b->rows[from].position, &b->rows[to].position, &whole);
    for (i = 0; i < NODES; i++) {
        if (i == from || i == to) continue;
        xn_ring_clockwise(&b->rows[from].position, &b->rows[i].position, &part);
        n += xn_id_cmp(&part, &whole) < 0;
    }
    return n;
}

static void test_leaves(void **state)
{
    struct bench *b = bench_new(NODES);
    uint32_t i, j;

    (void)state;
    for (i = 0; i < 20; i++) {
        for (j = 0; j < NODES; j++) {
            if (i != j && between(b, i, j) < LEAVES) {
                assert_true(linked(b, i, j));
            }
        }
    }
    bench_free(b);
}

/* Every place where somebody is has a link; those are nearer than others. */
/* Where all want the same few, a place whose few nodes are full stays empty. */
static void check_places(struct bench *b, uint32_t most_empty)
{
    unsigned digit = table_digit(LINKS);
    uint64_t near_us = 0, all_us = 0, n_near = 0, n_all = 0;
    uint32_t i, j, k, empty = 0;
    struct xn_route *peers;

    for (i = 0; i < 20; i++) {
        uint32_t n = (uint32_t)sim_graph_of(b->graph, i, &peers);

        for (j = 0; j < NODES; j++) {
            struct table_place place, other;
            uint64_t us = sim_latency_us(b->latency, 7, i, j);
            bool found = false;

            if (i == j) continue;
            table_place(digit, &b->rows[i].position, &b->rows[j].position,
                        &place);
            all_us += us;
            n_all++;
            if (place.level == 0 && linked(b, i, j)) {
                near_us += us;
                n_near++;
            }
            for (k = 0; place.level < 2 && k < n && !found; k++) {
                table_place(digit, &b->rows[i].position,
                            &b->rows[peers[k].peer].position, &other);
                found = xn_id_eq(&place.lo, &other.lo);
            }
            empty += place.level < 2 && !found;
        }
    }
    assert_in_range(empty, 0, most_empty);
    assert_true(near_us * n_all * 2 < all_us * n_near);
    bench_free(b);
}

static void test_places(void **state)
{
    (void)state;
    check_places(bench_new(NODES), 0);
}

static void test_plane(void **state)
{
    (void)state;
    check_places(bench_of(NODES, plane()), NODES / 200);
}

static void test_mesh(void **state)
{
    struct bench *b = bench_new(LINKS + 1);
    struct xn_route *peers;
    uint32_t i;

    (void)state;
    for (i = 0; i <= LINKS; i++)
        assert_int_equal(sim_graph_of(b->graph, i, &peers), LINKS);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),  cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_places), cmocka_unit_test(test_plane),
        cmocka_unit_test(test_mesh),
    };

    return cmocka_run_group_tests_name("sim_graph", tests, NULL, NULL);
}
