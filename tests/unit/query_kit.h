/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of the query language share: parsing, round trips, rows. */
#ifndef TESTS_UNIT_QUERY_KIT_H
#define TESTS_UNIT_QUERY_KIT_H

#include "wire/query.h"

struct query *parse_where(const char *text);
struct query *parse_words(const char *text);
void assert_text(const struct query *query, const char *text);

/* text -> query -> wire -> query -> text -> query. */
void assert_round_trip(const struct query *query);

/* A row as the test sees it. */
struct fact {
    const char *token, *text;
    bool is_number;
    xn_dec number;
};

struct row {
    struct fact facts[16];
    size_t n;
};
void row_add(struct row *row, const char *token, const char *text);

/* "Token=value Token=value": into static storage of the test. */
struct row row_of(const char *text);
const struct fact *row_get(const struct row *row, const char *token);
void cells_of(const struct query *query, const struct row *row,
              struct query_cell *cells);
bool matches(const struct query *query, const char *text);
void assert_matches(struct query *query, const char *yes, const char *no);

#endif
