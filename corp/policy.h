/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp may choose: tables of functions with built-in rows.  Amounts
 * are micro-units. */
#ifndef CORP_POLICY_H
#define CORP_POLICY_H

#include "wire/money.h"

/* How much of an accepted order is paid to the server at once.  What is paid
 * so is not paid again with claims, and stays the server's where they come to
 * less. */
struct corp_prepay {
    const char *name;
    int64_t (*amount)(const struct money_quote *quote, int64_t order);
};

/* How much of what was paid so far is the corp's.  Of the whole, so that
 * rounding does not add up; never shrinks as `paid` grows, nor grows faster. */
struct corp_payout {
    const char *name;
    int64_t (*fee)(int64_t paid, uint32_t share_ppm);
};

/* "none", "setup"; "all", "share".  NULL: there is none of that name. */
const struct corp_prepay *corp_prepay_find(const char *name);
const struct corp_payout *corp_payout_find(const char *name);

#endif
