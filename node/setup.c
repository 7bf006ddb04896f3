/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's configuration: defaults, and the form it has in a recording. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "node/node.h"
#include "wire/ad.h"

void node_config_default(struct node_config *config)
{
    memset(config, 0, sizeof *config);
    config->overlay.address = "";
    config->overlay.links_max = 512;
    config->overlay.leaves = 8;
    config->overlay.copies = 3;
    config->overlay.cache = 64;
    config->index.copies_near = 3;
    config->index.copies_far = 2;
    config->index.lease_us_max = AD_LEASE_US_MAX;
    config->index.sync_us = 60 * 1000000ULL;
    config->index.grace_us = 15 * 1000000ULL;
    config->index.ads_max = 1000000;
    config->announce_us = 60 * 1000000ULL;
}

/* ---- settings ---- */

#define SECOND 1000000ULL
#define MEMBER(name)                                                           \
    offsetof(struct node_config, name), sizeof((struct node_config *)0)->name

static const struct node_setting settings[] = {
    {"index.ads", false, 1, 100000000, "most advertisements held",
     MEMBER(index.ads_max)},
    {"index.grace", true, SECOND / 10, 3600 * SECOND,
     "how long a shard whose holders were all lost is 'not yet'",
     MEMBER(index.grace_us)},
    {"index.lease", true, SECOND, 24 * 3600 * SECOND,
     "longest lease that is accepted", MEMBER(index.lease_us_max)},
    {"index.sync", true, SECOND, 3600 * SECOND,
     "pause between digest exchanges with a neighbour", MEMBER(index.sync_us)},
    {"overlay.announce", true, SECOND, 3600 * SECOND,
     "pause between announcements to the corps", MEMBER(announce_us)},
    {"overlay.cache", false, 0, OV_CACHE_MAX,
     "who answered and is asked directly again: so many; 0: none",
     MEMBER(overlay.cache)},
    {"overlay.leaves", false, 3, OV_LEAVES_MAX, "leaf set, each side",
     MEMBER(overlay.leaves)},
    {"overlay.links", false, 4, 65536,
     "link budget; below it every node links to every other",
     MEMBER(overlay.links_max)},
    {"overlay.secure", false, 0, 1,
     "1: searches of our own, past malicious nodes on the way",
     MEMBER(overlay.secure)},
};

const struct node_setting *node_settings(size_t *n_out)
{
    *n_out = sizeof settings / sizeof settings[0];
    return settings;
}

uint64_t node_setting_get(const struct node_setting *setting,
                          const struct node_config *config)
{
    const char *at = (const char *)config + setting->at;
    uint32_t narrow;
    uint64_t wide;

    assert(setting->size == sizeof narrow || setting->size == sizeof wide);
    if (setting->size == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

int node_setting_put(const struct node_setting *setting, uint64_t value,
                     struct node_config *config)
{
    char *at = (char *)config + setting->at;
    uint32_t narrow = (uint32_t)value;

    if (value < setting->min || value > setting->max) return XN_EINVAL;
    assert(setting->size == sizeof narrow || setting->size == sizeof value);
    if (setting->size == sizeof narrow)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &value, sizeof value);
    return 0;
}

/* ---- in a recording ---- */

int node_config_pack(const struct node_config *config, uint8_t **bytes_out,
                     size_t *len_out)
{
    Xn__NodeSetup setup = XN__NODE_SETUP__INIT;
    Xn__Contact self = XN__CONTACT__INIT;

    self.id = xn_id_bytes(&config->overlay.id);
    self.position = xn_id_bytes(&config->overlay.position);
    self.address = (char *)(uintptr_t)config->overlay.address;
    setup.self = &self;
    setup.links = config->overlay.links_max;
    setup.leaves = config->overlay.leaves;
    setup.secure = config->overlay.secure;
    setup.cache = config->overlay.cache;
    setup.copies_near = config->index.copies_near;
    setup.copies_far = config->index.copies_far;
    setup.lease_us = config->index.lease_us_max;
    setup.sync_us = config->index.sync_us;
    setup.grace_us = config->index.grace_us;
    setup.ads = config->index.ads_max;
    setup.announce_us = config->announce_us;
    setup.corps = (char **)(uintptr_t)config->corps;
    setup.n_corps = config->n_corps;
    setup.bootstrap = (Xn__Contact **)(uintptr_t)config->bootstrap;
    setup.n_bootstrap = config->n_bootstrap;
    return xn_pack(&setup, bytes_out, len_out);
}

static int unpack(const Xn__NodeSetup *setup, struct node_config *config)
{
    size_t i;
    int rc;

    node_config_default(config);
    if (!setup->self || strlen(setup->self->address) > OV_ADDRESS_MAX ||
        setup->n_corps > NODE_CORPS_MAX) {
        return XN_EINVAL;
    }
    rc = xn_id_from_bytes(&setup->self->id, &config->overlay.id);
    if (rc) return rc;
    rc = xn_id_from_bytes(&setup->self->position, &config->overlay.position);
    if (rc) return rc;
    config->overlay.address = setup->self->address;
    config->overlay.links_max = setup->links;
    config->overlay.leaves = setup->leaves;
    config->overlay.secure = setup->secure;
    config->overlay.cache = setup->cache;
    config->overlay.copies = setup->copies_near;
    config->index.copies_near = setup->copies_near;
    config->index.copies_far = setup->copies_far;
    config->index.lease_us_max = setup->lease_us;
    config->index.sync_us = setup->sync_us;
    config->index.grace_us = setup->grace_us;
    config->index.ads_max = setup->ads;
    config->announce_us = setup->announce_us;
    for (i = 0; i < setup->n_corps; i++)
        config->corps[i] = setup->corps[i];
    config->n_corps = setup->n_corps;
    config->bootstrap = setup->bootstrap;
    config->n_bootstrap = setup->n_bootstrap;
    return 0;
}

int node_new_packed(const uint8_t *bytes, size_t len,
                    const struct xn_peers *peers, uint64_t seed,
                    struct xn_core **core_out)
{
    Xn__NodeSetup *setup = xn__node_setup__unpack(NULL, len, bytes);
    struct node_config config;
    int rc;

    if (!setup) return XN_EINVAL;
    rc = unpack(setup, &config);
    if (!rc) rc = node_new(&config, peers, seed, core_out);
    xn__node_setup__free_unpacked(setup, NULL);
    return rc;
}
