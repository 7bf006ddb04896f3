/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/text.h"

#include <string.h>

#include "lib/err.h"

size_t xn_utf8_len(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    uint8_t lo = 0x80, hi = 0xbf;
    size_t n, i;

    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (len < n) return 0;
    /* The second byte tells overlong forms and surrogates (Unicode, table
     * 3-7). */
    if (s[0] == 0xe0) lo = 0xa0;
    if (s[0] == 0xed) hi = 0x9f;
    if (s[0] == 0xf0) lo = 0x90;
    if (s[0] == 0xf4) hi = 0x8f;
    if (s[1] < lo || s[1] > hi) return 0;
    for (i = 2; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

size_t xn_control_len(const char *text)
{
    const uint8_t *s = (const uint8_t *)text;

    if (s[0] == 0) return 0;
    if (s[0] < 0x20 || s[0] == 0x7f) return 1;
    return s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0 ? 2 : 0;
}

size_t xn_plain_len(const char *text, size_t *odd_out)
{
    size_t n = *text ? xn_utf8_len(text, strnlen(text, 4)) : 0;

    *odd_out = *text && !n ? 1 : xn_control_len(text);
    return *odd_out ? 0 : n;
}

void xn_plain(char *text)
{
    const char *from = text;
    char *to = text;
    size_t n, odd;

    while (*from) {
        n = xn_plain_len(from, &odd);
        if (odd) *to++ = '?';
        memmove(to, from, n);
        to += n;
        from += n + odd;
    }
    *to = '\0';
}

int xn_number_parse(const char *text, uint64_t max, uint64_t *number_out)
{
    uint64_t n = 0, digit;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9'; p++) {
        digit = (uint64_t)(*p - '0');
        if (n > (UINT64_MAX - digit) / 10) return XN_EOVERFLOW;
        n = 10 * n + digit;
    }
    if (p == text || *p) return XN_EINVAL;
    if (n > max) return XN_EOVERFLOW;
    *number_out = n;
    return 0;
}
