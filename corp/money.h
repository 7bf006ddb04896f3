/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp answers about money: one function per path, and what it does
 * by itself.  doc/ARCHITECTURE.md, "Orders and money", has the whole. */
#ifndef CORP_MONEY_H
#define CORP_MONEY_H

#include "corp/job.h"

/* account.c: POST /v1/accounts, /v1/takebacks, /v1/payouts and /v1/credits, the
 * broker's; GET /v1/accounts, the member's and the broker's; payin.c: GET
 * /v1/payins, the broker's */
void corp_pay_in(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
void corp_take_back(struct corp *corp, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);
void corp_pay_ins(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);
void corp_pay_out(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);
void corp_credit(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
void corp_account(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);

/* issue.c: POST and GET /v1/orders, POST /v1/void; the broker lists too */
void corp_issue(struct corp *corp, const struct xn_now *now, uint64_t ask,
                const Xn__Ask *question);
void corp_list(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question);
void corp_void(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question);

/* validate.c: POST /v1/validate */
void corp_validate(struct corp *corp, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);

/* charge.c: POST /v1/charge; stop.c: POST /v1/stop */
void corp_charge(struct corp *corp, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question);
void corp_stop(struct corp *corp, const struct xn_now *now, uint64_t ask,
               const Xn__Ask *question);

/* bill.c: GET /v1/bill, the holder's, the bound server's and the broker's */
void corp_make_bill(struct corp *corp, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);
struct corp_bill; /* one being gathered; NULL is fine */
void corp_bill_free(struct corp_bill *bill);

/* staff.c: GET /v1/members, GET /v1/refused, the broker's */
void corp_members(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);
void corp_refused(struct corp *corp, const struct xn_now *now, uint64_t ask,
                  const Xn__Ask *question);

/* release.c: what is left goes back when an order ends */

/* Look now and then which orders have ended. */
void corp_release_start(struct corp *corp, const struct xn_now *now);
/* Add to an operation that closes the order: the rest back to the account, the
 * fence closed, nothing more due.  key_out: two, lent as long as the op. */
void corp_op_release(const struct order_file *order, int64_t rest,
                     struct order_key key_out[2], struct ledger_op *op);

#endif
