/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hearsay of a linked peer that lies must not come between two nodes that were
 * linked.  Node 0 loses node 1; node 2 tells it what it likes.  Node 1 comes
 * back and looks for nobody, so 0 must find it by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "overlay/inside.h"
#include "tests/unit/ov_net.h"

enum { VICTIM, LOST, LIAR, HOLE, NODES };

#define FAKES_MAX 512

/* What the liar names. */
struct lies {
    size_t n;
    xn_id id[FAKES_MAX], position[FAKES_MAX];
    char address[FAKES_MAX][24];
};

/* at: where the lost one says that it is. */
static struct net *mesh_at(unsigned at)
{
    const struct net_config config = {.nodes = NODES,
                                      .links_max = 512,
                                      .leaves = 8,
                                      .handle_per_link = true,
                                      .seed = 5};
    struct net *net = net_new(&config);
    uint32_t i;

    snprintf(net->node[LOST].address, sizeof net->node[LOST].address, "n%u",
             at);
    for (i = 0; i < HOLE; i++)
        net_start(net, i, 0);
    net->node[HOLE].deaf = true; /* who dials it hears nothing */
    assert_true(net_until(net, 60 * SEC, net_is_mesh));
    net_run(net, 30 * SEC);
    return net;
}

static struct net *mesh(void)
{
    return mesh_at(LOST);
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

/* Its link is replaced where it has us dial itself. */
static void tell(struct net *net, struct lies *lies)
{
    static Xn__Contact row[FAKES_MAX], *rows[FAKES_MAX];
    Xn__Peers peers = XN__PEERS__INIT;
    size_t i;

    for (i = 0; i < lies->n; i++) {
        xn__contact__init(&row[i]);
        rows[i] = &row[i];
        row[i].id = xn_id_bytes(&lies->id[i]);
        row[i].position = xn_id_bytes(&lies->position[i]);
        row[i].address = lies->address[i];
    }
    peers.sample = rows;
    peers.n_sample = lies->n;
    inject(net, VICTIM, LIAR, XN__KIND__PEERS, &peers);
}

/* The position so many steps from there. */
static xn_id beside(const xn_id *position, int steps)
{
    xn_id id = *position;
    size_t i = XN_ID_SIZE;

    while (i-- > 0 && steps) {
        steps += id.b[i];
        id.b[i] = (uint8_t)(steps & 0xff);
        steps >>= 8;
    }
    return id;
}

/* Invented nodes right beside the victim, each with an address of its own (the
 * network reads the number only): node `at`. */
static void invent(struct net *net, struct lies *lies, size_t n, unsigned at)
{
    size_t i;

    lies->n = n;
    for (i = 0; i < n; i++) {
        net_key(net, &lies->id[i]);
        lies->position[i] = beside(&net->node[VICTIM].contact.position,
                                   (int)(i / 2 + 1) * (i % 2 ? 1 : -1));
        snprintf(lies->address[i], sizeof lies->address[i], "n%0*u",
                 (int)(2 + i % 16), at);
    }
}

/* The liar says that the lost node is elsewhere. */
static void move(struct net *net, struct lies *lies, unsigned at)
{
    lies->n = 1;
    lies->id[0] = net->node[LOST].contact.id;
    lies->position[0] = net->node[LOST].contact.position;
    snprintf(lies->address[0], sizeof lies->address[0], "n%u", at);
}

/* The liar itself forgets the lost node, so that it helps nobody. */
static void lose(struct net *net)
{
    Xn__Leave leave = XN__LEAVE__INIT;

    assert_true(inject(net, LIAR, LOST, XN__KIND__LEAVE, &leave));
    net_crash(net, LOST, true);
    net_run(net, SEC / 10);
}

static bool is_found(struct net *net)
{
    xn_peer peer;

    return net_peer(net, VICTIM, LOST, &peer);
}

/* Tells every `gap_us` for that long, or until the lost one is found. */
static bool tell_for(struct net *net, struct lies *lies, uint64_t gap_us,
                     uint64_t us)
{
    uint64_t at_us;

    for (at_us = 0; at_us < us && !is_found(net); at_us += gap_us) {
        tell(net, lies);
        net_run(net, gap_us);
    }
    return is_found(net);
}

static struct lies *new_lies(void)
{
    static struct lies lies;

    lies.n = 0;
    return &lies;
}

/* Whatever is said of where it is, it is where it was. */
static void moved_to(unsigned at)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();

    lose(net);
    move(net, lies, at);
    assert_false(tell_for(net, lies, SEC, 120 * SEC));
    net_start(net, LOST, LOST);
    assert_true(tell_for(net, lies, SEC, 180 * SEC));
    net_free(net);
}

static void test_moved_away(void **state)
{
    (void)state;
    moved_to(77); /* nobody is there */
}

static void test_moved_to_a_hole(void **state)
{
    (void)state;
    moved_to(HOLE); /* nobody answers */
}

static void test_moved_to_another(void **state)
{
    (void)state;
    moved_to(LIAR);
}

/* It did move: hearsay is tried as well. */
static void test_really_moved(void **state)
{
    struct net *net = mesh_at(77);
    struct lies *lies = new_lies();

    (void)state;
    lose(net);
    net_run(net, 30 * SEC);
    net_start(net, LOST, LOST);
    move(net, lies, LOST);
    assert_true(tell_for(net, lies, SEC, 60 * SEC));
    net_free(net);
}

/* Invented neighbours that are lost for good take few places of those that
 * were real. */
static void test_lost_places(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();

    (void)state;
    invent(net, lies, 64, 77);
    tell(net, lies);
    net_run(net, 900 * SEC);
    lose(net);
    net_run(net, 900 * SEC);
    net_start(net, LOST, LOST);
    assert_true(net_until(net, 900 * SEC, is_found));
    net_free(net);
}

/* What a liar invents is not taken for nodes that we could be linked to, once
 * many of its were not there. */
static void test_not_counted(void **state)
{
    struct net *net = mesh();
    struct ov *ov = net->node[VICTIM].ov;
    struct lies *lies = new_lies();
    size_t least = FAKES_MAX, i;

    (void)state;
    invent(net, lies, 200, 77);
    tell(net, lies);
    assert_true(hints_untried(ov, &net->now) > 100);
    for (i = 0; i < 60; i++) {
        size_t n;

        net_run(net, SEC);
        n = hints_untried(ov, &net->now);
        if (n < least) least = n;
    }
    assert_true(ov->hints.n > 100);
    assert_int_equal(least, 0);
    net_free(net);
}

/* A table full of inventions has room for a neighbour lost. */
static void test_full_table(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();
    struct asked asked;
    unsigned i;
    xn_id key;

    (void)state;
    for (i = 0; i < 5; i++) {
        invent(net, lies, FAKES_MAX, HOLE);
        tell(net, lies);
    }
    net_run(net, 10 * SEC); /* that news is stale */
    do {
        net_key(net, &key);
    } while (net_nearest(net, &key, 0) != LOST ||
             net_nearest(net, &key, 1) != VICTIM);
    net_cut(net, VICTIM, LOST);
    net_run(net, 1000);
    net_ask(net, VICTIM, &key, 0, 20 * SEC, &asked);
    net_run(net, SEC / 5);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.by, LOST);
    net_run(net, 10 * SEC);
    lose(net);
    net_start(net, LOST, LOST);
    assert_true(net_until(net, 60 * SEC, is_found));
    net_free(net);
}

/* Inventions named again and again do not hold all dials. */
static void test_dials_held(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();

    (void)state;
    invent(net, lies, 64, HOLE);
    tell_for(net, lies, 5 * SEC, 60 * SEC);
    lose(net);
    tell_for(net, lies, 5 * SEC, 10 * SEC);
    net_start(net, LOST, LOST);
    assert_true(tell_for(net, lies, 5 * SEC, 60 * SEC));
    net_free(net);
}

static uint64_t dials(const struct net *net)
{
    return ov_stats(net->node[VICTIM].ov)->dials;
}

/* Nor does naming them again make us dial more than now and then ... */
static void test_named_again(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();
    uint64_t before = dials(net);
    unsigned i;

    (void)state;
    invent(net, lies, 4, 77);
    for (i = 0; i < 60; i++) {
        tell(net, lies);
        net_run(net, 10 * SEC);
    }
    /* Seven tries in the first two minutes, then one a minute. */
    print_message("# %u dials for 4 inventions in 10 minutes\n",
                  (unsigned)(dials(net) - before));
    assert_in_range(dials(net) - before, 4, 4 * (7 + 10));
    net_free(net);
}

/* ... or many at once at one address. */
static void test_one_address(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();
    uint64_t before = dials(net);
    size_t i;

    (void)state;
    invent(net, lies, 64, HOLE);
    for (i = 0; i < lies->n; i++)
        snprintf(lies->address[i], sizeof lies->address[i], "n%u", HOLE);
    tell(net, lies);
    net_run(net, SEC);
    assert_int_equal(dials(net) - before, 1);
    net_run(net, XN_DIALLED_US + 5 * SEC); /* a hole swallows it for so long */
    assert_int_equal(dials(net) - before, 2);
    net_free(net);
}

/* Who names ever new ones that are not there has us dial some at once, then few;
 * and what others name is dialled as ever. */
static void test_a_teller_is_spent(void **state)
{
    struct net *net = mesh();
    struct lies *lies = new_lies();
    uint64_t before = ov_stats(net->node[VICTIM].ov)->dials, dials;
    unsigned s;

    (void)state;
    for (s = 0; s < 600; s++) {
        invent(net, lies, 16, 77);
        tell(net, lies);
        net_run(net, SEC);
    }
    dials = ov_stats(net->node[VICTIM].ov)->dials - before;
    assert_in_range(dials, 64, 64 + 600 / 5 + 16);
    lose(net);
    net_start(net, LOST, LOST);
    net_join(net, LOST, LOST);
    net_run(net, 60 * SEC);
    assert_true(is_found(net));
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_away),
        cmocka_unit_test(test_moved_to_a_hole),
        cmocka_unit_test(test_moved_to_another),
        cmocka_unit_test(test_really_moved),
        cmocka_unit_test(test_lost_places),
        cmocka_unit_test(test_not_counted),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_dials_held),
        cmocka_unit_test(test_named_again),
        cmocka_unit_test(test_one_address),
        cmocka_unit_test(test_a_teller_is_spent),
    };

    return cmocka_run_group_tests_name("ov_hints", tests, NULL, NULL);
}
