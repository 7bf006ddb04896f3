/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A command beside a task that cannot come in, or not yet, and one while the task
 * stands still.  Those that do come in are tests/e2e/exec.t's. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/exec.h"
#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"
#include "wire/stream.h"

#define HANGS_S 60 /* then this has failed */

/* A folder in the place of a control group. */
struct group {
    char folder[256], tasks[300];
    struct sandbox box;
    Xn__TaskSpec spec;
};

static int begin(void **state)
{
    struct group *g = calloc(1, sizeof *g);

    alarm(HANGS_S);
    snprintf(g->folder, sizeof g->folder, "%.200s/keeper-exec-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(g->folder)) return 1;
    snprintf(g->tasks, sizeof g->tasks, "%s/tasks", g->folder);
    xn__task_spec__init(&g->spec);
    g->box.init_fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* no sandbox */
    snprintf(g->box.group.path[CGROUP_CPU], CGROUP_PATH_MAX, "%s", g->folder);
    *state = g;
    return 0;
}

static int end(void **state)
{
    struct group *g = *state;
    int rc;

    close(g->box.init_fd);
    unlink(g->tasks);
    rc = rmdir(g->folder);
    free(g);
    alarm(0);
    return rc;
}

static pid_t start(struct group *g, int *fd_out)
{
    Xn__KeeperAsk what = XN__KEEPER_ASK__INIT;
    char *argv[] = {(char *)"/bin/true"};
    pid_t pid;

    what.argv = argv;
    what.n_argv = 1;
    assert_int_equal(exec_begin(&g->box, &g->spec, &what, &pid, fd_out), 0);
    assert_true(pid > 0);
    return pid;
}

static int code_in(const uint8_t *data, size_t len)
{
    Xn__StreamOver *over = xn_unpack(&xn__stream_over__descriptor, data, len);
    int code = over ? over->code : -1;

    if (over) xn__stream_over__free_unpacked(over, NULL);
    return code;
}

/* It has not begun, for that reason. */
static void is_told(pid_t pid, int fd, const char *because)
{
    uint8_t data[1024];
    struct stream_head head;
    char said[512] = "";
    size_t n = 0, at = 0;
    int code = 0;
    ssize_t got;

    while ((got = read(fd, data + n, sizeof data - n)) > 0)
        n += (size_t)got;
    close(fd);
    while (at < n) {
        assert_int_equal(stream_head_parse(data + at, &head), 0);
        at += STREAM_HEAD;
        if (head.kind == STREAM_ERR)
            strncat(said, (char *)data + at, head.len);
        else if (head.kind == STREAM_OVER)
            code = code_in(data + at, head.len);
        at += head.len;
    }
    assert_int_equal(code, EXEC_NOT_ENTERED);
    if (!strstr(said, because)) fail_msg("not %s: %s", because, said);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Its group has no time for it: whoever begins it does not wait. */
static void it_comes_late(void **state)
{
    struct group *g = *state;
    int fd, writer;
    pid_t pid;

    assert_int_equal(mkfifo(g->tasks, 0600), 0); /* it stands at opening it */
    pid = start(g, &fd);
    writer = open(g->tasks, O_RDONLY | O_CLOEXEC); /* it goes on */
    is_told(pid, fd, "cannot be entered: ");
    close(writer);
}

static void no_group_takes_it(void **state)
{
    struct group *g = *state;
    int fd;
    pid_t pid = start(g, &fd);

    is_told(pid, fd, "its control groups do not take it");
    assert_int_equal(access(g->folder, F_OK), 0); /* the task's, still */
}

/* Nor is it begun where nobody counts it. */
static void nobody_counts_it(void **state)
{
    struct group *g = *state;
    Xn__KeeperAsk what = XN__KEEPER_ASK__INIT;
    char *argv[] = {(char *)"/bin/true"};
    int fd = -1;
    pid_t pid;

    what.argv = argv;
    what.n_argv = 1;
    g->box.meter.kind = XN__METER_KIND__PERF;
    g->box.meter.n_more = METER_MORE_MAX;
    assert_int_equal(exec_begin(&g->box, &g->spec, &what, &pid, &fd),
                     XN_EREFUSED);
    assert_int_equal(fd, -1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- while it stands still ----------------------------------------------- */

static unsigned stops;

static int count_stop(struct keeper *keeper, int sig)
{
    stops += sig == SIGSTOP;
    return 0;
}

static int begin_none(struct keeper *keeper, const Xn__KeeperAsk *what,
                      pid_t *pid_out, int *fd_out)
{
    *pid_out = getpid(); /* no child of ours: it does not end */
    return 0;
}

static bool no(struct keeper *keeper)
{
    return false;
}

static bool has_none(struct keeper *keeper, uint64_t *bytes_out)
{
    *bytes_out = 0;
    return false;
}

static void read_none(struct keeper *keeper, uint64_t mono_us,
                      Xn__TaskReading *out)
{
}

/* All who come in are stopped, and yet an hour's pause costs little. */
static void a_pause_is_told_ever_less(void **state)
{
    static const struct runner runner = {.signal = count_stop,
                                         .exec = begin_none,
                                         .has_ended = no,
                                         .memory = has_none,
                                         .meter = read_none};
    Xn__KeeperAsk what = XN__KEEPER_ASK__INIT;
    uint64_t from, now, soon = 0;
    Xn__TaskSpec spec;
    struct keeper k;
    int fd;

    xn__task_spec__init(&spec);
    spec.meter_ms = 15000;
    keeper_init(&k, &runner);
    k.spec = &spec;
    k.look_every_us = 30000000;
    k.state = XN__TASK_STATE__RUNNING;
    stops = 0;
    assert_int_equal(keeper_exec(&k, &what, &fd), 0);
    assert_int_equal(keeper_pause(&k, true), 0);
    from = sys_mono_us();
    for (now = from; now < from + 3600000000; now = keeper_tick(&k, now)) {
        if (now < from + 1000000) soon = stops;
    }
    assert_true(soon > 10);
    assert_true(stops < 200);
    record_close(&k.meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_comes_late, begin, end),
        cmocka_unit_test_setup_teardown(no_group_takes_it, begin, end),
        cmocka_unit_test_setup_teardown(nobody_counts_it, begin, end),
        cmocka_unit_test(a_pause_is_told_ever_less),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
