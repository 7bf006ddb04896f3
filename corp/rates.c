/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/rates.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/err.h"
#include "lib/rng.h"

#define MINUTE_US 60000000ULL
#define DAY_US (1440 * MINUTE_US)

struct row {
    uint64_t who;
    uint64_t full_us;
    UT_hash_handle hh; /* keeps the order of adding: who asked last is last */
};

struct corp_rates {
    struct xn_rate rate;
    size_t most;
    uint64_t secret;
    struct row *rows;
};

int corp_rates_new(const struct xn_rate *rate, size_t most, uint64_t secret,
                   struct corp_rates **rates_out)
{
    struct corp_rates *rates;

    if (rate->step_us && !rate->burst) return XN_EINVAL;
    rates = calloc(1, sizeof *rates);
    if (!rates) return XN_ENOMEM;
    rates->rate = *rate;
    rates->most = most;
    rates->secret = secret;
    *rates_out = rates;
    return 0;
}

static void forget(struct corp_rates *rates, struct row *row)
{
    HASH_DEL(rates->rows, row);
    free(row);
}

void corp_rates_free(struct corp_rates *rates)
{
    if (!rates) return;
    while (rates->rows)
        forget(rates, rates->rows);
    free(rates);
}

/* 64 bits that nobody outside can aim at. */
static uint64_t mix(const struct corp_rates *rates, const uint8_t *who,
                    size_t len)
{
    uint64_t all = rates->secret, word;

    while (len) {
        size_t n = len < sizeof word ? len : sizeof word;

        word = 0;
        memcpy(&word, who, n);
        all = xn_rng_mix(all, word);
        who += n;
        len -= n;
    }
    return all;
}

/* Out of its place, or new; and room for it. */
static struct row *take_row(struct corp_rates *rates, uint64_t who)
{
    struct row *row = NULL;

    HASH_FIND(hh, rates->rows, &who, sizeof who, row);
    if (row) {
        HASH_DEL(rates->rows, row);
        return row;
    }
    if (HASH_COUNT(rates->rows) >= rates->most) forget(rates, rates->rows);
    row = calloc(1, sizeof *row);
    if (row) row->who = who;
    return row;
}

uint64_t corp_rates_take(struct corp_rates *rates, const void *who, size_t len,
                         uint64_t now_us)
{
    struct row *row;
    uint64_t wait_us;

    if (!rates->rate.step_us) return 0;
    row = take_row(rates, mix(rates, who, len));
    if (!row) return 0;
    wait_us = xn_bucket_take(&row->full_us, &rates->rate, now_us);
    HASH_ADD(hh, rates->rows, who, sizeof row->who, row);
    /* Who is full by now need not be kept: two go for one that comes. */
    for (int i = 0; i < 2 && rates->rows->full_us <= now_us; i++)
        forget(rates, rates->rows);
    return wait_us;
}

void corp_rates_give(struct corp_rates *rates, const void *who, size_t len)
{
    uint64_t name = mix(rates, who, len);
    struct row *row;

    HASH_FIND(hh, rates->rows, &name, sizeof name, row);
    if (row && row->full_us > rates->rate.step_us)
        row->full_us -= rates->rate.step_us;
}

size_t corp_rates_count(const struct corp_rates *rates)
{
    return HASH_COUNT(rates->rows);
}

void corp_rates_text(const struct corp_rates *rates, const char *of,
                     char out[CORP_RATES_TEXT])
{
    uint64_t step_us = rates->rate.step_us;
    /* What the step was rounded off is no part of one. */
    bool whole = MINUTE_US / step_us && MINUTE_US % step_us < step_us / 100;

    snprintf(out, CORP_RATES_TEXT, "%.60s: %u at once, then %llu a %s", of,
             rates->rate.burst,
             (unsigned long long)((whole ? MINUTE_US : DAY_US) / step_us),
             whole ? "minute" : "day");
}
