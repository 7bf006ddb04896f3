/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno overlay as a program, against a node that is made here and says whatever
 * it likes. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "wire/nest.h"

enum { HOPS = 3, MANY = 4000000000U };

static struct net_identity corp, other_corp, node, foreign;
static char dir[64];

/* What it says; set before it is spawned. */
static struct {
    Xn__TraceEnd end;
    int rc;
    const char *address;
    bool short_status;
} say;

static void tell_trace(struct xn_out *out, uint64_t ticket)
{
    Xn__TraceHop hops[HOPS], *rows[HOPS];
    Xn__Traced body = XN__TRACED__INIT;
    Xn__Contact nodes[HOPS];
    xn_id ids[HOPS];

    for (size_t i = 0; i < HOPS; i++) {
        memset(&ids[i], 0x10 * (int)(i + 1), sizeof ids[i]);
        xn__contact__init(&nodes[i]);
        nodes[i].id = xn_id_bytes(&ids[i]);
        nodes[i].position = xn_id_bytes(&ids[i]);
        nodes[i].address = (char *)(uintptr_t)say.address;
        xn__trace_hop__init(&hops[i]);
        hops[i].node = &nodes[i];
        hops[i].links = MANY;
        rows[i] = &hops[i];
    }
    hops[HOPS - 1].rc = say.rc;
    body.hops = rows;
    body.n_hops = HOPS;
    body.end = say.end;
    body.owner = HOPS - 1;
    xn_out_answer(out, ticket, 200, &body);
}

static void tell_peers(struct xn_out *out, uint64_t ticket)
{
    Xn__NodePeers body = XN__NODE_PEERS__INIT;
    Xn__NodePeer peer = XN__NODE_PEER__INIT, *rows[] = {&peer};
    Xn__Contact contact = XN__CONTACT__INIT;

    contact.address = (char *)(uintptr_t)say.address;
    peer.node = &contact;
    peer.asked = MANY;
    peer.guest = true;
    peer.version = 1;
    peer.features = 1U << 20 | 8;
    peer.sent = 12345678;
    body.peers = rows;
    body.n_peers = 1;
    xn_out_answer(out, ticket, 200, &body);
}

static void tell_status(struct xn_out *out, uint64_t ticket)
{
    Xn__NodeStatus body = XN__NODE_STATUS__INIT;
    Xn__Contact self = XN__CONTACT__INIT;

    self.address = (char *)(uintptr_t)say.address;
    body.self = &self;
    body.links = 3;
    body.ads = MANY;
    if (!say.short_status) body.links_max = 512;
    xn_out_answer(out, ticket, 200, &body);
}

static void serve(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    const Xn__Ask *ask;

    (void)core, (void)now;
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/v1/trace") == 0)
        tell_trace(out, ev->ticket);
    else if (strcmp(ask->path, "/v1/peers") == 0)
        tell_peers(out, ev->ticket);
    else
        tell_status(out, ev->ticket);
}

/* ---- the program ---- */

static char said[1 << 16];

/* Its exit code; what it printed, errors too, is in `said`. */
static int run_at(const struct net_identity *who, const char *args)
{
    struct net_config config = kit_config(who);
    const char *build = getenv("XN_BUILD");
    struct kit_child child;
    char command[2048];
    int status;
    FILE *file;

    kit_spawn(&config, serve, &child);
    snprintf(command, sizeof command,
             "env -u XENO_CONFIG -u XENO_CORP XENO_NODES=https://%s "
             "XENO_KEY=%s/state HOME=%s %s/tools/xeno overlay %s 2>&1",
             child.api, dir, dir, build ? build : ".", args);
    file = popen(command, "r");
    assert_non_null(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    status = pclose(file);
    kit_kill(&child, SIGTERM);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(int code, const char *args, const char *text)
{
    int got = run_at(&node, args);

    if (got != code || !strstr(said, text))
        fail_msg("exit %d of %s, or no '%s':\n%s", got, args, text, said);
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    kit_mkdir(dir);
    kit_make_corp(&corp, "alpha.example");
    kit_make_corp(&other_corp, "beta.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_make_member(&other_corp, XN__ROLE__NODE, "foreign", &foreign);
    snprintf(path, sizeof path, "%s/state", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/state/corps", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/state/corps/alpha.pem", dir);
    assert_int_equal(xn_cert_save(corp.x509, path), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_identity_clear(&corp);
    net_identity_clear(&other_corp);
    net_identity_clear(&node);
    net_identity_clear(&foreign);
    kit_rmdir(dir);
    return 0;
}

/* ---- what it makes of that ---- */

static const char key[] =
    "trace 1111111111111111111111111111111111111111111111111111111111111111";

/* Who says what of whom. */
static void why_a_way_ends(void **state)
{
    (void)state;
    say.address = "h:1";
    say.end = XN__TRACE_END__TRACE_SILENT;
    say.rc = XN_EUNREACH;
    expect(10, key,
           "hop 1 or one before it says that hop 2, 303030303030 at "
           "h:1, does not tell");
    say.rc = XN_EPROTO;
    expect(10, key, "an older version");
    say.rc = XN_EBUSY;
    expect(10, key, "passed on");
    say.rc = 0;
    say.end = XN__TRACE_END__TRACE_OWNER;
    expect(0, key, "303030303030");
    say.end = XN__TRACE_END__TRACE_FARTHER;
    expect(10, key,
           "hop 2, 303030303030, is said to own the key, but hop 0, "
           "101010101010, is nearer");
}

static void numbers_are_whole(void **state)
{
    char json[128];

    (void)state;
    say.address = "h:1";
    say.end = XN__TRACE_END__TRACE_OWNER;
    snprintf(json, sizeof json, "%s -o json", key);
    expect(0, json, "\"links\": 4000000000");
    expect(0, "peers -o json", "\"asked\": 4000000000");
    expect(0, "peers -o json", "\"guest\": true");
    expect(0, "peers -o json", "\"bit 20\"");
    expect(0, "peers -o json", "\"sent_bytes\": 12345678");
    expect(0, "peers", "12.3M");
    expect(0, "peers", "1/100008");
    expect(0, "peers", "guest");
    expect(0, "status -o json", "\"ads\": 4000000000");
}

static void an_address_is_text(void **state)
{
    char json[128];

    (void)state;
    say.address = "h\xff:1";
    say.end = XN__TRACE_END__TRACE_OWNER;
    snprintf(json, sizeof json, "%s -o json", key);
    expect(7, json, "not understood");
    expect(7, key, "not understood");
    expect(7, "peers -o json", "not understood");
    expect(7, "status -o json", "not understood");
}

/* Strangers are not told all. */
static void what_is_not_told(void **state)
{
    (void)state;
    say.address = "h:1";
    expect(0, "status", " 3/512 ");
    expect(0, "status -o json", "\"lookups\": 0");
    say.short_status = true;
    expect(0, "status", " 3/- ");
    expect(0, "status -o json", "\"lookups\": null");
    say.short_status = false;
}

static void a_foreign_node(void **state)
{
    (void)state;
    assert_int_equal(run_at(&foreign, "peers"), 6);
    assert_non_null(strstr(said, "another --node"));
    assert_null(strstr(said, "URL#ID"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(why_a_way_ends),
        cmocka_unit_test(numbers_are_whole),
        cmocka_unit_test(an_address_is_text),
        cmocka_unit_test(what_is_not_told),
        cmocka_unit_test(a_foreign_node),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
