/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records: a protobuf body in a file of its own, whole or not there, with a
 * checksum. */
#ifndef KEEPER_RECORD_H
#define KEEPER_RECORD_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX (1 << 20) /* bytes of a body */

/* What stood under that name is replaced in one step, and durable when this
 * returns.  XN_ENOSPC, XN_EIO with errno; XN_ENOMEM, XN_ETOOBIG. */
int record_put(int dir, const char *name, const void *body);
/* The same, but for the disk: it outlives this process, and where the machine
 * goes down there may be none that is whole.  A tenth of the cost. */
int record_note(int dir, const char *name, const void *body);

/* One that is noted again and again, kept open. */
struct record {
    int fd; /* -1: not yet */
    size_t len;
};
#define RECORD_CLOSED ((struct record){-1, 0})

/* As record_note; nobody else writes it meanwhile. */
int record_renote(int dir, const char *name, struct record *record,
                  const void *body);
/* Harmless if repeated. */
void record_close(struct record *record);

/* *body_out is the caller's: protobuf_c_message_free_unpacked(body, NULL).
 * XN_ENOENT: no such file; XN_EIO; XN_EINTEGRITY: it is not whole. */
int record_get(int dir, const char *name,
               const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out);

/* The same from bytes. */
int record_parse(const uint8_t *data, size_t len,
                 const ProtobufCMessageDescriptor *type,
                 ProtobufCMessage **body_out);

#endif
