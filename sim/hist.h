/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A histogram of amounts with at most 1.6 % of error: 64 buckets for each
 * doubling.  A zeroed struct is an empty one. */
#ifndef SIM_HIST_H
#define SIM_HIST_H

#include <stdint.h>

#define SIM_HIST_BUCKETS 3776

struct sim_hist {
    uint64_t n, sum, max;
    uint32_t buckets[SIM_HIST_BUCKETS];
};

void sim_hist_add(struct sim_hist *hist, uint64_t value);
/* The value that `ppm` of all do not exceed; 0 where there are none. */
uint64_t sim_hist_at(const struct sim_hist *hist, uint32_t ppm);
double sim_hist_mean(const struct sim_hist *hist);

#endif
