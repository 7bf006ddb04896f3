/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A sandbox as what a keeper keeps. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/exec.h"
#include "keeper/herd.h"
#include "keeper/join.h"
#include "keeper/keeper.h"
#include "keeper/proc.h"
#include "keeper/sys.h"
#include "lib/err.h"

#define WATCH_US 200000  /* between looks at memory without a cgroup */
#define LOOK_US 30000000 /* with one, which holds it by itself */

/* ---- start --------------------------------------------------------------- */

/* Before any of them is made, so that a sweeper finds them. */
static int note_cgroups(struct keeper *keeper)
{
    char text[CGROUP_KINDS * CGROUP_PATH_MAX];
    struct cgroup *group = &keeper->box.group;
    int fd, rc;

    if (keeper->spec->meter <= XN__METER_KIND__CGROUP) {
        cgroup_plan(keeper->spec->name, group);
    }
    if (!cgroup_list(group, text, sizeof text)) return XN_ETOOBIG;
    fd = openat(keeper->dir, KEEPER_CGROUPS,
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return XN_EIO;
    rc = sys_write_all(fd, text, strlen(text));
    close(fd);
    return rc;
}

static int build(struct keeper *keeper)
{
    struct sandbox *box = &keeper->box;
    char *because = keeper->because;
    size_t len = sizeof keeper->because;
    int rc;

    rc = note_cgroups(keeper);
    if (!rc) {
        rc = sandbox_prepare(box, keeper->spec, keeper->bwrap, because, len);
    }
    keeper->terminal = box->terminal;
    if (!rc) rc = sandbox_build(box, keeper->spec, because, len);
    return rc;
}

static int begin(struct keeper *keeper, uint64_t mono_us)
{
    struct sandbox *box = &keeper->box;
    int rc;

    keeper->caps_itself = keeper->spec->cpu_ms_per_s && !box->cap_by_cgroup;
    keeper->look_every_us = box->memory_by_cgroup ? LOOK_US : WATCH_US;
    /* Nobody hears it yet; it shows that the task can be held. */
    rc = herd_signal(box->init_fd, SIGCONT);
    if (rc) {
        snprintf(keeper->because, sizeof keeper->because,
                 "the sandbox could not be entered to hold the task");
        return rc;
    }
    rc = sandbox_begin(box, keeper->spec, mono_us);
    if (rc) {
        snprintf(keeper->because, sizeof keeper->because,
                 "the sandbox stood, but the task could not be let begin");
    }
    return rc;
}

/* ---- while it runs ------------------------------------------------------- */

static int send(struct keeper *keeper, int sig)
{
    return herd_signal(keeper->box.init_fd, sig);
}

static void meter(struct keeper *keeper, uint64_t mono_us, Xn__TaskReading *out)
{
    struct meter *from = &keeper->box.meter;

    out->kind = from->kind;
    out->exact = meter_is_exact(from);
    if (!keeper->started_mono_us) return;
    out->cpu_ns = meter_read(from, mono_us);
    if (from->kind == XN__METER_KIND__CGROUP) out->base_ns = from->base;
}

/* Used time, or time on its CPUs where no meter is exact. */
static uint64_t cap_reading(struct keeper *keeper, uint64_t mono_us)
{
    uint64_t ran;

    if (!keeper->box.cpus) return meter_read(&keeper->box.meter, mono_us);
    ran = keeper->run_us;
    if (!keeper->stands) ran += mono_us - keeper->run_since_us;
    return ran * 1000 * keeper->box.cpus;
}

static bool is_over(struct keeper *keeper, const struct proc_sum *sum,
                    uint64_t disk)
{
    uint64_t most = keeper->spec->memory_bytes, exact;

    if (sum->memory_bytes + disk <= most) return false;
    return proc_memory_exact(keeper->box.init, &exact) == 0 &&
           exact + disk > most;
}

static bool memory(struct keeper *keeper, uint64_t *bytes_out)
{
    struct sandbox *box = &keeper->box;
    uint64_t kills = 0, disk;
    struct proc_sum sum;

    if (box->memory_by_cgroup) {
        cgroup_memory(&box->files, bytes_out);
        return cgroup_memory_kills(&box->files, &kills) == 0 && kills > 0;
    }
    /* once it has ended, somebody else may have its number */
    if (!box->monitor || proc_sum(box->init, &sum)) return false;
    disk = proc_disk_bytes(box->init, keeper->spec->disk_bytes);
    *bytes_out = sum.memory_bytes + disk;
    return is_over(keeper, &sum, disk);
}

static void describe(const struct keeper *keeper, Xn__TaskStatus *status)
{
    const struct sandbox *box = &keeper->box;

    status->memory_by = (char *)(box->memory_by_cgroup ? "cgroup" : "watch");
    status->processes_by =
        (char *)(box->processes_by_cgroup ? "cgroup" : "rlimit");
    status->cap_by = (char *)(!keeper->spec->cpu_ms_per_s ? "none"
                              : box->cap_by_cgroup        ? "cgroup"
                              : box->cpus                 ? "clock"
                                                          : "meter");
}

static int connect_in(struct keeper *keeper, uint16_t port, int *fd_out)
{
    return join_connect(keeper->box.init_fd, port, fd_out);
}

static int exec_in(struct keeper *keeper, const Xn__KeeperAsk *what,
                   pid_t *pid_out, int *fd_out)
{
    return exec_begin(&keeper->box, keeper->spec, what, pid_out, fd_out);
}

/* ---- end ----------------------------------------------------------------- */

static bool has_ended(struct keeper *keeper)
{
    pid_t monitor = keeper->box.monitor;
    int status;

    if (monitor <= 0 || waitpid(monitor, &status, WNOHANG) != monitor) {
        return false;
    }
    keeper->box.monitor = 0;
    keeper->status = status;
    return true;
}

static void kill_all(struct keeper *keeper)
{
    sandbox_kill(&keeper->box);
}

static void await(struct keeper *keeper)
{
    sandbox_await(&keeper->box);
}

static void clear(struct keeper *keeper)
{
    sandbox_clear(&keeper->box);
    keeper->terminal = -1;
    unlinkat(keeper->dir, KEEPER_CGROUPS, 0);
}

const struct runner runner_sandbox = {
    .build = build,
    .begin = begin,
    .signal = send,
    .has_ended = has_ended,
    .kill = kill_all,
    .await = await,
    .clear = clear,
    .meter = meter,
    .cap_reading = cap_reading,
    .memory = memory,
    .describe = describe,
    .connect = connect_in,
    .exec = exec_in,
};
