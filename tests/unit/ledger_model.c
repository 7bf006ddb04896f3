/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/ledger_model.h"

#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"

/* 0: account of no such number. */
static struct ledger_account *of(struct model *m, const xn_id *id)
{
    return &m->accounts[id->b[31] % MODEL_ACCOUNTS];
}

bool model_same(const struct ledger_op *a, const struct ledger_op *b)
{
    return a->what == b->what && a->n_opens == b->n_opens &&
           a->n_floors == b->n_floors && a->n_postings == b->n_postings &&
           a->n_closes == b->n_closes &&
           !memcmp(a->opens, b->opens, sizeof a->opens) &&
           !memcmp(a->floors, b->floors, sizeof a->floors) &&
           !memcmp(a->postings, b->postings, sizeof a->postings) &&
           !memcmp(a->closes, b->closes, sizeof a->closes);
}

const struct model_done *model_find(const struct model *m, const xn_id *id)
{
    size_t i;

    for (i = 0; i < m->n_done; i++) {
        if (!memcmp(&m->done[i].op.id, id, sizeof *id)) return &m->done[i];
    }
    return NULL;
}

/* Every currency sums to zero. */
static int sums(const struct ledger_op *op)
{
    size_t i, j;

    for (i = 0; i < op->n_postings; i++) {
        int64_t sum = 0;

        for (j = 0; j < op->n_postings; j++) {
            if (strcmp(op->postings[j].currency, op->postings[i].currency))
                continue;
            if (__builtin_add_overflow(sum, op->postings[j].micro, &sum))
                return XN_EOVERFLOW;
        }
        if (sum) return XN_EINVAL;
    }
    return 0;
}

static int guards(const struct model *m, const struct ledger_op *op)
{
    size_t i;

    for (i = 0; i < op->n_writes; i++) {
        const struct ledger_write *w = &op->writes[i];
        uint64_t is = m->records[w->key[1]], was = 0;

        if (w->guard == LEDGER_ABSENT && is) return XN_ECONFLICT;
        if (w->guard != LEDGER_EQUALS) continue;
        memcpy(&was, w->was, sizeof was);
        if (is != was) return XN_ECONFLICT;
    }
    return 0;
}

static int money(struct model *m, const struct ledger_op *op, int64_t *balances)
{
    size_t i, j;

    for (i = 0; i < op->n_opens; i++) {
        struct ledger_account *a = of(m, &op->opens[i].account);

        if (a->exists) return XN_ECONFLICT;
        a->exists = true;
        a->floor = op->opens[i].floor;
        memcpy(a->currency, op->opens[i].currency, LEDGER_CURRENCY);
    }
    for (i = 0; i < op->n_floors; i++) {
        struct ledger_account *a = of(m, &op->floors[i].account);

        if (!a->exists || a->closed) return XN_ENOENT;
        a->floor = op->floors[i].floor;
    }
    for (i = 0; i < op->n_postings; i++) {
        const struct ledger_posting *p = &op->postings[i];
        struct ledger_account *a = of(m, &p->account);

        if (!a->exists || a->closed) return XN_ENOENT;
        if (strcmp(a->currency, p->currency)) return XN_ECONFLICT;
        if (__builtin_add_overflow(a->balance, p->micro, &a->balance))
            return XN_EOVERFLOW;
        balances[i] = a->balance;
    }
    for (i = 0; i < op->n_postings; i++) {
        struct ledger_account *a = of(m, &op->postings[i].account);
        xn_i128 moved = 0;

        for (j = 0; j < op->n_postings; j++) {
            if (of(m, &op->postings[j].account) == a)
                moved += op->postings[j].micro;
        }
        if (moved < 0 && a->balance < a->floor) return XN_EFUNDS;
    }
    for (i = 0; i < op->n_closes; i++) {
        struct ledger_account *a = of(m, &op->closes[i]);

        if (!a->exists || a->closed) return XN_ENOENT;
        if (a->balance) return XN_ECONFLICT;
        a->closed = true;
    }
    return 0;
}

int model_do(struct model *m, const struct ledger_op *op,
             int64_t balances[LEDGER_POSTINGS_MAX])
{
    struct ledger_account before[MODEL_ACCOUNTS];
    const struct model_done *done;
    struct model_done *new;
    size_t i;
    int rc = sums(op);

    if (rc) return rc;
    done = model_find(m, &op->id);
    if (done) {
        memcpy(balances, done->balances, sizeof done->balances);
        return model_same(&done->op, op) ? 0 : XN_ECONFLICT;
    }
    memcpy(before, m->accounts, sizeof before);
    rc = money(m, op, balances);
    if (!rc) rc = guards(m, op);
    if (rc) {
        memcpy(m->accounts, before, sizeof before);
        return rc;
    }
    for (i = 0; i < op->n_writes; i++) {
        const struct ledger_write *w = &op->writes[i];

        m->records[w->key[1]] = 0;
        if (!w->drop) memcpy(&m->records[w->key[1]], w->value, w->len);
    }
    if (m->n_done < MODEL_OPS) {
        new = &m->done[m->n_done++];
        new->op = *op;
        memcpy(new->balances, balances, sizeof new->balances);
    }
    return 0;
}
