/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

static int write_head(const struct console *console, uint64_t next)
{
    struct console_head head = {
        .size = console->size, .next = next, .total = console->total};

    memcpy(head.magic, CONSOLE_MAGIC, sizeof head.magic);
    return sys_pwrite_all(console->fd, &head, sizeof head, 0);
}

int console_create(int dir, const char *name, uint64_t size,
                   struct console *out)
{
    int rc;

    out->size = size;
    out->total = 0;
    out->fd = openat(dir, name,
                     O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out->fd < 0) return errno == ENOSPC ? XN_ENOSPC : XN_EIO;
    errno = posix_fallocate(out->fd, 0,
                            (off_t)(sizeof(struct console_head) + size));
    rc = errno == ENOSPC ? XN_ENOSPC : errno ? XN_EIO : 0;
    if (!rc) rc = write_head(out, 0);
    if (rc) console_close(out);
    return rc;
}

int console_reopen(int dir, const char *name, struct console *out)
{
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    out->fd = -1;
    if (fd < 0) return errno == ENOENT ? XN_ENOENT : XN_EIO;
    return console_adopt(fd, out);
}

static int append_part(struct console *console, const uint8_t *data, size_t len)
{
    uint64_t at = console->total;
    size_t n;
    int rc = 0;

    /* who reads is told of what goes, where anything does */
    if (at + len > console->size) rc = write_head(console, at + len);

    while (!rc && len > 0) {
        n = console_straight(console, at, len);
        rc = sys_pwrite_all(console->fd, data, n, console_place(console, at));
        data += n;
        at += n;
        len -= n;
    }
    if (rc) return rc;
    console->total = at;
    return write_head(console, at);
}

int console_append(struct console *console, const void *data, size_t len)
{
    const uint8_t *at = data;
    int rc = 0;

    while (!rc && len > 0) {
        size_t n = len < console->size ? len : (size_t)console->size;

        rc = append_part(console, at, n);
        at += n;
        len -= n;
    }
    return rc;
}

/* Where that fails, it keeps its room. */
void console_finish(struct console *console)
{
    uint64_t used =
        console->total < console->size ? console->total : console->size;

    if (console->fd < 0) return;
    (void)!ftruncate(console->fd, (off_t)(sizeof(struct console_head) + used));
}
