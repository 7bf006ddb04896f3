/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "index/xis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"

int xis_new(const struct xis_config *config, struct ov *ov, struct xn_rng *rng,
            struct xn_tickets *tickets, struct xis **xis_out)
{
    struct xis *xis = calloc(1, sizeof *xis);
    struct xis_config *c;

    if (!xis) return XN_ENOMEM;
    xis->config = *config;
    c = &xis->config;
    if (c->copies_near == 0) c->copies_near = 3;
    if (c->lease_us_max == 0) c->lease_us_max = AD_LEASE_US_MAX;
    if (c->sync_us == 0) c->sync_us = 60 * XIS_SECOND_US;
    if (c->grace_us == 0) c->grace_us = 15 * XIS_SECOND_US;
    if (c->ads_max == 0) c->ads_max = 1000000;
    xis->ov = ov;
    xis->rng = rng;
    xis->tickets = tickets;
    xis->view = 1;
    *xis_out = xis;
    return 0;
}

void xis_free(struct xis *xis)
{
    struct xis_ask *ask, *next;

    if (!xis) return;
    xis_sync_clear(xis);
    DL_FOREACH_SAFE(xis->asks, ask, next)
    {
        xis_ask_free(ask);
    }
    xis_pubs_clear(xis);
    xis_dests_clear(xis);
    xis_batches_clear(xis);
    xis_ads_clear(xis);
    xis_tokens_clear(xis);
    xis_rows_clear(&xis->rows);
    free(xis);
}

void xis_start(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    if (xis->loading || xis->loaded) return;
    xis->loading = true;
    xis->start_us = now->mono_us;
    xis_load_start(xis, now, out);
}

static void sweep_due(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis_ads_sweep(xis, now, out);
    xn_ticket(xis->tickets, now->mono_us + XIS_SWEEP_US, sweep_due, xis, NULL,
              out);
}

void xis_loaded(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->loading = false;
    xis->loaded = true;
    sweep_due(xis, NULL, now, 0, NULL, out);
    xis_sync_changed(xis, now, out);
}

/* ---- from the overlay */

static void find_deliver(struct xis *xis, const struct xn_now *now,
                         const struct ov_request *request, struct xn_out *out)
{
    const Xn__Find *find = XN_BODY(request->msg, Xn__Find);
    Xn__Found *found = NULL;
    int rc = 0;

    /* Whoever routed this here sees another ring than we do. */
    if (!request->direct && !xis_name_held(xis, find->token)) rc = XN_ENOTYET;
    if (rc == 0) rc = xis_find(xis, now, find, &found);
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__FOUND, found, out);
    xis_found_free(found);
}

void xis_deliver(struct xis *xis, const struct xn_now *now,
                 const struct ov_request *request, struct xn_out *out)
{
    switch (request->msg->kind) {
    case XN__KIND__PUT: xis_put_deliver(xis, now, request, out); break;
    case XN__KIND__FIND: find_deliver(xis, now, request, out); break;
    case XN__KIND__SYNC: xis_serve_sync(xis, now, request, out); break;
    case XN__KIND__OFFER: xis_serve_offer(xis, now, request, out); break;
    case XN__KIND__HAVE: xis_serve_have(xis, now, request, out); break;
    default:
        ov_answer(xis->ov, now, request->token, XN_EPROTO, 0, NULL, out);
        break;
    }
}

void xis_leaves_changed(struct xis *xis, const struct xn_now *now,
                        struct xn_out *out)
{
    xis->view++;
    if (xis->loaded) xis_sync_changed(xis, now, out);
    xis_pubs_view_changed(xis, now, out);
}

void xis_peer_changed(struct xis *xis, const struct xn_now *now, xn_peer peer,
                      bool joined, struct xn_out *out)
{
    xis->view++;
    if (!joined) {
        xis_dest_gone(xis, peer);
        xis_sync_gone(xis, now, peer, out);
    }
    xis_pubs_view_changed(xis, now, out);
}

/* ---- looking in */

size_t xis_ads(const struct xis *xis)
{
    return xis->n_live;
}

bool xis_settled(const struct xis *xis)
{
    return xis->loaded && xis->is_settled;
}

bool xis_has(const struct xis *xis, const xn_id *server, uint64_t version,
             const struct xn_now *now)
{
    const struct xis_ad *ad = xis_ad_find(xis, server);

    return ad && ad->version >= version && xis_ad_live(ad, now);
}

struct counts {
    size_t ads, live, tombs, blind;
    uint64_t postings;
};

static bool ad_check(const struct xis *xis, const struct xis_ad *ad,
                     struct counts *c, char *why, size_t len)
{
    uint32_t row;

    c->ads++;
    c->postings += ad->n_tokens;
    if (ad->withdrawn) {
        c->tombs++;
        c->blind += ad->blind;
        if (ad->n_rows || ad->n_tokens || ad->envelope) {
            snprintf(why, len, "a withdrawal has rows");
            return false;
        }
        return true;
    }
    c->live++;
    if (ad->n_rows == 0 || !ad->envelope) {
        snprintf(why, len, "an ad has no rows");
        return false;
    }
    for (row = ad->first_row; row < ad->first_row + ad->n_rows; row++) {
        if (row >= xis->rows.n || xis->rows.ad[row] != ad ||
            xis->rows.until_us[row] != ad->until_us) {
            snprintf(why, len, "row %u is not its ad's", row);
            return false;
        }
    }
    if (ad->pub && ad->pub->ad != ad) {
        snprintf(why, len, "a publication is another ad's");
        return false;
    }
    return true;
}

bool xis_check(const struct xis *xis, char *why, size_t len)
{
    struct xis_place_in_order at = {0, 0};
    const struct xis_ad *ad, *before = NULL;
    struct counts c = {0};
    uint64_t postings = 0;
    size_t i;

    while ((ad = xis_order_next(&xis->ads, &at)) != NULL) {
        if (before && xn_id_cmp(&before->server, &ad->server) >= 0) {
            snprintf(why, len, "ads are out of order");
            return false;
        }
        before = ad;
        if (!ad_check(xis, ad, &c, why, len)) return false;
    }
    for (i = 0; i < xis->tokens.n; i++)
        postings += xis->tokens.v[i]->ads;
    if (c.ads != xis->ads.n || c.live != xis->n_live ||
        c.tombs != xis->n_tombs || c.blind != xis->n_blind ||
        c.postings != postings) {
        snprintf(why, len,
                 "counts differ: %zu/%zu ads, %zu/%zu live, %zu/%zu withdrawn",
                 c.ads, xis->ads.n, c.live, xis->n_live, c.tombs, xis->n_tombs);
        return false;
    }
    return true;
}
