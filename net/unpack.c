/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "lib/err.h"

#define BLOCK 65536

struct work {
    struct archive *in;
    int root;
    uint64_t left;    /* bytes */
    uint32_t entries; /* that were made */
    uint32_t entries_max;
    char *because;
    size_t len;
};

static int refuse(struct work *w, int rc, const char *path, const char *why)
{
    snprintf(w->because, w->len, "%s%s%.200s", why, path ? ": " : "",
             path ? path : "");
    return rc;
}

/* What a disk does not take of an archive is no fault of the disk's. */
static int failed(struct work *w, const char *path)
{
    int rc = XN_EIO;

    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: rc = XN_ENOSPC; break;
    case EMLINK:
    case ENAMETOOLONG:
    case EILSEQ:
    case EINVAL:
    case ELOOP: rc = XN_EINVAL; break;
    default: break;
    }
    return refuse(w, rc, path, strerror(errno));
}

/* ---- names --------------------------------------------------------------- */

/* "./a//b/" becomes "a/b"; "" is the folder itself.  XN_EINVAL: it could lead
 * out. */
static int clean(const char *name, char out[UNPACK_PATH_MAX])
{
    size_t at = 0, depth = 0;

    if (!name || name[0] == '/') return XN_EINVAL;
    while (*name) {
        size_t n = strcspn(name, "/");

        if (n == 2 && name[0] == '.' && name[1] == '.') return XN_EINVAL;
        if (n > 255 || at + n + 2 > UNPACK_PATH_MAX) return XN_EINVAL;
        if (n > 0 && !(n == 1 && name[0] == '.')) {
            if (++depth > UNPACK_DEPTH_MAX) return XN_EINVAL;
            if (at) out[at++] = '/';
            memcpy(out + at, name, n);
            at += n;
        }
        name += n + (name[n] == '/');
    }
    out[at] = '\0';
    return 0;
}

/* A folder within `at`, made where it is missing, and then it is an entry as if
 * it had been named; links are not followed. */
static int enter(struct work *w, int at, const char *name)
{
    if (!mkdirat(at, name, 0755))
        w->entries++;
    else if (errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folder that `path` (clean) is in, and its last part.  -1 with errno. */
static int open_parent(struct work *w, char *path, char **name_out)
{
    int dir = openat(w->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *slash;

    while (dir >= 0 && (slash = strchr(path, '/'))) {
        int next;

        *slash = '\0';
        next = enter(w, dir, path);
        *slash = '/';
        close(dir);
        dir = next;
        path = slash + 1;
    }
    *name_out = path;
    return dir;
}

/* ---- contents ------------------------------------------------------------ */

static int put(struct work *w, int fd, const char *data, size_t n,
               int64_t offset, const char *path)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, data, n, offset);

        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return failed(w, path);
        data += done;
        n -= (size_t)done;
        offset += done;
    }
    return 0;
}

/* Counts holes as if they were written: who reads them gets as many bytes. */
static int grow(struct work *w, int64_t *end, int64_t to, const char *path)
{
    if (to <= *end) return 0;
    if ((uint64_t)(to - *end) > w->left)
        return refuse(w, XN_ETOOBIG, path, "larger than allowed, unpacked");
    w->left -= (uint64_t)(to - *end);
    *end = to;
    return 0;
}

static int copy_blocks(struct work *w, int fd, const char *path)
{
    int64_t offset, end = 0;
    const void *data;
    size_t n;
    int rc = 0;

    while (!rc) {
        int got = archive_read_data_block(w->in, &data, &n, &offset);

        if (got == ARCHIVE_EOF) break;
        if (got < ARCHIVE_WARN)
            return refuse(w, XN_EINVAL, path, "damaged archive");
        if (offset < 0 || n > INT64_MAX / 2 || offset > INT64_MAX / 2)
            return refuse(w, XN_EINVAL, path, "damaged archive");
        rc = grow(w, &end, offset + (int64_t)n, path);
        if (!rc) rc = put(w, fd, data, n, offset, path);
    }
    if (!rc && ftruncate(fd, end)) rc = failed(w, path);
    return rc;
}

static int add_file(struct work *w, struct archive_entry *entry, int dir,
                    const char *name, const char *path)
{
    mode_t mode = archive_entry_perm(entry) & 0111 ? 0755 : 0644;
    int fd, rc;

    if (archive_entry_size_is_set(entry) &&
        (archive_entry_size(entry) < 0 ||
         (uint64_t)archive_entry_size(entry) > w->left)) {
        return refuse(w, XN_ETOOBIG, path, "larger than allowed, unpacked");
    }
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0 && errno == EEXIST)
        return refuse(w, XN_EINVAL, path, "a name comes twice");
    if (fd < 0) return failed(w, path);
    rc = copy_blocks(w, fd, path);
    if (!rc && fchmod(fd, mode)) rc = failed(w, path);
    if (close(fd) && !rc) rc = failed(w, path);
    return rc;
}

/* The text of a link matters only inside of the sandbox. */
static int add_link(struct work *w, struct archive_entry *entry, int dir,
                    const char *name, const char *path)
{
    const char *target = archive_entry_symlink(entry);

    if (!target || !target[0] || strlen(target) >= UNPACK_PATH_MAX)
        return refuse(w, XN_EINVAL, path, "a link to nothing");
    if (!symlinkat(target, dir, name)) return 0;
    if (errno == EEXIST)
        return refuse(w, XN_EINVAL, path, "a name comes twice");
    return failed(w, path);
}

/* Another name of a file that came before.  Who reads all names reads it as
 * often, so each name has its size. */
static int add_hardlink(struct work *w, const char *target, int dir,
                        const char *name, const char *path)
{
    char room[UNPACK_PATH_MAX], *last;
    struct stat st;
    int from, rc = 0;

    if (clean(target, room) || !room[0])
        return refuse(w, XN_EINVAL, path, "a link that leads out");
    from = open_parent(w, room, &last);
    if (from < 0)
        return refuse(w, XN_EINVAL, path, "a link that leads through a link");
    if (fstatat(from, last, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        rc = refuse(w, XN_EINVAL, path, "a link to what is no file before it");
    else if ((uint64_t)st.st_size > w->left)
        rc = refuse(w, XN_ETOOBIG, path, "larger than allowed, unpacked");
    else if (linkat(from, last, dir, name, 0))
        rc = errno == EEXIST ? refuse(w, XN_EINVAL, path, "a name comes twice")
                             : failed(w, path);
    if (!rc) w->left -= (uint64_t)st.st_size;
    close(from);
    return rc;
}

static int add_folder(struct work *w, int dir, const char *name,
                      const char *path)
{
    int fd = enter(w, dir, name);

    if (fd < 0) return refuse(w, XN_EINVAL, path, "a folder that is none");
    close(fd);
    return 0;
}

static int add_entry(struct work *w, struct archive_entry *entry)
{
    const char *hard = archive_entry_hardlink(entry);
    char path[UNPACK_PATH_MAX], *name;
    int dir, rc = 0;

    if (clean(archive_entry_pathname(entry), path))
        return refuse(w, XN_EINVAL, archive_entry_pathname(entry),
                      "a name that leads out, or is too long");
    if (!path[0]) return 0; /* the folder itself */
    dir = open_parent(w, path, &name);
    if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
        return refuse(w, XN_EINVAL, path, "a name that leads through a link");
    if (dir < 0) return failed(w, path);
    if (hard)
        rc = add_hardlink(w, hard, dir, name, path);
    else if (archive_entry_filetype(entry) == AE_IFREG)
        rc = add_file(w, entry, dir, name, path);
    else if (archive_entry_filetype(entry) == AE_IFDIR)
        rc = add_folder(w, dir, name, path);
    else if (archive_entry_filetype(entry) == AE_IFLNK)
        rc = add_link(w, entry, dir, name, path);
    close(dir);
    return rc;
}

static int take_all(struct work *w)
{
    struct archive_entry *entry;
    uint32_t named = 0;
    int rc = 0;

    while (!rc) {
        int got = archive_read_next_header(w->in, &entry);

        if (got == ARCHIVE_EOF) break;
        if (got < ARCHIVE_WARN)
            return refuse(w, XN_EINVAL, archive_error_string(w->in),
                          "not a tar archive, or a damaged one");
        if (named++ >= w->entries_max || w->entries >= w->entries_max)
            return refuse(w, XN_ETOOBIG, NULL, "too many entries");
        if (archive_entry_filetype(entry) != AE_IFDIR) w->entries++;
        rc = add_entry(w, entry);
    }
    if (!rc && !named)
        return refuse(w, XN_EINVAL, NULL, "an archive of nothing");
    return rc;
}

int unpack(int archive, int dir, uint64_t bytes_max, uint32_t entries_max,
           char *because_out, size_t len)
{
    struct work w = {.root = dir,
                     .left = bytes_max,
                     .entries_max = entries_max,
                     .because = because_out,
                     .len = len};
    int rc = XN_ENOMEM;

    snprintf(because_out, len, "%s", xn_strerror(rc));
    w.in = archive_read_new();
    if (!w.in) return rc;
    archive_read_support_format_tar(w.in);
    archive_read_support_filter_gzip(w.in);
    archive_read_support_filter_xz(w.in);
    archive_read_support_filter_zstd(w.in);
    if (archive_read_open_fd(w.in, archive, BLOCK) < ARCHIVE_WARN)
        rc = refuse(&w, XN_EINVAL, NULL, "not a tar archive");
    else
        rc = take_all(&w);
    archive_read_free(w.in);
    return rc;
}
