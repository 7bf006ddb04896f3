/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A manager with three members, all of them the real cores, each member with a
 * xenodomd that is none: where sessions go, and what becomes of them and of their
 * money when a machine is silent, lost, back, or lies. */
#include <stdio.h>

#include "hostagent/member.h"
#include "hostagent/offer.h"
#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "tests/unit/task_kit.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

#define MACHINES 3
#define STEP_US (SECOND_US / 10)
#define GRACE_US (30 * SECOND_US)

enum health { WELL, SILENT, DEAD };
enum lie { NONE, AMOUNTS, LIVES }; /* that are others each time */

/* As the driver has them. */
static const size_t of_host[] = {
    [XN__CALL_LANE__LANE_SHORT] = 8,
    [XN__CALL_LANE__LANE_LONG] = 32,
    [XN__CALL_LANE__LANE_WATCH] = 1,
};

struct held { /* a call that its member has not answered */
    struct xn_action act;
    uint64_t ask; /* 0: it stands behind others of its lane */
    uint64_t until_us;
};

struct far {
    struct crank c;
    struct dom dom;
    xn_id id;
    const char *url;
    enum health health;
    enum lie lie;
    uint64_t lies;
    struct held held[64];
    size_t n_held;
    bool begun;
    bool stalls;                       /* xenodomd answers nothing */
    unsigned loses_lists, loses_stops; /* so many are lost on the way */
    bool endless;                      /* its list has no end */
    unsigned lists;
    struct xn_action fetch; /* under way, where it is slow */
    bool slow;
    unsigned fetches, aborted;
};

static struct far far[MACHINES];
static const char *const sizes[MACHINES][2] = {
    {"4000", "2048"}, {"2000", "1024"}, {"1000", "512"}};

/* ---- a member ---- */

static void begin_far(struct far *f, const struct market *m)
{
    size_t i = (size_t)(f - far);
    struct member_config config = {.manager = m->server->id};
    struct xn_core *core = NULL;

    config.amounts[0] = sizes[i][0];
    config.amounts[1] = sizes[i][1];
    config.images = i < 2;
    assert_int_equal(member_new(&config, 11 + m->h.now.mono_us, &core), 0);
    crank_init(&f->c, core, m->h.now.mono_us, m->h.now.wall_us);
    f->dom.up = f->dom.exact = true;
    dom_connect(&f->dom, &f->c);
    f->begun = true;
}

/* Its agent dies; xenodomd lives on. */
static void restart_far(struct far *f, struct market *m)
{
    for (size_t i = 0; i < f->n_held; i++)
        crank_done(&m->h, &f->held[i].act, XN_EUNREACH, 0, NULL);
    f->n_held = 0;
    crank_stop(&f->c);
    crank_clear(&f->c);
    begin_far(f, m);
}

static void fetched(struct far *f, struct xn_action *act)
{
    Xn__Fetched body = XN__FETCHED__INIT;

    body.path = (char *)(uintptr_t) "/images/far";
    crank_done(&f->c, act, 0, XN__KIND__FETCHED, &body);
}

static void serve_far(struct far *f)
{
    while (crank_count(&f->c, XN_ACT_FETCH)) {
        f->fetch = crank_take(&f->c, XN_ACT_FETCH);
        f->fetches++;
        if (!f->slow) fetched(f, &f->fetch);
    }
    while (!f->stalls && crank_count(&f->c, XN_ACT_DOMAIN)) {
        struct xn_action act = crank_take(&f->c, XN_ACT_DOMAIN);

        dom_serve(&f->dom, &f->c, &act);
    }
    while (crank_count(&f->c, XN_ACT_ABORT)) {
        struct xn_action act = crank_take(&f->c, XN_ACT_ABORT);

        if (act.ticket == f->fetch.ticket) {
            f->aborted++;
            crank_done(&f->c, &f->fetch, XN_ECANCELLED, 0, NULL);
            continue;
        }
        dom_serve(&f->dom, &f->c, &act);
    }
}

static bool has_answer(const struct far *f, uint64_t ask)
{
    for (size_t i = 0; i < f->c.n_pending; i++) {
        if (f->c.pending[i].kind == XN_ACT_ANSWER &&
            f->c.pending[i].ticket == ask)
            return true;
    }
    return false;
}

static const Xn__Call *call_of(const struct held *held)
{
    return XN_BODY(held->act.msg, Xn__Call);
}

/* Those to whose lane there is a connection, oldest first. */
static void send_held(struct far *f, const struct market *m)
{
    size_t busy[3] = {0};

    for (size_t i = 0; i < f->n_held; i++) {
        struct held *held = &f->held[i];
        const Xn__Call *call = call_of(held);

        if (busy[call->lane]++ >= of_host[call->lane] || held->ask) continue;
        held->ask =
            crank_ask_raw(&f->c, call->method, call->url + strlen(f->url),
                          call->body.data, call->body.len, &m->server->caller);
        serve_far(f);
    }
}

static struct held take_held(struct far *f, size_t i)
{
    struct held held = f->held[i];

    memmove(&f->held[i], &f->held[i + 1],
            (--f->n_held - i) * sizeof f->held[0]);
    return held;
}

/* Whom nobody answers in time. */
static void give_up(struct far *f, struct market *m)
{
    for (size_t i = 0; i < f->n_held;) {
        struct held held;

        if (m->h.now.mono_us < f->held[i].until_us) {
            i++;
            continue;
        }
        held = take_held(f, i);
        crank_done(&m->h, &held.act, XN_ETIMEOUT, 0, NULL);
    }
}

static void deliver(struct far *f, struct market *m)
{
    send_held(f, m);
    for (size_t i = 0; i < f->n_held;) {
        struct held held = f->held[i];
        struct xn_msg *msg = NULL;

        if (!held.ask || !has_answer(f, held.ask)) {
            i++;
            continue;
        }
        take_held(f, i);
        crank_answer(&f->c, held.ask, &msg);
        if (f->health != WELL)
            xn_msg_free(held.act.msg);
        else
            crank_done(&m->h, &held.act, 0, XN__KIND__ANSWER, msg->body);
        xn_msg_free(msg);
    }
}

static void lie(struct far *f, struct market *m, struct xn_action *act)
{
    Xn__Machine machine = XN__MACHINE__INIT;
    Xn__Amounts amounts = XN__AMOUNTS__INIT;
    Xn__Answer answer = XN__ANSWER__INIT;

    amounts.cpu_smps = (char *)(uintptr_t)(f->lies++ % 2 ? "3999" : "3998");
    amounts.memory_mb = (char *)(uintptr_t) "512";
    machine.life = f->lie == LIVES ? f->lies : UINT64_MAX;
    machine.up = machine.exact = true;
    machine.amounts = &amounts;
    answer.status = 200;
    assert_int_equal(xn_pack(&machine, &answer.body.data, &answer.body.len), 0);
    crank_done(&m->h, act, 0, XN__KIND__ANSWER, &answer);
    free(answer.body.data);
}

static void say_endless(struct market *m, struct xn_action *act)
{
    Xn__TaskStatus task = XN__TASK_STATUS__INIT, *tasks[] = {&task};
    Xn__DomTell tell = XN__DOM_TELL__INIT;

    task.name = (char *)(uintptr_t) "somebody's";
    tell.tasks = tasks;
    tell.n_tasks = 1;
    tell.more = true;
    crank_called(&m->h, act, 200, &tell, NULL);
}

/* On its way to a xenodomd. */
static bool is_lost(struct far *f, const Xn__DomAsk *ask)
{
    unsigned none = 0,
             *loses = ask->op == XN__DOM_OP__DOM_LIST   ? &f->loses_lists
                      : ask->op == XN__DOM_OP__DOM_STOP ? &f->loses_stops
                                                        : &none;

    return *loses && (*loses)--;
}

static bool goes_wrong(struct market *m, struct far *f, struct xn_action *act)
{
    const Xn__Call *call = XN_BODY(act->msg, Xn__Call);
    Xn__DomAsk *ask;
    bool list, lost;

    if (f->health != WELL || !strstr(call->url, "/v1/domain")) return false;
    ask = xn__dom_ask__unpack(NULL, call->body.len, call->body.data);
    assert_non_null(ask);
    list = ask->op == XN__DOM_OP__DOM_LIST;
    lost = is_lost(f, ask);
    xn__dom_ask__free_unpacked(ask, NULL);
    f->lists += list;
    assert_true(!f->endless || f->lists < 100);
    if (lost)
        crank_done(&m->h, act, XN_ETIMEOUT, 0, NULL);
    else if (list && f->endless)
        say_endless(m, act);
    return lost || (list && f->endless);
}

static bool carry(struct market *m, struct xn_action *act)
{
    const Xn__Call *call = XN_BODY(act->msg, Xn__Call);
    struct far *f = NULL;
    xn_id peer;

    for (size_t i = 0; i < MACHINES; i++) {
        if (!strncmp(call->url, far[i].url, strlen(far[i].url))) f = &far[i];
    }
    if (!f) return false;
    assert_int_equal(xn_id_from_bytes(&call->peer_id, &peer), 0);
    assert_true(xn_id_eq(&peer, &f->id));
    if (!f->begun) begin_far(f, m);
    if (goes_wrong(m, f, act)) return true;
    if (f->lie && strstr(call->url, "/v1/machine")) {
        lie(f, m, act);
    } else if (f->health == DEAD) {
        crank_done(&m->h, act, XN_EUNREACH, 0, NULL);
    } else if (f->health == SILENT) {
        xn_msg_free(act->msg);
    } else {
        assert_true(f->n_held < 64);
        f->held[f->n_held++] = (struct held){
            *act, 0, m->h.now.mono_us + call->patience_ms * 1000ULL};
        deliver(f, m);
    }
    return true;
}

/* Time goes by for all. */
static void pass(struct market *m, uint64_t us)
{
    for (uint64_t gone = 0; gone < us; gone += STEP_US) {
        for (size_t i = 0; i < MACHINES; i++) {
            if (!far[i].begun) continue;
            crank_pass(&far[i].c, STEP_US);
            serve_far(&far[i]);
            deliver(&far[i], m);
            give_up(&far[i], m);
        }
        market_pass(m, STEP_US);
    }
}

/* The manager dies, and what it asked is not heard of. */
static void restart(struct market *m)
{
    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].n_held; n++)
            xn_msg_free(far[i].held[n].act.msg);
        far[i].n_held = 0;
    }
    market_restart(m);
}

static int set_up(void **state)
{
    static const char *const urls[MACHINES] = {
        "https://m0.example:1", "https://m1.example:1", "https://m2.example:1"};
    struct host_member members[MACHINES];
    struct market *m;

    memset(far, 0, sizeof far);
    for (size_t i = 0; i < MACHINES; i++) {
        xn_id_hash(urls[i], strlen(urls[i]), &far[i].id);
        far[i].url = urls[i];
        members[i] = (struct host_member){far[i].id, urls[i]};
    }
    m = market_open_cluster(members, MACHINES, carry);
    pass(m, SECOND_US);
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    struct market *m = *state;

    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].n_held; n++)
            xn_msg_free(far[i].held[n].act.msg);
        dom_clear(&far[i].dom);
        if (far[i].begun) crank_clear(&far[i].c);
    }
    market_close(m);
    return 0;
}

/* ---- what is seen ---- */

/* A session of 1000 CPUsmps and 512 MemoryMB with a task. */
static xn_id begin(struct market *m)
{
    m->word++;
    market_begin(m, 10 * GBP);
    tasks_run(m, m->word, true);
    return m->session;
}

static size_t machine_of(const xn_id *session)
{
    char name[33];

    for (size_t i = 0; i < 16; i++)
        snprintf(name + 2 * i, 3, "%02x", session->b[i]);
    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].dom.n; n++) {
            if (!strncmp(far[i].dom.tasks[n].name, name, 32)) return i;
        }
    }
    fail_msg("no machine has it");
    return MACHINES;
}

static Xn__HostSession *look(struct market *m, const xn_id *session)
{
    m->session = *session;
    return market_look(m);
}

static Xn__SessionState state_of(struct market *m, const xn_id *session)
{
    m->session = *session;
    return market_state(m);
}

static int64_t paid_of(struct market *m, const xn_id *session)
{
    Xn__HostSession *s = look(m, session);
    int64_t micro = s->charged;

    xn__host_session__free_unpacked(s, NULL);
    return micro;
}

/* What is advertised: the document holds that element. */
static bool says(struct market *m, const char *element)
{
    uint64_t ask = market_ask(m, "GET", "/v1/status", "", NULL, &m->operator);
    Xn__HostStatus *status;
    char text[8192];
    bool has;

    market_serve(m);
    status = crank_answered(&m->h, ask, &xn__host_status__descriptor);
    assert_true(status->n_machines == MACHINES);
    assert_true(status->envelope.len < sizeof text);
    memcpy(text, status->envelope.data, status->envelope.len);
    for (size_t i = 0; i < status->envelope.len; i++) {
        if (!text[i]) text[i] = ' ';
    }
    text[status->envelope.len] = 0;
    has = strstr(text, element) != NULL;
    xn__host_status__free_unpacked(status, NULL);
    return has;
}

/* ---- the tests ---- */

static void a_session_goes_where_least_is_left(void **state)
{
    struct market *m = *state;
    static const size_t want[] = {2, 1, 1, 0, 0, 0, 0};
    char because[300];

    assert_true(says(m, "<CPUsmps>4000</CPUsmps>"));
    assert_true(says(m, "<ClusterCPUsmps>7000</ClusterCPUsmps>"));
    assert_true(says(m, "<Machines>3</Machines>"));
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        xn_id s = begin(m);

        assert_int_equal(machine_of(&s), want[i]);
        pass(m, SECOND_US); /* rates of asking */
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
    xn_id s = begin(m), other;
    struct far *f = &far[machine_of(&s)];
    int64_t before;

    pass(m, 20 * SECOND_US);
    f->health = SILENT;
    pass(m, 9 * SECOND_US);
    assert_true(says(m, "<Machines>2</Machines>"));
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    other = begin(m);
    assert_true(machine_of(&other) != (size_t)(f - far));
    pass(m, 10 * SECOND_US);
    before = paid_of(m, &s);
    pass(m, 5 * SECOND_US);
    assert_true(paid_of(m, &s) == before);
    f->health = WELL;
    pass(m, 7 * SECOND_US);
    assert_true(says(m, "<Machines>3</Machines>"));
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    pass(m, 25 * SECOND_US);
    assert_true(paid_of(m, &s) > before);
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
        assert_int_equal(machine_of(&m->session), 2);
        pass(m, SECOND_US);
    }
    f->stalls = true;
    for (size_t i = 0; i < 60; i++) {
        pass(m, SECOND_US);
        assert_true(says(m, "<Machines>3</Machines>"));
    }
    f->stalls = false;
    pass(m, 20 * SECOND_US);
    assert_int_equal(dom_live(&f->dom), 10);
    assert_int_equal(f->dom.starts, 10);
}

static void a_lost_machine_ends_its_sessions_alone(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m), other = begin(m);
    struct far *f = &far[machine_of(&s)];
    Xn__HostSession *session;
    int64_t paid, last;

    assert_true(machine_of(&other) != machine_of(&s));
    pass(m, 60 * SECOND_US);
    is_told(m, "up", (unsigned)machine_of(&s), 1);
    is_told(m, "sessions", (unsigned)machine_of(&s), 1);
    paid = paid_of(m, &s);
    f->health = DEAD;
    pass(m, GRACE_US + 25 * SECOND_US);
    is_told(m, "up", (unsigned)machine_of(&s), 0);
    is_told(m, "sessions", (unsigned)machine_of(&s), 0);
    is_told(m, "up", (unsigned)machine_of(&other), 1);
    session = look(m, &s);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(session->rc, XN_EUNREACH);
    assert_string_equal(session->reason, "the machine that it ran on is lost");
    assert_int_equal(session->task->end, XN__TASK_END__KEEPER);
    last = session->charged;
    xn__host_session__free_unpacked(session, NULL);
    /* 10 s at 0.1 an hour and its memory: no more than between two claims */
    assert_true(last >= paid && last - paid < 400);
    assert_true(state_of(m, &other) == XN__SESSION_STATE__SESSION_RUNNING);
    paid = paid_of(m, &other);
    pass(m, 20 * SECOND_US);
    assert_true(paid_of(m, &other) > paid);
    assert_true(paid_of(m, &s) == last);

    /* It was but cut off: what it ran is ended there, once. */
    assert_int_equal(dom_live(&f->dom), 1);
    f->health = WELL;
    pass(m, 10 * SECOND_US);
    assert_int_equal(dom_live(&f->dom), 0);
    assert_true(paid_of(m, &s) == last);
}

static void what_is_lost_on_the_way_is_asked_again(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m);
    struct far *f = &far[machine_of(&s)];
    unsigned lists;

    pass(m, 20 * SECOND_US);
    f->health = DEAD;
    pass(m, GRACE_US + 25 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
    f->health = WELL;
    f->loses_lists = 2;
    f->loses_stops = 2;
    pass(m, 40 * SECOND_US);
    assert_int_equal(f->loses_lists, 0);
    assert_int_equal(f->loses_stops, 0);
    assert_int_equal(dom_live(&f->dom), 0);
    lists = f->lists;
    pass(m, 60 * SECOND_US);
    assert_int_equal(f->lists, lists); /* it is clean */
}

static void a_list_without_end_is_not_followed(void **state)
{
    struct market *m = *state;

    far[1].endless = true;
    restart_far(&far[1], m);
    pass(m, 30 * SECOND_US);
    assert_in_range(far[1].lists, 2, 20);
}

static void grace_begins_with_the_first_miss(void **state)
{
    struct market *m = *state;
    xn_id s;

    m->config.grace_us = SECOND_US; /* less than an answer takes */
    restart(m);
    pass(m, 10 * SECOND_US);
    s = begin(m);
    for (size_t i = 0; i < 10; i++) {
        restart_far(&far[machine_of(&s)], m);
        pass(m, 4 * SECOND_US + i * SECOND_US / 5);
        assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    }
}

static void a_task_ends_with_its_order_at_the_latest(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m);
    struct dom_task *task = dom_last(&far[machine_of(&s)].dom);
    uint64_t end_us = task->started_us + task->spec->life_ms * 1000;
    uint64_t until_us = m->d.order.doc.order.limits.until_us;

    assert_in_range(end_us, until_us + 59 * SECOND_US,
                    until_us + 61 * SECOND_US);
}

static void what_is_accepted_for_a_lost_machine_never_begins(void **state)
{
    struct market *m = *state;
    Xn__HostSession *session;
    char because[300];
    uint64_t ask;

    m->config.grace_us = 10 * SECOND_US;
    restart(m);
    pass(m, 10 * SECOND_US);
    market_quote(m, SMALL);
    market_order(m, ++m->word, 10 * GBP);
    m->corp_down = true;
    ask = market_ask_create(m);
    pass(m, SECOND_US);
    for (size_t i = 0; i < MACHINES; i++)
        far[i].health = DEAD;
    pass(m, 15 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_EUNREACH);
    m->corp_down = false;
    pass(m, 5 * SECOND_US);
    market_know_session(m);
    session = market_look(m);
    assert_int_equal(session->state, XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(session->rc, XN_EUNREACH);
    assert_int_equal(session->charged, 0);
    xn__host_session__free_unpacked(session, NULL);
}

static void agents_are_restarted_and_tasks_go_on(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m);
    struct far *f = &far[machine_of(&s)];

    restart_far(f, m);
    pass(m, 12 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    restart(m);
    pass(m, 12 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    dom_end(&f->dom, &f->c, dom_last(&f->dom), XN__TASK_END__FINISHED, 0, true);
    pass(m, 3 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
    assert_int_equal(f->dom.starts, 1);
}

static void a_machine_taken_out_is_lost(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m);
    size_t at = machine_of(&s);

    assert_int_equal(at, 2); /* the last of them */
    m->config.n_members = 2;
    restart(m);
    pass(m, 30 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_ENDED);
}

static void a_member_speaks_for_its_own_sessions(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m), other = begin(m);
    struct far *f = &far[machine_of(&s)], *liar = &far[machine_of(&other)];
    struct dom_task *task = dom_last(&liar->dom);
    char name[64];

    /* It says that the other machine's task has ended. */
    snprintf(name, sizeof name, "%s", task->name);
    snprintf(task->name, sizeof task->name, "%s", dom_last(&f->dom)->name);
    dom_end(&liar->dom, &liar->c, task, XN__TASK_END__FINISHED, 0, true);
    pass(m, 3 * SECOND_US);
    assert_true(state_of(m, &s) == XN__SESSION_STATE__SESSION_RUNNING);
    assert_int_equal(dom_live(&f->dom), 1);
}

static void a_meter_that_lies_is_cut(void **state)
{
    struct market *m = *state;
    xn_id s = begin(m);
    struct far *f = &far[machine_of(&s)];

    dom_last(&f->dom)->cpu_ns = UINT64_MAX;
    pass(m, 60 * SECOND_US);
    /* a CPU at 0.0001 a second, and what time makes */
    assert_true(paid_of(m, &s) > 0 && paid_of(m, &s) < 60 * 100 + 60 * 40);
}

static void a_member_that_says_something_else_each_time(void **state)
{
    struct market *m = *state;
    struct far *f = &far[0];
    unsigned before;

    pass(m, 20 * SECOND_US);
    before = m->publishes;
    f->lie = AMOUNTS; /* the first are those of a new life */
    pass(m, 30 * SECOND_US);
    assert_true(f->lies > 100);
    assert_int_equal(m->publishes - before, 1);
    assert_true(says(m, "<CPUsmps>3998</CPUsmps>"));

    f->lie = LIVES;
    before = m->publishes;
    pass(m, 60 * SECOND_US);
    assert_true(m->publishes - before >= 2 && m->publishes - before <= 7);
    far[1].health = DEAD; /* another's loss is said all the same */
    pass(m, 16 * SECOND_US);
    assert_true(says(m, "<Machines>2</Machines>"));
}

static void news_that_was_missed_is_looked_for(void **state)
{
    struct market *m = *state;
    xn_id s[3];
    struct far *f = &far[0];

    for (size_t i = 0; i < 3; i++)
        s[i] = begin(m);
    f = &far[machine_of(&s[0])];
    f->health = SILENT;
    pass(m, SECOND_US);
    dom_end(&f->dom, &f->c, dom_last(&f->dom), XN__TASK_END__FINISHED, 0,
            false); /* and nobody is told */
    restart_far(f, m);
    f->health = WELL;
    pass(m, 10 * SECOND_US);
    assert_true(state_of(m, &s[0]) == XN__SESSION_STATE__SESSION_ENDED);
    assert_true(state_of(m, &s[1]) == XN__SESSION_STATE__SESSION_RUNNING);
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
    pass(m, SECOND_US);
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
    restart(m);
    pass(m, 10 * SECOND_US);
    assert_own(m, "500", "256");
    offer_again(m, "600", NULL);
    assert_own(m, "600", "256");
    offer_again(m, NULL, "128");
    assert_own(m, "600", "128");
    offer_again(m, NULL, NULL);
    assert_own(m, "600", "128");
}

/* ---- a member alone ---- */

static int refused(struct far *f, const char *path, const void *body,
                   const Xn__Caller *caller)
{
    uint64_t ask = crank_ask(&f->c, "POST", path, body, caller);

    serve_far(f);
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
    assert_int_equal(machine_of(&m->session), 1);
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
    pass(m, 60 * SECOND_US);
    assert_int_equal(far[1].fetches, 1); /* asked for again and again */
    assert_int_equal(far[1].dom.starts, 0);
    fetched(&far[1], &far[1].fetch);
    pass(m, SECOND_US);
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
        pass(m, SECOND_US);
        market_know_session(m);
        ids[i] = m->session;
    }
    pass(m, 50 * SECOND_US); /* past the patience of both, asked again */
    assert_int_equal(far[1].fetches, 1);
    fetched(&far[1], &far[1].fetch);
    pass(m, 2 * SECOND_US);
    for (size_t i = 0; i < 2; i++) {
        xn__host_session__free_unpacked(market_session(m, asks[i]), NULL);
        assert_true(state_of(m, &ids[i]) == XN__SESSION_STATE__SESSION_RUNNING);
    }
    assert_int_equal(far[1].dom.starts, 2);
    assert_int_equal(far[1].fetches, 1);
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
    pass(m, 5 * SECOND_US);
    far[1].health = DEAD;
    pass(m, GRACE_US + 40 * SECOND_US);
    assert_int_equal(market_refused(m, ask, because), XN_ETIMEOUT);
    assert_string_equal(because, "its task did not start in time");
    assert_int_equal(far[1].aborted, 1); /* nobody asked again */
    market_know_session(m);
    assert_true(market_state(m) == XN__SESSION_STATE__SESSION_ENDED);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_session_goes_where_least_is_left),
        TEST(a_silent_machine_is_not_offered_nor_paid),
        TEST(a_stalled_xenodomd_is_no_silence),
        TEST(a_lost_machine_ends_its_sessions_alone),
        TEST(what_is_lost_on_the_way_is_asked_again),
        TEST(a_list_without_end_is_not_followed),
        TEST(grace_begins_with_the_first_miss),
        TEST(a_task_ends_with_its_order_at_the_latest),
        TEST(what_is_accepted_for_a_lost_machine_never_begins),
        TEST(agents_are_restarted_and_tasks_go_on),
        TEST(a_machine_taken_out_is_lost),
        TEST(a_member_speaks_for_its_own_sessions),
        TEST(a_meter_that_lies_is_cut),
        TEST(a_member_that_says_something_else_each_time),
        TEST(news_that_was_missed_is_looked_for),
        TEST(its_own_machine_offers_what_was_said_of_it),
        TEST(a_member_answers_its_manager_alone),
        TEST(no_folder_is_taken_from_a_manager),
        TEST(an_image_is_fetched_by_the_machine),
        TEST(a_slow_image_is_waited_for),
        TEST(two_sessions_wait_for_one_image),
        TEST(a_member_fetches_so_many_at_once),
        TEST(its_machine_is_lost_meanwhile),
        TEST(a_configuration_is_packed_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
