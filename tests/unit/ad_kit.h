/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Advertisements signed for real, for the tests of those who verify them. */
#ifndef TESTS_UNIT_AD_KIT_H
#define TESTS_UNIT_AD_KIT_H

#include "wire/ad.h"
#include "wire/envelope.h"

/* The envelope over the document, by this key and its certificate.  The bytes
 * are the caller's (free). */
void kit_sign_document(const char *xml, EVP_PKEY *key, X509 *x509,
                       Xn__SignedAd *ad);
/* The lease over the document, by this key under this context (NULL: that of
 * leases); its server and document are filled in.  The same. */
void kit_sign_lease(const char *xml, const struct ad_lease *terms,
                    EVP_PKEY *key, const char *context, Xn__SignedAd *ad);

#endif
