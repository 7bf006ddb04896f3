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
                uint32_t near, bool nearest, struct xn_rng *rng,
                struct race_budget *budget)
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
    for (i = 1; nearest && i < near; i++) {
        for (j = i; j && is_nearer(&race->expect[j], &race->expect[j - 1]); j--)
            swap(race, j, j - 1);
    }
    if (budget->left < RACE_BURST) budget->left++;
}

uint32_t race_next(struct race *race, uint64_t now_us)
{
    uint32_t at = race->asked++;

    if (at == 0) race->begun_us = now_us;
    race->asked_us = now_us;
    race->late_us[at] = now_us + race->expect[at].late_us;
    return race->order[at];
}

void race_fail(struct race *race, uint32_t copy)
{
    uint32_t at = 0;

    while (at < race->asked && race->order[at] != copy)
        at++;
    if (at == race->asked || race->failed[at]) return;
    race->failed[at] = true;
    race->n_failed++;
}

bool race_is_over(const struct race *race)
{
    return race->asked >= race->n;
}

uint64_t race_bound(const struct race *race)
{
    uint64_t late_us;

    if (!race->by_us || race_is_over(race)) return UINT64_MAX;
    late_us = race->expect[race->asked].late_us;
    if (race->by_us < race->asked_us + late_us) return UINT64_MAX;
    return race->by_us - late_us;
}

/* As many are to be asked as are late or have failed, and one more; after
 * wait_us two more.  So the next is due with the k-th of these events, if k have
 * been asked and not failed. */
uint64_t race_due(const struct race *race)
{
    uint64_t events[RACE_COPIES_MAX + 1], event_us, by_us = race_bound(race);
    uint32_t n = 0, k = race->asked - race->n_failed, i, at;

    if (race_is_over(race)) return UINT64_MAX;
    if (k == 0) return race->asked_us;
    for (i = 0; i <= race->asked; i++) {
        if (i == race->asked && !race->wait_us) break;
        if (i < race->asked && race->failed[i]) continue;
        event_us =
            i < race->asked ? race->late_us[i] : race->begun_us + race->wait_us;
        for (at = n++; at && events[at - 1] > event_us; at--)
            events[at] = events[at - 1];
        events[at] = event_us;
    }
    return by_us < events[k - 1] ? by_us : events[k - 1];
}

bool race_may_hedge(const struct race *race, uint64_t now_us,
                    struct race_budget *budget)
{
    if (race_bound(race) <= now_us) return true;
    if (!budget->left) return false;
    budget->left--;
    return true;
}
