/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/xenocorp.h"
#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/json.h"
#include "wire/money.h"

#define PATH_MAX_LEN 320

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
    json_object_set_new(row, "revoked",
                        info->revoked_us ? table_time(info->revoked_us)
                                         : json_null());
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
    static const char *const keys[] = {"name",       "id",    "owner",
                                       "registered", "until", "revoked"};
    json_t *array = json_array();
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the members", dir);

    if (!code) code = xn_exit_code(add_members(&staff, role, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.members/1", "members", keys, 6,
                           json);
    json_decref(array);
    return code;
}

static int add_balance(struct staff *staff, const char *role, const xn_id *id,
                       const char *currency, json_t *object)
{
    char path[PATH_MAX_LEN], name[40], text[MONEY_TEXT_MAX], hex[XN_ID_HEX];
    Xn__Account *account;
    int rc;

    if (strlen(currency) != MONEY_CURRENCY_SIZE - 1 ||
        strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") !=
            MONEY_CURRENCY_SIZE - 1)
        return corp_usage("a currency is three capital letters, not '%.60s'",
                          currency);
    xn_id_hex(id, hex);
    snprintf(path, sizeof path, "/v1/accounts?currency=%s&%s=%s", currency,
             role, hex);
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
                const char *word, const char *const *currencies, int n,
                bool json)
{
    Xn__Members *page = NULL;
    json_t *object = NULL;
    struct staff staff;
    xn_id id;
    int code = staff_open(&staff, program, "cannot show the member", dir);

    if (!code) code = staff_member(&staff, role, word, STAFF_LEAST, &page);
    if (!code && xn_id_from_bytes(&page->members[0]->id, &id))
        code = staff_gripe(&staff, XN_EPROTO, NULL, NULL);
    if (!code) object = member_json(page->members[0]);
    for (int i = 0; i < n && !code; i++)
        code = add_balance(&staff, role, &id, currencies[i], object);
    if (!code) {
        code = table_show(object, "xenocorp.member/1", json);
        object = NULL;
    }
    json_decref(object);
    if (page) xn__members__free_unpacked(page, NULL);
    staff_close(&staff);
    return code;
}

/* ---- orders ---- */

const char *fate_name(Xn__OrderFate fate)
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
    json_object_set_new(row, "amount", net_json_money(status->amount));
    json_object_set_new(row, "charged", net_json_money(status->charged));
    json_object_set_new(row, "fenced", net_json_money(status->fenced));
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

int each_order(struct staff *staff, const char *holder, on_order *take,
               void *ctx)
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
            rc = take(staff, page->orders[i], ctx);
        more = place_behind(page, !holder, after);
        xn__orders__free_unpacked(page, NULL);
    }
    return rc;
}

/* ---- an order by its first digits ---- */

struct wanted {
    const char *word;
    char serial[XN_ID_HEX];
    size_t n;
};

static int match(struct staff *staff, const Xn__OrderStatus *status, void *ctx)
{
    struct wanted *wanted = ctx;
    char hex[XN_ID_HEX];
    xn_id id;

    (void)staff;
    if (xn_id_from_bytes(&status->serial, &id)) return XN_EPROTO;
    xn_id_hex(&id, hex);
    if (strncmp(hex, wanted->word, strlen(wanted->word)) == 0 &&
        wanted->n++ == 0)
        memcpy(wanted->serial, hex, sizeof hex);
    return 0;
}

int find_order(struct staff *staff, const char *word, char out[XN_ID_HEX])
{
    struct wanted wanted = {.word = word};
    int rc, code = staff_digits(staff, "order", word, STAFF_LEAST);

    if (code) return code;
    if (strlen(word) == XN_ID_HEX - 1) {
        memcpy(out, word, XN_ID_HEX);
        return XN_EXIT_OK;
    }
    rc = each_order(staff, NULL, match, &wanted);
    if (rc) return xn_exit_code(rc);
    if (wanted.n > 1)
        return corp_usage("%zu orders begin with '%s': more digits", wanted.n,
                          word);
    if (!wanted.n)
        return xn_gripe_rcf(staff->program, XN_ENOENT, NULL, staff->what,
                            "xenocorp order list DIR",
                            "no order begins with '%s'", word);
    memcpy(out, wanted.serial, XN_ID_HEX);
    return XN_EXIT_OK;
}

/* ---- all of them ---- */

static int add_order(struct staff *staff, const Xn__OrderStatus *status,
                     void *array)
{
    (void)staff;
    return json_array_append_new(array, order_json(status)) ? XN_ENOMEM : 0;
}

int find_holder(struct staff *staff, const char *word, char out[XN_ID_HEX])
{
    Xn__Members *who = NULL;
    xn_id id;
    int code = staff_member(staff, "client", word, STAFF_LEAST, &who);

    if (!code && xn_id_from_bytes(&who->members[0]->id, &id))
        code = staff_gripe(staff, XN_EPROTO, NULL, NULL);
    if (!code) xn_id_hex(&id, out);
    if (who) xn__members__free_unpacked(who, NULL);
    return code;
}

int list_orders(const char *program, const char *dir, const char *client,
                bool json)
{
    static const char *const keys[] = {"serial",   "holder",  "state",
                                       "amount",   "charged", "fenced",
                                       "currency", "until",   "server"};
    json_t *array = json_array();
    char holder[XN_ID_HEX];
    struct staff staff;
    int code = staff_open(&staff, program, "cannot list the orders", dir);

    if (!code && client) code = find_holder(&staff, client, holder);
    if (!code)
        code = xn_exit_code(
            each_order(&staff, client ? holder : NULL, add_order, array));
    staff_close(&staff);
    if (!code)
        return table_print(array, "xenocorp.orders/1", "orders", keys, 9, json);
    json_decref(array);
    return code;
}
