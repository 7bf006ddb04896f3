/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a job asks the ledger for: an operation, and that accounts are there. */
#include <string.h>

#include "corp/job.h"
#include "lib/err.h"

static const char *try_of(int rc)
{
    switch (rc) {
    case XN_EFUNDS: return "a smaller amount, or pay in at the XenoCorp";
    case XN_ENOENT: return "pay in at the XenoCorp: that opens the account";
    case XN_EOVERFLOW: return "a smaller amount";
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
