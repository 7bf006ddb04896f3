/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening the store's file: what a killed process left, what is damaged. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/file.h"
#include "net/kv_in.h"

static const char format_key[] = "mformat";
static const char format_value[] = "xeno.store/1";
/* msiz=0: no memory map, so a full disk is an error and not SIGBUS. */
static const char tuning[] = "#type=kct#msiz=0#pccap=16777216";

/* ---- opening ----------------------------------------------------------- */

/* What a failure to open means: is it the file's own?  Else it may be all right,
 * and must be left alone. */
static int open_error(int32_t code)
{
    switch (code) {
    case KCENOREPOS:
    case KCENOPERM:
    case KCESYSTEM: return net_kv_error();
    default: return XN_EINTEGRITY;
    }
}

/* With the library's own locks, though ours makes them idle: without them it
 * would not heed its log in net_kv_mend().  What it would do further after a kill, writing the whole file anew, is not needed where all is
 * written in transactions. */
static int open_db(const char *path, bool create, KCDB **db_out)
{
    char name[NET_KV_PATH + sizeof tuning];
    uint32_t mode = KCOWRITER | KCONOREPAIR | (create ? KCOCREATE : 0);
    int rc = create ? 0 : net_kv_undo(path);
    KCDB *db;

    if (rc) return rc;
    db = kcdbnew();
    snprintf(name, sizeof name, "%s%s", path, tuning);
    errno = 0;
    if (kcdbopen(db, name, mode)) {
        *db_out = db;
        return 0;
    }
    rc = open_error(kcdbecode(db));
    kcdbdel(db);
    return rc;
}

static void shut_db(KCDB *db)
{
    if (!db) return;
    kcdbclose(db);
    kcdbdel(db);
}

static bool is_format(const char *key, size_t len)
{
    return len == sizeof format_key - 1 && memcmp(key, format_key, len) == 0;
}

/* Read every record; copy the good ones of the core into `copy` where given.
 * XN_EINTEGRITY: the tree itself is not sound. */
static int walk(KCDB *db, KCDB *copy, struct net_kv_report *report)
{
    KCCUR *cursor = kcdbcursor(db);
    uint64_t seen = 0, most = (uint64_t)kcdbcount(db);
    struct net_kv_order last = {.any = false};
    bool format = false;
    int rc = 0;

    report->records = report->damaged = 0;
    kccurjump(cursor);
    while (!rc) {
        const char *value;
        size_t key_len, len;
        char *key = kccurget(cursor, &key_len, &value, &len, 1);

        if (!key) break;
        seen++;
        if (!net_kv_is_good(key, key_len, value, len)) {
            report->damaged++;
            if (report->damaged > most) rc = XN_EINTEGRITY;
        } else if (!net_kv_is_next(&last, key, key_len)) {
            rc = XN_EINTEGRITY;
        } else if (key[0] == 'm') {
            format = format || is_format(key, key_len);
        } else {
            report->records++;
            if (copy)
                rc = net_kv_put(copy, key, key_len, value + NET_KV_SUM,
                                len - NET_KV_SUM);
        }
        kcfree(key);
    }
    if (!rc && (kccurecode(cursor) != KCENOREC || !format ||
                (int64_t)seen != kcdbcount(db))) {
        rc = XN_EINTEGRITY;
    }
    kccurdel(cursor);
    return rc;
}

static void drop_logs(const char *path)
{
    char log[NET_KV_PATH + 32];

    snprintf(log, sizeof log, "%s.wal", path);
    unlink(log);
    snprintf(log, sizeof log, "%s.wal.kept", path);
    unlink(log);
}

/* A new file with the format record and what is good in `old` (may be NULL).
 * It gets its name only when it is whole: a file without the format record is
 * a damaged one, not a new one. */
static int make(const char *path, KCDB *old, struct net_kv_report *report)
{
    char fresh[NET_KV_PATH + 16];
    KCDB *db;
    int rc;

    /* What one who was killed here left, and its log, which would be applied;
     * and the log of a file that is gone. */
    snprintf(fresh, sizeof fresh, "%s.new", path);
    drop_logs(fresh);
    drop_logs(path);
    unlink(fresh);
    rc = open_db(fresh, true, &db);
    if (rc) return rc;
    rc = net_kv_begin(db);
    if (!rc) {
        rc = net_kv_put(db, format_key, sizeof format_key - 1, format_value,
                        sizeof format_value - 1);
        if (!rc && old) {
            rc = walk(old, db, report);
            if (rc == XN_EINTEGRITY) rc = 0; /* known; the rest is saved */
        }
        if (!rc) rc = net_kv_end(db, fresh);
    }
    if (!kcdbclose(db) && !rc) rc = net_kv_error();
    kcdbdel(db);
    if (!rc && rename(fresh, path)) rc = XN_EIO;
    if (!rc) rc = net_file_sync_dir(path);
    if (rc) unlink(fresh);
    return rc;
}

static int set_aside(const char *path, struct net_kv_report *report)
{
    char log[NET_KV_PATH + 8], log_aside[NET_KV_PATH + 40];
    unsigned n;

    for (n = 1; n < 1000; n++) {
        snprintf(report->set_aside, sizeof report->set_aside,
                 "%.400s.damaged-%u", path, n);
        if (access(report->set_aside, F_OK)) break;
    }
    if (rename(path, report->set_aside)) return XN_EIO;
    snprintf(log, sizeof log, "%s.wal", path);
    snprintf(log_aside, sizeof log_aside, "%s.wal", report->set_aside);
    if (rename(log, log_aside) && errno != ENOENT) return XN_EIO;
    return 0;
}

static int open_sound(struct net_kv *kv, struct net_kv_report *report)
{
    int rc = 0;

    if (access(kv->path, F_OK)) {
        rc = make(kv->path, NULL, report);
        if (rc) return rc;
    }
    rc = open_db(kv->path, false, &kv->db);
    if (!rc) rc = walk(kv->db, NULL, report);
    if (rc != XN_EINTEGRITY) return rc;
    rc = set_aside(kv->path, report);
    if (!rc) rc = make(kv->path, kv->db, report);
    shut_db(kv->db);
    kv->db = NULL;
    return rc ? rc : open_db(kv->path, false, &kv->db);
}

/* fcntl locks, which the library uses, vanish with any close in the process:
 * flock on a file of its own. */
static int lock(struct net_kv *kv)
{
    char path[NET_KV_PATH + 8];

    snprintf(path, sizeof path, "%s.lock", kv->path);
    kv->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (kv->lock_fd < 0) return XN_EIO;
    return flock(kv->lock_fd, LOCK_EX | LOCK_NB) ? XN_EBUSY : 0;
}

static int new_locked(const char *path, struct net_kv **kv_out)
{
    struct net_kv *kv;
    int rc;

    if (strchr(path, '#') || strlen(path) > 400) return XN_EINVAL;
    kv = calloc(1, sizeof *kv);
    if (!kv) return XN_ENOMEM;
    snprintf(kv->path, sizeof kv->path, "%s", path);
    rc = lock(kv);
    if (rc) {
        net_kv_close(kv);
        return rc;
    }
    *kv_out = kv;
    return 0;
}

int net_kv_open(const char *path, struct net_kv **kv_out,
                struct net_kv_report *report_out)
{
    struct net_kv *kv = NULL;
    int rc;

    memset(report_out, 0, sizeof *report_out);
    rc = new_locked(path, &kv);
    if (rc) return rc;
    rc = open_sound(kv, report_out);
    if (rc) {
        net_kv_close(kv);
        return rc;
    }
    *kv_out = kv;
    return 0;
}

/* The library takes a file of no bytes for a new one: the format record tells
 * them apart. */
static bool has_format(KCDB *db)
{
    size_t len = 0;
    char *stored = kcdbget(db, format_key, sizeof format_key - 1, &len);
    bool good =
        stored &&
        net_kv_is_good(format_key, sizeof format_key - 1, stored, len) &&
        len - NET_KV_SUM == sizeof format_value - 1 &&
        memcmp(stored + NET_KV_SUM, format_value, len - NET_KV_SUM) == 0;

    if (stored) kcfree(stored);
    return good;
}

static bool has_log(const char *path)
{
    char log[NET_KV_PATH + 8];

    snprintf(log, sizeof log, "%s.wal", path);
    return access(log, F_OK) == 0;
}

static int open_strict(struct net_kv *kv, bool create)
{
    struct net_kv_report report;
    struct stat st;
    int rc;

    kv->strict = true;
    if (stat(kv->path, &st)) {
        if (errno != ENOENT) return XN_EIO;
        if (!create) return XN_ENOENT;
        if (has_log(kv->path)) return XN_EINTEGRITY; /* of one that is gone */
        rc = make(kv->path, NULL, &report);
        if (rc) return rc;
    } else if (st.st_size == 0) {
        return XN_EINTEGRITY;
    }
    rc = open_db(kv->path, false, &kv->db);
    if (!rc && !has_format(kv->db)) rc = XN_EINTEGRITY;
    return rc;
}

int net_kv_open_strict(const char *path, bool create, struct net_kv **kv_out)
{
    struct net_kv *kv = NULL;
    int rc = new_locked(path, &kv);

    if (rc) return rc;
    rc = open_strict(kv, create);
    if (rc) {
        net_kv_close(kv);
        return rc;
    }
    *kv_out = kv;
    return 0;
}

int net_kv_check(struct net_kv *kv, struct net_kv_report *report_out)
{
    int rc;

    memset(report_out, 0, sizeof *report_out);
    if (!kv->db) return XN_EIO;
    rc = walk(kv->db, NULL, report_out);
    return !rc && report_out->damaged ? XN_EINTEGRITY : rc;
}

void net_kv_close(struct net_kv *kv)
{
    if (!kv) return;
    shut_db(kv->db);
    if (kv->lock_fd >= 0) close(kv->lock_fd);
    free(kv);
}

/* After a failed write the library may still be within its transaction; to
 * close and open again brings back what was durable. */
void net_kv_mend(struct net_kv *kv)
{
    if (kv->db) net_kv_freeze(kv->path);
    shut_db(kv->db);
    kv->db = NULL;
    (void)open_db(kv->path, false, &kv->db);
}
