/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two processes: the command, and one outside its pid namespace that carries what
 * it reads and writes, ends it, and says how it ended.  Both are of the task's
 * user, namespaces, groups and filter, so that neither could do more than the task
 * itself, and what both use is the task's. */
#include "keeper/exec_in.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/filter.h"
#include "keeper/limits.h"
#include "keeper/sys.h"
#include "lib/err.h"

enum {
    FILTER_MAX = 4096, /* instructions, as the kernel has it */
    CAPABILITIES = 64, /* more than there are */
    ASIDE = 200,       /* above what we have open, as a rule */
};

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
    exec_close(&fd);
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

/* The child.  What goes wrong here is told as the command's own word. */
static void be(struct exec *e, bool held)
{
    int init = e->box->init_fd;
    char byte;

    limits_reset_signals();
    signal(SIGPIPE, SIG_IGN);
    xn_buf_init(&e->taken, EXEC_IN_MAX + EXEC_PART);
    xn_buf_init(&e->said, 0);
    if (!let_go(e, &init) || read(e->go, &byte, 1) != 1)
        _exit(1); /* it is not wanted */
    sys_set_oom(SYS_OOM_TASK);
    umask(022);
    if (!held)
        exec_say_why_not(e, "its control groups do not take it");
    else if (enter(e, init) && exec_start(e))
        exec_carry(e);
    else
        exec_say_why_not(e, strerror(errno));
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

/* As bwrap sets it; what a terminal is its owner knows. */
static char **environment(struct exec *e)
{
    const Xn__TaskSpec *spec = e->spec;
    static const char *const own[] = {("HOME=" SANDBOX_HOME),
                                      "PATH=/usr/local/bin:/usr/bin:/bin",
                                      "LANG=C.UTF-8"};
    size_t n = sizeof own / sizeof *own;
    char **env = calloc(n + spec->n_env + 2, sizeof *env);

    for (size_t i = 0; env && i < n + spec->n_env; i++)
        put_variable(env, i < n ? (char *)(uintptr_t)own[i] : spec->env[i - n]);
    if (env && e->terminal && e->terminal->type[0]) {
        snprintf(e->term, sizeof e->term, "TERM=%s", e->terminal->type);
        put_variable(env, e->term);
    }
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
int exec_begin(struct sandbox *box, const Xn__TaskSpec *spec,
               const Xn__KeeperAsk *what, pid_t *pid_out, int *fd_out)
{
    struct exec e = {.box = box,
                     .spec = spec,
                     .terminal = what->terminal,
                     .in = -1,
                     .out = -1,
                     .err = -1};
    int ends[2] = {-1, -1}, go[2] = {-1, -1}, rc = XN_ENOMEM;
    bool held;

    *pid_out = 0;
    e.argv = copy(what->argv, what->n_argv);
    e.env = environment(&e);
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
    exec_close(&go[0]);
    exec_close(&go[1]);
    exec_close(&ends[0]);
    exec_close(&ends[1]);
    free(e.argv);
    free(e.env);
    return rc;
}
