/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/money.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

#define VERIFY_US (20 * 1000000ULL)
#define READ_US (20 * 1000000ULL)
#define SIGN_US (20 * 1000000ULL)

/* ---- beginning and end ---- */

static struct corp_job *new_job(struct corp *corp, const struct xn_now *now,
                                const char *what)
{
    struct corp_job *job = calloc(1, sizeof *job);

    if (!job) return NULL;
    job->corp = corp;
    job->what = what;
    job->came_us = now->wall_us;
    xn__orders__init(&job->list);
    DL_APPEND2(corp->jobs, job, prev, next_job);
    corp->n_jobs++;
    return job;
}

static void free_list(Xn__Orders *list)
{
    for (size_t i = 0; i < list->n_orders; i++)
        xn__order_status__free_unpacked(list->orders[i], NULL);
    free(list->orders);
}

void job_free(struct corp_job *job)
{
    struct corp *corp = job->corp;

    DL_DELETE2(corp->jobs, job, prev, next_job);
    corp->n_jobs--;
    if (corp->look == job) corp->look = NULL;
    if (job->request) {
        protobuf_c_message_free_unpacked(job->request, NULL);
    }
    order_keep_clear(&job->keep);
    xn_msg_free(job->found);
    xn_msg_free(job->signed_msg);
    free_list(&job->list);
    corp_bill_free(job->bill);
    free(job);
}

void job_drop_all(struct corp *corp)
{
    while (corp->jobs)
        job_free(corp->jobs);
}

void job_cancel(struct corp *corp, uint64_t ask)
{
    struct corp_job *job;

    DL_FOREACH2(corp->jobs, job, next_job)
    {
        if (job->ask == ask) job->ask = 0;
    }
}

void job_answer(struct corp_job *job, const void *body)
{
    if (job->ask) xn_out_answer(&job->corp->out, job->ask, 200, body);
    job_free(job);
}

void job_refuse(struct corp_job *job, int rc, const char *because,
                const char *try)
{
    if (job->ask) {
        xn_out_refuse(&job->corp->out, job->ask, rc, job->what, because, try);
    } else {
        xn_out_log(&job->corp->out, XN_LOG_WARN, "%s: %s", job->what, because);
    }
    job_free(job);
}

void job_refuse_why(struct corp_job *job, const struct money_refusal *why)
{
    if (job->ask) {
        xn_out_refuse_why(&job->corp->out, job->ask, job->what, why);
    } else {
        xn_out_log(&job->corp->out, XN_LOG_WARN, "%s: %s", job->what,
                   why->text);
    }
    job_free(job);
}

bool job_take(struct corp_job *job, const struct xn_now *now,
              struct corp_rates *rates, const char *of)
{
    uint64_t wait_us =
        corp_rates_take(rates, job->caller.b, XN_ID_SIZE, now->mono_us);
    char because[CORP_RATES_TEXT];

    if (!wait_us) return true;
    corp_rates_text(rates, of, because);
    if (job->ask) {
        xn_out_refuse_until(&job->corp->out, job->ask, job->what, because,
                            wait_us);
    }
    job_free(job);
    return false;
}

static bool is_member(const struct corp *corp, const Xn__Caller *caller,
                      Xn__Role role)
{
    xn_id by;

    return caller->role == role && !xn_id_from_bytes(&caller->corp, &by) &&
           xn_id_eq(&by, &corp->config.id);
}

static bool may_ask(const struct corp *corp, const Xn__Caller *caller,
                    const struct job_form *form, xn_id *id_out)
{
    if (!caller || xn_id_from_bytes(&caller->id, id_out)) return false;
    if (form->role == XN__ROLE__ANYBODY || form->staff_too) {
        if (xn_id_eq(id_out, &corp->config.id)) return true;
    }
    if (form->servers_too && is_member(corp, caller, XN__ROLE__SERVER)) {
        return true;
    }
    return form->role != XN__ROLE__ANYBODY &&
           is_member(corp, caller, form->role);
}

static size_t jobs_of(const struct corp *corp, const xn_id *caller)
{
    const struct corp_job *job;
    size_t n = 0;

    DL_FOREACH2(corp->jobs, job, next_job)
    {
        n += xn_id_eq(&job->caller, caller);
    }
    return n;
}

static const char *who_may(Xn__Role role)
{
    switch (role) {
    case XN__ROLE__CLIENT: return "only clients of this XenoCorp ask that";
    case XN__ROLE__SERVER: return "only servers of this XenoCorp ask that";
    default: return "only this XenoCorp's own staff asks that";
    }
}

/* 0 or what to refuse with. */
static int admit(const struct corp *corp, const Xn__Ask *question,
                 const struct job_form *form, xn_id *caller_out,
                 const char **because, const char **try)
{
    *because = "this XenoCorp keeps no accounts";
    *try = "a XenoCorp that does";
    if (!corp->ledger) return XN_EREFUSED;
    *because = who_may(form->role);
    *try = "xeno register";
    if (!may_ask(corp, question->caller, form, caller_out)) {
        return XN_EPERM;
    }
    *because = "the body is larger than it can be";
    *try = "the message that doc/PROTOCOL.md names for this path";
    if (question->body.len > form->body_max) return XN_ETOOBIG;
    *because = "too many questions about money at this moment";
    *try = "again in a second";
    if (corp->n_jobs >= JOBS_MAX) return XN_EBUSY;
    *because = "too many questions of yours about money at this moment";
    return jobs_of(corp, caller_out) < JOBS_MEMBER_MAX ? 0 : XN_EBUSY;
}

struct corp_job *job_begin(struct corp *corp, const struct xn_now *now,
                           uint64_t ask, const Xn__Ask *question,
                           const struct job_form *form)
{
    const char *because = NULL, *try = NULL;
    ProtobufCMessage *request = NULL;
    struct corp_job *job = NULL;
    xn_id caller;
    int rc = admit(corp, question, form, &caller, &because, &try);

    if (rc) goto out;
    if (form->body) {
        because = "the body is not what this path takes";
        try = "the message that doc/PROTOCOL.md names for this path";
        rc = XN_EPROTO;
        request =
            xn_unpack(form->body, question->body.data, question->body.len);
        if (!request) goto out;
    }
    because = xn_strerror(XN_ENOMEM);
    rc = XN_ENOMEM;
    job = new_job(corp, now, form->what);
    if (!job) goto out;
    job->ask = ask;
    job->caller = caller;
    job->is_staff = xn_id_eq(&caller, &corp->config.id);
    job->request = request;
    request = NULL;
    rc = 0;
out:
    if (request) protobuf_c_message_free_unpacked(request, NULL);
    if (rc) xn_out_refuse(&corp->out, ask, rc, form->what, because, try);
    return job;
}

struct corp_job *job_own(struct corp *corp, const struct xn_now *now,
                         const char *what)
{
    return new_job(corp, now, what);
}

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

/* ---- the ledger ---- */

static const char *try_of(int rc)
{
    switch (rc) {
    case XN_EFUNDS: return "a smaller amount, or pay in at the XenoCorp";
    case XN_ENOENT: return "pay in at the XenoCorp: that opens the account";
    case XN_EUNKNOWN: return "the same again: nothing is done twice";
    default: return "again later";
    }
}

static void on_settled(void *owner, void *ctx, const struct xn_now *now,
                       const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, try_of(result->rc));
    } else {
        job->again(job, now);
    }
}

/* What was in the way may not be durable yet, and then a READ does not find it.
 * A look comes behind it. */
static void begin_again(struct corp_job *job, const struct xn_now *now)
{
    job->rounds++;
    ledger_look(job->corp->ledger, now, &job->serial, 1, on_settled, job->corp,
                job, &job->corp->out);
}

/* Was what we rest on no longer so?  Postings are judged before guards: a fence
 * that holds less than was read, or is closed, says that somebody was first.
 * Who issues an order has read none: then the money is really missing. */
static bool is_stale(const struct corp_job *job,
                     const struct ledger_result *result)
{
    switch (result->rc) {
    case 0: return result->repeated;
    case XN_ECONFLICT: return true;
    case XN_EFUNDS:
    case XN_ENOENT: return job->order.has_record;
    default: return false;
    }
}

static void on_posted(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (is_stale(job, result) && job->again && job->rounds < JOB_ROUNDS_MAX) {
        begin_again(job, now);
        return;
    }
    if (result->rc) {
        job_refuse(job, result->rc, result->because, try_of(result->rc));
        return;
    }
    job->posted.rc = 0;
    job->posted.repeated = result->repeated;
    job->balance =
        result->n_balances ? result->balances[result->n_balances - 1] : 0;
    job->next(job, now);
}

void job_post(struct corp_job *job, const struct xn_now *now,
              const struct ledger_op *op, job_step *next, job_step *again)
{
    job->next = next;
    job->again = again;
    ledger_post(job->corp->ledger, now, op, on_posted, job->corp, job,
                &job->corp->out);
}

void job_open(struct corp_job *job, const xn_id *account, enum ledger_kind kind,
              const char *currency, int64_t floor)
{
    struct ledger_open *open = &job->opens[job->n_opens++];

    open->account = *account;
    open->kind = kind;
    open->floor = floor;
    memcpy(open->currency, currency, LEDGER_CURRENCY);
}

static void open_next(struct corp_job *job, const struct xn_now *now);

/* Who else opened it at the same time used the same id: that is fine. */
static void on_opened(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, try_of(result->rc));
        return;
    }
    job->opened++;
    open_next(job, now);
}

static void on_looked(void *owner, void *ctx, const struct xn_now *now,
                      const struct ledger_result *result, struct xn_out *out)
{
    struct corp_job *job = ctx;
    const struct ledger_open *open = &job->opens[job->opened];
    struct ledger_op op;
    xn_id id;

    if (result->rc) {
        job_refuse(job, result->rc, result->because, try_of(result->rc));
        return;
    }
    if (result->accounts[0].exists) {
        job->opened++;
        open_next(job, now);
        return;
    }
    order_op_id(&open->account, "open", NULL, 0, &id);
    ledger_op_open(&op, &id, &open->account, open->kind, open->currency,
                   open->floor);
    ledger_post(job->corp->ledger, now, &op, on_opened, job->corp, job,
                &job->corp->out);
}

static void open_next(struct corp_job *job, const struct xn_now *now)
{
    if (job->opened == job->n_opens) {
        job->next(job, now);
        return;
    }
    ledger_look(job->corp->ledger, now, &job->opens[job->opened].account, 1,
                on_looked, job->corp, job, &job->corp->out);
}

void job_opened(struct corp_job *job, const struct xn_now *now, job_step *next)
{
    job->next = next;
    open_next(job, now);
}

void op_write(struct ledger_op *op, const struct order_key *key,
              const uint8_t *value, size_t len, enum ledger_guard guard)
{
    struct ledger_write *w = &op->writes[op->n_writes++];

    memset(w, 0, sizeof *w);
    w->key = key->b;
    w->key_len = key->len;
    w->value = value;
    w->len = len;
    w->guard = guard;
}

void op_drop(struct ledger_op *op, const struct order_key *key)
{
    op_write(op, key, NULL, 0, LEDGER_ANY);
    op->writes[op->n_writes - 1].drop = true;
}
