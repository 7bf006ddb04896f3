/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checkers: what must hold of the whole system.
 *
 * Always: each core's state holds together, no message over the bound, no
 * false answer.  When nothing was disturbed for the settle time, or on demand:
 * all nodes agree on each key's owner, leaf sets are who stands there (in each
 * part of a world that is parted), and every live ad is findable.
 */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/market.h"
#include "sim/run.h"

#define RELINK_US 20000000ULL

/* The renewal of one ad alone may wait for five copies of twenty tokens. */
enum { CORES = 16, KEYS = 8, NODES = 12, ADS = 20, WAITS_MAX = 64 + 5 * 20 };

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

/* Nothing grows: who is left in peace has little under way beside what it
 * upholds. */
static void check_waits_of(struct sim_run *run, uint32_t node)
{
    const struct sim_probe *probe = &run->options->probe;
    size_t n = probe->waits(probe->user, sim_world_core(run->world, node));
    size_t most = sim_world_links(run->world, node) + WAITS_MAX;

    if (n > run->tally.waits_max) run->tally.waits_max = n;
    if (n <= most) return;
    sim_run_violation(run, "node %u waits for %zu things, %zu allowed", node, n,
                      most);
}

static void check_waits(struct sim_run *run, size_t most)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, node;
    size_t i;

    if (!run->options->probe.waits) return;
    for (i = 0; i < most; i++) {
        node = most >= nodes ? (uint32_t)i : sim_run_some_node(run);
        if (node >= nodes || !sim_world_runs(run->world, node)) continue;
        check_waits_of(run, node);
    }
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

/* Who takes itself to be linked to all, and is. */
static bool knows_all(const struct sim_run *run, uint32_t node)
{
    const struct sim_probe *probe = &run->options->probe;
    struct xn_now now = sim_world_time(run->world, node);

    return sim_world_links(run->world, node) + 1 >=
               sim_world_running(run->world) &&
           (!probe->knows_all ||
            probe->knows_all(probe->user, sim_world_core(run->world, node),
                             &now));
}

/* Those near the key know its owner; others may hold links to the dead. */
static void check_owners(struct sim_run *run)
{
    uint32_t owner, node;
    int k, i;

    if (!run->options->probe.owner) return;
    for (k = 0; k < KEYS; k++) {
        uint64_t draw = sim_run_draw(run);
        xn_id key;

        xn_id_hash(&draw, sizeof draw, &key);
        node = sim_run_some_node(run);
        if (node == UINT32_MAX) return;
        owner = sim_run_owner(run, node, &key, false);
        ask_owner(run, owner, &key, owner);
        for (i = 0; i < NODES; i++) {
            node = sim_run_some_node(run);
            if (node == UINT32_MAX) return;
            if (!knows_all(run, node)) continue;
            if (sim_world_apart(run->world, node, owner)) continue;
            ask_owner(run, node, &key, owner);
        }
    }
}

/* Those beside a node, as it says, and one way round as it is. */
struct beside {
    uint32_t says[SIM_LEAVES_MAX], up[SIM_LEAVES_MAX + 1], down[SIM_LEAVES_MAX];
    size_t n, n_up, n_down;
};

/* The first place that is wrong; n: none.  So many on one side as on the other,
 * or all that there are. */
static size_t first_wrong(const struct beside *b)
{
    size_t up = 0, i;

    while (up < b->n && up < b->n_up && b->says[up] == b->up[up])
        up++;
    for (i = up; i < b->n; i++) {
        if (i - up >= b->n_down || b->says[i] != b->down[i - up]) return i;
    }
    return b->n == b->n_up || 2 * up == b->n ? b->n : up;
}

/* A link of it broke a moment ago, and is being dialled anew. */
static bool is_relinking(const struct sim_run *run, uint32_t node)
{
    uint64_t broke_us = sim_world_broke_us(run->world, node);

    return broke_us && broke_us + RELINK_US > sim_world_now(run->world);
}

/* Owners are right wherever every node knows those beside it, who keep the
 * copies: its leaf set is who stands there. */
static void check_leaves_of(struct sim_run *run, uint32_t node)
{
    const struct sim_probe *probe = &run->options->probe;
    struct xn_core *core = sim_world_core(run->world, node);
    struct sim_graph_config shape = {.leaves = 0};
    struct beside b;
    size_t wrong, all;

    if (is_relinking(run, node) || sim_world_nat(run->world, node)) return;
    run->tally.checked_leaves++;
    b.n = probe->leaves(probe->user, core, b.says);
    if (probe->shape) probe->shape(probe->user, &shape);
    all = sim_run_beside(run, node, true, b.up, 2 * (size_t)shape.leaves);
    if (b.n < all) {
        sim_run_violation(run, "the leaf set of node %u has %zu of %zu", node,
                          b.n, all);
        return;
    }
    b.n_up = sim_run_beside(run, node, true, b.up, b.n + 1);
    b.n_down = sim_run_beside(run, node, false, b.down, b.n);
    wrong = first_wrong(&b);
    if (wrong == b.n && (b.n > 0 || b.n_up == 0)) return;
    sim_run_violation(run, "the leaf set of node %u is wrong at %zu of %zu",
                      node, wrong, b.n);
}

static void check_leaves(struct sim_run *run, size_t most)
{
    uint32_t nodes = sim_world_config(run->world)->nodes, node;
    size_t i;

    if (!run->options->probe.leaves) return;
    for (i = 0; i < most; i++) {
        node = most >= nodes ? (uint32_t)i : sim_run_some_node(run);
        if (node >= nodes || !sim_world_runs(run->world, node)) continue;
        check_leaves_of(run, node);
    }
}

static void check_settled(struct sim_run *run)
{
    const struct sim_probe *probe = &run->options->probe;
    uint32_t node = sim_run_some_node(run);

    if (!probe->settled || node == UINT32_MAX || is_relinking(run, node)) {
        return;
    }
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
    sim_lookup_check(run);
    if (!now && !sim_run_calm(run)) return;
    run->tally.checks_settled++;
    check_owners(run);
    check_leaves(run, now ? all : NODES);
    check_waits(run, now ? all : NODES);
    if (!now && !sim_run_settled(run, sim_world_now(run->world))) return;
    check_settled(run);
    run->tally.checked_ads += market_get(run->market, now ? all : ADS, now);
}
