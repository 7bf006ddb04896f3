/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What strangers write, checked before it is kept or shown. */
#ifndef CORP_TEXT_H
#define CORP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define CORP_LABEL_MAX 32
#define CORP_NAME_MAX 63
#define CORP_ADDRESS_MAX 80

/* [a-z0-9-]{1,32} */
bool corp_label_ok(const char *label);
/* A XenoCorp's own name, "alpha.example": [a-z0-9.-]{1,63}, no dot or dash at
 * either end. */
bool corp_name_ok(const char *name);
/* At most `max` bytes of UTF-8 without control characters; may be empty. */
bool corp_text_ok(const char *text, size_t max);
/* "host:port", an IPv6 address in brackets, port 1 to 65535, at most
 * CORP_ADDRESS_MAX bytes.  Syntax alone: nothing is looked up. */
bool corp_address_ok(const char *address);

#endif
