/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an order is good for: narrowing, accepting, binding. */
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

static struct money_refusal said;

static int exit_of(enum money_reason reason)
{
    return xn_exit_code(reason_rc(reason));
}

/* ---- one narrowing over the order ---- */

/* A change to a narrowing's limits, and what comes of it over the order that
 * base() makes: every limit set. */
struct change {
    const char *field;
    void (*apply)(struct money_limits *limits);
    enum money_reason reason;
};

static void amount_less(struct money_limits *l)
{
    l->amount = 10 * KIT_GBP - 1;
}
static void amount_same(struct money_limits *l)
{
    l->amount = 10 * KIT_GBP;
}
static void amount_more(struct money_limits *l)
{
    l->amount = 10 * KIT_GBP + 1;
}
static void hourly_less(struct money_limits *l)
{
    l->most_per_hour = 1;
}
static void hourly_same(struct money_limits *l)
{
    l->most_per_hour = 5 * KIT_GBP;
}
static void hourly_more(struct money_limits *l)
{
    l->most_per_hour = 5 * KIT_GBP + 1;
}
static void from_later(struct money_limits *l)
{
    l->from_us = KIT_NOW_US;
}
static void from_same(struct money_limits *l)
{
    l->from_us = KIT_NOW_US - 2000000;
}
static void from_earlier(struct money_limits *l)
{
    l->from_us = KIT_NOW_US - 2000001;
}
static void from_too_late(struct money_limits *l)
{
    l->from_us = KIT_NOW_US + 100 * KIT_HOUR_US;
}
static void until_earlier(struct money_limits *l)
{
    l->until_us = KIT_NOW_US + 1;
}
static void until_same(struct money_limits *l)
{
    l->until_us = KIT_NOW_US + 100 * KIT_HOUR_US;
}
static void until_later(struct money_limits *l)
{
    l->until_us = KIT_NOW_US + 100 * KIT_HOUR_US + 1;
}
static void type_same(struct money_limits *l)
{
    strcpy(l->env_type, "Linux");
}
static void type_other(struct money_limits *l)
{
    strcpy(l->env_type, "NetBSD");
}
static void server_same(struct money_limits *l)
{
    l->server = kit_id(0x5e);
}
static void server_other(struct money_limits *l)
{
    l->server = kit_id(0x5f);
}
static void quote_same(struct money_limits *l)
{
    l->quote = kit_id(0x77);
}
static void quote_other(struct money_limits *l)
{
    l->quote = kit_id(0x78);
}
static void currency_other(struct money_limits *l)
{
    strcpy(l->currency, "USD");
}
static void nothing(struct money_limits *l)
{
    (void)l;
}

static const struct change changes[] = {
    {"", nothing, REASON_FINE},
    {"", amount_less, REASON_FINE},
    {"", amount_same, REASON_FINE},
    {"Amount", amount_more, REASON_WIDENS},
    {"", hourly_less, REASON_FINE},
    {"", hourly_same, REASON_FINE},
    {"MostPerHour", hourly_more, REASON_WIDENS},
    {"", from_later, REASON_FINE},
    {"", from_same, REASON_FINE},
    {"From", from_earlier, REASON_WIDENS},
    {"From", from_too_late, REASON_EMPTY},
    {"", until_earlier, REASON_FINE},
    {"", until_same, REASON_FINE},
    {"Until", until_later, REASON_WIDENS},
    {"", type_same, REASON_FINE},
    {"EnvType", type_other, REASON_WIDENS},
    {"", server_same, REASON_FINE},
    {"Server", server_other, REASON_WIDENS},
    {"", quote_same, REASON_FINE},
    {"Quote", quote_other, REASON_WIDENS},
    {"USD", currency_other, REASON_CURRENCY},
};
#define CHANGES (sizeof changes / sizeof changes[0])

struct pair { /* an order and two narrowings over it */
    struct money order;
    struct money_narrowing narrowings[ORDER_NARROWINGS_MAX + 1];
    struct order_chain chain;
};

/* The next narrowing, over what is there. */
static struct money_limits *stack(struct pair *p)
{
    size_t n = p->chain.n++;
    xn_id holder = p->order.order.holder;
    struct money doc = kit_doc(MONEY_NARROWING, &holder, KIT_NOW_US - 1000000);

    doc.narrowing.over =
        n ? p->narrowings[n - 1].head.hash : p->order.head.hash;
    strcpy(doc.narrowing.limits.currency, "GBP");
    p->narrowings[n] = doc.narrowing;
    return &p->narrowings[n].limits;
}

static void vouch_last(struct pair *p)
{
    struct money_narrowing *last = &p->narrowings[p->chain.n - 1];
    struct money doc = {.type = MONEY_NARROWING};

    doc.narrowing = *last;
    assert_true(kit_vouch(&doc, &p->order.head.corp));
    *last = doc.narrowing;
}

/* Every limit set, by the corp or by the client's first narrowing. */
static void base(struct pair *p, bool by_corp)
{
    struct sale s;

    kit_sale(&s);
    memset(p, 0, sizeof *p);
    p->order = s.order;
    p->chain.order = &p->order.order;
    p->chain.narrowings = p->narrowings;
    if (by_corp) {
        type_same(&p->order.order.limits);
        server_same(&p->order.order.limits);
        quote_same(&p->order.order.limits);
        assert_true(kit_vouch(&p->order, &s.corp));
        return;
    }
    amount_same(stack(p));
    hourly_same(&p->narrowings[0].limits);
    from_same(&p->narrowings[0].limits);
    until_same(&p->narrowings[0].limits);
    type_same(&p->narrowings[0].limits);
    quote_same(&p->narrowings[0].limits);
    vouch_last(p);
}

static void test_each_field(void **state)
{
    struct money_limits limits, before;

    (void)state;
    for (size_t i = 0; i < 2 * CHANGES; i++) {
        const struct change *c = &changes[i % CHANGES];
        bool by_corp = i < CHANGES;
        enum money_reason reason;
        struct pair p;

        /* A narrowing of the client that names the server closes. */
        if (!by_corp && c->apply == server_other) continue;
        base(&p, by_corp);
        assert_int_equal(order_effective(&p.chain, &before, NULL), 0);
        c->apply(stack(&p));
        vouch_last(&p);
        limits = before;
        memset(&said, 0, sizeof said);
        reason = order_effective(&p.chain, &limits, &said);
        if (reason != c->reason) fail_msg("%zu: %s", i, said.text);
        if (reason) {
            assert_int_equal(exit_of(reason), 5);
            assert_non_null(strstr(said.text, c->field));
            assert_memory_equal(&limits, &before, sizeof limits);
            continue;
        }
        c->apply(&before);
        assert_memory_equal(&limits, &before, sizeof limits);
    }
}

/* ---- the chain ---- */

static enum money_reason effective(const struct order_chain *chain)
{
    struct money_limits limits;

    memset(&said, 'x', sizeof said);
    return order_effective(chain, &limits, &said);
}

static void test_chain(void **state)
{
    struct sale s;
    xn_id kept;

    (void)state;
    kit_sale(&s);
    assert_int_equal(effective(&s.chain), 0);
    s.chain.n = 0; /* the bare order */
    assert_int_equal(effective(&s.chain), 0);
    s.chain.n = 1;
    assert_int_equal(effective(&s.chain), 0);
    /* The first left out, or both changed about. */
    s.chain.narrowings = s.narrowings + 1;
    assert_int_equal(effective(&s.chain), REASON_CHAIN);
    assert_int_equal(exit_of(REASON_CHAIN), 9);
    s.chain.narrowings = s.narrowings;
    s.chain.n = 2;
    kept = s.order.head.hash;
    s.order.head.hash.b[0] ^= 1;
    assert_int_equal(effective(&s.chain), REASON_CHAIN);
    s.order.head.hash = kept;
    s.narrowings[1].head.by = kit_id(9);
    assert_int_equal(effective(&s.chain), REASON_HOLDER);
    assert_int_equal(exit_of(REASON_HOLDER), 9);
    s.narrowings[1].head.by = s.holder;
    s.narrowings[1].head.corp = kit_id(9);
    assert_int_equal(effective(&s.chain), REASON_OTHER_CORP);
    memset(&s.narrowings[1].head.corp, 0, sizeof(xn_id));
    assert_int_equal(effective(&s.chain), REASON_UNVERIFIED);
    s.narrowings[1].head.corp = s.corp;
    memset(&s.order.head.corp, 0, sizeof(xn_id));
    assert_int_equal(effective(&s.chain), REASON_UNVERIFIED);
}

static void test_at_most(void **state)
{
    struct pair p;

    (void)state;
    base(&p, true);
    while (p.chain.n < ORDER_NARROWINGS_MAX) {
        stack(&p);
        vouch_last(&p);
    }
    assert_int_equal(effective(&p.chain), 0);
    stack(&p);
    vouch_last(&p);
    assert_int_equal(effective(&p.chain), REASON_TOO_MANY);
}

/* Nothing stands over a narrowing that names the server. */
static void test_closed(void **state)
{
    struct pair p;

    (void)state;
    base(&p, false);
    server_same(stack(&p));
    vouch_last(&p);
    assert_int_equal(effective(&p.chain), 0);
    amount_less(stack(&p));
    vouch_last(&p);
    assert_int_equal(effective(&p.chain), REASON_CLOSED);
    assert_int_equal(exit_of(REASON_CLOSED), 9);
    /* Where the corp named it the client narrows on, and closes once. */
    base(&p, true);
    amount_less(stack(&p));
    vouch_last(&p);
    server_same(stack(&p));
    vouch_last(&p);
    assert_int_equal(effective(&p.chain), 0);
    stack(&p);
    vouch_last(&p);
    assert_int_equal(effective(&p.chain), REASON_CLOSED);
}

/* ---- accepting ---- */

static enum money_reason accepts_at(const struct sale *s, uint64_t at_us)
{
    memset(&said, 'x', sizeof said);
    return order_accepts(&s->chain, &s->quote.quote, &s->server, at_us, NULL,
                         &said);
}

static void test_accepts(void **state)
{
    xn_id rival = kit_id(0x13);
    struct money_limits limits;
    struct sale s;

    (void)state;
    kit_sale(&s);
    assert_int_equal(accepts_at(&s, KIT_NOW_US), 0);
    assert_int_equal(order_accepts(&s.chain, &s.quote.quote, &s.server,
                                   KIT_NOW_US, &limits, NULL),
                     0);
    assert_true(limits.amount == 4 * KIT_GBP);
    assert_true(limits.most_per_hour == KIT_GBP);
    /* At its first and last moment, and beside them. */
    assert_int_equal(accepts_at(&s, KIT_NOW_US - 1), 0);
    assert_int_equal(accepts_at(&s, KIT_NOW_US - 2), REASON_EARLY);
    assert_int_equal(accepts_at(&s, s.quote.quote.until_us - 1), 0);
    assert_int_equal(accepts_at(&s, s.quote.quote.until_us),
                     REASON_QUOTE_EXPIRED);
    assert_int_equal(accepts_at(&s, KIT_NOW_US + 50 * KIT_HOUR_US),
                     REASON_EXPIRED);
    assert_non_null(strstr(said.text, "until 2026-11-23T12:00:00Z"));
    assert_int_equal(exit_of(REASON_EARLY), 8);
    assert_int_equal(exit_of(REASON_EXPIRED), 8);
    assert_int_equal(exit_of(REASON_QUOTE_EXPIRED), 8);
    /* Another server cannot. */
    assert_int_equal(order_accepts(&s.chain, &s.quote.quote, &rival, KIT_NOW_US,
                                   NULL, &said),
                     REASON_SERVER);
    assert_int_equal(exit_of(REASON_SERVER), 6);
    /* Nor can anybody without the narrowing that names it. */
    s.chain.n = 1;
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OPEN);
    s.chain.n = 0;
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OPEN);
    assert_int_equal(exit_of(REASON_OPEN), 5);
}

/* Even where the corp names server and quote, the holder has the last word. */
static void test_bare_order(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    s.order.order.limits.server = s.server;
    s.order.order.limits.quote = s.quote.head.hash;
    assert_true(kit_vouch(&s.order, &s.corp));
    s.chain.n = 0;
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OPEN);
    /* A narrowing that says nothing of the server is not that word. */
    s.narrowings[0].over = s.order.head.hash;
    s.chain.n = 1;
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OPEN);
}

static void close_over(struct sale *s)
{
    struct money doc = {.type = MONEY_NARROWING};

    doc.narrowing = s->narrowings[1];
    assert_true(kit_vouch(&doc, &s->corp));
    s->narrowings[1] = doc.narrowing;
}

static void test_no_quote(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    memset(&s.narrowings[1].limits.quote, 0, sizeof(xn_id));
    close_over(&s);
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OPEN);
}

/* Each field of the quote altered by the server that signed it: it is not the
 * one that the client narrowed to. */
static void test_quote_altered(void **state)
{
    const struct flat_form *form = money_form(MONEY_QUOTE);

    (void)state;
    for (size_t i = 0; i < form->n; i++) {
        const struct flat_field *field = &form->fields[i];
        enum money_reason reason;
        struct sale s;
        char *slot;

        kit_sale(&s);
        slot = (char *)&s.quote + field->at;
        *slot ^= field->type == FLAT_CURRENCY ? 2 : 1;
        assert_true(kit_vouch(&s.quote, &s.corp));
        reason = accepts_at(&s, KIT_NOW_US);
        assert_int_equal(reason, i == 0 ? REASON_QUOTE_SERVER : REASON_QUOTE);
        assert_int_equal(exit_of(REASON_QUOTE), 5);
        assert_int_equal(exit_of(REASON_QUOTE_SERVER), 5);
    }
}

/* The client narrowed to a quote that its order cannot pay. */
static enum money_reason with_quote(struct sale *s)
{
    assert_true(kit_vouch(&s->quote, &s->corp));
    s->narrowings[1].limits.quote = s->quote.head.hash;
    close_over(s);
    return accepts_at(s, KIT_NOW_US);
}

static void test_quote_unfit(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    strcpy(s.quote.quote.currency, "USD");
    assert_int_equal(with_quote(&s), REASON_CURRENCY);
    kit_sale(&s);
    strcpy(s.quote.quote.env_type, "NetBSD");
    assert_int_equal(with_quote(&s), REASON_TYPE);
    kit_sale(&s);
    s.quote.quote.prices.setup = kit_dec("1");
    assert_int_equal(with_quote(&s), 0);
    s.quote.quote.prices.setup = kit_dec("1.0000006");
    assert_int_equal(with_quote(&s), REASON_TOO_SMALL);
    s.quote.quote.prices.setup = kit_dec("9999999999999999999999999");
    assert_int_equal(with_quote(&s), REASON_TOO_SMALL);
    kit_sale(&s);
    s.narrowings[1].limits.amount = KIT_GBP / 2;
    s.quote.quote.prices.setup = kit_dec("0.500001");
    assert_int_equal(with_quote(&s), REASON_TOO_SMALL);
    s.quote.quote.prices.setup = kit_dec("0.5000005"); /* half to even */
    assert_int_equal(with_quote(&s), 0);
    kit_sale(&s);
    s.quote.head.corp = kit_id(9);
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_OTHER_CORP);
    memset(&s.quote.head.corp, 0, sizeof(xn_id));
    assert_int_equal(accepts_at(&s, KIT_NOW_US), REASON_UNVERIFIED);
}

/* ---- binding ---- */

static enum money_reason accepted(const struct sale *s)
{
    return order_accepted(&s->chain, &s->quote.quote, &s->acceptance.acceptance,
                          &said);
}

/* Each field of the acceptance altered by a corp that signs anything. */
static void test_acceptance_altered(void **state)
{
    const struct flat_form *form = money_form(MONEY_ACCEPTANCE);

    (void)state;
    for (size_t i = 0; i < form->n; i++) {
        const char *name = form->fields[i].name;
        struct money_acceptance *a;
        enum money_reason reason;
        struct sale s;

        kit_sale(&s);
        assert_int_equal(accepted(&s), 0);
        a = &s.acceptance.acceptance;
        if (strcmp(name, "Amount") == 0) {
            a->amount++;
        } else if (strcmp(name, "Until") == 0) {
            a->until_us++;
        } else if (strcmp(name, "Issued") == 0) {
            a->head.issued_us = s.quote.quote.until_us;
        } else {
            *((char *)&s.acceptance + form->fields[i].at) ^= 2;
        }
        reason = accepted(&s);
        /* Which session, and what was paid before, is the corp's word. */
        if (strcmp(name, "Session") == 0 || strcmp(name, "Prepaid") == 0) {
            assert_int_equal(reason, 0);
            continue;
        }
        assert_int_equal(reason, REASON_ACCEPTANCE);
        assert_int_equal(exit_of(reason), 9);
        assert_non_null(strstr(said.text, name));
    }
}

static void test_accepted(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    assert_int_equal(accepted(&s), 0);
    s.acceptance.acceptance.amount--; /* a corp may give less */
    s.acceptance.acceptance.until_us--;
    assert_int_equal(accepted(&s), 0);
    memset(&s.acceptance.head.corp, 0, sizeof(xn_id));
    assert_int_equal(accepted(&s), REASON_UNVERIFIED);
    kit_sale(&s);
    s.chain.n = 1;
    assert_int_equal(accepted(&s), REASON_OPEN);
}

/* Each field of order and narrowings altered by who signed it: the chain
 * breaks, at once or at the acceptance. */
static void test_chain_altered(void **state)
{
    (void)state;
    for (size_t doc = 0; doc < 3; doc++) {
        enum money_type type = doc ? MONEY_NARROWING : MONEY_ORDER;
        const struct flat_form *form = money_form(type);

        for (size_t i = 0; i < form->n; i++) {
            struct money altered = {.type = type};
            enum money_reason reason;
            struct sale s;
            char *slot;

            kit_sale(&s);
            if (doc)
                altered.narrowing = s.narrowings[doc - 1];
            else
                altered = s.order;
            slot = (char *)&altered + form->fields[i].at;
            *slot ^= 2;
            kit_vouch(&altered, &s.corp); /* whether or not it can be said */
            if (doc)
                s.narrowings[doc - 1] = altered.narrowing;
            else
                s.order = altered;
            reason = accepted(&s);
            assert_int_not_equal(reason, 0);
            assert_int_not_equal(exit_of(reason), 0);
        }
    }
}

static void test_stops(void **state)
{
    struct sale s;

    (void)state;
    kit_sale(&s);
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said), 0);
    s.stop.stop.narrowing = s.narrowings[0].head.hash;
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said), REASON_CHAIN);
    s.stop.stop.narrowing = s.narrowings[1].head.hash;
    s.stop.head.by = s.server;
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said), REASON_HOLDER);
    s.stop.head.by = s.holder;
    s.stop.head.corp = kit_id(9);
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said),
                     REASON_OTHER_CORP);
    memset(&s.stop.head.corp, 0, sizeof(xn_id));
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said),
                     REASON_UNVERIFIED);
    s.stop.head.corp = s.corp;
    s.chain.n = 1;
    assert_int_equal(order_stops(&s.chain, &s.stop.stop, &said), REASON_CHAIN);
}

/* ---- any stack of narrowings ---- */

/* Is whatever b lets through let through by a? */
static bool within(const struct money_limits *a, const struct money_limits *b)
{
    if (b->amount > a->amount || b->until_us > a->until_us) return false;
    if (b->from_us < a->from_us) return false;
    if (a->most_per_hour &&
        (!b->most_per_hour || b->most_per_hour > a->most_per_hour)) {
        return false;
    }
    if (a->env_type[0] && strcmp(a->env_type, b->env_type) != 0) return false;
    if (!xn_id_is_zero(&a->server) && !xn_id_eq(&a->server, &b->server))
        return false;
    return xn_id_is_zero(&a->quote) || xn_id_eq(&a->quote, &b->quote);
}

static void randomise(struct xn_rng *rng, struct money_limits *l)
{
    static const char *const types[] = {"Linux", "NetBSD"};

    if (xn_rng_below(rng, 3) == 0)
        l->amount = (int64_t)xn_rng_between(rng, 1, 12) * KIT_GBP;
    if (xn_rng_below(rng, 3) == 0)
        l->most_per_hour = (int64_t)xn_rng_between(rng, 1, 6) * KIT_GBP;
    if (xn_rng_below(rng, 3) == 0)
        l->from_us = KIT_NOW_US - 3000000 + xn_rng_below(rng, 6) * 1000000;
    if (xn_rng_below(rng, 3) == 0)
        l->until_us = KIT_NOW_US + xn_rng_below(rng, 110) * KIT_HOUR_US;
    if (xn_rng_below(rng, 6) == 0)
        strcpy(l->env_type, types[xn_rng_below(rng, 2)]);
    if (xn_rng_below(rng, 8) == 0)
        l->server = kit_id((uint8_t)(0x5e + xn_rng_below(rng, 2)));
    if (xn_rng_below(rng, 6) == 0)
        l->quote = kit_id((uint8_t)(0x77 + xn_rng_below(rng, 2)));
}

/* A hash without the cost of writing: what it names is all that counts here. */
static void name_it(struct money_narrowing *n, uint64_t name)
{
    memset(&n->head.hash, 0x11, sizeof n->head.hash);
    memcpy(n->head.hash.b, &name, sizeof name);
    n->head.corp = kit_id(0xc0);
}

/* Narrowings at random: what passes is within every one of them and within
 * what passed before; what does not pass has a field that was wider. */
static void test_only_narrower(void **state)
{
    size_t passed = 0, refused = 0, deep = 0;
    struct xn_rng rng;

    (void)state;
    xn_rng_seed(&rng, 42);
    for (unsigned i = 0; i < 20000; i++) {
        struct money_limits before, after;
        struct pair p;

        memset(&p, 0, sizeof p);
        p.order.type = MONEY_ORDER;
        p.order.order.holder = kit_id(0xc1);
        p.order.head.hash = kit_id(1);
        p.order.head.by = p.order.head.corp = kit_id(0xc0);
        strcpy(p.order.order.limits.currency, "GBP");
        randomise(&rng, &p.order.order.limits);
        p.order.order.limits.amount = 10 * KIT_GBP;
        p.order.order.limits.until_us = KIT_NOW_US + 100 * KIT_HOUR_US;
        p.chain.order = &p.order.order;
        p.chain.narrowings = p.narrowings;
        assert_int_equal(order_effective(&p.chain, &before, &said), 0);
        while (p.chain.n < ORDER_NARROWINGS_MAX) {
            struct money_narrowing *last = &p.narrowings[p.chain.n];
            bool shut = p.chain.n && !xn_id_is_zero(&last[-1].limits.server);
            enum money_reason reason;

            randomise(&rng, stack(&p));
            name_it(last, i * 16 + p.chain.n);
            reason = order_effective(&p.chain, &after, &said);
            if (shut) {
                assert_int_equal(reason, REASON_CLOSED);
                break;
            }
            if (reason) {
                struct money_limits l = last->limits;

                if (reason == REASON_WIDENS) {
                    /* What it does not give it does not change. */
                    if (!l.amount) l.amount = before.amount;
                    if (!l.most_per_hour)
                        l.most_per_hour = before.most_per_hour;
                    if (!l.from_us) l.from_us = before.from_us;
                    if (!l.until_us) l.until_us = before.until_us;
                    if (!l.env_type[0]) strcpy(l.env_type, before.env_type);
                    if (xn_id_is_zero(&l.server)) l.server = before.server;
                    if (xn_id_is_zero(&l.quote)) l.quote = before.quote;
                    assert_false(within(&before, &l));
                } else {
                    assert_int_equal(reason, REASON_EMPTY);
                }
                refused++;
                break;
            }
            assert_true(within(&before, &after));
            for (size_t k = 0; k < p.chain.n; k++) {
                struct money_limits l = p.narrowings[k].limits;

                if (!l.amount) l.amount = INT64_MAX;
                if (!l.until_us) l.until_us = UINT64_MAX;
                assert_true(within(&l, &after));
            }
            before = after;
            passed++;
            if (p.chain.n > 3) deep++;
        }
    }
    assert_true(passed > 10000 && refused > 1000 && deep > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_at_most),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_bare_order),
        cmocka_unit_test(test_no_quote),
        cmocka_unit_test(test_quote_altered),
        cmocka_unit_test(test_quote_unfit),
        cmocka_unit_test(test_acceptance_altered),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_chain_altered),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_only_narrower),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
