/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno in front of a server that is broken or means harm: it says "running" for
 * ever, answers at once what it could wait with, or does not answer at all.  It
 * is not asked without end, and a signal is heeded wherever we wait. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/gripe.h"
#include "net/clock.h"
#include "tools/xeno_run.h"
#include "tools/xeno_task.h"
#include "wire/nest.h"

enum {
    SIGNAL_AT = 4,    /* the question that it answers with a signal to us */
    FINAL = 0x5a,     /* how the orders begin that it refuses for good */
    PAUSES_MS = 350,  /* the least that must pass before that one: 50 + .. */
    GIVES_IN_AT = 60, /* so that who is asked without end ends the test */
};

static struct net_identity corp, node, client;
static struct kit_child child;
static struct xeno_signals signals;
static struct xeno xeno;
static struct xeno_member server;
static char heard[1000];

/* ---- the server ---- */

static void tell_task(struct xn_out *out, uint64_t ticket, bool ended)
{
    Xn__HostTask task = XN__HOST_TASK__INIT;

    task.task = 1;
    task.state = ended ? XN__TASK_STATE__ENDED : XN__TASK_STATE__RUNNING;
    xn_out_answer(out, ticket, 200, &task);
}

static void tell_console(struct xn_out *out, uint64_t ticket, bool ended)
{
    Xn__ConsolePiece piece = XN__CONSOLE_PIECE__INIT;

    piece.end = ended;
    xn_out_answer(out, ticket, 200, &piece);
}

/* A request of /v1/sessions that it has an answer to. */
static bool is_final(const Xn__Ask *ask)
{
    Xn__CreateSession *create = xn_unpack(&xn__create_session__descriptor,
                                          ask->body.data, ask->body.len);
    bool is = create && create->request.len && create->request.data[0] == FINAL;

    if (create) xn__create_session__free_unpacked(create, NULL);
    return is && strcmp(ask->path, "/v1/sessions") == 0;
}

static void harms(struct kit_core *core, const struct xn_now *now,
                  const struct xn_event *ev, struct xn_out *out)
{
    const Xn__HostStatus status = XN__HOST_STATUS__INIT;
    static unsigned asked;
    const Xn__Ask *ask;

    if (ev->kind != XN_EV_ASK) return;
    ask = XN_BODY(ev->msg, Xn__Ask);
    if (strcmp(ask->path, "/v1/tasks") == 0) {
        if (++asked == SIGNAL_AT) kill(getppid(), SIGINT);
        tell_task(out, ev->ticket, asked >= GIVES_IN_AT);
    } else if (strcmp(ask->path, "/v1/console") == 0) {
        if (++asked == SIGNAL_AT) kill(getppid(), SIGHUP);
        tell_console(out, ev->ticket, asked >= GIVES_IN_AT);
    } else if (strcmp(ask->path, "/v1/status") == 0) {
        xn_out_answer(out, ev->ticket, 200, &status); /* it is there */
    } else if (strcmp(ask->path, "/v1/void") == 0) {
        xn_out_refuse(out, ev->ticket, XN_EMONEY, "no", "it was accepted", "");
    } else if (is_final(ask)) {
        xn_out_refuse(out, ev->ticket, XN_ESTALE, "no", "that one is over", "");
    } else { /* silence */
        kill(getppid(), SIGTERM);
    }
}

/* ---- we ---- */

static void listen_to(const char *what, const char *because, const char *try)
{
    snprintf(heard, sizeof heard, "%s|%s|%s", what, because ? because : "",
             try ? try : "");
}

static int setup(void **state)
{
    struct net_config config;

    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__SERVER, "node", &node);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    signal(SIGPIPE, SIG_IGN);
    config = kit_config(&node);
    kit_spawn(&config, harms, &child);
    xeno_signals_init(&signals);
    xeno_signals_hold(&signals);
    assert_true(signals.fd >= 0);
    xeno = (struct xeno){.timeout_ms = 120000, .signals = &signals};
    server = (struct xeno_member){.identity = client};
    snprintf(server.corp.url, sizeof server.corp.url, "https://%s", child.api);
    server.corp.id = node.cert.id;
    server.corp.pinned = true;
    assert_int_equal(net_talk_new(&server.talk), 0);
    heard[0] = '\0';
    xn_gripe_listen(listen_to);
    return 0;
}

static int teardown(void **state)
{
    static const int kinds[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < 3; i++)
        signal(kinds[i], SIG_IGN); /* what is pending is forgotten */
    xeno_signals_close(&signals);
    for (size_t i = 0; i < 3; i++)
        signal(kinds[i], SIG_DFL);
    net_talk_free(server.talk);
    kit_kill(&child, SIGTERM);
    net_identity_clear(&corp);
    net_identity_clear(&node);
    net_identity_clear(&client);
    return 0;
}

static void a_signal_ends_the_wait_for_an_end(void **state)
{
    uint64_t begun_us = net_mono_us();
    const xn_id session = {{1}};
    Xn__HostTask *task = NULL;

    assert_int_equal(xeno_task_await(&xeno, &server, &session, 1, 0, &task),
                     XN_EXIT_FAILED);
    assert_null(task);
    assert_non_null(strstr(heard, "XS-1-CANCELLED"));
    assert_int_equal(xeno_signals_take(&signals), SIGINT);
    assert_true(net_mono_us() - begun_us >= PAUSES_MS * 1000);
}

static void an_end_that_never_comes_is_not_awaited(void **state)
{
    const xn_id session = {{1}};
    Xn__HostTask *task = NULL;

    assert_int_equal(xeno_task_await(&xeno, &server, &session, 1, 100, &task),
                     XN_EXIT_NETWORK);
    assert_null(task);
    assert_non_null(strstr(heard, "goes on saying"));
}

static void a_console_with_nothing_new_is_asked_for_in_peace(void **state)
{
    struct xeno_stream stream = {
        .xeno = &xeno, .server = &server, .task = 1, .follow = true};
    uint64_t begun_us = net_mono_us();
    enum xeno_stream_end end;

    assert_int_equal(xeno_stream(&stream, &end), XN_EXIT_OK);
    assert_int_equal(end, STREAM_DETACHED);
    assert_true(net_mono_us() - begun_us >= PAUSES_MS * 1000);
}

static void a_signal_ends_a_question(void **state)
{
    const xn_id session = {{1}};
    Xn__HostSession *got = NULL;

    assert_int_equal(xeno_session_get(&xeno, &server, &session, false, &got),
                     XN_ECANCELLED);
    assert_null(got);
    /* and those that would have followed */
    assert_int_equal(xeno_session_get(&xeno, &server, &session, false, &got),
                     XN_ECANCELLED);
    assert_int_equal(xeno_signals_take(&signals), SIGTERM);
}

/* ---- a purchase that was begun before ---- */

static struct run *begun(xn_id serial)
{
    Xn__RunRecord record = XN__RUN_RECORD__INIT;
    Xn__CreateSession create = XN__CREATE_SESSION__INIT;
    struct run *run = calloc(1, sizeof *run);
    char url[XENO_URL_MAX], hex[XN_ID_HEX];
    uint8_t *bytes = NULL, *kept = NULL;
    size_t len = 0;

    assert_non_null(run);
    run->deed = calloc(1, sizeof *run->deed);
    assert_non_null(run->deed);
    run->xeno = &xeno;
    run->members[0] = server;
    run->n_members = 1;
    xn_id_hex(&node.cert.id, hex);
    snprintf(url, sizeof url, "%s#%s", server.corp.url, hex);
    create.request = xn_id_bytes(&serial);
    assert_int_equal(xn_pack(&create, &bytes, &len), 0);
    record.server = url;
    record.corp = xn_id_bytes(&node.cert.id);
    record.serial = xn_id_bytes(&serial);
    record.create = (ProtobufCBinaryData){len, bytes};
    assert_int_equal(xn_pack(&record, &kept, &len), 0);
    run->record = xn_unpack(&xn__run_record__descriptor, kept, len);
    assert_non_null(run->record);
    free(bytes);
    free(kept);
    return run;
}

static void end_run(struct run *run)
{
    if (run->record) xn__run_record__free_unpacked(run->record, NULL);
    free(run->deed);
    free(run);
}

/* The server was chosen, the order issued, and nobody says what became of it. */
static void a_signal_ends_a_purchase_with_a_word(void **state)
{
    struct run *run = begun((xn_id){{0xab, 0xcd, 0xef, 0x12}});

    assert_int_equal(run_again(run), XN_EXIT_UNKNOWN);
    assert_non_null(strstr(heard, "XS-11-UNKNOWN"));
    assert_non_null(strstr(heard, "abcdef12"));
    assert_non_null(run->record);
    end_run(run);
}

/* The XenoCorp accepted the order, and the server will never run what it is for:
 * who asked again for ever would never be told more. */
static void a_refusal_for_good_ends_a_purchase(void **state)
{
    struct run *run = begun((xn_id){{FINAL, 0xcd, 0xef, 0x12}});

    assert_int_equal(run_again(run), XN_EXIT_STALE);
    assert_non_null(strstr(heard, "XS-8-STALE"));
    assert_non_null(strstr(heard, "order 5acdef12"));
    assert_non_null(strstr(heard, "that one is over"));
    assert_non_null(strstr(heard, "xeno bill 5acdef12"));
    assert_null(strstr(heard, "|: ")); /* it has no name, but an id */
    assert_null(run->record);
    end_run(run);
}

/* ---- what it quotes ---- */

static void is_short_of(const char *token, const struct run_wanted *wanted,
                        const struct xeno_quoted *quoted)
{
    const char *lacks = run_falls_short(wanted, quoted);

    if (!token) {
        assert_null(lacks);
        return;
    }
    assert_non_null(lacks);
    assert_string_equal(lacks, token);
}

/* A cheap quote of less is no cheap quote. */
static void a_quote_of_less_is_not_taken(void **state)
{
    struct xeno_quoted quoted = {.manager = "xen"};
    struct run_wanted wanted = {.kind = {"Linux"}};
    struct money_rates *has = &quoted.quote.rates;

    (void)state;
    is_short_of(NULL, &wanted, &quoted);
    wanted.amount[0] = xn_dec_int(1000);
    wanted.amount[1] = wanted.amount[2] = xn_dec_int(2);
    wanted.amount[3] = wanted.amount[4] = xn_dec_int(1);
    has->cpu_smps = xn_dec_int(999);
    is_short_of("CPUsmps", &wanted, &quoted);
    has->cpu_smps = xn_dec_int(1000);
    is_short_of("MemoryMB", &wanted, &quoted);
    has->memory_mb = xn_dec_int(3);
    is_short_of("DiskGB", &wanted, &quoted);
    has->disk_gb = xn_dec_int(2);
    is_short_of("NetMbps", &wanted, &quoted);
    has->net_mbps = xn_dec_int(1);
    is_short_of("IPv4Addresses", &wanted, &quoted);
    has->ipv4_addresses = xn_dec_int(1);
    is_short_of(NULL, &wanted, &quoted);
    strcpy(wanted.kind[2], "pvh");
    is_short_of("Virtualisation", &wanted, &quoted);
    strcpy(quoted.quote.virtualisation, "pvh");
    is_short_of(NULL, &wanted, &quoted);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_signal_ends_the_wait_for_an_end),
        TEST(an_end_that_never_comes_is_not_awaited),
        TEST(a_console_with_nothing_new_is_asked_for_in_peace),
        TEST(a_signal_ends_a_question),
        TEST(a_signal_ends_a_purchase_with_a_word),
        TEST(a_refusal_for_good_ends_a_purchase),
        cmocka_unit_test(a_quote_of_less_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
