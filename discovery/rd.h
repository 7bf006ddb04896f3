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
#include "seam/tickets.h"
#include "wire/id.h"
#include "wire/query.h"
#include "wire/revoked.h"

struct rd;

/* rc and a FOUND message (lent), from whom, as which copy that was asked. */
typedef void rd_found(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *found, const xn_id *from, uint32_t copy,
                      struct xn_out *out);

/* What is to be expected of a copy before it is asked. */
struct rd_expect {
    uint32_t rtt_us;  /* there and back; 0: not known */
    uint32_t late_us; /* nineteen answers of twenty have come by then */
};

struct rd_index {
    void *user;
    /* Ask copy `copy` (near copies first, then far ones) of this token's trie
     * node; fn is called exactly once, perhaps at once. */
    void (*ask)(void *user, const struct xn_now *now, const Xn__Find *find,
                uint32_t copy, uint64_t deadline_us, rd_found *fn, void *owner,
                void *ctx, struct xn_out *out);
    uint32_t copies; /* near + far */
    uint32_t copies_near;
    uint64_t lease_us_max; /* of ads */
    /* May be NULL: nothing is known of any. */
    void (*expect)(void *user, const struct xn_now *now, const Xn__Find *find,
                   uint32_t copy, struct rd_expect *expect_out);
    /* What was asked with this ctx has been answered by another copy: it is
     * forgotten, and its fn is not called any more. */
    void (*enough)(void *user, const void *ctx);
    const struct revoked *revoked; /* whose do not count; NULL: nobody's */
};

int rd_new(const struct rd_index *index, struct xn_rng *rng,
           struct xn_tickets *tickets, struct rd **rd_out);
void rd_free(struct rd *rd);

/* More than this nobody gets from one copy at once. */
#define RD_ADS_MAX 1000

/* Search and end the ASK `ticket` with a SearchResult or a Refusal.  Bounded:
 * at most RD_SEARCHES_MAX at once (gets are counted with them), then XN_EBUSY.
 * One copy is asked, at random; another one when that is late, or within_ms
 * asks for it (discovery/race.h). */
#define RD_SEARCHES_MAX 1024
void rd_search(struct rd *rd, const struct xn_now *now, uint64_t ticket,
               const Xn__Search *search, struct xn_out *out);
/* One server's ad by its id, verified: signatures by VERIFY, then the rules of
 * wire/ad.h.  A copy that does not have it, or gives what does not hold, is
 * passed over for the next at once.  Ends the ASK with a SearchResult of one
 * hit, or of none where all that answered say so; or a Refusal. */
void rd_get(struct rd *rd, const struct xn_now *now, uint64_t ticket,
            const Xn__Get *request, struct xn_out *out);
void rd_cancel(struct rd *rd, uint64_t ticket);
size_t rd_searches(const struct rd *rd);

/* Counts since the start. */
struct rd_stats {
    uint64_t searches, gets;
    uint64_t asked;   /* copies, for both */
    uint64_t hedged;  /* of these, since another was late */
    uint64_t refuted; /* answers to gets that did not hold */
};
const struct rd_stats *rd_stats(const struct rd *rd);

#endif
