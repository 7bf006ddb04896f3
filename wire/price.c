/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/price.h"

#include "lib/err.h"

/* The exact product of two amounts has up to 24 decimals: kept as whole units
 * of 1e-12 and a rest of 1e-24ths, so that only the end rounds. */
struct wide {
    xn_i128 high; /* 1e-12 */
    xn_i128 low;  /* 1e-24, 0 <= low < 1e12 */
};

static int add_product(struct wide *sum, xn_dec price, xn_dec usage)
{
    xn_i128 whole = price.v / XN_DEC_ONE, part = price.v % XN_DEC_ONE;
    xn_i128 usage_whole = usage.v / XN_DEC_ONE;
    xn_i128 usage_part = usage.v % XN_DEC_ONE;
    xn_dec high = {sum->high}, term = {0};
    int rc;

    if (price.v < 0 || usage.v < 0) return XN_EINVAL;
    /* whole x usage: exact in 1e-12, checked by dec. */
    rc = xn_dec_mul((xn_dec){whole * XN_DEC_ONE}, usage, &term);
    if (rc) return rc;
    rc = xn_dec_add(high, term, &high);
    if (rc) return rc;
    /* part x whole units: below 1e12 x 1e25. */
    rc = xn_dec_add(high, (xn_dec){part * usage_whole}, &high);
    if (rc) return rc;
    sum->low += part * usage_part;
    rc = xn_dec_add(high, (xn_dec){sum->low / XN_DEC_ONE}, &high);
    sum->low %= XN_DEC_ONE;
    sum->high = high.v;
    return rc;
}

static int add_all(struct wide *sum, const struct price_list *prices,
                   const struct price_usage *usage)
{
    const struct {
        xn_dec price, usage;
    } terms[] = {
        {prices->setup, xn_dec_int(1)},
        {prices->per_hour, usage->hours},
        {prices->cpu_second, usage->cpu_s},
        {prices->memory_mb_hour, usage->memory_mb_h},
        {prices->net_gb, usage->net_gb},
        {prices->disk_gb_hour, usage->disk_gb_h},
    };
    size_t i;
    int rc;

    for (i = 0; i < sizeof terms / sizeof terms[0]; i++) {
        rc = add_product(sum, terms[i].price, terms[i].usage);
        if (rc) return rc;
    }
    return 0;
}

/* In `unit`s of 1e-12, half to even.  Amounts are never negative. */
static xn_i128 round_wide(const struct wide *sum, xn_i128 unit)
{
    xn_i128 quotient = sum->high / unit;
    xn_i128 rest = sum->high % unit * XN_DEC_ONE + sum->low; /* 1e-24ths */
    xn_i128 half = unit * XN_DEC_ONE / 2;

    if (rest > half || (rest == half && (quotient & 1))) quotient++;
    return quotient;
}

int price_exact(const struct price_list *prices,
                const struct price_usage *usage, xn_dec *sum_out)
{
    struct wide sum = {0, 0};
    int rc = add_all(&sum, prices, usage);

    if (rc) return rc;
    return xn_dec_add((xn_dec){round_wide(&sum, 1)}, xn_dec_int(0), sum_out);
}

int price_amount(const struct price_list *prices,
                 const struct price_usage *usage, int64_t *micro_out)
{
    struct wide sum = {0, 0};
    xn_i128 micro;
    int rc = add_all(&sum, prices, usage);

    if (rc) return rc;
    micro = round_wide(&sum, XN_DEC_ONE / 1000000);
    if (micro > INT64_MAX) return XN_EOVERFLOW;
    *micro_out = (int64_t)micro;
    return 0;
}

int price_charge(const struct price_list *prices,
                 const struct price_usage *usage, int64_t charged_micro,
                 int64_t *micro_out)
{
    int64_t amount;
    int rc = price_amount(prices, usage, &amount);

    if (rc) return rc;
    if (charged_micro < 0 || charged_micro > amount) return XN_EINVAL;
    *micro_out = amount - charged_micro;
    return 0;
}
