/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of the broker's tool. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "corp/xenocorp.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/options.h"

#define VERBS_MAX 32
#define LEFT 36 /* where a verb's help begins */

static const struct corp_verb *called; /* for the help that errors name */

/* "charge list", "backup" */
static void name_of(const struct corp_verb *verb, char out[64])
{
    snprintf(out, 64, "%s%s%s", verb->noun, verb->verb ? " " : "",
             verb->verb ? verb->verb : "");
}

int corp_usage(const char *because_fmt, ...)
{
    char because[640], name[64] = "", try[96];
    va_list ap;

    va_start(ap, because_fmt);
    vsnprintf(because, sizeof because, because_fmt, ap);
    va_end(ap);
    if (called) name_of(called, name);
    snprintf(try, sizeof try, "%s %s%s--help", CORP_PROGRAM, name,
             name[0] ? " " : "");
    xn_gripe(CORP_PROGRAM, "cannot understand the command [XS-2-USAGE]",
             because, try);
    return XN_EXIT_USAGE;
}

/* ---- help ---- */

static int help_all(const struct corp_verb *verbs, unsigned n)
{
    char name[64], line[128];

    puts("usage: xenocorp NOUN [VERB] [OPTION]... DIR [WORD]...\n");
    for (unsigned i = 0; i < n; i++) {
        name_of(&verbs[i], name);
        snprintf(line, sizeof line, "  xenocorp %s %s", name, verbs[i].words);
        if (strlen(line) < LEFT) {
            printf("%-*s%s\n", LEFT, line, verbs[i].help);
        } else {
            printf("%s\n%*s%s\n", line, LEFT, "", verbs[i].help);
        }
    }
    puts("\nDIR is the state folder of xenocorpd, which must run for client, "
         "server, node,\norder and charge, and must not for audit, backup, "
         "restore and init.  CLIENT,\nSERVER, NODE and ORDER are ids, or the "
         "first digits "
         "of one as the lists show them.\n\nEach takes --help, and -o json or "
         "-o table.  Also:\n\n"
         "  xenocorp init --ledger DIR        an empty ledger for one without\n"
         "  xenocorp audit verify --expect RECORD:HASH DIR\n"
         "                                    has it lost that receipt?\n"
         "  xenocorp charge list --client CLIENT DIR\n"
         "  xenocorp charge list --refused DIR\n"
         "  xenocorp charge show --refused DIR CLAIM\n"
         "                                    claims that were refused");
    return XN_EXIT_OK;
}

static int help_one(const struct xn_options *options)
{
    char name[64];

    name_of(called, name);
    printf("usage: xenocorp %s [OPTION]... %s\n%s.\n\n", name, called->words,
           called->help);
    xn_options_help(options);
    return XN_EXIT_OK;
}

/* ---- which verb ---- */

static int unknown(const char *kind, const char *word, const char *near)
{
    return corp_usage("there is no %s '%.60s'%s%s%s", kind, word,
                      near ? ", did you mean " : "", near ? near : "",
                      near ? "?" : "");
}

static int unknown_noun(const struct corp_verb *verbs, unsigned n,
                        const char *word)
{
    const char *nouns[VERBS_MAX];

    for (unsigned i = 0; i < n; i++)
        nouns[i] = verbs[i].noun;
    return unknown(word[0] == '-' ? "option" : "noun", word,
                   word[0] == '-' ? NULL : xn_nearest(word, nouns, n));
}

/* The noun is there, but none of its verbs is this one. */
static int unknown_verb(const struct corp_verb *verbs, unsigned n,
                        const char *noun, const char *word)
{
    const char *names[VERBS_MAX];
    char all[160] = "";
    unsigned i, n_names = 0;

    for (i = 0; i < n; i++) {
        if (strcmp(verbs[i].noun, noun) != 0) continue;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
                 n_names ? ", " : "", verbs[i].verb);
        names[n_names++] = verbs[i].verb;
    }
    if (!word || word[0] == '-') return corp_usage("%s takes %s", noun, all);
    if (xn_nearest(word, names, n_names))
        return unknown("verb", word, xn_nearest(word, names, n_names));
    return corp_usage("there is no verb '%.60s': %s takes %s", word, noun, all);
}

static const struct corp_verb *find(const struct corp_verb *verbs, unsigned n,
                                    const char *noun, const char *word,
                                    bool *noun_known_out)
{
    *noun_known_out = false;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(verbs[i].noun, noun) != 0) continue;
        *noun_known_out = true;
        if (!verbs[i].verb || (word && strcmp(verbs[i].verb, word) == 0))
            return &verbs[i];
    }
    return NULL;
}

/* ---- with what ---- */

/* The words of the help from the nth on, for the one that is missing. */
static const char *word_at(const char *words, int n)
{
    while (n-- > 0 && strchr(words, ' '))
        words = strchr(words, ' ') + 1;
    return words;
}

static int read_words(const struct xn_options *options, int argc, char **argv,
                      struct call *call)
{
    char because[160];
    int words;

    if (xn_options_read(options, argc, argv, &words, because, sizeof because))
        return corp_usage("%s", because);
    call->words = argv + words;
    call->n = argc - words;
    return -1;
}

static int count_words(const struct call *call)
{
    int least = call->ledger ? 1 : called->least;

    if (call->n < least) {
        const char *missing = word_at(called->words, call->n);

        return corp_usage("%.*s is missing", (int)strcspn(missing, " "),
                          missing);
    }
    if (call->n > (call->ledger ? 1 : called->most)) {
        return corp_usage("'%.60s' is one word too many",
                          call->words[call->ledger ? 1 : called->most]);
    }
    for (int i = 0; i < call->n; i++) {
        if (!call->words[i][0]) return corp_usage("an empty word");
    }
    return -1;
}

static int read_call(int argc, char **argv, struct call *call)
{
    const char *output = NULL, *help = NULL;
    struct xn_option rows[6];
    struct xn_options options = {rows, 0, true};
    char because[160];
    int code;

    if (called->takes & CALL_EXPECT)
        rows[options.n++] = (struct xn_option)XN_OPTION(
            "expect", 0, "RECORD:HASH", "an earlier receipt that must hold",
            &call->expect);
    if (called->takes & CALL_LEDGER)
        rows[options.n++] = (struct xn_option)XN_OPTION(
            "ledger", 0, NULL, "init DIR: an empty ledger for one without",
            &call->ledger);
    if (called->takes & CALL_REFUSED)
        rows[options.n++] = (struct xn_option)XN_OPTION(
            "refused", 0, NULL, "of the claims that were refused",
            &call->refused);
    if (called->takes & CALL_CLIENT)
        rows[options.n++] = (struct xn_option)XN_OPTION(
            "client", 0, "CLIENT", "of this client's orders", &call->client);
    if (called->takes & CALL_WHY)
        rows[options.n++] = (struct xn_option)XN_OPTION(
            "why", 0, "TEXT", "for the books, at most 256 bytes", &call->why);
    rows[options.n++] = (struct xn_option)XN_OPTION("output", 'o', "FORMAT",
                                                    "table or json", &output);
    rows[options.n++] =
        (struct xn_option)XN_OPTION("help", 'h', NULL, "this text", &help);
    code = read_words(&options, argc, argv, call);
    if (code >= 0) return code;
    if (help) return help_one(&options);
    if (xn_options_output(output, &call->json, because, sizeof because))
        return corp_usage("%s", because);
    return count_words(call);
}

int corp_call(const struct corp_verb *verbs, unsigned n, int argc, char **argv,
              struct call *call_out)
{
    const char *noun = argc > 1 ? argv[1] : "";
    const char *word = argc > 2 ? argv[2] : NULL;
    bool known;
    int skip;

    memset(call_out, 0, sizeof *call_out);
    if (!noun[0]) return corp_usage("a noun is missing");
    if (strcmp(noun, "--help") == 0 || strcmp(noun, "-h") == 0)
        return help_all(verbs, n);
    if (strcmp(noun, "--version") == 0) {
        printf("%s (XenoServer) %s\n", CORP_PROGRAM, PACKAGE_VERSION);
        return XN_EXIT_OK;
    }
    called = find(verbs, n, noun, word, &known);
    if (!called && !known) return unknown_noun(verbs, n, noun);
    if (!called) return unknown_verb(verbs, n, noun, word);
    call_out->verb = called;
    skip = called->verb ? 2 : 1;
    return read_call(argc - skip, argv + skip, call_out);
}
