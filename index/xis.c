/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One node's shard: lifecycle, and requests to the part that serves them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

int xis_new(const struct xis_config *config, struct ov *ov, struct xn_rng *rng,
            struct xn_tickets *tickets, struct xis **xis_out)
{
    struct xis *xis = calloc(1, sizeof *xis);

    if (!xis) return XN_ENOMEM;
    xis->config = *config;
    xis->ov = ov;
    xis->rng = rng;
    xis->tickets = tickets;
    xis->view = 1;
    *xis_out = xis;
    return 0;
}

void xis_free(struct xis *xis)
{
    if (!xis) return;
    xis_sync_clear(xis);
    xis_pubs_clear(xis);
    xis_batches_clear(xis);
    while (xis->asks)
        xis_ask_free(xis->asks);
    xis_dests_clear(xis);
    xis_ads_clear(xis);
    xis_rows_clear(&xis->rows);
    xis_order_clear(&xis->ads);
    xis_tokens_clear(xis);
    free(xis);
}

static void sweep(void *owner, void *ctx, const struct xn_now *now, int rc,
                  struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis_ads_sweep(xis, now, out);
    xn_ticket(xis->tickets, now->mono_us + XIS_SWEEP_US, sweep, xis, NULL, out);
}

void xis_start(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->start_us = now->mono_us;
    xis_load_start(xis, now, out);
}

void xis_loaded(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->loaded = true;
    /* Not before: a document whose lease is not read yet looks expired. */
    sweep(xis, NULL, now, 0, NULL, out);
    xis_sync_start(xis, now, out);
}

static void find_deliver(struct xis *xis, const struct xn_now *now,
                         const struct ov_request *request, struct xn_out *out)
{
    const Xn__Find *find = XN_BODY(request->msg, Xn__Find);
    Xn__Found *found = NULL;
    int rc = XN_ENOTYET;

    /* Whoever routed this here sees another ring than we do. */
    if (request->direct || xis_name_held(xis, find->token)) {
        rc = xis_find(xis, now, find, &found);
    }
    ov_answer(xis->ov, now, request->token, rc, XN__KIND__FOUND, found, out);
    if (found) xis_found_free(found);
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
        ov_answer(xis->ov, now, request->token, XN_EREFUSED, 0, NULL, out);
        break;
    }
}

void xis_leaves_changed(struct xis *xis, const struct xn_now *now,
                        struct xn_out *out)
{
    xis->view++;
    xis->changed_us = now->mono_us;
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

size_t xis_ads(const struct xis *xis)
{
    return xis->n_live;
}

bool xis_settled(const struct xis *xis)
{
    return xis->is_settled;
}

bool xis_has(const struct xis *xis, const xn_id *server, uint64_t version,
             const struct xn_now *now)
{
    const struct xis_ad *ad = xis_ad_find(xis, server);

    return ad && !ad->withdrawn && ad->version >= version &&
           xis_ad_live(ad, now);
}

/* Do the tokens' counts and digests agree with the ads? */
bool xis_check(const struct xis *xis, char *why_out, size_t len)
{
    struct xis_place_in_order at = xis_order_after(&xis->ads, NULL);
    const struct xis_ad *ad;
    size_t live = 0, tombs = 0, uses = 0, i;

    while ((ad = xis_order_next(&xis->ads, &at)) != NULL) {
        live += !ad->withdrawn;
        tombs += ad->withdrawn;
        uses += ad->withdrawn ? 0 : ad->n_tokens;
    }
    for (i = 0; i < xis->tokens.n; i++)
        uses -= xis->tokens.v[i]->ads;
    if (live == xis->n_live && tombs == xis->n_tombs && uses == 0) return true;
    snprintf(why_out, len,
             "index: %zu ads, counted %zu; %zu withdrawals, "
             "counted %zu; tokens off by %zd",
             xis->n_live, live, xis->n_tombs, tombs, (ssize_t)uses);
    return false;
}
