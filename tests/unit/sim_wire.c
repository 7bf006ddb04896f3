/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a real link costs, beside what the simulator's model says (sim/wire.h).
 * One is opened on loopback, talked over, and the kernel of the end that
 * dialled asked what went over it: each segment and each byte of TLS. */
#include "tests/unit/net_kit.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include "net/addr.h"
#include "sim/wire.h"

enum {
    ASKS = 12,       /* of ours alone */
    TURNS = 12,      /* then each in turn */
    GAP_US = 250000, /* the kernel has nothing left to acknowledge by then */
    FRAME = 6,
    HEADERS = SIM_WIRE_EMPTY,
};

static struct net_identity corp, a, b;

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "otter-of-a-host", &a);
    kit_make_member(&corp, XN__ROLE__NODE, "heron-of-a-host", &b);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&a);
    net_identity_clear(&b);
    return 0;
}

/* Bytes of IP, TCP and TLS that we sent and got. */
struct spent {
    uint64_t sent, got;
};

struct story {
    const char *address;
    unsigned asked;
    bool up, over;
    xn_peer peer;
    struct spent open, all, end;
    int fd; /* the link's, kept beyond its end */
    /* The model of both ends. */
    struct sim_wire_end ours, theirs;
    uint64_t model;
};

static bool is_to(int fd, const char *address)
{
    struct net_addr want;
    struct sockaddr_in is = {.sin_family = AF_UNSPEC};
    socklen_t len = sizeof is;

    assert_int_equal(net_addr_parse(address, &want), 0);
    return getpeername(fd, (struct sockaddr *)&is, &len) == 0 &&
           is.sin_family == AF_INET &&
           is.sin_port == ((struct sockaddr_in *)&want.sa)->sin_port;
}

static int find(const char *address)
{
    int fd = 3;

    while (fd < 256 && !is_to(fd, address))
        fd++;
    return fd;
}

static void look(int fd, struct spent *spent_out)
{
    uint64_t syn = SIM_WIRE_SYN - HEADERS;
    struct tcp_info info;
    socklen_t len = sizeof info;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    spent_out->sent = info.tcpi_bytes_sent + HEADERS * info.tcpi_segs_out + syn;
    spent_out->got =
        info.tcpi_bytes_received + HEADERS * info.tcpi_segs_in + syn;
}

/* ---- the model of the same talk ---- */

static void one_way(struct story *s, bool ours, uint64_t now_us)
{
    /* A nonce below 128 is two bytes. */
    s->model += sim_wire_message(FRAME + 2);
    s->model += sim_wire_sends(ours ? &s->ours : &s->theirs, now_us);
    s->model += sim_wire_gets(ours ? &s->theirs : &s->ours, now_us);
}

static void ask_in_model(struct story *s, bool ours, uint64_t now_us)
{
    one_way(s, ours, now_us);
    one_way(s, !ours, now_us);
}

/* ---- the talk ---- */

/* Answers; from the ASKS-th on it asks as well, a while later. */
static void answers(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    static xn_peer peer;
    static unsigned asked;

    kit_polite(core, now, ev, out);
    if (ev->kind == XN_EV_WAKE && core->wake_us <= now->mono_us) {
        core->wake_us = UINT64_MAX;
        kit_ping(out, peer, ++asked);
    }
    if (ev->kind == XN_EV_MSG && ev->msg->kind == XN__KIND__PING &&
        XN_BODY(ev->msg, Xn__Ping)->nonce > ASKS) {
        peer = ev->peer;
        core->wake_us = now->mono_us + GAP_US;
    }
}

static void ask(struct story *s, uint64_t now_us, struct xn_out *out)
{
    if (s->asked == 0) {
        s->fd = dup(find(s->address));
        look(s->fd, &s->open);
    }
    if (s->asked == ASKS + TURNS) {
        look(s->fd, &s->all);
        xn_out_hang(out, s->peer, 0, "enough");
        s->over = true;
        return;
    }
    kit_ping(out, s->peer, ++s->asked);
    ask_in_model(s, true, now_us);
}

static void talks(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    struct story *s = core->ctx;

    if (ev->kind == XN_EV_WAKE && !s->up) {
        kit_dial(out, 5, s->address, &b.cert.id);
    } else if (ev->kind == XN_EV_WAKE && core->wake_us <= now->mono_us) {
        core->wake_us = UINT64_MAX;
        if (s->over) {
            look(s->fd, &s->end);
            close(s->fd);
            kit_stop();
            return;
        }
        ask(s, now->mono_us, out);
        if (s->over) core->wake_us = now->mono_us + GAP_US;
    } else if (ev->kind == XN_EV_UP) {
        s->up = true;
        s->peer = ev->peer;
        core->wake_us = now->mono_us + GAP_US;
    } else if (ev->kind == XN_EV_MSG) {
        kit_polite(core, now, ev, out);
        if (ev->msg->kind == XN__KIND__PING)
            ask_in_model(s, false, now->mono_us);
        if (ev->msg->kind == XN__KIND__PING || s->asked <= ASKS)
            core->wake_us = now->mono_us + GAP_US;
    }
}

static void is_near(const char *what, uint64_t model, uint64_t real)
{
    print_message("# %s: the model has %llu bytes, the link %llu\n", what,
                  (unsigned long long)model, (unsigned long long)real);
    assert_in_range(model, real - real / 20, real + real / 20);
}

static void as_the_model_says(void **state)
{
    struct net_config mine = kit_config(&a), theirs = kit_config(&b);
    struct net_driver *driver;
    struct kit_child child;
    struct story s = {0};

    kit_spawn(&theirs, answers, &child);
    s.address = child.links;
    assert_int_equal(net_driver_new(&mine, &driver), 0);
    kit_run(driver, talks, &s);
    net_driver_free(driver);
    kit_kill(&child, SIGTERM);
    is_near("the dialling end opens", SIM_WIRE_SYN + SIM_WIRE_DIALLER,
            s.open.sent);
    is_near("the dialled end opens", SIM_WIRE_SYN + SIM_WIRE_DIALLED,
            s.open.got);
    is_near("both talk", s.model,
            s.all.sent + s.all.got - s.open.sent - s.open.got);
    is_near("one ends it, and is answered", SIM_WIRE_CLOSE,
            s.end.sent + s.end.got - s.all.sent - s.all.got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_model_says),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
