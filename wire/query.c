/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A query's making: copying with bounds, and changing. */
#include "wire/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

enum { ARENA_MAX = 4 << 20 };

struct copy {
    struct xn_arena *arena;
    size_t terms, values;
};

/* ---- building trees ---- */

Xn__Expr *query_expr(struct xn_arena *arena, Xn__ExprOp op, const char *token)
{
    Xn__Expr *expr = xn_arena_alloc(arena, sizeof *expr);

    if (!expr) return NULL;
    xn__expr__init(expr);
    expr->op = op;
    if (token) expr->token = xn_arena_strdup(arena, token);
    return expr->token ? expr : NULL;
}

/* Room for one more pointer behind list[0..n): capacities are powers of two.
 */
static void *grow(struct xn_arena *arena, void *list, size_t n)
{
    void *more;

    if (n & (n - 1)) return list;
    more = xn_arena_alloc(arena, (n ? 2 * n : 1) * sizeof(void *));
    if (more && n) memcpy(more, list, n * sizeof(void *));
    return more;
}

int query_expr_add(struct xn_arena *arena, Xn__Expr *expr, Xn__Expr *arg)
{
    Xn__Expr **args = grow(arena, expr->args, expr->n_args);

    if (!args) return XN_ENOMEM;
    expr->args = args;
    args[expr->n_args++] = arg;
    return 0;
}

int query_expr_value(struct xn_arena *arena, Xn__Expr *expr, char *value)
{
    char **values = grow(arena, expr->values, expr->n_values);

    if (!values) return XN_ENOMEM;
    expr->values = values;
    values[expr->n_values++] = value;
    return 0;
}

int query_fail(struct query_error *error_out, size_t offset, const char *fmt,
               ...)
{
    va_list ap;

    if (!error_out) return XN_EINVAL;
    error_out->offset = offset;
    va_start(ap, fmt);
    vsnprintf(error_out->text, sizeof error_out->text, fmt, ap);
    va_end(ap);
    return XN_EINVAL;
}

bool query_value_fits(const char *token, const char *value)
{
    const struct xn_token_info *info = xn_token_info(token);
    xn_dec d;

    return !info || info->type != XN_TOKEN_NUMBER ||
           xn_dec_parse(value, strlen(value), &d) == 0;
}

int query_check_value(const char *token, const char *value, size_t offset,
                      struct query_error *error_out)
{
    const struct xn_token_info *info = xn_token_info(token);

    if (query_value_fits(token, value)) return 0;
    return query_fail(
        error_out, offset, "%s is a number%s%s%s, '%.40s' is none", token,
        info->unit[0] ? " (" : "", info->unit, info->unit[0] ? ")" : "", value);
}

int query_from_expr(Xn__Expr *expr, struct query **query_out,
                    struct query_error *error_out)
{
    Xn__Query proto = XN__QUERY__INIT;
    int rc;

    proto.where = expr;
    rc = query_from_proto(&proto, query_out);
    if (rc == XN_ETOOBIG) {
        query_fail(error_out, 0,
                   "too long: at most %d comparisons, %d levels, %d values of "
                   "%d bytes",
                   QUERY_TERMS_MAX, QUERY_DEPTH_MAX, QUERY_VALUES_MAX,
                   XN_VALUE_MAX);
    } else if (rc) {
        query_fail(error_out, 0, "%s", xn_strerror(rc));
    }
    return rc;
}

/* ---- copying with bounds ---- */

static int copy_text(struct copy *copy, const char *text, char **text_out)
{
    size_t len = strlen(text);

    if (len > XN_VALUE_MAX) return XN_ETOOBIG;
    *text_out = xn_arena_strndup(copy->arena, text, len);
    return *text_out ? 0 : XN_ENOMEM;
}

static int copy_values(struct copy *copy, const Xn__Expr *from, Xn__Expr *to)
{
    size_t i;
    int rc;

    if (from->n_values > QUERY_VALUES_MAX - copy->values) return XN_ETOOBIG;
    copy->values += from->n_values;
    if (from->n_values == 0) { /* equal to none of none: never */
        to->op = XN__EXPR_OP__ANY;
        to->token = (char *)(uintptr_t)protobuf_c_empty_string;
        return 0;
    }
    to->values =
        xn_arena_alloc(copy->arena, from->n_values * sizeof *to->values);
    if (!to->values) return XN_ENOMEM;
    to->n_values = from->n_values;
    for (i = 0; i < from->n_values; i++) {
        if (!query_value_fits(from->token, from->values[i])) return XN_EINVAL;
        rc = copy_text(copy, from->values[i], &to->values[i]);
        if (rc) return rc;
    }
    return 0;
}

static int copy_range(struct copy *copy, const Xn__Expr *from, Xn__Expr *to)
{
    int rc;

    if (!from->has_lo && !from->has_hi) return XN_EINVAL;
    if (from->has_lo) {
        if (!query_value_fits(from->token, from->lo)) return XN_EINVAL;
        rc = copy_text(copy, from->lo, &to->lo);
        if (rc) return rc;
        to->has_lo = true;
        to->lo_open = from->lo_open;
    }
    if (from->has_hi) {
        if (!query_value_fits(from->token, from->hi)) return XN_EINVAL;
        rc = copy_text(copy, from->hi, &to->hi);
        if (rc) return rc;
        to->has_hi = true;
        to->hi_open = from->hi_open;
    }
    return 0;
}

static int copy_leaf(struct copy *copy, const Xn__Expr *from,
                     Xn__Expr **expr_out)
{
    if (!xn_token_valid(from->token, strlen(from->token))) return XN_EINVAL;
    *expr_out = query_expr(copy->arena, from->op, from->token);
    if (!*expr_out) return XN_ENOMEM;
    if (from->op == XN__EXPR_OP__IN) return copy_values(copy, from, *expr_out);
    if (from->op == XN__EXPR_OP__RANGE) {
        return copy_range(copy, from, *expr_out);
    }
    return 0;
}

static int copy_expr(struct copy *copy, const Xn__Expr *from, unsigned depth,
                     Xn__Expr **expr_out);

/* ALL within ALL and ANY within ANY are one list; a list of one is its only
 * member: so every query has one form, and its top-level conditions are all
 * seen. */
static int copy_list(struct copy *copy, const Xn__Expr *from, unsigned depth,
                     Xn__Expr **expr_out)
{
    Xn__Expr *list = query_expr(copy->arena, from->op, ""), *arg = NULL;
    size_t i, j;
    int rc;

    if (!list) return XN_ENOMEM;
    for (i = 0; i < from->n_args; i++) {
        rc = copy_expr(copy, from->args[i], depth + 1, &arg);
        if (rc) return rc;
        if (arg->op != list->op) {
            rc = query_expr_add(copy->arena, list, arg);
            if (rc) return rc;
            continue;
        }
        for (j = 0; j < arg->n_args; j++) {
            rc = query_expr_add(copy->arena, list, arg->args[j]);
            if (rc) return rc;
        }
    }
    *expr_out = list->n_args == 1 ? list->args[0] : list;
    return 0;
}

static int copy_not(struct copy *copy, const Xn__Expr *from, unsigned depth,
                    Xn__Expr **expr_out)
{
    Xn__Expr *not = query_expr(copy->arena, XN__EXPR_OP__NOT, ""), *arg = NULL;
    int rc;

    if (!not ) return XN_ENOMEM;
    if (from->n_args != 1) return XN_EINVAL;
    rc = copy_expr(copy, from->args[0], depth + 1, &arg);
    if (rc) return rc;
    *expr_out = not ;
    return query_expr_add(copy->arena, not, arg);
}

/* Nothing of `from` is kept: it may be a peer's message. */
static int copy_expr(struct copy *copy, const Xn__Expr *from, unsigned depth,
                     Xn__Expr **expr_out)
{
    if (depth > QUERY_DEPTH_MAX) return XN_ETOOBIG;
    if (copy->terms++ == QUERY_TERMS_MAX) return XN_ETOOBIG;
    switch (from->op) {
    case XN__EXPR_OP__ALL:
    case XN__EXPR_OP__ANY: return copy_list(copy, from, depth, expr_out);
    case XN__EXPR_OP__NOT: return copy_not(copy, from, depth, expr_out);
    case XN__EXPR_OP__RANGE:
    case XN__EXPR_OP__IN:
    case XN__EXPR_OP__HAS: return copy_leaf(copy, from, expr_out);
    default: return XN_EINVAL;
    }
}

/* A number that is not negative, in its shortest form; empty: `empty`. */
static int copy_amount(struct copy *copy, const char *text, const char *empty,
                       char **text_out)
{
    char out[XN_DEC_TEXT_MAX];
    size_t len = strlen(text);
    xn_dec d;

    if (len > XN_VALUE_MAX) return XN_ETOOBIG;
    if (len == 0) return copy_text(copy, empty, text_out);
    if (xn_dec_parse(text, len, &d) || d.v < 0) return XN_EINVAL;
    xn_dec_format(d, out);
    return copy_text(copy, out, text_out);
}

static int copy_job(struct copy *copy, const Xn__Job *from, Xn__Job **job_out)
{
    Xn__Job *job = xn_arena_alloc(copy->arena, sizeof *job);
    int rc;

    if (!job) return XN_ENOMEM;
    xn__job__init(job);
    *job_out = job;
    rc = copy_amount(copy, from->hours, "0", &job->hours);
    if (rc) return rc;
    rc = copy_amount(copy, from->cpu_s, "0", &job->cpu_s);
    if (rc) return rc;
    rc = copy_amount(copy, from->memory_mb_h, "0", &job->memory_mb_h);
    if (rc) return rc;
    rc = copy_amount(copy, from->net_gb, "0", &job->net_gb);
    if (rc) return rc;
    return copy_amount(copy, from->disk_gb_h, "0", &job->disk_gb_h);
}

static int copy_sort(struct copy *copy, const Xn__Sort *from,
                     Xn__Sort **sort_out)
{
    Xn__Sort *sort;

    if (!from->token[0]) return 0; /* by server id, either way */
    if (!xn_token_valid(from->token, strlen(from->token))) return XN_EINVAL;
    sort = xn_arena_alloc(copy->arena, sizeof *sort);
    if (!sort) return XN_ENOMEM;
    xn__sort__init(sort);
    sort->descending = from->descending;
    *sort_out = sort;
    return copy_text(copy, from->token, &sort->token);
}

static bool is_currency(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return !text[len] && len >= 3 && len <= QUERY_CURRENCY_MAX;
}

static int copy_query(struct copy *copy, const Xn__Query *from, Xn__Query *to)
{
    int rc;

    if (from->currency[0] && !is_currency(from->currency)) return XN_EINVAL;
    rc = copy_text(copy, from->currency, &to->currency);
    if (rc) return rc;
    if (from->where) {
        rc = copy_expr(copy, from->where, 1, &to->where);
        if (rc) return rc;
    }
    if (from->sort) {
        rc = copy_sort(copy, from->sort, &to->sort);
        if (rc) return rc;
    }
    if (from->job) {
        rc = copy_job(copy, from->job, &to->job);
        if (rc) return rc;
    }
    /* A budget bounds a job's total: without a job there is none. */
    if (from->budget[0] && !from->job) return XN_EINVAL;
    return copy_amount(copy, from->budget, "", &to->budget);
}

int query_from_proto(const Xn__Query *proto, struct query **query_out)
{
    struct query *query = calloc(1, sizeof *query);
    struct copy copy = {0};
    int rc;

    if (!query) return XN_ENOMEM;
    xn_arena_init(&query->arena, ARENA_MAX);
    copy.arena = &query->arena;
    query->proto = xn_arena_alloc(&query->arena, sizeof *query->proto);
    if (!query->proto) {
        rc = XN_ENOMEM;
        goto out;
    }
    xn__query__init(query->proto);
    rc = copy_query(&copy, proto, query->proto);
    if (rc) goto out;
    query->terms = copy.terms;
    rc = query_compile(query);
    if (rc) goto out;
    *query_out = query;
    query = NULL;
out:
    query_free(query);
    return rc;
}

void query_free(struct query *query)
{
    if (!query) return;
    xn_arena_clear(&query->arena);
    free(query);
}

const Xn__Query *query_proto(const struct query *query)
{
    return query->proto;
}

/* ---- changing: a new one is made and takes the old one's place ---- */

int query_change(struct query *query, const Xn__Query *proto)
{
    struct query *made = NULL, old;
    int rc = query_from_proto(proto, &made);

    if (rc) return rc;
    old = *query;
    *query = *made;
    *made = old;
    query_free(made);
    return 0;
}

int query_and(struct query **query, const struct query *more)
{
    Xn__Expr all = XN__EXPR__INIT, *args[2];
    Xn__Query proto = XN__QUERY__INIT;

    if (!more->proto->where && *query) return 0;
    all.op = XN__EXPR_OP__ALL;
    all.args = args;
    if (*query) {
        proto = *(*query)->proto;
        if (proto.where) args[all.n_args++] = proto.where;
    }
    if (more->proto->where) args[all.n_args++] = more->proto->where;
    proto.where = &all;
    return *query ? query_change(*query, &proto)
                  : query_from_proto(&proto, query);
}

int query_set_sort(struct query *query, const char *token, bool descending)
{
    Xn__Sort sort = XN__SORT__INIT;
    Xn__Query proto = *query->proto;

    sort.token = (char *)(uintptr_t)(token ? token : "");
    sort.descending = descending;
    proto.sort = &sort;
    return query_change(query, &proto);
}

int query_set_currency(struct query *query, const char *currency)
{
    Xn__Query proto = *query->proto;

    proto.currency = (char *)(uintptr_t)(currency ? currency : "");
    return query_change(query, &proto);
}
