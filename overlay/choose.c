/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a request goes next.
 *
 * Who answers a request must be whom it is for: of all nodes that live, the
 * copy-th nearest to the key.  A node that is silent may be slow, and a link
 * that is lost may have been the link's fault, so neither makes another the
 * owner.  In such doubt the request goes to the next nearest as a witness: it
 * has a link of its own to the node in question and sends it on there, or it
 * has lost that node too and says so, or it waits as we do until PINGs have
 * shown whether that node is gone.  Only a kind that any copy may answer goes
 * past a silent node at once. */
#include <string.h>

#include "overlay/inside.h"
#include "overlay/queries.h"

bool query_tried(const struct query *q, xn_peer peer)
{
    size_t i;

    for (i = 0; i < q->n_tried; i++) {
        if (q->tried[i] == peer) return true;
    }
    return false;
}

bool query_is_lax(const struct ov *ov, const struct query *q)
{
    return q->kind == ov->config.any_copy_kind && q->kind != 0;
}

/* Silent ones are passed over: they will soon be gone, or heard again. */
bool query_may_use(const struct ov *ov, const struct query *q, size_t at)
{
    return !ov->ring.routes[at].silent && !query_tried(q, ring_peer(ov, at));
}

struct sight {
    size_t first;  /* the nearest usable one before us; RING_NONE */
    size_t wanted; /* the copy asked; RING_SELF; RING_NONE: too few */
    bool has_self; /* we are among those looked at */
};

/* The copy has been seen, and whether somebody usable is before us. */
static bool is_enough(const struct query *q, const struct sight *sight,
                      size_t rank)
{
    return rank > q->copy && (sight->has_self || sight->first != RING_NONE);
}

/* `lax`: as if those that are not usable did not exist. */
static void look_around(const struct ov *ov, const struct query *q, size_t max,
                        bool lax, struct sight *sight)
{
    struct walk walk;
    size_t rank = 0, at;

    *sight = (struct sight){.first = RING_NONE, .wanted = RING_NONE};
    walk_start(&walk, ov, &q->key);
    while (rank < max && (lax || !is_enough(q, sight, rank)) &&
           walk_next(&walk, &at)) {
        bool usable = at == RING_SELF || query_may_use(ov, q, at);

        if (!usable && lax) continue;
        if (at == RING_SELF) sight->has_self = true;
        if (usable && sight->first == RING_NONE && !sight->has_self) {
            sight->first = at;
        }
        if (rank == q->copy) sight->wanted = at;
        rank++;
    }
}

static bool is_asker(const struct ov *ov, const struct query *q, size_t at)
{
    return q->from && q->from->peer == ring_peer(ov, at);
}

/* The nearest one that could know more; RING_NONE. */
static size_t find_witness(const struct ov *ov, const struct query *q,
                           size_t wanted)
{
    size_t left = 2 * (size_t)ov->config.leaves, at;
    struct walk walk;

    if (q->witness || q->yours || q->n_sent >= WAYS_MAX) return RING_NONE;
    walk_start(&walk, ov, &q->key);
    while (left-- > 0 && walk_next(&walk, &at)) {
        if (at == RING_SELF || at == wanted || is_asker(ov, q, at)) continue;
        if (query_may_use(ov, q, at)) return at;
    }
    return RING_NONE;
}

/* Do we know so little yet that anybody may be nearer? */
static bool is_newcomer(const struct ov *ov, const struct xn_now *now)
{
    if (ov_is_guest(ov) && ov->ring.n == 0) return true;
    if (ov->introduced || now->mono_us >= ov->young_us) return false;
    return !ov->joined || ov->ring.n > 0 || hints_fresh(ov, now);
}

bool ov_is_member(const struct ov *ov, const struct xn_now *now)
{
    return !ov->leaving && !ov_is_guest(ov) && !is_newcomer(ov, now);
}

/* Might somebody whom we do not know, or know no more, come before us? */
static bool in_doubt(const struct ov *ov, const struct xn_now *now,
                     const struct query *q)
{
    if (q->yours) return false; /* a witness says no */
    if (is_newcomer(ov, now)) return true;
    /* A witness that has lost the same node is asked by one who has. */
    return !q->witness && hints_doubt(ov, now, &q->key);
}

static enum hop choose_copy(const struct ov *ov, const struct xn_now *now,
                            const struct query *q, size_t wanted,
                            size_t *at_out)
{
    *at_out = wanted;
    if (wanted >= RING_NONE) {
        if (!in_doubt(ov, now, q)) return HOP_HERE;
    } else if (is_asker(ov, q, wanted)) {
        *at_out = RING_NONE;
        if (!q->witness) return HOP_HERE;
        return is_newcomer(ov, now) ? HOP_WAIT : HOP_YOURS;
    } else if (query_may_use(ov, q, wanted)) {
        return HOP_ON;
    }
    *at_out = find_witness(ov, q, wanted);
    if (*at_out != RING_NONE) return HOP_WITNESS;
    *at_out = wanted;
    return HOP_WAIT;
}

static enum hop choose_any(const struct ov *ov, const struct query *q,
                           const struct sight *sight, bool near, size_t *at_out)
{
    *at_out = near                        ? sight->wanted
              : sight->first == RING_NONE ? RING_NONE
                                          : way_choose(ov, q, sight->first);
    if (near && sight->wanted == RING_NONE) {
        return q->from ? HOP_HERE : HOP_NOWHERE;
    }
    if (*at_out >= RING_NONE || q->hops >= HOPS_MAX || is_asker(ov, q, *at_out))
        return HOP_HERE;
    return HOP_ON;
}

/* Those nearest to the key know the order there; others only the way. */
static bool look(const struct ov *ov, const struct xn_now *now,
                 const struct query *q, struct sight *sight)
{
    bool mesh = !links_crowded(ov, now), lax = query_is_lax(ov, q);
    size_t max = q->copy + 1;
    struct walk walk;

    if (!mesh && max < ov->config.leaves) max = ov->config.leaves;
    look_around(ov, q, max, lax, sight);
    if (mesh || lax) return mesh || sight->has_self;
    walk_start(&walk, ov, &q->key);
    return walk_rank_of_us(&walk) < max;
}

bool route_is_near(const struct ov *ov, const struct xn_now *now,
                   const struct query *q)
{
    struct sight sight;

    return look(ov, now, q, &sight);
}

size_t route_copy(const struct ov *ov, const struct xn_now *now,
                  const xn_id *key, uint32_t copy)
{
    const struct query q = {
        .key = *key, .copy = copy, .kind = ov->config.any_copy_kind};
    struct sight sight;

    return look(ov, now, &q, &sight) ? sight.wanted : RING_NONE;
}

Xn__Way route_why(const struct ov *ov, const struct xn_now *now,
                  const struct query *q, const struct link *link)
{
    size_t at = ring_find(ov, link->peer);
    struct sight sight;

    if (!look(ov, now, q, &sight)) return way_why(ov, q, sight.first, at);
    return at == sight.wanted ? XN__WAY__WAY_OWNER : XN__WAY__WAY_WITNESS;
}

static enum hop choose(const struct ov *ov, const struct xn_now *now,
                       const struct query *q, size_t *at_out)
{
    struct sight sight;
    bool near = look(ov, now, q, &sight), lax = query_is_lax(ov, q);

    if (lax) return choose_any(ov, q, &sight, near, at_out);
    *at_out = RING_NONE;
    if (q->hops >= HOPS_MAX) return HOP_NOWHERE;
    if (near) {
        if (sight.wanted == RING_NONE && !in_doubt(ov, now, q)) {
            return q->from ? HOP_HERE : HOP_NOWHERE;
        }
        return choose_copy(ov, now, q, sight.wanted, at_out);
    }
    if (sight.first == RING_NONE) return HOP_WAIT;
    *at_out = way_choose(ov, q, sight.first);
    if (!is_asker(ov, q, *at_out)) return HOP_ON;
    return q->witness ? HOP_YOURS : HOP_WAIT;
}

enum hop route_choose(struct ov *ov, const struct xn_now *now,
                      const struct query *q, struct link **link_out)
{
    size_t at = RING_NONE;
    enum hop hop = choose(ov, now, q, &at);

    *link_out = at >= RING_NONE ? NULL : ring_link(ov, at);
    /* Without the memory to send it now, perhaps later. */
    return at >= RING_NONE || *link_out ? hop : HOP_WAIT;
}
