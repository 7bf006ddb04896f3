/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overlay against peers that do what they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/ov_net.h"

static struct net *mesh(uint32_t nodes)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = true,
                                      .seed = 5};
    struct net *net = net_new(&config);
    uint32_t i;

    for (i = 0; i < nodes; i++)
        net_start(net, i, 0);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    return net;
}

static bool inject(struct net *net, uint32_t i, uint32_t j, unsigned kind,
                   const void *body)
{
    struct xn_msg *msg = NULL;
    bool done;

    assert_int_equal(xn_msg_new(kind, body, &msg), 0);
    done = net_inject(net, i, j, msg);
    xn_msg_free(msg);
    return done;
}

static uint64_t rude(const struct net *net, uint32_t i)
{
    return ov_stats(net->node[i].ov)->rude;
}

static void test_malformed(void **state)
{
    struct net *net = mesh(3);
    Xn__Request request = XN__REQUEST__INIT;
    Xn__Suspect suspect = XN__SUSPECT__INIT;
    Xn__Reply reply = XN__REPLY__INIT;
    Xn__Peers peers = XN__PEERS__INIT;
    Xn__Put put = XN__PUT__INIT;
    uint8_t bytes[40] = {0};
    const struct {
        unsigned kind;
        const void *body;
    } bad[] = {
        {XN__KIND__REQUEST, &request}, {XN__KIND__SUSPECT, &suspect},
        {XN__KIND__REPLY, &reply},     {XN__KIND__PEERS, &peers},
        {XN__KIND__PUT, &put}, /* outside a REQUEST */
    };
    size_t i;

    (void)state;
    suspect.id.data = bytes;
    suspect.id.len = 31;
    peers.digest.data = bytes;
    peers.digest.len = 1;
    reply.rc = 1;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(inject(net, 0, 1, bad[i].kind, bad[i].body));
        assert_int_equal(rude(net, 0), i + 1);
        assert_int_equal(ov_links(net->node[0].ov), 1);
        assert_true(net_until(net, 200 * SEC, net_is_mesh));
    }
    net_free(net);
}

/* Of a key the first bytes do; none only where nobody looks for it. */
static void test_keys(void **state)
{
    struct net *net = mesh(3);
    Xn__Request request = XN__REQUEST__INIT;
    uint8_t bytes[XN_ID_SIZE + 1] = {0};
    const struct {
        size_t len;
        bool direct, rude;
    } keys[] = {
        {0, true, false},
        {0, false, true},
        {1, false, false},
        {8, false, false},
        {8, true, false},
        {XN_ID_SIZE, false, false},
        {XN_ID_SIZE + 1, false, true},
    };
    size_t i;

    (void)state;
    memcpy(bytes, net->node[0].contact.position.b, XN_ID_SIZE);
    request.key.data = bytes;
    request.patience_ms = 5000;
    request.kind = XN__KIND__FIND;
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t before = rude(net, 0);

        request.rid++;
        request.key.len = keys[i].len;
        request.direct = keys[i].direct;
        assert_true(inject(net, 0, 1, XN__KIND__REQUEST, &request));
        assert_int_equal(rude(net, 0) - before, keys[i].rude);
        assert_true(net_until(net, 200 * SEC, net_is_mesh));
    }
    net_free(net);
}

/* Answers that nobody waits for, or from one who was not asked. */
static void test_stray_replies(void **state)
{
    struct net *net = mesh(3);
    Xn__Reply reply = XN__REPLY__INIT;
    Xn__Ack ack = XN__ACK__INIT;
    struct asked asked;
    uint64_t rid;

    (void)state;
    net->node[1].answer = ANSWER_LATER;
    net_ask_peer(net, 0, 1, 10 * SEC, &asked);
    net_run(net, SEC);
    reply.from = xn_id_bytes(&net->node[2].contact.id);
    reply.kind = XN__KIND__FOUND;
    for (rid = 0; rid < 100; rid++) {
        reply.rid = ack.rid = rid;
        reply.kind = rid % 2 ? XN__KIND__FOUND : 0; /* 0: as asked */
        inject(net, 0, 2, XN__KIND__REPLY, &reply);
        inject(net, 0, 2, XN__KIND__ACK, &ack);
    }
    assert_int_equal(asked.calls, 0);
    net_run(net, 3 * SEC);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.by, 1);
    for (rid = 0; rid < 100; rid++) { /* late and doubled */
        reply.rid = rid;
        inject(net, 0, 1, XN__KIND__REPLY, &reply);
    }
    assert_int_equal(asked.calls, 1);
    assert_int_equal(rude(net, 0), 0);
    net_free(net);
}

/* As if node 1 had answered all that node 0 asked. */
static void answer_all(struct net *net, Xn__Reply *reply)
{
    for (reply->rid = 0; reply->rid < 100; reply->rid++)
        inject(net, 0, 1, XN__KIND__REPLY, reply);
}

/* What a REPLY leaves out is as was asked; of who answered beyond the sender the
 * first bytes do, and where it says that it answered itself the link names it. */
static void test_answers(void **state)
{
    enum { NOBODY, SENDER, SAID };
    const struct {
        size_t from;
        uint32_t hops, kind;
        int rc;
        unsigned by;
        uint32_t hops_out;
    } answers[] = {
        {0, 0, 0, 0, SENDER, 1},
        {0, 9, XN__KIND__FOUND, 0, SENDER, 1},
        {0, 9, 0, XN_EUNREACH, SENDER, 1},
        {XN_ID_SIZE, 1, 0, 0, SENDER, 1},
        {OV_FROM_SAID, 1, 0, 0, SENDER, 1},
        {OV_FROM_SAID, 2, 0, 0, SAID, 2},
        {8, 3, XN__KIND__FOUND, 0, SAID, 3},
        {XN_ID_SIZE, 2, 0, 0, SAID, 2},
        {OV_FROM_SAID - 1, 2, 0, 0, NOBODY, 0},
        {OV_FROM_SAID + 1, 2, 0, 0, NOBODY, 0},
        {XN_ID_SIZE + 1, 2, 0, 0, NOBODY, 0},
        {OV_FROM_SAID, 2, XN__KIND__REPLY, 0, NOBODY, 0},
    };
    uint8_t said[XN_ID_SIZE + 1];
    struct net *net = mesh(2);
    size_t i;

    (void)state;
    memset(said, 0xd5, sizeof said);
    net->node[1].answer = ANSWER_NEVER;
    for (i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        Xn__Reply reply = XN__REPLY__INIT;
        uint64_t before = rude(net, 0);
        xn_id from = {{0}};
        struct asked asked;

        net_ask_peer(net, 0, 1, 10 * SEC, &asked);
        reply.from.data = said;
        reply.from.len = answers[i].from;
        reply.hops = answers[i].hops;
        reply.kind = answers[i].kind;
        reply.rc = answers[i].rc;
        answer_all(net, &reply);
        if (answers[i].by == NOBODY) {
            assert_int_equal(rude(net, 0) - before, 1);
            assert_true(net_until(net, 200 * SEC, net_is_mesh));
            continue;
        }
        if (answers[i].by == SENDER)
            from = net->node[1].contact.id;
        else
            memcpy(from.b, said, answers[i].from);
        assert_int_equal(rude(net, 0), before);
        assert_int_equal(asked.calls, 1);
        assert_int_equal(asked.rc, answers[i].rc);
        assert_int_equal(asked.hops, answers[i].hops_out);
        assert_memory_equal(asked.from.b, from.b, XN_ID_SIZE);
    }
    net_free(net);
}

static void test_floods(void **state)
{
    struct net *net = mesh(3);
    Xn__Request request = XN__REQUEST__INIT;
    Xn__Ping ping = XN__PING__INIT;
    Xn__Suspect suspect = XN__SUSPECT__INIT;
    uint64_t sent;
    unsigned i;

    (void)state;
    net->node[0].answer = ANSWER_NEVER;
    request.key = xn_id_bytes(&net->node[0].contact.position);
    request.direct = true;
    request.patience_ms = 5000;
    request.kind = XN__KIND__FIND;
    for (i = 1; i <= 513; i++) {
        request.rid = i;
        inject(net, 0, 1, XN__KIND__REQUEST, &request);
        /* At the bound and one past it. */
        assert_int_equal(ov_stats(net->node[0].ov)->busy, i > 512);
        assert_int_equal(net->node[0].delivered, i < 512 ? i : 512);
    }
    request.rid = 7; /* sent again: not done again */
    inject(net, 0, 1, XN__KIND__REQUEST, &request);
    assert_int_equal(net->node[0].delivered, 512);
    net_run(net, 6 * SEC);
    request.rid = 514; /* forgotten after their deadline */
    inject(net, 0, 1, XN__KIND__REQUEST, &request);
    assert_int_equal(net->node[0].delivered, 513);
    sent = net->sent;
    for (i = 0; i < 1000; i++)
        inject(net, 0, 1, XN__KIND__PING, &ping);
    /* A PING that it sent by itself may have been one of the 20. */
    assert_in_range(net->sent - sent, 19, 20);
    suspect.id = xn_id_bytes(&net->node[2].contact.id);
    net_run(net, 20 * SEC);
    sent = net->sent;
    for (i = 0; i < 1000; i++)
        inject(net, 0, 1, XN__KIND__SUSPECT, &suspect);
    assert_true(net->sent - sent <= 1); /* one PING, and on hearsay no more */
    net_run(net, 20 * SEC);
    assert_true(net_is_mesh(net));
    net_free(net);
}

/* Large requests for a third node that takes its time: what they hold is
 * bounded by bytes, and given back. */
static void test_large_requests(void **state)
{
    static uint8_t payload[1000000];
    struct net *net = mesh(3);
    Xn__Request request = XN__REQUEST__INIT;
    const struct ov_stats *stats = ov_stats(net->node[0].ov);
    unsigned i;

    (void)state;
    net->node[2].answer = ANSWER_NEVER;
    request.key = xn_id_bytes(&net->node[2].contact.position);
    request.patience_ms = 5000;
    request.kind = XN__KIND__FIND;
    request.payload.data = payload;
    request.payload.len = sizeof payload;
    payload[0] = 0x7a; /* field 15, unknown: 999 996 bytes of it */
    payload[1] = 0xbc;
    payload[2] = 0x84;
    payload[3] = 0x3d;
    for (i = 1; i <= 6; i++) {
        request.rid = i;
        inject(net, 0, 1, XN__KIND__REQUEST, &request);
        assert_int_equal(stats->busy, i > 4 ? i - 4 : 0);
    }
    request.rid = i++; /* small ones go on */
    request.payload.len = 0;
    inject(net, 0, 1, XN__KIND__REQUEST, &request);
    request.rid = i++; /* and what is for us is not kept */
    request.payload.len = sizeof payload;
    request.direct = true;
    inject(net, 0, 1, XN__KIND__REQUEST, &request);
    assert_int_equal(stats->busy, 2);
    net_run(net, 6 * SEC);
    request.direct = false;
    request.rid = i;
    inject(net, 0, 1, XN__KIND__REQUEST, &request);
    assert_int_equal(stats->busy, 2);
    net_free(net);
}

/* More hints than the table holds, all lies. */
static void test_lies(void **state)
{
    struct net *net = mesh(24);
    Xn__Contact row[512], *rows[512];
    xn_id id[512];
    Xn__Peers peers = XN__PEERS__INIT;
    unsigned round, i;

    (void)state;
    for (round = 0; round < 20; round++) {
        for (i = 0; i < 512; i++) {
            xn__contact__init(&row[i]);
            rows[i] = &row[i];
            net_key(net, &id[i]);
            row[i].id = row[i].position = xn_id_bytes(&id[i]);
            row[i].address = (char *)(uintptr_t) "n23";
        }
        peers.sample = rows;
        peers.n_sample = 512;
        inject(net, 0, 1, XN__KIND__PEERS, &peers);
    }
    net_run(net, 600 * SEC);
    assert_true(net_is_mesh(net));
    net_free(net);
}

static struct xn_msg *random_message(struct net *net, unsigned kind)
{
    uint8_t bytes[256];
    struct xn_msg *msg = NULL;
    size_t len = xn_rng_below(&net->rng, sizeof bytes), i;

    for (i = 0; i < len; i++)
        bytes[i] = (uint8_t)xn_rng_u64(&net->rng);
    /* Keys of small field numbers make it past the decoder more often. */
    if (len > 1) bytes[0] = (uint8_t)(8 * (1 + bytes[0] % 8) + bytes[0] / 128);
    return xn_msg_decode(kind, bytes, len, &msg) ? NULL : msg;
}

/* Mutates a sound message: most of it still makes sense. */
static struct xn_msg *bent_message(struct net *net, const struct xn_msg *good)
{
    uint8_t bytes[4096];
    struct xn_msg *msg = NULL;
    size_t n = 1 + xn_rng_below(&net->rng, 3);

    if (good->size == 0 || good->size > sizeof bytes) return NULL;
    memcpy(bytes, good->bytes, good->size);
    while (n-- > 0) {
        bytes[xn_rng_below(&net->rng, good->size)] =
            (uint8_t)xn_rng_u64(&net->rng);
    }
    return xn_msg_decode(good->kind, bytes, good->size, &msg) ? NULL : msg;
}

static struct xn_msg *sound_message(struct net *net, unsigned kind)
{
    Xn__Contact contact = XN__CONTACT__INIT, *rows[] = {&contact};
    Xn__Hello hello = XN__HELLO__INIT;
    Xn__Peers peers = XN__PEERS__INIT;
    Xn__Ping ping = XN__PING__INIT;
    Xn__Pong pong = XN__PONG__INIT;
    Xn__Suspect suspect = XN__SUSPECT__INIT;
    Xn__Leave leave = XN__LEAVE__INIT;
    Xn__Request request = XN__REQUEST__INIT;
    Xn__Ack ack = XN__ACK__INIT;
    Xn__Reply reply = XN__REPLY__INIT;
    const void *body = NULL;
    struct xn_msg *msg = NULL;
    uint8_t digest[128] = {0};
    xn_id key;

    net_key(net, &key);
    contact.id = contact.position = xn_id_bytes(&key);
    contact.address = (char *)(uintptr_t) "n1";
    switch (kind) {
    case XN__KIND__HELLO:
        hello.version = 1;
        hello.full = xn_rng_below(&net->rng, 4) == 0;
        hello.peers = rows;
        hello.n_peers = 1;
        body = &hello;
        break;
    case XN__KIND__PEERS:
        peers.want = xn_rng_below(&net->rng, 2);
        peers.sample = rows;
        peers.n_sample = xn_rng_below(&net->rng, 2);
        if (xn_rng_below(&net->rng, 2)) peers.from = xn_id_bytes(&key);
        peers.digest.data = digest;
        peers.digest.len = xn_rng_below(&net->rng, 2) ? 128 : 0;
        body = &peers;
        break;
    case XN__KIND__PING: body = &ping; break;
    case XN__KIND__PONG: body = &pong; break;
    case XN__KIND__SUSPECT:
        suspect.id = xn_id_bytes(
            &net->node[xn_rng_below(&net->rng, net->config.nodes)].contact.id);
        body = &suspect;
        break;
    case XN__KIND__LEAVE: body = &leave; break;
    case XN__KIND__REQUEST:
        request.rid = xn_rng_below(&net->rng, 1000);
        request.key = xn_id_bytes(&key);
        request.copy = (uint32_t)xn_rng_below(&net->rng, 9);
        request.direct = xn_rng_below(&net->rng, 2);
        request.hops = (uint32_t)xn_rng_below(&net->rng, 34);
        request.patience_ms = (uint32_t)xn_rng_below(&net->rng, 10000);
        request.patience_ds = (uint32_t)xn_rng_below(&net->rng, 3) * 0x7fffffff;
        request.kind = XN__KIND__FIND;
        body = &request;
        break;
    case XN__KIND__ACK:
        ack.rid = xn_rng_below(&net->rng, 1000);
        body = &ack;
        break;
    case XN__KIND__REPLY:
        reply.rid = xn_rng_below(&net->rng, 1000);
        reply.rc = -(int32_t)xn_rng_below(&net->rng, 3);
        reply.kind = XN__KIND__FOUND;
        reply.from = xn_id_bytes(&key);
        body = &reply;
        break;
    default: return NULL;
    }
    assert_int_equal(xn_msg_new(kind, body, &msg), 0);
    return msg;
}

static void test_garbage(void **state)
{
    static const unsigned kinds[] = {
        XN__KIND__HELLO, XN__KIND__PEERS,   XN__KIND__PING,    XN__KIND__PONG,
        XN__KIND__LEAVE, XN__KIND__SUSPECT, XN__KIND__REQUEST, XN__KIND__ACK,
        XN__KIND__REPLY, XN__KIND__PUT,     XN__KIND__FOUND,   XN__KIND__WANT,
    };
    struct net *net = mesh(6);
    struct asked asked;
    unsigned i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        unsigned kind = kinds[xn_rng_below(&net->rng, 12)];
        uint32_t to = (uint32_t)xn_rng_below(&net->rng, 5);
        struct xn_msg *good = sound_message(net, kind), *msg = NULL;
        xn_id key;

        switch (xn_rng_below(&net->rng, 3)) {
        case 0: msg = random_message(net, kind); break;
        case 1: msg = good ? bent_message(net, good) : NULL; break;
        default: msg = xn_msg_ref(good);
        }
        if (msg) net_inject(net, to, 5, msg); /* node 5 is the villain */
        xn_msg_free(msg);
        xn_msg_free(good);
        if (i % 10 == 0) {
            net_key(net, &key);
            net_ask(net, to, &key, 0, SEC / 2, &asked);
            net_run(net, SEC);
            assert_int_equal(asked.calls, 1);
        }
    }
    net_crash(net, 5, true);
    assert_true(net_until(net, 120 * SEC, net_is_mesh));
    net_free(net);
}

/* Kinds that not everybody knows go nowhere but between two who do. */
static void test_kinds(void **state)
{
    struct net *net = mesh(3);
    const struct {
        unsigned kind;
        bool direct, rude;
    } requests[] = {
        {XN__KIND__NEXT, true, false},      {XN__KIND__NEXT, false, true},
        {XN__KIND__NEAR, true, false},      {XN__KIND__NEAR, false, true},
        {XN__KIND__NEAR_DONE, true, true},  {XN__KIND__NEXT_DONE, true, true},
        {XN__KIND__NEXT_DONE, false, true},
    };
    Xn__Request request = XN__REQUEST__INIT;
    uint64_t before;

    (void)state;
    request.key = xn_id_bytes(&net->node[0].contact.position);
    request.patience_ms = 5000;
    request.rid = 1000;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        before = rude(net, 0);
        request.rid++;
        request.kind = requests[i].kind;
        request.direct = requests[i].direct;
        assert_true(inject(net, 0, 1, XN__KIND__REQUEST, &request));
        assert_int_equal(rude(net, 0) - before, requests[i].rude);
        assert_true(net_until(net, 200 * SEC, net_is_mesh));
    }
    net_free(net);
}

/* Node 0 asks node 1, which answers with this kind. */
static bool reply_is_rude(bool direct, unsigned kind, struct asked *asked)
{
    struct net *net = mesh(3);
    Xn__Reply reply = XN__REPLY__INIT;
    bool was;

    net->node[1].deaf = true;
    if (direct)
        net_ask_peer(net, 0, 1, 5 * SEC, asked);
    else
        net_ask(net, 0, &net->node[1].contact.position, 0, 5 * SEC, asked);
    reply.from = xn_id_bytes(&net->node[1].contact.id);
    reply.kind = kind;
    reply.hops = UINT32_MAX;
    for (reply.rid = 1; reply.rid < 20; reply.rid++) {
        if (!inject(net, 0, 1, XN__KIND__REPLY, &reply)) break;
    }
    was = rude(net, 0) == 1;
    if (kind == XN__KIND__FOUND && !direct) {
        const struct ov_stats *stats = ov_stats(net->node[0].ov);

        assert_int_equal(stats->hops[OV_HOPS_BOUNDS], 1);
        assert_in_range(stats->hops_sum, 1, 34);
    }
    net_free(net);
    return was;
}

static void test_kinds_of_replies(void **state)
{
    struct asked asked;

    (void)state;
    assert_false(reply_is_rude(false, XN__KIND__FOUND, &asked));
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.rc, 0);
    assert_true(reply_is_rude(false, XN__KIND__NEXT_DONE, &asked));
    assert_true(reply_is_rude(false, XN__KIND__NEAR_DONE, &asked));
    assert_true(reply_is_rude(true, XN__KIND__NEAR, &asked));
    assert_true(reply_is_rude(false, XN__KIND__NEXT, &asked));
    assert_true(reply_is_rude(true, XN__KIND__NEXT, &asked));
}

/* Of our own there are not more than so many, and those refused are counted as
 * what came of them. */
static void test_own_bound(void **state)
{
    struct net *net = mesh(3);
    struct asked *asked = calloc(16390, sizeof *asked);
    const struct ov_stats *stats = ov_stats(net->node[0].ov);

    (void)state;
    assert_non_null(asked);
    net->check_every = 4099;
    net->node[1].deaf = true;
    for (size_t i = 0; i < 16390; i++) {
        net_ask(net, 0, &net->node[1].contact.position, 0, 3 * SEC, &asked[i]);
        assert_int_equal(asked[i].calls, i >= 16384);
    }
    assert_int_equal(asked[16389].rc, XN_EBUSY);
    assert_int_equal(stats->outcomes[OV_BUSY], 6);
    net_run(net, 4 * SEC);
    assert_int_equal(asked[0].calls, 1);
    net_free(net);
    free(asked);
}

static size_t requests(const struct net *net, uint32_t i)
{
    struct ov_load load;

    ov_load(net->node[i].ov, &load);
    return load.requests;
}

/* Who needs no answer any more waits for none: what was acknowledged goes at
 * once, and what was not as soon as its answer would tell nothing. */
static void test_enough(void **state)
{
    struct net *net = mesh(3);
    struct asked asked[2];

    (void)state;
    net->node[1].answer = ANSWER_NEVER;
    net_ask(net, 0, &net->node[1].contact.position, 0, 8 * SEC, &asked[0]);
    net_run(net, SEC);
    assert_int_equal(requests(net, 0), 1);
    ov_enough(net->node[0].ov, &asked[0]);
    assert_int_equal(requests(net, 0), 0);
    net->node[2].deaf = true;
    net_ask(net, 0, &net->node[2].contact.position, 0, 8 * SEC, &asked[1]);
    ov_enough(net->node[0].ov, &asked[1]);
    assert_int_equal(requests(net, 0), 1);
    net_run(net, 7 * SEC / 2);
    assert_int_equal(requests(net, 0), 0);
    net_run(net, 10 * SEC);
    assert_int_equal(asked[0].calls + asked[1].calls, 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_stray_replies),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_large_requests),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_kinds_of_replies),
        cmocka_unit_test(test_own_bound),
        cmocka_unit_test(test_enough),
    };

    return cmocka_run_group_tests_name("ov_rude", tests, NULL, NULL);
}
