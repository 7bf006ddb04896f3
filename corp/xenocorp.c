/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's tool: works on a XenoCorp's state folder. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "corp/xenocorp_books.h"
#include "corp/xenocorp_client.h"
#include "corp/xenocorp_lists.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/file.h"
#include "net/identity.h"

#define PROGRAM "xenocorp"

static const char help[] =
    "usage: xenocorp init DIR NAME       make a XenoCorp: key and certificate\n"
    "       xenocorp show DIR            its name, id and address\n"
    "       xenocorp accept DIR URL#ID   let that one's nodes announce here\n"
    "       xenocorp client list DIR, show DIR CLIENT [CURRENCY]...\n"
    "                                    who is registered, with accounts\n"
    "       xenocorp client pay-in DIR CLIENT AMOUNT REFERENCE\n"
    "                                    money into a client's account\n"
    "       xenocorp client credit DIR CLIENT AMOUNT REFERENCE\n"
    "                                    how far below zero it may go\n"
    "       xenocorp server list DIR, show DIR SERVER [CURRENCY]...\n"
    "       xenocorp server pay-out DIR SERVER AMOUNT REFERENCE\n"
    "                                    money that left for its owner\n"
    "       xenocorp order list DIR [CLIENT], show DIR SERIAL\n"
    "       xenocorp charge list DIR [SERIAL]\n"
    "       xenocorp charge list DIR --refused\n"
    "                                    claims taken, or refused and why\n"
    "       xenocorp charge show DIR SERIAL SEQUENCE\n"
    "                                    claim and receipt as signed\n"
    "       xenocorp init --ledger DIR   an empty ledger for one without\n"
    "       xenocorp audit verify [--expect RECORD:HASH] DIR\n"
    "                                    read and add up the whole ledger\n"
    "       xenocorp audit export DIR    every operation, as lines of JSON\n"
    "       xenocorp backup DIR FILE     all records into one new file\n"
    "       xenocorp restore DIR FILE    a store from it, audited\n"
    "       xenocorp --help | --version\n"
    "\n"
    "DIR is the state folder of xenocorpd, which must run for client, server,\n"
    "order and charge, and must not for all else but show and accept.  -o "
    "json\n"
    "behind a list or a show prints JSON.  NAME is like alpha.example.\n"
    "RECORD:HASH is the receipt that an audit ends with: a ledger that was "
    "set\n"
    "back since has lost it.\n";

static int usage(const char *because)
{
    xn_gripe(PROGRAM, "cannot understand the command line", because,
             "xenocorp --help");
    return XN_EXIT_USAGE;
}

/* The address is known once the daemon has run. */
static void print_url(const char *dir, const xn_id *id)
{
    char path[512], line[256] = "", hex[XN_ID_HEX];
    FILE *file;

    snprintf(path, sizeof path, "%s/url", dir);
    file = fopen(path, "re");
    if (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        printf("url   %s\n", line);
    } else {
        xn_id_hex(id, hex);
        printf("pin   #%s\n", hex);
    }
    if (file) fclose(file);
}

static void print_corp(const char *dir, const struct net_identity *identity)
{
    char hex[XN_ID_HEX];

    xn_id_hex(&identity->cert.id, hex);
    printf("name  %s\n", identity->cert.label);
    printf("id    %s\n", hex);
    print_url(dir, &identity->cert.id);
}

/* Does the folder hold an identity? */
static bool is_taken(const char *dir)
{
    char path[512];

    snprintf(path, sizeof path, "%s/key.pem", dir);
    return access(path, F_OK) == 0;
}

static int init(const char *dir, const char *name)
{
    static const char what[] = "cannot make a XenoCorp";
    struct net_identity identity;
    int rc;

    if (!xn_label_valid(name, strlen(name))) {
        return usage("a name is 1 to 63 of a-z, 0-9, '.' and '-'");
    }
    if (is_taken(dir)) {
        xn_gripef(PROGRAM, what, "xenocorp show DIR, or another folder",
                  "%s holds a key already", dir);
        return XN_EXIT_FAILED;
    }
    rc = net_file_dir(dir);
    if (!rc) rc = net_file_private(dir);
    if (rc) {
        xn_gripef(PROGRAM, what, rc == XN_EPERM ? "chmod go-w" : NULL, "%s: %s",
                  dir,
                  rc == XN_EPERM ? "others can change what is in it"
                                 : strerror(errno));
        return xn_exit_code(rc);
    }
    rc = net_identity_corp(PROGRAM, dir, name, &identity);
    if (rc) return xn_exit_code(rc);
    rc = books_init(PROGRAM, dir, &identity.cert.id);
    if (!rc) print_corp(dir, &identity);
    net_identity_clear(&identity);
    return rc;
}

/* The folder's identity, which must be a corp's; otherwise the exit code. */
static int load(const char *dir, struct net_identity *identity)
{
    if (!is_taken(dir)) {
        xn_gripef(PROGRAM, "cannot use the XenoCorp", "xenocorp init DIR NAME",
                  "%s holds no key", dir);
        return XN_EXIT_FAILED;
    }
    return xn_exit_code(net_identity_corp(PROGRAM, dir, NULL, identity));
}

static int show(const char *dir)
{
    struct net_identity identity;
    int code = load(dir, &identity);

    if (code) return code;
    print_corp(dir, &identity);
    net_identity_clear(&identity);
    return XN_EXIT_OK;
}

static int accept_corp(const char *dir, const char *text)
{
    struct net_identity identity;
    struct net_corp corp;
    int code, rc;

    if (net_corp_parse(text, &corp) || !corp.pinned) {
        return usage("a XenoCorp is https://HOST:PORT#<64 hex digits>");
    }
    code = load(dir, &identity);
    if (code) return code;
    rc = net_identity_accept(PROGRAM, dir, &corp, &identity);
    net_identity_clear(&identity);
    return xn_exit_code(rc);
}

/* A XenoCorp of before, or one whose ledger was lost for good. */
static int init_ledger(const char *dir)
{
    struct net_identity identity;
    int code = load(dir, &identity);

    if (code) return code;
    code = books_init(PROGRAM, dir, &identity.cert.id);
    net_identity_clear(&identity);
    return code;
}

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

static int audit(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[2] : "";
    uint64_t seq = 0;
    xn_id hash;

    memset(&hash, 0, sizeof hash);
    if (strcmp(verb, "export") == 0 && argc == 4) {
        return books_export(PROGRAM, argv[3]);
    }
    if (strcmp(verb, "verify") == 0 && argc == 6 &&
        strcmp(argv[3], "--expect") == 0) {
        if (parse_receipt(argv[4], &seq, &hash)) {
            return usage("a receipt is RECORD:HASH, as an audit prints it");
        }
        return books_verify(PROGRAM, argv[5], seq, &hash);
    }
    if (strcmp(verb, "verify") == 0 && argc == 4 && argv[3][0] != '-') {
        return books_verify(PROGRAM, argv[3], 0, NULL);
    }
    return usage("audit takes 'verify [--expect RECORD:HASH] DIR' or "
                 "'export DIR'");
}

/* ---- what the running XenoCorp is asked ---- */

/* "-o json" at the end, which is taken off. */
static bool wants_json(int *argc, char **argv)
{
    if (*argc < 3 || strcmp(argv[*argc - 2], "-o") != 0 ||
        strcmp(argv[*argc - 1], "json") != 0)
        return false;
    *argc -= 2;
    return true;
}

static int members(int argc, char **argv, bool json)
{
    const char *role = argv[1], *verb = argc > 2 ? argv[2] : "";
    bool client = strcmp(role, "client") == 0;

    if (strcmp(verb, "list") == 0 && argc == 4)
        return list_members(PROGRAM, argv[3], role, json);
    if (strcmp(verb, "show") == 0 && argc >= 5)
        return show_member(PROGRAM, argv[3], role, argv[4],
                           (const char *const *)argv + 5, argc - 5, json);
    if (argc == 7 && !json) {
        if (client && strcmp(verb, "pay-in") == 0)
            return account_change(PROGRAM, PAY_IN, argv[3], argv[4], argv[5],
                                  argv[6]);
        if (client && strcmp(verb, "credit") == 0)
            return account_change(PROGRAM, GIVE_CREDIT, argv[3], argv[4],
                                  argv[5], argv[6]);
        if (!client && strcmp(verb, "pay-out") == 0)
            return account_change(PROGRAM, PAY_OUT, argv[3], argv[4], argv[5],
                                  argv[6]);
    }
    return usage(client ? "client takes list, show, pay-in or credit, and what "
                          "--help says behind it"
                        : "server takes list, show or pay-out, and what --help "
                          "says behind it");
}

static int orders(int argc, char **argv, bool json)
{
    const char *verb = argc > 2 ? argv[2] : "";

    if (strcmp(verb, "list") == 0 && (argc == 4 || argc == 5))
        return list_orders(PROGRAM, argv[3], argc == 5 ? argv[4] : NULL, json);
    if (strcmp(verb, "show") == 0 && argc == 5)
        return show_order(PROGRAM, argv[3], argv[4], json);
    return usage("order takes 'list DIR [CLIENT]' or 'show DIR SERIAL'");
}

static int charges(int argc, char **argv, bool json)
{
    const char *verb = argc > 2 ? argv[2] : "";

    if (strcmp(verb, "list") == 0 && argc == 5 &&
        strcmp(argv[4], "--refused") == 0)
        return list_refused(PROGRAM, argv[3], json);
    if (strcmp(verb, "list") == 0 && (argc == 4 || argc == 5))
        return list_charges(PROGRAM, argv[3], argc == 5 ? argv[4] : NULL, json);
    if (strcmp(verb, "show") == 0 && argc == 6 && !json)
        return show_charge(PROGRAM, argv[3], argv[4], argv[5]);
    return usage("charge takes 'list DIR [SERIAL]', 'list DIR --refused' or "
                 "'show DIR SERIAL SEQUENCE'");
}

/* Below zero: it is none of these. */
static int ask_running(int argc, char **argv)
{
    const char *noun = argc > 1 ? argv[1] : "";
    bool json = wants_json(&argc, argv);

    if (strcmp(noun, "client") == 0 || strcmp(noun, "server") == 0)
        return members(argc, argv, json);
    if (strcmp(noun, "order") == 0) return orders(argc, argv, json);
    if (strcmp(noun, "charge") == 0) return charges(argc, argv, json);
    return -1;
}

static int run(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    char because[128];
    int code;

    if (strcmp(verb, "--help") == 0) {
        fputs(help, stdout);
        return XN_EXIT_OK;
    }
    if (strcmp(verb, "--version") == 0) {
        printf("%s (XenoServer) %s\n", PROGRAM, PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    if (strcmp(verb, "audit") == 0) return audit(argc, argv);
    code = ask_running(argc, argv);
    if (code >= 0) return code;
    if (strcmp(verb, "backup") == 0) {
        if (argc != 4) return usage("backup takes a folder and a file");
        return books_backup(PROGRAM, argv[2], argv[3]);
    }
    if (strcmp(verb, "restore") == 0) {
        if (argc != 4) return usage("restore takes a folder and a file");
        return books_restore(PROGRAM, argv[2], argv[3]);
    }
    if (strcmp(verb, "init") == 0 && argc == 4 &&
        strcmp(argv[2], "--ledger") == 0) {
        return init_ledger(argv[3]);
    }
    if (strcmp(verb, "init") == 0) {
        if (argc != 4) return usage("init takes a folder and a name");
        return init(argv[2], argv[3]);
    }
    if (strcmp(verb, "show") == 0) {
        if (argc != 3) return usage("show takes a folder");
        return show(argv[2]);
    }
    if (strcmp(verb, "accept") == 0) {
        if (argc != 4) return usage("accept takes a folder and a URL#ID");
        return accept_corp(argv[2], argv[3]);
    }
    if (argc < 2) return usage("a command is missing");
    snprintf(because, sizeof because, "there is no command '%.80s'", argv[1]);
    return usage(because);
}

int main(int argc, char **argv)
{
    umask(077); /* what it makes is the broker's alone */
    return xn_end(PROGRAM, run(argc, argv));
}
