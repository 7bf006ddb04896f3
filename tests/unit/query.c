/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The query language: texts, bounds, the wire. */
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

static void test_words(void **state)
{
    static const char *const rows[][2] = {
        {"EnvType:Linux", "EnvType = \"Linux\""},
        {"CPUsmps:150..", "CPUsmps >= 150"},
        {"CPUsmps:..150", "CPUsmps <= 150"},
        {"MemoryMB:512..4096", "512 <= MemoryMB <= 4096"},
        {"MemoryMB:-1.5..-1", "-1.5 <= MemoryMB <= -1"},
        {"Region:a,b,c", "Region in (\"a\", \"b\", \"c\")"},
        {"GPU:*", "has GPU"},
        {"Model:\"a,b\"", "Model = \"a,b\""},
        {"Model:\"a..b\"..\"c\"", "\"a..b\" <= Model <= \"c\""},
        {"Model:\"say\\\"x\\\"\"", "Model = \"say\\\"x\\\"\""},
        {"Time:12:30", "Time = \"12:30\""},
        {"Model:a\"b", "Model = \"a\\\"b\""},
        {"Model:\"\"", "Model = \"\""},
        {"Model:\"*\"", "Model = \"*\""},
        {"not:1", "\"not\" = 1"},
        {"A:1 B:2..", "A = 1 and B >= 2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = parse_words(rows[i][0]);

        assert_text(query, rows[i][1]);
        assert_round_trip(query);
        query_free(query);
    }
}

static void test_no_words(void **state)
{
    struct query *query = NULL;

    (void)state;
    assert_int_equal(query_parse_words(NULL, 0, &query, NULL), 0);
    assert_text(query, "true");
    assert_int_equal(query_conditions(query), 0);
    assert_round_trip(query);
    assert_matches(query, "", NULL);
}

static void test_words_refused(void **state)
{
    static const struct {
        const char *word;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"CPU", 3},
        {":x", 0},
        {"CPU:", 4},
        {"CPU:..", 6},
        {"C PU:1", 1},
        {"CPU>=150", 3},
        {"1CPU:1", 0},
        {"CPU:1,", 6},
        {"CPU:,1", 4},
        {"CPU:1,,2", 6},
        {"CPU:\"x", 4},
        {"CPU:\"x\"y", 7},
        {"CPU:1..2..3", 8},
        {"CPU:1..2,3", 8},
        {"CPU:1,2..3", 7},
        {"CPU:1..,3", 7},
        {"CPU:150..,want=300..", 10},
        {"CPU:1,penalty=2", 6},
        {"CPUsmps:many", 8},
        {"CPUsmps:1..2x", 11},
        {"CPUsmps:..x", 10},
        {"MemoryMB:4GiB..", 9},
        {"MemoryMB:1,\"2 \"", 11},
        {"PricePerHour:1e-2", 13},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *list[2] = {"EnvType:x", rows[i].word};
        struct query_error error = {99, ""};
        struct query *query = NULL;

        assert_int_equal(query_parse_words(list, 2, &query, &error), XN_EINVAL);
        if (error.offset != 10 + rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].word, error.offset,
                     error.text);
        }
        assert_true(error.text[0]);
        assert_null(query);
    }
}

static void test_where(void **state)
{
    static const char *const rows[][2] = {
        {"CPUsmps>=150", "CPUsmps >= 150"},
        {"CPUsmps >= 150 and (EnvType = \"Linux\" or EnvType = 'NetBSD') "
         "and not Country = XX",
         "CPUsmps >= 150 and (EnvType = \"Linux\" or EnvType = \"NetBSD\") "
         "and Country != \"XX\""},
        {"a=1 or b=2 and c=3", "a = 1 or (b = 2 and c = 3)"},
        {"(a=1 or b=2) and c=3", "(a = 1 or b = 2) and c = 3"},
        {"((a=1 and b=2)) and (c=3 and (d=4))",
         "a = 1 and b = 2 and c = 3 and d = 4"},
        {"not (a=1 and b=2)", "not (a = 1 and b = 2)"},
        {"not not a=1", "not a != 1"},
        {"a in (1)", "a = 1"},
        {"a IN ( 1 , 'x y', \"it's\" )", "a in (1, \"x y\", \"it's\")"},
        {"has a AND Has b", "has a and has b"},
        {"1 < a <= 2", "1 < a <= 2"},
        {"'x' <= a < 'y'", "\"x\" <= a < \"y\""},
        {"a != 'don\\'t'", "a != \"don't\""},
        {"a = 'C:\\dir'", "a = \"C:\\\\dir\""},
        {"\"and\" = 1 and has \"OR\"", "\"and\" = 1 and has \"OR\""},
        {"Country = IN", "Country = \"IN\""},
        {"true", "true"},
        {"a = 1 and (false or b = 2 or true)", "a = 1 and (b = 2 or true)"},
        {"a = 1 and (false or true)", "a = 1"},
        {"a == 1\n\tand\r b < -2.50", "a = 1 and b < -2.50"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query *query = parse_where(rows[i][0]);

        assert_text(query, rows[i][1]);
        assert_round_trip(query);
        query_free(query);
    }
}

static void test_where_refused(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } rows[] = {
        {"", 0},
        {"  ", 0},
        {"a", 1},
        {"a b", 2},
        {"a =", 3},
        {"a = )", 4},
        {"= 1", 0},
        {"a = 1 b = 2", 6},
        {"a = 1 and", 9},
        {"a = 1 and and b = 2", 10},
        {"(a = 1", 0},
        {"a = 1)", 5},
        {"a in 1", 5},
        {"a in (", 6},
        {"a in (1 2)", 8},
        {"a in ()", 6},
        {"a ! 1", 2},
        {"a = 'x", 4},
        {"5 = a", 0},
        {"has 5", 4},
        {"not", 3},
        {"1 < 5 < 2", 4},
        {"1 < a < 2 < 3", 10},
        {"a >= 1 < 2", 7},
        {"'a b' = 1", 0},
        {"CPUsmps = many", 10},
        {"a = b and CPUsmps != ''", 21},
        {"MemoryMB >= 4GiB", 12},
        {"1k < MemoryMB < 2k", 0},
        {"1 < MemoryMB < 2k", 15},
        {"Sessions in (1, two)", 16},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct query_error error = {99, ""};
        struct query *query = NULL;

        assert_int_equal(query_parse_where(rows[i].text, &query, &error),
                         XN_EINVAL);
        if (error.offset != rows[i].offset) {
            fail_msg("'%s': at %zu: %s", rows[i].text, error.offset,
                     error.text);
        }
        assert_true(error.text[0]);
        assert_null(query);
    }
}

/* Each bound at its number and one past it. */
static void test_bounds(void **state)
{
    struct xn_buf text = {0};
    struct query *query = NULL;
    char *made;
    int past;

    (void)state;
    for (past = 0; past < 2; past++) { /* terms: the list and its members */
        xn_buf_str(&text, "a = 1");
        for (int i = 2; i < QUERY_TERMS_MAX + past; i++) {
            xn_buf_str(&text, " or a = 1");
        }
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_ETOOBIG : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        xn_buf_str(&text, "a in (1");
        for (int i = 1; i < QUERY_VALUES_MAX + past; i++) {
            xn_buf_str(&text, ",2");
        }
        xn_buf_str(&text, ")");
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_ETOOBIG : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        for (int i = 1; i < QUERY_DEPTH_MAX + past; i++) {
            xn_buf_str(&text, "not ");
        }
        xn_buf_str(&text, "a = 1");
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_EINVAL : 0);
        free(made);
        if (!past) query_free(query);
    }
    for (past = 0; past < 2; past++) {
        xn_buf_str(&text, "a = ");
        for (int i = 0; i < XN_VALUE_MAX + past; i++)
            xn_buf_char(&text, 'x');
        made = xn_buf_steal_str(&text);
        assert_int_equal(query_parse_where(made, &query, NULL),
                         past ? XN_EINVAL : 0);
        free(made);
        if (!past) query_free(query);
    }
}

static int from_expr(Xn__Expr *expr)
{
    Xn__Query proto = XN__QUERY__INIT;
    struct query *query = NULL;
    int rc;

    proto.where = expr;
    rc = query_from_proto(&proto, &query);
    if (!rc) assert_round_trip(query);
    query_free(query);
    return rc;
}

static void test_wire_refused(void **state)
{
    static char token[] = "a", bad[] = "a b", value[] = "1";
    static char number[] = "CPUsmps";
    static char longest[XN_VALUE_MAX + 2];
    Xn__Expr expr = XN__EXPR__INIT, arg = XN__EXPR__INIT;
    Xn__Expr *args[2] = {&arg, &arg};
    char *values[1] = {value};

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    expr.op = XN__EXPR_OP__RANGE;
    expr.token = token;
    assert_int_equal(from_expr(&expr), XN_EINVAL); /* no bound */
    expr.has_hi = true;
    expr.hi = longest;
    assert_int_equal(from_expr(&expr), XN_ETOOBIG);
    expr.hi = longest + 1;
    assert_int_equal(from_expr(&expr), 0);
    expr.token = number; /* is never that */
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.token = bad;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.token = token;
    expr.op = (Xn__ExprOp)77;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.op = XN__EXPR_OP__IN;
    assert_int_equal(from_expr(&expr), 0); /* in none: false */
    expr.values = values;
    expr.n_values = 1;
    assert_int_equal(from_expr(&expr), 0);
    arg.op = XN__EXPR_OP__HAS;
    arg.token = token;
    expr.op = XN__EXPR_OP__NOT;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.args = args;
    expr.n_args = 2;
    assert_int_equal(from_expr(&expr), XN_EINVAL);
    expr.n_args = 1;
    assert_int_equal(from_expr(&expr), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_words_refused), cmocka_unit_test(test_where),
        cmocka_unit_test(test_where_refused), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_wire_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
