/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/upgrade.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/http.h>

#include "lib/err.h"
#include "net/tls.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum { HEAD_MAX = 8 << 10, REFUSAL_MAX = 64 << 10, SWITCHED = 101 };

struct net_upgrade {
    struct net_upgrade_order order;
    SSL_CTX *ctx;
    struct bufferevent *bev;
    struct event *clock, *fails;
    struct evdns_base *dns; /* NULL: it does not share */
    char host[256];         /* as it is looked up */
    char authority[272];    /* as it is told */
    uint8_t *body;
    size_t len;
    size_t awaits; /* bytes of a refusal, whose head has come */
    bool begun, refused;
    int rc; /* of what failed before it had begun */
    char because[300];
};

static void end(struct net_upgrade *up, int rc, const char *because,
                const char *try)
{
    event_del(up->clock);
    event_del(up->fails);
    if (up->bev) bufferevent_setcb(up->bev, NULL, NULL, NULL, NULL);
    up->order.ended(up->order.arg, rc, because, try);
}

static void tell(struct net_upgrade *up, int rc, const char *because)
{
    end(up, rc, because,
        rc == XN_EIDENT ? "the right URL#ID; do not trust what answers"
                        : "the same again, when it answers");
}

static void fail(struct net_upgrade *up, int rc, const char *because)
{
    if (up->begun) {
        tell(up, rc, because);
        return;
    }
    up->rc = rc;
    snprintf(up->because, sizeof up->because, "%s", because);
    event_active(up->fails, EV_TIMEOUT, 0);
}

/* ---- the answer ---------------------------------------------------------- */

static void take_refusal(struct net_upgrade *up, struct evbuffer *in)
{
    Xn__Refusal *refusal =
        up->awaits
            ? xn_unpack(&xn__refusal__descriptor,
                        evbuffer_pullup(in, (ev_ssize_t)up->awaits), up->awaits)
            : NULL;

    up->refused = refusal && refusal->rc < 0;
    if (up->refused)
        end(up, refusal->rc, refusal->because, refusal->try_);
    else
        fail(up, XN_EPROTO, "its answer is not understood");
    if (refusal) xn__refusal__free_unpacked(refusal, NULL);
}

/* Bytes behind a head, as it says; -1: it is none, or too many. */
static long length_of(const char *head)
{
    static const char name[] = "\r\ncontent-length:";
    const char *at = strcasestr(head, name);
    long n = at ? strtol(at + sizeof name - 1, NULL, 10) : 0;

    return n >= 0 && n <= REFUSAL_MAX ? n : -1;
}

/* false: it has ended, and is perhaps freed. */
static bool take_head(struct net_upgrade *up, struct evbuffer *in, size_t len)
{
    char head[HEAD_MAX + 1];
    unsigned status;
    long n;

    evbuffer_remove(in, head, len);
    head[len] = '\0';
    if (sscanf(head, "HTTP/1.1 %3u ", &status) != 1) {
        fail(up, XN_EPROTO, "its answer is not understood");
        return false;
    }
    if (status == SWITCHED) {
        end(up, 0, "", "");
        return false;
    }
    n = length_of(head);
    if (n <= 0) {
        fail(up, XN_EPROTO, "its answer is not understood");
        return false;
    }
    up->awaits = (size_t)n;
    return true;
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct net_upgrade *up = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_ptr blank;

    if (!up->awaits) {
        blank = evbuffer_search(in, "\r\n\r\n", 4, NULL);
        if (blank.pos > HEAD_MAX - 4 ||
            (blank.pos < 0 && evbuffer_get_length(in) > HEAD_MAX)) {
            fail(up, XN_EPROTO, "its answer is not understood");
            return;
        }
        if (blank.pos < 0) return;
        if (!take_head(up, in, (size_t)blank.pos + 4)) return;
    }
    if (evbuffer_get_length(in) >= up->awaits) take_refusal(up, in);
}

/* ---- the question -------------------------------------------------------- */

static void ask(struct net_upgrade *up)
{
    struct xn_cert peer;

    net_tls_caller(bufferevent_openssl_get_ssl(up->bev), up->order.identity,
                   &peer);
    if (peer.role == XN__ROLE__ANYBODY || !xn_id_eq(&peer.id, up->order.peer)) {
        fail(up, XN_EIDENT, "what answers has another key");
        return;
    }
    evbuffer_add_printf(bufferevent_get_output(up->bev),
                        "POST %s HTTP/1.1\r\nHost: %s\r\n"
                        "Connection: Upgrade\r\nUpgrade: " STREAM_PROTOCOL
                        "\r\nContent-Type: application/x-protobuf\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        up->order.path, up->authority, up->len);
    bufferevent_write(up->bev, up->body, up->len);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct net_upgrade *up = arg;
    const int on = 1;
    int dns = bufferevent_socket_get_dns_error(bev);
    char text[200];

    if (what & BEV_EVENT_CONNECTED) {
        setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on,
                   sizeof on);
        ask(up);
    } else if (dns) {
        fail(up, XN_EUNREACH, evutil_gai_strerror(dns));
    } else if (bufferevent_get_openssl_error(bev)) {
        fail(up, XN_EUNREACH, net_tls_error(text, sizeof text));
    } else {
        fail(up, XN_EUNREACH,
             what & BEV_EVENT_EOF
                 ? "it closed the connection"
                 : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    }
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    fail(arg, XN_ETIMEOUT, "no answer in time");
}

static void on_fails(evutil_socket_t fd, short what, void *arg)
{
    struct net_upgrade *up = arg;

    tell(up, up->rc, up->because);
}

/* As the machine's resolver is told now; without a word, that DNS is on it. */
static int open_dns(struct net_upgrade *up)
{
    up->dns = evdns_base_new(up->order.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!up->dns) return XN_ENOMEM;
    evdns_base_resolv_conf_parse(up->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    return 0;
}

static int begin(struct net_upgrade *up, int port)
{
    const struct timeval time = {up->order.timeout_ms / 1000,
                                 up->order.timeout_ms % 1000 * 1000};
    struct event_base *base = up->order.base;
    SSL *ssl;
    int rc = net_tls_client(up->order.identity, &up->ctx);

    if (!rc && up->order.shares) rc = open_dns(up);
    if (rc) return rc;
    ssl = SSL_new(up->ctx);
    if (!ssl) return XN_ENOMEM;
    /* Not deferred, its end would be told before what came with it is there. */
    up->bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!up->bev) {
        SSL_free(ssl);
        return XN_ENOMEM;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(up->bev, 1);
    up->clock = evtimer_new(base, on_clock, up);
    up->fails = evtimer_new(base, on_fails, up);
    if (!up->clock || !up->fails || event_add(up->clock, &time))
        return XN_ENOMEM;
    bufferevent_enable(up->bev, EV_READ | EV_WRITE);
    bufferevent_setcb(up->bev, on_read, NULL, on_event, up);
    if (bufferevent_socket_connect_hostname(up->bev, up->dns, AF_UNSPEC,
                                            up->host, port))
        fail(up, XN_EUNREACH, strerror(errno));
    up->begun = true;
    return 0;
}

static int name(struct net_upgrade *up, const char *host, int port)
{
    size_t n = host ? strlen(host) : 0;

    if (!n || n >= sizeof up->host || port <= 0) return XN_EINVAL;
    if (host[0] == '[') /* IPv6, which stands in brackets */
        snprintf(up->host, sizeof up->host, "%.*s", (int)n - 2, host + 1);
    else
        snprintf(up->host, sizeof up->host, "%s", host);
    snprintf(up->authority, sizeof up->authority, "%s:%d", host, port);
    return 0;
}

int net_upgrade_new(const struct net_upgrade_order *order,
                    struct net_upgrade **upgrade_out)
{
    struct net_upgrade *up = calloc(1, sizeof *up);
    struct evhttp_uri *uri = evhttp_uri_parse(order->url);
    const char *host = uri ? evhttp_uri_get_host(uri) : NULL;
    int port = uri ? evhttp_uri_get_port(uri) : 0;
    int rc = up ? name(up, host, port) : XN_ENOMEM;

    if (!rc) {
        up->order = *order;
        rc = xn_pack(order->body, &up->body, &up->len);
    }
    if (!rc) rc = begin(up, port);
    if (uri) evhttp_uri_free(uri);
    if (rc) {
        net_upgrade_free(up);
        return rc;
    }
    *upgrade_out = up;
    return 0;
}

bool net_upgrade_refused(const struct net_upgrade *up)
{
    return up->refused;
}

struct bufferevent *net_upgrade_take(struct net_upgrade *up)
{
    struct bufferevent *bev = up->bev;

    up->bev = NULL;
    return bev;
}

void net_upgrade_free(struct net_upgrade *up)
{
    if (!up) return;
    if (up->clock) event_free(up->clock);
    if (up->fails) event_free(up->fails);
    if (up->bev) bufferevent_free(up->bev);
    if (up->dns) evdns_base_free(up->dns, 1); /* a look-up ends, unheard */
    SSL_CTX_free(up->ctx);
    free(up->body);
    free(up);
}
