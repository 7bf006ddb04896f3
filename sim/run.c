/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/latency.h"
#include "lib/rng.h"
#include "lib/span.h"
#include "lib/text.h"
#include "sim/get.h"
#include "sim/malice.h"
#include "sim/market.h"
#include "sim/reach.h"
#include "sim/scenario_parse.h"

enum { SALT_RUN = 0x7275, TRIES = 64 };

#define CANDIDATES 128 /* for a place of a converged table */

#define SAMPLE_US 1000000ULL

/* ---- small things ---- */

uint64_t sim_run_draw(struct sim_run *run)
{
    return xn_rng_mix(run->seed ^ SALT_RUN, run->draws++);
}

uint32_t sim_run_some_node(struct sim_run *run)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, node;
    int i;

    for (i = 0; i < TRIES; i++) {
        node = (uint32_t)(sim_run_draw(run) % nodes);
        if (sim_world_runs(run->world, node)) return node;
    }
    return UINT32_MAX;
}

static bool rested(const struct sim_run *run, bool whole, uint64_t at_us)
{
    uint64_t since_us = sim_world_quiet_since(run->world, whole);

    return since_us <= at_us && at_us - since_us >= run->scn->settle_us;
}

bool sim_run_settled(const struct sim_run *run, uint64_t at_us)
{
    return rested(run, true, at_us);
}

bool sim_run_calm(const struct sim_run *run)
{
    return rested(run, false, sim_world_now(run->world));
}

void sim_run_violation(struct sim_run *run, const char *fmt, ...)
{
    char *text;
    va_list ap;
    int n;

    run->tally.violations++;
    if (run->tally.violations > SIM_WHYS) return;
    text = run->tally.whys[run->tally.violations - 1];
    n = snprintf(text, SIM_WHY_LEN,
                 "at %.6f s: ", (double)sim_world_now(run->world) / 1e6);
    va_start(ap, fmt);
    vsnprintf(text + n, SIM_WHY_LEN - (size_t)n, fmt, ap);
    va_end(ap);
}

/* ---- settings ---- */

static const struct span_setting {
    const char *key;
    size_t at;
} spans[] = {
    {"sim.blob", offsetof(struct sim_settings, blob_us)},
    {"sim.corp", offsetof(struct sim_settings, corp_us)},
    {"sim.dial", offsetof(struct sim_settings, dial_us)},
    {"sim.keepalive", offsetof(struct sim_settings, keepalive_us)},
    {"sim.median", offsetof(struct sim_settings, median_us)},
    {"sim.read", offsetof(struct sim_settings, read_us)},
    {"sim.sign", offsetof(struct sim_settings, sign_us)},
    {"sim.silence", offsetof(struct sim_settings, silence_us)},
    {"sim.txn", offsetof(struct sim_settings, txn_us)},
    {"sim.verify", offsetof(struct sim_settings, verify_us)},
};
enum { SPANS = sizeof spans / sizeof spans[0], KEYS_MAX = 64 };

static int set_nat(struct sim_settings *settings, const char *share)
{
    const char *end;
    uint32_t milli;

    if (!scn_milli(share, 100, &milli, &end) || strcmp(end, "%") != 0) {
        return XN_EINVAL;
    }
    settings->nat_ppm = 10 * milli;
    return 0;
}

static int set_one(struct sim_run *run, struct sim_config *config,
                   const struct scn_set *set)
{
    const struct sim_probe *probe = &run->options->probe;
    uint64_t number = 0;
    size_t i;
    int rc;

    for (i = 0; i < SPANS; i++) {
        uint64_t *us =
            (uint64_t *)(void *)((char *)&config->settings + spans[i].at);

        if (!strcmp(set->key, spans[i].key)) {
            return xn_span_parse(set->value, us);
        }
    }
    if (!strcmp(set->key, "sim.trace")) {
        config->trace = set->value;
        return 0;
    }
    if (!strcmp(set->key, "sim.flip")) {
        rc = xn_number_parse(set->value, UINT64_MAX, &config->flip);
        return rc || !config->flip ? XN_EINVAL : 0;
    }
    if (!strcmp(set->key, "sim.keys")) {
        rc = xn_number_parse(set->value, UINT32_MAX, &number);
        config->settings.keys = (uint32_t)number;
        return rc;
    }
    if (!strcmp(set->key, "sim.nat")) {
        return set_nat(&config->settings, set->value);
    }
    rc = sim_malice_set(&run->malice_config, set->key, set->value);
    if (rc != XN_ENOENT) return rc;
    return probe->set ? probe->set(probe->user, set->key, set->value)
                      : XN_ENOENT;
}

static const char *nearest_key(const struct sim_probe *probe, const char *key)
{
    const char *names[KEYS_MAX] = {"sim.flip", "sim.keys", "sim.nat",
                                   "sim.trace"};
    const char *const *more =
        probe->settings ? probe->settings(probe->user) : NULL;
    size_t n = 4, i;

    for (i = 0; i < SPANS; i++)
        names[n++] = spans[i].key;
    for (i = 0; sim_malice_settings[i]; i++)
        names[n++] = sim_malice_settings[i];
    while (more && *more && n < KEYS_MAX)
        names[n++] = *more++;
    return xn_nearest(key, names, n);
}

static int apply_sets(struct sim_run *run, struct sim_config *config)
{
    const struct sim_run_options *o = run->options;
    char try[300];
    size_t i;

    for (i = 0; i < o->scn->n_sets; i++) {
        const struct scn_set *set = &o->scn->sets[i];
        int rc = set_one(run, config, set);
        const char *near = nearest_key(&o->probe, set->key);

        if (!rc) continue;
        snprintf(try, sizeof try, "%s%s%s",
                 rc == XN_ENOENT && near ? "did you mean " : "",
                 rc == XN_ENOENT && near ? near : "man xenosim",
                 rc == XN_ENOENT && near ? "?" : "");
        xn_gripef(o->program, "cannot use a setting [XS-2-SETTING]", try,
                  "%s %s%s: %s%s", set->line ? "line" : "option",
                  set->line ? "" : "--set ", set->key,
                  rc == XN_ENOENT ? "no such setting" : "not a value for it: ",
                  rc == XN_ENOENT ? "" : set->value);
        return XN_EINVAL;
    }
    return 0;
}

/* ---- steps ---- */

static bool eligible(const struct sim_run *run, enum scn_verb verb,
                     uint32_t node)
{
    bool runs = sim_world_runs(run->world, node);

    switch (verb) {
    case SCN_JOIN:
    case SCN_RESTART: return !runs;
    case SCN_ADVERTISE: return runs && !market_has(run->market, node);
    case SCN_REWRITE:
    case SCN_WITHDRAW: return runs && market_has(run->market, node);
    default: return runs;
    }
}

static void act_on(struct sim_run *run, const struct scn_step *step,
                   uint32_t node, uint64_t at_us)
{
    switch (step->verb) {
    case SCN_JOIN:
    case SCN_RESTART: sim_world_start(run->world, node, at_us); break;
    case SCN_CRASH:
        sim_world_kill(run->world, node, at_us,
                       (step->power ? SIM_END_POWER : 0U) |
                           (step->wiped ? SIM_END_WIPED : 0U));
        break;
    case SCN_ADVERTISE:
        market_plan(run->market, MARKET_DO_ADVERTISE, node, at_us);
        break;
    case SCN_REWRITE:
        market_plan(run->market, MARKET_DO_REWRITE, node, at_us);
        break;
    default: market_plan(run->market, MARKET_DO_WITHDRAW, node, at_us);
    }
}

/* Pick so many of the eligible nodes, spread evenly over the time.  `join`
 * takes them in order, the rest at random. */
static int act_on_some(struct sim_run *run, const struct scn_step *step)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i, n = 0, k;
    uint32_t *list = malloc(nodes * sizeof *list);
    uint64_t want, now_us = sim_world_now(run->world);

    if (!list) return XN_ENOMEM;
    for (i = 0; i < nodes; i++) {
        if (eligible(run, step->verb, i)) list[n++] = i;
    }
    want = scn_amount_of(&step->amount,
                         step->amount.form == SCN_SHARE ? nodes : n);
    if (want > n) want = n;
    for (i = 0; i < want; i++) {
        if (step->verb != SCN_JOIN) {
            k = i + (uint32_t)(sim_run_draw(run) % (n - i));
            uint32_t pick = list[k];

            list[k] = list[i];
            list[i] = pick;
        }
        act_on(run, step, list[i], now_us + step->us * i / want);
    }
    free(list);
    return 0;
}

static uint64_t period_us(uint32_t rate_milli)
{
    uint64_t us = 1000000000ULL / rate_milli;

    return us ? us : 1;
}

static void restart_ticks(struct sim_run *run, const struct scn_step *step)
{
    struct sim_world *world = run->world;
    uint64_t now_us = sim_world_now(world);

    if (step->verb == SCN_QUERY) {
        run->query = *step;
        if (!step->off) {
            sim_world_at(world, now_us,
                         SIM_CTL(SIM_CTL_QUERY, ++run->query_epoch));
        }
        run->querying = !step->off;
    } else if (step->verb == SCN_LOOKUP) {
        run->lookup = *step;
        if (!step->off) {
            sim_world_at(world, now_us,
                         SIM_CTL(SIM_CTL_LOOKUP, ++run->lookup_epoch));
        }
        run->looking = !step->off;
        sim_lookup_clock(run);
    } else if (step->verb == SCN_GET) {
        run->get = *step;
        if (!step->off) {
            if (!run->getting) sim_gets_begin(run);
            sim_world_at(world, now_us, SIM_CTL(SIM_CTL_GET, ++run->get_epoch));
        }
        run->getting = !step->off;
    } else if (step->verb == SCN_REACH) {
        run->reach = *step;
        if (!step->off) {
            sim_world_at(world, now_us,
                         SIM_CTL(SIM_CTL_REACH, ++run->reach_epoch));
        }
        run->reaching = !step->off;
    } else if (step->now) {
        sim_check_tick(run, true);
    } else {
        run->check = *step;
        if (!step->off) {
            sim_world_at(world, now_us + step->us,
                         SIM_CTL(SIM_CTL_CHECK, ++run->check_epoch));
        }
        run->checking = !step->off;
    }
}

static int converge(struct sim_run *run, const struct scn_step *step)
{
    const struct sim_probe *probe = &run->options->probe;
    struct sim_graph_config config = {
        .nodes = (uint32_t)scn_amount_of(&step->amount,
                                         sim_world_config(run->world)->nodes),
        .candidates = CANDIDATES,
        .seed = run->seed,
    };
    struct sim_graph *graph;
    int rc;

    if (!probe->shape || !run->options->maker.stand) return XN_EINVAL;
    /* Who stands is linked by the graph, whoever could dial. */
    if (sim_world_config(run->world)->settings.nat_ppm) return XN_EINVAL;
    if (!config.nodes) return 0;
    probe->shape(probe->user, &config);
    rc = sim_graph_new(&config, sim_world_peers(run->world), run->latency,
                       &graph);
    if (rc) return rc;
    rc = sim_world_stand(run->world, graph);
    if (run->malice) {
        sim_world_at(run->world, sim_world_now(run->world),
                     SIM_CTL(SIM_CTL_MALICE, 0));
    }
    run->tally.built_cpu_s = sim_run_cpu_s();
    return rc;
}

static void do_step(struct sim_run *run, const struct scn_step *step)
{
    struct sim_settings *set = sim_world_settings(run->world);
    int rc = 0;

    switch (step->verb) {
    case SCN_JOIN:
    case SCN_CRASH:
    case SCN_RESTART:
    case SCN_ADVERTISE:
    case SCN_REWRITE:
    case SCN_WITHDRAW:
        if (step->verb == SCN_CRASH) rc = market_crash(run->market);
        if (!rc) rc = act_on_some(run, step);
        if (step->verb != SCN_CRASH) break;
        sim_world_at(run->world, sim_world_now(run->world) + step->us + 1,
                     SIM_CTL(SIM_CTL_SURVEY, 0));
        break;
    case SCN_CONVERGE: rc = converge(run, step); break;
    case SCN_CHURN: rc = sim_churn_begin(run, step); break;
    case SCN_PARTITION:
        sim_world_cut(run->world, step->ppm,
                      sim_world_now(run->world) + step->us);
        break;
    case SCN_LOSS:
        set->loss_ppm = step->ppm;
        set->break_ppm = step->ppm2;
        break;
    case SCN_JITTER: set->jitter_ppm = step->ppm; break;
    case SCN_SLOW:
        set->slow_ppm = step->ppm;
        set->slow_us = step->us;
        set->slow_times = step->times;
        break;
    case SCN_BANDWIDTH: set->bits = step->bits; break;
    case SCN_CORP: set->corp_off = step->off; break;
    case SCN_MEASURE: sim_world_measure(run->world); break;
    case SCN_SKEW:
        set->skew_us = step->us;
        set->skew_ppm = step->ppm;
        break;
    case SCN_QUERY:
    case SCN_LOOKUP:
    case SCN_GET:
    case SCN_REACH:
    case SCN_CHECK: restart_ticks(run, step); break;
    }
    if (rc) sim_world_stop(run->world, rc);
}

/* ---- hooks of the world ---- */

static void tick(struct sim_run *run, uint64_t what)
{
    struct sim_world *world = run->world;
    uint64_t now_us = sim_world_now(world), n = SIM_CTL_N(what);

    switch (SIM_CTL_KIND(what)) {
    case SIM_CTL_QUERY:
        if (!run->querying || n != run->query_epoch) return;
        market_query(run->market);
        sim_world_at(world, now_us + period_us(run->query.rate_milli), what);
        break;
    case SIM_CTL_LOOKUP:
        if (!run->looking || n != run->lookup_epoch) return;
        sim_lookup_tick(run);
        sim_world_at(world, now_us + period_us(run->lookup.rate_milli), what);
        break;
    case SIM_CTL_GET:
        if (!run->getting || n != run->get_epoch) return;
        sim_get_tick(run);
        sim_world_at(world, now_us + period_us(run->get.rate_milli), what);
        break;
    case SIM_CTL_REACH:
        if (!run->reaching || n != run->reach_epoch) return;
        sim_reach_tick(run);
        sim_world_at(world, now_us + period_us(run->reach.rate_milli), what);
        break;
    case SIM_CTL_MALICE: sim_malice_tick(run); break;
    case SIM_CTL_CHECK:
        if (!run->checking || n != run->check_epoch) return;
        sim_check_tick(run, false);
        sim_world_at(world, now_us + run->check.us, what);
        break;
    default:
        sim_report_sample(run);
        sim_world_at(world, now_us + SAMPLE_US, what);
    }
}

static void on_control(void *user, uint64_t what)
{
    struct sim_run *run = user;

    switch (SIM_CTL_KIND(what)) {
    case SIM_CTL_STEP: do_step(run, &run->scn->steps[SIM_CTL_N(what)]); break;
    case SIM_CTL_PUBLISH:
        market_publish_due(run->market, SIM_CTL_N(what));
        break;
    case SIM_CTL_MARKET: market_do(run->market, SIM_CTL_N(what)); break;
    case SIM_CTL_ASK_LATE: market_late(run->market, SIM_CTL_N(what)); break;
    case SIM_CTL_SURVEY: market_survey(run->market); break;
    case SIM_CTL_DISK: market_disk(run->market, SIM_CTL_N(what)); break;
    case SIM_CTL_CHURN:
    case SIM_CTL_CRASH:
    case SIM_CTL_RESTART: sim_churn_event(run, what); break;
    default: tick(run, what);
    }
}

static void on_answered(void *user, uint32_t node, uint64_t ticket,
                        const Xn__Answer *answer)
{
    struct sim_run *run = user;

    market_answered(run->market, node, ticket, answer);
}

static void on_broken(void *user, uint32_t node, const char *why)
{
    sim_run_violation(user, "node %u: %s", node, why);
}

static void on_ending(void *user, uint32_t node, unsigned how)
{
    struct sim_run *run = user;

    market_ending(run->market, node, how & SIM_END_WIPED);
}

static void on_changed(void *user, uint32_t node, bool runs)
{
    struct sim_run *run = user;

    if (runs) {
        market_started(run->market, node);
    } else {
        market_died(run->market, node);
    }
    sim_churn_changed(run, node, runs);
}

static void on_log(void *user, uint32_t node, const Xn__Log *log)
{
    const struct sim_run *run = user;

    if (!run->options->verbose) return;
    fprintf(stderr, "%.6f node %u: %s\n",
            (double)sim_world_now(run->world) / 1e6, node, log->text);
}

static bool on_meets(void *user, uint32_t node, uint32_t from,
                     const struct xn_msg *msg)
{
    return sim_malice_meets(user, node, from, msg);
}

/* ---- the run ---- */

static int load_latency(const struct sim_run_options *o,
                        struct sim_latency **latency_out)
{
    const char *file = o->latency ? o->latency : o->scn->file;
    char why[XN_LATENCY_TEXT];
    int rc;

    if (!o->latency && o->scn->latency != SCN_FILE) {
        bool said = o->scn->latency == SCN_UNIFORM;

        return sim_latency_uniform(said ? o->scn->lo_us : 5000,
                                   said ? o->scn->hi_us : 100000, latency_out);
    }
    rc = sim_latency_load(file, o->latency ? 0 : o->scn->unit_us, latency_out,
                          why, sizeof why);
    if (rc) {
        xn_gripe(o->program,
                 rc == XN_EINVAL ? "cannot read the latencies [XS-2-LATENCY]"
                                 : "cannot read the latencies [XS-1-LATENCY]",
                 why[0] ? why : xn_strerror(rc),
                 "a file of rtt_*_NxN.u16le.xz, .txt, .tsv or .csv form");
    }
    return rc;
}

static int set_latency(struct sim_run *run)
{
    const struct scn *scn = run->scn;
    int rc = load_latency(run->options, &run->latency);

    if (!rc) rc = sim_latency_spread(run->latency, run->seed);
    if (!rc && scn->access_hi_us) {
        sim_latency_access(run->latency, scn->access_lo_us, scn->access_hi_us);
    }
    return rc;
}

static int set_up(struct sim_run *run)
{
    const struct sim_run_options *o = run->options;
    struct sim_hooks hooks = {run,       on_answered, on_control, on_broken,
                              on_ending, on_changed,  on_log,     on_meets};
    struct sim_config config = {.wire = o->wire, .seed = o->seed};
    size_t i;
    int rc;

    config.nodes = o->nodes ? o->nodes : o->scn->nodes;
    sim_settings_default(&config.settings);
    rc = apply_sets(run, &config);
    if (!rc) rc = set_latency(run);
    if (!rc) rc = sim_latency_know(run->latency, run->seed, config.nodes);
    if (rc) return rc;
    rc = sim_world_new(&config, run->latency, &o->maker, &hooks, &run->world);
    if (!rc) rc = sim_malice_new(run);
    if (!rc) rc = market_new(run, &run->market);
    if (!rc) rc = sim_gets_new(run);
    if (!rc) rc = sim_report_open(run);
    for (i = 0; !rc && i < run->scn->n_steps; i++) {
        rc = sim_world_at(run->world, run->scn->steps[i].at_us,
                          SIM_CTL(SIM_CTL_STEP, i));
    }
    if (!rc) {
        rc = sim_world_at(run->world, SAMPLE_US, SIM_CTL(SIM_CTL_SAMPLE, 0));
    }
    return rc;
}

double sim_run_cpu_s(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage)) return 0;
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) /
               1e6;
}

static uint64_t rss_bytes(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage)) return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

int sim_run(const struct sim_run_options *options)
{
    struct sim_run *run = calloc(1, sizeof *run);
    int rc = XN_ENOMEM;

    if (!run) return rc;
    run->options = options;
    run->scn = options->scn;
    run->seed = options->seed;
    run->malice_config.draws = 1;
    run->tally.empty_rss_bytes = rss_bytes();
    rc = set_up(run);
    if (rc) goto out;
    rc = sim_world_run(run->world, run->scn->run_us);
    run->tally.cpu_s = sim_run_cpu_s();
    run->tally.rss_bytes = rss_bytes();
    sim_lookup_clear(run);
    if (!rc || run->tally.violations) rc = sim_report_end(run);
out:
    if (run->series) fclose(run->series);
    sim_gets_free(run);
    sim_reach_clear(run);
    sim_malice_free(run);
    market_free(run->market);
    sim_world_free(run->world);
    sim_latency_free(run->latency);
    sim_churn_clear(run);
    free(run->by_position);
    free(run->heads);
    free(run);
    return rc;
}
