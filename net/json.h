/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers of programs as JSON: how money, names and times stand there. */
#ifndef NET_JSON_H
#define NET_JSON_H

#include <jansson.h>

#include "wire/id.h"

/* "12.5"; the currency stands beside it. */
json_t *net_json_money(int64_t micro);
json_t *net_json_id(const xn_id *id); /* zero: null */
json_t *net_json_time(uint64_t us);   /* 0: null */

/* Prints to standard output and takes the object, whatever comes; NULL: there
 * was no memory for it.  An exit code; errors are told. */
int net_json_print(const char *program, json_t *top);
/* From now on what goes wrong is an answer too: net_json_end prints what was
 * told last, "xeno.error/1", where the program ends with another code than 0 and
 * nothing else was printed by net_json_print. */
void net_json_errors(void);
int net_json_end(const char *program, int code); /* the code to end with */
/* The same for other output: what went wrong, with errno where that is XN_EIO.
 * An exit code. */
int net_cannot_print(const char *program, int rc);

#endif
