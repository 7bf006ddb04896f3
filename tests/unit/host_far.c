/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections to tasks on a cluster's members: asked of the member that has the
 * session and of no other, counted by the manager, refused in words that are
 * bounded, and ended with the task, its machine, or either end. */
#include <stdio.h>

#include "hostagent/task.h"
#include "lib/err.h"
#include "tests/unit/cluster_kit.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

static struct far *begin_one(struct market *m)
{
    xn_id s = cluster_begin(m);

    return &far[cluster_machine_of(&s)];
}

static void is_refused(struct market *m, uint64_t ask, int rc,
                       const char *because)
{
    char got[300];

    market_serve(m);
    assert_int_equal(market_refused(m, ask, got), rc);
    assert_string_equal(got, because);
}

static void its_member_is_asked(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);
    size_t answers = crank_count(&m->h, XN_ACT_ANSWER);
    char *argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    Xn__ExecTask body = XN__EXEC_TASK__INIT;
    Xn__Terminal terminal = XN__TERMINAL__INIT;

    tasks_ask_forward(m, 80);
    market_serve(m);
    assert_int_equal(f->dom.streams, 1);
    assert_int_equal(f->dom.port, 80);
    body.session = xn_id_bytes(&m->session);
    body.argv = argv;
    body.n_argv = 1;
    body.terminal = &terminal;
    terminal.columns = 80;
    market_ask(m, "POST", "/v1/tasks/exec", "", &body, &m->s.client.caller);
    market_serve(m);
    assert_int_equal(f->dom.streams, 2);
    assert_int_equal(f->dom.words, 1);
    assert_int_equal(
        XN_BODY(f->dom.waiting[f->dom.n_waiting - 1].msg, Xn__AskStream)
            ->terminal->columns,
        80);
    assert_int_equal(f->n_streams, 2);
    assert_int_equal(far[0].dom.streams + far[1].dom.streams +
                         far[2].dom.streams + m->dom.streams,
                     2);
    far_cut(f, m);
    far_cut(f, m);
    market_serve(m);
    assert_int_equal(f->dom.n_waiting, 0);
    /* the drivers have answered, by carrying them */
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), answers);
    assert_int_equal(crank_count(&f->c, XN_ACT_ANSWER), 0);
}

static void a_member_refuses(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);

    f->dom.refuse_streams = XN_EREFUSED;
    is_refused(m, tasks_ask_forward(m, 80), XN_EREFUSED,
               "nothing listens there");
    f->dom.refuse_streams =
        XN_EINTEGRITY; /* no member says that of a client's */
    is_refused(m, tasks_ask_forward(m, 80), XN_EUNKNOWN,
               "nothing listens there");
    f->dom.refuse_streams = 0;
    f->dom.up = false;
    is_refused(m, tasks_ask_forward(m, 80), XN_ENOTYET,
               "its xenodomd is not there");
}

/* What a member says is a line of text, and not a long one. */
static void a_member_babbles(void **state)
{
    struct market *m = *state;
    Xn__DomTell tell = XN__DOM_TELL__INIT;
    char text[5000], got[300];
    struct xn_action act;
    uint64_t ask;

    begin_one(m);
    for (int empty = 0; empty < 2; empty++) {
        ask = tasks_ask_forward(m, 80);
        act = crank_take(&m->h, XN_ACT_DOMAIN);
        memset(text, '\n', sizeof text);
        text[empty ? 0 : sizeof text - 1] = 0;
        tell.rc = XN_EREFUSED;
        tell.because = tell.advice = text;
        crank_done(&m->h, &act, 0, XN__KIND__DOM_TELL, &tell);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, got), XN_EREFUSED);
        assert_true(got[0] && strlen(got) < 256 && !strchr(got, '\n'));
    }
}

static void the_driver_says_no(void **state)
{
    static const struct {
        int rc, told;
        const char *because;
    } rows[] = {
        {XN_EUNREACH, XN_ENOTYET,
         "the machine that it runs on does not answer"},
        {XN_EIDENT, XN_ENOTYET, "the machine that it runs on does not answer"},
        {XN_ETIMEOUT, XN_ENOTYET,
         "the machine that it runs on does not answer"},
        {XN_EBUSY, XN_EBUSY, "too many connections begin at once"},
        {XN_EPROTO, XN_EPROTO,
         "no Upgrade: xeno-stream came with the question"},
        {XN_ENOMEM, XN_EUNKNOWN, "xenodomd does not answer"},
    };
    struct market *m = *state;

    begin_one(m);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ask = tasks_ask_forward(m, 80);
        struct xn_action act = crank_take(&m->h, XN_ACT_DOMAIN);

        crank_done(&m->h, &act, rows[i].rc, 0, NULL);
        is_refused(m, ask, rows[i].told, rows[i].because);
        crank_empty(&m->h);
    }
}

static void they_are_counted(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);

    for (size_t i = 0; i < TASK_STREAMS_OF_SESSION; i++) {
        tasks_ask_forward(m, 80);
        market_serve(m);
    }
    assert_int_equal(f->n_streams, TASK_STREAMS_OF_SESSION);
    is_refused(m, tasks_ask_forward(m, 80), XN_EBUSY,
               "the session has as many connections as it can");
    far_cut(f, m);
    tasks_ask_forward(m, 80);
    market_serve(m);
    assert_int_equal(f->n_streams, TASK_STREAMS_OF_SESSION);
}

static void a_lost_machine_ends_them(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);
    char got[300];

    tasks_ask_forward(m, 80);
    cluster_pass(m, SECOND_US);
    assert_int_equal(f->n_streams, 1);
    f->health = SILENT;
    cluster_pass(m, 9 * SECOND_US);
    assert_int_equal(f->n_streams, 1); /* it may be back */
    is_refused(m, tasks_ask_forward(m, 80), XN_ENOTYET,
               "what runs tasks on this server is not there");
    cluster_pass(m, GRACE_US + 10 * SECOND_US);
    assert_int_equal(f->n_streams, 0);
    assert_string_equal(f->why,
                        "the task has ended: the machine that it ran on "
                        "is lost");
    assert_int_equal(market_refused(m, tasks_ask_forward(m, 80), got),
                     XN_ENOENT);
    assert_string_equal(got, "the session has ended: the machine that it ran "
                             "on is lost");
}

static void they_end_with_their_task(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);

    tasks_ask_forward(m, 80);
    cluster_pass(m, SECOND_US);
    dom_end(&f->dom, &f->c, dom_last(&f->dom), XN__TASK_END__FINISHED, 0, true);
    cluster_pass(m, 5 * SECOND_US);
    assert_int_equal(f->n_streams, 0);
    assert_ptr_equal(strstr(f->why, "the task has ended: "), f->why);
    assert_int_equal(f->dom.n_waiting, 0);
}

static void its_asker_goes_away(void **state)
{
    struct market *m = *state;
    struct far *f = begin_one(m);
    uint64_t ask = tasks_ask_forward(m, 80);

    market_serve(m);
    crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    market_serve(m);
    assert_int_equal(f->n_streams, 0);
    assert_int_equal(f->dom.n_waiting, 0);
}

/* ---- a member by itself ---- */

static uint64_t ask_member(struct market *m, struct far *f,
                           const Xn__AskStream *body)
{
    uint64_t ask =
        crank_ask(&f->c, "POST", "/v1/stream", body, &m->server->caller);

    far_serve(f);
    return ask;
}

static void a_member_takes_so_many(void **state)
{
    enum { MOST = 120 };
    struct market *m = *state;
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct far *f = &far[0];
    char because[300];
    uint64_t last;

    body.name = (char *)(uintptr_t) "some-1";
    body.port = 80;
    for (size_t i = 0; i < MOST; i++)
        last = ask_member(m, f, &body);
    assert_int_equal(f->dom.n_waiting, MOST);
    assert_int_equal(crank_refused_why(&f->c, ask_member(m, f, &body), because),
                     XN_EBUSY);
    assert_string_equal(because,
                        "this machine carries as many connections as it can");
    crank_event(&f->c, XN_EV_CANCEL, last, 0, NULL);
    far_serve(f);
    assert_int_equal(f->dom.n_waiting, MOST - 1);
    ask_member(m, f, &body);
    assert_int_equal(f->dom.n_waiting, MOST);
}

static void a_member_takes_no_other(void **state)
{
    struct market *m = *state;
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    Xn__Terminal none = XN__TERMINAL__INIT;
    Xn__AskStream bad[5];
    struct far *f = &far[0];

    none.type = (char *)(uintptr_t) "a\nb";
    for (size_t i = 0; i < 5; i++) {
        xn__ask_stream__init(&bad[i]);
        bad[i].name = (char *)(uintptr_t) "some-1";
    }
    bad[1].port = 65536;
    bad[2].argv = argv; /* by no whole path */
    bad[2].n_argv = 1;
    bad[3].name = (char *)(uintptr_t) "";
    bad[3].port = 80;
    bad[4].port = 80;
    bad[4].terminal = &none;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(crank_refused(&f->c, ask_member(m, f, &bad[i])),
                         XN_EPROTO);
    assert_int_equal(f->dom.streams, 0);
    /* nor anybody else's */
    bad[3].name = (char *)(uintptr_t) "some-1";
    assert_int_equal(
        crank_refused(&f->c, crank_ask(&f->c, "POST", "/v1/stream", &bad[3],
                                       &m->s.client.caller)),
        XN_EPERM);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, cluster_set_up, cluster_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(its_member_is_asked),      CASE(a_member_refuses),
        CASE(a_member_babbles),         CASE(the_driver_says_no),
        CASE(they_are_counted),         CASE(a_lost_machine_ends_them),
        CASE(they_end_with_their_task), CASE(its_asker_goes_away),
        CASE(a_member_takes_so_many),   CASE(a_member_takes_no_other),
    };

    return cmocka_run_group_tests_name("host_far", tests, NULL, NULL);
}
