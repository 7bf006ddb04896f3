/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often callers may do something, such as ask or connect: a token bucket
 * for each, by source address or name, in a table of fixed size.  Sources that
 * fall on one place share it, and where they fall nobody outside can know. */
#ifndef NET_BUDGET_H
#define NET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct net_budget;

/* per_s a second, twice as many at once. */
int net_budget_new(unsigned per_s, struct net_budget **budget_out);
void net_budget_free(struct net_budget *budget);
/* Take one; false: there is none left now. */
bool net_budget_take(struct net_budget *budget, uint64_t source,
                     uint64_t now_us);

#endif
