/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Query status with a spot quote (the paper, II-A.4): what is wanted, of what is
 * free, at the prices in force, signed.  Nothing is set apart for it and nothing
 * of it is kept: it holds by its signature, until it ends. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/machine.h"
#include "hostagent/manager.h"
#include "hostagent/session.h"
#include "hostagent/task.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"
#include "wire/nest.h"

#define WHAT "cannot quote"
#define SIGN_US (20 * 1000000ULL)
#define QUOTES_MAX 64 /* being signed */

struct wanted {
    struct host_want want;
    bool used;     /* by CPU time used */
    xn_id session; /* zero: for a new one */
};

struct host_quote {
    uint64_t ask; /* 0: nobody waits */
    uint64_t ticket;
    struct money_rates left; /* free when it was asked, for one session */
    struct host_quote *prev, *next;
};

static void drop(struct host *host, struct host_quote *quote)
{
    DL_DELETE(host->market.quotes, quote);
    host->market.n_quotes--;
    free(quote);
}

void host_quotes_clear(struct host *host)
{
    while (host->market.quotes)
        drop(host, host->market.quotes);
}

void host_quotes_cancel(struct host *host, uint64_t ask)
{
    struct host_quote *quote;

    DL_FOREACH(host->market.quotes, quote)
    {
        if (quote->ask == ask) quote->ask = 0;
    }
}

static void on_signed(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct host *host = owner;
    struct host_quote *quote = ctx;
    Xn__Quoted body = XN__QUOTED__INIT;
    struct amounts_text offered, left;
    struct money_rates all;

    if (!rc && (!msg || msg->kind != XN__KIND__SIGNED)) rc = XN_EPROTO;
    if (quote->ask && rc) {
        xn_out_refuse(out, quote->ask, rc, WHAT, xn_strerror(rc),
                      "again later");
    } else if (quote->ask) {
        host_offered(host, &all);
        amounts_describe(&all, &offered);
        amounts_describe(&quote->left, &left);
        body.quote = XN_BODY(msg, Xn__Signed)->data;
        body.offered = &offered.body;
        body.free = &left.body;
        body.manager = (char *)(uintptr_t)host->market.manager->name;
        xn_out_answer(out, quote->ask, 200, &body);
        host->market.counts.quotes++;
    }
    drop(host, quote);
}

static void write_quote(const struct host *host, const struct xn_now *now,
                        const struct wanted *wanted, struct money *out)
{
    const struct host_want *want = &wanted->want;
    struct money_quote *quote = &out->quote;
    const char *currency = host->offer.currency;

    memset(out, 0, sizeof *out);
    out->type = MONEY_QUOTE;
    quote->head.by = host->config.id;
    quote->head.issued_us = now->wall_us;
    quote->until_us = now->wall_us + host->config.quote_us;
    quote->version = host->record->version;
    memcpy(quote->env_type, want->env_type, sizeof quote->env_type);
    if (want->pvh) memcpy(quote->virtualisation, "pvh", sizeof "pvh");
    quote->rates = want->rates;
    quote->metering = wanted->used ? MONEY_USED : MONEY_RESERVED;
    if (strlen(currency) < sizeof quote->currency)
        memcpy(quote->currency, currency, strlen(currency) + 1);
    quote->prices = host->market.prices;
    quote->session = wanted->session;
    if (!xn_id_is_zero(&wanted->session)) quote->prices.setup.v = 0;
}

static void sign(struct host *host, const struct xn_now *now,
                 struct host_quote *quote, const struct xn_buf *text)
{
    Xn__Sign body = XN__SIGN__INIT;

    body.form = XN__FORM__ENVELOPE;
    body.payload = (ProtobufCBinaryData){text->len, text->data};
    quote->ticket = xn_ticket(host->tickets, now->mono_us + SIGN_US, on_signed,
                              host, quote, &host->out);
    if (!quote->ticket) return;
    xn_out_emit(&host->out, XN_ACT_SIGN, quote->ticket, XN_PEER_NONE,
                XN__KIND__SIGN, &body);
}

static void begin(struct host *host, const struct xn_now *now, uint64_t ask,
                  const struct wanted *wanted)
{
    struct host_quote *quote = calloc(1, sizeof *quote);
    struct xn_buf text;
    struct money doc;
    int rc;

    if (!quote) {
        host->out.rc = XN_ENOMEM;
        return;
    }
    xn_buf_init(&text, MONEY_BYTES_MAX);
    quote->ask = ask;
    host_free_now(host, &quote->left);
    DL_APPEND(host->market.quotes, quote);
    host->market.n_quotes++;
    write_quote(host, now, wanted, &doc);
    rc = money_write(&doc, &text);
    if (rc) {
        xn_out_refuse(&host->out, ask, rc, WHAT,
                      "that cannot be said in a quote", "smaller numbers");
        drop(host, quote);
    } else {
        sign(host, now, quote, &text);
    }
    xn_buf_clear(&text);
}

static bool may_ask(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    struct xn_out *out = &host->out;
    xn_id caller;

    if (!host_admits(host, ask, question, WHAT, &caller)) return false;
    if (host->withdraw) {
        xn_out_refuse(out, ask, XN_EREFUSED, WHAT,
                      "its operator has withdrawn this server",
                      "another server");
    } else if (!host->record) {
        xn_out_refuse(out, ask, XN_ENOTYET, WHAT, "nothing is offered yet",
                      "again in a second");
    } else if (host->market.n_quotes >= QUOTES_MAX ||
               !host_budget_take(host, now, &caller)) {
        xn_out_refuse(out, ask, XN_EBUSY, WHAT,
                      "more quotes are asked for than this server gives",
                      "again in a second");
    } else {
        return !host->config.sandbox || host_runs_tasks(host, ask, WHAT, NULL);
    }
    return false;
}

/* What that session has: it is his, and runs. */
static bool match_session(struct host *host, uint64_t ask,
                          const Xn__Ask *question, const Xn__AskQuote *body,
                          struct wanted *out)
{
    const struct host_session *s;
    struct task_aim aim;

    if (body->requirements.len ||
        xn_id_from_bytes(&body->session, &out->session)) {
        xn_out_refuse(&host->out, ask, XN_EINVAL, WHAT,
                      "a session's id is 32 bytes, and it has what it has",
                      "a session, or requirements");
        return false;
    }
    if (!task_aim_session(host, ask, question, WHAT, false, &out->session,
                          &aim))
        return false;
    s = aim.s;
    if (s->state != XN__SESSION_STATE__SESSION_RUNNING &&
        s->state != XN__SESSION_STATE__SESSION_PAUSED) {
        xn_out_refuse(&host->out, ask, XN_EREFUSED, WHAT,
                      "the session does not run", "a quote for a new one");
        return false;
    }
    out->want.rates = s->sale.terms.rates;
    memcpy(out->want.env_type, s->env_type, sizeof out->want.env_type);
    out->want.pvh = s->pvh;
    out->used = s->used;
    return true;
}

static bool match(struct host *host, uint64_t ask, const Xn__Ask *question,
                  const Xn__AskQuote *body, struct wanted *out)
{
    memset(out, 0, sizeof *out);
    if (body->session.len) return match_session(host, ask, question, body, out);
    out->used = host->market.manager->metering(host) == MONEY_USED;
    return host_match(host, ask, WHAT, body->requirements, &out->want) &&
           host_fits(host, ask, WHAT, &out->want.rates);
}

void host_quote(struct host *host, const struct xn_now *now, uint64_t ask,
                const Xn__Ask *question)
{
    Xn__AskQuote *body = NULL;
    struct wanted wanted;

    if (!may_ask(host, now, ask, question)) return;
    if (question->body.len <= SESSION_REQUIREMENTS_MAX + 64) {
        body = xn_unpack(&xn__ask_quote__descriptor, question->body.data,
                         question->body.len);
    }
    if (!body || body->requirements.len > SESSION_REQUIREMENTS_MAX) {
        xn_out_refuse(&host->out, ask, body ? XN_ETOOBIG : XN_EPROTO, WHAT,
                      "the body is not what this path takes",
                      "an AskQuote with at most 16384 bytes of requirements");
    } else if (match(host, ask, question, body, &wanted)) {
        begin(host, now, ask, &wanted);
    }
    if (body) xn__ask_quote__free_unpacked(body, NULL);
}
