/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/cache.h"

#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "lib/err.h"

struct entry {
    xn_id key;
    struct xn_msg *msg;
    uint64_t from_us, until_us;
    struct entry *prev, *next; /* oldest use first */
    UT_hash_handle hh;
};

struct net_cache {
    struct entry *by_key;
    struct entry *oldest;
    size_t n, bytes, entries_max, bytes_max;
};

static size_t weight(const struct entry *e)
{
    return sizeof *e + 2 * (size_t)e->msg->size; /* encoded and decoded */
}

static void drop(struct net_cache *cache, struct entry *e)
{
    HASH_DEL(cache->by_key, e);
    DL_DELETE(cache->oldest, e);
    cache->n--;
    cache->bytes -= weight(e);
    xn_msg_free(e->msg);
    free(e);
}

int net_cache_new(size_t entries_max, size_t bytes_max,
                  struct net_cache **cache_out)
{
    struct net_cache *cache = calloc(1, sizeof *cache);

    if (!cache) return XN_ENOMEM;
    cache->entries_max = entries_max;
    cache->bytes_max = bytes_max;
    *cache_out = cache;
    return 0;
}

void net_cache_free(struct net_cache *cache)
{
    struct entry *e, *next;

    if (!cache) return;
    DL_FOREACH_SAFE(cache->oldest, e, next)
    {
        drop(cache, e);
    }
    free(cache);
}

static struct entry *find(struct net_cache *cache, const xn_id *key)
{
    struct entry *e;

    HASH_FIND(hh, cache->by_key, key, sizeof *key, e);
    return e;
}

struct xn_msg *net_cache_get(struct net_cache *cache, const xn_id *key,
                             uint64_t at_us)
{
    struct entry *e = find(cache, key);

    if (!e || at_us < e->from_us || at_us > e->until_us) return NULL;
    DL_DELETE(cache->oldest, e);
    DL_APPEND(cache->oldest, e);
    return e->msg;
}

void net_cache_put(struct net_cache *cache, const xn_id *key,
                   struct xn_msg *msg, uint64_t from_us, uint64_t until_us)
{
    struct entry *e = find(cache, key);

    if (e) drop(cache, e);
    e = calloc(1, sizeof *e);
    if (!e) return; /* a cache may forget */
    e->key = *key;
    e->msg = xn_msg_ref(msg);
    e->from_us = from_us;
    e->until_us = until_us;
    HASH_ADD(hh, cache->by_key, key, sizeof e->key, e);
    DL_APPEND(cache->oldest, e);
    cache->n++;
    cache->bytes += weight(e);
    while (cache->n > cache->entries_max || cache->bytes > cache->bytes_max)
        drop(cache, cache->oldest);
}
