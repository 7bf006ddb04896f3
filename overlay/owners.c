/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who answered for which keys, so that a question for the same owner goes there
 * directly.
 *
 * Who owns two keys owns all between them.  An entry is the id that an answer
 * named and the part of the ring that it was asked for, no wider than an owner's
 * part mostly is.  Where we have a link to it, and its certificate places it
 * nearer to the key than all our other links, the next question goes there
 * first.  If it is the owner no more it sends the question on, which costs a hop,
 * and the entry goes; so it does where it stays silent.  Who is asked again and
 * again, and is not linked to us, is visited: those on the way tell where it is
 * (trace.c).
 *
 * A neighbour is not visited, nor asked over a visit that has lasted since before
 * it was one: two nodes have one link, and that is to be one of the ring.
 *
 * Of an id that came over others the first bytes are told, and it is hearsay: it
 * costs one visit at a time, and a liar is asked nothing that it would not have
 * been asked by its place.  Where we know the order beside the key ourselves, in
 * a full mesh all around, there is nothing to remember. */
#include <stdlib.h>
#include <string.h>

#include "overlay/inside.h"
#include "overlay/queries.h"

#define AGAIN_US (4 * SECOND_US) /* as long as a visit lasts unused */
#define TIMES 4U                 /* so often in a row, then a visit pays */
#define PACE_US (SECOND_US / 4)  /* between two of these */
#define WHERE_US (2 * SECOND_US) /* to find where one is */
#define PAYS 16U                 /* answers, for what opening a link costs */
#define WAIT_US_MAX (256 * SECOND_US)

struct owner {
    xn_id id;
    uint32_t copy;
    uint8_t times;   /* in a row, none AGAIN_US after the one before */
    uint64_t lo, hi; /* heads of keys, clockwise */
    uint64_t said_us;
    uint32_t served;  /* answers over the last visit */
    uint64_t wait_us; /* from that one to the next, if it did not pay; */
    uint64_t next_us; /* then */
};

/* By their first bytes, OV_FROM_SAID of them. */
static bool is_same(const xn_id *a, const xn_id *b)
{
    return xn_id_brief(a) == xn_id_brief(b);
}

static struct owner *owner_at(const struct ov *ov, size_t i)
{
    return ov->owners.v[i];
}

static void drop(struct ov *ov, size_t i)
{
    free(owner_at(ov, i));
    vec_drop(&ov->owners, i);
}

void owners_clear(struct ov *ov)
{
    while (ov->owners.n > 0)
        drop(ov, ov->owners.n - 1);
    free(ov->owners.v);
}

bool owners_check(const struct ov *ov)
{
    return ov->owners.n <= ov->config.cache;
}

void owners_forget(struct ov *ov, const xn_id *id)
{
    size_t i = ov->owners.n;

    while (i-- > 0) {
        if (is_same(&owner_at(ov, i)->id, id)) drop(ov, i);
    }
}

/* ---- where it is ---- */

static void told(void *user, void *ctx, const struct xn_now *now,
                 const struct ov_trace *trace, struct xn_out *out)
{
    struct ov *ov = ctx;
    const struct ov_hop *owner = &trace->hops[trace->owner];

    (void)user;
    ov->sought_us = now->mono_us + PACE_US;
    if (trace->end != XN__TRACE_END__TRACE_OWNER || trace->owner == 0) return;
    if (xn_id_brief(&owner->id) != ov->sought_owner) return;
    if (!address_is_good(owner->address)) return;
    if (ring_is_leaf(ov, &owner->position)) return;
    /* No room: another time. */
    visit_dial(ov, now, &owner->id, owner->address, out);
}

static void ask_where(struct ov *ov, const struct xn_now *now,
                      const struct query *q, const xn_id *id,
                      struct xn_out *out)
{
    ov->sought_us = now->mono_us + WHERE_US;
    ov->sought_owner = xn_id_brief(id);
    ov_trace(ov, now, &q->key, q->copy, &ov->config.id, ov->sought_us, told, ov,
             out);
}

/* ---- learning ---- */

static struct owner *find(const struct ov *ov, const xn_id *id, uint32_t copy)
{
    size_t i;

    for (i = 0; i < ov->owners.n; i++) {
        struct owner *owner = owner_at(ov, i);

        if (owner->copy == copy && is_same(&owner->id, id)) return owner;
    }
    return NULL;
}

/* In place of whoever has not answered for longest.  NULL: no memory. */
static struct owner *add(struct ov *ov, const xn_id *id, const struct query *q)
{
    struct owner *owner;
    size_t i, oldest = 0;

    if (ov->owners.n == ov->config.cache) {
        for (i = 1; i < ov->owners.n; i++) {
            if (owner_at(ov, i)->said_us < owner_at(ov, oldest)->said_us)
                oldest = i;
        }
        drop(ov, oldest);
    }
    owner = calloc(1, sizeof *owner);
    if (!owner) return NULL;
    owner->id = *id;
    owner->copy = q->copy;
    owner->lo = owner->hi = xn_id_head(&q->key);
    if (vec_put(&ov->owners, ov->owners.n, owner)) return owner;
    free(owner);
    return NULL;
}

static bool holds(const struct owner *owner, uint64_t key)
{
    return key - owner->lo <= owner->hi - owner->lo;
}

/* The shorter way, or from the key on anew. */
static void stretch(struct owner *owner, uint64_t key, uint64_t most)
{
    uint64_t up = key - owner->lo, down = owner->hi - key;

    if (holds(owner, key)) return;
    if (up <= down && up <= most)
        owner->hi = key;
    else if (down < up && down <= most)
        owner->lo = key;
    else
        owner->lo = owner->hi = key;
}

/* Those who cannot be visited, and those whose other visitors take ours its place,
 * are tried ever more rarely. */
static bool may_visit(struct ov *ov, const struct xn_now *now,
                      struct owner *owner)
{
    if (owner->times < TIMES || link_need_head(ov, &owner->id)) return false;
    if (now->mono_us < ov->sought_us || now->mono_us < owner->next_us)
        return false;
    owner->wait_us = owner->served >= PAYS ? 0 : 2 * owner->wait_us;
    if (owner->wait_us < AGAIN_US) owner->wait_us = AGAIN_US;
    if (owner->wait_us > WAIT_US_MAX) owner->wait_us = WAIT_US_MAX;
    owner->next_us = now->mono_us + owner->wait_us;
    owner->served = 0;
    return true;
}

void owners_learn(struct ov *ov, const struct xn_now *now,
                  const struct query *q, const struct link *link,
                  const xn_id *from, struct xn_out *out)
{
    const xn_id *brought = &link_contact(ov, link)->id;
    struct owner *owner;

    if (ov->config.cache == 0 || is_same(from, &ov->config.id)) return;
    if (route_is_near(ov, now, q)) return;
    owner = find(ov, brought, q->copy);
    if (owner && !is_same(from, brought) && holds(owner, xn_id_head(&q->key)))
        owners_forget(ov, brought); /* it was sent on */
    owner = find(ov, from, q->copy);
    if (!owner) owner = add(ov, from, q);
    if (!owner) return; /* it goes without */
    stretch(owner, xn_id_head(&q->key), ring_reach(ov) / ov->config.leaves);
    if (owner->said_us + AGAIN_US < now->mono_us) owner->times = 0;
    owner->said_us = now->mono_us;
    if (owner->times < TIMES) owner->times++;
    if (link->visit && is_same(from, brought)) owner->served++;
    if (may_visit(ov, now, owner)) ask_where(ov, now, q, from, out);
}

/* ---- using ---- */

static bool may_serve(const struct ov *ov, const struct link *link)
{
    if (link->state != LINK_LIVE || link->nowhere || link->guest) return false;
    if (link->visit && ring_is_leaf(ov, &link_contact(ov, link)->position))
        return false;
    return link->probes == 0;
}

/* Is it nearer to the key than all links of the ring, but for itself? */
static bool is_nearest(const struct ov *ov, const struct query *q,
                       const struct link *link)
{
    uint64_t apart = table_apart(&q->key, &link_contact(ov, link)->position);
    struct walk walk;
    size_t at;

    walk_start(&walk, ov, &q->key);
    while (walk_next(&walk, &at)) {
        if (at == RING_SELF) return false;
        if (ring_peer(ov, at) == link->peer) return query_may_use(ov, q, at);
        if (!query_may_use(ov, q, at)) continue;
        return apart < table_apart(&q->key, &ring_contact(ov, at)->position);
    }
    return true;
}

struct link *owners_link(struct ov *ov, const struct xn_now *now,
                         const struct query *q)
{
    size_t i;

    if (q->from || q->n_sent > 0 || q->direct || q->witness) return NULL;
    for (i = 0; i < ov->owners.n; i++) {
        const struct owner *owner = owner_at(ov, i);
        struct link *link;

        if (owner->copy != q->copy || !holds(owner, xn_id_head(&q->key)))
            continue;
        link = link_need_head(ov, &owner->id);
        if (!link || !may_serve(ov, link)) continue;
        if (!is_nearest(ov, q, link) || route_is_near(ov, now, q)) return NULL;
        ov->stats.straight++;
        return link;
    }
    return NULL;
}
