/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include <pthread.h>

#include <openssl/cms.h>

#include "wire/envelope.h"

static const char text[] = "<XenoServerAdvertisement version=\"1\"/>";

struct world {
    struct kit_party alpha, beta, server;
    struct xn_anchors *anchors;
    uint8_t *data; /* an envelope around text by server */
    size_t len;
};

static int set_up(void **state)
{
    static struct world w;

    w.alpha = kit_corp("alpha.example");
    w.beta = kit_corp("beta.example");
    w.server = kit_member(&w.alpha, XN__ROLE__SERVER, "otter");
    assert_int_equal(xn_anchors_new(&w.anchors), 0);
    kit_trust(w.anchors, &w.alpha);
    assert_int_equal(envelope_sign((const uint8_t *)text, sizeof text - 1,
                                   w.server.key, w.server.x509, &w.data,
                                   &w.len),
                     0);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    free(w->data);
    xn_anchors_free(w->anchors);
    kit_clear(&w->server);
    kit_clear(&w->alpha);
    kit_clear(&w->beta);
    return 0;
}

static int verify_at(struct world *w, const uint8_t *data, size_t len,
                     uint64_t at_us)
{
    uint8_t *payload = NULL, *exact = malloc(len ? len : 1);
    size_t payload_len = 0;
    struct xn_cert signer;
    int rc;

    /* A block of the exact size, so that AddressSanitizer sees reads past. */
    if (len) memcpy(exact, data, len);
    rc = envelope_verify(exact, len, w->anchors, at_us, &signer, &payload,
                         &payload_len);
    free(exact);
    free(payload);
    return rc;
}

static int verify(struct world *w, const uint8_t *data, size_t len)
{
    return verify_at(w, data, len, NOW_US);
}

static void test_good(void **state)
{
    struct world *w = *state;
    struct xn_cert signer;
    uint8_t *payload;
    size_t len;
    xn_id id;

    assert_int_equal(envelope_verify(w->data, w->len, w->anchors, NOW_US,
                                     &signer, &payload, &len),
                     0);
    assert_int_equal(len, sizeof text - 1);
    assert_memory_equal(payload, text, len);
    free(payload);
    assert_int_equal(xn_key_id(w->server.key, &id), 0);
    assert_true(xn_id_eq(&signer.id, &id));
    assert_int_equal(signer.role, XN__ROLE__SERVER);
    assert_string_equal(signer.label, "otter");
}

/* Sizes at which the lengths of DER grow by a byte, and the greatest. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = {
        0, 1, 127, 128, 255, 256, 30000, 32768, ENVELOPE_PAYLOAD_MAX};
    uint8_t *big = calloc(1, ENVELOPE_PAYLOAD_MAX + 1), *data, *payload;
    struct world *w = *state;
    struct xn_cert signer;
    size_t len, payload_len;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(envelope_sign(big, sizes[i], w->server.key,
                                       w->server.x509, &data, &len),
                         0);
        assert_int_equal(envelope_verify(data, len, w->anchors, NOW_US, &signer,
                                         &payload, &payload_len),
                         0);
        assert_int_equal(payload_len, sizes[i]);
        free(payload);
        free(data);
    }
    assert_int_equal(envelope_sign(big, ENVELOPE_PAYLOAD_MAX + 1, w->server.key,
                                   w->server.x509, &data, &len),
                     XN_ETOOBIG);
    free(big);
    big = calloc(1, ENVELOPE_BYTES_MAX + 1);
    assert_int_equal(verify(w, big, ENVELOPE_BYTES_MAX + 1), XN_ETOOBIG);
    assert_int_equal(verify(w, big, ENVELOPE_BYTES_MAX), XN_EINVAL);
    free(big);
}

static void test_altered_bytes(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < w->len; i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            w->data[i] ^= (uint8_t)bit;
            if (verify(w, w->data, w->len) == 0) {
                fail_msg("byte %zu of %zu, bit %u", i, w->len, bit);
            }
            w->data[i] ^= (uint8_t)bit;
        }
    }
    assert_int_equal(verify(w, w->data, w->len), 0);
}

static void test_cut_and_added(void **state)
{
    struct world *w = *state;
    uint8_t *more = calloc(1, w->len + 1);

    for (size_t len = 0; len < w->len; len++)
        assert_int_equal(verify(w, w->data, len), XN_EINVAL);
    memcpy(more, w->data, w->len);
    assert_int_equal(verify(w, more, w->len + 1), XN_EINVAL);
    free(more);
}

static int verify_by(struct world *w, EVP_PKEY *key, X509 *x509)
{
    uint8_t *data;
    size_t len;
    int rc;

    assert_int_equal(
        envelope_sign((const uint8_t *)"x", 1, key, x509, &data, &len), 0);
    rc = verify(w, data, len);
    free(data);
    return rc;
}

static void test_signers(void **state)
{
    struct world *w = *state;
    struct kit_party p = kit_member(&w->beta, XN__ROLE__SERVER, "otter");
    uint8_t *data;
    size_t len;
    X509 *x509;

    assert_int_equal(verify_by(w, p.key, p.x509), XN_EIDENT);
    assert_int_equal(verify_by(w, w->alpha.key, w->alpha.x509), 0);
    assert_int_equal(verify_by(w, w->beta.key, w->beta.x509), XN_EIDENT);
    assert_int_equal(xn_cert_self(p.key, XN__ROLE__ANYBODY, "me", NOW_US,
                                  NOW_US + DAY_US, &x509),
                     0);
    assert_int_equal(verify_by(w, p.key, x509), XN_EIDENT);
    /* A certificate of another key. */
    assert_int_equal(envelope_sign((const uint8_t *)"x", 1, p.key,
                                   w->server.x509, &data, &len),
                     XN_EINVAL);
    X509_free(x509);
    x509 = kit_issue(&w->alpha, p.key, XN__ROLE__SERVER, "otter",
                     NOW_US - 9 * DAY_US, NOW_US - DAY_US);
    assert_int_equal(verify_by(w, p.key, x509), XN_EEXPIRED);
    X509_free(x509);
    kit_clear(&p);
    assert_int_equal(verify_at(w, w->data, w->len, NOW_US + 91 * DAY_US),
                     XN_EEXPIRED);
}

/* ---- against libcrypto's CMS, and what it can make that we refuse ---- */

static CMS_ContentInfo *cms_of(const uint8_t *data, size_t len)
{
    return d2i_CMS_ContentInfo(NULL, &data, (long)len);
}

static void test_cms_verifies_ours(void **state)
{
    struct world *w = *state;
    CMS_ContentInfo *cms = cms_of(w->data, w->len);
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;

    assert_non_null(cms);
    assert_int_equal(CMS_verify(cms, NULL, NULL, NULL, out,
                                CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY),
                     1);
    assert_int_equal(BIO_get_mem_data(out, &bytes), sizeof text - 1);
    assert_memory_equal(bytes, text, sizeof text - 1);
    BIO_free(out);
    CMS_ContentInfo_free(cms);
}

struct odd {
    unsigned flags;
    const EVP_MD *md;
    const struct kit_party *second; /* signer */
    X509 *extra;                    /* certificate */
    bool unsigned_attribute;
};

static int verify_odd(struct world *w, struct odd odd)
{
    unsigned flags = CMS_BINARY | odd.flags;
    BIO *in = BIO_new_mem_buf(text, sizeof text - 1);
    CMS_ContentInfo *cms =
        CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
    CMS_SignerInfo *si = CMS_add1_signer(cms, w->server.x509, w->server.key,
                                         odd.md ? odd.md : EVP_sha256(), flags);
    uint8_t *der = NULL;
    int len, rc;

    assert_non_null(si);
    if (odd.second) {
        assert_non_null(CMS_add1_signer(cms, odd.second->x509, odd.second->key,
                                        EVP_sha256(), flags));
    }
    if (odd.extra) assert_int_equal(CMS_add1_cert(cms, odd.extra), 1);
    assert_int_equal(CMS_final(cms, in, NULL, flags), 1);
    if (odd.unsigned_attribute) {
        assert_int_equal(CMS_unsigned_add1_attr_by_NID(
                             si, NID_description, V_ASN1_UTF8STRING, "x", 1),
                         1);
    }
    len = i2d_CMS_ContentInfo(cms, &der);
    assert_true(len > 0);
    rc = verify(w, der, (size_t)len);
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    return rc;
}

static void test_cms_forms(void **state)
{
    struct world *w = *state;
    struct kit_party other = kit_member(&w->alpha, XN__ROLE__SERVER, "b");

    /* What anybody's CMS library makes is good... */
    assert_int_equal(verify_odd(w, (struct odd){0}), 0);
    assert_int_equal(verify_odd(w, (struct odd){.flags = CMS_NOSMIMECAP}), 0);
    /* ... but two signers, two certificates or none, no content, bare
     * signatures, another digest or unsigned riders are not. */
    assert_int_equal(verify_odd(w, (struct odd){.second = &other}), XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.extra = other.x509}),
                     XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.flags = CMS_NOCERTS}),
                     XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.flags = CMS_DETACHED}),
                     XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.flags = CMS_NOATTR}),
                     XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.md = EVP_sha384()}),
                     XN_EINVAL);
    assert_int_equal(verify_odd(w, (struct odd){.unsigned_attribute = true}),
                     XN_EINVAL);
    kit_clear(&other);
}

/* ---- blobs ---- */

static void test_blob(void **state)
{
    struct world *w = *state;
    uint8_t *data, *payload, *more;
    size_t len, payload_len;
    xn_id id, signer;

    assert_int_equal(blob_sign((const uint8_t *)"lease", 5, LEASE_CONTEXT,
                               w->server.key, &data, &len),
                     0);
    assert_int_equal(
        blob_verify(data, len, LEASE_CONTEXT, &signer, &payload, &payload_len),
        0);
    assert_int_equal(xn_key_id(w->server.key, &id), 0);
    assert_true(xn_id_eq(&id, &signer));
    assert_int_equal(payload_len, 5);
    assert_memory_equal(payload, "lease", 5);
    free(payload);
    assert_int_equal(
        blob_verify(data, len, "xn.other.1", &signer, &payload, &payload_len),
        XN_ESIGNATURE);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            data[i] ^= (uint8_t)bit;
            assert_int_not_equal(blob_verify(data, len, LEASE_CONTEXT, &signer,
                                             &payload, &payload_len),
                                 0);
            data[i] ^= (uint8_t)bit;
        }
    }
    for (size_t n = 0; n < len; n++) {
        assert_int_not_equal(blob_verify(data, n, LEASE_CONTEXT, &signer,
                                         &payload, &payload_len),
                             0);
    }
    /* An unknown field behind would give one blob many hashes. */
    more = malloc(len + 2);
    memcpy(more, data, len);
    more[len] = 0x20;
    more[len + 1] = 1;
    assert_int_equal(blob_verify(more, len + 2, LEASE_CONTEXT, &signer,
                                 &payload, &payload_len),
                     XN_EINVAL);
    free(more);
    free(data);
}

static void test_blob_sizes(void **state)
{
    uint8_t *big = calloc(1, BLOB_BYTES_MAX + 1), *data, *payload;
    struct world *w = *state;
    size_t len, payload_len;
    xn_id signer;

    assert_int_equal(blob_sign(big, BLOB_PAYLOAD_MAX + 1, LEASE_CONTEXT,
                               w->server.key, &data, &len),
                     XN_ETOOBIG);
    assert_int_equal(blob_sign(big, BLOB_PAYLOAD_MAX, LEASE_CONTEXT,
                               w->server.key, &data, &len),
                     0);
    assert_true(len <= BLOB_BYTES_MAX);
    assert_int_equal(
        blob_verify(data, len, LEASE_CONTEXT, &signer, &payload, &payload_len),
        0);
    assert_int_equal(payload_len, BLOB_PAYLOAD_MAX);
    free(payload);
    free(data);
    assert_int_equal(
        blob_sign(NULL, 0, LEASE_CONTEXT, w->server.key, &data, &len), 0);
    assert_int_equal(
        blob_verify(data, len, LEASE_CONTEXT, &signer, &payload, &payload_len),
        0);
    assert_int_equal(payload_len, 0);
    free(payload);
    free(data);
    assert_int_equal(blob_verify(big, BLOB_BYTES_MAX + 1, LEASE_CONTEXT,
                                 &signer, &payload, &payload_len),
                     XN_EINVAL);
    free(big);
}

/* ---- many threads: drivers sign and verify from a pool ---- */

static void *sign_and_verify(void *arg)
{
    struct world *w = arg;

    for (int i = 0; i < 20; i++) {
        uint8_t *data = NULL, *payload = NULL;
        size_t len, payload_len;
        struct xn_cert cert;
        xn_id signer;

        if (envelope_sign((const uint8_t *)text, 5, w->server.key,
                          w->server.x509, &data, &len) ||
            envelope_verify(data, len, w->anchors, NOW_US, &cert, &payload,
                            &payload_len)) {
            return NULL;
        }
        free(data);
        free(payload);
        if (blob_sign((const uint8_t *)text, 5, LEASE_CONTEXT, w->server.key,
                      &data, &len) ||
            blob_verify(data, len, LEASE_CONTEXT, &signer, &payload,
                        &payload_len)) {
            return NULL;
        }
        free(data);
        free(payload);
    }
    return w;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    void *ok;

    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, sign_and_verify, *state), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_ptr_equal(ok, *state);
    }
}

/* ---- no memory ---- */

static long allocations_left = -1; /* -1: as many as wanted */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return __real_malloc(size);
}

/* Whatever call fails, what comes out is an error and nothing is lost. */
static void test_no_memory(void **state)
{
    struct world *w = *state;
    uint8_t *data = NULL, *blob = NULL, *payload = NULL;
    size_t len, blob_len, payload_len;
    struct xn_cert cert;
    xn_id signer;
    long n = 0;
    int rc[4];

    assert_int_equal(blob_sign((const uint8_t *)text, 5, LEASE_CONTEXT,
                               w->server.key, &blob, &blob_len),
                     0);
    do {
        allocations_left = n;
        rc[0] = envelope_verify(w->data, w->len, w->anchors, NOW_US, &cert,
                                &payload, &payload_len);
        allocations_left = -1;
        if (!rc[0]) free(payload);
        allocations_left = n;
        rc[1] = blob_verify(blob, blob_len, LEASE_CONTEXT, &signer, &payload,
                            &payload_len);
        allocations_left = -1;
        if (!rc[1]) free(payload);
        allocations_left = n;
        rc[2] = envelope_sign((const uint8_t *)text, 5, w->server.key,
                              w->server.x509, &data, &len);
        allocations_left = -1;
        if (!rc[2]) free(data);
        allocations_left = n;
        rc[3] = blob_sign((const uint8_t *)text, 5, LEASE_CONTEXT,
                          w->server.key, &data, &len);
        allocations_left = -1;
        if (!rc[3]) free(data);
        n++;
    } while (rc[0] || rc[1] || rc[2] || rc[3]);
    assert_true(n > 1);
    free(blob);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good),          TEST(test_sizes),
        TEST(test_altered_bytes), TEST(test_cut_and_added),
        TEST(test_signers),       TEST(test_cms_verifies_ours),
        TEST(test_cms_forms),     TEST(test_blob),
        TEST(test_blob_sizes),    TEST(test_threads),
        TEST(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
