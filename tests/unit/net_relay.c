/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of streams, and what carries bytes between them and a socket: order,
 * half-closing, bounds, and who does not keep to the form. */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "net/liveness.h"
#include "net/relay.h"
#include "wire/api.pb-c.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/stream.h"

#define HELD_MAX (1 << 20) /* of one direction: sockets' own room included */

struct kit {
    struct event_base *base;
    struct bufferevent *bev;
    struct net_relay *relay;
    int far, near; /* our ends */
    bool over;
    int rc;
    char because[256];
};

static time_t ahead_s; /* of every clock */

/* In the place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    long rc = syscall(SYS_clock_gettime, clock, out);

    out->tv_sec += ahead_s;
    return (int)rc;
}

static void on_over(void *arg, int rc, const char *because)
{
    struct kit *k = arg;

    assert_false(k->over);
    k->over = true;
    k->rc = rc;
    snprintf(k->because, sizeof k->because, "%s", because);
}

static void pair(int out[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, out),
                     0);
}

/* By TCP. */
static void connect_far(int far[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    far[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(far[1], (struct sockaddr *)&at, len), 0);
    far[0] = accept(listener, NULL, NULL);
    assert_true(far[0] >= 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(evutil_make_socket_nonblocking(far[i]), 0);
    close(listener);
}

/* far: ours is the second. */
static void begin_on(struct kit *k, const int far[2], bool serves, bool whole)
{
    int near[2];
    struct net_relay_config config = {
        .serves = serves, .whole = whole, .over = on_over, .arg = k};

    memset(k, 0, sizeof *k);
    pair(near);
    k->base = event_base_new();
    k->bev = bufferevent_socket_new(k->base, far[0], BEV_OPT_CLOSE_ON_FREE);
    k->far = far[1];
    k->near = near[1];
    config.base = k->base;
    config.far = k->bev;
    config.near = net_relay_socket(k->base, near[0]);
    config.lost = "it is lost";
    assert_int_equal(net_relay_new(&config, &k->relay), 0);
}

static void begin_as(struct kit *k, bool serves, bool whole)
{
    int far[2];

    pair(far);
    begin_on(k, far, serves, whole);
}

static void begin(struct kit *k, bool serves)
{
    begin_as(k, serves, false);
}

static void end(struct kit *k)
{
    net_relay_free(k->relay);
    bufferevent_free(k->bev);
    event_base_free(k->base);
    if (k->far >= 0) close(k->far);
    if (k->near >= 0) close(k->near);
}

static void turn(struct kit *k)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(k->base, EVLOOP_NONBLOCK);
}

static void run_until_over(struct kit *k)
{
    while (!k->over)
        event_base_loop(k->base, EVLOOP_ONCE);
}

/* The other end closes, as it does when it is told the end. */
static void run_until_left(struct kit *k)
{
    turn(k);
    close(k->far);
    k->far = -1;
    run_until_over(k);
}

static void say(struct kit *k, enum stream_kind kind, const void *data,
                size_t len)
{
    uint8_t frame[STREAM_HEAD + STREAM_MAX];

    stream_head_put(kind, len, frame);
    if (len) memcpy(frame + STREAM_HEAD, data, len);
    assert_int_equal(write(k->far, frame, STREAM_HEAD + len),
                     STREAM_HEAD + len);
}

static void say_near(struct kit *k, const void *data, size_t len)
{
    assert_int_equal(write(k->near, data, len), len);
    turn(k);
}

/* All that is there of a descriptor; -1 behind it: it has ended. */
static size_t take(int fd, uint8_t *data, size_t room, bool *ended_out)
{
    size_t n = 0;
    ssize_t got = 1;

    while (n < room && got > 0) {
        got = read(fd, data + n, room - n);
        if (got > 0) n += (size_t)got;
    }
    *ended_out = got == 0 || (got < 0 && errno != EAGAIN);
    return n;
}

/* ---- frames -------------------------------------------------------------- */

static void heads_come_back(void **state)
{
    static const size_t lens[] = {1, 255, 256, 32768};
    struct stream_head head;
    uint8_t data[STREAM_HEAD];

    for (int kind = STREAM_DATA; kind <= STREAM_NOOP; kind++) {
        for (size_t i = 0; i < 4; i++) {
            stream_head_put((enum stream_kind)kind, lens[i], data);
            if (kind >= STREAM_WINDOW || kind == STREAM_END) {
                assert_int_equal(stream_head_parse(data, &head), XN_EPROTO);
                continue;
            }
            assert_int_equal(stream_head_parse(data, &head), 0);
            assert_int_equal(head.kind, kind);
            assert_int_equal(head.len, lens[i]);
        }
    }
    stream_head_put(STREAM_END, 0, data);
    assert_int_equal(stream_head_parse(data, &head), 0);
    stream_head_put(STREAM_NOOP, 0, data);
    assert_int_equal(stream_head_parse(data, &head), 0);
    stream_head_put(STREAM_WINDOW, STREAM_WINDOW_LEN, data);
    assert_int_equal(stream_head_parse(data, &head), 0);
}

static void windows_come_back(void **state)
{
    static const uint16_t sizes[] = {0, 1, 255, 256, 65535};
    uint8_t data[STREAM_WINDOW_LEN];
    uint16_t rows, columns;

    for (size_t i = 0; i < 25; i++) {
        stream_window_put(sizes[i / 5], sizes[i % 5], data);
        stream_window_get(data, &rows, &columns);
        assert_int_equal(rows, sizes[i / 5]);
        assert_int_equal(columns, sizes[i % 5]);
    }
    stream_window_put(0x0102, 0x0304, data);
    assert_memory_equal(data, "\1\2\3\4", 4);
}

static void terminals_are_looked_at(void **state)
{
    static const struct {
        uint32_t rows, columns;
        const char *type;
        bool ok;
    } rows[] = {
        {24, 80, "xterm-256color", true},
        {0, 0, "", true},
        {65535, 65535, "a.b+c_D", true},
        {65536, 1, "", false},
        {1, 65536, "", false},
        {24, 80, "a b", false},
        {24, 80, "a=b", false},
        {24, 80, "a\n", false},
        {24, 80, "../x", false},
    };
    Xn__Terminal terminal = XN__TERMINAL__INIT;
    char type[STREAM_TERM_MAX + 2];

    assert_true(stream_terminal_ok(NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        terminal.rows = rows[i].rows;
        terminal.columns = rows[i].columns;
        terminal.type = (char *)(uintptr_t)rows[i].type;
        assert_int_equal(stream_terminal_ok(&terminal), rows[i].ok);
    }
    memset(type, 'x', sizeof type);
    type[sizeof type - 1] = 0;
    terminal.rows = terminal.columns = 1;
    terminal.type = type;
    assert_false(stream_terminal_ok(&terminal));
    terminal.type = type + 1;
    assert_true(stream_terminal_ok(&terminal));
}

static void others_are_refused(void **state)
{
    static const uint8_t bad[][STREAM_HEAD] = {
        {0, 0, 0, 1},   {5, 0, 0, 1}, {5, 0, 0, 5},   {6, 0, 0, 1},
        {255, 0, 0, 1}, {1, 0, 0, 0}, {1, 0, 128, 1}, {1, 255, 255, 255},
        {3, 0, 0, 1},   {2, 0, 0, 0}, {7, 0, 0, 1},   {7, 0, 0, 0}};
    struct stream_head head;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(stream_head_parse(bad[i], &head), XN_EPROTO);
}

/* ---- bytes --------------------------------------------------------------- */

static void carries_both_ways(void **state)
{
    uint8_t data[64];
    struct kit k;
    bool ended;

    begin(&k, true);
    say(&k, STREAM_DATA, "hello", 5);
    turn(&k);
    assert_int_equal(take(k.near, data, sizeof data, &ended), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(write(k.near, "world", 5), 5);
    turn(&k);
    assert_int_equal(take(k.far, data, sizeof data, &ended), 9);
    assert_memory_equal(data, "\1\0\0\5world", 9);
    assert_false(k.over);
    end(&k);
}

/* Each side's end is passed on alone; after both it is over. */
static void passes_ends_on(void **state)
{
    for (int first = 0; first < 2; first++) {
        uint8_t data[64];
        struct kit k;
        bool ended;

        begin(&k, first);
        say(&k, STREAM_DATA, "all", 3);
        say(&k, STREAM_END, NULL, 0);
        turn(&k);
        assert_int_equal(take(k.near, data, sizeof data, &ended), 3);
        assert_true(ended);
        assert_int_equal(write(k.near, "late", 4), 4);
        turn(&k);
        assert_int_equal(take(k.far, data, sizeof data, &ended), 8);
        assert_false(ended || k.over);
        shutdown(k.near, SHUT_WR);
        run_until_over(&k);
        assert_int_equal(k.rc, 0);
        assert_int_equal(take(k.far, data, sizeof data, &ended), 4);
        assert_memory_equal(data, "\3\0\0\0", 4);
        end(&k);
    }
}

/* Frames cut anywhere are the same frames. */
static void frames_in_pieces(void **state)
{
    uint8_t frames[] = {1, 0, 0, 3, 'a', 'b', 'c', 1, 0, 0, 1, 'd', 3, 0, 0, 0};
    uint8_t data[64];
    struct kit k;
    bool ended;

    begin(&k, true);
    for (size_t i = 0; i < sizeof frames; i++) {
        assert_int_equal(write(k.far, frames + i, 1), 1);
        turn(&k);
    }
    assert_int_equal(take(k.near, data, sizeof data, &ended), 4);
    assert_memory_equal(data, "abcd", 4);
    assert_true(ended);
    end(&k);
}

/* Whoever does not read makes the other end wait: what is held does not grow. */
static void holds_little(void **state)
{
    uint8_t frame[STREAM_HEAD + STREAM_MAX] = {0}, *all = malloc(HELD_MAX);
    size_t sent = 0, got = 0;
    struct kit k;
    bool ended;
    ssize_t n;

    begin(&k, true);
    stream_head_put(STREAM_DATA, STREAM_MAX, frame);
    do {
        size_t at = sent % sizeof frame;

        n = write(k.far, frame + at, sizeof frame - at);
        if (n > 0) sent += (size_t)n;
        turn(&k);
        assert_true(sent < HELD_MAX);
    } while (n > 0);
    while (got + STREAM_HEAD * (sent / sizeof frame + 1) < sent) {
        got += take(k.near, all, HELD_MAX, &ended);
        assert_false(ended);
        turn(&k);
    }
    /* and the other way */
    for (sent = 0, n = 1; n > 0;) {
        n = write(k.near, frame, sizeof frame);
        if (n > 0) sent += (size_t)n;
        turn(&k);
        assert_true(sent < HELD_MAX);
    }
    for (got = 0; got < sent; turn(&k))
        got += take(k.far, all, HELD_MAX, &ended);
    assert_false(k.over);
    free(all);
    end(&k);
}

/* ---- ends ---------------------------------------------------------------- */

static size_t held(const struct kit *k)
{
    return evbuffer_get_length(bufferevent_get_output(k->bev));
}

/* An end that is as much as may wait is said once. */
static void ends_once_when_full(void **state)
{
    const size_t high = 128 << 10;
    uint8_t *data = calloc(1, HELD_MAX);
    size_t sent = 0, got = 0;
    struct kit k;
    bool ended;

    begin(&k, true);
    while (held(&k) < high - 1) {
        size_t n = high - 1 - held(&k);

        n = n > 4000 ? 2000 : n - STREAM_HEAD;
        assert_int_equal(write(k.near, data, n), n);
        sent += STREAM_HEAD + n;
        turn(&k);
    }
    assert_int_equal(held(&k), high - 1);
    assert_int_equal(shutdown(k.near, SHUT_WR), 0);
    sent += STREAM_HEAD;
    for (unsigned i = 0; i < 1000 && (got < sent || i < 20); i++) {
        got += take(k.far, data, HELD_MAX, &ended);
        turn(&k);
    }
    assert_int_equal(got, sent);
    assert_false(k.over);
    free(data);
    end(&k);
}

static void refuses_what_is_no_frame(void **state)
{
    static const struct {
        bool serves;
        uint8_t bytes[12];
        size_t n;
    } bad[] = {
        {true, {7, 0, 0, 1}, 4},
        {true, {5, 0, 0, 4, 0, 1, 0, 1}, 8}, /* of a port */
        {true, {6, 0, 0, 0}, 4},             /* the server's */
        {true, {1, 0, 128, 1}, 4},
        {true, {2, 0, 0, 1, 'x'}, 5},  /* a client's standard error */
        {true, {4, 0, 0, 2, 8, 1}, 6}, /* the last word is ours */
        {true, {3, 0, 0, 0, 1, 0, 0, 1, 'x'}, 9}, /* after its end */
        {false, {4, 0, 0, 2, 8, 1}, 6},           /* no error at all */
        {false, {4, 0, 0, 2, 255, 255}, 6},       /* no message */
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kit k;

        begin(&k, bad[i].serves);
        assert_int_equal(write(k.far, bad[i].bytes, bad[i].n), bad[i].n);
        run_until_left(&k);
        assert_int_equal(k.rc, XN_EPROTO);
        end(&k);
    }
}

/* What the server says last is what the client hears. */
static void tells_why(void **state)
{
    struct kit server, client;
    uint8_t data[512] = {0};
    bool ended;
    size_t n;

    begin(&server, true);
    net_relay_end(server.relay, XN_ECONFLICT, "so it is");
    turn(&server);
    assert_int_equal(read(server.near, data, 1), 0);
    n = take(server.far, data, sizeof data, &ended);
    /* what is still said to it is read, or it would not be heard itself */
    say(&server, STREAM_DATA, data, sizeof data);
    turn(&server);
    assert_false(server.over);
    run_until_left(&server);
    assert_int_equal(server.rc, XN_ECONFLICT);
    begin(&client, false);
    assert_int_equal(write(client.far, data, n), n);
    run_until_over(&client);
    assert_int_equal(client.rc, XN_ECONFLICT);
    assert_string_equal(client.because, "so it is");
    end(&server);
    end(&client);
}

static void is_cut(void **state)
{
    struct kit k;

    begin(&k, true);
    close(k.far);
    k.far = -1;
    run_until_over(&k);
    assert_int_equal(k.rc, XN_EUNREACH);
    end(&k);
    begin(&k, true);
    close(k.near);
    k.near = -1;
    say(&k, STREAM_DATA, "hello", 5);
    run_until_left(&k);
    assert_int_equal(k.rc, XN_ECANCELLED);
    end(&k);
}

/* Who has said all and closes is heard to the end. */
static void hears_who_has_left(void **state)
{
    uint8_t part[STREAM_MAX] = {0}, data[STREAM_MAX];
    size_t got = 0;
    struct kit k;
    bool ended = false;

    begin(&k, true);
    shutdown(k.near, SHUT_WR);
    turn(&k);
    for (int i = 0; i < 3; i++) {
        say(&k, STREAM_DATA, part, sizeof part);
        turn(&k);
    }
    say(&k, STREAM_END, NULL, 0);
    close(k.far);
    k.far = -1;
    while (!ended) {
        turn(&k);
        got += take(k.near, data, sizeof data, &ended);
    }
    assert_int_equal(got, 3 * sizeof part);
    run_until_over(&k);
    assert_int_equal(k.rc, 0);
    end(&k);
}

/* As libevent's TLS does, which tells of the end first. */
static void comes_with_the_end(struct kit *k, const uint8_t *data, size_t len)
{
    struct evbuffer *in = bufferevent_get_input(k->bev);

    bufferevent_trigger_event(k->bev, BEV_EVENT_READING | BEV_EVENT_EOF, 0);
    evbuffer_unfreeze(in, 0);
    assert_int_equal(evbuffer_add(in, data, len), 0);
    bufferevent_trigger(k->bev, EV_READ, 0);
}

static void what_comes_with_an_end_is_heard(void **state)
{
    static const uint8_t frames[] = {1, 0, 0, 2, 'i', 'n', 3, 0, 0, 0};
    uint8_t data[64];
    struct kit k;
    bool ended;

    for (int whole = 0; whole < 2; whole++) {
        size_t skip = whole ? STREAM_HEAD : 0;

        begin_as(&k, true, whole);
        if (whole)
            say_near(&k, "\3\0\0\0", 4);
        else
            shutdown(k.near, SHUT_WR);
        turn(&k);
        comes_with_the_end(&k, frames, sizeof frames);
        run_until_over(&k);
        assert_int_equal(k.rc, 0);
        assert_true(take(k.near, data, sizeof data, &ended) >= skip + 2);
        assert_memory_equal(data + skip, "in", 2);
        end(&k);
    }
}

/* Who speaks of himself is passed on as he is, to his end; that he takes nothing
 * any more ends nothing. */
static void passes_on(void **state)
{
    static const uint8_t last[] = {4, 0, 0, 2, 24, 1};
    uint8_t data[64];
    struct kit k;
    bool ended;

    begin_as(&k, true, true);
    say(&k, STREAM_DATA, "in", 2);
    turn(&k);
    assert_int_equal(take(k.near, data, sizeof data, &ended), 6);
    assert_memory_equal(data, "\1\0\0\2in", 6);
    assert_false(ended || k.over);
    say(&k, STREAM_DATA, "not taken", 9);
    turn(&k);
    assert_int_equal(write(k.near, last, sizeof last), sizeof last);
    close(k.near);
    k.near = -1;
    say(&k, STREAM_DATA, "nor this", 8);
    turn(&k);
    assert_int_equal(take(k.far, data, sizeof data, &ended), sizeof last);
    assert_memory_equal(data, last, sizeof last);
    run_until_left(&k);
    assert_int_equal(k.rc, 0);
    end(&k);
    begin_as(&k, true, true); /* who leaves is gone for him, too */
    close(k.far);
    k.far = -1;
    run_until_over(&k);
    assert_int_equal(take(k.near, data, sizeof data, &ended), 0);
    assert_true(ended);
    end(&k);
}

/* Who has said all is heard to the end however slowly that is read, but for who
 * is ended meanwhile. */
static void what_was_said_waits(void **state)
{
    for (int ended_too = 0; ended_too < 2; ended_too++) {
        static const uint8_t last[] = {4, 0, 0, 2, 24, 1};
        uint8_t *data = calloc(1, HELD_MAX);
        size_t sent = sizeof last, got = 0;
        struct kit k;
        bool ended;

        begin_as(&k, true, true);
        stream_head_put(STREAM_DATA, 4000 - STREAM_HEAD, data);
        while (held(&k) < 100 << 10) {
            say_near(&k, data, 4000);
            sent += 4000;
        }
        say_near(&k, last, sizeof last);
        close(k.near);
        k.near = -1;
        for (int i = 0; i < 20; i++) {
            ahead_s += 60;
            turn(&k);
            assert_false(k.over);
        }
        if (ended_too) {
            net_relay_end(k.relay, XN_ECONFLICT, "so it is");
            ahead_s += 60;
            run_until_over(&k);
            assert_int_equal(k.rc, XN_ECONFLICT);
        } else {
            for (unsigned i = 0; i < 1000 && got < sent; i++) {
                got += take(k.far, data, HELD_MAX, &ended);
                turn(&k);
            }
            assert_int_equal(got, sent);
            run_until_left(&k);
            assert_int_equal(k.rc, 0);
        }
        free(data);
        end(&k);
    }
}

/* As many bytes of frames as there is room for. */
static void fill(struct kit *k)
{
    uint8_t frame[STREAM_HEAD + STREAM_MAX] = {0};
    size_t sent = 0;
    ssize_t n;

    stream_head_put(STREAM_DATA, STREAM_MAX, frame);
    do {
        size_t at = sent % sizeof frame;

        n = write(k->far, frame + at, sizeof frame - at);
        if (n > 0) sent += (size_t)n;
        turn(k);
    } while (n > 0);
}

/* Nothing that comes is answered any more. */
static void vanish(int fd)
{
    struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog program = {1, &nothing};

    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program),
        0);
}

static struct tcp_info info_of(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info;
}

/* All is said, and more than he has room for is still to be taken. */
static void end_both(struct kit *k)
{
    uint8_t data[4096] = {0};

    say(k, STREAM_END, NULL, 0);
    while (evbuffer_get_length(bufferevent_get_output(k->bev)) < 64 << 10) {
        assert_int_equal(write(k->near, data, sizeof data), sizeof data);
        turn(k);
    }
    shutdown(k->near, SHUT_WR);
    turn(k);
}

static bool is_unanswered(int fd)
{
    struct tcp_info info = info_of(fd);

    return info.tcpi_retransmits || info.tcpi_probes;
}

/* Of a client and of a server, read or not, also where all has been said. */
static void who_has_vanished_is_missed(void **state)
{
    for (int i = 0; i < 4; i++) {
        bool serves = i > 0, unread = i == 2, ends = i == 3;
        const int little = 8 << 10; /* so that it grows no more */
        struct kit k;
        int far[2];

        connect_far(far);
        assert_int_equal(
            setsockopt(far[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little),
            0);
        begin_on(&k, far, serves, false);
        if (unread) fill(&k);
        if (ends) end_both(&k);
        vanish(k.far);
        if (!ends) assert_int_equal(write(k.near, "x", 1), 1);
        turn(&k);
        while (!is_unanswered(far[0]))
            usleep(10000);
        for (int j = 0; j < 6; j++) {
            assert_false(k.over);
            ahead_s += 20;
            turn(&k);
        }
        for (int j = 0; j < 3; j++) {
            ahead_s += 20;
            turn(&k);
        }
        assert_true(k.over);
        assert_int_equal(k.rc, ends ? 0 : XN_EUNREACH);
        end(&k);
    }
}

/* Its machine says that there is no room. */
static void who_does_not_read_is_waited_for(void **state)
{
    uint8_t data[4096] = {0};
    struct kit k;
    int far[2];

    connect_far(far);
    begin_on(&k, far, true, false);
    while (write(k.near, data, sizeof data) > 0)
        turn(&k);
    while (!info_of(far[0]).tcpi_backoff)
        usleep(10000);
    for (int i = 0; i < 20; i++) {
        ahead_s += 20;
        turn(&k);
    }
    assert_false(k.over);
    end(&k);
}

/* Where nothing is said TCP asks; a closed window is no answer that is missing. */
static void who_is_silent_is_asked(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 0, patience = 1;
    socklen_t len = sizeof on;

    net_liveness_watch(fd);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
    assert_true(on);
    assert_int_equal(
        getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, &len), 0);
    assert_int_equal(patience, 0);
    close(fd);
}

/* Of one that speaks in frames only whole ones are passed on: so that it was cut
 * can be said behind what it had said. */
static void a_cut_is_said_in_its_place(void **state)
{
    uint8_t data[128];
    Xn__StreamOver *over;
    struct kit k;
    bool ended;
    size_t n;

    begin_as(&k, true, true);
    say_near(&k, "\2\0\0\2no\1\0\0\4cut", 13);
    assert_int_equal(take(k.far, data, sizeof data, &ended), 6);
    assert_memory_equal(data, "\2\0\0\2no", 6);
    close(k.near);
    k.near = -1;
    turn(&k);
    n = take(k.far, data, sizeof data, &ended);
    assert_true(n > STREAM_HEAD && data[0] == STREAM_OVER);
    over = xn__stream_over__unpack(NULL, n - STREAM_HEAD, data + STREAM_HEAD);
    assert_non_null(over);
    assert_int_equal(over->rc, XN_EUNREACH);
    assert_string_equal(over->because, "it is lost");
    xn__stream_over__free_unpacked(over, NULL);
    run_until_left(&k);
    assert_int_equal(k.rc, XN_EUNREACH);
    end(&k);
}

/* Ends are passed on as frames; after both it is over, and both have heard so. */
static void passes_framed_ends_on(void **state)
{
    uint8_t data[64];
    bool ended;

    for (int first = 0; first < 2; first++) {
        struct kit k;

        begin_as(&k, true, true);
        if (first) say_near(&k, "\3\0\0\0", 4);
        say(&k, STREAM_DATA, "all", 3);
        say(&k, STREAM_END, NULL, 0);
        turn(&k);
        assert_int_equal(take(k.near, data, sizeof data, &ended), 11);
        assert_memory_equal(data, "\1\0\0\3all\3\0\0\0", 11);
        assert_int_equal(ended, first);
        if (!first) say_near(&k, "\1\0\0\1x\3\0\0\0", 9);
        run_until_over(&k);
        assert_int_equal(k.rc, 0);
        assert_int_equal(take(k.far, data, sizeof data, &ended), first ? 4 : 9);
        end(&k);
    }
}

/* Who leaves is missed also where what he said is not taken; by TCP where his
 * leaving cannot even be sent, for want of room. */
static void who_leaves_is_missed(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct kit k;
        int far[2];

        if (i < 2)
            pair(far);
        else
            connect_far(far);
        begin_on(&k, far, true, i % 2);
        fill(&k);
        close(k.far);
        k.far = -1;
        for (int j = 0; j < 3 && !k.over; j++) {
            ahead_s += 20;
            turn(&k);
        }
        assert_true(k.over);
        assert_int_equal(k.rc, XN_EUNREACH);
        end(&k);
    }
}

/* Who is there and is not read goes on, and hears as little as there is to say. */
static void who_stays_is_let_stay(void **state)
{
    uint8_t data[64];
    struct kit k;
    bool ended;

    begin(&k, true);
    fill(&k);
    for (int i = 0; i < 3; i++) {
        ahead_s += 20;
        turn(&k);
        assert_int_equal(take(k.far, data, sizeof data, &ended), STREAM_HEAD);
        assert_memory_equal(data, "\6\0\0\0", STREAM_HEAD);
        assert_false(k.over);
    }
    while (take(k.near, data, sizeof data, &ended) > 0)
        turn(&k);
    ahead_s += 20;
    turn(&k);
    assert_int_equal(take(k.far, data, sizeof data, &ended),
                     0); /* it is read */
    end(&k);
}

/* By the client's end; it may come where something else is awaited. */
static void noops_are_passed_over(void **state)
{
    uint8_t data[64];
    struct kit k;
    bool ended;

    begin(&k, false);
    say(&k, STREAM_NOOP, NULL, 0);
    say(&k, STREAM_DATA, "hello", 5);
    say(&k, STREAM_NOOP, NULL, 0);
    say(&k, STREAM_DATA, "!", 1);
    turn(&k);
    assert_int_equal(take(k.near, data, sizeof data, &ended), 6);
    assert_memory_equal(data, "hello!", 6);
    assert_false(k.over);
    end(&k);

    begin_as(&k, true, true); /* a cluster's manager passes them on */
    say_near(&k, "\6\0\0\0", 4);
    assert_int_equal(take(k.far, data, sizeof data, &ended), 4);
    assert_memory_equal(data, "\6\0\0\0", 4);
    end(&k);
}

/* Neither end may say what the other is not to hear. */
static void frames_are_looked_at(void **state)
{
    static const struct {
        bool near;
        uint8_t bytes[12];
        size_t n;
    } bad[] = {
        {false, {2, 0, 0, 1, 'x'}, 5},
        {false, {4, 0, 0, 2, 24, 1}, 6},
        {false, {3, 0, 0, 0, 1, 0, 0, 1, 'x'}, 9},
        {false, {1, 0, 128, 1}, 4},
        {false, {3, 0, 0, 0, 5, 0, 0, 4, 0, 1, 0, 1}, 12},
        {false, {6, 0, 0, 0}, 4}, /* the server's */
        {true, {9, 0, 0, 1, 'x'}, 5},
        {true, {5, 0, 0, 4, 0, 1, 0, 1}, 8}, /* the client's word */
        {true, {3, 0, 0, 0, 1, 0, 0, 1, 'x'}, 9},
        {true, {1, 255, 255, 255}, 4},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kit k;

        begin_as(&k, true, true);
        assert_int_equal(
            write(bad[i].near ? k.near : k.far, bad[i].bytes, bad[i].n),
            bad[i].n);
        run_until_left(&k);
        assert_int_equal(k.rc, XN_EPROTO);
        end(&k);
    }
}

static void holds_little_of_frames(void **state)
{
    uint8_t frame[STREAM_HEAD + STREAM_MAX] = {0}, *all = malloc(HELD_MAX);

    stream_head_put(STREAM_DATA, STREAM_MAX, frame);
    for (int way = 0; way < 2; way++) {
        size_t sent = 0, got = 0;
        struct kit k;
        bool ended;
        ssize_t n;
        int from, to;

        begin_as(&k, true, true);
        from = way ? k.near : k.far;
        to = way ? k.far : k.near;
        do {
            size_t at = sent % sizeof frame;

            n = write(from, frame + at, sizeof frame - at);
            if (n > 0) sent += (size_t)n;
            turn(&k);
            assert_true(sent < HELD_MAX);
        } while (n > 0);
        for (; got < sent / sizeof frame * sizeof frame; turn(&k))
            got += take(to, all, HELD_MAX, &ended);
        assert_false(k.over);
        end(&k);
    }
    free(all);
}

/* Anything at all comes to an end, within bounds. */
static void babble(void **state)
{
    struct xn_rng rng;
    struct kit k;

    xn_rng_seed(&rng, 14);
    for (int i = 0; i < 3000; i++) {
        uint8_t data[64];
        size_t n = 1 + xn_rng_below(&rng, sizeof data);

        begin_as(&k, i % 3, i % 3 == 2);
        for (size_t at = 0; at < n; at++)
            data[at] =
                (uint8_t)(xn_rng_below(&rng, 3) ? xn_rng_below(&rng, 7)
                                                : xn_rng_below(&rng, 256));
        assert_int_equal(write(k.far, data, n), n);
        turn(&k);
        close(k.far);
        k.far = -1;
        run_until_over(&k);
        assert_true(k.rc < 0);
        end(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_come_back),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(windows_come_back),
        cmocka_unit_test(terminals_are_looked_at),
        cmocka_unit_test(carries_both_ways),
        cmocka_unit_test(passes_ends_on),
        cmocka_unit_test(frames_in_pieces),
        cmocka_unit_test(holds_little),
        cmocka_unit_test(ends_once_when_full),
        cmocka_unit_test(refuses_what_is_no_frame),
        cmocka_unit_test(tells_why),
        cmocka_unit_test(is_cut),
        cmocka_unit_test(hears_who_has_left),
        cmocka_unit_test(what_comes_with_an_end_is_heard),
        cmocka_unit_test(passes_on),
        cmocka_unit_test(what_was_said_waits),
        cmocka_unit_test(who_has_vanished_is_missed),
        cmocka_unit_test(who_does_not_read_is_waited_for),
        cmocka_unit_test(who_is_silent_is_asked),
        cmocka_unit_test(a_cut_is_said_in_its_place),
        cmocka_unit_test(passes_framed_ends_on),
        cmocka_unit_test(who_leaves_is_missed),
        cmocka_unit_test(who_stays_is_let_stay),
        cmocka_unit_test(noops_are_passed_over),
        cmocka_unit_test(frames_are_looked_at),
        cmocka_unit_test(holds_little_of_frames),
        cmocka_unit_test(babble),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
