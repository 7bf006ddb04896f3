/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What has gathered, as one TXN: the journal's record, answers, accounts,
 * callers' records, the new head, and what must not have changed. */
#include <stdlib.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

static Xn__Guard *add_guard(struct ledger_draft *d, const uint8_t *key,
                            size_t len)
{
    Xn__Guard *guard = xn_arena_alloc(&d->arena, sizeof *guard);
    uint8_t *copy = xn_arena_alloc(&d->arena, len);

    if (!guard || !copy) return NULL;
    xn__guard__init(guard);
    memcpy(copy, key, len);
    guard->key = (ProtobufCBinaryData){len, copy};
    d->txn.guards[d->txn.n_guards++] = guard;
    return guard;
}

static Xn__Write *add_write(struct ledger_draft *d, const uint8_t *key,
                            size_t len)
{
    Xn__Write *write = xn_arena_alloc(&d->arena, sizeof *write);
    uint8_t *copy = xn_arena_alloc(&d->arena, len);

    if (!write || !copy) return NULL;
    xn__write__init(write);
    memcpy(copy, key, len);
    write->key = (ProtobufCBinaryData){len, copy};
    d->txn.writes[d->txn.n_writes++] = write;
    return write;
}

static int draft_new(struct ledger_draft *d, const struct ledger_batch *batch)
{
    size_t n = HASH_COUNT(batch->pending);

    xn_arena_init(&d->arena, 0);
    xn__txn__init(&d->txn);
    d->journal = NULL;
    d->guards_max = 1 + batch->n_effects + n;
    d->writes_max = 2 + batch->n_effects + batch->n_touched + n;
    d->txn.guards =
        xn_arena_alloc(&d->arena, d->guards_max * sizeof(Xn__Guard *));
    d->txn.writes =
        xn_arena_alloc(&d->arena, d->writes_max * sizeof(Xn__Write *));
    return d->txn.guards && d->txn.writes ? 0 : XN_ENOMEM;
}

static int draft_ops(struct ledger_draft *d, const struct ledger_entry *entries)
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

static int draft_accounts(struct ledger_draft *d,
                          const struct ledger_batch *batch, uint64_t seq)
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

static int draft_pending(struct ledger_draft *d,
                         const struct ledger_batch *batch)
{
    const struct ledger_pending *p;

    for (p = batch->pending; p; p = p->hh.next) {
        Xn__Write *write = add_write(d, p->key, p->key_len);

        if (!write) return XN_ENOMEM;
        write->drop = p->drop;
        if (!p->drop) write->value = (ProtobufCBinaryData){p->len, p->value};
        if (p->guard != LEDGER_ANY) {
            Xn__Guard *guard = add_guard(d, p->key, p->key_len);

            if (!guard) return XN_ENOMEM;
            guard->absent = p->guard == LEDGER_ABSENT;
            if (!guard->absent) {
                guard->value = (ProtobufCBinaryData){p->was_len, p->was};
            }
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

int ledger_draft_txn(struct ledger *ledger, const struct xn_now *now,
                     struct ledger_draft *d)
{
    uint8_t *journal = NULL, key[LEDGER_JOURNAL_KEY];
    uint64_t seq = ledger->head.seq + 1;
    Xn__Guard *guard;
    Xn__Write *write, *ahead;
    size_t len = 0;
    int rc;

    rc = draft_new(d, &ledger->gathering);
    if (rc) goto out;
    rc = ledger_batch_pack(seq, &ledger->head.hash, now->wall_us,
                           ledger->gathering.entries, &journal, &len);
    if (rc) goto out;
    move_head(ledger, journal, len);
    free(ledger->next_bytes);
    ledger->next_bytes = NULL;
    rc = ledger_head_pack(&ledger->next, &ledger->config.corp,
                          &ledger->next_bytes, &ledger->next_len);
    if (rc) goto out;
    rc = XN_ENOMEM;
    ledger_key_journal(seq, key);
    guard = add_guard(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    write = add_write(d, key, sizeof key);
    ahead = add_write(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    if (!guard || !write || !ahead) goto out;
    guard->value = (ProtobufCBinaryData){ledger->head_len, ledger->head_bytes};
    write->value = (ProtobufCBinaryData){len, journal};
    ahead->value = (ProtobufCBinaryData){ledger->next_len, ledger->next_bytes};
    d->journal = journal;
    journal = NULL;
    number(ledger->gathering.entries, seq, now->wall_us);
    rc = draft_ops(d, ledger->gathering.entries);
    if (!rc) rc = draft_accounts(d, &ledger->gathering, seq);
    if (!rc) rc = draft_pending(d, &ledger->gathering);
out:
    free(journal);
    return rc;
}

void ledger_draft_clear(struct ledger_draft *d)
{
    free(d->journal);
    xn_arena_clear(&d->arena);
}
