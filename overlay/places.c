/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The links by the places of the prefix table (table.h): how many are in each,
 * who is the nearest there, and who can be spared. */
#include "overlay/inside.h"

/* ---- the nearest ---- */

size_t places_nearest(const struct ov *ov, size_t first, size_t end)
{
    size_t best = RING_NONE, i;

    for (i = first; i < end; i++) {
        uint32_t near_us = ring_near(ov, i);

        if (near_us == 0 || ov->ring.routes[i].silent) continue;
        if (!(ov_features(ov, ring_peer(ov, i)) & OV_FEATURE_PNS)) continue;
        if (best == RING_NONE || near_us < ring_near(ov, best)) best = i;
    }
    return best;
}

bool places_is_nearest(const struct ov *ov, const struct link *link)
{
    size_t at = ring_find(ov, link->peer), first, end;
    struct table_place place;

    table_place(ov->digit, &ov->config.position,
                &link_contact(ov, link)->position, &place);
    ring_within(ov, &place, &first, &end);
    return places_nearest(ov, first, end) == at;
}

/* ---- at the budget ---- */

/* How many links we have in the place that this position belongs in. */
static size_t place_count(const struct ov *ov, const xn_id *position)
{
    struct table_place place;
    size_t first, end;

    table_place(ov->digit, &ov->config.position, position, &place);
    ring_within(ov, &place, &first, &end);
    return end - first;
}

static uint32_t serial_of(const struct ov *ov, size_t at)
{
    const struct link *link = link_find(ov, ring_peer(ov, at));

    return link ? link->serial : 0;
}

/* Would rather go than the other, from places as full: who is farther away,
 * else who is linked shorter. */
static bool goes_first(const struct ov *ov, size_t at, size_t other)
{
    uint32_t near = ring_near(ov, at), other_near = ring_near(ov, other);

    if (near != other_near) return near > other_near;
    return serial_of(ov, at) > serial_of(ov, other);
}

size_t places_fullest(const struct ov *ov, size_t *count_out)
{
    size_t worst = RING_NONE, i, worst_count = 0;

    for (i = 0; i < ov->ring.n; i++) {
        const xn_id *position = &ring_contact(ov, i)->position;
        size_t count;

        if (ring_is_leaf(ov, position)) continue;
        count = place_count(ov, position);
        if (count > worst_count ||
            (count == worst_count && worst != RING_NONE &&
             goes_first(ov, i, worst))) {
            worst = i;
            worst_count = count;
        }
    }
    *count_out = worst_count;
    return worst;
}

bool places_fills_gap(const struct ov *ov, const xn_id *position)
{
    size_t count;

    if (place_count(ov, position) > 0) return false;
    return places_fullest(ov, &count) != RING_NONE && count >= 2;
}

/* ---- of those that we dialled ---- */

/* It stood, or we dialled it. */
static bool is_ours(const struct ov *ov, size_t at)
{
    const struct link *link = link_find(ov, ring_peer(ov, at));

    return !link || !link->incoming;
}

static bool is_idle(const struct ov *ov, size_t at)
{
    const struct link *link = link_find(ov, ring_peer(ov, at));

    return !link || (!link->sent && !link->held);
}

/* Of those that we dialled and that are no neighbours: the farthest (idle: that
 * waits for nothing), but not the nearest, nor who is that in the place.  Where
 * one is silent another may be needed.  RING_NONE: there is none. */
static size_t spare_of(const struct ov *ov, size_t first, size_t end, bool idle,
                       size_t *ours_out)
{
    size_t near = RING_NONE, worst = RING_NONE, i;
    size_t nearest = places_nearest(ov, first, end);

    *ours_out = 0;
    for (i = first; i < end; i++) {
        if (ov->ring.routes[i].silent) return RING_NONE;
        if (!is_ours(ov, i)) continue;
        if (ring_is_leaf(ov, &ring_contact(ov, i)->position)) continue;
        ++*ours_out;
        if (near == RING_NONE || ring_near(ov, i) < ring_near(ov, near))
            near = i;
    }
    for (i = first; i < end; i++) {
        if (i == near || i == nearest || !is_ours(ov, i)) continue;
        if (ring_is_leaf(ov, &ring_contact(ov, i)->position)) continue;
        if (idle && !is_idle(ov, i)) continue;
        if (worst == RING_NONE || ring_near(ov, i) > ring_near(ov, worst))
            worst = i;
    }
    return worst;
}

size_t places_spare(const struct ov *ov, bool idle)
{
    size_t worst = RING_NONE, most = 0, first, end = 0, at, ours;
    struct table_place place;

    while (end < ov->ring.n) {
        table_place(ov->digit, &ov->config.position,
                    &ring_contact(ov, end)->position, &place);
        ring_within(ov, &place, &first, &end);
        if (end - first <= most) continue;
        at = spare_of(ov, first, end, idle, &ours);
        if (at == RING_NONE || ours <= most) continue;
        worst = at;
        most = ours;
    }
    return worst;
}

size_t places_ours(const struct ov *ov)
{
    size_t n = 0, i;

    for (i = 0; i < ov->ring.n; i++)
        n += is_ours(ov, i);
    return n;
}
