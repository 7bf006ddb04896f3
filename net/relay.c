/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "lib/err.h"
#include "net/clock.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum {
    PART = 16 << 10,      /* of what is near, in a frame */
    OUT_HIGH = 128 << 10, /* bytes for the far end: then nothing is read */
    OUT_LOW = 32 << 10,   /* then it is again */
    IN_HIGH = 128 << 10,  /* bytes from there: the same */
    IN_LOW = 32 << 10,
    LAST_S = 5, /* for the last of it to be taken */
    BECAUSE_MAX = 256,
};

struct net_relay {
    struct net_relay_config config;
    int near;
    struct event *reads, *writes, *clock;
    size_t left;     /* bytes of the frame under way, for `near` */
    bool far_ended;  /* it has no more for us, and `near` has all of it */
    bool far_gone;   /* nobody takes what we have any more */
    bool near_ended; /* it has no more, and the far end was told */
    bool stuffed;    /* too much waits for the far end */
    bool deaf;       /* too much waits for `near` */
    bool mute;       /* `near` takes nothing any more */
    bool ending, told;
    bool lingers;      /* until the other end, which is told why, has closed */
    uint64_t moved_us; /* mono: when a byte was carried last */
    int rc;
    char because[BECAUSE_MAX];
};

static void set_clock(struct net_relay *r, uint64_t us)
{
    struct timeval tv = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    event_add(r->clock, &tv);
}

static struct evbuffer *in_of(const struct net_relay *r)
{
    return bufferevent_get_input(r->config.far);
}

static size_t waiting(const struct net_relay *r)
{
    return evbuffer_get_length(bufferevent_get_output(r->config.far));
}

static void put(struct net_relay *r, enum stream_kind kind, const void *data,
                size_t len)
{
    uint8_t head[STREAM_HEAD];

    stream_head_put(kind, len, head);
    bufferevent_write(r->config.far, head, sizeof head);
    if (len) bufferevent_write(r->config.far, data, len);
}

/* ---- the end ------------------------------------------------------------- */

static void put_over(struct net_relay *r)
{
    Xn__StreamOver body = XN__STREAM_OVER__INIT;
    uint8_t *bytes = NULL;
    size_t len = 0;

    body.rc = r->rc;
    body.because = r->because;
    if (xn_pack(&body, &bytes, &len) == 0 && len > 0)
        put(r, STREAM_OVER, bytes, len);
    free(bytes);
}

/* Whoever is near sees that it was cut, where it was. */
static void close_near(struct net_relay *r)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (r->near < 0) return;
    event_del(r->reads);
    event_del(r->writes);
    if (r->rc) setsockopt(r->near, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(r->near);
    r->near = -1;
}

/* A connection that is closed before all that came was read is reset, and what
 * was said last is lost at the other end: so that goes on to be read. */
void net_relay_end(struct net_relay *r, int rc, const char *because)
{
    bool ending = r->ending;

    if (ending && (r->rc || !rc || r->far_gone)) return;
    r->ending = true;
    r->rc = rc;
    snprintf(r->because, sizeof r->because, "%s", because);
    if (ending) { /* what was still to be taken is given up */
        set_clock(r, LAST_S * 1000000ULL);
        return;
    }
    close_near(r);
    if (r->config.serves && !r->config.whole && rc && !r->far_gone) put_over(r);
    r->lingers = r->config.serves && (r->config.whole || rc) && !r->far_gone;
    if (r->lingers) bufferevent_enable(r->config.far, EV_READ);
    set_clock(r, (waiting(r) || r->lingers) && !r->far_gone
                     ? LAST_S * 1000000ULL
                     : 0);
}

static void end_if_done(struct net_relay *r)
{
    if (r->far_ended && r->near_ended) net_relay_end(r, 0, "");
}

static void near_failed(struct net_relay *r, int error)
{
    char because[BECAUSE_MAX];

    if (r->config.whole) { /* what it said before that counts */
        r->mute = true;
        return;
    }
    snprintf(because, sizeof because, "its program has closed it: %s",
             strerror(error));
    net_relay_end(r, XN_ECANCELLED, because);
}

/* Both sides have said all, and the last of it waits for who reads slowly. */
static bool is_taken_yet(const struct net_relay *r)
{
    return !r->rc && !r->far_gone && waiting(r) > 0;
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct net_relay *r = arg;
    uint64_t idle_us = r->config.idle_s * 1000000ULL;
    uint64_t quiet_us = net_mono_us() - r->moved_us;

    if (r->ending && is_taken_yet(r) && (!idle_us || quiet_us < idle_us)) {
        set_clock(r, LAST_S * 1000000ULL);
    } else if (r->ending && !r->told) {
        r->told = true;
        bufferevent_setcb(r->config.far, NULL, NULL, NULL, NULL);
        r->config.over(r->config.arg, r->rc, r->because);
    } else if (!r->ending && quiet_us >= idle_us) {
        net_relay_end(r, XN_ETIMEOUT, "nothing was said for too long");
    } else if (!r->ending) {
        set_clock(r, idle_us - quiet_us);
    }
}

/* ---- to what is near ----------------------------------------------------- */

/* Each of these: true: more can be done at once. */
static bool write_some(struct net_relay *r)
{
    struct evbuffer *in = in_of(r);
    int n;

    if (r->mute) evbuffer_drain(in, evbuffer_get_length(in));
    if (evbuffer_get_length(in) == 0) return false;
    n = evbuffer_write_atmost(in, r->near, (ev_ssize_t)r->left);
    if (n > 0) {
        r->left -= (size_t)n;
        r->moved_us = net_mono_us();
        return true;
    }
    if (n < 0 && errno == EINTR) return true;
    if (n < 0 && errno != EAGAIN)
        near_failed(r, errno);
    else
        event_add(r->writes, NULL);
    return false;
}

static bool take_over(struct net_relay *r, size_t len)
{
    struct evbuffer *in = in_of(r);
    Xn__StreamOver *body;

    if (evbuffer_get_length(in) < STREAM_HEAD + len) return false;
    evbuffer_drain(in, STREAM_HEAD);
    body = xn_unpack(&xn__stream_over__descriptor,
                     evbuffer_pullup(in, (ev_ssize_t)len), len);
    if (!body || body->rc >= 0)
        net_relay_end(r, XN_EPROTO, "it is not understood why it ends");
    else
        net_relay_end(r, body->rc, body->because);
    if (body) xn__stream_over__free_unpacked(body, NULL);
    return false;
}

static bool take_frame(struct net_relay *r)
{
    struct evbuffer *in = in_of(r);
    uint8_t data[STREAM_HEAD];
    struct stream_head head;
    int rc;

    if (evbuffer_copyout(in, data, sizeof data) != sizeof data) return false;
    rc = stream_head_parse(data, &head);
    if (!rc && head.kind == STREAM_OVER && !r->config.serves)
        return take_over(r, head.len);
    if (rc || r->far_ended ||
        (head.kind != STREAM_DATA && head.kind != STREAM_END)) {
        net_relay_end(r, XN_EPROTO, "the other end does not keep to the form");
        return false;
    }
    evbuffer_drain(in, sizeof data);
    r->left = head.len;
    if (head.kind == STREAM_DATA) return true;
    r->far_ended = true;
    shutdown(r->near, SHUT_WR);
    end_if_done(r);
    return true;
}

/* A high watermark would do as much, but libevent calls us back at once as long
 * as it is reached. */
static void heed_room(struct net_relay *r)
{
    size_t n = evbuffer_get_length(in_of(r));

    if (r->deaf && n <= IN_LOW) {
        r->deaf = false;
        bufferevent_enable(r->config.far, EV_READ); /* may call us */
    } else if (!r->deaf && n >= IN_HIGH) {
        r->deaf = true;
        bufferevent_disable(r->config.far, EV_READ);
    }
}

static void pump(struct net_relay *r)
{
    bool more = true;

    if (r->ending) evbuffer_drain(in_of(r), evbuffer_get_length(in_of(r)));
    if (r->config.whole) r->left = evbuffer_get_length(in_of(r));
    while (more && !r->ending)
        more = r->left           ? write_some(r)
               : r->config.whole ? false
                                 : take_frame(r);
    if (!r->ending) heed_room(r);
    if (r->far_gone && !r->ending && !event_pending(r->writes, EV_WRITE, NULL))
        net_relay_end(r, XN_EUNREACH, "the connection was cut");
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    pump(arg);
}

static void on_far_read(struct bufferevent *far, void *arg)
{
    pump(arg);
}

/* Who has closed, and was told all before that, may have left bytes behind. */
static void on_far_event(struct bufferevent *far, short what, void *arg)
{
    struct net_relay *r = arg;

    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    r->far_gone = true;
    if (r->ending)
        set_clock(r, 0);
    else if (!r->near_ended)
        net_relay_end(r, XN_EUNREACH, "the connection was cut");
    else
        pump(r);
}

/* ---- from what is near --------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct net_relay *r = arg;
    uint8_t data[PART];
    ssize_t n = read(r->near, data, sizeof data);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0 && r->config.whole) n = 0;
    if (n < 0) {
        near_failed(r, errno);
        return;
    }
    r->moved_us = net_mono_us();
    if (r->config.whole)
        bufferevent_write(r->config.far, data, (size_t)n);
    else
        put(r, n ? STREAM_DATA : STREAM_END, data, (size_t)n);
    r->stuffed = n && waiting(r) >= OUT_HIGH;
    r->near_ended = n == 0;
    if (r->stuffed || r->near_ended) event_del(r->reads);
    if (r->config.whole && r->near_ended)
        net_relay_end(r, 0, ""); /* it has said why */
    else
        end_if_done(r);
}

static void on_far_written(struct bufferevent *far, void *arg)
{
    struct net_relay *r = arg;

    if (r->ending) {
        if (!waiting(r) && !r->lingers) set_clock(r, 0);
    } else if (r->stuffed) {
        r->stuffed = false;
        event_add(r->reads, NULL);
    }
}

/* ---- begin --------------------------------------------------------------- */

/* TCP_USER_TIMEOUT would take who does not read for one who is gone. */
void net_relay_watch(int fd)
{
    const int on = 1, idle_s = 60, step_s = 15, steps = 4;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step_s, sizeof step_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &steps, sizeof steps);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int open_events(struct net_relay *r)
{
    struct event_base *base = r->config.base;

    r->reads = event_new(base, r->near, EV_READ | EV_PERSIST, on_readable, r);
    r->writes = event_new(base, r->near, EV_WRITE, on_writable, r);
    r->clock = evtimer_new(base, on_clock, r);
    if (!r->reads || !r->writes || !r->clock || event_add(r->reads, NULL))
        return XN_ENOMEM;
    if (r->config.idle_s) set_clock(r, r->config.idle_s * 1000000ULL);
    return 0;
}

int net_relay_new(const struct net_relay_config *config,
                  struct net_relay **relay_out)
{
    struct net_relay *r = calloc(1, sizeof *r);
    struct bufferevent *far = config->far;

    if (!r) {
        close(config->near);
        return XN_ENOMEM;
    }
    r->config = *config;
    r->near = config->near;
    r->moved_us = net_mono_us();
    if (open_events(r)) {
        net_relay_free(r);
        return XN_ENOMEM;
    }
    bufferevent_setcb(far, on_far_read, on_far_written, on_far_event, r);
    bufferevent_setwatermark(far, EV_WRITE, OUT_LOW, 0);
    bufferevent_enable(far, EV_READ | EV_WRITE);
    *relay_out = r;
    pump(r);
    return 0;
}

void net_relay_free(struct net_relay *r)
{
    if (!r) return;
    if (r->reads) event_free(r->reads);
    if (r->writes) event_free(r->writes);
    if (r->clock) event_free(r->clock);
    if (r->near >= 0) close(r->near);
    free(r);
}
