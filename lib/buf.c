/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

void xn_buf_init(struct xn_buf *buf, size_t max)
{
    memset(buf, 0, sizeof *buf);
    buf->max = max;
}

void xn_buf_clear(struct xn_buf *buf)
{
    size_t max = buf->max;

    free(buf->data);
    xn_buf_init(buf, max);
}

/* Room for `len` more bytes and a NUL behind them. */
static int reserve(struct xn_buf *buf, size_t len)
{
    size_t need, cap = buf->cap ? buf->cap : 64;
    uint8_t *data;

    if (buf->rc) return buf->rc;
    if (len > SIZE_MAX / 2 - buf->len) return buf->rc = XN_ETOOBIG;
    need = buf->len + len;
    if (buf->max && need > buf->max) return buf->rc = XN_ETOOBIG;
    if (need < buf->cap) return 0;
    while (cap <= need)
        cap *= 2;
    data = realloc(buf->data, cap);
    if (!data) return buf->rc = XN_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void xn_buf_add(struct xn_buf *buf, const void *data, size_t len)
{
    if (len == 0 || reserve(buf, len)) return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void xn_buf_str(struct xn_buf *buf, const char *text)
{
    xn_buf_add(buf, text, strlen(text));
}

void xn_buf_char(struct xn_buf *buf, char c)
{
    xn_buf_add(buf, &c, 1);
}

void xn_buf_printf(struct xn_buf *buf, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0) {
        buf->rc = buf->rc ? buf->rc : XN_EINVAL;
        return;
    }
    if (reserve(buf, (size_t)len)) return;
    va_start(ap, fmt);
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)len;
}

void xn_buf_drop(struct xn_buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

int xn_buf_rc(const struct xn_buf *buf)
{
    return buf->rc;
}

char *xn_buf_steal_str(struct xn_buf *buf)
{
    char *text;

    if (reserve(buf, 0)) return NULL;
    text = (char *)buf->data;
    if (!text) return calloc(1, 1);
    text[buf->len] = '\0';
    xn_buf_init(buf, buf->max);
    return text;
}
