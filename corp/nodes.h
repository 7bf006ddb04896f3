/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nodes that announced themselves lately.
 *
 * Live nodes stand in an array, for drawing at random, and in a list by the
 * time they were last seen, for letting go.  What changed is written to the
 * store in batches; a node that fell silent is dropped from it the same way.
 * Times are microseconds of mono time unless named wall.
 */
#ifndef CORP_NODES_H
#define CORP_NODES_H

#include "lib/rng.h"
#include "seam/out.h"
#include "wire/id.h"

#define CORP_NODES_KEY "n"   /* and 32 bytes of id */
#define CORP_NODES_BATCH 512 /* written by one TXN */

struct corp_nodes;

int corp_nodes_new(uint32_t max, uint64_t alive_us,
                   struct corp_nodes **nodes_out);
void corp_nodes_free(struct corp_nodes *nodes);

/* This node lives, here.  `address` has been checked.  XN_EBUSY: as many as
 * may be remembered are; XN_ENOMEM. */
int corp_nodes_seen(struct corp_nodes *nodes, const struct xn_now *now,
                    const xn_id *id, const xn_id *position,
                    const char *address);

/* It is handed out no more, until it is seen again. */
void corp_nodes_forget(struct corp_nodes *nodes, const xn_id *id);

/* A record from the store: the node gets the benefit of the doubt for alive_us
 * from now, unless it was last seen more than a day ago.  A malformed record
 * is passed over: XN_EINVAL. */
int corp_nodes_restore(struct corp_nodes *nodes, const struct xn_now *now,
                       const uint8_t *value, size_t len);

/* Up to `max` live nodes other than `but`, each equally likely, into list[];
 * they point into the table: good until it changes.  O(max^2). */
size_t corp_nodes_sample(struct corp_nodes *nodes, const struct xn_now *now,
                         struct xn_rng *rng, const xn_id *but, size_t max,
                         Xn__Contact *list);

/* Emit a TXN of what changed, at most a batch.  false: nothing to write, or
 * out of memory (out->rc).  One at a time: corp_nodes_written ends it. */
bool corp_nodes_write(struct corp_nodes *nodes, const struct xn_now *now,
                      uint64_t ticket, struct xn_out *out);
/* rc != 0: what was in it is to be written again. */
void corp_nodes_written(struct corp_nodes *nodes, int rc);
/* Is there anything that has to be written? */
bool corp_nodes_dirty(struct corp_nodes *nodes, const struct xn_now *now);

size_t corp_nodes_live(const struct corp_nodes *nodes);
bool corp_nodes_check(const struct corp_nodes *nodes, char *why_out,
                      size_t len);

#endif
