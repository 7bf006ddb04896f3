/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"

int xn_file_read(const char *path, struct xn_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
    uint8_t block[16384];
    ssize_t n = 1;

    if (fd < 0) return errno == ENOENT ? XN_ENOENT : XN_EIO;
    while (n != 0 && xn_buf_rc(out) == 0) {
        n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        xn_buf_add(out, block, (size_t)n);
    }
    saved = errno;
    close(fd);
    errno = saved;
    return n < 0 ? XN_EIO : xn_buf_rc(out);
}

const char *xn_file_why(int rc)
{
    return rc == XN_ENOENT || rc == XN_EIO ? strerror(errno) : xn_strerror(rc);
}
