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
    xis_session_drop(xis);
    xis_ops_clear(xis);
    xis_pubs_clear(xis);
    xis_batches_clear(xis);
    while (xis->asks)
        xis_ask_free(xis->asks);
    xis_dests_clear(xis);
    xis_ads_clear(xis);
    xis_rows_clear(&xis->rows);
    xis_order_clear(&xis->ads);
    xis_tokens_clear(xis);
    xis_view_set(&xis->leaves, NULL);
    xis_view_set(&xis->settled, NULL);
    xis_view_set(&xis->before, NULL);
    free(xis->served);
    free(xis);
}

const struct xis_config *xis_self(const struct xis *xis)
{
    return &xis->config;
}

static void sweep(void *owner, void *ctx, const struct xn_now *now, int rc,
                  struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;

    (void)ctx, (void)rc, (void)msg;
    xis->sweeping = false;
    /* By a wrong clock live ads look dead. */
    if (!ov_clock_off_s(xis->ov)) xis_ads_sweep(xis, now, out);
    xis_sweep_later(xis, now, out);
}

/* Where nothing is held nothing ages.  And not before all is read: a document
 * whose lease is not read yet looks expired. */
void xis_sweep_later(struct xis *xis, const struct xn_now *now,
                     struct xn_out *out)
{
    if (xis->sweeping || !xis->loaded || xis->ads.n == 0) return;
    xis->sweeping = xn_ticket(xis->tickets, now->mono_us + XIS_SWEEP_US, sweep,
                              xis, NULL, out) != 0;
}

void xis_start(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->start_us = now->mono_us;
    xis_load_start(xis, now, out);
}

void xis_stand(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->start_us = now->mono_us;
    xis->loaded = true;
    xis_settle_stand(xis, now, out);
}

void xis_loaded(struct xis *xis, const struct xn_now *now, struct xn_out *out)
{
    xis->loaded = true;
    sweep(xis, NULL, now, 0, NULL, out);
    xis_settle_changed(xis, now, out);
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
    if (xis->loaded) xis_settle_changed(xis, now, out);
    xis_pubs_view_changed(xis, now, out);
}

void xis_peer_changed(struct xis *xis, const struct xn_now *now, xn_peer peer,
                      bool joined, struct xn_out *out)
{
    xis->view++;
    if (!joined) {
        xis_dest_gone(xis, peer);
        xis_settle_gone(xis, now, peer, out);
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

bool xis_keeps(const struct xis *xis, const xn_id *server, uint64_t version,
               const struct xn_now *then)
{
    const struct xis_ad *ad = xis_ad_find(xis, server);

    return xis_has(xis, server, version, then) && ad->kept_version >= version &&
           ad->kept_lease_us > then->wall_us;
}

/* ---- does it hold together? */

struct counts {
    size_t ads, live, tombs, blind;
    uint64_t postings;
};

/* NULL: it is sound. */
static const char *ad_fault(const struct xis *xis, const struct xis_ad *ad)
{
    uint32_t row, end = ad->first_row + ad->n_rows;

    if (ad->pub && ad->pub->ad != ad) return "a publication is another ad's";
    if (ad->withdrawn) {
        return ad->n_rows || ad->n_tokens || ad->envelope || ad->xml
                   ? "a withdrawal has rows"
                   : NULL;
    }
    if (ad->n_rows == 0 || !ad->envelope) return "an ad has no rows";
    if (ad->xml && ad->kept_version == ad->version) {
        return "a document is kept twice";
    }
    for (row = ad->first_row; row < end; row++) {
        if (row >= xis->rows.n || xis->rows.ad[row] != ad ||
            xis->rows.until_us[row] != ad->until_us) {
            return "a row is not its ad's";
        }
    }
    return NULL;
}

static const char *count_ads(const struct xis *xis, struct counts *c)
{
    struct xis_place_in_order at = {0, 0};
    const struct xis_ad *ad, *before = NULL;
    const char *fault = NULL;

    while (!fault && (ad = xis_order_next(&xis->ads, &at)) != NULL) {
        c->ads++;
        c->live += !ad->withdrawn;
        c->tombs += ad->withdrawn;
        c->blind += ad->blind;
        c->postings += ad->n_tokens;
        fault = ad_fault(xis, ad);
        if (before && xn_id_cmp(&before->server, &ad->server) >= 0) {
            fault = "ads are out of order";
        }
        before = ad;
    }
    return fault;
}

bool xis_check(const struct xis *xis, char *why_out, size_t len)
{
    struct counts c = {0};
    const char *fault = count_ads(xis, &c);
    size_t i;

    for (i = 0; i < xis->tokens.n; i++)
        c.postings -= xis->tokens.v[i]->ads;
    if (fault) {
        snprintf(why_out, len, "index: %s", fault);
        return false;
    }
    if (c.ads == xis->ads.n && c.live == xis->n_live &&
        c.tombs == xis->n_tombs && c.blind == xis->n_blind && c.postings == 0) {
        return true;
    }
    snprintf(why_out, len,
             "index: counts differ: %zu/%zu ads, %zu/%u live, %zu/%u "
             "withdrawn, %zu/%u blind, %lld postings",
             c.ads, xis->ads.n, c.live, xis->n_live, c.tombs, xis->n_tombs,
             c.blind, xis->n_blind, (long long)c.postings);
    return false;
}
