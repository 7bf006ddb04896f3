/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links that are opened to ask something of a node, and given back.
 *
 * Such a link takes no place in anybody's tables, so it needs none: nodes at
 * their link budget take visits too.  Whoever is visited has proved who it is,
 * as on any link.  Requests, and nothing that spreads news, are said over it;
 * who dialled it hangs up when it was not used for some seconds. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "overlay/inside.h"

#define VISIT_DIAL_US (3 * SECOND_US)
#define VISIT_IDLE_US (4 * SECOND_US)
#define VISITED_IDLE_US (15 * SECOND_US)

/* ---- dialling ---- */

struct visit { /* on its way */
    struct ov *ov;
    uint64_t ticket;
    xn_id id;
    char address[OV_ADDRESS_MAX + 1];
    struct visit *prev, *next;
};

static void drop(struct ov *ov, struct visit *visit)
{
    DL_DELETE(ov->dialled, visit);
    ov->n_visits--;
    free(visit);
}

static void dial_ended(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct visit *visit = ctx, gone = *visit;

    (void)msg;
    ov_enter(ov);
    if (rc == XN_ETIMEOUT) /* the driver has more patience */
        xn_out_add(out, XN_ACT_ABORT, gone.ticket, XN_PEER_NONE, NULL);
    drop(ov, visit);
    ov->stats.visits_failed++;
    seek_missed(ov, now, &gone.id, gone.address, out);
    ov_exit(ov, now, out);
}

static bool is_dialled(const struct ov *ov, const xn_id *id,
                       const char *address)
{
    const struct visit *visit;

    DL_FOREACH(ov->dialled, visit)
    {
        if (xn_id_eq(&visit->id, id) && !strcmp(visit->address, address))
            return true;
    }
    return false;
}

int visit_dial(struct ov *ov, const struct xn_now *now, const xn_id *id,
               const char *address, struct xn_out *out)
{
    Xn__Contact contact = XN__CONTACT__INIT;
    Xn__Dial body = XN__DIAL__INIT;
    struct visit *visit;

    if (is_dialled(ov, id, address)) return 0;
    if (ov->n_visits >= VISITS_MAX || ov->leaving) return XN_EBUSY;
    visit = calloc(1, sizeof *visit);
    if (!visit) return XN_ENOMEM;
    visit->ov = ov;
    visit->id = *id;
    memcpy(visit->address, address, strlen(address) + 1);
    visit->ticket = xn_ticket(ov->tickets, now->mono_us + VISIT_DIAL_US,
                              dial_ended, ov, visit, out);
    if (!visit->ticket) {
        free(visit);
        return XN_ENOMEM;
    }
    DL_APPEND(ov->dialled, visit);
    ov->n_visits++;
    ov->stats.visits++;
    contact.id = xn_id_bytes(&visit->id);
    contact.address = visit->address;
    body.contact = &contact;
    xn_out_emit(out, XN_ACT_DIAL, visit->ticket, XN_PEER_NONE, XN__KIND__DIAL,
                &body);
    return 0;
}

bool visit_answered(struct ov *ov, const struct xn_now *now, uint64_t ticket,
                    const xn_id *id, char **address_out, struct xn_out *out)
{
    struct visit *visit;
    bool good;

    DL_SEARCH_SCALAR(ov->dialled, visit, ticket, ticket);
    *address_out = NULL;
    if (!visit) return false;
    xn_ticket_forget(ov->tickets, ticket);
    good = xn_id_eq(&visit->id, id);
    if (good) {
        *address_out = strdup(visit->address);
        drop(ov, visit);
    } else {
        struct visit gone = *visit;

        drop(ov, visit);
        ov->stats.visits_failed++;
        seek_missed(ov, now, &gone.id, gone.address, out);
    }
    return true;
}

/* ---- open ---- */

bool visit_takes(unsigned kind)
{
    return kind != XN__KIND__PEERS && kind != XN__KIND__SUSPECT;
}

static void idle_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct link *link = ctx;
    uint64_t idle_us = link->incoming ? VISITED_IDLE_US : VISIT_IDLE_US;

    (void)rc, (void)msg;
    ov_enter(ov);
    link->timer = 0;
    if (link->sent || link->held || now->mono_us - link->heard_us < idle_us) {
        link_timer(ov, link, now->mono_us + idle_us, idle_due, out);
    } else {
        link_hang(ov, now, link, XN_ECANCELLED, "the visit is over", out);
    }
    ov_exit(ov, now, out);
}

static void open_visit(struct ov *ov, const struct xn_now *now,
                       struct link *link, const Xn__Hello *hello,
                       struct xn_out *out)
{
    link_timer_stop(ov, link);
    link->state = LINK_LIVE;
    ov->n_new--;
    link->coy = false;
    link->features = hello->features;
    link->revoked = hello->revoked;
    link_timer(ov, link,
               now->mono_us +
                   (link->incoming ? VISITED_IDLE_US : VISIT_IDLE_US),
               idle_due, out);
}

/* Who has been silent for longest and waits for nothing makes room. */
static bool make_room(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    struct link *oldest = NULL;
    size_t i;

    if (ov->n_visited < VISITED_MAX) return true;
    for (i = 0; i < ov->by_id.n; i++) {
        struct link *link = link_at(&ov->by_id, i);

        if (!link->visit || !link->incoming || link->state != LINK_LIVE ||
            link->held || link->sent)
            continue;
        if (!oldest || link->heard_us < oldest->heard_us) oldest = link;
    }
    if (!oldest) return false;
    link_hang(ov, now, oldest, XN_EBUSY, "room for another visit", out);
    return true;
}

static void take_visit(struct ov *ov, const struct xn_now *now,
                       struct link *link, const Xn__Hello *hello,
                       struct xn_out *out)
{
    bool room = make_room(ov, now, out);

    link->visit = true;
    ov->n_visited++;
    if (!room) {
        ov->stats.refused++;
        link_say_hello(ov, now, link, true, out);
        link_hang(ov, now, link, XN_EBUSY, "too many visits", out);
        return;
    }
    if (link->coy) link_say_hello(ov, now, link, false, out);
    open_visit(ov, now, link, hello, out);
}

void visit_hello(struct ov *ov, const struct xn_now *now, struct link *link,
                 const Xn__Hello *hello, struct xn_out *out)
{
    xn_id id = link_contact(ov, link)->id;

    if (link->incoming) {
        take_visit(ov, now, link, hello, out);
    } else if (hello->full || link->nowhere ||
               !(hello->features & OV_FEATURE_NEAR)) {
        ov->stats.visits_failed++;
        link_hang(ov, now, link, XN_EBUSY, "it takes no visits", out);
    } else {
        open_visit(ov, now, link, hello, out);
        seek_met(ov, now, &id, out);
    }
}

void visit_lost(struct ov *ov, const struct link *link)
{
    if (link->incoming)
        ov->n_visited--;
    else
        ov->n_visits--;
}

void visit_clear(struct ov *ov)
{
    struct visit *visit, *after;

    DL_FOREACH_SAFE(ov->dialled, visit, after)
    {
        xn_ticket_forget(ov->tickets, visit->ticket);
        drop(ov, visit);
    }
}

bool visit_check(const struct ov *ov)
{
    const struct visit *visit;
    unsigned ours = 0, theirs = 0;
    size_t i;

    DL_FOREACH(ov->dialled, visit) ours++;
    for (i = 0; i < ov->by_id.n; i++) {
        const struct link *link = link_at(&ov->by_id, i);

        ours += link->visit && !link->incoming;
        theirs += link->visit && link->incoming;
    }
    return ours == ov->n_visits && ours <= VISITS_MAX &&
           theirs == ov->n_visited && theirs <= VISITED_MAX + 1;
}
