/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the logs into the store: in slices, as much at a time as is owed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/wal_in.h"

enum {
    SLICES_MOST = 8, /* that one commit may have to wait for */
    REST_US = 1000 * 1000,
    REST_MOST_US = 30 * 1000 * 1000
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
static size_t cut_slice(struct net_wal *wal, struct wal_row **rows,
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
    wal->owed -= (int64_t)done;
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
    for (i = 0; i < n; i++) {
        items[i] = item_of(rows[i]);
        /* Whatever becomes of it. */
        if (wal->gaps) wal_gaps_fill(wal->gaps, rows[i]->key, rows[i]->key_len);
    }
    len = next ? wal_note_put(note, true, wal->oldest, next->key, next->key_len)
               : wal_note_put(note, true, wal->oldest + 1, NULL, 0);
    rc = net_kv_merge(wal->kv, items, n, note, len);
    free(items);
    return rc;
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

int wal_merge_slice(struct net_wal *wal)
{
    struct wal_row **rows = malloc(wal->slice * sizeof *rows), *next;
    size_t n;
    int rc;

    if (!rows) return XN_ENOMEM;
    n = cut_slice(wal, rows, &next);
    rc = merge_rows(wal, rows, n, next);
    rest(wal, rc);
    if (rc) goto out;
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

/* Where the last third is begun all the same, a quarter of what is left of the
 * room stands for it. */
void wal_pace(struct net_wal *wal, size_t sectors)
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

/* What is paid beyond what is owed counts for the commits that follow: a slice
 * is not cut.  What idle time merges does not: it makes their debts smaller. */
bool net_wal_tend(struct net_wal *wal, bool idle)
{
    int64_t owed = wal->owed;
    unsigned n = 0;
    int rc = 0;

    if (net_mono_us() < wal->rest_until_us) return wal->frozen;
    while (!rc && wal->frozen && n < SLICES_MOST &&
           (idle ? n == 0 : wal->owed > 0)) {
        rc = wal_merge_slice(wal);
        n++;
    }
    if (idle) wal->owed = owed;
    return wal->frozen;
}

/* Everything that is pending, slice by slice.  The logs hold it still: what ends
 * halfway is merged again. */
static int merge_pending(struct net_wal *wal)
{
    struct net_kv_item *items = malloc(wal->slice * sizeof *items);
    const struct wal_row *row = wal_table_first(&wal->pending);
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
int wal_settle(struct net_wal *wal)
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
