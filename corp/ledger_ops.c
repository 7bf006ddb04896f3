/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operations that a XenoCorp needs, put together. */
#include <stdio.h>
#include <string.h>

#include "corp/ledger.h"

static void start(struct ledger_op *op, enum ledger_what what, const xn_id *id)
{
    memset(op, 0, sizeof *op);
    op->id = *id;
    op->what = what;
}

static void set_currency(char out[LEDGER_CURRENCY], const char *currency)
{
    snprintf(out, LEDGER_CURRENCY, "%s", currency);
}

void ledger_op_add(struct ledger_op *op, const xn_id *account, int64_t micro,
                   const char *currency)
{
    struct ledger_posting *p = &op->postings[op->n_postings++];

    p->account = *account;
    p->micro = micro;
    set_currency(p->currency, currency);
}

void ledger_op_open(struct ledger_op *op, const xn_id *id, const xn_id *account,
                    enum ledger_kind kind, const char *currency, int64_t floor)
{
    start(op, LEDGER_OPEN, id);
    op->n_opens = 1;
    op->opens[0].account = *account;
    op->opens[0].kind = kind;
    op->opens[0].floor = floor;
    set_currency(op->opens[0].currency, currency);
}

void ledger_op_move(struct ledger_op *op, enum ledger_what what,
                    const xn_id *id, const xn_id *from, const xn_id *to,
                    int64_t micro, const char *currency)
{
    start(op, what, id);
    ledger_op_add(op, from, -micro, currency);
    ledger_op_add(op, to, micro, currency);
}

void ledger_op_credit(struct ledger_op *op, const xn_id *id,
                      const xn_id *account, int64_t credit)
{
    start(op, LEDGER_CREDIT, id);
    op->n_floors = 1;
    op->floors[0].account = *account;
    op->floors[0].floor = -credit;
}

void ledger_op_issue(struct ledger_op *op, const xn_id *id, const xn_id *client,
                     const xn_id *fence, int64_t micro, const char *currency)
{
    ledger_op_open(op, id, fence, LEDGER_FENCE, currency, 0);
    op->what = LEDGER_ISSUE;
    ledger_op_add(op, client, -micro, currency);
    ledger_op_add(op, fence, micro, currency);
}

void ledger_op_charge(struct ledger_op *op, const xn_id *id, const xn_id *fence,
                      const xn_id *server, const xn_id *income, int64_t micro,
                      int64_t fee, const char *currency)
{
    start(op, LEDGER_CHARGE, id);
    ledger_op_add(op, fence, -micro, currency);
    if (micro != fee) ledger_op_add(op, server, micro - fee, currency);
    if (fee) ledger_op_add(op, income, fee, currency);
}

void ledger_op_release(struct ledger_op *op, enum ledger_what what,
                       const xn_id *id, const xn_id *fence, const xn_id *client,
                       int64_t rest, const char *currency)
{
    start(op, what, id);
    if (rest) {
        ledger_op_add(op, fence, -rest, currency);
        ledger_op_add(op, client, rest, currency);
    }
    op->closes[op->n_closes++] = *fence;
}

const char *ledger_what_name(unsigned what)
{
    static const char *const names[] = {
        [LEDGER_OPEN] = "open",       [LEDGER_PAY_IN] = "pay-in",
        [LEDGER_PAY_OUT] = "pay-out", [LEDGER_CREDIT] = "credit",
        [LEDGER_ISSUE] = "issue",     [LEDGER_CHARGE] = "charge",
        [LEDGER_RELEASE] = "release", [LEDGER_VOID] = "void",
        [LEDGER_OTHER] = "other",     [LEDGER_TAKE_BACK] = "take-back"};

    if (what >= sizeof names / sizeof names[0] || !names[what]) return "?";
    return names[what];
}

const char *ledger_kind_name(unsigned kind)
{
    static const char *const names[] = {[LEDGER_CLIENT] = "client",
                                        [LEDGER_SERVER] = "server",
                                        [LEDGER_INCOME] = "income",
                                        [LEDGER_EXTERNAL] = "external",
                                        [LEDGER_FENCE] = "fence"};

    if (kind >= sizeof names / sizeof names[0] || !names[kind]) return "?";
    return names[kind];
}
