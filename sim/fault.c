/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong on the way: loss, jitter, slow nodes, partitions. */
#include "lib/rng.h"
#include "sim/inside.h"

enum { SALT_CUT = 0x6375, SALT_SLOW = 0x736c };

#define MILLION 1000000U
#define RTO_US_MIN 200000U /* as Linux's TCP */
#define TRIES_MAX 6

static bool in_share(const struct sim_world *world, uint64_t salt,
                     uint32_t node, uint32_t ppm)
{
    return ppm && xn_rng_mix(world->config.seed ^ salt, node) % MILLION < ppm;
}

bool sim_is_cut(const struct sim_world *world, uint32_t a, uint32_t b)
{
    if (world->now_us >= world->cut_until_us) return false;
    return in_share(world, SALT_CUT, a, world->cut_ppm) !=
           in_share(world, SALT_CUT, b, world->cut_ppm);
}

static bool is_slow(const struct sim_world *world, uint32_t node)
{
    return in_share(world, SALT_SLOW, node, world->config.settings.slow_ppm);
}

static bool happens(struct sim_world *world, uint32_t node, uint32_t ppm)
{
    return ppm && sim_node_draw(world, node) % MILLION < ppm;
}

static uint64_t travel_us(struct sim_world *world, uint32_t from, uint32_t to)
{
    const struct sim_settings *set = &world->config.settings;
    uint64_t us = sim_latency_us(world->latency, world->config.seed, from, to);

    if (set->jitter_ppm) {
        uint64_t most = us * set->jitter_ppm / MILLION;

        us += sim_node_draw(world, from) % (most + 1);
    }
    if (is_slow(world, to)) us += set->slow_us;
    return us;
}

uint64_t sim_arrival(struct sim_world *world, uint32_t from, uint32_t to)
{
    const struct sim_settings *set = &world->config.settings;
    uint64_t us = travel_us(world, from, to);
    uint64_t rto = 3 * us > RTO_US_MIN ? 3 * us : RTO_US_MIN;
    int tries;

    if (sim_is_cut(world, from, to)) {
        /* TCP sends again; whoever waits too long gives up. */
        if (world->cut_until_us - world->now_us > set->silence_us) {
            return UINT64_MAX;
        }
        return world->cut_until_us + us + rto;
    }
    for (tries = 0; tries < TRIES_MAX; tries++) {
        if (!happens(world, from, set->loss_ppm)) break;
        world->totals.lost++;
        if (happens(world, from, set->break_ppm)) return UINT64_MAX;
        us += rto << tries;
    }
    return world->now_us + us;
}

uint64_t sim_arrival_bare(struct sim_world *world, uint32_t from, uint32_t to)
{
    if (sim_is_cut(world, from, to)) return UINT64_MAX;
    return world->now_us + travel_us(world, from, to);
}

void sim_world_cut(struct sim_world *world, uint32_t share_ppm,
                   uint64_t until_us)
{
    uint32_t i;

    world->cut_ppm = share_ppm;
    world->cut_until_us = until_us;
    world->totals.last_disturbed_us = until_us;
    for (i = 0; i < world->config.nodes; i++)
        sim_link_cut(world, i);
}
