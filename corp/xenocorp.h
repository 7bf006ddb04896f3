/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenocorp: the broker's tool.  Its verbs stand in one table; what they have in
 * common is here: the command line, errors. */
#ifndef CORP_XENOCORP_H
#define CORP_XENOCORP_H

#include <stdbool.h>

#define CORP_PROGRAM "xenocorp"

/* Options beyond --help and --output that a verb takes. */
enum {
    CALL_EXPECT = 1,
    CALL_LEDGER = 2,
    CALL_REFUSED = 4,
    CALL_CLIENT = 8,
    CALL_WHY = 16
};

struct call {
    const struct corp_verb *verb;
    char **words; /* the folder first */
    int n;
    bool json;
    const char *expect, *ledger, *refused, *client, *why; /* NULL: not given */
};

struct corp_verb {
    const char *noun, *verb; /* verb NULL: the noun is one */
    const char *words, *help;
    int least, most; /* words */
    unsigned takes;
    int (*run)(const struct call *call); /* an exit code */
};

/* "cannot understand the command [XS-2-USAGE]", with the help of the verb that
 * was called. */
int corp_usage(const char *because_fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Which of the verbs is called, with what.  Below zero: run it; otherwise the
 * exit code. */
int corp_call(const struct corp_verb *verbs, unsigned n, int argc, char **argv,
              struct call *call_out);

#endif
