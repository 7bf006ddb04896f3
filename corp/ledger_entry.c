/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ledger keeps in memory: those who wait, accounts, late answers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

#define OP_OVERHEAD 512 /* bytes that an operation adds around its content */

/* ---- accounts ---- */

static void drop_row(struct ledger *ledger, struct ledger_row *row)
{
    HASH_DEL(ledger->rows, row);
    free(row);
}

static struct ledger_row *find_row(struct ledger *ledger, const xn_id *id)
{
    struct ledger_row *row;

    HASH_FIND(hh, ledger->rows, id, sizeof *id, row);
    if (row || !(row = calloc(1, sizeof *row))) return row;
    row->id = *id;
    HASH_ADD(hh, ledger->rows, id, sizeof row->id, row);
    return row;
}

int ledger_entry_pin(struct ledger *ledger, struct ledger_entry *entry,
                     const xn_id *id)
{
    struct ledger_row *row;
    size_t i;

    for (i = 0; i < entry->n_rows; i++) {
        if (xn_id_eq(&entry->rows[i]->id, id)) return 0;
    }
    row = find_row(ledger, id);
    if (!row) return XN_ENOMEM;
    if (row->rc && !row->reading) row->rc = 0; /* it shall be tried again */
    if (row->pins == 0 && row->known) {
        DL_DELETE(ledger->idle, row);
        ledger->n_idle--;
    }
    row->pins++;
    entry->rows[entry->n_rows++] = row;
    return 0;
}

void ledger_row_unpin(struct ledger *ledger, struct ledger_row *row)
{
    if (--row->pins) return;
    if (!row->known || !row->now.exists) {
        drop_row(ledger, row);
        return;
    }
    DL_APPEND(ledger->idle, row);
    ledger->n_idle++;
    while (ledger->n_idle > ledger->config.accounts_max) {
        row = ledger->idle;
        DL_DELETE(ledger->idle, row);
        ledger->n_idle--;
        drop_row(ledger, row);
    }
}

/* ---- entries ---- */

static void *copy_to(uint8_t **at, const void *data, size_t len)
{
    void *copy = *at;

    if (len) memcpy(copy, data, len);
    *at += len;
    return copy;
}

/* Take copies of what the operation points to. */
static int copy_op(struct ledger_entry *entry, const struct ledger_op *op)
{
    size_t room = op->note ? strlen(op->note) + 1 : 0, i;
    uint8_t *at;

    for (i = 0; i < op->n_writes; i++) {
        const struct ledger_write *w = &op->writes[i];

        room += w->key_len + w->len + w->was_len;
    }
    entry->op = *op;
    entry->cost = room + OP_OVERHEAD;
    at = entry->bytes = malloc(room + 1);
    if (!at) return XN_ENOMEM;
    if (op->note) entry->op.note = copy_to(&at, op->note, strlen(op->note) + 1);
    for (i = 0; i < op->n_writes; i++) {
        struct ledger_write *w = &entry->op.writes[i];

        w->key = copy_to(&at, w->key, w->key_len);
        w->value = copy_to(&at, w->value, w->len);
        w->was = copy_to(&at, w->was, w->was_len);
    }
    return 0;
}

static int pin_all(struct ledger *ledger, struct ledger_entry *entry)
{
    const struct ledger_op *op = &entry->op;
    size_t i;
    int rc = 0;

    for (i = 0; i < op->n_opens && !rc; i++)
        rc = ledger_entry_pin(ledger, entry, &op->opens[i].account);
    for (i = 0; i < op->n_floors && !rc; i++)
        rc = ledger_entry_pin(ledger, entry, &op->floors[i].account);
    for (i = 0; i < op->n_postings && !rc; i++)
        rc = ledger_entry_pin(ledger, entry, &op->postings[i].account);
    for (i = 0; i < op->n_closes && !rc; i++)
        rc = ledger_entry_pin(ledger, entry, &op->closes[i]);
    return rc;
}

int ledger_entry_new(struct ledger *ledger, enum ledger_entry_kind kind,
                     const struct ledger_op *op, struct ledger_entry **out)
{
    struct ledger_entry *entry = calloc(1, sizeof *entry);
    int rc = XN_ENOMEM;

    if (!entry) goto out;
    entry->kind = kind;
    entry->answer.because = entry->because;
    entry->answer.balances = entry->balances;
    entry->answer.accounts = entry->looks;
    ledger->n_entries++;
    rc = 0;
    if (kind == ENTRY_OP) {
        entry->id = op->id;
        rc = copy_op(entry, op);
        if (!rc) {
            rc = ledger_content(op, &entry->content, &entry->form,
                                &entry->form_len);
        }
        if (!rc) {
            entry->cost += entry->form_len;
            rc = pin_all(ledger, entry);
        }
    }
    if (rc) {
        ledger_entry_free(ledger, entry);
        goto out;
    }
    *out = entry;
out:
    return rc;
}

void ledger_entry_unsee(struct ledger *ledger, struct ledger_entry *entry)
{
    size_t i;

    if (entry->reading) xn_ticket_forget(ledger->tickets, entry->reading);
    entry->reading = 0;
    entry->doubtful = false;
    entry->step = 0;
    entry->look_rc = 0;
    free(entry->record);
    entry->record = NULL;
    for (i = 0; i < LEDGER_WRITES_MAX; i++) {
        free(entry->seen[i]);
        entry->seen[i] = NULL;
    }
}

static void let_go(struct ledger *ledger, struct ledger_entry *entry)
{
    size_t i;

    ledger_entry_unsee(ledger, entry);
    if (entry->hashed) HASH_DELETE(hh, ledger->by_id, entry);
    entry->hashed = false;
    for (i = 0; i < entry->n_rows; i++)
        ledger_row_unpin(ledger, entry->rows[i]);
    entry->n_rows = 0;
}

void ledger_entry_free(struct ledger *ledger, struct ledger_entry *entry)
{
    let_go(ledger, entry);
    ledger->n_entries--;
    free(entry->bytes);
    free(entry->form);
    free(entry);
}

void ledger_refuse(struct ledger_entry *entry, int rc, const char *fmt, ...)
{
    va_list ap;

    entry->effect = false;
    entry->answer.rc = rc;
    entry->answer.n_balances = 0;
    entry->answer.n_accounts = 0;
    va_start(ap, fmt);
    vsnprintf(entry->because, sizeof entry->because, fmt, ap);
    va_end(ap);
}

void ledger_finish(struct ledger *ledger, struct ledger_entry *entry)
{
    struct ledger_entry *twin;

    if (entry->effect) ledger_remember(ledger, entry);
    let_go(ledger, entry);
    DL_APPEND(ledger->finished, entry);
    while ((twin = entry->twins)) {
        LL_DELETE(entry->twins, twin);
        twin->answer = entry->answer;
        twin->answer.because = twin->because;
        twin->answer.balances = twin->balances;
        twin->answer.accounts = twin->looks;
        twin->answer.repeated = entry->answer.rc == 0;
        memcpy(twin->because, entry->because, sizeof twin->because);
        memcpy(twin->balances, entry->balances, sizeof twin->balances);
        DL_APPEND(ledger->finished, twin);
    }
}

/* ---- late answers ---- */

const struct ledger_recent *ledger_recent_find(struct ledger *ledger,
                                               const xn_id *id)
{
    struct ledger_recent *r;

    HASH_FIND(hh, ledger->recent, id, sizeof *id, r);
    return r;
}

/* Without memory for it, the store answers the next time. */
void ledger_remember(struct ledger *ledger, const struct ledger_entry *entry)
{
    struct ledger_recent *r;

    if (ledger->config.recent_max == 0) return;
    if (HASH_COUNT(ledger->recent) >= ledger->config.recent_max) {
        r = ledger->recent_oldest;
        DL_DELETE(ledger->recent_oldest, r);
        HASH_DEL(ledger->recent, r);
        free(r);
    }
    r = calloc(1, sizeof *r);
    if (!r) return;
    r->id = entry->id;
    r->content = entry->content;
    r->seq = entry->answer.seq;
    r->index = entry->answer.index;
    r->wall_us = entry->answer.wall_us;
    r->n_balances = (uint32_t)entry->op.n_postings;
    memcpy(r->balances, entry->balances, sizeof r->balances);
    DL_APPEND(ledger->recent_oldest, r);
    HASH_ADD(hh, ledger->recent, id, sizeof r->id, r);
}

void ledger_recent_answer(const struct ledger_recent *r,
                          struct ledger_entry *entry)
{
    if (entry->kind == ENTRY_OP && !xn_id_eq(&r->content, &entry->content)) {
        ledger_refuse(entry, XN_ECONFLICT,
                      "this id was used for another operation, in record %llu",
                      (unsigned long long)r->seq);
        return;
    }
    entry->effect = false;
    entry->answer.rc = 0;
    entry->answer.repeated = true;
    entry->answer.seq = r->seq;
    entry->answer.index = r->index;
    entry->answer.wall_us = r->wall_us;
    entry->answer.n_balances = r->n_balances;
    memcpy(entry->balances, r->balances, sizeof entry->balances);
    entry->because[0] = 0;
}
