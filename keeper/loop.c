/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRIES 64 /* others may take what was free */

static int configure(const char *path, int file, bool writable)
{
    struct loop_config config = {.fd = (uint32_t)file};
    int fd = open(path, O_RDWR | O_CLOEXEC), failed;

    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (!writable) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) == 0) return fd;
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

int loop_attach(int file, bool writable, char path_out[LOOP_PATH_MAX])
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int fd = -1, i, n;

    if (control < 0) return -1;
    for (i = 0; i < TRIES && fd < 0; i++) {
        n = ioctl(control, LOOP_CTL_GET_FREE);
        if (n < 0) break;
        snprintf(path_out, LOOP_PATH_MAX, "/dev/loop%d", n);
        fd = configure(path_out, file, writable);
        if (fd < 0 && errno != EBUSY) break;
    }
    n = errno;
    close(control);
    errno = n;
    return fd;
}
