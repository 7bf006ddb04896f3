/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"

struct sought {
    uint64_t lead;
    const uint8_t *key;
    size_t len;
};

static struct sought sought(const uint8_t *key, size_t len)
{
    struct sought s = {0, key, len};
    uint8_t lead[8] = {0};

    if (len) memcpy(lead, key, len < sizeof lead ? len : sizeof lead);
    memcpy(&s.lead, lead, sizeof lead);
    s.lead = be64toh(s.lead);
    return s;
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

/* One level more for every fourth row.  It follows from the key, so that rows
 * of many small tables make a good large one. */
static unsigned height_for(const struct sought *s)
{
    uint64_t bits = s->len;
    unsigned height = 1;
    size_t i;

    for (i = 0; i < s->len; i++)
        bits = (bits ^ s->key[i]) * 0x100000001b3ULL;
    bits = xn_rng_mix(bits, s->lead);
    for (; (bits & 3) == 0 && height < WAL_LEVELS; bits >>= 2)
        height++;
    return height;
}

typedef struct wal_row **places[WAL_LEVELS];

/* On each level the pointer to the first row at that key or behind it. */
static struct wal_row *seek(struct wal_table *table, const struct sought *s,
                            places at)
{
    struct wal_row **links = table->first;
    unsigned level = WAL_LEVELS;

    while (level-- > 0) {
        while (links[level] && compare(links[level], s) < 0)
            links = links[level]->next;
        at[level] = &links[level];
    }
    return *at[0];
}

struct wal_row *wal_table_from(const struct wal_table *table, const void *key,
                               size_t len)
{
    struct wal_row *const *links = table->first;
    struct sought s = sought(key, len);
    unsigned level = WAL_LEVELS;

    while (level-- > 0) {
        while (links[level] && compare(links[level], &s) < 0)
            links = links[level]->next;
    }
    return links[0];
}

struct wal_row *wal_table_find(const struct wal_table *table, const void *key,
                               size_t len)
{
    struct wal_row *row = wal_table_from(table, key, len);

    return row && row->key_len == len &&
                   (len == 0 || memcmp(row->key, key, len) == 0)
               ? row
               : NULL;
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
    size_t links = height * sizeof(struct wal_row *);
    struct wal_row *row = malloc(sizeof *row + links + s->len + 1);

    if (!row) return NULL;
    memset(row, 0, sizeof *row);
    row->key = (uint8_t *)row + sizeof *row + links;
    row->key_len = s->len;
    row->lead = s->lead;
    if (s->len) memcpy(row->key, s->key, s->len);
    return row;
}

static void link_row(struct wal_table *table, struct wal_row *row,
                     unsigned height, places at)
{
    unsigned level;

    for (level = 0; level < height; level++) {
        row->next[level] = *at[level];
        *at[level] = row;
    }
    table->n++;
}

static unsigned height_of(const struct wal_row *row)
{
    return (unsigned)((size_t)(row->key - (const uint8_t *)row->next) /
                      sizeof(struct wal_row *));
}

int wal_table_put(struct wal_table *table, const void *key, size_t key_len,
                  const void *value, size_t len, bool drop)
{
    places at;
    struct sought s = sought(key, key_len);
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
    free(row->value);
    row->value = copy;
    row->len = len;
    row->drop = drop;
    return 0;
}

size_t wal_table_take(struct wal_table *table, struct wal_table *from,
                      uint64_t epoch)
{
    struct wal_row *row = from->first[0], *next, *old;
    size_t older = 0;
    places at;

    for (; row; row = next) {
        struct sought s = {row->lead, row->key, row->key_len};

        next = row->next[0];
        row->epoch = epoch;
        old = seek(table, &s, at);
        if (!old || compare(old, &s) != 0) {
            link_row(table, row, height_of(row), at);
            continue;
        }
        older += old->epoch < epoch;
        free(old->value);
        old->value = row->value;
        old->len = row->len;
        old->drop = row->drop;
        old->epoch = epoch;
        free(row);
    }
    memset(from->first, 0, sizeof from->first);
    from->n = 0;
    return older;
}

void wal_table_remove(struct wal_table *table, struct wal_row *row)
{
    struct sought s = {row->lead, row->key, row->key_len};
    unsigned level, height = height_of(row);
    places at;

    seek(table, &s, at);
    for (level = 0; level < height; level++)
        *at[level] = row->next[level];
    table->n--;
    free_row(row);
}

void wal_table_clear(struct wal_table *table)
{
    struct wal_row *row = table->first[0], *next;

    for (; row; row = next) {
        next = row->next[0];
        free_row(row);
    }
    memset(table->first, 0, sizeof table->first);
    table->n = 0;
}
