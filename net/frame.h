/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of a link: kind (1 byte, not 0), length of the body (a varint of at most
 * 3 bytes), body.  To who has not said in its HELLO that it reads those: length
 * (4 bytes, big endian, of what follows; the first is 0), kind (2 bytes), body.
 * Bytes of both go in as they come, messages come out. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdbool.h>

#include "lib/buf.h"
#include "wire/msg.h"

#define NET_FRAME_HEAD 6 /* at most */

struct net_frames {
    struct xn_buf buf;
    size_t at; /* consumed */
};

void net_frames_init(struct net_frames *frames);
void net_frames_clear(struct net_frames *frames);
/* Memory grows with what came, not with what a length claims. */
int net_frames_add(struct net_frames *frames, const uint8_t *data, size_t len);
/* The next whole message (the caller's), or XN_ENOENT: more bytes are needed.
 * XN_EPROTO, XN_ETOOBIG: the peer does not speak our protocol; XN_ENOMEM. */
int net_frames_next(struct net_frames *frames, struct xn_msg **msg_out);

/* The head that goes before msg->bytes, and how long it is. */
size_t net_frame_head(const struct xn_msg *msg, bool brief,
                      uint8_t out[NET_FRAME_HEAD]);

#endif
