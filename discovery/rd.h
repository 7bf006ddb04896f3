/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resource discovery: engines that answer find_xenoservers by asking the
 * index (the paper's section IV).  An engine is a table of functions; adding
 * one is one file and one row in engine.c.
 *
 * A component of the node core.  It knows the index only as "ask copy i of
 * this key": struct rd_index.
 */
#ifndef DISCOVERY_RD_H
#define DISCOVERY_RD_H

#include "lib/rng.h"
#include "seam/out.h"
#include "wire/id.h"
#include "wire/query.h"

struct rd;

/* rc and a FOUND message (lent), from whom. */
typedef void rd_found(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *found, const xn_id *from,
                      struct xn_out *out);

struct rd_index {
    void *user;
    /* Ask copy `copy` (near copies first, then far ones) of this token's trie
     * node; fn is called exactly once, perhaps at once. */
    void (*ask)(void *user, const struct xn_now *now, const Xn__Find *find,
                uint32_t copy, uint64_t deadline_us, rd_found *fn, void *owner,
                void *ctx, struct xn_out *out);
    uint32_t copies; /* near + far */
    uint32_t copies_near;
};

int rd_new(const struct rd_index *index, struct xn_rng *rng,
           struct rd **rd_out);
void rd_free(struct rd *rd);

/* More than this nobody gets from one copy at once. */
#define RD_ADS_MAX 1000

/* Search and end the ASK `ticket` with a SearchResult or a Refusal.  Bounded:
 * at most RD_SEARCHES_MAX at once, then XN_EBUSY. */
#define RD_SEARCHES_MAX 1024
void rd_search(struct rd *rd, const struct xn_now *now, uint64_t ticket,
               const Xn__Search *search, struct xn_out *out);
void rd_cancel(struct rd *rd, uint64_t ticket);
size_t rd_searches(const struct rd *rd);

#endif
