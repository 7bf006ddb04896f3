/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a packet takes from one node to another.
 *
 * A model has places; each node is at one, chosen by (seed, node number), so
 * it does not depend on how many nodes there are.  All times are one way, in
 * microseconds; a file of round trips is halved.  Never less than
 * SIM_LATENCY_US_MIN: what a run over several processes would look ahead.
 */
#ifndef SIM_LATENCY_H
#define SIM_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#define SIM_LATENCY_US_MIN 250
#define SIM_LATENCY_TEXT 256 /* enough for any `why` below */

struct sim_latency;

/* Each pair draws its own delay in [lo, hi], the same both ways. */
int sim_latency_uniform(uint64_t lo_us, uint64_t hi_us,
                        struct sim_latency **latency_out);

/* From a file, by its name and first line:
 *   NAME_NxN.u16le.xz, NAME_SxNxN.u16le.xz   matrix (a series gives medians);
 *       the unit stands in the README.md beside it ("Unit 0.1 ms"), unless
 *       unit_us says it; round trips unless NAME is "latency" or "jitter"
 *   .tsv, .csv with header "from to .. p50_ms|avg_ms|rtt_ms .."   pairs
 *   .tsv with header "x y"   coordinates whose distance is ms, one way
 * XN_EIO, XN_EINVAL, XN_ETOOBIG, XN_ENOMEM; why_out gets a line. */
int sim_latency_load(const char *path, uint64_t unit_us,
                     struct sim_latency **latency_out, char *why_out,
                     size_t why_len);
void sim_latency_free(struct sim_latency *latency);

uint64_t sim_latency_us(const struct sim_latency *latency, uint64_t seed,
                        uint32_t from, uint32_t to);
/* 0: no places, each pair by itself. */
uint32_t sim_latency_places(const struct sim_latency *latency);
uint32_t sim_latency_place(const struct sim_latency *latency, uint64_t seed,
                           uint32_t node);
/* Between two places. */
uint64_t sim_latency_between(const struct sim_latency *latency, uint32_t from,
                             uint32_t to);

/* For latency_file.c: takes over the arrays. */
int sim_latency_matrix(uint32_t n, uint32_t *one_way_us,
                       struct sim_latency **latency_out);
int sim_latency_plane(uint32_t n, double *xy_ms,
                      struct sim_latency **latency_out);

#endif
