/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the nodes that we have heard of to dial next.
 *
 * Would-be neighbours first.  Then, while there are fewer links than we want,
 * where links do not last the one that is farthest from all, and where they do
 * any; and who should be nearer than those that we have (pns.c), or fills an
 * empty place of the prefix table. */
#include <utlist.h>

#include "overlay/inside.h"

#define APART_TRIES 64U /* looks at random hints */
#define DIALS_KEPT 4U   /* of DIALS_MAX, from each kind that could take all */

/* A dial that fails takes its place for long.  So none of these kinds has all
 * places: who was never linked, for hearsay may be invented; who failed before,
 * for in a parted network that is half of all; who would be no neighbour, for
 * neighbours are wanted most. */
struct room {
    bool unmet, failed, far; /* one more of it may be dialled */
};

static struct room room_for(const struct ov *ov)
{
    size_t unmet = 0, failed = 0, far = 0, most = DIALS_MAX - DIALS_KEPT;
    const struct hint *hint;

    DL_FOREACH2(ov->dials, hint, dial_next)
    {
        unmet += !hint->met;
        failed += hint->failures > 0;
        far += !ring_is_leaf(ov, &hint->position);
    }
    return (struct room){unmet < most, failed < most, far < most};
}

/* A link may be open and wait for its HELLO: the hint goes when that comes. */
static bool is_due(const struct ov *ov, const struct hint *hint,
                   const struct xn_now *now, const struct room *room)
{
    if (hint->ticket || hint->next_us > now->mono_us) return false;
    if (hint->failures && !room->failed) return false;
    if (!room->far && !ring_is_leaf(ov, &hint->position)) return false;
    if (!hint->met && (!room->unmet || !teller_may(ov, now, hint->teller) ||
                       dials_go_to(ov, hint->address))) {
        return false;
    }
    return !link_has_id(ov, &hint->id);
}

/* Of those who claim to be beside us who was named last, and of these the
 * nearest: who lost half of all to a partition is told by the others who is
 * left, and need not first try all in vain. */
static struct hint *pick_leaf(const struct ov *ov, const struct xn_now *now,
                              const struct room *room)
{
    size_t n = ov->hints_pos.n, at, d;
    struct hint *best = NULL;

    if (n == 0) return NULL;
    at = hint_pos_lower(ov, &ov->config.position, &ov->config.id);
    for (d = 0; d < n; d++) {
        struct hint *side[] = {hint_at(&ov->hints_pos, (at + d) % n),
                               hint_at(&ov->hints_pos, (at + n - 1 - d) % n)};
        size_t leaves = 0, i;

        for (i = 0; i < 2; i++) {
            if (!ring_is_leaf(ov, &side[i]->position)) continue;
            leaves++;
            if (best && best->named_us >= side[i]->named_us) continue;
            if (is_due(ov, side[i], now, room)) best = side[i];
        }
        if (leaves == 0) break; /* farther ones are none either */
    }
    return best;
}

/* Those whose time has come and for whose kind there is room, linked before or
 * not: so many of hints_due. */
struct due {
    size_t met, n;
};

static struct due due_now(const struct ov *ov, const struct xn_now *now,
                          const struct room *room)
{
    struct due due = {.met = hints_due(ov, now, true)};

    due.n = due.met;
    if (room->unmet) due.n += hints_due(ov, now, false) - ov->n_met;
    return due;
}

static struct hint *due_at(const struct ov *ov, const struct due *due, size_t i)
{
    return hint_at(&ov->hints_due, i < due->met ? i : i - due->met + ov->n_met);
}

static struct hint *due_draw(const struct ov *ov, const struct due *due)
{
    return due_at(ov, due, xn_rng_below(ov->rng, due->n));
}

static struct hint *pick_any(const struct ov *ov, const struct xn_now *now,
                             const struct room *room)
{
    struct due due = due_now(ov, now, room);
    size_t at, i;

    if (due.n == 0) return NULL;
    at = xn_rng_below(ov->rng, due.n);
    for (i = 0; i < due.n; i++) {
        struct hint *hint = due_at(ov, &due, (at + i) % due.n);

        if (is_due(ov, hint, now, room)) return hint;
    }
    return NULL;
}

/* At the budget: some that would fill a gap of the prefix table. */
static struct hint *pick_gap(const struct ov *ov, const struct xn_now *now,
                             const struct room *room)
{
    struct due due = due_now(ov, now, room);
    size_t i;

    for (i = 0; i < GAP_TRIES && due.n > 0; i++) {
        struct hint *hint = due_draw(ov, &due);

        if (is_due(ov, hint, now, room) &&
            places_fills_gap(ov, &hint->position)) {
            return hint;
        }
    }
    return NULL;
}

/* Where everybody is at the budget a dial mostly costs two nodes a handshake
 * for nothing: with half of the budget filled there is no hurry. */
static bool may_better(struct ov *ov, const struct xn_now *now)
{
    if (!links_crowded(ov, now) || ov->ring.n < ov->config.links_max / 2) {
        return true;
    }
    if (now->mono_us < ov->calm_us) return false;
    ov->calm_us = now->mono_us + hints_jittered(ov, CALM_US);
    return true;
}

/* Whom we are about to be linked to: dialled, or waited for to say HELLO. */
struct coming {
    uint64_t at[DIALS_MAX + NEW_MAX];
    size_t n;
};

static void coming_add(struct coming *coming, const xn_id *position)
{
    if (coming->n == DIALS_MAX + NEW_MAX) return;
    coming->at[coming->n++] = xn_id_head(position);
}

static void coming_find(const struct ov *ov, struct coming *coming)
{
    const struct hint *hint;
    uint32_t left = ov->n_new, i;

    coming->n = 0;
    DL_FOREACH2(ov->dials, hint, dial_next)
    {
        coming_add(coming, &hint->position);
    }
    for (i = 0; left > 0 && i < ov->by_peer.n; i++) {
        const struct link *link = link_at(&ov->by_peer, i);

        if (link->state != LINK_NEW) continue;
        coming_add(coming, &link_contact(ov, link)->position);
        left--;
    }
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How far is it to the nearest of us, our links and those to come? */
static uint64_t apart_at(const struct ov *ov, const struct coming *coming,
                         const xn_id *position)
{
    size_t n = ov->ring.n, at = ring_lower(ov, position), i;
    uint64_t head = xn_id_head(position);
    uint64_t apart = table_apart(position, &ov->config.position);

    for (i = n > 0 ? 2 : 0; i > 0; i--) { /* on either side of it */
        const struct xn_contact *link = ring_contact(ov, (at + n - i + 1) % n);

        apart = lesser(apart, table_apart(position, &link->position));
    }
    for (i = 0; i < coming->n; i++) {
        uint64_t way = head - coming->at[i];

        apart = lesser(apart, lesser(way, -way));
    }
    return apart;
}

/* Fewer links than nodes: of some, the one farthest from all links, so that each
 * key is within reach of one of them. */
static struct hint *pick_apart(const struct ov *ov, const struct xn_now *now,
                               const struct room *room)
{
    struct due due = due_now(ov, now, room);
    struct hint *best = NULL;
    struct coming coming;
    uint64_t most = 0;
    size_t i;

    coming_find(ov, &coming);
    for (i = 0; i < APART_TRIES && due.n > 0; i++) {
        struct hint *hint = due_draw(ov, &due);
        uint64_t here;

        if (!is_due(ov, hint, now, room)) continue;
        here = apart_at(ov, &coming, &hint->position);
        if (best && here <= most) continue;
        best = hint;
        most = here;
    }
    return best ? best : pick_any(ov, now, room);
}

/* Who is near to many is chosen by many, and can be by as many as have not been
 * linked to it for nothing: so no more than the table takes, and some. */
size_t links_enough(const struct ov *ov)
{
    return ov->config.links_max - 3 * (ov->config.links_max / 8);
}

/* As many as it wants; then again when a quarter is lost.  Where that is all of
 * the budget and there are more nodes, the rest is for who chooses us, and what
 * is lost is soon replaced: the nearest are found among those. */
static bool has_enough(struct ov *ov, const struct xn_now *now, size_t want)
{
    size_t n = ov->ring.n + ov->n_new + ov->n_dials, least = want - want / 4;

    if (want == ov->config.links_max) {
        if (!links_crowded(ov, now)) return n >= want;
        want = links_enough(ov);
        least = want - want / 12;
    }
    if (n >= want) ov->grown = true;
    if (n < least) ov->grown = false;
    return ov->grown;
}

struct hint *hint_pick(struct ov *ov, const struct xn_now *now)
{
    struct room room = room_for(ov);
    struct hint *hint = ov_is_guest(ov) ? NULL : pick_leaf(ov, now, &room);
    size_t want = links_wanted(ov);

    /* All who would be neighbours have been looked at. */
    if (hint || ov->hints.n == 0 || !room.far) return hint;
    if (want < ov->config.links_max) {
        if (!has_enough(ov, now, want)) return pick_apart(ov, now, &room);
        links_set_partial(ov, now);
        return NULL;
    }
    hint = pns_pick(ov);
    if (hint && is_due(ov, hint, now, &room)) return hint;
    if (!may_better(ov, now)) return NULL;
    if (!has_enough(ov, now, want)) return pick_any(ov, now, &room);
    return pick_gap(ov, now, &room);
}

/* Those that are due and were not picked are looked at again later. */
uint64_t hints_next(const struct ov *ov, const struct xn_now *now)
{
    size_t met = hints_due(ov, now, true), unmet = hints_due(ov, now, false);
    uint64_t next_us = UINT64_MAX, unmet_us;

    if (met < ov->n_met) next_us = hint_at(&ov->hints_due, met)->next_us;
    if (unmet < ov->hints_due.n) {
        unmet_us = hint_at(&ov->hints_due, unmet)->next_us;
        if (unmet_us < next_us) next_us = unmet_us;
    }
    if (met + unmet - ov->n_met > ov->n_dials &&
        next_us > now->mono_us + GOSSIP_MAX_US)
        next_us = now->mono_us + GOSSIP_MAX_US;
    return next_us;
}
