/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the XenoCorp says to an order that a client has brought: it is asked until it
 * has answered. */
#include <stdio.h>
#include <string.h>

#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define SECOND_US 1000000ULL
#define READ_US (20 * SECOND_US)
#define UNSETTLED_US_MAX (3 * 86400 * SECOND_US)

/* ---- accepted ---- */

/* The documents of this sale as far as the rules look at them: what was checked
 * when they came is in the record. */
enum money_reason sale_accepted(const struct host_session *s,
                                const struct host_sale *sale,
                                const struct money_acceptance *acceptance,
                                struct claim_terms *terms_out,
                                struct money_refusal *why)
{
    const struct claim_terms *terms = &sale->terms;
    struct session_chain room;
    struct money_quote quote = {.until_us = UINT64_MAX};

    sale_chain(sale, &room);
    quote.head.by = s->host->config.id;
    quote.head.hash = sale->quote;
    quote.head.corp = s->host->config.corp;
    memcpy(quote.currency, terms->currency, sizeof quote.currency);
    memcpy(quote.env_type, s->env_type, sizeof quote.env_type);
    quote.rates = terms->rates;
    quote.prices = terms->prices;
    if (!xn_id_eq(&acceptance->session, &terms->session))
        return reason_refuse(why, REASON_ACCEPTANCE, "Session");
    return claim_terms(&room.chain, &quote, acceptance, terms_out, why);
}

void session_refused(struct host_session *s, const struct xn_now *now)
{
    session_refuse(s, s->rc, s->reason, "a fresh order");
    s->work.open = true; /* its task never began */
    task_go(s, now);
}

/* Nothing is set apart any more. */
static void set_refused(struct host_session *s, const struct xn_now *now,
                        int rc, const char *because)
{
    s->state = XN__SESSION_STATE__SESSION_REFUSED;
    s->ended_us = now->wall_us;
    s->down = true;
    s->rc = rc;
    snprintf(s->reason, sizeof s->reason, "%s", because);
    session_save(s, now, session_refused);
}

static void never_began(struct host_session *s, const struct xn_now *now)
{
    session_refuse(s, s->rc, s->reason, "a fresh order");
    session_go(s, now);
}

/* Nobody waits for it any more, and nothing is set apart for it: who was told
 * that it failed does not pay. */
static void never_begins(struct host_session *s, const struct xn_now *now)
{
    s->state = XN__SESSION_STATE__SESSION_ENDING;
    s->ended_us = now->wall_us;
    s->down = true;
    if (!s->rc) {
        s->rc = XN_ETIMEOUT;
        snprintf(s->reason, sizeof s->reason,
                 "accepted when nobody waited any more: it never began");
    }
    session_save(s, now, never_began);
}

static void take_acceptance(struct host_session *s, const struct xn_now *now,
                            const struct claim_terms *terms)
{
    bool late = s->state == XN__SESSION_STATE__SESSION_UNSETTLED;

    s->sale.terms = *terms;
    s->accepted = true;
    s->host->market.counts.accepted++;
    claim_begin(&s->sale.terms, &s->claims);
    host_bytes_clear(&s->acceptance);
    s->acceptance = s->candidate;
    s->candidate = (struct host_bytes){NULL, 0};
    host_bytes_clear(&s->validate);
    host_bytes_clear(&s->requirements);
    s->metered_us = now->wall_us;
    s->rounds = 0;
    if (late) {
        never_begins(s, now);
    } else {
        s->reason[0] = 0;
        s->rc = 0;
        s->state = XN__SESSION_STATE__SESSION_RUNNING;
        s->counting = true;
        session_save(s, now, session_start);
    }
}

static void on_acceptance(void *owner, void *ctx, const struct xn_now *now,
                          int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct claim_terms terms;
    struct money_refusal why;
    struct money doc;

    s->step = 0;
    if (rc == XN_ETIMEOUT || rc == XN_EBUSY || rc == XN_EIO) {
        session_pause_longer(s, now, session_validate);
    } else if (host_verified(MONEY_ACCEPTANCE, now, rc, msg, &doc, &why) ||
               sale_accepted(s, &s->sale, &doc.acceptance, &terms, &why)) {
        xn_out_log(out, XN_LOG_ERROR, "the XenoCorp's acceptance: %s",
                   why.text);
        set_refused(s, now, XN_EINTEGRITY, why.text);
    } else if (session_is_forgotten(s, terms.since_us)) {
        set_refused(s, now, XN_ESTALE,
                    "its order was accepted for a session that is over");
    } else {
        take_acceptance(s, now, &terms);
    }
}

/* ---- the corp does not answer ---- */

static void unsettled(struct host_session *s, const struct xn_now *now)
{
    char because[SESSION_REASON_MAX + 60];

    snprintf(because, sizeof because,
             "the XenoCorp has not answered in time: %s", s->trouble);
    session_refuse(s, XN_EUNKNOWN, because, "the same again");
    session_pause_longer(s, now, session_validate);
}

static void log_unsettled(const struct host_session *s, int level,
                          const char *what)
{
    char name[XN_NAME_MAX];

    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, level, "session %s: the XenoCorp %s: %s", name,
               what, s->trouble);
}

/* What it may have accepted is not paid for after the order's end. */
static bool is_hopeless(const struct host_session *s, const struct xn_now *now)
{
    return s->state == XN__SESSION_STATE__SESSION_UNSETTLED &&
           (now->wall_us >= s->created_us + UNSETTLED_US_MAX ||
            now->wall_us >= s->sale.terms.until_us + MONEY_AHEAD_US_MAX);
}

/* Until it has answered, it may have accepted: it is asked on, with nothing set
 * apart. */
static void no_answer(struct host_session *s, const struct xn_now *now, int rc,
                      const char *because)
{
    snprintf(s->trouble, sizeof s->trouble, "%s", because);
    if (is_hopeless(s, now)) {
        log_unsettled(s, XN_LOG_ERROR, "never answered, and is asked no more");
        set_refused(s, now, rc, "the XenoCorp never answered");
        return;
    }
    if (s->state == XN__SESSION_STATE__SESSION_CLAIMED &&
        now->mono_us >= s->patience_us) {
        s->state = XN__SESSION_STATE__SESSION_UNSETTLED;
        log_unsettled(s, XN_LOG_WARN, "has not answered in time");
        session_save(s, now, unsettled);
    } else if (s->state == XN__SESSION_STATE__SESSION_CLAIMED) {
        session_pause_for(
            s, now, xn_rng_between(&s->host->rng, SECOND_US / 4, SECOND_US / 2),
            session_validate);
    } else {
        session_pause_longer(s, now, session_validate);
    }
}

static void on_validated(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    Xn__Validated *validated = NULL;
    struct host_word word;

    s->step = 0;
    host_corp_word(s->host, rc, msg, &word);
    if (word.body) {
        validated = xn_unpack(&xn__validated__descriptor, word.body->data,
                              word.body->len);
        if (validated && validated->acceptance.len &&
            validated->acceptance.len <= SESSION_PAPER_MAX) {
            s->trouble[0] = 0;
            session_set_bytes(s, &s->candidate, validated->acceptance.data,
                              validated->acceptance.len);
            s->step = host_verify(s->host, now, validated->acceptance,
                                  on_acceptance, s);
        } else {
            no_answer(s, now, XN_EPROTO, "its answer holds no acceptance");
        }
    } else if (word.outage || word.broken) { /* what it took it cannot tell */
        no_answer(s, now, word.rc, word.because);
    } else {
        set_refused(s, now, word.rc, word.because);
    }
    if (validated) xn__validated__free_unpacked(validated, NULL);
}

/* ---- asking it ---- */

static void on_papers(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    const Xn__Records *found;
    Xn__SessionPapers *papers = NULL;

    s->step = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        session_pause_longer(s, now, session_validate);
        return;
    }
    found = XN_BODY(msg, Xn__Records);
    if (found->n_records) {
        papers = xn__session_papers__unpack(NULL, found->records[0]->value.len,
                                            found->records[0]->value.data);
    }
    if (!papers || !papers->validate.len) {
        set_refused(s, now, XN_EINTEGRITY, "its papers are lost");
    } else {
        session_set_bytes(s, &s->validate, papers->validate.data,
                          papers->validate.len);
        session_validate(s, now);
    }
    if (papers) xn__session_papers__free_unpacked(papers, NULL);
}

static void read_papers(struct host_session *s, const struct xn_now *now)
{
    struct host *host = s->host;
    Xn__Read read = XN__READ__INIT;
    uint8_t key[1 + XN_ID_SIZE] = {'p'};

    memcpy(key + 1, s->id.b, XN_ID_SIZE);
    read.prefix = (ProtobufCBinaryData){sizeof key, key};
    read.limit = 1;
    s->step = xn_ticket(host->tickets, now->mono_us + READ_US, on_papers, host,
                        s, &host->out);
    if (!s->step) return;
    xn_out_emit(&host->out, XN_ACT_READ, s->step, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

void session_validate(struct host_session *s, const struct xn_now *now)
{
    if (!s->patience_us) {
        s->patience_us = now->mono_us + s->host->config.patience_us;
    }
    if (s->validate.len) {
        session_call(s, now, "/v1/validate", s->validate.data, s->validate.len,
                     on_validated);
    } else {
        read_papers(s, now);
    }
}
