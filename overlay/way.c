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
#include "overlay/queries.h"

/* What the step from the key's place into its reach costs beyond the direct
 * way: the detour over a link that is near one of some dozens. */
#define STEP_US 50000U

/* About a round trip between any two nodes: what the step to an owner that we are
 * not linked to takes, and one to whom no time is known of. */
#define LAST_US 150000U

static uint64_t key_apart(const struct ov *ov, const struct query *q, size_t at)
{
    return table_apart(&q->key, &ring_contact(ov, at)->position);
}

static uint32_t near_us(const struct ov *ov, size_t at)
{
    uint32_t us = ring_near(ov, at);

    return us ? us : LAST_US;
}

/* The nearer in time of the two; RING_NONE is none. */
static size_t sooner(const struct ov *ov, size_t best, size_t at)
{
    if (best == RING_NONE) return at;
    return near_us(ov, at) < near_us(ov, best) ? at : best;
}

/* The nearest in time of those beside the key, both ways from it up to `within`
 * of it; RING_NONE. */
static size_t best_beside(const struct ov *ov, const struct query *q,
                          uint64_t within)
{
    size_t n = ov->ring.n, from = ring_lower(ov, &q->key), i, at;
    size_t best = RING_NONE;
    int up;

    for (up = 0; up < 2; up++) {
        for (i = 0; i < n; i++) {
            at = up ? (from + i) % n : (from + n - 1 - i) % n;
            if (!ring_apart_within(ov, at, &q->key, within)) break;
            if (query_may_use(ov, q, at)) best = sooner(ov, best, at);
        }
    }
    return best;
}

/* The same of those in its place of the table that bring it nearer. */
static size_t best_placed(const struct ov *ov, const struct query *q)
{
    uint64_t ours = table_apart(&q->key, &ov->config.position);
    struct table_place place;
    size_t i, end, best = RING_NONE;

    if (ours == 0) return RING_NONE; /* nobody is nearer */
    table_place(ov->digit, &ov->config.position, &q->key, &place);
    ring_within(ov, &place, &i, &end);
    for (; i < end; i++) {
        if (!query_may_use(ov, q, i)) continue;
        if (!ring_apart_within(ov, i, &q->key, ours - 1)) continue;
        best = sooner(ov, best, i);
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

size_t way_choose(const struct ov *ov, const struct query *q, size_t nearest)
{
    uint64_t reach = ring_reach(ov), spacing = reach / ov->config.leaves;
    uint64_t ours = table_apart(&q->key, &ov->config.position);
    uint32_t first = near_us(ov, nearest), saved, beside_us, placed_us;
    size_t beside, placed;

    if (ours <= reach) return nearest;
    beside = best_beside(ov, q, beside_within(reach));
    placed = best_placed(ov, q);
    if (beside == RING_NONE) return placed != RING_NONE ? placed : nearest;
    saved = saved_us(key_apart(ov, q, nearest), spacing);
    beside_us = near_us(ov, beside);
    if (placed != RING_NONE) {
        placed_us = near_us(ov, placed) + STEP_US;
        if (placed_us < beside_us) {
            return first < placed_us + saved ? nearest : placed;
        }
    }
    return first < beside_us + saved ? nearest : beside;
}

Xn__Way way_why(const struct ov *ov, const struct query *q, size_t nearest,
                size_t chosen)
{
    if (chosen == nearest) return XN__WAY__WAY_NEAREST;
    return key_apart(ov, q, chosen) <= beside_within(ring_reach(ov))
               ? XN__WAY__WAY_BESIDE
               : XN__WAY__WAY_PLACE;
}
