/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The orders that the state folder holds:
 *
 *     orders/lock                held by who changes any
 *     orders/new-HASH            an order that was asked for and not yet had
 *     orders/SERIAL/order        as the XenoCorp signed it
 *     orders/SERIAL/narrowing-N  what we signed over it, N from 1
 *     orders/SERIAL/note         what it is for, in our words
 *
 * Whoever has the key can ask the XenoCorp for the order again; a narrowing is
 * nowhere else until a server has accepted it. */
#ifndef TOOLS_XENO_ORDERS_H
#define TOOLS_XENO_ORDERS_H

#include "tools/xeno.h"
#include "wire/order.h"

#define XENO_NOTE_MAX 200
#define XENO_SERIAL_SHORT 12 /* digits that people are shown */

struct xeno_paper { /* an envelope; free */
    uint8_t *data;
    size_t len;
};

struct xeno_order {
    struct money_order order;
    size_t n; /* narrowings, in the order of signing */
    struct money_narrowing narrowings[ORDER_NARROWINGS_MAX];
    struct xeno_paper order_paper, papers[ORDER_NARROWINGS_MAX];
    char note[XENO_NOTE_MAX + 1];
};

/* Waits for others that change orders; an exit code.  The lock goes with the
 * process or xeno_orders_unlock. */
int xeno_orders_lock(const struct xeno *xeno, int *lock_out);
void xeno_orders_unlock(int lock);

/* The order that `text` names, its serial or the first digits of it (4 at
 * least), and us at its XenoCorp, which is asked where the folder does not have
 * it.  All documents are verified.  An exit code; errors are told. */
int xeno_order_find(const struct xeno *xeno, const char *text,
                    struct xeno_member *member_out,
                    struct xeno_order *order_out);
void xeno_order_clear(struct xeno_order *order);
struct order_chain xeno_order_chain(const struct xeno_order *order);

/* Keep a paper of that order: "order", "narrowing-1"; durable, atomically.  An
 * exit code; errors are told. */
int xeno_order_keep(const struct xeno *xeno, const xn_id *serial,
                    const char *name, const void *data, size_t len);
/* 0 or a code of lib/err.h; nothing is told. */
int xeno_order_read(const struct xeno *xeno, const xn_id *serial,
                    const char *name, struct xeno_paper *out);
void xeno_order_note(const struct xeno *xeno, const xn_id *serial,
                     char out[XENO_NOTE_MAX + 1]);

/* All that the XenoCorp says of our orders, in pages; *statuses_out is an array
 * of *n_out, all the caller's: xeno_statuses_free.  An exit code. */
int xeno_statuses(const struct xeno *xeno, const struct xeno_member *member,
                  Xn__OrderStatus ***statuses_out, size_t *n_out);
void xeno_statuses_free(Xn__OrderStatus **statuses, size_t n);

/* The XenoCorp signs what is asked for; the order is verified and kept, with
 * the note (may be NULL).  An exit code, errors are told; *rc_out is what the
 * asking came to, 0 where an answer came. */
int xeno_order_issue(const struct xeno *xeno, const struct xeno_member *member,
                     const Xn__IssueOrder *ask, const char *note, int *rc_out,
                     struct money_order *order_out);
/* Does that rc settle that no order was or will be issued?  again: it was asked
 * before with the same bytes. */
bool xeno_order_settled(bool again, int rc);
/* Make it void: as of xeno_ask; the status is the caller's. */
int xeno_order_take_back(const struct xeno *xeno,
                         const struct xeno_member *member, const xn_id *serial,
                         struct xeno_why *why, Xn__OrderStatus **status_out);
/* Narrow it to that quote and its server, which closes it; kept.  An exit code,
 * errors are told. */
int xeno_order_close(const struct xeno *xeno, const struct xeno_member *member,
                     struct xeno_order *order, const struct money_quote *quote);

const char *xeno_fate_name(Xn__OrderFate fate); /* "issued" */

/* "2026-11-21T10:00:00Z", or an amount of time from now on. */
int xeno_time_parse(const char *text, uint64_t now_us, uint64_t *us_out);

int xeno_order_new(struct xeno *xeno, int argc, char **argv);
int xeno_order_list(struct xeno *xeno, int argc, char **argv);
int xeno_order_show(struct xeno *xeno, int argc, char **argv);
int xeno_order_narrow(struct xeno *xeno, int argc, char **argv);
int xeno_order_void(struct xeno *xeno, int argc, char **argv);

#endif
