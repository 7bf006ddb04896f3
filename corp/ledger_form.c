/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger's records as bytes, and their keys. */
#include <stdlib.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

/* ---- keys ---- */

void ledger_key_journal(uint64_t seq, uint8_t key[LEDGER_JOURNAL_KEY])
{
    int i;

    key[0] = 'J';
    for (i = 0; i < 8; i++)
        key[1 + i] = (uint8_t)(seq >> (56 - 8 * i));
}

void ledger_key_id(const xn_id *id, char letter, uint8_t key[LEDGER_ID_KEY])
{
    key[0] = 'L';
    memcpy(key + 1, id->b, XN_ID_SIZE);
    key[1 + XN_ID_SIZE] = (uint8_t)letter;
}

bool ledger_key_free(const uint8_t *key, size_t len)
{
    if (len == 0 || len > LEDGER_KEY_MAX) return false;
    if (key[0] == 'J' || key[0] == 'K') return false;
    if (key[0] != 'L') return true;
    return len >= LEDGER_ID_KEY && key[LEDGER_ID_KEY - 1] != 'a' &&
           key[LEDGER_ID_KEY - 1] != 'o';
}

bool ledger_currency_ok(const char *currency)
{
    int i;

    for (i = 0; i < LEDGER_CURRENCY - 1; i++) {
        if (currency[i] < 'A' || currency[i] > 'Z') return false;
    }
    return currency[i] == 0;
}

/* ---- head ---- */

int ledger_head_parse(const uint8_t *data, size_t len, struct ledger_head *head,
                      xn_id *corp_out)
{
    Xn__LedgerHead *stored = xn__ledger_head__unpack(NULL, len, data);
    int rc = XN_EINTEGRITY;

    if (!stored) return rc;
    if (stored->format == LEDGER_FORMAT && stored->seq > 0 &&
        stored->checked_seq > 0 && stored->checked_seq <= stored->seq &&
        !xn_id_from_bytes(&stored->corp, corp_out) &&
        !xn_id_from_bytes(&stored->hash, &head->hash) &&
        !xn_id_from_bytes(&stored->checked_hash, &head->checked_hash)) {
        head->seq = stored->seq;
        head->operations = stored->operations;
        head->checked_seq = stored->checked_seq;
        head->unchecked = stored->unchecked;
        rc = 0;
    }
    xn__ledger_head__free_unpacked(stored, NULL);
    return rc;
}

int ledger_head_pack(const struct ledger_head *head, const xn_id *corp,
                     uint8_t **bytes_out, size_t *len_out)
{
    Xn__LedgerHead stored = XN__LEDGER_HEAD__INIT;

    stored.format = LEDGER_FORMAT;
    stored.corp = xn_id_bytes(corp);
    stored.seq = head->seq;
    stored.hash = xn_id_bytes(&head->hash);
    stored.operations = head->operations;
    stored.checked_seq = head->checked_seq;
    stored.checked_hash = xn_id_bytes(&head->checked_hash);
    stored.unchecked = head->unchecked;
    *bytes_out = malloc(xn__ledger_head__get_packed_size(&stored));
    if (!*bytes_out) return XN_ENOMEM;
    *len_out = xn__ledger_head__pack(&stored, *bytes_out);
    return 0;
}

/* ---- accounts ---- */

int ledger_account_parse(const uint8_t *data, size_t len,
                         struct ledger_account *account_out)
{
    Xn__LedgerAccount *stored = xn__ledger_account__unpack(NULL, len, data);
    int rc = XN_EINTEGRITY;

    if (!stored) return rc;
    if (ledger_currency_ok(stored->currency) && stored->kind > 0) {
        memset(account_out, 0, sizeof *account_out);
        account_out->exists = true;
        account_out->closed = stored->closed;
        account_out->kind = (enum ledger_kind)stored->kind;
        memcpy(account_out->currency, stored->currency, LEDGER_CURRENCY);
        account_out->floor = stored->floor;
        account_out->balance = stored->balance;
        account_out->opened_seq = stored->opened_seq;
        account_out->changed_seq = stored->changed_seq;
        rc = 0;
    }
    xn__ledger_account__free_unpacked(stored, NULL);
    return rc;
}

size_t ledger_account_pack(const struct ledger_account *account, uint8_t *out)
{
    Xn__LedgerAccount stored = XN__LEDGER_ACCOUNT__INIT;

    stored.kind = account->kind;
    stored.currency = (char *)(uintptr_t)account->currency;
    stored.floor = account->floor;
    stored.balance = account->balance;
    stored.opened_seq = account->opened_seq;
    stored.changed_seq = account->changed_seq;
    stored.closed = account->closed;
    return xn__ledger_account__pack(&stored, out);
}

/* ---- what was answered ---- */

int ledger_done_parse(const uint8_t *data, size_t len, struct ledger_recent *r)
{
    Xn__LedgerDone *stored = xn__ledger_done__unpack(NULL, len, data);
    int rc = XN_EINTEGRITY;

    if (!stored) return rc;
    if (!xn_id_from_bytes(&stored->content, &r->content) &&
        stored->n_balances <= LEDGER_POSTINGS_MAX) {
        r->seq = stored->seq;
        r->index = stored->index;
        r->wall_us = stored->wall_us;
        r->n_balances = (uint32_t)stored->n_balances;
        if (stored->n_balances) {
            memcpy(r->balances, stored->balances,
                   stored->n_balances * sizeof r->balances[0]);
        }
        rc = 0;
    }
    xn__ledger_done__free_unpacked(stored, NULL);
    return rc;
}

size_t ledger_done_pack(const struct ledger_entry *entry, uint8_t *out)
{
    Xn__LedgerDone stored = XN__LEDGER_DONE__INIT;

    stored.content = xn_id_bytes(&entry->content);
    stored.seq = entry->answer.seq;
    stored.index = entry->answer.index;
    stored.wall_us = entry->answer.wall_us;
    stored.n_balances = entry->op.n_postings;
    stored.balances = (int64_t *)(uintptr_t)entry->balances;
    return xn__ledger_done__pack(&stored, out);
}

/* ---- operations ---- */

/* One operation in its form for the journal, without what it wrote; it points
 * into `op`. */
struct form {
    Xn__LedgerOp op;
    Xn__LedgerOpen opens[LEDGER_OPENS_MAX], *open_list[LEDGER_OPENS_MAX];
    Xn__LedgerFloor floors[LEDGER_FLOORS_MAX], *floor_list[LEDGER_FLOORS_MAX];
    Xn__LedgerPosting postings[LEDGER_POSTINGS_MAX];
    Xn__LedgerPosting *posting_list[LEDGER_POSTINGS_MAX];
    ProtobufCBinaryData closes[LEDGER_CLOSES_MAX];
};

static void form_accounts(const struct ledger_op *op, struct form *form)
{
    size_t i;

    for (i = 0; i < op->n_opens; i++) {
        xn__ledger_open__init(&form->opens[i]);
        form->opens[i].account = xn_id_bytes(&op->opens[i].account);
        form->opens[i].kind = op->opens[i].kind;
        form->opens[i].currency = (char *)(uintptr_t)op->opens[i].currency;
        form->opens[i].floor = op->opens[i].floor;
        form->open_list[i] = &form->opens[i];
    }
    for (i = 0; i < op->n_floors; i++) {
        xn__ledger_floor__init(&form->floors[i]);
        form->floors[i].account = xn_id_bytes(&op->floors[i].account);
        form->floors[i].floor = op->floors[i].floor;
        form->floor_list[i] = &form->floors[i];
    }
    for (i = 0; i < op->n_closes; i++)
        form->closes[i] = xn_id_bytes(&op->closes[i]);
}

static void form_op(const struct ledger_op *op, struct form *form)
{
    size_t i;

    xn__ledger_op__init(&form->op);
    form->op.id = xn_id_bytes(&op->id);
    form->op.what = op->what;
    form->op.note = (char *)(uintptr_t)(op->note ? op->note : "");
    form_accounts(op, form);
    for (i = 0; i < op->n_postings; i++) {
        const struct ledger_posting *p = &op->postings[i];

        xn__ledger_posting__init(&form->postings[i]);
        form->postings[i].account = xn_id_bytes(&p->account);
        form->postings[i].micro = p->micro;
        form->postings[i].currency = (char *)(uintptr_t)p->currency;
        form->posting_list[i] = &form->postings[i];
    }
    form->op.n_opens = op->n_opens;
    form->op.opens = form->open_list;
    form->op.n_floors = op->n_floors;
    form->op.floors = form->floor_list;
    form->op.n_postings = op->n_postings;
    form->op.postings = form->posting_list;
    form->op.n_closes = op->n_closes;
    form->op.closes = form->closes;
}

/* ---- and back ---- */

static int parse_currency(const char *text, char out[LEDGER_CURRENCY])
{
    if (!ledger_currency_ok(text)) return XN_EINTEGRITY;
    memcpy(out, text, LEDGER_CURRENCY);
    return 0;
}

static int parse_accounts(const Xn__LedgerOp *stored, struct ledger_op *op)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < stored->n_opens && !rc; i++) {
        const Xn__LedgerOpen *open = stored->opens[i];

        op->opens[i].kind = (enum ledger_kind)open->kind;
        op->opens[i].floor = open->floor;
        rc = xn_id_from_bytes(&open->account, &op->opens[i].account);
        if (!rc) rc = parse_currency(open->currency, op->opens[i].currency);
    }
    for (i = 0; i < stored->n_floors && !rc; i++) {
        op->floors[i].floor = stored->floors[i]->floor;
        rc = xn_id_from_bytes(&stored->floors[i]->account,
                              &op->floors[i].account);
    }
    for (i = 0; i < stored->n_postings && !rc; i++) {
        const Xn__LedgerPosting *p = stored->postings[i];

        op->postings[i].micro = p->micro;
        rc = xn_id_from_bytes(&p->account, &op->postings[i].account);
        if (!rc) rc = parse_currency(p->currency, op->postings[i].currency);
    }
    for (i = 0; i < stored->n_closes && !rc; i++)
        rc = xn_id_from_bytes(&stored->closes[i], &op->closes[i]);
    return rc;
}

int ledger_op_parse(const Xn__LedgerOp *stored, struct ledger_op *op)
{
    size_t i;

    memset(op, 0, sizeof *op);
    if (stored->n_opens > LEDGER_OPENS_MAX ||
        stored->n_floors > LEDGER_FLOORS_MAX ||
        stored->n_postings > LEDGER_POSTINGS_MAX ||
        stored->n_closes > LEDGER_CLOSES_MAX ||
        stored->n_wrote > LEDGER_WRITES_MAX ||
        xn_id_from_bytes(&stored->id, &op->id)) {
        return XN_EINTEGRITY;
    }
    op->what = (enum ledger_what)stored->what;
    op->note = stored->note;
    op->n_opens = stored->n_opens;
    op->n_floors = stored->n_floors;
    op->n_postings = stored->n_postings;
    op->n_closes = stored->n_closes;
    op->n_writes = stored->n_wrote;
    for (i = 0; i < stored->n_wrote; i++) {
        op->writes[i].key = stored->wrote[i]->key.data;
        op->writes[i].key_len = stored->wrote[i]->key.len;
    }
    return parse_accounts(stored, op) ? XN_EINTEGRITY : 0;
}

int ledger_content(const struct ledger_op *op, xn_id *content_out,
                   uint8_t **form_out, size_t *len_out)
{
    struct form form;

    form_op(op, &form);
    *len_out = xn__ledger_op__get_packed_size(&form.op);
    *form_out = malloc(*len_out + 1);
    if (!*form_out) return XN_ENOMEM;
    xn__ledger_op__pack(&form.op, *form_out);
    xn_id_hash(*form_out, *len_out, content_out);
    return 0;
}

/* ---- a batch ---- */

/* What an operation wrote, which is the last field of its form. */
struct wrote {
    Xn__LedgerOp op; /* with nothing but that */
    Xn__LedgerWrote wrote[LEDGER_WRITES_MAX], *list[LEDGER_WRITES_MAX];
    xn_id hashes[LEDGER_WRITES_MAX];
};

static void form_wrote(const struct ledger_op *op, struct wrote *form)
{
    size_t i;

    xn__ledger_op__init(&form->op);
    for (i = 0; i < op->n_writes; i++) {
        const struct ledger_write *w = &op->writes[i];

        xn__ledger_wrote__init(&form->wrote[i]);
        form->wrote[i].key.data = (uint8_t *)(uintptr_t)w->key;
        form->wrote[i].key.len = w->key_len;
        if (!w->drop) {
            xn_id_hash(w->value, w->len, &form->hashes[i]);
            form->wrote[i].hash = xn_id_bytes(&form->hashes[i]);
        }
        form->list[i] = &form->wrote[i];
    }
    form->op.n_wrote = op->n_writes;
    form->op.wrote = form->list;
}

/* A length as protobuf has it: seven bits a byte, the least first. */
static uint8_t *put_length(uint8_t *out, size_t n)
{
    for (; n >= 128; n >>= 7)
        *out++ = (uint8_t)(n | 128);
    *out++ = (uint8_t)n;
    return out;
}

enum { OPS_TAG = 4 << 3 | 2, OP_LEAD = 1 + 5 };

/* An operation as a field of the batch: its form is packed already. */
static uint8_t *put_op(uint8_t *out, const struct ledger_entry *entry,
                       struct wrote *wrote)
{
    size_t len = entry->form_len;

    if (entry->op.n_writes) {
        form_wrote(&entry->op, wrote);
        len += xn__ledger_op__get_packed_size(&wrote->op);
    }
    *out++ = OPS_TAG;
    out = put_length(out, len);
    memcpy(out, entry->form, entry->form_len);
    out += entry->form_len;
    if (entry->op.n_writes) out += xn__ledger_op__pack(&wrote->op, out);
    return out;
}

/* Room that the entry takes at most. */
static size_t op_room(const struct ledger_entry *entry)
{
    size_t room = OP_LEAD + entry->form_len, i;

    for (i = 0; i < entry->op.n_writes; i++)
        room += entry->op.writes[i].key_len + XN_ID_SIZE + 3 * OP_LEAD;
    return room;
}

int ledger_batch_pack(uint64_t seq, const xn_id *previous, uint64_t wall_us,
                      const struct ledger_entry *entries,
                      struct xn_arena *arena, ProtobufCBinaryData *record_out)
{
    Xn__LedgerBatch batch = XN__LEDGER_BATCH__INIT;
    const struct ledger_entry *entry;
    struct wrote wrote;
    size_t room;
    uint8_t *out;

    batch.seq = seq;
    batch.previous = xn_id_bytes(previous);
    batch.wall_us = wall_us;
    room = xn__ledger_batch__get_packed_size(&batch);
    for (entry = entries; entry; entry = entry->next)
        room += entry->effect ? op_room(entry) : 0;
    out = record_out->data = xn_arena_alloc(arena, room);
    if (!out) return XN_ENOMEM;
    out += xn__ledger_batch__pack(&batch, out);
    for (entry = entries; entry; entry = entry->next) {
        if (entry->effect) out = put_op(out, entry, &wrote);
    }
    record_out->len = (size_t)(out - record_out->data);
    return 0;
}

/* ---- the first record ---- */

int ledger_genesis(const xn_id *corp, uint64_t wall_us, struct xn_msg **txn_out)
{
    static const xn_id zero;
    Xn__LedgerBatch batch = XN__LEDGER_BATCH__INIT;
    Xn__Guard guard = XN__GUARD__INIT, *guards[] = {&guard};
    Xn__Write journal = XN__WRITE__INIT, ahead = XN__WRITE__INIT;
    Xn__Write *writes[] = {&journal, &ahead};
    Xn__Txn txn = XN__TXN__INIT;
    struct ledger_head head = {.seq = 1, .checked_seq = 1};
    uint8_t key[LEDGER_JOURNAL_KEY], *bytes = NULL, *head_bytes = NULL;
    size_t len, head_len = 0;
    int rc;

    batch.seq = 1;
    batch.previous = xn_id_bytes(&zero);
    batch.wall_us = wall_us;
    batch.corp = xn_id_bytes(corp);
    len = xn__ledger_batch__get_packed_size(&batch);
    rc = XN_ENOMEM;
    bytes = malloc(len);
    if (!bytes) goto out;
    xn__ledger_batch__pack(&batch, bytes);
    xn_id_hash(bytes, len, &head.hash);
    head.checked_hash = head.hash;
    head.unchecked = len;
    rc = ledger_head_pack(&head, corp, &head_bytes, &head_len);
    if (rc) goto out;
    ledger_key_journal(1, key);
    guard.key.data = ahead.key.data = (uint8_t *)(uintptr_t)LEDGER_KEY_HEAD;
    guard.key.len = ahead.key.len = 1;
    guard.absent = true;
    journal.key = (ProtobufCBinaryData){sizeof key, key};
    journal.value = (ProtobufCBinaryData){len, bytes};
    ahead.value = (ProtobufCBinaryData){head_len, head_bytes};
    txn.n_guards = 1;
    txn.guards = guards;
    txn.n_writes = 2;
    txn.writes = writes;
    rc = xn_msg_new(XN__KIND__TXN, &txn, txn_out);
out:
    free(bytes);
    free(head_bytes);
    return rc;
}
