/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_client.h"

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

#define REFERENCE_MAX 128

static const struct kind {
    const char *what, *path, *role;
} kinds[] = {
    {"cannot pay in", "/v1/accounts", "client"},
    {"cannot pay out", "/v1/payouts", "server"},
    {"cannot give credit", "/v1/credits", "client"},
    {"cannot take back", "/v1/takebacks", "client"},
};

struct wish {
    xn_id member, request;
    char currency[MONEY_CURRENCY_SIZE];
    int64_t micro;
    const char *reference;
};

/* PayIn, PayOut, Credit and TakeBack are alike, but in name. */
#define FILL(body, who, wish)                                                  \
    do {                                                                       \
        (body).who = xn_id_bytes(&(wish)->member);                             \
        (body).currency = (char *)(uintptr_t)(wish)->currency;                 \
        (body).micro = (wish)->micro;                                          \
        (body).request = xn_id_bytes(&(wish)->request);                        \
        (body).note = (char *)(uintptr_t)(wish)->reference;                    \
    } while (0)

static int send(const struct staff *staff, enum account_change how,
                const struct wish *wish, Xn__Account **account_out)
{
    Xn__PayIn in = XN__PAY_IN__INIT;
    Xn__PayOut out = XN__PAY_OUT__INIT;
    Xn__Credit credit = XN__CREDIT__INIT;
    Xn__TakeBack back = XN__TAKE_BACK__INIT;
    const void *body = &in;

    if (how == PAY_OUT) {
        FILL(out, server, wish);
        body = &out;
    } else if (how == GIVE_CREDIT) {
        FILL(credit, client, wish);
        body = &credit;
    } else if (how == TAKE_BACK) {
        FILL(back, client, wish);
        body = &back;
    } else {
        FILL(in, client, wish);
    }
    return staff_ask(staff, kinds[how].path, body, &xn__account__descriptor,
                     account_out);
}

static json_t *account_json(const Xn__MemberInfo *member, const char *role,
                            const Xn__Account *account)
{
    json_t *top = json_object();
    char name[XN_NAME_MAX] = "";
    xn_id id;

    if (!xn_id_from_bytes(&member->id, &id))
        xn_id_name(&id, member->label, name);
    json_object_set_new(top, role, json_string(name));
    json_object_set_new(top, "id", table_id(&member->id));
    json_object_set_new(top, "account", table_id(&account->account));
    json_object_set_new(top, "balance", net_json_money(account->balance));
    json_object_set_new(top, "credit", net_json_money(account->credit));
    json_object_set_new(top, "currency", json_string(account->currency));
    return top;
}

static int tell_account(const struct staff *staff, const Xn__MemberInfo *member,
                        const char *role, const Xn__Account *account, bool json)
{
    char text[MONEY_TEXT_MAX];
    json_t *top;
    xn_id id;

    if (xn_id_from_bytes(&account->account, &id) ||
        strlen(account->currency) != MONEY_CURRENCY_SIZE - 1)
        return staff_gripe(staff, XN_EPROTO, NULL, NULL);
    top = account_json(member, role, account);
    if (json) return table_show(top, "xenocorp.account/1", true);
    printf("%-8s %s\n", role, json_string_value(json_object_get(top, role)));
    printf("account  %s\n", json_string_value(json_object_get(top, "account")));
    printf("balance  %s\n",
           money_text(account->balance, account->currency, text));
    if (account->credit)
        printf("credit   %s\n",
               money_text(account->credit, account->currency, text));
    json_decref(top);
    return XN_EXIT_OK;
}

/* What is no amount is told. */
static int parse(enum account_change how, const char *amount,
                 const char *reference, struct wish *wish)
{
    size_t len = strlen(amount);
    const char *currency =
        amount +
        (len < MONEY_CURRENCY_SIZE ? 0 : len + 1 - MONEY_CURRENCY_SIZE);

    if (how == GIVE_CREDIT && amount[0] == '0' && currency == amount + 1 &&
        strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
            MONEY_CURRENCY_SIZE - 1) { /* the credit ends */
        wish->micro = 0;
        memcpy(wish->currency, currency, MONEY_CURRENCY_SIZE);
    } else if (money_amount_parse(amount, &wish->micro, wish->currency)) {
        return corp_usage("'%.60s' is no amount: above zero, like 10.50GBP, "
                          "with at most six places",
                          amount);
    }
    if (strlen(reference) > REFERENCE_MAX)
        return corp_usage("a reference is at most %d bytes", REFERENCE_MAX);
    wish->reference = reference;
    xn_id_hash(reference, strlen(reference), &wish->request);
    return XN_EXIT_OK;
}

int account_change(const char *program, enum account_change how,
                   const char *dir, const char *member, const char *amount,
                   const char *reference, bool json)
{
    const struct kind *kind = &kinds[how];
    Xn__Account *account = NULL;
    Xn__Members *who = NULL;
    struct staff staff = {.program = program};
    struct wish wish;
    int code = parse(how, amount, reference, &wish);

    if (!code) code = staff_open(&staff, program, kind->what, dir);
    if (how == PAY_OUT || how == GIVE_CREDIT) /* of pay-ins it says which */
        staff.conflict =
            "that reference was used for another amount or account";
    if (!code)
        code = staff_member(&staff, kind->role, member, STAFF_SHOWN, &who);
    if (!code && xn_id_from_bytes(&who->members[0]->id, &wish.member))
        code = staff_gripe(&staff, XN_EPROTO, NULL, NULL);
    if (!code) code = xn_exit_code(send(&staff, how, &wish, &account));
    if (!code && how == GIVE_CREDIT && account->credit != wish.micro)
        fprintf(stderr,
                "%s: that reference was used before, and other credit "
                "was given since: nothing is changed\n",
                program);
    if (!code)
        code = tell_account(&staff, who->members[0], kind->role, account, json);
    if (account) xn__account__free_unpacked(account, NULL);
    if (who) xn__members__free_unpacked(who, NULL);
    staff_close(&staff);
    return code;
}
