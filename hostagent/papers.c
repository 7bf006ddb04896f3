/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The papers of an order that a client brings, for a new session or to extend
 * one: each is verified, then all are held against the rules. */
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"
#include "wire/nest.h"

#define ORDER 0
#define QUOTE 1
#define NARROWINGS 2

/* ---- looking at what came ---- */

static bool paper_fits(ProtobufCBinaryData envelope)
{
    return envelope.len > 0 && envelope.len <= SESSION_PAPER_MAX;
}

const char *papers_malformed(const struct host_brought *brought)
{
    static const char wrong[] = "a signed document is 1 to 8192 bytes";

    if (brought->n > ORDER_NARROWINGS_MAX) return "at most 8 narrowings";
    for (size_t i = 0; i < brought->n; i++) {
        if (!paper_fits(brought->narrowings[i])) return wrong;
    }
    return paper_fits(brought->order) && paper_fits(brought->quote) ? NULL
                                                                    : wrong;
}

static void on_paper(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct host_paper *paper = ctx;
    struct host_papers *papers = paper->of;

    paper->ticket = 0;
    /* That nobody could look says nothing about the document. */
    if (rc == XN_ETIMEOUT || rc == XN_EIO || rc == XN_EBUSY) {
        paper->outage = rc;
    } else {
        paper->reason = host_verified(paper->doc.type, now, rc, msg,
                                      &paper->doc, &paper->why);
    }
    if (--papers->waiting == 0) papers->next(papers->session, now);
}

static void add_paper(struct host_papers *papers, const struct xn_now *now,
                      enum money_type type, ProtobufCBinaryData envelope)
{
    struct host_paper *paper = &papers->list[papers->n++];

    paper->of = papers;
    paper->doc.type = type;
    papers->waiting++;
    paper->ticket =
        host_verify(papers->session->host, now, envelope, on_paper, paper);
}

void papers_begin(struct host_papers *papers, const struct xn_now *now,
                  const struct host_brought *brought)
{
    add_paper(papers, now, MONEY_ORDER, brought->order);
    add_paper(papers, now, MONEY_QUOTE, brought->quote);
    for (size_t i = 0; i < brought->n; i++)
        add_paper(papers, now, MONEY_NARROWING, brought->narrowings[i]);
}

void papers_forget(struct host_papers *papers)
{
    for (size_t i = 0; i < papers->n; i++) {
        if (!papers->list[i].ticket) continue;
        xn_ticket_forget(papers->session->host->tickets,
                         papers->list[i].ticket);
    }
}

/* ---- judging it ---- */

const struct money_order *papers_order(const struct host_papers *papers)
{
    return &papers->list[ORDER].doc.order;
}

const struct money_quote *papers_quote(const struct host_papers *papers)
{
    return &papers->list[QUOTE].doc.quote;
}

static enum money_reason check_rules(const struct host_papers *papers,
                                     const struct xn_now *now,
                                     struct money_limits *limits_out,
                                     struct money_refusal *why)
{
    const struct host_session *s = papers->session;
    const struct money_order *order = papers_order(papers);
    struct money_narrowing room[ORDER_NARROWINGS_MAX];
    struct order_chain chain = {
        .order = order, .narrowings = room, .n = papers->n - NARROWINGS};
    enum money_reason reason;

    for (size_t i = 0; i < papers->n; i++) {
        if (!papers->list[i].reason) continue;
        *why = papers->list[i].why;
        return why->reason;
    }
    for (size_t i = 0; i < chain.n; i++)
        room[i] = papers->list[NARROWINGS + i].doc.narrowing;
    if (!xn_id_eq(&order->head.by, &s->host->config.corp))
        return reason_refuse(why, REASON_OTHER_CORP, "PurchaseOrder");
    reason = order_accepts(&chain, papers_quote(papers), &s->host->config.id,
                           now->wall_us, limits_out, why);
    if (!reason && !xn_id_eq(&order->holder, &s->holder))
        reason = reason_refuse(why, REASON_CALLER, NULL);
    return reason;
}

/* Has another session of ours this order?  The corp would say no as well. */
static bool has_session(const struct host_session *s, const xn_id *serial)
{
    const struct host_market *m = &s->host->market;

    for (size_t i = 0; i < m->n_sessions; i++) {
        const struct host_session *at = m->sessions[i];

        if (at == s || at->state == XN__SESSION_STATE__SESSION_NONE ||
            at->state == XN__SESSION_STATE__SESSION_REFUSED) {
            continue;
        }
        if (xn_id_eq(&at->sale.serial, serial)) return true;
        if (at->next_order && xn_id_eq(&at->next_order->sale.serial, serial))
            return true;
    }
    return false;
}

static void refuse(const struct host_papers *papers, uint64_t ask, int rc,
                   const char *what, const char *because, const char *try)
{
    struct host *host = papers->session->host;

    if (!ask) return;
    xn_out_refuse(&host->out, ask, rc, what, because, try);
    host->market.counts.refused++;
}

bool papers_judge(const struct host_papers *papers, const struct xn_now *now,
                  uint64_t ask, const char *what,
                  struct money_limits *limits_out)
{
    struct host_session *s = papers->session;
    struct money_refusal why;

    for (size_t i = 0; i < papers->n; i++) {
        if (!papers->list[i].outage) continue;
        refuse(papers, ask, papers->list[i].outage, what,
               "nobody could look at the papers", "again in a second");
        return false;
    }
    if (check_rules(papers, now, limits_out, &why)) {
        if (ask) xn_out_refuse_why(&s->host->out, ask, what, &why);
        return false;
    }
    if (has_session(s, &papers_order(papers)->serial)) {
        refuse(papers, ask, XN_EMONEY, what,
               "another session of this server has the order", "a fresh order");
        return false;
    }
    return true;
}

void papers_sale(const struct host_papers *papers,
                 const struct money_limits *limits, const xn_id *name,
                 struct host_sale *sale_out)
{
    const struct host_session *s = papers->session;
    const struct money_quote *quote = papers_quote(papers);
    struct claim_terms *terms = &sale_out->terms;

    memset(sale_out, 0, sizeof *sale_out);
    sale_out->serial = papers_order(papers)->serial;
    sale_out->narrowing = papers->list[papers->n - 1].doc.head.hash;
    sale_out->quote = quote->head.hash;
    terms->corp = s->host->config.corp;
    terms->holder = s->holder;
    terms->server = s->host->config.id;
    terms->session = *name;
    memcpy(terms->currency, limits->currency, sizeof terms->currency);
    terms->amount = limits->amount;
    terms->most_per_hour = limits->most_per_hour;
    terms->until_us = limits->until_us;
    terms->rates = quote->rates;
    terms->prices = quote->prices;
}

int papers_validate(const struct host_brought *brought, const xn_id *name,
                    struct host_bytes *out)
{
    Xn__Validate body = XN__VALIDATE__INIT;

    body.order = brought->order;
    body.narrowings = (ProtobufCBinaryData *)(uintptr_t)brought->narrowings;
    body.n_narrowings = brought->n;
    body.quote = brought->quote;
    body.session = xn_id_bytes(name);
    return xn_pack(&body, &out->data, &out->len);
}
