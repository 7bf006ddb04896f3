/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is alive.  A link that the driver sees break is gone at once.  A node
 * that falls silent is found by the one before it on the ring, who pings it
 * every few seconds, or by whoever asks it something; other idle links cost
 * nothing.  Nobody is dropped because of what a third node says. */
#include "lib/err.h"
#include "overlay/inside.h"

#define STALL_US (SECOND_US / 2)
#define SERVED_US 5000U            /* for the answer itself, on both sides */
#define SILENT_US (15 * SECOND_US) /* so long one is followed by the next */
#define AGAIN_US (60 * SECOND_US)  /* between SUSPECTs of one that is gone */
#define LATE_MAX 4U                /* SUSPECTs to who is linked later */
#define KEEP_US (50 * SECOND_US)   /* so long a guest lets a link be silent */
#define HEARD_US SECOND_US /* so lately heard, a SUSPECT is not looked into */

/* ---- round trips: RFC 6298 ---- */

static void smooth(struct link *link, uint64_t sample_us)
{
    uint32_t r = sample_us < 60 * SECOND_US ? (uint32_t)sample_us
                                            : (uint32_t)(60 * SECOND_US);
    uint32_t diff;

    if (r == 0) r = 1;
    if (link->rtt_us == 0) {
        link->rtt_us = r;
        link->rtt_var_us = r / 2;
        return;
    }
    diff = link->rtt_us > r ? link->rtt_us - r : r - link->rtt_us;
    link->rtt_var_us = link->rtt_var_us - link->rtt_var_us / 4 + diff / 4;
    link->rtt_us = link->rtt_us - link->rtt_us / 8 + r / 8;
    if (link->rtt_us == 0) link->rtt_us = 1;
}

void watch_rtt(struct ov *ov, struct link *link, uint64_t sample_us)
{
    smooth(link, sample_us);
    ring_note(ov, link);
}

void watch_direct(struct ov *ov, struct link *link, uint64_t sample_us)
{
    if (sample_us < 60 * SECOND_US &&
        (link->opened_us == 0 || sample_us < link->opened_us)) {
        link->opened_us = (uint32_t)sample_us;
    }
    watch_rtt(ov, link, sample_us);
}

uint32_t watch_near(const struct link *link)
{
    return link->rtt_us ? link->rtt_us : link->opened_us;
}

uint64_t watch_rto(const struct link *link)
{
    uint64_t rto_us = RTO_FIRST_US, most_us = 2 * (uint64_t)link->opened_us;

    if (link->rtt_us) {
        rto_us = link->rtt_us + 4 * (uint64_t)link->rtt_var_us;
    }
    if (most_us < RTO_MAX_US) most_us = RTO_MAX_US;
    if (rto_us < RTO_MIN_US) return RTO_MIN_US;
    return rto_us < most_us ? rto_us : most_us;
}

/* Twice the mean deviation is where nineteen of twenty are, if they are normal;
 * of few samples it is no more than a guess, and so it is where no sample but
 * only the opening of the link has told. */
uint32_t watch_late(uint32_t near_us, const struct link *link)
{
    uint32_t least = near_us / 8, most = near_us / 2, more = near_us / 4;

    if (link && link->rtt_us) more = 2 * link->rtt_var_us;
    if (more < least) more = least;
    if (more > most) more = most;
    return near_us + more + SERVED_US;
}

void ov_expect(const struct ov *ov, const struct xn_now *now, const xn_id *key,
               uint32_t copy, struct ov_expect *expect_out)
{
    size_t at = route_copy(ov, now, key, copy);
    const struct link *link;

    *expect_out = (struct ov_expect){0};
    if (at == RING_SELF) {
        *expect_out = (struct ov_expect){.rtt_us = 1, .late_us = SERVED_US};
    } else if (at != RING_NONE && ring_near(ov, at)) {
        link = link_find(ov, ring_peer(ov, at));
        expect_out->rtt_us = link ? watch_near(link) : ring_near(ov, at);
        expect_out->late_us = watch_late(expect_out->rtt_us, link);
    }
}

/* ---- probing ---- */

static void probe_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out);

/* So long we wait for its answer. */
static uint64_t pong_us(const struct link *link)
{
    uint64_t us = watch_rto(link);

    if (!watch_near(link) && us < 2 * (uint64_t)link->trip_us)
        us = 2 * (uint64_t)link->trip_us;
    return us < PROBE_US ? PROBE_US : us;
}

/* Not to be guessed: an answer before the question would be near.  So the
 * generator's output is hashed: who saw some could reckon what comes next. */
static uint32_t draw_nonce(struct ov *ov)
{
    uint64_t drawn = xn_rng_u64(ov->rng);
    uint8_t bytes[8];
    xn_id hash;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(drawn >> 8 * i);
    xn_id_hash(bytes, sizeof bytes, &hash);
    return (uint32_t)xn_id_head(&hash);
}

static void ping(struct ov *ov, const struct xn_now *now, struct link *link,
                 struct xn_out *out)
{
    Xn__Ping body = XN__PING__INIT;

    link->nonce = draw_nonce(ov);
    body.nonce = link->nonce;
    link->ping_us = now->mono_us;
    ov_send(out, link->peer, XN__KIND__PING, &body);
    link_timer(ov, link, now->mono_us + pong_us(link), probe_due, out);
}

void watch_probe(struct ov *ov, const struct xn_now *now, struct link *link,
                 bool hearsay, struct xn_out *out)
{
    if (link->state != LINK_LIVE || link_is_apart(link) || link->probes > 0)
        return;
    link->probes = 1;
    link->hearsay = hearsay;
    ping(ov, now, link, out);
}

/* The next one on the ring, unless heard within so long. */
static void probe_next(struct ov *ov, const struct xn_now *now,
                       uint64_t within_us, struct xn_out *out)
{
    struct link *link = ring_link(ov, ring_cw(ov, 1));

    if (!link || now->mono_us - link->heard_us < within_us) return;
    watch_probe(ov, now, link, false, out);
}

void watch_heard(struct ov *ov, const struct xn_now *now, struct link *link)
{
    link->heard_us = now->mono_us;
    if (link->state != LINK_LIVE || link->probes == 0) return;
    link->probes = 0;
    ring_note(ov, link);
    link_timer_stop(ov, link);
}

void watch_pong(struct ov *ov, const struct xn_now *now, struct link *link,
                uint64_t nonce, struct xn_out *out)
{
    /* The nonce is the last one's: no doubt which PING is answered. */
    if (nonce != link->nonce || link->ping_us == 0) return;
    watch_direct(ov, link, now->mono_us - link->ping_us);
    link->ping_us = 0;
    pns_measured(ov, now, link, out);
}

/* ---- suspicion ---- */

void watch_tell(xn_peer peer, const xn_id *id, struct xn_out *out)
{
    Xn__Suspect body = XN__SUSPECT__INIT;

    body.id = xn_id_bytes(id);
    ov_send(out, peer, XN__KIND__SUSPECT, &body);
}

/* The one before it on the ring watches it; when that is us, everybody who may
 * be linked to it should look (above the budget we know only the neighbours). */
static void spread(struct ov *ov, const struct xn_now *now, const xn_id *id,
                   bool ours, xn_peer before, struct xn_out *out)
{
    size_t i;

    if (!ours) {
        if (before != XN_PEER_NONE) watch_tell(before, id, out);
    } else if (links_crowded(ov, now)) {
        xn_peer peers[2 * OV_LEAVES_MAX];
        size_t n = ov_leaves(ov, peers);

        for (i = 0; i < n; i++)
            watch_tell(peers[i], id, out);
    } else {
        for (i = 0; i < ov->ring.n; i++)
            watch_tell(ring_peer(ov, i), id, out);
    }
}

static xn_peer peer_before(const struct ov *ov, const xn_id *position)
{
    size_t n = ov->ring.n;

    if (n == 0) return XN_PEER_NONE;
    return ring_peer(ov, (ring_lower(ov, position) + n - 1) % n);
}

/* Nobody that we know of stands between us and that place: we watch it. */
static bool is_ours(const struct ov *ov, const xn_id *position)
{
    const xn_id *self = &ov->config.position;
    xn_id d, d_next;

    xn_ring_clockwise(self, position, &d);
    xn_ring_clockwise(self, &ring_contact(ov, ring_cw(ov, 1))->position,
                      &d_next);
    return xn_id_cmp(&d, &d_next) < 0;
}

/* Who fell silent to us while another stood between was that one's to tell of,
 * who is gone too: now it is ours. */
static void spread_lost(struct ov *ov, const struct xn_now *now,
                        struct xn_out *out)
{
    size_t n = ov->hints_pos.n, i, at;

    if (ov->ring.n == 0) return;
    at = hint_pos_lower(ov, &ov->config.position, &ov->config.id);
    for (i = 0; i < n; i++) {
        struct hint *hint = hint_at(&ov->hints_pos, (at + i) % n);

        if (!is_ours(ov, &hint->position)) return;
        if (!hint->met || hint->told_us) continue;
        hint->told_us = now->mono_us;
        spread(ov, now, &hint->id, true, XN_PEER_NONE, out);
    }
}

void watch_live(const struct ov *ov, const struct xn_now *now,
                const struct link *link, struct xn_out *out)
{
    size_t n = ov->hints_pos.n, told = 0, i, at;

    if (n == 0 || !ring_is_leaf(ov, &link_contact(ov, link)->position)) return;
    at = hint_pos_lower(ov, &ov->config.position, &ov->config.id);
    for (i = 0; i < n && told < LATE_MAX; i++) {
        const struct hint *hint = hint_at(&ov->hints_pos, (at + i) % n);

        if (!is_ours(ov, &hint->position)) return;
        if (!hint->told_us || now->mono_us - hint->told_us > AGAIN_US) continue;
        watch_tell(link->peer, &hint->id, out);
        told++;
    }
}

/* Somebody is still linked to one that we lost: so may others be. */
static void spread_again(struct ov *ov, const struct xn_now *now,
                         struct hint *hint, struct xn_out *out)
{
    if (!hint->met || ov->ring.n == 0 || !is_ours(ov, &hint->position)) return;
    if (hint->told_us && now->mono_us - hint->told_us < AGAIN_US) return;
    hint->told_us = now->mono_us;
    spread(ov, now, &hint->id, true, XN_PEER_NONE, out);
}

/* Named to us as a neighbour, and not to be reached: who named it is linked to
 * one that is gone, and if that one's place is ours, nobody watches it.  Names
 * can be invented, so this is told once a second at most. */
void watch_missed(struct ov *ov, const struct xn_now *now,
                  const struct hint *hint, struct xn_out *out)
{
    const xn_id *position = &hint->position;

    if (hint->met || hint->failures > 0 || ov->ring.n == 0) return;
    if (ov_is_guest(ov)) return; /* it has no neighbours */
    if (!links_crowded(ov, now) || !ring_is_leaf(ov, position)) return;
    if (ov->missed_us && now->mono_us - ov->missed_us < SECOND_US) return;
    ov->missed_us = now->mono_us;
    spread(ov, now, &hint->id, is_ours(ov, position), peer_before(ov, position),
           out);
}

/* Nobody looks after idle links.  Where one node fell silent that is all; where
 * many do, the network is parted: the more of late, the more others we look
 * at, until all are looked at. */
static void look_at_others(struct ov *ov, const struct xn_now *now,
                           struct xn_out *out)
{
    size_t n = ov->ring.n, i, from;

    if (ov->silent_more == 0 || now->mono_us - ov->silent_us > SILENT_US) {
        ov->silent_more = 1;
    }
    ov->silent_us = now->mono_us;
    from = n ? xn_rng_below(ov->rng, n) : 0;
    for (i = 0; i < n && i < ov->silent_more; i++) {
        struct link *link = ring_link(ov, (from + i) % n);

        if (link && now->mono_us - link->heard_us > WATCH_US) {
            watch_probe(ov, now, link, true, out);
        }
    }
    if (ov->silent_more < n) ov->silent_more *= 2;
}

static void drop_silent(struct ov *ov, const struct xn_now *now,
                        struct link *link, struct xn_out *out)
{
    const struct xn_contact *contact = link_contact(ov, link);
    struct hint *hint;
    bool ours = ring_peer(ov, ring_cw(ov, 1)) == link->peer;
    bool hearsay = link->hearsay;

    ov->stats.suspected++;
    link_hang(ov, now, link, XN_ETIMEOUT, "silent", out);
    if (ours || !hearsay) {
        spread(ov, now, &contact->id, ours, peer_before(ov, &contact->position),
               out);
    }
    hint = hint_find(ov, &contact->id);
    if (ours && hint) hint->told_us = now->mono_us;
    if (ours) spread_lost(ov, now, out);
    look_at_others(ov, now, out);
    /* Neighbours often fall together: look at the next one now. */
    if (ours && ov->ring.n > 0) probe_next(ov, now, 0, out);
}

static void probe_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;
    struct link *link = ctx;

    (void)rc, (void)msg;
    ov_enter(ov);
    link->timer = 0;
    if (now->mono_us > link->ping_us + pong_us(link) + STALL_US) {
        /* We ourselves stood still: its answer may wait to be read. */
        ping(ov, now, link, out);
    } else if (link->probes < PROBES_MAX) {
        link->probes++;
        ring_note(ov, link);
        ping(ov, now, link, out);
    } else {
        drop_silent(ov, now, link, out);
    }
    ov_exit(ov, now, out);
}

void watch_suspect(struct ov *ov, const struct xn_now *now, struct link *link,
                   const Xn__Suspect *body, struct xn_out *out)
{
    struct link *about;
    struct hint *hint;
    xn_id id;

    if (xn_id_from_bytes(&body->id, &id)) {
        link_rude(ov, now, link, "malformed SUSPECT", out);
        return;
    }
    if (!link_allows(link, now, ALLOW_PROBE)) return;
    about = link_need_id(ov, &id);
    hint = about ? NULL : hint_find(ov, &id);
    if (hint) spread_again(ov, now, hint, out);
    if (!about || about == link || now->mono_us - about->heard_us < HEARD_US) {
        return;
    }
    watch_probe(ov, now, about, true, out);
}

/* ---- the neighbour ---- */

/* A guest's NAT forgets a link over which nothing goes, and tells nobody. */
static void keep_open(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t i;

    for (i = ov->ring.n; i > 0; i--) {
        struct link *link = ring_link(ov, i - 1);

        if (link && now->mono_us - link->heard_us >= KEEP_US)
            watch_probe(ov, now, link, true, out);
    }
}

static void watch_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct ov *ov = owner;

    (void)ctx, (void)rc, (void)msg;
    ov_enter(ov);
    life_count(ov, now);
    ov->watch_timer = 0;
    ov->watch_us = 0;
    if (ov->ring.n > 0) probe_next(ov, now, life_watch_us(ov) / 2, out);
    if (ov_is_guest(ov)) keep_open(ov, now, out);
    watch_start(ov, now, out);
    ov_exit(ov, now, out);
}

void watch_start(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    uint64_t wait_us = life_watch_us(ov);

    if (ov->watch_timer || ov->ring.n == 0) return;
    wait_us += xn_rng_below(ov->rng, 2 * wait_us / 5) - wait_us / 5;
    ov->watch_us = now->mono_us + wait_us;
    ov->watch_timer =
        xn_ticket(ov->tickets, ov->watch_us, watch_due, ov, NULL, out);
}
