/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of the store's file: written in transactions, read in pages. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/kv_in.h"
#include "net/page.h"
#include "wire/id.h"

/* ---- records ----------------------------------------------------------- */

static void checksum(const void *key, size_t key_len, const void *value,
                     size_t len, uint8_t sum_out[NET_KV_SUM])
{
    uint8_t lead[4 + NET_KV_KEY_MAX + 1];
    xn_id hash;

    lead[0] = (uint8_t)(key_len >> 24);
    lead[1] = (uint8_t)(key_len >> 16);
    lead[2] = (uint8_t)(key_len >> 8);
    lead[3] = (uint8_t)key_len;
    memcpy(lead + 4, key, key_len);
    xn_id_hash2(lead, 4 + key_len, value, len, &hash);
    memcpy(sum_out, hash.b, NET_KV_SUM);
}

bool net_kv_is_good(const void *key, size_t key_len, const char *stored,
                    size_t len)
{
    uint8_t sum[NET_KV_SUM];

    if (len < NET_KV_SUM || key_len > NET_KV_KEY_MAX + 1) return false;
    checksum(key, key_len, stored + NET_KV_SUM, len - NET_KV_SUM, sum);
    return memcmp(sum, stored, NET_KV_SUM) == 0;
}

int net_kv_error(void)
{
    switch (errno) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return XN_ENOSPC;
    default: return XN_EIO;
    }
}

int net_kv_put(KCDB *db, const char *key, size_t key_len, const void *value,
               size_t len)
{
    char *stored = malloc(NET_KV_SUM + len);
    int ok;

    if (!stored) return XN_ENOMEM;
    checksum(key, key_len, value, len, (uint8_t *)stored);
    if (len) memcpy(stored + NET_KV_SUM, value, len);
    errno = 0;
    ok = kcdbset(db, key, key_len, stored, NET_KV_SUM + len);
    free(stored);
    return ok ? 0 : net_kv_error();
}

size_t net_kv_key(const ProtobufCBinaryData *key, char out[NET_KV_KEY_MAX + 1])
{
    out[0] = 'd';
    if (key->len) memcpy(out + 1, key->data, key->len);
    return 1 + key->len;
}

bool net_kv_is_next(struct net_kv_order *last, const char *key, size_t len)
{
    size_t common = len < last->len ? len : last->len;
    int d = last->any ? memcmp(key, last->key, common) : 1;

    if (len > sizeof last->key) return false;
    if (d < 0 || (d == 0 && len <= last->len)) return false;
    memcpy(last->key, key, len);
    last->len = len;
    last->any = true;
    return true;
}

/* ---- writing ----------------------------------------------------------- */

/* 0, XN_ECONFLICT, or, where damage is an error, XN_EINTEGRITY. */
static int check_guard(const struct net_kv *kv, const Xn__Guard *guard)
{
    char key[NET_KV_KEY_MAX + 1];
    size_t key_len = net_kv_key(&guard->key, key), len = 0;
    char *stored = kcdbget(kv->db, key, key_len, &len);
    bool good = stored && net_kv_is_good(key, key_len, stored, len);
    bool damaged =
        stored ? !good : kcdbecode(kv->db) != KCENOREC; /* a broken tree */
    bool holds;

    if (guard->absent) {
        holds = !good;
    } else {
        holds =
            good && len - NET_KV_SUM == guard->value.len &&
            (len == NET_KV_SUM || memcmp(stored + NET_KV_SUM, guard->value.data,
                                         len - NET_KV_SUM) == 0);
    }
    if (stored) kcfree(stored);
    if (damaged && kv->strict) return XN_EINTEGRITY;
    return holds ? 0 : XN_ECONFLICT;
}

static int write_one(KCDB *db, const Xn__Write *write)
{
    char key[NET_KV_KEY_MAX + 1];
    size_t key_len = net_kv_key(&write->key, key);

    if (!write->drop) {
        return net_kv_put(db, key, key_len, write->value.data,
                          write->value.len);
    }
    errno = 0;
    if (kcdbremove(db, key, key_len) || kcdbecode(db) == KCENOREC) return 0;
    return net_kv_error();
}

static bool keys_fit(const Xn__Txn *txn)
{
    size_t i;

    for (i = 0; i < txn->n_guards; i++) {
        if (txn->guards[i]->key.len > NET_KV_KEY_MAX) return false;
    }
    for (i = 0; i < txn->n_writes; i++) {
        if (txn->writes[i]->key.len > NET_KV_KEY_MAX) return false;
    }
    return true;
}

/* 0, or what ends the whole transaction; *rc_out is this one's own result. */
static int apply_one(const struct net_kv *kv, const Xn__Txn *txn, int *rc_out)
{
    size_t i;
    int rc = 0;

    *rc_out = keys_fit(txn) ? 0 : XN_EINVAL;
    for (i = 0; i < txn->n_guards && !*rc_out; i++)
        *rc_out = check_guard(kv, txn->guards[i]);
    for (i = 0; i < txn->n_writes && !*rc_out && !rc; i++)
        rc = write_one(kv->db, txn->writes[i]);
    return rc;
}

int net_kv_begin(KCDB *db)
{
    errno = 0;
    if (!db) return XN_EIO;
    return kcdbbegintran(db, 1) ? 0 : net_kv_error();
}

/* What the library's log of a transaction says would be undone: all of it, or
 * nothing. */
static int empty_log(const char *path, bool for_good)
{
    char log[NET_KV_PATH + 8];
    int fd, rc;

    snprintf(log, sizeof log, "%s.wal", path);
    fd = open(log, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return XN_EIO;
    rc = ftruncate(fd, 0) || (for_good && fsync(fd)) ? XN_EIO : 0;
    close(fd);
    return rc;
}

/* The library clears its log first, by zeros over it or, of a long one, by
 * cutting it, and syncs the file then: where the power goes between, half of the
 * transaction is there, and nothing, or half of what stood in the log, to undo
 * it by.  So all is durable before, and the log empty: that commits.  The zeros
 * go too, since the next log is written over them: a record of it that was torn
 * would look whole, the zeros being its end; in an empty one it is a short one. */
int net_kv_end(KCDB *db, const char *path)
{
    int rc;

    errno = 0;
    if (!kcdbsync(db, 1, NULL, NULL)) return net_kv_error();
    rc = empty_log(path, true);
    if (rc) return rc;
    errno = 0;
    if (!kcdbendtran(db, 1)) return net_kv_error();
    return empty_log(path, false);
}

void net_kv_apply(struct net_kv *kv, const Xn__Txn *const *txns, size_t n,
                  int *rcs)
{
    size_t i;
    int rc;

    if (!kv->db) net_kv_mend(kv);
    rc = net_kv_begin(kv->db);
    for (i = 0; i < n && !rc; i++)
        rc = apply_one(kv, txns[i], &rcs[i]);
    if (!rc) rc = net_kv_end(kv->db, kv->path);
    if (!rc) return;
    for (i = 0; i < n; i++)
        rcs[i] = rc;
    if (kv->db) net_kv_mend(kv);
}

/* ---- for a log before it ------------------------------------------------ */

int net_kv_guard(struct net_kv *kv, const Xn__Guard *guard)
{
    if (!kv->db) net_kv_mend(kv);
    return kv->db ? check_guard(kv, guard) : XN_EIO;
}

bool net_kv_is_open(const struct net_kv *kv)
{
    return kv->db != NULL;
}

static int merge_all(struct net_kv *kv, const struct net_kv_item *items,
                     size_t n)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < n && !rc; i++) {
        Xn__Write write = XN__WRITE__INIT;

        write.key.data = (uint8_t *)(uintptr_t)items[i].key;
        write.key.len = items[i].key_len;
        write.value.data = (uint8_t *)(uintptr_t)items[i].value;
        write.value.len = items[i].len;
        write.drop = items[i].drop;
        rc = write_one(kv->db, &write);
    }
    return rc;
}

int net_kv_merge(struct net_kv *kv, const struct net_kv_item *items, size_t n,
                 const void *note, size_t note_len)
{
    int rc;

    if (!kv->db) net_kv_mend(kv);
    if (!kv->db) return XN_EIO;
    rc = net_kv_begin(kv->db);
    if (!rc) rc = merge_all(kv, items, n);
    if (!rc && note) {
        rc = net_kv_put(kv->db, NET_KV_NOTE_KEY, strlen(NET_KV_NOTE_KEY), note,
                        note_len);
    }
    if (!rc) rc = net_kv_end(kv->db, kv->path);
    if (rc) net_kv_mend(kv);
    return rc;
}

int net_kv_note(struct net_kv *kv, void *note_out, size_t room, size_t *len_out)
{
    static const char key[] = NET_KV_NOTE_KEY;
    size_t len = 0;
    char *stored;
    int rc = 0;

    if (!kv->db) return XN_EIO;
    stored = kcdbget(kv->db, key, sizeof key - 1, &len);
    if (!stored) {
        return kcdbecode(kv->db) == KCENOREC ? XN_ENOENT : XN_EINTEGRITY;
    }
    if (!net_kv_is_good(key, sizeof key - 1, stored, len) ||
        len - NET_KV_SUM > room) {
        rc = XN_EINTEGRITY;
    } else {
        *len_out = len - NET_KV_SUM;
        memcpy(note_out, stored + NET_KV_SUM, *len_out);
    }
    kcfree(stored);
    return rc;
}

/* ---- reading ----------------------------------------------------------- */

struct net_kv_walk {
    KCCUR *cursor;
    bool strict;
    struct net_kv_order last;
    char *held; /* of the library; what was lent */
};

int net_kv_walk_new(struct net_kv *kv, const void *from, size_t len,
                    struct net_kv_walk **walk_out)
{
    ProtobufCBinaryData key = {len, (uint8_t *)(uintptr_t)from};
    char start[NET_KV_KEY_MAX + 1];
    struct net_kv_walk *walk;
    size_t start_len;

    if (len > NET_KV_KEY_MAX) return XN_EINVAL;
    if (!kv->db) net_kv_mend(kv);
    if (!kv->db) return XN_EIO;
    walk = malloc(sizeof *walk);
    if (!walk) return XN_ENOMEM;
    walk->strict = kv->strict;
    walk->last.any = false;
    walk->held = NULL;
    start_len = net_kv_key(&key, start);
    walk->cursor = kcdbcursor(kv->db);
    kccurjumpkey(walk->cursor, start, start_len);
    *walk_out = walk;
    return 0;
}

void net_kv_walk_free(struct net_kv_walk *walk)
{
    if (!walk) return;
    if (walk->held) kcfree(walk->held);
    kccurdel(walk->cursor);
    free(walk);
}

/* The next record that is good, or, where damage is an error, any. */
static int step(struct net_kv_walk *walk, struct net_kv_item *item)
{
    const char *value;
    size_t key_len, len;

    do {
        if (walk->held) kcfree(walk->held);
        walk->held = kccurget(walk->cursor, &key_len, &value, &len, 1);
        if (!walk->held) {
            return walk->strict && kccurecode(walk->cursor) != KCENOREC
                       ? XN_EINTEGRITY
                       : XN_ENOENT;
        }
        if (key_len == 0 || walk->held[0] != 'd') return XN_ENOENT;
        item->damaged = !net_kv_is_good(walk->held, key_len, value, len);
    } while (item->damaged && !walk->strict);
    item->key = walk->held + 1;
    item->key_len = key_len - 1;
    item->value = item->damaged ? NULL : value + NET_KV_SUM;
    item->len = item->damaged ? 0 : len - NET_KV_SUM;
    item->drop = false;
    return 0;
}

int net_kv_walk_next(struct net_kv_walk *walk, struct net_kv_item *item_out)
{
    int rc = step(walk, item_out);

    if (rc || item_out->damaged) return rc;
    return net_kv_is_next(&walk->last, walk->held, item_out->key_len + 1)
               ? 0
               : XN_EINTEGRITY;
}

static int fill(struct net_kv_walk *walk, const struct net_range *range,
                struct net_page *page)
{
    struct net_kv_item item;
    int rc;

    while (!(rc = net_kv_walk_next(walk, &item))) {
        if (!net_range_holds(range, item.key, item.key_len)) break;
        if (net_page_full(page, range)) break;
        rc = item.damaged ? XN_EINTEGRITY
                          : net_page_add(page, item.key, item.key_len,
                                         item.value, item.len);
        if (rc) break;
    }
    return rc == XN_ENOENT ? 0 : rc;
}

int net_kv_read(struct net_kv *kv, const Xn__Read *read,
                struct xn_msg **records_out)
{
    struct net_kv_walk *walk = NULL;
    struct net_range range;
    struct net_page page;
    int rc;

    net_page_init(&page);
    rc = net_range_of(read, &range);
    if (!rc) rc = net_kv_walk_new(kv, range.from, range.from_len, &walk);
    if (!rc) rc = fill(walk, &range, &page);
    net_kv_walk_free(walk);
    if (!rc) rc = net_page_pack(&page, records_out);
    net_page_clear(&page);
    return rc;
}

/* ---- as a table of functions ------------------------------------------- */

static void ops_apply(void *backing, const Xn__Txn *const *txns, size_t n,
                      int *rcs)
{
    net_kv_apply(backing, txns, n, rcs);
}

static int ops_read(void *backing, const Xn__Read *read,
                    struct xn_msg **records_out)
{
    return net_kv_read(backing, read, records_out);
}

static void ops_close(void *backing)
{
    net_kv_close(backing);
}

const struct net_backing_ops net_kv_ops = {"kyoto",   ops_apply, ops_read,
                                           ops_close, NULL,      NULL};
