/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/http.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/rand.h>
#include <uthash.h>
#include <utlist.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/rng.h"
#include "net/addr.h"
#include "net/budget.h"
#include "net/clock.h"
#include "net/gate.h"
#include "net/tls.h"

enum {
    BODY_MAX = 1 << 20,
    HEADERS_MAX = 8 * 1024,
    GAP_S = 60,       /* evhttp's own: silence */
    GROUPS = 1 << 12, /* places to count callers' connections in */
    SHARE = 32,       /* of his, that who has most gives up at once */
};
/* evhttp bounds the gaps alone, and a byte a second lives for ever: these are
 * from the connection's begin or its last answer to the next whole request. */
#define FIRST_US 30000000ULL
#define NEXT_US 60000000ULL
#define ASK_US 30000000ULL
#define SKEW_US 300000000ULL

/* Lives from the accept until OpenSSL frees the SSL: evhttp tells nobody about
 * a connection before its first request. */
struct conn {
    struct conn *prev, *next;
    struct ask *ask; /* unanswered */
    uint16_t group;  /* whose it is: where it is counted; with has_source */
    bool has_source; /* and network, address */
    bool cut;        /* soon gone */
    bool taken;      /* by who carries something else over it */
    struct net_http *http; /* NULL: that is gone */
    SSL *ssl;
    struct bufferevent *bev;
    struct evhttp_connection *evcon; /* since the first request */
    uint64_t limit_us;               /* mono: then it is closed */
    struct xn_cert caller;
    uint64_t source, network;
    char address[NET_ADDR_TEXT];
};

struct ask {
    uint64_t ticket;
    struct conn *conn;
    struct evhttp_request *request;
    struct event *closed;
    uint64_t limit_us;
    UT_hash_handle hh;
};

struct net_http {
    struct net_loop *loop;
    const struct net_identity *identity;
    SSL_CTX *ctx;
    struct evhttp *evhttp;
    struct evconnlistener *listener;
    struct event *tick;
    struct net_budget *connects, *anonymous, *certified; /* NULL: no bound */
    struct net_gate *gate;
    char address[NET_ADDR_TEXT];
    unsigned max, n, n_cut;
    uint64_t opened;
    uint64_t ask_us;
    uint64_t secret; /* so that nobody chooses whom to be counted with */
    struct conn *conns;
    struct ask *asks;
    uint64_t last_ticket;
};

const char *net_http_address(const struct net_http *http)
{
    return http->address;
}

void net_http_load(const struct net_http *http, struct net_http_load *load_out)
{
    *load_out = (struct net_http_load){
        .connections = http->n,
        .unanswered = HASH_COUNT(http->asks),
        .opened = http->opened,
    };
}

bool net_http_idle(const struct net_http *http)
{
    return !http->asks;
}

/* ---- connections ------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int conn_index = -1; /* of SSL's extra data */

/* OpenSSL frees an SSL, and with it our connection ends. */
static void conn_end(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index,
                     long argl, void *argp)
{
    struct conn *conn = ptr;
    struct net_http *http;

    if (!conn) return;
    http = conn->http;
    if (http) {
        DL_DELETE(http->conns, conn);
        http->n--;
        http->n_cut -= conn->cut;
        evconnlistener_enable(http->listener);
    }
    free(conn);
}

static void make_index(void)
{
    conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_end);
}

/* Let evhttp find the connection dead and clear it away itself. */
static void cut(struct conn *conn)
{
    evutil_socket_t fd = bufferevent_getfd(conn->bev);

    if (!conn->cut) conn->http->n_cut++;
    conn->cut = true;
    if (fd >= 0) shutdown(fd, SHUT_RDWR);
}

/* Whose connection it is: the certified caller's, else the address's. */
static uint64_t who_asks(const struct conn *conn)
{
    uint64_t who = conn->source;

    if (conn->evcon && conn->caller.role != XN__ROLE__ANYBODY) {
        memcpy(&who, conn->caller.id.b, sizeof who);
    }
    return who;
}

/* Two callers may share a place now and then, and look like one. */
static void count_with(struct conn *conn)
{
    conn->group =
        (uint16_t)(xn_rng_mix(conn->http->secret, who_asks(conn)) % GROUPS);
}

/* evhttp sets the socket only when new_bufferevent has returned. */
static void look_up_source(struct conn *conn)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    evutil_socket_t fd;

    if (conn->has_source || !conn->bev) return;
    fd = bufferevent_getfd(conn->bev);
    memset(&sa, 0, sizeof sa);
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&sa, &len)) return;
    net_addr_text((struct sockaddr *)&sa, conn->address);
    conn->source = net_addr_source((struct sockaddr *)&sa);
    conn->network = net_addr_network((struct sockaddr *)&sa);
    conn->has_source = true;
    count_with(conn);
}

static bool is_idle(const struct conn *conn)
{
    return conn->has_source && !conn->ask && !conn->taken;
}

/* Full: who has most connections gives up the oldest one with no request under
 * way, and one more for each SHARE, so that we need not look at all of them for
 * each that comes.  So who opens all there are and lets them idle pushes out
 * himself, and others still get in. */
static void make_room(struct net_http *http)
{
    uint16_t counts[GROUPS] = {0};
    struct conn *conn, *victim = NULL;
    unsigned most = 0, left;

    if (http->n_cut || http->n < http->max) return; /* there will be room */
    DL_FOREACH(http->conns, conn)
    {
        look_up_source(conn);
        if (conn->has_source) counts[conn->group]++;
    }
    DL_FOREACH(http->conns, conn)
    {
        if (!is_idle(conn) || counts[conn->group] <= most) continue;
        most = counts[conn->group];
        victim = conn;
    }
    left = victim ? 1 + most / SHARE : 0;
    for (conn = victim; conn && left > 0; conn = conn->next) {
        if (!is_idle(conn) || conn->group != victim->group) continue;
        cut(conn);
        left--;
    }
}

/* A connection begins.  NULL would not refuse it but serve it without TLS;
 * on_request refuses what has no SSL. */
static struct bufferevent *new_bufferevent(struct event_base *base, void *arg)
{
    struct net_http *http = arg;
    struct conn *conn = calloc(1, sizeof *conn);
    SSL *ssl = SSL_new(http->ctx);
    struct bufferevent *bev = NULL;

    if (!conn || !ssl || !SSL_set_ex_data(ssl, conn_index, conn)) {
        SSL_free(ssl);
        free(conn);
        return NULL;
    }
    conn->http = http;
    conn->ssl = ssl;
    conn->limit_us = net_mono_us() + FIRST_US;
    DL_APPEND(http->conns, conn);
    http->opened++;
    http->n++;
    make_room(http);
    if (http->n >= http->max) evconnlistener_disable(http->listener);
    bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    conn->bev = bev;
    return bev;
}

/* One more handshake of this source, and of all? */
static bool may_begin(struct net_http *http, uint64_t source, uint64_t network)
{
    uint64_t now_us = net_mono_us();

    if (http->connects && !net_budget_take(http->connects, source, now_us))
        return false;
    return net_gate_take(http->gate, net_gate_knows(http->gate, source),
                         network, now_us) == 0;
}

/* Before a handshake costs us anything: who begins too many has this one ended.
 * It was accepted and read already, which is little beside signing. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct conn *conn = SSL_get_ex_data(ssl, conn_index);

    if (!conn || !conn->http) return SSL_CLIENT_HELLO_ERROR;
    look_up_source(conn);
    if (may_begin(conn->http, conn->source, conn->network))
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_USER_CANCELLED;
    return SSL_CLIENT_HELLO_ERROR;
}

/* Who calls, told once per connection. */
static void meet(struct conn *conn, struct evhttp_connection *evcon)
{
    conn->evcon = evcon;
    look_up_source(conn);
    net_tls_caller(conn->ssl, conn->http->identity, &conn->caller);
    count_with(conn);
    if (conn->caller.role == XN__ROLE__NODE) /* other keys cost nothing */
        net_gate_know(conn->http->gate, xn_id_head(&conn->caller.id),
                      conn->source);
}

/* A certificate that ends while its connection lives proves a key alone. */
static void age(struct conn *conn)
{
    xn_id id = conn->caller.id;

    if (conn->caller.role == XN__ROLE__ANYBODY ||
        net_wall_us() <= conn->caller.not_after_us + SKEW_US) {
        return;
    }
    memset(&conn->caller, 0, sizeof conn->caller);
    conn->caller.id = id;
    conn->caller.role = XN__ROLE__ANYBODY;
    count_with(conn);
}

/* ---- requests ---------------------------------------------------------- */

static void reply(struct evhttp_request *request, int status,
                  const char *content_type, const void *body, size_t len,
                  unsigned retry_s)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *buffer = evbuffer_new();
    char after[16];

    if (buffer && len) evbuffer_add(buffer, body, len);
    evhttp_add_header(headers, "Content-Type", content_type);
    if (status == 429 || status == 503) {
        snprintf(after, sizeof after, "%u", retry_s ? retry_s : 1);
        evhttp_add_header(headers, "Retry-After", after);
    }
    evhttp_send_reply(request, status, NULL, buffer);
    if (buffer) evbuffer_free(buffer);
}

static void refuse(struct evhttp_request *request, int status, int rc,
                   const char *what, const char *because, const char *try)
{
    Xn__Refusal refusal = XN__REFUSAL__INIT;
    uint8_t *bytes = NULL;
    size_t len = 0;

    refusal.rc = rc;
    refusal.what = (char *)(uintptr_t)what;
    refusal.because = (char *)(uintptr_t)because;
    refusal.try_ = (char *)(uintptr_t)try;
    (void)xn_pack(&refusal, &bytes, &len); /* without memory the status tells */
    reply(request, status, "application/x-protobuf", bytes, len, 0);
    free(bytes);
}

/* The ask is over; its request is the caller's. */
static struct evhttp_request *end_ask(struct ask *ask)
{
    struct evhttp_request *request = ask->request;

    HASH_DEL(ask->conn->http->asks, ask);
    ask->conn->ask = NULL;
    ask->conn->limit_us = net_mono_us() + NEXT_US;
    if (ask->closed) event_free(ask->closed);
    free(ask);
    return request;
}

static void cancel(struct ask *ask, int status, int rc, const char *because)
{
    struct net_loop *loop = ask->conn->http->loop;
    uint64_t ticket = ask->ticket;

    net_loop_raise(loop, XN_EV_CANCEL, ticket, 0, XN_PEER_NONE, NULL);
    refuse(end_ask(ask), status, rc, "no answer", because, "ask again");
}

/* evhttp does not read while a request is being answered, so it does not see
 * its client leave. */
static void on_client_left(evutil_socket_t fd, short what, void *arg)
{
    cancel(arg, 503, XN_ECANCELLED, "the asker has closed the connection");
}

/* evhttp drops the connection, for whatever reason. */
static void on_conn_closed(struct evhttp_connection *evcon, void *arg)
{
    struct conn *conn = arg;
    struct ask *ask = conn->ask;
    struct evhttp_request *request;

    if (!ask || !conn->http) return;
    net_loop_raise(conn->http->loop, XN_EV_CANCEL, ask->ticket, 0, XN_PEER_NONE,
                   NULL);
    request = end_ask(ask);
    /* Taken off its connection already: nobody else frees it. */
    if (!evhttp_request_get_connection(request)) evhttp_request_free(request);
}

static const char *method_name(struct evhttp_request *request)
{
    switch (evhttp_request_get_command(request)) {
    case EVHTTP_REQ_GET: return "GET";
    case EVHTTP_REQ_POST: return "POST";
    case EVHTTP_REQ_PUT: return "PUT";
    case EVHTTP_REQ_DELETE: return "DELETE";
    default: return NULL;
    }
}

static struct ask *new_ask(struct conn *conn, struct evhttp_request *request)
{
    struct ask *ask = calloc(1, sizeof *ask);
    struct net_http *http = conn->http;

    if (!ask) return NULL;
    ask->closed =
        event_new(net_loop_base(http->loop), bufferevent_getfd(conn->bev),
                  EV_CLOSED, on_client_left, ask);
    if (!ask->closed || event_add(ask->closed, NULL)) {
        if (ask->closed) event_free(ask->closed);
        free(ask);
        return NULL;
    }
    ask->ticket = ++http->last_ticket;
    ask->conn = conn;
    ask->request = request;
    ask->limit_us = net_mono_us() + http->ask_us;
    conn->ask = ask;
    HASH_ADD(hh, http->asks, ticket, sizeof ask->ticket, ask);
    return ask;
}

static void raise_ask(struct conn *conn, const struct ask *ask)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(ask->request);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ask->request);
    const char *path = evhttp_uri_get_path(uri);
    const char *query = evhttp_uri_get_query(uri);
    Xn__Ask body = XN__ASK__INIT;
    Xn__Caller caller;

    net_caller(&conn->caller, conn->address, &caller);
    caller.source = conn->source;
    body.method = (char *)(uintptr_t)method_name(ask->request);
    body.path = (char *)(uintptr_t)(path && *path ? path : "/");
    body.query = (char *)(uintptr_t)(query ? query : "");
    body.body.len = evbuffer_get_length(in);
    body.body.data = body.body.len ? evbuffer_pullup(in, -1) : NULL;
    body.caller = &caller;
    net_loop_tell(conn->http->loop, XN_EV_ASK, ask->ticket, XN_PEER_NONE,
                  XN__KIND__ASK, &body);
}

static bool may_ask(const struct conn *conn)
{
    const struct net_http *http = conn->http;
    struct net_budget *budget = conn->caller.role == XN__ROLE__ANYBODY
                                    ? http->anonymous
                                    : http->certified;

    return !budget || net_budget_take(budget, who_asks(conn), net_mono_us());
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    struct conn *conn = ssl ? SSL_get_ex_data(ssl, conn_index) : NULL;
    struct ask *ask;

    if (!conn) {
        refuse(request, 400, XN_EPROTO, "not understood", "HTTPS alone", "");
        return;
    }
    if (!conn->evcon) meet(conn, evcon);
    evhttp_connection_set_closecb(evcon, on_conn_closed, conn);
    age(conn);
    conn->limit_us = net_mono_us() + NEXT_US;
    if (request->major != 1 || request->minor < 0 || request->minor > 9) {
        request->major = request->minor = 1; /* as it is answered */
        evhttp_add_header(evhttp_request_get_output_headers(request),
                          "Connection", "close");
        refuse(request, 505, XN_EPROTO, "not understood",
               "this is neither HTTP/1.0 nor HTTP/1.1", "");
        return;
    }
    if (!method_name(request)) {
        refuse(request, 405, XN_EINVAL, "not understood", "no such method", "");
        return;
    }
    if (!may_ask(conn)) {
        refuse(request, 429, XN_EBUSY, "asked too often",
               "callers without a certificate of an accepted XenoCorp share "
               "a budget per address, others have one each",
               "wait a second, or register");
        return;
    }
    ask = new_ask(conn, request);
    if (!ask) {
        refuse(request, 503, XN_ENOMEM, "cannot answer", "out of memory", "");
        return;
    }
    raise_ask(conn, ask);
}

void net_http_answer(struct net_http *http, uint64_t ticket,
                     const Xn__Answer *answer)
{
    struct ask *ask;
    int status = answer->status;
    const char *type = answer->content_type;

    HASH_FIND(hh, http->asks, &ticket, sizeof ticket, ask);
    if (!ask) return;
    if (status < 200 || status > 599) status = 500;
    reply(end_ask(ask), status, type && *type ? type : "application/x-protobuf",
          answer->body.data, answer->body.len, answer->retry_s);
}

/* evhttp has no word for this: it waits for a reply that never comes, and so
 * touches the connection no more. */
int net_http_take(struct net_http *http, uint64_t ticket, const char *protocol,
                  struct net_http_taken *taken_out)
{
    struct ask *ask;
    struct conn *conn;
    const char *wants;

    HASH_FIND(hh, http->asks, &ticket, sizeof ticket, ask);
    if (!ask) return XN_ENOENT;
    conn = ask->conn;
    wants = evhttp_find_header(evhttp_request_get_input_headers(ask->request),
                               "Upgrade");
    if (!wants || strcmp(wants, protocol) != 0) return XN_EPROTO;
    end_ask(ask);
    conn->taken = true;
    conn->limit_us = UINT64_MAX;
    evhttp_connection_set_closecb(conn->evcon, NULL, NULL);
    bufferevent_set_timeouts(conn->bev, NULL, NULL);
    evbuffer_add_printf(bufferevent_get_output(conn->bev),
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Connection: Upgrade\r\nUpgrade: %s\r\n\r\n",
                        protocol);
    taken_out->evcon = conn->evcon;
    taken_out->bev = conn->bev;
    return 0;
}

/* ---- deadlines, begin and end ------------------------------------------ */

/* What was to be changed may be changed yet. */
static void give_up(struct ask *ask)
{
    bool reads = evhttp_request_get_command(ask->request) == EVHTTP_REQ_GET;

    cancel(ask, 504, reads ? XN_ETIMEOUT : XN_EUNKNOWN, "it takes too long");
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct net_http *http = arg;
    uint64_t now_us = net_mono_us();
    struct conn *conn, *next;

    DL_FOREACH_SAFE(http->conns, conn, next)
    {
        if (conn->ask && now_us > conn->ask->limit_us) {
            give_up(conn->ask);
        } else if (!conn->ask && now_us > conn->limit_us) {
            cut(conn);
        }
    }
    make_room(http); /* all were busy when the last one came */
    if (http->n < http->max)
        evconnlistener_enable(http->listener); /* descriptors were short */
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    xn_log(XN_LOG_WARN, "cannot accept requests: %s", strerror(errno));
    evconnlistener_disable(listener);
}

static int open_listener(struct net_http *http, const char *text,
                         unsigned defer_s)
{
    int fd = -1, rc;

    rc = net_listen(text, &fd, http->address);
    if (rc) return rc;
    net_listen_defer(fd, defer_s);
    http->listener = evconnlistener_new(
        net_loop_base(http->loop), NULL, NULL,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!http->listener) {
        close(fd);
        return XN_ENOMEM;
    }
    evconnlistener_set_error_cb(http->listener, on_accept_error);
    return 0;
}

static int open_evhttp(struct net_http *http, size_t body_max)
{
    http->evhttp = evhttp_new(net_loop_base(http->loop));
    if (!http->evhttp) return XN_ENOMEM;
    evhttp_set_bevcb(http->evhttp, new_bufferevent, http);
    evhttp_set_gencb(http->evhttp, on_request, http);
    evhttp_set_max_headers_size(http->evhttp, HEADERS_MAX);
    evhttp_set_max_body_size(http->evhttp, (ev_ssize_t)body_max);
    evhttp_set_timeout(http->evhttp, GAP_S);
    evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_POST |
                                                 EVHTTP_REQ_PUT |
                                                 EVHTTP_REQ_DELETE);
    return evhttp_bind_listener(http->evhttp, http->listener) ? 0 : XN_ENOMEM;
}

static int start(struct net_http *http, const struct net_http_config *config)
{
    struct timeval tick = {1, 0};
    int rc;

    pthread_once(&once, make_index);
    if (conn_index < 0) return XN_ENOMEM;
    if (RAND_bytes((uint8_t *)&http->secret, sizeof http->secret) != 1) {
        return XN_EIO;
    }
    rc = net_gate_new(config->connects_all, &http->gate);
    if (rc) return rc;
    if (config->connects) {
        rc = net_budget_new(config->connects, &http->connects);
        if (rc) return rc;
    }
    if (config->rate) {
        rc = net_budget_new(config->rate, &http->anonymous);
        if (rc) return rc;
    }
    if (config->certified_rate) {
        rc = net_budget_new(config->certified_rate, &http->certified);
        if (rc) return rc;
    }
    rc = net_tls_api(config->identity, &http->ctx);
    if (!rc) SSL_CTX_set_client_hello_cb(http->ctx, on_hello, NULL);
    if (!rc) rc = open_listener(http, config->listen, config->defer_s);
    if (!rc) {
        rc = open_evhttp(http, config->body_max ? config->body_max : BODY_MAX);
    }
    if (rc) return rc;
    http->tick =
        event_new(net_loop_base(http->loop), -1, EV_PERSIST, on_tick, http);
    return http->tick && !event_add(http->tick, &tick) ? 0 : XN_ENOMEM;
}

int net_http_new(struct net_loop *loop, const struct net_http_config *config,
                 struct net_http **http_out)
{
    struct net_http *http = calloc(1, sizeof *http);
    int rc;

    if (!http) return XN_ENOMEM;
    http->loop = loop;
    http->identity = config->identity;
    http->max = config->max;
    http->ask_us = config->ask_us ? config->ask_us : ASK_US;
    rc = start(http, config);
    if (rc) {
        int saved = errno;

        net_http_free(http);
        errno = saved;
        return rc;
    }
    *http_out = http;
    return 0;
}

void net_http_free(struct net_http *http)
{
    struct ask *ask, *tmp;
    struct conn *conn;

    if (!http) return;
    HASH_ITER(hh, http->asks, ask, tmp)
    {
        end_ask(ask); /* evhttp frees the request with its connection */
    }
    /* libevent may free them after us. */
    DL_FOREACH(http->conns, conn)
    {
        conn->http = NULL;
    }
    if (http->tick) event_free(http->tick);
    if (http->evhttp) {
        evhttp_free(http->evhttp); /* the listener too */
    } else if (http->listener) {
        evconnlistener_free(http->listener);
    }
    SSL_CTX_free(http->ctx);
    net_gate_free(http->gate);
    net_budget_free(http->connects);
    net_budget_free(http->anonymous);
    net_budget_free(http->certified);
    free(http);
}
