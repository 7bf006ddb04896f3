/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Proximity neighbour selection: for each place of the prefix table, the
 * nearest in time.
 *
 * Who joins takes for a place whoever is named first.  Afterwards the places
 * are gone through, one at a time: whoever we are linked to there and is the
 * nearest to us is asked which of its own links in the same place should be
 * nearest to where we are (vivaldi.h); it knows a good part of that place, for
 * there its own table is finer by a digit.  Where we have nobody, another one is
 * asked whose table has the same place.  One of them that should be nearer is
 * dialled, and those that we dialled before and that are nearest nowhere go, from
 * the fullest places and the farthest first, while we have more than leaves room
 * for who chooses us.  So a table comes to what its node would have chosen
 * itself among some hundred for each place (Gummadi et al., "The impact of DHT
 * routing geometry on resilience and proximity", SIGCOMM 2003).  Where a whole
 * round has bettered little, the next one takes twice as long.
 *
 * What is named is hearsay: a liar costs a dial in vain, once for each time
 * that it is asked, as the round trip of the link itself shows.  Where we are
 * goes by round trips that we measured, one for each link when it begins and one
 * for each question, not by how often somebody speaks.  However many link to us,
 * of those that we chose ourselves a quarter of the budget stays, and of each
 * place the nearest. */
#include <stdlib.h>

#include "overlay/inside.h"

#define SAMPLES_MIN 16U /* then we know where we are */
#define PACE_MIN_US SECOND_US
#define PACE_MAX_US (128 * SECOND_US)
#define AWAIT_US (60 * SECOND_US) /* while there is nothing to better */
#define NEAR_BEST 4U              /* named in one answer */
#define WORTH 16U                 /* one question in so many pays */
#define SPARE_MAX 4U              /* links given up at a time */
#define MOVED_US 10000U           /* by less our neighbours need not know */
#define FAILURES_FEW 2U           /* such a one may be dialled again */

struct pns {
    struct vivaldi self, told; /* our neighbours: then */
    uint32_t samples;
    uint32_t asked, bettered; /* in this round */
    bool said;                /* all links know where we are */
    bool wanted;              /* `nearer` is to be dialled */
    xn_id nearer, dialled;
    uint64_t next; /* the first bits of where the next place begins */
    xn_peer of;    /* who was asked, and has not answered; XN_PEER_NONE */
    struct table_place place; /* about this one */
    uint64_t timer, pace_us;
};

/* ---- where we are ---- */

static void pns_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out);

static void set_timer(struct ov *ov, const struct xn_now *now, uint64_t us,
                      struct xn_out *out)
{
    ov->pns->timer =
        xn_ticket(ov->tickets, now->mono_us + us, pns_due, ov, NULL, out);
}

static struct pns *pns_new(void)
{
    struct pns *pns = calloc(1, sizeof *pns);

    if (!pns) return NULL;
    vivaldi_start(&pns->self);
    pns->of = XN_PEER_NONE;
    pns->pace_us = PACE_MIN_US;
    return pns;
}

void pns_measured(struct ov *ov, const struct xn_now *now, struct link *link,
                  struct xn_out *out)
{
    struct pns *pns = ov->pns;

    if (!link->sample || link->coordinate.error <= 0) return;
    link->sample = false;
    if (!pns) pns = ov->pns = pns_new();
    if (!pns) return; /* it goes without */
    if (!vivaldi_sample(&pns->self, &link->coordinate, watch_near(link),
                        ov->rng)) {
        return;
    }
    pns->samples++;
    if (!pns->timer && pns->samples >= SAMPLES_MIN && !ov->leaving) {
        set_timer(ov, now, hints_jittered(ov, PACE_MIN_US), out);
    }
}

/* Links pay off only where they last. */
static bool links_last(const struct ov *ov)
{
    return links_wanted(ov) == ov->config.links_max;
}

/* That there are more nodes than the budget is hearsay (HELLO), and who gives up
 * links has others believe it: one liar would part an overlay in which all are
 * linked to all.  So our neighbours must lie closer, too. */
static bool is_dense(const struct ov *ov)
{
    return ring_nodes(ov) >
           ov->config.links_max + (uint64_t)ov->config.links_max / 2;
}

/* As long as nobody knows where he is, all begin at one point. */
Xn__Coordinate *pns_say(const struct ov *ov, Xn__Coordinate *out)
{
    vivaldi_say(ov->pns ? &ov->pns->self : &(struct vivaldi){.error = 1}, out);
    return out;
}

/* ---- a question, and its answer ---- */

static void ask(struct ov *ov, const struct xn_now *now, struct link *link,
                const struct table_place *place, struct xn_out *out)
{
    Xn__Peers peers = XN__PEERS__INIT;
    Xn__Coordinate coordinate;

    peers.want = true;
    peers.from = xn_id_bytes(&place->lo);
    peers.bits = (place->level + 1) * ov->digit;
    peers.coordinate = pns_say(ov, &coordinate);
    ov->pns->of = link->peer;
    ov->pns->place = *place;
    ov->pns->asked++;
    ov_send(out, link->peer, XN__KIND__PEERS, &peers);
    link->sample = true;
    watch_probe(ov, now, link, false, out);
}

struct best {
    size_t at[NEAR_BEST];
    uint32_t us[NEAR_BEST];
    size_t n;
};

static void best_add(struct best *best, size_t at, uint32_t us)
{
    size_t i = best->n < NEAR_BEST ? best->n++ : NEAR_BEST - 1;

    if (i == NEAR_BEST - 1 && best->n == NEAR_BEST && best->us[i] &&
        us >= best->us[i]) {
        return;
    }
    for (; i > 0 && best->us[i - 1] > us; i--) {
        best->at[i] = best->at[i - 1];
        best->us[i] = best->us[i - 1];
    }
    best->at[i] = at;
    best->us[i] = us;
}

static void answer(struct ov *ov, struct link *link, const xn_id *from,
                   unsigned bits, struct xn_out *out)
{
    Xn__Contact rows[NEAR_BEST], *sample[NEAR_BEST];
    Xn__Coordinate said[NEAR_BEST], ours;
    Xn__Peers peers = XN__PEERS__INIT;
    struct best best = {.n = 0};
    struct table_place place;
    size_t i, end;

    table_prefix(from, bits, &place);
    ring_within(ov, &place, &i, &end);
    for (; i < end; i++) {
        const struct link *other = link_find(ov, ring_peer(ov, i));

        if (!other || other == link || !vivaldi_is_sure(&other->coordinate))
            continue;
        best_add(&best, i,
                 vivaldi_rtt_us(&link->coordinate, &other->coordinate));
    }
    for (i = 0; i < best.n; i++) {
        const struct link *other = link_find(ov, ring_peer(ov, best.at[i]));

        if (!contact_at(ov, best.at[i], &rows[peers.n_sample])) continue;
        vivaldi_say(&other->coordinate, &said[peers.n_sample]);
        rows[peers.n_sample].coordinate = &said[peers.n_sample];
        sample[peers.n_sample] = &rows[peers.n_sample];
        peers.n_sample++;
    }
    peers.sample = sample;
    peers.coordinate = pns_say(ov, &ours);
    ov_send(out, link->peer, XN__KIND__PEERS, &peers);
}

/* Enough nearer than whom we have there that it is worth a link. */
static bool is_nearer(const struct ov *ov, const xn_id *position, uint32_t us)
{
    struct table_place place;
    size_t first, end, best;
    uint32_t have_us;

    table_place(ov->digit, &ov->config.position, position, &place);
    ring_within(ov, &place, &first, &end);
    best = places_nearest(ov, first, end);
    if (best == RING_NONE) return true;
    have_us = ring_near(ov, best);
    return us + us / 8 + SECOND_US / 1000 < have_us;
}

/* We gave a link to it up, or it cannot be had.  Who gave us up may have us. */
static bool is_tried(const struct hint *hint)
{
    return hint->given_up || hint->failures > FAILURES_FEW;
}

/* Who is named, if it is in that place and may be there; NULL. */
static struct hint *named(const struct ov *ov, const struct xn_now *now,
                          const Xn__Contact *contact,
                          const struct table_place *place)
{
    struct hint *hint;
    xn_id id;

    if (xn_id_from_bytes(&contact->id, &id)) return NULL;
    hint = hint_find(ov, &id);
    if (!hint || xn_id_cmp(&hint->position, &place->lo) < 0 ||
        xn_id_cmp(&hint->position, &place->hi) > 0)
        return NULL;
    if (!hint->met &&
        (hint->failures > 0 || !teller_may(ov, now, hint->teller)))
        return NULL;
    return hint;
}

static void told(struct ov *ov, const struct xn_now *now,
                 const struct link *link, const Xn__Peers *body)
{
    struct pns *pns = ov->pns;
    uint32_t best_us = UINT32_MAX;
    size_t i;

    if (!pns || pns->of != link->peer) return;
    pns->of = XN_PEER_NONE;
    for (i = 0; i < body->n_sample && i < NEAR_BEST; i++) {
        const struct hint *hint = named(ov, now, body->sample[i], &pns->place);
        struct vivaldi there;
        uint32_t us;

        if (!hint || link_has_id(ov, &hint->id)) continue;
        links_set_partial(ov, now);
        vivaldi_hear(body->sample[i]->coordinate, &there);
        if (!vivaldi_is_sure(&there) || is_tried(hint)) continue;
        us = vivaldi_rtt_us(&pns->self, &there);
        if (us >= best_us || !is_nearer(ov, &hint->position, us)) continue;
        best_us = us;
        pns->nearer = hint->id;
        pns->wanted = ov->dial_dirty = true;
    }
}

void pns_peers(struct ov *ov, const struct xn_now *now, struct link *link,
               const Xn__Peers *body, const xn_id *from, struct xn_out *out)
{
    if (!link_allows(link, now, ALLOW_PEERS)) return;
    vivaldi_hear(body->coordinate, &link->coordinate);
    if (!body->want)
        told(ov, now, link, body);
    else if (from)
        answer(ov, link, from, body->bits, out);
}

/* For one more, which we would not refuse ourselves. */
static bool has_room(const struct ov *ov)
{
    return ov->ring.n + ov->n_new + ov->n_dials < ov->config.links_max;
}

struct hint *pns_pick(struct ov *ov)
{
    struct pns *pns = ov->pns;

    if (!pns || !pns->wanted) return NULL;
    pns->wanted = false;
    if (!has_room(ov)) return NULL;
    pns->dialled = pns->nearer;
    return hint_find(ov, &pns->nearer);
}

void pns_live(struct ov *ov, const struct xn_now *now, struct link *link,
              struct xn_out *out)
{
    struct pns *pns = ov->pns;

    if (pns && xn_id_eq(&pns->dialled, &link_contact(ov, link)->id)) {
        pns->dialled = (xn_id){{0}};
        pns->bettered += places_is_nearest(ov, link);
    }
    link->sample = true;
    if (link->opened_us)
        pns_measured(ov, now, link, out);
    else if (!link->incoming || links_last(ov))
        watch_probe(ov, now, link, false, out);
}

/* ---- round by round ---- */

static void tell(struct ov *ov, xn_peer peer, struct xn_out *out)
{
    Xn__Peers body = XN__PEERS__INIT;
    Xn__Coordinate ours;

    if (!(ov_features(ov, peer) & OV_FEATURE_PNS)) return;
    body.coordinate = pns_say(ov, &ours);
    ov_send(out, peer, XN__KIND__PEERS, &body);
}

/* All heard in our HELLO that we do not know where we are.  Later those beside us
 * should: they are where keys of others are, who ask them for it. */
static void tell_where(struct ov *ov, struct xn_out *out)
{
    struct pns *pns = ov->pns;
    xn_peer near[2 * OV_LEAVES_MAX];
    size_t n, i;

    if (!pns->said) {
        for (i = 0; i < ov->ring.n; i++)
            tell(ov, ring_peer(ov, i), out);
    } else {
        if (vivaldi_moved_us(&pns->self, &pns->told) < MOVED_US) return;
        n = ov_leaves(ov, near);
        for (i = 0; i < n; i++)
            tell(ov, near[i], out);
    }
    pns->said = true;
    pns->told = pns->self;
}

/* Does our leaf set hold all of it?  Of less than the whole ring. */
static bool is_known(const struct ov *ov, const struct table_place *place)
{
    return ring_is_leaf(ov, &place->lo) && ring_is_leaf(ov, &place->hi);
}

/* The place that begins there, or around it all that is known. */
static void place_from(const struct ov *ov, uint64_t head,
                       struct table_place *place_out)
{
    struct table_place around;
    xn_id position = {{0}};
    unsigned i;

    for (i = 0; i < sizeof head; i++)
        position.b[i] = (uint8_t)(head >> (56 - 8 * i));
    table_place(ov->digit, &ov->config.position, &position, place_out);
    if (place_out->level == 0) return;
    table_prefix(&ov->config.position, place_out->level * ov->digit, &around);
    if (is_known(ov, &around)) *place_out = around;
}

/* The next one that is not known; false: there is none in this round. */
static bool next_place(struct ov *ov, struct table_place *place_out)
{
    struct pns *pns = ov->pns;

    do {
        place_from(ov, pns->next, place_out);
        pns->next = xn_id_head(&place_out->hi) + 1;
        if (!is_known(ov, place_out)) return true;
    } while (pns->next != 0);
    return false;
}

/* The nearest whom we have there; where that is nobody one whose table has the
 * same place: the nearest of some.  NULL: there is none. */
static struct link *whom_to_ask(struct ov *ov, const struct table_place *place)
{
    struct table_place alike;
    size_t first, end, at;

    ring_within(ov, place, &first, &end);
    at = places_nearest(ov, first, end);
    if (at == RING_NONE) {
        table_prefix(&ov->config.position, place->level * ov->digit, &alike);
        ring_within(ov, &alike, &first, &end);
        if (first == end) return NULL;
        first += xn_rng_below(ov->rng, end - first);
        at = places_nearest(ov, first, end);
    }
    return at == RING_NONE ? NULL : ring_link(ov, at);
}

static void round_over(struct ov *ov)
{
    struct pns *pns = ov->pns;

    if (pns->asked == 0) return; /* a newcomer that knows but neighbours */
    if (pns->bettered * WORTH > pns->asked)
        pns->pace_us /= 2;
    else
        pns->pace_us *= 2;
    if (pns->pace_us < PACE_MIN_US) pns->pace_us = PACE_MIN_US;
    if (pns->pace_us > PACE_MAX_US) pns->pace_us = PACE_MAX_US;
    pns->asked = pns->bettered = 0;
}

/* What is left of the budget is for who chooses us; but not more than we can
 * choose whom we give up for them.  To wait for an answer that never comes keeps
 * nobody his place when there is no other. */
static void make_room(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t most = links_enough(ov), at;
    size_t ours = places_ours(ov), least = ov->config.links_max / 4;
    unsigned i;

    for (i = 0; i < SPARE_MAX && ov->ring.n > most && ours > least; i++) {
        at = places_spare(ov, true);
        if (at == RING_NONE && !has_room(ov)) at = places_spare(ov, false);
        if (at == RING_NONE) return;
        links_evict(ov, now, at, out);
        ov->grown = true;
        ours--;
    }
}

static void probe_any(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    struct link *link = ov->ring.n ? link_find(ov, ov_draw(ov)) : NULL;

    if (!link) return;
    link->sample = true;
    watch_probe(ov, now, link, false, out);
}

/* Asks about the next place, if somebody found there could be linked. */
static void go_on(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    struct table_place place;
    struct link *link;

    if (!has_room(ov)) return;
    if (next_place(ov, &place)) {
        link = whom_to_ask(ov, &place);
        if (link) ask(ov, now, link, &place, out);
    }
    if (ov->pns->next != 0) return;
    round_over(ov);
    tell_where(ov, out);
}

static void better(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    probe_any(ov, now, out);
    if (!vivaldi_is_sure(&ov->pns->self)) return;
    if (!ov->pns->said) tell_where(ov, out);
    make_room(ov, now, out);
    go_on(ov, now, out);
}

static void pns_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    uint64_t wait_us = AWAIT_US;

    (void)ctx, (void)rc, (void)msg;
    ov_enter(ov);
    ov->pns->timer = 0;
    if (!ov->leaving && links_crowded(ov, now) && links_last(ov)) {
        if (is_dense(ov)) better(ov, now, out);
        wait_us = ov->pns->pace_us;
    }
    if (!ov->leaving) set_timer(ov, now, hints_jittered(ov, wait_us), out);
    ov_exit(ov, now, out);
}

void pns_clear(struct ov *ov)
{
    if (ov->pns && ov->pns->timer)
        xn_ticket_forget(ov->tickets, ov->pns->timer);
    free(ov->pns);
    ov->pns = NULL;
}
