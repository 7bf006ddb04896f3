/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Availability files: each form, packed or not, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lzma.h>

#include "lib/err.h"
#include "lib/trace.h"

#define SECOND 1000000ULL

static char path[64];

static void put(const void *data, size_t len, const char *end)
{
    FILE *f;

    snprintf(path, sizeof path, "/tmp/xn-trace-%ld%s", (long)getpid(), end);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int load(struct xn_trace *trace, char why[XN_TRACE_TEXT])
{
    int rc = xn_trace_load(path, trace, why, XN_TRACE_TEXT);

    assert_int_equal(unlink(path), 0);
    return rc;
}

static void is_change(const struct xn_trace *trace, size_t i, uint64_t at_us,
                      uint32_t node, bool up)
{
    assert_true(i < trace->n);
    assert_int_equal(trace->changes[i].at_us, at_us);
    assert_int_equal(trace->changes[i].node, node);
    assert_int_equal(trace->changes[i].up, up);
}

static const char intervals[] = "node\tup_from\tup_to\n"
                                "1\t5\t9\n"
                                "1\t9\t10\n"
                                "0\t7\t8\n"
                                "0\t8\t8\n";

static void is_intervals(const struct xn_trace *trace)
{
    assert_int_equal(trace->nodes, 2);
    assert_int_equal(trace->n, 6);
    is_change(trace, 0, 5 * SECOND, 1, true);
    is_change(trace, 1, 7 * SECOND, 0, true);
    is_change(trace, 2, 8 * SECOND, 0, false);
    is_change(trace, 3, 9 * SECOND, 1, false);
    is_change(trace, 4, 9 * SECOND, 1, true);
    is_change(trace, 5, 10 * SECOND, 1, false);
}

static void test_intervals(void **state)
{
    char why[XN_TRACE_TEXT];
    struct xn_trace trace;

    (void)state;
    put(intervals, sizeof intervals - 1, ".tsv");
    assert_int_equal(load(&trace, why), 0);
    is_intervals(&trace);
    xn_trace_clear(&trace);
    xn_trace_clear(&trace); /* twice is harmless */
}

static void test_packed(void **state)
{
    uint8_t packed[1024];
    char why[XN_TRACE_TEXT];
    struct xn_trace trace;
    size_t len = 0;

    (void)state;
    assert_int_equal(lzma_easy_buffer_encode(
                         6, LZMA_CHECK_CRC64, NULL, (const uint8_t *)intervals,
                         sizeof intervals - 1, packed, &len, sizeof packed),
                     LZMA_OK);
    put(packed, len, ".tsv.xz");
    assert_int_equal(load(&trace, why), 0);
    is_intervals(&trace);
    xn_trace_clear(&trace);
    put(packed, len - 5, ".tsv.xz");
    assert_int_equal(load(&trace, why), XN_EINVAL);
    assert_non_null(strstr(why, "damaged"));
    put(intervals, sizeof intervals - 1, ".tsv.xz");
    assert_int_equal(load(&trace, why), XN_EINVAL);
}

static void test_presence(void **state)
{
    static const char text[] = "id\tcountry\tfirst_ms\tlast_ms\n"
                               "0\tSP\t0\t1500\n"
                               "3\tCA\t250\t251\n";
    char why[XN_TRACE_TEXT];
    struct xn_trace trace;

    (void)state;
    put(text, sizeof text - 1, ".tsv");
    assert_int_equal(load(&trace, why), 0);
    assert_int_equal(trace.nodes, 4);
    is_change(&trace, 0, 0, 0, true);
    is_change(&trace, 1, 250000, 3, true);
    is_change(&trace, 2, 251000, 3, false);
    is_change(&trace, 3, 1500000, 0, false);
    xn_trace_clear(&trace);
}

/* Two groups: the second one's machines have numbers of their own. */
static void test_groups(void **state)
{
    static const char text[] = "trace\tgap_s\tticks\tvalue_run_lengths\n"
                               "a\t10\t4\t0x1 2x2 1x1\n"
                               "b\t60\t2\t1x2\n";
    char why[XN_TRACE_TEXT];
    struct xn_trace trace;

    (void)state;
    put(text, sizeof text - 1, ".tsv");
    assert_int_equal(load(&trace, why), 0);
    assert_int_equal(trace.nodes, 3);
    assert_int_equal(trace.n, 6);
    is_change(&trace, 0, 0, 2, true);
    is_change(&trace, 1, 10 * SECOND, 0, true);
    is_change(&trace, 2, 10 * SECOND, 1, true);
    is_change(&trace, 3, 30 * SECOND, 1, false);
    is_change(&trace, 4, 40 * SECOND, 0, false);
    is_change(&trace, 5, 120 * SECOND, 2, false);
    xn_trace_clear(&trace);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "nothing"},
        {"a\tb\n", "header"},
        {"node\tup_from\tup_to\n", "nothing"},
        {"node\tup_from\tup_to\n1\t2\n", "line 2: expected node"},
        {"node\tup_from\tup_to\n1\t2\t3x\n", "line 2"},
        {"node\tup_from\tup_to\n1\t3\t2\n", "before"},
        {"node\tup_from\tup_to\n16777216\t1\t2\n", "no such node"},
        {"node\tup_from\tup_to\n1\t1\t99999999999999999999\n", "expected"},
        {"id\tfirst_ms\tlast_ms\n1\t5\n", "expected id"},
        {"trace\tgap_s\tticks\tvalue_run_lengths\na\t1\t1\t5y1\n", "words"},
        {"trace\tgap_s\tticks\tvalue_run_lengths\na\t1\n", "gap_s"},
        {"trace\tgap_s\tticks\tvalue_run_lengths\na\t1\t1\t4097x1\n", "words"},
        /* 1e9 ticks of 1e6 s: past what 64 bits of us hold */
        {"trace\tgap_s\tticks\tvalue_run_lengths\na\t1000000\t1\t"
         "1x1000000000\n",
         "too long"},
        {"trace\tgap_s\tticks\tvalue_run_lengths\na\t1000000\t1\t"
         "1x18446745\n", /* past them by a little: short again */
         "too long"},
    };
    char why[XN_TRACE_TEXT];
    struct xn_trace trace;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(bad[i].text, strlen(bad[i].text), ".tsv");
        assert_int_equal(load(&trace, why), XN_EINVAL);
        if (!strstr(why, bad[i].part)) {
            fail_msg("'%s' gave %s", bad[i].text, why);
        }
    }
    assert_int_equal(xn_trace_load("/nonexistent", &trace, why, sizeof why),
                     XN_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals), cmocka_unit_test(test_packed),
        cmocka_unit_test(test_presence),  cmocka_unit_test(test_groups),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
