/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/gripe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"

#include "lib/text.h"

void xn_put_plain(const char *text, FILE *to)
{
    size_t n, odd;

    while (*text) {
        n = xn_plain_len(text, &odd);
        if (odd) putc('?', to);
        fwrite(text, 1, n, to);
        text += n + odd;
    }
}

static void put_line(const char *head, const char *text)
{
    fputs(head, stderr);
    xn_put_plain(text, stderr);
    putc('\n', stderr);
}

static void (*listener)(const char *what, const char *because, const char *try);

void xn_gripe_listen(void (*heard)(const char *what, const char *because,
                                   const char *try))
{
    listener = heard;
}

void xn_gripe(const char *program, const char *what, const char *because,
              const char *try)
{
    if (listener) listener(what, because, try);
    fprintf(stderr, "%s: ", program);
    put_line("", what);
    if (because) put_line("  because: ", because);
    if (try) put_line("  try:     ", try);
}

void xn_gripef(const char *program, const char *what, const char *try,
               const char *because_fmt, ...)
{
    char because[1024];
    va_list ap;

    va_start(ap, because_fmt);
    vsnprintf(because, sizeof because, because_fmt, ap);
    va_end(ap);
    xn_gripe(program, what, because, try);
}

int xn_gripe_rc(const char *program, int rc, const char *name, const char *what,
                const char *because, const char *try)
{
    int code = xn_exit_code(rc);
    char text[240];

    if (!name || !*name) {
        name = xn_errname(rc);
        if (name[0] == 'E') name++; /* EFUNDS: XS-5-FUNDS */
    }
    snprintf(text, sizeof text, "%.180s [XS-%d-%.30s]", what, code, name);
    xn_gripe(program, text, because ? because : xn_strerror(rc),
             try && *try ? try : NULL);
    return code;
}

int xn_gripe_rcf(const char *program, int rc, const char *name,
                 const char *what, const char *try, const char *because_fmt,
                 ...)
{
    char because[1024];
    va_list ap;

    va_start(ap, because_fmt);
    vsnprintf(because, sizeof because, because_fmt, ap);
    va_end(ap);
    return xn_gripe_rc(program, rc, name, what, because, try);
}

int xn_end(const char *program, int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    if (code != XN_EXIT_OK) return code; /* that has been told */
    if (errno != EPIPE) { /* there nobody reads on: no news to anybody */
        xn_gripe(program, "cannot print [XS-1-OUT]",
                 errno ? strerror(errno) : "output was lost",
                 "more room, or another place to print to");
    }
    return XN_EXIT_FAILED;
}

int xn_gripe_usage(const char *command, const char *because_fmt, va_list ap)
{
    char because[640], program[64], try[96];

    vsnprintf(because, sizeof because, because_fmt, ap);
    snprintf(program, sizeof program, "%.*s", (int)strcspn(command, " "),
             command);
    snprintf(try, sizeof try, "%s --help", command);
    xn_gripe(program, "cannot understand the command [XS-2-USAGE]", because,
             try);
    return XN_EXIT_USAGE;
}

void xn_say(const char *name, const char *fmt, va_list ap)
{
    char text[1024];

    vsnprintf(text, sizeof text, fmt, ap);
    printf("%-13s ", name);
    xn_put_plain(text, stdout);
    putchar('\n');
}
