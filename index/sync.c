/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that asks.  After each change of the leaf set a node makes a round
 * with each of its nearest neighbours: compares digests by token, offers what
 * it has of the tokens that differ, a range of servers at a time, gets what it
 * lacks and gives what is wanted.  When all have answered it is settled.  The
 * same round with a random neighbour runs now and then in the background.
 *
 * A neighbour that has never settled itself knows little yet: it is asked again
 * for some seconds. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

#define AGAIN_US 300000

static void tick(struct xis *xis, const struct xn_now *now, struct xn_out *out);
static void offer(struct xis *xis, const struct xn_now *now,
                  struct xn_out *out);

static void drop_diff(struct xis_sync *sync)
{
    size_t i;

    for (i = 0; i < sync->n_diff; i++)
        free(sync->diff[i]);
    free(sync->diff);
    sync->diff = NULL;
    sync->n_diff = 0;
}

/* ---- the timer */

static void timer_ended(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis->sync.timer = 0;
    tick(xis, now, out);
}

static void set_timer(struct xis *xis, uint64_t at_us, struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;

    if (sync->timer)
        xn_ticket_postpone(xis->tickets, sync->timer, at_us);
    else
        sync->timer =
            xn_ticket(xis->tickets, at_us, timer_ended, xis, NULL, out);
}

/* ---- the end of a round */

static struct xis_neighbour *neighbour(struct xis_sync *sync, xn_peer peer)
{
    size_t i;

    for (i = 0; i < sync->n_near; i++) {
        if (sync->near[i].peer == peer) return &sync->near[i];
    }
    return NULL;
}

/* One who always refuses must not keep us from ever settling. */
static bool has_failed(const struct xis *xis, const struct xn_now *now, int rc)
{
    uint64_t us = rc == XN_ENOTYET ? XIS_LOADING_US : XIS_PATIENCE_US;

    return !xis->sync.learnt && now->mono_us >= xis->changed_us + us;
}

static void end_round(struct xis *xis, const struct xn_now *now, int rc,
                      struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    struct xis_neighbour *near = neighbour(sync, sync->peer);

    drop_diff(sync);
    sync->busy = false;
    sync->session++;
    if (near && rc) {
        near->next_us = now->mono_us + XIS_RETRY_US;
        near->young = false;
        near->done = has_failed(xis, now, rc);
    }
    if (near && !rc) {
        near->done = true;
        near->young = !sync->their_settled;
    }
    tick(xis, now, out);
}

/* ---- a part of a round: what is wanted goes out, what we lack comes in */

static void part_done(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;

    if (--sync->pending > 0) return;
    if (sync->last)
        end_round(xis, now, 0, out);
    else
        offer(xis, now, out);
}

static void put_replied(struct xis_ask *ask, const struct xn_now *now,
                        const struct ov_reply *reply, struct xn_out *out)
{
    (void)reply; /* what was lost is found again by the next round */
    if (ask->session == ask->xis->sync.session) part_done(ask->xis, now, out);
}

static void batch_ended(struct xis *xis, uint64_t number,
                        const struct xn_now *now,
                        const struct xis_result *results, size_t n,
                        struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    size_t i;

    if (number != sync->session) return;
    for (i = 0; i < n; i++) {
        if (results[i].rc || !results[i].stored) continue;
        sync->learnt = true;
        sync->progress_us = now->mono_us;
    }
    part_done(xis, now, out);
}

struct parcel {
    Xn__SignedAd rows[XIS_PUT_ADS_MAX];
    Xn__SignedAd *list[XIS_PUT_ADS_MAX];
    size_t n, bytes;
};

static void send_parcel(struct xis *xis, const struct xn_now *now,
                        struct parcel *p, struct xn_out *out)
{
    struct xis_ask *ask;
    Xn__Put put = XN__PUT__INIT;

    if (p->n == 0) return;
    ask = xis_ask_new(xis);
    if (!ask) {
        out->rc = XN_ENOMEM;
        return;
    }
    ask->fn = put_replied;
    ask->session = xis->sync.session;
    put.ads = p->list;
    put.n_ads = p->n;
    put.epoch = 1;
    xis->sync.pending++;
    p->n = p->bytes = 0;
    ov_ask_peer(xis->ov, now, xis->sync.peer, XN__KIND__PUT, &put,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
}

static void give_wanted(struct xis *xis, const struct xn_now *now,
                        const Xn__Want *want, struct xn_out *out)
{
    struct parcel *p = malloc(sizeof *p);
    size_t i;

    if (!p) {
        out->rc = XN_ENOMEM;
        return;
    }
    p->n = p->bytes = 0;
    for (i = 0; i < want->n_servers && i < XIS_OFFER_MAX; i++) {
        const struct xis_ad *ad;
        Xn__SignedAd *row;
        size_t bytes;
        xn_id id;

        if (xn_id_from_bytes(&want->servers[i], &id)) continue;
        ad = xis_ad_find(xis, &id);
        if (!ad || ad->until_us <= now->wall_us) continue;
        bytes = ad->lease->len + 32 + (ad->envelope ? ad->envelope->len : 0);
        if (p->n == XIS_PUT_ADS_MAX || p->bytes + bytes > XIS_PUT_BYTES_MAX) {
            send_parcel(xis, now, p, out);
        }
        row = &p->rows[p->n];
        xn__signed_ad__init(row);
        row->lease = xis_blob_bytes(ad->lease);
        if (ad->envelope) row->envelope = xis_blob_bytes(ad->envelope);
        p->list[p->n++] = row;
        p->bytes += bytes;
    }
    send_parcel(xis, now, p, out);
    free(p);
}

static void bargained(struct xis_ask *ask, const struct xn_now *now,
                      const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_sync *sync = &xis->sync;
    const Xn__Want *want;
    xn_id next;

    if (ask->session != sync->session) return;
    if (reply->rc || !reply->msg || reply->msg->kind != XN__KIND__WANT) {
        end_round(xis, now, XN_EPROTO, out);
        return;
    }
    want = XN_BODY(reply->msg, Xn__Want);
    if (want->next.len) {
        /* It must go forward, and bring something now and then, or a rude one
         * would keep us here. */
        if (now->mono_us > sync->progress_us + XIS_IDLE_US ||
            xn_id_from_bytes(&want->next, &next) ||
            (sync->has_from && xn_id_cmp(&next, &sync->from) <= 0) ||
            (ask->n_sent && xn_id_cmp(&next, &ask->sent[0].server) > 0)) {
            end_round(xis, now, XN_EPROTO, out);
            return;
        }
        sync->from = next;
        sync->has_from = true;
        sync->last = false;
    } else if (ask->n_sent) { /* the offer ended with this server */
        sync->from = ask->sent[0].server;
        sync->has_from = true;
    }
    sync->pending = 1; /* this very step */
    give_wanted(xis, now, want, out);
    if (ask->session != sync->session) return; /* it led to another round */
    if (want->n_ads && want->n_ads <= XIS_PUT_ADS_MAX) {
        sync->pending++;
        if (xis_batch_start(xis, now, sync->peer, want->ads, want->n_ads,
                            batch_ended, sync->session, out)) {
            sync->pending--;
        }
    }
    part_done(xis, now, out);
}

/* ---- an offer */

struct list {
    Xn__OfferItem rows[XIS_OFFER_MAX];
    Xn__OfferItem *items[XIS_OFFER_MAX];
    size_t n;
};

static bool differs(const struct xis_ad *ad, uint64_t mark)
{
    uint32_t i;

    if (ad->withdrawn) return true;
    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i]->mark == mark) return true;
    }
    return false;
}

/* Is it wanted where we offer it? */
static bool placed(struct xis *xis, const struct xis_ad *ad, xn_peer peer)
{
    uint32_t i;

    if (ad->withdrawn) return true;
    for (i = 0; i < ad->n_tokens; i++) {
        if (xis_token_has_peer(xis, ad->tokens[i], peer)) return true;
    }
    return false;
}

/* Up to XIS_OFFER_MAX ads after sync->from; true: there are no more. */
static bool gather(struct xis *xis, const struct xn_now *now, struct list *list)
{
    struct xis_sync *sync = &xis->sync;
    struct xis_place_in_order at =
        xis_order_after(&xis->ads, sync->has_from ? &sync->from : NULL);
    uint64_t mark = ++xis->stamp;
    struct xis_ad *ad;
    size_t i;

    for (i = 0; i < sync->n_diff; i++) {
        struct xis_token *token = xis_token_find(xis, sync->diff[i]);

        if (token) token->mark = mark;
    }
    while ((ad = xis_order_next(&xis->ads, &at)) != NULL) {
        Xn__OfferItem *item = &list->rows[list->n];

        if (ad->until_us <= now->wall_us || !differs(ad, mark)) continue;
        if (list->n == XIS_OFFER_MAX) return false;
        xn__offer_item__init(item);
        item->server = xn_id_bytes(&ad->server);
        item->version = ad->version;
        item->until_us = ad->lease_us;
        item->place = placed(xis, ad, sync->peer);
        list->items[list->n++] = item;
    }
    return true;
}

static void offer(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    struct xis_ask *ask = xis_ask_new(xis);
    struct list *list = malloc(sizeof *list);
    Xn__Offer body = XN__OFFER__INIT;

    if (!ask || !list) {
        if (ask) xis_ask_free(ask);
        free(list);
        out->rc = XN_ENOMEM;
        return;
    }
    list->n = 0;
    sync->last = gather(xis, now, list);
    ask->fn = bargained;
    ask->session = sync->session;
    body.items = list->items;
    body.n_items = list->n;
    body.tokens = sync->diff;
    body.n_tokens = sync->n_diff;
    if (sync->has_from) body.from = xn_id_bytes(&sync->from);
    if (!sync->last) {
        body.to = list->items[list->n - 1]->server;
        ask->sent = calloc(1, sizeof *ask->sent);
        if (ask->sent) {
            memcpy(ask->sent->server.b, body.to.data, XN_ID_SIZE);
            ask->n_sent = 1;
        }
    }
    ov_ask_peer(xis->ov, now, sync->peer, XN__KIND__OFFER, &body,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
    free(list);
}

/* ---- the beginning of a round */

static int keep_diff(struct xis_sync *sync, const Xn__SyncDiff *diff)
{
    size_t i;

    drop_diff(sync);
    if (diff->n_tokens > XIS_SYNC_TOKENS_MAX) return XN_ETOOBIG;
    sync->diff = calloc(diff->n_tokens + 1, sizeof *sync->diff);
    if (!sync->diff) return XN_ENOMEM;
    for (i = 0; i < diff->n_tokens; i++) {
        const char *name = diff->tokens[i];

        if (!xn_token_valid(name, strlen(name))) return XN_EINVAL;
        sync->diff[i] = strdup(name);
        if (!sync->diff[i]) return XN_ENOMEM;
        sync->n_diff++;
    }
    return 0;
}

static void compared(struct xis_ask *ask, const struct xn_now *now,
                     const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_sync *sync = &xis->sync;
    const Xn__SyncDiff *diff;
    int rc;

    if (ask->session != sync->session) return;
    if (reply->rc || !reply->msg || reply->msg->kind != XN__KIND__SYNC_DIFF) {
        end_round(xis, now, reply->rc ? reply->rc : XN_EPROTO, out);
        return;
    }
    diff = XN_BODY(reply->msg, Xn__SyncDiff);
    sync->their_settled = diff->settled;
    rc = keep_diff(sync, diff);
    if (rc || sync->n_diff == 0) {
        end_round(xis, now, rc, out);
        return;
    }
    sync->has_from = false;
    offer(xis, now, out);
}

/* Digests of what either of us should hold. */
static size_t digests(struct xis *xis, xn_peer peer, Xn__TokenDigest *rows,
                      Xn__TokenDigest **list)
{
    size_t i, n = 0;

    for (i = 0; i < xis->tokens.n && n < XIS_SYNC_TOKENS_MAX; i++) {
        struct xis_token *token = xis->tokens.v[i];

        if (token->ads == 0) continue;
        if (!xis_token_held(xis, token) &&
            !xis_token_has_peer(xis, token, peer)) {
            continue;
        }
        xn__token_digest__init(&rows[n]);
        rows[n].token = token->name;
        rows[n].ads = token->ads;
        rows[n].digest.data = token->digest;
        rows[n].digest.len = sizeof token->digest;
        list[n] = &rows[n];
        n++;
    }
    return n;
}

static void begin_round(struct xis *xis, const struct xn_now *now, xn_peer peer,
                        struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__TokenDigest *rows = malloc(XIS_SYNC_TOKENS_MAX * sizeof *rows);
    Xn__TokenDigest **list = malloc(XIS_SYNC_TOKENS_MAX * sizeof *list);
    Xn__Sync body = XN__SYNC__INIT;

    if (!ask || !rows || !list) {
        if (ask) xis_ask_free(ask);
        out->rc = XN_ENOMEM;
        goto out;
    }
    sync->busy = true;
    sync->learnt = false;
    sync->progress_us = now->mono_us;
    sync->peer = peer;
    ask->fn = compared;
    ask->session = ++sync->session;
    body.tokens = list;
    body.n_tokens = digests(xis, peer, rows, list);
    body.last = true;
    ov_ask_peer(xis->ov, now, peer, XN__KIND__SYNC, &body,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
out:
    free(rows);
    free(list);
}

/* ---- settling */

static void settle(struct xis *xis)
{
    xis_view_now(xis, &xis->settled);
    xis->alone = xis->sync.n_near == 0;
    xis->has_settled = true;
    xis->is_settled = true;
}

/* All have answered, and none of them is new here itself, or has been for long
 * enough: one that is may yet learn what we should know. */
static bool may_settle(struct xis *xis, const struct xn_now *now)
{
    struct xis_sync *sync = &xis->sync;
    bool young = false;
    size_t i;

    for (i = 0; i < sync->n_near; i++) {
        if (!sync->near[i].done) return false;
        young = young || sync->near[i].young;
    }
    if (sync->n_near == 0) return now->mono_us >= xis->start_us + XIS_YOUNG_US;
    if (!young || now->mono_us >= xis->changed_us + XIS_YOUNG_US) return true;
    for (i = 0; i < sync->n_near; i++) {
        if (!sync->near[i].young) continue;
        sync->near[i].done = false;
        sync->near[i].next_us = now->mono_us + AGAIN_US;
    }
    return false;
}

static uint64_t background_us(struct xis *xis, const struct xn_now *now)
{
    return now->mono_us + xn_rng_between(xis->rng, xis->config.sync_us / 2,
                                         xis->config.sync_us);
}

/* The next thing to do, or when to look again. */
static void tick(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    uint64_t at_us = sync->background_us;
    size_t i;

    if (sync->busy || !xis->loaded) return;
    if (!xis->is_settled && may_settle(xis, now)) settle(xis);
    for (i = 0; i < sync->n_near; i++) {
        struct xis_neighbour *near = &sync->near[i];

        if (near->done) continue;
        if (near->next_us <= now->mono_us) {
            begin_round(xis, now, near->peer, out);
            return;
        }
        if (near->next_us < at_us) at_us = near->next_us;
    }
    if (now->mono_us >= sync->background_us) {
        sync->background_us = at_us = background_us(xis, now);
        if (sync->n_near) {
            i = xn_rng_below(xis->rng, sync->n_near);
            begin_round(xis, now, sync->near[i].peer, out);
        }
    }
    if (!xis->is_settled && sync->n_near == 0) {
        at_us = xis->start_us + XIS_YOUNG_US;
    }
    if (!sync->busy) set_timer(xis, at_us, out);
}

/* The XIS_SIDE nearest of each side. */
static void find_neighbours(struct xis *xis)
{
    struct xis_sync *sync = &xis->sync;
    xn_peer peers[XIS_VIEW_MAX], nearest[2 * XIS_SIDE];
    size_t n = ov_leaves(xis->ov, peers), i, k = 0;
    size_t clockwise = (n + 1) / 2;

    /* Clockwise ones stand first, then the others, each nearest first. */
    for (i = 0; i < clockwise && i < XIS_SIDE; i++)
        nearest[k++] = peers[i];
    for (i = clockwise; i < n && i < clockwise + XIS_SIDE; i++)
        nearest[k++] = peers[i];
    for (i = 0; i < k; i++) {
        sync->near[i] = (struct xis_neighbour){.peer = nearest[i]};
    }
    sync->n_near = k;
}

/* Which nodes of the settled view are gone?  Then some of what they held may
 * be lost until its publishers put it again. */
static bool lost_somebody(struct xis *xis)
{
    struct xis_view view;
    size_t i, k;

    xis_view_now(xis, &view);
    for (i = 0; i < xis->settled.n; i++) {
        for (k = 0; k < view.n; k++) {
            if (xn_id_eq(&view.positions[k], &xis->settled.positions[i])) break;
        }
        if (k == view.n) return true;
    }
    return false;
}

void xis_sync_changed(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    if (xis->is_settled && xis->has_settled && lost_somebody(xis)) {
        if (now->mono_us >= xis->before_until_us) xis->before = xis->settled;
        xis->before_until_us = now->mono_us + xis->config.grace_us;
    }
    if (xis->alone) { /* what one alone knew is no more than the others' */
        xis->alone = false;
        xis->has_settled = false;
    }
    xis->is_settled = false;
    xis->sync.busy = false;
    xis->sync.session++;
    drop_diff(&xis->sync);
    find_neighbours(xis);
    tick(xis, now, out);
}

void xis_sync_gone(struct xis *xis, const struct xn_now *now, xn_peer peer,
                   struct xn_out *out)
{
    struct xis_sync *sync = &xis->sync;
    struct xis_neighbour *near = neighbour(sync, peer);

    if (near) *near = sync->near[--sync->n_near];
    if (sync->busy && sync->peer == peer) end_round(xis, now, XN_EUNREACH, out);
}

void xis_sync_start(struct xis *xis, const struct xn_now *now,
                    struct xn_out *out)
{
    xis->sync.background_us = background_us(xis, now);
    xis->changed_us = now->mono_us;
    find_neighbours(xis);
    tick(xis, now, out);
}

void xis_sync_clear(struct xis *xis)
{
    drop_diff(&xis->sync);
}
