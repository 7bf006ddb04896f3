/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/bucket.h"

uint64_t xn_bucket_take(uint64_t *full_us, const struct xn_rate *rate,
                        uint64_t now_us)
{
    const uint64_t deep_us = rate->burst * rate->step_us;
    uint64_t owed_us = *full_us > now_us ? *full_us - now_us : 0;

    if (rate->step_us == 0) return 0;
    if (owed_us + rate->step_us > deep_us)
        return owed_us + rate->step_us - deep_us;
    *full_us = now_us + owed_us + rate->step_us;
    return 0;
}
