/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is this signed advertisement good now?  The rules, in one place, for the
 * index node that stores it and for xenofind that prints it.  The signatures
 * are checked before (by the driver, or by xenofind with wire/envelope.h);
 * this judges what they covered. */
#ifndef WIRE_AD_H
#define WIRE_AD_H

#include "wire/advert.h"
#include "wire/id.h"
#include "wire/local.pb-c.h"

#define AD_AHEAD_US_MAX (5 * 60 * 1000000ULL)  /* version, issued */
#define AD_LEASE_US_MAX (15 * 60 * 1000000ULL) /* until - issued, default */

struct ad_lease {
    xn_id server;
    xn_id document;
    uint64_t version, until_us, issued_us;
    bool withdrawn;
};

/* Decode a verified lease payload; its server must be `signer`.
 * XN_EINVAL, XN_EIDENT. */
int ad_lease_decode(const uint8_t *payload, size_t len, const xn_id *signer,
                    struct ad_lease *lease_out);
/* What a lease as it travels (a SignedBlob) says; nothing is proved yet.
 * XN_EINVAL: it cannot be read, or says what no lease may. */
int ad_lease_peek(const uint8_t *blob, size_t len, struct ad_lease *claim_out);
/* Encode for signing. *out is the caller's (free). */
int ad_lease_encode(const struct ad_lease *lease, uint8_t **out,
                    size_t *out_len);

/* Does the lease hold at wall_us?  XN_EEXPIRED, XN_EFUTURE (issued or version
 * more than 5 minutes ahead), XN_EINVAL (longer than lease_us_max). */
int ad_lease_check(const struct ad_lease *lease, uint64_t wall_us,
                   uint64_t lease_us_max);

/* Do document and lease belong together, and is the signer a server?
 * XN_EINTEGRITY (hash), XN_EIDENT (role or other server), XN_ESTALE (version
 * differs). */
int ad_match(const struct ad_lease *lease, const uint8_t *payload, size_t len,
             const struct advert *advert, const Xn__Caller *signer);

#endif
