/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger's start: the head is read, the end of the journal verified.  What
 * is wrong is said, and nothing is repaired: this is money. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "corp/ledger_in.h"
#include "lib/err.h"
#include "lib/log.h"

#define SECOND_US 1000000ULL
#define READ_US (20 * SECOND_US)
#define PAUSE_MAX (30 * SECOND_US)
#define PAGE 64

void ledger_break(struct ledger *ledger, struct xn_out *out, int rc,
                  const char *fmt, ...)
{
    struct ledger_entry *entry, *tmp;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(ledger->because, sizeof ledger->because, fmt, ap);
    va_end(ap);
    ledger->state = LEDGER_BROKEN;
    ledger->fault = rc;
    xn_out_log(out, XN_LOG_ERROR, "ledger: %s", ledger->because);
    ledger_void(ledger);
    ledger_batch_refuse(ledger, &ledger->flying, XN_EUNKNOWN, ledger->because);
    ledger_batch_refuse(ledger, &ledger->gathering, rc, ledger->because);
    DL_FOREACH_SAFE(ledger->queue, entry, tmp)
    {
        DL_DELETE(ledger->queue, entry);
        ledger_refuse(entry, rc, "%s", ledger->because);
        ledger_finish(ledger, entry);
    }
}

void ledger_ask_head(struct ledger *ledger, const struct xn_now *now,
                     xn_ended *fn, struct xn_out *out)
{
    ledger->ticket = xn_ticket(ledger->tickets, now->mono_us + READ_US, fn,
                               ledger, NULL, out);
    if (!ledger->ticket) return;
    ledger_read(ledger, ledger->ticket, (const uint8_t *)LEDGER_KEY_HEAD, 1,
                out);
}

void ledger_pause(struct ledger *ledger, const struct xn_now *now, xn_ended *fn,
                  struct xn_out *out)
{
    unsigned n = ledger->failures < 5 ? ledger->failures : 5;
    uint64_t pause = SECOND_US << n;

    ledger->failures++;
    if (pause > PAUSE_MAX) pause = PAUSE_MAX;
    ledger->ticket =
        xn_ticket(ledger->tickets, now->mono_us + pause, fn, ledger, NULL, out);
}

int ledger_take_head(struct ledger *ledger, const struct xn_msg *msg,
                     struct ledger_head *head_out,
                     ProtobufCBinaryData *stored_out)
{
    xn_id corp;
    int rc;

    rc = ledger_found(msg, (const uint8_t *)LEDGER_KEY_HEAD, 1, stored_out);
    if (!rc) {
        rc = ledger_head_parse(stored_out->data, stored_out->len, head_out,
                               &corp);
    }
    if (!rc && !xn_id_eq(&corp, &ledger->config.corp)) rc = XN_EIDENT;
    return rc;
}

int ledger_keep_head(struct ledger *ledger, ProtobufCBinaryData stored)
{
    uint8_t *bytes = malloc(stored.len + 1);

    if (!bytes) return XN_ENOMEM;
    memcpy(bytes, stored.data, stored.len);
    free(ledger->head_bytes);
    ledger->head_bytes = bytes;
    ledger->head_len = stored.len;
    return 0;
}

/* ---- the journal's end ---- */

static void read_journal(struct ledger *ledger, const struct xn_now *now,
                         struct xn_out *out);

/* false: the ledger is broken. */
static bool verify(struct ledger *ledger, const Xn__Record *record,
                   struct xn_out *out)
{
    bool first = ledger->verify_seq < ledger->head.checked_seq;
    uint64_t seq = ledger->verify_seq + 1;
    uint8_t key[LEDGER_JOURNAL_KEY];
    Xn__LedgerBatch *batch;
    xn_id hash, previous;
    bool good;

    ledger_key_journal(seq, key);
    if (seq > ledger->head.seq) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal goes on behind its head, record %llu",
                     (unsigned long long)ledger->head.seq);
        return false;
    }
    batch =
        xn__ledger_batch__unpack(NULL, record->value.len, record->value.data);
    xn_id_hash(record->value.data, record->value.len, &hash);
    good = batch && record->key.len == sizeof key &&
           memcmp(record->key.data, key, sizeof key) == 0 &&
           batch->seq == seq && !xn_id_from_bytes(&batch->previous, &previous);
    if (good) {
        good = first ? xn_id_eq(&hash, &ledger->head.checked_hash)
                     : xn_id_eq(&previous, &ledger->verify_hash);
    }
    if (batch) xn__ledger_batch__free_unpacked(batch, NULL);
    if (!good) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal's record %llu is missing or not what the "
                     "chain says",
                     (unsigned long long)seq);
        return false;
    }
    ledger->verify_seq = seq;
    ledger->verify_hash = hash;
    return true;
}

static void on_verified(struct ledger *ledger, struct xn_out *out)
{
    if (ledger->verify_seq != ledger->head.seq ||
        !xn_id_eq(&ledger->verify_hash, &ledger->head.hash)) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal ends with record %llu; its head says %llu",
                     (unsigned long long)ledger->verify_seq,
                     (unsigned long long)ledger->head.seq);
        return;
    }
    ledger->state = LEDGER_READY;
    ledger->failures = 0;
    xn_out_log(out, XN_LOG_INFO, "ledger: record %llu, %llu operations",
               (unsigned long long)ledger->head.seq,
               (unsigned long long)ledger->head.operations);
}

static void on_again(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    ledger_start(owner, now, out);
}

static void failed(struct ledger *ledger, const struct xn_now *now, int rc,
                   struct xn_out *out)
{
    if (rc == XN_EINTEGRITY) {
        ledger_break(ledger, out, rc, "a record of the ledger is damaged");
        return;
    }
    xn_out_log(out, XN_LOG_ERROR, "ledger: the store cannot be read: %s",
               xn_strerror(rc));
    ledger_pause(ledger, now, on_again, out);
}

static void on_journal(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;
    const Xn__Records *records;
    size_t i;

    ledger->ticket = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        failed(ledger, now, rc, out);
        ledger_pump(ledger, now, out);
        return;
    }
    records = XN_BODY(msg, Xn__Records);
    for (i = 0; i < records->n_records; i++) {
        if (!verify(ledger, records->records[i], out)) break;
    }
    if (ledger->state != LEDGER_BROKEN) {
        if (records->more && records->n_records)
            read_journal(ledger, now, out);
        else
            on_verified(ledger, out);
    }
    ledger_pump(ledger, now, out);
}

static void read_journal(struct ledger *ledger, const struct xn_now *now,
                         struct xn_out *out)
{
    Xn__Read read = XN__READ__INIT;
    uint8_t key[LEDGER_JOURNAL_KEY];

    ledger->ticket = xn_ticket(ledger->tickets, now->mono_us + READ_US,
                               on_journal, ledger, NULL, out);
    if (!ledger->ticket) return;
    ledger_key_journal(ledger->verify_seq + 1, key);
    read.prefix = (ProtobufCBinaryData){1, key};
    read.from = (ProtobufCBinaryData){sizeof key, key};
    read.limit = PAGE;
    xn_out_emit(out, XN_ACT_READ, ledger->ticket, XN_PEER_NONE, XN__KIND__READ,
                &read);
}

/* ---- the head ---- */

/* No head: was there ever a ledger? */
static void on_remains(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;

    ledger->ticket = 0;
    if (!rc && (!msg || msg->kind != XN__KIND__RECORDS)) rc = XN_EPROTO;
    if (rc) {
        failed(ledger, now, rc, out);
    } else if (XN_BODY(msg, Xn__Records)->n_records) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the journal has lost its "
                     "head");
    } else {
        ledger_break(ledger, out, XN_ENOENT, "there is no ledger in the store");
    }
    ledger_pump(ledger, now, out);
}

static void on_head(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct ledger *ledger = owner;
    ProtobufCBinaryData stored;

    ledger->ticket = 0;
    if (!rc) rc = ledger_take_head(ledger, msg, &ledger->head, &stored);
    if (!rc) rc = ledger_keep_head(ledger, stored);
    if (rc == XN_ENOENT) {
        ledger->ticket = xn_ticket(ledger->tickets, now->mono_us + READ_US,
                                   on_remains, ledger, NULL, out);
        if (ledger->ticket) {
            ledger_read(ledger, ledger->ticket, (const uint8_t *)"J", 1, out);
        }
        return;
    }
    if (rc == XN_EIDENT) {
        ledger_break(ledger, out, XN_EINTEGRITY,
                     "the ledger is another XenoCorp's");
    } else if (rc) {
        failed(ledger, now, rc, out);
    } else {
        ledger->verify_seq = ledger->head.checked_seq - 1;
        read_journal(ledger, now, out);
    }
    ledger_pump(ledger, now, out);
}

void ledger_start(struct ledger *ledger, const struct xn_now *now,
                  struct xn_out *out)
{
    ledger->state = LEDGER_STARTING;
    ledger_ask_head(ledger, now, on_head, out);
}
