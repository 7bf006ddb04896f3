/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef LIB_HEX_H
#define LIB_HEX_H

#include <stddef.h>
#include <stdint.h>

/* 2 * len lower-case digits and a NUL into `out`. */
void xn_hex(const uint8_t *data, size_t len, char *out);

/* Exactly 2 * len digits, either case, into `out`; XN_EINVAL otherwise. */
int xn_unhex(const char *text, size_t text_len, uint8_t *out, size_t len);

#endif
