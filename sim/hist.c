/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/hist.h"

enum { PER_DOUBLING = 64, SHIFT = 6 };

static uint32_t bucket_of(uint64_t value)
{
    int top;

    if (value < 2 * PER_DOUBLING) return (uint32_t)value;
    top = 63 - __builtin_clzll(value); /* 7.. */
    return (uint32_t)((top - SHIFT) * PER_DOUBLING +
                      (int)(value >> (top - SHIFT)));
}

/* The greatest value of a bucket. */
static uint64_t value_of(uint32_t bucket)
{
    uint32_t doubling = bucket / PER_DOUBLING;

    if (bucket < 2 * PER_DOUBLING) return bucket;
    doubling--;
    return ((uint64_t)(bucket - doubling * PER_DOUBLING + 1) << doubling) - 1;
}

void sim_hist_add(struct sim_hist *hist, uint64_t value)
{
    hist->n++;
    hist->sum += value;
    if (value > hist->max) hist->max = value;
    hist->buckets[bucket_of(value)]++;
}

uint64_t sim_hist_at(const struct sim_hist *hist, uint32_t ppm)
{
    uint64_t want = (hist->n * ppm + 999999) / 1000000, seen = 0, value;
    uint32_t i;

    if (!hist->n) return 0;
    for (i = 0; i < SIM_HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen && seen >= want) break;
    }
    value = value_of(i);
    return value < hist->max ? value : hist->max;
}

double sim_hist_mean(const struct sim_hist *hist)
{
    return hist->n ? (double)hist->sum / (double)hist->n : 0;
}
