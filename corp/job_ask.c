/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a job asks the driver for: documents verified, records read, a document
 * signed. */
#include <string.h>

#include "corp/job.h"
#include "lib/err.h"
#include "lib/log.h"

#define VERIFY_US (20 * 1000000ULL)
#define READ_US (20 * 1000000ULL)
#define SIGN_US (20 * 1000000ULL)

static void refuse_rc(struct corp_job *job, int rc)
{
    job_refuse(job, rc, xn_strerror(rc), "again later");
}

/* ---- documents ---- */

void job_paper(struct corp_job *job, enum money_type type,
               ProtobufCBinaryData envelope)
{
    struct job_paper *paper = &job->papers[job->n_papers++];

    paper->job = job;
    paper->doc.type = type;
    paper->envelope = envelope;
}

/* All papers that a XenoCorp is shown are its own and its members': another's
 * signature on one is no honest stranger's.  Dates come later: job_dated. */
static enum money_reason judge(struct job_paper *paper, int rc,
                               const struct xn_msg *msg)
{
    enum money_reason reason;

    if (!rc && (!msg || msg->kind != XN__KIND__VERIFIED)) rc = XN_EPROTO;
    reason =
        money_verified(&paper->doc, rc, rc ? NULL : XN_BODY(msg, Xn__Verified),
                       UINT64_MAX, &paper->why);
    if (reason != REASON_STRANGER) return reason;
    return reason_refuse(&paper->why, REASON_SIGNER,
                         "%s: this XenoCorp has not certified him",
                         money_name(paper->doc.type));
}

enum money_reason job_dated(const struct corp_job *job, uint64_t now_us,
                            struct money_refusal *why)
{
    for (size_t i = 0; i < job->n_papers; i++) {
        const struct money *doc = &job->papers[i].doc;

        if (doc->head.issued_us > MONEY_AHEAD_US_MAX &&
            doc->head.issued_us - MONEY_AHEAD_US_MAX > now_us) {
            return reason_refuse(why, REASON_FUTURE, "%s",
                                 money_name(doc->type));
        }
    }
    return REASON_FINE;
}

static bool is_outage(int rc)
{
    return rc == XN_ETIMEOUT || rc == XN_EIO || rc == XN_EBUSY;
}

static void on_verified(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct job_paper *paper = ctx;
    struct corp_job *job = paper->job;

    /* That nobody could look says nothing about the document. */
    if (is_outage(rc)) {
        job->posted.rc = rc;
    } else {
        paper->reason = judge(paper, rc, msg);
    }
    if (--job->waiting) return;
    if (job->posted.rc) {
        refuse_rc(job, job->posted.rc);
        return;
    }
    for (size_t i = 0; i < job->n_papers; i++) {
        if (!job->papers[i].reason) continue;
        job_refuse_why(job, &job->papers[i].why);
        return;
    }
    job->next(job, now);
}

static bool paper_fits(const struct job_paper *paper)
{
    return paper->envelope.len > 0 && paper->envelope.len <= JOB_ENVELOPE_MAX;
}

static void ask_verify(struct corp_job *job, const struct xn_now *now,
                       struct job_paper *paper)
{
    struct corp *corp = job->corp;
    Xn__Verify verify = XN__VERIFY__INIT;
    uint64_t ticket = xn_ticket(corp->tickets, now->mono_us + VERIFY_US,
                                on_verified, corp, paper, &corp->out);

    verify.form = XN__FORM__ENVELOPE;
    verify.data = paper->envelope;
    job->waiting++;
    if (!ticket) return; /* out of memory: the core ends */
    xn_out_emit(&corp->out, XN_ACT_VERIFY, ticket, XN_PEER_NONE,
                XN__KIND__VERIFY, &verify);
}

void job_verify(struct corp_job *job, const struct xn_now *now, job_step *next)
{
    for (size_t i = 0; i < job->n_papers; i++) {
        if (paper_fits(&job->papers[i])) continue;
        job_refuse(job, job->papers[i].envelope.len ? XN_ETOOBIG : XN_EINVAL,
                   "a signed document is 1 to 8192 bytes",
                   "the envelope as it was signed");
        return;
    }
    job->next = next;
    for (size_t i = 0; i < job->n_papers; i++)
        ask_verify(job, now, &job->papers[i]);
}

/* ---- the store ---- */

static void on_read(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        refuse_rc(job, rc);
        return;
    }
    order_keep_clear(&job->keep);
    xn_msg_free(job->found);
    job->found = xn_msg_ref(msg);
    job->next(job, now);
}

void job_read(struct corp_job *job, const struct xn_now *now,
              const struct order_key *prefix, const struct order_key *from,
              uint32_t limit, job_step *next)
{
    struct corp *corp = job->corp;
    Xn__Read read = XN__READ__INIT;
    uint64_t ticket = xn_ticket(corp->tickets, now->mono_us + READ_US, on_read,
                                corp, job, &corp->out);

    job->next = next;
    if (!ticket) return;
    read.prefix.data = (uint8_t *)(uintptr_t)prefix->b;
    read.prefix.len = prefix->len;
    if (from) {
        read.from.data = (uint8_t *)(uintptr_t)from->b;
        read.from.len = from->len;
    }
    read.limit = limit;
    xn_out_emit(&corp->out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

const ProtobufCBinaryData *job_value(const struct corp_job *job,
                                     const struct order_key *key)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);

    for (size_t i = 0; i < records->n_records; i++) {
        const Xn__Record *at = records->records[i];

        if (at->key.len == key->len &&
            memcmp(at->key.data, key->b, key->len) == 0) {
            return &at->value;
        }
    }
    return NULL;
}

/* The step after the READ waits in `again` meanwhile. */
static void take_order(struct corp_job *job, const struct xn_now *now)
{
    job_step *next = job->again;
    int rc = order_file_read(&job->corp->config.id, &job->serial,
                             XN_BODY(job->found, Xn__Records), &job->order,
                             &job->keep);

    job->again = NULL;
    if (rc) {
        xn_out_log(&job->corp->out, XN_LOG_ERROR, "%s: a record is damaged",
                   job->what);
        job_refuse(job, rc, "what the books say of this order is damaged",
                   "XenoCorp's operator has been told");
        return;
    }
    next(job, now);
}

void job_read_order(struct corp_job *job, const struct xn_now *now,
                    job_step *next)
{
    struct order_key prefix = order_key(&job->serial, 0);

    job->again = next;
    job_read(job, now, &prefix, NULL, ORDER_FILE_RECORDS, take_order);
}

/* ---- signing ---- */

static void on_signed(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (!rc && (!msg || msg->kind != XN__KIND__SIGNED)) rc = XN_EPROTO;
    if (rc) {
        refuse_rc(job, rc);
        return;
    }
    xn_msg_free(job->signed_msg);
    job->signed_msg = xn_msg_ref(msg);
    job->next(job, now);
}

void job_sign(struct corp_job *job, const struct xn_now *now, job_step *next)
{
    struct corp *corp = job->corp;
    Xn__Sign sign = XN__SIGN__INIT;
    struct xn_buf text;
    uint64_t ticket;
    int rc;

    xn_buf_init(&text, MONEY_BYTES_MAX);
    job->made.head.by = corp->config.id;
    job->made.head.issued_us = now->wall_us;
    rc = money_write(&job->made, &text);
    if (rc) {
        job_refuse(job, rc == XN_ENOMEM ? rc : XN_EINVAL,
                   "that cannot be said in a document of money",
                   "a whole number of micro-units, a time before the year "
                   "10000, a short text");
        goto out;
    }
    job->made.head.corp = corp->config.id;
    ticket = xn_ticket(corp->tickets, now->mono_us + SIGN_US, on_signed, corp,
                       job, &corp->out);
    job->next = next;
    sign.form = XN__FORM__ENVELOPE;
    sign.payload.data = text.data;
    sign.payload.len = text.len;
    if (ticket) {
        xn_out_emit(&corp->out, XN_ACT_SIGN, ticket, XN_PEER_NONE,
                    XN__KIND__SIGN, &sign);
    }
out:
    xn_buf_clear(&text);
}

ProtobufCBinaryData job_signed(const struct corp_job *job)
{
    return XN_BODY(job->signed_msg, Xn__Signed)->data;
}
