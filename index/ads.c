/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"

struct xis_ad *xis_ad_find(const struct xis *xis, const xn_id *server)
{
    return xis_order_find(&xis->ads, server);
}

bool xis_ad_live(const struct xis_ad *ad, const struct xn_now *now)
{
    return !ad->withdrawn && ad->until_us > now->wall_us;
}

bool xis_ad_has(const struct xis_ad *ad, const struct xis_token *token)
{
    uint32_t i;

    for (i = 0; i < ad->n_tokens; i++) {
        if (ad->tokens[i] == token) return true;
    }
    return false;
}

bool xis_ad_held(struct xis *xis, const struct xis_ad *ad)
{
    uint32_t i;

    for (i = 0; i < ad->n_tokens; i++) {
        if (xis_token_held(xis, ad->tokens[i])) return true;
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

bool xis_ad_is_kept(const struct xis_ad *ad)
{
    return ad->kept_version == ad->version && ad->kept_lease_us == ad->lease_us;
}

void xis_ad_kept(struct xis_ad *ad, uint64_t version, uint64_t lease_us)
{
    ad->kept_version = version;
    ad->kept_lease_us = lease_us;
    if (ad->version != version) return;
    xis_blob_drop(ad->xml);
    ad->xml = NULL;
}

bool xis_ad_may_change(const struct xis_ad *ad, const struct xn_now *now)
{
    return now->wall_us >= ad->changes_us + 60 * XIS_SECOND_US ||
           now->wall_us < ad->changes_us || ad->changes < XIS_CHANGES_MAX;
}

static void count_change(struct xis_ad *ad, const struct xn_now *now)
{
    if (now->wall_us >= ad->changes_us + 60 * XIS_SECOND_US ||
        now->wall_us < ad->changes_us) {
        ad->changes_us = now->wall_us;
        ad->changes = 0;
    }
    ad->changes++;
}

/* ---- digests */

static void xor_digest(const struct xis_ad *ad)
{
    uint32_t i, k;

    for (i = 0; i < ad->n_tokens; i++) {
        for (k = 0; k < sizeof ad->digest; k++)
            ad->tokens[i]->digest[k] ^= ad->digest[k];
    }
}

static void put_u64(uint8_t *to, uint64_t v)
{
    int i;

    for (i = 7; i >= 0; i--, v >>= 8)
        to[i] = (uint8_t)v;
}

static void digest_of(struct xis_ad *ad)
{
    uint8_t bytes[XN_ID_SIZE + 16];
    xn_id hash;

    memcpy(bytes, ad->server.b, XN_ID_SIZE);
    put_u64(bytes + XN_ID_SIZE, ad->version);
    put_u64(bytes + XN_ID_SIZE + 8, ad->lease_us);
    xn_id_hash(bytes, sizeof bytes, &hash);
    memcpy(ad->digest, hash.b, sizeof ad->digest);
}

/* ---- rows */

/* The document's part of an ad leaves; the server's entry stays. */
static void empty(struct xis *xis, struct xis_ad *ad)
{
    uint32_t i, row;

    for (i = 0; i < ad->n_tokens; i++) {
        struct xis_token *token = ad->tokens[i];

        for (row = ad->first_row; row < ad->first_row + ad->n_rows; row++)
            xis_column_unset(&token->column, row);
    }
    /* Whole ads alone are counted: a half-filled one has no envelope yet. */
    if (ad->envelope) {
        xor_digest(ad);
        for (i = 0; i < ad->n_tokens; i++)
            ad->tokens[i]->ads--;
        xis->n_live--;
    }
    for (i = 0; i < ad->n_tokens; i++)
        xis_token_drop(xis, ad->tokens[i]);
    free(ad->tokens);
    ad->tokens = NULL;
    ad->n_tokens = 0;
    if (ad->n_rows) xis_rows_give(&xis->rows, ad->first_row, ad->n_rows);
    ad->n_rows = 0;
    xis_blob_drop(ad->envelope);
    xis_blob_drop(ad->lease);
    xis_blob_drop(ad->xml);
    ad->envelope = ad->lease = ad->xml = NULL;
    if (ad->withdrawn) xis->n_tombs--;
    if (ad->blind) xis->n_blind--;
    ad->withdrawn = ad->blind = false;
}

static int take_token(struct xis *xis, struct xis_ad *ad, const char *name)
{
    struct xis_token *token = xis_token_take(xis, name);

    if (!token) return XN_ENOMEM;
    ad->tokens[ad->n_tokens++] = token;
    return 0;
}

/* Its own, and in their order the shard of its server's id, under which it has
 * no value (unless it has an element of that name). */
static int take_tokens(struct xis *xis, struct xis_ad *ad,
                       const struct advert *advert)
{
    char shard[XN_TOKEN_SERVER_SIZE];
    bool taken = false;
    size_t i;
    int rc;

    xn_token_server(&ad->server, shard);
    ad->tokens = calloc(advert->n_tokens + 1, sizeof *ad->tokens);
    if (!ad->tokens) return XN_ENOMEM;
    for (i = 0; i < advert->n_tokens; i++) {
        int cmp = taken ? 1 : strcmp(advert->tokens[i], shard);

        if (cmp > 0 && !taken) {
            rc = take_token(xis, ad, shard);
            if (rc) return rc;
        }
        taken = taken || cmp >= 0;
        rc = take_token(xis, ad, advert->tokens[i]);
        if (rc) return rc;
    }
    return taken ? 0 : take_token(xis, ad, shard);
}

/* Both the row's values and the ad's tokens are sorted by name. */
static int fill_row(struct xis *xis, struct xis_ad *ad,
                    const struct advert_row *from, uint32_t row)
{
    uint32_t t = 0;
    size_t i;
    int rc;

    for (i = 0; i < from->n; i++) {
        const struct advert_value *value = from->values[i];
        struct query_cell cell = {value->text, value->is_number, value->number};

        while (t < ad->n_tokens && strcmp(ad->tokens[t]->name, value->token))
            t++;
        if (t == ad->n_tokens) return XN_EINVAL;
        rc = xis_column_set(&ad->tokens[t]->column, row, xis->rows.n, &cell);
        if (rc) return rc;
    }
    return 0;
}

static int fill(struct xis *xis, struct xis_ad *ad, const struct advert *advert)
{
    uint32_t n = (uint32_t)advert->n_rows, i;
    int rc;

    if (n == 0 || n > ADVERT_ROWS_MAX) return XN_EINVAL;
    rc = take_tokens(xis, ad, advert);
    if (rc) return rc;
    rc = xis_rows_take(&xis->rows, n, ad, &ad->first_row);
    if (rc) return rc;
    ad->n_rows = n;
    for (i = 0; i < n; i++) {
        rc = fill_row(xis, ad, &advert->rows[i], ad->first_row + i);
        if (rc) return rc;
    }
    return 0;
}

/* ---- leases */

/* A lease that outlasts the server's certificate ends with it. */
static void set_lease(struct xis *xis, struct xis_ad *ad,
                      const struct ad_lease *lease)
{
    uint32_t i;

    ad->txn = 0; /* whatever carries it now carries something older */
    ad->lease_us = lease->until_us;
    ad->issued_us = lease->issued_us;
    ad->until_us = lease->until_us;
    if (ad->not_after_us && ad->not_after_us < ad->until_us) {
        ad->until_us = ad->not_after_us;
    }
    for (i = 0; i < ad->n_rows; i++)
        xis->rows.until_us[ad->first_row + i] = ad->until_us;
}

/* The entry of this server, new where there is none. */
static struct xis_ad *entry(struct xis *xis, const xn_id *server)
{
    struct xis_ad *ad = xis_ad_find(xis, server);

    if (ad) return ad;
    ad = calloc(1, sizeof *ad);
    if (!ad) return NULL;
    ad->server = *server;
    if (xis_order_add(&xis->ads, ad)) {
        free(ad);
        return NULL;
    }
    return ad;
}

int xis_ad_put(struct xis *xis, const struct xn_now *now,
               const struct ad_lease *lease,
               const struct xis_document *document, struct xis_ad **ad_out)
{
    struct xis_ad *ad = entry(xis, &lease->server);
    uint32_t i;
    int rc;

    if (!ad) return XN_ENOMEM;
    if (ad->pub) xis_pub_replaced(xis, ad->pub);
    empty(xis, ad);
    rc = fill(xis, ad, document->advert);
    if (rc) {
        xis_ad_remove(xis, ad);
        return rc;
    }
    count_change(ad, now);
    ad->document = lease->document;
    ad->version = lease->version;
    ad->not_after_us = document->not_after_us;
    ad->corp = document->corp;
    ad->orphan_us = 0;
    ad->envelope = xis_blob_ref(document->envelope);
    ad->lease = xis_blob_ref(document->lease);
    ad->xml = xis_blob_ref(document->xml);
    set_lease(xis, ad, lease);
    digest_of(ad);
    xor_digest(ad);
    for (i = 0; i < ad->n_tokens; i++)
        ad->tokens[i]->ads++;
    xis->n_live++;
    xis_pub_changed(ad);
    *ad_out = ad;
    return 0;
}

void xis_ad_renew(struct xis *xis, struct xis_ad *ad,
                  const struct ad_lease *lease, struct xis_blob *lease_blob)
{
    xor_digest(ad);
    xis_blob_ref(lease_blob);
    xis_blob_drop(ad->lease);
    ad->lease = lease_blob;
    set_lease(xis, ad, lease);
    digest_of(ad);
    xor_digest(ad);
}

int xis_ad_withdraw(struct xis *xis, const struct ad_lease *lease,
                    struct xis_blob *lease_blob, struct xis_ad **ad_out)
{
    struct xis_ad *ad = xis_ad_find(xis, &lease->server);
    bool blind = !ad || ad->blind;

    if (!ad && (xis->n_tombs >= XIS_TOMBS_MAX ||
                xis->n_blind >= XIS_TOMBS_BLIND_MAX)) {
        return XN_EBUSY;
    }
    ad = entry(xis, &lease->server);
    if (!ad) return XN_ENOMEM;
    if (ad->pub) xis_pub_replaced(xis, ad->pub);
    empty(xis, ad);
    memset(&ad->document, 0, sizeof ad->document);
    ad->version = lease->version;
    ad->not_after_us = 0;
    ad->withdrawn = true;
    ad->blind = blind;
    ad->lease = xis_blob_ref(lease_blob);
    set_lease(xis, ad, lease);
    /* Kept for as long as an older version's lease could still hold. */
    ad->until_us =
        lease->issued_us + xis->config.lease_us_max + AD_AHEAD_US_MAX;
    xis->n_tombs++;
    if (blind) xis->n_blind++;
    xis_pub_changed(ad);
    *ad_out = ad;
    return 0;
}

static void ad_free(struct xis_ad *ad)
{
    xis_blob_drop(ad->envelope);
    xis_blob_drop(ad->lease);
    xis_blob_drop(ad->xml);
    free(ad->tokens);
    free(ad);
}

void xis_ad_remove(struct xis *xis, struct xis_ad *ad)
{
    empty(xis, ad);
    if (ad->pub) xis_pub_forget(xis, ad->pub);
    xis_order_remove(&xis->ads, ad);
    ad_free(ad);
}

#define REVOKE_MAX 256 /* at once: removing disturbs the walk */

static size_t some_revoked(const struct xis *xis, struct xis_ad **gone_out)
{
    struct xis_place_in_order at = {0, 0};
    struct xis_ad *ad;
    size_t n = 0;

    while (n < REVOKE_MAX && (ad = xis_order_next(&xis->ads, &at)) != NULL) {
        if (!ad->withdrawn &&
            revoked_has(xis->config.revoked, &ad->corp, &ad->server)) {
            gone_out[n++] = ad;
        }
    }
    return n;
}

void xis_revoke(struct xis *xis, struct xn_out *out)
{
    struct xis_ad *gone[REVOKE_MAX];
    struct xis_writes writes = {0};
    size_t n, i;

    while ((n = some_revoked(xis, gone)) > 0) {
        for (i = 0; i < n; i++) {
            xis_write_drop(&writes, &gone[i]->server, true);
            xis_ad_remove(xis, gone[i]);
        }
    }
    if (writes.n) xis_writes_commit(&writes, 0, out);
    xis_writes_clear(&writes);
}

void xis_ads_clear(struct xis *xis)
{
    struct xis_place_in_order at = {0, 0};
    struct xis_ad *ad;

    while ((ad = xis_order_next(&xis->ads, &at)) != NULL)
        ad_free(ad);
    xis_order_clear(&xis->ads);
}

/* ---- the end of ads */

/* No place here: handed over long ago, or never ours. */
static bool is_orphan(struct xis *xis, struct xis_ad *ad,
                      const struct xn_now *now)
{
    if (ad->withdrawn || ad->pub || !xis->is_settled || xis_ad_held(xis, ad)) {
        ad->orphan_us = 0;
        return false;
    }
    if (!ad->orphan_us) ad->orphan_us = now->mono_us;
    return now->mono_us >= ad->orphan_us + XIS_ORPHAN_US;
}

#define SWEEP_MAX 8192
#define REMOVE_MAX 512

/* Answers look at leases themselves: this only gives room back, some at a
 * time. */
void xis_ads_sweep(struct xis *xis, const struct xn_now *now,
                   struct xn_out *out)
{
    struct xis_ad *ad, *gone[REMOVE_MAX];
    struct xis_place_in_order at =
        xis_order_after(&xis->ads, xis->sweep_begun ? &xis->last : NULL);
    struct xis_writes writes = {0};
    size_t n = 0, seen = 0, i;

    while (seen++ < SWEEP_MAX && n < REMOVE_MAX &&
           (ad = xis_order_next(&xis->ads, &at)) != NULL) {
        xis->last = ad->server;
        if (ad->until_us <= now->wall_us || is_orphan(xis, ad, now)) {
            gone[n++] = ad;
        }
    }
    xis->sweep_begun = seen > SWEEP_MAX || n == REMOVE_MAX;
    for (i = 0; i < n; i++) {
        xis_write_drop(&writes, &gone[i]->server, true);
        xis_ad_remove(xis, gone[i]);
    }
    if (n) xis_writes_commit(&writes, 0, out);
    xis_writes_clear(&writes);
}
