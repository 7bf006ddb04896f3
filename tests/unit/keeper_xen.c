/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A keeper and its domain, on a hypervisor that is made up: a life, its boots and
 * its end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/domain_kit.h"
#include "tests/unit/xen_fake.h"

/* ---- a life -------------------------------------------------------------- */

static void it_runs_and_ends(void **state)
{
    struct bench *b = *state;
    Xn__TaskStatus status;
    struct fake_domain *d;

    bench_started(b);
    d = fake_last();
    assert_string_equal(d->name, "xeno-s-1");
    assert_string_equal(d->kernel, b->kernel);
    assert_string_equal(d->ramdisk, "");
    assert_int_equal(d->disk_bytes[0] + d->disk_bytes[1], 0);
    assert_string_equal(d->line, "LANG=C init=/sbin/burn -- \"for ever\"");
    assert_int_equal(d->memory_kib, 64 << 10);
    assert_int_equal(d->vcpus, 2);
    assert_int_equal(d->cap, 150);
    assert_false(d->paused);
    fake_pass(1000 * MS);
    fake_say("one ");
    bench_turn(b);
    keeper_read_terminal(&b->keeper, sys_mono_us() + b->later_us);
    bench_console_is(b, "one ");
    assert_int_equal(bench_cpu_ms(b), 1500);
    assert_int_equal(b->keeper.memory_bytes, 64 * MIB);
    xn__task_status__init(&status);
    runner_xen.describe(&b->keeper, &status);
    assert_string_equal(status.cap_by, "hypervisor");
    fake_say("two");
    d->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 1500, "the task ended");
    bench_console_is(b, "one two");
}

/* By poll, and not by asking again and again. */
static void a_silent_terminal_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct keeper *k = &b->keeper;
    uint64_t now;

    bench_started(b);
    now = sys_mono_us() + 300000;
    assert_true(keeper_tick(k, now) > now);
    fake_say("a word");
    keeper_read_terminal(k, now);
    keeper_read_terminal(k, now); /* nothing more: it has had its part */
    assert_int_equal(k->pty_bytes, 0);
    assert_true(keeper_tick(k, now) > now);
    now += 300000;
    assert_true(keeper_tick(k, now) > now);
    fake_last()->end = XEN_POWEROFF;
    b->later_us = 900000;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
}

static void paused_it_uses_nothing(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(10 * MS);
    assert_int_equal(keeper_pause(&b->keeper, true), 0);
    assert_true(fake_last()->paused);
    fake_pass(1000 * MS);
    bench_turn(b);
    assert_int_equal(bench_cpu_ms(b), 15);
    assert_int_equal(keeper_pause(&b->keeper, false), 0);
    fake_pass(10 * MS);
    bench_turn(b);
    assert_int_equal(bench_cpu_ms(b), 30);
    /* what was not done is asked for again */
    fake->deaf_to_pause = true;
    assert_int_equal(keeper_pause(&b->keeper, true), 0);
    assert_false(fake_last()->paused);
    fake->deaf_to_pause = false;
    bench_turn(b);
    assert_true(fake_last()->paused);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, 30, "enough");
}

static void a_guest_that_is_asked_ends(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    keeper_pause(&b->keeper, true);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    assert_true(fake_last()->asked);
    assert_false(fake_last()->paused); /* or it could not hear */
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 0, 0, "please");
}

static void a_deaf_guest_is_ended(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    bench_turn(b);
    assert_int_equal(fake_there(), 1);
    b->later_us += 5000000;
    bench_turn(b);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, 0, "please");
}

static void its_time_ends(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 1000);
    assert_int_equal(bench_start(b), 0);
    bench_turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    b->later_us += 1000000;
    bench_turn(b);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__LIFE, 137, 0, "its time was over");
}

/* The session's order is another: also for the next keeper. */
static void its_time_is_moved(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 1000);
    assert_int_equal(bench_start(b), 0);
    /* What is not on record is not done, though it be asked again. */
    assert_int_equal(mkdirat(b->keeper.dir, KEEPER_SPEC ".new", 0700), 0);
    assert_int_not_equal(keeper_lifetime(&b->keeper, 3600000), 0);
    assert_int_not_equal(keeper_lifetime(&b->keeper, 3600000), 0);
    assert_int_equal(unlinkat(b->keeper.dir, KEEPER_SPEC ".new", AT_REMOVEDIR),
                     0);
    assert_int_equal(keeper_lifetime(&b->keeper, 3600000), 0);
    b->later_us += 1000000;
    bench_turn(b);
    bench_turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(b->keeper.spec->life_ms, 3600000);
    assert_int_equal(keeper_lifetime(&b->keeper, 1), 0);
    bench_turn(b);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__LIFE, 137, 0, "its time was over");
    assert_int_equal(keeper_lifetime(&b->keeper, 2), XN_ECONFLICT);
}

static void a_crash_is_said(void **state)
{
    static const struct {
        enum xen_end end;
        const char *because;
    } rows[] = {{XEN_CRASH, "crashed"}, {XEN_OTHER, "will not go on"}};
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench_started(b);
        fake_pass(20 * MS);
        fake_say("oops");
        fake_last()->end = rows[i].end;
        bench_turn(b);
        bench_ended(b, XN__TASK_END__CRASHED, 1, 30, rows[i].because);
        bench_console_is(b, "oops");
    }
}

static void one_that_is_taken_away_is_missed(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(20 * MS);
    bench_turn(b);
    fake_last()->there = false;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 30, "not ended by its keeper");
}

static void a_hypervisor_that_does_not_answer_is_no_end(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(20 * MS);
    bench_turn(b);
    fake->bad_look = 3;
    bench_turn(b);
    assert_int_equal(bench_cpu_ms(b), 30);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    fake_last()->end = XEN_POWEROFF;
    fake->bad_destroy = 2;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 30, "the task ended");
}

/* ---- boots --------------------------------------------------------------- */

static void a_reboot_goes_on(void **state)
{
    struct bench *b = *state;
    struct fake_domain *old;

    bench_started(b);
    fake_pass(100 * MS);
    fake_say("first ");
    old = fake_last();
    old->end = XEN_REBOOT;
    bench_turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake->n, 2);
    assert_int_equal(fake_there(), 1);
    assert_memory_not_equal(old->uuid, fake_last()->uuid, XEN_UUID);
    assert_false(fake_last()->paused);
    assert_int_equal(bench_cpu_ms(b), 150);
    fake_pass(10 * MS);
    fake_say("second");
    assert_int_equal(bench_cpu_ms(b), 165);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
    bench_console_is(b, "first second");
}

static void a_reboot_while_it_stops_is_its_end(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    fake_last()->end = XEN_REBOOT;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 0, 0, "please");
    assert_int_equal(fake->n, 1);
}

static void one_that_boots_for_ever_is_ended(void **state)
{
    struct bench *b = *state;
    int i;

    bench_started(b);
    for (i = 0; i < 20 && b->keeper.state != XN__TASK_STATE__ENDED; i++) {
        fake_pass(2 * MS);
        fake_last()->end = XEN_REBOOT;
        bench_turn(b);
    }
    assert_int_equal(fake->n, 5);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 15, "again and again");
}

static void a_reboot_that_fails_is_a_crash(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(2 * MS);
    fake_last()->end = XEN_REBOOT;
    fake->bad_create = 1;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 3, "no such kernel");
}

/* Whoever is told that it was taken sends none of it again, and whoever is told
 * of no room has nothing of his in the terminal. */
static void what_is_typed_comes_once(void **state)
{
    static uint8_t first[SPEC_INPUT_MAX], got[2 * SPEC_INPUT_MAX];
    struct keeper keeper;
    int ends[2];

    (void)state;
    memset(first, 'a', sizeof first);
    keeper_init(&keeper, &runner_xen);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, SPEC_INPUT_MAX),
                     SPEC_INPUT_MAX);
    keeper.terminal = ends[1];
    assert_int_equal(keeper_type(&keeper, "-", 1), 0);
    assert_int_equal(keeper_type(&keeper, first, sizeof first), 0);
    assert_int_equal(keeper_type(&keeper, "b", 1), XN_EBUSY);
    assert_int_equal(read(ends[0], got, sizeof got), 1);
    assert_int_equal(keeper_type(&keeper, "b", 1), 0);
    assert_int_equal(keeper_type(&keeper, "b", 1), XN_EBUSY);
    assert_int_equal(read(ends[0], got, sizeof got), sizeof first);
    assert_memory_equal(got, first, sizeof first);
    assert_int_equal(keeper_type(&keeper, "c", 1), 0);
    assert_int_equal(read(ends[0], got, sizeof got), 2);
    assert_memory_equal(got, "bc", 2);
    xn_buf_clear(&keeper.typed);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_runs_and_ends),
        T(a_silent_terminal_is_waited_for),
        T(paused_it_uses_nothing),
        T(a_guest_that_is_asked_ends),
        T(a_deaf_guest_is_ended),
        T(its_time_ends),
        T(its_time_is_moved),
        T(a_crash_is_said),
        T(one_that_is_taken_away_is_missed),
        T(a_hypervisor_that_does_not_answer_is_no_end),
        T(a_reboot_goes_on),
        T(a_reboot_while_it_stops_is_its_end),
        T(one_that_boots_for_ever_is_ended),
        T(a_reboot_that_fails_is_a_crash),
        cmocka_unit_test(what_is_typed_comes_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
