/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A domain that is saved goes on where it was, on the same machine or when that
 * was started anew, whoever is killed when; and what it used is counted once. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/domain_kit.h"
#include "tests/unit/xen_fake.h"

#define MEMORY_MIB 64
#define PATIENCE_US 180000000ULL

static bool has(const struct bench *b, const char *name)
{
    return faccessat(b->keeper.dir, name, F_OK, 0) == 0;
}

static void state_is(struct bench *b, Xn__TaskState state)
{
    if (b->keeper.state != state)
        print_message("unsaved: %s\n", b->keeper.domain.unsaved);
    assert_int_equal(b->keeper.state, state);
}

static uint64_t saved_ms(struct bench *b)
{
    Xn__TaskReading reading;

    keeper_reading(&b->keeper, UINT64_MAX, &reading);
    return reading.saved_ms;
}

static void save(struct bench *b)
{
    assert_int_equal(keeper_save(&b->keeper, true), 0);
    bench_turn(b);
}

static void is_saved(struct bench *b)
{
    struct stat st;

    state_is(b, XN__TASK_STATE__SAVED);
    assert_int_equal(fake_there(), 0);
    assert_int_equal(b->keeper.terminal, -1);
    assert_int_equal(fstatat(b->keeper.dir, KEEPER_MEMORY, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(has(b, KEEPER_MEMORY ".new"));
}

static void runs_again(struct bench *b)
{
    state_is(b, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake_there(), 1);
    assert_true(fake_last()->restored);
    assert_false(fake_last()->paused);
    assert_false(has(b, KEEPER_MEMORY));
    assert_false(has(b, KEEPER_MEMORY ".new"));
}

static void stop(struct bench *b, uint64_t ms)
{
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, ms, "enough");
}

/* The machine was started anew since it was saved; started_us: not 0: its task had
 * begun then. */
static void start_machine_since(struct bench *b, uint64_t started_us)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);
    ProtobufCMessage *body;
    Xn__DomainNote *note;
    char *boot, other[] = "another";

    bench_put_away(b);
    for (size_t i = 0; i < fake->n; i++)
        fake->domains[i].there = false;
    assert_int_equal(
        record_get(dir, KEEPER_DOMAIN, &xn__domain_note__descriptor, &body), 0);
    note = (Xn__DomainNote *)body;
    boot = note->boot;
    note->boot = other;
    if (started_us) note->started_us = started_us;
    assert_int_equal(record_put(dir, KEEPER_DOMAIN, note), 0);
    note->boot = boot;
    protobuf_c_message_free_unpacked(body, NULL);
    close(dir);
}

static void start_machine(struct bench *b)
{
    start_machine_since(b, 0);
}

static void it_is_saved_and_goes_on(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_say("before\n");
    fake_pass(100 * MS);
    save(b);
    is_saved(b);
    bench_console_is(b, "before\n");
    assert_int_equal(bench_cpu_ms(b), 150);
    assert_int_equal(keeper_pause(&b->keeper, true), XN_ENOTYET);
    for (int i = 0; i < 5; i++)
        bench_turn(b);
    is_saved(b); /* until it is asked to */
    assert_int_equal(keeper_save(&b->keeper, false), 0);
    bench_turn(b);
    runs_again(b);
    assert_int_equal(fake->n, 2);
    fake_say("after\n");
    fake_pass(10 * MS);
    bench_turn(b);
    keeper_read_terminal(&b->keeper, UINT64_MAX);
    bench_console_is(b, "before\nafter\n");
    assert_int_equal(bench_cpu_ms(b), 165);
    fake_last()->end = XEN_POWEROFF;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
}

static void run_and_save(struct bench *b)
{
    fake_pass(100 * MS);
    bench_turn(b);
    save(b);
}

/* Its keeper ends with the machine; the next is that of another day. */
static void it_goes_on_when_the_machine_was_started_anew(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 0);
    bench_dies(b, run_and_save);
    assert_int_equal(bench_start(b), 0); /* the same day */
    is_saved(b);
    bench_turn(b);
    is_saved(b);
    assert_int_equal(bench_cpu_ms(b), 150);
    start_machine(b);
    assert_int_equal(bench_start(b), 0);
    state_is(b, XN__TASK_STATE__SAVED);
    bench_turn(b);
    runs_again(b);
    fake_pass(10 * MS);
    assert_int_equal(bench_cpu_ms(b), 165);
    stop(b, 165);
}

/* Twice: time that it was saved is told, adds up, and never falls. */
static void time_that_it_is_saved_is_told(void **state)
{
    struct bench *b = *state;
    uint64_t once;

    bench_started(b);
    assert_int_equal(saved_ms(b), 0);
    save(b);
    usleep(20000);
    assert_in_range(saved_ms(b), 20, 5000);
    keeper_save(&b->keeper, false);
    bench_turn(b);
    once = saved_ms(b);
    assert_in_range(once, 20, 5000);
    usleep(20000);
    assert_int_equal(saved_ms(b), once);
    save(b);
    bench_put_away(b);
    usleep(20000);
    assert_int_equal(bench_start(b), 0);
    assert_in_range(saved_ms(b), once + 20, once + 5000);
    stop(b, 0);
    once = b->keeper.last.reading->saved_ms;
    usleep(20000);
    assert_int_equal(saved_ms(b), once);
}

static void one_that_stands_still_stands_afterwards(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    assert_int_equal(keeper_pause(&b->keeper, true), 0);
    assert_true(fake_last()->paused);
    save(b);
    is_saved(b);
    start_machine(b);
    assert_int_equal(bench_start(b), 0);
    bench_turn(b);
    state_is(b, XN__TASK_STATE__PAUSED);
    assert_true(fake_last()->restored);
    assert_true(fake_last()->paused);
    assert_int_equal(keeper_pause(&b->keeper, false), 0);
    runs_again(b);
    stop(b, 0);
}

static void is_not_saved(struct bench *b, const char *because)
{
    state_is(b, XN__TASK_STATE__RUNNING);
    if (!strstr(b->keeper.domain.unsaved, because))
        fail_msg("because %s", b->keeper.domain.unsaved);
    assert_false(has(b, KEEPER_MEMORY));
    assert_false(has(b, KEEPER_MEMORY ".new"));
    bench_turn(b);
    assert_int_equal(fake_there(), 1);
    assert_int_equal(fake_last()->end, XEN_LIVES);
    assert_false(fake_last()->restored);
    assert_false(fake_last()->paused);
}

static void what_cannot_be_saved_goes_on(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    fake->bad_save = 1;
    save(b);
    is_not_saved(b, "not suspended: the guest does not answer");
    fake->bad_save = 1;
    fake->late = true;
    save(b);
    is_not_saved(b, "it cannot be written");
    fake->save_bytes = (MEMORY_MIB + MEMORY_MIB / 64 + 17) * MIB;
    signal(SIGXFSZ, SIG_IGN);
    save(b); /* more than its memory can be */
    signal(SIGXFSZ, SIG_DFL);
    is_not_saved(b, "it cannot be written");
    fake->save_bytes = 0;
    assert_int_equal(bench_cpu_ms(b), 150);
    save(b);
    is_saved(b);
    assert_string_equal(b->keeper.domain.unsaved, "");
    stop(b, 150);
}

/* What Xen does not let go on is not charged any longer. */
static void what_does_not_wake_ends(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    fake->bad_save = fake->bad_wake = 1;
    fake->late = true;
    save(b);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 150, "does not go on");
}

/* Waking it is work that nobody pays. */
static void who_suspends_himself_ends(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    for (int i = 0; i < 3; i++) {
        fake_last()->end = XEN_SUSPENDED;
        bench_turn(b);
        state_is(b, XN__TASK_STATE__RUNNING);
        assert_int_equal(fake_last()->end, XEN_LIVES);
    }
    fake_last()->end = XEN_SUSPENDED;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 0, "does not go on");
}

static void it_can_be_stopped(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    save(b);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 60000);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__STOPPED, 137, 150, "enough");
    assert_false(has(b, KEEPER_MEMORY));
}

/* Its time goes on, by the wall's clock. */
static void its_time_ends(void **state)
{
    struct bench *b = *state;

    bench_write_spec(b, 3600000);
    assert_int_equal(bench_start(b), 0);
    fake_pass(100 * MS);
    save(b);
    is_saved(b);
    b->later_us += HOUR_US;
    bench_turn(b);
    bench_turn(b);
    bench_ended(b, XN__TASK_END__LIFE, 137, 150, "its time was over");
    assert_false(has(b, KEEPER_MEMORY));
}

/* The machine's clock began after the task did. */
static void its_time_ends_on_another_day(void **state)
{
    struct bench *b = *state;

    uint64_t ran_us = sys_mono_us() + HOUR_US;
    Xn__TaskReading reading;

    bench_write_spec(b, 3600000 + ran_us / 1000);
    assert_int_equal(bench_start(b), 0);
    save(b);
    start_machine_since(b, sys_wall_us() - ran_us);
    assert_int_equal(bench_start(b), 0);
    keeper_reading(&b->keeper, UINT64_MAX, &reading);
    assert_in_range(reading.run_ms, ran_us / 1000, ran_us / 1000 + 60000);
    bench_turn(b);
    runs_again(b);
    b->keeper.spec->life_ms = 3600000;
    b->keeper.started_mono_us = 1000 - HOUR_US / 2;
    keeper_tick(&b->keeper, 1000 + HOUR_US / 2 - 1);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    keeper_tick(&b->keeper, 1000 + HOUR_US / 2);
    assert_int_equal(b->keeper.end, XN__TASK_END__LIFE);
    b->keeper.started_mono_us = 1000 - 2 * HOUR_US;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__LIFE, 137, 0, "its time was over");
}

/* What is not ready yet on a machine that has just been started is waited for,
 * but not for ever. */
static void it_is_restored_when_that_is_possible(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    save(b);
    start_machine(b);
    fake->bad_create = 1;
    fake->part = true;
    assert_int_equal(bench_start(b), 0);
    bench_turn(b);
    is_saved(b);
    assert_non_null(strstr(b->keeper.domain.unsaved, "no memory"));
    bench_turn(b);
    is_saved(b); /* not at once */
    b->keeper.domain.restore_us = 0;
    bench_turn(b);
    runs_again(b);
    assert_string_equal(b->keeper.domain.unsaved, "");
    assert_int_equal(bench_cpu_ms(b), 150);
    stop(b, 150);
}

static void what_cannot_be_restored_ends(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    save(b);
    start_machine(b);
    fake->bad_create = 1000;
    assert_int_equal(bench_start(b), 0);
    bench_turn(b);
    is_saved(b);
    b->keeper.domain.restore_us = 0;
    bench_turn(b);
    is_saved(b);
    assert_in_range(b->keeper.domain.patience_us, 1,
                    sys_mono_us() + PATIENCE_US);
    b->keeper.domain.restore_us = 0;
    b->keeper.domain.patience_us = 1;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 150,
                "the domain cannot be restored: no such kernel");
    assert_false(has(b, KEEPER_MEMORY));
}

static void without_its_memory_it_ends(void **state)
{
    struct bench *b = *state;

    bench_started(b);
    fake_pass(100 * MS);
    save(b);
    assert_int_equal(unlinkat(b->keeper.dir, KEEPER_MEMORY, 0), 0);
    start_machine(b);
    assert_int_equal(bench_start(b), 0);
    b->keeper.domain.patience_us = 1;
    bench_turn(b);
    bench_ended(b, XN__TASK_END__CRASHED, 1, 150, "cannot be read");
}

static void clear_records(struct bench *b)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);

    bench_put_away(b);
    unlinkat(dir, KEEPER_METER, 0);
    unlinkat(dir, KEEPER_EXIT, 0);
    close(dir);
}

static void save_and_restore(struct bench *b)
{
    fake_pass(100 * MS);
    bench_turn(b);
    save(b);
    if (b->keeper.state != XN__TASK_STATE__SAVED) return;
    keeper_save(&b->keeper, false);
    bench_turn(b);
    fake_pass(10 * MS);
    bench_turn(b);
}

/* It runs, or is saved and then restored; never both, nor neither. */
static void bring_back(struct bench *b)
{
    struct keeper *k = &b->keeper;

    bench_turn(b);
    if (k->state == XN__TASK_STATE__SAVED) {
        is_saved(b);
        keeper_save(k, false);
        bench_turn(b);
    }
    if (k->state == XN__TASK_STATE__PAUSED) keeper_pause(k, false);
    state_is(b, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake_there(), 1);
    assert_int_equal(fake_last()->end, XEN_LIVES);
    assert_false(fake_last()->paused);
    assert_false(has(b, KEEPER_MEMORY));
    assert_false(has(b, KEEPER_MEMORY ".new"));
}

/* Killed in every call of Xen's, before and after its effect. */
static void killed_anywhere_it_goes_on(void **state)
{
    struct bench *b = *state;
    unsigned at, most = 1000;
    bool after = false;
    uint64_t ms, ran;
    size_t restored = 0, i;

    for (at = 1; at < most; after = !after, at += !after) {
        memset(fake->domains, 0, sizeof fake->domains);
        fake->n = fake->calls = 0;
        bench_write_spec(b, 0);
        fake->die_at = at;
        fake->die_after = after;
        bench_dies(b, save_and_restore);
        if (fake->calls < at) most = at; /* it came to its end */
        assert_true(fake_there() <= 1);
        if (bench_start(b)) { /* it never began */
            assert_int_equal(fake_there(), 0);
            clear_records(b);
            continue;
        }
        bring_back(b);
        for (ran = i = 0; i < fake->n; i++)
            ran += fake->domains[i].cpu_ns / MS;
        ms = bench_cpu_ms(b);
        assert_int_equal(ms, ran);
        restored += fake_last()->restored;
        stop(b, ms);
        clear_records(b);
    }
    assert_in_range(most, 20, 999);
    assert_in_range(restored, 10, 999);
    fake->n = 4; /* their consoles go, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_is_saved_and_goes_on),
        T(it_goes_on_when_the_machine_was_started_anew),
        T(time_that_it_is_saved_is_told),
        T(one_that_stands_still_stands_afterwards),
        T(what_cannot_be_saved_goes_on),
        T(what_does_not_wake_ends),
        T(who_suspends_himself_ends),
        T(it_can_be_stopped),
        T(its_time_ends),
        T(its_time_ends_on_another_day),
        T(it_is_restored_when_that_is_possible),
        T(what_cannot_be_restored_ends),
        T(without_its_memory_it_ends),
        T(killed_anywhere_it_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
