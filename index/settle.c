/* SPDX-License-Identifier: GPL-3.0-or-later */
/* With whom we exchange (sync.c), and when we know what we should know. After
 * a loss we exchange with all neighbours, nearest first, before we call
 * ourselves settled (places.c says what that means); newcomers and, in the
 * background, random neighbours get a session too. Those who join take over
 * some of what we hold and bring nothing that we would have to wait for: they
 * unsettle nobody. Who is new to us alone, as where a partition healed, takes
 * it over too: what was put here meanwhile, in its place. */
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"
#include "lib/log.h"

#define AGAIN_US 300000  /* with one that knows nothing yet */
#define YIELD_US 1000000 /* for one that is to ask us */
#define YOUNG_DOUBLED 4  /* so often, the pause before one is asked again */

static void step(struct xis *xis, const struct xn_now *now, struct xn_out *out);

/* ---- time */

static void step_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis->settle.timer = 0;
    step(xis, now, out);
}

static void set_timer(struct xis *xis, uint64_t due_us, struct xn_out *out)
{
    struct xis_settle *s = &xis->settle;

    if (s->timer && due_us >= s->timer_us) return;
    s->timer_us = due_us;
    if (s->timer && xn_ticket_postpone(xis->tickets, s->timer, due_us)) return;
    s->timer = xn_ticket(xis->tickets, due_us, step_due, xis, NULL, out);
}

/* ---- the end of a session */

static struct xis_neighbour *near_find(struct xis_settle *s, xn_peer peer)
{
    size_t i;

    for (i = 0; i < s->n_near; i++) {
        if (s->near[i].peer == peer) return &s->near[i];
    }
    return NULL;
}

/* Does this neighbour's answer say all that it could? One that is as new as
 * we are has nothing to hand over; but in our first moments those that have
 * may not be linked yet. */
static bool answer_counts(const struct xis *xis, const struct xn_now *now,
                          const struct xis_session *session)
{
    return xis->is_settled || session->their_settled ||
           now->mono_us >= xis->company_us + XIS_YOUNG_US;
}

/* One who always refuses must not keep us from ever settling. */
static bool has_failed(const struct xn_now *now,
                       const struct xis_session *session,
                       const struct xis_neighbour *near, int rc)
{
    uint64_t us = rc == XN_ENOTYET ? XIS_LOADING_US : XIS_PATIENCE_US;

    return !session->learnt && now->mono_us >= near->since_us + us;
}

/* Whoever was there before a loss judges by what it knew; we, new here, can
 * only wait with the others. Not for losses since we came, though: where there
 * is one every few seconds, nobody who is new would ever settle. */
static void wait_with(struct xis *xis, const struct xn_now *now,
                      uint32_t grace_ms)
{
    uint64_t until_us = now->mono_us + 1000 * (uint64_t)grace_ms;

    if (xis->has_settled || !grace_ms) return;
    if (until_us > xis->company_us + xis->config.grace_us) {
        until_us = xis->company_us + xis->config.grace_us;
    }
    if (until_us > xis->deaf_until_us) xis->deaf_until_us = until_us;
}

/* One that was not settled has yet to be told things, by others perhaps who are
 * out of our sight, and is asked for these when it is: more and more seldom,
 * and nobody waits for that. */
static void note_answer(const struct xis *xis, const struct xn_now *now,
                        const struct xis_session *session,
                        struct xis_neighbour *near)
{
    uint64_t again_us = AGAIN_US;

    near->done = near->done || answer_counts(xis, now, session);
    near->young = !session->their_settled;
    near->tries = 0;
    if (near->done && near->young) {
        again_us = XIS_YOUNG_US << near->waits;
        if (near->waits < YOUNG_DOUBLED) near->waits++;
    }
    near->next_us = now->mono_us + again_us;
}

void xis_settle_ended(struct xis *xis, const struct xn_now *now,
                      const struct xis_session *session, int rc,
                      struct xn_out *out)
{
    struct xis_neighbour *near = near_find(&xis->settle, session->peer);

    if (rc == 0) wait_with(xis, now, session->their_grace_ms);
    if (near && rc == 0) {
        if (session->all) note_answer(xis, now, session, near);
    } else if (near) {
        near->done = has_failed(now, session, near, rc);
        near->young = near->young && !near->done;
        near->next_us = now->mono_us + (XIS_RETRY_US << near->tries);
        if (near->tries < 2) near->tries++;
    }
    step(xis, now, out);
}

void xis_settle_agreed(struct xis *xis, const struct xn_now *now, xn_peer peer,
                       uint32_t grace_ms, struct xn_out *out)
{
    struct xis_neighbour *near = near_find(&xis->settle, peer);

    if (!near || near->done) return;
    if (xis->session && xis->session->peer == peer) return;
    wait_with(xis, now, grace_ms);
    near->tries = 0;
    near->done = true;
    near->young = false;
    set_timer(xis, now->mono_us, out);
}

uint32_t xis_grace_ms(const struct xis *xis, const struct xn_now *now)
{
    uint64_t until_us = xis->before_until_us;

    if (xis->deaf_until_us > until_us) until_us = xis->deaf_until_us;
    if (until_us <= now->mono_us) return 0;
    return (uint32_t)((until_us - now->mono_us) / 1000);
}

/* ---- what to do next */

static uint64_t background_gap(struct xis *xis)
{
    uint64_t us = xis->config.sync_us;

    return xn_rng_between(xis->rng, us - us / 4, us + us / 4);
}

static void settle(struct xis *xis, const struct xn_now *now,
                   struct xn_out *out)
{
    xis->is_settled = true;
    xis->has_settled = true;
    xis->alone = xis->settle.n_near == 0;
    xis_view_take(xis, &xis->settled, out);
    xis->settle.background_us = now->mono_us + background_gap(xis);
    xn_out_log(out, XN_LOG_INFO, "index: settled, %u ads, %u neighbours",
               xis->n_live, xis->settle.n_near);
}

/* When may we settle, as far as time is concerned? */
static uint64_t settle_us(const struct xis *xis)
{
    uint64_t us =
        (xis->settle.n_near ? xis->company_us : xis->start_us) + XIS_YOUNG_US;

    if (xis->has_settled || us < xis->deaf_until_us) us = xis->deaf_until_us;
    return us;
}

static bool is_all_done(const struct xis_settle *s)
{
    size_t i;

    for (i = 0; i < s->n_near; i++) {
        if (!s->near[i].done) return false;
    }
    return true;
}

/* The nearest neighbour that is to be asked now, of those not done with, or of
 * the young among the others; *due_out: when the next one is. */
static struct xis_neighbour *next_near(struct xis_settle *s,
                                       const struct xn_now *now, bool done,
                                       uint64_t *due_out)
{
    size_t i;

    for (i = 0; i < s->n_near; i++) {
        if (s->near[i].done != done || (done && !s->near[i].young)) continue;
        if (s->near[i].next_us <= now->mono_us) return &s->near[i];
        if (s->near[i].next_us < *due_out) *due_out = s->near[i].next_us;
    }
    return NULL;
}

/* Whom to exchange with in the background; NULL: nobody now. */
static struct xis_neighbour *random_near(struct xis *xis,
                                         const struct xn_now *now)
{
    struct xis_settle *s = &xis->settle;

    if (!xis->is_settled || s->n_near == 0) return NULL;
    if (now->mono_us < s->background_us) return NULL;
    s->background_us = now->mono_us + background_gap(xis);
    return &s->near[xn_rng_below(xis->rng, s->n_near)];
}

static void step(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    struct xis_settle *s = &xis->settle;
    struct xis_neighbour *near;
    uint64_t due_us = UINT64_MAX;
    bool all_done = is_all_done(s);

    if (!xis->loaded || xis->session) return;
    near = next_near(s, now, false, &due_us);
    if (all_done && !xis->is_settled) {
        uint64_t settle_at_us = settle_us(xis);

        if (now->mono_us >= settle_at_us)
            settle(xis, now, out);
        else if (settle_at_us < due_us)
            due_us = settle_at_us;
    }
    if (!near && all_done) near = random_near(xis, now);
    if (!near && xis->is_settled) near = next_near(s, now, true, &due_us);
    if (near) {
        xis_session_start(xis, now, near->peer, !near->done || near->young,
                          out);
        return;
    }
    if (all_done && xis->is_settled && s->n_near && s->background_us < due_us)
        due_us = s->background_us;
    if (due_us > now->mono_us && due_us != UINT64_MAX) {
        set_timer(xis, due_us, out);
    }
}

/* ---- changes of the leaf set */

struct side {
    xn_id distance;
    xn_peer peer;
};

/* Keeps the nearest few, nearest first. */
static void side_add(struct side *side, size_t *n, const xn_id *distance,
                     xn_peer peer)
{
    size_t i = *n;

    if (i == XIS_SIDE) {
        if (xn_id_cmp(distance, &side[i - 1].distance) >= 0) return;
        i--;
    } else {
        (*n)++;
    }
    for (; i > 0 && xn_id_cmp(distance, &side[i - 1].distance) < 0; i--)
        side[i] = side[i - 1];
    side[i] = (struct side){*distance, peer};
}

static void near_add(struct xis_neighbour *near, size_t *n,
                     struct xis_settle *s, xn_peer peer,
                     const struct xn_now *now)
{
    struct xis_neighbour *known = near_find(s, peer);
    size_t i;

    for (i = 0; i < *n; i++) {
        if (near[i].peer == peer) return;
    }
    near[(*n)++] =
        known ? *known
              : (struct xis_neighbour){.peer = peer, .since_us = now->mono_us};
}

static void find_near(struct xis *xis, const struct xn_now *now)
{
    struct xis_settle *s = &xis->settle;
    const xn_id *self = ov_position(xis->ov);
    struct xis_neighbour near[2 * XIS_SIDE];
    struct side up[XIS_SIDE], down[XIS_SIDE];
    size_t n_up = 0, n_down = 0, n = 0, i, n_peers;
    xn_peer peers[XIS_VIEW_MAX];
    xn_id distance;

    n_peers = ov_beside(xis->ov, XIS_SIDE, peers);
    for (i = 0; i < n_peers; i++) {
        const xn_id *position = &ov_contact(xis->ov, peers[i])->position;

        xn_ring_clockwise(self, position, &distance);
        side_add(up, &n_up, &distance, peers[i]);
        xn_ring_clockwise(position, self, &distance);
        side_add(down, &n_down, &distance, peers[i]);
    }
    for (i = 0; i < XIS_SIDE; i++) {
        if (i < n_up) near_add(near, &n, s, up[i].peer, now);
        if (i < n_down) near_add(near, &n, s, down[i].peer, now);
    }
    memcpy(s->near, near, n * sizeof *near);
    s->n_near = n;
}

/* Clockwise of us, by less than half of the ring? */
static bool is_ahead(const struct xis *xis, xn_peer peer)
{
    xn_id distance;

    xn_ring_clockwise(ov_position(xis->ov),
                      &ov_contact(xis->ov, peer)->position, &distance);
    return distance.b[0] < 0x80;
}

/* Everything again from everybody.  Who is behind us has most likely lost the
 * same node, and asks us. */
static void unsettle(struct xis *xis, const struct xn_now *now)
{
    size_t i;

    xis->is_settled = false;
    for (i = 0; i < xis->settle.n_near; i++) {
        struct xis_neighbour *near = &xis->settle.near[i];
        uint64_t wait_us = is_ahead(xis, near->peer) ? 0 : YIELD_US;

        *near = (struct xis_neighbour){.peer = near->peer,
                                       .next_us = now->mono_us + wait_us,
                                       .since_us = now->mono_us};
    }
}

/* What is to be answered with care, though it may not be ours to hold yet. */
static void note_loss(struct xis *xis, const struct xn_now *now)
{
    if (!xis->has_settled) return;
    if (now->mono_us >= xis->before_until_us) {
        xis_view_set(&xis->before, xis->settled);
    }
    xis->before_until_us = now->mono_us + xis->config.grace_us;
}

/* What one says about itself alone is worth nothing in company. */
static void join_others(struct xis *xis, const struct xn_now *now)
{
    xis->alone = false;
    xis->has_settled = false;
    xis->company_us = now->mono_us;
    unsettle(xis, now);
}

void xis_unsettle(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    if (!xis->loaded) return;
    if (xis->session) xis_session_drop(xis);
    join_others(xis, now);
    set_timer(xis, now->mono_us + 1, out);
}

void xis_settle_changed(struct xis *xis, const struct xn_now *now,
                        struct xn_out *out)
{
    /* Has one that was near us gone from the overlay (not just been pushed out
     * of sight by newcomers)? */
    bool lost = !xis_view_lives(xis, xis->leaves);
    bool lost_near = lost && xis->settle.lost;

    xis->settle.lost = false;
    find_near(xis, now);
    if (xis->settle.n_near && !xis->company_us) xis->company_us = now->mono_us;
    if (xis->alone && xis->settle.n_near) {
        join_others(xis, now);
    } else {
        if (lost) note_loss(xis, now);
        if (lost_near) unsettle(xis, now);
        if (xis->is_settled) xis_view_take(xis, &xis->settled, out);
    }
    xis_view_take(xis, &xis->leaves, out);
    /* Changes come in swarms. */
    set_timer(xis, now->mono_us + 50000 + xn_rng_below(xis->rng, 100000), out);
}

void xis_settle_stand(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t i;

    find_near(xis, now);
    for (i = 0; i < xis->settle.n_near; i++)
        xis->settle.near[i].done = true;
    xis->company_us = now->mono_us;
    xis_view_take(xis, &xis->leaves, out);
    settle(xis, now, out);
    set_timer(xis, xis->settle.background_us, out);
}

void xis_settle_gone(struct xis *xis, const struct xn_now *now, xn_peer peer,
                     struct xn_out *out)
{
    struct xis_settle *s = &xis->settle;
    struct xis_neighbour *near = near_find(s, peer);
    size_t i;

    if (near) {
        i = (size_t)(near - s->near);
        s->lost = true;
        s->n_near--;
        memmove(near, near + 1, (s->n_near - i) * sizeof *near);
    }
    if (!xis->session || xis->session->peer != peer) return;
    xis_session_drop(xis);
    set_timer(xis, now->mono_us + 1, out);
}
