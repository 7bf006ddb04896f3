/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "sim/scenario_parse.h"

#define SETTLE_US 60000000ULL

/* ---- what the whole run has ---- */

static int parse_nodes(struct scn_parser *p)
{
    uint64_t n;
    uint32_t where = scn_column(p);
    int rc = scn_take_number(p, SIM_NODES_MAX, &n);

    if (!rc && !n) rc = scn_complain(p, where, "a run needs nodes");
    if (!rc) p->scn->nodes = (uint32_t)n;
    return rc;
}

static int parse_seed(struct scn_parser *p)
{
    struct scn *scn = p->scn;
    uint32_t where = scn_column(p);
    uint64_t seed, draws = p->draws;
    int rc = scn_take_number(p, UINT64_MAX / 16, &seed);

    if (!rc && p->draws) {
        return scn_complain(p, where,
                            draws ? "the seed must come before what is drawn "
                                    "from it"
                                  : "the seed itself cannot be drawn");
    }
    if (rc || p->seeded) return rc;
    scn->has_seed = true;
    scn->seed = p->seed = seed;
    return 0;
}

static int parse_run(struct scn_parser *p)
{
    return scn_take_span(p, &p->scn->run_us);
}

static int parse_settle(struct scn_parser *p)
{
    return scn_take_span(p, &p->scn->settle_us);
}

static int parse_latency(struct scn_parser *p)
{
    struct scn *scn = p->scn;
    uint32_t where;
    int rc = 0;

    if (scn_take(p, "uniform")) {
        scn->latency = SCN_UNIFORM;
        rc = scn_take_span(p, &scn->lo_us);
        where = scn_column(p);
        if (!rc) rc = scn_take_span(p, &scn->hi_us);
        if (!rc && (scn->hi_us < scn->lo_us || scn->hi_us > 600000000)) {
            rc = scn_complain(p, where, "less than the least, or over 10m");
        }
        return rc;
    }
    if (!scn_take(p, "file")) {
        return scn_complain(p, scn_column(p), "expected uniform or file");
    }
    scn->latency = SCN_FILE;
    rc = scn_take_file(p, scn->file);
    if (!rc && scn_take(p, "unit")) rc = scn_take_span(p, &scn->unit_us);
    return rc;
}

static int parse_access(struct scn_parser *p)
{
    struct scn *scn = p->scn;
    int rc = scn_take_span(p, &scn->access_lo_us);
    uint32_t where = scn_column(p);

    if (!rc) rc = scn_take_span(p, &scn->access_hi_us);
    if (!rc && (!scn->access_lo_us || scn->access_hi_us < scn->access_lo_us ||
                scn->access_hi_us > 10000000)) {
        rc = scn_complain(p, where, "less than the least, from 0, or over 10s");
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

static int parse_set(struct scn_parser *p)
{
    struct scn_set set = {.line = p->line, .column = scn_column(p)};

    if (p->n - p->at < 2) {
        return scn_complain(p, p->end, "expected a setting and its value");
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

static int parse_words(struct scn_parser *p)
{
    uint64_t at_us = 0;
    int rc = 0;

    if (scn_take(p, "nodes")) {
        rc = parse_nodes(p);
    } else if (scn_take(p, "seed")) {
        rc = parse_seed(p);
    } else if (scn_take(p, "run")) {
        rc = parse_run(p);
    } else if (scn_take(p, "settle")) {
        rc = parse_settle(p);
    } else if (scn_take(p, "latency")) {
        rc = parse_latency(p);
    } else if (scn_take(p, "access")) {
        rc = parse_access(p);
    } else if (scn_take(p, "set")) {
        rc = parse_set(p);
    } else {
        if (scn_take(p, "at")) rc = scn_take_span(p, &at_us);
        if (!rc) rc = scn_parse_step(p, at_us);
    }
    if (!rc && p->at < p->n) {
        rc = scn_complain(p, scn_column(p), "'%s' is too much here",
                          scn_peek(p));
    }
    return rc;
}

/* "perhaps SHARE": the line counts in that share of all seeds.  It is read in
 * any case, so that what comes after it is the same. */
static int parse_line(struct scn_parser *p)
{
    struct scn before = *p->scn;
    bool counts = true;
    uint32_t ppm;
    int rc = 0;

    if (scn_take(p, "perhaps")) {
        rc = scn_take_share(p, &ppm);
        counts = scn_happens(p, ppm);
    }
    if (!rc) rc = parse_words(p);
    if (counts) return rc;
    before.steps = p->scn->steps;
    before.sets = p->scn->sets;
    *p->scn = before;
    return rc;
}

/* Cut a line into words; a comment ends it. */
static int cut_line(struct scn_parser *p, const char *line, size_t len)
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
            return scn_complain(p, (uint32_t)i + 1, "a control character");
        }
        if (p->n == SCN_WORDS_MAX || i - start >= SCN_WORD_MAX) {
            return scn_complain(p, (uint32_t)start + 1,
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

static int parse(struct scn_parser *p, const char *text, size_t len)
{
    struct scn *scn = p->scn;
    size_t at = 0;
    int rc = 0;

    memset(scn, 0, sizeof *scn);
    memset(p->error, 0, sizeof *p->error);
    scn->settle_us = SETTLE_US;
    if (p->seeded) scn->seed = p->seed;
    scn->has_seed = p->seeded;
    if (len > SCN_BYTES_MAX) {
        scn_complain(p, 1, "longer than %d bytes", SCN_BYTES_MAX);
        return XN_ETOOBIG;
    }
    while (at < len && !rc) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at;

        p->line++;
        rc = cut_line(p, text + at, n);
        if (!rc && p->n) rc = parse_line(p);
        at += n + 1;
    }
    if (!rc && scn->n_steps) {
        qsort(scn->steps, scn->n_steps, sizeof *scn->steps, by_time);
    }
    return rc;
}

int scn_parse(const char *text, size_t len, struct scn *scn,
              struct scn_error *error_out)
{
    struct scn_parser p = {.scn = scn, .error = error_out, .seed = SCN_SEED};

    return parse(&p, text, len);
}

int scn_parse_seeded(const char *text, size_t len, uint64_t seed,
                     struct scn *scn, struct scn_error *error_out)
{
    struct scn_parser p = {
        .scn = scn, .error = error_out, .seed = seed, .seeded = true};

    return parse(&p, text, len);
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
