/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose is a key, seen from outside: the running node nearest to it. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/order.h"
#include "sim/run.h"

int sim_owner_start(struct sim_run *run)
{
    const struct xn_peers *peers = sim_world_peers(run->world);

    run->by_position = malloc((peers->n + 1) * sizeof *run->by_position);
    if (!run->by_position) return XN_ENOMEM;
    return sim_order(peers, (uint32_t)peers->n, run->by_position);
}

static size_t lower(const struct sim_run *run, const xn_id *key)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    size_t lo = 0, hi = peers->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const xn_id *position = &peers->rows[run->by_position[mid]].position;

        if (xn_id_cmp(position, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The first running one from there on, clockwise or the other way. */
static uint32_t first_from(const struct sim_run *run, size_t at, bool up)
{
    size_t n = sim_world_peers(run->world)->n, i;

    for (i = 0; i < n; i++) {
        uint32_t node =
            run->by_position[up ? (at + i) % n : (at + 2 * n - 1 - i) % n];

        if (sim_world_runs(run->world, node)) return node;
    }
    return UINT32_MAX;
}

uint32_t sim_run_owner(const struct sim_run *run, const xn_id *key)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    size_t at = lower(run, key);
    uint32_t up = first_from(run, at, true), down = first_from(run, at, false);

    if (up == UINT32_MAX) return UINT32_MAX;
    return xn_ring_nearer(key, &peers->rows[down].position,
                          &peers->rows[up].position)
               ? down
               : up;
}
