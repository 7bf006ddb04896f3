/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include <utlist.h>

#include "overlay/inside.h"
#include "overlay/queries.h"

static const char *check_full(const struct ov *ov)
{
    size_t i, live = 0, new = 0, named = 0;

    for (i = 0; i < ov->by_peer.n; i++) {
        const struct link *link = link_at(&ov->by_peer, i);

        if (ov->handles[i] != link->peer) return "a wrong handle";
        if (i > 0 && link_at(&ov->by_peer, i - 1)->peer >= link->peer) {
            return "links out of order by handle";
        }
        live += link->state == LINK_LIVE && !link_is_apart(link);
        new += link->state == LINK_NEW;
        named += link->state != LINK_CLOSING && !link->stood;
        if (link->state == LINK_CLOSING && (link->sent || link->held)) {
            return "a request waits on a closed link";
        }
    }
    if (live + ov->ring.n_stood != ov->ring.n || new != ov->n_new) {
        return "links miscounted";
    }
    if (named != ov->by_id.n) return "links by id miscounted";
    for (i = 1; i < ov->by_id.n; i++) {
        if (xn_id_cmp(&link_contact(ov, link_at(&ov->by_id, i - 1))->id,
                      &link_contact(ov, link_at(&ov->by_id, i))->id) >= 0) {
            return "links out of order by id, or two to one node";
        }
    }
    return NULL;
}

static const char *check_ring(const struct ov *ov)
{
    size_t i, before = 0, stood = 0, awake = 0;

    for (i = 0; i < ov->ring.n; i++) {
        const xn_id *position = &ring_contact(ov, i)->position;
        const struct link *link = link_find(ov, ring_peer(ov, i));

        before += xn_id_cmp(position, &ov->config.position) < 0;
        stood += !link;
        if (link && link->state != LINK_LIVE) return "dead on ring";
        awake += link && link->stood;
        if (link && ov->ring.routes[i].silent != (link->probes >= 2)) {
            return "a silent link is not marked so";
        }
        if (i > 0 &&
            xn_id_cmp(&ring_contact(ov, i - 1)->position, position) > 0) {
            return "ring out of order";
        }
        if (ring_find(ov, ring_peer(ov, i)) != i) return "not found on ring";
    }
    if (stood != ov->ring.n_stood || awake != ov->ring.n_awake) {
        return "links that stand miscounted";
    }
    return before == ov->self_at ? NULL : "our own place is wrong";
}

static const char *check_leaves(const struct ov *ov)
{
    if (ov->depth == 0 && ov->leaves_mark != leaves_mark(ov)) {
        return "leaf set is not of the ring";
    }
    if (ov->ring.n > ov->config.links_max) return "over the link budget";
    return ov->n_new <= ov->config.links_max + NEW_MAX ? NULL
                                                       : "too many new links";
}

static bool is_live_id(const struct ov *ov, const xn_id *id)
{
    const struct link *link = link_find_id(ov, id);

    return link ? link->state == LINK_LIVE && !link_is_apart(link)
                : ring_find_id(ov, id) != RING_NONE;
}

static const char *check_hints(const struct ov *ov)
{
    size_t i, dials = 0, met = 0;
    const struct hint *dial;

    if (ov->hints.n != ov->hints_pos.n || ov->hints.n != ov->hints_due.n) {
        return "hints miscounted";
    }
    for (i = 0; i < ov->hints_due.n; i++) {
        const struct hint *hint = hint_at(&ov->hints_due, i);

        if (hint->met != (i < ov->n_met))
            return "hints linked before not first";
        if (i != 0 && i != ov->n_met &&
            hint_at(&ov->hints_due, i - 1)->next_us > hint->next_us) {
            return "hints out of order by when they are due";
        }
    }
    if (ov->hints.n > HINTS_MAX) return "too many hints";
    for (i = 0; i < ov->hints.n; i++) {
        const struct hint *hint = ov->hints.v[i];

        if (i > 0) {
            const struct hint *last = ov->hints.v[i - 1];

            if (xn_id_cmp(&last->id, &hint->id) >= 0) {
                return "hints out of order";
            }
        }
        if (is_live_id(ov, &hint->id)) return "a hint for a linked node";
        dials += hint->ticket != 0;
        met += hint->met;
    }
    if (met != ov->n_met) return "hints that were linked miscounted";
    if (ov->n_dials > DIALS_MAX) return "too many dials";
    if (dials != ov->n_dials) return "dials miscounted";
    DL_FOREACH2(ov->dials, dial, dial_next)
    {
        if (!dial->ticket) return "a dial that is none";
        dials--;
    }
    if (dials != 0) return "a dial is not listed";
    return NULL;
}

static const char *check_queries(const struct ov *ov)
{
    size_t i, from = 0, held = 0, kept = 0;

    if (ov->queries.n > QUERIES_MAX) return "too many requests";
    for (i = 0; i < ov->queries.n; i++) {
        const struct query *q = ov->queries.v[i];

        if (i > 0) {
            const struct query *last = ov->queries.v[i - 1];

            if (last->number >= q->number) return "requests out of order";
        }
        from += q->from != NULL;
        kept += q->kept;
        if (q->via && q->delivered) return "a request in two places";
        if (q->n_tried > WAYS_MAX) return "a request sent too often";
        if (!q->carrier && !q->delivered && !q->enough)
            return "a request without a body";
        if (ov->depth == 0 && !q->timer) return "a request for ever";
    }
    for (i = 0; i < ov->by_peer.n; i++) {
        const struct link *link = link_at(&ov->by_peer, i);

        if (link->asked > QUERIES_FROM_ONE) return "a peer asks too much";
        held += link->asked;
        if (link->kept > KEPT_FROM_ONE + XN_MSG_MAX)
            return "a peer's too large";
    }
    if (kept != ov->kept) return "bytes of requests miscounted";
    return from == held && from == ov->n_from && from <= QUERIES_FROM_ALL
               ? NULL
               : "requests of peers miscounted";
}

bool ov_check(const struct ov *ov, char *why_out, size_t len)
{
    const char *why = check_full(ov);

    if (!why) why = check_ring(ov);
    if (!why) why = check_leaves(ov);
    if (!why) why = check_hints(ov);
    if (!why) why = check_queries(ov);
    if (!why && !trace_check(ov)) why = "traces or what is relayed miscounted";
    if (!why && !visit_check(ov)) why = "visits miscounted";
    if (!why && !guest_check(ov)) why = "guests miscounted";
    if (!why && !owners_check(ov)) why = "owners beyond the bound";
    if (!why && !seek_check(ov)) why = "searches miscounted";
    if (!why) return true;
    snprintf(why_out, len, "overlay: %s", why);
    return false;
}
