/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What strangers write, checked before it is kept or shown. */
#ifndef CORP_TEXT_H
#define CORP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define CORP_LABEL_MAX 32
#define CORP_ADDRESS_MAX 80

/* 1 to CORP_LABEL_MAX of a-z, 0-9 and '-', no dash at its ends: a label of
 * wire/id.h without dots, which are for the names of XenoCorps. */
bool corp_label_ok(const char *label);
/* At most `max` bytes of UTF-8 without control characters; may be empty. */
bool corp_text_ok(const char *text, size_t max);
/* Three capital letters. */
bool corp_currency_ok(const char *text);
/* How much of a UTF-8 text fits into `max` bytes without half a character. */
size_t corp_text_cut(const char *text, size_t max);
/* "host:port", an IPv6 address in brackets, port 1 to 65535, at most
 * CORP_ADDRESS_MAX bytes.  Syntax alone: nothing is looked up. */
bool corp_address_ok(const char *address);

/* The part of an address behind '?': "name=value&name=value", in any order, each
 * name at most once.  What is not there is "".  XN_EINVAL: another form, a name
 * that is not asked for, a value that is too long. */
#define CORP_ARG_MAX 160
struct corp_arg {
    const char *name;
    char value[CORP_ARG_MAX];
};
int corp_args(const char *query, struct corp_arg *args, size_t n);

#endif
