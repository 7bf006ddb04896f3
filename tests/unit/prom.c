/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prometheus' text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/prom.h"

static void expect(struct xn_buf *buf, const char *want)
{
    char *text;

    assert_int_equal(xn_buf_rc(buf), 0);
    text = xn_buf_steal_str(buf);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void test_families(void **state)
{
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 0);
    xn_prom_one(&buf, XN_PROM_COUNTER, "a_total", "All of them.", UINT64_MAX);
    xn_prom_one(&buf, XN_PROM_GAUGE, "b", "Now.", 0);
    expect(&buf, "# HELP a_total All of them.\n"
                 "# TYPE a_total counter\n"
                 "a_total 18446744073709551615\n"
                 "# HELP b Now.\n"
                 "# TYPE b gauge\n"
                 "b 0\n");
    xn_prom_family(&buf, XN_PROM_SUMMARY, "c_seconds", "Took.");
    xn_prom_millionths(&buf, "c_seconds_sum", NULL, NULL, 1000001);
    xn_prom_millionths(&buf, "c_seconds_sum", "of", "x", 0);
    expect(&buf, "# HELP c_seconds Took.\n"
                 "# TYPE c_seconds summary\n"
                 "c_seconds_sum 1.000001\n"
                 "c_seconds_sum{of=\"x\"} 0.000000\n");
}

/* What a label says forges no line. */
static void test_labels(void **state)
{
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 0);
    xn_prom_sample(&buf, "a", "who", "a\"} 9\n# \\", 7);
    xn_prom_sample(&buf, "a", "who", "", 8);
    expect(&buf, "a{who=\"a\\\"} 9\\n# \\\\\"} 7\n"
                 "a{who=\"\"} 8\n");
}

static void test_histogram(void **state)
{
    const uint64_t bounds[] = {0, 1, 4}, counts[] = {5, 0, 2, 1};
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 0);
    xn_prom_histogram(&buf, "h", "Hops.", bounds, counts, 3, 20);
    expect(&buf, "# HELP h Hops.\n"
                 "# TYPE h histogram\n"
                 "h_bucket{le=\"0\"} 5\n"
                 "h_bucket{le=\"1\"} 5\n"
                 "h_bucket{le=\"4\"} 7\n"
                 "h_bucket{le=\"+Inf\"} 8\n"
                 "h_sum 20\n"
                 "h_count 8\n");
}

static void test_bound(void **state)
{
    struct xn_buf buf;

    (void)state;
    xn_buf_init(&buf, 30);
    xn_prom_one(&buf, XN_PROM_GAUGE, "a_name", "A longer help text.", 1);
    assert_int_equal(xn_buf_rc(&buf), XN_ETOOBIG);
    xn_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
