/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accepting advertisements.  A batch is what came in one message; each of its
 * ads is a check that goes through these steps, in the order of this file's
 * second half:
 *
 *   begin      what the lease claims, unverified, may already show that the
 *              ad is old news: that costs nobody a signature
 *   lease      its signature is right and it holds now; a new lease for a
 *              document that we hold ends here
 *   envelope   the document's signature is right and both belong together
 *
 * The ad then stands in the table. When all checks of the batch have ended,
 * whatever it is about to confirm and is not durable yet is written as it then
 * stands, in one TXN, unless another batch's TXN carries it already; TXNs end
 * in their order, so that the end of an own one, empty perhaps, means that the
 * other's has come too. Only then does the batch say so. As nothing is written
 * but the present state, no older version follows a newer one into the store,
 * in whatever order batches end. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "index/inside.h"
#include "lib/err.h"
#include "lib/log.h"

#define LEASE_CONTEXT "xn.lease.1" /* wire/envelope.h */

struct xis_check {
    struct xis_batch *batch;
    struct xis_result *result;
    struct xis_blob *envelope, *lease;
    struct ad_lease claim; /* verified from the second step on */
};

/* ---- batches */

static void batch_free(struct xis_batch *batch)
{
    size_t i;

    for (i = 0; batch->checks && i < batch->n; i++) {
        xis_blob_drop(batch->checks[i].envelope);
        xis_blob_drop(batch->checks[i].lease);
    }
    free(batch->checks);
    free(batch->results);
    free(batch);
}

void xis_batches_clear(struct xis *xis)
{
    struct xis_batch *batch, *next;

    DL_FOREACH_SAFE(xis->batches, batch, next)
    {
        DL_DELETE(xis->batches, batch);
        batch_free(batch);
    }
}

static void batch_tell(struct xis_batch *batch, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis *xis = batch->xis;

    DL_DELETE(xis->batches, batch);
    xis->n_batches--;
    batch->fn(xis, batch->number, now, batch->results, batch->n, out);
    batch_free(batch);
}

/* Does the store have what this result rests on? */
static bool is_durable(const struct xis *xis, const struct xis_result *result)
{
    const struct xis_ad *ad = xis_ad_find(xis, &result->server);

    if (!ad || ad->kept_version > result->version) return true;
    return ad->kept_version == result->version &&
           ad->kept_lease_us >= result->lease_us;
}

static void note_written(struct xis_batch *batch, const struct xis_result *r,
                         int rc)
{
    struct xis_ad *ad = xis_ad_find(batch->xis, &r->server);

    if (!ad) return;
    if (rc == 0)
        xis_ad_kept(ad, r->version, r->lease_us);
    else if (ad->txn == batch->txn)
        ad->txn = 0; /* whoever confirms it next writes it again */
}

static void batch_stored(void *owner, void *ctx, const struct xn_now *now,
                         int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct xis_batch *batch = ctx;
    size_t i;

    (void)owner, (void)msg;
    if (rc) {
        xn_out_log(out, XN_LOG_ERROR, "index: cannot store: %s",
                   xn_strerror(rc));
    }
    for (i = 0; i < batch->n; i++) {
        if (batch->results[i].wrote)
            note_written(batch, &batch->results[i], rc);
    }
    for (i = 0; i < batch->n; i++) {
        struct xis_result *r = &batch->results[i];

        if (r->rests && (rc || !is_durable(batch->xis, r))) {
            r->rc = rc ? rc : XN_EIO; /* the other's TXN failed */
        }
    }
    batch_tell(batch, now, out);
}

/* Writes what the batch is about to confirm; true: it has to wait for it. */
static bool write_all(struct xis_batch *batch, struct xis_writes *writes)
{
    bool rests = false;
    size_t i;

    for (i = 0; i < batch->n; i++) {
        struct xis_result *r = &batch->results[i];
        struct xis_ad *ad = r->rc ? NULL : xis_ad_find(batch->xis, &r->server);

        if (!ad || xis_ad_is_kept(ad)) continue;
        rests = r->rests = true;
        r->version = ad->version;
        r->lease_us = ad->lease_us;
        if (ad->txn) continue;
        ad->txn = batch->txn;
        r->wrote = true;
        xis_write_ad(writes, ad);
    }
    return rests;
}

/* One of its parts has ended. */
static void batch_step(struct xis_batch *batch, const struct xn_now *now,
                       struct xn_out *out)
{
    struct xis_writes writes = {0};
    uint64_t ticket;

    if (--batch->pending) return;
    batch->txn = ++batch->xis->txns;
    if (!write_all(batch, &writes)) {
        batch_tell(batch, now, out);
    } else if (writes.rc) {
        batch_stored(batch->xis, batch, now, writes.rc, NULL, out);
    } else {
        ticket = xn_ticket(batch->xis->tickets, now->mono_us + XIS_TXN_US,
                           batch_stored, batch->xis, batch, out);
        xis_writes_commit(&writes, ticket, out);
    }
    xis_writes_clear(&writes);
}

/* ---- checks */

static void end_check(struct xis_check *check, const struct xn_now *now, int rc,
                      struct xn_out *out)
{
    const struct xis_ad *held =
        xis_ad_find(check->batch->xis, &check->result->server);

    check->result->rc = rc;
    check->result->version = held ? held->version : 0;
    xis_sweep_later(check->batch->xis, now, out);
    batch_step(check->batch, now, out);
}

static void verify(struct xis_check *check, const struct xn_now *now,
                   Xn__Form form, const struct xis_blob *data,
                   const char *context, xn_ended *fn, struct xn_out *out)
{
    Xn__Verify body = XN__VERIFY__INIT;
    struct xis *xis = check->batch->xis;
    uint64_t ticket = xn_ticket(xis->tickets, now->mono_us + XIS_VERIFY_US, fn,
                                xis, check, out);

    body.form = form;
    body.data = xis_blob_bytes(data);
    body.context = (char *)(uintptr_t)context;
    xn_out_emit(out, XN_ACT_VERIFY, ticket, XN_PEER_NONE, XN__KIND__VERIFY,
                &body);
}

enum verdict { KNOWN, RENEWS, REPLACES, WITHDRAWS, REFUSED };

/* What this lease means beside what we hold. */
static enum verdict judge(const struct xis_check *check,
                          const struct xn_now *now, int *rc_out)
{
    const struct xis *xis = check->batch->xis;
    const struct ad_lease *claim = &check->claim;
    const struct xis_ad *held = xis_ad_find(xis, &claim->server);
    bool same = held && held->version == claim->version;

    *rc_out = 0;
    if (held && claim->version < held->version) {
        *rc_out = XN_ESTALE;
        return REFUSED;
    }
    if (same && (held->withdrawn != claim->withdrawn ||
                 !xn_id_eq(&held->document, &claim->document))) {
        *rc_out = XN_ESTALE; /* two things under one version */
        return REFUSED;
    }
    if (same && claim->until_us <= held->lease_us) return KNOWN;
    if (claim->withdrawn) return WITHDRAWS;
    if (same) return RENEWS;
    if (!check->envelope) {
        *rc_out = XN_ENOENT; /* a lease alone, of what we lack */
        return REFUSED;
    }
    if (held && !xis_ad_may_change(held, now)) *rc_out = XN_EBUSY;
    if ((!held || held->withdrawn) && xis->n_live >= xis->config.ads_max) {
        *rc_out = XN_ENOMEM;
    }
    return *rc_out ? REFUSED : REPLACES;
}

/* ---- the steps */

static int replace(struct xis_check *check, const struct xn_now *now,
                   const Xn__Verified *body, const struct advert *advert)
{
    struct xis_document document = {.advert = advert,
                                    .envelope = check->envelope,
                                    .lease = check->lease,
                                    .not_after_us = body->signer->not_after_us};
    struct xis *xis = check->batch->xis;
    struct xis_ad *ad;
    int rc;

    (void)xn_id_from_bytes(&body->signer->corp, &document.corp);
    if (revoked_has(xis->config.revoked, &document.corp,
                    &check->claim.server)) {
        return XN_EREVOKED;
    }

    document.xml = xis_blob_new(body->payload.data, body->payload.len);
    if (!document.xml) return XN_ENOMEM;
    rc = xis_ad_put(xis, now, &check->claim, &document, &ad);
    xis_blob_drop(document.xml);
    check->result->stored = rc == 0;
    return rc;
}

static void renew(struct xis_check *check)
{
    struct xis *xis = check->batch->xis;
    struct xis_ad *ad = xis_ad_find(xis, &check->claim.server);

    xis_ad_renew(xis, ad, &check->claim, check->lease);
    check->result->stored = true;
}

static void envelope_verified(void *owner, void *ctx, const struct xn_now *now,
                              int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct xis_check *check = ctx;
    struct advert *advert = NULL;
    const Xn__Verified *body;

    (void)owner;
    if (rc) goto out;
    rc = XN_EINVAL;
    if (!msg || msg->kind != XN__KIND__VERIFIED) goto out;
    body = XN_BODY(msg, Xn__Verified);
    if (!body->signer) goto out;
    rc = advert_parse(body->payload.data, body->payload.len, &advert, NULL, 0);
    if (rc) goto out;
    rc = ad_match(&check->claim, body->payload.data, body->payload.len, advert,
                  body->signer);
    if (rc) goto out;
    /* Meanwhile another batch may have brought this, or something newer. */
    switch (judge(check, now, &rc)) {
    case REPLACES: rc = replace(check, now, body, advert); break;
    case RENEWS: renew(check); break;
    case WITHDRAWS:
    case KNOWN:
    case REFUSED: break;
    }
out:
    advert_free(advert);
    end_check(check, now, rc, out);
}

static int withdraw(struct xis_check *check)
{
    struct xis *xis = check->batch->xis;
    struct xis_ad *ad;
    int rc = xis_ad_withdraw(xis, &check->claim, check->lease, &ad);

    check->result->stored = rc == 0;
    return rc;
}

static int lease_proved(struct xis_check *check, const struct xn_now *now,
                        const struct xn_msg *msg)
{
    const Xn__Verified *body;
    xn_id signer;
    int rc;

    if (!msg || msg->kind != XN__KIND__VERIFIED) return XN_EINVAL;
    body = XN_BODY(msg, Xn__Verified);
    if (!body->signer) return XN_EINVAL;
    rc = xn_id_from_bytes(&body->signer->id, &signer);
    if (rc) return rc;
    rc = ad_lease_decode(body->payload.data, body->payload.len, &signer,
                         &check->claim);
    if (rc) return rc;
    return ad_lease_check(&check->claim, now->wall_us,
                          check->batch->xis->config.lease_us_max);
}

static void lease_verified(void *owner, void *ctx, const struct xn_now *now,
                           int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct xis_check *check = ctx;

    (void)owner;
    if (rc == 0) rc = lease_proved(check, now, msg);
    if (rc) {
        end_check(check, now, rc, out);
        return;
    }
    switch (judge(check, now, &rc)) {
    case REPLACES:
        verify(check, now, XN__FORM__ENVELOPE, check->envelope, "",
               envelope_verified, out);
        return;
    case RENEWS: renew(check); break;
    case WITHDRAWS: rc = withdraw(check); break;
    case KNOWN:
    case REFUSED: break;
    }
    end_check(check, now, rc, out);
}

static int begin(struct xis_check *check, const Xn__SignedAd *ad)
{
    int rc;

    if (ad->lease.len > XIS_LEASE_MAX) return XN_ETOOBIG;
    if (ad->envelope.len > XIS_ENVELOPE_MAX) return XN_ETOOBIG;
    rc = ad_lease_peek(ad->lease.data, ad->lease.len, &check->claim);
    if (rc) return rc;
    check->result->server = check->claim.server;
    check->lease = xis_blob_new(ad->lease.data, ad->lease.len);
    if (!check->lease) return XN_ENOMEM;
    if (ad->envelope.len && !check->claim.withdrawn) {
        check->envelope = xis_blob_new(ad->envelope.data, ad->envelope.len);
        if (!check->envelope) return XN_ENOMEM;
    }
    return 0;
}

static void check_start(struct xis_check *check, const struct xn_now *now,
                        const Xn__SignedAd *ad, struct xn_out *out)
{
    enum verdict verdict = REFUSED;
    int rc;

    rc = begin(check, ad);
    if (rc == 0) verdict = judge(check, now, &rc);
    if (rc || verdict == KNOWN) {
        end_check(check, now, rc, out);
        return;
    }
    verify(check, now, XN__FORM__BLOB, check->lease, LEASE_CONTEXT,
           lease_verified, out);
}

int xis_batch_start(struct xis *xis, const struct xn_now *now, xn_peer from,
                    Xn__SignedAd *const *ads, size_t n, xis_batch_done *fn,
                    uint64_t number, struct xn_out *out)
{
    struct xis_batch *batch;
    size_t i;

    if (xis->n_batches >= XIS_BATCHES_MAX) return XN_EBUSY;
    batch = calloc(1, sizeof *batch);
    if (!batch) return XN_ENOMEM;
    batch->results = calloc(n + 1, sizeof *batch->results);
    batch->checks = calloc(n + 1, sizeof *batch->checks);
    if (!batch->results || !batch->checks) {
        batch_free(batch);
        return XN_ENOMEM;
    }
    batch->xis = xis;
    batch->from = from;
    batch->n = n;
    batch->fn = fn;
    batch->number = number;
    DL_APPEND(xis->batches, batch);
    xis->n_batches++;
    batch->pending = n + 1; /* the last is this loop */
    for (i = 0; i < n; i++) {
        batch->checks[i].batch = batch;
        batch->checks[i].result = &batch->results[i];
        check_start(&batch->checks[i], now, ads[i], out);
    }
    batch_step(batch, now, out);
    return 0;
}

/* ---- PUT */

static void put_done(struct xis *xis, uint64_t request,
                     const struct xn_now *now, const struct xis_result *results,
                     size_t n, struct xn_out *out)
{
    Xn__PutDone done = XN__PUT_DONE__INIT;
    Xn__PutResult rows[XIS_PUT_ADS_MAX];
    Xn__PutResult *list[XIS_PUT_ADS_MAX];
    size_t i;

    for (i = 0; i < n; i++) {
        xn__put_result__init(&rows[i]);
        rows[i].server = xn_id_bytes(&results[i].server);
        rows[i].rc = results[i].rc;
        rows[i].version = results[i].version;
        list[i] = &rows[i];
    }
    done.results = list;
    done.n_results = n;
    done.epoch = 1;
    ov_answer(xis->ov, now, request, 0, XN__KIND__PUT_DONE, &done, out);
}

static size_t batches_of(const struct xis *xis, xn_peer peer)
{
    const struct xis_batch *batch;
    size_t n = 0;

    DL_FOREACH(xis->batches, batch)
    {
        if (batch->from == peer) n++;
    }
    return n;
}

static int put_check(const struct xis *xis, const struct ov_request *request,
                     const Xn__Put *put)
{
    size_t i, bytes = 0;

    if (!xis->loaded) return XN_ENOTYET;
    if (put->n_ads > XIS_PUT_ADS_MAX) return XN_ETOOBIG;
    for (i = 0; i < put->n_ads; i++)
        bytes += put->ads[i]->envelope.len + put->ads[i]->lease.len;
    if (bytes > XIS_PUT_BYTES_MAX) return XN_ETOOBIG;
    if (batches_of(xis, request->from) >= XIS_BATCHES_PEER_MAX) return XN_EBUSY;
    return 0;
}

void xis_put_deliver(struct xis *xis, const struct xn_now *now,
                     const struct ov_request *request, struct xn_out *out)
{
    const Xn__Put *put = XN_BODY(request->msg, Xn__Put);
    int rc = put_check(xis, request, put);

    if (rc == 0) {
        rc = xis_batch_start(xis, now, request->from, put->ads, put->n_ads,
                             put_done, request->token, out);
    }
    if (rc) ov_answer(xis->ov, now, request->token, rc, 0, NULL, out);
}
