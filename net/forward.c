/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/forward.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <utlist.h>

#include "lib/err.h"
#include "net/liveness.h"
#include "net/relay.h"
#include "net/upgrade.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

enum { SIGNALS = 3 };

struct carried { /* a connection that was accepted */
    struct net_forward *forward;
    uint16_t to;
    int near;                    /* until `relay` has it; -1 */
    struct net_upgrade *upgrade; /* until `far` is there */
    struct bufferevent *far;
    struct net_relay *relay;
    struct carried *prev, *next;
};

struct listener {
    struct net_forward *forward;
    uint16_t to;
    struct evconnlistener *socket;
};

struct net_forward {
    struct net_forward_config config;
    struct event_base *base;
    struct event *signals[SIGNALS], *clock;
    struct listener listeners[NET_FORWARD_PORTS_MAX];
    size_t n_listeners, n_carried;
    struct carried *all;
    bool over;
};

static void set_listeners(struct net_forward *f, bool on)
{
    for (size_t i = 0; i < f->n_listeners; i++) {
        if (on)
            evconnlistener_enable(f->listeners[i].socket);
        else
            evconnlistener_disable(f->listeners[i].socket);
    }
}

/* Whoever opened it sees that it led nowhere. */
static void reset(int fd)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

static void drop(struct carried *c)
{
    struct net_forward *f = c->forward;

    DL_DELETE(f->all, c);
    net_relay_free(c->relay);
    net_upgrade_free(c->upgrade);
    if (c->far) bufferevent_free(c->far);
    if (c->near >= 0) reset(c->near);
    free(c);
    if (f->n_carried-- == NET_FORWARD_CONNECTIONS_MAX) set_listeners(f, true);
}

static void look(struct net_forward *f)
{
    if (f->over || f->config.look(f->config.arg)) return;
    f->over = true;
    event_base_loopbreak(f->base);
}

static void on_over(void *arg, int rc, const char *because)
{
    struct carried *c = arg;
    struct net_forward *f = c->forward;

    /* its own program's doing, here, needs no word */
    if (rc && rc != XN_ECANCELLED)
        f->config.refused(f->config.arg, c->to, rc, because, NULL);
    drop(c);
    if (rc && rc != XN_ECANCELLED) look(f);
}

static void on_upgraded(void *arg, int rc, const char *because, const char *try)
{
    struct carried *c = arg;
    struct net_forward *f = c->forward;
    struct net_relay_config config = {
        .base = f->base,
        .over = on_over,
        .arg = c,
    };

    if (rc) {
        f->config.refused(f->config.arg, c->to, rc, because, try);
        drop(c);
        look(f);
        return;
    }
    config.far = c->far = net_upgrade_take(c->upgrade);
    net_upgrade_free(c->upgrade);
    c->upgrade = NULL;
    config.near = net_relay_socket(f->base, c->near);
    c->near = -1;
    net_liveness_watch(bufferevent_getfd(c->far));
    if (net_relay_new(&config, &c->relay)) drop(c);
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd,
                      struct sockaddr *from, int len, void *arg)
{
    struct listener *l = arg;
    struct net_forward *f = l->forward;
    Xn__ForwardTask body = XN__FORWARD_TASK__INIT;
    struct carried *c = calloc(1, sizeof *c);
    struct net_upgrade_order order = {
        .base = f->base,
        .identity = f->config.identity,
        .url = f->config.url,
        .path = "/v1/tasks/forward",
        .peer = f->config.server,
        .body = &body,
        .timeout_ms = f->config.timeout_ms,
        .ended = on_upgraded,
        .arg = c,
    };

    if (!c) {
        reset(fd);
        return;
    }
    c->forward = f;
    c->to = l->to;
    c->near = fd;
    DL_APPEND(f->all, c);
    if (++f->n_carried == NET_FORWARD_CONNECTIONS_MAX) set_listeners(f, false);
    body.session = xn_id_bytes(f->config.session);
    body.task = f->config.task;
    body.port = l->to;
    if (net_upgrade_new(&order, &c->upgrade)) drop(c);
}

/* ---- begin and end ------------------------------------------------------- */

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    event_base_loopbreak(arg);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    look(arg);
}

static int open_events(struct net_forward *f)
{
    static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    const struct timeval every = {f->config.look_ms / 1000,
                                  f->config.look_ms % 1000 * 1000};

    f->base = event_base_new();
    if (!f->base) return XN_ENOMEM;
    for (size_t i = 0; i < SIGNALS; i++) {
        f->signals[i] = evsignal_new(f->base, signals[i], on_signal, f->base);
        if (!f->signals[i] || event_add(f->signals[i], NULL)) return XN_ENOMEM;
    }
    f->clock = event_new(f->base, -1, EV_PERSIST, on_clock, f);
    return f->clock && !event_add(f->clock, &every) ? 0 : XN_ENOMEM;
}

int net_forward_new(const struct net_forward_config *config,
                    struct net_forward **forward_out)
{
    struct net_forward *f = calloc(1, sizeof *f);

    if (!f) return XN_ENOMEM;
    f->config = *config;
    if (open_events(f)) {
        net_forward_free(f);
        return XN_ENOMEM;
    }
    *forward_out = f;
    return 0;
}

int net_forward_add(struct net_forward *f, struct net_forward_port *port)
{
    struct listener *l = &f->listeners[f->n_listeners];
    int fd = -1, rc;

    if (f->n_listeners == NET_FORWARD_PORTS_MAX) return XN_ENOMEM;
    rc = net_listen(port->address, &fd, port->address);
    if (rc) return rc;
    l->forward = f;
    l->to = port->to;
    l->socket = evconnlistener_new(
        f->base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
        fd);
    if (!l->socket) {
        close(fd);
        return XN_ENOMEM;
    }
    f->n_listeners++;
    return 0;
}

int net_forward_run(struct net_forward *f)
{
    if (event_base_dispatch(f->base) < 0) return XN_EIO;
    return f->over ? XN_ENOENT : 0;
}

void net_forward_free(struct net_forward *f)
{
    struct carried *c, *next;

    if (!f) return;
    DL_FOREACH_SAFE(f->all, c, next)
    {
        drop(c);
    }
    for (size_t i = 0; i < f->n_listeners; i++)
        evconnlistener_free(f->listeners[i].socket);
    for (size_t i = 0; i < SIGNALS; i++) {
        if (f->signals[i]) event_free(f->signals[i]);
    }
    if (f->clock) event_free(f->clock);
    if (f->base) net_relay_base_free(f->base);
    free(f);
}
