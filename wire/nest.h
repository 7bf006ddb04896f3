/* SPDX-License-Identifier: GPL-3.0-or-later */
/* protobuf-c unpacks nested messages by recursion without a bound: a megabyte
 * of Expr within Expr ends the stack, and with it the process.  So whatever
 * comes from a peer and can nest (all that holds an Expr: Query, Find, Search)
 * is looked through first.
 *
 * It also joins a message that comes twice where one has its place, and copies
 * the lists within each time: a megabyte of such takes minutes.  Nobody of ours
 * writes that, so it is refused.
 *
 * And each field, known or not, costs it some hundred bytes: a megabyte of
 * fields of two bytes would hold sixty. */
#ifndef WIRE_NEST_H
#define WIRE_NEST_H

#include <protobuf-c/protobuf-c.h>

#define XN_NEST_MAX 48 /* messages within messages */
/* Fields that so many bytes may hold; ours have thirty bytes each in all
 * messages that are large. */
#define XN_NEST_FIELDS(len) (16384 + (len) / 16)

/* XN_EPROTO where the bytes nest deeper, hold more fields, break off within a
 * field or hold a message twice whose place is for one.  A message has at most 64 fields. */
int xn_nest_check(const ProtobufCMessageDescriptor *descriptor,
                  const uint8_t *bytes, size_t len);

/* The same, then unpacks; NULL: refused, malformed or out of memory. */
void *xn_unpack(const ProtobufCMessageDescriptor *descriptor,
                const uint8_t *bytes, size_t len);

#endif
