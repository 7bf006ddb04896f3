/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/revoked.h"
#include "tests/unit/wire_kit.h"
#include "wire/msg.h"

struct world {
    struct kit_party corp;
    xn_id id; /* the corp's */
    struct revoked set;
};

static struct world w;

static int set_up(void **state)
{
    memset(&w, 0, sizeof w);
    w.corp = kit_corp("alpha.example");
    return xn_key_id(w.corp.key, &w.id);
}

static int tear_down(void **state)
{
    revoked_clear(&w.set);
    kit_clear(&w.corp);
    return 0;
}

static xn_id name_of(uint32_t n)
{
    xn_id id = {{0}};

    id.b[0] = (uint8_t)(n >> 16);
    id.b[1] = (uint8_t)(n >> 8);
    id.b[2] = (uint8_t)n;
    return id;
}

static ProtobufCBinaryData payload_of(uint64_t number, const xn_id *names,
                                      size_t n, uint64_t issued_us,
                                      uint64_t until_us)
{
    ProtobufCBinaryData payload;

    assert_int_equal(revoked_pack(names, n, number, issued_us, until_us,
                                  &payload.data, &payload.len),
                     0);
    return payload;
}

static int take_from(const xn_id *corp, uint64_t number, const xn_id *names,
                     size_t n, uint64_t issued_us, uint64_t until_us)
{
    ProtobufCBinaryData payload =
        payload_of(number, names, n, issued_us, until_us);
    int rc = revoked_take(&w.set, corp, &payload, &payload, NOW_US);

    free(payload.data);
    return rc;
}

static int take(uint64_t number, const xn_id *names, size_t n)
{
    return take_from(&w.id, number, names, n, NOW_US, NOW_US + DAY_US);
}

static void test_has(void **state)
{
    xn_id names[] = {name_of(3), name_of(70), name_of(900)};
    xn_id other = name_of(5), one = name_of(70), two = name_of(71);

    assert_false(revoked_has(NULL, &w.id, &one));
    assert_false(revoked_has(&w.set, &w.id, &one));
    assert_int_equal(take(1, names, 3), 0);
    assert_true(revoked_has(&w.set, &w.id, &one));
    assert_true(revoked_has(&w.set, &w.id, &names[0]));
    assert_true(revoked_has(&w.set, &w.id, &names[2]));
    assert_false(revoked_has(&w.set, &w.id, &two));
    /* A corp speaks of its own members alone. */
    assert_false(revoked_has(&w.set, &other, &one));
}

/* A lower number never takes the place of a higher one, nor does the same. */
static void test_numbers(void **state)
{
    xn_id a = name_of(1), b = name_of(2);

    assert_int_equal(take(7, &a, 1), 0);
    assert_int_equal(take(7, &b, 1), XN_ESTALE);
    assert_int_equal(take(6, &b, 1), XN_ESTALE);
    assert_int_equal(take(0, &b, 1), XN_EINVAL);
    assert_true(revoked_has(&w.set, &w.id, &a));
    assert_int_equal(revoked_of(&w.set, &w.id)->number, 7);
    assert_int_equal(take(8, &b, 1), 0);
    assert_false(revoked_has(&w.set, &w.id, &a));
    assert_true(revoked_has(&w.set, &w.id, &b));
    assert_int_equal(take(UINT64_MAX, NULL, 0), 0);
    assert_false(revoked_has(&w.set, &w.id, &b));
    assert_int_equal(w.set.n, 1);
}

static void test_times(void **state)
{
    uint64_t ahead_us = NOW_US + REVOKED_AHEAD_US_MAX;

    assert_int_equal(take_from(&w.id, 1, NULL, 0, NOW_US, NOW_US), XN_EINVAL);
    assert_int_equal(take_from(&w.id, 1, NULL, 0, NOW_US, NOW_US - 1),
                     XN_EINVAL);
    assert_int_equal(take_from(&w.id, 1, NULL, 0, NOW_US, NOW_US + DAY_US + 1),
                     XN_EINVAL);
    assert_int_equal(take_from(&w.id, 1, NULL, 0, ahead_us + 1, ahead_us + 2),
                     XN_EFUTURE);
    assert_int_equal(take_from(&w.id, 1, NULL, 0, UINT64_MAX - 1, UINT64_MAX),
                     XN_EFUTURE);
    assert_int_equal(take_from(&w.id, 1, NULL, 0, ahead_us, ahead_us + DAY_US),
                     0);
    assert_false(revoked_is_late(revoked_of(&w.set, &w.id), ahead_us + DAY_US));
    assert_true(
        revoked_is_late(revoked_of(&w.set, &w.id), ahead_us + DAY_US + 1));
    /* One that is late by now is still the newest. */
    assert_int_equal(
        take_from(&w.id, 2, NULL, 0, NOW_US - 3 * DAY_US, NOW_US - 2 * DAY_US),
        0);
}

static void test_hostile(void **state)
{
    xn_id twice[] = {name_of(1), name_of(1)}, down[] = {name_of(2), name_of(1)};
    xn_id *many = calloc(REVOKED_MAX + 1, sizeof *many);
    ProtobufCBinaryData payload;
    uint8_t *out;
    size_t len;
    uint32_t i;

    assert_int_equal(take(1, twice, 2), XN_EINVAL);
    assert_int_equal(take(1, down, 2), XN_EINVAL);
    for (i = 0; i <= REVOKED_MAX; i++)
        many[i] = name_of(i);
    assert_int_equal(take(1, many, REVOKED_MAX), 0);
    assert_true(revoked_has(&w.set, &w.id, &many[REVOKED_MAX - 1]));
    assert_int_equal(revoked_pack(many, REVOKED_MAX + 1, 2, 1, 2, &out, &len),
                     XN_ETOOBIG);

    /* One name too many, half a name, an unknown field, nothing, rubbish. */
    Xn__RevokedList list = XN__REVOKED_LIST__INIT;

    list.number = 2;
    list.issued_us = NOW_US;
    list.until_us = NOW_US + 1;
    list.names.data = (uint8_t *)many;
    list.names.len = (REVOKED_MAX + 1) * sizeof *many;
    assert_int_equal(xn_pack(&list, &payload.data, &payload.len), 0);
    assert_int_equal(revoked_take(&w.set, &w.id, &payload, &payload, NOW_US),
                     XN_EINVAL);
    free(payload.data);
    list.names.len = sizeof *many - 1;
    assert_int_equal(xn_pack(&list, &payload.data, &payload.len), 0);
    assert_int_equal(revoked_take(&w.set, &w.id, &payload, &payload, NOW_US),
                     XN_EINVAL);
    free(payload.data);
    payload = payload_of(2, many, 1, NOW_US, NOW_US + 1);
    payload.data = realloc(payload.data, payload.len + 2);
    memcpy(payload.data + payload.len, "\x28\x01", 2); /* field 5 */
    payload.len += 2;
    assert_int_equal(revoked_take(&w.set, &w.id, &payload, &payload, NOW_US),
                     XN_EINVAL);
    payload.len = 0;
    assert_int_equal(revoked_take(&w.set, &w.id, &payload, &payload, NOW_US),
                     XN_EINVAL);
    memset(payload.data, 0xff, 8);
    payload.len = 8;
    assert_int_equal(revoked_take(&w.set, &w.id, &payload, &payload, NOW_US),
                     XN_EINVAL);
    free(payload.data);
    assert_int_equal(revoked_of(&w.set, &w.id)->number, 1);
    free(many);
}

static void test_corps_are_bounded(void **state)
{
    uint32_t i;

    for (i = 0; i <= XN_ANCHORS_MAX; i++) {
        xn_id corp = name_of(i);

        assert_int_equal(take_from(&corp, 1, NULL, 0, NOW_US, NOW_US + DAY_US),
                         i < XN_ANCHORS_MAX ? 0 : XN_ENOMEM);
    }
}

/* As it travels: a full list fits into a blob, another signer is another
 * corp, and what was altered does not verify. */
static void test_blob(void **state)
{
    xn_id *many = calloc(REVOKED_MAX, sizeof *many), signer, peeked;
    ProtobufCBinaryData payload;
    uint8_t *blob, *back;
    size_t len, back_len;
    uint64_t number;
    uint32_t i;

    for (i = 0; i < REVOKED_MAX; i++)
        many[i] = name_of(i);
    payload = payload_of(UINT64_MAX, many, REVOKED_MAX, NOW_US, NOW_US + 1);
    assert_int_equal(blob_sign(payload.data, payload.len, REVOKED_CONTEXT,
                               w.corp.key, &blob, &len),
                     0);
    assert_true(len <= REVOKED_BYTES_MAX);
    assert_int_equal(revoked_peek(blob, len, &peeked, &number), 0);
    assert_true(xn_id_eq(&peeked, &w.id));
    assert_true(number == UINT64_MAX);
    assert_int_equal(
        blob_verify(blob, len, REVOKED_CONTEXT, &signer, &back, &back_len), 0);
    assert_true(xn_id_eq(&signer, &w.id));
    assert_int_equal(back_len, payload.len);
    free(back);
    assert_int_equal(
        blob_verify(blob, len, LEASE_CONTEXT, &signer, &back, &back_len),
        XN_EINVAL); /* a lease is short */
    blob[len / 2] ^= 1;
    assert_int_equal(
        blob_verify(blob, len, REVOKED_CONTEXT, &signer, &back, &back_len),
        XN_ESIGNATURE);
    assert_int_equal(revoked_peek(blob, 1, &peeked, &number), XN_EINVAL);
    free(blob);
    free(payload.data);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_corps_are_bounded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_blob, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
