/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members who want more than their share: of the books, of the log, of the
 * XenoCorp's attention. */
#include "tests/unit/corp_money_kit.h"

#include <stdio.h>

#include "lib/err.h"
#include "lib/text.h"
#include "wire/store.pb-c.h"

static bool same_order(struct shop *s, uint64_t ask, const xn_id *serial)
{
    Xn__IssuedOrder *issued =
        crank_answered(&s->c, ask, &xn__issued_order__descriptor);
    bool same = issued->serial.len == XN_ID_SIZE &&
                memcmp(issued->serial.data, serial->b, XN_ID_SIZE) == 0;

    xn__issued_order__free_unpacked(issued, NULL);
    return same;
}

static bool is_utf8(const char *text)
{
    for (size_t left = strlen(text), n; left; text += n, left -= n) {
        n = xn_utf8_len(text, left);
        if (!n) return false;
    }
    return true;
}

static void notes_are_text(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipt = {.data = NULL};
    struct deal d;
    uint64_t ask;
    size_t ops = 0;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    for (int i = 0; i < 3; i++) {
        char *at = claim.doc.claim.activity;

        memset(at, 'a', 178 + (size_t)i);
        strcpy(at + 178 + i, "\xe2\x82\xac and more");
        shop_seal(&claim, &d.by->party);
        ask = ask_charge(s, &claim, d.by);
        shop_serve(s);
        charged(s, ask, &receipt);
        claim.doc.claim.previous = claim.doc.head.hash;
        claim.doc.claim.sequence++;
    }
    for (size_t i = 0; i < s->c.n_records; i++) {
        const struct crank_record *r = &s->c.records[i];
        Xn__LedgerBatch *batch;

        if (r->key[0] != 'J') continue;
        batch = xn__ledger_batch__unpack(NULL, r->value_len, r->value);
        if (!batch) continue;
        for (size_t j = 0; j < batch->n_ops; j++) {
            ops++;
            if (!is_utf8(batch->ops[j]->note))
                fail_msg("note: %s", batch->ops[j]->note);
        }
        xn__ledger_batch__free_unpacked(batch, NULL);
    }
    assert_true(ops > 3);
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

static void lies_do_not_fill_the_log(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    claim.doc.claim.amount++;
    shop_seal(&claim, &d.by->party);
    for (int i = 0; i < 3; i++) {
        s->c.log[0] = 0;
        assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EINTEGRITY);
        if ((s->c.log[0] != 0) != (i == 0)) fail_msg("%d: %s", i, s->c.log);
    }
    shop_doc_clear(&claim);
    deal_clear(&d);
}

/* One that claims nothing costs a server nothing, and us room for ever. */
static void claims_take_time(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipt = {.data = NULL};
    struct deal d;
    unsigned taken = 0;
    char because[300];
    uint64_t ask;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, 5000000);
    for (;;) {
        struct claim_state before = d.state;
        struct xn_msg *msg = NULL;
        int status;

        deal_claim(s, &d, 5000000, MONEY_RUNNING, &claim);
        ask = ask_charge(s, &claim, d.by);
        shop_serve(s);
        status = crank_answer(&s->c, ask, &msg)->status;
        claim_taken(&claim.doc.claim, &d.state);
        xn_msg_free(msg);
        shop_doc_clear(&claim);
        if (status != 200) {
            d.state = before;
            break;
        }
        if (++taken == 200) fail_msg("%u claims within 5 s", taken);
    }
    assert_int_equal(taken, 65);
    /* That is no lie: nothing is noted.  The last one may always come. */
    assert_int_equal(shop_records(s, 'R'), 0);
    deal_claim(s, &d, 5000000, MONEY_RUNNING, &claim);
    assert_int_equal(charge_refused(s, &claim, d.by, because), XN_EBUSY);
    shop_doc_clear(&claim);
    shop_pass(s, 1000000);
    deal_charge(s, &d, 5000000, MONEY_RUNNING);
    deal_charge(s, &d, 5000000, MONEY_FINAL);
    shop_audit(s);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

/* Of sessions that are none of a server's there is no end. */
static void lies_about_nothing(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    s->c.now.wall_us += HOUR_US - s->c.now.wall_us % HOUR_US;
    deal_claim(s, &d, 60000000, MONEY_RUNNING, &claim);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(charge_refused(s, &claim, &s->server[1], NULL),
                         XN_EINTEGRITY);
        assert_int_equal(shop_records(s, 'R'), 1);
        shop_pass(s, 120000000);
    }
    shop_pass(s, HOUR_US);
    assert_int_equal(charge_refused(s, &claim, &s->server[1], NULL),
                     XN_EINTEGRITY);
    assert_int_equal(shop_records(s, 'R'), 2);
    shop_audit(s);
    shop_doc_clear(&claim);
    deal_clear(&d);
}

/* One claim that is wrong in the `how`th way. */
static void seal_lie(struct shop *s, struct deal *d, unsigned how,
                     struct shop_doc *lie)
{
    struct money_claim *claim;

    deal_claim(s, d, 1000000, MONEY_RUNNING, lie);
    claim = &lie->doc.claim;
    switch (how) {
    case 0: claim->previous.b[0] ^= 1; break;
    case 1: memcpy(claim->currency, "USD", 4); break;
    case 2: claim->usage.cpu_s.v *= 1000; break;
    default: claim->amount++;
    }
    shop_seal(lie, &d->by->party);
}

static void tell_lie(struct shop *s, struct deal *d, unsigned how)
{
    struct shop_doc lie;
    uint64_t ask;

    seal_lie(s, d, how, &lie);
    ask = ask_charge(s, &lie, d->by);
    shop_serve(s);
    assert_true(shop_refused(s, ask, NULL) < 0);
    shop_doc_clear(&lie);
}

#define LIED_ABOUT 65
#define ON_RECORD 256

/* A server with many sessions and many ways to lie fills no disk.  The same
 * again is on record already and costs him nothing of that. */
static void many_lies_do_not_fill_the_books(void **state)
{
    struct shop *s = *state;
    struct deal d[LIED_ABOUT];

    shop_pay_in(s, 1, 100 * GBP);
    for (unsigned i = 0; i < LIED_ABOUT; i++)
        deal_begin(s, &d[i], (uint8_t)(i + 1), GBP, &s->server[0]);
    for (unsigned i = 0; i < LIED_ABOUT; i++)
        deal_validate(s, &d[i]);
    crank_pass(&s->c, 2000000);
    for (unsigned i = 0; i < ON_RECORD + 10; i++)
        tell_lie(s, &d[0], 0);
    assert_int_equal(shop_records(s, 'R'), 1);
    for (unsigned i = 0; i < LIED_ABOUT; i++) {
        for (unsigned how = 0; how < 4; how++)
            tell_lie(s, &d[i], how);
    }
    assert_int_equal(shop_records(s, 'R'), ON_RECORD);
    crank_pass(&s->c, 60000000);
    for (unsigned i = 0; i < 10; i++)
        tell_lie(s, &d[i], 0);
    assert_int_equal(shop_records(s, 'R'), ON_RECORD + 6);
    assert_true(deal_charge(s, &d[0], 1000000, MONEY_RUNNING) > 0);
    for (unsigned i = 0; i < LIED_ABOUT; i++)
        deal_clear(&d[i]);
    shop_audit(s);
}

/* What nobody asked for is not crowded out by those who ask. */
static void a_crowd_does_not_stop_releases(void **state)
{
    struct shop *s = *state;
    struct shop_member *crowd[] = {&s->client, &s->stranger, &s->server[0],
                                   &s->server[1]};
    struct deal d;

    deal_ordered(s, &d, 2 * GBP);
    s->c.now.wall_us += 200 * HOUR_US;
    crank_pass(&s->c, 59000000); /* it looks once a minute */
    for (unsigned i = 0; i < 4 * 128; i++)
        shop_ask_query(s, "/v1/accounts", "currency=USD",
                       &crowd[i / 128]->caller);
    crank_pass(&s->c, 2000000);
    crank_wake(&s->c);
    assert_int_equal(crank_count(&s->c, XN_ACT_ANSWER), 0);
    shop_serve(s);
    assert_int_equal(shop_stored(s, &d.serial), 0);
    deal_clear(&d);
    shop_audit(s);
}

static void one_member_does_not_take_all(void **state)
{
    struct shop *s = *state;
    struct xn_msg *msg = NULL;
    uint64_t ask;

    for (int i = 0; i < 512; i++)
        ask = shop_ask_query(s, "/v1/orders", "", &s->client.caller);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EBUSY);
    ask = shop_ask_query(s, "/v1/orders", "", &s->stranger.caller);
    shop_serve(s);
    assert_int_equal(crank_answer(&s->c, ask, &msg)->status, 200);
    xn_msg_free(msg);
}

static void bodies_of_scraps(void **state)
{
    struct shop *s = *state;
    static uint8_t scraps[80000];
    uint64_t ask;

    for (size_t i = 0; i < sizeof scraps; i += 2) {
        scraps[i] = 0x78; /* field 15, a number */
        scraps[i + 1] = 1;
    }
    ask = crank_ask_raw(&s->c, "POST", "/v1/validate", scraps, sizeof scraps,
                        &s->server[0].caller);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EPROTO);
}

/* Whoever learns the word of another's order learns nothing by it, nor can he
 * take it away by coming first. */
static void words_are_ones_own(void **state)
{
    struct shop *s = *state;
    uint8_t word[32];
    Xn__IssueOrder order;
    Xn__PayIn pay = XN__PAY_IN__INIT;
    struct deal d;
    uint64_t ask;

    shop_enrol(s, &s->stranger);
    shop_pay_in(s, 1, 5 * GBP);
    pay.client = xn_id_bytes(&s->stranger.id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = 5 * GBP;
    memset(word, 1, sizeof word);
    pay.request = (ProtobufCBinaryData){sizeof word, word};
    ask = crank_ask(&s->c, "POST", "/v1/accounts", &pay, &s->staff);
    shop_serve(s);
    assert_int_equal(shop_account(s, ask, NULL), 5 * GBP);
    deal_begin(s, &d, 1, GBP, &s->server[0]);
    order = shop_order(word, GBP, NOW_US + 100 * HOUR_US);
    ask = crank_ask(&s->c, "POST", "/v1/orders", &order, &s->stranger.caller);
    shop_serve(s);
    assert_false(same_order(s, ask, &d.serial));
    assert_int_equal(shop_balance(s), 4 * GBP);
    shop_audit(s);
    deal_clear(&d);
}

/* One word for a client's money and for his credit. */
static void a_word_for_each_kind(void **state)
{
    struct shop *s = *state;
    Xn__Credit credit = XN__CREDIT__INIT;
    uint8_t word[32];
    int64_t given = 0;
    uint64_t ask;

    shop_pay_in(s, 1, GBP);
    memset(word, 1, sizeof word);
    credit.client = xn_id_bytes(&s->client.id);
    credit.currency = (char *)(uintptr_t) "GBP";
    credit.micro = GBP;
    credit.request = (ProtobufCBinaryData){sizeof word, word};
    ask = crank_ask(&s->c, "POST", "/v1/credits", &credit, &s->staff);
    shop_serve(s);
    assert_int_equal(shop_account(s, ask, &given), GBP);
    assert_int_equal(given, GBP);
}

/* ---- clocks ---- */

/* The stop came while the order was being accepted, before its `Issued`. */
static void a_stop_overtakes_the_acceptance(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipt = {.data = NULL};
    struct xn_action late;
    struct deal d;
    uint64_t stop;

    deal_ordered(s, &d, 2 * GBP);
    stop = deal_ask_stop(s, &d);
    late = crank_take(&s->c, XN_ACT_VERIFY);
    crank_pass(&s->c, 2000000);
    deal_validate(s, &d);
    s->c.pending[s->c.n_pending++] = late;
    shop_serve(s);
    charged(s, stop, &receipt);
    shop_pass(s, 300000000);
    deal_claim(s, &d, 60000000, MONEY_FINAL, &claim);
    assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EMONEY);
    /* Setting up is owed all the same. */
    assert_int_equal(deal_charge(s, &d, 0, MONEY_FINAL), 10000);
    shop_audit(s);
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

/* The XenoCorp's clock jumps a day back, and on again: nothing is charged that
 * had no time, nothing is lost. */
static void the_clock_jumps_back(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    s->c.now.wall_us -= 24 * HOUR_US;
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    claim.doc.head.issued_us = s->c.now.wall_us;
    shop_seal(&claim, &d.by->party);
    assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EMONEY);
    shop_pass(s, HOUR_US);
    s->c.now.wall_us += 24 * HOUR_US;
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_RUNNING), 470000);
    shop_audit(s);
    shop_doc_clear(&claim);
    deal_clear(&d);
}

/* ---- numbers ---- */

static void orders_at_the_edge(void **state)
{
    static const struct {
        int64_t amount, most_per_hour;
        uint64_t until_us;
        int status;
    } rows[] = {
        {1, 0, NOW_US + ORDER_LIFE_US_MOST, 200},
        {1, 0, NOW_US + ORDER_LIFE_US_MOST + 1, 400},
        {1, 0, INT64_MAX, 400},
        {1, 0, UINT64_MAX, 400},
        {1, 0, 0, 400},
        {0, 0, NOW_US + HOUR_US, 400},
        {-1, 0, NOW_US + HOUR_US, 400},
        {INT64_MIN, 0, NOW_US + HOUR_US, 400},
        {1, -1, NOW_US + HOUR_US, 400},
        {1, INT64_MIN, NOW_US + HOUR_US, 400},
        {1, INT64_MAX, NOW_US + HOUR_US, 200},
        {INT64_MAX, 0, NOW_US + HOUR_US, 400},
    };
    struct shop *s = *state;
    uint8_t word[32] = {1};

    shop_pay_in(s, 1, 5 * GBP);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Xn__IssueOrder order = shop_order(word, rows[i].amount, 0);
        struct xn_msg *msg = NULL;
        uint64_t ask;
        int status;

        word[1] = (uint8_t)i;
        order.until_us = rows[i].until_us;
        order.most_per_hour = rows[i].most_per_hour;
        ask = crank_ask(&s->c, "POST", "/v1/orders", &order, &s->client.caller);
        shop_serve(s);
        status = crank_answer(&s->c, ask, &msg)->status;
        xn_msg_free(msg);
        if (status != rows[i].status) fail_msg("%zu: %d", i, status);
    }
    assert_int_equal(shop_balance(s), 5 * GBP - 2);
    shop_audit(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(notes_are_text),
        SHOP_TEST(lies_do_not_fill_the_log),
        SHOP_TEST(claims_take_time),
        SHOP_TEST(lies_about_nothing),
        SHOP_TEST(many_lies_do_not_fill_the_books),
        SHOP_TEST(a_crowd_does_not_stop_releases),
        SHOP_TEST(one_member_does_not_take_all),
        SHOP_TEST(bodies_of_scraps),
        SHOP_TEST(words_are_ones_own),
        SHOP_TEST(a_word_for_each_kind),
        SHOP_TEST(a_stop_overtakes_the_acceptance),
        SHOP_TEST(the_clock_jumps_back),
        SHOP_TEST(orders_at_the_edge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
