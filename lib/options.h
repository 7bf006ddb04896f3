/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Command lines: one table of options, which reads them and is their help.
 *
 * Values are texts of argv; whoever asked for them judges them.  Long names may
 * be cut short where that is not ambiguous; options and words may be mixed, "--"
 * ends the options. */
#ifndef LIB_OPTIONS_H
#define LIB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XN_OPTIONS_MAX 64

struct xn_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: it has none */
    const char *arg;  /* what its value is, for help; NULL: a flag, which gets
                         "" as its value */
    const char *help;
    const char **values; /* room for `max` */
    size_t max;          /* 1: it may be given once, or the last one counts */
    size_t *n;           /* how many came; may be NULL where max is 1 */
};

/* One that has one value or none (NULL stays), or is a flag where arg is NULL.
 */
#define XN_OPTION(name, letter, arg, help, value)                              \
    {                                                                          \
        name, letter, arg, help, value, 1, NULL                                \
    }
/* One that may be repeated, with an array for its values. */
#define XN_OPTION_LIST(name, arg, help, values, n)                             \
    {                                                                          \
        name, 0, arg, help, values, sizeof(values) / sizeof(values)[0], n      \
    }

struct xn_options {
    const struct xn_option *rows; /* at most XN_OPTIONS_MAX */
    size_t n;
    bool once; /* an option of one value is refused the second time */
};

/* Reads all of argv and moves the words behind the options: argv[*words_out..
 * argc).  XN_EINVAL: because_out says in a line what is wrong. */
int xn_options_read(const struct xn_options *options, int argc, char **argv,
                    int *words_out, char *because_out, size_t len);

/* A line for each option, on standard output. */
void xn_options_help(const struct xn_options *options);

/* What the tools have in common.  The text is an option's value, or NULL, and
 * then the rest stays as it is.  XN_EINVAL: because_out says why. */

/* --output: table or json. */
int xn_options_output(const char *text, bool *json_out, char *because_out,
                      size_t len);
/* --timeout: from 1 ms to an hour. */
int xn_options_timeout(const char *text, uint64_t *us_out, char *because_out,
                       size_t len);

#endif
