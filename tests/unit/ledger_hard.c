/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger in hard times: when memory is out, and when somebody brings
 * conflicts on purpose. */
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

/* ---- an allocation that fails ---- */

static long until_failure = -1; /* so many go well first; < 0: all */

static bool may_allocate(void)
{
    return until_failure < 0 || until_failure-- > 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

/* ---- the world ---- */

struct here {
    struct mem_store store;
    struct ledger_kit kit;
    xn_id world, client;
    uint64_t ops;
};

static void open_account(struct here *here, const xn_id *account,
                         enum ledger_kind kind, int64_t floor)
{
    xn_id id = lk_id(0xbb, ++here->ops);

    lk_open(&here->kit, &id, account, kind, floor);
}

static int setup(void **state)
{
    struct here *here = calloc(1, sizeof *here);

    assert_non_null(here);
    *state = here;
    lk_begin(&here->kit, &mem_store_ops, &here->store);
    here->world = lk_id(0xa0, 0);
    here->client = lk_id(0xa1, 1);
    open_account(here, &here->world, LEDGER_EXTERNAL, LEDGER_FLOOR_NONE);
    open_account(here, &here->client, LEDGER_CLIENT, 0);
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

/* A pound for the client. */
static struct ledger_op pound(struct here *here)
{
    xn_id id = lk_id(0xbb, ++here->ops);
    struct ledger_op op;

    ledger_op_move(&op, LEDGER_PAY_IN, &id, &here->world, &here->client, POUND,
                   "GBP");
    return op;
}

static void add_write(struct ledger_op *op, const char *key, const char *value,
                      enum ledger_guard guard)
{
    op->writes[op->n_writes++] =
        (struct ledger_write){.key = (const uint8_t *)key,
                              .key_len = strlen(key),
                              .value = (const uint8_t *)value,
                              .len = strlen(value),
                              .guard = guard};
}

static bool holds(struct here *here, const char *key, const char *value)
{
    struct mem_record *r = mem_store_get(&here->store, key, strlen(key));

    return r ? r->len == strlen(value) && !memcmp(r->value, value, r->len)
             : !value[0];
}

static int64_t balance(struct here *here)
{
    return lk_look(&here->kit, &here->client).balance;
}

/* ---- memory ---- */

/* One allocation fails while an operation with records is judged behind
 * others: its money and all its records happen, or nothing of it. */
static int with_failure(struct here *here, long n, bool *failed_out)
{
    struct ledger_op flying = pound(here), before = pound(here);
    struct ledger_op op = pound(here);
    struct lk_result r[3];
    int64_t had = balance(here);

    memset(r, 0, sizeof r);
    lk_post(&here->kit, &flying, lk_keep, NULL, &r[0]);
    add_write(&before, "Za", "1", LEDGER_ANY);
    add_write(&before, "Zb", "", LEDGER_ANY);
    before.writes[1].drop = true;
    add_write(&before, "Zc", "", LEDGER_ANY);
    before.writes[2].drop = true;
    lk_post(&here->kit, &before, lk_keep, NULL, &r[1]);
    add_write(&op, "Za", "2", LEDGER_ANY);
    add_write(&op, "Zb", "2", LEDGER_ABSENT);
    add_write(&op, "Zc", "2", LEDGER_ABSENT);
    until_failure = n;
    ledger_post(here->kit.ledger, &here->kit.now, &op, lk_keep, NULL, &r[2],
                &here->kit.out);
    *failed_out = until_failure < 0;
    until_failure = -1;
    lk_gather(&here->kit);
    lk_settle(&here->kit);
    assert_int_equal(r[0].r.rc, 0);
    assert_int_equal(r[1].r.rc, 0);
    assert_true(r[2].answered);
    assert_int_equal(balance(here) - had, (r[2].r.rc ? 2 : 3) * POUND);
    return r[2].r.rc;
}

static void out_of_memory(void **state)
{
    struct here *here = *state;
    bool failed = true;
    unsigned refused = 0;
    long n;

    for (n = 0; failed; n++) {
        int rc = with_failure(here, n, &failed);
        const char *b = rc ? "" : "2";

        if (rc) assert_int_equal(rc, XN_ENOMEM);
        refused += rc != 0;
        if (!holds(here, "Za", rc ? "1" : "2") || !holds(here, "Zb", b) ||
            !holds(here, "Zc", b))
            fail_msg("allocation %ld: %s, but records were written", n,
                     xn_strerror(rc));
    }
    assert_true(refused > 5);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

/* ---- conflicts ---- */

#define INNOCENT 200

/* One guard that does not hold must not cost all that go with it a transaction
 * each: whoever can bring one about would slow down everybody. */
static void a_conflict_among_many(void **state)
{
    struct here *here = *state;
    struct ledger_op flying = pound(here), liar;
    struct lk_result r[INNOCENT + 2];
    uint64_t before;

    liar = pound(here);
    add_write(&liar, "Za", "1", LEDGER_ABSENT);
    assert_int_equal(lk_do(&here->kit, &liar, NULL), 0);
    before = here->store.applied;
    memset(r, 0, sizeof r);
    lk_post(&here->kit, &flying, lk_keep, NULL, &r[INNOCENT]);
    for (unsigned i = 0; i < INNOCENT; i++) {
        struct ledger_op op = pound(here);
        char key[8];

        snprintf(key, sizeof key, "Y%u", i);
        add_write(&op, key, "1", LEDGER_ABSENT);
        lk_post(&here->kit, &op, lk_keep, NULL, &r[i]);
        if (i != INNOCENT / 2) continue;
        liar = pound(here);
        add_write(&liar, "Za", "2", LEDGER_ABSENT);
        lk_post(&here->kit, &liar, lk_keep, NULL, &r[INNOCENT + 1]);
    }
    lk_settle(&here->kit);
    for (unsigned i = 0; i <= INNOCENT; i++)
        assert_int_equal(r[i].r.rc, 0);
    assert_true(r[INNOCENT + 1].answered);
    assert_int_equal(r[INNOCENT + 1].r.rc, XN_ECONFLICT);
    assert_true(holds(here, "Za", "1"));
    assert_true(here->store.applied - before <= 4);
    assert_int_equal(balance(here), (INNOCENT + 2) * POUND);
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

/* What a careful one has seen is looked at again where something else became
 * durable in between: here his own batch is too full for all. */
static void careful_ones_in_two_batches(void **state)
{
    struct here *here = *state;
    static char big[LEDGER_VALUE_MAX];
    struct ledger_op liar = pound(here), op[24];
    struct lk_result r[24];
    char key[24][8];
    bool rest = true;

    memset(big, 'x', sizeof big - 1);
    add_write(&liar, "Za", "1", LEDGER_ABSENT);
    assert_int_equal(lk_do(&here->kit, &liar, NULL), 0);
    memset(r, 0, sizeof r);
    for (unsigned i = 0; i < 24; i++) {
        op[i] = pound(here);
        snprintf(key[i], sizeof key[i], "Y%u", i);
        add_write(&op[i], key[i], big, LEDGER_ABSENT);
        if (i % 6 == 1) add_write(&op[i], "Za", "2", LEDGER_ABSENT);
        if (i % 6 == 2) add_write(&op[i], "Zb", "2", LEDGER_ABSENT);
        lk_post(&here->kit, &op[i], lk_keep, NULL, &r[i]);
    }
    while (rest)
        rest = lk_step(&here->kit, false);
    for (unsigned i = 0; i < 24; i++) {
        bool refused = i % 6 == 1 || (i % 6 == 2 && i > 2);

        assert_true(r[i].answered);
        assert_int_equal(r[i].r.rc, refused ? XN_ECONFLICT : 0);
    }
    assert_int_equal(lk_audit(&here->kit, 0, NULL), 0);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(out_of_memory),
        STORY(a_conflict_among_many),
        STORY(careful_ones_in_two_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
