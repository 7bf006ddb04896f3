/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that asks. A session with one neighbour at a time: compare digests
 * token by token (SYNC); where they differ, go through the servers in order,
 * a range at a time (OFFER): the answer brings what we lack, and what it names
 * in return we put there. All state is ours, and one question is under way, so
 * that a slow node hands over as fast as it can and no faster.
 *
 * After a loss we exchange with all neighbours, nearest first, before we call
 * ourselves settled (places.c says what that means); newcomers and, in the
 * background, random neighbours get a session too. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"
#include "lib/log.h"

#define SESSION_US_MAX (600 * XIS_SECOND_US)
#define SCAN_MAX 20000 /* ads looked at for one OFFER */
#define TRIES_MAX 3    /* then a neighbour is no longer waited for */

static void sync_step(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out);
static void send_sync(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out);
static void send_offer(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out);

/* ---- time */

static void sync_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis->sync.timer = 0;
    sync_step(xis, now, out);
}

static void set_timer(struct xis *xis, uint64_t due_us, struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;

    if (s->timer && due_us >= s->timer_us) return;
    s->timer_us = due_us;
    if (s->timer && xn_ticket_postpone(xis->tickets, s->timer, due_us)) return;
    s->timer = xn_ticket(xis->tickets, due_us, sync_due, xis, NULL, out);
}

/* ---- a session's end */

static void clear_session(struct xis_sync *s)
{
    size_t i;

    for (i = 0; i < s->n_diff; i++)
        free(s->diff[i]);
    s->n_diff = 0;
    free(s->part);
    s->part = NULL;
    s->stage = XIS_IDLE;
}

void xis_sync_clear(struct xis *xis)
{
    clear_session(&xis->sync);
    free(xis->sync.diff);
    xis->sync.diff = NULL;
}

static struct xis_neighbour *near_find(struct xis_sync *s, xn_peer peer)
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
static bool answer_counts(const struct xis *xis, const struct xn_now *now)
{
    const struct xis_sync *s = &xis->sync;

    if (s->their_settled) return true;
    if (s->their_fresh && now->mono_us >= xis->company_us + XIS_YOUNG_US) {
        return true;
    }
    return now->mono_us >= xis->changed_us + xis->config.grace_us;
}

static void end_session(struct xis *xis, const struct xn_now *now, int rc,
                        struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;
    struct xis_neighbour *near = near_find(s, s->peer);
    uint64_t grace_us = s->their_grace_ms * 1000ULL;

    s->session++;
    clear_session(s);
    /* Whoever was there before the loss judges by what it knew; we, new here,
     * can only wait with the others. */
    if (rc == 0 && !xis->has_settled) {
        if (grace_us > xis->config.grace_us) grace_us = xis->config.grace_us;
        if (now->mono_us + grace_us > xis->deaf_until_us) {
            xis->deaf_until_us = now->mono_us + grace_us;
        }
    }
    if (near && rc == 0) {
        near->tries = 0;
        if (answer_counts(xis, now)) near->done = true;
        near->next_us = now->mono_us + XIS_RETRY_US;
    } else if (near) {
        if (near->tries < 5) near->tries++;
        near->next_us = now->mono_us + (XIS_RETRY_US << (near->tries - 1));
        if (near->tries >= TRIES_MAX &&
            now->mono_us >= xis->changed_us + xis->config.grace_us) {
            near->done = true;
        }
    }
    sync_step(xis, now, out);
}

/* ---- OFFER */

/* All that this range asked for has come and gone. */
static void range_step(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;

    if (--s->pending) return;
    if (s->cut && !s->progress) {
        end_session(xis, now, XN_EPROTO, out);
    } else if (!s->cut && !s->has_to) {
        end_session(xis, now, 0, out);
    } else if (now->mono_us >= s->until_us) {
        end_session(xis, now, XN_ETIMEOUT, out);
    } else {
        s->from = s->to; /* where the answer ended, if before */
        s->has_from = true;
        send_offer(xis, now, out);
    }
}

static void ads_taken(struct xis *xis, uint64_t number,
                      const struct xn_now *now,
                      const struct xis_result *results, size_t n,
                      struct xn_out *out)
{
    size_t i;

    if (number != xis->sync.session) return;
    for (i = 0; i < n; i++) {
        if (results[i].rc == 0 && results[i].stored) xis->sync.progress = true;
    }
    range_step(xis, now, out);
}

static void wanted_put(struct xis_ask *ask, const struct xn_now *now,
                       const struct ov_reply *reply, struct xn_out *out)
{
    (void)reply; /* a background session will see what is left */
    if (ask->session != ask->xis->sync.session) return;
    range_step(ask->xis, now, out);
}

static int send_wanted(struct xis *xis, const struct xn_now *now,
                       Xn__SignedAd **list, size_t n, struct xn_out *out)
{
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__Put put = XN__PUT__INIT;

    if (!ask) return XN_ENOMEM;
    ask->fn = wanted_put;
    ask->session = xis->sync.session;
    put.ads = list;
    put.n_ads = n;
    put.epoch = 1;
    xis->sync.pending++;
    ov_ask_peer(xis->ov, now, xis->sync.peer, XN__KIND__PUT, &put,
                now->mono_us + 6 * XIS_ASK_US, xis_replied, ask, out);
    return 0;
}

/* What the neighbour wants, in PUTs of at most 64. */
static int give_wanted(struct xis *xis, const struct xn_now *now,
                       const Xn__Want *want, struct xn_out *out)
{
    Xn__SignedAd rows[XIS_PUT_ADS_MAX], *list[XIS_PUT_ADS_MAX];
    size_t n = 0, bytes = 0, i;
    int rc = 0;

    for (i = 0; rc == 0 && i < want->n_servers && i < XIS_OFFER_MAX; i++) {
        const struct xis_ad *ad;
        size_t size;
        xn_id id;

        if (xn_id_from_bytes(&want->servers[i], &id)) return XN_EPROTO;
        ad = xis_ad_find(xis, &id);
        if (!ad || !xis_ad_live(ad, now)) continue;
        size = ad->envelope->len + ad->lease->len;
        if (n == XIS_PUT_ADS_MAX || bytes + size > XIS_PUT_BYTES_MAX) {
            rc = send_wanted(xis, now, list, n, out);
            n = bytes = 0;
        }
        xn__signed_ad__init(&rows[n]);
        rows[n].envelope = xis_blob_bytes(ad->envelope);
        rows[n].lease = xis_blob_bytes(ad->lease);
        list[n] = &rows[n];
        n++;
        bytes += size;
    }
    if (rc == 0 && n) rc = send_wanted(xis, now, list, n, out);
    return rc;
}

/* Where the answer ended early: between the range's ends. */
static int take_next(struct xis_sync *s, const Xn__Want *want)
{
    xn_id next;

    s->cut = want->next.len > 0;
    if (!s->cut) return 0;
    if (xn_id_from_bytes(&want->next, &next)) return XN_EPROTO;
    if (s->has_from && xn_id_cmp(&next, &s->from) <= 0) return XN_EPROTO;
    if (s->has_to && xn_id_cmp(&next, &s->to) > 0) return XN_EPROTO;
    s->to = next;
    return 0;
}

static void offer_replied(struct xis_ask *ask, const struct xn_now *now,
                          const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_sync *s = &xis->sync;
    const Xn__Want *want;
    int rc = reply->rc;

    if (ask->session != s->session) return;
    if (rc == 0 && reply->msg->kind != XN__KIND__WANT) rc = XN_EPROTO;
    want = rc ? NULL : XN_BODY(reply->msg, Xn__Want);
    if (rc == 0) rc = take_next(s, want);
    s->pending = 1; /* this function */
    s->progress = false;
    if (rc == 0) rc = give_wanted(xis, now, want, out);
    if (rc == 0 && want->n_ads) {
        s->pending++;
        rc = xis_batch_start(xis, now, s->peer, want->ads, want->n_ads,
                             ads_taken, s->session, out);
    }
    if (rc)
        end_session(xis, now, rc, out);
    else
        range_step(xis, now, out);
}

static bool differs(const struct xis_ad *ad, uint64_t session)
{
    uint32_t i;

    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i]->session == session) return true;
    }
    return false;
}

/* Our ads in the range, and where it ends. */
static void fill_items(struct xis *xis, const struct xn_now *now,
                       Xn__OfferItem *rows, Xn__Offer *offer)
{
    struct xis_sync *s = &xis->sync;
    struct xis_place_in_order at =
        xis_order_after(&xis->ads, s->has_from ? &s->from : NULL);
    const struct xis_ad *ad;
    size_t seen = 0;

    s->has_to = false;
    while ((ad = xis_order_next(&xis->ads, &at)) != NULL) {
        Xn__OfferItem *row = &rows[offer->n_items];

        if (offer->n_items == XIS_OFFER_MAX || seen++ == SCAN_MAX) {
            s->has_to = true;
            break;
        }
        s->to = ad->server;
        if (!xis_ad_live(ad, now) || !differs(ad, s->session)) continue;
        xn__offer_item__init(row);
        row->server = xn_id_bytes(&ad->server);
        row->version = ad->version;
        row->until_us = ad->lease_us;
        row->place = xis_ad_has_peer(xis, ad, s->peer);
        offer->items[offer->n_items++] = row;
    }
}

static void send_offer(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;
    Xn__Offer offer = XN__OFFER__INIT;
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__OfferItem *rows = malloc(XIS_OFFER_MAX * sizeof *rows);
    Xn__OfferItem **items = malloc(XIS_OFFER_MAX * sizeof *items);

    if (!ask || !rows || !items) {
        if (ask) xis_ask_free(ask);
        end_session(xis, now, XN_ENOMEM, out);
        goto out;
    }
    offer.items = items;
    fill_items(xis, now, rows, &offer);
    offer.tokens = s->diff;
    offer.n_tokens = s->n_diff;
    if (s->has_from) offer.from = xn_id_bytes(&s->from);
    if (s->has_to) offer.to = xn_id_bytes(&s->to);
    ask->fn = offer_replied;
    ask->session = s->session;
    ov_ask_peer(xis->ov, now, s->peer, XN__KIND__OFFER, &offer,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
out:
    free(rows);
    free(items);
}

/* ---- SYNC */

static bool concerns(struct xis *xis, struct xis_token *token, xn_peer peer)
{
    bool us = xis_token_held(xis, token);
    bool them = xis_token_has_peer(xis, token, peer);

    /* Once settled, only what both should have can be wrong. */
    return xis->is_settled ? us && them : us || them;
}

static int add_diff(struct xis *xis, const char *name)
{
    struct xis_sync *s = &xis->sync;
    struct xis_token *token;

    if (!xn_token_valid(name, strlen(name))) return XN_EPROTO;
    if (s->n_diff >= XIS_DIFF_TOKENS_MAX) return 0; /* the next session */
    token = xis_token_find(xis, name);
    if (token ? !concerns(xis, token, s->peer) : !xis_name_held(xis, name)) {
        return 0;
    }
    if (s->n_diff == s->cap_diff) {
        size_t cap = s->cap_diff ? 2 * s->cap_diff : 64;
        char **v = realloc(s->diff, cap * sizeof *v);

        if (!v) return XN_ENOMEM;
        s->diff = v;
        s->cap_diff = cap;
    }
    s->diff[s->n_diff] = strdup(name);
    if (!s->diff[s->n_diff]) return XN_ENOMEM;
    s->n_diff++;
    if (token) token->session = s->session;
    return 0;
}

static void sync_replied(struct xis_ask *ask, const struct xn_now *now,
                         const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_sync *s = &xis->sync;
    const Xn__SyncDiff *diff;
    size_t i;
    int rc = reply->rc;

    if (ask->session != s->session) return;
    if (rc == 0 && reply->msg->kind != XN__KIND__SYNC_DIFF) rc = XN_EPROTO;
    diff = rc ? NULL : XN_BODY(reply->msg, Xn__SyncDiff);
    for (i = 0; rc == 0 && i < diff->n_tokens; i++)
        rc = add_diff(xis, diff->tokens[i]);
    if (rc) {
        end_session(xis, now, rc, out);
        return;
    }
    s->their_settled = diff->settled;
    s->their_fresh = diff->fresh;
    s->their_grace_ms = diff->grace_ms;
    if (!s->last) {
        send_sync(xis, now, out);
    } else if (s->n_diff == 0) {
        end_session(xis, now, 0, out);
    } else {
        s->stage = XIS_OFFERS;
        s->has_from = false;
        send_offer(xis, now, out);
    }
}

/* Digests of the next so many tokens; s->part moves on to the last. */
static int fill_digests(struct xis *xis, Xn__TokenDigest *rows, Xn__Sync *sync)
{
    struct xis_sync *s = &xis->sync;
    size_t at = s->part ? xis_token_after(xis, s->part) : 0;
    const char *end = NULL;

    for (; at < xis->tokens.n; at++) {
        struct xis_token *token = xis->tokens.v[at];
        Xn__TokenDigest *row = &rows[sync->n_tokens];

        if (token->ads == 0 || !concerns(xis, token, s->peer)) continue;
        if (sync->n_tokens == XIS_SYNC_TOKENS_MAX) {
            end = rows[sync->n_tokens - 1].token;
            break;
        }
        xn__token_digest__init(row);
        row->token = token->name;
        row->ads = token->ads;
        row->digest.data = token->digest;
        row->digest.len = sizeof token->digest;
        sync->tokens[sync->n_tokens++] = row;
    }
    s->last = !end;
    free(s->part);
    s->part = end ? strdup(end) : NULL;
    return end && !s->part ? XN_ENOMEM : 0;
}

static void send_sync(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;
    Xn__Sync sync = XN__SYNC__INIT;
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__TokenDigest *rows = malloc(XIS_SYNC_TOKENS_MAX * sizeof *rows);
    Xn__TokenDigest **list = malloc(XIS_SYNC_TOKENS_MAX * sizeof *list);
    char *from = s->part ? strdup(s->part) : NULL;

    sync.tokens = list;
    if (!ask || !rows || !list || (s->part && !from) ||
        fill_digests(xis, rows, &sync)) {
        if (ask) xis_ask_free(ask);
        end_session(xis, now, XN_ENOMEM, out);
        goto out;
    }
    if (from) sync.from = from;
    if (s->part) sync.to = s->part;
    sync.last = s->last;
    ask->fn = sync_replied;
    ask->session = s->session;
    ov_ask_peer(xis->ov, now, s->peer, XN__KIND__SYNC, &sync,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
out:
    free(from);
    free(rows);
    free(list);
}

static void start_session(struct xis *xis, const struct xn_now *now,
                          xn_peer peer, struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;

    s->session++;
    s->stage = XIS_DIGESTS;
    s->peer = peer;
    s->until_us = now->mono_us + SESSION_US_MAX;
    s->their_settled = s->their_fresh = false;
    s->their_grace_ms = 0;
    send_sync(xis, now, out);
}

/* ---- settling */

static void settle(struct xis *xis, struct xn_out *out)
{
    xis->is_settled = true;
    xis->alone = xis->sync.n_near == 0 && !xis->has_settled;
    if (!xis->alone) xis->has_settled = true;
    xis_view_now(xis, &xis->settled);
    xn_out_log(out, XN_LOG_INFO, "index: settled, %zu ads, %zu neighbours",
               xis->n_live, xis->sync.n_near);
}

/* When may we settle, as far as time is concerned? */
static uint64_t settle_us(const struct xis *xis)
{
    uint64_t us = xis->deaf_until_us;

    if (xis->has_settled) return us;
    if (!xis->company_us) return xis->start_us + XIS_YOUNG_US;
    if (us < xis->company_us + XIS_YOUNG_US) {
        us = xis->company_us + XIS_YOUNG_US;
    }
    return us;
}

/* The nearest neighbour that is still to be asked now; *due_out: when the
 * next one is. */
static struct xis_neighbour *next_near(struct xis_sync *s,
                                       const struct xn_now *now,
                                       bool *all_done_out, uint64_t *due_out)
{
    size_t i;

    *all_done_out = true;
    for (i = 0; i < s->n_near; i++) {
        if (s->near[i].done) continue;
        *all_done_out = false;
        if (s->near[i].next_us <= now->mono_us) return &s->near[i];
        if (s->near[i].next_us < *due_out) *due_out = s->near[i].next_us;
    }
    return NULL;
}

static uint64_t background_gap(struct xis *xis)
{
    uint64_t us = xis->config.sync_us;

    return xn_rng_between(xis->rng, us - us / 4, us + us / 4);
}

static void sync_step(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;
    struct xis_neighbour *near;
    uint64_t due_us = UINT64_MAX;
    bool all_done;

    if (!xis->loaded || s->stage != XIS_IDLE) return;
    near = next_near(s, now, &all_done, &due_us);
    if (near) {
        start_session(xis, now, near->peer, out);
        return;
    }
    if (all_done && !xis->is_settled) {
        if (now->mono_us >= settle_us(xis))
            settle(xis, out);
        else
            due_us = settle_us(xis);
    }
    if (all_done && xis->is_settled && s->n_near) {
        if (now->mono_us >= s->background_us) {
            s->background_us = now->mono_us + background_gap(xis);
            start_session(xis, now,
                          s->near[xn_rng_below(xis->rng, s->n_near)].peer, out);
            return;
        }
        due_us = s->background_us;
    }
    if (due_us != UINT64_MAX) set_timer(xis, due_us, out);
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

static void near_add(struct xis_neighbour *near, size_t *n, struct xis_sync *s,
                     xn_peer peer)
{
    struct xis_neighbour *known = near_find(s, peer);
    size_t i;

    for (i = 0; i < *n; i++) {
        if (near[i].peer == peer) return;
    }
    near[(*n)++] = known ? *known : (struct xis_neighbour){.peer = peer};
}

static void find_near(struct xis *xis)
{
    struct xis_sync *s = &xis->sync;
    const xn_id *self = ov_position(xis->ov);
    struct xis_neighbour near[2 * XIS_SIDE];
    struct side up[XIS_SIDE], down[XIS_SIDE];
    size_t n_up = 0, n_down = 0, n = 0, i, n_peers;
    xn_peer peers[XIS_VIEW_MAX];
    xn_id distance;

    n_peers = ov_leaves(xis->ov, peers);
    for (i = 0; i < n_peers; i++) {
        const xn_id *position = &ov_contact(xis->ov, peers[i])->position;

        xn_ring_clockwise(self, position, &distance);
        side_add(up, &n_up, &distance, peers[i]);
        xn_ring_clockwise(position, self, &distance);
        side_add(down, &n_down, &distance, peers[i]);
    }
    for (i = 0; i < XIS_SIDE; i++) {
        if (i < n_up) near_add(near, &n, s, up[i].peer);
        if (i < n_down) near_add(near, &n, s, down[i].peer);
    }
    memcpy(s->near, near, n * sizeof *near);
    s->n_near = n;
}

/* Has one that was near us gone from the overlay (not just been pushed out of
 * sight by newcomers)? */
static bool anybody_lost(const struct xis *xis)
{
    size_t i;
    xn_peer peer;

    for (i = 0; i < xis->leaves.n; i++) {
        const xn_id *position = &xis->leaves.positions[i];

        if (ov_nearest(xis->ov, position, 1, &peer) != 1) return true;
        if (peer == XN_PEER_SELF) return true;
        if (!xn_id_eq(&ov_contact(xis->ov, peer)->position, position)) {
            return true;
        }
    }
    return false;
}

/* Everything again from everybody. */
static void unsettle(struct xis *xis)
{
    size_t i;

    xis->is_settled = false;
    for (i = 0; i < xis->sync.n_near; i++) {
        xis->sync.near[i].done = false;
        xis->sync.near[i].next_us = 0;
    }
}

static void note_loss(struct xis *xis, const struct xn_now *now)
{
    if (xis->has_settled) {
        if (now->mono_us >= xis->before_until_us) xis->before = xis->settled;
        xis->before_until_us = now->mono_us + xis->config.grace_us;
    }
    unsettle(xis);
}

void xis_sync_changed(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    bool lost = anybody_lost(xis);

    find_near(xis);
    xis->changed_us = now->mono_us;
    if (xis->sync.n_near && !xis->company_us) xis->company_us = now->mono_us;
    if (xis->alone && xis->sync.n_near) {
        /* What one says about itself alone is worth nothing in company. */
        xis->alone = false;
        unsettle(xis);
    } else if (lost) {
        note_loss(xis, now);
    } else if (xis->is_settled) {
        xis_view_now(xis, &xis->settled);
    }
    xis_view_now(xis, &xis->leaves);
    set_timer(xis, now->mono_us + 50000 + xn_rng_below(xis->rng, 100000), out);
}

void xis_sync_gone(struct xis *xis, const struct xn_now *now, xn_peer peer,
                   struct xn_out *out)
{
    struct xis_sync *s = &xis->sync;

    if (s->stage == XIS_IDLE || s->peer != peer) return;
    s->session++;
    clear_session(s);
    set_timer(xis, now->mono_us, out);
}
