/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno register: a key where there is none, and a certificate for it.  One key
 * may be a client of several XenoCorps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tools/xeno.h"

static const char what[] = "cannot register";

struct choice {
    const char *label, *owner, *invitation;
};

/* The user's name as far as it can be a label. */
static void default_label(char out[33])
{
    const char *user = net_env("USER");
    size_t n = 0;

    for (; user && *user && n < 32; user++) {
        char c = *user >= 'A' && *user <= 'Z' ? (char)(*user + 32) : *user;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out[n++] = c;
    }
    out[n] = '\0';
    if (!n) strcpy(out, "client");
}

/* A certificate of that corp is there and is good for longer than a third. */
static bool is_registered(const struct xeno *xeno, const struct net_corp *corp,
                          struct xeno_member *member_out)
{
    struct net_identity identity;
    char name[XN_ID_HEX + 16];
    const struct xn_cert *cert = &identity.cert;
    uint64_t now_us = net_wall_us();

    xeno_cert_name(xeno, &corp->id, name);
    if (net_identity_load_cert(xeno->state, name, &identity)) return false;
    if (xn_id_eq(&cert->corp, &corp->id) && cert->not_after_us > now_us &&
        cert->not_after_us - now_us >
            (cert->not_after_us - cert->not_before_us) / 3) {
        member_out->corp = *corp;
        member_out->identity = identity;
        return true;
    }
    net_identity_clear(&identity);
    return false;
}

static int enrol(const struct xeno *xeno, const struct net_corp *corp,
                 const struct choice *choice, struct xeno_member *member_out)
{
    char name[XN_ID_HEX + 16], label[33];
    struct net_enrolment enrolment = {
        .program = XENO_PROGRAM,
        .corp = corp,
        .role = XN__ROLE__CLIENT,
        .label = choice->label ? choice->label : label,
        .owner = choice->owner,
        .invitation = choice->invitation,
        .cert = name,
    };
    char folder[NET_PATH_MAX];
    int rc, code = xeno_folder(xeno, "corps", folder);

    if (code) return code;
    if (net_file_private(xeno->state)) {
        return xeno_gripef(XN_EPERM, what, "chmod go-w, or another XENO_KEY",
                           "%s: others can change what is in it", xeno->state);
    }
    default_label(label);
    xeno_cert_name(xeno, &corp->id, name);
    member_out->corp = *corp;
    rc = net_identity_enrol(xeno->state, &enrolment, &member_out->identity);
    return xn_exit_code(rc);
}

/* What the account holds, or how it comes to be. */
static int find_account(const struct xeno *xeno,
                        const struct xeno_member *member,
                        Xn__Account **account_out)
{
    char path[80];
    const struct xeno_question question = {
        .what = what,
        .method = "GET",
        .path = path,
        .answer = &xn__account__descriptor,
        .quiet = true,
    };

    *account_out = NULL;
    if (!xeno->currency || strlen(xeno->currency) != MONEY_CURRENCY_SIZE - 1)
        return XN_ENOENT;
    snprintf(path, sizeof path, "/v1/accounts?currency=%s", xeno->currency);
    return xeno_ask(xeno, member, &question, account_out);
}

static void say_account(const struct xeno *xeno, const Xn__Account *account,
                        int rc, const char *hex)
{
    const char *currency = xeno->currency ? xeno->currency : "USD";
    char balance[MONEY_TEXT_MAX];
    xn_id id;

    if (account && strlen(account->currency) == MONEY_CURRENCY_SIZE - 1 &&
        !xn_id_from_bytes(&account->account, &id)) {
        char text[XN_ID_HEX];

        xn_id_hex(&id, text);
        xeno_say("account", "%s", text);
        xeno_say("balance", "%s",
                 money_text(account->balance, account->currency, balance));
        xeno_say("next", "xeno order new 1%s", account->currency);
    } else if (rc == XN_ENOENT) {
        xeno_say("account", "none yet");
        xeno_say("next",
                 "pay in at the XenoCorp, for that id; its staff: xenocorp "
                 "client pay-in DIR %s 10%s REFERENCE",
                 hex, currency);
    } else {
        xeno_say("account", "not known: %s", xn_strerror(rc));
    }
}

static int show(const struct xeno *xeno, const struct xeno_member *member,
                bool is_new)
{
    const struct xn_cert *cert = &member->identity.cert;
    const struct xn_cert *corp =
        xn_anchors_find(member->identity.anchors, &member->corp.id);
    char name[XN_NAME_MAX], hex[XN_ID_HEX];
    Xn__Account *account;
    int rc = find_account(xeno, member, &account), code = XN_EXIT_OK;

    xn_id_name(&cert->id, cert->label, name);
    xn_id_hex(&cert->id, hex);
    if (xeno->json) {
        code = xeno_print_json(json_pack(
            "{s:s, s:b, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "schema",
            "xeno.register/1", "new", is_new, "name", name, "id",
            xeno_json_id(&cert->id), "corp", xeno_json_id(&member->corp.id),
            "corp_name", corp ? corp->label : "", "until",
            xeno_json_time(cert->not_after_us), "account",
            account && account->account.len == XN_ID_SIZE
                ? xeno_json_id((const xn_id *)(void *)account->account.data)
                : json_null(),
            "balance",
            account ? xeno_json_money(account->balance) : json_null(),
            "currency",
            account ? json_string(account->currency) : json_null()));
    } else {
        printf("%s with %s as %s\n",
               is_new ? "registered" : "registered already",
               corp ? corp->label : member->corp.url, name);
        xeno_say("id", "%s", hex);
        say_account(xeno, account, rc, hex);
    }
    if (account) xn__account__free_unpacked(account, NULL);
    return code;
}

int xeno_register(struct xeno *xeno, int argc, char **argv)
{
    struct choice choice = {NULL, NULL, NULL};
    const struct xn_option own[] = {
        XN_OPTION("label", 0, "NAME", "1 to 32 of a-z, 0-9 and '-' ($USER)",
                  &choice.label),
        XN_OPTION("owner", 0, "TEXT", "who you are, if the XenoCorp asks",
                  &choice.owner),
        XN_OPTION("invitation", 0, "TEXT", "where the XenoCorp wants one",
                  &choice.invitation),
    };
    struct xeno_member member = {.identity = {.key = NULL}};
    struct net_corp corp;
    int words, code;
    bool is_new;

    code = xeno_options(xeno, own, sizeof own / sizeof own[0], argc, argv, 0, 1,
                        &words);
    if (code >= 0) return code;
    if (words < argc) {
        if (net_corp_parse(argv[words], &corp) || !corp.pinned) {
            return xeno_usage("'%.200s' is no XenoCorp's https://host:port#ID",
                              argv[words]);
        }
    } else if (xeno->n_corps) {
        corp = xeno->corps[0];
    } else {
        return xeno_usage("which XenoCorp?  xeno register URL#ID");
    }
    if (net_talk_new(&member.talk)) return xeno_no_memory();
    is_new = !is_registered(xeno, &corp, &member);
    code = is_new ? enrol(xeno, &corp, &choice, &member) : XN_EXIT_OK;
    if (!code) code = show(xeno, &member, is_new);
    xeno_member_clear(&member);
    return code;
}
