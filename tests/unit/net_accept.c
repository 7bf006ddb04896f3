/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is accepted, and how many in one turn. */
#include "tests/unit/net_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "net/accept.h"
#include "net/addr.h"

enum { CALLERS_MAX = 2 * NET_ACCEPT_TURN };

struct stage {
    struct event_base *base;
    struct net_accept *accept;
    char at[NET_ADDR_TEXT];
    int callers[CALLERS_MAX], n_callers;
    int got[CALLERS_MAX], n_got;
    int most; /* then it sets itself off; 0: never */
    int failed;
};

static void on_accepted(void *arg, int fd, const struct sockaddr *sa,
                        socklen_t len)
{
    struct stage *s = arg;

    (void)sa;
    (void)len;
    assert_in_range(s->n_got, 0, CALLERS_MAX - 1);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    s->got[s->n_got++] = fd;
    if (s->n_got == s->most) net_accept_set(s->accept, false);
}

static void on_failed(void *arg)
{
    struct stage *s = arg;

    assert_int_equal(errno, EMFILE);
    s->failed++;
}

static void open_stage(struct stage *s, unsigned defer_s)
{
    static const struct net_accept_user user = {on_accepted, on_failed};
    int fd = -1;

    *s = (struct stage){.base = event_base_new()};
    assert_non_null(s->base);
    assert_int_equal(net_listen("127.0.0.1:0", &fd, s->at), 0);
    net_listen_defer(fd, defer_s);
    assert_int_equal(net_accept_new(s->base, fd, &user, s, &s->accept), 0);
}

static void close_stage(struct stage *s)
{
    while (s->n_got > 0)
        close(s->got[--s->n_got]);
    while (s->n_callers > 0)
        close(s->callers[--s->n_callers]);
    net_accept_free(s->accept);
    event_base_free(s->base);
}

static int call(struct stage *s)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct net_addr addr;

    assert_int_equal(net_addr_parse(s->at, &addr), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.sa, addr.len), 0);
    s->callers[s->n_callers++] = fd;
    return fd;
}

/* Once, and with nobody there not at all. */
static void turn(struct stage *s)
{
    assert_true(event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
}

static void a_turn_is_bounded(void **state)
{
    struct stage s;

    (void)state;
    open_stage(&s, 0);
    for (int i = 0; i < NET_ACCEPT_TURN + 8; i++)
        call(&s);
    turn(&s);
    assert_int_equal(s.n_got, NET_ACCEPT_TURN);
    turn(&s);
    assert_int_equal(s.n_got, NET_ACCEPT_TURN + 8);
    turn(&s);
    assert_int_equal(s.n_got, NET_ACCEPT_TURN + 8);
    close_stage(&s);
}

static void set_off_and_on(void **state)
{
    struct stage s;

    (void)state;
    open_stage(&s, 0);
    s.most = 3;
    for (int i = 0; i < 5; i++)
        call(&s);
    turn(&s);
    turn(&s);
    assert_int_equal(s.n_got, 3);
    net_accept_set(s.accept, true);
    net_accept_set(s.accept, true);
    turn(&s);
    assert_int_equal(s.n_got, 5);
    close_stage(&s);
}

static unsigned port_of(int fd,
                        int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char text[NET_ADDR_TEXT];
    unsigned port;

    assert_int_equal(name(fd, (struct sockaddr *)&sa, &len), 0);
    net_addr_text((struct sockaddr *)&sa, text);
    assert_int_equal(sscanf(text, "127.0.0.1:%u", &port), 1);
    return port;
}

/* As thousands do at once whom the kernel held until then. */
static void who_has_left_is_not_met(void **state)
{
    struct stage s;

    (void)state;
    open_stage(&s, 0);
    call(&s);
    close(s.callers[--s.n_callers]);
    call(&s);
    turn(&s);
    assert_int_equal(s.n_got, 1);
    assert_int_equal(port_of(s.got[0], getpeername),
                     port_of(s.callers[0], getsockname));
    close_stage(&s);
}

/* It does not spin on what it cannot take. */
static void no_descriptors(void **state)
{
    struct rlimit was, none;
    struct stage s;
    int fd;

    (void)state;
    open_stage(&s, 0);
    call(&s);
    turn(&s);
    assert_int_equal(s.n_got, 1);
    fd = call(&s);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = (rlim_t)fd + 1;
    while ((fd = dup(0)) >= 0 && (rlim_t)fd < none.rlim_cur)
        s.callers[s.n_callers++] = fd; /* holes below it */
    if (fd >= 0) close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn(&s);
    turn(&s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.n_got, 1);
    net_accept_set(s.accept, true);
    turn(&s);
    assert_int_equal(s.n_got, 2);
    close_stage(&s);
}

static void accepts(struct stage *s, int caller)
{
    int n = s->n_got;
    char c;

    while (s->n_got == n)
        assert_int_equal(event_base_loop(s->base, EVLOOP_ONCE), 0);
    assert_int_equal(s->n_got, n + 1);
    assert_int_equal(port_of(s->got[n], getpeername),
                     port_of(caller, getsockname));
    assert_int_equal(read(s->got[n], &c, 1), 1);
}

/* He who came first is accepted once he has spoken, and others before him. */
static void who_says_nothing_waits_outside(void **state)
{
    struct stage s;
    int silent, speaks;

    (void)state;
    if (!kit_makes_cookies()) skip();
    open_stage(&s, 60);
    silent = call(&s);
    speaks = call(&s);
    assert_int_equal(write(speaks, "x", 1), 1);
    accepts(&s, speaks);
    assert_int_equal(write(silent, "x", 1), 1);
    accepts(&s, silent);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_bounded),
        cmocka_unit_test(set_off_and_on),
        cmocka_unit_test(who_has_left_is_not_met),
        cmocka_unit_test(no_descriptors),
        cmocka_unit_test(who_says_nothing_waits_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
