/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/hex.h"

#include "lib/err.h"

void xn_hex(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int xn_unhex(const char *text, size_t text_len, uint8_t *out, size_t len)
{
    size_t i;

    if (text_len != 2 * len) return XN_EINVAL;
    for (i = 0; i < len; i++) {
        int hi = digit(text[2 * i]), lo = digit(text[2 * i + 1]);

        if (hi < 0 || lo < 0) return XN_EINVAL;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}
