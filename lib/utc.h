/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates as text, in one form: 2026-11-21T10:00:00Z, or with a fraction of at
 * most six digits that does not end in zero.  A time is microseconds since
 * 1970, UTC, leap seconds not counted; years 1970 to 9999.  One time has one
 * text and the other way round. */
#ifndef LIB_UTC_H
#define LIB_UTC_H

#include <stddef.h>
#include <stdint.h>

#define XN_UTC_US_MAX (253402300799999999ULL) /* the end of 9999 */
#define XN_UTC_TEXT_MAX 28                    /* longest text with its NUL */

/* XN_EINVAL: not of that form, or no such day. */
int xn_utc_parse(const char *text, size_t len, uint64_t *us_out);

/* Returns the length; what lies beyond 9999 comes out as its end. */
size_t xn_utc_format(uint64_t us, char out[XN_UTC_TEXT_MAX]);

#endif
