/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables for people, through libsmartcols, which also escapes what a terminal
 * should not get. */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"

static bool is_amount(const char *column)
{
    const struct xn_token_info *info = xn_token_info(column);

    if (strcmp(column, "total") == 0 || strcmp(column, "age") == 0) return true;
    return info && info->type == XN_TOKEN_NUMBER;
}

/* Headings in capitals, as tables have them; the tokens' own case in -c. */
static int add_heading(struct libscols_table *table, const char *column)
{
    bool word = column[0] >= 'a' && column[0] <= 'z';
    char text[XN_TOKEN_MAX + 1];
    size_t i;

    for (i = 0; column[i] && i < XN_TOKEN_MAX; i++) {
        text[i] = word && column[i] >= 'a' && column[i] <= 'z'
                      ? (char)(column[i] - 'a' + 'A')
                      : column[i];
    }
    text[i] = '\0';
    return scols_table_new_column(table, text, 0,
                                  is_amount(column) ? SCOLS_FL_RIGHT : 0)
               ? 0
               : XN_ENOMEM;
}

static struct libscols_table *new_table(bool whole)
{
    struct libscols_table *table;

    scols_init_debug(0);
    table = scols_new_table();
    /* Cut to the terminal's width for people; whole for pipes. */
    if (table && !isatty(STDOUT_FILENO)) scols_table_enable_maxout(table, 0);
    if (table && whole) {
        (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    }
    return table;
}

static int add_line(struct libscols_table *table, const struct query *query,
                    const struct find_hit *hit, const char *const *columns,
                    size_t n)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    size_t i;

    if (!line) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        struct xn_buf out = {0};
        char *text;

        if (!find_column(query, hit, columns[i], &out)) xn_buf_char(&out, '-');
        text = xn_buf_steal_str(&out);
        if (!text || scols_line_refer_data(line, i, text)) {
            free(text);
            return XN_ENOMEM;
        }
    }
    return 0;
}

int find_print_table(const struct find_options *opt, const struct query *query,
                     const struct find_result *result)
{
    const char *columns[FIND_COLUMNS_MAX];
    size_t n = find_columns(opt, query, result, columns), i;
    struct libscols_table *table;
    int rc = 0;

    if (result->list.n == 0) return 0;
    table = new_table(opt->output == FIND_WIDE);
    if (!table) return XN_ENOMEM;
    for (i = 0; i < n && !rc; i++)
        rc = add_heading(table, columns[i]);
    for (i = 0; i < result->list.n && !rc; i++) {
        rc = add_line(table, query, &result->list.hits[i], columns, n);
    }
    if (!rc && scols_print_table(table)) rc = XN_EIO;
    scols_unref_table(table);
    return rc;
}

/* ---- explain ---- */

static int add_condition(struct libscols_table *table,
                         const Xn__Condition *condition)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    const uint64_t counts[] = {condition->alone, condition->together,
                               condition->without};
    char text[24];
    size_t i;

    if (!line || scols_line_set_data(line, 0, condition->text)) {
        return XN_ENOMEM;
    }
    for (i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)counts[i]);
        if (scols_line_set_data(line, i + 1, text)) return XN_ENOMEM;
    }
    return 0;
}

static const Xn__Expr *range_of(struct query *query)
{
    const Xn__Expr *expr = query ? query_proto(query)->where : NULL;

    return expr && expr->op == XN__EXPR_OP__RANGE ? expr : NULL;
}

/* How far b is from a, against a's size; for comparing alone. */
static double change(const char *a, const char *b)
{
    double from = strtod(a, NULL), to = strtod(b, NULL);
    double gap = from > to ? from - to : to - from;
    double size = from < 0 ? -from : from;

    return size > 0 ? gap / size : gap;
}

/* The share by which a range must be widened: what makes one relaxation
 * cheaper than another, over tokens of different units. */
static double cost_of(const Xn__Condition *condition)
{
    const char *before = condition->text, *after = condition->nearest;
    struct query *a = NULL, *b = NULL;
    const Xn__Expr *from, *to;
    double cost = 1e300;

    if (query_parse_words(&before, 1, &a, NULL) == 0 &&
        query_parse_words(&after, 1, &b, NULL) == 0) {
        from = range_of(a);
        to = range_of(b);
        if (from && to) {
            cost = 0;
            if (from->has_lo) cost += change(from->lo, to->lo);
            if (from->has_hi) cost += change(from->hi, to->hi);
        }
    }
    query_free(a);
    query_free(b);
    return cost;
}

static const Xn__Condition *cheapest(const Xn__SearchResult *raw)
{
    const Xn__Condition *best = NULL;
    double cost, least = 0;
    size_t i;

    for (i = 0; i < raw->n_conditions; i++) {
        const Xn__Condition *condition = raw->conditions[i];

        if (!condition->nearest[0]) continue;
        cost = cost_of(condition);
        if (best && cost >= least) continue;
        best = condition;
        least = cost;
    }
    return best;
}

static const Xn__Condition *droppable(const Xn__SearchResult *raw)
{
    const Xn__Condition *best = NULL;
    size_t i;

    for (i = 0; i < raw->n_conditions; i++) {
        const Xn__Condition *condition = raw->conditions[i];

        if (condition->without == 0) continue;
        if (!best || condition->without > best->without) best = condition;
    }
    return best;
}

static void put_advice(const Xn__SearchResult *raw, FILE *out)
{
    const Xn__Condition *near = cheapest(raw), *drop = droppable(raw);

    if (near) {
        fputs("cheapest relaxation: ", out);
        xn_put_plain(near->nearest, out);
        fputs(" instead of ", out);
        xn_put_plain(near->text, out);
        fprintf(out, " finds %llu\n", (unsigned long long)near->nearest_count);
    } else if (drop) {
        fputs("cheapest relaxation: without ", out);
        xn_put_plain(drop->text, out);
        fprintf(out, " there are %llu\n", (unsigned long long)drop->without);
    } else {
        fputs("no single condition stands in the way alone\n", out);
    }
}

int find_print_explain(const struct find_result *result, FILE *out)
{
    static const char *const headings[] = {"CONDITION", "ALONE", "TOGETHER",
                                           "WITHOUT"};
    const Xn__SearchResult *raw = result->explained;
    struct libscols_table *table;
    size_t i;
    int rc = 0;

    if (!raw || raw->n_conditions == 0) return 0;
    table = new_table(false);
    if (!table) return XN_ENOMEM;
    scols_table_set_stream(table, out);
    for (i = 0; i < 4 && !rc; i++) {
        if (!scols_table_new_column(table, headings[i], 0,
                                    i ? SCOLS_FL_RIGHT : 0)) {
            rc = XN_ENOMEM;
        }
    }
    for (i = 0; i < raw->n_conditions && !rc; i++) {
        rc = add_condition(table, raw->conditions[i]);
    }
    if (!rc && scols_print_table(table)) rc = XN_EIO;
    scols_unref_table(table);
    if (!rc && result->matching == 0) put_advice(raw, out);
    return rc;
}
