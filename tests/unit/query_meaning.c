/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The query language: what it means, what it costs, what --explain says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/query_kit.h"
#include "wire/query.h"

/* ---- meaning ---- */

static void test_semantics(void **state)
{
    (void)state;
    assert_matches(parse_where("CPUsmps >= 150"), "CPUsmps=150",
                   "CPUsmps=149.9");
    assert_matches(parse_where("CPUsmps > 150"), "CPUsmps=150.000000000001",
                   "CPUsmps=150");
    assert_matches(parse_where("CPUsmps = 8"), "CPUsmps=8.000", "CPUsmps=80");
    assert_matches(parse_where("CPUsmps = 8.0"), "CPUsmps=8", "EnvType=8.0");
    /* a string is compared by bytes, a number never with a word */
    assert_matches(parse_where("EnvKernel = 6.1"), "EnvKernel=6.1",
                   "EnvKernel=6.10");
    assert_matches(parse_where("EnvKernel >= 6"), "EnvKernel=6.1",
                   "EnvKernel=10");
    assert_matches(parse_where("not Size > abc"), "Size=5", NULL);
    assert_matches(parse_where("Size < abc"), NULL, "Size=5");
    assert_matches(parse_where("GPU < b"), "GPU=a", "GPU=c");
    assert_matches(parse_where("1 <= GPU <= x"), NULL, "GPU=5");
    /* a missing token: false, and its "not" true */
    assert_matches(parse_where("GPU = x"), NULL, "");
    assert_matches(parse_where("GPU != x"), "", "GPU=x");
    assert_matches(parse_where("not GPU < 5"), "", "GPU=4");
    assert_matches(parse_where("has GPU"), "GPU=x", "");
    assert_matches(parse_where("GPU in (1, b, 2)"), "GPU=2.0", "GPU=3");
    assert_matches(parse_where("GPU in (1, b, 2)"), "GPU=b", "GPU=c");
    assert_matches(parse_where("false"), NULL, "GPU=1");
    assert_matches(parse_where("GPU = 1 or true"), "", NULL);
    assert_matches(parse_where("not (a = 1 or b = 1) and c = 1"), "c=1",
                   "a=1 c=1");
}

static void test_required(void **state)
{
    static const char *const rows[][2] = {
        {"true", ""},
        {"a = 1", "a"},
        {"a = 1 and b = 2", "a b"},
        {"a = 1 or b = 2", ""},
        {"(a = 1 and b = 2) or (b = 3 and c = 4)", "b"},
        {"not a = 1", ""},
        {"not a = 1 and b = 2", "b"},
        {"has c and 1 < d < 2 and (a = 1 or a = 2)", "c d a"},
        {"a = 1 or true", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = parse_where(rows[i][0]);
        const char *tokens[16];
        char got[128] = "";
        size_t n = query_required(query, tokens, 16);

        for (size_t j = 0; j < n; j++) {
            if (j) strcat(got, " ");
            strcat(got, tokens[j]);
        }
        assert_string_equal(got, rows[i][1]);
        assert_int_equal(query_required(query, tokens, 1), n ? 1 : 0);
        query_free(query);
    }
}

static void test_and(void **state)
{
    struct query *query = NULL, *more = parse_words("A:1 B:2"),
                 * or = parse_where("c = 1 or d = 1");

    (void)state;
    assert_int_equal(query_and(&query, more), 0);
    assert_text(query, "A = 1 and B = 2");
    assert_int_equal(query_set_sort(query, "X", true), 0);
    assert_int_equal(query_and(&query, or), 0);
    assert_text(query, "A = 1 and B = 2 and (c = 1 or d = 1)");
    assert_int_equal(query_conditions(query), 3);
    assert_string_equal(query_proto(query)->sort->token, "X");
    query_free(query);
    query_free(more);
    query_free(or);
}

static void test_currency(void **state)
{
    struct query *query = parse_words("PricePerHour:..0.5 A:1");
    struct query_cell cells[16];
    struct row row = row_of("PricePerHour=0.4 A=1 Currency=EUR");

    (void)state;
    assert_true(query_uses_price(query));
    assert_int_equal(query_set_currency(query, "gbp"), XN_EINVAL);
    assert_int_equal(query_set_currency(query, "GBP"), 0);
    assert_string_equal(query_currency(query), "GBP");
    assert_true(matches(query, "PricePerHour=0.4 A=1 Currency=GBP"));
    assert_false(matches(query, "PricePerHour=0.6 A=1 Currency=GBP"));
    assert_false(matches(query, "PricePerHour=0.4 A=1"));
    cells_of(query, &row, cells);
    assert_false(query_match_cells(query, cells, NULL));
    assert_false(query_match_currency(query, cells));
    assert_true(query_match_any_currency(query, cells));
    query_free(query);
    /* where no price is looked at, the currency does not count */
    query = parse_words("A:1");
    assert_int_equal(query_set_currency(query, "GBP"), 0);
    assert_false(query_uses_price(query));
    assert_true(matches(query, "A=1 Currency=EUR"));
    assert_int_equal(query_set_sort(query, "PricePerHour", false), 0);
    assert_true(query_uses_price(query));
    assert_matches(query, "A=1 Currency=GBP", "A=1 Currency=EUR");
}

static void assert_job(const char *text, const char *hours, const char *cpu,
                       const char *mem, const char *net, const char *disk)
{
    struct query *query = parse_where("true");
    struct query_error error = {0, ""};
    const Xn__Job *job;

    if (query_set_job(query, text, &error)) {
        fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    }
    job = query_proto(query)->job;
    assert_string_equal(job->hours, hours);
    assert_string_equal(job->cpu_s, cpu);
    assert_string_equal(job->memory_mb_h, mem);
    assert_string_equal(job->net_gb, net);
    assert_string_equal(job->disk_gb_h, disk);
    query_free(query);
}

static void test_job(void **state)
{
    (void)state;
    assert_job("cpu=2h mem=4GiB*6h out=10GiB", "6", "7200", "24576",
               "10.73741824", "0");
    assert_job("time=1d", "24", "0", "0", "0", "0");
    assert_job("cpu=90m", "1.5", "5400", "0", "0", "0");
    assert_job("time=2h cpu=9h mem=1GiB disk=20GB*6h", "2", "32400", "2048",
               "0", "120");
    assert_job("  mem=512MiB*30m\tdisk=1TiB*1h ", "1", "0", "256", "0",
               "1099.511627776");
    assert_job("out=1MB", "0", "0", "0", "0.001", "0");
    assert_job("time=1s", "0.000277777778", "0", "0", "0", "0");
    assert_job("time=1.5h mem=1.5GiB", "1.5", "0", "2304", "0", "0");
}

static void test_job_refused(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"  ", 2},
        {"cpu", 0},
        {"gpu=2h", 0},
        {"cpu=", 4},
        {"cpu=2", 5},
        {"cpu=2x", 5},
        {"cpu=2hh", 5},
        {"cpu=1h cpu=2h", 7},
        {"mem=4GiB", 0},
        {"mem=4*6h", 5},
        {"mem=4GiB*", 9},
        {"mem=4GiB*6", 10},
        {"out=1GB*2h", 7},
        {"cpu=-2h", 4},
        {"time=9999999999999999999999d", 27},
        {"cpu =2h", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = parse_where("true");
        struct query_error error = {99, ""};

        assert_int_equal(query_set_job(query, rows[i].text, &error), XN_EINVAL);
        if (error.offset != rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].text, error.offset,
                     error.text);
        }
        assert_null(query_proto(query)->job);
        query_free(query);
    }
}

static void test_budget(void **state)
{
    static const char *const bad[] = {
        "",    "GBP",    "10gbp", "-1GBP",
        "10G", "10 GBP", "1.2.3", "10POUNDSTERLING"};
    struct query *query = parse_where("A = 1");
    struct query_cell cells[16];
    struct row row;
    xn_dec total;
    char text[XN_DEC_TEXT_MAX];

    (void)state;
    assert_int_equal(query_set_budget(query, "10GBP", NULL), XN_EINVAL);
    assert_int_equal(query_set_job(query, "time=10h cpu=1h", NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct query_error error = {0, ""};

        assert_int_equal(query_set_budget(query, bad[i], &error), XN_EINVAL);
        assert_true(error.text[0]);
    }
    assert_int_equal(query_set_budget(query, "10.50GBP", NULL), 0);
    assert_string_equal(query_currency(query), "GBP");
    assert_string_equal(query_proto(query)->budget, "10.5");
    assert_round_trip(query);
    row = row_of("A=1 Currency=GBP PricePerHour=1.05");
    cells_of(query, &row, cells);
    assert_true(query_match_cells(query, cells, &total));
    xn_dec_format(total, text);
    assert_string_equal(text, "10.5");
    assert_false(matches(query, "A=1 Currency=GBP PricePerHour=1.0500001"));
    assert_false(matches(query, "A=1 Currency=EUR PricePerHour=1"));
    assert_true(matches(query, "A=1 Currency=GBP SetUp=1"));
    assert_true(matches(query, "A=1 Currency=GBP CPUSecond=0.001"));
    assert_false(matches(query, "A=1 Currency=GBP CPUSecond=0.01"));
    /* no price at all: nobody knows what it costs */
    assert_false(matches(query, "A=1 Currency=GBP"));
    assert_false(matches(query, "A=1 Currency=GBP PricePerHour=-1"));
    assert_int_equal(query_conditions(query), 2);
    assert_true(query_condition_match(query, 1, cells));
    query_free(query);
}

static void test_order(void **state)
{
    /* as they must come out, by Rank ascending */
    static const char *const up[] = {"Rank=-1", "Rank=2.0", "Rank=2",
                                     "Rank=10", "Rank=abc", "Rank=b",
                                     "",        "A=1"};
    struct query_rank ranks[8];
    struct query *query = parse_where("true");
    struct query_cell cells[16];

    (void)state;
    assert_int_equal(query_set_sort(query, "Rank", false), 0);
    for (size_t i = 0; i < 8; i++) {
        struct row row = row_of(up[i]);
        xn_id server = {{0}};

        server.b[31] = (uint8_t)i;
        cells_of(query, &row, cells);
        query_rank_cells(query, cells, &server, &ranks[i]);
        if (ranks[i].text) ranks[i].text = strchr(up[i], '=') + 1;
    }
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            int order = query_rank_cmp(query, &ranks[i], &ranks[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    /* descending: numbers still first, the absent still last, ties by id */
    static const int down[] = {3, 1, 2, 0, 5, 4, 6, 7};
    assert_int_equal(query_set_sort(query, "Rank", true), 0);
    for (int i = 0; i + 1 < 8; i++) {
        assert_true(
            query_rank_cmp(query, &ranks[down[i]], &ranks[down[i + 1]]) < 0);
    }
    /* a cursor is the same place */
    for (int i = 0; i < 8; i++) {
        Xn__Cursor cursor;
        char number[XN_DEC_TEXT_MAX];
        struct query_rank back;

        query_cursor_write(&ranks[i], number, &cursor);
        assert_int_equal(query_cursor_read(query, &cursor, &back), 0);
        assert_int_equal(query_rank_cmp(query, &ranks[i], &back), 0);
    }
    query_free(query);
}

static void test_sort_total(void **state)
{
    struct query *query = parse_where("true");
    struct query_cell cells[16];
    struct query_rank a, b;
    xn_id id = {{0}};
    struct row row;

    (void)state;
    assert_int_equal(query_set_job(query, "time=2h cpu=1h", NULL), 0);
    assert_int_equal(query_set_sort(query, "total", false), 0);
    row = row_of("PricePerHour=1");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &a);
    row = row_of("CPUSecond=0.0001");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &b);
    assert_true(query_rank_cmp(query, &b, &a) < 0);
    row = row_of("");
    cells_of(query, &row, cells);
    query_rank_cells(query, cells, &id, &b);
    assert_true(b.absent);
    assert_true(query_rank_cmp(query, &a, &b) < 0);
    query_free(query);
}

/* ---- explaining ---- */

static void test_condition_text(void **state)
{
    static const char *const texts[] = {
        "CPUsmps:150..", "MemoryMB:1..2",     "EnvType:Linux,\"a b\"",
        "GPU:*",         "\"Q\" < z < \"y\"", "(a = 1 or b = 2)",
        "c > 3",         "--budget 10GBP",
    };
    struct query *query =
        parse_where("CPUsmps >= 150 and 1 <= MemoryMB <= 2 and EnvType in "
                    "(Linux, 'a b') and has GPU and Q < z < y and (a=1 or b=2) "
                    "and c > 3");

    (void)state;
    assert_int_equal(query_set_job(query, "time=1h", NULL), 0);
    assert_int_equal(query_set_budget(query, "10GBP", NULL), 0);
    assert_int_equal(query_conditions(query), 8);
    for (size_t i = 0; i < 8; i++) {
        struct xn_buf out = {0};
        char *got;

        assert_int_equal(query_condition_text(query, i, &out), 0);
        got = xn_buf_steal_str(&out);
        if (i == 5) {
            assert_string_equal(got, "a = 1 or b = 2");
        } else {
            assert_string_equal(got, texts[i]);
        }
        free(got);
    }
    query_free(query);
}

static void assert_widen(const char *text, const char *row_text,
                         const char *gap, const char *widened)
{
    struct query *query = parse_where(text);
    struct query_cell cells[16];
    struct row row = row_of(row_text);
    struct xn_buf out = {0};
    char got[XN_DEC_TEXT_MAX], *got_text;
    xn_dec d;
    int rc;

    cells_of(query, &row, cells);
    rc = query_condition_widen(query, 0, cells, &d, &out);
    if (!gap) {
        assert_int_equal(rc, XN_ENOENT);
    } else {
        assert_int_equal(rc, 0);
        xn_dec_format(d, got);
        assert_string_equal(got, gap);
        got_text = xn_buf_steal_str(&out);
        assert_string_equal(got_text, widened);
        free(got_text);
    }
    xn_buf_clear(&out);
    query_free(query);
}

static void test_widen(void **state)
{
    (void)state;
    assert_widen("CPUsmps >= 150", "CPUsmps=120", "30", "CPUsmps:120..");
    assert_widen("CPUsmps > 150", "CPUsmps=150", "0", "CPUsmps:150..");
    assert_widen("2 <= CPUsmps <= 4", "CPUsmps=9", "5", "CPUsmps:2..9");
    assert_widen("2 <= CPUsmps <= 4", "CPUsmps=0.5", "1.5", "CPUsmps:0.5..4");
    assert_widen("CPUsmps = 8", "CPUsmps=12", "4", "CPUsmps:8..12");
    assert_widen("CPUsmps >= 150", "CPUsmps=200", "0", "CPUsmps:150..");
    assert_widen("CPUsmps >= 150", "", NULL, NULL);
    assert_widen("9 <= CPUsmps <= 5", "CPUsmps=7", NULL, NULL);
    assert_widen("9 <= CPUsmps <= 5", "CPUsmps=3", "6", "CPUsmps:3..5");
    assert_widen("Size >= x", "Size=1", NULL, NULL);
    assert_widen("EnvType = x", "EnvType=y", NULL, NULL);
    assert_widen("CPUsmps in (1, 2)", "CPUsmps=3", NULL, NULL);
    assert_widen("not CPUsmps >= 150", "CPUsmps=200", NULL, NULL);
    assert_widen("CPUsmps >= 1 or CPUsmps = 9", "CPUsmps=0", NULL, NULL);
    assert_widen("false", "CPUsmps=0", NULL, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_semantics),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_and),
        cmocka_unit_test(test_currency),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_job_refused),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_sort_total),
        cmocka_unit_test(test_condition_text),
        cmocka_unit_test(test_widen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
