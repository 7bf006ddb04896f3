/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/scenario.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/span.h"

enum { WORDS_MAX = 16 };

#define SETTLE_US 60000000ULL
#define NODES_MAX (1U << 24)

struct word {
    char text[SCN_WORD_MAX];
    uint32_t column;
};

struct parser {
    struct scn *scn;
    struct scn_error *error;
    uint32_t line;
    struct word words[WORDS_MAX];
    size_t n;     /* words of this line */
    size_t at;    /* the next one */
    uint32_t end; /* column behind the last word */
};

__attribute__((format(printf, 3, 4))) static int complain(struct parser *p,
                                                          uint32_t column,
                                                          const char *fmt, ...)
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

static const char *peek(const struct parser *p)
{
    return p->at < p->n ? p->words[p->at].text : "";
}

static uint32_t column(const struct parser *p)
{
    return p->at < p->n ? p->words[p->at].column : p->end;
}

/* Take the next word if it is this one. */
static bool take(struct parser *p, const char *word)
{
    if (p->at == p->n || strcmp(peek(p), word) != 0) return false;
    p->at++;
    return true;
}

static int expect(struct parser *p, const char *word)
{
    if (take(p, word)) return 0;
    return complain(p, column(p), "expected '%s'", word);
}

static int take_span(struct parser *p, uint64_t *us_out)
{
    if (xn_span_parse(peek(p), us_out) || *us_out > UINT64_MAX / 4) {
        return complain(p, column(p), "expected a time such as 30s or 5ms");
    }
    p->at++;
    return 0;
}

static int take_number(struct parser *p, uint64_t max, uint64_t *n_out)
{
    const char *text = peek(p);
    uint64_t n = 0;

    if (!*text) return complain(p, column(p), "expected a number");
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text)) {
            return complain(p, column(p), "expected a whole number");
        }
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > max) {
            return complain(p, column(p), "more than %llu",
                            (unsigned long long)max);
        }
    }
    p->at++;
    *n_out = n;
    return 0;
}

/* "2", "0.25", "13.5": thousandths; `end` gets what follows. */
static bool milli(const char *text, uint32_t max, uint32_t *out,
                  const char **end)
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

static int take_share(struct parser *p, uint32_t *ppm_out)
{
    const char *end;
    uint32_t n;

    if (!milli(peek(p), 100, &n, &end) || strcmp(end, "%") != 0) {
        return complain(p, column(p), "expected a share such as 0.5%%");
    }
    p->at++;
    *ppm_out = n * 10; /* thousandths of a percent */
    return 0;
}

static int take_rate(struct parser *p, uint32_t *rate_out)
{
    const char *end;

    if (!milli(peek(p), 1000000, rate_out, &end) || strcmp(end, "/s") != 0 ||
        !*rate_out) {
        return complain(p, column(p), "expected a rate such as 5/s");
    }
    p->at++;
    return 0;
}

static int take_amount(struct parser *p, struct scn_amount *amount)
{
    uint32_t ppm;
    int rc;

    if (take(p, "all")) {
        amount->form = SCN_ALL;
        return 0;
    }
    if (strchr(peek(p), '%')) {
        rc = take_share(p, &ppm);
        amount->form = SCN_SHARE;
        amount->n = ppm;
        return rc;
    }
    amount->form = SCN_COUNT;
    if (p->at == p->n || !isdigit((unsigned char)*peek(p))) {
        return complain(p, column(p),
                        "expected how many: all, a number or a share");
    }
    return take_number(p, NODES_MAX, &amount->n);
}

/* ---- steps ---- */

static int step_some(struct parser *p, struct scn_step *step)
{
    int rc = take_amount(p, &step->amount);

    if (!rc && step->verb == SCN_CRASH) step->power = take(p, "power");
    if (!rc && take(p, "over")) rc = take_span(p, &step->us);
    return rc;
}

static int step_churn(struct parser *p, struct scn_step *step)
{
    const char *end;
    int rc;

    if (take(p, "off")) {
        step->off = true;
        return 0;
    }
    if (take(p, "pareto")) {
        step->law = SCN_PARETO;
    } else if (take(p, "weibull")) {
        step->law = SCN_WEIBULL;
    } else if (take(p, "exp")) {
        step->law = SCN_EXP;
    } else {
        return complain(p, column(p), "expected exp, pareto, weibull or off");
    }
    step->shape_milli = 1000;
    if (step->law != SCN_EXP) {
        if (!milli(peek(p), 100, &step->shape_milli, &end) || *end ||
            step->shape_milli < (step->law == SCN_PARETO ? 1001U : 200U)) {
            return complain(p, column(p),
                            "expected the shape: pareto above 1, weibull "
                            "0.2 or more");
        }
        p->at++;
    }
    rc = expect(p, "session");
    if (!rc) rc = take_span(p, &step->us);
    if (!rc) rc = expect(p, "downtime");
    if (!rc) rc = take_span(p, &step->us2);
    if (!rc && take(p, "power")) rc = take_share(p, &step->ppm);
    if (!rc && (!step->us || !step->us2)) {
        rc = complain(p, p->end, "a mean of 0 makes no churn");
    }
    return rc;
}

static int step_partition(struct parser *p, struct scn_step *step)
{
    int rc = take_share(p, &step->ppm);

    if (!rc) rc = expect(p, "for");
    if (!rc) rc = take_span(p, &step->us);
    return rc;
}

static int step_loss(struct parser *p, struct scn_step *step)
{
    int rc = take_share(p, &step->ppm);

    step->ppm2 = 1000; /* one lost message of a thousand */
    if (!rc && take(p, "break")) rc = take_share(p, &step->ppm2);
    return rc;
}

static int step_jitter(struct parser *p, struct scn_step *step)
{
    return take_share(p, &step->ppm);
}

static int step_slow(struct parser *p, struct scn_step *step)
{
    int rc = take_share(p, &step->ppm);

    if (!rc) rc = expect(p, "by");
    if (!rc) rc = take_span(p, &step->us);
    return rc;
}

static int step_skew(struct parser *p, struct scn_step *step)
{
    return take_span(p, &step->us);
}

static int step_rate(struct parser *p, struct scn_step *step)
{
    if (take(p, "off")) {
        step->off = true;
        return 0;
    }
    return take_rate(p, &step->rate_milli);
}

static int step_converge(struct parser *p, struct scn_step *step)
{
    (void)p, (void)step;
    return 0;
}

static int step_check(struct parser *p, struct scn_step *step)
{
    int rc;

    step->off = take(p, "off");
    if (!step->off) step->now = take(p, "now");
    if (step->off || step->now) return 0;
    rc = expect(p, "every");
    if (!rc) rc = take_span(p, &step->us);
    if (!rc && !step->us) rc = complain(p, p->end, "every 0 never ends");
    return rc;
}

static const struct verb {
    const char *name;
    enum scn_verb verb;
    int (*parse)(struct parser *p, struct scn_step *step);
} verbs[] = {
    {"advertise", SCN_ADVERTISE, step_some},
    {"check", SCN_CHECK, step_check},
    {"churn", SCN_CHURN, step_churn},
    {"converge", SCN_CONVERGE, step_converge},
    {"crash", SCN_CRASH, step_some},
    {"jitter", SCN_JITTER, step_jitter},
    {"join", SCN_JOIN, step_some},
    {"lookup", SCN_LOOKUP, step_rate},
    {"loss", SCN_LOSS, step_loss},
    {"partition", SCN_PARTITION, step_partition},
    {"query", SCN_QUERY, step_rate},
    {"restart", SCN_RESTART, step_some},
    {"rewrite", SCN_REWRITE, step_some},
    {"skew", SCN_SKEW, step_skew},
    {"slow", SCN_SLOW, step_slow},
    {"withdraw", SCN_WITHDRAW, step_some},
};

static int add_step(struct parser *p, const struct scn_step *step)
{
    struct scn *scn = p->scn;
    struct scn_step *steps;

    if (scn->n_steps == SCN_STEPS_MAX) {
        complain(p, 1, "more than %d steps", SCN_STEPS_MAX);
        return XN_ETOOBIG;
    }
    if ((scn->n_steps & (scn->n_steps + 1)) == 0) {
        steps = realloc(scn->steps, 2 * (scn->n_steps + 1) * sizeof *steps);
        if (!steps) return XN_ENOMEM;
        scn->steps = steps;
    }
    scn->steps[scn->n_steps++] = *step;
    return 0;
}

static int parse_step(struct parser *p, uint64_t at_us)
{
    struct scn_step step = {.at_us = at_us, .line = p->line};
    const size_t n = sizeof verbs / sizeof verbs[0];
    const char *names[sizeof verbs / sizeof verbs[0]], *near;
    size_t i;
    int rc;

    for (i = 0; i < n; i++) {
        names[i] = verbs[i].name;
        if (!take(p, verbs[i].name)) continue;
        step.verb = verbs[i].verb;
        rc = verbs[i].parse(p, &step);
        return rc ? rc : add_step(p, &step);
    }
    near = xn_nearest(peek(p), names, n);
    if (p->at == p->n) return complain(p, p->end, "expected what to do");
    return complain(p, column(p), "unknown word '%s'%s%s%s", peek(p),
                    near ? "; did you mean '" : "", near ? near : "",
                    near ? "'?" : "");
}

/* ---- what the whole run has ---- */

static int parse_nodes(struct parser *p)
{
    uint64_t n;
    uint32_t where = column(p);
    int rc = take_number(p, NODES_MAX, &n);

    if (!rc && !n) rc = complain(p, where, "a run needs nodes");
    if (!rc) p->scn->nodes = (uint32_t)n;
    return rc;
}

static int parse_seed(struct parser *p)
{
    p->scn->has_seed = true;
    return take_number(p, UINT64_MAX / 16, &p->scn->seed);
}

static int parse_run(struct parser *p)
{
    return take_span(p, &p->scn->run_us);
}

static int parse_settle(struct parser *p)
{
    return take_span(p, &p->scn->settle_us);
}

static int parse_latency(struct parser *p)
{
    struct scn *scn = p->scn;
    uint32_t where;
    int rc = 0;

    if (take(p, "uniform")) {
        scn->latency = SCN_UNIFORM;
        rc = take_span(p, &scn->lo_us);
        where = column(p);
        if (!rc) rc = take_span(p, &scn->hi_us);
        if (!rc && (scn->hi_us < scn->lo_us || scn->hi_us > 600000000)) {
            rc = complain(p, where, "less than the least, or over 10m");
        }
        return rc;
    }
    if (!take(p, "file")) {
        return complain(p, column(p), "expected uniform or file");
    }
    if (p->at == p->n) return complain(p, p->end, "expected a file's name");
    scn->latency = SCN_FILE;
    memcpy(scn->file, peek(p), sizeof scn->file);
    p->at++;
    if (take(p, "unit")) rc = take_span(p, &scn->unit_us);
    return rc;
}

static int parse_access(struct parser *p)
{
    struct scn *scn = p->scn;
    int rc = take_span(p, &scn->access_lo_us);
    uint32_t where = column(p);

    if (!rc) rc = take_span(p, &scn->access_hi_us);
    if (!rc && (!scn->access_lo_us || scn->access_hi_us < scn->access_lo_us ||
                scn->access_hi_us > 10000000)) {
        rc = complain(p, where, "less than the least, from 0, or over 10s");
    }
    return rc;
}

static int add_set(struct scn *scn, const struct scn_set *set)
{
    struct scn_set *sets = realloc(scn->sets, (scn->n_sets + 1) * sizeof *sets);

    if (!sets) return XN_ENOMEM;
    sets[scn->n_sets++] = *set;
    scn->sets = sets;
    return 0;
}

static int parse_set(struct parser *p)
{
    struct scn_set set = {.line = p->line, .column = column(p)};

    if (p->n - p->at < 2) {
        return complain(p, p->end, "expected a setting and its value");
    }
    memcpy(set.key, p->words[p->at].text, sizeof set.key);
    memcpy(set.value, p->words[p->at + 1].text, sizeof set.value);
    p->at += 2;
    return add_set(p->scn, &set);
}

int scn_add_set(struct scn *scn, const char *key, const char *value)
{
    struct scn_set set = {.line = 0};

    if (strlen(key) >= sizeof set.key || strlen(value) >= sizeof set.value) {
        return XN_ETOOBIG;
    }
    memcpy(set.key, key, strlen(key));
    memcpy(set.value, value, strlen(value));
    return add_set(scn, &set);
}

/* ---- lines ---- */

static int parse_line(struct parser *p)
{
    uint64_t at_us = 0;
    int rc = 0;

    if (take(p, "nodes")) {
        rc = parse_nodes(p);
    } else if (take(p, "seed")) {
        rc = parse_seed(p);
    } else if (take(p, "run")) {
        rc = parse_run(p);
    } else if (take(p, "settle")) {
        rc = parse_settle(p);
    } else if (take(p, "latency")) {
        rc = parse_latency(p);
    } else if (take(p, "access")) {
        rc = parse_access(p);
    } else if (take(p, "set")) {
        rc = parse_set(p);
    } else {
        if (take(p, "at")) rc = take_span(p, &at_us);
        if (!rc) rc = parse_step(p, at_us);
    }
    if (!rc && p->at < p->n) {
        rc = complain(p, column(p), "'%s' is too much here", peek(p));
    }
    return rc;
}

/* Cut a line into words; a comment ends it. */
static int cut_line(struct parser *p, const char *line, size_t len)
{
    size_t i = 0, start;

    p->n = p->at = 0;
    p->end = 1;
    for (;;) {
        while (i < len &&
               (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) {
            i++;
        }
        if (i == len || line[i] == '#') return 0;
        start = i;
        while (i < len && !strchr(" \t\r#", line[i])) {
            if ((unsigned char)line[i] < 32 || line[i] == 127) break;
            i++;
        }
        if (i == start || (i < len && !strchr(" \t\r#", line[i])) ||
            (i < len && !line[i])) {
            return complain(p, (uint32_t)i + 1, "a control character");
        }
        if (p->n == WORDS_MAX || i - start >= SCN_WORD_MAX) {
            return complain(p, (uint32_t)start + 1,
                            "too many words, or too long a word");
        }
        memset(p->words[p->n].text, 0, SCN_WORD_MAX);
        memcpy(p->words[p->n].text, line + start, i - start);
        p->words[p->n++].column = (uint32_t)start + 1;
        p->end = (uint32_t)i + 1;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct scn_step *x = a, *y = b;

    if (x->at_us != y->at_us) return x->at_us < y->at_us ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

int scn_parse(const char *text, size_t len, struct scn *scn,
              struct scn_error *error_out)
{
    struct parser p = {.scn = scn, .error = error_out};
    size_t at = 0;
    int rc = 0;

    memset(scn, 0, sizeof *scn);
    memset(error_out, 0, sizeof *error_out);
    scn->settle_us = SETTLE_US;
    if (len > SCN_BYTES_MAX) {
        complain(&p, 1, "longer than %d bytes", SCN_BYTES_MAX);
        return XN_ETOOBIG;
    }
    while (at < len && !rc) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at;

        p.line++;
        rc = cut_line(&p, text + at, n);
        if (!rc && p.n) rc = parse_line(&p);
        at += n + 1;
    }
    if (!rc && scn->n_steps) {
        qsort(scn->steps, scn->n_steps, sizeof *scn->steps, by_time);
    }
    return rc;
}

void scn_free(struct scn *scn)
{
    free(scn->steps);
    free(scn->sets);
    memset(scn, 0, sizeof *scn);
}

uint64_t scn_amount_of(const struct scn_amount *amount, uint64_t of)
{
    switch (amount->form) {
    case SCN_ALL: return of;
    case SCN_SHARE: return (of * amount->n + SCN_MILLION / 2) / SCN_MILLION;
    case SCN_COUNT: break;
    }
    return amount->n < of ? amount->n : of;
}
