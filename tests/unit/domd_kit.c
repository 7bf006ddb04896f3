/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/domd_kit.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"
#include "wire/console.h"
#include "wire/frame.h"

/* ---- the daemon ---------------------------------------------------------- */

void run_daemon(struct bench *b)
{
    char fd_text[16], line[32];
    int ready[2];

    assert_int_equal(pipe(ready), 0);
    snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
    b->daemon = fork();
    if (b->daemon == 0) {
        close(ready[0]);
        execl("tests/unit/xenodomd_fake", "xenodomd_fake", "--state", b->state,
              "--images", b->images, "--ready-fd", fd_text, "--bridge", "br0",
              "--addresses", "10.9.0.2-10.9.0.3/24", "--gateway", "10.9.0.1",
              "--net6", "2001:db8:9::/64", "--gateway6", "2001:db8:9::1",
              (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    assert_true(read(ready[0], line, sizeof line) > 0);
    close(ready[0]);
    b->dir = open(b->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(b->dir >= 0);
}

void end_daemon(struct bench *b, int sig)
{
    if (b->daemon > 0) {
        kill(b->daemon, sig);
        sys_wait(b->daemon);
    }
    if (b->dir >= 0) close(b->dir);
    b->daemon = 0;
    b->dir = -1;
}

static void make_image(struct bench *b)
{
    int fd;

    snprintf(b->state, sizeof b->state, "%s/state", b->path);
    snprintf(b->images, sizeof b->images, "%s/images", b->path);
    snprintf(b->image, sizeof b->image, "%s/one", b->images);
    snprintf(b->kernel, sizeof b->kernel, "%s/kernel", b->image);
    assert_int_equal(mkdir(b->images, 0700) || mkdir(b->image, 0700), 0);
    fd = open(b->kernel, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

int begin_test(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    if (!b) return 1;
    snprintf(b->path, sizeof b->path, "%.200s/xenodomd-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(b->path)) return 1;
    fake_begin(b->path);
    make_image(b);
    b->dir = -1;
    run_daemon(b);
    *state = b;
    return 0;
}

static int remove_tree(const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    return sys_wait(pid);
}

/* Keepers outlive their daemon, which they are to, and then are our children
 * (main). */
static void end_keepers(void)
{
    char path[64];
    FILE *children;
    int pid;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    children = fopen(path, "r");
    if (!children) return;
    while (fscanf(children, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    fclose(children);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

int end_test(void **state)
{
    struct bench *b = *state;
    int rc;

    end_daemon(b, SIGTERM);
    end_keepers();
    fake_end();
    rc = remove_tree(b->path);
    free(b);
    return rc;
}

/* ---- asking -------------------------------------------------------------- */

Xn__DomTell *hear(int fd, int *fd_out)
{
    ProtobufCMessage *body = NULL;

    assert_int_equal(frame_receive(fd, FRAME_TELL_MAX,
                                   &xn__dom_tell__descriptor, &body, fd_out),
                     0);
    return (Xn__DomTell *)body;
}

int say(struct bench *b, const Xn__DomAsk *ask)
{
    int fd = sys_unix_connect(b->dir, "socket", PATIENCE_MS);

    assert_true(fd >= 0);
    assert_int_equal(frame_send(fd, ask), 0);
    return fd;
}

Xn__DomTell *ask_with(struct bench *b, const Xn__DomAsk *ask, int *fd_out)
{
    int fd = say(b, ask);
    Xn__DomTell *tell = hear(fd, fd_out);

    close(fd);
    return tell;
}

Xn__DomTell *ask(struct bench *b, Xn__DomOp op, int *fd_out)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;

    question.op = op;
    if (op != XN__DOM_OP__DOM_LIST) question.name = (char *)"a";
    return ask_with(b, &question, fd_out);
}

int asked(struct bench *b, Xn__DomOp op)
{
    Xn__DomTell *tell = ask(b, op, NULL);
    int rc = tell->rc;

    xn__dom_tell__free_unpacked(tell, NULL);
    return rc;
}

int say_start(struct bench *b, Xn__TaskSpec *spec)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    char *argv[] = {(char *)"/sbin/init"};

    question.op = XN__DOM_OP__DOM_START;
    question.spec = spec;
    spec->argv = argv;
    spec->n_argv = 1;
    spec->runner = XN__RUNNER__XEN;
    return say(b, &question);
}

Xn__DomTell *start_spec(struct bench *b, Xn__TaskSpec *spec)
{
    int fd = say_start(b, spec);
    Xn__DomTell *tell = hear(fd, NULL);

    close(fd);
    return tell;
}

Xn__DomTell *start(struct bench *b, const char *image)
{
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;

    spec.name = (char *)"a";
    spec.image = (char *)(uintptr_t)image;
    return start_spec(b, &spec);
}

void started(struct bench *b)
{
    Xn__DomTell *tell = start(b, b->image);

    if (tell->rc) fail_msg("%s", tell->because);
    assert_int_equal(tell->n_tasks, 1);
    assert_int_equal(tell->tasks[0]->state, XN__TASK_STATE__RUNNING);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(fake_there(), 1);
}

int watch(struct bench *b, bool xen)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;
    int fd;

    question.op = XN__DOM_OP__DOM_WATCH;
    fd = say(b, &question);
    tell = hear(fd, NULL);
    assert_int_equal(tell->xen, xen);
    assert_int_equal(tell->no_xen[0] != '\0', !xen);
    xn__dom_tell__free_unpacked(tell, NULL);
    return fd;
}

/* What the watch says next is its end. */
void ends(int watch_fd, Xn__TaskEnd end)
{
    Xn__DomTell *tell = hear(watch_fd, NULL);

    assert_int_equal(tell->n_tasks, 1);
    assert_string_equal(tell->tasks[0]->name, "a");
    assert_non_null(tell->tasks[0]->exit);
    assert_int_equal(tell->tasks[0]->exit->end, end);
    xn__dom_tell__free_unpacked(tell, NULL);
    close(watch_fd);
    assert_int_equal(fake_there(), 0);
}

/* Its keeper; 0: it has none now. */
pid_t keeper_of(struct bench *b)
{
    Xn__DomTell *tell = ask(b, XN__DOM_OP__DOM_STATUS, NULL);
    pid_t pid =
        tell->rc || tell->n_tasks == 0 ? 0 : (pid_t)tell->tasks[0]->keeper_pid;

    xn__dom_tell__free_unpacked(tell, NULL);
    return pid;
}

void await_keeper(struct bench *b, pid_t old)
{
    int i;

    for (i = 0; i < PATIENCE_MS / 20; i++) {
        pid_t pid = keeper_of(b);

        if (pid > 0 && pid != old) return;
        poll(NULL, 0, 20);
    }
    fail_msg("no other keeper came");
}

uint64_t cpu_ms(struct bench *b)
{
    Xn__DomTell *tell = ask(b, XN__DOM_OP__DOM_STATUS, NULL);
    uint64_t ms;

    assert_int_equal(tell->rc, 0);
    assert_true(tell->tasks[0]->reading->exact);
    ms = tell->tasks[0]->reading->cpu_ns / MS;
    xn__dom_tell__free_unpacked(tell, NULL);
    return ms;
}

/* ---- consoles ------------------------------------------------------------ */

void live_console_says(struct bench *b, const char *text)
{
    Xn__KeeperAsk question = XN__KEEPER_ASK__INIT;
    ProtobufCMessage *body = NULL;
    Xn__KeeperTell *part;
    Xn__DomTell *tell;
    int fd = -1;

    tell = ask(b, XN__DOM_OP__DOM_CONSOLE, &fd);
    assert_true(tell->live && fd >= 0);
    xn__dom_tell__free_unpacked(tell, NULL);
    question.op = XN__KEEPER_OP__CONSOLE;
    assert_int_equal(frame_send(fd, &question), 0);
    sys_unix_set_timeout(fd, PATIENCE_MS);
    assert_int_equal(frame_receive(fd, FRAME_TELL_MAX,
                                   &xn__keeper_tell__descriptor, &body, NULL),
                     0);
    part = (Xn__KeeperTell *)body;
    assert_int_equal(part->console.len, strlen(text));
    assert_memory_equal(part->console.data, text, strlen(text));
    protobuf_c_message_free_unpacked(body, NULL);
    close(fd);
}

void kept_console_says(struct bench *b, const char *text)
{
    struct console console;
    uint64_t from = 0;
    Xn__DomTell *tell;
    char data[256];
    int fd = -1;
    size_t n;

    tell = ask(b, XN__DOM_OP__DOM_CONSOLE, &fd);
    assert_true(!tell->live && fd >= 0);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(console_adopt(fd, &console), 0);
    assert_int_equal(console_read(&console, &from, data, sizeof data, &n), 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(data, text, n);
    console_close(&console);
}

void await_call(unsigned before)
{
    int i;

    for (i = 0; i < PATIENCE_MS / 20 && fake->calls == before; i++)
        poll(NULL, 0, 20);
    assert_int_not_equal(fake->calls, before);
}
