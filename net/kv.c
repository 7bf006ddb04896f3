/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <kclangc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/file.h"
#include "wire/id.h"

enum {
    SUM = 8, /* bytes of checksum before each value */
    KEY_MAX = 1024,
    READ_BYTES_MAX = 4 << 20,
    READ_RECORDS_MAX = 65536,
    LOG_MAX = 1 << 30,
    PATH_ROOM = 512,
};

/* Keys of the core follow 'd'; ours follow 'm'. */
static const char format_key[] = "mformat";
static const char format_value[] = "xeno.store/1";
/* msiz=0: no memory map, so a full disk is an error and not SIGBUS. */
static const char tuning[] = "#type=kct#msiz=0#pccap=16777216";

struct net_kv {
    KCDB *db; /* NULL after a failure that could not be mended */
    char path[PATH_ROOM];
    int lock_fd;
    bool strict; /* damage is an error, never passed over */
};

/* ---- records ----------------------------------------------------------- */

static void checksum(const void *key, size_t key_len, const void *value,
                     size_t len, uint8_t sum_out[SUM])
{
    uint8_t lead[4 + KEY_MAX + 1];
    xn_id hash;

    lead[0] = (uint8_t)(key_len >> 24);
    lead[1] = (uint8_t)(key_len >> 16);
    lead[2] = (uint8_t)(key_len >> 8);
    lead[3] = (uint8_t)key_len;
    memcpy(lead + 4, key, key_len);
    xn_id_hash2(lead, 4 + key_len, value, len, &hash);
    memcpy(sum_out, hash.b, SUM);
}

static bool is_good(const void *key, size_t key_len, const char *stored,
                    size_t len)
{
    uint8_t sum[SUM];

    if (len < SUM || key_len > KEY_MAX + 1) return false;
    checksum(key, key_len, stored + SUM, len - SUM, sum);
    return memcmp(sum, stored, SUM) == 0;
}

static int kc_error(void)
{
    switch (errno) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return XN_ENOSPC;
    default: return XN_EIO;
    }
}

static int put(KCDB *db, const char *key, size_t key_len, const void *value,
               size_t len)
{
    char *stored = malloc(SUM + len);
    int ok;

    if (!stored) return XN_ENOMEM;
    checksum(key, key_len, value, len, (uint8_t *)stored);
    if (len) memcpy(stored + SUM, value, len);
    errno = 0;
    ok = kcdbset(db, key, key_len, stored, SUM + len);
    free(stored);
    return ok ? 0 : kc_error();
}

static size_t our_key(const ProtobufCBinaryData *key, char out[KEY_MAX + 1])
{
    out[0] = 'd';
    if (key->len) memcpy(out + 1, key->data, key->len);
    return 1 + key->len;
}

/* ---- opening ----------------------------------------------------------- */

/* What a failure to open means: is it the file's own?  Else it may be all right,
 * and must be left alone. */
static int open_error(int32_t code)
{
    switch (code) {
    case KCENOREPOS:
    case KCENOPERM:
    case KCESYSTEM: return kc_error();
    default: return XN_EINTEGRITY;
    }
}

/* ---- what a killed process left half done ------------------------------ */

static int write_durably(const struct xn_buf *data, const char *to)
{
    char temporary[PATH_ROOM + 40];
    int fd, rc = XN_EIO;

    snprintf(temporary, sizeof temporary, "%s.new", to);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data->data, data->len) != (ssize_t)data->len ||
        fsync(fd) || rename(temporary, to)) {
        rc = kc_error();
    } else {
        rc = net_file_sync_dir(to);
    }
    if (fd >= 0) close(fd);
    return rc;
}

/* Does the log begin as one of a transaction does: a mark and the size of the
 * file before it, which is never 0?  The library zeroes a log that is done
 * with, and were the next one's first bytes torn it would take the size for 0
 * and cut the file off there.  They are durable before anything else of a
 * transaction is written. */
static bool is_begun(const struct xn_buf *log)
{
    size_t i;

    if (log->len < 12 || memcmp(log->data, "KW\n", 4) != 0) return false;
    for (i = 4; i < 12; i++) {
        if (log->data[i]) return true;
    }
    return false;
}

/* Open as the hash file that a tree is inside: that undoes what the log says,
 * and does not count all records again, as opening the tree would. */
static int undo_by_log(const char *path)
{
    char name[PATH_ROOM + 32];
    KCDB *db = kcdbnew();
    int fd, rc = 0;

    snprintf(name, sizeof name, "%s#type=kch#msiz=0", path);
    errno = 0;
    if (!kcdbopen(db, name, KCOWRITER | KCONOREPAIR)) {
        rc = open_error(kcdbecode(db));
    } else if (!kcdbclose(db)) {
        rc = kc_error();
    }
    kcdbdel(db);
    if (rc) return rc;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) rc = XN_EIO;
    if (fd >= 0) close(fd);
    return rc;
}

/* The library removes its log before it has undone what the log says, and
 * leaves it to chance when that reaches the disk: who is killed there, or loses
 * power soon after, has half a transaction and no log.  So a copy is kept until
 * all is done; to undo twice does no harm. */
static int recover(const char *path)
{
    char log[PATH_ROOM + 8], kept[PATH_ROOM + 16];
    struct xn_buf data;
    bool is_again;
    int rc;

    snprintf(log, sizeof log, "%s.wal", path);
    snprintf(kept, sizeof kept, "%s.wal.kept", path);
    xn_buf_init(&data, LOG_MAX);
    is_again = access(kept, F_OK) == 0;
    rc = xn_file_read(is_again ? kept : log, &data);
    if (rc == XN_ENOENT) {
        rc = 0;
    } else if (!rc && !is_begun(&data)) {
        rc = unlink(is_again ? kept : log) ? XN_EIO : 0;
    } else if (!rc) {
        rc = write_durably(&data, is_again ? log : kept);
        if (!rc) rc = undo_by_log(path);
        if (!rc && unlink(kept)) rc = XN_EIO;
        if (!rc) rc = net_file_sync_dir(path);
    }
    xn_buf_clear(&data);
    return rc;
}

/* With the library's own locks, though ours makes them idle: without them it
 * would not heed its log in mend().  What it would do further after a kill, writing the whole file anew, is not needed where all is
 * written in transactions. */
static int open_db(const char *path, bool create, KCDB **db_out)
{
    char name[PATH_ROOM + sizeof tuning];
    uint32_t mode = KCOWRITER | KCONOREPAIR | (create ? KCOCREATE : 0);
    int rc = create ? 0 : recover(path);
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

/* In a broken tree the leaves may lead back to where one has been. */
struct order {
    char key[KEY_MAX + 1];
    size_t len;
    bool any;
};

static bool is_next(struct order *last, const char *key, size_t len)
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

/* Read every record; copy the good ones of the core into `copy` where given.
 * XN_EINTEGRITY: the tree itself is not sound. */
static int walk(KCDB *db, KCDB *copy, struct net_kv_report *report)
{
    KCCUR *cursor = kcdbcursor(db);
    uint64_t seen = 0, most = (uint64_t)kcdbcount(db);
    struct order last = {.any = false};
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
        if (!is_good(key, key_len, value, len)) {
            report->damaged++;
            if (report->damaged > most) rc = XN_EINTEGRITY;
        } else if (!is_next(&last, key, key_len)) {
            rc = XN_EINTEGRITY;
        } else if (key[0] == 'm') {
            format = true;
        } else {
            report->records++;
            if (copy) rc = put(copy, key, key_len, value + SUM, len - SUM);
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
    char log[PATH_ROOM + 32];

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
    char fresh[PATH_ROOM + 16];
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
    rc = kcdbbegintran(db, 1) ? 0 : kc_error();
    if (!rc) {
        rc = put(db, format_key, sizeof format_key - 1, format_value,
                 sizeof format_value - 1);
        if (!rc && old) {
            rc = walk(old, db, report);
            if (rc == XN_EINTEGRITY) rc = 0; /* known; the rest is saved */
        }
        if (!kcdbendtran(db, rc == 0) && !rc) rc = kc_error();
    }
    if (!kcdbclose(db) && !rc) rc = kc_error();
    kcdbdel(db);
    if (!rc && rename(fresh, path)) rc = XN_EIO;
    if (!rc) rc = net_file_sync_dir(path);
    if (rc) unlink(fresh);
    return rc;
}

static int set_aside(const char *path, struct net_kv_report *report)
{
    char log[PATH_ROOM + 8], log_aside[PATH_ROOM + 40];
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
    char path[PATH_ROOM + 8];

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
    bool good = stored &&
                is_good(format_key, sizeof format_key - 1, stored, len) &&
                len - SUM == sizeof format_value - 1 &&
                memcmp(stored + SUM, format_value, len - SUM) == 0;

    if (stored) kcfree(stored);
    return good;
}

static bool has_log(const char *path)
{
    char log[PATH_ROOM + 8];

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

/* ---- writing ----------------------------------------------------------- */

/* 0, XN_ECONFLICT, or, where damage is an error, XN_EINTEGRITY. */
static int check_guard(const struct net_kv *kv, const Xn__Guard *guard)
{
    char key[KEY_MAX + 1];
    size_t key_len = our_key(&guard->key, key), len = 0;
    char *stored = kcdbget(kv->db, key, key_len, &len);
    bool good = stored && is_good(key, key_len, stored, len);
    bool damaged =
        stored ? !good : kcdbecode(kv->db) != KCENOREC; /* a broken tree */
    bool holds;

    if (guard->absent) {
        holds = !good;
    } else {
        holds = good && len - SUM == guard->value.len &&
                (len == SUM ||
                 memcmp(stored + SUM, guard->value.data, len - SUM) == 0);
    }
    if (stored) kcfree(stored);
    if (damaged && kv->strict) return XN_EINTEGRITY;
    return holds ? 0 : XN_ECONFLICT;
}

static int write_one(KCDB *db, const Xn__Write *write)
{
    char key[KEY_MAX + 1];
    size_t key_len = our_key(&write->key, key);

    if (!write->drop) {
        return put(db, key, key_len, write->value.data, write->value.len);
    }
    errno = 0;
    if (kcdbremove(db, key, key_len) || kcdbecode(db) == KCENOREC) return 0;
    return kc_error();
}

static bool keys_fit(const Xn__Txn *txn)
{
    size_t i;

    for (i = 0; i < txn->n_guards; i++) {
        if (txn->guards[i]->key.len > KEY_MAX) return false;
    }
    for (i = 0; i < txn->n_writes; i++) {
        if (txn->writes[i]->key.len > KEY_MAX) return false;
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

/* After a failed write the library may still be within its transaction; to
 * close and open again brings back what was durable. */
static void mend(struct net_kv *kv)
{
    shut_db(kv->db);
    kv->db = NULL;
    (void)open_db(kv->path, false, &kv->db);
}

/* After a commit.  The library fills a log that is done with with zeros and writes the next one
 * over them.  A record of it that was torn by a power cut would look whole, the
 * zeros being its end, and be "undone" into the file.  In an empty log a torn
 * record is a short one. */
static void empty_log(const char *path)
{
    char log[PATH_ROOM + 8];

    snprintf(log, sizeof log, "%s.wal", path);
    if (truncate(log, 0)) return; /* there is none */
}

void net_kv_apply(struct net_kv *kv, const Xn__Txn *const *txns, size_t n,
                  int *rcs)
{
    size_t i;
    int rc = 0;

    if (!kv->db) mend(kv);
    errno = 0;
    if (!kv->db || !kcdbbegintran(kv->db, 1)) {
        rc = kc_error();
    } else {
        for (i = 0; i < n && !rc; i++)
            rc = apply_one(kv, txns[i], &rcs[i]);
        errno = 0;
        if (!kcdbendtran(kv->db, rc == 0) && !rc) rc = kc_error();
    }
    if (!rc) {
        empty_log(kv->path);
        return;
    }
    for (i = 0; i < n; i++)
        rcs[i] = rc;
    if (kv->db) mend(kv);
}

/* ---- reading ----------------------------------------------------------- */

struct page {
    Xn__Records body;
    Xn__Record *rows;
    size_t cap, bytes;
};

static int add_row(struct page *page, const char *key, size_t key_len,
                   const char *value, size_t len)
{
    Xn__Record *row;

    if (page->body.n_records == page->cap) {
        size_t cap = page->cap ? 2 * page->cap : 64;
        Xn__Record *rows = realloc(page->rows, cap * sizeof *rows);

        if (!rows) return XN_ENOMEM;
        page->rows = rows;
        page->cap = cap;
    }
    row = &page->rows[page->body.n_records];
    xn__record__init(row);
    row->key.data = malloc(key_len + len + 1);
    if (!row->key.data) return XN_ENOMEM;
    if (key_len) memcpy(row->key.data, key, key_len);
    row->key.len = key_len;
    row->value.data = row->key.data + key_len;
    row->value.len = len;
    if (len) memcpy(row->value.data, value, len);
    page->body.n_records++;
    page->bytes += key_len + len + 16;
    return 0;
}

static int pack(struct page *page, struct xn_msg **records_out)
{
    Xn__Record **index = calloc(page->body.n_records + 1, sizeof *index);
    size_t i;
    int rc;

    if (!index) return XN_ENOMEM;
    for (i = 0; i < page->body.n_records; i++)
        index[i] = &page->rows[i];
    page->body.records = index;
    rc = xn_msg_new(XN__KIND__RECORDS, &page->body, records_out);
    free(index);
    return rc;
}

static void clear_page(struct page *page)
{
    size_t i;

    for (i = 0; i < page->body.n_records; i++)
        free(page->rows[i].key.data);
    free(page->rows);
}

static int fill(KCCUR *cursor, bool strict, const char *prefix,
                size_t prefix_len, size_t limit, struct page *page)
{
    struct order last = {.any = false};
    int rc = 0;

    while (!rc) {
        const char *value;
        size_t key_len, len;
        char *key = kccurget(cursor, &key_len, &value, &len, 1);

        if (!key) {
            if (strict && kccurecode(cursor) != KCENOREC) rc = XN_EINTEGRITY;
            break;
        }
        if (key_len < prefix_len || memcmp(key, prefix, prefix_len) != 0) {
            kcfree(key);
            break;
        }
        if (page->body.n_records >= limit || page->bytes >= READ_BYTES_MAX) {
            page->body.more = true;
            kcfree(key);
            break;
        }
        if (is_good(key, key_len, value, len)) {
            rc = is_next(&last, key, key_len) ? 0 : XN_EINTEGRITY;
            if (!rc) {
                rc =
                    add_row(page, key + 1, key_len - 1, value + SUM, len - SUM);
            }
        } else if (strict) {
            rc = XN_EINTEGRITY;
        }
        kcfree(key);
    }
    return rc;
}

int net_kv_read(struct net_kv *kv, const Xn__Read *read,
                struct xn_msg **records_out)
{
    struct page page = {.body = XN__RECORDS__INIT};
    char prefix[KEY_MAX + 1], from[KEY_MAX + 1];
    size_t prefix_len, from_len, common, limit = read->limit;
    KCCUR *cursor;
    int order, rc;

    if (read->prefix.len > KEY_MAX || read->from.len > KEY_MAX) {
        return XN_EINVAL;
    }
    if (!kv->db) mend(kv);
    if (!kv->db) return XN_EIO;
    if (limit == 0 || limit > READ_RECORDS_MAX) limit = READ_RECORDS_MAX;
    prefix_len = our_key(&read->prefix, prefix);
    from_len = our_key(&read->from, from);
    common = prefix_len < from_len ? prefix_len : from_len;
    order = memcmp(from, prefix, common);
    if (order < 0 || (order == 0 && from_len < prefix_len)) {
        memcpy(from, prefix, prefix_len);
        from_len = prefix_len;
    }
    cursor = kcdbcursor(kv->db);
    kccurjumpkey(cursor, from, from_len);
    rc = fill(cursor, kv->strict, prefix, prefix_len, limit, &page);
    kccurdel(cursor);
    if (!rc) rc = pack(&page, records_out);
    clear_page(&page);
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

const struct net_backing_ops net_kv_ops = {"kyoto", ops_apply, ops_read,
                                           ops_close};
