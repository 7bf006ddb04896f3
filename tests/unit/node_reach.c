/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node that looks for its peers, and has itself looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "node/node.h"
#include "tests/unit/crank.h"

#define WALL (1795255200ULL * 1000000)

static const xn_id wanted = {{77}};

struct world {
    struct crank c;
    struct xn_contact rows[12];
    struct xn_peers peers;
    uint64_t rid;
};

static int set_up(void **state)
{
    static struct world w;
    struct node_config config;
    struct xn_core *core = NULL;

    memset(&w, 0, sizeof w);
    for (uint8_t i = 0; i < 12; i++) {
        w.rows[i].id.b[0] = w.rows[i].position.b[0] = (uint8_t)(20 * i + 5);
    }
    w.peers = (struct xn_peers){.rows = w.rows, .n = 12};
    node_config_default(&config);
    config.overlay.id.b[0] = 1;
    config.overlay.position.b[0] = 2;
    config.overlay.address = "127.0.0.1:9000";
    assert_int_equal(node_new(&config, &w.peers, 1, &core), 0);
    crank_init(&w.c, core, 1000000, WALL);
    crank_wake(&w.c);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    crank_stop(&w->c);
    crank_clear(&w->c);
    return 0;
}

static void say(struct world *w, xn_peer peer, unsigned kind, const void *body)
{
    struct xn_msg *msg = NULL;

    assert_int_equal(xn_msg_new(kind, body, &msg), 0);
    crank_hear(&w->c, peer, msg);
    xn_msg_free(msg);
}

static void link_up(struct world *w, xn_peer peer, uint64_t features,
                    const char *address)
{
    Xn__Hello hello = XN__HELLO__INIT;

    crank_up(&w->c, peer);
    hello.version = 1;
    hello.features = features;
    hello.address = (char *)(uintptr_t)address;
    say(w, peer, XN__KIND__HELLO, &hello);
}

static void ask_to_look(struct world *w, xn_peer peer, uint32_t port,
                        bool direct)
{
    Xn__Reach reach = XN__REACH__INIT;
    Xn__Request request = XN__REQUEST__INIT;

    reach.port = port;
    reach.id = xn_id_bytes(&wanted);
    assert_int_equal(
        xn_pack(&reach, &request.payload.data, &request.payload.len), 0);
    request.key = xn_id_bytes(&wanted);
    request.direct = direct;
    request.kind = XN__KIND__REACH;
    request.patience_ms = 10000;
    request.rid = ++w->rid;
    say(w, peer, XN__KIND__REQUEST, &request);
    free(request.payload.data);
}

/* The last REPLY to that peer; *done_out is the caller's where rc is 0. */
static int replied(struct world *w, xn_peer peer, Xn__ReachDone **done_out)
{
    int rc = 1;

    for (size_t i = 0; i < w->c.n_pending; i++) {
        const struct xn_action *act = &w->c.pending[i];
        const Xn__Reply *reply;

        if (act->kind != XN_ACT_SEND || act->peer != peer ||
            act->msg->kind != XN__KIND__REPLY)
            continue;
        reply = XN_BODY(act->msg, Xn__Reply);
        rc = reply->rc;
        if (rc) continue;
        assert_int_equal(reply->kind, XN__KIND__REACH_DONE);
        *done_out = xn__reach_done__unpack(NULL, reply->payload.len,
                                           reply->payload.data);
    }
    return rc;
}

static void probed(struct world *w, bool met)
{
    struct xn_action act = crank_take(&w->c, XN_ACT_PROBE);
    Xn__Probed body = XN__PROBED__INIT;

    body.met = met;
    body.seen = (char *)(uintptr_t) "192.0.2.9";
    crank_done(&w->c, &act, 0, XN__KIND__PROBED, &body);
}

/* ---- for a peer ---- */

static void a_peer_is_looked_for(void **state)
{
    struct world *w = *state;
    Xn__ReachDone *done = NULL;
    struct xn_action act;
    const Xn__Probe *probe;

    link_up(w, 0, 95, "192.0.2.7:1");
    ask_to_look(w, 0, 7403, true);
    act = crank_take(&w->c, XN_ACT_PROBE);
    probe = XN_BODY(act.msg, Xn__Probe);
    assert_int_equal(act.peer, 0); /* at its host, and no other */
    assert_int_equal(probe->port, 7403);
    assert_memory_equal(probe->id.data, wanted.b, XN_ID_SIZE);
    crank_done(&w->c, &act, XN_EREFUSED, 0, NULL);
    assert_int_equal(replied(w, 0, &done), XN_EREFUSED);
    ask_to_look(w, 0, 7403, true);
    probed(w, true);
    assert_int_equal(replied(w, 0, &done), 0);
    assert_true(done->met);
    assert_string_equal(done->seen, "192.0.2.9");
    xn__reach_done__free_unpacked(done, NULL);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct world *w = *state;
    Xn__ReachDone *done = NULL;

    link_up(w, 0, 95, "192.0.2.7:1");
    ask_to_look(w, 0, 0, true);
    assert_int_equal(replied(w, 0, &done), XN_EINVAL);
    ask_to_look(w, 0, 65536, true);
    assert_int_equal(replied(w, 0, &done), XN_EINVAL);
    assert_int_equal(crank_count(&w->c, XN_ACT_PROBE), 0);
}

/* Two a second for one, sixteen for all. */
static void looking_is_paced(void **state)
{
    struct world *w = *state;
    Xn__ReachDone *done = NULL;

    for (xn_peer peer = 0; peer < 12; peer++)
        link_up(w, peer, 95, "192.0.2.7:1");
    ask_to_look(w, 0, 1, true);
    ask_to_look(w, 0, 2, true);
    ask_to_look(w, 0, 3, true);
    assert_int_equal(replied(w, 0, &done), XN_EBUSY);
    assert_int_equal(crank_count(&w->c, XN_ACT_PROBE), 2);
    probed(w, false);
    probed(w, false);
    ask_to_look(w, 0, 3, true); /* that they ended is no matter */
    assert_int_equal(crank_count(&w->c, XN_ACT_PROBE), 0);
    for (xn_peer peer = 1; peer < 12; peer++) {
        ask_to_look(w, peer, 1, true);
        ask_to_look(w, peer, 1, true);
    }
    assert_int_equal(crank_count(&w->c, XN_ACT_PROBE), 14);
    while (crank_count(&w->c, XN_ACT_PROBE))
        probed(w, false);
    crank_pass(&w->c, 1000000);
    ask_to_look(w, 0, 3, true);
    assert_int_equal(crank_count(&w->c, XN_ACT_PROBE), 1);
}

/* ---- for this node ---- */

static uint64_t post_by(struct world *w, uint8_t who, Xn__Role role,
                        uint32_t port)
{
    const xn_id id = {{who}};
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__Reach reach = XN__REACH__INIT;

    caller.role = role;
    caller.id = xn_id_bytes(&id);
    reach.port = port;
    reach.id = xn_id_bytes(&wanted);
    return crank_ask(&w->c, "POST", "/v1/reach", &reach, &caller);
}

static uint64_t post(struct world *w, Xn__Role role, uint32_t port)
{
    return post_by(w, 1, role, port);
}

/* Answers the question that this peer was sent; false: it was sent none. */
static bool peer_tells(struct world *w, xn_peer peer, bool met)
{
    for (size_t i = 0; i < w->c.n_pending; i++) {
        const struct xn_action *act = &w->c.pending[i];
        Xn__ReachDone done = XN__REACH_DONE__INIT;
        Xn__Reply reply = XN__REPLY__INIT;

        if (act->kind != XN_ACT_SEND || act->peer != peer ||
            act->msg->kind != XN__KIND__REQUEST ||
            XN_BODY(act->msg, Xn__Request)->kind != XN__KIND__REACH)
            continue;
        done.met = met;
        done.seen = (char *)(uintptr_t) "198.51.100.1";
        reply.rid = XN_BODY(act->msg, Xn__Request)->rid;
        reply.kind = XN__KIND__REACH_DONE;
        reply.from = xn_id_bytes(&w->rows[peer].id);
        assert_int_equal(
            xn_pack(&done, &reply.payload.data, &reply.payload.len), 0);
        say(w, peer, XN__KIND__REPLY, &reply);
        free(reply.payload.data);
        return true;
    }
    return false;
}

static void three_peers_look(void **state)
{
    struct world *w = *state;
    Xn__Reached *reached;
    unsigned asked = 0;
    uint64_t ticket;

    assert_int_equal(crank_refused(&w->c, post(w, XN__ROLE__ANYBODY, 1)),
                     XN_EIDENT);
    assert_int_equal(crank_refused(&w->c, post(w, XN__ROLE__SERVER, 0)),
                     XN_EINVAL);
    assert_int_equal(crank_refused(&w->c, post(w, XN__ROLE__SERVER, 1)),
                     XN_ENOTYET);
    link_up(w, 0, 31, "192.0.2.7:1");    /* it cannot */
    link_up(w, 1, 95, "127.0.0.1:9001"); /* on this machine */
    for (xn_peer peer = 2; peer < 7; peer++)
        link_up(w, peer, 95, "192.0.2.8:1");
    ticket = post(w, XN__ROLE__SERVER, 7403);
    for (xn_peer peer = 0; peer < 7; peer++) {
        bool told = peer_tells(w, peer, asked == 1);

        assert_false(told && peer < 2);
        asked += told;
    }
    assert_int_equal(asked, 3);
    reached = crank_answered(&w->c, ticket, &xn__reached__descriptor);
    assert_int_equal(reached->n_by, 3);
    asked = 0;
    for (size_t i = 0; i < reached->n_by; i++) {
        assert_int_equal(reached->by[i]->rc, 0);
        assert_string_equal(reached->by[i]->seen, "198.51.100.1");
        assert_string_equal(reached->by[i]->node->address, "192.0.2.8:1");
        asked += reached->by[i]->met;
    }
    assert_int_equal(asked, 1);
    xn__reached__free_unpacked(reached, NULL);
}

/* They are waited for, and not for ever; by each who asks once at a time. */
static void silent_peers_are_told(void **state)
{
    struct world *w = *state;
    Xn__Reached *reached;
    uint64_t ticket[5];

    link_up(w, 1, 95, "127.0.0.1:9001"); /* nobody else is there */
    for (int i = 0; i < 5; i++)
        ticket[i] = post_by(w, (uint8_t)(i + 1), XN__ROLE__SERVER, 7403);
    assert_int_equal(crank_refused(&w->c, ticket[4]), XN_EBUSY);
    crank_pass(&w->c, 30000000);
    for (int i = 0; i < 4; i++) {
        reached = crank_answered(&w->c, ticket[i], &xn__reached__descriptor);
        assert_int_equal(reached->n_by, 1);
        assert_int_not_equal(reached->by[0]->rc, 0);
        xn__reached__free_unpacked(reached, NULL);
    }
}

static void one_caller_asks_once_at_a_time(void **state)
{
    struct world *w = *state;
    uint64_t first, again;

    link_up(w, 1, 95, "127.0.0.1:9001");
    first = post_by(w, 1, XN__ROLE__CLIENT, 7403);
    again = post_by(w, 1, XN__ROLE__CLIENT, 7404);
    assert_int_equal(crank_refused(&w->c, again), XN_EBUSY);
    post_by(w, 2, XN__ROLE__SERVER, 7403); /* another is not kept out */
    assert_true(peer_tells(w, 1, true));
    xn__reached__free_unpacked(
        crank_answered(&w->c, first, &xn__reached__descriptor), NULL);
    again = post_by(w, 1, XN__ROLE__CLIENT, 7404);
    crank_pass(&w->c, 30000000);
    xn__reached__free_unpacked(
        crank_answered(&w->c, again, &xn__reached__descriptor), NULL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_peer_is_looked_for),  CASE(what_makes_no_sense_is_refused),
        CASE(looking_is_paced),      CASE(three_peers_look),
        CASE(silent_peers_are_told), CASE(one_caller_asks_once_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
