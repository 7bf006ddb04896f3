/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/ad_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void kit_sign_document(const char *xml, EVP_PKEY *key, X509 *x509,
                       Xn__SignedAd *ad)
{
    assert_int_equal(envelope_sign((const uint8_t *)xml, strlen(xml), key, x509,
                                   &ad->envelope.data, &ad->envelope.len),
                     0);
}

void kit_sign_lease(const char *xml, const struct ad_lease *terms,
                    EVP_PKEY *key, const char *context, Xn__SignedAd *ad)
{
    struct ad_lease lease = *terms;
    uint8_t *bytes = NULL;
    size_t len = 0;

    xn_id_hash(xml, strlen(xml), &lease.document);
    assert_int_equal(xn_key_id(key, &lease.server), 0);
    assert_int_equal(ad_lease_encode(&lease, &bytes, &len), 0);
    assert_int_equal(blob_sign(bytes, len, context ? context : LEASE_CONTEXT,
                               key, &ad->lease.data, &ad->lease.len),
                     0);
    free(bytes);
}
