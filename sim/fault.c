/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong on the way: loss, jitter, slow nodes and lines, partitions. */
#include "lib/rng.h"
#include "sim/inside.h"
#include "sim/wire.h"

enum { SALT_CUT = 0x6375, SALT_SLOW = 0x736c, SALT_NAT = 0x6e61 };

#define MILLION 1000000U
#define RTO_US_MIN 200000U /* as Linux's TCP */
#define SYN_US 1000000U    /* a first packet has nothing measured to go by */
#define TRIES_MAX 6
#define HELD_US 1500000U /* of the three seconds that PINGs wait for answers */

static bool in_share(const struct sim_world *world, uint64_t salt,
                     uint32_t node, uint32_t ppm)
{
    return ppm && xn_rng_mix(world->config.seed ^ salt, node) % MILLION < ppm;
}

bool sim_world_apart(const struct sim_world *world, uint32_t a, uint32_t b)
{
    /* Other sides each time. */
    uint64_t salt = (uint64_t)world->cuts << 32 | SALT_CUT;

    if (world->now_us >= world->cut_until_us) return false;
    return in_share(world, salt, a, world->cut_ppm) !=
           in_share(world, salt, b, world->cut_ppm);
}

bool sim_world_slow(const struct sim_world *world, uint32_t node)
{
    return in_share(world, SALT_SLOW, node, world->config.settings.slow_ppm);
}

bool sim_world_nat(const struct sim_world *world, uint32_t node)
{
    return in_share(world, SALT_NAT, node, world->config.settings.nat_ppm);
}

static bool happens(struct sim_world *world, uint32_t node, uint32_t ppm)
{
    return ppm && sim_node_draw(world, node) % MILLION < ppm;
}

uint64_t sim_pace_us(const struct sim_world *world, uint32_t node, uint64_t us)
{
    uint32_t times = world->config.settings.slow_times;

    return times > 1 && sim_world_slow(world, node) ? us * times : us;
}

static uint64_t travel_us(struct sim_world *world, uint32_t from, uint32_t to)
{
    const struct sim_settings *set = &world->config.settings;
    uint64_t us = sim_latency_us(world->latency, world->config.seed, from, to);

    if (set->jitter_ppm) {
        uint64_t most = us * set->jitter_ppm / MILLION;

        us += sim_node_draw(world, from) % (most + 1);
    }
    us = sim_pace_us(world, sim_world_slow(world, to) ? to : from, us);
    if (sim_world_slow(world, to)) us += set->slow_us;
    return us;
}

/* Sent again and again, at twice the pause each time: `us` grows by the
 * pauses.  false: it broke the link, if it may. */
static bool gets_through(struct sim_world *world, uint32_t from,
                         uint64_t pause_us, bool may_break, uint64_t *us)
{
    const struct sim_settings *set = &world->config.settings;
    int tries;

    for (tries = 0; tries < TRIES_MAX; tries++) {
        if (!happens(world, from, set->loss_ppm)) return true;
        world->totals.lost++;
        if (may_break && happens(world, from, set->break_ppm)) return false;
        *us += pause_us << tries;
    }
    return true;
}

/* What a node sends goes over one line, one thing after another.  false: more
 * waits than it may. */
static bool take_line(struct sim_world *world, uint32_t from, size_t bytes,
                      uint64_t *us)
{
    const struct sim_settings *set = &world->config.settings;
    struct sim_toll *toll = &world->tolls[from];
    uint64_t waiting;

    if (!set->bits) return true;
    if (toll->line_us < world->now_us) toll->line_us = world->now_us;
    waiting = (toll->line_us - world->now_us) * set->bits / 8 / MILLION + bytes;
    if (waiting > set->queue_bytes) return false;
    if (waiting > world->totals.queue_bytes) {
        world->totals.queue_bytes = waiting;
    }
    toll->line_us += bytes * 8 * MILLION / set->bits;
    *us += toll->line_us - world->now_us;
    return true;
}

uint64_t sim_arrival(struct sim_world *world, uint32_t from, uint32_t to,
                     size_t bytes)
{
    uint64_t us = travel_us(world, from, to), straight_us;
    uint64_t rto = 3 * us > RTO_US_MIN ? 3 * us : RTO_US_MIN;

    if (sim_world_apart(world, from, to)) {
        /* TCP sends again; whoever waits too long gives up. */
        if (world->cut_until_us - world->now_us >
            world->config.settings.silence_us) {
            return UINT64_MAX;
        }
        return world->cut_until_us + us + rto;
    }
    if (!take_line(world, from, bytes, &us)) return UINT64_MAX;
    straight_us = us;
    if (!gets_through(world, from, rto, true, &us)) return UINT64_MAX;
    if (us - straight_us > HELD_US)
        world->tolls[from].broke_us = world->tolls[to].broke_us = world->now_us;
    return world->now_us + us;
}

uint64_t sim_arrival_bare(struct sim_world *world, uint32_t from, uint32_t to)
{
    uint64_t us;

    if (sim_world_apart(world, from, to)) return UINT64_MAX;
    us = travel_us(world, from, to);
    gets_through(world, from, SYN_US, false, &us);
    return world->now_us + us;
}

uint64_t sim_world_quiet_since(const struct sim_world *world, bool whole)
{
    bool parted = world->now_us < world->cut_until_us;
    uint64_t cut_us = parted ? world->cut_from_us : world->cut_until_us;
    uint64_t since_us = world->totals.last_disturbed_us;

    if (parted && whole) return UINT64_MAX;
    return cut_us > since_us ? cut_us : since_us;
}

uint64_t sim_world_whole_since(const struct sim_world *world)
{
    return world->now_us < world->cut_until_us ? UINT64_MAX
                                               : world->cut_until_us;
}

uint64_t sim_world_broke_us(const struct sim_world *world, uint32_t node)
{
    return world->tolls[node].broke_us;
}

void sim_world_cut(struct sim_world *world, uint32_t share_ppm,
                   uint64_t until_us)
{
    uint32_t i;

    world->cuts += world->cut_until_us > 0;
    world->cut_ppm = share_ppm;
    world->cut_from_us = world->now_us;
    world->cut_until_us = until_us;
    for (i = 0; i < world->config.nodes; i++)
        sim_link_cut(world, i);
}
