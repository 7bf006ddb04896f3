/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/gripe.h"

#include <stdarg.h>
#include <stdio.h>

void xn_gripe(const char *program, const char *what, const char *because,
              const char *try)
{
    fprintf(stderr, "%s: %s\n", program, what);
    if (because) fprintf(stderr, "  because: %s\n", because);
    if (try) fprintf(stderr, "  try:     %s\n", try);
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
