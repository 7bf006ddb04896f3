/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "lib/span.h"
#include "sim/scenario_parse.h"

enum { SALT_DRAW = 0x7363 };

int scn_complain(struct scn_parser *p, uint32_t column, const char *fmt, ...)
{
    va_list ap;

    p->error->line = p->line;
    p->error->column = column;
    va_start(ap, fmt);
    vsnprintf(p->error->text, sizeof p->error->text, fmt, ap);
    va_end(ap);
    return XN_EINVAL;
}

/* ---- words ---- */

const char *scn_peek(const struct scn_parser *p)
{
    return p->at < p->n ? p->words[p->at].text : "";
}

uint32_t scn_column(const struct scn_parser *p)
{
    return p->at < p->n ? p->words[p->at].column : p->end;
}

bool scn_take(struct scn_parser *p, const char *word)
{
    if (p->at == p->n || strcmp(scn_peek(p), word) != 0) return false;
    p->at++;
    return true;
}

int scn_expect(struct scn_parser *p, const char *word)
{
    if (scn_take(p, word)) return 0;
    return scn_complain(p, scn_column(p), "expected '%s'", word);
}

bool scn_milli(const char *text, uint32_t max, uint32_t *out, const char **end)
{
    uint64_t n = 0;
    uint32_t scale = 1000;

    if (!isdigit((unsigned char)*text)) return false;
    while (isdigit((unsigned char)*text)) {
        n = n * 10 + (uint64_t)(*text++ - '0');
        if (n > max) return false;
    }
    n *= 1000;
    if (*text == '.') {
        text++;
        if (!isdigit((unsigned char)*text)) return false;
        while (isdigit((unsigned char)*text)) {
            scale /= 10;
            n += (uint64_t)(*text++ - '0') * scale;
        }
    }
    if (n > (uint64_t)max * 1000) return false;
    *out = (uint32_t)n;
    *end = text;
    return true;
}

/* ---- values, and what is drawn from the seed ---- */

static bool read_span(const char *text, uint64_t max, uint64_t *us_out)
{
    return !xn_span_parse(text, us_out) && *us_out <= max;
}

static bool read_number(const char *text, uint64_t max, uint64_t *n_out)
{
    uint64_t n = 0;

    if (!*text) return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text)) return false;
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > max) return false;
    }
    *n_out = n;
    return true;
}

static bool read_share(const char *text, uint64_t max, uint64_t *ppm_out)
{
    const char *end;
    uint32_t n;

    if (!scn_milli(text, (uint32_t)max, &n, &end) || strcmp(end, "%") != 0) {
        return false;
    }
    *ppm_out = n * 10; /* thousandths of a percent */
    return true;
}

static bool read_rate(const char *text, uint64_t max, uint64_t *milli_out)
{
    const char *end;
    uint32_t n;

    if (!scn_milli(text, (uint32_t)max, &n, &end) || strcmp(end, "/s") != 0 ||
        !n) {
        return false;
    }
    *milli_out = n;
    return true;
}

static uint64_t draw(struct scn_parser *p)
{
    return xn_rng_mix(p->seed ^ SALT_DRAW, p->draws++);
}

bool scn_happens(struct scn_parser *p, uint32_t ppm)
{
    return draw(p) % SCN_MILLION < ppm;
}

typedef bool reader(const char *text, uint64_t max, uint64_t *out);

/* A value, or one between two: A..B. */
static int take_value(struct scn_parser *p, reader *read, uint64_t max,
                      const char *expected, uint64_t *out)
{
    const char *text = scn_peek(p), *dots = strstr(text, "..");
    char least[SCN_WORD_MAX] = "";
    uint64_t most;

    memcpy(least, text, dots ? (size_t)(dots - text) : strlen(text));
    if (!read(least, max, out) || (dots && !read(dots + 2, max, &most))) {
        return scn_complain(p, scn_column(p), "expected %s", expected);
    }
    if (dots && most < *out) {
        return scn_complain(p, scn_column(p), "the second is the lesser one");
    }
    if (dots) *out += draw(p) % (most - *out + 1);
    p->at++;
    return 0;
}

int scn_take_span(struct scn_parser *p, uint64_t *us_out)
{
    return take_value(p, read_span, UINT64_MAX / 4, "a time such as 30s or 5ms",
                      us_out);
}

int scn_take_number(struct scn_parser *p, uint64_t max, uint64_t *n_out)
{
    char expected[64];

    snprintf(expected, sizeof expected, "a whole number, no more than %llu",
             (unsigned long long)max);
    return take_value(p, read_number, max, expected, n_out);
}

int scn_take_share(struct scn_parser *p, uint32_t *ppm_out)
{
    uint64_t ppm = 0;
    int rc = take_value(p, read_share, 100, "a share such as 0.5%", &ppm);

    *ppm_out = (uint32_t)ppm;
    return rc;
}

int scn_take_rate(struct scn_parser *p, uint32_t *milli_out)
{
    uint64_t milli = 0;
    int rc = take_value(p, read_rate, 1000000, "a rate such as 5/s", &milli);

    *milli_out = (uint32_t)milli;
    return rc;
}

int scn_take_amount(struct scn_parser *p, struct scn_amount *amount)
{
    uint32_t ppm;
    int rc;

    if (scn_take(p, "all")) {
        amount->form = SCN_ALL;
        return 0;
    }
    if (strchr(scn_peek(p), '%')) {
        rc = scn_take_share(p, &ppm);
        amount->form = SCN_SHARE;
        amount->n = ppm;
        return rc;
    }
    amount->form = SCN_COUNT;
    if (p->at == p->n || !isdigit((unsigned char)*scn_peek(p))) {
        return scn_complain(p, scn_column(p),
                            "expected how many: all, a number or a share");
    }
    return scn_take_number(p, SIM_NODES_MAX, &amount->n);
}

int scn_take_file(struct scn_parser *p, char *file_out)
{
    if (p->at == p->n) {
        return scn_complain(p, p->end, "expected a file's name");
    }
    memcpy(file_out, scn_peek(p), SCN_WORD_MAX);
    p->at++;
    return 0;
}
