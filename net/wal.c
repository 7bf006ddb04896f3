/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing to the log, merging it into the store, reading both. */
#include "net/wal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/page.h"
#include "net/wal_in.h"

/* ---- judging ----------------------------------------------------------- */

/* 1: holds; 0: does not; -1: there is no such row. */
static int holds_in(const struct wal_table *table, const Xn__Guard *guard)
{
    const struct wal_row *row =
        wal_table_find(table, guard->key.data, guard->key.len);

    if (!row) return -1;
    if (guard->absent) return row->drop;
    return !row->drop && row->len == guard->value.len &&
           (row->len == 0 ||
            memcmp(row->value, guard->value.data, row->len) == 0);
}

static int check_guard(struct net_wal *wal, const struct wal_table *draft,
                       const Xn__Guard *guard)
{
    int holds = holds_in(draft, guard);

    if (holds < 0) holds = holds_in(&wal->pending, guard);
    if (holds < 0) return net_kv_guard(wal->kv, guard);
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

/* ---- merging ----------------------------------------------------------- */

enum {
    SLICES_MOST = 8, /* that one commit may have to wait for */
    SECTORS_LEAST = 128,
    SECTORS_MOST = 1 << 20,
    SLICE_LEAST = 64, /* of weight */
    SLOW_US = 40 * 1000,
    REST_US = 1000 * 1000,
    REST_MOST_US = 30 * 1000 * 1000,
    QUICK_BYTES = 16 << 10,
    QUICK_GUARDS = 8
};

static struct net_kv_item item_of(const struct wal_row *row)
{
    return (struct net_kv_item){.key = row->key,
                                .key_len = row->key_len,
                                .value = row->value,
                                .len = row->len,
                                .drop = row->drop};
}

/* The rows of the frozen log from the cursor on, at most a slice of them.
 * *next_out: the one that the slice after this begins at; NULL: none. */
static size_t cut_slice(const struct net_wal *wal, struct wal_row **rows,
                        struct wal_row **next_out)
{
    struct wal_row *row =
        wal_table_from(&wal->pending, wal->cursor, wal->cursor_len);
    size_t n = 0, left = wal->slice;

    for (; row; row = row->next[0].row) {
        if (row->epoch != wal->oldest) continue;
        if (n && left < wal_row_weight(row)) break;
        left -= left < wal_row_weight(row) ? left : wal_row_weight(row);
        rows[n++] = row;
    }
    *next_out = row;
    return n;
}

static int move_cursor(struct net_wal *wal, const struct wal_row *next)
{
    uint8_t *key = NULL;

    if (next) {
        key = malloc(next->key_len + 1);
        if (!key) return XN_ENOMEM;
        if (next->key_len) memcpy(key, next->key, next->key_len);
    }
    free(wal->cursor);
    wal->cursor = key;
    wal->cursor_len = next ? next->key_len : 0;
    return 0;
}

static void forget_rows(struct net_wal *wal, struct wal_row **rows, size_t n)
{
    size_t before = wal->pending.weight, done;

    wal_table_remove(&wal->pending, rows, n);
    done = before - wal->pending.weight;
    wal->owed = wal->owed > (int64_t)done ? wal->owed - (int64_t)done : 0;
    wal->frozen_left -= done < wal->frozen_left ? done : wal->frozen_left;
}

static int merge_rows(struct net_wal *wal, struct wal_row **rows, size_t n,
                      const struct wal_row *next)
{
    struct net_kv_item *items = malloc((n + 1) * sizeof *items);
    uint8_t note[WAL_NOTE_MAX];
    size_t len, i;
    int rc;

    if (!items) return XN_ENOMEM;
    for (i = 0; i < n; i++)
        items[i] = item_of(rows[i]);
    len = next ? wal_note_put(note, true, wal->oldest, next->key, next->key_len)
               : wal_note_put(note, true, wal->oldest + 1, NULL, 0);
    rc = net_kv_merge(wal->kv, items, n, note, len);
    free(items);
    return rc;
}

/* What a slice costs depends on the file, on its pages and on the disk, so its
 * size follows the time that the one before took. */
static void size_slice(struct net_wal *wal, uint64_t took_us)
{
    if (took_us > SLOW_US && wal->slice > SLICE_LEAST) {
        wal->slice /= 2;
    } else if (took_us < SLOW_US / 4 && 2 * wal->slice <= wal->slice_most) {
        wal->slice *= 2;
    }
}

/* A merge that failed is not tried behind each commit: it costs the file's
 * cache, and as a rule fails again. */
static void rest(struct net_wal *wal, int rc)
{
    if (!rc) {
        wal->rest_us = wal->rest_until_us = 0;
        return;
    }
    wal->rest_us = wal->rest_us ? 2 * wal->rest_us : REST_US;
    if (wal->rest_us > REST_MOST_US) wal->rest_us = REST_MOST_US;
    wal->rest_until_us = net_mono_us() + wal->rest_us;
}

static int merge_slice(struct net_wal *wal)
{
    struct wal_row **rows = malloc(wal->slice * sizeof *rows), *next;
    uint64_t from_us = net_mono_us();
    size_t n;
    int rc;

    if (!rows) return XN_ENOMEM;
    n = cut_slice(wal, rows, &next);
    rc = merge_rows(wal, rows, n, next);
    rest(wal, rc);
    if (rc) goto out;
    size_slice(wal, net_mono_us() - from_us);
    rc = move_cursor(wal, next);
    if (rc) goto out; /* the same slice again does no harm */
    forget_rows(wal, rows, n);
    if (!next) {
        wal->frozen = false;
        wal->oldest++;
    }
out:
    free(rows);
    return rc;
}

/* What a commit owes: as much of the merging as it takes of the room in which
 * that is to be done, the log without its last third.  So whoever writes much
 * waits for much, nobody for what others wrote, and the other log is free in
 * time.  Where the last third is begun all the same, a quarter of what is left
 * of the room stands for it. */
static void pace(struct net_wal *wal, size_t sectors)
{
    uint64_t room = wal->active.sectors - wal->active.end + sectors;
    uint64_t spread = wal->active.sectors / 3, left = wal->frozen_left;

    if (!wal->frozen) return;
    spread = room > spread ? room - spread : 0;
    if (spread < room / 4) spread = room / 4;
    if (spread < sectors) spread = sectors;
    wal->owed += (int64_t)((left * sectors + spread - 1) / spread);
    if (wal->owed > (int64_t)left) wal->owed = (int64_t)left;
}

bool net_wal_tend(struct net_wal *wal, bool idle)
{
    unsigned n = 0;
    int rc = 0;

    if (net_mono_us() < wal->rest_until_us) return wal->frozen;
    while (!rc && wal->frozen && n < SLICES_MOST &&
           (idle ? n == 0 : wal->owed > 0)) {
        rc = merge_slice(wal);
        n++;
    }
    return wal->frozen;
}

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

/* Everything that is pending, slice by slice.  The logs hold it still: what ends
 * halfway is merged again. */
static int merge_pending(struct net_wal *wal)
{
    struct net_kv_item *items = malloc(wal->slice * sizeof *items);
    const struct wal_row *row = wal->pending.first[0].row;
    int rc = items ? 0 : XN_ENOMEM;

    while (row && !rc) {
        size_t n = 0, weight = 0;

        for (; row && weight < wal->slice; row = row->next[0].row) {
            weight += wal_row_weight(row);
            items[n++] = item_of(row);
        }
        rc = net_kv_merge(wal->kv, items, n, NULL, 0);
    }
    free(items);
    return rc;
}

/* All that is pending, slice by slice; no log is needed from there on. */
static int settle(struct net_wal *wal)
{
    uint64_t next = wal->active.fd >= 0 ? wal->active.epoch + 1 : wal->oldest;
    char path[NET_PATH_MAX];
    uint8_t note[WAL_NOTE_MAX];
    uint64_t i;
    int rc = merge_pending(wal);

    if (rc) return rc;
    rc = net_kv_merge(wal->kv, NULL, 0, note,
                      wal_note_put(note, false, next, NULL, 0));
    if (rc) return rc;
    for (i = 0; i < 2; i++) {
        wal_file_path(path, wal->path, i);
        unlink(path);
    }
    return net_file_sync_dir(wal->path);
}

/* ---- the logs ---------------------------------------------------------- */

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
        rc = merge_slice(wal);
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
    const struct wal_row *row;
    uint8_t *payload, *end;
    size_t len = 0;
    int rc;

    for (row = draft->first[0].row; row; row = row->next[0].row)
        len += wal_item_size(row->key_len, row->len);
    rc = make_room(wal, wal_sectors(len));
    if (rc) return rc;
    payload = end = malloc(len + 1);
    if (!payload) return XN_ENOMEM;
    for (row = draft->first[0].row; row; row = row->next[0].row) {
        end = wal_item_put(end, row->key, row->key_len, row->value, row->len,
                           row->drop);
    }
    rc = wal_file_append(&wal->active, wal->seq, payload, len);
    free(payload);
    if (!rc) pace(wal, wal_sectors(len));
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
    if (!wal->keep && wal->open) (void)settle(wal);
    wal_file_close(&wal->active);
    wal_table_clear(&wal->pending);
    free(wal->cursor);
    net_kv_close(wal->kv);
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
