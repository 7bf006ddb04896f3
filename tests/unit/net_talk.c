/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that keep their connections, several at once, and given up. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "net/talk.h"

static struct net_identity corp, node, client;
static struct kit_child child;

/* Answers who asked; /silent is never answered, and its CANCEL is told. */
static void answers(struct kit_core *core, const struct xn_now *now,
                    const struct xn_event *ev, struct xn_out *out)
{
    const Xn__Ask *ask;
    Xn__Caller caller;

    if (ev->kind == XN_EV_CANCEL && write(kit_child_out, "c", 1) != 1) abort();
    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/silent") == 0) {
        if (write(kit_child_out, "a", 1) != 1) abort();
        return;
    }
    caller = *ask->caller;
    caller.label = ask->path;
    xn_out_answer(out, ev->ticket, 200, &caller);
}

static int setup(void **state)
{
    struct net_config config;

    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__NODE, "node", &node);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    signal(SIGPIPE, SIG_IGN);
    config = kit_config(&node);
    kit_spawn(&config, answers, &child);
    return 0;
}

static int teardown(void **state)
{
    kit_kill(&child, SIGTERM);
    net_identity_clear(&corp);
    net_identity_clear(&node);
    net_identity_clear(&client);
    return 0;
}

static void begin(struct net_talk *talk, const char *path,
                  struct net_said *said)
{
    char url[200];
    struct net_ask ask = {
        .identity = &client,
        .method = "GET",
        .url = url,
        .peer = &node.cert.id,
        .timeout_ms = 60000,
    };

    snprintf(url, sizeof url, "https://%s%s", child.api, path);
    assert_int_equal(net_talk_begin(talk, &ask, said), 0);
}

/* The path that was answered, and the port that it came from. */
static void take(struct net_said *said, const char *path, char port[80])
{
    Xn__Caller *caller;

    assert_true(said->done);
    if (said->rc) print_message("%s\n", said->why);
    assert_int_equal(said->rc, 0);
    assert_int_equal(said->reply.status, 200);
    assert_true(xn_id_eq(&said->reply.server.id, &node.cert.id));
    caller =
        xn__caller__unpack(NULL, said->reply.body.len, said->reply.body.data);
    assert_non_null(caller);
    assert_string_equal(caller->label, path);
    assert_int_equal(caller->role, XN__ROLE__CLIENT);
    snprintf(port, 80, "%s", caller->address);
    xn__caller__free_unpacked(caller, NULL);
    net_said_clear(said);
}

static void keeps_its_connection(void **state)
{
    char first[80], port[80];
    struct net_talk *talk;
    struct net_said said;

    assert_int_equal(net_talk_new(&talk), 0);
    for (int i = 0; i < 4; i++) {
        begin(talk, "/x", &said);
        while (!said.done)
            net_talk_wait(talk, NULL, 0, -1);
        take(&said, "/x", i ? port : first);
        if (i) assert_string_equal(port, first);
    }
    net_talk_free(talk);
}

static void several_at_once(void **state)
{
    static const char *const paths[] = {"/0", "/1", "/2", "/3"};
    struct net_said said[4];
    struct net_talk *talk;
    char port[80];

    assert_int_equal(net_talk_new(&talk), 0);
    for (int i = 0; i < 4; i++)
        begin(talk, paths[i], &said[i]);
    for (int i = 3; i >= 0; i--) {
        while (!said[i].done)
            net_talk_wait(talk, NULL, 0, -1);
        take(&said[i], paths[i], port);
    }
    net_talk_free(talk);
}

static void expect_word(char word)
{
    char got;

    assert_int_equal(read(child.out, &got, 1), 1);
    assert_int_equal(got, word);
}

/* While requests go on. */
static void await_word(struct net_talk *talk, char word)
{
    char got = 0;

    while (got != word) {
        struct pollfd heard = {.fd = child.out};

        net_talk_wait(talk, &heard, 1, -1);
        if (heard.revents) assert_int_equal(read(child.out, &got, 1), 1);
    }
}

/* Nothing comes: something else to read, or the time, ends the wait. */
static void waits_for_others(void **state)
{
    struct pollfd other[2];
    struct net_said said;
    struct net_talk *talk;
    int fds[2], quiet[2];

    assert_int_equal(net_talk_new(&talk), 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pipe(quiet), 0);
    begin(talk, "/silent", &said);
    await_word(talk, 'a'); /* the server has it */
    net_talk_wait(talk, NULL, 0, 20);
    assert_false(said.done);
    other[0] = (struct pollfd){.fd = quiet[0]};
    other[1] = (struct pollfd){.fd = fds[0]};
    assert_int_equal(write(fds[1], "x", 1), 1);
    net_talk_wait(talk, other, 2, -1);
    assert_false(said.done);
    assert_int_equal(other[0].revents, 0);
    assert_int_equal(other[1].revents, POLLIN);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(quiet[i]);
    }
    net_talk_give_up(talk, &said);
    net_said_clear(&said);
    expect_word('c');
    net_talk_wait(talk, NULL, 0, -1); /* nothing is under way: at once */
    net_talk_free(talk);
}

/* The server hears that nobody waits any more. */
static void gives_up(void **state)
{
    struct net_said said, other;
    struct net_talk *talk;
    char port[80];

    assert_int_equal(net_talk_new(&talk), 0);
    begin(talk, "/silent", &said);
    begin(talk, "/y", &other);
    while (!other.done)
        net_talk_wait(talk, NULL, 0, -1);
    assert_false(said.done);
    take(&other, "/y", port);
    await_word(talk, 'a');
    net_talk_free(talk); /* with one under way */
    expect_word('c');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_connection),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(waits_for_others),
        cmocka_unit_test(gives_up),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
