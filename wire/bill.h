/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bill: all signed papers of an order, gone over by whoever has to pay, gets
 * the money, or hears a complaint.  The paper, II-B.1(5): every charge can be
 * traced to what it was for.
 *
 * What a bill says is believed only as far as it follows from its documents:
 * each signature and certificate (at the time when the XenoCorp took the
 * document), the chain of hashes, each amount by the prices of the signed quote,
 * the limits, the receipts, the sums.  Whether claims were left out at the end
 * shows where the XenoCorp's own numbers say more. */
#ifndef WIRE_BILL_H
#define WIRE_BILL_H

#include "wire/api.pb-c.h"
#include "wire/claim.h"

struct bill_line {
    struct money_claim claim;
    struct money_receipt receipt;
};

struct bill {
    Xn__OrderFate fate;
    struct money_order order;
    struct money_limits limits; /* after all narrowings */
    size_t n_narrowings;
    struct money_narrowing narrowings[ORDER_NARROWINGS_MAX];
    /* These only where it was accepted, or closed after that. */
    bool accepted;
    struct money_quote quote;
    struct money_acceptance acceptance;
    struct claim_terms terms;
    struct claim_state state; /* after the last claim */
    size_t n_lines;
    struct bill_line *lines;
    bool stopped;
    struct money_stop stop;
    struct money_receipt stop_receipt;
    int64_t charged, paid, released, left; /* left: still in the fence */
};

struct bill_view { /* what the reader knows by himself */
    const struct xn_anchors *anchors;
    uint64_t now_us;
    xn_id serial; /* zero: any */
    xn_id corp;   /* zero: any that is accepted */
    xn_id holder; /* zero: anybody's */
};

struct bill_fault { /* the first thing that is wrong */
    char part[40];  /* "PurchaseOrder", "Claim 7", "Receipt of claim 7" */
    enum money_reason reason;
    char text[REASON_TEXT_MAX];
};

/* 0: all of it is right, and *bill_out is filled: bill_clear.  XN_EINTEGRITY:
 * fault_out says what is not.  XN_ENOMEM.  Costs 1.5 ms a claim. */
int bill_read(const Xn__Bill *from, const struct bill_view *view,
              struct bill *bill_out, struct bill_fault *fault_out);
void bill_clear(struct bill *bill); /* a zeroed one is fine */

#endif
