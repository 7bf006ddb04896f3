/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a ledger is, as simply as it can be said: arrays, one operation after
 * the other, no disk.  The real one is held against it. */
#ifndef TESTS_UNIT_LEDGER_MODEL_H
#define TESTS_UNIT_LEDGER_MODEL_H

#include "corp/ledger.h"

#define MODEL_ACCOUNTS 12
#define MODEL_RECORDS 4
#define MODEL_OPS 512

struct model_done {
    struct ledger_op op;
    uint64_t seq;
    uint32_t index;
    int64_t balances[LEDGER_POSTINGS_MAX];
};

struct model {
    struct ledger_account accounts[MODEL_ACCOUNTS]; /* of lk_id(0xaa, i) */
    uint64_t records[MODEL_RECORDS];                /* 0: absent */
    struct model_done done[MODEL_OPS];
    size_t n_done;
};

/* What the ledger must answer; a done operation changes the model.  Of the
 * caller's records, key is {'x', i}, value one uint64. */
int model_do(struct model *model, const struct ledger_op *op,
             int64_t balances[LEDGER_POSTINGS_MAX]);
/* The operation of that id, or NULL. */
const struct model_done *model_find(const struct model *model, const xn_id *id);
/* Do the two say the same (but for the writes)? */
bool model_same(const struct ledger_op *a, const struct ledger_op *b);

#endif
