/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/frame.h"

#include "lib/err.h"

/* Within one turn a whole read may follow the rest of a frame. */
enum { SLACK = 64 * 1024 };

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

int net_frames_next(struct net_frames *frames, struct xn_msg **msg_out)
{
    size_t have = frames->buf.len - frames->at;
    const uint8_t *p;
    uint32_t len;
    unsigned kind;
    int rc;

    if (have < NET_FRAME_HEAD) return XN_ENOENT;
    p = frames->buf.data + frames->at;
    len = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
          p[3];
    kind = (unsigned)p[4] << 8 | p[5];
    if (len < 2) return XN_EPROTO;
    if (len - 2 > XN_MSG_MAX) return XN_ETOOBIG;
    if (!xn_kind_is_wire(kind)) return XN_EPROTO;
    if (have - 4 < len) return XN_ENOENT;
    rc = xn_msg_decode(kind, p + NET_FRAME_HEAD, len - 2, msg_out);
    if (rc) return rc;
    frames->at += 4 + (size_t)len;
    /* An idle link holds no memory. */
    if (frames->at == frames->buf.len) net_frames_clear(frames);
    return 0;
}

void net_frame_head(const struct xn_msg *msg, uint8_t out[NET_FRAME_HEAD])
{
    uint32_t len = msg->size + 2;

    out[0] = (uint8_t)(len >> 24);
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    out[4] = (uint8_t)(msg->kind >> 8);
    out[5] = (uint8_t)msg->kind;
}
