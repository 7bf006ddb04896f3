/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/job.h"

#include <stdlib.h>

#include <utlist.h>

#include "corp/money.h"
#include "corp/revoke.h"
#include "lib/err.h"
#include "lib/log.h"
#include "wire/nest.h"

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
    *because = "this XenoCorp is starting";
    *try = "again in a second";
    if (form->begins && !corp->loaded) return XN_EBUSY; /* revoked or not? */
    *because = "your key was revoked by this XenoCorp";
    *try = "its operator says why";
    if (form->begins && corp_revoked_us(corp, caller_out)) return XN_EREVOKED;
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
