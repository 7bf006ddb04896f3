/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTPS both ways: requests to a driver, and CALLs from one. */
#include "tests/unit/net_kit.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "net/addr.h"
#include "net/client.h"
#include "net/clock.h"

static struct net_identity corp, corp2, node, client, foreign, anybody;
static struct kit_child child;

/* Answers a Caller: who asked, with method, path and query as its label.
 * /slow is never answered, /silent neither, and its CANCEL is told. */
static void echoes(struct kit_core *core, const struct xn_now *now,
                   const struct xn_event *ev, struct xn_out *out)
{
    static uint64_t silent;
    const Xn__Ask *ask;
    Xn__Caller caller;
    char label[256];

    if (ev->kind == XN_EV_CANCEL && ev->ticket == silent) {
        if (write(kit_child_out, "cancel\n", 7) != 7) abort();
    }
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/silent") == 0) {
        silent = ev->ticket;
        if (write(kit_child_out, "asked\n", 6) != 6) abort();
        return;
    }
    if (strcmp(ask->path, "/refuse") == 0) {
        xn_out_refuse(out, ev->ticket, XN_EPERM, "no", "because", "never");
        return;
    }
    if (strcmp(ask->path, "/often") == 0) {
        xn_out_refuse_until(out, ev->ticket, "no", "because", 11000001);
        return;
    }
    caller = *ask->caller;
    snprintf(label, sizeof label, "%s %s %s %zu", ask->method, ask->path,
             ask->query, ask->body.len);
    caller.label = label;
    xn_out_answer(out, ev->ticket, 200, &caller);
}

static int setup(void **state)
{
    struct net_config config;

    kit_make_corp(&corp, "alpha.example");
    kit_make_corp(&corp2, "beta.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    kit_make_member(&corp2, XN__ROLE__CLIENT, "foreign", &foreign);
    kit_accept(&foreign, &corp);
    assert_int_equal(net_identity_anonymous(&anybody), 0);
    kit_accept(&anybody, &corp);
    signal(SIGPIPE, SIG_IGN);
    config = kit_config(&node);
    kit_spawn(&config, echoes, &child);
    return 0;
}

static int teardown(void **state)
{
    kit_kill(&child, SIGTERM);
    net_identity_clear(&corp);
    net_identity_clear(&corp2);
    net_identity_clear(&node);
    net_identity_clear(&client);
    net_identity_clear(&foreign);
    net_identity_clear(&anybody);
    return 0;
}

static Xn__Caller *ask_as(const struct net_identity *who, const char *method,
                          const char *path, const void *body, size_t len)
{
    struct net_reply reply;
    char url[200], why[300];
    Xn__Caller *caller;
    int rc;

    snprintf(url, sizeof url, "https://%s%s", child.api, path);
    rc = net_request(who, method, url, body, len, &node.cert.id, 60000, &reply,
                     why, sizeof why);
    if (rc) print_message("%s\n", why);
    assert_int_equal(rc, 0);
    assert_int_equal(reply.status, 200);
    assert_true(xn_id_eq(&reply.server.id, &node.cert.id));
    assert_int_equal(reply.server.role, XN__ROLE__NODE);
    caller = xn__caller__unpack(NULL, reply.body.len, reply.body.data);
    assert_non_null(caller);
    net_reply_clear(&reply);
    return caller;
}

static void check_caller(const struct net_identity *who, Xn__Role role,
                         const xn_id *id)
{
    Xn__Caller *caller = ask_as(who, "POST", "/v1/x?a=b&c", "body", 4);
    xn_id got = {{0}};

    assert_string_equal(caller->label, "POST /v1/x a=b&c 4");
    assert_int_equal(caller->role, role);
    if (caller->id.len) xn_id_from_bytes(&caller->id, &got);
    assert_true(xn_id_eq(&got, id));
    assert_int_equal(strncmp(caller->address, "127.0.0.1:", 10), 0);
    assert_true(caller->source == htonl(INADDR_LOOPBACK));
    xn__caller__free_unpacked(caller, NULL);
}

static void who_asks(void **state)
{
    struct net_identity nameless = {.anchors = anybody.anchors};
    static const xn_id nobody;

    check_caller(&client, XN__ROLE__CLIENT, &client.cert.id);
    check_caller(&anybody, XN__ROLE__ANYBODY, &anybody.cert.id);
    check_caller(&foreign, XN__ROLE__ANYBODY, &foreign.cert.id);
    check_caller(&nameless, XN__ROLE__ANYBODY, &nobody);
}

static void get_and_refusal(void **state)
{
    Xn__Caller *caller = ask_as(&client, "GET", "/", NULL, 0);
    struct net_reply reply;
    char url[200], why[300];
    Xn__Refusal *refusal;

    assert_string_equal(caller->label, "GET /  0");
    xn__caller__free_unpacked(caller, NULL);
    snprintf(url, sizeof url, "https://%s/refuse", child.api);
    assert_int_equal(net_request(&client, "GET", url, NULL, 0, NULL, 10000,
                                 &reply, why, sizeof why),
                     0);
    assert_int_equal(reply.status, 403);
    refusal = xn__refusal__unpack(NULL, reply.body.len, reply.body.data);
    assert_non_null(refusal);
    assert_string_equal(refusal->because, "because");
    xn__refusal__free_unpacked(refusal, NULL);
    net_reply_clear(&reply);
}

static int request_rc(const struct net_identity *who, const char *url,
                      const xn_id *peer, unsigned ms)
{
    struct net_reply reply;
    char why[300];
    int rc = net_request(who, "GET", url, NULL, 0, peer, ms, &reply, why,
                         sizeof why);

    net_reply_clear(&reply);
    return rc;
}

static void request_fails(void **state)
{
    struct net_identity lonely;
    char url[200];

    snprintf(url, sizeof url, "https://%s/", child.api);
    assert_int_equal(request_rc(&client, url, &corp.cert.id, 60000), XN_EIDENT);
    assert_int_equal(net_identity_anonymous(&lonely), 0);
    assert_int_equal(request_rc(&lonely, url, NULL, 60000), XN_EIDENT);
    net_identity_clear(&lonely);
    assert_int_equal(request_rc(&client, "https://127.0.0.1:1/", NULL, 60000),
                     XN_EUNREACH);
    assert_int_equal(request_rc(&client, "http://127.0.0.1:1/", NULL, 60000),
                     XN_EINVAL);
    assert_int_equal(request_rc(&client, "file:///etc/passwd", NULL, 60000),
                     XN_EINVAL);
    snprintf(url, sizeof url, "https://%s/silent", child.api);
    assert_int_equal(request_rc(&client, url, NULL, 300), XN_ETIMEOUT);
}

static void expect_line(const char *want)
{
    char line[64];
    size_t n = 0;

    while (n < sizeof line - 1 && read(child.out, line + n, 1) == 1 &&
           line[n] != '\n')
        n++;
    line[n] = '\0';
    assert_string_equal(line, want);
}

/* The request of request_fails that was given up: the core hears of it. */
static void asker_goes_away(void **state)
{
    expect_line("asked");
    expect_line("cancel");
}

/* ---- bad input --------------------------------------------------------- */

struct raw {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* A connection that says nothing yet, from this address of ours. */
static int tcp_open(const char *source)
{
    struct net_addr addr, from;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(net_addr_parse(child.api, &addr), 0);
    assert_int_equal(net_addr_parse(source, &from), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from.sa, from.len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.sa, addr.len), 0);
    return fd;
}

static bool raw_connects(struct raw *raw, const char *source)
{
    raw->fd = tcp_open(source);
    raw->ctx = SSL_CTX_new(TLS_client_method());
    raw->ssl = SSL_new(raw->ctx);
    SSL_set_fd(raw->ssl, raw->fd);
    return SSL_connect(raw->ssl) == 1;
}

static void raw_open(struct raw *raw)
{
    assert_true(raw_connects(raw, "127.0.0.1:0"));
}

static void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->ctx);
    close(raw->fd);
}

/* What the server says to this, in at most `size` bytes; 0: it hangs up. */
static int raw_says(const char *head, size_t body, char *out, int size)
{
    struct raw raw;
    char zeros[4096] = {0};
    int n;

    raw_open(&raw);
    SSL_write(raw.ssl, head, (int)strlen(head));
    while (body > 0) {
        size_t part = body < sizeof zeros ? body : sizeof zeros;

        if (SSL_write(raw.ssl, zeros, (int)part) <= 0) break;
        body -= part;
    }
    n = SSL_read(raw.ssl, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    raw_close(&raw);
    return n > 0 ? n : 0;
}

static void bad_requests(void **state)
{
    char out[512], head[9000 + 64];

    raw_says("BREW / HTTP/1.1\r\n\r\n", 0, out, sizeof out);
    assert_null(strstr(out, " 200 "));
    raw_says("HEAD / HTTP/1.1\r\n\r\n", 0, out, sizeof out);
    assert_null(strstr(out, " 200 "));
    /* An answer in these versions would have no end. */
    raw_says("GET / HTTP/0.1\r\nConnection: keep-alive\r\n\r\n", 0, out,
             sizeof out);
    assert_non_null(strstr(out, " 505 "));
    assert_non_null(strstr(out, "Connection: close"));
    raw_says("GET / HTTP/1.36363636363\r\n\r\n", 0, out, sizeof out);
    assert_non_null(strstr(out, "HTTP/1.1 505 "));
    assert_non_null(strstr(out, "Content-Length: "));
    raw_says("junk\r\n\r\n", 0, out, sizeof out);
    assert_null(strstr(out, " 200 "));
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nX: ");
    memset(head + strlen(head), 'x', 9000);
    memcpy(head + 9000, "\r\n\r\n", 5);
    raw_says(head, 0, out, sizeof out);
    assert_null(strstr(out, " 200 "));
    raw_says("POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 0, out,
             sizeof out);
    assert_null(strstr(out, " 200 "));
    /* One byte less is fine. */
    raw_says("POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n", 1048576, out,
             sizeof out);
    assert_non_null(strstr(out, " 200 "));
}

/* The header says when as the refusal does. */
static void says_when_to_ask_again(void **state)
{
    char out[512];

    raw_says("GET /often HTTP/1.1\r\nHost: x\r\n\r\n", 0, out, sizeof out);
    assert_non_null(strstr(out, " 429 "));
    assert_non_null(strstr(out, "\r\nRetry-After: 12\r\n"));
}

static void refused_with(const struct net_identity *who, const char *method,
                         const char *path, int status, int want)
{
    struct net_reply reply;
    char url[200], why[300];
    Xn__Refusal *refusal;

    snprintf(url, sizeof url, "https://%s%s", child.api, path);
    assert_int_equal(net_request(who, method, url, NULL, 0, &node.cert.id,
                                 60000, &reply, why, sizeof why),
                     0);
    assert_int_equal(reply.status, status);
    refusal = xn__refusal__unpack(NULL, reply.body.len, reply.body.data);
    assert_non_null(refusal);
    assert_int_equal(refusal->rc, want);
    xn__refusal__free_unpacked(refusal, NULL);
    net_reply_clear(&reply);
}

/* Bodies as large as the daemon says; and what is not answered in time may
 * have been done, if it was to change anything. */
static void bodies_and_patience(void **state)
{
    struct net_config config = kit_config(&node);
    struct kit_child first = child;
    char out[512];

    config.api_body_max = 1000;
    config.api_ask_us = 100000;
    kit_spawn(&config, echoes, &child);
    raw_says("POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 0, out,
             sizeof out);
    assert_null(strstr(out, " 200 "));
    raw_says("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n", 1000, out,
             sizeof out);
    assert_non_null(strstr(out, " 200 "));
    refused_with(&client, "GET", "/silent", 504, XN_ETIMEOUT);
    expect_line("asked");
    expect_line("cancel");
    refused_with(&client, "POST", "/silent", 504, XN_EUNKNOWN);
    expect_line("asked");
    expect_line("cancel");
    kit_kill(&child, SIGTERM);
    child = first;
}

static void plain_http_is_refused(void **state)
{
    static const char get[] = "GET / HTTP/1.1\r\n\r\n";
    struct net_addr addr;
    char out[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n;

    assert_int_equal(net_addr_parse(child.api, &addr), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.sa, addr.len), 0);
    assert_int_equal(write(fd, get, sizeof get - 1), sizeof get - 1);
    do
        n = read(fd, out, sizeof out);
    while (n > 0 && memcmp(out, "HTTP", 4) != 0);
    assert_true(n <= 0);
    close(fd);
}

static void spawn_narrow(unsigned api_max)
{
    struct net_config config = kit_config(&node);

    config.api_max = api_max;
    kit_spawn(&config, echoes, &child);
}

/* More requests than connections are allowed: the rest waits, and is served
 * later. */
static void connections_are_bounded(void **state)
{
    static const char slow[] = "GET /silent HTTP/1.1\r\n\r\n";
    struct kit_child first = child;
    struct raw raws[4];
    Xn__Caller *caller;
    char url[200];
    int i;

    spawn_narrow(4);
    for (i = 0; i < 4; i++) {
        raw_open(&raws[i]);
        assert_true(SSL_write(raws[i].ssl, slow, sizeof slow - 1) > 0);
        expect_line("asked");
    }
    snprintf(url, sizeof url, "https://%s/", child.api);
    assert_int_equal(request_rc(&client, url, NULL, 300), XN_ETIMEOUT);
    for (i = 0; i < 4; i++)
        raw_close(&raws[i]);
    caller = ask_as(&client, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    kit_kill(&child, SIGTERM);
    child = first;
}

/* Who opens all connections there are and leaves them idle keeps nobody else
 * out: his own give way, not those of others. */
static void idle_give_way(unsigned max)
{
    static const char get[] = "GET / HTTP/1.1\r\n\r\n";
    struct kit_child first = child;
    struct raw other;
    Xn__Caller *caller;
    char out[512];
    unsigned silent = 4 * max + 8, i;
    int fds[264], n;

    assert_true(silent <= sizeof fds / sizeof *fds);
    spawn_narrow(max);
    for (i = 0; i < silent; i++) {
        if (i == max / 2 + 1) raw_open(&other);
        fds[i] = tcp_open("127.0.0.2:0");
    }
    caller = ask_as(&client, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    assert_int_equal(SSL_write(other.ssl, get, sizeof get - 1), sizeof get - 1);
    n = SSL_read(other.ssl, out, sizeof out - 1);
    assert_true(n > 12);
    assert_memory_equal(out, "HTTP/1.1 200", 12);
    for (i = 0; i < silent; i++)
        close(fds[i]);
    raw_close(&other);
    kit_kill(&child, SIGTERM);
    child = first;
}

/* With few places, and with so many that some are made free before. */
static void idle_connections_give_way(void **state)
{
    idle_give_way(8);
    idle_give_way(64);
}

/* More than there are places: none is accepted, and none pushed out. */
static void silent_connections_wait_outside(void **state)
{
    struct net_config config = kit_config(&node);
    struct kit_child first = child;
    Xn__Caller *caller;
    int fds[8], i;
    char c;

    if (!kit_makes_cookies()) skip();
    config.api_max = 4;
    config.defer_s = 60;
    kit_spawn(&config, echoes, &child);
    for (i = 0; i < 8; i++)
        fds[i] = tcp_open("127.0.0.2:0");
    caller = ask_as(&client, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    for (i = 0; i < 8; i++) {
        assert_int_equal(recv(fds[i], &c, 1, MSG_DONTWAIT), -1);
        close(fds[i]);
    }
    kit_kill(&child, SIGTERM);
    child = first;
}

/* Who begins more connections than he may has them refused; others may. */
static void a_storm_of_handshakes(void **state)
{
    struct net_config config = kit_config(&node);
    struct kit_child first = child;
    Xn__Caller *caller;
    int i, refused = 0;

    config.api_connects = 1;
    kit_spawn(&config, echoes, &child);
    /* More are tried where they come so slowly that few are too many. */
    for (i = 0; i < 8 || (refused < 4 && i < 200); i++) {
        struct raw raw;

        refused += !raw_connects(&raw, "127.0.0.2:0");
        raw_close(&raw);
    }
    assert_true(refused >= 4);
    caller = ask_as(&client, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    kit_kill(&child, SIGTERM);
    child = first;
}

/* A storm from many addresses; a member who has called before has a turn of its
 * own. */
static void a_storm_from_everywhere(void **state)
{
    struct net_config config = kit_config(&node);
    struct kit_child first = child;
    Xn__Caller *caller;
    int i, refused = 0;

    config.api_connects_all = 1;
    kit_spawn(&config, echoes, &child);
    caller = ask_as(&node, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    for (i = 2; i < 10 || (refused < 4 && i < 200); i++) {
        char source[32];
        struct raw raw;

        snprintf(source, sizeof source, "127.0.0.%d:0", i);
        refused += !raw_connects(&raw, source);
        raw_close(&raw);
    }
    assert_true(refused >= 4);
    caller = ask_as(&node, "GET", "/", NULL, 0);
    xn__caller__free_unpacked(caller, NULL);
    kit_kill(&child, SIGTERM);
    child = first;
}

/* How many requests are refused, of eight at least; more are tried where they
 * come so slowly that few are too many. */
static int too_often(const struct net_identity *who, bool slowly)
{
    struct net_reply reply;
    char url[200], why[300];
    int i, refused = 0;

    snprintf(url, sizeof url, "https://%s/", child.api);
    for (i = 0; i < 8 || (slowly && refused < 4 && i < 200); i++) {
        assert_int_equal(net_request(who, "GET", url, NULL, 0, NULL, 60000,
                                     &reply, why, sizeof why),
                         0);
        refused += reply.status == 429;
        net_reply_clear(&reply);
    }
    return refused;
}

/* Of an address without a certificate, and of a caller with one: nobody uses
 * up another's. */
static void budgets(void **state)
{
    struct net_config config = kit_config(&node);
    struct kit_child first = child;

    config.api_rate = 1;
    kit_spawn(&config, echoes, &child);
    assert_true(too_often(&anybody, true) >= 4);
    assert_int_equal(too_often(&client, false), 0);
    kit_kill(&child, SIGTERM);
    config.api_rate = 0;
    config.api_rate_certified = 1;
    kit_spawn(&config, echoes, &child);
    assert_true(too_often(&client, true) >= 4);
    assert_int_equal(too_often(&anybody, false), 0);
    check_caller(&node, XN__ROLE__NODE, &node.cert.id);
    kit_kill(&child, SIGTERM);
    child = first;
}

/* ---- CALL -------------------------------------------------------------- */

struct calls {
    int step;
};

static void make_call(struct xn_out *out, uint64_t ticket, const char *url,
                      const xn_id *peer, uint32_t patience_ms)
{
    Xn__Call call = XN__CALL__INIT;

    call.method = (char *)(uintptr_t) "POST";
    call.url = (char *)(uintptr_t)url;
    call.body.data = (uint8_t *)(uintptr_t) "hello";
    call.body.len = 5;
    call.patience_ms = patience_ms;
    if (peer) call.peer_id = xn_id_bytes(peer);
    xn_out_emit(out, XN_ACT_CALL, ticket, XN_PEER_NONE, XN__KIND__CALL, &call);
}

static void next_call(struct calls *c, struct xn_out *out)
{
    char url[128], silent[128];

    snprintf(url, sizeof url, "https://%s/call", child.api);
    snprintf(silent, sizeof silent, "https://%s/silent", child.api);
    switch (++c->step) {
    case 1: make_call(out, 1, url, &node.cert.id, 60000); break;
    /* Over the same connection, which must not answer for another id. */
    case 2: make_call(out, 2, url, &corp.cert.id, 60000); break;
    case 3: make_call(out, 3, url, NULL, 60000); break;
    case 4: make_call(out, 4, "https://127.0.0.1:1/", NULL, 60000); break;
    case 5: make_call(out, 5, silent, NULL, 200); break;
    case 6:
        make_call(out, 6, silent, NULL, 20000);
        xn_out_add(out, XN_ACT_ABORT, 6, XN_PEER_NONE, NULL);
        break;
    default: kit_stop(); break;
    }
}

static void calls(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    static const int want[] = {0,           0,           XN_EIDENT,    0,
                               XN_EUNREACH, XN_ETIMEOUT, XN_ECANCELLED};
    struct calls *c = core->ctx;
    const Xn__Answer *answer;
    xn_id id;

    if (ev->kind == XN_EV_WAKE && c->step == 0) next_call(c, out);
    if (ev->kind != XN_EV_DONE) return;
    assert_int_equal(ev->ticket, c->step);
    assert_int_equal(ev->rc, want[c->step]);
    if (!ev->rc) {
        answer = XN_BODY(ev->msg, Xn__Answer);
        assert_int_equal(answer->status, 200);
        assert_int_equal(xn_id_from_bytes(&answer->server->id, &id), 0);
        assert_true(xn_id_eq(&id, &node.cert.id));
        assert_int_equal(answer->server->role, XN__ROLE__NODE);
        assert_true(answer->body.len > 0);
    }
    next_call(c, out);
}

static void calls_out(void **state)
{
    struct net_config config = kit_config(&client);
    struct net_driver *driver;
    struct calls c = {0};

    config.listen_api = config.listen_links = NULL;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, calls, &c);
    net_driver_free(driver);
    assert_int_equal(c.step, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks),
        cmocka_unit_test(get_and_refusal),
        cmocka_unit_test(request_fails),
        cmocka_unit_test(asker_goes_away),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(says_when_to_ask_again),
        cmocka_unit_test(bodies_and_patience),
        cmocka_unit_test(plain_http_is_refused),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(idle_connections_give_way),
        cmocka_unit_test(silent_connections_wait_outside),
        cmocka_unit_test(a_storm_of_handshakes),
        cmocka_unit_test(a_storm_from_everywhere),
        cmocka_unit_test(budgets),
        cmocka_unit_test(calls_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
