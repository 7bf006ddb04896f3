/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session with its task from its order to its bill, with the agent killed
 * behind each of its actions in turn, and with a xenodomd that loses answers and
 * goes away.  At the end, always: one session, one start, nothing that runs,
 * and the books say what the task used. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

#define USED_US (25 * SECOND_US)
#define CPU_NS 3000000000
#define ROUNDS_MAX 4000

enum dying { DIES_SILENT, DIES_DOING };

struct run {
    struct market *m;
    unsigned served, kill_at, kills;
    enum dying dying;
    bool stops; /* the client stops it; else the task ends by itself */
    bool running, done;
    uint64_t create, stop;
};

static void die(struct run *r)
{
    if (r->dying == DIES_DOING) market_finish_pending(r->m);
    market_restart(r->m);
    r->create = r->stop = 0;
    r->kills++;
}

/* The answer to that question, if there is one; refused: asked again. */
static Xn__HostSession *heard(struct run *r, uint64_t *ask)
{
    struct market *m = r->m;
    Xn__HostSession *session = NULL;

    for (size_t i = 0; *ask && i < m->h.n_pending; i++) {
        const struct xn_action *act = &m->h.pending[i];

        if (act->kind != XN_ACT_ANSWER || act->ticket != *ask) continue;
        if (XN_BODY(act->msg, Xn__Answer)->status == 200)
            session = market_session(m, *ask);
        else
            market_refused(m, *ask, NULL);
        *ask = 0;
    }
    return session;
}

static void begins(struct run *r)
{
    Xn__HostSession *session = heard(r, &r->create);

    if (!session) {
        if (!r->create) r->create = tasks_ask_create(r->m, !r->stops);
        return;
    }
    r->running = session->state >= XN__SESSION_STATE__SESSION_RUNNING;
    xn__host_session__free_unpacked(session, NULL);
}

static void ends(struct run *r)
{
    struct market *m = r->m;
    Xn__HostSession *session;

    if (r->done || m->h.now.wall_us < NOW_US + USED_US) return;
    if (!r->stops) {
        if (dom_live(&m->dom))
            dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__FINISHED,
                    5, true);
        r->done = true;
        return;
    }
    session = heard(r, &r->stop);
    if (session) {
        r->done = session->state >= XN__SESSION_STATE__SESSION_ENDING;
        xn__host_session__free_unpacked(session, NULL);
    } else if (!r->stop) {
        r->stop = market_ask_stop(m, &m->s.client, &m->s.client);
    }
}

static bool is_over(struct run *r)
{
    struct market *m = r->m;
    char query[8 + XN_ID_HEX], hex[XN_ID_HEX];
    Xn__HostSession *session;
    uint64_t ask;
    bool over;

    if (!r->done) return false;
    xn_id_hex(&m->session, hex);
    snprintf(query, sizeof query, "session=%s", hex);
    ask = market_ask(m, "GET", "/v1/sessions", query, NULL, &m->operator);
    session = heard(r, &ask);
    if (!session) return false;
    over = session->state == XN__SESSION_STATE__SESSION_ENDED &&
           session->task->state == XN__TASK_STATE__ENDED;
    xn__host_session__free_unpacked(session, NULL);
    return over;
}

static void burn(struct market *m)
{
    struct dom_task *task = m->dom.n ? dom_last(&m->dom) : NULL;

    if (task && task->cpu_ns < CPU_NS) dom_burn(&m->dom, CPU_NS / 5);
}

static void run(struct run *r)
{
    struct market *m = r->m;
    char why[128];

    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        if (!r->running)
            begins(r);
        else
            ends(r);
        if (!xn_core_check(m->h.core, why, sizeof why)) fail_msg("%s", why);
        if (market_serve_one(m)) {
            if (++r->served == r->kill_at) die(r);
        } else if (is_over(r)) {
            return;
        } else {
            crank_pass(&m->s.c, SECOND_US);
            shop_serve(&m->s);
            crank_pass(&m->h, SECOND_US);
            burn(m);
        }
    }
    fail_msg("it does not end; killed behind action %u", r->kill_at);
}

static void check_end(struct run *r)
{
    struct market *m = r->m;
    Xn__HostTask *task = tasks_look(m);
    char memory[48], cpu[48];
    int64_t fenced = -1, charged = market_charged(m);

    assert_int_equal(m->dom.n, 1);
    assert_int_equal(dom_live(&m->dom), 0);
    assert_int_equal(task->end,
                     r->stops ? XN__TASK_END__STOPPED : XN__TASK_END__FINISHED);
    assert_true(task->cpu_ns == CPU_NS);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(deal_fate(&m->s, &m->d, &fenced),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
    /* 3 s of CPU, and 29.2 a second since it was accepted. */
    assert_in_range(charged, 300 + 29 * 15, 300 + 30 * 40);
    assert_int_equal(shop_balance(&m->s), 1000LL * GBP - charged);
    shop_audit(&m->s);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
    market_restart(m);
    market_serve(m);
    assert_int_equal(market_charged(m), charged);
    assert_int_equal(m->dom.n, 1);
}

static struct run begin(void)
{
    struct run r = {.m = market_open_sandbox(NULL, "0.1")};

    market_quote(r.m, SMALL);
    market_order(r.m, 1, 10 * GBP);
    return r;
}

static void dies_everywhere(enum dying dying, bool stops)
{
    unsigned kills, at = 1;

    do {
        struct run r = begin();

        r.kill_at = at;
        r.dying = dying;
        r.stops = stops;
        run(&r);
        check_end(&r);
        assert_int_equal(r.m->dom.starts, 1);
        kills = r.kills;
        market_close(r.m);
        at++;
    } while (kills);
    assert_true(at > 25);
}

static void killed_before_it_is_done(void **state)
{
    dies_everywhere(DIES_SILENT, false);
    dies_everywhere(DIES_SILENT, true);
}

static void killed_when_it_is_done(void **state)
{
    dies_everywhere(DIES_DOING, false);
    dies_everywhere(DIES_DOING, true);
}

/* Answers of xenodomd are lost, and of the corp. */
static void loses_answers(void **state)
{
    for (unsigned seed = 0; seed < 16; seed++) {
        struct run r = begin();

        xn_rng_seed(&r.m->rng, seed);
        r.m->dom.rng = &r.m->rng;
        r.m->dom.loses_of_100 = 40;
        r.m->lose_there = r.m->lose_back = seed % 2 ? 20 : 0;
        r.kill_at = 10 + 5 * seed;
        r.stops = seed % 4 < 2;
        run(&r);
        check_end(&r);
        market_close(r.m);
    }
}

/* xenodomd goes away behind each action in turn, for ten seconds. */
static void xenodomd_dies(void **state)
{
    for (unsigned at = 1; at < 60; at++) {
        struct run r = begin();
        struct market *m = r.m;
        uint64_t back_us = 0;

        r.stops = at % 2;
        for (unsigned i = 0; i < ROUNDS_MAX; i++) {
            if (!r.running)
                begins(&r);
            else
                ends(&r);
            if (back_us && m->h.now.mono_us >= back_us) {
                back_us = 0;
                dom_connect(&m->dom, &m->h);
            }
            if (market_serve_one(m)) {
                if (++r.served == at) {
                    dom_vanish(&m->dom, &m->h);
                    back_us = m->h.now.mono_us + 10 * SECOND_US;
                }
            } else if (!back_us && is_over(&r)) {
                break;
            } else {
                crank_pass(&m->s.c, SECOND_US);
                shop_serve(&m->s);
                crank_pass(&m->h, SECOND_US);
                burn(m);
            }
        }
        check_end(&r);
        market_close(m);
    }
}

/* A client's long grace is no more time than its session has. */
static void the_shorter_grace_counts(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    tasks_begin(m);
    tasks_run(m, 1, false);
    m->dom.stops_slowly = true;
    ask = tasks_ask_stop(m, &m->s.client.caller);
    market_serve(m);
    xn__host_task__free_unpacked(tasks_answered(m, ask), NULL);
    assert_int_equal(m->dom.stops, 1);
    assert_int_equal(m->dom.grace_ms, 500);
    ask = market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    market_pass(m, 5 * SECOND_US);
    assert_true(m->dom.stops >= 2);
    assert_int_equal(m->dom.grace_ms, 2000);
    dom_end(&m->dom, &m->h, dom_last(&m->dom), XN__TASK_END__STOPPED, 0, true);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_before_it_is_done),
        cmocka_unit_test(killed_when_it_is_done),
        cmocka_unit_test(loses_answers),
        cmocka_unit_test(xenodomd_dies),
        cmocka_unit_test_setup_teardown(the_shorter_grace_counts, tasks_set_up,
                                        market_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
