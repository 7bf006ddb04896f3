/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/latency.h"

#include <math.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/rng.h"

struct sim_latency {
    uint32_t places;
    uint64_t lo_us, hi_us; /* where places is 0 */
    uint32_t *matrix;      /* or */
    double *xy;
};

/* Salts that keep the draws of one seed apart. */
enum { SALT_PLACE = 0x706c, SALT_PAIR = 0x7061 };

static int make(struct sim_latency **latency_out, uint32_t places)
{
    struct sim_latency *latency = calloc(1, sizeof *latency);

    if (!latency) return XN_ENOMEM;
    latency->places = places;
    *latency_out = latency;
    return 0;
}

int sim_latency_uniform(uint64_t lo_us, uint64_t hi_us,
                        struct sim_latency **latency_out)
{
    int rc = make(latency_out, 0);

    if (rc) return rc;
    (*latency_out)->lo_us = lo_us;
    (*latency_out)->hi_us = hi_us < lo_us ? lo_us : hi_us;
    return 0;
}

int sim_latency_matrix(uint32_t n, uint32_t *one_way_us,
                       struct sim_latency **latency_out)
{
    int rc = make(latency_out, n);

    if (rc) {
        free(one_way_us);
        return rc;
    }
    (*latency_out)->matrix = one_way_us;
    return 0;
}

int sim_latency_plane(uint32_t n, double *xy_ms,
                      struct sim_latency **latency_out)
{
    int rc = make(latency_out, n);

    if (rc) {
        free(xy_ms);
        return rc;
    }
    (*latency_out)->xy = xy_ms;
    return 0;
}

void sim_latency_free(struct sim_latency *latency)
{
    if (!latency) return;
    free(latency->matrix);
    free(latency->xy);
    free(latency);
}

uint32_t sim_latency_places(const struct sim_latency *latency)
{
    return latency->places;
}

uint32_t sim_latency_place(const struct sim_latency *latency, uint64_t seed,
                           uint32_t node)
{
    if (!latency->places) return 0;
    return (uint32_t)(xn_rng_mix(seed ^ SALT_PLACE, node) % latency->places);
}

uint64_t sim_latency_between(const struct sim_latency *latency, uint32_t from,
                             uint32_t to)
{
    uint64_t us;

    if (latency->matrix) {
        us = latency->matrix[(size_t)from * latency->places + to];
    } else {
        const double *a = &latency->xy[2 * (size_t)from];
        const double *b = &latency->xy[2 * (size_t)to];
        double dx = a[0] - b[0], dy = a[1] - b[1];

        /* sqrt is exact in IEEE 754; hypot's last bit varies. */
        us = (uint64_t)(1000 * sqrt(dx * dx + dy * dy));
    }
    return us < SIM_LATENCY_US_MIN ? SIM_LATENCY_US_MIN : us;
}

static uint64_t pair_us(const struct sim_latency *latency, uint64_t seed,
                        uint32_t a, uint32_t b)
{
    uint64_t pair = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
    uint64_t span = latency->hi_us - latency->lo_us + 1;
    uint64_t us = latency->lo_us + xn_rng_mix(seed ^ SALT_PAIR, pair) % span;

    return us < SIM_LATENCY_US_MIN ? SIM_LATENCY_US_MIN : us;
}

uint64_t sim_latency_us(const struct sim_latency *latency, uint64_t seed,
                        uint32_t from, uint32_t to)
{
    if (!latency->places) return pair_us(latency, seed, from, to);
    return sim_latency_between(latency, sim_latency_place(latency, seed, from),
                               sim_latency_place(latency, seed, to));
}
