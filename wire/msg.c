/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/msg.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/nest.h"

struct kind_row {
    const char *name; /* NULL: no such kind */
    const ProtobufCMessageDescriptor *descriptor;
};

#define ROW(kind, type) [XN__KIND__##kind] = {#kind, &xn__##type##__descriptor}
#define LOCAL(kind, type)                                                      \
    [XN__KIND__##kind -                                                        \
        XN__KIND__KIND_LOCAL] = {#kind, &xn__##type##__descriptor}

static const struct kind_row wire_kinds[] = {
    ROW(HELLO, hello),
    ROW(PEERS, peers),
    ROW(PING, ping),
    ROW(PONG, pong),
    ROW(SUSPECT, suspect),
    ROW(LEAVE, leave),
    ROW(REQUEST, request),
    ROW(ACK, ack),
    ROW(REPLY, reply),
    ROW(PUT, put),
    ROW(PUT_DONE, put_done),
    ROW(FIND, find),
    ROW(FOUND, found),
    ROW(SYNC, sync),
    ROW(SYNC_DIFF, sync_diff),
    ROW(OFFER, offer),
    ROW(WANT, want),
    ROW(HAVE, have),
    ROW(HAVE_DONE, have_done),
    ROW(NEXT, next),
    ROW(NEXT_DONE, next_done),
    ROW(NEAR, near),
    ROW(NEAR_DONE, near_done),
    ROW(REVOKED, revoked),
    ROW(REVOKED_DONE, revoked_done),
    ROW(REACH, reach),
    ROW(REACH_DONE, reach_done),
};

static const struct kind_row local_kinds[] = {
    LOCAL(UP, up),
    LOCAL(DIAL, dial),
    LOCAL(SIGN, sign),
    LOCAL(SIGNED, signed),
    LOCAL(VERIFY, verify),
    LOCAL(VERIFIED, verified),
    LOCAL(ISSUE, issue),
    LOCAL(ISSUED, issued),
    LOCAL(RANDOM, random),
    LOCAL(BYTES, bytes),
    LOCAL(TXN, txn),
    LOCAL(READ, read),
    LOCAL(RECORDS, records),
    LOCAL(CALL, call),
    LOCAL(ASK, ask),
    LOCAL(ANSWER, answer),
    LOCAL(LOG, log),
    LOCAL(FETCH, fetch),
    LOCAL(DOM_ASK, dom_ask),
    LOCAL(DOM_TELL, dom_tell),
    LOCAL(PROBE, probe),
    LOCAL(NEWS, news),
    LOCAL(REASON, reason),
    LOCAL(SAMPLE, sample),
    LOCAL(ASK_CONSOLE, ask_console),
    LOCAL(CONSOLE_PIECE, console_piece),
    LOCAL(FETCHED, fetched),
    LOCAL(PROBED, probed),
    LOCAL(ADMIT, admit),
    LOCAL(ADMITTED, admitted),
    LOCAL(ASK_STREAM, ask_stream),
    LOCAL(ASK_CARRIED, ask_carried),
    LOCAL(CARRIED, carried),
    LOCAL(ALL_CARRIED, all_carried),
};

static const struct kind_row *row_of(unsigned kind)
{
    const struct kind_row *rows = wire_kinds;
    size_t n = sizeof wire_kinds / sizeof wire_kinds[0];

    if (kind >= XN__KIND__KIND_LOCAL) {
        kind -= XN__KIND__KIND_LOCAL;
        rows = local_kinds;
        n = sizeof local_kinds / sizeof local_kinds[0];
    }
    return kind < n && rows[kind].name ? &rows[kind] : NULL;
}

bool xn_kind_is_wire(unsigned kind)
{
    return kind < XN__KIND__KIND_LOCAL && row_of(kind);
}

const ProtobufCMessageDescriptor *xn_kind_type(unsigned kind)
{
    const struct kind_row *row = row_of(kind);

    return row ? row->descriptor : NULL;
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

/* ---- memory of a decoded body ---- */

/* A body is many small pieces that live and die together: they lie behind
 * their message, and where that is not enough in further slabs. */
struct slab {
    struct slab *next;
    size_t used, size;
    _Alignas(uint64_t) uint8_t data[];
};

struct holder {
    struct xn_msg msg;
    struct xn_arena arena; /* an adopted body's */
    struct slab *more;
    struct slab first;
};

enum { SLAB_MIN = 1024, SMALL = 4096 };

static size_t aligned(size_t size)
{
    return (size + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
}

/* Mostly enough, without much waste where a body is one long payload. */
static size_t first_size(const ProtobufCMessageDescriptor *descriptor,
                         size_t size)
{
    return aligned(descriptor->sizeof_message + size + 128 +
                   (size < SMALL ? size : 0));
}

static void *slab_take(struct slab *slab, size_t size)
{
    void *p = slab->data + slab->used;

    if (size > slab->size - slab->used) return NULL;
    slab->used += size;
    return p;
}

static void *body_alloc(void *data, size_t size)
{
    struct holder *holder = data;
    struct slab *slab = holder->more ? holder->more : &holder->first;
    size_t cap;
    void *p;

    if (size > XN_LOCAL_MAX) return NULL;
    size = aligned(size);
    p = slab_take(slab, size);
    if (p) return p;
    cap = size > SLAB_MIN ? size : SLAB_MIN;
    slab = malloc(sizeof *slab + cap);
    if (!slab) return NULL;
    *slab = (struct slab){.next = holder->more, .size = cap};
    holder->more = slab;
    return slab_take(slab, size);
}

static void body_free(void *data, void *pointer)
{
    (void)data, (void)pointer; /* with the whole */
}

static void holder_free(struct holder *holder)
{
    struct slab *slab = holder->more, *next;

    for (; slab; slab = next) {
        next = slab->next;
        free(slab);
    }
    xn_arena_clear(&holder->arena);
    free(holder);
}

/* With room for so many bytes of the body. */
static struct holder *holder_new(size_t first)
{
    struct holder *holder = malloc(sizeof *holder + first);

    if (!holder) return NULL;
    holder->more = NULL;
    holder->first.next = NULL;
    holder->first.used = 0;
    holder->first.size = first;
    xn_arena_init(&holder->arena, 0);
    return holder;
}

/* With room for the encoded body and most likely for the decoded one. */
static struct holder *holder_for(const ProtobufCMessageDescriptor *descriptor,
                                 size_t size, uint8_t **bytes_out)
{
    size_t room = aligned(size + 1);
    struct holder *holder = holder_new(room + first_size(descriptor, size));

    if (holder) *bytes_out = slab_take(&holder->first, room);
    return holder;
}

/* Of the bytes that it holds. */
static int build(struct holder *holder, unsigned kind, uint8_t *bytes,
                 size_t size, const ProtobufCMessageDescriptor *descriptor,
                 struct xn_msg **msg_out)
{
    ProtobufCAllocator allocator = {body_alloc, body_free, holder};
    ProtobufCMessage *body =
        protobuf_c_message_unpack(descriptor, &allocator, size, bytes);

    if (!body) {
        holder_free(holder);
        return XN_EPROTO;
    }
    holder->msg = (struct xn_msg){.refs = 1,
                                  .kind = (uint16_t)kind,
                                  .size = (uint32_t)size,
                                  .bytes = bytes,
                                  .body = body};
    *msg_out = &holder->msg;
    return 0;
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
    struct holder *holder;
    uint8_t *bytes;
    size_t size;

    if (!row || base->descriptor != row->descriptor) return XN_EINVAL;
    size = protobuf_c_message_get_packed_size(base);
    if (size > size_max(kind)) return XN_ETOOBIG;
    holder = holder_for(row->descriptor, size, &bytes);
    if (!holder) return XN_ENOMEM;
    protobuf_c_message_pack(base, bytes);
    return build(holder, kind, bytes, size, row->descriptor, msg_out);
}

int xn_msg_adopt(unsigned kind, const void *body, struct xn_arena *arena,
                 struct xn_msg **msg_out)
{
    const struct kind_row *row = row_of(kind);
    const ProtobufCMessage *base = body;
    struct holder *holder;

    if (!row || base->descriptor != row->descriptor) return XN_EINVAL;
    holder = holder_new(0);
    if (!holder) return XN_ENOMEM;
    holder->arena = *arena;
    xn_arena_init(arena, arena->max);
    holder->msg =
        (struct xn_msg){.refs = 1, .kind = (uint16_t)kind, .body = base};
    *msg_out = &holder->msg;
    return 0;
}

int xn_msg_encode(struct xn_msg *msg)
{
    size_t size;
    int rc;

    if (msg->bytes) return 0;
    rc = xn_pack(msg->body, &msg->bytes, &size);
    if (!rc) msg->size = (uint32_t)size;
    return rc;
}

int xn_msg_decode(unsigned kind, const uint8_t *data, size_t size,
                  struct xn_msg **msg_out)
{
    const struct kind_row *row = row_of(kind);
    struct holder *holder;
    uint8_t *bytes;

    if (!row) return XN_EPROTO;
    if (size > size_max(kind)) return XN_ETOOBIG;
    if (xn_nest_check(row->descriptor, data, size)) return XN_EPROTO;
    holder = holder_for(row->descriptor, size, &bytes);
    if (!holder) return XN_ENOMEM;
    if (size) memcpy(bytes, data, size);
    return build(holder, kind, bytes, size, row->descriptor, msg_out);
}

struct xn_msg *xn_msg_ref(struct xn_msg *msg)
{
    if (msg) msg->refs++;
    return msg;
}

void xn_msg_free(struct xn_msg *msg)
{
    struct holder *holder = (struct holder *)(void *)msg;

    if (!msg || --msg->refs) return;
    if (msg->bytes != holder->first.data) free(msg->bytes);
    holder_free(holder);
}
