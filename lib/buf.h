/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing byte buffer with an upper bound.
 *
 * The first failure (no memory, past the bound) sticks: later appends do
 * nothing and xn_buf_rc() tells, so that a caller can append many times and
 * check once.  A zeroed struct is an empty buffer without a bound.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct xn_buf {
    uint8_t *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* bytes; 0 = no bound */
    int rc;     /* 0 or the first error */
};

void xn_buf_init(struct xn_buf *buf, size_t max);
/* Free the memory; the buffer is empty and usable again, its bound kept. */
void xn_buf_clear(struct xn_buf *buf);

void xn_buf_add(struct xn_buf *buf, const void *data, size_t len);
void xn_buf_str(struct xn_buf *buf, const char *text);
void xn_buf_char(struct xn_buf *buf, char c);
void xn_buf_printf(struct xn_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop `len` bytes from the front. */
void xn_buf_drop(struct xn_buf *buf, size_t len);

/* 0, XN_ENOMEM or XN_ETOOBIG. */
int xn_buf_rc(const struct xn_buf *buf);

/* The contents as a NUL-terminated string that the caller frees; NULL after
 * an error.  The buffer is empty afterwards. */
char *xn_buf_steal_str(struct xn_buf *buf);

#endif
