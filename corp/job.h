/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A question about money under way.  It goes from step to step: each asks for
 * one thing (documents verified, a record read, a document signed, an operation
 * of the ledger) and names the step that follows.  What fails is refused here.
 *
 * Nothing is locked between a READ and the operation that rests on it: the
 * operation carries guards, and who finds them broken begins again from his
 * READ, a few times.  So it does not matter how many questions about one order
 * are under way, nor who else writes into the store.
 *
 * A job whose asker went away is finished all the same, and answers nobody. */
#ifndef CORP_JOB_H
#define CORP_JOB_H

#include "corp/core.h"
#include "corp/order_file.h"

#define JOBS_MAX 512 /* that somebody asked for */
#define JOBS_OWN_MAX 1
#define JOBS_MEMBER_MAX 128 /* of one member */
#define JOB_PAPERS (ORDER_NARROWINGS_MAX + 2)
#define JOB_ROUNDS_MAX 4
#define JOB_ENVELOPE_MAX 8192 /* of a document of money with its certificate */

struct corp_job;
struct corp_bill;
typedef void job_step(struct corp_job *job, const struct xn_now *now);

struct job_paper { /* a signed document that came with the question */
    struct corp_job *job;
    struct money doc;
    ProtobufCBinaryData envelope; /* within the request */
    enum money_reason reason;
    struct money_refusal why;
};

struct corp_job {
    struct corp *corp;
    uint64_t ask; /* 0: nobody waits */
    const char *what;
    uint64_t came_us; /* wall */
    xn_id caller;
    bool is_staff;             /* the caller has the corp's own key */
    ProtobufCMessage *request; /* unpacked; NULL: has no body */

    job_step *next;  /* after what is under way */
    job_step *again; /* after a broken guard; NULL: refuse */
    unsigned rounds;

    struct job_paper papers[JOB_PAPERS];
    size_t n_papers, waiting;

    struct xn_msg *found;    /* Records of the last READ */
    struct order_file order; /* of the last job_read_order */
    struct order_keep keep;
    xn_id serial, session;

    struct money made; /* being signed */
    struct xn_msg *signed_msg;

    struct ledger_open opens[3]; /* accounts that must be there */
    size_t n_opens, opened;
    struct ledger_result posted; /* without its pointers */
    int64_t balance;             /* behind its last posting */

    struct claim_state claims; /* after the claim */
    struct order_state state;  /* to be written */
    size_t at;                 /* place in a list */
    Xn__Orders list;
    struct corp_bill *bill; /* bill.c */
    uint64_t good_until_us; /* revoke.c: the last end of its certificates */

    struct corp_job *prev, *next_job;
};

/* Who may ask: a role, certified by this corp; ANYBODY: the corp's own key. */
struct job_form {
    const char *what; /* "cannot issue the order" */
    Xn__Role role;
    const ProtobufCMessageDescriptor *body; /* NULL: none */
    size_t body_max;
    bool staff_too;
    bool servers_too;
    bool begins; /* something new: not for whose key was revoked */
};

/* NULL: it was refused. */
struct corp_job *job_begin(struct corp *corp, const struct xn_now *now,
                           uint64_t ask, const Xn__Ask *question,
                           const struct job_form *form);
/* One that nobody asked for; however many are asked for, there is room for it. */
struct corp_job *job_own(struct corp *corp, const struct xn_now *now,
                         const char *what);
void job_free(struct corp_job *job);
void job_drop_all(struct corp *corp);
void job_cancel(struct corp *corp, uint64_t ask);

/* ---- ends ---- */

void job_answer(struct corp_job *job, const void *body);
void job_refuse(struct corp_job *job, int rc, const char *because,
                const char *try);
void job_refuse_why(struct corp_job *job, const struct money_refusal *why);

/* Take one of the caller's; where he has none left he is refused, told what
 * there is `of` in all and when to ask again, and the job is gone. */
bool job_take(struct corp_job *job, const struct xn_now *now,
              struct corp_rates *rates, const char *of);

/* ---- steps: job_ask.c ---- */

/* Add a document to be verified, as of that type. */
void job_paper(struct corp_job *job, enum money_type type,
               ProtobufCBinaryData envelope);
/* All of them; refused where one is not good now. */
void job_verify(struct corp_job *job, const struct xn_now *now, job_step *next);
/* Is none of them dated ahead?  Asked last, once all else is right: what was
 * altered is that first. */
enum money_reason job_dated(const struct corp_job *job, uint64_t now_us,
                            struct money_refusal *why);
/* Into `found`. */
void job_read(struct corp_job *job, const struct xn_now *now,
              const struct order_key *prefix, const struct order_key *from,
              uint32_t limit, job_step *next);
/* The value of exactly that key in `found`; NULL: not there. */
const ProtobufCBinaryData *job_value(const struct corp_job *job,
                                     const struct order_key *key);
/* The order job->serial into `order`; refused where a record is damaged. */
void job_read_order(struct corp_job *job, const struct xn_now *now,
                    job_step *next);
/* Write and sign `made`, by the corp, dated now. */
void job_sign(struct corp_job *job, const struct xn_now *now, job_step *next);
/* The envelope. */
ProtobufCBinaryData job_signed(const struct corp_job *job);
/* ---- steps of the ledger: job_post.c ---- */

/* Have the ledger do it.  Where a guard was broken, or the same was done before,
 * `again` follows instead of `next`; other errors are refused. */
void job_post(struct corp_job *job, const struct xn_now *now,
              const struct ledger_op *op, job_step *next, job_step *again);
/* The accounts in `opens` are there before `next`. */
void job_open(struct corp_job *job, const xn_id *account, enum ledger_kind kind,
              const char *currency, int64_t floor);
void job_opened(struct corp_job *job, const struct xn_now *now, job_step *next);

/* Add a record to an operation; the bytes are lent until it is posted. */
void op_write(struct ledger_op *op, const struct order_key *key,
              const uint8_t *value, size_t len, enum ledger_guard guard);
void op_drop(struct ledger_op *op, const struct order_key *key);

#endif
