/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "seam/record.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* Big-endian. */
static uint8_t *put(uint8_t *p, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        *p++ = (uint8_t)(v >> (8 * bytes));
    return p;
}

/* One action's head, and the hash of its message: large messages are not
 * copied, and a chain over the actions keeps their order. */
static void add_action(const struct xn_action *action, xn_id *digest)
{
    uint8_t block[1 + 8 + 4 + 2 + XN_ID_SIZE], *p = block;
    xn_id body = {{0}}, so_far = *digest; /* not hashed in place */

    if (action->msg && xn_msg_encode(action->msg) == 0) {
        xn_id_hash(action->msg->bytes, action->msg->size, &body);
    }
    p = put(p, action->kind, 1);
    p = put(p, action->ticket, 8);
    p = put(p, action->peer, 4);
    p = put(p, action->msg ? action->msg->kind : 0, 2);
    memcpy(p, body.b, XN_ID_SIZE);
    xn_id_hash2(so_far.b, XN_ID_SIZE, block, sizeof block, digest);
}

void xn_record_digest(const struct xn_outbox *box, xn_id *digest_out)
{
    xn_id digest = {{0}};
    size_t i;

    for (i = 0; i < box->n; i++)
        add_action(&box->act[i], &digest);
    *digest_out = digest;
}

#define HEAD_SIZE 16

static void put_sum(const uint8_t *data, size_t size, size_t len, uint8_t *out)
{
    xn_id sum;

    xn_id_hash(data, size, &sum);
    memcpy(out, sum.b, len);
}

static int add(const ProtobufCMessage *body, struct xn_buf *out)
{
    uint8_t head[HEAD_SIZE], *bytes = NULL;
    size_t size;
    int rc;

    if (protobuf_c_message_get_packed_size(body) > XN_RECORD_MAX) {
        return XN_ETOOBIG;
    }
    rc = xn_pack(body, &bytes, &size);
    if (rc) return rc;
    put(head, size, 4);
    put_sum(head, 4, 4, head + 4);
    put_sum(bytes, size, 8, head + 8);
    xn_buf_add(out, head, sizeof head);
    xn_buf_add(out, bytes, size);
    free(bytes);
    return xn_buf_rc(out);
}

int xn_record_head(const Xn__Recording *head, struct xn_buf *out)
{
    return add(&head->base, out);
}

int xn_record_step(const struct xn_now *now, const struct xn_event *ev,
                   const xn_id *digest, struct xn_buf *out)
{
    Xn__LoggedEvent step = XN__LOGGED_EVENT__INIT;

    step.mono_us = now->mono_us;
    step.wall_us = now->wall_us;
    step.event = ev->kind;
    step.ticket = ev->ticket;
    step.rc = ev->rc;
    step.peer = ev->peer;
    if (ev->msg) {
        step.kind = ev->msg->kind;
        step.payload.data = ev->msg->bytes;
        step.payload.len = ev->msg->size;
    }
    step.outbox = xn_id_bytes(digest);
    return add(&step.base, out);
}

/* The next record's bytes; as xn_replay_next. */
static int next_record(struct xn_replay *replay, const uint8_t **data_out,
                       size_t *size_out)
{
    const uint8_t *p = replay->data + replay->at;
    size_t have = replay->len - replay->at, size;
    uint8_t sums[12];

    if (have < HEAD_SIZE) return XN_ENOENT;
    put_sum(p, 4, 4, sums);
    if (memcmp(p + 4, sums, 4)) return XN_EINTEGRITY;
    size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (size > XN_RECORD_MAX) return XN_EPROTO;
    if (have - HEAD_SIZE < size) return XN_ENOENT;
    put_sum(p + HEAD_SIZE, size, 8, sums + 4);
    if (memcmp(p + 8, sums + 4, 8)) return XN_EINTEGRITY;
    *data_out = p + HEAD_SIZE;
    *size_out = size;
    replay->at += HEAD_SIZE + size;
    return 0;
}

int xn_replay_head(struct xn_replay *replay, Xn__Recording **head_out)
{
    const uint8_t *data;
    size_t size;

    if (next_record(replay, &data, &size)) return XN_EPROTO;
    *head_out = xn__recording__unpack(NULL, size, data);
    return *head_out ? 0 : XN_EPROTO;
}

static int to_event(const Xn__LoggedEvent *step, struct xn_event *ev,
                    xn_id *digest)
{
    int rc = xn_id_from_bytes(&step->outbox, digest);

    if (rc || step->event < XN_EV_WAKE || step->event > XN_EV_NEWS) {
        return XN_EPROTO;
    }
    ev->kind = (enum xn_ev)step->event;
    ev->ticket = step->ticket;
    ev->rc = step->rc;
    ev->peer = step->peer;
    ev->msg = NULL;
    if (!step->kind) return 0;
    return xn_msg_decode(step->kind, step->payload.data, step->payload.len,
                         &ev->msg);
}

int xn_replay_next(struct xn_replay *replay, struct xn_now *now_out,
                   struct xn_event *ev_out, xn_id *digest_out)
{
    Xn__LoggedEvent *step;
    const uint8_t *data;
    size_t size;
    int rc = next_record(replay, &data, &size);

    if (rc) return rc;
    step = xn__logged_event__unpack(NULL, size, data);
    if (!step) return XN_EPROTO;
    *now_out = (struct xn_now){step->mono_us, step->wall_us};
    rc = to_event(step, ev_out, digest_out);
    xn__logged_event__free_unpacked(step, NULL);
    return rc;
}

int xn_contact_of(const Xn__Caller *who, struct xn_contact *contact_out)
{
    struct xn_contact contact = {0};

    if (!who || xn_id_from_bytes(&who->id, &contact.id) ||
        xn_id_from_bytes(&who->position, &contact.position) ||
        xn_id_from_bytes(&who->corp, &contact.corp)) {
        return XN_EINVAL;
    }
    contact.not_after_us = who->not_after_us;
    *contact_out = contact;
    return 0;
}
