/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes come and go: by a law for each, by one for all, or as was measured. */
#include <math.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "sim/run.h"

/* A time of the law with this mean.  libm's log and pow are not required to
 * round correctly, so the result is cut to steps of 10 us; a draw that falls on
 * an edge between two machines' results is the accepted risk.  Coarser ones
 * would slow down a churn of many events a millisecond. */
static uint64_t draw_span(struct sim_run *run, uint64_t mean_us)
{
    double u = (double)((sim_run_draw(run) >> 11) + 1) * 0x1p-53;
    double shape = run->churn.shape_milli / 1000.0, mean = (double)mean_us, x;

    switch (run->churn.law) {
    case SCN_PARETO: x = mean * (shape - 1) / shape * pow(u, -1 / shape); break;
    case SCN_WEIBULL:
        x = mean / tgamma(1 + 1 / shape) * pow(-log(u), 1 / shape);
        break;
    default: x = -mean * log(u);
    }
    if (x > 1e15) x = 1e15;
    return (uint64_t)(x / 10) * 10 + 5;
}

/* ---- a law for each node ---- */

static void plan_churn(struct sim_run *run, uint32_t node, bool runs)
{
    uint64_t mean_us = runs ? run->churn.us : run->churn.us2;
    uint64_t at_us = sim_world_now(run->world) + draw_span(run, mean_us);

    sim_world_at(run->world, at_us,
                 SIM_CTL(runs ? SIM_CTL_CRASH : SIM_CTL_RESTART,
                         (uint64_t)(run->churn_epoch & 0xffffff) << 32 | node));
}

void sim_churn_changed(struct sim_run *run, uint32_t node, bool runs)
{
    if (!run->churning || run->churn.law == SCN_POISSON ||
        run->churn.law == SCN_TRACE) {
        return;
    }
    plan_churn(run, node, runs);
}

static bool has_power_loss(struct sim_run *run)
{
    return sim_run_draw(run) % SCN_MILLION < run->churn.ppm;
}

static void crash_or_restart(struct sim_run *run, uint32_t node, bool crash)
{
    uint64_t now_us = sim_world_now(run->world);

    if (crash != sim_world_runs(run->world, node)) return;
    if (crash) {
        sim_world_kill(run->world, node, now_us,
                       has_power_loss(run) ? SIM_END_POWER : 0);
    } else {
        sim_world_start(run->world, node, now_us);
    }
}

/* ---- one law for all ---- */

static void next_tick(struct sim_run *run, uint64_t at_us)
{
    sim_world_at(run->world, at_us, SIM_CTL(SIM_CTL_CHURN, run->churn_epoch));
}

/* Half of all live no longer than the median, whatever their age. */
static void plan_poisson(struct sim_run *run)
{
    double mean_us = (double)run->churn.us / log(2);
    uint32_t n = sim_world_running(run->world);

    next_tick(run, sim_world_now(run->world) +
                       draw_span(run, (uint64_t)(mean_us / (n ? n : 1))));
}

/* Any node that is down, from a random one on. */
static uint32_t some_down(struct sim_run *run)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i;
    uint32_t at = (uint32_t)(sim_run_draw(run) % nodes);

    for (i = 0; i < nodes; i++) {
        if (!sim_world_runs(run->world, (at + i) % nodes)) {
            return (at + i) % nodes;
        }
    }
    return UINT32_MAX;
}

static void poisson(struct sim_run *run)
{
    uint32_t comes = some_down(run), goes = sim_run_some_node(run);

    if (goes != UINT32_MAX) crash_or_restart(run, goes, true);
    if (comes != UINT32_MAX) crash_or_restart(run, comes, false);
    plan_poisson(run);
}

/* ---- as it was measured ---- */

static int load_trace(struct sim_run *run)
{
    const char *path = sim_world_config(run->world)->trace;
    char why[XN_TRACE_TEXT] = "no file is given";
    int rc = XN_EINVAL;

    if (run->trace.n) return 0;
    if (path) rc = xn_trace_load(path, &run->trace, why, sizeof why);
    if (rc) {
        xn_gripe(run->options->program,
                 rc == XN_EINVAL ? "cannot read the trace [XS-2-TRACE]"
                                 : "cannot read the trace [XS-1-TRACE]",
                 why[0] ? why : xn_strerror(rc),
                 "--set sim.trace=FILE, of a form that man xenosim names");
    }
    return rc;
}

/* Down and up again at once: one time up ends where the next begins. */
static bool is_blink(const struct xn_trace *trace, size_t at)
{
    const struct xn_trace_change *c = &trace->changes[at];

    return at + 1 < trace->n && !c->up && c[1].up && c[1].node == c->node &&
           c[1].at_us == c->at_us;
}

/* All changes up to now. */
static void follow(struct sim_run *run)
{
    const struct xn_trace *trace = &run->trace;
    uint32_t nodes = sim_world_config(run->world)->nodes;
    uint64_t now_us = sim_world_now(run->world);

    while (run->trace_at < trace->n) {
        const struct xn_trace_change *c = &trace->changes[run->trace_at];
        uint64_t at_us = c->at_us + run->trace_begun_us - run->churn.us;

        if (c->node < nodes && at_us > now_us) {
            next_tick(run, at_us);
            return;
        }
        if (is_blink(trace, run->trace_at)) {
            run->trace_at += 2;
            continue;
        }
        run->trace_at++;
        if (c->node < nodes) crash_or_restart(run, c->node, !c->up);
    }
}

enum { NOT_IN_IT, DOWN, UP };

/* How each node stood at the time from which we follow it. */
static void read_state(struct sim_run *run, uint8_t *state)
{
    uint32_t nodes = sim_world_config(run->world)->nodes;
    size_t i;

    run->trace_at = 0;
    for (i = 0; i < run->trace.n; i++) {
        const struct xn_trace_change *c = &run->trace.changes[i];

        if (c->at_us <= run->churn.us) run->trace_at = i + 1;
        if (c->node >= nodes) continue;
        if (c->at_us <= run->churn.us) {
            state[c->node] = c->up ? UP : DOWN;
        } else if (state[c->node] == NOT_IN_IT) {
            state[c->node] = DOWN;
        }
    }
}

static int begin_trace(struct sim_run *run)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i;
    int rc = load_trace(run);
    uint8_t *state;

    if (rc) return rc;
    state = calloc(nodes, sizeof *state);
    if (!state) return XN_ENOMEM;
    read_state(run, state);
    for (i = 0; i < nodes; i++) {
        if (state[i] != NOT_IN_IT) crash_or_restart(run, i, state[i] == DOWN);
    }
    free(state);
    run->trace_begun_us = sim_world_now(run->world);
    follow(run);
    return 0;
}

/* ---- all laws ---- */

int sim_churn_begin(struct sim_run *run, const struct scn_step *step)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, i;
    uint64_t median_us = sim_world_settings(run->world)->median_us;

    run->churn_epoch++;
    run->churning = !step->off;
    if (step->off) return 0;
    run->churn = *step;
    if (step->law == SCN_TRACE) return begin_trace(run);
    if (step->law == SCN_POISSON) {
        if (median_us) run->churn.us = median_us;
        plan_poisson(run);
        return 0;
    }
    for (i = 0; i < nodes; i++) {
        if (sim_world_runs(run->world, i)) plan_churn(run, i, true);
    }
    return 0;
}

static void tick(struct sim_run *run, uint64_t epoch)
{
    if (!run->churning || epoch != run->churn_epoch) return;
    if (run->churn.law == SCN_TRACE) {
        follow(run);
    } else {
        poisson(run);
    }
}

void sim_churn_event(struct sim_run *run, uint64_t what)
{
    bool crash = SIM_CTL_KIND(what) == SIM_CTL_CRASH;
    uint64_t epoch = SIM_CTL_N(what) >> 32;

    if (SIM_CTL_KIND(what) == SIM_CTL_CHURN) {
        tick(run, SIM_CTL_N(what));
        return;
    }
    /* Churn may be over; a node that is down comes back all the same. */
    if (crash && (!run->churning || epoch != (run->churn_epoch & 0xffffff))) {
        return;
    }
    crash_or_restart(run, (uint32_t)what, crash);
}

void sim_churn_clear(struct sim_run *run)
{
    xn_trace_clear(&run->trace);
}
