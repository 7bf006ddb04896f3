/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno: the client's tool.  The verbs are in files of their own. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "net/json.h"
#include "tools/xeno.h"
#include "tools/xeno_bill.h"
#include "tools/xeno_orders.h"
#include "tools/xeno_overlay.h"
#include "tools/xeno_task.h"

/* In the order of a client's first day. */
static const struct xeno_verb verbs[] = {
    {"register", NULL, "[CORP]", "Become a client of a XenoCorp",
     xeno_register},
    {"account", NULL, "[CURRENCY]...", "What you have at each XenoCorp",
     xeno_account},
    {"order", "new", "AMOUNT", "Have the XenoCorp sign an order",
     xeno_order_new},
    {"order", "list", "", "Your orders and where they stand", xeno_order_list},
    {"order", "show", "ORDER", "All that is known of one", xeno_order_show},
    {"order", "narrow", "ORDER", "Sign limits of your own over it",
     xeno_order_narrow},
    {"order", "void", "ORDER", "Take one back that nobody has accepted",
     xeno_order_void},
    {"run", NULL, "[WHERE]... -- COMMAND", "Find a server and run it there",
     xeno_run},
    {"list", NULL, "", "Your sessions, wherever they are", xeno_list},
    {"top", NULL, "", "What they use now", xeno_top},
    {"console", NULL, "SESSION[/N]", "What its task wrote", xeno_console},
    {"exec", NULL, "[-t] SESSION[/N] -- COMMAND",
     "Run a command beside its task", xeno_exec},
    {"wait", NULL, "SESSION[/N]", "Until its task has ended", xeno_wait},
    {"stop", NULL, "SESSION...", "End sessions, and tell the XenoCorp",
     xeno_stop},
    {"quote", NULL, "SERVER [FILE]", "What a server asks for what is wanted",
     xeno_quote},
    {"session", "new", "SERVER ORDER", "Bring an order to a server",
     xeno_session_new},
    {"session", "list", "[SERVER]", "Your sessions", xeno_session_list},
    {"session", "show", "SESSION", "One of them", xeno_session_show},
    {"session", "activity", "SESSION", "Whom its tasks talked to",
     xeno_session_activity},
    {"session", "extend", "SESSION ORDER", "Another order pays for it from now",
     xeno_session_extend},
    {"session", "forward", "SESSION PORT...",
     "Ports here that lead to its task", xeno_session_forward},
    {"session", "stop", "SESSION", "End it, and tell the XenoCorp",
     xeno_session_stop},
    {"task", "new", "SESSION -- COMMAND", "Run another in it", xeno_task_new},
    {"task", "list", "SESSION", "All that ran in it", xeno_task_list},
    {"task", "show", "SESSION[/N]", "One of them; the last", xeno_task_show},
    {"task", "pause", "SESSION[/N]", "It stands still; the session goes on",
     xeno_task_pause},
    {"task", "resume", "SESSION[/N]", "It goes on", xeno_task_resume},
    {"task", "stop", "SESSION[/N]", "End it; the session stays",
     xeno_task_stop},
    {"bill", NULL, "[ORDER]", "What your orders cost, verified here",
     xeno_bill},
    {"overlay", "status", "", "How nodes are", xeno_overlay_status},
    {"overlay", "peers", "", "A node's links to others", xeno_overlay_peers},
    {"overlay", "metrics", "", "What a node counts, for Prometheus",
     xeno_overlay_metrics},
    {"overlay", "trace", "KEY", "The way to who owns a key, hop by hop",
     xeno_overlay_trace},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

/* Of one noun, or of all (NULL). */
static int help(const char *noun)
{
    printf("usage: xeno %s [VERB] [OPTION]... [WORD]...\n\n",
           noun ? noun : "NOUN");
    for (size_t i = 0; i < VERBS; i++) {
        const struct xeno_verb *v = &verbs[i];
        char line[80];

        if (noun && strcmp(noun, v->noun) != 0) continue;
        snprintf(line, sizeof line, "%s%s%s %s", v->noun, v->verb ? " " : "",
                 v->verb ? v->verb : "", v->words);
        printf("  xeno %-28s %s\n", line, v->help);
    }
    puts("\nEach takes --help, --corp NAME, -o table|json, --timeout DUR and "
         "--config FILE.\nThe environment: XENO_CORP, XENO_KEY, XENO_CONFIG, "
         "XENO_CURRENCY, XENO_NODES.");
    return XN_EXIT_OK;
}

static bool is_help(const char *word)
{
    return word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
}

static int unknown(const char *kind, const char *word, const char *near)
{
    xn_gripef(XENO_PROGRAM, "cannot understand the command [XS-2-USAGE]",
              "xeno --help", "there is no %s '%.60s'%s%s%s", kind, word,
              near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    return XN_EXIT_USAGE;
}

static int unknown_noun(const char *word)
{
    const char *nouns[VERBS];

    for (size_t i = 0; i < VERBS; i++)
        nouns[i] = verbs[i].noun;
    return unknown(word[0] == '-' ? "option" : "noun", word,
                   xn_nearest(word, nouns, VERBS));
}

/* The noun is there, but none of its verbs is this one. */
static int unknown_verb(const char *noun, const char *word)
{
    const char *names[VERBS], *near;
    char all[160] = "", try[64];
    size_t n = 0;

    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].noun, noun) != 0) continue;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
                 n ? ", " : "", verbs[i].verb);
        names[n++] = verbs[i].verb;
    }
    near = word && word[0] != '-' ? xn_nearest(word, names, n) : NULL;
    if (near) return unknown("verb", word, near);
    snprintf(try, sizeof try, "xeno %s --help", noun);
    xn_gripef(XENO_PROGRAM, "cannot understand the command [XS-2-USAGE]", try,
              "%s takes %s", noun, all);
    return XN_EXIT_USAGE;
}

static const struct xeno_verb *find(const char *noun, const char *word,
                                    bool *noun_known_out)
{
    *noun_known_out = false;
    for (size_t i = 0; i < VERBS; i++) {
        const struct xeno_verb *v = &verbs[i];

        if (strcmp(v->noun, noun) != 0) continue;
        *noun_known_out = true;
        if (!v->verb || (word && strcmp(v->verb, word) == 0)) return v;
    }
    return NULL;
}

static int run(int argc, char **argv)
{
    static struct xeno xeno;
    const char *noun = argc > 1 ? argv[1] : "";
    bool known;
    int skip, code;

    if (!noun[0]) return xeno_usage("a noun is missing");
    if (is_help(noun) || strcmp(noun, "help") == 0) return help(NULL);
    if (strcmp(noun, "--version") == 0) {
        printf("%s (XenoServer) %s\n", XENO_PROGRAM, PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    xeno.verb = find(noun, argc > 2 ? argv[2] : NULL, &known);
    if (!xeno.verb && !known) return unknown_noun(noun);
    if (!xeno.verb && is_help(argc > 2 ? argv[2] : NULL)) return help(noun);
    if (!xeno.verb) return unknown_verb(noun, argc > 2 ? argv[2] : NULL);
    skip = xeno.verb->verb ? 2 : 1;
    code = xeno.verb->run(&xeno, argc - skip, argv + skip);
    xeno_clear(&xeno);
    return code;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    xn_log_open(XENO_PROGRAM, XN_LOG_WARN, NULL);
    return xn_end(XENO_PROGRAM, net_json_end(XENO_PROGRAM, run(argc, argv)));
}
