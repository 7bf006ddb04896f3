/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/ad.h"

#include <stdlib.h>

#include "lib/err.h"
#include "wire/msg.h"

/* Dates beyond this are nonsense, and sums with them must not wrap. */
#define TIME_US_MAX (UINT64_MAX / 4)

static int from_proto(const Xn__Lease *proto, struct ad_lease *lease)
{
    struct ad_lease got = {.version = proto->version,
                           .until_us = proto->until_us,
                           .issued_us = proto->issued_us,
                           .withdrawn = proto->withdrawn};

    if (proto->base.n_unknown_fields) return XN_EINVAL;
    if (xn_id_from_bytes(&proto->server, &got.server) != 0) return XN_EINVAL;
    if (got.withdrawn) {
        if (proto->document.len) return XN_EINVAL;
    } else if (xn_id_from_bytes(&proto->document, &got.document) != 0) {
        return XN_EINVAL;
    }
    if (got.version == 0 || got.version > INT64_MAX) return XN_EINVAL;
    if (got.until_us < got.issued_us || got.until_us > TIME_US_MAX) {
        return XN_EINVAL;
    }
    *lease = got;
    return 0;
}

int ad_lease_decode(const uint8_t *payload, size_t len, const xn_id *signer,
                    struct ad_lease *lease_out)
{
    struct ad_lease lease;
    Xn__Lease *proto;
    int rc;

    proto = xn__lease__unpack(NULL, len, payload);
    if (!proto) return XN_EINVAL;
    rc = from_proto(proto, &lease);
    xn__lease__free_unpacked(proto, NULL);
    if (rc) return rc;
    if (!xn_id_eq(&lease.server, signer)) return XN_EIDENT;
    *lease_out = lease;
    return 0;
}

int ad_lease_peek(const uint8_t *blob, size_t len, struct ad_lease *claim_out)
{
    Xn__SignedBlob *outer = xn__signed_blob__unpack(NULL, len, blob);
    struct ad_lease claim;
    Xn__Lease *proto = NULL;
    int rc = XN_EINVAL;

    if (!outer) goto out;
    proto = xn__lease__unpack(NULL, outer->payload.len, outer->payload.data);
    if (!proto) goto out;
    rc = from_proto(proto, &claim);
    if (!rc) *claim_out = claim;
out:
    if (proto) xn__lease__free_unpacked(proto, NULL);
    if (outer) xn__signed_blob__free_unpacked(outer, NULL);
    return rc;
}

int ad_lease_encode(const struct ad_lease *lease, uint8_t **out,
                    size_t *out_len)
{
    Xn__Lease proto = XN__LEASE__INIT;

    proto.server = xn_id_bytes(&lease->server);
    if (!lease->withdrawn) proto.document = xn_id_bytes(&lease->document);
    proto.version = lease->version;
    proto.until_us = lease->until_us;
    proto.issued_us = lease->issued_us;
    proto.withdrawn = lease->withdrawn;
    return xn_pack(&proto, out, out_len);
}

int ad_lease_check(const struct ad_lease *lease, uint64_t wall_us,
                   uint64_t lease_us_max)
{
    if (lease->until_us < lease->issued_us) return XN_EINVAL;
    if (lease->until_us - lease->issued_us > lease_us_max) return XN_EINVAL;
    if (wall_us > TIME_US_MAX) return XN_EEXPIRED;
    if (lease->issued_us > wall_us + AD_AHEAD_US_MAX) return XN_EFUTURE;
    if (lease->version > wall_us + AD_AHEAD_US_MAX) return XN_EFUTURE;
    if (lease->until_us <= wall_us) return XN_EEXPIRED;
    return 0;
}

int ad_match(const struct ad_lease *lease, const uint8_t *payload, size_t len,
             const struct advert *advert, const Xn__Caller *signer)
{
    xn_id id, hash;

    if (signer->role != XN__ROLE__SERVER) return XN_EIDENT;
    if (xn_id_from_bytes(&signer->id, &id) != 0 ||
        !xn_id_eq(&id, &lease->server)) {
        return XN_EIDENT;
    }
    if (lease->withdrawn) return XN_EINTEGRITY; /* it has no document */
    if (advert->version != lease->version) return XN_ESTALE;
    xn_id_hash(payload, len, &hash);
    if (!xn_id_eq(&hash, &lease->document)) return XN_EINTEGRITY;
    return 0;
}
