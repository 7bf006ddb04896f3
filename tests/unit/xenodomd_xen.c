/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodomd with domains, on a hypervisor that is made up: all that can be asked
 * of it, and what dies in between. */
#include "tests/unit/domd_kit.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"
#include "wire/frame.h"

/* With an interface; its address, or an error code. */
static int64_t joined(struct bench *b, const char *name, Xn__TaskNet *net)
{
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    Xn__DomTell *tell;
    int64_t address;

    spec.name = (char *)(uintptr_t)name;
    spec.image = b->image;
    spec.net_kbit_per_s = 2000;
    spec.net = net;
    tell = start_spec(b, &spec);
    address = tell->rc ? tell->rc : (int64_t)tell->tasks[0]->address;
    xn__dom_tell__free_unpacked(tell, NULL);
    return address;
}

/* Whom that one talks to is not counted here: why. */
static void is_not_counted(struct bench *b, const char *name, const char *why)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;

    question.op = XN__DOM_OP__DOM_FLOWS;
    question.name = (char *)(uintptr_t)name;
    tell = ask_with(b, &question, NULL);
    assert_int_equal(tell->rc, XN_ENOENT);
    assert_string_equal(tell->because, why);
    assert_null(tell->flows);
    xn__dom_tell__free_unpacked(tell, NULL);
}

/* ---- tests --------------------------------------------------------------- */

/* What is free and what they have; never more than the operator lets. */
static void its_memory_is_told(void **state)
{
    static const uint64_t rows[][2] = {
        /* MiB free, told with 256 MiB given away */
        {0, 256},
        {100, 356},
        {5000, 1024},
    };
    struct bench *b = *state;
    size_t i;

    started(b);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        Xn__DomAsk question = XN__DOM_ASK__INIT;
        Xn__DomTell *tell;

        fake->room_kib = rows[i][0] << 10;
        question.op = XN__DOM_OP__DOM_WATCH;
        tell = ask_with(b, &question, NULL);
        assert_int_equal(tell->xen_bytes >> 20, rows[i][1]);
        assert_true(tell->bridge);
        assert_true(tell->disk_bytes > 1);
        xn__dom_tell__free_unpacked(tell, NULL);
    }
}

static Xn__DomTell *start_kind(struct bench *b, const char *name, bool pvh)
{
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;

    spec.name = (char *)(uintptr_t)name;
    spec.image = b->image;
    spec.pvh = pvh;
    return start_spec(b, &spec);
}

/* As the hardware is, told to who watches. */
static void pvh_is_what_the_hardware_can(void **state)
{
    struct bench *b = *state;
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;
    bool can;

    question.op = XN__DOM_OP__DOM_WATCH;
    for (can = false;; can = true) {
        fake->no_pvh = !can;
        tell = ask_with(b, &question, NULL);
        assert_true(tell->xen);
        assert_int_equal(tell->pvh, can);
        xn__dom_tell__free_unpacked(tell, NULL);
        tell = start_kind(b, "a", true);
        if (can) break;
        assert_int_equal(tell->rc, XN_EREFUSED);
        assert_string_equal(tell->because, "pvh: this machine's processors do "
                                           "not virtualise for Xen");
        assert_true(strlen(tell->advice) > 0);
        xn__dom_tell__free_unpacked(tell, NULL);
        assert_int_equal(fake->n, 0);
    }
    assert_int_equal(tell->rc, 0);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_true(fake_last()->pvh);
    tell = start_kind(b, "b", false);
    assert_int_equal(tell->rc, 0);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_false(fake_last()->pvh);
}

static void each_guest_has_an_address_of_its_own(void **state)
{
    uint8_t mac[6] = {2, 0x58, 10, 9, 0, 0};
    struct bench *b = *state;
    Xn__TaskNet mine = XN__TASK_NET__INIT;
    char line[100], line6[200], *text = line + 3;
    int64_t first, second;
    int fd;

    mine.bridge = (char *)"other";
    mine.address = 0x0a090001;
    assert_int_equal(joined(b, "a", &mine), XN_EPERM);
    is_not_counted(b, "a", "its flows are not counted");
    first = joined(b, "a", NULL); /* either of the two */
    is_not_counted(b, "a", "there is no bridge br0");
    second = first ^ 1;
    assert_int_equal(first & ~1, 0x0a090002);
    mac[5] = (uint8_t)first;
    snprintf(line, sizeof line, "ip=10.9.0.%d", (int)(first & 3));
    assert_string_equal(fake_last()->address, text);
    assert_string_equal(fake_last()->bridge, "br0");
    assert_memory_equal(fake_last()->mac, mac, sizeof mac);
    assert_int_equal(fake_last()->kbit_per_s, 2000);
    strcat(line, "::10.9.0.1:255.255.255.0::eth0:off");
    snprintf(line6, sizeof line6,
             "%s ip6=2001:db8:9::a09:%d/64,2001:db8:9::1 init=/sbin/init", line,
             (int)(first & 3));
    assert_string_equal(fake_last()->line, line6);
    snprintf(line6, sizeof line6, "2001:0db8:0009:0000:0000:0000:0a09:000%d",
             (int)(first & 3));
    assert_string_equal(fake_last()->address6, line6);
    end_daemon(b, SIGKILL); /* the next one knows what is given away */
    run_daemon(b);
    assert_int_equal(joined(b, "b", NULL), second);
    assert_int_equal(joined(b, "c", NULL), XN_EREFUSED);
    fd = watch(b, true);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
    xn__dom_tell__free_unpacked(hear(fd, NULL), NULL);
    close(fd);
    assert_int_equal(joined(b, "c", NULL), first);
}

/* Each is used once before any is used again, whoever gives them. */
static void a_restart_gives_none_twice_in_a_row(void **state)
{
    struct bench *b = *state;
    int64_t last = 0, is;

    for (int i = 0; i < 5; i++) {
        int fd = watch(b, true);

        is = joined(b, "a", NULL);
        assert_true(is > 0);
        if (i) assert_int_equal(is, last ^ 1);
        last = is;
        assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
        xn__dom_tell__free_unpacked(hear(fd, NULL), NULL);
        close(fd);
        assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
        end_daemon(b, SIGKILL);
        run_daemon(b);
    }
}

static void all_that_can_be_asked(void **state)
{
    struct bench *b = *state;
    int fd = watch(b, true);
    Xn__DomTell *tell;

    started(b);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_PAUSE), 0);
    assert_true(fake_last()->paused);
    fake_pass(1000 * MS);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_RESUME), 0);
    assert_false(fake_last()->paused);
    fake_pass(10 * MS);
    assert_int_equal(cpu_ms(b), 10);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), XN_EBUSY);
    fake_say("hello");
    live_console_says(b, "hello");
    fake_last()->end = XEN_POWEROFF;
    ends(fd, XN__TASK_END__FINISHED);
    assert_int_equal(cpu_ms(b), 10);
    kept_console_says(b, "hello");
    assert_int_equal(asked(b, XN__DOM_OP__DOM_PAUSE), XN_ECONFLICT);
    tell = start(b, b->image); /* a name is used once */
    assert_int_equal(tell->rc, XN_ECONFLICT);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ENOENT);
}

static void what_it_refuses(void **state)
{
    struct bench *b = *state;
    char elsewhere[sizeof b->kernel + 8];
    Xn__DomTell *tell;

    tell = start(b, b->path);
    assert_int_equal(tell->rc, XN_EPERM);
    xn__dom_tell__free_unpacked(tell, NULL);
    fake->bad_create = 1;
    tell = start(b, b->image);
    assert_int_not_equal(tell->rc, 0);
    assert_non_null(strstr(tell->because, "no such kernel"));
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
    chmod(b->kernel, 0620);
    tell = start(b, b->image);
    assert_int_equal(tell->rc, XN_EPERM);
    assert_non_null(strstr(tell->because, "nobody else may write"));
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
    chmod(b->kernel, 0600);
    snprintf(elsewhere, sizeof elsewhere, "%s-1.0", b->kernel);
    assert_int_equal(rename(b->kernel, elsewhere), 0);
    assert_int_equal(symlink("kernel-1.0", b->kernel), 0);
    tell = start(b, b->image);
    assert_int_equal(tell->rc, XN_EPERM);
    assert_non_null(strstr(tell->because, "kernel: it is a link"));
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
    fake->absent = true;
    tell = start(b, b->image);
    assert_int_equal(tell->rc, XN_EREFUSED);
    assert_string_equal(tell->because, "this host runs no Xen (fake)");
    assert_true(tell->advice[0]);
    xn__dom_tell__free_unpacked(tell, NULL);
    close(watch(b, false));
    assert_int_equal(fake_there(), 0);
}

/* libxl may wait for long; who asks for something else does not. */
static void a_stuck_xen_keeps_nobody_else_waiting(void **state)
{
    struct bench *b = *state;
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;
    int watcher, gone;

    fake->stuck = true;
    question.op = XN__DOM_OP__DOM_WATCH;
    watcher = say(b, &question);
    gone = say(b, &question);
    await_call(0); /* somebody asks Xen */
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ENOENT);
    close(gone); /* while his question is held */
    assert_int_equal(asked(b, XN__DOM_OP__DOM_LIST), 0);
    fake->stuck = false;
    tell = hear(watcher, NULL);
    assert_true(tell->xen);
    xn__dom_tell__free_unpacked(tell, NULL);
    started(b);
    fake_last()->end = XEN_POWEROFF;
    ends(watcher, XN__TASK_END__FINISHED);
}

/* It has its long wait once. */
static void a_stuck_keeper_is_not_waited_for_again(void **state)
{
    struct bench *b = *state;
    uint64_t begun_us;
    pid_t keeper;

    started(b);
    keeper = keeper_of(b);
    assert_int_equal(kill(keeper, SIGSTOP), 0);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ETIMEOUT);
    begun_us = sys_mono_us();
    for (int i = 0; i < 8; i++)
        assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ETIMEOUT);
    /* or it would have been 40 s */
    assert_true(sys_mono_us() - begun_us < 30000000);
    assert_int_equal(kill(keeper, SIGCONT), 0);
    await_keeper(b, 0);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
}

/* Nor is one that makes its domain still: it may have a large disk to copy. */
static void a_long_start_is_not_waited_for_again(void **state)
{
    struct bench *b = *state;
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    uint64_t begun_us;
    Xn__DomTell *tell;
    int fd;

    fake->slow = true;
    spec.name = (char *)"a";
    spec.image = b->image;
    fd = say_start(b, &spec);
    while (asked(b, XN__DOM_OP__DOM_STATUS) == XN_ENOENT)
        poll(NULL, 0, 20);
    begun_us = sys_mono_us();
    for (int i = 0; i < 8; i++)
        assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ETIMEOUT);
    /* or it would have been 40 s */
    assert_true(sys_mono_us() - begun_us < 30000000);
    fake->slow = false;
    tell = hear(fd, NULL);
    assert_int_equal(tell->rc, 0);
    xn__dom_tell__free_unpacked(tell, NULL);
    close(fd);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
}

static void whoever_is_killed_it_goes_on(void **state)
{
    struct bench *b = *state;
    pid_t keeper;
    int fd;

    started(b);
    fake_pass(10 * MS);
    fake_say("one ");
    live_console_says(b, "one ");
    /* its keeper */
    keeper = keeper_of(b);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    fake_pass(10 * MS);
    await_keeper(b, keeper);
    assert_int_equal(cpu_ms(b), 20);
    /* xenodomd */
    keeper = keeper_of(b);
    end_daemon(b, SIGKILL);
    run_daemon(b);
    await_keeper(b, 0);
    assert_int_equal(keeper_of(b), keeper);
    /* both */
    end_daemon(b, SIGKILL);
    kill(keeper, SIGKILL);
    fake_pass(10 * MS);
    run_daemon(b);
    await_keeper(b, keeper);
    assert_int_equal(cpu_ms(b), 30);
    assert_int_equal(fake->n, 1);
    fd = watch(b, true);
    fake_say("two");
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
    ends(fd, XN__TASK_END__STOPPED);
    kept_console_says(b, "one two");
}

/* Nothing is said of it before somebody could look: neither that it is none of
 * ours, nor that it has ended. */
static void one_that_went_while_nobody_looked(void **state)
{
    struct bench *b = *state;
    pid_t keeper;
    int fd, i, rc;

    started(b);
    keeper = keeper_of(b);
    end_daemon(b, SIGKILL);
    kill(keeper, SIGKILL);
    fake_last()->there = false;
    fake->absent = true; /* and Xen comes late */
    run_daemon(b);
    fd = watch(b, false);
    for (i = 0; i < 3; i++) {
        await_call(fake->calls); /* another keeper, in vain */
        assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ETIMEOUT);
        rc = asked(b, XN__DOM_OP__DOM_STOP);
        assert_true(rc && rc != XN_ECONFLICT && rc != XN_ENOENT);
        assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), XN_EBUSY);
    }
    fake->absent = false;
    ends(fd, XN__TASK_END__KEEPER);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_that_can_be_asked),
        T(its_memory_is_told),
        T(pvh_is_what_the_hardware_can),
        T(each_guest_has_an_address_of_its_own),
        T(a_restart_gives_none_twice_in_a_row),
        T(what_it_refuses),
        T(a_stuck_xen_keeps_nobody_else_waiting),
        T(a_stuck_keeper_is_not_waited_for_again),
        T(a_long_start_is_not_waited_for_again),
        T(whoever_is_killed_it_goes_on),
        T(one_that_went_while_nobody_looked),
    };

    signal(SIGPIPE, SIG_IGN);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
