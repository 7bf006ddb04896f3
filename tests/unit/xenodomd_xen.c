/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodomd with domains, on a hypervisor that is made up: all that can be asked
 * of it, and what dies in between. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/spec.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"
#include "wire/console.h"
#include "wire/frame.h"

#define PATIENCE_MS 120000
#define MS 1000000ULL /* ns */

struct bench {
    char path[256], state[300], images[300], image[320], kernel[400];
    pid_t daemon;
    int dir;
};

/* ---- the daemon ---------------------------------------------------------- */

static void run_daemon(struct bench *b)
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

static void end_daemon(struct bench *b, int sig)
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

static int begin_test(void **state)
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

static int end_test(void **state)
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

static Xn__DomTell *hear(int fd, int *fd_out)
{
    ProtobufCMessage *body = NULL;

    assert_int_equal(frame_receive(fd, FRAME_TELL_MAX,
                                   &xn__dom_tell__descriptor, &body, fd_out),
                     0);
    return (Xn__DomTell *)body;
}

static int say(struct bench *b, const Xn__DomAsk *ask)
{
    int fd = sys_unix_connect(b->dir, "socket", PATIENCE_MS);

    assert_true(fd >= 0);
    assert_int_equal(frame_send(fd, ask), 0);
    return fd;
}

static Xn__DomTell *ask_with(struct bench *b, const Xn__DomAsk *ask,
                             int *fd_out)
{
    int fd = say(b, ask);
    Xn__DomTell *tell = hear(fd, fd_out);

    close(fd);
    return tell;
}

static Xn__DomTell *ask(struct bench *b, Xn__DomOp op, int *fd_out)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;

    question.op = op;
    if (op != XN__DOM_OP__DOM_LIST) question.name = (char *)"a";
    return ask_with(b, &question, fd_out);
}

static int asked(struct bench *b, Xn__DomOp op)
{
    Xn__DomTell *tell = ask(b, op, NULL);
    int rc = tell->rc;

    xn__dom_tell__free_unpacked(tell, NULL);
    return rc;
}

static int say_start(struct bench *b, Xn__TaskSpec *spec)
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

static Xn__DomTell *start_spec(struct bench *b, Xn__TaskSpec *spec)
{
    int fd = say_start(b, spec);
    Xn__DomTell *tell = hear(fd, NULL);

    close(fd);
    return tell;
}

static Xn__DomTell *start(struct bench *b, const char *image)
{
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;

    spec.name = (char *)"a";
    spec.image = (char *)(uintptr_t)image;
    return start_spec(b, &spec);
}

static void started(struct bench *b)
{
    Xn__DomTell *tell = start(b, b->image);

    if (tell->rc) fail_msg("%s", tell->because);
    assert_int_equal(tell->n_tasks, 1);
    assert_int_equal(tell->tasks[0]->state, XN__TASK_STATE__RUNNING);
    xn__dom_tell__free_unpacked(tell, NULL);
    assert_int_equal(fake_there(), 1);
}

static int watch(struct bench *b, bool xen)
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
static void ends(int watch_fd, Xn__TaskEnd end)
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
static pid_t keeper_of(struct bench *b)
{
    Xn__DomTell *tell = ask(b, XN__DOM_OP__DOM_STATUS, NULL);
    pid_t pid =
        tell->rc || tell->n_tasks == 0 ? 0 : (pid_t)tell->tasks[0]->keeper_pid;

    xn__dom_tell__free_unpacked(tell, NULL);
    return pid;
}

static void await_keeper(struct bench *b, pid_t old)
{
    int i;

    for (i = 0; i < PATIENCE_MS / 20; i++) {
        pid_t pid = keeper_of(b);

        if (pid > 0 && pid != old) return;
        poll(NULL, 0, 20);
    }
    fail_msg("no other keeper came");
}

static uint64_t cpu_ms(struct bench *b)
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

static void live_console_says(struct bench *b, const char *text)
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

static void kept_console_says(struct bench *b, const char *text)
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

static void await_call(unsigned before)
{
    int i;

    for (i = 0; i < PATIENCE_MS / 20 && fake->calls == before; i++)
        poll(NULL, 0, 20);
    assert_int_not_equal(fake->calls, before);
}

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

#define T(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

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
