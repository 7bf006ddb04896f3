/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates: X.509 v3 over P-256, issued by a XenoCorp to nodes, servers
 * and clients.
 *
 * Common name: the label.  One extension of ours (OID in cert.c and PROTOCOL)
 * holds a CertInfo: role and, for nodes, the salt that the corp drew after it
 * saw the key; position = SHA-256(id || salt).  A corp's own certificate is
 * self-signed, its name is its domain-like label ("alpha.example").
 *
 * Anchors may be used by several threads at once, not while one adds to them.
 */
#ifndef WIRE_CERT_H
#define WIRE_CERT_H

#include <openssl/x509.h>

#include "wire/api.pb-c.h"
#include "wire/id.h"

#define XN_CERT_BYTES_MAX 2048 /* DER */
#define XN_CSR_BYTES_MAX 4096  /* DER */
#define XN_ANCHORS_MAX 64

struct xn_cert { /* facts of a checked certificate */
    xn_id id;
    xn_id corp;     /* id of the issuer's key; own id for a corp */
    xn_id position; /* nodes; else zero */
    Xn__Role role;  /* XN__ROLE__ANYBODY: self-made */
    uint64_t not_before_us, not_after_us;
    char label[XN_LABEL_MAX + 1];
};

/* The corps that are accepted: their certificates. */
struct xn_anchors;
int xn_anchors_new(struct xn_anchors **anchors_out);
void xn_anchors_free(struct xn_anchors *anchors);
/* A corp's self-signed certificate, DER.  A corp that is there already stays as
 * it is.  XN_EINVAL, XN_EEXPIRED, XN_ETOOBIG (XN_ANCHORS_MAX). */
int xn_anchors_add(struct xn_anchors *anchors, const uint8_t *der, size_t len,
                   uint64_t at_us);
size_t xn_anchors_count(const struct xn_anchors *anchors);
/* Facts of an accepted corp, lent; NULL: it is not accepted. */
const struct xn_cert *xn_anchors_find(const struct xn_anchors *anchors,
                                      const xn_id *corp);

/* Check a certificate against the anchors at that time (clock skew of 5
 * minutes forgiven).  XN_EIDENT: issuer not accepted; XN_ESIGNATURE: it names
 * an accepted one, which did not sign it; XN_EEXPIRED (or not valid yet);
 * XN_EINVAL: not of our form.  A self-signed
 * certificate that is no anchor comes out as role ANYBODY with rc 0, corp and
 * position zero.  Costs one signature check (50 us), two for a self-signed one.
 * That an anchor signed these exact bytes is remembered, of some hundreds of
 * certificates: then 4 us.  *cert_out is set on success alone. */
int xn_cert_check(X509 *x509, const struct xn_anchors *anchors, uint64_t at_us,
                  struct xn_cert *cert_out);

/* PKCS#10 for a key, DER into a buffer that the caller frees. */
int xn_csr_make(EVP_PKEY *key, const char *label, uint8_t **der_out,
                size_t *len_out);

/* Check a request's own signature; the id of its key.  XN_EINVAL,
 * XN_ESIGNATURE. */
int xn_csr_id(const uint8_t *csr, size_t len, xn_id *id_out);

struct xn_cert_order {
    const uint8_t *csr;
    size_t csr_len;
    Xn__Role role;
    const char *label;
    const uint8_t *salt; /* 32 bytes; nodes */
    uint64_t not_before_us, not_after_us;
};
/* Checks the request's own signature, then signs; the label is the order's, not
 * the request's.  XN_ESIGNATURE, XN_EINVAL. */
int xn_cert_issue(const struct xn_cert_order *order, EVP_PKEY *corp_key,
                  X509 *corp, X509 **x509_out);
/* A corp's self-signed one (10 years), or anybody's self-made one (1 day). */
int xn_cert_self(EVP_PKEY *key, Xn__Role role, const char *label,
                 uint64_t not_before_us, uint64_t not_after_us,
                 X509 **x509_out);

/* DER: at most XN_CERT_BYTES_MAX, no bytes behind, in the one exact encoding.
 * What comes out is the caller's (free, X509_free).  XN_EINVAL. */
int xn_cert_to_der(X509 *x509, uint8_t **der_out, size_t *len_out);
int xn_cert_from_der(const uint8_t *der, size_t len, X509 **x509_out);
int xn_cert_save(X509 *x509, const char *path); /* PEM, atomically */
int xn_cert_load(const char *path, X509 **x509_out);

#endif
