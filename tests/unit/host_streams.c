/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections that are carried to a task: who may have them, how many, and what
 * ends them. */
#include <utlist.h>

#include "hostagent/session.h"
#include "hostagent/task.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#include <string.h>

#define OF_SESSION 32

static void is_refused(struct market *m, int rc, const char *because)
{
    uint64_t ask = tasks_ask_forward(m, 80);
    char got[300];

    market_serve(m);
    assert_int_equal(market_refused(m, ask, got), rc);
    assert_non_null(strstr(got, because));
}

static void begins_a_stream(struct market *m, uint32_t port)
{
    size_t n = m->dom.n_waiting;

    tasks_ask_forward(m, port);
    market_serve(m);
    assert_int_equal(m->dom.n_waiting, n + 1);
    assert_int_equal(m->dom.port, port);
}

static void is_carried(void **state)
{
    struct market *m = *state;
    size_t answers;

    tasks_begin(m);
    tasks_run(m, 1, false);
    answers = crank_count(&m->h, XN_ACT_ANSWER);
    begins_a_stream(m, 1);
    begins_a_stream(m, 65535);
    dom_end_stream(&m->dom, &m->h);
    market_serve(m);
    /* the driver has answered, by carrying it */
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), answers);
    dom_end_stream(&m->dom, &m->h);
    market_serve(m);
    assert_int_equal(m->dom.aborts, 0);
}

/* Whether it could be is asked without a connection. */
static void could_be_carried(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    ask = tasks_ask_forward(m, 0);
    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->dom.streams, 0);
}

static void is_malformed(void **state)
{
    struct market *m = *state;
    Xn__ForwardTask body = XN__FORWARD_TASK__INIT;

    tasks_begin(m);
    is_refused(m, XN_ENOENT, "the session has no such task");
    tasks_run(m, 1, false);
    assert_int_equal(market_refused(m, tasks_ask_forward(m, 65536), NULL),
                     XN_EINVAL);
    assert_int_equal(market_refused(m,
                                    market_ask(m, "POST", "/v1/tasks/forward",
                                               "", &body, &m->s.client.caller),
                                    NULL),
                     XN_EINVAL);
    /* another's session is none, the operator's included */
    body.session = xn_id_bytes(&m->session);
    body.port = 80;
    assert_int_not_equal(
        market_refused(
            m,
            market_ask(m, "POST", "/v1/tasks/forward", "", &body, &m->operator),
            NULL),
        0);
    assert_int_equal(m->dom.streams, 0);
}

static void nobody_is_there(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_ask_new(m, 1, false);
    is_refused(m, XN_ENOTYET, "it does not run yet");
    market_serve(m);
    m->dom.refuse_streams = XN_EREFUSED;
    is_refused(m, XN_EREFUSED, "nothing listens there");
    m->dom.refuse_streams = 0;
    market_serve(m);
    dom_vanish(&m->dom, &m->h);
    is_refused(m, XN_ENOTYET, "what runs tasks on this server is not there");
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    m->dom.stops_slowly = true;
    tasks_ask_stop(m, &m->s.client.caller);
    market_serve(m);
    is_refused(m, XN_EREFUSED, "the task has ended, or is being stopped");
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    is_refused(m, XN_ENOENT, "the session has ended: stopped by the client");
}

static void stands_still(void **state)
{
    struct market *m = *state;

    market_begin(m, 3000);
    tasks_run(m, 1, false);
    tasks_ask_pause(m, true);
    market_serve(m);
    is_refused(m, XN_EREFUSED, "the task is paused");
    tasks_ask_pause(m, false);
    market_serve(m);
    for (unsigned i = 0; i < 300 && !(m->dom.pauses > 1); i++)
        market_pass(m, SECOND_US);
    is_refused(m, XN_EMONEY, "the order is spent");
}

/* The driver's own troubles. */
static void the_driver_says_no(void **state)
{
    static const struct {
        int rc, told;
        const char *because;
    } rows[] = {
        {XN_EBUSY, XN_EBUSY, "too many connections begin at once"},
        {XN_EUNREACH, XN_ENOTYET,
         "what runs tasks on this server is not "
         "there"},
        {XN_ENOMEM, XN_EUNKNOWN, "xenodomd does not answer"},
        {XN_ETIMEOUT, XN_EUNKNOWN, "xenodomd does not answer"},
    };
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ask = tasks_ask_forward(m, 80);
        struct xn_action act = crank_take(&m->h, XN_ACT_DOMAIN);
        char because[300];

        crank_done(&m->h, &act, rows[i].rc, 0, NULL);
        assert_int_equal(market_refused(m, ask, because), rows[i].told);
        assert_string_equal(because, rows[i].because);
    }
}

/* So many of a session, and questions have their own bounds. */
static void are_bounded(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (uint32_t i = 0; i < OF_SESSION; i++)
        begins_a_stream(m, 80);
    is_refused(m, XN_EBUSY, "the session has as many connections as it can");
    xn__host_task__free_unpacked(tasks_look(m), NULL);
    dom_end_stream(&m->dom, &m->h);
    begins_a_stream(m, 80);
    is_refused(m, XN_EBUSY, "the session has as many connections as it can");
}

/* All that there are now are others', of other sessions. */
static void are_of_others(struct market *m, bool each_anothers)
{
    struct host *host = (struct host *)m->h.core;
    struct task_wait *wait;
    uint32_t n = 1;

    DL_FOREACH(host->market.waits, wait)
    {
        memset(&wait->session, 0, sizeof wait->session);
        memset(&wait->caller, 0, sizeof wait->caller);
        memcpy(&wait->caller, &n, sizeof n);
        n += each_anothers;
    }
}

/* Who has all that the server can carry shares it with who comes later. */
static void are_shared(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (unsigned i = 0; i < TASK_STREAMS_MAX; i++) {
        begins_a_stream(m, 80);
        if (i % OF_SESSION == 0) are_of_others(m, false);
    }
    are_of_others(m, false);
    assert_int_equal(m->dom.aborts, 0);
    for (unsigned i = 1; i <= OF_SESSION; i++) {
        tasks_ask_forward(m, 81);
        market_serve(m);
        assert_int_equal(m->dom.aborts, i);
        assert_int_equal(m->dom.n_waiting, TASK_STREAMS_MAX);
        assert_int_equal(m->dom.port, 81);
    }
    are_of_others(m, true); /* nobody has more than another */
    is_refused(m, XN_EBUSY,
               "this server carries as many connections as it can");
    dom_end_stream(&m->dom, &m->h);
    begins_a_stream(m, 80);
}

static void end_with_their_task(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    begins_a_stream(m, 80);
    begins_a_stream(m, 80);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 0, true);
    market_serve(m);
    assert_int_equal(m->dom.aborts, 2);
    assert_int_equal(m->dom.n_waiting, 0);
    tasks_run(m, 2, false);
    begins_a_stream(m, 80); /* to the one that runs now */
    assert_int_equal(m->dom.aborts, 2);
}

/* Who leaves before it begins wants none; none lasts for ever. */
static void are_given_up(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    ask = tasks_ask_forward(m, 80);
    market_serve(m);
    crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    market_serve(m);
    assert_int_equal(m->dom.aborts, 1);
    assert_int_equal(m->dom.n_waiting, 0);
}

/* ---- commands ---- */

static uint64_t ask_exec(struct market *m, char **argv, size_t n)
{
    Xn__ExecTask body = XN__EXEC_TASK__INIT;

    body.session = xn_id_bytes(&m->session);
    body.argv = argv;
    body.n_argv = n;
    return market_ask(m, "POST", "/v1/tasks/exec", "", &body,
                      &m->s.client.caller);
}

static char *const_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void runs_a_command(void **state)
{
    struct market *m = *state;
    char *argv[] = {const_text("/bin/echo"), const_text("hello")};

    tasks_begin(m);
    tasks_run(m, 1, false);
    ask_exec(m, argv, 2);
    market_serve(m);
    assert_int_equal(m->dom.n_waiting, 1);
    assert_int_equal(m->dom.words, 2);
    dom_end_stream(&m->dom, &m->h);
    tasks_ask_pause(m, true);
    market_serve(m);
    assert_int_equal(market_refused(m, ask_exec(m, argv, 2), NULL),
                     XN_EREFUSED);
}

static void is_no_command(void **state)
{
    struct market *m = *state;
    char *words[65], *by_name[] = {const_text("echo")}, *long_one[2],
                     text[8192];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < 65; i++)
        words[i] = const_text("/bin/echo");
    long_one[0] = words[0];
    long_one[1] = text;
    tasks_begin(m);
    tasks_run(m, 1, false);
    assert_int_equal(market_refused(m, ask_exec(m, NULL, 0), NULL), XN_EINVAL);
    assert_int_equal(market_refused(m, ask_exec(m, by_name, 1), NULL),
                     XN_EINVAL);
    assert_int_equal(market_refused(m, ask_exec(m, words, 65), NULL),
                     XN_EINVAL);
    assert_int_equal(market_refused(m, ask_exec(m, long_one, 2), NULL),
                     XN_EINVAL);
    assert_int_equal(m->dom.streams, 0);
    ask_exec(m, words, 64);
    market_serve(m);
    assert_int_equal(m->dom.words, 64);
}

static void has_a_terminal(void **state)
{
    struct market *m = *state;
    char *argv[] = {const_text("/bin/sh")};
    Xn__ExecTask body = XN__EXEC_TASK__INIT;
    Xn__Terminal terminal = XN__TERMINAL__INIT;
    const Xn__AskStream *asked;

    tasks_begin(m);
    tasks_run(m, 1, false);
    body.session = xn_id_bytes(&m->session);
    body.argv = argv;
    body.n_argv = 1;
    body.terminal = &terminal;
    terminal.rows = 65536;
    assert_int_equal(market_refused(m,
                                    market_ask(m, "POST", "/v1/tasks/exec", "",
                                               &body, &m->s.client.caller),
                                    NULL),
                     XN_EINVAL);
    assert_int_equal(m->dom.streams, 0);
    terminal.rows = 24;
    terminal.type = const_text("vt100");
    market_ask(m, "POST", "/v1/tasks/exec", "", &body, &m->s.client.caller);
    market_serve(m);
    asked = XN_BODY(m->dom.waiting[m->dom.n_waiting - 1].msg, Xn__AskStream);
    assert_int_equal(asked->terminal->rows, 24);
    assert_string_equal(asked->terminal->type, "vt100");
}

static void a_domain_takes_none(void **state)
{
    struct market *m = market_open_xen(true, NULL);
    char *argv[] = {const_text("/bin/echo")};
    char because[300];

    tasks_begin(m);
    tasks_run(m, 1, false);
    assert_int_equal(market_refused(m, ask_exec(m, argv, 1), because),
                     XN_EREFUSED);
    assert_string_equal(because, "a domain runs by itself: nobody else begins "
                                 "anything in it");
    begins_a_stream(m, 80); /* its address is reached */
    market_close(m);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(is_carried),     TEST(could_be_carried),
        TEST(is_malformed),   TEST(nobody_is_there),
        TEST(stands_still),   TEST(the_driver_says_no),
        TEST(are_bounded),    TEST(end_with_their_task),
        TEST(are_shared),     TEST(are_given_up),
        TEST(runs_a_command), TEST(is_no_command),
        TEST(has_a_terminal), cmocka_unit_test(a_domain_takes_none),
    };

    return cmocka_run_group_tests_name("host_streams", tests, NULL, NULL);
}
