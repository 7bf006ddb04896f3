/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/mem_store.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

enum { KEY_MAX = 1024, READ_BYTES_MAX = 4 << 20 };

static int key_cmp(const struct mem_record *r, const void *key, size_t len)
{
    size_t n = r->key_len < len ? r->key_len : len;
    int d = n ? memcmp(r->key, key, n) : 0;

    if (d) return d;
    return r->key_len < len ? -1 : r->key_len > len;
}

/* The first record that is not before key. */
static size_t lower(const struct mem_store *store, const void *key, size_t len)
{
    size_t lo = 0, hi = store->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (key_cmp(&store->records[mid], key, len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct mem_record *mem_store_get(struct mem_store *store, const void *key,
                                 size_t len)
{
    size_t i = lower(store, key, len);

    if (i == store->n || key_cmp(&store->records[i], key, len)) return NULL;
    return &store->records[i];
}

void mem_store_clear(struct mem_store *store)
{
    size_t i;

    for (i = 0; i < store->n; i++)
        free(store->records[i].key);
    free(store->records);
    memset(store, 0, sizeof *store);
}

static void write_one(struct mem_store *store, const Xn__Write *w)
{
    size_t i = lower(store, w->key.data, w->key.len);
    struct mem_record *r;

    if (i < store->n && !key_cmp(&store->records[i], w->key.data, w->key.len)) {
        free(store->records[i].key);
        store->n--;
        memmove(&store->records[i], &store->records[i + 1],
                (store->n - i) * sizeof *r);
    }
    if (w->drop) return;
    if (store->n == store->cap) {
        store->cap = store->cap ? 2 * store->cap : 64;
        store->records =
            realloc(store->records, store->cap * sizeof *store->records);
        if (!store->records) abort();
    }
    r = &store->records[i];
    memmove(r + 1, r, (store->n - i) * sizeof *r);
    store->n++;
    r->key = malloc(w->key.len + w->value.len + 1);
    if (!r->key) abort();
    r->key_len = w->key.len;
    r->value = r->key + w->key.len;
    r->len = w->value.len;
    if (r->key_len) memcpy(r->key, w->key.data, r->key_len);
    if (r->len) memcpy(r->value, w->value.data, r->len);
}

static bool holds(struct mem_store *store, const Xn__Guard *g)
{
    const struct mem_record *r = mem_store_get(store, g->key.data, g->key.len);

    if (g->absent || !r) return g->absent && !r;
    return r->len == g->value.len &&
           (!r->len || !memcmp(r->value, g->value.data, r->len));
}

static int apply_one(struct mem_store *store, const Xn__Txn *txn)
{
    size_t i;

    for (i = 0; i < txn->n_guards; i++) {
        if (txn->guards[i]->key.len > KEY_MAX) return XN_EINVAL;
    }
    for (i = 0; i < txn->n_writes; i++) {
        if (txn->writes[i]->key.len > KEY_MAX) return XN_EINVAL;
    }
    for (i = 0; i < txn->n_guards; i++) {
        if (!holds(store, txn->guards[i])) return XN_ECONFLICT;
    }
    for (i = 0; i < txn->n_writes; i++)
        write_one(store, txn->writes[i]);
    store->applied++;
    return 0;
}

static void apply(void *backing, const Xn__Txn *const *txns, size_t n, int *rcs)
{
    struct mem_store *store = backing;
    int fail = store->fail_rc;
    size_t i;

    for (i = 0; i < n; i++)
        rcs[i] = fail && !store->fail_after ? fail : apply_one(store, txns[i]);
    for (i = 0; i < n && fail; i++)
        rcs[i] = fail;
    store->fail_rc = 0;
}

static int read_records(void *backing, const Xn__Read *read,
                        struct xn_msg **records_out)
{
    struct mem_store *store = backing;
    Xn__Records body = XN__RECORDS__INIT;
    Xn__Record *rows = NULL, **list = NULL;
    size_t limit = read->limit ? read->limit : 65536, bytes = 0, cap = 0, i;
    int rc = XN_EIO;

    if (store->fail_reads) {
        store->fail_reads--;
        return rc;
    }
    rc = XN_EINVAL;
    if (read->prefix.len > KEY_MAX || read->from.len > KEY_MAX) return rc;
    i = lower(store, read->prefix.data, read->prefix.len);
    if (read->from.len) {
        size_t from = lower(store, read->from.data, read->from.len);

        if (from > i) i = from;
    }
    for (; i < store->n; i++) {
        const struct mem_record *r = &store->records[i];

        if (r->key_len < read->prefix.len ||
            (read->prefix.len &&
             memcmp(r->key, read->prefix.data, read->prefix.len))) {
            break;
        }
        if (body.n_records == limit || bytes >= READ_BYTES_MAX) {
            body.more = true;
            break;
        }
        if (body.n_records == cap) {
            cap = cap ? 2 * cap : 8;
            rows = realloc(rows, cap * sizeof *rows);
            if (!rows) abort();
        }
        xn__record__init(&rows[body.n_records]);
        rows[body.n_records].key = (ProtobufCBinaryData){r->key_len, r->key};
        rows[body.n_records].value = (ProtobufCBinaryData){r->len, r->value};
        body.n_records++;
        bytes += r->key_len + r->len + 16;
    }
    list = calloc(body.n_records + 1, sizeof *list);
    if (!list) abort();
    for (i = 0; i < body.n_records; i++)
        list[i] = &rows[i];
    body.records = list;
    rc = xn_msg_new(XN__KIND__RECORDS, &body, records_out);
    free(list);
    free(rows);
    return rc;
}

static void no_close(void *backing)
{
}

const struct net_backing_ops mem_store_ops = {"memory", apply, read_records,
                                              no_close, NULL,  NULL};
