/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/ov.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "overlay/inside.h"

void ov_config_fit(struct ov_config *c)
{
    if (!c->address) c->address = "";
    if (c->links_max == 0) c->links_max = 512;
    /* Half of the budget is for the prefix table. */
    if (c->leaves > OV_LEAVES_MAX) c->leaves = OV_LEAVES_MAX;
    if (c->leaves > c->links_max / 4) c->leaves = c->links_max / 4;
    if (c->copies == 0) c->copies = 3;
    if (c->copies > OV_COPIES_MAX) c->copies = OV_COPIES_MAX;
    /* But who holds a key must know the others who do. */
    if (c->leaves < c->copies) c->leaves = c->copies;
    if (c->links_max < 2 * c->leaves + 2) c->links_max = 2 * c->leaves + 2;
    if (c->cache > OV_CACHE_MAX) c->cache = OV_CACHE_MAX;
}

int ov_new(const struct ov_config *config, const struct xn_peers *peers,
           struct xn_rng *rng, struct xn_tickets *tickets,
           const struct ov_user *user, struct ov **ov_out)
{
    struct ov *ov = calloc(1, sizeof *ov);

    if (!ov) return XN_ENOMEM;
    ov->config = *config;
    ov->peers = peers;
    ov->rng = rng;
    ov->tickets = tickets;
    ov->user = *user;
    ov->gossip_us = GOSSIP_MIN_US;
    ov_config_fit(&ov->config);
    ov->digit = (uint16_t)table_digit(ov->config.links_max);
    *ov_out = ov;
    return 0;
}

void ov_free(struct ov *ov)
{
    size_t i;

    if (!ov) return;
    queries_clear(ov);
    trace_clear(ov);
    seek_clear(ov);
    pns_clear(ov);
    visit_clear(ov);
    hints_clear(ov);
    for (i = 0; i < ov->by_peer.n; i++)
        link_free(link_at(&ov->by_peer, i));
    free(ov->by_peer.v);
    free(ov->handles);
    free(ov->by_id.v);
    ring_clear(&ov->ring);
    life_clear(ov);
    owners_clear(ov);
    free(ov->changes);
    free(ov);
}

/* ---- the memory of very many ---- */

enum { LINE = 64, WARM_LINKS = 8, WARM_ROUTES = 8 };

static void fetch_range(const void *from, size_t size)
{
    size_t at;

    for (at = 0; at < size; at += LINE)
        __builtin_prefetch((const char *)from + at);
}

void ov_warm(const struct ov *ov, int steps)
{
    size_t i;

    if (steps == 3) {
        fetch_range(ov, offsetof(struct ov, hints));
        fetch_range(&ov->queries, sizeof *ov - offsetof(struct ov, queries));
    } else if (steps == 2) {
        for (i = 1; i < WARM_ROUTES && ov->ring.n > 0; i++)
            __builtin_prefetch(&ov->ring.routes[i * ov->ring.n / WARM_ROUTES]);
        __builtin_prefetch(ov->by_peer.v);
        __builtin_prefetch(ov->handles);
        __builtin_prefetch(ov->queries.v);
    } else {
        for (i = 0; i < ov->by_peer.n && i < WARM_LINKS; i++)
            __builtin_prefetch(ov->by_peer.v[i]);
    }
}

/* ---- in and out ---- */

void ov_enter(struct ov *ov)
{
    ov->depth++;
}

/* The first time that we are told the time. */
void ov_begun(struct ov *ov, const struct xn_now *now)
{
    if (ov->young_us) return;
    ov->young_us = now->mono_us + YOUNG_US;
    ov->life.counted_us = now->mono_us;
}

void ov_changed(struct ov *ov, xn_peer peer, bool joined, struct xn_out *out)
{
    if (ov->n_changes == ov->cap_changes) {
        uint32_t cap = ov->cap_changes ? 2 * ov->cap_changes : 4;
        struct change *changes = realloc(ov->changes, cap * sizeof *changes);

        if (!changes) {
            out->rc = XN_ENOMEM;
            return;
        }
        ov->changes = changes;
        ov->cap_changes = cap;
    }
    ov->changes[ov->n_changes++] = (struct change){peer, joined};
}

/* An upcall may call us and so add to what is to be told. */
static void tell_user(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t i;

    while (ov->n_changes > 0) {
        for (i = 0; i < ov->n_changes; i++) {
            struct change change = ov->changes[i];

            ov->user.peer_changed(ov->user.user, now, change.peer,
                                  change.joined, out);
        }
        ov->n_changes = 0;
        if (!leaves_update(ov)) continue;
        leaves_ask(ov, now, out);
        ov->user.leaves_changed(ov->user.user, now, out);
    }
}

void ov_exit(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    if (ov->depth == 1) {
        if (ov->n_changes > 0) {
            tell_user(ov, now, out);
            leaves_gossip(ov, now, out);
            watch_start(ov, now, out);
        }
        if (ov->dial_dirty) links_dial(ov, now, out);
        links_rest(ov);
    }
    ov->depth--;
}

int ov_send(struct xn_out *out, xn_peer peer, unsigned kind, const void *body)
{
    struct xn_msg *msg = NULL;
    int rc = xn_msg_new(kind, body, &msg);

    if (rc == XN_ENOMEM) out->rc = rc;
    if (rc) return rc;
    xn_out_add(out, XN_ACT_SEND, 0, peer, msg);
    return 0;
}

/* ---- events ---- */

void ov_join(struct ov *ov, const struct xn_now *now,
             Xn__Contact *const *contacts, size_t n, struct xn_out *out)
{
    size_t i;

    ov_enter(ov);
    ov_begun(ov, now);
    ov->leaving = false;
    ov->joined = true;
    for (i = 0; i < n; i++)
        hints_take(ov, now, NULL, &contacts[i], 1); /* a bad one costs itself */
    ov_exit(ov, now, out);
}

int ov_stand(struct ov *ov, const struct xn_now *now, struct xn_route *routes,
             const uint32_t *rtts_us, size_t n, bool all, struct xn_out *out)
{
    if (n > ov->config.links_max) return XN_EINVAL;
    ring_stand(ov, routes, rtts_us, n);
    ov->stood_us = ov->young_us = ov->life.counted_us = now->mono_us;
    ov->joined = ov->introduced = true;
    ov->paged = UINT_MAX;
    ov->crowded_us = ov->partial_us = all ? 0 : UINT64_MAX;
    ov->grown = true;
    ov->gossip_us = GOSSIP_MAX_US;
    leaves_update(ov);
    leaves_gossip(ov, now, out);
    watch_start(ov, now, out);
    return out->rc;
}

void ov_leave(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    const Xn__Leave body = XN__LEAVE__INIT;
    size_t i;

    ov_enter(ov);
    ov->leaving = true;
    visit_clear(ov);
    for (i = ov->ring.n; i > 0; i--)
        ring_link(ov, i - 1); /* in full, where there is memory */
    for (i = ov->by_peer.n; i > 0; i--) {
        struct link *link = link_at(&ov->by_peer, i - 1);

        if (link->state == LINK_CLOSING) continue;
        link->shed = true;
        if (link->state == LINK_LIVE) {
            ov_send(out, link->peer, XN__KIND__LEAVE, &body);
        }
        link_hang(ov, now, link, XN_ECANCELLED, "leaving", out);
    }
    ov_exit(ov, now, out);
}

/* It goes on purpose, or needs the place: nothing to dial again. */
static void peer_leaves(struct ov *ov, const struct xn_now *now,
                        struct link *link, bool shed, struct xn_out *out)
{
    struct hint *hint;

    if (shed) guest_turned_away(ov);
    link->shed = shed;
    link_hang(ov, now, link, XN_ECANCELLED,
              shed ? "the peer sheds links" : "the peer leaves", out);
    hint = hint_find(ov, &link_contact(ov, link)->id);
    if (!hint) return;
    if (shed) {
        hint->news_us = 0;
        hint_failed(ov, now, hint, true);
    } else {
        hint_drop(ov, hint);
    }
}

static void pong(struct link *link, const struct xn_now *now, uint64_t nonce,
                 struct xn_out *out)
{
    Xn__Pong body = XN__PONG__INIT;

    if (!link_allows(link, now, ALLOW_PONG)) return;
    body.nonce = nonce;
    ov_send(out, link->peer, XN__KIND__PONG, &body);
}

static void dispatch(struct ov *ov, const struct xn_now *now, struct link *link,
                     struct xn_msg *msg, struct xn_out *out)
{
    switch (msg->kind) {
    case XN__KIND__HELLO: links_hello(ov, now, link, msg, out); break;
    case XN__KIND__PEERS:
        leaves_peers(ov, now, link, XN_BODY(msg, Xn__Peers), out);
        break;
    case XN__KIND__PING:
        pong(link, now, XN_BODY(msg, Xn__Ping)->nonce, out);
        break;
    case XN__KIND__PONG:
        watch_pong(ov, now, link, XN_BODY(msg, Xn__Pong)->nonce, out);
        break;
    case XN__KIND__SUSPECT:
        watch_suspect(ov, now, link, XN_BODY(msg, Xn__Suspect), out);
        break;
    case XN__KIND__LEAVE:
        peer_leaves(ov, now, link, XN_BODY(msg, Xn__Leave)->shed, out);
        break;
    case XN__KIND__REQUEST: route_request(ov, now, link, msg, out); break;
    case XN__KIND__ACK:
        route_ack(ov, now, link, XN_BODY(msg, Xn__Ack), out);
        break;
    case XN__KIND__REPLY: route_reply(ov, now, link, msg, out); break;
    default: link_rude(ov, now, link, "unexpected message", out);
    }
}

/* Until their HELLO comes other things may overtake it only where messages are
 * lost: they are ignored, within reason. */
static bool is_early(struct ov *ov, const struct xn_now *now, struct link *link,
                     unsigned kind, struct xn_out *out)
{
    if (link->state != LINK_NEW || kind == XN__KIND__HELLO) return false;
    if (++link->early >= EARLY_MAX) {
        link_rude(ov, now, link, "no HELLO first", out);
    }
    return true;
}

void ov_msg(struct ov *ov, const struct xn_now *now, xn_peer peer,
            struct xn_msg *msg, struct xn_out *out)
{
    struct link *link = link_need(ov, peer);

    if (!link || link->state == LINK_CLOSING) return;
    ov_enter(ov);
    watch_heard(ov, now, link);
    if (!is_early(ov, now, link, msg->kind, out) &&
        (!link->visit || visit_takes(msg->kind))) {
        dispatch(ov, now, link, msg, out);
    }
    ov_exit(ov, now, out);
}

/* ---- what others ask ---- */

size_t ov_leaves(const struct ov *ov, xn_peer *peers_out)
{
    return ov_beside(ov, ov->config.leaves, peers_out);
}

size_t ov_links(const struct ov *ov)
{
    return ov->ring.n;
}

size_t ov_all(const struct ov *ov, xn_peer *peers_out, size_t max)
{
    size_t i;

    for (i = 0; i < ov->ring.n && i < max; i++)
        peers_out[i] = ring_peer(ov, i);
    return i;
}

const struct xn_contact *ov_contact(const struct ov *ov, xn_peer peer)
{
    return xn_peer_contact(ov->peers, peer);
}

const struct ov_config *ov_self(const struct ov *ov)
{
    return &ov->config;
}

const xn_id *ov_position(const struct ov *ov)
{
    return &ov->config.position;
}

bool ov_is_mesh(const struct ov *ov, const struct xn_now *now)
{
    return !links_crowded(ov, now);
}

const char *ov_address(const struct ov *ov, xn_peer peer)
{
    const struct link *link = link_find(ov, peer);
    const char *address = NULL;

    if (link)
        address = link_address(ov, link);
    else if (ov->ring.n_stood > 0 && ring_find(ov, peer) != RING_NONE)
        address = xn_peer_contact(ov->peers, peer)->address;

    return address ? address : "";
}

uint64_t ov_features(const struct ov *ov, xn_peer peer)
{
    const struct link *link = link_find(ov, peer);

    return link ? link->features : FEATURES; /* it stood */
}

bool ov_revoked_differs(const struct ov *ov, xn_peer peer)
{
    const struct link *link = link_find(ov, peer);

    return link && link->revoked != revoked_mark(ov->config.revoked);
}

xn_peer ov_draw(struct ov *ov)
{
    return ring_peer(ov, xn_rng_below(ov->rng, ov->ring.n));
}

bool ov_is_guest(const struct ov *ov)
{
    return ov->config.address[0] == '\0';
}

/* Spread evenly over the ring, beginning beside us: the same while the links
 * are the same, so that nobody writes down what has not changed. */
size_t ov_sample(struct ov *ov, size_t n, Xn__Contact *contacts_out)
{
    size_t all = ov->ring.n, take = n < all ? n : all, i, got = 0;

    for (i = 0; i < take; i++) {
        size_t at = (ov->self_at + i * all / take) % all;

        if (contact_at(ov, at, &contacts_out[got])) got++;
    }
    return got;
}

const struct ov_stats *ov_stats(const struct ov *ov)
{
    return &ov->stats;
}

void ov_load(const struct ov *ov, struct ov_load *load_out)
{
    *load_out = (struct ov_load){
        .links = ov->ring.n,
        .links_max = ov->config.links_max,
        .guests = ov->n_guests,
        .unproved = ov->n_new,
        .known = ov->hints.n,
        .requests = ov->queries.n,
        .request_bytes = ov->kept,
    };
    /* One that stood and was not used yet counts as ours. */
    for (size_t i = 0; i < ov->by_id.n; i++) {
        const struct link *link = link_at(&ov->by_id, i);

        load_out->incoming +=
            link->state == LINK_LIVE && link->incoming && !link_is_apart(link);
    }
}

static int leaf_of(const struct ov *ov, size_t i)
{
    size_t up = i + 1, down = ov->ring.n - i, leaves = ov->config.leaves;

    if (up <= leaves && up <= down) return (int)up;
    return down <= leaves ? -(int)down : 0;
}

static void peer_in_full(const struct link *link, struct ov_peer *peer_out)
{
    peer_out->incoming = link->incoming;
    peer_out->guest = link->guest;
    peer_out->features = link->features;
    peer_out->rtt_us = watch_near(link);
    peer_out->up_us = link->up_us;
    peer_out->heard_us = link->heard_us;
    peer_out->unanswered = link->probes;
    peer_out->asked = link->asked;
}

static bool guest_peer(const struct ov *ov, size_t i, struct ov_peer *peer_out)
{
    const struct link *link = guest_at(ov, i);

    if (!link) return false;
    *peer_out = (struct ov_peer){.contact = link_contact(ov, link),
                                 .peer = link->peer,
                                 .address = "",
                                 .version = VERSION};
    peer_in_full(link, peer_out);
    return true;
}

bool ov_peer(const struct ov *ov, size_t i, struct ov_peer *peer_out)
{
    const struct link *link;
    size_t at;

    if (i >= ov->ring.n) return guest_peer(ov, i - ov->ring.n, peer_out);
    at = ring_cw(ov, i + 1);
    *peer_out = (struct ov_peer){
        .contact = ring_contact(ov, at),
        .peer = ring_peer(ov, at),
        .address = ov_address(ov, ring_peer(ov, at)),
        .leaf = ov_is_guest(ov) ? 0 : leaf_of(ov, i),
        .version = VERSION,
        .features = FEATURES,
        .rtt_us = ring_near(ov, at), /* coarsely */
        .up_us = ov->stood_us,
        .heard_us = ov->stood_us,
    };
    link = link_find(ov, ring_peer(ov, at));
    /* Else it stood, and was not used yet. */
    if (link) peer_in_full(link, peer_out);
    return true;
}
