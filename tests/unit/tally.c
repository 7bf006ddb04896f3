/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a control group counts, read without a keeper and behind one. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sessions.h"
#include "keeper/sys.h"
#include "keeper/tally.h"
#include "lib/err.h"

#define NAME "tally-unit"
#define MS 1000000ULL

struct bench {
    char path[64];
    int sessions, folder;
    struct cgroup group;
    struct cgroup_files files;
    pid_t task;
    uint64_t base; /* in ns, of what its group counts */
};

static void put_text(struct bench *b, const char *name, const char *text)
{
    int fd = openat(b->folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(sys_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

/* As its keeper left it. */
static void note(struct bench *b, Xn__MeterKind kind, uint64_t base,
                 uint64_t cpu_ns)
{
    Xn__TaskReading reading = XN__TASK_READING__INIT;

    reading.kind = kind;
    reading.exact = true;
    reading.base_ns = base;
    reading.cpu_ns = cpu_ns;
    reading.memory_bytes = 4711;
    assert_int_equal(record_note(b->folder, KEEPER_METER, &reading), 0);
}

static uint64_t counted(struct bench *b)
{
    uint64_t ns = 0;

    assert_int_equal(cgroup_cpu_ns(&b->files, &ns), 0);
    return ns;
}

static void burn(struct bench *b, uint64_t ns)
{
    uint64_t until = counted(b) + ns;

    while (counted(b) < until)
        usleep(1000);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    char list[CGROUP_KINDS * CGROUP_PATH_MAX];
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;

    *state = b;
    strcpy(b->path, "/tmp/xn-tally-XXXXXX");
    if (!mkdtemp(b->path)) return 1;
    b->sessions = open(b->path, O_RDONLY | O_DIRECTORY);
    mkdirat(b->sessions, NAME, 0700);
    b->folder = session_open(b->sessions, NAME);
    cgroup_plan(NAME, &b->group);
    cgroup_make(&b->group);
    cgroup_list(&b->group, list, sizeof list);
    put_text(b, KEEPER_CGROUPS, list);
    spec.name = (char *)(uintptr_t)NAME;
    record_note(b->folder, KEEPER_SPEC, &spec);
    b->task = cgroup_fork(&b->group);
    if (b->task == 0) {
        for (;;) {}
    }
    cgroup_open(&b->group, &b->files);
    if (cgroup_has(&b->group, CGROUP_METER)) {
        burn(b, 2 * MS);
        b->base = counted(b);
    }
    return 0;
}

static void end_task(struct bench *b)
{
    if (b->task <= 0) return;
    kill(b->task, SIGKILL);
    sys_wait(b->task);
    b->task = 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;

    end_task(b);
    cgroup_close(&b->files);
    close(b->folder);
    session_forget(b->sessions, NAME);
    close(b->sessions);
    rmdir(b->path);
    free(b);
    return 0;
}

static void counts_on_without_its_keeper(void **state)
{
    struct bench *b = *state;
    struct tally tally;
    Xn__TaskReading first, second;

    if (b->files.cpu < 0) skip();
    note(b, XN__METER_KIND__CGROUP, b->base, MS);
    assert_int_equal(tally_open(b->folder, NAME, &tally), 0);
    burn(b, 5 * MS);
    assert_int_equal(tally_read(&tally, &first), 0);
    assert_in_range(first.cpu_ns, 5 * MS, counted(b) - b->base);
    assert_true(first.exact);
    assert_int_equal(first.memory_bytes, 4711);
    burn(b, 5 * MS);
    assert_int_equal(tally_read(&tally, &second), 0);
    assert_true(second.cpu_ns >= first.cpu_ns + 5 * MS);
    tally_close(&tally);
    tally_close(&tally);
}

/* A counter that shows less takes nothing back. */
static void never_less_than_noted(void **state)
{
    struct bench *b = *state;
    struct tally tally;
    Xn__TaskReading reading;

    if (b->files.cpu < 0) skip();
    note(b, XN__METER_KIND__CGROUP, b->base, 3600000 * MS);
    assert_int_equal(tally_open(b->folder, NAME, &tally), 0);
    assert_int_equal(tally_read(&tally, &reading), 0);
    assert_int_equal(reading.cpu_ns, 3600000 * MS);
    tally_close(&tally);
}

static void not_where_its_keeper_alone_knows(void **state)
{
    struct bench *b = *state;
    struct tally tally;

    assert_int_equal(tally_open(b->folder, NAME, &tally), XN_ENOENT);
    note(b, XN__METER_KIND__PERF, b->base, MS);
    assert_int_equal(tally_open(b->folder, NAME, &tally), XN_ENOENT);
    note(b, XN__METER_KIND__CGROUP, 0, MS); /* of an older keeper */
    assert_int_equal(tally_open(b->folder, NAME, &tally), XN_ENOENT);
    note(b, XN__METER_KIND__CGROUP, 1, MS);
    assert_int_equal(tally_open(b->folder, "another", &tally), XN_ENOENT);
    put_text(b, KEEPER_CGROUPS, "/etc/xeno-" NAME "\n");
    assert_int_equal(tally_open(b->folder, NAME, &tally), XN_ENOENT);
    put_text(b, KEEPER_CGROUPS, "");
    assert_int_equal(tally_open(b->folder, NAME, &tally), XN_ENOENT);
}

/* The keeper was killed long after it noted something. */
static void a_sweep_reads_the_last(void **state)
{
    struct bench *b = *state;
    ProtobufCMessage *body;
    const Xn__TaskExit *last;
    uint64_t used;

    if (b->files.cpu < 0) skip();
    note(b, XN__METER_KIND__CGROUP, b->base, MS);
    burn(b, 20 * MS);
    end_task(b);
    used = counted(b) - b->base;
    cgroup_close(&b->files);
    assert_int_equal(session_sweep(b->sessions, NAME), 0);
    assert_int_equal(
        record_get(b->folder, KEEPER_EXIT, &xn__task_exit__descriptor, &body),
        0);
    last = (const Xn__TaskExit *)body;
    assert_int_equal(last->end, XN__TASK_END__KEEPER);
    assert_int_equal(last->reading->cpu_ns, used);
    assert_int_equal(access(b->group.path[CGROUP_METER], F_OK), -1);
    protobuf_c_message_free_unpacked(body, NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(counts_on_without_its_keeper),
        TEST(never_less_than_noted),
        TEST(not_where_its_keeper_alone_knows),
        TEST(a_sweep_reads_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
