/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"

#define HEAD 4

int frame_put(struct xn_buf *out, const void *body)
{
    size_t len = protobuf_c_message_get_packed_size(body);
    uint8_t head[HEAD] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                          (uint8_t)(len >> 8), (uint8_t)len};
    uint8_t *packed;

    if (len > FRAME_TELL_MAX) return XN_ETOOBIG;
    packed = malloc(len + 1);
    if (!packed) return XN_ENOMEM;
    protobuf_c_message_pack(body, packed);
    xn_buf_add(out, head, sizeof head);
    xn_buf_add(out, packed, len);
    free(packed);
    return xn_buf_rc(out);
}

static size_t frame_len(const uint8_t *head)
{
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 |
           (size_t)head[2] << 8 | head[3];
}

int frame_next(struct xn_buf *in, size_t max,
               const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out)
{
    size_t len;

    if (in->len < HEAD) return XN_ENOENT;
    len = frame_len(in->data);
    if (len > max) return XN_ETOOBIG;
    if (in->len - HEAD < len) return XN_ENOENT;
    *body_out = protobuf_c_message_unpack(type, NULL, len, in->data + HEAD);
    if (!*body_out) return XN_EPROTO;
    xn_buf_drop(in, HEAD + len);
    return 0;
}

static int send_all(int fd, const uint8_t *data, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            return XN_ETIMEOUT;
        }
        if (n <= 0) return XN_EUNREACH;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int frame_send(int fd, const void *body)
{
    struct xn_buf out;
    int rc;

    xn_buf_init(&out, HEAD + FRAME_TELL_MAX);
    rc = frame_put(&out, body);
    if (!rc) rc = send_all(fd, out.data, out.len);
    xn_buf_clear(&out);
    return rc;
}

/* Keeps the descriptor that came along, if one is wanted. */
static void take_fd(struct msghdr *msg, int *fd_out)
{
    struct cmsghdr *c;
    int fd;

    for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len != CMSG_LEN(sizeof fd)) {
            continue;
        }
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (fd_out && *fd_out < 0)
            *fd_out = fd;
        else
            close(fd);
    }
}

static int receive_all(int fd, uint8_t *data, size_t len, int *fd_out)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    ssize_t n;

    while (len > 0) {
        struct iovec part = {data, len};
        struct msghdr msg = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};

        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            return XN_ETIMEOUT;
        }
        if (n <= 0) return XN_EUNREACH;
        take_fd(&msg, fd_out);
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int frame_receive(int fd, size_t max, const ProtobufCMessageDescriptor *type,
                  ProtobufCMessage **body_out, int *fd_out)
{
    uint8_t head[HEAD], *data = NULL;
    size_t len;
    int rc;

    if (fd_out) *fd_out = -1;
    rc = receive_all(fd, head, sizeof head, fd_out);
    if (rc) goto out;
    len = frame_len(head);
    rc = XN_ETOOBIG;
    if (len > max) goto out;
    rc = XN_ENOMEM;
    data = malloc(len + 1);
    if (!data) goto out;
    rc = receive_all(fd, data, len, fd_out);
    if (rc) goto out;
    *body_out = protobuf_c_message_unpack(type, NULL, len, data);
    rc = *body_out ? 0 : XN_EPROTO;
out:
    if (rc && fd_out && *fd_out >= 0) {
        close(*fd_out);
        *fd_out = -1;
    }
    free(data);
    return rc;
}

int frame_read(int fd, size_t max, const ProtobufCMessageDescriptor *type,
               ProtobufCMessage **body_out)
{
    struct xn_buf in;
    char data[4096];
    ssize_t n;
    int rc;

    xn_buf_init(&in, max + HEAD + sizeof data);
    while ((rc = frame_next(&in, max, type, body_out)) == XN_ENOENT) {
        n = read(fd, data, sizeof data);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            rc = XN_EUNREACH;
            break;
        }
        xn_buf_add(&in, data, (size_t)n);
    }
    xn_buf_clear(&in);
    return rc;
}
