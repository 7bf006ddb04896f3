/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must be read from the store before an entry can be judged. */
#include <stdlib.h>
#include <string.h>

#include "corp/ledger_in.h"
#include "lib/err.h"

#define READ_US (20 * 1000000ULL)

void ledger_read(struct ledger *ledger, uint64_t ticket, const uint8_t *key,
                 size_t key_len, struct xn_out *out)
{
    Xn__Read read = XN__READ__INIT;

    read.prefix.data = (uint8_t *)(uintptr_t)key;
    read.prefix.len = key_len;
    read.limit = 1;
    xn_out_emit(out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ, &read);
}

int ledger_found(const struct xn_msg *msg, const uint8_t *key, size_t key_len,
                 ProtobufCBinaryData *value_out)
{
    const Xn__Records *records;
    const Xn__Record *record;

    if (!msg || msg->kind != XN__KIND__RECORDS) return XN_EPROTO;
    records = XN_BODY(msg, Xn__Records);
    if (records->n_records == 0) return XN_ENOENT;
    /* The key itself is the first of all that begin with it. */
    record = records->records[0];
    if (record->key.len != key_len ||
        memcmp(record->key.data, key, key_len) != 0) {
        return XN_ENOENT;
    }
    *value_out = record->value;
    return 0;
}

/* ---- accounts ---- */

static void on_row(void *owner, void *ctx, const struct xn_now *now, int rc,
                   struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;
    struct ledger_row *row = ctx;
    uint8_t key[LEDGER_ID_KEY];
    ProtobufCBinaryData value;

    row->reading = 0;
    ledger_key_id(&row->id, 'a', key);
    if (!rc) rc = ledger_found(msg, key, sizeof key, &value);
    if (!rc) rc = ledger_account_parse(value.data, value.len, &row->now);
    if (rc == XN_ENOENT) {
        memset(&row->now, 0, sizeof row->now);
        rc = 0;
    }
    row->known = rc == 0;
    row->rc = rc;
    ledger_row_unpin(ledger, row);
    ledger_pump(ledger, now, out);
}

static void read_row(struct ledger *ledger, const struct xn_now *now,
                     struct ledger_row *row, struct xn_out *out)
{
    uint8_t key[LEDGER_ID_KEY];

    row->reading = xn_ticket(ledger->tickets, now->mono_us + READ_US, on_row,
                             ledger, row, out);
    if (!row->reading) return;
    row->pins++;
    ledger_key_id(&row->id, 'a', key);
    ledger_read(ledger, row->reading, key, sizeof key, out);
}

/* ---- careful ones ---- */

static void read_step(struct ledger *ledger, const struct xn_now *now,
                      struct ledger_entry *entry, struct xn_out *out);

static unsigned steps_of(const struct ledger_entry *entry)
{
    if (entry->doubtful) return 1;
    return 1 + (entry->kind == ENTRY_OP ? (unsigned)entry->op.n_writes : 0);
}

/* Step 0 is the id, the others are what is written. */
static const uint8_t *key_of(const struct ledger_entry *entry, unsigned step,
                             uint8_t id_key[LEDGER_ID_KEY], size_t *len_out)
{
    if (step) {
        *len_out = entry->op.writes[step - 1].key_len;
        return entry->op.writes[step - 1].key;
    }
    ledger_key_id(&entry->id, 'o', id_key);
    *len_out = LEDGER_ID_KEY;
    return id_key;
}

static int keep_step(struct ledger_entry *entry, ProtobufCBinaryData value)
{
    unsigned i;

    if (entry->step == 0) {
        entry->record = calloc(1, sizeof *entry->record);
        if (!entry->record) return XN_ENOMEM;
        return ledger_done_parse(value.data, value.len, entry->record);
    }
    i = entry->step - 1;
    entry->seen[i] = malloc(value.len + 1);
    if (!entry->seen[i]) return XN_ENOMEM;
    if (value.len) memcpy(entry->seen[i], value.data, value.len);
    entry->seen_len[i] = value.len;
    return 0;
}

static void settle_doubt(struct ledger_entry *entry)
{
    if (entry->look_rc) {
        ledger_refuse(entry, entry->look_rc, "the store cannot be read: %s",
                      xn_strerror(entry->look_rc));
    } else if (entry->record) {
        ledger_recent_answer(entry->record, entry);
    }
}

static void on_step(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;
    struct ledger_entry *entry = ctx;
    uint8_t id_key[LEDGER_ID_KEY];
    const uint8_t *key;
    ProtobufCBinaryData value;
    size_t len;

    entry->reading = 0;
    key = key_of(entry, entry->step, id_key, &len);
    if (!rc) rc = ledger_found(msg, key, len, &value);
    if (!rc) rc = keep_step(entry, value);
    if (rc == XN_ENOENT) rc = 0;
    entry->look_rc = rc;
    entry->step++;
    if (entry->doubtful) {
        settle_doubt(entry);
        ledger_pump(ledger, now, out);
        return;
    }
    if (rc || entry->record)
        entry->step = steps_of(entry); /* enough is known */
    if (entry->step < steps_of(entry)) {
        read_step(ledger, now, entry, out);
    } else {
        ledger_pump(ledger, now, out);
    }
}

static void read_step(struct ledger *ledger, const struct xn_now *now,
                      struct ledger_entry *entry, struct xn_out *out)
{
    uint8_t id_key[LEDGER_ID_KEY];
    const uint8_t *key;
    size_t len;

    entry->reading = xn_ticket(ledger->tickets, now->mono_us + READ_US, on_step,
                               ledger, entry, out);
    if (!entry->reading) return;
    key = key_of(entry, entry->step, id_key, &len);
    ledger_read(ledger, entry->reading, key, len, out);
}

void ledger_doubt(struct ledger *ledger, const struct xn_now *now,
                  struct ledger_entry *entry, struct xn_out *out)
{
    entry->doubtful = true;
    entry->step = 0;
    read_step(ledger, now, entry, out);
}

bool ledger_in_doubt(const struct ledger_batch *batch)
{
    const struct ledger_entry *entry;

    for (entry = batch->entries; entry; entry = entry->next) {
        if (entry->reading) return true;
    }
    return false;
}

/* What one sees must hold until it is judged.  Careful ones look when nothing is
 * on its way to the store, many at once, and nothing is sent until all of them
 * are judged (ledger_holds_back); what gathers meanwhile is known.  A RECALL
 * speaks of what is durable: it looks when nothing gathers either. */
static bool looked(struct ledger *ledger, const struct xn_now *now,
                   struct ledger_entry *entry, bool first, struct xn_out *out)
{
    if (entry->step == steps_of(entry)) return true;
    if (entry->reading || ledger->flying.n) return false;
    if (!entry->careful && (!first || ledger->gathering.n)) return false;
    read_step(ledger, now, entry, out);
    return false;
}

bool ledger_have(struct ledger *ledger, const struct xn_now *now,
                 struct ledger_entry *entry, bool first, struct xn_out *out)
{
    bool all = true;
    size_t i;

    for (i = 0; i < entry->n_rows; i++) {
        struct ledger_row *row = entry->rows[i];

        if (row->known || row->rc) continue;
        all = false;
        if (!row->reading) read_row(ledger, now, row, out);
    }
    if (entry->careful || entry->kind == ENTRY_RECALL) {
        all = looked(ledger, now, entry, first, out) && all;
    }
    return all;
}
