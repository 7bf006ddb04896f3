/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The console file: the last `size` bytes that a task wrote, in a ring.  One
 * process writes, others may read meanwhile and afterwards; a writer that is
 * killed leaves it readable, with all that it had written. */
#ifndef KEEPER_CONSOLE_H
#define KEEPER_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_BYTES_MIN (4 << 10)
#define CONSOLE_BYTES_MAX (1 << 30)

struct console {
    int fd; /* -1: none */
    uint64_t size;
    uint64_t total; /* bytes ever written */
};

/* An empty one in the folder; all its room is taken at once, so that a full
 * disk shows here.  XN_ENOSPC, XN_EIO with errno. */
int console_create(int dir, const char *name, uint64_t size,
                   struct console *out);
/* To read.  XN_ENOENT, XN_EIO, XN_EINTEGRITY. */
int console_open(int dir, const char *name, struct console *out);
/* The same of a descriptor, which becomes the console's also on failure. */
int console_adopt(int fd, struct console *out);
void console_close(struct console *console);

int console_append(struct console *console, const void *data, size_t len);

/* Bytes from `from` on, which moves up to the oldest that is still there.
 * *got_out 0: there is nothing behind it yet.  XN_EIO, XN_EINTEGRITY. */
int console_read(const struct console *console, uint64_t *from, void *data_out,
                 size_t len, size_t *got_out);

#endif
