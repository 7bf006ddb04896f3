/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the canonical tree to short-circuit code over numbered tokens. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

const char *const query_price_tokens[QUERY_PRICES] = {
    "SetUp", "PricePerHour", "CPUSecond", "MemoryMBHour", "NetGB", "DiskGBHour",
};

/* The token's number, given out in order of first use. */
static uint16_t number_of(struct query *query, const char *token)
{
    size_t i;

    for (i = 0; i < query->n_tokens; i++) {
        if (strcmp(query->tokens[i].name, token) == 0) return (uint16_t)i;
    }
    assert(i < query->terms + 8);
    query->tokens[query->n_tokens++].name = token;
    return (uint16_t)i;
}

static bool is_price(const char *token)
{
    const struct xn_token_info *info = xn_token_info(token);

    return info && info->price;
}

static bool parse(const char *text, xn_dec *out)
{
    return xn_dec_parse(text, strlen(text), out) == 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_number(const void *a, const void *b)
{
    return xn_dec_cmp(*(const xn_dec *)a, *(const xn_dec *)b);
}

/* Equal values compare equal in every way: the order among them is nobody's
 * business. */
static int compile_values(struct query *query, const Xn__Expr *expr,
                          struct query_leaf *leaf)
{
    size_t n = expr->n_values, i;
    const char **texts = xn_arena_alloc(&query->arena, n * sizeof *texts);
    xn_dec *numbers = xn_arena_alloc(&query->arena, n * sizeof *numbers);

    if (!texts || !numbers) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        texts[i] = expr->values[i];
        if (parse(texts[i], &numbers[leaf->n_numbers])) leaf->n_numbers++;
    }
    qsort(texts, n, sizeof *texts, by_text);
    qsort(numbers, leaf->n_numbers, sizeof *numbers, by_number);
    leaf->texts = texts;
    leaf->n_texts = n;
    leaf->numbers = numbers;
    return 0;
}

static int compile_leaf(struct query *query, const Xn__Expr *expr, uint16_t yes,
                        uint16_t no, uint16_t *start_out)
{
    size_t at = query->n_ops++;
    struct query_leaf *leaf = &query->leaves[at];

    query->ops[at] = (struct query_op){yes, no};
    *start_out = (uint16_t)at;
    leaf->op = expr->op;
    leaf->token = number_of(query, expr->token);
    if (is_price(expr->token)) query->uses_price = true;
    if (expr->op == XN__EXPR_OP__IN) return compile_values(query, expr, leaf);
    if (expr->op != XN__EXPR_OP__RANGE) return 0;
    leaf->has_lo = expr->has_lo;
    leaf->has_hi = expr->has_hi;
    leaf->lo_open = expr->lo_open;
    leaf->hi_open = expr->hi_open;
    leaf->lo_text = expr->lo;
    leaf->hi_text = expr->hi;
    leaf->lo_number = expr->has_lo && parse(expr->lo, &leaf->lo);
    leaf->hi_number = expr->has_hi && parse(expr->hi, &leaf->hi);
    return 0;
}

/* Backward, since a jump's target must be known: in ALL, "yes" of one goes to
 * the start of the next. */
static int compile_expr(struct query *query, const Xn__Expr *expr, uint16_t yes,
                        uint16_t no, uint16_t *start_out)
{
    bool all = expr->op == XN__EXPR_OP__ALL;
    uint16_t next = all ? yes : no;
    size_t i;
    int rc;

    if (expr->op == XN__EXPR_OP__NOT) {
        return compile_expr(query, expr->args[0], no, yes, start_out);
    }
    if (!all && expr->op != XN__EXPR_OP__ANY) {
        return compile_leaf(query, expr, yes, no, start_out);
    }
    for (i = expr->n_args; i > 0; i--) {
        rc = compile_expr(query, expr->args[i - 1], all ? next : yes,
                          all ? no : next, &next);
        if (rc) return rc;
    }
    *start_out = next;
    return 0;
}

static int compile_conditions(struct query *query)
{
    Xn__Expr *where = query->proto->where, **list = &where;
    size_t n = 1, i;
    int rc;

    if (!where) return 0;
    if (where->op == XN__EXPR_OP__ALL) {
        list = where->args;
        n = where->n_args;
    }
    query->conditions =
        xn_arena_alloc(&query->arena, n * sizeof *query->conditions);
    if (!query->conditions) return XN_ENOMEM;
    query->n_conditions = n;
    for (i = 0; i < n; i++) {
        query->conditions[i].expr = list[i];
        rc = compile_expr(query, list[i], QUERY_ACCEPT, QUERY_REJECT,
                          &query->conditions[i].start);
        if (rc) return rc;
    }
    return 0;
}

static void compile_sort(struct query *query)
{
    const Xn__Sort *sort = query->proto->sort;

    if (!sort) return;
    query->sorts = true;
    query->descending = sort->descending;
    query->sorts_total = strcmp(sort->token, QUERY_TOTAL) == 0;
    if (query->sorts_total) return;
    query->sort_at = number_of(query, sort->token);
    if (is_price(sort->token)) query->uses_price = true;
}

/* Texts that query_from_proto has checked. */
static xn_dec amount(const char *text)
{
    xn_dec d = {0};
    bool good = parse(text, &d);

    assert(good);
    return d;
}

static void compile_job(struct query *query)
{
    const Xn__Job *job = query->proto->job;
    size_t i;

    if (!job) return;
    query->has_job = query->uses_price = true;
    query->usage.hours = amount(job->hours);
    query->usage.cpu_s = amount(job->cpu_s);
    query->usage.memory_mb_h = amount(job->memory_mb_h);
    query->usage.net_gb = amount(job->net_gb);
    query->usage.disk_gb_h = amount(job->disk_gb_h);
    for (i = 0; i < QUERY_PRICES; i++) {
        query->price_at[i] = number_of(query, query_price_tokens[i]);
    }
    if (!query->proto->budget[0]) return;
    query->has_budget = true;
    query->budget = amount(query->proto->budget);
}

int query_compile(struct query *query)
{
    struct xn_arena *arena = &query->arena;
    size_t n = query->terms;
    int rc;

    query->tokens = xn_arena_alloc(arena, (n + 8) * sizeof *query->tokens);
    query->leaves = xn_arena_alloc(arena, n * sizeof *query->leaves);
    query->ops = xn_arena_alloc(arena, n * sizeof *query->ops);
    if (!query->tokens || !query->leaves || !query->ops) return XN_ENOMEM;
    rc = compile_conditions(query);
    if (rc) return rc;
    compile_sort(query);
    compile_job(query);
    if (query->uses_price) {
        query->currency_at = number_of(query, "Currency");
    }
    return 0;
}
