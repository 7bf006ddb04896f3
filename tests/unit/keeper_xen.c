/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A keeper and its domain, on a hypervisor that is made up. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"

#define MS 1000000ULL /* ns */
#define HOUR_US 3600000000ULL
#define MIB (1ULL << 20)

struct bench {
    char path[512], kernel[600];
    struct keeper keeper;
    uint64_t later_us; /* the test's clock is ahead by that */
    bool open;
};

/* ---- a keeper by hand ---------------------------------------------------- */

static int begin_test(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    if (!b) return 1;
    snprintf(b->path, sizeof b->path, "%s/keeper-xen-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(b->path)) return 1;
    fake_begin(b->path);
    snprintf(b->kernel, sizeof b->kernel, "%.500s/kernel", b->path);
    close(open(b->kernel, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    *state = b;
    return 0;
}

static void put_away(struct bench *b)
{
    struct keeper *k = &b->keeper;

    if (!b->open) return;
    b->open = false;
    console_close(&k->console);
    xn_buf_clear(&k->typed);
    if (k->image >= 0) close(k->image);
    if (k->lock >= 0) close(k->lock);
    close(k->dir);
    xn__task_spec__free_unpacked(k->spec, NULL);
}

static int end_test(void **state)
{
    static const char *const names[] = {
        KEEPER_SPEC, KEEPER_LOCK, KEEPER_CONSOLE, KEEPER_METER,
        KEEPER_EXIT, "kernel",    "ramdisk",      "disk"};
    struct bench *b = *state;
    size_t i;
    int dir, rc;

    put_away(b);
    fake_end();
    dir = open(b->path, O_RDONLY | O_DIRECTORY);
    for (i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(dir, names[i], 0);
    close(dir);
    rc = rmdir(b->path); /* nothing else was left */
    free(b);
    return rc;
}

static void fill(Xn__TaskSpec *spec)
{
    static char *argv[] = {(char *)"/sbin/burn", (char *)"for ever"};
    static char *env[] = {(char *)"LANG=C"};

    xn__task_spec__init(spec);
    spec->name = (char *)"s-1";
    spec->argv = argv;
    spec->n_argv = 2;
    spec->env = env;
    spec->n_env = 1;
    spec->image = (char *)"/images/one";
    spec->memory_bytes = 64 * MIB;
    spec->cpu_ms_per_s = 1500;
    spec->console_bytes = 4096;
    spec->runner = XN__RUNNER__XEN;
    spec_complete(spec);
}

/* The folder as xenodomd makes it. */
static void put_spec(struct bench *b, Xn__TaskSpec *spec)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);

    spec->image = b->path;
    assert_int_equal(record_put(dir, KEEPER_SPEC, spec), 0);
    close(dir);
}

static void write_spec(struct bench *b, uint64_t life_ms)
{
    Xn__TaskSpec spec;

    fill(&spec);
    spec.life_ms = life_ms;
    put_spec(b, &spec);
}

static int start(struct bench *b)
{
    struct keeper *k = &b->keeper;
    ProtobufCMessage *body;

    put_away(b);
    keeper_init(k, &runner_xen);
    k->domain.calls = &xen_fake;
    k->dir = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    k->lock = sys_lock(k->dir, KEEPER_LOCK);
    assert_true(k->lock >= 0);
    assert_int_equal(
        record_get(k->dir, KEEPER_SPEC, &xn__task_spec__descriptor, &body), 0);
    k->spec = (Xn__TaskSpec *)body;
    b->open = true;
    return keeper_start(k);
}

/* What is due soon. */
static void turn(struct bench *b)
{
    b->later_us += 300000;
    keeper_tick(&b->keeper, sys_mono_us() + b->later_us);
}

static void started(struct bench *b)
{
    write_spec(b, 0);
    assert_int_equal(start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
}

static uint64_t cpu_ms(struct bench *b)
{
    Xn__TaskReading reading;

    keeper_reading(&b->keeper, &reading);
    assert_true(reading.exact);
    assert_int_equal(reading.kind, XN__METER_KIND__HYPERVISOR);
    return reading.cpu_ns / MS;
}

/* It has ended, as it should, and nothing is left of it. */
static void ended(struct bench *b, Xn__TaskEnd end, int code, uint64_t ms,
                  const char *because)
{
    struct keeper *k = &b->keeper;
    ProtobufCMessage *body = NULL;
    const Xn__TaskExit *last;

    assert_int_equal(k->state, XN__TASK_STATE__ENDED);
    assert_int_equal(
        record_get(k->dir, KEEPER_EXIT, &xn__task_exit__descriptor, &body), 0);
    last = (Xn__TaskExit *)body;
    if (last->end != end) print_message("because %s\n", last->because);
    assert_int_equal(last->end, end);
    assert_int_equal(last->code, code);
    assert_int_equal(last->reading->cpu_ns / MS, ms);
    if (!strstr(last->because, because)) fail_msg("because %s", last->because);
    protobuf_c_message_free_unpacked(body, NULL);
    assert_int_equal(fake_there(), 0);
    assert_int_equal(fake->open, 0);
    assert_int_equal(k->terminal, -1);
    assert_false(sys_is_locked(k->dir, KEEPER_LOCK));
    assert_int_equal(faccessat(k->dir, KEEPER_DOMAIN, F_OK, 0), -1);
}

static void console_is(struct bench *b, const char *text)
{
    char data[4096];
    uint64_t from = 0;
    size_t n = 0;

    assert_int_equal(
        console_read(&b->keeper.console, &from, data, sizeof data - 1, &n), 0);
    data[n] = '\0';
    assert_string_equal(data, text);
}

/* ---- a life -------------------------------------------------------------- */

static void it_runs_and_ends(void **state)
{
    struct bench *b = *state;
    Xn__TaskStatus status;
    struct fake_domain *d;

    started(b);
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
    turn(b);
    keeper_read_terminal(&b->keeper, sys_mono_us() + b->later_us);
    console_is(b, "one ");
    assert_int_equal(cpu_ms(b), 1500);
    assert_int_equal(b->keeper.memory_bytes, 64 * MIB);
    xn__task_status__init(&status);
    runner_xen.describe(&b->keeper, &status);
    assert_string_equal(status.cap_by, "hypervisor");
    fake_say("two");
    d->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 1500, "the task ended");
    console_is(b, "one two");
}

/* By poll, and not by asking again and again. */
static void a_silent_terminal_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct keeper *k = &b->keeper;
    uint64_t now;

    started(b);
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
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
}

static void paused_it_uses_nothing(void **state)
{
    struct bench *b = *state;

    started(b);
    fake_pass(10 * MS);
    assert_int_equal(keeper_pause(&b->keeper, true), 0);
    assert_true(fake_last()->paused);
    fake_pass(1000 * MS);
    turn(b);
    assert_int_equal(cpu_ms(b), 15);
    assert_int_equal(keeper_pause(&b->keeper, false), 0);
    fake_pass(10 * MS);
    turn(b);
    assert_int_equal(cpu_ms(b), 30);
    /* what was not done is asked for again */
    fake->deaf_to_pause = true;
    assert_int_equal(keeper_pause(&b->keeper, true), 0);
    assert_false(fake_last()->paused);
    fake->deaf_to_pause = false;
    turn(b);
    assert_true(fake_last()->paused);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 137, 30, "enough");
}

static void a_guest_that_is_asked_ends(void **state)
{
    struct bench *b = *state;

    started(b);
    keeper_pause(&b->keeper, true);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    assert_true(fake_last()->asked);
    assert_false(fake_last()->paused); /* or it could not hear */
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 0, 0, "please");
}

static void a_deaf_guest_is_ended(void **state)
{
    struct bench *b = *state;

    started(b);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    turn(b);
    assert_int_equal(fake_there(), 1);
    b->later_us += 5000000;
    turn(b);
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 137, 0, "please");
}

static void its_time_ends(void **state)
{
    struct bench *b = *state;

    write_spec(b, 1000);
    assert_int_equal(start(b), 0);
    turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    b->later_us += 1000000;
    turn(b);
    turn(b);
    ended(b, XN__TASK_END__LIFE, 137, 0, "its time was over");
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
        started(b);
        fake_pass(20 * MS);
        fake_say("oops");
        fake_last()->end = rows[i].end;
        turn(b);
        ended(b, XN__TASK_END__CRASHED, 1, 30, rows[i].because);
        console_is(b, "oops");
    }
}

static void one_that_is_taken_away_is_missed(void **state)
{
    struct bench *b = *state;

    started(b);
    fake_pass(20 * MS);
    turn(b);
    fake_last()->there = false;
    turn(b);
    ended(b, XN__TASK_END__CRASHED, 1, 30, "not ended by its keeper");
}

static void a_hypervisor_that_does_not_answer_is_no_end(void **state)
{
    struct bench *b = *state;

    started(b);
    fake_pass(20 * MS);
    turn(b);
    fake->bad_look = 3;
    turn(b);
    assert_int_equal(cpu_ms(b), 30);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    fake_last()->end = XEN_POWEROFF;
    fake->bad_destroy = 2;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 30, "the task ended");
}

/* ---- boots --------------------------------------------------------------- */

static void a_reboot_goes_on(void **state)
{
    struct bench *b = *state;
    struct fake_domain *old;

    started(b);
    fake_pass(100 * MS);
    fake_say("first ");
    old = fake_last();
    old->end = XEN_REBOOT;
    turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake->n, 2);
    assert_int_equal(fake_there(), 1);
    assert_memory_not_equal(old->uuid, fake_last()->uuid, XEN_UUID);
    assert_false(fake_last()->paused);
    assert_int_equal(cpu_ms(b), 150);
    fake_pass(10 * MS);
    fake_say("second");
    assert_int_equal(cpu_ms(b), 165);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
    console_is(b, "first second");
}

static void a_reboot_while_it_stops_is_its_end(void **state)
{
    struct bench *b = *state;

    started(b);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "please", 5000);
    fake_last()->end = XEN_REBOOT;
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 0, 0, "please");
    assert_int_equal(fake->n, 1);
}

static void one_that_boots_for_ever_is_ended(void **state)
{
    struct bench *b = *state;
    int i;

    started(b);
    for (i = 0; i < 20 && b->keeper.state != XN__TASK_STATE__ENDED; i++) {
        fake_pass(2 * MS);
        fake_last()->end = XEN_REBOOT;
        turn(b);
    }
    assert_int_equal(fake->n, 5);
    ended(b, XN__TASK_END__CRASHED, 1, 15, "again and again");
}

static void a_reboot_that_fails_is_a_crash(void **state)
{
    struct bench *b = *state;

    started(b);
    fake_pass(2 * MS);
    fake_last()->end = XEN_REBOOT;
    fake->bad_create = 1;
    turn(b);
    ended(b, XN__TASK_END__CRASHED, 1, 3, "no such kernel");
}

/* ---- starts that fail ---------------------------------------------------- */

enum bad_file { WRITABLE, FOLDER_WRITABLE, LINK, FIFO, FOLDER, MISSING };

static void spoil(const struct bench *b, const char *path, enum bad_file how)
{
    unlink(path);
    if (how < LINK) close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (how == WRITABLE) assert_int_equal(chmod(path, 0602), 0);
    if (how == FOLDER_WRITABLE) assert_int_equal(chmod(b->path, 0720), 0);
    if (how == LINK) assert_int_equal(symlink("/proc/version", path), 0);
    if (how == FIFO) assert_int_equal(mkfifo(path, 0600), 0);
    if (how == FOLDER) assert_int_equal(mkdir(path, 0700), 0);
}

/* What libxl would read as root and others could have written, or put there. */
static void only_roots_files_are_booted(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"kernel", "ramdisk", "disk"};
    char path[600], said[40];

    for (int how = WRITABLE; how <= MISSING; how++) {
        for (int which = 0; which < 3; which++) {
            snprintf(path, sizeof path, "%.500s/%s", b->path, names[which]);
            snprintf(said, sizeof said, "image's %s",
                     names[how == FOLDER_WRITABLE ? 0 : which]);
            if (which && how == MISSING) continue; /* which may be */
            spoil(b, path, (enum bad_file)how);
            write_spec(b, 0);
            assert_int_not_equal(start(b), 0);
            assert_int_equal(b->keeper.last.end, XN__TASK_END__NOT_STARTED);
            assert_non_null(strstr(b->keeper.because, said));
            assert_int_equal(fake_there(), 0);
            put_away(b);
            chmod(b->path, 0700);
            if (rmdir(path)) unlink(path);
            close(open(b->kernel, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
    }
    started(b);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
}

/* The image's is everybody's; its own is blank at first, kept when it boots
 * again, and gone with it. */
static void its_disks_are_two(void **state)
{
    struct bench *b = *state;
    char path[600], word[5] = "";
    Xn__TaskSpec spec;
    int fd;

    snprintf(path, sizeof path, "%.500s/disk", b->path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 8192), 0);
    close(fd);
    fill(&spec);
    spec.disk_bytes = MIB;
    put_spec(b, &spec);
    assert_int_equal(start(b), 0);
    assert_int_equal(fake_last()->disk_bytes[0], 8192);
    assert_false(fake_last()->disk_writable[0]);
    assert_int_equal(fake_last()->disk_bytes[1], MIB);
    assert_true(fake_last()->disk_writable[1]);
    fd = openat(b->keeper.dir, KEEPER_DISK, O_RDWR | O_CLOEXEC);
    assert_int_equal(read(fd, word, 4), 4);
    assert_memory_equal(word, "\0\0\0\0", 4);
    assert_int_equal(pwrite(fd, "mine", 4, 0), 4);
    close(fd);
    fake_last()->end = XEN_REBOOT;
    turn(b);
    assert_int_equal(fake_last()->disk_bytes[1], MIB);
    fd = openat(b->keeper.dir, KEEPER_DISK, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, word, 4), 4);
    assert_string_equal(word, "mine");
    close(fd);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 0, "the task ended");
    assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
}

static void a_disk_without_room_is_refused(void **state)
{
    struct bench *b = *state;
    Xn__TaskSpec spec;

    fill(&spec);
    spec.disk_bytes = 1ULL << 44;
    put_spec(b, &spec);
    assert_int_equal(start(b), XN_ENOSPC);
    assert_non_null(strstr(b->keeper.because, "a disk of its own: "));
    assert_int_equal(fake->n, 0);
    assert_int_equal(faccessat(b->keeper.dir, KEEPER_DISK, F_OK, 0), -1);
}

static void what_cannot_start_says_why(void **state)
{
    static const struct {
        bool absent, part;
        unsigned create, console, destroy;
        const char *because;
    } rows[] = {
        {true, false, 0, 0, 0, "this host runs no Xen"},
        {false, false, 1, 0, 0, "no such kernel"},
        {false, true, 1, 0, 2, "no memory"},
        {false, false, 0, 1, 0, "no xenconsoled"},
    };
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_spec(b, 0);
        fake->absent = rows[i].absent;
        fake->part = rows[i].part;
        fake->bad_create = rows[i].create;
        fake->bad_console = rows[i].console;
        fake->bad_destroy = rows[i].destroy;
        assert_int_not_equal(start(b), 0);
        ended(b, XN__TASK_END__NOT_STARTED, 0, 0, rows[i].because);
    }
}

/* ---- after another keeper ------------------------------------------------ */

/* A keeper in a process of its own, which goes when `script` has been done, or
 * in the call that is to be its last. */
static void in_a_keeper_that_dies(struct bench *b, void script(struct bench *b))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (start(b) == 0 && script) script(b);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 9);
    fake->die_at = 0;
    fake->open = 0;
}

static void burn_and_boot(struct bench *b)
{
    fake_pass(100 * MS);
    turn(b);
    fake_last()->end = XEN_REBOOT;
    turn(b);
    fake_pass(10 * MS);
    b->later_us += HOUR_US; /* a durable reading */
    turn(b);
}

static void it_outlives_its_keeper(void **state)
{
    struct bench *b = *state;
    Xn__TaskReading reading;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, burn_and_boot);
    assert_int_equal(fake_there(), 1);
    fake_pass(10 * MS); /* nobody looks */
    assert_int_equal(start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(cpu_ms(b), 180);
    keeper_reading(&b->keeper, &reading);
    assert_true(reading.run_ms < 3600000); /* not the test's hour */
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 180, "the task ended");
    assert_int_equal(fake->n, 2);
}

/* Its kernel is where it was. */
static void it_boots_again_with_another_keeper(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, burn_and_boot);
    assert_int_equal(start(b), 0);
    fake_last()->end = XEN_REBOOT;
    turn(b);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake->n, 3);
    assert_int_equal(fake_there(), 1);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
}

static void what_it_used_is_known_when_it_is_gone(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, burn_and_boot);
    fake_last()->there = false;
    assert_int_not_equal(start(b), 0);
    ended(b, XN__TASK_END__KEEPER, 0, 165, "it is gone");
}

static void spoil_note(struct bench *b)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);
    int fd = openat(dir, KEEPER_DOMAIN, O_WRONLY);

    assert_int_equal(pwrite(fd, "\377\377", 2, 9), 2);
    close(fd);
    close(dir);
}

/* What was noted of it is damaged: it is found by its name, and noted anew. */
static void a_damaged_note_is_mended(void **state)
{
    struct bench *b = *state;
    ProtobufCMessage *note = NULL;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, burn_and_boot);
    spoil_note(b);
    assert_int_equal(start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
    assert_int_equal(cpu_ms(b), 165);
    assert_int_equal(record_get(b->keeper.dir, KEEPER_DOMAIN,
                                &xn__domain_note__descriptor, &note),
                     0);
    protobuf_c_message_free_unpacked(note, NULL);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
    ended(b, XN__TASK_END__FINISHED, 0, 165, "the task ended");
}

static void a_damaged_note_of_none_ends_it(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, burn_and_boot);
    spoil_note(b);
    fake_last()->there = false;
    assert_int_not_equal(start(b), 0);
    ended(b, XN__TASK_END__KEEPER, 0, 165, "it is gone");
}

static void a_damaged_note_before_it_began_ends_it(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    fake->die_at = 4; /* it is made, and stands */
    in_a_keeper_that_dies(b, NULL);
    assert_int_equal(fake_there(), 1);
    spoil_note(b);
    assert_int_not_equal(start(b), 0);
    ended(b, XN__TASK_END__NOT_STARTED, 0, 0, "while it was started");
}

static void clear_records(struct bench *b)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);

    put_away(b);
    unlinkat(dir, KEEPER_METER, 0);
    unlinkat(dir, KEEPER_EXIT, 0);
    close(dir);
}

static void boot_again(struct bench *b)
{
    fake_pass(100 * MS);
    turn(b);
    fake_last()->end = XEN_REBOOT;
    turn(b);
}

/* Whoever is killed between two boots leaves the second to the next keeper. */
static void killed_between_boots_it_boots(void **state)
{
    struct bench *b = *state;
    unsigned at, most = 1000;
    bool after = false, ran;
    size_t made = 0;

    for (at = 1; at < most; after = !after, at += !after) {
        memset(fake->domains, 0, sizeof fake->domains);
        fake->n = fake->calls = 0;
        write_spec(b, 0);
        fake->die_at = at;
        fake->die_after = after;
        in_a_keeper_that_dies(b, boot_again);
        if (fake->calls < at) most = at;
        ran = fake->domains[0].cpu_ns > 0;
        if (start(b)) {
            assert_false(ran);
        } else {
            turn(b);
            assert_int_equal(fake_there(), 1);
            assert_int_not_equal(fake_last()->end, XEN_REBOOT);
            assert_true(fake->n >= 2 || fake->domains[0].end == XEN_LIVES);
            assert_int_equal(cpu_ms(b), ran ? 150 : 0);
            keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
            turn(b);
        }
        assert_int_equal(fake_there(), 0);
        if (fake->n > made) made = fake->n;
        clear_records(b);
    }
    assert_true(most < 1000);
    /* one that was made and may be a part of one was made again */
    assert_int_equal(made, 3);
    fake->n = made; /* their consoles go, too */
}

static void pause_it(struct bench *b)
{
    keeper_pause(&b->keeper, true);
}

static void it_stays_paused(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, pause_it);
    assert_int_equal(start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__PAUSED);
    turn(b);
    assert_true(fake_last()->paused);
    assert_int_equal(keeper_pause(&b->keeper, false), 0);
    assert_false(fake_last()->paused);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 137, 0, "enough");
}

/* Nothing is said of what cannot be looked at. */
static void without_xen_the_next_keeper_waits(void **state)
{
    struct bench *b = *state;

    write_spec(b, 0);
    in_a_keeper_that_dies(b, NULL);
    fake->absent = true;
    assert_int_not_equal(start(b), 0);
    assert_int_not_equal(b->keeper.state, XN__TASK_STATE__ENDED);
    fake->absent = false;
    assert_int_equal(start(b), 0);
    keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
    turn(b);
    ended(b, XN__TASK_END__STOPPED, 137, 0, "enough");
}

static void live_and_end(struct bench *b)
{
    burn_and_boot(b);
    fake_last()->end = XEN_POWEROFF;
    turn(b);
}

/* Killed in every call that it makes, before and after its effect: one domain
 * at most, none when it has ended, nothing charged that was not used. */
static void killed_anywhere_it_is_found(void **state)
{
    struct bench *b = *state;
    unsigned at, most = 1000;
    bool after = false;
    int rc;

    for (at = 1; at < most; after = !after, at += !after) {
        memset(fake->domains, 0, sizeof fake->domains);
        fake->n = fake->calls = 0;
        write_spec(b, 0);
        fake->die_at = at;
        fake->die_after = after;
        in_a_keeper_that_dies(b, live_and_end);
        if (fake->calls < at) most = at; /* it came to its end */
        assert_true(fake_there() <= 1);
        rc = start(b);
        if (!rc) {
            assert_int_equal(fake_there(), 1);
            keeper_stop(&b->keeper, XN__TASK_END__STOPPED, "enough", 0);
            turn(b);
            assert_int_equal(b->keeper.state, XN__TASK_STATE__ENDED);
        }
        assert_int_equal(fake_there(), 0);
        assert_int_equal(b->keeper.state, XN__TASK_STATE__ENDED);
        assert_true(b->keeper.last_reading.cpu_ns <= 165 * MS);
        clear_records(b);
    }
    assert_in_range(at, 15, 999);
}

/* ---- what can be asked for ----------------------------------------------- */

static void a_line_is_what_linux_reads(void **state)
{
    static char *const words[][4] = {
        {(char *)"/a"},
        {(char *)"/a", (char *)"b", (char *)""},
        {(char *)"/a b", (char *)"c d"},
    };
    static const char *const lines[] = {"init=/a", "init=/a -- b \"\"",
                                        "\"init=/a b\" -- \"c d\""};
    char line[DOMAIN_LINE_MAX];
    Xn__TaskSpec spec;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        xn__task_spec__init(&spec);
        spec.argv = (char **)words[i];
        while (words[i][spec.n_argv])
            spec.n_argv++;
        assert_int_equal(domain_line(&spec, line, sizeof line), 0);
        assert_string_equal(line, lines[i]);
        assert_int_equal(domain_line(&spec, line, strlen(lines[i]) + 1), 0);
        assert_int_equal(domain_line(&spec, line, strlen(lines[i])),
                         XN_ETOOBIG);
    }
}

static void what_a_domain_cannot_be_is_said(void **state)
{
    char *quote[] = {(char *)"/a\"b"}, *control[] = {(char *)"/a\nb"};
    Xn__TaskFile file = XN__TASK_FILE__INIT, *put[] = {&file};
    char because[256];
    Xn__TaskSpec spec;

    (void)state;
#define REFUSED(change, word)                                                  \
    do {                                                                       \
        fill(&spec);                                                           \
        assert_int_equal(domain_fit(&spec, because, sizeof because), 0);       \
        change;                                                                \
        assert_int_equal(domain_fit(&spec, because, sizeof because),           \
                         XN_EINVAL);                                           \
        assert_non_null(strstr(because, word));                                \
    } while (0)
    REFUSED(spec.image = (char *)"", "image");
    REFUSED((spec.put = put, spec.n_put = 1), "put");
    REFUSED((spec.argv = quote, spec.n_argv = 1), "quote");
    REFUSED((spec.argv = control, spec.n_argv = 1), "control");
    REFUSED(spec.cpu_ms_per_s = 128001, "128 CPUs");
#undef REFUSED
    fill(&spec);
    spec.cpu_ms_per_s = 128000;
    assert_int_equal(domain_fit(&spec, because, sizeof because), 0);
}

static void a_cap_is_never_less_than_was_bought(void **state)
{
    static const uint32_t rows[][3] = {
        /* ms/s, CPUs, percent */
        {0, 1, 0},      {1, 1, 1},      {150, 1, 15},   {151, 1, 16},
        {1000, 1, 100}, {1001, 2, 101}, {4000, 4, 400}, {128000, 128, 12800},
    };
    Xn__TaskSpec spec;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        xn__task_spec__init(&spec);
        spec.cpu_ms_per_s = rows[i][0];
        assert_int_equal(domain_vcpus(&spec), rows[i][1]);
        assert_int_equal(domain_cap(&spec), rows[i][2]);
    }
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

#define T(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_runs_and_ends),
        T(a_silent_terminal_is_waited_for),
        T(paused_it_uses_nothing),
        T(a_guest_that_is_asked_ends),
        T(a_deaf_guest_is_ended),
        T(its_time_ends),
        T(a_crash_is_said),
        T(one_that_is_taken_away_is_missed),
        T(a_hypervisor_that_does_not_answer_is_no_end),
        T(a_reboot_goes_on),
        T(a_reboot_while_it_stops_is_its_end),
        T(one_that_boots_for_ever_is_ended),
        T(a_reboot_that_fails_is_a_crash),
        T(only_roots_files_are_booted),
        T(its_disks_are_two),
        T(a_disk_without_room_is_refused),
        T(what_cannot_start_says_why),
        T(it_outlives_its_keeper),
        T(it_boots_again_with_another_keeper),
        T(killed_between_boots_it_boots),
        T(what_it_used_is_known_when_it_is_gone),
        T(it_stays_paused),
        T(without_xen_the_next_keeper_waits),
        T(killed_anywhere_it_is_found),
        cmocka_unit_test(what_is_typed_comes_once),
        T(a_damaged_note_is_mended),
        T(a_damaged_note_of_none_ends_it),
        T(a_damaged_note_before_it_began_ends_it),
        cmocka_unit_test(a_line_is_what_linux_reads),
        cmocka_unit_test(what_a_domain_cannot_be_is_said),
        cmocka_unit_test(a_cap_is_never_less_than_was_bought),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
