/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links, from their opening to their end; between, whether they count, hello.c. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"

bool links_crowded(const struct ov *ov, const struct xn_now *now)
{
    return ov->ring.n >= ov->config.links_max ||
           now->mono_us < ov->crowded_us || ov_is_guest(ov);
}

void links_set_crowded(struct ov *ov, const struct xn_now *now)
{
    uint64_t until_us = now->mono_us + CROWDED_US;

    if (ov->crowded_us < until_us) ov->crowded_us = until_us;
}

void links_set_partial(struct ov *ov, const struct xn_now *now)
{
    uint64_t until_us = now->mono_us + CROWDED_US;

    if (ov->partial_us < until_us) ov->partial_us = until_us;
    links_set_crowded(ov, now);
}

bool link_allows(struct link *link, const struct xn_now *now,
                 enum allowance what)
{
    static const uint8_t per_second[ALLOWANCES] = {20, 16, 16, 1};

    if (now->mono_us - link->window_us >= SECOND_US) {
        link->window_us = now->mono_us;
        memset(link->used, 0, sizeof link->used);
    }
    if (link->used[what] >= per_second[what]) return false;
    link->used[what]++;
    return true;
}

void link_timer_stop(struct ov *ov, struct link *link)
{
    if (link->timer) xn_ticket_forget(ov->tickets, link->timer);
    link->timer = 0;
}

void link_timer(struct ov *ov, struct link *link, uint64_t due_us, xn_ended *fn,
                struct xn_out *out)
{
    link_timer_stop(ov, link);
    link->timer = xn_ticket(ov->tickets, due_us, fn, ov, link, out);
}

void link_free(struct link *link)
{
    if (!link) return;
    free(link->address);
    free(link);
}

/* ---- its contact ---- */

const char *link_address(const struct ov *ov, const struct link *link)
{
    if (link->stood) return link_contact(ov, link)->address;
    return link->address && link->address[0] ? link->address : NULL;
}

bool contact_at(const struct ov *ov, size_t at, Xn__Contact *contact_out)
{
    const struct xn_contact *contact = ring_contact(ov, at);
    const struct link *link = link_find(ov, ring_peer(ov, at));
    const char *address = link ? link_address(ov, link) : contact->address;

    if (!address) return false;
    xn__contact__init(contact_out);
    contact_out->id = xn_id_bytes(&contact->id);
    contact_out->position = xn_id_bytes(&contact->position);
    contact_out->address = (char *)(uintptr_t)address;
    return true;
}

/* ---- UP ---- */

/* It is no older than one dialled at the same time may be: each end learns of
 * the other's dial when that comes in, two and a half round trips after it began. */
static bool is_fresh(const struct xn_now *now, const struct link *link)
{
    uint64_t fresh_us = 4 * (uint64_t)link->trip_us;

    if (fresh_us < FRESH_US) fresh_us = FRESH_US;
    return now->mono_us - link->up_us <= fresh_us;
}

/* Two links to one node.  Dialled at the same time from both sides, both keep
 * the one that the smaller id dialled; else the peer lost the older one. */
static bool newer_wins(const struct ov *ov, const struct xn_now *now,
                       const struct link *old, const xn_id *id, bool incoming)
{
    bool theirs = xn_id_cmp(id, &ov->config.id) < 0;

    if (!is_fresh(now, old) || old->incoming == incoming) {
        return true;
    }
    return incoming == theirs;
}

/* TCP's handshake and TLS's.  One that waited for its turn, or was sent again,
 * tells nothing.  Nor does it to who was dialled: the dialler speaks as soon as
 * its last word of the handshake is sent.  Then a PING does. */
static uint32_t two_trips(uint64_t us)
{
    return us / 2 < SECOND_US ? (uint32_t)(us / 2) : 0;
}

static struct link *link_make(struct ov *ov, uint64_t up_us, xn_peer peer)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link) return NULL;
    link->peer = peer;
    link->up_us = link->heard_us = link->window_us = up_us;
    if (ring_add_peer(ov, link)) return link;
    free(link);
    return NULL;
}

static struct link *link_new(struct ov *ov, const struct xn_now *now,
                             xn_peer peer, bool incoming)
{
    struct link *link = link_make(ov, now->mono_us, peer);

    if (!link) return NULL;
    link->head = xn_id_head(&link_contact(ov, link)->id);
    link->serial = ++ov->serial;
    link->state = LINK_NEW;
    link->incoming = incoming;
    if (!ring_add_id(ov, link)) {
        ring_drop_peer(ov, link);
        free(link);
        return NULL;
    }
    ov->n_new++;
    return link;
}

struct link *link_of_stood(struct ov *ov, xn_peer peer, uint32_t near_us)
{
    struct link *link = link_make(ov, ov->stood_us, peer);

    if (!link) return NULL;
    ov->ring.n_awake++;
    link->stood = true;
    link->features = FEATURES;
    link->rtt_us = near_us;
    link->rtt_var_us = near_us / 8;
    link->state = LINK_LIVE;
    return link;
}

static bool is_revoked(const struct ov *ov, const struct xn_contact *contact)
{
    return revoked_has(ov->config.revoked, &contact->corp, &contact->id);
}

/* The driver has one link per pair of nodes and both dialled: nothing new.
 * Otherwise it is a new link under an old handle. */
static bool is_same_link(const struct xn_now *now, const struct link *link)
{
    return link->state == LINK_NEW ||
           (link->state == LINK_LIVE && is_fresh(now, link));
}

/* Its handle may name another one from now on. */
static void forget(struct ov *ov, struct link *link)
{
    queries_gone(ov, link->peer);
    ring_drop_peer(ov, link);
    link_free(link);
}

static void up(struct ov *ov, const struct xn_now *now, xn_peer peer,
               const Xn__Up *body, struct xn_out *out)
{
    const struct xn_contact *contact = xn_peer_contact(ov->peers, peer);
    struct link *link = link_need(ov, peer), *old;
    char *address = NULL;
    uint64_t since_us = now->mono_us;
    bool visit = false;

    ov_begun(ov, now);
    if (body->ticket &&
        visit_answered(ov, now, body->ticket, &contact->id, &address, out)) {
        visit = true;
        if (!address) {
            if (!link) xn_out_hang(out, peer, XN_EIDENT, "not who was dialled");
            goto out;
        }
    } else if (body->ticket &&
               !dial_answered(ov, now, body->ticket, &contact->id, &address,
                              &since_us)) {
        if (!link) xn_out_hang(out, peer, XN_EIDENT, "not who was dialled");
        goto out;
    }
    if (link) {
        if (is_same_link(now, link)) {
            if (visit && link->state == LINK_LIVE)
                seek_met(ov, now, &contact->id, out);
            goto out;
        }
        link->shed = true; /* its node is there */
        link_lose(ov, now, link, out);
        forget(ov, link);
    }
    if (is_revoked(ov, contact)) {
        hint_shun(ov, contact);
        xn_out_hang(out, peer, XN_EREVOKED, "its key was revoked");
        goto out;
    }
    old = link_need_id(ov, &contact->id);
    if (ov->leaving || xn_id_eq(&contact->id, &ov->config.id) ||
        (old && !newer_wins(ov, now, old, &contact->id, body->incoming))) {
        xn_out_hang(out, peer, XN_ECONFLICT, "not needed");
        goto out;
    }
    if (old) {
        old->shed = true;
        link_hang(ov, now, old, XN_ECONFLICT, "replaced", out);
    }
    link = link_new(ov, now, peer, body->incoming);
    if (!link) {
        out->rc = XN_ENOMEM;
        goto out;
    }
    link->address = address;
    address = NULL;
    link->trip_us =
        body->trip_us < XN_DIAL_US ? (uint32_t)body->trip_us : XN_DIAL_US;
    if (!body->incoming) link->opened_us = two_trips(now->mono_us - since_us);
    link->visit = visit;
    ov->n_visits += visit;
    link->coy = body->incoming && !link_is_wanted(ov, &contact->position);
    if ((!visit && !link->coy && !link_is_wanted(ov, &contact->position)) ||
        ov->ring.n + ov->n_new > ov->config.links_max + NEW_MAX) {
        link_refuse(ov, now, link, out);
        goto out;
    }
    if (!link->coy) link_say_hello(ov, now, link, false, out);
    link_await_hello(ov, now, link, out);
out:
    free(address);
}

void ov_up(struct ov *ov, const struct xn_now *now, xn_peer peer,
           const Xn__Up *body, struct xn_out *out)
{
    ov_enter(ov);
    up(ov, now, peer, body, out);
    ov_exit(ov, now, out);
}

/* ---- given up ---- */

void links_evict(struct ov *ov, const struct xn_now *now, size_t at,
                 struct xn_out *out)
{
    struct link *link = ring_link(ov, at);
    Xn__Leave leave = XN__LEAVE__INIT;
    struct hint *hint;

    links_set_partial(ov, now);
    if (!link) return;
    ov->stats.evicted++;
    link->shed = true;
    leave.shed = true;
    ov_send(out, link->peer, XN__KIND__LEAVE, &leave);
    link_hang(ov, now, link, XN_EBUSY, "room for a nearer node", out);
    hint = hint_find(ov, &link_contact(ov, link)->id);
    if (hint) hint->given_up = true;
}

/* ---- the end ---- */

/* A node lost is dialled again soon: perhaps only the link broke.  One that
 * never said HELLO has failed us as if it had not been reached. */
static void remember(struct ov *ov, const struct xn_now *now,
                     const struct link *link, bool live)
{
    const struct xn_contact *contact = link_contact(ov, link);
    struct hint *hint = hint_find(ov, &contact->id);

    if (hint && !live) hint_failed(ov, now, hint, false);
    if (hint || !live || !link_address(ov, link) || ov->leaving) return;
    hint = hint_add(ov, now, &contact->id, &contact->position,
                    link_address(ov, link), true);
    if (!hint) return;
    /* Who was turned away is told of all others, and may not come at once. */
    if (!link->incoming) hint->dialled_us = link->up_us;
    hint->news_us = now->mono_us;
    hint_due(ov, hint,
             now->mono_us + SECOND_US / 2 + xn_rng_below(ov->rng, SECOND_US));
}

static void lose_apart(struct ov *ov, const struct xn_now *now,
                       struct link *link, struct xn_out *out)
{
    bool missed = link->visit && link->state == LINK_NEW && !link->incoming;

    if (link->state == LINK_NEW) ov->n_new--;
    if (link->visit) {
        visit_lost(ov, link);
        ov->dial_dirty = true; /* who is wanted may be dialled now */
    }
    ov->n_guests -= link->guest;
    ring_drop_id(ov, link);
    link->state = LINK_CLOSING;
    route_lost(ov, now, link, out);
    if (missed) {
        seek_missed(ov, now, &link_contact(ov, link)->id, link->address, out);
    }
}

void link_lose(struct ov *ov, const struct xn_now *now, struct link *link,
               struct xn_out *out)
{
    bool live = link->state == LINK_LIVE && !link_is_apart(link);

    if (link->state == LINK_CLOSING) return;
    link_timer_stop(ov, link);
    if (link_is_apart(link)) {
        lose_apart(ov, now, link, out);
        return;
    }
    if (live) leaves_lost(ov, &link_contact(ov, link)->position);
    if (live && !link->shed && now->mono_us - link->up_us >= HELLO_US) {
        life_ended(ov, now, &link_contact(ov, link)->id);
    }
    life_count(ov, now);
    ring_drop_id(ov, link);
    if (!live)
        ov->n_new--;
    else if (!ring_drop_live(ov, link))
        out->rc = XN_ENOMEM;
    link->state = LINK_CLOSING;
    if (live) {
        if (ov->ring.n == 0) ov->paged = 0;
        ov_changed(ov, link->peer, false, out);
    }
    remember(ov, now, link, live);
    ov->dial_dirty = true;
    route_lost(ov, now, link, out);
}

void link_hang(struct ov *ov, const struct xn_now *now, struct link *link,
               int rc, const char *why, struct xn_out *out)
{
    if (link->state == LINK_CLOSING) return;
    link_lose(ov, now, link, out);
    xn_out_hang(out, link->peer, rc, why);
}

void link_rude(struct ov *ov, const struct xn_now *now, struct link *link,
               const char *why, struct xn_out *out)
{
    struct hint *hint;

    ov->stats.rude++;
    link->shed = true;
    link_hang(ov, now, link, XN_EPROTO, why, out);
    hint = hint_find(ov, &link_contact(ov, link)->id);
    if (!hint) return;
    hint->news_us = 0;
    hint_failed(ov, now, hint, true);
}

/* From the last on: those that end leave their place to those behind them. */
void ov_revoke(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    size_t i;

    ov_enter(ov);
    for (i = ov->ring.n; i > 0; i--) {
        if (is_revoked(ov, ring_contact(ov, i - 1))) ring_link(ov, i - 1);
    }
    for (i = ov->by_peer.n; i > 0; i--) {
        struct link *link = link_at(&ov->by_peer, i - 1);
        struct xn_contact contact = *link_contact(ov, link);

        if (link->state == LINK_CLOSING || !is_revoked(ov, &contact)) continue;
        link->shed = true;
        link_hang(ov, now, link, XN_EREVOKED, "its key was revoked", out);
        hint_shun(ov, &contact);
    }
    ov_exit(ov, now, out);
}

void ov_gone(struct ov *ov, const struct xn_now *now, xn_peer peer,
             struct xn_out *out)
{
    struct link *link = link_need(ov, peer);

    if (!link) { /* hung up at once, if it is no live one */
        if (ring_find(ov, peer) != RING_NONE) out->rc = XN_ENOMEM;
        return;
    }
    ov_enter(ov);
    link_lose(ov, now, link, out);
    ov_exit(ov, now, out);
    forget(ov, link);
}
