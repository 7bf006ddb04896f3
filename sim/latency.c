/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/latency.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/latency.h"
#include "lib/rng.h"

enum { ACCESS_STEPS = 1024 };

/* Of one node. */
struct whereabouts {
    uint32_t place;
    uint32_t access_us;
};

struct sim_latency {
    struct xn_latency *map; /* NULL: each pair by itself */
    uint64_t lo_us, hi_us;
    uint32_t *order; /* of places, as nodes take them; NULL: at random */
    bool has_access;
    uint32_t access_us[ACCESS_STEPS]; /* equally likely ones */
    struct whereabouts *known;        /* of so many nodes under a seed */
    uint32_t known_n;
    uint64_t known_seed;
};

/* Salts that keep the draws of one seed apart. */
enum { SALT_PLACE = 0x706c, SALT_PAIR = 0x7061, SALT_ACCESS = 0x6163 };

int sim_latency_uniform(uint64_t lo_us, uint64_t hi_us,
                        struct sim_latency **latency_out)
{
    struct sim_latency *latency = calloc(1, sizeof *latency);

    if (!latency) return XN_ENOMEM;
    latency->lo_us = lo_us;
    latency->hi_us = hi_us < lo_us ? lo_us : hi_us;
    *latency_out = latency;
    return 0;
}

int sim_latency_load(const char *path, uint64_t unit_us,
                     struct sim_latency **latency_out, char *why_out,
                     size_t why_len)
{
    struct sim_latency *latency = calloc(1, sizeof *latency);
    int rc;

    *why_out = '\0';
    if (!latency) return XN_ENOMEM;
    rc = xn_latency_load(path, unit_us, &latency->map, why_out, why_len);
    if (rc) {
        free(latency);
        return rc;
    }
    *latency_out = latency;
    return 0;
}

/* So many standard deviations below which lies this share of a normal law. */
static double normal_at(double share)
{
    double lo = -9, hi = 9;
    int i;

    for (i = 0; i < 60; i++) {
        double mid = (lo + hi) / 2;

        if (erfc(-mid / sqrt(2)) / 2 < share) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* libm's last bits may vary between machines: cut to tens of microseconds. */
void sim_latency_access(struct sim_latency *latency, uint64_t lo_us,
                        uint64_t hi_us)
{
    double middle = (log((double)lo_us) + log((double)hi_us)) / 2;
    double width =
        (log((double)hi_us) - log((double)lo_us)) / 2 / normal_at(0.95);
    int i;

    for (i = 0; i < ACCESS_STEPS; i++) {
        double us = exp(middle + width * normal_at((i + 0.5) / ACCESS_STEPS));

        latency->access_us[i] = (uint32_t)(us / 10) * 10;
    }
    latency->has_access = true;
}

static struct whereabouts draw(const struct sim_latency *latency, uint64_t seed,
                               uint32_t node)
{
    struct whereabouts at = {0};

    if (latency->order) {
        at.place = latency->order[node % latency->map->places];
    } else if (latency->map) {
        at.place = (uint32_t)(xn_rng_mix(seed ^ SALT_PLACE, node) %
                              latency->map->places);
    }
    if (latency->has_access) {
        at.access_us = latency->access_us[xn_rng_mix(seed ^ SALT_ACCESS, node) %
                                          ACCESS_STEPS];
    }
    return at;
}

int sim_latency_know(struct sim_latency *latency, uint64_t seed, uint32_t nodes)
{
    struct whereabouts *known = calloc(nodes, sizeof *known);
    uint32_t i;

    if (!known) return XN_ENOMEM;
    for (i = 0; i < nodes; i++)
        known[i] = draw(latency, seed, i);
    free(latency->known);
    latency->known = known;
    latency->known_n = nodes;
    latency->known_seed = seed;
    return 0;
}

static struct whereabouts where(const struct sim_latency *latency,
                                uint64_t seed, uint32_t node)
{
    if (node < latency->known_n && seed == latency->known_seed) {
        return latency->known[node];
    }
    return draw(latency, seed, node);
}

uint64_t sim_latency_access_us(const struct sim_latency *latency, uint64_t seed,
                               uint32_t node)
{
    return where(latency, seed, node).access_us;
}

void sim_latency_free(struct sim_latency *latency)
{
    if (!latency) return;
    xn_latency_free(latency->map);
    free(latency->known);
    free(latency->order);
    free(latency);
}

int sim_latency_spread(struct sim_latency *latency, uint64_t seed)
{
    uint32_t n = sim_latency_places(latency), i, j;

    if (!n) return 0;
    latency->order = malloc(n * sizeof *latency->order);
    if (!latency->order) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        j = (uint32_t)(xn_rng_mix(seed ^ SALT_PLACE, i) % (i + 1));
        latency->order[i] = j < i ? latency->order[j] : i;
        latency->order[j] = i;
    }
    return 0;
}

uint32_t sim_latency_places(const struct sim_latency *latency)
{
    return latency->map ? latency->map->places : 0;
}

uint32_t sim_latency_place(const struct sim_latency *latency, uint64_t seed,
                           uint32_t node)
{
    return where(latency, seed, node).place;
}

uint64_t sim_latency_between(const struct sim_latency *latency, uint32_t from,
                             uint32_t to)
{
    uint64_t us = xn_latency_us(latency->map, from, to);

    return us < SIM_LATENCY_US_MIN ? SIM_LATENCY_US_MIN : us;
}

bool sim_latency_is_plane(const struct sim_latency *latency)
{
    return latency->map && !latency->map->matrix;
}

void sim_latency_at(const struct sim_latency *latency, uint64_t seed,
                    uint32_t node, float *x_out, float *y_out)
{
    const double *xy;

    *x_out = *y_out = 0;
    if (!sim_latency_is_plane(latency)) return;
    xy = &latency->map->xy[2 * sim_latency_place(latency, seed, node)];
    *x_out = (float)xy[0];
    *y_out = (float)xy[1];
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
    struct whereabouts a = where(latency, seed, from);
    struct whereabouts b = where(latency, seed, to);
    uint64_t access = (uint64_t)a.access_us + b.access_us;

    if (!latency->map) return access + pair_us(latency, seed, from, to);
    return access + sim_latency_between(latency, a.place, b.place);
}
