/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/corp_money_kit.h"

#include <stdio.h>

#include "corp/audit.h"
#include "corp/order_file.h"
#include "wire/envelope.h"

/* ---- the world ---- */

static struct shop_member member(struct shop *s, Xn__Role role,
                                 const char *label)
{
    struct shop_member m;

    memset(&m, 0, sizeof m);
    m.party = kit_member(&s->corp, role, label);
    xn_key_id(m.party.key, &m.id);
    return m;
}

static void make_caller(struct shop *s, struct shop_member *m, Xn__Role role)
{
    xn__caller__init(&m->caller);
    m->caller.id = xn_id_bytes(&m->id);
    m->caller.role = role;
    m->caller.corp = xn_id_bytes(&s->corp_id);
}

static void people(struct shop *s)
{
    char label[16];

    s->client = member(s, XN__ROLE__CLIENT, "ann");
    s->stranger = member(s, XN__ROLE__CLIENT, "bob");
    make_caller(s, &s->client, XN__ROLE__CLIENT);
    make_caller(s, &s->stranger, XN__ROLE__CLIENT);
    for (unsigned i = 0; i < SHOP_SERVERS; i++) {
        snprintf(label, sizeof label, "otter%u", i);
        s->server[i] = member(s, XN__ROLE__SERVER, label);
        make_caller(s, &s->server[i], XN__ROLE__SERVER);
    }
    xn__caller__init(&s->staff);
    s->staff.id = xn_id_bytes(&s->corp_id);
    s->staff.role = XN__ROLE__CORP;
    s->staff.corp = xn_id_bytes(&s->corp_id);
}

static void begin(struct shop *s)
{
    struct xn_core *core = NULL;

    assert_int_equal(corp_new(&s->config, 7, &core), 0);
    s->c.core = core;
    s->c.wake_us = UINT64_MAX;
    crank_wake(&s->c);
}

static void start(struct shop *s)
{
    begin(s);
    shop_serve(s);
}

static void genesis(struct shop *s)
{
    struct xn_action act = {.kind = XN_ACT_TXN};

    assert_int_equal(ledger_genesis(&s->corp_id, NOW_US, &act.msg), 0);
    s->c.pending = malloc(sizeof act);
    s->c.cap = 1;
    s->c.pending[s->c.n_pending++] = act;
    crank_serve_txn(&s->c);
}

/* A registration, whose certificate is the member's. */
void shop_enrol(struct shop *s, const struct shop_member *m)
{
    Xn__Register reg = XN__REGISTER__INIT;
    Xn__Issued issued = XN__ISSUED__INIT;
    Xn__Caller who = XN__CALLER__INIT;
    struct xn_action act;
    struct xn_msg *msg = NULL;
    uint64_t ask;

    reg.role = m->caller.role;
    reg.csr.data = (uint8_t *)(uintptr_t) "csr";
    reg.csr.len = 3;
    reg.label = (char *)(uintptr_t) "ann";
    ask = crank_ask(&s->c, "POST", "/v1/register", &reg, &m->caller);
    act = crank_take(&s->c, XN_ACT_ISSUE);
    who.id = xn_id_bytes(&m->id);
    who.not_after_us = XN_BODY(act.msg, Xn__Issue)->not_after_us;
    issued.who = &who;
    crank_done(&s->c, &act, 0, XN__KIND__ISSUED, &issued);
    shop_serve(s);
    assert_int_equal(crank_answer(&s->c, ask, &msg)->status, 200);
    xn_msg_free(msg);
}

void shop_open(struct shop *s, void (*policy)(struct corp_config *config))
{
    memset(s, 0, sizeof *s);
    s->corp = kit_corp("alpha.example");
    xn_key_id(s->corp.key, &s->corp_id);
    assert_int_equal(xn_anchors_new(&s->anchors), 0);
    kit_trust(s->anchors, &s->corp);
    people(s);
    corp_config_default(&s->config);
    s->config.name = "alpha.example";
    s->config.certificate = (const uint8_t *)"CORP";
    s->config.certificate_len = 4;
    s->config.id = s->corp_id;
    s->config.orders.step_us = s->config.claims.step_us = 0;
    s->config.registers.step_us = 0; /* tests may be in a hurry */
    if (policy) policy(&s->config);
    crank_init(&s->c, NULL, 1000, NOW_US);
    genesis(s);
    start(s);
    shop_enrol(s, &s->client);
}

void shop_reset(struct shop *s)
{
    crank_clear(&s->c);
    crank_init(&s->c, NULL, 1000, NOW_US);
    genesis(s);
    start(s);
    shop_enrol(s, &s->client);
}

void shop_restart_begin(struct shop *s)
{
    crank_stop(&s->c);
    s->c.now.mono_us += 1000;
    s->c.now.wall_us += 1000;
    begin(s);
}

void shop_restart(struct shop *s)
{
    shop_restart_begin(s);
    shop_serve(s);
}

void shop_close(struct shop *s)
{
    crank_clear(&s->c);
    kit_clear(&s->corp);
    kit_clear(&s->client.party);
    kit_clear(&s->stranger.party);
    for (unsigned i = 0; i < SHOP_SERVERS; i++)
        kit_clear(&s->server[i].party);
    xn_anchors_free(s->anchors);
}

int shop_set_up(void **state)
{
    struct shop *s = calloc(1, sizeof *s);

    assert_non_null(s);
    shop_open(s, NULL);
    *state = s;
    return 0;
}

int shop_tear_down(void **state)
{
    shop_close(*state);
    free(*state);
    return 0;
}

/* ---- the driver ---- */

static void serve_sign(struct shop *s)
{
    struct xn_action act = crank_take(&s->c, XN_ACT_SIGN);
    const Xn__Sign *sign = XN_BODY(act.msg, Xn__Sign);
    Xn__Signed out = XN__SIGNED__INIT;

    if (sign->form == XN__FORM__BLOB)
        assert_int_equal(blob_sign(sign->payload.data, sign->payload.len,
                                   sign->context, s->corp.key, &out.data.data,
                                   &out.data.len),
                         0);
    else
        assert_int_equal(envelope_sign(sign->payload.data, sign->payload.len,
                                       s->corp.key, s->corp.x509,
                                       &out.data.data, &out.data.len),
                         0);
    crank_done(&s->c, &act, 0, XN__KIND__SIGNED, &out);
    free(out.data.data);
}

static void serve_verify(struct shop *s)
{
    struct xn_action act = crank_take(&s->c, XN_ACT_VERIFY);
    const Xn__Verify *verify = XN_BODY(act.msg, Xn__Verify);
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer = XN__CALLER__INIT;
    struct xn_cert cert;
    int rc = envelope_verify(verify->data.data, verify->data.len, s->anchors,
                             verify->at_us ? verify->at_us : s->c.now.wall_us,
                             &cert, &out.payload.data, &out.payload.len);

    if (rc) {
        crank_done(&s->c, &act, rc, 0, NULL);
        return;
    }
    signer.id = xn_id_bytes(&cert.id);
    signer.corp = xn_id_bytes(&cert.corp);
    signer.role = cert.role;
    out.signer = &signer;
    crank_done(&s->c, &act, 0, XN__KIND__VERIFIED, &out);
    free(out.payload.data);
}

void shop_serve_one(struct shop *s, enum xn_act kind)
{
    switch (kind) {
    case XN_ACT_SIGN: serve_sign(s); break;
    case XN_ACT_VERIFY: serve_verify(s); break;
    case XN_ACT_READ: crank_serve_read(&s->c); break;
    default: crank_serve_txn(&s->c);
    }
}

static bool serve_any(struct shop *s, const enum xn_act *kinds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!crank_count(&s->c, kinds[i])) continue;
        shop_serve_one(s, kinds[i]);
        return true;
    }
    return false;
}

static const enum xn_act served[] = {XN_ACT_VERIFY, XN_ACT_SIGN, XN_ACT_READ,
                                     XN_ACT_TXN};

void shop_serve(struct shop *s)
{
    while (serve_any(s, served, 4))
        ;
}

bool shop_serve_nth(struct shop *s, uint64_t n)
{
    static const enum xn_act kinds[] = {XN_ACT_VERIFY, XN_ACT_SIGN, XN_ACT_READ,
                                        XN_ACT_TXN};

    for (size_t i = 0; i < 4; i++) {
        enum xn_act kind = kinds[(n + i) % 4];

        if (!crank_count(&s->c, kind)) continue;
        shop_serve_one(s, kind);
        return true;
    }
    return false;
}

void shop_serve_until_txn(struct shop *s)
{
    while (serve_any(s, served, 3))
        ;
}

/* ---- documents ---- */

void shop_doc_clear(struct shop_doc *doc)
{
    free(doc->data);
    doc->data = NULL;
    doc->len = 0;
}

void shop_seal(struct shop_doc *doc, const struct kit_party *by)
{
    shop_doc_clear(doc);
    assert_int_equal(
        money_seal(&doc->doc, by->key, by->x509, &doc->data, &doc->len), 0);
}

ProtobufCBinaryData shop_bytes(const struct shop_doc *doc)
{
    return (ProtobufCBinaryData){doc->len, doc->data};
}

void shop_take_doc(struct shop *s, enum money_type type,
                   ProtobufCBinaryData bytes, struct shop_doc *out)
{
    struct money_refusal why;

    shop_doc_clear(out);
    if (money_open(type, bytes.data, bytes.len, s->anchors, s->c.now.wall_us,
                   &out->doc, &why)) {
        fail_msg("%s", why.text);
    }
    out->data = malloc(bytes.len);
    assert_non_null(out->data);
    memcpy(out->data, bytes.data, bytes.len);
    out->len = bytes.len;
}

static void drop(void *body)
{
    protobuf_c_message_free_unpacked(body, NULL);
}

int shop_refused(struct shop *s, uint64_t ask, char because_out[300])
{
    return crank_refused_why(&s->c, ask, because_out);
}

/* ---- money ---- */

uint64_t shop_ask_pay_in(struct shop *s, uint8_t word, int64_t micro)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    uint8_t request[32];

    memset(request, word, sizeof request);
    pay.client = xn_id_bytes(&s->client.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = (ProtobufCBinaryData){sizeof request, request};
    return crank_ask(&s->c, "POST", "/v1/accounts", &pay, &s->staff);
}

void shop_pay_in(struct shop *s, uint8_t word, int64_t micro)
{
    uint64_t ask = shop_ask_pay_in(s, word, micro);

    shop_serve(s);
    drop(crank_answered(&s->c, ask, &xn__account__descriptor));
}

uint64_t shop_ask_query(struct shop *s, const char *path, const char *query,
                        const Xn__Caller *caller)
{
    Xn__Ask ask = XN__ASK__INIT;
    struct xn_msg *msg = NULL;

    ask.method = (char *)(uintptr_t) "GET";
    ask.path = (char *)(uintptr_t)path;
    ask.query = (char *)(uintptr_t)query;
    ask.caller = (Xn__Caller *)(uintptr_t)caller;
    assert_int_equal(xn_msg_new(XN__KIND__ASK, &ask, &msg), 0);
    crank_event(&s->c, XN_EV_ASK, ++s->c.asked, 0, msg);
    xn_msg_free(msg);
    return s->c.asked;
}

int64_t shop_account(struct shop *s, uint64_t ask, int64_t *credit_out)
{
    Xn__Account *account = crank_answered(&s->c, ask, &xn__account__descriptor);
    int64_t balance = account->balance;

    if (credit_out) *credit_out = account->credit;
    drop(account);
    return balance;
}

int64_t shop_balance(struct shop *s)
{
    uint64_t ask =
        shop_ask_query(s, "/v1/accounts", "currency=GBP", &s->client.caller);

    shop_serve(s);
    return shop_account(s, ask, NULL);
}

static bool is_account(const struct crank_record *r)
{
    return r->key_len == 34 && r->key[0] == 'L' && r->key[33] == 'a';
}

static int64_t balance_of(const struct crank_record *r)
{
    Xn__LedgerAccount *account =
        xn__ledger_account__unpack(NULL, r->value_len, r->value);
    int64_t balance = account->balance;

    drop(account);
    return balance;
}

int64_t shop_stored(struct shop *s, const xn_id *account)
{
    for (size_t i = 0; i < s->c.n_records; i++) {
        const struct crank_record *r = &s->c.records[i];

        if (is_account(r) && !memcmp(r->key + 1, account->b, XN_ID_SIZE)) {
            return balance_of(r);
        }
    }
    return 0;
}

int64_t shop_earned(struct shop *s, const struct shop_member *server)
{
    xn_id account;

    order_account(&s->corp_id, LEDGER_SERVER, &server->id, "GBP", &account);
    return shop_stored(s, &account);
}

static int audit_rows(struct shop *s, struct audit *audit, bool journal)
{
    int rc = 0;

    for (size_t i = 0; i < s->c.n_records && !rc; i++) {
        const struct crank_record *r = &s->c.records[i];

        if ((r->key[0] == 'J') != journal) continue;
        if (journal)
            rc = audit_journal(audit, r->key, r->key_len, r->value,
                               r->value_len);
        else if (r->key[0] == 'K')
            rc = audit_head(audit, r->value, r->value_len);
    }
    return rc;
}

static int audit_others(struct shop *s, struct audit *audit)
{
    int rc = 0;

    for (size_t i = 0; i < s->c.n_records && !rc; i++) {
        const struct crank_record *r = &s->c.records[i];

        if (r->key[0] == 'J' || r->key[0] == 'K') continue;
        rc = audit_record(audit, r->key, r->key_len, r->value, r->value_len);
    }
    return rc;
}

void shop_audit(struct shop *s)
{
    struct audit_report report;
    struct audit *audit = NULL;
    int64_t sum = 0;
    int rc = audit_new(&audit);

    if (!rc) rc = audit_rows(s, audit, true);
    if (!rc) rc = audit_rows(s, audit, false);
    if (!rc) rc = audit_others(s, audit);
    if (!rc) rc = audit_end(audit, &report);
    if (rc) fail_msg("audit: %s", audit_why(audit));
    audit_free(audit);
    for (size_t i = 0; i < s->c.n_records; i++) {
        if (is_account(&s->c.records[i])) {
            sum += balance_of(&s->c.records[i]);
        }
    }
    assert_int_equal(sum, 0);
}

size_t shop_records(const struct shop *s, char letter)
{
    size_t n = 0;

    for (size_t i = 0; i < s->c.n_records; i++)
        n += s->c.records[i].key[0] == (uint8_t)letter;
    return n;
}

/* ---- deals ---- */

Xn__IssueOrder shop_order(const uint8_t word[32], int64_t amount,
                          uint64_t until_us)
{
    Xn__IssueOrder order = XN__ISSUE_ORDER__INIT;

    order.request.data = (uint8_t *)(uintptr_t)word;
    order.request.len = 32;
    order.currency = (char *)(uintptr_t) "GBP";
    order.amount = amount;
    order.until_us = until_us;
    return order;
}

uint64_t shop_ask_issue(struct shop *s, uint8_t word, int64_t amount)
{
    uint8_t request[32];
    Xn__IssueOrder order;

    memset(request, word, sizeof request);
    order = shop_order(request, amount, NOW_US + 100 * HOUR_US);
    return crank_ask(&s->c, "POST", "/v1/orders", &order, &s->client.caller);
}

static void must_dec(const char *text, xn_dec *out)
{
    assert_int_equal(xn_dec_parse(text, strlen(text), out), 0);
}

static void quote(struct shop *s, struct deal *d)
{
    struct money_quote *q = &d->quote.doc.quote;

    d->quote.doc.type = MONEY_QUOTE;
    q->head.issued_us = s->c.now.wall_us;
    q->until_us = s->c.now.wall_us + HOUR_US;
    q->version = 7;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    must_dec("1000", &q->rates.cpu_smps);
    must_dec("512", &q->rates.memory_mb);
    must_dec("0.01", &q->prices.setup);
    must_dec("0.1", &q->prices.per_hour);
    must_dec("0.0001", &q->prices.cpu_second);
    must_dec("0.00001", &q->prices.memory_mb_hour);
    shop_seal(&d->quote, &d->by->party);
}

void deal_narrow(struct shop *s, struct deal *d)
{
    struct money_narrowing *n = &d->narrowing.doc.narrowing;

    d->narrowing.doc.type = MONEY_NARROWING;
    n->head.issued_us = s->c.now.wall_us;
    n->over = d->order.doc.head.hash;
    strcpy(n->limits.currency, "GBP");
    n->limits.server = d->by->id;
    n->limits.quote = d->quote.doc.head.hash;
    shop_seal(&d->narrowing, &s->client.party);
}

void deal_begin(struct shop *s, struct deal *d, uint8_t word, int64_t amount,
                const struct shop_member *server)
{
    uint64_t ask = shop_ask_issue(s, word, amount);
    Xn__IssuedOrder *issued;

    memset(d, 0, sizeof *d);
    d->by = server;
    memset(&d->session, word ^ 0x80, sizeof d->session);
    shop_serve(s);
    issued = crank_answered(&s->c, ask, &xn__issued_order__descriptor);
    assert_int_equal(xn_id_from_bytes(&issued->serial, &d->serial), 0);
    shop_take_doc(s, MONEY_ORDER, issued->order, &d->order);
    drop(issued);
    quote(s, d);
    deal_narrow(s, d);
}

void deal_clear(struct deal *d)
{
    shop_doc_clear(&d->order);
    shop_doc_clear(&d->quote);
    shop_doc_clear(&d->narrowing);
    shop_doc_clear(&d->acceptance);
}

uint64_t deal_ask_validate(struct shop *s, struct deal *d)
{
    Xn__Validate validate = XN__VALIDATE__INIT;
    ProtobufCBinaryData narrowing = shop_bytes(&d->narrowing);

    validate.order = shop_bytes(&d->order);
    validate.quote = shop_bytes(&d->quote);
    validate.narrowings = &narrowing;
    validate.n_narrowings = 1;
    validate.session = xn_id_bytes(&d->session);
    return crank_ask(&s->c, "POST", "/v1/validate", &validate, &d->by->caller);
}

void deal_accepted(struct shop *s, struct deal *d, uint64_t ask)
{
    struct order_chain chain = {.order = &d->order.doc.order,
                                .narrowings = &d->narrowing.doc.narrowing,
                                .n = 1};
    Xn__Validated *body =
        crank_answered(&s->c, ask, &xn__validated__descriptor);
    struct money_refusal why;

    /* As the server has them from its own checks. */
    d->narrowing.doc.head.corp = d->quote.doc.head.corp = s->corp_id;
    shop_take_doc(s, MONEY_ACCEPTANCE, body->acceptance, &d->acceptance);
    drop(body);
    if (claim_terms(&chain, &d->quote.doc.quote, &d->acceptance.doc.acceptance,
                    &d->terms, &why)) {
        fail_msg("%s", why.text);
    }
    claim_begin(&d->terms, &d->state);
}

void deal_validate(struct shop *s, struct deal *d)
{
    uint64_t ask = deal_ask_validate(s, d);

    shop_serve(s);
    deal_accepted(s, d, ask);
}

void deal_ordered(struct shop *s, struct deal *d, int64_t amount)
{
    shop_pay_in(s, 1, 5 * GBP);
    deal_begin(s, d, 1, amount, &s->server[0]);
}

void deal_made(struct shop *s, struct deal *d, int64_t amount)
{
    deal_ordered(s, d, amount);
    deal_validate(s, d);
}

void deal_claim(struct shop *s, struct deal *d, uint64_t used_us,
                enum money_state ending, struct shop_doc *claim_out)
{
    struct price_usage usage = {.hours = {0}};
    uint64_t till_us = d->terms.since_us + used_us;

    memset(claim_out, 0, sizeof *claim_out);
    usage.hours.v = (xn_i128)used_us * XN_DEC_ONE / HOUR_US;
    usage.cpu_s.v = (xn_i128)used_us * XN_DEC_ONE / 1000000;
    assert_int_equal(claim_next(&d->terms, &d->state, &usage, till_us, ending,
                                "make check", &claim_out->doc),
                     0);
    shop_seal(claim_out, &d->by->party);
}

uint64_t ask_charge(struct shop *s, const struct shop_doc *claim,
                    const struct shop_member *by)
{
    Xn__Charge charge = XN__CHARGE__INIT;

    charge.claim = shop_bytes(claim);
    return crank_ask(&s->c, "POST", "/v1/charge", &charge, &by->caller);
}

int charge_refused(struct shop *s, const struct shop_doc *claim,
                   const struct shop_member *by, char because_out[300])
{
    uint64_t ask = ask_charge(s, claim, by);

    shop_serve(s);
    return shop_refused(s, ask, because_out);
}

void charged(struct shop *s, uint64_t ask, struct shop_doc *receipt_out)
{
    Xn__Charged *body = crank_answered(&s->c, ask, &xn__charged__descriptor);

    shop_take_doc(s, MONEY_RECEIPT, body->receipt, receipt_out);
    drop(body);
}

int64_t deal_charge(struct shop *s, struct deal *d, uint64_t used_us,
                    enum money_state ending)
{
    struct shop_doc claim, receipt = {.data = NULL};
    struct claim_state after;
    struct money_refusal why;
    uint64_t ask;
    int64_t charge;

    deal_claim(s, d, used_us, ending, &claim);
    ask = ask_charge(s, &claim, d->by);
    shop_serve(s);
    charged(s, ask, &receipt);
    claim_taken(&claim.doc.claim, &after);
    if (claim_receipted(&d->terms, &claim.doc.head.hash, &d->state, &after,
                        &receipt.doc.receipt, &why)) {
        fail_msg("%s", why.text);
    }
    d->state = after;
    charge = receipt.doc.receipt.charge;
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    return charge;
}

uint64_t deal_ask_stop(struct shop *s, struct deal *d)
{
    struct shop_doc stop = {.doc.type = MONEY_STOP};
    Xn__StopOrder body = XN__STOP_ORDER__INIT;
    uint64_t ask;

    stop.doc.head.issued_us = s->c.now.wall_us;
    stop.doc.stop.narrowing = d->narrowing.doc.head.hash;
    shop_seal(&stop, &s->client.party);
    body.serial = xn_id_bytes(&d->serial);
    body.stop = shop_bytes(&stop);
    ask = crank_ask(&s->c, "POST", "/v1/stop", &body, &s->client.caller);
    shop_doc_clear(&stop);
    return ask;
}

uint64_t deal_ask_void(struct shop *s, const struct deal *d)
{
    Xn__VoidOrder body = XN__VOID_ORDER__INIT;

    body.serial = xn_id_bytes(&d->serial);
    return crank_ask(&s->c, "POST", "/v1/void", &body, &s->client.caller);
}

void shop_pass(struct shop *s, uint64_t us)
{
    while (us) {
        uint64_t step = us < 60000000 ? us : 60000000;

        crank_pass(&s->c, step);
        crank_wake(&s->c);
        shop_serve(s);
        us -= step;
    }
}

Xn__OrderFate deal_fate(struct shop *s, const struct deal *d,
                        int64_t *fenced_out)
{
    uint64_t ask = shop_ask_query(s, "/v1/orders", "", &s->client.caller);
    Xn__OrderFate fate = XN__ORDER_FATE__FATE_NONE;
    Xn__Orders *orders;

    shop_serve(s);
    orders = crank_answered(&s->c, ask, &xn__orders__descriptor);
    for (size_t i = 0; i < orders->n_orders; i++) {
        const Xn__OrderStatus *status = orders->orders[i];

        if (memcmp(status->serial.data, d->serial.b, XN_ID_SIZE) != 0) continue;
        fate = status->fate;
        if (fenced_out) *fenced_out = status->fenced;
        assert_int_equal(status->fenced, shop_stored(s, &d->serial));
    }
    drop(orders);
    return fate;
}
