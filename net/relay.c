/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/relay.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/liveness.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum {
    PART = 16 << 10,  /* of what is near, in a frame */
    HIGH = 128 << 10, /* bytes for one end: then the other is not read */
    LOW = 32 << 10,   /* then it is again */
    LAST_S = 5,       /* for the last of it to be taken */
    BECAUSE_MAX = 256,
};

struct net_relay {
    struct net_relay_config config;
    struct bufferevent *far, *near; /* near: NULL once it ends */
    struct event *clock;
    struct net_liveness liveness; /* of `far` */
    size_t left;                  /* bytes of the frame under way, for `near` */
    bool far_ended;               /* it has no more for us */
    bool far_gone;                /* nobody takes what we have any more */
    bool near_ended;              /* it has no more, and the far end was told */
    bool near_gone;             /* nothing comes from there but what has come */
    bool shut;                  /* `near` was told the far end's end */
    bool mute;                  /* `near` takes nothing any more */
    bool said;                  /* the last frame has been passed on */
    bool far_still, near_still; /* they are not read: see carry */
    bool ending, told;
    bool lingers;      /* until the other end, which is told why, has closed */
    uint64_t moved_us; /* mono: when a byte was carried last */
    uint64_t from_near, to_near; /* bytes of the stream */
    int rc;
    char because[BECAUSE_MAX];
};

static void set_clock(struct net_relay *r, uint64_t us)
{
    struct timeval tv = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    event_add(r->clock, &tv);
}

static struct evbuffer *in_of(struct bufferevent *bev)
{
    return bufferevent_get_input(bev);
}

static struct evbuffer *out_of(struct bufferevent *bev)
{
    return bufferevent_get_output(bev);
}

static size_t waiting(struct bufferevent *bev)
{
    return evbuffer_get_length(out_of(bev));
}

static void put_head(struct net_relay *r, enum stream_kind kind, size_t len)
{
    uint8_t head[STREAM_HEAD];

    stream_head_put(kind, len, head);
    bufferevent_write(r->far, head, sizeof head);
}

static bool is_tls(struct bufferevent *bev)
{
    return bufferevent_openssl_get_ssl(bev) != NULL;
}

/* ---- the end ------------------------------------------------------------- */

static void put_over(struct net_relay *r)
{
    Xn__StreamOver body = XN__STREAM_OVER__INIT;
    uint8_t *bytes = NULL;
    size_t len = 0;

    body.rc = r->rc;
    body.because = r->because;
    if (xn_pack(&body, &bytes, &len) == 0 && len > 0) {
        put_head(r, STREAM_OVER, len);
        bufferevent_write(r->far, bytes, len);
    }
    free(bytes);
}

/* Whoever is near sees that it was cut, where it was. */
static void close_near(struct net_relay *r)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (!r->near) return;
    if (r->rc)
        setsockopt(bufferevent_getfd(r->near), SOL_SOCKET, SO_LINGER, &none,
                   sizeof none);
    bufferevent_free(r->near);
    r->near = NULL;
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
    if (r->config.serves && rc && !r->said && !r->far_gone) put_over(r);
    r->lingers = r->config.serves && (r->said || rc) && !r->far_gone;
    if (r->lingers) bufferevent_enable(r->far, EV_READ);
    set_clock(r, (waiting(r->far) || r->lingers) && !r->far_gone
                     ? LAST_S * 1000000ULL
                     : 0);
}

/* Both sides have said all, and the last of it waits for who reads slowly. */
static bool is_taken_yet(const struct net_relay *r)
{
    return !r->rc && !r->far_gone && waiting(r->far) > 0;
}

/* Who is not read is not seen to leave: what he sent stands before it, here or,
 * where no more fits, still at his end.  So something is said to him: an end that
 * nobody has any more resets the connection for it (RFC 1122, 4.2.2.13), which is
 * seen at the next look. */
static bool is_unseen(const struct net_relay *r)
{
    return r->config.serves && r->far_still && !r->near_ended;
}

static bool has_left(const struct net_relay *r)
{
    struct pollfd far = {bufferevent_getfd(r->far), POLLRDHUP, 0};

    return is_unseen(r) && poll(&far, 1, 0) > 0;
}

static void look_later(struct net_relay *r, uint64_t idle_us, uint64_t quiet_us)
{
    uint64_t us = NET_LIVENESS_LOOK_S * 1000000ULL;

    if (idle_us && idle_us - quiet_us < us) us = idle_us - quiet_us;
    set_clock(r, us);
}

static void pump(struct net_relay *r);

/* Who has closed, and was told all before that, may have left bytes behind. */
static void look_at_far(struct net_relay *r)
{
    if (has_left(r)) r->far_gone = true;
    if (r->far_gone && !r->near_ended)
        net_relay_end(r, XN_EUNREACH, "the connection was cut");
    else if (r->far_gone)
        pump(r);
    else if (is_unseen(r) && !waiting(r->far))
        put_head(r, STREAM_NOOP, 0);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct net_relay *r = arg;
    uint64_t idle_us = r->config.idle_s * 1000000ULL;
    uint64_t now_us = net_mono_us(), quiet_us = now_us - r->moved_us;

    if (net_liveness_lost(&r->liveness, bufferevent_getfd(r->far), now_us))
        r->far_gone = true;
    if (r->ending && is_taken_yet(r) && (!idle_us || quiet_us < idle_us)) {
        set_clock(r, LAST_S * 1000000ULL);
    } else if (r->ending && !r->told) {
        r->told = true;
        bufferevent_setcb(r->far, NULL, NULL, NULL, NULL);
        r->config.over(r->config.arg, r->rc, r->because);
    } else if (!r->ending && idle_us && quiet_us >= idle_us) {
        net_relay_end(r, XN_ETIMEOUT, "nothing was said for too long");
    } else if (!r->ending) {
        look_at_far(r);
        if (!r->ending) look_later(r, idle_us, quiet_us);
    }
}

static void is_rude(struct net_relay *r, const struct bufferevent *who)
{
    net_relay_end(r, XN_EPROTO,
                  who == r->far ? "the other end does not keep to the form"
                                : "what runs it does not keep to the form");
}

/* ---- frames as they are -------------------------------------------------- */

static bool may_say(const struct net_relay *r, const struct bufferevent *from,
                    enum stream_kind kind)
{
    if (from == r->far)
        return !r->far_ended && (kind == STREAM_DATA || kind == STREAM_END ||
                                 kind == STREAM_WINDOW);
    return !r->said && kind != STREAM_WINDOW &&
           (!r->near_ended || kind == STREAM_OVER);
}

static void heard(struct net_relay *r, const struct bufferevent *from,
                  const struct stream_head *head)
{
    r->said = head->kind == STREAM_OVER;
    if (head->kind == STREAM_DATA && from == r->far) r->to_near += head->len;
    if (head->kind == STREAM_DATA && from != r->far) r->from_near += head->len;
    if (head->kind != STREAM_END) return;
    if (from == r->far)
        r->far_ended = r->shut = true;
    else
        r->near_ended = true;
}

/* Each of these: true: more can be done at once. */
static bool pass_frame(struct net_relay *r, struct bufferevent *from,
                       struct bufferevent *to)
{
    struct evbuffer *in = in_of(from);
    uint8_t data[STREAM_HEAD];
    struct stream_head head;

    if (evbuffer_copyout(in, data, sizeof data) != sizeof data) return false;
    if (stream_head_parse(data, &head) || !may_say(r, from, head.kind)) {
        is_rude(r, from);
        return false;
    }
    if (evbuffer_get_length(in) < sizeof data + head.len) return false;
    evbuffer_remove_buffer(in, out_of(to), sizeof data + head.len);
    heard(r, from, &head);
    return true;
}

/* ---- to a socket --------------------------------------------------------- */

static bool take_over(struct net_relay *r, size_t len)
{
    struct evbuffer *in = in_of(r->far);
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
    struct evbuffer *in = in_of(r->far);
    uint8_t data[STREAM_HEAD];
    struct stream_head head;
    int rc;

    if (evbuffer_copyout(in, data, sizeof data) != sizeof data) return false;
    rc = stream_head_parse(data, &head);
    if (!rc && head.kind == STREAM_OVER && !r->config.serves)
        return take_over(r, head.len);
    if (rc || r->far_ended ||
        (head.kind != STREAM_DATA && head.kind != STREAM_END &&
         (head.kind != STREAM_NOOP || r->config.serves))) {
        is_rude(r, r->far);
        return false;
    }
    evbuffer_drain(in, sizeof data);
    r->left = head.len;
    r->far_ended = head.kind == STREAM_END;
    return true;
}

static bool write_some(struct net_relay *r)
{
    int n = evbuffer_remove_buffer(in_of(r->far), out_of(r->near), r->left);

    if (n <= 0) return false;
    r->left -= (size_t)n;
    r->to_near += (uint64_t)n;
    return true;
}

/* ---- from one ------------------------------------------------------------ */

static bool put_some(struct net_relay *r)
{
    struct evbuffer *in = in_of(r->near);
    size_t n = evbuffer_get_length(in);

    if (!n) return false;
    if (n > PART) n = PART;
    put_head(r, STREAM_DATA, n);
    evbuffer_remove_buffer(in, out_of(r->far), n);
    r->from_near += n;
    return true;
}

/* ---- both ways ----------------------------------------------------------- */

static bool to_near(struct net_relay *r)
{
    if (r->mute) {
        evbuffer_drain(in_of(r->far), evbuffer_get_length(in_of(r->far)));
        return false;
    }
    if (r->config.whole) return pass_frame(r, r->far, r->near);
    return r->left ? write_some(r) : take_frame(r);
}

static bool to_far(struct net_relay *r)
{
    return r->config.whole ? pass_frame(r, r->near, r->far) : put_some(r);
}

/* Until one has nothing, which is true, or too much waits for the other: then it
 * is not read until little does.  A high watermark would do as much, but libevent
 * calls us back at once as long as it is reached. */
static bool carry(struct net_relay *r, struct bufferevent *from,
                  struct bufferevent *to, bool *still,
                  bool (*some)(struct net_relay *r))
{
    size_t most = *still ? LOW + 1 : HIGH;
    bool more = true, was = *still;

    while (more && !r->ending && waiting(to) < most) {
        more = some(r);
        most = HIGH;
        if (more) r->moved_us = net_mono_us();
    }
    if (r->ending) return false;
    *still = waiting(to) >= most;
    if (*still && !was) bufferevent_disable(from, EV_READ);
    if (was && !*still) bufferevent_enable(from, EV_READ); /* may call us */
    return !more;
}

/* Nothing comes from there any more, and all that came is passed on. */
static void near_is_done(struct net_relay *r)
{
    if (r->near_ended && r->shut) {
        net_relay_end(r, 0, "");
    } else if (r->config.whole) {
        net_relay_end(r, XN_EUNREACH, r->config.lost);
    } else if (!r->near_ended) {
        put_head(r, STREAM_END, 0);
        r->near_ended = true;
    }
}

/* That the far end has said all is said where all before that was taken. */
static void shut_near(struct net_relay *r)
{
    if (r->shut || !r->far_ended || r->left || waiting(r->near)) return;
    r->shut = true;
    shutdown(bufferevent_getfd(r->near), SHUT_WR);
}

static bool end_if_done(struct net_relay *r)
{
    bool taken = r->mute || !waiting(r->near);

    if (r->said || (r->near_ended && r->shut && taken))
        net_relay_end(r, 0, "");
    else if (r->far_gone && taken)
        net_relay_end(r, XN_EUNREACH, "the connection was cut");
    return r->ending;
}

static void pump(struct net_relay *r)
{
    bool dry = false;

    if (r->ending)
        evbuffer_drain(in_of(r->far), evbuffer_get_length(in_of(r->far)));
    if (!r->ending) carry(r, r->far, r->near, &r->far_still, to_near);
    if (!r->ending) dry = carry(r, r->near, r->far, &r->near_still, to_far);
    if (r->ending) return;
    if (!r->config.whole) shut_near(r);
    if (!end_if_done(r) && r->near_gone && dry) near_is_done(r);
    if (!r->ending) end_if_done(r);
}

static void near_failed(struct net_relay *r, int error)
{
    char because[BECAUSE_MAX];

    snprintf(because, sizeof because, "its program has closed it: %s",
             strerror(error));
    net_relay_end(r, XN_ECANCELLED, because);
}

/* ---- what libevent tells ------------------------------------------------- */

static void on_read(struct bufferevent *bev, void *arg)
{
    pump(arg);
}

static void on_near_written(struct bufferevent *near, void *arg)
{
    pump(arg);
}

static void on_far_written(struct bufferevent *far, void *arg)
{
    struct net_relay *r = arg;

    if (!r->ending)
        pump(r);
    else if (!waiting(far) && !r->lingers)
        set_clock(r, 0);
}

/* Who takes nothing any more may have something to say yet; not so over TLS. */
static void on_near_event(struct bufferevent *near, short what, void *arg)
{
    struct net_relay *r = arg;
    bool failed = what & BEV_EVENT_ERROR;

    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) || r->ending) return;
    if (failed && !r->config.whole) {
        near_failed(r, EVUTIL_SOCKET_ERROR());
        return;
    }
    if (failed && (what & BEV_EVENT_WRITING) && !is_tls(near))
        r->mute = true;
    else
        r->near_gone = true;
    pump(r);
}

/* libevent's TLS tells this before it has stored what came with it. */
static void on_far_event(struct bufferevent *far, short what, void *arg)
{
    struct net_relay *r = arg;

    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    r->far_gone = true;
    set_clock(r, 0);
}

/* ---- begin --------------------------------------------------------------- */

void net_relay_base_free(struct event_base *base)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
}

struct bufferevent *net_relay_socket(struct event_base *base, int fd)
{
    struct bufferevent *bev =
        bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    if (!bev) close(fd);
    return bev;
}

static void listen_to(struct bufferevent *bev, bufferevent_data_cb written,
                      bufferevent_event_cb event, struct net_relay *r)
{
    bufferevent_setcb(bev, on_read, written, event, r);
    bufferevent_setwatermark(bev, EV_WRITE, LOW, 0);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int net_relay_new(const struct net_relay_config *config,
                  struct net_relay **relay_out)
{
    struct net_relay *r = calloc(1, sizeof *r);
    struct event *clock = NULL;

    if (r && config->near) clock = evtimer_new(config->base, on_clock, r);
    if (!clock) {
        if (config->near) bufferevent_free(config->near);
        free(r);
        return XN_ENOMEM;
    }
    r->config = *config;
    r->far = config->far;
    r->near = config->near;
    r->clock = clock;
    r->moved_us = net_mono_us();
    look_later(r, config->idle_s * 1000000ULL, 0);
    *relay_out = r;
    listen_to(r->far, on_far_written, on_far_event, r);
    if (!r->ending) listen_to(r->near, on_near_written, on_near_event, r);
    pump(r);
    return 0;
}

void net_relay_carried(const struct net_relay *r, uint64_t *from_near_out,
                       uint64_t *to_near_out)
{
    *from_near_out = r->from_near;
    *to_near_out = r->to_near;
}

void net_relay_free(struct net_relay *r)
{
    if (!r) return;
    event_free(r->clock);
    if (r->near) bufferevent_free(r->near);
    free(r);
}
