/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of revoked keys at a node core: what it believes, keeps and does. */
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
#include "wire/revoked.h"

#define WALL (1795255200ULL * 1000000)
#define HOUR_US (3600ULL * 1000000)

static const xn_id corp_id = {{7}}, bad_id = {{8}}, good_id = {{9}};

struct world {
    struct crank c;
    struct xn_contact rows[2]; /* peers: the bad one, the good one */
    struct xn_peers peers;
};

static int set_up(void **state)
{
    static struct world w;
    struct node_config config;
    struct xn_core *core = NULL;

    memset(&w, 0, sizeof w);
    w.rows[0] =
        (struct xn_contact){.id = bad_id, .position = bad_id, .corp = corp_id};
    w.rows[1] = (struct xn_contact){
        .id = good_id, .position = good_id, .corp = corp_id};
    w.peers = (struct xn_peers){.rows = w.rows, .n = 2};
    node_config_default(&config);
    config.overlay.id.b[0] = 1;
    config.overlay.position.b[0] = 2;
    config.overlay.address = "127.0.0.1:9000";
    config.corps[config.n_corps++] = "https://192.0.2.1:1";
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

/* The list as it travels; whoever "signed" it is the hash of the letter. */
static ProtobufCBinaryData blob_of(char signer, const xn_id *names, size_t n,
                                   uint64_t number, uint64_t issued_us)
{
    Xn__SignedBlob outer = XN__SIGNED_BLOB__INIT;
    ProtobufCBinaryData blob;

    assert_int_equal(revoked_pack(names, n, number, issued_us,
                                  issued_us + 24 * HOUR_US, &outer.payload.data,
                                  &outer.payload.len),
                     0);
    outer.spki.data = (uint8_t *)&signer;
    outer.spki.len = 1;
    assert_int_equal(xn_pack(&outer, &blob.data, &blob.len), 0);
    free(outer.payload.data);
    return blob;
}

/* The corp's answer to the announcement. */
static void announce_answer(struct world *w, const ProtobufCBinaryData *blob)
{
    Xn__Sample sample = XN__SAMPLE__INIT;
    Xn__Answer answer = XN__ANSWER__INIT;
    struct xn_action act;

    while (crank_count(&w->c, XN_ACT_CALL) == 0)
        crank_pass(&w->c, 1000000);
    act = crank_take(&w->c, XN_ACT_CALL);
    assert_non_null(strstr(XN_BODY(act.msg, Xn__Call)->url, "/v1/announce"));
    sample.revoked = *blob;
    assert_int_equal(xn_pack(&sample, &answer.body.data, &answer.body.len), 0);
    answer.status = 200;
    crank_done(&w->c, &act, 0, XN__KIND__ANSWER, &answer);
    free(answer.body.data);
    /* and no sample */
    act = crank_take(&w->c, XN_ACT_CALL);
    crank_done(&w->c, &act, XN_EUNREACH, 0, NULL);
}

/* The driver says who signed it; the corps of these tests are letters. */
static void verify(struct world *w, Xn__Role role)
{
    struct xn_action act = crank_take(&w->c, XN_ACT_VERIFY);
    const Xn__Verify *in = XN_BODY(act.msg, Xn__Verify);
    Xn__SignedBlob *outer =
        xn__signed_blob__unpack(NULL, in->data.len, in->data.data);
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer = XN__CALLER__INIT;
    xn_id id;

    assert_string_equal(in->context, REVOKED_CONTEXT);
    xn_id_hash(outer->spki.data, outer->spki.len, &id);
    signer.id = xn_id_bytes(&id);
    signer.role = role;
    out.signer = &signer;
    out.payload = outer->payload;
    crank_done(&w->c, &act, 0, XN__KIND__VERIFIED, &out);
    xn__signed_blob__free_unpacked(outer, NULL);
}

static size_t held(struct world *w)
{
    uint64_t ask = crank_ask(&w->c, "GET", "/v1/revoked", NULL, NULL);
    Xn__RevokedDone *done = (Xn__RevokedDone *)(void *)crank_answered(
        &w->c, ask, &xn__revoked_done__descriptor);
    size_t n = done->n_lists;

    xn__revoked_done__free_unpacked(done, NULL);
    return n;
}

/* Believed, kept, and its links end; others' do not. */
static void a_list_counts(void **state)
{
    struct world *w = *state;
    xn_id signer;
    ProtobufCBinaryData blob = blob_of('c', &bad_id, 1, 5, WALL);
    size_t hangs;

    xn_id_hash("c", 1, &signer);
    w->rows[0].corp = w->rows[1].corp = signer;
    crank_up(&w->c, 0);
    crank_up(&w->c, 1);
    hangs = crank_count(&w->c, XN_ACT_HANG);
    announce_answer(w, &blob);
    assert_int_equal(held(w), 0);
    verify(w, XN__ROLE__CORP);
    assert_int_equal(held(w), 1);
    assert_int_equal(crank_count(&w->c, XN_ACT_HANG), hangs + 1);
    assert_true(crank_count(&w->c, XN_ACT_TXN) > 0);
    crank_up(&w->c, 0); /* it comes back: refused */
    assert_int_equal(crank_count(&w->c, XN_ACT_HANG), hangs + 2);
    free(blob.data);
}

/* What is older, dated ahead, or signed by anybody, is not believed. */
static void others_do_not(void **state)
{
    struct world *w = *state;
    ProtobufCBinaryData blob = blob_of('c', &bad_id, 1, 5, WALL);

    announce_answer(w, &blob);
    verify(w, XN__ROLE__ANYBODY);
    assert_int_equal(held(w), 0);
    free(blob.data);
    blob = blob_of('c', &bad_id, 1, 5, WALL + HOUR_US);
    announce_answer(w, &blob);
    verify(w, XN__ROLE__CORP);
    assert_int_equal(held(w), 0);
    free(blob.data);
    blob = blob_of('c', &bad_id, 1, 6, WALL);
    announce_answer(w, &blob);
    verify(w, XN__ROLE__CORP);
    assert_int_equal(held(w), 1);
    free(blob.data);
    blob = blob_of('c', NULL, 0, 6, WALL);
    announce_answer(w, &blob); /* not even verified */
    assert_int_equal(crank_count(&w->c, XN_ACT_VERIFY), 0);
    free(blob.data);
}

/* A caller whose key is revoked is a stranger. */
static void callers_are_strangers(void **state)
{
    struct world *w = *state;
    ProtobufCBinaryData blob = blob_of('c', &bad_id, 1, 5, WALL);
    Xn__Caller caller = XN__CALLER__INIT;
    struct xn_msg *msg = NULL;
    uint64_t ask;
    xn_id signer;

    xn_id_hash("c", 1, &signer);
    caller.id = xn_id_bytes(&bad_id);
    caller.corp = xn_id_bytes(&signer);
    caller.role = XN__ROLE__SERVER;
    ask = crank_ask(&w->c, "GET", "/v1/peers", NULL, &caller);
    assert_int_equal(crank_answer(&w->c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    announce_answer(w, &blob);
    verify(w, XN__ROLE__CORP);
    ask = crank_ask(&w->c, "GET", "/v1/peers", NULL, &caller);
    assert_int_equal(crank_refused(&w->c, ask), XN_EIDENT);
    free(blob.data);
}

static Xn__RevokedDone *lists_behind(struct world *w, const xn_id *corp)
{
    Xn__Ask ask = XN__ASK__INIT;
    char query[XN_ID_HEX + 8] = "after=";
    struct xn_msg *msg = NULL;

    xn_id_hex(corp, query + strlen(query));
    ask.method = (char *)(uintptr_t) "GET";
    ask.path = (char *)(uintptr_t) "/v1/revoked";
    ask.query = query;
    assert_int_equal(xn_msg_new(XN__KIND__ASK, &ask, &msg), 0);
    crank_event(&w->c, XN_EV_ASK, ++w->c.asked, 0, msg);
    xn_msg_free(msg);
    return (Xn__RevokedDone *)(void *)crank_answered(
        &w->c, w->c.asked, &xn__revoked_done__descriptor);
}

/* More than one answer holds; too much at a time is refused. */
static void long_lists_come_in_pages(void **state)
{
    static xn_id names[REVOKED_MAX];
    struct world *w = *state;
    Xn__RevokedDone *done;
    xn_id second;
    size_t i;

    for (i = 0; i < REVOKED_MAX; i++)
        names[i].b[30] = (uint8_t)(i >> 8), names[i].b[31] = (uint8_t)i;
    for (i = 0; i < 3; i++) {
        ProtobufCBinaryData blob =
            blob_of("cde"[i], names, REVOKED_MAX, 5, WALL);

        announce_answer(w, &blob);
        verify(w, XN__ROLE__CORP);
        free(blob.data);
    }
    assert_int_equal(held(w), 2);
    xn_id_hash("d", 1, &second);
    done = lists_behind(w, &second);
    assert_int_equal(done->n_lists, 1);
    assert_false(done->more);
    xn__revoked_done__free_unpacked(done, NULL);
    for (i = 0; i < 6; i++)
        assert_int_equal(held(w), 2);
    assert_int_equal(crank_refused(&w->c, crank_ask(&w->c, "GET", "/v1/revoked",
                                                    NULL, NULL)),
                     XN_EBUSY);
}

/* ---- peers ---- */

static void say(struct world *w, xn_peer peer, unsigned kind, const void *body)
{
    struct xn_msg *msg = NULL;

    assert_int_equal(xn_msg_new(kind, body, &msg), 0);
    crank_hear(&w->c, peer, msg);
    xn_msg_free(msg);
}

static void link_up(struct world *w, xn_peer peer)
{
    Xn__Hello hello = XN__HELLO__INIT;

    crank_up(&w->c, peer);
    hello.version = 1;
    hello.features = 4;
    hello.address = (char *)(uintptr_t) "192.0.2.7:1";
    say(w, peer, XN__KIND__HELLO, &hello);
}

/* It says that it holds this list; `times` over. */
static void boasts(struct world *w, xn_peer peer, const xn_id *corp,
                   unsigned times)
{
    Xn__RevokedHeld held = XN__REVOKED_HELD__INIT, *rows[] = {&held};
    Xn__Revoked revoked = XN__REVOKED__INIT;
    Xn__Request request = XN__REQUEST__INIT;
    static uint64_t rid;

    held.corp = xn_id_bytes(corp);
    held.number = 1000;
    revoked.held = rows;
    revoked.n_held = 1;
    assert_int_equal(
        xn_pack(&revoked, &request.payload.data, &request.payload.len), 0);
    request.key = xn_id_bytes(corp);
    request.direct = true;
    request.kind = XN__KIND__REVOKED;
    request.patience_ms = 10000;
    for (; times > 0; times--) {
        request.rid = ++rid;
        say(w, peer, XN__KIND__REQUEST, &request);
    }
    free(request.payload.data);
}

/* Questions for lists that this peer was sent. */
static size_t asked_of(const struct world *w, xn_peer peer)
{
    size_t n = 0, i;

    for (i = 0; i < w->c.n_pending; i++) {
        const struct xn_action *act = &w->c.pending[i];

        n += act->kind == XN_ACT_SEND && act->peer == peer &&
             act->msg->kind == XN__KIND__REQUEST &&
             XN_BODY(act->msg, Xn__Request)->kind == XN__KIND__REVOKED;
    }
    return n;
}

/* Who says again and again that it knows more is asked once at a time, and not
 * for what may be nobody's. */
static void boasting_is_no_use(void **state)
{
    struct world *w = *state;
    const xn_id other = {{77}};

    link_up(w, 0);
    link_up(w, 1);
    boasts(w, 0, &other, 20);
    assert_int_equal(asked_of(w, 0), 0);
    boasts(w, 0, &corp_id, 20);
    assert_int_equal(asked_of(w, 0), 1);
    boasts(w, 1, &corp_id, 1);
    assert_int_equal(asked_of(w, 1), 1);
}

/* Whoever is named, and was seen to be revoked, is not dialled again. */
static void the_revoked_are_not_dialled(void **state)
{
    struct world *w = *state;
    ProtobufCBinaryData blob = blob_of('c', &bad_id, 1, 5, WALL);
    Xn__Contact contact = XN__CONTACT__INIT, *rows[] = {&contact};
    Xn__Peers peers = XN__PEERS__INIT;
    unsigned i;

    xn_id_hash("c", 1, &w->rows[0].corp);
    announce_answer(w, &blob);
    verify(w, XN__ROLE__CORP);
    link_up(w, 1);
    contact.id = contact.position = xn_id_bytes(&bad_id);
    contact.address = (char *)(uintptr_t) "192.0.2.8:1";
    peers.sample = rows;
    peers.n_sample = 1;
    say(w, 1, XN__KIND__PEERS, &peers);
    assert_int_equal(crank_count(&w->c, XN_ACT_DIAL), 1);
    crank_up(&w->c, 0);
    for (i = 0; i < 3; i++) {
        crank_pass(&w->c, 1000000);
        say(w, 1, XN__KIND__PEERS, &peers);
    }
    assert_int_equal(crank_count(&w->c, XN_ACT_DIAL), 1);
    free(blob.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(callers_are_strangers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(long_lists_come_in_pages, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(boasting_is_no_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_revoked_are_not_dialled, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
