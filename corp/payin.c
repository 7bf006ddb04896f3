/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Money that comes in, and is taken back where that was a mistake.
 *
 *   pay in     READ its record -> look: room? -> accounts opened -> ledger: the
 *              money and the record -> ANSWER
 *   take back  READ its record -> look: is it free? -> ledger -> ANSWER
 *
 * A pay-in is known by its request; its record says what it was and when it was
 * taken back.  All of it goes, or nothing: what is set apart for orders, or was
 * spent, is not there to be taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/account.h"
#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"

/* All that is in the world's hands is counted within half of what a number
 * holds.  The other half is for credit: so no sum of what is due can overflow
 * when it is too late to say no. */
#define COUNT_MAX (INT64_MAX / 2)
#define LIST_MAX 64

static struct order_key record_key(const struct corp_job *job)
{
    ProtobufCBinaryData bytes = account_wanted(job).request;
    xn_id request;

    (void)xn_id_from_bytes(&bytes, &request); /* 32 bytes: account.c */
    return order_key_pay_in(&job->opens[0].account, &request);
}

/* ---- the ledger ---- */

static void read_record(struct corp_job *job, const struct xn_now *now);

/* *bytes_out is the caller's. */
static int pack_record(const struct corp_job *job, uint64_t now_us,
                       const Xn__PaidIn *old, uint8_t **bytes_out,
                       size_t *len_out)
{
    struct account_change want = account_wanted(job);
    Xn__PaidIn record = XN__PAID_IN__INIT;

    if (old) {
        record = *old;
        record.taken_us = now_us;
    } else {
        record.micro = want.micro;
        record.at_us = now_us;
        record.note = (char *)(uintptr_t)want.note;
    }
    return xn_pack(&record, bytes_out, len_out);
}

/* Who did the same at the same time, or before, is found by reading again. */
static void post(struct corp_job *job, const struct xn_now *now,
                 const Xn__PaidIn *old)
{
    const xn_id *account = &job->opens[0].account;
    const xn_id *world = &job->opens[1].account;
    struct account_change want = account_wanted(job);
    struct order_key key = record_key(job);
    const ProtobufCBinaryData *was = job_value(job, &key);
    struct ledger_op op;
    uint8_t *bytes = NULL;
    size_t len;
    xn_id id;
    int rc = pack_record(job, now->wall_us, old, &bytes, &len);

    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        return;
    }
    account_op_id(job, want.what, &id);
    ledger_op_move(&op, want.what, &id, old ? account : world,
                   old ? world : account, want.micro, want.currency);
    op.note = want.note;
    op_write(&op, &key, bytes, len, old ? LEDGER_EQUALS : LEDGER_ABSENT);
    if (old && was) {
        op.writes[0].was = was->data;
        op.writes[0].was_len = was->len;
    }
    job_post(job, now, &op, account_changed, read_record);
    free(bytes);
}

static void pay_in(struct corp_job *job, const struct xn_now *now)
{
    post(job, now, NULL);
}

static void take_back(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = record_key(job);
    const ProtobufCBinaryData *value = job_value(job, &key);
    Xn__PaidIn *old =
        value ? xn__paid_in__unpack(NULL, value->len, value->data) : NULL;

    if (!old) {
        job_refuse(job, XN_ENOMEM, xn_strerror(XN_ENOMEM), "again later");
        return;
    }
    post(job, now, old);
    xn__paid_in__free_unpacked(old, NULL);
}

/* ---- what is there ---- */

static void judge_room(struct corp_job *job, const struct xn_now *now,
                       int64_t account, int64_t world)
{
    struct account_change want = account_wanted(job);
    char because[96];

    if (-(xn_i128)world + want.micro <= COUNT_MAX &&
        (xn_i128)account + want.micro <= COUNT_MAX) {
        job_opened(job, now, pay_in);
        return;
    }
    snprintf(because, sizeof because,
             "that would be more %s than this XenoCorp can count",
             want.currency);
    job_refuse(job, XN_EOVERFLOW, because, "a smaller amount");
}

/* As if it had not been paid in: so into credit, too, but not below. */
static void judge_free(struct corp_job *job, const struct xn_now *now,
                       const struct ledger_account *account)
{
    struct account_change want = account_wanted(job);
    char free_text[MONEY_TEXT_MAX], because[128];
    xn_i128 left = (xn_i128)account->balance - account->floor;

    if (left >= want.micro) {
        take_back(job, now);
        return;
    }
    if (left > INT64_MAX) left = INT64_MAX;
    if (left < 0) left = 0;
    snprintf(because, sizeof because,
             "%s of the account are free; the rest is set apart for orders, "
             "or spent",
             money_text((int64_t)left, want.currency, free_text));
    job_refuse(job, XN_EFUNDS, because,
               "xenocorp order list DIR CLIENT; again when they have ended");
}

static void on_look(void *owner, void *ctx, const struct xn_now *now,
                    const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, "again later");
    } else if (account_wanted(job).what == LEDGER_TAKE_BACK) {
        judge_free(job, now, &result->accounts[0]);
    } else { /* one that is not there is empty */
        judge_room(job, now, result->accounts[0].balance,
                   result->accounts[1].balance);
    }
}

static void look(struct corp_job *job, const struct xn_now *now)
{
    const xn_id ids[] = {job->opens[0].account, job->opens[1].account};

    ledger_look(job->corp->ledger, now, ids, 2, on_look, job->corp, job,
                &job->corp->out);
}

/* ---- what is known of it ---- */

static void unknown(struct corp_job *job, const struct xn_now *now)
{
    struct account_change want = account_wanted(job);

    if (want.what == LEDGER_TAKE_BACK) {
        job_refuse(job, XN_ENOENT, "nothing was paid in under that reference",
                   "xenocorp client pay-ins DIR CLIENT CURRENCY");
    } else if (!account_too_much(job)) {
        look(job, now);
    }
}

static void known(struct corp_job *job, const struct xn_now *now,
                  const Xn__PaidIn *record)
{
    struct account_change want = account_wanted(job);
    bool back = want.what == LEDGER_TAKE_BACK;

    if (record->micro != want.micro) {
        job_refuse(job, XN_ECONFLICT,
                   "that reference was used for another amount",
                   back ? "xenocorp client pay-ins DIR CLIENT CURRENCY"
                        : "another reference");
    } else if (!back && record->taken_us) {
        job_refuse(job, XN_ECONFLICT,
                   "what was paid in under that reference was taken back",
                   "another reference");
    } else if (!back || record->taken_us) {
        account_changed(job, now);
    } else {
        look(job, now);
    }
}

static void record_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = record_key(job);
    const ProtobufCBinaryData *value = job_value(job, &key);
    Xn__PaidIn *record;

    if (!value) {
        unknown(job, now);
        return;
    }
    record = xn__paid_in__unpack(NULL, value->len, value->data);
    if (record) {
        known(job, now, record);
        xn__paid_in__free_unpacked(record, NULL);
    } else {
        job_refuse(job, XN_EINTEGRITY, "what the books say of it is damaged",
                   "XenoCorp's operator must look");
    }
}

static void read_record(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = record_key(job);

    job_read(job, now, &key, NULL, 1, record_found);
}

void account_pay_in(struct corp_job *job, const struct xn_now *now)
{
    if (account_wanted(job).micro == 0) { /* opens the account, that is all */
        job_opened(job, now, account_changed);
    } else {
        read_record(job, now);
    }
}

/* ---- GET /v1/payins?client=ID&currency=GBP, and &after=REQUEST ---- */

static const struct job_form listing = {.what = "cannot list the pay-ins",
                                        .role = XN__ROLE__ANYBODY};

static void fill(const Xn__Record *record, const Xn__PaidIn *from,
                 Xn__PayInInfo *to)
{
    xn__pay_in_info__init(to);
    to->request.data = record->key.data + record->key.len - XN_ID_SIZE;
    to->request.len = XN_ID_SIZE;
    to->micro = from->micro;
    to->at_us = from->at_us;
    to->note = from->note;
    to->taken_us = from->taken_us;
}

static void listed(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    Xn__PaidIn *paid[LIST_MAX];
    Xn__PayInInfo infos[LIST_MAX], *list[LIST_MAX];
    Xn__PayIns answer = XN__PAY_INS__INIT;
    size_t n = 0;

    for (; n < records->n_records && n < LIST_MAX; n++) {
        const Xn__Record *record = records->records[n];

        paid[n] =
            xn__paid_in__unpack(NULL, record->value.len, record->value.data);
        if (!paid[n]) break;
        fill(record, paid[n], &infos[n]);
        list[n] = &infos[n];
    }
    answer.pay_ins = list;
    answer.n_pay_ins = n;
    answer.more = records->more;
    if (n < records->n_records && n < LIST_MAX) {
        job_refuse(job, XN_EINTEGRITY, "what the books say of one is damaged",
                   "XenoCorp's operator must look");
    } else {
        job_answer(job, &answer);
    }
    while (n > 0)
        xn__paid_in__free_unpacked(paid[--n], NULL);
}

void corp_pay_ins(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &listing);
    struct corp_arg args[] = {
        {.name = "client"}, {.name = "currency"}, {.name = "after"}};
    const char *client = args[0].value, *currency = args[1].value;
    const char *after = args[2].value;
    struct order_key prefix, from;
    xn_id id, account;

    if (!job) return;
    if (corp_args(question->query, args, 3) ||
        xn_id_unhex(client, strlen(client), &id) ||
        !corp_currency_ok(currency)) {
        goto bad;
    }
    order_account(&corp->config.id, LEDGER_CLIENT, &id, currency, &account);
    prefix = from = order_key_pay_in(&account, NULL);
    if (after[0]) {
        if (xn_id_unhex(after, strlen(after), &id)) goto bad;
        from = order_key_pay_in(&account, &id);
        from.b[from.len++] = 0; /* right behind it */
    }
    job_read(job, now, &prefix, &from, LIST_MAX, listed);
    return;
bad:
    job_refuse(job, XN_EINVAL, "not a place in the list",
               "/v1/payins?client=ID&currency=GBP");
}
