/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ledger over a store, driven by hand: the test says when each action is
 * carried out, and so what is under way when something fails. */
#ifndef TESTS_UNIT_LEDGER_KIT_H
#define TESTS_UNIT_LEDGER_KIT_H

#include "corp/ledger.h"
#include "net/backing.h"

struct ledger_kit {
    const struct net_backing_ops *ops;
    void *backing;
    struct ledger_config config;
    struct ledger *ledger; /* NULL: stopped */
    struct xn_tickets *tickets;
    struct xn_out out;
    struct xn_now now;
    struct xn_action *actions; /* with references, oldest first */
    size_t n_actions, cap;
    char log[300]; /* last LOG */
};

/* Config at its defaults, corp 0x11..; nothing started. */
void lk_init(struct ledger_kit *kit, const struct net_backing_ops *ops,
             void *backing);
void lk_genesis(struct ledger_kit *kit);
/* A ledger, and its first READ is in the list. */
void lk_start(struct ledger_kit *kit);
/* All of that from nothing, and what it asks for is carried out. */
void lk_begin(struct ledger_kit *kit, const struct net_backing_ops *ops,
              void *backing);
/* Open an account in GBP. */
void lk_open(struct ledger_kit *kit, const xn_id *op, const xn_id *account,
             enum ledger_kind kind, int64_t floor);
/* Forget ledger and actions as a crash does. */
void lk_stop(struct ledger_kit *kit);
void lk_clear(struct ledger_kit *kit);

/* What was emitted joins the list; the ledger's own check must hold. */
void lk_gather(struct ledger_kit *kit);
/* Carry out the oldest action and tell the ledger; false: there is none.  A
 * silent one tells nobody. */
bool lk_step(struct ledger_kit *kit, bool silent);
/* Until nothing is left to carry out. */
void lk_settle(struct ledger_kit *kit);
/* Let time pass: timers and deadlines end. */
void lk_pass(struct ledger_kit *kit, uint64_t us);

void lk_post(struct ledger_kit *kit, const struct ledger_op *op,
             ledger_answer *fn, void *owner, void *ctx);
/* Post and settle; *result_out has no pointers but because. */
struct lk_result {
    bool answered;
    struct ledger_result r;
    int64_t balances[LEDGER_POSTINGS_MAX];
    struct ledger_account accounts[LEDGER_POSTINGS_MAX];
    char because[256];
};
/* For use as `fn` with a struct lk_result as ctx. */
void lk_keep(void *owner, void *ctx, const struct xn_now *now,
             const struct ledger_result *result, struct xn_out *out);
int lk_do(struct ledger_kit *kit, const struct ledger_op *op,
          struct lk_result *result_out);
/* The account as it is. */
struct ledger_account lk_look(struct ledger_kit *kit, const xn_id *id);
int lk_recall(struct ledger_kit *kit, const xn_id *id,
              struct lk_result *result_out);

/* Audit the whole store as it is; expect_seq 0: no receipt.  The reason of a
 * fault is left in kit->log. */
int lk_audit(struct ledger_kit *kit, uint64_t expect_seq,
             const xn_id *expect_hash);

/* An id that is easy to tell. */
xn_id lk_id(unsigned kind, uint64_t n);

#endif
