/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/limits.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static bool limit(int what, rlim_t value)
{
    struct rlimit now, both = {value, value};

    /* what we are held to ourselves may be less */
    if (getrlimit(what, &now) == 0 && now.rlim_max < value) {
        both.rlim_cur = both.rlim_max = now.rlim_max;
    }
    return setrlimit(what, &both) == 0;
}

static bool set_limits(const Xn__TaskSpec *spec, bool limit_data)
{
    /* whoever started us may be favoured: a task is not */
    if (getpriority(PRIO_PROCESS, 0) < 0 && setpriority(PRIO_PROCESS, 0, 0))
        return false;
    return limit(RLIMIT_NICE, 0) && limit(RLIMIT_CORE, 0) &&
           limit(RLIMIT_FSIZE, spec->file_bytes) &&
           limit(RLIMIT_NOFILE, spec->files) && limit(RLIMIT_RTPRIO, 0) &&
           limit(RLIMIT_MEMLOCK, 64 << 10) &&
           limit(RLIMIT_MSGQUEUE, 64 << 10) &&
           (!limit_data || limit(RLIMIT_DATA, spec->memory_bytes));
}

/* The first few of those that we may use ourselves. */
static bool pin(unsigned cpus)
{
    cpu_set_t all, some;
    unsigned cpu;

    if (cpus == 0) return true;
    CPU_ZERO(&some);
    if (sched_getaffinity(0, sizeof all, &all)) return false;
    for (cpu = 0; cpu < CPU_SETSIZE && cpus > 0; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_SET(cpu, &some);
        cpus--;
    }
    return sched_setaffinity(0, sizeof some, &some) == 0;
}

static bool become(uid_t uid)
{
    if (uid == 0) return true;
    return setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
           setresuid(uid, uid, uid) == 0;
}

void limits_reset_signals(void)
{
    sigset_t none;
    int i;

    for (i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

bool limits_take(const Xn__TaskSpec *spec, uint8_t cpus, bool limit_data)
{
    return pin(cpus) && become(spec->uid) && set_limits(spec, limit_data);
}
