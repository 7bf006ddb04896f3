/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/file.h"

enum { CHUNK = 1 << 18 };

void wal_file_init(struct wal_file *file)
{
    memset(file, 0, sizeof *file);
    file->fd = -1;
}

void wal_file_close(struct wal_file *file)
{
    if (file->fd >= 0) close(file->fd);
    wal_file_init(file);
}

void wal_file_path(char *out, const char *store, uint64_t epoch)
{
    snprintf(out, NET_PATH_MAX, "%.500s.log%u", store, (unsigned)(epoch & 1));
}

static int failure(void)
{
    return errno == ENOSPC || errno == EFBIG || errno == EDQUOT ? XN_ENOSPC
                                                                : XN_EIO;
}

static int write_at(int fd, const uint8_t *data, size_t len, off_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, at);

        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n ? failure() : XN_EIO;
        data += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

static int sync_data(int fd)
{
    return fdatasync(fd) ? failure() : 0;
}

static int write_zeros(int fd, size_t len)
{
    uint8_t *zeros = calloc(1, CHUNK);
    size_t at, n;
    int rc = zeros ? 0 : XN_ENOMEM;

    for (at = 0; at < len && !rc; at += n) {
        n = len - at < CHUNK ? len - at : CHUNK;
        rc = write_at(fd, zeros, n, (off_t)at);
    }
    free(zeros);
    return rc;
}

/* Under another name until it is whole. */
static int make(const char *path, const uint8_t head[WAL_SECTOR],
                uint32_t sectors, int *fd_out)
{
    char fresh[NET_PATH_MAX + 8];
    int fd, rc;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return failure();
    rc = write_zeros(fd, (size_t)sectors * WAL_SECTOR);
    if (!rc) rc = write_at(fd, head, WAL_SECTOR, 0);
    if (!rc && fsync(fd)) rc = failure();
    if (!rc && rename(fresh, path)) rc = failure();
    if (!rc) rc = net_file_sync_dir(path);
    if (rc) {
        unlink(fresh);
        close(fd);
        return rc;
    }
    *fd_out = fd;
    return 0;
}

int wal_file_begin(const char *path, uint64_t epoch, uint64_t first_seq,
                   uint32_t sectors, struct wal_file *file)
{
    uint8_t head[WAL_SECTOR];
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC), rc = 0;

    wal_put_head(head, epoch, first_seq, sectors);
    if (fd >= 0 && (fstat(fd, &st) ||
                    (uint64_t)st.st_size != (uint64_t)sectors * WAL_SECTOR)) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        rc = make(path, head, sectors, &fd);
        if (rc) return rc;
    } else {
        rc = write_at(fd, head, WAL_SECTOR, 0);
        if (!rc) rc = sync_data(fd);
    }
    if (rc) {
        close(fd);
        return rc;
    }
    *file = (struct wal_file){fd, epoch, sectors, 1, 0};
    return 0;
}

int wal_file_settle(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), rc;

    if (fd < 0) return XN_EIO;
    rc = sync_data(fd);
    close(fd);
    return rc;
}

int wal_file_resume(const char *path, const struct wal_scan *scan,
                    struct wal_file *file)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) return XN_EIO;
    *file = (struct wal_file){fd, scan->head.epoch, scan->head.sectors,
                              scan->end, scan->torn};
    return 0;
}

/* What a record that did not become durable left must be gone before another
 * begins there. */
static int clean(struct wal_file *file)
{
    size_t len = (size_t)file->dirty * WAL_SECTOR;
    uint8_t *zeros;
    int rc;

    if (!len) return 0;
    zeros = calloc(1, len);
    if (!zeros) return XN_ENOMEM;
    rc = write_at(file->fd, zeros, len, (off_t)file->end * WAL_SECTOR);
    if (!rc) rc = sync_data(file->fd);
    if (!rc) file->dirty = 0;
    free(zeros);
    return rc;
}

int wal_file_append(struct wal_file *file, uint64_t seq, const void *payload,
                    size_t len)
{
    size_t n = wal_sectors(len);
    uint8_t *bytes;
    int rc = clean(file);

    if (rc) return rc;
    if (n > file->sectors - file->end) return XN_ETOOBIG;
    bytes = malloc(n * WAL_SECTOR);
    if (!bytes) return XN_ENOMEM;
    wal_put(bytes, file->end, file->epoch, seq, payload, len);
    rc = write_at(file->fd, bytes, n * WAL_SECTOR,
                  (off_t)file->end * WAL_SECTOR);
    if (!rc) rc = sync_data(file->fd);
    free(bytes);
    if (rc) {
        file->dirty = (uint32_t)n;
        clean(file); /* else before the next */
        return rc;
    }
    file->end += (uint32_t)n;
    return 0;
}
