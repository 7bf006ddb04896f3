/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node core from outside: what it asks of its driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/prom.h"
#include "node/node.h"
#include "tests/unit/crank.h"

static struct xn_core *make_among(const char *corp,
                                  const struct xn_peers *peers)
{
    struct node_config config;
    struct xn_core *core = NULL;

    node_config_default(&config);
    config.overlay.id.b[0] = 1;
    config.overlay.position.b[0] = 2;
    config.overlay.address = "127.0.0.1:9000";
    config.corps[config.n_corps++] = corp;
    assert_int_equal(node_new(&config, peers, 1, &core), 0);
    return core;
}

static struct xn_core *make(const char *corp)
{
    static const struct xn_peers nobody;

    return make_among(corp, &nobody);
}

/* What the corp says decides whom a newcomer meets: so it is asked by its key,
 * which no certificate of another role can stand for. */
static void corps_are_asked_by_id(void **state)
{
    char text[64 + XN_ID_HEX], hex[XN_ID_HEX];
    static struct crank crank;
    xn_id id, got;
    int i;

    (void)state;
    memset(&id, 0xa5, sizeof id);
    xn_id_hex(&id, hex);
    snprintf(text, sizeof text, "https://192.0.2.1:1#%s", hex);
    crank_init(&crank, make(text), 1000000, 1795255200000000);
    crank_wake(&crank);
    assert_int_equal(crank_count(&crank, XN_ACT_CALL), 2);
    for (i = 0; i < 2; i++) {
        struct xn_action act = crank_take(&crank, XN_ACT_CALL);
        const Xn__Call *call = XN_BODY(act.msg, Xn__Call);

        assert_string_equal(call->url, i ? "https://192.0.2.1:1/v1/sample"
                                         : "https://192.0.2.1:1/v1/announce");
        assert_int_equal(xn_id_from_bytes(&call->peer_id, &got), 0);
        assert_true(xn_id_eq(&got, &id));
        xn_msg_free(act.msg);
    }
    crank_stop(&crank);
    crank_clear(&crank);
}

/* ---- who is remembered ---- */

static void say_hello(struct crank *crank, xn_peer peer)
{
    char address[] = "192.0.2.2:9000";
    Xn__Hello hello = XN__HELLO__INIT;
    struct xn_msg *msg = NULL;

    hello.version = 1;
    hello.address = address;
    assert_int_equal(xn_msg_new(XN__KIND__HELLO, &hello, &msg), 0);
    crank_hear(crank, peer, msg);
    xn_msg_free(msg);
}

/* So many peers go on living, and say so. */
static void live(struct crank *crank, xn_peer peers, unsigned seconds)
{
    xn_peer i;

    while (seconds-- > 0) {
        for (i = 0; i < peers; i++)
            say_hello(crank, i);
        crank_pass(crank, 1000000);
    }
}

/* So many transactions that store the peers are taken out. */
static size_t stored(struct crank *crank)
{
    size_t n = 0;

    while (crank_count(crank, XN_ACT_TXN) > 0) {
        struct xn_action act = crank_take(crank, XN_ACT_TXN);
        const Xn__Txn *txn = XN_BODY(act.msg, Xn__Txn);

        n += txn->n_writes == 1 && txn->writes[0]->key.len == 10 &&
             !memcmp(txn->writes[0]->key.data, "node/peers", 10);
        xn_msg_free(act.msg);
    }
    return n;
}

static void peers_are_stored_when_they_change(void **state)
{
    static struct crank crank;
    static struct xn_contact rows[2];
    const struct xn_peers peers = {.rows = rows, .n = 2};

    (void)state;
    memset(rows[0].id.b, 3, XN_ID_SIZE);
    memset(rows[1].id.b, 4, XN_ID_SIZE);
    rows[0].position = rows[0].id;
    rows[1].position = rows[1].id;
    crank_init(&crank, make_among("https://192.0.2.1:1", &peers), 1000000,
               1795255200000000);
    crank_wake(&crank);
    crank_up(&crank, 0);
    live(&crank, 1, 31);
    assert_int_equal(stored(&crank), 1);
    live(&crank, 1, 60);
    assert_int_equal(stored(&crank), 0);
    crank_up(&crank, 1);
    live(&crank, 2, 31);
    assert_int_equal(stored(&crank), 1);
    crank_stop(&crank);
    crank_clear(&crank);
}

/* ---- what operators ask ---- */

static void trace_is_for_members(void **state)
{
    static struct crank crank;
    Xn__Trace trace = XN__TRACE__INIT;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__Traced *traced;
    uint64_t ticket;
    xn_id key = {{7}};

    (void)state;
    crank_init(&crank, make("https://192.0.2.1:1"), 1000000, 1795255200000000);
    crank_wake(&crank);
    trace.key = xn_id_bytes(&key);
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, NULL);
    assert_int_equal(crank_refused(&crank, ticket), XN_EIDENT);
    caller.role = XN__ROLE__ANYBODY;
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, &caller);
    assert_int_equal(crank_refused(&crank, ticket), XN_EIDENT);
    caller.role = XN__ROLE__CLIENT;
    /* A newcomer does not yet say that a key is its own. */
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, &caller);
    traced = crank_answered(&crank, ticket, &xn__traced__descriptor);
    assert_int_equal(traced->end, XN__TRACE_END__TRACE_WAITS);
    assert_null(traced->awaited);
    xn__traced__free_unpacked(traced, NULL);
    crank_pass(&crank, 20000000);
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, &caller);
    traced = crank_answered(&crank, ticket, &xn__traced__descriptor);
    assert_int_equal(traced->end, XN__TRACE_END__TRACE_OWNER);
    assert_int_equal(traced->n_hops, 1);
    assert_int_equal(traced->owner, 0);
    xn__traced__free_unpacked(traced, NULL);
    trace.copy = 8;
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, &caller);
    assert_int_equal(crank_refused(&crank, ticket), XN_EINVAL);
    trace.copy = 0;
    trace.key.len = 31;
    ticket = crank_ask(&crank, "POST", "/v1/trace", &trace, &caller);
    assert_int_equal(crank_refused(&crank, ticket), XN_EINVAL);
    crank_stop(&crank);
    crank_clear(&crank);
}

static void peers_are_for_members(void **state)
{
    static struct crank crank;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__NodePeers *peers;
    uint64_t ticket;

    (void)state;
    crank_init(&crank, make("https://192.0.2.1:1"), 1000000, 1795255200000000);
    crank_wake(&crank);
    ticket = crank_ask(&crank, "GET", "/v1/peers", NULL, NULL);
    assert_int_equal(crank_refused(&crank, ticket), XN_EIDENT);
    caller.role = XN__ROLE__CLIENT;
    ticket = crank_ask(&crank, "GET", "/v1/peers", NULL, &caller);
    peers = crank_answered(&crank, ticket, &xn__node_peers__descriptor);
    assert_int_equal(peers->n_peers, 0);
    xn__node_peers__free_unpacked(peers, NULL);
    crank_stop(&crank);
    crank_clear(&crank);
}

static Xn__NodeStatus *status_for(struct crank *crank, const Xn__Caller *caller)
{
    uint64_t ticket = crank_ask(crank, "GET", "/v1/status", NULL, caller);

    return crank_answered(crank, ticket, &xn__node_status__descriptor);
}

/* How busy a node is tells strangers when others ask what. */
static void status_is_short_for_strangers(void **state)
{
    static struct crank crank;
    Xn__Caller caller = XN__CALLER__INIT;
    Xn__Search search = XN__SEARCH__INIT;
    Xn__Query query = XN__QUERY__INIT;
    Xn__Expr where = XN__EXPR__INIT;
    char *one = (char *)(uintptr_t) "1";
    Xn__NodeStatus *status;

    (void)state;
    crank_init(&crank, make("https://192.0.2.1:1"), 1000000, 1795255200000000);
    crank_wake(&crank);
    crank_serve_store(&crank);
    crank_pass(&crank, 20000000);
    /* The owner is found, the other copies are nobody. */
    where.op = XN__EXPR_OP__IN;
    where.token = (char *)(uintptr_t) "Aa";
    where.values = &one;
    where.n_values = 1;
    query.where = &where;
    search.query = &query;
    search.limit = 1;
    search.paranoid = true;
    crank_ask(&crank, "POST", "/v1/search", &search, NULL);
    crank_pass(&crank, 20000000);
    status = status_for(&crank, NULL);
    assert_true(status->mesh);
    assert_int_equal(status->links_max, 0);
    assert_int_equal(status->lookups, 0);
    xn__node_status__free_unpacked(status, NULL);
    caller.role = XN__ROLE__ANYBODY;
    status = status_for(&crank, &caller);
    assert_int_equal(status->links_max, 0);
    assert_int_equal(status->lookups, 0);
    xn__node_status__free_unpacked(status, NULL);
    caller.role = XN__ROLE__CLIENT;
    status = status_for(&crank, &caller);
    assert_true(status->mesh);
    assert_int_equal(status->links_max, 512);
    assert_in_range(status->lookups, 2, 10);
    assert_int_equal(status->lookups_failed, 0);
    xn__node_status__free_unpacked(status, NULL);
    crank_stop(&crank);
    crank_clear(&crank);
}

static void other_paths_are_told(void **state)
{
    static struct crank crank;
    struct xn_msg *msg;
    const Xn__Answer *answer;
    uint64_t ticket;

    (void)state;
    crank_init(&crank, make("https://192.0.2.1:1"), 1000000, 1795255200000000);
    crank_wake(&crank);
    ticket = crank_ask(&crank, "GET", "/v1/nothing", NULL, NULL);
    answer = crank_answer(&crank, ticket, &msg);
    for (const char *const *path =
             (const char *const[]){"/v1/search", "/v1/publish", "/v1/status",
                                   "/v1/peers", "/v1/trace", "/metrics", NULL};
         *path; path++) {
        assert_non_null(
            memmem(answer->body.data, answer->body.len, *path, strlen(*path)));
    }
    xn_msg_free(msg);
    crank_stop(&crank);
    crank_clear(&crank);
}

static void metrics_are_for_members(void **state)
{
    static struct crank crank;
    Xn__Caller caller = XN__CALLER__INIT;
    const Xn__Answer *answer;
    struct xn_msg *msg;
    uint64_t ticket;

    (void)state;
    crank_init(&crank, make("https://192.0.2.1:1"), 1000000, 1795255200000000);
    crank_wake(&crank);
    ticket = crank_ask(&crank, "GET", "/metrics", NULL, NULL);
    assert_int_equal(crank_refused(&crank, ticket), XN_EIDENT);
    caller.role = XN__ROLE__SERVER;
    ticket = crank_ask(&crank, "GET", "/metrics", NULL, &caller);
    answer = crank_answer(&crank, ticket, &msg);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->content_type, XN_PROM_TYPE);
    assert_non_null(memmem(answer->body.data, answer->body.len,
                           "\nxeno_overlay_links_max 512\n", 28));
    assert_int_equal(answer->body.data[answer->body.len - 1], '\n');
    xn_msg_free(msg);
    crank_stop(&crank);
    crank_clear(&crank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corps_are_asked_by_id),
        cmocka_unit_test(peers_are_stored_when_they_change),
        cmocka_unit_test(trace_is_for_members),
        cmocka_unit_test(peers_are_for_members),
        cmocka_unit_test(status_is_short_for_strangers),
        cmocka_unit_test(metrics_are_for_members),
        cmocka_unit_test(other_paths_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
