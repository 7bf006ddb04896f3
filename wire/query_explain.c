/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions one by one: how they read, and how far off a row is. */
#include "lib/err.h"
#include "wire/query_impl.h"

static void write_word(struct xn_buf *out, const Xn__Expr *expr)
{
    size_t i;

    xn_buf_str(out, expr->token);
    xn_buf_char(out, ':');
    switch (expr->op) {
    case XN__EXPR_OP__HAS: xn_buf_char(out, '*'); break;
    case XN__EXPR_OP__RANGE:
        if (expr->has_lo) query_write_word_value(out, expr->lo);
        xn_buf_str(out, "..");
        if (expr->has_hi) query_write_word_value(out, expr->hi);
        break;
    default:
        for (i = 0; i < expr->n_values; i++) {
            if (i) xn_buf_char(out, ',');
            query_write_word_value(out, expr->values[i]);
        }
    }
}

/* Has the positional form words for it? */
static bool is_wordable(const Xn__Expr *expr)
{
    switch (expr->op) {
    case XN__EXPR_OP__RANGE: return !expr->lo_open && !expr->hi_open;
    case XN__EXPR_OP__IN:
    case XN__EXPR_OP__HAS: return true;
    default: return false;
    }
}

static void write_budget(const struct query *query, xn_dec amount,
                         struct xn_buf *out)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(amount, text);
    xn_buf_printf(out, "--budget %s%s", text, query->proto->currency);
}

int query_condition_text(const struct query *query, size_t i,
                         struct xn_buf *out)
{
    const Xn__Expr *expr;

    if (i >= query_conditions(query)) return XN_EINVAL;
    if (i >= query->n_conditions) {
        write_budget(query, query->budget, out);
        return xn_buf_rc(out);
    }
    expr = query->conditions[i].expr;
    if (is_wordable(expr)) {
        write_word(out, expr);
    } else {
        query_write_expr(out, expr);
    }
    return xn_buf_rc(out);
}

static int widen_budget(const struct query *query,
                        const struct query_cell *cells, xn_dec *gap_out,
                        struct xn_buf *text_out)
{
    xn_dec total;
    int rc;

    if (!query_total(query, cells, &total)) return XN_ENOENT;
    if (xn_dec_cmp(total, query->budget) <= 0) {
        *gap_out = xn_dec_int(0);
        total = query->budget;
    } else {
        rc = xn_dec_sub(total, query->budget, gap_out);
        if (rc) return XN_ENOENT;
    }
    write_budget(query, total, text_out);
    return xn_buf_rc(text_out);
}

struct bounds {
    bool has_lo, has_hi;
    xn_dec lo, hi;
};

/* The condition as one range of numbers: equality with one number is one. */
static bool bounds_of(const struct query_leaf *leaf, struct bounds *out)
{
    *out = (struct bounds){leaf->has_lo, leaf->has_hi, leaf->lo, leaf->hi};
    if (leaf->op == XN__EXPR_OP__IN && leaf->n_texts == 1 &&
        leaf->n_numbers == 1) {
        out->has_lo = out->has_hi = true;
        out->lo = out->hi = leaf->numbers[0];
        return true;
    }
    return leaf->op == XN__EXPR_OP__RANGE && leaf->has_lo == leaf->lo_number &&
           leaf->has_hi == leaf->hi_number;
}

static void write_number(xn_dec d, struct xn_buf *out)
{
    char text[XN_DEC_TEXT_MAX];

    xn_buf_add(out, text, xn_dec_format(d, text));
}

int query_condition_widen(const struct query *query, size_t i,
                          const struct query_cell *cells, xn_dec *gap_out,
                          struct xn_buf *text_out)
{
    const struct query_condition *condition;
    const struct query_cell *cell;
    struct bounds bounds;
    const char *token;

    if (i >= query_conditions(query)) return XN_EINVAL;
    if (i >= query->n_conditions) {
        return widen_budget(query, cells, gap_out, text_out);
    }
    condition = &query->conditions[i];
    if (condition->start >= QUERY_REJECT) return XN_ENOENT; /* a constant */
    if (condition->expr->op != XN__EXPR_OP__RANGE &&
        condition->expr->op != XN__EXPR_OP__IN) {
        return XN_ENOENT;
    }
    token = condition->expr->token;
    cell = &cells[query->leaves[condition->start].token];
    if (!cell->text || !cell->is_number) return XN_ENOENT;
    if (!bounds_of(&query->leaves[condition->start], &bounds)) {
        return XN_ENOENT;
    }
    *gap_out = xn_dec_int(0);
    if (bounds.has_lo && xn_dec_cmp(cell->number, bounds.lo) <= 0) {
        if (xn_dec_sub(bounds.lo, cell->number, gap_out)) return XN_ENOENT;
        bounds.lo = cell->number;
    } else if (bounds.has_hi && xn_dec_cmp(cell->number, bounds.hi) >= 0) {
        if (xn_dec_sub(cell->number, bounds.hi, gap_out)) return XN_ENOENT;
        bounds.hi = cell->number;
    }
    /* 10..5 admits nobody, and moving one bound does not help who is between. */
    if (bounds.has_lo && bounds.has_hi &&
        xn_dec_cmp(bounds.lo, bounds.hi) > 0) {
        return XN_ENOENT;
    }
    xn_buf_printf(text_out, "%s:", token);
    if (bounds.has_lo) write_number(bounds.lo, text_out);
    xn_buf_str(text_out, "..");
    if (bounds.has_hi) write_number(bounds.hi, text_out);
    return xn_buf_rc(text_out);
}
