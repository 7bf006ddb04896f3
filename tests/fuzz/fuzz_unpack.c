/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An archive: whatever it holds, nothing lies beside its folder, and within it
 * only what a sandbox may see, no more of it than was allowed. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/unpack.h"

#define BYTES_MAX (1 << 20)
#define ENTRIES_MAX 200
/* Those of the last one come on top. */
#define MADE_MAX (ENTRIES_MAX + UNPACK_DEPTH_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    uint64_t bytes, entries;
};
static struct seen seen; /* nftw hands nothing through */

static int judge(const char *path, const struct stat *st, int type,
                 struct FTW *ftw)
{
    if (ftw->level == 0) return 0;
    if (ftw->level > UNPACK_DEPTH_MAX) abort();
    if (S_ISREG(st->st_mode)) {
        if ((st->st_mode & 07777) != 0755 && (st->st_mode & 07777) != 0644)
            abort();
        seen.bytes += (uint64_t)st->st_size;
    } else if (S_ISDIR(st->st_mode)) {
        if ((st->st_mode & 07777) != 0755) abort();
    } else if (!S_ISLNK(st->st_mode)) {
        abort();
    }
    seen.entries++;
    return 0;
}

/* A cut one has the mode that it was made with. */
static int judge_cut(const char *path, const struct stat *st, int type,
                     struct FTW *ftw)
{
    if (st->st_mode & (S_ISUID | S_ISGID | S_ISVTX)) abort();
    if (S_ISREG(st->st_mode)) seen.bytes += (uint64_t)st->st_size;
    seen.entries++;
    return 0;
}

static int drop(const char *path, const struct stat *st, int type,
                struct FTW *ftw)
{
    return remove(path);
}

static void try(const uint8_t *data, size_t len, const char *top)
{
    char in[64], because[300] = "";
    int dir, fd = memfd_create("archive", MFD_CLOEXEC), rc;

    snprintf(in, sizeof in, "%s/in", top);
    if (mkdir(in, 0755)) abort();
    dir = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || dir < 0 || write(fd, data, len) != (ssize_t)len ||
        lseek(fd, 0, SEEK_SET)) {
        abort();
    }
    rc = unpack(fd, dir, BYTES_MAX, ENTRIES_MAX, because, sizeof because);
    if (rc && !because[0]) abort();
    memset(&seen, 0, sizeof seen);
    nftw(in, rc ? judge_cut : judge, 16, FTW_PHYS);
    if (seen.bytes > BYTES_MAX) abort();
    if (seen.entries > MADE_MAX) abort();
    close(dir);
    close(fd);
    nftw(in, drop, 16, FTW_DEPTH | FTW_PHYS);
    if (rmdir(top)) abort(); /* there was nothing beside it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char top[] = "/tmp/xn-fuzz-unpack-XXXXXX";

    umask(022);
    if (!mkdtemp(top)) return 0;
    try(data, len, top);
    return 0;
}
