/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both clients share: who pays whom, a closed loop of so many connections,
 * latency, CPU time of a server and all its children. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/rng.h"

enum { BENCH_FENCES = 2000, BENCH_SERVERS = 200, BENCH_CLIENTS_MAX = 1024 };
#define BENCH_FUNDS 1000000000000LL

struct bench_charge {
    uint8_t id[32];
    uint32_t from, to; /* 1 to BENCH_FENCES; those behind them */
    int64_t micro;
};

struct bench_side {
    const char *name;
    int (*fd)(unsigned client);
    /* Both end the program where they fail. */
    void (*send)(unsigned client, const struct bench_charge *charge);
    bool (*done)(unsigned client); /* false: the answer is not whole yet */
};

struct bench_load {
    unsigned clients;
    uint64_t seconds, seed;
    pid_t server;
};

/* CLIENTS SECONDS SEED SERVER_PID of argv. */
int bench_load_parse(char **argv, struct bench_load *load_out);
/* Keeps one charge of each connection under way, a second for warming up and
 * then so many seconds, and prints one line: name, clients, seconds, charges,
 * p50 and p99 in microseconds, CPU microseconds of the server, of this client
 * and of whoever else ran. */
void bench_load_run(const struct bench_load *load,
                    const struct bench_side *side);
/* CPU microseconds, user and system: of a process and all its children, those
 * that ended too; of this one. */
uint64_t bench_cpu_of_server(pid_t server);
uint64_t bench_cpu_of_process(pid_t pid); /* alone; 0: it is gone */
uint64_t bench_cpu_of_self(void);
uint64_t bench_cpu_of_all(void); /* whoever ran on this machine */
void bench_sort(uint32_t *us, size_t n);
void bench_die(const char *what) __attribute__((noreturn));

#endif
