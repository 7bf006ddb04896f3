/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames held back for tests: the file, the order, the bound, the end. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>

#include <event2/event.h>

#include "net/clock.h"
#include "net/delay.h"
#include "net/file.h"

#define LONG_US "1000000000" /* longer than any test */

static struct net_identity corp, a, b;
static char dir[64], path[96];

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "a", &a);
    kit_make_member(&corp, XN__ROLE__NODE, "b", &b);
    kit_mkdir(dir);
    snprintf(path, sizeof path, "%s/delay", dir);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&a);
    net_identity_clear(&b);
    kit_rmdir(dir);
    return 0;
}

/* The file: `before`, the id, `after`. */
static void write_file(const char *before, const xn_id *id, const char *after)
{
    FILE *f = fopen(path, "w");
    char hex[XN_ID_HEX];

    assert_non_null(f);
    xn_id_hex(id, hex);
    fprintf(f, "%s%s%s", before, hex, after);
    assert_int_equal(fclose(f), 0);
}

/* ---- the file ---------------------------------------------------------- */

static void bad_files(void **state)
{
    static const struct {
        const char *before, *after;
    } bad[] = {
        {"", ""},
        {"", " -1"},
        {"", " 1.5"},
        {"", " 1000000001"},
        {"", " 99999999999999999999"},
        {"", " 5 6 7"},
        {"", " 5 x"},
        {"0", " 5"},
        {"# fine\nnot-an-id 5\n", " 5"},
    };
    struct net_delays *delays;
    char hex[XN_ID_HEX], again[96];
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(bad[i].before, &b.cert.id, bad[i].after);
        assert_int_equal(net_delays_load("test", path, &delays), XN_EINVAL);
    }
    xn_id_hex(&b.cert.id, hex);
    snprintf(again, sizeof again, " 5\n%s 6\n", hex);
    write_file("", &b.cert.id, again);
    assert_int_equal(net_delays_load("test", path, &delays), XN_EINVAL);
    assert_int_equal(net_delays_load("test", "/nonexistent", &delays),
                     XN_EINVAL);
    assert_int_equal(net_delays_load("test", "/", &delays), XN_EIO);
}

/* ---- without links ----------------------------------------------------- */

struct heard {
    uint64_t nonces[256];
    uint64_t at_us[256];
    size_t n;
};

static void hear(void *arg, struct xn_msg *msg)
{
    struct heard *heard = arg;

    assert_true(heard->n < 256);
    heard->at_us[heard->n] = net_mono_us();
    heard->nonces[heard->n++] = XN_BODY(msg, Xn__Ping)->nonce;
    xn_msg_free(msg);
}

static struct xn_msg *ping(uint64_t nonce)
{
    Xn__Ping body = XN__PING__INIT;
    struct xn_msg *msg;

    body.nonce = nonce;
    assert_int_equal(xn_msg_new(XN__KIND__PING, &body, &msg), 0);
    return msg;
}

struct bench {
    struct event_base *base;
    struct net_delays *delays;
    struct net_delay *delay;
    struct heard heard;
};

static void bench_open(struct bench *bench, const char *us, const xn_id *peer)
{
    char after[64];

    memset(bench, 0, sizeof *bench);
    bench->base = event_base_new();
    snprintf(after, sizeof after, " %s\r\n", us);
    write_file("# far\n\n ", &b.cert.id, after);
    assert_int_equal(net_delays_load("test", path, &bench->delays), 0);
    assert_int_equal(net_delay_new(bench->delays, bench->base, peer, hear,
                                   &bench->heard, &bench->delay),
                     0);
}

static void bench_close(struct bench *bench)
{
    net_delay_end(bench->delay);
    net_delays_free(bench->delays);
    event_base_free(bench->base);
}

static void only_who_is_named(void **state)
{
    struct bench bench;

    bench_open(&bench, "5000", &a.cert.id);
    assert_null(bench.delay);
    bench_close(&bench);
    bench_open(&bench, "0", &b.cert.id);
    assert_null(bench.delay);
    bench_close(&bench);
    bench_open(&bench, "0 1", &b.cert.id);
    assert_non_null(bench.delay);
    bench_close(&bench);
}

/* Jitter makes no frame overtake another, none comes early, and the loop has
 * nothing left to wait for when the last is out. */
static void in_order(void **state)
{
    uint64_t begun_us = net_mono_us();
    struct bench bench;
    uint64_t i;

    bench_open(&bench, "3000 4000", &b.cert.id);
    for (i = 0; i < 100; i++)
        net_delay_put(bench.delay, ping(i));
    assert_int_equal(bench.heard.n, 0);
    event_base_dispatch(bench.base);
    assert_int_equal(bench.heard.n, 100);
    for (i = 0; i < 100; i++) {
        assert_int_equal(bench.heard.nonces[i], i);
        assert_true(bench.heard.at_us[i] >= begun_us + 3000);
    }
    net_delay_put(bench.delay, ping(7)); /* it can be idle and go on */
    event_base_dispatch(bench.base);
    assert_int_equal(bench.heard.nonces[100], 7);
    bench_close(&bench);
}

static void count(void *arg, struct xn_msg *msg)
{
    ++*(size_t *)arg;
    xn_msg_free(msg);
}

/* At the bound all wait; past it the oldest goes early; at the end, all. */
static void bounded_by(struct xn_msg *msg)
{
    size_t fit = NET_DELAY_HELD_MAX / (msg->size + NET_DELAY_FRAME_COST), i;
    struct net_delay *delay;
    struct bench bench;
    size_t heard = 0;

    bench_open(&bench, LONG_US, &b.cert.id);
    assert_int_equal(net_delay_new(bench.delays, bench.base, &b.cert.id, count,
                                   &heard, &delay),
                     0);
    for (i = 0; i < fit; i++)
        net_delay_put(delay, xn_msg_ref(msg));
    assert_int_equal(heard, 0);
    net_delay_put(delay, msg);
    assert_int_equal(heard, 1);
    net_delay_end(delay);
    assert_int_equal(heard, fit + 1);
    bench_close(&bench);
}

static void bounded(void **state)
{
    static uint8_t data[100000];
    Xn__Bytes body = XN__BYTES__INIT;
    struct xn_msg *big;

    body.data.len = sizeof data;
    body.data.data = data;
    assert_int_equal(xn_msg_new(XN__KIND__BYTES, &body, &big), 0);
    bounded_by(big);
    bounded_by(ping(1));
}

/* ---- between drivers --------------------------------------------------- */

/* Says something to whoever links to it, and hangs up. */
static void brief(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    Xn__Reason reason = XN__REASON__INIT;

    if (ev->kind != XN_EV_UP) return;
    kit_ping(out, ev->peer, 99);
    xn_out_emit(out, XN_ACT_HANG, 0, ev->peer, XN__KIND__REASON, &reason);
}

struct story {
    const char *address;
    uint64_t asked_us, answered_us;
    unsigned heard, gone;
};

static void listens(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    struct story *s = core->ctx;

    switch (ev->kind) {
    case XN_EV_WAKE: kit_dial(out, 5, s->address, NULL); break;
    case XN_EV_UP:
        s->asked_us = now->mono_us;
        kit_ping(out, ev->peer, 7);
        break;
    case XN_EV_MSG:
        assert_int_equal(s->gone, 0);
        s->answered_us = now->mono_us;
        s->heard++;
        if (ev->msg->kind == XN__KIND__PONG) kit_stop();
        break;
    case XN_EV_GONE:
        s->gone++;
        kit_stop();
        break;
    default: break;
    }
}

static struct story tell(const char *us, kit_on *other)
{
    struct net_config config = kit_config(&b);
    struct net_driver *driver;
    struct kit_child child;
    struct story s = {.heard = 0};
    char after[64];

    kit_spawn(&config, other, &child);
    s.address = child.links;
    snprintf(after, sizeof after, " %s\n", us);
    write_file("", &b.cert.id, after);
    config = kit_config(&a);
    config.delay_path = path;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, listens, &s);
    net_driver_free(driver);
    kit_kill(&child, SIGTERM);
    return s;
}

static void answers_come_later(void **state)
{
    struct story s = tell("120000", kit_polite);

    assert_int_equal(s.heard, 1);
    assert_true(s.answered_us >= s.asked_us + 120000);
}

/* What a peer said before it left is heard, and heard first. */
static void nothing_is_lost(void **state)
{
    struct story s = tell(LONG_US, brief);

    assert_int_equal(s.heard, 1);
    assert_int_equal(s.gone, 1);
}

static void driver_refuses(void **state)
{
    struct net_config config = kit_config(&a);
    struct net_driver *driver;

    config.delay_path = "/nonexistent";
    assert_int_equal(net_driver_new(&config, &driver), XN_EINVAL);
    config.listen_links = NULL; /* nothing to delay */
    assert_int_equal(net_driver_new(&config, &driver), 0);
    net_driver_free(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files),
        cmocka_unit_test(only_who_is_named),
        cmocka_unit_test(in_order),
        cmocka_unit_test(bounded),
        cmocka_unit_test(answers_come_later),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(driver_refuses),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
