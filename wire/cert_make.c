/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and certificates, made.  Nothing here is random but the signature:
 * the salt comes from the caller, the serial number from what is certified. */
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "lib/err.h"
#include "wire/cert.h"
#include "wire/cert_form.h"
#include "wire/key.h"

enum { SERIAL_SIZE = 16 };

/* The 91 bytes as they stand in the request; XN_EINVAL for any other form. */
static int request_spki(X509_REQ *req, uint8_t out[XN_SPKI_SIZE])
{
    X509_PUBKEY *pub = X509_REQ_get_X509_PUBKEY(req);
    uint8_t *at = out;

    if (!pub || i2d_X509_PUBKEY(pub, NULL) != XN_SPKI_SIZE) return XN_EINVAL;
    if (i2d_X509_PUBKEY(pub, &at) != XN_SPKI_SIZE) return XN_EINVAL;
    return xn_spki_valid(out, XN_SPKI_SIZE) ? 0 : XN_EINVAL;
}

static int set_name(X509_NAME *name, const char *label)
{
    if (!xn_label_valid(label, strlen(label))) return XN_EINVAL;
    return X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                                      (const unsigned char *)label, -1, -1,
                                      0) == 1
               ? 0
               : XN_ENOMEM;
}

int xn_csr_make(EVP_PKEY *key, const char *label, uint8_t **der_out,
                size_t *len_out)
{
    X509_REQ *req = X509_REQ_new();
    uint8_t *der = NULL, *at;
    int len, rc = XN_ENOMEM;

    if (!req) goto out;
    rc = set_name(X509_REQ_get_subject_name(req), label);
    if (rc) goto out;
    rc = XN_ENOMEM;
    if (X509_REQ_set_pubkey(req, key) != 1 ||
        X509_REQ_sign(req, key, EVP_sha256()) <= 0) {
        goto out;
    }
    len = i2d_X509_REQ(req, NULL);
    if (len <= 0) goto out;
    der = malloc((size_t)len);
    if (!der) goto out;
    at = der;
    i2d_X509_REQ(req, &at);
    *der_out = der;
    *len_out = (size_t)len;
    rc = 0;
out:
    X509_REQ_free(req);
    ERR_clear_error();
    return rc;
}

/* The value: an OCTET STRING around the CertInfo, so that it is DER. */
static int add_info(X509 *x509, Xn__Role role, const uint8_t *salt)
{
    Xn__CertInfo info = XN__CERT_INFO__INIT;
    uint8_t packed[XN_ID_SIZE + 16], der[XN_ID_SIZE + 32], *at = der;
    ASN1_OCTET_STRING *inner = ASN1_OCTET_STRING_new(), *value = NULL;
    ASN1_OBJECT *oid = OBJ_txt2obj(CERT_OID, 1);
    X509_EXTENSION *extension = NULL;
    size_t len;
    int rc = XN_ENOMEM;

    info.role = role;
    if (salt) {
        info.salt.data = (uint8_t *)(uintptr_t)salt;
        info.salt.len = XN_ID_SIZE;
    }
    len = xn__cert_info__pack(&info, packed);
    value = ASN1_OCTET_STRING_new();
    if (!inner || !value || !oid) goto out;
    if (ASN1_OCTET_STRING_set(inner, packed, (int)len) != 1) goto out;
    if (ASN1_OCTET_STRING_set(value, der, i2d_ASN1_OCTET_STRING(inner, &at)) !=
        1) {
        goto out;
    }
    extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    if (!extension || X509_add_ext(x509, extension, -1) != 1) goto out;
    rc = 0;
out:
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OCTET_STRING_free(inner);
    ASN1_OBJECT_free(oid);
    return rc;
}

static int add_text_extension(X509 *x509, int nid, const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
    int rc = XN_ENOMEM;

    if (extension && X509_add_ext(x509, extension, -1) == 1) rc = 0;
    X509_EXTENSION_free(extension);
    return rc;
}

static int add_extensions(X509 *x509, Xn__Role role, const uint8_t *salt)
{
    bool corp = role == XN__ROLE__CORP;
    int rc;

    rc = add_text_extension(x509, NID_basic_constraints,
                            corp ? "critical,CA:TRUE,pathlen:0"
                                 : "critical,CA:FALSE");
    if (rc) return rc;
    rc = add_text_extension(x509, NID_key_usage,
                            corp ? "critical,digitalSignature,keyCertSign,"
                                   "cRLSign"
                                 : "critical,digitalSignature");
    if (rc) return rc;
    return add_info(x509, role, salt);
}

/* Unique for an issuer: no two certificates of one key with the same dates,
 * role and salt. */
static int set_serial(X509 *x509, const uint8_t spki[XN_SPKI_SIZE],
                      const struct xn_cert_order *order)
{
    uint8_t rest[1 + 8 + 8 + XN_ID_SIZE] = {(uint8_t)order->role};
    BIGNUM *number = NULL;
    int rc = XN_ENOMEM;
    xn_id hash;

    memcpy(rest + 1, &order->not_before_us, 8);
    memcpy(rest + 9, &order->not_after_us, 8);
    if (order->salt) memcpy(rest + 17, order->salt, XN_ID_SIZE);
    xn_id_hash2(spki, XN_SPKI_SIZE, rest, sizeof rest, &hash);
    hash.b[0] = (uint8_t)((hash.b[0] & 0x7f) | 0x40); /* positive, full size */
    number = BN_bin2bn(hash.b, SERIAL_SIZE, NULL);
    if (number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509))) {
        rc = 0;
    }
    BN_free(number);
    return rc;
}

static int set_dates(X509 *x509, uint64_t not_before_us, uint64_t not_after_us)
{
    if (not_after_us > CERT_TIME_US_MAX || not_before_us > not_after_us) {
        return XN_EINVAL;
    }
    if (!ASN1_TIME_set(X509_getm_notBefore(x509),
                       (time_t)(not_before_us / 1000000)) ||
        !ASN1_TIME_set(X509_getm_notAfter(x509),
                       (time_t)(not_after_us / 1000000))) {
        return XN_ENOMEM;
    }
    return 0;
}

/* Of all of the order but the request: `subject` is the key.  `corp` NULL:
 * self-signed. */
static int make(const struct xn_cert_order *order, EVP_PKEY *subject,
                EVP_PKEY *signer, X509 *corp, X509 **x509_out)
{
    uint8_t spki[XN_SPKI_SIZE];
    X509 *x509 = X509_new();
    int rc = XN_ENOMEM;

    if (!x509) goto out;
    rc = xn_key_spki(subject, spki);
    if (rc) goto out;
    rc = set_name(X509_get_subject_name(x509), order->label);
    if (rc) goto out;
    rc = set_dates(x509, order->not_before_us, order->not_after_us);
    if (rc) goto out;
    rc = set_serial(x509, spki, order);
    if (rc) goto out;
    rc = add_extensions(x509, order->role, order->salt);
    if (rc) goto out;
    rc = XN_ENOMEM;
    if (X509_set_version(x509, X509_VERSION_3) != 1 ||
        X509_set_pubkey(x509, subject) != 1 ||
        X509_set_issuer_name(x509, X509_get_subject_name(corp ? corp : x509)) !=
            1 ||
        X509_sign(x509, signer, EVP_sha256()) <= 0) {
        goto out;
    }
    *x509_out = x509;
    x509 = NULL;
    rc = 0;
out:
    X509_free(x509);
    ERR_clear_error();
    return rc;
}

/* The request's key, if the request proves that its sender has it. */
static int csr_key(const uint8_t *csr, size_t len, EVP_PKEY **key_out)
{
    const uint8_t *at = csr;
    uint8_t spki[XN_SPKI_SIZE];
    EVP_PKEY *key = NULL;
    X509_REQ *req = NULL;
    int rc = XN_EINVAL;

    if (!csr || len == 0 || len > XN_CSR_BYTES_MAX) goto out;
    req = d2i_X509_REQ(NULL, &at, (long)len);
    if (!req || at != csr + len) goto out;
    rc = request_spki(req, spki);
    if (rc) goto out;
    rc = xn_key_from_spki(spki, sizeof spki, &key);
    if (rc) goto out;
    rc = XN_EINVAL;
    if (X509_REQ_get_signature_nid(req) != NID_ecdsa_with_SHA256) goto out;
    rc = XN_ESIGNATURE;
    if (X509_REQ_verify(req, key) != 1) goto out;
    *key_out = key;
    key = NULL;
    rc = 0;
out:
    EVP_PKEY_free(key);
    X509_REQ_free(req);
    ERR_clear_error();
    return rc;
}

int xn_csr_id(const uint8_t *csr, size_t len, xn_id *id_out)
{
    EVP_PKEY *key = NULL;
    int rc = csr_key(csr, len, &key);

    if (!rc) rc = xn_key_id(key, id_out);
    EVP_PKEY_free(key);
    return rc;
}

int xn_cert_issue(const struct xn_cert_order *order, EVP_PKEY *corp_key,
                  X509 *corp, X509 **x509_out)
{
    EVP_PKEY *subject = NULL;
    int rc = XN_EINVAL;

    if (order->role < XN__ROLE__NODE || order->role > XN__ROLE__CLIENT) {
        goto out;
    }
    if ((order->role == XN__ROLE__NODE) != (order->salt != NULL)) goto out;
    if (X509_check_private_key(corp, corp_key) != 1) goto out;
    rc = csr_key(order->csr, order->csr_len, &subject);
    if (rc) goto out;
    rc = XN_EINVAL; /* a corp is no node, server or client of its own */
    if (EVP_PKEY_eq(subject, corp_key) == 1) goto out;
    rc = make(order, subject, corp_key, corp, x509_out);
out:
    EVP_PKEY_free(subject);
    ERR_clear_error();
    return rc;
}

int xn_cert_self(EVP_PKEY *key, Xn__Role role, const char *label,
                 uint64_t not_before_us, uint64_t not_after_us, X509 **x509_out)
{
    struct xn_cert_order order = {.role = role,
                                  .label = label,
                                  .not_before_us = not_before_us,
                                  .not_after_us = not_after_us};

    if (role != XN__ROLE__CORP && role != XN__ROLE__ANYBODY) return XN_EINVAL;
    return make(&order, key, key, NULL, x509_out);
}
