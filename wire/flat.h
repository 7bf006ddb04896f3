/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Flat documents: an XML root that holds simple elements in a fixed order, read
 * into a plain struct and written from it by one table.
 *
 * Strict, since such documents are signed and hashed: every element is known
 * (a limit that is not understood must not be ignored), none stands twice or
 * out of place, no attributes, no comments.  Optional elements that are absent
 * leave zeros; so a zero (or an empty text) is not written where an element is
 * optional, and means "not given".
 */
#ifndef WIRE_FLAT_H
#define WIRE_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "wire/xml.h"

enum flat_type {
    FLAT_ID,       /* xn_id: 64 digits 0-9a-f; never zero */
    FLAT_UTC,      /* uint64_t: microseconds; text as lib/utc.h; never zero */
    FLAT_MONEY,    /* int64_t: micro-units; a decimal of at most 6 places */
    FLAT_DECIMAL,  /* xn_dec: a decimal of at most 12 places */
    FLAT_COUNT,    /* uint64_t: a whole number below 2^63 */
    FLAT_CURRENCY, /* char[FLAT_CURRENCY_SIZE]: three capital letters */
    FLAT_TEXT,     /* char[XN_VALUE_MAX + 1]: no control characters, trimmed */
    FLAT_WORD,     /* unsigned: index of one of the field's words */
};

#define FLAT_CURRENCY_SIZE 4

struct flat_field {
    const char *name;
    enum flat_type type;
    size_t at; /* offset in the struct */
    enum { FLAT_MUST, FLAT_MAY } need;
    bool positive; /* MONEY, COUNT: zero is refused, not only absent */
    const char *const *words; /* WORD: NULL-terminated */
};

struct flat_form {
    const char *root, *ns;
    int schema; /* enum xml_schema; below zero: none */
    size_t bytes_max;
    const struct flat_field *fields;
    size_t n;
};

/* Fills the struct at `out`, whose fields were zero.  XN_ETOOBIG, XN_EINVAL
 * (not well-formed), XN_ESCHEMA, XN_ENOMEM; `why` gets one line. */
int flat_read(const struct flat_form *form, const uint8_t *xml, size_t len,
              void *out, struct xml_why *why);

/* Appends the document in its one canonical form.  XN_EINVAL: a field that must
 * be there is not given, or cannot be said; XN_ENOMEM, XN_ETOOBIG. */
int flat_write(const struct flat_form *form, const void *in,
               struct xn_buf *out);

#endif
