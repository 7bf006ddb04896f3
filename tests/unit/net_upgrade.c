/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a server is found by its name, what it hears first of a connection that is
 * to be upgraded, what it may answer, and that what it says last is there when the
 * end is told. */
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/net_kit.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>

#include "lib/err.h"
#include "net/relay.h"
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
    bool shares;
    unsigned timeout_ms; /* 0: HANGS_S */
    struct net_upgrade *up;
    int rc;
    bool ended;
    size_t there; /* bytes, when the end was told */
};

/* In the place of the machine's DNS while `socket` is open. */
static struct {
    int socket;
    bool answers;         /* that there is no such name */
    struct kit *gives_up; /* when it is asked */
    const char *hosts;    /* a file, as /etc/hosts */
    unsigned asked, blocked;
} dns;

/* In the place of libevent's. */
int evdns_base_resolv_conf_parse(struct evdns_base *base, int flags,
                                 const char *const filename)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;

    assert_int_equal(flags, DNS_OPTIONS_ALL);
    assert_string_equal(filename, "/etc/resolv.conf");
    assert_int_equal(getsockname(dns.socket, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(evdns_base_nameserver_sockaddr_add(
                         base, (struct sockaddr *)&at, len, 0),
                     0);
    return dns.hosts ? evdns_base_load_hosts(base, dns.hosts) : 0;
}

/* In the place of the C library's, which then would wait for an answer. */
int getaddrinfo(const char *host, const char *service,
                const struct addrinfo *hints, struct addrinfo **list_out)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);

    if (dns.socket) dns.blocked++;
    if (dns.socket) return EAI_AGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, list_out);
}

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
        .timeout_ms = k->timeout_ms ? k->timeout_ms : HANGS_S * 1000,
        .shares = k->shares,
        .ended = on_ended,
        .arg = k,
    };

    snprintf(url, sizeof url, "https://%s:%d", host, k->port);
    if (!k->base) k->base = event_base_new();
    order.base = k->base;
    assert_int_equal(net_upgrade_new(&order, &k->up), 0);
    event_base_dispatch(k->base);
    assert_true(k->ended);
}

static bool begin(struct kit *k, int family, const char *host, int records)
{
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
static void host_is(int family, const char *host, bool shares)
{
    char data[4096] = "", line[160];
    struct bufferevent *bev;
    struct kit k = {.shares = shares};
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
    host_is(AF_INET, "127.0.0.1", false);
}

static void ipv6_stands_in_brackets(void **state)
{
    host_is(AF_INET6, "[::1]", false);
}

/* ---- names, while the loop goes on ---- */

static void on_asked(evutil_socket_t fd, short what, void *arg)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    uint8_t data[512];
    ssize_t n =
        recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);

    assert_true(n > 12);
    dns.asked++;
    if (dns.gives_up) {
        net_upgrade_free(dns.gives_up->up);
        dns.gives_up->up = NULL;
        dns.gives_up->ended = true;
        event_base_loopbreak(dns.gives_up->base);
        dns.gives_up = NULL;
    }
    if (!dns.answers) return;
    data[2] |= 0x80; /* an answer: NXDOMAIN */
    data[3] = 0x83;
    assert_int_equal(
        sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len), n);
}

static void open_dns(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};

    memset(&dns, 0, sizeof dns);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    dns.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dns.socket, (struct sockaddr *)&at, sizeof at), 0);
}

static void close_dns(void)
{
    close(dns.socket);
    dns.socket = 0;
}

/* Its DNS is served by the same loop, which a look-up that waits would stop. */
static void name_ends(bool answers, bool gives_up, unsigned timeout_ms, int rc)
{
    struct kit k = {.shares = true, .timeout_ms = timeout_ms, .port = 1};
    struct event *asked;

    open_dns();
    dns.answers = answers;
    dns.gives_up = gives_up ? &k : NULL;
    kit_make_corp(&k.corp, "corp");
    kit_make_member(&k.corp, XN__ROLE__SERVER, "server", &k.server);
    kit_make_member(&k.corp, XN__ROLE__CLIENT, "client", &k.client);
    k.base = event_base_new();
    asked = event_new(k.base, dns.socket, EV_READ | EV_PERSIST, on_asked, NULL);
    event_add(asked, NULL);
    ask(&k, "far.example");
    assert_int_equal(k.rc, rc);
    assert_true(dns.asked > 0);
    assert_int_equal(dns.blocked, 0);
    net_upgrade_free(k.up);
    event_free(asked);
    net_relay_base_free(k.base);
    close_dns();
    net_identity_clear(&k.client);
    net_identity_clear(&k.server);
    net_identity_clear(&k.corp);
}

static void nobody_answers_for_its_name(void **state)
{
    name_ends(false, false, 500, XN_ETIMEOUT);
}

static void its_name_is_none(void **state)
{
    name_ends(true, false, 0, XN_EUNREACH);
}

/* on_ended is not called: rc stays 0. */
static void it_is_given_up_meanwhile(void **state)
{
    name_ends(false, true, 0, 0);
    name_ends(true, true, 0, 0);
}

static void its_name_is_known(void **state)
{
    char path[] = "/tmp/xn-hosts-XXXXXX";
    int fd = mkstemp(path);

    open_dns();
    assert_int_equal(dprintf(fd, "127.0.0.1 far.example\n"), 22);
    close(fd);
    dns.hosts = path;
    host_is(AF_INET, "far.example", true);
    host_is(AF_INET, "127.0.0.1", true);
    assert_int_equal(dns.blocked, 0);
    unlink(path);
    close_dns();
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
        struct kit k = {0};

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
        cmocka_unit_test(nobody_answers_for_its_name),
        cmocka_unit_test(its_name_is_none),
        cmocka_unit_test(it_is_given_up_meanwhile),
        cmocka_unit_test(its_name_is_known),
        cmocka_unit_test(its_end_is_told_last),
    };

    signal(SIGPIPE, SIG_IGN);
    alarm(HANGS_S * 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
