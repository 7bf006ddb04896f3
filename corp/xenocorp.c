/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The broker's tool: works on a XenoCorp's state folder. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/file.h"
#include "net/identity.h"

#define PROGRAM "xenocorp"

static const char help[] =
    "usage: xenocorp init DIR NAME       make a XenoCorp: key and certificate\n"
    "       xenocorp show DIR            its name, id and address\n"
    "       xenocorp accept DIR URL#ID   let that one's nodes announce here\n"
    "       xenocorp --help | --version\n"
    "\n"
    "DIR is the state folder of xenocorpd; NAME is like alpha.example.\n";

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
    print_corp(dir, &identity);
    net_identity_clear(&identity);
    return XN_EXIT_OK;
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

static int run(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    char because[128];

    if (strcmp(verb, "--help") == 0) {
        fputs(help, stdout);
        return XN_EXIT_OK;
    }
    if (strcmp(verb, "--version") == 0) {
        printf("%s (XenoServer) %s\n", PROGRAM, PACKAGE_VERSION);
        return XN_EXIT_OK;
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
    return xn_end(PROGRAM, run(argc, argv));
}
