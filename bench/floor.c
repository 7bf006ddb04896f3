/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What no ledger can do without: a request read, a kilobyte written durably, an
 * answer; one write for all requests that wait.  One thread, no accounts, nothing
 * remembered.  bench/charges drives it as it drives bench/ledgerd.
 *
 *   floor FILE SOCKET */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/wire.h"

enum {
    RECORD = 1024, /* what the ledger's log takes for a charge, about */
    BLOCK = 4096,
    WAITING_MAX = 1024,
    FILE_BYTES = 16 << 20,
    EVENTS = 128
};

struct waiting { /* answers that are owed */
    int fds[WAITING_MAX];
    size_t n;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
    stopped = signo;
}

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Written through once, so that writing it again changes no metadata. */
static int open_file(const char *path)
{
    static char zero[1 << 20];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int durable;

    if (fd < 0) die(path);
    for (size_t at = 0; at < FILE_BYTES; at += sizeof zero) {
        if (write(fd, zero, sizeof zero) != (ssize_t)sizeof zero) die(path);
    }
    if (fsync(fd)) die(path);
    durable = open(path, O_RDWR | O_DSYNC | O_DIRECT | O_CLOEXEC);
    if (durable < 0) durable = open(path, O_RDWR | O_DSYNC | O_CLOEXEC);
    if (durable < 0) die(path);
    close(fd);
    return durable;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll");
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        listen(fd, WAITING_MAX))
        die(path);
    return fd;
}

static void take(int fd, struct waiting *waiting)
{
    struct bench_request requests[64];
    ssize_t n = read(fd, requests, sizeof requests);

    if (n <= 0) {
        close(fd);
        return;
    }
    for (n /= (ssize_t)sizeof requests[0]; n > 0; n--) {
        if (waiting->n == WAITING_MAX) die("too many at once");
        waiting->fds[waiting->n++] = fd;
    }
}

static void write_and_answer(int file, char *data, off_t *at,
                             struct waiting *waiting)
{
    const struct bench_reply reply = {.rc = 0};
    size_t len = (waiting->n * RECORD + BLOCK - 1) / BLOCK * BLOCK;

    if (*at + (off_t)len > FILE_BYTES) *at = 0;
    if (pwrite(file, data, len, *at) != (ssize_t)len) die("write");
    *at += (off_t)len;
    while (waiting->n > 0) {
        if (write(waiting->fds[--waiting->n], &reply, sizeof reply) < 0)
            continue; /* he is gone, and so is what he is owed */
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct waiting waiting = {.n = 0};
    int file, listener, epoll;
    off_t at = 0;
    char *data;

    if (argc != 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    file = open_file(argv[1]);
    data = aligned_alloc(BLOCK, WAITING_MAX * RECORD);
    listener = listen_at(argv[2]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!data || epoll < 0) die("start");
    memset(data, 'x', WAITING_MAX * RECORD);
    watch(epoll, listener);
    while (!stopped) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0) watch(epoll, fd);
            } else {
                take(events[i].data.fd, &waiting);
            }
        }
        if (waiting.n > 0) write_and_answer(file, data, &at, &waiting);
    }
    free(data);
    return 0;
}
