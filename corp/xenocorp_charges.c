/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bills and claims, taken and refused, as the broker's staff looks them up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/xenocorp.h"
#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_lists.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/hex.h"
#include "lib/text.h"
#include "net/clock.h"
#include "net/json.h"
#include "wire/bill.h"
#include "wire/envelope.h"

#define PATH_MAX_LEN 320
#define PLACE_SIZE 40 /* of a refused claim: its time and its hash */

/* ---- bills ---- */

static int add_page(Xn__Bill *bill, Xn__Bill *page)
{
    Xn__BillClaim **all = realloc(
        bill->claims, (bill->n_claims + page->n_claims + 1) * sizeof *all);

    if (!all) return XN_ENOMEM;
    bill->claims = all;
    for (size_t i = 0; i < page->n_claims; i++)
        all[bill->n_claims++] = page->claims[i];
    bill->more = page->more && page->n_claims;
    page->n_claims = 0;
    return 0;
}

static int fetch(struct staff *staff, const char *serial, Xn__Bill **bill_out)
{
    char path[PATH_MAX_LEN];
    Xn__Bill *bill = NULL, *page;
    int rc;

    snprintf(path, sizeof path, "/v1/bill?serial=%s", serial);
    rc = staff_ask(staff, path, NULL, &xn__bill__descriptor, &bill);
    while (!rc && bill->more) {
        snprintf(path, sizeof path, "/v1/bill?serial=%s&after=%zu", serial,
                 bill->n_claims);
        rc = staff_ask(staff, path, NULL, &xn__bill__descriptor, &page);
        if (rc) break;
        rc = add_page(bill, page);
        xn__bill__free_unpacked(page, NULL);
    }
    if (!rc) {
        *bill_out = bill;
        return 0;
    }
    if (bill) xn__bill__free_unpacked(bill, NULL);
    return rc;
}

/* Staff believe their own books no more than a client does. */
static int read_bill(struct staff *staff, const char *serial,
                     struct bill *bill_out)
{
    struct bill_view view = {.anchors = staff->identity.anchors,
                             .now_us = net_wall_us(),
                             .corp = staff->identity.cert.id};
    struct bill_fault fault;
    Xn__Bill *from = NULL;
    int rc = fetch(staff, serial, &from);

    if (rc) return rc;
    rc = bill_read(from, &view, bill_out, &fault);
    if (rc)
        xn_gripe_rcf(staff->program, rc, NULL, "the bill is wrong",
                     "xenocorp audit verify DIR", "%.12s: %s%s%s", serial,
                     rc == XN_EINTEGRITY ? fault.part : "",
                     rc == XN_EINTEGRITY ? ": " : "",
                     rc == XN_EINTEGRITY ? fault.text : xn_strerror(rc));
    xn__bill__free_unpacked(from, NULL);
    return rc;
}

static json_t *id_json(const xn_id *id)
{
    ProtobufCBinaryData bytes = xn_id_bytes(id);

    return xn_id_is_zero(id) ? json_null() : table_id(&bytes);
}

static json_t *charge_json(const struct bill *bill,
                           const struct bill_line *line)
{
    json_t *row = json_object();

    json_object_set_new(row, "serial", id_json(&bill->order.serial));
    json_object_set_new(row, "sequence",
                        json_integer((json_int_t)line->claim.sequence));
    json_object_set_new(row, "server", id_json(&bill->acceptance.server));
    json_object_set_new(row, "taken", table_time(line->receipt.head.issued_us));
    json_object_set_new(row, "charge", net_json_money(line->receipt.charge));
    json_object_set_new(row, "total", net_json_money(line->claim.amount));
    json_object_set_new(row, "currency", json_string(line->claim.currency));
    json_object_set_new(row, "final",
                        json_boolean(line->claim.state == MONEY_FINAL));
    json_object_set_new(row, "activity", json_string(line->claim.activity));
    return row;
}

static json_t *bill_json(const struct bill *bill)
{
    const char *currency = bill->order.limits.currency;
    json_t *top = json_object(), *claims = json_array();

    json_object_set_new(top, "serial", id_json(&bill->order.serial));
    json_object_set_new(top, "holder", id_json(&bill->order.holder));
    json_object_set_new(top, "account", id_json(&bill->order.account));
    json_object_set_new(top, "state", json_string(fate_name(bill->fate)));
    json_object_set_new(top, "currency", json_string(currency));
    json_object_set_new(top, "amount",
                        net_json_money(bill->order.limits.amount));
    json_object_set_new(top, "until", table_time(bill->order.limits.until_us));
    json_object_set_new(top, "server", id_json(&bill->acceptance.server));
    json_object_set_new(top, "session", id_json(&bill->acceptance.session));
    json_object_set_new(top, "charged", net_json_money(bill->charged));
    json_object_set_new(top, "paid", net_json_money(bill->paid));
    json_object_set_new(top, "left", net_json_money(bill->left));
    json_object_set_new(top, "released", net_json_money(bill->released));
    json_object_set_new(
        top, "stopped",
        table_time(bill->stopped ? bill->stop_receipt.head.issued_us : 0));
    for (size_t i = 0; i < bill->n_lines; i++)
        json_array_append_new(claims, charge_json(bill, &bill->lines[i]));
    json_object_set_new(top, "n_claims",
                        json_integer((json_int_t)bill->n_lines));
    json_object_set_new(top, "claims", claims);
    return top;
}

int show_order(const char *program, const char *dir, const char *word,
               bool json)
{
    char serial[XN_ID_HEX];
    struct staff staff;
    struct bill bill;
    int code = staff_open(&staff, program, "cannot show the order", dir);

    if (!code) code = find_order(&staff, word, serial);
    if (!code) code = xn_exit_code(read_bill(&staff, serial, &bill));
    if (!code) {
        code = table_show(bill_json(&bill), "xenocorp.order/1", json);
        bill_clear(&bill);
    }
    staff_close(&staff);
    return code;
}

/* ---- charges ---- */

#define PART_ROWS 32 /* printed together */

static const char *const charge_keys[] = {"serial",   "sequence", "server",
                                          "taken",    "charge",   "total",
                                          "currency", "activity"};

struct charges {
    struct table table;
    json_t *array;
    bool json; /* whole, when all is there; a table as it comes */
};

static int add_charges(struct staff *staff, const char *serial,
                       struct charges *charges)
{
    struct bill bill;
    int rc = read_bill(staff, serial, &bill);

    if (rc) return rc;
    for (size_t i = 0; i < bill.n_lines; i++)
        json_array_append_new(charges->array,
                              charge_json(&bill, &bill.lines[i]));
    bill_clear(&bill);
    if (!charges->json && json_array_size(charges->array) >= PART_ROWS)
        table_part(&charges->table, charges->array);
    return ferror(stdout) ? XN_ECANCELLED : 0; /* nobody reads on */
}

static int add_order_charges(struct staff *staff, const Xn__OrderStatus *status,
                             void *ctx)
{
    char hex[XN_ID_HEX];
    xn_id serial;

    if (!status->acceptance.len) return 0;
    if (xn_id_from_bytes(&status->serial, &serial)) return XN_EPROTO;
    xn_id_hex(&serial, hex);
    return add_charges(staff, hex, ctx);
}

/* Of one order, of one client's, or of all. */
static int collect(struct staff *staff, const char *word, const char *client,
                   struct charges *charges)
{
    char id[XN_ID_HEX];
    int code = XN_EXIT_OK;

    if (word) {
        code = find_order(staff, word, id);
        return code ? code : xn_exit_code(add_charges(staff, id, charges));
    }
    if (client) code = find_holder(staff, client, id);
    return code ? code
                : xn_exit_code(each_order(staff, client ? id : NULL,
                                          add_order_charges, charges));
}

int list_charges(const char *program, const char *dir, const char *word,
                 const char *client, bool json)
{
    struct charges charges = {
        .table = {.keys = charge_keys,
                  .n = sizeof charge_keys / sizeof charge_keys[0]},
        .array = json_array(),
        .json = json};
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the charges", dir);

    if (!code) code = collect(&staff, word, client, &charges);
    staff_close(&staff);
    if (json && !code)
        return table_print(charges.array, "xenocorp.charges/1", "charges",
                           charge_keys, charges.table.n, true);
    if (!code || json_array_size(charges.array))
        table_part(&charges.table, charges.array);
    json_decref(charges.array);
    return code;
}

/* ---- refused claims ---- */

typedef int on_refused(struct staff *staff, const Xn__RefusedInfo *info,
                       const char claim[XN_ID_HEX], void *ctx);

/* Each with the hash of the claim as it was signed: its name, since more may
 * come between two of them. */
static int each_refused(struct staff *staff, on_refused *take, void *ctx)
{
    char path[PATH_MAX_LEN] = "/v1/refused", place[2 * PLACE_SIZE + 1];
    char claim[XN_ID_HEX];
    Xn__RefusedClaims *page;
    bool more = true;
    xn_id hash;
    int rc = 0;

    while (more && !rc) {
        rc = staff_ask(staff, path, NULL, &xn__refused_claims__descriptor,
                       &page);
        if (rc) return rc;
        for (size_t i = 0; i < page->n_refused && !rc; i++) {
            const Xn__RefusedInfo *info = page->refused[i];

            xn_id_hash(info->claim.data, info->claim.len, &hash);
            xn_id_hex(&hash, claim);
            rc = take(staff, info, claim, ctx);
        }
        more = page->more && page->n_refused &&
               page->refused[page->n_refused - 1]->place.len == PLACE_SIZE;
        if (more) {
            xn_hex(page->refused[page->n_refused - 1]->place.data, PLACE_SIZE,
                   place);
            snprintf(path, sizeof path, "/v1/refused?after=%s", place);
        }
        xn__refused_claims__free_unpacked(page, NULL);
    }
    return rc;
}

static int add_refused(struct staff *staff, const Xn__RefusedInfo *info,
                       const char claim[XN_ID_HEX], void *array)
{
    json_t *row = json_object();

    (void)staff;
    json_object_set_new(row, "claim", json_string(claim));
    json_object_set_new(row, "at", table_time(info->at_us));
    json_object_set_new(row, "server", table_id(&info->server));
    json_object_set_new(row, "session", table_id(&info->session));
    json_object_set_new(row, "sequence",
                        json_integer((json_int_t)info->sequence));
    json_object_set_new(row, "reason", json_string(info->reason));
    json_object_set_new(row, "because", json_string(info->text));
    return json_array_append_new(array, row) ? XN_ENOMEM : 0;
}

int list_refused(const char *program, const char *dir, bool json)
{
    static const char *const keys[] = {
        "claim", "at", "server", "session", "sequence", "reason", "because"};
    json_t *array = json_array();
    struct staff staff;
    int code =
        staff_open(&staff, program, "cannot list the refused claims", dir);

    if (!code) code = xn_exit_code(each_refused(&staff, add_refused, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.refused/1", "refused", keys, 7,
                           json);
    json_decref(array);
    return code;
}

/* What was signed, for who has to explain it; it was gone over before. */
static int put_document(const struct staff *staff,
                        const ProtobufCBinaryData *envelope, uint64_t at_us)
{
    struct xn_cert signer;
    uint8_t *text = NULL;
    size_t len;
    int rc =
        envelope_verify(envelope->data, envelope->len, staff->identity.anchors,
                        at_us, &signer, &text, &len);

    if (rc) {
        staff_gripe(staff, rc, NULL, "xenocorp audit verify DIR");
    } else {
        fwrite(text, 1, len, stdout);
        if (len && text[len - 1] != '\n') putchar('\n');
    }
    free(text);
    return rc;
}

static int put_charge(struct staff *staff, const char *serial, uint64_t which)
{
    Xn__Bill *from = NULL;
    struct bill bill;
    uint64_t at_us;
    int rc = read_bill(staff, serial, &bill);

    if (rc) return rc;
    if (!which || which > bill.n_lines) {
        xn_gripe_rcf(staff->program, XN_ENOENT, NULL, staff->what,
                     "xenocorp charge list DIR ORDER",
                     bill.n_lines ? "the order has claims 1 to %zu"
                                  : "the order has no claim",
                     bill.n_lines);
        bill_clear(&bill);
        return XN_ENOENT;
    }
    at_us = bill.lines[which - 1].receipt.head.issued_us;
    bill_clear(&bill);
    rc = fetch(staff, serial, &from);
    if (rc) return rc;
    if (which <= from->n_claims) {
        const Xn__BillClaim *line = from->claims[which - 1];

        rc = put_document(staff, &line->claim, at_us);
        if (!rc) rc = put_document(staff, &line->receipt, at_us);
    }
    xn__bill__free_unpacked(from, NULL);
    return rc;
}

int show_charge(const char *program, const char *dir, const char *word,
                const char *sequence)
{
    char serial[XN_ID_HEX];
    struct staff staff;
    uint64_t which;
    int code;

    if (xn_number_parse(sequence, INT64_MAX, &which) || !which)
        return corp_usage("'%.60s' is no claim's number: 1, 2, ...", sequence);
    code = staff_open(&staff, program, "cannot show the charge", dir);
    if (!code) code = find_order(&staff, word, serial);
    if (!code) code = xn_exit_code(put_charge(&staff, serial, which));
    staff_close(&staff);
    return code;
}

struct wanted {
    const char *word;
    char claim[XN_ID_HEX]; /* the first that begins so */
};

/* The text once, and every reason for which that very claim was refused.  That
 * the signature holds is shown at the time when it came. */
static int put_refused(struct staff *staff, const Xn__RefusedInfo *info,
                       const char claim[XN_ID_HEX], void *ctx)
{
    struct wanted *wanted = ctx;
    int rc = 0;

    if (!wanted->claim[0] &&
        strncmp(claim, wanted->word, strlen(wanted->word)) == 0) {
        memcpy(wanted->claim, claim, XN_ID_HEX);
        rc = put_document(staff, &info->claim, info->at_us);
    }
    if (strcmp(claim, wanted->claim) != 0 || rc) return rc;
    fflush(stdout);
    fprintf(stderr, "refused: %s: ", info->reason);
    xn_put_plain(info->text, stderr);
    putc('\n', stderr);
    return 0;
}

int show_refused(const char *program, const char *dir, const char *word)
{
    struct wanted wanted = {.word = word};
    struct staff staff;
    int code =
        staff_open(&staff, program, "cannot show the refused claim", dir);

    if (!code) code = staff_digits(&staff, "claim", word, STAFF_LEAST);
    if (!code) code = xn_exit_code(each_refused(&staff, put_refused, &wanted));
    if (!code && !wanted.claim[0])
        code = xn_gripe_rcf(program, XN_ENOENT, NULL, staff.what,
                            "xenocorp charge list DIR --refused",
                            "no refused claim begins with '%s'", word);
    staff_close(&staff);
    return code;
}
