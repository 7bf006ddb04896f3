/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/dec.h"

#include <string.h>

#include "lib/err.h"

__extension__ typedef unsigned __int128 u128;

#define ONE ((u128)XN_DEC_ONE)
#define DIGITS_MAX 25
/* 10^37: one past the greatest value that can be written down.  Results
 * beyond it are an overflow, so that every value has a text that parses. */
#define LIMIT (ONE * ONE * ONE * 10)
#define MICRO ((u128)1000000) /* 1e-12ths in a micro-unit */

static u128 magnitude(xn_i128 v)
{
    return v < 0 ? -(u128)v : (u128)v;
}

static int make(bool negative, u128 size, xn_dec *out)
{
    if (size >= LIMIT) return XN_EOVERFLOW;
    out->v = negative ? -(xn_i128)size : (xn_i128)size;
    return 0;
}

/* size / unit, rounded half to even. */
static u128 divide(u128 size, u128 unit)
{
    u128 quotient = size / unit, rest = size % unit, half = unit / 2;

    if (rest > half || (rest == half && (quotient & 1))) quotient++;
    return quotient;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int xn_dec_parse(const char *text, size_t len, xn_dec *out)
{
    size_t i = 0, start, digits = 0, places;
    bool negative = false;
    u128 size = 0;

    if (len && (text[0] == '-' || text[0] == '+')) negative = text[i++] == '-';
    for (start = i; i < len && is_digit(text[i]); i++) {
        if (digits || text[i] != '0') digits++;
        if (digits <= DIGITS_MAX) size = size * 10 + (unsigned)(text[i] - '0');
    }
    if (i == start) return XN_EINVAL;
    start = i;
    places = 0;
    if (i < len && text[i] == '.') {
        bool lost = false;

        for (i++; i < len && is_digit(text[i]); i++) {
            if (places++ < XN_DEC_PLACES) {
                size = size * 10 + (unsigned)(text[i] - '0');
            } else if (text[i] != '0') {
                lost = true;
            }
        }
        if (places == 0) return XN_EINVAL;
        if (i == len && lost) return XN_EOVERFLOW;
    }
    if (i != len) return XN_EINVAL;
    if (digits > DIGITS_MAX) return XN_EOVERFLOW;
    for (; places < XN_DEC_PLACES; places++)
        size *= 10;
    return make(negative, size, out);
}

size_t xn_dec_format(xn_dec d, char out[XN_DEC_TEXT_MAX])
{
    char text[XN_DEC_TEXT_MAX]; /* backwards */
    u128 size = magnitude(d.v);
    size_t n = 0, i, places = XN_DEC_PLACES;

    while (places && size % 10 == 0) {
        size /= 10;
        places--;
    }
    if (places) {
        for (; places; places--, size /= 10) {
            text[n++] = (char)('0' + (unsigned)(size % 10));
        }
        text[n++] = '.';
    }
    do {
        text[n++] = (char)('0' + (unsigned)(size % 10));
        size /= 10;
    } while (size);
    if (d.v < 0) text[n++] = '-';
    for (i = 0; i < n; i++)
        out[i] = text[n - 1 - i];
    out[n] = '\0';
    return n;
}

xn_dec xn_dec_int(int64_t n)
{
    return (xn_dec){(xn_i128)n * XN_DEC_ONE};
}

int xn_dec_cmp(xn_dec a, xn_dec b)
{
    return (a.v > b.v) - (a.v < b.v);
}

int xn_dec_add(xn_dec a, xn_dec b, xn_dec *out)
{
    xn_i128 sum;

    if (__builtin_add_overflow(a.v, b.v, &sum)) return XN_EOVERFLOW;
    return make(sum < 0, magnitude(sum), out);
}

int xn_dec_sub(xn_dec a, xn_dec b, xn_dec *out)
{
    xn_i128 rest;

    if (__builtin_sub_overflow(a.v, b.v, &rest)) return XN_EOVERFLOW;
    return make(rest < 0, magnitude(rest), out);
}

/* By halves: whole and fraction of each, so that nothing needs 256 bits. */
int xn_dec_mul(xn_dec a, xn_dec b, xn_dec *out)
{
    u128 x = magnitude(a.v), y = magnitude(b.v);
    u128 x_whole = x / ONE, x_part = x % ONE;
    u128 y_whole = y / ONE, y_part = y % ONE, size;

    if (x >= LIMIT || y >= LIMIT) return XN_EOVERFLOW;
    if (x_whole && y_whole > LIMIT / ONE / x_whole) return XN_EOVERFLOW;
    /* Four terms below 1.1 * 10^37 each. */
    size = x_whole * y_whole * ONE + x_whole * y_part + x_part * y_whole;
    /* The rest is the only inexact term, but whether it is odd after rounding
     * depends on the sum: so round the sum's low part. */
    size += (x_part * y_part) / ONE;
    x = (x_part * y_part) % ONE;
    if (x > ONE / 2 || (x == ONE / 2 && (size & 1))) size++;
    return make((a.v < 0) != (b.v < 0), size, out);
}

int xn_dec_to_micro(xn_dec d, int64_t *out)
{
    u128 size = divide(magnitude(d.v), MICRO);

    if (d.v < 0) {
        if (size > (u128)INT64_MAX + 1) return XN_EOVERFLOW;
        *out = (int64_t) - (xn_i128)size;
    } else {
        if (size > (u128)INT64_MAX) return XN_EOVERFLOW;
        *out = (int64_t)size;
    }
    return 0;
}

xn_dec xn_dec_from_micro(int64_t micro)
{
    return (xn_dec){(xn_i128)micro * (xn_i128)MICRO};
}

void xn_decs_put(const void *decs, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        xn_dec d;

        memcpy(&d, (const uint8_t *)decs + i * sizeof d, sizeof d);
        for (int j = 0; j < XN_DEC_BYTES; j++)
            *out++ = (uint8_t)((u128)d.v >> (120 - 8 * j));
    }
}

int xn_decs_get(const uint8_t *bytes, size_t len, void *decs_out, size_t n)
{
    if (len != n * XN_DEC_BYTES) return XN_EINTEGRITY;
    for (size_t i = 0; i < n; i++) {
        u128 v = 0;
        xn_dec d;

        for (int j = 0; j < XN_DEC_BYTES; j++)
            v = v << 8 | *bytes++;
        d.v = (xn_i128)v;
        memcpy((uint8_t *)decs_out + i * sizeof d, &d, sizeof d);
    }
    return 0;
}
