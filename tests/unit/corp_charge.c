/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp and those who lie to it: servers that claim what is not owed. */
#include "tests/unit/corp_money_kit.h"

#include "wire/store.pb-c.h"

/* ---- a dishonest server ---- */

struct lie {
    const char *reason;
    int rc;
    void (*tell)(struct shop *s, struct deal *d, struct shop_doc *claim);
};

/* The price of what it says, so that the sum is not what gives it away. */
static void reckon(struct deal *d, struct shop_doc *claim)
{
    assert_int_equal(price_amount(&d->terms.prices, &claim->doc.claim.usage,
                                  &claim->doc.claim.amount),
                     0);
}

static void more_cpu(struct shop *s, struct deal *d, struct shop_doc *claim)
{
    claim->doc.claim.usage.cpu_s.v *= 2;
    reckon(d, claim);
}

static void other_price(struct shop *s, struct deal *d, struct shop_doc *claim)
{
    claim->doc.claim.amount++;
}

static void more_than_ordered(struct shop *s, struct deal *d,
                              struct shop_doc *claim)
{
    claim->doc.claim.amount = 2 * GBP + 1;
}

static void ahead(struct shop *s, struct deal *d, struct shop_doc *claim)
{
    claim->doc.claim.till_us += HOUR_US;
}

static void skipped(struct shop *s, struct deal *d, struct shop_doc *claim)
{
    claim->doc.claim.sequence++;
    claim->doc.claim.previous.b[1] ^= 1;
}

static void unchained(struct shop *s, struct deal *d, struct shop_doc *claim)
{
    claim->doc.claim.previous.b[0] ^= 1;
}

static void no_such_session(struct shop *s, struct deal *d,
                            struct shop_doc *claim)
{
    claim->doc.claim.session.b[0] ^= 1;
}

static void other_currency(struct shop *s, struct deal *d,
                           struct shop_doc *claim)
{
    strcpy(claim->doc.claim.currency, "USD");
}

static const struct lie lies[] = {
    {"CLAIM_RATE", XN_EMONEY, more_cpu},
    {"CLAIM_PRICE", XN_EINTEGRITY, other_price},
    {"CLAIM_AMOUNT", XN_EMONEY, more_than_ordered},
    {"CLAIM_DATE", XN_EMONEY, ahead},
    {"CLAIM_GAP", XN_ESTALE, skipped},
    {"CLAIM_CHAIN", XN_EINTEGRITY, unchained},
    {"CLAIM_SESSION", XN_EINTEGRITY, no_such_session},
    {"CURRENCY", XN_EMONEY, other_currency},
};

/* The last refusal in the books. */
static void expect_noted(struct shop *s, size_t n, const char *reason)
{
    const struct crank_record *last = NULL;
    uint64_t last_us = 0;
    bool found = false;
    size_t seen = 0;

    for (size_t i = 0; i < s->c.n_records; i++) {
        const struct crank_record *r = &s->c.records[i];
        Xn__RefusedClaim *refused;

        if (r->key[0] != 'R') continue;
        seen++;
        refused = xn__refused_claim__unpack(NULL, r->value_len, r->value);
        assert_non_null(refused);
        assert_true(refused->envelope.len > 0);
        assert_true(refused->text[0] != 0);
        found |= strcmp(refused->reason, reason) == 0;
        if (refused->at_us > last_us) {
            last_us = refused->at_us;
            last = r;
        }
        xn__refused_claim__free_unpacked(refused, NULL);
    }
    assert_int_equal(seen, n);
    assert_true(found);
    assert_non_null(last);
}

static void lies_are_refused_and_noted(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        char because[300];
        int rc;

        deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
        lies[i].tell(s, &d, &claim);
        shop_seal(&claim, &d.by->party);
        rc = charge_refused(s, &claim, d.by, because);
        if (rc != lies[i].rc) fail_msg("%s: %s", lies[i].reason, because);
        expect_noted(s, i + 1, lies[i].reason);
        /* The same lie again is refused again, and noted once a minute. */
        assert_int_equal(charge_refused(s, &claim, d.by, NULL), lies[i].rc);
        expect_noted(s, i + 1, lies[i].reason);
        shop_doc_clear(&claim);
        assert_int_equal(shop_earned(s, d.by), 0);
    }
    /* It may still say the truth. */
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_RUNNING), 470000);
    shop_audit(s);
    deal_clear(&d);
}

/* However many lies of a kind it tells in a minute: one record. */
static void lies_do_not_fill_the_books(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    for (uint8_t i = 0; i < 40; i++) {
        memset(&claim.doc.claim.session, 0x40 + i, XN_ID_SIZE);
        claim.doc.claim.amount += i;
        shop_seal(&claim, &d.by->party);
        assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EINTEGRITY);
    }
    expect_noted(s, 1, "CLAIM_SESSION");
    shop_audit(s);
    shop_doc_clear(&claim);
    deal_clear(&d);
}

static void claims_twice(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim;
    struct deal d;
    struct claim_state before;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    before = d.state;
    deal_charge(s, &d, HOUR_US / 2, MONEY_RUNNING);
    /* Another claim with the number of one that was taken. */
    d.state = before;
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EINTEGRITY);
    expect_noted(s, 1, "CLAIM_TWICE");
    shop_doc_clear(&claim);
    shop_audit(s);
    deal_clear(&d);
}

/* Two claims with one number at the same time: one is taken. */
static void two_claims_at_once(void **state)
{
    struct shop *s = *state;
    struct shop_doc one, two, receipt = {.data = NULL};
    struct deal d;
    uint64_t a, b;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &one);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &two);
    strcpy(two.doc.claim.activity, "another"); /* of the same sum */
    shop_seal(&two, &d.by->party);
    a = ask_charge(s, &one, d.by);
    b = ask_charge(s, &two, d.by);
    shop_serve(s);
    charged(s, a, &receipt);
    assert_true(xn_id_eq(&receipt.doc.receipt.of, &one.doc.head.hash));
    assert_int_equal(shop_refused(s, b, NULL), XN_EINTEGRITY);
    assert_int_equal(shop_earned(s, d.by), 470000);
    shop_audit(s);
    shop_doc_clear(&one);
    shop_doc_clear(&two);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

static void after_a_stop(void **state)
{
    struct shop *s = *state;
    struct shop_doc claim, receipt = {.data = NULL};
    struct deal d;
    uint64_t ask;

    deal_made(s, &d, 2 * GBP);
    shop_pass(s, HOUR_US);
    ask = deal_ask_stop(s, &d);
    shop_serve(s);
    charged(s, ask, &receipt);
    shop_pass(s, 300000000);
    deal_claim(s, &d, HOUR_US + 300000000, MONEY_FINAL, &claim);
    assert_int_equal(charge_refused(s, &claim, d.by, NULL), XN_EMONEY);
    expect_noted(s, 1, "CLAIM_STOPPED");
    assert_int_equal(deal_charge(s, &d, HOUR_US, MONEY_FINAL), 470000);
    shop_audit(s);
    shop_doc_clear(&claim);
    shop_doc_clear(&receipt);
    deal_clear(&d);
}

static void anothers_order(void **state)
{
    struct shop *s = *state;
    const struct shop_member *thief = &s->server[3];
    struct shop_doc claim;
    struct deal d;
    uint64_t ask;

    deal_ordered(s, &d, 2 * GBP);
    /* Presented by another than it names. */
    d.by = thief;
    ask = deal_ask_validate(s, &d);
    shop_serve(s);
    assert_int_equal(shop_refused(s, ask, NULL), XN_EIDENT);
    d.by = &s->server[0];
    deal_validate(s, &d);
    shop_pass(s, HOUR_US);
    deal_claim(s, &d, HOUR_US, MONEY_RUNNING, &claim);
    /* The right claim, brought by another: might be kept back or reordered. */
    assert_int_equal(charge_refused(s, &claim, thief, NULL), XN_EINTEGRITY);
    expect_noted(s, 1, "CLAIM_SERVER");
    /* Signed by another. */
    shop_seal(&claim, &thief->party);
    assert_int_equal(charge_refused(s, &claim, thief, NULL), XN_EINTEGRITY);
    expect_noted(s, 2, "CLAIM_SESSION");
    assert_int_equal(shop_earned(s, thief), 0);
    shop_audit(s);
    shop_doc_clear(&claim);
    deal_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOP_TEST(lies_are_refused_and_noted),
        SHOP_TEST(lies_do_not_fill_the_books),
        SHOP_TEST(claims_twice),
        SHOP_TEST(two_claims_at_once),
        SHOP_TEST(after_a_stop),
        SHOP_TEST(anothers_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
