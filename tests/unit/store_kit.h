/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of stores share: keys, values and what a READ gives, as text.
 */
#ifndef TESTS_UNIT_STORE_KIT_H
#define TESTS_UNIT_STORE_KIT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wire/local.pb-c.h"

static inline ProtobufCBinaryData bin(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

/* "key=value key=value", '+' where more is; the texts together must fit. */
static inline void records_text(const Xn__Records *records, char *out,
                                size_t len)
{
    size_t i, n = 0;

    out[0] = 0;
    for (i = 0; i < records->n_records; i++) {
        const Xn__Record *r = records->records[i];

        n += (size_t)snprintf(out + n, len - n, "%s%.*s=%.*s", i ? " " : "",
                              (int)r->key.len, (const char *)r->key.data,
                              (int)r->value.len, (const char *)r->value.data);
    }
    if (records->more) snprintf(out + n, len - n, "+");
}

#endif
