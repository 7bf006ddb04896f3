/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/query_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"

/* ---- help ---- */

struct query *parse_where(const char *text)
{
    struct query_error error = {0, ""};
    struct query *query = NULL;
    int rc = query_parse_where(text, &query, &error);

    if (rc) fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    return query;
}

struct query *parse_words(const char *text)
{
    struct query_error error = {0, ""};
    struct query *query = NULL;
    const char *list[8];
    char *copy = strdup(text), *save = NULL, *word;
    size_t n = 0;
    int rc;

    for (word = strtok_r(copy, " ", &save); word && n < 8;
         word = strtok_r(NULL, " ", &save)) {
        list[n++] = word;
    }
    rc = query_parse_words(list, n, &query, &error);
    if (rc) fail_msg("'%s': %zu: %s", text, error.offset, error.text);
    free(copy);
    return query;
}

void assert_text(const struct query *query, const char *text)
{
    struct xn_buf out = {0};
    char *got;

    assert_int_equal(query_text(query, &out), 0);
    got = xn_buf_steal_str(&out);
    assert_string_equal(got, text);
    free(got);
}

static uint8_t *pack(const struct query *query, size_t *len_out)
{
    const Xn__Query *proto = query_proto(query);
    uint8_t *bytes;

    *len_out = xn__query__get_packed_size(proto);
    bytes = malloc(*len_out + 1);
    xn__query__pack(proto, bytes);
    return bytes;
}

static void assert_same(const struct query *a, const struct query *b)
{
    size_t a_len, b_len;
    uint8_t *a_bytes = pack(a, &a_len), *b_bytes = pack(b, &b_len);

    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_bytes, b_bytes, a_len);
    free(a_bytes);
    free(b_bytes);
}

void assert_round_trip(const struct query *query)
{
    struct query *wired = NULL, *again;
    struct xn_buf out = {0};
    size_t len;
    uint8_t *bytes = pack(query, &len);
    Xn__Query *proto = xn__query__unpack(NULL, len, bytes);
    char *text;

    assert_non_null(proto);
    assert_int_equal(query_from_proto(proto, &wired), 0);
    xn__query__free_unpacked(proto, NULL);
    assert_same(query, wired);
    assert_int_equal(query_text(wired, &out), 0);
    text = xn_buf_steal_str(&out);
    again = parse_where(text);
    assert_text(again, text);
    free(text);
    free(bytes);
    query_free(wired);
    query_free(again);
}

void row_add(struct row *row, const char *token, const char *text)
{
    struct fact *f = &row->facts[row->n++];
    const struct xn_token_info *info = xn_token_info(token);

    f->token = token;
    f->text = text;
    f->is_number = !(info && info->type == XN_TOKEN_STRING) &&
                   xn_dec_parse(text, strlen(text), &f->number) == 0;
}

struct row row_of(const char *text)
{
    static char space[4][512];
    static unsigned turn;
    char *copy = space[turn++ % 4], *save = NULL, *word;
    struct row row = {.n = 0};

    snprintf(copy, sizeof space[0], "%s", text);
    for (word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        char *sign = strchr(word, '=');

        *sign = '\0';
        row_add(&row, word, sign + 1);
    }
    return row;
}

const struct fact *row_get(const struct row *row, const char *token)
{
    for (size_t i = 0; i < row->n; i++) {
        if (strcmp(row->facts[i].token, token) == 0) return &row->facts[i];
    }
    return NULL;
}

void cells_of(const struct query *query, const struct row *row,
              struct query_cell *cells)
{
    const struct query_token *tokens;
    size_t n = query_tokens(query, &tokens);

    for (size_t i = 0; i < n; i++) {
        const struct fact *f = row_get(row, tokens[i].name);

        memset(&cells[i], 0, sizeof cells[i]);
        if (!f) continue;
        cells[i].text = f->text;
        cells[i].is_number = f->is_number;
        cells[i].number = f->number;
    }
}

bool matches(const struct query *query, const char *text)
{
    struct query_cell cells[300];
    struct row row = row_of(text);

    cells_of(query, &row, cells);
    return query_match_cells(query, cells, NULL);
}

void assert_matches(struct query *query, const char *yes, const char *no)
{
    if (yes && !matches(query, yes)) fail_msg("'%s' should match", yes);
    if (no && matches(query, no)) fail_msg("'%s' should not match", no);
    query_free(query);
}
