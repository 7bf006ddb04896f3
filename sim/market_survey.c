/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a crash took with it: who held each ad when it began is noted, and when
 * it is over an ad that nobody holds is excused where all of them are down. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/market_state.h"

struct market_held {
    uint64_t version; /* of the ad; 0: not looked at */
    uint32_t *by;
    size_t n;
};

void market_held_free(struct sim_market *market)
{
    uint32_t i;

    for (i = 0; market->held && i < market->nodes; i++)
        free(market->held[i].by);
    free(market->held);
    market->held = NULL;
}

void market_held_wiped(struct sim_market *market, uint32_t node)
{
    uint32_t i;
    size_t k;

    for (i = 0; market->held && i < market->nodes; i++) {
        struct market_held *held = &market->held[i];

        for (k = 0; k < held->n; k++) {
            if (held->by[k] == node) held->by[k] = UINT32_MAX;
        }
    }
}

/* Does `node` hold the server's ad? */
static bool holds(const struct sim_market *market, uint32_t node,
                  uint32_t server)
{
    const struct sim_probe *probe = &market->run->options->probe;
    const struct market_server *s = &market->servers[server];
    struct sim_world *world = market->run->world;
    struct xn_now now;

    if (!sim_world_runs(world, node)) return false;
    now = sim_world_time(world, node);
    return probe->holds(probe->user, sim_world_core(world, node), &s->id,
                        s->now.version, &now);
}

static bool is_held(const struct sim_market *market, uint32_t server)
{
    uint32_t i = 0;

    while (i < market->nodes && !holds(market, i, server))
        i++;
    return i < market->nodes;
}

/* Another crash may be under way: who held it when that began counts too. */
static int note_holders(struct sim_market *market, uint32_t server)
{
    uint64_t version = market->servers[server].now.version;
    struct market_held *held = &market->held[server];
    size_t cap = held->n, i;
    uint32_t node;

    if (held->version != version) held->n = 0;
    held->version = version;
    for (node = 0; node < market->nodes; node++) {
        if (!holds(market, node, server)) continue;
        for (i = 0; i < held->n && held->by[i] != node; i++)
            continue;
        if (i < held->n) continue;
        if (held->n >= cap) {
            uint32_t *by;

            cap = 2 * cap + 8;
            by = realloc(held->by, cap * sizeof *by);
            if (!by) return XN_ENOMEM;
            held->by = by;
        }
        held->by[held->n++] = node;
    }
    return 0;
}

/* In a world at rest each ad has all its copies. */
static void judge_holders(const struct sim_market *market, uint32_t server)
{
    const struct sim_probe *probe = &market->run->options->probe;
    struct sim_run *run = market->run;
    uint32_t running = sim_world_running(run->world);
    uint32_t copies = probe->copies ? probe->copies(probe->user) : 1;
    size_t n = market->held[server].n;

    if (copies > running) copies = running;
    if (n >= copies || !sim_run_settled(run, sim_world_now(run->world))) return;
    sim_run_violation(run, "%zu nodes hold the ad of server %u, not %u", n,
                      server, copies);
}

int market_crash(struct sim_market *market)
{
    uint64_t now_us = sim_world_now(market->run->world);
    uint32_t i;
    int rc = 0;

    if (!market->run->options->probe.holds) return 0;
    if (!market->held) {
        market->held = calloc(market->nodes, sizeof *market->held);
        if (!market->held) return XN_ENOMEM;
    }
    market->crashes++;
    for (i = 0; !rc && i < market->nodes; i++) {
        if (!market_must(market, i, now_us)) continue;
        rc = note_holders(market, i);
        if (!rc && market->crashes == 1) judge_holders(market, i);
    }
    return rc;
}

/* UINT32_MAX: none of those who held it runs.  One that came back meanwhile
 * runs too, and would hold what it had. */
static uint32_t holder_left(const struct sim_market *market, uint32_t server)
{
    const struct market_held *held = &market->held[server];
    size_t i;

    for (i = 0; i < held->n; i++) {
        if (held->by[i] == UINT32_MAX) continue; /* its disk is lost */
        if (sim_world_runs(market->run->world, held->by[i])) return held->by[i];
    }
    return UINT32_MAX;
}

static void lost(struct sim_market *market, uint32_t server)
{
    struct market_server *s = &market->servers[server];
    const struct market_held *held = &market->held[server];
    uint32_t left;

    if (held->version == s->now.version) {
        /* Lost before, in unquiet times: that crash did not take it. */
        if (held->n == 0) return;
        left = holder_left(market, server);
        if (left != UINT32_MAX) {
            sim_run_violation(market->run,
                              "nobody holds the ad of server %u, though node "
                              "%u that held it runs",
                              server, left);
            return;
        }
    }
    s->gone = true;
    market->run->tally.ads_gone++;
}

void market_survey(struct sim_market *market)
{
    uint64_t now_us = sim_world_now(market->run->world);
    uint32_t i;

    if (!market->held) return;
    for (i = 0; i < market->nodes; i++) {
        if (market_must(market, i, now_us) && !is_held(market, i)) {
            lost(market, i);
        }
    }
    if (--market->crashes == 0) market_held_free(market);
}
