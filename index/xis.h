/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoServer Information Service: one node's shard of the index.
 *
 * What a node holds: each advertisement one of whose tokens has this node
 * among the copies of its trie node's key (near: owner and two neighbours; far:
 * two at a salted key).  An advertisement is stored whole and once, verified,
 * with columns derived from it, so any shard evaluates the whole of any query.
 * Who holds what follows from the ring alone; nothing is posted for others.
 *
 * A shard that this node has newly come to hold is unsettled until a former
 * holder has handed it over (or, all former holders being lost, until a grace
 * has passed in which publishers put again): asked meanwhile, the node says
 * XN_ENOTYET, never "none".
 *
 * A component of the node core, over overlay/ov.h.
 */
#ifndef INDEX_XIS_H
#define INDEX_XIS_H

#include "overlay/ov.h"
#include "seam/tickets.h"

struct xis;

struct xis_config {
    uint32_t copies_near;  /* 3 */
    uint32_t copies_far;   /* 2 */
    uint64_t lease_us_max; /* AD_LEASE_US_MAX */
    uint64_t sync_us;      /* background digest exchange; 60 s */
    uint64_t grace_us;     /* all former holders lost; 15 s */
    size_t ads_max;        /* bound; 1 000 000 */
    /* Whose ads are refused; the user's, and xis_revoke is called when it has
     * changed.  NULL: nobody's. */
    const struct revoked *revoked;
};

int xis_new(const struct xis_config *config, struct ov *ov, struct xn_rng *rng,
            struct xn_tickets *tickets, struct xis **xis_out);
void xis_free(struct xis *xis);
/* What it was made of. */
const struct xis_config *xis_self(const struct xis *xis);

/* Load what the store has (READ actions); answers are XN_ENOTYET until the
 * load is done. */
void xis_start(struct xis *xis, const struct xn_now *now, struct xn_out *out);

/* Instead: as one that started long ago in this leaf set, where nobody has
 * anything, and is settled. */
void xis_stand(struct xis *xis, const struct xn_now *now, struct xn_out *out);

/* More keys are revoked: their ads go.  Looks at all that are held. */
void xis_revoke(struct xis *xis, struct xn_out *out);

/* What is dated was judged wrongly until now: as if new here, and "not yet"
 * until the neighbours have handed over. */
void xis_unsettle(struct xis *xis, const struct xn_now *now,
                  struct xn_out *out);

/* From the overlay: kinds PUT, FIND, SYNC, OFFER, HAVE. */
void xis_deliver(struct xis *xis, const struct xn_now *now,
                 const struct ov_request *request, struct xn_out *out);
void xis_leaves_changed(struct xis *xis, const struct xn_now *now,
                        struct xn_out *out);
void xis_peer_changed(struct xis *xis, const struct xn_now *now, xn_peer peer,
                      bool joined, struct xn_out *out);

/* Publish: put these ads at all places of their tokens (and of old_tokens),
 * and keep them there while their leases last: re-put where places change.
 * Ends the ASK `ticket` with a Published or a Refusal. */
void xis_publish(struct xis *xis, const struct xn_now *now, uint64_t ticket,
                 const Xn__Publish *publish, struct xn_out *out);

/* Evaluate here and now on the local columns.  0, XN_ENOTYET, XN_EINVAL.
 * On success *found is the caller's: xis_found_free. */
int xis_find(struct xis *xis, const struct xn_now *now, const Xn__Find *find,
             Xn__Found **found);
void xis_found_free(Xn__Found *found);

size_t xis_ads(const struct xis *xis); /* live ones held */
bool xis_settled(const struct xis *xis);
bool xis_check(const struct xis *xis, char *why_out, size_t len);

/* For checkers: is this version of this server's ad held live here? */
bool xis_has(const struct xis *xis, const xn_id *server, uint64_t version,
             const struct xn_now *now);
/* And is it durable, with a lease that lasts until then? */
bool xis_keeps(const struct xis *xis, const xn_id *server, uint64_t version,
               const struct xn_now *then);

#endif
