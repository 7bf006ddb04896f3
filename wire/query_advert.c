/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A query against a whole advertisement, row by row. */
#include "wire/query_impl.h"

static void fill(const struct query *query, const struct advert_row *row,
                 struct query_cell *cells)
{
    size_t i;

    for (i = 0; i < query->n_tokens; i++) {
        const struct advert_value *value =
            advert_row_get(row, query->tokens[i].name);

        cells[i] = (struct query_cell){NULL, false, {0}};
        if (!value) continue;
        cells[i].text = value->text;
        cells[i].is_number = value->is_number;
        cells[i].number = value->number;
    }
}

bool query_match_advert(const struct query *query, const struct advert *advert,
                        const xn_id *server, struct query_rank *rank_out)
{
    struct query_cell cells[QUERY_TOKENS_MAX];
    struct query_rank rank;
    bool found = false;
    size_t i;

    for (i = 0; i < advert->n_rows; i++) {
        fill(query, &advert->rows[i], cells);
        if (!query_match_cells(query, cells, NULL)) continue;
        query_rank_cells(query, cells, server, &rank);
        if (!found || query_rank_cmp(query, &rank, rank_out) < 0) {
            *rank_out = rank;
        }
        found = true;
    }
    return found;
}

bool query_total_advert(const struct query *query, const struct advert *advert,
                        xn_dec *total_out)
{
    struct query_cell cells[QUERY_TOKENS_MAX];
    bool found = false;
    xn_dec total;
    size_t i;

    for (i = 0; i < advert->n_rows; i++) {
        fill(query, &advert->rows[i], cells);
        if (!query_match_cells(query, cells, NULL)) continue;
        if (!query_total(query, cells, &total)) continue;
        if (!found || xn_dec_cmp(total, *total_out) < 0) *total_out = total;
        found = true;
    }
    return found;
}
