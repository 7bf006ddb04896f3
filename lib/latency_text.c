/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A matrix as text, to be read and written by people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/latency_form.h"

#define MS_MAX 2e6 /* half an hour */

/* "rtt_ms N" or "one_way_ms N" */
static bool parse_head(const char *line, uint32_t *n_out, bool *one_way_out)
{
    char word[16], rest;
    unsigned n;

    if (sscanf(line, "%15s %5u %c", word, &n, &rest) != 2) return false;
    *one_way_out = strcmp(word, "one_way_ms") == 0;
    *n_out = n;
    return (*one_way_out || strcmp(word, "rtt_ms") == 0) && n > 0 &&
           n <= XN_LATENCY_MATRIX_MAX;
}

/* One row of n cells; false: it is none. */
static bool parse_row(char *line, uint32_t n, double us_per_ms, uint32_t *row)
{
    char *save = NULL, *word = strtok_r(line, " \t", &save);
    double ms;
    uint32_t i;

    for (i = 0; word && i < n; i++, word = strtok_r(NULL, " \t", &save)) {
        if (strcmp(word, "-") == 0) {
            row[i] = UINT32_MAX;
        } else if (latency_number(word, &ms) && ms >= 0 && ms <= MS_MAX) {
            row[i] = (uint32_t)(ms * us_per_ms);
        } else {
            return false;
        }
    }
    return i == n && !word;
}

int latency_parse_text(const struct latency_reader *r, char *at,
                       struct xn_latency **out)
{
    uint32_t n, i, *us;
    char *line, text[64];
    bool one_way;

    if (!latency_line(&at, '\0', &line, 1) || !parse_head(line, &n, &one_way)) {
        return latency_fail(r, XN_EINVAL,
                            "does not begin with rtt_ms N or one_way_ms N, "
                            "N up to 4096");
    }
    us = malloc((size_t)n * n * sizeof *us);
    if (!us) return XN_ENOMEM;
    for (i = 0; i < n && latency_line(&at, '\0', &line, 1); i++) {
        if (!parse_row(line, n, one_way ? 1000 : 500, us + (size_t)i * n)) {
            snprintf(text, sizeof text, "row %u is not %u numbers of ms", i + 1,
                     n);
            free(us);
            return latency_fail(r, XN_EINVAL, text);
        }
    }
    if (i < n || latency_line(&at, '\0', &line, 1)) {
        snprintf(text, sizeof text, "has %s than %u rows",
                 i < n ? "fewer" : "more", n);
        free(us);
        return latency_fail(r, XN_EINVAL, text);
    }
    return latency_of_matrix(n, us, out);
}
