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
#include "tests/unit/order_run.h"

#include <stdio.h>

#include "corp/order_file.h"

enum { STEPS = 14 };

static struct {
    uint64_t asked, done, refused, repeated, together, deaths, failures,
        releases;
} count;

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

/* ---- the driver ---- */

static bool serve_any(struct run *run, uint64_t from)
{
    static const enum xn_act kinds[] = {XN_ACT_VERIFY, XN_ACT_SIGN, XN_ACT_READ,
                                        XN_ACT_TXN};

    for (size_t i = 0; i < 4; i++) {
        enum xn_act kind = kinds[(from + i) % 4];

        if (!crank_count(&run->s->c, kind)) continue;
        if (run->fake && kind == XN_ACT_VERIFY) {
            run_fake_verify(run);
        } else if (run->fake && kind == XN_ACT_SIGN) {
            run_fake_sign(run);
        } else {
            shop_serve_one(run->s, kind);
        }
        return true;
    }
    return false;
}

static void serve(struct run *run)
{
    while (serve_any(run, run->n_group > 1 ? run_below(run, 4) : 0))
        ;
}

static void note_receipt(struct run *run, struct question *q,
                         const Xn__Answer *answer)
{
    Xn__Charged *body =
        xn__charged__unpack(NULL, answer->body.len, answer->body.data);
    struct money doc;

    CHECK(run, body);
    run_open(run, MONEY_RECEIPT, body->receipt, &doc);
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
    run_open(run, MONEY_ACCEPTANCE, body->acceptance, &doc);
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
    run_open(run, MONEY_ORDER, body->order, &doc->doc);
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

    order_account(&s->corp_id, LEDGER_CLIENT, &s->client.id, "GBP", &account);
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
    crank_done(&run->s->c, &act, rcs[run_below(run, 3)], 0, NULL);
}

/* It dies in the middle, or after a while. */
static void die_in_between(struct run *run)
{
    for (uint64_t n = run_below(run, 30); n; n--) {
        if (!serve_any(run, run_below(run, 4))) break;
    }
    collect(run);
    count.deaths++;
    trace("  it dies");
    shop_restart(run->s);
    run->started_us = run_now(run);
}

static void ask_group(struct run *run)
{
    uint64_t dice = run_below(run, 20);

    run->model.now_us = run_now(run);
    for (unsigned i = 0; i < run->n_group; i++) {
        struct question *q = run->group[i];

        trace("ask %d of order %u", q->asked.what, q->asked.order);
        q->ticket = crank_ask_raw(&run->s->c, "POST", q->path, q->body, q->len,
                                  q->caller);
        for (uint64_t n = run_below(run, run_below(run, 2) ? 4 : 14); n; n--)
            serve_any(run, run_below(run, 4));
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
        run->model.now_us = run_now(run);
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
    run->model.now_us = run_now(run);
    list = list_orders(run);
    for (unsigned i = 0; i < MODEL_ORDERS; i++) {
        struct model_order *o = &run->model.orders[i];
        const Xn__OrderStatus *status =
            run->orders[i].doc.data ? status_of(run, list, i) : NULL;
        uint64_t due = model_due_us(o), late = 61 * MODEL_S;

        if (!due || !status) continue;
        if (due < run->started_us) due = run->started_us;
        if (status->fate == o->fate) {
            CHECK(run, due + late > run_now(run));
            continue;
        }
        CHECK(run, model_due_us(o) <= run_now(run));
        model_release(&run->model, o);
        trace("  order %u is released", i);
        count.releases++;
    }
    xn__orders__free_unpacked(list, NULL);
    compare(run);
}

static uint64_t some_time(struct run *run)
{
    switch (run_below(run, 3)) {
    case 0: return (1 + run_below(run, 20)) * MODEL_S;
    case 1: return (1 + run_below(run, 900)) * MODEL_S;
    default: return (1 + run_below(run, 5000)) * MODEL_S;
    }
}

/* ---- a sequence ---- */

static void begin(struct run *run)
{
    struct shop *s = run->s;

    run->model.prepays = run_below(run, 2);
    run->model.share_ppm =
        run_below(run, 2) ? (uint32_t)run_below(run, 300000) : 0;
    s->config.prepay = corp_prepay_find(run->model.prepays ? "setup" : "none");
    s->config.payout = corp_payout_find(run->model.share_ppm ? "share" : "all");
    s->config.share_ppm = run->model.share_ppm;
    shop_reset(s);
    run->started_us = run_now(run);
    run_make_quotes(run);
    run_make_first(run);
    ask_group(run);
    ask_unanswered(run);
}

static void clear(struct run *run)
{
    for (unsigned i = 0; i < run->n_kept; i++)
        question_free(run->kept[i]);
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
        if (run_below(&run, 5) == 0) {
            let_time_pass(&run, some_time(&run));
            continue;
        }
        run_make_group(&run);
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
