/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "discovery/merge.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "wire/ad.h"

/* An ad of the union: which server, and where each source ranks it. */
struct entry {
    xn_id server;
    Xn__SignedAd *ad;
    uint64_t version, until_us;
    size_t source;
    uint32_t place[RD_SOURCES_MAX]; /* 1 + rank; 0: not given */
    UT_hash_handle hh;
};

void rd_merge_clear(struct rd_merge *merge)
{
    size_t i;

    for (i = 0; i < merge->n; i++)
        xn_msg_free(merge->sources[i].found);
    memset(merge, 0, sizeof *merge);
}

void rd_merge_add(struct rd_merge *merge, int rc, struct xn_msg *found,
                  const xn_id *node)
{
    struct rd_source *source;
    size_t i;

    if (merge->n == RD_SOURCES_MAX) return;
    for (i = 0; rc == 0 && i < merge->n; i++) {
        source = &merge->sources[i];
        if (source->rc == 0 && xn_id_eq(&source->node, node)) return;
    }
    source = &merge->sources[merge->n++];
    source->rc = rc;
    if (node) source->node = *node;
    source->found = rc ? NULL : xn_msg_ref(found);
}

bool rd_merge_answered(const struct rd_merge *merge)
{
    size_t i;

    for (i = 0; i < merge->n; i++) {
        if (merge->sources[i].rc == 0) return true;
    }
    return false;
}

static bool newer(const struct entry *a, const struct entry *b)
{
    if (a->version != b->version) return a->version > b->version;
    return a->until_us > b->until_us;
}

struct uni { /* the union while it is made */
    struct xn_arena arena;
    uint64_t wall_us;
    struct entry *entries; /* in order of first sight */
    size_t n;
    /* [i][j]: how far down j's answer there is something that i gave too */
    uint32_t common[RD_SOURCES_MAX][RD_SOURCES_MAX];
};

/* Is `a` as good as missing beside `b`: an older version, or its lease over and
 * the other's not? */
static bool outdone(const struct uni *uni, const struct entry *a,
                    const struct entry *b)
{
    if (a->version != b->version) return a->version < b->version;
    return a->until_us <= uni->wall_us && b->until_us > uni->wall_us;
}

/* Server and version are as the lease states them, which is not verified here:
 * whoever asked verifies, and a forged lease fails there.  An ad whose lease
 * cannot be read counts as its own entry, so that the asker gets to see it and
 * can name who served it. */
static int add_ad(struct uni *uni, Xn__SignedAd *ad, size_t source,
                  uint32_t place)
{
    struct entry *entry = xn_arena_alloc(&uni->arena, sizeof *entry), *known;
    struct ad_lease claim;

    if (!entry) return XN_ENOMEM;
    entry->ad = ad;
    entry->source = source;
    if (ad_lease_peek(ad->lease.data, ad->lease.len, &claim) == 0) {
        entry->server = claim.server;
        entry->version = claim.version;
        entry->until_us = claim.until_us;
    } else {
        xn_id_hash(ad->lease.data, ad->lease.len, &entry->server);
    }
    HASH_FIND(hh, uni->entries, &entry->server, XN_ID_SIZE, known);
    if (!known) {
        HASH_ADD(hh, uni->entries, server, XN_ID_SIZE, entry);
        uni->n++;
        known = entry;
    }
    if (outdone(uni, entry, known)) return 0;
    if (outdone(uni, known, entry)) {
        memset(known->place, 0, sizeof known->place);
    }
    if (newer(entry, known)) {
        known->ad = ad;
        known->source = source;
        known->version = entry->version;
        known->until_us = entry->until_us;
    }
    known->place[source] = place;
    return 0;
}

static int unite(const struct rd_merge *merge, struct uni *uni)
{
    size_t i, j;
    int rc;

    for (i = 0; i < merge->n; i++) {
        const Xn__Found *found;

        if (merge->sources[i].rc) continue;
        found = XN_BODY(merge->sources[i].found, Xn__Found);
        for (j = 0; j < found->n_ads; j++) {
            rc = add_ad(uni, found->ads[j], i, (uint32_t)j + 1);
            if (rc) return rc;
        }
    }
    return 0;
}

static void find_common(const struct rd_merge *merge, struct uni *uni)
{
    const struct entry *e;
    size_t i, j;

    for (e = uni->entries; e; e = e->hh.next) {
        for (i = 0; i < merge->n; i++) {
            for (j = 0; e->place[i] && j < merge->n; j++) {
                if (e->place[j] > uni->common[i][j]) {
                    uni->common[i][j] = e->place[j];
                }
            }
        }
    }
}

/* Did source `i` leave this one out?  Surely so where its answer is complete,
 * or where another source ranks behind it something that `i` did give. */
static bool left_out(const struct rd_merge *merge, const struct uni *uni,
                     const struct entry *entry, size_t i)
{
    size_t j;

    if (entry->place[i]) return false;
    if (!XN_BODY(merge->sources[i].found, Xn__Found)->more) return true;
    for (j = 0; j < merge->n; j++) {
        if (entry->place[j] && uni->common[i][j] > entry->place[j]) return true;
    }
    return false;
}

static int fill_source(const struct rd_merge *merge, struct uni *uni, size_t i,
                       Xn__Source *to)
{
    const struct rd_source *from = &merge->sources[i];
    const struct entry *e;

    xn__source__init(to);
    to->node = xn_id_bytes(&from->node);
    to->rc = from->rc;
    if (from->rc) return 0;
    to->matching = XN_BODY(from->found, Xn__Found)->matching;
    to->missing = xn_arena_alloc(&uni->arena, uni->n * sizeof *to->missing + 1);
    if (!to->missing) return XN_ENOMEM;
    for (e = uni->entries; e; e = e->hh.next) {
        if (!left_out(merge, uni, e, i)) continue;
        to->missing[to->n_missing++] = xn_id_bytes(&e->server);
    }
    return 0;
}

static int fill_sources(const struct rd_merge *merge, struct uni *uni,
                        Xn__SearchResult *result)
{
    Xn__Source *rows = xn_arena_alloc(&uni->arena, merge->n * sizeof *rows + 1);
    size_t i;
    int rc;

    find_common(merge, uni);
    result->sources =
        xn_arena_alloc(&uni->arena, merge->n * sizeof *result->sources + 1);
    if (!rows || !result->sources) return XN_ENOMEM;
    for (i = 0; i < merge->n; i++) {
        rc = fill_source(merge, uni, i, &rows[i]);
        if (rc) return rc;
        result->sources[result->n_sources++] = &rows[i];
    }
    return 0;
}

static int fill_hits(const struct rd_merge *merge, struct uni *uni,
                     Xn__SearchResult *result)
{
    Xn__Hit *rows = xn_arena_alloc(&uni->arena, uni->n * sizeof *rows + 1);
    const struct entry *e;

    result->hits =
        xn_arena_alloc(&uni->arena, uni->n * sizeof *result->hits + 1);
    if (!rows || !result->hits) return XN_ENOMEM;
    for (e = uni->entries; e; e = e->hh.next) {
        Xn__Hit *hit = &rows[result->n_hits];

        xn__hit__init(hit);
        hit->ad = e->ad;
        hit->source = xn_id_bytes(&merge->sources[e->source].node);
        result->hits[result->n_hits++] = hit;
    }
    return 0;
}

/* Counts of the copy that knows most; its explanation with them. */
static void fill_counts(const struct rd_merge *merge, Xn__SearchResult *result)
{
    const Xn__Found *best = NULL;
    size_t i;

    for (i = 0; i < merge->n; i++) {
        const Xn__Found *found;

        if (merge->sources[i].rc) continue;
        found = XN_BODY(merge->sources[i].found, Xn__Found);
        if (found->more) result->more = true;
        if (!best || found->matching > best->matching) best = found;
    }
    if (!best) return;
    result->matching = best->matching;
    result->known = best->known;
    result->other_currency = best->other_currency;
    result->conditions = best->conditions;
    result->n_conditions = best->n_conditions;
}

void rd_merge_answer(const struct rd_merge *merge, uint64_t wall_us,
                     uint64_t ticket, const char *engine, const char *token,
                     struct xn_out *out)
{
    Xn__SearchResult result = XN__SEARCH_RESULT__INIT;
    struct uni uni = {.wall_us = wall_us};
    char *silent = (char *)(uintptr_t)token;
    int rc;

    xn_arena_init(&uni.arena, 0);
    rc = unite(merge, &uni);
    if (rc) goto out;
    rc = fill_hits(merge, &uni, &result);
    if (rc) goto out;
    rc = fill_sources(merge, &uni, &result);
    if (rc) goto out;
    fill_counts(merge, &result);
    result.engine = (char *)(uintptr_t)engine;
    result.token = silent;
    if (rd_merge_answered(merge)) {
        result.answered_ppm = 1000000;
    } else {
        result.silent = &silent;
        result.n_silent = 1;
    }
    xn_out_answer(out, ticket, 200, &result);
out:
    HASH_CLEAR(hh, uni.entries);
    xn_arena_clear(&uni.arena);
    if (rc) out->rc = rc;
}
