/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cost: what a whole job costs on each server, cheapest first; the paper's
 * "find a XenoServer which may run a job with these resource requirements at a
 * total cost of 10 pounds" (section IV-B).  Holders compute the totals with
 * the price function of wire/price.h. */
#include "discovery/engine.h"

static bool cost_fits(const struct query *query)
{
    return query_proto(query)->job;
}

static int cost_prepare(struct query *query)
{
    const Xn__Sort *sort = query_proto(query)->sort;

    if (sort && sort->token && *sort->token) return 0;
    return query_set_sort(query, "total", false);
}

const struct rd_engine rd_engine_cost = {
    .name = "cost",
    .fits = cost_fits,
    .prepare = cost_prepare,
    .token = rd_smallest_token,
};
