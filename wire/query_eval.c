/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows against a compiled query.  Nothing here allocates. */
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

/* xn_dec_cmp, where a call for each cell would cost more than the rest. */
static inline int order_of(xn_dec a, xn_dec b)
{
    return (a.v > b.v) - (a.v < b.v);
}

/* Cell against a bound: <0, 0, >0; false where they cannot be compared. */
static bool compare(const struct query_cell *cell, bool bound_is_number,
                    xn_dec number, const char *text, int *order_out)
{
    if (cell->is_number) {
        if (!bound_is_number) return false;
        *order_out = order_of(cell->number, number);
    } else {
        *order_out = strcmp(cell->text, text);
    }
    return true;
}

static bool in_range(const struct query_leaf *leaf,
                     const struct query_cell *cell)
{
    int order;

    if (leaf->has_lo) {
        if (!compare(cell, leaf->lo_number, leaf->lo, leaf->lo_text, &order)) {
            return false;
        }
        if (order < 0 || (order == 0 && leaf->lo_open)) return false;
    }
    if (leaf->has_hi) {
        if (!compare(cell, leaf->hi_number, leaf->hi, leaf->hi_text, &order)) {
            return false;
        }
        if (order > 0 || (order == 0 && leaf->hi_open)) return false;
    }
    return true;
}

static bool in_values(const struct query_leaf *leaf,
                      const struct query_cell *cell)
{
    size_t lo = 0, hi = cell->is_number ? leaf->n_numbers : leaf->n_texts;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = cell->is_number ? order_of(cell->number, leaf->numbers[mid])
                                    : strcmp(cell->text, leaf->texts[mid]);

        if (order == 0) return true;
        if (order < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return false;
}

static bool leaf_holds(const struct query_leaf *leaf,
                       const struct query_cell *cell)
{
    if (!cell->text) return false;
    if (leaf->op == XN__EXPR_OP__RANGE) return in_range(leaf, cell);
    if (leaf->op == XN__EXPR_OP__IN) return in_values(leaf, cell);
    return true;
}

/* Every jump goes to a lower number (the compiler works backward): it ends. */
static bool holds(const struct query *query, uint16_t at,
                  const struct query_cell *cells)
{
    while (at < QUERY_REJECT) {
        const struct query_leaf *leaf = &query->leaves[at];
        bool yes = leaf_holds(leaf, &cells[leaf->token]);

        at = yes ? query->ops[at].yes : query->ops[at].no;
    }
    return at == QUERY_ACCEPT;
}

bool query_total(const struct query *query, const struct query_cell *cells,
                 xn_dec *total_out)
{
    struct price_list prices = {{0}, {0}, {0}, {0}, {0}, {0}};
    xn_dec *const list[QUERY_PRICES] = {
        &prices.setup,          &prices.per_hour, &prices.cpu_second,
        &prices.memory_mb_hour, &prices.net_gb,   &prices.disk_gb_hour,
    };
    bool any = false;
    int64_t micro;
    size_t i;

    if (!query->has_job) return false;
    for (i = 0; i < QUERY_PRICES; i++) {
        const struct query_cell *cell = &cells[query->price_at[i]];

        if (!cell->text || !cell->is_number) continue;
        *list[i] = cell->number;
        any = true;
    }
    if (!any || price_amount(&prices, &query->usage, &micro)) return false;
    *total_out = xn_dec_from_micro(micro);
    return true;
}

static bool within_budget(const struct query *query,
                          const struct query_cell *cells)
{
    xn_dec total;

    if (!query->has_budget) return true;
    return query_total(query, cells, &total) &&
           xn_dec_cmp(total, query->budget) <= 0;
}

bool query_match_currency(const struct query *query,
                          const struct query_cell *cells)
{
    const char *text;

    if (!query->uses_price) return true;
    text = cells[query->currency_at].text;
    return strcmp(text ? text : "", query->proto->currency) == 0;
}

bool query_match_any_currency(const struct query *query,
                              const struct query_cell *cells)
{
    size_t i;

    for (i = 0; i < query->n_conditions; i++) {
        if (!holds(query, query->conditions[i].start, cells)) return false;
    }
    return within_budget(query, cells);
}

bool query_match_cells(const struct query *query,
                       const struct query_cell *cells, xn_dec *total_out)
{
    if (total_out) *total_out = xn_dec_int(0);
    if (!query_match_currency(query, cells)) return false;
    if (!query_match_any_currency(query, cells)) return false;
    if (total_out) (void)query_total(query, cells, total_out);
    return true;
}

size_t query_conditions(const struct query *query)
{
    return query->n_conditions + query->has_budget;
}

bool query_condition_match(const struct query *query, size_t i,
                           const struct query_cell *cells)
{
    if (i >= query->n_conditions) return within_budget(query, cells);
    return holds(query, query->conditions[i].start, cells);
}

/* ---- what it looks at ---- */

size_t query_tokens(const struct query *query,
                    const struct query_token **tokens_out)
{
    *tokens_out = query->tokens;
    return query->n_tokens;
}

bool query_uses_price(const struct query *query)
{
    return query->uses_price;
}

const char *query_currency(const struct query *query)
{
    return query->proto->currency;
}

/* One bit for each token number. */
struct token_set {
    uint64_t bits[(QUERY_TOKENS_MAX + 63) / 64];
};

static void set_add(const struct query *query, struct token_set *set,
                    const char *token)
{
    size_t i;

    for (i = 0; i < query->n_tokens; i++) {
        if (strcmp(query->tokens[i].name, token) == 0) {
            set->bits[i / 64] |= (uint64_t)1 << (i % 64);
            return;
        }
    }
}

/* What a row must have for the condition to hold.  ANY of none never holds:
 * then the set of every token would be right, and the empty one is harmless.
 */
static struct token_set required(const struct query *query,
                                 const Xn__Expr *expr)
{
    struct token_set set = {{0}}, other;
    size_t i, j;

    switch (expr->op) {
    case XN__EXPR_OP__NOT: return set;
    case XN__EXPR_OP__ALL:
    case XN__EXPR_OP__ANY: break;
    default: set_add(query, &set, expr->token); return set;
    }
    for (i = 0; i < expr->n_args; i++) {
        other = required(query, expr->args[i]);
        for (j = 0; j < sizeof set.bits / sizeof set.bits[0]; j++) {
            if (i == 0 || expr->op == XN__EXPR_OP__ALL) {
                set.bits[j] |= other.bits[j];
            } else {
                set.bits[j] &= other.bits[j];
            }
        }
    }
    return set;
}

size_t query_required(const struct query *query, const char **tokens_out,
                      size_t max)
{
    struct token_set set;
    size_t i, n = 0;

    if (!query->proto->where) return 0;
    set = required(query, query->proto->where);
    for (i = 0; i < query->n_tokens && n < max; i++) {
        if (set.bits[i / 64] >> (i % 64) & 1) {
            tokens_out[n++] = query->tokens[i].name;
        }
    }
    return n;
}
