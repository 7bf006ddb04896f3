/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/meter.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/proc.h"
#include "keeper/sys.h"

/* Counts a process and all that it will start, those that nobody waits for
 * included. */
static int open_perf(pid_t pid)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_SW_TASK_CLOCK,
        .inherit = 1,
        .exclude_kernel = 1, /* else more privilege is asked for; the clock
                                counts both all the same */
        .exclude_hv = 1,
    };

    return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1,
                        PERF_FLAG_FD_CLOEXEC);
}

static bool read_perf(const struct meter *meter, uint64_t *ns_out)
{
    uint64_t ns;

    if (read(meter->perf, ns_out, sizeof *ns_out) != sizeof *ns_out)
        return false;
    for (unsigned i = 0; i < meter->n_more; i++) {
        if (read(meter->more[i], &ns, sizeof ns) == sizeof ns) *ns_out += ns;
    }
    return true;
}

static bool read_raw(const struct meter *meter, uint64_t *ns_out)
{
    struct proc_sum sum;

    switch (meter->kind) {
    case XN__METER_KIND__CGROUP:
        return cgroup_cpu_ns(meter->files, ns_out) == 0;
    case XN__METER_KIND__PERF: return read_perf(meter, ns_out);
    case XN__METER_KIND__PROC:
        if (!meter->init || proc_sum(meter->init, &sum)) return false;
        *ns_out = sum.cpu_ns;
        return true;
    default: return false;
    }
}

static bool try_kind(struct meter *meter, Xn__MeterKind kind, pid_t pid)
{
    uint64_t ns;

    meter->kind = kind;
    switch (kind) {
    case XN__METER_KIND__CGROUP: return read_raw(meter, &ns);
    case XN__METER_KIND__PERF:
        meter->perf = open_perf(pid);
        return meter->perf >= 0 && read_raw(meter, &ns);
    case XN__METER_KIND__PROC: meter->init = pid; return read_raw(meter, &ns);
    default: return true;
    }
}

void meter_open(struct meter *meter, Xn__MeterKind best,
                const struct cgroup_files *files, pid_t pid)
{
    int kind =
        best > XN__METER_KIND__CGROUP ? (int)best : XN__METER_KIND__CGROUP;

    memset(meter, 0, sizeof *meter);
    meter->perf = -1;
    meter->files = files;
    while (!try_kind(meter, (Xn__MeterKind)kind, pid))
        kind++;
}

void meter_start(struct meter *meter, pid_t init, uint32_t cap_ms_per_s,
                 uint64_t mono_us)
{
    meter->init = init;
    meter->cap_ms_per_s = cap_ms_per_s ? cap_ms_per_s : 1000;
    meter->start_us = mono_us;
    if (!read_raw(meter, &meter->base)) meter->base = 0;
}

bool meter_join(struct meter *meter, pid_t pid)
{
    int fd;

    if (meter->kind != XN__METER_KIND__PERF) return true;
    if (meter->n_more == METER_MORE_MAX) return false;
    fd = open_perf(pid);
    if (fd < 0) return false;
    meter->more[meter->n_more++] = fd;
    return true;
}

uint64_t meter_read(struct meter *meter, uint64_t mono_us)
{
    uint64_t ns = 0;

    if (meter->kind == XN__METER_KIND__RESERVED) {
        /* us * ms/s = ns */
        ns = (mono_us - meter->start_us) * meter->cap_ms_per_s;
    } else if (read_raw(meter, &ns)) {
        ns = ns > meter->base ? ns - meter->base : 0;
    }
    if (ns > meter->cpu_ns) meter->cpu_ns = ns;
    return meter->cpu_ns;
}

bool meter_is_exact(const struct meter *meter)
{
    return meter->kind == XN__METER_KIND__CGROUP ||
           meter->kind == XN__METER_KIND__PERF;
}

void meter_close(struct meter *meter)
{
    if (meter->perf >= 0) close(meter->perf);
    meter->perf = -1;
    while (meter->n_more)
        close(meter->more[--meter->n_more]);
}

/* A child that ends when we close `end`, or die. */
static pid_t start_idler(struct cgroup *group, int *end_out)
{
    int ends[2];
    char byte;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC)) return -1;
    pid = cgroup_fork(group);
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    *end_out = ends[1];
    if (pid < 0) close(ends[1]);
    return pid;
}

bool meter_try(Xn__MeterKind best, const char *name)
{
    struct cgroup_files files = CGROUP_NO_FILES;
    struct cgroup group = {0};
    struct meter meter;
    bool exact = false;
    int end = -1, i;
    pid_t pid;

    if (best <= XN__METER_KIND__CGROUP) cgroup_plan(name, &group);
    cgroup_make(&group);
    pid = start_idler(&group, &end);
    if (pid > 0) {
        cgroup_open(&group, &files);
        meter_open(&meter, best, &files, pid);
        exact = meter_is_exact(&meter);
        meter_close(&meter);
        cgroup_close(&files);
        close(end);
        sys_wait(pid);
    }
    for (i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup_has(&group, i)) cgroup_remove(group.path[i]);
    }
    return exact;
}
