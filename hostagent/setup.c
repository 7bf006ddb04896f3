/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A host agent's configuration: defaults, and the form it has in a recording.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/host.h"
#include "hostagent/offer.h"
#include "lib/arena.h"
#include "lib/err.h"
#include "wire/ad.h"

#define SECOND_US 1000000ULL
#define ARENA_MAX (1 << 20)

void host_config_default(struct host_config *config)
{
    memset(config, 0, sizeof *config);
    config->lease_us = AD_LEASE_US_MAX;
    config->renew_us = 5 * 60 * SECOND_US;
    config->watch_us = 5 * SECOND_US;
    config->quote_us = 5 * 60 * SECOND_US;
    config->charge_us = 10 * SECOND_US;
    config->activity_us = 90 * 86400 * SECOND_US;
    config->notes_max = 1000000;
    config->notes_bytes = 1000000000;
    config->patience_us = 30 * SECOND_US;
    config->pause_us = 10 * SECOND_US;
    config->sessions_max = 256;
    config->grace_us = 30 * SECOND_US;
}

/* An absent text is an empty one here. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

/* Environments and extras become flat lists. */
static int flatten(const struct advert_offer *offer, struct xn_arena *arena,
                   Xn__HostSetup *setup)
{
    size_t i;

    setup->environments =
        xn_arena_alloc(arena, (3 * offer->n_environments + 1) * sizeof(char *));
    setup->extras =
        xn_arena_alloc(arena, (2 * offer->n_extras + 1) * sizeof(char *));
    if (!setup->environments || !setup->extras) return XN_ENOMEM;
    for (i = 0; i < offer->n_environments; i++) {
        const struct advert_environment *env = &offer->environments[i];
        char **to = &setup->environments[3 * i];

        to[0] = text_of(env->type);
        to[1] = text_of(env->kernel);
        to[2] = text_of(env->virtualisation);
    }
    for (i = 0; i < offer->n_extras; i++) {
        setup->extras[2 * i] = text_of(offer->extras[i].token);
        setup->extras[2 * i + 1] = text_of(offer->extras[i].value);
    }
    setup->n_environments = 3 * offer->n_environments;
    setup->n_extras = 2 * offer->n_extras;
    return 0;
}

/* "URL#ID" each. */
static int put_members(const struct host_config *config, struct xn_arena *arena,
                       Xn__HostSetup *setup)
{
    setup->members =
        xn_arena_alloc(arena, (config->n_members + 1) * sizeof(char *));
    if (!setup->members) return XN_ENOMEM;
    for (size_t i = 0; i < config->n_members; i++) {
        const struct host_member *m = &config->members[i];
        size_t size = strlen(m->url) + 1 + XN_ID_HEX;
        char hex[XN_ID_HEX], *text = xn_arena_alloc(arena, size);

        if (!text) return XN_ENOMEM;
        xn_id_hex(&m->id, hex);
        snprintf(text, size, "%s#%s", m->url, hex);
        setup->members[setup->n_members++] = text;
    }
    return 0;
}

static int get_members(const Xn__HostSetup *setup, struct xn_arena *arena,
                       struct host_config *config)
{
    if (setup->n_members > HOST_MEMBERS_MAX) return XN_EINVAL;
    for (size_t i = 0; i < setup->n_members; i++) {
        struct host_member *m = &config->members[config->n_members++];
        const char *text = setup->members[i], *hash = strrchr(text, '#');

        if (!hash || xn_id_unhex(hash + 1, strlen(hash + 1), &m->id))
            return XN_EINVAL;
        m->url = xn_arena_strndup(arena, text, (size_t)(hash - text));
        if (!m->url) return XN_ENOMEM;
    }
    config->bare = setup->bare;
    if (setup->grace_us) config->grace_us = setup->grace_us;
    return 0;
}

int host_config_pack(const struct host_config *config, uint8_t **bytes_out,
                     size_t *len_out)
{
    struct advert_offer offer = *config->offer;
    Xn__HostSetup setup = XN__HOST_SETUP__INIT;
    const char **texts[OFFER_TEXTS];
    char *list[OFFER_TEXTS];
    struct xn_arena arena;
    size_t i;
    int rc;

    xn_arena_init(&arena, ARENA_MAX);
    offer_texts(&offer, texts);
    for (i = 0; i < OFFER_TEXTS; i++)
        list[i] = text_of(*texts[i]);
    setup.id = xn_id_bytes(&config->id);
    setup.certificate = xn_id_bytes(&config->certificate);
    setup.nodes = (char **)(uintptr_t)config->nodes;
    setup.n_nodes = config->n_nodes;
    setup.lease_us = config->lease_us;
    setup.renew_us = config->renew_us;
    setup.watch_us = config->watch_us;
    setup.corp = xn_id_bytes(&config->corp);
    setup.corp_url = text_of(config->corp_url);
    setup.quote_us = config->quote_us;
    setup.charge_us = config->charge_us;
    setup.activity_us = config->activity_us;
    setup.notes = config->notes_max;
    setup.note_bytes = config->notes_bytes;
    setup.patience_us = config->patience_us;
    setup.pause_us = config->pause_us;
    setup.sessions = config->sessions_max;
    setup.manager = text_of(config->xen       ? "xen"
                            : config->sandbox ? "sandbox"
                                              : "reserve");
    setup.image = text_of(config->image);
    setup.images = config->images;
    setup.policy_us = config->policy_us;
    setup.policy_open = config->policy_open;
    setup.texts = list;
    setup.n_texts = OFFER_TEXTS;
    setup.corps = (char **)(uintptr_t)offer.corps;
    setup.n_corps = offer.n_corps;
    setup.bare = config->bare;
    setup.grace_us = config->grace_us;
    rc = put_members(config, &arena, &setup);
    if (!rc) rc = flatten(&offer, &arena, &setup);
    if (!rc) rc = xn_pack(&setup, bytes_out, len_out);
    xn_arena_clear(&arena);
    return rc;
}

static int unflatten(const Xn__HostSetup *setup, struct xn_arena *arena,
                     struct advert_offer *offer)
{
    struct advert_environment *envs;
    struct advert_extra *extras;
    size_t i;

    offer->n_environments = setup->n_environments / 3;
    offer->n_extras = setup->n_extras / 2;
    envs = xn_arena_alloc(arena, (offer->n_environments + 1) * sizeof *envs);
    extras = xn_arena_alloc(arena, (offer->n_extras + 1) * sizeof *extras);
    if (!envs || !extras) return XN_ENOMEM;
    for (i = 0; i < offer->n_environments; i++) {
        envs[i].type = setup->environments[3 * i];
        envs[i].kernel = setup->environments[3 * i + 1];
        envs[i].virtualisation = setup->environments[3 * i + 2];
    }
    for (i = 0; i < offer->n_extras; i++) {
        extras[i].token = setup->extras[2 * i];
        extras[i].value = setup->extras[2 * i + 1];
    }
    offer->environments = envs;
    offer->extras = extras;
    return 0;
}

/* What an older recording does not have stays as it is. */
static int unpack_sale(const Xn__HostSetup *setup, struct host_config *config)
{
    config->corp_url = setup->corp_url;
    config->quote_us = setup->quote_us;
    config->charge_us = setup->charge_us;
    if (setup->activity_us) config->activity_us = setup->activity_us;
    if (setup->notes) config->notes_max = setup->notes;
    if (setup->note_bytes) config->notes_bytes = setup->note_bytes;
    config->patience_us = setup->patience_us;
    config->pause_us = setup->pause_us;
    config->sessions_max = setup->sessions;
    config->xen = strcmp(setup->manager, "xen") == 0;
    config->sandbox = config->xen || strcmp(setup->manager, "sandbox") == 0;
    config->image = setup->image;
    config->images = setup->images;
    config->policy_us = setup->policy_us;
    config->policy_open = setup->policy_open;
    return xn_id_from_bytes(&setup->corp, &config->corp);
}

static int unpack(const Xn__HostSetup *setup, struct xn_arena *arena,
                  struct host_config *config, struct advert_offer *offer)
{
    const char **texts[OFFER_TEXTS];
    size_t i;

    if (setup->n_texts != OFFER_TEXTS || setup->n_nodes > HOST_NODES_MAX ||
        xn_id_from_bytes(&setup->id, &config->id) ||
        xn_id_from_bytes(&setup->certificate, &config->certificate)) {
        return XN_EINVAL;
    }
    for (i = 0; i < setup->n_nodes; i++)
        config->nodes[i] = setup->nodes[i];
    config->n_nodes = setup->n_nodes;
    config->lease_us = setup->lease_us;
    config->renew_us = setup->renew_us;
    config->watch_us = setup->watch_us;
    if (setup->corp.len && unpack_sale(setup, config)) return XN_EINVAL;
    if (get_members(setup, arena, config)) return XN_EINVAL;
    offer_texts(offer, texts);
    for (i = 0; i < OFFER_TEXTS; i++)
        *texts[i] = setup->texts[i];
    offer->corps = (const char *const *)setup->corps;
    offer->n_corps = setup->n_corps;
    config->offer = offer;
    return unflatten(setup, arena, offer);
}

int host_new_packed(const uint8_t *bytes, size_t len, uint64_t seed,
                    struct xn_core **core_out)
{
    Xn__HostSetup *setup = xn__host_setup__unpack(NULL, len, bytes);
    struct advert_offer offer = {.n_corps = 0};
    struct host_config config;
    struct xn_arena arena;
    int rc;

    if (!setup) return XN_EINVAL;
    xn_arena_init(&arena, ARENA_MAX);
    host_config_default(&config);
    rc = unpack(setup, &arena, &config, &offer);
    if (!rc) rc = host_new(&config, seed, core_out);
    xn_arena_clear(&arena);
    xn__host_setup__free_unpacked(setup, NULL);
    return rc;
}
