/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an order did: every signed paper of it, so that whoever reads it adds it
 * up by himself (the paper, II-B.1(5)).
 *
 *   READ the order -> READ its papers -> READ its stop -> READ claims -> ANSWER
 *
 * Claims that are taken between the first READ and the last are left for
 * another time: the numbers are those of the first. */
#include <stdlib.h>
#include <string.h>

#include "corp/money.h"
#include "corp/text.h"
#include "lib/err.h"
#include "lib/text.h"

#define CLAIMS_MAX 32

static const struct job_form form = {
    .what = "cannot make the bill",
    .role = XN__ROLE__CLIENT,
    .staff_too = true,
    .servers_too = true,
};

struct corp_bill {
    Xn__Bill body; /* points into what follows */
    uint64_t after;
    struct order_keep keep;
    Xn__OrderPapers *papers;
    Xn__OrderClaim *stop, *claims[CLAIMS_MAX];
    Xn__BillClaim lines[CLAIMS_MAX], stopped;
    Xn__BillClaim *list[CLAIMS_MAX];
};

void corp_bill_free(struct corp_bill *bill)
{
    if (!bill) return;
    order_keep_clear(&bill->keep);
    if (bill->papers) xn__order_papers__free_unpacked(bill->papers, NULL);
    if (bill->stop) xn__order_claim__free_unpacked(bill->stop, NULL);
    for (size_t i = 0; i < bill->body.n_claims; i++)
        xn__order_claim__free_unpacked(bill->claims[i], NULL);
    free(bill);
}

static void lost(struct corp_job *job)
{
    job_refuse(job, XN_EINTEGRITY, "the books have lost a part of it",
               "XenoCorp's operator must look");
}

static void fill_line(Xn__BillClaim *line, const Xn__OrderClaim *from)
{
    xn__bill_claim__init(line);
    line->claim = from->envelope;
    line->receipt = from->receipt;
}

/* ---- claims ---- */

/* The next of them, none left out. */
static int add_claim(struct corp_job *job, const Xn__Record *record)
{
    struct corp_bill *bill = job->bill;
    size_t at = bill->body.n_claims;
    struct order_key key = order_key_claim(&job->serial, bill->after + at + 1);
    Xn__OrderClaim *claim;

    if (record->key.len != key.len ||
        memcmp(record->key.data, key.b, key.len) != 0) {
        return XN_EINTEGRITY;
    }
    claim =
        xn__order_claim__unpack(NULL, record->value.len, record->value.data);
    if (!claim) return XN_EINTEGRITY;
    bill->claims[at] = claim;
    fill_line(&bill->lines[at], claim);
    bill->list[at] = &bill->lines[at];
    bill->body.n_claims++;
    return 0;
}

static void claims_found(struct corp_job *job, const struct xn_now *now)
{
    const Xn__Records *records = XN_BODY(job->found, Xn__Records);
    struct corp_bill *bill = job->bill;
    uint64_t all = job->order.state.claims.sequence;
    size_t want =
        all - bill->after < CLAIMS_MAX ? all - bill->after : CLAIMS_MAX;

    for (size_t i = 0; i < records->n_records && i < want; i++) {
        if (add_claim(job, records->records[i])) break;
    }
    if (bill->body.n_claims < want) {
        lost(job);
        return;
    }
    bill->body.claims = bill->list;
    bill->body.more = bill->after + want < all;
    job_answer(job, &bill->body);
}

static void find_claims(struct corp_job *job, const struct xn_now *now)
{
    struct corp_bill *bill = job->bill;
    struct order_key prefix = order_key(&job->serial, 'x');
    struct order_key from = order_key_claim(&job->serial, bill->after + 1);

    if (bill->after >= job->order.state.claims.sequence) {
        job_answer(job, &bill->body);
        return;
    }
    job_read(job, now, &prefix, &from, CLAIMS_MAX, claims_found);
}

/* ---- papers ---- */

static void stop_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key(&job->serial, 'y');
    const ProtobufCBinaryData *value = job_value(job, &key);
    struct corp_bill *bill = job->bill;

    if (value)
        bill->stop = xn__order_claim__unpack(NULL, value->len, value->data);
    if (!bill->stop) {
        lost(job);
        return;
    }
    fill_line(&bill->stopped, bill->stop);
    bill->body.stop = &bill->stopped;
    find_claims(job, now);
}

static void find_stop(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key(&job->serial, 'y');

    if (job->order.state.stopped_us) {
        job_read(job, now, &key, NULL, 1, stop_found);
    } else {
        find_claims(job, now);
    }
}

static void papers_found(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key(&job->serial, 't');
    const ProtobufCBinaryData *value = job_value(job, &key);
    struct corp_bill *bill = job->bill;

    if (value)
        bill->papers = xn__order_papers__unpack(NULL, value->len, value->data);
    if (!bill->papers) {
        lost(job);
        return;
    }
    bill->body.narrowings = bill->papers->narrowings;
    bill->body.n_narrowings = bill->papers->n_narrowings;
    bill->body.quote = bill->papers->quote;
    find_stop(job, now);
}

static void find_papers(struct corp_job *job, const struct xn_now *now)
{
    struct order_key key = order_key(&job->serial, 't');

    if (job->bill->after) {
        find_stop(job, now);
    } else {
        job_read(job, now, &key, NULL, 1, papers_found);
    }
}

/* ---- the order ---- */

static void fill(struct corp_job *job)
{
    const struct order_file *order = &job->order;
    Xn__Bill *body = &job->bill->body;

    /* What was read goes with the next READ; this stays. */
    job->bill->keep = job->keep;
    memset(&job->keep, 0, sizeof job->keep);
    body->fate = order_fate(order);
    body->order = order->order;
    body->acceptance = order->acceptance;
    body->charged = order->state.claims.amount;
    body->paid = order->state.paid;
    body->sequence = order->state.claims.sequence;
    body->released = order->amount - order->state.paid - order_fenced(order);
}

static bool may_see(const struct corp_job *job)
{
    const struct order_file *order = &job->order;

    if (!order->has_record) return false;
    return job->is_staff || xn_id_eq(&order->holder, &job->caller) ||
           (order->has_state &&
            xn_id_eq(&order->bound.terms.server, &job->caller));
}

static void found(struct corp_job *job, const struct xn_now *now)
{
    if (!may_see(job)) {
        job_refuse(job, XN_ENOENT,
                   job->is_staff ? "there is no such order"
                                 : "you have no such order",
                   "xeno order list");
        return;
    }
    fill(job);
    if (job->order.has_state) {
        find_papers(job, now);
    } else {
        job_answer(job, &job->bill->body);
    }
}

void corp_make_bill(struct corp *corp, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    struct corp_job *job = job_begin(corp, now, ask, question, &form);
    struct corp_arg args[] = {{.name = "serial"}, {.name = "after"}};
    const char *serial = args[0].value, *after = args[1].value;

    if (!job) return;
    job->bill = calloc(1, sizeof *job->bill);
    if (!job->bill) {
        job_refuse(job, XN_ENOMEM, xn_strerror(XN_ENOMEM), "again later");
        return;
    }
    xn__bill__init(&job->bill->body);
    if (corp_args(question->query, args, 2) ||
        xn_id_unhex(serial, strlen(serial), &job->serial) ||
        (after[0] && xn_number_parse(after, INT64_MAX, &job->bill->after))) {
        job_refuse(job, XN_EINVAL, "which order?",
                   "/v1/bill?serial=SERIAL, and &after=SEQUENCE");
        return;
    }
    job_read_order(job, now, found);
}
