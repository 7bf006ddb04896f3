/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ledger lets happen: functions of an operation and its accounts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/dec.h"
#include "lib/err.h"

static int no(char *because, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int no(char *because, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(because, LEDGER_BECAUSE, fmt, ap);
    va_end(ap);
    return rc;
}

/* ---- an operation by itself ---- */

static int form_counts(const struct ledger_op *op, char *because)
{
    if (op->n_opens > LEDGER_OPENS_MAX || op->n_floors > LEDGER_FLOORS_MAX ||
        op->n_postings > LEDGER_POSTINGS_MAX ||
        op->n_closes > LEDGER_CLOSES_MAX || op->n_writes > LEDGER_WRITES_MAX) {
        return no(because, XN_ETOOBIG, "more parts than an operation may have");
    }
    if (op->n_opens + op->n_floors + op->n_postings + op->n_closes +
            op->n_writes ==
        0) {
        return no(because, XN_EINVAL, "the operation does nothing");
    }
    if (op->note && strlen(op->note) > LEDGER_NOTE_MAX) {
        return no(because, XN_ETOOBIG, "the note is longer than %d bytes",
                  LEDGER_NOTE_MAX);
    }
    if (xn_id_is_zero(&op->id)) {
        return no(because, XN_EINVAL, "the operation has no id");
    }
    return 0;
}

static int form_writes(const struct ledger_op *op, char *because)
{
    size_t i, j;

    for (i = 0; i < op->n_writes; i++) {
        const struct ledger_write *w = &op->writes[i];

        if (!ledger_key_free(w->key, w->key_len)) {
            return no(because, XN_EINVAL, "record %zu: not a key for callers",
                      i);
        }
        if (w->len > LEDGER_VALUE_MAX || w->was_len > LEDGER_VALUE_MAX) {
            return no(because, XN_ETOOBIG, "record %zu: larger than %u bytes",
                      i, LEDGER_VALUE_MAX);
        }
        for (j = 0; j < i; j++) {
            if (op->writes[j].key_len == w->key_len &&
                memcmp(op->writes[j].key, w->key, w->key_len) == 0) {
                return no(because, XN_EINVAL, "record %zu is written twice", i);
            }
        }
    }
    return 0;
}

/* Do the postings in the currency of posting i sum to zero? */
static int form_sum(const struct ledger_op *op, size_t i, char *because)
{
    const char *currency = op->postings[i].currency;
    int64_t sum = 0;

    for (; i < op->n_postings; i++) {
        if (strcmp(op->postings[i].currency, currency) != 0) continue;
        if (__builtin_add_overflow(sum, op->postings[i].micro, &sum)) {
            return no(because, XN_EOVERFLOW, "the postings in %s overflow",
                      currency);
        }
    }
    if (sum == 0) return 0;
    return no(because, XN_EINVAL, "the postings in %s do not sum to zero",
              currency);
}

static int form_postings(const struct ledger_op *op, char *because)
{
    size_t i, j;
    int rc = 0;

    for (i = 0; i < op->n_postings; i++) {
        if (!ledger_currency_ok(op->postings[i].currency)) {
            return no(because, XN_EINVAL, "posting %zu: not a currency", i);
        }
        if (op->postings[i].micro == 0 || op->postings[i].micro == INT64_MIN) {
            return no(because, XN_EINVAL, "posting %zu: not an amount", i);
        }
    }
    for (i = 0; i < op->n_postings && !rc; i++) {
        for (j = 0; j < i; j++) {
            if (strcmp(op->postings[j].currency, op->postings[i].currency) == 0)
                break;
        }
        if (j == i) rc = form_sum(op, i, because);
    }
    return rc;
}

int ledger_rules_form(const struct ledger_op *op, char *because)
{
    size_t i;
    int rc = form_counts(op, because);

    for (i = 0; i < op->n_opens && !rc; i++) {
        if (!ledger_currency_ok(op->opens[i].currency)) {
            rc = no(because, XN_EINVAL, "account %zu: not a currency", i);
        } else if (op->opens[i].kind < LEDGER_CLIENT ||
                   op->opens[i].kind > LEDGER_FENCE) {
            rc = no(because, XN_EINVAL, "account %zu: not a kind", i);
        }
    }
    if (!rc) rc = form_postings(op, because);
    if (!rc) rc = form_writes(op, because);
    return rc;
}

/* ---- an operation on its accounts ---- */

struct desk {
    const xn_id *ids;
    size_t n;
    struct ledger_account *after;
    char *because;
};

static struct ledger_account *account_of(const struct desk *desk,
                                         const xn_id *id)
{
    size_t i;

    for (i = 0; i < desk->n; i++) {
        if (xn_id_eq(&desk->ids[i], id)) return &desk->after[i];
    }
    return NULL; /* not reached: the ids are all that the operation names */
}

static int refuse(const struct desk *desk, int rc, const xn_id *id,
                  const char *text)
{
    return no(desk->because, rc, "account %02x%02x%02x%02x: %s", id->b[0],
              id->b[1], id->b[2], id->b[3], text);
}

/* The account, where it is open; *rc_out otherwise. */
static struct ledger_account *open_account(const struct desk *desk,
                                           const xn_id *id, int *rc_out)
{
    struct ledger_account *account = account_of(desk, id);

    if (!account || !account->exists) {
        *rc_out = refuse(desk, XN_ENOENT, id, "there is none");
        return NULL;
    }
    if (account->closed) {
        *rc_out = refuse(desk, XN_ENOENT, id, "it is closed");
        return NULL;
    }
    *rc_out = 0;
    return account;
}

static int do_open(const struct desk *desk, const struct ledger_open *open)
{
    struct ledger_account *account = account_of(desk, &open->account);

    if (!account || account->exists) {
        return refuse(desk, XN_ECONFLICT, &open->account, "it is there");
    }
    account->exists = true;
    account->kind = open->kind;
    memcpy(account->currency, open->currency, LEDGER_CURRENCY);
    account->floor = open->floor;
    return 0;
}

static int do_posting(const struct desk *desk, const struct ledger_posting *p,
                      int64_t *balance_out)
{
    int rc;
    struct ledger_account *account = open_account(desk, &p->account, &rc);

    if (!account) return rc;
    if (strcmp(account->currency, p->currency) != 0) {
        return no(desk->because, XN_ECONFLICT,
                  "account %02x%02x%02x%02x: it is in %s, not in %s",
                  p->account.b[0], p->account.b[1], p->account.b[2],
                  p->account.b[3], account->currency, p->currency);
    }
    if (__builtin_add_overflow(account->balance, p->micro, &account->balance)) {
        return refuse(desk, XN_EOVERFLOW, &p->account,
                      "its balance would be out of range");
    }
    *balance_out = account->balance;
    return 0;
}

static void money_text(xn_i128 micro, char out[XN_DEC_TEXT_MAX])
{
    xn_dec amount = {micro * (XN_DEC_ONE / 1000000)};

    xn_dec_format(amount, out);
}

/* An account may stand below its floor (credit was withdrawn): then nothing
 * more goes out of it.  So only those are looked at that lose. */
static int check_floor(const struct desk *desk, const struct ledger_op *op,
                       const xn_id *id)
{
    char held[XN_DEC_TEXT_MAX], least[XN_DEC_TEXT_MAX], out[XN_DEC_TEXT_MAX];
    const struct ledger_account *account = account_of(desk, id);
    xn_i128 moved = 0;
    size_t i;

    for (i = 0; i < op->n_postings; i++) {
        if (xn_id_eq(&op->postings[i].account, id)) {
            moved += op->postings[i].micro;
        }
    }
    if (moved >= 0 || account->balance >= account->floor) return 0;
    money_text(account->balance - moved, held);
    money_text(account->floor, least);
    money_text(-moved, out);
    return no(desk->because, XN_EFUNDS,
              "account %02x%02x%02x%02x holds %s %s, its least is %s: %s "
              "cannot leave it",
              id->b[0], id->b[1], id->b[2], id->b[3], held, account->currency,
              least, out);
}

static int do_close(const struct desk *desk, const xn_id *id)
{
    int rc;
    struct ledger_account *account = open_account(desk, id, &rc);

    if (!account) return rc;
    if (account->balance != 0) {
        return refuse(desk, XN_ECONFLICT, id, "it is not empty");
    }
    account->closed = true;
    return 0;
}

int ledger_rules_apply(const struct ledger_op *op, const xn_id *ids, size_t n,
                       struct ledger_account *after, int64_t *balances,
                       char *because)
{
    struct desk desk = {ids, n, after, because};
    struct ledger_account *account;
    size_t i;
    int rc = 0;

    for (i = 0; i < op->n_opens && !rc; i++)
        rc = do_open(&desk, &op->opens[i]);
    for (i = 0; i < op->n_floors && !rc; i++) {
        account = open_account(&desk, &op->floors[i].account, &rc);
        if (account) account->floor = op->floors[i].floor;
    }
    for (i = 0; i < op->n_postings && !rc; i++)
        rc = do_posting(&desk, &op->postings[i], &balances[i]);
    for (i = 0; i < op->n_postings && !rc; i++)
        rc = check_floor(&desk, op, &op->postings[i].account);
    for (i = 0; i < op->n_closes && !rc; i++)
        rc = do_close(&desk, &op->closes[i]);
    return rc;
}
