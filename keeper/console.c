/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file: "XNCONS01", then three numbers of eight bytes in this machine's
 * order, then the ring.  `next` is written before the bytes and `total` after
 * them, so that a reader knows which old bytes are being overwritten. */
#include "keeper/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "lib/err.h"

struct head {
    char magic[8];
    uint64_t size;
    uint64_t next;  /* bytes that there will be */
    uint64_t total; /* bytes that there are */
};

static const char magic[8] = {'X', 'N', 'C', 'O', 'N', 'S', '0', '1'};

static int write_head(const struct console *console, uint64_t next)
{
    struct head head = {
        .size = console->size, .next = next, .total = console->total};

    memcpy(head.magic, magic, sizeof magic);
    return sys_pwrite_all(console->fd, &head, sizeof head, 0);
}

static int read_head(int fd, struct head *head)
{
    if (pread(fd, head, sizeof *head, 0) != (ssize_t)sizeof *head ||
        memcmp(head->magic, magic, sizeof magic) != 0 ||
        head->size < CONSOLE_BYTES_MIN || head->size > CONSOLE_BYTES_MAX ||
        head->next < head->total) {
        return XN_EINTEGRITY;
    }
    return 0;
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
    errno = posix_fallocate(out->fd, 0, (off_t)(sizeof(struct head) + size));
    rc = errno == ENOSPC ? XN_ENOSPC : errno ? XN_EIO : 0;
    if (!rc) rc = write_head(out, 0);
    if (rc) console_close(out);
    return rc;
}

int console_adopt(int fd, struct console *out)
{
    struct head head;
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

/* The part of the ring from byte `at` on that does not wrap. */
static size_t straight(const struct console *console, uint64_t at, size_t len)
{
    uint64_t left = console->size - at % console->size;

    return len < left ? len : (size_t)left;
}

static uint64_t place(const struct console *console, uint64_t at)
{
    return sizeof(struct head) + at % console->size;
}

static int append_part(struct console *console, const uint8_t *data, size_t len)
{
    uint64_t at = console->total;
    size_t n;
    int rc = write_head(console, at + len);

    while (!rc && len > 0) {
        n = straight(console, at, len);
        rc = sys_pwrite_all(console->fd, data, n, place(console, at));
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

static int read_ring(const struct console *console, uint64_t from, uint8_t *out,
                     size_t len)
{
    size_t n;

    while (len > 0) {
        n = straight(console, from, len);
        if (pread(console->fd, out, n, (off_t)place(console, from)) !=
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
static uint64_t oldest(const struct head *head)
{
    return head->next > head->size ? head->next - head->size : 0;
}

int console_read(const struct console *console, uint64_t *from, void *data_out,
                 size_t len, size_t *got_out)
{
    struct head head;
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
