/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"

enum { SLOTS_LEAST = 1024, PIECE = 512, LATE_MOST = 64, LARGE = 4096 };

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

/* ---- the list ---- */

typedef struct wal_link *places[WAL_LEVELS];

/* On each level the link to the first row at that key or behind it: from the
 * links of a row before it, or, where they are NULL, from the places of a key
 * that is not behind it. */
static struct wal_row *seek(struct wal_link *links, const struct sought *s,
                            places at)
{
    unsigned level = WAL_LEVELS;

    while (level-- > 0) {
        if (links) at[level] = &links[level];
        while (is_before(at[level], s)) {
            links = at[level]->row->next;
            at[level] = &links[level];
        }
    }
    return at[0]->row;
}

static unsigned height_of(const struct wal_row *row)
{
    return (unsigned)((size_t)(row->key - (const uint8_t *)row->next) /
                      sizeof(struct wal_link));
}

static void link_row(struct wal_row *row, places at)
{
    unsigned level, height = height_of(row);

    for (level = 0; level < height; level++) {
        row->next[level] = *at[level];
        *at[level] = (struct wal_link){row, row->lead};
    }
}

static int by_key(const void *a, const void *b)
{
    const struct wal_link *x = a, *y = b;
    struct sought s = sought_again(y->row);

    if (x->lead != y->lead) return x->lead < y->lead ? -1 : 1;
    return compare(x->row, &s);
}

/* In order, so the way to one begins where that to the one before it ended. */
static void link_late(struct wal_table *table)
{
    struct wal_link late[LATE_MOST], *links = table->first;
    struct wal_row *row;
    size_t n = 0, i;
    places at;

    if (!table->late) return;
    for (row = table->late; row; row = row->next[0].row)
        late[n++] = (struct wal_link){row, row->lead};
    table->late = NULL;
    table->n_late = 0;
    qsort(late, n, sizeof *late, by_key);
    for (i = 0; i < n; i++, links = NULL) {
        struct sought s = sought_again(late[i].row);

        seek(links, &s, at);
        link_row(late[i].row, at);
    }
}

/* As many slots as rows.  Without memory for them everything is slower. */
static void grow(struct wal_table *table)
{
    size_t n = table->n_slots ? 2 * table->n_slots : SLOTS_LEAST;
    struct wal_row **slots, *row;

    if (table->n <= table->n_slots || table->n < SLOTS_LEAST) return;
    slots = calloc(n, sizeof *slots);
    if (!slots) return;
    link_late(table);
    free(table->slots);
    table->slots = slots;
    table->n_slots = n;
    for (row = table->first[0].row; row; row = row->next[0].row)
        enter(table, row);
}

struct wal_row *wal_table_from(struct wal_table *table, const void *key,
                               size_t len)
{
    struct sought s = sought(table, key, len);
    places at;

    link_late(table);
    return seek(table->first, &s, at);
}

struct wal_row *wal_table_first(struct wal_table *table)
{
    link_late(table);
    return table->first[0].row;
}

static struct wal_row *find(const struct wal_table *table,
                            const struct sought *s)
{
    struct wal_row *row = *slot_of(table, s->hash);

    while (row && (row->hash != s->hash || compare(row, s) != 0))
        row = row->same;
    return row;
}

/* Few rows have no slots, and none of them is late. */
static struct wal_row *find_place(struct wal_table *table,
                                  const struct sought *s, places at)
{
    struct wal_row *row;

    if (table->slots) return find(table, s);
    row = seek(table->first, s, at);
    return row && compare(row, s) == 0 ? row : NULL;
}

struct wal_row *wal_table_find(struct wal_table *table, const void *key,
                               size_t len)
{
    struct sought s = sought(table, key, len);
    places at;

    return find_place(table, &s, at);
}

/* ---- rows ---- */

static void free_row(struct wal_row *row)
{
    if (!row) return;
    free(row->newer);
    free(row);
}

/* The unused levels of a row's block end at its height: only those that it was
 * linked on may be followed, which is what the pointers to it do. */
static struct wal_row *new_row(const struct sought *s, const void *value,
                               size_t len)
{
    size_t links = height_for(s) * sizeof(struct wal_link);
    struct wal_row *row = malloc(sizeof *row + links + s->len + len);

    if (!row) return NULL;
    memset(row, 0, sizeof *row);
    row->key = (uint8_t *)row + sizeof *row + links;
    row->key_len = s->len;
    row->value = row->key + s->len;
    row->len = len;
    row->lead = s->lead;
    row->hash = s->hash;
    if (s->len) memcpy(row->key, s->key, s->len);
    if (len) memcpy(row->value, value, len);
    return row;
}

static void add_row(struct wal_table *table, struct wal_row *row, places at)
{
    table->n++;
    table->weight += wal_row_weight(row);
    if (table->slots) {
        enter(table, row);
        row->next[0].row = table->late;
        table->late = row;
        if (++table->n_late == LATE_MOST) link_late(table);
    } else {
        link_row(row, at);
    }
    grow(table);
}

/* Of one key and one seed, so as high as each other. */
static void swap_rows(struct wal_table *table, struct wal_row *old,
                      struct wal_row *row)
{
    struct sought s = sought_again(old);
    unsigned level, height = height_of(old);
    places at;

    link_late(table);
    seek(table->first, &s, at);
    for (level = 0; level < height; level++) {
        row->next[level] = old->next[level];
        *at[level] = (struct wal_link){row, row->lead};
    }
    if (table->slots) {
        leave(table, old);
        enter(table, row);
    }
    free_row(old);
}

static void hang(struct wal_row *old, struct wal_row *row)
{
    struct wal_row *newer = row->newer ? row->newer : row;

    free(old->newer);
    old->newer = newer;
    old->value = row->value;
    old->len = row->len;
    old->drop = row->drop;
    old->epoch = row->epoch;
    if (row != newer) free(row);
}

/* What `row` says, in the place of what `old` does.  The old one's block stays
 * where it is small: one that is renewed in each log is never merged and would
 * keep a large one for ever. */
static void replace(struct wal_table *table, struct wal_row *old,
                    struct wal_row *row)
{
    table->weight += wal_row_weight(row);
    table->weight -= wal_row_weight(old);
    if (old->newer || old->len <= LARGE) {
        hang(old, row);
    } else {
        swap_rows(table, old, row);
    }
}

int wal_table_put(struct wal_table *table, const void *key, size_t key_len,
                  const void *value, size_t len, bool drop)
{
    struct sought s = sought(table, key, key_len);
    struct wal_row *row = new_row(&s, value, len), *old;
    places at;

    if (!row) return XN_ENOMEM;
    row->drop = drop;
    old = find_place(table, &s, at);
    if (old) {
        replace(table, old, row);
    } else {
        add_row(table, row, at);
    }
    return 0;
}

size_t wal_table_take(struct wal_table *table, struct wal_table *from,
                      uint64_t epoch)
{
    struct wal_row *row = wal_table_first(from), *next, *old;
    size_t older = 0;
    places at;

    for (; row; row = next) {
        struct sought s = sought_again(row);

        next = row->next[0].row;
        row->epoch = epoch;
        old = find_place(table, &s, at);
        if (old) {
            if (old->epoch < epoch) older += wal_row_weight(old);
            replace(table, old, row);
        } else {
            add_row(table, row, at);
        }
    }
    free(from->slots);
    *from = (struct wal_table){.seed = from->seed};
    return older;
}

void wal_table_remove(struct wal_table *table, struct wal_row **rows, size_t n)
{
    struct wal_link *links = table->first;
    places at;
    size_t i;

    link_late(table);
    for (i = 0; i < n; i++, links = NULL) {
        struct wal_row *row = rows[i];
        struct sought s = sought_again(row);
        unsigned level, height = height_of(row);

        seek(links, &s, at);
        for (level = 0; level < height; level++)
            *at[level] = row->next[level];
        leave(table, row);
        table->n--;
        table->weight -= wal_row_weight(row);
        free_row(row);
    }
}

void wal_table_clear(struct wal_table *table)
{
    struct wal_row *row = wal_table_first(table), *next;

    for (; row; row = next) {
        next = row->next[0].row;
        free_row(row);
    }
    free(table->slots);
    *table = (struct wal_table){.seed = table->seed};
}
