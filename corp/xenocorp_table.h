/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of JSON objects, for programs as they are, for people as a table. */
#ifndef CORP_XENOCORP_TABLE_H
#define CORP_XENOCORP_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/id.h"

json_t *table_time(uint64_t us);                    /* to the second; 0: null */
json_t *table_id(const ProtobufCBinaryData *bytes); /* none: null */

/* People's form of a long list, part by part as it comes. */
#define TABLE_KEYS_MAX 16
struct table {
    const char *const *keys;
    size_t n, width[TABLE_KEYS_MAX];
    bool begun;
};
/* Prints the rows, under the heading where they are the first, and empties the
 * array. */
void table_part(struct table *table, json_t *array);

/* Takes the array.  keys: those that the table shows, in this order; an id is
 * cut to 12 digits there.  An exit code. */
int table_print(json_t *array, const char *schema, const char *name,
                const char *const *keys, size_t n, bool json);
/* Takes the object; a line for each key. */
int table_show(json_t *object, const char *schema, bool json);

#endif
