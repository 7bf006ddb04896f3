/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenohostd_cluster.h"

#include <stdio.h>
#include <string.h>

#include "hostagent/xenohostd_offer.h"
#include "lib/err.h"
#include "net/identity.h"

static int take_member(const char *text, struct xn_arena *arena,
                       struct host_config *config, char *why, size_t len)
{
    struct host_member *member = &config->members[config->n_members];
    struct net_corp at; /* the same form: URL#ID */

    if (net_corp_parse(text, &at) || !at.pinned) {
        snprintf(why, len,
                 "cluster.members: '%.100s' is not https://HOST:PORT#ID, with "
                 "the id that the member tells when it starts",
                 text);
        return XN_EINVAL;
    }
    for (size_t i = 0; i < config->n_members; i++) {
        if (!xn_id_eq(&config->members[i].id, &at.id)) continue;
        snprintf(why, len, "cluster.members: '%.100s' is there twice", text);
        return XN_EINVAL;
    }
    member->id = at.id;
    member->url = xn_arena_strdup(arena, at.url);
    config->n_members++;
    return member->url ? 0 : XN_ENOMEM;
}

int xenohostd_members(const struct net_settings *settings,
                      struct xn_arena *arena, struct host_config *config,
                      char *why_out, size_t why_len)
{
    const char *text = net_settings_text(settings, "cluster.members");
    char **list;
    size_t n, i;
    int rc;

    config->grace_us = net_settings_span_us(settings, "cluster.grace");
    if (!text) return 0;
    snprintf(why_out, why_len, "cluster.members: more than %d",
             HOST_MEMBERS_MAX);
    rc = xenohostd_split(text, ' ', HOST_MEMBERS_MAX, arena, &list, &n);
    for (i = 0; i < n && !rc; i++)
        rc = take_member(list[i], arena, config, why_out, why_len);
    config->bare =
        config->n_members && !net_settings_text(settings, "sell.xenodomd");
    return rc;
}

bool xenohostd_is_member(const struct net_settings *settings)
{
    return net_settings_text(settings, "cluster.manager") != NULL;
}

int xenohostd_member(const struct net_settings *settings,
                     struct xn_arena *arena, struct member_config *config,
                     char *why_out, size_t why_len)
{
    const char *id = net_settings_text(settings, "cluster.manager");
    struct advert_offer offer;
    int rc;

    memset(config, 0, sizeof *config);
    snprintf(why_out, why_len,
             "cluster.manager is no id: 64 hexadecimal digits");
    if (xn_id_unhex(id, strlen(id), &config->manager)) return XN_EINVAL;
    snprintf(why_out, why_len,
             "a member of a cluster has no members: cluster.manager and "
             "cluster.members are both set");
    if (net_settings_text(settings, "cluster.members")) return XN_EINVAL;
    snprintf(why_out, why_len,
             "a member runs tasks, and sell.xenodomd is not set");
    if (!net_settings_text(settings, "sell.xenodomd")) return XN_EINVAL;
    rc = xenohostd_amounts(settings, arena, &offer, why_out, why_len);
    if (rc) return rc;
    config->amounts[0] = offer.cpu_smps;
    config->amounts[1] = offer.memory_mb;
    config->amounts[2] = offer.disk_gb;
    config->amounts[3] = offer.net_mbps;
    config->amounts[4] = offer.ipv4_addresses;
    config->image = net_settings_text(settings, "sell.image");
    return 0;
}
