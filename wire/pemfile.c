/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/pemfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "lib/err.h"

static int rc_of_errno(void)
{
    switch (errno) {
    case ENOENT: return XN_ENOENT;
    case EACCES:
    case EPERM:
    case EROFS: return XN_EPERM;
    case ENOSPC:
    case EDQUOT: return XN_ENOSPC;
    case ENOMEM: return XN_ENOMEM;
    default: return XN_EIO;
    }
}

static int write_all(int fd, const void *text, size_t len)
{
    const uint8_t *at = text;

    while (len) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rc_of_errno();
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The new name must last too, not only the bytes behind it. */
static int sync_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd, rc;

    if (!copy) return XN_ENOMEM;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0) return rc_of_errno();
    rc = fsync(fd) == 0 ? 0 : rc_of_errno();
    close(fd);
    return rc;
}

static int fill(int fd, const void *text, size_t len, bool secret)
{
    int rc;

    if (fchmod(fd, secret ? 0600 : 0644) != 0) return rc_of_errno();
    rc = write_all(fd, text, len);
    if (rc) return rc;
    return fsync(fd) == 0 ? 0 : rc_of_errno();
}

int pemfile_write(const char *path, const void *text, size_t len, bool secret)
{
    char *temp = NULL;
    int fd = -1, rc;

    if (asprintf(&temp, "%s.XXXXXX", path) < 0) return XN_ENOMEM;
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        rc = rc_of_errno();
        goto out;
    }
    rc = fill(fd, text, len, secret);
    if (close(fd) != 0 && !rc) rc = rc_of_errno();
    if (!rc && rename(temp, path) != 0) rc = rc_of_errno();
    if (rc) {
        unlink(temp);
        goto out;
    }
    rc = sync_folder_of(path);
out:
    free(temp);
    return rc;
}

static int slurp(int fd, bool secret, uint8_t *bytes, size_t *len_out)
{
    struct stat st;
    size_t len = 0;
    ssize_t n;

    if (fstat(fd, &st) != 0) return rc_of_errno();
    if (!S_ISREG(st.st_mode)) return XN_EINVAL;
    if (secret && (st.st_mode & 077)) return XN_EPERM;
    do {
        n = read(fd, bytes + len, PEMFILE_BYTES_MAX + 1 - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rc_of_errno();
        len += (size_t)n;
        if (len > PEMFILE_BYTES_MAX) return XN_ETOOBIG;
    } while (n != 0);
    *len_out = len;
    return 0;
}

int pemfile_read(const char *path, bool secret, BIO **bio_out)
{
    uint8_t *bytes = NULL;
    BIO *bio = NULL;
    size_t len = 0;
    int fd, rc;

    /* O_NONBLOCK: a pipe in the key's place must not hang the program. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return rc_of_errno();
    rc = XN_ENOMEM;
    bytes = malloc(PEMFILE_BYTES_MAX + 1);
    if (!bytes) goto out;
    rc = slurp(fd, secret, bytes, &len);
    if (rc) goto out;
    rc = XN_ENOMEM;
    bio = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
    if (!bio || (len && BIO_write(bio, bytes, (int)len) != (int)len)) goto out;
    *bio_out = bio;
    bio = NULL;
    rc = 0;
out:
    BIO_free(bio);
    if (bytes) OPENSSL_cleanse(bytes, PEMFILE_BYTES_MAX + 1);
    free(bytes);
    close(fd);
    return rc;
}

int pemfile_no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}
