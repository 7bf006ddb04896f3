/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/hex.h"
#include "lib/text.h"
#include "net/clock.h"
#include "wire/bill.h"
#include "wire/envelope.h"

#define PATH_MAX_LEN 320

static int usage(const struct staff *staff, const char *because)
{
    xn_gripe(staff->program, staff->what, because, "xenocorp --help");
    return XN_EXIT_USAGE;
}

/* ---- members ---- */

static json_t *member_json(const Xn__MemberInfo *info)
{
    json_t *row = json_object();
    char name[XN_NAME_MAX] = "";
    xn_id id;

    if (!xn_id_from_bytes(&info->id, &id)) xn_id_name(&id, info->label, name);
    json_object_set_new(row, "name", json_string(name));
    json_object_set_new(row, "id", table_id(&info->id));
    json_object_set_new(row, "owner", json_string(info->owner));
    json_object_set_new(row, "payout", json_string(info->payout));
    json_object_set_new(row, "machine", json_string(info->machine));
    json_object_set_new(row, "node", json_string(info->index_node));
    json_object_set_new(row, "registered", table_time(info->registered_us));
    json_object_set_new(row, "until", table_time(info->not_after_us));
    return row;
}

static int add_members(struct staff *staff, const char *role, json_t *array)
{
    char path[PATH_MAX_LEN], after[XN_ID_HEX] = "";
    Xn__Members *page;
    bool more = true;
    xn_id last;
    int rc;

    while (more) {
        snprintf(path, sizeof path, "/v1/members?role=%s%s%s", role,
                 after[0] ? "&after=" : "", after);
        rc = staff_ask(staff, path, NULL, &xn__members__descriptor, &page);
        if (rc) return rc;
        for (size_t i = 0; i < page->n_members; i++)
            json_array_append_new(array, member_json(page->members[i]));
        more =
            page->more && page->n_members &&
            !xn_id_from_bytes(&page->members[page->n_members - 1]->id, &last);
        if (more) xn_id_hex(&last, after);
        xn__members__free_unpacked(page, NULL);
    }
    return 0;
}

int list_members(const char *program, const char *dir, const char *role,
                 bool json)
{
    static const char *const keys[] = {"name", "id", "owner", "registered",
                                       "until"};
    json_t *array = json_array();
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the members", dir);

    if (!code) code = xn_exit_code(add_members(&staff, role, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.members/1", "members", keys, 5,
                           json);
    json_decref(array);
    return code;
}

/* A whole list where the ids are whole in people's form too. */
static int add_balance(struct staff *staff, const char *role, const char *id,
                       const char *currency, json_t *object)
{
    char path[PATH_MAX_LEN], name[40], text[MONEY_TEXT_MAX];
    Xn__Account *account;
    int rc;

    if (strlen(currency) != MONEY_CURRENCY_SIZE - 1)
        return usage(staff, "a currency is three capital letters");
    snprintf(path, sizeof path, "/v1/accounts?currency=%s&%s=%s", currency,
             role, id);
    rc = staff_ask(staff, path, NULL, &xn__account__descriptor, &account);
    if (rc) return xn_exit_code(rc);
    snprintf(name, sizeof name, "balance_%s", currency);
    money_text(account->balance, currency, text);
    json_object_set_new(object, name, json_string(text));
    if (account->credit) {
        snprintf(name, sizeof name, "credit_%s", currency);
        money_text(account->credit, currency, text);
        json_object_set_new(object, name, json_string(text));
    }
    xn__account__free_unpacked(account, NULL);
    return XN_EXIT_OK;
}

int show_member(const char *program, const char *dir, const char *role,
                const char *id, const char *const *currencies, int n, bool json)
{
    char path[PATH_MAX_LEN];
    Xn__Members *page = NULL;
    json_t *object = NULL;
    struct staff staff;
    xn_id parsed;
    int code = staff_open(&staff, program, "cannot show the member", dir);

    if (code) return code;
    if (xn_id_unhex(id, strlen(id), &parsed)) {
        code = usage(&staff, "a member is 64 digits 0-9a-f");
        goto out;
    }
    snprintf(path, sizeof path, "/v1/members?role=%s&id=%s", role, id);
    code = xn_exit_code(
        staff_ask(&staff, path, NULL, &xn__members__descriptor, &page));
    if (code) goto out;
    if (!page->n_members) {
        xn_gripef(program, staff.what, "xenocorp client list DIR",
                  "no %s with that key is registered", role);
        code = XN_EXIT_NONE;
        goto out;
    }
    object = member_json(page->members[0]);
    for (int i = 0; i < n && !code; i++)
        code = add_balance(&staff, role, id, currencies[i], object);
    if (!code) {
        code = table_show(object, "xenocorp.member/1", json);
        object = NULL;
    }
out:
    json_decref(object);
    if (page) xn__members__free_unpacked(page, NULL);
    staff_close(&staff);
    return code;
}

/* ---- orders ---- */

static const char *fate_name(Xn__OrderFate fate)
{
    static const char *const names[] = {"unknown", "issued", "accepted",
                                        "closed",  "void",   "expired"};

    return (unsigned)fate < 6 ? names[fate] : names[0];
}

static json_t *order_json(const Xn__OrderStatus *status)
{
    json_t *row = json_object();

    json_object_set_new(row, "serial", table_id(&status->serial));
    json_object_set_new(row, "holder", table_id(&status->holder));
    json_object_set_new(row, "state", json_string(fate_name(status->fate)));
    json_object_set_new(row, "amount", table_money(status->amount));
    json_object_set_new(row, "charged", table_money(status->charged));
    json_object_set_new(row, "fenced", table_money(status->fenced));
    json_object_set_new(row, "currency", json_string(status->currency));
    json_object_set_new(row, "until", table_time(status->until_us));
    json_object_set_new(row, "stopped", table_time(status->stopped_us));
    json_object_set_new(row, "server", table_id(&status->server));
    json_object_set_new(row, "session", table_id(&status->session));
    return row;
}

/* The place behind the last one: its serial, after the holder's id where the
 * list is everybody's. */
static bool place_behind(const Xn__Orders *page, bool with_holder, char *out)
{
    const Xn__OrderStatus *last;
    xn_id id;

    if (!page->more || !page->n_orders) return false;
    last = page->orders[page->n_orders - 1];
    if (with_holder) {
        if (xn_id_from_bytes(&last->holder, &id)) return false;
        xn_id_hex(&id, out);
        out += 2 * XN_ID_SIZE;
    }
    if (xn_id_from_bytes(&last->serial, &id)) return false;
    xn_id_hex(&id, out);
    return true;
}

typedef int on_order(struct staff *staff, const Xn__OrderStatus *status,
                     json_t *array);

static int each_order(struct staff *staff, const char *holder, on_order *take,
                      json_t *array)
{
    char path[PATH_MAX_LEN], after[2 * XN_ID_HEX] = "";
    Xn__Orders *page;
    bool more = true;
    int rc = 0;

    while (more && !rc) {
        snprintf(path, sizeof path, "/v1/orders%s%s%s%s%s",
                 holder || after[0] ? "?" : "", holder ? "holder=" : "",
                 holder ? holder : "",
                 after[0] ? holder ? "&after=" : "after=" : "", after);
        rc = staff_ask(staff, path, NULL, &xn__orders__descriptor, &page);
        if (rc) return rc;
        for (size_t i = 0; i < page->n_orders && !rc; i++)
            rc = take(staff, page->orders[i], array);
        more = place_behind(page, !holder, after);
        xn__orders__free_unpacked(page, NULL);
    }
    return rc;
}

static int add_order(struct staff *staff, const Xn__OrderStatus *status,
                     json_t *array)
{
    (void)staff;
    return json_array_append_new(array, order_json(status)) ? XN_ENOMEM : 0;
}

int list_orders(const char *program, const char *dir, const char *holder,
                bool json)
{
    static const char *const keys[] = {"serial",   "holder",  "state",
                                       "amount",   "charged", "fenced",
                                       "currency", "until",   "server"};
    json_t *array = json_array();
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the orders", dir);

    if (!code)
        code = xn_exit_code(each_order(&staff, holder, add_order, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.orders/1", "orders", keys, 9, json);
    json_decref(array);
    return code;
}

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
        xn_gripef(staff->program, "the bill is wrong", "xenocorp audit verify",
                  "%.12s: %s: %s", serial,
                  rc == XN_EINTEGRITY ? fault.part : "",
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
    json_object_set_new(row, "charge", table_money(line->receipt.charge));
    json_object_set_new(row, "total", table_money(line->claim.amount));
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
    json_object_set_new(top, "amount", table_money(bill->order.limits.amount));
    json_object_set_new(top, "until", table_time(bill->order.limits.until_us));
    json_object_set_new(top, "server", id_json(&bill->acceptance.server));
    json_object_set_new(top, "session", id_json(&bill->acceptance.session));
    json_object_set_new(top, "charged", table_money(bill->charged));
    json_object_set_new(top, "paid", table_money(bill->paid));
    json_object_set_new(top, "left", table_money(bill->left));
    json_object_set_new(top, "released", table_money(bill->released));
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

static bool is_serial(const char *text)
{
    xn_id id;

    return !xn_id_unhex(text, strlen(text), &id);
}

int show_order(const char *program, const char *dir, const char *serial,
               bool json)
{
    struct staff staff;
    struct bill bill;
    int code = staff_open(&staff, program, "cannot show the order", dir);

    if (code) return code;
    if (!is_serial(serial)) {
        code = usage(&staff, "a serial is 64 digits 0-9a-f");
    } else {
        code = xn_exit_code(read_bill(&staff, serial, &bill));
        if (!code) {
            code = table_show(bill_json(&bill), "xenocorp.order/1", json);
            bill_clear(&bill);
        }
    }
    staff_close(&staff);
    return code;
}

/* ---- charges ---- */

static int add_charges(struct staff *staff, const char *serial, json_t *array)
{
    struct bill bill;
    int rc = read_bill(staff, serial, &bill);

    if (rc) return rc;
    for (size_t i = 0; i < bill.n_lines; i++)
        json_array_append_new(array, charge_json(&bill, &bill.lines[i]));
    bill_clear(&bill);
    return 0;
}

static int add_order_charges(struct staff *staff, const Xn__OrderStatus *status,
                             json_t *array)
{
    char hex[XN_ID_HEX];
    xn_id serial;

    if (!status->acceptance.len) return 0;
    if (xn_id_from_bytes(&status->serial, &serial)) return XN_EPROTO;
    xn_id_hex(&serial, hex);
    return add_charges(staff, hex, array);
}

int list_charges(const char *program, const char *dir, const char *serial,
                 bool json)
{
    static const char *const keys[] = {"serial",   "sequence", "server",
                                       "taken",    "charge",   "total",
                                       "currency", "activity"};
    json_t *array = json_array();
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the charges", dir);

    if (!code && serial && !is_serial(serial))
        code = usage(&staff, "a serial is 64 digits 0-9a-f");
    if (!code)
        code = xn_exit_code(
            serial ? add_charges(&staff, serial, array)
                   : each_order(&staff, NULL, add_order_charges, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.charges/1", "charges", keys, 8,
                           json);
    json_decref(array);
    return code;
}

static json_t *refused_json(const Xn__RefusedInfo *info)
{
    json_t *row = json_object();

    json_object_set_new(row, "at", table_time(info->at_us));
    json_object_set_new(row, "server", table_id(&info->server));
    json_object_set_new(row, "session", table_id(&info->session));
    json_object_set_new(row, "sequence",
                        json_integer((json_int_t)info->sequence));
    json_object_set_new(row, "reason", json_string(info->reason));
    json_object_set_new(row, "because", json_string(info->text));
    return row;
}

int list_refused(const char *program, const char *dir, bool json)
{
    static const char *const keys[] = {"at",       "server", "session",
                                       "sequence", "reason", "because"};
    char path[PATH_MAX_LEN] = "/v1/refused", place[2 * 40 + 1];
    json_t *array = json_array();
    Xn__RefusedClaims *page;
    struct staff staff;
    bool more = true;
    int code = staff_open(&staff, program, "cannot list the charges", dir);

    while (!code && more) {
        code = xn_exit_code(staff_ask(&staff, path, NULL,
                                      &xn__refused_claims__descriptor, &page));
        if (code) break;
        for (size_t i = 0; i < page->n_refused; i++)
            json_array_append_new(array, refused_json(page->refused[i]));
        more = page->more && page->n_refused &&
               page->refused[page->n_refused - 1]->place.len == 40;
        if (more) {
            xn_hex(page->refused[page->n_refused - 1]->place.data, 40, place);
            snprintf(path, sizeof path, "/v1/refused?after=%s", place);
        }
        xn__refused_claims__free_unpacked(page, NULL);
    }
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.refused/1", "refused", keys, 6,
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

    if (!rc) fwrite(text, 1, len, stdout);
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
        xn_gripef(staff->program, staff->what, "xenocorp charge list DIR",
                  "the order has claims 1 to %zu", bill.n_lines);
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

int show_charge(const char *program, const char *dir, const char *serial,
                const char *sequence)
{
    struct staff staff;
    uint64_t which;
    int code = staff_open(&staff, program, "cannot show the charge", dir);

    if (code) return code;
    if (!is_serial(serial) || xn_number_parse(sequence, INT64_MAX, &which)) {
        code = usage(&staff, "a charge is an order's serial, 64 digits 0-9a-f, "
                             "and the number of a claim");
    } else {
        code = xn_exit_code(put_charge(&staff, serial, which));
    }
    staff_close(&staff);
    return code;
}
