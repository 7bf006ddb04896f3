/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One link between two ends in one process: what its socket is told. */
#include "tests/unit/net_kit.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/err.h"
#include "net/addr.h"
#include "net/frame.h"
#include "net/link.h"
#include "net/tls.h"

static struct net_identity corp, a, b;

static int setup(void **state)
{
    (void)state;
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "a", &a);
    kit_make_member(&corp, XN__ROLE__NODE, "b", &b);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_identity_clear(&corp);
    net_identity_clear(&a);
    net_identity_clear(&b);
    return 0;
}

struct end {
    struct net_link *link;
    SSL_CTX *server, *client;
    int fd;
    unsigned frames;
    bool ready;
};

static void on_ready(struct net_link *link)
{
    ((struct end *)link->owner)->ready = true;
}

static void on_frame(struct net_link *link, struct xn_msg *msg)
{
    ((struct end *)link->owner)->frames++;
    xn_msg_free(msg);
}

static void on_closed(struct net_link *link, int rc, const char *text)
{
    (void)rc, (void)text;
    ((struct end *)link->owner)->link = NULL;
}

static const struct net_link_user user = {net_link_begin, on_ready, on_frame,
                                          on_closed};

/* Two connected sockets. */
static void connect_pair(int *near_out, int *far_out)
{
    char text[NET_ADDR_TEXT];
    struct net_addr addr;
    int listener;

    assert_int_equal(net_listen("127.0.0.1:0", &listener, text), 0);
    assert_int_equal(net_addr_parse(text, &addr), 0);
    *near_out = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*near_out, (struct sockaddr *)&addr.sa, addr.len),
                     0);
    *far_out = accept(listener, NULL, NULL);
    assert_true(*far_out >= 0);
    close(listener);
    evutil_make_socket_nonblocking(*near_out);
    evutil_make_socket_nonblocking(*far_out);
}

static void open_end(struct event_base *base, const struct net_identity *me,
                     int fd, bool incoming, struct end *end)
{
    *end = (struct end){.fd = fd};
    assert_int_equal(net_tls_links(me, &end->server, &end->client), 0);
    assert_int_equal(net_link_new(base, incoming ? end->server : end->client,
                                  fd, incoming, &user, end, &end->link),
                     0);
}

static void close_end(struct end *end)
{
    if (end->link) net_link_close(end->link, 0, "");
    SSL_CTX_free(end->server);
    SSL_CTX_free(end->client);
}

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &len), 0);
    return value;
}

static void ping(struct end *end)
{
    Xn__Ping body = XN__PING__INIT;
    struct xn_msg *msg = NULL;

    assert_int_equal(xn_msg_new(XN__KIND__PING, &body, &msg), 0);
    assert_true(net_link_send(end->link, msg));
    xn_msg_free(msg);
    net_link_flush(end->link);
}

/* Until all is acknowledged; for ever it does not try. */
static void rest(struct end *end)
{
    unsigned tries = 10000000;

    while (option(end->fd, TCP_USER_TIMEOUT) != 0 && --tries)
        net_link_rest(end->link);
    assert_int_not_equal(tries, 0);
}

/* What was sent must be acknowledged soon; an idle link bears the loss of some
 * probes, for which no such bound may be set (tcp(7), TCP_USER_TIMEOUT). */
static void idle_and_not(void **state)
{
    struct event_base *base = event_base_new();
    struct end left, right;
    int near, far;

    (void)state;
    connect_pair(&near, &far);
    open_end(base, &a, near, false, &left);
    open_end(base, &b, far, true, &right);
    assert_int_equal(option(near, TCP_USER_TIMEOUT), 15000);
    assert_true(option(near, TCP_KEEPCNT) >= 3);
    while (!left.ready || !right.ready)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_not_equal(left.link->trip_us, 0);
    assert_int_not_equal(right.link->trip_us, 0);
    rest(&left);
    ping(&left);
    assert_int_equal(option(near, TCP_USER_TIMEOUT), 15000);
    while (!right.frames)
        event_base_loop(base, EVLOOP_ONCE);
    rest(&left);
    left.link->trip_us = 6000000; /* one that is far */
    ping(&left);
    assert_int_equal(option(near, TCP_USER_TIMEOUT), 24000);
    while (right.frames < 2)
        event_base_loop(base, EVLOOP_ONCE);
    rest(&left);
    close_end(&left);
    close_end(&right);
    event_base_free(base);
}

/* Nobody reads: what is not acknowledged is not forgotten by resting. */
static void unacknowledged(void **state)
{
    struct event_base *base = event_base_new();
    struct end left, right;
    int near, far, i;

    (void)state;
    connect_pair(&near, &far);
    open_end(base, &a, near, false, &left);
    open_end(base, &b, far, true, &right);
    while (!left.ready || !right.ready)
        event_base_loop(base, EVLOOP_ONCE);
    while (net_link_idle(left.link))
        for (i = 0; i < 1000; i++)
            ping(&left);
    net_link_rest(left.link);
    assert_int_equal(option(near, TCP_USER_TIMEOUT), 15000);
    close_end(&left);
    close_end(&right);
    event_base_free(base);
}

/* ---- frames ---- */

/* Byte by byte: a message when the last one is there, and no sooner. */
static void reads(const struct xn_msg *msg, bool brief, size_t head_len)
{
    uint8_t head[NET_FRAME_HEAD];
    struct net_frames frames;
    struct xn_msg *got = NULL;
    size_t i;

    assert_int_equal(net_frame_head(msg, brief, head), head_len);
    net_frames_init(&frames);
    for (i = 0; i < head_len + msg->size; i++) {
        const uint8_t *byte =
            i < head_len ? &head[i] : &msg->bytes[i - head_len];

        assert_int_equal(net_frames_next(&frames, &got), XN_ENOENT);
        assert_int_equal(net_frames_add(&frames, byte, 1), 0);
    }
    assert_int_equal(net_frames_next(&frames, &got), 0);
    assert_int_equal(got->kind, msg->kind);
    assert_int_equal(got->size, msg->size);
    assert_memory_equal(got->bytes, msg->bytes, msg->size);
    xn_msg_free(got);
    assert_int_equal(net_frames_next(&frames, &got), XN_ENOENT);
    net_frames_clear(&frames);
}

/* A digest of so many bytes. */
static struct xn_msg *peers(size_t len)
{
    static uint8_t digest[XN_MSG_MAX];
    Xn__Peers body = XN__PEERS__INIT;
    struct xn_msg *msg = NULL;

    body.digest.data = digest;
    body.digest.len = len;
    assert_int_equal(xn_msg_new(XN__KIND__PEERS, &body, &msg), 0);
    return msg;
}

static void both_frames(void **state)
{
    static const size_t sizes[] = {0, 125, 126, 16380, 16381, XN_MSG_MAX - 4};
    static const size_t heads[] = {2, 2, 3, 3, 4, 4};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct xn_msg *msg = peers(sizes[i]);

        reads(msg, false, 6);
        reads(msg, true, heads[i]);
        xn_msg_free(msg);
    }
}

static int ends(const uint8_t *bytes, size_t n)
{
    struct net_frames frames;
    struct xn_msg *msg = NULL;
    int rc;

    net_frames_init(&frames);
    assert_int_equal(net_frames_add(&frames, bytes, n), 0);
    rc = net_frames_next(&frames, &msg);
    net_frames_clear(&frames);
    return rc;
}

static void no_frames(void **state)
{
    const uint8_t endless[] = {XN__KIND__PEERS, 0x80, 0x80, 0x80};
    const uint8_t large[] = {XN__KIND__PEERS, 0x81, 0x80, 0x40};
    const uint8_t unknown[] = {'G', 'E'};
    const uint8_t large_long[] = {0, 0x10, 0, 3, 0, XN__KIND__PEERS};
    const uint8_t nothing_long[] = {0, 0, 0, 1, 0, XN__KIND__PEERS};

    (void)state;
    assert_int_equal(ends(endless, 3), XN_ENOENT);
    assert_int_equal(ends(endless, 4), XN_EPROTO);
    assert_int_equal(ends(large, 4), XN_ETOOBIG);
    assert_int_equal(ends(unknown, 2), XN_EPROTO);
    assert_int_equal(ends(large_long, 6), XN_ETOOBIG);
    assert_int_equal(ends(nothing_long, 6), XN_EPROTO);
}

static void hello(struct end *end, uint64_t features)
{
    Xn__Hello body = XN__HELLO__INIT;
    struct xn_msg *msg = NULL;

    body.features = features;
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &body, &msg), 0);
    assert_true(net_link_send(end->link, msg));
    xn_msg_free(msg);
    net_link_flush(end->link);
}

/* An empty PING, so that all that comes is its head. */
static uint64_t ping_costs(struct event_base *base, struct end *from,
                           struct end *to)
{
    uint64_t before = to->link->received;
    unsigned frames = to->frames;

    ping(from);
    while (to->frames == frames)
        event_base_loop(base, EVLOOP_ONCE);
    return to->link->received - before;
}

static void brief_to_who_reads_it(void **state)
{
    struct event_base *base = event_base_new();
    struct end left, right;
    int near, far;

    (void)state;
    connect_pair(&near, &far);
    open_end(base, &a, near, false, &left);
    open_end(base, &b, far, true, &right);
    while (!left.ready || !right.ready)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(ping_costs(base, &left, &right), 6);
    hello(&right, ~(uint64_t)XN_FEATURE_SHORT);
    while (left.frames < 1)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(ping_costs(base, &left, &right), 6);
    hello(&right, XN_FEATURE_SHORT);
    while (left.frames < 2)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(ping_costs(base, &left, &right), 2);
    assert_int_equal(ping_costs(base, &right, &left), 6);
    close_end(&left);
    close_end(&right);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_and_not),
        cmocka_unit_test(unacknowledged),
        cmocka_unit_test(both_frames),
        cmocka_unit_test(no_frames),
        cmocka_unit_test(brief_to_who_reads_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
