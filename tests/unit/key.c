/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static char folder[64];

static const char *file(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/xn-key-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file("key.pem"));
    return rmdir(folder); /* fails where a temporary file was left */
}

static void test_spki_is_what_openssl_says(void **state)
{
    uint8_t mine[XN_SPKI_SIZE], *theirs = NULL;
    EVP_PKEY *key, *again;
    xn_id id, hash;

    (void)state;
    assert_int_equal(xn_key_generate(&key), 0);
    assert_int_equal(xn_key_spki(key, mine), 0);
    assert_int_equal(i2d_PUBKEY(key, &theirs), XN_SPKI_SIZE);
    assert_memory_equal(mine, theirs, XN_SPKI_SIZE);
    assert_int_equal(xn_key_id(key, &id), 0);
    xn_id_hash(mine, sizeof mine, &hash);
    assert_true(xn_id_eq(&id, &hash));
    assert_int_equal(xn_key_from_spki(mine, sizeof mine, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    OPENSSL_free(theirs);
    EVP_PKEY_free(again);
    EVP_PKEY_free(key);
}

static void test_compressed_point(void **state)
{
    uint8_t mine[XN_SPKI_SIZE], again[XN_SPKI_SIZE], *short_form = NULL;
    EVP_PKEY *key, *from = NULL;
    int len;

    (void)state;
    assert_int_equal(xn_key_generate(&key), 0);
    assert_int_equal(xn_key_spki(key, mine), 0);
    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed"), 1);
    len = i2d_PUBKEY(key, &short_form);
    assert_int_equal(len, XN_SPKI_SIZE - 32);
    assert_int_equal(xn_key_from_spki(short_form, (size_t)len, &from),
                     XN_EINVAL);
    /* The key's own form does not change its name. */
    assert_int_equal(xn_key_spki(key, again), 0);
    assert_memory_equal(mine, again, XN_SPKI_SIZE);
    OPENSSL_free(short_form);
    EVP_PKEY_free(key);
}

static void test_bad_spki(void **state)
{
    uint8_t spki[XN_SPKI_SIZE + 1] = {0};
    EVP_PKEY *key, *other = NULL;

    (void)state;
    assert_int_equal(xn_key_generate(&key), 0);
    assert_int_equal(xn_key_spki(key, spki), 0);
    assert_int_equal(xn_key_from_spki(spki, 0, &other), XN_EINVAL);
    assert_int_equal(xn_key_from_spki(spki, XN_SPKI_SIZE - 1, &other),
                     XN_EINVAL);
    assert_int_equal(xn_key_from_spki(spki, XN_SPKI_SIZE + 1, &other),
                     XN_EINVAL);
    /* One altered bit anywhere: another curve, another form, or a point that
     * is not on the curve. */
    for (size_t i = 0; i < XN_SPKI_SIZE; i++) {
        spki[i] ^= 1;
        assert_int_equal(xn_key_from_spki(spki, XN_SPKI_SIZE, &other),
                         XN_EINVAL);
        spki[i] ^= 1;
    }
    EVP_PKEY_free(key);
}

static void test_other_kinds(void **state)
{
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    uint8_t spki[XN_SPKI_SIZE];

    (void)state;
    assert_int_equal(xn_key_spki(p384, spki), XN_EINVAL);
    assert_int_equal(xn_key_spki(ed, spki), XN_EINVAL);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(ed);
}

static void test_save_and_load(void **state)
{
    const char *path = file("key.pem");
    EVP_PKEY *key, *again;
    struct stat st;

    (void)state;
    assert_int_equal(xn_key_load(path, &again), XN_ENOENT);
    assert_int_equal(xn_key_generate(&key), 0);
    assert_int_equal(xn_key_save(key, path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(xn_key_load(path, &again), 0);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    EVP_PKEY_free(again);
    assert_int_equal(xn_key_save(key, path), 0); /* replaces */
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(xn_key_load(path, &again), XN_EPERM);
    assert_int_equal(xn_key_save(key, "/nonexistent/key.pem"), XN_ENOENT);
    EVP_PKEY_free(key);
}

static void write_pem(const char *path, EVP_PKEY *key, const char *password)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(
                         f, key, password ? EVP_aes_128_cbc() : NULL, password,
                         password ? (int)strlen(password) : 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_bad_files(void **state)
{
    const char *path = file("key.pem");
    EVP_PKEY *p384 = EVP_EC_gen("P-384"), *key, *out = NULL;
    FILE *f;

    (void)state;
    write_pem(path, p384, NULL);
    assert_int_equal(xn_key_load(path, &out), XN_EINVAL);
    assert_int_equal(xn_key_generate(&key), 0);
    write_pem(path, key, "secret"); /* nobody is asked for it */
    assert_int_equal(xn_key_load(path, &out), XN_EINVAL);
    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed"), 1);
    write_pem(path, key, NULL);
    assert_int_equal(xn_key_load(path, &out), 0);
    assert_int_equal(i2d_PUBKEY(out, NULL), XN_SPKI_SIZE);
    EVP_PKEY_free(out);
    f = fopen(path, "w");
    for (int i = 0; i < 20000; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(xn_key_load(path, &out), XN_ETOOBIG);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(xn_key_load(path, &out), XN_EINVAL);
    assert_int_equal(xn_key_load(folder, &out), XN_EINVAL); /* a folder */
    EVP_PKEY_free(key);
    EVP_PKEY_free(p384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spki_is_what_openssl_says),
        cmocka_unit_test(test_compressed_point),
        cmocka_unit_test(test_bad_spki),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test_setup_teardown(test_save_and_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
