/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and certificates as files.  Apart from key.c and cert.c, which cores
 * may call. */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "lib/err.h"
#include "wire/cert.h"
#include "wire/key.h"
#include "wire/key_form.h"
#include "wire/pemfile.h"

int xn_key_save(const EVP_PKEY *key, const char *path)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text;
    long len;
    int rc = XN_ENOMEM;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                              NULL) != 1) {
        goto out;
    }
    len = BIO_get_mem_data(bio, &text);
    rc = pemfile_write(path, text, (size_t)len, true);
out:
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int xn_key_load(const char *path, EVP_PKEY **key_out)
{
    EVP_PKEY *raw = NULL;
    BIO *bio = NULL;
    int rc;

    rc = pemfile_read(path, true, &bio);
    if (rc) goto out;
    raw = PEM_read_bio_PrivateKey(bio, NULL, pemfile_no_password, NULL);
    rc = raw ? key_accept(raw, key_out) : XN_EINVAL;
out:
    EVP_PKEY_free(raw);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int xn_key_own(const char *path, EVP_PKEY **key_out)
{
    EVP_PKEY *key = NULL;
    int rc = xn_key_load(path, key_out);

    if (rc != XN_ENOENT) return rc;
    rc = xn_key_generate(&key);
    if (!rc) rc = xn_key_save(key, path);
    if (rc) {
        EVP_PKEY_free(key);
        return rc;
    }
    *key_out = key;
    return 0;
}

int xn_cert_save(X509 *x509, const char *path)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;
    int rc = XN_ENOMEM;

    if (!bio || PEM_write_bio_X509(bio, x509) != 1) goto out;
    len = BIO_get_mem_data(bio, &text);
    rc = pemfile_write(path, text, (size_t)len, false);
out:
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int xn_cert_load(const char *path, X509 **x509_out)
{
    BIO *bio = NULL;
    X509 *x509;
    int rc;

    rc = pemfile_read(path, false, &bio);
    if (rc) return rc;
    x509 = PEM_read_bio_X509(bio, NULL, pemfile_no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!x509) return XN_EINVAL;
    *x509_out = x509;
    return 0;
}
