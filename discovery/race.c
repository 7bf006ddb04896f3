/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/race.h"

#include "lib/rng.h"

/* Nothing is known of it, or of the way there. */
#define UNKNOWN_LATE_US 1000000U

static void swap(struct race *race, uint32_t i, uint32_t j)
{
    uint32_t order = race->order[i];
    struct rd_expect expect = race->expect[i];

    race->order[i] = race->order[j];
    race->expect[i] = race->expect[j];
    race->order[j] = order;
    race->expect[j] = expect;
}

static bool is_nearer(const struct rd_expect *a, const struct rd_expect *b)
{
    return a->rtt_us && (!b->rtt_us || a->rtt_us < b->rtt_us);
}

void race_start(struct race *race, const struct rd_expect *expect, uint32_t n,
                uint32_t near, struct xn_rng *rng, struct race_budget *budget)
{
    uint32_t i, j;

    *race = (struct race){.n = n};
    if (near > n) near = n;
    for (i = 0; i < n; i++) {
        race->order[i] = i;
        race->expect[i] = expect[i];
        if (!race->expect[i].late_us) race->expect[i].late_us = UNKNOWN_LATE_US;
    }
    /* At random first, so that equals share the load. */
    for (i = 0; i + 1 < near; i++)
        swap(race, i, i + (uint32_t)xn_rng_below(rng, near - i));
    for (i = 1; i < near; i++) {
        for (j = i; j && is_nearer(&race->expect[j], &race->expect[j - 1]); j--)
            swap(race, j, j - 1);
    }
    if (budget->left < RACE_BURST) budget->left++;
}

uint32_t race_next(struct race *race, uint64_t now_us)
{
    race->asked_us = now_us;
    return race->order[race->asked++];
}

bool race_is_over(const struct race *race)
{
    return race->asked >= race->n;
}

/* The last moment at which the next one may be asked so that it can still
 * answer in time; UINT64_MAX: there is no bound, or it could not meet it. */
static uint64_t bound_us(const struct race *race)
{
    uint64_t late_us;

    if (!race->by_us || race_is_over(race)) return UINT64_MAX;
    late_us = race->expect[race->asked].late_us;
    if (race->by_us < race->asked_us + late_us) return UINT64_MAX;
    return race->by_us - late_us;
}

uint64_t race_due(const struct race *race)
{
    uint64_t due_us, by_us = bound_us(race), wait_us;

    if (race_is_over(race) || !race->asked) return UINT64_MAX;
    wait_us = race->expect[race->asked - 1].late_us;
    if (race->asked == 1 && race->wait_us && race->wait_us < wait_us) {
        wait_us = race->wait_us;
    }
    due_us = race->asked_us + wait_us;
    return by_us < due_us ? by_us : due_us;
}

bool race_may_hedge(const struct race *race, struct race_budget *budget)
{
    if (bound_us(race) != UINT64_MAX) return true;
    if (!budget->left) return false;
    budget->left--;
    return true;
}
