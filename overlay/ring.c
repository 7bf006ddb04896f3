/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The live links in the order of their positions.
 *
 * Some hundreds in an array: what is looked at of many when one is chosen lies
 * in a few cache lines.  In a large simulation most links are never used, and
 * this is all that there is of them. */
#include <stdlib.h>
#include <string.h>

#include "overlay/inside.h"

/* ---- how near ---- */

#define NEAR_UNIT_US 8U /* of 16 to 31 of them, doubled up to 14 times */
#define NEAR_LAST 240U

/* So coarse that it is right within 3 %. */
static uint8_t near_code(uint32_t us)
{
    uint32_t units = us / NEAR_UNIT_US, twice = 0;

    if (us == 0) return 0;
    if (units < 16) return 1;
    while (units >= 32) {
        units /= 2;
        twice++;
    }
    twice = 16 * twice + units - 16 + 1;
    return (uint8_t)(twice < NEAR_LAST ? twice : NEAR_LAST);
}

static uint32_t near_us(uint8_t code)
{
    uint32_t n = code - 1U;

    if (code == 0) return 0;
    return ((2 * (n % 16 + 16) + 1) << n / 16) * (NEAR_UNIT_US / 2);
}

uint32_t ring_near(const struct ov *ov, size_t at)
{
    return near_us(ov->ring.routes[at].near);
}

void ring_note(struct ov *ov, const struct link *link)
{
    size_t at = ring_find(ov, link->peer);

    if (at == RING_NONE) return;
    ov->ring.routes[at].near = near_code(watch_near(link));
    ov->ring.routes[at].silent = link->probes >= 2;
}

/* ---- by position ---- */

static uint32_t head_of(const xn_id *position)
{
    return (uint32_t)(xn_id_head(position) >> 32);
}

static uint32_t head_at(const struct ov *ov, size_t at)
{
    return xn_peer_head(ov->peers, ring_peer(ov, at));
}

size_t ring_lower(const struct ov *ov, const xn_id *position)
{
    size_t lo = 0, hi = ov->ring.n;
    uint32_t head = head_of(position);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        uint32_t other = head_at(ov, mid);

        if (other == head
                ? xn_id_cmp(&ring_contact(ov, mid)->position, position) < 0
                : other < head)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool ring_apart_within(const struct ov *ov, size_t at, const xn_id *position,
                       uint64_t within)
{
    uint32_t up = head_of(position) - head_at(ov, at);
    uint64_t heads = up < -up ? up : -up;

    if (heads > 1 && (heads - 1) << 32 > within) return false;
    if (heads + 1 < 1U << 31 && (heads + 1) << 32 <= within) return true;
    return table_apart(&ring_contact(ov, at)->position, position) <= within;
}

void ring_within(const struct ov *ov, const struct table_place *place,
                 size_t *first_out, size_t *end_out)
{
    const xn_id *hi = &place->hi;
    size_t end;

    *first_out = ring_lower(ov, &place->lo);
    end = ring_lower(ov, hi);
    while (end < ov->ring.n && xn_id_eq(&ring_contact(ov, end)->position, hi))
        end++;
    *end_out = end;
}

/* Two at one position cannot be by chance; their order is by handle then. */
static size_t ring_place(const struct ov *ov, xn_peer peer)
{
    const xn_id *position = &xn_peer_contact(ov->peers, peer)->position;
    size_t i = ring_lower(ov, position);

    while (i < ov->ring.n && ring_peer(ov, i) < peer &&
           xn_id_eq(&ring_contact(ov, i)->position, position)) {
        i++;
    }
    return i;
}

size_t ring_find(const struct ov *ov, xn_peer peer)
{
    size_t i = ring_place(ov, peer);

    return i < ov->ring.n && ring_peer(ov, i) == peer ? i : RING_NONE;
}

size_t ring_find_id(const struct ov *ov, const xn_id *id)
{
    xn_peer peer;
    size_t i;

    if (ov->ring.n_stood + ov->ring.n_awake == 0) return RING_NONE;
    if (ov->peers->find) {
        peer = ov->peers->find(ov->peers, id);
        return peer == XN_PEER_NONE ? RING_NONE : ring_find(ov, peer);
    }
    for (i = 0; i < ov->ring.n; i++) {
        if (xn_id_eq(&ring_contact(ov, i)->id, id)) return i;
    }
    return RING_NONE;
}

/* ---- coming and going ---- */

/* Room for so many, which is our own. */
static bool make_own(struct ring *ring, size_t n)
{
    uint32_t cap = ring->cap ? ring->cap : 16;
    struct xn_route *routes;

    while (cap < n)
        cap *= 2;
    if (cap == ring->cap) return true;
    routes = realloc(ring->cap ? ring->routes : NULL, cap * sizeof *routes);
    if (!routes) return false;
    if (!ring->cap && ring->n > 0)
        memcpy(routes, ring->routes, ring->n * sizeof *routes);
    ring->routes = routes;
    ring->cap = cap;
    return true;
}

bool ring_add_live(struct ov *ov, struct link *link)
{
    struct ring *ring = &ov->ring;
    size_t at = ring_place(ov, link->peer), more = ring->n - at;
    struct xn_route *route;

    if (!make_own(ring, ring->n + 1)) return false;
    route = ring->routes + at;
    memmove(route + 1, route, more * sizeof *route);
    *route = (struct xn_route){.peer = link->peer & (XN_PEERS_MAX - 1),
                               .near = near_code(watch_near(link))};
    ring->n++;
    ov->self_at = ring_lower(ov, &ov->config.position);
    return true;
}

bool ring_drop_live(struct ov *ov, struct link *link)
{
    struct ring *ring = &ov->ring;
    size_t at = ring_find(ov, link->peer), more;

    if (at == RING_NONE) return true;
    if (!make_own(ring, ring->n)) return false;
    ring->n_awake -= link->stood;
    more = --ring->n - at;
    memmove(ring->routes + at, ring->routes + at + 1,
            more * sizeof *ring->routes);
    ov->self_at = ring_lower(ov, &ov->config.position);
    return true;
}

void ring_stand(struct ov *ov, struct xn_route *routes, const uint32_t *rtts_us,
                size_t n)
{
    struct ring *ring = &ov->ring;
    size_t i;

    ring->routes = routes;
    ring->n = ring->n_stood = (uint32_t)n;
    for (i = 0; i < n; i++) {
        routes[i].silent = 0;
        routes[i].near = near_code(rtts_us[i]);
    }
    ov->self_at = ring_lower(ov, &ov->config.position);
}

struct link *ring_link(struct ov *ov, size_t at)
{
    struct link *link = link_find(ov, ring_peer(ov, at));

    if (link) return link;
    link = link_of_stood(ov, ring_peer(ov, at), ring_near(ov, at));
    if (link) ov->ring.n_stood--;
    return link;
}

void ring_clear(struct ring *ring)
{
    if (ring->cap) free(ring->routes);
}

/* ---- who is near ---- */

/* We stand in this circle too, between ring[self_at - 1] and ring[self_at]. */
static size_t circle_at(const struct ov *ov, size_t i)
{
    if (i == ov->self_at) return RING_SELF;
    return i < ov->self_at ? i : i - 1;
}

static const xn_id *circle_position(const struct ov *ov, size_t i)
{
    size_t at = circle_at(ov, i);

    return at == RING_SELF ? &ov->config.position
                           : &ring_contact(ov, at)->position;
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
static bool walk_circle(struct walk *walk, size_t *at_out)
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
        *at_out = circle_at(walk->ov, walk->up);
        walk->up = (walk->up + 1) % m;
    } else {
        *at_out = circle_at(walk->ov, walk->down);
        walk->down = (walk->down + m - 1) % m;
    }
    return true;
}

/* A guest owns nothing, so it stands nowhere. */
bool walk_next(struct walk *walk, size_t *at_out)
{
    while (walk_circle(walk, at_out)) {
        if (*at_out != RING_SELF || !ov_is_guest(walk->ov)) return true;
    }
    return false;
}

/* Those on the arc from us over the key to as far beyond it. */
size_t walk_rank_of_us(const struct walk *walk)
{
    const struct ov *ov = walk->ov;
    const xn_id *self = &ov->config.position;
    size_t n = ov->ring.n, beyond, from, to;
    xn_id there, back, mirror;

    if (ov_is_guest(ov)) return SIZE_MAX;
    if (n == 0) return 0;
    xn_ring_clockwise(walk->key, self, &there);
    xn_ring_clockwise(self, walk->key, &back);
    xn_ring_clockwise(&there, walk->key, &mirror); /* key - there */
    beyond = ring_lower(ov, &mirror);
    from = xn_id_cmp(&there, &back) <= 0 ? beyond : ov->self_at;
    to = from == beyond ? ov->self_at : beyond;
    if (from % n != to % n) return (to + n - from) % n;
    /* All of them, or nobody. */
    return xn_ring_nearer(walk->key, &ring_contact(ov, from % n)->position,
                          self)
               ? n
               : 0;
}

size_t ov_nearest(const struct ov *ov, const xn_id *key, size_t n,
                  xn_peer *peers_out)
{
    struct walk walk;
    size_t i = 0, at;

    walk_start(&walk, ov, key);
    while (i < n && walk_next(&walk, &at)) {
        peers_out[i++] = at == RING_SELF ? XN_PEER_SELF : ring_peer(ov, at);
    }
    return i;
}

bool ov_holds(const struct ov *ov, const xn_id *key)
{
    struct walk walk;
    uint32_t i;
    size_t at;

    walk_start(&walk, ov, key);
    for (i = 0; i < ov->config.copies && walk_next(&walk, &at); i++) {
        if (at == RING_SELF) return true;
    }
    return false;
}

/* ---- who is beside us ---- */

size_t ring_cw(const struct ov *ov, size_t d)
{
    return (ov->self_at + d - 1) % ov->ring.n;
}

size_t ring_ccw(const struct ov *ov, size_t d)
{
    return (ov->self_at + ov->ring.n - d) % ov->ring.n;
}

bool ring_is_leaf(const struct ov *ov, const xn_id *position)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;

    if (ov_is_guest(ov)) return false;
    if (ov->ring.n < 2 * leaves) return true;
    return xn_ring_between(self, position,
                           &ring_contact(ov, ring_cw(ov, leaves))->position) ||
           xn_ring_between(&ring_contact(ov, ring_ccw(ov, leaves))->position,
                           position, self);
}

size_t ov_beside(const struct ov *ov, size_t most, xn_peer *peers_out)
{
    size_t n = ov->ring.n, cw, ccw, d, i = 0;

    if (ov_is_guest(ov)) return 0;
    if (most > ov->config.leaves) most = ov->config.leaves;
    cw = n < most ? n : most;
    ccw = n - cw < most ? n - cw : most;
    for (d = 1; d <= cw; d++)
        peers_out[i++] = ring_peer(ov, ring_cw(ov, d));
    for (d = 1; d <= ccw; d++)
        peers_out[i++] = ring_peer(ov, ring_ccw(ov, d));
    return i;
}

uint64_t ring_reach(const struct ov *ov)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;
    uint64_t up, down;

    if (ov->ring.n < 2 * leaves) return UINT64_MAX;
    up = table_apart(self, &ring_contact(ov, ring_cw(ov, leaves))->position);
    down = table_apart(self, &ring_contact(ov, ring_ccw(ov, leaves))->position);
    return up < down ? up : down;
}

uint64_t ring_spacing(const struct ov *ov)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;

    if (ov->ring.n < 2 * leaves) return UINT64_MAX / (ov->ring.n + 1);
    return (table_apart(self,
                        &ring_contact(ov, ring_cw(ov, leaves))->position) +
            table_apart(self,
                        &ring_contact(ov, ring_ccw(ov, leaves))->position)) /
           (2 * leaves);
}

uint64_t ring_nodes(const struct ov *ov)
{
    uint64_t spacing = ring_spacing(ov);

    return UINT64_MAX / (spacing ? spacing : 1);
}
