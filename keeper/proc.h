/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What /proc says of the processes of one pid namespace. */
#ifndef KEEPER_PROC_H
#define KEEPER_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct proc_sum {
    uint64_t cpu_ns;       /* of those that live, and whom they waited for */
    uint64_t memory_bytes; /* their own, each other's copies counted twice */
    unsigned n;
};

/* `init` is the namespace's first process.  XN_ENOENT: it is gone, or /proc
 * does not show it. */
int proc_sum(pid_t init, struct proc_sum *out);

/* The same processes' memory with shared pages divided among those who share
 * them: slower, exact. */
int proc_memory_exact(pid_t init, uint64_t *bytes_out);

/* Bytes in the temporary file systems of that process, each of `size`. */
uint64_t proc_disk_bytes(pid_t init, uint64_t size);

#endif
