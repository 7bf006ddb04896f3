/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When a process is gone: with its last thread, which holds its ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/dev.h"

enum { MS_MAX = 60000 };

static void *stay(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* What this program is when it is started below: two threads, of which the
 * first ends. */
static int leave_a_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, stay, NULL)) return 1;
    pthread_exit(NULL);
}

static bool is_zombie(const struct dev_process *process)
{
    char path[64], text[512], *state;
    FILE *file;
    size_t len;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    file = fopen(path, "re");
    if (!file) return false;
    len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    state = strrchr(text, ')');
    return state && strncmp(state, ") Z", 3) == 0;
}

static bool is_gone(const struct dev_process *process)
{
    return !dev_alive(process);
}

static bool comes(bool (*is)(const struct dev_process *),
                  const struct dev_process *process)
{
    int ms;

    for (ms = 0; ms < MS_MAX && !is(process); ms += 5)
        poll(NULL, 0, 5);
    return is(process);
}

static void lives_until_its_last_thread_ends(void **state)
{
    struct dev_process process = {.pid = 0};
    char self[] = "/proc/self/exe", word[] = "leave-a-thread";
    char *argv[] = {self, word, NULL};
    int ready;

    (void)state;
    assert_int_equal(dev_spawn("tests", argv, "/dev/null", &process, &ready),
                     0);
    dev_go(ready);
    assert_true(comes(is_zombie, &process));
    assert_true(dev_alive(&process));
    assert_int_equal(kill(process.pid, SIGKILL), 0);
    assert_true(comes(is_gone, &process));
    assert_int_equal(waitpid(process.pid, NULL, 0), process.pid);
    close(ready);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_until_its_last_thread_ends),
    };

    if (argc > 1 && strcmp(argv[1], "leave-a-thread") == 0)
        return leave_a_thread();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
