/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many ads each token's shard held when last heard of: soft state that
 * orders searches.  It prunes nothing, so a lying summary hides nothing. */
#ifndef DISCOVERY_SUMMARIES_H
#define DISCOVERY_SUMMARIES_H

#include <stdbool.h>
#include <stdint.h>

#define RD_SUMMARIES_MAX 4096

struct rd_summaries;

int rd_summaries_new(struct rd_summaries **summaries_out);
void rd_summaries_free(struct rd_summaries *summaries);

/* Remember; the longest untouched is forgotten when full. */
void rd_summary_put(struct rd_summaries *summaries, const char *token,
                    uint64_t ads);
bool rd_summary_get(const struct rd_summaries *summaries, const char *token,
                    uint64_t *ads_out);

#endif
