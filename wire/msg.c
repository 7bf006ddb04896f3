/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/msg.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/nest.h"

struct kind_row {
    unsigned kind;
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
};

#define ROW(kind, type)                                                        \
    {                                                                          \
        XN__KIND__##kind, #kind, &xn__##type##__descriptor                     \
    }

static const struct kind_row kinds[] = {
    ROW(HELLO, hello),         ROW(PEERS, peers),
    ROW(PING, ping),           ROW(PONG, pong),
    ROW(SUSPECT, suspect),     ROW(LEAVE, leave),
    ROW(REQUEST, request),     ROW(ACK, ack),
    ROW(REPLY, reply),         ROW(PUT, put),
    ROW(PUT_DONE, put_done),   ROW(FIND, find),
    ROW(FOUND, found),         ROW(SYNC, sync),
    ROW(SYNC_DIFF, sync_diff), ROW(OFFER, offer),
    ROW(WANT, want),           ROW(HAVE, have),
    ROW(HAVE_DONE, have_done), ROW(UP, up),
    ROW(DIAL, dial),           ROW(SIGN, sign),
    ROW(SIGNED, signed),       ROW(VERIFY, verify),
    ROW(VERIFIED, verified),   ROW(ISSUE, issue),
    ROW(ISSUED, issued),       ROW(RANDOM, random),
    ROW(BYTES, bytes),         ROW(TXN, txn),
    ROW(READ, read),           ROW(RECORDS, records),
    ROW(CALL, call),           ROW(ASK, ask),
    ROW(ANSWER, answer),       ROW(LOG, log),
    ROW(FETCH, fetch),         ROW(DOMAIN, domain),
    ROW(METER, meter),         ROW(PROBE, probe),
    ROW(NEWS, news),           ROW(REASON, reason),
    ROW(SAMPLE, sample),
};

static const struct kind_row *row_of(unsigned kind)
{
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == kind) return &kinds[i];
    }
    return NULL;
}

bool xn_kind_is_wire(unsigned kind)
{
    return kind < XN__KIND__KIND_LOCAL && row_of(kind);
}

const char *xn_kind_name(unsigned kind)
{
    const struct kind_row *row = row_of(kind);

    return row ? row->name : "?";
}

static size_t size_max(unsigned kind)
{
    return kind < XN__KIND__KIND_LOCAL ? XN_MSG_MAX : XN_LOCAL_MAX;
}

/* Takes over `bytes`. */
static int build(unsigned kind, uint8_t *bytes, size_t size,
                 const ProtobufCMessageDescriptor *descriptor,
                 struct xn_msg **msg_out)
{
    struct xn_msg *msg = NULL;
    ProtobufCMessage *body;
    int rc;

    body = protobuf_c_message_unpack(descriptor, NULL, size, bytes);
    if (!body) {
        rc = XN_EPROTO;
        goto out;
    }
    msg = calloc(1, sizeof *msg);
    if (!msg) {
        protobuf_c_message_free_unpacked(body, NULL);
        rc = XN_ENOMEM;
        goto out;
    }
    msg->refs = 1;
    msg->kind = (uint16_t)kind;
    msg->size = (uint32_t)size;
    msg->bytes = bytes;
    msg->body = body;
    bytes = NULL;
    *msg_out = msg;
    rc = 0;
out:
    free(bytes);
    return rc;
}

int xn_pack(const void *body, uint8_t **bytes_out, size_t *len_out)
{
    uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(body) + 1);

    if (!bytes) return XN_ENOMEM;
    *len_out = protobuf_c_message_pack(body, bytes);
    *bytes_out = bytes;
    return 0;
}

int xn_msg_new(unsigned kind, const void *body, struct xn_msg **msg_out)
{
    const struct kind_row *row = row_of(kind);
    const ProtobufCMessage *base = body;
    uint8_t *bytes = NULL;
    size_t size;
    int rc;

    if (!row || base->descriptor != row->descriptor) return XN_EINVAL;
    if (protobuf_c_message_get_packed_size(base) > size_max(kind)) {
        return XN_ETOOBIG;
    }
    rc = xn_pack(body, &bytes, &size);
    if (rc) return rc;
    return build(kind, bytes, size, row->descriptor, msg_out);
}

int xn_msg_decode(unsigned kind, const uint8_t *data, size_t size,
                  struct xn_msg **msg_out)
{
    const struct kind_row *row = row_of(kind);
    uint8_t *bytes;

    if (!row) return XN_EPROTO;
    if (size > size_max(kind)) return XN_ETOOBIG;
    if (xn_nest_check(row->descriptor, data, size)) return XN_EPROTO;
    bytes = malloc(size + 1);
    if (!bytes) return XN_ENOMEM;
    if (size) memcpy(bytes, data, size);
    return build(kind, bytes, size, row->descriptor, msg_out);
}

struct xn_msg *xn_msg_ref(struct xn_msg *msg)
{
    if (msg) msg->refs++;
    return msg;
}

void xn_msg_free(struct xn_msg *msg)
{
    if (!msg || --msg->refs) return;
    protobuf_c_message_free_unpacked((ProtobufCMessage *)(uintptr_t)msg->body,
                                     NULL);
    free(msg->bytes);
    free(msg);
}
