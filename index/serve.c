/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The side that is asked: what do we have that you lack, what do you have that
 * we want? Nothing is remembered between two questions but how many there were
 * of each peer in this second. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

/* As near as somebody may be who takes us for a neighbour, and more. */
static bool is_near(const struct xis *xis, xn_peer peer)
{
    xn_peer peers[4 * XIS_SIDE];
    size_t n = ov_beside(xis->ov, 2 * XIS_SIDE, peers), i;

    for (i = 0; i < n; i++)
        if (peers[i] == peer) return true;
    return false;
}

/* Those who are no neighbours take no neighbour's place. */
static bool is_served(struct xis *xis, const struct xn_now *now, xn_peer peer)
{
    size_t i;

    if (!xis->served) {
        xis->served = calloc(XIS_SERVED_MAX, sizeof *xis->served);
        if (!xis->served) return false;
    }
    if (now->mono_us >= xis->served_us + XIS_SECOND_US) {
        xis->served_us = now->mono_us;
        xis->n_served = 0;
    }
    for (i = 0; i < xis->n_served; i++) {
        if (xis->served[i].peer == peer) break;
    }
    if (i == xis->n_served) {
        if (i == XIS_SERVED_MAX) return false;
        if (i >= XIS_SERVED_FAR && !is_near(xis, peer)) return false;
        xis->served[xis->n_served++] = (struct xis_served){.peer = peer};
    }
    return ++xis->served[i].n <= XIS_SERVES_MAX;
}

static int admit(struct xis *xis, const struct xn_now *now,
                 const struct ov_request *request)
{
    if (!request->direct || request->from == XN_PEER_SELF) return XN_EINVAL;
    if (!xis->loaded) return XN_ENOTYET;
    return is_served(xis, now, request->from) ? 0 : XN_EBUSY;
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
    return *sync->to && strcmp(before, sync->to) > 0 ? XN_EINVAL : 0;
}

static bool equal(const struct xis_token *token, const Xn__TokenDigest *d)
{
    return token->ads == d->ads && d->digest.len == sizeof token->digest &&
           memcmp(token->digest, d->digest.data, sizeof token->digest) == 0;
}

/* Is that which we have under this token other than what they have, and is the
 * exchange about it? */
static bool ours_differs(struct xis *xis, xn_peer peer, struct xis_token *token,
                         const Xn__TokenDigest *theirs, bool whole)
{
    bool us, them;

    if (theirs ? equal(token, theirs) : token->ads == 0) return false;
    us = xis_token_held(xis, token);
    them = xis_token_has_peer(xis, token, peer);
    return whole ? us || them : us && them;
}

/* Names what differs in the part asked about; both lists are sorted by name.
 * Where there is no room for all, `to` is the last name that was compared. */
static void compare(struct xis *xis, xn_peer peer, const Xn__Sync *sync,
                    char **names, Xn__SyncDiff *diff)
{
    const struct xis_tokens *ours = &xis->tokens;
    size_t at = *sync->from ? xis_token_after(xis, sync->from) : 0, i = 0;

    for (;;) {
        struct xis_token *token = at < ours->n ? ours->v[at] : NULL;
        const Xn__TokenDigest *theirs =
            i < sync->n_tokens ? sync->tokens[i] : NULL;
        bool differs;
        char *name;
        int cmp;

        if (token && *sync->to && strcmp(token->name, sync->to) > 0) {
            token = NULL;
        }
        if (!token && !theirs) return;
        cmp = !token ? 1 : !theirs ? -1 : strcmp(token->name, theirs->token);
        name = cmp > 0 ? theirs->token : token->name;
        differs = cmp > 0 ? xis_name_held(xis, name)
                          : ours_differs(xis, peer, token,
                                         cmp == 0 ? theirs : NULL, sync->whole);
        if (differs && diff->n_tokens == XIS_SYNC_TOKENS_MAX) {
            diff->to = names[diff->n_tokens - 1];
            return;
        }
        if (differs) names[diff->n_tokens++] = name;
        at += cmp <= 0;
        i += cmp >= 0;
    }
}

void xis_serve_sync(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Sync *sync = XN_BODY(request->msg, Xn__Sync);
    Xn__SyncDiff diff = XN__SYNC_DIFF__INIT;
    char **names = NULL;
    int rc = admit(xis, now, request);

    if (rc == 0) rc = sync_check(sync);
    if (rc) goto out;
    rc = XN_ENOMEM;
    names = malloc(XIS_SYNC_TOKENS_MAX * sizeof *names);
    if (!names) goto out;
    compare(xis, request->from, sync, names, &diff);
    diff.tokens = names;
    diff.settled = xis->has_settled;
    diff.fresh = !xis->has_settled;
    diff.grace_ms = xis_grace_ms(xis, now);
    rc = 0;
    if (sync->whole && sync->settled && !*sync->from && !*sync->to &&
        diff.n_tokens == 0) {
        xis_settle_agreed(xis, now, request->from, sync->grace_ms, out);
    }
out:
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__SYNC_DIFF, &diff,
              out);
    free(names);
}

/* ---- OFFER */

/* An answer while it is made. */
struct bargain {
    struct xis *xis;
    const struct xn_now *now;
    xn_peer peer;
    const Xn__Offer *offer;
    xn_id from, to;
    struct xis_walk walk;
    struct xis_parcel parcel;
    ProtobufCBinaryData *wanted;
    size_t n_wanted;
    xn_id next; /* the last server looked at */
};

static int range_check(struct bargain *b)
{
    const Xn__Offer *offer = b->offer;

    if (offer->from.len && xn_id_from_bytes(&offer->from, &b->from)) {
        return XN_EINVAL;
    }
    if (offer->to.len && xn_id_from_bytes(&offer->to, &b->to)) {
        return XN_EINVAL;
    }
    if (offer->from.len && offer->to.len && xn_id_cmp(&b->from, &b->to) >= 0) {
        return XN_EINVAL;
    }
    return 0;
}

static int offer_check(struct bargain *b)
{
    const Xn__Offer *offer = b->offer;
    const xn_id *before;
    xn_id id, last;
    size_t i;

    if (offer->n_items > XIS_OFFER_MAX) return XN_ETOOBIG;
    if (offer->n_tokens > XIS_SYNC_TOKENS_MAX) return XN_ETOOBIG;
    if (range_check(b)) return XN_EINVAL;
    before = offer->from.len ? &b->from : NULL;
    for (i = 0; i < offer->n_items; i++) {
        if (xn_id_from_bytes(&offer->items[i]->server, &id)) return XN_EINVAL;
        if (before && xn_id_cmp(before, &id) >= 0) return XN_EINVAL;
        last = id;
        before = &last;
    }
    if (!before || !offer->to.len) return 0;
    return xn_id_cmp(before, &b->to) > 0 ? XN_EINVAL : 0;
}

/* We have it under a token that differs, they do not say that they have it.
 * false: the answer is full. */
static bool look_ours(struct bargain *b, const struct xis_ad *ad)
{
    if (!ad->withdrawn && !xis_ad_has_peer(b->xis, ad, b->peer)) return true;
    return xis_parcel_add(&b->parcel, ad, false);
}

/* They have it; `ad` is what we have of that server, NULL: nothing. */
static bool look_item(struct bargain *b, const struct xis_ad *ad,
                      const Xn__OfferItem *item)
{
    if (ad && ad->until_us <= b->now->wall_us) ad = NULL;
    if (!ad ? item->place
            : item->version > ad->version || (item->version == ad->version &&
                                              item->until_us > ad->lease_us)) {
        b->wanted[b->n_wanted++] = item->server;
        return true;
    }
    if (!ad) return true;
    if (item->version == ad->version && item->until_us == ad->lease_us) {
        return true;
    }
    /* Of the same version they lack the lease alone. */
    return xis_parcel_add(&b->parcel, ad, item->version == ad->version);
}

/* The next of our ads that concern the offer; NULL: no more in its range, or
 * within reach. */
static struct xis_ad *next_ours(struct bargain *b)
{
    struct xis_ad *ad;

    do {
        ad = xis_walk_next(&b->walk);
        if (!ad) return NULL;
        if (b->offer->to.len && xn_id_cmp(&ad->server, &b->to) > 0) {
            b->walk.more = false;
            return NULL;
        }
    } while (ad->until_us <= b->now->wall_us);
    return ad;
}

/* Ours and theirs side by side in the order of ids. True: to the range's end;
 * else b->next is where it stopped. One ad alone always fits, so that this
 * always goes on. */
static bool look_range(struct bargain *b)
{
    const Xn__Offer *offer = b->offer;
    struct xis_ad *ad = next_ours(b);
    size_t i = 0;
    xn_id id;

    for (;;) {
        const Xn__OfferItem *item = i < offer->n_items ? offer->items[i] : NULL;
        int cmp;

        if (item) xn_id_from_bytes(&item->server, &id);
        if (!ad && b->walk.more &&
            (!item || xn_id_cmp(&id, &b->walk.last) > 0)) {
            b->next = b->walk.last; /* as far as we looked */
            return offer->to.len && xn_id_cmp(&b->next, &b->to) >= 0;
        }
        if (!ad && !item) return true;
        cmp = !ad ? 1 : !item ? -1 : xn_id_cmp(&ad->server, &id);
        if (cmp < 0 ? !look_ours(b, ad)
                    : !look_item(b, xis_ad_find(b->xis, &id), item)) {
            return false;
        }
        b->next = cmp < 0 ? ad->server : id;
        if (cmp <= 0) ad = next_ours(b);
        i += cmp >= 0;
    }
}

static int bargain_init(struct bargain *b)
{
    const Xn__Offer *offer = b->offer;
    int rc =
        xis_parcel_init(&b->parcel, XIS_WANT_ADS_MAX, XIS_ANSWER_BYTES_MAX);

    if (rc) return rc;
    b->wanted = malloc((offer->n_items + 1) * sizeof *b->wanted);
    if (!b->wanted) return XN_ENOMEM;
    return xis_walk_start(&b->walk, b->xis, offer->tokens, offer->n_tokens,
                          offer->from.len ? &b->from : NULL);
}

void xis_serve_offer(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out)
{
    struct bargain b = {.xis = xis,
                        .now = now,
                        .peer = request->from,
                        .offer = XN_BODY(request->msg, Xn__Offer)};
    Xn__Want want = XN__WANT__INIT;
    int rc = admit(xis, now, request);

    if (rc == 0) rc = offer_check(&b);
    if (rc == 0) rc = bargain_init(&b);
    if (rc == 0) {
        if (!look_range(&b)) want.next = xn_id_bytes(&b.next);
        want.ads = b.parcel.list;
        want.n_ads = b.parcel.n;
        want.servers = b.wanted;
        want.n_servers = b.n_wanted;
    }
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__WANT, &want, out);
    xis_walk_clear(&b.walk);
    xis_parcel_clear(&b.parcel);
    free(b.wanted);
}

/* ---- HAVE */

/* Held, live and durable? */
static bool is_had(const struct xis *xis, const struct xn_now *now,
                   const xn_id *server, uint64_t version)
{
    const struct xis_ad *ad = xis_ad_find(xis, server);

    return xis_has(xis, server, version, now) && ad->kept_version >= version;
}

void xis_serve_have(struct xis *xis, const struct xn_now *now,
                    const struct ov_request *request, struct xn_out *out)
{
    const Xn__Have *have = XN_BODY(request->msg, Xn__Have);
    Xn__HaveDone done = XN__HAVE_DONE__INIT;
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
    done.missing = missing;
    for (i = 0; i < have->n_items; i++) {
        rc = xn_id_from_bytes(&have->items[i]->server, &id);
        if (rc) goto out;
        if (is_had(xis, now, &id, have->items[i]->version)) continue;
        missing[done.n_missing++] = have->items[i]->server;
    }
    rc = 0;
out:
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__HAVE_DONE, &done,
              out);
    free(missing);
}
