/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenario files: what they mean, and where errors are said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/hist.h"
#include "sim/scenario.h"

#define SECOND 1000000ULL

static void parse(const char *text, struct scn *scn)
{
    struct scn_error error;

    if (scn_parse(text, strlen(text), scn, &error)) {
        fail_msg("%u:%u: %s", error.line, error.column, error.text);
    }
}

static void test_whole(void **state)
{
    struct scn scn;

    (void)state;
    parse("# a comment\n"
          "nodes 50   # and another\n"
          "\tseed 9\r\n"
          "latency file a/b_2x2.u16le.xz unit 100us\n"
          "set overlay.links 1024\n"
          "settle 10s\n"
          "access 1ms 20ms\n"
          "converge\n"
          "at 90s advertise 25% over 5s\n"
          "join all\n"
          "run 2m",
          &scn);
    assert_int_equal(scn.nodes, 50);
    assert_true(scn.has_seed);
    assert_int_equal(scn.seed, 9);
    assert_int_equal(scn.latency, SCN_FILE);
    assert_string_equal(scn.file, "a/b_2x2.u16le.xz");
    assert_int_equal(scn.unit_us, 100);
    assert_int_equal(scn.n_sets, 1);
    assert_string_equal(scn.sets[0].key, "overlay.links");
    assert_string_equal(scn.sets[0].value, "1024");
    assert_int_equal(scn.sets[0].line, 5);
    assert_int_equal(scn.settle_us, 10 * SECOND);
    assert_int_equal(scn.run_us, 120 * SECOND);
    assert_int_equal(scn.access_lo_us, 1000);
    assert_int_equal(scn.access_hi_us, 20000);
    assert_int_equal(scn.n_steps, 3);
    assert_int_equal(scn.steps[0].verb, SCN_CONVERGE);
    assert_int_equal(scn.steps[1].verb, SCN_JOIN); /* earlier */
    assert_int_equal(scn.steps[2].verb, SCN_ADVERTISE);
    assert_int_equal(scn.steps[2].at_us, 90 * SECOND);
    assert_int_equal(scn.steps[2].us, 5 * SECOND);
    assert_int_equal(scn_amount_of(&scn.steps[2].amount, 10), 3);
    scn_free(&scn);
    scn_free(&scn); /* twice is harmless */
}

static void test_verbs(void **state)
{
    struct scn scn;
    const struct scn_step *s;

    (void)state;
    parse("churn weibull 0.5 session 30m downtime 2m power 12.5%\n"
          "churn off\n"
          "loss 0.5% break 1%\n"
          "jitter 5%\n"
          "slow 1% by 20ms\n"
          "skew 2s\n"
          "partition 30% for 60s\n"
          "crash 10 power over 3s\n"
          "query 2.5/s\n"
          "lookup off\n"
          "check every 10s\n"
          "check now\n"
          "churn poisson median 84s power 10%\n"
          "churn trace from 100d\n"
          "slow 5% times 10\n"
          "bandwidth 1.5Mbit/s\n"
          "bandwidth off\n"
          "corp off\n"
          "corp on\n"
          "skew 10% by 3h\n",
          &scn);
    s = scn.steps;
    assert_int_equal(scn.n_steps, 20);
    assert_int_equal(s[12].law, SCN_POISSON);
    assert_int_equal(s[12].us, 84 * SECOND);
    assert_int_equal(s[12].ppm, 100000);
    assert_int_equal(s[13].law, SCN_TRACE);
    assert_int_equal(s[13].us, 8640000 * SECOND);
    assert_int_equal(s[14].times, 10);
    assert_int_equal(s[15].bits, 1500000);
    assert_int_equal(s[16].bits, 0);
    assert_true(s[17].off);
    assert_false(s[18].off);
    assert_int_equal(s[19].ppm, 100000);
    assert_int_equal(s[19].us, 3 * 3600 * SECOND);
    assert_int_equal(s[0].law, SCN_WEIBULL);
    assert_int_equal(s[0].shape_milli, 500);
    assert_int_equal(s[0].us, 1800 * SECOND);
    assert_int_equal(s[0].us2, 120 * SECOND);
    assert_int_equal(s[0].ppm, 125000);
    assert_true(s[1].off);
    assert_int_equal(s[2].ppm, 5000);
    assert_int_equal(s[2].ppm2, 10000);
    assert_int_equal(s[3].ppm, 50000);
    assert_int_equal(s[4].us, 20000);
    assert_int_equal(s[6].us, 60 * SECOND);
    assert_true(s[7].power);
    assert_int_equal(scn_amount_of(&s[7].amount, 7), 7);
    assert_int_equal(s[8].rate_milli, 2500);
    assert_true(s[9].off);
    assert_int_equal(s[10].us, 10 * SECOND);
    assert_true(s[11].now);
    scn_free(&scn);
}

static const struct {
    const char *text;
    uint32_t line, column;
    const char *part; /* of the message */
} bad[] = {
    {"nodes", 1, 6, "number"},
    {"nodes 0", 1, 7, "needs nodes"},
    {"nodes 99999999999", 1, 7, "more than"},
    {"nodes 4 5", 1, 9, "too much"},
    {"\nnodes -1", 2, 7, "number"},
    {"at 5 join all", 1, 4, "time"},
    {"at 5s", 1, 6, "what to do"},
    {"at 5s jion all", 1, 7, "did you mean 'join'"},
    {"join", 1, 5, "how many"},
    {"join some", 1, 6, "how many"},
    {"join 101%", 1, 6, "share"},
    {"join 5% over", 1, 13, "time"},
    {"churn", 1, 6, "expected exp"},
    {"churn exp session 1m", 1, 21, "downtime"},
    {"churn exp session 0s downtime 1s", 1, 33, "no churn"},
    {"churn pareto 1 session 1m downtime 1m", 1, 14, "shape"},
    {"churn poisson", 1, 14, "median"},
    {"churn poisson median 0s", 1, 24, "no churn"},
    {"slow 5% times 1001", 1, 15, "more than"},
    {"bandwidth 5", 1, 11, "10Mbit/s"},
    {"corp", 1, 5, "'on'"},
    {"loss 5", 1, 6, "share"},
    {"query 5", 1, 7, "rate"},
    {"query 0/s", 1, 7, "rate"},
    {"check", 1, 6, "'every'"},
    {"check every 0s", 1, 15, "never ends"},
    {"latency", 1, 8, "uniform or file"},
    {"latency uniform 9ms 5ms", 1, 21, "less than"},
    {"set a", 1, 6, "its value"},
    {"join all\x01", 1, 9, "control"},
    {"run 10", 1, 5, "time"},
    {"run 10s..", 1, 5, "time"},
    {"run 10s..9s", 1, 5, "lesser"},
    {"perhaps crash 1%", 1, 9, "share"},
    {"perhaps 5% crush 1%", 1, 12, "unknown word"},
    {"run 1s..2s\nseed 4", 2, 6, "before"},
    {"seed 4..5", 1, 6, "cannot be drawn"},
    {"run 99999999999999d", 1, 5, "time"},
    {"a b c d e f g h i j k l m n o p q", 1, 33, "too many"},
};

static void test_errors(void **state)
{
    struct scn_error error;
    struct scn scn;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(
            scn_parse(bad[i].text, strlen(bad[i].text), &scn, &error),
            XN_EINVAL);
        scn_free(&scn);
        if (error.line != bad[i].line || error.column != bad[i].column ||
            !strstr(error.text, bad[i].part)) {
            fail_msg("'%s' gave %u:%u: %s", bad[i].text, error.line,
                     error.column, error.text);
        }
    }
}

static const char drawn[] = "perhaps 50% set a b\n"
                            "perhaps 0% nodes 9\n"
                            "perhaps 100% nodes 5..20\n"
                            "perhaps 50% at 1s..9s crash 1%..30% wiped\n"
                            "lookup 1/s..4/s\n"
                            "run 10s..90s\n";

/* The same seed draws the same, others other things, within what is said. */
static void test_drawn(void **state)
{
    struct scn_error error;
    struct scn a, b;
    uint64_t seed, spans = 0;
    size_t steps = 0, sets = 0;

    (void)state;
    for (seed = 0; seed < 64; seed++) {
        const struct scn_step *crash;

        assert_int_equal(
            scn_parse_seeded(drawn, sizeof drawn - 1, seed, &a, &error), 0);
        assert_int_equal(
            scn_parse_seeded(drawn, sizeof drawn - 1, seed, &b, &error), 0);
        assert_int_equal(a.run_us, b.run_us);
        assert_int_equal(a.nodes, b.nodes);
        assert_int_equal(a.n_steps, b.n_steps);
        assert_int_equal(a.seed, seed);
        assert_in_range(a.nodes, 5, 20);
        assert_in_range(a.run_us, 10 * SECOND, 90 * SECOND);
        assert_in_range(a.steps[0].rate_milli, 1000, 4000);
        crash = &a.steps[1];
        if (a.n_steps == 2) {
            assert_true(crash->wiped && !crash->power);
            assert_in_range(crash->at_us, SECOND, 9 * SECOND);
            assert_in_range(crash->amount.n, 10000, 300000);
        }
        steps += a.n_steps;
        sets += a.n_sets;
        spans += a.run_us;
        scn_free(&a);
        scn_free(&b);
    }
    assert_in_range(steps, 64 + 16, 64 + 48);
    assert_in_range(sets, 16, 48);
    assert_in_range(spans, 64 * 40 * SECOND, 64 * 60 * SECOND);
}

static void test_bounds(void **state)
{
    enum { LINE = 9 }; /* "join all\n" */
    char *text = malloc(LINE * (SCN_STEPS_MAX + 1));
    char *big = calloc(1, SCN_BYTES_MAX + 1);
    struct scn_error error;
    struct scn scn;
    size_t i;

    (void)state;
    assert_non_null(text);
    assert_non_null(big);
    for (i = 0; i <= SCN_STEPS_MAX; i++) {
        memcpy(text + LINE * i, "join all\n", LINE);
    }
    assert_int_equal(scn_parse(text, LINE * SCN_STEPS_MAX, &scn, &error), 0);
    assert_int_equal(scn.n_steps, SCN_STEPS_MAX);
    scn_free(&scn);
    assert_int_equal(scn_parse(text, LINE * (SCN_STEPS_MAX + 1), &scn, &error),
                     XN_ETOOBIG);
    scn_free(&scn);
    memset(big, ' ', SCN_BYTES_MAX + 1);
    assert_int_equal(scn_parse(big, SCN_BYTES_MAX, &scn, &error), 0);
    scn_free(&scn);
    assert_int_equal(scn_parse(big, SCN_BYTES_MAX + 1, &scn, &error),
                     XN_ETOOBIG);
    scn_free(&scn);
    free(text);
    free(big);
}

/* Percentiles are right within a bucket's width, exact below 128. */
static void test_hist(void **state)
{
    static struct sim_hist hist;
    uint64_t i;

    (void)state;
    assert_int_equal(sim_hist_at(&hist, 500000), 0);
    for (i = 1; i <= 100; i++)
        sim_hist_add(&hist, i);
    assert_int_equal(sim_hist_at(&hist, 500000), 50);
    assert_int_equal(sim_hist_at(&hist, 990000), 99);
    assert_int_equal(sim_hist_at(&hist, 1000000), 100);
    memset(&hist, 0, sizeof hist);
    for (i = 1; i <= 10000; i++)
        sim_hist_add(&hist, i * 1000);
    assert_in_range(sim_hist_at(&hist, 500000), 5000000, 5000000 * 65 / 64);
    assert_int_equal(sim_hist_at(&hist, 1000000), 10000000);
    memset(&hist, 0, sizeof hist);
    sim_hist_add(&hist, UINT64_MAX / 2);
    sim_hist_add(&hist, UINT64_MAX);
    assert_true(sim_hist_at(&hist, 1000000) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),  cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_hist),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
