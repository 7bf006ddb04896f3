/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links in sorted arrays.  Some hundreds of pointers: a memmove on a join is
 * cheaper than any tree, and their order is the same in every run. */
#include <stdlib.h>
#include <string.h>

#include "overlay/inside.h"

bool vec_put(struct vec *vec, size_t at, void *item)
{
    if (vec->n == vec->cap) {
        size_t cap = vec->cap ? 2 * vec->cap : 16;
        void **v = realloc(vec->v, cap * sizeof *v);

        if (!v) return false;
        vec->v = v;
        vec->cap = cap;
    }
    memmove(vec->v + at + 1, vec->v + at, (vec->n - at) * sizeof *vec->v);
    vec->v[at] = item;
    vec->n++;
    return true;
}

void vec_drop(struct vec *vec, size_t at)
{
    vec->n--;
    memmove(vec->v + at, vec->v + at + 1, (vec->n - at) * sizeof *vec->v);
}

const struct xn_contact *link_contact(const struct ov *ov,
                                      const struct link *link)
{
    return xn_peer_contact(ov->peers, link->peer);
}

/* ---- by handle ---- */

static size_t peer_lower(const struct ov *ov, xn_peer peer)
{
    size_t lo = 0, hi = ov->by_peer.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (link_at(&ov->by_peer, mid)->peer < peer)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct link *link_find(const struct ov *ov, xn_peer peer)
{
    size_t i = peer_lower(ov, peer);

    if (i == ov->by_peer.n) return NULL;
    return link_at(&ov->by_peer, i)->peer == peer ? link_at(&ov->by_peer, i)
                                                  : NULL;
}

struct link *link_find_live(const struct ov *ov, xn_peer peer)
{
    struct link *link = link_find(ov, peer);

    return link && link->state == LINK_LIVE ? link : NULL;
}

bool ring_add_peer(struct ov *ov, struct link *link)
{
    return vec_put(&ov->by_peer, peer_lower(ov, link->peer), link);
}

void ring_drop_peer(struct ov *ov, struct link *link)
{
    vec_drop(&ov->by_peer, peer_lower(ov, link->peer));
}

/* ---- by id ---- */

static size_t id_lower(const struct ov *ov, const xn_id *id)
{
    size_t lo = 0, hi = ov->by_id.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct link *link = link_at(&ov->by_id, mid);

        if (xn_id_cmp(&link_contact(ov, link)->id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct link *link_find_id(const struct ov *ov, const xn_id *id)
{
    size_t i = id_lower(ov, id);
    struct link *link = i < ov->by_id.n ? link_at(&ov->by_id, i) : NULL;

    return link && xn_id_eq(&link_contact(ov, link)->id, id) ? link : NULL;
}

bool ring_add_id(struct ov *ov, struct link *link)
{
    return vec_put(&ov->by_id, id_lower(ov, &link_contact(ov, link)->id), link);
}

void ring_drop_id(struct ov *ov, struct link *link)
{
    vec_drop(&ov->by_id, id_lower(ov, &link_contact(ov, link)->id));
}

/* ---- by position ---- */

size_t ring_lower(const struct ov *ov, const xn_id *position)
{
    size_t lo = 0, hi = ov->ring.n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct link *link = link_at(&ov->ring, mid);

        if (xn_id_cmp(&link_contact(ov, link)->position, position) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void ring_within(const struct ov *ov, const struct table_place *place,
                 size_t *first_out, size_t *end_out)
{
    const xn_id *hi = &place->hi;
    size_t end;

    *first_out = ring_lower(ov, &place->lo);
    end = ring_lower(ov, hi);
    while (end < ov->ring.n &&
           xn_id_eq(&link_contact(ov, link_at(&ov->ring, end))->position, hi))
        end++;
    *end_out = end;
}

/* Two at one position cannot be by chance; their order is by handle then. */
static size_t ring_place(const struct ov *ov, const struct link *link)
{
    const xn_id *position = &link_contact(ov, link)->position;
    size_t i = ring_lower(ov, position);

    while (i < ov->ring.n && link_at(&ov->ring, i)->peer < link->peer &&
           xn_id_eq(&link_contact(ov, link_at(&ov->ring, i))->position,
                    position)) {
        i++;
    }
    return i;
}

static void digest_toggle(struct ov *ov, const struct xn_contact *contact)
{
    uint64_t word = 0;
    size_t i;

    for (i = 0; i < 8; i++)
        word |= (uint64_t)contact->id.b[i] << 8 * i;
    ov->digest[contact->position.b[0] >> 4] ^= word;
}

bool ring_add_live(struct ov *ov, struct link *link)
{
    if (!vec_put(&ov->ring, ring_place(ov, link), link)) return false;
    digest_toggle(ov, link_contact(ov, link));
    ov->self_at = ring_lower(ov, &ov->config.position);
    return true;
}

void ring_drop_live(struct ov *ov, struct link *link)
{
    vec_drop(&ov->ring, ring_place(ov, link));
    digest_toggle(ov, link_contact(ov, link));
    ov->self_at = ring_lower(ov, &ov->config.position);
}

/* ---- who is near ---- */

/* We stand in this circle too, between ring[self_at - 1] and ring[self_at]. */
static struct link *circle_at(const struct ov *ov, size_t i)
{
    if (i == ov->self_at) return NULL;
    return link_at(&ov->ring, i < ov->self_at ? i : i - 1);
}

static const xn_id *circle_position(const struct ov *ov, size_t i)
{
    const struct link *link = circle_at(ov, i);

    return link ? &link_contact(ov, link)->position : &ov->config.position;
}

void walk_start(struct walk *walk, const struct ov *ov, const xn_id *key)
{
    size_t m = ov->ring.n + 1, at = ring_lower(ov, key);

    if (xn_id_cmp(&ov->config.position, key) < 0) at++;
    walk->ov = ov;
    walk->key = key;
    walk->left = m;
    walk->up = at % m;
    walk->down = (at + m - 1) % m;
}

/* Upwards things come in order of their clockwise way from the key, downwards
 * of the other way: the nearer of the two heads is the nearest left. */
bool walk_next(struct walk *walk, struct link **link_out)
{
    size_t m = walk->ov->ring.n + 1;
    const xn_id *up, *down;
    xn_id d_up, d_down;
    int cmp;

    if (walk->left == 0) return false;
    walk->left--;
    up = circle_position(walk->ov, walk->up);
    down = circle_position(walk->ov, walk->down);
    xn_ring_clockwise(walk->key, up, &d_up);
    xn_ring_clockwise(down, walk->key, &d_down);
    cmp = xn_id_cmp(&d_up, &d_down);
    if (cmp == 0) cmp = xn_id_cmp(up, down);
    if (cmp <= 0) {
        *link_out = circle_at(walk->ov, walk->up);
        walk->up = (walk->up + 1) % m;
    } else {
        *link_out = circle_at(walk->ov, walk->down);
        walk->down = (walk->down + m - 1) % m;
    }
    return true;
}

size_t ov_nearest(const struct ov *ov, const xn_id *key, size_t n,
                  xn_peer *peers_out)
{
    struct walk walk;
    struct link *link;
    size_t i = 0;

    walk_start(&walk, ov, key);
    while (i < n && walk_next(&walk, &link)) {
        peers_out[i++] = link ? link->peer : XN_PEER_SELF;
    }
    return i;
}

bool ov_holds(const struct ov *ov, const xn_id *key)
{
    struct walk walk;
    struct link *link;
    uint32_t i;

    walk_start(&walk, ov, key);
    for (i = 0; i < ov->config.copies && walk_next(&walk, &link); i++) {
        if (!link) return true;
    }
    return false;
}

/* ---- who is beside us ---- */

struct link *ring_cw(const struct ov *ov, size_t d)
{
    return link_at(&ov->ring, (ov->self_at + d - 1) % ov->ring.n);
}

struct link *ring_ccw(const struct ov *ov, size_t d)
{
    return link_at(&ov->ring, (ov->self_at + ov->ring.n - d) % ov->ring.n);
}

bool ring_is_leaf(const struct ov *ov, const xn_id *position)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;
    xn_id ours, theirs;

    if (ov->ring.n < 2 * leaves) return true;
    xn_ring_clockwise(self, position, &theirs);
    xn_ring_clockwise(self, &link_contact(ov, ring_cw(ov, leaves))->position,
                      &ours);
    if (xn_id_cmp(&theirs, &ours) <= 0) return true;
    xn_ring_clockwise(position, self, &theirs);
    xn_ring_clockwise(&link_contact(ov, ring_ccw(ov, leaves))->position, self,
                      &ours);
    return xn_id_cmp(&theirs, &ours) <= 0;
}

size_t ring_leaves(const struct ov *ov, xn_peer *peers_out)
{
    size_t n = ov->ring.n, cw, ccw, d, i = 0;

    cw = n < ov->config.leaves ? n : ov->config.leaves;
    ccw = n - cw < ov->config.leaves ? n - cw : ov->config.leaves;
    for (d = 1; d <= cw; d++)
        peers_out[i++] = ring_cw(ov, d)->peer;
    for (d = 1; d <= ccw; d++)
        peers_out[i++] = ring_ccw(ov, d)->peer;
    return i;
}

uint64_t ring_reach(const struct ov *ov)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;
    uint64_t up, down;

    if (ov->ring.n < 2 * leaves) return UINT64_MAX;
    up = table_apart(self, &link_contact(ov, ring_cw(ov, leaves))->position);
    down = table_apart(self, &link_contact(ov, ring_ccw(ov, leaves))->position);
    return up < down ? up : down;
}
