/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may be charged: honest servers are paid, others are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "tests/unit/money_kit.h"
#include "wire/flat.h"

#define S 1000000ULL
#define HOUR KIT_HOUR_US

static struct money_refusal said;

/* A session: the server's side, the corp's, and its clock. */
struct session {
    struct sale s;
    struct claim_terms terms;
    struct claim_state state;
    struct claim_clock clock;
    struct money claim; /* the last one made */
};

static void begin(struct session *x)
{
    memset(x, 0, sizeof *x);
    kit_sale(&x->s);
    assert_int_equal(claim_terms(&x->s.chain, &x->s.quote.quote,
                                 &x->s.acceptance.acceptance, &x->terms, &said),
                     0);
    claim_begin(&x->terms, &x->state);
    x->clock.now_us = KIT_NOW_US + HOUR;
    x->claim = x->s.claim;
}

static enum money_reason judge(struct session *x, struct claim_state *next)
{
    enum money_reason reason;

    memset(&said, 0, sizeof said);
    reason = claim_check(&x->terms, &x->state, &x->claim.claim, &x->clock, next,
                         &said);
    if (reason) {
        assert_int_equal(said.reason, reason);
        assert_int_not_equal(said.text[0], 0);
    }
    return reason;
}

static enum money_reason check(struct session *x)
{
    struct claim_state next;

    return judge(x, &next);
}

static void take(struct session *x)
{
    struct claim_state next;

    if (judge(x, &next)) fail_msg("%s", said.text);
    x->state = next;
}

/* A claim by the server's own tools; usage as it stands in x->claim. */
static void make(struct session *x, uint64_t till_us, enum money_state ending)
{
    struct price_usage usage = x->claim.claim.usage;

    assert_int_equal(claim_next(&x->terms, &x->state, &usage, till_us, ending,
                                "", &x->claim),
                     0);
    assert_true(kit_vouch(&x->claim, &x->s.corp));
}

/* After fields were changed by hand. */
static void sign(struct session *x)
{
    assert_true(kit_vouch(&x->claim, &x->s.corp));
}

/* The amount that the usage now costs, so that only the lie told is one. */
static void reprice(struct session *x)
{
    struct money_claim *claim = &x->claim.claim;

    if (price_amount(&x->terms.prices, &claim->usage, &claim->amount) != 0 ||
        claim->amount > claim_ceiling(&x->terms, claim->till_us))
        claim->amount = claim_ceiling(&x->terms, claim->till_us);
    sign(x);
}

static int exit_of(enum money_reason reason)
{
    return xn_exit_code(reason_rc(reason));
}

/* ---- honest ---- */

static void test_terms(void **state)
{
    struct session x;

    (void)state;
    begin(&x);
    assert_true(x.terms.amount == 4 * KIT_GBP);
    assert_true(x.terms.most_per_hour == KIT_GBP);
    assert_true(x.terms.since_us == KIT_NOW_US);
    assert_true(x.terms.until_us == KIT_NOW_US + 50 * HOUR);
    assert_string_equal(x.terms.currency, "GBP");
    assert_true(xn_id_eq(&x.terms.acceptance, &x.s.acceptance.head.hash));
    assert_true(xn_id_eq(&x.state.hash, &x.s.acceptance.head.hash));
    x.s.chain.n = 1;
    assert_int_equal(claim_terms(&x.s.chain, &x.s.quote.quote,
                                 &x.s.acceptance.acceptance, &x.terms, &said),
                     REASON_OPEN);
}

static void test_first_and_second(void **state)
{
    struct claim_state next;
    struct session x;

    (void)state;
    begin(&x);
    assert_int_equal(judge(&x, &next), 0);
    assert_true(next.amount - x.state.amount == 121629);
    assert_true(next.sequence == 1 && !next.final);
    assert_true(xn_id_eq(&next.hash, &x.claim.head.hash));
    x.state = next;
    /* The same again: known; the corp answers as before. */
    assert_int_equal(check(&x), REASON_REPEATED);
    assert_int_equal(reason_rc(REASON_REPEATED), 0);
    x.clock.now_us += HOUR;
    x.claim.claim.usage.hours = kit_dec("1.5");
    make(&x, KIT_NOW_US + 2 * HOUR, MONEY_FINAL);
    assert_int_equal(judge(&x, &next), 0);
    assert_true(next.amount - x.state.amount == 6050); /* half an hour */
    assert_true(next.final);
    x.state = next;
    x.claim.claim.usage.hours = kit_dec("2");
    make(&x, KIT_NOW_US + 2 * HOUR, MONEY_FINAL);
    assert_int_equal(check(&x), REASON_CLAIM_FINAL);
    assert_int_equal(exit_of(REASON_CLAIM_FINAL), 5);
}

/* A whole session at the full rate, claimed every 10 s by a server whose clock
 * is 3 minutes behind and whose CPU cap overshoots: every claim is taken, the
 * bill adds up to the last amount. */
static void test_honest_session(void **state)
{
    struct price_usage meter = {.hours = {0}};
    int64_t charged = 0;
    struct session x;

    (void)state;
    begin(&x);
    for (unsigned i = 1; i <= 2000; i++) {
        uint64_t till_us = KIT_NOW_US - 180 * S + i * 10 * S;
        struct price_usage usage;
        struct claim_state next;

        meter.hours.v = xn_dec_int((int64_t)i * 10).v / 3600;
        meter.cpu_s.v += kit_dec(i % 7 ? "15.01" : "14.9").v;
        meter.memory_mb_h.v = xn_dec_int((int64_t)i * 5120).v / 3600;
        meter.net_gb.v += kit_dec("0.0125").v;
        usage = meter;
        claim_cut(&x.terms, &x.state, till_us, &usage);
        assert_int_equal(claim_next(&x.terms, &x.state, &usage, till_us,
                                    i == 2000 ? MONEY_FINAL : MONEY_RUNNING,
                                    "busy", &x.claim),
                         0);
        sign(&x);
        x.clock.now_us = KIT_NOW_US + i * 10 * S;
        if (judge(&x, &next)) fail_msg("%u: %s", i, said.text);
        charged += next.amount - x.state.amount;
        x.state = next;
    }
    assert_true(charged == x.state.amount);
    assert_true(x.state.usage.cpu_s.v > kit_dec("29700").v);
    assert_true(x.state.amount > 2 * KIT_GBP);
}

static void test_cut(void **state)
{
    struct price_usage usage;
    struct session x;

    (void)state;
    begin(&x);
    memset(&usage, 0x3f, sizeof usage); /* a great deal of all */
    claim_cut(&x.terms, &x.state, KIT_NOW_US + 36 * S, &usage);
    assert_true(usage.hours.v == kit_dec("0.01").v);
    assert_true(usage.cpu_s.v == kit_dec("54").v);
    assert_true(usage.memory_mb_h.v == kit_dec("5.12").v);
    assert_true(usage.net_gb.v == kit_dec("0.072").v); /* both ways */
    assert_true(usage.disk_gb_h.v == kit_dec("0.2").v);
    x.claim.claim.usage = usage;
    make(&x, KIT_NOW_US + 36 * S, MONEY_RUNNING);
    x.clock.now_us = KIT_NOW_US + 36 * S;
    take(&x);
    /* Nothing more at the same time, nor before. */
    memset(&usage, 0x3f, sizeof usage);
    claim_cut(&x.terms, &x.state, KIT_NOW_US + 30 * S, &usage);
    assert_memory_equal(&usage, &x.state.usage, sizeof usage);
    memset(&usage, 0, sizeof usage);
    claim_cut(&x.terms, &x.state, KIT_NOW_US + 99 * S, &usage);
    assert_memory_equal(&usage, &x.state.usage, sizeof usage);
    /* Nor behind the end. */
    memset(&usage, 0x3f, sizeof usage);
    claim_cut(&x.terms, &x.state, KIT_NOW_US + 99 * HOUR, &usage);
    assert_true(usage.hours.v == kit_dec("50").v);
    x.claim.claim.usage = usage;
    make(&x, KIT_NOW_US + 99 * HOUR, MONEY_FINAL);
    assert_true(x.claim.claim.till_us == x.terms.until_us);
    x.clock.now_us = KIT_NOW_US + 99 * HOUR;
    take(&x);
}

static void test_next_refuses(void **state)
{
    struct price_usage usage = {.hours = kit_dec("0.5")};
    char activity[XN_VALUE_MAX + 2];
    struct session x;
    struct money out;

    (void)state;
    begin(&x);
    memset(activity, 'a', sizeof activity);
    activity[XN_VALUE_MAX + 1] = 0;
    assert_int_equal(claim_next(&x.terms, &x.state, &usage, KIT_NOW_US + HOUR,
                                MONEY_RUNNING, activity, &out),
                     XN_EINVAL);
    activity[XN_VALUE_MAX] = 0;
    assert_int_equal(claim_next(&x.terms, &x.state, &usage, KIT_NOW_US + HOUR,
                                MONEY_RUNNING, activity, &out),
                     0);
    take(&x);
    assert_int_equal(claim_next(&x.terms, &x.state, &usage, KIT_NOW_US + HOUR,
                                MONEY_RUNNING, "", &out),
                     XN_EINVAL); /* less than was claimed */
    usage.hours.v = -1;
    assert_int_equal(claim_next(&x.terms, &x.state, &usage, KIT_NOW_US + HOUR,
                                MONEY_RUNNING, "", &out),
                     XN_EINVAL);
}

/* Each field of a receipt altered by a corp that signs anything. */
static void test_receipts(void **state)
{
    const struct flat_form *form = money_form(MONEY_RECEIPT);
    struct claim_state next;
    struct session x;

    (void)state;
    begin(&x);
    assert_int_equal(judge(&x, &next), 0);
    for (size_t i = 0; i < form->n; i++) {
        const char *name = form->fields[i].name;
        struct money receipt = x.s.receipt;
        enum money_reason reason;

        *((char *)&receipt + form->fields[i].at) ^= 2;
        reason = claim_receipted(&x.terms, &x.claim.head.hash, &x.state, &next,
                                 &receipt.receipt, &said);
        if (strcmp(name, "Issued") == 0) {
            assert_int_equal(reason, 0);
            continue;
        }
        assert_int_equal(reason, REASON_RECEIPT);
        assert_int_equal(exit_of(reason), 9);
        assert_non_null(strstr(said.text, name));
    }
    assert_true(x.s.receipt.receipt.charge == 121629);
    assert_true(x.s.receipt.receipt.left == 4 * KIT_GBP - 121629);
    memset(&x.s.receipt.head.corp, 0, sizeof(xn_id));
    assert_int_equal(claim_receipted(&x.terms, &x.claim.head.hash, &x.state,
                                     &next, &x.s.receipt.receipt, &said),
                     REASON_UNVERIFIED);
    /* Of a stop: nothing is added. */
    claim_receipt(&x.terms, &x.s.stop.head.hash, &next, &next,
                  KIT_NOW_US + HOUR, &x.s.receipt);
    assert_true(kit_vouch(&x.s.receipt, &x.s.corp));
    assert_true(x.s.receipt.receipt.charge == 0);
    assert_true(x.s.receipt.receipt.sequence == 1);
    assert_int_equal(claim_receipted(&x.terms, &x.s.stop.head.hash, &next,
                                     &next, &x.s.receipt.receipt, &said),
                     0);
}

/* ---- what the order allows ---- */

static void test_ceiling(void **state)
{
    struct session x;

    (void)state;
    begin(&x);
    assert_true(claim_ceiling(&x.terms, 0) == KIT_GBP);
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US) == KIT_GBP);
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US + HOUR) == KIT_GBP);
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US + HOUR + 1) == 2 * KIT_GBP);
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US + 4 * HOUR) == 4 * KIT_GBP);
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US + 9 * HOUR) == 4 * KIT_GBP);
    assert_true(claim_ceiling(&x.terms, UINT64_MAX) == 4 * KIT_GBP);
    x.terms.most_per_hour = INT64_MAX;
    assert_true(claim_ceiling(&x.terms, UINT64_MAX) == 4 * KIT_GBP);
    x.terms.most_per_hour = 0;
    assert_true(claim_ceiling(&x.terms, KIT_NOW_US) == 4 * KIT_GBP);
    x.terms.most_per_hour = 1;
    x.terms.until_us = KIT_NOW_US + HOUR;
    assert_true(claim_ceiling(&x.terms, UINT64_MAX) == 1);
}

/* Used up: the claim is for what is left, with all of the usage. */
static void test_above_the_limits(void **state)
{
    struct session x;

    (void)state;
    begin(&x);
    x.terms.prices.per_hour = kit_dec("1.5");
    x.claim.claim.usage.hours = kit_dec("1");
    make(&x, KIT_NOW_US + HOUR, MONEY_RUNNING);
    assert_true(x.claim.claim.amount == KIT_GBP);
    take(&x);
    x.clock.now_us += 9 * HOUR;
    x.claim.claim.usage.hours = kit_dec("10");
    make(&x, KIT_NOW_US + 10 * HOUR, MONEY_FINAL);
    assert_true(x.claim.claim.amount == 4 * KIT_GBP);
    take(&x);
    assert_true(x.state.amount == 4 * KIT_GBP);
    /* Prices past all numbers owe no more than that. */
    begin(&x);
    x.terms.prices.per_hour = kit_dec("9999999999999999999999999");
    make(&x, KIT_NOW_US + HOUR, MONEY_RUNNING);
    assert_true(x.claim.claim.amount == KIT_GBP);
    take(&x);
}

/* ---- dishonest servers ---- */

struct lie {
    const char *word; /* of what is said */
    void (*tell)(struct session *x);
    enum money_reason reason;
    int code;
};

static void more_cpu(struct session *x)
{
    x->claim.claim.usage.cpu_s = kit_dec("5400.000000000001");
    reprice(x);
}
static void more_hours(struct session *x)
{
    x->claim.claim.usage.hours = kit_dec("1.000000000001");
    reprice(x);
}
static void more_memory(struct session *x)
{
    x->claim.claim.usage.memory_mb_h = kit_dec("512.000000000001");
    reprice(x);
}
static void more_net(struct session *x)
{
    x->claim.claim.usage.net_gb = kit_dec("7.200000000001");
    reprice(x);
}
static void more_disk(struct session *x)
{
    x->claim.claim.usage.disk_gb_h = kit_dec("20.000000000001");
    reprice(x);
}
static void more_than_any(struct session *x)
{
    x->claim.claim.usage.cpu_s = kit_dec("9999999999999999999999999");
    reprice(x);
}
static void not_offered(struct session *x)
{
    x->terms.rates.net_mbps = kit_dec("0");
    x->claim.claim.usage.net_gb = kit_dec("0.000000000001");
    reprice(x);
}
static void dearer(struct session *x)
{
    x->claim.claim.amount++;
    sign(x);
}
static void cheaper(struct session *x)
{
    x->claim.claim.amount--;
    sign(x);
}
static void other_prices(struct session *x)
{
    x->terms.prices.cpu_second = kit_dec("0.00002");
    reprice(x);
    x->terms.prices.cpu_second = kit_dec("0.00001");
}
static void above_amount(struct session *x)
{
    x->claim.claim.amount = 4 * KIT_GBP + 1;
    sign(x);
}
static void above_hourly(struct session *x)
{
    x->claim.claim.amount = KIT_GBP + 1;
    sign(x);
}
/* It says that the second hour has begun; the corp's clock says not. */
static void hour_ahead(struct session *x)
{
    x->terms.prices.per_hour = kit_dec("2");
    x->claim.claim.till_us += 1;
    reprice(x);
    assert_true(x->claim.claim.amount > KIT_GBP);
}
static void others_session(struct session *x)
{
    x->claim.claim.session = kit_id(0x99);
    sign(x);
}
static void others_order(struct session *x)
{
    x->claim.claim.previous = kit_id(0x99);
    sign(x);
}
static void other_server(struct session *x)
{
    x->claim.head.by = kit_id(0x99);
    sign(x);
}
static void other_corp(struct session *x)
{
    x->claim.head.corp = kit_id(0x99);
}
static void unsigned_claim(struct session *x)
{
    memset(&x->claim.head.corp, 0, sizeof(xn_id));
}
static void other_currency(struct session *x)
{
    strcpy(x->claim.claim.currency, "USD");
    sign(x);
}
static void skips_one(struct session *x)
{
    x->claim.claim.sequence = 2;
    x->claim.claim.previous = kit_id(7); /* which the corp has not seen */
    sign(x);
}
static void misnumbers(struct session *x)
{
    x->claim.claim.sequence = 2;
    sign(x);
}
static void after_stop(struct session *x)
{
    x->clock.stopped_us = KIT_NOW_US + HOUR - 240 * S;
}
static void after_stop_till(struct session *x)
{
    memset(&x->claim.claim.usage, 0, sizeof x->claim.claim.usage);
    reprice(x);
    x->clock.now_us += HOUR;
    x->clock.stopped_us = x->claim.claim.till_us - MONEY_AHEAD_US_MAX - 1;
}
static void stopped_before_it_began(struct session *x)
{
    x->clock.stopped_us = KIT_NOW_US - 1;
}
static void after_end(struct session *x)
{
    x->terms.until_us = KIT_NOW_US + HOUR - 240 * S;
}
static void ahead_of_time(struct session *x)
{
    x->claim.claim.till_us = x->clock.now_us + MONEY_AHEAD_US_MAX + 1;
    sign(x);
}
static void before_it_began(struct session *x)
{
    x->claim.claim.till_us = KIT_NOW_US - MONEY_AHEAD_US_MAX - 1;
    sign(x);
}

static const struct lie lies[] = {
    {"UsedCPUSeconds", more_cpu, REASON_CLAIM_RATE, 5},
    {"UsedHours", more_hours, REASON_CLAIM_RATE, 5},
    {"UsedMemoryMBHours", more_memory, REASON_CLAIM_RATE, 5},
    {"UsedNetGB", more_net, REASON_CLAIM_RATE, 5},
    {"UsedDiskGBHours", more_disk, REASON_CLAIM_RATE, 5},
    {"UsedCPUSeconds", more_than_any, REASON_CLAIM_RATE, 5},
    {"UsedNetGB", not_offered, REASON_CLAIM_RATE, 5},
    {"0.12163 GBP", dearer, REASON_CLAIM_PRICE, 9},
    {"0.121628 GBP", cheaper, REASON_CLAIM_PRICE, 9},
    {"", other_prices, REASON_CLAIM_PRICE, 9},
    {"4.000001 GBP, of 4 GBP", above_amount, REASON_CLAIM_AMOUNT, 5},
    {"1.000001 GBP, of 1 GBP", above_hourly, REASON_CLAIM_HOURLY, 5},
    {"", hour_ahead, REASON_CLAIM_HOURLY, 5},
    {"", others_session, REASON_CLAIM_SESSION, 9},
    {"", others_order, REASON_CLAIM_CHAIN, 9},
    {"", other_server, REASON_CLAIM_SERVER, 9},
    {"", other_corp, REASON_OTHER_CORP, 6},
    {"", unsigned_claim, REASON_UNVERIFIED, 9},
    {"USD", other_currency, REASON_CURRENCY, 5},
    {"2, after 0", skips_one, REASON_CLAIM_GAP, 8},
    {"Sequence", misnumbers, REASON_CLAIM_CHAIN, 9},
    {"UsedHours", after_stop, REASON_CLAIM_STOPPED, 5},
    {"Till", after_stop_till, REASON_CLAIM_STOPPED, 5},
    {"", stopped_before_it_began, REASON_CLAIM_STOPPED, 5},
    {"UsedHours", after_end, REASON_CLAIM_ENDED, 5},
    {"Till", ahead_of_time, REASON_CLAIM_DATE, 5},
    {"Till", before_it_began, REASON_CLAIM_SHRINKS, 9},
};

static void test_lies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        enum money_reason reason;
        struct session x;

        begin(&x);
        assert_int_equal(check(&x), 0); /* it is the lie that is refused */
        lies[i].tell(&x);
        reason = check(&x);
        if (reason != lies[i].reason)
            fail_msg("%zu: %s: %s", i, reason_name(reason), said.text);
        assert_int_equal(exit_of(reason), lies[i].code);
        if (!strstr(said.text, lies[i].word)) fail_msg("%zu: %s", i, said.text);
    }
}

/* Right at the limits nothing is refused. */
static void test_at_the_limits(void **state)
{
    struct session x;

    (void)state;
    begin(&x);
    x.claim.claim.usage.cpu_s = kit_dec("5400");
    x.claim.claim.usage.net_gb = kit_dec("7.2");
    x.claim.claim.usage.disk_gb_h = kit_dec("20");
    reprice(&x);
    assert_int_equal(check(&x), 0);
    x.clock.now_us--;
    assert_int_equal(check(&x), REASON_CLAIM_RATE);
    x.clock.slack_us = 1;
    assert_int_equal(check(&x), 0);
    x.clock.slack_us = 0;
    x.clock.now_us++;
    /* What is forgiven after a stop, and what is the stop's fault. */
    x.clock.stopped_us = x.clock.now_us - 1;
    assert_int_equal(check(&x), REASON_CLAIM_STOPPED);
    x.clock.now_us--;
    x.clock.slack_us = 1;
    x.clock.stopped_us--;
    assert_int_equal(check(&x), REASON_CLAIM_STOPPED);
    x.clock.stopped_us++;
    assert_int_equal(check(&x), 0);
    x.clock.slack_us = 0;
    x.clock.now_us++;
    x.clock.stopped_us = x.clock.now_us;
    assert_int_equal(check(&x), 0);
    x.terms.until_us = x.clock.now_us;
    assert_int_equal(check(&x), 0);
    x.claim.claim.till_us = x.clock.now_us + MONEY_AHEAD_US_MAX;
    sign(&x);
    assert_int_equal(check(&x), 0);
    x.claim.claim.till_us = KIT_NOW_US - MONEY_AHEAD_US_MAX;
    sign(&x);
    assert_int_equal(check(&x), 0);
}

/* After a first claim: each field less than before; usage for the past that
 * was not claimed then; older numbers; another claim under one number. */
static void test_second_claim(void **state)
{
    const struct flat_form *form = money_form(MONEY_CLAIM);
    struct session x, y;

    (void)state;
    begin(&x);
    take(&x);
    x.clock.now_us += HOUR;
    make(&x, KIT_NOW_US + 2 * HOUR, MONEY_RUNNING);
    assert_int_equal(check(&x), 0);
    for (size_t i = 0; i < form->n; i++) {
        const struct flat_field *field = &form->fields[i];

        if (strncmp(field->name, "Used", 4) != 0) continue;
        y = x;
        ((xn_dec *)((char *)&y.claim + field->at))->v--;
        reprice(&y);
        assert_int_equal(check(&y), REASON_CLAIM_SHRINKS);
        assert_non_null(strstr(said.text, field->name));
        assert_int_equal(exit_of(REASON_CLAIM_SHRINKS), 9);
    }
    y = x;
    y.claim.claim.till_us = y.state.till_us - 1;
    sign(&y);
    assert_int_equal(check(&y), REASON_CLAIM_SHRINKS);
    y = x;
    y.claim.claim.amount = y.state.amount - 1;
    sign(&y);
    assert_int_equal(check(&y), REASON_CLAIM_SHRINKS);
    /* 3600.5 s were claimed of 5400: the rest is gone. */
    y = x;
    y.claim.claim.usage.cpu_s = kit_dec("9000.5");
    reprice(&y);
    assert_int_equal(check(&y), 0);
    y.claim.claim.usage.cpu_s = kit_dec("9000.500000000001");
    reprice(&y);
    assert_int_equal(check(&y), REASON_CLAIM_RATE);
    assert_non_null(strstr(said.text, "since the claim before"));
    /* Its own time counts there, not the corp's. */
    y.claim.claim.usage.cpu_s = kit_dec("9000.5");
    y.claim.claim.till_us--;
    reprice(&y);
    assert_int_equal(check(&y), REASON_CLAIM_RATE);
    y = x;
    y.claim.claim.sequence = 1;
    sign(&y);
    assert_int_equal(check(&y), REASON_CLAIM_TWICE);
    assert_int_equal(exit_of(REASON_CLAIM_TWICE), 9);
    take(&x);
    y.state = x.state;
    assert_int_equal(check(&y), REASON_CLAIM_OLD);
    assert_int_equal(exit_of(REASON_CLAIM_OLD), 8);
}

/* Every field of a claim that was taken, altered: it is not taken again. */
static void test_every_field_after(void **state)
{
    const struct flat_form *form = money_form(MONEY_CLAIM);

    (void)state;
    for (size_t i = 0; i < form->n; i++) {
        const struct flat_field *field = &form->fields[i];
        enum money_reason reason;
        struct session x;
        char *slot;

        begin(&x);
        take(&x);
        slot = (char *)&x.claim + field->at;
        *slot ^= field->type == FLAT_COUNT ? 2 : 1; /* 3: a gap */
        sign(&x);
        reason = check(&x);
        assert_int_not_equal(reason, 0);
        assert_int_not_equal(reason, REASON_REPEATED);
        assert_int_not_equal(exit_of(reason), 0);
    }
}

/* ---- any session ---- */

static uint64_t below(struct xn_rng *rng, uint64_t n)
{
    return xn_rng_below(rng, n);
}

/* Sessions at random, of servers that lie at random: whatever is taken keeps
 * every bound, by plain arithmetic of its own. */
static void bounds_hold(const struct session *x, const struct claim_state *next)
{
    const struct claim_terms *terms = &x->terms;
    uint64_t end_us = x->clock.now_us;
    xn_i128 us, hours;
    int64_t price;

    if (x->clock.stopped_us && x->clock.stopped_us < end_us)
        end_us = x->clock.stopped_us;
    if (terms->until_us < end_us) end_us = terms->until_us;
    us = end_us > terms->since_us ? (xn_i128)(end_us - terms->since_us) : 0;
    /* smps / 1000 per s; MB, GB times hours; Mbit/s both ways. */
    assert_true(next->usage.cpu_s.v * 1000000000 <=
                terms->rates.cpu_smps.v * us);
    assert_true(next->usage.hours.v * 3600000000 <= XN_DEC_ONE * us);
    assert_true(next->usage.memory_mb_h.v * 3600000000 <=
                terms->rates.memory_mb.v * us);
    assert_true(next->usage.net_gb.v * 4000000000 <=
                terms->rates.net_mbps.v * us);
    assert_true(next->usage.disk_gb_h.v * 3600000000 <=
                terms->rates.disk_gb.v * us);
    assert_true(next->amount >= x->state.amount);
    assert_true(next->amount <= terms->amount);
    hours = ((xn_i128)(x->clock.now_us - terms->since_us) + 3599999999) /
            3600000000;
    assert_true(next->amount <= hours * terms->most_per_hour);
    assert_int_equal(price_amount(&terms->prices, &next->usage, &price), 0);
    assert_true(next->amount <= price);
    assert_true(next->sequence == x->state.sequence + 1);
    assert_true(!x->state.final);
}

static void lie_at_random(struct session *x, struct xn_rng *rng)
{
    struct money_claim *claim = &x->claim.claim;
    xn_dec *used[] = {&claim->usage.hours, &claim->usage.cpu_s,
                      &claim->usage.memory_mb_h, &claim->usage.net_gb,
                      &claim->usage.disk_gb_h};

    switch (below(rng, 8)) {
    case 0: {
        xn_dec *d = used[below(rng, 5)];

        d->v = d->v / 100 * (xn_i128)below(rng, 300);
        reprice(x);
        break;
    }
    case 1: claim->amount += (int64_t)below(rng, 2000) - 1000; break;
    case 2: claim->sequence = below(rng, 9) + 1; break;
    case 3:
        claim->till_us += below(rng, 2 * HOUR);
        reprice(x);
        break;
    case 4:
        claim->till_us -= below(rng, 2 * HOUR);
        reprice(x);
        break;
    case 5: claim->previous.b[0] ^= 1; break;
    default: break;
    }
    if (claim->amount < 0) claim->amount = 0;
    sign(x);
}

static void test_any_session(void **state)
{
    size_t taken = 0, refused = 0, finals = 0;
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 11);
    for (unsigned i = 0; i < 150; i++) {
        struct price_usage meter = {.hours = {0}};
        uint64_t till_us = KIT_NOW_US;
        struct session x;

        begin(&x);
        x.clock.now_us = KIT_NOW_US;
        for (unsigned j = 0; j < 20; j++) {
            uint64_t step_us = below(&rng, 5 * HOUR);
            struct claim_state next;
            struct price_usage usage;

            x.clock.now_us += step_us;
            till_us += step_us;
            if (!x.clock.stopped_us && below(&rng, 30) == 0)
                x.clock.stopped_us = x.clock.now_us - below(&rng, HOUR);
            meter.hours.v += (xn_i128)step_us * 277;
            meter.cpu_s.v += (xn_i128)below(&rng, step_us * 2 + 1) * 1000000;
            meter.net_gb.v += (xn_i128)below(&rng, 1000000) * 100000;
            usage = meter;
            if (below(&rng, 4)) claim_cut(&x.terms, &x.state, till_us, &usage);
            if (claim_next(&x.terms, &x.state, &usage, till_us,
                           below(&rng, 40) ? MONEY_RUNNING : MONEY_FINAL, "",
                           &x.claim) != 0) {
                continue;
            }
            sign(&x);
            lie_at_random(&x, &rng);
            if (judge(&x, &next)) {
                refused++;
                continue;
            }
            bounds_hold(&x, &next);
            finals += next.final;
            x.state = next;
            taken++;
        }
    }
    assert_true(taken > 300 && refused > 300 && finals > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_first_and_second),
        cmocka_unit_test(test_honest_session),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_next_refuses),
        cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_above_the_limits),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_at_the_limits),
        cmocka_unit_test(test_second_claim),
        cmocka_unit_test(test_every_field_after),
        cmocka_unit_test(test_any_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
