/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A core's transactions in their order, whoever does them: the loop itself,
 * where nothing else waits, or the store's thread.  Each transaction says what
 * the one before it must have left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/err.h"
#include "net/loop.h"
#include "net/post.h"
#include "net/store.h"
#include "net/wal.h"
#include "seam/out.h"
#include "tests/unit/net_kit.h"
#include "tests/unit/store_kit.h"

enum {
    COUNT = 3000,
    CROWD = 7,
    READ_EVERY = 5,
    READ_TICKET = 1 << 20,
    FILLER = 8000, /* bytes: the log is full twice in a run */
    FILLERS = 100
};

/* Counts the record "n" to COUNT.  In turn one transaction alone, which waits
 * for its end, and a crowd of them at once. */
struct counter {
    struct xn_core core; /* first */
    struct xn_out out;
    struct net_loop *loop;
    struct net_post *post;
    struct net_store *store;
    unsigned given, done, read;
    unsigned turn, turn_given, n_here;
};

static void give_txn(struct counter *c)
{
    Xn__Guard guard = XN__GUARD__INIT, *guards[] = {&guard};
    Xn__Write write = XN__WRITE__INIT, filler = XN__WRITE__INIT;
    Xn__Write *writes[] = {&write, &filler};
    static uint8_t bytes[FILLER];
    Xn__Txn txn = XN__TXN__INIT;
    char before[16], after[16], name[16];

    snprintf(before, sizeof before, "%u", c->given);
    snprintf(after, sizeof after, "%u", ++c->given);
    guard.key = write.key = bin("n");
    guard.absent = c->given == 1;
    if (!guard.absent) guard.value = bin(before);
    write.value = bin(after);
    snprintf(name, sizeof name, "f%u", c->given % FILLERS);
    filler.key = bin(name);
    filler.value = (ProtobufCBinaryData){sizeof bytes, bytes};
    txn.n_guards = 1;
    txn.n_writes = 2;
    txn.guards = guards;
    txn.writes = writes;
    xn_out_emit(&c->out, XN_ACT_TXN, c->given, XN_PEER_NONE, XN__KIND__TXN,
                &txn);
}

static void give_read(struct counter *c)
{
    Xn__Read read = XN__READ__INIT;

    read.prefix = bin("n");
    xn_out_emit(&c->out, XN_ACT_READ, READ_TICKET + c->given, XN_PEER_NONE,
                XN__KIND__READ, &read);
}

static void give(struct counter *c)
{
    unsigned i, n = c->given % 2 ? CROWD : 1;

    for (i = 0; i < n && c->given < COUNT; i++) {
        give_txn(c);
        if (c->given % READ_EVERY == 0) give_read(c);
    }
    c->turn_given = c->turn;
}

/* What was given before it, and nothing that was given behind. */
static void check_read(struct counter *c, unsigned given,
                       const struct xn_msg *msg)
{
    char want[32], text[64];

    snprintf(want, sizeof want, "n=%u", given);
    records_text(XN_BODY(msg, Xn__Records), text, sizeof text);
    assert_string_equal(text, want);
    c->read++;
}

static int step(struct xn_core *core, const struct xn_now *now,
                const struct xn_event *ev, struct xn_outbox *box)
{
    struct counter *c = (struct counter *)(void *)core;

    xn_out_reset(&c->out);
    if (ev->kind == XN_EV_DONE) {
        assert_int_equal(ev->rc, 0);
        if (ev->ticket > READ_TICKET) {
            check_read(c, (unsigned)ev->ticket - READ_TICKET, ev->msg);
        } else {
            assert_int_equal(ev->ticket, ++c->done);
            c->n_here += c->turn == c->turn_given;
        }
    }
    if (c->done == c->given && c->read == c->given / READ_EVERY) {
        if (c->done < COUNT)
            give(c);
        else
            net_loop_stop(c->loop, XN_ECANCELLED);
    }
    *box = xn_out_box(&c->out, UINT64_MAX);
    return c->out.rc;
}

static const struct xn_core_ops ops = {"counter", step, NULL, NULL};

static void act(void *user, const struct xn_action *action)
{
    struct counter *c = user;

    if (action->kind == XN_ACT_TXN)
        net_store_txn(c->store, action->ticket, action->msg);
    else
        net_store_read(c->store, action->ticket, action->msg);
}

static void gone(void *user, xn_peer peer)
{
}

static void turned(void *user)
{
    ((struct counter *)user)->turn++;
}

static void stepped(void *user, const struct xn_now *now,
                    const struct xn_event *ev, const struct xn_outbox *box)
{
}

/* Returns how many the loop did itself. */
static unsigned run(const char *path, uint64_t quick_us)
{
    struct counter c = {.core = {.ops = &ops}};
    struct net_loop_user user = {&c, act, gone, turned, stepped};

    xn_out_init(&c.out);
    assert_int_equal(net_loop_new(&user, &c.loop), 0);
    assert_int_equal(net_post_new(net_loop_base(c.loop), &c.post), 0);
    assert_int_equal(
        net_store_new(c.loop, c.post, "test", path, NET_STORE_LEDGER, &c.store),
        0);
    net_store_quick(c.store, quick_us);
    assert_int_equal(net_loop_run(c.loop, &c.core), XN_ECANCELLED);
    net_store_free(c.store);
    net_post_free(c.post);
    net_loop_free(c.loop);
    xn_out_clear(&c.out);
    return c.n_here;
}

static void check_store(const char *path)
{
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    struct xn_msg *records = NULL;
    Xn__Read read = XN__READ__INIT;
    char text[64], want[32];

    assert_int_equal(net_wal_open(path, NULL, &wal, &report), 0);
    read.prefix = bin("n");
    assert_int_equal(net_wal_read(wal, &read, &records), 0);
    records_text(XN_BODY(records, Xn__Records), text, sizeof text);
    snprintf(want, sizeof want, "n=%d", COUNT);
    assert_string_equal(text, want);
    xn_msg_free(records);
    net_wal_close(wal);
}

static unsigned count(uint64_t quick_us)
{
    bool shm = access("/dev/shm", W_OK) == 0;
    struct net_wal_options options = {.create = true};
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    char dir[32], path[64];
    unsigned n_here;

    snprintf(dir, sizeof dir, "%s/xn-test.XXXXXX", shm ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/store.kct", dir);
    assert_int_equal(net_wal_open(path, &options, &wal, &report), 0);
    net_wal_close(wal);
    n_here = run(path, quick_us);
    check_store(path);
    kit_rmdir(dir);
    return n_here;
}

/* The first that is given, most times: not while a log ends or merging is due,
 * and none beside others. */
static void the_loop_does_what_is_quick(void **state)
{
    unsigned firsts = 2 * COUNT / (1 + CROWD);

    assert_in_range(count(UINT64_MAX), firsts / 4, firsts);
}

static void the_thread_does_all_on_a_slow_disk(void **state)
{
    assert_int_equal(count(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_does_what_is_quick),
        cmocka_unit_test(the_thread_does_all_on_a_slow_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
