/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client brings another order for his session (the paper, II-A.4: extend).
 * Who pays for a session changes so from one moment to the next, and nothing
 * else does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/manager.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define WHAT "cannot extend the session"
#define SECOND_US 1000000ULL
#define BODY_MAX (PAPERS_MAX * (SESSION_PAPER_MAX + 8) + 256)
#define CHECKING_MAX 64 /* of all sessions */
#define UNSETTLED_US_MAX (3 * 86400 * SECOND_US)
#define AGAIN_US (SECOND_US / 2)
#define AGAIN_US_MAX (60 * SECOND_US)

/* ---- who waits ---- */

static void refuse(struct host_session *s, int rc, const char *because,
                   const char *try)
{
    struct host_extension *x = s->next_order;

    if (x->ask) xn_out_refuse(&s->host->out, x->ask, rc, WHAT, because, try);
    x->ask = 0;
    if (x->timer) xn_ticket_forget(s->host->tickets, x->timer);
    x->timer = 0;
}

static void on_late(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;

    s->next_order->timer = 0;
    refuse(s, XN_EUNKNOWN, "the XenoCorp has not answered in time",
           "the same again");
}

/* Who asks last is answered. */
static void attach(struct host_session *s, const struct xn_now *now,
                   uint64_t ask)
{
    struct host_extension *x = s->next_order;

    refuse(s, XN_EUNKNOWN, "asked again over another connection",
           "wait for that one");
    x->ask = ask;
    x->timer =
        xn_ticket(s->host->tickets, now->mono_us + s->host->config.patience_us,
                  on_late, s->host, s, &s->host->out);
}

void session_extension_clear(struct host_session *s)
{
    struct host_extension *x = s->next_order;

    if (!x) return;
    if (x->timer) xn_ticket_forget(s->host->tickets, x->timer);
    if (x->papers) papers_forget(x->papers);
    free(x->papers);
    if (x->want) xn__extend_session__free_unpacked(x->want, NULL);
    host_bytes_clear(&x->acceptance);
    host_bytes_clear(&x->validate);
    free(x);
    s->next_order = NULL;
}

/* ---- it is the session's order ---- */

bool session_closes(const struct host_session *s)
{
    return s->next_order && s->next_order->accepted;
}

uint64_t session_until(const struct host_session *s)
{
    uint64_t until_us = s->sale.terms.until_us;

    if (session_closes(s) && s->next_order->sale.terms.until_us > until_us)
        until_us = s->next_order->sale.terms.until_us;
    return until_us;
}

void session_divide(struct host_session *s)
{
    struct host_extension *x = s->next_order;

    if (!session_closes(s) || x->divided) return;
    x->divided = true;
    x->base = s->metered;
}

/* It is on record that it was taken. */
static void tell(struct host_session *s)
{
    session_answer(s, &s->next_order->ask);
    session_extension_clear(s);
}

static void taken(struct host_session *s, const struct xn_now *now)
{
    tell(s);
    s->host->market.manager->resume(s, now);
    session_go(s, now);
}

/* Of what it was paused for nothing is left. */
static void go_on(struct host_session *s, const struct xn_now *now)
{
    s->state = XN__SESSION_STATE__SESSION_RUNNING;
    s->counting = true;
    s->metered_us = now->wall_us;
    s->rc = 0;
    s->reason[0] = 0;
}

static void log_taken(const struct host_session *s)
{
    char name[XN_NAME_MAX], amount[MONEY_TEXT_MAX];

    xn_id_name(&s->id, NULL, name);
    money_text(s->sale.terms.amount, s->sale.terms.currency, amount);
    xn_out_log(&s->host->out, XN_LOG_INFO, "session %s: extended by %s", name,
               amount);
}

static void take(struct host_session *s, const struct xn_now *now)
{
    struct host_extension *x = s->next_order;

    s->before += s->claims.amount;
    s->base = x->divided && !x->forgone ? x->base : s->metered;
    s->sale = x->sale;
    claim_begin(&s->sale.terms, &s->claims);
    host_bytes_clear(&s->receipt);
    host_bytes_clear(&s->acceptance);
    s->acceptance = x->acceptance;
    x->acceptance = (struct host_bytes){NULL, 0};
    s->extension = x->request;
    s->extended++;
    s->cuts = s->warned = 0;
    s->refused_till_us = 0;
    s->rounds = s->refusals = s->denials = 0;
    s->trouble[0] = 0;
    x->on = x->accepted = false; /* from here on it is the session's own */
    x->taken = true;
    if (s->state == XN__SESSION_STATE__SESSION_PAUSED) go_on(s, now);
    log_taken(s);
    session_save(s, now, taken);
}

/* ---- what the corp says ---- */

static void log_it(const struct host_session *s, int level, const char *what)
{
    char name[XN_NAME_MAX];

    xn_id_name(&s->id, NULL, name);
    xn_out_log(&s->host->out, level, "session %s: extension: %s", name, what);
}

static void drop(struct host_session *s, const struct xn_now *now, int rc,
                 const char *because)
{
    refuse(s, rc, because, "a fresh order");
    s->host->market.counts.refused++;
    session_extension_clear(s);
    session_save(s, now, session_go);
}

/* Until it has answered, it may have accepted. */
static void no_answer(struct host_session *s, const struct xn_now *now, int rc,
                      const char *because)
{
    struct host_extension *x = s->next_order;
    uint64_t us = AGAIN_US << (x->rounds < 7 ? x->rounds : 7);

    if (now->wall_us >= x->asked_us + UNSETTLED_US_MAX ||
        now->wall_us >= x->sale.terms.until_us + MONEY_AHEAD_US_MAX) {
        log_it(s, XN_LOG_ERROR, "the XenoCorp never answered");
        drop(s, now, rc, "the XenoCorp never answered");
        return;
    }
    if (!x->rounds++) log_it(s, XN_LOG_WARN, because);
    if (us > AGAIN_US_MAX) us = AGAIN_US_MAX;
    x->due_us = now->mono_us + xn_rng_between(&s->host->rng, us / 2, us);
    session_go(s, now);
}

static void accepted(struct host_session *s, const struct xn_now *now,
                     const struct claim_terms *terms)
{
    struct host_extension *x = s->next_order;

    x->accepted = true;
    x->sale.terms = *terms;
    x->acceptance = s->candidate;
    s->candidate = (struct host_bytes){NULL, 0};
    host_bytes_clear(&x->validate);
    s->host->market.counts.accepted++;
    session_save(s, now, session_go);
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
        no_answer(s, now, rc, xn_strerror(rc));
    } else if (host_verified(MONEY_ACCEPTANCE, now, rc, msg, &doc, &why) ||
               sale_accepted(s, &s->next_order->sale, &doc.acceptance, &terms,
                             &why)) {
        log_it(s, XN_LOG_ERROR, why.text);
        drop(s, now, XN_EINTEGRITY, why.text);
    } else if (terms.since_us <= s->sale.terms.since_us) {
        /* The corp says again what it said to an extension of before. */
        drop(s, now, XN_ESTALE, "its order has paid for this session before");
    } else {
        accepted(s, now, &terms);
    }
}

static void on_validated(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    Xn__Validated *body = NULL;
    struct host_word word;

    s->step = 0;
    host_corp_word(s->host, rc, msg, &word);
    if (word.body) {
        body = xn_unpack(&xn__validated__descriptor, word.body->data,
                         word.body->len);
        if (body && body->acceptance.len &&
            body->acceptance.len <= SESSION_PAPER_MAX) {
            session_set_bytes(s, &s->candidate, body->acceptance.data,
                              body->acceptance.len);
            s->step =
                host_verify(s->host, now, body->acceptance, on_acceptance, s);
        } else {
            no_answer(s, now, XN_EPROTO, "its answer holds no acceptance");
        }
    } else if (word.outage || word.broken) { /* what it took it cannot tell */
        no_answer(s, now, word.rc, word.because);
    } else {
        drop(s, now, word.rc, word.because);
    }
    if (body) xn__validated__free_unpacked(body, NULL);
}

/* ---- its turn ---- */

bool session_extend(struct host_session *s, const struct xn_now *now)
{
    struct host_extension *x = s->next_order;
    bool ending = s->state == XN__SESSION_STATE__SESSION_ENDING;

    if (x && x->taken) { /* an end came meanwhile, and has saved it */
        tell(s);
        return false;
    }
    if (!x || !x->on || s->claim.len) return false;
    if (!x->accepted) {
        if (now->mono_us < x->due_us) return false;
        session_call(s, now, "/v1/validate", x->validate.data, x->validate.len,
                     on_validated);
    } else if (s->claims.final || s->cuts > SESSION_CUTS_MAX ||
               (ending && session_settled(s))) {
        take(s, now);
    } else if (ending) {
        return false; /* the last claim is what comes next in any case */
    } else {
        s->host->market.manager->meter(s, now);
    }
    return true;
}

/* ---- what is brought ---- */

static bool may_go_on(const struct host_session *s)
{
    return s->state == XN__SESSION_STATE__SESSION_RUNNING ||
           s->state == XN__SESSION_STATE__SESSION_PAUSED;
}

static bool is_for(const struct host_session *s,
                   const struct money_quote *quote)
{
    return xn_id_eq(&quote->session, &s->id) &&
           (quote->metering == MONEY_USED) == s->used &&
           strcmp(quote->env_type, s->env_type) == 0 &&
           strcmp(quote->virtualisation, s->pvh ? "pvh" : "") == 0 &&
           memcmp(&quote->rates, &s->sale.terms.rates, sizeof quote->rates) ==
               0;
}

/* All but the corp's word.  false: it was refused. */
static bool admit(struct host_session *s, const struct xn_now *now,
                  struct money_limits *limits_out)
{
    struct host_extension *x = s->next_order;
    char because[80];

    if (!papers_judge(x->papers, now, x->ask, WHAT, limits_out)) {
        x->ask = 0;
        return false;
    }
    snprintf(because, sizeof because, "the order is in %s, its session in %s",
             limits_out->currency, s->sale.terms.currency);
    if (!may_go_on(s))
        refuse(s, XN_EREFUSED, "the session has ended meanwhile",
               "a new session");
    else if (!is_for(s, papers_quote(x->papers)))
        refuse(s, XN_EMONEY, "the quote is not one to extend this session",
               "POST /v1/quote with the session");
    else if (strcmp(limits_out->currency, s->sale.terms.currency) != 0)
        refuse(s, XN_EMONEY, because, "an order in that currency");
    else
        return true;
    return false;
}

static struct host_brought brought(const Xn__ExtendSession *want)
{
    return (struct host_brought){want->order, want->quote, want->narrowings,
                                 want->n_narrowings};
}

static int keep(struct host_session *s, const struct xn_now *now,
                const struct money_limits *limits)
{
    static const char word[] = "xn.extend.1";
    struct host_extension *x = s->next_order;
    const struct host_brought papers = brought(x->want);
    xn_id parts[2] = {s->id}, name;

    memcpy(parts[1].b, x->want->request.data, XN_ID_SIZE);
    xn_id_hash2(word, sizeof word, parts, sizeof parts, &name);
    papers_sale(x->papers, limits, &name, &x->sale);
    x->asked_us = now->wall_us;
    x->on = true;
    return papers_validate(&papers, &name, &x->validate);
}

static void judge(struct host_session *s, const struct xn_now *now);

static void on_policy(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host_session *s = ctx;
    struct policy_word no;

    s->next_order->agreed = policy_agrees(s, rc, msg, &no);
    if (s->next_order->agreed) {
        judge(s, now); /* it may have ended meanwhile */
    } else {
        refuse(s, no.rc, no.because, no.try);
        session_extension_clear(s);
    }
}

static void ask_policy(struct host_session *s, const struct xn_now *now,
                       const struct money_limits *limits)
{
    const struct host_extension *x = s->next_order;
    const struct policy_case what = {
        .order = papers_order(x->papers),
        .quote = papers_quote(x->papers),
        .limits = limits,
        .address = x->address,
        .extends = true,
    };
    int rc = policy_ask(s, now, &what, on_policy);

    if (rc == XN_EBUSY) {
        refuse(s, rc, POLICY_BUSY, "again in a second");
        session_extension_clear(s);
    } else if (rc) {
        s->host->out.rc = rc;
    }
}

/* That it is to stand still, or to go on, may be what was being recorded. */
static void as_recorded(struct host_session *s, const struct xn_now *now)
{
    if (s->state == XN__SESSION_STATE__SESSION_PAUSED)
        s->host->market.manager->pause(s, now);
    else
        s->host->market.manager->resume(s, now);
    session_go(s, now);
}

static void judge(struct host_session *s, const struct xn_now *now)
{
    struct host_extension *x = s->next_order;
    struct money_limits limits;

    /* Who does not wait any more has brought nothing yet. */
    if (!x->ask || !admit(s, now, &limits)) {
        session_extension_clear(s);
        return;
    }
    if (s->host->config.policy_us && !x->agreed) {
        ask_policy(s, now, &limits);
        return;
    }
    if (keep(s, now, &limits)) {
        s->host->out.rc = XN_ENOMEM;
        return;
    }
    free(x->papers);
    x->papers = NULL;
    xn__extend_session__free_unpacked(x->want, NULL);
    x->want = NULL;
    session_give_up(s); /* whatever it was: it is done again where wanted */
    session_save(s, now, as_recorded);
}

/* ---- what is asked ---- */

static size_t checking(const struct host *host)
{
    size_t n = 0;

    for (size_t i = 0; i < host->market.n_sessions; i++) {
        const struct host_extension *x = host->market.sessions[i]->next_order;

        n += x && x->papers;
    }
    return n;
}

/* Why not now?  Else it is refused. */
static bool may_begin(struct host_session *s, const struct xn_now *now,
                      uint64_t ask, const xn_id *holder)
{
    struct host *host = s->host;
    char because[SESSION_REASON_MAX + 40];

    if (s->state < XN__SESSION_STATE__SESSION_RUNNING ||
        (may_go_on(s) && !s->started)) {
        task_refuse(host, ask, XN_ENOTYET, WHAT,
                    "the session has not begun yet", "again in a second");
    } else if (!may_go_on(s)) {
        snprintf(because, sizeof because, "the session has ended: %s",
                 s->reason);
        task_refuse(host, ask, XN_EREFUSED, WHAT, because, "a new session");
    } else if (s->next_order) {
        task_refuse(host, ask, XN_EBUSY, WHAT,
                    "another order for it is under way", "again in a second");
    } else if (host->withdraw) {
        task_refuse(host, ask, XN_EREFUSED, WHAT,
                    "its operator has withdrawn this server",
                    "a session of another server");
    } else if (checking(host) >= CHECKING_MAX ||
               !host_budget_take(host, now, holder)) {
        task_refuse(host, ask, XN_EBUSY, WHAT,
                    "more is asked than this server answers",
                    "again in a second");
    } else {
        return true;
    }
    return false;
}

static void begin(struct host_session *s, const struct xn_now *now,
                  uint64_t ask, const Xn__Caller *caller, const xn_id *request,
                  Xn__ExtendSession *want)
{
    struct host_extension *x = calloc(1, sizeof *x);
    const struct host_brought papers = brought(want);

    if (x) x->papers = calloc(1, sizeof *x->papers);
    if (!x || !x->papers) {
        free(x);
        xn__extend_session__free_unpacked(want, NULL);
        s->host->out.rc = XN_ENOMEM;
        return;
    }
    s->next_order = x;
    x->want = want;
    x->request = *request;
    if (caller) snprintf(x->address, sizeof x->address, "%s", caller->address);
    attach(s, now, ask);
    x->papers->session = s;
    x->papers->next = judge;
    papers_begin(x->papers, now, &papers);
}

static const char *malformed(const Xn__ExtendSession *want, xn_id *session_out)
{
    const struct host_brought papers = brought(want);
    xn_id request;

    if (xn_id_from_bytes(&want->session, session_out))
        return "a session's id is 32 bytes";
    if (xn_id_from_bytes(&want->request, &request) || xn_id_is_zero(&request))
        return "a request's name is 32 bytes, not all zero";
    return papers_malformed(&papers);
}

/* Takes `want`. */
static void extend(struct task_aim *aim, const struct xn_now *now, uint64_t ask,
                   const Xn__Caller *caller, const xn_id *request,
                   Xn__ExtendSession *want)
{
    struct host_session *s = aim->s;

    if (xn_id_eq(&s->extension, request)) {
        session_answer(s, &ask); /* it was, by the last one */
    } else if (s->next_order && xn_id_eq(&s->next_order->request, request)) {
        attach(s, now, ask);
    } else if (may_begin(s, now, ask, &aim->caller)) {
        begin(s, now, ask, caller, request, want);
        return;
    }
    xn__extend_session__free_unpacked(want, NULL);
}

void host_extend(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    Xn__ExtendSession *want;
    struct task_aim aim;
    const char *wrong;
    xn_id request, id;

    if (!host_admits(host, ask, question, WHAT, &aim.caller)) return;
    want = task_body(host, ask, question, WHAT, BODY_MAX,
                     &xn__extend_session__descriptor);
    if (!want) return;
    wrong = malformed(want, &id);
    if (wrong) {
        task_refuse(host, ask, XN_EINVAL, WHAT, wrong,
                    "an ExtendSession as doc/PROTOCOL.md has it");
    } else if (task_aim_session(host, ask, question, WHAT, false, &id, &aim)) {
        xn_id_hash(question->body.data, question->body.len, &request);
        extend(&aim, now, ask, question->caller, &request, want);
        return;
    }
    xn__extend_session__free_unpacked(want, NULL);
}
