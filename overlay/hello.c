/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HELLO: what we say of ourselves, and what comes of what the other says: the
 * link counts, or one of the two has no room for it. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "overlay/inside.h"

/* ---- ours ---- */

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
        link_await_hello(ov, now, link, out);
    }
    ov_exit(ov, now, out);
}

void link_await_hello(struct ov *ov, const struct xn_now *now,
                      struct link *link, struct xn_out *out)
{
    link_timer(ov, link, now->mono_us + hello_us(link), hello_late, out);
}

/* ---- room ---- */

bool link_is_wanted(const struct ov *ov, const xn_id *position)
{
    return ov->ring.n < ov->config.links_max || ring_is_leaf(ov, position) ||
           places_fills_gap(ov, position);
}

void link_refuse(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out)
{
    ov->stats.refused++;
    links_set_partial(ov, now);
    link_say_hello(ov, now, link, true, out);
    link_hang(ov, now, link, XN_EBUSY, "at the link budget", out);
}

/* ---- theirs ---- */

/* The budget is kept by closing another one. */
static void make_room(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t count, at = places_fullest(ov, &count);

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
        if (hint->ticket && dial_is_hearsay(hint)) {
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
    if (hello->partial) links_set_crowded(ov, now);
    if (hello->full) {
        refused_there(ov, now, link, out);
        return;
    }
    if (ov->ring.n >= ov->config.links_max) {
        if (!link_is_wanted(ov, position)) {
            link_refuse(ov, now, link, out);
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
