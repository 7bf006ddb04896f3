/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/policy.h"

#include <string.h>

#define PPM 1000000

static int64_t prepay_none(const struct money_quote *quote, int64_t order)
{
    return 0;
}

/* What a server asks for setting up: it has that cost before the first claim.
 */
static int64_t prepay_setup(const struct money_quote *quote, int64_t order)
{
    const struct price_usage none = {.hours = {0}};
    int64_t setup;

    if (price_amount(&quote->prices, &none, &setup) != 0) return 0;
    return setup < order ? setup : order;
}

static int64_t fee_none(int64_t paid, uint32_t share_ppm)
{
    return 0;
}

static int64_t fee_share(int64_t paid, uint32_t share_ppm)
{
    return (int64_t)((xn_i128)paid * share_ppm / PPM);
}

static const struct corp_prepay prepays[] = {
    {"none", prepay_none},
    {"setup", prepay_setup},
};

static const struct corp_payout payouts[] = {
    {"all", fee_none},
    {"share", fee_share},
};

const struct corp_prepay *corp_prepay_find(const char *name)
{
    for (size_t i = 0; i < sizeof prepays / sizeof prepays[0]; i++) {
        if (strcmp(prepays[i].name, name) == 0) return &prepays[i];
    }
    return NULL;
}

const struct corp_payout *corp_payout_find(const char *name)
{
    for (size_t i = 0; i < sizeof payouts / sizeof payouts[0]; i++) {
        if (strcmp(payouts[i].name, name) == 0) return &payouts[i];
    }
    return NULL;
}
