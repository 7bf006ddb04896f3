/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links between drivers, and what a rude peer can do to one. */
#include "tests/unit/net_kit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "net/addr.h"
#include "net/tls.h"
#include "net/vain.h"

static struct net_identity corp, corp2, a, b, stranger, client;

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_corp(&corp2, "beta.example");
    kit_make_member(&corp, XN__ROLE__NODE, "a", &a);
    kit_make_member(&corp, XN__ROLE__NODE, "b", &b);
    kit_make_member(&corp2, XN__ROLE__NODE, "stranger", &stranger);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    /* The stranger would take us; we do not take it. */
    kit_accept(&stranger, &corp);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&corp2);
    net_identity_clear(&a);
    net_identity_clear(&b);
    net_identity_clear(&stranger);
    net_identity_clear(&client);
    return 0;
}

struct story {
    struct kit_child *other;
    const char *address;
    const xn_id *id;
    int dial_rc;
    unsigned ups, pongs, gones;
    int gone_rc;
    xn_peer peer;
};

static void dials(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    struct story *s = core->ctx;

    switch (ev->kind) {
    case XN_EV_WAKE: kit_dial(out, 5, s->address, s->id); break;
    case XN_EV_UP:
        s->ups++;
        s->peer = ev->peer;
        assert_int_equal(XN_BODY(ev->msg, Xn__Up)->ticket, 5);
        assert_false(XN_BODY(ev->msg, Xn__Up)->incoming);
        assert_true(ev->peer < core->peers->n);
        assert_true(xn_id_eq(&core->peers->rows[ev->peer].id, &b.cert.id));
        assert_true(
            xn_id_eq(&core->peers->rows[ev->peer].position, &b.cert.position));
        kit_ping(out, ev->peer, 99);
        break;
    case XN_EV_MSG:
        assert_int_equal(ev->msg->kind, XN__KIND__PONG);
        assert_int_equal(XN_BODY(ev->msg, Xn__Pong)->nonce, 99);
        s->pongs++;
        if (s->other) {
            kit_kill(s->other, SIGKILL);
        } else {
            kit_stop();
        }
        break;
    case XN_EV_GONE:
        s->gones++;
        s->gone_rc = XN_BODY(ev->msg, Xn__Reason)->rc;
        assert_int_equal(ev->peer, s->peer);
        kit_stop();
        break;
    case XN_EV_DONE:
        assert_int_equal(ev->ticket, 5);
        s->dial_rc = ev->rc;
        kit_stop();
        break;
    default: break;
    }
}

static void run_dials(const struct net_identity *me, struct story *s)
{
    struct net_config config = kit_config(me);
    struct net_driver *driver;

    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, dials, s);
    net_driver_free(driver);
}

static void up_exchange_gone(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct story s = {.other = &child, .id = &b.cert.id};

    kit_spawn(&config, kit_polite, &child);
    s.address = child.links;
    run_dials(&a, &s);
    assert_int_equal(s.ups, 1);
    assert_int_equal(s.pongs, 1);
    assert_int_equal(s.gones, 1);
    assert_int_equal(s.gone_rc, XN_EUNREACH);
    kit_kill(&child, SIGKILL);
}

static void dial_fails(const struct net_identity *server,
                       const struct net_identity *me, const xn_id *id, int want)
{
    struct net_config config = kit_config(server);
    struct kit_child child;
    struct story s = {.id = id};

    kit_spawn(&config, kit_polite, &child);
    s.address = child.links;
    run_dials(me, &s);
    assert_int_equal(s.dial_rc, want);
    assert_int_equal(s.ups, 0);
    kit_kill(&child, SIGTERM);
}

static void wrong_corp(void **state)
{
    dial_fails(&stranger, &a, NULL, XN_EIDENT);
}

static void wrong_role(void **state)
{
    dial_fails(&client, &a, NULL, XN_EIDENT);
}

static void wrong_id(void **state)
{
    dial_fails(&b, &a, &corp.cert.id, XN_EIDENT);
}

static void nobody_there(void **state)
{
    struct story s = {.address = "127.0.0.1:1"};

    run_dials(&a, &s);
    assert_int_equal(s.dial_rc, XN_EUNREACH);
}

static void names_are_not_dialled(void **state)
{
    struct story s = {.address = "localhost:80"};

    run_dials(&a, &s);
    assert_int_equal(s.dial_rc, XN_EINVAL);
}

/* Where a liar could send us: to services of our own machine, or to nobody. */
static void not_for_dialling(void **state)
{
    static const struct {
        const char *own, *other;
        bool may, private_ok;
    } rows[] = {
        {"8.8.8.8:1", "9.9.9.9:2", true, false},
        {"8.8.8.8:1", "10.0.0.1:2", false, false},
        {"8.8.8.8:1", "192.168.0.1:2", false, false},
        {"8.8.8.8:1", "100.64.0.1:2", false, false},
        {"8.8.8.8:1", "[fd00::1]:2", false, false},
        {"8.8.8.8:1", "[::ffff:172.16.0.1]:2", false, false},
        {"0.0.0.0:1", "10.0.0.1:2", false, false},
        {"0.0.0.0:1", "10.0.0.1:2", true, true},
        {"0.0.0.0:1", "127.0.0.1:2", false, true},
        {"8.8.8.8:1", "240.0.0.1:2", false, true},
        {"10.0.0.1:1", "192.168.0.1:2", true, false},
        {"10.0.0.1:1", "9.9.9.9:2", true, false},
        {"127.0.0.1:1", "127.0.0.1:2", true, false},
        {"[::1]:1", "127.9.9.9:2", true, false},
        {"0.0.0.0:1", "127.0.0.1:2", false, false},
        {"192.0.2.1:1", "127.0.0.1:2", false, false},
        {"192.0.2.1:1", "[::1]:2", false, false},
        {"192.0.2.1:1", "[::ffff:127.0.0.1]:2", false, false},
        {"192.0.2.1:1", "10.0.0.1:2", true, false},
        {"192.0.2.1:1", "192.0.2.2:2", true, false},
        {"192.0.2.1:1", "[2001:db8::1]:2", true, false},
        {"192.0.2.1:1", "192.0.2.2:0", false, false},
        {"127.0.0.1:1", "0.0.0.0:2", false, false},
        {"127.0.0.1:1", "224.0.0.1:2", false, false},
        {"127.0.0.1:1", "255.255.255.255:2", false, false},
        {"127.0.0.1:1", "169.254.169.254:80", false, false},
        {"127.0.0.1:1", "[fe80::1]:2", false, false},
        {"127.0.0.1:1", "[ff02::1]:2", false, false},
        {"127.0.0.1:1", "[::]:2", false, false},
    };
    struct net_config config = kit_config(&a);
    struct story s = {.address = "127.0.0.1:1"};
    struct net_driver *driver;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_addr own, other;

        assert_int_equal(net_addr_parse(rows[i].own, &own), 0);
        assert_int_equal(net_addr_parse(rows[i].other, &other), 0);
        assert_int_equal(net_addr_may_dial((struct sockaddr *)&other.sa,
                                           (struct sockaddr *)&own.sa,
                                           rows[i].private_ok),
                         rows[i].may);
    }
    config.listen_links = "0.0.0.0:0";
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, dials, &s);
    net_driver_free(driver);
    assert_int_equal(s.dial_rc, XN_EINVAL);
}

/* By wildcard it listens everywhere: what it announces tells of its network. */
static void announced_for_dialling(void **state)
{
    static const struct {
        const char *announced;
        int rc;
    } rows[] = {
        {NULL, XN_EINVAL},
        {"10.0.0.5:7000", XN_EIDENT}, /* it may: but that would be itself */
        {"9.9.9.9:7000", XN_EINVAL},
        {"127.0.0.1:7000", XN_EINVAL},
        {"0.0.0.0:7000", XN_EINVAL},
        {"node.example:7000", XN_EINVAL},
    };
    struct net_config config = kit_config(&a);
    struct net_driver *driver;
    size_t i;

    config.listen_links = "0.0.0.0:0";
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct story s = {.address = "192.168.0.1:2", .id = &a.cert.id};

        config.announced = rows[i].announced;
        assert_int_equal(net_driver_new(&config, &driver), 0);
        kit_run(driver, dials, &s);
        net_driver_free(driver);
        assert_int_equal(s.dial_rc, rows[i].rc);
    }
}

/* That it listens here, for nobody, has it dial nothing here. */
static void nowhere_for_dialling(void **state)
{
    struct net_config config = kit_config(&a);
    struct net_driver *driver;
    int i;

    for (i = 0; i < 2; i++) {
        struct story s = {.address = "127.0.0.1:1", .id = &a.cert.id};

        config.announced = i ? NET_NOWHERE : NULL;
        assert_int_equal(net_driver_new(&config, &driver), 0);
        kit_run(driver, dials, &s);
        net_driver_free(driver);
        assert_int_equal(s.dial_rc, i ? XN_EINVAL : XN_EIDENT);
    }
}

static unsigned long long network(const char *text)
{
    struct net_addr addr;

    assert_int_equal(net_addr_parse(text, &addr), 0);
    return net_addr_network((struct sockaddr *)&addr.sa);
}

/* A network is knocked at so often in vain, then rarely; others are not bound. */
static void dials_in_vain(void **state)
{
    const uint64_t there = network("9.9.9.9:1");
    struct net_vain *vain = NULL;
    uint64_t now_us, n = 0;

    assert_true(there == network("9.9.9.77:2"));
    assert_true(there == network("[::ffff:9.9.9.1]:2"));
    assert_true(there != network("9.9.8.9:1"));
    assert_true(network("[2a00:1:2:3::1]:1") == network("[2a00:1:2:4::1]:1"));
    assert_true(network("[2a00:1:2:3::1]:1") != network("[2a00:1:3:3::1]:1"));
    assert_true(network("127.0.0.1:1") == 0);
    assert_int_equal(net_vain_new(&vain), 0);
    for (now_us = 0; now_us < 3600 * 1000000ULL; now_us += 100000) {
        n += net_vain_take(vain, there, now_us);
    }
    assert_in_range(n, 3600 / 5, NET_VAIN_BURST + 3600 / 5);
    assert_true(net_vain_take(vain, there ^ 1, now_us));
    net_vain_take(vain, there, now_us);
    assert_false(net_vain_take(vain, there, now_us));
    net_vain_give_back(vain, there);
    assert_true(net_vain_take(vain, there, now_us));
    assert_false(net_vain_take(vain, there, now_us));
    for (n = 0; n < 100; n++)
        assert_true(net_vain_take(vain, 0, now_us));
    net_vain_free(vain);
}

/* ---- raw peers --------------------------------------------------------- */

static int raw_connect_from(const char *source, const char *address)
{
    struct net_addr addr, from;
    int fd;

    assert_int_equal(net_addr_parse(address, &addr), 0);
    assert_int_equal(net_addr_parse(source, &from), 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from.sa, from.len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.sa, addr.len), 0);
    return fd;
}

static int raw_connect(const char *address)
{
    return raw_connect_from("127.0.0.1:0", address);
}

/* A TLS end by hand, certified as `me`. */
struct raw {
    int fd;
    SSL_CTX *server, *client;
    SSL *ssl;
    struct xn_cert cert;
};

static void raw_link(const struct net_identity *me, const char *address,
                     struct raw *raw)
{
    raw->fd = raw_connect(address);
    assert_int_equal(net_tls_links(me, &raw->server, &raw->client), 0);
    raw->ssl = SSL_new(raw->client);
    net_tls_peer_to(raw->ssl, &raw->cert);
    SSL_set_fd(raw->ssl, raw->fd);
    assert_int_equal(SSL_connect(raw->ssl), 1);
}

static void raw_end(struct raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->server);
    SSL_CTX_free(raw->client);
    close(raw->fd);
}

/* The other side has dropped us: reads until it ends. */
static void raw_dropped(struct raw *raw)
{
    char c[4096];
    int n;

    do
        n = SSL_read(raw->ssl, c, sizeof c);
    while (n > 0);
    ERR_clear_error();
}

/* Tells its parent of every GONE. */
static void tells(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    char line[64];
    int n;

    kit_polite(core, now, ev, out);
    if (ev->kind != XN_EV_GONE) return;
    n = snprintf(line, sizeof line, "gone %d\n",
                 XN_BODY(ev->msg, Xn__Reason)->rc);
    if (write(kit_child_out, line, (size_t)n) != n) abort();
}

static int read_gone(struct kit_child *child)
{
    char line[64];
    size_t n = 0;
    int rc = 1;

    while (n < sizeof line - 1 && read(child->out, line + n, 1) == 1 &&
           line[n] != '\n')
        n++;
    line[n] = '\0';
    assert_int_equal(sscanf(line, "gone %d", &rc), 1);
    return rc;
}

/* It still answers; where it was crowded, as soon as it has seen that those
 * before are gone. */
static void still_polite(struct kit_child *child)
{
    int tries = 1000;
    struct story s;

    do {
        s = (struct story){.address = child->links, .id = &b.cert.id};
        run_dials(&a, &s);
    } while (!s.pongs && --tries);
    assert_int_equal(s.pongs, 1);
}

static void garbage_on_the_port(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    char junk[4096];
    int i, fd;

    kit_spawn(&config, tells, &child);
    for (i = 0; i < 8; i++) {
        memset(junk, 'A' + i, sizeof junk);
        if (i == 1) memcpy(junk, "GET / HTTP/1.1\r\n\r\n", 18);
        if (i == 2) memcpy(junk, "\x16\x03\x01\xff\xff\x01", 6);
        fd = raw_connect(child.links);
        assert_true(write(fd, junk, sizeof junk) > 0);
        close(fd);
    }
    still_polite(&child);
    kit_kill(&child, SIGTERM);
}

static void bad_frames(void **state)
{
    static const struct {
        uint8_t bytes[8];
        int len, rc;
    } frames[] = {
        {{0, 0x20, 0, 0, 0, 3}, 6, XN_ETOOBIG},         /* 2 MiB */
        {{0, 0, 0, 2, 0x03, 0xe9}, 6, XN_EPROTO},       /* UP, a local kind */
        {{0, 0, 0, 2, 0x00, 0xc8}, 6, XN_EPROTO},       /* no such kind */
        {{0, 0, 0, 1, 0, 3}, 6, XN_EPROTO},             /* no room for a kind */
        {{0, 0, 0, 4, 0, 3, 0xff, 0xff}, 8, XN_EPROTO}, /* not protobuf */
    };
    struct net_config config = kit_config(&b);
    struct kit_child child;
    size_t i;

    kit_spawn(&config, tells, &child);
    for (i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct raw raw;

        raw_link(&a, child.links, &raw);
        assert_int_equal(SSL_write(raw.ssl, frames[i].bytes, frames[i].len),
                         frames[i].len);
        raw_dropped(&raw);
        assert_int_equal(read_gone(&child), frames[i].rc);
        raw_end(&raw);
    }
    still_polite(&child);
    kit_kill(&child, SIGTERM);
}

/* A frame that comes byte by byte, and many that come at once. */
static void any_cut(void **state)
{
    static const uint8_t ping[] = {0, 0, 0, 4, 0, 3, 8, 42};
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct raw raw;
    uint8_t many[8 * 1000], got[8];
    int i, n;

    kit_spawn(&config, tells, &child);
    raw_link(&a, child.links, &raw);
    for (i = 0; i < 8; i++)
        assert_int_equal(SSL_write(raw.ssl, ping + i, 1), 1);
    for (i = 0; i < 1000; i++)
        memcpy(many + 8 * i, ping, 8);
    assert_int_equal(SSL_write(raw.ssl, many, sizeof many), sizeof many);
    for (n = 0; n < 1001 * 8; n++) {
        assert_int_equal(SSL_read(raw.ssl, got + n % 8, 1), 1);
        if (n % 8 == 7) {
            assert_int_equal(got[5], XN__KIND__PONG);
            assert_int_equal(got[7], 42);
        }
    }
    raw_end(&raw);
    kit_kill(&child, SIGTERM);
}

/* Once linked, sends more than any queue holds. */
static void pours(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    Xn__Hello hello = XN__HELLO__INIT;
    char *address;
    int i;

    tells(core, now, ev, out);
    if (ev->kind != XN_EV_UP) return;
    address = malloc(500001);
    assert_non_null(address);
    memset(address, 'x', 500000);
    address[500000] = '\0';
    hello.address = address;
    for (i = 0; i < 40; i++)
        xn_out_send(out, ev->peer, XN__KIND__HELLO, &hello);
    free(address);
}

static void slow_reader(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct raw raw;

    kit_spawn(&config, pours, &child);
    raw_link(&a, child.links, &raw);
    assert_int_equal(read_gone(&child), XN_EBUSY);
    raw_end(&raw);
    kit_kill(&child, SIGTERM);
}

/* At the bound nobody more is taken; one that leaves makes room. */
static void half_open(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    int fds[8], i;

    config.links_max = 8;
    kit_spawn(&config, tells, &child);
    for (i = 0; i < 8; i++)
        fds[i] = raw_connect(child.links);
    for (i = 0; i < 8; i++)
        close(fds[i]);
    still_polite(&child);
    kit_kill(&child, SIGTERM);
}

/* One address may not have a quarter of all links half open: who is silent gives
 * way, so that another of the same address gets in; who has spoken does not. */
static void half_open_source(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct story s;
    int fds[17], i;
    char c;

    config.links_max = 64;
    kit_spawn(&config, tells, &child);
    fds[0] = raw_connect(child.links);
    assert_int_equal(write(fds[0], "\x16", 1), 1);
    still_polite(&child); /* it has heard that */
    for (i = 1; i < 17; i++)
        fds[i] = raw_connect(child.links);
    assert_int_equal(read(fds[1], &c, 1), 0);
    s = (struct story){.address = child.links, .id = &b.cert.id};
    run_dials(&a, &s);
    assert_int_equal(s.pongs, 1);
    assert_int_equal(recv(fds[0], &c, 1, MSG_DONTWAIT), -1);
    for (i = 0; i < 17; i++)
        close(fds[i]);
    kit_kill(&child, SIGTERM);
}

/* More than one address may have: none is accepted, and none pushed out. */
static void half_open_outside(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    int fds[17], i;
    char c;

    if (!kit_makes_cookies()) skip();
    config.links_max = 64;
    config.defer_s = 60;
    kit_spawn(&config, tells, &child);
    for (i = 0; i < 17; i++)
        fds[i] = raw_connect(child.links);
    still_polite(&child);
    for (i = 0; i < 17; i++) {
        assert_int_equal(recv(fds[i], &c, 1, MSG_DONTWAIT), -1);
        close(fds[i]);
    }
    kit_kill(&child, SIGTERM);
}

/* Each of them has spoken, and then says no more: the oldest one whose turn came
 * gives way. */
static void half_said(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct story s;
    int fds[16], other, i;
    char c;

    config.links_max = 64;
    config.handshakes = 0;
    kit_spawn(&config, tells, &child);
    for (i = 0; i < 16; i++) {
        fds[i] = raw_connect(child.links);
        assert_int_equal(write(fds[i], "\x16", 1), 1);
    }
    other = raw_connect_from("127.0.0.2:0", child.links);
    assert_int_equal(write(other, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    while (read(other, &c, 1) > 0) /* it has heard these, too, by then */
        ;
    close(other);
    s = (struct story){.address = child.links, .id = &b.cert.id};
    run_dials(&a, &s);
    assert_int_equal(s.pongs, 1);
    for (i = 0; i < 16; i++)
        close(fds[i]);
    kit_kill(&child, SIGTERM);
}

/* Where a member has proved itself half open links outlast those of others. */
static void half_open_of_members(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    int fds[17], i;
    char c;

    config.links_max = 32;
    kit_spawn(&config, tells, &child);
    still_polite(&child); /* 127.0.0.1 is a member's from now on */
    fds[0] = raw_connect(child.links);
    for (i = 1; i < 17; i++) {
        char source[32];

        snprintf(source, sizeof source, "127.0.0.%d:0", 2 + i / 4);
        fds[i] = raw_connect_from(source, child.links);
    }
    assert_int_equal(read(fds[1], &c, 1), 0);
    assert_int_equal(recv(fds[0], &c, 1, MSG_DONTWAIT), -1);
    for (i = 0; i < 17; i++)
        close(fds[i]);
    kit_kill(&child, SIGTERM);
}

/* Several sources together fill half of the links with handshakes that never
 * end: the other half stays for those that do. */
static void half_open_many_sources(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct story s;
    int fds[32], i;

    config.links_max = 32;
    kit_spawn(&config, tells, &child);
    for (i = 0; i < 32; i++) {
        char source[32];

        snprintf(source, sizeof source, "127.0.0.%d:0", 2 + i / 8);
        fds[i] = raw_connect_from(source, child.links);
    }
    s = (struct story){.address = child.links, .id = &b.cert.id};
    run_dials(&a, &s);
    assert_int_equal(s.pongs, 1);
    for (i = 0; i < 32; i++)
        close(fds[i]);
    kit_kill(&child, SIGTERM);
}

/* More handshakes of one source wait than there are turns for in the time that a
 * dial has: another source's comes before them. */
static void storm_of_one_source(void **state)
{
    struct net_config config = kit_config(&b);
    struct kit_child child;
    struct story s;
    int fds[15], i;

    config.links_max = 64;
    config.handshakes = 1;
    kit_spawn(&config, tells, &child);
    for (i = 0; i < 15; i++) {
        fds[i] = raw_connect_from("127.0.0.2:0", child.links);
        assert_int_equal(write(fds[i], "\x16", 1), 1);
    }
    s = (struct story){.address = child.links, .id = &b.cert.id};
    run_dials(&a, &s);
    assert_int_equal(s.pongs, 1);
    for (i = 0; i < 15; i++)
        close(fds[i]);
    kit_kill(&child, SIGTERM);
}

/* An IPv4 host is one source by whichever listener it comes, and no other
 * host's. */
static void sources(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"192.0.2.1:1", "192.0.2.1:2", true},
        {"192.0.2.1:1", "192.0.2.2:1", false},
        {"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", true},
        {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:2", true},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_addr x, y;

        assert_int_equal(net_addr_parse(rows[i].a, &x), 0);
        assert_int_equal(net_addr_parse(rows[i].b, &y), 0);
        assert_int_equal(net_addr_same_source((struct sockaddr *)&x.sa,
                                              (struct sockaddr *)&y.sa) != 0,
                         rows[i].same);
    }
}

static void text_of_addresses(void **state)
{
    static const char *const rows[][2] = {
        {"192.0.2.1:1", "192.0.2.1:1"},
        {"[::ffff:192.0.2.1]:65535", "192.0.2.1:65535"},
        {"[2001:DB8:0::1]:7", "[2001:db8::1]:7"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NET_ADDR_TEXT];
        struct net_addr addr;

        assert_int_equal(net_addr_parse(rows[i][0], &addr), 0);
        net_addr_text((struct sockaddr *)&addr.sa, text);
        assert_string_equal(text, rows[i][1]);
    }
}

/* ---- one link per peer ------------------------------------------------- */

struct twice {
    const char *address;
    int conflicts;
};

static void dials_twice(struct kit_core *core, const struct xn_now *now,
                        const struct xn_event *ev, struct xn_out *out)
{
    struct twice *t = core->ctx;

    if (ev->kind == XN_EV_WAKE) kit_dial(out, 1, t->address, &b.cert.id);
    if (ev->kind == XN_EV_UP) kit_dial(out, 2, t->address, &b.cert.id);
    if (ev->kind == XN_EV_DONE) {
        assert_int_equal(ev->ticket, 2);
        assert_int_equal(ev->rc, XN_ECONFLICT);
        t->conflicts++;
        kit_stop();
    }
}

static void one_link_per_peer(void **state)
{
    struct net_config config = kit_config(&b), mine = kit_config(&a);
    struct net_driver *driver;
    struct kit_child child;
    struct twice t = {0};

    kit_spawn(&config, kit_polite, &child);
    t.address = child.links;
    assert_int_equal(net_driver_new(&mine, &driver), 0);
    kit_run(driver, dials_twice, &t);
    net_driver_free(driver);
    assert_int_equal(t.conflicts, 1);
    kit_kill(&child, SIGTERM);
}

/* Both dial at once, again and again: both must end with the same one link, so
 * a ping over it comes back. */
struct both {
    const char *api, *links, *own; /* theirs, theirs, ours */
    unsigned ups, gones, pongs;
    xn_peer peer;
    bool linked;
};

static void dials_back(struct kit_core *core, const struct xn_now *now,
                       const struct xn_event *ev, struct xn_out *out)
{
    kit_polite(core, now, ev, out);
    /* Whom to dial comes as a request. */
    if (ev->kind == XN_EV_ASK) {
        const Xn__Ask *ask = XN_BODY(ev->msg, Xn__Ask);
        Xn__NodeStatus status = XN__NODE_STATUS__INIT;
        char address[64] = "";

        memcpy(address, ask->body.data, ask->body.len);
        kit_dial(out, 0, address, &a.cert.id);
        xn_out_answer(out, ev->ticket, 200, &status);
    }
}

static void dials_both(struct kit_core *core, const struct xn_now *now,
                       const struct xn_event *ev, struct xn_out *out)
{
    struct both *t = core->ctx;
    Xn__Call call = XN__CALL__INIT;
    char url[128];

    switch (ev->kind) {
    case XN_EV_WAKE:
        core->wake_us = UINT64_MAX;
        if (t->linked) {
            kit_ping(out, t->peer, 7);
        } else if (!t->ups) {
            snprintf(url, sizeof url, "https://%s/dial", t->api);
            call.method = (char *)(uintptr_t) "POST";
            call.url = url;
            call.body.data = (uint8_t *)(uintptr_t)t->own;
            call.body.len = strlen(t->own);
            xn_out_emit(out, XN_ACT_CALL, 9, XN_PEER_NONE, XN__KIND__CALL,
                        &call);
            kit_dial(out, 8, t->links, &b.cert.id);
        }
        break;
    case XN_EV_UP:
        t->ups++;
        t->linked = true;
        t->peer = ev->peer;
        core->wake_us = now->mono_us + 300000;
        break;
    case XN_EV_GONE:
        t->gones++;
        if (ev->peer == t->peer) t->linked = false;
        break;
    case XN_EV_MSG:
        t->pongs++;
        kit_stop();
        break;
    default: break;
    }
}

static void simultaneous(const struct net_identity *left,
                         const struct net_identity *right)
{
    struct net_config config = kit_config(right), mine = kit_config(left);
    struct net_driver *driver;
    struct kit_child child;
    struct both t = {0};

    kit_spawn(&config, dials_back, &child);
    assert_int_equal(net_driver_new(&mine, &driver), 0);
    t.api = child.api;
    t.links = child.links;
    t.own = net_driver_links_address(driver);
    kit_run(driver, dials_both, &t);
    net_driver_free(driver);
    assert_int_equal(t.pongs, 1);
    assert_true(t.ups - t.gones == 1);
    kit_kill(&child, SIGTERM);
}

static void simultaneous_dials(void **state)
{
    int i;

    for (i = 0; i < 3; i++)
        simultaneous(&a, &b);
}

/* ---- looking for a peer ------------------------------------------------ */

/* Looks for who links to it, and says by a PING what came of that. */
static void looks(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    static xn_peer peer;
    Xn__Probe probe = XN__PROBE__INIT;

    if (ev->kind == XN_EV_UP) {
        peer = ev->peer;
        probe.id = xn_id_bytes(&a.cert.id);
        probe.port = 1;
        xn_out_emit(out, XN_ACT_PROBE, 1, peer, XN__KIND__PROBE, &probe);
    } else if (ev->kind == XN_EV_DONE) {
        kit_ping(out, peer, (uint64_t)-ev->rc);
    }
}

struct looked {
    const char *address;
    int rc;
};

static void is_looked_for(struct kit_core *core, const struct xn_now *now,
                          const struct xn_event *ev, struct xn_out *out)
{
    struct looked *l = core->ctx;

    if (ev->kind == XN_EV_WAKE) kit_dial(out, 1, l->address, &b.cert.id);
    if (ev->kind != XN_EV_MSG) return;
    assert_int_equal(ev->msg->kind, XN__KIND__PING);
    l->rc = -(int)XN_BODY(ev->msg, Xn__Ping)->nonce;
    kit_stop();
}

/* Only where it would dial: who listens to the world and has a proxy before it
 * looks at nobody's bidding what else is on that proxy's machine. */
static void looks_where_it_may_dial(void **state)
{
    static const struct {
        const char *listen;
        int rc;
    } rows[] = {{"127.0.0.1:0", 0}, {"0.0.0.0:0", XN_EREFUSED}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_config config = kit_config(&b), mine = kit_config(&a);
        struct kit_child child;
        struct net_driver *driver;
        char address[64];
        struct looked l = {.address = address, .rc = 1};

        config.listen_links = rows[i].listen;
        kit_spawn(&config, looks, &child);
        snprintf(address, sizeof address, "127.0.0.1%s",
                 strrchr(child.links, ':'));
        assert_int_equal(net_driver_new(&mine, &driver), 0);
        kit_run(driver, is_looked_for, &l);
        net_driver_free(driver);
        assert_int_equal(l.rc, rows[i].rc);
        kit_kill(&child, SIGKILL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_exchange_gone),
        cmocka_unit_test(wrong_corp),
        cmocka_unit_test(wrong_role),
        cmocka_unit_test(wrong_id),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(names_are_not_dialled),
        cmocka_unit_test(not_for_dialling),
        cmocka_unit_test(announced_for_dialling),
        cmocka_unit_test(looks_where_it_may_dial),
        cmocka_unit_test(nowhere_for_dialling),
        cmocka_unit_test(dials_in_vain),
        cmocka_unit_test(garbage_on_the_port),
        cmocka_unit_test(bad_frames),
        cmocka_unit_test(any_cut),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(half_open),
        cmocka_unit_test(half_open_source),
        cmocka_unit_test(half_open_outside),
        cmocka_unit_test(half_said),
        cmocka_unit_test(half_open_of_members),
        cmocka_unit_test(half_open_many_sources),
        cmocka_unit_test(storm_of_one_source),
        cmocka_unit_test(sources),
        cmocka_unit_test(text_of_addresses),
        cmocka_unit_test(one_link_per_peer),
        cmocka_unit_test(simultaneous_dials),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
