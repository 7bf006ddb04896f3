/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bodies on this machine's unix sockets (wire/task.proto): four bytes of length,
 * most significant first, then a protobuf body. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "lib/buf.h"

#define FRAME_ASK_MAX (768 << 10) /* bytes of a body that asks xenodomd */
#define FRAME_TELL_MAX (1 << 20)  /* of one that answers */

/* Appends a body.  XN_ETOOBIG, XN_ENOMEM. */
int frame_put(struct xn_buf *out, const void *body);

/* Takes the first body out of `in`.  XN_ENOENT: not all of it is there yet;
 * XN_ETOOBIG: it is longer than `max`; XN_EPROTO: no such body.  It is the
 * caller's: protobuf_c_message_free_unpacked. */
int frame_next(struct xn_buf *in, size_t max,
               const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out);

/* For who may wait: sends a body; receives one.  fd_out: a descriptor that came
 * along, or -1; NULL: none is wanted.  XN_EUNREACH: the other end closed;
 * XN_ETIMEOUT: the socket's own; else as above. */
int frame_send(int fd, const void *body);
int frame_receive(int fd, size_t max, const ProtobufCMessageDescriptor *type,
                  ProtobufCMessage **body_out, int *fd_out);

/* The same from a pipe. */
int frame_read(int fd, size_t max, const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out);

#endif
