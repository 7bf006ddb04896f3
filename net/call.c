/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/call.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/addr.h"
#include "net/tls.h"
#include "net/transfer.h"

enum {
    ANSWER_MAX = 1 << 20,
    PATIENCE_MS = 30000, /* where the core names none, and at most */
    PROBE_MS = 5000,
    CONNECTIONS = 64,
};

struct call {
    struct net_transfer transfer;
    uint64_t ticket;
    char probed[NET_ADDR_TEXT]; /* this host, or "" */
    struct call *prev, *next;
};

struct net_calls {
    struct net_loop *loop;
    const struct net_identity *identity;
    CURLM *multi;
    struct event *timer;
    struct call *all;
    bool freeing;
};

/* Whatever kept us from meeting it, it was not met. */
static void finish_probe(struct net_calls *calls, const struct call *call,
                         CURLcode code)
{
    Xn__Probed body = XN__PROBED__INIT;

    body.seen = (char *)(uintptr_t)call->probed;
    body.met = code == CURLE_OK;
    net_loop_done_body(calls->loop, call->ticket, XN__KIND__PROBED, &body);
}

static void finish(struct net_calls *calls, struct call *call, CURLcode code)
{
    struct net_transfer *t = &call->transfer;
    Xn__Answer answer = XN__ANSWER__INIT;
    Xn__Caller server;
    int rc = net_transfer_end(t, code);

    if (!calls->freeing && call->probed[0]) {
        finish_probe(calls, call, code);
    } else if (!calls->freeing && rc) {
        net_loop_done(calls->loop, call->ticket,
                      code == CURLE_ABORTED_BY_CALLBACK ? XN_ECANCELLED : rc,
                      NULL);
    } else if (!calls->freeing) {
        net_caller(&t->server, "", &server);
        answer.status = t->status;
        answer.content_type = t->content_type;
        answer.body.data = t->answer.data;
        answer.body.len = t->answer.len;
        answer.server = &server;
        net_loop_done_body(calls->loop, call->ticket, XN__KIND__ANSWER,
                           &answer);
    }
    curl_multi_remove_handle(calls->multi, t->easy);
    net_transfer_clear(t);
    DL_DELETE(calls->all, call);
    free(call);
}

static void collect(struct net_calls *calls)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(calls->multi, &left))) {
        struct call *call = NULL;
        char *mine = NULL;

        if (msg->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &mine);
        call = (struct call *)(void *)mine;
        finish(calls, call, msg->data.result);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct net_calls *calls = arg;
    int running, bits = 0;

    if (what & EV_READ) bits |= CURL_CSELECT_IN;
    if (what & EV_WRITE) bits |= CURL_CSELECT_OUT;
    curl_multi_socket_action(calls->multi, fd, bits, &running);
    collect(calls);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct net_calls *calls = arg;
    int running;

    curl_multi_socket_action(calls->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(calls);
}

/* libcurl wants to know of this socket: `mine` is its event. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    struct net_calls *calls = arg;
    struct event *event = mine;
    short bits = EV_PERSIST;

    if (event) event_free(event);
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(calls->multi, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN) bits |= EV_READ;
    if (what & CURL_POLL_OUT) bits |= EV_WRITE;
    event = event_new(net_loop_base(calls->loop), fd, bits, on_socket, calls);
    if (event) event_add(event, NULL);
    curl_multi_assign(calls->multi, fd, event);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct net_calls *calls = arg;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    if (ms < 0) {
        event_del(calls->timer);
    } else {
        event_add(calls->timer, &tv);
    }
    return 0;
}

int net_calls_new(struct net_loop *loop, const struct net_identity *identity,
                  unsigned of_host, struct net_calls **calls_out)
{
    struct net_calls *calls = calloc(1, sizeof *calls);
    int rc = calls ? net_transfer_library() : XN_ENOMEM;

    if (rc) goto out;
    calls->loop = loop;
    calls->identity = identity;
    calls->multi = curl_multi_init();
    calls->timer = evtimer_new(net_loop_base(loop), on_timer, calls);
    rc = XN_ENOMEM;
    if (!calls->multi || !calls->timer) goto out;
    curl_multi_setopt(calls->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(calls->multi, CURLMOPT_SOCKETDATA, calls);
    curl_multi_setopt(calls->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(calls->multi, CURLMOPT_TIMERDATA, calls);
    curl_multi_setopt(calls->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long)CONNECTIONS);
    /* Else it keeps four times as many as calls are under way: few, at the end
     * of a burst, and the next burst shakes hands with everybody anew. */
    curl_multi_setopt(calls->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
    curl_multi_setopt(calls->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)of_host);
    *calls_out = calls;
    calls = NULL;
    rc = 0;
out:
    net_calls_free(calls);
    return rc;
}

void net_calls_free(struct net_calls *calls)
{
    if (!calls) return;
    calls->freeing = true;
    while (calls->all)
        finish(calls, calls->all, CURLE_ABORTED_BY_CALLBACK);
    if (calls->multi) curl_multi_cleanup(calls->multi);
    if (calls->timer) event_free(calls->timer);
    free(calls);
}

static int begin(struct net_calls *calls,
                 const struct net_transfer_order *order, struct call *call)
{
    int rc = net_transfer_init(&call->transfer, order);

    if (rc) return rc;
    curl_easy_setopt(call->transfer.easy, CURLOPT_PRIVATE, call);
    if (call->probed[0]) {
        curl_easy_setopt(call->transfer.easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(call->transfer.easy, CURLOPT_FRESH_CONNECT, 1L);
    }
    if (curl_multi_add_handle(calls->multi, call->transfer.easy)) {
        net_transfer_clear(&call->transfer);
        return XN_ENOMEM;
    }
    return 0;
}

static int make(struct net_calls *calls, const Xn__Call *in, struct call *call)
{
    struct net_transfer_order order = {0};
    xn_id peer;
    int rc;

    if (in->peer_id.len) {
        rc = xn_id_from_bytes(&in->peer_id, &peer);
        if (rc) return rc;
        order.peer = &peer;
    }
    order.identity = calls->identity;
    order.method = in->method;
    order.url = in->url;
    order.body = in->body.data;
    order.len = in->body.len;
    order.timeout_ms = in->patience_ms && in->patience_ms < PATIENCE_MS
                           ? in->patience_ms
                           : PATIENCE_MS;
    order.answer_max = ANSWER_MAX;
    return begin(calls, &order, call);
}

void net_calls_make(struct net_calls *calls, uint64_t ticket,
                    const Xn__Call *in)
{
    struct call *call = calloc(1, sizeof *call);
    int rc = call ? make(calls, in, call) : XN_ENOMEM;

    if (rc) {
        free(call);
        net_loop_done(calls->loop, ticket, rc, NULL);
        return;
    }
    call->ticket = ticket;
    DL_APPEND(calls->all, call);
}

static int make_probe(struct net_calls *calls, const Xn__Probe *probe,
                      struct call *call)
{
    static const struct net_identity nobody;
    struct net_transfer_order order = {
        .identity = &nobody,
        .method = "GET",
        .pin_suffices = true,
        .timeout_ms = PROBE_MS,
    };
    char url[NET_ADDR_TEXT + 24];
    xn_id id;
    int rc = xn_id_from_bytes(&probe->id, &id);

    if (rc) return rc;
    snprintf(url, sizeof url, "https://%s:%u/", call->probed,
             (unsigned)probe->port);
    order.peer = &id;
    order.url = url;
    return begin(calls, &order, call);
}

void net_calls_probe(struct net_calls *calls, uint64_t ticket, const char *host,
                     const Xn__Probe *probe)
{
    struct call *call = calloc(1, sizeof *call);
    int rc = XN_ENOMEM;

    if (call) {
        snprintf(call->probed, sizeof call->probed, "%s", host);
        rc = make_probe(calls, probe, call);
    }
    if (rc) {
        free(call);
        net_loop_done(calls->loop, ticket, rc, NULL);
        return;
    }
    call->ticket = ticket;
    DL_APPEND(calls->all, call);
}

bool net_calls_abort(struct net_calls *calls, uint64_t ticket)
{
    struct call *call;

    DL_FOREACH(calls->all, call)
    {
        if (call->ticket == ticket) {
            finish(calls, call, CURLE_ABORTED_BY_CALLBACK);
            return true;
        }
    }
    return false;
}

bool net_calls_idle(const struct net_calls *calls)
{
    return !calls->all;
}
