/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/err.h"
#include "wire/frame.h"

#define TAKE 16384
#define HEAD 4
#define WORD_MAX 80 /* bytes of a socket's own name */

void net_unix_init(struct net_unix *sock,
                   const ProtobufCMessageDescriptor *type, size_t max,
                   void (*ready)(void *arg), void *arg)
{
    memset(sock, 0, sizeof *sock);
    sock->fd = sock->passed = -1;
    sock->type = type;
    sock->max = max;
    sock->ready = ready;
    sock->arg = arg;
    xn_buf_init(&sock->in, max + HEAD + TAKE);
    xn_buf_init(&sock->out, FRAME_TELL_MAX + HEAD);
}

void net_unix_close(struct net_unix *sock)
{
    if (sock->read) event_free(sock->read);
    if (sock->write) event_free(sock->write);
    sock->read = sock->write = NULL;
    if (sock->fd >= 0) close(sock->fd);
    if (sock->passed >= 0) close(sock->passed);
    sock->fd = sock->passed = -1;
    xn_buf_clear(&sock->in);
    xn_buf_clear(&sock->out);
}

/* ---- in ------------------------------------------------------------------ */

/* One is kept; a peer that passes more loses them. */
static void take_fd(struct net_unix *sock, struct msghdr *msg)
{
    struct cmsghdr *c;
    size_t i, n;
    int fd;

    for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof fd;
        for (i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (sock->passed < 0)
                sock->passed = fd;
            else
                close(fd);
        }
    }
}

/* Bytes that came before the end are still looked at. */
static void receive(struct net_unix *sock)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    uint8_t data[TAKE];
    struct iovec part = {data, sizeof data};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t n = recvmsg(sock->fd, &msg, MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        sock->rc = XN_EUNREACH;
        return;
    }
    take_fd(sock, &msg);
    xn_buf_add(&sock->in, data, (size_t)n);
    if (xn_buf_rc(&sock->in)) sock->rc = xn_buf_rc(&sock->in);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    struct net_unix *sock = arg;

    if (!sock->rc) receive(sock);
    if (sock->rc) event_del(sock->read);
    sock->ready(sock->arg);
}

int net_unix_next(struct net_unix *sock, ProtobufCMessage **body_out)
{
    int rc = frame_next(&sock->in, sock->max, sock->type, body_out);

    return rc == XN_ENOENT && sock->rc ? sock->rc : rc;
}

int net_unix_take_fd(struct net_unix *sock)
{
    int fd = sock->passed;

    sock->passed = -1;
    return fd;
}

/* ---- out ----------------------------------------------------------------- */

/* That the other end has closed shows where we read, behind what it had said. */
static int flush(struct net_unix *sock)
{
    ssize_t n;

    while (sock->out.len > 0) {
        n = send(sock->fd, sock->out.data, sock->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            return event_add(sock->write, NULL) ? XN_ENOMEM : 0;
        }
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) return 0;
        if (n <= 0) return XN_EUNREACH;
        xn_buf_drop(&sock->out, (size_t)n);
    }
    return 0;
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
    struct net_unix *sock = arg;
    int rc = flush(sock);

    if (!rc) return;
    sock->rc = rc;
    event_del(sock->read);
    sock->ready(sock->arg);
}

int net_unix_send(struct net_unix *sock, const void *body)
{
    int rc = frame_put(&sock->out, body);

    return rc ? rc : flush(sock);
}

/* ---- opening ------------------------------------------------------------- */

int net_unix_adopt(struct net_unix *sock, struct event_base *base, int fd)
{
    sock->fd = fd;
    sock->rc = 0;
    if (evutil_make_socket_nonblocking(fd)) return XN_EUNREACH;
    sock->read = event_new(base, fd, EV_READ | EV_PERSIST, on_read, sock);
    sock->write = event_new(base, fd, EV_WRITE, on_write, sock);
    if (!sock->read || !sock->write) return XN_ENOMEM;
    return event_add(sock->read, NULL) ? XN_EUNREACH : 0;
}

/* Through /proc, since a socket's path has 107 bytes at most. */
static int address(const char *path, struct sockaddr_un *out, int *dir_out)
{
    const char *slash = strrchr(path, '/'), *word = slash ? slash + 1 : path;
    size_t n = slash ? (size_t)(slash - path) + 1 : 2;
    char folder[4096];

    if (strlen(word) > WORD_MAX || n >= sizeof folder) return XN_EUNREACH;
    memcpy(folder, slash ? path : "./", n);
    folder[n] = '\0';
    *dir_out = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_out < 0) return XN_EUNREACH;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s",
             *dir_out, word);
    return 0;
}

int net_unix_open(struct net_unix *sock, struct event_base *base,
                  const char *path)
{
    struct sockaddr_un at;
    int dir = -1, fd, rc;

    rc = address(path, &at, &dir);
    if (rc) return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? XN_ENOMEM : 0;
    if (!rc && connect(fd, (struct sockaddr *)&at, sizeof at)) {
        rc = errno == EAGAIN ? XN_EBUSY : XN_EUNREACH;
    }
    close(dir);
    if (!rc) return net_unix_adopt(sock, base, fd);
    if (fd >= 0) close(fd);
    return rc;
}
