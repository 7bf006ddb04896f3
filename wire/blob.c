/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small container: a payload, the key that signed it, the signature. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "lib/err.h"
#include "wire/envelope.h"
#include "wire/msg.h"

enum { SIGNATURE_MAX = 80 }; /* ECDSA P-256 in DER: at most 72 bytes */

static bool is_long(const char *context)
{
    return strcmp(context, REVOKED_CONTEXT) == 0;
}

static size_t payload_max(const char *context)
{
    return is_long(context) ? REVOKED_PAYLOAD_MAX : BLOB_PAYLOAD_MAX;
}

static size_t bytes_max(const char *context)
{
    return is_long(context) ? REVOKED_BYTES_MAX : BLOB_BYTES_MAX;
}

/* What is signed: context, a zero byte, payload.  The zero keeps one context
 * from being the start of another.  The caller frees. */
static uint8_t *message_of(const char *context, const uint8_t *payload,
                           size_t len, size_t *len_out)
{
    size_t head = strlen(context) + 1;
    uint8_t *message = malloc(head + len);

    if (!message) return NULL;
    memcpy(message, context, head);
    if (len) memcpy(message + head, payload, len);
    *len_out = head + len;
    return message;
}

static int sign(const uint8_t *message, size_t len, EVP_PKEY *key,
                uint8_t *signature, size_t *signature_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = XN_ENOMEM;

    if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, signature_len, message, len) == 1) {
        rc = 0;
    }
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

int blob_sign(const uint8_t *payload, size_t len, const char *context,
              EVP_PKEY *key, uint8_t **out, size_t *out_len)
{
    Xn__SignedBlob blob = XN__SIGNED_BLOB__INIT;
    uint8_t spki[XN_SPKI_SIZE], signature[SIGNATURE_MAX];
    uint8_t *message = NULL;
    size_t message_len;
    int rc;

    rc = XN_ETOOBIG;
    if (len > payload_max(context)) goto out;
    rc = xn_key_spki(key, spki);
    if (rc) goto out;
    rc = XN_ENOMEM;
    message = message_of(context, payload, len, &message_len);
    if (!message) goto out;
    blob.signature.data = signature;
    blob.signature.len = sizeof signature;
    rc = sign(message, message_len, key, signature, &blob.signature.len);
    if (rc) goto out;
    blob.payload.data = (uint8_t *)(uintptr_t)payload;
    blob.payload.len = len;
    blob.spki.data = spki;
    blob.spki.len = sizeof spki;
    rc = xn_pack(&blob, out, out_len);
out:
    free(message);
    return rc;
}

/* Only the one encoding that blob_sign makes, so that nothing rides along.  The
 * hash of a blob is no name of its payload all the same: who has a signature
 * (r, s) has (r, n - s), which is as good. */
static bool is_exact(const Xn__SignedBlob *blob, const uint8_t *data,
                     size_t len)
{
    uint8_t *again = NULL;
    size_t size;
    bool same;

    if (blob->base.n_unknown_fields) return false;
    if (xn_pack(blob, &again, &size)) return false;
    same = size == len && memcmp(again, data, len) == 0;
    free(again);
    return same;
}

static int check_signature(const Xn__SignedBlob *blob, const char *context)
{
    xn_id hash;

    xn_id_hash2(context, strlen(context) + 1, blob->payload.data,
                blob->payload.len, &hash);
    return xn_spki_verify(blob->spki.data, blob->spki.len, &hash,
                          blob->signature.data, blob->signature.len);
}

int blob_verify(const uint8_t *data, size_t len, const char *context,
                xn_id *signer_out, uint8_t **payload_out,
                size_t *payload_len_out)
{
    Xn__SignedBlob *blob = NULL;
    uint8_t *payload = NULL;
    int rc = XN_EINVAL;

    if (len == 0 || len > bytes_max(context)) goto out;
    blob = xn__signed_blob__unpack(NULL, len, data);
    if (!blob || blob->payload.len > payload_max(context) ||
        blob->signature.len > SIGNATURE_MAX || !is_exact(blob, data, len)) {
        goto out;
    }
    rc = check_signature(blob, context);
    if (rc) goto out;
    rc = XN_ENOMEM;
    payload = malloc(blob->payload.len + 1); /* never malloc(0) */
    if (!payload) goto out;
    if (blob->payload.len) {
        memcpy(payload, blob->payload.data, blob->payload.len);
    }
    xn_id_hash(blob->spki.data, blob->spki.len, signer_out);
    *payload_out = payload;
    *payload_len_out = blob->payload.len;
    rc = 0;
out:
    if (blob) xn__signed_blob__free_unpacked(blob, NULL);
    return rc;
}
