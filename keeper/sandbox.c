/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "keeper/bwrap.h"
#include "keeper/filter.h"
#include "keeper/limits.h"
#include "keeper/sys.h"
#include "lib/err.h"

#define ARENA_MAX (1 << 20)
#define HIGH_FD 64     /* above what bwrap opens under a low limit of files */
#define BUILD_MS 60000 /* takes some 10 ms; a busy machine may take longer */

/* What the child needs beside the spec. */
struct launch {
    const Xn__TaskSpec *spec;
    char **argv;
    struct bwrap_fds fds;
    int terminal; /* the slave's side */
    int go;
    pid_t parent;
    bool limit_data;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int fail(char *because_out, size_t len, const char *what)
{
    snprintf(because_out, len, "%s: %s", what, strerror(errno));
    return XN_EIO;
}

static int open_terminal(struct sandbox *box, bool for_people, int *slave_out)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    struct termios mode;
    int slave;

    box->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (box->terminal < 0 || grantpt(box->terminal) ||
        unlockpt(box->terminal)) {
        return XN_EIO;
    }
    slave = ioctl(box->terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) return XN_EIO;
    ioctl(slave, TIOCSWINSZ, &size);
    if (!for_people && tcgetattr(slave, &mode) == 0) {
        mode.c_oflag &= ~(tcflag_t)ONLCR; /* the bytes that were written */
        mode.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(slave, TCSANOW, &mode);
    }
    *slave_out = slave;
    return 0;
}

static bool pass_files(const struct launch *launch)
{
    size_t i;

    for (i = 0; i < launch->spec->n_put; i++) {
        if (!sys_set_inherited(launch->fds.put[i], true)) return false;
    }
    return true;
}

static bool take_terminal(int fd)
{
    return setsid() >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0 && dup2(fd, 0) == 0 &&
           dup2(fd, 1) == 1 && dup2(fd, 2) == 2;
}

/* The child.  What goes wrong here is told on the terminal. */
static void run(const struct launch *launch)
{
    const struct bwrap_fds *fds = &launch->fds;
    uint8_t cpus;

    limits_reset_signals();
    if (read(launch->go, &cpus, 1) != 1) _exit(1); /* our keeper has died */
    if (!take_terminal(launch->terminal)) _exit(1);
    sys_set_oom(SYS_OOM_TASK);
    umask(022);
    if (!sys_set_inherited(fds->news, true) ||
        !sys_set_inherited(fds->gate, true) ||
        !sys_set_inherited(fds->filter, true) ||
        !sys_set_inherited(fds->passwd, true) ||
        !sys_set_inherited(fds->group, true) || !pass_files(launch) ||
        !limits_take(launch->spec, cpus, launch->limit_data)) {
        dprintf(2, "xeno-keeper: cannot give up privilege: %s\n",
                strerror(errno));
        _exit(1);
    }
    /* after become(), which would undo it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent) _exit(1);
    /* Whoever is inside can read the first process's environment. */
    execve(launch->argv[0], launch->argv, (char *[]){NULL});
    dprintf(2, "xeno-keeper: %s: %s\n", launch->argv[0], strerror(errno));
    _exit(1);
}

static void set_cgroups(struct sandbox *box, const Xn__TaskSpec *spec)
{
    struct cgroup *group = &box->group;

    cgroup_make(group);
    box->memory_by_cgroup = cgroup_limit_memory(group, spec->memory_bytes);
    /* bwrap itself is two */
    box->processes_by_cgroup =
        cgroup_limit_processes(group, spec->processes + 2);
    if (spec->cpu_ms_per_s) {
        box->cap_by_cgroup = cgroup_limit_cpu(group, spec->cpu_ms_per_s);
        cgroup_ease_cpu(group); /* what bwrap takes is not the task's */
    }
}

/* A limit that the child is not held to is none. */
static void see_cgroups(struct sandbox *box)
{
    const struct cgroup *group = &box->group;

    if (!cgroup_has(group, CGROUP_MEMORY)) box->memory_by_cgroup = false;
    if (!cgroup_has(group, CGROUP_PIDS)) box->processes_by_cgroup = false;
    if (!cgroup_has(group, CGROUP_CPU)) box->cap_by_cgroup = false;
}

/* Without an exact meter the cap is a share of time on that many CPUs. */
static uint8_t cpus_of(const struct sandbox *box, const Xn__TaskSpec *spec)
{
    if (!spec->cpu_ms_per_s || box->cap_by_cgroup ||
        meter_is_exact(&box->meter)) {
        return 0;
    }
    if (spec->cpu_ms_per_s > 250 * 1000) return 0; /* no machine to share */
    return (uint8_t)((spec->cpu_ms_per_s + 999) / 1000);
}

/* The files that the task gets, each in memory. */
static int open_put(struct launch *launch)
{
    const Xn__TaskSpec *spec = launch->spec;
    size_t i;

    for (i = 0; i < spec->n_put; i++) {
        int fd = sys_memory_file("put", spec->put[i]->data.data,
                                 spec->put[i]->data.len);

        if (fd < 0) return XN_EIO;
        launch->fds.put[i] = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
        close(fd);
        if (launch->fds.put[i] < 0) return XN_EIO;
    }
    return 0;
}

static int open_files(struct launch *launch)
{
    static const char passwd[] = "root:x:0:0::/:/usr/sbin/nologin\n"
                                 "task:x:1000:1000::" SANDBOX_HOME ":/bin/sh\n";
    static const char group[] = "root:x:0:\ntask:x:1000:\n";

    launch->fds.passwd = sys_memory_file("passwd", passwd, sizeof passwd - 1);
    launch->fds.group = sys_memory_file("group", group, sizeof group - 1);
    launch->fds.filter = sys_memory_file("filter", "", 0);
    return launch->fds.passwd < 0 || launch->fds.group < 0 ||
                   launch->fds.filter < 0
               ? XN_EIO
               : 0;
}

static int open_pipes(struct sandbox *box, struct launch *launch)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC)) return XN_EIO;
    box->news = pair[0];
    launch->fds.news = pair[1];
    if (pipe2(pair, O_CLOEXEC)) return XN_EIO;
    launch->fds.gate = pair[0];
    box->gate = pair[1];
    if (pipe2(pair, O_CLOEXEC)) return XN_EIO;
    launch->go = pair[0];
    box->go = pair[1];
    return 0;
}

static void close_launch(struct launch *launch)
{
    size_t i;

    for (i = 0; i < SPEC_PUT_MAX; i++)
        close_fd(&launch->fds.put[i]);
    close_fd(&launch->terminal);
    close_fd(&launch->go);
    close_fd(&launch->fds.news);
    close_fd(&launch->fds.gate);
    close_fd(&launch->fds.filter);
    close_fd(&launch->fds.passwd);
    close_fd(&launch->fds.group);
}

static int start_child(struct sandbox *box, struct launch *launch)
{
    launch->parent = getpid();
    box->monitor = cgroup_fork(&box->group);
    see_cgroups(box);
    launch->limit_data = !box->memory_by_cgroup;
    if (box->monitor == 0) run(launch);
    if (box->monitor < 0) return XN_EIO;
    cgroup_open(&box->group, &box->files);
    meter_open(&box->meter, launch->spec->meter, &box->files, box->monitor);
    return 0;
}

int sandbox_prepare(struct sandbox *box, const Xn__TaskSpec *spec,
                    const char *bwrap, char *because_out, size_t len)
{
    struct launch launch = {.spec = spec,
                            .terminal = -1,
                            .go = -1,
                            .fds = {-1, -1, -1, -1, -1, {0}}};
    struct xn_arena arena;
    size_t i;
    int rc;

    box->init_fd = box->terminal = box->news = box->gate = box->go = -1;
    box->meter.perf = -1;
    box->files = CGROUP_NO_FILES;
    for (i = 0; i < SPEC_PUT_MAX; i++)
        launch.fds.put[i] = -1;
    xn_arena_init(&arena, ARENA_MAX);
    set_cgroups(box, spec);
    rc = open_terminal(box, spec->terminal, &launch.terminal);
    if (rc) {
        fail(because_out, len, "a terminal");
        goto out;
    }
    rc = open_pipes(box, &launch);
    if (!rc) rc = open_files(&launch);
    if (!rc) rc = open_put(&launch);
    if (!rc) {
        rc = bwrap_words(spec, bwrap, &launch.fds, &arena, &launch.argv);
    }
    if (!rc) rc = start_child(box, &launch);
    /* Which meter there is decides on the filter, and a meter wants a child. */
    box->cpus = cpus_of(box, spec);
    if (!rc) {
        rc = filter_write(box->cpus > 0, !box->memory_by_cgroup,
                          launch.fds.filter);
    }
    if (rc) fail(because_out, len, spec->image[0] ? spec->image : "a child");
out:
    close_launch(&launch);
    xn_arena_clear(&arena);
    return rc;
}

/* The number behind "child-pid"; 0: not all of it is there yet. */
static pid_t read_child(const char *text)
{
    static const char key[] = "\"child-pid\":";
    const char *at = strstr(text, key);

    if (!at || !strchr(at, '}')) return 0;
    return (pid_t)strtol(at + sizeof key - 1, NULL, 10);
}

static int await_news(struct sandbox *box)
{
    struct pollfd wait = {.fd = box->news, .events = POLLIN};
    char text[1024] = "";
    size_t have = 0;
    ssize_t n;

    while (!box->init) {
        if (poll(&wait, 1, BUILD_MS) <= 0) return XN_ETIMEOUT;
        n = read(box->news, text + have, sizeof text - 1 - have);
        if (n <= 0) return XN_EREFUSED;
        have += (size_t)n;
        text[have] = '\0';
        box->init = read_child(text);
    }
    return box->init > 1 ? 0 : XN_EREFUSED;
}

/* Set inside the sandbox: before, all processes of this user would count.  The
 * limit of another user's process is changed from within its user namespace,
 * where no privilege outside is needed. */
static bool limit_processes(const struct sandbox *box, rlim_t n)
{
    struct rlimit both = {n, n};
    pid_t pid;
    int status;

    if (prlimit(box->init, RLIMIT_NPROC, &both, NULL) == 0) return true;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0);
        _exit(setns(box->init_fd, CLONE_NEWUSER) ||
              prlimit(box->init, RLIMIT_NPROC, &both, NULL));
    }
    status = pid > 0 ? sys_wait(pid) : -1;
    return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* bwrap's first process waits at the gate once it has mounted all. */
static int hold_init(struct sandbox *box, const Xn__TaskSpec *spec)
{
    box->init_fd = (int)syscall(SYS_pidfd_open, box->init, 0);
    if (box->init_fd < 0) return XN_EREFUSED;
    return limit_processes(box, spec->processes + 2) ? 0 : XN_EREFUSED;
}

int sandbox_build(struct sandbox *box, const Xn__TaskSpec *spec,
                  char *because_out, size_t len)
{
    uint8_t cpus = box->cpus;
    int rc;

    if (sys_write_all(box->go, &cpus, 1)) {
        return fail(because_out, len, "the child");
    }
    close_fd(&box->go);
    rc = await_news(box);
    if (!rc) rc = hold_init(box, spec);
    if (!rc) return 0;
    snprintf(because_out, len,
             rc == XN_ETIMEOUT ? "bwrap has not made a sandbox in a minute"
                               : "bwrap could not make the sandbox");
    return XN_EREFUSED;
}

int sandbox_begin(struct sandbox *box, const Xn__TaskSpec *spec,
                  uint64_t mono_us)
{
    if (box->cap_by_cgroup &&
        !cgroup_limit_cpu(&box->group, spec->cpu_ms_per_s)) {
        return XN_EIO;
    }
    meter_start(&box->meter, box->init, spec->cpu_ms_per_s, mono_us);
    if (sys_write_all(box->gate, "g", 1)) return XN_EIO;
    close_fd(&box->gate);
    return 0;
}

void sandbox_kill(struct sandbox *box)
{
    /* With its first process a pid namespace ends whole. */
    if (box->init_fd >= 0) {
        syscall(SYS_pidfd_send_signal, box->init_fd, SIGKILL, NULL, 0);
    }
    if (box->monitor > 0) kill(box->monitor, SIGKILL);
}

void sandbox_await(struct sandbox *box)
{
    struct pollfd wait = {.fd = box->init_fd, .events = POLLIN};

    if (box->monitor > 0) sys_wait(box->monitor);
    box->monitor = 0;
    while (box->init_fd >= 0 && poll(&wait, 1, -1) < 0 && errno == EINTR) {}
}

void sandbox_clear(struct sandbox *box)
{
    int i;

    meter_close(&box->meter);
    cgroup_close(&box->files);
    close_fd(&box->init_fd);
    close_fd(&box->terminal);
    close_fd(&box->news);
    close_fd(&box->gate);
    close_fd(&box->go);
    for (i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup_has(&box->group, i)) cgroup_remove(box->group.path[i]);
    }
}

static const char *what_to_try(void)
{
    uint64_t n;

    if (sys_read_number("/proc/sys/user/max_user_namespaces", "", &n) == 0 &&
        n == 0) {
        return "sysctl -w user.max_user_namespaces=10000";
    }
    if (sys_read_number("/proc/sys/kernel/unprivileged_userns_clone", "", &n) ==
            0 &&
        n == 0) {
        return "sysctl -w kernel.unprivileged_userns_clone=1";
    }
    if (sys_read_number(
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "", &n) ==
            0 &&
        n == 1) {
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or "
               "an AppArmor profile that lets bwrap";
    }
    return "not inside a chroot or a container that forbids user namespaces";
}

int sandbox_check(char *because_out, size_t len, const char **try_out)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) ? errno : 0);
    }
    status = pid > 0 ? sys_wait(pid) : -1;
    if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    snprintf(because_out, len, "this machine gives this user no namespaces: %s",
             status >= 0 && WIFEXITED(status) ? strerror(WEXITSTATUS(status))
                                              : "the trial ended");
    *try_out = what_to_try();
    return XN_EPERM;
}
