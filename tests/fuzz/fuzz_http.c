/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HTTP interface of a XenoCorp, whole: bytes on connections, net/http.c and
 * evhttp, the core and its books behind them.  Only TLS is left out: who calls
 * is said by the input, which is
 *
 *     section *( "\n@@" section )       at most 4, each a connection
 *     section = caller cut "\n" bytes   caller: a letter of corp_world.h
 *                                       cut: '0' whole; '1'.. in pieces
 *
 * The connections' pieces go in turns.  All requests are answered or their
 * connection is closed, and quiet comes within bounds; the books add up, and
 * nobody's money is moved by others. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "corp/ledger.h"
#include "corp/order_file.h"
#include "lib/err.h"
#include "net/addr.h"
#include "net/http.h"
#include "net/tls.h"
#include "tests/fuzz/corp_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- net/http.c without TLS, on a socket of the file system's kind ---- */

static struct bufferevent *plain_bufferevent(struct event_base *base, SSL *ssl);
static SSL *ssl_of(struct bufferevent *bev);
static void caller_of(SSL *ssl, struct xn_cert *cert_out);
static int plain_context(SSL_CTX **ctx_out);
static int plain_listen(int *fd_out, char bound_out[NET_ADDR_TEXT]);
static void counted(struct evhttp_request *request, void *arg);
static void (*handler)(struct evhttp_request *request, void *arg);

#define bufferevent_openssl_socket_new(base, fd, ssl, state, options)          \
    plain_bufferevent(base, ssl)
#define bufferevent_openssl_set_allow_dirty_shutdown(bev, yes) ((void)(bev))
#define bufferevent_openssl_get_ssl(bev) ssl_of(bev)
#define net_tls_caller(ssl, identity, cert_out) caller_of(ssl, cert_out)
#define net_tls_api(identity, ctx_out) plain_context(ctx_out)
#define net_listen(text, fd_out, bound_out) plain_listen(fd_out, bound_out)
#define evhttp_set_gencb(evhttp, fn, arg)                                      \
    (handler = (fn), evhttp_set_gencb(evhttp, counted, arg))

#include "net/http.c"

enum {
    SECTIONS_MAX = 4,
    PIECES_MAX = 200, /* of a section; the rest goes at once */
    TURNS_MAX = 5000, /* of the loop, until it is quiet */
    SPILL_MAX = 8 << 20,
};

struct client {
    const uint8_t *data;
    size_t len, at, piece;
    unsigned pieces;
    char caller;
    int fd;
    bool is_over; /* the server has closed it */
    SSL *ssl;
    struct bufferevent *bev; /* the server's end; perhaps gone */
    char head[8192];         /* of a reply */
    size_t head_len;
    size_t body; /* bytes of one still to come */
    size_t got;
    unsigned replies;
};

struct queued {
    enum xn_ev kind;
    uint64_t ticket;
    int rc;
    struct xn_msg *msg;
};

static struct play {
    struct event_base *base;
    struct net_http *http;
    struct sockaddr_un where;
    socklen_t where_len;
    struct world w;
    struct client clients[SECTIONS_MAX];
    size_t n;
    size_t accepted; /* in the order of connecting */
    struct queued queue[64];
    size_t n_queue;
    unsigned requests;
} play;

static struct bufferevent *plain_bufferevent(struct event_base *base, SSL *ssl)
{
    struct client *client = &play.clients[play.accepted++];

    assert(play.accepted <= play.n);
    client->ssl = ssl;
    client->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    return client->bev;
}

static struct client *client_of(const SSL *ssl)
{
    for (size_t i = 0; i < play.n; i++) {
        if (play.clients[i].ssl == ssl) return &play.clients[i];
    }
    abort();
}

static SSL *ssl_of(struct bufferevent *bev)
{
    for (size_t i = 0; i < play.n; i++) {
        if (play.clients[i].bev == bev) return play.clients[i].ssl;
    }
    return NULL;
}

static void caller_of(SSL *ssl, struct xn_cert *cert_out)
{
    Xn__Caller caller = world_caller(client_of(ssl)->caller);

    memset(cert_out, 0, sizeof *cert_out);
    cert_out->role = caller.role;
    cert_out->not_after_us = UINT64_MAX - 2 * SKEW_US;
    if (caller.id.len) (void)xn_id_from_bytes(&caller.id, &cert_out->id);
    if (caller.corp.len) (void)xn_id_from_bytes(&caller.corp, &cert_out->corp);
    if (caller.position.len)
        (void)xn_id_from_bytes(&caller.position, &cert_out->position);
}

static int plain_context(SSL_CTX **ctx_out)
{
    *ctx_out = SSL_CTX_new(TLS_server_method());
    return *ctx_out ? 0 : XN_ENOMEM;
}

/* Without a name: the kernel finds one. */
static int plain_listen(int *fd_out, char bound_out[NET_ADDR_TEXT])
{
    sa_family_t family = AF_UNIX;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    play.where_len = sizeof play.where;
    if (fd < 0 || bind(fd, (void *)&family, sizeof family) ||
        getsockname(fd, (void *)&play.where, &play.where_len) ||
        listen(fd, 16)) {
        return XN_EIO;
    }
    bound_out[0] = 0;
    *fd_out = fd;
    return 0;
}

static void counted(struct evhttp_request *request, void *arg)
{
    play.requests++;
    handler(request, arg);
}

/* ---- the loop ---- */

struct event_base *net_loop_base(const struct net_loop *loop)
{
    return play.base;
}

void net_loop_raise(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                    int rc, xn_peer peer, struct xn_msg *msg)
{
    assert(play.n_queue < sizeof play.queue / sizeof play.queue[0]);
    play.queue[play.n_queue++] = (struct queued){kind, ticket, rc, msg};
}

void net_loop_tell(struct net_loop *loop, enum xn_ev kind, uint64_t ticket,
                   xn_peer peer, unsigned msg_kind, const void *body)
{
    struct xn_msg *msg = NULL;

    if (xn_msg_new(msg_kind, body, &msg)) abort();
    net_loop_raise(loop, kind, ticket, 0, peer, msg);
}

static void on_answer(struct world *w, uint64_t ticket,
                      const Xn__Answer *answer)
{
    net_http_answer(play.http, ticket, answer);
}

static void work_off(void)
{
    for (size_t i = 0; i < play.n_queue; i++) {
        struct queued q = play.queue[i];

        world_event(&play.w, q.kind, q.ticket, q.rc, q.msg);
        xn_msg_free(q.msg);
    }
    play.n_queue = 0;
    world_run(&play.w);
}

/* ---- replies ---- */

/* One whole head: its status line, and how long the body is. */
static void take_head(struct client *c)
{
    const char *text = c->head, *length;

    assert(strncmp(text, "HTTP/", 5) == 0);
    length = strstr(text, "\r\nContent-Length: ");
    /* Without a length the body goes on until the connection ends. */
    c->body = length ? strtoul(length + 18, NULL, 10) : SIZE_MAX;
    if (text[9] == '1') c->body = 0; /* more to come: 100 Continue */
    if (text[9] != '1') c->replies++;
    c->head_len = 0;
}

static void take_bytes(struct client *c, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (c->body) {
            c->body--;
            continue;
        }
        assert(c->head_len + 1 < sizeof c->head);
        c->head[c->head_len++] = bytes[i];
        c->head[c->head_len] = 0;
        if (c->head_len >= 4 &&
            !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) {
            take_head(c);
        }
    }
}

static bool hear(struct client *c)
{
    char bytes[16384];
    bool heard = false;

    while (!c->is_over) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) break;
        heard = true;
        if (n <= 0) {
            c->is_over = true;
            break;
        }
        c->got += (size_t)n;
        assert(c->got < SPILL_MAX);
        take_bytes(c, bytes, (size_t)n);
    }
    return heard;
}

/* ---- the play ---- */

/* One turn of everything; false: nothing stirred. */
static bool turn(void)
{
    unsigned requests = play.requests;
    bool stirred = false;

    event_base_loop(play.base, EVLOOP_NONBLOCK);
    stirred = play.n_queue > 0 || play.requests != requests;
    work_off();
    for (size_t i = 0; i < play.n; i++)
        stirred |= hear(&play.clients[i]);
    return stirred;
}

/* Until it has been quiet twice: what is deferred takes a turn. */
static void settle(void)
{
    unsigned quiet = 0;

    for (unsigned i = 0; quiet < 2; i++) {
        assert(i < TURNS_MAX);
        quiet = turn() ? 0 : quiet + 1;
    }
}

static void dial(struct client *c)
{
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(c->fd >= 0);
    if (connect(c->fd, (void *)&play.where, play.where_len)) abort();
}

/* false: nothing left to say. */
static bool say(struct client *c)
{
    size_t len = c->len - c->at;
    ssize_t n;

    if (c->is_over || !len) return false;
    if (c->piece && c->pieces++ < PIECES_MAX && len > c->piece) len = c->piece;
    n = send(c->fd, c->data + c->at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        assert(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
        return errno == EAGAIN;
    }
    c->at += (size_t)n;
    return true;
}

static void speak(void)
{
    bool more = true;

    settle(); /* all are accepted, in their order */
    for (unsigned i = 0; more; i++) {
        assert(i < TURNS_MAX);
        more = false;
        for (size_t j = 0; j < play.n; j++)
            more |= say(&play.clients[j]);
        turn();
    }
    settle();
}

/* The clients have nothing more to say, and so the server ends it. */
static void leave(void)
{
    bool all = false;

    for (size_t i = 0; i < play.n; i++)
        shutdown(play.clients[i].fd, SHUT_WR);
    for (unsigned i = 0; !all; i++) {
        assert(i < TURNS_MAX);
        turn();
        all = true;
        for (size_t j = 0; j < play.n; j++)
            all &= play.clients[j].is_over;
    }
    for (size_t i = 0; i < play.n; i++) {
        close(play.clients[i].fd);
        SSL_free(play.clients[i].ssl);
    }
    assert(!play.http->conns && play.http->n == 0);
}

static void add_section(const uint8_t *data, size_t len)
{
    struct client *c = &play.clients[play.n];

    if (play.n == SECTIONS_MAX || len < 3 || data[2] != '\n') return;
    memset(c, 0, sizeof *c);
    c->caller = (char)(data[0] % 128);
    c->piece = (size_t)(data[1] & 15) * (data[1] & 15);
    c->data = data + 3;
    c->len = len - 3;
    play.n++;
}

static void split(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len, *next;

    play.n = play.accepted = 0;
    play.requests = 0;
    while (data < end) {
        next = memmem(data, (size_t)(end - data), "\n@@", 3);
        add_section(data, (size_t)((next ? next : end) - data));
        if (!next) break;
        data = next + 3;
    }
}

static void open_play(void)
{
    struct net_http_config config = {.listen = "", .max = 64};

    if (play.base) return;
    play.base = event_base_new();
    if (!play.base || net_http_new(NULL, &config, &play.http)) abort();
}

/* ---- money ---- */

static bool spoke(char letter)
{
    for (size_t i = 0; i < play.n; i++) {
        if (play.clients[i].caller == letter) return true;
    }
    return false;
}

static int64_t gained(char who)
{
    xn_id corp = world_id('k'), member = world_id(who), account;
    bool server = who == 's' || who == 't';

    order_account(&corp, server ? LEDGER_SERVER : LEDGER_CLIENT, &member, "GBP",
                  &account);
    return world_balance(&play.w.store, &account) -
           world_balance(world_past(), &account);
}

static void check_money(void)
{
    const struct mem_store *past = world_past(), *now = &play.w.store;
    int64_t sum = 0;

    if (now->applied) world_audit(now);
    for (int kind = LEDGER_CLIENT; kind <= LEDGER_FENCE; kind++)
        sum += world_held(now, kind);
    assert(sum == 0);
    /* Money comes by the staff alone ... */
    if (!spoke('k')) {
        assert(world_held(now, LEDGER_EXTERNAL) ==
               world_held(past, LEDGER_EXTERNAL));
        assert(gained('c') <= 10000000 + 9500000); /* what was fenced */
        assert(gained('d') <= 0);
    }
    /* ... goes to a server for its own claims alone, out of what was fenced, */
    for (const char *s = "st"; *s; s++) {
        assert(gained(*s) >= 0 || spoke('k')); /* who pays out */
        if (gained(*s) > 0) {
            assert(spoke(*s));
            assert(play.w.claimed[(unsigned char)*s]);
        }
    }
    /* ... and out of a client's account by his own word. */
    if (!spoke('d')) assert(gained('d') >= 0);
    if (!spoke('c')) assert(gained('c') >= 0);
    if (!spoke('c') && !spoke('d')) {
        assert(gained('s') + gained('t') <= 10000000 + 9500000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct corp_config config = world_config();

    open_play();
    split(data, len);
    world_copy_store(world_past(), &play.w.store);
    play.w.now = (struct xn_now){1000000, WORLD_NOW_US + WORLD_HOUR_US};
    play.w.answer = on_answer;
    world_start(&play.w, &config);
    for (size_t i = 0; i < play.n; i++)
        dial(&play.clients[i]);
    speak();
    assert(net_http_idle(play.http));
    leave();
    check_money();
    for (size_t i = 0; i < play.n; i++)
        play.requests -= play.clients[i].replies < play.requests
                             ? play.clients[i].replies
                             : play.requests;
    assert(play.requests == 0); /* none without its reply */
    world_stop(&play.w);
    return 0;
}
