/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of wire/ share: corps, keys and certificates to play with. */
#ifndef TESTS_UNIT_WIRE_KIT_H
#define TESTS_UNIT_WIRE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "wire/cert.h"
#include "wire/key.h"

#define DAY_US (24 * 3600 * 1000000ULL)
#define NOW_US (1795255200ULL * 1000000) /* 2026-11-21 10:00 UTC */

static const uint8_t kit_salt[32] = {1, 2, 3, 4};

struct kit_party {
    EVP_PKEY *key;
    X509 *x509;
};

static inline void kit_clear(struct kit_party *party)
{
    EVP_PKEY_free(party->key);
    X509_free(party->x509);
    memset(party, 0, sizeof *party);
}

static inline struct kit_party kit_corp(const char *label)
{
    struct kit_party corp;

    assert_int_equal(xn_key_generate(&corp.key), 0);
    assert_int_equal(xn_cert_self(corp.key, XN__ROLE__CORP, label,
                                  NOW_US - DAY_US, NOW_US + 3650 * DAY_US,
                                  &corp.x509),
                     0);
    return corp;
}

static inline void kit_trust(struct xn_anchors *anchors,
                             const struct kit_party *corp)
{
    uint8_t *der;
    size_t len;

    assert_int_equal(xn_cert_to_der(corp->x509, &der, &len), 0);
    assert_int_equal(xn_anchors_add(anchors, der, len, NOW_US), 0);
    free(der);
}

static inline X509 *kit_issue(const struct kit_party *corp, EVP_PKEY *key,
                              Xn__Role role, const char *label, uint64_t from,
                              uint64_t until)
{
    struct xn_cert_order order = {.role = role,
                                  .label = label,
                                  .not_before_us = from,
                                  .not_after_us = until};
    X509 *x509 = NULL;
    uint8_t *csr;

    assert_int_equal(xn_csr_make(key, label, &csr, &order.csr_len), 0);
    order.csr = csr;
    if (role == XN__ROLE__NODE) order.salt = kit_salt;
    assert_int_equal(xn_cert_issue(&order, corp->key, corp->x509, &x509), 0);
    free(csr);
    return x509;
}

static inline struct kit_party kit_member(const struct kit_party *corp,
                                          Xn__Role role, const char *label)
{
    struct kit_party member;

    assert_int_equal(xn_key_generate(&member.key), 0);
    member.x509 = kit_issue(corp, member.key, role, label, NOW_US - DAY_US,
                            NOW_US + 90 * DAY_US);
    return member;
}

#endif
