/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A power cut in the middle of writing, as a program can play it: linked into
 * one, or loaded before one's libraries, this takes the place of the C library's writing functions.  At the
 * POWERCUT_AT-th of their calls everything that was written to any file since
 * that file's last fsync is undone, half of the last write is put back (the
 * torn page; a disk's sector of 512 bytes is written whole or not at all), and
 * the process is gone.  Names of files count as durable at
 * once.  powercut.h has two lesser evils. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/soak/powercut.h"

enum { FILES = 64, OWN_FDS = 200 };

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);
int ftruncate64(int fd, off64_t size);

struct undo {
    struct undo *before; /* the one written before it */
    int fd;              /* our own of that file */
    off_t at, size;      /* of the file as it was */
    size_t len, old_len;
    uint8_t *old, *new;
};

/* Descriptors of the program's may be closed and their numbers used again. */
static struct {
    dev_t dev;
    ino_t ino;
    int fd;
} files[FILES];
static size_t n_files;
static struct undo *last;
static long calls, cut_at = -1;
/* Held while anything is written: nobody writes behind the cut. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum powercut kind;
static void (*then)(int fd);
static int then_fd;

typedef ssize_t pwrite_fn(int, const void *, size_t, off64_t);
typedef int truncate_fn(int, off64_t);
typedef int sync_fn(int);

static void *real(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);

    if (!fn) abort();
    return fn;
}

static pwrite_fn *real_pwrite(void)
{
    return (pwrite_fn *)(uintptr_t)real("pwrite64");
}

static truncate_fn *real_truncate(void)
{
    return (truncate_fn *)(uintptr_t)real("ftruncate64");
}

static void cut(bool torn)
{
    struct undo *u;

    for (u = last; u; u = u->before) {
        real_truncate()(u->fd, u->size);
        if (u->old_len) real_pwrite()(u->fd, u->old, u->old_len, u->at);
    }
    if (torn && last && last->new) {
        off_t end = (last->at + (off_t)last->len / 2 + 511) / 512 * 512;

        if (end < last->at + (off_t)last->len) {
            real_pwrite()(last->fd, last->new, (size_t)(end - last->at),
                          last->at);
        }
    }
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool is_armed(void)
{
    if (cut_at < 0) {
        const char *text = getenv("POWERCUT_AT");

        cut_at = text ? atol(text) : 0;
    }
    return cut_at > 0;
}

void powercut_arm(enum powercut what, long at)
{
    kind = what;
    cut_at = at;
    calls = 0;
}

void powercut_then(void (*fn)(int fd), int fd)
{
    then = fn;
    then_fd = fd;
}

/* A second process, to which nothing of the first is left but what that wrote;
 * and this knows what of it was never synced. */
static void begin_again(void)
{
    int ends[2], fd;
    char byte;

    if (pipe(ends)) abort();
    if (fork() != 0) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) > 0) /* until the first is gone */
        ;
    for (fd = 3; fd < OWN_FDS; fd++) {
        if (fd != then_fd) close(fd);
    }
    kind = POWERCUT_POWER;
    cut_at = LONG_MAX;
    pthread_mutex_unlock(&lock);
    then(then_fd);
    pthread_mutex_lock(&lock);
    cut(false);
}

static bool is_log(int fd)
{
    char link[40], path[600];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strstr(path, ".log") != NULL;
}

/* true: this call, which would make the file grow or not, fails. */
static bool is_refused(int fd, bool grows)
{
    if (calls < cut_at || calls >= cut_at + POWERCUT_CALLS) return false;
    if (kind != POWERCUT_FULL && kind != POWERCUT_LOG) return false;
    if (!(kind == POWERCUT_FULL ? grows : is_log(fd))) return false;
    errno = ENOSPC;
    return true;
}

static bool would_grow(int fd, off_t end)
{
    struct stat st;

    return fstat(fd, &st) == 0 && end > st.st_size;
}

static bool is_time(void)
{
    if (!is_armed() || ++calls != cut_at) return false;
    if (kind == POWERCUT_KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (kind == POWERCUT_TWICE) begin_again();
    return kind == POWERCUT_POWER;
}

static bool is_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Opened anew: the program's own may take aligned writes only. */
static int own_fd(int fd, const struct stat *st)
{
    char name[40];
    size_t i;
    int plain;

    for (i = 0; i < n_files; i++) {
        if (files[i].dev == st->st_dev && files[i].ino == st->st_ino)
            return files[i].fd;
    }
    if (n_files == FILES) abort();
    files[n_files].dev = st->st_dev;
    files[n_files].ino = st->st_ino;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    plain = open(name, O_RDWR | O_CLOEXEC);
    files[n_files].fd = fcntl(plain, F_DUPFD_CLOEXEC, OWN_FDS);
    if (files[n_files].fd < 0) abort();
    close(plain);
    return files[n_files++].fd;
}

/* Keep what [at, at + len) was. */
static void remember(int fd, off_t at, size_t len, const void *data)
{
    struct undo *u = calloc(1, sizeof *u);
    struct stat st;

    if (!u || fstat(fd, &st)) abort();
    u->before = last;
    u->fd = own_fd(fd, &st);
    u->at = at;
    u->size = st.st_size;
    u->len = len;
    if (at < st.st_size) {
        u->old_len = (size_t)(st.st_size - at);
        if (u->old_len > len) u->old_len = len;
        u->old = malloc(u->old_len + 1);
        if (!u->old ||
            pread(u->fd, u->old, u->old_len, at) != (ssize_t)u->old_len) {
            abort();
        }
    }
    if (data) {
        u->new = malloc(len + 1);
        if (!u->new) abort();
        memcpy(u->new, data, len);
    }
    last = u;
}

static void undo_free(struct undo *u)
{
    free(u->old);
    free(u->new);
    free(u);
}

/* A write that is durable when it returns. */
static void forget_last(int fd)
{
    struct undo *u = last;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || !(flags & O_DSYNC)) return;
    last = u->before;
    undo_free(u);
}

static void forget(int fd)
{
    struct undo **u = &last;
    struct stat st;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
    fd = own_fd(fd, &st);

    while (*u) {
        struct undo *gone = *u;

        if (gone->fd != fd) {
            u = &gone->before;
            continue;
        }
        *u = gone->before;
        undo_free(gone);
    }
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    ssize_t n;
    bool now;

    if (!is_armed() || !is_file(fd)) return real_pwrite()(fd, data, len, at);
    pthread_mutex_lock(&lock);
    now = is_time();
    if (is_refused(fd, would_grow(fd, at + (off_t)len))) {
        n = -1;
    } else {
        remember(fd, at, len, data);
        if (now) cut(true);
        n = real_pwrite()(fd, data, len, at);
        if (n == (ssize_t)len) forget_last(fd);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

#undef pwrite
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite64(fd, data, len, at);
}

int ftruncate64(int fd, off64_t size)
{
    struct stat st;
    int rc;

    if (!is_armed() || !is_file(fd) || fstat(fd, &st)) {
        return real_truncate()(fd, size);
    }
    pthread_mutex_lock(&lock);
    if (is_time()) cut(false);
    if (is_refused(fd, would_grow(fd, size))) {
        rc = -1;
    } else {
        remember(fd, size, st.st_size > size ? (size_t)(st.st_size - size) : 0,
                 NULL);
        rc = real_truncate()(fd, size);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

#undef ftruncate
int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

#undef truncate
int truncate(const char *path, off_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), rc;

    if (fd < 0) return -1;
    rc = ftruncate(fd, size);
    close(fd);
    return rc;
}

static int sync_with(const char *name, int fd)
{
    sync_fn *fn = (sync_fn *)(uintptr_t)real(name);
    int rc;

    if (!is_armed() || !is_file(fd)) return fn(fd);
    pthread_mutex_lock(&lock);
    if (is_time()) cut(true);
    rc = is_refused(fd, false) ? -1 : fn(fd);
    if (!rc) forget(fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

int fsync(int fd)
{
    return sync_with("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_with("fdatasync", fd);
}
