/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/cap.h"

#define KEPT_US 100000 /* what is saved up, in time */
#define AGAIN_US 50000 /* a task that was held goes on with this much */
#define BUSY_US 10000  /* between looks at one that runs, at most */
#define LEAST_US 1000
#define IDLE_US 50000

/* us * ms/s = ns */
static int64_t share(const struct cap *cap, uint64_t us)
{
    return (int64_t)(us * cap->ms_per_s);
}

void cap_init(struct cap *cap, uint32_t ms_per_s, uint64_t mono_us)
{
    cap->ms_per_s = ms_per_s;
    cap->last_us = mono_us;
    cap->used_ns = 0;
    cap->budget_ns = share(cap, KEPT_US);
    cap->held = false;
}

/* When one CPU would have used it up. */
static uint64_t until_empty(const struct cap *cap)
{
    uint64_t us = (uint64_t)cap->budget_ns / 1000;

    if (us < LEAST_US) return LEAST_US;
    return us < BUSY_US ? us : BUSY_US;
}

uint64_t cap_step(struct cap *cap, uint64_t mono_us, uint64_t used_ns)
{
    uint64_t passed = mono_us - cap->last_us;
    uint64_t used = used_ns - cap->used_ns;
    bool was_held = cap->held;
    int64_t lacking;

    cap->last_us = mono_us;
    cap->used_ns = used_ns;
    cap->budget_ns += share(cap, passed);
    if (cap->budget_ns > share(cap, KEPT_US)) {
        cap->budget_ns = share(cap, KEPT_US);
    }
    cap->budget_ns -= (int64_t)used;
    if (cap->budget_ns <= 0) cap->held = true;
    if (cap->budget_ns >= share(cap, AGAIN_US)) cap->held = false;
    if (!cap->held) return used || was_held ? until_empty(cap) : IDLE_US;
    lacking = share(cap, AGAIN_US) - cap->budget_ns;
    return (uint64_t)lacking / cap->ms_per_s + 1;
}
