/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network coordinates for the places of a latency matrix: as if each pair were
 * joined by a spring as long as its round trip, and all let go (Dabek et al.,
 * "Vivaldi", SIGCOMM 2004, here with the whole matrix at hand and so without
 * its errors and trust).  Heights stand for access links: on the way to
 * anywhere they add up.  No libm but sqrt, so that the same seed gives the
 * same digits everywhere. */
#include "tools/dev.h"

#include <math.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/rng.h"

enum {
    ROUNDS = 400,
    PARTNERS = 32, /* of each place in a round */
    JUDGES = 512,  /* to estimate a place's error with, at most */
};

#define STEP_FIRST 0.2
#define STEP_LAST 0.005
#define RTT_LEAST 1.0 /* ms; below this a relative error means nothing */

static double rtt_ms(const struct xn_latency *latency, uint32_t a, uint32_t b)
{
    return (double)(xn_latency_us(latency, a, b) +
                    xn_latency_us(latency, b, a)) /
           1000;
}

double dev_place_rtt_ms(const struct dev_place *a, const struct dev_place *b)
{
    double dx = a->x - b->x, dy = a->y - b->y;

    return sqrt(dx * dx + dy * dy) + a->h + b->h;
}

/* Move a along the line from b, by a part of what their spring lacks. */
static void pull(struct dev_place *a, const struct dev_place *b, double rtt,
                 double step, struct xn_rng *rng)
{
    double dx = a->x - b->x, dy = a->y - b->y;
    double d = sqrt(dx * dx + dy * dy);
    double lack = step * (rtt - (d + a->h + b->h));

    if (d < 1e-9) { /* one upon the other: any way out */
        dx = xn_rng_unit(rng) + 1e-9;
        dy = xn_rng_unit(rng);
        d = sqrt(dx * dx + dy * dy);
    }
    a->x += lack * dx / d;
    a->y += lack * dy / d;
    a->h += lack / 2;
    if (a->h < 0) a->h = 0;
}

static void relax(const struct xn_latency *latency, struct xn_rng *rng,
                  struct dev_place *places)
{
    uint32_t n = latency->places, i, round, k;

    for (round = 0; round < ROUNDS; round++) {
        double step = STEP_FIRST + (STEP_LAST - STEP_FIRST) * round / ROUNDS;

        for (i = 0; i < n; i++) {
            for (k = 0; k < PARTNERS; k++) {
                uint32_t j = (uint32_t)xn_rng_below(rng, n);

                if (j == i) continue;
                pull(&places[i], &places[j], rtt_ms(latency, i, j), step, rng);
            }
        }
    }
}

/* What the coordinates get wrong of a place's round trips, all told. */
static double error_of(const struct xn_latency *latency, struct xn_rng *rng,
                       const struct dev_place *places, uint32_t i)
{
    uint32_t n = latency->places, k;
    double wrong = 0, all = 0;

    for (k = 0; k < JUDGES && k < n; k++) {
        uint32_t j = n > JUDGES ? (uint32_t)xn_rng_below(rng, n) : k;
        double rtt = rtt_ms(latency, i, j);

        if (j == i) continue;
        wrong += fabs(dev_place_rtt_ms(&places[i], &places[j]) - rtt);
        all += rtt > RTT_LEAST ? rtt : RTT_LEAST;
    }
    return all > 0 ? wrong / all : 0;
}

/* The file has coordinates itself: distances of half a round trip. */
static void take_over(const struct xn_latency *latency,
                      struct dev_place *places)
{
    uint32_t i;

    for (i = 0; i < latency->places; i++) {
        places[i].x = 2 * latency->xy[2 * (size_t)i];
        places[i].y = 2 * latency->xy[2 * (size_t)i + 1];
    }
}

int dev_places(const struct xn_latency *latency, uint64_t seed,
               struct dev_place **places_out)
{
    struct dev_place *places = calloc(latency->places, sizeof *places);
    struct xn_rng rng;
    uint32_t i;

    if (!places) return XN_ENOMEM;
    xn_rng_seed(&rng, seed);
    if (latency->xy) {
        take_over(latency, places);
    } else {
        for (i = 0; i < latency->places; i++) {
            places[i].x = 100 * xn_rng_unit(&rng) - 50;
            places[i].y = 100 * xn_rng_unit(&rng) - 50;
        }
        relax(latency, &rng, places);
    }
    for (i = 0; i < latency->places; i++)
        places[i].error = error_of(latency, &rng, places, i);
    *places_out = places;
    return 0;
}
