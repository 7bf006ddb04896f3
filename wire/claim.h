/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Claims: what a server may charge for a session, and the bill that they make.
 * The paper, II-B.1(5).  The side that meters is the one that gains by lying, so
 * every claim is held against what the client signed and against the corp's own
 * time.  The server asks the same code what it may claim, the client adds up its
 * bill with it.
 *
 * A claim states everything since the session's start; a charge is its amount
 * less that of the claim before.  The amount is the price of the usage, or what
 * the order allows until then (its amount, its most per hour) where that is
 * less: what is above it is never owed.
 *
 * Documents must have been vouched for.  Pure; `why` may be NULL.
 */
#ifndef WIRE_CLAIM_H
#define WIRE_CLAIM_H

#include "wire/order.h"

struct claim_terms { /* what a session's claims are judged by */
    xn_id corp, holder, server, session;
    xn_id acceptance; /* its hash: where the chain of claims begins */
    char currency[MONEY_CURRENCY_SIZE];
    int64_t amount, most_per_hour;
    uint64_t since_us, until_us; /* acceptance, end of the order */
    struct money_rates rates;
    struct price_list prices;
};

struct claim_state {   /* after the last claim taken; plain values, to store */
    uint64_t sequence; /* 0: none yet */
    xn_id hash;        /* of the last one; of the acceptance */
    uint64_t till_us;
    struct price_usage usage;
    int64_t amount;
    bool final;
};

struct claim_clock {     /* the corp's */
    uint64_t now_us;     /* when the claim came */
    uint64_t stopped_us; /* when the client's stop came; 0: it did not */
    uint64_t slack_us;   /* forgiven between its clock and the server's */
};

/* From the documents of an accepted order; order_accepted is asked. */
enum money_reason claim_terms(const struct order_chain *chain,
                              const struct money_quote *quote,
                              const struct money_acceptance *acceptance,
                              struct claim_terms *terms_out,
                              struct money_refusal *why);
void claim_begin(const struct claim_terms *terms, struct claim_state *state);

/* May this claim be charged?  *next_out becomes the state after it, and the
 * charge is next_out->amount - state->amount.  REASON_REPEATED: it is the last
 * one again, answer as then; REASON_CLAIM_OLD: look among the older ones. */
enum money_reason claim_check(const struct claim_terms *terms,
                              const struct claim_state *state,
                              const struct money_claim *claim,
                              const struct claim_clock *clock,
                              struct claim_state *next_out,
                              struct money_refusal *why);

/* The corp's receipt, to be written and signed, for the claim or stop of that
 * hash; a stop changes no state, so both are the same. */
void claim_receipt(const struct claim_terms *terms, const xn_id *of,
                   const struct claim_state *before,
                   const struct claim_state *after, uint64_t now_us,
                   struct money *receipt_out);
/* Is it that receipt?  For the server and for whoever reads a bill. */
enum money_reason claim_receipted(const struct claim_terms *terms,
                                  const xn_id *of,
                                  const struct claim_state *before,
                                  const struct claim_state *after,
                                  const struct money_receipt *receipt,
                                  struct money_refusal *why);

/* ---- for the server ---- */

/* The most that may be claimed at a time: usage is cut to what rates and time
 * since the acceptance, and since the claim before, allow (a CPU cap overshoots
 * by a tick, clocks drift).  What is cut may be claimed later, if the session
 * then uses less. */
void claim_cut(const struct claim_terms *terms, const struct claim_state *state,
               uint64_t till_us, struct price_usage *usage);

/* The next claim, to be written and signed; it reaches to the order's end at
 * most.  XN_EOVERFLOW, XN_EINVAL (usage
 * below that of the state, activity too long). */
int claim_next(const struct claim_terms *terms, const struct claim_state *state,
               const struct price_usage *usage, uint64_t till_us,
               enum money_state ending, const char *activity,
               struct money *claim_out);

/* The state after a claim of one's own that the corp has taken. */
void claim_taken(const struct money_claim *claim, struct claim_state *state);

/* What the order allows to be charged in all until then, whatever is used. */
int64_t claim_ceiling(const struct claim_terms *terms, uint64_t till_us);

#endif
