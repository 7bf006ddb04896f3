/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random questions about orders and money, one after the other and many at
 * once, with deaths, failing stores and time: the XenoCorp's core and a model
 * must agree.
 *
 *   ORDER_SEQUENCES=N   how many (200)
 *   ORDER_SEED=N        of the first (1); a failure names its own
 *   ORDER_TRACE=1       say what happens
 *
 * Of what is asked at once, and of what was asked when it died, there must be an
 * order in which the model gives the same answers and ends in the same state.
 * Nineteen of twenty sequences use envelopes that are not signed but only say
 * who would have; the rest are signed and verified for real. */
#include "tests/unit/corp_money_kit.h"

#include <stdio.h>

#include "corp/order_file.h"
#include "lib/rng.h"
#include "tests/unit/order_model.h"

enum {
    STEPS = 14,
    GROUP = 4, /* questions at once */
    KEPT = 24, /* questions that may be asked again */
    WORDS = 40,
};

/* A question and what became of it. */
struct question {
    struct asked asked;
    const char *path;
    const Xn__Caller *caller;
    uint8_t *body;
    size_t len;
    uint64_t ticket;
    bool answered;
    int rc;
    xn_id answer; /* hash, of the first good one */
    bool has_answer;
    struct money_receipt receipt;
};

struct order {
    struct shop_doc doc;
    xn_id acceptance; /* hash of the document; zero: not known */
};

struct run {
    struct shop *s;
    uint64_t seed;
    bool fake;
    struct xn_rng rng;
    struct order_model model;
    struct order orders[MODEL_ORDERS];
    struct shop_doc quotes[MODEL_SERVERS];
    struct question *kept[KEPT];
    unsigned n_kept, words;
    struct question *group[GROUP];
    unsigned n_group;
    uint64_t started_us;
};

static struct {
    uint64_t asked, done, refused, repeated, together, deaths, failures,
        releases;
} count;

#define CHECK(run, what)                                                       \
    do {                                                                       \
        if (!(what))                                                           \
            fail_msg("ORDER_SEED=%llu: %s", (unsigned long long)(run)->seed,   \
                     #what);                                                   \
    } while (0)

static void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void trace(const char *fmt, ...)
{
    va_list ap;

    if (!getenv("ORDER_TRACE")) return;
    printf("# ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

static uint64_t below(struct run *run, uint64_t n)
{
    return xn_rng_below(&run->rng, n);
}

static uint64_t now_of(const struct run *run)
{
    return run->s->c.now.wall_us;
}

/* ---- envelopes that say who would have signed ---- */

static const char mark[4] = "FAKE";

static uint8_t *fake_envelope(const uint8_t *xml, size_t len, const xn_id *by,
                              Xn__Role role, size_t *len_out)
{
    uint8_t *out = malloc(sizeof mark + 1 + XN_ID_SIZE + len);

    assert_non_null(out);
    memcpy(out, mark, sizeof mark);
    out[sizeof mark] = (uint8_t)role;
    memcpy(out + sizeof mark + 1, by->b, XN_ID_SIZE);
    memcpy(out + sizeof mark + 1 + XN_ID_SIZE, xml, len);
    *len_out = sizeof mark + 1 + XN_ID_SIZE + len;
    return out;
}

static void seal(struct run *run, struct shop_doc *doc,
                 const struct shop_member *by)
{
    struct xn_buf xml;

    if (!run->fake) {
        shop_seal(doc, &by->party);
        return;
    }
    shop_doc_clear(doc);
    xn_buf_init(&xml, MONEY_BYTES_MAX);
    doc->doc.head.by = by->id;
    assert_int_equal(money_write(&doc->doc, &xml), 0);
    doc->data =
        fake_envelope(xml.data, xml.len, &by->id, by->caller.role, &doc->len);
    xn_buf_clear(&xml);
}

static void fake_sign(struct run *run)
{
    struct xn_action act = crank_take(&run->s->c, XN_ACT_SIGN);
    const Xn__Sign *sign = XN_BODY(act.msg, Xn__Sign);
    Xn__Signed out = XN__SIGNED__INIT;

    out.data.data =
        fake_envelope(sign->payload.data, sign->payload.len, &run->s->corp_id,
                      XN__ROLE__CORP, &out.data.len);
    crank_done(&run->s->c, &act, 0, XN__KIND__SIGNED, &out);
    free(out.data.data);
}

static void fake_verify(struct run *run)
{
    struct xn_action act = crank_take(&run->s->c, XN_ACT_VERIFY);
    const Xn__Verify *verify = XN_BODY(act.msg, Xn__Verify);
    const uint8_t *data = verify->data.data;
    const size_t lead = sizeof mark + 1 + XN_ID_SIZE;
    Xn__Verified out = XN__VERIFIED__INIT;
    Xn__Caller signer = XN__CALLER__INIT;

    CHECK(run, verify->data.len > lead && !memcmp(data, mark, sizeof mark));
    signer.role = data[sizeof mark];
    signer.id = (ProtobufCBinaryData){XN_ID_SIZE, (uint8_t *)(uintptr_t)data +
                                                      sizeof mark + 1};
    signer.corp = xn_id_bytes(&run->s->corp_id);
    out.signer = &signer;
    out.payload = (ProtobufCBinaryData){verify->data.len - lead,
                                        (uint8_t *)(uintptr_t)data + lead};
    crank_done(&run->s->c, &act, 0, XN__KIND__VERIFIED, &out);
}

/* What came from the corp. */
static void open_doc(struct run *run, enum money_type type,
                     ProtobufCBinaryData from, struct money *out)
{
    const size_t lead = sizeof mark + 1 + XN_ID_SIZE;
    struct money_refusal why;

    if (run->fake) {
        CHECK(run, from.len > lead);
        CHECK(run, money_parse(type, from.data + lead, from.len - lead, out,
                               NULL, 0) == 0);
    } else {
        CHECK(run, money_open(type, from.data, from.len, run->s->anchors,
                              now_of(run), out, &why) == REASON_FINE);
    }
}

/* ---- the driver ---- */

static bool serve_any(struct run *run, uint64_t from)
{
    static const enum xn_act kinds[] = {XN_ACT_VERIFY, XN_ACT_SIGN, XN_ACT_READ,
                                        XN_ACT_TXN};

    for (size_t i = 0; i < 4; i++) {
        enum xn_act kind = kinds[(from + i) % 4];

        if (!crank_count(&run->s->c, kind)) continue;
        if (run->fake && kind == XN_ACT_VERIFY) {
            fake_verify(run);
        } else if (run->fake && kind == XN_ACT_SIGN) {
            fake_sign(run);
        } else {
            shop_serve_one(run->s, kind);
        }
        return true;
    }
    return false;
}

static void serve(struct run *run)
{
    while (serve_any(run, run->n_group > 1 ? below(run, 4) : 0))
        ;
}

static void note_receipt(struct run *run, struct question *q,
                         const Xn__Answer *answer)
{
    Xn__Charged *body =
        xn__charged__unpack(NULL, answer->body.len, answer->body.data);
    struct money doc;

    CHECK(run, body);
    open_doc(run, MONEY_RECEIPT, body->receipt, &doc);
    q->receipt = doc.receipt;
    xn__charged__free_unpacked(body, NULL);
}

static void note_acceptance(struct run *run, const struct question *q,
                            const Xn__Answer *answer)
{
    Xn__Validated *body =
        xn__validated__unpack(NULL, answer->body.len, answer->body.data);
    struct order *order = &run->orders[q->asked.order];
    struct money doc;

    CHECK(run, body);
    open_doc(run, MONEY_ACCEPTANCE, body->acceptance, &doc);
    CHECK(run, xn_id_is_zero(&order->acceptance) ||
                   xn_id_eq(&order->acceptance, &doc.head.hash));
    order->acceptance = doc.head.hash;
    xn__validated__free_unpacked(body, NULL);
}

static void note_order(struct run *run, const struct question *q,
                       const Xn__Answer *answer)
{
    Xn__IssuedOrder *body =
        xn__issued_order__unpack(NULL, answer->body.len, answer->body.data);
    struct shop_doc *doc = &run->orders[q->asked.order].doc;

    CHECK(run, body);
    shop_doc_clear(doc);
    open_doc(run, MONEY_ORDER, body->order, &doc->doc);
    doc->data = malloc(body->order.len);
    assert_non_null(doc->data);
    memcpy(doc->data, body->order.data, body->order.len);
    doc->len = body->order.len;
    xn__issued_order__free_unpacked(body, NULL);
}

static void note_answer(struct run *run, struct question *q,
                        const Xn__Answer *answer)
{
    xn_id hash;

    q->answered = true;
    q->rc = 0;
    if (answer->status != 200) {
        Xn__Refusal *refusal =
            xn__refusal__unpack(NULL, answer->body.len, answer->body.data);

        CHECK(run, refusal && refusal->rc);
        q->rc = refusal->rc;
        trace("  answer to %d of order %u: %s (%s)", q->asked.what,
              q->asked.order, xn_errname(q->rc), refusal->because);
        xn__refusal__free_unpacked(refusal, NULL);
        return;
    }
    trace("  answer to %d of order %u: done", q->asked.what, q->asked.order);
    xn_id_hash(answer->body.data, answer->body.len, &hash);
    if (q->asked.what != ASK_PAY) {
        CHECK(run, !q->has_answer || xn_id_eq(&hash, &q->answer) ||
                       q->asked.what == ASK_VOID);
        count.repeated += q->has_answer;
    }
    q->answer = hash;
    q->has_answer = true;
    if (q->asked.what == ASK_ISSUE) note_order(run, q, answer);
    if (q->asked.what == ASK_VALIDATE) note_acceptance(run, q, answer);
    if (q->asked.what == ASK_CHARGE) note_receipt(run, q, answer);
}

static void collect(struct run *run)
{
    while (crank_count(&run->s->c, XN_ACT_ANSWER)) {
        struct xn_action act = crank_take(&run->s->c, XN_ACT_ANSWER);
        unsigned i = 0;

        while (i < run->n_group && run->group[i]->ticket != act.ticket)
            i++;
        CHECK(run, i < run->n_group && !run->group[i]->answered);
        note_answer(run, run->group[i], XN_BODY(act.msg, Xn__Answer));
        xn_msg_free(act.msg);
    }
}

/* ---- making questions ---- */

static void free_question(struct question *q)
{
    free(q->body);
    free(q);
}

static struct question *new_question(const struct asked *asked,
                                     const char *path, const void *body,
                                     const Xn__Caller *caller)
{
    struct question *q = calloc(1, sizeof *q);

    assert_non_null(q);
    q->asked = *asked;
    q->path = path;
    q->caller = caller;
    assert_int_equal(xn_pack(body, &q->body, &q->len), 0);
    return q;
}

static const struct shop_member *server_of(const struct run *run, unsigned i)
{
    return &run->s->server[i];
}

static struct question *make_pay(struct run *run)
{
    struct asked a = {.what = ASK_PAY,
                      .micro = 1 + (int64_t)below(run, GBP),
                      .word = run->words++ % WORDS};
    Xn__PayIn pay = XN__PAY_IN__INIT;
    uint8_t word[32];

    memset(word, (int)a.word + 1, sizeof word);
    pay.client = xn_id_bytes(&run->s->client.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = a.micro;
    pay.request = (ProtobufCBinaryData){sizeof word, word};
    return new_question(&a, "/v1/accounts", &pay, &run->s->staff);
}

static struct question *make_issue(struct run *run, unsigned order)
{
    const struct model_order *o = &run->model.orders[order];
    struct asked a = {.what = ASK_ISSUE, .order = order};
    Xn__IssueOrder body;
    uint8_t word[32];

    a.micro = 5000 + (int64_t)below(run, 600000);
    a.until_us = now_of(run) + (1 + below(run, 7200)) * MODEL_S;
    if (o->fate && below(run, 2)) { /* the same word, the same or not */
        a.micro = o->issued + (int64_t)below(run, 2);
        a.until_us = o->until_us;
    }
    memset(word, (int)order + 1, sizeof word);
    body = shop_order(word, a.micro, a.until_us);
    return new_question(&a, "/v1/orders", &body, &run->s->client.caller);
}

static void narrow(struct run *run, const struct order *order, struct asked *a,
                   struct shop_doc *out)
{
    struct money_limits *limits = &out->doc.narrowing.limits;
    const struct money_order *of = &order->doc.doc.order;

    memset(out, 0, sizeof *out);
    out->doc.type = MONEY_NARROWING;
    out->doc.head.issued_us = now_of(run);
    out->doc.narrowing.over = of->head.hash;
    if (below(run, 3) == 0)
        a->micro = 1 + (int64_t)below(run, (uint64_t)of->limits.amount + 9000);
    if (below(run, 4) == 0 && of->limits.until_us > now_of(run) + 2 * MODEL_S)
        a->until_us = now_of(run) + MODEL_S +
                      below(run, of->limits.until_us - now_of(run));
    if (below(run, 4) == 0)
        a->most_per_hour = 5000 + (int64_t)below(run, 400000);
    strcpy(limits->currency, "GBP");
    limits->amount = a->micro;
    limits->until_us = a->until_us;
    limits->most_per_hour = a->most_per_hour;
    limits->server = server_of(run, a->for_server)->id;
    limits->quote = run->quotes[a->for_server].doc.head.hash;
    seal(run, out, &run->s->client);
    a->document = out->doc.head.hash;
}

static struct question *make_validate(struct run *run, unsigned order)
{
    struct order *o = &run->orders[order];
    struct asked a = {.what = ASK_VALIDATE, .order = order};
    Xn__Validate body = XN__VALIDATE__INIT;
    struct shop_doc narrowing;
    ProtobufCBinaryData last;
    struct question *q;
    xn_id session;

    a.server = a.for_server = (unsigned)below(run, MODEL_SERVERS);
    if (below(run, 12) == 0) a.server = (a.server + 1) % MODEL_SERVERS;
    a.session = below(run, 8) ? order : (unsigned)below(run, MODEL_ORDERS);
    memset(&session, (int)a.session + 0x40, sizeof session);
    narrow(run, o, &a, &narrowing);
    last = shop_bytes(&narrowing);
    body.order = shop_bytes(&o->doc);
    body.quote = shop_bytes(&run->quotes[a.for_server]);
    body.narrowings = &last;
    body.n_narrowings = 1;
    body.session = xn_id_bytes(&session);
    q = new_question(&a, "/v1/validate", &body,
                     &server_of(run, a.server)->caller);
    shop_doc_clear(&narrowing);
    return q;
}

/* Mostly what an honest server would say, else one thing about it is not. */
static void say(struct run *run, const struct model_order *o, struct asked *a)
{
    uint64_t end = now_of(run), room;
    int64_t price, ceiling;

    if (o->bound_until_us < end) end = o->bound_until_us;
    if (o->stopped_us && o->stopped_us < end) end = o->stopped_us;
    room = end > o->since_us ? (end - o->since_us) / MODEL_S : 0;
    a->sequence = o->n_claims + 1;
    a->final = below(run, 4) == 0;
    a->used_s = o->used_s;
    if (room > o->used_s) a->used_s += below(run, room - o->used_s + 1) / 9 * 9;
    a->till_us = end > o->till_us ? end : o->till_us;
    switch (below(run, 16)) {
    case 0: a->sequence++; break;
    case 1: a->previous.b[3] ^= 1; break;
    case 2: a->used_s += 9 * (1 + below(run, 400)); break;
    case 3: a->till_us += below(run, 900) * MODEL_S; break;
    case 4: a->used_s = a->used_s > 9 ? a->used_s - 9 : 0; break;
    case 5: a->sequence = a->sequence > 1 ? a->sequence - 1 : 1; break;
    case 6: a->till_us -= below(run, 100) * MODEL_S; break;
    default: break;
    }
    price = MODEL_SETUP + MODEL_SECOND * (int64_t)a->used_s;
    ceiling = model_ceiling(o, a->till_us);
    a->amount = price < ceiling ? price : ceiling;
    if (below(run, 16) == 0) a->amount += (int64_t)below(run, 3) - 1;
    if (below(run, 16) == 0) a->amount = price;
}

static struct question *make_charge(struct run *run, unsigned order)
{
    const struct model_order *o = &run->model.orders[order];
    struct asked a = {.what = ASK_CHARGE, .order = order, .server = o->server};
    struct shop_doc claim = {.doc.type = MONEY_CLAIM};
    struct money_claim *c = &claim.doc.claim;
    Xn__Charge body = XN__CHARGE__INIT;
    struct question *q;

    a.session = o->session;
    a.previous = run->orders[order].acceptance;
    if (o->n_claims) a.previous = o->claims[o->n_claims - 1].document;
    say(run, o, &a);
    a.first = xn_id_eq(&a.previous, &run->orders[order].acceptance);
    if (below(run, 20) == 0) a.server = (a.server + 1) % MODEL_SERVERS;
    c->head.issued_us = now_of(run);
    memset(&c->session, (int)o->session + 0x40, sizeof c->session);
    c->sequence = a.sequence;
    c->previous = a.previous;
    c->till_us = a.till_us;
    c->usage.hours.v = (xn_i128)a.used_s * XN_DEC_ONE / 3600;
    c->usage.cpu_s = xn_dec_int((int64_t)a.used_s);
    strcpy(c->currency, "GBP");
    c->amount = a.amount;
    c->state = a.final ? MONEY_FINAL : MONEY_RUNNING;
    snprintf(c->activity, sizeof c->activity, "%llu",
             (unsigned long long)below(run, 1000));
    seal(run, &claim, server_of(run, a.server));
    a.document = c->head.hash;
    body.claim = shop_bytes(&claim);
    q = new_question(&a, "/v1/charge", &body,
                     &server_of(run, a.server)->caller);
    shop_doc_clear(&claim);
    return q;
}

static struct question *make_stop(struct run *run, unsigned order)
{
    const struct model_order *o = &run->model.orders[order];
    struct asked a = {.what = ASK_STOP, .order = order};
    struct shop_doc stop = {.doc.type = MONEY_STOP};
    const struct shop_member *by = &run->s->client;
    Xn__StopOrder body = XN__STOP_ORDER__INIT;
    struct question *q;

    a.stranger = below(run, 10) == 0;
    if (a.stranger) by = &run->s->stranger;
    stop.doc.head.issued_us = now_of(run);
    stop.doc.stop.narrowing = o->narrowing;
    if (!o->since_us) stop.doc.stop.narrowing.b[0] = 1;
    seal(run, &stop, by);
    body.serial = xn_id_bytes(&run->orders[order].doc.doc.order.serial);
    body.stop = shop_bytes(&stop);
    q = new_question(&a, "/v1/stop", &body, &by->caller);
    shop_doc_clear(&stop);
    return q;
}

static struct question *make_void(struct run *run, unsigned order)
{
    struct asked a = {.what = ASK_VOID, .order = order};
    Xn__VoidOrder body = XN__VOID_ORDER__INIT;

    a.stranger = below(run, 10) == 0;
    body.serial = xn_id_bytes(&run->orders[order].doc.doc.order.serial);
    return new_question(&a, "/v1/void", &body,
                        a.stranger ? &run->s->stranger.caller
                                   : &run->s->client.caller);
}

/* A new one, about an order; NULL: none comes to mind. */
static struct question *make(struct run *run, unsigned order)
{
    const struct model_order *o = &run->model.orders[order];

    if (!o->fate || !run->orders[order].doc.data || below(run, 20) == 0)
        return make_issue(run, order);
    if (o->since_us && !xn_id_is_zero(&run->orders[order].acceptance) &&
        o->n_claims < MODEL_CLAIMS - GROUP) {
        if (below(run, 10) < 6) return make_charge(run, order);
        if (below(run, 3) == 0) return make_stop(run, order);
    }
    if (below(run, 6) == 0) return make_void(run, order);
    if (below(run, 12) == 0 && o->since_us) return make_stop(run, order);
    return make_validate(run, order);
}

static bool in_group(const struct run *run, const struct question *q)
{
    for (unsigned i = 0; i < run->n_group; i++) {
        if (run->group[i] == q) return true;
    }
    return false;
}

static void keep(struct run *run, struct question *q)
{
    unsigned at = (unsigned)below(run, KEPT);

    if (run->n_kept < KEPT) {
        run->kept[run->n_kept++] = q;
    } else {
        while (in_group(run, run->kept[at]))
            at = (at + 1) % KEPT;
        free_question(run->kept[at]);
        run->kept[at] = q;
    }
}

/* Of one order all that goes on at once, mostly: there they meet. */
static void make_group(struct run *run)
{
    unsigned order = (unsigned)below(run, MODEL_ORDERS);
    unsigned n = below(run, 2) ? 1 : 1 + (unsigned)below(run, GROUP);

    run->n_group = 0;
    while (run->n_group < n) {
        struct question *q = NULL;

        if (run->n_kept && below(run, 5) == 0) {
            q = run->kept[below(run, run->n_kept)];
            if (in_group(run, q)) q = NULL;
        } else if (below(run, 10) == 0) {
            q = make_pay(run);
            keep(run, q);
        } else {
            q = make(run, below(run, 4) ? order
                                        : (unsigned)below(run, MODEL_ORDERS));
            keep(run, q);
        }
        if (!q) {
            n--;
            continue;
        }
        q->answered = false;
        run->group[run->n_group++] = q;
    }
}

/* ---- what the books say ---- */

static const Xn__OrderStatus *status_of(const struct run *run,
                                        const Xn__Orders *list, unsigned order)
{
    const xn_id *serial = &run->orders[order].doc.doc.order.serial;

    for (size_t i = 0; i < list->n_orders; i++) {
        if (!memcmp(list->orders[i]->serial.data, serial->b, XN_ID_SIZE))
            return list->orders[i];
    }
    return NULL;
}

static Xn__Orders *list_orders(struct run *run)
{
    Xn__Ask ask = XN__ASK__INIT;
    struct crank *c = &run->s->c;
    const Xn__Answer *answer;
    struct xn_msg *msg = NULL;
    Xn__Orders *orders;

    ask.method = (char *)(uintptr_t) "GET";
    ask.path = (char *)(uintptr_t) "/v1/orders";
    ask.caller = &run->s->client.caller;
    assert_int_equal(xn_msg_new(XN__KIND__ASK, &ask, &msg), 0);
    crank_event(c, XN_EV_ASK, ++c->asked, 0, msg);
    xn_msg_free(msg);
    shop_serve(run->s);
    answer = crank_answer(c, c->asked, &msg);
    CHECK(run, answer->status == 200);
    orders = xn__orders__unpack(NULL, answer->body.len, answer->body.data);
    CHECK(run, orders);
    xn_msg_free(msg);
    return orders;
}

static bool order_same(const struct model_order *o,
                       const Xn__OrderStatus *status)
{
    if (!status) return !o->fate;
    return o->fate == status->fate && o->issued == status->amount &&
           model_fenced(o) == status->fenced &&
           (o->n_claims ? o->claims[o->n_claims - 1].amount : 0) ==
               status->charged &&
           o->stopped_us == status->stopped_us;
}

struct sums { /* what the ledger holds */
    int64_t client, income, servers[MODEL_SERVERS];
};

static struct sums sums_of(struct run *run)
{
    struct shop *s = run->s;
    struct sums sums;
    xn_id account;

    order_account(&s->corp_id, &s->client.id, "GBP", &account);
    sums.client = shop_stored(s, &account);
    order_house(&s->corp_id, 'i', "GBP", &account);
    sums.income = shop_stored(s, &account);
    for (unsigned i = 0; i < MODEL_SERVERS; i++)
        sums.servers[i] = shop_earned(s, &s->server[i]);
    return sums;
}

static bool state_same(const struct run *run, const struct order_model *m,
                       const Xn__Orders *list, const struct sums *sums)
{
    bool same = m->client == sums->client && m->income == sums->income;

    for (unsigned i = 0; i < MODEL_SERVERS; i++)
        same &= m->servers[i] == sums->servers[i];
    for (unsigned i = 0; i < MODEL_ORDERS && same; i++) {
        if (!run->orders[i].doc.data && !m->orders[i].fate) continue;
        if (!run->orders[i].doc.data) continue; /* no answer: no serial yet */
        same &= order_same(&m->orders[i], status_of(run, list, i));
    }
    return same;
}

/* ---- is there an order that explains it? ---- */

struct search {
    const struct run *run;
    const Xn__Orders *list;
    const struct sums *sums;
    struct order_model found;
};

static bool explains(const struct question *q, int rc,
                     const struct model_receipt *r)
{
    const struct money_receipt *is = &q->receipt;

    if (!q->answered) return rc == 0; /* a refusal changes nothing */
    if (rc != q->rc) return false;
    if (rc || q->asked.what != ASK_CHARGE) return true;
    return is->sequence == r->sequence && is->charge == r->charge &&
           is->amount == r->amount && is->left == r->left;
}

static bool search(struct search *s, const struct order_model *m, unsigned used)
{
    const struct run *run = s->run;
    bool all = true;

    for (unsigned i = 0; i < run->n_group; i++) {
        struct order_model next;
        struct model_receipt receipt;
        int rc;

        if (used & 1U << i) continue;
        if (run->group[i]->answered) all = false;
        next = *m;
        rc = model_ask(&next, &run->group[i]->asked, &receipt);
        if (!explains(run->group[i], rc, &receipt)) continue;
        if (search(s, &next, used | 1U << i)) return true;
    }
    if (!all || !state_same(run, m, s->list, s->sums)) return false;
    s->found = *m;
    return true;
}

static void tell_state(const struct run *run, const struct order_model *m,
                       const struct sums *sums)
{
    printf("# client %lld, model before %lld; income %lld, %lld\n",
           (long long)sums->client, (long long)m->client,
           (long long)sums->income, (long long)m->income);
    for (unsigned i = 0; i < run->n_group; i++) {
        const struct question *q = run->group[i];
        struct order_model next = *m;
        struct model_receipt receipt;
        int rc = model_ask(&next, &q->asked, &receipt);

        printf("# question %d of order %u: %s, model alone: %s\n",
               q->asked.what, q->asked.order,
               q->answered ? xn_errname(q->rc) : "no answer", xn_errname(rc));
    }
}

static void compare(struct run *run)
{
    Xn__Orders *list = list_orders(run);
    struct sums sums = sums_of(run);
    struct search s = {.run = run, .list = list, .sums = &sums};

    if (!search(&s, &run->model, 0)) {
        tell_state(run, &run->model, &sums);
        fail_msg("ORDER_SEED=%llu: the model cannot explain it",
                 (unsigned long long)run->seed);
    }
    run->model = s.found;
    xn__orders__free_unpacked(list, NULL);
}

/* ---- steps ---- */

static bool is_failure(int rc)
{
    return rc == XN_EIO || rc == XN_ENOSPC || rc == XN_ETIMEOUT ||
           rc == XN_EUNKNOWN;
}

/* The next transaction fails: done or not. */
static void fail_txn(struct run *run)
{
    static const int rcs[] = {XN_EIO, XN_ENOSPC, XN_EUNKNOWN};
    struct xn_action act;

    while (!crank_count(&run->s->c, XN_ACT_TXN)) {
        if (!serve_any(run, 0)) return;
    }
    count.failures++;
    trace("  a transaction fails");
    act = crank_take(&run->s->c, XN_ACT_TXN);
    crank_done(&run->s->c, &act, rcs[below(run, 3)], 0, NULL);
}

/* It dies in the middle, or after a while. */
static void die_in_between(struct run *run)
{
    for (uint64_t n = below(run, 30); n; n--) {
        if (!serve_any(run, below(run, 4))) break;
    }
    collect(run);
    count.deaths++;
    trace("  it dies");
    shop_restart(run->s);
    run->started_us = now_of(run);
}

static void ask_group(struct run *run)
{
    uint64_t dice = below(run, 20);

    run->model.now_us = now_of(run);
    for (unsigned i = 0; i < run->n_group; i++) {
        struct question *q = run->group[i];

        trace("ask %d of order %u", q->asked.what, q->asked.order);
        q->ticket = crank_ask_raw(&run->s->c, "POST", q->path, q->body, q->len,
                                  q->caller);
        for (uint64_t n = below(run, below(run, 2) ? 4 : 14); n; n--)
            serve_any(run, below(run, 4));
        count.asked++;
    }
    if (dice == 0) fail_txn(run);
    if (dice == 1) die_in_between(run);
    if (dice > 1 || dice == 0) serve(run);
    collect(run);
    for (unsigned i = 0; i < run->n_group; i++) {
        struct question *q = run->group[i];

        if (q->answered && is_failure(q->rc)) q->answered = false;
        CHECK(run, q->answered || dice < 2);
        count.done += q->answered && !q->rc;
        count.refused += q->answered && q->rc;
    }
    count.together += run->n_group > 1;
    compare(run);
    run->n_group = 0;
}

/* Who has no answer asks again, after whatever it was. */
static void ask_unanswered(struct run *run)
{
    for (unsigned i = 0; i < run->n_kept; i++) {
        if (run->kept[i]->answered) continue;
        run->group[0] = run->kept[i];
        run->n_group = 1;
        run->model.now_us = now_of(run);
        run->group[0]->ticket = crank_ask_raw(
            &run->s->c, "POST", run->kept[i]->path, run->kept[i]->body,
            run->kept[i]->len, run->kept[i]->caller);
        serve(run);
        collect(run);
        CHECK(run, run->kept[i]->answered);
        compare(run);
        run->n_group = 0;
    }
}

/* From one wish to be woken to the next: what it asks for then is served. */
static void pass(struct run *run, uint64_t us)
{
    struct crank *c = &run->s->c;
    uint64_t end = c->now.mono_us + us;

    while (c->now.mono_us < end) {
        uint64_t to = c->wake_us < end ? c->wake_us : end;

        crank_pass(c, to > c->now.mono_us ? to - c->now.mono_us : 0);
        serve(run);
    }
}

/* Orders that are due are released within a minute or so, no others. */
static void let_time_pass(struct run *run, uint64_t us)
{
    Xn__Orders *list;

    trace("%llu s pass", (unsigned long long)(us / MODEL_S));
    pass(run, us);
    run->model.now_us = now_of(run);
    list = list_orders(run);
    for (unsigned i = 0; i < MODEL_ORDERS; i++) {
        struct model_order *o = &run->model.orders[i];
        const Xn__OrderStatus *status =
            run->orders[i].doc.data ? status_of(run, list, i) : NULL;
        uint64_t due = model_due_us(o), late = 61 * MODEL_S;

        if (!due || !status) continue;
        if (due < run->started_us) due = run->started_us;
        if (status->fate == o->fate) {
            CHECK(run, due + late > now_of(run));
            continue;
        }
        CHECK(run, model_due_us(o) <= now_of(run));
        model_release(&run->model, o);
        trace("  order %u is released", i);
        count.releases++;
    }
    xn__orders__free_unpacked(list, NULL);
    compare(run);
}

static uint64_t some_time(struct run *run)
{
    switch (below(run, 3)) {
    case 0: return (1 + below(run, 20)) * MODEL_S;
    case 1: return (1 + below(run, 900)) * MODEL_S;
    default: return (1 + below(run, 5000)) * MODEL_S;
    }
}

/* ---- a sequence ---- */

static void make_quotes(struct run *run)
{
    for (unsigned i = 0; i < MODEL_SERVERS; i++) {
        struct money_quote *q = &run->quotes[i].doc.quote;

        run->quotes[i].doc.type = MONEY_QUOTE;
        q->head.issued_us = now_of(run);
        q->until_us = now_of(run) + 1000 * HOUR_US;
        q->version = 1;
        strcpy(q->env_type, "Linux");
        strcpy(q->currency, "GBP");
        q->rates.cpu_smps = xn_dec_int(1000);
        q->rates.memory_mb = xn_dec_int(512);
        q->prices.setup = xn_dec_from_micro(MODEL_SETUP);
        q->prices.per_hour = xn_dec_from_micro(MODEL_SECOND / 2 * 3600);
        q->prices.cpu_second = xn_dec_from_micro(MODEL_SECOND / 2);
        seal(run, &run->quotes[i], server_of(run, i));
    }
}

static void begin(struct run *run)
{
    struct shop *s = run->s;

    run->model.prepays = below(run, 2);
    run->model.share_ppm = below(run, 2) ? (uint32_t)below(run, 300000) : 0;
    s->config.prepay = corp_prepay_find(run->model.prepays ? "setup" : "none");
    s->config.payout = corp_payout_find(run->model.share_ppm ? "share" : "all");
    s->config.share_ppm = run->model.share_ppm;
    shop_reset(s);
    run->started_us = now_of(run);
    make_quotes(run);
    run->group[0] = make_pay(run);
    run->n_group = 1;
    keep(run, run->group[0]);
    ask_group(run);
    ask_unanswered(run);
}

static void clear(struct run *run)
{
    for (unsigned i = 0; i < run->n_kept; i++)
        free_question(run->kept[i]);
    for (unsigned i = 0; i < MODEL_ORDERS; i++)
        shop_doc_clear(&run->orders[i].doc);
    for (unsigned i = 0; i < MODEL_SERVERS; i++)
        shop_doc_clear(&run->quotes[i]);
}

static void sequence(struct shop *s, uint64_t seed)
{
    struct run run;
    int64_t sum;

    memset(&run, 0, sizeof run);
    run.s = s;
    run.seed = seed;
    run.fake = seed % 20 != 0;
    xn_rng_seed(&run.rng, seed);
    begin(&run);
    for (unsigned i = 0; i < STEPS; i++) {
        if (below(&run, 5) == 0) {
            let_time_pass(&run, some_time(&run));
            continue;
        }
        make_group(&run);
        ask_group(&run);
        ask_unanswered(&run);
    }
    /* At last all of it is somebody's. */
    let_time_pass(&run, 3 * 3600 * MODEL_S);
    sum = run.model.client + run.model.income;
    for (unsigned i = 0; i < MODEL_SERVERS; i++)
        sum += run.model.servers[i];
    CHECK(&run, sum == run.model.paid_in);
    shop_audit(s);
    clear(&run);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void sequences(void **state)
{
    uint64_t n = number("ORDER_SEQUENCES", 200);
    uint64_t seed = number("ORDER_SEED", 1);

    for (uint64_t i = 0; i < n; i++)
        sequence(*state, seed + i);
    printf(
        "# %llu asked: %llu done, %llu refused, %llu the same again; %llu "
        "times several at once, %llu deaths, %llu failures, %llu orders "
        "released by time\n",
        (unsigned long long)count.asked, (unsigned long long)count.done,
        (unsigned long long)count.refused, (unsigned long long)count.repeated,
        (unsigned long long)count.together, (unsigned long long)count.deaths,
        (unsigned long long)count.failures, (unsigned long long)count.releases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sequences, shop_set_up, shop_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
