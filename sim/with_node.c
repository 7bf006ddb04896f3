/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/with_node.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "lib/span.h"
#include "lib/text.h"
#include "node/node.h"

enum { NAMES_MAX = 32 };

struct probe { /* a lookup under way */
    struct sim_nodes *nodes;
    struct sim_run *run;
    uint64_t number;
    sim_looked_up *done;
    struct probe *prev, *next;
};

struct sim_nodes {
    struct node_config config;
    const char *names[NAMES_MAX + 1]; /* of settings; the last one is NULL */
    struct probe *probes;
};

static int set(void *user, const char *key, const char *value)
{
    struct sim_nodes *nodes = user;
    const struct node_setting *setting;
    size_t n, i = 0;
    uint64_t v;
    int rc;

    setting = node_settings(&n);
    while (i < n && strcmp(setting[i].key, key) != 0)
        i++;
    if (i == n) return XN_ENOENT;
    rc = setting[i].is_time ? xn_span_parse(value, &v)
                            : xn_number_parse(value, UINT64_MAX, &v);
    return rc ? XN_EINVAL : node_setting_put(&setting[i], v, &nodes->config);
}

static const char *const *known_settings(void *user)
{
    struct sim_nodes *nodes = user;

    return nodes->names;
}

static int make(void *user, const struct sim_world *world, uint32_t number,
                uint64_t seed, struct xn_core **core_out)
{
    const struct sim_nodes *nodes = user;
    const struct xn_peers *peers = sim_world_peers(world);
    struct node_config config = nodes->config;

    config.overlay.id = peers->rows[number].id;
    config.overlay.position = peers->rows[number].position;
    if (!sim_world_nat(world, number))
        config.overlay.address = peers->rows[number].address;
    config.corps[0] = SIM_CORP_URL;
    config.n_corps = 1;
    return node_new(&config, peers, seed, core_out);
}

/* ---- standing ---- */

static int stand(void *user, const struct sim_world *world, uint32_t number,
                 struct xn_core *core, struct xn_route *routes, size_t n,
                 struct xn_outbox *box_out)
{
    uint32_t *rtts_us = malloc((n + 1) * sizeof *rtts_us);
    struct xn_now now = sim_world_time(world, number);
    bool all = n + 1 == sim_world_standing(world);
    size_t i;
    int rc;

    (void)user;
    if (!rtts_us) return XN_ENOMEM;
    for (i = 0; i < n; i++)
        rtts_us[i] = (uint32_t)sim_world_rtt_us(world, number, routes[i].peer);
    rc = node_stand(core, &now, routes, rtts_us, n, all, box_out);
    free(rtts_us);
    return rc;
}

/* ---- the cost of many ---- */

static void said(void *user, struct xn_core *core)
{
    (void)user;
    node_said(core);
}

static void warm(void *user, const struct xn_core *core, int steps)
{
    (void)user;
    node_warm(core, steps);
}

static void shape(void *user, struct sim_graph_config *graph)
{
    const struct sim_nodes *nodes = user;
    struct ov_config fit = nodes->config.overlay;

    ov_config_fit(&fit);
    graph->links_max = fit.links_max;
    graph->leaves = fit.leaves;
}

/* ---- lookups ---- */

static void replied(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct probe *probe = ctx;

    (void)user, (void)now, (void)out;
    DL_DELETE(probe->nodes->probes, probe);
    probe->done(probe->run, probe->number, reply->rc, &reply->from,
                reply->hops);
    free(probe);
}

/* HAVE with nothing in it: whoever holds the key answers at once. */
static int lookup(void *user, struct sim_run *run, uint32_t node,
                  const xn_id *key, uint32_t copy, uint64_t number,
                  sim_looked_up *done)
{
    struct sim_nodes *nodes = user;
    struct xn_core *core = sim_world_core(run->world, node);
    struct xn_now now = sim_world_time(run->world, node);
    struct probe *probe = calloc(1, sizeof *probe);
    Xn__Have have = XN__HAVE__INIT;
    struct xn_outbox box;
    struct xn_out out;
    int rc;

    if (!probe) return XN_ENOMEM;
    *probe = (struct probe){nodes, run, number, done, NULL, NULL};
    DL_APPEND(nodes->probes, probe);
    xn_out_init(&out);
    ov_ask(node_overlay(core), &now, key, copy, XN__KIND__HAVE, &have,
           now.mono_us + SIM_LOOKUP_US, replied, probe, &out);
    box = xn_out_box(&out, UINT64_MAX);
    rc = out.rc ? out.rc : sim_world_perform(run->world, node, &box);
    xn_out_clear(&out);
    return rc;
}

static void clear(void *user)
{
    struct sim_nodes *nodes = user;
    struct probe *probe, *next;

    DL_FOREACH_SAFE(nodes->probes, probe, next)
    {
        DL_DELETE(nodes->probes, probe);
        free(probe);
    }
}

static bool owner(void *user, uint32_t node, struct xn_core *core,
                  const xn_id *key, uint32_t *owner_out)
{
    xn_peer nearest;

    (void)user;
    if (!ov_nearest(node_overlay(core), key, 1, &nearest)) return false;
    *owner_out = nearest == XN_PEER_SELF ? node : nearest;
    return true;
}

static bool member(void *user, struct xn_core *core, const struct xn_now *now)
{
    (void)user;
    return ov_is_member(node_overlay(core), now);
}

static bool knows_all(void *user, struct xn_core *core,
                      const struct xn_now *now)
{
    (void)user;
    return ov_is_mesh(node_overlay(core), now);
}

_Static_assert(SIM_LEAVES_MAX >= 2 * OV_LEAVES_MAX, "a leaf set fits");

static size_t leaves(void *user, struct xn_core *core, uint32_t *out)
{
    (void)user;
    return ov_leaves(node_overlay(core), out);
}

static bool holds(void *user, struct xn_core *core, const xn_id *server,
                  uint64_t version, const struct xn_now *now)
{
    (void)user;
    return xis_has(node_index(core), server, version, now);
}

static bool keeps(void *user, struct xn_core *core, const xn_id *server,
                  uint64_t version, const struct xn_now *now)
{
    (void)user;
    return xis_keeps(node_index(core), server, version, now);
}

static uint32_t copies(void *user)
{
    const struct sim_nodes *nodes = user;

    return nodes->config.index.copies_near;
}

static bool settled(void *user, struct xn_core *core)
{
    (void)user;
    return xis_settled(node_index(core));
}

static uint64_t sent(void *user, struct xn_core *core)
{
    (void)user;
    return ov_stats(node_overlay(core))->any_sent;
}

static size_t waits(void *user, const struct xn_core *core)
{
    (void)user;
    return node_waits(core);
}

/* ---- the outside ---- */

int sim_nodes_new(struct sim_nodes **nodes_out)
{
    struct sim_nodes *nodes = calloc(1, sizeof *nodes);
    const struct node_setting *settings;
    size_t n, i;

    if (!nodes) return XN_ENOMEM;
    node_config_default(&nodes->config);
    settings = node_settings(&n);
    for (i = 0; i < n && i < NAMES_MAX; i++)
        nodes->names[i] = settings[i].key;
    *nodes_out = nodes;
    return 0;
}

void sim_nodes_free(struct sim_nodes *nodes)
{
    if (!nodes) return;
    clear(nodes);
    free(nodes);
}

void sim_nodes_maker(struct sim_nodes *nodes, struct sim_maker *maker_out)
{
    *maker_out = (struct sim_maker){"node", nodes, make, stand, said, warm};
}

void sim_nodes_probe(struct sim_nodes *nodes, struct sim_probe *probe_out)
{
    *probe_out = (struct sim_probe){
        .user = nodes,
        .set = set,
        .settings = known_settings,
        .lookup = lookup,
        .shape = shape,
        .owner = owner,
        .member = member,
        .knows_all = knows_all,
        .leaves = leaves,
        .holds = holds,
        .keeps = keeps,
        .copies = copies,
        .settled = settled,
        .sent = sent,
        .waits = waits,
        .clear = clear,
    };
}
