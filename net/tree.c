/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "lib/err.h"

#define PIECE 65536

struct walk {
    EVP_MD_CTX *hash;
    const atomic_bool *stop;
    uint64_t bytes;
    uint8_t *piece;
};

bool net_trouble_passes(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == EAGAIN ||
           err == ENOBUFS;
}

static int failed(void)
{
    return net_trouble_passes(errno) ? XN_EBUSY : XN_EIO;
}

/* A number and that many bytes, so that nothing runs together. */
static void add(struct walk *w, const void *data, uint64_t n)
{
    uint8_t head[8];

    for (size_t i = 0; i < sizeof head; i++)
        head[i] = (uint8_t)(n >> (56 - 8 * i));
    EVP_DigestUpdate(w->hash, head, sizeof head);
    if (data) EVP_DigestUpdate(w->hash, data, n);
}

static int add_file(struct walk *w, int dir, const char *name,
                    const struct stat *st)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint64_t left = (uint64_t)st->st_size;
    ssize_t n = 1;
    int rc = 0;

    if (fd < 0) return failed();
    add(w, NULL, left);
    w->bytes += left;
    while (left > 0 && n > 0 && !rc) {
        n = read(fd, w->piece, left < PIECE ? left : PIECE);
        if (n > 0) {
            EVP_DigestUpdate(w->hash, w->piece, (size_t)n);
            left -= (uint64_t)n;
        } else if (n < 0) {
            rc = failed();
        }
        if (w->stop && *w->stop) rc = XN_ECANCELLED;
    }
    close(fd);
    return rc; /* a shorter one gives another hash */
}

static int add_link(struct walk *w, int dir, const char *name)
{
    ssize_t n = readlinkat(dir, name, (char *)w->piece, PIECE);

    if (n < 0) return failed();
    add(w, w->piece, (uint64_t)n);
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int add_folder(struct walk *w, int dir, const char *name, int depth);

static int add_entry(struct walk *w, int dir, const char *name, int depth)
{
    struct stat st;
    uint8_t kind;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) return failed();
    w->bytes += NET_TREE_ENTRY_BYTES;
    kind = S_ISDIR(st.st_mode)                          ? 'd'
           : S_ISLNK(st.st_mode)                        ? 'l'
           : !S_ISREG(st.st_mode)                       ? '?'
           : st.st_mode & (S_ISUID | S_ISGID | S_ISVTX) ? 's'
           : st.st_mode & 0111                          ? 'x'
                                                        : 'f';
    add(w, name, strlen(name));
    add(w, &kind, 1);
    if (kind == 'd') return add_folder(w, dir, name, depth + 1);
    if (kind == 'l') return add_link(w, dir, name);
    return kind == '?' ? 0 : add_file(w, dir, name, &st);
}

static int add_folder(struct walk *w, int dir, const char *name, int depth)
{
    struct dirent **list = NULL;
    int at, n, rc = 0;

    if (depth > NET_TREE_DEPTH_MAX) return XN_ETOOBIG;
    at = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0) return errno == ENOENT ? XN_ENOENT : failed();
    n = scandirat(at, ".", &list, is_entry, by_name);
    if (n < 0) rc = failed();
    if (!rc) add(w, NULL, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        if (!rc) rc = add_entry(w, at, list[i]->d_name, depth);
        free(list[i]);
    }
    free(list);
    close(at);
    return rc;
}

int net_tree_digest(int dir, const char *name, const atomic_bool *stop,
                    xn_id *digest_out, uint64_t *bytes_out)
{
    struct walk w = {.stop = stop};
    int rc = XN_ENOMEM;

    w.hash = EVP_MD_CTX_new();
    w.piece = malloc(PIECE);
    if (!w.hash || !w.piece) goto out;
    if (EVP_DigestInit_ex(w.hash, EVP_sha256(), NULL) != 1) goto out;
    rc = add_folder(&w, dir, name, 0);
    if (rc) goto out;
    EVP_DigestFinal_ex(w.hash, digest_out->b, NULL);
    *bytes_out = w.bytes;
out:
    free(w.piece);
    EVP_MD_CTX_free(w.hash);
    return rc;
}

/* ---- away ---------------------------------------------------------------- */

static int drop(int dir, const char *name, int depth)
{
    struct dirent *entry;
    DIR *list;
    int fd, rc = 0;

    if (!unlinkat(dir, name, 0) || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return XN_EIO;
    if (depth > NET_TREE_DEPTH_MAX) return XN_ETOOBIG;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return XN_EIO;
    list = fdopendir(fd);
    if (!list) {
        close(fd);
        return XN_ENOMEM;
    }
    while ((entry = readdir(list))) {
        if (is_entry(entry) && drop(fd, entry->d_name, depth + 1)) rc = XN_EIO;
    }
    closedir(list);
    return unlinkat(dir, name, AT_REMOVEDIR) ? XN_EIO : rc;
}

int net_tree_remove(int dir, const char *name)
{
    return drop(dir, name, 0);
}
