/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/streams.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <utlist.h>

#include "lib/err.h"
#include "net/relay.h"
#include "wire/stream.h"

enum { IDLE_S = 3600 };

struct stream {
    struct net_streams *streams;
    uint64_t ticket;
    struct evhttp_connection *evcon;
    struct net_relay *relay;
    struct stream *prev, *next;
};

struct net_streams {
    struct net_loop *loop;
    struct net_http *http;
    struct stream *all;
    size_t n;
};

static void drop(struct stream *s)
{
    DL_DELETE(s->streams->all, s);
    s->streams->n--;
    net_relay_free(s->relay);
    evhttp_connection_free(s->evcon);
    free(s);
}

static void on_over(void *arg, int rc, const char *because)
{
    struct stream *s = arg;

    net_loop_done(s->streams->loop, s->ticket, 0, NULL);
    drop(s);
}

static int join(struct stream *s, struct bufferevent *bev, int fd, bool whole)
{
    const struct net_relay_config config = {
        .base = net_loop_base(s->streams->loop),
        .far = bev,
        .serves = true,
        .whole = whole,
        .near = fd,
        .idle_s = whole ? 0 : IDLE_S,
        .over = on_over,
        .arg = s,
    };

    net_relay_watch(bufferevent_getfd(bev));
    return net_relay_new(&config, &s->relay);
}

int net_streams_begin(struct net_streams *streams, uint64_t ticket,
                      uint64_t ask, int fd, bool whole)
{
    struct stream *s = NULL;
    struct net_http_taken taken;
    int rc = XN_EBUSY;

    if (streams->n < NET_STREAMS_MAX) {
        s = calloc(1, sizeof *s);
        rc = s ? net_http_take(streams->http, ask, STREAM_PROTOCOL, &taken)
               : XN_ENOMEM;
    }
    if (rc) {
        close(fd);
        free(s);
        return rc;
    }
    s->streams = streams;
    s->ticket = ticket;
    s->evcon = taken.evcon;
    DL_APPEND(streams->all, s);
    streams->n++;
    rc = join(s, taken.bev, fd, whole);
    if (rc) drop(s);
    return rc;
}

bool net_streams_abort(struct net_streams *streams, uint64_t ticket)
{
    struct stream *s;

    DL_FOREACH(streams->all, s)
    {
        if (s->ticket != ticket) continue;
        net_relay_end(s->relay, XN_ECONFLICT, "the server has ended it");
        return true;
    }
    return false;
}

int net_streams_new(struct net_loop *loop, struct net_http *http,
                    struct net_streams **streams_out)
{
    struct net_streams *streams = calloc(1, sizeof *streams);

    if (!streams) return XN_ENOMEM;
    streams->loop = loop;
    streams->http = http;
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
