/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A Query as it comes from a peer, asked of one row in every way. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/nest.h"
#include "wire/query.h"

enum { TOKENS_MAX = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fill(struct query_cell *cells, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        cells[i].text = i % 3 == 0 ? NULL : i % 3 == 1 ? "7.5" : "Linux";
        cells[i].is_number = i % 3 == 1;
        cells[i].number = xn_dec_int(15);
        cells[i].number.v /= 2;
    }
}

static void ask(const struct query *query)
{
    struct query_cell cells[TOKENS_MAX];
    const struct query_token *tokens;
    const char *required[8];
    struct query_rank rank, back;
    char number[XN_DEC_TEXT_MAX];
    size_t n = query_tokens(query, &tokens), i;
    xn_id server = {{1}};
    Xn__Cursor cursor;
    bool all = true;

    assert(n <= TOKENS_MAX);
    fill(cells, n);
    for (i = 0; i < query_conditions(query); i++) {
        struct xn_buf text = {0};
        xn_dec gap;

        if (!query_condition_match(query, i, cells)) all = false;
        (void)query_condition_widen(query, i, cells, &gap, &text);
        xn_buf_clear(&text);
    }
    assert(query_match_any_currency(query, cells) == all);
    assert(query_match_cells(query, cells, NULL) ==
           (all && query_match_currency(query, cells)));
    assert(query_required(query, required, 8) <= 8);
    query_rank_cells(query, cells, &server, &rank);
    query_cursor_write(&rank, number, &cursor);
    if (query_cursor_read(query, &cursor, &back) == 0) {
        assert(query_rank_cmp(query, &back, &back) == 0);
    }
}

static void check_text(const struct query *query)
{
    struct xn_buf out = {0};
    struct query *again = NULL;
    char *text;

    assert(query_text(query, &out) == 0);
    text = xn_buf_steal_str(&out);
    assert(query_parse_where(text, &again, NULL) == 0);
    assert(query_conditions(again) <= query_conditions(query));
    query_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    Xn__Query *proto = xn_unpack(&xn__query__descriptor, data, len);
    struct query *query = NULL, *again = NULL;

    if (!proto) return 0;
    if (query_from_proto(proto, &query) == 0) {
        ask(query);
        check_text(query);
        assert(query_from_proto(query_proto(query), &again) == 0);
        query_free(again);
        query_free(query);
    }
    xn__query__free_unpacked(proto, NULL);
    return 0;
}
