/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks xenodomd what it should not be asked: `rude_asker SOCKET TAG SEED COUNT`.
 * COUNT times it opens, writes to, reads from or closes one of a few connections;
 * what it writes is a request drawn from sound and unsound values, often cut or
 * altered.  The same seed does the same.  Tasks that do start are harmless. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/rng.h"
#include "wire/frame.h"
#include "wire/task.pb-c.h"

#define SOCKETS 40
#define WORDS 12
#define FILES 70

static struct xn_rng rng;
static const char *tag; /* of names that are sound */

static bool chance(unsigned one_in)
{
    return xn_rng_below(&rng, one_in) == 0;
}

#define ONE_OF(list) ((list)[xn_rng_below(&rng, sizeof(list) / sizeof *(list))])

static char *a_name(void)
{
    static const char *const bad[] = {"",     ".", "..", "/",  "../sessions",
                                      "r/1",  "R", "-",  "a-", "a b",
                                      "r-1\n"};
    static char good[8][64];
    size_t i = xn_rng_below(&rng, 8);

    if (chance(2)) return (char *)(uintptr_t)ONE_OF(bad);
    snprintf(good[i], sizeof good[i], "%.40s-%zu", tag, i);
    return good[i];
}

static uint64_t a_number(void)
{
    static const uint64_t numbers[] = {
        0,          0,   0,       1,          16,      100,
        4096,       256, 1 << 20, 8ULL << 20, 1 << 24, UINT32_MAX,
        UINT64_MAX, 64,  1000,    1ULL << 44};

    return ONE_OF(numbers);
}

struct drawn {
    Xn__DomAsk ask;
    Xn__TaskSpec spec;
    char *argv[WORDS], *env[WORDS], *names[WORDS];
    Xn__TaskFile files[FILES], *put[FILES];
};

static void draw_words(struct drawn *d)
{
    static const char *const programs[] = {
        "/bin/true", "/bin/true", "/bin/ls", "/bin/false",
        "/nowhere",  "true",      "",        "/home/task/f0"};
    static const char *const words[] = {"",  "-c", "A=b",    "=",
                                        "B", "/",  "HOME=/", "\x01\x7f"};
    size_t i;

    d->spec.argv = d->argv;
    d->spec.env = d->env;
    d->spec.n_argv = xn_rng_below(&rng, 4);
    d->spec.n_env = chance(2) ? 0 : xn_rng_below(&rng, WORDS);
    for (i = 0; i < WORDS; i++) {
        d->argv[i] = (char *)(uintptr_t)(i ? ONE_OF(words) : ONE_OF(programs));
        d->env[i] = (char *)(uintptr_t)(chance(4) ? ONE_OF(words) : "A=b");
    }
}

static void draw_files(struct drawn *d)
{
    static const char *const names[] = {"f0", "f1", "d/f", "d",    "../f",
                                        "/f", "",   ".",   "a//b", "e/../../f"};
    static uint8_t data[64 << 10];
    size_t i;

    d->spec.put = d->put;
    d->spec.n_put = chance(2) ? 0 : xn_rng_below(&rng, chance(8) ? FILES : 4);
    for (i = 0; i < FILES; i++) {
        xn__task_file__init(&d->files[i]);
        d->files[i].name = (char *)(uintptr_t)ONE_OF(names);
        d->files[i].data.data = data;
        d->files[i].data.len =
            xn_rng_below(&rng, d->spec.n_put > 4 ? 14000 : sizeof data);
        d->files[i].executable = chance(2);
        d->put[i] = &d->files[i];
    }
}

/* Each limit is left alone more often than not, or nothing would ever start. */
static void draw_limits(Xn__TaskSpec *spec)
{
    static const char *const images[] = {
        "", "", "", "", "/", "/etc", "/tmp/../etc", "etc"};

    spec->life_ms = 2000; /* whatever it is */
    spec->image = (char *)(uintptr_t)ONE_OF(images);
    if (chance(6)) spec->memory_bytes = a_number();
    if (chance(6)) spec->processes = (uint32_t)a_number();
    if (chance(6)) spec->file_bytes = a_number();
    if (chance(6)) spec->files = (uint32_t)a_number();
    if (chance(6)) spec->disk_bytes = a_number();
    if (chance(6)) spec->cpu_ms_per_s = (uint32_t)a_number();
    if (chance(6)) spec->console_bytes = a_number();
    if (chance(6)) spec->meter_ms = (uint32_t)a_number();
    if (chance(6)) spec->uid = (uint32_t)a_number();
    if (chance(6)) spec->meter = (Xn__MeterKind)xn_rng_below(&rng, 7);
    spec->terminal = chance(2);
}

static void make_sound(struct drawn *d)
{
    static char sleeps[] = "/bin/sleep", seconds[] = "1";
    char *name = d->spec.name;

    xn__task_spec__init(&d->spec);
    d->spec.name = name;
    d->spec.argv = d->argv;
    d->spec.n_argv = 2;
    d->spec.life_ms = 2000;
    d->argv[0] = sleeps;
    d->argv[1] = seconds;
}

static void draw(struct drawn *d)
{
    static char reason[400];

    xn__dom_ask__init(&d->ask);
    xn__task_spec__init(&d->spec);
    memset(reason, 'r', sizeof reason - 1);
    d->ask.op =
        chance(3) ? XN__DOM_OP__DOM_START : (Xn__DomOp)xn_rng_below(&rng, 14);
    d->ask.name = a_name();
    if (!chance(20)) d->ask.spec = &d->spec;
    d->ask.names = d->names;
    if (d->ask.op == XN__DOM_OP__DOM_METER)
        d->ask.n_names = xn_rng_below(&rng, WORDS);
    for (size_t i = 0; i < d->ask.n_names; i++)
        d->names[i] = a_name();
    d->spec.name = a_name();
    draw_words(d);
    draw_files(d);
    draw_limits(&d->spec);
    if (chance(4)) { /* nothing but sound */
        d->ask.op = XN__DOM_OP__DOM_START;
        d->ask.spec = &d->spec;
        make_sound(d);
    }
    d->ask.grace_ms = (uint32_t)a_number();
    d->ask.after = a_name();
    if (chance(4)) d->ask.reason = reason + xn_rng_below(&rng, sizeof reason);
    d->ask.input.data = (uint8_t *)reason;
    d->ask.input.len = xn_rng_below(&rng, sizeof reason);
}

static void spoil(struct xn_buf *out)
{
    size_t i, n = 1 + xn_rng_below(&rng, 8);

    if (chance(4)) {
        out->len = xn_rng_below(&rng, out->len + 1);
        return;
    }
    for (i = 0; i < n && out->len > 0; i++) {
        /* mostly the body: a length that is not so ends a connection */
        size_t at = out->len > 4 && !chance(8)
                        ? 4 + xn_rng_below(&rng, out->len - 4)
                        : xn_rng_below(&rng, out->len);

        out->data[at] = (uint8_t)xn_rng_u64(&rng);
    }
}

/* A descriptor of ours along with it, which nobody asked for. */
static void send_with_fd(int fd, const struct xn_buf *out)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {out->data, out->len};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};

    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    (void)!sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_one(int fd)
{
    struct xn_buf out = {0};
    struct drawn d;

    draw(&d);
    if (frame_put(&out, &d.ask)) abort();
    if (chance(2)) spoil(&out);
    if (out.len > 0 && chance(10))
        send_with_fd(fd, &out);
    else
        (void)!send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    xn_buf_clear(&out);
}

/* Whatever it is; descriptors that come are closed with the rest of us. */
static bool read_some(int fd)
{
    char data[4096];
    ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);

    return n > 0 || (n < 0 && errno == EAGAIN);
}

static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof at.sun_path) exit(2);
    memcpy(at.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) {
        perror(path);
        exit(1); /* it has died */
    }
    return fd;
}

static void act(const char *path, int *fd)
{
    if (*fd < 0) {
        *fd = dial(path);
    } else if (chance(12)) {
        close(*fd);
        *fd = -1;
        return;
    } else if (chance(20)) {
        shutdown(*fd, SHUT_WR);
    } else if (chance(2) && !read_some(*fd)) {
        close(*fd);
        *fd = -1;
        return;
    }
    write_one(*fd);
}

int main(int argc, char **argv)
{
    int fds[SOCKETS];
    uint64_t i, count;

    if (argc != 5) return 2;
    tag = argv[2];
    signal(SIGPIPE, SIG_IGN);
    xn_rng_seed(&rng, strtoull(argv[3], NULL, 10));
    count = strtoull(argv[4], NULL, 10);
    for (i = 0; i < SOCKETS; i++)
        fds[i] = -1;
    for (i = 0; i < count; i++)
        act(argv[1], &fds[xn_rng_below(&rng, SOCKETS)]);
    return 0;
}
