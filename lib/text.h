/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that others wrote: is it UTF-8, what of it may be shown, which number
 * does it say. */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at text[0..len), len > 0; 0: there is none (RFC
 * 3629: no overlong form, no surrogate, nothing past U+10FFFF). */
size_t xn_utf8_len(const char *text, size_t len);

/* Bytes of the control character that a string begins with, C0, DEL or, in
 * UTF-8, C1; 0: it begins with none. */
size_t xn_control_len(const char *text);

/* Bytes of the character that a string begins with, if it may be shown; else 0
 * and *odd_out has the bytes to leave out: a control character, or a byte that
 * is no UTF-8.  Both 0: the string ends. */
size_t xn_plain_len(const char *text, size_t *odd_out);

/* Makes a string fit for a terminal, for one line and for JSON, in place: what
 * is odd becomes a '?'. */
void xn_plain(char *text);

/* A number of decimal digits alone.  XN_EINVAL: not of that form; XN_EOVERFLOW:
 * more than `max`. */
int xn_number_parse(const char *text, uint64_t max, uint64_t *number_out);

#endif
