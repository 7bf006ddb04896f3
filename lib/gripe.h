/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The three-line form in which every program says what went wrong:
 *
 *     xenofind: cannot reach any node [XS-7-NODES]
 *       because: 127.0.0.1:9001: connection refused
 *       try:     xenodev status
 */
#ifndef LIB_GRIPE_H
#define LIB_GRIPE_H

#include <stdarg.h>
#include <stdio.h>

/* Each argument is one line, written as by xn_put_plain.  `what` names the
 * thing that could not be done, with a code in brackets where the program has
 * one; `because` and `try` may be NULL. */
void xn_gripe(const char *program, const char *what, const char *because,
              const char *try);

/* Whoever wants to know what is told, besides; because and try may be NULL. */
void xn_gripe_listen(void (*heard)(const char *what, const char *because,
                                   const char *try));

/* The same with a formatted reason. */
void xn_gripef(const char *program, const char *what, const char *try,
               const char *because_fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a code behind `what`: "cannot pay in [XS-5-FUNDS]".  The number
 * is the exit code of `rc` (lib/err.h), which is returned; the name is `name`
 * or, where that is NULL, the error's own.  because NULL: the error's text. */
int xn_gripe_rc(const char *program, int rc, const char *name, const char *what,
                const char *because, const char *try);
int xn_gripe_rcf(const char *program, int rc, const char *name,
                 const char *what, const char *try, const char *because_fmt,
                 ...) __attribute__((format(printf, 6, 7)));

/* Control characters, and what is no UTF-8, come out as '?', so that what a
 * peer wrote neither forges a line nor drives the terminal (xn_plain for a
 * stream). */
void xn_put_plain(const char *text, FILE *to);

/* A program's last word: what it ends with, XN_EXIT_FAILED instead of 0 where
 * its output was not written, which it says. */
int xn_end(const char *program, int code);

/* The command line makes no sense: XN_EXIT_USAGE.  command: "xeno order new",
 * whose --help helps; its first word is the program. */
int xn_gripe_usage(const char *command, const char *because_fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* "name      value" on standard output; a peer's words may be among them. */
void xn_say(const char *name, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* The entry of words[0..n) nearest to `word` by edit distance, or NULL where
 * none is near: for "did you mean". */
const char *xn_nearest(const char *word, const char *const *words,
                       unsigned long n);

#endif
