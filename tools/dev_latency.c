/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A platform on one machine that is as wide as a measured one: where servers
 * are, and the files by which their nodes delay each other's frames. */
#include "tools/dev.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/rng.h"
#include "net/delay.h"
#include "wire/key.h"

/* Salts that keep the draws of one seed apart. */
enum { SALT_ORDER = 0x6f72, SALT_PLACE = 0x706c };

struct dev_latency {
    struct xn_latency *map;
    struct dev_place *places;
    uint32_t *order; /* which place is drawn first, second... */
};

/* Fisher and Yates, so that the i-th depends on the seed alone. */
static int draw(struct dev_latency *latency, uint64_t seed)
{
    uint32_t n = latency->map->places, i;
    struct xn_rng rng;

    latency->order = calloc(n, sizeof *latency->order);
    if (!latency->order) return XN_ENOMEM;
    for (i = 0; i < n; i++)
        latency->order[i] = i;
    xn_rng_seed(&rng, xn_rng_mix(seed, SALT_ORDER));
    for (i = 0; i + 1 < n; i++) {
        uint32_t j = i + (uint32_t)xn_rng_below(&rng, n - i);
        uint32_t swap = latency->order[i];

        latency->order[i] = latency->order[j];
        latency->order[j] = swap;
    }
    return 0;
}

int dev_latency_read(struct dev_platform *platform, const char *path)
{
    struct dev_latency *latency = calloc(1, sizeof *latency);
    char why[XN_LATENCY_TEXT] = "";
    int rc = XN_ENOMEM;

    if (!latency) goto out;
    rc = xn_latency_load(path, 0, &latency->map, why, sizeof why);
    if (!rc) rc = draw(latency, platform->seed);
    if (!rc) {
        rc = dev_places(latency->map, xn_rng_mix(platform->seed, SALT_PLACE),
                        &latency->places);
    }
    if (!rc) {
        platform->latency = latency;
        return 0;
    }
out:
    xn_gripe_rc(DEV_PROGRAM, rc, NULL, "cannot read the latencies",
                *why ? why : xn_strerror(rc),
                "a matrix such as latency-seattle99.txt; see xenodev(1)");
    dev_latency_free(latency);
    return rc;
}

void dev_latency_free(struct dev_latency *latency)
{
    if (!latency) return;
    xn_latency_free(latency->map);
    free(latency->places);
    free(latency->order);
    free(latency);
}

static uint32_t place_of(const struct dev_latency *latency, size_t i)
{
    return latency->order[i % latency->map->places];
}

/* Thousandths, rounded away from nothing: printf would use the locale's
 * point. */
static const char *text_of(struct xn_arena *arena, double value)
{
    int64_t n = (int64_t)(value * 1000 + (value < 0 ? -0.5 : 0.5));
    uint64_t size = n < 0 ? -(uint64_t)n : (uint64_t)n;
    char text[48];

    snprintf(text, sizeof text, "%s%" PRIu64 ".%03" PRIu64, n < 0 ? "-" : "",
             size / 1000, size % 1000);
    return xn_arena_strdup(arena, text);
}

int dev_latency_place(const struct dev_latency *latency, size_t i,
                      struct xn_arena *arena, struct advert_offer *offer)
{
    const struct dev_place *place = &latency->places[place_of(latency, i)];

    offer->coord_x = text_of(arena, place->x);
    offer->coord_y = text_of(arena, place->y);
    offer->coord_h = text_of(arena, place->h);
    offer->coord_error = text_of(arena, place->error);
    return offer->coord_x && offer->coord_y && offer->coord_h &&
                   offer->coord_error
               ? 0
               : XN_ENOMEM;
}

/* ---- the nodes' files ---- */

/* The key that the node will find in its folder when it registers. */
static int make_key(const struct dev_platform *platform,
                    const struct dev_server *server, char hex[XN_ID_HEX])
{
    char folder[DEV_PATH_MAX], path[DEV_PATH_MAX];
    EVP_PKEY *key = NULL;
    xn_id id;
    int rc;

    dev_path(platform, folder, "node-%02u", server->number);
    dev_path(platform, path, "node-%02u/key.pem", server->number);
    rc = dev_mkdir(folder);
    if (rc) return rc;
    rc = xn_key_own(path, &key);
    if (!rc) rc = xn_key_id(key, &id);
    if (!rc) {
        xn_id_hex(&id, hex);
    } else {
        xn_gripe_rcf(DEV_PROGRAM, rc, NULL, "cannot make a node's key",
                     "another --state", "%s: %s", path, xn_strerror(rc));
    }
    EVP_PKEY_free(key);
    return rc;
}

/* What node `to` waits before it hears each of the others. */
static int write_delays(const struct dev_platform *platform,
                        char (*ids)[XN_ID_HEX], size_t to)
{
    const struct dev_latency *latency = platform->latency;
    char path[DEV_PATH_MAX];
    struct xn_buf text;
    size_t from;
    int rc;

    xn_buf_init(&text, 0);
    for (from = 0; from < platform->n_servers; from++) {
        uint64_t us = xn_latency_us(latency->map, place_of(latency, from),
                                    place_of(latency, to));

        if (from == to) continue;
        xn_buf_printf(&text, "%s %" PRIu64 "\n", ids[from],
                      us < NET_DELAY_US_MAX ? us : NET_DELAY_US_MAX);
    }
    rc = xn_buf_rc(&text);
    dev_path(platform, path, "node-%02u.delay", platform->servers[to].number);
    if (!rc) rc = dev_write_file(path, text.data, text.len);
    xn_buf_clear(&text);
    return rc;
}

int dev_latency_delays(const struct dev_platform *platform)
{
    char(*ids)[XN_ID_HEX] = calloc(platform->n_servers, sizeof *ids);
    size_t i;
    int rc = ids ? 0 : XN_ENOMEM;

    for (i = 0; !rc && i < platform->n_servers; i++)
        rc = make_key(platform, &platform->servers[i], ids[i]);
    for (i = 0; !rc && i < platform->n_servers; i++)
        rc = write_delays(platform, ids, i);
    free(ids);
    return rc;
}

bool dev_latency_file(const struct dev_platform *platform,
                      const struct dev_server *server, char out[DEV_PATH_MAX])
{
    dev_path(platform, out, "node-%02u.delay", server->number);
    return access(out, R_OK) == 0;
}
