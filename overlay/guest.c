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

/* A quarter of the budget more: they are served, and give little back. */
static unsigned most_guests(const struct ov *ov)
{
    unsigned most = ov->config.links_max / 4;

    return most > GUESTS_LEAST ? most : GUESTS_LEAST;
}

size_t guest_wants(size_t want)
{
    return want < LINKS_MAX ? want : LINKS_MAX;
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
    link->guest = true;
    ov->n_guests++;
    hint_forget(ov, &link_contact(ov, link)->id); /* nobody dials it */
    if (hello->full) {
        link_hang(ov, now, link, XN_EBUSY, "the peer has no room", out);
        return;
    }
    if (ov->n_guests > most_guests(ov)) {
        refuse(ov, now, link, out);
        return;
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
    return n == ov->n_guests && n <= most_guests(ov) + 1;
}
