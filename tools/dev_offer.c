/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a catalogue's row to what a server offers. */
#include "tools/dev.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/dec.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/span.h"
#include "wire/advert.h"

enum { EXTRAS_MAX = 64 };

#define RENEW_US_MAX (300 * 1000000ULL)

struct dev_offer {
    struct xn_arena arena;
    struct advert_offer offer;
    struct advert_environment environment;
    const char *corps[1];
    struct advert_extra extras[EXTRAS_MAX];
};

/* text x factor, exactly, as text. */
static const char *times(struct xn_arena *arena, const char *text,
                         int64_t factor)
{
    char out[XN_DEC_TEXT_MAX];
    xn_dec value;

    if (xn_dec_parse(text, strlen(text), &value)) return NULL;
    if (xn_dec_mul(value, xn_dec_int(factor), &value)) return NULL;
    xn_dec_format(value, out);
    return xn_arena_strdup(arena, out);
}

/* Columns that are elements of the schema itself fill the offer's fields. */
static bool fill_known(struct advert_offer *offer, const char *column,
                       const char *value)
{
    const struct {
        const char *column;
        const char **field;
    } known[] = {
        {"Architecture", &offer->architecture},
        {"CPUSecond", &offer->cpu_second},
        {"CPUsmps", &offer->cpu_smps},
        {"City", &offer->city},
        {"Country", &offer->country},
        {"DiskGB", &offer->disk_gb},
        {"IPv4Addresses", &offer->ipv4_addresses},
        {"MemoryMB", &offer->memory_mb},
        {"MemoryMBHour", &offer->memory_mb_hour},
        {"NetGB", &offer->net_gb},
        {"NetMbps", &offer->net_mbps},
        {"PricePerHour", &offer->price_per_hour},
        {"SetUp", &offer->setup},
    };
    size_t i;

    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(column, known[i].column)) continue;
        *known[i].field = value;
        return true;
    }
    return xn_token_info(column); /* others of the schema are not for rows */
}

/* What a column says beside its own token. */
static void derive(struct dev_offer *o, const char *column, const char *value)
{
    if (strcmp(column, "vCPUs") == 0) {
        o->offer.cpu_smps = times(&o->arena, value, 1000);
    } else if (strcmp(column, "MemoryGiB") == 0) {
        o->offer.memory_mb = times(&o->arena, value, 1024);
    } else if (strcmp(column, "Price") == 0) {
        o->offer.price_per_hour = times(&o->arena, value, 1);
    }
}

int dev_offer_new(const struct dev_platform *platform,
                  const struct dev_catalogue *catalogue, size_t i,
                  const char *server_name, const char *corp,
                  struct dev_offer **offer_out)
{
    struct dev_offer *o = calloc(1, sizeof *o);
    size_t j;
    int rc = XN_ENOMEM;

    if (!o) return rc;
    xn_arena_init(&o->arena, 0);
    o->corps[0] = corp;
    o->environment.type = "Linux";
    o->environment.kernel = "6.1";
    o->environment.virtualisation = "sandbox";
    o->offer.server_name = xn_arena_strdup(&o->arena, server_name);
    o->offer.corps = o->corps;
    o->offer.n_corps = 1;
    o->offer.architecture = "x86_64";
    o->offer.environments = &o->environment;
    o->offer.n_environments = 1;
    o->offer.currency = platform->currency;
    o->offer.extras = o->extras;
    for (j = 0; j < dev_catalogue_columns(catalogue); j++) {
        const char *column = dev_catalogue_column(catalogue, j);
        const char *value = dev_catalogue_value(catalogue, i, j);

        if (!*value || fill_known(&o->offer, column, value)) continue;
        if (o->offer.n_extras == EXTRAS_MAX) continue;
        derive(o, column, value);
        o->extras[o->offer.n_extras++] = (struct advert_extra){column, value};
    }
    if (platform->latency) {
        rc = dev_latency_place(platform->latency, i, &o->arena, &o->offer);
        if (rc) goto out;
    }
    rc = o->offer.cpu_smps && o->offer.memory_mb && o->offer.price_per_hour
             ? 0
             : XN_EINVAL;
    if (rc) {
        xn_gripe_rcf(DEV_PROGRAM, rc, NULL, "cannot use a row of the catalogue",
                     "rows with vCPUs, MemoryGiB and Price",
                     "the %zuth drawn lacks a number", i + 1);
        goto out;
    }
    *offer_out = o;
    o = NULL;
out:
    dev_offer_free(o);
    return rc;
}

void dev_offer_free(struct dev_offer *o)
{
    if (!o) return;
    xn_arena_clear(&o->arena);
    free(o);
}

const struct advert_offer *dev_offer_get(const struct dev_offer *o)
{
    return &o->offer;
}

/* ---- as xenohostd's configuration ---- */

/* A text in quotes; what would end it or mean something gets a backslash. */
static void put_quoted(struct xn_buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\"\\", *text)) xn_buf_char(out, '\\');
        xn_buf_char(out, *text);
    }
}

static void put(struct xn_buf *out, const char *key, const char *value)
{
    if (!value) return;
    xn_buf_printf(out, "    %s = \"", key);
    put_quoted(out, value);
    xn_buf_str(out, "\"\n");
}

/* NAME=VALUE; ...: semicolons and backslashes of a value are escaped once for
 * the list, and what results once more for the file. */
static void put_tokens(struct xn_buf *out, const struct advert_offer *offer)
{
    size_t i;
    const char *p;

    if (offer->n_extras == 0) return;
    xn_buf_str(out, "    tokens = \"");
    for (i = 0; i < offer->n_extras; i++) {
        xn_buf_printf(out, "%s%s=", i ? "; " : "", offer->extras[i].token);
        for (p = offer->extras[i].value; *p; p++) {
            char one[3] = {*p, '\0', '\0'};

            if (strchr(";\\", *p)) {
                one[0] = '\\';
                one[1] = *p;
            }
            put_quoted(out, one);
        }
    }
    xn_buf_str(out, "\"\n");
}

int dev_offer_config(const struct dev_offer *o, const char *lease,
                     struct xn_buf *out)
{
    const struct advert_offer *offer = &o->offer;
    uint64_t lease_us, renew_us;
    int rc = xn_span_parse(lease, &lease_us);

    if (rc) return rc;
    renew_us = lease_us / 3 < RENEW_US_MAX ? lease_us / 3 : RENEW_US_MAX;
    xn_buf_str(out, "offer {\n");
    put(out, "name", offer->server_name);
    put(out, "architecture", offer->architecture);
    put(out, "country", offer->country);
    put(out, "city", offer->city);
    xn_buf_printf(out, "    environments = \"%s %s %s\"\n", o->environment.type,
                  o->environment.kernel, o->environment.virtualisation);
    put(out, "cpu_smps", offer->cpu_smps);
    put(out, "memory_mb", offer->memory_mb);
    put(out, "disk_gb", offer->disk_gb);
    put(out, "net_mbps", offer->net_mbps);
    put(out, "ipv4_addresses", offer->ipv4_addresses);
    put_tokens(out, offer);
    xn_buf_str(out, "}\nprice {\n");
    put(out, "currency", offer->currency);
    put(out, "per_hour", offer->price_per_hour);
    put(out, "cpu_second", offer->cpu_second);
    put(out, "memory_mb_hour", offer->memory_mb_hour);
    put(out, "net_gb", offer->net_gb);
    put(out, "setup", offer->setup);
    if (offer->coord_x) {
        xn_buf_str(out, "}\nplace {\n");
        put(out, "x", offer->coord_x);
        put(out, "y", offer->coord_y);
        put(out, "h", offer->coord_h);
        put(out, "error", offer->coord_error);
    }
    xn_buf_printf(out, "}\npublish {\n    lease = \"%s\"\n", lease);
    xn_buf_printf(out, "    renew = \"%" PRIu64 "ms\"\n}\n", renew_us / 1000);
    return xn_buf_rc(out);
}
