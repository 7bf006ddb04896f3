/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/xenocorp_ask.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "wire/money.h"

#define REFERENCE_MAX 128

static const struct kind {
    const char *what, *path, *usage;
} kinds[] = {
    {"cannot pay in", "/v1/accounts",
     "xenocorp client pay-in DIR CLIENT 10GBP REFERENCE"},
    {"cannot pay out", "/v1/payouts",
     "xenocorp server pay-out DIR SERVER 10GBP REFERENCE"},
    {"cannot give credit", "/v1/credits",
     "xenocorp client credit DIR CLIENT 10GBP REFERENCE"},
};

struct wish {
    xn_id member, request;
    char currency[MONEY_CURRENCY_SIZE];
    int64_t micro;
    const char *reference;
};

/* PayIn, PayOut and Credit are alike, but in name. */
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
    const void *body = &in;

    if (how == PAY_OUT) {
        FILL(out, server, wish);
        body = &out;
    } else if (how == GIVE_CREDIT) {
        FILL(credit, client, wish);
        body = &credit;
    } else {
        FILL(in, client, wish);
    }
    return staff_ask(staff, kinds[how].path, body, &xn__account__descriptor,
                     account_out);
}

static int tell_account(const struct staff *staff, const Xn__Account *account)
{
    char hex[XN_ID_HEX], text[MONEY_TEXT_MAX];
    xn_id id;

    if (xn_id_from_bytes(&account->account, &id) ||
        strlen(account->currency) != MONEY_CURRENCY_SIZE - 1) {
        xn_gripe(staff->program, staff->what, xn_strerror(XN_EPROTO), NULL);
        return XN_EPROTO;
    }
    xn_id_hex(&id, hex);
    printf("account  %s\nbalance  %s\n", hex,
           money_text(account->balance, account->currency, text));
    if (account->credit)
        printf("credit   %s\n",
               money_text(account->credit, account->currency, text));
    return 0;
}

static int parse(enum account_change how, const char *member,
                 const char *amount, const char *reference, struct wish *wish)
{
    bool none = how == GIVE_CREDIT && strncmp(amount, "0", 1) == 0 &&
                strlen(amount) == MONEY_CURRENCY_SIZE;

    if (none) { /* the credit ends */
        wish->micro = 0;
        memcpy(wish->currency, amount + 1, MONEY_CURRENCY_SIZE);
    } else if (money_amount_parse(amount, &wish->micro, wish->currency)) {
        return XN_EINVAL;
    }
    wish->reference = reference;
    xn_id_hash(reference, strlen(reference), &wish->request);
    return xn_id_unhex(member, strlen(member), &wish->member) ||
                   !reference[0] || strlen(reference) > REFERENCE_MAX
               ? XN_EINVAL
               : 0;
}

int account_change(const char *program, enum account_change how,
                   const char *dir, const char *member, const char *amount,
                   const char *reference)
{
    Xn__Account *account = NULL;
    struct staff staff;
    struct wish wish;
    int rc, code;

    if (parse(how, member, amount, reference, &wish)) {
        xn_gripe(program, kinds[how].what,
                 "a client or server is 64 digits 0-9a-f, an amount is like "
                 "10.50GBP with at most six places, a reference 1 to 128 bytes",
                 kinds[how].usage);
        return XN_EXIT_USAGE;
    }
    code = staff_open(&staff, program, kinds[how].what, dir);
    if (code) return code;
    rc = send(&staff, how, &wish, &account);
    if (!rc) rc = tell_account(&staff, account);
    if (account) xn__account__free_unpacked(account, NULL);
    staff_close(&staff);
    return xn_exit_code(rc);
}
