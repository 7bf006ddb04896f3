/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The query language: one parser, codec and evaluator for everybody.
 * Discovery asks with it, index nodes answer with it, xenofind checks with it.
 *
 *   positional   EnvType:Linux CPUsmps:150.. Region:a,b Price:..0.02 GPU:*
 *   --where      'CPUsmps >= 150 and (EnvType = "Linux" or not Country = "XX")'
 *
 * A comparison is by the advertisement's value: where it is a number and the
 * bound is one, numerically and exactly; where it is a string, by bytes; a
 * number against a bound that is none never matches.  Tokens that the schema
 * knows as numbers are not asked for by anything else: that is an error.  A comparison with a
 * token that the row lacks is false (so `not` of it is true).  A query matches
 * an advertisement if it holds for one of its rows.
 */
#ifndef WIRE_QUERY_H
#define WIRE_QUERY_H

#include "lib/buf.h"
#include "wire/advert.h"
#include "wire/overlay.pb-c.h"

#define QUERY_TERMS_MAX 256
#define QUERY_DEPTH_MAX 32
#define QUERY_VALUES_MAX 1024
#define QUERY_OFFSET_MAX 100000 /* matches skipped; a cursor has no bound */

/* A compiled query: bounds parsed, tokens numbered.  Opaque but for what the
 * index's columns need. */
struct query;

struct query_token { /* a token that the query looks at */
    const char *name;
};

/* What went wrong in a text: for the error's caret. */
struct query_error {
    size_t offset;  /* byte in the text; of words: joined by one blank each */
    char text[160]; /* "expected a value after ':'" */
};

/* ---- making one ---- */

/* From one positional word each; they are joined by "and". */
int query_parse_words(const char *const *words, size_t n,
                      struct query **query_out, struct query_error *error_out);
int query_parse_where(const char *text, struct query **query_out,
                      struct query_error *error_out);
/* From the wire: bounded and checked.  XN_EINVAL, XN_ETOOBIG. */
int query_from_proto(const Xn__Query *proto, struct query **query_out);
/* A view: valid while the query is. */
const Xn__Query *query_proto(const struct query *query);
void query_free(struct query *query);

/* Adds `more`'s condition with "and"; `more` stays the caller's.  *query may
 * be NULL: then it is made of that condition. */
int query_and(struct query **query, const struct query *more);
/* Sort by a token, "total" or (NULL) server id. */
int query_set_sort(struct query *query, const char *token, bool descending);
/* Servers in other currencies are left out where the query looks at prices: a
 * row's Currency must then equal this one, also where it is "" (so set one).
 * Three to eight capital letters. */
int query_set_currency(struct query *query, const char *currency);
/* "cpu=2h mem=4GiB*6h out=10GiB": see query_job.c for the grammar. */
int query_set_job(struct query *query, const char *text,
                  struct query_error *error_out);
/* "10GBP" or "10": total at most; a currency sets the query's.  The job must
 * have been set before. */
int query_set_budget(struct query *query, const char *text,
                     struct query_error *error_out);

/* ---- asking it ---- */

/* Tokens looked at (conditions, sort, prices), distinct; their index is their
 * number below. */
size_t query_tokens(const struct query *query,
                    const struct query_token **tokens_out);
/* Tokens that every match must have: the planner's choice of shards. */
size_t query_required(const struct query *query, const char **tokens_out,
                      size_t max);
bool query_uses_price(const struct query *query);
const char *query_currency(const struct query *query); /* "" or code */

/* A cell of a row: NULL text where the row lacks the token. */
struct query_cell {
    const char *text;
    bool is_number;
    xn_dec number;
};

/* Does this row match?  cells[i] is the value of token number i.  Currency and
 * budget are part of the answer.  `total_out` (may be NULL) gets the job's
 * cost when the query has a job (else 0). */
bool query_match_cells(const struct query *query,
                       const struct query_cell *cells, xn_dec *total_out);
/* The same, ignoring the currency: to count who was left out for it alone. */
bool query_match_any_currency(const struct query *query,
                              const struct query_cell *cells);
/* Is the row in the query's currency, where that matters? */
bool query_match_currency(const struct query *query,
                          const struct query_cell *cells);

struct query_rank { /* where a match stands in the order */
    bool absent;    /* lacks the sort token: after all that have it */
    bool is_number; /* numbers before strings */
    xn_dec number;
    const char *text; /* points into the cells or the advert */
    xn_id server;
};

/* The rank of a matching row. */
void query_rank_cells(const struct query *query, const struct query_cell *cells,
                      const xn_id *server, struct query_rank *rank_out);
/* Order by sort key (descending where asked), absent ones last, ties by server
 * id ascending. */
int query_rank_cmp(const struct query *query, const struct query_rank *a,
                   const struct query_rank *b);

/* A rank as the place where a result stream goes on.  Writing: points into
 * the rank and `number`.  Reading: XN_EINVAL; points into the cursor. */
void query_cursor_write(const struct query_rank *rank,
                        char number[XN_DEC_TEXT_MAX], Xn__Cursor *cursor_out);
int query_cursor_read(const struct query *query, const Xn__Cursor *cursor,
                      struct query_rank *rank_out);

/* Whole advertisements: match if any row does; the rank is the best of the
 * matching rows'. */
bool query_match_advert(const struct query *query, const struct advert *advert,
                        const xn_id *server, struct query_rank *rank_out);
/* The least total of the matching rows; false where none has one. */
bool query_total_advert(const struct query *query, const struct advert *advert,
                        xn_dec *total_out);

/* ---- explaining it ---- */

/* The top-level conditions that "and" joins; the budget, if any, is the last.
 */
size_t query_conditions(const struct query *query);
/* Condition i as text in the positional form, or as --where text. */
int query_condition_text(const struct query *query, size_t i,
                         struct xn_buf *out);
bool query_condition_match(const struct query *query, size_t i,
                           const struct query_cell *cells);
/* For a condition that is one range on numbers: how far outside is the row's
 * value (0 within), and the bound that would admit it ("CPUsmps:120..").
 * XN_ENOENT where it cannot be widened so. */
int query_condition_widen(const struct query *query, size_t i,
                          const struct query_cell *cells, xn_dec *gap_out,
                          struct xn_buf *text_out);

/* The query as canonical --where text. */
int query_text(const struct query *query, struct xn_buf *out);
/* A value as it stands in a positional word, quoted where it must be. */
void query_write_word_value(struct xn_buf *out, const char *text);

#endif
