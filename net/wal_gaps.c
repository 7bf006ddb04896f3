/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/wal_gaps.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/rng.h"

enum { LEAD = 9, KEY_MAX = 48, WAYS = 2, SETS = 4096 };

struct bound {
    uint8_t key[KEY_MAX];
    uint8_t len;
};

/* No key k with the beginning of `from` is in the store, from < k < to, nor
 * `from` itself where `with_from`. */
struct gap {
    struct bound from, to;
    bool known, with_from, open_end;
};

struct set {
    struct gap ways[WAYS];
    unsigned turn; /* which is forgotten next */
};

struct wal_gaps {
    struct set sets[SETS];
};

int wal_gaps_new(struct wal_gaps **gaps_out)
{
    *gaps_out = calloc(1, sizeof **gaps_out);
    return *gaps_out ? 0 : XN_ENOMEM;
}

void wal_gaps_free(struct wal_gaps *gaps)
{
    free(gaps);
}

static size_t set_of(const uint8_t *key)
{
    uint64_t lead;

    memcpy(&lead, key + LEAD - sizeof lead, sizeof lead);
    return xn_rng_mix(key[0], lead) % SETS;
}

static int compare(const struct bound *bound, const uint8_t *key, size_t len)
{
    size_t common = bound->len < len ? bound->len : len;
    int d = memcmp(bound->key, key, common);

    return d ? d : (bound->len > len) - (bound->len < len);
}

static bool contains(const struct gap *gap, const uint8_t *key, size_t len)
{
    int d;

    if (!gap->known || memcmp(gap->from.key, key, LEAD) != 0) return false;
    d = compare(&gap->from, key, len);
    if (d > 0 || (d == 0 && !gap->with_from)) return false;
    return gap->open_end || compare(&gap->to, key, len) > 0;
}

static bool fits(size_t len)
{
    return len >= LEAD && len <= KEY_MAX;
}

bool wal_gaps_hold(const struct wal_gaps *gaps, const void *key, size_t len)
{
    const struct set *set;
    unsigned i;

    if (!fits(len)) return false;
    set = &gaps->sets[set_of(key)];
    for (i = 0; i < WAYS; i++) {
        if (contains(&set->ways[i], key, len)) return true;
    }
    return false;
}

static void put(struct bound *bound, const void *key, size_t len)
{
    memcpy(bound->key, key, len);
    bound->len = (uint8_t)len;
}

/* A longer key is cut: its beginning comes before it. */
void wal_gaps_learn(struct wal_gaps *gaps, const void *key, size_t len,
                    const void *next, size_t next_len)
{
    struct gap *gap;
    struct set *set;

    if (!fits(len)) return;
    set = &gaps->sets[set_of(key)];
    gap = &set->ways[set->turn++ % WAYS];
    put(&gap->from, key, len);
    gap->with_from = true;
    gap->open_end = next == NULL;
    if (next) put(&gap->to, next, next_len < KEY_MAX ? next_len : KEY_MAX);
    gap->known = true;
}

/* Of a gap that it parts the upper half is kept: ids go up. */
void wal_gaps_fill(struct wal_gaps *gaps, const void *key, size_t len)
{
    struct set *set;
    unsigned i;

    if (len < LEAD) return;
    set = &gaps->sets[set_of(key)];
    for (i = 0; i < WAYS; i++) {
        struct gap *gap = &set->ways[i];

        if (!contains(gap, key, len)) continue;
        gap->known = fits(len);
        if (!gap->known) continue;
        put(&gap->from, key, len);
        gap->with_from = false;
    }
}
