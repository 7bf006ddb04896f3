/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/cert.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "lib/err.h"
#include "wire/cert_form.h"
#include "wire/key.h"

enum { KNOWN_MAX = 1024 };

static int check_dates(const struct xn_cert *cert, uint64_t at_us)
{
    if (at_us > CERT_TIME_US_MAX) return XN_EEXPIRED;
    if (at_us + CERT_SKEW_US < cert->not_before_us) return XN_EEXPIRED;
    if (at_us > cert->not_after_us + CERT_SKEW_US) return XN_EEXPIRED;
    return 0;
}

/* ---- anchors ---- */

struct anchor {
    struct xn_cert cert;
    uint8_t der[XN_CERT_BYTES_MAX];
    struct cert_form form; /* of these bytes */
};

/* Whose signature is known to be right under which certificate: a check costs
 * twenty times what hashing the bytes does.  Only what an anchor signed gets in,
 * each in the one place that its hash gives, and a newer one takes it. */
struct signed_by {
    xn_id hash;                  /* of all the certificate's bytes */
    const struct anchor *anchor; /* NULL: the place is empty */
};

struct known {
    pthread_mutex_t lock;
    struct signed_by places[KNOWN_MAX];
};

struct xn_anchors {
    struct anchor *rows[XN_ANCHORS_MAX]; /* apart: callers keep pointers */
    size_t n;
    struct known *known; /* apart: who only reads anchors changes it */
};

int xn_anchors_new(struct xn_anchors **anchors_out)
{
    struct xn_anchors *anchors = calloc(1, sizeof *anchors);
    struct known *known = calloc(1, sizeof *known);

    if (!anchors || !known) {
        free(anchors);
        free(known);
        return XN_ENOMEM;
    }
    known->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    anchors->known = known;
    *anchors_out = anchors;
    return 0;
}

void xn_anchors_free(struct xn_anchors *anchors)
{
    size_t i;

    if (!anchors) return;
    for (i = 0; i < anchors->n; i++)
        free(anchors->rows[i]);
    free(anchors->known);
    free(anchors);
}

static bool is_self_signed(const struct cert_form *form)
{
    return der_eq(form->subject, form->issuer) &&
           cert_signed_by(form, form->spki) == 0;
}

static int anchor_read(struct anchor *anchor, const uint8_t *der, size_t len,
                       uint64_t at_us)
{
    int rc;

    if (len > sizeof anchor->der) return XN_EINVAL;
    memcpy(anchor->der, der, len);
    rc = cert_read(anchor->der, len, &anchor->form);
    if (rc) return rc;
    anchor->cert = anchor->form.facts;
    if (anchor->cert.role != XN__ROLE__CORP || !is_self_signed(&anchor->form)) {
        return XN_EINVAL;
    }
    anchor->cert.corp = anchor->cert.id;
    return check_dates(&anchor->cert, at_us);
}

int xn_anchors_add(struct xn_anchors *anchors, const uint8_t *der, size_t len,
                   uint64_t at_us)
{
    struct anchor *anchor = NULL;
    int rc;

    rc = XN_ETOOBIG;
    if (anchors->n == XN_ANCHORS_MAX) goto out;
    rc = XN_ENOMEM;
    anchor = calloc(1, sizeof *anchor);
    if (!anchor) goto out;
    rc = anchor_read(anchor, der, len, at_us);
    if (rc || xn_anchors_find(anchors, &anchor->cert.id)) goto out;
    anchors->rows[anchors->n++] = anchor;
    anchor = NULL;
out:
    free(anchor);
    return rc;
}

size_t xn_anchors_count(const struct xn_anchors *anchors)
{
    return anchors->n;
}

const struct xn_cert *xn_anchors_find(const struct xn_anchors *anchors,
                                      const xn_id *corp)
{
    size_t i;

    for (i = 0; i < anchors->n; i++) {
        const struct xn_cert *cert = &anchors->rows[i]->cert;

        if (xn_id_eq(&cert->id, corp)) return cert;
    }
    return NULL;
}

/* ---- checking ---- */

static struct signed_by *place_of(struct known *known, const xn_id *hash)
{
    size_t at = (size_t)hash->b[0] << 8 | hash->b[1];

    return &known->places[at % KNOWN_MAX];
}

static const struct anchor *known_find(struct known *known, const xn_id *hash)
{
    const struct signed_by *place = place_of(known, hash);
    const struct anchor *anchor = NULL;

    pthread_mutex_lock(&known->lock);
    if (place->anchor && xn_id_eq(&place->hash, hash)) anchor = place->anchor;
    pthread_mutex_unlock(&known->lock);
    return anchor;
}

static void known_add(struct known *known, const xn_id *hash,
                      const struct anchor *anchor)
{
    pthread_mutex_lock(&known->lock);
    *place_of(known, hash) = (struct signed_by){*hash, anchor};
    pthread_mutex_unlock(&known->lock);
}

/* The anchor that signed it.  Two corps may have chosen one name, so every
 * anchor of that name is tried. */
static const struct anchor *issuer_of(const struct cert_form *form,
                                      const struct xn_anchors *anchors,
                                      bool *is_known_out)
{
    const struct anchor *anchor;
    xn_id hash;
    size_t i;

    xn_id_hash(form->all.at, form->all.len, &hash);
    anchor = known_find(anchors->known, &hash);
    *is_known_out = anchor != NULL;
    if (anchor) return anchor;
    for (i = 0; i < anchors->n; i++) {
        anchor = anchors->rows[i];
        if (!der_eq(form->issuer, anchor->form.subject)) continue;
        *is_known_out = true;
        if (cert_signed_by(form, anchor->form.spki)) continue;
        known_add(anchors->known, &hash, anchor);
        return anchor;
    }
    return NULL;
}

static int judge_issued(struct xn_cert *cert, const struct anchor *anchor)
{
    bool own = xn_id_eq(&cert->id, &anchor->cert.id);

    /* A corp makes no other corps, and what it makes for itself is a corp. */
    if (own != (cert->role == XN__ROLE__CORP)) return XN_EIDENT;
    if (cert->role == XN__ROLE__ANYBODY) return XN_EIDENT;
    cert->corp = anchor->cert.id;
    /* Good no longer than the corp's. */
    if (cert->not_before_us < anchor->cert.not_before_us)
        cert->not_before_us = anchor->cert.not_before_us;
    if (cert->not_after_us > anchor->cert.not_after_us)
        cert->not_after_us = anchor->cert.not_after_us;
    return 0;
}

/* Whatever role it claims, it is nobody's word but its own. */
static int judge_self_made(const struct cert_form *form, struct xn_cert *cert,
                           bool is_known)
{
    if (!is_self_signed(form)) return is_known ? XN_ESIGNATURE : XN_EIDENT;
    cert->role = XN__ROLE__ANYBODY;
    cert->corp = (xn_id){{0}};
    cert->position = (xn_id){{0}};
    return 0;
}

int cert_judge(const struct cert_form *form, const struct xn_anchors *anchors,
               uint64_t at_us, struct xn_cert *cert_out)
{
    struct xn_cert cert = form->facts;
    const struct anchor *anchor;
    bool is_known;
    int rc;

    anchor = issuer_of(form, anchors, &is_known);
    rc = anchor ? judge_issued(&cert, anchor)
                : judge_self_made(form, &cert, is_known);
    if (rc) return rc;
    rc = check_dates(&cert, at_us); /* last: altered ones are not "expired" */
    if (rc) return rc;
    *cert_out = cert;
    return 0;
}

int xn_cert_check(X509 *x509, const struct xn_anchors *anchors, uint64_t at_us,
                  struct xn_cert *cert_out)
{
    struct cert_form form;
    uint8_t *der = NULL;
    size_t len;
    int rc;

    rc = xn_cert_to_der(x509, &der, &len);
    if (rc) return rc;
    rc = cert_read(der, len, &form);
    if (!rc) rc = cert_judge(&form, anchors, at_us, cert_out);
    free(der);
    return rc;
}

/* ---- bytes and files ---- */

int xn_cert_to_der(X509 *x509, uint8_t **der_out, size_t *len_out)
{
    int len = i2d_X509(x509, NULL);
    uint8_t *der, *at;

    ERR_clear_error();
    if (len <= 0) return XN_EINVAL;
    der = malloc((size_t)len);
    if (!der) return XN_ENOMEM;
    at = der;
    i2d_X509(x509, &at);
    *der_out = der;
    *len_out = (size_t)len;
    return 0;
}

int xn_cert_from_der(const uint8_t *der, size_t len, X509 **x509_out)
{
    struct cert_form form;
    X509 *x509;
    int rc;

    rc = cert_read(der, len, &form);
    if (rc) return rc;
    x509 = d2i_X509(NULL, &der, (long)len);
    ERR_clear_error();
    if (!x509) return XN_EINVAL;
    *x509_out = x509;
    return 0;
}
