/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions drawn at random, honest ones mostly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/order_run.h"

void question_free(struct question *q)
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
                      .micro = 1 + (int64_t)run_below(run, GBP),
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

    a.micro = 5000 + (int64_t)run_below(run, 600000);
    a.until_us = run_now(run) + (1 + run_below(run, 7200)) * MODEL_S;
    if (o->fate && run_below(run, 2)) { /* the same word, the same or not */
        a.micro = o->issued + (int64_t)run_below(run, 2);
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
    out->doc.head.issued_us = run_now(run);
    out->doc.narrowing.over = of->head.hash;
    if (run_below(run, 3) == 0)
        a->micro =
            1 + (int64_t)run_below(run, (uint64_t)of->limits.amount + 9000);
    if (run_below(run, 4) == 0 &&
        of->limits.until_us > run_now(run) + 2 * MODEL_S)
        a->until_us = run_now(run) + MODEL_S +
                      run_below(run, of->limits.until_us - run_now(run));
    if (run_below(run, 4) == 0)
        a->most_per_hour = 5000 + (int64_t)run_below(run, 400000);
    strcpy(limits->currency, "GBP");
    limits->amount = a->micro;
    limits->until_us = a->until_us;
    limits->most_per_hour = a->most_per_hour;
    limits->server = server_of(run, a->for_server)->id;
    limits->quote = run->quotes[a->for_server].doc.head.hash;
    run_seal(run, out, &run->s->client);
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

    a.server = a.for_server = (unsigned)run_below(run, MODEL_SERVERS);
    if (run_below(run, 12) == 0) a.server = (a.server + 1) % MODEL_SERVERS;
    a.session =
        run_below(run, 8) ? order : (unsigned)run_below(run, MODEL_ORDERS);
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
    uint64_t end = run_now(run), room;
    int64_t price, ceiling;

    if (o->bound_until_us < end) end = o->bound_until_us;
    if (o->stopped_us && o->stopped_us < end) end = o->stopped_us;
    room = end > o->since_us ? (end - o->since_us) / MODEL_S : 0;
    a->sequence = o->n_claims + 1;
    a->final = run_below(run, 4) == 0;
    a->used_s = o->used_s;
    if (room > o->used_s)
        a->used_s += run_below(run, room - o->used_s + 1) / 9 * 9;
    a->till_us = end > o->till_us ? end : o->till_us;
    switch (run_below(run, 16)) {
    case 0: a->sequence++; break;
    case 1: a->previous.b[3] ^= 1; break;
    case 2: a->used_s += 9 * (1 + run_below(run, 400)); break;
    case 3: a->till_us += run_below(run, 900) * MODEL_S; break;
    case 4: a->used_s = a->used_s > 9 ? a->used_s - 9 : 0; break;
    case 5: a->sequence = a->sequence > 1 ? a->sequence - 1 : 1; break;
    case 6: a->till_us -= run_below(run, 100) * MODEL_S; break;
    default: break;
    }
    price = MODEL_SETUP + MODEL_SECOND * (int64_t)a->used_s;
    ceiling = model_ceiling(o, a->till_us);
    a->amount = price < ceiling ? price : ceiling;
    if (run_below(run, 16) == 0) a->amount += (int64_t)run_below(run, 3) - 1;
    if (run_below(run, 16) == 0) a->amount = price;
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
    if (run_below(run, 20) == 0) a.server = (a.server + 1) % MODEL_SERVERS;
    c->head.issued_us = run_now(run);
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
             (unsigned long long)run_below(run, 1000));
    run_seal(run, &claim, server_of(run, a.server));
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

    a.stranger = run_below(run, 10) == 0;
    if (a.stranger) by = &run->s->stranger;
    stop.doc.head.issued_us = run_now(run);
    stop.doc.stop.narrowing = o->narrowing;
    if (!o->since_us) stop.doc.stop.narrowing.b[0] = 1;
    run_seal(run, &stop, by);
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

    a.stranger = run_below(run, 10) == 0;
    body.serial = xn_id_bytes(&run->orders[order].doc.doc.order.serial);
    return new_question(&a, "/v1/void", &body,
                        a.stranger ? &run->s->stranger.caller
                                   : &run->s->client.caller);
}

/* A new one, about an order; NULL: none comes to mind. */
static struct question *make(struct run *run, unsigned order)
{
    const struct model_order *o = &run->model.orders[order];

    if (!o->fate || !run->orders[order].doc.data || run_below(run, 20) == 0)
        return make_issue(run, order);
    if (o->since_us && !xn_id_is_zero(&run->orders[order].acceptance) &&
        o->n_claims < MODEL_CLAIMS - GROUP) {
        if (run_below(run, 10) < 6) return make_charge(run, order);
        if (run_below(run, 3) == 0) return make_stop(run, order);
    }
    if (run_below(run, 6) == 0) return make_void(run, order);
    if (run_below(run, 12) == 0 && o->since_us) return make_stop(run, order);
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
    unsigned at = (unsigned)run_below(run, KEPT);

    if (run->n_kept < KEPT) {
        run->kept[run->n_kept++] = q;
    } else {
        while (in_group(run, run->kept[at]))
            at = (at + 1) % KEPT;
        question_free(run->kept[at]);
        run->kept[at] = q;
    }
}

void run_make_quotes(struct run *run)
{
    for (unsigned i = 0; i < MODEL_SERVERS; i++) {
        struct money_quote *q = &run->quotes[i].doc.quote;

        run->quotes[i].doc.type = MONEY_QUOTE;
        q->head.issued_us = run_now(run);
        q->until_us = run_now(run) + 1000 * HOUR_US;
        q->version = 1;
        strcpy(q->env_type, "Linux");
        strcpy(q->currency, "GBP");
        q->rates.cpu_smps = xn_dec_int(1000);
        q->rates.memory_mb = xn_dec_int(512);
        q->prices.setup = xn_dec_from_micro(MODEL_SETUP);
        q->prices.per_hour = xn_dec_from_micro(MODEL_SECOND / 2 * 3600);
        q->prices.cpu_second = xn_dec_from_micro(MODEL_SECOND / 2);
        run_seal(run, &run->quotes[i], server_of(run, i));
    }
}

void run_make_first(struct run *run)
{
    run->group[0] = make_pay(run);
    run->n_group = 1;
    keep(run, run->group[0]);
}

/* Of one order all that goes on at once, mostly: there they meet. */
void run_make_group(struct run *run)
{
    unsigned order = (unsigned)run_below(run, MODEL_ORDERS);
    unsigned n = run_below(run, 2) ? 1 : 1 + (unsigned)run_below(run, GROUP);

    run->n_group = 0;
    while (run->n_group < n) {
        struct question *q = NULL;

        if (run->n_kept && run_below(run, 5) == 0) {
            q = run->kept[run_below(run, run->n_kept)];
            if (in_group(run, q)) q = NULL;
        } else if (run_below(run, 10) == 0) {
            q = make_pay(run);
            keep(run, q);
        } else {
            q = make(run, run_below(run, 4)
                              ? order
                              : (unsigned)run_below(run, MODEL_ORDERS));
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
