/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dialling the nodes that we have heard of: pick.c says whom next. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "overlay/inside.h"

#define BUSY_US (5 * SECOND_US) /* until a dial that was refused here */

/* ---- under way ---- */

const char *hint_address(const struct hint *hint)
{
    return hint->by_name && hint->named ? hint->named : hint->address;
}

bool dial_is_hearsay(const struct hint *hint)
{
    return !hint->met || hint->by_name;
}

struct hint *dial_find(const struct ov *ov, uint64_t ticket)
{
    struct hint *hint;

    DL_FOREACH2(ov->dials, hint, dial_next)
    {
        if (hint->ticket == ticket) return hint;
    }
    return NULL;
}

bool dials_full(const struct ov *ov)
{
    return ov->n_dials >= DIALS_MAX;
}

bool dials_go_to(const struct ov *ov, const char *address)
{
    const struct hint *hint;

    DL_FOREACH2(ov->dials, hint, dial_next)
    {
        if (!strcmp(hint_address(hint), address)) return true;
    }
    return false;
}

void dial_begun(struct ov *ov, const struct xn_now *now, struct hint *hint,
                uint64_t ticket)
{
    hint->by_name =
        hint->named && !hint->by_name && !dials_go_to(ov, hint->named);
    hint->ticket = ticket;
    hint->dialled_us = now->mono_us;
    DL_APPEND2(ov->dials, hint, dial_prev, dial_next);
    ov->n_dials++;
}

void dial_over(struct ov *ov, struct hint *hint)
{
    DL_DELETE2(ov->dials, hint, dial_prev, dial_next);
    ov->n_dials--;
    hint->ticket = 0;
}

/* ---- beginning and end ---- */

/* Our driver would not: never, or it is busy.  That is nobody's fault, and says
 * nothing of whether the node lives.  Of hearsay there is more. */
static void not_tried(struct ov *ov, const struct xn_now *now,
                      struct hint *hint, bool never)
{
    if (dial_is_hearsay(hint)) teller_was_right(ov, hint->teller);
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
        if (dial_is_hearsay(hint)) teller_was_right(ov, hint->teller);
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
    if (dial_is_hearsay(hint)) teller_dialled(ov, now, hint->teller);
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

bool dial_answered(struct ov *ov, const struct xn_now *now, uint64_t ticket,
                   const xn_id *id, char **address_out, uint64_t *since_us_out)
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
    if (dial_is_hearsay(hint)) teller_was_right(ov, hint->teller);
    *address_out = strdup(hint_address(hint));
    *since_us_out = hint->dialled_us;
    return true;
}
