/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control groups, where this machine lets us have any. */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/cgroup.h"
#include "keeper/sys.h"

static int make(void **state)
{
    struct cgroup *group = calloc(1, sizeof *group);
    char name[32];

    if (!group) return 1;
    snprintf(name, sizeof name, "unit-%ld", (long)getpid());
    cgroup_plan(name, group);
    cgroup_make(group);
    *state = group;
    return 0;
}

static int take_away(void **state)
{
    struct cgroup *group = *state;
    int i, rc = 0;

    for (i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup_has(group, i) && !cgroup_remove(group->path[i])) rc = 1;
    }
    free(group);
    return rc;
}

/* Of one file of it; 0: there is none. */
static uint64_t number(const struct cgroup *group, enum cgroup_what what,
                       const char *file)
{
    char path[CGROUP_PATH_MAX + 32];
    uint64_t n = 0;

    snprintf(path, sizeof path, "%s/%s", group->path[what], file);
    (void)sys_read_number(path, "", &n);
    return n;
}

static bool is_in(const struct cgroup *group, enum cgroup_what what, pid_t pid)
{
    return number(group, what, "cgroup.procs") == (uint64_t)pid;
}

/* A child that ends when its end of `line` closes. */
static pid_t start(struct cgroup *group, int line[2])
{
    char byte;
    pid_t pid;

    assert_int_equal(pipe(line), 0);
    pid = cgroup_fork(group);
    if (pid == 0) {
        close(line[1]);
        _exit(read(line[0], &byte, 1) != 0);
    }
    assert_true(pid > 0);
    close(line[0]);
    return pid;
}

static void end(pid_t pid, int line[2])
{
    close(line[1]);
    assert_int_equal(sys_wait(pid), 0);
}

static void a_child_is_in_all(void **state)
{
    struct cgroup *group = *state, all = *group;
    int line[2], i;
    pid_t pid;

    if (!cgroup_has(group, CGROUP_METER)) skip();
    pid = start(group, line);
    for (i = 0; i < CGROUP_KINDS; i++) {
        assert_int_equal(cgroup_has(group, i), cgroup_has(&all, i));
        if (cgroup_has(group, i)) assert_true(is_in(group, i, pid));
    }
    end(pid, line);
}

static void what_it_cannot_enter_is_given_up(void **state)
{
    struct cgroup *group = *state;
    int line[2], i;
    pid_t pid;

    if (!cgroup_has(group, CGROUP_METER)) skip();
    assert_int_equal(rmdir(group->path[CGROUP_METER]), 0);
    pid = start(group, line);
    assert_false(cgroup_has(group, CGROUP_METER));
    for (i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup_has(group, i)) assert_true(is_in(group, i, pid));
    }
    end(pid, line);
}

static void a_favoured_keepers_child_is_not(void **state)
{
    const struct sched_param first = {.sched_priority = 1}, none = {0};
    struct cgroup *group = *state, all = *group;
    int line[2], i;
    pid_t pid;

    if (sched_setscheduler(0, SCHED_RR, &first)) skip();
    pid = start(group, line);
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
    assert_int_equal(sched_getscheduler(pid), SCHED_OTHER);
    for (i = 0; i < CGROUP_KINDS; i++)
        assert_int_equal(cgroup_has(group, i), cgroup_has(&all, i));
    end(pid, line);
}

static void an_eased_cap_comes_back(void **state)
{
    struct cgroup *group = *state;
    const char *file;
    uint64_t held;

    if (!cgroup_limit_cpu(group, 20)) skip();
    file = group->v2[CGROUP_CPU] ? "cpu.max" : "cpu.cfs_quota_us";
    held = number(group, CGROUP_CPU, file);
    assert_int_equal(held, 2000); /* us in a tenth of a second */
    cgroup_ease_cpu(group);
    assert_true(number(group, CGROUP_CPU, file) >= 100 * 1000 * 1000);
    assert_true(cgroup_limit_cpu(group, 20));
    assert_int_equal(number(group, CGROUP_CPU, file), held);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make, take_away)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_is_in_all),
        TEST(what_it_cannot_enter_is_given_up),
        TEST(a_favoured_keepers_child_is_not),
        TEST(an_eased_cap_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
