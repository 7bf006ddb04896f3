/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From judged to durable: what gathers becomes one TXN, which either happens
 * whole or not at all. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/err.h"
#include "lib/log.h"

#define TXN_US (30 * 1000000ULL)

bool ledger_batch_full(const struct ledger_batch *batch)
{
    return batch->n >= LEDGER_BATCH_MAX || batch->bytes >= LEDGER_BATCH_BYTES;
}

/* Careful ones go together, in one TXN, as they went when it failed.  Looks in
 * between need no TXN; a RECALL has to see what gathers become durable. */
bool ledger_holds_back(const struct ledger *ledger)
{
    const struct ledger_entry *entry = ledger->queue;

    while (entry && entry->kind == ENTRY_LOOK)
        entry = entry->next;
    return entry && entry->careful && !ledger_batch_full(&ledger->gathering);
}

/* Its entries are elsewhere by now. */
void ledger_batch_clear(struct ledger *ledger, struct ledger_batch *batch)
{
    struct ledger_pending *p, *tmp;
    size_t i;

    for (i = 0; i < batch->n_touched; i++)
        ledger_row_unpin(ledger, batch->touched[i]);
    free(batch->touched);
    HASH_ITER(hh, batch->pending, p, tmp)
    {
        HASH_DEL(batch->pending, p);
        ledger_pending_free(p);
    }
    memset(batch, 0, sizeof *batch);
}

static void void_rows(struct ledger_batch *batch)
{
    size_t i;

    for (i = 0; i < batch->n_touched; i++) {
        batch->touched[i]->known = false;
        batch->touched[i]->touched = false;
        memset(&batch->touched[i]->now, 0, sizeof batch->touched[i]->now);
    }
}

void ledger_void(struct ledger *ledger)
{
    void_rows(&ledger->gathering);
    void_rows(&ledger->flying);
}

void ledger_batch_refuse(struct ledger *ledger, struct ledger_batch *batch,
                         int rc, const char *because)
{
    struct ledger_entry *entry, *tmp;

    DL_FOREACH_SAFE(batch->entries, entry, tmp)
    {
        DL_DELETE(batch->entries, entry);
        ledger_refuse(entry, rc, "%s", because);
        ledger_finish(ledger, entry);
    }
    ledger_batch_clear(ledger, batch);
}

/* ---- the TXN ---- */

static void on_txn(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out);

/* A TXN is sent: what careful ones have seen may not be so behind it. */
static void look_again(struct ledger *ledger)
{
    struct ledger_entry *entry;

    DL_FOREACH(ledger->queue, entry)
    {
        if (entry->careful)
            ledger_entry_unsee(ledger, entry);
        else if (entry->kind == ENTRY_OP)
            break;
    }
}

static void finish_all(struct ledger *ledger, struct ledger_batch *batch)
{
    struct ledger_entry *entry, *tmp;

    DL_FOREACH_SAFE(batch->entries, entry, tmp)
    {
        DL_DELETE(batch->entries, entry);
        ledger_finish(ledger, entry);
    }
    ledger_batch_clear(ledger, batch);
}

void ledger_send(struct ledger *ledger, const struct xn_now *now,
                 struct xn_out *out)
{
    struct xn_msg *txn = NULL;
    int rc;

    if (ledger->has_landed && !ledger_in_doubt(&ledger->flying)) {
        ledger->has_landed = false;
        finish_all(ledger, &ledger->flying);
    }
    if (ledger->state != LEDGER_READY || ledger->flying.n) return;
    if (!ledger->gathering.n) return;
    if (!ledger->gathering.n_effects) {
        if (!ledger_in_doubt(&ledger->gathering))
            finish_all(ledger, &ledger->gathering);
        return;
    }
    if (ledger_holds_back(ledger)) return;
    rc = ledger_draft_txn(ledger, now, &txn);
    if (!rc) {
        ledger->ticket = xn_ticket(ledger->tickets, now->mono_us + TXN_US,
                                   on_txn, ledger, NULL, out);
        rc = ledger->ticket ? 0 : XN_ENOMEM;
    }
    if (rc) {
        xn_msg_free(txn);
        void_rows(&ledger->gathering);
        ledger_batch_refuse(ledger, &ledger->gathering, rc, xn_strerror(rc));
        return;
    }
    xn_out_add(out, XN_ACT_TXN, ledger->ticket, XN_PEER_NONE, txn);
    ledger->flying = ledger->gathering;
    memset(&ledger->gathering, 0, sizeof ledger->gathering);
    look_again(ledger);
}

/* ---- what became of it ---- */

static void landed(struct ledger *ledger)
{
    free(ledger->head_bytes);
    ledger->head_bytes = ledger->next_bytes;
    ledger->head_len = ledger->next_len;
    ledger->next_bytes = NULL;
    ledger->head = ledger->next;
    ledger->has_landed = true;
}

/* To the front of the queue, as it stood there. */
static void requeue(struct ledger *ledger, struct ledger_batch *batch,
                    bool careful)
{
    struct ledger_entry *entry;

    while (batch->entries) {
        entry = batch->entries->prev; /* the last */
        DL_DELETE(batch->entries, entry);
        ledger_entry_unsee(ledger, entry);
        entry->effect = false;
        if (careful) {
            entry->careful = entry->kind == ENTRY_OP;
            entry->tries++;
        }
        DL_PREPEND(ledger->queue, entry);
    }
    ledger_batch_clear(ledger, batch);
}

/* Another broker wrote: whatever is in memory may be old. */
static void forget_rows(struct ledger *ledger)
{
    struct ledger_row *row, *tmp;

    HASH_ITER(hh, ledger->rows, row, tmp)
    {
        if (row->pins) {
            row->known = false;
            continue;
        }
        DL_DELETE(ledger->idle, row);
        ledger->n_idle--;
        HASH_DEL(ledger->rows, row);
        free(row);
    }
}

static void not_done(struct ledger *ledger)
{
    ledger_void(ledger);
    if (ledger->failed == XN_ECONFLICT) {
        requeue(ledger, &ledger->gathering, false);
        requeue(ledger, &ledger->flying, true);
        return;
    }
    ledger_batch_refuse(ledger, &ledger->flying, ledger->failed,
                        xn_strerror(ledger->failed));
}

static void give_up(struct ledger *ledger)
{
    struct ledger_entry *entry, *tmp;

    ledger_void(ledger);
    ledger_batch_refuse(ledger, &ledger->flying, XN_EUNKNOWN,
                        "the store failed and does not say what became of it");
    ledger_batch_refuse(ledger, &ledger->gathering, XN_EIO,
                        "the store cannot be reached");
    DL_FOREACH_SAFE(ledger->queue, entry, tmp)
    {
        DL_DELETE(ledger->queue, entry);
        ledger_refuse(entry, XN_EIO, "the store cannot be reached");
        ledger_finish(ledger, entry);
    }
    ledger->given_up = true;
}

static void ask(struct ledger *ledger, const struct xn_now *now,
                struct xn_out *out);

static void on_ask_again(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    ask(owner, now, out);
}

static bool same(const struct ledger_head *a, const struct ledger_head *b)
{
    return a->seq == b->seq && xn_id_eq(&a->hash, &b->hash);
}

/* The head tells whether the TXN happened. */
static void learn(struct ledger *ledger, const struct ledger_head *head,
                  ProtobufCBinaryData stored, struct xn_out *out)
{
    if (same(head, &ledger->head)) {
        not_done(ledger);
    } else if (same(head, &ledger->next)) {
        landed(ledger);
    } else if (ledger->failed == XN_ECONFLICT && head->seq > ledger->head.seq) {
        not_done(ledger);
        forget_rows(ledger);
        ledger->head = *head;
        if (ledger_keep_head(ledger, stored)) out->rc = XN_ENOMEM;
    } else {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal's head was record %llu and is %llu: it was "
                     "set back, or another wrote it",
                     (unsigned long long)ledger->head.seq,
                     (unsigned long long)head->seq);
        return;
    }
    ledger->state = LEDGER_READY;
    ledger->given_up = false;
    ledger->failures = 0;
}

static void on_head(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;
    ProtobufCBinaryData stored;
    struct ledger_head head;

    ledger->ticket = 0;
    if (!rc) rc = ledger_take_head(ledger, msg, &head, &stored);
    if (rc == XN_EINTEGRITY || rc == XN_ENOENT) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal's head cannot be read any more");
    } else if (rc) {
        xn_out_log(out, XN_LOG_ERROR, "ledger: the store cannot be read: %s",
                   xn_strerror(rc));
        if (!ledger->given_up) give_up(ledger);
        ledger_pause(ledger, now, on_ask_again, out);
    } else {
        learn(ledger, &head, stored, out);
    }
    ledger_pump(ledger, now, out);
}

static void ask(struct ledger *ledger, const struct xn_now *now,
                struct xn_out *out)
{
    ledger_ask_head(ledger, now, on_head, out);
}

static void on_txn(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;

    ledger->ticket = 0;
    if (!rc) {
        landed(ledger);
        ledger_pump(ledger, now, out);
        return;
    }
    ledger->state = LEDGER_ASKING;
    ledger->failed = rc;
    if (rc != XN_ECONFLICT) {
        xn_out_log(out, XN_LOG_ERROR, "ledger: cannot write: %s",
                   xn_strerror(rc));
        void_rows(&ledger->gathering);
        ledger_batch_refuse(ledger, &ledger->gathering, rc, xn_strerror(rc));
    }
    ask(ledger, now, out);
    ledger_pump(ledger, now, out);
}
