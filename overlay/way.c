/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the ways to a key that is far from us.
 *
 * A node knows everybody within the reach of its leaf set.  So there are three
 * kinds of next hop, by what it can do: the one nearest to the key may own it;
 * one within reach of the key knows the owner; one in the key's place of the
 * prefix table most likely knows one within reach.  Each further hop costs
 * time, and a near hop costs less than a far one: we take the kind and the link
 * of least expected delay, where a hop counts as more than its time.  Round trips are those that opening the link and
 * traffic have shown. */
#include "overlay/inside.h"
#include "overlay/queries.h"

/* A hop has its price, as time, for each takes nodes work and bytes. */
#define HOP_US 300000ULL

/* What the step from the key's place into its reach costs beyond the direct
 * way: the detour over a link that is near one of some dozens. */
#define STEP_US (50000ULL + HOP_US)

/* The one to an owner that we are not linked to: about a round trip between any
 * two nodes. */
#define LAST_US (150000ULL + HOP_US)

/* Of a link of whose time nothing is known. */
#define UNKNOWN_US 150000U

static uint64_t key_apart(const struct ov *ov, const struct query *q, size_t at)
{
    return table_apart(&q->key, &ring_contact(ov, at)->position);
}

static uint32_t near_us(const struct ov *ov, size_t at)
{
    uint32_t us = ring_near(ov, at);

    return us ? us : UNKNOWN_US;
}

/* The nearer in time of the two; RING_NONE is none. */
static size_t sooner(const struct ov *ov, size_t best, size_t at)
{
    if (best == RING_NONE) return at;
    return near_us(ov, at) < near_us(ov, best) ? at : best;
}

/* What is to be expected after a hop to a node so far from the key.  Nodes are at
 * random, so between them there are others by Poisson's distribution: none, and
 * it owns the key, in e^-x of all cases, where x is how many there should be as
 * near on both sides; and it knows the owner where there are no more than its
 * leaf set holds on a side, which is surely so, or surely not, 1.5 standard
 * deviations below, and above. */
struct beyond {
    uint64_t spacing; /* of nodes, in the mean */
    uint64_t knows, lost;
};

static struct beyond beyond_from(const struct ov *ov)
{
    uint64_t leaves = ov->config.leaves, root = 1;
    uint64_t spacing = ring_spacing(ov), reach = spacing * leaves, part;

    while ((root + 1) * (root + 1) <= leaves)
        root++;
    part = spacing * root * 3 / 2;
    if (part > reach) part = reach;
    return (struct beyond){spacing, reach - part, reach + part};
}

/* So long after it. */
static uint64_t beyond_us(const struct beyond *beyond, uint64_t apart)
{
    uint64_t x = apart / (beyond->spacing / 256 + 1); /* 128ths */
    uint64_t us = LAST_US;

    if (apart >= beyond->lost) return LAST_US + STEP_US;
    if (apart > beyond->knows) {
        uint64_t unit = (beyond->lost - beyond->knows) / 1024 + 1;

        us += STEP_US * ((apart - beyond->knows) / unit) / 1024;
    }
    if (x < 10 * 128) us -= LAST_US * 16384 / (16384 + 128 * x + x * x / 2);
    return us;
}

struct best {
    size_t at;
    uint64_t us;
};

static void best_of(const struct ov *ov, struct best *best, size_t at,
                    uint64_t beyond_us)
{
    uint64_t us = near_us(ov, at) + beyond_us;

    if (best->at != RING_NONE && us >= best->us) return;
    *best = (struct best){at, us};
}

/* Not back to who asks us, however near he is in time: he would send it here
 * again.  Only the nearest one to the key may be him, and is told so. */
static bool may_take(const struct ov *ov, const struct query *q, size_t nearest,
                     size_t at)
{
    if (at != nearest && q->from && q->from->peer == ring_peer(ov, at))
        return false;
    return query_may_use(ov, q, at);
}

/* Of those whose leaf set may reach the key, both ways from it, and who are nearer
 * to it than we are: so no request goes round in circles. */
static struct best best_beside(const struct ov *ov, const struct query *q,
                               size_t nearest)
{
    uint64_t ours = table_apart(&q->key, &ov->config.position), within;
    struct beyond beyond = beyond_from(ov);
    size_t n = ov->ring.n, from = ring_lower(ov, &q->key), i, at;
    struct best best = {.at = RING_NONE};
    int up;

    within = ours > 0 && ours - 1 < beyond.lost ? ours - 1 : beyond.lost;
    for (up = 0; up < 2; up++) {
        for (i = 0; i < n; i++) {
            at = up ? (from + i) % n : (from + n - 1 - i) % n;
            if (!ring_apart_within(ov, at, &q->key, within)) break;
            if (!may_take(ov, q, nearest, at)) continue;
            best_of(ov, &best, at, beyond_us(&beyond, key_apart(ov, q, at)));
        }
    }
    return best;
}

/* The nearest in time of those in its place of the table that bring it nearer. */
static size_t best_placed(const struct ov *ov, const struct query *q,
                          size_t nearest)
{
    uint64_t ours = table_apart(&q->key, &ov->config.position);
    struct table_place place;
    size_t i, end, best = RING_NONE;

    if (ours == 0) return RING_NONE; /* nobody is nearer */
    table_place(ov->digit, &ov->config.position, &q->key, &place);
    ring_within(ov, &place, &i, &end);
    for (; i < end; i++) {
        if (!may_take(ov, q, nearest, i)) continue;
        if (!ring_apart_within(ov, i, &q->key, ours - 1)) continue;
        best = sooner(ov, best, i);
    }
    return best;
}

size_t way_choose(const struct ov *ov, const struct query *q, size_t nearest)
{
    struct best best;
    size_t placed;

    if (ring_is_leaf(ov, &q->key)) return nearest; /* it is the owner */
    if (ov_is_guest(ov))
        return nearest; /* how dense nodes are shows no leaf set */
    best = best_beside(ov, q, nearest);
    placed = best_placed(ov, q, nearest);
    if (placed != RING_NONE) best_of(ov, &best, placed, STEP_US + LAST_US);
    return best.at != RING_NONE ? best.at : nearest;
}

Xn__Way way_why(const struct ov *ov, const struct query *q, size_t nearest,
                size_t chosen)
{
    if (chosen == nearest) return XN__WAY__WAY_NEAREST;
    return key_apart(ov, q, chosen) <= ring_reach(ov) ? XN__WAY__WAY_BESIDE
                                                      : XN__WAY__WAY_PLACE;
}
