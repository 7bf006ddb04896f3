/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/cert.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/err.h"
#include "wire/cert_form.h"
#include "wire/key.h"

/* ---- the form ---- */

int cert_spki(X509_PUBKEY *pub, uint8_t out[XN_SPKI_SIZE])
{
    uint8_t *at = out;

    if (!pub || i2d_X509_PUBKEY(pub, NULL) != XN_SPKI_SIZE) return XN_EINVAL;
    if (i2d_X509_PUBKEY(pub, &at) != XN_SPKI_SIZE) return XN_EINVAL;
    return xn_spki_valid(out, XN_SPKI_SIZE) ? 0 : XN_EINVAL;
}

/* The subject is a common name and nothing else. */
static int read_label(X509 *x509, char label_out[XN_LABEL_MAX + 1])
{
    const X509_NAME *name = X509_get_subject_name(x509);
    const X509_NAME_ENTRY *entry;
    const ASN1_STRING *text;
    const char *bytes;
    size_t len;

    if (!name || X509_NAME_entry_count(name) != 1) return XN_EINVAL;
    entry = X509_NAME_get_entry(name, 0);
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) {
        return XN_EINVAL;
    }
    text = X509_NAME_ENTRY_get_data(entry);
    if (ASN1_STRING_type(text) != V_ASN1_UTF8STRING) return XN_EINVAL;
    bytes = (const char *)ASN1_STRING_get0_data(text);
    len = (size_t)ASN1_STRING_length(text);
    if (!xn_label_valid(bytes, len)) return XN_EINVAL;
    memcpy(label_out, bytes, len);
    label_out[len] = 0;
    return 0;
}

static int read_time(const ASN1_TIME *time, uint64_t *us_out)
{
    struct tm tm;
    time_t s;

    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) return XN_EINVAL;
    s = timegm(&tm);
    if (s < 0 || (uint64_t)s > CERT_TIME_US_MAX / 1000000) return XN_EINVAL;
    *us_out = (uint64_t)s * 1000000;
    return 0;
}

static bool is_ours(X509_EXTENSION *extension)
{
    static const uint8_t oid[] = CERT_OID_DER;
    const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);

    return OBJ_length(object) == sizeof oid &&
           memcmp(OBJ_get0_data(object), oid, sizeof oid) == 0;
}

/* Exactly one of ours, and no critical one that we do not know. */
static int find_extension(X509 *x509, X509_EXTENSION **ours_out)
{
    X509_EXTENSION *ours = NULL;
    int i, n = X509_get_ext_count(x509);

    for (i = 0; i < n; i++) {
        X509_EXTENSION *extension = X509_get_ext(x509, i);
        int nid;

        if (is_ours(extension)) {
            if (ours) return XN_EINVAL;
            ours = extension;
            continue;
        }
        nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
        if (nid == NID_basic_constraints || nid == NID_key_usage) continue;
        if (X509_EXTENSION_get_critical(extension)) return XN_EINVAL;
    }
    if (!ours) return XN_EINVAL;
    *ours_out = ours;
    return 0;
}

static int decode_info(X509_EXTENSION *extension, Xn__CertInfo **info_out)
{
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    const uint8_t *start = ASN1_STRING_get0_data(value), *at = start;
    int len = ASN1_STRING_length(value);
    ASN1_OCTET_STRING *inner = d2i_ASN1_OCTET_STRING(NULL, &at, len);
    Xn__CertInfo *info;

    if (!inner) return XN_EINVAL;
    info = at == start + len
               ? xn__cert_info__unpack(NULL, (size_t)ASN1_STRING_length(inner),
                                       ASN1_STRING_get0_data(inner))
               : NULL;
    ASN1_OCTET_STRING_free(inner);
    if (!info) return XN_EINVAL;
    *info_out = info;
    return 0;
}

/* Role, and for nodes the position that follows from the salt. */
static int read_info(X509 *x509, struct xn_cert *cert)
{
    X509_EXTENSION *ours;
    Xn__CertInfo *info = NULL;
    int rc;

    rc = find_extension(x509, &ours);
    if (rc) goto out;
    rc = decode_info(ours, &info);
    if (rc) goto out;
    rc = XN_EINVAL;
    if (info->role < XN__ROLE__NODE || info->role > XN__ROLE__ANYBODY) {
        goto out;
    }
    if (info->salt.len != (info->role == XN__ROLE__NODE ? XN_ID_SIZE : 0)) {
        goto out;
    }
    cert->role = info->role;
    if (info->role == XN__ROLE__NODE) {
        xn_id_hash2(cert->id.b, XN_ID_SIZE, info->salt.data, info->salt.len,
                    &cert->position);
    }
    rc = 0;
out:
    if (info) xn__cert_info__free_unpacked(info, NULL);
    return rc;
}

/* A corp may sign certificates, nobody else may. */
static int check_usage(X509 *x509, Xn__Role role)
{
    uint32_t flags = X509_get_extension_flags(x509);
    uint32_t usage = X509_get_key_usage(x509);
    bool ca = flags & EXFLAG_CA;

    if (flags & EXFLAG_INVALID) return XN_EINVAL;
    if (!(flags & EXFLAG_BCONS) || !(flags & EXFLAG_KUSAGE)) return XN_EINVAL;
    if (ca != (role == XN__ROLE__CORP)) return XN_EINVAL;
    if (ca != !!(usage & KU_KEY_CERT_SIGN)) return XN_EINVAL;
    return usage & KU_DIGITAL_SIGNATURE ? 0 : XN_EINVAL;
}

/* All that the certificate says by itself; nothing is proved yet. */
static int read_facts(X509 *x509, struct xn_cert *cert,
                      uint8_t spki[XN_SPKI_SIZE])
{
    int size = i2d_X509(x509, NULL);
    int rc;

    memset(cert, 0, sizeof *cert);
    if (size <= 0 || size > XN_CERT_BYTES_MAX) return XN_EINVAL;
    if (X509_get_version(x509) != X509_VERSION_3) return XN_EINVAL;
    if (X509_get_signature_nid(x509) != NID_ecdsa_with_SHA256) {
        return XN_EINVAL;
    }
    rc = cert_spki(X509_get_X509_PUBKEY(x509), spki);
    if (rc) return rc;
    xn_id_hash(spki, XN_SPKI_SIZE, &cert->id);
    rc = read_label(x509, cert->label);
    if (rc) return rc;
    rc = read_info(x509, cert);
    if (rc) return rc;
    rc = check_usage(x509, cert->role);
    if (rc) return rc;
    rc = read_time(X509_get0_notBefore(x509), &cert->not_before_us);
    if (rc) return rc;
    return read_time(X509_get0_notAfter(x509), &cert->not_after_us);
}

static int check_dates(const struct xn_cert *cert, uint64_t at_us)
{
    if (at_us > CERT_TIME_US_MAX) return XN_EEXPIRED;
    if (at_us + CERT_SKEW_US < cert->not_before_us) return XN_EEXPIRED;
    if (at_us > cert->not_after_us + CERT_SKEW_US) return XN_EEXPIRED;
    return 0;
}

static bool self_signed(X509 *x509, const uint8_t spki[XN_SPKI_SIZE])
{
    EVP_PKEY *key = NULL;
    bool ok;

    if (xn_key_from_spki(spki, XN_SPKI_SIZE, &key) != 0) return false;
    ok = X509_verify(x509, key) == 1;
    EVP_PKEY_free(key);
    return ok;
}

/* ---- anchors ---- */

struct anchor {
    struct xn_cert cert;
    X509 *x509;
    EVP_PKEY *key;
};

struct xn_anchors {
    struct anchor *rows[XN_ANCHORS_MAX]; /* apart: callers keep pointers */
    size_t n;
};

int xn_anchors_new(struct xn_anchors **anchors_out)
{
    *anchors_out = calloc(1, sizeof **anchors_out);
    return *anchors_out ? 0 : XN_ENOMEM;
}

static void anchor_free(struct anchor *anchor)
{
    if (!anchor) return;
    X509_free(anchor->x509);
    EVP_PKEY_free(anchor->key);
    free(anchor);
}

void xn_anchors_free(struct xn_anchors *anchors)
{
    size_t i;

    if (!anchors) return;
    for (i = 0; i < anchors->n; i++)
        anchor_free(anchors->rows[i]);
    free(anchors);
}

static int anchor_read(struct anchor *anchor, const uint8_t *der, size_t len,
                       uint64_t at_us)
{
    uint8_t spki[XN_SPKI_SIZE];
    int rc;

    rc = xn_cert_from_der(der, len, &anchor->x509);
    if (rc) return rc;
    rc = read_facts(anchor->x509, &anchor->cert, spki);
    if (rc) return rc;
    if (anchor->cert.role != XN__ROLE__CORP) return XN_EINVAL;
    rc = xn_key_from_spki(spki, sizeof spki, &anchor->key);
    if (rc) return rc;
    if (X509_NAME_cmp(X509_get_subject_name(anchor->x509),
                      X509_get_issuer_name(anchor->x509)) != 0 ||
        X509_verify(anchor->x509, anchor->key) != 1) {
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
    anchor_free(anchor);
    ERR_clear_error();
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

/* The anchor that signed it.  Two corps may have chosen one name, so every
 * anchor of that name is tried. */
static const struct anchor *issuer_of(X509 *x509,
                                      const struct xn_anchors *anchors,
                                      bool *is_known_out)
{
    const X509_NAME *issuer = X509_get_issuer_name(x509);
    size_t i;

    *is_known_out = false;
    for (i = 0; i < anchors->n; i++) {
        const struct anchor *anchor = anchors->rows[i];

        if (X509_NAME_cmp(issuer, X509_get_subject_name(anchor->x509)) != 0) {
            continue;
        }
        *is_known_out = true;
        if (X509_verify(x509, anchor->key) == 1) return anchor;
    }
    return NULL;
}

static int judge_issued(struct xn_cert *cert, const struct anchor *anchor,
                        uint64_t at_us)
{
    bool own = xn_id_eq(&cert->id, &anchor->cert.id);

    /* A corp makes no other corps, and what it makes for itself is a corp. */
    if (own != (cert->role == XN__ROLE__CORP)) return XN_EIDENT;
    if (cert->role == XN__ROLE__ANYBODY) return XN_EIDENT;
    cert->corp = anchor->cert.id;
    return check_dates(&anchor->cert, at_us);
}

/* Whatever role it claims, it is nobody's word but its own. */
static int judge_self_made(X509 *x509, struct xn_cert *cert,
                           const uint8_t spki[XN_SPKI_SIZE], bool is_known)
{
    if (X509_NAME_cmp(X509_get_subject_name(x509),
                      X509_get_issuer_name(x509)) != 0 ||
        !self_signed(x509, spki)) {
        return is_known ? XN_ESIGNATURE : XN_EIDENT;
    }
    cert->role = XN__ROLE__ANYBODY;
    cert->corp = (xn_id){{0}};
    cert->position = (xn_id){{0}};
    return 0;
}

int xn_cert_check(X509 *x509, const struct xn_anchors *anchors, uint64_t at_us,
                  struct xn_cert *cert_out)
{
    uint8_t spki[XN_SPKI_SIZE];
    const struct anchor *anchor;
    struct xn_cert cert;
    bool is_known;
    int rc;

    rc = read_facts(x509, &cert, spki);
    if (rc) goto out;
    anchor = issuer_of(x509, anchors, &is_known);
    rc = anchor ? judge_issued(&cert, anchor, at_us)
                : judge_self_made(x509, &cert, spki, is_known);
    if (rc) goto out;
    rc = check_dates(&cert, at_us); /* last: altered ones are not "expired" */
    if (rc) goto out;
    *cert_out = cert;
out:
    ERR_clear_error();
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

/* Re-encoded it must be the same: else one certificate had many spellings. */
static bool is_exact(X509 *x509, const uint8_t *der, size_t len)
{
    uint8_t *again = NULL;
    size_t again_len = 0;
    bool same;

    if (xn_cert_to_der(x509, &again, &again_len) != 0) return false;
    same = again_len == len && memcmp(again, der, len) == 0;
    free(again);
    return same;
}

int xn_cert_from_der(const uint8_t *der, size_t len, X509 **x509_out)
{
    const uint8_t *at = der;
    X509 *x509;

    if (len == 0 || len > XN_CERT_BYTES_MAX) return XN_EINVAL;
    x509 = d2i_X509(NULL, &at, (long)len);
    ERR_clear_error();
    if (!x509) return XN_EINVAL;
    if (at != der + len || !is_exact(x509, der, len)) {
        X509_free(x509);
        return XN_EINVAL;
    }
    *x509_out = x509;
    return 0;
}
