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

/* ---- a strict DER reader ---- */

struct span {
    const uint8_t *at;
    size_t len;
};

enum {
    INTEGER = 0x02,
    OCTETS = 0x04,
    SEQUENCE = 0x30,
    SET = 0x31,
    CONTEXT_0 = 0xa0,
};

static bool take(struct span *from, size_t n, struct span *out)
{
    if (n > from->len) return false;
    out->at = from->at;
    out->len = n;
    from->at += n;
    from->len -= n;
    return true;
}

/* A length in its shortest form, below 64 KiB. */
static bool take_length(struct span *from, size_t *len_out)
{
    size_t extra, n = 0;
    struct span byte;

    if (!take(from, 1, &byte)) return false;
    if (byte.at[0] < 0x80) {
        *len_out = byte.at[0];
        return true;
    }
    extra = byte.at[0] & 0x7f;
    if (extra < 1 || extra > 2 || !take(from, extra, &byte)) return false;
    for (size_t i = 0; i < extra; i++)
        n = n << 8 | byte.at[i];
    if (n < (extra == 1 ? 0x80U : 0x100U)) return false;
    *len_out = n;
    return true;
}

/* The next element if it has this tag: its contents. */
static bool take_tag(struct span *from, uint8_t tag, struct span *out)
{
    struct span byte;
    size_t len;

    return take(from, 1, &byte) && byte.at[0] == tag &&
           take_length(from, &len) && take(from, len, out);
}

/* The next element with tag and length: all its bytes. */
static bool take_whole(struct span *from, uint8_t tag, struct span *out)
{
    struct span start = *from, contents;

    if (!take_tag(from, tag, &contents)) return false;
    out->at = start.at;
    out->len = start.len - from->len;
    return true;
}

/* Exactly these bytes come next; nothing is taken where others do. */
static bool take_bytes(struct span *from, const void *bytes, size_t n)
{
    struct span got;

    if (n > from->len || memcmp(from->at, bytes, n) != 0) return false;
    return take(from, n, &got);
}

#define TAKE_BYTES(from, bytes) take_bytes((from), (bytes), sizeof(bytes))

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
static const uint8_t version_1[] = {INTEGER, 1, 1};

struct parts {
    struct span payload;
    struct span cert;       /* DER of the certificate */
    struct span sid;        /* issuer and serial number that the signer names */
    struct span attributes; /* contents of the signed attributes */
    struct span signature;
};

static bool read_signer(struct span *from, struct parts *parts)
{
    struct span signer;

    return take_tag(from, SEQUENCE, &signer) &&
           TAKE_BYTES(&signer, version_1) &&
           take_tag(&signer, SEQUENCE, &parts->sid) &&
           TAKE_BYTES(&signer, alg_sha256) &&
           take_tag(&signer, CONTEXT_0, &parts->attributes) &&
           TAKE_BYTES(&signer, alg_ecdsa) &&
           take_tag(&signer, OCTETS, &parts->signature) && signer.len == 0;
}

static bool read_content(struct span *from, struct parts *parts)
{
    struct span content, wrapped;

    return take_tag(from, SEQUENCE, &content) &&
           TAKE_BYTES(&content, oid_data) &&
           take_tag(&content, CONTEXT_0, &wrapped) && content.len == 0 &&
           take_tag(&wrapped, OCTETS, &parts->payload) && wrapped.len == 0;
}

static bool read_container(struct span all, struct parts *parts)
{
    struct span info, wrapped, data, certs, digests, signers;

    return take_tag(&all, SEQUENCE, &info) && all.len == 0 &&
           TAKE_BYTES(&info, oid_signed) &&
           take_tag(&info, CONTEXT_0, &wrapped) && info.len == 0 &&
           take_tag(&wrapped, SEQUENCE, &data) && wrapped.len == 0 &&
           TAKE_BYTES(&data, version_1) && take_tag(&data, SET, &digests) &&
           TAKE_BYTES(&digests, alg_sha256) && digests.len == 0 &&
           read_content(&data, parts) && take_tag(&data, CONTEXT_0, &certs) &&
           take_whole(&certs, SEQUENCE, &parts->cert) && certs.len == 0 &&
           take_tag(&data, SET, &signers) && data.len == 0 &&
           read_signer(&signers, parts) && signers.len == 0;
}

/* The signed attributes: content type and digest exactly once, others (the
 * time of signing) are covered by the signature and ignored. */
static bool read_attributes(struct span attributes, struct span *digest_out)
{
    bool have_type = false, have_digest = false;
    struct span attribute, values;

    while (attributes.len) {
        if (!take_tag(&attributes, SEQUENCE, &attribute)) return false;
        if (TAKE_BYTES(&attribute, oid_content_type)) {
            if (have_type || !take_tag(&attribute, SET, &values) ||
                !TAKE_BYTES(&values, oid_data)) {
                return false;
            }
            have_type = true;
        } else if (TAKE_BYTES(&attribute, oid_message_digest)) {
            if (have_digest || !take_tag(&attribute, SET, &values) ||
                !take_tag(&values, OCTETS, digest_out)) {
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
static bool names_cert(struct span sid, const X509 *x509)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);
    const X509_NAME *issuer = X509_get_issuer_name(x509);
    uint8_t der[XN_CERT_BYTES_MAX], *at = der;
    int issuer_len = i2d_X509_NAME(issuer, NULL);
    int serial_len = i2d_ASN1_INTEGER(serial, NULL);

    if (issuer_len <= 0 || serial_len <= 0 ||
        issuer_len + serial_len > (int)sizeof der) {
        return false;
    }
    i2d_X509_NAME(issuer, &at);
    i2d_ASN1_INTEGER(serial, &at);
    return take_bytes(&sid, der, (size_t)(at - der)) && sid.len == 0;
}

/* RFC 5652, 5.4: what is signed is the attributes as a SET, although they
 * stand in the container with another tag. */
static int check_signature(const struct parts *parts, X509 *x509)
{
    uint8_t head[4] = {SET, 0x82, (uint8_t)(parts->attributes.len >> 8),
                       (uint8_t)parts->attributes.len};
    size_t head_len = sizeof head;
    /* Read with the certificate, whose check demands the one form of key that
     * we know: to make it again from its bytes costs a third of a check. */
    EVP_PKEY *key = X509_get0_pubkey(x509);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc;

    if (parts->attributes.len < 0x80) {
        head[1] = (uint8_t)parts->attributes.len;
        head_len = 2;
    } else if (parts->attributes.len < 0x100) {
        head[1] = 0x81;
        head[2] = (uint8_t)parts->attributes.len;
        head_len = 3;
    }
    rc = XN_EINVAL;
    if (!key) goto out; /* the point is not on the curve */
    rc = XN_ENOMEM;
    if (!ctx || EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestVerifyUpdate(ctx, head, head_len) != 1 ||
        EVP_DigestVerifyUpdate(ctx, parts->attributes.at,
                               parts->attributes.len) != 1) {
        goto out;
    }
    rc = EVP_DigestVerifyFinal(ctx, parts->signature.at,
                               parts->signature.len) == 1
             ? 0
             : XN_ESIGNATURE;
out:
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* Cheap checks first: form, digest, certificate, signature. */
static int verify(const struct parts *parts, const struct xn_anchors *anchors,
                  uint64_t at_us, struct xn_cert *signer_out)
{
    struct span digest;
    X509 *x509 = NULL;
    xn_id hash;
    int rc, signature;

    rc = XN_EINVAL;
    if (!read_attributes(parts->attributes, &digest)) goto out;
    rc = XN_ESIGNATURE;
    xn_id_hash(parts->payload.at, parts->payload.len, &hash);
    if (memcmp(hash.b, digest.at, XN_ID_SIZE) != 0) goto out;
    rc = xn_cert_from_der(parts->cert.at, parts->cert.len, &x509);
    if (rc) goto out;
    rc = XN_EINVAL;
    if (!names_cert(parts->sid, x509)) goto out;
    rc = xn_cert_check(x509, anchors, at_us, signer_out);
    if (rc && rc != XN_EEXPIRED) goto out;
    /* What was altered is that first, and not merely old. */
    signature = check_signature(parts, x509);
    if (signature) rc = signature;
    if (!rc && signer_out->role == XN__ROLE__ANYBODY) rc = XN_EIDENT;
out:
    X509_free(x509);
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
    if (!read_container((struct span){data, len}, &parts)) return XN_EINVAL;
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
