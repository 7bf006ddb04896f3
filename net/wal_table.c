/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"

enum { SLOTS_LEAST = 1024, PIECE = 512 };

struct sought {
    uint64_t lead, hash;
    const uint8_t *key;
    size_t len;
};

/* Up to eight bytes, as if zeros followed. */
static uint64_t word_at(const uint8_t *key, size_t len)
{
    uint64_t word = 0;

    if (len >= sizeof word)
        memcpy(&word, key, sizeof word);
    else if (len)
        memcpy(&word, key, len);
    return be64toh(word);
}

static uint64_t hash_of(uint64_t seed, const uint8_t *key, size_t len)
{
    uint64_t hash = xn_rng_mix(seed, len);

    for (; len > 8; key += 8, len -= 8)
        hash = xn_rng_mix(hash, word_at(key, len));
    return xn_rng_mix(hash, word_at(key, len));
}

static struct sought sought(const struct wal_table *table, const uint8_t *key,
                            size_t len)
{
    return (struct sought){word_at(key, len), hash_of(table->seed, key, len),
                           key, len};
}

static struct sought sought_again(const struct wal_row *row)
{
    return (struct sought){row->lead, row->hash, row->key, row->key_len};
}

static inline int compare(const struct wal_row *row, const struct sought *s)
{
    size_t common;
    int d;

    if (row->lead != s->lead) return row->lead < s->lead ? -1 : 1;
    common = row->key_len < s->len ? row->key_len : s->len;
    d = common ? memcmp(row->key, s->key, common) : 0;
    if (d) return d;
    return (row->key_len > s->len) - (row->key_len < s->len);
}

static inline bool is_before(const struct wal_link *link,
                             const struct sought *s)
{
    if (!link->row) return false;
    return link->lead != s->lead ? link->lead < s->lead
                                 : compare(link->row, s) < 0;
}

/* One level more for every fourth row.  It follows from the key, so that rows
 * of many small tables make a good large one. */
static unsigned height_for(const struct sought *s)
{
    uint64_t bits = s->hash >> 32; /* the slot is in the others */
    unsigned height = 1;

    for (; (bits & 3) == 0 && height < WAL_LEVELS; bits >>= 2)
        height++;
    return height;
}

size_t wal_row_weight(const struct wal_row *row)
{
    return 1 + row->len / PIECE;
}

/* ---- the slots ---- */

static struct wal_row **slot_of(const struct wal_table *table, uint64_t hash)
{
    return &table->slots[hash & (table->n_slots - 1)];
}

static void enter(struct wal_table *table, struct wal_row *row)
{
    struct wal_row **slot = slot_of(table, row->hash);

    row->same = *slot;
    *slot = row;
}

static void leave(struct wal_table *table, const struct wal_row *row)
{
    struct wal_row **at;

    if (!table->slots) return;
    at = slot_of(table, row->hash);
    while (*at != row)
        at = &(*at)->same;
    *at = row->same;
}

/* As many slots as rows.  Without memory for them everything is slower. */
static void grow(struct wal_table *table)
{
    size_t n = table->n_slots ? 2 * table->n_slots : SLOTS_LEAST;
    struct wal_row **slots, *row;

    if (table->n <= table->n_slots || table->n < SLOTS_LEAST) return;
    slots = calloc(n, sizeof *slots);
    if (!slots) return;
    free(table->slots);
    table->slots = slots;
    table->n_slots = n;
    for (row = table->first[0].row; row; row = row->next[0].row)
        enter(table, row);
}

/* ---- the list ---- */

typedef struct wal_link *places[WAL_LEVELS];

/* On each level the link to the first row at that key or behind it. */
static struct wal_row *seek(struct wal_table *table, const struct sought *s,
                            places at)
{
    struct wal_link *links = table->first;
    unsigned level = WAL_LEVELS;

    while (level-- > 0) {
        while (is_before(&links[level], s))
            links = links[level].row->next;
        at[level] = &links[level];
    }
    return at[0]->row;
}

struct wal_row *wal_table_from(const struct wal_table *table, const void *key,
                               size_t len)
{
    const struct wal_link *links = table->first;
    struct sought s = sought(table, key, len);
    unsigned level = WAL_LEVELS;

    while (level-- > 0) {
        while (is_before(&links[level], &s))
            links = links[level].row->next;
    }
    return links[0].row;
}

static struct wal_row *find(const struct wal_table *table,
                            const struct sought *s)
{
    struct wal_row *row;

    if (!table->slots) {
        row = wal_table_from(table, s->key, s->len);
        return row && compare(row, s) == 0 ? row : NULL;
    }
    row = *slot_of(table, s->hash);
    while (row && (row->hash != s->hash || compare(row, s) != 0))
        row = row->same;
    return row;
}

struct wal_row *wal_table_find(const struct wal_table *table, const void *key,
                               size_t len)
{
    struct sought s = sought(table, key, len);

    return find(table, &s);
}

static void free_row(struct wal_row *row)
{
    if (!row) return;
    free(row->value);
    free(row);
}

/* The unused levels of a row's block end at its height: only those that it was
 * linked on may be followed, which is what the pointers to it do. */
static struct wal_row *new_row(const struct sought *s, unsigned height)
{
    size_t links = height * sizeof(struct wal_link);
    struct wal_row *row = malloc(sizeof *row + links + s->len + 1);

    if (!row) return NULL;
    memset(row, 0, sizeof *row);
    row->key = (uint8_t *)row + sizeof *row + links;
    row->key_len = s->len;
    row->lead = s->lead;
    row->hash = s->hash;
    if (s->len) memcpy(row->key, s->key, s->len);
    return row;
}

static void link_row(struct wal_table *table, struct wal_row *row,
                     unsigned height, places at)
{
    unsigned level;

    for (level = 0; level < height; level++) {
        row->next[level] = *at[level];
        *at[level] = (struct wal_link){row, row->lead};
    }
    table->n++;
    table->weight += wal_row_weight(row);
    if (table->slots) enter(table, row);
    grow(table);
}

static unsigned height_of(const struct wal_row *row)
{
    return (unsigned)((size_t)(row->key - (const uint8_t *)row->next) /
                      sizeof(struct wal_link));
}

int wal_table_put(struct wal_table *table, const void *key, size_t key_len,
                  const void *value, size_t len, bool drop)
{
    places at;
    struct sought s = sought(table, key, key_len);
    struct wal_row *row = seek(table, &s, at);
    uint8_t *copy = NULL;

    if (len) {
        copy = malloc(len);
        if (!copy) return XN_ENOMEM;
        memcpy(copy, value, len);
    }
    if (!row || compare(row, &s) != 0) {
        unsigned height = height_for(&s);

        row = new_row(&s, height);
        if (!row) {
            free(copy);
            return XN_ENOMEM;
        }
        link_row(table, row, height, at);
    }
    table->weight -= wal_row_weight(row);
    free(row->value);
    row->value = copy;
    row->len = len;
    row->drop = drop;
    table->weight += wal_row_weight(row);
    return 0;
}

/* What `row` says, in the place of what `old` does. */
static void replace(struct wal_row *old, struct wal_row *row)
{
    free(old->value);
    old->value = row->value;
    old->len = row->len;
    old->drop = row->drop;
    old->epoch = row->epoch;
    free(row);
}

size_t wal_table_take(struct wal_table *table, struct wal_table *from,
                      uint64_t epoch)
{
    struct wal_row *row = from->first[0].row, *next, *old;
    size_t older = 0;
    places at;

    for (; row; row = next) {
        struct sought s = sought_again(row);

        next = row->next[0].row;
        row->epoch = epoch;
        old = find(table, &s);
        if (old) {
            if (old->epoch < epoch) older += wal_row_weight(old);
            table->weight -= wal_row_weight(old);
            table->weight += wal_row_weight(row);
            replace(old, row);
        } else {
            seek(table, &s, at);
            link_row(table, row, height_of(row), at);
        }
    }
    free(from->slots);
    *from = (struct wal_table){.seed = from->seed};
    return older;
}

/* They come in order, so the way to one begins where that to the one before it
 * ended. */
void wal_table_remove(struct wal_table *table, struct wal_row **rows, size_t n)
{
    struct sought s;
    places at;
    size_t i;

    if (n == 0) return;
    s = sought_again(rows[0]);
    seek(table, &s, at);
    for (i = 0; i < n; i++) {
        struct wal_row *row = rows[i];
        unsigned level, height = height_of(row);

        s = sought_again(row);
        for (level = 0; level < height; level++) {
            while (is_before(at[level], &s))
                at[level] = &at[level]->row->next[level];
            *at[level] = row->next[level];
        }
        leave(table, row);
        table->n--;
        table->weight -= wal_row_weight(row);
        free_row(row);
    }
}

void wal_table_clear(struct wal_table *table)
{
    struct wal_row *row = table->first[0].row, *next;

    for (; row; row = next) {
        next = row->next[0].row;
        free_row(row);
    }
    free(table->slots);
    *table = (struct wal_table){.seed = table->seed};
}
