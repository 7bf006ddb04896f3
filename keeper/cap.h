/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task's cap on CPU time, held by stopping and continuing it: when, and how
 * soon to look again.  What was used beyond the cap is owed; what was not used
 * is kept for a tenth of a second only. */
#ifndef KEEPER_CAP_H
#define KEEPER_CAP_H

#include <stdbool.h>
#include <stdint.h>

struct cap {
    uint32_t ms_per_s;
    uint64_t last_us;  /* time of the last step */
    uint64_t used_ns;  /* reading at it */
    int64_t budget_ns; /* may be used now */
    bool held;         /* the task has to stand still */
};

void cap_init(struct cap *cap, uint32_t ms_per_s, uint64_t mono_us);
/* With a reading of now.  Returns after how many microseconds to step again. */
uint64_t cap_step(struct cap *cap, uint64_t mono_us, uint64_t used_ns);

#endif
