/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A FIND is one walk over the rows that have its token.  Which columns it
 * needs is settled once; a row then costs a 4-byte read for each. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

static const struct xis_column no_column;

int xis_scan_start(struct xis_scan *scan, struct xis *xis,
                   const struct query *query, const struct xis_token *shard,
                   uint64_t wall_us)
{
    const struct query_token *tokens;
    size_t i;

    scan->xis = xis;
    scan->query = query;
    scan->wall_us = wall_us;
    scan->shard = shard ? &shard->column : &no_column;
    scan->n_tokens = query_tokens(query, &tokens);
    scan->over = (struct xis_cursor){scan->shard, 0};
    scan->row = 0;
    if (scan->n_tokens > XIS_CELLS_MAX) return XN_ETOOBIG;
    for (i = 0; i < scan->n_tokens; i++) {
        const struct xis_token *token = xis_token_find(xis, tokens[i].name);

        scan->cursors[i] =
            (struct xis_cursor){token ? &token->column : NULL, 0};
        scan->cells[i] = (struct query_cell){0};
    }
    return 0;
}

struct xis_ad *xis_scan_next(struct xis_scan *scan)
{
    const struct xis_rows *rows = &scan->xis->rows;
    uint32_t row = scan->row;
    size_t i;

    for (;; row++) {
        row = xis_cursor_next(&scan->over, row);
        if (row >= rows->n) return NULL;
        if (rows->until_us[row] > scan->wall_us) break;
    }
    for (i = 0; i < scan->n_tokens; i++) {
        uint32_t id = xis_cursor_at(&scan->cursors[i], row);

        if (id)
            scan->cells[i] = scan->cursors[i].column->values[id].cell;
        else
            scan->cells[i].text = NULL;
    }
    scan->row = row + 1;
    return rows->ad[row];
}

/* ---- one FIND */

struct find {
    const Xn__Find *ask;
    struct query *query;
    struct query_rank after; /* where has_after */
    bool has_after;
    struct xis_scan scan;
    struct xis_top top;
    uint64_t known, matching, ranked, other_currency;
    /* The ad that the rows now belong to. */
    const struct xis_ad *ad;
    bool match, other;
    struct query_rank best;
};

/* All rows of an ad have been seen. */
static void end_ad(struct find *f)
{
    if (!f->ad) return;
    f->known++;
    if (!f->match) {
        if (f->other) f->other_currency++;
        return;
    }
    f->matching++;
    if (f->has_after && query_rank_cmp(f->query, &f->best, &f->after) <= 0) {
        return;
    }
    f->ranked++;
    xis_top_add(&f->top, &f->best, f->ad);
}

static void see_row(struct find *f)
{
    const struct query_cell *cells = f->scan.cells;
    struct query_rank rank;

    if (!query_match_cells(f->query, cells, NULL)) {
        /* A matching row outweighs. */
        if (!f->match && !f->other && query_uses_price(f->query)) {
            f->other = query_match_any_currency(f->query, cells);
        }
        return;
    }
    query_rank_cells(f->query, cells, &f->ad->server, &rank);
    if (!f->match || query_rank_cmp(f->query, &rank, &f->best) < 0) {
        f->best = rank;
    }
    f->match = true;
}

static void walk(struct find *f)
{
    const struct xis_ad *ad;

    while ((ad = xis_scan_next(&f->scan)) != NULL) {
        if (ad != f->ad) {
            end_ad(f);
            f->ad = ad;
            f->match = f->other = false;
        }
        see_row(f);
    }
    end_ad(f);
}

/* ---- the answer */

static bool ad_fits(const struct xis_ad *ad, size_t *bytes)
{
    *bytes += ad->envelope->len + ad->lease->len + 24;
    return *bytes <= XIS_ANSWER_BYTES_MAX;
}

static int give_ads(struct find *f, Xn__Found *found)
{
    size_t n = f->top.n, i, bytes = 0;
    Xn__SignedAd *rows;

    if (f->ask->offset >= n) return 0;
    n -= f->ask->offset;
    found->ads = calloc(n, sizeof *found->ads);
    rows = calloc(n, sizeof *rows);
    if (!found->ads || !rows) {
        free(rows);
        return XN_ENOMEM;
    }
    found->ads[0] = rows; /* by which xis_found_free finds them */
    for (i = 0; i < n; i++) {
        const struct xis_ad *ad = f->top.heap[f->ask->offset + i].ad;

        if (!ad_fits(ad, &bytes)) break;
        xn__signed_ad__init(&rows[i]);
        rows[i].envelope = xis_blob_bytes(ad->envelope);
        rows[i].lease = xis_blob_bytes(ad->lease);
        found->ads[i] = &rows[i];
    }
    found->n_ads = i;
    return 0;
}

/* Least and greatest number of the shard's own token. */
static int give_summary(const struct find *f, uint64_t wall_us,
                        const struct xis_token *shard, Xn__Found *found)
{
    struct xis_cursor cursor = {f->scan.shard, 0};
    const struct xis_rows *rows = &f->scan.xis->rows;
    xn_dec min = {0}, max = {0};
    bool any = false;
    uint32_t row;
    char text[XN_DEC_TEXT_MAX];
    Xn__Summary *sum = malloc(sizeof *sum);

    if (!sum) return XN_ENOMEM;
    xn__summary__init(sum);
    found->summary = sum;
    sum->ads = f->known;
    for (row = 0; shard; row++) {
        const struct query_cell *cell;

        row = xis_cursor_next(&cursor, row);
        if (row >= rows->n) break;
        if (rows->until_us[row] <= wall_us) continue;
        cell = &cursor.column->values[xis_cursor_at(&cursor, row)].cell;
        if (!cell->is_number) continue;
        if (!any || xn_dec_cmp(cell->number, min) < 0) min = cell->number;
        if (!any || xn_dec_cmp(cell->number, max) > 0) max = cell->number;
        any = true;
    }
    sum->token = strdup(f->ask->token);
    if (any) xn_dec_format(min, text);
    sum->min = strdup(any ? text : "");
    if (any) xn_dec_format(max, text);
    sum->max = strdup(any ? text : "");
    return sum->token && sum->min && sum->max ? 0 : XN_ENOMEM;
}

static int give(struct find *f, uint64_t wall_us, const struct xis_token *shard,
                Xn__Found *found)
{
    int rc;

    rc = f->top.rc;
    if (rc) return rc;
    xis_top_sort(&f->top);
    rc = give_ads(f, found);
    if (rc) return rc;
    found->matching = f->matching;
    found->known = f->known;
    found->other_currency = f->other_currency;
    found->more = f->ranked > (uint64_t)f->ask->offset + found->n_ads;
    found->epoch = 1;
    rc = give_summary(f, wall_us, shard, found);
    if (rc || !f->ask->explain) return rc;
    return xis_explain(f->scan.xis, f->query, shard, wall_us, found);
}

/* ---- by id */

static int get_check(const Xn__Find *ask, xn_id *server_out)
{
    char shard[XN_TOKEN_SERVER_SIZE];
    int rc = xn_id_from_bytes(&ask->server, server_out);

    if (rc) return rc;
    xn_token_server(server_out, shard);
    return strcmp(ask->token, shard) ? XN_EINVAL : 0;
}

/* One server's ad, if it is live. */
static int get(struct xis *xis, const struct xn_now *now, const xn_id *server,
               Xn__Found *found)
{
    const struct xis_ad *ad = xis_ad_find(xis, server);
    Xn__SignedAd *row;

    found->epoch = 1;
    if (!ad || !xis_ad_live(ad, now)) return 0;
    found->ads = calloc(1, sizeof *found->ads);
    row = malloc(sizeof *row);
    if (!found->ads || !row) {
        free(row);
        return XN_ENOMEM;
    }
    xn__signed_ad__init(row);
    row->envelope = xis_blob_bytes(ad->envelope);
    row->lease = xis_blob_bytes(ad->lease);
    found->ads[0] = row;
    found->n_ads = 1;
    found->matching = found->known = 1;
    return 0;
}

static int find_by_id(struct xis *xis, const struct xn_now *now,
                      const Xn__Find *ask, Xn__Found **found_out)
{
    Xn__Found *found;
    xn_id server;
    int rc = get_check(ask, &server);

    if (rc) return rc;
    found = malloc(sizeof *found);
    if (!found) return XN_ENOMEM;
    xn__found__init(found);
    rc = get(xis, now, &server, found);
    if (rc) {
        xis_found_free(found);
        return rc;
    }
    *found_out = found;
    return 0;
}

static int find_check(const Xn__Find *ask)
{
    if (!xn_token_valid(ask->token, strlen(ask->token))) return XN_EINVAL;
    /* Every trie is one root: there is no node below it. */
    if (ask->prefix.len) return XN_EINVAL;
    /* Each one skipped has a place in the heap. */
    if (ask->offset > QUERY_OFFSET_MAX) return XN_EINVAL;
    return 0;
}

int xis_find(struct xis *xis, const struct xn_now *now, const Xn__Find *ask,
             Xn__Found **found_out)
{
    static const Xn__Query everything = XN__QUERY__INIT;
    const struct xis_token *shard;
    struct find *f = NULL;
    Xn__Found *found = NULL;
    int rc;

    rc = find_check(ask);
    if (rc) return rc;
    /* With a clock that is wrong live ads look dead, or not yet born. */
    if (!xis->loaded || ov_clock_off_s(xis->ov) ||
        !xis_name_settled(xis, now, ask->token)) {
        return XN_ENOTYET;
    }
    if (ask->server.len) return find_by_id(xis, now, ask, found_out);
    rc = XN_ENOMEM;
    f = calloc(1, sizeof *f);
    found = malloc(sizeof *found);
    if (!f || !found) goto out;
    xn__found__init(found);
    f->ask = ask;
    rc = query_from_proto(ask->query ? ask->query : &everything, &f->query);
    if (rc) goto out;
    if (ask->after) {
        rc = query_cursor_read(f->query, ask->after, &f->after);
        if (rc) goto out;
        f->has_after = true;
    }
    shard = xis_token_find(xis, ask->token);
    rc = xis_scan_start(&f->scan, xis, f->query, shard, now->wall_us);
    if (rc) goto out;
    f->top.query = f->query;
    f->top.max = ask->limit < XIS_FIND_MAX ? ask->limit : XIS_FIND_MAX;
    if (f->top.max) f->top.max += ask->offset;
    walk(f);
    rc = give(f, now->wall_us, shard, found);
    if (rc) goto out;
    *found_out = found;
    found = NULL;
out:
    if (f) {
        xis_top_clear(&f->top);
        query_free(f->query);
    }
    free(f);
    xis_found_free(found);
    return rc;
}

void xis_found_free(Xn__Found *found)
{
    if (!found) return;
    if (found->ads) free(found->ads[0]);
    free(found->ads);
    if (found->summary) {
        free(found->summary->token);
        free(found->summary->min);
        free(found->summary->max);
        free(found->summary);
    }
    xis_conditions_free(found);
    free(found);
}
