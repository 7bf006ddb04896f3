/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening: what the logs hold is read and judged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/wal_in.h"

enum { LOG_BYTES = 8 << 20, LOG_BYTES_MAX = 16 << 20, LOG_MAX = 1 << 30 };
/* A slice costs some ten syncs and one for each page of the file that it
 * changes, so there should be few; a commit may have to wait for one, so they
 * should be small. */
enum { SLICE = 1024 };
enum { NOTE_FORM = 2 };

static int wrong(struct net_wal_report *report, const char *file,
                 const char *why)
{
    snprintf(report->file, sizeof report->file, "%.511s", file);
    snprintf(report->why, sizeof report->why, "%s", why);
    return XN_EINTEGRITY;
}

/* ---- the note ---- */

size_t wal_note_put(uint8_t out[WAL_NOTE_MAX], bool open, uint64_t oldest,
                    const void *cursor, size_t cursor_len)
{
    unsigned i;

    out[0] = NOTE_FORM;
    out[1] = open;
    for (i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)(oldest >> (56 - 8 * i));
    if (cursor_len) memcpy(out + WAL_NOTE, cursor, cursor_len);
    return WAL_NOTE + cursor_len;
}

/* The first form had no cursor. */
int wal_note_get(const uint8_t *note, size_t len, struct net_wal *wal)
{
    size_t cursor = len - WAL_NOTE, i;

    if (len < WAL_NOTE || note[0] == 0 || note[0] > NOTE_FORM || note[1] > 1 ||
        (cursor && (note[0] == 1 || !note[1]))) {
        return XN_EINTEGRITY;
    }
    wal->open = note[1];
    wal->oldest = 0;
    for (i = 0; i < 8; i++)
        wal->oldest = wal->oldest << 8 | note[2 + i];
    if (!wal->oldest) return XN_EINTEGRITY;
    if (!cursor) return 0;
    wal->cursor = malloc(cursor);
    if (!wal->cursor) return XN_ENOMEM;
    memcpy(wal->cursor, note + WAL_NOTE, cursor);
    wal->cursor_len = cursor;
    return 0;
}

static int read_note(struct net_wal *wal, struct net_wal_report *report)
{
    uint8_t note[WAL_NOTE_MAX];
    size_t len = 0;
    int rc = net_kv_note(wal->kv, note, sizeof note, &len);

    if (rc == XN_ENOENT) { /* there never was a log */
        wal->oldest = 1;
        return 0;
    }
    if (!rc && len && note[0] > NOTE_FORM) {
        return wrong(report, wal->path, "of a newer form than this program's");
    }
    return rc ? rc : wal_note_get(note, len, wal);
}

/* ---- logs ---- */

static int take_record(void *ctx, const struct wal_head *head, uint64_t seq,
                       const uint8_t *payload, size_t len)
{
    struct net_wal *wal = ctx;
    struct wal_table draft = {.seed = wal->pending.seed};
    struct wal_item item;
    size_t at = 0;
    int rc;

    while (!(rc = wal_item_next(payload, len, &at, &item))) {
        rc = wal_table_put(&draft, item.key, item.key_len, item.value, item.len,
                           item.drop);
        if (rc) break;
    }
    if (rc == XN_ENOENT) {
        wal_table_take(&wal->pending, &draft, head->epoch);
        rc = 0;
    }
    wal_table_clear(&draft);
    return rc;
}

/* XN_ENOENT: there is none. */
static int scan_log(struct net_wal *wal, const char *path, wal_record *fn,
                    struct wal_scan *scan, struct net_wal_report *report)
{
    struct xn_buf data;
    int rc;

    xn_buf_init(&data, LOG_MAX);
    rc = xn_file_read(path, &data);
    if (!rc) {
        rc = wal_scan(data.data, data.len, fn, wal, scan);
        if (rc == XN_EINTEGRITY) {
            wrong(report, path,
                  scan->why[0] ? scan->why : "a record is malformed");
        }
    }
    xn_buf_clear(&data);
    return rc;
}

/* 0: its head is good; XN_ENOENT. */
static int head_of(const char *path, struct wal_head *head,
                   struct net_wal_report *report)
{
    uint8_t bytes[WAL_SECTOR];
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file) return access(path, F_OK) ? XN_ENOENT : XN_EIO;
    n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (n != sizeof bytes || wal_head(bytes, head)) {
        return wrong(report, path, "emptied, cut or no log");
    }
    return 0;
}

/* A log that may lie here, though it is not in use: merged already, or begun
 * and never written to. */
static int check_idle(struct net_wal *wal, uint64_t epoch,
                      struct net_wal_report *report)
{
    char path[NET_PATH_MAX];
    struct wal_head head;
    struct wal_scan scan;
    int rc;

    wal_file_path(path, wal->path, epoch);
    rc = head_of(path, &head, report);
    if (rc) return rc == XN_ENOENT ? 0 : rc;
    if (head.epoch < wal->oldest) return 0;
    if (head.epoch != epoch) {
        return wrong(report, path, "a log of another time than the store's");
    }
    rc = scan_log(wal, path, NULL, &scan, report);
    if (!rc && (scan.next_seq != scan.head.first_seq || scan.torn)) {
        return wrong(report, path, "holds what the store does not know of");
    }
    return rc;
}

/* The log that the note names, or the one behind it. */
static int load_log(struct net_wal *wal, uint64_t epoch, struct wal_scan *scan,
                    struct net_wal_report *report)
{
    char path[NET_PATH_MAX];
    int rc;

    wal_file_path(path, wal->path, epoch);
    rc = scan_log(wal, path, take_record, scan, report);
    if (rc == XN_ENOENT) return wrong(report, path, "the log is missing");
    if (!rc && scan->head.epoch != epoch) {
        return wrong(report, path, "a log of another time than the store's");
    }
    return rc ? rc : wal_file_settle(path);
}

/* The rows of the log being merged: those before the cursor are in the store's
 * file already. */
static int sort_out(struct net_wal *wal)
{
    struct wal_row **done = malloc((wal->pending.n + 1) * sizeof *done);
    const struct wal_row *from =
        wal_table_from(&wal->pending, wal->cursor, wal->cursor_len);
    struct wal_row *row = wal_table_first(&wal->pending);
    bool behind = false;
    size_t n = 0;

    if (!done) return XN_ENOMEM;
    for (; row; row = row->next[0].row) {
        behind |= row == from;
        if (row->epoch != wal->oldest) continue;
        if (behind)
            wal->frozen_left += wal_row_weight(row);
        else
            done[n++] = row;
    }
    wal_table_remove(&wal->pending, done, n);
    free(done);
    return 0;
}

static int load_second(struct net_wal *wal, uint64_t first_seq,
                       struct wal_scan *scan, struct net_wal_report *report)
{
    char path[NET_PATH_MAX];
    int rc = load_log(wal, wal->oldest + 1, scan, report);

    if (rc) return rc;
    wal_file_path(path, wal->path, wal->oldest + 1);
    if (scan->goes_on || scan->head.first_seq != first_seq) {
        return wrong(report, path, "does not go on where the log before ends");
    }
    wal->frozen = true;
    return sort_out(wal);
}

static int load(struct net_wal *wal, struct net_wal_report *report)
{
    struct wal_scan scan;
    char path[NET_PATH_MAX];
    int rc;

    if (!wal->open) {
        rc = check_idle(wal, wal->oldest, report);
        return rc ? rc : check_idle(wal, wal->oldest + 1, report);
    }
    rc = load_log(wal, wal->oldest, &scan, report);
    if (rc) return rc;
    if (scan.goes_on) {
        rc = load_second(wal, scan.next_seq, &scan, report);
    } else if (wal->cursor) {
        wal_file_path(path, wal->path, wal->oldest);
        rc = wrong(report, path, "is merged in part, and does not go on");
    } else {
        rc = check_idle(wal, wal->oldest + 1, report);
    }
    if (rc) return rc;
    wal->seq = scan.next_seq;
    wal_file_path(path, wal->path, scan.head.epoch);
    return wal_file_resume(path, &scan, &wal->active);
}

/* ---- all of it ---- */

bool net_wal_has_logs(const char *path)
{
    char log[NET_PATH_MAX];
    uint64_t i;

    for (i = 0; i < 2; i++) {
        wal_file_path(log, path, i);
        if (access(log, F_OK) == 0) return true;
    }
    return false;
}

static struct net_wal *new_wal(const char *path,
                               const struct net_wal_options *options)
{
    struct net_wal *wal = calloc(1, sizeof *wal);
    size_t bytes = options->log_bytes ? options->log_bytes : LOG_BYTES;
    size_t most = options->log_most ? options->log_most : LOG_BYTES_MAX;

    if (!wal) return NULL;
    if (options->log_bytes && !options->log_most) most = bytes;
    snprintf(wal->path, sizeof wal->path, "%s", path);
    wal->sectors = (uint32_t)(bytes / WAL_SECTOR);
    if (wal->sectors < 4) wal->sectors = 4;
    wal->sectors_max = (uint32_t)(most / WAL_SECTOR);
    if (wal->sectors_max < wal->sectors) wal->sectors_max = wal->sectors;
    wal->keep = options->keep;
    wal->seq = 1;
    wal->slice = options->slice ? options->slice : SLICE;
    wal_file_init(&wal->active);
    if (getrandom(&wal->pending.seed, sizeof wal->pending.seed, 0) !=
        (ssize_t)sizeof wal->pending.seed) {
        free(wal);
        return NULL;
    }
    if (wal_gaps_new(&wal->gaps)) wal->gaps = NULL; /* it is slower then */
    return wal;
}

int net_wal_open(const char *path, const struct net_wal_options *options,
                 struct net_wal **wal_out, struct net_wal_report *report)
{
    static const struct net_wal_options none = {.log_bytes = 0};
    struct net_wal *wal;
    int rc;

    if (!options) options = &none;
    snprintf(report->file, sizeof report->file, "%.511s", path);
    report->why[0] = 0;
    if (strlen(path) > 400) return XN_EINVAL;
    if (access(path, F_OK) && net_wal_has_logs(path)) {
        return wrong(report, path, "is missing; its logs are there");
    }
    wal = new_wal(path, options);
    if (!wal) return XN_ENOMEM;
    rc = net_kv_open_strict(path, options->create, &wal->kv);
    if (!rc) rc = read_note(wal, report);
    if (!rc) rc = load(wal, report);
    if (rc) {
        wal->keep = true;
        net_wal_close(wal);
        return rc;
    }
    *wal_out = wal;
    return 0;
}
