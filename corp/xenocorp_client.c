/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"
#include "wire/money.h"
#include "wire/msg.h"

#define WHAT "cannot pay in"
#define PATIENCE_MS 30000
#define REFERENCE_MAX 128
#define MICRO (XN_DEC_ONE / 1000000)

/* "10.50GBP" */
static int parse_amount(const char *text, int64_t *micro_out,
                        char currency[MONEY_CURRENCY_SIZE])
{
    size_t len = strlen(text);
    xn_dec d;

    if (len < MONEY_CURRENCY_SIZE) return XN_EINVAL;
    len -= MONEY_CURRENCY_SIZE - 1;
    memcpy(currency, text + len, MONEY_CURRENCY_SIZE);
    if (strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") !=
        MONEY_CURRENCY_SIZE - 1) {
        return XN_EINVAL;
    }
    if (xn_dec_parse(text, len, &d) || d.v <= 0 || d.v % MICRO != 0 ||
        d.v / MICRO > INT64_MAX) {
        return XN_EINVAL;
    }
    *micro_out = (int64_t)(d.v / MICRO);
    return 0;
}

/* Where the daemon said that it is found. */
static int read_url(const char *dir, struct net_corp *corp_out)
{
    char path[512], line[256] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/url", dir);
    file = fopen(path, "re");
    if (!file) return XN_ENOENT;
    if (!fgets(line, sizeof line, file)) line[0] = 0;
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return net_corp_parse(line, corp_out);
}

static int tell_refusal(const char *program, const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn__refusal__unpack(NULL, reply->body.len, reply->body.data);
    int rc = refusal ? refusal->rc : XN_EPROTO;

    if (refusal) {
        xn_gripe(program, WHAT, refusal->because,
                 refusal->try_[0] ? refusal->try_ : NULL);
        xn__refusal__free_unpacked(refusal, NULL);
    } else {
        xn_gripe(program, WHAT, xn_strerror(rc), NULL);
    }
    return rc ? rc : XN_EPROTO;
}

static int tell_account(const char *program, const struct net_reply *reply)
{
    Xn__Account *account =
        xn__account__unpack(NULL, reply->body.len, reply->body.data);
    char hex[XN_ID_HEX], text[MONEY_TEXT_MAX];
    xn_id id;
    int rc = XN_EPROTO;

    if (account && !xn_id_from_bytes(&account->account, &id) &&
        strlen(account->currency) == MONEY_CURRENCY_SIZE - 1) {
        xn_id_hex(&id, hex);
        printf("account  %s\nbalance  %s\n", hex,
               money_text(account->balance, account->currency, text));
        rc = 0;
    } else {
        xn_gripe(program, WHAT, xn_strerror(rc), NULL);
    }
    if (account) xn__account__free_unpacked(account, NULL);
    return rc;
}

static int send(const char *program, const struct net_identity *identity,
                const struct net_corp *corp, const Xn__PayIn *pay)
{
    struct net_reply reply;
    char url[200], why[256] = "";
    uint8_t *body = NULL;
    size_t len;
    int rc = xn_pack(pay, &body, &len);

    memset(&reply, 0, sizeof reply);
    if (rc) goto out;
    snprintf(url, sizeof url, "%s/v1/accounts", corp->url);
    rc = net_request(identity, "POST", url, body, len, &corp->id, PATIENCE_MS,
                     &reply, why, sizeof why);
    if (rc == XN_ETIMEOUT) rc = XN_EUNKNOWN;
    if (rc) {
        xn_gripe(program, WHAT, why[0] ? why : xn_strerror(rc),
                 "the same again: a reference pays in once; xenocorpd must "
                 "run");
    } else if (reply.status == 200) {
        rc = tell_account(program, &reply);
    } else {
        rc = tell_refusal(program, &reply);
    }
out:
    net_reply_clear(&reply);
    free(body);
    return rc;
}

int client_pay_in(const char *program, const char *dir, const char *client,
                  const char *amount, const char *reference)
{
    char currency[MONEY_CURRENCY_SIZE];
    struct net_identity identity;
    Xn__PayIn pay = XN__PAY_IN__INIT;
    struct net_corp corp;
    xn_id id, request;
    int rc;

    if (xn_id_unhex(client, strlen(client), &id) ||
        parse_amount(amount, &pay.micro, currency) || !reference[0] ||
        strlen(reference) > REFERENCE_MAX) {
        xn_gripe(program, WHAT,
                 "a client is 64 digits 0-9a-f, an amount is like 10.50GBP "
                 "with at most six places, a reference 1 to 128 bytes",
                 "xenocorp client pay-in DIR CLIENT 10GBP REFERENCE");
        return XN_EXIT_USAGE;
    }
    if (read_url(dir, &corp)) {
        xn_gripef(program, WHAT, "start xenocorpd first",
                  "%s/url does not say where the XenoCorp is found", dir);
        return XN_EXIT_NETWORK;
    }
    rc = net_identity_corp(program, dir, NULL, &identity);
    if (rc) return xn_exit_code(rc);
    xn_id_hash(reference, strlen(reference), &request);
    pay.client = xn_id_bytes(&id);
    pay.currency = currency;
    pay.request = xn_id_bytes(&request);
    pay.note = (char *)(uintptr_t)reference;
    rc = send(program, &identity, &corp, &pay);
    net_identity_clear(&identity);
    return xn_exit_code(rc);
}
