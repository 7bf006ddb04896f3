/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A host agent whose one session runs tasks: whatever clients, xenodomd and the
 * store do, its state holds together, no question is answered twice, and each
 * answer is a refusal with reasons or what its path gives.
 *
 * The input is a row of steps: a byte for what happens, and what it takes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/host.h"
#include "lib/err.h"
#include "tests/fuzz/host_papers.h"
#include "wire/nest.h"
#include "wire/store.pb-c.h"

#define WALL_US (1795255200ULL * 1000000)
#define RECORDS 64
#define ASKS 512
#define STEPS 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct record {
    uint8_t *key, *value;
    size_t key_len, len;
};

struct fuzz {
    const uint8_t *at, *end;
    struct xn_core *core;
    struct xn_now now;
    uint64_t wake_us;
    struct xn_action pending[256];
    size_t n_pending;
    struct record records[RECORDS];
    size_t n_records;
    bool answered[ASKS];
    unsigned asks;
    xn_id me, corp, holder, session;
    struct papers_ids ids;
};

static unsigned byte(struct fuzz *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

/* The next so many, at most. */
static ProtobufCBinaryData bytes(struct fuzz *f)
{
    size_t len = byte(f) * 4, left = (size_t)(f->end - f->at);
    ProtobufCBinaryData out;

    if (len > left) len = left;
    out = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)f->at};
    f->at += len;
    return out;
}

/* ---- the store ---- */

static struct record *find(struct fuzz *f, const ProtobufCBinaryData *key)
{
    for (size_t i = 0; i < f->n_records; i++) {
        if (f->records[i].key_len == key->len &&
            !memcmp(f->records[i].key, key->data, key->len)) {
            return &f->records[i];
        }
    }
    return NULL;
}

static uint8_t *copy(const ProtobufCBinaryData *b)
{
    uint8_t *out = malloc(b->len + 1);

    assert(out);
    if (b->len) memcpy(out, b->data, b->len);
    return out;
}

static void put(struct fuzz *f, const Xn__Write *w)
{
    struct record *r = find(f, &w->key);

    if (r) {
        free(r->key);
        free(r->value);
        *r = f->records[--f->n_records];
    }
    if (w->drop || f->n_records == RECORDS) return;
    f->records[f->n_records++] = (struct record){copy(&w->key), copy(&w->value),
                                                 w->key.len, w->value.len};
}

/* ---- the core ---- */

static void check_answer(struct fuzz *f, const struct xn_action *act)
{
    const Xn__Answer *answer = XN_BODY(act->msg, Xn__Answer);
    Xn__Refusal *refusal;

    assert(act->ticket > 0 && act->ticket <= f->asks);
    assert(!f->answered[act->ticket]);
    f->answered[act->ticket] = true;
    if (answer->status == 200) return;
    refusal = xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
    assert(refusal && refusal->rc < 0 && refusal->what[0] &&
           refusal->because[0]);
    xn__refusal__free_unpacked(refusal, NULL);
}

static void step(struct fuzz *f, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg)
{
    struct xn_event ev = {kind, ticket, rc, XN_PEER_NONE, msg};
    struct xn_outbox box;
    char why[128];

    assert(!xn_core_step(f->core, &f->now, &ev, &box));
    f->wake_us = box.wake_us;
    for (size_t i = 0; i < box.n; i++) {
        if (box.act[i].kind == XN_ACT_ANSWER) {
            check_answer(f, &box.act[i]);
        } else if (box.act[i].kind == XN_ACT_TXN || box.act[i].ticket) {
            if (f->n_pending == 256) continue; /* lost */
            f->pending[f->n_pending] = box.act[i];
            xn_msg_ref(f->pending[f->n_pending++].msg);
        }
    }
    if (!xn_core_check(f->core, why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
}

static void done(struct fuzz *f, size_t i, int rc, unsigned kind,
                 const void *body)
{
    struct xn_action act = f->pending[i];
    struct xn_msg *msg = NULL;

    f->n_pending--;
    memmove(&f->pending[i], &f->pending[i + 1],
            (f->n_pending - i) * sizeof act);
    if (!rc && body) assert(!xn_msg_new(kind, body, &msg));
    if (act.ticket) step(f, XN_EV_DONE, act.ticket, rc, msg);
    xn_msg_free(msg);
    xn_msg_free(act.msg);
}

static bool oldest(const struct fuzz *f, enum xn_act kind, size_t *i_out)
{
    for (size_t i = 0; i < f->n_pending; i++) {
        if (f->pending[i].kind != kind) continue;
        *i_out = i;
        return true;
    }
    return false;
}

static void serve_read(struct fuzz *f, size_t at)
{
    const Xn__Read *read = XN_BODY(f->pending[at].msg, Xn__Read);
    Xn__Record rows[RECORDS], *list[RECORDS];
    Xn__Records out = XN__RECORDS__INIT;

    out.records = list;
    for (size_t i = 0; i < f->n_records; i++) {
        const struct record *r = &f->records[i];

        if (r->key_len < read->prefix.len ||
            memcmp(r->key, read->prefix.data, read->prefix.len)) {
            continue;
        }
        xn__record__init(&rows[out.n_records]);
        rows[out.n_records].key = (ProtobufCBinaryData){r->key_len, r->key};
        rows[out.n_records].value = (ProtobufCBinaryData){r->len, r->value};
        list[out.n_records] = &rows[out.n_records];
        out.n_records++;
    }
    done(f, at, 0, XN__KIND__RECORDS, &out);
}

static void serve_txn(struct fuzz *f, size_t at, int rc)
{
    const Xn__Txn *txn = XN_BODY(f->pending[at].msg, Xn__Txn);

    for (size_t i = 0; !rc && i < txn->n_writes; i++)
        put(f, txn->writes[i]);
    done(f, at, rc, 0, NULL);
}

static void serve_store(struct fuzz *f)
{
    size_t at;

    while (oldest(f, XN_ACT_READ, &at))
        serve_read(f, at);
}

static void begin(struct fuzz *f)
{
    static const struct advert_environment env = {"Linux", "6.1", "sandbox"};
    static const char *const corps[] = {"alpha"};
    struct advert_offer offer = {.server_name = "otter",
                                 .corps = corps,
                                 .n_corps = 1,
                                 .endpoint = "https://127.0.0.1:9",
                                 .environments = &env,
                                 .n_environments = 1,
                                 .cpu_smps = "8000",
                                 .memory_mb = "4096",
                                 .currency = "GBP",
                                 .price_per_hour = "0.1"};
    struct host_config config;

    host_config_default(&config);
    config.id = f->me;
    config.certificate = f->corp;
    config.offer = &offer;
    config.nodes[0] = "https://127.0.0.1:1";
    config.n_nodes = 1;
    config.corp = f->corp;
    config.corp_url = "https://127.0.0.1:2";
    config.sandbox = config.images = true;
    config.sessions_max = 2;
    assert(!host_new(&config, 7, &f->core));
    step(f, XN_EV_WAKE, 0, 0, NULL);
    serve_store(f);
}

static void drop_pending(struct fuzz *f)
{
    while (f->n_pending)
        xn_msg_free(f->pending[--f->n_pending].msg);
}

static void restart(struct fuzz *f)
{
    drop_pending(f);
    xn_core_free(f->core);
    memset(f->answered, 1, f->asks + 1); /* connections are gone */
    begin(f);
}

/* One that runs, bought long ago. */
static void store_session(struct fuzz *f)
{
    Xn__SessionRecord r = XN__SESSION_RECORD__INIT;
    uint8_t rates[5 * XN_DEC_BYTES], none[6 * XN_DEC_BYTES] = {0}, key[33];
    xn_dec d[5] = {xn_dec_int(1000), xn_dec_int(512), {0}, {0}, {0}};
    Xn__Write w = XN__WRITE__INIT;
    uint8_t *packed = NULL;

    xn_decs_put(d, 5, rates);
    r.state = XN__SESSION_STATE__SESSION_RUNNING;
    r.request = r.serial = r.narrowing = r.quote = r.last = r.acceptance =
        xn_id_bytes(&f->session);
    r.holder = xn_id_bytes(&f->holder);
    r.env_type = (char *)(uintptr_t) "Linux";
    r.currency = (char *)(uintptr_t) "GBP";
    r.rates = (ProtobufCBinaryData){sizeof rates, rates};
    r.prices = (ProtobufCBinaryData){6 * XN_DEC_BYTES, none};
    r.usage = r.metered = (ProtobufCBinaryData){5 * XN_DEC_BYTES, none};
    r.envelope = xn_id_bytes(&f->session);
    r.amount = 1000000000;
    r.since_us = r.till_us = r.metered_us = WALL_US;
    r.until_us = WALL_US + 3600000000ULL;
    r.counting = r.used = true;
    assert(!xn_pack(&r, &packed, &w.value.len));
    key[0] = 's';
    memcpy(key + 1, f->session.b, 32);
    w.key = (ProtobufCBinaryData){sizeof key, key};
    w.value.data = packed;
    put(f, &w);
    free(packed);
}

/* ---- what happens ---- */

static void ask(struct fuzz *f, const char *method, const char *path,
                const char *query, ProtobufCBinaryData body, unsigned who)
{
    Xn__Ask question = XN__ASK__INIT;
    Xn__Caller caller = XN__CALLER__INIT;
    struct xn_msg *msg = NULL;
    const xn_id *ids[] = {&f->holder, &f->me, &f->session};

    if (f->asks + 1 == ASKS) return;
    caller.id = xn_id_bytes(ids[who % 3]);
    caller.role = who % 3 == 1 ? XN__ROLE__SERVER : XN__ROLE__CLIENT;
    caller.corp = xn_id_bytes(&f->corp);
    question.method = (char *)(uintptr_t)method;
    question.path = (char *)(uintptr_t)path;
    question.query = (char *)(uintptr_t)query;
    question.body = body;
    question.caller = &caller;
    assert(!xn_msg_new(XN__KIND__ASK, &question, &msg));
    step(f, XN_EV_ASK, ++f->asks, 0, msg);
    xn_msg_free(msg);
}

static void ask_anything(struct fuzz *f)
{
    static const char *const paths[] = {
        "/v1/tasks",         "/v1/tasks/input", "/v1/tasks/stop",
        "/v1/console",       "/v1/sessions",    "/v1/quote",
        "/v1/status",        "/v1/offer",       "/v1/sessions/stop",
        "/v1/tasks/forward", "/v1/tasks/exec",  "/v1/activity"};
    unsigned path = byte(f), who = byte(f);
    ProtobufCBinaryData b = bytes(f);
    char query[1100];
    size_t n = 0;

    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] >= ' ' && b.data[i] < 127) query[n++] = (char)b.data[i];
    }
    query[n] = 0;
    ask(f, path & 128 ? "GET" : "POST",
        paths[(path & 127) % (sizeof paths / sizeof *paths)], query, b, who);
}

static void ask_task(struct fuzz *f)
{
    Xn__NewTask task = XN__NEW_TASK__INIT;
    char *argv[1] = {(char *)(uintptr_t) "/bin/true"};
    ProtobufCBinaryData body = {0, NULL};
    uint8_t word[32] = {0}, *packed = NULL;
    Xn__TaskImage image = XN__TASK_IMAGE__INIT;
    unsigned flags = byte(f);

    image.url = (char *)(uintptr_t) "https://127.0.0.1/image";
    image.sha256 = xn_id_bytes(&f->corp);
    if (flags & 64) task.image = &image;
    word[0] = (uint8_t)(1 + flags % 8);
    task.session = xn_id_bytes(&f->session);
    task.request = (ProtobufCBinaryData){sizeof word, word};
    task.argv = argv;
    task.n_argv = 1;
    task.last = flags & 128;
    assert(!xn_pack(&task, &packed, &body.len));
    body.data = packed;
    ask(f, "POST", "/v1/tasks", "", body, 0);
    free(packed);
}

static void ask_about_task(struct fuzz *f)
{
    static const char *const paths[] = {"/v1/tasks", "/v1/console"};
    char query[200], hex[XN_ID_HEX];
    unsigned which = byte(f);

    xn_id_hex(&f->session, hex);
    snprintf(query, sizeof query, "session=%s&task=%u&wait_ms=%u", hex,
             which % 4, (which & 64) * 300);
    ask(f, "GET", paths[which >> 7], query, (ProtobufCBinaryData){0, NULL},
        which & 32 ? 1 : 0);
}

struct telling {
    Xn__DomTell tell;
    Xn__TaskStatus status, *list[1];
    Xn__TaskReading reading;
    Xn__TaskExit exit;
    char name[64];
};

static void tell_of(struct fuzz *f, struct telling *t, const char *name)
{
    unsigned how = byte(f), cpu = byte(f);

    xn__dom_tell__init(&t->tell);
    xn__task_status__init(&t->status);
    xn__task_reading__init(&t->reading);
    xn__task_exit__init(&t->exit);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->status.name = t->exit.name = t->name;
    t->status.state = (Xn__TaskState)(how % 5);
    t->reading.cpu_ns = (uint64_t)cpu << (cpu % 56);
    if (how & 16) t->status.reading = &t->reading;
    if (how % 5 == 4) {
        t->status.exit = &t->exit;
        t->exit.end = (Xn__TaskEnd)(cpu % 9);
    }
    t->list[0] = &t->status;
    t->tell.tasks = t->list;
    t->tell.n_tasks = how & 32 ? 0 : 1;
    t->tell.exact = how & 64;
    t->tell.rc = how & 128 ? -(int)(cpu % 30) : 0;
}

/* What other streams, some of which may be there, have carried. */
static void carry(struct fuzz *f, size_t at)
{
    Xn__AllCarried body = XN__ALL_CARRIED__INIT;
    Xn__Carried rows[8], *list[8];

    for (size_t i = 0; i < f->n_pending && body.n_streams < 8; i++) {
        Xn__Carried *row = &rows[body.n_streams];

        if (f->pending[i].kind != XN_ACT_DOMAIN) continue;
        xn__carried__init(row);
        row->ticket = f->pending[i].ticket;
        row->sent = (uint64_t)byte(f) << byte(f) % 60;
        row->got = byte(f);
        list[body.n_streams++] = row;
    }
    body.streams = list;
    done(f, at, 0, XN__KIND__ALL_CARRIED, &body);
}

static void domain_done(struct fuzz *f, bool raw)
{
    Xn__Carried carried = XN__CARRIED__INIT;
    static const int errors[] = {XN_EUNREACH, XN_EUNKNOWN, XN_ETIMEOUT,
                                 XN_EBUSY};
    Xn__ConsolePiece piece = XN__CONSOLE_PIECE__INIT;
    Xn__DomTell *tell = NULL;
    const Xn__DomAsk *asked;
    struct telling t;
    size_t i;

    if (!oldest(f, XN_ACT_DOMAIN, &i)) return;
    if (f->pending[i].msg->kind == XN__KIND__ASK_CONSOLE) {
        piece.data = bytes(f);
        done(f, i, 0, XN__KIND__CONSOLE_PIECE, &piece);
    } else if (raw) {
        ProtobufCBinaryData b = bytes(f);

        tell = xn_unpack(&xn__dom_tell__descriptor, b.data, b.len);
        done(f, i, tell ? 0 : errors[b.len / 4 % 4], XN__KIND__DOM_TELL, tell);
        if (tell) xn__dom_tell__free_unpacked(tell, NULL);
    } else if (f->pending[i].msg->kind == XN__KIND__ASK_STREAM) {
        tell_of(f, &t, XN_BODY(f->pending[i].msg, Xn__AskStream)->name);
        carried.sent = carried.got = t.reading.cpu_ns;
        if (t.tell.rc)
            done(f, i, 0, XN__KIND__DOM_TELL, &t.tell);
        else
            done(f, i, 0, XN__KIND__CARRIED, &carried);
    } else if (f->pending[i].msg->kind == XN__KIND__ASK_CARRIED) {
        carry(f, i);
    } else {
        asked = XN_BODY(f->pending[i].msg, Xn__DomAsk);
        tell_of(f, &t,
                asked->spec      ? asked->spec->name
                : asked->n_names ? asked->names[0]
                                 : asked->name);
        done(f, i, 0, XN__KIND__DOM_TELL, &t.tell);
    }
}

static void news(struct fuzz *f)
{
    static const char *const kinds[] = {"domains", "domain", "domains-gone",
                                        "other"};
    Xn__News body = XN__NEWS__INIT;
    struct xn_msg *msg = NULL;
    unsigned how = byte(f);
    uint8_t *packed = NULL;
    char name[64], hex[XN_ID_HEX];
    struct telling t;

    xn_id_hex(&f->session, hex);
    snprintf(name, sizeof name, "%.32s-%u", hex, how / 16 % 4);
    body.kind = (char *)(uintptr_t)kinds[how % 4];
    body.name = name;
    if (how & 4) {
        body.detail = bytes(f);
    } else {
        tell_of(f, &t, name);
        assert(!xn_pack(&t.tell, &packed, &body.detail.len));
        body.detail.data = packed;
    }
    assert(!xn_msg_new(XN__KIND__NEWS, &body, &msg));
    step(f, XN_EV_NEWS, 0, 0, msg);
    xn_msg_free(msg);
    free(packed);
}

static void pass(struct fuzz *f)
{
    uint64_t us = 1000ULL << (byte(f) % 20);

    f->now.mono_us += us;
    f->now.wall_us += us;
    step(f, XN_EV_WAKE, 0, 0, NULL);
}

static void fetch_done(struct fuzz *f, size_t i)
{
    Xn__Fetched body = XN__FETCHED__INIT;
    unsigned how = byte(f);

    body.path = (char *)(uintptr_t) "/images/one";
    body.rc = how & 64 ? -(int)(how % 30) : 0;
    if (how & 128)
        done(f, i, -(int)(1 + how % 30), 0, NULL);
    else
        done(f, i, 0, XN__KIND__FETCHED, &body);
}

/* What is of no interest here fails, but for signatures and images. */
static void other_done(struct fuzz *f)
{
    Xn__Signed made = XN__SIGNED__INIT;
    size_t i;

    if (oldest(f, XN_ACT_FETCH, &i)) {
        fetch_done(f, i);
    } else if (oldest(f, XN_ACT_SIGN, &i)) {
        made.data = XN_BODY(f->pending[i].msg, Xn__Sign)->payload;
        done(f, i, 0, XN__KIND__SIGNED, &made);
    } else if (oldest(f, XN_ACT_CALL, &i) || oldest(f, XN_ACT_VERIFY, &i)) {
        done(f, i, XN_EUNREACH, 0, NULL);
    }
}

/* ---- an order that is brought ---- */

static void ask_extend(struct fuzz *f)
{
    unsigned how = byte(f);
    ProtobufCBinaryData body = papers_extend(&f->ids, how, f->now.wall_us);

    ask(f, "POST", "/v1/sessions/extend", "", body, how & 128 ? 2 : 0);
    free(body.data);
}

static void verify_done(struct fuzz *f)
{
    Xn__Verified said = XN__VERIFIED__INIT;
    Xn__Caller signer;
    size_t i;

    if (!oldest(f, XN_ACT_VERIFY, &i)) return;
    said.payload = XN_BODY(f->pending[i].msg, Xn__Verify)->data;
    said.signer = &signer;
    if (papers_signer(&f->ids, said.payload, &signer))
        done(f, i, 0, XN__KIND__VERIFIED, &said);
    else
        done(f, i, XN_EINTEGRITY, 0, NULL);
}

static void call_done(struct fuzz *f)
{
    static const char *const reasons[] = {"", "CLAIM_ENDED", "CLAIM_STOPPED",
                                          "CLAIM_RATE", "CLAIM_PRICE"};
    Xn__Refusal refusal = XN__REFUSAL__INIT;
    Xn__Answer answer = XN__ANSWER__INIT;
    Xn__Caller corp = XN__CALLER__INIT;
    const Xn__Call *call;
    unsigned how = byte(f);
    size_t i;

    if (!oldest(f, XN_ACT_CALL, &i)) return;
    call = XN_BODY(f->pending[i].msg, Xn__Call);
    corp.id = xn_id_bytes(&f->corp);
    answer.server = &corp;
    refusal.rc = -(int)(1 + how % 30);
    refusal.because = (char *)(uintptr_t) "so it is";
    refusal.reason = (char *)(uintptr_t)reasons[how % 5];
    if (strstr(call->url, "/v1/validate") && !(how & 128))
        answer.body =
            papers_validated(&f->ids, call->body, how, f->now.wall_us);
    answer.status = answer.body.data ? 200 : 400;
    if (!answer.body.data)
        assert(!xn_pack(&refusal, &answer.body.data, &answer.body.len));
    done(f, i, 0, XN__KIND__ANSWER, &answer);
    free(answer.body.data);
}

/* The last of a session's: as its holder signed it is not known here. */
static void stop_by_operator(struct fuzz *f)
{
    Xn__StopSession body = XN__STOP_SESSION__INIT;
    ProtobufCBinaryData packed = {0, NULL};

    body.session = xn_id_bytes(&f->session);
    assert(!xn_pack(&body, &packed.data, &packed.len));
    ask(f, "POST", "/v1/sessions/stop", "", packed, 1);
    free(packed.data);
}

static void happen_to_orders(struct fuzz *f, unsigned what)
{
    switch (what) {
    case 0: ask_extend(f); break;
    case 1: verify_done(f); break;
    case 2: call_done(f); break;
    default: stop_by_operator(f);
    }
    serve_store(f);
}

static void happen(struct fuzz *f)
{
    unsigned what = byte(f);
    size_t i;

    if (what >= 252) {
        happen_to_orders(f, what - 252);
        return;
    }
    switch (what % 12) {
    case 0: ask_anything(f); break;
    case 1: ask_task(f); break;
    case 2: ask_about_task(f); break;
    case 3:
    case 4: domain_done(f, false); break;
    case 5: domain_done(f, true); break;
    case 6: news(f); break;
    case 7:
        if (oldest(f, XN_ACT_TXN, &i)) serve_txn(f, i, 0);
        break;
    case 8:
        if (oldest(f, XN_ACT_TXN, &i)) serve_txn(f, i, XN_EIO);
        break;
    case 9: pass(f); break;
    case 10:
        if (byte(f) < 8) {
            restart(f);
        } else if (f->asks) {
            i = 1 + byte(f) % f->asks;
            if (f->answered[i]) break;
            f->answered[i] = true; /* and never will be */
            step(f, XN_EV_CANCEL, i, 0, NULL);
        }
        break;
    default: other_done(f);
    }
    serve_store(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz *f = calloc(1, sizeof *f);

    assert(f);
    f->at = data;
    f->end = data + len;
    f->now = (struct xn_now){1000, WALL_US + 1000000};
    xn_id_hash("me", 2, &f->me);
    xn_id_hash("corp", 4, &f->corp);
    xn_id_hash("holder", 6, &f->holder);
    xn_id_hash("session", 7, &f->session);
    f->ids = (struct papers_ids){f->me, f->corp, f->holder, f->session};
    store_session(f);
    begin(f);
    for (unsigned i = 0; i < STEPS && f->at < f->end; i++)
        happen(f);
    drop_pending(f);
    xn_core_free(f->core);
    for (size_t i = 0; i < f->n_records; i++) {
        free(f->records[i].key);
        free(f->records[i].value);
    }
    free(f);
    return 0;
}
