/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a run tells: summary lines on stdout, the same and a time series as CSV
 * in a folder, plots where gnuplot is there. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "sim/get.h"
#include "sim/market.h"
#include "sim/reach.h"
#include "sim/run.h"

extern char **environ;

enum { PATH = 4096 };

static FILE *open_in(const struct sim_run *run, const char *name)
{
    char path[PATH];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", run->options->out, name);
    f = fopen(path, "w");
    if (!f) {
        xn_gripef(run->options->program, "cannot write the results [XS-1-OUT]",
                  "--out with a folder that can be written", "%s: %s", path,
                  strerror(errno));
    }
    return f;
}

int sim_report_open(struct sim_run *run)
{
    const char *out = run->options->out;

    if (!out) return 0;
    if (mkdir(out, 0777) && errno != EEXIST) {
        xn_gripef(run->options->program, "cannot write the results [XS-1-OUT]",
                  "--out with a folder that can be written", "%s: %s", out,
                  strerror(errno));
        return XN_EIO;
    }
    run->series = open_in(run, "series.csv");
    if (!run->series) return XN_EIO;
    setvbuf(run->series, NULL, _IOLBF, BUFSIZ); /* to be watched */
    fprintf(run->series, "s,running,live_ads,messages_per_s,bytes_per_s,"
                         "kills,starts,find,find_missed,find_failed\n");
    return 0;
}

/* How far it is, for people who wait. */
static void tell_progress(const struct sim_run *run)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r%.0f of %.0f s, %u nodes run, %llu messages ",
            (double)sim_world_now(run->world) / 1e6,
            (double)run->scn->run_us / 1e6, sim_world_running(run->world),
            (unsigned long long)sim_world_totals(run->world)->messages);
}

void sim_report_sample(struct sim_run *run)
{
    const struct sim_totals *t = sim_world_totals(run->world);

    tell_progress(run);
    if (!run->series) return;
    fprintf(run->series, "%.0f,%u,%zu,%llu,%llu,%llu,%llu,%llu,%llu,%llu\n",
            (double)sim_world_now(run->world) / 1e6,
            sim_world_running(run->world), market_live(run->market),
            (unsigned long long)(t->messages - run->sampled_messages),
            (unsigned long long)(t->bytes - run->sampled_bytes),
            (unsigned long long)t->kills, (unsigned long long)t->starts,
            (unsigned long long)run->tally.find_count,
            (unsigned long long)run->tally.find_missed,
            (unsigned long long)run->tally.find_failed);
    run->sampled_messages = t->messages;
    run->sampled_bytes = t->bytes;
}

/* ---- the summary ---- */

struct summary {
    FILE *csv; /* may be NULL */
};

static void line(struct summary *s, const char *metric, const char *unit,
                 const char *value)
{
    printf("%s %s %s\n", metric, value, unit);
    if (s->csv) fprintf(s->csv, "%s,%s,%s\n", metric, value, unit);
}

static void count(struct summary *s, const char *metric, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    line(s, metric, "count", text);
}

static void number(struct summary *s, const char *metric, const char *unit,
                   double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.3f", value);
    line(s, metric, unit, text);
}

static void delays(struct summary *s, const char *name,
                   const struct sim_hist *hist)
{
    char metric[64];

    snprintf(metric, sizeof metric, "%s.delay.p50", name);
    number(s, metric, "ms", (double)sim_hist_at(hist, 500000) / 1e3);
    snprintf(metric, sizeof metric, "%s.delay.p99", name);
    number(s, metric, "ms", (double)sim_hist_at(hist, 990000) / 1e3);
}

/* Round trips between random pairs, as the model has them. */
static void measure_rtt(struct sim_run *run)
{
    uint32_t nodes = sim_world_config(run->world)->nodes;
    int i;

    for (i = 0; nodes > 1 && i < 20000; i++) {
        uint32_t a = (uint32_t)(sim_run_draw(run) % nodes);
        uint32_t b = (uint32_t)(sim_run_draw(run) % nodes);

        if (a == b) continue;
        sim_hist_add(&run->tally.rtt,
                     sim_latency_us(run->latency, run->seed, a, b) +
                         sim_latency_us(run->latency, run->seed, b, a));
    }
}

static void tell_lookups(struct summary *s, const struct sim_tally *t)
{
    count(s, "lookup.count", t->lookup_count);
    number(s, "lookup.consistent", "%",
           t->lookup_count > t->lookup_lost
               ? 100.0 * (double)t->lookup_right /
                     (double)(t->lookup_count - t->lookup_lost)
               : 0);
    count(s, "lookup.right", t->lookup_right);
    count(s, "lookup.wrong", t->lookup_wrong);
    count(s, "lookup.settled.wrong", t->lookup_settled_wrong);
    count(s, "lookup.unknown", t->lookup_unknown);
    count(s, "lookup.failed", t->lookup_failed);
    count(s, "lookup.lost", t->lookup_lost);
    number(s, "lookup.hops.mean", "hops", sim_hist_mean(&t->hops));
    delays(s, "lookup", &t->lookup);
    number(s, "lookup.stretch", "ratio",
           t->lookup_direct_us
               ? (double)t->lookup_took_us / (double)t->lookup_direct_us
               : 0);
}

static void tell_market(struct summary *s, struct sim_run *run)
{
    const struct sim_tally *t = &run->tally;

    count(s, "ads.live", market_live(run->market));
    count(s, "ads.gone", t->ads_gone);
    count(s, "publish.count", t->publish_count);
    count(s, "publish.failed", t->publish_failed);
    count(s, "find.count", t->find_count);
    count(s, "find.wrong", t->find_wrong);
    count(s, "find.missed", t->find_missed);
    count(s, "find.failed", t->find_failed);
    count(s, "find.hits", t->find_hits);
    delays(s, "find", &t->find);
    count(s, "get.count", t->get_count);
    count(s, "get.wrong", t->get_wrong);
    count(s, "get.missed", t->get_missed);
    count(s, "get.failed", t->get_failed);
    delays(s, "get", &t->get);
    count(s, "pending", market_asking(run->market));
}

/* By how many requests more than one each. */
static double extra(uint64_t sent, uint64_t gets)
{
    return gets ? (double)sent / (double)gets - 1 : 0;
}

static void tell_ratio(struct summary *s, const struct sim_run *run,
                       const char *metric, const struct sim_hist *hist,
                       uint32_t ppm)
{
    double rtt_us = (double)sim_hist_at(&run->tally.rtt, 500000);

    number(s, metric, "rtt",
           rtt_us > 0 ? (double)sim_hist_at(hist, ppm) / rtt_us : 0);
}

/* Gets by id, beside the median round trip and the nearest copy. */
static void tell_gets(struct summary *s, const struct sim_run *run)
{
    const struct sim_tally *t = &run->tally;
    struct sim_gets_sent sent;

    if (!t->gets && !t->gets_slow) return;
    sim_gets_sent(run, &sent);
    count(s, "get.fast.count", t->gets);
    tell_ratio(s, run, "get.fast.p50", &t->get, 500000);
    tell_ratio(s, run, "get.fast.p99", &t->get, 990000);
    number(s, "get.fast.extra", "requests", extra(sent.fast, t->gets));
    tell_ratio(s, run, "get.limit.p50", &t->get_limit, 500000);
    tell_ratio(s, run, "get.limit.p99", &t->get_limit, 990000);
    count(s, "get.slow.count", t->gets_slow);
    tell_ratio(s, run, "get.slow.p50", &t->get_slow, 500000);
    tell_ratio(s, run, "get.slow.p99", &t->get_slow, 990000);
    number(s, "get.slow.extra", "requests", extra(sent.slow, t->gets_slow));
    count(s, "get.unasked", t->get_unasked);
}

static double share(uint64_t part, uint64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

static void tell_reach(struct summary *s, const struct sim_run *run)
{
    const struct sim_tally *t = &run->tally;
    double n = (double)t->reach_count;

    if (!t->reach_count) return;
    count(s, "reach.count", t->reach_count);
    number(s, "reach.all", "%", share(t->reach_all, t->reach_count));
    number(s, "reach.victims.all", "%",
           share(t->reach_victims_all, t->reach_victims));
    count(s, "reach.copies", t->reach_copies);
    count(s, "reach.missed", t->reach_missed);
    number(s, "reach.messages", "messages",
           (double)sim_reach_messages(run) / n);
    number(s, "reach.bytes", "B", (double)sim_reach_bytes(run) / n);
    delays(s, "reach", &t->reach);
}

static void spent(struct summary *s, const struct sim_run *run,
                  const char *what, const struct sim_spent *spent)
{
    double node_s = (double)sim_world_totals(run->world)->node_us / 1e6;
    char metric[96];

    if (!spent->n) return;
    snprintf(metric, sizeof metric, "wire.%s.count", what);
    count(s, metric, spent->n);
    snprintf(metric, sizeof metric, "wire.%s.rate", what);
    number(s, metric, "B/s", node_s > 0 ? (double)spent->bytes / node_s : 0);
}

/* What node.wire.rate is made of. */
static void tell_wire(struct summary *s, struct sim_run *run)
{
    static const char *const links[] = {[SIM_OPEN] = "open",
                                        [SIM_CLOSING_LINK] = "close",
                                        [SIM_NOBODY] = "nobody",
                                        [SIM_ACKS] = "empty"};
    const struct sim_totals *t = sim_world_totals(run->world);
    struct sim_spent probes = {1, sim_world_probe_bytes(run->world)};
    unsigned kind, what;
    char name[64];

    for (what = 0; what < sizeof links / sizeof *links; what++)
        spent(s, run, links[what], &t->spent[0][what]);
    spent(s, run, "probe", &probes);
    for (kind = 1; kind < SIM_PURPOSES; kind++) {
        spent(s, run, xn_kind_name(kind), &t->spent[kind][0]);
        for (what = 1; what < SIM_PURPOSES; what++) {
            snprintf(name, sizeof name, "%s.%s", xn_kind_name(kind),
                     xn_kind_name(what));
            spent(s, run, name, &t->spent[kind][what]);
        }
    }
}

static void tell_traffic(struct summary *s, struct sim_run *run)
{
    const struct sim_totals *t = sim_world_totals(run->world);
    double virtual_s = (double)sim_world_now(run->world) / 1e6, wire;
    uint32_t nodes = sim_world_config(run->world)->nodes;

    measure_rtt(run);
    number(s, "latency.rtt.p50", "ms",
           (double)sim_hist_at(&run->tally.rtt, 500000) / 1e3);
    number(s, "node.upkeep.rate", "B/s",
           virtual_s > 0 ? (double)t->bytes / virtual_s / nodes : 0);
    wire = (double)sim_world_wire_bytes(run->world);
    number(s, "node.wire.rate", "B/s",
           t->node_us ? wire * 1e6 / (double)t->node_us : 0);
    number(s, "node.links.mean", "links",
           t->node_us ? (double)t->link_us / (double)t->node_us : 0);
    tell_wire(s, run);
    count(s, "messages", t->messages);
    number(s, "messages.bytes.mean", "B",
           t->messages ? (double)t->bytes / (double)t->messages : 0);
    count(s, "message.max", t->message_max);
    count(s, "outbox.max", t->queue_max);
    count(s, "queue.bytes.max", t->queue_bytes);
    count(s, "lost", t->lost);
    count(s, "links.up", t->ups);
    count(s, "links.broken", t->broken_links);
    count(s, "dials", t->dials);
    count(s, "dials.failed", t->dials_failed);
    count(s, "kills", t->kills);
    count(s, "starts", t->starts);
    count(s, "verifies", t->verifies);
    count(s, "txns", t->txns);
    count(s, "events", t->events);
}

static void tell_cost(struct summary *s, struct sim_run *run)
{
    const struct sim_totals *t = sim_world_totals(run->world);
    uint32_t nodes = sim_world_config(run->world)->nodes;

    number(s, "node.bytes", "B",
           (double)(run->tally.rss_bytes - run->tally.empty_rss_bytes) / nodes);
    number(s, "build.cpu.seconds", "s", run->tally.built_cpu_s);
    number(s, "lookup.cpu.seconds", "s", run->tally.lookup_cpu_s);
    number(s, "cpu.seconds", "s", run->tally.cpu_s);
    number(s, "events.rate", "1/s",
           run->tally.cpu_s > 0 ? (double)t->events / run->tally.cpu_s : 0);
}

static void tell_failure(struct sim_run *run)
{
    const struct sim_tally *t = &run->tally;
    uint64_t i;

    fflush(stdout);
    fprintf(stderr, "%s: the run broke %llu rules\n", run->options->program,
            (unsigned long long)t->violations);
    for (i = 0; i < t->violations && i < SIM_WHYS; i++) {
        fprintf(stderr, "  because: %s\n", t->whys[i]);
    }
    fprintf(stderr, "  seed:    %llu\n  try:     %s\n",
            (unsigned long long)run->seed, run->options->command);
}

static const char plot[] =
    "set terminal svg size 900,600 dynamic\n"
    "set output 'series.svg'\n"
    "set datafile separator ','\n"
    "set key autotitle columnhead outside\n"
    "set xlabel 'virtual time, s'\n"
    "set multiplot layout 2,1\n"
    "plot 'series.csv' using 1:2 with lines, '' using 1:3 with lines\n"
    "set logscale y\n"
    "plot 'series.csv' using 1:($4+1) with lines title 'messages/s', "
    "'' using 1:($5+1) with lines title 'bytes/s'\n"
    "unset multiplot\n";

/* A run without gnuplot has no picture, and says nothing about it: the script
 * is there for later. */
static void draw_plot(struct sim_run *run)
{
    char *argv[] = {
        (char *)(uintptr_t) "sh",
        (char *)(uintptr_t) "-c",
        (char *)(uintptr_t) "cd \"$1\" && command -v gnuplot >/dev/null && "
                            "gnuplot series.gp >/dev/null 2>&1",
        (char *)(uintptr_t) "sh",
        (char *)(uintptr_t)run->options->out,
        NULL};
    FILE *f = open_in(run, "series.gp");
    pid_t pid;

    if (!f) return;
    fputs(plot, f);
    fclose(f);
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ)) return;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int sim_report_end(struct sim_run *run)
{
    struct summary s = {NULL};
    char hex[XN_ID_HEX];
    xn_id digest;

    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (run->options->out) {
        s.csv = open_in(run, "summary.csv");
        if (!s.csv) return XN_EIO;
        fprintf(s.csv, "metric,value,unit\n");
    }
    count(&s, "nodes", sim_world_config(run->world)->nodes);
    count(&s, "nodes.running", sim_world_running(run->world));
    count(&s, "seed", run->seed);
    number(&s, "virtual.seconds", "s", (double)sim_world_now(run->world) / 1e6);
    tell_lookups(&s, &run->tally);
    tell_market(&s, run);
    tell_traffic(&s, run);
    tell_gets(&s, run);
    tell_reach(&s, run);
    count(&s, "checks", run->tally.checks);
    count(&s, "checks.settled", run->tally.checks_settled);
    count(&s, "checks.cores", run->tally.checked_cores);
    count(&s, "checks.owners", run->tally.checked_keys);
    count(&s, "checks.leaves", run->tally.checked_leaves);
    count(&s, "waits.max", run->tally.waits_max);
    count(&s, "checks.disks", run->tally.checked_disks);
    count(&s, "checks.ads", run->tally.checked_ads);
    count(&s, "violations", run->tally.violations);
    tell_cost(&s, run);
    sim_world_digest(run->world, &digest);
    xn_id_hex(&digest, hex);
    line(&s, "digest", "sha256", hex);
    if (s.csv) fclose(s.csv);
    if (run->series) {
        fclose(run->series);
        run->series = NULL;
        draw_plot(run);
    }
    if (!run->tally.violations) return 0;
    tell_failure(run);
    return XN_EINTEGRITY;
}
