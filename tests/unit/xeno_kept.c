/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xeno keeps of a session, by names and commands of any letters, and how it
 * looks for a server that has moved. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/gripe.h"
#include "net/clock.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

static char folder[64];
static struct xeno xeno;

static void say_nothing(const char *what, const char *because, const char *try)
{
}

static int setup(void **state)
{
    kit_mkdir(folder);
    xeno = (struct xeno){.timeout_ms = 120000};
    snprintf(xeno.state, sizeof xeno.state, "%s", folder);
    xn_gripe_listen(say_nothing);
    return 0;
}

static int teardown(void **state)
{
    kit_rmdir(folder);
    return 0;
}

static struct xeno_kept a_session(void)
{
    struct xeno_kept kept = {.session = {{1, 2, 3}},
                             .corp = {{4}},
                             .server = "https://127.0.0.1:1#00",
                             .since_us = 1700000000000000};

    return kept;
}

static void put_and_find(const struct xeno_kept *kept, struct xeno_kept *found)
{
    assert_int_equal(xeno_kept_put(&xeno, kept), XN_EXIT_OK);
    assert_int_equal(xeno_kept_find(&xeno, "010203", found, NULL), XN_EXIT_OK);
}

static void repeat(const char *text, size_t n, char *out)
{
    out[0] = '\0';
    while (n--)
        strcat(out, text);
}

static void a_name_is_kept_whole_or_not_at_all(void **state)
{
    char longest[XN_VALUE_MAX + 1], past[XN_VALUE_MAX + 8];
    struct xeno_kept kept = a_session(), found;

    xeno_kept_name("b\xc3\xbc"
                   "ro.example.org",
                   kept.name);
    put_and_find(&kept, &found);
    assert_string_equal(found.name, "b\xc3\xbc"
                                    "ro.example.org");
    repeat("\xc3\xa9", XN_VALUE_MAX / 2, longest);
    xeno_kept_name(longest, kept.name);
    put_and_find(&kept, &found);
    assert_string_equal(found.name, longest);
    repeat("\xe2\x82\xac", XN_VALUE_MAX / 3 + 1, past);
    xeno_kept_name(past, kept.name);
    put_and_find(&kept, &found);
    assert_string_equal(found.name, "");
}

/* An older build cut them anywhere, and a command is cut even now. */
static void half_a_letter_costs_no_session(void **state)
{
    struct xeno_kept kept = a_session(), found;
    struct xeno_work work = {.argc = 1};
    char word[XENO_DOING_MAX + 8], *argv[] = {word};

    snprintf(kept.name, sizeof kept.name, "server \xc3");
    repeat("\xe2\x82\xac", XENO_DOING_MAX / 3 + 1, word + 1);
    word[0] = 'x';
    work.argv = argv;
    xeno_work_text(&work, kept.doing, sizeof kept.doing);
    put_and_find(&kept, &found);
    assert_string_equal(found.name, "server ?");
    /* one byte, 52 whole letters and two thirds of one */
    assert_memory_equal(found.doing, word, 1 + 52 * 3);
    assert_string_equal(found.doing + 1 + 52 * 3, "??");
}

/* ---- a server that has moved ---- */

/* The node that is asked writes down whom it was asked for. */
static void notes(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    char hex[XN_ID_HEX] = "";
    const Xn__Ask *ask;
    Xn__Get *get;
    xn_id id;

    (void)core, (void)now;
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    get = xn_unpack(&xn__get__descriptor, ask->body.data, ask->body.len);
    if (strcmp(ask->path, "/v1/get") == 0 && get &&
        xn_id_from_bytes(&get->server, &id) == 0)
        xn_id_hex(&id, hex);
    if (write(kit_child_out, hex, strlen(hex) + 1) < 0) abort();
    if (get) xn__get__free_unpacked(get, NULL);
    xn_out_refuse(out, ev->ticket, XN_ENOENT, "cannot get", "", "");
}

static void is_sought(const struct kit_child *node,
                      const struct net_identity *client)
{
    struct xeno_member server = {.identity = *client};
    char url[XENO_URL_MAX] = "", asked[300] = "", hex[XN_ID_HEX];
    size_t n = 0;

    snprintf(server.corp.url, sizeof server.corp.url, "https://%s", node->api);
    server.corp.id = (xn_id){{7}}; /* it is not he */
    server.corp.pinned = true;
    assert_int_equal(net_talk_new(&server.talk), 0);
    assert_false(xeno_seek(&xeno, &server, url));
    net_talk_free(server.talk);
    do {
        assert_true(n < sizeof asked);
        assert_int_equal(read(node->out, asked + n, 1), 1);
    } while (asked[n++]);
    xn_id_hex(&server.corp.id, hex);
    assert_string_equal(asked, hex);
}

static void it_is_looked_for_by_its_id(void **state)
{
    struct net_identity corp, node, client;
    struct net_config config;
    struct kit_child child;
    char path[80], nodes[80];

    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    config = kit_config(&node);
    kit_spawn(&config, notes, &child);
    snprintf(path, sizeof path, "%s/alpha.pem", folder);
    assert_int_equal(xn_cert_save(corp.x509, path), 0);
    snprintf(nodes, sizeof nodes, "https://%s", child.api);
    setenv("XENO_NODES", nodes, true);
    setenv("XENO_CORPS", folder, true);
    setenv("XENO_KEY", folder, true);
    setenv("XENO_CONFIG", "/dev/null", true);
    unsetenv("XENO_CORP");
    is_sought(&child, &client);
    kit_kill(&child, SIGTERM);
    net_identity_clear(&corp);
    net_identity_clear(&node);
    net_identity_clear(&client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_kept_whole_or_not_at_all),
        TEST(half_a_letter_costs_no_session),
        TEST(it_is_looked_for_by_its_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
