/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lookups of random keys at random nodes: who answers must be the owner. */
#include <stdlib.h>

#include <uthash.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "sim/run.h"

#define LATE_US 1000000ULL

struct sim_lookup {
    uint64_t number;
    uint64_t asked_us;
    uint32_t node;
    uint32_t owner; /* when it was asked */
    bool told;      /* it has no end */
    xn_id key;
    UT_hash_handle hh;
};

static void random_key(struct sim_run *run, xn_id *key_out)
{
    uint32_t keys = sim_world_settings(run->world)->keys;
    uint64_t draw = sim_run_draw(run);

    if (keys) draw %= keys;
    xn_id_hash(&draw, sizeof draw, key_out);
}

/* The CPU time is that of all between the first and the last, upkeep too. */
void sim_lookup_clock(struct sim_run *run)
{
    bool runs = run->looking || run->lookup_rows;

    if (runs == run->lookup_timed) return;
    run->lookup_timed = runs;
    run->tally.lookup_cpu_s += runs ? -sim_run_cpu_s() : sim_run_cpu_s();
}

static struct sim_lookup *find(struct sim_run *run, uint64_t number)
{
    struct sim_lookup *row;

    HASH_FIND(hh, run->lookup_rows, &number, sizeof number, row);
    return row;
}

/* The whole way there and back, beside the direct way. */
static void count_stretch(struct sim_run *run, const struct sim_lookup *row,
                          uint32_t owner, uint64_t took_us)
{
    uint64_t rtt_us;

    if (owner == row->node) return;
    rtt_us = sim_world_rtt_us(run->world, row->node, owner);
    /* With the jitter that it would have had. */
    rtt_us += rtt_us * sim_world_settings(run->world)->jitter_ppm / 2 / 1000000;
    run->tally.lookup_took_us += took_us;
    run->tally.lookup_direct_us += rtt_us;
}

static void violate_end(struct sim_run *run, const struct sim_lookup *row,
                        int rc)
{
    sim_run_violation(run, "a lookup at node %u ended with %s", row->node,
                      xn_errname(rc));
}

/* Right is who was the owner when it was asked or is now that it is answered,
 * of all that run, or of those that take part yet.  Who answers in the owner's
 * place must say that it does not know; so may the owner, but not when nothing
 * happened for long. */
static void judge(struct sim_run *run, const struct sim_lookup *row, int rc,
                  const xn_id *from, uint64_t took_us)
{
    uint32_t owner = sim_run_owner(run, row->node, &row->key, false);
    bool calm = sim_run_calm(run);

    run->tally.lookup_settled += calm;
    if (owner == UINT32_MAX) return;
    if (rc && calm) violate_end(run, row, rc);
    if (sim_run_is(run, from, owner)) {
        run->tally.lookup_right += rc == 0;
        run->tally.lookup_unknown += rc != 0;
        count_stretch(run, row, owner, took_us);
        return;
    }
    if (rc) {
        run->tally.lookup_unknown++;
        return;
    }
    if (!calm && (sim_run_is(run, from, row->owner) ||
                  sim_run_is(run, from,
                             sim_run_owner(run, row->node, &row->key, true)))) {
        run->tally.lookup_right++;
        return;
    }
    run->tally.lookup_wrong++;
    run->tally.lookup_settled_wrong += calm;
    if (!calm) return;
    sim_run_violation(run,
                      "a lookup at node %u reached another than the key's "
                      "owner, node %u",
                      row->node, owner);
}

static void looked_up(struct sim_run *run, uint64_t number, int rc,
                      const xn_id *from, uint32_t hops)
{
    struct sim_lookup *row = find(run, number);
    uint64_t took_us;

    if (!row) return;
    took_us = sim_world_now(run->world) - row->asked_us;
    if (rc && rc != XN_ENOTYET) {
        run->tally.lookup_failed++;
        if (sim_run_calm(run)) violate_end(run, row, rc);
    } else {
        sim_hist_add(&run->tally.lookup, took_us);
        sim_hist_add(&run->tally.hops, hops);
        judge(run, row, rc, from, took_us);
    }
    HASH_DEL(run->lookup_rows, row);
    free(row);
    sim_lookup_clock(run);
}

void sim_lookup_tick(struct sim_run *run)
{
    const struct sim_probe *probe = &run->options->probe;
    struct sim_lookup *row;
    int rc;

    if (!probe->lookup) return;
    row = calloc(1, sizeof *row);
    if (!row) {
        sim_world_stop(run->world, XN_ENOMEM);
        return;
    }
    row->node = sim_run_some_node(run);
    if (row->node == UINT32_MAX) {
        free(row);
        return;
    }
    random_key(run, &row->key);
    row->owner = sim_run_owner(run, row->node, &row->key, true);
    row->number = ++run->lookups;
    row->asked_us = sim_world_now(run->world);
    HASH_ADD(hh, run->lookup_rows, number, sizeof row->number, row);
    run->tally.lookup_count++;
    rc = probe->lookup(probe->user, run, row->node, &row->key, 0, row->number,
                       looked_up);
    if (rc) sim_world_stop(run->world, rc);
}

void sim_lookup_check(struct sim_run *run)
{
    uint64_t now_us = sim_world_now(run->world);
    struct sim_lookup *row, *next;

    /* In the order in which they were asked. */
    HASH_ITER(hh, run->lookup_rows, row, next)
    {
        if (row->asked_us + SIM_LOOKUP_US + LATE_US > now_us) return;
        if (!row->told &&
            sim_world_since(run->world, row->node) <= row->asked_us) {
            row->told = true;
            sim_run_violation(run, "a lookup at node %u has no end", row->node);
        }
    }
}

void sim_lookup_clear(struct sim_run *run)
{
    struct sim_lookup *row, *next;

    HASH_ITER(hh, run->lookup_rows, row, next)
    {
        run->tally.lookup_lost++;
        HASH_DEL(run->lookup_rows, row);
        free(row);
    }
    run->looking = false;
    sim_lookup_clock(run);
    if (run->options->probe.clear) {
        run->options->probe.clear(run->options->probe.user);
    }
}
