/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/store.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

enum { READ_MAX = 1024 }; /* records in one answer */

struct record {
    uint32_t key_len, value_len;
    uint8_t data[]; /* key, value */
};

struct sim_store {
    struct record **rows;
    size_t n, cap;
};

static int compare(const uint8_t *a, size_t a_len, const uint8_t *b,
                   size_t b_len)
{
    size_t least = a_len < b_len ? a_len : b_len;
    int order = least ? memcmp(a, b, least) : 0;

    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* Index of the first record whose key is not below this one. */
static size_t place_of(const struct sim_store *store,
                       const ProtobufCBinaryData *key, bool *found_out)
{
    size_t lo = 0, hi = store ? store->n : 0;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct record *r = store->rows[mid];

        if (compare(r->data, r->key_len, key->data, key->len) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *found_out = store && lo < store->n &&
                 !compare(store->rows[lo]->data, store->rows[lo]->key_len,
                          key->data, key->len);
    return lo;
}

void sim_store_free(struct sim_store *store)
{
    size_t i;

    if (!store) return;
    for (i = 0; i < store->n; i++)
        free(store->rows[i]);
    free(store->rows);
    free(store);
}

static bool guard_holds(const struct sim_store *store, const Xn__Guard *guard)
{
    bool found;
    size_t i = place_of(store, &guard->key, &found);
    const struct record *r;

    if (guard->absent) return !found;
    if (!found) return false;
    r = store->rows[i];
    return !compare(r->data + r->key_len, r->value_len, guard->value.data,
                    guard->value.len);
}

static void drop(struct sim_store *store, size_t i)
{
    struct record *r = store->rows[i];

    free(r);
    store->n--;
    memmove(&store->rows[i], &store->rows[i + 1],
            (store->n - i) * sizeof *store->rows);
}

static struct record *record_of(const Xn__Write *write)
{
    struct record *r = malloc(sizeof *r + write->key.len + write->value.len);

    if (!r) return NULL;
    r->key_len = (uint32_t)write->key.len;
    r->value_len = (uint32_t)write->value.len;
    if (r->key_len) memcpy(r->data, write->key.data, r->key_len);
    if (r->value_len) {
        memcpy(r->data + r->key_len, write->value.data, r->value_len);
    }
    return r;
}

static int put(struct sim_store *store, const Xn__Write *write)
{
    struct record *r = record_of(write);
    bool found;
    size_t i;

    if (!r) return XN_ENOMEM;
    if (store->n == store->cap) {
        size_t cap = store->cap ? 2 * store->cap : 8;
        struct record **rows = realloc(store->rows, cap * sizeof *rows);

        if (!rows) {
            free(r);
            return XN_ENOMEM;
        }
        store->rows = rows;
        store->cap = cap;
    }
    i = place_of(store, &write->key, &found);
    if (found) drop(store, i);
    memmove(&store->rows[i + 1], &store->rows[i],
            (store->n - i) * sizeof *store->rows);
    store->rows[i] = r;
    store->n++;
    return 0;
}

int sim_store_txn(struct sim_store **store, const Xn__Txn *txn)
{
    size_t i, at;
    bool found;
    int rc;

    for (i = 0; i < txn->n_guards; i++) {
        if (!guard_holds(*store, txn->guards[i])) return XN_ECONFLICT;
    }
    if (!*store) *store = calloc(1, sizeof **store);
    if (!*store) return XN_ENOMEM;
    for (i = 0; i < txn->n_writes; i++) {
        const Xn__Write *write = txn->writes[i];

        if (!write->drop) {
            rc = put(*store, write);
            if (rc) return rc;
            continue;
        }
        at = place_of(*store, &write->key, &found);
        if (found) drop(*store, at);
    }
    return 0;
}

static bool has_prefix(const struct record *r,
                       const ProtobufCBinaryData *prefix)
{
    return r->key_len >= prefix->len &&
           (!prefix->len || !memcmp(r->data, prefix->data, prefix->len));
}

int sim_store_read(const struct sim_store *store, const Xn__Read *read,
                   struct xn_msg **records_out)
{
    Xn__Records records = XN__RECORDS__INIT;
    size_t max = read->limit && read->limit < READ_MAX ? read->limit : READ_MAX;
    Xn__Record *rows = calloc(max, sizeof *rows);
    Xn__Record **list = calloc(max, sizeof *list);
    bool found;
    size_t i, n = 0;
    int rc = XN_ENOMEM;

    if (!rows || !list) goto out;
    i = place_of(store,
                 compare(read->from.data, read->from.len, read->prefix.data,
                         read->prefix.len) > 0
                     ? &read->from
                     : &read->prefix,
                 &found);
    for (; store && i < store->n && has_prefix(store->rows[i], &read->prefix);
         i++) {
        struct record *r = store->rows[i];

        if (n == max) {
            records.more = true;
            break;
        }
        xn__record__init(&rows[n]);
        rows[n].key.data = r->data;
        rows[n].key.len = r->key_len;
        rows[n].value.data = r->data + r->key_len;
        rows[n].value.len = r->value_len;
        list[n] = &rows[n];
        n++;
    }
    records.records = list;
    records.n_records = n;
    rc = xn_msg_new(XN__KIND__RECORDS, &records, records_out);
out:
    free(rows);
    free(list);
    return rc;
}
