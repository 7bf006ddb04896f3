/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tracing the way of a request through the overlay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/ov_net.h"

static struct net *start(uint32_t nodes, uint32_t links_max, uint32_t leaves,
                         unsigned loss_percent)
{
    const struct net_config config = {.nodes = nodes,
                                      .links_max = links_max,
                                      .leaves = leaves,
                                      .handle_per_link = true,
                                      .loss_percent = loss_percent,
                                      .seed = 5};
    struct net *net = net_new(&config);

    for (uint32_t i = 0; i < nodes; i++) {
        net_start(net, i, i / 2);
        net_run(net, SEC / 20);
    }
    return net;
}

struct seen {
    unsigned calls;
    uint64_t when_us;
    struct ov_trace trace;
};

static void traced(void *user, void *ctx, const struct xn_now *now,
                   const struct ov_trace *trace, struct xn_out *out)
{
    struct seen *seen = ctx;

    (void)user, (void)out;
    seen->calls++;
    seen->when_us = now->mono_us;
    seen->trace = *trace;
}

static int begin(struct net *net, uint32_t i, const xn_id *key, uint32_t copy,
                 const xn_id *whose, struct seen *seen)
{
    struct xn_out *out = net_begin(net, i);
    int rc;

    *seen = (struct seen){.calls = 0};
    rc = ov_trace(net->node[i].ov, &net->now, key, copy, whose,
                  net->now.mono_us + 20 * SEC, traced, seen, out);
    net_end(net, i);
    return rc;
}

static void trace(struct net *net, uint32_t i, const xn_id *key, uint32_t copy,
                  struct seen *seen)
{
    assert_int_equal(begin(net, i, key, copy, key, seen), 0);
    /* No longer than it takes: links come and go. */
    for (int tenths = 0; tenths < 210 && seen->calls == 0; tenths++)
        net_run(net, SEC / 10);
    assert_int_equal(seen->calls, 1);
}

static uint32_t who(const struct net *net, const struct ov_hop *hop)
{
    for (uint32_t i = 0; i < net->config.nodes; i++) {
        if (xn_id_eq(&net->node[i].contact.id, &hop->id)) return i;
    }
    return UINT32_MAX;
}

/* The trace ends at the true owner, over links that there are. */
static void expect_way(const struct net *net, uint32_t from,
                       const struct seen *seen, uint32_t owner)
{
    const struct ov_trace *trace = &seen->trace;

    assert_int_equal(trace->end, XN__TRACE_END__TRACE_OWNER);
    assert_int_equal(trace->owner, trace->n - 1);
    assert_int_equal(who(net, &trace->hops[0]), from);
    assert_int_equal(who(net, &trace->hops[trace->owner]), owner);
    assert_int_equal(trace->hops[0].way, XN__WAY__WAY_NONE);
    for (size_t i = 1; i < trace->n; i++) {
        uint32_t a = who(net, &trace->hops[i - 1]);
        uint32_t b = who(net, &trace->hops[i]);
        xn_peer peer;

        assert_true(net_peer(net, a, b, &peer));
        assert_int_equal(trace->hops[i].rc, 0);
        assert_int_not_equal(trace->hops[i].way, XN__WAY__WAY_NONE);
        assert_string_equal(trace->hops[i].address, net->node[b].address);
        assert_true(trace->hops[i].rtt_us > 0);
        assert_true(trace->hops[i].took_us > 0);
        assert_in_range(trace->hops[i].links, 1, net->config.links_max);
    }
}

static void test_mesh(void **state)
{
    struct net *net = start(12, 512, 8, 0);
    struct seen seen;
    xn_id key;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    for (uint32_t i = 0; i < 24; i++) {
        net_key(net, &key);
        trace(net, i % 12, &key, i % 3, &seen);
        expect_way(net, i % 12, &seen, net_nearest(net, &key, i % 3));
        assert_true(seen.trace.n <= 2);
        assert_true(seen.trace.hops[0].mesh);
        if (seen.trace.n == 2)
            assert_int_equal(seen.trace.hops[1].way, XN__WAY__WAY_OWNER);
    }
    net_free(net);
}

/* Far hops are asked through those before them, and messages are lost. */
static void many_hops(unsigned loss_percent)
{
    struct net *net = start(120, 20, 5, loss_percent);
    struct asked asked;
    struct seen seen;
    size_t longest = 0, as_asked = 0, cut_short = 0;
    xn_id key;

    assert_true(net_until(net, 600 * SEC, net_has_leaves));
    for (uint32_t i = 0; i < 60; i++) {
        net_key(net, &key);
        trace(net, i, &key, i % 3, &seen);
        if (seen.trace.end == XN__TRACE_END__TRACE_SILENT) {
            cut_short++; /* a message was lost, or a hop gave the link up */
            continue;
        }
        expect_way(net, i, &seen, net_nearest(net, &key, i % 3));
        if (seen.trace.n > longest) longest = seen.trace.n;
        net_ask(net, i, &key, i % 3, 20 * SEC, &asked);
        net_run(net, 21 * SEC);
        as_asked += asked.hops + 1 == seen.trace.n;
    }
    print_message("# %u%% lost: %zu of 60 as many hops as a request, longest "
                  "%zu, %zu cut short\n",
                  loss_percent, as_asked, longest - 1, cut_short);
    assert_true(longest > 3);
    assert_true(cut_short <= (loss_percent ? 6 : 2));
    assert_true(as_asked >= 40); /* round trips change in between */
    net_free(net);
}

static void test_many_hops(void **state)
{
    (void)state;
    many_hops(0);
}

static void test_loss(void **state)
{
    (void)state;
    many_hops(5);
}

/* A hop that says nothing is the end, and is named. */
static void test_silent(void **state)
{
    struct net *net = start(120, 20, 5, 0);
    struct seen before, seen;
    uint32_t from = 0, owner;
    xn_id key;

    (void)state;
    assert_true(net_until(net, 600 * SEC, net_has_leaves));
    do {
        from = (from + 1) % 120;
        net_key(net, &key);
        trace(net, from, &key, 0, &before);
    } while (before.trace.n < 4);
    owner = net_nearest(net, &key, 0);
    net_crash(net, owner, false);
    trace(net, from, &key, 0, &seen);
    assert_int_equal(seen.trace.end, XN__TRACE_END__TRACE_SILENT);
    /* Perhaps by another way: the first trace has measured round trips. */
    assert_true(seen.trace.n > 1);
    assert_int_equal(who(net, &seen.trace.hops[seen.trace.n - 1]), owner);
    /* Its neighbour noticed while it waited. */
    assert_int_equal(seen.trace.hops[seen.trace.n - 1].rc, XN_EUNREACH);
    /* So did all its neighbours; who was linked to it from afar looks when it
     * is asked for a way there. */
    for (int tries = 0; tries < 3; tries++) {
        net_run(net, 60 * SEC);
        trace(net, from, &key, 0, &seen);
        if (seen.trace.end == XN__TRACE_END__TRACE_OWNER) break;
    }
    expect_way(net, from, &seen, net_nearest(net, &key, 0));
    net_free(net);
}

static void test_nobody(void **state)
{
    struct net *net = start(2, 512, 8, 0);
    struct seen seen;
    xn_id key;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 60 * SEC);
    net_key(net, &key);
    trace(net, 0, &key, 2, &seen);
    assert_int_equal(seen.trace.end, XN__TRACE_END__TRACE_NOWHERE);
    assert_int_equal(seen.trace.n, 1);
    net_free(net);
}

/* ---- what peers may ask ---- */

static uint64_t inject(struct net *net, const Xn__Next *next, bool direct)
{
    static uint64_t rid = 1ULL << 40;
    Xn__Request request = XN__REQUEST__INIT;
    struct xn_msg *msg = NULL, *inner = NULL;
    uint64_t before = net->sent;

    assert_int_equal(xn_msg_new(XN__KIND__NEXT, next, &inner), 0);
    request.rid = ++rid;
    request.key = xn_id_bytes(&net->node[0].contact.position);
    request.direct = direct;
    request.hops = 0;
    request.patience_ms = 5000;
    request.kind = XN__KIND__NEXT;
    request.payload.data = inner->bytes;
    request.payload.len = inner->size;
    assert_int_equal(xn_msg_new(XN__KIND__REQUEST, &request, &msg), 0);
    assert_true(net_inject(net, 0, 1, msg));
    xn_msg_free(msg);
    xn_msg_free(inner);
    net_run(net, SEC / 2);
    return net->sent - before;
}

/* Whatever it is asked, a node sends a bounded number of messages, and stays
 * linked to whoever asked; only what others might not know is not to be sent
 * on. */
static void test_rude(void **state)
{
    struct net *net = start(4, 512, 8, 0);
    ProtobufCBinaryData via[32];
    Xn__Next next = XN__NEXT__INIT;
    uint8_t half[16] = {0};
    xn_id key;
    xn_peer peer;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 120 * SEC);
    net_key(net, &key);
    next.key = xn_id_bytes(&key);
    for (size_t i = 0; i < 32; i++) /* there and back again */
        via[i] = xn_id_bytes(&net->node[1 + i % 2].contact.id);
    next.via = via;
    next.n_via = 16;
    assert_in_range(inject(net, &next, true), 1, 100);
    next.n_via = 17;
    assert_in_range(inject(net, &next, true), 1, 10);
    next.n_via = 1;
    via[0] = (ProtobufCBinaryData){sizeof half, half};
    assert_in_range(inject(net, &next, true), 1, 10);
    via[0] = xn_id_bytes(&key); /* nobody */
    assert_in_range(inject(net, &next, true), 1, 10);
    next.n_via = 0;
    next.copy = OV_COPIES_MAX;
    assert_in_range(inject(net, &next, true), 1, 10);
    next.copy = 0;
    next.key = (ProtobufCBinaryData){sizeof half, half};
    assert_in_range(inject(net, &next, true), 1, 10);
    next.key = xn_id_bytes(&key);
    assert_true(net_peer(net, 0, 1, &peer));
    assert_int_equal(ov_stats(net->node[0].ov)->rude, 0);
    inject(net, &next, false);
    assert_int_equal(ov_stats(net->node[0].ov)->rude, 1);
    net_free(net);
}

/* So many at once, and of each who asks only some; those under way go with the
 * overlay. */
static void test_bound(void **state)
{
    static const xn_id whose[6] = {{{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{6}}};
    struct net *net = start(4, 512, 8, 0);
    struct seen seen;
    xn_id key;

    (void)state;
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    do
        net_key(net, &key);
    while (net_nearest(net, &key, 0) == 0);
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned n = 0; n < 5; n++) {
            assert_int_equal(begin(net, 0, &key, 0, &whose[i], &seen),
                             n < 4 && i < 4 ? 0 : XN_EBUSY);
        }
    }
    assert_int_equal(begin(net, 1, &key, OV_COPIES_MAX, &whose[0], &seen),
                     XN_EINVAL);
    net_run(net, SEC); /* all told: there is room again */
    assert_int_equal(begin(net, 0, &key, 0, &whose[0], &seen), 0);
    net_free(net);
    assert_int_equal(seen.calls, 0);
}

/* ---- hops that lie, or say nothing ---- */

static void start_mesh(struct net **net_out)
{
    *net_out = start(4, 512, 8, 0);
    assert_true(net_until(*net_out, 60 * SEC, net_is_mesh));
    net_run(*net_out, 60 * SEC);
}

/* As if node 1 had answered what node 0 asked it last. */
static void say(struct net *net, Xn__Step step, uint32_t next)
{
    Xn__Reply reply = XN__REPLY__INIT;
    Xn__NextDone done = XN__NEXT_DONE__INIT;
    Xn__Contact contact = XN__CONTACT__INIT;
    struct xn_msg *msg = NULL, *inner = NULL;

    done.step = step;
    contact.id = xn_id_bytes(&net->node[next].contact.id);
    contact.position = xn_id_bytes(&net->node[next].contact.position);
    contact.address = net->node[next].address;
    if (step == XN__STEP__STEP_ON) done.next = &contact;
    assert_int_equal(xn_msg_new(XN__KIND__NEXT_DONE, &done, &inner), 0);
    reply.from = xn_id_bytes(&net->node[1].contact.id);
    reply.hops = 1;
    reply.kind = XN__KIND__NEXT_DONE;
    reply.payload.data = inner->bytes;
    reply.payload.len = inner->size;
    for (reply.rid = 50; reply.rid > 0; reply.rid--) {
        assert_int_equal(xn_msg_new(XN__KIND__REPLY, &reply, &msg), 0);
        assert_true(net_inject(net, 0, 1, msg));
        xn_msg_free(msg);
    }
    xn_msg_free(inner);
}

/* Nobody is the owner who is further from the key than a hop before. */
static void test_farther(void **state)
{
    struct net *net;
    struct seen seen;
    xn_id key;

    (void)state;
    start_mesh(&net);
    for (uint32_t copy = 0; copy < 2; copy++) {
        net->node[1].deaf = false; /* or it is nearest to nothing */
        do
            net_key(net, &key);
        while (net_nearest(net, &key, copy) != 1);
        net->node[1].deaf = true;
        assert_int_equal(begin(net, 0, &key, copy, &key, &seen), 0);
        say(net, XN__STEP__STEP_ON, 2);
        assert_int_equal(seen.calls, 0);
        say(net, XN__STEP__STEP_HERE, 0);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.trace.n, 3);
        assert_int_equal(seen.trace.owner, 2);
        /* Of a copy that says nothing. */
        assert_int_equal(seen.trace.end, copy ? XN__TRACE_END__TRACE_OWNER
                                              : XN__TRACE_END__TRACE_FARTHER);
    }
    net_free(net);
}

/* One that is heard and does not answer; one of before NEXT. */
static void test_last_hop(void **state)
{
    Xn__Ack ack = XN__ACK__INIT;
    struct xn_msg *msg = NULL;
    uint64_t begun_us;
    struct net *net;
    struct seen seen;

    (void)state;
    start_mesh(&net);
    assert_int_equal(xn_msg_new(XN__KIND__ACK, &ack, &msg), 0);
    net->node[1].deaf = true;
    begun_us = net->now.mono_us;
    assert_int_equal(begin(net, 0, &net->node[1].contact.position, 0,
                           &net->node[0].contact.id, &seen),
                     0);
    for (unsigned n = 0; n < 42; n++) {
        assert_true(net_inject(net, 0, 1, msg));
        net_run(net, SEC / 2);
    }
    xn_msg_free(msg);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.when_us - begun_us, 20 * SEC);
    assert_int_equal(seen.trace.end, XN__TRACE_END__TRACE_SILENT);
    assert_int_equal(seen.trace.hops[1].rc, XN_ETIMEOUT);
    net_crash(net, 1, true);
    net->node[1].lacks = UINT64_MAX;
    net_start(net, 1, 0);
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    trace(net, 0, &net->node[1].contact.position, 0, &seen);
    assert_int_equal(seen.trace.end, XN__TRACE_END__TRACE_SILENT);
    assert_int_equal(seen.trace.n, 2);
    assert_int_equal(seen.trace.hops[1].rc, XN_EPROTO);
    assert_int_equal(ov_stats(net->node[1].ov)->delivered, 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh),     cmocka_unit_test(test_many_hops),
        cmocka_unit_test(test_loss),     cmocka_unit_test(test_silent),
        cmocka_unit_test(test_nobody),   cmocka_unit_test(test_rude),
        cmocka_unit_test(test_bound),    cmocka_unit_test(test_farther),
        cmocka_unit_test(test_last_hop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
