/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From judged to durable: what gathers becomes one TXN, which either happens
 * whole or not at all. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/arena.h"
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

static void free_pending(struct ledger_pending *p)
{
    if (!p) return;
    free(p->key);
    free(p->value);
    free(p->was);
    free(p);
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
        free_pending(p);
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

/* ---- judging ---- */

static struct ledger_pending *find_pending(struct ledger_batch *batch,
                                           const struct ledger_write *w)
{
    struct ledger_pending *p;

    HASH_FIND(hh, batch->pending, w->key, w->key_len, p);
    return p;
}

static bool equals(const struct ledger_write *w, const uint8_t *value,
                   size_t len)
{
    return len == w->was_len && (len == 0 || !memcmp(value, w->was, len));
}

/* Does the guard hold, as far as it can be told without the store? */
static bool guard_holds(struct ledger *ledger, const struct ledger_entry *entry,
                        size_t i)
{
    const struct ledger_write *w = &entry->op.writes[i];
    const struct ledger_pending *p = find_pending(&ledger->gathering, w);

    if (w->guard == LEDGER_ANY) return true;
    if (!p) p = find_pending(&ledger->flying, w);
    if (p) {
        if (w->guard == LEDGER_ABSENT) return p->drop;
        return !p->drop && equals(w, p->value, p->len);
    }
    if (!entry->careful) return true;
    if (w->guard == LEDGER_ABSENT) return !entry->seen[i];
    return entry->seen[i] && equals(w, entry->seen[i], entry->seen_len[i]);
}

static int copy_bytes(uint8_t **out, const uint8_t *data, size_t len)
{
    *out = malloc(len + 1);
    if (!*out) return XN_ENOMEM;
    if (len) memcpy(*out, data, len);
    return 0;
}

static struct ledger_pending *new_pending(const struct ledger_write *w)
{
    struct ledger_pending *p = calloc(1, sizeof *p);

    if (!p) return NULL;
    if (copy_bytes(&p->key, w->key, w->key_len) ||
        copy_bytes(&p->value, w->value, w->len) ||
        copy_bytes(&p->was, w->was, w->was_len)) {
        free_pending(p);
        return NULL;
    }
    p->key_len = w->key_len;
    p->len = w->len;
    p->drop = w->drop;
    p->was_len = w->was_len;
    return p;
}

/* The TXN checks a guard only where nothing before it on the way to the store
 * writes that record. */
static void add_pending(struct ledger *ledger, const struct ledger_write *w,
                        struct ledger_pending *fresh)
{
    struct ledger_pending *p = find_pending(&ledger->gathering, w);
    uint8_t *value;

    if (!p) {
        if (!find_pending(&ledger->flying, w)) fresh->guard = w->guard;
        HASH_ADD_KEYPTR(hh, ledger->gathering.pending, fresh->key,
                        fresh->key_len, fresh);
        return;
    }
    value = p->value;
    p->value = fresh->value;
    p->len = fresh->len;
    p->drop = fresh->drop;
    fresh->value = value;
    free_pending(fresh);
}

static int touch(struct ledger_batch *batch, struct ledger_row *row)
{
    if (row->touched) return 0;
    if (batch->n_touched == batch->cap_touched) {
        size_t cap = batch->cap_touched ? 2 * batch->cap_touched : 16;
        struct ledger_row **rows =
            realloc(batch->touched, cap * sizeof(struct ledger_row *));

        if (!rows) return XN_ENOMEM;
        batch->touched = rows;
        batch->cap_touched = cap;
    }
    batch->touched[batch->n_touched++] = row;
    row->touched = true;
    row->pins++;
    return 0;
}

/* Room first, changes then: what runs out of memory has done nothing but to
 * touch rows, which are written once more for nothing. */
static int take_effect(struct ledger *ledger, struct ledger_entry *entry,
                       const struct ledger_account *after)
{
    struct ledger_pending *fresh[LEDGER_WRITES_MAX];
    size_t i, n = 0;
    int rc = 0;

    for (i = 0; i < entry->n_rows && !rc; i++)
        rc = touch(&ledger->gathering, entry->rows[i]);
    for (; n < entry->op.n_writes && !rc; n++) {
        fresh[n] = new_pending(&entry->op.writes[n]);
        if (!fresh[n]) rc = XN_ENOMEM;
    }
    if (rc) goto out;
    for (i = 0; i < n; i++)
        add_pending(ledger, &entry->op.writes[i], fresh[i]);
    n = 0;
    for (i = 0; i < entry->n_rows; i++)
        entry->rows[i]->now = after[i];
out:
    while (n > 0)
        free_pending(fresh[--n]);
    return rc;
}

static void judge_op(struct ledger *ledger, struct ledger_entry *entry)
{
    struct ledger_account after[LEDGER_NAMED_MAX];
    xn_id ids[LEDGER_NAMED_MAX];
    size_t i;
    int rc;

    for (i = 0; i < entry->n_rows; i++) {
        ids[i] = entry->rows[i]->id;
        after[i] = entry->rows[i]->now;
        if (!entry->rows[i]->rc) continue;
        ledger_refuse(entry, entry->rows[i]->rc,
                      "account %02x%02x%02x%02x cannot be read: %s",
                      ids[i].b[0], ids[i].b[1], ids[i].b[2], ids[i].b[3],
                      xn_strerror(entry->rows[i]->rc));
        return;
    }
    rc = ledger_rules_apply(&entry->op, ids, entry->n_rows, after,
                            entry->balances, entry->because);
    for (i = 0; i < entry->op.n_writes && !rc; i++) {
        if (guard_holds(ledger, entry, i)) continue;
        rc = XN_ECONFLICT;
        ledger_refuse(entry, rc, "record %zu is not what it was thought to be",
                      i);
    }
    if (!rc) {
        rc = take_effect(ledger, entry, after);
        if (rc) ledger_refuse(entry, rc, "%s", xn_strerror(rc));
    }
    entry->answer.rc = rc;
    entry->effect = rc == 0;
    entry->answer.n_balances = rc ? 0 : entry->op.n_postings;
}

static void judge_look(struct ledger_entry *entry)
{
    size_t i;

    entry->answer.rc = 0;
    for (i = 0; i < entry->n_rows; i++) {
        const struct ledger_row *row = entry->rows[i];

        entry->looks[i] = row->now;
        if (row->rc) {
            ledger_refuse(entry, row->rc, "an account cannot be read: %s",
                          xn_strerror(row->rc));
            return;
        }
    }
    entry->answer.n_accounts = entry->n_rows;
}

void ledger_judge(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, struct xn_out *out)
{
    entry->effect = false;
    entry->because[0] = 0;
    if (entry->tries >= LEDGER_TRIES_MAX) {
        ledger_refuse(entry, XN_ECONFLICT, "others write here all the time");
    } else if (entry->look_rc) {
        ledger_refuse(entry, entry->look_rc, "the store cannot be read: %s",
                      xn_strerror(entry->look_rc));
    } else if (entry->record) {
        ledger_recent_answer(entry->record, entry);
    } else if (entry->kind == ENTRY_RECALL) {
        ledger_refuse(entry, XN_ENOENT, "no operation has this id");
    } else if (entry->kind == ENTRY_LOOK) {
        judge_look(entry);
    } else {
        judge_op(ledger, entry);
        if (entry->answer.rc && !entry->careful) {
            ledger_doubt(ledger, now, entry, out);
        }
    }
    DL_APPEND(ledger->gathering.entries, entry);
    ledger->gathering.n++;
    if (entry->careful) ledger->gathering.careful = true;
    if (!entry->effect) return;
    ledger->gathering.n_effects++;
    ledger->gathering.bytes += entry->cost;
}

/* ---- the TXN ---- */

struct draft {
    struct xn_arena arena;
    Xn__Txn txn;
    size_t guards_max, writes_max;
};

static Xn__Guard *add_guard(struct draft *d, const uint8_t *key, size_t len)
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

static Xn__Write *add_write(struct draft *d, const uint8_t *key, size_t len)
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

static int draft_new(struct draft *d, const struct ledger_batch *batch)
{
    size_t n = HASH_COUNT(batch->pending);

    xn_arena_init(&d->arena, 0);
    xn__txn__init(&d->txn);
    d->guards_max = 1 + batch->n_effects + n;
    d->writes_max = 2 + batch->n_effects + batch->n_touched + n;
    d->txn.guards =
        xn_arena_alloc(&d->arena, d->guards_max * sizeof(Xn__Guard *));
    d->txn.writes =
        xn_arena_alloc(&d->arena, d->writes_max * sizeof(Xn__Write *));
    return d->txn.guards && d->txn.writes ? 0 : XN_ENOMEM;
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

static int draft_txn(struct ledger *ledger, const struct xn_now *now,
                     struct draft *d)
{
    uint8_t *journal = NULL, *bytes = NULL, key[LEDGER_JOURNAL_KEY];
    uint64_t seq = ledger->head.seq + 1;
    Xn__Guard *guard;
    Xn__Write *write, *ahead;
    size_t len = 0, head_len = 0;
    int rc;

    rc = draft_new(d, &ledger->gathering);
    if (rc) goto out;
    rc = ledger_batch_pack(seq, &ledger->head.hash, now->wall_us,
                           ledger->gathering.entries, &journal, &len);
    if (rc) goto out;
    move_head(ledger, journal, len);
    rc = ledger_head_pack(&ledger->next, &ledger->config.corp, &bytes,
                          &head_len);
    if (rc) goto out;
    rc = XN_ENOMEM;
    ledger_key_journal(seq, key);
    guard = add_guard(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    write = add_write(d, key, sizeof key);
    ahead = add_write(d, (const uint8_t *)LEDGER_KEY_HEAD, 1);
    if (!guard || !write || !ahead) goto out;
    guard->value = (ProtobufCBinaryData){ledger->head_len, ledger->head_bytes};
    write->value.data = xn_arena_alloc(&d->arena, len);
    ahead->value.data = xn_arena_alloc(&d->arena, head_len);
    if (!write->value.data || !ahead->value.data) goto out;
    memcpy(write->value.data, journal, len);
    memcpy(ahead->value.data, bytes, head_len);
    write->value.len = len;
    ahead->value.len = head_len;
    number(ledger->gathering.entries, seq, now->wall_us);
    rc = draft_ops(d, ledger->gathering.entries);
    if (!rc) rc = draft_accounts(d, &ledger->gathering, seq);
    if (!rc) rc = draft_pending(d, &ledger->gathering);
out:
    free(journal);
    free(bytes);
    return rc;
}

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
    struct draft d;
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
    rc = draft_txn(ledger, now, &d);
    if (!rc) {
        ledger->ticket = xn_ticket(ledger->tickets, now->mono_us + TXN_US,
                                   on_txn, ledger, NULL, out);
        rc = ledger->ticket ? 0 : XN_ENOMEM;
    }
    if (rc) {
        void_rows(&ledger->gathering);
        ledger_batch_refuse(ledger, &ledger->gathering, rc, xn_strerror(rc));
    } else {
        xn_out_emit(out, XN_ACT_TXN, ledger->ticket, XN_PEER_NONE,
                    XN__KIND__TXN, &d.txn);
        ledger->flying = ledger->gathering;
        memset(&ledger->gathering, 0, sizeof ledger->gathering);
        look_again(ledger);
    }
    xn_arena_clear(&d.arena);
}

/* ---- what became of it ---- */

static void landed(struct ledger *ledger, struct xn_out *out)
{
    ProtobufCBinaryData stored = {0, NULL};

    /* Without the guard nothing could follow. */
    if (ledger_head_pack(&ledger->next, &ledger->config.corp, &stored.data,
                         &stored.len) ||
        ledger_keep_head(ledger, stored)) {
        out->rc = XN_ENOMEM;
    }
    free(stored.data);
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
        landed(ledger, out);
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
        landed(ledger, out);
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
