/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages: counted, immutable, typed.
 *
 * A message is a kind (enum XnKind) and its protobuf body, kept decoded and,
 * unless it was adopted, encoded.  Making one costs one pack and one unpack
 * (about half a microsecond for a hundred bytes); passing it on costs a
 * reference.  Counts
 * are not atomic: a message belongs to one thread.
 */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "wire/api.pb-c.h"
#include "wire/local.pb-c.h"
#include "wire/overlay.pb-c.h"

/* A bit of Hello.features: the sender reads short frames (net/frame.h), and of a
 * Reply's `from` the first bytes. */
#define XN_FEATURE_SHORT 128U

#define XN_MSG_MAX (1U << 20)   /* encoded body of a link frame, bytes */
#define XN_LOCAL_MAX (1U << 26) /* of a local message */

struct xn_msg {
    uint32_t refs;
    uint16_t kind;  /* Xn__Kind */
    uint32_t size;  /* of bytes */
    uint8_t *bytes; /* the encoded body; NULL: adopted */
    const ProtobufCMessage *body;
};

/* Any protobuf body as bytes, which are the caller's (free); never NULL with 0,
 * also where there are none.  XN_ENOMEM. */
int xn_pack(const void *body, uint8_t **bytes_out, size_t *len_out);

/* Copies `body` (everything it points to) into a new message with one
 * reference.  XN_ETOOBIG, XN_ENOMEM; XN_EINVAL: unknown kind or a body of
 * another type. */
int xn_msg_new(unsigned kind, const void *body, struct xn_msg **msg_out);

/* Takes over `body` and the arena that all it points to lies in: nothing is
 * copied, and there are no bytes until xn_msg_encode.  For large messages that
 * stay within the process.  When it fails the arena is still the caller's.
 * XN_ENOMEM, XN_EINVAL. */
int xn_msg_adopt(unsigned kind, const void *body, struct xn_arena *arena,
                 struct xn_msg **msg_out);
/* See to it that there are bytes. XN_ENOMEM. */
int xn_msg_encode(struct xn_msg *msg);

/* From encoded bytes, which are copied.  XN_EPROTO: unknown kind or malformed;
 * XN_ETOOBIG. */
int xn_msg_decode(unsigned kind, const uint8_t *bytes, size_t size,
                  struct xn_msg **msg_out);

struct xn_msg *xn_msg_ref(struct xn_msg *msg); /* NULL is fine */
void xn_msg_free(struct xn_msg *msg);          /* drops one reference */

/* May this kind travel on a link? */
bool xn_kind_is_wire(unsigned kind);
/* NULL: unknown. */
const ProtobufCMessageDescriptor *xn_kind_type(unsigned kind);
/* "REQUEST"; "?" for an unknown one. */
const char *xn_kind_name(unsigned kind);

/* The body as its type: XN_BODY(msg, Xn__Hello)->version.  The kind must have
 * been looked at before. */
#define XN_BODY(msg, type) ((const type *)(const void *)(msg)->body)

#endif
