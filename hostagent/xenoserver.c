/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver: the operator's tool.  The verbs are in files of their own. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "hostagent/xenoserver.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"

/* In the order of an operator's first day. */
static const struct server_verb verbs[] = {
    {"join", "[CORP] [TOKEN=VALUE]...",
     "Register this server, write its configuration", server_join},
    {"doctor", "", "Check what keeps a server from earning", server_doctor},
    {"status", "", "What the running xenohostd does", server_status},
    {"page", "", "Show it in a browser on this machine", server_page},
    {"metrics", "", "What it counts, for Prometheus", server_metrics},
    {"offer", "[TOKEN=VALUE]...", "Show or change what is offered",
     server_offer},
    {"drain", "", "Take the advertisement back", server_drain},
    {"undrain", "", "Offer again", server_undrain},
    {"activity", "[SESSION]", "Whom tasks talked to, claim by claim",
     server_activity},
    {"earnings", "", "What the accounts hold", server_earnings},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static int help(void)
{
    puts("usage: xenoserver VERB [OPTION]... [WORD]...\n");
    for (size_t i = 0; i < VERBS; i++) {
        char line[80];

        snprintf(line, sizeof line, "%s %s", verbs[i].verb, verbs[i].words);
        printf("  xenoserver %-30s %s\n", line, verbs[i].help);
    }
    puts("\nEach takes --help, --state DIR, --config FILE, -o table|json and "
         "--timeout DUR.\nState folder and configuration are xenohostd's.");
    return XN_EXIT_OK;
}

static int unknown(const char *word)
{
    const char *names[VERBS], *near;

    for (size_t i = 0; i < VERBS; i++)
        names[i] = verbs[i].verb;
    near = word[0] == '-' ? NULL : xn_nearest(word, names, VERBS);
    return server_usage(
        "there is no %s '%.60s'%s%s%s", word[0] == '-' ? "option" : "verb",
        word, near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static int run(int argc, char **argv)
{
    static struct server server;
    const char *word = argc > 1 ? argv[1] : "";
    int code;

    if (!word[0]) return server_usage("a verb is missing");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        strcmp(word, "help") == 0)
        return help();
    if (strcmp(word, "--version") == 0) {
        printf("%s (XenoServer) %s\n", SERVER_PROGRAM, PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].verb, word) != 0) continue;
        server.verb = &verbs[i];
        code = verbs[i].run(&server, argc - 1, argv + 1);
        server_clear(&server);
        return code;
    }
    return unknown(word);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    xn_log_open(SERVER_PROGRAM, XN_LOG_WARN, NULL);
    return xn_end(SERVER_PROGRAM, run(argc, argv));
}
