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

void net_file_path(char out[NET_PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, NET_PATH_MAX, "%s/%s", dir, name);
}

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

int net_file_parents(const char *path)
{
    char *copy = strdup(path), *p;
    int rc = copy ? 0 : XN_ENOMEM;

    for (p = copy; !rc && *p && (p = strchr(p + 1, '/')); *p = '/') {
        *p = '\0';
        if (mkdir(copy, 0755) && errno != EEXIST) rc = XN_EIO;
    }
    free(copy);
    return rc;
}

int net_file_private(const char *path)
{
    struct stat st;

    if (stat(path, &st)) return XN_EIO;
    return st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : XN_EPERM;
}
