/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every store must do, run over each: Kyoto Cabinet, opened strictly, the
 * log before it (large, and so small that it is merged all the time), and the
 * one in memory that other tests use.  A further store is a row in
 * `stores`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/net_kit.h"

#include "lib/err.h"
#include "net/kv.h"
#include "net/wal.h"
#include "tests/unit/ledger_kit.h"
#include "tests/unit/mem_store.h"
#include "tests/unit/store_kit.h"

struct store {
    const char *name;
    bool lasts; /* what is closed can be opened again */
    const struct net_backing_ops *ops;
    void *(*open)(struct store *store, bool create);
    char dir[64];
    struct mem_store memory;
    void *backing;
};

static void *open_kyoto(struct store *store, bool create)
{
    struct net_kv *kv = NULL;
    char path[128];

    snprintf(path, sizeof path, "%s/store.kct", store->dir);
    assert_int_equal(net_kv_open_strict(path, create, &kv), 0);
    return kv;
}

static void *open_wal(struct store *store, bool create, size_t log_bytes)
{
    struct net_wal_options options = {.create = create, .log_bytes = log_bytes};
    struct net_wal_report report;
    struct net_wal *wal = NULL;
    char path[128];

    snprintf(path, sizeof path, "%s/store.kct", store->dir);
    assert_int_equal(net_wal_open(path, &options, &wal, &report), 0);
    return wal;
}

static void *open_log(struct store *store, bool create)
{
    return open_wal(store, create, 0);
}

static void *open_small_log(struct store *store, bool create)
{
    return open_wal(store, create, 4096);
}

static void *open_memory(struct store *store, bool create)
{
    return &store->memory;
}

static struct store stores[] = {
    {.name = "kyoto", .lasts = true, .ops = &net_kv_ops, .open = open_kyoto},
    {.name = "memory", .ops = &mem_store_ops, .open = open_memory},
    {.name = "log", .lasts = true, .ops = &net_wal_ops, .open = open_log},
    {.name = "small log",
     .lasts = true,
     .ops = &net_wal_ops,
     .open = open_small_log},
};

static int setup(void **state)
{
    struct store *store = *state;

    kit_mkdir(store->dir);
    store->backing = store->open(store, true);
    return 0;
}

static int teardown(void **state)
{
    struct store *store = *state;

    store->ops->close(store->backing);
    mem_store_clear(&store->memory);
    kit_rmdir(store->dir);
    return 0;
}

/* ---- transactions in words: "+key=value -key ?key=value ?key" ---- */

struct words {
    Xn__Txn txn;
    Xn__Guard guards[16], *guard_list[16];
    Xn__Write writes[16], *write_list[16];
    char text[4096];
};

static void parse(struct words *w, const char *text)
{
    char *word, *save = NULL, *value;

    memset(w, 0, sizeof *w);
    xn__txn__init(&w->txn);
    w->txn.guards = w->guard_list;
    w->txn.writes = w->write_list;
    snprintf(w->text, sizeof w->text, "%s", text);
    for (word = strtok_r(w->text, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        value = strchr(word, '=');
        if (value) *value++ = 0;
        if (*word == '?') {
            Xn__Guard *g = &w->guards[w->txn.n_guards];

            xn__guard__init(g);
            g->key = bin(word + 1);
            g->absent = !value;
            if (value) g->value = bin(value);
            w->guard_list[w->txn.n_guards++] = g;
        } else {
            Xn__Write *write = &w->writes[w->txn.n_writes];

            xn__write__init(write);
            write->key = bin(word + 1);
            write->drop = *word == '-';
            if (value) write->value = bin(value);
            w->write_list[w->txn.n_writes++] = write;
        }
    }
}

static int txn(struct store *store, const char *text)
{
    struct words w;
    const Xn__Txn *list = &w.txn;
    int rc = -99;

    parse(&w, text);
    store->ops->apply(store->backing, &list, 1, &rc);
    return rc;
}

/* "key=value key=value", '+' where more is. */
static const char *get(struct store *store, const char *prefix,
                       const char *from, uint32_t limit)
{
    static char text[4096];
    Xn__Read read = XN__READ__INIT;
    struct xn_msg *msg = NULL;

    read.prefix = bin(prefix);
    read.from = bin(from);
    read.limit = limit;
    assert_int_equal(store->ops->read(store->backing, &read, &msg), 0);
    records_text(XN_BODY(msg, Xn__Records), text, sizeof text);
    xn_msg_free(msg);
    return text;
}

/* ---- the suite ---- */

static void writes_and_pages(void **state)
{
    struct store *store = *state;

    assert_string_equal(get(store, "", "", 0), "");
    assert_int_equal(txn(store, "+b/2=two +a=0 +b/1=one +c= +b/3=three"), 0);
    assert_string_equal(get(store, "b/", "", 0), "b/1=one b/2=two b/3=three");
    assert_string_equal(get(store, "b/", "", 2), "b/1=one b/2=two+");
    assert_string_equal(get(store, "b/", "", 3), "b/1=one b/2=two b/3=three");
    assert_string_equal(get(store, "b/", "b/2", 0), "b/2=two b/3=three");
    assert_string_equal(get(store, "b/", "b/20", 0), "b/3=three");
    assert_string_equal(get(store, "b/", "a", 1), "b/1=one+");
    assert_string_equal(get(store, "b/", "c", 0), "");
    assert_string_equal(get(store, "", "b/3", 0), "b/3=three c=");
    assert_int_equal(txn(store, "+b/2=zwei -b/1 -nobody"), 0);
    assert_string_equal(get(store, "b", "", 0), "b/2=zwei b/3=three");
}

static void guards(void **state)
{
    struct store *store = *state;

    assert_int_equal(txn(store, "?a +a=1"), 0);
    assert_int_equal(txn(store, "?a +a=2"), XN_ECONFLICT);
    assert_int_equal(txn(store, "?a=2 +a=3 +b=3"), XN_ECONFLICT);
    assert_int_equal(txn(store, "?b=1 +b=3"), XN_ECONFLICT);
    assert_int_equal(txn(store, "?a=1 ?b +a=4 +b=4"), 0);
    assert_int_equal(txn(store, "?a=4 ?b=5 +a=6"), XN_ECONFLICT);
    assert_int_equal(txn(store, "?a=44 +a=6"), XN_ECONFLICT);
    assert_string_equal(get(store, "", "", 0), "a=4 b=4");
    assert_int_equal(txn(store, "+b="), 0);
    assert_int_equal(txn(store, "?b= -b"), 0);
    assert_int_equal(txn(store, "?b +c=1"), 0);
    assert_string_equal(get(store, "", "", 0), "a=4 c=1");
}

/* Each sees those before it; one that conflicts leaves the others alone. */
static void several_at_once(void **state)
{
    static const char *const text[] = {"?a +a=1", "?a +a=2", "?a=1 +a=3 +b=1",
                                       "?b +c=1", "?b=1 -b"};
    struct store *store = *state;
    struct words words[5];
    const Xn__Txn *list[5];
    int rcs[5];
    size_t i;

    for (i = 0; i < 5; i++) {
        parse(&words[i], text[i]);
        list[i] = &words[i].txn;
    }
    store->ops->apply(store->backing, list, 5, rcs);
    assert_int_equal(rcs[0], 0);
    assert_int_equal(rcs[1], XN_ECONFLICT);
    assert_int_equal(rcs[2], 0);
    assert_int_equal(rcs[3], XN_ECONFLICT);
    assert_int_equal(rcs[4], 0);
    assert_string_equal(get(store, "", "", 0), "a=3");
}

static void bounds(void **state)
{
    struct store *store = *state;
    char key[1200], text[1300];

    memset(key, 'k', 1024);
    key[1024] = 0;
    snprintf(text, sizeof text, "+%s=1", key);
    assert_int_equal(txn(store, text), 0);
    snprintf(text, sizeof text, "+%sk=1 +a=1", key);
    assert_int_equal(txn(store, text), XN_EINVAL);
    snprintf(text, sizeof text, "?%sk +a=1", key);
    assert_int_equal(txn(store, text), XN_EINVAL);
    assert_string_equal(get(store, "a", "", 0), "");
}

static void any_bytes(void **state)
{
    static uint8_t value[200000];
    struct store *store = *state;
    Xn__Txn body = XN__TXN__INIT;
    Xn__Write write = XN__WRITE__INIT, *writes[] = {&write};
    const Xn__Txn *list = &body;
    uint8_t key[] = {'x', 0, 255, 0};
    Xn__Read read = XN__READ__INIT;
    const Xn__Record *r;
    struct xn_msg *msg = NULL;
    size_t i;
    int rc;

    for (i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * 7 + i / 251);
    write.key = (ProtobufCBinaryData){sizeof key, key};
    write.value = (ProtobufCBinaryData){sizeof value, value};
    body.n_writes = 1;
    body.writes = writes;
    store->ops->apply(store->backing, &list, 1, &rc);
    assert_int_equal(rc, 0);
    read.prefix = (ProtobufCBinaryData){2, key};
    assert_int_equal(store->ops->read(store->backing, &read, &msg), 0);
    assert_int_equal(XN_BODY(msg, Xn__Records)->n_records, 1);
    r = XN_BODY(msg, Xn__Records)->records[0];
    assert_int_equal(r->key.len, sizeof key);
    assert_memory_equal(r->key.data, key, sizeof key);
    assert_int_equal(r->value.len, sizeof value);
    assert_memory_equal(r->value.data, value, sizeof value);
    xn_msg_free(msg);
}

static void lasts(void **state)
{
    struct store *store = *state;

    if (!store->lasts) skip();
    assert_int_equal(txn(store, "+a=1 +b=2"), 0);
    assert_int_equal(txn(store, "-a +c=3"), 0);
    store->ops->close(store->backing);
    store->backing = store->open(store, false);
    assert_string_equal(get(store, "", "", 0), "b=2 c=3");
}

static void put_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* A power cut that tore the first record of the library's log: it says that
 * the file had 0 bytes before the transaction. */
static void log_not_begun(void **state)
{
    static const char *const names[] = {"store.kct.wal", "store.kct.wal.kept"};
    static const char log[300] = "KW\n";
    struct store *store = *state;
    char path[128];
    size_t i;

    assert_int_equal(txn(store, "+a=1 +b=2"), 0);
    for (i = 0; i < 2; i++) {
        store->ops->close(store->backing);
        snprintf(path, sizeof path, "%s/%s", store->dir, names[i]);
        put_file(path, log, sizeof log);
        store->backing = store->open(store, false);
        assert_string_equal(get(store, "", "", 0), "a=1 b=2");
    }
}

/* A log without its file is no reason to begin anew. */
static void log_of_a_file_that_is_gone(void **state)
{
    static const char log[300] = "KW\n\0\0\0\0\0\0\0\1";
    struct store *store = *state;
    struct net_kv *kv = NULL;
    char path[128];

    snprintf(path, sizeof path, "%s/other.kct.wal", store->dir);
    put_file(path, log, sizeof log);
    snprintf(path, sizeof path, "%s/other.kct", store->dir);
    assert_int_equal(net_kv_open_strict(path, true, &kv), XN_EINTEGRITY);
    assert_int_equal(net_kv_open_strict(path, false, &kv), XN_ENOENT);
}

/* The ledger over it: made once, restarted, audited. */
static void carries_a_ledger(void **state)
{
    struct store *store = *state;
    xn_id world = lk_id(0xaa, 0), client = lk_id(0xaa, 1);
    struct ledger_kit kit;
    struct ledger_op op;
    uint64_t i;

    lk_begin(&kit, store->ops, store->backing);
    for (i = 0; i < 2; i++) {
        xn_id id = lk_id(0xbb, 1 + i);

        ledger_op_open(&op, &id, i ? &client : &world, LEDGER_CLIENT, "GBP",
                       i ? 0 : LEDGER_FLOOR_NONE);
        assert_int_equal(lk_do(&kit, &op, NULL), 0);
    }
    for (i = 0; i < 20; i++) {
        xn_id id = lk_id(0xbb, 10 + i);

        ledger_op_move(&op, LEDGER_PAY_IN, &id, &world, &client, 1000000,
                       "GBP");
        assert_int_equal(lk_do(&kit, &op, NULL), 0);
    }
    lk_stop(&kit);
    lk_start(&kit);
    lk_settle(&kit);
    assert_int_equal(lk_look(&kit, &client).balance, 20000000);
    assert_int_equal(lk_do(&kit, &op, NULL), 0); /* the last one again */
    assert_int_equal(lk_look(&kit, &client).balance, 20000000);
    assert_int_equal(lk_audit(&kit, 0, NULL), 0);
    lk_clear(&kit);
}

#define KYOTO(test)                                                            \
    {                                                                          \
#test ", kyoto", test, setup, teardown, &stores[0]                     \
    }

#define ALL(test)                                                              \
    KYOTO(test), {#test ", memory", test, setup, teardown, &stores[1]},        \
        {#test ", log", test, setup, teardown, &stores[2]},                    \
    {                                                                          \
#test ", small log", test, setup, teardown, &stores[3]                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(writes_and_pages),
        ALL(guards),
        ALL(several_at_once),
        ALL(bounds),
        ALL(any_bytes),
        ALL(lasts),
        ALL(carries_a_ledger),
        KYOTO(log_not_begun),
        KYOTO(log_of_a_file_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
