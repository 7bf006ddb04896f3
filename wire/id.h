/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 256-bit names and ring positions.
 *
 * A name is SHA-256 of a P-256 SubjectPublicKeyInfo; a ring position is
 * SHA-256(name || salt).  Both are big-endian numbers; the ring wraps.
 */
#ifndef WIRE_ID_H
#define WIRE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#define XN_ID_SIZE 32
#define XN_ID_HEX (2 * XN_ID_SIZE + 1)
#define XN_LABEL_MAX 63
#define XN_NAME_MAX 48 /* "k7f2-" and a label of 32, with NUL */

typedef struct {
    uint8_t b[XN_ID_SIZE];
} xn_id;

int xn_id_cmp(const xn_id *a, const xn_id *b);
bool xn_id_eq(const xn_id *a, const xn_id *b);
bool xn_id_is_zero(const xn_id *id);

/* The first 64 bits: enough to tell positions apart, as a rule, and how far they
 * are from each other, nearly. */
static inline uint64_t xn_id_head(const xn_id *id)
{
    uint64_t head = 0;
    unsigned i;

    for (i = 0; i < 8; i++)
        head = head << 8 | id->b[i];
    return head;
}

/* The first bytes, where they have to tell it from all others. */
#define XN_ID_BRIEF 6U
static inline uint64_t xn_id_brief(const xn_id *id)
{
    return xn_id_head(id) >> 8 * (8 - XN_ID_BRIEF);
}

/* SHA-256 of `len` bytes. */
void xn_id_hash(const void *data, size_t len, xn_id *out);
/* SHA-256 of two parts after each other, of which `out` may be one. */
void xn_id_hash2(const void *a, size_t a_len, const void *b, size_t b_len,
                 xn_id *out);

/* Exactly 32 bytes, else XN_EINVAL and *out untouched. */
int xn_id_from_bytes(const ProtobufCBinaryData *bytes, xn_id *out);
/* Points into `id`: valid while it is. */
ProtobufCBinaryData xn_id_bytes(const xn_id *id);

void xn_id_hex(const xn_id *id, char out[XN_ID_HEX]);
int xn_id_unhex(const char *text, size_t len, xn_id *out);

/* May this be the common name of a certificate?  1 to XN_LABEL_MAX of a-z, 0-9,
 * '.' and '-', the last two not at its ends. */
bool xn_label_valid(const char *label, size_t len);

/* "k7f2-otter": four base-32 characters of the id, then the label (just
 * "k7f2" without one).  For people; never parsed as an identity. */
void xn_id_name(const xn_id *id, const char *label, char out[XN_NAME_MAX]);

/* Shorter way round from a to b. */
void xn_ring_distance(const xn_id *a, const xn_id *b, xn_id *out);
/* Is a nearer to key than b?  A tie goes to the smaller position. */
bool xn_ring_nearer(const xn_id *key, const xn_id *a, const xn_id *b);
/* Is b on the clockwise way from a to c, or at one of its ends? */
bool xn_ring_between(const xn_id *a, const xn_id *b, const xn_id *c);
/* Clockwise way from a to b. */
void xn_ring_clockwise(const xn_id *a, const xn_id *b, xn_id *out);

#endif
