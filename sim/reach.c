/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/reach.h"

#include <stdlib.h>

#include <uthash.h>

#include "lib/err.h"
#include "sim/malice.h"

enum { COPIES = 3, TRIES = 256 };

struct sim_reach { /* of one key: the number of its first question */
    uint64_t number;
    uint64_t asked_us;
    uint32_t copies[COPIES]; /* who they are */
    size_t n;
    unsigned got;  /* bits of these */
    unsigned left; /* questions without an end */
    bool victim;
    UT_hash_handle hh;
};

static const unsigned carried[] = {0, XN__KIND__HAVE, XN__KIND__HAVE_DONE,
                                   XN__KIND__NEAR, XN__KIND__NEAR_DONE};

static struct sim_spent sum(const struct sim_run *run)
{
    const struct sim_totals *t = sim_world_totals(run->world);
    struct sim_spent sum = {0};
    size_t i;

    for (i = 0; i < sizeof carried / sizeof *carried; i++) {
        sum.n += t->spent[XN__KIND__REQUEST][carried[i]].n;
        sum.n += t->spent[XN__KIND__REPLY][carried[i]].n;
        sum.bytes += t->spent[XN__KIND__REQUEST][carried[i]].bytes;
        sum.bytes += t->spent[XN__KIND__REPLY][carried[i]].bytes;
    }
    sum.n += t->spent[XN__KIND__ACK][0].n + t->spent[XN__KIND__HELLO][0].n;
    sum.bytes +=
        t->spent[XN__KIND__ACK][0].bytes + t->spent[XN__KIND__HELLO][0].bytes +
        t->spent[0][SIM_OPEN].bytes + t->spent[0][SIM_CLOSING_LINK].bytes;
    return sum;
}

uint64_t sim_reach_messages(const struct sim_run *run)
{
    return sum(run).n - run->reach_before.n;
}

uint64_t sim_reach_bytes(const struct sim_run *run)
{
    return sum(run).bytes - run->reach_before.bytes;
}

static void judge(struct sim_run *run, struct sim_reach *row)
{
    struct sim_tally *t = &run->tally;
    bool all = true;
    size_t i;

    for (i = 0; i < row->n; i++) {
        if (sim_malice_is(run, row->copies[i])) continue;
        t->reach_copies++;
        if (row->got >> i & 1) continue;
        t->reach_missed++;
        all = false;
    }
    t->reach_all += all;
    t->reach_victims += row->victim;
    t->reach_victims_all += row->victim && all;
    sim_hist_add(&t->reach, sim_world_now(run->world) - row->asked_us);
    HASH_DEL(run->reach_rows, row);
    free(row);
}

static void answered(struct sim_run *run, uint64_t number, int rc,
                     const xn_id *from, uint32_t hops)
{
    struct sim_reach *row;
    size_t i;

    (void)hops;
    number -= number % COPIES;
    HASH_FIND(hh, run->reach_rows, &number, sizeof number, row);
    if (!row) return;
    for (i = 0; i < row->n && rc == 0; i++) {
        if (sim_run_is(run, from, row->copies[i])) row->got |= 1U << i;
    }
    if (--row->left == 0) judge(run, row);
}

static uint32_t some_honest(struct sim_run *run)
{
    int tries;

    for (tries = 0; tries < TRIES; tries++) {
        uint32_t node = sim_run_some_node(run);

        if (node != UINT32_MAX && !sim_malice_is(run, node)) return node;
    }
    return UINT32_MAX;
}

static void some_key(struct sim_run *run, struct sim_reach *row, xn_id *key_out)
{
    uint64_t word = sim_run_draw(run);

    row->victim = run->malice_config.draws > 1 && word % 2;
    if (row->victim)
        sim_malice_victim(run, (uint32_t)(word / 2 % MALICE_VICTIMS), key_out);
    else
        xn_id_hash(&word, sizeof word, key_out);
}

void sim_reach_tick(struct sim_run *run)
{
    const struct sim_probe *probe = &run->options->probe;
    uint32_t node = some_honest(run), i;
    struct sim_reach *row;
    uint64_t number;
    xn_id key;
    int rc = 0;

    if (!probe->lookup || node == UINT32_MAX) return;
    row = calloc(1, sizeof *row);
    if (!row) {
        sim_world_stop(run->world, XN_ENOMEM);
        return;
    }
    if (run->tally.reach_count++ == 0) run->reach_before = sum(run);
    some_key(run, row, &key);
    row->number = number = COPIES * run->tally.reach_count;
    row->asked_us = sim_world_now(run->world);
    row->n = sim_run_copies(run, &key, COPIES, row->copies);
    row->left = COPIES;
    HASH_ADD(hh, run->reach_rows, number, sizeof row->number, row);
    for (i = 0; i < COPIES && !rc; i++) {
        rc = probe->lookup(probe->user, run, node, &key, i, number + i,
                           answered);
    }
    if (rc) sim_world_stop(run->world, rc);
}

void sim_reach_clear(struct sim_run *run)
{
    struct sim_reach *row, *next;

    HASH_ITER(hh, run->reach_rows, row, next)
    {
        HASH_DEL(run->reach_rows, row);
        free(row);
    }
}
