/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/get.h"

#include <stdlib.h>

#include <uthash.h>

#include "lib/err.h"
#include "sim/market.h"
#include "wire/token.h"

enum { TRIES = 256, COPIES_MAX = 8 };

struct met { /* this asker, and a slow copy of something that it asked for */
    uint64_t pair;
    UT_hash_handle hh;
};

struct sim_gets {
    uint64_t *before; /* by node: sent when gets began */
    struct met *met;
};

int sim_gets_new(struct sim_run *run)
{
    struct sim_gets *gets = calloc(1, sizeof *gets);

    if (!gets) return XN_ENOMEM;
    gets->before =
        calloc(sim_world_config(run->world)->nodes + 1, sizeof *gets->before);
    run->gets = gets;
    return gets->before ? 0 : XN_ENOMEM;
}

void sim_gets_free(struct sim_run *run)
{
    struct met *met, *next;

    if (!run->gets) return;
    HASH_ITER(hh, run->gets->met, met, next)
    {
        HASH_DEL(run->gets->met, met);
        free(met);
    }
    free(run->gets->before);
    free(run->gets);
    run->gets = NULL;
}

static uint64_t sent_by(const struct sim_run *run, uint32_t node)
{
    const struct sim_probe *probe = &run->options->probe;
    struct xn_core *core = sim_world_core(run->world, node);

    return core && probe->sent ? probe->sent(probe->user, core) : 0;
}

void sim_gets_begin(struct sim_run *run)
{
    uint32_t i;

    for (i = 0; i < sim_world_config(run->world)->nodes; i++)
        run->gets->before[i] = sent_by(run, i);
}

/* One that started anew has counted from zero. */
void sim_gets_sent(const struct sim_run *run, struct sim_gets_sent *sent_out)
{
    uint32_t i;

    *sent_out = (struct sim_gets_sent){0};
    for (i = 0; i < sim_world_config(run->world)->nodes; i++) {
        uint64_t sent = sent_by(run, i);

        if (sent >= run->gets->before[i]) sent -= run->gets->before[i];
        if (sim_world_slow(run->world, i))
            sent_out->slow += sent;
        else
            sent_out->fast += sent;
    }
}

/* ---- who asks ---- */

static uint64_t pair_of(uint32_t asker, uint32_t copy)
{
    return (uint64_t)asker << 32 | copy;
}

static bool has_met(const struct sim_run *run, uint32_t asker, uint32_t copy)
{
    uint64_t pair = pair_of(asker, copy);
    struct met *met;

    HASH_FIND(hh, run->gets->met, &pair, sizeof pair, met);
    return met != NULL;
}

static int meet(struct sim_run *run, uint32_t asker, uint32_t copy)
{
    struct met *met;

    if (has_met(run, asker, copy)) return 0;
    met = calloc(1, sizeof *met);
    if (!met) return XN_ENOMEM;
    met->pair = pair_of(asker, copy);
    HASH_ADD(hh, run->gets->met, pair, sizeof met->pair, met);
    return 0;
}

static bool may_ask(const struct sim_run *run, uint32_t asker,
                    const uint32_t *copies, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (copies[i] == asker) return false;
        if (sim_world_slow(run->world, asker)) continue;
        if (sim_world_slow(run->world, copies[i]) &&
            has_met(run, asker, copies[i])) {
            return false;
        }
    }
    return true;
}

static uint32_t some_asker(struct sim_run *run, const uint32_t *copies,
                           size_t n)
{
    int i;

    for (i = 0; i < TRIES; i++) {
        uint32_t node = sim_run_some_node(run);

        if (node == UINT32_MAX) break;
        if (may_ask(run, node, copies, n)) return node;
    }
    return UINT32_MAX;
}

/* The least that it can take: the nearest copy, directly. */
static void note_limit(struct sim_run *run, uint32_t asker,
                       const uint32_t *copies, size_t n)
{
    uint64_t best_us = UINT64_MAX, us;
    size_t i;

    for (i = 0; i < n; i++) {
        us = sim_world_rtt_us(run->world, asker, copies[i]);
        if (sim_world_slow(run->world, copies[i]))
            us *= sim_world_settings(run->world)->slow_times;
        if (us < best_us) best_us = us;
    }
    if (n) sim_hist_add(&run->tally.get_limit, best_us);
}

void sim_get_tick(struct sim_run *run)
{
    const struct sim_probe *probe = &run->options->probe;
    uint32_t server = market_some(run->market), copies[COPIES_MAX], asker;
    uint32_t most = probe->copies ? probe->copies(probe->user) : 1;
    char shard[XN_TOKEN_SERVER_SIZE];
    size_t n, i;
    xn_id key;
    int rc = 0;

    if (server == UINT32_MAX) return;
    xn_token_server(market_server_id(run->market, server), shard);
    xn_token_key(shard, NULL, 0, false, &key);
    n = sim_run_copies(run, &key, most < COPIES_MAX ? most : COPIES_MAX,
                       copies);
    asker = some_asker(run, copies, n);
    if (asker == UINT32_MAX) {
        run->tally.get_unasked++;
        return;
    }
    for (i = 0; !rc && i < n; i++) {
        if (sim_world_slow(run->world, copies[i]))
            rc = meet(run, asker, copies[i]);
    }
    if (!rc) rc = market_get_by_id(run->market, asker, server);
    if (rc) sim_world_stop(run->world, rc);
    if (!sim_world_slow(run->world, asker)) note_limit(run, asker, copies, n);
}
