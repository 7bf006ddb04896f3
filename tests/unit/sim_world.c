/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The world with a toy core: links, faults, crashes, and repeatability. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/world.h"
#include "tests/toy_core.h"

#define SECOND 1000000ULL

struct bench {
    struct sim_world *world;
    struct sim_latency *latency;
    uint32_t degree;
    uint64_t answered, answer_bytes, controls;
    char broken[256];
};

static int make_toy(void *user, const struct sim_world *world, uint32_t number,
                    uint64_t seed, struct xn_core **core_out)
{
    const struct bench *bench = user;
    uint32_t n = sim_world_config(world)->nodes, i;
    char addresses[TOY_CONTACTS_MAX][SIM_ADDRESS_MAX];
    struct toy_config config = {.period_us = SECOND};

    for (i = 0; i < bench->degree; i++) {
        /* Powers of two apart: connected, and both ends dial where n is 2. */
        sim_address((number + (1U << i)) % n, addresses[i]);
        config.contacts[i] = addresses[i];
    }
    config.n_contacts = bench->degree;
    return toy_new(&config, seed, core_out);
}

static void answered(void *user, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer)
{
    struct bench *bench = user;

    (void)node, (void)ticket;
    bench->answered++;
    bench->answer_bytes += answer->body.len;
}

static void control(void *user, uint64_t what)
{
    struct bench *bench = user;

    bench->controls += what;
}

static void broken(void *user, uint32_t node, const char *why)
{
    struct bench *bench = user;

    snprintf(bench->broken, sizeof bench->broken, "node %u: %s", node, why);
}

static struct sim_config config_of(uint32_t nodes, uint64_t seed)
{
    struct sim_config config = {.nodes = nodes, .seed = seed};

    sim_settings_default(&config.settings);
    return config;
}

static void begin(struct bench *bench, const struct sim_config *config,
                  uint32_t degree)
{
    struct sim_maker maker = {"toy", bench, make_toy, NULL, NULL, NULL};
    struct sim_hooks hooks = {
        .user = bench,
        .answered = answered,
        .control = control,
        .broken = broken,
    };

    memset(bench, 0, sizeof *bench);
    bench->degree = degree;
    assert_int_equal(sim_latency_uniform(5000, 100000, &bench->latency), 0);
    assert_int_equal(
        sim_world_new(config, bench->latency, &maker, &hooks, &bench->world),
        0);
}

static void end(struct bench *bench)
{
    assert_string_equal(bench->broken, "");
    sim_world_free(bench->world);
    sim_latency_free(bench->latency);
}

static void start_all(struct bench *bench, uint32_t nodes)
{
    uint32_t i;

    for (i = 0; i < nodes; i++) {
        assert_int_equal(sim_world_start(bench->world, i, i * 1000), 0);
    }
}

static void run(struct bench *bench, uint64_t until_us)
{
    int rc = sim_world_run(bench->world, until_us);

    if (rc) fail_msg("run: %s (%s)", xn_strerror(rc), bench->broken);
}

static const struct toy_counts *counts(const struct bench *bench, uint32_t node)
{
    return toy_counts(sim_world_core(bench->world, node));
}

/* The world's time is 5 s. */
static void two_linked(struct bench *bench)
{
    struct sim_config config = config_of(2, 3);

    begin(bench, &config, 1);
    start_all(bench, 2);
    run(bench, 5 * SECOND);
}

static void test_links_and_actions(void **state)
{
    struct sim_config config = config_of(16, 1);
    struct bench bench;
    uint32_t i;
    char why[64];

    (void)state;
    begin(&bench, &config, 3);
    start_all(&bench, 16);
    run(&bench, 30 * SECOND);
    for (i = 0; i < 16; i++) {
        const struct toy_counts *c = counts(&bench, i);

        assert_int_equal(c->peers, 6); /* three dialled, three incoming */
        assert_int_equal(c->signed_ok, 1);
        assert_int_equal(c->verified_ok, 1);
        assert_int_equal(c->stored, 1);
        assert_in_range(c->pongs, 26, 31);
        assert_true(
            xn_core_check(sim_world_core(bench.world, i), why, sizeof why));
    }
    end(&bench);
}

/* Who dials is up after two round trips, the other half a one later. */
static void test_dialler_first(void **state)
{
    struct sim_config config = config_of(2, 3);
    struct bench bench;
    uint64_t rtt_us, at_us;

    (void)state;
    config.settings.jitter_ppm = 0;
    begin(&bench, &config, 1);
    sim_world_start(bench.world, 1, 0);
    run(&bench, SECOND / 2); /* its dial was refused */
    sim_world_start(bench.world, 0, SECOND / 2);
    rtt_us = sim_world_rtt_us(bench.world, 0, 1);
    at_us = SECOND / 2 + 2 * rtt_us;
    run(&bench, at_us - rtt_us / 8);
    assert_int_equal(counts(&bench, 0)->ups, 0);
    run(&bench, at_us + rtt_us / 4);
    assert_int_equal(counts(&bench, 0)->ups, 1);
    assert_int_equal(counts(&bench, 1)->ups, 0);
    run(&bench, at_us + rtt_us);
    assert_int_equal(counts(&bench, 1)->ups, 1);
    end(&bench);
}

/* Two nodes that dial each other in the same moment keep one link. */
static void test_simultaneous_dials(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        struct sim_config config = config_of(2, seed);
        struct bench bench;

        /* Jitter, so that words pass each other. */
        config.settings.jitter_ppm = 900000;
        begin(&bench, &config, 1);
        sim_world_start(bench.world, 0, 0);
        sim_world_start(bench.world, 1, 3000 * seed);
        run(&bench, 10 * SECOND);
        assert_int_equal(counts(&bench, 0)->peers, 1);
        assert_int_equal(counts(&bench, 1)->peers, 1);
        assert_int_equal(sim_world_links(bench.world, 0), 1);
        end(&bench);
    }
}

static void test_kill_is_told(void **state)
{
    struct bench bench;

    (void)state;
    two_linked(&bench);
    sim_world_kill(bench.world, 1, 5 * SECOND, 0);
    run(&bench, 5 * SECOND + 200000);
    assert_int_equal(counts(&bench, 0)->gones, 1);
    assert_int_equal(counts(&bench, 0)->peers, 0);
    /* Back again, with its old disk: it dials, they are linked. */
    sim_world_start(bench.world, 1, 6 * SECOND);
    run(&bench, 8 * SECOND);
    assert_int_equal(counts(&bench, 0)->peers, 1);
    assert_int_equal(counts(&bench, 1)->peers, 1);
    end(&bench);
}

static void test_power_loss_is_found_out(void **state)
{
    struct bench bench;

    (void)state;
    two_linked(&bench);
    sim_world_kill(bench.world, 1, 5 * SECOND, SIM_END_POWER);
    run(&bench, 15 * SECOND);
    assert_int_equal(counts(&bench, 0)->gones, 0);
    run(&bench, 25 * SECOND);
    assert_int_equal(counts(&bench, 0)->gones, 1);
    end(&bench);
}

/* A machine that was off and came back does not know its old links. */
static void test_quick_power_cycle(void **state)
{
    struct bench bench;

    (void)state;
    two_linked(&bench);
    sim_world_kill(bench.world, 1, 5 * SECOND, SIM_END_POWER);
    sim_world_start(bench.world, 1, 5 * SECOND + 100000);
    run(&bench, 9 * SECOND);
    assert_int_equal(counts(&bench, 0)->gones, 1);
    assert_int_equal(counts(&bench, 0)->peers, 1);
    assert_int_equal(counts(&bench, 1)->peers, 1);
    end(&bench);
}

static void test_dead_address(void **state)
{
    struct sim_config config = config_of(3, 3);
    struct bench bench;

    (void)state;
    begin(&bench, &config, 2);
    sim_world_start(bench.world, 0, 0); /* the others are off */
    run(&bench, 9 * SECOND);
    assert_int_equal(counts(&bench, 0)->dials_failed, 0);
    run(&bench, 11 * SECOND);
    assert_int_equal(counts(&bench, 0)->dials_failed, 2);
    end(&bench);
}

/* A short partition delays, a long one parts. */
static void test_partition(void **state)
{
    uint64_t lengths[] = {5, 60};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct sim_config config = config_of(64, 11);
        struct bench bench;
        uint64_t gones = 0;
        uint32_t k;

        begin(&bench, &config, 6);
        start_all(&bench, 64);
        run(&bench, 5 * SECOND);
        sim_world_cut(bench.world, 500000, (5 + lengths[i]) * SECOND);
        run(&bench, 64 * SECOND);
        for (k = 0; k < 64; k++)
            gones += counts(&bench, k)->gones;
        if (i) {
            assert_true(gones > 200);
        } else {
            assert_int_equal(gones, 0);
        }
        end(&bench);
    }
}

static void digest_of(const struct sim_config *config, xn_id *digest_out,
                      uint64_t *messages_out)
{
    struct bench bench;
    uint32_t i;

    begin(&bench, config, 4);
    start_all(&bench, config->nodes);
    for (i = 0; i < config->nodes / 4; i++) {
        sim_world_kill(bench.world, i * 3, (5 + i) * SECOND,
                       i % 2 ? SIM_END_POWER : 0);
        sim_world_start(bench.world, i * 3, (25 + i) * SECOND);
    }
    run(&bench, 40 * SECOND);
    sim_world_digest(bench.world, digest_out);
    *messages_out = sim_world_totals(bench.world)->messages;
    end(&bench);
}

static void test_digest(void **state)
{
    struct sim_config config = config_of(40, 7), other;
    uint64_t messages, n;
    xn_id first, id;

    (void)state;
    config.settings.loss_ppm = 20000;
    config.settings.break_ppm = 50000;
    config.settings.jitter_ppm = 100000;
    digest_of(&config, &first, &messages);
    assert_true(messages > 1000);
    digest_of(&config, &id, &n);
    assert_true(xn_id_eq(&first, &id));
    assert_int_equal(messages, n);
    other = config;
    other.wire = true;
    digest_of(&other, &id, &n);
    assert_true(xn_id_eq(&first, &id));
    other = config;
    other.seed = 8;
    digest_of(&other, &id, &n);
    assert_false(xn_id_eq(&first, &id));
    for (n = 1; n <= messages; n += messages / 7) {
        uint64_t ignored;

        other = config;
        other.flip = n;
        digest_of(&other, &id, &ignored);
        assert_false(xn_id_eq(&first, &id));
    }
}

static void test_ask_and_control(void **state)
{
    struct sim_config config = config_of(2, 7);
    Xn__Ask ask = XN__ASK__INIT;
    struct bench bench;

    (void)state;
    begin(&bench, &config, 1);
    start_all(&bench, 2);
    assert_int_equal(sim_world_at(bench.world, 2 * SECOND, 5), 0);
    run(&bench, 1 * SECOND);
    assert_int_equal(bench.controls, 0);
    ask.method = (char *)(uintptr_t) "GET";
    ask.path = (char *)(uintptr_t) "/x";
    assert_int_equal(sim_world_ask(bench.world, 1, 77, &ask), 0);
    run(&bench, 3 * SECOND);
    assert_int_equal(bench.controls, 5);
    assert_int_equal(bench.answered, 1);
    assert_int_equal(bench.answer_bytes, 2); /* links: 1 */
    end(&bench);
}

static void test_addresses(void **state)
{
    char address[SIM_ADDRESS_MAX];
    uint32_t n;

    (void)state;
    for (n = 0; n < SIM_NODES_MAX; n += 4099) {
        sim_address(n, address);
        assert_int_equal(sim_address_node(address), n);
    }
    assert_int_equal(sim_address_node("10.0.0.256:7000"), UINT32_MAX);
    assert_int_equal(sim_address_node("10.0.0.1:7000x"), UINT32_MAX);
    assert_int_equal(sim_address_node(""), UINT32_MAX);
}

/* Each is found by its id, also who stands elsewhere than its id says. */
static void test_contacts(void **state)
{
    const xn_id elsewhere = {.b = {1, 2, 3, 4, 5}};
    struct sim_contacts contacts;
    const struct xn_peers *peers = &contacts.peers;
    xn_peer peer;

    (void)state;
    assert_int_equal(sim_contacts_init(&contacts, 1, 1000), 0);
    sim_contacts_place(&contacts, 7, &elsewhere);
    for (peer = 0; peer < peers->n; peer++) {
        const xn_id *position = &peers->rows[peer].position;

        assert_int_equal(peers->find(peers, &peers->rows[peer].id), peer);
        assert_int_equal(xn_peer_head(peers, peer), xn_id_head(position) >> 32);
    }
    assert_int_equal(xn_peer_head(peers, 7), 0x01020304);
    assert_int_equal(peers->find(peers, &elsewhere), XN_PEER_NONE);
    sim_contacts_clear(&contacts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_and_actions),
        cmocka_unit_test(test_dialler_first),
        cmocka_unit_test(test_simultaneous_dials),
        cmocka_unit_test(test_kill_is_told),
        cmocka_unit_test(test_power_loss_is_found_out),
        cmocka_unit_test(test_quick_power_cycle),
        cmocka_unit_test(test_dead_address),
        cmocka_unit_test(test_partition),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_contacts),
        cmocka_unit_test(test_ask_and_control),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
