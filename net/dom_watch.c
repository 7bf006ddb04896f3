/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection on which xenodomd says what has ended. */
#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "net/dom_in.h"
#include "wire/frame.h"

#define FIRST_MS 100
#define LAST_MS 5000
#define ANSWER_MS 30000

static void set_timer(struct net_dom *dom, unsigned ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    event_add(dom->watch_timer, &tv);
}

static void raise_news(struct net_dom *dom, const char *kind, const char *name,
                       const Xn__DomTell *tell)
{
    Xn__News news = XN__NEWS__INIT;
    uint8_t *packed = NULL;
    size_t len = 0;

    if (tell && xn_pack(tell, &packed, &len)) {
        net_loop_stop(dom->loop, XN_ENOMEM);
        return;
    }
    news.kind = (char *)(uintptr_t)kind;
    news.name = (char *)(uintptr_t)name;
    news.detail.data = packed;
    news.detail.len = len;
    net_loop_tell(dom->loop, XN_EV_NEWS, 0, XN_PEER_NONE, XN__KIND__NEWS,
                  &news);
    free(packed);
}

/* Each time later than the last, up to a bound. */
static void lose(struct net_dom *dom, const char *because)
{
    if (dom->watch_state == WATCH_THERE) {
        raise_news(dom, "domains-gone", "", NULL);
    }
    if (!dom->told_away) {
        xn_log(XN_LOG_WARN, "xenodomd at %s: %s", dom->path, because);
    }
    dom->told_away = true;
    dom->watch_state = WATCH_AWAY;
    net_unix_close(&dom->watch);
    set_timer(dom, dom->watch_ms);
    dom->watch_ms = dom->watch_ms * 2 < LAST_MS ? dom->watch_ms * 2 : LAST_MS;
}

/* The first answer. */
static int begin(struct net_dom *dom, const Xn__DomTell *tell)
{
    if (tell->rc) return XN_EPROTO;
    xn_log(XN_LOG_DEBUG, "xenodomd is there");
    event_del(dom->watch_timer);
    dom->watch_state = WATCH_THERE;
    dom->watch_ms = FIRST_MS;
    dom->told_away = false;
    raise_news(dom, "domains", "", tell);
    return 0;
}

static int take(struct net_dom *dom, const Xn__DomTell *tell)
{
    if (dom->watch_state == WATCH_ASKED) return begin(dom, tell);
    if (tell->n_tasks == 0) return XN_EPROTO;
    raise_news(dom, "domain", tell->tasks[0]->name, tell);
    return 0;
}

static void on_watch(void *arg)
{
    struct net_dom *dom = arg;
    ProtobufCMessage *body;
    int rc;

    for (;;) {
        rc = net_unix_next(&dom->watch, &body);
        if (rc) break;
        rc = take(dom, (Xn__DomTell *)body);
        protobuf_c_message_free_unpacked(body, NULL);
        if (rc) break;
    }
    if (rc != XN_ENOENT) lose(dom, xn_strerror(rc));
}

static void connect_watch(struct net_dom *dom)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    int rc;

    net_unix_init(&dom->watch, &xn__dom_tell__descriptor, FRAME_TELL_MAX,
                  on_watch, dom);
    ask.op = XN__DOM_OP__DOM_WATCH;
    rc = net_unix_open(&dom->watch, net_loop_base(dom->loop), dom->path);
    if (!rc) rc = net_unix_send(&dom->watch, &ask);
    if (rc) {
        lose(dom, xn_strerror(rc));
        return;
    }
    dom->watch_state = WATCH_ASKED;
    set_timer(dom, ANSWER_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct net_dom *dom = arg;

    if (dom->watch_state == WATCH_AWAY)
        connect_watch(dom);
    else
        lose(dom, xn_strerror(XN_ETIMEOUT));
}

void dom_watch_now(struct net_dom *dom)
{
    if (dom->watch_state == WATCH_AWAY) set_timer(dom, 0);
}

int dom_watch_new(struct net_dom *dom)
{
    dom->watch_ms = FIRST_MS;
    dom->watch_timer = evtimer_new(net_loop_base(dom->loop), on_timer, dom);
    if (!dom->watch_timer) return XN_ENOMEM;
    set_timer(dom, 0);
    return 0;
}

void dom_watch_free(struct net_dom *dom)
{
    net_unix_close(&dom->watch);
    if (dom->watch_timer) event_free(dom->watch_timer);
}
