/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"

static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t sys_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t sys_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int sys_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    ssize_t n;

    while (len > 0) {
        n = write(fd, at, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return XN_EIO;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int sys_pwrite_all(int fd, const void *data, size_t len, uint64_t at)
{
    const uint8_t *from = data;
    ssize_t n;

    while (len > 0) {
        n = pwrite(fd, from, len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return XN_EIO;
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t sys_read_text(int dir, const char *path, char *text_out, size_t len)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    ssize_t n = -1;

    if (fd < 0) return -1;
    while (have < len - 1) {
        n = read(fd, text_out + have, len - 1 - have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        have += (size_t)n;
    }
    close(fd);
    if (n < 0) return -1;
    if (have > 0 && text_out[have - 1] == '\n') have--;
    text_out[have] = '\0';
    return (ssize_t)have;
}

void sys_boot_id(char out[SYS_BOOT_ID])
{
    if (sys_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out,
                      SYS_BOOT_ID) < 0)
        out[0] = '\0';
}

int sys_write_text(int dir, const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    int rc, saved;

    if (fd < 0) return XN_EIO;
    rc = sys_write_all(fd, text, strlen(text));
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int find_number(const char *text, const char *key, uint64_t *out)
{
    const char *line;
    size_t n = strlen(key);
    char *end;

    for (line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) != 0) continue;
        *out = strtoull(line + n, &end, 10);
        if (end != line + n) return 0;
    }
    return XN_ENOENT;
}

int sys_read_number(const char *path, const char *key, uint64_t *out)
{
    char text[8192];

    if (sys_read_text(AT_FDCWD, path, text, sizeof text) <= 0) {
        return XN_ENOENT;
    }
    return find_number(text, key, out);
}

int sys_reread_number(int fd, const char *key, uint64_t *out)
{
    char text[4096];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n <= 0) return XN_ENOENT;
    text[n] = '\0';
    return find_number(text, key, out);
}

int sys_memory_file(const char *name, const void *data, size_t len)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0) return -1;
    if (sys_write_all(fd, data, len) || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool sys_set_inherited(int fd, bool inherited)
{
    return fcntl(fd, F_SETFD, inherited ? 0 : FD_CLOEXEC) == 0;
}

/* Through /proc, since a socket's path has 107 bytes at most. */
static void address(int dir, const char *name, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", dir,
             name);
}

static int give_up(int fd)
{
    int saved = errno;

    if (fd >= 0) close(fd);
    errno = saved;
    return -1;
}

int sys_unix_listen(int dir, const char *name)
{
    struct sockaddr_un at;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) return -1;
    address(dir, name, &at);
    unlinkat(dir, name, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 64)) {
        return give_up(fd);
    }
    return fd;
}

void sys_unix_set_timeout(int fd, unsigned timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = timeout_ms % 1000 * 1000};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

int sys_unix_connect(int dir, const char *name, unsigned timeout_ms)
{
    struct sockaddr_un at;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -1;
    address(dir, name, &at);
    sys_unix_set_timeout(fd, timeout_ms);
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) return give_up(fd);
    return fd;
}

ssize_t sys_send(int fd, const void *data, size_t len, int passes)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec part = {(void *)(uintptr_t)data, len};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

    if (passes >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &passes, sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

int sys_pass_fd(int fd, int passes)
{
    return sys_send(fd, "", 1, passes) == 1 ? 0 : XN_EIO;
}

int sys_take_fd(int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    const struct cmsghdr *head;
    int passed = -1;

    if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) != 1) return -1;
    head = CMSG_FIRSTHDR(&msg);
    if (head && head->cmsg_level == SOL_SOCKET &&
        head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(&passed, CMSG_DATA(head), sizeof passed);
    }
    return passed;
}

int sys_lock(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) return give_up(fd);
    return fd;
}

bool sys_is_locked(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool locked;

    if (fd < 0) return false;
    locked = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

int sys_wait(pid_t pid)
{
    int status;
    pid_t got;

    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    return got == pid ? status : -1;
}

void sys_lose_precedence(void)
{
    const struct sched_param none = {0};
    int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;

    if (policy == SCHED_FIFO || policy == SCHED_RR)
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
}

#define OOM_MOST 1000

void sys_set_oom(int adjust)
{
    char text[16];
    int now;

    if (adjust >= 0 && sys_read_text(AT_FDCWD, "/proc/self/oom_score_adj", text,
                                     sizeof text) > 0) {
        now = atoi(text);
        if (now >= adjust) adjust = now < OOM_MOST ? now + 1 : OOM_MOST;
    }
    snprintf(text, sizeof text, "%d", adjust);
    (void)sys_write_text(AT_FDCWD, "/proc/self/oom_score_adj", text);
}
