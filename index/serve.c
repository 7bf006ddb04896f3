/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that is asked: what do we have that you lack, what do you have that
 * we want? Nothing is remembered between two questions. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

static int admit(struct xis *xis, const struct xn_now *now,
                 const struct ov_request *request)
{
    if (!request->direct || request->from == XN_PEER_SELF) return XN_EINVAL;
    if (!xis->loaded) return XN_ENOTYET;
    if (now->mono_us >= xis->serve_us + XIS_SECOND_US) {
        xis->serve_us = now->mono_us;
        xis->serves = 0;
    }
    return ++xis->serves > XIS_SERVES_MAX ? XN_EBUSY : 0;
}

/* ---- SYNC */

static int sync_check(const Xn__Sync *sync)
{
    const char *before = sync->from;
    size_t i;

    if (sync->n_tokens > XIS_SYNC_TOKENS_MAX) return XN_ETOOBIG;
    for (i = 0; i < sync->n_tokens; i++) {
        const char *name = sync->tokens[i]->token;

        if (!xn_token_valid(name, strlen(name))) return XN_EINVAL;
        if (strcmp(name, before) <= 0) return XN_EINVAL;
        before = name;
    }
    if (*sync->to && strcmp(before, sync->to) > 0) return XN_EINVAL;
    return 0;
}

static bool equal(const struct xis_token *token, const Xn__TokenDigest *d)
{
    return token->ads == d->ads && d->digest.len == sizeof token->digest &&
           memcmp(token->digest, d->digest.data, sizeof token->digest) == 0;
}

struct differ {
    struct xis *xis;
    xn_peer peer;
    const char **names;
    size_t n;
};

static void differ(struct differ *d, const char *name)
{
    if (d->n < XIS_DIFF_TOKENS_MAX) d->names[d->n++] = name;
}

/* A token that we have something under. */
static void look_ours(struct differ *d, struct xis_token *token,
                      const Xn__TokenDigest *theirs)
{
    if (theirs && equal(token, theirs)) return;
    if (token->ads == 0 && !theirs) return;
    if (!xis_token_held(d->xis, token) &&
        !xis_token_has_peer(d->xis, token, d->peer)) {
        return;
    }
    differ(d, token->name);
}

/* Both lists are sorted by name. */
static void look_all(struct differ *d, const Xn__Sync *sync)
{
    const struct xis_tokens *ours = &d->xis->tokens;
    size_t at = *sync->from ? xis_token_after(d->xis, sync->from) : 0, i = 0;

    for (;;) {
        struct xis_token *token = at < ours->n ? ours->v[at] : NULL;
        const Xn__TokenDigest *theirs =
            i < sync->n_tokens ? sync->tokens[i] : NULL;
        int cmp;

        if (token && *sync->to && strcmp(token->name, sync->to) > 0) {
            token = NULL;
        }
        if (!token && !theirs) break;
        cmp = !token ? 1 : !theirs ? -1 : strcmp(token->name, theirs->token);
        if (cmp > 0) {
            if (xis_name_held(d->xis, theirs->token)) differ(d, theirs->token);
        } else {
            look_ours(d, token, cmp == 0 ? theirs : NULL);
        }
        if (cmp <= 0) at++;
        if (cmp >= 0) i++;
    }
}

void xis_serve_sync(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Sync *sync = XN_BODY(request->msg, Xn__Sync);
    struct differ d = {.xis = xis, .peer = request->from};
    Xn__SyncDiff body = XN__SYNC_DIFF__INIT;
    uint64_t wait_us = xis->before_until_us;
    int rc = admit(xis, now, request);

    if (rc == 0) rc = sync_check(sync);
    if (rc) goto out;
    rc = XN_ENOMEM;
    d.names = malloc(XIS_DIFF_TOKENS_MAX * sizeof *d.names);
    if (!d.names) goto out;
    look_all(&d, sync);
    body.tokens = (char **)(uintptr_t)d.names;
    body.n_tokens = d.n;
    body.settled = xis->has_settled;
    body.fresh = !xis->has_settled;
    if (xis->deaf_until_us > wait_us) wait_us = xis->deaf_until_us;
    if (wait_us > now->mono_us) {
        body.grace_ms = (uint32_t)((wait_us - now->mono_us) / 1000);
    }
    rc = 0;
out:
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__SYNC_DIFF, &body,
              out);
    free(d.names);
}

/* ---- OFFER */

static int range_check(const Xn__Offer *offer, xn_id *from, xn_id *to)
{
    if (offer->from.len && xn_id_from_bytes(&offer->from, from)) {
        return XN_EINVAL;
    }
    if (offer->to.len && xn_id_from_bytes(&offer->to, to)) return XN_EINVAL;
    if (offer->from.len && offer->to.len && xn_id_cmp(from, to) >= 0) {
        return XN_EINVAL;
    }
    return 0;
}

static int offer_check(const Xn__Offer *offer, xn_id *from, xn_id *to)
{
    xn_id before = {{0}}, id;
    bool any = false;
    size_t i;

    if (offer->n_items > XIS_OFFER_MAX) return XN_ETOOBIG;
    if (offer->n_tokens > XIS_DIFF_TOKENS_MAX) return XN_ETOOBIG;
    if (range_check(offer, from, to)) return XN_EINVAL;
    if (offer->from.len) {
        before = *from;
        any = true;
    }
    for (i = 0; i < offer->n_items; i++) {
        if (xn_id_from_bytes(&offer->items[i]->server, &id)) return XN_EINVAL;
        if (any && xn_id_cmp(&before, &id) >= 0) return XN_EINVAL;
        before = id;
        any = true;
    }
    if (offer->to.len && any && xn_id_cmp(&before, to) > 0) return XN_EINVAL;
    return 0;
}

struct reply {
    struct xis *xis;
    const struct xn_now *now;
    xn_peer peer;
    uint64_t mark;
    Xn__SignedAd *rows, **ads;
    ProtobufCBinaryData *wanted;
    size_t n_ads, n_wanted, bytes;
};

#define GIVE_MAX 4096

/* false: the answer is full. */
static bool give(struct reply *r, const struct xis_ad *ad, bool lease_alone)
{
    Xn__SignedAd *row;
    size_t bytes = ad->lease->len + 24;

    if (!lease_alone && ad->envelope) bytes += ad->envelope->len;
    if (r->n_ads == GIVE_MAX || r->bytes + bytes > XIS_ANSWER_BYTES_MAX) {
        return false;
    }
    row = &r->rows[r->n_ads];
    xn__signed_ad__init(row);
    row->lease = xis_blob_bytes(ad->lease);
    if (!lease_alone) row->envelope = xis_blob_bytes(ad->envelope);
    r->ads[r->n_ads++] = row;
    r->bytes += bytes;
    return true;
}

static bool is_marked(const struct xis_ad *ad, uint64_t mark)
{
    uint32_t i;

    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i]->mark == mark) return true;
    }
    return false;
}

bool xis_ad_has_peer(struct xis *xis, const struct xis_ad *ad, xn_peer peer)
{
    uint32_t i;

    for (i = 0; i < ad->n_tokens; i++) {
        if (xis_token_has_peer(xis, ad->tokens[i], peer)) return true;
    }
    return false;
}

static bool look_item(struct reply *r, const struct xis_ad *ad,
                      const Xn__OfferItem *item)
{
    bool live = ad && xis_ad_live(ad, r->now);

    if (!item) {
        if (!live || !is_marked(ad, r->mark)) return true;
        if (!xis_ad_has_peer(r->xis, ad, r->peer)) return true;
        return give(r, ad, false);
    }
    if (ad && ad->version > item->version) {
        return live || ad->withdrawn ? give(r, ad, false) : true;
    }
    if (ad && ad->version == item->version && ad->lease_us > item->until_us) {
        return live ? give(r, ad, true) : true;
    }
    if (ad && ad->version == item->version && ad->lease_us == item->until_us) {
        return true;
    }
    if ((ad || item->place) && item->until_us > r->now->wall_us) {
        r->wanted[r->n_wanted++] = item->server;
    }
    return true;
}

/* Ours and theirs side by side in the order of ids. True: to the range's end;
 * else *next_out is where it stopped. */
static bool look_range(struct reply *r, const Xn__Offer *offer,
                       const xn_id *from, const xn_id *to, xn_id *next_out)
{
    const struct xis_order *order = &r->xis->ads;
    struct xis_place_in_order at =
        xis_order_after(order, offer->from.len ? from : NULL);
    struct xis_ad *ad = xis_order_next(order, &at);
    bool any = false;
    size_t i = 0;
    xn_id id;

    for (;;) {
        const Xn__OfferItem *item = i < offer->n_items ? offer->items[i] : NULL;
        int cmp;

        if (ad && offer->to.len && xn_id_cmp(&ad->server, to) > 0) ad = NULL;
        if (!ad && !item) return true;
        if (item) xn_id_from_bytes(&item->server, &id);
        cmp = !ad ? 1 : !item ? -1 : xn_id_cmp(&ad->server, &id);
        if (!look_item(r, cmp <= 0 ? ad : NULL, cmp >= 0 ? item : NULL)) {
            /* One ad alone always fits: there was one before this. */
            return !any;
        }
        any = true;
        *next_out = cmp <= 0 ? ad->server : id;
        if (cmp <= 0) ad = xis_order_next(order, &at);
        if (cmp >= 0) i++;
    }
}

static int reply_init(struct reply *r, const Xn__Offer *offer)
{
    size_t i;

    r->rows = malloc(GIVE_MAX * sizeof *r->rows);
    r->ads = malloc(GIVE_MAX * sizeof *r->ads);
    r->wanted = malloc((offer->n_items + 1) * sizeof *r->wanted);
    if (!r->rows || !r->ads || !r->wanted) return XN_ENOMEM;
    r->mark = ++r->xis->marks;
    for (i = 0; i < offer->n_tokens; i++) {
        struct xis_token *token = xis_token_find(r->xis, offer->tokens[i]);

        if (token) token->mark = r->mark;
    }
    return 0;
}

void xis_serve_offer(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out)
{
    const Xn__Offer *offer = XN_BODY(request->msg, Xn__Offer);
    struct reply r = {.xis = xis, .now = now, .peer = request->from};
    Xn__Want body = XN__WANT__INIT;
    xn_id from, to, next;
    int rc = admit(xis, now, request);

    if (rc == 0) rc = offer_check(offer, &from, &to);
    if (rc == 0) rc = reply_init(&r, offer);
    if (rc) goto out;
    if (!look_range(&r, offer, &from, &to, &next)) {
        body.next = xn_id_bytes(&next);
    }
    body.ads = r.ads;
    body.n_ads = r.n_ads;
    body.servers = r.wanted;
    body.n_servers = r.n_wanted;
out:
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__WANT, &body, out);
    free(r.rows);
    free(r.ads);
    free(r.wanted);
}

/* ---- HAVE */

void xis_serve_have(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Have *have = XN_BODY(request->msg, Xn__Have);
    Xn__HaveDone body = XN__HAVE_DONE__INIT;
    ProtobufCBinaryData *missing = NULL;
    size_t i;
    xn_id id;
    int rc = XN_ENOTYET;

    if (!xis->loaded) goto out;
    rc = XN_ETOOBIG;
    if (have->n_items > XIS_HAVE_MAX) goto out;
    rc = XN_ENOMEM;
    missing = malloc((have->n_items + 1) * sizeof *missing);
    if (!missing) goto out;
    body.missing = missing;
    for (i = 0; i < have->n_items; i++) {
        rc = xn_id_from_bytes(&have->items[i]->server, &id);
        if (rc) goto out;
        if (xis_has(xis, &id, have->items[i]->version, now)) continue;
        missing[body.n_missing++] = have->items[i]->server;
    }
    rc = 0;
out:
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__HAVE_DONE, &body,
              out);
    free(missing);
}
