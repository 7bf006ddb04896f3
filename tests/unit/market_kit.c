/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/market_kit.h"

#include <stdio.h>

#include "lib/err.h"
#include "wire/envelope.h"
#include "wire/store.pb-c.h"

#define CORP_URL "https://corp.example:1"

/* ---- the world ---- */

static struct advert_offer make_offer(const char *setup, const char *per_hour)
{
    static const char *const corps[] = {"alpha.example"};
    static const struct advert_environment environments[] = {
        {"Linux", "6.1", "sandbox"}, {"NetBSD", "9.3", "sandbox"}};
    struct advert_offer offer;

    memset(&offer, 0, sizeof offer);
    offer.server_name = "otter";
    offer.corps = corps;
    offer.n_corps = 1;
    offer.endpoint = "https://127.0.0.1:9";
    offer.environments = environments;
    offer.n_environments = 2;
    offer.country = "GB";
    offer.cpu_smps = "8000";
    offer.memory_mb = "4096";
    offer.disk_gb = "40";
    offer.net_mbps = "100";
    offer.currency = "GBP";
    offer.setup = setup;
    offer.price_per_hour = per_hour;
    offer.cpu_second = "0.0001";
    offer.memory_mb_hour = "0.00001";
    return offer;
}

static struct xn_core *new_host(const struct market *m)
{
    struct xn_core *core = NULL;

    assert_int_equal(host_new(&m->config, 7, &core), 0);
    return core;
}

static void start(struct market *m)
{
    crank_init(&m->h, new_host(m), m->s.c.now.mono_us, m->s.c.now.wall_us);
    crank_wake(&m->h);
    if (m->dom.up) dom_connect(&m->dom, &m->h);
}

void market_restart(struct market *m)
{
    crank_stop(&m->h);
    m->s.c.now.mono_us += 1000;
    m->s.c.now.wall_us += 1000;
    start(m);
}

static void configure(struct market *m, const char *setup, const char *per_hour)
{
    m->offer = make_offer(setup, per_hour);
    host_config_default(&m->config);
    m->config.id = m->server->id;
    xn_id_hash("certificate", 11, &m->config.certificate);
    m->config.offer = &m->offer;
    m->config.nodes[0] = "https://node.example:1";
    m->config.n_nodes = 1;
    m->config.corp = m->s.corp_id;
    m->config.corp_url = CORP_URL;
}

static struct market *open_market(const char *setup, const char *per_hour,
                                  bool sandbox)
{
    struct market *m = calloc(1, sizeof *m);

    assert_non_null(m);
    shop_open(&m->s, NULL);
    shop_pay_in(&m->s, 1, 1000LL * GBP);
    m->server = &m->s.server[0];
    m->word = 42;
    xn_rng_seed(&m->rng, 5);
    xn_id_hash("node", 4, &m->node_id);
    xn__caller__init(&m->node);
    m->node.id = xn_id_bytes(&m->node_id);
    m->node.role = XN__ROLE__NODE;
    m->operator= m->server->caller;
    configure(m, setup, per_hour);
    m->config.sandbox = m->config.images = sandbox;
    m->dom.up = m->dom.exact = sandbox;
    return m;
}

static struct market *begin(struct market *m)
{
    start(m);
    market_serve(m);
    return m;
}

struct market *market_open(const char *setup, const char *per_hour)
{
    return begin(open_market(setup, per_hour, false));
}

struct market *market_open_sandbox(const char *setup, const char *per_hour)
{
    return begin(open_market(setup, per_hour, true));
}

struct market *market_open_xen(bool can, const char *no_xen)
{
    static const struct advert_environment domains[] = {
        {"Linux", "6.1", "pv"}, {"Linux", "6.1", "pvh"}};
    struct market *m = open_market(NULL, "0.1", true);

    m->offer.net_gb = "0.05";
    m->config.xen = true;
    m->config.image = "/images/linux";
    m->dom.exact = false; /* of sandboxes: it is not asked */
    m->dom.xen = m->dom.pvh = m->dom.bridge = can;
    m->offer.environments = domains;
    m->dom.no_xen = no_xen;
    return begin(m);
}

struct market *market_open_cluster(const struct host_member *members, size_t n,
                                   bool (*carry)(struct market *m,
                                                 struct xn_action *call))
{
    struct market *m = open_market(NULL, "0.1", true);

    memcpy(m->config.members, members, n * sizeof *members);
    m->config.n_members = n;
    m->config.bare = true;
    m->config.images = m->dom.up = false;
    m->carry = carry;
    return begin(m);
}

void market_close(struct market *m)
{
    deal_clear(&m->d);
    dom_clear(&m->dom);
    crank_clear(&m->h);
    shop_close(&m->s);
    free(m);
}

int market_set_up(void **state)
{
    *state = market_open(NULL, "0.1");
    return 0;
}

int market_tear_down(void **state)
{
    market_close(*state);
    return 0;
}

/* ---- the host's driver ---- */

static void serve_sign(struct market *m, struct xn_action *act)
{
    const Xn__Sign *sign = XN_BODY(act->msg, Xn__Sign);
    Xn__Signed out = XN__SIGNED__INIT;

    if (sign->form == XN__FORM__BLOB) { /* a lease: nobody looks at it here */
        out.data = sign->payload;
        crank_done(&m->h, act, 0, XN__KIND__SIGNED, &out);
        return;
    }
    assert_int_equal(envelope_sign(sign->payload.data, sign->payload.len,
                                   m->server->party.key, m->server->party.x509,
                                   &out.data.data, &out.data.len),
                     0);
    crank_done(&m->h, act, 0, XN__KIND__SIGNED, &out);
    free(out.data.data);
}

static void serve_verify(struct market *m, struct xn_action *act)
{
    const Xn__Verify *verify = XN_BODY(act->msg, Xn__Verify);
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer = XN__CALLER__INIT;
    struct xn_cert cert;
    int rc = envelope_verify(verify->data.data, verify->data.len, m->s.anchors,
                             m->h.now.wall_us, &cert, &out.payload.data,
                             &out.payload.len);

    if (rc) {
        crank_done(&m->h, act, rc, 0, NULL);
        return;
    }
    signer.id = xn_id_bytes(&cert.id);
    signer.corp = xn_id_bytes(&cert.corp);
    signer.role = cert.role;
    out.signer = &signer;
    crank_done(&m->h, act, 0, XN__KIND__VERIFIED, &out);
    free(out.payload.data);
}

static void serve_node(struct market *m, struct xn_action *act)
{
    const Xn__Call *call = XN_BODY(act->msg, Xn__Call);
    Xn__Published published = XN__PUBLISHED__INIT;
    Xn__PutResult result = XN__PUT_RESULT__INIT, *results[1] = {&result};
    Xn__NodeStatus status = XN__NODE_STATUS__INIT;

    if (!strstr(call->url, "/v1/publish")) {
        status.uptime_s = m->h.now.mono_us / SECOND_US;
        crank_called(&m->h, act, 200, &status, &m->node);
        return;
    }
    m->publishes++;
    result.server = xn_id_bytes(&m->server->id);
    published.n_results = 1;
    published.results = results;
    published.copies_least = 3;
    crank_called(&m->h, act, 200, &published, &m->node);
}

static bool is_corp_call(const struct xn_action *act)
{
    return act->kind == XN_ACT_CALL && strncmp(XN_BODY(act->msg, Xn__Call)->url,
                                               CORP_URL, strlen(CORP_URL)) == 0;
}

/* To the corp; the answer's message. */
static struct xn_msg *ask_corp(struct market *m, const Xn__Call *call)
{
    const char *path = call->url + strlen(CORP_URL);
    struct xn_msg *msg = NULL;
    uint64_t ask;

    m->calls_validate += strcmp(path, "/v1/validate") == 0;
    m->calls_charge += strcmp(path, "/v1/charge") == 0;
    ask = crank_ask_raw(&m->s.c, call->method, path, call->body.data,
                        call->body.len, &m->server->caller);
    shop_serve(&m->s);
    crank_answer(&m->s.c, ask, &msg);
    return msg;
}

static void answer_call(struct market *m, struct xn_action *act,
                        struct xn_msg *msg)
{
    Xn__Answer answer = *XN_BODY(msg, Xn__Answer);

    answer.server = &m->s.staff;
    crank_done(&m->h, act, 0, XN__KIND__ANSWER, &answer);
    xn_msg_free(msg);
}

void market_carry(struct market *m, struct xn_action *act)
{
    answer_call(m, act, ask_corp(m, XN_BODY(act->msg, Xn__Call)));
}

static bool chance(struct market *m, unsigned percent)
{
    return percent && xn_rng_between(&m->rng, 0, 99) < percent;
}

static void serve_corp(struct market *m, struct xn_action *act)
{
    const Xn__Call *call = XN_BODY(act->msg, Xn__Call);
    struct xn_msg *msg;

    if (m->corp_down || chance(m, m->lose_there)) {
        crank_done(&m->h, act, XN_EUNREACH, 0, NULL);
        return;
    }
    if (chance(m, m->twice)) xn_msg_free(ask_corp(m, call));
    msg = ask_corp(m, call);
    if (chance(m, m->lose_back)) {
        xn_msg_free(msg);
        crank_done(&m->h, act, XN_ETIMEOUT, 0, NULL);
        return;
    }
    answer_call(m, act, msg);
}

static struct xn_action take_at(struct crank *c, size_t i)
{
    struct xn_action act = c->pending[i];

    c->n_pending--;
    memmove(&c->pending[i], &c->pending[i + 1],
            (c->n_pending - i) * sizeof c->pending[0]);
    return act;
}

static void say_fetched(struct market *m, struct xn_action *act)
{
    Xn__Fetched body = XN__FETCHED__INIT;

    body.rc = m->fetch.rc;
    if (body.rc) {
        body.because = (char *)(uintptr_t) "the image's SHA-256 is another";
        body.advice = (char *)(uintptr_t) "another image";
    } else {
        body.path = (char *)(uintptr_t) "/images/one";
    }
    if (m->fetch.done)
        crank_done(&m->h, act, m->fetch.done, 0, NULL);
    else
        crank_done(&m->h, act, 0, XN__KIND__FETCHED, &body);
}

static void market_fetched(struct market *m, struct xn_action *act)
{
    m->fetch.n++;
    m->fetch.last = act->ticket;
    if (m->fetch.silent) {
        xn_msg_free(act->msg);
        return;
    }
    say_fetched(m, act);
}

void market_fetch_ends(struct market *m)
{
    struct xn_action act = {.kind = XN_ACT_FETCH, .ticket = m->fetch.last};

    say_fetched(m, &act);
}

static void serve(struct market *m, enum xn_act kind, size_t i)
{
    struct xn_action act;

    switch (kind) {
    case XN_ACT_READ: crank_serve_read(&m->h); return;
    case XN_ACT_TXN: crank_serve_txn(&m->h); return;
    default: break;
    }
    act = take_at(&m->h, i);
    switch (kind) {
    case XN_ACT_FETCH: market_fetched(m, &act); break;
    case XN_ACT_ABORT:
        if (act.ticket && act.ticket == m->fetch.last) {
            m->fetch.aborted++;
            crank_done(&m->h, &act, XN_ECANCELLED, 0, NULL);
            break;
        }
        if (m->carry && m->carry(m, &act)) break;
        dom_serve(&m->dom, &m->h, &act);
        break;
    case XN_ACT_DOMAIN:
        if (m->carry && m->carry(m, &act)) break;
        dom_serve(&m->dom, &m->h, &act);
        break;
    case XN_ACT_SIGN: serve_sign(m, &act); break;
    case XN_ACT_VERIFY: serve_verify(m, &act); break;
    case XN_ACT_CALL:
        if (m->carry && m->carry(m, &act)) break;
        if (is_corp_call(&act))
            serve_corp(m, &act);
        else
            serve_node(m, &act);
        break;
    default: fail_msg("no %s here", xn_act_name(kind));
    }
}

static bool serve_first(struct market *m, bool corp_calls)
{
    for (size_t i = 0; i < m->h.n_pending; i++) {
        const struct xn_action *act = &m->h.pending[i];

        if (act->kind == XN_ACT_ANSWER || act->kind == XN_ACT_ADMIT) continue;
        if (!corp_calls && is_corp_call(act)) continue;
        serve(m, act->kind, i);
        return true;
    }
    return false;
}

bool market_serve_one(struct market *m)
{
    return serve_first(m, true);
}

void market_serve(struct market *m)
{
    while (serve_first(m, true))
        ;
}

void market_serve_but_calls(struct market *m)
{
    while (serve_first(m, false))
        ;
}

void market_pass(struct market *m, uint64_t us)
{
    uint64_t until_us = m->h.now.mono_us + us;

    market_serve(m);
    while (m->h.now.mono_us < until_us) {
        uint64_t to_us = m->h.wake_us < until_us ? m->h.wake_us : until_us;
        uint64_t step = to_us > m->h.now.mono_us ? to_us - m->h.now.mono_us : 0;

        crank_pass(&m->s.c, step);
        shop_serve(&m->s);
        crank_pass(&m->h, step);
        market_serve(m);
    }
}

/* ---- the corp's part by hand ---- */

static size_t find_call(const struct market *m, const char *path)
{
    for (size_t i = 0; i < m->h.n_pending; i++) {
        const struct xn_action *act = &m->h.pending[i];

        if (is_corp_call(act) &&
            strcmp(XN_BODY(act->msg, Xn__Call)->url + strlen(CORP_URL), path) ==
                0) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool market_has_call(const struct market *m, const char *path)
{
    return find_call(m, path) != SIZE_MAX;
}

struct xn_action market_take_call(struct market *m, const char *path)
{
    size_t i = find_call(m, path);

    if (i == SIZE_MAX) fail_msg("no call of %s", path);
    return take_at(&m->h, i);
}

void market_say(struct market *m, struct xn_action *call, int status,
                const void *body)
{
    crank_called(&m->h, call, status, body, &m->s.staff);
}

void market_say_refusal(struct market *m, struct xn_action *call, int rc,
                        const char *reason)
{
    Xn__Refusal refusal = XN__REFUSAL__INIT;

    refusal.rc = rc;
    refusal.what = (char *)(uintptr_t) "cannot";
    refusal.because = (char *)(uintptr_t) "so it is";
    refusal.reason = (char *)(uintptr_t)(reason ? reason : "");
    market_say(m, call, 400, &refusal);
}

/* ---- the client's part ---- */

uint64_t market_ask(struct market *m, const char *method, const char *path,
                    const char *query, const void *body,
                    const Xn__Caller *caller)
{
    Xn__Ask ask = XN__ASK__INIT;
    struct xn_msg *msg = NULL;
    uint8_t *bytes = NULL;

    if (body) assert_int_equal(xn_pack(body, &bytes, &ask.body.len), 0);
    ask.body.data = bytes;
    ask.method = (char *)(uintptr_t)method;
    ask.path = (char *)(uintptr_t)path;
    ask.query = (char *)(uintptr_t)query;
    ask.caller = (Xn__Caller *)(uintptr_t)caller;
    assert_int_equal(xn_msg_new(XN__KIND__ASK, &ask, &msg), 0);
    crank_event(&m->h, XN_EV_ASK, ++m->h.asked, 0, msg);
    xn_msg_free(msg);
    free(bytes);
    return m->h.asked;
}

uint64_t market_ask_quote(struct market *m, const char *requirements,
                          const Xn__Caller *caller)
{
    Xn__AskQuote body = XN__ASK_QUOTE__INIT;

    body.requirements.data = (uint8_t *)(uintptr_t)requirements;
    body.requirements.len = requirements ? strlen(requirements) : 0;
    return market_ask(m, "POST", "/v1/quote", "", &body, caller);
}

static void keep(struct shop_doc *doc, ProtobufCBinaryData bytes)
{
    shop_doc_clear(doc);
    doc->data = malloc(bytes.len);
    assert_non_null(doc->data);
    memcpy(doc->data, bytes.data, bytes.len);
    doc->len = bytes.len;
}

void market_quote(struct market *m, const char *requirements)
{
    uint64_t ask = market_ask_quote(m, requirements, &m->s.client.caller);
    struct money_refusal why;
    Xn__Quoted *quoted;

    market_serve(m);
    quoted = crank_answered(&m->h, ask, &xn__quoted__descriptor);
    if (money_open(MONEY_QUOTE, quoted->quote.data, quoted->quote.len,
                   m->s.anchors, m->h.now.wall_us, &m->d.quote.doc, &why)) {
        fail_msg("%s", why.text);
    }
    keep(&m->d.quote, quoted->quote);
    xn__quoted__free_unpacked(quoted, NULL);
}

void market_free(struct market *m, char memory[48], char cpu[48])
{
    uint64_t ask = market_ask_quote(
        m,
        "<EnvironmentalRequirements><Resources><MemoryMB>1</MemoryMB>"
        "</Resources><QoS><CPUsmps>1</CPUsmps></QoS>"
        "</EnvironmentalRequirements>",
        &m->s.client.caller);
    Xn__Quoted *quoted;

    market_serve_but_calls(m);
    quoted = crank_answered(&m->h, ask, &xn__quoted__descriptor);
    snprintf(memory, 48, "%s", quoted->free->memory_mb);
    snprintf(cpu, 48, "%s", quoted->free->cpu_smps);
    xn__quoted__free_unpacked(quoted, NULL);
}

void market_order(struct market *m, uint8_t word, int64_t amount)
{
    struct deal with;

    deal_begin(&m->s, &with, word, amount, m->server);
    shop_doc_clear(&with.quote);
    with.quote = m->d.quote;
    shop_doc_clear(&m->d.order);
    shop_doc_clear(&m->d.narrowing);
    shop_doc_clear(&m->d.acceptance);
    m->d = with;
    deal_narrow(&m->s, &m->d);
}

uint64_t market_ask_create(struct market *m)
{
    Xn__CreateSession body = XN__CREATE_SESSION__INIT;
    ProtobufCBinaryData narrowing = shop_bytes(&m->d.narrowing);
    uint8_t word[32];

    memset(word, m->word, sizeof word);
    body.request = (ProtobufCBinaryData){sizeof word, word};
    body.order = shop_bytes(&m->d.order);
    body.quote = shop_bytes(&m->d.quote);
    body.narrowings = &narrowing;
    body.n_narrowings = 1;
    return market_ask(m, "POST", "/v1/sessions", "", &body,
                      &m->s.client.caller);
}

Xn__HostSession *market_session(struct market *m, uint64_t ask)
{
    Xn__HostSession *session =
        crank_answered(&m->h, ask, &xn__host_session__descriptor);

    assert_int_equal(xn_id_from_bytes(&session->session, &m->session), 0);
    return session;
}

void market_know_session(struct market *m)
{
    static const char word[] = "xn.session.1";
    xn_id parts[2] = {m->s.client.id};

    memset(parts[1].b, m->word, XN_ID_SIZE);
    xn_id_hash2(word, sizeof word, parts, sizeof parts, &m->session);
}

Xn__HostSession *market_look(struct market *m)
{
    char query[8 + XN_ID_HEX], hex[XN_ID_HEX];

    xn_id_hex(&m->session, hex);
    snprintf(query, sizeof query, "session=%s", hex);
    return market_session(
        m, market_ask(m, "GET", "/v1/sessions", query, NULL, &m->operator));
}

Xn__SessionState market_state(struct market *m)
{
    Xn__HostSession *session = market_look(m);
    Xn__SessionState state = session->state;

    xn__host_session__free_unpacked(session, NULL);
    return state;
}

void market_begin(struct market *m, int64_t amount)
{
    uint64_t ask;

    market_quote(m, "<EnvironmentalRequirements><Resources>"
                    "<MemoryMB>512</MemoryMB></Resources>"
                    "<QoS><CPUsmps>1000</CPUsmps></QoS>"
                    "</EnvironmentalRequirements>");
    market_order(m, m->word, amount);
    ask = market_ask_create(m);
    market_serve(m);
    xn__host_session__free_unpacked(market_session(m, ask), NULL);
}

uint64_t market_ask_stop(struct market *m, const struct shop_member *by,
                         const struct shop_member *caller)
{
    struct shop_doc stop = {.doc.type = MONEY_STOP};
    Xn__StopSession body = XN__STOP_SESSION__INIT;
    uint64_t ask;

    stop.doc.head.issued_us = m->h.now.wall_us;
    stop.doc.stop.narrowing = m->d.narrowing.doc.head.hash;
    shop_seal(&stop, &by->party);
    body.session = xn_id_bytes(&m->session);
    body.stop = shop_bytes(&stop);
    ask =
        market_ask(m, "POST", "/v1/sessions/stop", "", &body, &caller->caller);
    shop_doc_clear(&stop);
    return ask;
}

int market_refused(struct market *m, uint64_t ask, char because_out[300])
{
    return crank_refused_why(&m->h, ask, because_out);
}

int64_t market_charged(struct market *m)
{
    Xn__HostSession *session = market_look(m);
    int64_t charged = session->charged;

    assert_true(charged == session->claimed);
    assert_true(charged == shop_earned(&m->s, m->server));
    xn__host_session__free_unpacked(session, NULL);
    return charged;
}

/* It is done, and nobody hears of it. */
static void finish_domain(struct market *m)
{
    struct xn_action act;

    if (!crank_count(&m->h, XN_ACT_DOMAIN)) return;
    act = crank_take(&m->h, XN_ACT_DOMAIN);
    act.ticket = 0;
    m->dom.stops_slowly = true;
    dom_serve(&m->dom, &m->h, &act);
    m->dom.stops_slowly = false;
    for (size_t i = 0; i < m->dom.n; i++) {
        struct dom_task *task = &m->dom.tasks[i];

        if (!task->ended && task->state == XN__TASK_STATE__STOPPING)
            dom_end(&m->dom, &m->h, task, XN__TASK_END__STOPPED, 143, false);
    }
}

void market_finish_pending(struct market *m)
{
    static const char *const paths[] = {"/v1/validate", "/v1/charge"};

    finish_domain(m);
    if (crank_count(&m->h, XN_ACT_TXN)) {
        crank_serve_txn(&m->h);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        struct xn_action call;

        if (!market_has_call(m, paths[i])) continue;
        call = market_take_call(m, paths[i]);
        market_carry(m, &call);
        return;
    }
}
