/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Columns are dictionary-coded: a cell is 4 bytes, the number of a distinct
 * value that is kept once per column, parsed.  A scan reads the 4-byte cells
 * in order, and offers of one kind share few values, so that both lie in the
 * cache.  A token that few rows have is kept as (row, value) pairs, so that
 * strange tokens cost what they hold. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

/* ---- values */

/* FNV-1a. */
static uint32_t hash_of(const char *text)
{
    uint32_t h = 2166136261U;

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619U;
    return h;
}

static uint32_t slot_of(const struct xis_column *c, uint32_t hash)
{
    return (hash * 2654435769U) & (c->n_slots - 1);
}

static void slot_put(struct xis_column *c, uint32_t id)
{
    uint32_t i = slot_of(c, c->values[id].hash);

    while (c->slots[i])
        i = (i + 1) & (c->n_slots - 1);
    c->slots[i] = id;
}

static int slots_grow(struct xis_column *c)
{
    uint32_t n = c->n_slots ? 2 * c->n_slots : 8, id;
    uint32_t *slots = calloc(n, sizeof *slots);

    if (!slots) return XN_ENOMEM;
    free(c->slots);
    c->slots = slots;
    c->n_slots = n;
    for (id = 1; id < c->n_values; id++) {
        if (c->values[id].refs) slot_put(c, id);
    }
    return 0;
}

static uint32_t value_find(const struct xis_column *c, const char *text,
                           uint32_t hash)
{
    uint32_t i, id;

    if (!c->n_slots) return 0;
    for (i = slot_of(c, hash); (id = c->slots[i]) != 0;
         i = (i + 1) & (c->n_slots - 1)) {
        if (c->values[id].hash == hash &&
            strcmp(c->values[id].cell.text, text) == 0) {
            return id;
        }
    }
    return 0;
}

/* A number for a new value: a free one or the next. 0: out of memory. */
static uint32_t value_number(struct xis_column *c)
{
    uint32_t id = c->free_value;

    if (id) {
        c->free_value = c->values[id].hash;
        return id;
    }
    if (c->n_values == c->cap_values) {
        uint32_t cap = c->cap_values ? 2 * c->cap_values : 4;
        struct xis_value *v = realloc(c->values, cap * sizeof *v);

        if (!v) return 0;
        c->values = v;
        c->cap_values = cap;
    }
    if (c->n_values == 0)
        memset(&c->values[c->n_values++], 0, sizeof *c->values);
    memset(&c->values[c->n_values], 0, sizeof *c->values);
    return c->n_values++;
}

/* Counts one more user of the value; 0: out of memory. */
static uint32_t value_take(struct xis_column *c, const struct query_cell *cell)
{
    uint32_t hash = hash_of(cell->text);
    uint32_t id = value_find(c, cell->text, hash);
    struct xis_value *value;
    char *text;

    if (id) {
        c->values[id].refs++;
        return id;
    }
    if (2 * (c->used_values + 1) > c->n_slots && slots_grow(c)) return 0;
    text = strdup(cell->text);
    if (!text) return 0;
    id = value_number(c);
    if (!id) {
        free(text);
        return 0;
    }
    value = &c->values[id];
    value->cell = *cell;
    value->cell.text = text;
    value->refs = 1;
    value->hash = hash;
    c->used_values++;
    slot_put(c, id);
    return id;
}

/* Empties a slot and moves those behind it that it had pushed on. */
static void slot_remove(struct xis_column *c, uint32_t id)
{
    uint32_t mask = c->n_slots - 1, hole, i;

    hole = slot_of(c, c->values[id].hash);
    while (c->slots[hole] != id)
        hole = (hole + 1) & mask;
    for (i = (hole + 1) & mask; c->slots[i]; i = (i + 1) & mask) {
        uint32_t home = slot_of(c, c->values[c->slots[i]].hash);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            c->slots[hole] = c->slots[i];
            hole = i;
        }
    }
    c->slots[hole] = 0;
}

static void value_drop(struct xis_column *c, uint32_t id)
{
    struct xis_value *value = &c->values[id];

    if (--value->refs) return;
    slot_remove(c, id);
    free((char *)(uintptr_t)value->cell.text);
    memset(value, 0, sizeof *value);
    value->hash = c->free_value;
    c->free_value = id;
    c->used_values--;
}

/* ---- cells */

/* The first entry of a sparse column that is not before `row`. */
static uint32_t lower(const struct xis_column *c, uint32_t row)
{
    uint32_t lo = 0, hi = c->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (c->rows[mid] < row)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int make_dense(struct xis_column *c, uint32_t n_rows)
{
    uint32_t *ids = calloc(n_rows, sizeof *ids), i;

    if (!ids) return XN_ENOMEM;
    for (i = 0; i < c->n; i++)
        ids[c->rows[i]] = c->ids[i];
    free(c->ids);
    free(c->rows);
    c->ids = ids;
    c->rows = NULL;
    c->n = c->cap = n_rows;
    c->dense = true;
    return 0;
}

static int make_sparse(struct xis_column *c)
{
    uint32_t cap = c->used + 8, row, n = 0;
    uint32_t *ids = malloc(cap * sizeof *ids);
    uint32_t *rows = malloc(cap * sizeof *rows);

    if (!ids || !rows) {
        free(ids);
        free(rows);
        return XN_ENOMEM;
    }
    for (row = 0; row < c->n; row++) {
        if (!c->ids[row]) continue;
        rows[n] = row;
        ids[n++] = c->ids[row];
    }
    free(c->ids);
    c->ids = ids;
    c->rows = rows;
    c->n = n;
    c->cap = cap;
    c->dense = false;
    return 0;
}

static int dense_room(struct xis_column *c, uint32_t row, uint32_t n_rows)
{
    uint32_t cap = c->cap + c->cap / 2;
    uint32_t *ids;

    if (row < c->n) return 0;
    if (cap < n_rows) cap = n_rows;
    ids = realloc(c->ids, cap * sizeof *ids);
    if (!ids) return XN_ENOMEM;
    memset(ids + c->n, 0, (cap - c->n) * sizeof *ids);
    c->ids = ids;
    c->n = c->cap = cap;
    return 0;
}

static int sparse_room(struct xis_column *c)
{
    uint32_t cap = c->cap ? 2 * c->cap : 4;
    uint32_t *v;

    if (c->n < c->cap) return 0;
    v = realloc(c->ids, cap * sizeof *v);
    if (!v) return XN_ENOMEM;
    c->ids = v;
    v = realloc(c->rows, cap * sizeof *v);
    if (!v) return XN_ENOMEM;
    c->rows = v;
    c->cap = cap;
    return 0;
}

static void sparse_insert(struct xis_column *c, uint32_t row, uint32_t id)
{
    uint32_t at = lower(c, row);

    memmove(c->rows + at + 1, c->rows + at, (c->n - at) * sizeof *c->rows);
    memmove(c->ids + at + 1, c->ids + at, (c->n - at) * sizeof *c->ids);
    c->rows[at] = row;
    c->ids[at] = id;
    c->n++;
}

int xis_column_set(struct xis_column *c, uint32_t row, uint32_t n_rows,
                   const struct query_cell *cell)
{
    uint32_t id;

    /* A pair is twice a cell, and inserting moves what is behind it. */
    if (!c->dense && c->used >= 16 && c->used >= n_rows / 8) {
        if (make_dense(c, n_rows)) return XN_ENOMEM;
    }
    if (c->dense ? dense_room(c, row, n_rows) : sparse_room(c)) {
        return XN_ENOMEM;
    }
    id = value_take(c, cell);
    if (!id) return XN_ENOMEM;
    if (c->dense)
        c->ids[row] = id;
    else
        sparse_insert(c, row, id);
    c->used++;
    return 0;
}

void xis_column_unset(struct xis_column *c, uint32_t row)
{
    uint32_t at = c->dense ? row : lower(c, row);
    uint32_t id;

    if (at >= c->n || (!c->dense && c->rows[at] != row)) return;
    id = c->ids[at];
    if (!id) return;
    if (c->dense) {
        c->ids[row] = 0;
    } else {
        c->n--;
        memmove(c->rows + at, c->rows + at + 1, (c->n - at) * sizeof *c->rows);
        memmove(c->ids + at, c->ids + at + 1, (c->n - at) * sizeof *c->ids);
    }
    c->used--;
    value_drop(c, id);
    /* Failing to shrink loses nothing. */
    if (c->dense && c->n > 64 && c->used < c->n / 32) make_sparse(c);
}

void xis_column_clear(struct xis_column *c)
{
    uint32_t id;

    for (id = 1; id < c->n_values; id++)
        free((char *)(uintptr_t)c->values[id].cell.text);
    free(c->values);
    free(c->slots);
    free(c->ids);
    free(c->rows);
    memset(c, 0, sizeof *c);
}

uint32_t xis_cursor_at(struct xis_cursor *cursor, uint32_t row)
{
    const struct xis_column *c = cursor->column;

    if (!c) return 0;
    if (c->dense) return row < c->n ? c->ids[row] : 0;
    while (cursor->at < c->n && c->rows[cursor->at] < row)
        cursor->at++;
    if (cursor->at == c->n || c->rows[cursor->at] != row) return 0;
    return c->ids[cursor->at];
}

uint32_t xis_cursor_next(struct xis_cursor *cursor, uint32_t row)
{
    const struct xis_column *c = cursor->column;

    if (c->dense) {
        while (row < c->n && !c->ids[row])
            row++;
        return row < c->n ? row : UINT32_MAX;
    }
    while (cursor->at < c->n && c->rows[cursor->at] < row)
        cursor->at++;
    return cursor->at < c->n ? c->rows[cursor->at] : UINT32_MAX;
}

/* ---- rows */

static int rows_grow(struct xis_rows *rows, uint32_t need)
{
    uint32_t cap = rows->cap ? rows->cap : 16;
    struct xis_ad **ad;
    uint64_t *until_us;

    while (cap < need)
        cap *= 2;
    if (cap == rows->cap) return 0;
    ad = realloc(rows->ad, cap * sizeof *ad);
    if (!ad) return XN_ENOMEM;
    rows->ad = ad;
    until_us = realloc(rows->until_us, cap * sizeof *until_us);
    if (!until_us) return XN_ENOMEM;
    rows->until_us = until_us;
    rows->cap = cap;
    return 0;
}

int xis_rows_take(struct xis_rows *rows, uint32_t n, struct xis_ad *ad,
                  uint32_t *first_out)
{
    struct xis_runs *runs = rows->free ? &rows->free[n - 1] : NULL;
    uint32_t first, i;

    if (runs && runs->n > 0) {
        first = runs->v[--runs->n];
    } else {
        first = rows->n;
        if (rows_grow(rows, rows->n + n)) return XN_ENOMEM;
        rows->n += n;
    }
    for (i = first; i < first + n; i++) {
        rows->ad[i] = ad;
        rows->until_us[i] = 0;
    }
    *first_out = first;
    return 0;
}

/* A run that no memory is there to note is lost until the end: harmless. */
void xis_rows_give(struct xis_rows *rows, uint32_t first, uint32_t n)
{
    struct xis_runs *runs;
    uint32_t i;

    for (i = first; i < first + n; i++) {
        rows->ad[i] = NULL;
        rows->until_us[i] = 0;
    }
    if (first + n == rows->n) {
        rows->n = first;
        return;
    }
    if (!rows->free) rows->free = calloc(ADVERT_ROWS_MAX, sizeof *rows->free);
    if (!rows->free) return;
    runs = &rows->free[n - 1];
    if (runs->n == runs->cap) {
        uint32_t cap = runs->cap ? 2 * runs->cap : 4;
        uint32_t *v = realloc(runs->v, cap * sizeof *v);

        if (!v) return;
        runs->v = v;
        runs->cap = cap;
    }
    runs->v[runs->n++] = first;
}

void xis_rows_clear(struct xis_rows *rows)
{
    size_t k;

    for (k = 0; rows->free && k < ADVERT_ROWS_MAX; k++)
        free(rows->free[k].v);
    free(rows->free);
    free(rows->ad);
    free(rows->until_us);
    memset(rows, 0, sizeof *rows);
}
