/* SPDX-License-Identifier: GPL-3.0-or-later */
/* P-256 keys and their names.  Public keys count only in the uncompressed
 * 91-byte SubjectPublicKeyInfo form: otherwise one key would have two names.
 *
 * All of this may be called from several threads; a key may be shared. */
#ifndef WIRE_KEY_H
#define WIRE_KEY_H

#include <openssl/evp.h>

#include "wire/id.h"

#define XN_SPKI_SIZE 91

int xn_key_generate(EVP_PKEY **key_out);
/* PEM file, mode 0600, written whole or not at all (temporary, fsync, rename).
 * XN_EPERM, XN_ENOSPC, XN_EIO. */
int xn_key_save(const EVP_PKEY *key, const char *path);
/* XN_ENOENT: no file; XN_EPERM: others can read it, or we cannot; XN_EINVAL:
 * not a P-256 private key, or one behind a password. */
int xn_key_load(const char *path, EVP_PKEY **key_out);

/* The same; where there is no file yet, a new key that is saved there. */
int xn_key_own(const char *path, EVP_PKEY **key_out);

/* Exactly the 91 bytes; XN_EINVAL for another kind of key. */
int xn_key_spki(const EVP_PKEY *key, uint8_t out[XN_SPKI_SIZE]);
/* Public key from them: 29 us, against 311 for a general decoder. */
int xn_key_from_spki(const uint8_t *spki, size_t len, EVP_PKEY **key_out);
int xn_key_id(const EVP_PKEY *key, xn_id *id_out);
/* Did its holder sign this SHA-256?  An ECDSA signature in DER.  XN_EINVAL (not
 * of the form, or not on the curve), XN_ESIGNATURE.  50 us. */
int xn_spki_verify(const uint8_t *spki, size_t len, const xn_id *hash,
                   const uint8_t *signature, size_t signature_len);
/* Of the right size and head?  (Not: is the point on the curve.) */
bool xn_spki_valid(const uint8_t *spki, size_t len);

#endif
