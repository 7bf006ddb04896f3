/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NEXTs that a node passes on for others: what they may cost it, and what
 * becomes of those under way when a link goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/ov_net.h"

enum { RELAY, STALLED, ASKER, LEAST }; /* of the nodes */

static struct net *start(uint32_t nodes)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = true,
                                      .seed = 5};
    struct net *net = net_new(&config);

    for (uint32_t i = 0; i < nodes; i++) {
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 60 * SEC);
    return net;
}

/* ---- asking and answering by hand ---- */

struct told {
    unsigned calls, busy;
    int rc;
    uint64_t when_us;
};

static void replied(void *user, void *ctx, const struct xn_now *now,
                    const struct ov_reply *reply, struct xn_out *out)
{
    struct told *told = ctx;

    (void)user, (void)out;
    told->calls++;
    told->busy += reply->rc == XN_EBUSY;
    told->rc = reply->rc;
    told->when_us = now->mono_us;
}

/* `pad`: bytes of a field that nobody knows. */
static void ask(struct net *net, uint32_t i, const uint32_t *via, size_t n,
                size_t pad, uint64_t patience_us, struct told *told)
{
    static uint8_t padding[2000];
    ProtobufCMessageUnknownField unknown = {
        .tag = 100,
        .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        .len = pad + 2,
        .data = padding};
    ProtobufCBinaryData ids[16];
    Xn__Next next = XN__NEXT__INIT;
    struct xn_out *out;
    xn_peer relay;

    padding[0] = (uint8_t)(pad % 128 + 128);
    padding[1] = (uint8_t)(pad / 128);
    if (pad) next.base.n_unknown_fields = 1;
    next.base.unknown_fields = &unknown;
    for (size_t k = 0; k < n; k++)
        ids[k] = xn_id_bytes(&net->node[via[k]].contact.id);
    next.key = xn_id_bytes(&net->node[STALLED].contact.position);
    next.via = ids;
    next.n_via = n;
    assert_true(net_peer(net, i, RELAY, &relay));
    out = net_begin(net, i);
    ov_ask_peer(net->node[i].ov, &net->now, relay, XN__KIND__NEXT, &next,
                net->now.mono_us + patience_us, replied, told, out);
    net_end(net, i);
}

static int rc_of(struct net *net, const uint32_t *via, size_t n, size_t pad)
{
    struct told told = {.calls = 0};

    ask(net, ASKER, via, n, pad, 9 * SEC, &told);
    net_run(net, SEC);
    assert_int_equal(told.calls, 1);
    return told.rc;
}

/* As if node j had answered all that node i has ever asked it. */
static void answer_all(struct net *net, uint32_t i, uint32_t j, size_t pad)
{
    static uint8_t bytes[2000] = {0x08, 5, 0xa2, 6}; /* NOWHERE; field 100 */
    Xn__Reply reply = XN__REPLY__INIT;
    struct xn_msg *msg = NULL;

    bytes[4] = (uint8_t)(pad % 128 + 128);
    bytes[5] = (uint8_t)(pad / 128);
    reply.from = xn_id_bytes(&net->node[j].contact.id);
    reply.hops = 1;
    reply.kind = XN__KIND__NEXT_DONE;
    reply.payload.data = bytes;
    reply.payload.len = pad + 6;
    for (reply.rid = 1; reply.rid <= 200; reply.rid++) {
        assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &msg), 0);
        assert_true(net_inject(net, i, j, msg));
        xn_msg_free(msg);
    }
}

/* The stalled node answers nothing, and yet is heard. */
static void stall(struct net *net, uint64_t us)
{
    Xn__Ack ack = XN__ACK__INIT;
    struct xn_msg *msg = NULL;

    net->node[STALLED].deaf = true;
    assert_int_equal(xn_msg_new(XN__KIND__ACK, &ack, &msg), 0);
    for (uint64_t t = 0; t < us; t += SEC / 2) {
        assert_true(net_inject(net, RELAY, STALLED, msg));
        net_run(net, SEC / 2);
    }
    xn_msg_free(msg);
}

static const uint32_t stalled[] = {STALLED};

/* ---- what is passed on ---- */

/* What it does not know a node passes on too, but not without end. */
static void test_size(void **state)
{
    struct net *net = start(LEAST);
    struct told told = {.calls = 0};

    (void)state;
    assert_int_equal(rc_of(net, stalled, 1, 900), 0);
    assert_int_equal(rc_of(net, stalled, 1, 1100), XN_EINVAL);
    assert_int_equal(rc_of(net, NULL, 0, 900), 0);
    assert_int_equal(rc_of(net, NULL, 0, 1100), XN_EINVAL);
    net->node[STALLED].deaf = true;
    ask(net, ASKER, stalled, 1, 0, 9 * SEC, &told);
    net_run(net, SEC / 10);
    answer_all(net, RELAY, STALLED, 900);
    net_run(net, SEC / 10);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.rc, 0);
    ask(net, ASKER, stalled, 1, 0, 9 * SEC, &told);
    net_run(net, SEC / 10);
    answer_all(net, RELAY, STALLED, 1100);
    net_run(net, SEC / 10);
    assert_int_equal(told.calls, 2);
    assert_int_equal(told.rc, XN_EPROTO);
    net_free(net);
}

/* The way that a trace found leads nowhere twice. */
static void test_round_about(void **state)
{
    const uint32_t ours[] = {RELAY}, theirs[] = {ASKER};
    const uint32_t twice[] = {STALLED, LEAST, STALLED};
    const uint32_t back[] = {STALLED, ASKER};
    struct net *net = start(LEAST + 1);

    (void)state;
    assert_int_equal(rc_of(net, twice, 2, 0), 0);
    assert_int_equal(rc_of(net, ours, 1, 0), XN_EINVAL);
    assert_int_equal(rc_of(net, theirs, 1, 0), XN_EINVAL);
    assert_int_equal(rc_of(net, back, 2, 0), XN_EINVAL);
    assert_int_equal(rc_of(net, twice, 3, 0), XN_EINVAL);
    net_free(net);
}

/* However patient the asker. */
static void test_patience(void **state)
{
    struct net *net = start(LEAST);
    struct told told = {.calls = 0};
    uint64_t begun_us = net->now.mono_us;

    (void)state;
    ask(net, ASKER, stalled, 1, 0, 600 * SEC, &told);
    stall(net, 20 * SEC);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.rc, XN_ETIMEOUT);
    assert_in_range(told.when_us - begun_us, 14 * SEC, 16 * SEC);
    net_free(net);
}

/* One asker cannot have all places, and many not more than there are. */
static void test_places(void **state)
{
    struct net *net = start(LEAST + 5);
    struct told told[LEAST + 5] = {{.calls = 0}}, after = {.calls = 0};

    (void)state;
    net->node[STALLED].deaf = true;
    for (unsigned n = 0; n < 40; n++)
        ask(net, ASKER, stalled, 1, 0, 9 * SEC, &told[ASKER]);
    net_run(net, SEC / 10);
    assert_int_equal(told[ASKER].calls, 8);
    assert_int_equal(told[ASKER].busy, 8);
    for (uint32_t i = LEAST; i < LEAST + 5; i++) {
        for (unsigned n = 0; n < 32; n++)
            ask(net, i, stalled, 1, 0, 9 * SEC, &told[i]);
        net_run(net, SEC / 10);
        assert_int_equal(told[i].busy, i < LEAST + 3 ? 0 : 32);
    }
    stall(net, 10 * SEC);
    for (uint32_t i = ASKER; i < LEAST + 3; i++)
        assert_int_equal(told[i].calls, i == ASKER ? 40 : 32);
    /* So the places are free again. */
    ask(net, ASKER, stalled, 1, 0, 9 * SEC, &after);
    net_run(net, SEC / 10);
    assert_int_equal(after.calls, 0);
    net_free(net);
}

/* ---- links that go ---- */

static void test_asker_lost(void **state)
{
    struct net *net = start(LEAST);
    struct told told = {.calls = 0}, again = {.calls = 0};

    (void)state;
    net->node[STALLED].deaf = true;
    for (unsigned n = 0; n < 32; n++)
        ask(net, ASKER, stalled, 1, 0, 9 * SEC, &told);
    net_run(net, SEC / 10);
    net_cut(net, RELAY, ASKER);
    net_run(net, SEC / 10);
    assert_int_equal(told.calls, 32);
    assert_int_equal(told.rc, XN_EUNREACH);
    stall(net, 4 * SEC); /* linked again */
    ask(net, ASKER, stalled, 1, 0, 3 * SEC, &again);
    net_run(net, SEC / 10);
    assert_int_equal(again.rc, XN_EBUSY); /* it is still the same asker */
    stall(net, 5 * SEC);
    ask(net, ASKER, stalled, 1, 0, 9 * SEC, &again);
    net_run(net, SEC / 10);
    assert_int_equal(again.calls, 1); /* as before: this one waits */
    answer_all(net, RELAY, STALLED, 200);
    net_run(net, SEC / 10);
    assert_int_equal(again.calls, 2);
    assert_int_equal(again.rc, 0);
    net_free(net);
}

static void test_next_lost(void **state)
{
    struct net *net = start(LEAST);
    struct told told = {.calls = 0};

    (void)state;
    net->node[STALLED].deaf = true;
    ask(net, ASKER, stalled, 1, 0, 9 * SEC, &told);
    net_run(net, SEC / 10);
    assert_int_equal(told.calls, 0);
    net_cut(net, RELAY, STALLED);
    net_run(net, SEC / 10);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.rc, XN_EUNREACH);
    net_free(net);
}

/* It would hang up on us. */
static void test_older(void **state)
{
    struct net *net = start(LEAST);

    (void)state;
    net_crash(net, STALLED, true);
    net->node[STALLED].lacks = UINT64_MAX;
    net_start(net, STALLED, RELAY);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    assert_int_equal(rc_of(net, stalled, 1, 0), XN_EPROTO);
    assert_int_equal(ov_stats(net->node[STALLED].ov)->delivered, 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),       cmocka_unit_test(test_round_about),
        cmocka_unit_test(test_patience),   cmocka_unit_test(test_places),
        cmocka_unit_test(test_asker_lost), cmocka_unit_test(test_next_lost),
        cmocka_unit_test(test_older),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
