/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Putting the answers of several copies of one shard together. */
#ifndef DISCOVERY_MERGE_H
#define DISCOVERY_MERGE_H

#include "seam/out.h"
#include "wire/id.h"

#define RD_SOURCES_MAX 16

struct rd_source {
    xn_id node;
    int rc;
    struct xn_msg *found; /* NULL where rc != 0 */
};

/* A zeroed struct is an empty one. */
struct rd_merge {
    struct rd_source sources[RD_SOURCES_MAX];
    size_t n;
};

void rd_merge_clear(struct rd_merge *merge);
/* `found` is kept by reference; `node` may be NULL where rc != 0.  A second
 * answer of the same node adds nothing. */
void rd_merge_add(struct rd_merge *merge, int rc, struct xn_msg *found,
                  const xn_id *node);
/* Has any copy answered? */
bool rd_merge_answered(const struct rd_merge *merge);

/* The union as the answer to `ticket`: the first answer's ads in its order,
 * then those that only others have.  For each source it says which servers it
 * left out though an ad that it did give ranks behind them with another; an
 * older version is left out, and so is a lease that is over at wall_us where
 * another source gave a live one. */
void rd_merge_answer(const struct rd_merge *merge, uint64_t wall_us,
                     uint64_t ticket, const char *engine, const char *token,
                     struct xn_out *out);

#endif
