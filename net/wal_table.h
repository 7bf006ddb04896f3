/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records that are durable in the log and not yet in the store: a skip list
 * (Pugh, "Skip lists", CACM 33(6), 1990) in the order of their keys, as bytes,
 * and, where there are many, a hash table beside it: most are looked for by the
 * whole key, and a way down the list is a dozen rows that are in no cache.
 * A record that is gone has a row too. */
#ifndef NET_WAL_TABLE_H
#define NET_WAL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WAL_LEVELS = 14 };

/* To the next row of a level, and its key's first bytes: mostly they tell the
 * order, and the row is not looked at, which would be in no cache. */
struct wal_link {
    struct wal_row *row;
    uint64_t lead;
};

struct wal_row {
    uint64_t lead;        /* the key's first bytes */
    uint64_t hash;        /* of the key */
    struct wal_row *same; /* next with that slot */
    uint8_t *key;         /* in this block */
    uint8_t *value;       /* in this block or in that of `newer` */
    size_t key_len, len;
    struct wal_row *newer; /* in no table: only its value is used; NULL */
    bool drop;
    uint64_t epoch; /* of the log that says so */
    struct wal_link next[];
};

struct wal_table {
    struct wal_link first[WAL_LEVELS]; /* see wal_table_first */
    struct wal_row *late; /* in the slots and not in the list, by next[0]:
                             many at a time find their places sooner */
    size_t n_late;
    size_t n;
    size_t weight; /* of all rows */
    uint64_t
        seed; /* the owner's, the same for tables that take each other's rows:
                      who chooses keys should not know where they go */
    struct wal_row **slots; /* by hash; NULL: few rows, or no memory */
    size_t n_slots;         /* a power of two */
};

/* What a row takes of the time of merging, which goes into one sync for each page
 * that is changed: a long record has pages to itself. */
size_t wal_row_weight(const struct wal_row *row);

void wal_table_clear(struct wal_table *table); /* empty and usable; the seed
                                                   stays */
struct wal_row *wal_table_find(struct wal_table *table, const void *key,
                               size_t len);
/* The first row at that key or behind it; NULL.  From there, and from no row that
 * was only found, next[0] leads on, as long as nothing is added. */
struct wal_row *wal_table_from(struct wal_table *table, const void *key,
                               size_t len);
struct wal_row *wal_table_first(struct wal_table *table);
/* In the place of what was there; copies both.  XN_ENOMEM. */
int wal_table_put(struct wal_table *table, const void *key, size_t key_len,
                  const void *value, size_t len, bool drop);
/* All rows of `from`, as of that epoch, in the place of what is there; `from`
 * is empty then.  Cannot fail.  Returns the weight of the rows of the epoch
 * before that it replaced. */
size_t wal_table_take(struct wal_table *table, struct wal_table *from,
                      uint64_t epoch);
/* Rows of the table, in its order: the way to one begins at the one before. */
void wal_table_remove(struct wal_table *table, struct wal_row **rows, size_t n);

#endif
