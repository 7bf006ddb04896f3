/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a cluster's sessions go, and what becomes of them and of their money when
 * a machine is silent, lost, back, or lies. */
#include <stdio.h>

#include "hostagent/offer.h"
#include "lib/err.h"
#include "tests/unit/cluster_kit.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

static void a_session_goes_where_least_is_left(void **state)
{
    struct market *m = *state;
    static const size_t want[] = {2, 1, 1, 0, 0, 0, 0};
    char because[300];

    assert_true(cluster_says(m, "<CPUsmps>4000</CPUsmps>"));
    assert_true(cluster_says(m, "<ClusterCPUsmps>7000</ClusterCPUsmps>"));
    assert_true(cluster_says(m, "<Machines>3</Machines>"));
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        xn_id s = cluster_begin(m);

        assert_int_equal(cluster_machine_of(&s), want[i]);
        cluster_pass(m, SECOND_US); /* rates of asking */
    }
    assert_int_equal(
        market_refused(m, market_ask_quote(m, SMALL, &m->s.client.caller),
                       because),
        XN_EREFUSED);
    assert_string_equal(because, "CPUsmps: 1000 asked, 0 free");
}

static void a_silent_machine_is_not_offered_nor_paid(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m), other;
    struct far *f = &far[cluster_machine_of(&s)];
    int64_t before;

    cluster_pass(m, 20 * SECOND_US);
    f->health = SILENT;
    cluster_pass(m, 9 * SECOND_US);
    assert_true(cluster_says(m, "<Machines>2</Machines>"));
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    other = cluster_begin(m);
    assert_true(cluster_machine_of(&other) != (size_t)(f - far));
    cluster_pass(m, 10 * SECOND_US);
    before = cluster_paid_of(m, &s);
    cluster_pass(m, 5 * SECOND_US);
    assert_true(cluster_paid_of(m, &s) == before);
    f->health = WELL;
    cluster_pass(m, 7 * SECOND_US);
    assert_true(cluster_says(m, "<Machines>3</Machines>"));
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    cluster_pass(m, 25 * SECOND_US);
    assert_true(cluster_paid_of(m, &s) > before);
    assert_int_equal(f->dom.starts, 1);
    assert_int_equal(f->dom.stops, 0);
}

/* Of this machine, as metrics tell it. */
static void is_told(struct market *m, const char *what, unsigned machine,
                    unsigned value)
{
    struct xn_msg *msg = NULL;
    uint64_t ask = market_ask(m, "GET", "/metrics", "", NULL, &m->operator);
    const Xn__Answer *answer = crank_answer(&m->h, ask, &msg);
    char line[200];

    snprintf(line, sizeof line, "\nxeno_host_machine_%s{machine=\"%s\"} %u\n",
             what, far[machine].url, value);
    assert_int_equal(answer->status, 200);
    if (!memmem(answer->body.data, answer->body.len, line, strlen(line)))
        fail_msg("%s in\n%.*s", line, (int)answer->body.len,
                 (const char *)answer->body.data);
    xn_msg_free(msg);
}

/* Its agent answers, whatever xenodomd does. */
static void a_stalled_xenodomd_is_no_silence(void **state)
{
    struct market *m = *state;
    struct far *f = &far[2];
    uint64_t ask;

    for (size_t i = 0; i < 10; i++) {
        m->word++;
        market_quote(m, WANT("<Resources><MemoryMB>16</MemoryMB></Resources>"
                             "<QoS><CPUsmps>100</CPUsmps></QoS>"));
        market_order(m, m->word, 10 * GBP);
        ask = market_ask_create(m);
        market_serve(m);
        xn__host_session__free_unpacked(market_session(m, ask), NULL);
        tasks_run(m, m->word, true);
        assert_int_equal(cluster_machine_of(&m->session), 2);
        cluster_pass(m, SECOND_US);
    }
    f->stalls = true;
    for (size_t i = 0; i < 60; i++) {
        cluster_pass(m, SECOND_US);
        assert_true(cluster_says(m, "<Machines>3</Machines>"));
    }
    f->stalls = false;
    cluster_pass(m, 20 * SECOND_US);
    assert_int_equal(dom_live(&f->dom), 10);
    assert_int_equal(f->dom.starts, 10);
}

static void a_lost_machine_ends_its_sessions_alone(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m), other = cluster_begin(m);
    struct far *f = &far[cluster_machine_of(&s)];
    Xn__HostSession *session;
    char because[300];
    int64_t paid, last;

    assert_true(cluster_machine_of(&other) != cluster_machine_of(&s));
    cluster_pass(m, 60 * SECOND_US);
    is_told(m, "up", (unsigned)cluster_machine_of(&s), 1);
    is_told(m, "sessions", (unsigned)cluster_machine_of(&s), 1);
    paid = cluster_paid_of(m, &s);
    f->health = DEAD;
    cluster_pass(m, GRACE_US + 25 * SECOND_US);
    is_told(m, "up", (unsigned)cluster_machine_of(&s), 0);
    is_told(m, "sessions", (unsigned)cluster_machine_of(&s), 0);
    is_told(m, "up", (unsigned)cluster_machine_of(&other), 1);
    session = cluster_look(m, &s);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(session->rc, XN_EUNREACH);
    assert_string_equal(session->reason, "the machine that it ran on is lost");
    assert_int_equal(session->task->end, XN__TASK_END__KEEPER);
    last = session->charged;
    xn__host_session__free_unpacked(session, NULL);
    /* 10 s at 0.1 an hour and its memory: no more than between two claims */
    assert_true(last >= paid && last - paid < 400);
    assert_true(cluster_state_of(m, &other) ==
                XN__SESSION_STATE__SESSION_RUNNING);
    paid = cluster_paid_of(m, &other);
    cluster_pass(m, 20 * SECOND_US);
    assert_true(cluster_paid_of(m, &other) > paid);
    assert_true(cluster_paid_of(m, &s) == last);

    m->session = s;
    assert_int_equal(
        market_refused(m, tasks_ask_console(m, 0, 0, &m->s.client.caller),
                       because),
        XN_EREFUSED);
    assert_string_equal(because, "the machine that it ran on is lost");

    /* It was but cut off: what it ran is ended there, once. */
    assert_int_equal(dom_live(&f->dom), 1);
    f->health = WELL;
    cluster_pass(m, 10 * SECOND_US);
    assert_int_equal(dom_live(&f->dom), 0);
    assert_true(cluster_paid_of(m, &s) == last);
}

static void what_is_lost_on_the_way_is_asked_again(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m);
    struct far *f = &far[cluster_machine_of(&s)];
    unsigned lists;

    cluster_pass(m, 20 * SECOND_US);
    f->health = DEAD;
    cluster_pass(m, GRACE_US + 25 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
    f->health = WELL;
    f->loses_lists = 2;
    f->loses_stops = 2;
    cluster_pass(m, 40 * SECOND_US);
    assert_int_equal(f->loses_lists, 0);
    assert_int_equal(f->loses_stops, 0);
    assert_int_equal(dom_live(&f->dom), 0);
    lists = f->lists;
    cluster_pass(m, 60 * SECOND_US);
    assert_int_equal(f->lists, lists); /* it is clean */
}

static void a_list_without_end_is_not_followed(void **state)
{
    struct market *m = *state;

    far[1].endless = true;
    far_restart(&far[1], m);
    cluster_pass(m, 30 * SECOND_US);
    assert_in_range(far[1].lists, 2, 20);
}

static void grace_begins_with_the_first_miss(void **state)
{
    struct market *m = *state;
    xn_id s;

    m->config.grace_us = SECOND_US; /* less than an answer takes */
    cluster_restart(m);
    cluster_pass(m, 10 * SECOND_US);
    s = cluster_begin(m);
    for (size_t i = 0; i < 10; i++) {
        far_restart(&far[cluster_machine_of(&s)], m);
        cluster_pass(m, 4 * SECOND_US + i * SECOND_US / 5);
        assert_true(cluster_state_of(m, &s) ==
                    XN__SESSION_STATE__SESSION_RUNNING);
    }
}

static void a_task_ends_with_its_order_at_the_latest(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m);
    struct dom_task *task = dom_last(&far[cluster_machine_of(&s)].dom);
    uint64_t end_us = task->started_us + task->spec->life_ms * 1000;
    uint64_t until_us = m->d.order.doc.order.limits.until_us;

    assert_in_range(end_us, until_us + 59 * SECOND_US,
                    until_us + 61 * SECOND_US);
}

/* Asked for; before the XenoCorp can be asked all machines are lost. */
static void lose_what_is_not_accepted(struct market *m)
{
    char because[300];
    uint64_t ask;

    m->config.grace_us = 10 * SECOND_US;
    cluster_restart(m);
    cluster_pass(m, 10 * SECOND_US);
    market_quote(m, SMALL);
    market_order(m, ++m->word, 10 * GBP);
    m->corp_down = true;
    ask = market_ask_create(m);
    cluster_pass(m, SECOND_US);
    for (size_t i = 0; i < MACHINES; i++)
        far[i].health = DEAD;
    cluster_pass(m, 15 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EUNKNOWN);
    assert_string_equal(because, "the machine that it was to run on is lost");
    market_know_session(m);
}

static void assert_never_begun(struct market *m)
{
    Xn__HostSession *session = market_look(m);

    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(session->rc, XN_EUNREACH);
    assert_int_equal(session->charged, 0);
    xn__host_session__free_unpacked(session, NULL);
    for (size_t i = 0; i < MACHINES; i++)
        assert_int_equal(far[i].dom.starts, 0);
}

static void what_is_accepted_for_a_lost_machine_never_begins(void **state)
{
    struct market *m = *state;

    lose_what_is_not_accepted(m);
    m->corp_down = false;
    cluster_pass(m, 5 * SECOND_US);
    assert_never_begun(m);
}

static void nor_where_its_machine_is_back_before(void **state)
{
    struct market *m = *state;

    lose_what_is_not_accepted(m);
    for (size_t i = 0; i < MACHINES; i++)
        far[i].health = WELL;
    cluster_pass(m, 10 * SECOND_US);
    cluster_restart(m); /* it is on record */
    cluster_pass(m, 10 * SECOND_US);
    m->corp_down = false;
    cluster_pass(m, 90 * SECOND_US);
    assert_never_begun(m);
}

/* ... but elsewhere, where the same is asked again. */
static void what_is_asked_again_finds_another_machine(void **state)
{
    struct market *m = *state;
    uint64_t ask;

    lose_what_is_not_accepted(m);
    far[0].health = WELL;
    cluster_pass(m, 10 * SECOND_US);
    m->corp_down = false;
    ask = market_ask_create(m);
    cluster_pass(m, 5 * SECOND_US);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
    tasks_run(m, 1, true);
    assert_int_equal(cluster_machine_of(&m->session), 0);
}

static void agents_are_restarted_and_tasks_go_on(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m);
    struct far *f = &far[cluster_machine_of(&s)];

    far_restart(f, m);
    cluster_pass(m, 12 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    cluster_restart(m);
    cluster_pass(m, 12 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    dom_end(&f->dom, &f->c, dom_last(&f->dom), XN__TASK_END__FINISHED, 0, true);
    cluster_pass(m, 3 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(f->dom.starts, 1);
}

static void a_machine_taken_out_is_lost(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m);
    size_t at = cluster_machine_of(&s);

    assert_int_equal(at, 2); /* the last of them */
    m->config.n_members = 2;
    cluster_restart(m);
    cluster_pass(m, 30 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
}

static void a_member_speaks_for_its_own_sessions(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m), other = cluster_begin(m);
    struct far *f = &far[cluster_machine_of(&s)],
               *liar = &far[cluster_machine_of(&other)];
    struct dom_task *task = dom_last(&liar->dom);
    char name[64];

    /* It says that the other machine's task has ended. */
    snprintf(name, sizeof name, "%s", task->name);
    snprintf(task->name, sizeof task->name, "%s", dom_last(&f->dom)->name);
    dom_end(&liar->dom, &liar->c, task, XN__TASK_END__FINISHED, 0, true);
    cluster_pass(m, 3 * SECOND_US);
    assert_true(cluster_state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    assert_int_equal(dom_live(&f->dom), 1);
}

static void a_meter_that_lies_is_cut(void **state)
{
    struct market *m = *state;
    xn_id s = cluster_begin(m);
    struct far *f = &far[cluster_machine_of(&s)];

    dom_last(&f->dom)->cpu_ns = UINT64_MAX;
    cluster_pass(m, 60 * SECOND_US);
    /* a CPU at 0.0001 a second, and what time makes */
    assert_true(cluster_paid_of(m, &s) > 0 &&
                cluster_paid_of(m, &s) < 60 * 100 + 60 * 40);
}

static void a_member_that_says_something_else_each_time(void **state)
{
    struct market *m = *state;
    struct far *f = &far[0];
    unsigned before;

    cluster_pass(m, 20 * SECOND_US);
    before = m->publishes;
    f->lie = AMOUNTS; /* the first are those of a new life */
    cluster_pass(m, 30 * SECOND_US);
    assert_true(f->lies > 100);
    assert_int_equal(m->publishes - before, 1);
    assert_true(cluster_says(m, "<CPUsmps>3998</CPUsmps>"));

    f->lie = LIVES;
    f->lies = 0;
    before = m->publishes;
    cluster_pass(m, 60 * SECOND_US);
    assert_in_range(f->lies, 50, 61); /* all that it has is looked at */
    assert_true(m->publishes - before >= 2 && m->publishes - before <= 7);
    far[1].health = DEAD; /* another's loss is said all the same */
    cluster_pass(m, 16 * SECOND_US);
    assert_true(cluster_says(m, "<Machines>2</Machines>"));
}

static void news_that_was_missed_is_looked_for(void **state)
{
    struct market *m = *state;
    xn_id s[3];
    struct far *f = &far[0];

    for (size_t i = 0; i < 3; i++)
        s[i] = cluster_begin(m);
    f = &far[cluster_machine_of(&s[0])];
    f->health = SILENT;
    cluster_pass(m, SECOND_US);
    dom_end(&f->dom, &f->c, dom_last(&f->dom), XN__TASK_END__FINISHED, 0,
            false); /* and nobody is told */
    far_restart(f, m);
    f->health = WELL;
    cluster_pass(m, 10 * SECOND_US);
    assert_true(cluster_state_of(m, &s[0]) == XN__SESSION_STATE__SESSION_ENDED);
    assert_true(cluster_state_of(m, &s[1]) ==
                XN__SESSION_STATE__SESSION_RUNNING);
}

/* ---- a machine of its own ---- */

static void offer_again(struct market *m, const char *cpu, const char *memory)
{
    struct advert_offer offer = m->offer;
    uint8_t *bytes = NULL;
    size_t len = 0;
    uint64_t ask;

    offer.cpu_smps = cpu;
    offer.memory_mb = memory;
    assert_int_equal(offer_pack(&offer, &bytes, &len), 0);
    ask = crank_ask_raw(&m->h, "POST", "/v1/offer", bytes, len, &m->operator);
    free(bytes);
    market_serve(m);
    xn__host_status__free_unpacked(
        crank_answered(&m->h, ask, &xn__host_status__descriptor), NULL);
    cluster_pass(m, SECOND_US);
}

static void assert_own(struct market *m, const char *cpu, const char *memory)
{
    uint64_t ask = market_ask(m, "GET", "/v1/status", "", NULL, &m->operator);
    Xn__HostStatus *status;

    market_serve(m);
    status = crank_answered(&m->h, ask, &xn__host_status__descriptor);
    assert_true(status->n_machines == MACHINES + 1);
    assert_string_equal(status->machines[0]->url, "");
    assert_string_equal(status->machines[0]->offered->cpu_smps, cpu);
    assert_string_equal(status->machines[0]->offered->memory_mb, memory);
    xn__host_status__free_unpacked(status, NULL);
}

static void its_own_machine_offers_what_was_said_of_it(void **state)
{
    struct market *m = *state;

    m->config.bare = false;
    m->offer.cpu_smps = "500";
    m->offer.memory_mb = "256";
    cluster_restart(m);
    cluster_pass(m, 10 * SECOND_US);
    assert_own(m, "500", "256");
    offer_again(m, "600", NULL);
    assert_own(m, "600", "256");
    offer_again(m, NULL, "128");
    assert_own(m, "600", "128");
    offer_again(m, NULL, NULL);
    assert_own(m, "600", "128");
}
static void a_configuration_is_packed_whole(void **state)
{
    struct market *m = *state;
    struct xn_core *core = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;

    m->config.members[1].id = m->config.members[0].id;
    assert_int_equal(host_new(&m->config, 1, &core), XN_EINVAL); /* twice */
    m->config.members[1].id = far[1].id;
    assert_int_equal(host_config_pack(&m->config, &bytes, &len), 0);
    assert_int_equal(host_new_packed(bytes, len, 7, &core), 0);
    xn_core_free(core);
    free(bytes);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, cluster_set_up, cluster_tear_down)
        TEST(a_session_goes_where_least_is_left),
        TEST(a_silent_machine_is_not_offered_nor_paid),
        TEST(a_stalled_xenodomd_is_no_silence),
        TEST(a_lost_machine_ends_its_sessions_alone),
        TEST(what_is_lost_on_the_way_is_asked_again),
        TEST(a_list_without_end_is_not_followed),
        TEST(grace_begins_with_the_first_miss),
        TEST(a_task_ends_with_its_order_at_the_latest),
        TEST(what_is_accepted_for_a_lost_machine_never_begins),
        TEST(nor_where_its_machine_is_back_before),
        TEST(what_is_asked_again_finds_another_machine),
        TEST(agents_are_restarted_and_tasks_go_on),
        TEST(a_machine_taken_out_is_lost),
        TEST(a_member_speaks_for_its_own_sessions),
        TEST(a_meter_that_lies_is_cut),
        TEST(a_member_that_says_something_else_each_time),
        TEST(news_that_was_missed_is_looked_for),
        TEST(its_own_machine_offers_what_was_said_of_it),
        TEST(a_configuration_is_packed_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
