/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a transaction that did not end left in the file, undone by the library's
 * log of it: "KW\n\0", the size that the file had, then, oldest first, marks
 * (0xee), places, lengths and the bytes that were there; numbers of 8 bytes,
 * most significant first.  A record is durable before its place is written.
 *
 * The library does that too, but takes no notice of what it could not write
 * back, and removes the log before, or all the same.  And where a record could
 * not be written it leaves a gap of zeros, goes on behind it, and ends there when
 * it undoes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "net/file.h"
#include "net/kv_in.h"

enum {
    LOG_MAX = 1 << 30,
    HEAD = 4 + 8,
    LEAD = 1 + 8 + 8,
    MARK = 0xee,
};

struct undo {
    const uint8_t *bytes; /* as they were */
    size_t len;
    off_t at;
};

static uint64_t number(const uint8_t *p)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < 8; i++)
        n = n << 8 | p[i];
    return n;
}

/* A mark and the size of the file before it, which is never 0?  The library
 * zeroes a log that is done with, and were the next one's first bytes torn the
 * size would be taken for 0 and the file cut off there.  They are durable before
 * anything else of a transaction is written. */
static bool is_begun(const struct xn_buf *log)
{
    return log->len >= HEAD && memcmp(log->data, "KW\n", 4) == 0 &&
           number(log->data + 4) != 0;
}

/* The record at *at or behind the gap there, whole.  false: there is none, or it
 * is torn, and then its place was not written yet. */
static bool next_record(const struct xn_buf *log, size_t *at, struct undo *out)
{
    const uint8_t *p;
    uint64_t place, len;
    size_t left;

    while (*at < log->len && log->data[*at] == 0)
        ++*at;
    p = log->data + *at;
    left = log->len - *at;
    if (left < LEAD || p[0] != MARK) return false;
    place = number(p + 1);
    len = number(p + 9);
    if (place > INT64_MAX / 2 || len > left - LEAD) return false;
    *out = (struct undo){p + LEAD, (size_t)len, (off_t)place};
    *at += LEAD + (size_t)len;
    return true;
}

static int write_at(int fd, const struct undo *undo)
{
    size_t done = 0;

    while (done < undo->len) {
        ssize_t n = pwrite(fd, undo->bytes + done, undo->len - done,
                           undo->at + (off_t)done);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return net_kv_error();
        done += (size_t)n;
    }
    return 0;
}

/* The newest first: of a place that was written twice the oldest stays. */
static int write_back(int fd, const struct xn_buf *log)
{
    struct undo *undos = NULL, *more, one;
    size_t n = 0, room = 0, at = HEAD;
    int rc = 0;

    while (!rc && next_record(log, &at, &one)) {
        if (n == room) {
            room = room ? 2 * room : 256;
            more = realloc(undos, room * sizeof *undos);
            if (!more) rc = XN_ENOMEM;
            if (more) undos = more;
        }
        if (!rc) undos[n++] = one;
    }
    while (!rc && n > 0)
        rc = write_at(fd, &undos[--n]);
    free(undos);
    return rc;
}

static int undo(const char *path, const struct xn_buf *log)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int rc = fd < 0 ? net_kv_error() : write_back(fd, log);

    if (!rc && ftruncate(fd, (off_t)number(log->data + 4))) rc = net_kv_error();
    if (!rc && fsync(fd)) rc = XN_EIO;
    if (fd >= 0) close(fd);
    return rc;
}

static int forget(const char *log)
{
    return unlink(log) && errno != ENOENT ? XN_EIO : 0;
}

/* In place of the library's descriptor, which it goes on using: one that only
 * reads. */
static void freeze_one(const char *path, const struct stat *file)
{
    struct dirent *entry;
    struct stat st;
    DIR *dir = opendir("/proc/self/fd");
    int fd = dir ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    while (fd >= 0 && (entry = readdir(dir))) {
        int at = atoi(entry->d_name);

        if (entry->d_name[0] == '.' || at == fd || fstat(at, &st)) continue;
        if (st.st_dev != file->st_dev || st.st_ino != file->st_ino) continue;
        dup3(fd, at, O_CLOEXEC);
    }
    if (fd >= 0) close(fd);
    if (dir) closedir(dir);
}

void net_kv_freeze(const char *path)
{
    char log[NET_KV_PATH + 8], kept[NET_KV_PATH + 16];
    struct stat st;

    snprintf(log, sizeof log, "%s.wal", path);
    snprintf(kept, sizeof kept, "%s.wal.kept", path);
    if (stat(path, &st) == 0) freeze_one(path, &st);
    if (stat(log, &st)) return; /* no transaction has begun */
    freeze_one(log, &st);
    (void)!link(log, kept); /* it cannot be there: an open file has none */
}

/* To undo twice does no harm, so the log goes when all is durable.  One that is
 * done with goes for good too: were it back after a power cut, with what stood
 * in it before, what has long been told would be undone. */
int net_kv_undo(const char *path)
{
    char log[NET_KV_PATH + 8], kept[NET_KV_PATH + 16];
    struct xn_buf data;
    int rc;

    snprintf(log, sizeof log, "%s.wal", path);
    snprintf(kept, sizeof kept, "%s.wal.kept", path);
    xn_buf_init(&data, LOG_MAX);
    rc = xn_file_read(kept, &data);
    if (rc == XN_ENOENT) rc = xn_file_read(log, &data);
    if (rc == XN_ENOENT) {
        xn_buf_clear(&data);
        return 0;
    }
    if (!rc && is_begun(&data)) rc = undo(path, &data);
    if (!rc) rc = forget(log);
    if (!rc) rc = net_file_sync_dir(path);
    if (!rc) rc = forget(kept);
    if (!rc) rc = net_file_sync_dir(path);
    xn_buf_clear(&data);
    return rc;
}
