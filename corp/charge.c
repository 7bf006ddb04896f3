/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server claims (the paper, II-B.1(5)).
 *
 *   VERIFY -> READ the session, READ the order -> rules -> SIGN the receipt ->
 *   ledger: money, claim, state, receipt -> ANSWER
 *
 * The claim and where it leaves the session go with the money in one
 * transaction, guarded by the state that was judged.  What was claimed before
 * is answered with the receipt of then.  A last claim closes the order with the
 * same transaction.
 *
 * A refused claim is evidence: claim and reason go into the books before the
 * refusal is said, one a minute of each kind, and of one server not without
 * end: who has lied so often needs no more evidence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define CLAIMS_AT_ONCE 60 /* of a session; then one a second */
#define ACTIVITY_MAX 180  /* bytes of it in the journal's note */

static const struct job_form form = {
    .what = "cannot charge",
    .role = XN__ROLE__SERVER,
    .body = &xn__charge__descriptor,
    .body_max = JOB_ENVELOPE_MAX + 64,
};

static const struct money_claim *claim_of(const struct corp_job *job)
{
    return &job->papers[0].doc.claim;
}

static void answer(struct corp_job *job, ProtobufCBinaryData receipt)
{
    Xn__Charged body = XN__CHARGED__INIT;

    body.receipt = receipt;
    job_answer(job, &body);
}

/* ---- refusals ---- */

static int pack_refusal(const struct corp_job *job,
                        const struct money_refusal *why, uint8_t **bytes_out,
                        size_t *len_out)
{
    const struct money_claim *claim = claim_of(job);
    Xn__RefusedClaim record = XN__REFUSED_CLAIM__INIT;

    record.at_us = job->came_us;
    record.server = xn_id_bytes(&job->caller);
    record.session = xn_id_bytes(&claim->session);
    record.sequence = claim->sequence;
    record.reason = (char *)(uintptr_t)reason_name(why->reason);
    record.text = (char *)(uintptr_t)why->text;
    record.envelope = job->papers[0].envelope;
    return xn_pack(&record, bytes_out, len_out);
}

/* Told to the log as often as to the books. */
static void noted(struct corp_job *job, const struct xn_now *now)
{
    const struct money_refusal *why = &job->papers[0].why;
    char server[XN_NAME_MAX];

    if (job->posted.repeated) {
        corp_rates_give(job->corp->refusals, job->caller.b, XN_ID_SIZE);
    } else {
        xn_id_name(&job->caller, NULL, server);
        xn_out_log(&job->corp->out, XN_LOG_WARN,
                   "refused a claim of %s: %s: %s", server,
                   reason_name(why->reason), why->text);
    }
    job_refuse_why(job, &job->papers[0].why);
}

/* What tells one record of refusals from others: server, session, reason and
 * minute.  So lies, which cost nothing, do not fill the books.  A session that
 * is none of this server's counts as no session, and by the hour: there is no
 * end of those, nor of those who can say so. */
static uint64_t refusal_kind(const struct corp_job *job,
                             enum money_reason reason, xn_id *kind_out)
{
    uint64_t span_us = xn_id_is_zero(&job->serial) ? HOUR_US : MINUTE_US;
    uint64_t begin_us = job->came_us - job->came_us % span_us;
    struct order_key key = order_key_refused(begin_us, &job->caller);
    xn_id part;

    xn_id_hash2(job->serial.b, XN_ID_SIZE, reason_name(reason),
                strlen(reason_name(reason)), &part);
    xn_id_hash2(key.b, key.len, part.b, XN_ID_SIZE, kind_out);
    return begin_us;
}

static void refuse(struct corp_job *job, const struct xn_now *now,
                   const struct money_refusal *why)
{
    struct ledger_op op = {.what = LEDGER_OTHER};
    char note[LEDGER_NOTE_MAX], server[XN_NAME_MAX];
    struct order_key key;
    uint8_t *bytes = NULL;
    size_t len;
    uint64_t begin_us;
    xn_id kind;
    int rc;

    if (corp_rates_take(job->corp->refusals, job->caller.b, XN_ID_SIZE,
                        now->mono_us)) {
        job_refuse_why(job, why);
        return;
    }
    rc = pack_refusal(job, why, &bytes, &len);
    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        return;
    }
    job->papers[0].why = *why;
    xn_id_name(&job->caller, NULL, server);
    snprintf(note, sizeof note, "refused a claim of %s: %s", server,
             reason_name(why->reason));
    begin_us = refusal_kind(job, why->reason, &kind);
    order_op_id(&kind, "refused", NULL, 0, &op.id);
    op.note = note;
    key = order_key_refused(begin_us, &kind);
    op_write(&op, &key, bytes, len, LEDGER_ANY);
    job_post(job, now, &op, noted, NULL);
    free(bytes);
}

static void refuse_for(struct corp_job *job, const struct xn_now *now,
                       enum money_reason reason, const char *text)
{
    struct money_refusal why;

    reason_refuse(&why, reason, "%s", text);
    refuse(job, now, &why);
}

/* ---- what was taken before ---- */

static void old_found(struct corp_job *job, const struct xn_now *now)
{
    const struct money_claim *claim = claim_of(job);
    struct order_key key = order_key_claim(&job->serial, claim->sequence);
    const ProtobufCBinaryData *value = job_value(job, &key);
    Xn__OrderClaim *old =
        value ? xn__order_claim__unpack(NULL, value->len, value->data) : NULL;
    xn_id document;

    if (!old || xn_id_from_bytes(&old->document, &document)) {
        job_refuse(job, XN_EINTEGRITY, "the books have lost that claim",
                   "XenoCorp's operator must look");
    } else if (xn_id_eq(&document, &claim->head.hash)) {
        answer(job, old->receipt);
    } else {
        refuse_for(job, now, REASON_CLAIM_TWICE, "an older one");
    }
    if (old) xn__order_claim__free_unpacked(old, NULL);
}

static void find_old(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key =
        order_key_claim(&job->serial, claim_of(job)->sequence);

    job_read(job, now, &key, NULL, 1, old_found);
}

/* ---- what is taken now ---- */

static void find_order(struct corp_job *job, const struct xn_now *now);

static void charged(struct corp_job *job, const struct xn_now *now)
{
    answer(job, job_signed(job));
}

static int64_t fee_of(const struct corp_config *config, int64_t paid)
{
    return config->payout->fee(paid, config->share_ppm);
}

static void op_charge(const struct corp_job *job, struct ledger_op *op)
{
    const struct corp_config *config = &job->corp->config;
    const struct claim_terms *terms = &job->order.bound.terms;
    int64_t before = job->order.state.paid, after = job->state.paid;
    xn_id id = op->id, server, income;

    if (after == before) return;
    order_account(&config->id, LEDGER_SERVER, &terms->server, terms->currency,
                  &server);
    order_house(&config->id, 'i', terms->currency, &income);
    ledger_op_charge(op, &id, &job->serial, &server, &income, after - before,
                     fee_of(config, after) - fee_of(config, before),
                     terms->currency);
}

static int pack_claim(const struct corp_job *job, uint8_t **bytes_out,
                      size_t *len_out)
{
    Xn__OrderClaim record = XN__ORDER_CLAIM__INIT;

    record.envelope = job->papers[0].envelope;
    record.document = xn_id_bytes(&claim_of(job)->head.hash);
    record.receipt = job_signed(job);
    return xn_pack(&record, bytes_out, len_out);
}

static void post(struct corp_job *job, const struct xn_now *now)
{
    const struct money_claim *claim = claim_of(job);
    struct order_key key_s = order_key(&job->serial, 's'), ends[2];
    struct order_key key_x = order_key_claim(&job->serial, claim->sequence);
    struct ledger_op op = {.what = LEDGER_OTHER};
    uint8_t *state = NULL, *record = NULL;
    size_t state_len, record_len;
    char note[LEDGER_NOTE_MAX];
    int rc = order_state_pack(&job->state, &state, &state_len);

    if (!rc) rc = pack_claim(job, &record, &record_len);
    if (rc) {
        job_refuse(job, rc, xn_strerror(rc), "again later");
        goto out;
    }
    order_op_id_nth(&job->serial, "claim", claim->sequence, &op.id);
    op_charge(job, &op);
    if (job->state.closed) {
        corp_op_release(&job->order,
                        job->order.bound.terms.amount - job->state.paid, ends,
                        &op);
    }
    snprintf(note, sizeof note, "claim %llu: %.*s",
             (unsigned long long)claim->sequence,
             (int)corp_text_cut(claim->activity, ACTIVITY_MAX),
             claim->activity);
    op.note = note;
    op_write(&op, &key_s, state, state_len, LEDGER_EQUALS);
    op.writes[op.n_writes - 1].was = job->order.state_bytes.data;
    op.writes[op.n_writes - 1].was_len = job->order.state_bytes.len;
    op_write(&op, &key_x, record, record_len, LEDGER_ABSENT);
    job_post(job, now, &op, charged, find_order);
out:
    free(state);
    free(record);
}

static void take(struct corp_job *job, const struct xn_now *now)
{
    const struct order_file *order = &job->order;

    job->state = order->state;
    job->state.claims = job->claims;
    if (job->claims.amount > job->state.paid) {
        job->state.paid = job->claims.amount;
    }
    job->state.closed = job->claims.final;
    claim_receipt(&order->bound.terms, &claim_of(job)->head.hash,
                  &order->state.claims, &job->claims, now->wall_us, &job->made);
    job_sign(job, now, post);
}

/* ---- judging ---- */

static enum money_reason check(struct corp_job *job, struct money_refusal *why)
{
    const struct order_file *order = &job->order;
    struct claim_clock clock = {.now_us = job->came_us,
                                .stopped_us = order->state.stopped_us,
                                .slack_us = job->corp->config.slack_us};
    enum money_reason reason =
        claim_check(&order->bound.terms, &order->state.claims, claim_of(job),
                    &clock, &job->claims, why);

    if (!reason) reason = job_dated(job, job->came_us, why);
    if (reason || !order->state.closed) return reason;
    return reason_refuse(why,
                         order->state.stopped_us ? REASON_CLAIM_STOPPED
                                                 : REASON_CLAIM_ENDED,
                         "what was left has been released");
}

/* A claim of nothing costs nothing, and is kept for ever.  The last one of a
 * session may come at any time: none follows it. */
static bool comes_too_soon(const struct corp_job *job)
{
    uint64_t since_us = job->order.bound.terms.since_us, s = 0;

    if (job->came_us > since_us) s = (job->came_us - since_us) / SECOND_US;
    return !job->claims.final && job->claims.sequence > CLAIMS_AT_ONCE + s;
}

static void found(struct corp_job *job, const struct xn_now *now)
{
    struct money_refusal why;

    if (!job->order.has_state) {
        job_refuse(job, XN_EINTEGRITY, "the books have lost that order",
                   "XenoCorp's operator must look");
        return;
    }
    switch (check(job, &why)) {
    case REASON_FINE:
        if (comes_too_soon(job)) {
            job_refuse(job, XN_EBUSY, "claims of this session come too often",
                       "the same again in a second");
        } else if (job->claims.final || job_take(job, now, job->corp->claims,
                                                 "claims of one server")) {
            take(job, now);
        }
        break;
    case REASON_REPEATED:
    case REASON_CLAIM_OLD: find_old(job, now); break;
    default: refuse(job, now, &why);
    }
}

static void find_order(struct corp_job *job, const struct xn_now *now)
{
    job_read_order(job, now, found);
}

/* The server is part of the key: nobody comes by another's session. */
static void session_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key =
        order_key_session(&job->caller, &claim_of(job)->session);
    const ProtobufCBinaryData *serial = job_value(job, &key);

    if (!serial || xn_id_from_bytes(serial, &job->serial)) {
        refuse_for(job, now, REASON_CLAIM_SESSION,
                   "no order was accepted for it by this server");
        return;
    }
    find_order(job, now);
}

static void verified(struct corp_job *job, const struct xn_now *now)
{
    const struct money_claim *claim = claim_of(job);
    struct order_key key = order_key_session(&job->caller, &claim->session);

    if (!xn_id_eq(&claim->head.by, &job->caller)) {
        refuse_for(job, now, REASON_CLAIM_SERVER, "sent by another");
        return;
    }
    job_read(job, now, &key, NULL, 1, session_found);
}

void corp_charge(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &form);

    if (!job) return;
    job_paper(job, MONEY_CLAIM,
              ((const Xn__Charge *)(const void *)job->request)->claim);
    job_verify(job, now, verified);
}
