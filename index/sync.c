/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One exchange with a neighbour, the side that asks. Digests are compared token
 * by token (SYNC), so many names at a time; where they differ, the servers are
 * gone through in order, a range at a time (OFFER): the answer brings what we
 * lack, and what it names in return we put there. All state is ours, and one
 * question is under way, so that a slow node hands over as fast as it can and
 * no faster.
 *
 * Whatever the other says, this comes to an end: names and servers only go
 * forward, and time is bounded. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

static void send_sync(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out);
static void send_offer(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out);

/* ---- begin and end */

static void clear_diff(struct xis_session *s)
{
    size_t i;

    for (i = 0; i < s->n_diff; i++)
        free(s->diff[i]);
    free(s->diff);
    s->diff = NULL;
    s->n_diff = s->cap_diff = 0;
}

static void session_free(struct xis_session *s)
{
    if (!s) return;
    clear_diff(s);
    free(s->part);
    free(s);
}

/* It is none any more. */
static struct xis_session *detach(struct xis *xis)
{
    struct xis_session *s = xis->session;

    xis->session_number++;
    xis->session = NULL;
    return s;
}

void xis_session_drop(struct xis *xis)
{
    session_free(detach(xis));
}

static void end_session(struct xis *xis, const struct xn_now *now, int rc,
                        struct xn_out *out)
{
    struct xis_session *s = detach(xis);

    xis_settle_ended(xis, now, s, rc, out);
    session_free(s);
}

void xis_session_start(struct xis *xis, const struct xn_now *now, xn_peer peer,
                       bool all, struct xn_out *out)
{
    struct xis_session *s = calloc(1, sizeof *s);

    if (!s) {
        out->rc = XN_ENOMEM;
        return;
    }
    s->all = all;
    s->peer = peer;
    s->until_us = now->mono_us + XIS_SESSION_US;
    s->progress_us = now->mono_us;
    xis->session = s;
    xis->session_number++;
    send_sync(xis, now, out);
}

static bool is_late(const struct xis_session *s, const struct xn_now *now)
{
    return now->mono_us >= s->until_us ||
           now->mono_us >= s->progress_us + XIS_IDLE_US;
}

/* ---- OFFER: what the answer brings and wants */

/* This part's names are done with. */
static void end_part(struct xis *xis, const struct xn_now *now,
                     struct xn_out *out)
{
    clear_diff(xis->session);
    if (xis->session->part)
        send_sync(xis, now, out);
    else
        end_session(xis, now, 0, out);
}

/* One thing that this range asked for has come or gone. */
static void range_step(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis_session *s = xis->session;

    if (--s->pending) return;
    if (!s->has_to) {
        end_part(xis, now, out);
    } else if (is_late(s, now)) {
        end_session(xis, now, XN_ETIMEOUT, out);
    } else {
        s->from = s->to;
        s->has_from = true;
        send_offer(xis, now, out);
    }
}

static void parcel_put(struct xis_ask *ask, const struct xn_now *now,
                       const struct ov_reply *reply, struct xn_out *out)
{
    (void)reply; /* the next session will see what is left */
    if (ask->session != ask->xis->session_number) return;
    range_step(ask->xis, now, out);
}

static void send_parcel(struct xis *xis, const struct xn_now *now,
                        struct xis_parcel *parcel, struct xn_out *out)
{
    bool any = parcel->n > 0 && xis->session;
    struct xis_ask *ask = any ? xis_ask_new(xis) : NULL;
    Xn__Put put = XN__PUT__INIT;

    put.ads = parcel->list;
    put.n_ads = parcel->n;
    put.epoch = 1;
    xis_parcel_empty(parcel);
    if (!ask) {
        if (any) out->rc = XN_ENOMEM;
        return;
    }
    ask->fn = parcel_put;
    ask->session = xis->session_number;
    xis->session->pending++;
    ov_ask_peer(xis->ov, now, xis->session->peer, XN__KIND__PUT, &put,
                now->mono_us + 6 * XIS_ASK_US, xis_replied, ask, out);
}

/* As long as the session under way is the one that began to give. */
static void give(struct xis *xis, const struct xn_now *now,
                 struct xis_parcel *parcel, const struct xis_ad *ad,
                 struct xn_out *out)
{
    if (xis_parcel_add(parcel, ad, false)) return;
    send_parcel(xis, now, parcel, out);
    xis_parcel_add(parcel, ad, false);
}

static int give_wanted(struct xis *xis, const struct xn_now *now,
                       const Xn__Want *want, struct xn_out *out)
{
    struct xis_parcel parcel;
    size_t i;
    xn_id id;
    int rc = xis_parcel_init(&parcel, XIS_PUT_ADS_MAX, XIS_PUT_BYTES_MAX);

    for (i = 0; rc == 0 && i < want->n_servers; i++) {
        const struct xis_ad *ad;

        rc = xn_id_from_bytes(&want->servers[i], &id);
        ad = rc ? NULL : xis_ad_find(xis, &id);
        if (ad && ad->until_us > now->wall_us) {
            give(xis, now, &parcel, ad, out);
        }
    }
    if (rc == 0) send_parcel(xis, now, &parcel, out);
    xis_parcel_clear(&parcel);
    return rc;
}

/* What it gave and we know a newer version of, such as a withdrawal: that is
 * no news that an answer to its own questions would bring it soon. */
static void push_back(struct xis *xis, const struct xn_now *now,
                      const struct xis_result *results, size_t n,
                      struct xn_out *out)
{
    struct xis_parcel parcel;
    size_t i;

    if (xis_parcel_init(&parcel, XIS_PUT_ADS_MAX, XIS_PUT_BYTES_MAX)) return;
    for (i = 0; i < n; i++) {
        const struct xis_ad *ad = results[i].rc == XN_ESTALE
                                      ? xis_ad_find(xis, &results[i].server)
                                      : NULL;

        if (ad && ad->until_us > now->wall_us) {
            give(xis, now, &parcel, ad, out);
        }
    }
    send_parcel(xis, now, &parcel, out);
    xis_parcel_clear(&parcel);
}

static void ads_taken(struct xis *xis, uint64_t number,
                      const struct xn_now *now,
                      const struct xis_result *results, size_t n,
                      struct xn_out *out)
{
    struct xis_session *s = xis->session;
    bool stale = false;
    size_t i;

    if (number != xis->session_number) return;
    for (i = 0; i < n; i++) {
        stale = stale || results[i].rc == XN_ESTALE;
        if (results[i].rc || !results[i].stored) continue;
        s->learnt = true;
        s->progress_us = now->mono_us;
    }
    if (stale) push_back(xis, now, results, n, out);
    if (number == xis->session_number) range_step(xis, now, out);
}

/* Where the answer ended early: behind the range's beginning, and not behind
 * its end. */
static int take_next(struct xis_session *s, const Xn__Want *want)
{
    xn_id next;

    if (want->next.len == 0) return 0;
    if (xn_id_from_bytes(&want->next, &next)) return XN_EPROTO;
    if (s->has_from && xn_id_cmp(&next, &s->from) <= 0) return XN_EPROTO;
    if (s->has_to && xn_id_cmp(&next, &s->to) > 0) return XN_EPROTO;
    s->to = next;
    s->has_to = true;
    return 0;
}

static int want_of(struct xis_session *s, const struct ov_reply *reply,
                   const Xn__Want **want_out)
{
    const Xn__Want *want;

    if (reply->rc) return reply->rc;
    if (reply->msg->kind != XN__KIND__WANT) return XN_EPROTO;
    want = XN_BODY(reply->msg, Xn__Want);
    if (want->n_ads > XIS_WANT_ADS_MAX) return XN_ETOOBIG;
    if (want->n_servers > XIS_OFFER_MAX) return XN_ETOOBIG;
    *want_out = want;
    return take_next(s, want);
}

static void offer_replied(struct xis_ask *ask, const struct xn_now *now,
                          const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_session *s = xis->session;
    const Xn__Want *want;
    int rc;

    if (ask->session != xis->session_number) return;
    s->pending = 1; /* this function: nothing below ends the range */
    rc = want_of(s, reply, &want);
    if (rc == 0) rc = give_wanted(xis, now, want, out);
    if (ask->session != xis->session_number) return; /* its peer has gone */
    if (rc == 0 && want->n_ads) {
        s->pending++;
        rc = xis_batch_start(xis, now, s->peer, want->ads, want->n_ads,
                             ads_taken, xis->session_number, out);
    }
    if (ask->session != xis->session_number) return;
    if (rc)
        end_session(xis, now, rc, out);
    else
        range_step(xis, now, out);
}

/* ---- OFFER: what we have */

/* Our ads in the next range, and where it ends. */
static void fill_items(struct xis *xis, const struct xn_now *now,
                       struct xis_walk *walk, Xn__OfferItem *rows,
                       Xn__Offer *offer)
{
    struct xis_session *s = xis->session;
    const struct xis_ad *ad;

    s->has_to = false;
    while ((ad = xis_walk_next(walk)) != NULL) {
        Xn__OfferItem *row = &rows[offer->n_items];

        if (ad->until_us <= now->wall_us) continue;
        if (offer->n_items == XIS_OFFER_MAX) {
            s->has_to = true; /* with the last one listed */
            return;
        }
        s->to = ad->server;
        xn__offer_item__init(row);
        row->server = xn_id_bytes(&ad->server);
        row->version = ad->version;
        row->until_us = ad->lease_us;
        row->place = ad->withdrawn || xis_ad_has_peer(xis, ad, s->peer);
        offer->items[offer->n_items++] = row;
    }
    if (!walk->more) return;
    s->to = walk->last;
    s->has_to = true;
}

static void ask_offer(struct xis *xis, const struct xn_now *now,
                      Xn__Offer *offer, struct xis_ask *ask, struct xn_out *out)
{
    struct xis_session *s = xis->session;

    offer->tokens = s->diff;
    offer->n_tokens = s->n_diff;
    if (s->has_from) offer->from = xn_id_bytes(&s->from);
    if (s->has_to) offer->to = xn_id_bytes(&s->to);
    ask->fn = offer_replied;
    ask->session = xis->session_number;
    ov_ask_peer(xis->ov, now, s->peer, XN__KIND__OFFER, offer,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
}

static void send_offer(struct xis *xis, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis_session *s = xis->session;
    Xn__Offer offer = XN__OFFER__INIT;
    struct xis_walk walk = {0};
    struct xis_ask *ask = NULL;
    Xn__OfferItem *rows = malloc(XIS_OFFER_MAX * sizeof *rows);
    Xn__OfferItem **items = malloc(XIS_OFFER_MAX * sizeof *items);
    bool ready = rows && items &&
                 xis_walk_start(&walk, xis, s->diff, s->n_diff,
                                s->has_from ? &s->from : NULL) == 0;

    if (ready) ask = xis_ask_new(xis);
    if (ask) {
        offer.items = items;
        fill_items(xis, now, &walk, rows, &offer);
        ask_offer(xis, now, &offer, ask, out);
    } else {
        end_session(xis, now, XN_ENOMEM, out);
    }
    xis_walk_clear(&walk);
    free(rows);
    free(items);
}

/* ---- SYNC */

static bool concerns(struct xis *xis, struct xis_token *token, xn_peer peer)
{
    bool us = xis_token_held(xis, token);
    bool them = xis_token_has_peer(xis, token, peer);

    /* Between two that have gone through all, only what both should have can
     * be wrong. */
    return xis->session->all ? us || them : us && them;
}

static int add_diff(struct xis *xis, const char *name)
{
    struct xis_session *s = xis->session;
    struct xis_token *token = xis_token_find(xis, name);

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
    return 0;
}

/* It compared less than we asked: names up to and with its `to`, which lies
 * behind those of earlier parts and before the end of this one. */
static int take_to(struct xis_session *s, const char *from, const char *to)
{
    char *part;

    if (!*to) return 0;
    if (!xn_token_valid(to, strlen(to))) return XN_EPROTO;
    if (from && strcmp(to, from) <= 0) return XN_EPROTO;
    if (s->part && strcmp(to, s->part) > 0) return XN_EPROTO;
    part = strdup(to);
    if (!part) return XN_ENOMEM;
    free(s->part);
    s->part = part;
    return 0;
}

static int take_diff(struct xis *xis, const char *from,
                     const Xn__SyncDiff *diff)
{
    struct xis_session *s = xis->session;
    size_t i;
    int rc;

    if (diff->n_tokens > XIS_SYNC_TOKENS_MAX) return XN_ETOOBIG;
    rc = take_to(s, from, diff->to);
    for (i = 0; rc == 0 && i < diff->n_tokens; i++) {
        const char *name = diff->tokens[i];

        rc = xn_token_valid(name, strlen(name)) ? add_diff(xis, name)
                                                : XN_EPROTO;
    }
    s->their_settled = diff->settled;
    s->their_grace_ms = diff->grace_ms;
    return rc;
}

static void sync_replied(struct xis_ask *ask, const struct xn_now *now,
                         const struct ov_reply *reply, struct xn_out *out)
{
    struct xis *xis = ask->xis;
    struct xis_session *s = xis->session;
    int rc = reply->rc;

    if (ask->session != xis->session_number) return;
    if (rc == 0 && reply->msg->kind != XN__KIND__SYNC_DIFF) rc = XN_EPROTO;
    if (rc == 0) {
        rc = take_diff(xis, ask->after, XN_BODY(reply->msg, Xn__SyncDiff));
    }
    if (rc == 0 && is_late(s, now)) rc = XN_ETIMEOUT;
    if (rc || (xis->is_settled && !s->their_settled)) {
        /* One that is new asks us itself. */
        end_session(xis, now, rc, out);
    } else if (s->n_diff == 0) {
        end_part(xis, now, out);
    } else {
        s->has_from = false;
        send_offer(xis, now, out);
    }
}

/* Digests of the next so many tokens; s->part moves on to the last of them, or
 * to NULL where there are no more. */
static int fill_digests(struct xis *xis, Xn__TokenDigest *rows, Xn__Sync *sync)
{
    struct xis_session *s = xis->session;
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
    free(s->part);
    s->part = end ? strdup(end) : NULL;
    return end && !s->part ? XN_ENOMEM : 0;
}

static void send_sync(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    struct xis_session *s = xis->session;
    Xn__Sync sync = XN__SYNC__INIT;
    struct xis_ask *ask = xis_ask_new(xis);
    Xn__TokenDigest *rows = malloc(XIS_SYNC_TOKENS_MAX * sizeof *rows);
    Xn__TokenDigest **list = malloc(XIS_SYNC_TOKENS_MAX * sizeof *list);
    char *from = s->part ? strdup(s->part) : NULL;

    sync.tokens = list;
    if (!ask || !rows || !list || (s->part && !from) ||
        fill_digests(xis, rows, &sync)) {
        if (ask) xis_ask_free(ask);
        free(from);
        end_session(xis, now, XN_ENOMEM, out);
        goto out;
    }
    if (from) sync.from = from;
    if (s->part) sync.to = s->part;
    sync.last = !s->part;
    sync.whole = s->all;
    sync.settled = xis->has_settled;
    sync.grace_ms = xis_grace_ms(xis, now);
    ask->fn = sync_replied;
    ask->session = xis->session_number;
    ask->after = from; /* now the ask's */
    ov_ask_peer(xis->ov, now, s->peer, XN__KIND__SYNC, &sync,
                now->mono_us + XIS_ASK_US, xis_replied, ask, out);
out:
    free(rows);
    free(list);
}
