/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a core waits for: tickets of actions under way, and timers.
 *
 * Both are one thing here: an entry with a deadline and a function.  A ticket
 * ends when its DONE comes or, at the latest at its deadline with
 * XN_ETIMEOUT; a timer is a ticket that nobody completes, so it always ends
 * with XN_ETIMEOUT.  The function is called exactly once, and the entry is
 * gone before it is called: it may start new ones.
 *
 * The core keeps one xn_tickets; xn_tickets_next() is its wake_us.  Ends that
 * fall due together run in order of deadline, then of number: repeatable.
 * O(log n) each.
 */
#ifndef SEAM_TICKETS_H
#define SEAM_TICKETS_H

#include "seam/out.h"
#include "seam/xn_core.h"

/* `owner` and `ctx` as given; rc 0 and the action's message, or an error.  msg
 * is lent and may be NULL. */
typedef void xn_ended(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out);

struct xn_tickets;

int xn_tickets_new(struct xn_tickets **tickets_out);
/* Forgets all entries without calling them; contexts that must be freed are
 * passed to `drop` (may be NULL). */
void xn_tickets_free(struct xn_tickets *tickets,
                     void (*drop)(void *owner, void *ctx, xn_ended *fn));

/* A new ticket, never 0 and never used before in this core; 0 when out of
 * memory (out->rc is then set). */
uint64_t xn_ticket(struct xn_tickets *tickets, uint64_t deadline_us,
                   xn_ended *fn, void *owner, void *ctx, struct xn_out *out);

/* End it with this result.  false: no such ticket (late or doubled: ignore). */
bool xn_ticket_end(struct xn_tickets *tickets, uint64_t ticket,
                   const struct xn_now *now, int rc, struct xn_msg *msg,
                   struct xn_out *out);

/* Forget it without a call; returns its ctx (NULL when unknown). */
void *xn_ticket_forget(struct xn_tickets *tickets, uint64_t ticket);

/* Move the deadline.  false: no such ticket. */
bool xn_ticket_postpone(struct xn_tickets *tickets, uint64_t ticket,
                        uint64_t deadline_us);

/* End all whose deadline has come; called on every event, not only WAKE. */
void xn_tickets_run(struct xn_tickets *tickets, const struct xn_now *now,
                    struct xn_out *out);

/* mono_us of the earliest deadline; UINT64_MAX: none. */
uint64_t xn_tickets_next(const struct xn_tickets *tickets);
size_t xn_tickets_count(const struct xn_tickets *tickets);

#endif
