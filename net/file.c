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
