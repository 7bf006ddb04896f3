/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links in full, in sorted arrays.  Some hundreds of pointers: a memmove on a
 * join is cheaper than any tree, and their order is the same in every run. */
#include <stdlib.h>
#include <string.h>

#include "overlay/inside.h"

bool vec_put(struct vec *vec, size_t at, void *item)
{
    if (vec->n == vec->cap) {
        uint32_t cap = vec->cap ? 2 * vec->cap : 4;
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

        if (ov->handles[mid] < peer)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct link *link_find(const struct ov *ov, xn_peer peer)
{
    size_t i = peer_lower(ov, peer);

    if (i == ov->by_peer.n || ov->handles[i] != peer) return NULL;
    return link_at(&ov->by_peer, i);
}

struct link *link_find_live(const struct ov *ov, xn_peer peer)
{
    struct link *link = link_find(ov, peer);

    return link && link->state == LINK_LIVE ? link : NULL;
}

struct link *link_need(struct ov *ov, xn_peer peer)
{
    struct link *link = link_find(ov, peer);
    size_t at = link || ov->ring.n_stood == 0 ? RING_NONE : ring_find(ov, peer);

    return at == RING_NONE ? link : ring_link(ov, at);
}

bool ring_add_peer(struct ov *ov, struct link *link)
{
    size_t at = peer_lower(ov, link->peer), n = ov->by_peer.n;
    xn_peer *handles = ov->handles;

    if (!vec_put(&ov->by_peer, at, link)) return false;
    handles = realloc(handles, ov->by_peer.cap * sizeof *handles);
    if (!handles) {
        vec_drop(&ov->by_peer, at);
        return false;
    }
    memmove(handles + at + 1, handles + at, (n - at) * sizeof *handles);
    handles[at] = link->peer;
    ov->handles = handles;
    return true;
}

void ring_drop_peer(struct ov *ov, struct link *link)
{
    size_t at = peer_lower(ov, link->peer);
    xn_peer *here = ov->handles + at;

    vec_drop(&ov->by_peer, at);
    memmove(here, here + 1, (ov->by_peer.n - at) * sizeof *here);
}

/* ---- by id ---- */

static size_t id_lower(const struct ov *ov, const xn_id *id)
{
    size_t lo = 0, hi = ov->by_id.n;
    uint64_t head = xn_id_head(id);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct link *link = link_at(&ov->by_id, mid);

        if (link->head == head ? xn_id_cmp(&link_contact(ov, link)->id, id) < 0
                               : link->head < head)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* NULL: there is none, or it stood. */
static struct link *find_named(const struct ov *ov, const xn_id *id)
{
    size_t i = id_lower(ov, id);
    struct link *link = i < ov->by_id.n ? link_at(&ov->by_id, i) : NULL;

    return link && xn_id_eq(&link_contact(ov, link)->id, id) ? link : NULL;
}

struct link *link_find_id(const struct ov *ov, const xn_id *id)
{
    struct link *link = find_named(ov, id);
    size_t at = link ? RING_NONE : ring_find_id(ov, id);

    return at == RING_NONE ? link : link_find(ov, ring_peer(ov, at));
}

bool link_has_id(const struct ov *ov, const xn_id *id)
{
    return find_named(ov, id) || ring_find_id(ov, id) != RING_NONE;
}

struct link *link_need_id(struct ov *ov, const xn_id *id)
{
    struct link *link = find_named(ov, id);
    size_t at = link ? RING_NONE : ring_find_id(ov, id);

    return at == RING_NONE ? link : ring_link(ov, at);
}

struct link *link_need_head(struct ov *ov, const xn_id *id)
{
    xn_id least = {{0}};
    size_t i;

    memcpy(least.b, id->b, OV_FROM_SAID);
    i = id_lower(ov, &least);
    if (i < ov->by_id.n) {
        struct link *link = link_at(&ov->by_id, i);

        if (xn_id_brief(&link_contact(ov, link)->id) == xn_id_brief(id))
            return link;
    }
    if (ov->ring.n_stood + ov->ring.n_awake == 0) return NULL;
    for (i = 0; i < ov->ring.n; i++) {
        if (xn_id_brief(&ring_contact(ov, i)->id) == xn_id_brief(id))
            return ring_link(ov, i);
    }
    return NULL;
}

bool ring_add_id(struct ov *ov, struct link *link)
{
    return vec_put(&ov->by_id, id_lower(ov, &link_contact(ov, link)->id), link);
}

void ring_drop_id(struct ov *ov, struct link *link)
{
    if (link->stood) return;
    vec_drop(&ov->by_id, id_lower(ov, &link_contact(ov, link)->id));
}

/* ---- back to rest ---- */

/* It does nothing, and its row tells all of it that will be asked. */
static bool may_rest(const struct link *link)
{
    return link->stood && link->state == LINK_LIVE && !link->sent &&
           !link->held && !link->timer && !link->paging &&
           link->features == FEATURES && link->revoked == 0 &&
           link->coordinate.error <= 0;
}

/* Heard of longest ago; NULL: all are in use. */
static struct link *to_rest(const struct ov *ov)
{
    struct link *best = NULL;
    size_t i;

    for (i = 0; i < ov->by_peer.n; i++) {
        struct link *link = link_at(&ov->by_peer, i);

        if (best && link->heard_us >= best->heard_us) continue;
        if (may_rest(link)) best = link;
    }
    return best;
}

/* A large simulation's memory would grow with what was ever used.  Where those
 * in full are all busy, as many steps go by until they are looked at again. */
void links_rest(struct ov *ov)
{
    struct link *link;

    if (ov->ring.n_awake <= AWAKE_MAX) return;
    if (ov->ring.rest_wait > 0) {
        ov->ring.rest_wait--;
        return;
    }
    while (ov->ring.n_awake > AWAKE_MAX && (link = to_rest(ov)) != NULL) {
        ring_drop_peer(ov, link);
        link_free(link);
        ov->ring.n_awake--;
        ov->ring.n_stood++;
    }
    if (ov->ring.n_awake > AWAKE_MAX) ov->ring.rest_wait = ov->by_peer.n;
}
