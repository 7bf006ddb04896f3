/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an order is good for.  The paper, II-B.1(3): the corp issues, "the client
 * may annotate it with further restrictions".  The client's tool asks these
 * before it signs, the server before it starts, the corp before it binds: the
 * same code, so that they agree.
 *
 * A narrowing that names the server closes the order: nothing stands over it,
 * and nothing is accepted without one.  So whoever is shown an order cannot
 * spend it: not without the holder's signature, not elsewhere, and not under
 * wider limits by leaving the last narrowing out.
 *
 * All documents must have been vouched for (money_vouch); nothing here checks a
 * signature.  Pure; a refusal is described in `why` where that is not NULL.
 */
#ifndef WIRE_ORDER_H
#define WIRE_ORDER_H

#include "wire/money.h"

#define ORDER_NARROWINGS_MAX 8
/* From its issue to its end: its money is nobody's meanwhile. */
#define ORDER_LIFE_US_MOST (366 * 86400 * UINT64_C(1000000))

struct order_chain { /* lent */
    const struct money_order *order;
    const struct money_narrowing *narrowings; /* in the order of signing */
    size_t n;
};

/* The limits after all narrowings: each field's narrowest.  A narrowing that
 * widens any is refused, with the field's name.  Fine without any narrowing. */
enum money_reason order_effective(const struct order_chain *chain,
                                  struct money_limits *limits_out,
                                  struct money_refusal *why);

/* May this server accept the order for this quote at that time?  limits_out
 * (may be NULL) as above. */
enum money_reason order_accepts(const struct order_chain *chain,
                                const struct money_quote *quote,
                                const xn_id *server, uint64_t at_us,
                                struct money_limits *limits_out,
                                struct money_refusal *why);

/* The corp's acceptance of it, to be written and signed: for that session, all
 * of the amount and all of the time that the limits leave.  order_accepts comes
 * first.  Whether the order is bound already is the corp's to know. */
enum money_reason order_accept(const struct order_chain *chain,
                               const struct money_quote *quote,
                               const xn_id *server, const xn_id *session,
                               uint64_t at_us, struct money *acceptance_out,
                               struct money_refusal *why);

/* Is this acceptance one of this order and quote, by its corp, within its
 * limits?  For the server before it starts, and for whoever reads a bill. */
enum money_reason order_accepted(const struct order_chain *chain,
                                 const struct money_quote *quote,
                                 const struct money_acceptance *acceptance,
                                 struct money_refusal *why);

/* Does the stop come from this order's holder, for its last narrowing? */
enum money_reason order_stops(const struct order_chain *chain,
                              const struct money_stop *stop,
                              struct money_refusal *why);

#endif
