/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/wire_kit.h"

#include "wire/ad.h"
#include "wire/msg.h"
#include "wire/overlay.pb-c.h"

#define MINUTE_US (60 * 1000000ULL)

static const char xml[] =
    "<XenoServerAdvertisement xmlns=\"urn:xenoserver:advertisement:1\" "
    "version=\"1795255200000000\"><Server><ServerName>otter</ServerName>"
    "<XenoCorp>alpha.example</XenoCorp><Endpoint>e</Endpoint></Server>"
    "<Environment><EnvType>Linux</EnvType></Environment><Availability>"
    "<CPUsmps>8000</CPUsmps><MemoryMB>6144</MemoryMB></Availability>"
    "<Prices currency=\"GBP\"/></XenoServerAdvertisement>";

static struct ad_lease good_lease(void)
{
    struct ad_lease lease = {.version = NOW_US,
                             .issued_us = NOW_US,
                             .until_us = NOW_US + 15 * MINUTE_US};

    xn_id_hash("server", 6, &lease.server);
    xn_id_hash(xml, sizeof xml - 1, &lease.document);
    return lease;
}

static int decode_again(const struct ad_lease *lease, struct ad_lease *out)
{
    uint8_t *bytes;
    size_t len;
    int rc;

    assert_int_equal(ad_lease_encode(lease, &bytes, &len), 0);
    rc = ad_lease_decode(bytes, len, &lease->server, out);
    free(bytes);
    return rc;
}

static void test_codec(void **state)
{
    struct ad_lease lease = good_lease(), out;
    uint8_t *bytes;
    size_t len;
    xn_id other;

    (void)state;
    assert_int_equal(decode_again(&lease, &out), 0);
    assert_true(xn_id_eq(&out.server, &lease.server));
    assert_true(xn_id_eq(&out.document, &lease.document));
    assert_int_equal(out.version, lease.version);
    assert_int_equal(out.until_us, lease.until_us);
    assert_int_equal(out.issued_us, lease.issued_us);
    assert_false(out.withdrawn);
    lease.withdrawn = true;
    assert_int_equal(decode_again(&lease, &out), 0);
    assert_true(out.withdrawn);
    assert_true(xn_id_is_zero(&out.document));
    xn_id_hash("other", 5, &other);
    assert_int_equal(ad_lease_encode(&lease, &bytes, &len), 0);
    assert_int_equal(ad_lease_decode(bytes, len, &other, &out), XN_EIDENT);
    for (size_t n = 0; n < len; n++) {
        struct ad_lease cut;

        /* A cut can only lose the last field, never pass as the same. */
        if (ad_lease_decode(bytes, n, &lease.server, &cut) == 0) {
            assert_false(cut.withdrawn);
        }
    }
    free(bytes);
}

static void test_codec_refuses(void **state)
{
    struct ad_lease lease = good_lease(), out;
    uint8_t *bytes, *more;
    size_t len;

    (void)state;
    lease.version = 0;
    assert_int_equal(decode_again(&lease, &out), XN_EINVAL);
    lease.version = (uint64_t)INT64_MAX + 1;
    assert_int_equal(decode_again(&lease, &out), XN_EINVAL);
    lease = good_lease();
    lease.until_us = lease.issued_us - 1;
    assert_int_equal(decode_again(&lease, &out), XN_EINVAL);
    lease.until_us = UINT64_MAX;
    assert_int_equal(decode_again(&lease, &out), XN_EINVAL);
    lease = good_lease();
    assert_int_equal(ad_lease_decode(NULL, 0, &lease.server, &out), XN_EINVAL);
    assert_int_equal(ad_lease_encode(&lease, &bytes, &len), 0);
    more = malloc(len + 2);
    memcpy(more, bytes, len);
    more[len] = 0x78; /* field 15 */
    more[len + 1] = 1;
    assert_int_equal(ad_lease_decode(more, len + 2, &lease.server, &out),
                     XN_EINVAL);
    free(more);
    free(bytes);
}

/* As it travels, whoever signed it. */
static int peek(const struct ad_lease *lease, struct ad_lease *out)
{
    Xn__SignedBlob blob = XN__SIGNED_BLOB__INIT;
    uint8_t *bytes = NULL;
    size_t len;
    int rc;

    assert_int_equal(
        ad_lease_encode(lease, &blob.payload.data, &blob.payload.len), 0);
    assert_int_equal(xn_pack(&blob, &bytes, &len), 0);
    rc = ad_lease_peek(bytes, len, out);
    free(blob.payload.data);
    free(bytes);
    return rc;
}

static void test_peek(void **state)
{
    struct ad_lease lease = good_lease(), out;

    (void)state;
    assert_int_equal(peek(&lease, &out), 0);
    assert_true(xn_id_eq(&out.server, &lease.server));
    assert_true(xn_id_eq(&out.document, &lease.document));
    assert_true(out.version == lease.version);
    assert_true(out.until_us == lease.until_us);
    /* What no lease may say hides no other's. */
    lease.version = (uint64_t)INT64_MAX + 1;
    assert_int_equal(peek(&lease, &out), XN_EINVAL);
    assert_int_equal(ad_lease_peek((const uint8_t *)"scraps", 6, &out),
                     XN_EINVAL);
}

static void test_lease_times(void **state)
{
    struct ad_lease lease = good_lease();
    const uint64_t most = AD_LEASE_US_MAX;

    (void)state;
    assert_int_equal(ad_lease_check(&lease, NOW_US, most), 0);
    assert_int_equal(ad_lease_check(&lease, lease.until_us - 1, most), 0);
    assert_int_equal(ad_lease_check(&lease, lease.until_us, most), XN_EEXPIRED);
    assert_int_equal(ad_lease_check(&lease, UINT64_MAX, most), XN_EEXPIRED);
    assert_int_equal(ad_lease_check(&lease, NOW_US - 5 * MINUTE_US, most), 0);
    assert_int_equal(ad_lease_check(&lease, NOW_US - 5 * MINUTE_US - 1, most),
                     XN_EFUTURE);
    assert_int_equal(ad_lease_check(&lease, 0, most), XN_EFUTURE);
    lease.until_us++;
    assert_int_equal(ad_lease_check(&lease, NOW_US, most), XN_EINVAL);
    assert_int_equal(ad_lease_check(&lease, NOW_US, most + 1), 0);
    lease = good_lease();
    lease.version = NOW_US + 5 * MINUTE_US + 1;
    assert_int_equal(ad_lease_check(&lease, NOW_US, most), XN_EFUTURE);
    lease.version = 1; /* an old document under a new lease is fine */
    assert_int_equal(ad_lease_check(&lease, NOW_US, most), 0);
    lease.until_us = lease.issued_us - 1;
    assert_int_equal(ad_lease_check(&lease, NOW_US, most), XN_EINVAL);
}

static void test_match(void **state)
{
    struct ad_lease lease = good_lease();
    Xn__Caller signer = XN__CALLER__INIT;
    struct advert *advert;
    char altered[sizeof xml];
    xn_id other;

#define MATCH(bytes)                                                           \
    ad_match(&lease, (const uint8_t *)(bytes), sizeof xml - 1, advert, &signer)
    (void)state;
    assert_int_equal(
        advert_parse((const uint8_t *)xml, sizeof xml - 1, &advert, NULL, 0),
        0);
    signer.role = XN__ROLE__SERVER;
    signer.id = xn_id_bytes(&lease.server);
    assert_int_equal(MATCH(xml), 0);
    memcpy(altered, xml, sizeof xml);
    altered[sizeof xml - 2] = ' ';
    assert_int_equal(MATCH(altered), XN_EINTEGRITY);
    signer.role = XN__ROLE__NODE;
    assert_int_equal(MATCH(xml), XN_EIDENT);
    signer.role = XN__ROLE__ANYBODY;
    assert_int_equal(MATCH(xml), XN_EIDENT);
    signer.role = XN__ROLE__SERVER;
    xn_id_hash("other", 5, &other);
    signer.id = xn_id_bytes(&other);
    assert_int_equal(MATCH(xml), XN_EIDENT);
    signer.id.len = 0;
    assert_int_equal(MATCH(xml), XN_EIDENT);
    signer.id = xn_id_bytes(&lease.server);
    lease.version++;
    assert_int_equal(MATCH(xml), XN_ESTALE);
    lease.version--;
    lease.withdrawn = true;
    assert_int_equal(MATCH(xml), XN_EINTEGRITY);
    advert_free(advert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec), cmocka_unit_test(test_codec_refuses),
        cmocka_unit_test(test_peek),  cmocka_unit_test(test_lease_times),
        cmocka_unit_test(test_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
