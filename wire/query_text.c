/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A query as text: what is written here, the parsers read back to the same
 * tree. */
#include <string.h>

#include "wire/query_impl.h"

static void write_quoted(struct xn_buf *out, const char *text)
{
    xn_buf_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') xn_buf_char(out, '\\');
        xn_buf_char(out, *text);
    }
    xn_buf_char(out, '"');
}

/* Numbers stand bare, all else is quoted. */
static void write_where_value(struct xn_buf *out, const char *text)
{
    xn_dec d;

    if (xn_dec_parse(text, strlen(text), &d) == 0) {
        xn_buf_str(out, text);
    } else {
        write_quoted(out, text);
    }
}

/* Bare where neither a parser nor a shell would take it for more. */
void query_write_word_value(struct xn_buf *out, const char *text)
{
    size_t safe = strspn(text, "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789_.:/+@%-");

    if (safe == 0 || text[safe] || strstr(text, "..") || text[0] == '.' ||
        text[safe - 1] == '.') {
        write_quoted(out, text);
    } else {
        xn_buf_str(out, text);
    }
}

static void write_token(struct xn_buf *out, const char *token)
{
    if (query_is_keyword(token, strlen(token))) {
        write_quoted(out, token);
    } else {
        xn_buf_str(out, token);
    }
}

static void write_range(struct xn_buf *out, const Xn__Expr *expr)
{
    if (expr->has_lo && expr->has_hi) {
        /* The first place is read as a name or a value by what follows. */
        write_where_value(out, expr->lo);
        xn_buf_str(out, expr->lo_open ? " < " : " <= ");
        write_token(out, expr->token);
    } else {
        write_token(out, expr->token);
    }
    if (expr->has_hi) {
        xn_buf_str(out, expr->hi_open ? " < " : " <= ");
        write_where_value(out, expr->hi);
    } else {
        xn_buf_str(out, expr->lo_open ? " > " : " >= ");
        write_where_value(out, expr->lo);
    }
}

static void write_in(struct xn_buf *out, const Xn__Expr *expr, bool not )
{
    size_t i;

    write_token(out, expr->token);
    if (expr->n_values == 1) {
        xn_buf_str(out, not ? " != " : " = ");
        write_where_value(out, expr->values[0]);
        return;
    }
    xn_buf_str(out, " in (");
    for (i = 0; i < expr->n_values; i++) {
        if (i) xn_buf_str(out, ", ");
        write_where_value(out, expr->values[i]);
    }
    xn_buf_char(out, ')');
}

static bool is_list(const Xn__Expr *expr)
{
    return expr->op == XN__EXPR_OP__ALL || expr->op == XN__EXPR_OP__ANY;
}

static void write_member(struct xn_buf *out, const Xn__Expr *expr)
{
    bool parens = is_list(expr) && expr->n_args > 1;

    if (parens) xn_buf_char(out, '(');
    query_write_expr(out, expr);
    if (parens) xn_buf_char(out, ')');
}

static void write_list(struct xn_buf *out, const Xn__Expr *expr)
{
    bool all = expr->op == XN__EXPR_OP__ALL;
    size_t i;

    if (expr->n_args == 0) xn_buf_str(out, all ? "true" : "false");
    for (i = 0; i < expr->n_args; i++) {
        if (i) xn_buf_str(out, all ? " and " : " or ");
        write_member(out, expr->args[i]);
    }
}

static void write_not(struct xn_buf *out, const Xn__Expr *arg)
{
    if (arg->op == XN__EXPR_OP__IN && arg->n_values == 1) {
        write_in(out, arg, true);
        return;
    }
    xn_buf_str(out, "not ");
    write_member(out, arg);
}

/* As deep as the tree, which query_from_proto has bounded. */
void query_write_expr(struct xn_buf *out, const Xn__Expr *expr)
{
    switch (expr->op) {
    case XN__EXPR_OP__NOT: write_not(out, expr->args[0]); break;
    case XN__EXPR_OP__RANGE: write_range(out, expr); break;
    case XN__EXPR_OP__IN: write_in(out, expr, false); break;
    case XN__EXPR_OP__HAS:
        xn_buf_str(out, "has ");
        write_token(out, expr->token);
        break;
    default: write_list(out, expr); break;
    }
}

int query_text(const struct query *query, struct xn_buf *out)
{
    if (query->proto->where) {
        query_write_expr(out, query->proto->where);
    } else {
        xn_buf_str(out, "true");
    }
    return xn_buf_rc(out);
}
