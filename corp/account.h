/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the broker's changes of accounts have in common. */
#ifndef CORP_ACCOUNT_H
#define CORP_ACCOUNT_H

#include "corp/job.h"

struct account_change {
    enum ledger_what what; /* PAY_IN, TAKE_BACK, PAY_OUT, CREDIT */
    ProtobufCBinaryData member, request;
    const char *currency, *note;
    int64_t micro;
};

/* As the job's body says. */
struct account_change account_wanted(const struct corp_job *job);
/* The member's account is job->opens[0], the world's job->opens[1]. */
void account_op_id(const struct corp_job *job, enum ledger_what what,
                   xn_id *id_out);
/* Is it more than may come at once?  Then the job was refused, and is gone. */
bool account_too_much(struct corp_job *job);
/* Answers with the member's account. */
void account_changed(struct corp_job *job, const struct xn_now *now);

/* payin.c: PAY_IN and TAKE_BACK from here on. */
void account_pay_in(struct corp_job *job, const struct xn_now *now);

#endif
