/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What has gathered, as one TXN: the journal's record, answers, accounts,
 * callers' records, the new head, and what must not have changed. */
#include <stdlib.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

/* Becomes a message as it is: all of it lies in the arena. */
struct draft {
    struct xn_arena arena;
    Xn__Txn *txn;
};

/* An empty copy has data too: NULL is no memory. */
static ProtobufCBinaryData copy_of(struct draft *d, const void *data,
                                   size_t len)
{
    ProtobufCBinaryData copy = {len, xn_arena_alloc(&d->arena, len + 1)};

    if (copy.data && len) memcpy(copy.data, data, len);
    return copy;
}

static Xn__Guard *add_guard(struct draft *d, const uint8_t *key, size_t len)
{
    Xn__Guard *guard = xn_arena_alloc(&d->arena, sizeof *guard);

    if (!guard) return NULL;
    xn__guard__init(guard);
    guard->key = copy_of(d, key, len);
    if (!guard->key.data) return NULL;
    d->txn->guards[d->txn->n_guards++] = guard;
    return guard;
}

static Xn__Write *add_write(struct draft *d, const uint8_t *key, size_t len)
{
    Xn__Write *write = xn_arena_alloc(&d->arena, sizeof *write);

    if (!write) return NULL;
    xn__write__init(write);
    write->key = copy_of(d, key, len);
    if (!write->key.data) return NULL;
    d->txn->writes[d->txn->n_writes++] = write;
    return write;
}

static int draft_new(struct draft *d, const struct ledger_batch *batch)
{
    size_t n = HASH_COUNT(batch->pending);
    size_t guards = 1 + batch->n_effects + n;
    size_t writes = 2 + batch->n_effects + batch->n_touched + n;

    xn_arena_init(&d->arena, 0);
    d->txn = xn_arena_alloc(&d->arena, sizeof *d->txn);
    if (!d->txn) return XN_ENOMEM;
    xn__txn__init(d->txn);
    d->txn->guards = xn_arena_alloc(&d->arena, guards * sizeof(Xn__Guard *));
    d->txn->writes = xn_arena_alloc(&d->arena, writes * sizeof(Xn__Write *));
    return d->txn->guards && d->txn->writes ? 0 : XN_ENOMEM;
}

static int draft_ops(struct draft *d, const struct ledger_entry *entries)
{
    const struct ledger_entry *entry;
    uint8_t key[LEDGER_ID_KEY];

    for (entry = entries; entry; entry = entry->next) {
        Xn__Guard *guard;
        Xn__Write *write;
        uint8_t *value;

        if (!entry->effect) continue;
        ledger_key_id(&entry->id, 'o', key);
        guard = add_guard(d, key, sizeof key);
        write = add_write(d, key, sizeof key);
        value = xn_arena_alloc(&d->arena, LEDGER_DONE_ROOM);
        if (!guard || !write || !value) return XN_ENOMEM;
        guard->absent = true;
        write->value.data = value;
        write->value.len = ledger_done_pack(entry, value);
    }
    return 0;
}

static int draft_accounts(struct draft *d, const struct ledger_batch *batch,
                          uint64_t seq)
{
    uint8_t key[LEDGER_ID_KEY];
    size_t i;

    for (i = 0; i < batch->n_touched; i++) {
        struct ledger_row *row = batch->touched[i];
        Xn__Write *write;
        uint8_t *value;

        row->touched = false;
        if (!row->now.exists) continue; /* touched, then out of memory */
        if (!row->now.opened_seq) row->now.opened_seq = seq;
        row->now.changed_seq = seq;
        ledger_key_id(&row->id, 'a', key);
        write = add_write(d, key, sizeof key);
        value = xn_arena_alloc(&d->arena, LEDGER_ACCOUNT_ROOM);
        if (!write || !value) return XN_ENOMEM;
        write->value.data = value;
        write->value.len = ledger_account_pack(&row->now, value);
    }
    return 0;
}

static int draft_pending(struct draft *d, const struct ledger_batch *batch)
{
    const struct ledger_pending *p;

    for (p = batch->pending; p; p = p->hh.next) {
        Xn__Write *write = add_write(d, p->key, p->key_len);

        if (!write) return XN_ENOMEM;
        write->drop = p->drop;
        if (!p->drop) {
            write->value = copy_of(d, p->value, p->len);
            if (!write->value.data) return XN_ENOMEM;
        }
        if (p->guard != LEDGER_ANY) {
            Xn__Guard *guard = add_guard(d, p->key, p->key_len);

            if (!guard) return XN_ENOMEM;
            guard->absent = p->guard == LEDGER_ABSENT;
            if (guard->absent) continue;
            guard->value = copy_of(d, p->was, p->was_len);
            if (!guard->value.data) return XN_ENOMEM;
        }
    }
    return 0;
}

static void number(struct ledger_entry *entries, uint64_t seq, uint64_t wall_us)
{
    struct ledger_entry *entry;
    uint32_t index = 0;

    for (entry = entries; entry; entry = entry->next) {
        if (!entry->effect) continue;
        entry->answer.seq = seq;
        entry->answer.wall_us = wall_us;
        entry->answer.index = index++;
    }
}

/* What a start must verify is bounded: past it, a new stretch begins. */
static void move_head(struct ledger *ledger, const uint8_t *journal, size_t len)
{
    struct ledger_head *next = &ledger->next;

    *next = ledger->head;
    next->seq++;
    xn_id_hash(journal, len, &next->hash);
    next->operations += ledger->gathering.n_effects;
    next->unchecked += len;
    if (next->unchecked < LEDGER_CHECK_BYTES) return;
    next->checked_seq = next->seq;
    next->checked_hash = next->hash;
    next->unchecked = len;
}

/* The journal's record and the head, moved on and guarded. */
static int draft_head(struct draft *d, struct ledger *ledger,
                      const struct xn_now *now)
{
    uint64_t seq = ledger->head.seq + 1;
    uint8_t key[LEDGER_JOURNAL_KEY];
    ProtobufCBinaryData record;
    Xn__Guard *guard;
    Xn__Write *write, *ahead;
    int rc;

    rc = ledger_batch_pack(seq, &ledger->head.hash, now->wall_us,
                           ledger->gathering.entries, &d->arena, &record);
    if (rc) return rc;
    move_head(ledger, record.data, record.len);
    free(ledger->next_bytes);
    ledger->next_bytes = NULL;
    rc = ledger_head_pack(&ledger->next, &ledger->config.corp,
                          &ledger->next_bytes, &ledger->next_len);
    if (rc) return rc;
    ledger_key_journal(seq, key);
    guard = add_guard(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    write = add_write(d, key, sizeof key);
    ahead = add_write(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    if (!guard || !write || !ahead) return XN_ENOMEM;
    guard->value = copy_of(d, ledger->head_bytes, ledger->head_len);
    write->value = record;
    ahead->value = copy_of(d, ledger->next_bytes, ledger->next_len);
    return guard->value.data && ahead->value.data ? 0 : XN_ENOMEM;
}

int ledger_draft_txn(struct ledger *ledger, const struct xn_now *now,
                     struct xn_msg **txn_out)
{
    uint64_t seq = ledger->head.seq + 1;
    struct draft d;
    int rc = draft_new(&d, &ledger->gathering);

    if (!rc) rc = draft_head(&d, ledger, now);
    if (!rc) {
        number(ledger->gathering.entries, seq, now->wall_us);
        rc = draft_ops(&d, ledger->gathering.entries);
    }
    if (!rc) rc = draft_accounts(&d, &ledger->gathering, seq);
    if (!rc) rc = draft_pending(&d, &ledger->gathering);
    if (!rc) rc = xn_msg_adopt(XN__KIND__TXN, d.txn, &d.arena, txn_out);
    if (rc) xn_arena_clear(&d.arena);
    return rc;
}
