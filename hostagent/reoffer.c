/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An offer in a message, and what becomes of the one before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/offer.h"
#include "hostagent/state.h"
#include "lib/err.h"
#include "wire/api.pb-c.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define ARENA_MAX (1 << 20)
#define EXTRAS_MAX 200

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

int offer_pack(const struct advert_offer *offer, uint8_t **bytes_out,
               size_t *len_out)
{
    struct advert_offer copy = *offer;
    Xn__HostOffer body = XN__HOST_OFFER__INIT;
    const char **texts[OFFER_TEXTS];
    char *list[OFFER_TEXTS];
    char *environments[3 * OFFER_ENVIRONMENTS_MAX], *extras[2 * EXTRAS_MAX];
    size_t i;

    if (offer->n_environments > OFFER_ENVIRONMENTS_MAX ||
        offer->n_extras > EXTRAS_MAX) {
        return XN_EINVAL;
    }
    offer_texts(&copy, texts);
    for (i = 0; i < OFFER_TEXTS; i++)
        list[i] = text_of(*texts[i]);
    for (i = 0; i < offer->n_environments; i++) {
        environments[3 * i] = text_of(offer->environments[i].type);
        environments[3 * i + 1] = text_of(offer->environments[i].kernel);
        environments[3 * i + 2] =
            text_of(offer->environments[i].virtualisation);
    }
    for (i = 0; i < offer->n_extras; i++) {
        extras[2 * i] = text_of(offer->extras[i].token);
        extras[2 * i + 1] = text_of(offer->extras[i].value);
    }
    body.texts = list;
    body.n_texts = OFFER_TEXTS;
    body.environments = environments;
    body.n_environments = 3 * offer->n_environments;
    body.extras = extras;
    body.n_extras = 2 * offer->n_extras;
    return xn_pack(&body, bytes_out, len_out);
}

static int set_lists(const Xn__HostOffer *body, struct xn_arena *arena,
                     struct advert_offer *offer)
{
    struct advert_environment *envs;
    struct advert_extra *extras;
    size_t i;

    offer->n_environments = body->n_environments / 3;
    offer->n_extras = body->n_extras / 2;
    envs = xn_arena_alloc(arena, (offer->n_environments + 1) * sizeof *envs);
    extras = xn_arena_alloc(arena, (offer->n_extras + 1) * sizeof *extras);
    if (!envs || !extras) return XN_ENOMEM;
    for (i = 0; i < offer->n_environments; i++) {
        envs[i].type = body->environments[3 * i];
        envs[i].kernel = given(body->environments[3 * i + 1]);
        envs[i].virtualisation = given(body->environments[3 * i + 2]);
    }
    for (i = 0; i < offer->n_extras; i++) {
        extras[i].token = body->extras[2 * i];
        extras[i].value = body->extras[2 * i + 1];
    }
    offer->environments = envs;
    offer->extras = extras;
    return 0;
}

int offer_unpack(const uint8_t *bytes, size_t len, struct xn_arena *arena,
                 struct advert_offer *offer_out)
{
    Xn__HostOffer *body = xn_unpack(&xn__host_offer__descriptor, bytes, len);
    struct advert_offer offer = {.n_corps = 0};
    const char **texts[OFFER_TEXTS];
    size_t i;
    int rc = XN_EINVAL;

    if (!body) return XN_EINVAL;
    if (body->n_texts != OFFER_TEXTS || body->n_environments % 3 ||
        body->n_environments > (size_t)3 * OFFER_ENVIRONMENTS_MAX ||
        body->n_extras % 2 || body->n_extras > (size_t)2 * EXTRAS_MAX) {
        goto out;
    }
    offer_texts(&offer, texts);
    for (i = 0; i < OFFER_TEXTS; i++)
        *texts[i] = given(body->texts[i]);
    rc = set_lists(body, arena, &offer);
    if (!rc) rc = offer_copy(&offer, arena, offer_out);
out:
    xn__host_offer__free_unpacked(body, NULL);
    return rc;
}

/* What was found out when this one began is not found out anew. */
static void complete(struct advert_offer *offer,
                     const struct advert_offer *before)
{
    if (!offer->server_name) offer->server_name = before->server_name;
    if (!offer->endpoint) offer->endpoint = before->endpoint;
    if (!offer->architecture) offer->architecture = before->architecture;
    if (!offer->cpu_smps) offer->cpu_smps = before->cpu_smps;
    if (!offer->memory_mb) offer->memory_mb = before->memory_mb;
    if (!offer->n_environments) {
        offer->environments = before->environments;
        offer->n_environments = before->n_environments;
    }
    offer->cpu_utilisation = before->cpu_utilisation;
    offer->sessions = before->sessions;
    offer->clients = before->clients;
    offer->corps = before->corps;
    offer->n_corps = before->n_corps;
}

int host_take_offer(struct host *host, const uint8_t *bytes, size_t len,
                    char *why_out, size_t why_len)
{
    struct advert_offer offer = {.n_corps = 0}, said, kept;
    struct xn_arena arena;
    struct xn_buf xml;
    const char **tokens;
    size_t n_tokens;
    int rc;

    xn_arena_init(&arena, ARENA_MAX);
    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    snprintf(why_out, why_len, "the offer is not understood");
    rc = offer_unpack(bytes, len, &arena, &offer);
    if (rc) goto out;
    said = offer;
    complete(&offer, &host->offer); /* a cluster's: of its largest machine */
    rc = offer_write(&offer, 1, &xml, NULL, why_out, why_len);
    if (rc == XN_ESCHEMA) rc = XN_EINVAL;
    if (rc) goto out;
    snprintf(why_out, why_len, "out of memory");
    rc = offer_copy(&offer, &arena, &kept);
    if (!rc) rc = host_bind_offer(host, &kept, &arena);
    if (!rc) rc = offer_tokens(&kept, &arena, &tokens, &n_tokens);
    if (rc) goto out;
    host->offer = kept;
    host_take_rates(host, &said);
    host_say_machines(host);
    host->tokens = tokens;
    host->n_tokens = n_tokens;
    xn_arena_clear(&host->offer_arena);
    host->offer_arena = arena;
    memset(&arena, 0, sizeof arena);
out:
    xn_buf_clear(&xml);
    xn_arena_clear(&arena);
    return rc;
}
