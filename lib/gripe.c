/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/gripe.h"

#include <stdarg.h>
#include <stdio.h>

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

void xn_gripe(const char *program, const char *what, const char *because,
              const char *try)
{
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
