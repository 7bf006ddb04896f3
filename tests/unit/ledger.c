/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger: one story each. */
#include "corp/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "tests/unit/ledger_kit.h"
#include "tests/unit/mem_store.h"

#define POUND 1000000

struct here {
    struct mem_store store;
    struct ledger_kit kit;
    xn_id world, client, server, income, fence;
    uint64_t ops;
};

static xn_id next_id(struct here *here)
{
    return lk_id(0xbb, ++here->ops);
}

static void open_account(struct here *here, const xn_id *account,
                         enum ledger_kind kind, int64_t floor)
{
    xn_id id = next_id(here);

    lk_open(&here->kit, &id, account, kind, floor);
}

static int move(struct here *here, const xn_id *from, const xn_id *to,
                int64_t micro, struct lk_result *result)
{
    xn_id id = next_id(here);
    struct ledger_op op;

    ledger_op_move(&op, LEDGER_PAY_IN, &id, from, to, micro, "GBP");
    return lk_do(&here->kit, &op, result);
}

static int64_t balance(struct here *here, const xn_id *account)
{
    return lk_look(&here->kit, account).balance;
}

static void again(struct here *here)
{
    lk_stop(&here->kit);
    lk_start(&here->kit);
    lk_settle(&here->kit);
}

/* A client with 10 pounds. */
static int setup(void **state)
{
    struct here *here = calloc(1, sizeof *here);

    assert_non_null(here);
    *state = here;
    lk_begin(&here->kit, &mem_store_ops, &here->store);
    here->world = lk_id(0xa0, 0);
    here->client = lk_id(0xa1, 1);
    here->server = lk_id(0xa2, 2);
    here->income = lk_id(0xa3, 3);
    here->fence = lk_id(0xa4, 4);
    open_account(here, &here->world, LEDGER_EXTERNAL, LEDGER_FLOOR_NONE);
    open_account(here, &here->client, LEDGER_CLIENT, 0);
    open_account(here, &here->server, LEDGER_SERVER, 0);
    open_account(here, &here->income, LEDGER_INCOME, 0);
    assert_int_equal(move(here, &here->world, &here->client, 10 * POUND, NULL),
                     0);
    return 0;
}

static int teardown(void **state)
{
    struct here *here = *state;

    lk_clear(&here->kit);
    mem_store_clear(&here->store);
    free(here);
    return 0;
}

/* ---- stories ---- */

static void an_order_from_issue_to_release(void **state)
{
    struct here *here = *state;
    struct lk_result r;
    struct ledger_op op;
    xn_id id = next_id(here);

    ledger_op_issue(&op, &id, &here->client, &here->fence, 4 * POUND, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, &r), 0);
    assert_int_equal(r.r.n_balances, 2);
    assert_int_equal(r.balances[0], 6 * POUND);
    assert_int_equal(r.balances[1], 4 * POUND);
    id = next_id(here);
    ledger_op_charge(&op, &id, &here->fence, &here->server, &here->income,
                     3 * POUND, 30000, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, &r), 0);
    assert_int_equal(balance(here, &here->server), 3 * POUND - 30000);
    assert_int_equal(balance(here, &here->income), 30000);
    id = next_id(here);
    ledger_op_charge(&op, &id, &here->fence, &here->server, &here->income,
                     POUND + 1, 0, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, &r), XN_EFUNDS);
    assert_non_null(
        strstr(r.because, "holds 1 GBP, its least is 0: 1.000001 "));
    id = next_id(here);
    ledger_op_release(&op, LEDGER_RELEASE, &id, &here->fence, &here->client,
                      POUND - 1, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_ECONFLICT);
    ledger_op_release(&op, LEDGER_RELEASE, &id, &here->fence, &here->client,
                      POUND, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, NULL), 0);
    assert_int_equal(balance(here, &here->client), 7 * POUND);
    assert_true(lk_look(&here->kit, &here->fence).closed);
    assert_int_equal(move(here, &here->client, &here->fence, 1, NULL),
                     XN_ENOENT);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

static void refused_with_a_reason(void **state)
{
    struct here *here = *state;
    xn_id stranger = lk_id(0xaf, 9), id = next_id(here);
    struct lk_result r;
    struct ledger_op op;

    assert_int_equal(move(here, &stranger, &here->client, 1, NULL), XN_ENOENT);
    assert_int_equal(move(here, &here->client, &here->server, 11 * POUND, &r),
                     XN_EFUNDS);
    assert_true(r.because[0] != 0);
    assert_int_equal(move(here, &here->world, &here->client, INT64_MAX, NULL),
                     XN_EOVERFLOW);
    ledger_op_move(&op, LEDGER_PAY_IN, &id, &here->world, &here->client, 5,
                   "USD");
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_ECONFLICT);
    op.postings[0].micro = -6;
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    op.postings[0].micro = -5;
    strcpy(op.postings[0].currency, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    strcpy(op.postings[1].currency, "gb");
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    ledger_op_open(&op, &id, &here->client, LEDGER_CLIENT, "GBP", 0);
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_ECONFLICT);
    memset(&op.id, 0, sizeof op.id);
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    op.id = id;
    op.n_opens = 0;
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    op.n_postings = LEDGER_POSTINGS_MAX + 1;
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_ETOOBIG);
}

/* Credit is a floor; withdrawn, it keeps money in and takes money on. */
static void credit(void **state)
{
    struct here *here = *state;
    struct ledger_op op;

    memset(&op, 0, sizeof op);
    op.id = next_id(here);
    op.what = LEDGER_CREDIT;
    op.n_floors = 1;
    op.floors[0].account = here->client;
    op.floors[0].floor = -5 * POUND;
    assert_int_equal(lk_do(&here->kit, &op, NULL), 0);
    assert_int_equal(move(here, &here->client, &here->server, 15 * POUND, NULL),
                     0);
    assert_int_equal(move(here, &here->client, &here->server, 1, NULL),
                     XN_EFUNDS);
    op.id = next_id(here);
    op.floors[0].floor = 0;
    assert_int_equal(lk_do(&here->kit, &op, NULL), 0);
    assert_int_equal(move(here, &here->client, &here->server, 1, NULL),
                     XN_EFUNDS);
    assert_int_equal(move(here, &here->world, &here->client, POUND, NULL), 0);
    assert_int_equal(balance(here, &here->client), -4 * POUND);
}

/* The recorded answer, from memory, from the store, and after all that it
 * rested on has changed. */
static void the_same_again(void **state)
{
    struct here *here = *state;
    struct lk_result first, r;
    struct ledger_op op, other;
    unsigned round;
    xn_id id = next_id(here);

    ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world,
                   9 * POUND, "GBP");
    assert_int_equal(lk_do(&here->kit, &op, &first), 0);
    assert_false(first.r.repeated);
    for (round = 0; round < 2; round++) {
        assert_int_equal(lk_do(&here->kit, &op, &r), 0);
        assert_true(r.r.repeated);
        assert_int_equal(r.r.seq, first.r.seq);
        assert_int_equal(r.r.wall_us, first.r.wall_us);
        assert_int_equal(r.r.n_balances, 2);
        assert_int_equal(r.balances[0], POUND);
        other = op;
        other.postings[0].micro = -POUND;
        other.postings[1].micro = POUND;
        assert_int_equal(lk_do(&here->kit, &other, &r), XN_ECONFLICT);
        other = op;
        other.note = "in other words";
        assert_int_equal(lk_do(&here->kit, &other, &r), XN_ECONFLICT);
        assert_int_equal(lk_recall(&here->kit, &id, &r), 0);
        assert_int_equal(r.r.seq, first.r.seq);
        again(here); /* and now from the store */
    }
    assert_int_equal(balance(here, &here->client), POUND);
    id = lk_id(0xbc, 1);
    assert_int_equal(lk_recall(&here->kit, &id, &r), XN_ENOENT);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

/* All that comes while a TXN is under way is in the next, as one record. */
static void group_commit(void **state)
{
    struct here *here = *state;
    struct lk_result r[20];
    struct ledger_op op;
    uint64_t applied = here->store.applied;
    size_t i;

    memset(r, 0, sizeof r);
    for (i = 0; i < 20; i++) {
        xn_id id = next_id(here);

        ledger_op_move(&op, LEDGER_PAY_IN, &id, &here->world, &here->client, 1,
                       "GBP");
        lk_post(&here->kit, &op, lk_keep, NULL, &r[i]);
    }
    while (!r[0].answered) {
        assert_false(r[1].answered);
        assert_true(lk_step(&here->kit, false));
    }
    assert_false(r[19].answered); /* it is judged, and not durable */
    lk_settle(&here->kit);
    assert_int_equal(here->store.applied, applied + 2);
    for (i = 0; i < 20; i++) {
        assert_true(r[i].answered);
        assert_int_equal(r[i].r.rc, 0);
        assert_int_equal(r[i].r.seq, r[0].r.seq + (i > 0));
        assert_int_equal(r[i].r.index, i ? i - 1 : 0);
        assert_int_equal(r[i].balances[1], 10 * POUND + 1 + (int64_t)i);
    }
}

/* A refusal that rests on what is not durable waits for it. */
static void no_answer_before_its_reason(void **state)
{
    struct here *here = *state;
    struct lk_result spend, more;
    struct ledger_op op;
    xn_id id = next_id(here);

    memset(&spend, 0, sizeof spend);
    memset(&more, 0, sizeof more);
    ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world,
                   10 * POUND, "GBP");
    lk_post(&here->kit, &op, lk_keep, NULL, &spend);
    op.id = next_id(here);
    lk_post(&here->kit, &op, lk_keep, NULL, &more);
    here->store.fail_rc = XN_ENOSPC;
    lk_settle(&here->kit);
    assert_int_equal(spend.r.rc, XN_ENOSPC);
    assert_int_equal(more.r.rc, XN_ENOSPC); /* not XN_EFUNDS */
    assert_int_equal(balance(here, &here->client), 10 * POUND);
    assert_int_equal(lk_do(&here->kit, &op, &more), 0); /* there is room */
}

/* The store says no and did it: the head tells. */
static void failed_and_done(void **state)
{
    struct here *here = *state;
    struct lk_result r;

    here->store.fail_rc = XN_EIO;
    here->store.fail_after = true;
    assert_int_equal(move(here, &here->client, &here->server, POUND, &r), 0);
    here->store.fail_after = false;
    here->store.fail_rc = XN_EIO;
    assert_int_equal(move(here, &here->client, &here->server, POUND, &r),
                     XN_EIO);
    assert_int_equal(balance(here, &here->client), 9 * POUND);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

static void store_out_of_reach(void **state)
{
    struct here *here = *state;
    struct lk_result r, second;
    struct ledger_op op;
    xn_id id = next_id(here);

    memset(&r, 0, sizeof r);
    ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world, POUND,
                   "GBP");
    here->store.fail_rc = XN_EIO;
    here->store.fail_after = true;
    lk_post(&here->kit, &op, lk_keep, NULL, &r);
    while (here->store.fail_rc) /* until the TXN has failed */
        assert_true(lk_step(&here->kit, false));
    here->store.fail_reads = 2;
    lk_settle(&here->kit);
    assert_true(r.answered);
    assert_int_equal(r.r.rc, XN_EUNKNOWN);
    assert_int_equal(ledger_state(here->kit.ledger), LEDGER_ASKING);
    assert_int_equal(lk_do(&here->kit, &op, &second), XN_EIO);
    while (ledger_state(here->kit.ledger) == LEDGER_ASKING) {
        lk_pass(&here->kit, 31 * POUND);
        lk_settle(&here->kit);
    }
    assert_int_equal(lk_do(&here->kit, &op, &second), 0);
    assert_true(second.r.repeated);
    assert_int_equal(balance(here, &here->client), 9 * POUND);
}

/* ---- the caller's records ---- */

static int with_record(struct here *here, enum ledger_guard guard,
                       const char *was, const char *value)
{
    struct ledger_op op;
    xn_id id = next_id(here);

    ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world, 1,
                   "GBP");
    op.n_writes = 1;
    op.writes[0].key = (const uint8_t *)"order";
    op.writes[0].key_len = 5;
    op.writes[0].value = (const uint8_t *)value;
    op.writes[0].len = strlen(value);
    op.writes[0].guard = guard;
    op.writes[0].was = (const uint8_t *)was;
    op.writes[0].was_len = was ? strlen(was) : 0;
    return lk_do(&here->kit, &op, NULL);
}

static void records_go_with_the_money(void **state)
{
    struct here *here = *state;
    struct mem_record *r;

    assert_int_equal(with_record(here, LEDGER_ABSENT, NULL, "new"), 0);
    assert_int_equal(with_record(here, LEDGER_ABSENT, NULL, "newer"),
                     XN_ECONFLICT);
    assert_int_equal(with_record(here, LEDGER_EQUALS, "old", "x"),
                     XN_ECONFLICT);
    assert_int_equal(with_record(here, LEDGER_EQUALS, "new", "bound"), 0);
    r = mem_store_get(&here->store, "order", 5);
    assert_non_null(r);
    assert_memory_equal(r->value, "bound", 5);
    assert_int_equal(balance(here, &here->client), 10 * POUND - 2);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
    r->value[0] = 'f';
    assert_int_equal(lk_audit(&here->kit, 0, NULL), XN_EINTEGRITY);
}

static void keys_that_are_not_theirs(void **state)
{
    struct here *here = *state;
    uint8_t key[34] = {'L'};
    struct ledger_op op;

    memset(&op, 0, sizeof op);
    op.id = next_id(here);
    op.n_writes = 1;
    op.writes[0].key = key;
    op.writes[0].value = key;
    op.writes[0].key_len = sizeof key;
    key[33] = 'a';
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    key[33] = 'o';
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    key[33] = 'p';
    assert_int_equal(lk_do(&here->kit, &op, NULL), 0);
    op.id = next_id(here);
    op.writes[0].key_len = 33;
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    key[0] = 'J';
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    key[0] = 'K';
    assert_int_equal(lk_do(&here->kit, &op, NULL), XN_EINVAL);
    key[0] = 'o';
    assert_int_equal(lk_do(&here->kit, &op, NULL), 0);
}

/* ---- bounds ---- */

static void overload(void **state)
{
    struct here *here = *state;
    struct lk_result r[9];
    struct ledger_op op;
    size_t i;

    here->kit.config.ops_max = 8;
    again(here);
    memset(r, 0, sizeof r);
    for (i = 0; i < 9; i++) {
        xn_id id = next_id(here);

        ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world, 1,
                       "GBP");
        lk_post(&here->kit, &op, lk_keep, NULL, &r[i]);
    }
    assert_true(r[8].answered);
    assert_int_equal(r[8].r.rc, XN_EBUSY);
    assert_false(r[7].answered);
    lk_settle(&here->kit);
    assert_int_equal(r[7].r.rc, 0);
    assert_int_equal(lk_do(&here->kit, &op, &r[8]), 0);
}

static void a_full_batch(void **state)
{
    struct here *here = *state;
    struct lk_result *r = calloc(LEDGER_BATCH_MAX + 3, sizeof *r);
    struct ledger_op op;
    size_t i, n = LEDGER_BATCH_MAX + 3;

    assert_non_null(r);
    for (i = 0; i < n; i++) {
        xn_id id = next_id(here);

        ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world, 1,
                       "GBP");
        lk_post(&here->kit, &op, lk_keep, NULL, &r[i]);
    }
    lk_settle(&here->kit);
    for (i = 0; i < n; i++)
        assert_int_equal(r[i].r.rc, 0);
    assert_int_equal(r[1].r.seq, r[LEDGER_BATCH_MAX].r.seq);
    assert_int_equal(r[LEDGER_BATCH_MAX + 1].r.seq, r[1].r.seq + 1);
    free(r);
}

/* ---- starts ---- */

static void expect_broken(struct here *here, int rc, const char *word)
{
    const char *because;
    struct lk_result r;
    struct ledger_op op;
    xn_id id = next_id(here);

    again(here);
    assert_int_equal(ledger_state(here->kit.ledger), LEDGER_BROKEN);
    assert_int_equal(ledger_fault(here->kit.ledger, &because), rc);
    if (!strstr(because, word)) fail_msg("%s", because);
    ledger_op_move(&op, LEDGER_PAY_OUT, &id, &here->client, &here->world, 1,
                   "GBP");
    assert_int_equal(lk_do(&here->kit, &op, &r), rc);
}

static void drop(struct here *here, const void *key, size_t len)
{
    Xn__Txn txn = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    const Xn__Txn *list = &txn;
    int rc;

    write.key = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)key};
    write.drop = true;
    txn.n_writes = 1;
    txn.writes = writes;
    mem_store_ops.apply(&here->store, &list, 1, &rc);
    assert_int_equal(rc, 0);
}

static void no_ledger(void **state)
{
    struct here *here = *state;

    lk_stop(&here->kit);
    mem_store_clear(&here->store);
    expect_broken(here, XN_ENOENT, "no ledger");
}

static void head_lost(void **state)
{
    struct here *here = *state;

    drop(here, "K", 1);
    expect_broken(here, XN_EINTEGRITY, "lost its head");
}

static void tail_dropped(void **state)
{
    static const uint8_t key[9] = {'J', 0, 0, 0, 0, 0, 0, 0, 6};
    struct here *here = *state;

    drop(here, key, sizeof key);
    expect_broken(here, XN_EINTEGRITY, "ends with record 5");
    assert_int_equal(lk_audit(&here->kit, 0, NULL), XN_EINTEGRITY);
}

static void record_altered(void **state)
{
    static const uint8_t key[9] = {'J', 0, 0, 0, 0, 0, 0, 0, 3};
    struct here *here = *state;
    struct mem_record *r = mem_store_get(&here->store, key, sizeof key);

    r->value[r->len - 8] ^= 1;
    expect_broken(here, XN_EINTEGRITY, "record 4");
    assert_int_equal(lk_audit(&here->kit, 0, NULL), XN_EINTEGRITY);
}

static void of_another_corp(void **state)
{
    struct here *here = *state;

    here->kit.config.corp = lk_id(0x12, 0);
    expect_broken(here, XN_EINTEGRITY, "another XenoCorp");
}

/* Set back as a whole it looks sound; the receipt tells. */
static void set_back(void **state)
{
    struct here *here = *state;
    struct mem_store old = {.n = 0};
    xn_id hash;
    uint64_t seq;
    size_t i;

    for (i = 0; i < here->store.n; i++) { /* a copy */
        Xn__Txn txn = XN__TXN__INIT;
        Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
        const struct mem_record *r = &here->store.records[i];
        const Xn__Txn *list = &txn;
        int rc;

        write.key = (ProtobufCBinaryData){r->key_len, r->key};
        write.value = (ProtobufCBinaryData){r->len, r->value};
        txn.n_writes = 1;
        txn.writes = writes;
        mem_store_ops.apply(&old, &list, 1, &rc);
    }
    assert_int_equal(move(here, &here->client, &here->server, 5, NULL), 0);
    seq = ledger_seq(here->kit.ledger, &hash);
    assert_int_equal(lk_audit(&here->kit, seq, &hash), 0);
    lk_stop(&here->kit);
    mem_store_clear(&here->store);
    here->store = old;
    lk_start(&here->kit);
    lk_settle(&here->kit);
    assert_int_equal(ledger_state(here->kit.ledger), LEDGER_READY);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
    assert_int_equal(lk_audit(&here->kit, seq, &hash), XN_EINTEGRITY);
    assert_non_null(strstr(here->kit.log, "set back"));
    /* Other things happened instead: other hashes. */
    assert_int_equal(move(here, &here->client, &here->server, 6, NULL), 0);
    assert_int_equal(lk_audit(&here->kit, seq, &hash), XN_EINTEGRITY);
}

/* Every account, answer and sum is held against the journal. */
static void audit_finds(void **state)
{
    struct here *here = *state;
    size_t i, found = 0;

    for (i = 0; i < here->store.n; i++) {
        struct mem_record *r = &here->store.records[i];
        size_t at;

        for (at = 0; at < r->len; at++) {
            r->value[at] ^= 0x10;
            found += lk_audit(&here->kit, 0, NULL) == XN_EINTEGRITY;
            if (lk_audit(&here->kit, 0, NULL) != XN_EINTEGRITY &&
                r->key[0] != 'K') {
                fail_msg("record %zu '%c', byte %zu", i, r->key[0], at);
            }
            r->value[at] ^= 0x10;
        }
    }
    assert_true(found > 500);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_order_from_issue_to_release),
        STORY(refused_with_a_reason),
        STORY(credit),
        STORY(the_same_again),
        STORY(group_commit),
        STORY(no_answer_before_its_reason),
        STORY(failed_and_done),
        STORY(store_out_of_reach),
        STORY(records_go_with_the_money),
        STORY(keys_that_are_not_theirs),
        STORY(overload),
        STORY(a_full_batch),
        STORY(no_ledger),
        STORY(head_lost),
        STORY(tail_dropped),
        STORY(record_altered),
        STORY(of_another_corp),
        STORY(set_back),
        STORY(audit_finds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
