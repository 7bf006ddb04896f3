/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders at the XenoCorp when many ask at once, when it dies in the middle, and
 * when the store fails. */
#include "tests/unit/corp_money_kit.h"

#include <stdio.h>

#include "lib/rng.h"

/* What became of a question: 0 or the refusal's rc; 1: no answer (yet). */
static int outcome(struct shop *s, uint64_t ask)
{
    for (size_t i = 0; i < s->c.n_pending; i++) {
        const struct xn_action *act = &s->c.pending[i];
        const Xn__Answer *answer;
        Xn__Refusal *refusal;
        int rc;

        if (act->kind != XN_ACT_ANSWER || act->ticket != ask) continue;
        answer = XN_BODY(act->msg, Xn__Answer);
        if (answer->status == 200) return 0;
        refusal =
            xn__refusal__unpack(NULL, answer->body.len, answer->body.data);
        rc = refusal->rc;
        xn__refusal__free_unpacked(refusal, NULL);
        return rc;
    }
    return 1;
}

/* The answers are taken, so that the list of actions stays short. */
static void forget_answers(struct shop *s)
{
    while (crank_count(&s->c, XN_ACT_ANSWER)) {
        struct xn_action act = crank_take(&s->c, XN_ACT_ANSWER);

        xn_msg_free(act.msg);
    }
}

/* Another deal over the same order, by another server: a client who spends his
 * order twice signs as many narrowings as he likes. */
static void deal_again(struct shop *s, const struct deal *d, struct deal *e,
                       unsigned server)
{
    *e = *d;
    e->by = &s->server[server];
    e->order.data = malloc(d->order.len);
    memcpy(e->order.data, d->order.data, d->order.len);
    e->quote.data = e->narrowing.data = e->acceptance.data = NULL;
    e->quote.doc.quote.head.issued_us = s->c.now.wall_us;
    shop_seal(&e->quote, &e->by->party);
    deal_narrow(s, e);
    memset(&e->session, (int)(0x10 + server), sizeof e->session);
}

/* ---- one order, many servers ---- */

#define RIVALS 10

static void shuffle_until(struct shop *s, struct xn_rng *rng, uint64_t steps)
{
    while (steps-- && shop_serve_nth(s, xn_rng_u64(rng)))
        ;
}

/* In any order of what the driver does; the process may die in between.
 * Returns how many hold an acceptance. */
static unsigned race(struct shop *s, struct deal *deals, unsigned n,
                     struct xn_rng *rng, bool dies)
{
    uint64_t asks[RIVALS];
    unsigned accepted = 0, i;

    for (i = 0; i < n; i++)
        asks[i] = deal_ask_validate(s, &deals[i]);
    if (dies) {
        shuffle_until(s, rng, xn_rng_below(rng, 60));
        shop_restart(s);
        for (i = 0; i < n; i++) /* who got no answer asks again */
            asks[i] = deal_ask_validate(s, &deals[n - 1 - i]);
    }
    shuffle_until(s, rng, UINT64_MAX);
    for (i = 0; i < n; i++) {
        int rc = outcome(s, asks[i]);

        if (rc == 0)
            accepted++;
        else
            assert_int_equal(rc, XN_EMONEY);
    }
    forget_answers(s);
    return accepted;
}

static void accepted_once(void **state)
{
    struct shop *s = *state;
    struct deal deals[RIVALS];
    struct xn_rng rng;

    xn_rng_seed(&rng, 11);
    shop_pay_in(s, 1, 100 * GBP);
    for (uint8_t round = 1; round <= 24; round++) {
        unsigned n = 2 + round % (RIVALS - 1);

        deal_begin(s, &deals[0], round, GBP, &s->server[0]);
        for (unsigned i = 1; i < n; i++)
            deal_again(s, &deals[0], &deals[i], i);
        for (unsigned i = 0; i < n; i++)
            deals[i].session.b[0] = round; /* a fresh session each time */
        assert_int_equal(race(s, deals, n, &rng, round & 1), 1);
        assert_int_equal(deal_fate(s, &deals[0], NULL) ==
                                 XN__ORDER_FATE__ACCEPTED_ORDER ||
                             round > 16,
                         true);
        for (unsigned i = 0; i < n; i++)
            deal_clear(&deals[i]);
    }
    assert_int_equal(shop_records(s, 'S'), 24);
    shop_audit(s);
}

static void same_server_again(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t asks[4];
    struct xn_msg *first = NULL, *msg = NULL;
    const Xn__Answer *a, *b;

    deal_ordered(s, &d, GBP);
    for (int i = 0; i < 3; i++)
        asks[i] = deal_ask_validate(s, &d);
    shop_serve(s);
    shop_restart(s);
    asks[0] = deal_ask_validate(s, &d);
    shop_serve(s);
    shop_pass(s, 2 * HOUR_US); /* the quote has ended by now */
    asks[3] = deal_ask_validate(s, &d);
    shop_serve(s);
    a = crank_answer(&s->c, asks[0], &first);
    b = crank_answer(&s->c, asks[3], &msg);
    assert_int_equal(a->status, 200);
    assert_int_equal(b->status, 200);
    assert_int_equal(a->body.len, b->body.len);
    assert_memory_equal(a->body.data, b->body.data, a->body.len);
    xn_msg_free(first);
    xn_msg_free(msg);
    /* Its other session does not get it, nor does another order this session.
     */
    d.session.b[5] ^= 1;
    asks[0] = deal_ask_validate(s, &d);
    shop_serve(s);
    assert_int_equal(shop_refused(s, asks[0], NULL), XN_EMONEY);
    d.session.b[5] ^= 1;
    deal_clear(&d);
    {
        struct deal e;

        deal_begin(s, &e, 2, GBP, &s->server[0]);
        memset(&e.session, 1 ^ 0x80, sizeof e.session);
        asks[0] = deal_ask_validate(s, &e);
        shop_serve(s);
        assert_int_equal(shop_refused(s, asks[0], NULL), XN_ECONFLICT);
        deal_clear(&e);
    }
    shop_audit(s);
}

/* Either the order is void or it is accepted, whoever is first. */
static void void_races_validate(void **state)
{
    struct shop *s = *state;
    struct xn_rng rng;

    xn_rng_seed(&rng, 5);
    shop_pay_in(s, 1, 50 * GBP);
    for (uint8_t round = 1; round <= 16; round++) {
        struct deal d;
        uint64_t a, b;

        deal_begin(s, &d, round, GBP, &s->server[0]);
        if (round & 1) {
            a = deal_ask_validate(s, &d);
            b = deal_ask_void(s, &d);
        } else {
            b = deal_ask_void(s, &d);
            a = deal_ask_validate(s, &d);
        }
        shuffle_until(s, &rng, UINT64_MAX);
        assert_int_equal((outcome(s, a) == 0) + (outcome(s, b) == 0), 1);
        assert_true(outcome(s, a) == 0 || outcome(s, a) == XN_EMONEY);
        forget_answers(s);
        deal_clear(&d);
    }
    shop_audit(s);
}

/* ---- who comes while another's operation is on its way to the disk ---- */

/* Its server has sold before: nothing but the deal itself is to be written. */
static void deal_ready(struct shop *s, struct deal *d)
{
    struct deal before;

    shop_pay_in(s, 1, 5 * GBP);
    deal_begin(s, &before, 1, GBP, &s->server[0]);
    deal_validate(s, &before);
    deal_clear(&before);
    deal_begin(s, d, 2, GBP, &s->server[0]);
}

static void void_behind_validate(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t a, b;

    deal_ready(s, &d);
    a = deal_ask_validate(s, &d);
    shop_serve_until_txn(s);
    assert_int_equal(crank_count(&s->c, XN_ACT_TXN), 1);
    b = deal_ask_void(s, &d);
    shop_serve_until_txn(s);
    shop_serve(s);
    deal_accepted(s, &d, a);
    assert_int_equal(shop_refused(s, b, NULL), XN_EMONEY);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__ACCEPTED_ORDER);
    shop_audit(s);
    deal_clear(&d);
}

static void prepaid(struct corp_config *config)
{
    config->prepay = corp_prepay_find("setup");
}

/* The fence holds less than the order by then: that is no lack of money. */
static void void_behind_prepaid(void **state)
{
    struct shop *s = calloc(1, sizeof *s);

    assert_non_null(s);
    shop_open(s, prepaid);
    *state = s;
    void_behind_validate(state);
    shop_close(s);
    free(s);
}

/* The fence is closed by then. */
static void validate_behind_void(void **state)
{
    struct shop *s = calloc(1, sizeof *s);
    struct deal d;
    uint64_t a, b;

    assert_non_null(s);
    shop_open(s, prepaid);
    deal_ready(s, &d);
    b = deal_ask_void(s, &d);
    shop_serve_until_txn(s);
    assert_int_equal(crank_count(&s->c, XN_ACT_TXN), 1);
    a = deal_ask_validate(s, &d);
    shop_serve_until_txn(s);
    shop_serve(s);
    assert_int_equal(outcome(s, b), 0);
    assert_int_equal(shop_refused(s, a, NULL), XN_EMONEY);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__VOID_ORDER);
    shop_audit(s);
    forget_answers(s);
    deal_clear(&d);
    shop_close(s);
    free(s);
}

static void charge_behind_stop(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, first = {.data = NULL}, again = {.data = NULL};
    struct deal d;
    uint64_t a, b;

    deal_ready(s, &d);
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    a = deal_ask_stop(s, &d);
    shop_serve_until_txn(s);
    b = ask_charge(s, &claim, d.by);
    shop_serve_until_txn(s);
    shop_serve(s);
    charged(s, a, &first);
    charged(s, b, &again);
    shop_doc_clear(&again);
    /* The stop was not forgotten over the charge. */
    a = deal_ask_stop(s, &d);
    shop_serve(s);
    charged(s, a, &again);
    assert_int_equal(again.len, first.len);
    assert_memory_equal(again.data, first.data, first.len);
    assert_int_equal(shop_earned(s, d.by), 470000);
    shop_audit(s);
    shop_doc_clear(&claim);
    shop_doc_clear(&first);
    shop_doc_clear(&again);
    deal_clear(&d);
}

static void stop_behind_charge(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipt = {.data = NULL};
    struct deal d;
    uint64_t a, b;

    deal_ready(s, &d);
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US / 2, MONEY_RUNNING, &claim);
    a = ask_charge(s, &claim, d.by);
    shop_serve_until_txn(s);
    b = deal_ask_stop(s, &d);
    shop_serve_until_txn(s);
    shop_serve(s);
    charged(s, a, &receipt);
    charged(s, b, &receipt);
    assert_int_equal(receipt.doc.receipt.sequence, 1);
    claim_taken(&claim.doc.claim, &d.state);
    deal_charge(s, &d, HOUR_US, MONEY_FINAL);
    assert_int_equal(shop_earned(s, d.by), 470000);
    shop_audit(s);
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

/* ---- claims ---- */

static void claimed_at_once(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipts[5];
    struct xn_rng rng;
    struct deal d;
    uint64_t asks[5];

    memset(receipts, 0, sizeof receipts);
    xn_rng_seed(&rng, 3);
    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    for (int i = 0; i < 4; i++)
        asks[i] = ask_charge(s, &claim, d.by);
    shuffle_until(s, &rng, UINT64_MAX);
    for (int i = 0; i < 4; i++)
        charged(s, asks[i], &receipts[i]);
    shop_restart(s);
    asks[4] = ask_charge(s, &claim, d.by);
    shop_serve(s);
    charged(s, asks[4], &receipts[4]);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(receipts[i].len, receipts[0].len);
        assert_memory_equal(receipts[i].data, receipts[0].data,
                            receipts[0].len);
    }
    assert_int_equal(shop_earned(s, d.by), 470000);
    /* And after a later one: the old receipt still. */
    claim_taken(&claim.doc.claim, &d.state);
    shop_pass(s, HOUR_US);
    deal_charge(s, &d, 2 * HOUR_US, MONEY_RUNNING);
    asks[0] = ask_charge(s, &claim, d.by);
    shop_serve(s);
    charged(s, asks[0], &receipts[1]);
    assert_memory_equal(receipts[1].data, receipts[0].data, receipts[0].len);
    assert_int_equal(shop_earned(s, d.by), 930000);
    shop_audit(s);
    for (int i = 0; i < 5; i++)
        shop_doc_clear(&receipts[i]);
    shop_doc_clear(&claim);
    deal_clear(&d);
}

/* ---- it dies after each thing that the driver did ---- */

static bool serve_some(struct shop *s, unsigned n)
{
    while (n--) {
        if (!shop_serve_nth(s, 0)) return false;
    }
    return true;
}

static void dies_anywhere(void **state)
{
    struct shop *s = *state;
    int64_t spent = 0;
    bool all = true;

    shop_pay_in(s, 1, 100 * GBP);
    for (uint8_t at = 0; all && at < 40; at++) {
        struct shop_doc claim, receipt = {.data = NULL};
        struct deal d;
        uint64_t ask;

        all = false;
        shop_ask_issue(s, at + 1, GBP);
        all |= serve_some(s, at);
        shop_restart(s);
        deal_begin(s, &d, at + 1, GBP, &s->server[1]);
        deal_ask_validate(s, &d);
        all |= serve_some(s, at);
        shop_restart(s);
        deal_validate(s, &d);
        shop_pass(s, HOUR_US);
        deal_claim(s, &d, HOUR_US, MONEY_FINAL, &claim);
        ask_charge(s, &claim, d.by);
        all |= serve_some(s, at);
        shop_restart(s);
        ask = ask_charge(s, &claim, d.by);
        shop_serve(s);
        charged(s, ask, &receipt);
        assert_int_equal(receipt.doc.receipt.charge, 470000);
        spent += 470000;
        assert_int_equal(shop_balance(s), 100 * GBP - spent);
        assert_int_equal(shop_earned(s, d.by), spent);
        shop_doc_clear(&claim);
        shop_doc_clear(&receipt);
        deal_clear(&d);
    }
    assert_false(all); /* every place was tried */
    shop_audit(s);
}

/* ---- the store fails ---- */

static void fail_next(struct shop *s, enum xn_act kind, int rc)
{
    struct xn_action act;

    while (!crank_count(&s->c, kind)) {
        if (!shop_serve_nth(s, 0)) return;
    }
    act = crank_take(&s->c, kind);
    crank_done(&s->c, &act, rc, 0, NULL);
}

static void every_failure(void **state)
{
    static const enum xn_act kinds[] = {XN_ACT_READ, XN_ACT_TXN, XN_ACT_SIGN,
                                        XN_ACT_VERIFY};
    static const int rcs[] = {XN_EIO, XN_ENOSPC, XN_ETIMEOUT, XN_EPROTO};
    struct shop *s = *state;
    uint8_t word = 1;

    shop_pay_in(s, 1, 100 * GBP);
    for (size_t k = 0; k < 4; k++) {
        for (size_t r = 0; r < 4; r++) {
            struct deal d;
            uint64_t ask;

            deal_begin(s, &d, word++, GBP, &s->server[2]);
            ask = deal_ask_validate(s, &d);
            fail_next(s, kinds[k], rcs[r]);
            shop_serve(s);
            shop_pass(s, 120000000);
            assert_int_not_equal(outcome(s, ask), 1);
            forget_answers(s);
            deal_validate(s, &d); /* the same again is right */
            deal_clear(&d);
        }
    }
    assert_int_equal(shop_records(s, 'S'), 16);
    shop_audit(s);
}

/* Nobody answers: every question ends all the same. */
static void silence(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t ask;

    shop_pay_in(s, 1, 5 * GBP);
    deal_begin(s, &d, 1, GBP, &s->server[2]);
    ask = deal_ask_validate(s, &d);
    crank_pass(&s->c, 30000000);
    assert_int_equal(outcome(s, ask), XN_ETIMEOUT);
    forget_answers(s);
    deal_clear(&d);
}

static void asker_goes_away(void **state)
{
    struct shop *s = *state;
    struct deal d;
    uint64_t ask;

    shop_pay_in(s, 1, 5 * GBP);
    deal_begin(s, &d, 1, GBP, &s->server[2]);
    ask = deal_ask_validate(s, &d);
    crank_event(&s->c, XN_EV_CANCEL, ask, 0, NULL);
    shop_serve(s);
    assert_int_equal(outcome(s, ask), 1);
    assert_int_equal(deal_fate(s, &d, NULL), XN__ORDER_FATE__ACCEPTED_ORDER);
    deal_validate(s, &d);
    deal_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(accepted_once),
        SHOP_TEST(same_server_again),
        SHOP_TEST(void_races_validate),
        SHOP_TEST(claimed_at_once),
        SHOP_TEST(void_behind_validate),
        SHOP_TEST(charge_behind_stop),
        SHOP_TEST(stop_behind_charge),
        SHOP_TEST(dies_anywhere),
        SHOP_TEST(every_failure),
        SHOP_TEST(silence),
        SHOP_TEST(asker_goes_away),
        cmocka_unit_test(void_behind_prepaid),
        cmocka_unit_test(validate_behind_void),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
