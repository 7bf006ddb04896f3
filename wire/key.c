/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/key.h"
#include "wire/key_form.h"

#include <stdatomic.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "lib/err.h"

enum {
    POINT_SIZE = 65,
    COORD_SIZE = 32,
    HEAD_SIZE = XN_SPKI_SIZE - POINT_SIZE,
    SIGNATURE_MAX = 72 /* in DER */
};

/* What stands before the point: ecPublicKey over prime256v1 (RFC 5480). */
static const uint8_t spki_head[HEAD_SIZE] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t len;

    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group,
                                       sizeof group, &len) != 1) {
        return false;
    }
    return OBJ_sn2nid(group) == NID_X9_62_prime256v1 ||
           strcmp(group, "P-256") == 0;
}

/* The point's coordinates rather than its encoding: a key that was read from
 * a compressed point says so in its encoding. */
static int point_of(const EVP_PKEY *key, uint8_t out[POINT_SIZE])
{
    BIGNUM *x = NULL, *y = NULL;
    int rc = XN_EINVAL;

    out[0] = POINT_CONVERSION_UNCOMPRESSED;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
        BN_bn2binpad(x, out + 1, COORD_SIZE) == COORD_SIZE &&
        BN_bn2binpad(y, out + 1 + COORD_SIZE, COORD_SIZE) == COORD_SIZE) {
        rc = 0;
    }
    BN_free(x);
    BN_free(y);
    return rc;
}

int xn_key_spki(const EVP_PKEY *key, uint8_t out[XN_SPKI_SIZE])
{
    int rc = XN_EINVAL;

    if (is_p256(key)) {
        memcpy(out, spki_head, HEAD_SIZE);
        rc = point_of(key, out + HEAD_SIZE);
    }
    ERR_clear_error();
    return rc;
}

bool xn_spki_valid(const uint8_t *spki, size_t len)
{
    return len == XN_SPKI_SIZE && memcmp(spki, spki_head, HEAD_SIZE) == 0 &&
           spki[HEAD_SIZE] == POINT_CONVERSION_UNCOMPRESSED;
}

/* `secret` NULL: the public half alone. */
static int key_build(const uint8_t *point, const BIGNUM *secret,
                     EVP_PKEY **key_out)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    int rc = XN_ENOMEM;

    if (!build ||
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
                                        SN_X9_62_prime256v1, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         POINT_SIZE) != 1) {
        goto out;
    }
    if (secret && OSSL_PARAM_BLD_push_BN_pad(build, OSSL_PKEY_PARAM_PRIV_KEY,
                                             secret, COORD_SIZE) != 1) {
        goto out;
    }
    params = OSSL_PARAM_BLD_to_param(build);
    ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1) goto out;
    rc = XN_EINVAL; /* the point is not on the curve */
    if (EVP_PKEY_fromdata(ctx, &key,
                          secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                          params) != 1) {
        goto out;
    }
    *key_out = key;
    rc = 0;
out:
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    ERR_clear_error();
    return rc;
}

int xn_key_from_spki(const uint8_t *spki, size_t len, EVP_PKEY **key_out)
{
    if (!xn_spki_valid(spki, len)) return XN_EINVAL;
    return key_build(spki + HEAD_SIZE, NULL, key_out);
}

/* OpenSSL 3's EVP makes the curve anew for each key and looks for who verifies
 * by name, under locks that all threads share: half as long again as verifying
 * takes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Made once, then only read, by any thread. */
static const EC_GROUP *curve(void)
{
    static _Atomic(EC_GROUP *) kept;
    EC_GROUP *made = atomic_load(&kept), *other = NULL;

    if (made) return made;
    made = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    if (!made || atomic_compare_exchange_strong(&kept, &other, made)) {
        return made;
    }
    EC_GROUP_free(made);
    return other;
}

int xn_spki_verify(const uint8_t *spki, size_t len, const xn_id *hash,
                   const uint8_t *signature, size_t signature_len)
{
    const EC_GROUP *group = curve();
    EC_KEY *key = NULL;
    int rc = XN_EINVAL;

    if (!xn_spki_valid(spki, len)) goto out;
    rc = XN_ENOMEM;
    key = EC_KEY_new();
    if (!group || !key || EC_KEY_set_group(key, group) != 1) goto out;
    rc = XN_EINVAL;
    if (EC_KEY_oct2key(key, spki + HEAD_SIZE, POINT_SIZE, NULL) != 1) goto out;
    rc = XN_ESIGNATURE;
    if (signature_len > SIGNATURE_MAX) goto out;
    if (ECDSA_verify(0, hash->b, XN_ID_SIZE, signature, (int)signature_len,
                     key) == 1) {
        rc = 0;
    }
out:
    EC_KEY_free(key);
    ERR_clear_error();
    return rc;
}

#pragma GCC diagnostic pop

int xn_key_id(const EVP_PKEY *key, xn_id *id_out)
{
    uint8_t spki[XN_SPKI_SIZE];
    int rc = xn_key_spki(key, spki);

    if (rc) return rc;
    xn_id_hash(spki, sizeof spki, id_out);
    return 0;
}

int xn_key_generate(EVP_PKEY **key_out)
{
    EVP_PKEY *key = EVP_EC_gen(SN_X9_62_prime256v1);

    ERR_clear_error();
    if (!key) return XN_ENOMEM;
    *key_out = key;
    return 0;
}

/* The same key in the one form that we use, whatever form the file had. */
static int normalise(const EVP_PKEY *raw, EVP_PKEY **key_out)
{
    uint8_t point[POINT_SIZE];
    BIGNUM *secret = NULL;
    int rc = XN_EINVAL;

    if (!is_p256(raw)) goto out;
    if (EVP_PKEY_get_bn_param(raw, OSSL_PKEY_PARAM_PRIV_KEY, &secret) != 1) {
        goto out;
    }
    rc = point_of(raw, point);
    if (!rc) rc = key_build(point, secret, key_out);
out:
    BN_clear_free(secret);
    return rc;
}

/* A file whose two halves do not belong together would sign what nobody can
 * verify. */
static bool is_pair(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool ok = ctx && EVP_PKEY_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

int key_accept(const EVP_PKEY *raw, EVP_PKEY **key_out)
{
    EVP_PKEY *key = NULL;
    int rc;

    rc = normalise(raw, &key);
    if (rc) return rc;
    if (!is_pair(key)) {
        EVP_PKEY_free(key);
        return XN_EINVAL;
    }
    *key_out = key;
    return 0;
}
