/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes that accept no links: behind a NAT or a firewall they can only dial.
 *
 * Two such nodes can never be linked, so each would take itself for the owner
 * of what lies between them, or ask a third for what it holds itself (Freedman,
 * Lakshminarayanan, Rhea, Stoica: Non-transitive connectivity and DHTs, WORLDS
 * 2005).  So they stand nowhere on the ring and own nothing.  They are guests:
 * what they ask goes over the links that they dialled, and over these they are
 * asked, too.  Nobody is told of them, since nobody could dial them. */
#include <stdlib.h>

#include "lib/err.h"
#include "overlay/inside.h"

#define LINKS_MAX 16U  /* that a guest wants of others, */
#define LINKS_LEAST 4U /* where there is no room for so many */
#define ROUNDS 20U     /* of gossip; then it tries again */
#define GUESTS_LEAST 8U
#define STAY_US (300 * SECOND_US) /* then another may have its place */

/* A quarter of the budget more: they are served, and give little back; and what
 * of the budget the ring does not need, whose links always come first. */
static size_t most_guests(const struct ov *ov, size_t n)
{
    size_t max = ov->config.links_max, most = max / 4;

    if (most < GUESTS_LEAST) most = GUESTS_LEAST;
    return n < max ? most + max - n : most;
}

static bool too_many(const struct ov *ov)
{
    return ov->n_guests > most_guests(ov, ov->ring.n);
}

size_t guest_wants(const struct ov *ov)
{
    size_t most = ov->turned_away ? LINKS_LEAST : LINKS_MAX;

    return ov->config.links_max < most ? ov->config.links_max : most;
}

void guest_turned_away(struct ov *ov)
{
    if (ov_is_guest(ov)) ov->turned_away = ROUNDS;
}

void guest_round(struct ov *ov)
{
    if (ov->turned_away && --ov->turned_away == 0) ov->dial_dirty = true;
}

/* Here for longest and at least so long, and waits for nothing.  That it is
 * quiet says nothing: all keep their links open (watch.c). */
static struct link *oldest(const struct ov *ov, const struct xn_now *now,
                           uint64_t stay_us)
{
    struct link *oldest = NULL;
    size_t i;

    for (i = 0; i < ov->by_id.n; i++) {
        struct link *link = link_at(&ov->by_id, i);

        if (!link->guest || link->state != LINK_LIVE || link->held ||
            link->sent || now->mono_us - link->up_us < stay_us)
            continue;
        if (!oldest || link->up_us < oldest->up_us) oldest = link;
    }
    return oldest;
}

/* That link ends, not we. */
static void shed(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out)
{
    Xn__Leave leave = XN__LEAVE__INIT;

    leave.shed = true;
    ov_send(out, link->peer, XN__KIND__LEAVE, &leave);
    link_hang(ov, now, link, XN_EBUSY, "room for another", out);
}

void guest_make_room(struct ov *ov, const struct xn_now *now,
                     struct xn_out *out)
{
    struct link *link = too_many(ov) ? oldest(ov, now, 0) : NULL;

    if (link) shed(ov, now, link, out);
}

static void refuse(struct ov *ov, const struct xn_now *now, struct link *link,
                   struct xn_out *out)
{
    ov->stats.refused++;
    link_say_hello(ov, now, link, true, out);
    link_hang(ov, now, link, XN_EBUSY, "too many guests", out);
}

void guest_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 const Xn__Hello *hello, struct xn_out *out)
{
    struct link *other;

    link->guest = true;
    ov->n_guests++;
    hint_forget(ov, &link_contact(ov, link)->id); /* nobody dials it */
    if (hello->full) {
        link_hang(ov, now, link, XN_EBUSY, "the peer has no room", out);
        return;
    }
    if (too_many(ov)) {
        other = oldest(ov, now, STAY_US);
        if (!other) {
            refuse(ov, now, link, out);
            return;
        }
        shed(ov, now, other, out);
    }
    if (link->coy) link_say_hello(ov, now, link, false, out);
    link->coy = false;
    link_timer_stop(ov, link);
    link->state = LINK_LIVE;
    ov->n_new--;
}

const struct link *guest_at(const struct ov *ov, size_t i)
{
    size_t at;

    for (at = 0; at < ov->by_id.n; at++) {
        const struct link *link = link_at(&ov->by_id, at);

        if (link->guest && link->state == LINK_LIVE && i-- == 0) return link;
    }
    return NULL;
}

bool guest_check(const struct ov *ov)
{
    unsigned n = 0;
    size_t i;

    for (i = 0; i < ov->by_id.n; i++) {
        const struct link *link = link_at(&ov->by_id, i);

        n += link->guest;
        if (link->guest && (link->visit || link->probes)) return false;
    }
    return n == ov->n_guests && n <= most_guests(ov, 0) + 1;
}
