/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact decimals: what tokens and prices are made of; never a double.
 *
 * A value is a signed 128-bit count of 1e-12ths, which holds every amount with
 * up to 12 decimals and 25 digits before the point.  Plain integer comparison
 * orders values; 8, 8.0 and 8.000 are equal.
 */
#ifndef LIB_DEC_H
#define LIB_DEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 xn_i128;

#define XN_DEC_PLACES 12
#define XN_DEC_ONE ((xn_i128)1000000000000)
#define XN_DEC_TEXT_MAX 48 /* longest text with its NUL */

typedef struct {
    xn_i128 v; /* units of 1e-12 */
} xn_dec;

/* Parse [+-]digits[.digits], the whole of text[0..len): no exponent, no
 * blanks, at most 12 decimals (more only where they are zeros), at most 25
 * digits before the point.  XN_EINVAL: not of that form; XN_EOVERFLOW. */
int xn_dec_parse(const char *text, size_t len, xn_dec *out);

/* Shortest exact text, no trailing zeros: "0.0121", "8", "-3.5".  Returns the
 * length; `out` holds XN_DEC_TEXT_MAX bytes. */
size_t xn_dec_format(xn_dec d, char out[XN_DEC_TEXT_MAX]);

xn_dec xn_dec_int(int64_t n);
int xn_dec_cmp(xn_dec a, xn_dec b); /* <0, 0, >0 */
int xn_dec_add(xn_dec a, xn_dec b, xn_dec *out);
int xn_dec_sub(xn_dec a, xn_dec b, xn_dec *out);
/* Product rounded half to even at 1e-12; XN_EOVERFLOW. */
int xn_dec_mul(xn_dec a, xn_dec b, xn_dec *out);
/* To whole micro-units (1e-6), round half to even; XN_EOVERFLOW past int64. */
int xn_dec_to_micro(xn_dec d, int64_t *out);
xn_dec xn_dec_from_micro(int64_t micro);

/* n of them one behind the other (a struct of nothing else will do) as 16 bytes
 * each, big endian.  get: XN_EINTEGRITY where `len` is not that of n. */
#define XN_DEC_BYTES 16
void xn_decs_put(const void *decs, size_t n, uint8_t *out);
int xn_decs_get(const uint8_t *bytes, size_t len, void *decs_out, size_t n);

#endif
