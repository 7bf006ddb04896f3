/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks in sessions: the whole way, refusals, ends, what dies in between. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#define TASK_FILES_LARGE (1 << 20)

/* ---- the whole way ---- */

static void a_session_with_its_task(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    Xn__HostTask *task;
    uint64_t ask;

    market_quote(m, SMALL);
    assert_int_equal(m->d.quote.doc.quote.metering, MONEY_USED);
    market_order(m, m->word, 10 * GBP);
    ask = tasks_ask_create(m, true);
    market_serve_but_calls(m);
    assert_int_equal(m->dom.starts, 0); /* not before it is accepted */
    market_serve(m);
    session = market_session(m, ask);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    assert_string_equal(session->manager, "sandbox");
    assert_int_equal(session->tasks, 1);
    assert_int_equal(session->task->state, XN__TASK_STATE__RUNNING);
    assert_string_equal(session->task->argv[0], "/bin/echo");
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(m->dom.starts, 1);
    assert_true(dom_last(&m->dom)->spec->memory_bytes == 512ULL << 20);
    assert_int_equal(dom_last(&m->dom)->spec->cpu_ms_per_s, 1000);
    assert_int_equal(dom_last(&m->dom)->spec->n_put, 1);
    /* It ends, and the session with it. */
    ask = tasks_ask_wait(m, 0, 25000);
    market_serve(m);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    dom_burn(&m->dom, 2000000000);
    market_pass(m, 30 * SECOND_US);
    ask = tasks_ask_wait(m, 0, 25000);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, 3, true);
    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__ENDED);
    assert_int_equal(task->end, XN__TASK_END__FINISHED);
    assert_int_equal(task->code, 3);
    assert_true(task->cpu_ns == 2000000000);
    xn__host_task__free_unpacked(task, NULL);
    market_pass(m, 5 * SECOND_US);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->reason, "its task has ended");
    xn__host_session__free_unpacked(session, NULL);
    /* 30 s at 0.1 and 512 MB at 0.00001 an hour, 2 s of CPU at 0.0001 each. */
    assert_in_range(market_charged(m), 833 + 42 + 200, 833 + 42 + 200 + 40);
}

/* ---- one after the other ---- */

static void end_task(struct market *m, int code)
{
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED, code,
            true);
    market_serve(m);
}

static void one_at_a_time(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    char because[300];
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    ask = tasks_ask_new(m, 2, false);
    assert_int_equal(market_refused(m, ask, because), XN_EBUSY);
    assert_string_equal(because, "its task 1 runs");
    /* The same again is the same task; another body is another. */
    tasks_run(m, 1, false);
    assert_int_equal(market_refused(m, tasks_ask_new(m, 1, true), NULL),
                     XN_ECONFLICT);
    assert_int_equal(m->dom.starts, 1);
    end_task(m, 7);
    tasks_run(m, 2, false);
    assert_int_equal(m->dom.starts, 2);
    task = tasks_look(m);
    assert_int_equal(task->task, 2);
    xn__host_task__free_unpacked(task, NULL);
    task = tasks_answered(m, tasks_ask_wait(m, 1, 1000));
    assert_int_equal(task->code, 7);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(market_refused(m, tasks_ask_wait(m, 3, 0), NULL),
                     XN_ENOENT);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

static size_t task_records(const struct market *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->h.n_records; i++)
        n += m->h.records[i].key[0] == 't';
    return n;
}

static void sixteen_are_kept(void **state)
{
    struct market *m = *state;
    uint64_t cpu_ns;
    Xn__Tasks *tasks;
    Xn__HostTask *task;
    char query[80 + XN_ID_HEX] = "session=";

    tasks_begin(m);
    for (uint8_t i = 1; i <= 20; i++) {
        market_pass(m, 2 * SECOND_US);
        tasks_run(m, i, false);
        dom_burn(&m->dom, 100000000);
        end_task(m, i);
    }
    assert_int_equal(task_records(m), 16);
    assert_int_equal(m->dom.n, 16);
    assert_int_equal(m->dom.forgets, 4);
    xn_id_hex(&m->session, query + 8);
    for (unsigned round = 0; round < 2; round++) {
        tasks = crank_answered(
            &m->h,
            market_ask(m, "GET", "/v1/tasks", query, NULL, &m->s.client.caller),
            &xn__tasks__descriptor);
        assert_int_equal(tasks->n_tasks, 16);
        assert_int_equal(tasks->tasks[0]->task, 5);
        assert_int_equal(tasks->tasks[15]->code, 20);
        xn__tasks__free_unpacked(tasks, NULL);
        market_restart(m);
        market_serve(m);
    }
    /* All of them are paid for: 2 s of CPU. */
    tasks_run(m, 21, false);
    task = tasks_look(m);
    cpu_ns = task->cpu_ns;
    xn__host_task__free_unpacked(task, NULL);
    assert_true(cpu_ns == 0);
    market_pass(m, 20 * SECOND_US);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 10 * SECOND_US);
    /* 60 s at 0.1 and 512 MB x 0.00001 an hour. */
    assert_in_range(market_charged(m), 200 + 60 * 29, 200 + 62 * 30);
}

/* ---- refusals ---- */

static Xn__NewTask a_task(struct market *m, uint8_t word[32], char **argv)
{
    Xn__NewTask task = XN__NEW_TASK__INIT;

    task.session = xn_id_bytes(&m->session);
    task.request = (ProtobufCBinaryData){32, word};
    task.argv = argv;
    task.n_argv = 1;
    return task;
}

static int refused_new(struct market *m, const Xn__NewTask *task,
                       const Xn__Caller *caller)
{
    return market_refused(
        m, market_ask(m, "POST", "/v1/tasks", "", task, caller), NULL);
}

static void no_task_at_all(void **state)
{
    struct market *m = *state;
    const Xn__Caller *c = &m->s.client.caller;
    static uint8_t large[TASK_FILES_LARGE];
    uint8_t word[32] = {9};
    char *argv[1] = {(char *)(uintptr_t) "/bin/true"};
    Xn__TaskFile file = XN__TASK_FILE__INIT, *files[1] = {&file};
    Xn__NewTask task;
    xn_id session;

    tasks_begin(m);
    session = m->session;
    task = a_task(m, word, argv);
    task.n_argv = 0;
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    argv[0] = (char *)(uintptr_t) "true";
    task.n_argv = 1;
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    argv[0] = (char *)(uintptr_t) "/bin/true";
    word[0] = 0;
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    word[0] = 9;
    task.request.len = 31;
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    task.request.len = 32;
    task.files = files;
    task.n_files = 1;
    for (size_t i = 0; i < 6; i++) {
        static const char *const names[] = {"",       "/etc/passwd", "../x",
                                            "a/../b", "a//b",        "a/."};

        file.name = (char *)(uintptr_t)names[i];
        assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    }
    file.name = (char *)(uintptr_t) "f";
    file.data = (ProtobufCBinaryData){(512 << 10) + 1, large};
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    file.data.len = sizeof large;
    assert_int_equal(refused_new(m, &task, c), XN_ETOOBIG);
    file.data.len = 1;
    /* Whose it is. */
    assert_int_equal(refused_new(m, &task, &m->s.stranger.caller), XN_ENOENT);
    assert_int_equal(refused_new(m, &task, &m->operator), XN_EPERM);
    assert_int_equal(refused_new(m, &task, NULL), XN_EPERM);
    session.b[0] ^= 1;
    task.session = xn_id_bytes(&session);
    assert_int_equal(refused_new(m, &task, c), XN_ENOENT);
    task.session.len = 5;
    assert_int_equal(refused_new(m, &task, c), XN_EINVAL);
    assert_int_equal(m->dom.starts, 0);
    assert_int_equal(task_records(m), 0);
}

static void who_may_look(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    char query[80 + XN_ID_HEX] = "session=";
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    xn_id_hex(&m->session, query + 8);
    strcat(query, "&task=1");
    for (unsigned i = 0; i < 2; i++) {
        dom_burn(&m->dom, i ? 1 : 1234567);
        m->dom.lose = i;
        ask = market_ask(m, "GET", "/v1/tasks", query, NULL, &m->operator);
        market_serve(m);
        task = tasks_answered(m, ask);
        /* As it is now; where xenodomd does not answer, as it was. */
        assert_true(task->cpu_ns == 1234567);
        xn__host_task__free_unpacked(task, NULL);
    }
    assert_int_equal(market_refused(m,
                                    market_ask(m, "GET", "/v1/tasks", query,
                                               NULL, &m->s.stranger.caller),
                                    NULL),
                     XN_ENOENT);
    assert_int_equal(
        market_refused(m, tasks_ask_console(m, 0, 0, &m->operator), NULL),
        XN_EPERM);
    assert_int_equal(
        market_refused(m, tasks_ask_console(m, 0, 0, &m->s.stranger.caller),
                       NULL),
        XN_ENOENT);
    assert_int_equal(m->dom.consoles, 0);
    assert_int_equal(
        market_refused(m, tasks_ask_stop(m, &m->s.stranger.caller), NULL),
        XN_ENOENT);
    assert_int_equal(m->dom.stops, 0);
    strcat(query, "&wait_ms=25001");
    assert_int_equal(market_refused(m,
                                    market_ask(m, "GET", "/v1/tasks", query,
                                               NULL, &m->s.client.caller),
                                    NULL),
                     XN_EINVAL);
}

static void not_now(void **state)
{
    struct market *m = *state;
    uint64_t ask;
    char because[300];

    tasks_begin(m);
    /* What runs them is not there: neither tasks, sessions nor quotes. */
    dom_vanish(&m->dom, &m->h);
    assert_int_equal(market_refused(m, tasks_ask_new(m, 1, false), NULL),
                     XN_ENOTYET);
    assert_int_equal(
        market_refused(m, market_ask_quote(m, NULL, &m->s.client.caller), NULL),
        XN_ENOTYET);
    m->word++;
    assert_int_equal(market_refused(m, tasks_ask_create(m, true), NULL),
                     XN_ENOTYET);
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    /* Drained: no new session, and those there are go on. */
    market_ask(m, "POST", "/v1/withdraw", "", NULL, &m->operator);
    market_serve(m);
    ask = tasks_ask_create(m, true);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "withdrawn"));
    tasks_run(m, 1, false);
    end_task(m, 0);
    /* Ended. */
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    ask = tasks_ask_new(m, 2, false);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "stopped by the client"));
    assert_int_equal(m->dom.starts, 1);
}

static void reserved_runs_nothing(void **state)
{
    struct market *m = *state; /* market_set_up: no sandbox */
    char because[300];
    uint64_t ask;

    market_begin(m, GBP);
    ask = tasks_ask_new(m, 1, false);
    assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
    assert_non_null(strstr(because, "runs no tasks"));
    m->word++;
    market_quote(m, SMALL);
    assert_int_equal(m->d.quote.doc.quote.metering, MONEY_RESERVED);
    market_order(m, m->word, GBP);
    assert_int_equal(market_refused(m, tasks_ask_create(m, true), NULL),
                     XN_EREFUSED);
}

static void does_not_start(void **state)
{
    struct market *m = *state;
    char because[300];
    int64_t fenced = -1;
    uint64_t ask;

    /* One that came with its session takes it along, at no charge. */
    market_quote(m, SMALL);
    market_order(m, m->word, GBP);
    m->dom.refuse = XN_EINVAL;
    ask = tasks_ask_create(m, true);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EINVAL);
    assert_non_null(strstr(because, "no such program"));
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(deal_fate(&m->s, &m->d, &fenced),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
    /* Who asks for the same again is told the same. */
    ask = tasks_ask_create(m, true);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EINVAL);
    assert_non_null(strstr(because, "no such program"));
    /* A later one does not. */
    m->word++;
    tasks_begin(m);
    m->dom.refuse = XN_EINVAL;
    ask = tasks_ask_new(m, 1, true);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EINVAL);
    assert_non_null(strstr(because, "no such program"));
    assert_int_equal(market_refused(m, tasks_ask_new(m, 1, true), NULL),
                     XN_EINVAL);
    tasks_run(m, 2, false);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

static void too_small(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask;

    for (unsigned mb = 7; mb <= 8; mb++) {
        char want[200];

        snprintf(want, sizeof want,
                 "<EnvironmentalRequirements><Resources><MemoryMB>%u"
                 "</MemoryMB></Resources></EnvironmentalRequirements>",
                 mb);
        market_quote(m, want);
        market_order(m, (uint8_t)mb, GBP);
        ask = tasks_ask_create(m, true);
        market_serve(m);
        if (mb == 8) {
            xn__host_session__free_unpacked(market_session(m, ask), NULL);
            break;
        }
        assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
        assert_non_null(strstr(because, "8 MB"));
        ask = market_ask_create(m); /* without a task */
        market_serve(m);
        xn__host_session__free_unpacked(market_session(m, ask), NULL);
        ask = tasks_ask_new(m, 1, false);
        assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
        m->word++;
    }
    assert_true(dom_last(&m->dom)->spec->memory_bytes == 8 << 20);
}

/* Nobody waited for it any more when it was accepted: its task never begins. */
static void accepted_too_late(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask;

    market_quote(m, SMALL);
    market_order(m, m->word, GBP);
    m->lose_back = 100;
    ask = tasks_ask_create(m, true);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EUNKNOWN);
    m->lose_back = 0;
    market_pass(m, 120 * SECOND_US);
    for (unsigned round = 0; round < 2; round++) {
        ask = tasks_ask_create(m, true);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, because), XN_EREFUSED);
        assert_non_null(strstr(because, "it never began"));
        market_restart(m);
        market_serve(m);
    }
    assert_int_equal(m->dom.starts, 0);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
}

/* ---- answers that are lost ---- */

static void start_is_done_once(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    uint64_t ask;

    tasks_begin(m);
    m->dom.lose = 1;
    ask = tasks_ask_new(m, 1, false);
    market_pass(m, 5 * SECOND_US);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->dom.starts, 1);
    end_task(m, 0);
    /* Nothing was done, and nobody said so: the asker hears of that, the same
     * again waits for it. */
    m->dom.silent = 1;
    ask = tasks_ask_new(m, 2, false);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EUNKNOWN);
    assert_int_equal(m->dom.starts, 1);
    market_pass(m, 85 * SECOND_US);
    ask = tasks_ask_new(m, 2, false);
    market_pass(m, 15 * SECOND_US);
    task = tasks_answered(m, ask);
    assert_int_equal(task->task, 2);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->dom.starts, 2);
}

static void gone_in_the_middle(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    Xn__HostTask *task;
    int64_t charged;

    tasks_begin(m);
    tasks_run(m, 1, false);
    dom_burn(&m->dom, 1000000000);
    market_pass(m, 20 * SECOND_US);
    dom_vanish(&m->dom, &m->h);
    dom_burn(&m->dom, 2000000000);
    charged = market_charged(m);
    market_pass(m, 60 * SECOND_US);
    /* Nothing is claimed, and the session says what is amiss. */
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_RUNNING);
    assert_non_null(strstr(session->trouble, "xenodomd"));
    assert_int_equal(session->charged, charged);
    xn__host_session__free_unpacked(session, NULL);
    /* Back: it still runs, and what it used meanwhile is charged. */
    dom_connect(&m->dom, &m->h);
    market_pass(m, 20 * SECOND_US);
    session = market_look(m);
    assert_string_equal(session->trouble, "");
    xn__host_session__free_unpacked(session, NULL);
    assert_in_range(market_charged(m), charged + 200 + 60 * 29,
                    charged + 200 + 100 * 30);
    /* It ends while nobody listens; again, and xenodomd has no idea of it. */
    for (unsigned round = 0; round < 2; round++) {
        dom_vanish(&m->dom, &m->h);
        if (round)
            dom_clear(&m->dom);
        else
            dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__MEMORY, 9,
                    false);
        dom_connect(&m->dom, &m->h);
        market_serve(m);
        task = tasks_look(m);
        assert_int_equal(task->state, XN__TASK_STATE__ENDED);
        assert_int_equal(task->end,
                         round ? XN__TASK_END__KEEPER : XN__TASK_END__MEMORY);
        assert_true(task->cpu_ns == (round ? 0 : 3000000000));
        xn__host_task__free_unpacked(task, NULL);
        if (!round) tasks_run(m, 2, false);
    }
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

static void outlives_the_agent(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;

    tasks_begin(m);
    tasks_run(m, 1, true);
    for (unsigned i = 0; i < 3; i++) {
        market_restart(m);
        market_serve(m);
        task = tasks_look(m);
        assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
        assert_string_equal(task->argv[1], "hello");
        xn__host_task__free_unpacked(task, NULL);
        tasks_run(m, 1, true); /* the same again */
    }
    assert_int_equal(m->dom.starts, 1);
    market_pass(m, 9 * SECOND_US);
    dom_burn(&m->dom, 5000000000);
    /* The keeper is killed while the agent is dead. */
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__KEEPER, 137,
            false);
    market_restart(m);
    market_pass(m, 3 * SECOND_US);
    task = tasks_look(m);
    assert_int_equal(task->end, XN__TASK_END__KEEPER);
    assert_true(task->cpu_ns == 5000000000);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(market_charged(m), 500 + 250, 500 + 13 * 30);
}

/* ---- the meter ---- */

static void no_exact_meter(void **state)
{
    struct market *m = *state;

    m->dom.exact = false;
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    tasks_begin(m);
    assert_int_equal(m->d.quote.doc.quote.metering, MONEY_RESERVED);
    tasks_run(m, 1, false);
    market_pass(m, 30 * SECOND_US);
    /* A CPU for 30 s at 0.0001 each. */
    assert_in_range(market_charged(m), 20 * 129, 32 * 130);
}

static void spent(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    char because[300];

    market_begin(m, 3000); /* 100 s of it */
    tasks_run(m, 1, false);
    for (unsigned i = 0; i < 300 && !m->dom.pauses; i++)
        market_pass(m, SECOND_US);
    assert_int_equal(m->dom.pauses, 1);
    assert_int_equal(market_refused(m, tasks_ask_new(m, 2, false), because),
                     XN_EMONEY);
    assert_int_equal(dom_live(&m->dom), 1);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(dom_live(&m->dom), 0);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->reason, "the order is spent");
    assert_int_equal(session->task->end, XN__TASK_END__STOPPED);
    assert_string_equal(session->task->because, "the order is spent");
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(market_refused(m, tasks_ask_new(m, 2, false), because),
                     XN_EMONEY);
    assert_non_null(strstr(because, "the order is spent"));
    assert_int_equal(market_charged(m), 3000);
}

/* ---- ends ---- */

static void session_ends_its_task(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    char memory[48], cpu[48];

    tasks_begin(m);
    tasks_run(m, 1, false);
    m->dom.stops_slowly = true;
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 10 * SECOND_US);
    assert_true(m->dom.stops >= 1);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDING);
    market_free(m, memory, cpu); /* held until it has ended */
    assert_string_equal(memory, "3584");
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__STOPPED, 137,
            true);
    market_pass(m, 5 * SECOND_US);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->task->because, "stopped by the client");
    xn__host_session__free_unpacked(session, NULL);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
}

/* The XenoCorp heard it and nobody told the server: it hears with its next
 * claim. */
static void stopped_at_the_corp(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_pass(m, 5 * SECOND_US);
    deal_ask_stop(&m->s, &m->d);
    shop_serve(&m->s);
    market_pass(m, 30 * SECOND_US);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_string_equal(session->reason,
                        "stopped by the client at the XenoCorp");
    assert_int_equal(session->task->end, XN__TASK_END__STOPPED);
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(dom_live(&m->dom), 0);
    assert_in_range(market_charged(m), 1, 5 * 30);
}

static void cannot_be_ended(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    dom_vanish(&m->dom, &m->h);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDING);
    market_pass(m, 80 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(dom_live(&m->dom), 1);
    market_restart(m);
    market_serve(m);
    assert_int_equal(dom_live(&m->dom), 1);
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    assert_int_equal(dom_live(&m->dom), 0);
    assert_int_equal(m->dom.n, 1);
}

static void belongs_to_nobody(void **state)
{
    static const char *const names[] = {"00112233445566778899aabbccddeeff-1",
                                        "somebody-elses", "1-1"};
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (size_t i = 0; i < 3; i++) {
        struct dom_task *task = &m->dom.tasks[m->dom.n++];

        snprintf(task->name, sizeof task->name, "%s", names[i]);
        task->state = XN__TASK_STATE__RUNNING;
    }
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    assert_null(dom_find(&m->dom, names[0]));
    assert_non_null(dom_find(&m->dom, names[1]));
    assert_non_null(dom_find(&m->dom, names[2]));
    assert_int_equal(dom_live(&m->dom), 3);
    assert_int_equal(m->dom.stops, 1);
}

/* ---- typing, stopping, consoles ---- */

static void types_and_stops(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    uint64_t ask;

    tasks_begin(m);
    assert_int_equal(market_refused(m, tasks_ask_input(m, "x"), NULL),
                     XN_ENOENT);
    tasks_run(m, 1, false);
    ask = tasks_ask_input(m, "hello\n");
    market_serve(m);
    xn__host_task__free_unpacked(tasks_answered(m, ask), NULL);
    assert_string_equal(dom_last(&m->dom)->typed, "hello\n");
    m->dom.stops_slowly = true;
    ask = tasks_ask_stop(m, &m->s.client.caller);
    market_serve(m);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__STOPPING);
    xn__host_task__free_unpacked(task, NULL);
    assert_string_equal(dom_last(&m->dom)->because, "stopped by the client");
    end_task(m, 0);
    assert_int_equal(market_refused(m, tasks_ask_input(m, "x"), NULL),
                     XN_EREFUSED);
    /* It has ended: so it was, whoever stops it. */
    task = tasks_answered(m, tasks_ask_stop(m, &m->operator));
    assert_int_equal(task->state, XN__TASK_STATE__ENDED);
    xn__host_task__free_unpacked(task, NULL);
    tasks_run(m, 2, false);
    ask = tasks_ask_stop(m, &m->operator);
    market_serve(m);
    xn__host_task__free_unpacked(tasks_answered(m, ask), NULL);
    assert_non_null(strstr(dom_last(&m->dom)->because, "operator"));
}

static void check_piece(struct market *m, uint64_t ask, const char *text,
                        bool end)
{
    Xn__ConsolePiece *piece =
        crank_answered(&m->h, ask, &xn__console_piece__descriptor);

    assert_int_equal(piece->data.len, strlen(text));
    assert_memory_equal(piece->data.data, text, piece->data.len);
    assert_int_equal(piece->end, end);
    xn__console_piece__free_unpacked(piece, NULL);
}

static void consoles(void **state)
{
    struct market *m = *state;
    const Xn__Caller *c = &m->s.client.caller;
    uint64_t ask, asks[8];

    tasks_begin(m);
    tasks_run(m, 1, false);
    m->dom.console = "hello\n";
    ask = tasks_ask_console(m, 0, 0, c);
    market_serve(m);
    check_piece(m, ask, "hello\n", false);
    ask = tasks_ask_console(m, 6, 20000, c);
    market_serve(m);
    dom_say(&m->dom, &m->h, "more", false);
    check_piece(m, ask, "more", false);
    /* So many wait at once; those who go away make room. */
    for (size_t i = 0; i < 8; i++)
        asks[i] = tasks_ask_console(m, 6, 20000, c);
    market_serve(m);
    assert_int_equal(m->dom.n_waiting, 8);
    assert_int_equal(market_refused(m, tasks_ask_console(m, 6, 20000, c), NULL),
                     XN_EBUSY);
    assert_int_equal(market_refused(m, tasks_ask_wait(m, 0, 9000), NULL),
                     XN_EBUSY);
    crank_event(&m->h, XN_EV_CANCEL, asks[3], 0, NULL);
    market_serve(m);
    assert_int_equal(m->dom.aborts, 1);
    assert_int_equal(m->dom.n_waiting, 7);
    ask = tasks_ask_wait(m, 0, 9000);
    crank_event(&m->h, XN_EV_CANCEL, ask, 0, NULL);
    ask = tasks_ask_wait(m, 0, 9000);
    market_pass(m, 10 * SECOND_US);
    xn__host_task__free_unpacked(tasks_answered(m, ask), NULL);
    while (m->dom.n_waiting)
        dom_say(&m->dom, &m->h, "", true);
    /* Nobody answers; it never began. */
    dom_vanish(&m->dom, &m->h);
    assert_int_equal(market_refused(m, tasks_ask_console(m, 0, 0, c), NULL),
                     XN_ENOTYET);
    /* Who may wait waits for xenodomd as well. */
    ask = tasks_ask_console(m, 6, 20000, c);
    market_serve(m);
    dom_connect(&m->dom, &m->h);
    dom_say(&m->dom, &m->h, "later", false);
    check_piece(m, ask, "later", false);
    end_task(m, 0);
    m->dom.refuse = XN_EINVAL;
    tasks_ask_new(m, 2, false);
    market_serve(m);
    ask = tasks_ask_console(m, 0, 0, c);
    market_serve(m);
    check_piece(m, ask, "", true);
}

/* Each caller has his eight; a session has 32 whoever asks. */
static void waits_of_a_session(void **state)
{
    struct market *m = *state;
    unsigned refused = 0;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t ask = tasks_ask_wait(m, 0, 20000);

        if (crank_count(&m->h, XN_ACT_ANSWER)) {
            refused++;
            assert_int_equal(market_refused(m, ask, NULL), XN_EBUSY);
        }
    }
    assert_int_equal(refused, 12);
    end_task(m, 0);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 8);
}

/* ---- room ---- */

static void forgotten_with_its_session(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(task_records(m), 1);
    m->config.sessions_max = 1;
    market_restart(m);
    market_serve(m);
    m->word++;
    tasks_begin(m);
    assert_int_equal(task_records(m), 0);
    assert_int_equal(m->dom.n, 0);
}

static void damaged(void **state)
{
    struct market *m = *state;

    tasks_begin(m);
    tasks_run(m, 1, false);
    for (size_t i = 0; i < m->h.n_records; i++) {
        if (m->h.records[i].key[0] == 't') m->h.records[i].value[0] ^= 0xff;
    }
    market_restart(m);
    market_pass(m, 3 * SECOND_US);
    /* What cannot be read is left alone. */
    assert_int_equal(dom_live(&m->dom), 1);
    assert_int_equal(task_records(m), 1);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
}

#define T(name)                                                                \
    cmocka_unit_test_setup_teardown(name, tasks_set_up, market_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(a_session_with_its_task),
        T(one_at_a_time),
        T(sixteen_are_kept),
        T(no_task_at_all),
        T(who_may_look),
        T(not_now),
        cmocka_unit_test_setup_teardown(reserved_runs_nothing, market_set_up,
                                        market_tear_down),
        T(does_not_start),
        T(too_small),
        T(accepted_too_late),
        T(start_is_done_once),
        T(gone_in_the_middle),
        T(outlives_the_agent),
        T(no_exact_meter),
        T(spent),
        T(session_ends_its_task),
        T(stopped_at_the_corp),
        T(cannot_be_ended),
        T(belongs_to_nobody),
        T(types_and_stops),
        T(consoles),
        T(waits_of_a_session),
        T(forgotten_with_its_session),
        T(damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
