/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/nest.h"

#include "lib/err.h"

struct span {
    const uint8_t *at, *end;
};

static int read_varint(struct span *in, uint64_t *out)
{
    unsigned shift;

    *out = 0;
    for (shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;

        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return 0;
    }
    return XN_EPROTO;
}

/* `left`: fields that may still come, in all messages together. */
static int check(const ProtobufCMessageDescriptor *descriptor, struct span in,
                 unsigned depth, size_t *left);

/* A message that has its place once may come once: protobuf would join a
 * second to the first and protobuf-c copies what it joins, each time anew.
 * `seen` has a bit for each field of this message. */
static int check_once(const ProtobufCMessageDescriptor *descriptor,
                      const ProtobufCFieldDescriptor *field, uint64_t *seen)
{
    uint64_t bit = (uint64_t)1 << ((field - descriptor->fields) % 64);

    if (field->label == PROTOBUF_C_LABEL_REPEATED) return 0;
    if (*seen & bit) return XN_EPROTO;
    *seen |= bit;
    return 0;
}

/* Only length-delimited fields can hold a message; what a field of another
 * kind holds is bytes. */
static int check_field(const ProtobufCMessageDescriptor *descriptor,
                       uint64_t number, struct span *in, unsigned depth,
                       size_t *left, uint64_t *seen)
{
    const ProtobufCFieldDescriptor *field = NULL;
    struct span inner;
    uint64_t len;

    if (read_varint(in, &len)) return XN_EPROTO;
    if (len > (size_t)(in->end - in->at)) return XN_EPROTO;
    inner.at = in->at;
    inner.end = in->at += len;
    if (number <= UINT32_MAX) {
        field = protobuf_c_message_descriptor_get_field(descriptor,
                                                        (unsigned)number);
    }
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE) return 0;
    if (check_once(descriptor, field, seen)) return XN_EPROTO;
    return check(field->descriptor, inner, depth + 1, left);
}

static int skip(struct span *in, size_t len)
{
    if (len > (size_t)(in->end - in->at)) return XN_EPROTO;
    in->at += len;
    return 0;
}

static int check(const ProtobufCMessageDescriptor *descriptor, struct span in,
                 unsigned depth, size_t *left)
{
    uint64_t key, value, seen = 0;
    int rc = 0;

    if (depth > XN_NEST_MAX) return XN_EPROTO;
    while (!rc && in.at < in.end) {
        rc = (*left)-- > 0 ? read_varint(&in, &key) : XN_EPROTO;
        if (rc) break;
        switch (key & 7) {
        case 0: rc = read_varint(&in, &value); break;
        case 1: rc = skip(&in, 8); break;
        case 2:
            rc = check_field(descriptor, key >> 3, &in, depth, left, &seen);
            break;
        case 5: rc = skip(&in, 4); break;
        default: rc = XN_EPROTO;
        }
    }
    return rc;
}

int xn_nest_check(const ProtobufCMessageDescriptor *descriptor,
                  const uint8_t *bytes, size_t len)
{
    size_t left = XN_NEST_FIELDS(len);
    struct span in;

    if (len == 0) return 0; /* bytes may be NULL: no arithmetic on it */
    in = (struct span){bytes, bytes + len};
    return check(descriptor, in, 1, &left);
}

void *xn_unpack(const ProtobufCMessageDescriptor *descriptor,
                const uint8_t *bytes, size_t len)
{
    if (xn_nest_check(descriptor, bytes, len)) return NULL;
    return protobuf_c_message_unpack(descriptor, NULL, len, bytes);
}
