/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp core, driven by hand: nodes that announce themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corp/corp.h"
#include "corp/nodes.h"
#include "lib/err.h"
#include "tests/unit/corp_kit.h"
#include "tests/unit/crank.h"
#include "wire/store.pb-c.h"

static void hands_out_live_nodes(void **state)
{
    struct fix *f = *state;
    struct who w;
    xn_id first;

    assert_int_equal(ask_sample(f, NULL, NULL), 0);
    make_node(&w, 1);
    assert_int_equal(sample_size(f, announce(f, &w), NULL), 0); /* not itself */
    assert_int_equal(ask_sample(f, NULL, &first), 1);
    assert_true(xn_id_eq(&first, &w.id));
    assert_int_equal(ask_sample(f, &w.caller, NULL), 0);
    announce_many(f, 2, 40);
    assert_int_equal(ask_sample(f, NULL, NULL), 16);
    assert_int_equal(ask_sample(f, &w.caller, NULL), 16);
    /* Those who go on announcing stay. */
    crank_pass(&f->c, 100 * SECOND);
    announce_many(f, 1, 6);
    crank_pass(&f->c, 100 * SECOND);
    assert_int_equal(ask_sample(f, NULL, NULL), 5);
    crank_pass(&f->c, 100 * SECOND);
    assert_int_equal(ask_sample(f, NULL, NULL), 0);
}

/* Each of 40 is drawn about as often as any other: 16 of 40, 500 times, is 200
 * expected with a deviation of 11. */
static void draws_evenly(void **state)
{
    struct fix *f = *state;
    unsigned counts[40] = {0}, i, k;
    struct who w[40];

    announce_many(f, 0, 40);
    for (i = 0; i < 40; i++)
        make_node(&w[i], i);
    for (k = 0; k < 500; k++) {
        uint64_t ask = crank_ask(&f->c, "GET", "/v1/sample", NULL, NULL);
        Xn__Sample *s = crank_answered(&f->c, ask, &xn__sample__descriptor);
        size_t j;

        for (j = 0; j < s->n_nodes; j++) {
            for (i = 0; i < 40; i++) {
                counts[i] +=
                    !memcmp(s->nodes[j]->id.data, w[i].id.b, XN_ID_SIZE);
            }
        }
        xn__sample__free_unpacked(s, NULL);
    }
    for (i = 0; i < 40; i++)
        assert_in_range(counts[i], 140, 260);
}

static void believes_certificates_alone(void **state)
{
    struct fix *f = *state;
    struct who w, other;

    make_node(&w, 1);
    make_node(&other, 2);
    w.caller.role = XN__ROLE__ANYBODY;
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EPERM);
    w.caller.role = XN__ROLE__SERVER;
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EPERM);
    w.caller.role = XN__ROLE__NODE;
    w.contact.id = xn_id_bytes(&other.id);
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EIDENT);
    w.contact.id = xn_id_bytes(&w.id);
    w.contact.position = xn_id_bytes(&other.position);
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EIDENT);
    w.contact.position = xn_id_bytes(&w.position);
    w.announce.contact = NULL;
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EIDENT);
    w.announce.contact = &w.contact;
    w.contact.address = (char *)(uintptr_t) "127.0.0.1";
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EINVAL);
    assert_int_equal(
        crank_refused(
            &f->c, crank_ask(&f->c, "POST", "/v1/announce", &w.announce, NULL)),
        XN_EPERM);
    assert_int_equal(ask_sample(f, NULL, NULL), 0);
}

static void remembers_so_many(void **state)
{
    struct fix *f = *state;
    struct who w;

    crank_stop(&f->c);
    fix_start(f, new_corp(NULL, 20));
    announce_many(f, 0, 20);
    make_node(&w, 20);
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EBUSY);
    announce_many(f, 0, 20); /* those it knows may go on */
    crank_serve_store(&f->c);
    /* The silent make room once the store has let go of them too. */
    crank_pass(&f->c, 200 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(crank_refused(&f->c, announce(f, &w)), XN_EBUSY);
    crank_pass(&f->c, 20 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(sample_size(f, announce(f, &w), NULL), 0);
}

static void writes_nodes_together(void **state)
{
    struct fix *f = *state;

    announce_many(f, 0, 600);
    assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 0);
    crank_pass(&f->c, 10 * SECOND);
    assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 1);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_records, CORP_NODES_BATCH);
    crank_pass(&f->c, 10 * SECOND);
    crank_serve_txn(&f->c);
    assert_int_equal(f->c.n_records, 600);
    /* The same again is no change. */
    announce_many(f, 0, 600);
    crank_pass(&f->c, 11 * SECOND);
    assert_int_equal(crank_count(&f->c, XN_ACT_TXN), 0);
}

static void writes_again_after_failure(void **state)
{
    struct fix *f = *state;
    struct xn_action act;

    announce_many(f, 0, 3);
    crank_pass(&f->c, 10 * SECOND);
    act = crank_take(&f->c, XN_ACT_TXN);
    crank_done(&f->c, &act, XN_ENOSPC, 0, NULL);
    assert_non_null(strstr(f->c.log, "cannot store"));
    assert_int_equal(ask_sample(f, NULL, NULL), 3);
    crank_pass(&f->c, 10 * SECOND);
    act = crank_take(&f->c, XN_ACT_TXN); /* this one's end is lost */
    xn_msg_free(act.msg);
    crank_pass(&f->c, 45 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 3);
}

static void writes_nodes_before_it_stops(void **state)
{
    struct fix *f = *state;
    Xn__News news = XN__NEWS__INIT;
    struct xn_msg *msg = NULL;

    announce_many(f, 0, 3);
    news.kind = (char *)(uintptr_t) "stop";
    assert_int_equal(xn_msg_new(XN__KIND__NEWS, &news, &msg), 0);
    crank_event(&f->c, XN_EV_NEWS, 0, 0, msg);
    xn_msg_free(msg);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 3);
}

static void node_that_returns_is_written_again(void **state)
{
    struct fix *f = *state;
    struct xn_action act;

    announce_many(f, 0, 1);
    crank_pass(&f->c, 11 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 1);
    crank_pass(&f->c, 300 * SECOND);
    assert_int_equal(ask_sample(f, NULL, NULL), 0);
    announce_many(f, 1, 2); /* starts the clock of the next TXN */
    crank_pass(&f->c, 11 * SECOND);
    act = crank_take(&f->c, XN_ACT_TXN);
    assert_int_equal(XN_BODY(act.msg, Xn__Txn)->n_writes, 2);
    announce_many(f, 0, 1); /* it is back while its end is being written */
    f->c.pending = realloc(f->c.pending, (f->c.cap + 1) * sizeof act);
    f->c.pending[f->c.n_pending++] = act;
    crank_serve_txn(&f->c);
    crank_pass(&f->c, 11 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 2);
    assert_int_equal(ask_sample(f, NULL, NULL), 2);
}

static void restarted_corp_has_a_sample(void **state)
{
    struct fix *f = *state;
    uint64_t ask;

    announce_many(f, 0, 1300);
    crank_pass(&f->c, 60 * SECOND);
    crank_serve_store(&f->c);
    crank_pass(&f->c, 60 * SECOND);
    crank_serve_store(&f->c);
    crank_pass(&f->c, 60 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 1300);
    crank_stop(&f->c);
    crank_init(&f->c, new_corp(NULL, 0), 5, WALL + 3600 * SECOND);
    /* Who asks before the store has been read waits. */
    ask = crank_ask(&f->c, "GET", "/v1/sample", NULL, NULL);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    crank_serve_read(&f->c);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
    crank_serve_read(&f->c);
    assert_int_equal(sample_size(f, ask, NULL), 16);
    assert_non_null(strstr(f->c.log, "1300 nodes"));
    /* The benefit of the doubt ends. */
    crank_pass(&f->c, 181 * SECOND);
    assert_int_equal(ask_sample(f, NULL, NULL), 0);
}

static void old_records_are_dropped(void **state)
{
    struct fix *f = *state;

    announce_many(f, 0, 5);
    crank_pass(&f->c, 11 * SECOND);
    crank_serve_store(&f->c);
    crank_stop(&f->c);
    crank_init(&f->c, new_corp(NULL, 0), 5, WALL + 2 * DAY);
    crank_wake(&f->c);
    crank_serve_read(&f->c);
    assert_int_equal(ask_sample(f, NULL, NULL), 0);
    crank_pass(&f->c, 11 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(f->c.n_records, 0);
}

static void damaged_records_are_passed_over(void **state)
{
    struct fix *f = *state;

    announce_many(f, 0, 5);
    crank_pass(&f->c, 11 * SECOND);
    crank_serve_store(&f->c);
    f->c.records[2].value[0] = 0xff;
    f->c.records[3].value_len = 0;
    crank_stop(&f->c);
    fix_start(f, new_corp(NULL, 0));
    assert_int_equal(ask_sample(f, NULL, NULL), 3);
}

static void unreadable_store_is_told(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    struct xn_action act;
    uint64_t ask;

    crank_stop(&f->c);
    crank_init(&f->c, new_corp(NULL, 0), 5, WALL);
    ask = ask_register(f, &reg);
    act = crank_take(&f->c, XN_ACT_READ);
    crank_done(&f->c, &act, XN_EINTEGRITY, 0, NULL);
    assert_int_equal(crank_refused(&f->c, ask), XN_EINTEGRITY);
    ask = ask_register(f, &reg);
    crank_event(&f->c, XN_EV_CANCEL, ask, 0, NULL);
    ask = ask_register(f, &reg);
    crank_pass(&f->c, 2 * SECOND);
    crank_serve_store(&f->c);
    assert_int_equal(crank_count(&f->c, XN_ACT_ISSUE), 1);
    serve_issue(f);
    crank_serve_store(&f->c);
    registered(f, ask, (char[32]){0}, NULL);
}

static void registrants_get_a_sample(void **state)
{
    struct fix *f = *state;
    Xn__Register reg = an_order(XN__ROLE__SERVER, "key", "otter");
    char text[32];
    uint64_t ask;
    size_t n;

    announce_many(f, 0, 3);
    ask = ask_register(f, &reg);
    serve_issue(f);
    crank_serve_store(&f->c);
    registered(f, ask, text, &n);
    assert_int_equal(n, 3);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fix_set_up, fix_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(hands_out_live_nodes),
        TEST(draws_evenly),
        TEST(believes_certificates_alone),
        TEST(remembers_so_many),
        TEST(writes_nodes_together),
        TEST(writes_again_after_failure),
        TEST(writes_nodes_before_it_stops),
        TEST(node_that_returns_is_written_again),
        TEST(restarted_corp_has_a_sample),
        TEST(old_records_are_dropped),
        TEST(damaged_records_are_passed_over),
        TEST(unreadable_store_is_told),
        TEST(registrants_get_a_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
