/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loaded before the libraries of xenohostd and xenodomd: counts the steps by
 * which each makes something durable, before and behind it, and ends the process
 * with SIGKILL at the one that was asked for.  The counts are in the file that
 * STEPS names, for all processes together: `struct steps`. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* XEN: hypercalls of the keeper, between which a domain is half made. */
enum who { HOST, DOMD, KEEPER, XEN, WHO };

struct steps {
    struct {
        _Atomic uint32_t done, at; /* 0: never */
    } of[WHO];
    char what[96]; /* where one ended, in words */
};

static const char *const names[WHO] = {"xenohostd", "xenodomd", "keeper",
                                       "keeper's hypercall"};
static struct steps *steps;
static enum who me;

#define REAL(call) ((__typeof__(call) *)(uintptr_t)dlsym(RTLD_NEXT, #call))

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *path = getenv("STEPS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at;

    if (fd < 0) return;
    at = mmap(NULL, sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return;
    if (strstr(argv[0], "xenohostd"))
        me = HOST;
    else
        me = argc > 1 && !strcmp(argv[1], "keep-domain") ? KEEPER : DOMD;
    steps = at;
}

static void step(enum who who, const char *side, const char *call,
                 const char *name)
{
    uint32_t n;

    if (!steps) return;
    n = ++steps->of[who].done;
    if (n != steps->of[who].at) return;
    steps->of[who].at = 0;
    snprintf(steps->what, sizeof steps->what, "%s, step %u: %s %s %s",
             names[who], n, side, call, name);
    kill(getpid(), SIGKILL);
    pause();
}

/* The last part of the name of what is open there. */
static const char *name_of(int fd, char *room, size_t len)
{
    char link[40], *slash;
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, room, len - 1);
    room[n < 0 ? 0 : n] = '\0';
    slash = strrchr(room, '/');
    return slash ? slash + 1 : room;
}

#define AROUND(name, call, ...)                                                \
    int rc;                                                                    \
    step(me, "before", #call, name);                                           \
    rc = REAL(call)(__VA_ARGS__);                                              \
    step(me, "behind", #call, name);                                           \
    return rc

int fsync(int fd)
{
    char room[256];
    const char *name = name_of(fd, room, sizeof room);

    AROUND(name, fsync, fd);
}

int fdatasync(int fd)
{
    char room[256];
    const char *name = name_of(fd, room, sizeof room);

    AROUND(name, fdatasync, fd);
}

/* A log's writes are durable when they return (net/wal_file.c). */
static ssize_t put(__typeof__(pwrite64) *real, int fd, const void *data,
                   size_t len, off64_t at)
{
    bool log = steps && me == HOST && fcntl(fd, F_GETFL) & O_DSYNC;
    char room[256];
    const char *name = log ? name_of(fd, room, sizeof room) : "";
    ssize_t n;

    if (log) step(me, "before", "pwrite", name);
    n = real(fd, data, len, at);
    if (log) step(me, "behind", "pwrite", name);
    return n;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return put(REAL(pwrite64), fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return put(REAL(pwrite), fd, data, len, at);
}

int ftruncate64(int fd, off64_t size)
{
    char room[256];
    const char *name = name_of(fd, room, sizeof room);

    AROUND(name, ftruncate64, fd, size);
}

int rename(const char *from, const char *to)
{
    AROUND(to, rename, from, to);
}

int renameat(int in, const char *from, int out, const char *to)
{
    AROUND(to, renameat, in, from, out, to);
}

int unlinkat(int in, const char *path, int flags)
{
    AROUND(path, unlinkat, in, path, flags);
}

int mkdirat(int in, const char *path, mode_t mode)
{
    AROUND(path, mkdirat, in, path, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list al;
    void *arg;
    int rc;

    va_start(al, request);
    arg = va_arg(al, void *);
    va_end(al);
    rc = REAL(ioctl)(fd, request, arg);
    if (me == KEEPER && _IOC_TYPE(request) == 'P')
        step(XEN, "behind", "ioctl", "");
    return rc;
}
