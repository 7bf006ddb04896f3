/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/gripe.h"

#include <stdarg.h>
#include <stdio.h>

/* What a terminal would obey or what would end the line comes out as '?'. */
static void put_line(const char *head, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    fputs(head, stderr);
    for (; *s; s++) {
        if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0) { /* C1 in UTF-8 */
            putc('?', stderr);
            s++;
        } else {
            putc(*s < 0x20 || *s == 0x7f ? '?' : *s, stderr);
        }
    }
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
