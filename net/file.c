/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"

int net_file_sync_dir(const char *path)
{
    char *dir = strdup(path), *slash;
    int fd, rc = XN_EIO;

    if (!dir) return XN_ENOMEM;
    slash = strrchr(dir, '/');
    if (slash) slash[slash == dir ? 1 : 0] = '\0';
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (!fsync(fd)) rc = 0;
        close(fd);
    }
    free(dir);
    return rc;
}

int net_file_dir(const char *path)
{
    struct stat st;

    if (!mkdir(path, 0700)) return 0;
    if (errno == EEXIST && !stat(path, &st)) {
        if (S_ISDIR(st.st_mode)) return 0;
        errno = ENOTDIR;
    }
    return XN_EIO;
}

int net_file_read(const char *path, size_t max, char **data_out,
                  size_t *len_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = XN_EIO;
    char *data = NULL;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0) return errno == ENOENT ? XN_ENOENT : XN_EIO;
    data = malloc(max + 2);
    if (!data) {
        rc = XN_ENOMEM;
        goto out;
    }
    while (n > 0 && len <= max) {
        n = read(fd, data + len, max + 1 - len);
        if (n > 0) len += (size_t)n;
    }
    if (n < 0) goto out;
    rc = XN_ETOOBIG;
    if (len > max) goto out;
    data[len] = '\0';
    *data_out = data;
    *len_out = len;
    data = NULL;
    rc = 0;
out:
    free(data);
    close(fd);
    return rc;
}
