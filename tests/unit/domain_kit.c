/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/domain_kit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/record.h"
#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"

int bench_begin(void **state)
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

void bench_put_away(struct bench *b)
{
    struct keeper *k = &b->keeper;

    if (!b->open) return;
    b->open = false;
    console_close(&k->console);
    xn_buf_clear(&k->typed);
    if (k->terminal >= 0) close(k->terminal);
    if (k->domain.xen) k->domain.calls->close(k->domain.xen);
    if (k->image >= 0) close(k->image);
    if (k->lock >= 0) close(k->lock);
    close(k->dir);
    xn__task_spec__free_unpacked(k->spec, NULL);
}

int bench_end(void **state)
{
    static const char *const names[] = {
        KEEPER_SPEC, KEEPER_LOCK, KEEPER_CONSOLE, KEEPER_METER,
        KEEPER_EXIT, "kernel",    "ramdisk",      "disk"};
    struct bench *b = *state;
    size_t i;
    int dir, rc;

    bench_put_away(b);
    fake_end();
    dir = open(b->path, O_RDONLY | O_DIRECTORY);
    for (i = 0; i < sizeof names / sizeof *names; i++)
        unlinkat(dir, names[i], 0);
    close(dir);
    rc = rmdir(b->path); /* nothing else was left */
    free(b);
    return rc;
}

void bench_fill(Xn__TaskSpec *spec)
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
void bench_put_spec(struct bench *b, Xn__TaskSpec *spec)
{
    int dir = open(b->path, O_RDONLY | O_DIRECTORY);

    spec->image = b->path;
    assert_int_equal(record_put(dir, KEEPER_SPEC, spec), 0);
    close(dir);
}

void bench_write_spec(struct bench *b, uint64_t life_ms)
{
    Xn__TaskSpec spec;

    bench_fill(&spec);
    spec.life_ms = life_ms;
    bench_put_spec(b, &spec);
}

int bench_start(struct bench *b)
{
    struct keeper *k = &b->keeper;
    ProtobufCMessage *body;

    bench_put_away(b);
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
void bench_turn(struct bench *b)
{
    b->later_us += 300000;
    keeper_tick(&b->keeper, sys_mono_us() + b->later_us);
}

void bench_started(struct bench *b)
{
    bench_write_spec(b, 0);
    assert_int_equal(bench_start(b), 0);
    assert_int_equal(b->keeper.state, XN__TASK_STATE__RUNNING);
}

uint64_t bench_cpu_ms(struct bench *b)
{
    Xn__TaskReading reading;

    keeper_reading(&b->keeper, UINT64_MAX, &reading);
    assert_true(reading.exact);
    assert_int_equal(reading.kind, XN__METER_KIND__HYPERVISOR);
    return reading.cpu_ns / MS;
}

/* It has ended, as it should, and nothing is left of it. */
void bench_ended(struct bench *b, Xn__TaskEnd end, int code, uint64_t ms,
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

void bench_console_is(struct bench *b, const char *text)
{
    char data[4096];
    uint64_t from = 0;
    size_t n = 0;

    assert_int_equal(
        console_read(&b->keeper.console, &from, data, sizeof data - 1, &n), 0);
    data[n] = '\0';
    assert_string_equal(data, text);
}
/* A keeper in a process of its own, which goes when `script` has been done, or
 * in the call that is to be its last. */
void bench_dies(struct bench *b, void script(struct bench *b))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (bench_start(b) == 0 && script) script(b);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 9);
    fake->die_at = 0;
    fake->open = 0;
}
