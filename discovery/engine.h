/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An engine: one way to turn a query into questions to the index.  To add one,
 * write its file and its row in engine.c. */
#ifndef DISCOVERY_ENGINE_H
#define DISCOVERY_ENGINE_H

#include "discovery/summaries.h"
#include "wire/query.h"

struct rd_engine {
    const char *name;
    /* Is this query of its kind? */
    bool (*fits)(const struct query *query);
    /* Adapt the query before it is sent; 0 or an error. */
    int (*prepare)(struct query *query);
    /* The token whose shard to ask; every match has it.  Static, or points
     * into the query. */
    const char *(*token)(const struct query *query,
                         const struct rd_summaries *summaries);
};

/* By name, or for "" the first that fits; NULL: there is none. */
const struct rd_engine *rd_engine_find(const char *name,
                                       const struct query *query);

/* The smallest of the shards that hold every match, as far as is known: what
 * `match` does, for engines that differ elsewhere. */
const char *rd_smallest_token(const struct query *query,
                              const struct rd_summaries *summaries);

extern const struct rd_engine rd_engine_cost;
extern const struct rd_engine rd_engine_match;

#endif
