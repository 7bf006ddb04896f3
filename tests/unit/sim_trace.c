/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node's own tracing, asked as operators ask it, in a simulated overlay
 * whose nodes have far fewer links than there are nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "node/node.h"
#include "overlay/ov.h"
#include "sim/graph.h"
#include "sim/inside.h"
#include "sim/with_node.h"
#include "sim/world.h"
#include "wire/nest.h"

enum { NODES = 400, ASKED = 100 };

struct bench {
    struct sim_nodes *nodes;
    struct sim_probe probe;
    struct sim_latency *latency;
    struct sim_world *world;
    Xn__Traced *traced[ASKED];
    uint32_t from[ASKED];
    xn_id keys[ASKED];
    char broken[200];
};

static void answered(void *user, uint32_t node, uint64_t ticket,
                     const Xn__Answer *answer)
{
    struct bench *b = user;

    assert_in_range(ticket, 1, ASKED);
    assert_int_equal(b->from[ticket - 1], node);
    assert_int_equal(answer->status, 200);
    assert_null(b->traced[ticket - 1]);
    b->traced[ticket - 1] =
        xn_unpack(&xn__traced__descriptor, answer->body.data, answer->body.len);
}

static bool no_memory;

static void broken(void *user, uint32_t node, const char *why)
{
    struct bench *b = user;

    snprintf(b->broken, sizeof b->broken, "%u: %s", node, why);
}

static struct bench *begin(void)
{
    const struct sim_config config = {.nodes = NODES, .seed = 3, .wire = true};
    struct sim_graph_config shape = {
        .nodes = NODES, .candidates = 16, .seed = 3};
    struct bench *b = calloc(1, sizeof *b);
    const struct sim_hooks hooks = {
        .user = b, .answered = answered, .broken = broken};
    struct sim_config settled = config;
    struct sim_graph *graph;
    struct sim_maker maker;

    assert_non_null(b);
    sim_settings_default(&settled.settings);
    assert_int_equal(sim_nodes_new(&b->nodes), 0);
    sim_nodes_maker(b->nodes, &maker);
    sim_nodes_probe(b->nodes, &b->probe);
    assert_int_equal(b->probe.set(b->probe.user, "overlay.links", "40"), 0);
    assert_int_equal(sim_latency_uniform(5000, 100000, &b->latency), 0);
    assert_int_equal(
        sim_world_new(&settled, b->latency, &maker, &hooks, &b->world), 0);
    b->probe.shape(b->probe.user, &shape);
    assert_int_equal(
        sim_graph_new(&shape, sim_world_peers(b->world), b->latency, &graph),
        0);
    assert_int_equal(sim_world_stand(b->world, graph), 0);
    return b;
}

static void end(struct bench *b)
{
    assert_string_equal(b->broken, "");
    for (size_t i = 0; i < ASKED; i++) {
        if (b->traced[i]) xn__traced__free_unpacked(b->traced[i], NULL);
    }
    sim_world_free(b->world);
    sim_nodes_free(b->nodes);
    sim_latency_free(b->latency);
    free(b);
}

static void ask(struct bench *b, uint32_t i)
{
    Xn__Trace trace = XN__TRACE__INIT;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__Ask body = XN__ASK__INIT;
    uint8_t *bytes;
    size_t len;

    xn_id_hash(&i, sizeof i, &b->keys[i]);
    b->from[i] = i % NODES;
    trace.key = xn_id_bytes(&b->keys[i]);
    assert_int_equal(xn_pack(&trace, &bytes, &len), 0);
    caller.role = XN__ROLE__CLIENT;
    body.method = (char *)(uintptr_t) "POST";
    body.path = (char *)(uintptr_t) "/v1/trace";
    body.body.data = bytes;
    body.body.len = len;
    body.caller = &caller;
    assert_int_equal(sim_world_ask(b->world, b->from[i], i + 1, &body), 0);
    free(bytes);
}

static uint32_t nearest(const struct bench *b, const xn_id *key)
{
    const struct xn_peers *peers = sim_world_peers(b->world);
    uint32_t best = 0;

    for (uint32_t i = 1; i < NODES; i++) {
        if (xn_ring_nearer(key, &peers->rows[i].position,
                           &peers->rows[best].position))
            best = i;
    }
    return best;
}

static void test_owners(void **state)
{
    struct bench *b = begin();
    const struct xn_peers *peers = sim_world_peers(b->world);
    size_t far = 0;

    (void)state;
    for (uint32_t i = 0; i < ASKED; i++)
        ask(b, i);
    assert_int_equal(sim_world_run(b->world, 13000000), 0);
    for (uint32_t i = 0; i < ASKED; i++) {
        const Xn__Traced *traced = b->traced[i];
        const Xn__TraceHop *owner;
        xn_id id;

        assert_non_null(traced);
        assert_int_equal(traced->end, XN__TRACE_END__TRACE_OWNER);
        owner = traced->hops[traced->owner];
        assert_int_equal(xn_id_from_bytes(&owner->node->id, &id), 0);
        assert_true(xn_id_eq(&id, &peers->rows[nearest(b, &b->keys[i])].id));
        far += traced->n_hops > 2;
    }
    assert_in_range(far, ASKED / 2, ASKED); /* most are not linked to it */
    end(b);
}

/* A partition looks at all links, but those that stand as the graph says are
 * still kept by the graph alone. */
static void test_cut(void **state)
{
    struct bench *b = begin();
    size_t halves = 0;

    (void)state;
    assert_int_equal(sim_world_run(b->world, 1000000), 0);
    sim_world_cut(b->world, 20000, 3600 * 1000000ULL);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_in_range(sim_world_links(b->world, i), 20, 60);
        halves += b->world->nodes[i].links_cap;
    }
    assert_in_range(halves, 0, 8 * NODES);
    end(b);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

/* The end of a link that stood is not missed for want of memory. */
static void test_no_memory(void **state)
{
    struct bench *b = begin();
    struct ov *ov = node_overlay(sim_world_core(b->world, 7));
    struct xn_now now = sim_world_time(b->world, 7);
    struct xn_out out;
    xn_peer peer;

    (void)state;
    xn_out_init(&out);
    assert_int_equal(ov_all(ov, &peer, 1), 1);
    no_memory = true;
    ov_gone(ov, &now, peer, &out);
    no_memory = false;
    assert_int_equal(out.rc, XN_ENOMEM);
    xn_out_clear(&out);
    end(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_owners),
                                       cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_no_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
