/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef LIB_SPAN_H
#define LIB_SPAN_H

#include <stdint.h>

/* An amount of time: a whole number and its unit, us ms s m h or d ("15m").
 * XN_EINVAL: not of that form; XN_EOVERFLOW: past 2^63 us. */
int xn_span_parse(const char *text, uint64_t *us_out);

/* The same the other way, in the largest unit that has no rest. */
#define XN_SPAN_TEXT_MAX 24
void xn_span_format(uint64_t us, char out[XN_SPAN_TEXT_MAX]);

#endif
