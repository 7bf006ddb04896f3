/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CMS SignedData in the one form that we write (PROTOCOL, "Signed documents").
 *
 * Signing leaves everything to libcrypto.  Verifying reads the container with
 * the strict reader below rather than with CMS_verify: the form is fixed, so
 * every byte outside payload, certificate and signature is compared with what
 * it must be, which a general parser would skip or allow to vary (versions,
 * further certificates, revocation lists, unsigned attributes, BER); and it
 * costs a third.  tests/unit/envelope.c checks both ways against libcrypto's
 * CMS.
 */
#include "wire/envelope.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "lib/err.h"
#include "wire/cert_form.h"
#include "wire/der.h"

/* ---- signing ---- */

int envelope_sign(const uint8_t *payload, size_t len, EVP_PKEY *key, X509 *cert,
                  uint8_t **out, size_t *out_len)
{
    const unsigned flags = CMS_BINARY | CMS_NOSMIMECAP;
    CMS_ContentInfo *cms = NULL;
    uint8_t *der = NULL, *at;
    BIO *bio = NULL;
    int size, rc;

    rc = XN_ETOOBIG;
    if (len > ENVELOPE_PAYLOAD_MAX) goto out;
    rc = XN_EINVAL;
    if (X509_check_private_key(cert, key) != 1) goto out;
    rc = XN_ENOMEM;
    bio = BIO_new_mem_buf(payload, (int)len);
    cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
    if (!bio || !cms || !CMS_add1_signer(cms, cert, key, EVP_sha256(), flags) ||
        CMS_final(cms, bio, NULL, flags) != 1) {
        goto out;
    }
    size = i2d_CMS_ContentInfo(cms, NULL);
    if (size <= 0) goto out;
    rc = XN_ETOOBIG;
    if (size > ENVELOPE_BYTES_MAX) goto out;
    rc = XN_ENOMEM;
    der = malloc((size_t)size);
    if (!der) goto out;
    at = der;
    i2d_CMS_ContentInfo(cms, &at);
    *out = der;
    *out_len = (size_t)size;
    rc = 0;
out:
    CMS_ContentInfo_free(cms);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

/* ---- the container ---- */

static const uint8_t oid_signed[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x07, 0x02};
static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                   0xf7, 0x0d, 0x01, 0x07, 0x01};
static const uint8_t oid_content_type[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                           0xf7, 0x0d, 0x01, 0x09, 0x03};
static const uint8_t oid_message_digest[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                             0xf7, 0x0d, 0x01, 0x09, 0x04};
/* AlgorithmIdentifiers without parameters (RFC 5754). */
static const uint8_t alg_sha256[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                     0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
static const uint8_t alg_ecdsa[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t version_1[] = {DER_INTEGER, 1, 1};

struct parts {
    struct der payload;
    struct der cert;       /* DER of the certificate */
    struct der sid;        /* issuer and serial number that the signer names */
    struct der attributes; /* contents of the signed attributes */
    struct der signature;
};

static bool read_signer(struct der *from, struct parts *parts)
{
    struct der signer;

    return der_take(from, DER_SEQUENCE, &signer) &&
           DER_BYTES(&signer, version_1) &&
           der_take(&signer, DER_SEQUENCE, &parts->sid) &&
           DER_BYTES(&signer, alg_sha256) &&
           der_take(&signer, DER_CONTEXT_0, &parts->attributes) &&
           DER_BYTES(&signer, alg_ecdsa) &&
           der_take(&signer, DER_OCTETS, &parts->signature) && signer.len == 0;
}

static bool read_content(struct der *from, struct parts *parts)
{
    struct der content, wrapped;

    return der_take(from, DER_SEQUENCE, &content) &&
           DER_BYTES(&content, oid_data) &&
           der_take(&content, DER_CONTEXT_0, &wrapped) && content.len == 0 &&
           der_take(&wrapped, DER_OCTETS, &parts->payload) && wrapped.len == 0;
}

static bool read_container(struct der all, struct parts *parts)
{
    struct der info, wrapped, data, certs, digests, signers;

    return der_take(&all, DER_SEQUENCE, &info) && all.len == 0 &&
           DER_BYTES(&info, oid_signed) &&
           der_take(&info, DER_CONTEXT_0, &wrapped) && info.len == 0 &&
           der_take(&wrapped, DER_SEQUENCE, &data) && wrapped.len == 0 &&
           DER_BYTES(&data, version_1) && der_take(&data, DER_SET, &digests) &&
           DER_BYTES(&digests, alg_sha256) && digests.len == 0 &&
           read_content(&data, parts) &&
           der_take(&data, DER_CONTEXT_0, &certs) &&
           der_take_whole(&certs, DER_SEQUENCE, &parts->cert) &&
           certs.len == 0 && der_take(&data, DER_SET, &signers) &&
           data.len == 0 && read_signer(&signers, parts) && signers.len == 0;
}

/* The signed attributes: content type and digest exactly once, others (the
 * time of signing) are covered by the signature and ignored. */
static bool read_attributes(struct der attributes, struct der *digest_out)
{
    bool have_type = false, have_digest = false;
    struct der attribute, values;

    while (attributes.len) {
        if (!der_take(&attributes, DER_SEQUENCE, &attribute)) return false;
        if (DER_BYTES(&attribute, oid_content_type)) {
            if (have_type || !der_take(&attribute, DER_SET, &values) ||
                !DER_BYTES(&values, oid_data)) {
                return false;
            }
            have_type = true;
        } else if (DER_BYTES(&attribute, oid_message_digest)) {
            if (have_digest || !der_take(&attribute, DER_SET, &values) ||
                !der_take(&values, DER_OCTETS, digest_out)) {
                return false;
            }
            have_digest = true;
        } else {
            continue;
        }
        if (attribute.len || values.len) return false;
    }
    return have_type && have_digest && digest_out->len == XN_ID_SIZE;
}

/* ---- verifying ---- */

/* Does the signer name the certificate that came along? */
static bool names_cert(struct der sid, const struct cert_form *cert)
{
    return der_take_bytes(&sid, cert->issuer.at, cert->issuer.len) &&
           der_eq(sid, cert->serial);
}

/* RFC 5652, 5.4: what is signed is the attributes as a SET, although they
 * stand in the container with another tag. */
static int check_signature(const struct parts *parts, const uint8_t *spki)
{
    uint8_t head[4] = {DER_SET, 0x82, (uint8_t)(parts->attributes.len >> 8),
                       (uint8_t)parts->attributes.len};
    size_t head_len = sizeof head;
    xn_id hash;

    if (parts->attributes.len < 0x80) {
        head[1] = (uint8_t)parts->attributes.len;
        head_len = 2;
    } else if (parts->attributes.len < 0x100) {
        head[1] = 0x81;
        head[2] = (uint8_t)parts->attributes.len;
        head_len = 3;
    }
    xn_id_hash2(head, head_len, parts->attributes.at, parts->attributes.len,
                &hash);
    return xn_spki_verify(spki, XN_SPKI_SIZE, &hash, parts->signature.at,
                          parts->signature.len);
}

/* Cheap checks first: form, digest, certificate, signature. */
static int verify(const struct parts *parts, const struct xn_anchors *anchors,
                  uint64_t at_us, struct xn_cert *signer_out)
{
    struct cert_form cert;
    struct der digest;
    xn_id hash;
    int rc, signature;

    if (!read_attributes(parts->attributes, &digest)) return XN_EINVAL;
    xn_id_hash(parts->payload.at, parts->payload.len, &hash);
    if (memcmp(hash.b, digest.at, XN_ID_SIZE) != 0) return XN_ESIGNATURE;
    rc = cert_read(parts->cert.at, parts->cert.len, &cert);
    if (rc) return rc;
    if (!names_cert(parts->sid, &cert)) return XN_EINVAL;
    rc = cert_judge(&cert, anchors, at_us, signer_out);
    if (rc && rc != XN_EEXPIRED) return rc;
    /* What was altered is that first, and not merely old. */
    signature = check_signature(parts, cert.spki);
    if (signature) return signature;
    if (!rc && signer_out->role == XN__ROLE__ANYBODY) return XN_EIDENT;
    return rc;
}

int envelope_verify(const uint8_t *data, size_t len,
                    const struct xn_anchors *anchors, uint64_t at_us,
                    struct xn_cert *signer_out, uint8_t **payload_out,
                    size_t *payload_len_out)
{
    struct parts parts = {
        {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct xn_cert signer;
    uint8_t *payload;
    int rc;

    if (len > ENVELOPE_BYTES_MAX) return XN_ETOOBIG;
    if (!read_container((struct der){data, len}, &parts)) return XN_EINVAL;
    rc = verify(&parts, anchors, at_us, &signer);
    if (rc) return rc;
    payload = malloc(parts.payload.len + 1); /* never malloc(0) */
    if (!payload) return XN_ENOMEM;
    if (parts.payload.len) {
        memcpy(payload, parts.payload.at, parts.payload.len);
    }
    *signer_out = signer;
    *payload_out = payload;
    *payload_len_out = parts.payload.len;
    return 0;
}
