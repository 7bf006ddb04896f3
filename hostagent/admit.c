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

#include "hostagent/machine.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define WHAT "cannot create the session"
#define SECOND_US 1000000ULL
#define WAITING_MAX 8   /* of one holder, not accepted yet */
#define CHECKING_MAX 64 /* of all */
#define BODY_MAX                                                               \
    (PAPERS_MAX * (SESSION_PAPER_MAX + 8) + SESSION_REQUIREMENTS_MAX + 256 +   \
     TASK_BODY_MAX)

struct host_admit {
    Xn__CreateSession *want;
    struct host_papers papers;
    bool agreed; /* the operator's program takes it */
    char address[HOST_ADDRESS_MAX];
};

void session_admit_clear(struct host_session *s)
{
    if (!s->admit) return;
    papers_forget(&s->admit->papers);
    xn__create_session__free_unpacked(s->admit->want, NULL);
    free(s->admit);
    s->admit = NULL;
}

void session_refuse(struct host_session *s, int rc, const char *because,
                    const char *try)
{
    if (s->ask) {
        xn_out_refuse(&s->host->out, s->ask, rc, WHAT, because, try);
        if (rc != XN_EUNKNOWN) s->host->market.counts.refused++;
    }
    s->ask = 0;
}

/* ---- judging what came ---- */

static struct host_brought brought(const Xn__CreateSession *want)
{
    return (struct host_brought){want->order, want->quote, want->narrowings,
                                 want->n_narrowings};
}

static int pack_validate(struct host_session *s)
{
    const Xn__CreateSession *want = s->admit->want;
    const struct host_brought papers = brought(want);

    session_set_bytes(s, &s->requirements, want->requirements.data,
                      want->requirements.len);
    return papers_validate(&papers, &s->id, &s->validate);
}

static bool quote_is_pvh(const struct money_quote *quote)
{
    return strcmp(quote->virtualisation, "pvh") == 0;
}

static void take_papers(struct host_session *s,
                        const struct money_limits *limits)
{
    const struct host_papers *papers = &s->admit->papers;
    const struct money_quote *quote = papers_quote(papers);

    papers_sale(papers, limits, &s->id, &s->sale);
    memcpy(s->env_type, quote->env_type, sizeof s->env_type);
    s->used = quote->metering == MONEY_USED;
    s->pvh = quote_is_pvh(quote);
}

static void refuse_place(struct host_session *s, struct host_needs needs)
{
    session_refuse(s, XN_EREFUSED,
                   needs.image ? "no machine that takes images has room"
                   : needs.pvh
                       ? "no machine that has room can make PVH domains"
                       : "no machine that has room can meter what is used",
                   needs.image ? "less of it, or no --image"
                   : needs.pvh ? "less of it, or Virtualisation:pv"
                               : "a fresh quote");
}

/* The machine on which it will be.  false: it was refused. */
static bool place(struct host_session *s, const struct money_rates *rates,
                  struct host_needs needs)
{
    const struct host_machine *m = host_place(s->host, rates, needs);

    if (m)
        s->machine = m->id;
    else
        refuse_place(s, needs);
    return m != NULL;
}

/* All but the corp's word.  false: it was refused. */
static bool admit(struct host_session *s, const struct xn_now *now,
                  struct money_limits *limits_out)
{
    const struct host_admit *admit = s->admit;
    const struct money_quote *quote = papers_quote(&admit->papers);
    const struct host_needs needs = {.used = quote->metering == MONEY_USED,
                                     .image = admit->want->task &&
                                              admit->want->task->image,
                                     .pvh = quote_is_pvh(quote)};

    if (!papers_judge(&admit->papers, now, s->ask, WHAT, limits_out))
        return false;
    if (!xn_id_is_zero(&quote->session)) {
        session_refuse(s, XN_EMONEY, "the quote is one to extend a session",
                       "a quote for a new one");
        return false;
    }
    if (admit->want->requirements.len &&
        !host_matches(s->host, s->ask, WHAT, admit->want->requirements,
                      quote)) {
        return false;
    }
    if (admit->want->task && task_too_small(&quote->rates)) {
        session_refuse(s, XN_EREFUSED, task_too_small(&quote->rates),
                       "a quote with MemoryMB:8");
        return false;
    }
    if (admit->want->task &&
        task_lacks_disk(s->host, admit->want->task, &quote->rates)) {
        session_refuse(
            s, XN_EREFUSED,
            task_lacks_disk(s->host, admit->want->task, &quote->rates),
            "a quote with DiskGB, at least what the image has");
        return false;
    }
    return host_fits(s->host, s->ask, WHAT, &quote->rates) &&
           place(s, &quote->rates, needs);
}

static int take_task(struct host_session *s, const struct xn_now *now)
{
    const Xn__NewTask *task = s->admit->want->task;

    return task ? task_add(s, now, task, &s->request) : 0;
}

static void judge(struct host_session *s, const struct xn_now *now);

static void on_policy(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct policy_word no;

    s->admit->agreed = policy_agrees(s, rc, msg, &no);
    if (s->admit->agreed) {
        judge(s, now); /* what is free may be less by now */
    } else {
        session_refuse(s, no.rc, no.because, no.try);
        session_free(s);
    }
}

static void ask_policy(struct host_session *s, const struct xn_now *now,
                       const struct money_limits *limits)
{
    const struct host_admit *admit = s->admit;
    const struct policy_case what = {
        .order = papers_order(&admit->papers),
        .quote = papers_quote(&admit->papers),
        .limits = limits,
        .task = admit->want->task,
        .requirements = admit->want->requirements,
        .address = admit->address,
    };
    int rc = policy_ask(s, now, &what, on_policy);

    if (rc == XN_EBUSY) {
        session_refuse(s, rc, POLICY_BUSY, "again in a second");
        session_free(s);
    } else if (rc) {
        s->host->out.rc = rc;
    }
}

static void judge(struct host_session *s, const struct xn_now *now)
{
    struct money_limits limits;

    /* Who does not wait any more has no session yet. */
    if (!s->ask || !admit(s, now, &limits)) {
        session_free(s);
        return;
    }
    if (s->host->config.policy_us && !s->admit->agreed) {
        ask_policy(s, now, &limits);
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

static const char *malformed(const Xn__CreateSession *want)
{
    const struct host_brought papers = brought(want);
    xn_id request;

    if (xn_id_from_bytes(&want->request, &request) || xn_id_is_zero(&request))
        return "a request's name is 32 bytes, not all zero";
    if (want->requirements.len > SESSION_REQUIREMENTS_MAX)
        return "requirements are at most 16384 bytes";
    if (papers_malformed(&papers)) return papers_malformed(&papers);
    if (want->task && (want->task->session.len || want->task->request.len))
        return "a first task has no names of its own";
    return want->task ? task_malformed(want->task) : NULL;
}

/* ---- what is asked ---- */

static void begin(struct host_session *s, const struct xn_now *now,
                  Xn__CreateSession *want)
{
    const struct host_brought papers = brought(want);

    s->admit->want = want;
    s->admit->papers.session = s;
    s->admit->papers.next = judge;
    papers_begin(&s->admit->papers, now, &papers);
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
static int open(struct host *host, const struct xn_now *now, const xn_id *id,
                const xn_id *holder, const xn_id *request,
                struct host_session **s_out)
{
    struct host_session *s = NULL;
    int rc = session_new(host, now, id, &s);

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
    session_refuse(s, XN_EUNKNOWN, "asked again over another connection",
                   "wait for that one");
    s->ask = ask;
}

static void claim_again(struct host_session *s, const struct xn_now *now)
{
    const struct host_needs needs = {.used = s->used,
                                     .image = task_last(s) &&
                                              task_last(s)->record->image,
                                     .pvh = s->pvh};

    if (!host_fits(s->host, s->ask, WHAT, &s->sale.terms.rates)) {
        s->ask = 0;
        return;
    }
    if (!place(s, &s->sale.terms.rates, needs)) return;
    if (s->step) xn_ticket_forget(s->host->tickets, s->step);
    s->step = 0;
    s->state = XN__SESSION_STATE__SESSION_CLAIMED;
    s->rc = 0;
    s->reason[0] = 0;
    s->patience_us = 0;
    session_save(s, now, session_validate);
}

static void again(struct host_session *s, const struct xn_now *now,
                  uint64_t ask, const xn_id *request)
{
    attach(s, ask);
    if (!xn_id_eq(&s->request, request)) {
        session_refuse(s, XN_ECONFLICT, "another request had this name",
                       "32 bytes drawn afresh");
        return;
    }
    switch (s->state) {
    case XN__SESSION_STATE__SESSION_NONE:
    case XN__SESSION_STATE__SESSION_CLAIMED: break;
    case XN__SESSION_STATE__SESSION_UNSETTLED: claim_again(s, now); break;
    case XN__SESSION_STATE__SESSION_REFUSED:
        if (!s->step) session_refused(s, now);
        break;
    case XN__SESSION_STATE__SESSION_RUNNING:
    case XN__SESSION_STATE__SESSION_PAUSED:
        if (s->started) session_answer(s, &s->ask);
        break;
    default:
        if (sandbox_never_began(s))
            session_unable(s);
        else
            session_answer(s, &s->ask);
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
        !host_runs_tasks(host, ask, WHAT, NULL)) {
        return;
    }
    if ((*want)->task &&
        !host_takes_image(host, ask, WHAT, (*want)->task, NULL))
        return;
    rc = open(host, now, &id, holder, &request, &s);
    if (rc) {
        xn_out_refuse(&host->out, ask, rc, WHAT,
                      "this server has as many sessions as it can remember",
                      "again later, or another server");
        return;
    }
    s->ask = ask;
    if (question->caller)
        snprintf(s->admit->address, sizeof s->admit->address, "%s",
                 question->caller->address);
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
