/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/loop.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "net/clock.h"

enum { ROUNDS_MAX = 4 };

struct queued {
    struct xn_event ev;
    struct queued *next;
};

struct net_loop {
    struct net_loop_user user;
    struct event_base *base;
    struct event *drain, *wake;
    struct xn_core *core;
    struct queued *first, **last;
    size_t n;
    uint64_t wake_us;
    bool draining;
    int rc;
};

struct event_base *net_loop_base(const struct net_loop *loop)
{
    return loop->base;
}

bool net_loop_quiet(const struct net_loop *loop)
{
    return loop->n == 0;
}

void net_loop_stop(struct net_loop *loop, int rc)
{
    if (!loop->rc) loop->rc = rc;
    event_base_loopbreak(loop->base);
}

void net_loop_raise(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                    int rc, xn_peer peer, struct xn_msg *msg)
{
    struct queued *q = calloc(1, sizeof *q);

    if (!q) {
        /* A lost GONE or DONE would leave the core in a false world. */
        xn_msg_free(msg);
        net_loop_stop(loop, XN_ENOMEM);
        return;
    }
    q->ev = (struct xn_event){kind, ticket, rc, peer, msg};
    *loop->last = q;
    loop->last = &q->next;
    loop->n++;
    if (!loop->draining) event_active(loop->drain, EV_TIMEOUT, 0);
}

void net_loop_tell(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                   xn_peer peer, unsigned msg_kind, const void *body)
{
    struct xn_msg *msg = NULL;

    if (xn_msg_new(msg_kind, body, &msg)) {
        net_loop_stop(loop, XN_ENOMEM);
        return;
    }
    net_loop_raise(loop, kind, ticket, 0, peer, msg);
}

void net_loop_done(struct net_loop *loop, uint64_t ticket, int rc,
                   struct xn_msg *msg)
{
    if (ticket == 0) {
        xn_msg_free(msg);
        return;
    }
    net_loop_raise(loop, XN_EV_DONE, ticket, rc, XN_PEER_NONE, msg);
}

void net_loop_done_body(struct net_loop *loop, uint64_t ticket,
                        unsigned msg_kind, const void *body)
{
    struct xn_msg *msg = NULL;
    int rc = ticket ? xn_msg_new(msg_kind, body, &msg) : 0;

    net_loop_done(loop, ticket, rc, msg);
}

static void step(struct net_loop *loop, const struct xn_now *now,
                 const struct xn_event *ev)
{
    struct xn_outbox box = {NULL, 0, UINT64_MAX};
    int rc = xn_core_step(loop->core, now, ev, &box);
    size_t i;

    if (rc) {
        xn_log(XN_LOG_ERROR, "core cannot go on at %s: %s",
               xn_ev_name(ev->kind), xn_strerror(rc));
        net_loop_stop(loop, rc);
        return;
    }
    loop->wake_us = box.wake_us;
    loop->user.stepped(loop->user.user, now, ev, &box);
    for (i = 0; i < box.n; i++)
        loop->user.act(loop->user.user, &box.act[i]);
    if (ev->kind == XN_EV_GONE) loop->user.gone(loop->user.user, ev->peer);
}

static struct queued *take(struct net_loop *loop)
{
    struct queued *q = loop->first;

    loop->first = q->next;
    if (!loop->first) loop->last = &loop->first;
    loop->n--;
    return q;
}

static void set_wake(struct net_loop *loop, uint64_t now_us)
{
    uint64_t in_us;
    struct timeval tv;

    if (loop->wake_us == UINT64_MAX) {
        event_del(loop->wake);
        return;
    }
    in_us = loop->wake_us > now_us ? loop->wake_us - now_us : 0;
    tv.tv_sec = (time_t)(in_us / 1000000);
    tv.tv_usec = (suseconds_t)(in_us % 1000000);
    event_add(loop->wake, &tv);
}

static void drain(struct net_loop *loop, const struct xn_now *now)
{
    size_t left = loop->n;

    while (left-- > 0 && !loop->rc) {
        struct queued *q = take(loop);

        step(loop, now, &q->ev);
        xn_msg_free(q->ev.msg);
        free(q);
    }
}

/* What is raised meanwhile has its turn too, but not for ever: a core that
 * answers itself cannot keep the loop from its sockets. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval at_once = {0, 0};
    struct net_loop *loop = arg;
    struct xn_now now = {0, 0};
    int round;

    loop->draining = true;
    for (round = 0; round < ROUNDS_MAX && loop->n > 0 && !loop->rc; round++) {
        now = (struct xn_now){net_mono_us(), net_wall_us()};
        drain(loop, &now);
    }
    loop->draining = false;
    loop->user.turned(loop->user.user);
    set_wake(loop, now.mono_us);
    if (loop->n > 0) event_add(loop->drain, &at_once);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    net_loop_raise(arg, XN_EV_WAKE, 0, 0, XN_PEER_NONE, NULL);
}

static void on_libevent(int severity, const char *text)
{
    static const enum xn_log_level levels[] = {XN_LOG_DEBUG, XN_LOG_INFO,
                                               XN_LOG_WARN, XN_LOG_ERROR};

    xn_log(levels[severity & 3], "libevent: %s", text);
}

int net_loop_new(const struct net_loop_user *user, struct net_loop **loop_out)
{
    struct net_loop *loop = calloc(1, sizeof *loop);
    struct event_config *config = event_config_new();
    int rc = XN_ENOMEM;

    event_set_log_callback(on_libevent);
    if (!loop || !config) goto out;
    loop->user = *user;
    loop->last = &loop->first;
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    loop->base = event_base_new_with_config(config);
    if (!loop->base) goto out;
    loop->drain = evtimer_new(loop->base, on_drain, loop);
    loop->wake = evtimer_new(loop->base, on_wake, loop);
    if (!loop->drain || !loop->wake) goto out;
    *loop_out = loop;
    loop = NULL;
    rc = 0;
out:
    if (config) event_config_free(config);
    net_loop_free(loop);
    return rc;
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop) return;
    while (loop->first) {
        struct queued *q = take(loop);

        xn_msg_free(q->ev.msg);
        free(q);
    }
    if (loop->drain) event_free(loop->drain);
    if (loop->wake) event_free(loop->wake);
    if (loop->base) event_base_free(loop->base);
    free(loop);
}

int net_loop_run(struct net_loop *loop, struct xn_core *core)
{
    loop->core = core;
    net_loop_raise(loop, XN_EV_WAKE, 0, 0, XN_PEER_NONE, NULL);
    if (event_base_dispatch(loop->base) < 0 && !loop->rc) loop->rc = XN_EIO;
    return loop->rc;
}
