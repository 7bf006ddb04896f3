/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/load.h"

#include <ctype.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/clock.h"
#include "wire/id.h"

enum { WARM_US = 1000000, SAMPLES = 1 << 21 };

struct loop {
    const struct bench_side *side;
    struct xn_rng rng;
    uint64_t serial; /* of the next charge: no run before had it */
    uint64_t sent_us[BENCH_CLIENTS_MAX];
    struct pollfd fds[BENCH_CLIENTS_MAX];
    unsigned clients;
    uint32_t *us; /* latency of each charge that was counted */
    size_t n;
    bool counts;
};

void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

int bench_load_parse(char **argv, struct bench_load *load)
{
    load->clients = (unsigned)strtoul(argv[0], NULL, 10);
    load->seconds = strtoull(argv[1], NULL, 10);
    load->seed = strtoull(argv[2], NULL, 10);
    load->server = (pid_t)strtol(argv[3], NULL, 10);
    return load->clients >= 1 && load->clients <= BENCH_CLIENTS_MAX &&
                   load->seconds >= 1 && load->server > 0
               ? 0
               : -1;
}

/* ---- CPU time ---- */

static uint64_t us_of_ticks(uint64_t ticks)
{
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* User and system time of a process, with the children that it waited for where
 * `and_dead`; 0 where it is gone. */
static uint64_t cpu_of(long pid, pid_t *parent_out, bool and_dead)
{
    unsigned long long t[4];
    char path[64], text[1024], *p;
    long parent;
    FILE *file;
    size_t n;

    *parent_out = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    file = fopen(path, "re");
    if (!file) return 0;
    n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    p = strrchr(text, ')');
    if (!p || sscanf(p + 1,
                     " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
                     "%llu %llu",
                     &parent, &t[0], &t[1], &t[2], &t[3]) != 5) {
        return 0;
    }
    *parent_out = (pid_t)parent;
    return us_of_ticks(t[0] + t[1] + (and_dead ? t[2] + t[3] : 0));
}

/* The server, its children, and those of them that ended. */
uint64_t bench_cpu_of_server(pid_t server)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    pid_t parent;
    uint64_t us = cpu_of(server, &parent, true);

    if (!dir) bench_die("/proc");
    while ((entry = readdir(dir))) {
        uint64_t own;

        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        own = cpu_of(strtol(entry->d_name, NULL, 10), &parent, false);
        if (parent == server) us += own;
    }
    closedir(dir);
    return us;
}

uint64_t bench_cpu_of_process(pid_t pid)
{
    pid_t parent;

    return cpu_of(pid, &parent, false);
}

uint64_t bench_cpu_of_self(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

uint64_t bench_cpu_of_all(void)
{
    unsigned long long user, nice, system, irq, softirq, steal;
    FILE *file = fopen("/proc/stat", "re");

    if (!file || fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu %llu",
                        &user, &nice, &system, &irq, &softirq, &steal) != 6) {
        bench_die("/proc/stat");
    }
    fclose(file);
    return us_of_ticks(user + nice + system + irq + softirq + steal);
}

/* ---- the loop ---- */

static void put_u64(uint8_t *at, uint64_t n)
{
    n = htobe64(n);
    memcpy(at, &n, sizeof n);
}

/* An id as a XenoCorp makes them: it begins like that of the account that pays,
 * whose charges follow each other (order_op_id_nth).  Both sides get the same;
 * PostgreSQL's key is the first half of it, as a uuid. */
static void name_charge(struct loop *loop, struct bench_charge *charge)
{
    xn_id payer;

    xn_id_hash(&charge->from, sizeof charge->from, &payer);
    memcpy(charge->id, payer.b, 8);
    put_u64(charge->id + 8, loop->serial++);
    put_u64(charge->id + 16, xn_rng_u64(&loop->rng));
    put_u64(charge->id + 24, xn_rng_u64(&loop->rng));
}

static void draw(struct loop *loop, struct bench_charge *charge)
{
    struct xn_rng *rng = &loop->rng;

    charge->from = 1 + (uint32_t)xn_rng_below(rng, BENCH_FENCES);
    charge->to = 1 + BENCH_FENCES + (uint32_t)xn_rng_below(rng, BENCH_SERVERS);
    charge->micro = 1 + (int64_t)xn_rng_below(rng, 100);
    name_charge(loop, charge);
}

static void next(struct loop *loop, unsigned client)
{
    struct bench_charge charge;

    draw(loop, &charge);
    loop->sent_us[client] = net_mono_us();
    loop->side->send(client, &charge);
}

static void turn(struct loop *loop, bool go_on)
{
    unsigned i;

    if (poll(loop->fds, loop->clients, 1000) < 0 && errno != EINTR)
        bench_die("poll");
    for (i = 0; i < loop->clients; i++) {
        if (!loop->fds[i].revents || !loop->side->done(i)) continue;
        if (loop->counts && loop->n < SAMPLES) {
            loop->us[loop->n++] = (uint32_t)(net_mono_us() - loop->sent_us[i]);
        }
        if (go_on) {
            next(loop, i);
        } else {
            loop->fds[i].fd = -1; /* done for good */
        }
    }
}

static void turn_until(struct loop *loop, uint64_t end_us)
{
    while (net_mono_us() < end_us)
        turn(loop, true);
}

static void finish(struct loop *loop)
{
    unsigned i, left = 1;

    while (left) {
        turn(loop, false);
        for (i = left = 0; i < loop->clients; i++)
            left += loop->fds[i].fd >= 0;
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void bench_sort(uint32_t *us, size_t n)
{
    qsort(us, n, sizeof *us, by_size);
}

void bench_load_run(const struct bench_load *load,
                    const struct bench_side *side)
{
    struct loop *loop = calloc(1, sizeof *loop);
    uint64_t from_us, server, self, all;
    double seconds;
    unsigned i;

    if (!loop) bench_die("memory");
    loop->us = malloc(SAMPLES * sizeof *loop->us);
    if (!loop->us) bench_die("memory");
    loop->side = side;
    loop->clients = load->clients;
    xn_rng_seed(&loop->rng, load->seed);
    loop->serial = load->seed << 32;
    for (i = 0; i < load->clients; i++) {
        loop->fds[i] = (struct pollfd){side->fd(i), POLLIN, 0};
        next(loop, i);
    }
    turn_until(loop, net_mono_us() + WARM_US);
    server = bench_cpu_of_server(load->server);
    self = bench_cpu_of_self();
    all = bench_cpu_of_all();
    from_us = net_mono_us();
    loop->counts = true;
    turn_until(loop, from_us + load->seconds * 1000000);
    loop->counts = false;
    seconds = (double)(net_mono_us() - from_us) / 1e6;
    server = bench_cpu_of_server(load->server) - server;
    self = bench_cpu_of_self() - self;
    all = bench_cpu_of_all() - all;
    finish(loop);
    if (loop->n == 0) bench_die("no charge was done");
    bench_sort(loop->us, loop->n);
    printf("%s %u %.3f %zu %u %u %llu %llu %lld\n", side->name, load->clients,
           seconds, loop->n, loop->us[loop->n / 2],
           loop->us[loop->n - 1 - loop->n / 100], (unsigned long long)server,
           (unsigned long long)self, (long long)(all - server - self));
    free(loop->us);
    free(loop);
}
