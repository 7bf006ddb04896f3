/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/cluster_kit.h"

#include <stdio.h>

#include "hostagent/member.h"
#include "lib/err.h"
#include "wire/api.pb-c.h"
#include "wire/nest.h"

/* As the driver has them. */
static const size_t of_host[] = {
    [XN__CALL_LANE__LANE_SHORT] = 8,
    [XN__CALL_LANE__LANE_LONG] = 32,
    [XN__CALL_LANE__LANE_WATCH] = 1,
    [XN__CALL_LANE__LANE_FETCH] = 32,
};

struct far far[MACHINES];
static const char *const sizes[MACHINES][2] = {
    {"4000", "2048"}, {"2000", "1024"}, {"1000", "512"}};

/* ---- a member ---- */

static void begin_far(struct far *f, const struct market *m)
{
    size_t i = (size_t)(f - far);
    struct member_config config = {.id = f->id, .manager = m->server->id};
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
void far_restart(struct far *f, struct market *m)
{
    for (size_t i = 0; i < f->n_held; i++)
        crank_done(&m->h, &f->held[i].act, XN_EUNREACH, 0, NULL);
    f->n_held = 0;
    crank_stop(&f->c);
    crank_clear(&f->c);
    begin_far(f, m);
}

void far_fetched(struct far *f, struct xn_action *act)
{
    Xn__Fetched body = XN__FETCHED__INIT;

    body.path = (char *)(uintptr_t) "/images/far";
    crank_done(&f->c, act, 0, XN__KIND__FETCHED, &body);
}

void far_serve(struct far *f)
{
    while (crank_count(&f->c, XN_ACT_FETCH)) {
        f->fetch = crank_take(&f->c, XN_ACT_FETCH);
        f->fetches++;
        if (!f->slow) far_fetched(f, &f->fetch);
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
    size_t busy[4] = {0};

    for (size_t i = 0; i < f->n_held; i++) {
        struct held *held = &f->held[i];
        const Xn__Call *call = call_of(held);

        if (busy[call->lane]++ >= of_host[call->lane] || held->ask) continue;
        held->ask =
            crank_ask_raw(&f->c, call->method, call->url + strlen(f->url),
                          call->body.data, call->body.len, &m->server->caller);
        far_serve(f);
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

/* ---- streams, as the driver has them ---- */

static struct far *whose(const char *url, const ProtobufCBinaryData *peer_id)
{
    struct far *f = NULL;
    xn_id peer;

    for (size_t i = 0; i < MACHINES; i++) {
        if (!strncmp(url, far[i].url, strlen(far[i].url))) f = &far[i];
    }
    if (!f) return NULL;
    assert_int_equal(xn_id_from_bytes(peer_id, &peer), 0);
    assert_true(xn_id_eq(&peer, &f->id));
    return f;
}

/* Its end here, with that of its member: DONE to both. */
static void end_stream(struct far *f, struct market *m, size_t i, int rc)
{
    struct held held = f->streams[i];

    f->streams[i] = f->streams[--f->n_streams];
    for (size_t n = 0; n < f->dom.n_waiting; n++) {
        struct xn_action act = f->dom.waiting[n];

        if (act.msg->kind != XN__KIND__ASK_STREAM ||
            XN_BODY(act.msg, Xn__AskStream)->ask != held.ask)
            continue;
        f->dom.waiting[n] = f->dom.waiting[--f->dom.n_waiting];
        crank_done(&f->c, &act, 0, 0, NULL);
        break;
    }
    crank_done(&m->h, &held.act, rc, 0, NULL);
}

void far_cut(struct far *f, struct market *m)
{
    assert_true(f->n_streams > 0);
    end_stream(f, m, f->n_streams - 1, 0);
}

static void refuse_stream(struct far *f, struct market *m,
                          struct xn_action *act, uint64_t ask)
{
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer = crank_answer(&f->c, ask, &msg);
    Xn__Refusal *said =
        xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
    Xn__DomTell tell = XN__DOM_TELL__INIT;

    assert_non_null(said);
    tell.rc = said->rc;
    tell.because = said->because;
    tell.advice = said->try_;
    crank_done(&m->h, act, 0, XN__KIND__DOM_TELL, &tell);
    xn__refusal__free_unpacked(said, NULL);
    xn_msg_free(msg);
}

static bool carry_stream(struct market *m, struct xn_action *act)
{
    const Xn__AskStream *want = XN_BODY(act->msg, Xn__AskStream);
    struct far *f = whose(want->url, &want->peer_id);
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    uint64_t ask;

    if (!f) return false;
    assert_string_equal(want->url + strlen(f->url), "/v1/stream");
    if (f->health != WELL) {
        crank_done(&m->h, act, f->health == DEAD ? XN_EUNREACH : XN_ETIMEOUT, 0,
                   NULL);
        return true;
    }
    body.name = want->name;
    body.port = want->port;
    body.argv = want->argv;
    body.n_argv = want->n_argv;
    body.terminal = want->terminal;
    ask = crank_ask(&f->c, "POST", "/v1/stream", &body, &m->server->caller);
    far_serve(f);
    if (has_answer(f, ask)) {
        refuse_stream(f, m, act, ask);
    } else {
        assert_true(f->n_streams < STREAMS);
        f->streams[f->n_streams++] = (struct held){*act, ask, 0};
    }
    return true;
}

static bool abort_stream(struct market *m, struct xn_action *act)
{
    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].n_streams; n++) {
            if (far[i].streams[n].act.ticket != act->ticket) continue;
            snprintf(far[i].why, sizeof far[i].why, "%s",
                     XN_BODY(act->msg, Xn__Reason)->text);
            xn_msg_free(act->msg);
            end_stream(&far[i], m, n, 0);
            return true;
        }
    }
    return false;
}

static bool carry(struct market *m, struct xn_action *act)
{
    const Xn__Call *call;
    struct far *f;

    if (act->kind == XN_ACT_ABORT) return abort_stream(m, act);
    if (act->kind == XN_ACT_DOMAIN)
        return act->msg->kind == XN__KIND__ASK_STREAM && carry_stream(m, act);
    call = XN_BODY(act->msg, Xn__Call);
    f = whose(call->url, &call->peer_id);
    if (!f) return false;
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
void cluster_pass(struct market *m, uint64_t us)
{
    for (uint64_t gone = 0; gone < us; gone += STEP_US) {
        for (size_t i = 0; i < MACHINES; i++) {
            if (!far[i].begun) continue;
            crank_pass(&far[i].c, STEP_US);
            far_serve(&far[i]);
            deliver(&far[i], m);
            give_up(&far[i], m);
        }
        market_pass(m, STEP_US);
    }
}

/* The manager dies, and what it asked is not heard of. */
void cluster_restart(struct market *m)
{
    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].n_held; n++)
            xn_msg_free(far[i].held[n].act.msg);
        far[i].n_held = 0;
    }
    market_restart(m);
}

int cluster_set_up(void **state)
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
    cluster_pass(m, SECOND_US);
    *state = m;
    return 0;
}

int cluster_tear_down(void **state)
{
    struct market *m = *state;

    for (size_t i = 0; i < MACHINES; i++) {
        for (size_t n = 0; n < far[i].n_held; n++)
            xn_msg_free(far[i].held[n].act.msg);
        for (size_t n = 0; n < far[i].n_streams; n++)
            xn_msg_free(far[i].streams[n].act.msg);
        dom_clear(&far[i].dom);
        if (far[i].begun) crank_clear(&far[i].c);
    }
    market_close(m);
    return 0;
}

/* ---- what is seen ---- */

/* A session of 1000 CPUsmps and 512 MemoryMB with a task. */
xn_id cluster_begin(struct market *m)
{
    m->word++;
    market_begin(m, 10 * GBP);
    tasks_run(m, m->word, true);
    return m->session;
}

size_t cluster_machine_of(const xn_id *session)
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

Xn__HostSession *cluster_look(struct market *m, const xn_id *session)
{
    m->session = *session;
    return market_look(m);
}

Xn__SessionState cluster_state_of(struct market *m, const xn_id *session)
{
    m->session = *session;
    return market_state(m);
}

int64_t cluster_paid_of(struct market *m, const xn_id *session)
{
    Xn__HostSession *s = cluster_look(m, session);
    int64_t micro = s->charged;

    xn__host_session__free_unpacked(s, NULL);
    return micro;
}

/* What is advertised: the document holds that element. */
bool cluster_says(struct market *m, const char *element)
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
