/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The leaf set, and how nodes come to know of each other.
 *
 * A newcomer reads the contacts of its first few peers page by page and dials
 * them all; who came in at the same moment is in the page of whichever asked
 * later.  What still slips through is found by gossip: now and then two nodes
 * compare digests of whom they are linked to, and only where these differ,
 * contacts travel.  Above the link budget nobody knows all: there a node asks
 * its neighbours for its own, naming those that it has, and gets the others:
 * a newcomer each that is nearer than all before, later whoever is at the end
 * where one was lost, and now and then any. */
#include <string.h>

#include "overlay/inside.h"

#define FIRST_PEERS 3U /* whose contacts a newcomer reads */
#define PAGES_MAX 64U  /* read from one peer at one time */
#define ASK_US (SECOND_US / 10)
#define DIGEST_SIZE (8 * BUCKETS)
#define SOME_FEW 16U  /* asked for, where links are few */
#define SOME_LEAST 4U /* of each whose contacts a newcomer reads */
#define GOSSIP_SOON_US (4 * SECOND_US)
#define HAVE_SIZE 4U  /* of an id */
#define DOUBTS_MAX 4U /* SUSPECTs of whom an asker names */
#define MISSED_US                                                              \
    (60 * SECOND_US) /* so long nobody need name one that failed */

struct rows {
    Xn__Contact row[PAGE_MAX];
    Xn__Contact *ptr[PAGE_MAX];
    size_t n;
};

static void rows_add(struct rows *rows, const struct ov *ov, size_t at)
{
    if (rows->n == PAGE_MAX) return;
    if (!contact_at(ov, at, &rows->row[rows->n])) return;
    rows->ptr[rows->n] = &rows->row[rows->n];
    rows->n++;
}

/* ---- asking ---- */

struct have {
    uint8_t bytes[HAVE_MAX * HAVE_SIZE];
    size_t n;
};

static void have_add(struct have *have, const xn_id *id)
{
    if (have->n == HAVE_MAX) return;
    memcpy(have->bytes + HAVE_SIZE * have->n++, id->b, HAVE_SIZE);
}

/* Our neighbours, and those whom we have tried in vain just now.  How many are
 * neighbours. */
static size_t name_ours(const struct ov *ov, const struct xn_now *now,
                        struct have *have)
{
    xn_peer near[2 * OV_LEAVES_MAX];
    size_t n = ov_leaves(ov, near), i;

    for (i = 0; i < n; i++)
        __builtin_prefetch(xn_peer_contact(ov->peers, near[i]));
    for (i = 0; i < n; i++)
        have_add(have, &xn_peer_contact(ov->peers, near[i])->id);
    for (i = 0; i < ov->hints.n; i++) {
        const struct hint *hint = hint_at(&ov->hints, i);

        if (hint->failures && now->mono_us - hint->dialled_us < MISSED_US &&
            ring_is_leaf(ov, &hint->position)) {
            have_add(have, &hint->id);
        }
    }
    return n < HAVE_MAX ? n : HAVE_MAX;
}

/* Clockwise, in 2^-64ths of the ring. */
static uint64_t way(const xn_id *from, const xn_id *to)
{
    return xn_id_head(to) - xn_id_head(from);
}

/* How far our leaf set reaches on each side: who is farther would be none of
 * it. */
static void name_reach(const struct ov *ov, Xn__Peers *peers)
{
    const xn_id *self = &ov->config.position;
    size_t leaves = ov->config.leaves;

    if (ov->ring.n < 2 * leaves) return;
    peers->up = way(self, &ring_contact(ov, ring_cw(ov, leaves))->position);
    peers->down = way(&ring_contact(ov, ring_ccw(ov, leaves))->position, self);
}

/* *next: where the one after the last that was found is.  Both ends go through
 * the same neighbours in the same order. */
static bool is_named(const ProtobufCBinaryData *have, size_t *next,
                     const xn_id *id)
{
    size_t n = have->len / HAVE_SIZE, i;

    for (i = 0; i < n; i++, ++*next) {
        if (*next >= n) *next = 0;
        if (memcmp(have->data + *next * HAVE_SIZE, id->b, HAVE_SIZE)) continue;
        ++*next;
        return true;
    }
    return false;
}

static void want(struct ov *ov, const struct xn_now *now, xn_peer peer,
                 const xn_id *from, struct xn_out *out)
{
    size_t wanted = links_wanted(ov),
           known = ov->ring.n + hints_untried(ov, now);
    Xn__Peers peers = XN__PEERS__INIT;

    peers.want = true;
    peers.from = xn_id_bytes(from);
    peers.some = SOME_LEAST;
    if (wanted > known + SOME_LEAST) peers.some = (uint32_t)(wanted - known);
    if (peers.some > SOME_MAX) peers.some = SOME_MAX;
    ov_send(out, peer, XN__KIND__PEERS, &peers);
}

/* For those beside us that it knows and we do not. */
static void want_near(struct ov *ov, const struct xn_now *now, xn_peer peer,
                      struct xn_out *out)
{
    size_t wanted = links_wanted(ov),
           known = ov->ring.n + hints_untried(ov, now);
    Xn__Peers peers = XN__PEERS__INIT;
    struct have have = {.n = 0};

    peers.linked = (uint32_t)name_ours(ov, now, &have);
    peers.want = true;
    peers.have.data = have.bytes;
    peers.have.len = HAVE_SIZE * have.n;
    name_reach(ov, &peers);
    if (!ov->grown && known < wanted) {
        peers.some =
            wanted - known < SOME_FEW ? (uint32_t)(wanted - known) : SOME_FEW;
    }
    ov_send(out, peer, XN__KIND__PEERS, &peers);
}

/* A guest has no neighbours: it asks for some from all around alone. */
static void want_some(struct ov *ov, struct xn_out *out)
{
    Xn__Peers peers = XN__PEERS__INIT;

    if (ov->grown) return;
    peers.want = true;
    peers.some = SOME_FEW;     /* it has many of them */
    peers.up = peers.down = 1; /* nobody is that near */
    ov_send(out, ov_draw(ov), XN__KIND__PEERS, &peers);
}

void leaves_live(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out)
{
    if (ov->paged < FIRST_PEERS) {
        ov->paged++;
        link->paging = true;
        want(ov, now, link->peer, &ov->config.position, out);
    } else if (!link->incoming && links_crowded(ov, now) && !ov_is_guest(ov) &&
               (ring_peer(ov, ring_cw(ov, 1)) == link->peer ||
                ring_peer(ov, ring_ccw(ov, 1)) == link->peer)) {
        want_near(ov, now, link->peer, out);
    }
}

/* ---- answering ---- */

/* Who is clockwise from `from`, as far as the asker itself. */
static bool add_page(struct rows *rows, const struct ov *ov,
                     const struct link *to, const xn_id *from)
{
    const xn_id *end = &link_contact(ov, to)->position;
    size_t at = ring_lower(ov, from), i;
    xn_id d_end, d;

    xn_ring_clockwise(from, end, &d_end);
    for (i = 0; i < ov->ring.n; i++) {
        size_t here = (at + i) % ov->ring.n;

        if (ring_peer(ov, here) == to->peer) continue;
        xn_ring_clockwise(from, &ring_contact(ov, here)->position, &d);
        /* From its own position the asker wants all the way round. */
        if (!xn_id_is_zero(&d_end) && xn_id_cmp(&d, &d_end) > 0) break;
        if (rows->n == PAGE_MAX) return true;
        rows_add(rows, ov, here);
    }
    return false;
}

/* The ring with us in it: who is at its m-th place. */
static size_t place_at(const struct ov *ov, size_t m)
{
    m %= ov->ring.n + 1;
    return m == ov->self_at ? RING_SELF : m - (m > ov->self_at);
}

/* n of them, from the m-th on; those of us and of the asker apart. */
static void add_side(struct rows *rows, const struct ov *ov,
                     const struct link *to, const Xn__Peers *body,
                     const xn_id *position, bool up, size_t m, size_t n)
{
    uint64_t within = up ? body->up : body->down;
    size_t step = up ? 1 : ov->ring.n, next = 0;

    for (; n > 0; m += step) {
        size_t at = place_at(ov, m), ahead = place_at(ov, m + AHEAD * step);
        const struct xn_contact *contact;

        if (ahead != RING_SELF) __builtin_prefetch(ring_contact(ov, ahead));

        if (at != RING_SELF && ring_peer(ov, at) == to->peer) continue;
        n--;
        if (at == RING_SELF) continue;
        contact = ring_contact(ov, at);
        if (within && (up ? way(position, &contact->position)
                          : way(&contact->position, position)) > within) {
            return;
        }
        if (is_named(&body->have, &next, &contact->id)) continue;
        rows_add(rows, ov, at);
    }
}

/* Of those who would be its leaf set at this position, who are not named.  On
 * each side: where nodes lie closer on one than on the other, the nearest would
 * be of one side only.  Of those named some may be gone, so we look that much
 * farther. */
static void add_near(struct rows *rows, const struct ov *ov,
                     const struct link *to, const xn_id *position,
                     const Xn__Peers *body)
{
    size_t all = ov->ring.n, named = body->have.len / HAVE_SIZE;
    size_t max = ov->config.leaves, m = ring_lower(ov, position), up, down;

    m += xn_id_cmp(&ov->config.position, position) < 0;
    if (named > 2 * max) max += named - 2 * max;
    up = max < all ? max : all;
    down = max < all - up ? max : all - up;
    add_side(rows, ov, to, body, position, true, m, up);
    add_side(rows, ov, to, body, position, false, m + all, down);
}

/* Evenly from all around, from anywhere on. */
static void add_some(struct rows *rows, const struct ov *ov,
                     const struct link *to, size_t some)
{
    size_t i, n = ov->ring.n, from;

    if (some > SOME_MAX) some = SOME_MAX;
    if (some > n) some = n;
    from = some ? xn_rng_below(ov->rng, n) : 0;
    for (i = 0; i < some; i++) {
        size_t at = (from + i * n / some) % n;

        if (ring_peer(ov, at) != to->peer) rows_add(rows, ov, at);
    }
}

/* Of those to whom it is linked, whom we lost and could not reach: their watcher
 * told its own neighbours, and the asker is not among these, or came later. */
static void doubt_links(struct ov *ov, const struct link *link,
                        const Xn__Peers *body, struct xn_out *out)
{
    size_t n = body->have.len / HAVE_SIZE, told = 0, i;

    for (i = 0; i < n && i < body->linked && told < DOUBTS_MAX; i++) {
        const struct hint *hint =
            hint_find_head(ov, body->have.data + i * HAVE_SIZE, HAVE_SIZE);

        if (!hint || !hint->met || hint->failures == 0) continue;
        watch_tell(link->peer, &hint->id, out);
        told++;
    }
}

static void answer_want(struct ov *ov, const struct xn_now *now,
                        struct link *link, const Xn__Peers *body,
                        const xn_id *from, struct xn_out *out)
{
    Xn__Peers peers = XN__PEERS__INIT;
    struct rows leaves = {.n = 0}, sample = {.n = 0};

    add_near(&leaves, ov, link, from ? from : &link_contact(ov, link)->position,
             body);
    doubt_links(ov, link, body, out);
    if (from && !links_crowded(ov, now)) {
        peers.more = add_page(&sample, ov, link, from);
    } else {
        add_some(&sample, ov, link, body->some);
        /* It has all that we know. */
        if (body->have.len && leaves.n + sample.n == 0) return;
    }
    if (from) peers.from = xn_id_bytes(from);
    peers.leaves = leaves.ptr;
    peers.n_leaves = leaves.n;
    peers.sample = sample.ptr;
    peers.n_sample = sample.n;
    ov_send(out, link->peer, XN__KIND__PEERS, &peers);
}

/* ---- digests ---- */

static void toggle(uint8_t data[DIGEST_SIZE], const xn_id *id,
                   const xn_id *position)
{
    uint8_t *bucket = data + 8 * (size_t)(position->b[0] >> 4);
    size_t i;

    for (i = 0; i < 8; i++)
        bucket[i] ^= id->b[i];
}

/* Of all links and ourselves. */
static void write_digest(const struct ov *ov, uint8_t data[DIGEST_SIZE])
{
    size_t i;

    memset(data, 0, DIGEST_SIZE);
    toggle(data, &ov->config.id, &ov->config.position);
    for (i = 0; i < ov->ring.n; i++) {
        const struct xn_contact *contact = ring_contact(ov, i);

        toggle(data, &contact->id, &contact->position);
    }
}

/* All we know in those sixteenths of the ring where the two differ. */
static void add_differing(struct rows *rows, const struct ov *ov,
                          const struct link *to, const uint8_t *ours,
                          const uint8_t *theirs)
{
    size_t n = ov->ring.n, i, at;

    if (n == 0) return;
    /* Where a page cannot hold it all, it is another part each time. */
    at = xn_rng_below(ov->rng, n);
    for (i = 0; i < n; i++) {
        size_t here = (at + i) % n;
        size_t b = ring_contact(ov, here)->position.b[0] >> 4;

        if (ring_peer(ov, here) == to->peer ||
            memcmp(ours + 8 * b, theirs + 8 * b, 8) == 0) {
            continue;
        }
        rows_add(rows, ov, here);
    }
}

/* A digest alone asks for a comparison; with contacts it answers one, and what
 * we have there goes back without. */
static void compare(struct ov *ov, struct link *link, const Xn__Peers *body,
                    struct xn_out *out)
{
    Xn__Peers peers = XN__PEERS__INIT;
    struct rows rows = {.n = 0};
    uint8_t ours[DIGEST_SIZE];
    const uint8_t *theirs = body->digest.data;

    write_digest(ov, ours);
    if (memcmp(ours, theirs, DIGEST_SIZE) == 0) return;
    ov->gossip_us = GOSSIP_MIN_US;
    add_differing(&rows, ov, link, ours, theirs);
    if (body->n_sample == 0) {
        peers.digest.data = ours;
        peers.digest.len = DIGEST_SIZE;
    }
    if (rows.n == 0 && body->n_sample > 0) return;
    peers.sample = rows.ptr;
    peers.n_sample = rows.n;
    ov_send(out, link->peer, XN__KIND__PEERS, &peers);
}

/* ---- PEERS ---- */

/* The next page starts behind the last contact of this one. */
static void read_on(struct ov *ov, const struct xn_now *now, struct link *link,
                    const Xn__Peers *body, struct xn_out *out)
{
    xn_id last;

    if (!link->paging || body->from.len != XN_ID_SIZE) return;
    if (!body->more || body->n_sample == 0 || ++link->pages >= PAGES_MAX ||
        xn_id_from_bytes(&body->sample[body->n_sample - 1]->position, &last)) {
        link->paging = false;
        return;
    }
    want(ov, now, link->peer, &last, out);
}

void leaves_peers(struct ov *ov, const struct xn_now *now, struct link *link,
                  const Xn__Peers *body, struct xn_out *out)
{
    bool has_from = body->from.len > 0, has_digest = body->digest.len > 0;
    xn_id from;

    if ((has_from && xn_id_from_bytes(&body->from, &from)) ||
        (has_digest && body->digest.len != DIGEST_SIZE) ||
        body->have.len > HAVE_MAX * HAVE_SIZE ||
        !hints_take(ov, now, &link_contact(ov, link)->id, body->leaves,
                    body->n_leaves) ||
        !hints_take(ov, now, &link_contact(ov, link)->id, body->sample,
                    body->n_sample)) {
        link_rude(ov, now, link, "malformed PEERS", out);
        return;
    }
    if (body->coordinate) {
        pns_peers(ov, now, link, body, has_from ? &from : NULL, out);
        return;
    }
    if (!body->want) read_on(ov, now, link, body, out);
    if (!body->want && !has_digest) ov->introduced = true;
    if (!body->want && !has_digest) return;
    if (!link_allows(link, now, ALLOW_PEERS)) return;
    if (body->want) {
        answer_want(ov, now, link, body, has_from ? &from : NULL, out);
    } else if (!links_crowded(ov, now)) {
        compare(ov, link, body, out);
    }
}

/* ---- the leaf set ---- */

/* One number for the whole set: its members in their order. */
uint64_t leaves_mark(const struct ov *ov)
{
    xn_peer peers[2 * OV_LEAVES_MAX];
    size_t n = ov_leaves(ov, peers), i;
    uint64_t mark = n;

    for (i = 0; i < n; i++)
        mark = xn_rng_mix(mark, peers[i]);
    return mark;
}

bool leaves_update(struct ov *ov)
{
    uint64_t mark = leaves_mark(ov);

    if (mark == ov->leaves_mark) return false;
    ov->leaves_mark = mark;
    return true;
}

void leaves_lost(struct ov *ov, const xn_id *position)
{
    xn_id up;

    if (!ring_is_leaf(ov, position)) return;
    xn_ring_clockwise(&ov->config.position, position, &up);
    if (up.b[0] < 0x80)
        ov->lost_up = true;
    else
        ov->lost_down = true;
}

/* Who is at the end of our leaf set knows who comes after it. */
static void ask_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    size_t n = ov->ring.n, d = n < ov->config.leaves ? n : ov->config.leaves;

    (void)ctx, (void)rc, (void)msg;
    ov->ask_timer = 0;
    if (n > 0 && ov->lost_up)
        want_near(ov, now, ring_peer(ov, ring_cw(ov, d)), out);
    if (n > 0 && ov->lost_down)
        want_near(ov, now, ring_peer(ov, ring_ccw(ov, d)), out);
    ov->lost_up = ov->lost_down = false;
}

void leaves_ask(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    /* In a full mesh each learns of the newcomer from itself. */
    if (!links_crowded(ov, now) || ov->leaving) return;
    if ((ov->lost_up || ov->lost_down) && !ov->ask_timer) {
        ov->ask_timer = xn_ticket(ov->tickets, now->mono_us + ASK_US, ask_due,
                                  ov, NULL, out);
    }
    /* And ask the others soon: who changed us may be new to them. */
    if (ov->gossip_us > GOSSIP_SOON_US) {
        ov->gossip_us = GOSSIP_SOON_US;
        if (ov->gossip_timer) xn_ticket_forget(ov->tickets, ov->gossip_timer);
        ov->gossip_timer = 0;
    }
}

/* ---- gossip ---- */

static void gossip_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                       struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    Xn__Peers peers = XN__PEERS__INIT;
    uint8_t digest[DIGEST_SIZE];
    xn_peer near[2 * OV_LEAVES_MAX];
    size_t n = ov->ring.n;

    (void)ctx, (void)rc, (void)msg;
    ov->gossip_timer = 0;
    if (n == 0) return;
    if (ov_is_guest(ov)) {
        guest_round(ov);
        want_some(ov, out);
    } else if (links_crowded(ov, now)) {
        size_t n_near = ov_leaves(ov, near);

        want_near(ov, now,
                  n_near ? near[xn_rng_below(ov->rng, n_near)] : ov_draw(ov),
                  out);
    } else {
        write_digest(ov, digest);
        peers.digest.data = digest;
        peers.digest.len = DIGEST_SIZE;
        ov_send(out, ring_peer(ov, xn_rng_below(ov->rng, n)), XN__KIND__PEERS,
                &peers);
    }
    /* Rarer and rarer until somebody differs. */
    ov->gossip_us *= 2;
    if (ov->gossip_us > GOSSIP_MAX_US) ov->gossip_us = GOSSIP_MAX_US;
    leaves_gossip(ov, now, out);
}

void leaves_gossip(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    uint64_t wait_us;

    if (ov->gossip_timer || ov->ring.n == 0 || ov->leaving) return;
    wait_us = ov->gossip_us / 2 + xn_rng_below(ov->rng, ov->gossip_us);
    ov->gossip_timer = xn_ticket(ov->tickets, now->mono_us + wait_us,
                                 gossip_due, ov, NULL, out);
}
