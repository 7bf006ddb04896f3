/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno account: what is in the accounts, and how much of it orders have set
 * apart.  A XenoCorp tells an account when it is asked for its currency: asked
 * are the configured one and those of the orders, unless some are named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "tools/xeno_orders.h"

#define CURRENCIES_MAX 32

static const char cannot[] = "cannot show the account";

struct purse {
    char currency[MONEY_CURRENCY_SIZE];
    int64_t fenced;
};

struct purses {
    struct purse v[CURRENCIES_MAX];
    size_t n;
};

struct shown {
    struct xeno_table *table;
    json_t *array;
    size_t n;
};

static bool is_currency(const char *text)
{
    return strlen(text) == MONEY_CURRENCY_SIZE - 1 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
               MONEY_CURRENCY_SIZE - 1;
}

/* NULL: there is no room for one more. */
static struct purse *purse_of(struct purses *purses, const char *currency)
{
    size_t i = 0;

    while (i < purses->n && strcmp(purses->v[i].currency, currency) != 0)
        i++;
    if (i == CURRENCIES_MAX) return NULL;
    if (i == purses->n) {
        memset(&purses->v[i], 0, sizeof purses->v[i]);
        memcpy(purses->v[i].currency, currency, MONEY_CURRENCY_SIZE);
        purses->n++;
    }
    return &purses->v[i];
}

/* What orders have set apart; their currencies too, where none are named. */
static int add_orders(const struct xeno *xeno, const struct xeno_member *member,
                      bool named, struct purses *purses)
{
    Xn__OrderStatus **all;
    size_t n;
    int code = xeno_statuses(xeno, member, &all, &n);

    if (code) return code;
    for (size_t i = 0; i < n; i++) {
        size_t before = purses->n;
        struct purse *purse = is_currency(all[i]->currency)
                                  ? purse_of(purses, all[i]->currency)
                                  : NULL;

        if (purse && all[i]->fenced > 0 &&
            all[i]->fenced <= INT64_MAX - purse->fenced)
            purse->fenced += all[i]->fenced;
        if (named) purses->n = before;
    }
    xeno_statuses_free(all, n);
    return XN_EXIT_OK;
}

/* 0: told; XN_ENOENT: there is no such account; or a code that was told. */
static int ask(const struct xeno *xeno, const struct xeno_member *member,
               const char *currency, Xn__Account **account_out)
{
    char path[80];
    struct xeno_why why = {.rc = 0};
    const struct xeno_question question = {
        .what = cannot,
        .method = "GET",
        .path = path,
        .answer = &xn__account__descriptor,
        .why = &why,
    };
    int rc;

    snprintf(path, sizeof path, "/v1/accounts?currency=%s", currency);
    rc = xeno_ask(xeno, member, &question, account_out);
    if (rc && rc != XN_ENOENT) (void)xeno_tell(&why, cannot);
    if (!rc && (*account_out)->account.len != XN_ID_SIZE) {
        xn__account__free_unpacked(*account_out, NULL);
        xeno_gripe(XN_EPROTO, cannot, "the answer is not understood",
                   "another version of xeno");
        rc = XN_EPROTO;
    }
    return rc;
}

static void show(const struct xeno_member *member, const struct purse *purse,
                 const Xn__Account *account, struct shown *shown)
{
    char balance[MONEY_TEXT_MAX], fenced[MONEY_TEXT_MAX];
    char credit[MONEY_TEXT_MAX];
    const char *name = xeno_corp_name(member), *currency = purse->currency;

    shown->n++;
    xeno_table_row(
        shown->table,
        (const char *const[]){
            name, currency, money_text(account->balance, currency, balance),
            money_text(purse->fenced, currency, fenced),
            account->credit ? money_text(account->credit, currency, credit)
                            : NULL});
    json_array_append_new(
        shown->array,
        json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "corp_name", name,
                  "corp", xeno_json_id(&member->corp.id), "account",
                  xeno_json_id((const xn_id *)(void *)account->account.data),
                  "currency", currency, "balance",
                  xeno_json_money(account->balance), "fenced",
                  xeno_json_money(purse->fenced), "credit",
                  xeno_json_money(account->credit)));
}

static int show_at(const struct xeno *xeno, const struct xeno_member *member,
                   char **words, int n_words, struct shown *shown)
{
    struct purses purses = {.n = 0};
    Xn__Account *account;
    int rc = 0, code;

    for (int i = 0; i < n_words; i++)
        (void)purse_of(&purses, words[i]);
    if (!n_words && xeno->currency && is_currency(xeno->currency))
        (void)purse_of(&purses, xeno->currency);
    code = add_orders(xeno, member, n_words > 0, &purses);
    if (code) return code;
    for (size_t i = 0; i < purses.n; i++) {
        rc = ask(xeno, member, purses.v[i].currency, &account);
        if (rc == XN_ENOENT) continue;
        if (rc) return xn_exit_code(rc);
        show(member, &purses.v[i], account, shown);
        xn__account__free_unpacked(account, NULL);
    }
    return XN_EXIT_OK;
}

static int none(const struct xeno *xeno)
{
    if (!xeno->currency)
        return xeno_gripe(XN_EINVAL, cannot, "it is not said in which currency",
                          "xeno account GBP, or XENO_CURRENCY");
    return xeno_gripe(XN_ENOENT, cannot, "no XenoCorp has one of yours",
                      "pay in at the XenoCorp, which opens it; xeno register "
                      "says for which id");
}

/* partial: somebody did not answer, which was told. */
static int print(const struct xeno *xeno, struct shown *shown, bool partial)
{
    struct xeno_table *table = shown->table;
    json_t *array = shown->array;

    if (!shown->n && !partial) return none(xeno);
    if (xeno->json) {
        shown->array = NULL;
        return xeno_print_json(json_pack("{s:s, s:o}", "schema",
                                         "xeno.accounts/1", "accounts", array));
    }
    if (!shown->n) return XN_EXIT_OK;
    shown->table = NULL;
    return xeno_table_print(table);
}

int xeno_account(struct xeno *xeno, int argc, char **argv)
{
    static const char *const headings[] = {"XENOCORP", "CURRENCY", "BALANCE",
                                           "FENCED", "CREDIT"};
    struct xeno_member members[XENO_CORPS_MAX];
    struct shown shown = {.n = 0};
    size_t n;
    int words, code;

    code =
        xeno_options(xeno, NULL, 0, argc, argv, 0, CURRENCIES_MAX / 2, &words);
    if (code >= 0) return code;
    for (int i = words; i < argc; i++) {
        if (!is_currency(argv[i]))
            return xeno_usage("'%.60s' is no currency: three capitals",
                              argv[i]);
    }
    code = xeno_members(xeno, members, &n);
    shown.table = xeno_table_new(headings, 5, 0x1c);
    shown.array = json_array();
    for (size_t i = 0; i < n && (!code || code == XN_EXIT_PARTIAL); i++)
        code = xeno_part(
            n, code,
            show_at(xeno, &members[i], argv + words, argc - words, &shown));
    xeno_members_clear(members, n);
    if (!code || code == XN_EXIT_PARTIAL) {
        int printed = print(xeno, &shown, code == XN_EXIT_PARTIAL);

        if (printed) code = printed;
    }
    xeno_table_free(shown.table);
    json_decref(shown.array);
    return code;
}
