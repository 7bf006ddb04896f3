/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The price function: one for the cost search, the host, the corp and the
 * bill.
 *
 *   amount = round_half_even(SetUp + PricePerHour x h + CPUSecond x s
 *                            + MemoryMBHour x MB h + NetGB x GB
 *                            + DiskGBHour x GB h)
 *
 * over cumulative usage, in micro-units of the currency; unit prices are exact
 * decimals to 1e-12.  A charge is amount(now) less what is charged already.
 */
#ifndef WIRE_PRICE_H
#define WIRE_PRICE_H

#include "lib/dec.h"

struct price_list { /* per unit; zero where the server asks nothing */
    xn_dec setup;
    xn_dec per_hour;
    xn_dec cpu_second;
    xn_dec memory_mb_hour;
    xn_dec net_gb;
    xn_dec disk_gb_hour;
};

struct price_usage { /* cumulative since the session's start */
    xn_dec hours;
    xn_dec cpu_s;
    xn_dec memory_mb_h;
    xn_dec net_gb;
    xn_dec disk_gb_h;
};

/* The sum before rounding to micro-units: exact but for one rounding at 1e-12,
 * half to even.  XN_EOVERFLOW, XN_EINVAL for a negative price or usage. */
int price_exact(const struct price_list *prices,
                const struct price_usage *usage, xn_dec *sum_out);
/* Rounded once, half to even. */
int price_amount(const struct price_list *prices,
                 const struct price_usage *usage, int64_t *micro_out);

/* What is still to charge: the amount now less what is charged already.
 * XN_EINVAL: more is charged than that; else as price_amount. */
int price_charge(const struct price_list *prices,
                 const struct price_usage *usage, int64_t charged_micro,
                 int64_t *micro_out);

#endif
