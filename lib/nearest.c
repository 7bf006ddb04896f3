/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/gripe.h"

#include <stddef.h>
#include <string.h>

enum { WORD_MAX = 48 };

/* Levenshtein distance, one row at a time. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1], i, j, diagonal, above;
    unsigned n = (unsigned)strlen(b);

    for (j = 0; j <= n; j++)
        row[j] = j;
    for (i = 0; a[i]; i++) {
        diagonal = row[0];
        row[0] = i + 1;
        for (j = 1; j <= n; j++) {
            unsigned best = diagonal + (a[i] != b[j - 1]);

            above = row[j];
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

const char *xn_nearest(const char *word, const char *const *words,
                       unsigned long n)
{
    unsigned best = (unsigned)strlen(word) / 3 + 1, d;
    const char *found = NULL;
    unsigned long i;

    if (strlen(word) > WORD_MAX) return NULL;
    for (i = 0; i < n; i++) {
        if (strlen(words[i]) > WORD_MAX) continue;
        d = distance(word, words[i]);
        if (d > best || (d == best && found)) continue;
        best = d;
        found = words[i];
    }
    return found;
}
