/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "wire/id.h"
#include "wire/msg.h"
#include "wire/nest.h"

static void a_message_keeps_a_copy_of_its_own(void **state)
{
    char address[] = "127.0.0.1:9000";
    Xn__Hello hello = XN__HELLO__INIT;
    struct xn_msg *msg = NULL, *back = NULL;

    (void)state;
    hello.version = 1;
    hello.address = address;
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &hello, &msg), 0);
    address[0] = 'x';
    assert_string_equal(XN_BODY(msg, Xn__Hello)->address, "127.0.0.1:9000");
    assert_int_equal(xn_msg_decode(msg->kind, msg->bytes, msg->size, &back), 0);
    assert_int_equal(back->size, msg->size);
    assert_memory_equal(back->bytes, msg->bytes, msg->size);
    xn_msg_free(back);
    assert_ptr_equal(xn_msg_ref(msg), msg);
    xn_msg_free(msg);
    assert_int_equal(msg->refs, 1);
    xn_msg_free(msg);
    xn_msg_free(NULL);
}

static void an_adopted_body_is_encoded_when_asked_for(void **state)
{
    struct xn_arena arena;
    struct xn_msg *msg = NULL, *copied = NULL;
    Xn__Hello *hello;

    xn_arena_init(&arena, 0);
    hello = xn_arena_alloc(&arena, sizeof *hello);
    xn__hello__init(hello);
    hello->version = 7;
    hello->address = xn_arena_strdup(&arena, "127.0.0.1:9000");
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, hello, &copied), 0);
    assert_int_equal(xn_msg_adopt(XN__KIND__PING, hello, &arena, &msg),
                     XN_EINVAL);
    assert_int_equal(xn_msg_adopt(XN__KIND__HELLO, hello, &arena, &msg), 0);
    assert_null(arena.blocks); /* it has another owner */
    assert_ptr_equal(msg->body, hello);
    assert_null(msg->bytes);
    assert_int_equal(xn_msg_encode(msg), 0);
    assert_int_equal(msg->size, copied->size);
    assert_memory_equal(msg->bytes, copied->bytes, copied->size);
    assert_int_equal(xn_msg_encode(msg), 0);
    xn_msg_free(copied);
    xn_msg_free(msg);
}

/* FIND { query { where { args { args ... } } } }, `depth` messages in all. */
static uint8_t *nested(unsigned depth, size_t *len_out)
{
    size_t cap = 8 * (size_t)depth, at = cap, len = 0;
    uint8_t *all = malloc(cap), *exact;

    for (unsigned level = depth; level > 1; level--) {
        uint8_t head[8];
        size_t n = 0, rest = len;

        head[n++] = level <= 3 ? 0x0a : 0x12; /* field 1 or 2 */
        do {
            head[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
            rest >>= 7;
        } while (rest);
        at -= n;
        memcpy(all + at, head, n);
        len += n;
    }
    exact = malloc(len + 1);
    memcpy(exact, all + at, len);
    free(all);
    *len_out = len;
    return exact;
}

/* Two hundred thousand messages within messages would end the stack. */
static void deep_nesting_is_refused(void **state)
{
    static const struct {
        unsigned depth;
        int rc;
    } rows[] = {
        {XN_NEST_MAX, 0}, {XN_NEST_MAX + 1, XN_EPROTO}, {200000, XN_EPROTO}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct xn_msg *msg = NULL;
        size_t len;
        uint8_t *bytes = nested(rows[i].depth, &len);

        assert_int_equal(xn_msg_decode(XN__KIND__FIND, bytes, len, &msg),
                         rows[i].rc);
        xn_msg_free(msg);
        free(bytes);
    }
}

/* Joining them would take minutes (quadratic), each time for one frame. */
static void a_message_with_one_place_comes_once(void **state)
{
    static const uint8_t one[] = {0x0a, 4, 0x0a, 2, 0x12, 0}; /* query.where */
    size_t n = XN_MSG_MAX / sizeof one, i;
    uint8_t *bytes = malloc(n * sizeof one);
    struct xn_msg *msg = NULL;

    (void)state;
    assert_non_null(bytes);
    for (i = 0; i < n; i++)
        memcpy(bytes + i * sizeof one, one, sizeof one);
    assert_int_equal(xn_msg_decode(XN__KIND__FIND, bytes, sizeof one, &msg), 0);
    xn_msg_free(msg);
    assert_int_equal(xn_msg_decode(XN__KIND__FIND, bytes, 2 * sizeof one, &msg),
                     XN_EPROTO);
    assert_int_equal(xn_msg_decode(XN__KIND__FIND, bytes, n * sizeof one, &msg),
                     XN_EPROTO);
    free(bytes);
}

/* Each would cost a hundred times its two bytes, known or unknown. */
static void a_crowd_of_fields_is_refused(void **state)
{
    static const uint8_t rows[][2] = {
        {0x0a, 0}, /* an empty ad of a PUT */
        {0x7a, 0}, /* field 15, which PUT lacks */
        {0x78, 1},
    };
    size_t most = XN_NEST_FIELDS(2 * 20000), i, k;
    uint8_t *bytes = malloc(XN_MSG_MAX);

    (void)state;
    assert_non_null(bytes);
    assert_true(most < 20000);
    for (k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct xn_msg *msg = NULL;

        for (i = 0; i < XN_MSG_MAX / 2; i++)
            memcpy(bytes + 2 * i, rows[k], 2);
        assert_int_equal(xn_msg_decode(XN__KIND__PUT, bytes, 2 * 16384, &msg),
                         0);
        xn_msg_free(msg);
        assert_int_equal(xn_msg_decode(XN__KIND__PUT, bytes, 2 * 20000, &msg),
                         XN_EPROTO);
        assert_int_equal(xn_msg_decode(XN__KIND__PUT, bytes, XN_MSG_MAX, &msg),
                         XN_EPROTO);
    }
    free(bytes);
}

static void wrong_kinds_and_bytes_are_refused(void **state)
{
    static const uint8_t bad[] = {0x0a, 0xff};
    Xn__Ping ping = XN__PING__INIT;
    struct xn_msg *msg = NULL;

    (void)state;
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &ping, &msg), XN_EINVAL);
    assert_int_equal(xn_msg_new(9999, &ping, &msg), XN_EINVAL);
    assert_int_equal(xn_msg_decode(9999, bad, 0, &msg), XN_EPROTO);
    assert_int_equal(xn_msg_decode(XN__KIND__HELLO, bad, 2, &msg), XN_EPROTO);
    assert_true(xn_kind_is_wire(XN__KIND__HELLO));
    assert_false(xn_kind_is_wire(XN__KIND__UP));
    assert_false(xn_kind_is_wire(XN__KIND__KIND_NONE));
    assert_string_equal(xn_kind_name(XN__KIND__FOUND), "FOUND");
    assert_string_equal(xn_kind_name(9999), "?");
}

static void a_frame_has_a_bound_and_it_is_exact(void **state)
{
    Xn__Reply reply = XN__REPLY__INIT;
    struct xn_msg *msg = NULL;
    uint8_t *payload = calloc(1, XN_MSG_MAX);

    (void)state;
    assert_non_null(payload);
    reply.payload.data = payload;
    reply.payload.len = XN_MSG_MAX - 4; /* tag and length of the field */
    assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &msg), 0);
    assert_int_equal(msg->size, XN_MSG_MAX);
    xn_msg_free(msg);
    reply.payload.len++;
    assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &msg), XN_ETOOBIG);
    assert_int_equal(
        xn_msg_decode(XN__KIND__REPLY, payload, XN_MSG_MAX + 1, &msg),
        XN_ETOOBIG);
    free(payload);
}

static xn_id at(uint8_t first, uint8_t last)
{
    xn_id id = {{0}};

    id.b[0] = first;
    id.b[XN_ID_SIZE - 1] = last;
    return id;
}

static void the_ring_wraps(void **state)
{
    xn_id a = at(0, 1), b = at(0xff, 0), key = at(0, 0), d;
    xn_id low = at(0x10, 0), high = at(0x30, 0), mid = at(0x20, 0);

    (void)state;
    xn_ring_distance(&a, &b, &d);
    assert_int_equal(d.b[0], 1);
    assert_int_equal(d.b[XN_ID_SIZE - 1], 1);
    assert_true(xn_ring_nearer(&key, &a, &b));
    assert_false(xn_ring_nearer(&key, &b, &a));
    assert_true(xn_ring_nearer(&mid, &low, &high)); /* a tie: the smaller */
    assert_false(xn_ring_nearer(&mid, &high, &low));
    xn_ring_clockwise(&b, &a, &d);
    assert_int_equal(d.b[0], 1);
    xn_ring_clockwise(&a, &b, &d);
    assert_int_equal(d.b[0], 0xfe);
}

/* On the way from a to c, also over zero. */
static void between_wraps(void **state)
{
    xn_id low = at(0x10, 0), mid = at(0x20, 0), high = at(0x30, 0);

    (void)state;
    assert_true(xn_ring_between(&low, &mid, &high));
    assert_true(xn_ring_between(&low, &low, &high));
    assert_true(xn_ring_between(&low, &high, &high));
    assert_false(xn_ring_between(&low, &high, &mid));
    assert_false(xn_ring_between(&mid, &low, &high));
    assert_true(xn_ring_between(&high, &low, &mid));
    assert_true(xn_ring_between(&mid, &high, &low));
    assert_false(xn_ring_between(&high, &mid, &low));
    assert_true(xn_ring_between(&mid, &mid, &mid));
    assert_false(xn_ring_between(&mid, &low, &mid));
}

/* One less than nothing borrows from every byte before it. */
static void the_way_borrows(void **state)
{
    xn_id a = at(0, 0), b = at(0, 0), d;
    int i;

    (void)state;
    a.b[XN_ID_SIZE - 1] = 1;
    xn_ring_clockwise(&a, &b, &d);
    for (i = 0; i < XN_ID_SIZE; i++)
        assert_int_equal(d.b[i], 0xff);
    xn_ring_clockwise(&b, &a, &d);
    assert_true(xn_id_eq(&d, &a));
    b.b[7] = 1; /* 2^192 less one: no byte below the eighth stays */
    xn_ring_clockwise(&a, &b, &d);
    for (i = 0; i < XN_ID_SIZE; i++)
        assert_int_equal(d.b[i], i < 8 ? 0 : 0xff);
}

static void ids_have_bytes_hex_and_names(void **state)
{
    xn_id id = at(0xab, 0xcd), back;
    ProtobufCBinaryData bytes = xn_id_bytes(&id);
    char hex[XN_ID_HEX], name[XN_NAME_MAX];

    (void)state;
    assert_int_equal(xn_id_from_bytes(&bytes, &back), 0);
    assert_true(xn_id_eq(&id, &back));
    bytes.len--;
    assert_int_equal(xn_id_from_bytes(&bytes, &back), XN_EINVAL);
    xn_id_hex(&id, hex);
    assert_int_equal(xn_id_unhex(hex, 64, &back), 0);
    assert_true(xn_id_eq(&id, &back));
    assert_int_equal(xn_id_unhex(hex, 63, &back), XN_EINVAL);
    xn_id_name(&id, "otter", name);
    assert_string_equal(name, "vmaa-otter");
    xn_id_name(&id, NULL, name);
    assert_string_equal(name, "vmaa");
    xn_id_hash("abc", 3, &id);
    xn_id_hash2("a", 1, "bc", 2, &back);
    assert_true(xn_id_eq(&id, &back));
    /* The result may stand where a part was: digests are chained so. */
    xn_id_hash2(back.b, XN_ID_SIZE, "abc", 3, &id);
    xn_id_hash2(back.b, XN_ID_SIZE, "abc", 3, &back);
    assert_true(xn_id_eq(&id, &back));
    xn_id_hash("abc", 3, &id);
    assert_int_equal(id.b[0], 0xba); /* FIPS 180-4's example */
    assert_false(xn_id_is_zero(&id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_keeps_a_copy_of_its_own),
        cmocka_unit_test(an_adopted_body_is_encoded_when_asked_for),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_message_with_one_place_comes_once),
        cmocka_unit_test(a_crowd_of_fields_is_refused),
        cmocka_unit_test(wrong_kinds_and_bytes_are_refused),
        cmocka_unit_test(a_frame_has_a_bound_and_it_is_exact),
        cmocka_unit_test(the_ring_wraps),
        cmocka_unit_test(between_wraps),
        cmocka_unit_test(the_way_borrows),
        cmocka_unit_test(ids_have_bytes_hex_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
