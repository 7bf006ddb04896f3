/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a server hears first of a connection that is to be upgraded, what it may
 * answer, and that what it says last is there when the end is told. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/net_kit.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "net/tls.h"
#include "net/upgrade.h"
#include "wire/api.pb-c.h"

#define HANGS_S 60  /* then this has failed */
#define RECORD 1500 /* bytes */

struct kit {
    struct net_identity corp, server, client;
    struct sockaddr_storage at;
    int listener, heard; /* what the server was told comes out of `heard` */
    int go;              /* closed: it says the rest and goes */
    int port;
    pid_t pid;
    struct event_base *base;
    struct net_upgrade *up;
    int rc;
    bool ended;
    size_t there; /* bytes, when the end was told */
};

/* False: this machine has no such address. */
static bool listen_at(struct kit *k, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    bool ok;

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    k->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok = k->listener >= 0 && bind(k->listener,
                                  family == AF_INET ? (struct sockaddr *)&v4
                                                    : (struct sockaddr *)&v6,
                                  len) == 0;
    if (!ok) return false;
    assert_int_equal(listen(k->listener, 1), 0);
    len = sizeof k->at;
    assert_int_equal(getsockname(k->listener, (struct sockaddr *)&k->at, &len),
                     0);
    k->port =
        ntohs(family == AF_INET ? ((struct sockaddr_in *)&k->at)->sin_port
                                : ((struct sockaddr_in6 *)&k->at)->sin6_port);
    return true;
}

/* One connection: what is heard, to its blank line; then the answer; then, when it
 * may, so many records. */
static void serve(struct kit *k, int out, int may, int records)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    char data[4096] = "";
    SSL_CTX *ctx = NULL;
    SSL *ssl;
    int n = 0, got = 1;

    alarm(HANGS_S);
    if (net_tls_api(&k->server, &ctx)) _exit(1);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, accept(k->listener, NULL, NULL));
    if (SSL_accept(ssl) != 1) _exit(2);
    while (got > 0 && !strstr(data, "\r\n\r\n")) {
        got = SSL_read(ssl, data + n, (int)sizeof data - 1 - n);
        if (got > 0) n += got;
        data[n] = '\0';
    }
    if (write(out, data, (size_t)n) != n) _exit(3);
    SSL_write(ssl, answer, (int)strlen(answer));
    if (read(may, data, 1) != 0) _exit(4);
    while (records-- > 0)
        SSL_write(ssl, data, RECORD);
    SSL_shutdown(ssl);
    _exit(0);
}

static void spawn(struct kit *k, int records)
{
    int heard[2], go[2];

    assert_int_equal(pipe(heard), 0);
    assert_int_equal(pipe(go), 0);
    k->pid = fork();
    if (k->pid == 0) {
        close(go[1]);
        serve(k, heard[1], go[0], records);
    }
    close(heard[1]);
    close(go[0]);
    close(k->listener);
    k->heard = heard[0];
    k->go = go[1];
}

static void on_ended(void *arg, int rc, const char *because, const char *try)
{
    struct kit *k = arg;

    assert_false(k->ended);
    k->ended = true;
    k->rc = rc;
    event_base_loopbreak(k->base);
}

static void ask(struct kit *k, const char *host)
{
    Xn__ForwardTask body = XN__FORWARD_TASK__INIT;
    char url[128];
    struct net_upgrade_order order = {
        .identity = &k->client,
        .url = url,
        .path = "/v1/tasks/forward",
        .peer = &k->server.cert.id,
        .body = &body,
        .timeout_ms = HANGS_S * 1000,
        .ended = on_ended,
        .arg = k,
    };

    snprintf(url, sizeof url, "https://%s:%d", host, k->port);
    k->base = order.base = event_base_new();
    assert_int_equal(net_upgrade_new(&order, &k->up), 0);
    event_base_dispatch(k->base);
    assert_true(k->ended);
}

static bool begin(struct kit *k, int family, const char *host, int records)
{
    *k = (struct kit){0};
    if (!listen_at(k, family)) return false;
    kit_make_corp(&k->corp, "corp");
    kit_make_member(&k->corp, XN__ROLE__SERVER, "server", &k->server);
    kit_make_member(&k->corp, XN__ROLE__CLIENT, "client", &k->client);
    spawn(k, records);
    ask(k, host);
    assert_int_equal(k->rc, 0);
    return true;
}

/* The server has said all and is gone. */
static void let_go(struct kit *k)
{
    close(k->go);
    assert_int_equal(waitpid(k->pid, NULL, 0), k->pid);
}

static void end(struct kit *k)
{
    close(k->heard);
    net_upgrade_free(k->up);
    event_base_free(k->base);
    net_identity_clear(&k->client);
    net_identity_clear(&k->server);
    net_identity_clear(&k->corp);
}

/* It is told the address that it was called by. */
static void host_is(int family, const char *host)
{
    char data[4096] = "", line[160];
    struct bufferevent *bev;
    struct kit k;
    ssize_t n;

    if (!begin(&k, family, host, 0)) skip();
    bev = net_upgrade_take(k.up);
    assert_non_null(bev);
    bufferevent_free(bev);
    n = read(k.heard, data, sizeof data - 1);
    assert_true(n > 0);
    snprintf(line, sizeof line, "\r\nHost: %s:%d\r\n", host, k.port);
    if (!strstr(data, line)) fail_msg("not %s: %s", line, data);
    let_go(&k);
    end(&k);
}

static void it_is_called_by_name(void **state)
{
    host_is(AF_INET, "127.0.0.1");
}

static void ipv6_stands_in_brackets(void **state)
{
    host_is(AF_INET6, "[::1]");
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
    struct kit *k = arg;

    k->there = evbuffer_get_length(bufferevent_get_input(bev));
    event_base_loopbreak(k->base);
}

/* libevent reads into two pieces of memory at once: for some of these numbers the
 * last record and the end come together. */
static void its_end_is_told_last(void **state)
{
    for (int records = 1; records <= 12; records++) {
        struct bufferevent *bev;
        struct kit k;

        if (!begin(&k, AF_INET, "127.0.0.1", records)) skip();
        bev = net_upgrade_take(k.up);
        assert_non_null(bev);
        let_go(&k);
        bufferevent_setcb(bev, NULL, NULL, on_end, &k);
        bufferevent_enable(bev, EV_READ);
        event_base_dispatch(k.base);
        assert_int_equal(k.there, (size_t)records * RECORD);
        bufferevent_free(bev);
        end(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_called_by_name),
        cmocka_unit_test(ipv6_stands_in_brackets),
        cmocka_unit_test(its_end_is_told_last),
    };

    signal(SIGPIPE, SIG_IGN);
    alarm(HANGS_S * 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
