/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_books.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "corp/audit.h"
#include "corp/xenocorp_store.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/wal.h"

/* ---- init ---- */

static int write_genesis(struct net_wal *wal, const xn_id *corp)
{
    struct xn_msg *msg = NULL;
    const Xn__Txn *txn;
    int rc;

    rc = ledger_genesis(corp, net_wall_us(), &msg);
    if (rc) return rc;
    txn = XN_BODY(msg, Xn__Txn);
    net_wal_apply(wal, &txn, 1, &rc);
    xn_msg_free(msg);
    return rc;
}

bool books_were_kept(const char *dir)
{
    char path[NET_PATH_MAX];

    net_file_path(path, dir, "ledger");
    return access(path, F_OK) == 0;
}

int books_note(const char *program, const char *dir)
{
    char path[NET_PATH_MAX];
    FILE *file;
    int rc = 0;

    if (books_were_kept(dir)) return XN_EXIT_OK;
    net_file_path(path, dir, "ledger");
    file = fopen(path, "we");
    if (!file ||
        fputs("The ledger is in store.kct*.  Where that is missing, restore a "
              "backup.\n",
              file) < 0 ||
        fflush(file) || fsync(fileno(file)) || net_file_sync_dir(path)) {
        rc = XN_EIO;
        xn_gripe_rcf(program, rc, NULL, "cannot note that there is a ledger",
                     "room on the disk", "%s: %s", path, strerror(errno));
    }
    if (file) fclose(file);
    return xn_exit_code(rc);
}

int books_init(const char *program, const char *dir, const xn_id *corp)
{
    static const char what[] = "cannot make the ledger";
    struct corp_store store;
    int rc, code;

    code = corp_store_open(program, what, dir, true, &store);
    if (code) return code;
    rc = write_genesis(store.wal, corp);
    if (rc == XN_ECONFLICT) {
        xn_gripe_rcf(program, rc, "EXISTS", what, "xenocorp audit verify DIR",
                     "%s holds one", store.path);
    } else if (rc) {
        xn_gripe_rcf(program, rc, NULL, what, NULL, "%s: %s", store.path,
                     xn_strerror(rc));
    }
    corp_store_close(&store);
    return rc ? xn_exit_code(rc) : books_note(program, dir);
}

/* ---- audit verify ---- */

static int feed_journal(void *ctx, const Xn__Record *r)
{
    return audit_journal(ctx, r->key.data, r->key.len, r->value.data,
                         r->value.len);
}

static int feed_head(void *ctx, const Xn__Record *r)
{
    return audit_head(ctx, r->value.data, r->value.len);
}

static int feed_other(void *ctx, const Xn__Record *r)
{
    if (r->key.len && (r->key.data[0] == 'J' || r->key.data[0] == 'K')) {
        return 0;
    }
    return audit_record(ctx, r->key.data, r->key.len, r->value.data,
                        r->value.len);
}

static json_t *held_json(xn_i128 micro)
{
    char text[XN_DEC_TEXT_MAX];
    xn_dec amount = {micro * (XN_DEC_ONE / 1000000)};

    xn_dec_format(amount, text);
    return json_string(text);
}

static json_t *report_json(const struct audit_report *report)
{
    json_t *top = json_object(), *list = json_array();
    char hex[XN_ID_HEX], receipt[XN_ID_HEX + 24];

    xn_id_hex(&report->hash, hex);
    snprintf(receipt, sizeof receipt, "%llu:%s",
             (unsigned long long)report->seq, hex);
    json_object_set_new(top, "schema", json_string("xenocorp.audit/1"));
    json_object_set_new(top, "records", json_integer((json_int_t)report->seq));
    json_object_set_new(top, "operations",
                        json_integer((json_int_t)report->operations));
    json_object_set_new(top, "accounts",
                        json_integer((json_int_t)report->accounts));
    for (size_t i = 0; i < report->n_currencies; i++) {
        const struct audit_currency *from = &report->currencies[i];
        json_t *row = json_object();

        json_object_set_new(row, "currency", json_string(from->currency));
        json_object_set_new(row, "sum", json_string("0"));
        for (unsigned kind = LEDGER_CLIENT; kind <= LEDGER_FENCE; kind++)
            json_object_set_new(row, ledger_kind_name(kind),
                                held_json(from->held[kind]));
        json_array_append_new(list, row);
    }
    json_object_set_new(top, "currencies", list);
    json_object_set_new(top, "receipt", json_string(receipt));
    return top;
}

static void print_currency(json_t *row)
{
    const char *key;
    const json_t *value;

    printf("%s, sum %s\n", json_string_value(json_object_get(row, "currency")),
           json_string_value(json_object_get(row, "sum")));
    json_object_del(row, "currency");
    json_object_del(row, "sum");
    json_object_foreach(row, key, value)
    {
        printf("  %-9s %s\n", key, json_string_value(value));
    }
}

static void print_report(const struct audit_report *report, bool json)
{
    json_t *top = report_json(report), *row;
    size_t i;

    if (json) {
        json_dumpf(top, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(top);
        return;
    }
    printf("records     %llu\n", (unsigned long long)report->seq);
    printf("operations  %llu\n", (unsigned long long)report->operations);
    printf("accounts    %llu\n", (unsigned long long)report->accounts);
    json_array_foreach(json_object_get(top, "currencies"), i, row)
    {
        print_currency(row);
    }
    printf("receipt     %s\n",
           json_string_value(json_object_get(top, "receipt")));
    json_decref(top);
}

/* Is everything readable, and does it add up? */
static int audit_store(struct corp_store *store, struct audit *audit,
                       struct audit_report *report, char *why, size_t len)
{
    struct net_kv_report records;
    int rc;

    rc = net_wal_check(store->wal, &records);
    if (rc == XN_EINTEGRITY && records.damaged) {
        snprintf(why, len, "%llu of %llu records are damaged",
                 (unsigned long long)records.damaged,
                 (unsigned long long)(records.damaged + records.records));
        return rc;
    }
    if (rc) {
        snprintf(why, len, "the file's structure: %s", xn_strerror(rc));
        return rc;
    }
    rc = corp_store_each(store, "J", feed_journal, audit);
    if (!rc) rc = corp_store_each(store, "K", feed_head, audit);
    if (!rc) rc = corp_store_each(store, "", feed_other, audit);
    if (!rc) rc = audit_end(audit, report);
    snprintf(why, len, "%s",
             audit_why(audit)[0] ? audit_why(audit) : xn_strerror(rc));
    return rc;
}

int books_verify(const char *program, const char *dir, uint64_t expect_seq,
                 const xn_id *expect_hash, bool json)
{
    static const char what[] = "the ledger is not sound";
    struct corp_store store;
    struct audit_report report;
    struct audit *audit = NULL;
    char why[400] = "";
    int rc, code;

    code = corp_store_open(program, "cannot audit", dir, false, &store);
    if (code) return code;
    rc = audit_new(&audit);
    if (!rc) {
        if (expect_seq) audit_expect(audit, expect_seq, expect_hash);
        rc = audit_store(&store, audit, &report, why, sizeof why);
    }
    if (rc) {
        xn_gripe_rcf(program, rc, NULL, what,
                     "keep the file as it is; xenocorp restore DIR BACKUP "
                     "into another folder",
                     "%s: %s", store.path, why);
    } else {
        print_report(&report, json);
    }
    audit_free(audit);
    corp_store_close(&store);
    return xn_exit_code(rc);
}

/* ---- audit export ---- */

static json_t *time_json(uint64_t us)
{
    time_t s = (time_t)(us / 1000000);
    char day[32], text[48];
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof text, "%s.%06uZ", day, (unsigned)(us % 1000000));
    return json_string(text);
}

static json_t *id_json(const ProtobufCBinaryData *bytes)
{
    char hex[XN_ID_HEX] = "";
    xn_id id;

    if (!xn_id_from_bytes(bytes, &id)) xn_id_hex(&id, hex);
    return json_string(hex);
}

static json_t *money_json(int64_t micro)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(xn_dec_from_micro(micro), text);
    return json_string(text);
}

/* Text that is no UTF-8 comes out as "?". */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);

    return json ? json : json_string("?");
}

static void put_list(json_t *object, const char *name, json_t *list)
{
    if (json_array_size(list) == 0)
        json_decref(list);
    else
        json_object_set_new(object, name, list);
}

static json_t *opens_json(const Xn__LedgerOp *op)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < op->n_opens; i++) {
        json_t *row = json_object();

        json_object_set_new(row, "account", id_json(&op->opens[i]->account));
        json_object_set_new(row, "kind",
                            json_string(ledger_kind_name(op->opens[i]->kind)));
        json_object_set_new(row, "currency", text_json(op->opens[i]->currency));
        if (op->opens[i]->floor != LEDGER_FLOOR_NONE) {
            json_object_set_new(row, "floor", money_json(op->opens[i]->floor));
        }
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *floors_json(const Xn__LedgerOp *op)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < op->n_floors; i++) {
        json_t *row = json_object();

        json_object_set_new(row, "account", id_json(&op->floors[i]->account));
        json_object_set_new(row, "floor", money_json(op->floors[i]->floor));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *postings_json(const Xn__LedgerOp *op)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < op->n_postings; i++) {
        json_t *row = json_object();

        json_object_set_new(row, "account", id_json(&op->postings[i]->account));
        json_object_set_new(row, "amount", money_json(op->postings[i]->micro));
        json_object_set_new(row, "currency",
                            text_json(op->postings[i]->currency));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *op_json(const Xn__LedgerBatch *batch, size_t index)
{
    const Xn__LedgerOp *op = batch->ops[index];
    json_t *object = json_object(), *closes = json_array();
    size_t i;

    json_object_set_new(object, "schema", json_string("xeno.ledger/1"));
    json_object_set_new(object, "record", json_integer((json_int_t)batch->seq));
    json_object_set_new(object, "index", json_integer((json_int_t)index));
    json_object_set_new(object, "time", time_json(batch->wall_us));
    json_object_set_new(object, "operation", id_json(&op->id));
    json_object_set_new(object, "what",
                        json_string(ledger_what_name(op->what)));
    if (op->note[0]) json_object_set_new(object, "note", text_json(op->note));
    put_list(object, "opens", opens_json(op));
    put_list(object, "floors", floors_json(op));
    put_list(object, "postings", postings_json(op));
    for (i = 0; i < op->n_closes; i++)
        json_array_append_new(closes, id_json(&op->closes[i]));
    put_list(object, "closes", closes);
    return object;
}

static int export_batch(void *ctx, const Xn__Record *record)
{
    Xn__LedgerBatch *batch =
        xn__ledger_batch__unpack(NULL, record->value.len, record->value.data);
    size_t i;

    if (!batch) return XN_EINTEGRITY;
    for (i = 0; i < batch->n_ops; i++) {
        json_t *object = op_json(batch, i);

        json_dumpf(object, stdout, 0);
        putchar('\n');
        json_decref(object);
    }
    xn__ledger_batch__free_unpacked(batch, NULL);
    return ferror(stdout) ? XN_EIO : 0;
}

int books_export(const char *program, const char *dir)
{
    struct corp_store store;
    int rc, code;

    code = corp_store_open(program, "cannot export", dir, false, &store);
    if (code) return code;
    rc = corp_store_each(&store, "J", export_batch, NULL);
    if (rc && !ferror(stdout)) {
        xn_gripe_rcf(program, rc, NULL, "cannot export",
                     rc == XN_EINTEGRITY ? "xenocorp audit verify DIR" : NULL,
                     "%s: %s", store.path, xn_strerror(rc));
    }
    corp_store_close(&store);
    return xn_exit_code(rc);
}
