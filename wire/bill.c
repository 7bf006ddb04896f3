/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/bill.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* Between a XenoCorp's clock and a server's: the most that it may forgive. */
#define SLACK_US MONEY_AHEAD_US_MAX

struct reading {
    const Xn__Bill *from;
    const struct bill_view *view;
    struct bill *bill;
    struct bill_fault *fault;
};

/* ---- faults ---- */

/* n: which of them; 0: there is one alone. */
static int fault_of(struct reading *r, const struct money_refusal *why,
                    const char *part, size_t n)
{
    struct bill_fault *fault = r->fault;

    if (why->reason == REASON_NOMEM) return XN_ENOMEM;
    if (n) {
        snprintf(fault->part, sizeof fault->part, "%s %zu", part, n);
    } else {
        snprintf(fault->part, sizeof fault->part, "%s", part);
    }
    fault->reason = why->reason;
    snprintf(fault->text, sizeof fault->text, "%s", why->text);
    return XN_EINTEGRITY;
}

static int wrong(struct reading *r, const char *part, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int wrong(struct reading *r, const char *part, const char *fmt, ...)
{
    va_list ap;

    snprintf(r->fault->part, sizeof r->fault->part, "%s", part);
    r->fault->reason = REASON_BAD;
    va_start(ap, fmt);
    vsnprintf(r->fault->text, sizeof r->fault->text, fmt, ap);
    va_end(ap);
    return XN_EINTEGRITY;
}

/* ---- order, narrowings, quote, acceptance ---- */

static enum money_reason open_doc(const struct reading *r, enum money_type type,
                                  const ProtobufCBinaryData *from,
                                  uint64_t at_us, struct money *out,
                                  struct money_refusal *why)
{
    if (!from->len) {
        return reason_refuse(why, REASON_BAD, "%s is missing",
                             money_name(type));
    }
    return money_open(type, from->data, from->len, r->view->anchors, at_us, out,
                      why);
}

static bool differs(const xn_id *known, const xn_id *is)
{
    return !xn_id_is_zero(known) && !xn_id_eq(known, is);
}

static int read_order(struct reading *r)
{
    const struct bill_view *view = r->view;
    struct money_refusal why;
    struct money doc;

    if (open_doc(r, MONEY_ORDER, &r->from->order, view->now_us, &doc, &why))
        return fault_of(r, &why, "PurchaseOrder", 0);
    r->bill->order = doc.order;
    r->bill->limits = doc.order.limits;
    if (differs(&view->corp, &doc.order.head.by))
        return wrong(r, "PurchaseOrder", "of another XenoCorp than asked");
    if (differs(&view->serial, &doc.order.serial))
        return wrong(r, "PurchaseOrder", "of another serial than asked for");
    if (differs(&view->holder, &doc.order.holder))
        return wrong(r, "PurchaseOrder", "held by another");
    return 0;
}

static struct order_chain chain_of(const struct bill *bill)
{
    return (struct order_chain){.order = &bill->order,
                                .narrowings = bill->narrowings,
                                .n = bill->n_narrowings};
}

/* When the acceptance was signed is when the XenoCorp looked at the others. */
static int read_papers(struct reading *r)
{
    const Xn__Bill *from = r->from;
    struct bill *bill = r->bill;
    struct money_refusal why;
    struct money doc;
    uint64_t at_us;

    if (open_doc(r, MONEY_ACCEPTANCE, &from->acceptance, r->view->now_us, &doc,
                 &why))
        return fault_of(r, &why, "Acceptance", 0);
    bill->acceptance = doc.acceptance;
    at_us = doc.acceptance.head.issued_us;
    if (open_doc(r, MONEY_QUOTE, &from->quote, at_us, &doc, &why))
        return fault_of(r, &why, "Quote", 0);
    bill->quote = doc.quote;
    if (from->n_narrowings > ORDER_NARROWINGS_MAX)
        return wrong(r, "Narrowing", "more than %d", ORDER_NARROWINGS_MAX);
    for (size_t i = 0; i < from->n_narrowings; i++) {
        if (open_doc(r, MONEY_NARROWING, &from->narrowings[i], at_us, &doc,
                     &why))
            return fault_of(r, &why, "Narrowing", i + 1);
        bill->narrowings[bill->n_narrowings++] = doc.narrowing;
    }
    return 0;
}

static int check_papers(struct reading *r)
{
    struct bill *bill = r->bill;
    const struct money_acceptance *acceptance = &bill->acceptance;
    struct order_chain chain = chain_of(bill);
    struct money_refusal why;

    if (order_effective(&chain, &bill->limits, &why))
        return fault_of(r, &why, "Narrowing", 0);
    if (order_accepts(&chain, &bill->quote, &acceptance->server,
                      acceptance->head.issued_us, NULL, &why) ||
        claim_terms(&chain, &bill->quote, acceptance, &bill->terms, &why))
        return fault_of(r, &why, "Acceptance", 0);
    claim_begin(&bill->terms, &bill->state);
    return 0;
}

/* ---- the stop ---- */

/* Before the claims, which are judged by its time. */
static int read_stop(struct reading *r)
{
    struct bill *bill = r->bill;
    struct order_chain chain = chain_of(bill);
    struct money_refusal why;
    struct money doc;

    if (!r->from->stop) return 0;
    if (open_doc(r, MONEY_RECEIPT, &r->from->stop->receipt, r->view->now_us,
                 &doc, &why))
        return fault_of(r, &why, "Receipt of the stop", 0);
    bill->stop_receipt = doc.receipt;
    if (open_doc(r, MONEY_STOP, &r->from->stop->claim,
                 doc.receipt.head.issued_us, &doc, &why))
        return fault_of(r, &why, "Stop", 0);
    bill->stop = doc.stop;
    bill->stopped = true;
    if (order_stops(&chain, &bill->stop, &why))
        return fault_of(r, &why, "Stop", 0);
    return 0;
}

/* Its receipt says what had been claimed by then. */
static int check_stop(struct reading *r)
{
    const struct bill *bill = r->bill;
    const struct money_receipt *receipt = &bill->stop_receipt;
    struct money_refusal why;
    struct claim_state then;

    if (!bill->stopped) return 0;
    if (receipt->sequence > bill->n_lines)
        return wrong(r, "Receipt of the stop", "claim %llu is missing",
                     (unsigned long long)receipt->sequence);
    claim_begin(&bill->terms, &then);
    if (receipt->sequence)
        claim_taken(&bill->lines[receipt->sequence - 1].claim, &then);
    if (claim_receipted(&bill->terms, &bill->stop.head.hash, &then, &then,
                        receipt, &why))
        return fault_of(r, &why, "Receipt of the stop", 0);
    return 0;
}

/* ---- claims ---- */

static int read_line(struct reading *r, const Xn__BillClaim *from, size_t n)
{
    struct bill *bill = r->bill;
    struct bill_line *line = &bill->lines[n - 1];
    struct claim_clock clock = {.slack_us = SLACK_US};
    struct money_refusal why;
    struct claim_state next;
    struct money doc;

    if (open_doc(r, MONEY_RECEIPT, &from->receipt, r->view->now_us, &doc, &why))
        return fault_of(r, &why, "Receipt of claim", n);
    line->receipt = doc.receipt;
    clock.now_us = doc.receipt.head.issued_us;
    if (bill->stopped) clock.stopped_us = bill->stop_receipt.head.issued_us;
    if (open_doc(r, MONEY_CLAIM, &from->claim, clock.now_us, &doc, &why))
        return fault_of(r, &why, "Claim", n);
    line->claim = doc.claim;
    if (claim_check(&bill->terms, &bill->state, &line->claim, &clock, &next,
                    &why))
        return fault_of(r, &why, "Claim", n);
    if (claim_receipted(&bill->terms, &line->claim.head.hash, &bill->state,
                        &next, &line->receipt, &why))
        return fault_of(r, &why, "Receipt of claim", n);
    bill->state = next;
    bill->n_lines = n;
    return 0;
}

static int read_lines(struct reading *r)
{
    size_t n = r->from->n_claims;
    int rc = 0;

    if (!n) return 0;
    r->bill->lines = calloc(n, sizeof *r->bill->lines);
    if (!r->bill->lines) return XN_ENOMEM;
    for (size_t i = 0; i < n && !rc; i++)
        rc = read_line(r, r->from->claims[i], i + 1);
    return rc;
}

/* ---- what the XenoCorp says by itself ---- */

static int check_number(struct reading *r, const char *name, int64_t is,
                        int64_t right)
{
    const char *currency = r->bill->order.limits.currency;
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX];

    if (is == right) return 0;
    return wrong(r, "sum", "%s: it says %s, its documents %s", name,
                 money_text(is, currency, a), money_text(right, currency, b));
}

/* Not before somebody could close it: clocks may differ by so much. */
static bool is_over(const struct reading *r, uint64_t end_us)
{
    return r->view->now_us + MONEY_AHEAD_US_MAX >= end_us;
}

static int check_fate(struct reading *r)
{
    const struct bill *bill = r->bill;
    bool ended = bill->state.final || bill->stopped;

    switch (bill->fate) {
    case XN__ORDER_FATE__ISSUED_ORDER:
    case XN__ORDER_FATE__VOID_ORDER: return 0;
    case XN__ORDER_FATE__EXPIRED_ORDER:
        if (is_over(r, bill->order.limits.until_us)) return 0;
        return wrong(r, "sum", "expired before its end");
    case XN__ORDER_FATE__ACCEPTED_ORDER:
        if (!bill->state.final) return 0;
        return wrong(r, "sum", "open after the last claim");
    case XN__ORDER_FATE__CLOSED_ORDER:
        if (ended || is_over(r, bill->terms.until_us)) return 0;
        return wrong(r, "sum", "closed before its end");
    default: return wrong(r, "sum", "no such state of an order");
    }
}

/* What is still in the fence. */
static int64_t fenced(const struct bill *bill, int64_t paid)
{
    switch (bill->fate) {
    case XN__ORDER_FATE__ISSUED_ORDER: return bill->order.limits.amount;
    case XN__ORDER_FATE__ACCEPTED_ORDER: return bill->acceptance.amount - paid;
    default: return 0;
    }
}

static int check_sums(struct reading *r)
{
    struct bill *bill = r->bill;
    int64_t charged = bill->state.amount, paid = charged, released;
    int rc = check_fate(r);

    if (!rc && r->from->sequence != bill->state.sequence)
        rc = wrong(r, "sum", "claims are missing at the end");
    if (bill->acceptance.prepaid > paid) paid = bill->acceptance.prepaid;
    bill->left = fenced(bill, paid);
    released = bill->order.limits.amount - paid - bill->left;
    if (!rc) rc = check_number(r, "charged", bill->charged, charged);
    if (!rc) rc = check_number(r, "paid", bill->paid, paid);
    if (!rc) rc = check_number(r, "released", bill->released, released);
    return rc;
}

/* ---- the whole ---- */

static int read_unaccepted(struct reading *r)
{
    const Xn__Bill *from = r->from;

    if (from->acceptance.len || from->quote.len || from->n_narrowings ||
        from->n_claims || from->stop)
        return wrong(r, "sum", "papers of an order that nobody accepted");
    return 0;
}

static int read_accepted(struct reading *r)
{
    int rc = read_papers(r);

    if (!rc) rc = check_papers(r);
    if (!rc) rc = read_stop(r);
    if (!rc) rc = read_lines(r);
    return rc ? rc : check_stop(r);
}

int bill_read(const Xn__Bill *from, const struct bill_view *view,
              struct bill *bill_out, struct bill_fault *fault_out)
{
    struct bill bill = {.fate = from->fate,
                        .charged = from->charged,
                        .paid = from->paid,
                        .released = from->released};
    struct reading r = {from, view, &bill, fault_out};
    int rc = read_order(&r);

    bill.accepted = bill.fate == XN__ORDER_FATE__ACCEPTED_ORDER ||
                    bill.fate == XN__ORDER_FATE__CLOSED_ORDER;
    if (!rc) rc = bill.accepted ? read_accepted(&r) : read_unaccepted(&r);
    if (!rc) rc = check_sums(&r);
    if (rc) {
        bill_clear(&bill);
        return rc;
    }
    *bill_out = bill;
    return 0;
}

void bill_clear(struct bill *bill)
{
    free(bill->lines);
    bill->lines = NULL;
    bill->n_lines = 0;
}
