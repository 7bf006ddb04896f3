/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both ends of connections that tests have carried.
 *     porter serve ADDRESS PORT   says "ready"; of each connection the first byte
 *                                 says what it gets: e: all that came, once that
 *                                 has ended; f: bytes without end, and "stalled"
 *                                 on the console when none are taken; h: nothing
 *     porter echo PORT BYTES      sends so many to 127.0.0.1 and half closes; all
 *                                 come back
 *     porter flood PORT           wants them without end, reads one, then a line
 *                                 of its input, then all until it is closed
 *     porter hold PORT            is silent until the other end closes; says how
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static int fail(const char *what)
{
    fprintf(stderr, "porter: %s: %s\n", what, strerror(errno));
    return 1;
}

/* ---- in the task ---- */

static void give_back(int fd)
{
    size_t n = 0, room = 64 << 20;
    uint8_t *all = malloc(room);
    ssize_t got;

    if (!all) _exit(1);
    while ((got = read(fd, all + n, room - n)) > 0)
        n += (size_t)got;
    for (size_t at = 0; at < n; at += (size_t)got) {
        got = write(fd, all + at, n - at);
        if (got <= 0) _exit(1);
    }
    _exit(0);
}

static void give_without_end(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    static uint8_t data[16384];

    for (;;) {
        if (poll(&room, 1, 1000) == 0) {
            if (write(1, "stalled\n", 8) != 8) _exit(1);
            poll(&room, 1, -1);
        }
        if (write(fd, data, sizeof data) <= 0) break;
    }
    if (write(1, "let go\n", 7) != 7) _exit(1);
    _exit(0);
}

static int serve(const char *address, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port)};
    int six = strchr(address, ':') != NULL, fd;

    fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (inet_pton(six ? AF_INET6 : AF_INET, address,
                  six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1 ||
        bind(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
             six ? sizeof v6 : sizeof v4) ||
        listen(fd, 64)) {
        return fail("listen");
    }
    signal(SIGCHLD, SIG_IGN);
    if (write(1, "ready\n", 6) != 6) return 1;
    for (;;) {
        int to = accept(fd, NULL, NULL);
        char what;

        if (to < 0) continue;
        if (fork() == 0) {
            if (read(to, &what, 1) != 1) _exit(1);
            if (what == 'e') give_back(to);
            if (what == 'f') give_without_end(to);
            pause();
            _exit(0);
        }
        close(to);
    }
}

/* ---- here ---- */

static int dial(int port, char what)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) ||
        write(fd, &what, 1) != 1) {
        exit(fail("connect"));
    }
    return fd;
}

static int echo(int port, size_t bytes)
{
    int fd = dial(port, 'e');
    uint8_t data[8192];
    size_t at, i;
    ssize_t n;

    for (at = 0; at < bytes; at += (size_t)n) {
        for (i = 0; i < sizeof data && at + i < bytes; i++)
            data[i] = pattern(at + i);
        n = write(fd, data, i);
        if (n <= 0) return fail("write");
    }
    shutdown(fd, SHUT_WR);
    for (at = 0; (n = read(fd, data, sizeof data)) > 0; at += (size_t)n) {
        for (i = 0; i < (size_t)n; i++) {
            if (data[i] == pattern(at + i)) continue;
            printf("another byte at %zu\n", at + i);
            return 1;
        }
    }
    if (n < 0) return fail("read");
    printf("%zu bytes\n", at);
    return at != bytes;
}

static int flood(int port)
{
    int fd = dial(port, 'f');
    char data[8192];
    ssize_t n = read(fd, data, 1);

    if (n == 1) n = read(0, data, 1);
    while (n > 0)
        n = read(fd, data, sizeof data);
    return n < 0 ? fail("read") : 0;
}

static int hold(int port)
{
    int fd = dial(port, 'h');
    char byte;
    ssize_t n = read(fd, &byte, 1);

    printf("%s\n", n == 0 ? "closed" : n < 0 ? "reset" : "heard");
    return 0;
}

int main(int argc, char **argv)
{
    int port = argc > 2 ? atoi(argv[argc > 3 ? 3 : 2]) : 0;

    signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "serve") == 0) return serve(argv[2], port);
    if (argc == 4 && strcmp(argv[1], "echo") == 0)
        return echo(atoi(argv[2]), strtoul(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "flood") == 0) return flood(port);
    if (argc == 3 && strcmp(argv[1], "hold") == 0) return hold(port);
    return 2;
}
