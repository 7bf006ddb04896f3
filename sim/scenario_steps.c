/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "sim/scenario_parse.h"

static int step_some(struct scn_parser *p, struct scn_step *step)
{
    int rc = scn_take_amount(p, &step->amount);

    if (!rc && step->verb == SCN_CRASH) {
        step->power = scn_take(p, "power");
        step->wiped = scn_take(p, "wiped");
    }
    if (!rc && scn_take(p, "over")) rc = scn_take_span(p, &step->us);
    return rc;
}

static int take_power(struct scn_parser *p, struct scn_step *step)
{
    return scn_take(p, "power") ? scn_take_share(p, &step->ppm) : 0;
}

static int step_poisson(struct scn_parser *p, struct scn_step *step)
{
    int rc = scn_expect(p, "median");

    if (!rc) rc = scn_take_span(p, &step->us);
    if (!rc) rc = take_power(p, step);
    if (!rc && !step->us) {
        rc = scn_complain(p, p->end, "a median of 0 makes no churn");
    }
    return rc;
}

static int step_trace(struct scn_parser *p, struct scn_step *step)
{
    int rc = 0;

    if (scn_take(p, "from")) rc = scn_take_span(p, &step->us);
    return rc ? rc : take_power(p, step);
}

static int take_shape(struct scn_parser *p, struct scn_step *step)
{
    uint32_t least = step->law == SCN_PARETO ? 1001 : 200;
    const char *end;

    step->shape_milli = 1000;
    if (step->law == SCN_EXP) return 0;
    if (!scn_milli(scn_peek(p), 100, &step->shape_milli, &end) || *end ||
        step->shape_milli < least) {
        return scn_complain(p, scn_column(p),
                            "expected the shape: pareto above 1, weibull "
                            "0.2 or more");
    }
    p->at++;
    return 0;
}

static int step_sessions(struct scn_parser *p, struct scn_step *step)
{
    int rc = take_shape(p, step);

    if (!rc) rc = scn_expect(p, "session");
    if (!rc) rc = scn_take_span(p, &step->us);
    if (!rc) rc = scn_expect(p, "downtime");
    if (!rc) rc = scn_take_span(p, &step->us2);
    if (!rc) rc = take_power(p, step);
    if (!rc && (!step->us || !step->us2)) {
        rc = scn_complain(p, p->end, "a mean of 0 makes no churn");
    }
    return rc;
}

static int step_churn(struct scn_parser *p, struct scn_step *step)
{
    static const struct {
        const char *word;
        enum scn_law law;
        int (*parse)(struct scn_parser *p, struct scn_step *step);
    } laws[] = {
        {"exp", SCN_EXP, step_sessions},
        {"pareto", SCN_PARETO, step_sessions},
        {"weibull", SCN_WEIBULL, step_sessions},
        {"poisson", SCN_POISSON, step_poisson},
        {"trace", SCN_TRACE, step_trace},
    };
    size_t i;

    step->off = scn_take(p, "off");
    if (step->off) return 0;
    for (i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        if (!scn_take(p, laws[i].word)) continue;
        step->law = laws[i].law;
        return laws[i].parse(p, step);
    }
    return scn_complain(p, scn_column(p),
                        "expected exp, pareto, weibull, poisson, trace or off");
}

static int step_partition(struct scn_parser *p, struct scn_step *step)
{
    int rc = scn_take_share(p, &step->ppm);

    if (!rc) rc = scn_expect(p, "for");
    if (!rc) rc = scn_take_span(p, &step->us);
    return rc;
}

static int step_loss(struct scn_parser *p, struct scn_step *step)
{
    int rc = scn_take_share(p, &step->ppm);

    step->ppm2 = 1000; /* one lost message of a thousand */
    if (!rc && scn_take(p, "break")) rc = scn_take_share(p, &step->ppm2);
    return rc;
}

static int step_jitter(struct scn_parser *p, struct scn_step *step)
{
    return scn_take_share(p, &step->ppm);
}

static int step_slow(struct scn_parser *p, struct scn_step *step)
{
    uint64_t times;
    int rc = scn_take_share(p, &step->ppm);

    if (rc) return rc;
    if (!scn_take(p, "times")) {
        rc = scn_expect(p, "by");
        return rc ? rc : scn_take_span(p, &step->us);
    }
    rc = scn_take_number(p, 1000, &times);
    step->times = rc ? 0 : (uint32_t)times;
    return rc;
}

/* "64kbit/s", "10Mbit/s", "1Gbit/s" */
static int step_bandwidth(struct scn_parser *p, struct scn_step *step)
{
    static const struct {
        const char *unit;
        uint64_t bits;
    } units[] = {{"kbit/s", 1000}, {"Mbit/s", 1000000}, {"Gbit/s", 1000000000}};
    const char *end;
    uint32_t n;
    size_t i;

    step->off = scn_take(p, "off");
    if (step->off) return 0;
    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!scn_milli(scn_peek(p), 1000000, &n, &end) || !n ||
            strcmp(end, units[i].unit) != 0) {
            continue;
        }
        step->bits = n * units[i].bits / 1000;
        p->at++;
        return step->bits ? 0 : scn_complain(p, p->end, "less than a bit");
    }
    return scn_complain(p, scn_column(p),
                        "expected a rate such as 10Mbit/s, or off");
}

static int step_corp(struct scn_parser *p, struct scn_step *step)
{
    step->off = scn_take(p, "off");
    return step->off ? 0 : scn_expect(p, "on");
}

/* "2s": all, by so much at most; "10% by 3h": these, by just so much. */
static int step_skew(struct scn_parser *p, struct scn_step *step)
{
    int rc;

    if (strchr(scn_peek(p), '%')) {
        rc = scn_take_share(p, &step->ppm);
        if (!rc) rc = scn_expect(p, "by");
        if (rc) return rc;
    }
    return scn_take_span(p, &step->us);
}

static int step_rate(struct scn_parser *p, struct scn_step *step)
{
    if (scn_take(p, "off")) {
        step->off = true;
        return 0;
    }
    return scn_take_rate(p, &step->rate_milli);
}

static int step_converge(struct scn_parser *p, struct scn_step *step)
{
    step->amount.form = SCN_ALL;
    return p->at < p->n ? scn_take_amount(p, &step->amount) : 0;
}

static int step_check(struct scn_parser *p, struct scn_step *step)
{
    int rc;

    step->off = scn_take(p, "off");
    if (!step->off) step->now = scn_take(p, "now");
    if (step->off || step->now) return 0;
    rc = scn_expect(p, "every");
    if (!rc) rc = scn_take_span(p, &step->us);
    if (!rc && !step->us) rc = scn_complain(p, p->end, "every 0 never ends");
    return rc;
}

static int step_measure(struct scn_parser *p, struct scn_step *step)
{
    (void)p, (void)step;
    return 0;
}

static const struct verb {
    const char *name;
    enum scn_verb verb;
    int (*parse)(struct scn_parser *p, struct scn_step *step);
} verbs[] = {
    {"advertise", SCN_ADVERTISE, step_some},
    {"bandwidth", SCN_BANDWIDTH, step_bandwidth},
    {"check", SCN_CHECK, step_check},
    {"churn", SCN_CHURN, step_churn},
    {"converge", SCN_CONVERGE, step_converge},
    {"corp", SCN_CORP, step_corp},
    {"crash", SCN_CRASH, step_some},
    {"get", SCN_GET, step_rate},
    {"jitter", SCN_JITTER, step_jitter},
    {"join", SCN_JOIN, step_some},
    {"lookup", SCN_LOOKUP, step_rate},
    {"measure", SCN_MEASURE, step_measure},
    {"loss", SCN_LOSS, step_loss},
    {"partition", SCN_PARTITION, step_partition},
    {"query", SCN_QUERY, step_rate},
    {"reach", SCN_REACH, step_rate},
    {"restart", SCN_RESTART, step_some},
    {"rewrite", SCN_REWRITE, step_some},
    {"skew", SCN_SKEW, step_skew},
    {"slow", SCN_SLOW, step_slow},
    {"withdraw", SCN_WITHDRAW, step_some},
};

static int add_step(struct scn_parser *p, const struct scn_step *step)
{
    struct scn *scn = p->scn;
    struct scn_step *steps;

    if (scn->n_steps == SCN_STEPS_MAX) {
        scn_complain(p, 1, "more than %d steps", SCN_STEPS_MAX);
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

int scn_parse_step(struct scn_parser *p, uint64_t at_us)
{
    struct scn_step step = {.at_us = at_us, .line = p->line};
    const size_t n = sizeof verbs / sizeof verbs[0];
    const char *names[sizeof verbs / sizeof verbs[0]], *near;
    size_t i;
    int rc;

    for (i = 0; i < n; i++) {
        names[i] = verbs[i].name;
        if (!scn_take(p, verbs[i].name)) continue;
        step.verb = verbs[i].verb;
        rc = verbs[i].parse(p, &step);
        return rc ? rc : add_step(p, &step);
    }
    near = xn_nearest(scn_peek(p), names, n);
    if (p->at == p->n) return scn_complain(p, p->end, "expected what to do");
    return scn_complain(p, scn_column(p), "unknown word '%s'%s%s%s",
                        scn_peek(p), near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "");
}
