/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A member of a cluster: whom it answers, and the images that it fetches. */
#include <utlist.h>

#include "hostagent/task.h"
#include "lib/err.h"
#include "tests/unit/cluster_kit.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

/* ---- whom it answers ---- */

static int refused(struct far *f, const char *path, const void *body,
                   const Xn__Caller *caller)
{
    uint64_t ask = crank_ask(&f->c, "POST", path, body, caller);

    far_serve(f);
    return crank_refused(&f->c, ask);
}

static void a_member_answers_its_manager_alone(void **state)
{
    struct market *m = *state;
    Xn__WatchMachine watch = XN__WATCH_MACHINE__INIT;
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    Xn__Caller who = m->server->caller;
    struct far *f = &far[0];

    assert_int_equal(refused(f, "/v1/machine", &watch, &m->s.client.caller),
                     XN_EPERM);
    assert_int_equal(refused(f, "/v1/machine", &watch, NULL), XN_EPERM);
    who.role = XN__ROLE__ANYBODY; /* the key, and no certificate */
    assert_int_equal(refused(f, "/v1/machine", &watch, &who), XN_EPERM);
    watch.wait_ms = 10001;
    assert_int_equal(refused(f, "/v1/machine", &watch, &m->server->caller),
                     XN_EPROTO);
    ask.op = XN__DOM_OP__DOM_ADOPT;
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EPROTO);
    ask.op = XN__DOM_OP__DOM_WATCH;
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EPROTO);
    ask.op = XN__DOM_OP__DOM_START; /* of nothing */
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EPROTO);
    assert_int_equal(refused(f, "/v1/sessions", &ask, &m->server->caller),
                     XN_ENOENT);
    f->dom.up = false;
    ask.op = XN__DOM_OP__DOM_LIST;
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EUNREACH);
}

static bool tells(struct far *f, const Xn__Caller *own, const char *line)
{
    uint64_t ask = crank_ask(&f->c, "GET", "/metrics", NULL, own);
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(&f->c, ask, &msg);
    char text[4096];

    assert_int_equal(answer->status, 200);
    assert_true(answer->body.len < sizeof text);
    memcpy(text, answer->body.data, answer->body.len);
    text[answer->body.len] = '\0';
    xn_msg_free(msg);
    return strstr(text, line) != NULL;
}

/* Its own key alone. */
static void its_operator_sees_how_it_is(void **state)
{
    struct market *m = *state;
    Xn__WatchMachine watch = XN__WATCH_MACHINE__INIT;
    struct far *f = &far[0];
    Xn__Caller own = m->server->caller;
    Xn__HostStatus *status;
    xn_id manager;
    uint64_t ask;

    own.id = xn_id_bytes(&f->id);
    ask = crank_ask(&f->c, "GET", "/v1/status", NULL, &own);
    status = crank_answered(&f->c, ask, &xn__host_status__descriptor);
    assert_non_null(status->member);
    assert_int_equal(xn_id_from_bytes(&status->member->manager, &manager), 0);
    assert_true(xn_id_eq(&manager, &m->server->id));
    assert_true(status->member->up);
    assert_in_range(status->member->asked_us, m->h.now.wall_us - 4 * SECOND_US,
                    m->h.now.wall_us);
    assert_string_equal(status->member->amounts->cpu_smps, "4000");
    xn__host_status__free_unpacked(status, NULL);
    assert_true(tells(f, &own, "\nxeno_member_xenodomd_up 1\n"));
    assert_true(tells(f, &own, "\nxeno_member_refused_total 0\n"));
    ask = crank_ask(&f->c, "GET", "/v1/status", NULL, &m->s.client.caller);
    assert_int_equal(crank_refused(&f->c, ask), XN_EPERM);
    ask = crank_ask(&f->c, "GET", "/metrics", NULL, &m->server->caller);
    assert_int_equal(crank_refused(&f->c, ask), XN_ENOENT);
    assert_true(tells(f, &own, "\nxeno_member_refused_total 1\n"));
    assert_int_equal(refused(f, "/v1/machine", &watch, &own), XN_ENOENT);
}

static void no_folder_is_taken_from_a_manager(void **state)
{
    struct market *m = *state;
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    struct far *f = &far[0];

    ask.op = XN__DOM_OP__DOM_START;
    ask.spec = &spec;
    spec.name = (char *)(uintptr_t) "one";
    spec.image = (char *)(uintptr_t) "/etc";
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EUNREACH);
    spec.runner = XN__RUNNER__XEN;
    spec.disk = spec.image;
    assert_int_equal(refused(f, "/v1/domain", &ask, &m->server->caller),
                     XN_EUNREACH);
    assert_int_equal(f->dom.starts, 0);
}

/* ---- images ---- */

/* A session with a task that brings one; machine 2, where least would be left,
 * takes none. */
static uint64_t create(struct market *m)
{
    m->brings_image = true;
    market_quote(m, SMALL);
    market_order(m, ++m->word, 10 * GBP);
    return tasks_ask_create(m, true);
}

static void an_image_is_fetched_by_the_machine(void **state)
{
    struct market *m = *state;
    uint64_t ask = create(m);

    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(cluster_machine_of(&m->session), 1);
    assert_int_equal(far[1].fetches, 1);
    assert_int_equal(m->fetch.n, 0);
    assert_string_equal(dom_last(&far[1].dom)->spec->image, "/images/far");
}

static void a_slow_image_is_waited_for(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    far[1].slow = true;
    ask = create(m);
    cluster_pass(m, 60 * SECOND_US);
    assert_int_equal(far[1].fetches, 1); /* asked for again and again */
    assert_int_equal(far[1].dom.starts, 0);
    far_fetched(&far[1], &far[1].fetch);
    cluster_pass(m, SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(far[1].dom.starts, 1);
    assert_int_equal(far[1].fetches, 1);
}

static void two_sessions_wait_for_one_image(void **state)
{
    struct market *m = *state;
    uint64_t asks[2];
    xn_id ids[2];

    far[1].slow = true;
    for (size_t i = 0; i < 2; i++) {
        asks[i] = create(m);
        cluster_pass(m, SECOND_US);
        market_know_session(m);
        ids[i] = m->session;
    }
    cluster_pass(m,
                 50 * SECOND_US); /* past the patience of both, asked again */
    assert_int_equal(far[1].fetches, 1);
    far_fetched(&far[1], &far[1].fetch);
    cluster_pass(m, 2 * SECOND_US);
    for (size_t i = 0; i < 2; i++) {
        xn__host_session__free_unpacked(market_session(m, asks[i]), NULL);
        assert_true(cluster_state_of(m, &ids[i]) ==
                    XN__SESSION_STATE__SESSION_RUNNING);
    }
    assert_int_equal(far[1].dom.starts, 2);
    assert_int_equal(far[1].fetches, 1);
}

/* ---- consoles ---- */

/* Somebody else's from now on: who asks has a bound of his own. */
static void are_of_others(struct market *m, uint8_t who)
{
    const struct host *host = (const struct host *)m->h.core;
    struct task_wait *wait;

    DL_FOREACH(host->market.waits, wait)
    {
        if (xn_id_eq(&wait->caller, &m->s.client.id)) wait->caller.b[0] ^= who;
    }
}

/* Calls that wait for their answers. */
static unsigned calls_of(const struct far *f, const char *path,
                         Xn__CallLane lane)
{
    unsigned n = 0;

    for (size_t i = 0; i < f->n_held; i++) {
        const Xn__Call *call = XN_BODY(f->held[i].act.msg, Xn__Call);

        n += strstr(call->url, path) && call->lane == lane;
    }
    return n;
}

static unsigned consoles_read(const struct far *f)
{
    return calls_of(f, "/v1/console", XN__CALL_LANE__LANE_LONG);
}

/* Nor does an image wait for them. */
static void so_many_consoles_of_a_member_are_read(void **state)
{
    struct market *m = *state;
    const Xn__Caller *client = &m->s.client.caller;
    uint64_t ask;
    char because[300];
    struct far *f;
    xn_id s;

    for (size_t i = 0; i < 2; i++) /* the second where images are taken */
        s = cluster_begin(m);
    f = &far[cluster_machine_of(&s)];
    assert_int_equal(f - far, 1);
    for (uint8_t i = 0; i < TASK_CONSOLES_FAR; i++) {
        tasks_ask_console(m, 0, 20000, client);
        market_serve(m);
        if (i % 8 == 7) are_of_others(m, i);
    }
    assert_int_equal(consoles_read(f), TASK_CONSOLES_FAR);
    ask = tasks_ask_console(m, 0, 20000, client);
    assert_int_equal(market_refused(m, ask, because), XN_EBUSY);
    assert_string_equal(because,
                        "as many consoles of its machine are read as can be");
    f->slow = true;
    ask = create(m);
    cluster_pass(m, SECOND_US);
    assert_int_equal(calls_of(f, "/v1/fetch", XN__CALL_LANE__LANE_FETCH), 1);
    far_fetched(f, &f->fetch);
    cluster_pass(m, SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    assert_int_equal(cluster_machine_of(&m->session), 1);
    m->session = s;
    cluster_pass(m, 25 * SECOND_US); /* nobody waits any more */
    assert_int_equal(consoles_read(f), 0);
    tasks_ask_console(m, 0, 20000, client);
    market_serve(m);
    assert_int_equal(consoles_read(f), 1);
}

static uint64_t ask_fetch(struct market *m, struct far *f, uint8_t number)
{
    uint8_t hash[XN_ID_SIZE] = {number};
    Xn__Fetch body = XN__FETCH__INIT;

    body.sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    return crank_ask(&f->c, "POST", "/v1/fetch", &body, &m->server->caller);
}

static void a_member_fetches_so_many_at_once(void **state)
{
    enum { MOST = 64 };
    struct market *m = *state;
    struct xn_action acts[MOST];
    struct far *f = &far[1];
    uint64_t asks[MOST];

    for (uint8_t i = 0; i < MOST; i++) {
        asks[i] = ask_fetch(m, f, i);
        acts[i] = crank_take(&f->c, XN_ACT_FETCH);
    }
    assert_int_equal(crank_refused(&f->c, ask_fetch(m, f, MOST)), XN_EBUSY);
    assert_int_equal(crank_count(&f->c, XN_ACT_FETCH), 0);
    for (uint8_t i = 0; i < MOST; i++) {
        crank_done(&f->c, &acts[i], XN_EBUSY, 0, NULL);
        assert_int_equal(crank_refused(&f->c, asks[i]), XN_EBUSY);
    }
    assert_int_equal(crank_refused(&far[2].c, ask_fetch(m, &far[2], 0)),
                     XN_EREFUSED); /* it takes no images */
}

static void its_machine_is_lost_meanwhile(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask;

    far[1].slow = true;
    ask = create(m);
    cluster_pass(m, 5 * SECOND_US);
    far[1].health = DEAD;
    cluster_pass(m, GRACE_US + 40 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_ETIMEOUT);
    assert_string_equal(because, "its task did not start in time");
    assert_int_equal(far[1].aborted, 1); /* nobody asked again */
    market_know_session(m);
    assert_true(market_state(m) == XN__SESSION_STATE__SESSION_ENDED);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, cluster_set_up, cluster_tear_down)
        TEST(a_member_answers_its_manager_alone),
        TEST(its_operator_sees_how_it_is),
        TEST(no_folder_is_taken_from_a_manager),
        TEST(an_image_is_fetched_by_the_machine),
        TEST(a_slow_image_is_waited_for),
        TEST(two_sessions_wait_for_one_image),
        TEST(a_member_fetches_so_many_at_once),
        TEST(so_many_consoles_of_a_member_are_read),
        TEST(its_machine_is_lost_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
