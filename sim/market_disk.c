/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node held when it ended must be on its disk: who comes back with that
 * holds it again, long before anybody could have told it. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/market_state.h"

#define LOADED_US 1000000ULL /* so long after its start */
/* Leases that end sooner are left out, and so is who is away for longer. */
#define AWAY_US (5 * 60 * 1000000ULL)

struct market_disk {
    uint64_t ended_us;
    size_t n;
    struct market_kept {
        uint32_t server;
        uint64_t version;
    } kept[];
};

void market_disks_free(struct sim_market *market)
{
    uint32_t i;

    for (i = 0; market->disks && i < market->nodes; i++)
        free(market->disks[i]);
    free(market->disks);
    market->disks = NULL;
}

static bool keeps(const struct sim_market *market, uint32_t node,
                  uint32_t server)
{
    const struct sim_probe *probe = &market->run->options->probe;
    const struct market_server *s = &market->servers[server];
    struct sim_world *world = market->run->world;
    struct xn_now then = sim_world_time(world, node);

    if (s->state != MARKET_ON) return false;
    then.wall_us += AWAY_US;
    return probe->keeps(probe->user, sim_world_core(world, node), &s->id,
                        s->now.version, &then);
}

static bool holds(const struct sim_market *market, uint32_t node,
                  uint32_t server)
{
    const struct sim_probe *probe = &market->run->options->probe;
    const struct market_server *s = &market->servers[server];
    struct sim_world *world = market->run->world;
    struct xn_now now = sim_world_time(world, node);

    return probe->holds(probe->user, sim_world_core(world, node), &s->id,
                        s->now.version, &now);
}

static int note(struct sim_market *market, uint32_t node)
{
    struct market_disk *disk;
    uint32_t i;
    size_t n = 0;

    for (i = 0; i < market->nodes; i++)
        n += keeps(market, node, i);
    if (n == 0) return 0;
    disk = malloc(sizeof *disk + n * sizeof disk->kept[0]);
    if (!disk) return XN_ENOMEM;
    disk->ended_us = sim_world_now(market->run->world);
    disk->n = 0;
    for (i = 0; i < market->nodes; i++) {
        if (!keeps(market, node, i)) continue;
        disk->kept[disk->n++] =
            (struct market_kept){i, market->servers[i].now.version};
    }
    market->disks[node] = disk;
    return 0;
}

void market_disk_ends(struct sim_market *market, uint32_t node, bool wiped)
{
    int rc = 0;

    if (!market->run->options->probe.keeps) return;
    if (!market->disks) {
        market->disks = calloc(market->nodes, sizeof(struct market_disk *));
        if (!market->disks) rc = XN_ENOMEM;
    }
    if (!rc) {
        free(market->disks[node]);
        market->disks[node] = NULL;
        if (!wiped) rc = note(market, node);
    }
    if (rc) sim_world_stop(market->run->world, rc);
}

static uint64_t loaded_us(const struct sim_market *market, uint32_t node)
{
    struct sim_world *world = market->run->world;
    uint32_t times = sim_world_settings(world)->slow_times;

    return times && sim_world_slow(world, node) ? times * LOADED_US : LOADED_US;
}

void market_disk_begins(struct sim_market *market, uint32_t node)
{
    uint64_t now_us = sim_world_now(market->run->world);

    if (!market->disks || !market->disks[node]) return;
    sim_world_at(market->run->world, now_us + loaded_us(market, node),
                 SIM_CTL(SIM_CTL_DISK, node));
}

/* It may have ended again meanwhile: then another look is due. */
void market_disk(struct sim_market *market, uint64_t node)
{
    const struct market_disk *disk = market->disks[node];
    struct sim_run *run = market->run;
    uint64_t now_us = sim_world_now(run->world);
    size_t i;

    if (!disk || !sim_world_runs(run->world, (uint32_t)node)) return;
    if (sim_world_since(run->world, (uint32_t)node) +
                loaded_us(market, (uint32_t)node) >
            now_us ||
        disk->ended_us + AWAY_US < now_us) {
        return;
    }
    for (i = 0; i < disk->n; i++) {
        const struct market_kept *k = &disk->kept[i];
        const struct market_server *s = &market->servers[k->server];

        if (s->now.version != k->version || s->state != MARKET_ON) continue;
        run->tally.checked_disks++;
        if (holds(market, (uint32_t)node, k->server)) continue;
        sim_run_violation(run,
                          "node %u is back with its disk and has lost the ad "
                          "of server %u",
                          (uint32_t)node, k->server);
    }
}
