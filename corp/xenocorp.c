/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's tool: works on a XenoCorp's state folder. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "corp/xenocorp.h"
#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_books.h"
#include "corp/xenocorp_client.h"
#include "corp/xenocorp_lists.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/file.h"
#include "net/identity.h"

#define PROGRAM CORP_PROGRAM

/* ---- the XenoCorp itself ---- */

/* The address is known once the daemon has run. */
static json_t *url_of(const char *dir)
{
    char path[512], line[256] = "";
    json_t *url = json_null();
    FILE *file;

    snprintf(path, sizeof path, "%s/url", dir);
    file = fopen(path, "re");
    if (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        url = json_string(line);
    }
    if (file) fclose(file);
    return url;
}

static int print_corp(const char *dir, const struct net_identity *identity,
                      bool json)
{
    ProtobufCBinaryData id = xn_id_bytes(&identity->cert.id);
    json_t *url = url_of(dir), *top;

    if (!json) {
        char hex[XN_ID_HEX];

        xn_id_hex(&identity->cert.id, hex);
        printf("name  %s\nid    %s\n", identity->cert.label, hex);
        printf(json_is_string(url) ? "url   %s\n" : "pin   #%s\n",
               json_is_string(url) ? json_string_value(url) : hex);
        json_decref(url);
        return XN_EXIT_OK;
    }
    top = json_pack("{s:s, s:o, s:o}", "name", identity->cert.label, "id",
                    table_id(&id), "url", url);
    return table_show(top, "xenocorp.corp/1", true);
}

static int cannot_make(const char *dir, int rc)
{
    static const char what[] = "cannot make a XenoCorp";

    if (rc == XN_ECONFLICT)
        return xn_gripe_rcf(PROGRAM, rc, "EXISTS", what,
                            "xenocorp show DIR, or another folder",
                            "%s holds a key already", dir);
    if (rc == XN_EPERM)
        return xn_gripe_rcf(PROGRAM, rc, NULL, what, "chmod go-w",
                            "%s: others can change what is in it", dir);
    return xn_gripe_rcf(PROGRAM, rc, NULL, what, "another folder", "%s: %s",
                        dir, strerror(errno));
}

/* A XenoCorp of before, or one whose ledger was lost for good. */
static int init_ledger(const char *dir)
{
    struct net_identity identity;
    int code = staff_load(PROGRAM, "cannot make the ledger", dir, &identity);

    if (code) return code;
    code = books_init(PROGRAM, dir, &identity.cert.id);
    net_identity_clear(&identity);
    return code;
}

static int init(const struct call *call)
{
    const char *dir = call->words[0], *name = call->words[1];
    struct net_identity identity;
    int rc;

    if (call->ledger) return init_ledger(dir);
    if (!xn_label_valid(name, strlen(name)))
        return corp_usage("a name is 1 to 63 of a-z, 0-9, '.' and '-', not "
                          "'%.60s'",
                          name);
    if (staff_is_corp(dir)) return cannot_make(dir, XN_ECONFLICT);
    rc = net_file_dir(dir);
    if (!rc) rc = net_file_private(dir);
    if (rc) return cannot_make(dir, rc);
    rc = net_identity_corp(PROGRAM, dir, name, &identity);
    if (rc) return xn_exit_code(rc);
    rc = books_init(PROGRAM, dir, &identity.cert.id);
    if (!rc) rc = print_corp(dir, &identity, call->json);
    net_identity_clear(&identity);
    return rc;
}

static int show(const struct call *call)
{
    const char *dir = call->words[0];
    struct net_identity identity;
    int code = staff_load(PROGRAM, "cannot show the XenoCorp", dir, &identity);

    if (code) return code;
    code = print_corp(dir, &identity, call->json);
    net_identity_clear(&identity);
    return code;
}

static int accept_corp(const struct call *call)
{
    const char *dir = call->words[0];
    struct net_identity identity;
    struct net_corp corp;
    int code, rc;

    if (net_corp_parse(call->words[1], &corp) || !corp.pinned)
        return corp_usage("a XenoCorp is https://HOST:PORT#<64 hex digits>");
    code = staff_load(PROGRAM, "cannot accept a XenoCorp", dir, &identity);
    if (code) return code;
    rc = net_identity_accept(PROGRAM, dir, &corp, &identity);
    if (!rc) printf("accepted from the next start of xenocorpd on\n");
    net_identity_clear(&identity);
    return xn_exit_code(rc);
}

/* ---- what needs the store for itself ---- */

/* "17:<64 hex digits>" */
static int parse_receipt(const char *text, uint64_t *seq_out, xn_id *hash_out)
{
    char *end;

    if (*text < '1' || *text > '9') return XN_EINVAL;
    errno = 0;
    *seq_out = strtoull(text, &end, 10);
    if (errno || *end != ':') return XN_EINVAL;
    return xn_id_unhex(end + 1, strlen(end + 1), hash_out);
}

static int verify(const struct call *call)
{
    uint64_t seq = 0;
    xn_id hash;

    memset(&hash, 0, sizeof hash);
    if (call->expect && parse_receipt(call->expect, &seq, &hash))
        return corp_usage("a receipt is RECORD:HASH, as an audit prints it");
    return books_verify(PROGRAM, call->words[0], seq, &hash, call->json);
}

static int export(const struct call *call)
{
    return books_export(PROGRAM, call->words[0]);
}

static int backup(const struct call *call)
{
    return books_backup(PROGRAM, call->words[0], call->words[1]);
}

static int restore(const struct call *call)
{
    return books_restore(PROGRAM, call->words[0], call->words[1]);
}

/* ---- what the running XenoCorp is asked ---- */

static int members(const struct call *call)
{
    return list_members(PROGRAM, call->words[0], call->verb->noun, call->json);
}

static int member(const struct call *call)
{
    return show_member(PROGRAM, call->words[0], call->verb->noun,
                       call->words[1], (const char *const *)call->words + 2,
                       call->n - 2, call->json);
}

static int take_away(const struct call *call)
{
    if (!call->why || !call->why[0])
        return corp_usage("it wants a reason: --why TEXT");
    return revoke_member(PROGRAM, call->words[0], call->verb->noun,
                         call->words[1], call->why, call->json);
}

static int change(const struct call *call, enum account_change how)
{
    return account_change(PROGRAM, how, call->words[0], call->words[1],
                          call->words[2], call->words[3], call->json);
}

static int pay_in(const struct call *call)
{
    return change(call, PAY_IN);
}

static int pay_out(const struct call *call)
{
    return change(call, PAY_OUT);
}

static int credit(const struct call *call)
{
    return change(call, GIVE_CREDIT);
}

static int take_back(const struct call *call)
{
    return change(call, TAKE_BACK);
}

static int pay_ins(const struct call *call)
{
    return list_pay_ins(PROGRAM, call->words[0], call->words[1], call->words[2],
                        call->json);
}

static int orders(const struct call *call)
{
    return list_orders(PROGRAM, call->words[0],
                       call->n > 1 ? call->words[1] : NULL, call->json);
}

static int order(const struct call *call)
{
    return show_order(PROGRAM, call->words[0], call->words[1], call->json);
}

static int charges(const struct call *call)
{
    const char *order = call->n > 1 ? call->words[1] : NULL;

    if (order && call->client)
        return corp_usage("an order is one client's: --client says no more");
    if (!call->refused)
        return list_charges(PROGRAM, call->words[0], order, call->client,
                            call->json);
    if (order || call->client)
        return corp_usage("--refused lists those of all servers: '%.60s' is "
                          "one word too many",
                          order ? order : call->client);
    return list_refused(PROGRAM, call->words[0], call->json);
}

static int charge(const struct call *call)
{
    if (call->refused) {
        if (call->n > 2)
            return corp_usage("a refused claim is known by its hash alone: "
                              "charge show --refused DIR CLAIM");
        return show_refused(PROGRAM, call->words[0], call->words[1]);
    }
    if (call->n < 3) return corp_usage("SEQUENCE is missing");
    return show_charge(PROGRAM, call->words[0], call->words[1], call->words[2]);
}

/* In the order of a broker's first day. */
static const struct corp_verb verbs[] = {
    {"init", NULL, "DIR NAME", "Make a XenoCorp: key, certificate, ledger", 2,
     2, CALL_LEDGER, init},
    {"show", NULL, "DIR", "Its name, id and address", 1, 1, 0, show},
    {"accept", NULL, "DIR URL#ID", "Let another's nodes announce here", 2, 2, 0,
     accept_corp},
    {"client", "list", "DIR", "Who is registered", 1, 1, 0, members},
    {"client", "show", "DIR CLIENT [CURRENCY]...", "One, with accounts", 2, 18,
     0, member},
    {"client", "pay-in", "DIR CLIENT AMOUNT REFERENCE",
     "Money into a client's account", 4, 4, 0, pay_in},
    {"client", "take-back", "DIR CLIENT AMOUNT REFERENCE",
     "Such a payment was a mistake", 4, 4, 0, take_back},
    {"client", "pay-ins", "DIR CLIENT CURRENCY",
     "What was paid in, and taken back", 3, 3, 0, pay_ins},
    {"client", "credit", "DIR CLIENT AMOUNT REFERENCE",
     "How far below zero it may go", 4, 4, 0, credit},
    {"client", "revoke", "DIR CLIENT", "Take back its certificates", 2, 2,
     CALL_WHY, take_away},
    {"server", "list", "DIR", "Who is registered", 1, 1, 0, members},
    {"server", "show", "DIR SERVER [CURRENCY]...", "One, with accounts", 2, 18,
     0, member},
    {"server", "pay-out", "DIR SERVER AMOUNT REFERENCE",
     "Money that left for its owner", 4, 4, 0, pay_out},
    {"server", "revoke", "DIR SERVER", "Take back its certificates", 2, 2,
     CALL_WHY, take_away},
    {"node", "list", "DIR", "Who is registered", 1, 1, 0, members},
    {"node", "show", "DIR NODE", "One", 2, 2, 0, member},
    {"node", "revoke", "DIR NODE", "Take back its certificates", 2, 2, CALL_WHY,
     take_away},
    {"order", "list", "DIR [CLIENT]", "Orders and where they stand", 1, 2, 0,
     orders},
    {"order", "show", "DIR ORDER", "One, with its bill, verified", 2, 2, 0,
     order},
    {"charge", "list", "DIR [ORDER]", "Claims taken; or refused, and why", 1, 2,
     CALL_REFUSED | CALL_CLIENT, charges},
    {"charge", "show", "DIR ORDER SEQUENCE", "Claim and receipt as signed", 2,
     3, CALL_REFUSED, charge},
    {"audit", "verify", "DIR", "Read and add up the whole ledger", 1, 1,
     CALL_EXPECT, verify},
    {"audit", "export", "DIR", "Every operation, as lines of JSON", 1, 1, 0,
     export},
    {"backup", NULL, "DIR FILE", "All records into one new file", 2, 2, 0,
     backup},
    {"restore", NULL, "DIR FILE", "A store from it, audited", 2, 2, 0, restore},
};

int main(int argc, char **argv)
{
    struct call call;
    int code;

    umask(077); /* what it makes is the broker's alone */
    signal(SIGPIPE, SIG_IGN);
    code = corp_call(verbs, sizeof verbs / sizeof verbs[0], argc, argv, &call);
    if (code < 0) code = call.verb->run(&call);
    return xn_end(PROGRAM, code);
}
