/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The console file: the last `size` bytes that a task wrote, in a ring.  One
 * process writes (keeper/console.h), others may read meanwhile and afterwards; a
 * writer that is killed leaves it readable, with all that it had written.
 *
 * The file is a head, then the ring.  `total` is written after the bytes, and
 * `next` before those that overwrite older ones, so that a reader knows which.
 * Numbers are in this machine's order. */
#ifndef WIRE_CONSOLE_H
#define WIRE_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_BYTES_MIN (4 << 10)
#define CONSOLE_BYTES_MAX (1 << 30)
#define CONSOLE_MAGIC "XNCONS01"

struct console_head {
    char magic[8];
    uint64_t size;
    uint64_t next;  /* bytes that there will be */
    uint64_t total; /* bytes that there are */
};

struct console {
    int fd; /* -1: none */
    uint64_t size;
    uint64_t total; /* bytes ever written */
};

/* To read.  XN_ENOENT, XN_EIO, XN_EINTEGRITY. */
int console_open(int dir, const char *name, struct console *out);
/* The same of a descriptor, which becomes the console's also on failure. */
int console_adopt(int fd, struct console *out);
void console_close(struct console *console);

/* Bytes from `from` on, which moves up to the oldest that is still there.
 * *got_out 0: there is nothing behind it yet.  XN_EIO, XN_EINTEGRITY. */
int console_read(const struct console *console, uint64_t *from, void *data_out,
                 size_t len, size_t *got_out);

/* Where byte `at` stands in the file, and how many of `len` from there on do not
 * wrap. */
uint64_t console_place(const struct console *console, uint64_t at);
size_t console_straight(const struct console *console, uint64_t at, size_t len);

#endif
