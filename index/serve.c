/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that a neighbour asks: which tokens differ, what each lacks.  It
 * keeps nothing between questions, so there is nothing to exhaust. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

static void refuse(struct xis *xis, const struct xn_now *now,
                   const struct ov_request *request, int rc, struct xn_out *out)
{
    ov_answer(xis->ov, now, request->token, rc, 0, NULL, out);
}

/* ---- SYNC */

static const Xn__TokenDigest *digest_of(const Xn__Sync *sync, const char *name)
{
    size_t lo = 0, hi = sync->n_tokens;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int cmp = strcmp(sync->tokens[mid]->token, name);

        if (cmp == 0) return sync->tokens[mid];
        if (cmp < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool is_sound(const Xn__Sync *sync)
{
    size_t i;

    if (sync->n_tokens > XIS_SYNC_TOKENS_MAX) return false;
    for (i = 0; i < sync->n_tokens; i++) {
        const char *name = sync->tokens[i]->token;

        if (!xn_token_valid(name, strlen(name))) return false;
        if (i && strcmp(sync->tokens[i - 1]->token, name) >= 0) return false;
    }
    return true;
}

static bool same(const struct xis_token *token, const Xn__TokenDigest *digest)
{
    return digest && digest->ads == token->ads && digest->digest.len == 16 &&
           memcmp(digest->digest.data, token->digest, 16) == 0;
}

/* Of what either of us holds and I know, what differs; then what I do not
 * know at all and should hold. */
static size_t differing(struct xis *xis, xn_peer peer, const Xn__Sync *sync,
                        char **names)
{
    size_t i, n = 0;

    for (i = 0; i < xis->tokens.n && n < XIS_SYNC_TOKENS_MAX; i++) {
        struct xis_token *token = xis->tokens.v[i];
        const Xn__TokenDigest *digest = digest_of(sync, token->name);

        if (same(token, digest) || (!digest && token->ads == 0)) continue;
        if (!xis_token_has_peer(xis, token, peer) &&
            !xis_token_held(xis, token)) {
            continue;
        }
        names[n++] = token->name;
    }
    for (i = 0; i < sync->n_tokens && n < XIS_SYNC_TOKENS_MAX; i++) {
        char *name = sync->tokens[i]->token;

        if (xis_token_find(xis, name) || !xis_name_held(xis, name)) continue;
        names[n++] = name;
    }
    return n;
}

void xis_serve_sync(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Sync *sync = XN_BODY(request->msg, Xn__Sync);
    Xn__SyncDiff diff = XN__SYNC_DIFF__INIT;
    char **names;

    if (!xis->loaded) {
        refuse(xis, now, request, XN_ENOTYET, out);
        return;
    }
    if (!request->direct || !is_sound(sync)) {
        refuse(xis, now, request, XN_EINVAL, out);
        return;
    }
    names = malloc(XIS_SYNC_TOKENS_MAX * sizeof *names);
    if (!names) {
        refuse(xis, now, request, XN_ENOMEM, out);
        return;
    }
    diff.n_tokens = differing(xis, request->from, sync, names);
    diff.tokens = names;
    diff.settled = xis->has_settled;
    ov_answer(xis->ov, now, request->token, 0, XN__KIND__SYNC_DIFF, &diff, out);
    free(names);
}

/* ---- OFFER */

struct bargain { /* an answer to an offer while it is made */
    struct xis *xis;
    const struct xn_now *now;
    const Xn__Offer *offer;
    uint64_t mark; /* of the tokens offered */
    Xn__Want want;
    Xn__SignedAd *rows;
    size_t bytes;
    size_t item; /* next of the offer's */
    xn_id last;  /* server looked at last */
    bool full;
};

static bool offer_is_sound(const Xn__Offer *offer)
{
    size_t i;

    if (offer->n_items > XIS_OFFER_MAX ||
        offer->n_tokens > XIS_SYNC_TOKENS_MAX) {
        return false;
    }
    if (offer->from.len && offer->from.len != XN_ID_SIZE) return false;
    if (offer->to.len && offer->to.len != XN_ID_SIZE) return false;
    for (i = 0; i < offer->n_items; i++) {
        const ProtobufCBinaryData *id = &offer->items[i]->server;

        if (id->len != XN_ID_SIZE) return false;
        if (i && memcmp(offer->items[i - 1]->server.data, id->data,
                        XN_ID_SIZE) >= 0) {
            return false;
        }
    }
    return true;
}

static bool is_marked(const struct xis_ad *ad, uint64_t mark)
{
    uint32_t i;

    if (ad->withdrawn) return true; /* concerns whoever has the ad */
    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i]->mark == mark) return true;
    }
    return false;
}

static void give(struct bargain *b, const struct xis_ad *ad)
{
    Xn__SignedAd *row = &b->rows[b->want.n_ads];
    size_t bytes = ad->lease->len + 32 + (ad->envelope ? ad->envelope->len : 0);

    if (b->want.n_ads == XIS_PUT_ADS_MAX ||
        b->bytes + bytes > XIS_PUT_BYTES_MAX) {
        b->full = true;
        return;
    }
    xn__signed_ad__init(row);
    row->lease = xis_blob_bytes(ad->lease);
    if (ad->envelope) row->envelope = xis_blob_bytes(ad->envelope);
    b->want.ads[b->want.n_ads++] = row;
    b->bytes += bytes;
}

static void take(struct bargain *b, const Xn__OfferItem *item)
{
    b->want.servers[b->want.n_servers++] = item->server;
}

/* The offer's items before this server are unknown here. */
static void take_before(struct bargain *b, const xn_id *server)
{
    while (b->item < b->offer->n_items) {
        const Xn__OfferItem *item = b->offer->items[b->item];

        if (server && memcmp(item->server.data, server->b, XN_ID_SIZE) >= 0) {
            return;
        }
        if (item->place) take(b, item);
        memcpy(b->last.b, item->server.data, XN_ID_SIZE);
        b->item++;
    }
}

static void compare(struct bargain *b, const struct xis_ad *ad)
{
    const Xn__OfferItem *item =
        b->item < b->offer->n_items ? b->offer->items[b->item] : NULL;

    if (item && memcmp(item->server.data, ad->server.b, XN_ID_SIZE)) {
        item = NULL;
    }
    if (!item) {
        if (is_marked(ad, b->mark)) give(b, ad);
    } else if (item->version > ad->version || (item->version == ad->version &&
                                               item->until_us > ad->lease_us)) {
        take(b, item);
    } else if (item->version < ad->version || item->until_us < ad->lease_us) {
        give(b, ad);
    }
    if (b->full) return; /* this one comes first next time */
    if (item) b->item++;
    b->last = ad->server;
}

static void walk(struct bargain *b, const xn_id *from, const xn_id *to)
{
    struct xis_place_in_order at = xis_order_after(&b->xis->ads, from);
    struct xis_ad *ad;

    while (!b->full && (ad = xis_order_next(&b->xis->ads, &at)) != NULL) {
        if (to && xn_id_cmp(&ad->server, to) > 0) break;
        if (ad->until_us <= b->now->wall_us) continue;
        take_before(b, &ad->server);
        compare(b, ad);
    }
    if (!b->full) take_before(b, NULL);
}

static int bargain(struct bargain *b)
{
    const Xn__Offer *offer = b->offer;
    xn_id from, to;
    size_t i;

    xn__want__init(&b->want);
    b->rows = malloc(XIS_PUT_ADS_MAX * sizeof *b->rows);
    b->want.ads = malloc(XIS_PUT_ADS_MAX * sizeof *b->want.ads);
    b->want.servers = malloc((offer->n_items + 1) * sizeof *b->want.servers);
    if (!b->rows || !b->want.ads || !b->want.servers) return XN_ENOMEM;
    b->mark = ++b->xis->stamp;
    for (i = 0; i < offer->n_tokens; i++) {
        struct xis_token *token = xis_token_find(b->xis, offer->tokens[i]);

        if (token) token->mark = b->mark;
    }
    walk(b, xn_id_from_bytes(&offer->from, &from) ? NULL : &from,
         xn_id_from_bytes(&offer->to, &to) ? NULL : &to);
    if (b->full) b->want.next = xn_id_bytes(&b->last);
    return 0;
}

void xis_serve_offer(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out)
{
    struct bargain b = {
        .xis = xis, .now = now, .offer = XN_BODY(request->msg, Xn__Offer)};
    int rc = XN_EINVAL;

    if (!xis->loaded)
        rc = XN_ENOTYET;
    else if (request->direct && offer_is_sound(b.offer))
        rc = bargain(&b);
    if (rc) {
        refuse(xis, now, request, rc, out);
    } else {
        ov_answer(xis->ov, now, request->token, 0, XN__KIND__WANT, &b.want,
                  out);
    }
    free(b.rows);
    free(b.want.ads);
    free(b.want.servers);
}

/* ---- HAVE */

void xis_serve_have(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Have *have = XN_BODY(request->msg, Xn__Have);
    Xn__HaveDone done = XN__HAVE_DONE__INIT;
    size_t i;
    xn_id id;

    if (have->n_items > XIS_HAVE_MAX) {
        refuse(xis, now, request, XN_ETOOBIG, out);
        return;
    }
    done.missing = malloc((have->n_items + 1) * sizeof *done.missing);
    if (!done.missing) {
        refuse(xis, now, request, XN_ENOMEM, out);
        return;
    }
    for (i = 0; i < have->n_items; i++) {
        const Xn__OfferItem *item = have->items[i];

        if (xn_id_from_bytes(&item->server, &id)) continue;
        if (xis_has(xis, &id, item->version, now)) continue;
        done.missing[done.n_missing++] = item->server;
    }
    ov_answer(xis->ov, now, request->token, 0, XN__KIND__HAVE_DONE, &done, out);
    free(done.missing);
}
