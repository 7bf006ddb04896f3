/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ADMIT: programs that answer, and such that are slow, crash, say too much, or
 * could be another's; run by the real driver. */
#include "tests/unit/net_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/admission.h"

#define MANY 20

static struct net_identity corp, host;
static char dir[64], path[100];

static int setup(void **state)
{
    kit_make_corp(&corp, "alpha.example");
    kit_make_member(&corp, XN__ROLE__SERVER, "s", &host);
    kit_mkdir(dir);
    snprintf(path, sizeof path, "%s/program", dir);
    return 0;
}

static int teardown(void **state)
{
    net_identity_clear(&corp);
    net_identity_clear(&host);
    kit_rmdir(dir);
    return 0;
}

static void program(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", text);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

/* ---- the core ---- */

struct seen {
    unsigned asks, n_done;
    int rc[MANY];
    struct xn_msg *msg[MANY];
    bool abort;
};

static void emit(struct xn_out *out, uint64_t ticket)
{
    static char *argv[] = {(char *)(uintptr_t) "/bin/sh",
                           (char *)(uintptr_t) "a \"b\"\n\xff"};
    Xn__Admit body = XN__ADMIT__INIT;
    Xn__Amounts amounts = XN__AMOUNTS__INIT;
    const xn_id id = {{1}};

    amounts.memory_mb = (char *)(uintptr_t) "512";
    body.session = body.client = body.order = xn_id_bytes(&id);
    body.address = (char *)(uintptr_t) "192.0.2.1:5";
    body.environment = (char *)(uintptr_t) "Linux";
    body.currency = (char *)(uintptr_t) "GBP";
    body.amount = 12500000;
    body.amounts = &amounts;
    body.task = true;
    body.argv = argv;
    body.n_argv = 2;
    xn_out_emit(out, XN_ACT_ADMIT, ticket, XN_PEER_NONE, XN__KIND__ADMIT,
                &body);
}

static void on_event(struct kit_core *core, const struct xn_now *now,
                     const struct xn_event *ev, struct xn_out *out)
{
    struct seen *seen = core->ctx;

    if (ev->kind == XN_EV_WAKE && !seen->n_done && seen->asks) {
        for (unsigned i = 0; i < seen->asks; i++)
            emit(out, i + 1);
        if (seen->abort) xn_out_add(out, XN_ACT_ABORT, 1, XN_PEER_NONE, NULL);
    } else if (ev->kind == XN_EV_DONE) {
        seen->rc[ev->ticket - 1] = ev->rc;
        seen->msg[ev->ticket - 1] = xn_msg_ref(ev->msg);
        if (++seen->n_done == seen->asks) kit_stop();
    }
}

static void run_many(struct seen *seen, unsigned asks, uint64_t time_us)
{
    struct net_config config = kit_config(&host);
    struct net_driver *driver = NULL;

    seen->asks = asks;
    config.listen_links = config.listen_api = NULL;
    config.admission = path;
    config.admission_us = time_us;
    assert_int_equal(net_driver_new(&config, &driver), 0);
    kit_run(driver, on_event, seen);
    net_driver_free(driver);
    assert_int_equal(seen->n_done, asks);
}

/* rc, and what it said. */
static int answer(const char *text, uint64_t time_us, bool *accept_out,
                  char because_out[200], char advice_out[200])
{
    struct seen seen = {.asks = 0};
    const Xn__Admitted *said;

    program(text);
    run_many(&seen, 1, time_us);
    if (!seen.rc[0]) {
        said = XN_BODY(seen.msg[0], Xn__Admitted);
        *accept_out = said->accept;
        snprintf(because_out, 200, "%s", said->because);
        snprintf(advice_out, 200, "%s", said->advice);
    }
    xn_msg_free(seen.msg[0]);
    return seen.rc[0];
}

#define LONG_US 30000000ULL /* longer than any test */

/* ---- tests ---- */

static void answers_are_taken(void **state)
{
    char because[200], advice[200];
    bool accept = false;

    assert_int_equal(answer("echo accept", LONG_US, &accept, because, advice),
                     0);
    assert_true(accept);
    assert_int_equal(answer("printf 'refuse no miners here\\nanother job\\n'",
                            LONG_US, &accept, because, advice),
                     0);
    assert_false(accept);
    assert_string_equal(because, "no miners here");
    assert_string_equal(advice, "another job");
    assert_int_equal(answer("printf refuse", LONG_US, &accept, because, advice),
                     0);
    assert_false(accept);
    assert_string_equal(because, "");
    assert_int_equal(answer("printf 'refuse a\\033[31mb'", LONG_US, &accept,
                            because, advice),
                     0);
    assert_string_equal(because, "a?[31mb");
}

/* Whoever started the agent: how a program ended is heard. */
static void answers_are_taken_where_children_were_ignored(void **state)
{
    char because[200], advice[200];
    bool accept = false;

    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(answer("echo accept", 3000000, &accept, because, advice),
                     0);
    assert_true(accept);
    signal(SIGCHLD, SIG_DFL);
}

/* What it is told, with nothing of our environment around it. */
static void it_is_told(void **state)
{
    char because[200], advice[200];
    bool accept = false;

    setenv("SECRET", "x", 1);
    assert_int_equal(
        answer(
            "[ -z \"$SECRET\" ] && [ \"$(pwd)\" = / ] && text=$(cat) &&\n"
            "case $text in\n"
            "'{\"schema\":\"xenohostd.admission/1\",'*'\"MemoryMB\":\"512\"'*"
            "'\"amount\":\"12.5\"'*'[\"/bin/sh\",\"a \\\"b\\\"\\n?\"]'*)\n"
            "echo accept ;; *) echo \"refuse $text\" ;; esac",
            LONG_US, &accept, because, advice),
        0);
    if (!accept) print_error("%s\n", because);
    assert_true(accept);
}

/* What it is not understood by. */
static void other_ends_are_no_answer(void **state)
{
    static const char *const bad[] = {
        "",
        "echo Accept",
        "echo accepted",
        "echo refused",
        "printf 'accept\\nmore\\n'",
        "printf 'refuse a\\nb\\nc\\n'",
        "printf 'accept\\000'",
        "echo accept; exit 1",
        "echo accept; kill -SEGV $$",
        "yes accept",
        "head -c 1025 /dev/zero | tr '\\000' a",
    };
    char because[200], advice[200];
    bool accept;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = answer(bad[i], LONG_US, &accept, because, advice);

        if (rc != XN_EPROTO) print_error("%s: %d\n", bad[i], rc);
        assert_int_equal(rc, XN_EPROTO);
    }
}

/* Its time is over: it goes, and what it started. */
static void slow_ones_are_killed(void **state)
{
    char because[200], advice[200], text[300], mark[100];
    struct stat st;
    pid_t child;
    FILE *f;
    bool accept;

    snprintf(mark, sizeof mark, "%s/child", dir);
    snprintf(text, sizeof text, "sleep 1000 & echo $! >%s; wait", mark);
    assert_int_equal(answer(text, 300000, &accept, because, advice),
                     XN_ETIMEOUT);
    if (stat(mark, &st)) return; /* it was killed before it could */
    f = fopen(mark, "r");
    assert_non_null(f);
    if (fscanf(f, "%d", &child) == 1) {
        snprintf(text, sizeof text, "/proc/%d/exe", child);
        /* It goes, or this test does not end; a zombie has gone. */
        while (readlink(text, mark, sizeof mark) > 0)
            usleep(1000);
    }
    fclose(f);
}

/* What it leaves behind holds nothing up. */
static void a_leftover_is_not_waited_for(void **state)
{
    char because[200], advice[200];
    bool accept = false;

    assert_int_equal(
        answer("sleep 1000 & echo accept", LONG_US, &accept, because, advice),
        0);
    assert_true(accept);
}

static void so_many_at_once(void **state)
{
    struct seen seen = {.asks = 0};
    unsigned busy = 0;

    program("echo accept");
    run_many(&seen, MANY, LONG_US);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(seen.rc[i] == 0 || seen.rc[i] == XN_EBUSY);
        busy += seen.rc[i] == XN_EBUSY;
        xn_msg_free(seen.msg[i]);
    }
    assert_int_equal(busy, MANY - NET_ADMISSION_AT_ONCE);
}

static void it_can_be_given_up(void **state)
{
    struct seen seen = {.abort = true};

    program("sleep 1000");
    run_many(&seen, 1, LONG_US);
    assert_int_equal(seen.rc[0], XN_ECANCELLED);
    xn_msg_free(seen.msg[0]);
}

/* Whoever can write to it, or to a folder above it, could make it another. */
static void it_must_be_ours(void **state)
{
    char why[400], inner[120], because[200], advice[200], link[120];
    bool accept;

    program("echo accept");
    assert_int_equal(net_admission_check(path, why, sizeof why), 0);
    assert_int_equal(net_admission_check("program", why, sizeof why), XN_EIO);
    assert_non_null(strstr(why, "no absolute path"));
    assert_int_equal(net_admission_check(dir, why, sizeof why), XN_EIO);
    assert_int_equal(net_admission_check("/nonexistent/x", why, sizeof why),
                     XN_EIO);
    chmod(path, 0720);
    assert_int_equal(net_admission_check(path, why, sizeof why), XN_EPERM);
    chmod(path, 0600);
    assert_int_equal(net_admission_check(path, why, sizeof why), XN_EIO);
    chmod(path, 0702);
    assert_int_equal(net_admission_check(path, why, sizeof why), XN_EPERM);
    chmod(path, 0700);
    snprintf(inner, sizeof inner, "%s/inner", dir);
    assert_int_equal(mkdir(inner, 0700), 0);
    snprintf(inner, sizeof inner, "%s/inner/program", dir);
    assert_int_equal(rename(path, inner), 0);
    assert_int_equal(symlink(inner, path), 0);
    assert_int_equal(net_admission_check(path, why, sizeof why), 0);
    snprintf(link, sizeof link, "%s/inner", dir);
    chmod(link, 0777);
    assert_int_equal(net_admission_check(path, why, sizeof why), XN_EPERM);
    assert_non_null(strstr(why, "/inner:"));
    chmod(link, 0700);
    assert_int_equal(unlink(path), 0);
    /* And again before each run. */
    program("echo accept");
    {
        struct seen seen = {.asks = 0};

        chmod(path, 0722);
        run_many(&seen, 1, LONG_US);
        assert_int_equal(seen.rc[0], XN_EPERM);
        xn_msg_free(seen.msg[0]);
    }
    assert_int_equal(answer("echo accept", LONG_US, &accept, because, advice),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_taken),
        cmocka_unit_test(answers_are_taken_where_children_were_ignored),
        cmocka_unit_test(it_is_told),
        cmocka_unit_test(other_ends_are_no_answer),
        cmocka_unit_test(slow_ones_are_killed),
        cmocka_unit_test(a_leftover_is_not_waited_for),
        cmocka_unit_test(so_many_at_once),
        cmocka_unit_test(it_can_be_given_up),
        cmocka_unit_test(it_must_be_ours),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
