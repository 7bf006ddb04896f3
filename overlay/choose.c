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

bool query_tried(const struct query *q, const struct link *link)
{
    size_t i;

    for (i = 0; i < q->n_tried; i++) {
        if (q->tried[i] == link->serial) return true;
    }
    return false;
}

bool query_is_lax(const struct ov *ov, const struct query *q)
{
    return q->kind == ov->config.any_copy_kind && q->kind != 0;
}

/* Silent ones are passed over: they will soon be gone, or heard again. */
bool query_may_use(const struct query *q, const struct link *link)
{
    return !query_tried(q, link) && link->probes < 2;
}

struct sight {
    struct link *first;  /* the nearest usable one before us; NULL: none */
    struct link *wanted; /* the copy asked; NULL: us */
    bool has_wanted, has_self; /* we are among those looked at */
};

/* `lax`: as if those that are not usable did not exist. */
static void look_around(const struct ov *ov, const struct query *q, size_t max,
                        bool lax, struct sight *sight)
{
    struct walk walk;
    struct link *link;
    size_t rank = 0;

    memset(sight, 0, sizeof *sight);
    walk_start(&walk, ov, &q->key);
    while (rank < max && walk_next(&walk, &link)) {
        bool usable = !link || query_may_use(q, link);

        if (!usable && lax) continue;
        if (!link) sight->has_self = true;
        if (usable && !sight->first && !sight->has_self) sight->first = link;
        if (rank == q->copy) {
            sight->wanted = link;
            sight->has_wanted = true;
        }
        rank++;
    }
}

/* The nearest one that could know more. */
static bool find_witness(const struct ov *ov, const struct query *q,
                         const struct link *wanted, struct link **link_out)
{
    size_t left = 2 * (size_t)ov->config.leaves;
    struct walk walk;
    struct link *link;

    if (q->witness || q->yours || q->n_sent >= SENDS_MAX) return false;
    walk_start(&walk, ov, &q->key);
    while (left-- > 0 && walk_next(&walk, &link)) {
        if (!link || link == wanted || link == q->from) continue;
        if (!query_may_use(q, link)) continue;
        *link_out = link;
        return true;
    }
    return false;
}

/* Do we know so little yet that anybody may be nearer? */
static bool is_newcomer(const struct ov *ov, const struct xn_now *now)
{
    if (ov->introduced || now->mono_us >= ov->young_us) return false;
    return !ov->joined || ov->ring.n > 0 || hints_fresh(ov, now);
}

bool ov_is_member(const struct ov *ov, const struct xn_now *now)
{
    return !ov->leaving && !is_newcomer(ov, now);
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
                            const struct query *q, struct link *wanted,
                            struct link **link_out)
{
    *link_out = wanted;
    if (!wanted) {
        if (!in_doubt(ov, now, q)) return HOP_HERE;
    } else if (wanted == q->from) {
        *link_out = NULL;
        if (!q->witness) return HOP_HERE;
        return is_newcomer(ov, now) ? HOP_WAIT : HOP_YOURS;
    } else if (query_may_use(q, wanted)) {
        return HOP_ON;
    }
    return find_witness(ov, q, wanted, link_out) ? HOP_WITNESS : HOP_WAIT;
}

static enum hop choose_any(const struct ov *ov, const struct query *q,
                           const struct sight *sight, bool near,
                           struct link **link_out)
{
    *link_out = near           ? sight->wanted
                : sight->first ? way_choose(ov, q, sight->first)
                               : NULL;
    if (near && !sight->has_wanted) return q->from ? HOP_HERE : HOP_NOWHERE;
    if (!*link_out || q->hops >= HOPS_MAX || *link_out == q->from) {
        return HOP_HERE;
    }
    return HOP_ON;
}

/* Those nearest to the key know the order there; others only the way. */
static bool look(const struct ov *ov, const struct xn_now *now,
                 const struct query *q, struct sight *sight)
{
    bool mesh = !links_crowded(ov, now);
    size_t max = q->copy + 1;

    if (!mesh && max < ov->config.leaves) max = ov->config.leaves;
    look_around(ov, q, max, query_is_lax(ov, q), sight);
    return mesh || sight->has_self;
}

Xn__Way route_why(const struct ov *ov, const struct xn_now *now,
                  const struct query *q, const struct link *link)
{
    struct sight sight;

    if (!look(ov, now, q, &sight)) return way_why(ov, q, sight.first, link);
    return link == sight.wanted ? XN__WAY__WAY_OWNER : XN__WAY__WAY_WITNESS;
}

enum hop route_choose(const struct ov *ov, const struct xn_now *now,
                      const struct query *q, struct link **link_out)
{
    struct sight sight;
    bool near = look(ov, now, q, &sight), lax = query_is_lax(ov, q);

    if (lax) return choose_any(ov, q, &sight, near, link_out);
    *link_out = NULL;
    if (q->hops >= HOPS_MAX) return HOP_NOWHERE;
    if (near) {
        if (!sight.has_wanted && !in_doubt(ov, now, q)) {
            return q->from ? HOP_HERE : HOP_NOWHERE;
        }
        return choose_copy(ov, now, q, sight.wanted, link_out);
    }
    if (!sight.first) return HOP_WAIT;
    *link_out = way_choose(ov, q, sight.first);
    if (*link_out != q->from) return HOP_ON;
    return q->witness ? HOP_YOURS : HOP_WAIT;
}
