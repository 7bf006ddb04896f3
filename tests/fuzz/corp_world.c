/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/corp_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corp/audit.h"
#include "corp/ledger_in.h"
#include "corp/order_file.h"
#include "lib/err.h"
#include "wire/cert.h"
#include "wire/key.h"

#define TURNS_MAX 100000 /* of one question's consequences: else it hangs */

/* ---- who ---- */

xn_id world_id(char letter)
{
    xn_id id;

    memset(&id, letter, sizeof id);
    return id;
}

static Xn__Role role_of(char letter)
{
    switch (letter) {
    case 'c':
    case 'd':
    case 'o': return XN__ROLE__CLIENT;
    case 's':
    case 't': return XN__ROLE__SERVER;
    case 'n': return XN__ROLE__NODE;
    case 'k': return XN__ROLE__CORP;
    default: return XN__ROLE__ANYBODY;
    }
}

Xn__Caller world_caller(char letter)
{
    static xn_id ids[128];
    Xn__Caller caller = XN__CALLER__INIT;
    unsigned at = (unsigned char)letter % 128;

    ids[at] = world_id((char)at);
    ids['k'] = world_id('k');
    ids['l'] = world_id('l');
    caller.id = xn_id_bytes(&ids[at]);
    caller.role = role_of((char)at);
    if (caller.role != XN__ROLE__ANYBODY) {
        caller.corp = xn_id_bytes(&ids[at == 'o' ? 'l' : 'k']);
        caller.label = (char *)(uintptr_t) "somebody";
        caller.not_after_us = UINT64_MAX;
    }
    if (caller.role == XN__ROLE__NODE) caller.position = caller.id;
    return caller;
}

struct corp_config world_config(void)
{
    struct corp_config config;

    corp_config_default(&config);
    config.name = "alpha.example";
    config.certificate = (const uint8_t *)"CORP";
    config.certificate_len = 4;
    config.id = world_id('k');
    return config;
}

/* ---- the driver ---- */

static void keep(struct world *w, const struct xn_action *act)
{
    if (act->kind == XN_ACT_LOG) return;
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        w->actions = realloc(w->actions, w->cap * sizeof *w->actions);
        assert(w->actions);
    }
    w->actions[w->n] = *act;
    xn_msg_ref(act->msg);
    w->n++;
}

void world_event(struct world *w, enum xn_ev kind, uint64_t ticket, int rc,
                 struct xn_msg *msg)
{
    struct xn_event ev = {kind, ticket, rc, XN_PEER_NONE, msg};
    struct xn_outbox out;
    char why[256] = "";

    if (xn_core_step(w->core, &w->now, &ev, &out)) abort();
    for (size_t i = 0; i < out.n; i++)
        keep(w, &out.act[i]);
    w->wake_us = out.wake_us;
    if (xn_core_check(w->core, why, sizeof why)) return;
    fprintf(stderr, "the core: %s\n", why);
    abort();
}

static void done(struct world *w, uint64_t ticket, int rc, unsigned kind,
                 const void *body)
{
    struct xn_msg *msg = NULL;

    if (body && xn_msg_new(kind, body, &msg)) abort();
    if (ticket) world_event(w, XN_EV_DONE, ticket, rc, msg);
    xn_msg_free(msg);
}

static void serve_sign(struct world *w, const struct xn_action *act)
{
    const Xn__Sign *sign = XN_BODY(act->msg, Xn__Sign);
    Xn__Signed out = XN__SIGNED__INIT;

    out.data.len = sign->payload.len + 1;
    out.data.data = malloc(out.data.len);
    assert(out.data.data);
    out.data.data[0] = 'k';
    memcpy(out.data.data + 1, sign->payload.data, sign->payload.len);
    done(w, act->ticket, 0, XN__KIND__SIGNED, &out);
    free(out.data.data);
}

/* Whose claims were shown: what a server gains must be among them. */
static void note(struct world *w, char by, const ProtobufCBinaryData *payload)
{
    xn_id id = world_id(by);
    struct money doc;

    if (by != 's' && by != 't') return;
    if (money_parse(MONEY_CLAIM, payload->data, payload->len, &doc, NULL, 0)) {
        return;
    }
    if (xn_id_eq(&doc.head.by, &id)) w->claimed[(unsigned char)by] = true;
}

static void serve_verify(struct world *w, const struct xn_action *act)
{
    const Xn__Verify *verify = XN_BODY(act->msg, Xn__Verify);
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer;
    char by;

    if (verify->data.len < 1 || verify->data.data[0] >= 128) {
        done(w, act->ticket, XN_EINVAL, 0, NULL);
        return;
    }
    by = (char)verify->data.data[0];
    signer = world_caller(by);
    if (signer.role == XN__ROLE__ANYBODY) {
        done(w, act->ticket, by == 'a' ? XN_EIDENT : XN_ESIGNATURE, 0, NULL);
        return;
    }
    out.payload.data = verify->data.data + 1;
    out.payload.len = verify->data.len - 1;
    out.signer = &signer;
    note(w, by, &out.payload);
    done(w, act->ticket, 0, XN__KIND__VERIFIED, &out);
}

/* A request is a letter, the key's. */
static void play_issue(struct world *w, const struct xn_action *act)
{
    const Xn__Issue *issue = XN_BODY(act->msg, Xn__Issue);
    Xn__Issued issued = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    xn_id id;

    if (issue->csr.len != 1) {
        done(w, act->ticket, XN_ESIGNATURE, 0, NULL);
        return;
    }
    id = world_id((char)issue->csr.data[0]);
    who.id = xn_id_bytes(&id);
    who.role = issue->role;
    who.label = issue->label;
    who.not_after_us = issue->not_after_us;
    issued.who = &who;
    issued.certificate = (ProtobufCBinaryData){4, (uint8_t *)"CERT"};
    done(w, act->ticket, 0, XN__KIND__ISSUED, &issued);
}

static void serve_issue(struct world *w, const struct xn_action *act)
{
    struct xn_msg *msg = NULL;
    int rc;

    if (!w->is_real) {
        play_issue(w, act);
        return;
    }
    rc = world_issue(XN_BODY(act->msg, Xn__Issue), w->now.wall_us, &msg);
    world_event(w, XN_EV_DONE, act->ticket, rc, msg);
    xn_msg_free(msg);
}

static void serve_txn(struct world *w, const struct xn_action *act)
{
    const Xn__Txn *txn = XN_BODY(act->msg, Xn__Txn);
    int rc;

    mem_store_ops.apply(&w->store, &txn, 1, &rc);
    done(w, act->ticket, rc, 0, NULL);
}

static void serve_read(struct world *w, const struct xn_action *act)
{
    struct xn_msg *msg = NULL;
    int rc = mem_store_ops.read(&w->store, XN_BODY(act->msg, Xn__Read), &msg);

    world_event(w, XN_EV_DONE, act->ticket, rc, msg);
    xn_msg_free(msg);
}

static void carry_out(struct world *w, const struct xn_action *act)
{
    switch (act->kind) {
    case XN_ACT_SIGN: serve_sign(w, act); break;
    case XN_ACT_VERIFY: serve_verify(w, act); break;
    case XN_ACT_ISSUE: serve_issue(w, act); break;
    case XN_ACT_TXN: serve_txn(w, act); break;
    case XN_ACT_READ: serve_read(w, act); break;
    case XN_ACT_ANSWER:
        w->answer(w, act->ticket, XN_BODY(act->msg, Xn__Answer));
        break;
    default: abort(); /* a XenoCorp does nothing else */
    }
}

void world_run(struct world *w)
{
    for (unsigned turns = 0; w->n; turns++) {
        struct xn_action act = w->actions[0];

        assert(turns < TURNS_MAX);
        memmove(w->actions, w->actions + 1, --w->n * sizeof act);
        carry_out(w, &act);
        xn_msg_free(act.msg);
    }
}

void world_start(struct world *w, const struct corp_config *config)
{
    assert(!w->core);
    if (corp_new(config, 7, &w->core)) abort();
    memset(w->claimed, 0, sizeof w->claimed);
    world_event(w, XN_EV_WAKE, 0, 0, NULL);
    world_run(w);
}

void world_stop(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        xn_msg_free(w->actions[i].msg);
    w->n = w->cap = 0;
    free(w->actions);
    w->actions = NULL;
    xn_core_free(w->core);
    w->core = NULL;
    mem_store_clear(&w->store);
}

void world_copy_store(const struct mem_store *from, struct mem_store *to)
{
    memset(to, 0, sizeof *to);
    to->n = to->cap = from->n;
    to->records = malloc((from->n + 1) * sizeof *to->records);
    assert(to->records);
    for (size_t i = 0; i < from->n; i++) {
        const struct mem_record *r = &from->records[i];
        struct mem_record *copy = &to->records[i];

        *copy = *r;
        copy->key = malloc(r->key_len + r->len + 1);
        assert(copy->key);
        memcpy(copy->key, r->key, r->key_len + r->len);
        copy->value = copy->key + r->key_len;
    }
}

/* ---- keys, where they matter ---- */

struct keys {
    EVP_PKEY *key;
    X509 *x509;
    struct xn_anchors *anchors;
};

static const struct keys *corp_keys(void)
{
    static struct keys kept;
    uint8_t *der = NULL;
    size_t len;
    int rc;

    if (kept.anchors) return &kept;
    rc = xn_key_generate(&kept.key);
    if (!rc) {
        rc = xn_cert_self(kept.key, XN__ROLE__CORP, "alpha.example",
                          WORLD_NOW_US - 1000000,
                          WORLD_NOW_US + 100000 * WORLD_HOUR_US, &kept.x509);
    }
    if (!rc) rc = xn_anchors_new(&kept.anchors);
    if (!rc) rc = xn_cert_to_der(kept.x509, &der, &len);
    if (!rc) rc = xn_anchors_add(kept.anchors, der, len, WORLD_NOW_US);
    free(der);
    assert(!rc);
    return &kept;
}

const struct xn_anchors *world_anchors(void)
{
    return corp_keys()->anchors;
}

int world_issue(const Xn__Issue *issue, uint64_t now_us, struct xn_msg **out)
{
    static const uint8_t salt[32] = {1};
    struct xn_cert_order order = {.csr = issue->csr.data,
                                  .csr_len = issue->csr.len,
                                  .role = issue->role,
                                  .label = issue->label,
                                  .not_before_us = now_us,
                                  .not_after_us = issue->not_after_us};
    Xn__Issued body = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    X509 *x509 = NULL;
    struct xn_cert cert;
    int rc;

    if (issue->role == XN__ROLE__NODE) order.salt = salt;
    rc = xn_cert_issue(&order, corp_keys()->key, corp_keys()->x509, &x509);
    if (rc) return rc;
    /* What is issued must be good, and as it was ordered. */
    rc = xn_cert_check(x509, world_anchors(), now_us, &cert);
    assert(!rc && cert.role == issue->role);
    assert(strcmp(cert.label, issue->label) == 0);
    rc = xn_cert_to_der(x509, &body.certificate.data, &body.certificate.len);
    assert(!rc);
    who.id = xn_id_bytes(&cert.id);
    who.role = cert.role;
    who.label = cert.label;
    who.not_after_us = cert.not_after_us;
    body.who = &who;
    rc = xn_msg_new(XN__KIND__ISSUED, &body, out);
    free(body.certificate.data);
    X509_free(x509);
    return rc;
}

/* ---- what the books say ---- */

static bool is_account(const struct mem_record *r)
{
    return r->key_len == LEDGER_ID_KEY && r->key[0] == 'L' &&
           r->key[LEDGER_ID_KEY - 1] == 'a';
}

static struct ledger_account read_account(const struct mem_record *r)
{
    struct ledger_account account;

    if (ledger_account_parse(r->value, r->len, &account)) abort();
    return account;
}

int64_t world_held(const struct mem_store *store, int kind)
{
    int64_t sum = 0;

    for (size_t i = 0; i < store->n; i++) {
        struct ledger_account account;

        if (!is_account(&store->records[i])) continue;
        account = read_account(&store->records[i]);
        if ((int)account.kind == kind) sum += account.balance;
    }
    return sum;
}

int64_t world_balance(const struct mem_store *store, const xn_id *account)
{
    uint8_t key[LEDGER_ID_KEY];

    ledger_key_id(account, 'a', key);
    for (size_t i = 0; i < store->n; i++) {
        const struct mem_record *r = &store->records[i];

        if (r->key_len == sizeof key && !memcmp(r->key, key, sizeof key)) {
            return read_account(r).balance;
        }
    }
    return 0;
}

static int audit_one(struct audit *audit, const struct mem_record *r, char part)
{
    char letter = r->key_len ? (char)r->key[0] : 0;

    if (part == 'J') {
        if (letter != 'J') return 0;
        return audit_journal(audit, r->key, r->key_len, r->value, r->len);
    }
    if (part == 'K') {
        if (letter != 'K') return 0;
        return audit_head(audit, r->value, r->len);
    }
    if (letter == 'J' || letter == 'K') return 0;
    return audit_record(audit, r->key, r->key_len, r->value, r->len);
}

void world_audit(const struct mem_store *store)
{
    static const char parts[] = "JK.";
    struct audit_report report;
    struct audit *audit = NULL;
    int rc = audit_new(&audit);

    for (const char *part = parts; *part && !rc; part++) {
        for (size_t i = 0; i < store->n && !rc; i++)
            rc = audit_one(audit, &store->records[i], *part);
    }
    if (!rc) rc = audit_end(audit, &report);
    if (rc) {
        fprintf(stderr, "audit: %s\n", audit_why(audit));
        abort();
    }
    audit_free(audit);
}

/* ---- a past ---- */

struct past {
    struct world w;
    int status;
    uint8_t body[4096];
    size_t len;
};

static void take_answer(struct world *w, uint64_t ticket,
                        const Xn__Answer *answer)
{
    struct past *past = w->user;

    past->status = answer->status;
    assert(answer->body.len <= sizeof past->body);
    memcpy(past->body, answer->body.data, answer->body.len);
    past->len = answer->body.len;
}

static void ask(struct past *past, char by, const char *path, const void *body)
{
    Xn__Ask question = XN__ASK__INIT;
    Xn__Caller caller = world_caller(by);
    struct xn_msg *msg = NULL;
    uint8_t *bytes = NULL;

    question.method = (char *)(uintptr_t) "POST";
    question.path = (char *)(uintptr_t)path;
    question.caller = &caller;
    if (xn_pack(body, &bytes, &question.body.len)) abort();
    question.body.data = bytes;
    if (xn_msg_new(XN__KIND__ASK, &question, &msg)) abort();
    world_event(&past->w, XN_EV_ASK, 1, 0, msg);
    world_run(&past->w);
    xn_msg_free(msg);
    free(bytes);
    if (past->status == 200) return;
    fprintf(stderr, "%s: %.*s\n", path, (int)past->len, past->body);
    abort();
}

static void enrol(struct past *past, char who)
{
    Xn__Register reg = XN__REGISTER__INIT;
    Xn__Caller caller = world_caller(who);

    reg.role = caller.role;
    reg.label = (char *)(uintptr_t) "somebody";
    reg.csr = (ProtobufCBinaryData){1, (uint8_t *)&who};
    ask(past, who, "/v1/register", &reg);
}

static void pay_in(struct past *past, char who)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    xn_id client = world_id(who);

    pay.client = pay.request = xn_id_bytes(&client);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = 1000000000;
    ask(past, 'k', "/v1/accounts", &pay);
}

/* The order in `out`, of 10 GBP; its envelope in past->body. */
static void issue(struct past *past, uint8_t word, struct money *out,
                  Xn__IssuedOrder **issued_out)
{
    Xn__IssueOrder order = XN__ISSUE_ORDER__INIT;
    xn_id request = world_id((char)word);
    Xn__IssuedOrder *issued;

    order.request = xn_id_bytes(&request);
    order.currency = (char *)(uintptr_t) "GBP";
    order.amount = 10000000;
    order.until_us = WORLD_NOW_US + 1000 * WORLD_HOUR_US;
    ask(past, 'c', "/v1/orders", &order);
    issued = xn__issued_order__unpack(NULL, past->len, past->body);
    if (!issued || money_parse(MONEY_ORDER, issued->order.data + 1,
                               issued->order.len - 1, out, NULL, 0)) {
        abort();
    }
    *issued_out = issued;
}

static ProtobufCBinaryData seal(struct money *doc, char by, struct xn_buf *buf)
{
    struct xn_buf text;
    uint8_t letter = (uint8_t)by;

    xn_buf_init(&text, MONEY_BYTES_MAX);
    xn_buf_init(buf, MONEY_BYTES_MAX + 1);
    doc->head.by = world_id(by);
    doc->head.issued_us = WORLD_NOW_US;
    if (money_write(doc, &text)) abort();
    xn_buf_add(buf, &letter, 1);
    xn_buf_add(buf, text.data, text.len);
    if (xn_buf_rc(buf)) abort();
    xn_buf_clear(&text);
    return (ProtobufCBinaryData){buf->len, buf->data};
}

static void make_quote(struct money *doc)
{
    struct money_quote *q = &doc->quote;

    memset(doc, 0, sizeof *doc);
    doc->type = MONEY_QUOTE;
    q->until_us = WORLD_NOW_US + 1000 * WORLD_HOUR_US;
    q->version = 7;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates.cpu_smps = xn_dec_int(1000);
    q->rates.memory_mb = xn_dec_int(512);
    q->prices.per_hour = xn_dec_int(1);
}

static void accept(struct past *past, const struct money *order,
                   ProtobufCBinaryData envelope)
{
    Xn__Validate validate = XN__VALIDATE__INIT;
    struct money quote, narrowing = {.type = MONEY_NARROWING};
    struct money_limits *limits = &narrowing.narrowing.limits;
    ProtobufCBinaryData list[1];
    xn_id session = world_id('S');
    struct xn_buf a, b;

    make_quote(&quote);
    validate.quote = seal(&quote, 's', &a);
    narrowing.narrowing.over = order->head.hash;
    strcpy(limits->currency, "GBP");
    limits->server = world_id('s');
    limits->quote = quote.head.hash;
    list[0] = seal(&narrowing, 'c', &b);
    validate.order = envelope;
    validate.narrowings = list;
    validate.n_narrowings = 1;
    validate.session = xn_id_bytes(&session);
    ask(past, 's', "/v1/validate", &validate);
    xn_buf_clear(&a);
    xn_buf_clear(&b);
}

/* The first claim: half an hour, half a pound. */
static void charge(struct past *past)
{
    Xn__Validated *validated =
        xn__validated__unpack(NULL, past->len, past->body);
    struct money acceptance, claim = {.type = MONEY_CLAIM};
    struct money_claim *c = &claim.claim;
    Xn__Charge body = XN__CHARGE__INIT;
    struct xn_buf buf;

    if (!validated ||
        money_parse(MONEY_ACCEPTANCE, validated->acceptance.data + 1,
                    validated->acceptance.len - 1, &acceptance, NULL, 0)) {
        abort();
    }
    c->session = world_id('S');
    c->sequence = 1;
    c->previous = acceptance.head.hash;
    c->till_us = WORLD_NOW_US + WORLD_HOUR_US / 2;
    c->usage.hours.v = XN_DEC_ONE / 2;
    strcpy(c->currency, "GBP");
    c->amount = 500000;
    body.claim = seal(&claim, 's', &buf);
    past->w.now.wall_us = c->till_us;
    ask(past, 's', "/v1/charge", &body);
    xn_buf_clear(&buf);
    xn__validated__free_unpacked(validated, NULL);
}

static void make_void(struct past *past, const struct money *order)
{
    Xn__VoidOrder body = XN__VOID_ORDER__INIT;

    body.serial = xn_id_bytes(&order->order.serial);
    ask(past, 'c', "/v1/void", &body);
}

static void deal(struct past *past)
{
    Xn__IssuedOrder *issued;
    struct money order;

    issue(past, 1, &order, &issued); /* stays open */
    xn__issued_order__free_unpacked(issued, NULL);
    issue(past, 2, &order, &issued);
    make_void(past, &order);
    xn__issued_order__free_unpacked(issued, NULL);
    issue(past, 3, &order, &issued);
    accept(past, &order, issued->order);
    xn__issued_order__free_unpacked(issued, NULL);
    charge(past);
}

static void genesis(struct mem_store *store)
{
    struct xn_msg *msg = NULL;
    xn_id corp = world_id('k');
    const Xn__Txn *txn;
    int rc;

    if (ledger_genesis(&corp, WORLD_NOW_US, &msg)) abort();
    txn = XN_BODY(msg, Xn__Txn);
    mem_store_ops.apply(store, &txn, 1, &rc);
    assert(!rc);
    xn_msg_free(msg);
}

const struct mem_store *world_past(void)
{
    static struct mem_store kept;
    struct corp_config config = world_config();
    struct past *past;

    if (kept.n) return &kept;
    past = calloc(1, sizeof *past);
    assert(past);
    past->w.user = past;
    past->w.answer = take_answer;
    past->w.now = (struct xn_now){1000000, WORLD_NOW_US};
    genesis(&past->w.store);
    world_start(&past->w, &config);
    for (const char *who = "cdst"; *who; who++)
        enrol(past, *who);
    pay_in(past, 'c');
    pay_in(past, 'd');
    deal(past);
    kept = past->w.store;
    memset(&past->w.store, 0, sizeof past->w.store);
    world_stop(&past->w);
    free(past);
    world_audit(&kept);
    return &kept;
}
