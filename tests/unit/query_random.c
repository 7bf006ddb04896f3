/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random queries against a naive evaluator over the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/rng.h"
#include "tests/unit/query_kit.h"
#include "wire/query.h"

static const char *const tokens[] = {"CPUsmps", "EnvType", "EnvKernel",
                                     "Region",  "GPU",     "Odd"};
static const char *const values[] = {"1",   "2",  "2.0",   "3.5", "-4",  "10",
                                     "abc", "b",  "Linux", "",    "6.1", "6.10",
                                     "a b", "\"", "\\'",   "x,y", "p..q"};
#define N_TOKENS (sizeof tokens / sizeof tokens[0])
#define N_VALUES (sizeof values / sizeof values[0])

static char *any(struct xn_rng *rng, const char *const *list, size_t n)
{
    return (char *)(uintptr_t)list[xn_rng_below(rng, n)];
}

static Xn__Expr *random_leaf(struct xn_rng *rng, Xn__Expr *expr)
{
    expr->token = any(rng, tokens, N_TOKENS);
    switch (expr->op) {
    case XN__EXPR_OP__RANGE:
        expr->has_lo = xn_rng_below(rng, 2);
        expr->has_hi = !expr->has_lo || xn_rng_below(rng, 2);
        if (expr->has_lo) expr->lo = any(rng, values, N_VALUES);
        if (expr->has_hi) expr->hi = any(rng, values, N_VALUES);
        expr->lo_open = xn_rng_below(rng, 2);
        expr->hi_open = xn_rng_below(rng, 2);
        break;
    case XN__EXPR_OP__IN:
        expr->n_values = xn_rng_below(rng, 5);
        expr->values = calloc(5, sizeof *expr->values);
        for (size_t i = 0; i < expr->n_values; i++) {
            expr->values[i] = any(rng, values, N_VALUES);
        }
        break;
    default: break;
    }
    return expr;
}

static Xn__Expr *random_expr(struct xn_rng *rng, int depth)
{
    Xn__Expr *expr = calloc(1, sizeof *expr);

    xn__expr__init(expr);
    expr->op = (Xn__ExprOp)xn_rng_below(rng, 6);
    if (depth == 0) {
        expr->op = (Xn__ExprOp)xn_rng_between(rng, XN__EXPR_OP__RANGE,
                                              XN__EXPR_OP__HAS);
    }
    if (expr->op >= XN__EXPR_OP__RANGE) return random_leaf(rng, expr);
    expr->n_args =
        expr->op == XN__EXPR_OP__NOT ? 1 : (size_t)xn_rng_below(rng, 4);
    expr->args = calloc(4, sizeof(Xn__Expr *));
    for (size_t i = 0; i < expr->n_args; i++) {
        expr->args[i] = random_expr(rng, depth - 1);
    }
    return expr;
}

static void free_expr(Xn__Expr *expr)
{
    for (size_t i = 0; i < expr->n_args; i++)
        free_expr(expr->args[i]);
    free(expr->args);
    free(expr->values);
    free(expr);
}

/* -2: cannot be compared. */
static int naive_compare(const struct fact *f, const char *bound)
{
    xn_dec number;
    int order;

    if (!f->is_number) {
        order = strcmp(f->text, bound);
    } else if (xn_dec_parse(bound, strlen(bound), &number)) {
        return -2;
    } else {
        order = xn_dec_cmp(f->number, number);
    }
    return (order > 0) - (order < 0);
}

static bool naive_range(const Xn__Expr *expr, const struct fact *f)
{
    int order;

    if (expr->has_lo) {
        order = naive_compare(f, expr->lo);
        if (order == -2 || order == -1) return false;
        if (order == 0 && expr->lo_open) return false;
    }
    if (expr->has_hi) {
        order = naive_compare(f, expr->hi);
        if (order == -2 || order == 1) return false;
        if (order == 0 && expr->hi_open) return false;
    }
    return true;
}

static bool naive(const Xn__Expr *expr, const struct row *row)
{
    const struct fact *f = row_get(row, expr->token);
    size_t i;

    switch (expr->op) {
    case XN__EXPR_OP__ALL:
        for (i = 0; i < expr->n_args; i++) {
            if (!naive(expr->args[i], row)) return false;
        }
        return true;
    case XN__EXPR_OP__ANY:
        for (i = 0; i < expr->n_args; i++) {
            if (naive(expr->args[i], row)) return true;
        }
        return false;
    case XN__EXPR_OP__NOT: return !naive(expr->args[0], row);
    case XN__EXPR_OP__RANGE: return f && naive_range(expr, f);
    case XN__EXPR_OP__IN:
        for (i = 0; f && i < expr->n_values; i++) {
            if (naive_compare(f, expr->values[i]) == 0) return true;
        }
        return false;
    default: return f != NULL;
    }
}

static void check_row(const struct query *query, const Xn__Expr *expr,
                      const struct row *row, unsigned *yes)
{
    struct query_cell cells[64];
    const char *required[32];
    bool expected = naive(expr, row), together = true;
    size_t n = query_required(query, required, 32);

    cells_of(query, row, cells);
    assert_int_equal(query_match_cells(query, cells, NULL), expected);
    for (size_t i = 0; i < query_conditions(query); i++) {
        together = together && query_condition_match(query, i, cells);
    }
    assert_int_equal(together, expected);
    *yes += expected;
    for (size_t i = 0; expected && i < n; i++) {
        assert_non_null(row_get(row, required[i]));
    }
}

static void test_random(void **state)
{
    unsigned asked = 0, yes = 0;
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 4);
    for (int i = 0; i < 10000; i++) {
        Xn__Query proto = XN__QUERY__INIT;
        struct query *query = NULL;

        proto.where = random_expr(&rng, 4);
        if (query_from_proto(&proto, &query)) {
            free_expr(proto.where); /* past a bound */
            continue;
        }
        if (i % 10 == 0) assert_round_trip(query);
        for (int j = 0; j < 10; j++) {
            struct row row = {.n = 0};

            for (size_t k = 0; k < N_TOKENS; k++) {
                if (xn_rng_below(&rng, 4) == 0) continue;
                row_add(&row, tokens[k], any(&rng, values, N_VALUES));
            }
            check_row(query, proto.where, &row, &yes);
            asked++;
        }
        query_free(query);
        free_expr(proto.where);
    }
    assert_true(asked > 90000 && yes > asked / 5 && yes < asked * 4 / 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
