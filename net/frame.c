/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/frame.h"

#include "lib/err.h"

/* Within one turn a whole read may follow the rest of a frame. */
enum { SLACK = 64 * 1024, VARINT_MAX = 3 };

void net_frames_init(struct net_frames *frames)
{
    xn_buf_init(&frames->buf, NET_FRAME_HEAD + XN_MSG_MAX + SLACK);
    frames->at = 0;
}

void net_frames_clear(struct net_frames *frames)
{
    xn_buf_clear(&frames->buf);
    frames->at = 0;
}

int net_frames_add(struct net_frames *frames, const uint8_t *data, size_t len)
{
    if (frames->at > 0) {
        xn_buf_drop(&frames->buf, frames->at);
        frames->at = 0;
    }
    xn_buf_add(&frames->buf, data, len);
    return xn_buf_rc(&frames->buf);
}

/* What a head says, and its own length. */
struct head {
    size_t len;
    uint32_t body;
    unsigned kind;
};

static int read_long(const uint8_t *p, size_t have, struct head *head)
{
    uint32_t len;

    if (have < 6) return XN_ENOENT;
    len = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
          p[3];
    if (len < 2) return XN_EPROTO;
    *head = (struct head){6, len - 2, (unsigned)p[4] << 8 | p[5]};
    return 0;
}

static int read_brief(const uint8_t *p, size_t have, struct head *head)
{
    size_t i;

    *head = (struct head){.kind = p[0]};
    for (i = 1; i <= VARINT_MAX; i++) {
        if (i >= have) return XN_ENOENT;
        head->body |= (uint32_t)(p[i] & 0x7f) << 7 * (i - 1);
        head->len = i + 1;
        if (p[i] < 0x80) return 0;
    }
    return XN_EPROTO;
}

int net_frames_next(struct net_frames *frames, struct xn_msg **msg_out)
{
    size_t have = frames->buf.len - frames->at;
    const uint8_t *p;
    struct head head;
    int rc;

    if (have == 0) return XN_ENOENT;
    p = frames->buf.data + frames->at;
    rc = p[0] ? read_brief(p, have, &head) : read_long(p, have, &head);
    if (rc) return rc;
    if (head.body > XN_MSG_MAX) return XN_ETOOBIG;
    if (!xn_kind_is_wire(head.kind)) return XN_EPROTO;
    if (have - head.len < head.body) return XN_ENOENT;
    rc = xn_msg_decode(head.kind, p + head.len, head.body, msg_out);
    if (rc) return rc;
    frames->at += head.len + head.body;
    /* An idle link holds no memory. */
    if (frames->at == frames->buf.len) net_frames_clear(frames);
    return 0;
}

static size_t write_brief(const struct xn_msg *msg, uint8_t *out)
{
    uint32_t len = msg->size;
    size_t n = 0;

    out[n++] = (uint8_t)msg->kind;
    for (; len >= 0x80; len >>= 7)
        out[n++] = (uint8_t)(len | 0x80);
    out[n++] = (uint8_t)len;
    return n;
}

size_t net_frame_head(const struct xn_msg *msg, bool brief,
                      uint8_t out[NET_FRAME_HEAD])
{
    uint32_t len = msg->size + 2;

    if (brief && msg->kind <= UINT8_MAX) return write_brief(msg, out);
    out[0] = (uint8_t)(len >> 24);
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    out[4] = (uint8_t)(msg->kind >> 8);
    out[5] = (uint8_t)msg->kind;
    return NET_FRAME_HEAD;
}
