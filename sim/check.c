/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checkers: what must hold of the whole system.
 *
 * Always: each core's state holds together, no message over the bound, no
 * false answer.  When nothing was disturbed for the settle time, or on demand:
 * all nodes agree on each key's owner, and every live ad is findable.
 */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/market.h"
#include "sim/run.h"

enum { CORES = 16, KEYS = 8, NODES = 12, ADS = 20 };

static void check_cores(struct sim_run *run, size_t most)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, node;
    char why[SIM_WHY_LEN];
    size_t i;

    for (i = 0; i < most; i++) {
        node = most >= nodes ? (uint32_t)(i % nodes) : sim_run_some_node(run);
        if (node == UINT32_MAX || !sim_world_runs(run->world, node)) continue;
        run->tally.checked_cores++;
        why[0] = '\0';
        if (xn_core_check(sim_world_core(run->world, node), why, sizeof why)) {
            continue;
        }
        sim_run_violation(run, "the state of node %u: %s", node, why);
    }
}

static void check_bounds(struct sim_run *run)
{
    const struct sim_totals *totals = sim_world_totals(run->world);

    if (totals->message_max <= XN_MSG_MAX) return;
    sim_run_violation(run, "a message of %llu bytes, %u allowed",
                      (unsigned long long)totals->message_max, XN_MSG_MAX);
}

static void ask_owner(struct sim_run *run, uint32_t node, const xn_id *key,
                      uint32_t owner)
{
    const struct sim_probe *probe = &run->options->probe;
    struct xn_core *core = sim_world_core(run->world, node);
    uint32_t says;

    if (!core || !probe->owner(probe->user, node, core, key, &says)) return;
    run->tally.checked_keys++;
    if (says == owner) return;
    sim_run_violation(run,
                      "node %u takes node %u for the owner of a key, "
                      "which is node %u's",
                      node, says, owner);
}

/* In a full mesh everybody knows; else those near the key do. */
static void check_owners(struct sim_run *run)
{
    uint32_t all = sim_world_running(run->world), owner, node;
    int k, i;

    if (!run->options->probe.owner) return;
    for (k = 0; k < KEYS; k++) {
        uint64_t draw = sim_run_draw(run);
        xn_id key;

        xn_id_hash(&draw, sizeof draw, &key);
        owner = sim_run_owner(run, &key);
        if (owner == UINT32_MAX) return;
        ask_owner(run, owner, &key, owner);
        for (i = 0; i < NODES; i++) {
            node = sim_run_some_node(run);
            if (node == UINT32_MAX) return;
            if (sim_world_links(run->world, node) + 1 < all) continue;
            ask_owner(run, node, &key, owner);
        }
    }
}

/* The running node next to this one on the ring; itself when alone. */
static uint32_t next_of(const struct sim_run *run, uint32_t node,
                        bool clockwise)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    const xn_id *self = &peers->rows[node].position;
    uint32_t best = node, i;
    xn_id way, least;

    for (i = 0; i < peers->n; i++) {
        if (i == node || !sim_world_runs(run->world, i)) continue;
        if (clockwise) {
            xn_ring_clockwise(self, &peers->rows[i].position, &way);
        } else {
            xn_ring_clockwise(&peers->rows[i].position, self, &way);
        }
        if (best != node && xn_id_cmp(&way, &least) >= 0) continue;
        best = i;
        least = way;
    }
    return best;
}

/* Owners are right wherever every node knows the two beside it. */
static void check_neighbours(struct sim_run *run, size_t most)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    uint32_t node, next;
    size_t i;
    int side;

    if (!run->options->probe.owner) return;
    for (i = 0; i < most; i++) {
        node = most >= peers->n ? (uint32_t)i : sim_run_some_node(run);
        if (node >= peers->n || !sim_world_runs(run->world, node)) continue;
        for (side = 0; side < 2; side++) {
            next = next_of(run, node, side);
            ask_owner(run, node, &peers->rows[next].position, next);
        }
    }
}

static void check_settled(struct sim_run *run)
{
    const struct sim_probe *probe = &run->options->probe;
    uint32_t node = sim_run_some_node(run);

    if (!probe->settled || node == UINT32_MAX) return;
    if (probe->settled(probe->user, sim_world_core(run->world, node))) return;
    sim_run_violation(run, "node %u is not settled long after the last change",
                      node);
}

void sim_check_tick(struct sim_run *run, bool now)
{
    size_t all = sim_world_config(run->world)->nodes;

    run->tally.checks++;
    check_cores(run, now ? all : CORES);
    check_bounds(run);
    if (!now && !sim_run_settled(run)) return;
    run->tally.checks_settled++;
    check_settled(run);
    check_owners(run);
    check_neighbours(run, now ? all : NODES);
    run->tally.checked_ads += market_get(run->market, now ? all : ADS, now);
}
