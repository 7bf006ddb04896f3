/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks that bring an image: it is fetched first, and what becomes of the task
 * and its session where it cannot be. */
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"

static int set_up(void **state)
{
    struct market *m;

    tasks_set_up(state);
    m = *state;
    m->brings_image = true;
    return 0;
}

static uint64_t create(struct market *m)
{
    market_quote(m, SMALL);
    market_order(m, m->word, 10 * GBP);
    return tasks_ask_create(m, true);
}

/* A session without a task. */
static void begin(struct market *m)
{
    tasks_begin(m);
}

static void is_fetched_first(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    uint64_t ask;

    ask = create(m);
    market_serve_but_calls(m);
    assert_int_equal(m->fetch.n, 0); /* not before it is paid */
    market_serve(m);
    session = market_session(m, ask);
    assert_int_equal(session->task->state, XN__TASK_STATE__RUNNING);
    assert_int_equal(session->task->image.len, XN_ID_SIZE);
    xn__host_session__free_unpacked(session, NULL);
    assert_int_equal(m->fetch.n, 1);
    assert_int_equal(m->dom.starts, 1);
    assert_string_equal(dom_last(&m->dom)->spec->image, "/images/one");
}

/* It takes its session along, at no charge, and says why to whoever asks. */
static void wrong_hash_of_the_first(void **state)
{
    struct market *m = *state;
    char because[300];
    Xn__HostTask *task;
    uint64_t ask;

    m->fetch.rc = XN_EINTEGRITY;
    ask = create(m);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, because), XN_EINTEGRITY);
    assert_non_null(strstr(because, "SHA-256 is another"));
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(m->dom.starts, 0);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
    market_know_session(m);
    for (int round = 0; round < 2; round++) {
        task = tasks_look(m);
        assert_int_equal(task->end, XN__TASK_END__NOT_STARTED);
        assert_int_equal(task->rc, XN_EINTEGRITY);
        assert_int_equal(xn_exit_code(task->rc), XN_EXIT_INTEGRITY);
        assert_string_equal(task->advice, "another image");
        xn__host_task__free_unpacked(task, NULL);
        market_restart(m);
        market_serve(m);
    }
}

/* Capacity was set apart all the while: 0.1 an hour and 512 MB for six minutes. */
static void capacity_is_paid(void **state, int rc)
{
    struct market *m = *state;
    int64_t earned;
    uint64_t ask;

    m->fetch.silent = true;
    m->fetch.rc = rc;
    ask = create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 25 * SECOND_US);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
    market_pass(m, 335 * SECOND_US);
    assert_in_range(shop_earned(&m->s, m->server), 10200, 10512);
    market_fetch_ends(m);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), rc);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    earned = shop_earned(&m->s, m->server);
    assert_in_range(earned, 10512, 10520);
    market_restart(m);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(shop_earned(&m->s, m->server), earned);
}

/* The bill says what for. */
static void says_what_for(void **state)
{
    static const char text[] = "while its image was fetched";
    struct market *m = *state;
    struct xn_action call;
    const Xn__Call *body;

    m->fetch.silent = true;
    m->fetch.rc = XN_EINTEGRITY;
    create(m);
    market_serve(m);
    market_pass(m, 60 * SECOND_US);
    market_fetch_ends(m);
    market_serve_but_calls(m);
    call = market_take_call(m, "/v1/charge");
    body = XN_BODY(call.msg, Xn__Call);
    assert_non_null(
        memmem(body->body.data, body->body.len, text, strlen(text)));
    market_carry(m, &call);
}

static void slow_and_wrong_is_paid(void **state)
{
    capacity_is_paid(state, XN_EINTEGRITY);
}

static void slow_and_silent_is_paid(void **state)
{
    capacity_is_paid(state, XN_ETIMEOUT);
}

/* Whose fault it was makes no difference: the client could make it look so. */
static void slow_and_failed_is_paid(void **state)
{
    capacity_is_paid(state, XN_EIO);
}

/* One that is over soon, or waited a while for others, costs nothing, nor is the
 * session's being set up paid. */
static void short_is_free(void **state)
{
    struct market *m = market_open_sandbox("0.05", "0.1");

    m->brings_image = true;
    m->fetch.silent = true;
    m->fetch.rc = XN_ENOENT;
    create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 25 * SECOND_US);
    market_fetch_ends(m);
    market_pass(m, 15 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
    market_close(m);
}

/* CPU time is none, also where the quote is for what is reserved of it. */
static void no_cpu_is_paid(void **state)
{
    struct market *m = *state;

    market_close(m);
    *state = m = market_open_sandbox(NULL, "0.1");
    m->brings_image = true;
    dom_vanish(&m->dom, &m->h);
    m->dom.exact = false;
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    capacity_is_paid(state, XN_EINTEGRITY);
}

/* What is not being fetched is not paid, and not waited for. */
static void nothing_is_paid(struct market *m, uint64_t ask, int rc)
{
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), rc);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
}

static void driver_stays_busy(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    m->fetch.done = XN_EBUSY;
    ask = create(m);
    market_serve(m);
    market_know_session(m);
    nothing_is_paid(m, ask, XN_ETIMEOUT);
}

static void nothing_to_start_the_first(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    m->fetch.silent = true;
    ask = create(m);
    market_serve(m);
    market_know_session(m);
    dom_vanish(&m->dom, &m->h);
    m->fetch.silent = false;
    market_fetch_ends(m);
    nothing_is_paid(m, ask, XN_ETIMEOUT);
}

/* The server's process dies while a task without an image begins, and xenodomd does
 * not come back. */
static void restarts_without_xenodomd(void **state)
{
    struct market *m = *state;

    m->brings_image = false;
    m->dom.silent = 1;
    create(m);
    market_serve(m);
    market_know_session(m);
    m->dom.up = false;
    market_restart(m);
    market_serve(m);
    market_pass(m, 400 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(shop_earned(&m->s, m->server), 0);
}

/* While xenodomd is away nothing could be started: that is not paid. */
static void xenodomd_goes_meanwhile(void **state)
{
    struct market *m = *state;

    m->fetch.silent = true;
    create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 360 * SECOND_US);
    dom_vanish(&m->dom, &m->h);
    market_pass(m, 200 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(shop_earned(&m->s, m->server), 10512, 10520);
    assert_int_equal(m->fetch.aborted, 1);
}

/* The image comes, the task runs: it pays on from there. */
static void slow_and_good(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    uint64_t ask;

    m->fetch.silent = true;
    ask = create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 355 * SECOND_US);
    m->fetch.silent = false;
    market_fetch_ends(m);
    market_serve_but_calls(m);
    market_pass(m, 5 * SECOND_US);
    session = market_session(m, ask);
    assert_int_equal(session->task->state, XN__TASK_STATE__RUNNING);
    xn__host_session__free_unpacked(session, NULL);
    market_pass(m, 360 * SECOND_US);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(shop_earned(&m->s, m->server), 21000, 21060);
}

/* It begins while a claim is under way: that one goes on, and is not made twice. */
static void begins_within_a_claim(void **state)
{
    struct market *m = *state;
    struct xn_action call;

    m->fetch.silent = true;
    create(m);
    market_serve(m);
    market_know_session(m);
    for (unsigned i = 0; i < 60 && !market_has_call(m, "/v1/charge"); i++) {
        crank_pass(&m->h, SECOND_US);
        market_serve_but_calls(m);
    }
    assert_true(market_has_call(m, "/v1/charge"));
    call = market_take_call(m, "/v1/charge");
    m->fetch.silent = false;
    market_fetch_ends(m);
    market_serve_but_calls(m);
    assert_int_equal(m->dom.starts, 1);
    assert_false(market_has_call(m, "/v1/charge"));
    m->s.c.now = m->h.now;
    market_carry(m, &call);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    assert_true(market_charged(m) > 0);
}

/* Who stops at the XenoCorp alone is heard there at the next claim. */
static void stopped_at_the_corp(void **state)
{
    struct market *m = *state;

    m->fetch.silent = true;
    create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 305 * SECOND_US);
    deal_ask_stop(&m->s, &m->d);
    shop_serve(&m->s);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(m->fetch.aborted, 1);
    assert_in_range(shop_earned(&m->s, m->server), 8700, 8950);
}

/* Stopping it before the download ends does not help. */
static void stopped_before_is_paid(void **state)
{
    struct market *m = *state;

    m->fetch.silent = true;
    create(m);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 360 * SECOND_US);
    market_restart(m);
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_pass(m, 30 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_in_range(shop_earned(&m->s, m->server), 10200, 10520);
}

/* Nor more in an hour than it may. */
static void no_longer_than_this_hour(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask;

    m->fetch.silent = true;
    market_quote(m, SMALL);
    market_order(m, m->word, GBP);
    m->d.narrowing.doc.narrowing.limits.most_per_hour = 5000;
    shop_seal(&m->d.narrowing, &m->s.client.party);
    ask = tasks_ask_create(m, true);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 300 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EMONEY);
    assert_non_null(strstr(because, "in this hour"));
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(shop_earned(&m->s, m->server), 5000);
}

/* No more is kept from others than the order pays for. */
static void no_longer_than_paid(void **state)
{
    struct market *m = *state;
    char because[300];
    uint64_t ask;

    m->fetch.silent = true;
    market_quote(m, SMALL);
    market_order(m, m->word, GBP / 1000); /* 36 s */
    ask = tasks_ask_create(m, true);
    market_serve(m);
    market_know_session(m);
    market_pass(m, 60 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EMONEY);
    assert_non_null(strstr(because, "spent before its task began"));
    assert_int_equal(m->fetch.aborted, 1);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(shop_earned(&m->s, m->server), GBP / 1000);
}

/* Then another may follow, and the session goes on. */
static void wrong_hash_of_a_later_one(void **state)
{
    static const int rcs[] = {XN_EINTEGRITY, XN_ENOENT, XN_ETOOBIG, XN_EPERM};
    struct market *m = *state;

    begin(m);
    for (uint8_t i = 0; i < 4; i++) {
        uint64_t ask;

        m->fetch.rc = rcs[i];
        ask = tasks_ask_new(m, i + 1, false);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, NULL), rcs[i]);
        /* The same again is told the same, and nothing is fetched. */
        ask = tasks_ask_new(m, i + 1, false);
        market_serve(m);
        assert_int_equal(market_refused(m, ask, NULL), rcs[i]);
        assert_int_equal(m->fetch.n, i + 1);
        market_pass(m, 2 * SECOND_US);
    }
    m->fetch.rc = 0;
    tasks_run(m, 9, false);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_RUNNING);
    assert_int_equal(m->dom.starts, 1);
}

static void the_driver_cannot(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    begin(m);
    m->fetch.done = XN_EREFUSED;
    ask = tasks_ask_new(m, 1, false);
    market_serve(m);
    assert_int_equal(market_refused(m, ask, NULL), XN_EREFUSED);
    assert_int_equal(m->dom.starts, 0);
}

/* The driver is busy: it is asked again. */
static void busy(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;
    uint64_t ask;

    begin(m);
    m->fetch.done = XN_EBUSY;
    ask = tasks_ask_new(m, 1, false);
    market_serve(m);
    assert_int_equal(crank_count(&m->h, XN_ACT_ANSWER), 0);
    m->fetch.done = 0;
    market_pass(m, 10 * SECOND_US);
    task = tasks_answered(m, ask);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_true(m->fetch.n >= 2);
}

/* A stop does not wait for a download. */
static void stopped_meanwhile(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    begin(m);
    m->fetch.silent = true;
    ask = tasks_ask_new(m, 1, false);
    market_serve(m);
    market_ask_stop(m, &m->s.client, &m->s.client);
    market_serve(m);
    market_pass(m, 5 * SECOND_US);
    assert_int_equal(market_refused(m, ask, NULL), XN_EREFUSED);
    assert_int_equal(m->fetch.n, 1);
    assert_int_equal(m->fetch.aborted, 1);
    assert_int_equal(m->dom.starts, 0);
    assert_int_equal(market_state(m), XN__SESSION_STATE__SESSION_ENDED);
}

static void killed_meanwhile(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;

    begin(m);
    m->fetch.silent = true;
    tasks_ask_new(m, 1, false);
    market_serve(m);
    market_restart(m);
    m->fetch.silent = false;
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    market_pass(m, 10 * SECOND_US);
    task = tasks_look(m);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->fetch.n, 2);
    assert_int_equal(m->dom.starts, 1);
    assert_string_equal(dom_last(&m->dom)->spec->image, "/images/one");
}

/* Whether the start was done is not known, and it was not: fetched again, since
 * nothing holds the image any more. */
static void start_was_lost(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;

    begin(m);
    m->dom.silent = 1;
    tasks_ask_new(m, 1, false);
    market_serve(m);
    assert_int_equal(m->dom.starts, 0);
    market_pass(m, 200 * SECOND_US);
    task = tasks_look(m);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->fetch.n, 2);
    assert_int_equal(m->dom.starts, 1);
}

/* What starts tasks is not there when the image is: by the time that it is, nobody
 * holds the image any more, so it is asked for again. */
static void nothing_to_start_it(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;

    begin(m);
    m->fetch.silent = true;
    tasks_ask_new(m, 1, false);
    market_serve(m);
    dom_vanish(&m->dom, &m->h);
    m->fetch.silent = false;
    market_fetch_ends(m);
    market_pass(m, 300 * SECOND_US);
    assert_int_equal(m->fetch.n, 1);
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    market_pass(m, 10 * SECOND_US);
    task = tasks_look(m);
    assert_int_equal(task->state, XN__TASK_STATE__RUNNING);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->fetch.n, 2);
    assert_int_equal(m->dom.starts, 1);
}

static void too_slow(void **state)
{
    struct market *m = *state;
    Xn__HostTask *task;

    begin(m);
    m->fetch.silent = true;
    tasks_ask_new(m, 1, false);
    market_serve(m);
    market_pass(m, 1000 * SECOND_US + SECOND_US);
    task = tasks_look(m);
    assert_int_equal(task->end, XN__TASK_END__NOT_STARTED);
    assert_int_equal(task->rc, XN_ETIMEOUT);
    xn__host_task__free_unpacked(task, NULL);
    assert_int_equal(m->fetch.aborted, 1);
}

/* Nothing is bought where it could not be used. */
static void no_images_here(void **state)
{
    struct market *m = *state;
    char because[300];

    m->config.images = false;
    market_restart(m);
    dom_connect(&m->dom, &m->h);
    market_serve(m);
    assert_int_equal(market_refused(m, create(m), because), XN_EREFUSED);
    assert_non_null(strstr(because, "takes no images"));
    assert_int_equal(m->calls_validate, 0);
    m->brings_image = false;
    m->word++;
    begin(m);
    m->brings_image = true;
    assert_int_equal(market_refused(m, tasks_ask_new(m, 1, false), NULL),
                     XN_EREFUSED);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, market_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(is_fetched_first),
        TEST(wrong_hash_of_the_first),
        TEST(says_what_for),
        TEST(slow_and_wrong_is_paid),
        TEST(slow_and_silent_is_paid),
        TEST(slow_and_failed_is_paid),
        cmocka_unit_test(short_is_free),
        TEST(no_cpu_is_paid),
        TEST(driver_stays_busy),
        TEST(nothing_to_start_the_first),
        TEST(restarts_without_xenodomd),
        TEST(xenodomd_goes_meanwhile),
        TEST(slow_and_good),
        TEST(begins_within_a_claim),
        TEST(stopped_at_the_corp),
        TEST(no_longer_than_this_hour),
        TEST(stopped_before_is_paid),
        TEST(no_longer_than_paid),
        TEST(wrong_hash_of_a_later_one),
        TEST(the_driver_cannot),
        TEST(busy),
        TEST(stopped_meanwhile),
        TEST(killed_meanwhile),
        TEST(start_was_lost),
        TEST(nothing_to_start_it),
        TEST(too_slow),
        TEST(no_images_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
