/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>

#include "lib/err.h"
#include "net/frame.h"
#include "net/tls.h"
#include "seam/dial.h"

enum {
    DRAIN_US = 2000000,
    TURN_FRAMES = 16, /* a link's share of one turn of the loop */
    TURN_BYTES = 256 * 1024,
    RECORD = 16 * 1024, /* of TLS */
    UNACKED_MS = 15000, /* at least, what was sent may go without an answer */
    IDLE_S = 600,       /* then an idle link is probed, ... */
    PROBE_S = 15,       /* ... so often, ... */
    PROBES = 4,         /* ... and ends when so many are lost in a row */
};

struct parcel {
    struct xn_msg *msg;
    struct parcel *next;
    size_t head_len;
    uint8_t head[NET_FRAME_HEAD];
};

struct net_link_io {
    const struct net_link_user *user;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl; /* NULL: has not been let in */
    struct event *in, *out, *timer;
    struct net_frames frames;
    struct parcel *first, **last; /* to be sent */
    size_t offset;                /* of the first one sent already */
    size_t queued;                /* bytes, the offset included */
    unsigned depth;               /* calls under way: no free yet */
    bool ended;                   /* our side of the stream is closed */
    int unacked_ms;               /* as is set; 0: it is not */
    bool brief;                   /* the peer reads short frames */
};

static void pump(struct net_link *link);

static size_t parcel_size(const struct parcel *p)
{
    return p->head_len + p->msg->size;
}

static void drop_first(struct net_link_io *io)
{
    struct parcel *p = io->first;

    io->queued -= parcel_size(p);
    io->offset = 0;
    io->first = p->next;
    if (!io->first) io->last = &io->first;
    xn_msg_free(p->msg);
    free(p);
}

static void free_io(struct net_link_io *io)
{
    if (!io) return;
    while (io->first)
        drop_first(io);
    if (io->in) event_free(io->in);
    if (io->out) event_free(io->out);
    if (io->timer) event_free(io->timer);
    SSL_free(io->ssl);
    if (io->fd >= 0) close(io->fd);
    net_frames_clear(&io->frames);
    free(io);
}

static void enter(struct net_link *link)
{
    link->io->depth++;
}

static void leave(struct net_link *link)
{
    if (--link->io->depth > 0 || link->state != NET_LINK_CLOSED) return;
    free_io(link->io);
    free(link);
}

/* Nothing more is to be said: to be closed by a single packet, with no answer. */
static void set_reset(struct net_link_io *io)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    io->ended = true;
    setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void net_link_close(struct net_link *link, int rc, const char *text)
{
    struct net_link_io *io = link->io;

    if (link->state == NET_LINK_CLOSED) return;
    enter(link);
    if (link->state == NET_LINK_OPEN && !io->ended) SSL_shutdown(io->ssl);
    ERR_clear_error();
    link->state = NET_LINK_CLOSED;
    event_del(io->in);
    event_del(io->out);
    event_del(io->timer);
    close(io->fd);
    io->fd = -1;
    io->user->closed(link, rc, text);
    leave(link);
}

static void set_timer(struct net_link *link, uint64_t us)
{
    struct timeval tv = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    event_add(link->io->timer, &tv);
}

/* While TCP_USER_TIMEOUT is set Linux goes by it instead of by the count of
 * keepalive's probes: on a link that was idle for longer one lost probe would be
 * the end.  So it is set only while there may be something unacknowledged;
 * and for four round trips, or one lost packet would be the end of a far one. */
static void set_unacked(struct net_link *link, bool unacked)
{
    struct net_link_io *io = link->io;
    int ms = (int)(xn_shake_us(link->trip_us) / 1000);

    if (ms < UNACKED_MS) ms = UNACKED_MS;
    if (!unacked) ms = 0;
    if (io->unacked_ms == ms) return;
    io->unacked_ms = ms;
    setsockopt(io->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

/* TCP has shaken hands: TLS may take what follows from how long that took. */
static void connected(struct net_link *link)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    memset(&info, 0, sizeof info);
    getsockopt(link->io->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    link->trip_us = info.tcpi_rtt;
    set_timer(link, xn_shake_us(link->trip_us));
    set_unacked(link, true);
}

/* An SSL call did not succeed.  true: it wants the socket; try again later. */
static bool ssl_waits(struct net_link *link, int ret)
{
    struct net_link_io *io = link->io;
    int error = SSL_get_error(io->ssl, ret), saved = errno;
    char text[96], why[160];

    if (error == SSL_ERROR_WANT_READ) return true;
    if (error == SSL_ERROR_WANT_WRITE) {
        event_add(io->out, NULL);
        return true;
    }
    /* The peer has ended it, or broken a rule: it listens no more. */
    if (link->state == NET_LINK_OPEN) set_reset(io);
    if (error == SSL_ERROR_ZERO_RETURN) {
        net_link_close(link, XN_EUNREACH, "closed by the peer");
        return false;
    }
    if (error == SSL_ERROR_SYSCALL && saved) {
        snprintf(text, sizeof text, "%s", strerror(saved));
        ERR_clear_error();
    } else {
        net_tls_error(text, sizeof text);
    }
    if (link->state == NET_LINK_SHAKING) {
        bool proof = error == SSL_ERROR_SSL &&
                     SSL_get_verify_result(io->ssl) != X509_V_OK;

        snprintf(why, sizeof why, "handshake: %s", text);
        net_link_close(link, proof ? XN_EIDENT : XN_EUNREACH, why);
    } else {
        net_link_close(link, XN_EUNREACH, text);
    }
    return false;
}

static int connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)) return errno;
    return error;
}

static void shake(struct net_link *link)
{
    struct net_link_io *io = link->io;
    int ret, error;

    if (!link->incoming && SSL_in_before(io->ssl)) {
        error = connect_error(io->fd);
        if (error) {
            net_link_close(link, XN_EUNREACH, strerror(error));
            return;
        }
        connected(link);
    }
    ERR_clear_error();
    errno = 0;
    ret = SSL_do_handshake(io->ssl);
    if (ret != 1) {
        ssl_waits(link, ret);
        return;
    }
    link->state = NET_LINK_OPEN;
    event_del(io->timer);
    io->user->ready(link);
}

/* The next bytes to go out, at most a TLS record. */
static size_t gather(const struct net_link_io *io, uint8_t *out)
{
    const struct parcel *p;
    size_t n = 0, skip = io->offset;

    for (p = io->first; p && n < RECORD; p = p->next) {
        size_t part;

        if (skip < p->head_len) {
            part = p->head_len - skip;
            if (part > RECORD - n) part = RECORD - n;
            memcpy(out + n, p->head + skip, part);
            n += part;
            skip += part;
        }
        if (skip >= p->head_len) {
            size_t at = skip - p->head_len;

            part = p->msg->size - at;
            if (part > RECORD - n) part = RECORD - n;
            memcpy(out + n, p->msg->bytes + at, part);
            n += part;
        }
        skip = 0;
    }
    return n;
}

static void written(struct net_link_io *io, size_t n)
{
    while (n > 0) {
        size_t left = parcel_size(io->first) - io->offset;

        if (n < left) {
            io->offset += n;
            return;
        }
        n -= left;
        drop_first(io);
    }
}

/* All went out of a link that is to close: end our direction, TLS's word for it
 * and TCP's in one packet, then wait for the peer to end its own, or a close
 * would throw away what it has not read. */
static void finish(struct net_link *link)
{
    struct net_link_io *io = link->io;
    int on = 1;

    if (io->ended) return;
    io->ended = true;
    setsockopt(io->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    SSL_shutdown(io->ssl);
    ERR_clear_error();
    shutdown(io->fd, SHUT_WR);
    event_add(io->in, NULL);
}

static void flush(struct net_link *link)
{
    struct net_link_io *io = link->io;
    uint8_t chunk[RECORD];
    int ret;

    while (io->first) {
        size_t n = gather(io, chunk);

        set_unacked(link, true); /* the socket may take it and we not learn */
        ERR_clear_error();
        errno = 0;
        ret = SSL_write(io->ssl, chunk, (int)n);
        if (ret <= 0) {
            ssl_waits(link, ret);
            return;
        }
        link->sent += (size_t)ret;
        written(io, (size_t)ret);
    }
    if (link->state == NET_LINK_DRAINING) finish(link);
}

/* Come back in the next turn: what is left may lie in OpenSSL's buffer or in
 * ours, of which epoll knows nothing. */
static void come_back(struct net_link *link)
{
    struct timeval now = {0, 0};

    event_add(link->io->timer, &now);
}

static void take_hello(struct net_link_io *io, const struct xn_msg *msg)
{
    if (msg->kind != XN__KIND__HELLO) return;
    io->brief = XN_BODY(msg, Xn__Hello)->features & XN_FEATURE_SHORT;
}

/* Hand out whole frames; false: stop reading now. */
static bool hand_out(struct net_link *link, unsigned *frames_left)
{
    struct net_link_io *io = link->io;
    struct xn_msg *msg;
    int rc = 0;

    while (link->state == NET_LINK_OPEN && *frames_left > 0) {
        rc = net_frames_next(&io->frames, &msg);
        if (rc == XN_ENOENT) return true;
        if (rc) {
            net_link_close(link, rc, "not a frame of the protocol");
            return false;
        }
        (*frames_left)--;
        take_hello(io, msg);
        io->user->frame(link, msg);
    }
    if (link->state == NET_LINK_OPEN) come_back(link);
    return false;
}

static void receive(struct net_link *link)
{
    struct net_link_io *io = link->io;
    unsigned frames_left = TURN_FRAMES;
    uint8_t chunk[RECORD];
    size_t bytes = 0;
    int ret;

    while (hand_out(link, &frames_left)) {
        if (bytes >= TURN_BYTES) {
            come_back(link);
            return;
        }
        ERR_clear_error();
        errno = 0;
        ret = SSL_read(io->ssl, chunk, sizeof chunk);
        if (ret <= 0) {
            ssl_waits(link, ret);
            return;
        }
        bytes += (size_t)ret;
        link->received += (size_t)ret;
        if (net_frames_add(&io->frames, chunk, (size_t)ret)) {
            net_link_close(link, XN_ENOMEM, "out of memory");
            return;
        }
    }
}

/* A peer that is being left may still talk: it is heard and not listened to. */
static void discard(struct net_link *link)
{
    struct net_link_io *io = link->io;
    uint8_t chunk[RECORD];
    ssize_t n = 1;
    int turns;

    if (!io->ended) return;
    for (turns = 0; turns < TURN_FRAMES && n > 0; turns++)
        n = read(io->fd, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        net_link_close(link, 0, "closed");
    }
}

/* Where somebody has something to say that may be TLS, he knocks.  Until then he
 * costs no more than his socket. */
static void listen_at_door(struct net_link *link)
{
    uint8_t first;
    ssize_t n = recv(link->io->fd, &first, 1, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 1 || first != SSL3_RT_HANDSHAKE) {
        net_link_close(link, XN_EUNREACH, "handshake: not TLS");
        return;
    }
    event_del(link->io->in);
    link->io->user->knocks(link);
}

static void pump(struct net_link *link)
{
    enter(link);
    if (link->state == NET_LINK_SHAKING && !link->io->ssl) {
        listen_at_door(link);
    } else if (link->state == NET_LINK_SHAKING) {
        shake(link);
    }
    if (link->state == NET_LINK_OPEN || link->state == NET_LINK_DRAINING) {
        flush(link);
    }
    if (link->state == NET_LINK_OPEN) receive(link);
    if (link->state == NET_LINK_DRAINING) discard(link);
    leave(link);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    pump(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct net_link *link = arg;

    if (link->state == NET_LINK_SHAKING) {
        net_link_close(link, XN_ETIMEOUT, "no handshake in time");
    } else if (link->state == NET_LINK_DRAINING) {
        net_link_close(link, 0, "closed");
    } else {
        pump(link);
    }
}

/* Else Linux acknowledges the first segments at once, and what is said in return
 * a moment later acknowledges them again: three packets of a handshake. */
void net_link_patient(int fd)
{
    int off = 0;

    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
}

static void tune(int fd)
{
    int on = 1, idle = IDLE_S, interval = PROBE_S, count = PROBES;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int new_ssl(struct net_link *link, int fd)
{
    struct net_link_io *io = link->io;

    io->ssl = SSL_new(io->ctx);
    if (!io->ssl || !SSL_set_fd(io->ssl, fd)) return XN_ENOMEM;
    if (link->incoming) {
        SSL_set_accept_state(io->ssl);
    } else {
        SSL_set_connect_state(io->ssl);
    }
    net_tls_peer_to(io->ssl, &link->cert);
    return 0;
}

static int new_io(struct event_base *base, SSL_CTX *ctx, int fd,
                  struct net_link *link)
{
    struct net_link_io *io = calloc(1, sizeof *io);

    if (!io) return XN_ENOMEM;
    link->io = io;
    io->fd = -1;
    io->last = &io->first;
    net_frames_init(&io->frames);
    io->in = event_new(base, fd, EV_READ | EV_PERSIST, on_socket, link);
    io->out = event_new(base, fd, EV_WRITE, on_socket, link);
    io->timer = evtimer_new(base, on_timer, link);
    io->ctx = ctx;
    if (!io->in || !io->out || !io->timer) return XN_ENOMEM;
    return link->incoming ? 0 : new_ssl(link, fd);
}

void net_link_begin(struct net_link *link)
{
    if (link->state != NET_LINK_SHAKING || link->io->ssl) return;
    if (new_ssl(link, link->io->fd)) {
        net_link_close(link, XN_ENOMEM, "out of memory");
        return;
    }
    event_add(link->io->in, NULL);
}

int net_link_new(struct event_base *base, SSL_CTX *ctx, int fd, bool incoming,
                 const struct net_link_user *user, void *owner,
                 struct net_link **link_out)
{
    struct net_link *link = calloc(1, sizeof *link);
    int rc = XN_ENOMEM;

    if (link) {
        link->incoming = incoming;
        rc = new_io(base, ctx, fd, link);
    }
    if (rc) {
        if (link) free_io(link->io);
        free(link);
        close(fd);
        return rc;
    }
    tune(fd);
    link->io->fd = fd;
    set_unacked(link, true); /* the handshake */
    link->io->user = user;
    link->owner = owner;
    link->peer = XN_PEER_NONE;
    set_timer(link, XN_DIAL_US);
    if (incoming) connected(link);
    event_add(incoming ? link->io->in : link->io->out, NULL);
    if (!incoming) event_add(link->io->in, NULL);
    *link_out = link;
    return 0;
}

bool net_link_send(struct net_link *link, struct xn_msg *msg)
{
    struct net_link_io *io = link->io;
    struct parcel *p;

    if (io->queued + NET_FRAME_HEAD + msg->size > NET_LINK_QUEUE_MAX) {
        return false;
    }
    p = calloc(1, sizeof *p);
    if (!p) return false;
    p->msg = xn_msg_ref(msg);
    p->head_len = net_frame_head(msg, io->brief, p->head);
    *io->last = p;
    io->last = &p->next;
    io->queued += parcel_size(p);
    return true;
}

void net_link_flush(struct net_link *link)
{
    if (link->state != NET_LINK_OPEN) return;
    enter(link);
    flush(link);
    leave(link);
}

void net_link_rest(struct net_link *link)
{
    struct net_link_io *io = link->io;
    int unacked = 0;

    if (link->state != NET_LINK_OPEN || !io->unacked_ms || io->first) return;
    if (ioctl(io->fd, SIOCOUTQ, &unacked) || unacked > 0) return;
    set_unacked(link, false);
}

size_t net_link_queued(const struct net_link *link)
{
    return link->io->queued;
}

bool net_link_idle(const struct net_link *link)
{
    return !link->io->first;
}

void net_link_drain(struct net_link *link)
{
    struct net_link_io *io = link->io;

    if (link->state != NET_LINK_OPEN) return;
    enter(link);
    link->state = NET_LINK_DRAINING;
    set_timer(link, DRAIN_US);
    event_del(io->in); /* until finish(): nobody reads meanwhile */
    flush(link);
    leave(link);
}

void net_link_reset(struct net_link *link)
{
    if (link->state != NET_LINK_OPEN) return;
    set_reset(link->io);
    net_link_close(link, 0, "closed");
}
