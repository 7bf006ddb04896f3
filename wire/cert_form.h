/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What cert_read.c, cert.c (judges) and cert_make.c (writes) agree on, and how
 * envelope.c gets at the certificate inside; nobody else's. */
#ifndef WIRE_CERT_FORM_H
#define WIRE_CERT_FORM_H

#include "wire/cert.h"
#include "wire/der.h"
#include "wire/key.h"

/* Our extension: 2.25 and a UUID (a09e3b44-d458-479d-b229-820529e54b24), so
 * that nobody had to be asked for a number (X.667). */
#define CERT_OID "2.25.213498064344634254599695197739409558308"

/* The same as the contents of its DER. */
#define CERT_OID_DER                                                           \
    {                                                                          \
        0x69, 0x82, 0xc1, 0x9e, 0x9d, 0xd1, 0x9a, 0xc5, 0xc2, 0x9e, 0xbb,      \
            0xb2, 0x94, 0xe0, 0xc0, 0xd2, 0xcf, 0x95, 0x96, 0x24               \
    }

#define CERT_SKEW_US (5 * 60 * 1000000ULL)
/* 9999-12-31: the last that X.509 can write. */
#define CERT_TIME_US_MAX (253402300799ULL * 1000000ULL)

struct cert_form {        /* all but facts point into the certificate's bytes */
    struct xn_cert facts; /* nothing is proved; corp: zero */
    struct der all, tbs;  /* tbs: what is signed */
    struct der serial, issuer, subject; /* whole elements */
    struct der signature;
    const uint8_t *spki; /* XN_SPKI_SIZE; the point may be off the curve */
};

/* XN_EINVAL: not of our form.  DER only, so what is signed has one spelling; a
 * signature (r, s) has two, the other one is (r, n - s).  2 us. */
int cert_read(const uint8_t *der, size_t len, struct cert_form *form_out);
/* XN_EINVAL (the key is none), XN_ESIGNATURE. */
int cert_signed_by(const struct cert_form *form, const uint8_t *spki);
/* As xn_cert_check does. */
int cert_judge(const struct cert_form *form, const struct xn_anchors *anchors,
               uint64_t at_us, struct xn_cert *cert_out);

#endif
