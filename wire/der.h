/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A strict reader of DER (X.690): one-byte tags, lengths in their shortest form
 * and below 64 KiB.  Each function takes the next element from the front of
 * `from`; what it returns points into it.  Where one fails, what is left in
 * `from` means nothing, but for der_take_bytes. */
#ifndef WIRE_DER_H
#define WIRE_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct der {
    const uint8_t *at;
    size_t len;
};

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_UTF8 = 0x0c,
    DER_UTC_TIME = 0x17,
    DER_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_3 = 0xa3,
};

/* The next element, if it has this tag: its contents. */
bool der_take(struct der *from, uint8_t tag, struct der *out);
/* The same with tag and length: all its bytes. */
bool der_take_whole(struct der *from, uint8_t tag, struct der *out);
/* Exactly these bytes come next; nothing is taken where others do. */
bool der_take_bytes(struct der *from, const void *bytes, size_t n);
#define DER_BYTES(from, bytes) der_take_bytes((from), (bytes), sizeof(bytes))
/* Has the next element this tag? */
bool der_is(const struct der *from, uint8_t tag);
bool der_eq(struct der a, struct der b);

#endif
