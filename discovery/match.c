/* SPDX-License-Identifier: GPL-3.0-or-later */
/* match: servers that meet conditions, in the order asked. */
#include "discovery/engine.h"

static bool match_fits(const struct query *query)
{
    (void)query;
    return true;
}

static int match_prepare(struct query *query)
{
    (void)query;
    return 0;
}

const struct rd_engine rd_engine_match = {
    .name = "match",
    .fits = match_fits,
    .prepare = match_prepare,
    .token = rd_smallest_token,
};
