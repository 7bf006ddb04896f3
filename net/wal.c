/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing to the log, merging it into the store, reading both. */
#include "net/wal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/page.h"
#include "net/wal_in.h"

/* ---- judging ----------------------------------------------------------- */

/* 1: holds; 0: does not; -1: there is no such row. */
static int holds_in(struct wal_table *table, const Xn__Guard *guard)
{
    const struct wal_row *row =
        wal_table_find(table, guard->key.data, guard->key.len);

    if (!row) return -1;
    if (guard->absent) return row->drop;
    return !row->drop && row->len == guard->value.len &&
           (row->len == 0 ||
            memcmp(row->value, guard->value.data, row->len) == 0);
}

/* What comes behind a key that is not in the file. */
static void look_behind(struct net_wal *wal, const ProtobufCBinaryData *key)
{
    struct net_kv_walk *walk = NULL;
    struct net_kv_item item;
    int rc = net_kv_walk_new(wal->kv, key->data, key->len, &walk);

    if (!rc) rc = net_kv_walk_next(walk, &item);
    if (!rc) {
        wal_gaps_learn(wal->gaps, key->data, key->len, item.key, item.key_len);
    } else if (rc == XN_ENOENT) {
        wal_gaps_learn(wal->gaps, key->data, key->len, NULL, 0);
    }
    net_kv_walk_free(walk);
}

static int check_in_file(struct net_wal *wal, const Xn__Guard *guard)
{
    bool absent = guard->absent && wal->gaps;
    int rc;

    if (absent && wal_gaps_hold(wal->gaps, guard->key.data, guard->key.len)) {
        return 0;
    }
    rc = net_kv_guard(wal->kv, guard);
    if (!rc && absent) look_behind(wal, &guard->key);
    return rc;
}

static int check_guard(struct net_wal *wal, struct wal_table *draft,
                       const Xn__Guard *guard)
{
    int holds = holds_in(draft, guard);

    if (holds < 0) holds = holds_in(&wal->pending, guard);
    if (holds < 0) return check_in_file(wal, guard);
    return holds ? 0 : XN_ECONFLICT;
}

static bool keys_fit(const Xn__Txn *txn)
{
    size_t i;

    for (i = 0; i < txn->n_guards; i++) {
        if (txn->guards[i]->key.len > NET_PAGE_KEY_MAX) return false;
    }
    for (i = 0; i < txn->n_writes; i++) {
        if (txn->writes[i]->key.len > NET_PAGE_KEY_MAX) return false;
    }
    return true;
}

/* 0, or what ends all of them. */
static int judge(struct net_wal *wal, const Xn__Txn *txn,
                 struct wal_table *draft, int *rc_out)
{
    size_t i;
    int rc = 0;

    *rc_out = keys_fit(txn) ? 0 : XN_EINVAL;
    for (i = 0; i < txn->n_guards && !*rc_out; i++)
        *rc_out = check_guard(wal, draft, txn->guards[i]);
    for (i = 0; i < txn->n_writes && !*rc_out && !rc; i++) {
        const Xn__Write *w = txn->writes[i];

        rc = wal_table_put(draft, w->key.data, w->key.len, w->value.data,
                           w->drop ? 0 : w->value.len, w->drop);
    }
    return rc;
}

/* ---- what is quick -------------------------------------------------------- */

enum { QUICK_BYTES = 16 << 10, QUICK_GUARDS = 8 };

static size_t size_of(const Xn__Txn *txn)
{
    size_t size = 0, i;

    for (i = 0; i < txn->n_writes; i++)
        size +=
            wal_item_size(txn->writes[i]->key.len, txn->writes[i]->value.len);
    return size;
}

/* It is small, asks little of the file, nothing is to be mended first, and
 * neither the end of this log nor merging is due. */
static bool is_quick(const struct net_wal *wal, const Xn__Txn *txn)
{
    return wal->open && !wal->active.dirty && net_kv_is_open(wal->kv) &&
           txn->n_guards <= QUICK_GUARDS && size_of(txn) <= QUICK_BYTES &&
           wal_sectors(QUICK_BYTES) + 1 <
               wal->active.sectors - wal->active.end &&
           !(wal->frozen && wal->owed > 0);
}

/* ---- the logs ---------------------------------------------------------- */

enum { SECTORS_LEAST = 128, SECTORS_MOST = 1 << 20 };

/* A log of so many sectors, or, on a disk that is nearly full, of fewer, but not
 * below `least`; one that is there already is of use too. */
static int begin_log(struct net_wal *wal, uint64_t epoch, uint64_t first_seq,
                     uint32_t sectors, uint32_t least, struct wal_file *log_out)
{
    char path[NET_PATH_MAX];
    struct stat st;
    int rc;

    wal_file_path(path, wal->path, epoch);
    rc = wal_file_begin(path, epoch, first_seq, sectors, log_out);
    if (rc == XN_ENOSPC && stat(path, &st) == 0 &&
        st.st_size >= (off_t)least * WAL_SECTOR) {
        rc = wal_file_begin(path, epoch, first_seq,
                            (uint32_t)(st.st_size / WAL_SECTOR), log_out);
    }
    while (rc == XN_ENOSPC && (sectors /= 2) >= least)
        rc = wal_file_begin(path, epoch, first_seq, sectors, log_out);
    return rc;
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static int begin(struct net_wal *wal, uint32_t least)
{
    uint8_t note[WAL_NOTE_MAX];
    int rc = begin_log(wal, wal->oldest, wal->seq, greater(wal->sectors, least),
                       least, &wal->active);

    if (rc) return rc;
    rc = net_kv_merge(wal->kv, NULL, 0, note,
                      wal_note_put(note, true, wal->oldest, NULL, 0));
    wal->open = rc == 0;
    if (rc) wal_file_close(&wal->active);
    return rc;
}

/* The next log.  More fits in a larger one, so what changes all the time, and
 * pages that many records share, are merged less often; who has little to do
 * keeps a small one. */
static int begin_next(struct net_wal *wal, uint32_t least,
                      struct wal_file *fresh)
{
    uint32_t sectors = wal->sectors_max;

    if (wal->active.sectors < sectors / 2) sectors = 2 * wal->active.sectors;
    return begin_log(wal, wal->active.epoch + 1, wal->seq + 1,
                     greater(sectors, least), least, fresh);
}

/* The other log takes over.  It is there before this one says so.  What of it is
 * not free yet, though as a rule it was paid for, is waited for. */
static int change_logs(struct net_wal *wal, uint32_t least)
{
    struct wal_file fresh;
    int rc = 0;

    while (wal->frozen && !rc)
        rc = wal_merge_slice(wal);
    if (rc) return rc;
    rc = begin_next(wal, least, &fresh);
    if (rc) return rc;
    rc = wal_file_append(&wal->active, wal->seq, NULL, 0);
    if (rc) {
        wal_file_close(&fresh);
        return rc;
    }
    wal_file_close(&wal->active);
    wal->active = fresh;
    wal->seq++;
    wal->frozen = true;
    wal->frozen_left = wal->pending.weight;
    wal->owed = 0;
    return 0;
}

/* Room for so many sectors and for the record that ends the log.  XN_ETOOBIG:
 * no log has it. */
static int make_room(struct net_wal *wal, size_t sectors)
{
    uint32_t least = (uint32_t)sectors + 2; /* with its head */
    int rc = 0;

    if (sectors > SECTORS_MOST) return XN_ETOOBIG;
    least = greater(least, wal->sectors < SECTORS_LEAST ? wal->sectors
                                                        : SECTORS_LEAST);
    if (!wal->open) rc = begin(wal, least);
    if (!rc && sectors + 1 > wal->active.sectors - wal->active.end) {
        rc = change_logs(wal, least);
    }
    return rc;
}

static int write_draft(struct net_wal *wal, struct wal_table *draft)
{
    const struct wal_row *first, *row;
    uint8_t *payload, *end;
    size_t len = 0;
    int rc;

    first = wal_table_first(draft);
    for (row = first; row; row = row->next[0].row)
        len += wal_item_size(row->key_len, row->len);
    rc = make_room(wal, wal_sectors(len));
    if (rc) return rc;
    payload = end = malloc(len + 1);
    if (!payload) return XN_ENOMEM;
    for (row = first; row; row = row->next[0].row) {
        end = wal_item_put(end, row->key, row->key_len, row->value, row->len,
                           row->drop);
    }
    rc = wal_file_append(&wal->active, wal->seq, payload, len);
    free(payload);
    if (!rc) wal_pace(wal, wal_sectors(len));
    return rc;
}

static int commit(struct net_wal *wal, struct wal_table *draft)
{
    size_t older;
    int rc;

    if (draft->n == 0) return 0;
    rc = write_draft(wal, draft);
    if (rc) return rc;
    wal->seq++;
    older = wal_table_take(&wal->pending, draft, wal->active.epoch);
    wal->frozen_left -= older < wal->frozen_left ? older : wal->frozen_left;
    return 0;
}

/* Where a commit failed and what it left in the log cannot be taken away, it may
 * be there at the next start: until that is settled nothing is said, neither by
 * a read nor by a guard, that rests on its not being there. */
void net_wal_apply(struct net_wal *wal, const Xn__Txn *const *txns, size_t n,
                   int *rcs)
{
    struct wal_table draft = {.seed = wal->pending.seed};
    size_t i;
    int rc = wal_file_sure(&wal->active);

    for (i = 0; i < n && !rc; i++)
        rc = judge(wal, txns[i], &draft, &rcs[i]);
    if (!rc) rc = commit(wal, &draft);
    for (i = 0; i < n && rc; i++)
        rcs[i] = rc;
    wal_table_clear(&draft);
}

/* ---- reading ----------------------------------------------------------- */

struct both {
    const struct net_range *range;
    struct net_kv_walk *walk;
    struct net_kv_item item; /* of the file */
    bool has_item;
    const struct wal_row *row;
};

static int next_item(struct both *both)
{
    int rc = net_kv_walk_next(both->walk, &both->item);

    both->has_item =
        !rc && net_range_holds(both->range, both->item.key, both->item.key_len);
    return rc == XN_ENOENT ? 0 : rc;
}

static void next_row(struct both *both)
{
    const struct wal_row *row = both->row;

    if (row && !net_range_holds(both->range, row->key, row->key_len)) {
        both->row = NULL;
    }
}

/* Below 0: the file's record comes first; 0: both have it. */
static int compare(const struct both *both)
{
    const struct wal_row *row = both->row;
    size_t a = both->item.key_len, b, common;
    int d;

    if (!both->has_item) return 1;
    if (!row) return -1;
    b = row->key_len;
    common = a < b ? a : b;
    d = common ? memcmp(both->item.key, row->key, common) : 0;
    return d ? d : (a > b) - (a < b);
}

static int fill(struct both *both, struct net_page *page)
{
    int rc = next_item(both);

    next_row(both);
    while (!rc && (both->has_item || both->row)) {
        int order = compare(both);
        const struct wal_row *row = order >= 0 ? both->row : NULL;

        if (!(row && row->drop)) {
            if (net_page_full(page, both->range)) break;
            if (row) {
                rc = net_page_add(page, row->key, row->key_len, row->value,
                                  row->len);
            } else {
                rc =
                    both->item.damaged
                        ? XN_EINTEGRITY
                        : net_page_add(page, both->item.key, both->item.key_len,
                                       both->item.value, both->item.len);
            }
        }
        if (row) {
            both->row = row->next[0].row;
            next_row(both);
        }
        if (order <= 0 && !rc) rc = next_item(both);
    }
    return rc;
}

int net_wal_read(struct net_wal *wal, const Xn__Read *read,
                 struct xn_msg **records_out)
{
    struct both both = {.walk = NULL};
    struct net_range range;
    struct net_page page;
    int rc;

    net_page_init(&page);
    rc = wal_file_sure(&wal->active);
    if (!rc) rc = net_range_of(read, &range);
    if (!rc) {
        rc = net_kv_walk_new(wal->kv, range.from, range.from_len, &both.walk);
    }
    if (!rc) {
        both.range = &range;
        both.row = wal_table_from(&wal->pending, range.from, range.from_len);
        rc = fill(&both, &page);
    }
    net_kv_walk_free(both.walk);
    if (!rc) rc = net_page_pack(&page, records_out);
    net_page_clear(&page);
    return rc;
}

int net_wal_check(struct net_wal *wal, struct net_kv_report *report_out)
{
    return net_kv_check(wal->kv, report_out);
}

/* ---- the end ----------------------------------------------------------- */

void net_wal_close(struct net_wal *wal)
{
    if (!wal) return;
    /* What fails here stays in the logs. */
    if (!wal->keep && wal->open) (void)wal_settle(wal);
    wal_file_close(&wal->active);
    wal_table_clear(&wal->pending);
    free(wal->cursor);
    net_kv_close(wal->kv);
    wal_gaps_free(wal->gaps);
    free(wal);
}

/* ---- as a table of functions ------------------------------------------- */

static void ops_apply(void *backing, const Xn__Txn *const *txns, size_t n,
                      int *rcs)
{
    net_wal_apply(backing, txns, n, rcs);
}

static int ops_read(void *backing, const Xn__Read *read,
                    struct xn_msg **records_out)
{
    return net_wal_read(backing, read, records_out);
}

static void ops_close(void *backing)
{
    net_wal_close(backing);
}

static bool ops_tend(void *backing, bool idle)
{
    return net_wal_tend(backing, idle);
}

static bool ops_is_quick(const void *backing, const Xn__Txn *txn)
{
    return is_quick(backing, txn);
}

const struct net_backing_ops net_wal_ops = {
    "log and kyoto", ops_apply, ops_read, ops_close, ops_tend, ops_is_quick};
