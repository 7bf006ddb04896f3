/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the ways to a key that is far from us.
 *
 * A node knows everybody within the reach of its leaf set.  So there are three
 * kinds of next hop, by what it can do: the one nearest to the key may own it;
 * one within reach of the key knows the owner; one in the key's place of the
 * prefix table most likely knows one within reach.  Each further hop costs
 * time, and a near hop costs less than a far one: we take the kind and the link
 * of least expected delay.  Round trips are those that opening the link and
 * traffic have shown. */
#include "overlay/inside.h"

/* What the step from the key's place into its reach costs beyond the direct
 * way: the detour over a link that is near one of some dozens. */
#define STEP_US 50000U

/* What the step to an owner that we are not linked to takes: about a round trip
 * between any two nodes. */
#define LAST_US 150000U

static uint64_t key_apart(const struct ov *ov, const struct query *q,
                          const struct link *link)
{
    return table_apart(&q->key, &link_contact(ov, link)->position);
}

/* The nearest in time of those beside the key, both ways from it up to `within`
 * of it; NULL: none. */
static struct link *best_beside(const struct ov *ov, const struct query *q,
                                uint64_t within)
{
    size_t n = ov->ring.n, at = ring_lower(ov, &q->key), i;
    struct link *best = NULL, *link;
    int up;

    for (up = 0; up < 2; up++) {
        for (i = 0; i < n; i++) {
            link = link_at(&ov->ring, up ? (at + i) % n : (at + n - 1 - i) % n);
            if (key_apart(ov, q, link) > within) break;
            if (!query_may_use(q, link)) continue;
            if (!best || watch_near(link) < watch_near(best)) best = link;
        }
    }
    return best;
}

/* The same of those in its place of the table that bring it nearer. */
static struct link *best_placed(const struct ov *ov, const struct query *q)
{
    uint64_t ours = table_apart(&q->key, &ov->config.position);
    struct table_place place;
    struct link *best = NULL;
    size_t i, end;

    table_place(&ov->shape, &ov->config.position, &q->key, &place);
    ring_within(ov, &place, &i, &end);
    for (; i < end; i++) {
        struct link *link = link_at(&ov->ring, i);

        if (key_apart(ov, q, link) >= ours) continue;
        if (!query_may_use(q, link)) continue;
        if (!best || watch_near(link) < watch_near(best)) best = link;
    }
    return best;
}

/* What a request saves over the nearest one, which may own the key: the last
 * step, in so many cases as nobody is nearer whom we do not know.  Nodes are
 * at random, `spacing` apart in the mean: e^-x of them, where x is how many
 * there should be within the distance on both sides. */
static uint32_t saved_us(uint64_t apart, uint64_t spacing)
{
    uint64_t x = apart / (spacing / 256 + 1); /* 128ths */

    if (x >= 10 * 128) return 0;
    return (uint32_t)((uint64_t)LAST_US * 16384 /
                      (16384 + 128 * x + x * x / 2));
}

/* Whose leaf set surely reaches the key. */
static uint64_t beside_within(uint64_t reach)
{
    return reach - reach / 4;
}

struct link *way_choose(const struct ov *ov, const struct query *q,
                        struct link *nearest)
{
    uint64_t reach = ring_reach(ov), spacing = reach / ov->config.leaves;
    uint64_t ours = table_apart(&q->key, &ov->config.position);
    struct link *beside, *placed;
    uint32_t saved;

    if (ours <= reach) return nearest;
    beside = best_beside(ov, q, beside_within(reach));
    placed = best_placed(ov, q);
    if (!beside) return placed ? placed : nearest;
    saved = saved_us(key_apart(ov, q, nearest), spacing);
    if (placed && watch_near(placed) + STEP_US < watch_near(beside)) {
        return watch_near(nearest) < watch_near(placed) + STEP_US + saved
                   ? nearest
                   : placed;
    }
    return watch_near(nearest) < watch_near(beside) + saved ? nearest : beside;
}

Xn__Way way_why(const struct ov *ov, const struct query *q,
                const struct link *nearest, const struct link *chosen)
{
    if (chosen == nearest) return XN__WAY__WAY_NEAREST;
    return key_apart(ov, q, chosen) <= beside_within(ring_reach(ov))
               ? XN__WAY__WAY_BESIDE
               : XN__WAY__WAY_PLACE;
}
