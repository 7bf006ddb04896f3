/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/streams.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <utlist.h>

#include "lib/err.h"
#include "net/liveness.h"
#include "net/relay.h"
#include "net/upgrade.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum { IDLE_S = 3600, FAR_MS = 12000 /* more than a keeper is waited for */ };

struct stream {
    struct net_streams *streams;
    uint64_t ticket, ask;
    bool whole, silent;          /* as of a command */
    struct net_upgrade *upgrade; /* until the other machine has answered */
    struct xn_msg *far;          /* what that is asked */
    xn_id peer;
    struct evhttp_connection *evcon; /* since it has begun */
    struct net_relay *relay;
    struct stream *prev, *next;
};

struct net_streams {
    struct net_loop *loop;
    struct net_http *http;
    const struct net_identity *identity;
    struct stream *all;
    size_t n;
};

static void drop(struct stream *s)
{
    DL_DELETE(s->streams->all, s);
    s->streams->n--;
    net_relay_free(s->relay);
    net_upgrade_free(s->upgrade);
    if (s->evcon) evhttp_connection_free(s->evcon);
    xn_msg_free(s->far);
    free(s);
}

static void done(struct stream *s, int rc)
{
    net_loop_done(s->streams->loop, s->ticket, rc, NULL);
    drop(s);
}

static void describe(const struct stream *s, Xn__Carried *out)
{
    xn__carried__init(out);
    out->ticket = s->ticket;
    net_relay_carried(s->relay, &out->sent, &out->got);
}

static void on_over(void *arg, int rc, const char *because)
{
    struct stream *s = arg;
    Xn__Carried body;

    describe(s, &body);
    net_loop_done_body(s->streams->loop, s->ticket, XN__KIND__CARRIED, &body);
    drop(s);
}

/* Takes near, in any case. */
static int join(struct stream *s, struct bufferevent *near, const char *lost)
{
    struct net_relay_config config = {
        .base = net_loop_base(s->streams->loop),
        .serves = true,
        .whole = s->whole,
        .near = near,
        .lost = lost,
        .idle_s = s->silent ? 0 : IDLE_S,
        .over = on_over,
        .arg = s,
    };
    struct net_http_taken taken;
    int rc = net_http_take(s->streams->http, s->ask, STREAM_PROTOCOL, &taken);

    if (rc) {
        if (near) bufferevent_free(near);
        return rc;
    }
    s->evcon = taken.evcon;
    config.far = taken.bev;
    net_liveness_watch(bufferevent_getfd(taken.bev));
    return net_relay_new(&config, &s->relay);
}

/* NULL: there are too many, or no memory. */
static struct stream *add(struct net_streams *streams, uint64_t ticket,
                          uint64_t ask)
{
    struct stream *s =
        streams->n < NET_STREAMS_MAX ? calloc(1, sizeof *s) : NULL;

    if (!s) return NULL;
    s->streams = streams;
    s->ticket = ticket;
    s->ask = ask;
    DL_APPEND(streams->all, s);
    streams->n++;
    return s;
}

int net_streams_begin(struct net_streams *streams, uint64_t ticket,
                      uint64_t ask, int fd, bool whole)
{
    struct stream *s = add(streams, ticket, ask);
    int rc;

    if (!s) {
        close(fd);
        return XN_EBUSY;
    }
    s->whole = s->silent = whole;
    rc = join(s, net_relay_socket(net_loop_base(streams->loop), fd),
              "what runs it is gone");
    if (rc) drop(s);
    return rc;
}

/* ---- of another machine -------------------------------------------------- */

static void on_upgraded(void *arg, int rc, const char *because, const char *try)
{
    struct stream *s = arg;
    struct bufferevent *near;
    Xn__DomTell tell = XN__DOM_TELL__INIT;

    if (rc && net_upgrade_refused(s->upgrade)) {
        tell.rc = rc;
        tell.because = (char *)(uintptr_t)because;
        tell.advice = (char *)(uintptr_t)try;
        net_loop_done_body(s->streams->loop, s->ticket, XN__KIND__DOM_TELL,
                           &tell);
        drop(s);
        return;
    }
    if (!rc) {
        near = net_upgrade_take(s->upgrade);
        net_liveness_watch(bufferevent_getfd(near));
        rc = join(s, near, "the machine that it runs on is gone");
    }
    if (rc) {
        done(s, rc);
        return;
    }
    net_upgrade_free(s->upgrade);
    s->upgrade = NULL;
}

static int ask_far(struct stream *s)
{
    const Xn__AskStream *ask = XN_BODY(s->far, Xn__AskStream);
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    const char *path = strstr(ask->url, "//");
    const struct net_upgrade_order order = {
        .base = net_loop_base(s->streams->loop),
        .identity = s->streams->identity,
        .url = ask->url,
        .path = path ? strchr(path + 2, '/') : NULL,
        .peer = &s->peer,
        .body = &body,
        .timeout_ms = FAR_MS,
        .shares = true,
        .ended = on_upgraded,
        .arg = s,
    };

    if (!order.path || xn_id_from_bytes(&ask->peer_id, &s->peer))
        return XN_EINVAL;
    body.name = ask->name;
    body.port = ask->port;
    body.argv = ask->argv;
    body.n_argv = ask->n_argv;
    body.terminal = ask->terminal;
    return net_upgrade_new(&order, &s->upgrade);
}

void net_streams_far(struct net_streams *streams, uint64_t ticket,
                     struct xn_msg *msg)
{
    const Xn__AskStream *ask = XN_BODY(msg, Xn__AskStream);
    struct stream *s = add(streams, ticket, ask->ask);
    int rc;

    if (!s) {
        net_loop_done(streams->loop, ticket, XN_EBUSY, NULL);
        return;
    }
    s->far = xn_msg_ref(msg);
    s->whole = true;
    s->silent = ask->n_argv > 0;
    rc = ask_far(s);
    if (rc) done(s, rc);
}

/* ---- what they have carried ---------------------------------------------- */

void net_streams_tell(struct net_streams *streams, uint64_t ticket)
{
    Xn__Carried rows[NET_STREAMS_MAX], *list[NET_STREAMS_MAX];
    Xn__AllCarried body = XN__ALL_CARRIED__INIT;
    const struct stream *s;

    DL_FOREACH(streams->all, s)
    {
        if (!s->relay) continue; /* it has not begun */
        describe(s, &rows[body.n_streams]);
        list[body.n_streams] = &rows[body.n_streams];
        body.n_streams++;
    }
    body.streams = list;
    net_loop_done_body(streams->loop, ticket, XN__KIND__ALL_CARRIED, &body);
}

/* ---- begin and end ------------------------------------------------------- */

bool net_streams_abort(struct net_streams *streams, uint64_t ticket,
                       const Xn__Reason *why)
{
    struct stream *s;

    DL_FOREACH(streams->all, s)
    {
        if (s->ticket != ticket) continue;
        if (s->relay)
            net_relay_end(s->relay, why ? why->rc : XN_ECONFLICT,
                          why ? why->text : "the server has ended it");
        else
            done(s, XN_ECANCELLED);
        return true;
    }
    return false;
}

int net_streams_new(struct net_loop *loop, struct net_http *http,
                    const struct net_identity *identity,
                    struct net_streams **streams_out)
{
    struct net_streams *streams = calloc(1, sizeof *streams);

    if (!streams) return XN_ENOMEM;
    streams->loop = loop;
    streams->http = http;
    streams->identity = identity;
    *streams_out = streams;
    return 0;
}

void net_streams_free(struct net_streams *streams)
{
    struct stream *s, *next;

    if (!streams) return;
    DL_FOREACH_SAFE(streams->all, s, next)
    {
        drop(s);
    }
    free(streams);
}
