/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/claims.h"

#include <stdlib.h>
#include <string.h>

#include "overlay/table.h"

void claims_init(struct claims *claims, const xn_id *key, uint64_t reach)
{
    *claims = (struct claims){.key = *key, .reach = reach};
}

void claims_clear(struct claims *claims)
{
    free(claims->v);
    claims->v = NULL;
    claims->n = claims->cap = 0;
}

unsigned claims_source(struct claims *claims)
{
    return claims->sources < SOURCES_MAX ? claims->sources++ : SOURCES_MAX;
}

/* The first place that is not nearer to the key. */
static size_t lower(const struct claims *claims, const xn_id *position)
{
    size_t lo = 0, hi = claims->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (xn_ring_nearer(&claims->key, &claims->v[mid].position, position))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct claim *insert(struct claims *claims, size_t at,
                            const struct claim *claim)
{
    if (claims->n == claims->cap) {
        size_t cap = claims->cap ? 2 * claims->cap : 32;
        struct claim *v = realloc(claims->v, cap * sizeof *v);

        if (!v) return NULL;
        claims->v = v;
        claims->cap = cap;
    }
    memmove(claims->v + at + 1, claims->v + at,
            (claims->n - at) * sizeof *claims->v);
    claims->v[at] = *claim;
    claims->n++;
    return &claims->v[at];
}

/* Others that claim the same position stand beside it. */
static struct claim *find_same(struct claims *claims, const struct claim *claim)
{
    size_t i = lower(claims, &claim->position);

    for (; i < claims->n; i++) {
        struct claim *other = &claims->v[i];

        if (!xn_id_eq(&other->position, &claim->position)) break;
        if (xn_id_eq(&other->id, &claim->id) &&
            (other->state >= CLAIM_PROVED ||
             !strcmp(other->address, claim->address)))
            return other;
    }
    return NULL;
}

bool claims_say(struct claims *claims, unsigned source, const xn_id *id,
                const xn_id *position, const char *address)
{
    struct claim claim = {.id = *id, .position = *position}, *same;
    size_t len = strlen(address);

    if (len == 0 || len > OV_ADDRESS_MAX) return true;
    memcpy(claim.address, address, len + 1);
    claim.by = 1U << source;
    same = find_same(claims, &claim);
    if (same) same->by |= claim.by;
    return same || insert(claims, lower(claims, position), &claim);
}

size_t claims_prove(struct claims *claims, const xn_id *id,
                    const xn_id *position, const char *address)
{
    struct claim claim = {
        .id = *id, .position = *position, .state = CLAIM_PROVED};
    size_t i, kept = 0, at;

    if (address && strlen(address) <= OV_ADDRESS_MAX)
        memcpy(claim.address, address, strlen(address) + 1);
    for (i = 0; i < claims->n; i++) {
        const struct claim *other = &claims->v[i];

        if (!xn_id_eq(&other->id, id)) {
            claims->v[kept++] = *other;
            continue;
        }
        /* Who said where it is has said so rightly. */
        if (xn_id_eq(&other->position, position)) {
            claim.by |= other->by;
            if (!claim.address[0])
                memcpy(claim.address, other->address, sizeof claim.address);
        }
        if (other->state > claim.state) claim.state = other->state;
        claim.is_start |= other->is_start;
        claim.again |= other->again;
    }
    claims->n = kept;
    at = lower(claims, position);
    return insert(claims, at, &claim) ? at : CLAIM_NONE;
}

void claims_fail(struct claims *claims, size_t i)
{
    unsigned s;

    claims->v[i].state = CLAIM_FAILED;
    for (s = 0; s < claims->sources; s++) {
        if (claims->v[i].by >> s & 1) claims->wrong[s]++;
    }
}

static bool is_believed(const struct claims *claims, unsigned source)
{
    return claims->wrong[source] < CLAIMS_WRONG_MAX;
}

/* Counts this claim in for those who made it; false: each has named enough that
 * is nearer, or nobody believes him. */
static bool take_room(const struct claims *claims, const struct claim *claim,
                      size_t want, uint8_t of[SOURCES_MAX])
{
    bool any = false;
    unsigned s;

    for (s = 0; s < claims->sources; s++) {
        if (!(claim->by >> s & 1) || !is_believed(claims, s) || of[s] >= want)
            continue;
        of[s]++;
        any = true;
    }
    return any;
}

static size_t next_near(const struct claims *claims, size_t want)
{
    uint8_t of[SOURCES_MAX] = {0};
    size_t i, ahead = 0;

    for (i = 0; i < claims->n && ahead < want; i++) {
        const struct claim *claim = &claims->v[i];
        bool room;

        if (claim->state == CLAIM_FAILED) continue;
        room = take_room(claims, claim, want, of);
        if (claim->state == CLAIM_HEARD && room) return i;
        ahead += claim->state >= CLAIM_PROVED ||
                 (claim->state == CLAIM_DIALLED && claim->looks < 2);
    }
    return CLAIM_NONE;
}

static size_t next_first(struct claims *claims)
{
    uint8_t named[SOURCES_MAX] = {0};
    size_t i, next = CLAIM_NONE;

    for (i = 0; i < claims->n; i++) {
        struct claim *claim = &claims->v[i];
        unsigned s;

        claim->is_first = false;
        if (table_apart(&claims->key, &claim->position) > claims->reach)
            continue;
        if (claim->state == CLAIM_FAILED) continue;
        for (s = 0; s < claims->sources; s++) {
            if (!(claim->by >> s & 1) || named[s] == CLAIMS_FIRST) continue;
            named[s]++;
            claim->is_first |= is_believed(claims, s);
        }
        if (claim->is_first && claim->state == CLAIM_HEARD &&
            next == CLAIM_NONE)
            next = i;
    }
    return next;
}

size_t claims_next(struct claims *claims, size_t want)
{
    size_t first = next_first(claims), i = next_near(claims, want);

    return i != CLAIM_NONE ? i : first;
}

bool claims_agree(const struct claims *claims, size_t want)
{
    size_t i;

    for (i = 0; i < claims->n && want > 0; i++) {
        const struct claim *claim = &claims->v[i];

        if (claim->state == CLAIM_FAILED) continue;
        if (claim->state == CLAIM_HEARD && !(claim->by & (claim->by - 1)))
            return false;
        want--;
    }
    return want == 0;
}

bool claims_counts(const struct claims *claims, size_t i, size_t want)
{
    size_t met = 0, j;

    if (claims->v[i].is_first) return true;
    for (j = 0; j < i; j++)
        met += claims->v[j].state >= CLAIM_PROVED;
    return met < want;
}

size_t claims_met(const struct claims *claims, size_t rank)
{
    size_t i;

    for (i = 0; i < claims->n; i++) {
        if (claims->v[i].state >= CLAIM_PROVED && rank-- == 0) return i;
    }
    return CLAIM_NONE;
}

size_t claims_find(const struct claims *claims, const xn_id *id,
                   enum claim_state state)
{
    size_t i;

    for (i = 0; i < claims->n; i++) {
        if (claims->v[i].state == state && xn_id_eq(&claims->v[i].id, id))
            return i;
    }
    return CLAIM_NONE;
}
