/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a packet takes from one node to another.
 *
 * A model has places; each node is at one, chosen by (seed, node number), so
 * it does not depend on how many nodes there are: at random, or (after
 * sim_latency_spread) so that no place has two before each has one.  All times
 * are one way, in microseconds, never less than SIM_LATENCY_US_MIN: what a run
 * over several processes would look ahead.
 */
#ifndef SIM_LATENCY_H
#define SIM_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_LATENCY_US_MIN 250

struct sim_latency;

/* Each pair draws its own delay in [lo, hi], the same both ways. */
int sim_latency_uniform(uint64_t lo_us, uint64_t hi_us,
                        struct sim_latency **latency_out);

/* From a file, of the forms that lib/latency.h names; why_out as there. */
int sim_latency_load(const char *path, uint64_t unit_us,
                     struct sim_latency **latency_out, char *why_out,
                     size_t why_len);
/* Each node has a delay of its own beside: log-normal, nine of ten between
 * these two. */
void sim_latency_access(struct sim_latency *latency, uint64_t lo_us,
                        uint64_t hi_us);
/* From now on of this seed, and faster for so many nodes: where they are is
 * drawn once.  XN_ENOMEM. */
int sim_latency_know(struct sim_latency *latency, uint64_t seed,
                     uint32_t nodes);
/* No place gets a second node before each has one: in an order drawn from the
 * seed, which it is of from now on.  XN_ENOMEM. */
int sim_latency_spread(struct sim_latency *latency, uint64_t seed);
void sim_latency_free(struct sim_latency *latency);

uint64_t sim_latency_us(const struct sim_latency *latency, uint64_t seed,
                        uint32_t from, uint32_t to);
uint64_t sim_latency_access_us(const struct sim_latency *latency, uint64_t seed,
                               uint32_t node);
/* 0: no places, each pair by itself. */
uint32_t sim_latency_places(const struct sim_latency *latency);
uint32_t sim_latency_place(const struct sim_latency *latency, uint64_t seed,
                           uint32_t node);
/* Between two places. */
uint64_t sim_latency_between(const struct sim_latency *latency, uint32_t from,
                             uint32_t to);
/* Places are points whose distance is the latency between them. */
bool sim_latency_is_plane(const struct sim_latency *latency);
/* Where a node is there, in ms one way; 0, 0 where there is no plane. */
void sim_latency_at(const struct sim_latency *latency, uint64_t seed,
                    uint32_t node, float *x_out, float *y_out);

#endif
