/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/any_msg.h"

#include <assert.h>
#include <string.h>

enum { DEPTH_MAX = 4, MANY = 40, KINDS = 64 };

unsigned any_byte(struct any_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

ProtobufCBinaryData any_raw(struct any_input *in)
{
    size_t len = any_byte(in), left = (size_t)(in->end - in->at);
    ProtobufCBinaryData out;

    if (len > left) len = left;
    out = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)in->at};
    in->at += len;
    return out;
}

unsigned any_kind(struct any_input *in)
{
    unsigned kind = any_byte(in) % KINDS;

    while (!xn_kind_is_wire(kind))
        kind = (kind + 1) % KINDS;
    return kind;
}

/* Mostly small, often one that somebody has used. */
static uint64_t any_number(struct any_input *in)
{
    unsigned first = any_byte(in), i;
    uint64_t v = 0;

    if (first < 128) return first;
    if (first < 250) return in->pool->numbers[first % in->pool->n_numbers];
    for (i = 0; i < 8; i++)
        v = v << 8 | any_byte(in);
    return v;
}

static ProtobufCBinaryData any_bytes(struct any_input *in)
{
    unsigned first = any_byte(in);

    if (first < 16) return (ProtobufCBinaryData){0, NULL};
    if (first < 224) return in->pool->bytes[first % in->pool->n_bytes];
    return any_raw(in);
}

static char *any_word(struct any_input *in)
{
    unsigned first = any_byte(in);
    ProtobufCBinaryData raw;

    if (first < 224)
        return (char *)(uintptr_t)in->pool->words[first % in->pool->n_words];
    raw = any_raw(in);
    return xn_arena_strndup(in->arena, (const char *)raw.data, raw.len);
}

static void *fill(struct any_input *in, const ProtobufCMessageDescriptor *type,
                  unsigned depth);

static void fill_one(struct any_input *in,
                     const ProtobufCFieldDescriptor *field, void *at,
                     unsigned depth)
{
    uint64_t number;

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: *(char **)at = any_word(in); break;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)at = any_bytes(in);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)at = fill(in, field->descriptor, depth + 1);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = any_byte(in) & 1;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        number = any_number(in);
        memcpy(at, &number, sizeof number);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        number = any_number(in);
        memcpy(at, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        break;
    default: assert(!"no message of ours has such a field");
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64: return sizeof(uint64_t);
    default: return sizeof(uint32_t);
    }
}

/* Where there is no byte left there is nothing more, so this ends. */
static void fill_many(struct any_input *in,
                      const ProtobufCFieldDescriptor *field, uint8_t *msg,
                      unsigned depth)
{
    unsigned n = any_byte(in), i;
    uint8_t *values;

    n = n < 240 ? n % 4 : MANY;
    values = xn_arena_alloc(in->arena, (n + 1) * size_of(field));
    assert(values);
    for (i = 0; i < n && in->at < in->end; i++)
        fill_one(in, field, values + i * size_of(field), depth);
    *(size_t *)(void *)(msg + field->quantifier_offset) = i;
    *(void **)(void *)(msg + field->offset) = values;
}

/* What a Request or Reply carries. */
static void carry(struct any_input *in, uint32_t *kind,
                  ProtobufCBinaryData *payload, unsigned depth)
{
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *body;

    if (any_byte(in) >= 240) return; /* as it came */
    *kind = any_kind(in);
    type = xn_kind_type(*kind);
    body = fill(in, type, depth + 1);
    payload->data =
        xn_arena_alloc(in->arena, protobuf_c_message_get_packed_size(body) + 1);
    assert(payload->data);
    payload->len = protobuf_c_message_pack(body, payload->data);
}

static void *fill(struct any_input *in, const ProtobufCMessageDescriptor *type,
                  unsigned depth)
{
    ProtobufCMessage *msg = xn_arena_alloc(in->arena, type->sizeof_message);
    unsigned i;

    assert(msg);
    protobuf_c_message_init(type, msg);
    for (i = 0; i < type->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        uint8_t *at = (uint8_t *)msg + field->offset;

        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            fill_many(in, field, (uint8_t *)msg, depth);
        else if (in->at < in->end)
            fill_one(in, field, at, depth);
    }
    if (type == &xn__request__descriptor) {
        Xn__Request *request = (Xn__Request *)(void *)msg;

        carry(in, &request->kind, &request->payload, depth);
    } else if (type == &xn__reply__descriptor) {
        Xn__Reply *reply = (Xn__Reply *)(void *)msg;

        carry(in, &reply->kind, &reply->payload, depth);
    }
    return msg;
}

void *any_msg(struct any_input *in, const ProtobufCMessageDescriptor *type)
{
    return fill(in, type, 0);
}
