/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/driver.h"
#include "net/admission.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "lib/prom.h"
#include "net/call.h"
#include "net/clock.h"
#include "net/crypto.h"
#include "net/delay.h"
#include "net/dom.h"
#include "net/http.h"
#include "net/images.h"
#include "net/links.h"
#include "net/loop.h"
#include "net/metrics.h"
#include "net/pool.h"
#include "net/post.h"
#include "net/record.h"
#include "net/store.h"
#include "net/streams.h"
#include "seam/out.h"

/* After SIGTERM: how long a core may still say things. */
#define GRACE_US 1500000ULL

/* Calls at once with one host and port, by lane. */
static const unsigned of_host[] = {
    [XN__CALL_LANE__LANE_SHORT] = NET_CALLS_OF_HOST,
    [XN__CALL_LANE__LANE_LONG] = 32,
    [XN__CALL_LANE__LANE_WATCH] = 1,
    [XN__CALL_LANE__LANE_FETCH] = 32,
};
#define LANES (sizeof of_host / sizeof of_host[0])

struct net_driver {
    struct net_loop *loop;
    struct net_post *post;
    struct net_pool *pool;
    struct net_crypto *crypto;
    struct net_delays *delays;
    struct net_links *links;
    struct net_http *http;
    struct net_calls *calls[LANES];
    struct net_dom *dom;
    struct net_streams *streams; /* between http and dom */
    struct net_images *images;
    struct net_admission *admission;
    struct net_store *store;
    struct net_record *record;
    struct event *term, *intr, *linger;
    uint64_t stop_us; /* mono: when to end at the latest; 0: go on */
};

void net_config_default(struct net_config *config)
{
    *config = (struct net_config){
        .program = "xeno",
        .threads = 1,
        .links_max = 512,
        .handshakes = 50,
        .defer_s = 60,
        .api_max = 256,
        .api_connects = 100,
        .api_connects_all = 400,
        .api_rate = 50,
        .api_rate_certified = 500,
    };
}

/* ---- actions ----------------------------------------------------------- */

static void lacking(struct net_driver *d, const struct xn_action *action)
{
    net_loop_done(d->loop, action->ticket, XN_EREFUSED, NULL);
}

static void abort_action(struct net_driver *d, uint64_t ticket,
                         const struct xn_msg *why)
{
    const Xn__Reason *reason =
        why && why->kind == XN__KIND__REASON ? XN_BODY(why, Xn__Reason) : NULL;

    for (size_t i = 0; i < LANES; i++) {
        if (d->calls[i] && net_calls_abort(d->calls[i], ticket)) return;
    }
    if (d->images && net_images_abort(d->images, ticket)) return;
    if (d->admission && net_admission_abort(d->admission, ticket)) return;
    if (d->links) net_links_abort(d->links, ticket);
    if (d->streams && net_streams_abort(d->streams, ticket, reason)) return;
    if (d->dom) net_dom_abort(d->dom, ticket);
    /* The others end soon by themselves. */
}

static void act_link(struct net_driver *d, const struct xn_action *action)
{
    if (!d->links) {
        lacking(d, action);
    } else if (action->kind == XN_ACT_DIAL) {
        net_links_dial(d->links, action->ticket,
                       XN_BODY(action->msg, Xn__Dial));
    } else if (action->kind == XN_ACT_HANG) {
        net_links_hang(d->links, action->peer,
                       action->msg ? XN_BODY(action->msg, Xn__Reason) : NULL);
    } else {
        net_links_send(d->links, action->peer, action->msg);
    }
}

static void act_probe(struct net_driver *d, const struct xn_action *action)
{
    char host[NET_ADDR_TEXT];

    if (d->links && net_links_host(d->links, action->peer, host)) {
        net_calls_probe(d->calls[0], action->ticket, host,
                        XN_BODY(action->msg, Xn__Probe));
    } else {
        lacking(d, action);
    }
}

static void act_store(struct net_driver *d, const struct xn_action *action)
{
    if (!d->store) {
        lacking(d, action);
    } else if (action->kind == XN_ACT_TXN) {
        net_store_txn(d->store, action->ticket, action->msg);
    } else {
        net_store_read(d->store, action->ticket, action->msg);
    }
}

/* To the core's metrics come the driver's, of which the core knows nothing. */
static void answer_metrics(struct net_driver *d, uint64_t ticket,
                           const Xn__Answer *body)
{
    Xn__Answer answer = *body;
    struct xn_buf buf;

    xn_buf_init(&buf, 0);
    xn_buf_add(&buf, body->body.data, body->body.len);
    net_metrics(d->links, d->http, &buf);
    if (!xn_buf_rc(&buf)) {
        answer.body.data = buf.data;
        answer.body.len = buf.len;
    }
    net_http_answer(d->http, ticket, &answer);
    xn_buf_clear(&buf);
}

static void answer_peers(struct net_driver *d, uint64_t ticket,
                         const Xn__Answer *body)
{
    Xn__Answer answer = *body;
    uint8_t *bytes = NULL;

    if (!net_metrics_peers(d->links, &body->body, &bytes, &answer.body.len))
        answer.body.data = bytes;
    net_http_answer(d->http, ticket, &answer);
    free(bytes);
}

static void act_answer(struct net_driver *d, const struct xn_action *action)
{
    const Xn__Answer *answer = XN_BODY(action->msg, Xn__Answer);

    if (!d->http) return;
    if (strcmp(answer->content_type, XN_PROM_TYPE) == 0) {
        answer_metrics(d, action->ticket, answer);
    } else if (d->links && strcmp(answer->content_type, XN_PEERS_TYPE) == 0) {
        answer_peers(d, action->ticket, answer);
    } else {
        net_http_answer(d->http, action->ticket, answer);
    }
}

/* Of this machine's xenodomd, what is carried to another's, and how much is. */
static void act_domain(struct net_driver *d, const struct xn_action *action)
{
    struct xn_msg *msg = action->msg;
    unsigned kind = msg && d->streams ? msg->kind : 0;

    if (kind == XN__KIND__ASK_STREAM && XN_BODY(msg, Xn__AskStream)->url[0])
        net_streams_far(d->streams, action->ticket, msg);
    else if (kind == XN__KIND__ASK_CARRIED)
        net_streams_tell(d->streams, action->ticket);
    else if (d->dom)
        net_dom_act(d->dom, action->ticket, msg);
    else
        lacking(d, action);
}

static void act(void *user, const struct xn_action *action)
{
    struct net_driver *d = user;
    unsigned kind = xn_act_msg_kind(action->kind);

    /* A core that gets this wrong is broken, and so would be what we made of
     * it. */
    if (kind && (!action->msg || action->msg->kind != kind)) {
        xn_log(XN_LOG_ERROR, "core: %s without its message",
               xn_act_name(action->kind));
        net_loop_done(d->loop, action->ticket, XN_EINVAL, NULL);
        return;
    }
    switch (action->kind) {
    case XN_ACT_DIAL:
    case XN_ACT_HANG:
    case XN_ACT_SEND: act_link(d, action); break;
    case XN_ACT_ANSWER: act_answer(d, action); break;
    case XN_ACT_SIGN:
    case XN_ACT_VERIFY:
    case XN_ACT_ISSUE:
    case XN_ACT_RANDOM: net_crypto_act(d->crypto, action); break;
    case XN_ACT_TXN:
    case XN_ACT_READ: act_store(d, action); break;
    case XN_ACT_CALL:
        net_calls_make(d->calls[XN_BODY(action->msg, Xn__Call)->lane],
                       action->ticket, XN_BODY(action->msg, Xn__Call));
        break;
    case XN_ACT_ABORT: abort_action(d, action->ticket, action->msg); break;
    case XN_ACT_LOG:
        xn_log((enum xn_log_level)XN_BODY(action->msg, Xn__Log)->level, "%s",
               XN_BODY(action->msg, Xn__Log)->text);
        break;
    case XN_ACT_DOMAIN: act_domain(d, action); break;
    case XN_ACT_FETCH:
        if (d->images)
            net_images_fetch(d->images, action->ticket,
                             XN_BODY(action->msg, Xn__Fetch));
        else
            lacking(d, action);
        break;
    case XN_ACT_PROBE: act_probe(d, action); break;
    case XN_ACT_ADMIT:
        if (d->admission)
            net_admission_ask(d->admission, action->ticket,
                              XN_BODY(action->msg, Xn__Admit));
        else
            lacking(d, action);
        break;
    }
}

static void gone(void *user, xn_peer peer)
{
    struct net_driver *d = user;

    if (d->links) net_links_release(d->links, peer);
}

static void stepped(void *user, const struct xn_now *now,
                    const struct xn_event *ev, const struct xn_outbox *box)
{
    struct net_driver *d = user;

    if (d->record) net_record_step(d->record, now, ev, box);
}

/* ---- the end ----------------------------------------------------------- */

static bool calls_idle(const struct net_driver *d)
{
    for (size_t i = 0; i < LANES; i++) {
        if (!net_calls_idle(d->calls[i])) return false;
    }
    return true;
}

static bool all_idle(const struct net_driver *d)
{
    return net_loop_quiet(d->loop) && net_crypto_idle(d->crypto) &&
           calls_idle(d) && (!d->dom || net_dom_idle(d->dom)) &&
           (!d->images || net_images_idle(d->images)) &&
           (!d->admission || net_admission_idle(d->admission)) &&
           (!d->store || net_store_idle(d->store)) &&
           (!d->links || net_links_idle(d->links)) &&
           (!d->http || net_http_idle(d->http));
}

static void turned(void *user)
{
    struct net_driver *d = user;

    if (d->links) net_links_flush(d->links);
    if (d->stop_us && all_idle(d)) net_loop_stop(d->loop, 0);
}

static void on_linger(evutil_socket_t fd, short what, void *arg)
{
    struct net_driver *d = arg;

    if (net_mono_us() >= d->stop_us || all_idle(d)) net_loop_stop(d->loop, 0);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct net_driver *d = arg;
    struct timeval tick = {0, 20000};
    Xn__News news = XN__NEWS__INIT;

    if (d->stop_us) {
        net_loop_stop(d->loop, 0);
        return;
    }
    xn_log(XN_LOG_INFO, "going down");
    d->stop_us = net_mono_us() + GRACE_US;
    news.kind = (char *)(uintptr_t) "stop";
    net_loop_tell(d->loop, XN_EV_NEWS, 0, XN_PEER_NONE, XN__KIND__NEWS, &news);
    event_add(d->linger, &tick);
}

/* ---- begin and end ----------------------------------------------------- */

static int cannot_listen(const struct net_config *config, const char *address,
                         int rc)
{
    xn_gripe_rcf(config->program, rc, NULL, "cannot listen",
                 "an address and port of this machine, such as 127.0.0.1:0",
                 "%s: %s", address,
                 rc == XN_EIO      ? strerror(errno)
                 : rc == XN_EINVAL ? "not a numeric address with port"
                                   : xn_strerror(rc));
    return rc;
}

static int open_links(struct net_driver *d, const struct net_config *config)
{
    struct net_links_config links = {.identity = config->identity,
                                     .listen = config->listen_links,
                                     .defer_s = config->defer_s,
                                     .max = config->links_max,
                                     .handshakes = config->handshakes,
                                     .private_ok = config->private_ok,
                                     .announced = config->announced};
    int rc = 0;

    if (!config->listen_links) return 0;
    if (config->delay_path) {
        rc = net_delays_load(config->program, config->delay_path, &d->delays);
        if (rc) return rc;
        links.delays = d->delays;
    }
    rc = net_links_new(d->loop, &links, &d->links);
    return rc ? cannot_listen(config, config->listen_links, rc) : 0;
}

static int open_http(struct net_driver *d, const struct net_config *config)
{
    struct net_http_config http = {.identity = config->identity,
                                   .listen = config->listen_api,
                                   .defer_s = config->defer_s,
                                   .max = config->api_max,
                                   .connects = config->api_connects,
                                   .connects_all = config->api_connects_all,
                                   .rate = config->api_rate,
                                   .certified_rate = config->api_rate_certified,
                                   .body_max = config->api_body_max,
                                   .ask_us = config->api_ask_us};
    int rc;

    if (!config->listen_api) return 0;
    rc = net_http_new(d->loop, &http, &d->http);
    return rc ? cannot_listen(config, config->listen_api, rc) : 0;
}

static int open_record(struct net_driver *d, const struct net_config *config)
{
    int rc;

    if (!config->record_path) return 0;
    rc =
        net_record_new(net_loop_base(d->loop), config->record_path, &d->record);
    if (rc) {
        xn_gripe_rcf(config->program, rc, NULL, "cannot record", "another file",
                     "%s: %s", config->record_path, strerror(errno));
    }
    return rc;
}

static int open_images(struct net_driver *d, const struct net_config *config)
{
    int rc = net_images_new(d->loop, d->post, config->images, &d->images);

    if (rc) {
        xn_gripe_rcf(config->program, rc, NULL, "cannot keep images",
                     "man xenohostd.conf", "%s: %s", config->images->dir,
                     rc == XN_EIO ? strerror(errno)
                     : rc == XN_EINVAL
                         ? "images.store is no absolute path, or images.room "
                           "is less than images.size"
                     : rc == XN_EBUSY ? "another process keeps its images there"
                                      : xn_strerror(rc));
    }
    return rc;
}

static int open_signals(struct net_driver *d)
{
    struct event_base *base = net_loop_base(d->loop);

    /* A peer that goes away in the middle of a write must not kill us. */
    signal(SIGPIPE, SIG_IGN);
    /* Who is started with it ignored is not told how a child has ended. */
    signal(SIGCHLD, SIG_DFL);
    d->term = evsignal_new(base, SIGTERM, on_signal, d);
    d->intr = evsignal_new(base, SIGINT, on_signal, d);
    d->linger = event_new(base, -1, EV_PERSIST, on_linger, d);
    if (!d->term || !d->intr || !d->linger) return XN_ENOMEM;
    return event_add(d->term, NULL) || event_add(d->intr, NULL) ? XN_ENOMEM : 0;
}

/* The parts in the order in which they need each other. */
static int open_parts(struct net_driver *d, const struct net_config *config)
{
    struct event_base *base = net_loop_base(d->loop);
    int rc;

    rc = open_signals(d);
    if (!rc) rc = net_post_new(base, &d->post);
    if (!rc) rc = net_pool_new(d->post, config->threads, &d->pool);
    if (!rc) {
        rc = net_crypto_new(d->loop, d->pool, config->identity, &d->crypto);
    }
    for (size_t i = 0; !rc && i < LANES; i++) {
        rc = net_calls_new(d->loop, config->identity, of_host[i], &d->calls[i]);
    }
    if (rc) {
        xn_gripe_rc(config->program, rc, NULL, "cannot start", xn_strerror(rc),
                    NULL);
        return rc;
    }
    if (config->store) {
        rc = net_store_new(d->loop, d->post, config->program,
                           config->store_path, config->store, &d->store);
    }
    if (!rc && config->dom_path) {
        rc = net_dom_new(d->loop, config->dom_path, &d->dom);
    }
    if (!rc && config->images) rc = open_images(d, config);
    if (!rc && config->admission)
        rc = net_admission_new(d->loop, config->admission, config->admission_us,
                               &d->admission);
    if (!rc) rc = open_record(d, config);
    if (!rc) rc = open_links(d, config);
    if (!rc) rc = open_http(d, config);
    if (!rc && d->http)
        rc = net_streams_new(d->loop, d->http, config->identity, &d->streams);
    if (!rc && d->streams && d->dom) net_dom_carry(d->dom, d->streams);
    return rc;
}

int net_driver_new(const struct net_config *config,
                   struct net_driver **driver_out)
{
    struct net_driver *d = calloc(1, sizeof *d);
    struct net_loop_user user = {d, act, gone, turned, stepped};
    int rc = d ? net_loop_new(&user, &d->loop) : XN_ENOMEM;

    if (!rc) rc = open_parts(d, config);
    if (rc) {
        net_driver_free(d);
        return rc;
    }
    *driver_out = d;
    return 0;
}

void net_driver_free(struct net_driver *d)
{
    if (!d) return;
    net_streams_free(d->streams);
    net_http_free(d->http);
    net_links_free(d->links);
    net_delays_free(d->delays);
    for (size_t i = 0; i < LANES; i++)
        net_calls_free(d->calls[i]);
    net_dom_free(d->dom);
    net_images_free(d->images);
    net_admission_free(d->admission);
    net_store_free(d->store);
    net_pool_free(d->pool);
    net_crypto_free(d->crypto);
    net_post_free(d->post);
    net_record_free(d->record);
    if (d->term) event_free(d->term);
    if (d->intr) event_free(d->intr);
    if (d->linger) event_free(d->linger);
    net_loop_free(d->loop);
    free(d);
}

const struct xn_peers *net_driver_peers(const struct net_driver *d)
{
    static const struct xn_peers nobody;

    return d->links ? net_links_peers(d->links) : &nobody;
}

const char *net_driver_links_address(const struct net_driver *d)
{
    return d->links ? net_links_address(d->links) : "";
}

const char *net_driver_api_address(const struct net_driver *d)
{
    return d->http ? net_http_address(d->http) : "";
}

int net_driver_run(struct net_driver *d, struct xn_core *core,
                   const char *program, uint64_t seed, const void *config,
                   size_t config_len)
{
    int rc;

    if (d->record) {
        net_record_head(d->record, program, seed, config, config_len);
    }
    rc = net_loop_run(d->loop, core);
    xn_core_free(core);
    return rc;
}
