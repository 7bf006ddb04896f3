/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk whose power goes in the middle of writing, as a program can play it:
 * linked into one, or loaded before one's libraries, this takes the place of the
 * C library's writing functions.  At the POWERCUT_AT-th of their calls the
 * process is gone, and of what was written since each file's last sync, that
 * call's own bytes with it, there is what a disk may have of it:
 *
 *  - of each write any sectors, whatever became of those before and behind it: a
 *    disk writes a sector of 512 bytes whole or not at all, in any order;
 *  - of a file's changes of size the first few, in their order, and what lies
 *    behind the end that it had is there if the file is so long: file systems
 *    write what is new before they say how much there is.
 *
 * What was written through O_DSYNC is there when the call returns.  A write that
 * fails may leave any of its sectors all the same, and a sync that fails nothing
 * that a later one could make good.  POWERCUT_SEED draws.  Names of files
 * count as durable at once.  powercut.h has the lesser evils. */
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

enum { FILES = 64, OWN_FDS = 200, SECTOR = 512 };

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);
int ftruncate64(int fd, off64_t size);

/* A change that may be lost still. */
struct undo {
    struct undo *before; /* the one made before it */
    int fd;              /* our own of that file */
    off_t at, size;      /* of the file as it was */
    size_t len, old_len;
    uint8_t *old, *new; /* new is NULL: the file's size became `at` */
    bool lost;          /* a sync of it failed */
};

/* Descriptors of the program's may be closed and their numbers used again. */
static struct {
    dev_t dev;
    ino_t ino;
    int fd;
} files[FILES];
static size_t n_files;
static struct undo *last;
static long calls, cut_at = -1, fails = POWERCUT_CALLS;
static uint64_t drawn; /* so far, begun at the seed */
/* Held while anything is written: nobody writes behind the cut. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum powercut kind;
static void (*then)(int fd);
static int then_fd;

typedef ssize_t pwrite_fn(int, const void *, size_t, off64_t);
typedef int truncate_fn(int, off64_t);
typedef int sync_fn(int);
typedef int allocate_fn(int, int, off64_t, off64_t);

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

/* ---- what is drawn ---- */

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t draw(uint64_t below)
{
    uint64_t x = drawn += 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (x ^ x >> 31) % below;
}

/* How many of eight sectors arrive, of one write: none, few, half, most, all. */
static unsigned draw_luck(void)
{
    static const unsigned lucks[] = {0, 1, 4, 7, 8};

    return lucks[draw(sizeof lucks / sizeof lucks[0])];
}

/* The end of the sector that `at` lies in, or `end`. */
static off_t piece_end(off_t at, off_t end)
{
    off_t next = (at / SECTOR + 1) * SECTOR;

    return next < end ? next : end;
}

/* ---- the cut ---- */

static void put(int fd, const uint8_t *data, off_t from, off_t to)
{
    if (to > from) real_pwrite()(fd, data, (size_t)(to - from), from);
}

/* Any sectors of it, none of them behind `size`, and all that is behind
 * `sure`. */
static void put_some(const struct undo *u, off_t sure, off_t size)
{
    off_t at = u->at, end = u->at + (off_t)u->len, next;
    unsigned luck = draw_luck();

    if (end > size) end = size;
    for (; at < end; at = next) {
        next = piece_end(at, end);
        if (draw(8) < luck || next > sure)
            put(u->fd, u->new + (at - u->at), at, next);
    }
}

/* What is there of one file's changes, the oldest first; sizes change no more
 * behind `sizes` of them. */
static void put_back(struct undo *const *list, size_t n, size_t sizes)
{
    off_t size = n ? list[0]->size : 0;
    size_t i;

    for (i = 0; i < n; i++) {
        const struct undo *u = list[i];
        off_t end = u->at + (off_t)u->len, was = size;

        if (!u->new) {
            if (i >= sizes && u->at < size) return; /* its blocks are others */
            if (i >= sizes) continue;
            size = u->at;
            real_truncate()(u->fd, size);
            continue;
        }
        if (end > size && i < sizes) {
            size = end;
            real_truncate()(u->fd, size);
        }
        put_some(u, was, size);
    }
}

static void spoil(int fd)
{
    struct undo **list, *u;
    size_t n = 0, i;

    for (u = last; u; u = u->before)
        n += u->fd == fd;
    if (!n) return;
    list = calloc(n, sizeof *list);
    if (!list) abort();
    i = n;
    for (u = last; u; u = u->before) {
        if (u->fd == fd) list[--i] = u;
    }
    put_back(list, n, draw(2) ? n : draw(n + 1));
    free(list);
}

static void cut(void)
{
    struct undo *u;
    size_t i;

    for (u = last; u; u = u->before) {
        real_truncate()(u->fd, u->size);
        if (u->old_len) real_pwrite()(u->fd, u->old, u->old_len, u->at);
    }
    for (i = 0; i < n_files; i++)
        spoil(files[i].fd);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool is_armed(void)
{
    if (cut_at < 0) {
        const char *text = getenv("POWERCUT_AT");

        cut_at = text ? atol(text) : 0;
        text = getenv("POWERCUT_SEED");
        drawn = text ? strtoull(text, NULL, 10) : (uint64_t)cut_at;
    }
    return cut_at > 0;
}

void powercut_arm(enum powercut what, long at)
{
    kind = what;
    cut_at = at;
    calls = 0;
}

void powercut_for(long n)
{
    fails = n;
}

void powercut_seed(uint64_t seed)
{
    drawn = seed;
}

long powercut_calls(void)
{
    return calls;
}

void powercut_now(void)
{
    pthread_mutex_lock(&lock);
    cut();
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
    cut();
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
    if (calls < cut_at || calls >= cut_at + fails) return false;
    if (kind != POWERCUT_FULL && kind != POWERCUT_LOG) return false;
    if (!(kind == POWERCUT_FULL ? grows : is_log(fd))) return false;
    errno = kind == POWERCUT_FULL ? ENOSPC : EIO;
    return true;
}

/* Where a write goes: to the end, where it is opened so. */
static off_t place_of(int fd, off_t at)
{
    struct stat st;

    return fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &st) == 0 ? st.st_size
                                                                : at;
}

static bool would_grow(int fd, off_t end)
{
    struct stat st;

    return fstat(fd, &st) == 0 && end > st.st_size;
}

/* true: the power goes in this call, or for POWERCUT_TWICE the process. */
static bool is_time(void)
{
    if (!is_armed() || ++calls != cut_at) return false;
    if (kind == POWERCUT_KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    return kind == POWERCUT_POWER || kind == POWERCUT_TWICE;
}

static void go(void)
{
    if (kind == POWERCUT_TWICE) begin_again();
    cut();
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

/* What was written there is durable, and what was there before is no more. */
static void outlast(struct undo *u, const struct undo *now)
{
    off_t at = now->at > u->at ? now->at : u->at;
    off_t end = now->at + (off_t)now->len, old = u->at + (off_t)u->old_len;
    off_t new = u->at + (off_t)u->len;

    if (u->fd != now->fd) return;
    if (u->size < end) u->size = end;
    if (old > end) old = end;
    if (new > end) new = end;
    if (u->old && old > at) {
        memcpy(u->old + (at - u->at), now->new + (at - now->at),
               (size_t)(old - at));
    }
    if (u->new &&new > at) {
        memcpy(u->new + (at - u->at), now->new + (at - now->at),
               (size_t)(new - at));
    }
}

/* A write that is durable when it returns. */
static void forget_last(int fd)
{
    struct undo *now = last, *u;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || !(flags & O_DSYNC)) return;
    last = now->before;
    for (u = last; u; u = u->before)
        outlast(u, now);
    undo_free(now);
}

/* Of a file that was synced, or could not be. */
static void forget(int fd, bool synced)
{
    struct undo **u = &last;
    struct stat st;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
    fd = own_fd(fd, &st);

    while (*u) {
        struct undo *gone = *u;

        if (gone->fd == fd) gone->lost |= !synced;
        if (gone->fd != fd || gone->lost) {
            u = &gone->before;
            continue;
        }
        *u = gone->before;
        undo_free(gone);
    }
}

/* ---- in the place of the C library's ---- */

/* Any sectors of it, or, of what goes by the system's memory, the first few;
 * none of them durable. */
static void write_some(int fd, const uint8_t *data, size_t len, off_t at)
{
    bool any = fcntl(fd, F_GETFL) & O_DSYNC && !would_grow(fd, at + (off_t)len);
    off_t end = at + (off_t)len, next, from = at;
    unsigned luck = draw_luck();
    struct stat st;

    for (; at < end; at = next) {
        next = piece_end(at, end);
        if (draw(8) >= luck) {
            if (!any) return;
            continue;
        }
        if (fstat(fd, &st)) abort();
        remember(fd, at, (size_t)(next - at), data + (at - from));
        put(own_fd(fd, &st), data + (at - from), at, next);
    }
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    ssize_t n = -1;
    bool now;

    if (!is_armed() || !is_file(fd)) return real_pwrite()(fd, data, len, at);
    pthread_mutex_lock(&lock);
    at = place_of(fd, at);
    now = is_time();
    if (is_refused(fd, would_grow(fd, at + (off_t)len))) {
        int error = errno;

        if (kind == POWERCUT_LOG) write_some(fd, data, len, at);
        errno = error;
    } else if (now && kind == POWERCUT_TWICE && draw(2)) {
        write_some(fd, data, len, at);
        go();
    } else {
        remember(fd, at, len, data);
        if (now && kind == POWERCUT_POWER) cut();
        n = real_pwrite()(fd, data, len, at);
        if (now) go();
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
    bool now;
    int rc;

    if (!is_armed() || !is_file(fd) || fstat(fd, &st)) {
        return real_truncate()(fd, size);
    }
    pthread_mutex_lock(&lock);
    now = is_time();
    if (is_refused(fd, would_grow(fd, size))) {
        rc = -1;
    } else {
        remember(fd, size, st.st_size > size ? (size_t)(st.st_size - size) : 0,
                 NULL);
        if (now && kind == POWERCUT_POWER) cut();
        rc = real_truncate()(fd, size);
        if (now) go();
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

#undef ftruncate
int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

static int allocate(int fd, int mode, off64_t at, off64_t len)
{
    bool refused, now;

    if (!is_armed() || !is_file(fd)) return 0;
    pthread_mutex_lock(&lock);
    now = is_time();
    refused = is_refused(fd, would_grow(fd, at + len));
    if (!refused && mode == 0 && would_grow(fd, at + len)) {
        remember(fd, at + len, 0, NULL);
        if (now && kind == POWERCUT_POWER) cut();
    }
    if (now) go();
    pthread_mutex_unlock(&lock);
    return refused ? -1 : 0;
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    allocate_fn *fn = (allocate_fn *)(uintptr_t)real("fallocate64");

    return allocate(fd, mode, at, len) ? -1 : fn(fd, mode, at, len);
}

#undef fallocate
int fallocate(int fd, int mode, off_t at, off_t len)
{
    return fallocate64(fd, mode, at, len);
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
    if (is_time()) go();
    rc = is_refused(fd, false) ? -1 : fn(fd);
    forget(fd, rc == 0);
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
