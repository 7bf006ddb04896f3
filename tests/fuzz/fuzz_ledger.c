/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp finds in its own store and in a backup, damaged or made up:
 * refused by name, never believed, never a crash.
 *
 *     input = mode tape
 *
 * The tape is a backup file.  mode 'b': restore reads it as a file.  'r': its
 * records, as far as they go, are the store: what start, audit and the readers
 * of orders make of it.  'f': the same, and each journal record's hash of the
 * one before and the head's hash are put right first, so that what lies behind
 * them is reached. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "corp/audit.h"
#include "corp/ledger_in.h"
#include "corp/order_file.h"
#include "tests/fuzz/corp_world.h"

#include "corp/xenocorp_backup.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* ---- the backup file ---- */

static void try_file(const uint8_t *data, size_t len)
{
    struct tape tape = {.file = NULL};
    int rc;

    if (!len) return;
    tape.file = fmemopen((void *)(uintptr_t)data, len, "r");
    assert(tape.file);
    rc = read_tape(&tape, NULL);
    assert(rc == 0 || rc == XN_EINTEGRITY);
    tape_clear(&tape);
}

/* ---- its records as a store ---- */

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static void put_record_in(struct mem_store *store, const uint8_t *key,
                          size_t key_len, const uint8_t *value, size_t len)
{
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    Xn__Txn txn = XN__TXN__INIT;
    const Xn__Txn *list = &txn;
    int rc;

    write.key = (ProtobufCBinaryData){key_len, (uint8_t *)(uintptr_t)key};
    write.value = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)value};
    txn.n_writes = 1;
    txn.writes = writes;
    mem_store_ops.apply(store, &list, 1, &rc);
}

static void fill(struct mem_store *store, const uint8_t *data, size_t len)
{
    size_t at = sizeof magic - 1;

    while (at + 8 <= len) {
        size_t key_len = number(data + at), value_len = number(data + at + 4);

        at += 8;
        if (key_len > KEY_MAX || key_len > len - at) return;
        if (value_len > len - at - key_len) value_len = len - at - key_len;
        if (key_len) {
            put_record_in(store, data + at, key_len, data + at + key_len,
                          value_len);
        }
        at += key_len + value_len;
    }
}

/* ---- hashes put right ---- */

static void mend_batch(struct mem_store *store, const struct mem_record *r,
                       xn_id *hash)
{
    Xn__LedgerBatch *batch = xn__ledger_batch__unpack(NULL, r->len, r->value);
    uint8_t key[1100], *bytes = NULL;
    ProtobufCBinaryData was;
    size_t len = r->len;

    if (!batch) {
        xn_id_hash(r->value, r->len, hash);
        return;
    }
    memcpy(key, r->key, r->key_len);
    was = batch->previous;
    batch->previous = xn_id_bytes(hash);
    if (xn_pack(batch, &bytes, &len)) abort();
    batch->previous = was;
    xn__ledger_batch__free_unpacked(batch, NULL);
    xn_id_hash(bytes, len, hash);
    put_record_in(store, key, r->key_len, bytes, len);
    free(bytes);
}

static void mend_head(struct mem_store *store, const xn_id *hash)
{
    const struct mem_record *r = mem_store_get(store, LEDGER_KEY_HEAD, 1);
    Xn__LedgerHead *head =
        r ? xn__ledger_head__unpack(NULL, r->len, r->value) : NULL;
    ProtobufCBinaryData was;
    uint8_t *bytes = NULL;
    size_t len;

    if (!head) return;
    was = head->hash;
    head->hash = xn_id_bytes(hash);
    if (xn_pack(head, &bytes, &len)) abort();
    head->hash = was;
    xn__ledger_head__free_unpacked(head, NULL);
    put_record_in(store, (const uint8_t *)LEDGER_KEY_HEAD, 1, bytes, len);
    free(bytes);
}

static void mend(struct mem_store *store)
{
    xn_id hash = {{0}};

    for (size_t i = 0; i < store->n; i++) {
        if (store->records[i].key[0] == 'J')
            mend_batch(store, &store->records[i], &hash);
    }
    mend_head(store, &hash);
}

/* ---- what is made of it ---- */

static int look_at(struct audit *audit, const struct mem_record *r, char part)
{
    char letter = (char)r->key[0];

    if (part == 'J' && letter == 'J')
        return audit_journal(audit, r->key, r->key_len, r->value, r->len);
    if (part == 'K' && letter == 'K')
        return audit_head(audit, r->value, r->len);
    if (part == 'L' && letter != 'J' && letter != 'K')
        return audit_record(audit, r->key, r->key_len, r->value, r->len);
    return 0;
}

/* true: nothing is wrong with it. */
static bool try_audit(const struct mem_store *store)
{
    struct audit_report report;
    struct audit *audit = NULL;
    int rc = audit_new(&audit);

    for (const char *part = "JKL"; *part && !rc; part++) {
        for (size_t i = 0; i < store->n && !rc; i++)
            rc = look_at(audit, &store->records[i], *part);
    }
    if (!rc) rc = audit_end(audit, &report);
    assert(rc == 0 || rc == XN_EINTEGRITY);
    assert(rc == 0 || audit_why(audit)[0]);
    audit_free(audit);
    return rc == 0;
}

static void try_orders(struct mem_store *store)
{
    xn_id corp = world_id('k');

    for (size_t i = 0; i < store->n; i++) {
        const struct mem_record *r = &store->records[i];
        Xn__Read read = XN__READ__INIT;
        struct xn_msg *msg = NULL;
        struct order_keep keep;
        struct order_file file;
        xn_id serial;
        int rc;

        if (r->key_len != 34 || r->key[0] != 'L' || r->key[33] == 'o') continue;
        memcpy(serial.b, r->key + 1, XN_ID_SIZE);
        read.prefix = (ProtobufCBinaryData){33, r->key};
        read.limit = 64;
        if (mem_store_ops.read(store, &read, &msg)) abort();
        rc = order_file_read(&corp, &serial, XN_BODY(msg, Xn__Records), &file,
                             &keep);
        assert(rc == 0 || rc == XN_EINTEGRITY);
        if (!rc) {
            (void)order_fenced(&file);
            order_keep_clear(&keep);
        }
        xn_msg_free(msg);
    }
}

/* ---- a XenoCorp that starts on it ---- */

static void on_answer(struct world *w, uint64_t ticket,
                      const Xn__Answer *answer)
{
    int *statuses = w->user;

    assert(ticket < 8 && !statuses[ticket]);
    statuses[ticket] = answer->status;
}

static void ask(struct world *w, uint64_t ticket, char by, const char *method,
                const char *path, const char *query, const void *body)
{
    Xn__Ask question = XN__ASK__INIT;
    Xn__Caller caller = world_caller(by);
    struct xn_msg *msg = NULL;
    uint8_t *bytes = NULL;

    question.method = (char *)(uintptr_t)method;
    question.path = (char *)(uintptr_t)path;
    question.query = (char *)(uintptr_t)query;
    question.caller = &caller;
    if (body && xn_pack(body, &bytes, &question.body.len)) abort();
    question.body.data = bytes;
    if (xn_msg_new(XN__KIND__ASK, &question, &msg)) abort();
    world_event(w, XN_EV_ASK, ticket, 0, msg);
    world_run(w);
    xn_msg_free(msg);
    free(bytes);
}

static void ask_some(struct world *w)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    Xn__IssueOrder order = XN__ISSUE_ORDER__INIT;
    xn_id client = world_id('c'), word = world_id('w');

    ask(w, 1, 'c', "GET", "/v1/accounts", "currency=GBP", NULL);
    ask(w, 2, 'c', "GET", "/v1/orders", "", NULL);
    pay.client = xn_id_bytes(&client);
    pay.request = order.request = xn_id_bytes(&word);
    pay.currency = order.currency = (char *)(uintptr_t) "GBP";
    pay.micro = 7;
    ask(w, 3, 'k', "POST", "/v1/accounts", "", &pay);
    order.amount = 5;
    order.until_us = WORLD_NOW_US + 9 * WORLD_HOUR_US;
    ask(w, 4, 'c', "POST", "/v1/orders", "", &order);
}

/* Time passes, and what has ended is released. */
static void pass(struct world *w)
{
    for (int i = 0; i < 40 && w->wake_us != UINT64_MAX; i++) {
        uint64_t to_us = w->wake_us;

        if (to_us <= w->now.mono_us) to_us = w->now.mono_us + 1;
        w->now.wall_us += to_us - w->now.mono_us;
        w->now.mono_us = to_us;
        world_event(w, XN_EV_WAKE, 0, 0, NULL);
        world_run(w);
    }
}

static void try_start(const struct mem_store *store, bool is_sound)
{
    struct corp_config config = world_config();
    int statuses[8] = {0};
    struct world w = {.answer = on_answer, .user = statuses};

    world_copy_store(store, &w.store);
    w.now = (struct xn_now){1000000, WORLD_NOW_US + 2000 * WORLD_HOUR_US};
    world_start(&w, &config);
    w.now.wall_us = WORLD_NOW_US;
    ask_some(&w);
    w.now.wall_us = WORLD_NOW_US + 3000 * WORLD_HOUR_US;
    pass(&w);
    for (int i = 1; i <= 4; i++)
        assert(statuses[i] >= 200);
    /* What was sound stays so, whatever was asked. */
    if (is_sound) world_audit(&w.store);
    world_stop(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mem_store store = {.n = 0};
    char mode = len ? (char)data[0] : 'b';

    if (len) data++, len--;
    if (mode == 'b') {
        try_file(data, len);
        return 0;
    }
    fill(&store, data, len);
    if (mode == 'f') mend(&store);
    try_orders(&store);
    try_start(&store, try_audit(&store));
    mem_store_clear(&store);
    return 0;
}
