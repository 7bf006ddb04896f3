/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signed documents, two containers.
 *
 * Envelope: CMS SignedData, binary, opaque, exactly one signer, its
 * certificate inside, SHA-256 with ECDSA, no bytes behind: verifies anywhere
 * against the accepted corps (RFC 5652).
 * Blob: a small payload signed by a bare key that names itself
 * (Xn__SignedBlob); `context` separates purposes (LEASE_CONTEXT).
 *
 * Thread-safe.  Verifying costs two signatures (0.1 ms) for an envelope, one
 * where the anchors know its certificate, and one for a blob: callers remember
 * what they have verified.
 */
#ifndef WIRE_ENVELOPE_H
#define WIRE_ENVELOPE_H

#include "wire/cert.h"
#include "wire/key.h"

#define ENVELOPE_BYTES_MAX (48 * 1024)
#define ENVELOPE_PAYLOAD_MAX (44 * 1024)
#define BLOB_BYTES_MAX 4608
#define BLOB_PAYLOAD_MAX 4096
#define LEASE_CONTEXT "xn.lease.1"
#define REVOKED_CONTEXT "xn.revoked.1"
#define REVOKED_PAYLOAD_MAX (8192 * 32 + 64) /* of that context */
#define REVOKED_BYTES_MAX (REVOKED_PAYLOAD_MAX + 512)

/* *out is the caller's (free).  XN_ETOOBIG; XN_EINVAL: the certificate is not
 * the key's. */
int envelope_sign(const uint8_t *payload, size_t len, EVP_PKEY *key, X509 *cert,
                  uint8_t **out, size_t *out_len);

/* XN_ETOOBIG, XN_EINVAL (not of our form), XN_ESIGNATURE, XN_EIDENT (no
 * accepted corp issued the certificate, or self-made), XN_EEXPIRED at at_us.
 * The payload is the caller's (free).  Whether this signer may sign such a
 * document is the caller's to judge, by its role and id. */
int envelope_verify(const uint8_t *data, size_t len,
                    const struct xn_anchors *anchors, uint64_t at_us,
                    struct xn_cert *signer_out, uint8_t **payload_out,
                    size_t *payload_len_out);

int blob_sign(const uint8_t *payload, size_t len, const char *context,
              EVP_PKEY *key, uint8_t **out, size_t *out_len);
/* The signer's id is SHA-256 of the key inside.  XN_EINVAL, XN_ESIGNATURE.
 * Anybody can make one: the id says who did. */
int blob_verify(const uint8_t *data, size_t len, const char *context,
                xn_id *signer_out, uint8_t **payload_out,
                size_t *payload_len_out);

#endif
