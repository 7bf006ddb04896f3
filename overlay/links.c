/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links: dial, say HELLO, count or refuse, close.  In the order in which it
 * happens to a link. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "overlay/inside.h"

#define BUSY_US (5 * SECOND_US) /* until a dial that was refused here */

bool links_crowded(const struct ov *ov, const struct xn_now *now)
{
    return ov->ring.n >= ov->config.links_max ||
           now->mono_us < ov->crowded_us || ov_is_guest(ov);
}

static void set_crowded(struct ov *ov, const struct xn_now *now)
{
    uint64_t until_us = now->mono_us + CROWDED_US;

    if (ov->crowded_us < until_us) ov->crowded_us = until_us;
}

void links_set_partial(struct ov *ov, const struct xn_now *now)
{
    uint64_t until_us = now->mono_us + CROWDED_US;

    if (ov->partial_us < until_us) ov->partial_us = until_us;
    set_crowded(ov, now);
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

/* ---- dialling ---- */

static bool is_hearsay(const struct hint *hint)
{
    return !hint->met || hint->by_name;
}

/* Our driver would not: never, or it is busy.  That is nobody's fault, and says
 * nothing of whether the node lives.  Of hearsay there is more. */
static void not_tried(struct ov *ov, const struct xn_now *now,
                      struct hint *hint, bool never)
{
    if (is_hearsay(hint)) teller_was_right(ov, hint->teller);
    if (!hint->met && (never || hint->teller)) {
        hint_drop(ov, hint);
        ov->dial_dirty = true;
        return;
    }
    hint->news_us = 0;
    if (never)
        hint_failed(ov, now, hint, false);
    else
        hint_due(ov, hint, now->mono_us + hints_jittered(ov, BUSY_US));
}

static void dial_ended(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct hint *hint = ctx;

    (void)msg;
    ov_enter(ov);
    dial_over(ov, hint);
    ov->stats.dials_failed++;
    if (rc == XN_EINVAL || rc == XN_EBUSY) {
        not_tried(ov, now, hint, rc == XN_EINVAL);
    } else if (rc == XN_ECONFLICT) { /* a link is on its way */
        if (is_hearsay(hint)) teller_was_right(ov, hint->teller);
        hint_failed(ov, now, hint, false);
    } else {
        hint->news_us = 0;
        watch_missed(ov, now, hint, out);
        hint_failed(ov, now, hint, false);
    }
    ov_exit(ov, now, out);
}

static void dial(struct ov *ov, const struct xn_now *now, struct hint *hint,
                 struct xn_out *out)
{
    Xn__Contact contact = XN__CONTACT__INIT;
    Xn__Dial body = XN__DIAL__INIT;

    uint64_t ticket = xn_ticket(ov->tickets, now->mono_us + DIAL_US, dial_ended,
                                ov, hint, out);

    if (!ticket) return;
    dial_begun(ov, now, hint, ticket);
    if (is_hearsay(hint)) teller_dialled(ov, now, hint->teller);
    ov->stats.dials++;
    contact.id = xn_id_bytes(&hint->id);
    contact.position = xn_id_bytes(&hint->position);
    contact.address = (char *)(uintptr_t)hint_address(hint);
    body.contact = &contact;
    xn_out_emit(out, XN_ACT_DIAL, hint->ticket, XN_PEER_NONE, XN__KIND__DIAL,
                &body);
}

static void dial_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;

    (void)ctx, (void)rc, (void)msg;
    ov_enter(ov);
    ov->dial_timer = 0;
    ov->dial_dirty = true;
    ov_exit(ov, now, out);
}

void links_dial(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    struct hint *hint;
    uint64_t next_us;

    ov->dial_dirty = false;
    if (ov->leaving) return;
    while (!dials_full(ov) && (hint = hint_pick(ov, now)) != NULL) {
        dial(ov, now, hint, out);
        if (!hint->ticket) return;
    }
    /* With all slots taken the end of a dial brings us back here. */
    next_us = dials_full(ov) ? UINT64_MAX : hints_next(ov, now);
    if (ov->dial_timer && next_us != ov->dial_timer_us) {
        xn_ticket_forget(ov->tickets, ov->dial_timer);
        ov->dial_timer = 0;
    }
    if (!ov->dial_timer && next_us != UINT64_MAX) {
        ov->dial_timer_us = next_us;
        ov->dial_timer =
            xn_ticket(ov->tickets, next_us, dial_due, ov, NULL, out);
    }
}

/* What was hearsay was wrong.  One that we were linked to may still come back
 * to where it was. */
static void somebody_else(struct ov *ov, const struct xn_now *now,
                          struct hint *hint)
{
    if (!hint->met) {
        hint_drop(ov, hint);
        return;
    }
    if (hint->by_name) {
        free(hint->named);
        hint->named = NULL; /* and it is the other one's turn */
    }
    hint->news_us = 0;
    hint_failed(ov, now, hint, false);
}

/* A dial of ours became a link to `id`.  Its address is the peer's until its
 * HELLO says another.  false: the hint lied, it was for somebody else. */
static bool dial_answered(struct ov *ov, const struct xn_now *now,
                          uint64_t ticket, const xn_id *id, char **address_out,
                          uint64_t *since_us_out)
{
    struct hint *hint = dial_find(ov, ticket);

    if (!hint) return true; /* it linked to us meanwhile: the hint went */
    ov->dial_dirty = true;
    xn_ticket_forget(ov->tickets, ticket);
    dial_over(ov, hint);
    if (!xn_id_eq(&hint->id, id)) {
        somebody_else(ov, now, hint);
        return false;
    }
    if (is_hearsay(hint)) teller_was_right(ov, hint->teller);
    *address_out = strdup(hint_address(hint));
    *since_us_out = hint->dialled_us;
    return true;
}

/* ---- the prefix table ---- */

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

/* Who could go most easily: not a neighbour, from the place in the prefix table
 * that is fullest.  RING_NONE: nobody. */
static size_t least_useful(const struct ov *ov, size_t *count_out)
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

bool links_fills_gap(const struct ov *ov, const xn_id *position)
{
    size_t count;

    if (place_count(ov, position) > 0) return false;
    return least_useful(ov, &count) != RING_NONE && count >= 2;
}

/* At the budget, is a link to this position worth more than one we have? */
static bool is_wanted(const struct ov *ov, const xn_id *position)
{
    return ov->ring.n < ov->config.links_max || ring_is_leaf(ov, position) ||
           links_fills_gap(ov, position);
}

/* ---- HELLO ---- */

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

/* Whom one that we turn away should dial: its neighbours as far as we know
 * them, and some more from all around the ring. */
static size_t hello_peers(const struct ov *ov, const struct link *to,
                          Xn__Contact *rows)
{
    size_t n = 0, i, near = 2 * (size_t)ov->config.leaves, at;
    struct walk walk;

    if (near > HELLO_PEERS_MAX / 2) near = HELLO_PEERS_MAX / 2;
    walk_start(&walk, ov, &link_contact(ov, to)->position);
    while (n < near && walk_next(&walk, &at)) {
        if (at == RING_SELF || ring_peer(ov, at) == to->peer) continue;
        if (contact_at(ov, at, &rows[n])) n++;
    }
    for (i = 0; i < HELLO_PEERS_MAX / 2 && ov->ring.n > 0; i++) {
        at = xn_rng_below(ov->rng, ov->ring.n);
        if (ring_peer(ov, at) == to->peer) continue;
        if (contact_at(ov, at, &rows[n])) n++;
    }
    return n;
}

void link_say_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                    bool full, struct xn_out *out)
{
    Xn__Hello hello = XN__HELLO__INIT;
    Xn__Contact rows[HELLO_PEERS_MAX], *peers[HELLO_PEERS_MAX];
    Xn__Coordinate coordinate;
    size_t i, n = 0;

    if (full) n = hello_peers(ov, link, rows);
    for (i = 0; i < n; i++)
        peers[i] = &rows[i];
    hello.version = VERSION;
    hello.features = FEATURES;
    hello.revoked = revoked_mark(ov->config.revoked);
    hello.address = (char *)(uintptr_t)ov->config.address;
    hello.full = full;
    hello.peers = peers;
    hello.n_peers = n;
    hello.wall_us = now->wall_us;
    hello.partial =
        ov->ring.n >= ov->config.links_max || now->mono_us < ov->partial_us;
    hello.life_s = life_seen_s(ov);
    hello.visit = link->visit;
    if (!link->visit) hello.coordinate = pns_say(ov, &coordinate);
    link->hellos++;
    ov_send(out, link->peer, XN__KIND__HELLO, &hello);
}

/* So long we wait for theirs. */
static uint64_t hello_us(const struct link *link)
{
    return link->trip_us < HELLO_US ? HELLO_US : link->trip_us;
}

static void hello_late(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct link *link = ctx;

    (void)rc, (void)msg;
    ov_enter(ov);
    link->timer = 0;
    if (link->hellos >= HELLOS_MAX || link->coy) {
        link_hang(ov, now, link, XN_ETIMEOUT, "no HELLO", out);
    } else {
        link_say_hello(ov, now, link, false, out);
        link_timer(ov, link, now->mono_us + hello_us(link), hello_late, out);
    }
    ov_exit(ov, now, out);
}

static void refuse(struct ov *ov, const struct xn_now *now, struct link *link,
                   struct xn_out *out)
{
    ov->stats.refused++;
    links_set_partial(ov, now);
    link_say_hello(ov, now, link, true, out);
    link_hang(ov, now, link, XN_EBUSY, "at the link budget", out);
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
    link->coy = body->incoming && !is_wanted(ov, &contact->position);
    if ((!visit && !link->coy && !is_wanted(ov, &contact->position)) ||
        ov->ring.n + ov->n_new > ov->config.links_max + NEW_MAX) {
        refuse(ov, now, link, out);
        goto out;
    }
    if (!link->coy) link_say_hello(ov, now, link, false, out);
    link_timer(ov, link, now->mono_us + hello_us(link), hello_late, out);
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

/* ---- their HELLO ---- */

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

/* The budget is kept by closing another one. */
static void make_room(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t count, at = least_useful(ov, &count);

    links_set_partial(ov, now);
    if (at != RING_NONE) links_evict(ov, now, at, out);
}

static void link_live(struct ov *ov, const struct xn_now *now,
                      struct link *link, struct xn_out *out)
{
    struct hint *hint = hint_find(ov, &link_contact(ov, link)->id);

    link_timer_stop(ov, link);
    life_count(ov, now);
    if (!ring_add_live(ov, link)) {
        out->rc = XN_ENOMEM;
        return;
    }
    link->state = LINK_LIVE;
    ov->n_new--;
    life_back(ov, now, &link_contact(ov, link)->id);
    if (hint) {
        if (hint->ticket && is_hearsay(hint)) {
            teller_was_right(ov, hint->teller);
        }
        hints_found(ov, now, hint);
        hint_drop(ov, hint);
    }
    ov_changed(ov, link->peer, true, out);
    guest_make_room(ov, now, out);
    leaves_live(ov, now, link, out);
    watch_live(ov, now, link, out);
    pns_live(ov, now, link, out);
}

/* The other end has no room: its contacts are the next best. */
static void refused_there(struct ov *ov, const struct xn_now *now,
                          struct link *link, struct xn_out *out)
{
    struct hint *hint;

    links_set_partial(ov, now);
    guest_turned_away(ov);
    link->shed = true;
    link_hang(ov, now, link, XN_EBUSY, "the peer has no room", out);
    hint = hint_find(ov, &link_contact(ov, link)->id);
    if (!hint) return;
    hint->news_us = 0;
    hint_failed(ov, now, hint, true);
}

static void log_skew(const struct ov *ov, const struct xn_now *now,
                     const struct link *link, uint64_t theirs_us,
                     struct xn_out *out)
{
    uint64_t skew_us = theirs_us > now->wall_us ? theirs_us - now->wall_us
                                                : now->wall_us - theirs_us;
    char name[XN_NAME_MAX];

    if (theirs_us == 0 || skew_us <= SKEW_US) return;
    xn_id_name(&link_contact(ov, link)->id, NULL, name);
    xn_out_log(out, XN_LOG_WARN, "clock of %s is %llu s %s ours", name,
               (unsigned long long)(skew_us / SECOND_US),
               theirs_us > now->wall_us ? "ahead of" : "behind");
}

static void take_address(struct link *link, const char *address)
{
    char *copy;

    if (!address[0]) {
        free(link->address);
        link->address = NULL;
    } else if (address_is_good(address)) {
        copy = strdup(address);
        if (!copy) return;
        free(link->address);
        link->address = copy;
    }
}

static void first_hello(struct ov *ov, const struct xn_now *now,
                        struct link *link, const Xn__Hello *hello,
                        struct xn_out *out)
{
    const xn_id *position = &link_contact(ov, link)->position;

    if (hello->version != VERSION) {
        link_hang(ov, now, link, XN_EPROTO, "speaks another version", out);
        return;
    }
    link->nowhere = !hello->address[0];
    if (link->visit || (link->incoming && hello->visit)) {
        visit_hello(ov, now, link, hello, out);
        return;
    }
    if ((hello->address[0] && !address_is_good(hello->address)) ||
        !hints_take(ov, now, &link_contact(ov, link)->id, hello->peers,
                    hello->n_peers)) {
        link_rude(ov, now, link, "malformed HELLO", out);
        return;
    }
    log_skew(ov, now, link, hello->wall_us, out);
    clock_told(ov, now, link, hello->wall_us);
    take_address(link, hello->address);
    link->features = hello->features;
    link->revoked = hello->revoked;
    if (link->nowhere) {
        guest_hello(ov, now, link, hello, out);
        return;
    }
    vivaldi_hear(hello->coordinate, &link->coordinate);
    if (!link->incoming) {
        life_told(ov, &link_contact(ov, link)->id, hello->life_s);
    }
    if (hello->partial) set_crowded(ov, now);
    if (hello->full) {
        refused_there(ov, now, link, out);
        return;
    }
    if (ov->ring.n >= ov->config.links_max) {
        if (!is_wanted(ov, position)) {
            refuse(ov, now, link, out);
            return;
        }
        make_room(ov, now, out);
    }
    if (link->coy) { /* it is wanted by now */
        link->coy = false;
        link_say_hello(ov, now, link, false, out);
    }
    link_live(ov, now, link, out);
}

void links_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_msg *msg, struct xn_out *out)
{
    const Xn__Hello *hello = XN_BODY(msg, Xn__Hello);

    if (link->state == LINK_NEW) {
        first_hello(ov, now, link, hello, out);
    } else if (hello->full && link_is_apart(link)) {
        link_hang(ov, now, link, XN_EBUSY, "the peer has no room", out);
    } else if (hello->full) {
        /* It sees only now that we are a guest: who else could have us? */
        if (ov_is_guest(ov))
            (void)hints_take(ov, now, &link_contact(ov, link)->id, hello->peers,
                             hello->n_peers);
        refused_there(ov, now, link, out);
    } else if (link->clock_asked) {
        clock_told(ov, now, link, hello->wall_us);
    } else if (link_allows(link, now, ALLOW_HELLO)) {
        /* It says so again: ours was lost, or its clock was set. */
        clock_told(ov, now, link, hello->wall_us);
        link_say_hello(ov, now, link, false, out);
    }
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
