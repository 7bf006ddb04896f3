/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency files: how long a packet takes from one place to another.
 *
 * Measured matrices, pairs and coordinates come in several forms; here they
 * become one.  All times are one way, in microseconds; a file of round trips
 * is halved.  What a file lacks is filled: the other direction, else the
 * median of all; a place to itself, 0.
 */
#ifndef LIB_LATENCY_H
#define LIB_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#define XN_LATENCY_MATRIX_MAX 4096U /* places of a matrix: 64 MiB */
#define XN_LATENCY_PLANE_MAX 16384U /* of coordinates */
#define XN_LATENCY_TEXT 256         /* enough for any `why` below */

struct xn_latency {
    uint32_t places;
    uint32_t *matrix; /* one way, us, [from * places + to]; or NULL and */
    double *xy;       /* x and y of each place, their distance ms one way */
};

/* From a file, by its name and first line:
 *   NAME_NxN.u16le.xz, NAME_SxNxN.u16le.xz   packed matrix (a series gives
 *       medians); the unit stands in the README.md beside it ("Unit 0.1 ms"),
 *       unless unit_us says it; round trips unless NAME is "latency" or
 *       "jitter"
 *   .txt   matrix as text: "rtt_ms N" or "one_way_ms N", then N lines of N
 *       numbers, row from and column to, "-" where unknown; # begins a
 *       comment line
 *   .tsv, .csv with header "from to .. p50_ms|avg_ms|rtt_ms|mean_ms .."
 *       pairs, round trips
 *   .tsv with header "x y"   coordinates whose distance is ms, one way
 * XN_EIO, XN_EINVAL, XN_ETOOBIG, XN_ENOMEM; why_out gets a line. */
int xn_latency_load(const char *path, uint64_t unit_us,
                    struct xn_latency **latency_out, char *why_out,
                    size_t why_len);
void xn_latency_free(struct xn_latency *latency); /* NULL is fine */

/* One way between two places, both below `places`. */
uint64_t xn_latency_us(const struct xn_latency *latency, uint32_t from,
                       uint32_t to);

#endif
