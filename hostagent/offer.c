/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/offer.h"

#include <stdio.h>
#include <string.h>

#include "lib/err.h"

/* Copies one text in place; NULL stays. */
static int keep(struct xn_arena *arena, const char **text)
{
    if (!*text) return 0;
    *text = xn_arena_strdup(arena, *text);
    return *text ? 0 : XN_ENOMEM;
}

static int keep_all(struct xn_arena *arena, const char **const texts[],
                    size_t n)
{
    size_t i;
    int rc = 0;

    for (i = 0; i < n && !rc; i++)
        rc = keep(arena, texts[i]);
    return rc;
}

void offer_texts(struct advert_offer *o, const char **texts[OFFER_TEXTS])
{
    const char **const list[OFFER_TEXTS] = {&o->server_name,
                                            &o->endpoint,
                                            &o->architecture,
                                            &o->country,
                                            &o->city,
                                            &o->cpu_smps,
                                            &o->memory_mb,
                                            &o->disk_gb,
                                            &o->net_mbps,
                                            &o->ipv4_addresses,
                                            &o->cpu_utilisation,
                                            &o->sessions,
                                            &o->clients,
                                            &o->currency,
                                            &o->price_per_hour,
                                            &o->cpu_second,
                                            &o->memory_mb_hour,
                                            &o->net_gb,
                                            &o->setup,
                                            &o->coord_x,
                                            &o->coord_y,
                                            &o->coord_h,
                                            &o->coord_error,
                                            &o->disk_gb_hour};

    memcpy(texts, list, sizeof list);
}

static int keep_texts(struct advert_offer *o, struct xn_arena *arena)
{
    const char **texts[OFFER_TEXTS];

    offer_texts(o, texts);
    return keep_all(arena, (const char **const *)texts, OFFER_TEXTS);
}

static int keep_corps(struct advert_offer *o, struct xn_arena *arena)
{
    const char **corps =
        xn_arena_alloc(arena, (o->n_corps + 1) * sizeof *corps);
    size_t i;
    int rc = 0;

    if (!corps) return XN_ENOMEM;
    for (i = 0; i < o->n_corps && !rc; i++) {
        corps[i] = o->corps[i];
        rc = keep(arena, &corps[i]);
    }
    o->corps = corps;
    return rc;
}

static int keep_environments(struct advert_offer *o, struct xn_arena *arena)
{
    struct advert_environment *list =
        xn_arena_alloc(arena, (o->n_environments + 1) * sizeof *list);
    size_t i;
    int rc = 0;

    if (!list) return XN_ENOMEM;
    for (i = 0; i < o->n_environments && !rc; i++) {
        const char **const texts[] = {&list[i].type, &list[i].kernel,
                                      &list[i].virtualisation};

        list[i] = o->environments[i];
        rc = keep_all(arena, texts, 3);
    }
    o->environments = list;
    return rc;
}

static int keep_extras(struct advert_offer *o, struct xn_arena *arena)
{
    struct advert_extra *list =
        xn_arena_alloc(arena, (o->n_extras + 1) * sizeof *list);
    size_t i;
    int rc = 0;

    if (!list) return XN_ENOMEM;
    for (i = 0; i < o->n_extras && !rc; i++) {
        const char **const texts[] = {&list[i].token, &list[i].value};

        list[i] = o->extras[i];
        rc = keep_all(arena, texts, 2);
    }
    o->extras = list;
    return rc;
}

int offer_copy(const struct advert_offer *offer, struct xn_arena *arena,
               struct advert_offer *copy_out)
{
    struct advert_offer copy = *offer;
    int rc;

    rc = keep_texts(&copy, arena);
    if (!rc) rc = keep_corps(&copy, arena);
    if (!rc) rc = keep_environments(&copy, arena);
    if (!rc) rc = keep_extras(&copy, arena);
    if (!rc) *copy_out = copy;
    return rc;
}

int offer_tokens(const struct advert_offer *offer, struct xn_arena *arena,
                 const char ***list_out, size_t *n_out)
{
    struct advert *advert = NULL;
    const char **list;
    struct xn_buf xml;
    char why[128];
    size_t i;
    int rc;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    rc = offer_write(offer, 1, &xml, &advert, why, sizeof why);
    if (rc) goto out;
    list = xn_arena_alloc(arena, (advert->n_tokens + 1) * sizeof *list);
    rc = list ? 0 : XN_ENOMEM;
    for (i = 0; !rc && i < advert->n_tokens; i++) {
        list[i] = advert->tokens[i];
        rc = keep(arena, &list[i]);
    }
    if (rc) goto out;
    *list_out = list;
    *n_out = advert->n_tokens;
out:
    advert_free(advert);
    xn_buf_clear(&xml);
    return rc;
}

int offer_write(const struct advert_offer *offer, uint64_t version,
                struct xn_buf *out, struct advert **advert_out, char *why_out,
                size_t why_len)
{
    struct advert *advert = NULL;
    size_t from = out->len;
    int rc;

    if (why_len) why_out[0] = 0;
    rc = advert_write(offer, version, out);
    if (!rc) rc = xn_buf_rc(out);
    if (!rc) {
        rc = advert_parse(out->data + from, out->len - from, &advert, why_out,
                          why_len);
    }
    if (rc && why_len && !why_out[0]) {
        snprintf(why_out, why_len, "%s", xn_strerror(rc));
    }
    if (!rc && advert_out) {
        *advert_out = advert;
        advert = NULL;
    }
    advert_free(advert);
    return rc;
}
