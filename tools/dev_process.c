/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tools/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"

enum { READY_MAX = 512, ARGS_MAX = 256 };

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Start time of a process in clock ticks (field 22 of its stat), 0 where it is
 * gone or a zombie.  One whose first thread has ended looks like a zombie while
 * others hold its ports still: then field 20 counts them. */
static uint64_t start_time(pid_t pid)
{
    char path[64], text[1024], *p;
    uint64_t ticks = 0;
    long threads;
    size_t len;
    FILE *file;
    char state;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file) return 0;
    len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    p = strrchr(text, ')'); /* the name may hold anything */
    if (!p) return 0;
    if (sscanf(p + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %ld %*d %" SCNu64,
               &state, &threads, &ticks) != 3 ||
        (state == 'Z' && threads <= 1)) {
        return 0;
    }
    return ticks;
}

bool dev_alive(const struct dev_process *process)
{
    /* 0: it had ended before it could be looked at. */
    return process->pid > 0 && process->started > 0 &&
           start_time(process->pid) == process->started;
}

void dev_signal(const struct dev_process *process, int sig)
{
    if (dev_alive(process)) kill(process->pid, sig);
}

void dev_reap(struct dev_process **processes, size_t n, unsigned timeout_ms)
{
    uint64_t deadline = now_ms() + timeout_ms;
    bool killed = false;
    size_t i, left;

    for (;;) {
        for (i = left = 0; i < n; i++) {
            if (processes[i]->pid > 0)
                waitpid(processes[i]->pid, NULL, WNOHANG);
            left += dev_alive(processes[i]);
        }
        if (left == 0) return;
        if (!killed && now_ms() >= deadline) {
            for (i = 0; i < n; i++)
                dev_signal(processes[i], SIGKILL);
            killed = true;
        }
        poll(NULL, 0, 20);
    }
}

/* ---- starting ---- */

void dev_program(const char *folder, const char *name, char out[DEV_PATH_MAX])
{
    char self[DEV_PATH_MAX - 128], *slash;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    if (strchr(name, '/')) {
        snprintf(out, DEV_PATH_MAX, "%s", name);
        return;
    }
    self[len > 0 ? len : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    snprintf(out, DEV_PATH_MAX, "%s/%s", self, name);
    if (access(out, X_OK) == 0) return;
    snprintf(out, DEV_PATH_MAX, "%s/../%s/%s", self, folder, name);
    if (access(out, X_OK) == 0) return;
    snprintf(out, DEV_PATH_MAX, "%s/../sbin/%s", self, name);
    if (access(out, X_OK) == 0) return;
    snprintf(out, DEV_PATH_MAX, "%s", name); /* execvp looks in PATH */
}

/* Becomes the program once it is let go; whoever dies before that has not noted
 * that we are there. */
static void run_child(const char *path, char **argv, int log_fd, int ready_fd)
{
    int null = open("/dev/null", O_RDONLY);
    char go;

    setsid();
    if (read(ready_fd, &go, 1) != 1) _exit(127);
    dup2(null, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execvp(path, argv);
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

int dev_spawn(const char *folder, char *const *argv, const char *log_path,
              struct dev_process *process, int *ready_fd_out)
{
    char path[DEV_PATH_MAX], ready[16], *args[ARGS_MAX];
    int fds[2] = {-1, -1}, log_fd = -1, rc = XN_EIO;
    size_t n = 0;
    pid_t pid;

    while (argv[n] && n < ARGS_MAX - 3) {
        args[n] = argv[n];
        n++;
    }
    dev_program(folder, argv[0], path);
    log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        goto out;
    /* The child's end must survive exec; the parent's must not. */
    fcntl(fds[1], F_SETFD, 0);
    snprintf(ready, sizeof ready, "%d", fds[1]);
    args[n++] = (char *)(uintptr_t) "--ready-fd";
    args[n++] = ready;
    args[n] = NULL;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_child(path, args, log_fd, fds[1]);
    }
    if (pid < 0) goto out;
    process->pid = pid;
    process->started = start_time(pid);
    *ready_fd_out = fds[0];
    fds[0] = -1;
    rc = 0;
out:
    if (rc) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EIO, NULL, "cannot start a program",
                     "xenodev down", "%s: %s", path, strerror(errno));
    }
    if (fds[0] >= 0) close(fds[0]);
    if (fds[1] >= 0) close(fds[1]);
    if (log_fd >= 0) close(log_fd);
    return rc;
}

void dev_go(int ready_fd)
{
    /* Gone already? Then dev_wait_ready finds that. */
    (void)!send(ready_fd, "", 1, MSG_NOSIGNAL);
}

static int run_with(char *const *argv, int out)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        if (out >= 0) {
            dup2(out, STDOUT_FILENO);
            dup2(out, STDERR_FILENO);
        }
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status) return XN_EIO;
    return 0;
}

int dev_run(char *const *argv)
{
    return run_with(argv, -1);
}

int dev_run_to(char *const *argv, const char *path)
{
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

    if (out < 0) return XN_EIO;
    rc = run_with(argv, out);
    close(out);
    return rc;
}

/* The log's last lines: the only explanation that a user will get. */
static void show_log(const char *log_path)
{
    char text[2048];
    FILE *file = fopen(log_path, "re");
    size_t len;

    if (!file) return;
    if (fseek(file, -(long)sizeof text + 1, SEEK_END)) rewind(file);
    len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    fprintf(stderr, "--- %s ends with:\n%s", log_path, text);
}

static int read_line(int fd, char *line, size_t max, uint64_t deadline)
{
    size_t len = 0;

    while (len + 1 < max) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        uint64_t now = now_ms();
        ssize_t got;

        if (dev_interrupted()) return XN_ECANCELLED;
        if (now >= deadline) return XN_ETIMEOUT;
        /* In slices: a signal may come right before the wait. */
        if (poll(&pfd, 1, 100) <= 0) continue;
        got = read(fd, line + len, max - 1 - len);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        len += (size_t)got;
        if (memchr(line, '\n', len)) break;
    }
    line[len] = '\0';
    return strncmp(line, "ready ", 6) == 0 ? 0 : XN_EIO;
}

static int port_after(const char *line, const char *key)
{
    const char *p = strstr(line, key), *colon;

    if (!p) return 0;
    p += strlen(key);
    colon = p + strcspn(p, " \n");
    while (colon > p && *colon != ':')
        colon--;
    return *colon == ':' ? atoi(colon + 1) : 0;
}

int dev_wait_ready(struct dev_process *process, int ready_fd,
                   const char *log_path, unsigned timeout_ms)
{
    char line[READY_MAX];
    const char *id;
    int rc = read_line(ready_fd, line, sizeof line, now_ms() + timeout_ms);

    close(ready_fd);
    if (rc == XN_ECANCELLED) return rc;
    if (rc) {
        xn_gripe_rcf(DEV_PROGRAM, rc, NULL, "a program did not become ready",
                     "xenodev down, then read the log", "%s",
                     rc == XN_ETIMEOUT ? "it said nothing in time"
                                       : "it ended");
        show_log(log_path);
        return rc;
    }
    id = strstr(line, " id=");
    if (id) snprintf(process->id, sizeof process->id, "%.64s", id + 4);
    process->port_api = port_after(line, " api=");
    process->port_links = port_after(line, " links=");
    return 0;
}
