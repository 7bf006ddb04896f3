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

enum { CHUNK = 1 << 18, ALIGNED = 4096, ROOM_LEAST = 8 };

void wal_file_init(struct wal_file *file)
{
    memset(file, 0, sizeof *file);
    file->fd = -1;
}

void wal_file_close(struct wal_file *file)
{
    if (file->fd >= 0) close(file->fd);
    free(file->room);
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

/* Not every file system, and no disk of larger sectors, lets such small pieces
 * pass by the system's memory.  O_DSYNC is left as it is. */
static bool stop_passing_by(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return errno == EINVAL && flags >= 0 && flags & O_DIRECT &&
           fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

static int write_at(int fd, const uint8_t *data, size_t len, off_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, at);

        if (n < 0 && (errno == EINTR || stop_passing_by(fd))) continue;
        if (n <= 0) return n ? failure() : XN_EIO;
        data += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

/* Does a file take pieces of a sector, past the system's memory?  Where nobody
 * knows, the first write will tell. */
static bool takes_sectors(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
        st.stx_mask & STATX_DIOALIGN) {
        return st.stx_dio_offset_align && st.stx_dio_mem_align &&
               WAL_SECTOR % st.stx_dio_offset_align == 0 &&
               ALIGNED % st.stx_dio_mem_align == 0;
    }
#else
    (void)fd;
#endif
    return true;
}

/* For writing to it: each write is durable when it returns, and goes to the
 * disk by itself, not by the system's memory, which costs two thirds of the
 * processor's time that write and fdatasync do. */
static int open_log(const char *path)
{
    int flags = O_RDWR | O_CLOEXEC | O_DSYNC;
    int fd = open(path, flags | O_DIRECT);

    if (fd >= 0 && !takes_sectors(fd)) {
        close(fd);
        return open(path, flags);
    }
    return fd < 0 && errno == EINVAL ? open(path, flags) : fd;
}

/* Room for so many sectors in file->room. */
static int have_room(struct wal_file *file, size_t sectors)
{
    size_t n = file->room_sectors ? file->room_sectors : ROOM_LEAST;
    void *room;

    if (sectors <= file->room_sectors) return 0;
    while (n < sectors)
        n *= 2;
    room = aligned_alloc(ALIGNED, n * WAL_SECTOR);
    if (!room) return XN_ENOMEM;
    free(file->room);
    file->room = room;
    file->room_sectors = (uint32_t)n;
    return 0;
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

/* Is there room for it?  Asked first, so that a disk that is nearly full is not
 * filled in vain.  Not every file system knows. */
static int have_disk(int fd, off_t size)
{
    int rc = fallocate(fd, 0, 0, size) ? failure() : 0;

    return rc == XN_ENOSPC ? rc : 0;
}

/* Under another name until it is whole. */
static int make(const char *path, const uint8_t head[WAL_SECTOR],
                uint32_t sectors)
{
    char fresh[NET_PATH_MAX + 8];
    int fd, rc;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return failure();
    rc = have_disk(fd, (off_t)sectors * WAL_SECTOR);
    if (!rc) rc = write_zeros(fd, (size_t)sectors * WAL_SECTOR);
    if (!rc) rc = write_at(fd, head, WAL_SECTOR, 0);
    if (!rc && fsync(fd)) rc = failure();
    /* What the system has in its memory it would compare with each write. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    if (!rc && rename(fresh, path)) rc = failure();
    if (!rc) rc = net_file_sync_dir(path);
    if (rc) unlink(fresh);
    return rc;
}
/* Is there one of that size, to be written over? */
static bool is_there(const char *path, uint32_t sectors)
{
    struct stat st;

    return stat(path, &st) == 0 &&
           (uint64_t)st.st_size == (uint64_t)sectors * WAL_SECTOR;
}

int wal_file_begin(const char *path, uint64_t epoch, uint64_t first_seq,
                   uint32_t sectors, struct wal_file *file_out)
{
    struct wal_file file;
    bool old = is_there(path, sectors);
    int rc;

    wal_file_init(&file);
    rc = have_room(&file, 1);
    if (rc) goto out;
    wal_put_head(file.room, epoch, first_seq, sectors);
    if (!old) rc = make(path, file.room, sectors);
    if (rc) goto out;
    file.fd = open_log(path);
    if (file.fd < 0) {
        rc = failure();
        goto out;
    }
    if (old) rc = write_at(file.fd, file.room, WAL_SECTOR, 0);
    if (rc) goto out;
    file.epoch = epoch;
    file.sectors = sectors;
    file.end = 1;
    *file_out = file;
    return 0;
out:
    wal_file_close(&file);
    return rc;
}

int wal_file_settle(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), rc;

    if (fd < 0) return XN_EIO;
    rc = fdatasync(fd) ? failure() : 0;
    close(fd);
    return rc;
}

int wal_file_resume(const char *path, const struct wal_scan *scan,
                    struct wal_file *file)
{
    int fd = open_log(path);

    if (fd < 0) return XN_EIO;
    *file = (struct wal_file){.fd = fd,
                              .epoch = scan->head.epoch,
                              .sectors = scan->head.sectors,
                              .end = scan->end,
                              .dirty = scan->torn};
    return 0;
}

/* What a record that did not become durable left must be gone before another
 * begins there. */
static int clean(struct wal_file *file)
{
    size_t len = (size_t)file->dirty * WAL_SECTOR;
    int rc;

    if (!len) return 0;
    rc = have_room(file, file->dirty);
    if (rc) return rc;
    memset(file->room, 0, len);
    rc = write_at(file->fd, file->room, len, (off_t)file->end * WAL_SECTOR);
    if (!rc) {
        file->dirty = 0;
        file->unsure = false;
    }
    return rc;
}

int wal_file_sure(struct wal_file *file)
{
    return file->unsure ? clean(file) : 0;
}

int wal_file_append(struct wal_file *file, uint64_t seq, const void *payload,
                    size_t len)
{
    size_t n = wal_sectors(len);
    int rc = clean(file);

    if (rc) return rc;
    if (n > file->sectors - file->end) return XN_ETOOBIG;
    rc = have_room(file, n);
    if (rc) return rc;
    wal_put(file->room, file->end, file->epoch, seq, payload, len);
    rc = write_at(file->fd, file->room, n * WAL_SECTOR,
                  (off_t)file->end * WAL_SECTOR);
    if (rc) {
        file->dirty = (uint32_t)n;
        file->unsure = true;
        (void)clean(file); /* else before the next */
        return rc;
    }
    file->end += (uint32_t)n;
    return 0;
}
