/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"

static int read_head(int fd, struct console_head *head)
{
    if (pread(fd, head, sizeof *head, 0) != (ssize_t)sizeof *head ||
        memcmp(head->magic, CONSOLE_MAGIC, sizeof head->magic) != 0 ||
        head->size < CONSOLE_BYTES_MIN || head->size > CONSOLE_BYTES_MAX ||
        head->next < head->total) {
        return XN_EINTEGRITY;
    }
    return 0;
}

int console_adopt(int fd, struct console *out)
{
    struct console_head head;
    int rc = read_head(fd, &head);

    out->fd = fd;
    if (rc) {
        console_close(out);
        return rc;
    }
    out->size = head.size;
    out->total = head.total;
    return 0;
}

int console_open(int dir, const char *name, struct console *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    out->fd = -1;
    if (fd < 0) return errno == ENOENT ? XN_ENOENT : XN_EIO;
    return console_adopt(fd, out);
}

void console_close(struct console *console)
{
    if (console->fd >= 0) close(console->fd);
    console->fd = -1;
}

size_t console_straight(const struct console *console, uint64_t at, size_t len)
{
    uint64_t left = console->size - at % console->size;

    return len < left ? len : (size_t)left;
}

uint64_t console_place(const struct console *console, uint64_t at)
{
    return sizeof(struct console_head) + at % console->size;
}

static int read_ring(const struct console *console, uint64_t from, uint8_t *out,
                     size_t len)
{
    size_t n;

    while (len > 0) {
        n = console_straight(console, from, len);
        if (pread(console->fd, out, n, (off_t)console_place(console, from)) !=
            (ssize_t)n) {
            return XN_EIO;
        }
        out += n;
        from += n;
        len -= n;
    }
    return 0;
}

/* The oldest byte that nobody overwrites now. */
static uint64_t oldest(const struct console_head *head)
{
    return head->next > head->size ? head->next - head->size : 0;
}

int console_read(const struct console *console, uint64_t *from, void *data_out,
                 size_t len, size_t *got_out)
{
    struct console_head head;
    size_t n;
    int rc;

    *got_out = 0;
    for (;;) {
        rc = read_head(console->fd, &head);
        if (rc) return rc;
        if (*from < oldest(&head)) *from = oldest(&head);
        if (*from >= head.total) return 0;
        n = head.total - *from < len ? (size_t)(head.total - *from) : len;
        rc = read_ring(console, *from, data_out, n);
        if (rc) return rc;
        rc = read_head(console->fd, &head);
        if (rc) return rc;
        if (oldest(&head) <= *from) break; /* else it was overwritten */
    }
    *got_out = n;
    return 0;
}
