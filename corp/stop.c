/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The holder says that nothing more is to be paid.  What counts is when his
 * word reached the corp, before anything else is done with it. */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "lib/err.h"

static const struct job_form form = {
    .what = "cannot stop the session",
    .role = XN__ROLE__CLIENT,
    .body = &xn__stop_order__descriptor,
    .body_max = JOB_ENVELOPE_MAX + 128,
};

static const struct money_stop *stop_of(const struct corp_job *job)
{
    return &job->papers[0].doc.stop;
}

static void answer(struct corp_job *job, ProtobufCBinaryData receipt)
{
    Xn__Charged body = XN__CHARGED__INIT;

    body.receipt = receipt;
    job_answer(job, &body);
}

/* ---- again ---- */

static void old_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key(&job->serial, 'y');
    const ProtobufCBinaryData *value = job_value(job, &key);
    Xn__OrderClaim *old =
        value ? xn__order_claim__unpack(NULL, value->len, value->data) : NULL;

    if (old) {
        answer(job, old->receipt);
        xn__order_claim__free_unpacked(old, NULL);
    } else {
        job_refuse(job, XN_EINTEGRITY, "the books have lost that stop",
                   "XenoCorp's operator must look");
    }
}

/* ---- now ---- */

static void find(struct corp_job *job, const struct xn_now *now);

static void stopped(struct corp_job *job, const struct xn_now *now)
{
    answer(job, job_signed(job));
}

static int pack_stop(const struct corp_job *job, uint8_t **bytes_out,
                     size_t *len_out)
{
    Xn__OrderClaim record = XN__ORDER_CLAIM__INIT;

    record.envelope = job->papers[0].envelope;
    record.document = xn_id_bytes(&stop_of(job)->head.hash);
    record.receipt = job_signed(job);
    return xn_pack(&record, bytes_out, len_out);
}

static void post(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key_s = order_key(&job->serial, 's');
    struct order_key key_y = order_key(&job->serial, 'y');
    struct order_key end = order_key_end(job->came_us, &job->serial);
    struct ledger_op op = {.what = LEDGER_OTHER, .note = "stopped"};
    uint8_t *state = NULL, *record = NULL;
    size_t state_len, record_len;
    int rc = order_state_pack(&job->state, &state, &state_len);

    if (!rc) rc = pack_stop(job, &record, &record_len);
    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        goto out;
    }
    order_op_id(&job->serial, "stop", NULL, 0, &op.id);
    op_write(&op, &key_s, state, state_len, LEDGER_EQUALS);
    op.writes[0].was = job->order.state_bytes.data;
    op.writes[0].was_len = job->order.state_bytes.len;
    op_write(&op, &key_y, record, record_len, LEDGER_ABSENT);
    op_write(&op, &end, NULL, 0, LEDGER_ANY);
    job_post(job, now, &op, stopped, find);
out:
    free(state);
    free(record);
}

static enum money_reason check(const struct corp_job *job,
                               struct money_refusal *why)
{
    const struct order_file *order = &job->order;
    struct money_order issued = {.head.by = job->corp->config.id,
                                 .holder = order->holder};
    struct money_narrowing last = {.head.hash = order->bound.narrowing,
                                   .limits.server = order->bound.terms.server};
    struct order_chain chain = {.order = &issued, .narrowings = &last, .n = 1};

    return order_stops(&chain, stop_of(job), why);
}

static void found(struct corp_job *job, const struct xn_now *now)
{
    const struct order_file *order = &job->order;
    struct order_key key = order_key(&job->serial, 'y');
    struct money_refusal why;

    if (!order->has_record || !xn_id_eq(&order->holder, &job->caller)) {
        job_refuse(job, XN_ENOENT, "you have no such order", "xeno order list");
    } else if (!order->has_state) {
        job_refuse(job, XN_EMONEY, "no server has accepted it",
                   "xeno order void");
    } else if (check(job, &why) || job_dated(job, now->wall_us, &why)) {
        job_refuse_why(job, &why);
    } else if (order->state.stopped_us) {
        job_read(job, now, &key, NULL, 1, old_found);
    } else if (order->state.closed) {
        job_refuse(job, XN_EMONEY, "it has ended: nothing more is paid",
                   "xeno bill");
    } else {
        job->state = order->state;
        job->state.stopped_us = job->came_us;
        claim_receipt(&order->bound.terms, &stop_of(job)->head.hash,
                      &order->state.claims, &order->state.claims, now->wall_us,
                      &job->made);
        job_sign(job, now, post);
    }
}

static void find(struct corp_job *job, const struct xn_now *now)
{
    job_read_order(job, now, found);
}

void corp_stop(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &form);
    const Xn__StopOrder *want;

    if (!job) return;
    want = (const Xn__StopOrder *)(const void *)job->request;
    if (xn_id_from_bytes(&want->serial, &job->serial)) {
        job_refuse(job, XN_EINVAL, "a serial is 32 bytes", "xeno order list");
        return;
    }
    job_paper(job, MONEY_STOP, want->stop);
    job_verify(job, now, find);
}
