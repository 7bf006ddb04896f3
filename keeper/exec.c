/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two processes: the command, and one outside its pid namespace that carries what
 * it reads and writes, ends it, and says how it ended.  Both are of the task's
 * user, namespaces, groups and filter, so that neither could do more than the task
 * itself, and what both use is the task's. */
#include "keeper/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/filter.h"
#include "keeper/limits.h"
#include "keeper/sys.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "wire/api.pb-c.h"
#include "wire/stream.h"

enum {
    FILTER_MAX = 4096,  /* instructions, as the kernel has it */
    CAPABILITIES = 64,  /* more than there are */
    IN_MAX = 64 << 10,  /* bytes of its input that wait */
    OUT_MAX = 64 << 10, /* of its output: then it is not read */
    PART = 16 << 10,
    ASIDE = 200, /* above what we have open, as a rule */
};

struct exec {
    const struct sandbox *box;
    const Xn__TaskSpec *spec;
    char **argv, **env;
    int go, link; /* our end of the socket */
    pid_t pid;
    int in, out, err, ended; /* pipes; a pidfd */
    struct xn_buf taken, said;
    size_t left;   /* bytes of the frame under way, for its input */
    bool deaf;     /* it reads no more */
    bool all_said; /* the other end has */
    bool over;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* ---- the way in ---------------------------------------------------------- */

static void secure(void)
{
    prctl(PR_SET_DUMPABLE, 0); /* nobody inside may look at us */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* What bwrap does to a task. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

    for (unsigned long i = 0; i < CAPABILITIES; i++) {
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) && errno != EINVAL) return false;
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           syscall(SYS_capset, &head, none) == 0;
}

/* The filter of its task, read before we are where no such file can be made. */
static bool read_filter(const struct sandbox *box, struct sock_fprog *out)
{
    int fd = sys_memory_file("filter", "", 0);
    struct stat is;
    bool ok;

    ok = fd >= 0 &&
         filter_write(box->cpus > 0, !box->memory_by_cgroup, fd) == 0 &&
         fstat(fd, &is) == 0 &&
         is.st_size <= (off_t)(FILTER_MAX * sizeof *out->filter);
    out->filter = ok ? malloc((size_t)is.st_size) : NULL;
    ok = out->filter && read(fd, out->filter, (size_t)is.st_size) == is.st_size;
    if (ok)
        out->len = (unsigned short)(is.st_size / (off_t)sizeof *out->filter);
    close_fd(&fd);
    return ok;
}

static bool enter(const struct exec *e, int init)
{
    const struct sandbox *box = e->box;
    struct rlimit processes = {e->spec->processes + 2, e->spec->processes + 2};
    struct sock_fprog filter;

    if (!read_filter(box, &filter) ||
        !limits_take(e->spec, box->cpus, !box->memory_by_cgroup))
        return false;
    secure();
    if (setns(init, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                        CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))
        return false;
    secure(); /* entering has undone it */
    return chdir(SANDBOX_HOME) == 0 &&
           setrlimit(RLIMIT_NPROC, &processes) == 0 && drop_capabilities() &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

/* ---- the command --------------------------------------------------------- */

static void run(const struct exec *e, const int fds[3])
{
    pid_t pid = getppid();

    setsid();
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    close_range(3, ~0U, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != pid) _exit(EXEC_NOT_ENTERED);
    execve(e->argv[0], e->argv, e->env);
    dprintf(2, "xeno-keeper: %s: %s\n", e->argv[0], strerror(errno));
    _exit(errno == ENOENT ? EXEC_NOT_FOUND : EXEC_NOT_RUN);
}

static bool start(struct exec *e)
{
    int in[2], out[2], err[2];

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        return false;
    e->pid = fork();
    if (e->pid == 0) run(e, (int[3]){in[0], out[1], err[1]});
    close(in[0]);
    close(out[1]);
    close(err[1]);
    e->in = in[1];
    e->out = out[0];
    e->err = err[0];
    fcntl(e->in, F_SETFL, O_NONBLOCK);
    fcntl(e->out, F_SETFL, O_NONBLOCK);
    fcntl(e->err, F_SETFL, O_NONBLOCK);
    if (e->pid > 0) e->ended = (int)syscall(SYS_pidfd_open, e->pid, 0);
    return e->pid > 0 && e->ended >= 0;
}

/* ---- what it says -------------------------------------------------------- */

static void say(struct exec *e, enum stream_kind kind, const void *data,
                size_t len)
{
    uint8_t head[STREAM_HEAD];

    stream_head_put(kind, len, head);
    xn_buf_add(&e->said, head, sizeof head);
    xn_buf_add(&e->said, data, len);
    if (xn_buf_rc(&e->said)) e->over = true;
}

static void say_over(struct exec *e, int code)
{
    Xn__StreamOver over = XN__STREAM_OVER__INIT;
    uint8_t data[32];

    over.exited = true;
    over.code = code;
    say(e, STREAM_OVER, data, xn__stream_over__pack(&over, data));
}

/* At most `most` bytes; how many there were. */
static size_t hear(struct exec *e, int *fd, enum stream_kind kind, size_t most)
{
    uint8_t data[PART];
    ssize_t n = *fd < 0 || !most
                    ? 0
                    : read(*fd, data, most < sizeof data ? most : sizeof data);

    if (n > 0) say(e, kind, data, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_fd(fd);
    return n > 0 ? (size_t)n : 0;
}

static void flush(struct exec *e)
{
    ssize_t n = 0;

    if (e->said.len)
        n = send(e->link, e->said.data, e->said.len,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) xn_buf_drop(&e->said, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) e->over = true;
}

/* ---- what it is told ----------------------------------------------------- */

static void listen_up(struct exec *e)
{
    uint8_t data[PART];
    ssize_t n = recv(e->link, data, sizeof data, MSG_DONTWAIT);

    if (n > 0) xn_buf_add(&e->taken, data, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) e->over = true;
    if (xn_buf_rc(&e->taken)) e->over = true;
}

/* Part of a frame's bytes to its input; false: it takes none now. */
static bool pass_some(struct exec *e)
{
    size_t len = e->left < e->taken.len ? e->left : e->taken.len;
    ssize_t n = (ssize_t)len;

    if (!len) return false;
    if (!e->deaf) n = write(e->in, e->taken.data, len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n < 0) { /* it has closed it, or ended */
        e->deaf = true;
        close_fd(&e->in);
        return true;
    }
    xn_buf_drop(&e->taken, (size_t)n);
    e->left -= (size_t)n;
    return true;
}

static bool next_frame(struct exec *e)
{
    struct stream_head head;

    if (e->taken.len < STREAM_HEAD) return false;
    if (stream_head_parse(e->taken.data, &head) || e->all_said ||
        (head.kind != STREAM_DATA && head.kind != STREAM_END)) {
        e->over = true;
        return false;
    }
    xn_buf_drop(&e->taken, STREAM_HEAD);
    e->left = head.len;
    if (head.kind == STREAM_END) {
        e->all_said = e->deaf = true;
        close_fd(&e->in);
    }
    return true;
}

static void pass_on(struct exec *e)
{
    bool more = true;

    while (more && !e->over)
        more = e->left ? pass_some(e) : next_frame(e);
}

/* ---- until both have ended ----------------------------------------------- */

static void turn(struct exec *e)
{
    bool hears = e->said.len < OUT_MAX;
    struct pollfd polls[] = {
        {e->link,
         (short)((e->taken.len < IN_MAX ? POLLIN : 0) |
                 (e->said.len ? POLLOUT : 0)),
         0},
        {e->left && e->taken.len && !e->deaf ? e->in : -1, POLLOUT, 0},
        {hears ? e->out : -1, POLLIN, 0},
        {hears ? e->err : -1, POLLIN, 0},
        {e->ended, POLLIN, 0},
    };

    if (poll(polls, sizeof polls / sizeof *polls, -1) < 0) return;
    if (polls[0].revents & (POLLIN | POLLHUP | POLLERR) &&
        e->taken.len < IN_MAX)
        listen_up(e);
    if (polls[0].revents & (POLLHUP | POLLERR)) e->over = true;
    pass_on(e);
    if (polls[2].revents) hear(e, &e->out, STREAM_DATA, PART);
    if (polls[3].revents) hear(e, &e->err, STREAM_ERR, PART);
    if (polls[4].revents) close_fd(&e->ended);
    flush(e);
}

static size_t waiting(int fd)
{
    int n = 0;

    return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 ? (size_t)n : 0;
}

/* What was written before it ended is said, however long that takes; who has its
 * output still, in the background, is not waited for, nor heard. */
static void finish(struct exec *e, int code)
{
    struct pollfd room = {.fd = e->link, .events = POLLOUT};
    size_t out = waiting(e->out), err = waiting(e->err), n;
    bool more = true;

    while (!e->over && (more || e->said.len)) {
        if (more) {
            out -= n = hear(e, &e->out, STREAM_DATA, out);
            more = n > 0;
            err -= n = hear(e, &e->err, STREAM_ERR, err);
            more = more || n > 0;
            if (!more) say_over(e, code);
        }
        if (poll(&room, 1, -1) < 0 && errno != EINTR) e->over = true;
        flush(e);
    }
}

static void carry(struct exec *e)
{
    int status = 0;

    while (!e->over && e->ended >= 0)
        turn(e);
    if (e->over) kill(-e->pid, SIGKILL);
    if (e->over) kill(e->pid, SIGKILL); /* it may lead no group yet */
    while (waitpid(e->pid, &status, 0) < 0 && errno == EINTR) {}
    finish(e, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Nothing of the keeper's is taken along, its lock above all. */
static bool let_go(struct exec *e, int *init)
{
    int *const kept[] = {&e->go, &e->link, init};

    for (int i = 0; i < 3; i++)
        *kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, ASIDE);
    close_range(3, ASIDE - 1, 0);
    for (int i = 0; i < 3; i++) {
        if (*kept[i] < 0 || dup2(*kept[i], 3 + i) < 0) return false;
        *kept[i] = 3 + i;
    }
    return close_range(6, ~0U, 0) == 0;
}

static void say_why_not(struct exec *e, const char *why)
{
    static const char what[] = "xeno-keeper: the sandbox cannot be entered: ";

    say(e, STREAM_ERR, what, sizeof what - 1);
    say(e, STREAM_ERR, why, strlen(why));
    say(e, STREAM_ERR, "\n", 1);
    finish(e, EXEC_NOT_ENTERED);
}

/* The child.  What goes wrong here is told as the command's own word. */
static void be(struct exec *e, bool held)
{
    int init = e->box->init_fd;
    char byte;

    limits_reset_signals();
    signal(SIGPIPE, SIG_IGN);
    xn_buf_init(&e->taken, IN_MAX + PART);
    xn_buf_init(&e->said, 0);
    if (!let_go(e, &init) || read(e->go, &byte, 1) != 1)
        _exit(1); /* it is not wanted */
    sys_set_oom(SYS_OOM_TASK);
    umask(022);
    if (!held)
        say_why_not(e, "its control groups do not take it");
    else if (enter(e, init) && start(e))
        carry(e);
    else
        say_why_not(e, strerror(errno));
    _exit(0);
}

/* ---- begin --------------------------------------------------------------- */

/* In the place of the one of its name, where there is one. */
static void put_variable(char **env, char *word)
{
    size_t n = strcspn(word, "=") + 1, i = 0;

    while (env[i] && strncmp(env[i], word, n) != 0)
        i++;
    env[i] = word;
}

/* As bwrap sets it. */
static char **environment(const Xn__TaskSpec *spec)
{
    static const char *const own[] = {("HOME=" SANDBOX_HOME),
                                      "PATH=/usr/local/bin:/usr/bin:/bin",
                                      "LANG=C.UTF-8"};
    size_t n = sizeof own / sizeof *own;
    char **env = calloc(n + spec->n_env + 1, sizeof *env);

    for (size_t i = 0; env && i < n + spec->n_env; i++)
        put_variable(env, i < n ? (char *)(uintptr_t)own[i] : spec->env[i - n]);
    return env;
}

static char **copy(char *const *argv, size_t n)
{
    char **out = calloc(n + 1, sizeof *out);

    if (out) memcpy(out, argv, n * sizeof *out);
    return out;
}

/* Nobody waits for the child: it is held as the task is, and where that leaves
 * nothing of its CPU time it comes as late as its others do. */
int exec_begin(struct sandbox *box, const Xn__TaskSpec *spec, char *const *argv,
               size_t n_argv, pid_t *pid_out, int *fd_out)
{
    struct exec e = {.box = box, .spec = spec, .in = -1, .out = -1, .err = -1};
    int ends[2] = {-1, -1}, go[2] = {-1, -1}, rc = XN_ENOMEM;
    bool held;

    *pid_out = 0;
    e.argv = copy(argv, n_argv);
    e.env = environment(spec);
    if (!e.argv || !e.env || pipe2(go, O_CLOEXEC) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        goto out;
    e.go = go[0];
    e.link = ends[1];
    *pid_out = cgroup_join(&box->group, &held);
    if (*pid_out == 0) {
        close(go[1]);
        close(ends[0]);
        be(&e, held);
    }
    if (*pid_out < 0) {
        *pid_out = 0;
        goto out;
    }
    rc = XN_EREFUSED;
    if (meter_join(&box->meter, *pid_out))
        rc = sys_write_all(go[1], "g", 1) ? XN_EIO : 0;
    if (!rc) {
        *fd_out = ends[0];
        ends[0] = -1;
    }
out:
    close_fd(&go[0]);
    close_fd(&go[1]);
    close_fd(&ends[0]);
    close_fd(&ends[1]);
    free(e.argv);
    free(e.env);
    return rc;
}
