/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files query*.c share; for nobody else.
 *
 * A query is kept twice: as the canonical protobuf tree, and compiled.  Both
 * live in its arena and die with it.  Parsers build an Xn__Expr tree in an
 * arena of their own and hand it to query_from_proto, the one place where
 * bounds are checked and the tree is copied. */
#ifndef WIRE_QUERY_IMPL_H
#define WIRE_QUERY_IMPL_H

#include "lib/arena.h"
#include "wire/price.h"
#include "wire/query.h"

#define QUERY_CURRENCY_MAX 8
/* Terms name at most one token each; then sort, Currency, prices. */
#define QUERY_TOKENS_MAX (QUERY_TERMS_MAX + 8)
#define QUERY_TOTAL "total"
#define QUERY_PRICES 6

/* One comparison. */
struct query_leaf {
    Xn__ExprOp op; /* RANGE, IN, HAS */
    uint16_t token;
    bool has_lo, has_hi, lo_open, hi_open;
    bool lo_number, hi_number;
    const char *lo_text, *hi_text;
    xn_dec lo, hi;
    const char *const *texts; /* IN: every value, sorted by bytes */
    size_t n_texts;
    const xn_dec *numbers; /* those that are numbers, sorted */
    size_t n_numbers;
};

/* Short-circuit code: test leaf i of the same number, go to `yes` or `no`. */
#define QUERY_ACCEPT UINT16_MAX
#define QUERY_REJECT (UINT16_MAX - 1)
struct query_op {
    uint16_t yes, no;
};

struct query_condition {
    const Xn__Expr *expr;
    uint16_t start;
};

struct query {
    struct xn_arena arena;
    Xn__Query *proto;
    size_t terms; /* nodes that the tree had: bounds what is below */
    struct query_token *tokens;
    size_t n_tokens;
    struct query_leaf *leaves; /* one for each op */
    struct query_op *ops;
    size_t n_ops;
    struct query_condition *conditions; /* all must hold */
    size_t n_conditions;
    bool uses_price, has_job, has_budget, descending;
    bool sorts, sorts_total;
    uint16_t sort_at, currency_at, price_at[QUERY_PRICES];
    struct price_usage usage;
    xn_dec budget;
};

/* The tokens of a price list, in the order of struct price_list. */
extern const char *const query_price_tokens[QUERY_PRICES];

/* Becomes the query that `proto` says, which may point into the old one. */
int query_change(struct query *query, const Xn__Query *proto);
/* Fills everything behind `proto`. */
int query_compile(struct query *query);
/* The row's total, rounded; false where the row states no price at all. */
bool query_total(const struct query *query, const struct query_cell *cells,
                 xn_dec *total_out);

/* ---- for the parsers ---- */

/* A new node; NULL when out of memory. */
Xn__Expr *query_expr(struct xn_arena *arena, Xn__ExprOp op, const char *token);
/* Adds to ALL or ANY; args grow by doubling in the arena. */
int query_expr_add(struct xn_arena *arena, Xn__Expr *expr, Xn__Expr *arg);
int query_expr_value(struct xn_arena *arena, Xn__Expr *expr, char *value);
/* The end of a parser: from the finished tree; fills error_out where the tree
 * is beyond a bound. */
int query_from_expr(Xn__Expr *expr, struct query **query_out,
                    struct query_error *error_out);
/* May this token be compared with this value?  A token of the schema that is a
 * number only with numbers: anything else would match nothing, in silence. */
bool query_value_fits(const char *token, const char *value);
/* The same for the parsers: the place and the reason in *error_out. */
int query_check_value(const char *token, const char *value, size_t offset,
                      struct query_error *error_out);
/* Sets *error_out (may be NULL); returns XN_EINVAL. */
int query_fail(struct query_error *error_out, size_t offset, const char *fmt,
               ...) __attribute__((format(printf, 3, 4)));

/* ---- for the writers ---- */

void query_write_expr(struct xn_buf *out, const Xn__Expr *expr);
/* true, false, and, or, not, in, has: in either case. */
bool query_is_keyword(const char *text, size_t len);

#endif
