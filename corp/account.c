/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members' accounts: the broker pays in and out and gives credit, the member
 * reads.
 *
 *   change   READ the member -> accounts opened -> ledger -> ANSWER
 *
 * What comes in has steps of its own: payin.c.
 *
 * The broker proves that he is one by the corp's own key: whoever has that can
 * sign orders anyway. */
#include <stdio.h>
#include <string.h>

#include "corp/account.h"
#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"

#define NOTE_MAX 128
#define MEMBER_KEY (2 + XN_ID_SIZE)
#define BODY_MAX 1024

static const struct job_form paying_in = {
    .what = "cannot pay in",
    .role = XN__ROLE__ANYBODY,
    .body = &xn__pay_in__descriptor,
    .body_max = BODY_MAX,
};
static const struct job_form taking_back = {
    .what = "cannot take back",
    .role = XN__ROLE__ANYBODY,
    .body = &xn__take_back__descriptor,
    .body_max = BODY_MAX,
};
static const struct job_form paying_out = {
    .what = "cannot pay out",
    .role = XN__ROLE__ANYBODY,
    .body = &xn__pay_out__descriptor,
    .body_max = BODY_MAX,
};
static const struct job_form crediting = {
    .what = "cannot give credit",
    .role = XN__ROLE__ANYBODY,
    .body = &xn__credit__descriptor,
    .body_max = BODY_MAX,
};

#define CHANGE(kind, who, body)                                                \
    (struct account_change)                                                    \
    {                                                                          \
        kind, (body)->who, (body)->request, (body)->currency, (body)->note,    \
            (body)->micro                                                      \
    }

struct account_change account_wanted(const struct corp_job *job)
{
    const void *body = job->request;

    if (job->request->descriptor == &xn__pay_out__descriptor) {
        return CHANGE(LEDGER_PAY_OUT, server, (const Xn__PayOut *)body);
    }
    if (job->request->descriptor == &xn__credit__descriptor) {
        return CHANGE(LEDGER_CREDIT, client, (const Xn__Credit *)body);
    }
    if (job->request->descriptor == &xn__take_back__descriptor) {
        return CHANGE(LEDGER_TAKE_BACK, client, (const Xn__TakeBack *)body);
    }
    return CHANGE(LEDGER_PAY_IN, client, (const Xn__PayIn *)body);
}

static void on_changed_look(void *owner, void *ctx, const struct xn_now *now,
                            const struct ledger_result *result,
                            struct xn_out *out)
{
    struct corp_job *job = ctx;
    const struct ledger_account *account = result->accounts;
    Xn__Account answer = XN__ACCOUNT__INIT;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, "again later");
        return;
    }
    answer.account = xn_id_bytes(&job->opens[0].account);
    answer.currency = job->opens[0].currency;
    if (account->exists) {
        answer.balance = account->balance;
        answer.credit = -account->floor;
    }
    job_answer(job, &answer);
}

void account_changed(struct corp_job *job, const struct xn_now *now)
{
    ledger_look(job->corp->ledger, now, &job->opens[0].account, 1,
                on_changed_look, job->corp, job, &job->corp->out);
}

void account_op_id(const struct corp_job *job, enum ledger_what what,
                   xn_id *id_out)
{
    struct account_change want = account_wanted(job);

    order_op_id(&job->opens[0].account, ledger_what_name(what),
                want.request.data, want.request.len, id_out);
}

static void change(struct corp_job *job, const struct xn_now *now)
{
    const xn_id *account = &job->opens[0].account;
    const xn_id *world = &job->opens[1].account;
    struct account_change want = account_wanted(job);
    struct ledger_op op;
    xn_id id;

    account_op_id(job, want.what, &id);
    if (want.what == LEDGER_CREDIT) {
        ledger_op_credit(&op, &id, account, want.micro);
    } else {
        ledger_op_move(&op, LEDGER_PAY_OUT, &id, account, world, want.micro,
                       want.currency);
    }
    op.note = want.note;
    job_post(job, now, &op, account_changed, NULL);
}

static void change_member(struct corp_job *job, const struct xn_now *now)
{
    struct account_change want = account_wanted(job);
    const xn_id *corp = &job->corp->config.id;
    bool server = want.what == LEDGER_PAY_OUT;
    enum ledger_kind kind = server ? LEDGER_SERVER : LEDGER_CLIENT;
    xn_id member, account, world;

    if (XN_BODY(job->found, Xn__Records)->n_records == 0) {
        job_refuse(job, XN_ENOENT,
                   server ? "no server with that key is registered"
                          : "no client with that key is registered",
                   server ? "xenocorp server list DIR"
                          : "xeno register, by the client");
        return;
    }
    (void)xn_id_from_bytes(&want.member, &member);
    order_account(corp, kind, &member, want.currency, &account);
    order_house(corp, 'e', want.currency, &world);
    job_open(job, &account, kind, want.currency, 0);
    job_open(job, &world, LEDGER_EXTERNAL, want.currency, LEDGER_FLOOR_NONE);
    if (want.what == LEDGER_PAY_IN || want.what == LEDGER_TAKE_BACK)
        account_pay_in(job, now);
    else
        job_opened(job, now, change);
}

bool account_too_much(struct corp_job *job)
{
    struct account_change want = account_wanted(job);
    int64_t most = job->corp->config.most;
    char most_text[MONEY_TEXT_MAX], because[96];

    if (!most || want.micro <= most) return false;
    snprintf(because, sizeof because, "at most %s at once",
             money_text(most, want.currency, most_text));
    job_refuse(job, XN_ETOOBIG, because,
               "parts of it, each under a reference of its own, or the setting "
               "money.most");
    return true;
}

static int64_t least(enum ledger_what what)
{
    return what == LEDGER_PAY_OUT || what == LEDGER_TAKE_BACK;
}

static void begin(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question, const struct job_form *form)
{
    struct corp_job *job = job_begin(corp, now, ask, question, form);
    struct order_key key = {.len = MEMBER_KEY};
    struct account_change want;
    xn_id member;

    if (!job) return;
    want = account_wanted(job);
    if (xn_id_from_bytes(&want.member, &member) ||
        want.request.len != XN_ID_SIZE || want.micro < least(want.what) ||
        !corp_currency_ok(want.currency) ||
        !corp_text_ok(want.note, NOTE_MAX)) {
        job_refuse(job, XN_EINVAL,
                   "member and request are 32 bytes, the currency is three "
                   "capital letters, the amount is not below 0, and above 0 "
                   "to pay out or take back",
                   "man xenocorp");
        return;
    }
    if (want.what == LEDGER_CREDIT && account_too_much(job)) return;
    key.b[0] = 'm';
    key.b[1] =
        want.what == LEDGER_PAY_OUT ? XN__ROLE__SERVER : XN__ROLE__CLIENT;
    memcpy(key.b + 2, member.b, XN_ID_SIZE);
    job_read(job, now, &key, NULL, 1, change_member);
}

void corp_pay_in(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    begin(corp, now, ask, question, &paying_in);
}

void corp_take_back(struct corp *corp, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    begin(corp, now, ask, question, &taking_back);
}

void corp_pay_out(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    begin(corp, now, ask, question, &paying_out);
}

void corp_credit(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    begin(corp, now, ask, question, &crediting);
}

/* ---- GET /v1/accounts?currency=GBP, and for the broker &client=ID or
 *      &server=ID ---- */

static const struct job_form looking = {
    .what = "cannot tell the balance",
    .role = XN__ROLE__CLIENT,
    .staff_too = true,
    .servers_too = true,
};

static void on_own_look(void *owner, void *ctx, const struct xn_now *now,
                        const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;
    bool server = job->opens[0].kind == LEDGER_SERVER;

    if (!result->rc && !result->accounts[0].exists) {
        job_refuse(job, XN_ENOENT,
                   job->is_staff ? "the member has no account in that currency"
                                 : "you have no account in that currency",
                   server ? "the first order that you accept opens it"
                          : "pay in at the XenoCorp: that opens it");
        return;
    }
    on_changed_look(owner, ctx, now, result, out);
}

void corp_account(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &looking);
    struct corp_arg args[] = {
        {.name = "currency"}, {.name = "client"}, {.name = "server"}};
    const char *currency = args[0].value, *client = args[1].value;
    const char *server = args[2].value;
    enum ledger_kind kind = LEDGER_CLIENT;
    xn_id account, whose;

    if (!job) return;
    whose = job->caller;
    if (corp_args(question->query, args, 3) || !corp_currency_ok(currency) ||
        job->is_staff != ((client[0] != 0) != (server[0] != 0)) ||
        (!job->is_staff && client[0]) ||
        (client[0] && xn_id_unhex(client, strlen(client), &whose)) ||
        (server[0] && xn_id_unhex(server, strlen(server), &whose))) {
        job_refuse(job, XN_EINVAL,
                   job->is_staff ? "which currency, and whose?"
                                 : "which currency?",
                   "/v1/accounts?currency=GBP");
        return;
    }
    if (server[0] || question->caller->role == XN__ROLE__SERVER)
        kind = LEDGER_SERVER;
    order_account(&corp->config.id, kind, &whose, currency, &account);
    job_open(job, &account, kind, currency, 0);
    ledger_look(corp->ledger, now, &account, 1, on_own_look, corp, job,
                &corp->out);
}
