/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server asks whether it may accept an order (the paper, II-B.1(4)).
 *
 *   VERIFY all papers -> READ the session, READ the order -> rules -> accounts
 *   opened -> SIGN -> ledger: bound, prepaid -> ANSWER
 *
 * Bound is who writes `b` while it is absent, in the same transaction as the
 * money.  All others, and this one when it asks again, find it there. */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "corp/revoke.h"
#include "lib/err.h"

#define BODY_MAX (JOB_PAPERS * (JOB_ENVELOPE_MAX + 8) + 64)
#define ORDER 0
#define QUOTE 1
#define NARROWINGS 2

static const struct job_form form = {
    .what = "cannot accept the order",
    .role = XN__ROLE__SERVER,
    .body = &xn__validate__descriptor,
    .body_max = BODY_MAX,
    .begins = true,
};

static const Xn__Validate *wanted(const struct corp_job *job)
{
    return (const Xn__Validate *)(const void *)job->request;
}

static void answer(struct corp_job *job, ProtobufCBinaryData acceptance)
{
    Xn__Validated body = XN__VALIDATED__INIT;

    body.acceptance = acceptance;
    job_answer(job, &body);
}

static void validated(struct corp_job *job, const struct xn_now *now)
{
    answer(job, job_signed(job));
}

/* The narrowings in one piece: the rules want an array. */
static struct order_chain chain_of(const struct corp_job *job,
                                   struct money_narrowing *room)
{
    struct order_chain chain = {.order = &job->papers[ORDER].doc.order,
                                .narrowings = room,
                                .n = job->n_papers - NARROWINGS};

    for (size_t i = 0; i < chain.n; i++)
        room[i] = job->papers[NARROWINGS + i].doc.narrowing;
    return chain;
}

/* ---- binding ---- */

static void find(struct corp_job *job, const struct xn_now *now);

static int pack_papers(const struct corp_job *job, uint8_t **bytes_out,
                       size_t *len_out)
{
    Xn__OrderPapers papers = XN__ORDER_PAPERS__INIT;

    papers.narrowings = wanted(job)->narrowings;
    papers.n_narrowings = wanted(job)->n_narrowings;
    papers.quote = wanted(job)->quote;
    return xn_pack(&papers, bytes_out, len_out);
}

/* What a server gets is its own but for the corp's share. */
static void op_prepay(const struct corp_job *job, struct ledger_op *op)
{
    const struct corp_config *config = &job->corp->config;
    const char *currency = job->order.currency;
    int64_t micro = job->made.acceptance.prepaid;
    xn_id id = op->id, server, income;

    if (!micro) return;
    order_account(&config->id, LEDGER_SERVER, &job->caller, currency, &server);
    order_house(&config->id, 'i', currency, &income);
    ledger_op_charge(op, &id, &job->serial, &server, &income, micro,
                     config->payout->fee(micro, config->share_ppm), currency);
}

/* What the narrowings cut off cannot be charged any more. */
static void op_surplus(const struct corp_job *job, struct ledger_op *op)
{
    const struct order_file *order = &job->order;
    int64_t micro = order->amount - job->made.acceptance.amount;

    if (!micro) return;
    if (op->what == LEDGER_OTHER) op->what = LEDGER_RELEASE;
    ledger_op_add(op, &order->serial, -micro, order->currency);
    ledger_op_add(op, &order->account, micro, order->currency);
}

static void op_id(const struct corp_job *job, xn_id *id_out)
{
    xn_id more[3] = {job->caller, job->session, job->made.acceptance.narrowing};

    order_op_id(&job->serial, "accept", more, sizeof more, id_out);
}

struct bytes {
    uint8_t *data;
    size_t len;
};

static void post(struct corp_job *job, const struct xn_now *now,
                 const struct order_bound *bound)
{
    struct order_key key_b = order_key(&job->serial, 'b');
    struct order_key key_s = order_key(&job->serial, 's');
    struct order_key key_t = order_key(&job->serial, 't');
    struct order_key key_session =
        order_key_session(&job->caller, &job->session);
    struct ledger_op op = {.what = LEDGER_OTHER};
    struct bytes b = {NULL, 0}, s = {NULL, 0}, t = {NULL, 0};
    int rc = order_bound_pack(bound, job_signed(job), &b.data, &b.len);

    if (!rc) rc = order_state_pack(&job->state, &s.data, &s.len);
    if (!rc) rc = pack_papers(job, &t.data, &t.len);
    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        goto out;
    }
    op_id(job, &op.id);
    op_prepay(job, &op);
    op_surplus(job, &op);
    op_write(&op, &key_b, b.data, b.len, LEDGER_ABSENT);
    op_write(&op, &key_s, s.data, s.len, LEDGER_ABSENT);
    op_write(&op, &key_t, t.data, t.len, LEDGER_ANY);
    op_write(&op, &key_session, job->serial.b, XN_ID_SIZE, LEDGER_ABSENT);
    job_post(job, now, &op, validated, find);
out:
    free(b.data);
    free(s.data);
    free(t.data);
}

static void bind(struct corp_job *job, const struct xn_now *now)
{
    struct money_narrowing room[ORDER_NARROWINGS_MAX];
    struct order_chain chain = chain_of(job, room);
    const struct money_acceptance *acceptance = &job->made.acceptance;
    struct order_bound bound = {.fate = XN__ORDER_FATE__ACCEPTED_ORDER,
                                .at_us = acceptance->head.issued_us,
                                .narrowing = acceptance->narrowing,
                                .quote = acceptance->quote,
                                .prepaid = acceptance->prepaid};
    struct money_refusal why;

    if (claim_terms(&chain, &job->papers[QUOTE].doc.quote, acceptance,
                    &bound.terms, &why)) {
        job_refuse_why(job, &why);
        return;
    }
    memset(&job->state, 0, sizeof job->state);
    claim_begin(&bound.terms, &job->state.claims);
    job->state.paid = acceptance->prepaid;
    post(job, now, &bound);
}

/* ---- judging ---- */

static void sign(struct corp_job *job, const struct xn_now *now)
{
    job_sign(job, now, bind);
}

static void judge(struct corp_job *job, const struct xn_now *now)
{
    const struct corp_config *config = &job->corp->config;
    const struct money_quote *quote = &job->papers[QUOTE].doc.quote;
    struct money_narrowing room[ORDER_NARROWINGS_MAX];
    struct order_chain chain = chain_of(job, room);
    struct money_refusal why;
    xn_id account;

    if (corp_revoked_us(job->corp, &job->order.holder)) {
        job_refuse(job, XN_EREVOKED, "the key of the order's holder is revoked",
                   "another client's order");
        return;
    }
    if (order_accept(&chain, quote, &job->caller, &job->session, now->wall_us,
                     &job->made, &why) ||
        job_dated(job, now->wall_us, &why)) {
        job_refuse_why(job, &why);
        return;
    }
    job->made.acceptance.prepaid =
        config->prepay->amount(quote, job->made.acceptance.amount);
    job->n_opens = job->opened = 0;
    order_account(&config->id, LEDGER_SERVER, &job->caller, job->order.currency,
                  &account);
    job_open(job, &account, LEDGER_SERVER, job->order.currency, 0);
    order_house(&config->id, 'i', job->order.currency, &account);
    job_open(job, &account, LEDGER_INCOME, job->order.currency, 0);
    job_opened(job, now, sign);
}

static bool is_the_same(const struct corp_job *job)
{
    const struct order_bound *bound = &job->order.bound;

    return xn_id_eq(&bound->terms.server, &job->caller) &&
           xn_id_eq(&bound->terms.session, &job->session) &&
           xn_id_eq(&bound->quote, &job->papers[QUOTE].doc.head.hash) &&
           job->n_papers > NARROWINGS &&
           xn_id_eq(&bound->narrowing,
                    &job->papers[job->n_papers - 1].doc.head.hash);
}

static void found(struct corp_job *job, const struct xn_now *now)
{
    const struct order_file *order = &job->order;
    struct money_refusal why;

    if (!order->has_record &&
        !xn_id_eq(&job->papers[ORDER].doc.head.by, &job->corp->config.id)) {
        reason_refuse(&why, REASON_OTHER_CORP, "PurchaseOrder");
        job_refuse_why(job, &why);
        return;
    }
    if (!order->has_record ||
        !xn_id_eq(&order->document, &job->papers[ORDER].doc.head.hash)) {
        job_refuse(job, XN_EINTEGRITY,
                   "the books know no such order, though it is signed",
                   "report it");
        return;
    }
    switch (order_fate(order)) {
    case XN__ORDER_FATE__ISSUED_ORDER: judge(job, now); return;
    case XN__ORDER_FATE__VOID_ORDER:
        job_refuse(job, XN_EMONEY, "its holder made it void", "a fresh order");
        return;
    case XN__ORDER_FATE__EXPIRED_ORDER:
        job_refuse(job, XN_EEXPIRED, "the order has ended", "a fresh order");
        return;
    default: break;
    }
    if (is_the_same(job)) {
        answer(job, order->acceptance);
    } else {
        job_refuse(job, XN_EMONEY,
                   "the order has been accepted for another session",
                   "a fresh order");
    }
}

static void session_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key_session(&job->caller, &job->session);
    const ProtobufCBinaryData *serial = job_value(job, &key);

    if (serial && (serial->len != XN_ID_SIZE ||
                   memcmp(serial->data, job->serial.b, XN_ID_SIZE) != 0)) {
        job_refuse(job, XN_ECONFLICT, "this session has another order",
                   "another name for the session");
        return;
    }
    job_read_order(job, now, found);
}

static void find(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key_session(&job->caller, &job->session);

    job_read(job, now, &key, NULL, 1, session_found);
}

static void verified(struct corp_job *job, const struct xn_now *now)
{
    job->serial = job->papers[ORDER].doc.order.serial;
    find(job, now);
}

void corp_validate(struct corp *corp, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &form);
    struct money_refusal why;
    const Xn__Validate *want;

    if (!job) return;
    want = wanted(job);
    if (xn_id_from_bytes(&want->session, &job->session) ||
        xn_id_is_zero(&job->session)) {
        job_refuse(job, XN_EINVAL, "a session's name is 32 bytes, not all zero",
                   "32 random bytes");
        return;
    }
    if (want->n_narrowings > ORDER_NARROWINGS_MAX) {
        reason_refuse(&why, REASON_TOO_MANY, "%d", ORDER_NARROWINGS_MAX);
        job_refuse_why(job, &why);
        return;
    }
    job_paper(job, MONEY_ORDER, want->order);
    job_paper(job, MONEY_QUOTE, want->quote);
    for (size_t i = 0; i < want->n_narrowings; i++)
        job_paper(job, MONEY_NARROWING, want->narrowings[i]);
    job_verify(job, now, verified);
}
