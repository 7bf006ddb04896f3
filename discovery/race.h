/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which copy of a shard is asked, and when the next one is asked as well.
 *
 * The nearest comes first, or any one.  While its answer is due nobody else is asked; for
 * each that is late, or says that it has nothing, the next nearest is.  A late answer
 * is still good: whichever comes first counts.  So a copy that is slow costs
 * the time in which it should have answered, and a fast one costs no message
 * more.  Where an answer is wanted by some time, the next copy is asked in time
 * to meet it, at once with the first if need be.
 *
 * Pure: who is asked and timed is the caller's affair.  Microseconds of mono
 * time. */
#ifndef DISCOVERY_RACE_H
#define DISCOVERY_RACE_H

#include <stdbool.h>
#include <stdint.h>

#include "discovery/rd.h"

#define RACE_COPIES_MAX 16

/* What further copies may cost: one a question in the mean.  Those that were
 * not needed are kept for bad times, up to so many. */
#define RACE_BURST 16
struct race_budget {
    uint32_t left;
};

struct race {
    uint32_t order[RACE_COPIES_MAX];
    struct rd_expect expect[RACE_COPIES_MAX]; /* of these, in this order */
    uint64_t late_us[RACE_COPIES_MAX]; /* when each that was asked is late */
    bool failed[RACE_COPIES_MAX];
    uint32_t n, asked, n_failed;
    uint64_t begun_us, asked_us; /* the first one, the last one */
    uint64_t by_us;              /* an answer is wanted by then; 0: no bound */
    uint64_t wait_us; /* from then on one more is asked than are late; 0: not */
};

/* `near` of the n copies first, at random; `nearest`: the nearer in time before
 * the farther, those of which nothing is known behind them at random.  Then the
 * others in their order.  expect[i] is copy i's. */
void race_start(struct race *race, const struct rd_expect *expect, uint32_t n,
                uint32_t near, bool nearest, struct xn_rng *rng,
                struct race_budget *budget);
/* The copy to ask now; there must be one. */
uint32_t race_next(struct race *race, uint64_t now_us);
bool race_is_over(const struct race *race); /* all have been asked */
/* This copy, which was asked, is of no use: another one is due, and that this
 * one is late tells nothing any more. */
void race_fail(struct race *race, uint32_t copy);
/* When the next one is to be asked if no answer has come; UINT64_MAX: none. */
uint64_t race_due(const struct race *race);
/* The last moment at which the next one may be asked so that it can still
 * answer in time; UINT64_MAX: there is no bound, or it could not meet it. */
uint64_t race_bound(const struct race *race);
/* It is due: may it be asked?  When it must be for the sake of a bound it always
 * may, since who sets one asks for it; before that it is as without. */
bool race_may_hedge(const struct race *race, uint64_t now_us,
                    struct race_budget *budget);

#endif
