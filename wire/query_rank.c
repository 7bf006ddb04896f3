/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order of matches. */
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

void query_rank_cells(const struct query *query, const struct query_cell *cells,
                      const xn_id *server, struct query_rank *rank_out)
{
    const struct query_cell *cell;

    memset(rank_out, 0, sizeof *rank_out);
    rank_out->server = *server;
    if (!query->sorts) return;
    if (query->sorts_total) {
        rank_out->is_number = query_total(query, cells, &rank_out->number);
        rank_out->absent = !rank_out->is_number;
        return;
    }
    cell = &cells[query->sort_at];
    rank_out->absent = !cell->text;
    if (!cell->text) return;
    rank_out->is_number = cell->is_number;
    if (cell->is_number) rank_out->number = cell->number;
    rank_out->text = cell->text;
}

static int by_key(const struct query *query, const struct query_rank *a,
                  const struct query_rank *b)
{
    int order;

    if (a->absent || b->absent) return a->absent - b->absent;
    if (a->is_number != b->is_number) return b->is_number - a->is_number;
    order = a->is_number ? xn_dec_cmp(a->number, b->number)
                         : strcmp(a->text, b->text);
    order = (order > 0) - (order < 0);
    return query->descending ? -order : order;
}

int query_rank_cmp(const struct query *query, const struct query_rank *a,
                   const struct query_rank *b)
{
    int order = query->sorts ? by_key(query, a, b) : 0;

    return order ? order : xn_id_cmp(&a->server, &b->server);
}

void query_cursor_write(const struct query_rank *rank,
                        char number[XN_DEC_TEXT_MAX], Xn__Cursor *cursor_out)
{
    const char *value = rank->text;

    xn__cursor__init(cursor_out);
    cursor_out->absent = rank->absent;
    cursor_out->server = xn_id_bytes(&rank->server);
    if (rank->is_number) {
        xn_dec_format(rank->number, number);
        value = number;
    }
    if (value) cursor_out->value = (char *)(uintptr_t)value;
}

/* A value's kind is as when an advertisement is read: by the token where our
 * schema knows it, else a number if it looks like one. */
int query_cursor_read(const struct query *query, const Xn__Cursor *cursor,
                      struct query_rank *rank_out)
{
    const struct xn_token_info *info = NULL;
    bool total = query->sorts_total;
    size_t len = strnlen(cursor->value, XN_VALUE_MAX + 1);

    memset(rank_out, 0, sizeof *rank_out);
    if (len > XN_VALUE_MAX) return XN_EINVAL;
    if (xn_id_from_bytes(&cursor->server, &rank_out->server)) return XN_EINVAL;
    rank_out->absent = cursor->absent;
    if (!query->sorts || cursor->absent) return 0;
    if (!total) info = xn_token_info(query->tokens[query->sort_at].name);
    if (!info || info->type != XN_TOKEN_STRING) {
        rank_out->is_number =
            xn_dec_parse(cursor->value, len, &rank_out->number) == 0;
    }
    if (total && !rank_out->is_number) return XN_EINVAL;
    rank_out->text = cursor->value;
    return 0;
}
