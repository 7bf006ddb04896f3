/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include <stdio.h>
#include <unistd.h>

#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "wire/cert_form.h"

struct world {
    struct kit_party alpha, beta; /* accepted; another corp */
    struct xn_anchors *anchors;
};

static int set_up(void **state)
{
    static struct world world;

    world.alpha = kit_corp("alpha.example");
    world.beta = kit_corp("beta.example");
    assert_int_equal(xn_anchors_new(&world.anchors), 0);
    kit_trust(world.anchors, &world.alpha);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    xn_anchors_free(world->anchors);
    kit_clear(&world->alpha);
    kit_clear(&world->beta);
    return 0;
}

static void test_good_roles(void **state)
{
    static const Xn__Role roles[] = {XN__ROLE__NODE, XN__ROLE__SERVER,
                                     XN__ROLE__CLIENT};
    struct world *w = *state;
    xn_id corp, id, position;

    assert_int_equal(xn_key_id(w->alpha.key, &corp), 0);
    for (size_t i = 0; i < 3; i++) {
        struct kit_party p = kit_member(&w->alpha, roles[i], "otter-1");
        struct xn_cert cert;

        assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
        assert_int_equal(xn_key_id(p.key, &id), 0);
        assert_true(xn_id_eq(&cert.id, &id));
        assert_true(xn_id_eq(&cert.corp, &corp));
        assert_int_equal(cert.role, roles[i]);
        assert_string_equal(cert.label, "otter-1");
        assert_int_equal(cert.not_before_us, NOW_US - DAY_US);
        assert_int_equal(cert.not_after_us, NOW_US + 90 * DAY_US);
        xn_id_hash2(id.b, 32, kit_salt, 32, &position);
        if (roles[i] == XN__ROLE__NODE) {
            assert_true(xn_id_eq(&cert.position, &position));
        } else {
            assert_true(xn_id_is_zero(&cert.position));
        }
        kit_clear(&p);
    }
}

static void test_corp_itself(void **state)
{
    struct world *w = *state;
    struct xn_cert cert;

    assert_int_equal(xn_cert_check(w->alpha.x509, w->anchors, NOW_US, &cert),
                     0);
    assert_int_equal(cert.role, XN__ROLE__CORP);
    assert_true(xn_id_eq(&cert.id, &cert.corp));
    assert_int_equal(xn_anchors_count(w->anchors), 1);
    assert_string_equal(xn_anchors_find(w->anchors, &cert.id)->label,
                        "alpha.example");
    kit_trust(w->anchors, &w->alpha); /* again: no second row */
    assert_int_equal(xn_anchors_count(w->anchors), 1);
    /* A corp that is not accepted is nobody. */
    assert_int_equal(xn_cert_check(w->beta.x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.role, XN__ROLE__ANYBODY);
}

static void test_other_corp(void **state)
{
    struct world *w = *state;
    struct kit_party p = kit_member(&w->beta, XN__ROLE__SERVER, "otter");
    struct kit_party twin = kit_corp("alpha.example");
    struct xn_cert cert;

    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert),
                     XN_EIDENT);
    kit_clear(&p);
    /* One that calls itself as the accepted one does. */
    p = kit_member(&twin, XN__ROLE__SERVER, "otter");
    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert),
                     XN_ESIGNATURE);
    /* Both of that name accepted: each vouches for its own. */
    kit_trust(w->anchors, &twin);
    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
    kit_clear(&p);
    kit_clear(&twin);
}

static void test_self_made(void **state)
{
    struct world *w = *state;
    struct kit_party p;
    struct xn_cert cert;
    X509 *x509;

    assert_int_equal(xn_key_generate(&p.key), 0);
    assert_int_equal(xn_cert_self(p.key, XN__ROLE__ANYBODY, "someone", NOW_US,
                                  NOW_US + DAY_US, &p.x509),
                     0);
    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.role, XN__ROLE__ANYBODY);
    assert_true(xn_id_is_zero(&cert.corp));
    assert_int_equal(xn_cert_self(p.key, XN__ROLE__SERVER, "someone", NOW_US,
                                  NOW_US + DAY_US, &x509),
                     XN_EINVAL);
    /* Under the name of an accepted corp it is still nobody. */
    X509_free(p.x509);
    assert_int_equal(xn_cert_self(p.key, XN__ROLE__CORP, "alpha.example",
                                  NOW_US, NOW_US + DAY_US, &p.x509),
                     0);
    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.role, XN__ROLE__ANYBODY);
    kit_clear(&p);
}

static void test_corp_name_as_label(void **state)
{
    struct world *w = *state;
    struct kit_party p =
        kit_member(&w->alpha, XN__ROLE__CLIENT, "alpha.example");
    struct xn_cert cert;

    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.role, XN__ROLE__CLIENT);
    kit_clear(&p);
}

static void test_dates(void **state)
{
    struct world *w = *state;
    const uint64_t skew = 300 * 1000000ULL, until = NOW_US + DAY_US;
    struct xn_cert cert;
    EVP_PKEY *key;
    X509 *x509;

    assert_int_equal(xn_key_generate(&key), 0);
    x509 = kit_issue(&w->alpha, key, XN__ROLE__SERVER, "otter", NOW_US, until);
    assert_int_equal(xn_cert_check(x509, w->anchors, until + skew, &cert), 0);
    assert_int_equal(xn_cert_check(x509, w->anchors, until + skew + 1, &cert),
                     XN_EEXPIRED);
    assert_int_equal(xn_cert_check(x509, w->anchors, NOW_US - skew, &cert), 0);
    assert_int_equal(xn_cert_check(x509, w->anchors, NOW_US - skew - 1, &cert),
                     XN_EEXPIRED);
    assert_int_equal(xn_cert_check(x509, w->anchors, 0, &cert), XN_EEXPIRED);
    assert_int_equal(xn_cert_check(x509, w->anchors, UINT64_MAX, &cert),
                     XN_EEXPIRED);
    X509_free(x509);
    /* The corp's own end counts too. */
    x509 = kit_issue(&w->alpha, key, XN__ROLE__SERVER, "otter", NOW_US,
                     NOW_US + 5000 * DAY_US);
    assert_int_equal(
        xn_cert_check(x509, w->anchors, NOW_US + 4000 * DAY_US, &cert),
        XN_EEXPIRED);
    assert_int_equal(xn_cert_check(x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.not_after_us, NOW_US + 3650 * DAY_US);
    X509_free(x509);
    x509 = kit_issue(&w->alpha, key, XN__ROLE__SERVER, "otter",
                     NOW_US - 9 * DAY_US, until);
    assert_int_equal(xn_cert_check(x509, w->anchors, NOW_US, &cert), 0);
    assert_int_equal(cert.not_before_us, NOW_US - DAY_US);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void test_anchor_must_be_a_corp(void **state)
{
    struct world *w = *state;
    struct kit_party p = kit_member(&w->alpha, XN__ROLE__SERVER, "otter");
    uint8_t *der;
    size_t len;

    assert_int_equal(xn_cert_to_der(p.x509, &der, &len), 0);
    assert_int_equal(xn_anchors_add(w->anchors, der, len, NOW_US), XN_EINVAL);
    free(der);
    assert_int_equal(xn_cert_to_der(w->beta.x509, &der, &len), 0);
    assert_int_equal(
        xn_anchors_add(w->anchors, der, len, NOW_US + 9000 * DAY_US),
        XN_EEXPIRED);
    der[len - 1] ^= 1;
    assert_int_equal(xn_anchors_add(w->anchors, der, len, NOW_US), XN_EINVAL);
    free(der);
    kit_clear(&p);
}

/* A certificate made by hand: what the rules of make() would not let through.
 */
struct odd {
    int version;
    const char *label;
    const char *constraints; /* NULL: none */
    const char *usage;
    Xn__Role role;
    int extensions; /* of ours */
    size_t salt_len;
    bool critical_other;
    const EVP_MD *md;
    bool compressed;
    bool two_names;
};

static const struct odd even = {.version = X509_VERSION_3,
                                .label = "otter",
                                .constraints = "critical,CA:FALSE",
                                .usage = "critical,digitalSignature",
                                .role = XN__ROLE__SERVER,
                                .extensions = 1};

static void add_ours(X509 *x509, Xn__Role role, size_t salt_len)
{
    uint8_t packed[128], der[128], salt[64] = {7}, *at = der;
    Xn__CertInfo info = XN__CERT_INFO__INIT;
    ASN1_OCTET_STRING *inner = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *oid = OBJ_txt2obj(CERT_OID, 1);
    X509_EXTENSION *extension;

    info.role = role;
    info.salt.data = salt;
    info.salt.len = salt_len;
    ASN1_OCTET_STRING_set(inner, packed,
                          (int)xn__cert_info__pack(&info, packed));
    ASN1_OCTET_STRING_set(value, der, i2d_ASN1_OCTET_STRING(inner, &at));
    extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(inner);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

static void add_text(X509 *x509, int nid, const char *text)
{
    X509_EXTENSION *extension;

    if (!text) return;
    extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_odd(const struct odd *odd, const struct kit_party *corp,
                      EVP_PKEY *key)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);

    if (odd->compressed) {
        EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed");
    }
    X509_set_version(x509, odd->version);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 77);
    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                               (const unsigned char *)odd->label, -1, -1, 0);
    if (odd->two_names) {
        X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                                   (const unsigned char *)"b", -1, -1, 0);
    }
    X509_set_issuer_name(x509, X509_get_subject_name(corp->x509));
    ASN1_TIME_set(X509_getm_notBefore(x509), NOW_US / 1000000 - 10);
    ASN1_TIME_set(X509_getm_notAfter(x509), NOW_US / 1000000 + 9999);
    X509_set_pubkey(x509, key);
    add_text(x509, NID_basic_constraints, odd->constraints);
    add_text(x509, NID_key_usage, odd->usage);
    if (odd->critical_other) {
        add_text(x509, NID_name_constraints,
                 "critical,permitted;email:.example.com");
    }
    for (int i = 0; i < odd->extensions; i++)
        add_ours(x509, odd->role, odd->salt_len);
    assert_true(X509_sign(x509, corp->key, odd->md ? odd->md : EVP_sha256()) >
                0);
    return x509;
}

static int check_odd(struct world *w, struct odd odd)
{
    struct xn_cert cert;
    EVP_PKEY *key;
    X509 *x509;
    int rc;

    assert_int_equal(xn_key_generate(&key), 0);
    x509 = make_odd(&odd, &w->alpha, key);
    rc = xn_cert_check(x509, w->anchors, NOW_US, &cert);
    X509_free(x509);
    EVP_PKEY_free(key);
    return rc;
}

#define ODD(...)                                                               \
    ({                                                                         \
        struct odd odd_ = even;                                                \
        struct odd *o = &odd_;                                                 \
        __VA_ARGS__;                                                           \
        check_odd(w, odd_);                                                    \
    })

static void test_bad_forms(void **state)
{
    struct world *w = *state;

    assert_int_equal(check_odd(w, even), 0);
    assert_int_equal(ODD(o->version = X509_VERSION_1), XN_EINVAL);
    assert_int_equal(ODD(o->label = "Otter"), XN_EINVAL);
    assert_int_equal(ODD(o->label = "ot ter"), XN_EINVAL);
    assert_int_equal(ODD(o->label = "-otter"), XN_EINVAL);
    assert_int_equal(ODD(o->label = "ott\xc3\xa9r"), XN_EINVAL);
    assert_int_equal(ODD(o->label = "a234567890a234567890a234567890a234567890"
                                    "a234567890a234567890abcd"),
                     XN_EINVAL);
    assert_int_equal(ODD(o->two_names = true), XN_EINVAL);
    assert_int_equal(ODD(o->constraints = NULL), XN_EINVAL);
    assert_int_equal(ODD(o->constraints = "critical,CA:TRUE"), XN_EINVAL);
    assert_int_equal(ODD(o->usage = NULL), XN_EINVAL);
    assert_int_equal(ODD(o->usage = "critical,keyEncipherment"), XN_EINVAL);
    assert_int_equal(ODD(o->usage = "digitalSignature,keyCertSign"), XN_EINVAL);
    assert_int_equal(ODD(o->extensions = 0), XN_EINVAL);
    assert_int_equal(ODD(o->extensions = 2), XN_EINVAL);
    assert_int_equal(ODD(o->critical_other = true), XN_EINVAL);
    assert_int_equal(ODD(o->salt_len = 32), XN_EINVAL);
    assert_int_equal(ODD(o->role = XN__ROLE__NODE), XN_EINVAL);
    assert_int_equal(ODD(o->role = XN__ROLE__NODE, o->salt_len = 31),
                     XN_EINVAL);
    assert_int_equal(ODD(o->role = XN__ROLE__NODE, o->salt_len = 32), 0);
    assert_int_equal(ODD(o->role = XN__ROLE__ROLE_NONE), XN_EINVAL);
    assert_int_equal(ODD(o->role = (Xn__Role)77), XN_EINVAL);
    assert_int_equal(ODD(o->role = XN__ROLE__ANYBODY), XN_EIDENT);
    /* A corp makes no other corps. */
    assert_int_equal(ODD(o->role = XN__ROLE__CORP,
                         o->constraints = "critical,CA:TRUE",
                         o->usage = "digitalSignature,keyCertSign"),
                     XN_EIDENT);
    assert_int_equal(ODD(o->md = EVP_sha384()), XN_EINVAL);
    assert_int_equal(ODD(o->compressed = true), XN_EINVAL);
}

static void test_der(void **state)
{
    struct world *w = *state;
    struct kit_party p = kit_member(&w->alpha, XN__ROLE__NODE, "otter");
    uint8_t *der, *more;
    struct xn_cert cert;
    size_t len, kept = 0;
    X509 *x509;

    assert_int_equal(xn_cert_to_der(p.x509, &der, &len), 0);
    assert_true(len < XN_CERT_BYTES_MAX / 2);
    assert_int_equal(xn_cert_from_der(der, len, &x509), 0);
    X509_free(x509);
    assert_int_equal(xn_cert_from_der(der, 0, &x509), XN_EINVAL);
    assert_int_equal(xn_cert_from_der(der, len - 1, &x509), XN_EINVAL);
    more = calloc(1, 4096);
    memcpy(more, der, len);
    assert_int_equal(xn_cert_from_der(more, len + 1, &x509), XN_EINVAL);
    assert_int_equal(xn_cert_from_der(more, 4096, &x509), XN_EINVAL);
    assert_int_equal(xn_cert_check(p.x509, w->anchors, NOW_US, &cert), 0);
    /* No altered byte survives, also of one that was seen to be good. */
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 3) {
            memcpy(more, der, len);
            more[i] ^= (uint8_t)bit;
            if (xn_cert_from_der(more, len, &x509) != 0) continue;
            if (xn_cert_check(x509, w->anchors, NOW_US, &cert) == 0) kept++;
            X509_free(x509);
        }
    }
    assert_int_equal(kept, 0);
    free(more);
    free(der);
    kit_clear(&p);
}

static uint64_t us_of(const ASN1_TIME *time)
{
    struct tm tm;

    assert_int_equal(ASN1_TIME_to_tm(time, &tm), 1);
    return (uint64_t)timegm(&tm) * 1000000;
}

/* What our reader takes, libcrypto takes too, and for the same. */
static void same_as_libcrypto(const uint8_t *der, size_t len)
{
    uint8_t again[4096], *out = again;
    const uint8_t *at = der;
    struct cert_form form;
    char label[128];
    X509 *x509;

    if (cert_read(der, len, &form)) return;
    x509 = d2i_X509(NULL, &at, (long)len);
    if (!x509) { /* off the curve: then no signature is right by it */
        assert_int_equal(cert_signed_by(&form, form.spki), XN_EINVAL);
        return;
    }
    assert_ptr_equal(at, der + len);
    assert_int_equal(i2d_X509(x509, &out), len);
    assert_memory_equal(again, der, len);
    assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(x509),
                                               NID_commonName, label,
                                               sizeof label),
                     strlen(form.facts.label));
    assert_string_equal(label, form.facts.label);
    assert_int_equal(us_of(X509_get0_notBefore(x509)),
                     form.facts.not_before_us);
    assert_int_equal(us_of(X509_get0_notAfter(x509)), form.facts.not_after_us);
    assert_int_equal(X509_get_extension_flags(x509) & EXFLAG_CA ? 1 : 0,
                     form.facts.role == XN__ROLE__CORP);
    out = again;
    assert_int_equal(i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &out),
                     XN_SPKI_SIZE);
    assert_memory_equal(again, form.spki, XN_SPKI_SIZE);
    out = again;
    i2d_X509_NAME(X509_get_issuer_name(x509), &out);
    i2d_ASN1_INTEGER(X509_get_serialNumber(x509), &out);
    assert_int_equal(out - again, form.issuer.len + form.serial.len);
    assert_memory_equal(again, form.issuer.at, form.issuer.len);
    assert_memory_equal(again + form.issuer.len, form.serial.at,
                        form.serial.len);
    out = again;
    assert_int_equal(i2d_re_X509_tbs(x509, &out), form.tbs.len);
    assert_memory_equal(again, form.tbs.at, form.tbs.len);
    X509_free(x509);
}

static void test_as_libcrypto(void **state)
{
    static const uint64_t years[] = {1, 23, 24, 50, 7973}; /* from 2026 on */
    struct world *w = *state;
    EVP_PKEY *key;
    uint8_t *der;
    size_t len;

    assert_int_equal(xn_key_generate(&key), 0);
    for (size_t i = 0; i < sizeof years / sizeof years[0]; i++) {
        X509 *x509 = kit_issue(&w->alpha, key, XN__ROLE__NODE, "otter", NOW_US,
                               NOW_US + years[i] * 365 * DAY_US);
        struct cert_form form;

        assert_int_equal(xn_cert_to_der(x509, &der, &len), 0);
        assert_int_equal(cert_read(der, len, &form), 0);
        same_as_libcrypto(der, len);
        for (size_t at = 0; at < len; at++) {
            for (unsigned bit = 1; bit < 256; bit <<= 1) {
                der[at] ^= (uint8_t)bit;
                same_as_libcrypto(der, len);
                der[at] ^= (uint8_t)bit;
            }
        }
        free(der);
        X509_free(x509);
    }
    EVP_PKEY_free(key);
}

static void expect_bad(uint8_t *der, size_t len, const char *was, size_t n,
                       size_t at, uint8_t becomes)
{
    uint8_t *found = memmem(der, len, was, n);
    struct cert_form form;
    uint8_t kept;

    assert_non_null(found);
    kept = found[at];
    found[at] = becomes;
    assert_int_equal(cert_read(der, len, &form), XN_EINVAL);
    found[at] = kept;
    assert_int_equal(cert_read(der, len, &form), 0);
}

/* What libcrypto lets through, and writes otherwise. */
static void test_one_spelling(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key;
    uint8_t *der;
    size_t len;
    X509 *x509;

    assert_int_equal(xn_key_generate(&key), 0);
    x509 = kit_issue(&w->alpha, key, XN__ROLE__NODE, "otter", NOW_US,
                     NOW_US + 9000 * DAY_US);
    assert_int_equal(xn_cert_to_der(x509, &der, &len), 0);
    /* An unused bit of the key's usage; a year before 2050 in four digits. */
    expect_bad(der, len, "\x03\x02\x07\x80", 4, 3, 0x81);
    expect_bad(der, len,
               "\x18\x0f"
               "205",
               5, 4, '4');
    free(der);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void test_issue_refuses(void **state)
{
    struct world *w = *state;
    struct xn_cert_order order = {.role = XN__ROLE__SERVER,
                                  .label = "otter",
                                  .not_before_us = NOW_US,
                                  .not_after_us = NOW_US + DAY_US};
    EVP_PKEY *key;
    uint8_t *csr;
    X509 *x509 = NULL;
    xn_id id, same;

#define ISSUE() xn_cert_issue(&order, w->alpha.key, w->alpha.x509, &x509)
    assert_int_equal(xn_key_generate(&key), 0);
    assert_int_equal(xn_csr_make(key, "UPPER", &csr, &order.csr_len),
                     XN_EINVAL);
    assert_int_equal(xn_csr_make(key, "wish", &csr, &order.csr_len), 0);
    order.csr = csr;
    assert_int_equal(ISSUE(), 0);
    X509_free(x509);
    assert_int_equal(xn_csr_id(csr, order.csr_len, &id), 0);
    assert_int_equal(xn_key_id(key, &same), 0);
    assert_true(xn_id_eq(&id, &same));
    order.salt = kit_salt;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.salt = NULL;
    order.role = XN__ROLE__NODE;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.role = XN__ROLE__CORP;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.role = XN__ROLE__ANYBODY;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.role = XN__ROLE__CLIENT;
    order.label = "";
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.label = "otter";
    order.not_after_us = NOW_US - 1;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.not_after_us = UINT64_MAX;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.not_after_us = NOW_US + DAY_US;
    assert_int_equal(xn_cert_issue(&order, w->beta.key, w->alpha.x509, &x509),
                     XN_EINVAL);
    order.csr_len--;
    assert_int_equal(ISSUE(), XN_EINVAL);
    order.csr_len++;
    csr[order.csr_len - 1] ^= 1;
    assert_int_equal(ISSUE(), XN_ESIGNATURE);
    free(csr);
    /* The corp's own key asks for a certificate. */
    assert_int_equal(xn_csr_make(w->alpha.key, "otter", &csr, &order.csr_len),
                     0);
    order.csr = csr;
    assert_int_equal(ISSUE(), XN_EINVAL);
    free(csr);
    EVP_PKEY_free(key);
}

static void test_files(void **state)
{
    struct world *w = *state;
    char folder[] = "/tmp/xn-cert-XXXXXX", path[64];
    X509 *x509;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c.pem", folder);
    assert_int_equal(xn_cert_load(path, &x509), XN_ENOENT);
    assert_int_equal(xn_cert_save(w->alpha.x509, path), 0);
    assert_int_equal(xn_cert_load(path, &x509), 0);
    assert_int_equal(X509_cmp(x509, w->alpha.x509), 0);
    X509_free(x509);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(xn_cert_load(path, &x509), XN_EINVAL);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_oid(void **state)
{
    static const uint8_t der[] = CERT_OID_DER;
    ASN1_OBJECT *oid = OBJ_txt2obj(CERT_OID, 1);

    (void)state;
    assert_int_equal(OBJ_length(oid), sizeof der);
    assert_memory_equal(OBJ_get0_data(oid), der, sizeof der);
    ASN1_OBJECT_free(oid);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void test_labels(void **state)
{
    static const char *const bad[] = {"",    ".a",  "a.",   "-a",       "a-",
                                      "A.b", "a b", "a/..", "\xc3\xa4", "."};
    char longest[64];
    size_t i;

    assert_true(xn_label_valid("alpha.example", 13));
    assert_true(xn_label_valid("a", 1));
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (xn_label_valid(bad[i], strlen(bad[i]))) fail_msg("%s", bad[i]);
    }
    memset(longest, 'a', 64);
    assert_false(xn_label_valid(longest, 64));
    assert_true(xn_label_valid(longest, 63));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_roles),
        TEST(test_corp_itself),
        TEST(test_other_corp),
        TEST(test_self_made),
        TEST(test_corp_name_as_label),
        TEST(test_dates),
        TEST(test_anchor_must_be_a_corp),
        TEST(test_bad_forms),
        TEST(test_der),
        TEST(test_as_libcrypto),
        TEST(test_one_spelling),
        TEST(test_issue_refuses),
        TEST(test_files),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_oid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
