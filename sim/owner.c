/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose is a key, seen from outside: the running node nearest to it. */
#include <stdlib.h>

#include "lib/err.h"
#include "sim/order.h"
#include "sim/run.h"

static uint32_t head_of(const xn_id *position)
{
    return (uint32_t)(xn_id_head(position) >> 32);
}

int sim_owner_start(struct sim_run *run)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    size_t i;
    int rc;

    run->by_position = malloc((peers->n + 1) * sizeof *run->by_position);
    run->heads = malloc((peers->n + 1) * sizeof *run->heads);
    if (!run->by_position || !run->heads) return XN_ENOMEM;
    rc = sim_order(peers, (uint32_t)peers->n, run->by_position);
    for (i = 0; i < peers->n && !rc; i++)
        run->heads[i] = head_of(&peers->rows[run->by_position[i]].position);
    return rc;
}

/* The contacts of a large overlay are far away, the heads side by side. */
static bool is_before(const struct sim_run *run, size_t i, const xn_id *key)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    uint32_t head = head_of(key);

    if (run->heads[i] != head) return run->heads[i] < head;
    return xn_id_cmp(&peers->rows[run->by_position[i]].position, key) < 0;
}

/* Positions are even: where it should be, give or take what chance makes of n
 * (half the root of n is one standard deviation, at most). */
static void narrow(const struct sim_run *run, const xn_id *key, size_t *lo,
                   size_t *hi)
{
    size_t n = *hi, guess = (size_t)((xn_id_head(key) >> 32) * n >> 32);
    size_t give = 1;

    while (give * give < 4 * n)
        give *= 2;
    if (guess > give && is_before(run, guess - give, key)) *lo = guess - give;
    if (guess + give < n && !is_before(run, guess + give, key)) {
        *hi = guess + give;
    }
}

static size_t lower(const struct sim_run *run, const xn_id *key)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    size_t lo = 0, hi = peers->n;

    narrow(run, key, &lo, &hi);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (is_before(run, mid, key))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* It runs, and can be dialled. */
static bool may_own(const struct sim_run *run, uint32_t node)
{
    return sim_world_runs(run->world, node) && !sim_world_nat(run->world, node);
}

struct sought {
    const struct sim_run *run;
    uint32_t from;
    bool members;
};

static bool counts(const struct sought *sought, uint32_t node)
{
    const struct sim_run *run = sought->run;
    const struct sim_probe *probe = &run->options->probe;
    struct xn_now now;

    if (!may_own(run, node)) return false;
    if (sim_world_apart(run->world, sought->from, node)) return false;
    if (!sought->members || !probe->member) return true;
    now = sim_world_time(run->world, node);
    return probe->member(probe->user, sim_world_core(run->world, node), &now);
}

/* The first one that counts from there on, clockwise or the other way. */
static uint32_t first_from(const struct sought *sought, size_t at, bool up)
{
    size_t n = sim_world_peers(sought->run->world)->n, i;

    for (i = 0; i < n; i++) {
        size_t k = up ? at + i : at + 2 * n - 1 - i;
        uint32_t node = sought->run->by_position[k % n];

        if (counts(sought, node)) return node;
    }
    return UINT32_MAX;
}

bool sim_run_is(const struct sim_run *run, const xn_id *from, uint32_t node)
{
    const struct xn_peers *peers = sim_world_peers(run->world);

    return node < peers->n &&
           xn_id_brief(from) == xn_id_brief(&peers->rows[node].id);
}

uint32_t sim_run_owner(const struct sim_run *run, uint32_t from,
                       const xn_id *key, bool members)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    const struct sought sought = {run, from, members};
    size_t at = lower(run, key);
    uint32_t up = first_from(&sought, at, true);
    uint32_t down = first_from(&sought, at, false);

    if (up == UINT32_MAX) return UINT32_MAX;
    return xn_ring_nearer(key, &peers->rows[down].position,
                          &peers->rows[up].position)
               ? down
               : up;
}

size_t sim_run_copies(const struct sim_run *run, const xn_id *key, size_t most,
                      uint32_t *out)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    size_t n = peers->n, up = lower(run, key), down = up + n, got = 0;

    while (got < most && up < down) {
        uint32_t a = run->by_position[up % n];
        uint32_t b = run->by_position[(down - 1) % n];
        bool nearer = !xn_ring_nearer(key, &peers->rows[b].position,
                                      &peers->rows[a].position);
        uint32_t node = nearer ? a : b;

        if (nearer)
            up++;
        else
            down--;
        if (may_own(run, node)) out[got++] = node;
    }
    return got;
}

size_t sim_run_beside(const struct sim_run *run, uint32_t node, bool up,
                      uint32_t *out, size_t most)
{
    const struct xn_peers *peers = sim_world_peers(run->world);
    const struct sought sought = {run, node, false};
    size_t n = peers->n, at = lower(run, &peers->rows[node].position), i,
           got = 0;

    for (i = 1; i < n && got < most; i++) {
        size_t k = up ? at + i : at + n - i;
        uint32_t other = run->by_position[k % n];

        if (other != node && counts(&sought, other)) out[got++] = other;
    }
    return got;
}
