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

#define LINKS_MAX 16U /* that a guest wants of others */
#define GUESTS_LEAST 8U
#define IDLE_US (300 * SECOND_US) /* then another may have its place */

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

size_t guest_wants(size_t want)
{
    return want < LINKS_MAX ? want : LINKS_MAX;
}

/* Heard of longest ago, waits for nothing, and not before so long. */
static struct link *idlest(const struct ov *ov, const struct xn_now *now,
                           uint64_t idle_us)
{
    struct link *idlest = NULL;
    size_t i;

    for (i = 0; i < ov->by_id.n; i++) {
        struct link *link = link_at(&ov->by_id, i);

        if (!link->guest || link->state != LINK_LIVE || link->held ||
            link->sent || now->mono_us - link->heard_us < idle_us)
            continue;
        if (!idlest || link->heard_us < idlest->heard_us) idlest = link;
    }
    return idlest;
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
    struct link *link = too_many(ov) ? idlest(ov, now, 0) : NULL;

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
    struct link *idle;

    link->guest = true;
    ov->n_guests++;
    hint_forget(ov, &link_contact(ov, link)->id); /* nobody dials it */
    if (hello->full) {
        link_hang(ov, now, link, XN_EBUSY, "the peer has no room", out);
        return;
    }
    if (too_many(ov)) {
        idle = idlest(ov, now, IDLE_US);
        if (!idle) {
            refuse(ov, now, link, out);
            return;
        }
        shed(ov, now, idle, out);
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
