/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/span.h"

#define TIMEOUT_US_MIN 1000ULL
#define TIMEOUT_US_MAX 3600000000ULL

/* What getopt did not know. */
static void unknown(const struct xn_options *o, const char *word, char *out,
                    size_t len)
{
    const char *names[XN_OPTIONS_MAX], *near;
    char bare[64];
    size_t i;

    if (optopt) { /* a letter, perhaps of several in one word */
        snprintf(out, len, "-%c is no option", optopt);
        return;
    }
    for (i = 0; i < o->n; i++)
        names[i] = o->rows[i].name;
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "="), word);
    near = xn_nearest(bare + strspn(bare, "-"), names, o->n);
    if (near && strcmp(near, bare + 2) == 0) {
        snprintf(out, len, "%s takes no value", bare);
    } else {
        snprintf(out, len, "%s is no option%s%s%s", bare,
                 near ? ", did you mean --" : "", near ? near : "",
                 near ? "?" : "");
    }
}

static int take(const struct xn_options *o, const struct xn_option *row,
                size_t *count, const char *value, char *out, size_t len)
{
    size_t *n = row->n ? row->n : count;

    if (*n == 1 && row->max == 1 && !o->once) *n = 0;
    if (*n == row->max) {
        if (row->max == 1)
            snprintf(out, len, "--%s is given more than once", row->name);
        else
            snprintf(out, len, "--%s is given more than %zu times", row->name,
                     row->max);
        return XN_EINVAL;
    }
    row->values[(*n)++] = value ? value : "";
    return 0;
}

static size_t row_of(const struct xn_options *o, int letter)
{
    size_t i = 0;

    while (i < o->n && o->rows[i].letter != letter)
        i++;
    return i;
}

int xn_options_read(const struct xn_options *o, int argc, char **argv,
                    int *words_out, char *because_out, size_t len)
{
    struct option longs[XN_OPTIONS_MAX + 1] = {{0}};
    char letters[2 * XN_OPTIONS_MAX + 2] = ":", *at = letters + 1;
    size_t counts[XN_OPTIONS_MAX] = {0}, i;
    int got, row, rc = 0;

    assert(o->n <= XN_OPTIONS_MAX);
    for (i = 0; i < o->n; i++) {
        longs[i].name = o->rows[i].name;
        longs[i].has_arg = o->rows[i].arg ? required_argument : no_argument;
        if (!o->rows[i].letter) continue;
        *at++ = o->rows[i].letter;
        if (o->rows[i].arg) *at++ = ':';
    }
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    while (!rc && (got = getopt_long(argc, argv, letters, longs, &row)) != -1) {
        if (got == ':') {
            snprintf(because_out, len, "%.60s needs a value", argv[optind - 1]);
            rc = XN_EINVAL;
        } else if (got == '?') {
            unknown(o, argv[optind - 1], because_out, len);
            rc = XN_EINVAL;
        } else {
            i = got ? row_of(o, got) : (size_t)row;
            rc = take(o, &o->rows[i], &counts[i], optarg, because_out, len);
        }
    }
    *words_out = optind;
    return rc;
}

void xn_options_help(const struct xn_options *o)
{
    char left[80];
    size_t i;

    for (i = 0; i < o->n; i++) {
        const struct xn_option *row = &o->rows[i];
        int n = 0;

        if (row->letter) n = snprintf(left, sizeof left, "-%c, ", row->letter);
        snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", row->name,
                 row->arg ? " " : "", row->arg ? row->arg : "");
        printf("  %-24s %s\n", left, row->help);
    }
}

int xn_options_output(const char *text, bool *json_out, char *because_out,
                      size_t len)
{
    if (!text) return 0;
    if (strcmp(text, "json") != 0 && strcmp(text, "table") != 0) {
        snprintf(because_out, len, "-o %.60s: it is table or json", text);
        return XN_EINVAL;
    }
    *json_out = strcmp(text, "json") == 0;
    return 0;
}

int xn_options_timeout(const char *text, uint64_t *us_out, char *because_out,
                       size_t len)
{
    uint64_t us;

    if (!text) return 0;
    if (xn_span_parse(text, &us) || us < TIMEOUT_US_MIN ||
        us > TIMEOUT_US_MAX) {
        snprintf(because_out, len,
                 "--timeout is a time from 1ms to 1h, not '%.60s'", text);
        return XN_EINVAL;
    }
    *us_out = us;
    return 0;
}
