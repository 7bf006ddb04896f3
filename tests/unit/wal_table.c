/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is pending between the log and the store: many rows, found by their keys
 * and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/wal_table.h"

enum { ROWS = 6000, DRAFT = 60 };

/* A key of 1 to 40 bytes; the first say little. */
static size_t key_of(unsigned n, char key[48])
{
    return (size_t)snprintf(key, 48, "row%0*u", (int)(n * 7 % 36), n);
}

static void put_row(struct wal_table *table, unsigned n, unsigned value)
{
    char key[48];

    assert_int_equal(wal_table_put(table, key, key_of(n, key), &value,
                                   sizeof value, n % 5 == 0),
                     0);
}

/* Rows 0 to ROWS in drafts, every second one of them twice. */
static void fill_table(struct wal_table *table)
{
    struct wal_table draft = {.n = 0};
    unsigned n;

    for (n = 0; n < ROWS; n++) {
        put_row(&draft, n * 769 % ROWS, n);
        if (n % 2) put_row(&draft, (n - 1) * 769 % ROWS, n);
        if (n % DRAFT == 0 || n + 1 == ROWS) wal_table_take(table, &draft, 1);
    }
    assert_int_equal(draft.n, 0);
}

static unsigned value_of(const struct wal_row *row)
{
    unsigned value;

    assert_int_equal(row->len, sizeof value);
    memcpy(&value, row->value, sizeof value);
    return value;
}

/* All but every `gone`-th, each by its key and in order. */
static void check_table(struct wal_table *table, unsigned gone)
{
    const struct wal_row *row;
    size_t left = 0;
    char key[48];
    unsigned n;

    for (n = 0; n < ROWS; n++) {
        unsigned at = n * 769 % ROWS;
        size_t len = key_of(at, key);

        row = wal_table_find(table, key, len);
        assert_int_equal(row != NULL, (at + 1) % gone != 0);
        if (!row) continue;
        left++;
        assert_int_equal(value_of(row), n + (n % 2 == 0));
        assert_int_equal(row->drop, at % 5 == 0);
        assert_ptr_equal(wal_table_from(table, key, len), row);
    }
    assert_int_equal(table->n, left);
    for (row = wal_table_first(table); row; row = row->next[0].row) {
        left--;
        if (!row->next[0].row) break;
        n = memcmp(row->key, row->next[0].row->key,
                   row->key_len < row->next[0].row->key_len
                       ? row->key_len
                       : row->next[0].row->key_len) < 0;
        assert_true(n || row->key_len < row->next[0].row->key_len);
    }
    assert_int_equal(left, 0);
}

static void table_of_many(void **state)
{
    static struct wal_row *rows[ROWS];
    struct wal_table table = {.n = 0};
    struct wal_row *row;
    char key[48];
    size_t n = 0, from;

    fill_table(&table);
    assert_non_null(table.slots);
    check_table(&table, ROWS + 1);
    for (row = wal_table_first(&table); row; row = row->next[0].row) {
        memcpy(key, row->key, row->key_len);
        key[row->key_len] = 0;
        if (strtoul(key + 3, NULL, 10) % 3 == 2) rows[n++] = row;
    }
    for (from = 0; from < n; from += 100) {
        wal_table_remove(&table, rows + from, n - from < 100 ? n - from : 100);
    }
    check_table(&table, 3);
    wal_table_clear(&table);
    assert_int_equal(table.n, 0);
}

static void put_long(struct wal_table *table, unsigned n, size_t len, int fill)
{
    static uint8_t value[5000];
    char key[48];

    memset(value, fill, len);
    assert_int_equal(
        wal_table_put(table, key, key_of(n, key), value, len, false), 0);
}

static const struct wal_row *see(struct wal_table *table, unsigned n,
                                 size_t len, int fill)
{
    char key[48];
    const struct wal_row *row = wal_table_find(table, key, key_of(n, key));
    size_t i;

    assert_non_null(row);
    assert_int_equal(row->len, len);
    for (i = 0; i < len; i++)
        assert_int_equal(row->value[i], fill);
    return row;
}

/* Whether the new value comes in the same draft or in a later one: a large one
 * before it is not kept, a small one is. */
static void values_renewed(void **state)
{
    static const size_t lens[] = {1, 5000, 2, 300, 5000, 5000, 0, 3};
    enum { N = sizeof lens / sizeof *lens };
    struct wal_table table = {.n = 0}, draft = {.n = 0};
    const struct wal_row *small, *large;
    unsigned i, n;

    fill_table(&table);
    for (n = 0; n < ROWS; n += 50) {
        for (i = 0; i < N; i++) {
            put_long(&draft, n, lens[i], (int)i);
            see(&draft, n, lens[i], (int)i);
            if (i % 3 == n / 50 % 3) wal_table_take(&table, &draft, i);
        }
        wal_table_take(&table, &draft, N);
        small = see(&table, n, 3, N - 1);
        put_long(&draft, n, 5000, 77);
        wal_table_take(&table, &draft, N);
        assert_ptr_equal(see(&table, n, 5000, 77), small);
        put_long(&draft, n, 1, 78);
        wal_table_take(&table, &draft, N);
        assert_ptr_equal(see(&table, n, 1, 78), small);
    }
    put_long(&draft, ROWS, 5000, 1); /* its first value is a large one */
    wal_table_take(&table, &draft, 1);
    large = see(&table, ROWS, 5000, 1);
    put_long(&draft, ROWS, 1, 2);
    wal_table_take(&table, &draft, 2);
    small = see(&table, ROWS, 1, 2);
    assert_ptr_not_equal(small, large);
    assert_int_equal(table.n, ROWS + 1);
    for (n = 0, small = wal_table_first(&table); small;
         small = small->next[0].row)
        n++;
    assert_int_equal(n, ROWS + 1);
    wal_table_clear(&table);
}

/* Keys chosen so that under one seed all of them have one slot have as many as
 * they should under another. */
static void keys_of_a_flood(void **state)
{
    struct wal_table known = {.seed = 1}, table = {.seed = 2};
    struct wal_row *row;
    bool used[1024] = {false};
    size_t slots = 0;
    unsigned n;

    for (n = 0; n < 60000; n++)
        put_row(&known, n, n);
    for (row = wal_table_first(&known); row; row = row->next[0].row) {
        if (row->hash % 1024) continue;
        assert_int_equal(
            wal_table_put(&table, row->key, row->key_len, "", 0, false), 0);
    }
    assert_in_range(table.n, 30, 100);
    for (row = wal_table_first(&table); row; row = row->next[0].row) {
        slots += !used[row->hash % 1024];
        used[row->hash % 1024] = true;
    }
    assert_in_range(slots, table.n * 3 / 4, table.n);
    wal_table_clear(&known);
    wal_table_clear(&table);
    assert_int_equal(known.seed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_of_many),
                                       cmocka_unit_test(values_renewed),
                                       cmocka_unit_test(keys_of_a_flood)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
