/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"
#include "lib/utc.h"
#include "tools/xeno_bill.h"
#include "tools/xeno_orders.h"

#define CURRENCIES_MAX 16

/* The dimensions of prices and usages, by the names of their elements. */
static const struct {
    const char *price, *usage;
    size_t price_at, usage_at;
} kinds[] = {
#define P(field) offsetof(struct price_list, field)
#define U(field) offsetof(struct price_usage, field)
    {"PricePerHour", "hours", P(per_hour), U(hours)},
    {"CPUSecond", "cpu_s", P(cpu_second), U(cpu_s)},
    {"MemoryMBHour", "memory_mb_h", P(memory_mb_hour), U(memory_mb_h)},
    {"NetGB", "net_gb", P(net_gb), U(net_gb)},
    {"DiskGBHour", "disk_gb_h", P(disk_gb_hour), U(disk_gb_h)},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static xn_dec dec_at(const void *base, size_t at)
{
    xn_dec d;

    memcpy(&d, (const char *)base + at, sizeof d);
    return d;
}

static const char *dec_text(const void *base, size_t at,
                            char out[XN_DEC_TEXT_MAX])
{
    xn_dec_format(dec_at(base, at), out);
    return out;
}

/* Whole seconds: what people read. */
static const char *time_text(uint64_t us, char out[XN_UTC_TEXT_MAX])
{
    xn_utc_format(us - us % 1000000, out);
    return out;
}

/* ---- JSON ---- */

static json_t *prices_json(const struct bill *bill)
{
    json_t *prices = json_object();
    char text[XN_DEC_TEXT_MAX];
    const struct price_list *list = &bill->quote.prices;

    json_object_set_new(prices, "currency", json_string(bill->quote.currency));
    json_object_set_new(
        prices, "SetUp",
        json_string(dec_text(list, offsetof(struct price_list, setup), text)));
    for (size_t i = 0; i < KINDS; i++)
        json_object_set_new(
            prices, kinds[i].price,
            json_string(dec_text(list, kinds[i].price_at, text)));
    return prices;
}

static json_t *claim_json(const struct bill_line *line)
{
    const struct money_claim *claim = &line->claim;
    json_t *top = json_object(), *usage = json_object();
    char text[XN_DEC_TEXT_MAX];

    for (size_t i = 0; i < KINDS; i++)
        json_object_set_new(
            usage, kinds[i].usage,
            json_string(dec_text(&claim->usage, kinds[i].usage_at, text)));
    json_object_set_new(top, "sequence",
                        json_integer((json_int_t)claim->sequence));
    json_object_set_new(top, "till", xeno_json_time(claim->till_us));
    json_object_set_new(top, "usage", usage);
    json_object_set_new(top, "charge", xeno_json_money(line->receipt.charge));
    json_object_set_new(top, "total", xeno_json_money(claim->amount));
    json_object_set_new(top, "currency", json_string(claim->currency));
    json_object_set_new(top, "taken",
                        xeno_json_time(line->receipt.head.issued_us));
    json_object_set_new(top, "final",
                        json_boolean(claim->state == MONEY_FINAL));
    json_object_set_new(top, "activity", json_string(claim->activity));
    json_object_set_new(top, "document", xeno_json_id(&claim->head.hash));
    return top;
}

static void set_session(json_t *top, const struct bill *bill)
{
    const struct money_acceptance *acceptance = &bill->acceptance;
    json_t *claims = json_array();

    for (size_t i = 0; i < bill->n_lines; i++)
        json_array_append_new(claims, claim_json(&bill->lines[i]));
    json_object_set_new(top, "server", xeno_json_id(&acceptance->server));
    json_object_set_new(top, "session", xeno_json_id(&acceptance->session));
    json_object_set_new(top, "accepted",
                        xeno_json_time(acceptance->head.issued_us));
    json_object_set_new(top, "prepaid", xeno_json_money(acceptance->prepaid));
    json_object_set_new(top, "prices", prices_json(bill));
    json_object_set_new(
        top, "stopped",
        xeno_json_time(bill->stopped ? bill->stop_receipt.head.issued_us : 0));
    json_object_set_new(top, "claims", claims);
}

static json_t *bill_json(const struct bill *bill, const char *corp)
{
    const struct money_limits *limits = &bill->order.limits;
    json_t *top = json_object();

    json_object_set_new(top, "schema", json_string("xeno.bill/1"));
    json_object_set_new(top, "verified", json_true());
    json_object_set_new(top, "serial", xeno_json_id(&bill->order.serial));
    json_object_set_new(top, "corp", xeno_json_id(&bill->order.head.by));
    json_object_set_new(top, "corp_name", json_string(corp));
    json_object_set_new(top, "holder", xeno_json_id(&bill->order.holder));
    json_object_set_new(top, "state", json_string(xeno_fate_name(bill->fate)));
    json_object_set_new(top, "currency", json_string(limits->currency));
    json_object_set_new(top, "amount", xeno_json_money(limits->amount));
    json_object_set_new(top, "charged", xeno_json_money(bill->charged));
    json_object_set_new(top, "paid", xeno_json_money(bill->paid));
    json_object_set_new(top, "left", xeno_json_money(bill->left));
    json_object_set_new(top, "released", xeno_json_money(bill->released));
    json_object_set_new(top, "narrowings",
                        json_integer((json_int_t)bill->n_narrowings));
    if (bill->accepted) set_session(top, bill);
    return top;
}

/* ---- for people ---- */

static void say_money(const char *name, const struct bill *bill, int64_t micro)
{
    char text[MONEY_TEXT_MAX];

    xeno_say(name, "%s", money_text(micro, bill->order.limits.currency, text));
}

static void say_id(const char *name, const xn_id *id)
{
    char hex[XN_ID_HEX];

    xn_id_hex(id, hex);
    xeno_say(name, "%s", hex);
}

static void say_prices(const struct bill *bill)
{
    const struct price_list *list = &bill->quote.prices;
    char line[400] = "", text[XN_DEC_TEXT_MAX];
    size_t len = 0;

    if (list->setup.v)
        len += (size_t)snprintf(
            line, sizeof line, "SetUp %s, ",
            dec_text(list, offsetof(struct price_list, setup), text));
    for (size_t i = 0; i < KINDS; i++) {
        if (!dec_at(list, kinds[i].price_at).v) continue;
        len += (size_t)snprintf(line + len, sizeof line - len, "%s %s, ",
                                kinds[i].price,
                                dec_text(list, kinds[i].price_at, text));
    }
    xeno_say("prices", "%sin %s", line, bill->quote.currency);
}

static int put_claims(const struct bill *bill)
{
    static const char *const headings[] = {
        "CLAIM",  "TILL",      "HOURS",  "CPU_S", "MEMORY_MB_H",
        "NET_GB", "DISK_GB_H", "CHARGE", "TOTAL", "ACTIVITY"};
    struct xeno_table *table = xeno_table_new(headings, 10, 0x1fd);

    for (size_t i = 0; i < bill->n_lines; i++) {
        const struct bill_line *line = &bill->lines[i];
        const struct money_claim *claim = &line->claim;
        char number[24], till[XN_UTC_TEXT_MAX], usage[KINDS][XN_DEC_TEXT_MAX];
        char charge[MONEY_TEXT_MAX], total[MONEY_TEXT_MAX];

        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)claim->sequence);
        for (size_t j = 0; j < KINDS; j++)
            dec_text(&claim->usage, kinds[j].usage_at, usage[j]);
        money_text(line->receipt.charge, claim->currency, charge);
        money_text(claim->amount, claim->currency, total);
        xeno_table_row(table, (const char *const[]){
                                  number, time_text(claim->till_us, till),
                                  usage[0], usage[1], usage[2], usage[3],
                                  usage[4], charge, total, claim->activity});
    }
    return xeno_table_print(table);
}

static void say_verified(const struct bill *bill)
{
    char text[MONEY_TEXT_MAX];

    if (!bill->accepted) {
        xeno_say("verified", "order; nobody was paid");
        return;
    }
    xeno_say("verified",
             "order, %zu narrowing%s, quote, acceptance, %zu claim%s with "
             "%s receipt%s%s, sum %s",
             bill->n_narrowings, bill->n_narrowings == 1 ? "" : "s",
             bill->n_lines, bill->n_lines == 1 ? "" : "s",
             bill->n_lines == 1 ? "its" : "their",
             bill->n_lines == 1 ? "" : "s", bill->stopped ? ", stop" : "",
             money_text(bill->charged, bill->order.limits.currency, text));
}

static int print_text(const struct bill *bill, const char *corp)
{
    char text[XN_UTC_TEXT_MAX];
    int code = XN_EXIT_OK;

    say_id("order", &bill->order.serial);
    xeno_say("XenoCorp", "%s", corp);
    xeno_say("state", "%s", xeno_fate_name(bill->fate));
    say_money("amount", bill, bill->order.limits.amount);
    if (bill->accepted) {
        say_id("server", &bill->acceptance.server);
        say_id("session", &bill->acceptance.session);
        xeno_say("accepted", "%s",
                 time_text(bill->acceptance.head.issued_us, text));
        say_prices(bill);
        if (bill->n_lines) {
            putchar('\n');
            code = put_claims(bill);
            putchar('\n');
        }
        if (bill->stopped)
            xeno_say("stopped", "%s",
                     time_text(bill->stop_receipt.head.issued_us, text));
    }
    say_money("charged", bill, bill->charged);
    if (bill->paid != bill->charged) say_money("paid", bill, bill->paid);
    if (bill->left) say_money("left", bill, bill->left);
    if (bill->released) say_money("released", bill, bill->released);
    say_verified(bill);
    return code;
}

int xeno_bill_print(const struct xeno *xeno, const struct bill *bill,
                    const char *corp, bool briefly)
{
    if (xeno->json) return xeno_print_json(bill_json(bill, corp));
    if (!briefly) return print_text(bill, corp);
    say_id("order", &bill->order.serial);
    say_verified(bill);
    return XN_EXIT_OK;
}

/* ---- many ---- */

struct sum {
    char currency[MONEY_CURRENCY_SIZE];
    xn_i128 charged, left;
};

struct xeno_bills {
    bool json;
    json_t *array;
    struct xeno_table *table;
    size_t n, n_sums;
    struct sum sums[CURRENCIES_MAX];
};

struct xeno_bills *xeno_bills_new(const struct xeno *xeno)
{
    static const char *const headings[] = {"ORDER",    "STATE",   "AMOUNT",
                                           "CLAIMS",   "CHARGED", "LEFT",
                                           "RELEASED", "XENOCORP"};
    struct xeno_bills *bills = calloc(1, sizeof *bills);

    if (!bills) return NULL;
    bills->json = xeno->json;
    if (bills->json) {
        bills->array = json_array();
    } else {
        bills->table = xeno_table_new(headings, 8, 0x7c);
    }
    return bills;
}

static void add_sum(struct xeno_bills *bills, const struct bill *bill)
{
    const char *currency = bill->order.limits.currency;
    size_t i = 0;

    while (i < bills->n_sums && strcmp(bills->sums[i].currency, currency))
        i++;
    if (i == CURRENCIES_MAX) return;
    if (i == bills->n_sums) {
        strcpy(bills->sums[i].currency, currency);
        bills->n_sums++;
    }
    bills->sums[i].charged += bill->charged;
    bills->sums[i].left += bill->left;
}

void xeno_bills_add(struct xeno_bills *bills, const struct bill *bill,
                    const char *corp)
{
    const char *currency = bill->order.limits.currency;
    char hex[XN_ID_HEX], n[24], amount[MONEY_TEXT_MAX];
    char charged[MONEY_TEXT_MAX], left[MONEY_TEXT_MAX];
    char released[MONEY_TEXT_MAX];

    if (!bills) return;
    bills->n++;
    if (bills->json) {
        json_array_append_new(bills->array, bill_json(bill, corp));
        return;
    }
    add_sum(bills, bill);
    xn_id_hex(&bill->order.serial, hex);
    hex[XENO_SERIAL_SHORT] = '\0';
    snprintf(n, sizeof n, "%zu", bill->n_lines);
    xeno_table_row(bills->table,
                   (const char *const[]){
                       hex, xeno_fate_name(bill->fate),
                       money_text(bill->order.limits.amount, currency, amount),
                       n, money_text(bill->charged, currency, charged),
                       money_text(bill->left, currency, left),
                       money_text(bill->released, currency, released), corp});
}

static int print_sums(struct xeno_bills *bills)
{
    int code = xeno_table_print(bills->table);

    bills->table = NULL;
    for (size_t i = 0; i < bills->n_sums; i++) {
        const struct sum *sum = &bills->sums[i];
        char charged[MONEY_TEXT_MAX], left[MONEY_TEXT_MAX];

        if (sum->charged > INT64_MAX || sum->left > INT64_MAX) continue;
        xeno_say("total", "%s charged, %s left",
                 money_text((int64_t)sum->charged, sum->currency, charged),
                 money_text((int64_t)sum->left, sum->currency, left));
    }
    return code;
}

int xeno_bills_end(struct xeno_bills *bills, int code)
{
    int printed = XN_EXIT_OK;
    bool some;

    if (!bills) return xeno_no_memory();
    /* With a part of them missing, the others are shown all the same. */
    some = !code || code == XN_EXIT_PARTIAL;
    if (some && bills->json) {
        printed = xeno_print_json(json_pack(
            "{s:s, s:O}", "schema", "xeno.bills/1", "bills", bills->array));
    } else if (some && bills->n) {
        printed = print_sums(bills);
    } else if (!code) {
        fputs("xeno: no orders yet: xeno order new 1GBP\n", stderr);
    }
    json_decref(bills->array);
    xeno_table_free(bills->table);
    free(bills);
    return printed ? printed : code;
}
