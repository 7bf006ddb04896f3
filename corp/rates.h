/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often each may ask for what stays in the books for ever: a bucket for
 * everybody whose bucket is not full.  A table of fixed size: where it is full,
 * who asked longest ago is forgotten, which gives him a full bucket. */
#ifndef CORP_RATES_H
#define CORP_RATES_H

#include <stddef.h>

#include "lib/bucket.h"

struct corp_rates;

/* A rate of burst 0 is none: at least one at once, unless there is no bound.
 * `secret`: where callers fall in the table is not theirs to choose. */
int corp_rates_new(const struct xn_rate *rate, size_t most, uint64_t secret,
                   struct corp_rates **rates_out);
void corp_rates_free(struct corp_rates *rates); /* NULL is fine */

/* Take one of his; returns 0, or how long he has to wait, in microseconds, and
 * none is taken.  Out of memory nobody is refused. */
uint64_t corp_rates_take(struct corp_rates *rates, const void *who, size_t len,
                         uint64_t now_us);
/* What was taken was not needed. */
void corp_rates_give(struct corp_rates *rates, const void *who, size_t len);
#define CORP_RATES_TEXT 120
/* "orders of one client: 1000 at once, then 60 a minute"; or so many a day */
void corp_rates_text(const struct corp_rates *rates, const char *of,
                     char out[CORP_RATES_TEXT]);
size_t corp_rates_count(const struct corp_rates *rates);

#endif
