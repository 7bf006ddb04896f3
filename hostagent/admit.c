/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client brings an order (the paper, II-A.4, II-B.2(2)).
 *
 *   VERIFY all papers -> rules, requirements, what is free
 *     -> TXN: CLAIMED, capacity is set apart
 *     -> CALL validate -> VERIFY the acceptance -> TXN: RUNNING -> ANSWER
 *
 * The session's name follows from who asks and the word that he drew: so the
 * same request is the same session, whatever was lost in between, and the corp
 * is asked with the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define WHAT "cannot create the session"
#define SECOND_US 1000000ULL
#define READ_US (20 * SECOND_US)
#define WAITING_MAX 8   /* of one holder, not accepted yet */
#define CHECKING_MAX 64 /* of all */
#define PAPERS (ORDER_NARROWINGS_MAX + 2)
#define ORDER 0
#define QUOTE 1
#define NARROWINGS 2
#define BODY_MAX                                                               \
    (PAPERS * (SESSION_PAPER_MAX + 8) + SESSION_REQUIREMENTS_MAX + 256 +       \
     TASK_BODY_MAX)

struct paper {
    struct host_session *session;
    struct money doc;
    int outage;
    enum money_reason reason;
    struct money_refusal why;
};

struct host_admit {
    Xn__CreateSession *want;
    struct paper papers[PAPERS];
    size_t n, waiting;
};

void session_admit_clear(struct host_session *s)
{
    if (!s->admit) return;
    xn__create_session__free_unpacked(s->admit->want, NULL);
    free(s->admit);
    s->admit = NULL;
}

static void refuse(struct host_session *s, int rc, const char *because,
                   const char *try)
{
    if (s->ask) xn_out_refuse(&s->host->out, s->ask, rc, WHAT, because, try);
    s->ask = 0;
}

/* ---- accepted ---- */

/* The documents of this sale as far as the rules look at them: what was checked
 * when they came is in the record. */
static enum money_reason accept(struct host_session *s,
                                const struct money_acceptance *acceptance,
                                struct claim_terms *terms_out,
                                struct money_refusal *why)
{
    struct session_chain room;
    struct money_quote quote = {.until_us = UINT64_MAX};

    session_chain(s, &room);
    quote.head.by = s->host->config.id;
    quote.head.hash = s->quote;
    quote.head.corp = s->host->config.corp;
    memcpy(quote.currency, s->terms.currency, sizeof quote.currency);
    memcpy(quote.env_type, s->env_type, sizeof quote.env_type);
    quote.rates = s->terms.rates;
    quote.prices = s->terms.prices;
    if (!xn_id_eq(&acceptance->session, &s->id))
        return reason_refuse(why, REASON_ACCEPTANCE, "Session");
    return claim_terms(&room.chain, &quote, acceptance, terms_out, why);
}

static void refused_saved(struct host_session *s, const struct xn_now *now)
{
    refuse(s, s->rc, s->reason, "a fresh order");
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
    session_save(s, now, refused_saved);
}

static void take_acceptance(struct host_session *s, const struct xn_now *now,
                            const struct claim_terms *terms)
{
    bool late = s->state == XN__SESSION_STATE__SESSION_UNSETTLED;

    s->terms = *terms;
    s->accepted = true;
    claim_begin(&s->terms, &s->claims);
    host_bytes_clear(&s->acceptance);
    s->acceptance = s->candidate;
    s->candidate = (struct host_bytes){NULL, 0};
    host_bytes_clear(&s->validate);
    host_bytes_clear(&s->requirements);
    s->metered_us = now->wall_us;
    s->rounds = 0;
    s->reason[0] = 0;
    s->rc = 0;
    if (late) { /* nobody waits for it, and nothing is set apart for it */
        s->state = XN__SESSION_STATE__SESSION_ENDING;
        s->ended_us = now->wall_us;
        s->down = true;
        s->rc = XN_ETIMEOUT;
        snprintf(s->reason, sizeof s->reason,
                 "accepted when nobody waited any more: it never began");
        session_save(s, now, session_go);
        return;
    }
    s->state = XN__SESSION_STATE__SESSION_RUNNING;
    s->counting = true;
    session_save(s, now, session_start);
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
               accept(s, &doc.acceptance, &terms, &why)) {
        xn_out_log(out, XN_LOG_ERROR, "the XenoCorp's acceptance: %s",
                   why.text);
        set_refused(s, now, XN_EINTEGRITY, why.text);
    } else {
        take_acceptance(s, now, &terms);
    }
}

/* ---- the corp does not answer ---- */

static void unsettled(struct host_session *s, const struct xn_now *now)
{
    refuse(s, XN_EUNKNOWN, "the XenoCorp has not answered in time",
           "the same again");
    session_pause_longer(s, now, session_validate);
}

/* Until it has answered, it may have accepted: it is asked on, with nothing set
 * apart. */
static void no_answer(struct host_session *s, const struct xn_now *now,
                      const char *because)
{
    snprintf(s->trouble, sizeof s->trouble, "%s", because);
    if (s->state == XN__SESSION_STATE__SESSION_CLAIMED &&
        now->mono_us >= s->patience_us) {
        s->state = XN__SESSION_STATE__SESSION_UNSETTLED;
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
            no_answer(s, now, "its answer holds no acceptance");
        }
    } else if (word.outage) {
        no_answer(s, now, word.because);
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

/* ---- judging what came ---- */

static int pack_validate(struct host_session *s)
{
    const Xn__CreateSession *want = s->admit->want;
    Xn__Validate body = XN__VALIDATE__INIT;

    body.order = want->order;
    body.narrowings = want->narrowings;
    body.n_narrowings = want->n_narrowings;
    body.quote = want->quote;
    body.session = xn_id_bytes(&s->id);
    session_set_bytes(s, &s->requirements, want->requirements.data,
                      want->requirements.len);
    return xn_pack(&body, &s->validate.data, &s->validate.len);
}

static void take_papers(struct host_session *s,
                        const struct money_limits *limits)
{
    const struct host_admit *admit = s->admit;
    const struct money_order *order = &admit->papers[ORDER].doc.order;
    const struct money_quote *quote = &admit->papers[QUOTE].doc.quote;

    s->serial = order->serial;
    s->narrowing = admit->papers[admit->n - 1].doc.head.hash;
    s->quote = quote->head.hash;
    memcpy(s->env_type, quote->env_type, sizeof s->env_type);
    s->terms.corp = s->host->config.corp;
    s->terms.holder = s->holder;
    s->terms.server = s->host->config.id;
    s->terms.session = s->id;
    memcpy(s->terms.currency, limits->currency, sizeof s->terms.currency);
    s->terms.amount = limits->amount;
    s->terms.most_per_hour = limits->most_per_hour;
    s->terms.until_us = limits->until_us;
    s->terms.rates = quote->rates;
    s->used = quote->metering == MONEY_USED;
    s->terms.prices = quote->prices;
}

static enum money_reason check_rules(const struct host_session *s,
                                     const struct xn_now *now,
                                     struct money_limits *limits_out,
                                     struct money_refusal *why)
{
    const struct host_admit *admit = s->admit;
    const struct money_order *order = &admit->papers[ORDER].doc.order;
    struct money_narrowing room[ORDER_NARROWINGS_MAX];
    struct order_chain chain = {
        .order = order, .narrowings = room, .n = admit->n - NARROWINGS};
    enum money_reason reason;

    for (size_t i = 0; i < admit->n; i++) {
        if (!admit->papers[i].reason) continue;
        *why = admit->papers[i].why;
        return why->reason;
    }
    for (size_t i = 0; i < chain.n; i++)
        room[i] = admit->papers[NARROWINGS + i].doc.narrowing;
    if (!xn_id_eq(&order->head.by, &s->host->config.corp))
        return reason_refuse(why, REASON_OTHER_CORP, "PurchaseOrder");
    reason = order_accepts(&chain, &admit->papers[QUOTE].doc.quote,
                           &s->host->config.id, now->wall_us, limits_out, why);
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

        if (at != s && at->state != XN__SESSION_STATE__SESSION_NONE &&
            at->state != XN__SESSION_STATE__SESSION_REFUSED &&
            xn_id_eq(&at->serial, serial)) {
            return true;
        }
    }
    return false;
}

/* All but the corp's word.  false: it was refused. */
static bool admit(struct host_session *s, const struct xn_now *now,
                  struct money_limits *limits_out)
{
    const struct host_admit *admit = s->admit;
    const struct money_quote *quote = &admit->papers[QUOTE].doc.quote;
    struct money_refusal why;

    for (size_t i = 0; i < admit->n; i++) {
        if (!admit->papers[i].outage) continue;
        refuse(s, admit->papers[i].outage, "nobody could look at the papers",
               "again in a second");
        return false;
    }
    if (check_rules(s, now, limits_out, &why)) {
        if (s->ask) xn_out_refuse_why(&s->host->out, s->ask, WHAT, &why);
        return false;
    }
    if (has_session(s, &admit->papers[ORDER].doc.order.serial)) {
        refuse(s, XN_EMONEY, "another session of this server has the order",
               "a fresh order");
        return false;
    }
    if (admit->want->requirements.len &&
        !host_matches(s->host, s->ask, WHAT, admit->want->requirements,
                      quote)) {
        return false;
    }
    if (admit->want->task && task_too_small(&quote->rates)) {
        refuse(s, XN_EREFUSED, task_too_small(&quote->rates),
               "a quote with MemoryMB:8");
        return false;
    }
    return host_fits(s->host, s->ask, WHAT, &quote->rates);
}

static int take_task(struct host_session *s, const struct xn_now *now)
{
    const Xn__NewTask *task = s->admit->want->task;

    return task ? task_add(s, now, task, &s->request) : 0;
}

static void judge(struct host_session *s, const struct xn_now *now)
{
    struct money_limits limits;

    /* Who does not wait any more has no session yet. */
    if (!s->ask || !admit(s, now, &limits)) {
        session_free(s);
        return;
    }
    take_papers(s, &limits);
    if (pack_validate(s) || take_task(s, now)) {
        s->host->out.rc = XN_ENOMEM;
        return;
    }
    session_admit_clear(s);
    s->created_us = now->wall_us;
    s->state = XN__SESSION_STATE__SESSION_CLAIMED;
    session_save(s, now, session_validate);
}

/* ---- looking at what came ---- */

static void on_paper(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct paper *paper = ctx;
    struct host_session *s = paper->session;

    /* That nobody could look says nothing about the document. */
    if (rc == XN_ETIMEOUT || rc == XN_EIO || rc == XN_EBUSY) {
        paper->outage = rc;
    } else {
        paper->reason = host_verified(paper->doc.type, now, rc, msg,
                                      &paper->doc, &paper->why);
    }
    if (--s->admit->waiting == 0) judge(s, now);
}

static void add_paper(struct host_session *s, const struct xn_now *now,
                      enum money_type type, ProtobufCBinaryData envelope)
{
    struct paper *paper = &s->admit->papers[s->admit->n++];

    paper->session = s;
    paper->doc.type = type;
    s->admit->waiting++;
    host_verify(s->host, now, envelope, on_paper, paper);
}

static bool paper_fits(ProtobufCBinaryData envelope)
{
    return envelope.len > 0 && envelope.len <= SESSION_PAPER_MAX;
}

static const char *malformed(const Xn__CreateSession *want)
{
    xn_id request;

    if (xn_id_from_bytes(&want->request, &request) || xn_id_is_zero(&request))
        return "a request's name is 32 bytes, not all zero";
    if (want->n_narrowings > ORDER_NARROWINGS_MAX)
        return "at most 8 narrowings";
    if (want->requirements.len > SESSION_REQUIREMENTS_MAX)
        return "requirements are at most 16384 bytes";
    for (size_t i = 0; i < want->n_narrowings; i++) {
        if (!paper_fits(want->narrowings[i]))
            return "a signed document is 1 to 8192 bytes";
    }
    if (!paper_fits(want->order) || !paper_fits(want->quote))
        return "a signed document is 1 to 8192 bytes";
    if (want->task && (want->task->session.len || want->task->request.len))
        return "a first task has no names of its own";
    return want->task ? task_malformed(want->task) : NULL;
}

/* ---- what is asked ---- */

static void begin(struct host_session *s, const struct xn_now *now,
                  Xn__CreateSession *want)
{
    s->admit->want = want;
    add_paper(s, now, MONEY_ORDER, want->order);
    add_paper(s, now, MONEY_QUOTE, want->quote);
    for (size_t i = 0; i < want->n_narrowings; i++)
        add_paper(s, now, MONEY_NARROWING, want->narrowings[i]);
}

static bool is_waiting(const struct host_session *s)
{
    return s->state <= XN__SESSION_STATE__SESSION_UNSETTLED;
}

static const char *too_many(const struct host *host, const xn_id *holder)
{
    size_t of_holder = 0, checking = 0;

    for (size_t i = 0; i < host->market.n_sessions; i++) {
        const struct host_session *s = host->market.sessions[i];

        of_holder += is_waiting(s) && xn_id_eq(&s->holder, holder);
        checking += s->admit != NULL;
    }
    if (of_holder >= WAITING_MAX) return "too many of yours wait already";
    return checking >= CHECKING_MAX ? "too many wait at this moment" : NULL;
}

/* 0: *s_out is a new one, without papers yet. */
static int open(struct host *host, const xn_id *id, const xn_id *holder,
                const xn_id *request, struct host_session **s_out)
{
    struct host_session *s = NULL;
    int rc = session_new(host, id, &s);

    if (rc) return rc;
    s->admit = calloc(1, sizeof *s->admit);
    if (!s->admit) {
        session_free(s);
        return XN_ENOMEM;
    }
    s->holder = *holder;
    s->request = *request;
    *s_out = s;
    return 0;
}

/* Who asks last is answered. */
static void attach(struct host_session *s, uint64_t ask)
{
    refuse(s, XN_EUNKNOWN, "asked again over another connection",
           "wait for that one");
    s->ask = ask;
}

static void claim_again(struct host_session *s, const struct xn_now *now)
{
    if (!host_fits(s->host, s->ask, WHAT, &s->terms.rates)) {
        s->ask = 0;
        return;
    }
    if (s->step) xn_ticket_forget(s->host->tickets, s->step);
    s->step = 0;
    s->state = XN__SESSION_STATE__SESSION_CLAIMED;
    s->patience_us = 0;
    session_save(s, now, session_validate);
}

static void again(struct host_session *s, const struct xn_now *now,
                  uint64_t ask, const xn_id *request)
{
    attach(s, ask);
    if (!xn_id_eq(&s->request, request)) {
        refuse(s, XN_ECONFLICT, "another request had this name",
               "32 bytes drawn afresh");
        return;
    }
    switch (s->state) {
    case XN__SESSION_STATE__SESSION_NONE:
    case XN__SESSION_STATE__SESSION_CLAIMED: break;
    case XN__SESSION_STATE__SESSION_UNSETTLED: claim_again(s, now); break;
    case XN__SESSION_STATE__SESSION_REFUSED:
        if (!s->step) refused_saved(s, now);
        break;
    case XN__SESSION_STATE__SESSION_RUNNING:
    case XN__SESSION_STATE__SESSION_PAUSED:
        if (s->started) session_answer(s, &s->ask);
        break;
    default: session_answer(s, &s->ask);
    }
}

static bool may_begin(struct host *host, const struct xn_now *now, uint64_t ask,
                      const xn_id *holder)
{
    const char *why = too_many(host, holder);

    if (!why && !host_budget_take(host, now, holder))
        why = "you ask more often than this server answers";
    if (why) {
        xn_out_refuse(&host->out, ask, XN_EBUSY, WHAT, why,
                      "again in a second");
    } else if (host->withdraw) {
        xn_out_refuse(&host->out, ask, XN_EREFUSED, WHAT,
                      "its operator has withdrawn this server",
                      "another server");
    } else {
        return true;
    }
    return false;
}

static void create(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question, const xn_id *holder,
                   Xn__CreateSession **want)
{
    static const char word[] = "xn.session.1";
    xn_id request, id, parts[2];
    struct host_session *s;
    int rc;

    xn_id_hash(question->body.data, question->body.len, &request);
    parts[0] = *holder;
    memcpy(parts[1].b, (*want)->request.data, XN_ID_SIZE);
    xn_id_hash2(word, sizeof word, parts, sizeof parts, &id);
    s = session_find(host, &id);
    if (s) {
        again(s, now, ask, &request);
        return;
    }
    if (!may_begin(host, now, ask, holder)) return;
    if ((host->config.sandbox || (*want)->task) &&
        !host_runs_tasks(host, ask, WHAT)) {
        return;
    }
    if ((*want)->task && !host_takes_image(host, ask, WHAT, (*want)->task))
        return;
    rc = open(host, &id, holder, &request, &s);
    if (rc) {
        xn_out_refuse(&host->out, ask, rc, WHAT,
                      "this server has as many sessions as it can remember",
                      "again later, or another server");
        return;
    }
    s->ask = ask;
    begin(s, now, *want);
    *want = NULL;
}

void host_create(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    Xn__CreateSession *want = NULL;
    const char *wrong;
    xn_id holder;

    if (!host_admits(host, ask, question, WHAT, &holder)) return;
    if (question->body.len > BODY_MAX) {
        xn_out_refuse(&host->out, ask, XN_ETOOBIG, WHAT,
                      "the body is larger than it can be",
                      "order, narrowings and quote as they were signed");
        return;
    }
    want = xn_unpack(&xn__create_session__descriptor, question->body.data,
                     question->body.len);
    wrong = want ? malformed(want) : "the body is not what this path takes";
    if (wrong) {
        xn_out_refuse(&host->out, ask, want ? XN_EINVAL : XN_EPROTO, WHAT,
                      wrong, "a CreateSession as doc/PROTOCOL.md has it");
    } else {
        create(host, now, ask, question, &holder, &want);
    }
    if (want) xn__create_session__free_unpacked(want, NULL);
}
