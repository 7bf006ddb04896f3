/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno order list, xeno order show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/utc.h"
#include "net/clock.h"
#include "tools/xeno_orders.h"

/* One order at one XenoCorp. */
struct row {
    xn_id corp;
    char corp_name[XN_LABEL_MAX + 1];
    Xn__OrderStatus *status;
    struct money_order order;
};

struct rows {
    struct row *v;
    size_t n;
};

/* ---- gathering ---- */

static bool is_sane(const Xn__OrderStatus *status)
{
    xn_id id;

    return !xn_id_from_bytes(&status->serial, &id) &&
           strlen(status->currency) == MONEY_CURRENCY_SIZE - 1;
}

/* The order itself is what was signed; where it stands is the XenoCorp's word. */
static int add_rows(const struct xeno_member *member, Xn__OrderStatus **all,
                    size_t n, struct rows *rows)
{
    struct row *more = realloc(rows->v, (rows->n + n + 1) * sizeof *rows->v);
    struct money_refusal why;
    struct money doc;

    if (!more) return xeno_no_memory();
    rows->v = more;
    for (size_t i = 0; i < n; i++) {
        struct row *row = &more[rows->n];

        if (!is_sane(all[i]) ||
            money_open(MONEY_ORDER, all[i]->order.data, all[i]->order.len,
                       member->identity.anchors, net_wall_us(), &doc, &why))
            return xeno_gripe(XN_EINTEGRITY, "cannot list the orders",
                              "one of them is not as the XenoCorp signed it",
                              "report it");
        row->corp = member->corp.id;
        snprintf(row->corp_name, sizeof row->corp_name, "%.*s", XN_LABEL_MAX,
                 xeno_corp_name(member));
        row->order = doc.order;
        row->status = all[i];
        all[i] = NULL;
        rows->n++;
    }
    return XN_EXIT_OK;
}

static int by_age(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->order.head.issued_us != y->order.head.issued_us)
        return x->order.head.issued_us < y->order.head.issued_us ? -1 : 1;
    return xn_id_cmp(&x->order.serial, &y->order.serial);
}

static int gather(const struct xeno *xeno, struct rows *rows)
{
    struct xeno_member members[XENO_CORPS_MAX];
    size_t n, n_statuses;
    Xn__OrderStatus **all;
    int code = xeno_members(xeno, members, &n);

    for (size_t i = 0; i < n && (!code || code == XN_EXIT_PARTIAL); i++) {
        int part = xeno_statuses(xeno, &members[i], &all, &n_statuses);

        if (part) {
            code = xeno_part(n, code, part);
            continue;
        }
        part = add_rows(&members[i], all, n_statuses, rows);
        if (part) code = part;
        for (size_t j = 0; j < n_statuses; j++) {
            if (all[j]) xn__order_status__free_unpacked(all[j], NULL);
        }
        free(all);
    }
    xeno_members_clear(members, n);
    if (rows->n) qsort(rows->v, rows->n, sizeof *rows->v, by_age);
    return code;
}

static void clear(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        xn__order_status__free_unpacked(rows->v[i].status, NULL);
    free(rows->v);
}

/* ---- JSON ---- */

static xn_id id_of(const ProtobufCBinaryData *bytes)
{
    xn_id id = {{0}};

    (void)xn_id_from_bytes(bytes, &id);
    return id;
}

static json_t *text_or_null(const char *text)
{
    json_t *json = text[0] ? json_string(text) : NULL;

    return json ? json : json_null();
}

static void set_limits(json_t *top, const struct money_limits *limits)
{
    json_object_set_new(top, "currency", json_string(limits->currency));
    json_object_set_new(top, "amount", xeno_json_money(limits->amount));
    json_object_set_new(top, "until", xeno_json_time(limits->until_us));
    json_object_set_new(top, "from", xeno_json_time(limits->from_us));
    json_object_set_new(top, "most_per_hour",
                        limits->most_per_hour
                            ? xeno_json_money(limits->most_per_hour)
                            : json_null());
    json_object_set_new(top, "type", text_or_null(limits->env_type));
    json_object_set_new(top, "server", xeno_json_id(&limits->server));
    json_object_set_new(top, "quote", xeno_json_id(&limits->quote));
}

static void set_status(json_t *top, const Xn__OrderStatus *status)
{
    xn_id server = id_of(&status->server), session = id_of(&status->session);

    json_object_set_new(top, "state",
                        json_string(xeno_fate_name(status->fate)));
    json_object_set_new(top, "charged", xeno_json_money(status->charged));
    json_object_set_new(top, "fenced", xeno_json_money(status->fenced));
    json_object_set_new(top, "stopped", xeno_json_time(status->stopped_us));
    json_object_set_new(top, "accepted_by", xeno_json_id(&server));
    json_object_set_new(top, "session", xeno_json_id(&session));
}

static json_t *row_json(const struct xeno *xeno, const struct row *row)
{
    char note[XENO_NOTE_MAX + 1];
    json_t *top = json_object();

    json_object_set_new(top, "serial", xeno_json_id(&row->order.serial));
    json_object_set_new(top, "corp", xeno_json_id(&row->corp));
    json_object_set_new(top, "corp_name", json_string(row->corp_name));
    json_object_set_new(top, "issued",
                        xeno_json_time(row->order.head.issued_us));
    set_limits(top, &row->order.limits);
    set_status(top, row->status);
    xeno_order_note(xeno, &row->order.serial, note);
    json_object_set_new(top, "note", text_or_null(note));
    return top;
}

static int list_json(const struct xeno *xeno, const struct rows *rows)
{
    json_t *array = json_array();

    for (size_t i = 0; i < rows->n; i++)
        json_array_append_new(array, row_json(xeno, &rows->v[i]));
    return xeno_print_json(
        json_pack("{s:s, s:o}", "schema", "xeno.orders/1", "orders", array));
}

/* ---- table ---- */

static void put_row(const struct xeno *xeno, const struct row *row,
                    struct xeno_table *table)
{
    const Xn__OrderStatus *status = row->status;
    char serial[XN_ID_HEX], amount[MONEY_TEXT_MAX], charged[MONEY_TEXT_MAX];
    char fenced[MONEY_TEXT_MAX], until[XN_UTC_TEXT_MAX], server[XN_NAME_MAX];
    char note[XENO_NOTE_MAX + 1];
    xn_id by = id_of(&status->server);

    xn_id_hex(&row->order.serial, serial);
    serial[XENO_SERIAL_SHORT] = '\0';
    xn_utc_format(status->until_us - status->until_us % 1000000, until);
    xn_id_name(&by, NULL, server);
    xeno_order_note(xeno, &row->order.serial, note);
    xeno_table_row(
        table, (const char *const[]){
                   serial, xeno_fate_name(status->fate),
                   money_text(status->amount, status->currency, amount),
                   money_text(status->charged, status->currency, charged),
                   money_text(status->fenced, status->currency, fenced), until,
                   row->corp_name, xn_id_is_zero(&by) ? NULL : server, note});
}

static int list_table(const struct xeno *xeno, const struct rows *rows)
{
    static const char *const headings[] = {"ORDER",    "STATE",  "AMOUNT",
                                           "CHARGED",  "FENCED", "UNTIL",
                                           "XENOCORP", "SERVER", "NOTE"};
    struct xeno_table *table;

    if (!rows->n) {
        fputs("xeno: no orders yet: xeno order new 1GBP\n", stderr);
        return XN_EXIT_OK;
    }
    table = xeno_table_new(headings, 9, 0x1c);
    for (size_t i = 0; i < rows->n; i++)
        put_row(xeno, &rows->v[i], table);
    return xeno_table_print(table);
}

int xeno_order_list(struct xeno *xeno, int argc, char **argv)
{
    struct rows rows = {NULL, 0};
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 0, 0, &words);
    if (code >= 0) return code;
    code = gather(xeno, &rows);
    if (!code || code == XN_EXIT_PARTIAL) {
        int printed =
            xeno->json ? list_json(xeno, &rows) : list_table(xeno, &rows);

        if (printed) code = printed;
    }
    clear(&rows);
    return code;
}

/* ---- show ---- */

/* NULL: the XenoCorp does not answer, or has it no more; the papers stand. */
static Xn__OrderStatus *status_of(const struct xeno *xeno,
                                  const struct xeno_member *member,
                                  const xn_id *serial)
{
    char path[40 + XN_ID_HEX], hex[XN_ID_HEX];
    const struct xeno_question question = {.what = "",
                                           .method = "GET",
                                           .path = path,
                                           .answer = &xn__orders__descriptor,
                                           .quiet = true};
    Xn__OrderStatus *found = NULL;
    Xn__Orders *page = NULL;
    xn_id before = *serial;

    /* The list begins right behind the one before it. */
    for (size_t i = XN_ID_SIZE; i-- > 0;) {
        if (before.b[i]--) break;
    }
    xn_id_hex(&before, hex);
    snprintf(path, sizeof path, "/v1/orders?after=%s", hex);
    if (xeno_ask(xeno, member, &question, &page)) return NULL;
    if (page->n_orders && is_sane(page->orders[0]) &&
        memcmp(page->orders[0]->serial.data, serial->b, XN_ID_SIZE) == 0) {
        found = page->orders[0];
        page->orders[0] = page->orders[--page->n_orders];
    }
    xn__orders__free_unpacked(page, NULL);
    return found;
}

static void say_time(const char *name, uint64_t us)
{
    char text[XN_UTC_TEXT_MAX];

    if (!us) return;
    xn_utc_format(us, text);
    xeno_say(name, "%s", text);
}

static void say_id(const char *name, const xn_id *id)
{
    char hex[XN_ID_HEX];

    if (xn_id_is_zero(id)) return;
    xn_id_hex(id, hex);
    xeno_say(name, "%s", hex);
}

static void say_limits(const struct money_limits *limits)
{
    char text[MONEY_TEXT_MAX];

    xeno_say("amount", "%s",
             money_text(limits->amount, limits->currency, text));
    if (limits->most_per_hour)
        xeno_say("most per hour", "%s",
                 money_text(limits->most_per_hour, limits->currency, text));
    say_time("from", limits->from_us);
    say_time("until", limits->until_us);
    if (limits->env_type[0]) xeno_say("type", "%s", limits->env_type);
    say_id("server", &limits->server);
    say_id("quote", &limits->quote);
}

static void say_status(const Xn__OrderStatus *status)
{
    char text[MONEY_TEXT_MAX];
    xn_id server = id_of(&status->server), session = id_of(&status->session);

    xeno_say("state", "%s", xeno_fate_name(status->fate));
    xeno_say("charged", "%s",
             money_text(status->charged, status->currency, text));
    xeno_say("fenced", "%s",
             money_text(status->fenced, status->currency, text));
    say_id("accepted by", &server);
    say_id("session", &session);
    say_time("stopped", status->stopped_us);
}

static int show(const struct xeno *xeno, const struct xeno_member *member,
                const struct xeno_order *order, const Xn__OrderStatus *status)
{
    struct order_chain chain = xeno_order_chain(order);
    struct money_limits limits;
    json_t *top;

    (void)order_effective(&chain, &limits, NULL);
    if (!xeno->json) {
        say_id("order", &order->order.serial);
        xeno_say("XenoCorp", "%s", xeno_corp_name(member));
        if (order->note[0]) xeno_say("note", "%s", order->note);
        say_time("issued", order->order.head.issued_us);
        say_limits(&limits);
        xeno_say("narrowings", "%zu", order->n);
        if (status) say_status(status);
        return XN_EXIT_OK;
    }
    top = json_object();
    json_object_set_new(top, "schema", json_string("xeno.order/1"));
    json_object_set_new(top, "serial", xeno_json_id(&order->order.serial));
    json_object_set_new(top, "corp", xeno_json_id(&order->order.head.by));
    json_object_set_new(top, "corp_name", json_string(xeno_corp_name(member)));
    json_object_set_new(top, "issued",
                        xeno_json_time(order->order.head.issued_us));
    set_limits(top, &limits);
    json_object_set_new(top, "narrowings", json_integer((json_int_t)order->n));
    json_object_set_new(top, "note", text_or_null(order->note));
    if (status) set_status(top, status);
    return xeno_print_json(top);
}

int xeno_order_show(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_member member;
    struct xeno_order order;
    Xn__OrderStatus *status;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_order_find(xeno, argv[words], &member, &order);
    if (code) return code;
    status = status_of(xeno, &member, &order.order.serial);
    code = show(xeno, &member, &order, status);
    if (!code && !status)
        code = xeno_gripe(XN_ENOTYET, "where the order stands is not known",
                          "the XenoCorp does not answer", "again when it does");
    if (status) xn__order_status__free_unpacked(status, NULL);
    xeno_order_clear(&order);
    xeno_member_clear(&member);
    return code;
}
