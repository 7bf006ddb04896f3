/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the store at the start: all documents, then their leases, page by
 * page.
 *
 * What stands there was verified before it was written and the driver checks
 * its own checksums, so signatures are not checked again; whether a lease
 * holds is. A document whose lease is missing stays dead and is swept. */
#include <stdlib.h>
#include <string.h>

#include "index/inside.h"
#include "lib/err.h"
#include "lib/log.h"

#define KEY_SIZE (5 + XN_ID_SIZE)

static void read_page(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out);

static int load_ad(struct xis *xis, const struct xn_now *now,
                   const xn_id *server, const Xn__StoredAd *record)
{
    struct ad_lease lease = {.server = *server, .version = record->version};
    struct xis_document document = {.not_after_us = record->not_after_us};
    struct advert *advert = NULL;
    struct xis_ad *ad;
    int rc;

    /* Whom no corp's list could name is published again by his server. */
    if (xn_id_from_bytes(&record->corp, &document.corp)) return XN_EINVAL;
    if (revoked_has(xis->config.revoked, &document.corp, server)) {
        return XN_EREVOKED;
    }
    if (xis->n_live >= xis->config.ads_max) return XN_ENOMEM;
    if (record->envelope.len == 0) return XN_EINVAL;
    rc = advert_parse(record->document.data, record->document.len, &advert,
                      NULL, 0);
    if (rc) goto out;
    xn_id_hash(record->document.data, record->document.len, &lease.document);
    document.advert = advert;
    document.envelope =
        xis_blob_new(record->envelope.data, record->envelope.len);
    rc = XN_ENOMEM;
    if (!document.envelope) goto out;
    rc = xis_ad_put(xis, now, &lease, &document, &ad);
    if (rc) goto out;
    ad->changes = 0;
    xis_ad_kept(ad, ad->version, 0);
out:
    xis_blob_drop(document.envelope);
    advert_free(advert);
    return rc;
}

static int load_lease(struct xis *xis, const struct xn_now *now,
                      const xn_id *server, const Xn__StoredLease *record)
{
    struct ad_lease lease = {.server = *server,
                             .version = record->version,
                             .until_us = record->until_us,
                             .issued_us = record->issued_us,
                             .withdrawn = record->withdrawn};
    struct xis_ad *ad = xis_ad_find(xis, server);
    struct xis_blob *blob;
    int rc = 0;

    if (record->lease.len > XIS_LEASE_MAX) return XN_EINVAL;
    if (!lease.withdrawn && lease.until_us <= now->wall_us) return XN_EEXPIRED;
    blob = xis_blob_new(record->lease.data, record->lease.len);
    if (!blob) return XN_ENOMEM;
    if (lease.withdrawn) {
        rc = xis_ad_withdraw(xis, &lease, blob, &ad);
    } else if (!ad || ad->version != lease.version ||
               xn_id_from_bytes(&record->document, &lease.document) ||
               !xn_id_eq(&ad->document, &lease.document)) {
        rc = XN_EINVAL;
    } else {
        xis_ad_renew(xis, ad, &lease, blob);
    }
    if (rc == 0) xis_ad_kept(ad, lease.version, lease.until_us);
    xis_blob_drop(blob);
    return rc;
}

static int load_value(struct xis *xis, const struct xn_now *now,
                      const xn_id *server, const ProtobufCBinaryData *value)
{
    Xn__StoredAd *ad = NULL;
    Xn__StoredLease *lease = NULL;
    int rc = XN_EINVAL;

    if (xis->load_kind == 'a') {
        ad = xn__stored_ad__unpack(NULL, value->len, value->data);
        if (ad) rc = load_ad(xis, now, server, ad);
    } else {
        lease = xn__stored_lease__unpack(NULL, value->len, value->data);
        if (lease) rc = load_lease(xis, now, server, lease);
    }
    if (ad) xn__stored_ad__free_unpacked(ad, NULL);
    if (lease) xn__stored_lease__free_unpacked(lease, NULL);
    return rc;
}

static void load_records(struct xis *xis, const struct xn_now *now,
                         const Xn__Records *records, struct xn_out *out)
{
    struct xis_writes writes = {0};
    size_t i;

    for (i = 0; i < records->n_records; i++) {
        const Xn__Record *record = records->records[i];
        int rc;

        if (record->key.len != KEY_SIZE) continue;
        memcpy(xis->last.b, record->key.data + 5, XN_ID_SIZE);
        rc = load_value(xis, now, &xis->last, &record->value);
        if (rc == XN_ENOMEM) {
            xn_out_log(out, XN_LOG_WARN, "index: no room for a stored ad");
        } else if (rc) {
            struct xis_ad *ad = xis_ad_find(xis, &xis->last);

            if (ad) xis_ad_remove(xis, ad);
            xis_write_drop(&writes, &xis->last, true);
        }
    }
    if (writes.n) xis_writes_commit(&writes, 0, out);
    xis_writes_clear(&writes);
}

static void loaded_page(void *owner, void *ctx, const struct xn_now *now,
                        int rc, struct xn_msg *msg, struct xn_out *out)
{
    struct xis *xis = owner;
    const Xn__Records *records;

    (void)ctx;
    if (rc || !msg || msg->kind != XN__KIND__RECORDS) {
        /* An index that cannot be read is made anew from the neighbours. */
        xn_out_log(out, XN_LOG_WARN, "index: store unreadable: %s",
                   xn_strerror(rc));
        xis_loaded(xis, now, out);
        return;
    }
    records = XN_BODY(msg, Xn__Records);
    load_records(xis, now, records, out);
    if (!records->more || records->n_records == 0) {
        if (xis->load_kind == 'l') {
            xis_loaded(xis, now, out);
            return;
        }
        xis->load_kind = 'l';
        xis->load_begun = false;
    } else {
        xis->load_begun = true;
    }
    read_page(xis, now, out);
}

static void read_page(struct xis *xis, const struct xn_now *now,
                      struct xn_out *out)
{
    Xn__Read read = XN__READ__INIT;
    uint8_t from[KEY_SIZE + 1] = {'x', 'i', 's', '.', (uint8_t)xis->load_kind};
    uint64_t ticket = xn_ticket(xis->tickets, now->mono_us + XIS_TXN_US,
                                loaded_page, xis, NULL, out);

    read.prefix.data = from;
    read.prefix.len = 5;
    if (xis->load_begun) { /* right behind the last */
        memcpy(from + 5, xis->last.b, XN_ID_SIZE);
        read.from.data = from;
        read.from.len = sizeof from;
    }
    read.limit = XIS_LOAD_PAGE;
    xn_out_emit(out, XN_ACT_READ, ticket, XN_PEER_NONE, XN__KIND__READ, &read);
}

void xis_load_start(struct xis *xis, const struct xn_now *now,
                    struct xn_out *out)
{
    xis->load_kind = 'a';
    read_page(xis, now, out);
}
