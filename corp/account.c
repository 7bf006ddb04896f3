/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clients' accounts: opened and filled by the broker, read by the client.
 *
 *   pay in   READ the member -> accounts opened -> ledger -> ANSWER
 *
 * The broker proves that he is one by the corp's own key: whoever has that can
 * sign orders anyway. */
#include <string.h>

#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"

#define NOTE_MAX 128
#define MEMBER_KEY (2 + XN_ID_SIZE)

static const struct job_form paying = {"cannot pay in", XN__ROLE__ANYBODY,
                                       &xn__pay_in__descriptor, 1024};

static const Xn__PayIn *wanted(const struct corp_job *job)
{
    return (const Xn__PayIn *)(const void *)job->request;
}

static void answer_account(struct corp_job *job, const xn_id *account,
                           const char *currency, int64_t balance)
{
    Xn__Account answer = XN__ACCOUNT__INIT;

    answer.account = xn_id_bytes(account);
    answer.currency = (char *)(uintptr_t)currency;
    answer.balance = balance;
    job_answer(job, &answer);
}

static void on_paid_look(void *owner, void *ctx, const struct xn_now *now,
                         const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, "again later");
        return;
    }
    answer_account(job, &job->opens[0].account, job->opens[0].currency,
                   result->accounts[0].exists ? result->accounts[0].balance
                                              : 0);
}

static void paid(struct corp_job *job, const struct xn_now *now)
{
    ledger_look(job->corp->ledger, now, &job->opens[0].account, 1, on_paid_look,
                job->corp, job, &job->corp->out);
}

static void pay(struct corp_job *job, const struct xn_now *now)
{
    const Xn__PayIn *want = wanted(job);
    struct ledger_op op;
    xn_id id;

    if (want->micro == 0) {
        paid(job, now);
        return;
    }
    order_op_id(&job->opens[0].account, "pay in", want->request.data,
                want->request.len, &id);
    ledger_op_move(&op, LEDGER_PAY_IN, &id, &job->opens[1].account,
                   &job->opens[0].account, want->micro, want->currency);
    op.note = want->note;
    job_post(job, now, &op, paid, NULL);
}

static void pay_member(struct corp_job *job, const struct xn_now *now)
{
    const Xn__PayIn *want = wanted(job);
    const xn_id *corp = &job->corp->config.id;
    xn_id client, account, world;

    if (XN_BODY(job->found, Xn__Records)->n_records == 0) {
        job_refuse(job, XN_ENOENT, "no client with that key is registered",
                   "xeno register, by the client");
        return;
    }
    (void)xn_id_from_bytes(&want->client, &client);
    order_account(corp, &client, want->currency, &account);
    order_house(corp, 'e', want->currency, &world);
    job_open(job, &account, LEDGER_CLIENT, want->currency, 0);
    job_open(job, &world, LEDGER_EXTERNAL, want->currency, LEDGER_FLOOR_NONE);
    job_opened(job, now, pay);
}

static bool currency_ok(const char *text)
{
    return strlen(text) == MONEY_CURRENCY_SIZE - 1 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
               MONEY_CURRENCY_SIZE - 1;
}

void corp_pay_in(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &paying);
    struct order_key key = {.len = MEMBER_KEY};
    const Xn__PayIn *want;
    xn_id client;

    if (!job) return;
    want = wanted(job);
    if (xn_id_from_bytes(&want->client, &client) ||
        want->request.len != XN_ID_SIZE || want->micro < 0 ||
        !currency_ok(want->currency) || !corp_text_ok(want->note, NOTE_MAX)) {
        job_refuse(job, XN_EINVAL,
                   "client and request are 32 bytes, the currency is three "
                   "capital letters, the amount is not below 0",
                   "man xenocorp");
        return;
    }
    key.b[0] = 'm';
    key.b[1] = XN__ROLE__CLIENT;
    memcpy(key.b + 2, client.b, XN_ID_SIZE);
    job_read(job, now, &key, NULL, 1, pay_member);
}

/* ---- GET /v1/accounts?currency=GBP ---- */

static const struct job_form looking = {"cannot tell the balance",
                                        XN__ROLE__CLIENT, NULL, 0};

static void on_own_look(void *owner, void *ctx, const struct xn_now *now,
                        const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (!result->rc && !result->accounts[0].exists) {
        job_refuse(job, XN_ENOENT, "you have no account in that currency",
                   "pay in at the XenoCorp: that opens it");
        return;
    }
    on_paid_look(owner, ctx, now, result, out);
}

void corp_account(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    static const char key[] = "currency=";
    struct corp_job *job = job_begin(corp, now, ask, question, &looking);
    const char *currency = question->query + sizeof key - 1;
    xn_id account;

    if (!job) return;
    if (strncmp(question->query, key, sizeof key - 1) != 0 ||
        !currency_ok(currency)) {
        job_refuse(job, XN_EINVAL, "which currency?",
                   "/v1/accounts?currency=GBP");
        return;
    }
    order_account(&corp->config.id, &job->caller, currency, &account);
    job_open(job, &account, LEDGER_CLIENT, currency, 0);
    ledger_look(corp->ledger, now, &account, 1, on_own_look, corp, job,
                &corp->out);
}
